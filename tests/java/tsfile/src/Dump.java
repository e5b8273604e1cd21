import java.io.IOException;
import java.io.Writer;
import java.util.List;

import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.metadata.ChunkMetadata;
import org.apache.tsfile.file.metadata.TimeseriesMetadata;
import org.apache.tsfile.read.TsFileSequenceReader;

/** Prints the points of a file, one a line. README.md has the format. */
final class Dump {
  private Dump() {}

  static long points(String file, String timeEncoding, Writer out) throws Exception {
    long[] count = {0};
    try (TsFileSequenceReader reader = new TsFileSequenceReader(file)) {
      Series points = new Series(reader, timeEncoding);
      Library.devices(reader, (id, device, aligned, series) -> {
        List<ChunkMetadata> times = aligned ? Series.chunks(series.get(0)) : null;
        for (TimeseriesMetadata column : aligned ? series.subList(1, series.size()) : series) {
          String prefix = device + ',' + Text.name(column.getMeasurementId()) + ',';
          StringBuilder line = new StringBuilder();
          points.points(column, times, (time, type, value) -> {
            count[0]++;
            line.setLength(0);
            point(line, prefix, time, type, value);
            out.append(line);
          });
        }
      });
    }
    return count[0];
  }

  static void point(StringBuilder line, String prefix, long time, TSDataType type, Object value) throws IOException {
    line.append(prefix).append(time).append(',').append(type.name()).append(',');
    Text.value(line, type, value);
    line.append('\n');
  }
}
