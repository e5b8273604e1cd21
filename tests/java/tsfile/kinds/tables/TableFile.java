import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

import org.apache.tsfile.enums.ColumnCategory;
import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.metadata.TableSchema;
import org.apache.tsfile.file.metadata.enums.CompressionType;
import org.apache.tsfile.file.metadata.enums.TSEncoding;
import org.apache.tsfile.utils.Binary;
import org.apache.tsfile.write.TsFileWriter;
import org.apache.tsfile.write.record.Tablet;
import org.apache.tsfile.write.schema.IMeasurementSchema;
import org.apache.tsfile.write.schema.MeasurementSchema;

/** A file of the table model as the library's own table writer makes it: two tables, null tags, fields with nulls. */
final class TableFile {
  private static final String[][] TAGS = {{"north", "d1"}, {"north", null}, {null, "d2"}, {"south", "d3"}};
  private static final int ROWS = 60;
  private static final int COUNT_FROM = 10;

  private TableFile() {}

  static void write(Path file, Expected expected) throws Exception {
    List<IMeasurementSchema> columns = new ArrayList<>();
    columns.add(new MeasurementSchema("region", TSDataType.STRING));
    columns.add(new MeasurementSchema("device", TSDataType.STRING));
    columns.add(new MeasurementSchema("temp", TSDataType.FLOAT, TSEncoding.GORILLA, CompressionType.LZ4));
    columns.add(new MeasurementSchema("status", TSDataType.STRING, TSEncoding.DICTIONARY, CompressionType.ZSTD));
    columns.add(new MeasurementSchema("count", TSDataType.INT64, TSEncoding.TS_2DIFF, CompressionType.SNAPPY));
    List<ColumnCategory> categories = Arrays.asList(
        ColumnCategory.TAG, ColumnCategory.TAG, ColumnCategory.FIELD, ColumnCategory.FIELD, ColumnCategory.FIELD);
    List<String> names = new ArrayList<>();
    List<TSDataType> types = new ArrayList<>();
    for (IMeasurementSchema column : columns) {
      names.add(column.getMeasurementName());
      types.add(column.getType());
    }
    try (TsFileWriter writer = new TsFileWriter(file.toFile())) {
      for (String table : Arrays.asList("plant", "weather")) {
        writer.registerTableSchema(new TableSchema(table, columns, categories));
        Tablet tablet = new Tablet(table, names, types, categories, TAGS.length * ROWS);
        for (int row = 0; row < TAGS.length * ROWS; row++) {
          row(tablet, table, row, expected);
        }
        writer.writeTable(tablet);
      }
    }
  }

  private static void row(Tablet tablet, String table, int row, Expected expected) {
    String[] tags = TAGS[row / ROWS];
    int i = row % ROWS;
    long time = Fixed.time(i);
    String device = Device.table(Arrays.asList(table, tags[0], tags[1])).text();
    tablet.addTimestamp(row, time);
    for (int tag = 0; tag < tags.length; tag++) {
      if (tags[tag] != null) {
        tablet.addValue(row, tag, tags[tag]);
      }
    }
    if (i % 4 != 0) {
      float temp = (Float) Fixed.value(TSDataType.FLOAT, TSEncoding.GORILLA, i);
      tablet.addValue(row, 2, temp);
      expected.add(device, "temp", time, TSDataType.FLOAT, temp);
    }
    if (i % 5 != 0) {
      Binary status = (Binary) Fixed.value(TSDataType.STRING, TSEncoding.DICTIONARY, i);
      tablet.addValue(row, 3, new String(status.getValues(), StandardCharsets.UTF_8));
      expected.add(device, "status", time, TSDataType.STRING, status);
    }
    if (i >= COUNT_FROM) {
      long count = (Long) Fixed.value(TSDataType.INT64, TSEncoding.TS_2DIFF, i);
      tablet.addValue(row, 4, count);
      expected.add(device, "count", time, TSDataType.INT64, count);
    }
  }
}
