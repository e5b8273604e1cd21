import java.io.Writer;
import java.util.ArrayList;
import java.util.List;

import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.metadata.ChunkMetadata;
import org.apache.tsfile.file.metadata.TimeseriesMetadata;
import org.apache.tsfile.file.metadata.statistics.Statistics;
import org.apache.tsfile.read.TsFileSequenceReader;

/** Prints what the index says of every series and chunk, so that two readers or two writers can be compared. */
final class Stats {
  private Stats() {}

  static void print(String file, Writer out) throws Exception {
    try (TsFileSequenceReader reader = new TsFileSequenceReader(file)) {
      out.append("file,").append(Integer.toString(reader.readVersionNumber())).append(',');
      out.append(Long.toString(reader.readFileMetadata().getMetaOffset())).append('\n');
      Library.devices(reader, (id, device, aligned, series) -> {
        out.append("device,").append(device).append(',').append(aligned ? "aligned" : "plain").append('\n');
        for (TimeseriesMetadata column : series) {
          out.append("series,").append(device).append(',').append(Text.name(column.getMeasurementId())).append(',');
          out.append(column.getTsDataType().name()).append(',').append(fields(column.getTsDataType(), column.getStatistics()));
          out.append('\n');
          for (ChunkMetadata chunk : Series.chunks(column)) {
            out.append("chunk,").append(device).append(',').append(Text.name(column.getMeasurementId())).append(',');
            out.append(Long.toString(chunk.getOffsetOfChunkHeader())).append(',');
            out.append(fields(column.getTsDataType(), chunk.getStatistics())).append('\n');
          }
        }
      });
    }
  }

  static String fields(TSDataType type, Statistics<?> statistics) {
    return String.join(",", list(type, statistics));
  }

  /** Count, start and end, then what the type has. Without points the rest means nothing and is left out. */
  static List<String> list(TSDataType type, Statistics<?> statistics) {
    List<String> fields = new ArrayList<>();
    fields.add(Long.toString(statistics.getCount()));
    if (statistics.getCount() == 0) {
      return fields;
    }
    fields.add(Long.toString(statistics.getStartTime()));
    fields.add(Long.toString(statistics.getEndTime()));
    boolean numbers = false;
    switch (type.name()) {
      case "BOOLEAN":
        fields.add(Text.value(type, statistics.getFirstValue()));
        fields.add(Text.value(type, statistics.getLastValue()));
        fields.add(Long.toString(statistics.getSumLongValue()));
        break;
      case "TEXT":
        fields.add(Text.value(type, statistics.getFirstValue()));
        fields.add(Text.value(type, statistics.getLastValue()));
        break;
      case "STRING":
        fields.add(Text.value(type, statistics.getFirstValue()));
        fields.add(Text.value(type, statistics.getLastValue()));
        fields.add(Text.value(type, statistics.getMinValue()));
        fields.add(Text.value(type, statistics.getMaxValue()));
        break;
      case "INT32":
      case "DATE":
      case "INT64":
      case "TIMESTAMP":
      case "FLOAT":
      case "DOUBLE":
        numbers = true;
        break;
      default:
        // BLOB, OBJECT and the time column have no more.
        break;
    }
    if (numbers) {
      fields.add(Text.value(type, statistics.getMinValue()));
      fields.add(Text.value(type, statistics.getMaxValue()));
      fields.add(Text.value(type, statistics.getFirstValue()));
      fields.add(Text.value(type, statistics.getLastValue()));
      boolean exact = type.name().equals("INT32") || type.name().equals("DATE");
      fields.add(exact ? Long.toString(statistics.getSumLongValue()) : Text.value(TSDataType.DOUBLE, statistics.getSumDoubleValue()));
    }
    return fields;
  }
}
