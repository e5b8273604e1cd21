//! Why a TsFile could not be read: where in the file, what was expected, what was found.

use core::fmt;
use std::io;

use tidegate_codec::CompressError;
use tidegate_codec::Error;

use crate::EncodingError;
use crate::EndsError;

/// A refused read. The caller adds which file.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The body of a page is not of its compressor.
    Compression {
        /// Where the page begins in the file.
        offset: u64,
        /// Why.
        source: CompressError,
    },
    /// The times or values of a page are not of their encoding.
    Encoding {
        /// Where the page begins in the file.
        offset: u64,
        /// `times` or the measurement.
        column: Box<str>,
        /// Why.
        source: EncodingError,
    },
    /// The pages of the file are encrypted.
    Encrypted {
        /// The cipher's name, as the file gives it.
        cipher: Box<str>,
    },
    /// The file is not a finished TsFile.
    Ends(EndsError),
    /// The bytes could not be fetched, or the file is shorter than it was.
    Io {
        /// Where in the file.
        offset: u64,
        /// How many bytes were asked for.
        length_bytes: usize,
        /// Why.
        source: io::Error,
    },
    /// A structure that cannot be right by itself.
    Malformed {
        /// The structure.
        what: &'static str,
        /// Why; its offset is one of the file.
        source: Error,
    },
    /// Two places of the file contradict one another, or a place contradicts the format.
    Unsound {
        /// Where in the file.
        offset: u64,
        /// What was expected there.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// More memory than is allowed would be needed.
    TooLarge {
        /// Where in the file.
        offset: u64,
        /// What is so large.
        what: &'static str,
        /// How large: bytes or rows.
        found: u64,
        /// What is allowed.
        max: u64,
    },
    /// Times of one chunk that do not ascend.
    Unordered {
        /// Where the page begins in the file.
        offset: u64,
        /// The time that is not greater than the one before it.
        time: i64,
    },
}

impl ReadError {
    pub(crate) fn unsound(offset: u64, expected: &'static str, found: impl fmt::Display) -> Self {
        Self::Unsound { offset, expected, found: found.to_string() }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compression { offset, source } => {
                write!(f, "page at byte {offset}: {source}")
            }
            Self::Encoding { offset, column, source } => {
                write!(f, "page at byte {offset}, {column}: {source}")
            }
            Self::Encrypted { cipher } => write!(
                f,
                "expected pages that are not encrypted, but found encryption by {cipher}; \
                 Tidegate cannot read them, only carry the file whole"
            ),
            Self::Ends(source) => source.fmt(f),
            Self::Io { offset, length_bytes, source } => {
                write!(f, "reading {length_bytes} bytes at byte {offset}: {source}")
            }
            Self::Malformed { what, source } => write!(f, "{what}: {source}"),
            Self::Unsound { offset, expected, found } => {
                write!(f, "at byte {offset}: expected {expected}, but found {found}")
            }
            Self::TooLarge { offset, what, found, max } => {
                write!(f, "{what} at byte {offset}: expected at most {max}, but found {found}")
            }
            Self::Unordered { offset, time } => write!(
                f,
                "page at byte {offset}: expected ascending times, but found {time} behind a later one"
            ),
        }
    }
}

impl core::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<EndsError> for ReadError {
    fn from(source: EndsError) -> Self {
        Self::Ends(source)
    }
}
