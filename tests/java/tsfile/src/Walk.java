import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

import org.apache.tsfile.common.conf.TSFileConfig;
import org.apache.tsfile.encoding.decoder.Decoder;
import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.MetaMarker;
import org.apache.tsfile.file.header.ChunkHeader;
import org.apache.tsfile.file.header.PageHeader;
import org.apache.tsfile.file.metadata.enums.TSEncoding;
import org.apache.tsfile.file.metadata.statistics.Statistics;
import org.apache.tsfile.read.TsFileSequenceReader;
import org.apache.tsfile.utils.Binary;
import org.apache.tsfile.utils.ReadWriteForEncodingUtils;

/** Reads the data section from its begin to its end without the index, and computes anew what the file says of itself. */
final class Walk {
  private static final int TIME = 0x80;
  private static final int VALUE = 0x40;

  /** What was found of one chunk. */
  static final class Found {
    final String device;
    final ChunkHeader header;
    Statistics<?> statistics;
    /** Of the times and values in order, to compare them with what the chunk readers give. */
    long hash = 1;

    private Found(String device, ChunkHeader header) {
      this.device = device;
      this.header = header;
      this.statistics = Statistics.getStatsByType(header.getDataType());
    }

    void point(long time, Object value) {
      hash = mix(hash, time, value);
    }
  }

  final Map<Long, Found> chunks = new HashMap<>();
  private final TsFileSequenceReader reader;
  private final TSEncoding timeEncoding;
  private String device;
  /** The pages of every time chunk of the group, and how many chunks of each column the group had so far. */
  private final List<List<long[]>> times = new ArrayList<>();
  private final Map<String, Integer> columns = new HashMap<>();

  Walk(TsFileSequenceReader reader, String timeEncoding) {
    this.reader = reader;
    this.timeEncoding = TSEncoding.valueOf(timeEncoding);
  }

  static long mix(long hash, long time, Object value) {
    return (hash * 31 + time) * 31 + value.hashCode();
  }

  /** Fails at the first thing that is wrong; returns the position of the separator. */
  long run() throws IOException {
    reader.position(TSFileConfig.MAGIC_STRING.length() + 1);
    while (true) {
      long at = reader.position();
      byte marker = reader.readMarker();
      switch (marker) {
        case MetaMarker.SEPARATOR:
          return at;
        case MetaMarker.CHUNK_GROUP_HEADER:
          device = Library.readGroup(reader);
          times.clear();
          columns.clear();
          break;
        case MetaMarker.OPERATION_INDEX_RANGE:
          reader.readPlanIndex();
          device = null;
          break;
        default:
          if (device == null) {
            throw new IllegalStateException("marker " + marker + " at " + at + " outside of a chunk group");
          }
          try {
            chunk(at, marker);
          } catch (Exception e) {
            throw new IllegalStateException("chunk at " + at + " of " + device + ": " + e, e);
          }
      }
    }
  }

  private void chunk(long at, byte marker) throws IOException {
    ChunkHeader header = reader.readChunkHeader(marker);
    Found found = new Found(device, header);
    chunks.put(at, found);
    List<long[]> pageTimes = null;
    if ((marker & TIME) != 0) {
      pageTimes = new ArrayList<>();
      times.add(pageTimes);
    } else if ((marker & VALUE) != 0) {
      int index = columns.merge(header.getMeasurementID(), 1, Integer::sum) - 1;
      // It belongs to the last time chunk; that a column has more chunks than there are time chunks is an error.
      pageTimes = times.get(Math.max(index, times.size() - 1));
    }
    boolean pageStatistics = (marker & 0x3f) == MetaMarker.CHUNK_HEADER;
    long end = reader.position() + header.getDataSize();
    int pages = 0;
    while (reader.position() < end) {
      PageHeader page = reader.readPageHeader(header.getDataType(), pageStatistics);
      Statistics<?> computed = Statistics.getStatsByType(header.getDataType());
      if (page.getUncompressedSize() != 0) {
        page(found, computed, reader.readPage(page, header.getCompressionType()), pageTimes, pages);
        if (pageStatistics) {
          Check.same("page " + pages, header, computed, page.getStatistics());
        }
        merge(found.statistics, computed);
      } else if ((marker & TIME) != 0) {
        throw new IllegalStateException("time page " + pages + " is empty");
      }
      pages++;
    }
    if (reader.position() != end) {
      throw new IllegalStateException("pages end at " + reader.position() + ", the header says " + end);
    }
    if (pages > 1 != pageStatistics && header.getDataSize() > 0) {
      throw new IllegalStateException(pages + " pages do not go with marker " + marker);
    }
    if (pageTimes != null && (marker & VALUE) != 0 && pages > 0 && pages != pageTimes.size()) {
      throw new IllegalStateException(pages + " pages, but its time chunk has " + pageTimes.size());
    }
  }

  @SuppressWarnings({"unchecked", "rawtypes"})
  static void merge(Statistics into, Statistics from) {
    into.mergeStatistics(from);
  }

  private void page(Found found, Statistics<?> computed, ByteBuffer body, List<long[]> pageTimes, int page) {
    ChunkHeader header = found.header;
    if (header.getDataType() == TSDataType.VECTOR) {
      long[] decoded = times(header.getEncodingType(), body);
      pageTimes.add(decoded);
      for (long time : decoded) {
        computed.update(time);
      }
      return;
    }
    long[] all;
    byte[] present = null;
    if (pageTimes != null) {
      all = pageTimes.get(page);
      int rows = body.getInt();
      if (rows != all.length) {
        throw new IllegalStateException("page " + page + " has " + rows + " rows, its time page " + all.length);
      }
      present = new byte[(rows + 7) / 8];
      body.get(present);
    } else {
      int length = ReadWriteForEncodingUtils.readUnsignedVarInt(body);
      ByteBuffer encoded = body.slice();
      encoded.limit(length);
      all = times(timeEncoding, encoded);
      body.position(body.position() + length);
    }
    Decoder decoder = Decoder.getDecoderByType(header.getEncodingType(), header.getDataType());
    ByteBuffer values = body.slice();
    for (int row = 0; row < all.length; row++) {
      if (present == null || (present[row / 8] & 0x80 >>> row % 8) != 0) {
        Object value = Cells.read(decoder, header.getDataType(), values);
        found.point(all[row], value);
        update(computed, all[row], value);
      }
    }
  }

  private static long[] times(TSEncoding encoding, ByteBuffer encoded) {
    Decoder decoder = Decoder.getDecoderByType(encoding, TSDataType.INT64);
    List<Long> times = new ArrayList<>();
    try {
      while (decoder.hasNext(encoded)) {
        times.add(decoder.readLong(encoded));
      }
    } catch (IOException e) {
      throw new IllegalStateException("times: " + e, e);
    }
    for (int i = 1; i < times.size(); i++) {
      if (times.get(i) <= times.get(i - 1)) {
        throw new IllegalStateException("time " + times.get(i) + " follows " + times.get(i - 1));
      }
    }
    return times.stream().mapToLong(Long::longValue).toArray();
  }

  private static void update(Statistics<?> statistics, long time, Object value) {
    if (value instanceof Integer) {
      statistics.update(time, (int) (Integer) value);
    } else if (value instanceof Long) {
      statistics.update(time, (long) (Long) value);
    } else if (value instanceof Float) {
      statistics.update(time, (float) (Float) value);
    } else if (value instanceof Double) {
      statistics.update(time, (double) (Double) value);
    } else if (value instanceof Boolean) {
      statistics.update(time, (boolean) (Boolean) value);
    } else {
      statistics.update(time, (Binary) value);
    }
  }
}
