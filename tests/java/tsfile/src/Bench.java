import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;

import org.apache.tsfile.block.column.Column;
import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.metadata.ChunkMetadata;
import org.apache.tsfile.file.metadata.TimeseriesMetadata;
import org.apache.tsfile.read.TsFileSequenceReader;
import org.apache.tsfile.read.common.Chunk;
import org.apache.tsfile.read.common.block.TsBlock;
import org.apache.tsfile.read.filter.basic.Filter;
import org.apache.tsfile.read.reader.IChunkReader;
import org.apache.tsfile.read.reader.IPageReader;

/** Decides how the library's reading is timed: one thread, everything compiled and in the page cache, the best of some passes. */
final class Bench {
  private static final int TIMED_PASSES = 3;
  private static final long WARM_UP_NANOS = 3_000_000_000L;
  private static final int WARM_UP_PASSES = 20;

  /** What was read last; keeps the compiler from leaving the work out. */
  static volatile long seen;

  private Bench() {}

  static void report(long points, long nanos, String more) {
    double seconds = nanos / 1e9;
    System.out.println(String.format(
        Locale.ROOT, "points=%d seconds=%.6f points_per_second=%.0f%s", points, seconds, points / seconds, more.isEmpty() ? "" : " " + more));
  }

  private interface Pass {
    long run() throws Exception;
  }

  /** At least one pass to warm up, then the best of the timed ones. */
  private static long best(Pass pass) throws Exception {
    long started = System.nanoTime();
    for (int i = 0; i < WARM_UP_PASSES && (i == 0 || System.nanoTime() - started < WARM_UP_NANOS); i++) {
      pass.run();
    }
    long best = Long.MAX_VALUE;
    for (int i = 0; i < TIMED_PASSES; i++) {
      long before = System.nanoTime();
      pass.run();
      best = Math.min(best, System.nanoTime() - before);
    }
    return best;
  }

  static void scan(String file, String timeEncoding, int columns) throws Exception {
    long points = scanOnce(file, timeEncoding, columns);
    report(points, best(() -> scanOnce(file, timeEncoding, columns)), "");
  }

  /**
   * By the chunk readers, with the pages as column blocks, as IoTDB's own scan does. TsFileReader.query on the same file was
   * several times slower: it makes a row object with a field object for every value.
   */
  private static long scanOnce(String file, String timeEncoding, int columns) throws Exception {
    long[] points = {0};
    try (TsFileSequenceReader reader = new TsFileSequenceReader(file)) {
      Library.devices(reader, (id, device, aligned, series) -> {
        Series.timeEncoding(timeEncoding);
        List<TimeseriesMetadata> wanted = aligned ? series.subList(1, series.size()) : series;
        wanted = wanted.subList(0, Math.min(columns, wanted.size()));
        if (aligned) {
          points[0] += aligned(reader, Series.chunks(series.get(0)), wanted);
        } else {
          for (TimeseriesMetadata column : wanted) {
            for (ChunkMetadata chunk : Series.chunks(column)) {
              IChunkReader chunkReader = Library.chunkReader(reader.readMemChunk(chunk), null);
              points[0] += pages(chunkReader, Collections.singletonList(column.getTsDataType()));
            }
          }
        }
      });
    }
    return points[0];
  }

  private static long aligned(TsFileSequenceReader reader, List<ChunkMetadata> times, List<TimeseriesMetadata> wanted) throws IOException {
    List<TSDataType> types = new ArrayList<>();
    for (int column = 0; column < wanted.size(); column++) {
      types.add(wanted.get(column).getTsDataType());
    }
    Map<Long, ChunkMetadata[]> chunks = new HashMap<>();
    for (int column = 0; column < wanted.size(); column++) {
      for (ChunkMetadata chunk : Series.chunks(wanted.get(column))) {
        long time = Series.timeChunk(times, chunk).getOffsetOfChunkHeader();
        chunks.computeIfAbsent(time, offset -> new ChunkMetadata[wanted.size()])[column] = chunk;
      }
    }
    long points = 0;
    for (ChunkMetadata time : times) {
      ChunkMetadata[] found = chunks.get(time.getOffsetOfChunkHeader());
      if (found == null) {
        continue;
      }
      List<Chunk> values = new ArrayList<>();
      for (ChunkMetadata chunk : found) {
        values.add(chunk == null || chunk.getStatistics().getCount() == 0 ? null : reader.readMemChunk(chunk));
      }
      Chunk timeChunk = reader.readMemChunk(time);
      Series.timeEncoding(timeChunk.getHeader().getEncodingType().name());
      points += pages(Library.alignedChunkReader(timeChunk, values, null), types);
    }
    return points;
  }

  private static long pages(IChunkReader reader, List<TSDataType> types) throws IOException {
    long points = 0;
    long sum = 0;
    for (IPageReader page : reader.loadPageReaderList()) {
      page.initTsBlockBuilder(types);
      TsBlock block = page.getAllSatisfiedData();
      int rows = block.getPositionCount();
      for (int row = 0; row < rows; row++) {
        sum += block.getTimeByIndex(row);
      }
      for (int column = 0; column < types.size(); column++) {
        Column values = block.getColumn(column);
        for (int row = 0; row < rows; row++) {
          if (!values.isNull(row)) {
            sum += cell(values, types.get(column), row);
            points++;
          }
        }
      }
    }
    seen = sum;
    return points;
  }

  private static long cell(Column values, TSDataType type, int row) {
    switch (type) {
      case BOOLEAN:
        return values.getBoolean(row) ? 1 : 0;
      case INT32:
        return values.getInt(row);
      case INT64:
        return values.getLong(row);
      case FLOAT:
        return Float.floatToRawIntBits(values.getFloat(row));
      case DOUBLE:
        return Double.doubleToRawLongBits(values.getDouble(row));
      default:
        return type.name().equals("DATE") ? values.getInt(row)
            : type.name().equals("TIMESTAMP") ? values.getLong(row) : values.getBinary(row).getValues().length;
    }
  }

  /** One series that is looked into. */
  private static final class Target {
    final Object id;
    final String measurement;
    final boolean aligned;
    final long start;
    final long end;
    final long step;

    Target(Object id, boolean aligned, TimeseriesMetadata series) {
      this.id = id;
      this.measurement = series.getMeasurementId();
      this.aligned = aligned;
      this.start = series.getStatistics().getStartTime();
      this.end = series.getStatistics().getEndTime();
      long gaps = series.getStatistics().getCount() - 1;
      // Of an evenly spaced series only times that exist are asked for.
      this.step = gaps > 0 && (end - start) % gaps == 0 ? (end - start) / gaps : 1;
    }

    long time(SplittableRandom random) {
      return start + step * random.nextLong((end - start) / step + 1);
    }
  }

  static void lookup(String file, String timeEncoding, int count, long seed) throws Exception {
    try (TsFileSequenceReader reader = new TsFileSequenceReader(file)) {
      List<Target> targets = new ArrayList<>();
      Library.devices(reader, (id, device, aligned, series) -> {
        for (TimeseriesMetadata column : series) {
          if (!column.getMeasurementId().isEmpty() && column.getStatistics().getCount() > 0) {
            targets.add(new Target(id, aligned, column));
          }
        }
      });
      long[] found = {0};
      long nanos = best(() -> found[0] = lookups(reader, targets, timeEncoding, count, seed));
      System.out.println(String.format(
          Locale.ROOT, "lookups=%d found=%d seconds=%.6f seconds_per_lookup=%.9f", count, found[0], nanos / 1e9, nanos / 1e9 / count));
    }
  }

  private static long lookups(TsFileSequenceReader reader, List<Target> targets, String timeEncoding, int count, long seed) throws IOException {
    SplittableRandom random = new SplittableRandom(seed);
    long found = 0;
    for (int i = 0; i < count; i++) {
      Target target = targets.get(random.nextInt(targets.size()));
      found += lookup(reader, target, target.time(random), timeEncoding) ? 1 : 0;
    }
    return found;
  }

  /** From the root of the index every time: the open file keeps only its footer. */
  private static boolean lookup(TsFileSequenceReader reader, Target target, long time, String timeEncoding) throws IOException {
    TimeseriesMetadata series = Library.find(reader, target.id, target.measurement);
    List<ChunkMetadata> times = target.aligned ? Series.chunks(Library.find(reader, target.id, "")) : null;
    Filter filter = Library.timeIs(time);
    boolean found = false;
    for (ChunkMetadata chunk : Series.chunks(series)) {
      if (chunk.getStartTime() > time || chunk.getEndTime() < time) {
        continue;
      }
      Chunk values = reader.readMemChunk(chunk);
      IChunkReader chunkReader;
      if (times == null) {
        Series.timeEncoding(timeEncoding);
        chunkReader = Library.chunkReader(values, filter);
      } else {
        Chunk timeChunk = reader.readMemChunk(Series.timeChunk(times, chunk));
        Series.timeEncoding(timeChunk.getHeader().getEncodingType().name());
        chunkReader = Library.alignedChunkReader(timeChunk, Collections.singletonList(values), filter);
      }
      found |= pages(chunkReader, Collections.singletonList(series.getTsDataType())) > 0;
    }
    return found;
  }
}
