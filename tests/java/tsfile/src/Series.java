import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;

import org.apache.tsfile.common.conf.TSFileDescriptor;
import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.metadata.ChunkMetadata;
import org.apache.tsfile.file.metadata.IChunkMetadata;
import org.apache.tsfile.file.metadata.TimeseriesMetadata;
import org.apache.tsfile.read.TsFileSequenceReader;
import org.apache.tsfile.read.common.BatchData;
import org.apache.tsfile.read.common.Chunk;
import org.apache.tsfile.read.reader.IChunkReader;
import org.apache.tsfile.utils.TsPrimitiveType;

/**
 * Decides what the points of a series are: those of all its chunks as the library's chunk readers give them, ascending in
 * time, and at equal times the one of the later chunk. That is how IoTDB answers a query of one file whose chunks overlap.
 * Only the chunks that overlap at the time just printed are in memory.
 */
final class Series {
  /** Takes the points. */
  interface Sink {
    void point(long time, TSDataType type, Object value) throws IOException;
  }

  private final TsFileSequenceReader reader;
  private final String timeEncoding;

  /** Files do not say how the times of series that are not aligned are encoded; the caller has to. */
  Series(TsFileSequenceReader reader, String timeEncoding) {
    this.reader = reader;
    this.timeEncoding = timeEncoding;
  }

  static void timeEncoding(String name) {
    TSFileDescriptor.getInstance().getConfig().setTimeEncoder(name);
  }

  /** The chunks of a column in the order of the file; an aligned column without any chunk has none. */
  static List<ChunkMetadata> chunks(TimeseriesMetadata series) {
    List<ChunkMetadata> chunks = new ArrayList<>();
    for (IChunkMetadata chunk : series.getChunkMetadataList()) {
      chunks.add((ChunkMetadata) chunk);
    }
    chunks.sort(Comparator.comparingLong(ChunkMetadata::getOffsetOfChunkHeader));
    return chunks;
  }

  /** The time chunk of a value chunk is the last one before it. `times` is in the order of the file. */
  static ChunkMetadata timeChunk(List<ChunkMetadata> times, ChunkMetadata value) {
    ChunkMetadata found = null;
    for (ChunkMetadata time : times) {
      if (time.getOffsetOfChunkHeader() < value.getOffsetOfChunkHeader()) {
        found = time;
      }
    }
    if (found == null) {
      throw new IllegalStateException("value chunk at " + value.getOffsetOfChunkHeader() + " has no time chunk before it");
    }
    return found;
  }

  /** All points of a series; `times` are the chunks of the time column, or null if the device is not aligned. */
  void points(TimeseriesMetadata series, List<ChunkMetadata> times, Sink sink) throws IOException {
    List<ChunkMetadata> waiting = chunks(series);
    waiting.removeIf(chunk -> chunk.getStatistics().getCount() == 0);
    waiting.sort(Comparator.comparingLong(ChunkMetadata::getStartTime));
    PriorityQueue<Cursor> open = new PriorityQueue<>(
        Comparator.comparingLong((Cursor cursor) -> cursor.time).thenComparingLong(cursor -> -cursor.offset));
    int next = 0;
    while (next < waiting.size() || !open.isEmpty()) {
      while (next < waiting.size() && (open.isEmpty() || waiting.get(next).getStartTime() <= open.peek().time)) {
        Cursor cursor = cursor(waiting.get(next++), times);
        if (cursor.advance()) {
          open.add(cursor);
        }
      }
      if (open.isEmpty()) {
        continue;
      }
      long time = open.peek().time;
      boolean first = true;
      while (!open.isEmpty() && open.peek().time == time) {
        Cursor cursor = open.poll();
        if (first) {
          sink.point(time, series.getTsDataType(), cursor.value);
          first = false;
        }
        if (cursor.advance()) {
          open.add(cursor);
        }
      }
    }
  }

  /** The points of one chunk. */
  Cursor cursor(ChunkMetadata metadata, List<ChunkMetadata> times) throws IOException {
    Chunk chunk = reader.readMemChunk(metadata);
    if (times == null) {
      timeEncoding(timeEncoding);
      return new Cursor(Library.chunkReader(chunk), metadata.getOffsetOfChunkHeader());
    }
    Chunk time = reader.readMemChunk(timeChunk(times, metadata));
    // The library takes the encoding from its configuration, though the header of a time chunk has it.
    timeEncoding(time.getHeader().getEncodingType().name());
    return new Cursor(Library.alignedChunkReader(time, chunk), metadata.getOffsetOfChunkHeader());
  }

  /** Walks through one chunk page by page. */
  static final class Cursor {
    final long offset;
    long time;
    Object value;
    private final IChunkReader reader;
    private BatchData page;

    private Cursor(IChunkReader reader, long offset) {
      this.reader = reader;
      this.offset = offset;
    }

    /** Goes to the next point; false at the end. */
    boolean advance() throws IOException {
      while (true) {
        while (page != null && page.hasCurrent()) {
          time = page.currentTime();
          Object found = page.currentValue();
          page.next();
          if (found instanceof TsPrimitiveType[]) {
            TsPrimitiveType cell = ((TsPrimitiveType[]) found)[0];
            found = cell == null ? null : cell.getValue();
          }
          if (found != null) {
            value = found;
            return true;
          }
        }
        if (!reader.hasNextSatisfiedPage()) {
          return false;
        }
        page = reader.nextPageData();
      }
    }
  }
}
