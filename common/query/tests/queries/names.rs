//! Names that are more than letters and digits: what SHOW prints can be asked as it is printed.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use fastrand::Rng;
use tidegate_model::DataType;
use tidegate_model::Value;
use tidegate_model::path;

use crate::site::Kept;
use crate::site::Site;

/// Nodes as senders and other writers of TsFiles were seen to name them, and worse.
const NODES: [&str; 30] = [
    "s",
    "S1",
    "_",
    "温度",
    "1",
    "007",
    "1e5",
    "`1e5`",
    "1d",
    "a.b",
    "`a.b`",
    "a-b",
    "`a``b`",
    "a`b",
    "`",
    "```",
    "a b",
    "it's",
    "\"",
    "*",
    "a*",
    "**",
    "time",
    "Timestamp",
    "root",
    "last",
    "select",
    "`select`",
    "#$@:",
    "é",
];

fn node(rng: &mut Rng) -> String {
    match rng.u8(0..3) {
        0 => ["a", "b", "1", ".", "`", "-", " ", "\n", "水", "é"][rng.usize(0..10)].repeat(2),
        1 => {
            (0..rng.usize(1..4)).map(|_| ['a', '.', '`', '1', '*', 'E'][rng.usize(0..6)]).collect()
        }
        _ => NODES[rng.usize(0..NODES.len())].to_owned(),
    }
}

fn text(cell: &Option<Value>) -> String {
    match cell {
        Some(Value::Bytes(bytes)) => String::from_utf8(bytes.clone()).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// The first column of what is listed.
fn listed(site: &Site, statement: &str) -> Vec<String> {
    site.kept(statement).rows.iter().map(|(_, cells)| text(&cells[0])).collect()
}

/// The last node, and what is before it.
fn cut(series: &str) -> (String, String) {
    let nodes = path::nodes(series);
    let (last, front) = nodes.split_last().unwrap();
    (front.join("."), (*last).to_owned())
}

/// A name with a dot in one node was printed as if it had two, and nothing that was asked meant it.
#[test]
fn every_name_that_show_prints_means_the_series_that_it_is_printed_for() {
    let mut n_quoted = 0;
    for seed in 0..60 {
        let mut rng = Rng::with_seed(seed);
        let mut site = Site::new();
        let mut points: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        let mut devices = BTreeSet::new();
        for number in 0..12i64 {
            let device = format!("root.{}.{}", node(&mut rng), node(&mut rng));
            let measurement = node(&mut rng);
            // two that SQL cannot tell apart have a test of their own
            let device_kept = path::kept(&device).into_owned();
            let kept = format!("{device_kept}.{}", path::kept_node(&measurement));
            if points.contains_key(&kept) || !devices.insert(device_kept) {
                continue;
            }
            let times: Vec<i64> = (number * 10..number * 11 + 1).collect();
            let values = times.iter().map(|time| Some(Value::Int64(*time))).collect();
            site.insert(&device, rng.bool(), &times, &[(&measurement, DataType::Int64, values)]);
            points.insert(kept, times);
        }
        if rng.bool() {
            site.store.flush().unwrap();
        }
        let series = listed(&site, "SHOW TIMESERIES");
        assert_eq!(series.len(), points.len(), "seed {seed}: {series:?}");
        n_quoted += series.iter().filter(|it| it.contains('`')).count();
        let mut found = BTreeSet::new();
        for printed in &series {
            assert_eq!(
                listed(&site, &format!("SHOW TIMESERIES {printed}")),
                core::slice::from_ref(printed)
            );
            let (device, measurement) = cut(printed);
            assert_eq!(
                listed(&site, &format!("SHOW DEVICES {device}")),
                core::slice::from_ref(&device)
            );
            for statement in [
                format!("SELECT {measurement} FROM {device}"),
                format!("SELECT {measurement} FROM {device} WHERE {measurement} >= 0"),
                format!("SELECT {measurement} FROM {device} WHERE {printed} IS NOT NULL"),
            ] {
                let kept = site.kept(&statement);
                assert_eq!(kept.head.columns[0].name, *printed);
                let times: Vec<i64> = kept.rows.iter().map(|(time, _)| *time).collect();
                let own = points.iter().find(|(_, own)| **own == times);
                let (kept, _) =
                    own.unwrap_or_else(|| panic!("seed {seed}: {statement}: {times:?}"));
                found.insert(kept.clone());
            }
            let by_device =
                site.kept(&format!("SELECT {measurement} FROM {device} ALIGN BY DEVICE"));
            assert!(!by_device.rows.is_empty(), "{printed}");
            assert_eq!(text(&by_device.rows[0].1[0]), device);
            assert_eq!(
                listed(&site, &format!("SELECT LAST {measurement} FROM {device}")),
                core::slice::from_ref(printed)
            );
        }
        assert_eq!(found.len(), points.len(), "each name means another series");
    }
    assert!(n_quoted > 200, "{n_quoted} names needed backticks");
}

#[test]
fn names_are_printed_in_backticks_where_iotdb_keeps_them_so() {
    let mut site = Site::new();
    for (device, measurement) in [
        ("root.sg.`a.b`", "s"),
        ("root.sg.a-b", "s"),
        ("root.sg.d", "x.y"),
        ("root.sg.d", "`it``s`"),
        ("root.sg.d", "`s9`"),
        ("root.sg.d", "7"),
        // IoTDB prints these bare, but takes them in backticks only
        ("root.sg.d", "time"),
    ] {
        let values = vec![Some(Value::Int64(1))];
        site.insert(device, false, &[1], &[(measurement, DataType::Int64, values)]);
    }
    let expected = [
        "root.sg.`a-b`.s",
        "root.sg.`a.b`.s",
        "root.sg.d.`7`",
        "root.sg.d.`it``s`",
        "root.sg.d.`time`",
        "root.sg.d.`x.y`",
        "root.sg.d.s9",
    ];
    let mut series = listed(&site, "SHOW TIMESERIES");
    series.sort_unstable();
    assert_eq!(series, expected);
    let devices = ["root.sg.`a-b`", "root.sg.`a.b`", "root.sg.d"];
    assert_eq!(listed(&site, "SHOW DEVICES"), devices);
    let kept = site.kept("SELECT count(`x.y`), last_value(s9) FROM root.sg.d");
    let names: Vec<&str> = kept.head.columns.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["count(root.sg.d.`x.y`)", "last_value(root.sg.d.s9)"]);
    // a wildcard goes by what is inside the backticks no more than in IoTDB
    assert_eq!(listed(&site, "SHOW TIMESERIES root.sg.d.t*"), ["root.sg.d.`time`"]);
    assert_eq!(listed(&site, "SHOW TIMESERIES root.sg.a*.*"), Vec::<String>::new());
}

#[test]
fn two_series_that_sql_cannot_tell_apart_are_not_mixed() {
    for (one, other) in [
        (("root.sg.d", "a.b"), ("root.sg.d", "`a.b`")),
        (("root.sg.a-b", "s"), ("root.sg.`a-b`", "s")),
    ] {
        let mut site = Site::new();
        for (device, measurement) in [one, other] {
            let values = vec![Some(Value::Int64(1))];
            site.insert(device, false, &[1], &[(measurement, DataType::Int64, values)]);
        }
        let printed = listed(&site, "SHOW TIMESERIES");
        assert_eq!(printed.len(), 2);
        assert_eq!(printed[0], printed[1]);
        let (device, measurement) = cut(&printed[0]);
        let statement = format!("SELECT {measurement} FROM {device}");
        let error = site.ask(&statement, &mut Kept::default()).unwrap_err().to_string();
        for (device, measurement) in [one, other] {
            assert!(error.contains(&format!("{device}.{measurement}")), "{error}");
        }
        assert!(error.contains("export them"), "{error}");
    }
}

#[test]
fn words_of_the_grammar_can_be_asked_as_they_are_printed() {
    let words = "align and as asc between by case cast contains count desc escape false fill from group \
                 having in into is last like limit nan not now null offset or order regexp root select \
                 show slimit soffset sum time timeseries timestamp true where with X 1d";
    for word in words.split_whitespace() {
        let mut site = Site::new();
        let values = |number| vec![Some(Value::Int64(number))];
        let device = format!("root.{word}.d");
        site.insert(&device, false, &[1], &[(word, DataType::Int64, values(7))]);
        site.insert("root.a.d", false, &[1], &[("s", DataType::Int64, values(8))]);
        let series = listed(&site, "SHOW TIMESERIES");
        let printed = series.iter().find(|it| *it != "root.a.d.s").unwrap();
        let (device, measurement) = cut(printed);
        for statement in [
            format!("SELECT {measurement} FROM {device}"),
            format!("SELECT {measurement} FROM {device} WHERE {measurement} > 5"),
            format!(
                "SELECT {measurement} FROM {device} WHERE {measurement} IS NOT NULL AND {printed} = 7"
            ),
            format!("SELECT last_value({measurement}) FROM {device}"),
            format!("SELECT {measurement}, {measurement} FROM {device} ALIGN BY DEVICE"),
        ] {
            let cells = &site.kept(&statement).rows[0].1;
            assert_eq!(cells.last(), Some(&Some(Value::Int64(7))), "{statement}");
        }
        assert_eq!(site.kept(&format!("SELECT LAST {measurement} FROM {device}")).rows.len(), 1);
    }
}
