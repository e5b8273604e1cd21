//! Tags of tables that come in another order than before: what arrives is told apart by their names.

mod common;
#[path = "../../common/store/tests/support/mod.rs"]
mod support;

use tidegate_model::Category;
use tidegate_model::DataType;
use tidegate_model::Tablet;
use tidegate_model::Value;
use tidegate_store::Device;
use tidegate_tsfile::Batch;
use tidegate_tsfile::Compression;
use tidegate_tsfile::Encoding;
use tidegate_tsfile::SeriesSpec;
use tidegate_tsfile::TableColumn;
use tidegate_tsfile::TableSchema;
use tidegate_tsfile::TsFileVersion;
use tidegate_tsfile::TsFileWriter;
use tidegate_tsfile::WriteOptions;

use common::OK;
use common::Site;
use common::framed;
use common::handshake;
use support::column;
use support::ints;
use support::tablet_request;

/// A row of the table `pumps` as a tablet; its value is its time.
fn tablet(tags: &[(&str, &str)], time: i64) -> Vec<u8> {
    let tag = |(name, value): &(&str, &str)| {
        let value = Some(Value::Bytes(value.as_bytes().to_vec()));
        let mut tag = column(name, DataType::String, vec![value]);
        tag.category = Category::Tag;
        tag
    };
    framed(&tablet_request(&Tablet {
        // that of files whose sender names none
        database: Some("unnamed".to_owned()),
        device: "pumps".to_owned(),
        aligned: true,
        times: vec![time],
        columns: tags.iter().map(tag).chain([ints("v", &[time as i32])]).collect(),
    }))
}

/// A row of the table `pumps` as a file.
fn file(tags: &[(&str, &str)], time: i64) -> Vec<u8> {
    let options = WriteOptions::of_version(TsFileVersion::V4);
    let mut writer = TsFileWriter::new(Vec::new(), options).unwrap();
    let column = |name: &str, data_type, category| TableColumn {
        name: name.into(),
        data_type,
        encoding: Encoding::Plain,
        compression: Compression::Uncompressed,
        category,
    };
    let mut columns: Vec<_> =
        tags.iter().map(|(name, _)| column(name, DataType::String, Category::Tag)).collect();
    columns.push(column("v", DataType::Int32, Category::Field));
    writer.declare_table(TableSchema { name: "pumps".into(), columns }).unwrap();
    let values = tags.iter().map(|(_, value)| Some(Box::from(*value)));
    let segments = [Some(Box::from("pumps"))].into_iter().chain(values).collect();
    let id = Device::table("unnamed", segments).id(TsFileVersion::V4);
    writer.begin_aligned(&id, &[SeriesSpec::new("v", DataType::Int32)]).unwrap();
    let mut batch = Batch::new([DataType::Int32]);
    batch.times.push(time);
    batch.columns[0].presence.push(true);
    assert!(batch.columns[0].values.push(&Value::Int32(time as i32)));
    writer.write(&batch).unwrap();
    writer.finish().unwrap().out
}

const OF_PUMPS: [&str; 10] = [
    "--format",
    "csv",
    "--time",
    "epoch",
    "--database",
    "unnamed",
    "--table",
    "pumps",
    "--out",
    "-",
];

/// An export ends with 0 and has these lines.
fn expect(site: &Site, expected: &[&str]) {
    let output = site.output("export", &OF_PUMPS);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let csv = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<&str> = csv.lines().collect();
    lines[1..].sort_unstable();
    assert_eq!(lines, expected);
}

#[test]
fn rows_of_a_table_that_was_made_anew_are_exported_under_the_names_that_came_with_them() {
    let site = Site::new(&[("receiver_target", "store")]);
    let daemon = site.start();
    let mut peer = daemon.greeted_as(&handshake(&[("clusterID", "A")]));
    let dev_first = [("dev", "p1"), ("site", "north")];
    assert_eq!(peer.ask(&tablet(&[("site", "north"), ("dev", "p1")], 1)), Some(OK));
    assert_eq!(peer.ask(&tablet(&dev_first, 2)), Some(OK));
    assert_eq!(peer.ask(&tablet(&dev_first[..1], 3)), Some(OK));
    let refused = file(&dev_first, 4);
    assert_eq!(peer.file("1700000000001-1-0-0.tsfile", &refused, 1000), Some(OK));
    daemon.wait_status(|it| it["keeper"]["n_gaps"] == 1);
    assert_eq!(site.unclaimed(), [refused]);
    let gaps = daemon.gaps();
    let told = gaps[0].to_string();
    let names = "unnamed.pumps: expected tags (site, dev)";
    assert!(told.contains(names) && told.contains("found (dev, site)"), "{told}");
    let lines = ["Time,site,dev,v", "1,north,p1,1", "2,north,p1,2", "3,,p1,3"];
    expect(&site, &lines);
    daemon.terminate();
    expect(&site, &lines);
}
