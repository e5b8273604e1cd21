import java.util.List;

/** A device to be written: nodes of a path in the tree model, or a table name and tags (null is allowed) in the other. */
final class Device {
  final String[] nodes;
  final boolean table;

  private Device(boolean table, String[] nodes) {
    this.nodes = nodes;
    this.table = table;
  }

  static Device tree(String... nodes) {
    return new Device(false, nodes);
  }

  /** A path without quoted nodes. */
  static Device path(String path) {
    return new Device(false, path.split("\\."));
  }

  static Device table(List<String> nameAndTags) {
    return new Device(true, nameAndTags.toArray(new String[0]));
  }

  String dotted() {
    return String.join(".", nodes);
  }

  /** What dump prints for it: missing tags at the end are never stored. */
  String text() {
    int end = nodes.length;
    while (end > 0 && nodes[end - 1] == null) {
      end--;
    }
    return Text.device(java.util.Arrays.copyOf(nodes, end));
  }
}
