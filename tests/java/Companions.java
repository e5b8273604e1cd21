import java.io.ByteArrayOutputStream;
import java.io.File;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;

import org.apache.iotdb.commons.consensus.index.ProgressIndex;
import org.apache.iotdb.commons.consensus.index.ProgressIndexType;
import org.apache.iotdb.commons.consensus.index.impl.HybridProgressIndex;
import org.apache.iotdb.commons.consensus.index.impl.IoTProgressIndex;
import org.apache.iotdb.commons.consensus.index.impl.MetaProgressIndex;
import org.apache.iotdb.commons.consensus.index.impl.MinimumProgressIndex;
import org.apache.iotdb.commons.consensus.index.impl.RecoverProgressIndex;
import org.apache.iotdb.commons.consensus.index.impl.SimpleProgressIndex;
import org.apache.iotdb.commons.consensus.index.impl.StateProgressIndex;
import org.apache.iotdb.commons.consensus.index.impl.TimeWindowStateProgressIndex;
import org.apache.iotdb.commons.path.MeasurementPath;
import org.apache.iotdb.db.storageengine.dataregion.modification.DeletionPredicate;
import org.apache.iotdb.db.storageengine.dataregion.modification.IDPredicate;
import org.apache.iotdb.db.storageengine.dataregion.modification.ModEntry;
import org.apache.iotdb.db.storageengine.dataregion.modification.ModificationFile;
import org.apache.iotdb.db.storageengine.dataregion.modification.TableDeletionEntry;
import org.apache.iotdb.db.storageengine.dataregion.modification.TreeDeletionEntry;
import org.apache.iotdb.db.storageengine.dataregion.modification.v1.Deletion;
import org.apache.iotdb.db.storageengine.dataregion.modification.v1.ModificationFileV1;
import org.apache.iotdb.db.storageengine.dataregion.tsfile.TsFileResource;
import org.apache.tsfile.file.metadata.IDeviceID;
import org.apache.tsfile.file.metadata.StringArrayDeviceID;
import org.apache.tsfile.read.common.TimeRange;
import org.apache.tsfile.utils.Binary;
import org.apache.tsfile.utils.Pair;

/**
 * Writes the files that stand beside a TsFile with IoTDB's own classes: {@code <case>.<kind>.hex} with the bytes and
 * {@code <case>.<kind>.txt} with what is in them, and {@code joins.txt}: pairs of progress indexes with their least upper
 * bound. Deterministic: running it again changes nothing.
 */
public final class Companions {
  private static final long MIN = Long.MIN_VALUE;
  private static final long MAX = Long.MAX_VALUE;

  private final Path directory;
  /** Its folders are those of a data directory, since IoTDB reads the region out of the path. */
  private final Path scratch;
  private int written;

  private Companions(Path directory, Path scratch) {
    this.directory = directory;
    this.scratch = scratch;
  }

  public static void main(String[] args) throws Exception {
    if (args.length != 1) {
      System.err.println("usage: Companions DIR");
      System.exit(2);
    }
    Path directory = Path.of(args[0]);
    Files.createDirectories(directory);
    try (DirectoryStream<Path> old = Files.newDirectoryStream(directory, "*.{hex,txt}")) {
      for (Path file : old) {
        Files.delete(file);
      }
    }
    Path root = Files.createTempDirectory("companions");
    try {
      Path region = Files.createDirectories(root.resolve("sequence/root.g/1/0"));
      Companions companions = new Companions(directory, region);
      companions.resources();
      companions.binaryMods();
      companions.textMods();
      companions.joins();
      System.out.println("ok files=" + companions.written);
    } finally {
      try (Stream<Path> paths = Files.walk(root)) {
        paths.sorted(Comparator.reverseOrder()).map(Path::toFile).forEach(File::delete);
      }
    }
    // Some server classes start threads that would keep the JVM alive.
    System.exit(0);
  }

  // --- .resource

  private void resources() throws Exception {
    TreeMap<String, Pair<ProgressIndex, String>> indexes = new TreeMap<>();
    indexes.put("minimum", new Pair<>(MinimumProgressIndex.INSTANCE, "minimum"));
    indexes.put("iot", new Pair<>(iot(1, 5, 2, 7, -3, MAX), "iot -3=" + MAX + " 1=5 2=7"));
    indexes.put("simple", new Pair<>(new SimpleProgressIndex(3, 41), "simple 3/41"));
    indexes.put("recover", new Pair<>(recover(1, 0, 12, 9, 2, MIN), "recover 1=0/12 9=2/" + MIN));
    indexes.put("meta", new Pair<>(new MetaProgressIndex(77), "meta 77"));
    Map<String, Pair<Long, ByteBuffer>> windows = new HashMap<>();
    windows.put("root.g.d1.s1", new Pair<>(100L, ByteBuffer.wrap(new byte[] {1, 2, 3})));
    windows.put("root.g.\u952e.s2", new Pair<>(-7L, ByteBuffer.wrap(new byte[0])));
    windows.put("root.g.d1.none", new Pair<>(8L, null));
    indexes.put("time-window", new Pair<>(new TimeWindowStateProgressIndex(windows),
        "time-window root.g.d1.none=8 root.g.d1.s1=100 root.g.\u952e.s2=-7\n"
            + "window root.g.d1.none null\nwindow root.g.d1.s1 010203\nwindow root.g.\u952e.s2 "));
    ProgressIndex hybrid = new HybridProgressIndex(iot(1, 5))
        .updateToMinimumEqualOrIsAfterProgressIndex(new SimpleProgressIndex(0, 9))
        .updateToMinimumEqualOrIsAfterProgressIndex(recover(4, 1, 2));
    indexes.put("hybrid", new Pair<>(hybrid, "iot 1=5, simple 0/9, recover 4=1/2"));
    indexes.put("hybrid-of-one", new Pair<>(new HybridProgressIndex(iot(8, 8)), "iot 8=8"));
    Map<String, Binary> state = new HashMap<>();
    state.put("task", new Binary("done", StandardCharsets.UTF_8));
    state.put("\u952e", new Binary(new byte[0]));
    ProgressIndex stateful = new StateProgressIndex(6, state, hybrid);
    String stateText = "state 6 of 2 values\nvalue task 646f6e65\nvalue \u952e ";
    indexes.put("state-of-hybrid", new Pair<>(stateful, "iot 1=5, simple 0/9, recover 4=1/2, " + stateText));
    indexes.put("hybrid-of-state", new Pair<>(new HybridProgressIndex(stateful), "iot 1=5, simple 0/9, recover 4=1/2, " + stateText));
    indexes.put("state-of-minimum", new Pair<>(new StateProgressIndex(6, state, MinimumProgressIndex.INSTANCE), stateText));
    for (Map.Entry<String, Pair<ProgressIndex, String>> index : indexes.entrySet()) {
      TsFileResource resource = resource("progress-" + index.getKey());
      String text = device(resource, 1, 9, "root.g", "d1");
      resource.setProgressIndex(index.getValue().left);
      resource(resource, text, MIN, MAX, "none", index.getValue().right);
    }

    TsFileResource devices = resource("devices");
    String text = device(devices, 1, 9, "root.g", "d1")
        + device(devices, MIN, MAX, "root.a.b", "c", "d")
        + device(devices, 5, 5, "sensor", "north", null, "x")
        + device(devices, -9, -1, "sensor", null, "\u952e.\u503c", "")
        + device(devices, 3, 4, "\u8868")
        + device(devices, 0, 0, "root.g", "`a.b`");
    IDeviceID open = new StringArrayDeviceID("root.g", "open");
    devices.updateStartTime(open, 12);
    text += "device root.g|open 12 " + MIN + "\n";
    devices.updatePlanIndexes(3);
    devices.updatePlanIndexes(8);
    resource(devices, text, 3, 8, "none", "absent");

    TsFileResource shared = resource("shared-mods");
    text = device(shared, 1, 2, "root.g", "d1");
    File mods = scratch.resolve("1-2.mods2").toFile();
    try (ModificationFile file = new ModificationFile(mods, false)) {
      file.write(tree("root.g.d1.s1", 1, 2));
      shared.setSharedModFile(file, false);
      shared.setProgressIndex(new SimpleProgressIndex(0, 1));
      resource(shared, text, MIN, MAX, "shared 1-2.mods2", "simple 0/1");
    }
    resource(resource("no-device"), "", MIN, MAX, "none", "absent");
  }

  private TsFileResource resource(String name) {
    return new TsFileResource(scratch.resolve(name + ".tsfile").toFile());
  }

  private static String device(TsFileResource resource, long start, long end, String... segments) {
    IDeviceID device = new StringArrayDeviceID(segments);
    resource.updateStartTime(device, start);
    resource.updateEndTime(device, end);
    StringBuilder text = new StringBuilder("device ");
    for (int i = 0; i < segments.length; i++) {
      text.append(i == 0 ? "" : "|").append(segments[i] == null ? "<null>" : segments[i]);
    }
    return text + " " + start + " " + end + "\n";
  }

  private void resource(TsFileResource resource, String devices, long min, long max, String mods, String progress) throws Exception {
    resource.serialize();
    String name = resource.getTsFile().getName().replace(".tsfile", "");
    byte[] bytes = Files.readAllBytes(Path.of(resource.getTsFilePath() + TsFileResource.RESOURCE_SUFFIX));
    // The shared file's path is absolute and differs from run to run.
    bytes = replace(bytes, scratch.toAbsolutePath() + "/", "/data/");
    boolean planless = min == MIN;
    write(name, "resource", bytes, devices + "plans " + (planless ? MAX : min) + " " + (planless ? MIN : max)
        + "\nmods " + mods + "\nprogress " + progress + "\n");
  }

  /** Replaces a part of the one string with a length of four bytes before it. */
  private static byte[] replace(byte[] bytes, String from, String to) {
    String all = new String(bytes, StandardCharsets.ISO_8859_1);
    int at = all.indexOf(from);
    if (at < 0) {
      return bytes;
    }
    int length = ByteBuffer.wrap(bytes).getInt(at - 4) - from.length() + to.length();
    String head = new String(ByteBuffer.allocate(4).putInt(length).array(), StandardCharsets.ISO_8859_1);
    return (all.substring(0, at - 4) + head + to + all.substring(at + from.length())).getBytes(StandardCharsets.ISO_8859_1);
  }

  // --- .mods2

  private void binaryMods() throws Exception {
    mods2("tree",
        "tree root.g.d1.s1 from 1 to 2", tree("root.g.d1.s1", 1, 2),
        "tree root.g.** from " + MIN + " to " + MAX, tree("root.g.**", MIN, MAX),
        "tree root.*.d1.`a,b` from -5 to -5", tree("root.*.d1.`a,b`", -5, -5),
        "tree root.g.\u8bbe\u5907.\u952e from 0 to 1", tree("root.g.\u8bbe\u5907.\u952e", 0, 1));
    IDPredicate north = new IDPredicate.SegmentExactMatch("north", 1);
    IDPredicate none = new IDPredicate.SegmentExactMatch(null, 2);
    IDPredicate device = new IDPredicate.FullExactMatch(new StringArrayDeviceID("sensor", null, "\u503c"));
    mods2("table",
        "table t1, all columns, any device from 1 to 5", table("t1", new IDPredicate.NOP(), 1, 5),
        "table sensor, all columns, device sensor.null.\u503c from 1 to 5", table("sensor", device, 1, 5),
        "table sensor, all columns, segment 1 is north from 1 to 5", table("sensor", north, 1, 5),
        "table sensor, all columns, segment 2 is null from 1 to 5", table("sensor", none, 1, 5),
        "table sensor, columns a b, all of (segment 2 is null; segment 1 is north) from " + MIN + " to 9",
        table("sensor", new IDPredicate.And(north, none), MIN, 9, "b", "a"),
        "table sensor, all columns, all of (device sensor.null.\u503c; all of (any device)) from 1 to 5",
        table("sensor", new IDPredicate.And(device, new IDPredicate.And(new IDPredicate.NOP())), 1, 5),
        "table \u8868, all columns, all of () from " + MIN + " to " + MAX, table("\u8868", new IDPredicate.And(), MIN, MAX));
  }

  private static ModEntry tree(String path, long start, long end) throws Exception {
    return new TreeDeletionEntry(new MeasurementPath(path), start, end);
  }

  private static ModEntry table(String table, IDPredicate predicate, long start, long end, String... columns) {
    return new TableDeletionEntry(
        columns.length == 0 ? new DeletionPredicate(table, predicate) : new DeletionPredicate(table, predicate, List.of(columns)),
        new TimeRange(start, end));
  }

  private void mods2(String name, Object... textsAndEntries) throws Exception {
    File file = scratch.resolve(name + ".tsfile.mods2").toFile();
    StringBuilder text = new StringBuilder();
    try (ModificationFile mods = new ModificationFile(file, false)) {
      for (int i = 0; i < textsAndEntries.length; i += 2) {
        text.append(textsAndEntries[i]).append('\n');
        mods.write((ModEntry) textsAndEntries[i + 1]);
      }
    }
    write(name, "mods2", Files.readAllBytes(file.toPath()), text.toString());
  }

  // --- .mods

  private void textMods() throws Exception {
    File file = scratch.resolve("text.tsfile.mods").toFile();
    ModificationFileV1 mods = new ModificationFileV1(file.getPath());
    mods.write(new Deletion(new MeasurementPath("root.g.d1.s1"), 5548, 50, 60));
    mods.write(new Deletion(new MeasurementPath("root.g.**"), MAX, MIN, 7));
    mods.write(new Deletion(new MeasurementPath("root.g.d1.`a,1,2`"), 1, -3, MAX));
    mods.write(new Deletion(new MeasurementPath("root.g.\u8bbe\u5907.\u952e"), 2, 0, 0));
    mods.close();
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    bytes.write(Files.readAllBytes(file.toPath()));
    // The form that old versions wrote, which the class still reads.
    bytes.write("DELETION,root.g.d2.s,111,300\nDELETION,root.g.d2.`x,y`,112,301\n".getBytes(StandardCharsets.UTF_8));
    Files.write(file.toPath(), bytes.toByteArray());
    StringBuilder text = new StringBuilder();
    mods = new ModificationFileV1(file.getPath());
    mods.getModifications().forEach(it -> {
      Deletion deletion = (Deletion) it;
      text.append("tree ").append(deletion.getPathString()).append(" from ").append(deletion.getStartTime()).append(" to ")
          .append(deletion.getEndTime()).append(" before ").append(deletion.getFileOffset()).append('\n');
    });
    mods.close();
    write("text", "mods", bytes.toByteArray(), text.toString());
  }

  // --- least upper bounds

  /** Lines of two indexes, their least upper bound, and whether the second is equal or after the first. */
  private void joins() throws Exception {
    Random random = new Random(4711);
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < 240; i++) {
      ProgressIndex a = random(random, 2);
      ProgressIndex b = i % 8 == 0 ? copy(a) : random(random, 2);
      if (i % 4 == 1) {
        b = copy(b).updateToMinimumEqualOrIsAfterProgressIndex(copy(a));
      }
      boolean after = b.equals(a) || b.isAfter(a);
      String line = hex(serialize(a)) + " " + hex(serialize(b)) + " ";
      text.append(line).append(hex(serialize(copy(a).updateToMinimumEqualOrIsAfterProgressIndex(copy(b)))))
          .append(after ? " after\n" : " no\n");
    }
    Files.writeString(directory.resolve("joins.txt"), text);
    written++;
  }

  private static ProgressIndex random(Random random, int depth) {
    switch (random.nextInt(depth > 0 ? 6 : 3)) {
      case 0:
        return iot(1 + random.nextInt(3), random.nextInt(4), 4 + random.nextInt(2), random.nextInt(4));
      case 1:
        return new SimpleProgressIndex(random.nextInt(2), random.nextInt(4));
      case 2:
        return recover(1 + random.nextInt(2), random.nextInt(2), random.nextInt(3), 3, 0, random.nextInt(3));
      case 3:
        return MinimumProgressIndex.INSTANCE;
      case 4:
        return new HybridProgressIndex(random(random, 0)).updateToMinimumEqualOrIsAfterProgressIndex(random(random, 0));
      default:
        long version = random.nextInt(3);
        return new StateProgressIndex(version, Collections.singletonMap("v", new Binary("v" + version, StandardCharsets.UTF_8)),
            random(random, 0));
    }
  }

  private static ProgressIndex copy(ProgressIndex index) throws Exception {
    return ProgressIndexType.deserializeFrom(ByteBuffer.wrap(serialize(index)));
  }

  private static byte[] serialize(ProgressIndex index) throws Exception {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    index.serialize(bytes);
    return bytes.toByteArray();
  }

  private static IoTProgressIndex iot(long... peersAndIndexes) {
    Map<Integer, Long> map = new HashMap<>();
    for (int i = 0; i < peersAndIndexes.length; i += 2) {
      map.put((int) peersAndIndexes[i], peersAndIndexes[i + 1]);
    }
    return new IoTProgressIndex(map);
  }

  private static RecoverProgressIndex recover(long... nodesRebootsAndFlushes) {
    Map<Integer, SimpleProgressIndex> map = new HashMap<>();
    for (int i = 0; i < nodesRebootsAndFlushes.length; i += 3) {
      map.put((int) nodesRebootsAndFlushes[i],
          new SimpleProgressIndex((int) nodesRebootsAndFlushes[i + 1], nodesRebootsAndFlushes[i + 2]));
    }
    return new RecoverProgressIndex(map);
  }

  // --- output

  private static String hex(byte[] bytes) {
    StringBuilder hex = new StringBuilder(bytes.length * 2);
    for (byte b : bytes) {
      hex.append(Character.forDigit(b >> 4 & 15, 16)).append(Character.forDigit(b & 15, 16));
    }
    return hex.toString();
  }

  private void write(String name, String kind, byte[] bytes, String text) throws Exception {
    Files.writeString(directory.resolve(name + "." + kind + ".hex"), hex(bytes) + "\n");
    Files.writeString(directory.resolve(name + "." + kind + ".txt"), text);
    written++;
  }
}
