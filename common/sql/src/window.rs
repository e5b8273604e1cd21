//! `GROUP BY`: windows of time, one row for each.
//!
//! Months are counted on the calendar at an offset from UTC, always from the first window, so that
//! windows from the 31st on end at the end of each month and come back to the 31st.

use core::fmt;

use tidegate_model::Precision;

use crate::TimeRange;
use crate::time::Interval;
use crate::time::UtcOffset;

/// Windows between two times.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what the clause says
pub struct GroupBy {
    /// Where the first window begins.
    pub start: i64,
    /// Where the last one ends at the latest; behind `start`.
    pub end: i64,
    /// Which ends belong to a window.
    pub bounds: Bounds,
    /// How long a window is; longer than nothing.
    pub interval: Interval,
    /// From the start of one to the start of the next; longer than nothing.
    pub step: Interval,
}

/// Which ends belong to a window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // IoTDB has these
pub enum Bounds {
    /// `[start, end)`.
    StartIncluded,
    /// `(start, end]`.
    EndIncluded,
}

/// One window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what a window is
pub struct Window {
    /// The times in it.
    pub range: TimeRange,
    /// The time of its row: the end that is included.
    pub label: i64,
}

impl GroupBy {
    /// The window of that number, from 0; `None` behind the last one.
    pub fn window(&self, number: u64, precision: Precision, offset: UtcOffset) -> Option<Window> {
        let number = i64::try_from(number).ok()?;
        let start = self.step.shift(self.start, number, precision, offset)?;
        if self.end <= start {
            return None;
        }
        let end = self
            .step
            .shift_and(self.start, number, self.interval, precision, offset)
            .map_or(self.end, |end| end.min(self.end));
        Some(match self.bounds {
            Bounds::StartIncluded => Window {
                range: TimeRange { first: start, last: end.checked_sub(1)? },
                label: start,
            },
            Bounds::EndIncluded => {
                Window { range: TimeRange { first: start.checked_add(1)?, last: end }, label: end }
            }
        })
    }

    /// All windows, the oldest first. There may be very many.
    pub fn windows(
        &self,
        precision: Precision,
        offset: UtcOffset,
    ) -> impl Iterator<Item = Window> + use<> {
        let it = *self;
        (0..).map_while(move |number| it.window(number, precision, offset))
    }
}

impl fmt::Display for GroupBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, end, bounds, interval, step } = self;
        match bounds {
            Bounds::StartIncluded => write!(f, "([{start}, {end}), {interval}")?,
            Bounds::EndIncluded => write!(f, "(({start}, {end}], {interval}")?,
        }
        match step == interval {
            true => f.write_str(")"),
            false => write!(f, ", {step})"),
        }
    }
}

#[cfg(test)]
mod tests;
