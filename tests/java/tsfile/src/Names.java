import java.util.HashSet;
import java.util.Locale;
import java.util.Set;
import java.util.SplittableRandom;

/** Decides what random names look like: plain ones, every script, and what is special to paths, lines and sort orders. */
final class Names {
  // Beyond U+FFFF and just below it: UTF-16 order and UTF-8 order differ exactly there.
  private static final String[] ALPHABETS = {
    "abcxyzABC019_",
    "\u00e9\u00fc\u00df\u0e01\u0929\u05d0\u0639\u4e2d\u6e29\u5ea6\ud55c",
    "\ud83c\udf21\ud83d\ude00\ud800\udc00\udbff\udfff\ue000\uf8ff\uff5e\uffff",
    ",%\\\n\r\t \"'`$#@:*/+-=(){}[]<>|\u0000\u007f\u0085\u2028",
    "e\u0301\u200d\u202e\ufeff",
  };
  private static final int LONG_NAME = 300;

  private final SplittableRandom random;
  private final Set<String> used = new HashSet<>();

  Names(SplittableRandom random) {
    this.random = random;
  }

  /** A name not given before. */
  String fresh() {
    while (true) {
      String name = any();
      if (used.add(name)) {
        return name;
      }
    }
  }

  /** A name of a table or of one of its columns: the library writes them in small letters. */
  String freshSmall() {
    while (true) {
      String name = any().toLowerCase(Locale.ROOT);
      if (used.add(name)) {
        return name;
      }
    }
  }

  /** A name of one character or more, without dots and never the word that stands for a missing tag. */
  String any() {
    int length = 1 + random.nextInt(6);
    if (random.nextInt(20) == 0) {
      length = LONG_NAME;
    }
    boolean mixed = random.nextInt(5) == 0;
    String alphabet = ALPHABETS[random.nextInt(3) == 0 ? random.nextInt(ALPHABETS.length) : 0];
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < length; i++) {
      String from = mixed ? ALPHABETS[random.nextInt(ALPHABETS.length)] : alphabet;
      out.appendCodePoint(from.codePointAt(from.offsetByCodePoints(0, random.nextInt(from.codePointCount(0, from.length())))));
    }
    String name = out.toString();
    return name.equals("null") ? "null_" : name;
  }

  /** A node of a path; some have the form IoTDB gives to nodes with dots. */
  String node() {
    return random.nextInt(8) == 0 ? '`' + any() + '.' + any() + '`' : any();
  }

  /** Any text, of every plane, without lone surrogates. */
  static String text(SplittableRandom random, int points) {
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < points; i++) {
      int[] limits = {0x80, 0x800, 0xd800, 0x110000};
      int point = random.nextInt(limits[random.nextInt(limits.length)]);
      out.appendCodePoint(point >= 0xd800 && point < 0xe000 ? 0xfffd : point);
    }
    return out.toString();
  }
}
