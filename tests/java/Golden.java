import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

import org.apache.iotdb.commons.path.MeasurementPath;
import org.apache.iotdb.commons.path.PartialPath;
import org.apache.iotdb.commons.pipe.connector.compressor.PipeCompressor;
import org.apache.iotdb.commons.pipe.connector.compressor.PipeCompressorConfig;
import org.apache.iotdb.commons.pipe.connector.compressor.PipeCompressorFactory;
import org.apache.iotdb.commons.pipe.connector.payload.thrift.request.PipeTransferCompressedReq;
import org.apache.iotdb.commons.pipe.connector.payload.thrift.request.PipeTransferSliceReq;
import org.apache.iotdb.confignode.consensus.request.ConfigPhysicalPlanType;
import org.apache.iotdb.confignode.consensus.request.write.database.DatabaseSchemaPlan;
import org.apache.iotdb.confignode.consensus.request.write.database.SetTTLPlan;
import org.apache.iotdb.confignode.manager.pipe.connector.payload.PipeTransferConfigNodeHandshakeV1Req;
import org.apache.iotdb.confignode.manager.pipe.connector.payload.PipeTransferConfigNodeHandshakeV2Req;
import org.apache.iotdb.confignode.manager.pipe.connector.payload.PipeTransferConfigPlanReq;
import org.apache.iotdb.confignode.manager.pipe.connector.payload.PipeTransferConfigSnapshotPieceReq;
import org.apache.iotdb.confignode.manager.pipe.connector.payload.PipeTransferConfigSnapshotSealReq;
import org.apache.iotdb.confignode.persistence.schema.CNSnapshotFileType;
import org.apache.iotdb.confignode.rpc.thrift.TDatabaseSchema;
import org.apache.iotdb.db.pipe.connector.payload.evolvable.request.PipeTransferDataNodeHandshakeV1Req;
import org.apache.iotdb.db.pipe.connector.payload.evolvable.request.PipeTransferDataNodeHandshakeV2Req;
import org.apache.iotdb.db.pipe.connector.payload.evolvable.request.PipeTransferPlanNodeReq;
import org.apache.iotdb.db.pipe.connector.payload.evolvable.request.PipeTransferSchemaSnapshotPieceReq;
import org.apache.iotdb.db.pipe.connector.payload.evolvable.request.PipeTransferSchemaSnapshotSealReq;
import org.apache.iotdb.db.pipe.connector.payload.evolvable.request.PipeTransferTabletBatchReq;
import org.apache.iotdb.db.pipe.connector.payload.evolvable.request.PipeTransferTabletBatchReqV2;
import org.apache.iotdb.db.pipe.connector.payload.evolvable.request.PipeTransferTabletBinaryReq;
import org.apache.iotdb.db.pipe.connector.payload.evolvable.request.PipeTransferTabletBinaryReqV2;
import org.apache.iotdb.db.pipe.connector.payload.evolvable.request.PipeTransferTabletInsertNodeReq;
import org.apache.iotdb.db.pipe.connector.payload.evolvable.request.PipeTransferTabletInsertNodeReqV2;
import org.apache.iotdb.db.pipe.connector.payload.evolvable.request.PipeTransferTabletRawReq;
import org.apache.iotdb.db.pipe.connector.payload.evolvable.request.PipeTransferTabletRawReqV2;
import org.apache.iotdb.db.pipe.connector.payload.evolvable.request.PipeTransferTsFilePieceReq;
import org.apache.iotdb.db.pipe.connector.payload.evolvable.request.PipeTransferTsFilePieceWithModReq;
import org.apache.iotdb.db.pipe.connector.payload.evolvable.request.PipeTransferTsFileSealReq;
import org.apache.iotdb.db.pipe.connector.payload.evolvable.request.PipeTransferTsFileSealWithModReq;
import org.apache.iotdb.db.queryengine.plan.planner.plan.node.PlanNode;
import org.apache.iotdb.db.queryengine.plan.planner.plan.node.PlanNodeId;
import org.apache.iotdb.db.queryengine.plan.planner.plan.node.metadata.write.ActivateTemplateNode;
import org.apache.iotdb.db.queryengine.plan.planner.plan.node.metadata.write.CreateTimeSeriesNode;
import org.apache.iotdb.db.queryengine.plan.planner.plan.node.write.DeleteDataNode;
import org.apache.iotdb.db.queryengine.plan.planner.plan.node.write.InsertNode;
import org.apache.iotdb.db.queryengine.plan.planner.plan.node.write.RelationalDeleteDataNode;
import org.apache.iotdb.db.storageengine.dataregion.modification.DeletionPredicate;
import org.apache.iotdb.db.storageengine.dataregion.modification.IDPredicate;
import org.apache.iotdb.db.storageengine.dataregion.modification.TableDeletionEntry;
import org.apache.iotdb.service.rpc.thrift.TPipeTransferReq;
import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.metadata.StringArrayDeviceID;
import org.apache.tsfile.file.metadata.enums.CompressionType;
import org.apache.tsfile.file.metadata.enums.TSEncoding;
import org.apache.tsfile.read.common.TimeRange;
import org.apache.tsfile.write.record.Tablet;

/**
 * Writes one payload (version, type, body) of every pipe request type, made by IoTDB's own classes, as
 * {@code <type>-<case>.hex} into a directory. Deterministic: running it again changes nothing.
 */
public final class Golden {
  private static final String TS_FILE = "1700000000000-1-0-0.tsfile";
  private static final byte[] PIECE = "TsFile\u0004 and what follows".getBytes(StandardCharsets.UTF_8);

  private final Path directory;
  private int written;

  private Golden(Path directory) {
    this.directory = directory;
  }

  public static void main(String[] args) throws Exception {
    if (args.length != 1) {
      System.err.println("usage: Golden DIR");
      System.exit(2);
    }
    Golden golden = new Golden(Path.of(args[0]));
    Files.createDirectories(golden.directory);
    try (DirectoryStream<Path> old = Files.newDirectoryStream(golden.directory, "*.hex")) {
      for (Path file : old) {
        Files.delete(file);
      }
    }
    golden.handshakes();
    golden.files();
    golden.rawTablets();
    golden.insertNodes();
    golden.walEntries();
    golden.batches();
    golden.plans();
    golden.snapshots();
    golden.compressed();
    golden.slices();
    System.out.println("ok files=" + golden.written);
    // Some server classes start threads that would keep the JVM alive.
    System.exit(0);
  }

  // --- handshakes: 0, 1, 50, 51

  private void handshakes() throws Exception {
    for (String precision : List.of("ms", "us", "ns")) {
      write(0, precision, PipeTransferConfigNodeHandshakeV1Req.toTPipeTransferBytes(precision));
      write(1, precision, PipeTransferDataNodeHandshakeV1Req.toTPipeTransferBytes(precision));
    }
    Map<String, String> full = new HashMap<>();
    full.put("clusterID", "6f0ab2c1-1f0e-4d1c-9a3b-5a1d0a3c7e11");
    full.put("timestampPrecision", "ms");
    full.put("convertOnTypeMismatch", "true");
    full.put("loadTsFileStrategy", "sync");
    full.put("username", "root");
    full.put("password", "root");
    Map<String, String> least = new HashMap<>();
    least.put("clusterID", "c1");
    least.put("timestampPrecision", "ns");
    Map<String, String> odd = new HashMap<>(least);
    odd.put("userId", null);
    odd.put("", "");
    odd.put("\u952e", "\u503c");
    write(50, "full", PipeTransferConfigNodeHandshakeV2Req.toTPipeTransferBytes(full));
    write(51, "full", PipeTransferDataNodeHandshakeV2Req.toTPipeTransferBytes(full));
    write(51, "least", PipeTransferDataNodeHandshakeV2Req.toTPipeTransferBytes(least));
    write(51, "null-and-unicode", PipeTransferDataNodeHandshakeV2Req.toTPipeTransferBytes(odd));
  }

  // --- file pieces and seals: 4, 5, 8, 9

  private void files() throws Exception {
    String mods = TS_FILE + ".mods2";
    write(4, "first", PipeTransferTsFilePieceReq.toTPipeTransferBytes(TS_FILE, 0, PIECE));
    write(4, "far-offset", PipeTransferTsFilePieceReq.toTPipeTransferBytes(TS_FILE, 1L << 40, PIECE));
    write(4, "empty", PipeTransferTsFilePieceReq.toTPipeTransferBytes(TS_FILE, 12, new byte[0]));
    write(5, "seal", PipeTransferTsFileSealReq.toTPipeTransferBytes(TS_FILE, PIECE.length));
    write(8, "mods", PipeTransferTsFilePieceWithModReq.toTPipeTransferBytes(mods, 0, new byte[] {1, 2, 3}));
    write(8, "tsfile", PipeTransferTsFilePieceWithModReq.toTPipeTransferBytes(TS_FILE, 0, PIECE));
    write(9, "tree-mods", PipeTransferTsFileSealWithModReq.toTPipeTransferBytes(mods, 3, TS_FILE, PIECE.length));
    write(9, "tree-alone", PipeTransferTsFileSealWithModReq.toTPipeTransferBytes(TS_FILE, PIECE.length, (String) null));
    write(9, "table-mods", PipeTransferTsFileSealWithModReq.toTPipeTransferBytes(mods, 3, TS_FILE, PIECE.length, "plant_db"));
    write(9, "table-alone", PipeTransferTsFileSealWithModReq.toTPipeTransferBytes(TS_FILE, PIECE.length, "plant_db"));
  }

  // --- tablets parsed from files: 3, 11

  private void rawTablets() throws Exception {
    for (boolean aligned : new boolean[] {false, true}) {
      String name = aligned ? "aligned" : "plain";
      for (boolean nulls : new boolean[] {false, true}) {
        // 8 rows: the bit map then has a spare byte.
        Tablet tablet = Samples.tablet("root.g.d1", Values.ALL, 8, nulls);
        write(3, name + "-all-types" + (nulls ? "-nulls" : ""), PipeTransferTabletRawReq.toTPipeTransferBytes(tablet, aligned));
        write(11, "tree-" + name + (nulls ? "-nulls" : ""), PipeTransferTabletRawReqV2.toTPipeTransferBytes(tablet, aligned, null));
      }
    }
    TSDataType[] one = {TSDataType.INT64};
    write(3, "one-row", PipeTransferTabletRawReq.toTPipeTransferBytes(Samples.tablet("root.g.d1", one, 1, false), false));
    write(3, "no-rows", PipeTransferTabletRawReq.toTPipeTransferBytes(new Tablet("root.g.d1", Samples.tablet("root.g.d1", one, 1, false).getSchemas(), 4), false));
    // What later versions write; 2.0.1-beta takes any database for the table model.
    write(11, "tree-with-database", PipeTransferTabletRawReqV2.toTPipeTransferBytes(Samples.tablet("root.g.d1", one, 3, false), false, "root.g"));
    write(11, "table", PipeTransferTabletRawReqV2.toTPipeTransferBytes(Samples.tableTablet("sensor", 5, false), true, "plant_db"));
    write(11, "table-nulls", PipeTransferTabletRawReqV2.toTPipeTransferBytes(Samples.tableTablet("sensor", 9, true), true, "plant_db"));
  }

  // --- plan nodes of inserts: 2 (zero slack behind it, as the air-gap sender leaves it), 10

  private void insertNodes() throws Exception {
    for (Map.Entry<String, InsertNode> node : treeNodes().entrySet()) {
      write(2, node.getKey() + "-slack", PipeTransferTabletInsertNodeReq.toTPipeTransferBytes(node.getValue()));
      write(2, node.getKey(), payload(PipeTransferTabletInsertNodeReq.toTPipeTransferReq(node.getValue())));
      write(10, "tree-" + node.getKey(), PipeTransferTabletInsertNodeReqV2.toTPipeTransferBytes(node.getValue(), null));
    }
    for (Map.Entry<String, InsertNode> node : tableNodes().entrySet()) {
      write(2, node.getKey(), payload(PipeTransferTabletInsertNodeReq.toTPipeTransferReq(node.getValue())));
      write(10, node.getKey(), PipeTransferTabletInsertNodeReqV2.toTPipeTransferBytes(node.getValue(), "plant_db"));
    }
  }

  private static Map<String, InsertNode> treeNodes() throws Exception {
    Map<String, InsertNode> nodes = new HashMap<>();
    TSDataType[] few = {TSDataType.INT64, TSDataType.TEXT, TSDataType.DOUBLE};
    nodes.put("row", Samples.row("root.g.d1", false, Values.ALL, true, false, 1));
    nodes.put("row-aligned-nulls", Samples.row("root.g.a1", true, Values.ALL, true, true, 2));
    nodes.put("row-names-only", Samples.row("root.g.d1", false, few, false, true, 3));
    nodes.put("row-untyped", Samples.untypedRow("root.g.d1"));
    nodes.put("rows", Samples.rows(3, false));
    nodes.put("rows-aligned", Samples.rows(2, true));
    nodes.put("tablet", Samples.tabletNode("root.g.d1", false, Values.ALL, 8, true, false));
    nodes.put("tablet-aligned-nulls", Samples.tabletNode("root.g.a1", true, Values.ALL, 9, true, true));
    nodes.put("tablet-nulls", Samples.tabletNode("root.g.d1", false, Values.ALL, 8, true, true));
    nodes.put("tablet-names-only", Samples.tabletNode("root.g.d1", false, few, 2, false, false));
    return nodes;
  }

  private static Map<String, InsertNode> tableNodes() throws Exception {
    Map<String, InsertNode> nodes = new HashMap<>();
    nodes.put("table-row", Samples.tableRow("sensor", false, 1));
    nodes.put("table-row-nulls", Samples.tableRow("sensor", true, 2));
    nodes.put("table-rows", Samples.tableRows("sensor", 3));
    nodes.put("table-tablet", Samples.tableTabletNode("sensor", 3, false));
    nodes.put("table-tablet-nulls", Samples.tableTabletNode("sensor", 9, true));
    return nodes;
  }

  // --- log entries: 7, 12

  private void walEntries() throws Exception {
    Map<String, byte[]> tree = new HashMap<>();
    tree.put("row", Samples.walEntry(Samples.row("root.g.d1", false, Values.ALL, true, false, 1)));
    tree.put("row-nulls", Samples.walEntry(Samples.row("root.g.a1", true, Values.ALL, true, true, 2)));
    tree.put("rows", Samples.walEntry(Samples.rows(3, false)));
    tree.put("tablet", Samples.walEntry(Samples.tabletNode("root.g.d1", false, Values.ALL, 8, true, false)));
    tree.put("tablet-aligned-nulls", Samples.walEntry(Samples.tabletNode("root.g.a1", true, Values.ALL, 9, true, true)));
    Map<String, byte[]> table = new HashMap<>();
    table.put("table-row", Samples.walEntry(Samples.tableRow("sensor", true, 1)));
    table.put("table-rows", Samples.walEntry(Samples.tableRows("sensor", 3)));
    table.put("table-tablet", Samples.walEntry(Samples.tableTabletNode("sensor", 8, true)));
    for (Map.Entry<String, byte[]> entry : tree.entrySet()) {
      write(7, entry.getKey(), PipeTransferTabletBinaryReq.toTPipeTransferBytes(ByteBuffer.wrap(entry.getValue())));
      write(12, "tree-" + entry.getKey(), PipeTransferTabletBinaryReqV2.toTPipeTransferBytes(ByteBuffer.wrap(entry.getValue()), null));
    }
    for (Map.Entry<String, byte[]> entry : table.entrySet()) {
      write(7, entry.getKey(), PipeTransferTabletBinaryReq.toTPipeTransferBytes(ByteBuffer.wrap(entry.getValue())));
      write(12, entry.getKey(), PipeTransferTabletBinaryReqV2.toTPipeTransferBytes(ByteBuffer.wrap(entry.getValue()), "plant_db"));
    }
  }

  // --- batches: 6, 13

  private void batches() throws Exception {
    TSDataType[] few = {TSDataType.INT32, TSDataType.STRING, TSDataType.FLOAT};
    List<ByteBuffer> none = List.of();
    byte[] row = Samples.walEntry(Samples.row("root.g.d1", false, few, true, false, 1));
    byte[] wal = Samples.walEntry(Samples.tabletNode("root.g.d2", false, few, 2, true, true));
    ByteBuffer rowsNode = Samples.rows(2, false).serializeToByteBuffer();
    ByteBuffer tabletNode = Samples.tabletNode("root.g.d3", true, few, 3, true, true).serializeToByteBuffer();
    ByteBuffer plain = raw(Samples.tablet("root.g.d4", few, 2, false), false);
    ByteBuffer aligned = raw(Samples.tablet("root.g.a5", few, 5, true), true);
    ByteBuffer table = raw(Samples.tableTablet("sensor", 3, true), true);
    ByteBuffer tableNode = Samples.tableTabletNode("sensor", 2, false).serializeToByteBuffer();

    write(6, "empty", payload(PipeTransferTabletBatchReq.toTPipeTransferReq(none, none, none)));
    write(6, "tablets", payload(PipeTransferTabletBatchReq.toTPipeTransferReq(none, none, buffers(plain, aligned))));
    write(6, "nodes", payload(PipeTransferTabletBatchReq.toTPipeTransferReq(none, buffers(rowsNode, tabletNode), none)));
    write(6, "mixed", payload(PipeTransferTabletBatchReq.toTPipeTransferReq(
        buffers(ByteBuffer.wrap(row), ByteBuffer.wrap(wal)), buffers(rowsNode, tabletNode), buffers(plain, aligned))));

    write(13, "empty", payload(PipeTransferTabletBatchReqV2.toTPipeTransferReq(none, none, none, List.of(), List.of(), List.of())));
    write(13, "tree-tablets", payload(PipeTransferTabletBatchReqV2.toTPipeTransferReq(
        none, none, buffers(plain, aligned), List.of(), List.of(), Arrays.asList(null, null))));
    write(13, "table", payload(PipeTransferTabletBatchReqV2.toTPipeTransferReq(
        none, buffers(tableNode), buffers(table), List.of(), List.of("plant_db"), List.of("plant_db"))));
    write(13, "mixed", payload(PipeTransferTabletBatchReqV2.toTPipeTransferReq(
        buffers(ByteBuffer.wrap(row), ByteBuffer.wrap(wal)), buffers(rowsNode, tabletNode, tableNode), buffers(plain, aligned, table),
        Arrays.asList(null, null), Arrays.asList(null, null, "plant_db"), Arrays.asList(null, null, "plant_db"))));
  }

  /** A tablet as a batch holds it: followed by its alignment. */
  private static ByteBuffer raw(Tablet tablet, boolean aligned) throws Exception {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    DataOutputStream out = new DataOutputStream(bytes);
    tablet.serialize(out);
    out.writeBoolean(aligned);
    return ByteBuffer.wrap(bytes.toByteArray());
  }

  /** Fresh views: the request builders consume what they are given. */
  private static List<ByteBuffer> buffers(ByteBuffer... buffers) {
    List<ByteBuffer> views = new ArrayList<>();
    for (ByteBuffer buffer : buffers) {
      views.add(buffer.duplicate());
    }
    return views;
  }

  // --- plans: 100, 200

  private void plans() throws Exception {
    PlanNodeId id = new PlanNodeId("");
    planNode("delete-series", new DeleteDataNode(id, List.of(new MeasurementPath("root.t.d2.s_int32")), Long.MIN_VALUE, 105));
    planNode("delete-patterns", new DeleteDataNode(
        id, List.of(new MeasurementPath("root.t.**"), new MeasurementPath("root.*.d1.s1")), -5, Long.MAX_VALUE));
    planNode("relational-delete-tag", tableDelete("plant_db", new IDPredicate.SegmentExactMatch("north", 1)));
    planNode("relational-delete-all", tableDelete("plant_db", new IDPredicate.NOP()));
    planNode("relational-delete-device", tableDelete("plant_db",
        new IDPredicate.FullExactMatch(new StringArrayDeviceID("sensor", "north", null))));
    planNode("relational-delete-and", tableDelete("plant_db",
        new IDPredicate.And(new IDPredicate.SegmentExactMatch("north", 1), new IDPredicate.SegmentExactMatch(null, 2))));
    planNode("relational-delete-many", new RelationalDeleteDataNode(id, Arrays.asList(
        new TableDeletionEntry(new DeletionPredicate("t1"), new TimeRange(1, 5)),
        new TableDeletionEntry(new DeletionPredicate("t2", new IDPredicate.NOP(), List.of("a", "b")), new TimeRange(Long.MIN_VALUE, 9))), "db1"));
    planNode("create-timeseries", new CreateTimeSeriesNode(
        id, new MeasurementPath("root.g.d1.new"), TSDataType.FLOAT, TSEncoding.GORILLA, CompressionType.LZ4, null,
        Collections.singletonMap("unit", "bar"), null, "alias"));
    planNode("activate-template", new ActivateTemplateNode(id, new PartialPath("root.g.d9"), 2, 1));

    TDatabaseSchema schema = new TDatabaseSchema("root.g");
    schema.setTimePartitionInterval(604_800_000L);
    write(200, "create-database", PipeTransferConfigPlanReq.toTPipeTransferBytes(
        new DatabaseSchemaPlan(ConfigPhysicalPlanType.CreateDatabase, schema)));
    write(200, "set-ttl", PipeTransferConfigPlanReq.toTPipeTransferBytes(
        new SetTTLPlan(3_600_000L, "root", "g", "**")));
  }

  private void planNode(String name, PlanNode node) throws Exception {
    write(100, name + "-slack", PipeTransferPlanNodeReq.toTPipeTransferBytes(node));
    write(100, name, payload(PipeTransferPlanNodeReq.toTPipeTransferReq(node)));
  }

  private static RelationalDeleteDataNode tableDelete(String database, IDPredicate predicate) {
    return new RelationalDeleteDataNode(
        new PlanNodeId(""), new TableDeletionEntry(new DeletionPredicate("sensor", predicate), new TimeRange(1, 5)), database);
  }

  // --- snapshots: 101, 102, 201, 202

  private void snapshots() throws Exception {
    write(101, "piece", PipeTransferSchemaSnapshotPieceReq.toTPipeTransferBytes("mtree.snapshot", 0, PIECE));
    write(102, "mtree-only", PipeTransferSchemaSnapshotSealReq.toTPipeTransferBytes(
        "root.**", "mtree.snapshot", PIECE.length, null, 0, "root.g", "create_timeseries"));
    write(102, "with-tag-log", PipeTransferSchemaSnapshotSealReq.toTPipeTransferBytes(
        "root.**", "mtree.snapshot", PIECE.length, "tlog.txt", 640, "root.g", "create_timeseries,set_template"));
    write(201, "piece", PipeTransferConfigSnapshotPieceReq.toTPipeTransferBytes("user.profile", 4, PIECE));
    write(202, "users", PipeTransferConfigSnapshotSealReq.toTPipeTransferBytes(
        "root.**", "user.profile", 27, null, 0, CNSnapshotFileType.USER, "create_user"));
    write(202, "schema", PipeTransferConfigSnapshotSealReq.toTPipeTransferBytes(
        "root.**", "cluster_schema.bin", 100, "template_info.bin", 50, CNSnapshotFileType.SCHEMA, "create_database"));
  }

  // --- compressed and sliced: 300, 400

  private void compressed() throws Exception {
    byte[] inner = PipeTransferTabletRawReq.toTPipeTransferBytes(
        Samples.tablet("root.g.d1", new TSDataType[] {TSDataType.INT64, TSDataType.DOUBLE}, 20, false), false);
    write(3, "inside-compressed", inner);
    for (String codec : List.of("snappy", "gzip", "lz4", "zstd", "lzma2")) {
      write(300, codec, PipeTransferCompressedReq.toTPipeTransferReqBytes(inner, compressors(codec)));
    }
    write(300, "chain", PipeTransferCompressedReq.toTPipeTransferReqBytes(inner, compressors("lz4", "snappy", "zstd")));
    write(300, "handshake", PipeTransferCompressedReq.toTPipeTransferReqBytes(
        PipeTransferDataNodeHandshakeV1Req.toTPipeTransferBytes("ms"), compressors("lz4")));
  }

  private static List<PipeCompressor> compressors(String... names) {
    List<PipeCompressor> compressors = new ArrayList<>();
    for (String name : names) {
      compressors.add(PipeCompressorFactory.getCompressor(new PipeCompressorConfig(name, 1)));
    }
    return compressors;
  }

  /** The slices of one tablet; put together they are the body of 3-sliced-whole. */
  private void slices() throws Exception {
    TPipeTransferReq whole = PipeTransferTabletRawReq.toTPipeTransferReq(
        Samples.tablet("root.g.d1", new TSDataType[] {TSDataType.DOUBLE}, 12, false), false);
    write(3, "sliced-whole", payload(whole));
    byte[] body = bytes(whole.body);
    int count = 3;
    for (int i = 0; i < count; i++) {
      int from = body.length * i / count;
      int to = body.length * (i + 1) / count;
      write(400, "slice-" + i + "-of-" + count, payload(
          PipeTransferSliceReq.toTPipeTransferReq(5, whole.type, i, count, ByteBuffer.wrap(body), from, to)));
    }
  }

  // --- output

  private static byte[] payload(TPipeTransferReq request) {
    byte[] body = bytes(request.body);
    return ByteBuffer.allocate(3 + body.length).put(request.version).putShort(request.type).put(body).array();
  }

  private static byte[] bytes(ByteBuffer buffer) {
    byte[] bytes = new byte[buffer.remaining()];
    buffer.duplicate().get(bytes);
    return bytes;
  }

  private void write(int type, String name, byte[] payload) throws Exception {
    if (payload[0] != 1 || ByteBuffer.wrap(payload).getShort(1) != type) {
      throw new IllegalStateException("case " + name + " is not of version 1 and type " + type);
    }
    StringBuilder hex = new StringBuilder(payload.length * 2 + 1);
    for (byte b : payload) {
      hex.append(Character.forDigit(b >> 4 & 15, 16)).append(Character.forDigit(b & 15, 16));
    }
    Path file = directory.resolve(type + "-" + name + ".hex");
    Files.write(file, hex.append('\n').toString().getBytes(StandardCharsets.US_ASCII), java.nio.file.StandardOpenOption.CREATE_NEW);
    written++;
  }
}
