import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.metadata.IDeviceID;
import org.apache.tsfile.file.metadata.PlainDeviceID;
import org.apache.tsfile.file.metadata.TimeseriesMetadata;
import org.apache.tsfile.file.metadata.enums.TSEncoding;
import org.apache.tsfile.read.TsFileDeviceIterator;
import org.apache.tsfile.read.TsFileSequenceReader;
import org.apache.tsfile.read.common.Chunk;
import org.apache.tsfile.read.reader.IChunkReader;
import org.apache.tsfile.read.reader.chunk.AlignedChunkReader;
import org.apache.tsfile.read.reader.chunk.ChunkReader;
import org.apache.tsfile.utils.Pair;
import org.apache.tsfile.write.writer.TsFileIOWriter;

/** What is different in tsfile 1.1.3, the last library that writes version 3. */
final class Library {
  static final boolean V4 = false;
  /** REGULAR still has an encoder. */
  static final boolean REGULAR = true;
  /** RLE and TS_2DIFF keep floats that do not fit into their integers. */
  static final boolean KEEPS_WIDE_FLOATS = true;
  /** RLBE adds differences of floats, which loses bits. */
  static final boolean RLBE_ADDS_FLOATS = true;

  private Library() {}

  static List<TSDataType> types() {
    return Arrays.asList(
        TSDataType.BOOLEAN, TSDataType.INT32, TSDataType.INT64, TSDataType.FLOAT, TSDataType.DOUBLE, TSDataType.TEXT,
        TSDataType.TIMESTAMP, TSDataType.DATE, TSDataType.STRING, TSDataType.BLOB);
  }

  static List<TSEncoding> encodings(TSDataType type) {
    return Encodings.common(type);
  }

  static void startGroup(TsFileIOWriter writer, Device device) throws IOException {
    writer.startChunkGroup(new PlainDeviceID(device.dotted()));
  }

  static String readGroup(TsFileSequenceReader reader) throws IOException {
    return text(reader.readChunkGroupHeader().getDeviceID());
  }

  private static String text(IDeviceID device) {
    return Text.device(((PlainDeviceID) device).toStringID());
  }

  static void devices(TsFileSequenceReader reader, Devices visitor) throws Exception {
    TsFileDeviceIterator devices = reader.getAllDevicesIteratorWithIsAligned();
    while (devices.hasNext()) {
      Pair<IDeviceID, Boolean> device = devices.next();
      List<TimeseriesMetadata> series = new ArrayList<>();
      reader.getDeviceTimeseriesMetadata(series, devices.getFirstMeasurementNodeOfCurrentDevice(), Collections.emptySet(), true);
      visitor.device(device.left, text(device.left), device.right, series);
    }
  }

  /** Finds a series by its name; null if the index does not lead to it. */
  static TimeseriesMetadata find(TsFileSequenceReader reader, Object id, String measurement) throws IOException {
    return reader.readTimeseriesMetadata((IDeviceID) id, measurement, true);
  }

  static long selfCheck(TsFileSequenceReader reader) throws IOException {
    // Without a schema: building one fails on names that are not paths.
    return reader.selfCheck(null, new ArrayList<>(), false);
  }

  static IChunkReader chunkReader(Chunk chunk) throws IOException {
    return new ChunkReader(chunk);
  }

  static IChunkReader alignedChunkReader(Chunk time, Chunk value) throws IOException {
    return new AlignedChunkReader(time, Collections.singletonList(value));
  }

  static void tableModel(Path file, Expected expected) {
    throw new UnsupportedOperationException("the table model came with version 4");
  }

  /** Writes an encrypted file if the library can. */
  static boolean encrypted(Path file) {
    return false;
  }

  static void describeTable(TsFileIOWriter writer, Table table) {
    throw new UnsupportedOperationException("the table model came with version 4");
  }
}
