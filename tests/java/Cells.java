import java.util.ArrayList;
import java.util.List;

import org.apache.tsfile.read.common.Field;
import org.apache.tsfile.utils.Binary;

/** Decides how a value is printed: exactly, the same on every run, one line a row. */
final class Cells {
  private Cells() {}

  /** The value as text, or null for a cell without one. */
  static String text(Field field) {
    if (field == null || field.getDataType() == null) {
      return null;
    }
    switch (field.getDataType()) {
      case BOOLEAN:
        return Boolean.toString(field.getBoolV());
      case INT32:
        return Integer.toString(field.getIntV());
      case INT64:
      case TIMESTAMP:
        return Long.toString(field.getLongV());
      case FLOAT:
        return Float.toString(field.getFloatV());
      case DOUBLE:
        return Double.toString(field.getDoubleV());
      case DATE:
        return field.getDateV().toString();
      case BLOB:
        return hex(field.getBinaryV());
      default:
        return field.getBinaryV().toString();
    }
  }

  private static String hex(Binary binary) {
    StringBuilder hex = new StringBuilder("0x");
    for (byte b : binary.getValues()) {
      hex.append(Character.forDigit(b >> 4 & 15, 16)).append(Character.forDigit(b & 15, 16));
    }
    return hex.toString();
  }

  /** A CSV line: null is nothing, the empty text is "", line ends inside a text are \n and \r. */
  static String line(List<String> cells) {
    List<String> quoted = new ArrayList<>(cells.size());
    for (String cell : cells) {
      quoted.add(quote(cell));
    }
    return String.join(",", quoted);
  }

  static String quote(String cell) {
    if (cell == null) {
      return "";
    }
    String one = cell.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r");
    if (one.isEmpty() || one.indexOf(',') >= 0 || one.indexOf('"') >= 0) {
      return '"' + one.replace("\"", "\"\"") + '"';
    }
    return one;
  }
}
