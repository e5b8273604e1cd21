//! How the bodies of pages are compressed.

use core::fmt;

use tidegate_codec::CompressError;
use tidegate_codec::PipeCompression;

/// A compressor by its number in chunk headers and table schemas.
///
/// The numbers are not those of pipe requests; the bytes are. LZO, SDT, PAA and PLA (3 to 6) have
/// no decoder in any IoTDB since 1.0.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Compression {
    /// As it is.
    Uncompressed,
    /// By one of the compressors that pipe requests know, too.
    By(PipeCompression),
}

impl Compression {
    /// Every compression, by code.
    pub const ALL: [Self; 6] = [
        Self::Uncompressed,
        Self::By(PipeCompression::Snappy),
        Self::By(PipeCompression::Gzip),
        Self::By(PipeCompression::Lz4),
        Self::By(PipeCompression::Zstd),
        Self::By(PipeCompression::Lzma2),
    ];

    /// The compression of a code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.code() == code)
    }

    /// The code in chunk headers and table schemas.
    pub fn code(self) -> u8 {
        match self {
            Self::Uncompressed => 0,
            Self::By(PipeCompression::Snappy) => 1,
            Self::By(PipeCompression::Gzip) => 2,
            Self::By(PipeCompression::Lz4) => 7,
            Self::By(PipeCompression::Zstd) => 8,
            // What codec may learn later has no number here until it is given one.
            Self::By(PipeCompression::Lzma2 | _) => 9,
        }
    }

    /// IoTDB's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uncompressed => "UNCOMPRESSED",
            Self::By(PipeCompression::Snappy) => "SNAPPY",
            Self::By(PipeCompression::Gzip) => "GZIP",
            Self::By(PipeCompression::Lz4) => "LZ4",
            Self::By(PipeCompression::Zstd) => "ZSTD",
            Self::By(PipeCompression::Lzma2 | _) => "LZMA2",
        }
    }

    /// Compresses the body of a page and appends it to `out`.
    pub fn compress(self, body: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
        match self {
            Self::Uncompressed => out.extend_from_slice(body),
            Self::By(by) => out.extend_from_slice(&by.compress(body)?),
        }
        Ok(())
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_for_one_compression() {
        let known: Vec<u8> =
            (0..=u8::MAX).filter(|code| Compression::from_code(*code).is_some()).collect();
        assert_eq!(known, [0, 1, 2, 7, 8, 9]);
        for code in known {
            assert_eq!(Compression::from_code(code).map(Compression::code), Some(code));
        }
    }
}
