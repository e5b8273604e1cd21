import java.nio.charset.StandardCharsets;
import java.time.LocalDate;

import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.utils.Binary;

/** Decides which value a cell holds: a function of its type and a number, so that no test needs a stored copy. */
final class Values {
  /** Every data type of IoTDB 2.0.1-beta that a user can write. */
  static final TSDataType[] ALL = {
    TSDataType.BOOLEAN, TSDataType.INT32, TSDataType.INT64, TSDataType.FLOAT, TSDataType.DOUBLE,
    TSDataType.TEXT, TSDataType.TIMESTAMP, TSDataType.DATE, TSDataType.BLOB, TSDataType.STRING
  };

  /** The types that exist in 1.2 as well. */
  static final TSDataType[] BASIC = {
    TSDataType.BOOLEAN, TSDataType.INT32, TSDataType.INT64, TSDataType.FLOAT, TSDataType.DOUBLE, TSDataType.TEXT
  };

  private Values() {}

  /** The value as the session and Tablet API want it (DATE as LocalDate). */
  static Object of(TSDataType type, long n) {
    switch (type) {
      case BOOLEAN:
        return Math.floorMod(n, 3) == 0;
      case INT32:
        return (int) (n * 31 - 1000);
      case INT64:
        return n * 1_000_000_007L - 5;
      case FLOAT:
        return n / 8f - 2.5f;
      case DOUBLE:
        return n / 3d;
      case TEXT:
        return new Binary(("text \u00e9\u4e2d, \"" + n + "\"").getBytes(StandardCharsets.UTF_8));
      case STRING:
        return new Binary(("s" + n).getBytes(StandardCharsets.UTF_8));
      case BLOB:
        return new Binary(new byte[] {(byte) n, 0, (byte) 0xff, (byte) (n >> 8)});
      case TIMESTAMP:
        return 1_700_000_000_000L + n;
      case DATE:
        return LocalDate.of(2024, 1, 31).plusDays(Math.floorMod(n, 1000));
      default:
        throw new IllegalArgumentException("no values of type " + type);
    }
  }

  /** The value as a plan node holds it (DATE as yyyymmdd). */
  static Object inNode(TSDataType type, long n) {
    Object value = of(type, n);
    if (value instanceof LocalDate) {
      LocalDate date = (LocalDate) value;
      return date.getYear() * 10_000 + date.getMonthValue() * 100 + date.getDayOfMonth();
    }
    return value;
  }
}
