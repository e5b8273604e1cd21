import java.io.BufferedWriter;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.OutputStream;
import java.io.OutputStreamWriter;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;

/** Decides which command runs. README.md describes them. */
public final class Main {
  private final String command;
  private final Deque<String> arguments;
  private String timeEncoding = "TS_2DIFF";
  private Path into;
  private boolean missingColumns;

  private Main(String[] args) {
    command = args[0];
    arguments = new ArrayDeque<>(Arrays.asList(args).subList(1, args.length));
  }

  public static void main(String[] args) {
    if (args.length == 0) {
      usage("no command given");
    }
    try {
      new Main(args).run();
    } catch (Exception e) {
      System.err.println(String.join(" ", args) + " failed: " + e);
      e.printStackTrace();
      System.exit(1);
    }
  }

  private void run() throws Exception {
    options();
    switch (command) {
      case "random":
        RandomFiles.write(Paths.get(word("DIR")), number("SEED"), (int) number("COUNT"));
        break;
      case "dump":
        each(".points", (file, out) -> Dump.points(file, timeEncoding, out));
        break;
      case "stats":
        each(".stats", Stats::print);
        break;
      case "check":
        check();
        break;
      case "scan":
        Bench.scan(word("FILE"), timeEncoding, arguments.isEmpty() ? Integer.MAX_VALUE : (int) number("COLUMNS"));
        break;
      case "lookup":
        Bench.lookup(word("FILE"), timeEncoding, (int) number("N"), number("SEED"));
        break;
      case "write":
        BenchFile.timed(Paths.get(word("DIR")), number("ROWS"), word("SHAPE"));
        break;
      case "bulk":
        BenchFile.bulk(Paths.get(word("FILE")), word("SHAPE"), number("POINTS"));
        break;
      case "corpus":
        Corpus.write(Paths.get(word("DIR")));
        break;
      default:
        usage("unknown command '" + command + "'");
    }
  }

  private void options() {
    while (!arguments.isEmpty() && arguments.peek().startsWith("--")) {
      String option = arguments.poll();
      switch (option) {
        case "--time-encoding":
          timeEncoding = word("an encoding");
          break;
        case "--missing-columns":
          missingColumns = true;
          break;
        case "--into":
          into = Paths.get(word("DIR"));
          break;
        default:
          usage("unknown option '" + option + "'");
      }
    }
  }

  private String word(String what) {
    if (arguments.isEmpty()) {
      usage(command + " needs " + what);
    }
    return arguments.poll();
  }

  private long number(String what) {
    String word = word(what);
    try {
      return Long.parseLong(word);
    } catch (NumberFormatException e) {
      usage(what + " must be a number, but is '" + word + "'");
      return 0;
    }
  }

  private static void usage(String problem) {
    System.err.println(problem + "; see tests/java/tsfile/README.md");
    System.exit(2);
  }

  /** Prints something of a file. */
  private interface Printer {
    void print(String file, Writer out) throws Exception;
  }

  /** One file goes to stdout; --into DIR takes any number and writes one text file for each. */
  private void each(String ending, Printer printer) throws Exception {
    if (into == null) {
      String file = word("FILE");
      try (Writer out = writer(new FileOutputStream(FileDescriptor.out))) {
        printer.print(file, out);
      }
      return;
    }
    Files.createDirectories(into);
    while (!arguments.isEmpty()) {
      String file = arguments.poll();
      String name = Paths.get(file).getFileName().toString().replaceFirst("\\.tsfile$", "") + ending;
      try (Writer out = writer(Files.newOutputStream(into.resolve(name)))) {
        printer.print(file, out);
      } catch (Exception e) {
        throw new IllegalStateException(command + " of " + file + " failed: " + e, e);
      }
    }
  }

  /** Any number of files; the exit code says whether all are right. */
  private void check() {
    int wrong = 0;
    while (!arguments.isEmpty()) {
      String file = arguments.poll();
      try {
        System.out.println("ok " + file + " points=" + Check.file(file, timeEncoding, missingColumns));
      } catch (Exception e) {
        System.out.println("wrong " + file + ": " + (e.getMessage() == null ? e.toString() : e.getMessage()));
        wrong++;
      }
    }
    System.exit(wrong == 0 ? 0 : 1);
  }

  static Writer writer(OutputStream out) {
    return new BufferedWriter(new OutputStreamWriter(out, StandardCharsets.UTF_8), 1 << 16);
  }
}
