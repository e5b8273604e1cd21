//! Sizes, rates and durations for people. Machines read the plain numbers of `--json`.

/// Columns of what no terminal is behind.
const COLUMNS: u16 = 100;

const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// `0 B`, `1023 B`, `1.0 KiB`, `96.5 MiB`.
pub fn bytes(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut rest = bytes;
    let mut tenths = 0;
    let mut unit = "B";
    for name in UNITS {
        // Whole numbers throughout: no rounding up to "1024.0 KiB".
        tenths = (rest % 1024) * 10 / 1024;
        rest /= 1024;
        unit = name;
        if rest < 1024 {
            break;
        }
    }
    format!("{rest}.{tenths} {unit}")
}

/// Bytes over a time, as `12.3 MiB/s`; `-` when no time has passed.
pub fn rate(n_bytes: u64, elapsed_ms: u64) -> String {
    let per_second = u128::from(n_bytes).saturating_mul(1000).checked_div(elapsed_ms.into());
    match per_second {
        None => "-".to_owned(),
        Some(per_second) => format!("{}/s", bytes(u64::try_from(per_second).unwrap_or(u64::MAX))),
    }
}

/// `0 ms`, `950 ms`, `2.5 s`, `3 min 4 s`, `5 h 0 min`, `12 d 3 h`.
pub fn duration_ms(ms: u64) -> String {
    let (seconds, minutes, hours, days) = (ms / 1000, ms / 60_000, ms / 3_600_000, ms / 86_400_000);
    match () {
        () if ms < 1000 => format!("{ms} ms"),
        () if seconds < 60 => format!("{seconds}.{} s", ms % 1000 / 100),
        () if minutes < 60 => format!("{minutes} min {} s", seconds % 60),
        () if hours < 24 => format!("{hours} h {} min", minutes % 60),
        () => format!("{days} d {} h", hours % 24),
    }
}

/// How many columns the terminal has, or 100.
pub fn columns() -> u16 {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.map_or(COLUMNS, |size| if size.ws_col == 0 { COLUMNS } else { size.ws_col })
}

/// Names come from outside, and a terminal obeys control characters.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// A time in milliseconds since 1970, as `2026-11-22T21:04:44.123Z`.
pub fn rfc3339(ms: i64) -> String {
    let (seconds, millis) = (ms.div_euclid(1000), ms.rem_euclid(1000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // civil date from days since 1970, counting years from March so that leap days come last
    let shifted = days.saturating_add(719_468);
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ms: i64, expected: &str) {
        assert_eq!(rfc3339(ms), expected);
    }

    #[test]
    fn times_are_civil_dates() {
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(1_795_381_484_123, "2026-11-22T21:04:44.123Z");
        check(4_107_542_399_999, "2100-02-28T23:59:59.999Z");
        check(-1, "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn sizes_read_well_at_every_border() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024 - 1, "1023.9 KiB"),
            (1024 * 1024, "1.0 MiB"),
            (101_187_584, "96.5 MiB"),
            (1 << 40, "1.0 TiB"),
            (u64::MAX, "15.9 EiB"),
        ];
        for (n, expected) in cases {
            assert_eq!(bytes(n), expected, "{n} bytes");
        }
    }

    #[test]
    fn a_rate_over_no_time_is_no_number() {
        assert_eq!(rate(1000, 0), "-");
        assert_eq!(rate(0, 5), "0 B/s");
        assert_eq!(rate(3 << 20, 2000), "1.5 MiB/s");
        assert_eq!(rate(u64::MAX, 1), "15.9 EiB/s");
    }

    #[test]
    fn durations_read_well_at_every_border() {
        let cases = [
            (0, "0 ms"),
            (999, "999 ms"),
            (1000, "1.0 s"),
            (59_999, "59.9 s"),
            (60_000, "1 min 0 s"),
            (3_599_999, "59 min 59 s"),
            (3_600_000, "1 h 0 min"),
            (86_399_999, "23 h 59 min"),
            (86_400_000, "1 d 0 h"),
            (1_047_600_000, "12 d 3 h"),
        ];
        for (n, expected) in cases {
            assert_eq!(duration_ms(n), expected, "{n} ms");
        }
    }
}
