use fastrand::Rng;
use tidegate_model::DataType;
use tidegate_model::Precision;

use super::*;
use crate::Statement;
use crate::time::TimeContext;
use crate::time::UtcOffset;

fn filter(text: &str) -> Filter {
    let context = TimeContext { precision: Precision::Ms, offset: UtcOffset::UTC, now: 0 };
    let text = format!("SELECT s FROM root.d WHERE {text}");
    match crate::parse(&text, &context) {
        Ok(Statement::Select(it)) => it.filter.expect("a filter"),
        other => panic!("{text} became {other:?}"),
    }
}

/// A filter about one series on a row in which it has that value.
fn on(text: &str, value: Option<Value>) -> Option<bool> {
    filter(text).evaluate(0, &|_| value.clone())
}

#[test]
fn null_is_unknown_and_only_is_null_knows_it() {
    let null = |text| on(text, None);
    assert_eq!(null("s = 1"), None);
    assert_eq!(null("s != 1"), None);
    assert_eq!(null("s IN (1, 2)"), None);
    assert_eq!(null("s BETWEEN 1 AND 2"), None);
    assert_eq!(null("s LIKE '%'"), None);
    assert_eq!(null("s IS NULL"), Some(true));
    assert_eq!(null("s IS NOT NULL"), Some(false));
    assert_eq!(null("NOT s = 1"), None);
    assert_eq!(null("s = 1 AND time = 0"), None);
    assert_eq!(null("s = 1 AND time = 1"), Some(false));
    assert_eq!(null("s = 1 OR time = 0"), Some(true));
    assert_eq!(null("s = 1 OR time = 1"), None);
    assert_eq!(null("NULL OR TRUE"), Some(true));
    assert_eq!(on("s IS NOT NULL", Some(Value::Int32(1))), Some(true));
}

#[test]
fn numbers_compare_as_numbers_whatever_their_types() {
    for (text, value, expected) in [
        ("s = 1", Value::Int32(1), true),
        ("s = 1.0", Value::Int32(1), true),
        ("s < 1.5", Value::Int64(1), true),
        ("s > -1.5", Value::Int64(-1), true),
        ("s >= -1.5", Value::Int64(-2), false),
        ("s = 1", Value::Double(1.0), true),
        ("s > 1", Value::Double(1.5), true),
        ("s < 1", Value::Float(0.5), true),
        ("s = 0.1", Value::Float(0.1), true),
        ("s = 0.1", Value::Double(0.1), true),
        ("s != 0.1", Value::Double(0.2), true),
        ("s BETWEEN 1 AND 2.5", Value::Float(2.5), true),
        ("s IN (3, 2.0)", Value::Int32(2), true),
        // Neither a double nor anything else is in between.
        ("s = 9007199254740993", Value::Int64(9_007_199_254_740_993), true),
        ("s = 9007199254740993", Value::Int64(9_007_199_254_740_992), false),
        ("s > 9007199254740992.0", Value::Int64(9_007_199_254_740_993), true),
        ("s = 9007199254740993", Value::Double(9_007_199_254_740_992.0), false),
        ("s < 1e300", Value::Int64(i64::MAX), true),
        ("s > -1e300", Value::Int64(i64::MIN), true),
        ("s < 9223372036854775808.0", Value::Int64(i64::MAX), true),
        ("s = -9223372036854775808.0", Value::Int64(i64::MIN), true),
        ("s > 1e300", Value::Double(f64::NAN), true),
        ("s > 5", Value::Double(f64::NAN), true),
        ("s > 5", Value::Float(f32::INFINITY), true),
        ("s < 5", Value::Double(f64::NEG_INFINITY), true),
        ("s = 0", Value::Double(-0.0), true),
    ] {
        assert_eq!(on(text, Some(value.clone())), Some(expected), "{text} on {value:?}");
    }
}

#[test]
fn texts_compare_as_bytes_and_booleans_as_booleans() {
    let text = |it: &str| Some(Value::Bytes(it.as_bytes().to_vec()));
    assert_eq!(on("s = 'it''s'", text("it's")), Some(true));
    assert_eq!(on("s > 'a'", text("ä")), Some(true));
    assert_eq!(on("s LIKE 'a%'", text("abc")), Some(true));
    assert_eq!(on("s NOT LIKE 'a%'", text("abc")), Some(false));
    assert_eq!(on("s < 'B'", text("a")), Some(false));
    assert_eq!(on("s = true", Some(Value::Boolean(true))), Some(true));
    assert_eq!(on("s != true", Some(Value::Boolean(true))), Some(false));
}

#[test]
fn what_is_of_another_kind_is_unknown_and_told_beforehand() {
    assert_eq!(on("s = '1'", Some(Value::Int32(1))), None);
    assert_eq!(on("s = 1", Some(Value::Boolean(true))), None);
    assert_eq!(on("s = 1", Some(Value::Bytes(vec![b'1']))), None);
    assert_eq!(on("s LIKE '1'", Some(Value::Int32(1))), None);
    let check = |text, data_type| filter(text).check_types(&|_| data_type);
    let error = check("time > 5 AND NOT (s = 1 OR s IN (2, 'x'))", Some(DataType::Int32));
    let error = error.expect_err("a number and a text").to_string();
    assert_eq!(error, "s is INT32: expected a number, found 'x'");
    assert!(check("s = 1", Some(DataType::Text)).is_err());
    assert!(check("s BETWEEN TRUE AND 1", Some(DataType::Boolean)).is_err());
    assert_eq!(check("s = 1.5 OR s IS NULL", Some(DataType::Timestamp)), Ok(()));
    assert_eq!(check("s = 'x' AND s LIKE 'x'", Some(DataType::String)), Ok(()));
    assert_eq!(check("s = 'x' AND s = 1", None), Ok(()));
}

#[test]
fn a_date_compares_with_a_day_as_it_is_shown() {
    for (text, expected) in [
        ("s = '2024-05-01'", Some(true)),
        ("s >= '2024-04-30'", Some(true)),
        ("s BETWEEN '2024-05-02' AND '2024-06-01'", Some(false)),
        ("s IN ('2023-05-01', 20240501)", Some(true)),
        ("s = '2024-13-01'", None),
        ("s = '2024-5-1'", None),
        // no such days: such a comparison was false for every row
        ("s > '2024-02-30'", None),
        ("s > '2023-02-29'", None),
        ("s > '2024-02-29'", Some(true)),
        ("s > '2000-02-29'", Some(true)),
        ("s > '2100-02-29'", None),
        ("s > '0001-01-01'", Some(true)),
        ("s > '0000-01-01'", None),
    ] {
        let fits = filter(text).check_types(&|_| Some(DataType::Date)).is_ok();
        assert_eq!(fits, expected.is_some(), "{text}");
        assert_eq!(on(text, Some(Value::Int32(20_240_501))), expected, "{text}");
    }
    let error = |text: &str| {
        let found = filter(text).check_types(&|_| Some(DataType::Date));
        found.expect_err(text).to_string()
    };
    let expected = "s is DATE: expected a day as '2024-05-01', or as 20240501, found";
    assert_eq!(error("s = '2025-02-30'"), format!("{expected} '2025-02-30'"));
    // a time: it is a number of milliseconds, and no day is so large
    assert_eq!(error("s = 2024-05-01"), format!("{expected} 1714521600000"));
    assert_eq!(error("s > 20240501.5"), format!("{expected} 20240501.5"));
    assert!(filter("s = '2024-05-01'").check_types(&|_| Some(DataType::Int32)).is_err());
}

/// As in IoTDB, which compares a BLOB with bytes and with nothing else.
#[test]
fn bytes_compare_with_bytes() {
    let bytes = |it: &[u8]| Some(Value::Bytes(it.to_vec()));
    for (text, expected) in [
        ("s = X'0102ff'", true),
        ("s = X'01 02\tfF'", true),
        ("s != X'0102'", true),
        ("s > X'0102'", true),
        ("s < X'02'", true),
        ("s BETWEEN X'01' AND X'0103'", true),
        ("s IN (X'', X'0102FF')", true),
        ("X'01' < s", true),
        ("s = X''", false),
    ] {
        assert_eq!(on(text, bytes(&[1, 2, 255])), Some(expected), "{text}");
        assert_eq!(filter(text).check_types(&|_| Some(DataType::Blob)), Ok(()), "{text}");
    }
    assert_eq!(filter("s = X'0aFF'").to_string(), "s = X'0AFF'");
    let error = |text: &str, data_type| {
        let found = filter(text).check_types(&|_| Some(data_type));
        found.expect_err(text).to_string()
    };
    let found = error("s = 'ab'", DataType::Blob);
    assert_eq!(found, "s is BLOB: expected bytes as X'0102', found 'ab'");
    let found = error("s = X'61'", DataType::Text);
    assert_eq!(found, "s is TEXT: expected a text in quotes, found X'61'");
}

/// As in IoTDB. It was said that a number is expected behind LIKE.
#[test]
fn like_is_for_text_and_string_alone() {
    for data_type in DataType::ALL {
        let found = filter("s LIKE '1%'").check_types(&|_| Some(data_type));
        match data_type {
            DataType::Text | DataType::String => assert_eq!(found, Ok(())),
            _ => assert_eq!(
                found.unwrap_err().to_string(),
                format!("s is {data_type}: expected a series of TEXT or STRING before LIKE")
            ),
        }
    }
}

#[test]
fn a_range_of_times_leaves_the_rest() {
    for (text, first, last, rest) in [
        ("time > 5", 6, i64::MAX, None),
        ("time >= 5 AND time < 10", 5, 9, None),
        ("time BETWEEN 5 AND 10 AND s > 1", 5, 10, Some("s > 1")),
        ("NOT time < 5", 5, i64::MAX, None),
        ("time IN (7, 5)", 5, 7, Some("time IN (7, 5)")),
        ("time = 5 OR time = 9", 5, 9, Some("time = 5 OR time = 9")),
        ("time != 5", i64::MIN, i64::MAX, Some("time != 5")),
        ("s > 1 OR time < 5", i64::MIN, i64::MAX, Some("s > 1 OR time < 5")),
        ("(s > 1 AND time > 9) OR time = 5", 5, i64::MAX, Some("(s > 1 AND time > 9) OR time = 5")),
        ("NOT (time < 5 OR s > 1)", 5, i64::MAX, Some("NOT (time < 5 OR s > 1)")),
        ("TRUE AND s > 1", i64::MIN, i64::MAX, Some("s > 1")),
    ] {
        let (range, left) = filter(text).split();
        assert_eq!(range, TimeRange { first, last }, "{text}");
        assert_eq!(left.map(|it| it.to_string()).as_deref(), rest, "{text}");
    }
    for text in [
        "time < 5 AND time > 5",
        "time BETWEEN 9 AND 5",
        "time < -9223372036854775808",
        "time > 9223372036854775807",
        "FALSE",
        "NULL AND time > 5",
        "NOT (time >= 5 OR time < 7)",
    ] {
        let (range, _) = filter(text).split();
        assert!(range.is_empty(), "{text}: {range:?}");
    }
}

/// A condition of that depth at most.
fn random(rng: &mut Rng, depth: usize) -> Condition {
    const TIMES: [i64; 9] = [i64::MIN, i64::MIN + 1, -3, -1, 0, 1, 3, i64::MAX - 1, i64::MAX];
    const COMPARISONS: [Comparison; 6] = [
        Comparison::Equal,
        Comparison::Greater,
        Comparison::GreaterEqual,
        Comparison::Less,
        Comparison::LessEqual,
        Comparison::NotEqual,
    ];
    let time = |rng: &mut Rng| TIMES[rng.usize(..TIMES.len())];
    let leaf = if depth == 0 { 5 } else { 9 };
    match rng.usize(..leaf) {
        0 => Condition::Time(TimeTest::Between(time(rng), time(rng))),
        1 | 2 => Condition::Time(TimeTest::Compare(COMPARISONS[rng.usize(..6)], time(rng))),
        3 => Condition::Time(TimeTest::In((0..=rng.usize(..2)).map(|_| time(rng)).collect())),
        4 if rng.u8(..4) == 0 => {
            Condition::Constant([None, Some(true), Some(false)][rng.usize(..3)])
        }
        4 => {
            let test = ValueTest::Compare(COMPARISONS[rng.usize(..6)], Literal::Integer(1));
            Condition::Value { series: 0, test }
        }
        5 => Condition::Not(Box::new(random(rng, depth - 1))),
        6 => Condition::or((0..2 + rng.usize(..2)).map(|_| random(rng, depth - 1)).collect()),
        _ => Condition::and((0..2 + rng.usize(..2)).map(|_| random(rng, depth - 1)).collect()),
    }
}

#[test]
fn a_range_and_its_rest_mean_the_same_rows_as_the_filter() {
    let mut rng = Rng::with_seed(7);
    let path = Path::part(vec!["s".to_owned()]);
    let (mut n_empty, mut n_without_rest) = (0, 0);
    for _ in 0..20_000 {
        let it = Filter::new(vec![path.clone()], random(&mut rng, 3));
        let (range, rest) = it.split();
        n_empty += u32::from(range.is_empty());
        n_without_rest += u32::from(rest.is_none());
        let times = [i64::MIN, i64::MIN + 1, -4, -3, -2, -1, 0, 1, 2, 3, 4, i64::MAX - 1, i64::MAX];
        for time in times {
            for value in [None, Some(Value::Int32(0)), Some(Value::Int32(1)), Some(Value::Int32(2))]
            {
                let values = |_| value.clone();
                let whole = it.evaluate(time, &values) == Some(true);
                let rest = rest.as_ref().is_none_or(|it| it.evaluate(time, &values) == Some(true));
                let split = range.contains(time) && rest;
                assert_eq!(whole, split, "{it} at {time} with {value:?}");
            }
        }
    }
    assert!(1_000 < n_empty && 1_000 < n_without_rest, "{n_empty} {n_without_rest}");
}

#[test]
fn conditions_that_are_shown_read_back() {
    let mut rng = Rng::with_seed(8);
    let path = Path::part(vec!["s".to_owned()]);
    for _ in 0..20_000 {
        let condition = random(&mut rng, 4);
        let shown = Filter::new(vec![path.clone()], condition.clone()).to_string();
        assert_eq!(filter(&shown).condition(), &condition, "{shown}");
    }
}

#[test]
fn what_is_said_about_several_series_must_hold_for_all() {
    let it = filter("s > 1 AND (root.x.s = 2 OR time < 5)");
    let prefixes = ["a", "b"].map(|it| Path::full(vec!["root".to_owned(), it.to_owned()]));
    let put = it.behind(&prefixes).expect("few");
    assert_eq!(put.to_string(), "root.a.s > 1 AND root.b.s > 1 AND (root.x.s = 2 OR time < 5)");
    assert_eq!(put.series().len(), 3);
    let none = it.spread(&mut |path| if path.is_full() { vec![] } else { vec![path.clone()] });
    assert_eq!(none.expect("few").to_string(), "s > 1 AND (NULL OR time < 5)");
    let not = filter("NOT s > 1").behind(&prefixes).expect("few");
    assert_eq!(not.to_string(), "NOT (root.a.s > 1 AND root.b.s > 1)");
}

#[test]
fn a_filter_is_put_onto_so_many_series_and_no_more() {
    let paths = |n: usize| (0..n).map(|n| Path::part(vec![format!("s{n}")])).collect::<Vec<_>>();
    let it = filter("s > 1 OR s < 0");
    let half = crate::COLUMNS_MAX / 2;
    assert!(it.spread(&mut |_| paths(half)).is_ok());
    assert!(it.spread(&mut |_| paths(half + 1)).is_err());
    // What is said about each of them is as large as a statement may be.
    let it = filter(&format!("s IN ({}1)", "1,".repeat(30_000)));
    assert!(it.spread(&mut |_| paths(8)).is_ok());
    assert!(it.spread(&mut |_| paths(9)).is_err());
}
