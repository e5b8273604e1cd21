import java.util.SplittableRandom;

/** Decides the times of a random device: ascending in every chunk, and in some files going back between chunks. */
final class Times {
  private static final long[] STARTS = {0, 1_700_000_000_000L, -5_000, -1_000_000_000_000_000L, Long.MIN_VALUE, Long.MAX_VALUE - (1L << 40)};
  private static final long[] STEPS = {1, 10, 1000, 60_000};

  private final SplittableRandom random;
  private final boolean overlapping;
  private final long start;
  private final long step;
  private final boolean regular;
  /** Rows in units of the step from the start, so that overlapping chunks meet at equal times. */
  private long row;
  private long end;

  Times(SplittableRandom random, boolean overlapping) {
    this.random = random;
    this.overlapping = overlapping;
    this.start = STARTS[random.nextInt(STARTS.length)];
    this.step = STEPS[random.nextInt(STEPS.length)];
    this.regular = random.nextBoolean();
  }

  void startChunk() {
    end = Math.max(end, row);
    row = overlapping && end > 0 && random.nextInt(3) != 0 ? random.nextLong(end) : end;
  }

  long[] next(int rows) {
    long[] times = new long[rows];
    for (int i = 0; i < rows; i++) {
      times[i] = start + step * row;
      row += regular ? 1 : 1 + random.nextInt(4);
    }
    if (!regular && random.nextInt(8) == 0) {
      row += random.nextInt(1 << 20);
    }
    return times;
  }
}
