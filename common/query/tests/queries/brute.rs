//! Random statements over random stores, against all points one by one.

use std::collections::BTreeSet;

use fastrand::Rng;
use tidegate_model::Value;
use tidegate_sql::Statement;
use tidegate_sql::parse;

use crate::site::CONTEXT;
use crate::site::DEVICES;
use crate::site::Row;
use crate::site::Site;

fn random_condition(rng: &mut Rng, depth: u8) -> String {
    match rng.u8(0..if depth == 0 { 3 } else { 7 }) {
        0 => format!("time {} {}", [">", "<", ">=", "<=", "!="][rng.usize(0..5)], rng.i64(0..300)),
        1 | 2 => {
            let device = DEVICES[rng.usize(0..3)].0;
            match rng.u8(0..5) {
                0 => format!("{device}.s0 > {}", rng.i32(-20..20)),
                1 => format!("{device}.s1 IN ({}, 0)", rng.i32(-20..20) * 3),
                2 => format!("{device}.s2 BETWEEN -3.5 AND {}", rng.i32(-3..10)),
                3 => format!("{device}.s3 IS NULL"),
                _ => format!("{device}.s4 = 't{}'", rng.u8(0..7)),
            }
        }
        3 | 4 => format!(
            "({} AND {})",
            random_condition(rng, depth - 1),
            random_condition(rng, depth - 1)
        ),
        5 => format!(
            "({} OR {})",
            random_condition(rng, depth - 1),
            random_condition(rng, depth - 1)
        ),
        _ => format!("NOT ({})", random_condition(rng, depth - 1)),
    }
}

fn random_from(rng: &mut Rng) -> &'static str {
    ["root.p.d1", "root.p.d2", "root.p.*", "root.**", "root.p.d1, root.q.d3"][rng.usize(0..5)]
}

#[test]
fn selections_equal_brute_force_over_all_points() {
    let mut n_rows = 0;
    for seed in 0..60 {
        let site = Site::random(seed);
        let mut rng = Rng::with_seed(seed ^ 0x5eed);
        for _ in 0..40 {
            let items = ["*", "s0", "s1, s4", "s2, s*", "s3, s3"][rng.usize(0..5)];
            let mut text = format!("SELECT {items} FROM {}", random_from(&mut rng));
            if rng.u8(0..3) > 0 {
                text.push_str(&format!(" WHERE {}", random_condition(&mut rng, 2)));
            }
            let is_descending = rng.bool();
            if is_descending {
                text.push_str(" ORDER BY TIME DESC");
            }
            let (limit, offset) = (rng.usize(1..40), rng.usize(0..20));
            let is_paged = rng.bool();
            if is_paged {
                text.push_str(&format!(" LIMIT {limit} OFFSET {offset}"));
            }
            let kept = site.kept(&text);
            let Ok(Statement::Select(select)) = parse(&text, &CONTEXT) else { panic!("{text}") };
            let columns = select.columns().unwrap();
            let series: Vec<&String> =
                columns.iter().flat_map(|column| site.meant(column.path.nodes())).collect();
            let names: Vec<&String> = kept.head.columns.iter().map(|column| &column.name).collect();
            assert_eq!(names, series, "{text}");
            let mut expected = site.rows(&series, select.filter.as_ref());
            if is_descending {
                expected.reverse();
            }
            if is_paged {
                expected = expected.into_iter().skip(offset).take(limit).collect();
            }
            assert_eq!(kept.rows, expected, "seed {seed}: {text}");
            n_rows += expected.len();
        }
    }
    assert!(n_rows > 20_000, "{n_rows}: the queries found too little to mean anything");
}

fn brute(function: &str, points: &[(i64, Value)]) -> Option<Value> {
    let number = |value: &Value| match value {
        Value::Int32(value) => f64::from(*value),
        Value::Int64(value) => *value as f64,
        Value::Double(value) => *value,
        _ => panic!("no number"),
    };
    let least =
        |one: &&(i64, Value), other: &&(i64, Value)| number(&one.1).total_cmp(&number(&other.1));
    let sum: f64 = points
        .iter()
        .filter(|_| matches!(function, "sum" | "avg"))
        .map(|(_, value)| number(value))
        .sum();
    match function {
        "count" => return Some(Value::Int64(points.len() as i64)),
        _ if points.is_empty() => return None,
        "sum" => return Some(Value::Double(sum + 0.0)),
        "avg" => return Some(Value::Double(sum / points.len() as f64)),
        "min_time" => return points.first().map(|(time, _)| Value::Int64(*time)),
        "max_time" => return points.last().map(|(time, _)| Value::Int64(*time)),
        _ => (),
    }
    let point = match function {
        "first_value" => points.first(),
        "last_value" => points.last(),
        "min_value" => points.iter().min_by(least),
        "max_value" => points.iter().max_by(least),
        _ => panic!("{function}"),
    };
    point.map(|(_, value)| value.clone())
}

#[test]
fn aggregates_and_windows_equal_brute_force_over_all_points() {
    let (mut n_values, mut n_nulls) = (0, 0);
    for seed in 0..60 {
        let site = Site::random(seed);
        let mut rng = Rng::with_seed(seed ^ 0xa99);
        for _ in 0..40 {
            let any = ["count", "first_value", "last_value", "min_time", "max_time"];
            let of_numbers = ["sum", "avg", "min_value", "max_value"];
            let (function, measurement) = match rng.bool() {
                true => (any[rng.usize(0..5)], ["s0", "s3", "s4", "*"][rng.usize(0..4)]),
                false => (of_numbers[rng.usize(0..4)], ["s0", "s1", "s2"][rng.usize(0..3)]),
            };
            let from = random_from(&mut rng);
            let mut text = format!("SELECT {function}({measurement}) FROM {from}");
            if rng.bool() {
                text.push_str(&format!(" WHERE {}", random_condition(&mut rng, 1)));
            }
            let (start, end) = (rng.i64(-20..200), rng.i64(200..330));
            let (interval, step) = (rng.i64(1..90), rng.i64(1..90));
            let is_grouped = rng.u8(0..3) > 0;
            let is_behind = rng.bool();
            if is_grouped {
                let (open, close) = if is_behind { ("(", "]") } else { ("[", ")") };
                text.push_str(&format!(
                    " GROUP BY ({open}{start}, {end}{close}, {interval}ms, {step}ms)"
                ));
            }
            let is_descending = is_grouped && rng.bool();
            if is_descending {
                text.push_str(" ORDER BY TIME DESC");
            }
            let (limit, offset) = (rng.usize(1..9), rng.usize(0..4));
            text.push_str(&format!(" LIMIT {limit} OFFSET {offset}"));
            let kept = site.kept(&text);
            let Ok(Statement::Select(select)) = parse(&text, &CONTEXT) else { panic!("{text}") };
            let columns = select.columns().unwrap();
            let series: Vec<&String> =
                columns.iter().flat_map(|column| site.meant(column.path.nodes())).collect();
            let names: Vec<_> = series.iter().map(|it| format!("{function}({it})")).collect();
            let shown: Vec<_> = kept.head.columns.iter().map(|it| it.name.clone()).collect();
            assert_eq!(shown, names, "{text}");
            assert_eq!(kept.head.has_time, is_grouped);
            let rows = site.rows(&series, select.filter.as_ref());
            let row = |label: i64, first: i64, last: i64| -> Row {
                let cells = (0..series.len()).map(|at| {
                    let points: Vec<(i64, Value)> = rows
                        .iter()
                        .filter(|(time, _)| (first..=last).contains(time))
                        .filter_map(|(time, cells)| Some((*time, cells[at].clone()?)))
                        .collect();
                    brute(function, &points)
                });
                (label, cells.collect())
            };
            let mut expected = Vec::new();
            let mut at = start;
            while is_grouped && at < end {
                let stop = (at + interval).min(end);
                expected.push(match is_behind {
                    true => row(stop, at + 1, stop),
                    false => row(at, at, stop - 1),
                });
                at += step;
            }
            if !is_grouped {
                expected.push(row(0, i64::MIN, i64::MAX));
            }
            if series.is_empty() {
                expected.clear();
            }
            if is_descending {
                expected.reverse();
            }
            let expected: Vec<Row> = expected.into_iter().skip(offset).take(limit).collect();
            assert_eq!(kept.rows, expected, "seed {seed}: {text}");
            let cells = || expected.iter().flat_map(|(_, cells)| cells);
            n_values += cells().filter(|cell| cell.is_some()).count();
            n_nulls += cells().filter(|cell| cell.is_none()).count();
        }
    }
    assert!(n_values > 3000 && n_nulls > 300, "{n_values} and {n_nulls}");
}

#[test]
fn the_last_values_and_the_lists_are_those_of_all_points() {
    for seed in 0..60 {
        let site = Site::random(seed);
        for (text, condition) in [
            ("", Box::new(|_| true) as Box<dyn Fn(i64) -> bool>),
            (" WHERE time < 120", Box::new(|time| time < 120)),
            (" WHERE time != 120 AND time <= 120", Box::new(|time| time < 120)),
        ] {
            let kept = site.kept(&format!("SELECT LAST * FROM root.**{text}"));
            let expected: Vec<(i64, String)> = site
                .held
                .iter()
                .filter_map(|(name, points)| {
                    let (time, _) = points.iter().rev().find(|(time, _)| condition(**time))?;
                    Some((*time, name.clone()))
                })
                .collect();
            let text_of = |cell: &Option<Value>| match cell {
                Some(Value::Bytes(bytes)) => String::from_utf8(bytes.clone()).unwrap(),
                other => panic!("{other:?}"),
            };
            let found: Vec<(i64, String)> =
                kept.rows.iter().map(|(time, cells)| (*time, text_of(&cells[0]))).collect();
            assert_eq!(found, expected, "seed {seed}");
        }
        let one = |text: &str| match site.kept(text).rows.as_slice() {
            [(_, cells)] => cells[0].clone(),
            other => panic!("{other:?}"),
        };
        let n_series = Some(Value::Int64(site.held.len() as i64));
        assert_eq!(one("COUNT TIMESERIES"), n_series);
        assert_eq!(site.kept("SHOW TIMESERIES").rows.len(), site.held.len());
        let devices: BTreeSet<&str> =
            site.held.keys().map(|name| name.rsplit_once('.').unwrap().0).collect();
        assert_eq!(one("COUNT DEVICES"), Some(Value::Int64(devices.len() as i64)));
        assert_eq!(site.kept("SHOW DEVICES").rows.len(), devices.len());
    }
}
