import java.nio.charset.StandardCharsets;
import java.time.LocalDate;
import java.util.SplittableRandom;

import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.utils.Binary;

/** Decides which values a random column holds. */
final class Values {
  /** How the values of a column go. Up to RUNS they are such that every encoding takes them. */
  enum Profile {
    CONSTANT,
    RAMP,
    NOISE,
    RUNS,
    WIDE,
    EXTREME;

    boolean tame() {
      return ordinal() <= RUNS.ordinal();
    }
  }

  private static final int[] INTS = {0, 1, -1, Integer.MIN_VALUE, Integer.MAX_VALUE, Integer.MIN_VALUE + 1, 1 << 30, -(1 << 30)};
  private static final long[] LONGS = {
    0, 1, -1, Long.MIN_VALUE, Long.MAX_VALUE, Long.MIN_VALUE + 1, 1L << 62, -(1L << 62), Integer.MIN_VALUE, 1L << 53
  };
  private static final int[] FLOATS = {
    0, 0x80000000, 0x3f800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7fc12345, 0xffc00001, 0x7f800001, 1, 0x80000001, 0x7f7fffff,
    0xff7fffff, 0x4f000000, 0x4b800000
  };
  private static final long[] DOUBLES = {
    0, 1L << 63, 0x3ff0000000000000L, 0x7ff0000000000000L, 0xfff0000000000000L, 0x7ff8000000000000L, 0x7ff8000000012345L,
    0xfff8000000000001L, 0x7ff0000000000001L, 1, 0x8000000000000001L, 0x7fefffffffffffffL, 0xffefffffffffffffL,
    0x43e0000000000000L, 0x4340000000000000L
  };
  private static final int LONG_TEXT = 2000;
  private static final LocalDate FIRST_DATE = LocalDate.of(1000, 1, 1);
  private static final int DATES = 3_287_181;

  private final TSDataType type;
  private final Profile profile;
  private final SplittableRandom random;
  private final long start;
  private final long step;
  private long index;
  private Object last;

  Values(TSDataType type, Profile profile, SplittableRandom random) {
    this.type = type;
    this.profile = profile;
    this.random = random;
    this.start = random.nextInt(100_000) - 20_000;
    this.step = random.nextInt(4) == 0 ? 0 : 1 + random.nextInt(20);
  }

  Object next() {
    long i = index++;
    if (last != null && (profile == Profile.CONSTANT || profile == Profile.RUNS && random.nextInt(20) != 0)) {
      return last;
    }
    last = draw(i);
    return last;
  }

  private Object draw(long i) {
    switch (type.name()) {
      case "BOOLEAN":
        return profile == Profile.RAMP ? i % 2 == 0 : random.nextBoolean();
      case "INT32":
        return profile == Profile.EXTREME ? INTS[random.nextInt(INTS.length)] : profile == Profile.WIDE ? random.nextInt() : (int) small(i);
      case "INT64":
      case "TIMESTAMP":
        return profile == Profile.EXTREME ? LONGS[random.nextInt(LONGS.length)] : profile == Profile.WIDE ? random.nextLong() : small(i);
      case "DATE":
        return date(profile == Profile.RAMP ? (int) (700_000 + i) : random.nextInt(DATES));
      case "FLOAT":
        return Float.intBitsToFloat(
            profile == Profile.EXTREME ? FLOATS[random.nextInt(FLOATS.length)]
                : profile == Profile.WIDE ? random.nextInt() : Float.floatToRawIntBits(small(i) / 100f));
      case "DOUBLE":
        return Double.longBitsToDouble(
            profile == Profile.EXTREME ? DOUBLES[random.nextInt(DOUBLES.length)]
                : profile == Profile.WIDE ? random.nextLong() : Double.doubleToRawLongBits(small(i) / 100d));
      default:
        return new Binary(bytes(i));
    }
  }

  private long small(long i) {
    return profile == Profile.RAMP ? start + step * i : start + random.nextInt(200);
  }

  private static int date(int day) {
    LocalDate date = FIRST_DATE.plusDays(day);
    return date.getYear() * 10_000 + date.getMonthValue() * 100 + date.getDayOfMonth();
  }

  private byte[] bytes(long i) {
    boolean text = type.name().equals("TEXT") || type.name().equals("STRING");
    switch (profile) {
      case RAMP:
        return ("value " + i).getBytes(StandardCharsets.UTF_8);
      case WIDE:
        return text ? Names.text(random, random.nextInt(30)).getBytes(StandardCharsets.UTF_8) : noise(random.nextInt(60));
      case EXTREME:
        switch (random.nextInt(4)) {
          case 0:
            return new byte[0];
          case 1:
            return new byte[] {0};
          case 2:
            return "\ud83d\ude00\ue000".getBytes(StandardCharsets.UTF_8);
          default:
            return new byte[random.nextInt(10) == 0 ? LONG_TEXT : 3];
        }
      default:
        return ("state " + random.nextInt(5)).getBytes(StandardCharsets.UTF_8);
    }
  }

  private byte[] noise(int length) {
    byte[] bytes = new byte[length];
    for (int i = 0; i < length; i++) {
      bytes[i] = (byte) random.nextInt(4) == 0 ? 0 : (byte) random.nextInt();
    }
    return bytes;
  }
}
