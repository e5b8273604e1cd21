import java.io.IOException;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.zip.GZIPOutputStream;

import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.metadata.ChunkMetadata;
import org.apache.tsfile.file.metadata.TimeseriesMetadata;
import org.apache.tsfile.read.TsFileSequenceReader;

/** The points that a file of the corpus has to give, as lines `device,measurement,time,value` in sorted order. */
final class Expected {
  private final List<String> lines = new ArrayList<>();

  void add(String device, String measurement, long time, TSDataType type, Object value) {
    lines.add(device + ',' + measurement + ',' + time + ',' + text(type, value));
  }

  /** Floats are given in decimal for people and in bits for programs. */
  private static String text(TSDataType type, Object value) {
    String text = Text.value(type, value);
    return text.startsWith("f:") || text.startsWith("d:") ? value + "|" + text.substring(2) : text;
  }

  /** What the library reads, for files whose writer loses something. */
  static Expected read(Path file, String timeEncoding) throws Exception {
    Expected expected = new Expected();
    try (TsFileSequenceReader reader = new TsFileSequenceReader(file.toString())) {
      Series points = new Series(reader, timeEncoding);
      Library.devices(reader, (id, device, aligned, series) -> {
        List<ChunkMetadata> times = aligned ? Series.chunks(series.get(0)) : null;
        for (TimeseriesMetadata column : aligned ? series.subList(1, series.size()) : series) {
          points.points(column, times, (time, type, value) -> expected.add(device, column.getMeasurementId(), time, type, value));
        }
      });
    }
    return expected;
  }

  /** The library has to read what it was given. */
  void check(Path file, String timeEncoding) throws Exception {
    Expected read = read(file, timeEncoding);
    Collections.sort(lines);
    Collections.sort(read.lines);
    for (int i = 0; i < Math.max(lines.size(), read.lines.size()); i++) {
      String wanted = i < lines.size() ? lines.get(i) : "nothing more";
      String found = i < read.lines.size() ? read.lines.get(i) : "nothing more";
      if (!wanted.equals(found)) {
        throw new IllegalStateException("in " + file + " expected " + wanted + ", but read " + found);
      }
    }
  }

  void save(Path to) throws IOException {
    Collections.sort(lines);
    try (Writer out = Main.writer(new GZIPOutputStream(Files.newOutputStream(to)))) {
      for (String line : lines) {
        out.append(line).append('\n');
      }
    }
  }
}
