import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;

import org.apache.tsfile.encoding.encoder.Encoder;
import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.metadata.enums.CompressionType;
import org.apache.tsfile.file.metadata.enums.TSEncoding;
import org.apache.tsfile.write.schema.MeasurementSchema;

/** A random column: how it is written, its values, and what was written so far. */
final class Column {
  private static final int MAX_PRECISION = 6;

  final String name;
  final TSDataType type;
  /** What is expected: by time, a later chunk over an earlier one. */
  final TreeMap<Long, Object> points = new TreeMap<>();
  /** How the value of a time was encoded. */
  final Map<Long, TSEncoding> encodings = new HashMap<>();
  final int nullsIn100;
  private final SplittableRandom random;
  private TSEncoding encoding;
  private CompressionType codec;
  private int precision;
  private Values.Profile profile;
  private Values values;

  Column(String name, TSDataType type, SplittableRandom random) {
    this.name = name;
    this.type = type;
    this.random = random;
    int[] shares = {0, 0, 10, 50, 95, 100};
    this.nullsIn100 = shares[random.nextInt(shares.length)];
    change();
  }

  /** Another encoding, codec and course of values; every chunk of a series may have its own. */
  void change() {
    List<TSEncoding> encodings = Encodings.all(type);
    encoding = encodings.get(random.nextInt(encodings.size()));
    codec = CompressionType.values()[random.nextInt(CompressionType.values().length)];
    precision = random.nextInt(MAX_PRECISION + 1);
    Values.Profile[] profiles = Values.Profile.values();
    profile = encoding == TSEncoding.REGULAR ? Values.Profile.RAMP : profiles[random.nextInt(profiles.length)];
    values = new Values(type, profile, random.split());
  }

  MeasurementSchema schema() {
    Map<String, String> properties = new HashMap<>();
    properties.put(Encoder.MAX_POINT_NUMBER, Integer.toString(precision));
    return new MeasurementSchema(name, type, encoding, codec, properties);
  }

  /**
   * The next `count` values. Some encoders of the library write what its decoders cannot read (as SPRINTZ does with wide
   * jumps), and its decoder of GORILLA_V1 reads garbage behind a NaN; such values are replaced by ones that come back.
   */
  List<Object> next(int count) {
    List<Object> drawn = draw(count);
    while (!Encodings.readable(schema(), drawn)) {
      if (profile == Values.Profile.CONSTANT) {
        throw new IllegalStateException(encoding + " cannot even write the constant " + drawn.get(0) + " of " + type);
      }
      profile = profile.tame() ? Values.Profile.CONSTANT : Values.Profile.NOISE;
      values = new Values(type, profile, random.split());
      drawn = draw(count);
    }
    return drawn;
  }

  private List<Object> draw(int count) {
    List<Object> drawn = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      drawn.add(values.next());
    }
    return drawn;
  }

  void wrote(long time, Object value) {
    points.put(time, value);
    encodings.put(time, encoding);
  }
}
