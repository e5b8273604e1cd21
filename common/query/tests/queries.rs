//! Answers equal those of brute force over everything that a store holds.

#[path = "../../store/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;

use fastrand::Rng;
use support::SimVolume;
use support::column;
use support::delete_request;
use support::tablet_request;
use tidegate_durable::sim::SimStorage;
use tidegate_model::DataType;
use tidegate_model::Precision;
use tidegate_model::Tablet;
use tidegate_model::Value;
use tidegate_model::path;
use tidegate_query::Head;
use tidegate_query::Outcome;
use tidegate_query::Query;
use tidegate_query::QueryError;
use tidegate_query::Sink;
use tidegate_query::Source;
use tidegate_query::output::Csv;
use tidegate_query::output::Json;
use tidegate_query::output::Table;
use tidegate_query::text::Text;
use tidegate_sql::Filter;
use tidegate_sql::Statement;
use tidegate_sql::parse;
use tidegate_sql::time::TimeContext;
use tidegate_sql::time::UtcOffset;
use tidegate_store::Options;
use tidegate_store::Store;
use tidegate_tsfile::Batch;

type Held = BTreeMap<String, BTreeMap<i64, Value>>;
type Row = (i64, Vec<Option<Value>>);

const SERIES: [(&str, DataType); 5] = [
    ("s0", DataType::Int32),
    ("s1", DataType::Int64),
    ("s2", DataType::Double),
    ("s3", DataType::Boolean),
    ("s4", DataType::Text),
];
const DEVICES: [(&str, bool); 3] =
    [("root.p.d1", false), ("root.p.d2", true), ("root.q.d3", false)];
const CONTEXT: TimeContext =
    TimeContext { precision: Precision::Ms, offset: UtcOffset::UTC, now: 1000 };

/// Keeps everything.
#[derive(Default)]
struct Kept {
    head: Head,
    rows: Vec<Row>,
    batch_rows_max: usize,
}

impl Sink for Kept {
    fn head(&mut self, head: &Head) -> io::Result<()> {
        self.head = head.clone();
        Ok(())
    }

    fn rows(&mut self, rows: &Batch) -> io::Result<()> {
        assert!(!rows.is_empty());
        assert_eq!(rows.columns.len(), self.head.columns.len());
        self.batch_rows_max = self.batch_rows_max.max(rows.len());
        let mut cells: Vec<_> = rows.columns.iter().map(|column| column.cells()).collect();
        for (column, head) in rows.columns.iter().zip(&self.head.columns) {
            assert_eq!(column.data_type, head.data_type, "{}", head.name);
            assert_eq!(column.presence.len(), rows.len());
        }
        for time in &rows.times {
            let row = cells.iter_mut().map(|cells| cells.next().unwrap()).collect();
            self.rows.push((if self.head.has_time { *time } else { 0 }, row));
        }
        Ok(())
    }
}

fn value(data_type: DataType, number: i32) -> Value {
    match data_type {
        DataType::Int32 => Value::Int32(number),
        DataType::Int64 => Value::Int64(i64::from(number) * 3),
        DataType::Double => Value::Double(f64::from(number) / 2.0),
        DataType::Boolean => Value::Boolean(number % 2 == 0),
        _ => Value::Bytes(format!("t{}", number.rem_euclid(7)).into_bytes()),
    }
}

struct Site {
    store: Store<SimVolume>,
    held: Held,
    sequence: u64,
}

impl Site {
    fn new() -> Self {
        let mut options = Options::default();
        options.partition_ms = 100;
        let volume = SimVolume::new(SimStorage::new());
        let mut store = Store::open(volume, options, 1).unwrap();
        store.begin_spool([1; 16]).unwrap();
        store.set_precision(Precision::Ms).unwrap();
        Self { store, held: Held::new(), sequence: 0 }
    }

    fn insert(
        &mut self,
        device: &str,
        aligned: bool,
        times: &[i64],
        columns: &[(&str, DataType, Vec<Option<Value>>)],
    ) {
        let own = columns
            .iter()
            .map(|(name, data_type, values)| column(name, *data_type, values.clone()));
        let tablet = Tablet {
            database: None,
            device: device.to_owned(),
            aligned,
            times: times.to_vec(),
            columns: own.collect(),
        };
        self.sequence += 1;
        let applied = self.store.apply_request(self.sequence, 1, &tablet_request(&tablet)).unwrap();
        assert!(applied.left_out.is_empty(), "{applied:?}");
        for (name, _, values) in columns {
            for (time, value) in times.iter().zip(values) {
                if let Some(value) = value {
                    let series = self.held.entry(format!("{device}.{name}")).or_default();
                    series.insert(*time, value.clone());
                }
            }
        }
    }

    fn delete(&mut self, pattern: &str, start: i64, end: i64) {
        self.sequence += 1;
        let request = delete_request(pattern, start, end);
        let _ = self.store.apply_request(self.sequence, 1, &request).unwrap();
        for (series, points) in &mut self.held {
            if path::matches(&path::nodes(pattern), &path::nodes(series)) {
                points.retain(|time, _| !(start..=end).contains(time));
            }
        }
        self.held.retain(|_, points| !points.is_empty());
    }

    fn random(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut site = Self::new();
        for _ in 0..rng.usize(3..14) {
            let (device, aligned) = DEVICES[rng.usize(0..3)];
            match rng.u8(0..10) {
                0 => site.store.flush().unwrap(),
                1 => {
                    let start = rng.i64(0..300);
                    site.delete(
                        &format!("{device}.s{}", rng.u8(0..5)),
                        start,
                        start + rng.i64(0..80),
                    );
                }
                _ => {
                    let start = rng.i64(0..250);
                    let times: BTreeSet<i64> =
                        (0..rng.usize(1..40)).map(|_| start + rng.i64(0..60)).collect();
                    let times: Vec<i64> = times.into_iter().collect();
                    let mut columns = Vec::new();
                    for (name, data_type) in SERIES {
                        let mut cell = |_: &i64| match rng.u8(0..4) {
                            0 => None,
                            _ => Some(value(data_type, rng.i32(-20..20))),
                        };
                        columns.push((name, data_type, times.iter().map(&mut cell).collect()));
                        if rng.u8(0..4) == 0 {
                            columns.pop();
                        }
                    }
                    if !columns.is_empty() {
                        site.insert(device, aligned, &times, &columns);
                    }
                }
            }
        }
        if rng.bool() {
            site.store.flush().unwrap();
        }
        site
    }

    fn ask(&self, text: &str, sink: &mut dyn Sink) -> Result<Outcome, QueryError> {
        let snapshot = self.store.snapshot();
        let sources = [Source { name: "site", snapshot: &snapshot }];
        let query = Query { sources: &sources, precision: Precision::Ms, offset: UtcOffset::UTC };
        query.run(&parse(text, &CONTEXT).unwrap_or_else(|error| panic!("{error}")), sink)
    }

    fn kept(&self, text: &str) -> Kept {
        let mut kept = Kept::default();
        let outcome = self.ask(text, &mut kept).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(outcome.n_rows, kept.rows.len() as u64, "{text}");
        kept
    }

    /// The series that a full path means.
    fn meant(&self, nodes: &[String]) -> Vec<&String> {
        let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
        self.held.keys().filter(|series| path::matches(&nodes, &path::nodes(series))).collect()
    }

    /// Rows of these series that the filter means, the oldest first. The filter names single series.
    fn rows(&self, series: &[&String], filter: Option<&Filter>) -> Vec<Row> {
        if series.is_empty() {
            return Vec::new();
        }
        let mut names: BTreeSet<&String> = series.iter().copied().collect();
        let filtered: Vec<String> = filter
            .map_or(&[][..], Filter::series)
            .iter()
            .map(|path| path.nodes().join("."))
            .collect();
        names.extend(self.held.keys().filter(|name| filtered.contains(name)));
        let times: BTreeSet<i64> =
            names.iter().flat_map(|name| self.held[*name].keys().copied()).collect();
        let cell = |name: &String, time: i64| self.held.get(name).and_then(|it| it.get(&time));
        let mut rows = Vec::new();
        for time in times {
            let value = |number: usize| cell(&filtered[number], time).cloned();
            if filter.is_none_or(|filter| filter.evaluate(time, &value) == Some(true)) {
                rows.push((time, series.iter().map(|name| cell(name, time).cloned()).collect()));
            }
        }
        rows
    }
}

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

/// Two devices, one of which has a time of its own.
fn small() -> Site {
    let mut site = Site::new();
    let ints = |values: &[Option<i32>]| values.iter().map(|it| it.map(Value::Int32)).collect();
    let texts = |values: &[Option<&str>]| {
        values.iter().map(|it| it.map(|it| Value::Bytes(it.as_bytes().to_vec()))).collect()
    };
    let s = [("s", DataType::Int32, ints(&[Some(1), Some(7), Some(3)]))];
    site.insert("root.p.d1", false, &[0, 1000, 2000], &s);
    site.insert(
        "root.p.d2",
        true,
        &[1000, 3000],
        &[
            ("s", DataType::Int32, ints(&[Some(6), Some(2)])),
            ("t", DataType::Text, texts(&[None, Some("a,\"b\"\n\u{1b}[2J")])),
        ],
    );
    site
}

fn written<'o>(
    site: &Site,
    text: &str,
    make: impl FnOnce(&'o mut Vec<u8>, Text) -> Box<dyn Sink + 'o>,
    out: &'o mut Vec<u8>,
) {
    let offset = Some(UtcOffset::from_minutes(480).unwrap());
    let mut sink = make(out, Text { precision: Precision::Ms, offset });
    site.ask(text, &mut *sink).unwrap_or_else(|error| panic!("{text}: {error}"));
}

fn table(text: &str) -> String {
    let mut out = Vec::new();
    written(&small(), text, |out, text| Box::new(Table::new(out, text)), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn tables_look_as_iotdbs_do() {
    let rows = "\
+-----------------------------+-----------+-----------+
|                         Time|root.p.d1.s|root.p.d2.s|
+-----------------------------+-----------+-----------+
|1970-01-01T08:00:00.000+08:00|          1|       null|
|1970-01-01T08:00:01.000+08:00|          7|          6|
|1970-01-01T08:00:02.000+08:00|          3|       null|
|1970-01-01T08:00:03.000+08:00|       null|          2|
+-----------------------------+-----------+-----------+
Total line number = 4
";
    assert_eq!(table("SELECT s FROM root.p.*"), rows);
    let empty = "\
+----+-----------+
|Time|root.p.d1.s|
+----+-----------+
+----+-----------+
Empty set.
";
    assert_eq!(table("SELECT s FROM root.p.d1 WHERE s > 100"), empty);
    assert_eq!(table("SELECT x FROM root.p.d1"), "+----+\n|Time|\n+----+\n+----+\nEmpty set.\n");
    let aggregates = "\
+------------------+------------------+
|count(root.p.d1.s)|              mean|
+------------------+------------------+
|                 3|3.6666666666666665|
+------------------+------------------+
Total line number = 1
";
    assert_eq!(table("SELECT count(s), avg(s) AS mean FROM root.p.d1"), aggregates);
    let windows = "\
+-----------------------------+------------------+----------------------+
|                         Time|count(root.p.d1.s)|max_value(root.p.d1.s)|
+-----------------------------+------------------+----------------------+
|1970-01-01T08:00:00.000+08:00|                 2|                     7|
|1970-01-01T08:00:02.000+08:00|                 1|                     3|
|1970-01-01T08:00:04.000+08:00|                 0|                  null|
+-----------------------------+------------------+----------------------+
Total line number = 3
";
    let text = "SELECT count(s), max_value(s) FROM root.p.d1 GROUP BY ([0, 6000), 2s)";
    assert_eq!(table(text), windows);
    let by_device = "\
+-----------------------------+---------+-+----------------+
|                         Time|   Device|s|               t|
+-----------------------------+---------+-+----------------+
|1970-01-01T08:00:01.000+08:00|root.p.d1|7|            null|
|1970-01-01T08:00:02.000+08:00|root.p.d1|3|            null|
|1970-01-01T08:00:01.000+08:00|root.p.d2|6|            null|
|1970-01-01T08:00:03.000+08:00|root.p.d2|2|a,\"b\"\\n\\u{1b}[2J|
+-----------------------------+---------+-+----------------+
Total line number = 4
";
    let text = "SELECT s, t FROM root.p.* WHERE time > 0 ALIGN BY DEVICE";
    assert_eq!(table(text), by_device);
    let series = "\
+-----------+------------------+--------+
| Timeseries|Database (assumed)|DataType|
+-----------+------------------+--------+
|root.p.d1.s|            root.p|   INT32|
|root.p.d2.s|            root.p|   INT32|
|root.p.d2.t|            root.p|    TEXT|
+-----------+------------------+--------+
Total line number = 3
";
    assert_eq!(table("SHOW TIMESERIES root.p.**"), series);
    let count = "\
+-----------------+
|count(timeseries)|
+-----------------+
|                2|
+-----------------+
Total line number = 1
";
    assert_eq!(table("COUNT TIMESERIES root.p.*.s"), count);
}

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
    for text in
        ["SHOW TIMESERIES", "COUNT DEVICES", "SHOW DATABASES", "SELECT n FROM root.works.**"]
    {
        assert_eq!(ask(&site, text), expected, "{text}");
    }
    assert_eq!(ask(&site, "SELECT s FROM root.p.d1"), Vec::<String>::new());
    // sixteen are named
    (10..25).for_each(|number| insert(&mut site, &format!("t{number}")));
    assert!(ask(&site, "SHOW DEVICES")[0].ends_with("works.t23, works.t24"));
    insert(&mut site, "t25");
    assert!(ask(&site, "SHOW DEVICES")[0].ends_with("works.t24 and 1 more"));
}

#[test]
fn csv_and_json_tell_null_from_empty_and_quote_what_must_be_quoted() {
    let mut out = Vec::new();
    let text = "SELECT s, t FROM root.p.d2";
    written(&small(), text, |out, text| Box::new(Csv::new(out, text)), &mut out);
    let expected = "Time,root.p.d2.s,root.p.d2.t\n1970-01-01T08:00:01.000+08:00,6,\n\
                    1970-01-01T08:00:03.000+08:00,2,\"a,\"\"b\"\"\n\u{1b}[2J\"\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    let mut out = Vec::new();
    written(&small(), text, |out, text| Box::new(Json::new(out, text)), &mut out);
    let rows: Vec<serde_json::Value> = out
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(rows[0]["root.p.d2.t"], serde_json::Value::Null);
    assert_eq!(rows[1]["root.p.d2.t"], "a,\"b\"\n\u{1b}[2J");
    assert_eq!(rows[1]["root.p.d2.s"], 2);
    assert_eq!(rows[1]["Time"], "1970-01-01T08:00:03.000+08:00");
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

#[test]
fn a_series_of_two_origins_is_refused_until_one_is_named() {
    let (one, other) = (small().store.snapshot(), small().store.snapshot());
    let sources =
        [Source { name: "east", snapshot: &one }, Source { name: "west", snapshot: &other }];
    let ask = |sources: &[Source<'_, _>]| {
        let query = Query { sources, precision: Precision::Ms, offset: UtcOffset::UTC };
        let statement = parse("SELECT s FROM root.p.d1", &CONTEXT).unwrap();
        query.run(&statement, &mut Kept::default()).map(|outcome| outcome.n_rows)
    };
    assert_eq!(ask(&sources[..1]).unwrap(), 3);
    let error = ask(&sources).unwrap_err().to_string();
    assert!(error.contains("in the origins east and west"), "{error}");
}

/// Counts rows and forgets them.
#[derive(Default)]
struct Counted {
    n_rows: u64,
    n_points: u64,
    batch_points_max: usize,
    last: Option<i64>,
    is_descending: bool,
}

impl Sink for Counted {
    fn head(&mut self, _head: &Head) -> io::Result<()> {
        Ok(())
    }

    fn rows(&mut self, rows: &Batch) -> io::Result<()> {
        for time in &rows.times {
            let is_next = self.last.is_none_or(|last| (last < *time) != self.is_descending);
            assert!(is_next && self.last != Some(*time), "{time} behind {:?}", self.last);
            self.last = Some(*time);
        }
        self.n_rows += rows.len() as u64;
        self.n_points += rows.n_points() as u64;
        self.batch_points_max = self.batch_points_max.max(rows.n_points());
        Ok(())
    }
}

#[test]
fn five_million_points_stream_in_batches_in_either_order() {
    const ROWS: i64 = 1_250_000;
    let mut site = Site::new();
    for start in (0..ROWS).step_by(50_000) {
        let times: Vec<i64> = (start..start + 50_000).collect();
        for (number, (device, aligned)) in DEVICES[..2].iter().enumerate() {
            // the second device is behind by half a row
            let times: Vec<i64> = times.iter().map(|time| time * 2 + number as i64).collect();
            let values = || times.iter().map(|time| Some(Value::Int64(*time))).collect();
            let columns = ["a", "b"].map(|name| column(name, DataType::Int64, values()));
            let tablet = Tablet {
                database: None,
                device: (*device).to_owned(),
                aligned: *aligned,
                times,
                columns: columns.into(),
            };
            site.sequence += 1;
            let _ = site.store.apply_request(site.sequence, 1, &tablet_request(&tablet)).unwrap();
        }
        site.store.flush().unwrap();
    }
    for (order, is_descending) in [("ASC", false), ("DESC", true)] {
        let mut counted = Counted { is_descending, ..Counted::default() };
        let text = format!("SELECT a, b FROM root.p.* ORDER BY TIME {order}");
        site.ask(&text, &mut counted).unwrap();
        assert_eq!(counted.n_rows, 2 * ROWS as u64);
        assert_eq!(counted.n_points, 4 * ROWS as u64);
        assert!(counted.batch_points_max <= 200_000, "{}", counted.batch_points_max);
    }
    let mut counted = Kept::default();
    site.ask("SELECT a FROM root.p.d1 ORDER BY TIME DESC LIMIT 3", &mut counted).unwrap();
    let times: Vec<i64> = counted.rows.iter().map(|(time, _)| *time).collect();
    assert_eq!(times, [2 * ROWS - 2, 2 * ROWS - 4, 2 * ROWS - 6]);
}
