//! The two ends of a TsFile: whether it is one, of which version, and whether it was finished.
//!
//! A TsFile without its tail was never sealed (or was cut on the way), so nobody may be told that
//! it is complete. Versions 1 and 2 are refused: they end like later ones but read differently.

use core::fmt;

/// `TsFile`, at both ends.
pub const MAGIC: &[u8; 6] = b"TsFile";

/// How many bytes from the front [`check_ends`] wants: magic and version.
pub const HEAD_BYTES: usize = MAGIC.len() + 1;

/// How many bytes from the end [`check_ends`] wants: length of the metadata and magic.
pub const TAIL_BYTES: usize = 4 + MAGIC.len();

/// The layout of a TsFile.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum TsFileVersion {
    /// IoTDB 1.x (and 0.12, 0.13).
    V3,
    /// IoTDB 2.0.
    V4,
}

impl TsFileVersion {
    /// The byte after the magic.
    pub const fn byte(self) -> u8 {
        match self {
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }
}

impl fmt::Display for TsFileVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.byte())
    }
}

/// Checks the first [`HEAD_BYTES`] and the last [`TAIL_BYTES`] of a file of `length_bytes`.
///
/// A file shorter than that is passed with what there is of it.
pub fn check_ends(head: &[u8], tail: &[u8], length_bytes: u64) -> Result<TsFileVersion, EndsError> {
    let version = match head.strip_prefix(MAGIC) {
        Some([3, ..]) => TsFileVersion::V3,
        Some([4, ..]) => TsFileVersion::V4,
        Some([found, ..]) => return Err(EndsError::Version { found: *found }),
        Some([]) | None => return Err(EndsError::HeadMagic),
    };
    let fixed_bytes = (HEAD_BYTES + TAIL_BYTES) as u64;
    let metadata_bytes = match tail.split_last_chunk() {
        Some((rest, MAGIC)) => rest.last_chunk().map(|length| u32::from_be_bytes(*length)),
        _ => return Err(EndsError::TailMagic),
    };
    match metadata_bytes {
        Some(found) if fixed_bytes.saturating_add(found.into()) <= length_bytes => Ok(version),
        _ => Err(EndsError::MetadataLength { found: metadata_bytes.unwrap_or(0), length_bytes }),
    }
}

/// Why a file is not a finished TsFile.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EndsError {
    /// It does not begin like one.
    HeadMagic,
    /// The metadata it announces at its end would not fit into it.
    MetadataLength {
        /// The announced length.
        found: u32,
        /// The length of the file.
        length_bytes: u64,
    },
    /// It does not end like one.
    TailMagic,
    /// A version that nobody reads here.
    Version {
        /// The byte after the magic.
        found: u8,
    },
}

impl fmt::Display for EndsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeadMagic => f.write_str("TsFile: expected `TsFile` at its beginning"),
            Self::MetadataLength { found, length_bytes } => write!(
                f,
                "TsFile: expected metadata that fits into {length_bytes} bytes, found {found}"
            ),
            Self::TailMagic => f.write_str(
                "TsFile: expected `TsFile` at its end, so it was not sealed or is cut short",
            ),
            Self::Version { found } => {
                write!(f, "TsFile: expected version 3 or 4, found byte {found:#04x}")
            }
        }
    }
}

impl core::error::Error for EndsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &[u8], expected: Result<TsFileVersion, EndsError>) {
        let head = &file[..file.len().min(HEAD_BYTES)];
        let tail = &file[file.len().saturating_sub(TAIL_BYTES)..];
        assert_eq!(check_ends(head, tail, file.len() as u64), expected);
    }

    #[test]
    fn only_finished_files_of_version_3_and_4_pass() {
        check(b"TsFile\x03mm\0\0\0\x02TsFile", Ok(TsFileVersion::V3));
        check(b"TsFile\x04mm\0\0\0\x02TsFile", Ok(TsFileVersion::V4));
        check(b"TsFile\x03mm\0\0\0\x02TsFil", Err(EndsError::TailMagic));
        check(b"TsFile000002\0\0\0\0TsFile", Err(EndsError::Version { found: b'0' }));
        check(b"tsFile\x03mm\0\0\0\x02TsFile", Err(EndsError::HeadMagic));
        check(
            b"TsFile\x03TsFile",
            Err(EndsError::MetadataLength {
                found: u32::from_be_bytes(*b"ile\x03"),
                length_bytes: 13,
            }),
        );
        check(
            b"TsFile\x03m\0\0\0\x02TsFile",
            Err(EndsError::MetadataLength { found: 2, length_bytes: 18 }),
        );
        for length in 0..7 {
            check(&b"TsFile\x03"[..length], Err(EndsError::HeadMagic));
        }
        check(b"TsFile\x03", Err(EndsError::TailMagic));
    }
}
