//! Days of the calendar and their numbers: the Gregorian rules, in both directions without end.

/// Days of 400 years, after which the calendar repeats.
const DAYS_PER_CYCLE: i64 = 146_097;

/// From the first of March of the year 0 to 1970-01-01.
const DAYS_TO_EPOCH: i64 = 719_468;

/// A day. Years before 1 count on through 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Day {
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: i64,
    /// 1 to [`days_in_month`].
    pub(crate) day: i64,
}

impl Day {
    /// Days since 1970-01-01. The year is one that some 64-bit time in milliseconds has, or near it.
    pub(crate) fn number(self) -> i64 {
        // Years that begin in March have their leap day at the end.
        let year = if self.month <= 2 { self.year - 1 } else { self.year };
        let (cycle, of_cycle) = (year.div_euclid(400), year.rem_euclid(400));
        let day_of_year = days_before((self.month + 9) % 12) + self.day - 1;
        let day = of_cycle * 365 + of_cycle / 4 - of_cycle / 100 + day_of_year;
        cycle * DAYS_PER_CYCLE + day - DAYS_TO_EPOCH
    }

    /// The day of that number.
    pub(crate) fn from_number(number: i64) -> Self {
        let days = number + DAYS_TO_EPOCH;
        let (cycle, day) = (days.div_euclid(DAYS_PER_CYCLE), days.rem_euclid(DAYS_PER_CYCLE));
        // Leap days before this one, of every 4, less those of every 100, more that of the 400.
        let leap_days = day / 1_460 - day / 36_524 + day / 146_096;
        let of_cycle = (day - leap_days) / 365;
        let day_of_year = day - (of_cycle * 365 + of_cycle / 4 - of_cycle / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = (from_march + 2) % 12 + 1;
        let year = cycle * 400 + of_cycle + i64::from(month <= 2);
        Self { year, month, day: day_of_year - days_before(from_march) + 1 }
    }

    /// The same day so many months later, or the last one of a shorter month.
    pub(crate) fn plus_months(self, months: i64) -> Self {
        let total = self.year * 12 + self.month - 1 + months;
        let (year, month) = (total.div_euclid(12), total.rem_euclid(12) + 1);
        Self { year, month, day: self.day.min(days_in_month(year, month)) }
    }
}

/// Days of a year that begins in March, before its month of that number from 0.
fn days_before(from_march: i64) -> i64 {
    // Months of 31, 30, 31, 30 and 31 days in turn: 153 days in five months.
    (153 * from_march + 2) / 5
}

/// How many days a month has.
pub(crate) fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year.rem_euclid(4) == 0
            && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0) =>
        {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_numbers_agree_with_a_walk_over_900_years() {
        let mut number = Day { year: 1500, month: 1, day: 1 }.number();
        for year in 1500..2400 {
            for month in 1..=12 {
                for day in 1..=days_in_month(year, month) {
                    let it = Day { year, month, day };
                    assert_eq!(it.number(), number, "{it:?}");
                    assert_eq!(Day::from_number(number), it);
                    number += 1;
                }
            }
        }
        assert_eq!(Day { year: 1970, month: 1, day: 1 }.number(), 0);
        assert_eq!(Day { year: 2000, month: 2, day: 29 }.number(), 11_016);
    }

    #[test]
    fn days_and_numbers_agree_far_away() {
        for number in (-110_000_000_000..110_000_000_000).step_by(999_999_937) {
            assert_eq!(Day::from_number(number).number(), number);
        }
    }

    #[test]
    fn months_end_with_their_last_day() {
        let jan = Day { year: 2024, month: 1, day: 31 };
        assert_eq!(jan.plus_months(1), Day { year: 2024, month: 2, day: 29 });
        assert_eq!(jan.plus_months(13), Day { year: 2025, month: 2, day: 28 });
        assert_eq!(jan.plus_months(-2), Day { year: 2023, month: 11, day: 30 });
        assert_eq!(jan.plus_months(2), Day { year: 2024, month: 3, day: 31 });
    }
}
