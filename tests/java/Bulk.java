import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

import org.apache.iotdb.session.Session;
import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.utils.Binary;
import org.apache.tsfile.write.record.Tablet;
import org.apache.tsfile.write.schema.IMeasurementSchema;
import org.apache.tsfile.write.schema.MeasurementSchema;

/** Writes much data fast: PREFIX0, PREFIX1, ... with measurements m0, m1, ... of one type. */
final class Bulk {
  private final TSDataType type;
  private final int length;

  /** @param type a data type; TEXT, STRING and BLOB may be followed by the bytes of a value, as in BLOB:4096 */
  Bulk(String type) {
    String[] parts = type.split(":", 2);
    this.type = TSDataType.valueOf(parts[0]);
    this.length = parts.length == 2 ? Integer.parseInt(parts[1]) : 16;
  }

  /** Returns the number of points written. Equal arguments write equal values. */
  long write(Session session, String prefix, boolean aligned, int devices, int measurements, long start, long rows, int batch)
      throws Exception {
    List<IMeasurementSchema> schemas = new ArrayList<>();
    for (int i = 0; i < measurements; i++) {
      schemas.add(new MeasurementSchema("m" + i, type));
    }
    SplittableRandom random = new SplittableRandom(prefix.hashCode() * 31L + start);
    for (long from = 0; from < rows; from += batch) {
      int count = (int) Math.min(batch, rows - from);
      for (int device = 0; device < devices; device++) {
        Tablet tablet = new Tablet(prefix + device, schemas, count);
        for (int row = 0; row < count; row++) {
          tablet.addTimestamp(row, start + from + row);
        }
        for (Object column : tablet.getValues()) {
          fill(column, count, from, random);
        }
        // addTimestamp has made bit maps that call every cell empty; only addValue would clear them.
        tablet.setBitMaps(null);
        if (aligned) {
          session.insertAlignedTablet(tablet);
        } else {
          session.insertTablet(tablet);
        }
      }
    }
    return rows * devices * measurements;
  }

  /** Values that compress like a plant's: small steps for integers, two decimals for floats, noise for texts. */
  private void fill(Object column, int rows, long from, SplittableRandom random) {
    if (column instanceof double[]) {
      double[] values = (double[]) column;
      for (int i = 0; i < rows; i++) {
        values[i] = random.nextInt(10_000) / 100.0;
      }
    } else if (column instanceof float[]) {
      float[] values = (float[]) column;
      for (int i = 0; i < rows; i++) {
        values[i] = random.nextInt(10_000) / 100f;
      }
    } else if (column instanceof long[]) {
      long[] values = (long[]) column;
      for (int i = 0; i < rows; i++) {
        values[i] = (from + i) * 10 + random.nextInt(8);
      }
    } else if (column instanceof int[]) {
      int[] values = (int[]) column;
      for (int i = 0; i < rows; i++) {
        values[i] = random.nextInt(1000);
      }
    } else if (column instanceof boolean[]) {
      boolean[] values = (boolean[]) column;
      for (int i = 0; i < rows; i++) {
        values[i] = random.nextBoolean();
      }
    } else if (column instanceof Binary[]) {
      Binary[] values = (Binary[]) column;
      for (int i = 0; i < rows; i++) {
        values[i] = new Binary(bytes(random));
      }
    } else {
      throw new IllegalArgumentException("no bulk values of type " + type);
    }
  }

  private byte[] bytes(SplittableRandom random) {
    byte[] bytes = new byte[length];
    random.nextBytes(bytes);
    if (type != TSDataType.BLOB) {
      for (int i = 0; i < length; i++) {
        bytes[i] = (byte) ('a' + (bytes[i] & 15));
      }
    }
    return bytes;
  }
}
