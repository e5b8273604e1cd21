//! Lengths of time as IoTDB writes them: `1d12h`, `2mo`.
//!
//! Months and years have no fixed length: they are kept apart and counted on the calendar, at an
//! offset from UTC. IoTDB does so in windows; in `now() - 1y` it takes 365 days for a year, and we
//! do not.

use core::fmt;

use tidegate_model::Precision;

use super::TimeError;
use super::UtcOffset;
use super::civil::Day;
use super::per_second;

/// Months in the years that 64-bit milliseconds have.
const MONTHS_MAX: u64 = 12 * 600_000_000;

/// Nanoseconds in all 64-bit milliseconds.
const NANOS_MAX: u128 = (u64::MAX as u128) * 1_000_000;

/// IoTDB's units of fixed length, the largest first, in nanoseconds.
const UNITS: [(&str, u128); 8] = [
    ("w", 604_800_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// A length of time: months, and what has a fixed length.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Interval {
    months: u64,
    nanos: u128,
}

impl Interval {
    /// Reads numbers with units: `y`, `mo`, `w`, `d`, `h`, `m`, `s`, `ms`, `us`, `ns`, of any case.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let wrong = |found| TimeError::form("an interval such as 1d12h", found);
        let (mut months, mut nanos) = (0u64, 0u128);
        let mut rest = text;
        while !rest.is_empty() || text.is_empty() {
            let end = rest.find(|it: char| !it.is_ascii_digit()).ok_or_else(|| wrong(rest))?;
            let (digits, behind) = rest.split_at_checked(end).unwrap_or_default();
            let end = behind.find(|it: char| !it.is_ascii_alphabetic()).unwrap_or(behind.len());
            let (unit, behind) = behind.split_at_checked(end).unwrap_or_default();
            if digits.is_empty() {
                return Err(wrong(rest));
            }
            let too_long = || TimeError::form("an interval that 64 bits can hold", text);
            let number: u64 = digits.parse().map_err(|_| too_long())?;
            let unit = unit.to_ascii_lowercase();
            let fixed = UNITS.into_iter().find(|(name, _)| *name == unit).map(|(_, length)| length);
            match (unit.as_str(), fixed) {
                ("y", _) => months = months.saturating_add(number.saturating_mul(12)),
                ("mo", _) => months = months.saturating_add(number),
                (_, Some(length)) => {
                    nanos = nanos.saturating_add(length.saturating_mul(u128::from(number)));
                }
                _ => return Err(wrong(rest)),
            }
            if MONTHS_MAX < months || NANOS_MAX < nanos {
                return Err(too_long());
            }
            rest = behind;
        }
        Ok(Self { months, nanos })
    }

    /// Calendar months.
    pub fn months(self) -> u64 {
        self.months
    }

    /// What has a fixed length, in that precision; what is finer is cut off. `None` if 64 bits
    /// cannot hold it.
    pub fn fixed(self, precision: Precision) -> Option<i64> {
        let unit = 1_000_000_000 / u128::from(per_second(precision).unsigned_abs());
        i64::try_from(self.nanos / unit).ok()
    }

    /// Whether it has no length in that precision.
    pub fn is_zero(self, precision: Precision) -> bool {
        self.months == 0 && self.fixed(precision) == Some(0)
    }

    /// `time` and so many times this interval, months first; `None` if 64 bits cannot hold it.
    pub fn shift(
        self,
        time: i64,
        times: i64,
        precision: Precision,
        offset: UtcOffset,
    ) -> Option<i64> {
        self.shift_and(time, times, Self { months: 0, nanos: 0 }, precision, offset)
    }

    /// As [`Interval::shift`], and once another interval, the months of both first.
    pub(crate) fn shift_and(
        self,
        time: i64,
        times: i64,
        other: Self,
        precision: Precision,
        offset: UtcOffset,
    ) -> Option<i64> {
        let sum = |one: i64, other: i64| {
            i128::from(one).checked_mul(i128::from(times))?.checked_add(i128::from(other))
        };
        let months = sum(i64::try_from(self.months).ok()?, i64::try_from(other.months).ok()?)?;
        let fixed = sum(self.fixed(precision)?, other.fixed(precision)?)?;
        let mut time = i128::from(time);
        if months != 0 {
            time += later_by_months(time, months, precision, offset)?;
        }
        i64::try_from(time.checked_add(fixed)?).ok()
    }
}

/// How much later the same time of day is, so many calendar months later.
fn later_by_months(
    time: i128,
    months: i128,
    precision: Precision,
    offset: UtcOffset,
) -> Option<i128> {
    if i128::from(MONTHS_MAX) < months.abs() {
        return None;
    }
    let per_second = i128::from(per_second(precision));
    let per_day = 86_400 * per_second;
    let local = time + i128::from(offset.seconds()) * per_second;
    let day = Day::from_number(i64::try_from(local.div_euclid(per_day)).ok()?);
    let moved = day.plus_months(i64::try_from(months).ok()?);
    Some(i128::from(moved.number() - day.number()) * per_day)
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.months != 0 {
            write!(f, "{}mo", self.months)?;
        }
        let mut rest = self.nanos;
        for (name, length) in UNITS {
            if length <= rest {
                write!(f, "{}{name}", rest / length)?;
                rest %= length;
            }
        }
        match (self.months, self.nanos) {
            (0, 0) => f.write_str("0s"),
            _ => Ok(()),
        }
    }
}
