//! Answers take memory for batches and not for rows: an allocator counts.

#[path = "../../tsfile/tests/support/counting.rs"]
mod counting;
#[path = "../../store/tests/support/mod.rs"]
mod support;

use std::io;

use counting::peak_bytes;
use support::column;
use support::tablet_request;
use tidegate_model::DataType;
use tidegate_model::Precision;
use tidegate_model::Tablet;
use tidegate_model::Value;
use tidegate_query::Query;
use tidegate_query::Sink;
use tidegate_query::Source;
use tidegate_query::output::Csv;
use tidegate_query::output::Json;
use tidegate_query::text::Text;
use tidegate_sql::parse;
use tidegate_sql::time::TimeContext;
use tidegate_sql::time::UtcOffset;
use tidegate_store::DirVolume;
use tidegate_store::Options;
use tidegate_store::Store;

/// What an answer of long values may hold, of which each of three devices has 48 MiB: batches of 8 MiB and
/// a value, in memory that grows by doubling, and of each device a few values on their way.
const HELD_LONG_BYTES_MAX: isize = 120 << 20;

const BLOCK_ROWS: i64 = 12_000;
/// What an answer may hold, whatever its length: batches of both devices and their pages, and of the
/// newest first a window.
const HELD_BYTES_MAX: isize = 16 << 20;

/// A store on disk, so that its own bytes are not in memory, of two devices with four series each.
fn store(directory: &std::path::Path, n_blocks: i64) -> Store<DirVolume> {
    let volume = DirVolume::new(directory);
    let mut store = Store::open(volume, Options::default(), 1).unwrap();
    let mut sequence = 0;
    for block in 0..n_blocks {
        for (device, aligned) in [("root.p.plain", false), ("root.p.aligned", true)] {
            let times: Vec<i64> = (block * BLOCK_ROWS..(block + 1) * BLOCK_ROWS).collect();
            let text = |time: &i64| Some(Value::Bytes(format!("text {time}").into_bytes()));
            let number = |time: &i64| (time % 3 != 0).then_some(Value::Double(*time as f64));
            let columns = ["a", "b", "c", "d"].map(|name| match name {
                "d" => column(name, DataType::Text, times.iter().map(text).collect()),
                _ => column(name, DataType::Double, times.iter().map(number).collect()),
            });
            let tablet = Tablet {
                database: None,
                device: device.to_owned(),
                aligned,
                times,
                columns: columns.into(),
            };
            sequence += 1;
            let _ = store.apply_request(sequence, 1, &tablet_request(&tablet)).unwrap();
        }
        store.flush().unwrap();
    }
    store
}

/// What a statement takes as csv and as json.
fn peak(store: &Store<DirVolume>, text: &str) -> (u64, isize) {
    let (n_rows, csv) = peak_as_csv(store, text);
    let (same, json) = peak_of(store, text, |text| Box::new(Json::new(io::sink(), text)));
    assert_eq!(same, n_rows);
    (n_rows, csv.max(json))
}

fn peak_as_csv(store: &Store<DirVolume>, text: &str) -> (u64, isize) {
    peak_of(store, text, |text| Box::new(Csv::new(io::sink(), text)))
}

/// How many rows the answer has, and the most that is held for it.
fn peak_of(
    store: &Store<DirVolume>,
    text: &str,
    sink: impl Fn(Text) -> Box<dyn Sink>,
) -> (u64, isize) {
    let snapshot = store.snapshot();
    let sources = [Source { name: "site", snapshot: &snapshot }];
    let (precision, offset) = (Precision::Ms, UtcOffset::UTC);
    let query = Query { sources: &sources, precision, offset };
    let statement = parse(text, &TimeContext { precision, offset, now: 0 }).unwrap();
    let text = Text { precision, offset: Some(offset) };
    peak_bytes(|| query.run(&statement, &mut *sink(text)).unwrap().n_rows)
}

#[test]
fn memory_does_not_grow_with_the_rows_of_an_answer() {
    let directory = tempfile::tempdir().unwrap();
    let (small, large) =
        (store(&directory.path().join("small"), 1), store(&directory.path().join("large"), 8));
    for text in [
        "SELECT * FROM root.p.**",
        "SELECT * FROM root.p.** WHERE a > 10 OR d LIKE '%7'",
        "SELECT * FROM root.p.** ALIGN BY DEVICE",
        "SELECT a, d FROM root.p.** ORDER BY TIME DESC",
        "SELECT count(*), avg(a) FROM root.p.** WHERE b > 0",
    ] {
        let ((few_rows, few), (many_rows, many)) = (peak(&small, text), peak(&large, text));
        if !text.contains("count") {
            assert!(many_rows >= few_rows * 7, "{text}: {few_rows} and {many_rows} rows");
        }
        // eight times the rows; a window is as large as it may be only where there are so many, and
        // where files meet two of them have a page in memory
        assert!(text.contains("DESC") || many < few * 2, "{text}: {few} and {many} bytes");
        assert!(many < HELD_BYTES_MAX, "{text}: {many} bytes");
    }
}

/// A store on disk with values that are `length` bytes long each, in several files and in memory.
fn store_of_long(directory: &std::path::Path, n_rows: i64, length: usize) -> Store<DirVolume> {
    let volume = DirVolume::new(directory);
    let mut store = Store::open(volume, Options::default(), 1).unwrap();
    let mut sequence = 0;
    for time in 0..n_rows {
        let value = vec![b'a' + time.rem_euclid(26) as u8; length];
        for (device, data_type, aligned) in [
            ("root.l.t", DataType::Text, false),
            ("root.l.b", DataType::Blob, true),
            ("root.l.s", DataType::String, true),
        ] {
            let columns = vec![column("v", data_type, vec![Some(Value::Bytes(value.clone()))])];
            let (database, device) = (None, device.to_owned());
            let tablet = Tablet { database, device, aligned, times: vec![time], columns };
            sequence += 1;
            let _ = store.apply_request(sequence, 1, &tablet_request(&tablet)).unwrap();
        }
        // the last ones stay where they are
        if time % (n_rows / 8) == 0 {
            store.flush().unwrap();
        }
    }
    store
}

/// Batches were bounded by their rows alone, and every file's statistics were held with their texts.
#[test]
fn of_long_values_few_are_held_however_many_a_question_is_about() {
    let directory = tempfile::tempdir().unwrap();
    let long = store_of_long(&directory.path().join("long"), 24, 2 << 20);
    let many = store_of_long(&directory.path().join("many"), 480, 100 << 10);
    for (store, n_rows) in [(&long, 24), (&many, 480)] {
        for (text, n_rows) in [
            ("SELECT v FROM root.l.t LIMIT 1", 1),
            ("SELECT v FROM root.l.b LIMIT 1", 1),
            ("SELECT v FROM root.l.t", n_rows),
            ("SELECT v FROM root.l.s", n_rows),
            ("SELECT * FROM root.l.**", n_rows),
            ("SELECT count(v), first_value(v), last_value(v) FROM root.l.t", 1),
        ] {
            let (found, peak_bytes) = peak_as_csv(store, text);
            assert_eq!(found, n_rows, "{text}");
            assert!(peak_bytes < HELD_LONG_BYTES_MAX, "{n_rows}, {text}: {peak_bytes} bytes");
        }
    }
}
