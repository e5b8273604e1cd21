import java.io.PrintWriter;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.metadata.ChunkMetadata;
import org.apache.tsfile.file.metadata.TimeseriesMetadata;
import org.apache.tsfile.read.TsFileSequenceReader;

/**
 * Writes random files, each with its points as dump prints them. What dump reads is compared with what was written, so that
 * the expected points are right even where a reader of ours and the library's would agree on a mistake.
 */
final class RandomFiles {
  private RandomFiles() {}

  static void write(Path directory, long seed, int count) throws Exception {
    Files.createDirectories(directory);
    long points = 0;
    try (PrintWriter manifest = new PrintWriter(Main.writer(Files.newOutputStream(directory.resolve("manifest.csv"))))) {
      manifest.print("file,time_encoding\n");
      for (int i = 0; i < count; i++) {
        String name = "random-" + seed + "-" + i;
        Path path = directory.resolve(name + ".tsfile");
        RandomFile file = new RandomFile(new SplittableRandom(seed * 1_000_003L + i));
        try {
          file.write(path.toFile());
          compare(path.toString(), file);
          try (Writer out = Main.writer(Files.newOutputStream(directory.resolve(name + ".points")))) {
            points += Dump.points(path.toString(), file.timeEncoding, out);
          }
        } catch (Exception e) {
          throw new IllegalStateException("random file " + i + " of seed " + seed + ": " + e, e);
        }
        manifest.print(name + ".tsfile," + file.timeEncoding + "\n");
      }
    }
    System.out.println("ok files=" + count + " points=" + points);
  }

  private static void compare(String path, RandomFile file) throws Exception {
    Map<String, Column> columns = new HashMap<>();
    for (RandomFile.Written written : file.devices) {
      for (Column column : written.columns) {
        if (!column.points.isEmpty()) {
          columns.put(written.device.text() + ',' + Text.name(column.name), column);
        }
      }
    }
    try (TsFileSequenceReader reader = new TsFileSequenceReader(path)) {
      Series points = new Series(reader, file.timeEncoding);
      Library.devices(reader, (id, device, aligned, series) -> {
        List<ChunkMetadata> times = aligned ? Series.chunks(series.get(0)) : null;
        for (TimeseriesMetadata found : aligned ? series.subList(1, series.size()) : series) {
          String name = device + ',' + Text.name(found.getMeasurementId());
          Column column = columns.remove(name);
          Iterator<Map.Entry<Long, Object>> written =
              (column == null ? new HashMap<Long, Object>() : column.points).entrySet().iterator();
          points.points(found, times, (time, type, value) -> same(name, column, written, time, type, value));
          if (written.hasNext()) {
            Map.Entry<Long, Object> lost = written.next();
            throw new IllegalStateException("of " + name + " " + lost + " was written as " + column.encodings.get(lost.getKey()) + ", but not read");
          }
        }
      });
    }
    if (!columns.isEmpty()) {
      throw new IllegalStateException("written, but not read: " + new ArrayList<>(columns.keySet()));
    }
  }

  private static void same(
      String name, Column column, Iterator<Map.Entry<Long, Object>> written, long time, TSDataType type, Object value) {
    Map.Entry<Long, Object> wanted = written.hasNext() ? written.next() : null;
    boolean equal = wanted != null && wanted.getKey() == time && type == column.type;
    // Float.equals takes all NaN as one, as the library does when it writes some of them.
    if (!equal || !Encodings.lossy(type, column.encodings.get(time)) && !wanted.getValue().equals(value)) {
      throw new IllegalStateException("of " + name + " " + wanted + " was written as " + (wanted == null ? null : column.encodings.get(wanted.getKey()))
          + ", but " + time + "=" + value + " of " + type + " read");
    }
  }
}
