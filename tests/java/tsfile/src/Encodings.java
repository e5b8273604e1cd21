import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

import org.apache.tsfile.encoding.decoder.Decoder;
import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.metadata.enums.TSEncoding;
import org.apache.tsfile.write.schema.MeasurementSchema;

/** Decides which encodings a type is written with, and what comes back of the values. */
final class Encodings {
  private static final List<TSEncoding> INTEGERS = Arrays.asList(
      TSEncoding.PLAIN, TSEncoding.RLE, TSEncoding.TS_2DIFF, TSEncoding.GORILLA, TSEncoding.ZIGZAG, TSEncoding.CHIMP,
      TSEncoding.SPRINTZ, TSEncoding.RLBE);
  private static final List<TSEncoding> FLOATS = Arrays.asList(
      TSEncoding.PLAIN, TSEncoding.RLE, TSEncoding.TS_2DIFF, TSEncoding.GORILLA_V1, TSEncoding.GORILLA, TSEncoding.CHIMP,
      TSEncoding.SPRINTZ, TSEncoding.RLBE);

  private Encodings() {}

  /** Whatever the library has an encoder for. */
  static List<TSEncoding> all(TSDataType type) {
    List<TSEncoding> encodings = new ArrayList<>(Library.encodings(type));
    boolean integer = encodings.contains(TSEncoding.ZIGZAG);
    if (integer && !encodings.contains(TSEncoding.SPRINTZ)) {
      encodings.add(TSEncoding.SPRINTZ);
      encodings.add(TSEncoding.RLBE);
    }
    if (integer && Library.REGULAR) {
      encodings.add(TSEncoding.REGULAR);
    }
    return encodings;
  }

  /** What comes back may differ from what was written: by rounding, or by the overflows of SPRINTZ. */
  static boolean lossy(TSDataType type, TSEncoding encoding) {
    boolean floats = type == TSDataType.FLOAT || type == TSDataType.DOUBLE;
    switch (encoding.name()) {
      case "SPRINTZ":
        return true;
      case "RLE":
      case "TS_2DIFF":
      case "CAMEL":
        return floats;
      case "RLBE":
        return floats && Library.RLBE_ADDS_FLOATS;
      default:
        return false;
    }
  }

  /**
   * The library's decoder gives as many values as its encoder was given, and the same ones if the encoding is exact. Its
   * readers never ask whether there is a next one.
   */
  static boolean readable(MeasurementSchema schema, List<Object> values) {
    if (values.isEmpty()) {
      return true;
    }
    try {
      ByteBuffer bytes = ByteBuffer.wrap(Cells.encode(schema.getValueEncoder(), schema.getType(), values));
      Decoder decoder = Decoder.getDecoderByType(schema.getEncodingType(), schema.getType());
      for (int i = 0; i < values.size(); i++) {
        Object read = Cells.read(decoder, schema.getType(), bytes);
        if (!lossy(schema.getType(), schema.getEncodingType()) && !read.equals(values.get(i))) {
          return false;
        }
      }
      return true;
    } catch (Exception e) {
      return false;
    }
  }

  static List<TSEncoding> common(TSDataType type) {
    switch (type.name()) {
      case "BOOLEAN":
        return Arrays.asList(TSEncoding.PLAIN, TSEncoding.RLE);
      case "INT32":
      case "INT64":
        return INTEGERS;
      case "TIMESTAMP":
      case "DATE":
        // The corpus was made without SPRINTZ and RLBE for these.
        return INTEGERS.subList(0, 6);
      case "FLOAT":
      case "DOUBLE":
        return FLOATS;
      case "TEXT":
      case "STRING":
        return Arrays.asList(TSEncoding.PLAIN, TSEncoding.DICTIONARY);
      default:
        return Collections.singletonList(TSEncoding.PLAIN);
    }
  }
}
