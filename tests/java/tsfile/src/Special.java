import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

import org.apache.tsfile.common.conf.TSFileConfig;
import org.apache.tsfile.common.conf.TSFileDescriptor;
import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.metadata.enums.CompressionType;
import org.apache.tsfile.file.metadata.enums.TSEncoding;
import org.apache.tsfile.write.chunk.AlignedChunkWriterImpl;
import org.apache.tsfile.write.chunk.ChunkWriterImpl;
import org.apache.tsfile.write.schema.IMeasurementSchema;
import org.apache.tsfile.write.schema.MeasurementSchema;
import org.apache.tsfile.write.writer.TsFileIOWriter;

/** The shapes of the corpus that IoTDB writes seldom or never, yet that a reader has to take. */
final class Special {
  private static final String DEVICE = "root.special.d";
  /** A value that never stands in an index node written with the default configuration of 256. */
  private static final int SMALL_DEGREE = 4;
  private static final int INDEX_DEVICES = 30;
  private static final int INDEX_SERIES = 70;
  private static final int HUGE_PAGE_ROWS = 66_000;
  private static final int RLBE_BLOCK_ROWS = 10_000;

  private Special() {}

  private static TSFileConfig config() {
    return TSFileDescriptor.getInstance().getConfig();
  }

  /** All four kinds of index nodes, of both kinds more than one level. */
  static void indexLevels(Path file, Expected expected) throws IOException {
    int degree = config().getMaxDegreeOfIndexNode();
    config().setMaxDegreeOfIndexNode(SMALL_DEGREE);
    try {
      TsFileIOWriter writer = new TsFileIOWriter(file.toFile());
      for (int d = 0; d < INDEX_DEVICES; d++) {
        String device = String.format(Locale.ROOT, "root.special.d%02d", d);
        Library.startGroup(writer, Device.path(device));
        for (int m = 0; m < (d == INDEX_DEVICES / 2 ? INDEX_SERIES : 1); m++) {
          Shapes.tinySeries(writer, device, String.format(Locale.ROOT, "m%02d", m), d * m, expected);
        }
        writer.endChunkGroup();
      }
      Library.startGroup(writer, Device.path("root.special.wide_aligned"));
      List<IMeasurementSchema> schemas = new ArrayList<>();
      for (int m = 0; m < INDEX_SERIES; m++) {
        schemas.add(new MeasurementSchema(
            String.format(Locale.ROOT, "a%02d", m), TSDataType.INT32, TSEncoding.PLAIN, CompressionType.UNCOMPRESSED));
      }
      alignedChunk(writer, schemas, 0, 2, (row, column) -> row + column);
      writer.endChunkGroup();
      writer.endFile();
    } finally {
      config().setMaxDegreeOfIndexNode(degree);
    }
  }

  /** Gives the value of a cell, null for none. */
  private interface CellValues {
    Object at(int row, int column);
  }

  private static void alignedChunk(TsFileIOWriter writer, List<IMeasurementSchema> schemas, int from, int end, CellValues values)
      throws IOException {
    AlignedChunkWriterImpl chunk = new AlignedChunkWriterImpl(schemas);
    for (int row = from; row < end; row++) {
      chunk.writeTime(Fixed.time(row));
      for (int column = 0; column < schemas.size(); column++) {
        Shapes.cell(chunk, column, schemas.get(column).getType(), Fixed.time(row), values.at(row, column));
      }
    }
    chunk.sealCurrentPage();
    chunk.writeToFileWriter(writer);
  }

  /** Floats whose differences are not exact: where the two meanings of RLBE give different values. */
  static void rlbeFloats(Path file, Expected expected) throws IOException {
    Object[] floats = new Object[500];
    Object[] doubles = new Object[floats.length];
    for (int row = 0; row < floats.length; row++) {
      double value = row % 50 < 10 ? 21.5 : 20 + Math.floorMod(row * 7919, 613) / 100.0;
      floats[row] = (float) value;
      doubles[row] = row % 97 == 3 ? -value * 1e9 : value;
    }
    TsFileIOWriter writer = new TsFileIOWriter(file.toFile());
    Extremes.device(writer, DEVICE + "_float", TSDataType.FLOAT, Arrays.asList(TSEncoding.RLBE), floats, expected);
    Extremes.device(writer, DEVICE + "_double", TSDataType.DOUBLE, Arrays.asList(TSEncoding.RLBE), doubles, expected);
    writer.endFile();
  }

  /** Three RLBE blocks in one page. */
  static void rlbeBlocks(Path file, Expected expected) throws IOException {
    Object[] values = new Object[2 * RLBE_BLOCK_ROWS + 100];
    for (int row = 0; row < values.length; row++) {
      values[row] = row % 1000 < 990 ? row / 1000 : row * 31;
    }
    largePages(file, TSDataType.INT32, TSEncoding.RLBE, values, expected);
  }

  /** More points than 16 bits count. */
  static void hugePage(Path file, Expected expected) throws IOException {
    Object[] values = new Object[HUGE_PAGE_ROWS];
    for (int row = 0; row < values.length; row++) {
      values[row] = row / 20_000 % 2 == 0;
    }
    largePages(file, TSDataType.BOOLEAN, TSEncoding.RLE, values, expected);
  }

  private static void largePages(Path file, TSDataType type, TSEncoding encoding, Object[] values, Expected expected)
      throws IOException {
    int points = config().getMaxNumberOfPointsInPage();
    int bytes = config().getPageSizeInByte();
    config().setMaxNumberOfPointsInPage(values.length + 1);
    config().setPageSizeInByte(values.length * 32);
    try {
      TsFileIOWriter writer = new TsFileIOWriter(file.toFile());
      Extremes.device(writer, DEVICE, type, Arrays.asList(encoding), values, expected);
      writer.endFile();
    } finally {
      config().setMaxNumberOfPointsInPage(points);
      config().setPageSizeInByte(bytes);
    }
  }

  /** Jumps at which the library's predictor overflows. */
  static void sprintzJumps(Path file, Expected expected) throws IOException {
    int[] jumps = {0, 1, -1, 1 << 20, -(1 << 20), 1 << 30, Integer.MAX_VALUE, Integer.MIN_VALUE, 77};
    Object[] ints = new Object[100];
    Object[] longs = new Object[ints.length];
    Object[] floats = new Object[ints.length];
    Object[] doubles = new Object[ints.length];
    for (int row = 0; row < ints.length; row++) {
      int value = row < 50 ? jumps[row % jumps.length] : row * 1103515245;
      ints[row] = value;
      longs[row] = row < 50 ? (long) value << (row % 33) : row * 6364136223846793005L;
      floats[row] = row < 50 ? value / 3f : Float.intBitsToFloat(value & 0x7f7fffff);
      doubles[row] = row < 50 ? value / 3d : Double.longBitsToDouble((Long) longs[row] & 0x7fefffffffffffffL);
    }
    TsFileIOWriter writer = new TsFileIOWriter(file.toFile());
    sprintz(writer, TSDataType.INT32, ints, expected);
    sprintz(writer, TSDataType.INT64, longs, expected);
    sprintz(writer, TSDataType.FLOAT, floats, expected);
    sprintz(writer, TSDataType.DOUBLE, doubles, expected);
    writer.endFile();
  }

  /** Blocks that the library's decoder cannot read are left out. */
  private static void sprintz(TsFileIOWriter writer, TSDataType type, Object[] values, Expected expected) throws IOException {
    String device = DEVICE + "_" + type.name().toLowerCase(Locale.ROOT);
    List<Object> kept = new ArrayList<>();
    for (int from = 0; from + 9 <= values.length; from += 9) {
      List<Object> more = new ArrayList<>(kept);
      more.addAll(Arrays.asList(values).subList(from, from + 9));
      if (Encodings.readable(new MeasurementSchema("s", type, TSEncoding.SPRINTZ, CompressionType.UNCOMPRESSED), more)) {
        kept = more;
      }
    }
    Extremes.device(writer, device, type, Arrays.asList(TSEncoding.SPRINTZ), kept.toArray(), expected);
  }

  /** The window of GORILLA_V1 comes from the previous value. The library's decoder takes a NaN for the end, so it comes last. */
  static void gorillaV1(Path file, Expected expected) throws IOException {
    TsFileIOWriter writer = new TsFileIOWriter(file.toFile());
    List<TSEncoding> old = Arrays.asList(TSEncoding.GORILLA_V1);
    Extremes.device(writer, DEVICE + "_float", TSDataType.FLOAT, old, new Object[] {
      1f, 2f, -0f, 0f, 0f, 3f, Float.NEGATIVE_INFINITY, Float.MIN_VALUE, Float.MAX_VALUE, -1f, 1f, Float.NaN
    }, expected);
    Extremes.device(writer, DEVICE + "_double", TSDataType.DOUBLE, old, new Object[] {
      1d, 2d, -0d, 0d, 0d, 3d, Double.NEGATIVE_INFINITY, Double.MIN_VALUE, Double.MAX_VALUE, -1d, 1d, Double.NaN
    }, expected);
    writer.endFile();
  }

  /** Floats that RLE and TS_2DIFF cannot scale, in every version; the older library changes them. */
  static void wideFloats(Path file, Expected expected) throws IOException {
    TsFileIOWriter writer = new TsFileIOWriter(file.toFile());
    List<TSEncoding> scaled = Arrays.asList(TSEncoding.RLE, TSEncoding.TS_2DIFF);
    Extremes.device(writer, DEVICE + "_float", TSDataType.FLOAT, scaled, new Object[] {
      1.256f, Float.NaN, 30_000_000f, 3.0e9f, -2.5f, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, Float.MIN_VALUE,
      Float.MAX_VALUE, -0f, 1f
    }, expected);
    Extremes.device(writer, DEVICE + "_double", TSDataType.DOUBLE, scaled, new Object[] {
      1.256, Double.NaN, 9.0e17, 1.0e300, -2.5, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY, Double.MIN_VALUE,
      Double.MAX_VALUE, -0d, 1d
    }, expected);
    writer.endFile();
  }

  /** Chunks of one series whose times overlap, as an unsequence file may have: at equal times the later one counts. */
  static void overlap(Path file, Expected expected) throws IOException {
    int[][] ranges = {{0, 60}, {30, 50}, {20, 90}, {10, 12}, {100, 130}, {95, 105}};
    TsFileIOWriter writer = new TsFileIOWriter(file.toFile());
    MeasurementSchema schema = new MeasurementSchema("s", TSDataType.INT32, TSEncoding.TS_2DIFF, CompressionType.LZ4);
    List<IMeasurementSchema> schemas = new ArrayList<>();
    schemas.add(new MeasurementSchema("x", TSDataType.INT32, TSEncoding.RLE, CompressionType.SNAPPY));
    schemas.add(new MeasurementSchema("y", TSDataType.TEXT, TSEncoding.PLAIN, CompressionType.LZ4));
    for (int part = 0; part < ranges.length; part++) {
      int mark = part * 1000;
      int step = 1 + part % 2;
      Library.startGroup(writer, Device.path(DEVICE));
      ChunkWriterImpl chunk = new ChunkWriterImpl(schema);
      for (int row = ranges[part][0]; row < ranges[part][1]; row += step) {
        Cells.write(chunk, TSDataType.INT32, Fixed.time(row), mark + row);
        if (row == 40) {
          chunk.sealCurrentPage();
        }
      }
      chunk.writeToFileWriter(writer);
      writer.endChunkGroup();
      Library.startGroup(writer, Device.path(DEVICE + "_aligned"));
      // A null of a later chunk does not hide the value of an earlier one.
      alignedChunk(writer, schemas, ranges[part][0], ranges[part][1], (row, column) ->
          (row + mark / 1000) % 3 == column ? null
              : column == 0 ? (Object) (mark + row) : new org.apache.tsfile.utils.Binary(new byte[] {(byte) ('a' + mark / 1000)}));
      writer.endChunkGroup();
    }
    writer.endFile();
  }

  /** Aligned columns that are missing altogether from some groups. */
  static void missingColumns(Path file, Expected expected) throws IOException {
    TsFileIOWriter writer = new TsFileIOWriter(file.toFile());
    String[][] groups = {{"b"}, {"a", "b", "c"}, {"c"}, {"a", "d"}};
    for (int group = 0; group < groups.length; group++) {
      List<IMeasurementSchema> schemas = new ArrayList<>();
      for (String name : groups[group]) {
        schemas.add(new MeasurementSchema(name, TSDataType.INT64, TSEncoding.TS_2DIFF, CompressionType.LZ4));
      }
      int first = group * 20;
      Library.startGroup(writer, Device.path(DEVICE));
      alignedChunk(writer, schemas, first, first + 10 + group, (row, column) -> row % 4 == column ? null : (Object) (long) (row * 10 + column));
      writer.endChunkGroup();
    }
    writer.endFile();
  }

  /** Rows without any value: the columns are headers only, and the times are all there is. */
  static void headerOnly(Path file, Expected expected) throws IOException {
    TsFileIOWriter writer = new TsFileIOWriter(file.toFile());
    List<IMeasurementSchema> schemas = new ArrayList<>();
    for (TSDataType type : Library.types()) {
      schemas.add(new MeasurementSchema(
          "s_" + type.name().toLowerCase(Locale.ROOT), type, TSEncoding.PLAIN, CompressionType.LZ4));
    }
    Library.startGroup(writer, Device.path(DEVICE));
    alignedChunk(writer, schemas, 0, 10, (row, column) -> null);
    writer.endChunkGroup();
    writer.endFile();
  }

  /** A file that was closed before anything was written. */
  static void noGroups(Path file, Expected expected) throws IOException {
    TsFileIOWriter writer = new TsFileIOWriter(file.toFile());
    writer.endFile();
  }
}
