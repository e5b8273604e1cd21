//! What a statement says, in types. `Display` writes it so that it can be read again.

use core::fmt;

use crate::Filter;
use crate::GroupBy;
use crate::Path;
use crate::path;

/// A statement.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Statement {
    /// `COUNT TIMESERIES`, `COUNT DEVICES`.
    Count(Count),
    /// `SELECT`.
    Select(Select),
    /// `SELECT LAST`.
    SelectLast(SelectLast),
    /// `SHOW TIMESERIES`, `SHOW DEVICES`, `SHOW DATABASES`.
    Show(Show),
}

/// `SELECT`: rows of series, or aggregates over them.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the clauses that there are
pub struct Select {
    /// What is selected: series only, or aggregates only; one at least.
    pub items: Vec<SelectItem>,
    /// Full paths or patterns before the items' paths; one at least.
    pub from: Vec<Path>,
    /// `WHERE`.
    pub filter: Option<Filter>,
    /// `GROUP BY`, with aggregates only.
    pub group_by: Option<GroupBy>,
    /// `ORDER BY TIME`.
    pub order: Order,
    /// `LIMIT` and `OFFSET`, in rows.
    pub page: Page,
    /// `ALIGN BY`.
    pub align: Align,
}

impl Select {
    /// Whether it asks for aggregates and not for rows.
    pub fn is_aggregation(&self) -> bool {
        self.items.iter().any(|it| matches!(it.item, Item::Aggregate(..)))
    }
}

/// `SELECT LAST`: the newest value of each series.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the clauses that there are
pub struct SelectLast {
    /// Paths behind those of `from`; one at least.
    pub items: Vec<Path>,
    /// Full paths or patterns; one at least.
    pub from: Vec<Path>,
    /// `WHERE`: about the time only.
    pub filter: Option<Filter>,
    /// `LIMIT` and `OFFSET`, in series.
    pub page: Page,
}

/// One item behind `SELECT`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what an item has
pub struct SelectItem {
    /// What is selected.
    pub item: Item,
    /// `AS`: the name of its column.
    pub alias: Option<String>,
}

/// What an item selects. Paths are without those of `FROM`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // whoever answers a statement must know both
pub enum Item {
    /// An aggregate over a path.
    Aggregate(Function, Path),
    /// The values themselves.
    Series(Path),
}

/// An aggregate function.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums)] // whoever answers a statement must know all
pub enum Function {
    /// Mean.
    Avg,
    /// How many.
    Count,
    /// The value with the smallest time.
    FirstValue,
    /// The value with the largest time.
    LastValue,
    /// The largest time.
    MaxTime,
    /// The largest value.
    MaxValue,
    /// The smallest time.
    MinTime,
    /// The smallest value.
    MinValue,
    /// Sum.
    Sum,
}

impl Function {
    /// Every function.
    pub const ALL: [Self; 9] = [
        Self::Avg,
        Self::Count,
        Self::FirstValue,
        Self::LastValue,
        Self::MaxTime,
        Self::MaxValue,
        Self::MinTime,
        Self::MinValue,
        Self::Sum,
    ];

    /// IoTDB's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Avg => "AVG",
            Self::Count => "COUNT",
            Self::FirstValue => "FIRST_VALUE",
            Self::LastValue => "LAST_VALUE",
            Self::MaxTime => "MAX_TIME",
            Self::MaxValue => "MAX_VALUE",
            Self::MinTime => "MIN_TIME",
            Self::MinValue => "MIN_VALUE",
            Self::Sum => "SUM",
        }
    }

    /// The function of that name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str().eq_ignore_ascii_case(name))
    }
}

/// `ORDER BY TIME`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // there are two
pub enum Order {
    /// The oldest first.
    #[default]
    Ascending,
    /// The newest first.
    Descending,
}

/// `ALIGN BY`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // there are two
pub enum Align {
    /// A row is a device and a time.
    Device,
    /// A row is a time.
    #[default]
    Time,
}

/// `LIMIT` and `OFFSET`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what a page is
pub struct Page {
    /// How many at most; never 0.
    pub limit: Option<u64>,
    /// How many are left out before.
    pub offset: u64,
}

/// `SHOW`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the clauses that there are
pub struct Show {
    /// What is shown.
    pub what: What,
    /// Which ones; all, if none is given.
    pub pattern: Option<Path>,
    /// `LIMIT` and `OFFSET`; not with databases.
    pub page: Page,
}

/// `COUNT`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the clauses that there are
pub struct Count {
    /// What is counted; never databases.
    pub what: What,
    /// Which ones; all, if none is given.
    pub pattern: Option<Path>,
}

/// What is shown or counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // whoever answers a statement must know all
pub enum What {
    /// Databases.
    Databases,
    /// Devices.
    Devices,
    /// Time series.
    Timeseries,
}

impl What {
    /// IoTDB's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Databases => "DATABASES",
            Self::Devices => "DEVICES",
            Self::Timeseries => "TIMESERIES",
        }
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(Count { what, pattern }) => {
                write!(f, "COUNT {}", what.as_str())?;
                pattern.iter().try_for_each(|it| write!(f, " {it}"))
            }
            Self::Select(select) => select.fmt(f),
            Self::SelectLast(SelectLast { items, from, filter, page }) => {
                list(f, "SELECT LAST ", items)?;
                list(f, " FROM ", from)?;
                filter.iter().try_for_each(|it| write!(f, " WHERE {it}"))?;
                page.fmt(f)
            }
            Self::Show(Show { what, pattern, page }) => {
                write!(f, "SHOW {}", what.as_str())?;
                pattern.iter().try_for_each(|it| write!(f, " {it}"))?;
                page.fmt(f)
            }
        }
    }
}

impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, "SELECT ", &self.items)?;
        list(f, " FROM ", &self.from)?;
        self.filter.iter().try_for_each(|it| write!(f, " WHERE {it}"))?;
        self.group_by.iter().try_for_each(|it| write!(f, " GROUP BY {it}"))?;
        if self.order == Order::Descending {
            f.write_str(" ORDER BY TIME DESC")?;
        }
        self.page.fmt(f)?;
        match self.align {
            Align::Device => f.write_str(" ALIGN BY DEVICE"),
            Align::Time => Ok(()),
        }
    }
}

impl fmt::Display for SelectItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.item {
            Item::Aggregate(function, path) => write!(f, "{}({path})", function.as_str())?,
            Item::Series(path) => path.fmt(f)?,
        }
        self.alias.iter().try_for_each(|it| write!(f, " AS {}", path::shown_name(it)))
    }
}

impl fmt::Display for Page {
    /// With a blank before each clause.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.limit.iter().try_for_each(|it| write!(f, " LIMIT {it}"))?;
        match self.offset {
            0 => Ok(()),
            offset => write!(f, " OFFSET {offset}"),
        }
    }
}

/// `head` and the things behind it, with commas between.
pub(crate) fn list<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    head: &str,
    things: &[T],
) -> fmt::Result {
    f.write_str(head)?;
    for (idx, it) in things.iter().enumerate() {
        if idx != 0 {
            f.write_str(", ")?;
        }
        it.fmt(f)?;
    }
    Ok(())
}
