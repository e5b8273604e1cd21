//! Times as IoTDB shows them.

use tidegate_model::Precision;

use super::UtcOffset;
use super::civil::Day;
use super::per_second;

/// The time as `2011-12-03T10:15:30.123+01:00`, with 3, 6 or 9 digits of a fraction and `Z` for UTC.
///
/// Years before 0 and after 9999 have a sign. [`parse_time`](super::parse_time) reads it back.
pub fn format_time(time: i64, precision: Precision, offset: UtcOffset) -> String {
    let per_second = per_second(precision);
    let (seconds, fraction) = (time.div_euclid(per_second), time.rem_euclid(per_second));
    let digits = match precision {
        Precision::Ms => 3,
        Precision::Us => 6,
        Precision::Ns => 9,
    };
    let local = seconds + offset.seconds();
    let (number, second) = (local.div_euclid(86_400), local.rem_euclid(86_400));
    let Day { year, month, day } = Day::from_number(number);
    let year = match year {
        0..=9_999 => format!("{year:04}"),
        _ => format!("{year:+05}"),
    };
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!(
        "{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:0digits$}{offset}"
    )
}
