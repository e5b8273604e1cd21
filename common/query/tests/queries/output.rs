//! What is written: tables, csv and json.

use tidegate_model::Precision;
use tidegate_query::Sink;
use tidegate_query::output::Csv;
use tidegate_query::output::Json;
use tidegate_query::output::Table;
use tidegate_query::text::Text;
use tidegate_sql::time::UtcOffset;

use crate::site::Site;
use crate::site::small;

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

/// Of two columns of one name readers of json keep one, and do not say so.
#[test]
fn every_column_of_json_has_a_key_of_its_own() {
    let keys = |text: &str| -> Vec<String> {
        let mut out = Vec::new();
        written(&small(), text, |out, text| Box::new(Json::new(out, text)), &mut out);
        let line = String::from_utf8(out).unwrap();
        let line = line.lines().next().unwrap();
        let parsed: serde_json::Value = serde_json::from_str(line).unwrap();
        let mut keys: Vec<(usize, String)> = parsed
            .as_object()
            .unwrap()
            .keys()
            .map(|key| (line.find(&format!("\"{key}\":")).unwrap(), key.clone()))
            .collect();
        keys.sort();
        keys.into_iter().map(|(_, key)| key).collect()
    };
    assert_eq!(
        keys("SELECT s, s, s FROM root.p.d1"),
        ["Time", "root.p.d1.s", "root.p.d1.s (2)", "root.p.d1.s (3)"]
    );
    // a name that somebody has chosen stays his
    assert_eq!(
        keys("SELECT s AS x, s AS x, s AS 'x (2)', s AS Time FROM root.p.d1"),
        ["Time", "x", "x (3)", "x (2)", "Time (2)"]
    );
    assert_eq!(
        keys("SELECT count(s), count(s), sum(s) AS Device FROM root.p.d1 ALIGN BY DEVICE"),
        ["Device", "count(s)", "count(s) (2)", "Device (2)"]
    );
    // without times nothing else is called so
    assert_eq!(keys("SELECT count(s) AS Time FROM root.p.d1"), ["Time"]);
}
