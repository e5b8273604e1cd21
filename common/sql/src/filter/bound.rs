//! The times that a condition can hold for, so that others need not be read.

use super::Comparison;
use super::Condition;
use super::Filter;
use super::TimeTest;

/// Times from `first` to `last`, both of them included; none if `last` is before `first`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what a range is
pub struct TimeRange {
    /// The first time.
    pub first: i64,
    /// The last time.
    pub last: i64,
}

impl TimeRange {
    /// Every time.
    pub const ALL: Self = Self { first: i64::MIN, last: i64::MAX };

    /// No time.
    pub const EMPTY: Self = Self { first: i64::MAX, last: i64::MIN };

    /// Whether a time is in it.
    pub fn contains(self, time: i64) -> bool {
        self.first <= time && time <= self.last
    }

    /// Whether no time is in it.
    pub fn is_empty(self) -> bool {
        self.last < self.first
    }

    /// The times that are in both.
    pub fn intersection(self, other: Self) -> Self {
        let both = Self { first: self.first.max(other.first), last: self.last.min(other.last) };
        if both.is_empty() { Self::EMPTY } else { both }
    }

    /// The smallest range that has the times of both.
    pub fn hull(self, other: Self) -> Self {
        match (self.is_empty(), other.is_empty()) {
            (true, _) => other,
            (_, true) => self,
            _ => Self { first: self.first.min(other.first), last: self.last.max(other.last) },
        }
    }

    fn before(time: i64) -> Self {
        time.checked_sub(1).map_or(Self::EMPTY, |last| Self { last, ..Self::ALL })
    }

    fn behind(time: i64) -> Self {
        time.checked_add(1).map_or(Self::EMPTY, |first| Self { first, ..Self::ALL })
    }
}

impl Filter {
    /// The filter as a range of times, and what must still hold for a row in it.
    ///
    /// A row is meant by the filter if and only if its time is in the range and it is meant by the
    /// rest, if there is one. The rest has the same series with the same numbers.
    pub fn split(&self) -> (TimeRange, Option<Self>) {
        let range = range(&self.condition, true);
        let rest = match &self.condition {
            Condition::And(members) => members.iter().filter(|it| !is_range(it)).cloned().collect(),
            other if is_range(other) => Vec::new(),
            other => vec![other.clone()],
        };
        let rest = (!rest.is_empty())
            .then(|| Self { series: self.series.clone(), condition: Condition::and(rest) });
        (range, rest)
    }
}

/// A range outside of which the condition is never `wanted`.
fn range(condition: &Condition, wanted: bool) -> TimeRange {
    match (condition, wanted) {
        (Condition::Constant(constant), _) => match *constant == Some(wanted) {
            true => TimeRange::ALL,
            false => TimeRange::EMPTY,
        },
        (Condition::Not(inner), _) => range(inner, !wanted),
        (Condition::And(members), true) | (Condition::Or(members), false) => {
            members.iter().map(|it| range(it, wanted)).fold(TimeRange::ALL, TimeRange::intersection)
        }
        (Condition::And(members), false) | (Condition::Or(members), true) => {
            members.iter().map(|it| range(it, wanted)).fold(TimeRange::EMPTY, TimeRange::hull)
        }
        (Condition::Time(test), true) => range_of(test),
        (Condition::Time(test), false) => range_without(test),
        (Condition::Value { .. }, _) => TimeRange::ALL,
    }
}

fn range_of(test: &TimeTest) -> TimeRange {
    match test {
        TimeTest::Between(first, last) => {
            TimeRange { first: *first, last: *last }.intersection(TimeRange::ALL)
        }
        TimeTest::Compare(comparison, time) => compared(*comparison, *time),
        TimeTest::In(times) => match (times.iter().min(), times.iter().max()) {
            (Some(first), Some(last)) => TimeRange { first: *first, last: *last },
            _ => TimeRange::EMPTY,
        },
    }
}

fn range_without(test: &TimeTest) -> TimeRange {
    match test {
        TimeTest::Between(first, last) if first <= last => {
            TimeRange::before(*first).hull(TimeRange::behind(*last))
        }
        TimeTest::Compare(comparison, time) => compared(comparison.negated(), *time),
        TimeTest::Between(..) | TimeTest::In(_) => TimeRange::ALL,
    }
}

fn compared(comparison: Comparison, time: i64) -> TimeRange {
    match comparison {
        Comparison::Equal => TimeRange { first: time, last: time },
        Comparison::Greater => TimeRange::behind(time),
        Comparison::GreaterEqual => TimeRange { first: time, ..TimeRange::ALL },
        Comparison::Less => TimeRange::before(time),
        Comparison::LessEqual => TimeRange { last: time, ..TimeRange::ALL },
        Comparison::NotEqual => TimeRange::before(time).hull(TimeRange::behind(time)),
    }
}

/// Whether the condition holds for every time of its range.
fn is_range(condition: &Condition) -> bool {
    match condition {
        Condition::Constant(constant) => *constant == Some(true),
        Condition::Not(inner) => match &**inner {
            Condition::Time(TimeTest::Compare(comparison, _)) => *comparison != Comparison::Equal,
            _ => false,
        },
        Condition::Time(TimeTest::Between(..)) => true,
        Condition::Time(TimeTest::Compare(comparison, _)) => *comparison != Comparison::NotEqual,
        _ => false,
    }
}
