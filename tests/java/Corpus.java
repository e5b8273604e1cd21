import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

import org.apache.iotdb.commons.consensus.index.impl.SimpleProgressIndex;
import org.apache.iotdb.db.storageengine.dataregion.tsfile.TsFileResource;
import org.apache.iotdb.db.storageengine.dataregion.tsfile.TsFileResourceStatus;
import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.metadata.IDeviceID;
import org.apache.tsfile.utils.Binary;
import org.apache.tsfile.write.TsFileWriter;
import org.apache.tsfile.write.record.Tablet;
import org.apache.tsfile.write.schema.IMeasurementSchema;
import org.apache.tsfile.write.schema.MeasurementSchema;

/**
 * Fills a data directory (one of dn_data_dirs) with sealed TsFiles and their .resource without a server, for tests and
 * benches that need many or large files: region 1 of root.corpus, one file after the other in time.
 *
 * <pre>
 * Corpus DIR SEED FILES ROWS [VALUE_BYTES]
 * </pre>
 *
 * A file holds ROWS rows of one aligned device: a DOUBLE, an INT64 and, if VALUE_BYTES is given, a BLOB of so many random
 * bytes, which decides the size. Equal arguments make equal TsFiles.
 */
public final class Corpus {
  private static final String DEVICE = "root.corpus.d0";
  private static final long FIRST_TIME = 1_700_000_000_000L;
  private static final long PARTITION_MS = 604_800_000L;
  private static final int BATCH_ROWS = 1000;
  private static final long FLUSH_BYTES = 64L << 20;

  private final SplittableRandom random;
  private final int valueBytes;

  private Corpus(long seed, int valueBytes) {
    this.random = new SplittableRandom(seed);
    this.valueBytes = valueBytes;
  }

  public static void main(String[] args) throws Exception {
    if (args.length < 4 || args.length > 5) {
      System.err.println("usage: Corpus DIR SEED FILES ROWS [VALUE_BYTES]");
      System.exit(2);
    }
    int files = Integer.parseInt(args[2]);
    int rows = Integer.parseInt(args[3]);
    Corpus corpus = new Corpus(Long.parseLong(args[1]), args.length == 5 ? Integer.parseInt(args[4]) : 0);
    long bytes = 0;
    for (int i = 0; i < files; i++) {
      long start = FIRST_TIME + (long) i * rows;
      Path partition = Path.of(args[0], "sequence", "root.corpus", "1", Long.toString(start / PARTITION_MS));
      Files.createDirectories(partition);
      bytes += corpus.file(partition.resolve((FIRST_TIME + i) + "-" + (i + 1) + "-0-0.tsfile").toFile(), i, start, rows);
    }
    System.out.println("ok files=" + files + " bytes=" + bytes);
    // Some server classes start threads that would keep the JVM alive.
    System.exit(0);
  }

  private long file(File file, int index, long start, int rows) throws Exception {
    List<IMeasurementSchema> schemas = new ArrayList<>();
    schemas.add(new MeasurementSchema("m_double", TSDataType.DOUBLE));
    schemas.add(new MeasurementSchema("m_int64", TSDataType.INT64));
    if (valueBytes > 0) {
      schemas.add(new MeasurementSchema("m_blob", TSDataType.BLOB));
    }
    try (TsFileWriter writer = new TsFileWriter(file)) {
      writer.registerAlignedTimeseries(DEVICE, schemas);
      long unflushed = 0;
      for (int from = 0; from < rows; from += BATCH_ROWS) {
        int count = Math.min(BATCH_ROWS, rows - from);
        writer.writeTree(tablet(schemas, start + from, count));
        unflushed += (long) count * valueBytes;
        if (unflushed >= FLUSH_BYTES) {
          writer.flush();
          unflushed = 0;
        }
      }
    }
    TsFileResource resource = new TsFileResource(file);
    IDeviceID device = IDeviceID.Factory.DEFAULT_FACTORY.create(DEVICE);
    resource.updateStartTime(device, start);
    resource.updateEndTime(device, start + rows - 1);
    resource.updateProgressIndex(new SimpleProgressIndex(1, index));
    resource.setStatus(TsFileResourceStatus.NORMAL);
    resource.serialize();
    return file.length();
  }

  private Tablet tablet(List<IMeasurementSchema> schemas, long start, int rows) {
    Tablet tablet = new Tablet(DEVICE, schemas, rows);
    for (int row = 0; row < rows; row++) {
      tablet.addTimestamp(row, start + row);
      tablet.addValue("m_double", row, (Object) (random.nextInt(10_000) / 100.0));
      tablet.addValue("m_int64", row, (Object) (start + random.nextInt(8)));
      if (valueBytes > 0) {
        byte[] bytes = new byte[valueBytes];
        random.nextBytes(bytes);
        tablet.addValue("m_blob", row, new Binary(bytes));
      }
    }
    return tablet;
  }
}
