//! Why a statement was not answered.

use core::fmt;
use std::io;

use tidegate_model::DataType;
use tidegate_sql::TooManyColumns;
use tidegate_sql::TypeMismatch;
use tidegate_store::StoreError;

use crate::text::named;

/// Why a statement was not answered.
#[derive(Debug)]
#[non_exhaustive]
pub enum QueryError {
    /// A name was given to something that means several series.
    Alias {
        /// The name.
        alias: String,
        /// How many series it would name.
        n_series: usize,
    },
    /// ALIGN BY DEVICE with a path of several nodes behind SELECT.
    AlignedPath {
        /// The path.
        path: String,
    },
    /// ALIGN BY DEVICE with a measurement of several types.
    AlignedTypes {
        /// The measurement.
        measurement: String,
        /// Its type in one device.
        one: DataType,
        /// And in another.
        other: DataType,
    },
    /// Several origins have one device.
    Ambiguous {
        /// The device.
        device: String,
        /// The origins that have it; two at least.
        origins: Vec<String>,
    },
    /// A function of values of another kind.
    Function {
        /// What was asked for.
        item: String,
        /// The types that it is for.
        expected: &'static str,
        /// The type of the series.
        found: DataType,
    },
    /// Rows could not be written.
    Output(io::Error),
    /// Two series of one origin whose names SQL cannot tell apart.
    SameName {
        /// One, as the store has it.
        one: String,
        /// The other one.
        other: String,
    },
    /// The store could not be read.
    Store(StoreError),
    /// It would take too much memory.
    TooMany {
        /// What is too many.
        what: &'static str,
        /// How many there are at least.
        found: usize,
        /// The bound.
        max: usize,
    },
    /// Items and paths together.
    TooManyColumns(TooManyColumns),
    /// A condition that compares what cannot be compared.
    TypeMismatch(TypeMismatch),
    /// A statement that this release does not answer.
    Unknown,
}

impl QueryError {
    pub(crate) fn too_many(what: &'static str, found: usize, max: usize) -> Self {
        Self::TooMany { what, found, max }
    }

    /// Whether a file was merged away meanwhile, so that asking again helps.
    pub fn is_vanished(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_vanished())
    }
}

impl From<StoreError> for QueryError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alias { alias, n_series } => {
                write!(f, "AS {alias}: expected one series to be named so, found {n_series}")
            }
            Self::AlignedPath { path } => {
                write!(f, "ALIGN BY DEVICE: expected one node behind SELECT, found {path}")
            }
            Self::AlignedTypes { measurement, one, other } => write!(
                f,
                "ALIGN BY DEVICE: expected {measurement} of one type in all devices, found {one} \
                 and {other}"
            ),
            Self::Ambiguous { device, origins } => write!(
                f,
                "{device} is in the origins {}: expected one of them with --origin",
                named(origins.iter().map(String::as_str))
            ),
            Self::Function { item, expected, found } => {
                write!(f, "{item}: expected a series of {expected}, found {found}")
            }
            Self::Output(error) => write!(f, "cannot write the rows: {error}"),
            Self::SameName { one, other } => {
                write!(f, "{one} and {other} have one name in SQL: export them to tell them apart")
            }
            Self::Store(error) => error.fmt(f),
            Self::TooMany { what, found, max } => write!(
                f,
                "expected at most {max} {what}, found {found}: name fewer of them, use ALIGN BY \
                 DEVICE, or export"
            ),
            Self::TooManyColumns(error) => error.fmt(f),
            Self::TypeMismatch(error) => error.fmt(f),
            Self::Unknown => f.write_str("this statement is not answered in this release"),
        }
    }
}

impl core::error::Error for QueryError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Output(error) => Some(error),
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}
