//! Conditions behind `WHERE`.
//!
//! A condition is a tree whose leaves say something about the time of a row or about the value of
//! one series in it. Series are kept beside the tree, and the leaves have their numbers: whoever
//! evaluates looks each of them up once and not in every row.

mod bound;
mod compare;
mod like;
mod show;
mod spread;

use tidegate_model::Value;

use crate::Path;

pub use bound::TimeRange;
pub use compare::Misfit;
pub use compare::TypeMismatch;
pub use like::Like;

pub(crate) use spread::Numbers;

/// A condition, with the series that it names.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    series: Vec<Path>,
    condition: Condition,
}

impl Filter {
    /// Every number in the condition has a series.
    pub(crate) fn new(series: Vec<Path>, condition: Condition) -> Self {
        Self { series, condition }
    }

    /// The series, in the order of their numbers. Those that do not begin at the root stand behind
    /// the paths of `FROM`.
    pub fn series(&self) -> &[Path] {
        &self.series
    }

    /// The condition.
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// Whether a row is meant; `None` if that is unknown, since a value is null. Only `Some(true)`
    /// is a row of the result.
    ///
    /// # Arguments
    ///
    /// - `time`: of the row
    /// - `values`: the value of the series of that number in the row; `None` is null
    pub fn evaluate(&self, time: i64, values: &dyn Fn(usize) -> Option<Value>) -> Option<bool> {
        self.condition.evaluate(time, values)
    }
}

/// A condition.
///
/// What a parser makes has no AND as a member of AND, and no OR as a member of OR, and each has two
/// members at least. It is no deeper than [`DEPTH_MAX`](crate::DEPTH_MAX) and a few.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums)] // whoever looks into a condition must know all
pub enum Condition {
    /// All of them.
    And(Vec<Self>),
    /// `TRUE`, `FALSE` or `NULL`.
    Constant(Option<bool>),
    /// Not that.
    Not(Box<Self>),
    /// One of them at least.
    Or(Vec<Self>),
    /// About the time.
    Time(TimeTest),
    /// About the value of a series.
    Value {
        /// Its number.
        series: usize,
        /// What is said about it.
        test: ValueTest,
    },
}

/// Something said about the time of a row.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // whoever looks into a condition must know all
pub enum TimeTest {
    /// From the first to the second, both of them included.
    Between(i64, i64),
    /// Against another time.
    Compare(Comparison, i64),
    /// One of these.
    In(Vec<i64>),
}

/// Something said about a value. Of a null all but the last is unknown.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums)] // whoever looks into a condition must know all
pub enum ValueTest {
    /// From the first to the second, both of them included.
    Between(Literal, Literal),
    /// Against a literal.
    Compare(Comparison, Literal),
    /// One of these.
    In(Vec<Literal>),
    /// Like a pattern.
    Like(Like),
    /// There is none.
    IsNull,
}

/// How two things are compared.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums)] // these are all
pub enum Comparison {
    /// `=`, `==`.
    Equal,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterEqual,
    /// `<`.
    Less,
    /// `<=`.
    LessEqual,
    /// `!=`, `<>`.
    NotEqual,
}

impl Comparison {
    /// IoTDB's sign.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::NotEqual => "!=",
        }
    }

    /// The one that says the same with its sides exchanged.
    pub fn flipped(self) -> Self {
        match self {
            Self::Equal => Self::Equal,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::NotEqual => Self::NotEqual,
        }
    }

    /// The one that says the contrary.
    pub fn negated(self) -> Self {
        match self {
            Self::Equal => Self::NotEqual,
            Self::Greater => Self::LessEqual,
            Self::GreaterEqual => Self::Less,
            Self::Less => Self::GreaterEqual,
            Self::LessEqual => Self::Greater,
            Self::NotEqual => Self::Equal,
        }
    }

    /// Whether it holds for a left side that is so beside the right side.
    pub fn holds(self, ordering: core::cmp::Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterEqual => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::LessEqual => ordering.is_le(),
            Self::NotEqual => ordering.is_ne(),
        }
    }
}

/// A value in a statement.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums)] // whoever looks into a condition must know all
pub enum Literal {
    /// `TRUE`, `FALSE`.
    Boolean(bool),
    /// `X'0102'`.
    Bytes(Vec<u8>),
    /// A number with a point or an exponent; finite.
    Float(f64),
    /// A whole number, or a time.
    Integer(i64),
    /// A text in quotes.
    Text(String),
}

impl Condition {
    /// All of `members`, which are one at least.
    pub(crate) fn and(members: Vec<Self>) -> Self {
        let flat = flattened(members, |it| match it {
            Self::And(inner) => Ok(inner),
            other => Err(other),
        });
        single(flat, Self::And)
    }

    /// One of `members`, which are one at least.
    pub(crate) fn or(members: Vec<Self>) -> Self {
        let flat = flattened(members, |it| match it {
            Self::Or(inner) => Ok(inner),
            other => Err(other),
        });
        single(flat, Self::Or)
    }

    fn evaluate(&self, time: i64, values: &dyn Fn(usize) -> Option<Value>) -> Option<bool> {
        match self {
            Self::And(members) => any(members, false, |it| it.evaluate(time, values)),
            Self::Constant(constant) => *constant,
            Self::Not(inner) => inner.evaluate(time, values).map(|it| !it),
            Self::Or(members) => any(members, true, |it| it.evaluate(time, values)),
            Self::Time(test) => Some(test.holds(time)),
            Self::Value { series, test } => test.holds(values(*series).as_ref()),
        }
    }
}

impl TimeTest {
    /// Whether it holds for that time.
    pub fn holds(&self, time: i64) -> bool {
        match self {
            Self::Between(low, high) => (*low..=*high).contains(&time),
            Self::Compare(comparison, other) => comparison.holds(time.cmp(other)),
            Self::In(list) => list.contains(&time),
        }
    }
}

/// `wanted` if one member is that, else unknown if one member is unknown, else the contrary.
fn any<T>(members: &[T], wanted: bool, is: impl Fn(&T) -> Option<bool>) -> Option<bool> {
    let mut result = Some(!wanted);
    for it in members {
        match is(it) {
            Some(found) if found == wanted => return Some(wanted),
            Some(_) => (),
            None => result = None,
        }
    }
    result
}

fn flattened(
    members: Vec<Condition>,
    inner: impl Fn(Condition) -> Result<Vec<Condition>, Condition>,
) -> Vec<Condition> {
    let mut flat = Vec::with_capacity(members.len());
    for it in members {
        match inner(it) {
            Ok(inner) => flat.extend(inner),
            Err(other) => flat.push(other),
        }
    }
    flat
}

fn single(mut members: Vec<Condition>, join: fn(Vec<Condition>) -> Condition) -> Condition {
    match (members.len(), members.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            members.extend(last);
            join(members)
        }
    }
}

#[cfg(test)]
mod tests;
