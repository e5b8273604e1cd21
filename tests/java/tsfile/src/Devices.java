import java.util.List;

import org.apache.tsfile.file.metadata.TimeseriesMetadata;

/** Is called for every device of a file, in the order of its index, with the series in the order of the index. */
interface Devices {
  void device(String device, boolean aligned, List<TimeseriesMetadata> series) throws Exception;
}
