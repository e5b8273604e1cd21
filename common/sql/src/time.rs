//! Times as text, as IoTDB reads and shows them.
//!
//! A time is a number in the cluster's [`Precision`]. Its text is a date-time in one of IoTDB's
//! forms, `now()`, either of them with intervals added, or the number itself. Calendar arithmetic is
//! our own: it reaches every 64-bit time stamp, which no calendar library at hand does, and there is
//! no time zone database behind it, only an offset.

mod civil;
mod date_time;
mod format;
mod interval;
mod offset;

use core::fmt;

use tidegate_model::Precision;

pub use format::format_time;
pub use interval::Interval;
pub use offset::UtcOffset;

pub(crate) use civil::days_in_month;
pub(crate) use date_time::parse_date_time;

/// What is said of a text that begins as no time does.
pub(crate) const EXAMPLES: &str =
    "a time such as 2024-05-01T00:00:00Z, 1714521600000 or now() - 1d";

/// Characters of a foreign text that an error shows.
const SHOWN_CHARS_MAX: usize = 40;

/// What a text needs beside itself to become a time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what there is to know
pub struct TimeContext {
    /// Unit of the time stamps.
    pub precision: Precision,
    /// Where a date-time without an offset is, and where months begin.
    pub offset: UtcOffset,
    /// What `now()` stands for, in that precision.
    pub now: i64,
}

/// Reads a time in any of IoTDB's forms:
///
/// - a number, in the precision of `context`
/// - `2011-12-03T10:15:30.123+01:00`: dashes, slashes or dots in the date; `T` or white space before
///   the time of day; at most nine digits of a fraction, of which those finer than the precision
///   are cut off; `+hh:mm`, `-hh:mm`, `Z` or no offset; or the date alone
/// - `now` or `now()`
/// - one of the last two with intervals behind it: `now() - 1d12h`
pub fn parse_time(text: &str, context: &TimeContext) -> Result<i64, TimeError> {
    let text = text.trim();
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.starts_with(|it: char| it.is_ascii_digit()) && strip_now(text).is_none() {
        return Err(TimeError::form(EXAMPLES, text));
    }
    if unsigned.bytes().all(|it| it.is_ascii_digit()) {
        return Err(TimeError::Range { precision: context.precision });
    }
    let (mut time, mut rest) = match strip_now(text) {
        Some(rest) => (context.now, rest),
        None => parse_date_time(text, context)?,
    };
    loop {
        rest = rest.trim_start();
        let Some(sign) = rest.chars().next() else { return Ok(time) };
        let times = match sign {
            '+' => 1,
            '-' => -1,
            _ => return Err(TimeError::form("the end of the time, `+` or `-`", rest)),
        };
        let behind = rest.get(1..).unwrap_or_default().trim_start();
        let is_inside = |it: char| it.is_ascii_alphanumeric();
        let end = behind.find(|it| !is_inside(it)).unwrap_or(behind.len());
        let (interval, after) = behind.split_at_checked(end).unwrap_or((behind, ""));
        let interval = Interval::parse(interval)?;
        time = interval
            .shift(time, times, context.precision, context.offset)
            .ok_or(TimeError::Range { precision: context.precision })?;
        rest = after;
    }
}

/// What follows `now` or `now()`.
fn strip_now(text: &str) -> Option<&str> {
    let (word, rest) = text.split_at_checked(3)?;
    if !word.eq_ignore_ascii_case("now") {
        return None;
    }
    let inside = rest.trim_start().strip_prefix('(').map(str::trim_start);
    Some(inside.and_then(|it| it.strip_prefix(')')).unwrap_or(rest))
}

/// Time stamps in a second.
pub(crate) fn per_second(precision: Precision) -> i64 {
    match precision {
        Precision::Ms => 1_000,
        Precision::Us => 1_000_000,
        Precision::Ns => 1_000_000_000,
    }
}

/// Why a text is no time.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TimeError {
    /// A part of it is out of its bounds.
    Field {
        /// Which part.
        what: &'static str,
        /// Its smallest value.
        min: i64,
        /// Its largest value.
        max: i64,
        /// What it is.
        found: i64,
    },
    /// It is not of that form.
    Form {
        /// What was expected.
        expected: &'static str,
        /// What was there.
        found: Box<str>,
    },
    /// It is a time that 64 bits of that precision cannot hold.
    Range {
        /// The precision.
        precision: Precision,
    },
}

impl TimeError {
    pub(crate) fn form(expected: &'static str, found: &str) -> Self {
        Self::Form { expected, found: crate::error::shown(found, SHOWN_CHARS_MAX).into() }
    }
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field { what, min, max, found } => {
                write!(f, "expected {what} from {min} to {max}, found {found}")
            }
            Self::Form { expected, found } if found.is_empty() => {
                write!(f, "expected {expected}, found the end of the text")
            }
            Self::Form { expected, found } => write!(f, "expected {expected}, found \"{found}\""),
            Self::Range { precision } => {
                let zone = UtcOffset::UTC;
                let first = format_time(i64::MIN, *precision, zone);
                let last = format_time(i64::MAX, *precision, zone);
                write!(f, "expected a time from {first} to {last}, which {precision} can hold")
            }
        }
    }
}

impl core::error::Error for TimeError {}

#[cfg(test)]
mod tests;
