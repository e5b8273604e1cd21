import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.metadata.enums.CompressionType;
import org.apache.tsfile.file.metadata.enums.TSEncoding;
import org.apache.tsfile.write.chunk.AlignedChunkWriterImpl;
import org.apache.tsfile.write.chunk.ChunkWriterImpl;
import org.apache.tsfile.write.schema.IMeasurementSchema;
import org.apache.tsfile.write.schema.MeasurementSchema;
import org.apache.tsfile.write.writer.TsFileIOWriter;

/** The common shapes of the corpus: every type in every encoding, aligned and not, and files with many chunks or many series. */
final class Shapes {
  private static final String ALL_NULL = "z_allnull";
  private static final String FIRST_PAGE_NULL = "z_firstpagenull";
  private static final int WIDE_DEVICES = 600;
  private static final int WIDE_DEVICE = 299;
  private static final int WIDE_SERIES = 700;

  private Shapes() {}

  static Map<TSDataType, List<TSEncoding>> combinations() {
    Map<TSDataType, List<TSEncoding>> combinations = new LinkedHashMap<>();
    for (TSDataType type : Library.types()) {
      combinations.put(type, Library.encodings(type));
    }
    return combinations;
  }

  private static String device(String prefix, TSDataType type) {
    return "root.corpus." + prefix + "_" + type.name().toLowerCase(Locale.ROOT);
  }

  static void plain(Path file, CompressionType codec, int[] pages, Map<TSDataType, List<TSEncoding>> columns, Expected expected)
      throws IOException {
    TsFileIOWriter writer = new TsFileIOWriter(file.toFile());
    for (Map.Entry<TSDataType, List<TSEncoding>> entry : columns.entrySet()) {
      TSDataType type = entry.getKey();
      String device = device("t", type);
      Library.startGroup(writer, Device.path(device));
      for (TSEncoding encoding : entry.getValue()) {
        String name = Fixed.measurement(encoding);
        ChunkWriterImpl chunk = new ChunkWriterImpl(new MeasurementSchema(name, type, encoding, codec));
        int row = 0;
        for (int rows : pages) {
          for (int end = row + rows; row < end; row++) {
            Object value = Fixed.value(type, encoding, row);
            Cells.write(chunk, type, Fixed.time(row), value);
            expected.add(device, name, Fixed.time(row), type, value);
          }
          chunk.sealCurrentPage();
        }
        chunk.writeToFileWriter(writer);
      }
      writer.endChunkGroup();
    }
    writer.setMinPlanIndex(7);
    writer.setMaxPlanIndex(11);
    writer.writePlanIndices();
    writer.endFile();
  }

  /** With nulls everywhere, an empty page, a column that starts with an empty page, and one without any value. */
  static void aligned(Path file, CompressionType codec, int[] pages, Map<TSDataType, List<TSEncoding>> columns, Expected expected)
      throws IOException {
    TsFileIOWriter writer = new TsFileIOWriter(file.toFile());
    for (Map.Entry<TSDataType, List<TSEncoding>> entry : columns.entrySet()) {
      TSDataType type = entry.getKey();
      String device = device("aligned", type);
      Library.startGroup(writer, Device.path(device));
      List<IMeasurementSchema> schemas = new ArrayList<>();
      List<MeasurementSchema> named = new ArrayList<>();
      for (TSEncoding encoding : entry.getValue()) {
        named.add(new MeasurementSchema(Fixed.measurement(encoding), type, encoding, codec));
      }
      named.add(new MeasurementSchema(ALL_NULL, type, TSEncoding.PLAIN, codec));
      named.add(new MeasurementSchema(FIRST_PAGE_NULL, type, TSEncoding.PLAIN, codec));
      schemas.addAll(named);
      AlignedChunkWriterImpl chunk = new AlignedChunkWriterImpl(schemas);
      int row = 0;
      for (int page = 0; page < pages.length; page++) {
        for (int end = row + pages[page]; row < end; row++) {
          chunk.writeTime(Fixed.time(row));
          for (int column = 0; column < named.size(); column++) {
            String name = named.get(column).getMeasurementName();
            boolean isNull = (row * 31 + column * 17) % 7 == 0 || name.equals(ALL_NULL)
                || name.equals(FIRST_PAGE_NULL) && page == 0 && pages.length > 1 || column == 1 && page == 1;
            Object value = isNull ? null : Fixed.value(type, named.get(column).getEncodingType(), row);
            cell(chunk, column, type, Fixed.time(row), value);
            if (!isNull) {
              expected.add(device, name, Fixed.time(row), type, value);
            }
          }
        }
        chunk.sealCurrentPage();
      }
      chunk.writeToFileWriter(writer);
      writer.endChunkGroup();
    }
    writer.endFile();
  }

  static void cell(AlignedChunkWriterImpl chunk, int column, TSDataType type, long time, Object value) {
    Cells.write(chunk.getValueChunkWriterByIndex(column), type, time, value);
  }

  /** Several groups of a device, several chunks of a series, plan indices between them, and two time chunks in one group. */
  static void multichunk(Path file, Expected expected) throws IOException {
    TsFileIOWriter writer = new TsFileIOWriter(file.toFile());
    MeasurementSchema first = new MeasurementSchema("s1", TSDataType.INT64, TSEncoding.TS_2DIFF, CompressionType.LZ4);
    MeasurementSchema second = new MeasurementSchema("s2", TSDataType.DOUBLE, TSEncoding.GORILLA, CompressionType.SNAPPY);
    for (int group = 0; group < 4; group++) {
      for (String device : Arrays.asList("root.corpus.a", "root.corpus.b")) {
        Library.startGroup(writer, Device.path(device));
        chunk(writer, device, first, group * 50, group == 2, expected);
        chunk(writer, device, second, group * 50, false, expected);
        writer.endChunkGroup();
      }
      writer.setMinPlanIndex(group * 100L);
      writer.setMaxPlanIndex(group * 100L + 99);
      writer.writePlanIndices();
    }
    Library.startGroup(writer, Device.path("root.corpus.c"));
    for (int chunk = 0; chunk < 2; chunk++) {
      twoColumns(writer, "root.corpus.c", chunk * 40, chunk * 40 + 40, expected);
    }
    writer.endChunkGroup();
    writer.endFile();
  }

  private static void chunk(
      TsFileIOWriter writer, String device, MeasurementSchema schema, int from, boolean twoPages, Expected expected)
      throws IOException {
    ChunkWriterImpl chunk = new ChunkWriterImpl(schema);
    for (int row = from; row < from + 50; row++) {
      Object value = Fixed.value(schema.getType(), schema.getEncodingType(), row);
      Cells.write(chunk, schema.getType(), Fixed.time(row), value);
      expected.add(device, schema.getMeasurementName(), Fixed.time(row), schema.getType(), value);
      if (twoPages && row == from + 20) {
        chunk.sealCurrentPage();
      }
    }
    chunk.writeToFileWriter(writer);
  }

  private static void twoColumns(TsFileIOWriter writer, String device, int from, int end, Expected expected) throws IOException {
    List<IMeasurementSchema> schemas = new ArrayList<>();
    schemas.add(new MeasurementSchema("x", TSDataType.FLOAT, TSEncoding.GORILLA, CompressionType.LZ4));
    schemas.add(new MeasurementSchema("y", TSDataType.INT32, TSEncoding.RLE, CompressionType.LZ4));
    AlignedChunkWriterImpl chunk = new AlignedChunkWriterImpl(schemas);
    for (int row = from; row < end; row++) {
      chunk.writeTime(Fixed.time(row));
      Object x = Fixed.value(TSDataType.FLOAT, TSEncoding.GORILLA, row);
      cell(chunk, 0, TSDataType.FLOAT, Fixed.time(row), x);
      expected.add(device, "x", Fixed.time(row), TSDataType.FLOAT, x);
      Object y = row % 3 == 0 ? null : Fixed.value(TSDataType.INT32, TSEncoding.RLE, row);
      cell(chunk, 1, TSDataType.INT32, Fixed.time(row), y);
      if (y != null) {
        expected.add(device, "y", Fixed.time(row), TSDataType.INT32, y);
      }
    }
    chunk.writeToFileWriter(writer);
  }

  /** More devices, and more series in one of them, than one index node takes. */
  static void wideIndex(Path file, Expected expected) throws IOException {
    TsFileIOWriter writer = new TsFileIOWriter(file.toFile());
    for (int d = 0; d < WIDE_DEVICES; d++) {
      String device = String.format(Locale.ROOT, "root.corpus.area%d.d%04d", d % 3, d);
      Library.startGroup(writer, Device.path(device));
      int series = d == WIDE_DEVICE ? WIDE_SERIES : 1;
      for (int m = 0; m < series; m++) {
        tinySeries(writer, device, String.format(Locale.ROOT, "m%04d", m), d + m, expected);
      }
      writer.endChunkGroup();
    }
    writer.endFile();
  }

  static void tinySeries(TsFileIOWriter writer, String device, String name, int value, Expected expected) throws IOException {
    TSDataType type = TSDataType.INT32;
    ChunkWriterImpl chunk = new ChunkWriterImpl(new MeasurementSchema(name, type, TSEncoding.PLAIN, CompressionType.UNCOMPRESSED));
    for (int row = 0; row < 2; row++) {
      Cells.write(chunk, type, Fixed.time(row), value + row);
      expected.add(device, name, Fixed.time(row), type, value + row);
    }
    chunk.writeToFileWriter(writer);
  }
}
