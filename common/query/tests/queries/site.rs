//! A store whose points are all known, and a sink that keeps what it is given.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;

use fastrand::Rng;
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
use tidegate_sql::Filter;
use tidegate_sql::parse;
use tidegate_sql::time::TimeContext;
use tidegate_sql::time::UtcOffset;
use tidegate_store::Options;
use tidegate_store::Store;
use tidegate_tsfile::Batch;

use crate::support::SimVolume;
use crate::support::column;
use crate::support::delete_request;
use crate::support::tablet_request;

pub(crate) type Held = BTreeMap<String, BTreeMap<i64, Value>>;
pub(crate) type Row = (i64, Vec<Option<Value>>);

pub(crate) const SERIES: [(&str, DataType); 5] = [
    ("s0", DataType::Int32),
    ("s1", DataType::Int64),
    ("s2", DataType::Double),
    ("s3", DataType::Boolean),
    ("s4", DataType::Text),
];
pub(crate) const DEVICES: [(&str, bool); 3] =
    [("root.p.d1", false), ("root.p.d2", true), ("root.q.d3", false)];
pub(crate) const CONTEXT: TimeContext =
    TimeContext { precision: Precision::Ms, offset: UtcOffset::UTC, now: 1000 };

/// Keeps everything.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) head: Head,
    pub(crate) rows: Vec<Row>,
    pub(crate) batch_rows_max: usize,
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

pub(crate) fn value(data_type: DataType, number: i32) -> Value {
    match data_type {
        DataType::Int32 => Value::Int32(number),
        DataType::Int64 => Value::Int64(i64::from(number) * 3),
        DataType::Double => Value::Double(f64::from(number) / 2.0),
        DataType::Boolean => Value::Boolean(number % 2 == 0),
        _ => Value::Bytes(format!("t{}", number.rem_euclid(7)).into_bytes()),
    }
}

pub(crate) struct Site {
    pub(crate) store: Store<SimVolume>,
    pub(crate) held: Held,
    pub(crate) sequence: u64,
}

impl Site {
    pub(crate) fn new() -> Self {
        let mut options = Options::default();
        options.partition_ms = 100;
        let volume = SimVolume::new(SimStorage::new());
        let mut store = Store::open(volume, options, 1).unwrap();
        store.begin_spool([1; 16]).unwrap();
        store.set_precision(Precision::Ms).unwrap();
        Self { store, held: Held::new(), sequence: 0 }
    }

    pub(crate) fn insert(
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

    pub(crate) fn delete(&mut self, pattern: &str, start: i64, end: i64) {
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

    pub(crate) fn random(seed: u64) -> Self {
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

    pub(crate) fn ask(&self, text: &str, sink: &mut dyn Sink) -> Result<Outcome, QueryError> {
        let snapshot = self.store.snapshot();
        let sources = [Source { name: "site", snapshot: &snapshot }];
        let query = Query { sources: &sources, precision: Precision::Ms, offset: UtcOffset::UTC };
        query.run(&parse(text, &CONTEXT).unwrap_or_else(|error| panic!("{error}")), sink)
    }

    pub(crate) fn kept(&self, text: &str) -> Kept {
        let mut kept = Kept::default();
        let outcome = self.ask(text, &mut kept).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(outcome.n_rows, kept.rows.len() as u64, "{text}");
        kept
    }

    /// The series that a full path means.
    pub(crate) fn meant(&self, nodes: &[String]) -> Vec<&String> {
        let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
        self.held.keys().filter(|series| path::matches(&nodes, &path::nodes(series))).collect()
    }

    /// Rows of these series that the filter means, the oldest first. The filter names single series.
    pub(crate) fn rows(&self, series: &[&String], filter: Option<&Filter>) -> Vec<Row> {
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

/// Two devices, one of which has a time of its own.
pub(crate) fn small() -> Site {
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
