import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Locale;

import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.metadata.enums.TSEncoding;
import org.apache.tsfile.utils.Binary;

/** Decides which value stands where in the corpus: a function of type, encoding and row that every version keeps exactly. */
final class Fixed {
  private static final String[] WORDS = {
    "", "a", "open", "closed", "\u00fcber", "\u6e29\u5ea6", "x,y\"z\n", "longer text value number "
  };
  private static final int LONG_WORD = 10;

  private Fixed() {}

  static long time(int row) {
    return 1_700_000_000_000L + 1000L * row + (row > 200 ? row % 7 : 0);
  }

  static String measurement(TSEncoding encoding) {
    return "s_" + encoding.name().toLowerCase(Locale.ROOT);
  }

  /** Even steps, a long run, two values in turn, then noise of both signs. */
  private static int number(int row) {
    if (row < 60) {
      return 1000 + 3 * row;
    }
    if (row < 120) {
      return 4242;
    }
    if (row < 160) {
      return 1000 + row % 2;
    }
    int x = row * 1103515245 + 12345;
    x ^= x >>> 13;
    x *= 1540483477;
    x ^= x >>> 15;
    return x % 20000 - (row % 3 == 0 ? 10000 : 0);
  }

  static Object value(TSDataType type, TSEncoding encoding, int row) {
    boolean sprintz = encoding == TSEncoding.SPRINTZ;
    // The library's SPRINTZ overflows on wide jumps.
    int number = sprintz ? 50_000 + Math.floorMod(number(row), 1000) : number(row);
    switch (type.name()) {
      case "BOOLEAN":
        return row < 90 ? row / 30 % 2 == 0 : (number & 1) == 0;
      case "INT32":
        return number;
      case "DATE":
        return 20200101 + Math.floorMod(number, 12) * 100 + Math.floorMod(number, 28);
      case "INT64":
        return sprintz ? (long) number : number * 1_000_003L;
      case "TIMESTAMP":
        return 1_600_000_000_000L + number * 1000L;
      case "FLOAT":
        // RLBE adds differences of floats in older versions, which is exact for quarters.
        return encoding == TSEncoding.RLBE ? number / 4f : (float) (number / 100.0);
      case "DOUBLE":
        return encoding == TSEncoding.RLBE ? number / 4d : number / 100.0;
      default:
        return bytes(type, encoding, number);
    }
  }

  private static Binary bytes(TSDataType type, TSEncoding encoding, int number) {
    String word = WORDS[Math.floorMod(number, WORDS.length)];
    if (encoding != TSEncoding.DICTIONARY && word.length() > LONG_WORD) {
      word += number;
    }
    byte[] bytes = word.getBytes(StandardCharsets.UTF_8);
    if (type.name().equals("BLOB")) {
      int end = bytes.length;
      bytes = Arrays.copyOf(bytes, end + 2);
      bytes[end] = (byte) 0xff;
    }
    return new Binary(bytes);
  }
}
