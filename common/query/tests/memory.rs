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

/// How many rows the answer has, and the most that is held for it.
fn peak(store: &Store<DirVolume>, text: &str) -> (u64, isize) {
    let snapshot = store.snapshot();
    let sources = [Source { name: "site", snapshot: &snapshot }];
    let (precision, offset) = (Precision::Ms, UtcOffset::UTC);
    let query = Query { sources: &sources, precision, offset };
    let statement = parse(text, &TimeContext { precision, offset, now: 0 }).unwrap();
    let text = Text { precision, offset: Some(offset) };
    let csv = || query.run(&statement, &mut Csv::new(io::sink(), text)).unwrap().n_rows;
    let json = || query.run(&statement, &mut Json::new(io::sink(), text)).unwrap().n_rows;
    let ((n_rows, csv), (same, json)) = (peak_bytes(csv), peak_bytes(json));
    assert_eq!(same, n_rows);
    (n_rows, csv.max(json))
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
