import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

import org.apache.tsfile.enums.ColumnCategory;
import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.metadata.IDeviceID;
import org.apache.tsfile.file.metadata.StringArrayDeviceID;
import org.apache.tsfile.file.metadata.TableSchema;
import org.apache.tsfile.write.schema.IMeasurementSchema;
import org.apache.tsfile.write.schema.MeasurementSchema;
import org.apache.tsfile.write.writer.TsFileIOWriter;

/** Decides how version 4 names a device: by segments, of which the first is the table. */
final class Segments {
  /** Nodes of a path that make up the first segment, as in the library. */
  private static final int TABLE_NODES = 3;

  private Segments() {}

  /** The segments are built here because the library's parser takes only nodes without dots and odd characters. */
  static IDeviceID id(Device device) {
    if (device.table) {
      return new StringArrayDeviceID(device.nodes);
    }
    String[] nodes = device.nodes;
    int first = nodes.length == 1 ? 1 : Math.min(TABLE_NODES, nodes.length - 1);
    List<String> segments = new ArrayList<>();
    segments.add(String.join(".", Arrays.copyOf(nodes, first)));
    segments.addAll(Arrays.asList(nodes).subList(first, nodes.length));
    return new StringArrayDeviceID(segments.toArray(new String[0]));
  }

  static String text(IDeviceID device) {
    String[] segments = new String[device.segmentNum()];
    for (int i = 0; i < segments.length; i++) {
      Object segment = device.segment(i);
      segments[i] = segment == null ? null : segment.toString();
    }
    return Text.device(segments);
  }

  static void describeTable(TsFileIOWriter writer, Table table) {
    List<IMeasurementSchema> columns = new ArrayList<>();
    List<ColumnCategory> categories = new ArrayList<>();
    for (String tag : table.tags) {
      columns.add(new MeasurementSchema(tag, TSDataType.STRING));
      categories.add(ColumnCategory.TAG);
    }
    for (Map.Entry<String, TSDataType> field : table.fields.entrySet()) {
      columns.add(new MeasurementSchema(field.getKey(), field.getValue()));
      categories.add(ColumnCategory.FIELD);
    }
    writer.getSchema().registerTableSchema(new TableSchema(table.name, columns, categories));
  }
}
