import java.util.Locale;

import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.utils.Binary;

/** Decides how names and values are printed, so that equal points are equal lines and any text fits into one. */
final class Text {
  private static final char[] HEX = "0123456789abcdef".toCharArray();

  private Text() {}

  /** A name with the bytes that have a meaning in a line written as %XX; everything else stays as it is. */
  static String name(String name) {
    StringBuilder out = null;
    for (int i = 0; i < name.length(); i++) {
      char c = name.charAt(i);
      if (c == ',' || c == '%' || c == '\\' || c == '\n' || c == '\r') {
        if (out == null) {
          out = new StringBuilder(name.length() + 8).append(name, 0, i);
        }
        out.append('%').append(String.format(Locale.ROOT, "%02X", (int) c));
      } else if (out != null) {
        out.append(c);
      }
    }
    return out == null ? name : out.toString();
  }

  /** A device as the library prints it: its segments joined by dots, `null` for a missing one. */
  static String device(String... segments) {
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < segments.length; i++) {
      if (i > 0) {
        out.append('.');
      }
      out.append(segments[i] == null ? "null" : name(segments[i]));
    }
    return out.toString();
  }

  static void value(StringBuilder out, TSDataType type, Object value) {
    switch (type.name()) {
      case "FLOAT":
        // Raw bits: two NaNs with different payloads are two values.
        hex(out.append("f:"), Float.floatToRawIntBits((Float) value) & 0xffffffffL, 8);
        break;
      case "DOUBLE":
        hex(out.append("d:"), Double.doubleToRawLongBits((Double) value), 16);
        break;
      case "TEXT":
      case "STRING":
      case "BLOB":
      case "OBJECT":
        out.append("x:");
        for (byte b : ((Binary) value).getValues()) {
          out.append(HEX[b >> 4 & 15]).append(HEX[b & 15]);
        }
        break;
      default:
        out.append(value);
    }
  }

  static String value(TSDataType type, Object value) {
    StringBuilder out = new StringBuilder();
    value(out, type, value);
    return out.toString();
  }

  private static void hex(StringBuilder out, long bits, int digits) {
    for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) {
      out.append(HEX[(int) (bits >>> shift) & 15]);
    }
  }
}
