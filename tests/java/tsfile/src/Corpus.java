import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;

import org.apache.tsfile.common.conf.TSFileDescriptor;
import org.apache.tsfile.enums.TSDataType;
import org.apache.tsfile.file.metadata.enums.CompressionType;
import org.apache.tsfile.file.metadata.enums.TSEncoding;

/** Decides which files the corpus has, and writes them with what they hold. common/tsfile/tests/corpus/README.md lists them. */
final class Corpus {
  private static final int[] ONE_PAGE = {300};
  private static final int[] THREE_PAGES = {140, 33, 97};
  private static final String DEFAULT = "TS_2DIFF";

  private final Path directory;
  private final PrintWriter manifest;
  private int files;

  private Corpus(Path directory, PrintWriter manifest) {
    this.directory = directory;
    this.manifest = manifest;
  }

  /** Writes one file and adds what it holds. */
  interface Shape {
    void write(Path file, Expected expected) throws Exception;
  }

  static void write(Path directory) throws Exception {
    Files.createDirectories(directory);
    try (PrintWriter manifest = new PrintWriter(Main.writer(Files.newOutputStream(directory.resolve("manifest.csv"))))) {
      manifest.print("file,expected\n");
      Corpus corpus = new Corpus(directory, manifest);
      corpus.everything();
      System.out.println("ok files=" + corpus.files);
    }
  }

  private void everything() throws Exception {
    for (CompressionType codec : CompressionType.values()) {
      String name = codec.name().toLowerCase(Locale.ROOT);
      Map<TSDataType, List<TSEncoding>> all = Shapes.combinations();
      file("plain-onepage", name, DEFAULT, (file, expected) -> Shapes.plain(file, codec, ONE_PAGE, all, expected));
      file("plain-multipage", name, DEFAULT, (file, expected) -> Shapes.plain(file, codec, THREE_PAGES, all, expected));
      file("aligned-onepage", name, DEFAULT, (file, expected) -> Shapes.aligned(file, codec, ONE_PAGE, all, expected));
      file("aligned-multipage", name, DEFAULT, (file, expected) -> Shapes.aligned(file, codec, THREE_PAGES, all, expected));
    }
    file("multichunk", Shapes::multichunk);
    file("wide-index", Shapes::wideIndex);
    file("extremes", Extremes::small);
    file("long-pages", Extremes::longPages);
    file("gorilla-v1", Special::gorillaV1);
    if (Library.REGULAR) {
      file("regular", Extremes::regular);
    }
    for (String encoding : Arrays.asList("PLAIN", "RLE")) {
      times("time" + encoding.toLowerCase(Locale.ROOT), encoding);
    }
    if (Library.V4) {
      file("table-model", Library::tableModel);
    }
    torn(Files.readAllBytes(directory.resolve("multichunk.tsfile")));
    special();
  }

  /** Time encodings other than the default; only the header of an aligned time chunk tells them. */
  private void times(String name, String encoding) throws Exception {
    TSDataType type = TSDataType.INT32;
    file(name, "", encoding, (file, expected) -> Shapes.plain(
        file, CompressionType.UNCOMPRESSED, THREE_PAGES, Collections.singletonMap(type, Arrays.asList(TSEncoding.PLAIN)), expected));
    file(name + "-aligned", "", encoding, (file, expected) -> Shapes.aligned(
        file, CompressionType.UNCOMPRESSED, THREE_PAGES,
        Collections.singletonMap(type, Arrays.asList(TSEncoding.PLAIN, TSEncoding.RLE)), expected));
  }

  /** Cut copies: what a crash leaves. They hold a prefix of multichunk. */
  private void torn(byte[] whole) throws Exception {
    int[] cuts = {5, 7, 100, whole.length / 3, whole.length - 400, whole.length - 60, whole.length - 6, whole.length - 1};
    for (int cut : cuts) {
      Files.write(directory.resolve("torn-at-" + cut + ".tsfile"), Arrays.copyOf(whole, cut));
      files++;
    }
  }

  /** What the other shapes do not reach. The library's reader says what these hold, since its writer loses some of it. */
  private void special() throws Exception {
    readBack("index-levels", Special::indexLevels);
    readBack("rlbe-floats", Special::rlbeFloats);
    readBack("rlbe-blocks", Special::rlbeBlocks);
    readBack("sprintz-jumps", Special::sprintzJumps);
    readBack("wide-floats", Special::wideFloats);
    readBack("huge-page", Special::hugePage);
    readBack("overlap", Special::overlap);
    readBack("missing-columns", Special::missingColumns);
    readBack("header-only", Special::headerOnly);
    readBack("no-groups", Special::noGroups);
    if (Library.encrypted(directory.resolve("encrypted.tsfile"))) {
      files++;
    }
  }

  private void file(String name, Shape shape) throws Exception {
    file(name, "", DEFAULT, shape);
  }

  private void file(String shapeName, String codec, String timeEncoding, Shape shape) throws Exception {
    String name = codec.isEmpty() ? shapeName : shapeName + "-" + codec;
    Expected expected = new Expected();
    Series.timeEncoding(timeEncoding);
    Path path = directory.resolve(name + ".tsfile");
    shape.write(path, expected);
    expected.check(path, timeEncoding);
    save(name, shapeName, expected);
  }

  private void readBack(String name, Shape shape) throws Exception {
    Series.timeEncoding(DEFAULT);
    TSFileDescriptor.getInstance().getConfig().setCompressor("LZ4");
    Path path = directory.resolve(name + ".tsfile");
    shape.write(path, new Expected());
    save(name, name, Expected.read(path, DEFAULT));
  }

  private void save(String name, String shape, Expected expected) throws Exception {
    expected.save(directory.resolve(shape + ".csv.gz"));
    manifest.print(name + ".tsfile," + shape + ".csv.gz\n");
    files++;
  }
}
