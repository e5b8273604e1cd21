import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

import org.apache.tsfile.common.conf.TSFileDescriptor;
import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.metadata.enums.CompressionType;
import org.apache.tsfile.file.metadata.enums.TSEncoding;
import org.apache.tsfile.write.chunk.AlignedChunkWriterImpl;
import org.apache.tsfile.write.chunk.ChunkWriterImpl;
import org.apache.tsfile.write.chunk.ValueChunkWriter;
import org.apache.tsfile.write.schema.IMeasurementSchema;
import org.apache.tsfile.write.schema.MeasurementSchema;
import org.apache.tsfile.write.writer.TsFileIOWriter;

/**
 * Decides what the files of the benches hold, and writes them by the library's chunk writers, which take whole arrays: the
 * fastest way it has (its tablets end there too, after copying).
 */
final class BenchFile {
  static final String DEVICE = "root.bench.d";
  static final int COLUMNS = 20;
  /** So many columns are INT64, the others DOUBLE. */
  private static final int INTEGER_COLUMNS = 10;
  private static final int PAGE_ROWS = 10_000;
  private static final int GROUP_ROWS = 100_000;
  private static final long FIRST_TIME = 1_700_000_000_000L;
  private static final long STEP = 1000;
  private static final int TIMED_RUNS = 3;
  private static final long WARM_UP_NANOS = 3_000_000_000L;
  private static final int WARM_UP_RUNS = 20;

  private final boolean aligned;
  private final List<IMeasurementSchema> schemas = new ArrayList<>();
  private final long[] times = new long[GROUP_ROWS];
  private final long[][] longs = new long[INTEGER_COLUMNS][GROUP_ROWS];
  private final double[][] doubles = new double[COLUMNS - INTEGER_COLUMNS][GROUP_ROWS];
  private final boolean[] noNulls = new boolean[PAGE_ROWS];
  /** Of the library alone, without making the values. */
  private long nanos;

  private BenchFile(String shape) {
    String[] parts = shape.split("-");
    if (parts.length != 2 || !parts[0].equals("aligned") && !parts[0].equals("plain")) {
      throw new IllegalArgumentException("SHAPE must be aligned or plain, then -lz4, -snappy or -raw, but is '" + shape + "'");
    }
    aligned = parts[0].equals("aligned");
    boolean raw = parts[1].equals("raw");
    CompressionType codec = raw ? CompressionType.UNCOMPRESSED : CompressionType.valueOf(parts[1].toUpperCase(Locale.ROOT));
    TSFileDescriptor.getInstance().getConfig().setCompressor(codec.name());
    for (int column = 0; column < COLUMNS; column++) {
      boolean integer = column < INTEGER_COLUMNS;
      TSEncoding encoding = raw ? TSEncoding.PLAIN : integer ? TSEncoding.TS_2DIFF : TSEncoding.GORILLA;
      schemas.add(new MeasurementSchema(
          String.format(Locale.ROOT, "s%02d", column), integer ? TSDataType.INT64 : TSDataType.DOUBLE, encoding, codec));
    }
  }

  static void bulk(Path file, String shape, long points) throws IOException {
    BenchFile bench = new BenchFile(shape);
    bench.file(file, points / COLUMNS);
    System.out.println("ok points=" + points / COLUMNS * COLUMNS + " bytes=" + Files.size(file));
  }

  static void timed(Path directory, long rows, String shape) throws IOException {
    Files.createDirectories(directory);
    BenchFile bench = new BenchFile(shape);
    Path warm = directory.resolve("warm-up.tsfile");
    long started = System.nanoTime();
    for (int run = 0; run < WARM_UP_RUNS && System.nanoTime() - started < WARM_UP_NANOS; run++) {
      bench.file(warm, rows);
    }
    Files.delete(warm);
    Path file = directory.resolve(shape + ".tsfile");
    long best = Long.MAX_VALUE;
    for (int run = 0; run < TIMED_RUNS; run++) {
      bench.file(file, rows);
      best = Math.min(best, bench.nanos);
    }
    Bench.report(rows * COLUMNS, best, "bytes=" + Files.size(file));
  }

  private void file(Path file, long rows) throws IOException {
    nanos = 0;
    TsFileIOWriter writer = new TsFileIOWriter(file.toFile());
    for (long from = 0; from < rows; from += GROUP_ROWS) {
      int count = (int) Math.min(GROUP_ROWS, rows - from);
      fill(from, count);
      long started = System.nanoTime();
      Library.startGroup(writer, Device.path(DEVICE));
      if (aligned) {
        aligned(writer, count);
      } else {
        plain(writer, count);
      }
      writer.endChunkGroup();
      nanos += System.nanoTime() - started;
    }
    long started = System.nanoTime();
    writer.endFile();
    nanos += System.nanoTime() - started;
  }

  /** README.md has the formulas; a writer of ours makes the same values. */
  private void fill(long from, int count) {
    for (int i = 0; i < count; i++) {
      long row = from + i;
      times[i] = FIRST_TIME + STEP * row;
      for (int column = 0; column < COLUMNS; column++) {
        long noise = (row * COLUMNS + column) * 0x9E3779B97F4A7C15L >>> 60;
        if (column < INTEGER_COLUMNS) {
          longs[column][i] = row * 7 + column * 1000L + noise;
        } else {
          doubles[column - INTEGER_COLUMNS][i] = (2000 + column * 10 + row / 16 % 500 + noise / 4) / 100.0;
        }
      }
    }
  }

  private void aligned(TsFileIOWriter writer, int count) throws IOException {
    AlignedChunkWriterImpl chunk = new AlignedChunkWriterImpl(schemas);
    long[] pageTimes = new long[PAGE_ROWS];
    long[] pageLongs = new long[PAGE_ROWS];
    double[] pageDoubles = new double[PAGE_ROWS];
    for (int from = 0; from < count; from += PAGE_ROWS) {
      int rows = Math.min(PAGE_ROWS, count - from);
      System.arraycopy(times, from, pageTimes, 0, rows);
      chunk.write(pageTimes, rows, 0);
      for (int column = 0; column < COLUMNS; column++) {
        ValueChunkWriter values = chunk.getValueChunkWriterByIndex(column);
        if (column < INTEGER_COLUMNS) {
          System.arraycopy(longs[column], from, pageLongs, 0, rows);
          values.write(pageTimes, pageLongs, noNulls, rows, 0);
        } else {
          System.arraycopy(doubles[column - INTEGER_COLUMNS], from, pageDoubles, 0, rows);
          values.write(pageTimes, pageDoubles, noNulls, rows, 0);
        }
      }
      chunk.sealCurrentPage();
    }
    chunk.writeToFileWriter(writer);
  }

  private void plain(TsFileIOWriter writer, int count) throws IOException {
    long[] pageTimes = new long[PAGE_ROWS];
    long[] pageLongs = new long[PAGE_ROWS];
    double[] pageDoubles = new double[PAGE_ROWS];
    for (int column = 0; column < COLUMNS; column++) {
      ChunkWriterImpl chunk = new ChunkWriterImpl(schemas.get(column));
      for (int from = 0; from < count; from += PAGE_ROWS) {
        int rows = Math.min(PAGE_ROWS, count - from);
        System.arraycopy(times, from, pageTimes, 0, rows);
        if (column < INTEGER_COLUMNS) {
          System.arraycopy(longs[column], from, pageLongs, 0, rows);
          chunk.write(pageTimes, pageLongs, rows);
        } else {
          System.arraycopy(doubles[column - INTEGER_COLUMNS], from, pageDoubles, 0, rows);
          chunk.write(pageTimes, pageDoubles, rows);
        }
        chunk.sealCurrentPage();
      }
      chunk.writeToFileWriter(writer);
    }
  }
}
