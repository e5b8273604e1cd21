//! Offsets from UTC, as IoTDB writes them.

use core::fmt;

use super::TimeError;

/// An offset from UTC of at most 18 hours, in whole minutes; UTC itself by default.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct UtcOffset {
    minutes: i32,
}

impl UtcOffset {
    /// No offset.
    pub const UTC: Self = Self { minutes: 0 };

    /// East is positive. `None` beyond 18 hours.
    pub fn from_minutes(minutes: i32) -> Option<Self> {
        (-MINUTES_MAX..=MINUTES_MAX).contains(&minutes).then_some(Self { minutes })
    }

    /// East is positive.
    pub fn minutes(self) -> i32 {
        self.minutes
    }

    /// Reads `+08:00`, `-05:30` or `Z`.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        if text.eq_ignore_ascii_case("z") {
            return Ok(Self::UTC);
        }
        let wrong = || TimeError::form("an offset as +hh:mm, -hh:mm or Z", text);
        let &[sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] = text.as_bytes() else {
            return Err(wrong());
        };
        let number = |tens: u8, ones: u8| match (tens, ones) {
            (b'0'..=b'9', b'0'..=b'9') => {
                Some(i32::from(tens - b'0') * 10 + i32::from(ones - b'0'))
            }
            _ => None,
        };
        let (hours, minutes) = number(h1, h2).zip(number(m1, m2)).ok_or_else(wrong)?;
        if 59 < minutes {
            let found = i64::from(minutes);
            return Err(TimeError::Field { what: "minutes of the offset", min: 0, max: 59, found });
        }
        let total = hours * 60 + minutes;
        let found = i64::from(hours);
        Self::from_minutes(if sign == b'-' { -total } else { total }).ok_or(TimeError::Field {
            what: "hours of the offset",
            min: 0,
            max: 18,
            found,
        })
    }

    pub(crate) fn seconds(self) -> i64 {
        i64::from(self.minutes) * 60
    }
}

/// What Java allows.
const MINUTES_MAX: i32 = 18 * 60;

impl fmt::Display for UtcOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.minutes == 0 {
            return f.write_str("Z");
        }
        let sign = if self.minutes < 0 { '-' } else { '+' };
        let minutes = self.minutes.abs();
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}
