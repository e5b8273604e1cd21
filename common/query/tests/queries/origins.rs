//! Several origins: each has its own devices, and may have one that another has, too.

use tidegate_durable::Storage;
use tidegate_model::DataType;
use tidegate_model::Precision;
use tidegate_model::Value;
use tidegate_query::Outcome;
use tidegate_query::Query;
use tidegate_query::QueryError;
use tidegate_query::Source;
use tidegate_sql::parse;
use tidegate_sql::time::UtcOffset;

use crate::site::CONTEXT;
use crate::site::Kept;
use crate::site::Site;
use crate::site::small;

fn ask<S: Storage>(sources: &[Source<'_, S>], text: &str) -> Result<(Kept, Outcome), QueryError> {
    let query = Query { sources, precision: Precision::Ms, offset: UtcOffset::UTC };
    let mut kept = Kept::default();
    let outcome = query.run(&parse(text, &CONTEXT).unwrap(), &mut kept)?;
    Ok((kept, outcome))
}

/// Names of the columns, then the cells of each row, with dashes between.
fn shown<S: Storage>(sources: &[Source<'_, S>], text: &str) -> Vec<String> {
    let (kept, _) = ask(sources, text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let names: Vec<&str> = kept.head.columns.iter().map(|it| it.name.as_str()).collect();
    let cell = |cell: &Option<Value>| match cell {
        Some(Value::Bytes(bytes)) => String::from_utf8(bytes.clone()).unwrap(),
        Some(Value::Int64(number)) => number.to_string(),
        other => panic!("{other:?}"),
    };
    let row = |cells: &Vec<Option<Value>>| cells.iter().map(cell).collect::<Vec<_>>().join("-");
    core::iter::once(names.join("-")).chain(kept.rows.iter().map(|(_, it)| row(it))).collect()
}

/// One with a device that the small one has, and one of its own.
fn other() -> Site {
    let mut site = Site::new();
    let values = || vec![Some(Value::Double(0.5))];
    site.insert("root.p.d1", true, &[5], &[("s", DataType::Double, values())]);
    site.insert("root.w.d9", false, &[5], &[("s", DataType::Double, values())]);
    site
}

/// Lines that two origins had in common stood there twice, and nothing told them apart.
#[test]
fn lists_say_whose_each_line_is_where_there_are_several_origins() {
    let (one, two) = (small().store.snapshot(), other().store.snapshot());
    let sources =
        [Source { name: "east", snapshot: &one }, Source { name: "west", snapshot: &two }];
    assert_eq!(
        shown(&sources, "SHOW TIMESERIES"),
        [
            "Timeseries-Database (assumed)-DataType-Origin",
            "root.p.d1.s-root.p-INT32-east",
            "root.p.d1.s-root.p-DOUBLE-west",
            "root.p.d2.s-root.p-INT32-east",
            "root.p.d2.t-root.p-TEXT-east",
            "root.w.d9.s-root.w-DOUBLE-west",
        ]
    );
    let devices = [
        "Device-IsAligned-Origin",
        "root.p.d1-false-east",
        "root.p.d1-true-west",
        "root.p.d2-true-east",
        "root.w.d9-false-west",
    ];
    assert_eq!(shown(&sources, "SHOW DEVICES"), devices);
    assert_eq!(shown(&sources, "SHOW DEVICES LIMIT 2 OFFSET 1")[1..], devices[2..4]);
    let databases = ["Database (assumed)-Origin", "root.p-east", "root.p-west", "root.w-west"];
    assert_eq!(shown(&sources, "SHOW DATABASES"), databases);
    // as many as there are lines
    assert_eq!(shown(&sources, "COUNT TIMESERIES"), ["count(timeseries)", "5"]);
    assert_eq!(shown(&sources, "COUNT DEVICES root.p.d1"), ["count(devices)", "2"]);
    // of one origin there is nothing to say
    assert_eq!(
        shown(&sources[1..], "SHOW DEVICES"),
        ["Device-IsAligned", "root.p.d1-true", "root.w.d9-false"]
    );
}

#[test]
fn a_device_of_several_origins_is_refused_with_the_names_of_all_until_one_is_named() {
    let (one, two) = (small().store.snapshot(), other().store.snapshot());
    let sources = [
        Source { name: "east", snapshot: &one },
        Source { name: "north", snapshot: &one },
        Source { name: "west", snapshot: &two },
    ];
    for text in [
        "SELECT s FROM root.p.d1",
        "SELECT count(s) FROM root.**",
        "SELECT LAST * FROM root.p.*",
        "SELECT s FROM root.p.* ALIGN BY DEVICE",
    ] {
        let error = ask(&sources, text).expect_err(text).to_string();
        let expected = "root.p.d1 is in the origins east, north and west: expected one of them with \
                        --origin";
        assert_eq!(error, expected, "{text}");
        ask(&sources[2..], text).unwrap();
    }
    // devices that one origin has are asked together with those of others
    let (kept, _) = ask(&sources[1..], "SELECT s FROM root.p.d2, root.w.d9").unwrap();
    assert_eq!(kept.rows.iter().map(|(time, _)| *time).collect::<Vec<_>>(), [5, 1000, 3000]);
}

#[test]
fn of_very_many_origins_some_are_named() {
    let one = small().store.snapshot();
    let names: Vec<String> = (0..20).map(|number| format!("o{number:02}")).collect();
    let sources: Vec<_> = names.iter().map(|name| Source { name, snapshot: &one }).collect();
    let error = ask(&sources, "SELECT s FROM root.p.d1").unwrap_err().to_string();
    assert!(error.contains("o14, o15 and 4 more: expected one"), "{error}");
}
