import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.zip.GZIPOutputStream;

/** Where rows go: {@code -} the answer itself (each line behind "| "), {@code digest} nowhere, else a file (.gz packs it). */
final class Sink implements AutoCloseable {
  private final MessageDigest digest;
  private final OutputStream file;
  private final PrintStream answer;
  private long lines;

  Sink(String target, PrintStream answer) throws IOException {
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
    this.answer = target.equals("-") ? answer : null;
    if (target.equals("-") || target.equals("digest")) {
      file = null;
    } else if (target.endsWith(".gz")) {
      file = new GZIPOutputStream(Files.newOutputStream(Path.of(target)));
    } else {
      file = new BufferedOutputStream(Files.newOutputStream(Path.of(target)));
    }
  }

  void line(String line) throws IOException {
    byte[] bytes = (line + "\n").getBytes(StandardCharsets.UTF_8);
    digest.update(bytes);
    lines++;
    if (file != null) {
      file.write(bytes);
    }
    if (answer != null) {
      answer.print("| ");
      answer.write(bytes);
    }
  }

  /** The end of the answer: what was written, and the SHA-256 of all lines. */
  String summary() {
    StringBuilder hex = new StringBuilder();
    for (byte b : digest.digest()) {
      hex.append(Character.forDigit(b >> 4 & 15, 16)).append(Character.forDigit(b & 15, 16));
    }
    return "lines=" + lines + " sha256=" + hex;
  }

  @Override
  public void close() throws IOException {
    if (file != null) {
      file.close();
    }
  }
}
