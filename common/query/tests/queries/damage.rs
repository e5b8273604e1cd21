//! Files that cannot be read: what does not need them is answered, and what does is not.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use tidegate_model::DataType;
use tidegate_model::Precision;
use tidegate_model::Tablet;
use tidegate_model::Value;
use tidegate_query::Outcome;
use tidegate_query::Query;
use tidegate_query::QueryError;
use tidegate_query::Source;
use tidegate_sql::parse;
use tidegate_sql::time::UtcOffset;
use tidegate_store::DirVolume;
use tidegate_store::Look;
use tidegate_store::Options;
use tidegate_store::Store;

use crate::site::CONTEXT;
use crate::site::Kept;
use crate::support::column;
use crate::support::tablet_request;

/// Three files of one device, one behind the other in time, of which the first has a series of its own;
/// and which the files are.
fn filled(root: &Path) -> Vec<PathBuf> {
    let mut store = Store::open(DirVolume::new(root), Options::default(), 1).unwrap();
    store.begin_spool([1; 16]).unwrap();
    store.set_precision(Precision::Ms).unwrap();
    let int = |value| vec![Some(Value::Int32(value)); 2];
    let long = |value| vec![Some(Value::Int64(value)); 2];
    let files = [
        (1, vec![column("s", DataType::Int32, int(1)), column("old", DataType::Int32, int(1))]),
        (101, vec![column("s", DataType::Int64, long(2)), column("t", DataType::Int32, int(2))]),
        (201, vec![column("t", DataType::Int32, int(3))]),
    ];
    for (sequence, (time, columns)) in (1..).zip(files) {
        let tablet = Tablet {
            device: "root.p.d".to_owned(),
            times: vec![time, time + 1],
            columns,
            ..Tablet::default()
        };
        let _ = store.apply_request(sequence, 1, &tablet_request(&tablet)).unwrap();
        store.flush().unwrap();
    }
    let mut layers: Vec<_> = store.layers().collect();
    layers.sort_by_key(|layer| layer.precedence);
    layers.iter().map(|layer| root.join(layer.path())).collect()
}

fn ask(root: &Path, text: &str) -> Result<(Kept, Outcome), QueryError> {
    let look = Look::at(root).unwrap().unwrap();
    let sources = [Source { name: "plant", snapshot: &look.snapshot }];
    let query = Query { sources: &sources, precision: Precision::Ms, offset: UtcOffset::UTC };
    let mut kept = Kept::default();
    let outcome = query.run(&parse(text, &CONTEXT).unwrap(), &mut kept)?;
    Ok((kept, outcome))
}

/// A lost file refused every statement about its devices, whatever times that asked for.
#[test]
fn a_file_without_rows_of_the_times_that_are_asked_for_need_not_be_there() {
    let root = tempfile::tempdir().unwrap();
    let files = filled(root.path());
    // of a name that the others have, nobody need look into the file
    let by_name = [
        ("SELECT s FROM root.p.d WHERE time >= 100", 2),
        ("SELECT s FROM root.p.d WHERE s > 0 AND (time > 100 AND time < 102 OR time = 300)", 1),
        ("SELECT s, t FROM root.p.d WHERE time > 100 ORDER BY TIME DESC", 4),
        ("SELECT s FROM root.p.d WHERE time > 100 ALIGN BY DEVICE", 2),
        ("SELECT count(s) FROM root.p.d GROUP BY ([100, 300), 100ms)", 2),
        ("SELECT count(s) FROM root.p.d GROUP BY ((2, 302], 100ms)", 3),
        ("SELECT sum(s) FROM root.p.d WHERE time > 50", 1),
        ("SELECT LAST s, t FROM root.p.d WHERE time > 50", 2),
        ("SELECT s FROM root.p.d WHERE time > 5 AND time < 3", 0),
    ];
    let of_all = [
        ("SELECT * FROM root.p.d WHERE time >= 100", 4),
        ("SELECT old FROM root.p.d WHERE time >= 100", 0),
    ];
    let needed = [
        "SELECT s FROM root.p.d",
        "SELECT s FROM root.p.d WHERE time >= 2",
        "SELECT s FROM root.p.d WHERE time >= 100 OR s > 3",
        "SELECT s FROM root.p.d WHERE NOT time >= 100",
        "SELECT count(s) FROM root.p.d GROUP BY ([0, 300), 100ms)",
        "SELECT count(s) FROM root.p.d GROUP BY ((1, 301], 100ms)",
        "SELECT LAST s FROM root.p.d",
        "SHOW TIMESERIES",
    ];
    let whole: Vec<_> = by_name
        .iter()
        .map(|(text, n_rows)| {
            let (kept, outcome) = ask(root.path(), text).unwrap();
            assert_eq!((outcome.n_rows, &*outcome.notices), (*n_rows, &[][..]), "{text}");
            (kept.head, kept.rows)
        })
        .collect();
    let content = fs::read(&files[0]).unwrap();
    for damage in ["gone", "damaged"] {
        match damage {
            "gone" => fs::remove_file(&files[0]).unwrap(),
            _ => fs::write(&files[0], vec![0xff; content.len()]).unwrap(),
        }
        for ((text, _), expected) in by_name.iter().zip(&whole) {
            let (kept, outcome) =
                ask(root.path(), text).unwrap_or_else(|it| panic!("{text}: {it}"));
            assert_eq!(&(kept.head, kept.rows), expected, "{damage}: {text}");
            assert_eq!(outcome.notices, [""; 0], "{damage}: {text}");
        }
        for (text, n_rows) in of_all {
            let (_, outcome) = ask(root.path(), text).unwrap_or_else(|it| panic!("{text}: {it}"));
            assert_eq!(outcome.n_rows, n_rows, "{damage}: {text}");
            let [notice] = outcome.notices.as_slice() else { panic!("{outcome:?}") };
            assert!(
                notice.contains(".tsfile cannot be read: series that it alone has"),
                "{notice}"
            );
        }
        for text in needed {
            let error = ask(root.path(), text).expect_err(text);
            assert!(matches!(&error, QueryError::Store(it) if it.is_of_damage()), "{error}");
        }
    }
}

#[test]
fn which_columns_there_are_and_of_which_types_does_not_depend_on_the_times() {
    let root = tempfile::tempdir().unwrap();
    let _ = filled(root.path());
    let head = |text: &str| {
        let (kept, _) = ask(root.path(), text).unwrap();
        let columns = kept.head.columns.into_iter();
        columns.map(|it| (it.name, it.data_type)).collect::<Vec<_>>()
    };
    for items in ["*", "s", "old, s", "t", "none, t"] {
        let all = head(&format!("SELECT {items} FROM root.p.d"));
        assert!(!all.is_empty());
        for times in
            ["time < 50", "time > 50 AND time < 150", "time > 200", "time > 9 AND time < 7"]
        {
            assert_eq!(
                head(&format!("SELECT {items} FROM root.p.d WHERE {times}")),
                all,
                "{times}"
            );
        }
    }
    // of the type that the series has now, also where all rows have the older one
    let (kept, _) = ask(root.path(), "SELECT s FROM root.p.d WHERE time < 50").unwrap();
    assert_eq!(kept.rows[0], (1, vec![Some(Value::Int64(1))]));
}
