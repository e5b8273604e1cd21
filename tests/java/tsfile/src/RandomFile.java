import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

import org.apache.tsfile.common.conf.TSFileConfig;
import org.apache.tsfile.common.conf.TSFileDescriptor;
import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.metadata.enums.CompressionType;
import org.apache.tsfile.write.chunk.AlignedChunkWriterImpl;
import org.apache.tsfile.write.chunk.ChunkWriterImpl;
import org.apache.tsfile.write.schema.IMeasurementSchema;
import org.apache.tsfile.write.writer.TsFileIOWriter;

/** Decides what one random file holds, and keeps what was written into it. */
final class RandomFile {
  private static final String[] TIME_ENCODINGS = {"TS_2DIFF", "TS_2DIFF", "TS_2DIFF", "TS_2DIFF", "PLAIN", "RLE"};
  private static final int[] DEGREES = {2, 3, 5, 256};
  private static final int[] PAGE_ROWS = {1, 2, 7, 8, 9, 16, 17, 63, 100, 128, 129, 130, 300};
  private static final int LARGE_PAGE_ROWS = 3000;

  /** A device with its columns, and the rows it has so far. */
  static final class Written {
    final Device device;
    final boolean aligned;
    final List<Column> columns = new ArrayList<>();
    private final Times times;

    Written(Device device, boolean aligned, Times times) {
      this.device = device;
      this.aligned = aligned;
      this.times = times;
    }
  }

  final String timeEncoding;
  final List<Written> devices = new ArrayList<>();
  private final SplittableRandom random;
  private final boolean overlapping;
  private final Names names;
  private final List<Table> tables = new ArrayList<>();

  RandomFile(SplittableRandom random) {
    this.random = random;
    this.timeEncoding = TIME_ENCODINGS[random.nextInt(TIME_ENCODINGS.length)];
    this.overlapping = random.nextInt(3) == 0;
    this.names = new Names(random.split());
    if (Library.V4 && random.nextInt(3) == 0) {
      addTables();
    } else {
      addTreeDevices();
    }
  }

  private TSDataType anyType() {
    return Library.types().get(random.nextInt(Library.types().size()));
  }

  private Times times() {
    return new Times(random.split(), overlapping);
  }

  private void addTreeDevices() {
    int count = 1 + random.nextInt(random.nextInt(4) == 0 ? 12 : 4);
    for (int i = 0; i < count; i++) {
      List<String> nodes = new ArrayList<>(Arrays.asList("root", random.nextBoolean() ? "sg" : names.node()));
      int more = random.nextInt(5);
      for (int node = 0; node < more; node++) {
        nodes.add(names.node());
      }
      nodes.add(names.fresh());
      Written written = new Written(Device.tree(nodes.toArray(new String[0])), random.nextBoolean(), times());
      int columns = 1 + random.nextInt(random.nextInt(4) == 0 ? 20 : 6);
      Names columnNames = new Names(random.split());
      for (int column = 0; column < columns; column++) {
        written.columns.add(new Column(columnNames.fresh(), anyType(), random.split()));
      }
      devices.add(written);
    }
  }

  private void addTables() {
    int count = 1 + random.nextInt(3);
    for (int i = 0; i < count; i++) {
      Table table = new Table(names.freshSmall());
      Names columnNames = new Names(random.split());
      int tags = 1 + random.nextInt(3);
      for (int tag = 0; tag < tags; tag++) {
        table.tags.add(columnNames.freshSmall());
      }
      int fields = 1 + random.nextInt(5);
      for (int field = 0; field < fields; field++) {
        table.fields.put(columnNames.freshSmall(), anyType());
      }
      tables.add(table);
      Names tagValues = new Names(random.split());
      int rows = 1 + random.nextInt(4);
      for (int row = 0; row < rows; row++) {
        List<String> id = new ArrayList<>();
        id.add(table.name);
        // One tag tells the devices apart, the others may be null or empty.
        int telling = random.nextInt(tags);
        for (int tag = 0; tag < tags; tag++) {
          id.add(tag == telling ? tagValues.fresh() : random.nextBoolean() ? null : random.nextBoolean() ? "" : tagValues.any());
        }
        Written written = new Written(Device.table(id), true, times());
        table.fields.forEach((name, type) -> written.columns.add(new Column(name, type, random.split())));
        devices.add(written);
      }
    }
  }

  void write(File file) throws IOException {
    TSFileConfig config = TSFileDescriptor.getInstance().getConfig();
    config.setMaxDegreeOfIndexNode(DEGREES[random.nextInt(DEGREES.length)]);
    config.setCompressor(CompressionType.values()[random.nextInt(CompressionType.values().length)].name());
    Series.timeEncoding(timeEncoding);
    TsFileIOWriter writer = new TsFileIOWriter(file);
    for (Table table : tables) {
      Library.describeTable(writer, table);
    }
    int flushes = 1 + random.nextInt(4);
    for (int flush = 0; flush < flushes; flush++) {
      for (Written written : devices) {
        // Every device is there once at least.
        if (flush == 0 || random.nextInt(3) != 0) {
          group(writer, written);
        }
      }
      if (random.nextBoolean()) {
        writer.setMinPlanIndex(flush * 10L);
        writer.setMaxPlanIndex(flush * 10L + random.nextInt(10));
        writer.writePlanIndices();
      }
    }
    writer.endFile();
  }

  private void group(TsFileIOWriter writer, Written written) throws IOException {
    List<Column> columns = new ArrayList<>();
    for (Column column : written.columns) {
      if (random.nextInt(6) != 0) {
        columns.add(column);
        if (random.nextInt(4) == 0) {
          column.change();
        }
      }
    }
    if (columns.isEmpty()) {
      columns.add(written.columns.get(0));
    }
    Library.startGroup(writer, written.device);
    int chunks = random.nextInt(4) == 0 ? 2 : 1;
    for (int chunk = 0; chunk < chunks; chunk++) {
      if (written.aligned) {
        aligned(writer, written, columns);
      } else {
        for (Column column : columns) {
          plain(writer, written, column);
        }
      }
    }
    writer.endChunkGroup();
  }

  private int pageRows() {
    return random.nextInt(60) == 0 ? LARGE_PAGE_ROWS : PAGE_ROWS[random.nextInt(PAGE_ROWS.length)];
  }

  private int pages() {
    return random.nextBoolean() ? 1 : 1 + random.nextInt(4);
  }

  private void plain(TsFileIOWriter writer, Written written, Column column) throws IOException {
    ChunkWriterImpl chunk = new ChunkWriterImpl(column.schema());
    written.times.startChunk();
    int pages = pages();
    for (int page = 0; page < pages; page++) {
      int rows = pageRows();
      List<Object> values = column.next(rows);
      long[] times = written.times.next(rows);
      for (int row = 0; row < rows; row++) {
        Cells.write(chunk, column.type, times[row], values.get(row));
        column.wrote(times[row], values.get(row));
      }
      chunk.sealCurrentPage();
    }
    chunk.writeToFileWriter(writer);
  }

  private void aligned(TsFileIOWriter writer, Written written, List<Column> columns) throws IOException {
    List<IMeasurementSchema> schemas = new ArrayList<>();
    for (Column column : columns) {
      schemas.add(column.schema());
    }
    AlignedChunkWriterImpl chunk = new AlignedChunkWriterImpl(schemas);
    written.times.startChunk();
    int pages = pages();
    for (int page = 0; page < pages; page++) {
      int rows = pageRows();
      long[] times = written.times.next(rows);
      for (long time : times) {
        chunk.writeTime(time);
      }
      for (int at = 0; at < columns.size(); at++) {
        alignedColumn(chunk, at, columns.get(at), times);
      }
      chunk.sealCurrentPage();
    }
    chunk.writeToFileWriter(writer);
  }

  private void alignedColumn(AlignedChunkWriterImpl chunk, int at, Column column, long[] times) {
    boolean[] present = new boolean[times.length];
    int count = 0;
    boolean emptyPage = random.nextInt(8) == 0;
    for (int row = 0; row < times.length; row++) {
      present[row] = !emptyPage && random.nextInt(100) >= column.nullsIn100;
      count += present[row] ? 1 : 0;
    }
    List<Object> values = column.next(count);
    int next = 0;
    for (int row = 0; row < times.length; row++) {
      Object value = present[row] ? values.get(next++) : null;
      Cells.write(chunk.getValueChunkWriterByIndex(at), column.type, times[row], value);
      if (value != null) {
        column.wrote(times[row], value);
      }
    }
  }
}
