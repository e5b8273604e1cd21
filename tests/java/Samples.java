import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

import org.apache.iotdb.commons.path.PartialPath;
import org.apache.iotdb.commons.schema.table.column.TsTableColumnCategory;
import org.apache.iotdb.db.queryengine.plan.planner.plan.node.PlanNodeId;
import org.apache.iotdb.db.queryengine.plan.planner.plan.node.write.InsertRowNode;
import org.apache.iotdb.db.queryengine.plan.planner.plan.node.write.InsertRowsNode;
import org.apache.iotdb.db.queryengine.plan.planner.plan.node.write.InsertTabletNode;
import org.apache.iotdb.db.queryengine.plan.planner.plan.node.write.RelationalInsertRowNode;
import org.apache.iotdb.db.queryengine.plan.planner.plan.node.write.RelationalInsertRowsNode;
import org.apache.iotdb.db.queryengine.plan.planner.plan.node.write.RelationalInsertTabletNode;
import org.apache.iotdb.db.storageengine.dataregion.wal.buffer.IWALByteBufferView;
import org.apache.iotdb.db.storageengine.dataregion.wal.buffer.WALInfoEntry;
import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.metadata.enums.CompressionType;
import org.apache.tsfile.file.metadata.enums.TSEncoding;
import org.apache.tsfile.utils.Binary;
import org.apache.tsfile.utils.BitMap;
import org.apache.tsfile.write.record.Tablet;
import org.apache.tsfile.write.schema.IMeasurementSchema;
import org.apache.tsfile.write.schema.MeasurementSchema;

/** Builds the inserts that the golden payloads carry, as Tablets, plan nodes and WAL entries. */
final class Samples {
  static final long FIRST_TIME = 1_700_000_000_000L;
  private static final long MEM_TABLE_ID = 7;
  private static final long SEARCH_INDEX = 42;

  private Samples() {}

  /** Whether a cell is null: a pattern that leaves full, partly empty and (column 1) wholly empty columns. */
  static boolean isNull(int row, int column) {
    return column == 1 || (column % 3 == 2 && row % 4 == 1);
  }

  static String[] names(TSDataType[] types) {
    String[] names = new String[types.length];
    for (int i = 0; i < types.length; i++) {
      names[i] = "s_" + types[i].name().toLowerCase();
    }
    return names;
  }

  static Tablet tablet(String device, TSDataType[] types, int rows, boolean nulls) {
    List<IMeasurementSchema> schemas = new ArrayList<>();
    String[] names = names(types);
    for (int i = 0; i < types.length; i++) {
      schemas.add(new MeasurementSchema(names[i], types[i]));
    }
    return fill(new Tablet(device, schemas, rows), types, rows, nulls);
  }

  static Tablet tableTablet(String table, int rows, boolean nulls) {
    TSDataType[] types = {TSDataType.STRING, TSDataType.STRING, TSDataType.DOUBLE, TSDataType.INT32};
    Tablet.ColumnCategory[] categories = {
      Tablet.ColumnCategory.TAG, Tablet.ColumnCategory.ATTRIBUTE, Tablet.ColumnCategory.FIELD, Tablet.ColumnCategory.FIELD
    };
    Tablet tablet =
        new Tablet(table, List.of("plant", "maker", "temperature", "state"), List.of(types), List.of(categories), rows);
    return fill(tablet, types, rows, nulls);
  }

  private static Tablet fill(Tablet tablet, TSDataType[] types, int rows, boolean nulls) {
    if (nulls) {
      tablet.initBitMaps();
    }
    for (int row = 0; row < rows; row++) {
      tablet.addTimestamp(row, FIRST_TIME + row);
      for (int column = 0; column < types.length; column++) {
        String name = tablet.getSchemas().get(column).getMeasurementName();
        tablet.addValue(name, row, nulls && isNull(row, column) ? null : Values.of(types[column], row));
      }
    }
    return tablet;
  }

  private static MeasurementSchema[] schemas(String[] names, TSDataType[] types) {
    MeasurementSchema[] schemas = new MeasurementSchema[types.length];
    for (int i = 0; i < types.length; i++) {
      schemas[i] = new MeasurementSchema(names[i], types[i], TSEncoding.PLAIN, CompressionType.LZ4);
    }
    return schemas;
  }

  private static PlanNodeId id() {
    return new PlanNodeId("");
  }

  static InsertRowNode row(String device, boolean aligned, TSDataType[] types, boolean schemas, boolean nulls, long n)
      throws Exception {
    Object[] values = new Object[types.length];
    for (int i = 0; i < types.length; i++) {
      values[i] = nulls && i % 3 == 1 ? null : Values.inNode(types[i], n);
    }
    InsertRowNode node =
        new InsertRowNode(id(), new PartialPath(device), aligned, names(types), types, FIRST_TIME + n, values, false);
    if (schemas) {
      node.setMeasurementSchemas(schemas(names(types), types));
    }
    return node;
  }

  /** A row as SQL leaves it when the receiver is to guess the types. */
  static InsertRowNode untypedRow(String device) throws Exception {
    return new InsertRowNode(
        id(), new PartialPath(device), false, new String[] {"a", "b", "c"}, new TSDataType[3], FIRST_TIME,
        new Object[] {"12.5", "true", "'words'"}, true);
  }

  static InsertRowsNode rows(int count, boolean aligned) throws Exception {
    InsertRowsNode node = new InsertRowsNode(id());
    for (int i = 0; i < count; i++) {
      node.addOneInsertRowNode(row("root.g.d" + i % 2, aligned, Values.ALL, true, i % 2 == 1, i), i * 2);
    }
    return node;
  }

  static InsertTabletNode tabletNode(
      String device, boolean aligned, TSDataType[] types, int rows, boolean schemas, boolean nulls) throws Exception {
    InsertTabletNode node =
        new InsertTabletNode(
            id(), new PartialPath(device), aligned, names(types), types, times(rows), bitMaps(types.length, rows, nulls),
            columns(types, rows, nulls), rows);
    if (schemas) {
      node.setMeasurementSchemas(schemas(names(types), types));
    }
    return node;
  }

  private static final TSDataType[] TABLE_TYPES = {
    TSDataType.STRING, TSDataType.STRING, TSDataType.DOUBLE, TSDataType.INT32, TSDataType.DATE
  };
  private static final String[] TABLE_NAMES = {"plant", "maker", "temperature", "state", "day"};
  private static final TsTableColumnCategory[] TABLE_CATEGORIES = {
    TsTableColumnCategory.TAG, TsTableColumnCategory.ATTRIBUTE, TsTableColumnCategory.FIELD, TsTableColumnCategory.FIELD,
    TsTableColumnCategory.FIELD
  };

  static RelationalInsertTabletNode tableTabletNode(String table, int rows, boolean nulls) throws Exception {
    return new RelationalInsertTabletNode(
        id(), new PartialPath(table, false), true, TABLE_NAMES, TABLE_TYPES, schemas(TABLE_NAMES, TABLE_TYPES), times(rows),
        bitMaps(TABLE_TYPES.length, rows, nulls), columns(TABLE_TYPES, rows, nulls), rows, TABLE_CATEGORIES);
  }

  static RelationalInsertRowNode tableRow(String table, boolean nulls, long n) throws Exception {
    Object[] values = new Object[TABLE_TYPES.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = nulls && i % 3 == 1 ? null : Values.inNode(TABLE_TYPES[i], n);
    }
    return new RelationalInsertRowNode(
        id(), new PartialPath(table, false), true, TABLE_NAMES, TABLE_TYPES, schemas(TABLE_NAMES, TABLE_TYPES), FIRST_TIME + n,
        values, false, TABLE_CATEGORIES);
  }

  static RelationalInsertRowsNode tableRows(String table, int count) throws Exception {
    List<Integer> indexes = new ArrayList<>();
    List<InsertRowNode> rows = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      indexes.add(i);
      rows.add(tableRow(table, i % 2 == 1, i));
    }
    return new RelationalInsertRowsNode(id(), indexes, rows);
  }

  private static long[] times(int rows) {
    long[] times = new long[rows];
    for (int i = 0; i < rows; i++) {
      times[i] = FIRST_TIME + i;
    }
    return times;
  }

  private static BitMap[] bitMaps(int columns, int rows, boolean nulls) {
    if (!nulls) {
      return null;
    }
    BitMap[] maps = new BitMap[columns];
    for (int column = 0; column < columns; column++) {
      for (int row = 0; row < rows; row++) {
        if (isNull(row, column)) {
          if (maps[column] == null) {
            maps[column] = new BitMap(rows);
          }
          maps[column].mark(row);
        }
      }
    }
    return maps;
  }

  private static Object[] columns(TSDataType[] types, int rows, boolean nulls) {
    Object[] columns = new Object[types.length];
    for (int column = 0; column < types.length; column++) {
      columns[column] = column(types[column], column, rows, nulls);
    }
    return columns;
  }

  private static Object column(TSDataType type, int column, int rows, boolean nulls) {
    switch (type) {
      case BOOLEAN: {
        boolean[] values = new boolean[rows];
        for (int i = 0; i < rows; i++) {
          values[i] = (Boolean) Values.inNode(type, i);
        }
        return values;
      }
      case INT32:
      case DATE: {
        int[] values = new int[rows];
        for (int i = 0; i < rows; i++) {
          values[i] = (Integer) Values.inNode(type, i);
        }
        return values;
      }
      case INT64:
      case TIMESTAMP: {
        long[] values = new long[rows];
        for (int i = 0; i < rows; i++) {
          values[i] = (Long) Values.inNode(type, i);
        }
        return values;
      }
      case FLOAT: {
        float[] values = new float[rows];
        for (int i = 0; i < rows; i++) {
          values[i] = (Float) Values.inNode(type, i);
        }
        return values;
      }
      case DOUBLE: {
        double[] values = new double[rows];
        for (int i = 0; i < rows; i++) {
          values[i] = (Double) Values.inNode(type, i);
        }
        return values;
      }
      default: {
        Binary[] values = new Binary[rows];
        for (int i = 0; i < rows; i++) {
          values[i] = nulls && isNull(i, column) ? null : (Binary) Values.inNode(type, i);
        }
        return values;
      }
    }
  }

  static byte[] walEntry(InsertRowNode node) {
    node.setSearchIndex(SEARCH_INDEX);
    return bytesOf(new WALInfoEntry(MEM_TABLE_ID, node));
  }

  static byte[] walEntry(InsertRowsNode node) {
    node.setSearchIndex(SEARCH_INDEX);
    return bytesOf(new WALInfoEntry(MEM_TABLE_ID, node));
  }

  static byte[] walEntry(InsertTabletNode node) {
    node.setSearchIndex(SEARCH_INDEX);
    int[] whole = {0, node.getRowCount()};
    return bytesOf(new WALInfoEntry(MEM_TABLE_ID, node, Collections.singletonList(whole)));
  }

  private static byte[] bytesOf(WALInfoEntry entry) {
    Buffer buffer = new Buffer();
    entry.serialize(buffer);
    return buffer.bytes.toByteArray();
  }

  /** The server writes its log entries into such a view; ours grows in memory. */
  private static final class Buffer extends IWALByteBufferView {
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    private final DataOutputStream out = new DataOutputStream(bytes);

    private interface Write {
      void run() throws IOException;
    }

    private static void unchecked(Write write) {
      try {
        write.run();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    @Override
    public void write(int b) {
      unchecked(() -> out.write(b));
    }

    @Override
    public void write(byte[] b) {
      unchecked(() -> out.write(b));
    }

    @Override
    public void write(byte[] b, int offset, int length) {
      unchecked(() -> out.write(b, offset, length));
    }

    @Override
    public void put(byte b) {
      unchecked(() -> out.writeByte(b));
    }

    @Override
    public void put(byte[] b) {
      unchecked(() -> out.write(b));
    }

    @Override
    public void putChar(char c) {
      unchecked(() -> out.writeChar(c));
    }

    @Override
    public void putShort(short s) {
      unchecked(() -> out.writeShort(s));
    }

    @Override
    public void putInt(int i) {
      unchecked(() -> out.writeInt(i));
    }

    @Override
    public void putLong(long l) {
      unchecked(() -> out.writeLong(l));
    }

    @Override
    public void putFloat(float f) {
      unchecked(() -> out.writeFloat(f));
    }

    @Override
    public void putDouble(double d) {
      unchecked(() -> out.writeDouble(d));
    }

    @Override
    public int position() {
      return bytes.size();
    }
  }
}
