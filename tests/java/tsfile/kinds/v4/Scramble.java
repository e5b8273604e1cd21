package tidegate;

import java.util.Arrays;

import org.apache.tsfile.encrypt.IDecryptor;
import org.apache.tsfile.encrypt.IEncrypt;
import org.apache.tsfile.encrypt.IEncryptor;
import org.apache.tsfile.file.metadata.enums.EncryptionType;

/** A stand-in for a cipher: keeps the length and makes page bodies unreadable. The library finds it by its name. */
public final class Scramble implements IEncrypt, IEncryptor, IDecryptor {
  private final byte[] key;

  public Scramble(byte[] key) {
    this.key = key.clone();
  }

  @Override
  public IDecryptor getDecryptor() {
    return this;
  }

  @Override
  public IEncryptor getEncryptor() {
    return this;
  }

  @Override
  public byte[] encrypt(byte[] bytes) {
    return encrypt(bytes, 0, bytes.length);
  }

  @Override
  public byte[] encrypt(byte[] bytes, int from, int count) {
    byte[] out = Arrays.copyOfRange(bytes, from, from + count);
    for (int i = 0; i < out.length; i++) {
      out[i] ^= (byte) (key[i % key.length] * (i + 1) | 1);
    }
    return out;
  }

  @Override
  public byte[] decrypt(byte[] bytes) {
    return encrypt(bytes);
  }

  @Override
  public byte[] decrypt(byte[] bytes, int from, int count) {
    return encrypt(bytes, from, count);
  }

  @Override
  public EncryptionType getEncryptionType() {
    return EncryptionType.AES128;
  }
}
