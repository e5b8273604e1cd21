//! Tokens that begin with a digit: numbers, intervals, dates. Which one it is, is the longest one's
//! say; of two that are equally long, the interval comes first.

use super::Kind;

/// The kind and the length of the longest literal with which `rest` begins; a length of 0 if it
/// begins with none.
pub(super) fn literal(rest: &str) -> (Kind, usize) {
    let bytes = rest.as_bytes();
    let mut longest = (Kind::Integer, 0);
    let candidates = [
        (Kind::Interval, interval(bytes)),
        (Kind::DateTime, date_time(bytes)),
        (Kind::Integer, Some(digits(bytes, 0)).filter(|end| *end != 0)),
        (Kind::Exponent, exponent(bytes)),
    ];
    for (kind, end) in candidates {
        if let Some(end) = end
            && longest.1 < end
        {
            longest = (kind, end);
        }
    }
    longest
}

/// Behind the digits at `at`.
fn digits(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at = at.saturating_add(1);
    }
    at
}

/// Behind the digits at `at`, of which there is one at least.
fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let end = digits(bytes, at);
    (end != at).then_some(end)
}

/// Behind one of those bytes at `at`.
fn one_of(bytes: &[u8], at: usize, wanted: &[u8]) -> Option<usize> {
    bytes.get(at).filter(|it| wanted.contains(it)).map(|_| at.saturating_add(1))
}

/// Numbers with units, one at least.
fn interval(bytes: &[u8]) -> Option<usize> {
    let mut end = None;
    while let Some(at) = number(bytes, end.unwrap_or(0)) {
        let unit = |at: usize| bytes.get(at).map(u8::to_ascii_lowercase);
        let length = match (unit(at), unit(at.saturating_add(1))) {
            (Some(b'm'), Some(b'o' | b's')) | (Some(b'u' | b'n'), Some(b's')) => 2,
            (Some(b'y' | b'w' | b'd' | b'h' | b'm' | b's'), _) => 1,
            _ => break,
        };
        end = Some(at.saturating_add(length));
    }
    end
}

/// A date, and a time of day if one follows.
fn date_time(bytes: &[u8]) -> Option<usize> {
    let separator = number(bytes, 0)?;
    let month = one_of(bytes, separator, b"-/.")?;
    let behind = number(bytes, month)?;
    let day = one_of(bytes, behind, &[*bytes.get(separator)?])?;
    let end = number(bytes, day)?;
    Some(time_of_day(bytes, end).unwrap_or(end))
}

fn time_of_day(bytes: &[u8], at: usize) -> Option<usize> {
    let hour = match one_of(bytes, at, b"Tt") {
        Some(hour) => hour,
        None => {
            let mut hour = at;
            while let Some(behind) = one_of(bytes, hour, b" \t\r\n\x0b") {
                hour = behind;
            }
            (hour != at).then_some(hour)?
        }
    };
    let minute = one_of(bytes, number(bytes, hour)?, b":")?;
    let second = one_of(bytes, number(bytes, minute)?, b":")?;
    let end = number(bytes, second)?;
    let end = one_of(bytes, end, b".").and_then(|at| number(bytes, at)).unwrap_or(end);
    Some(offset(bytes, end).unwrap_or(end))
}

fn offset(bytes: &[u8], at: usize) -> Option<usize> {
    if let Some(end) = one_of(bytes, at, b"Zz") {
        return Some(end);
    }
    let hours = one_of(bytes, at, b"+-")?;
    let minutes = one_of(bytes, number(bytes, hours)?, b":")?;
    number(bytes, minutes)
}

/// Digits with an exponent.
fn exponent(bytes: &[u8]) -> Option<usize> {
    let at = one_of(bytes, number(bytes, 0)?, b"eE")?;
    let at = one_of(bytes, at, b"+-").unwrap_or(at);
    number(bytes, at)
}
