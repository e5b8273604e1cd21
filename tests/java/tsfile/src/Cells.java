import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;

import org.apache.tsfile.encoding.decoder.Decoder;
import org.apache.tsfile.encoding.encoder.Encoder;
import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.utils.Binary;
import org.apache.tsfile.write.chunk.ChunkWriterImpl;
import org.apache.tsfile.write.chunk.ValueChunkWriter;

/** Hands one value of any type to the library, whose methods are one for each type. */
final class Cells {
  private static final Binary NOTHING = new Binary(new byte[0]);

  private Cells() {}

  static void write(ChunkWriterImpl writer, TSDataType type, long time, Object value) {
    switch (type.name()) {
      case "BOOLEAN":
        writer.write(time, (boolean) (Boolean) value);
        break;
      case "INT32":
      case "DATE":
        writer.write(time, (int) (Integer) value);
        break;
      case "INT64":
      case "TIMESTAMP":
        writer.write(time, (long) (Long) value);
        break;
      case "FLOAT":
        writer.write(time, (float) (Float) value);
        break;
      case "DOUBLE":
        writer.write(time, (double) (Double) value);
        break;
      default:
        writer.write(time, (Binary) value);
    }
  }

  /** A null value is a row without one. */
  static void write(ValueChunkWriter writer, TSDataType type, long time, Object value) {
    boolean isNull = value == null;
    switch (type.name()) {
      case "BOOLEAN":
        writer.write(time, isNull ? false : (boolean) (Boolean) value, isNull);
        break;
      case "INT32":
      case "DATE":
        writer.write(time, isNull ? 0 : (int) (Integer) value, isNull);
        break;
      case "INT64":
      case "TIMESTAMP":
        writer.write(time, isNull ? 0 : (long) (Long) value, isNull);
        break;
      case "FLOAT":
        writer.write(time, isNull ? 0 : (float) (Float) value, isNull);
        break;
      case "DOUBLE":
        writer.write(time, isNull ? 0 : (double) (Double) value, isNull);
        break;
      default:
        writer.write(time, isNull ? NOTHING : (Binary) value, isNull);
    }
  }

  static Object read(Decoder decoder, TSDataType type, ByteBuffer from) {
    switch (type.name()) {
      case "BOOLEAN":
        return decoder.readBoolean(from);
      case "INT32":
      case "DATE":
        return decoder.readInt(from);
      case "INT64":
      case "TIMESTAMP":
        return decoder.readLong(from);
      case "FLOAT":
        return decoder.readFloat(from);
      case "DOUBLE":
        return decoder.readDouble(from);
      default:
        return decoder.readBinary(from);
    }
  }

  static byte[] encode(Encoder encoder, TSDataType type, List<Object> values) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (Object value : values) {
      switch (type.name()) {
        case "BOOLEAN":
          encoder.encode((boolean) (Boolean) value, out);
          break;
        case "INT32":
        case "DATE":
          encoder.encode((int) (Integer) value, out);
          break;
        case "INT64":
        case "TIMESTAMP":
          encoder.encode((long) (Long) value, out);
          break;
        case "FLOAT":
          encoder.encode((float) (Float) value, out);
          break;
        case "DOUBLE":
          encoder.encode((double) (Double) value, out);
          break;
        default:
          encoder.encode((Binary) value, out);
      }
    }
    encoder.flush(out);
    return out.toByteArray();
  }
}
