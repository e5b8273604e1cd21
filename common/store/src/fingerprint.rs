//! What the catalog keeps of a small file beside a TsFile: such files have no checksums of their own.

use core::fmt;

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::Writer;

/// How long some bytes are, and their checksum.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Fingerprint {
    /// How many bytes.
    pub length_bytes: u64,
    /// Their CRC-32.
    pub crc32: u32,
}

impl Fingerprint {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { length_bytes: bytes.len() as u64, crc32: crc32fast::hash(bytes) }
    }

    pub(crate) fn encode(self, writer: &mut Writer<'_>) {
        writer.i64(self.length_bytes.cast_signed());
        writer.i32(self.crc32.cast_signed());
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            length_bytes: reader.i64("length of a file")?.cast_unsigned(),
            crc32: reader.i32("checksum of a file")?.cast_unsigned(),
        })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes with CRC-32 {:08x}", self.length_bytes, self.crc32)
    }
}
