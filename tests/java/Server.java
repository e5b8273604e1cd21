import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;

import org.apache.iotdb.isession.ITableSession;
import org.apache.iotdb.isession.SessionDataSet;
import org.apache.iotdb.rpc.IoTDBConnectionException;
import org.apache.iotdb.rpc.StatementExecutionException;
import org.apache.iotdb.session.Session;
import org.apache.iotdb.session.TableSessionBuilder;
import org.apache.tsfile.read.common.Field;
import org.apache.tsfile.read.common.RowRecord;

/** One IoTDB and our sessions to it, opened when first used and opened anew after the server was gone. */
final class Server {
  private static final int FETCH_ROWS = 10_000;

  private final String host;
  private final int port;
  private Session tree;
  private ITableSession table;

  Server(String host, int port) {
    this.host = host;
    this.port = port;
  }

  Session tree() throws IoTDBConnectionException {
    if (tree == null) {
      Session session = new Session.Builder().host(host).port(port).username("root").password("root")
          .fetchSize(FETCH_ROWS).enableRedirection(false).maxRetryCount(0).build();
      session.open(false);
      tree = session;
    }
    return tree;
  }

  ITableSession table() throws IoTDBConnectionException {
    if (table == null) {
      table = new TableSessionBuilder().nodeUrls(Collections.singletonList(host + ":" + port)).username("root").password("root")
          .fetchSize(FETCH_ROWS).enableRedirection(false).maxRetryCount(0).build();
    }
    return table;
  }

  /** Forgets the sessions; the next command connects again. */
  void disconnect() {
    try {
      if (tree != null) {
        tree.close();
      }
      if (table != null) {
        table.close();
      }
    } catch (IoTDBConnectionException e) {
      // The server is gone, which is why we are here.
    }
    tree = null;
    table = null;
  }

  void execute(boolean tableModel, String sql) throws IoTDBConnectionException, StatementExecutionException {
    if (tableModel) {
      table().executeNonQueryStatement(sql);
    } else {
      tree().executeNonQueryStatement(sql);
    }
  }

  SessionDataSet query(boolean tableModel, String sql) throws IoTDBConnectionException, StatementExecutionException {
    return tableModel ? table().executeQueryStatement(sql) : tree().executeQueryStatement(sql);
  }

  /** A header and the rows as CSV, in the order the server gives them. */
  void csv(boolean tableModel, String sql, Sink sink) throws Exception {
    SessionDataSet rows = query(tableModel, sql);
    sink.line(Cells.line(rows.getColumnNames()));
    boolean withTime = startsWithTime(rows) && !tableModel;
    while (rows.hasNext()) {
      sink.line(Cells.line(cells(rows.next(), withTime)));
    }
    rows.closeOperationHandle();
  }

  /** All columns of a table as CSV lines in the order of their text, so that two servers can be compared. */
  void tablePoints(String name, Sink sink) throws Exception {
    List<String> lines = new ArrayList<>();
    SessionDataSet rows = query(true, "SELECT * FROM " + name);
    sink.line(Cells.line(rows.getColumnNames()));
    while (rows.hasNext()) {
      lines.add(Cells.line(cells(rows.next(), false)));
    }
    rows.closeOperationHandle();
    Collections.sort(lines);
    for (String line : lines) {
      sink.line(line);
    }
  }

  /** Every point below a pattern as {@code series,time,type,value}: by device, time, measurement. */
  void treePoints(String pattern, Sink sink) throws Exception {
    for (String device : firstColumn("SHOW DEVICES " + pattern)) {
      devicePoints(device, sink);
    }
  }

  private void devicePoints(String device, Sink sink) throws Exception {
    SessionDataSet rows = query(false, "SELECT * FROM " + device);
    List<String> names = rows.getColumnNames();
    // Column 0 is the time, which is no field.
    List<Integer> order = new ArrayList<>();
    for (int i = 1; i < names.size(); i++) {
      order.add(i);
    }
    order.sort(Comparator.comparing(names::get));
    while (rows.hasNext()) {
      RowRecord row = rows.next();
      for (int column : order) {
        Field field = row.getFields().get(column - 1);
        String value = Cells.text(field);
        if (value != null) {
          sink.line(Cells.quote(names.get(column)) + ',' + row.getTimestamp() + ',' + field.getDataType() + ',' + Cells.quote(value));
        }
      }
    }
    rows.closeOperationHandle();
  }

  private List<String> firstColumn(String sql) throws Exception {
    List<String> values = new ArrayList<>();
    SessionDataSet rows = query(false, sql);
    while (rows.hasNext()) {
      values.add(Cells.text(rows.next().getFields().get(0)));
    }
    rows.closeOperationHandle();
    Collections.sort(values);
    return values;
  }

  /** The sum of all numbers a query returns: what {@code SELECT count(*)} of several series amounts to. */
  long sum(boolean tableModel, String sql) throws Exception {
    long sum = 0;
    SessionDataSet rows = query(tableModel, sql);
    while (rows.hasNext()) {
      for (Field field : rows.next().getFields()) {
        String value = Cells.text(field);
        sum += value == null ? 0 : Long.parseLong(value);
      }
    }
    rows.closeOperationHandle();
    return sum;
  }

  private static boolean startsWithTime(SessionDataSet rows) {
    List<String> names = rows.getColumnNames();
    return !names.isEmpty() && names.get(0).equalsIgnoreCase("Time");
  }

  private static List<String> cells(RowRecord row, boolean withTime) {
    List<String> cells = new ArrayList<>();
    if (withTime) {
      cells.add(Long.toString(row.getTimestamp()));
    }
    for (Field field : row.getFields()) {
      cells.add(Cells.text(field));
    }
    return cells;
  }
}
