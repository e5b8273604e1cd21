//! Why a file was not written.

use core::fmt;

/// Why a file was not written.
#[derive(Debug)]
#[non_exhaustive]
pub enum ColumnarError {
    /// The Arrow file.
    Arrow(arrow_schema::ArrowError),
    /// Rows that do not fit the columns that were told.
    Columns {
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A DATE that is no day.
    Date {
        /// The column.
        column: String,
        /// The time of its row.
        time: i64,
        /// The value.
        found: i32,
    },
    /// The Parquet file.
    Parquet(parquet::errors::ParquetError),
}

impl From<arrow_schema::ArrowError> for ColumnarError {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Self::Arrow(error)
    }
}

impl From<parquet::errors::ParquetError> for ColumnarError {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::Parquet(error)
    }
}

impl fmt::Display for ColumnarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arrow(error) => write!(f, "cannot write the Arrow file: {error}"),
            Self::Columns { expected, found } => {
                write!(f, "expected rows of {expected}, found {found}")
            }
            Self::Date { column, time, found } => write!(
                f,
                "{column} at the time {time}: expected a day as yyyymmdd, found {found}: leave the \
                 series or the time out, or export to csv"
            ),
            Self::Parquet(error) => write!(f, "cannot write the Parquet file: {error}"),
        }
    }
}

impl core::error::Error for ColumnarError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Arrow(error) => Some(error),
            Self::Parquet(error) => Some(error),
            _ => None,
        }
    }
}
