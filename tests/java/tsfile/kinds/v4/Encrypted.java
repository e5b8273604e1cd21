import java.io.IOException;
import java.nio.file.Path;

import org.apache.tsfile.encrypt.EncryptParameter;
import org.apache.tsfile.encrypt.EncryptUtils;
import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.metadata.enums.CompressionType;
import org.apache.tsfile.file.metadata.enums.TSEncoding;
import org.apache.tsfile.write.chunk.ChunkWriterImpl;
import org.apache.tsfile.write.schema.MeasurementSchema;
import org.apache.tsfile.write.writer.TsFileIOWriter;

/** An encrypted file: the library's own frame of it, around a cipher of ours, since it ships none. */
final class Encrypted {
  private static final byte[] KEY = "0123456789abcdef".getBytes(java.nio.charset.StandardCharsets.US_ASCII);

  private Encrypted() {}

  static boolean write(Path file) throws IOException {
    EncryptParameter parameter = new EncryptParameter("tidegate.Scramble", KEY);
    TsFileIOWriter writer = new TsFileIOWriter(file.toFile(), parameter);
    Library.startGroup(writer, Device.path("root.special.d"));
    TSDataType type = TSDataType.INT32;
    ChunkWriterImpl chunk = new ChunkWriterImpl(
        new MeasurementSchema("s", type, TSEncoding.TS_2DIFF, CompressionType.LZ4), EncryptUtils.getEncryptParameter(parameter));
    for (int row = 0; row < 100; row++) {
      Cells.write(chunk, type, Fixed.time(row), Fixed.value(type, TSEncoding.TS_2DIFF, row));
    }
    chunk.writeToFileWriter(writer);
    writer.endChunkGroup();
    writer.endFile();
    return true;
  }
}
