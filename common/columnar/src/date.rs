//! DATE: IoTDB counts days as numbers yyyymmdd, files count them from 1970-01-01.

/// Days since 1970-01-01 of a number yyyymmdd; `None` if it is no day of the years 1 to 9999.
pub(crate) fn days_of(date: i32) -> Option<i32> {
    if !(10_101..=99_991_231).contains(&date) {
        return None;
    }
    let (year, month, day) = (date / 10_000, date / 100 % 100, date % 100);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let n_days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => return None,
    };
    if !(1..=n_days).contains(&day) {
        return None;
    }
    // Years that begin in March have their leap day at the end.
    let (year, month) = match month {
        1 | 2 => (year.checked_sub(1)?, month.checked_add(9)?),
        _ => (year, month.checked_sub(3)?),
    };
    let in_year = month.checked_mul(153)?.checked_add(2)? / 5;
    let before = year.checked_mul(365)?.checked_add(year / 4)?.checked_sub(year / 100)?;
    let days = before.checked_add(year / 400)?.checked_add(in_year)?.checked_add(day)?;
    // of 1970-01-01, counted so
    days.checked_sub(719_469)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_follows_the_one_before_it() {
        let mut last = days_of(10_101).unwrap() - 1;
        for year in 1..=9999 {
            let mut n_days = 0;
            for month in 0..=13 {
                for day in 0..=32 {
                    let Some(days) = days_of(year * 10_000 + month * 100 + day) else { continue };
                    assert_eq!(days, last + 1, "{year}-{month}-{day}");
                    last = days;
                    n_days += 1;
                }
            }
            assert!(n_days == 365 || n_days == 366, "{year}");
        }
        assert_eq!(days_of(19_700_101), Some(0));
        assert_eq!(days_of(20_000_229), Some(11_016));
        assert_eq!(days_of(19_691_231), Some(-1));
    }

    #[test]
    fn what_is_no_day_is_none() {
        for date in [i32::MIN, -1, 0, 7, 10_031, 20_230_229, 19_000_229, 20_241_301, i32::MAX] {
            assert_eq!(days_of(date), None, "{date}");
        }
        assert_eq!(days_of(100_000_101), None);
    }
}
