//! Which rows there are, what is refused, and what is said beside the rows.

use tidegate_model::DataType;
use tidegate_model::Tablet;
use tidegate_model::Value;

use crate::site::Kept;
use crate::site::Site;
use crate::site::small;
use crate::support::column;
use crate::support::tablet_request;

/// As IoTDB 2.0.1 answers. Rows whose values were all null were left out before.
#[test]
fn a_row_of_the_condition_is_a_row_though_all_that_was_asked_for_is_null() {
    let ints = |values: [Option<i32>; 3]| values.map(|it| it.map(Value::Int32)).to_vec();
    for aligned in [true, false] {
        let mut site = Site::new();
        let columns = [
            ("s1", DataType::Int32, ints([Some(1), None, None])),
            ("s2", DataType::Int32, ints([None, None, Some(5)])),
            ("s3", DataType::Int32, ints([Some(1), Some(2), Some(9)])),
        ];
        site.insert("root.p.a", aligned, &[1, 2, 3], &columns);
        let rows = |text: &str| -> Vec<(i64, Vec<Option<i32>>)> {
            let number = |cell: &Option<Value>| match cell {
                Some(Value::Int32(number)) => Some(*number),
                _ => None,
            };
            let rows = site.kept(text).rows.into_iter();
            // the column of the device apart
            let cells = |cells: Vec<Option<Value>>| {
                let own = cells.iter().filter(|it| !matches!(it, Some(Value::Bytes(_))));
                own.map(number).collect()
            };
            rows.map(|(time, own)| (time, cells(own))).collect()
        };
        let all = vec![(1, vec![Some(1)]), (2, vec![None]), (3, vec![None])];
        assert_eq!(rows("SELECT s1 FROM root.p.a"), all[..1]);
        let expected = [(1, vec![Some(1), None]), (3, vec![None, Some(5)])];
        assert_eq!(rows("SELECT s1, s2 FROM root.p.a"), expected);
        assert_eq!(rows("SELECT s1 FROM root.p.a WHERE s3 >= 0"), all);
        assert_eq!(rows("SELECT s1 FROM root.p.a WHERE s3 >= 0 ALIGN BY DEVICE"), all);
        assert_eq!(rows("SELECT s1 FROM root.p.a WHERE s3 >= 0 LIMIT 2"), all[..2]);
        let mut descending = rows("SELECT s1 FROM root.p.a WHERE s3 >= 0 ORDER BY TIME DESC");
        descending.reverse();
        assert_eq!(descending, all);
        assert_eq!(rows("SELECT s1 FROM root.p.a WHERE s2 IS NULL"), all[..1]);
        assert_eq!(rows("SELECT s1 FROM root.p.a WHERE s1 IS NULL"), []);
        let text = "SELECT s1 FROM root.p.a WHERE s1 IS NULL AND s3 IS NOT NULL";
        assert_eq!(rows(text), all[1..]);
        let counted = site.kept("SELECT count(s1) FROM root.p.a WHERE s3 >= 0");
        assert_eq!(counted.rows[0].1, [Some(Value::Int64(1))]);
    }
}

#[test]
fn tables_are_named_to_those_who_look_for_them_in_the_tree() {
    let mut site = small();
    let ask = |site: &Site, text: &str| site.ask(text, &mut Kept::default()).unwrap().notices;
    assert_eq!(ask(&site, "SHOW DEVICES"), Vec::<String>::new());
    let mut tag = column("line", DataType::String, vec![Some(Value::Bytes(b"a".to_vec()))]);
    tag.category = tidegate_model::Category::Tag;
    let mut tablet = Tablet {
        database: Some("works".to_owned()),
        device: "pumps".to_owned(),
        aligned: true,
        times: vec![1],
        columns: vec![tag, column("n", DataType::Int32, vec![Some(Value::Int32(1))])],
    };
    let mut insert = |site: &mut Site, table: &str| {
        tablet.device = table.to_owned();
        site.sequence += 1;
        let _ = site.store.apply_request(site.sequence, 1, &tablet_request(&tablet)).unwrap();
    };
    insert(&mut site, "pumps");
    let expected =
        ["tables cannot be asked, only exported with --database and --table: works.pumps"];
    for text in ["SHOW TIMESERIES", "COUNT DEVICES", "SHOW DATABASES"] {
        assert_eq!(ask(&site, text), expected, "{text}");
    }
    let told = ask(&site, "SELECT n FROM root.works.**");
    assert_eq!(told, ["no series matches root.works.**.n", expected[0]]);
    assert_eq!(ask(&site, "SELECT s FROM root.p.d1"), Vec::<String>::new());
    // sixteen are named
    (10..25).for_each(|number| insert(&mut site, &format!("t{number}")));
    assert!(ask(&site, "SHOW DEVICES")[0].ends_with("works.t23 and works.t24"));
    insert(&mut site, "t25");
    assert!(ask(&site, "SHOW DEVICES")[0].ends_with("works.t24 and 1 more"));
}

/// A name with a typo gave an empty answer, as times without rows do; `count` of it gave an empty line.
#[test]
fn a_series_that_is_not_there_is_told_of_and_one_without_rows_is_not() {
    let site = small();
    let told = |text: &str| {
        let mut kept = Kept::default();
        let outcome = site.ask(text, &mut kept).unwrap_or_else(|error| panic!("{text}: {error}"));
        outcome.notices
    };
    let none = |path: &str| vec![format!("no series matches {path}")];
    for (text, path) in [
        ("SELECT typo FROM root.p.d1", "root.p.d1.typo"),
        ("SELECT s, typo FROM root.p.d1", "root.p.d1.typo"),
        ("SELECT count(typo) FROM root.p.d1", "root.p.d1.typo"),
        ("SELECT count(`a.b`) FROM root.p.d1 ALIGN BY DEVICE", "root.p.d1.`a.b`"),
        ("SELECT * FROM root.none.**", "root.none.**.*"),
        ("SELECT t FROM root.p.d1, root.q", "root.p.d1.t and root.q.t"),
        ("SELECT LAST typo FROM root.p.d1", "root.p.d1.typo"),
        ("SELECT s FROM root.p.d1 WHERE typo > 5", "root.p.d1.typo"),
        ("SELECT s FROM root.p.d1 WHERE root.p.d3.s IS NULL", "root.p.d3.s"),
    ] {
        assert_eq!(told(text), none(path), "{text}");
    }
    for text in [
        "SELECT s FROM root.p.d1 WHERE time > 1000000",
        "SELECT count(s) FROM root.p.d1 WHERE time > 1000000",
        "SELECT LAST s FROM root.p.d1 WHERE time > 1000000",
        // one of them has it
        "SELECT t FROM root.p.d1, root.p.d2",
        "SELECT s FROM root.p.* WHERE t IS NULL",
        "SELECT * FROM root.**",
    ] {
        assert_eq!(told(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_condition_on_several_series_holds_for_all_of_them() {
    let site = small();
    let times =
        |text: &str| -> Vec<i64> { site.kept(text).rows.iter().map(|(time, _)| *time).collect() };
    assert_eq!(times("SELECT s FROM root.p.* WHERE s > 5"), [1000]);
    assert_eq!(times("SELECT s FROM root.p.* WHERE s > 6"), Vec::<i64>::new());
    // d1 has 7 and d2 has 6: not both of them are at most 6, but NOT asks each
    assert_eq!(times("SELECT s FROM root.p.* WHERE NOT s > 6"), Vec::<i64>::new());
    assert_eq!(times("SELECT s FROM root.p.* WHERE NOT s > 7"), [1000]);
    assert_eq!(times("SELECT s FROM root.p.* WHERE NOT s < 7"), Vec::<i64>::new());
    // by device it asks one at a time
    assert_eq!(times("SELECT s FROM root.p.* WHERE s > 5 ALIGN BY DEVICE"), [1000, 1000]);
}

/// A NaN in front of a chunk, or of a batch of rows, was its minimum and maximum, as in files: the other
/// values of it did not count.
#[test]
fn extremes_pass_over_nan_wherever_it_stands() {
    let nan = f64::NAN;
    for stored in [
        vec![vec![1.0], vec![nan, 5.0, -5.0], vec![2.0]],
        vec![vec![nan, 5.0, -5.0]],
        vec![vec![nan], vec![-5.0, 5.0]],
        vec![vec![5.0, -5.0, nan], vec![nan, 0.0]],
        vec![vec![nan, nan]],
    ] {
        let mut site = Site::new();
        let mut time = 0;
        for values in &stored {
            let times: Vec<i64> = (time..).take(values.len()).collect();
            time += values.len() as i64;
            let cells = |of: fn(f64) -> Value| values.iter().map(|it| Some(of(*it))).collect();
            let columns = [
                ("d", DataType::Double, cells(Value::Double)),
                ("f", DataType::Float, cells(|it| Value::Float(it as f32))),
            ];
            site.insert("root.p.n", true, &times, &columns);
            site.store.flush().unwrap();
        }
        let is_one = stored.concat().iter().any(|it| !it.is_nan());
        let expected = if is_one { [5.0, -5.0] } else { [nan; 2] };
        for filter in ["", " WHERE d = 0 OR d != 0 OR time >= 0", " GROUP BY ([0, 100), 100ms)"] {
            for series in ["d", "f"] {
                let text = format!(
                    "SELECT max_value({series}), min_value({series}) FROM root.p.n{filter}"
                );
                let number = |cell: &Option<Value>| match cell {
                    Some(Value::Double(number)) => *number,
                    Some(Value::Float(number)) => f64::from(*number),
                    other => panic!("{other:?}"),
                };
                let found: Vec<f64> = site.kept(&text).rows[0].1.iter().map(number).collect();
                let is_equal =
                    |(one, other): (&f64, &f64)| one == other || one.is_nan() && other.is_nan();
                assert!(found.iter().zip(&expected).all(is_equal), "{stored:?} {text}: {found:?}");
            }
        }
    }
}

#[test]
fn what_cannot_be_answered_says_why() {
    let site = small();
    for (text, expected) in [
        ("SELECT sum(t) FROM root.p.d2", "sum(root.p.d2.t): expected a series of INT32"),
        ("SELECT s AS x FROM root.p.*", "AS x: expected one series to be named so, found 2"),
        ("SELECT s FROM root.p.d1 WHERE s = 'x'", "expected a number"),
        ("SELECT d1.s FROM root.p ALIGN BY DEVICE", "expected one node behind SELECT, found d1.s"),
    ] {
        let error = site.ask(text, &mut Kept::default()).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}
