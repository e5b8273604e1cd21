use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

const PRECISIONS: [Precision; 3] = [Precision::Ms, Precision::Us, Precision::Ns];

fn offset(minutes: i32) -> UtcOffset {
    UtcOffset::from_minutes(minutes).expect("an offset")
}

fn context(precision: Precision, minutes: i32) -> TimeContext {
    TimeContext { precision, offset: offset(minutes), now: 1_000 }
}

fn ms(text: &str) -> Result<i64, TimeError> {
    parse_time(text, &context(Precision::Ms, 0))
}

#[test]
fn the_forms_of_iotdb_mean_the_same_time() {
    let expected = 1_322_903_730_123;
    for text in [
        "1322903730123",
        " 1322903730123 ",
        "2011-12-03T10:15:30.123+01:00",
        "2011-12-03 10:15:30.123+01:00",
        "2011/12/03T10:15:30.123+01:00",
        "2011/12/3 10:15:30.123+01:00",
        "2011.12.03T10:15:30.123+01:00",
        "2011.12.03  10:15:30.1230+01:00",
        "2011-12-03T9:15:30.123",
        "2011-12-03T09:15:30.123Z",
        "2011-12-03t09:15:30.123z",
        "2011-12-03T04:15:30.123-05:00",
        "2011-12-03T14:45:30.123456789+05:30",
        "+2011-12-03T09:15:30.123",
        "2011-12-03 + 9h15m30s123ms",
        "2011-12-03T09:15:30.123+00:00 - 1d+24h",
        "2011-11-03T09:15:30.123 + 1mo",
    ] {
        assert_eq!(ms(text), Ok(expected), "{text}");
    }
    assert_eq!(ms("2011-12-03"), ms("2011-12-03T00:00:00.000Z"));
    assert_eq!(ms("now"), Ok(1_000));
    assert_eq!(ms("NOW()"), Ok(1_000));
    assert_eq!(ms("now() - 2s"), Ok(-1_000));
    assert_eq!(ms("-5"), Ok(-5));
    let east = context(Precision::Ms, 60);
    assert_eq!(parse_time("2011-12-03 10:15:30.123", &east), Ok(expected));
}

#[test]
fn a_fraction_counts_in_the_precision_and_what_is_finer_is_cut_off() {
    let text = "1970-01-01T00:00:01.234567891Z";
    let all = PRECISIONS.map(|it| parse_time(text, &context(it, 0)).expect("a time"));
    assert_eq!(all, [1_234, 1_234_567, 1_234_567_891]);
    // Before 1970 the fraction still counts upwards.
    let text = "1969-12-31T23:59:58.234567891Z";
    let all = PRECISIONS.map(|it| parse_time(text, &context(it, 0)).expect("a time"));
    assert_eq!(all, [-1_766, -1_765_433, -1_765_432_109]);
}

#[test]
fn what_is_no_time_is_refused_with_what_was_expected() {
    for (text, expected) in [
        (
            "",
            "expected a time such as 2024-05-01T00:00:00Z, 1714521600000 or now() - 1d, found the end",
        ),
        ("-", "or now() - 1d, found \"-\""),
        (
            "yesterday",
            "expected a time such as 2024-05-01T00:00:00Z, 1714521600000 or now() - 1d, found \"yes",
        ),
        ("11-12-03", "expected a date whose year has 4 digits or more"),
        ("2011-12/03", "expected behind the month what stands behind the year, found \"/03\""),
        ("2011-00-03", "expected a month from 1 to 12, found 0"),
        ("2011-02-29", "expected a day of that month from 1 to 28, found 29"),
        ("1900-02-29", "expected a day of that month from 1 to 28, found 29"),
        ("2011-12-03T24:00:00", "expected an hour from 0 to 23, found 24"),
        ("2011-12-03T10:15", "expected a time of day as hh:mm:ss, found the end of the text"),
        ("2011-12-03T10:5:30", "expected a minute of 2 digits"),
        ("2011-12-03T10:15:60", "expected a second from 0 to 59, found 60"),
        ("2011-12-03T10:15:30.", "expected a fraction of 1 to 9 digits"),
        ("2011-12-03T10:15:30.1234567891", "expected a fraction of 1 to 9 digits"),
        ("2011-12-03T10:15:30+1:00", "expected an offset as +hh:mm, -hh:mm or Z"),
        ("2011-12-03T10:15:30+19:00", "expected hours of the offset from 0 to 18, found 19"),
        ("2011-12-03T10:15:30+01:60", "expected minutes of the offset from 0 to 59, found 60"),
        ("2011-12-03T10:15:30[UTC]", "expected the end of the time, `+` or `-`, found \"[UTC]\""),
        ("2011-12-03T10:15:30Zulu", "expected the end of the time"),
        ("now() - 1", "expected an interval such as 1d12h, found \"1\""),
        ("now() - ", "expected an interval such as 1d12h, found the end of the text"),
        ("now() - 5 parsecs", "expected an interval such as 1d12h"),
        ("99999999999999999999", "which ms can hold"),
        ("999999999-01-01", "which ms can hold"),
        ("now() - 999999999y", "64 bits can hold"),
        ("now() - 99999999999w", "64 bits can hold"),
    ] {
        let error = ms(text).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let ns = context(Precision::Ns, 0);
    for text in ["1677-09-21T00:12:43.145224191Z", "2262-04-11T23:47:16.854775808Z"] {
        let error = parse_time(text, &ns).expect_err(text).to_string();
        assert_eq!(
            error,
            "expected a time from 1677-09-21T00:12:43.145224192Z to \
             2262-04-11T23:47:16.854775807Z, which ns can hold"
        );
    }
    assert_eq!(parse_time("1677-09-21T00:12:43.145224192Z", &ns), Ok(i64::MIN));
    assert_eq!(parse_time("2262-04-11T23:47:16.854775807Z", &ns), Ok(i64::MAX));
}

#[test]
fn times_are_shown_as_iotdb_shows_them() {
    let time = 1_322_903_730_123;
    assert_eq!(format_time(time, Precision::Ms, UtcOffset::UTC), "2011-12-03T09:15:30.123Z");
    assert_eq!(format_time(time, Precision::Ms, offset(60)), "2011-12-03T10:15:30.123+01:00");
    assert_eq!(format_time(-1, Precision::Us, offset(-330)), "1969-12-31T18:29:59.999999-05:30");
    assert_eq!(format_time(1, Precision::Ns, UtcOffset::UTC), "1970-01-01T00:00:00.000000001Z");
    let last = format_time(i64::MAX, Precision::Ms, UtcOffset::UTC);
    assert_eq!(last, "+292278994-08-17T07:12:55.807Z");
    let first = format_time(i64::MIN, Precision::Ms, UtcOffset::UTC);
    assert_eq!(first, "-292275055-05-16T16:47:04.192Z");
}

#[test]
fn an_interval_is_read_in_every_unit() {
    let fixed = |text: &str| Interval::parse(text).expect(text).fixed(Precision::Us);
    assert_eq!(fixed("1w"), Some(604_800_000_000));
    assert_eq!(fixed("1d12H"), Some(129_600_000_000));
    assert_eq!(fixed("1m1s1MS1us1ns"), Some(61_001_001));
    assert_eq!(fixed("999ns"), Some(0));
    assert!(Interval::parse("999ns").expect("it").is_zero(Precision::Us));
    assert!(!Interval::parse("1mo").expect("it").is_zero(Precision::Us));
    assert_eq!(Interval::parse("1y2mo3MO").expect("it").months(), 17);
    for text in ["", "1", "d", "1x", "1 d", "1d 2h", "-1d", "1dd", "1d2", "99999999999999999999s"] {
        assert!(Interval::parse(text).is_err(), "{text}");
    }
}

#[test]
fn months_are_counted_on_the_calendar_at_the_offset() {
    let check = |from: &str, interval: &str, times, minutes, expected: &str| {
        for precision in PRECISIONS {
            let context = context(precision, minutes);
            let from = parse_time(from, &context).expect(from);
            let interval = Interval::parse(interval).expect(interval);
            let shifted = interval.shift(from, times, precision, context.offset);
            assert_eq!(shifted, parse_time(expected, &context).ok(), "{expected}");
        }
    };
    check("2023-01-31", "1mo", 1, 0, "2023-02-28");
    check("2023-01-31", "1mo", 2, 0, "2023-03-31");
    check("2023-02-28", "2mo", 1, 0, "2023-04-28");
    check("2023-01-31", "1mo1d", 1, 0, "2023-03-01");
    check("2024-02-29", "1y", -1, 0, "2023-02-28");
    check("2023-03-31 12:00:00", "1mo", -1, 0, "2023-02-28 12:00:00");
    // At the offset it is the 31st; in UTC it is still the 30th.
    check("2023-01-31 01:00:00+08:00", "1mo", 1, 480, "2023-02-28 01:00:00+08:00");
    check("1969-11-30", "1mo", 1, 0, "1969-12-30");
}

#[test]
fn what_64_bits_cannot_hold_is_no_time() {
    let mo = Interval::parse("1mo").expect("it");
    assert_eq!(mo.shift(i64::MAX, 1, Precision::Ms, UtcOffset::UTC), None);
    assert_eq!(mo.shift(i64::MIN, -1, Precision::Ns, offset(-1080)), None);
    assert_eq!(mo.shift(0, i64::MAX, Precision::Ms, UtcOffset::UTC), None);
    assert_eq!(mo.shift(0, i64::MIN, Precision::Ms, UtcOffset::UTC), None);
    let ns = Interval::parse("1ns").expect("it");
    assert_eq!(ns.shift(i64::MAX, 1, Precision::Ns, UtcOffset::UTC), None);
    assert_eq!(ns.shift(0, i64::MIN, Precision::Ns, UtcOffset::UTC), Some(i64::MIN));
    let long = Interval::parse("600000w").expect("it");
    assert_eq!(long.fixed(Precision::Ns), None);
    assert_eq!(long.shift(0, 1, Precision::Ns, UtcOffset::UTC), None);
}

#[test]
fn offsets_end_at_18_hours() {
    assert_eq!(UtcOffset::from_minutes(1080).map(|it| it.to_string()), Some("+18:00".to_owned()));
    assert_eq!(UtcOffset::from_minutes(1081), None);
    assert!(UtcOffset::parse("-18:00").is_ok() && UtcOffset::parse("-18:01").is_err());
    assert!(UtcOffset::parse("01:00").is_err() && UtcOffset::parse("+0100").is_err());
}

fn precision() -> impl Strategy<Value = Precision> {
    prop::sample::select(&PRECISIONS[..])
}

fn any_offset() -> impl Strategy<Value = UtcOffset> {
    (-1080..=1080).prop_map(offset)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4_000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(20_240_501),
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_time_that_is_shown_reads_back(
        time: i64,
        shift in 0..64u32,
        precision in precision(),
        shown_at in any_offset(),
        read_at in any_offset(),
    ) {
        let time = time >> shift;
        let text = format_time(time, precision, shown_at);
        let context = TimeContext { precision, offset: read_at, now: 0 };
        prop_assert_eq!(parse_time(&text, &context), Ok(time), "{}", text);
    }

    #[test]
    fn every_interval_that_is_shown_reads_back(months: u16, nanos in 0..1u64 << 40, unit in 0..8usize) {
        let unit = ["w", "d", "h", "m", "s", "ms", "us", "ns"][unit];
        let text = format!("{months}mo{}{unit}", nanos >> 20);
        let interval = Interval::parse(&text).expect("it");
        prop_assert_eq!(Interval::parse(&interval.to_string()), Ok(interval));
    }

    #[test]
    fn no_text_panics(
        text in r"(now|\(|\)|[0-9]{1,4}|[-/.:+TZ ]|mo|y|d|ms|99999999999|[\[a-zä€]){0,14}",
        time: i64,
        times: i64,
        precision in precision(),
        at in any_offset(),
    ) {
        let context = TimeContext { precision, offset: at, now: time };
        let _ = parse_time(&text, &context);
        let _ = UtcOffset::parse(&text);
        if let Ok(interval) = Interval::parse(&text) {
            let _ = interval.shift(time, times, precision, at);
        }
    }
}
