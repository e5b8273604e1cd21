import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.metadata.IDeviceID;
import org.apache.tsfile.file.metadata.TimeseriesMetadata;
import org.apache.tsfile.file.metadata.enums.TSEncoding;
import org.apache.tsfile.read.TsFileDeviceIterator;
import org.apache.tsfile.read.TsFileSequenceReader;
import org.apache.tsfile.read.common.Chunk;
import org.apache.tsfile.read.reader.IChunkReader;
import org.apache.tsfile.read.reader.chunk.AlignedChunkReader;
import org.apache.tsfile.read.reader.chunk.ChunkReader;
import org.apache.tsfile.utils.Pair;
import org.apache.tsfile.write.schema.Schema;
import org.apache.tsfile.write.writer.TsFileIOWriter;

/** What is different in tsfile 2.0.1, the library of IoTDB 2.0.1-beta. */
final class Library {
  static final boolean V4 = true;
  /** REGULAR still has an encoder. */
  static final boolean REGULAR = true;
  /** RLE and TS_2DIFF keep floats that do not fit into their integers. */
  static final boolean KEEPS_WIDE_FLOATS = false;
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
    writer.startChunkGroup(Segments.id(device));
  }

  static String readGroup(TsFileSequenceReader reader) throws IOException {
    return Segments.text(reader.readChunkGroupHeader().getDeviceID());
  }

  static void devices(TsFileSequenceReader reader, Devices visitor) throws Exception {
    TsFileDeviceIterator devices = reader.getAllDevicesIteratorWithIsAligned();
    while (devices.hasNext()) {
      Pair<IDeviceID, Boolean> device = devices.next();
      List<TimeseriesMetadata> series = new ArrayList<>();
      reader.getDeviceTimeseriesMetadata(
          series, devices.getFirstMeasurementNodeOfCurrentDevice(), Collections.emptySet(), true);
      visitor.device(device.left, Segments.text(device.left), device.right, series);
    }
  }

  /** Finds a series by its name; null if the index does not lead to it. */
  static TimeseriesMetadata find(TsFileSequenceReader reader, Object id, String measurement) throws IOException {
    return reader.readTimeseriesMetadata((IDeviceID) id, measurement, true);
  }

  static long selfCheck(TsFileSequenceReader reader) throws IOException {
    return reader.selfCheck(new Schema(), new ArrayList<>(), false);
  }

  static IChunkReader chunkReader(Chunk chunk) throws IOException {
    return new ChunkReader(chunk);
  }

  static IChunkReader alignedChunkReader(Chunk time, Chunk value) throws IOException {
    return new AlignedChunkReader(time, Collections.singletonList(value));
  }

  static void tableModel(Path file, Expected expected) throws Exception {
    TableFile.write(file, expected);
  }

  /** Writes an encrypted file if the library can. */
  static boolean encrypted(Path file) throws IOException {
    return false;
  }

  static void describeTable(TsFileIOWriter writer, Table table) {
    Segments.describeTable(writer, table);
  }
}
