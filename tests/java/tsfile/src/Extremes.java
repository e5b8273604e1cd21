import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.metadata.enums.CompressionType;
import org.apache.tsfile.file.metadata.enums.TSEncoding;
import org.apache.tsfile.write.chunk.ChunkWriterImpl;
import org.apache.tsfile.write.schema.MeasurementSchema;
import org.apache.tsfile.write.writer.TsFileIOWriter;

/** The shapes of the corpus with chosen values: the ends of every range, long pages, evenly spaced integers. */
final class Extremes {
  private static final List<TSEncoding> KEEP_INTEGERS = Arrays.asList(
      TSEncoding.PLAIN, TSEncoding.RLE, TSEncoding.TS_2DIFF, TSEncoding.GORILLA, TSEncoding.ZIGZAG, TSEncoding.CHIMP);
  private static final List<TSEncoding> KEEP_FLOATS = Arrays.asList(TSEncoding.PLAIN, TSEncoding.GORILLA, TSEncoding.CHIMP);
  private static final List<TSEncoding> SCALED = Arrays.asList(TSEncoding.RLE, TSEncoding.TS_2DIFF);
  private static final List<TSEncoding> LONG = Arrays.asList(
      TSEncoding.RLBE, TSEncoding.CHIMP, TSEncoding.RLE, TSEncoding.TS_2DIFF);
  /** More than the 10,000 points at which the library closes a page by itself. */
  private static final int LONG_ROWS = 12_000;
  private static final int NOISE_FROM = 11_900;

  private Extremes() {}

  /** One series for each encoding, in one chunk group. */
  static void device(
      TsFileIOWriter writer, String device, TSDataType type, List<TSEncoding> encodings, Object[] values, Expected expected)
      throws IOException {
    Library.startGroup(writer, Device.path(device));
    for (TSEncoding encoding : encodings) {
      String name = Fixed.measurement(encoding);
      ChunkWriterImpl chunk = new ChunkWriterImpl(new MeasurementSchema(name, type, encoding, CompressionType.UNCOMPRESSED));
      for (int row = 0; row < values.length; row++) {
        Cells.write(chunk, type, Fixed.time(row), values[row]);
        expected.add(device, name, Fixed.time(row), type, values[row]);
      }
      chunk.writeToFileWriter(writer);
    }
    writer.endChunkGroup();
  }

  static void small(Path file, Expected expected) throws IOException {
    TsFileIOWriter writer = new TsFileIOWriter(file.toFile());
    device(writer, "root.corpus.int32", TSDataType.INT32, KEEP_INTEGERS,
        new Object[] {Integer.MIN_VALUE, 0, -1, Integer.MAX_VALUE, 1, Integer.MIN_VALUE, Integer.MIN_VALUE, 5}, expected);
    device(writer, "root.corpus.int64", TSDataType.INT64, KEEP_INTEGERS,
        new Object[] {Long.MIN_VALUE, 0L, -1L, Long.MAX_VALUE, 1L, Long.MIN_VALUE, Long.MIN_VALUE, 5L}, expected);
    device(writer, "root.corpus.float", TSDataType.FLOAT, KEEP_FLOATS, new Object[] {
      Float.NaN, 0f, -0f, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, Float.MIN_VALUE, Float.MAX_VALUE, Float.NaN, 1.5f
    }, expected);
    device(writer, "root.corpus.double", TSDataType.DOUBLE, KEEP_FLOATS, new Object[] {
      Double.NaN, 0d, -0d, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY, Double.MIN_VALUE, Double.MAX_VALUE, Double.NaN, 1.5d
    }, expected);
    if (Library.KEEPS_WIDE_FLOATS) {
      device(writer, "root.corpus.float_ovf", TSDataType.FLOAT, SCALED,
          new Object[] {1.25f, Float.NaN, 30_000_000f, 3.0e9f, -2.5f, 1.0f}, expected);
      device(writer, "root.corpus.double_ovf", TSDataType.DOUBLE, SCALED,
          new Object[] {1.25d, Double.NaN, 9.0e17d, 1.0e300d, -2.5d, 1.0d}, expected);
      // Without a value that needs its raw bits there is one bitmap only.
      device(writer, "root.corpus.float_ovf1", TSDataType.FLOAT, SCALED,
          new Object[] {1.25f, 30_000_000f, -2.5f, 1.0f, 2.0f, 3.0f, 4.0f, 30_000_001f}, expected);
    }
    List<TSEncoding> camel = new ArrayList<>(Library.encodings(TSDataType.DOUBLE));
    camel.removeAll(Encodings.common(TSDataType.DOUBLE));
    if (!camel.isEmpty()) {
      device(writer, "root.corpus.camel", TSDataType.DOUBLE, camel, new Object[] {
        1.5, 0d, 0d, 3.14159265358979, 3.14159265358979, 2.718281828459045, 1e20, 12.25, 123456789.123456, 1e-12, -7.5,
        -3.14159265358979, 0.1
      }, expected);
    }
    writer.endFile();
  }

  /** Pages at the library's own limit, with a tail of noise. */
  static void longPages(Path file, Expected expected) throws IOException {
    TsFileIOWriter writer = new TsFileIOWriter(file.toFile());
    Object[] ints = new Object[LONG_ROWS];
    Object[] longs = new Object[LONG_ROWS];
    for (int row = 0; row < LONG_ROWS; row++) {
      ints[row] = row < NOISE_FROM ? row / 7 : row * 1103515245;
      longs[row] = row < NOISE_FROM ? (long) (row / 5) : row * 6364136223846793005L;
    }
    device(writer, "root.corpus.long_int32", TSDataType.INT32, LONG, ints, expected);
    device(writer, "root.corpus.long_int64", TSDataType.INT64, LONG, longs, expected);
    writer.endFile();
  }

  /** REGULAR was never offered for values, but a file may hold it; it takes evenly spaced values, with gaps or without. */
  static void regular(Path file, Expected expected) throws IOException {
    TsFileIOWriter writer = new TsFileIOWriter(file.toFile());
    List<TSEncoding> regular = Arrays.asList(TSEncoding.REGULAR);
    List<Object> ints = new ArrayList<>();
    List<Object> longs = new ArrayList<>();
    for (int row = 0; row < 200; row++) {
      ints.add(100 + 5 * row);
      longs.add(1_000_000_000_000L + 250L * row);
    }
    device(writer, "root.corpus.int32", TSDataType.INT32, regular, ints.toArray(), expected);
    device(writer, "root.corpus.int64", TSDataType.INT64, regular, longs.toArray(), expected);
    List<Object> gappyInts = new ArrayList<>();
    List<Object> gappyLongs = new ArrayList<>();
    for (int row = 0; row < 60; row++) {
      if (row % 11 != 5) {
        gappyInts.add(ints.get(row));
        gappyLongs.add(longs.get(row));
      }
    }
    device(writer, "root.corpus.int32_gaps", TSDataType.INT32, regular, gappyInts.toArray(), expected);
    device(writer, "root.corpus.int64_gaps", TSDataType.INT64, regular, gappyLongs.toArray(), expected);
    writer.endFile();
  }
}
