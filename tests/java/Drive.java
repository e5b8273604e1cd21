import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import org.apache.iotdb.rpc.IoTDBConnectionException;
import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.write.record.Tablet;
import org.apache.tsfile.write.schema.IMeasurementSchema;
import org.apache.tsfile.write.schema.MeasurementSchema;

/**
 * A client of IoTDB for tests: one command a line on standard input, one answer line each on standard output,
 * {@code ok key=value...} or {@code error message}; rows asked for with {@code -} come before it, each behind "| ".
 * Starting a JVM costs a second, so a test keeps one and may steer several servers with it ({@code at}).
 *
 * <pre>
 * Drive HOST PORT [-e COMMAND]...
 *
 * at HOST PORT                         talk to another server from here on; the sessions stay open
 * ping TIMEOUT_MS                      until the server accepts statements
 * sql STATEMENT                        tsql: the same in the table model
 * query FILE|-|digest SQL              tquery; CSV with a header, values in full precision
 * points FILE|-|digest PATTERN         every point below root...** as series,time,type,value in a fixed order
 * tpoints FILE|-|digest DB.TABLE       every row of a table, sorted
 * sum SQL                              tsum; the sum of all numbers of the result
 * wait SUM TIMEOUT_MS SQL              twait; until the sum is reached; an error after the timeout
 * tablet DEVICE[,DEVICE...] ALIGNED START ROWS NULLS [SEED [TYPES]]
 *                                      to all devices in one request; ALIGNED true|false; every NULLS-th cell is null (0: none); TYPES all (default),
 *                                      basic, or names joined by commas; another SEED gives other values
 * bulk PREFIX ALIGNED DEVICES MEASUREMENTS START ROWS BATCH TYPE
 *                                      much data fast; TYPE as DOUBLE or BLOB:4096 (bytes of a value)
 * load PATH...                         LOAD of files or directories, which stay where they are (.resource files appear there)
 * tload DATABASE PATH...               the same for table-model files
 * quit
 * </pre>
 */
public final class Drive {
  private static final long POLL_MS = 50;
  /** Values follow the time in a cycle short enough for a FLOAT to tell neighbours apart. */
  private static final long VALUE_CYCLE = 100_003;
  private static final long SEED_STEP = 7919;

  private final PrintStream out;
  private final Map<String, Server> servers = new HashMap<>();
  private Server server;

  private Drive(PrintStream out) {
    this.out = out;
  }

  public static void main(String[] args) throws Exception {
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    // Whatever a library prints must not look like an answer.
    System.setOut(System.err);
    if (args.length < 2) {
      System.err.println("usage: Drive HOST PORT [-e COMMAND]...");
      System.exit(2);
    }
    Drive drive = new Drive(out);
    drive.at(args[0], args[1]);
    boolean allOk = true;
    if (args.length > 2) {
      for (int i = 3; i < args.length && args[i - 1].equals("-e"); i += 2) {
        allOk &= drive.answer(args[i]);
      }
    } else {
      BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
      for (String line = in.readLine(); line != null && !line.trim().equals("quit"); line = in.readLine()) {
        String command = line.trim();
        if (!command.isEmpty() && !command.startsWith("#")) {
          allOk &= drive.answer(command);
        }
      }
    }
    drive.servers.values().forEach(Server::disconnect);
    System.exit(allOk ? 0 : 1);
  }

  private boolean answer(String command) {
    long started = System.nanoTime();
    boolean ok = false;
    String line;
    try {
      String result = run(command);
      line = "ok ms=" + (System.nanoTime() - started) / 1_000_000 + (result.isEmpty() ? "" : " " + result);
      ok = true;
    } catch (Exception e) {
      if (e instanceof IoTDBConnectionException) {
        server.disconnect();
      }
      line = "error " + String.valueOf(e.getMessage()).replaceAll("\\s+", " ");
    }
    out.print(line + "\n");
    out.flush();
    return ok;
  }

  private String run(String command) throws Exception {
    String[] head = split(command, 2);
    String name = head[0];
    String rest = head.length == 2 ? head[1] : "";
    boolean table = name.startsWith("t") && !name.equals("tablet");
    switch (name) {
      case "at": {
        String[] words = need(rest, 2, "HOST PORT");
        at(words[0], words[1]);
        return "";
      }
      case "ping":
        return ping(Long.parseLong(rest));
      case "sql":
      case "tsql":
        server.execute(table, rest);
        return "";
      case "query":
      case "tquery":
      case "points":
      case "tpoints":
        return rows(name, table, need(rest, 2, "FILE|-|digest SQL|PATTERN|DB.TABLE"));
      case "sum":
      case "tsum":
        return "sum=" + server.sum(table, rest);
      case "wait":
      case "twait": {
        String[] words = need(rest, 3, "SUM TIMEOUT_MS SQL");
        return await(table, Long.parseLong(words[0]), Long.parseLong(words[1]), words[2]);
      }
      case "tablet":
        return tablet(rest.split("\\s+"));
      case "bulk":
        return bulk(need(rest, 8, "PREFIX ALIGNED DEVICES MEASUREMENTS START ROWS BATCH TYPE"));
      case "load":
        return load(false, "", rest.split("\\s+"));
      case "tload": {
        String[] words = need(rest, 2, "DATABASE PATH...");
        return load(true, ",'database-name'='" + words[0] + "'", words[1].split("\\s+"));
      }
      default:
        throw new IllegalArgumentException("unknown command " + name);
    }
  }

  private static String[] split(String text, int words) {
    return text.trim().split("\\s+", words);
  }

  private static String[] need(String text, int words, String what) {
    String[] split = split(text, words);
    if (split.length != words) {
      throw new IllegalArgumentException("expected " + what + ", but found: " + text);
    }
    return split;
  }

  private void at(String host, String port) {
    server = servers.computeIfAbsent(host + ":" + port, key -> new Server(host, Integer.parseInt(port)));
  }

  private String ping(long timeoutMs) throws Exception {
    long deadline = System.nanoTime() + timeoutMs * 1_000_000;
    while (true) {
      try {
        server.sum(false, "COUNT DATABASES");
        return "";
      } catch (Exception e) {
        server.disconnect();
        if (System.nanoTime() >= deadline) {
          throw e;
        }
        Thread.sleep(POLL_MS);
      }
    }
  }

  private String rows(String name, boolean table, String[] words) throws Exception {
    try (Sink sink = new Sink(words[0], out)) {
      if (name.equals("points")) {
        server.treePoints(words[1], sink);
      } else if (name.equals("tpoints")) {
        server.tablePoints(words[1], sink);
      } else {
        server.csv(table, words[1], sink);
      }
      return sink.summary();
    }
  }

  private String await(boolean table, long want, long timeoutMs, String sql) throws Exception {
    long started = System.nanoTime();
    String last = "";
    do {
      try {
        long sum = server.sum(table, sql);
        last = "sum=" + sum;
        if (sum >= want) {
          return last;
        }
      } catch (IoTDBConnectionException e) {
        server.disconnect();
        last = e.getMessage();
      } catch (Exception e) {
        // A series or table that has not arrived yet is an error to the server, not to us.
        last = e.getMessage();
      }
      Thread.sleep(POLL_MS);
    } while ((System.nanoTime() - started) / 1_000_000 < timeoutMs);
    throw new IllegalStateException("wanted a sum of " + want + ", but after " + timeoutMs + " ms: " + last);
  }

  private String tablet(String[] words) throws Exception {
    if (words.length < 5 || words.length > 7) {
      throw new IllegalArgumentException("expected DEVICE[,DEVICE...] ALIGNED START ROWS NULLS [SEED [TYPES]]");
    }
    long start = Long.parseLong(words[2]);
    int rows = Integer.parseInt(words[3]);
    int nulls = Integer.parseInt(words[4]);
    long seed = words.length > 5 ? Long.parseLong(words[5]) : 0;
    TSDataType[] types = types(words.length > 6 ? words[6] : "all");
    boolean aligned = Boolean.parseBoolean(words[1]);
    Map<String, Tablet> tablets = new LinkedHashMap<>();
    int points = 0;
    for (String device : words[0].split(",")) {
      Tablet tablet = new Tablet(device, schemas(types), rows);
      points += fill(tablet, types, start, rows, nulls, seed);
      tablets.put(device, tablet);
    }
    if (tablets.size() == 1) {
      Tablet only = tablets.values().iterator().next();
      if (aligned) {
        server.tree().insertAlignedTablet(only);
      } else {
        server.tree().insertTablet(only);
      }
    } else if (aligned) {
      server.tree().insertAlignedTablets(tablets);
    } else {
      server.tree().insertTablets(tablets);
    }
    return "points=" + points;
  }

  private static List<IMeasurementSchema> schemas(TSDataType[] types) {
    List<IMeasurementSchema> schemas = new ArrayList<>();
    for (TSDataType type : types) {
      schemas.add(new MeasurementSchema("s_" + type.name().toLowerCase(), type));
    }
    return schemas;
  }

  /** Returns how many cells got a value. */
  private static int fill(Tablet tablet, TSDataType[] types, long start, int rows, int nulls, long seed) {
    tablet.initBitMaps();
    int points = 0;
    for (int row = 0; row < rows; row++) {
      tablet.addTimestamp(row, start + row);
      for (int column = 0; column < types.length; column++) {
        boolean empty = nulls > 0 && (row + column) % nulls == 0;
        long number = Math.floorMod(start + row, VALUE_CYCLE) + seed * SEED_STEP;
        tablet.addValue(tablet.getSchemas().get(column).getMeasurementName(), row, empty ? null : Values.of(types[column], number));
        points += empty ? 0 : 1;
      }
    }
    return points;
  }

  private static TSDataType[] types(String names) {
    if (names.equals("all")) {
      return Values.ALL;
    }
    if (names.equals("basic")) {
      return Values.BASIC;
    }
    List<TSDataType> types = new ArrayList<>();
    for (String name : names.split(",")) {
      types.add(TSDataType.valueOf(name));
    }
    return types.toArray(new TSDataType[0]);
  }

  private String bulk(String[] words) throws Exception {
    long started = System.nanoTime();
    long points = new Bulk(words[7]).write(
        server.tree(), words[0], Boolean.parseBoolean(words[1]), Integer.parseInt(words[2]), Integer.parseInt(words[3]),
        Long.parseLong(words[4]), Long.parseLong(words[5]), Integer.parseInt(words[6]));
    long ms = Math.max(1, (System.nanoTime() - started) / 1_000_000);
    return "points=" + points + " points_per_s=" + points * 1000 / ms;
  }

  private String load(boolean table, String options, String[] paths) throws Exception {
    for (String path : paths) {
      server.execute(table, "LOAD '" + path.replace("'", "''") + "' WITH ('on-success'='none'" + options + ")");
    }
    return "loads=" + paths.length;
  }
}
