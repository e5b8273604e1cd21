//! Reasons why bytes could not be read as the structure they should be.

use core::fmt;

/// A refused read: where, what was expected, what was found.
///
/// `offset` counts from the first byte given to the outermost [`Reader`](crate::Reader), so that a
/// message can be held against a dump of the whole payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A count says that there are more elements than the bytes left can hold.
    Count {
        /// Where the count stands.
        offset: usize,
        /// What is counted.
        what: &'static str,
        /// The count.
        found: i64,
        /// How many could fit.
        max: usize,
    },
    /// A length is negative or over its cap.
    Length {
        /// Where the length stands.
        offset: usize,
        /// What the length belongs to.
        what: &'static str,
        /// The length.
        found: i64,
        /// The cap.
        max: usize,
    },
    /// Bytes remain where the structure should have ended.
    Trailing {
        /// Where the structure ended.
        offset: usize,
        /// How many bytes follow.
        left: usize,
    },
    /// The bytes ended inside a value.
    UnexpectedEnd {
        /// Where the value began.
        offset: usize,
        /// The value.
        what: &'static str,
        /// Bytes that it needs.
        needed: usize,
        /// Bytes that were left.
        left: usize,
    },
    /// A text is not UTF-8.
    Utf8 {
        /// Where the text began.
        offset: usize,
        /// What the text is.
        what: &'static str,
    },
    /// A number is none of those allowed in its place.
    Value {
        /// Where the number stands.
        offset: usize,
        /// What was expected.
        expected: &'static str,
        /// What was found.
        found: i64,
    },
    /// A variable-length number exceeds 32 bits, or is longer than it needs to be.
    VarTooLong {
        /// Where the number began.
        offset: usize,
        /// What the number is.
        what: &'static str,
    },
}

impl Error {
    /// Where in the input the refused value stands.
    pub fn offset(&self) -> usize {
        match *self {
            Self::Count { offset, .. }
            | Self::Length { offset, .. }
            | Self::Trailing { offset, .. }
            | Self::UnexpectedEnd { offset, .. }
            | Self::Utf8 { offset, .. }
            | Self::Value { offset, .. }
            | Self::VarTooLong { offset, .. } => offset,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Count { offset, what, found, max } => write!(
                f,
                "{what} at byte {offset}: expected a count of at most {max}, but found {found}"
            ),
            Self::Length { offset, what, found, max } => write!(
                f,
                "{what} at byte {offset}: expected a length of at most {max} bytes, but found {found}"
            ),
            Self::Trailing { offset, left } => {
                write!(f, "expected the end at byte {offset}, but found {left} more bytes")
            }
            Self::UnexpectedEnd { offset, what, needed, left } => write!(
                f,
                "{what} at byte {offset}: expected {needed} bytes, but found the end after {left}"
            ),
            Self::Utf8 { offset, what } => {
                write!(f, "{what} at byte {offset}: expected UTF-8, but found other bytes")
            }
            Self::Value { offset, expected, found } => {
                write!(f, "expected {expected} at byte {offset}, but found {found}")
            }
            Self::VarTooLong { offset, what } => write!(
                f,
                "{what} at byte {offset}: expected the shortest form of a number of at most 32 bits, but found a longer one"
            ),
        }
    }
}

impl core::error::Error for Error {}
