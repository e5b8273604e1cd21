import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import org.apache.tsfile.enums.TSDataType;

/** A table of the table model: its tags, and the types of its fields. */
final class Table {
  final String name;
  final List<String> tags = new ArrayList<>();
  final Map<String, TSDataType> fields = new LinkedHashMap<>();

  Table(String name) {
    this.name = name;
  }
}
