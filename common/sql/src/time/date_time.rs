//! IoTDB's date-times: a date alone, or with a time of day, a fraction and an offset.

use super::TimeContext;
use super::TimeError;
use super::UtcOffset;
use super::civil;
use super::civil::Day;
use super::per_second;

/// More digits of a year reach no 64-bit time stamp.
const YEAR_DIGITS_MAX: usize = 9;

/// Nanoseconds; no precision is finer.
const FRACTION_DIGITS_MAX: usize = 9;

/// Reads the date-time with which `text` begins.
///
/// # Returns
/// The time in the precision of `context`, cut towards the past, and the text behind it.
pub(crate) fn parse_date_time<'t>(
    text: &'t str,
    context: &TimeContext,
) -> Result<(i64, &'t str), TimeError> {
    let mut scan = Scan { rest: text };
    let day = scan.date()?;
    let mut second_of_day = 0;
    let mut nanos = 0;
    let mut offset = context.offset;
    if scan.begins_time() {
        (second_of_day, nanos) = scan.time_of_day()?;
        offset = scan.offset()?.unwrap_or(context.offset);
    }
    let seconds = i128::from(day.number()) * 86_400 + i128::from(second_of_day - offset.seconds());
    let per_second = i128::from(per_second(context.precision));
    let time = seconds * per_second + i128::from(nanos) * per_second / 1_000_000_000;
    let time =
        i64::try_from(time).map_err(|_| TimeError::Range { precision: context.precision })?;
    Ok((time, scan.rest))
}

/// What is left to read.
struct Scan<'t> {
    rest: &'t str,
}

impl<'t> Scan<'t> {
    fn date(&mut self) -> Result<Day, TimeError> {
        let is_negative = self.eat('-');
        if !is_negative {
            self.eat('+');
        }
        let year = self.number(4, YEAR_DIGITS_MAX, "a date whose year has 4 digits or more")?;
        let separator = ['-', '/', '.'].into_iter().find(|it| self.eat(*it));
        let separator = separator.ok_or_else(|| self.wrong("`-`, `/` or `.` behind the year"))?;
        let month = self.number(1, 2, "a month of 1 or 2 digits")?;
        if !self.eat(separator) {
            return Err(self.wrong("behind the month what stands behind the year"));
        }
        let day = self.number(1, 2, "a day of 1 or 2 digits")?;
        let year = if is_negative { -year } else { year };
        within("a month", month, 1, 12)?;
        within("a day of that month", day, 1, civil::days_in_month(year, month))?;
        Ok(Day { year, month, day })
    }

    /// Steps over what stands between a date and a time of day, if a time of day follows.
    fn begins_time(&mut self) -> bool {
        let behind = match self.rest.strip_prefix(['T', 't']) {
            Some(behind) => behind,
            None => {
                let behind = self.rest.trim_start();
                if behind.len() == self.rest.len()
                    || !behind.starts_with(|it: char| it.is_ascii_digit())
                {
                    return false;
                }
                behind
            }
        };
        self.rest = behind;
        true
    }

    /// The second of the day, and nanoseconds.
    fn time_of_day(&mut self) -> Result<(i64, i64), TimeError> {
        let hour = self.number(1, 2, "an hour of 1 or 2 digits")?;
        self.colon()?;
        let minute = self.number(2, 2, "a minute of 2 digits")?;
        self.colon()?;
        let second = self.number(2, 2, "a second of 2 digits")?;
        within("an hour", hour, 0, 23)?;
        within("a minute", minute, 0, 59)?;
        within("a second", second, 0, 59)?;
        let mut nanos = 0;
        if self.eat('.') {
            let before = self.rest.len();
            nanos = self.number(1, FRACTION_DIGITS_MAX, "a fraction of 1 to 9 digits")?;
            for _ in before.saturating_sub(self.rest.len())..FRACTION_DIGITS_MAX {
                nanos *= 10;
            }
        }
        Ok((hour * 3_600 + minute * 60 + second, nanos))
    }

    /// The offset, if one follows: a sign may also belong to an interval.
    fn offset(&mut self) -> Result<Option<UtcOffset>, TimeError> {
        if let Some(behind) = self.rest.strip_prefix(['Z', 'z']) {
            self.rest = behind;
            return Ok(Some(UtcOffset::UTC));
        }
        let is_inside = |it: char| it.is_ascii_digit() || it == ':';
        let Some(behind) = self.rest.strip_prefix(['+', '-']) else { return Ok(None) };
        let end = 1 + behind.find(|it| !is_inside(it)).unwrap_or(behind.len());
        match self.rest.split_at_checked(end) {
            Some((offset, behind)) if offset.contains(':') => {
                self.rest = behind;
                UtcOffset::parse(offset).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn colon(&mut self) -> Result<(), TimeError> {
        match self.eat(':') {
            true => Ok(()),
            false => Err(self.wrong("a time of day as hh:mm:ss")),
        }
    }

    fn eat(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// So many digits and no more.
    fn number(&mut self, min: usize, max: usize, expected: &'static str) -> Result<i64, TimeError> {
        let end = self.rest.find(|it: char| !it.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, behind) = self.rest.split_at_checked(end).unwrap_or_default();
        if !(min..=max).contains(&digits.len()) {
            return Err(self.wrong(expected));
        }
        let number = digits.parse().map_err(|_| self.wrong(expected))?;
        self.rest = behind;
        Ok(number)
    }

    fn wrong(&self, expected: &'static str) -> TimeError {
        TimeError::form(expected, self.rest)
    }
}

fn within(what: &'static str, found: i64, min: i64, max: i64) -> Result<(), TimeError> {
    match (min..=max).contains(&found) {
        true => Ok(()),
        false => Err(TimeError::Field { what, min, max, found }),
    }
}
