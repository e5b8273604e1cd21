import java.io.IOException;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.header.ChunkHeader;
import org.apache.tsfile.file.metadata.ChunkMetadata;
import org.apache.tsfile.file.metadata.TimeseriesMetadata;
import org.apache.tsfile.file.metadata.statistics.Statistics;
import org.apache.tsfile.read.TsFileCheckStatus;
import org.apache.tsfile.read.TsFileSequenceReader;

/**
 * Decides whether a file is one the library would have written: its self check, every page decoded from begin to end, every
 * chunk through the index, every statistic computed anew, and every series found by its name.
 */
final class Check {
  /** Sums depend on the order of the additions. */
  private static final double SUM_TOLERANCE = 1e-9;

  private final String file;
  private final String timeEncoding;
  private final boolean missingColumns;
  private long points;

  private Check(String file, String timeEncoding, boolean missingColumns) {
    this.file = file;
    this.timeEncoding = timeEncoding;
    this.missingColumns = missingColumns;
  }

  /** Returns the number of points; throws with what is wrong. */
  static long file(String file, String timeEncoding, boolean missingColumns) throws Exception {
    Check check = new Check(file, timeEncoding, missingColumns);
    check.run();
    return check.points;
  }

  private void run() throws Exception {
    Map<Long, Walk.Found> found;
    try (TsFileSequenceReader reader = new TsFileSequenceReader(file)) {
      if (!reader.isComplete()) {
        throw new IllegalStateException("no magic at the end");
      }
      Walk walk = new Walk(reader, timeEncoding);
      long separator = walk.run();
      if (separator != reader.readFileMetadata().getMetaOffset()) {
        throw new IllegalStateException(
            "the data section ends at " + separator + ", the metadata says " + reader.readFileMetadata().getMetaOffset());
      }
      found = walk.chunks;
    }
    try (TsFileSequenceReader reader = new TsFileSequenceReader(file)) {
      index(reader, new HashMap<>(found));
    }
    selfCheck(found);
  }

  /** The library's own check knows one encoding of times for a file, and takes it from its configuration. */
  private void selfCheck(Map<Long, Walk.Found> found) throws IOException {
    Series.timeEncoding(timeEncoding);
    for (Walk.Found chunk : found.values()) {
      if (chunk.header.getDataType() == TSDataType.VECTOR) {
        Series.timeEncoding(chunk.header.getEncodingType().name());
      }
    }
    try (TsFileSequenceReader reader = new TsFileSequenceReader(file)) {
      long status = Library.selfCheck(reader);
      // A file without any chunk group is answered with the position of its separator.
      if (status != TsFileCheckStatus.COMPLETE_FILE && !found.isEmpty()) {
        throw new IllegalStateException("the library's self check stops at " + status);
      }
    }
  }

  private void index(TsFileSequenceReader reader, Map<Long, Walk.Found> found) throws Exception {
    Series readers = new Series(reader, timeEncoding);
    Set<String> devices = new HashSet<>();
    Library.devices(reader, (id, device, aligned, series) -> {
      if (!devices.add(device)) {
        throw new IllegalStateException("device " + device + " is in the index twice");
      }
      List<ChunkMetadata> times = aligned ? Series.chunks(series.get(0)) : null;
      String last = null;
      for (TimeseriesMetadata column : series) {
        String name = column.getMeasurementId();
        if (last != null && last.compareTo(name) >= 0) {
          throw new IllegalStateException("in the index of " + device + ", " + name + " follows " + last);
        }
        last = name;
        try {
          if (Library.find(reader, id, name) == null) {
            throw new IllegalStateException("the index does not lead to it");
          }
          if (!Library.mayContain(reader, id, name)) {
            throw new IllegalStateException("the bloom filter denies it");
          }
          series(column, device, name.isEmpty() ? null : times, readers, found);
        } catch (Exception e) {
          throw new IllegalStateException("series " + name + " of " + device + ": " + e.getMessage(), e);
        }
      }
    });
    if (!found.isEmpty()) {
      throw new IllegalStateException("not in the index: chunks at " + found.keySet());
    }
  }

  private void series(
      TimeseriesMetadata column, String device, List<ChunkMetadata> times, Series readers, Map<Long, Walk.Found> found)
      throws IOException {
    // Queries of every version pair the n-th chunk of a column with the n-th of the times, and fail where one is missing.
    if (times != null && !missingColumns && Series.chunks(column).size() != times.size()) {
      throw new IllegalStateException(
          "it has " + Series.chunks(column).size() + " chunks, its times have " + times.size() + "; the library cannot query that");
    }
    Statistics<?> merged = Statistics.getStatsByType(column.getTsDataType());
    boolean lossy = false;
    for (ChunkMetadata chunk : Series.chunks(column)) {
      long offset = chunk.getOffsetOfChunkHeader();
      Walk.Found walked = found.remove(offset);
      if (walked == null || !walked.device.equals(device) || !walked.header.getMeasurementID().equals(column.getMeasurementId())) {
        throw new IllegalStateException("no chunk of it starts at " + offset);
      }
      if (walked.header.getDataType() != column.getTsDataType()) {
        throw new IllegalStateException("chunk at " + offset + " is of " + walked.header.getDataType() + ", not " + column.getTsDataType());
      }
      same("chunk at " + offset, walked.header, walked.statistics, chunk.getStatistics());
      lossy |= Encodings.lossy(column.getTsDataType(), walked.header.getEncodingType());
      if (!column.getMeasurementId().isEmpty()) {
        long hash = 1;
        long count = 0;
        if (chunk.getStatistics().getCount() > 0) {
          Series.Cursor cursor = readers.cursor(chunk, times);
          while (cursor.advance()) {
            hash = Walk.mix(hash, cursor.time, cursor.value);
            count++;
          }
        }
        if (count != chunk.getStatistics().getCount() || hash != walked.hash) {
          throw new IllegalStateException(
              "chunk at " + offset + " gives " + count + " points through the index, "
                  + chunk.getStatistics().getCount() + " when walked, or others");
        }
        points += count;
      }
      // The stored statistics of no points have zeros where the library's own have nothing.
      if (chunk.getStatistics().getCount() > 0) {
        Walk.merge(merged, chunk.getStatistics());
      }
    }
    compare("series", column.getTsDataType(), lossy, merged, column.getStatistics());
  }

  static void same(String what, ChunkHeader header, Statistics<?> computed, Statistics<?> stored) {
    compare(what, header.getDataType(), Encodings.lossy(header.getDataType(), header.getEncodingType()), computed, stored);
  }

  /** The library takes the statistics before it encodes, so of an encoding that rounds only the times are compared. */
  private static void compare(String what, TSDataType type, boolean lossy, Statistics<?> computed, Statistics<?> stored) {
    List<String> want = Stats.list(type, computed);
    List<String> have = Stats.list(type, stored);
    int count = lossy ? Math.min(3, want.size()) : want.size();
    for (int i = 0; i < Math.max(count, lossy ? 0 : have.size()); i++) {
      String wanted = i < want.size() ? want.get(i) : "nothing";
      String found = i < have.size() ? have.get(i) : "nothing";
      boolean sum = i == want.size() - 1 && type != TSDataType.BOOLEAN;
      if (!wanted.equals(found) && !near(wanted, found, sum ? SUM_TOLERANCE : 0)) {
        throw new IllegalStateException(what + ": statistics are " + have + ", the points give " + want);
      }
    }
  }

  /** The library writes every NaN as the same one. */
  private static boolean near(String a, String b, double tolerance) {
    if (a.startsWith("f:") && b.startsWith("f:")) {
      return Float.isNaN(Float.intBitsToFloat((int) bits(a))) && Float.isNaN(Float.intBitsToFloat((int) bits(b)));
    }
    if (!a.startsWith("d:") || !b.startsWith("d:")) {
      return false;
    }
    double x = Double.longBitsToDouble(bits(a));
    double y = Double.longBitsToDouble(bits(b));
    return Double.isNaN(x) && Double.isNaN(y) || Math.abs(x - y) <= tolerance * Math.max(Math.abs(x), Math.abs(y));
  }

  private static long bits(String text) {
    return Long.parseUnsignedLong(text.substring(2), 16);
  }
}
