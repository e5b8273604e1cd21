//! Why a TsFile could not be written.

use core::fmt;
use std::io;

use tidegate_codec::CompressError;
use tidegate_model::DataType;

use crate::EncodingError;
use crate::TsFileVersion;

/// A refused write. The caller adds which file.
///
/// What is refused for what it is ([`is_clean`](Self::is_clean)) leaves the file as it was. After any
/// other error nothing more can be written to it.
#[derive(Debug)]
#[non_exhaustive]
pub enum WriteError {
    /// A batch that does not have the columns that were begun, or not a cell per row in each.
    Batch {
        /// What was expected.
        expected: &'static str,
        /// How many of it were expected.
        want: usize,
        /// How many there were.
        found: usize,
    },
    /// An aligned device that comes again with other columns, one twice, or as one that is not
    /// aligned (or the other way round).
    Columns {
        /// The device.
        device: Box<str>,
        /// What was expected of its columns.
        expected: &'static str,
        /// The column, or what was found.
        found: Box<str>,
    },
    /// A page could not be compressed.
    Compression(CompressError),
    /// Values could not be encoded.
    Encoding {
        /// `times` or the measurement.
        column: Box<str>,
        /// Why.
        source: EncodingError,
    },
    /// A write after one that failed.
    Failed,
    /// The bytes could not be written.
    Io {
        /// Where in the file.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// A name that no TsFile can have.
    Name {
        /// What was expected.
        expected: &'static str,
        /// The name.
        found: Box<str>,
    },
    /// A file without a chunk, which IoTDB does not load.
    NoPoints,
    /// Rows before anything was begun.
    NotBegun,
    /// An option out of its range.
    Option {
        /// Its name.
        option: &'static str,
        /// What it was set to.
        found: usize,
        /// The least that is allowed.
        min: usize,
        /// The most that is allowed.
        max: usize,
    },
    /// A series whose type cannot be encoded so.
    Series {
        /// The measurement.
        series: Box<str>,
        /// Why.
        source: EncodingError,
    },
    /// A device of the table model whose table was not declared so.
    Table {
        /// The table.
        table: Box<str>,
        /// What was expected of it.
        expected: &'static str,
        /// The column, or what was found.
        found: Box<str>,
    },
    /// Something that no reader would take.
    TooLarge {
        /// What is so large.
        what: &'static str,
        /// How large.
        found: usize,
        /// What is allowed.
        max: usize,
    },
    /// A type or encoding that the layout does not know.
    Unknown {
        /// The layout.
        version: TsFileVersion,
        /// The column.
        column: Box<str>,
        /// Its type.
        data_type: DataType,
    },
    /// A value that no reader would take.
    Value {
        /// How many bytes it has.
        found: usize,
        /// What is allowed.
        max: usize,
    },
    /// A time that is not greater than the one before it in the same series or device.
    Unordered {
        /// The device, and the measurement if it is not aligned.
        series: Box<str>,
        /// The time before.
        before: i64,
        /// The time.
        time: i64,
    },
}

impl WriteError {
    /// Whether the file is as it was before the call, and may be written on.
    pub fn is_clean(&self) -> bool {
        !matches!(
            self,
            Self::Compression(_)
                | Self::Encoding { .. }
                | Self::Failed
                | Self::Io { .. }
                | Self::TooLarge { .. }
        )
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch { expected, want, found } => {
                write!(f, "expected {want} {expected}, but found {found}")
            }
            Self::Columns { device, expected, found } => {
                write!(f, "{device}: expected {expected}, but found {found}")
            }
            Self::Compression(source) => source.fmt(f),
            Self::Encoding { column, source } => write!(f, "{column}: {source}"),
            Self::Failed => {
                f.write_str("expected no write after one that failed; the file is not complete")
            }
            Self::Io { offset, source } => write!(f, "writing at byte {offset}: {source}"),
            Self::Name { expected, found } => write!(f, "expected {expected}, but found {found:?}"),
            Self::NoPoints => f.write_str("expected a file with points, but found none"),
            Self::NotBegun => {
                f.write_str("expected a series or device to be begun before its rows")
            }
            Self::Option { option, found, min, max } => {
                write!(f, "{option}: expected {min} to {max}, but found {found}")
            }
            Self::Series { series, source } => write!(f, "{series}: {source}"),
            Self::Table { table, expected, found } => {
                write!(f, "table {table}: expected {expected}, but found {found}")
            }
            Self::TooLarge { what, found, max } => {
                write!(f, "{what}: expected at most {max}, but found {found}")
            }
            Self::Unknown { version, column, data_type } => {
                write!(f, "{column}: expected a type that {version} has, but found {data_type}")
            }
            Self::Value { found, max } => {
                write!(f, "expected a value of at most {max} bytes, but found {found}")
            }
            Self::Unordered { series, before, time } => write!(
                f,
                "{series}: expected a time after {before}, but found {time}; times of a file ascend"
            ),
        }
    }
}

impl core::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
