import java.util.List;

import org.apache.tsfile.file.metadata.TimeseriesMetadata;

/** Is called for every device of a file, in the order of its index, with the series in the order of the index. */
interface Devices {
  /** `id` is the device as the library wants it back, `device` as it is printed. */
  void device(Object id, String device, boolean aligned, List<TimeseriesMetadata> series) throws Exception;
}
