//! What an entry of a mods file deletes, in the one form in which two of them can be compared.

use core::fmt;

use crate::device::Segments;

/// A range of time of some series.
///
/// Equal ones delete the same: columns and the parts of a predicate stand sorted, since their order
/// says nothing. Where in which file the deletion was found does not belong to it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(clippy::exhaustive_structs)] // the file has these fields
pub struct Deletion {
    /// Which series.
    pub target: Target,
    /// First time stamp, inclusive.
    pub start: i64,
    /// Last time stamp, inclusive; never before the first.
    pub end: i64,
}

/// What a [`Deletion`] deletes from.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(clippy::exhaustive_enums)] // the two models
pub enum Target {
    /// Series of the tree model.
    Tree {
        /// Pattern of full paths, with `*` for one node and `**` for any number.
        pattern: Box<str>,
    },
    /// Columns of a table.
    Table {
        /// Name of the table.
        table: Box<str>,
        /// Which devices.
        predicate: Predicate,
        /// Names of columns, sorted; none stands for all.
        columns: Box<[Box<str>]>,
    },
}

/// Which devices of a table.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Predicate {
    /// 0: any.
    Any,
    /// 1: this one.
    Device(Segments),
    /// 2: those with this value in one segment.
    Segment {
        /// The value.
        value: Option<Box<str>>,
        /// Place of the segment; the table's name is 0.
        index: i32,
    },
    /// 3: those for which all of these hold, sorted.
    And(Box<[Self]>),
    /// 4: any of these, sorted. From later versions than 2.0.1.
    AnyOf(Box<[Segments]>),
    /// 5: those with a value in this segment. From later versions than 2.0.1.
    Present {
        /// Place of the segment.
        index: i32,
    },
}

impl Predicate {
    /// Whether a device of the table, its name first, is meant.
    pub fn meets(&self, device: &Segments) -> bool {
        let segment = |index: i32| {
            usize::try_from(index).ok().and_then(|at| device.0.get(at)).and_then(Option::as_deref)
        };
        match self {
            Self::Any => true,
            Self::Device(wanted) => wanted == device,
            Self::Segment { value, index } => segment(*index) == value.as_deref(),
            Self::And(parts) => parts.iter().all(|part| part.meets(device)),
            Self::AnyOf(wanted) => wanted.contains(device),
            Self::Present { index } => segment(*index).is_some(),
        }
    }
}

impl fmt::Display for Deletion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, start, end } = self;
        write!(f, "{target} from {start} to {end}")
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tree { pattern } => write!(f, "tree {pattern}"),
            Self::Table { table, predicate, columns } if columns.is_empty() => {
                write!(f, "table {table}, all columns, {predicate}")
            }
            Self::Table { table, predicate, columns } => {
                write!(f, "table {table}, columns {}, {predicate}", columns.join(" "))
            }
        }
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any device"),
            Self::Device(segments) => write!(f, "device {segments}"),
            Self::Segment { value: Some(value), index } => write!(f, "segment {index} is {value}"),
            Self::Segment { value: None, index } => write!(f, "segment {index} is null"),
            Self::And(parts) => write_list(f, "all of", parts),
            Self::AnyOf(devices) => write_list(f, "one of the devices", devices),
            Self::Present { index } => write!(f, "segment {index} is not null"),
        }
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, what: &str, parts: &[impl fmt::Display]) -> fmt::Result {
    write!(f, "{what} (")?;
    for (at, part) in parts.iter().enumerate() {
        let between = if at == 0 { "" } else { "; " };
        write!(f, "{between}{part}")?;
    }
    f.write_str(")")
}
