//! Tags of tables are told apart by their names, in whatever order they come.

mod support;

use std::collections::BTreeMap;

use tidegate_codec::Writer;
use tidegate_durable::FileName;
use tidegate_durable::Storage;
use tidegate_durable::sim::SimStorage;
use tidegate_model::Category;
use tidegate_model::DataType;
use tidegate_model::Tablet;
use tidegate_model::Value;
use tidegate_store::Applied;
use tidegate_store::Options;
use tidegate_store::Pattern;
use tidegate_store::ReceivedFile;
use tidegate_store::Store;
use tidegate_tsfile::Batch;
use tidegate_tsfile::Compression;
use tidegate_tsfile::DeviceId;
use tidegate_tsfile::Encoding;
use tidegate_tsfile::Segments;
use tidegate_tsfile::SeriesSpec;
use tidegate_tsfile::TableColumn;
use tidegate_tsfile::TableSchema;
use tidegate_tsfile::TsFileVersion;
use tidegate_tsfile::TsFileWriter;
use tidegate_tsfile::WriteOptions;

use support::SimVolume;
use support::column;
use support::give;
use support::held;
use support::ints;
use support::tablet_request;

/// Devices with the times at which they have a row.
type Rows = BTreeMap<String, Vec<i64>>;

fn open(volume: &SimVolume) -> Store<SimVolume> {
    let mut options = Options::default();
    options.merge_files_min = 2;
    let mut store = Store::open(volume.clone(), options, 1).unwrap();
    store.begin_spool([1; 16]).unwrap();
    store
}

fn catalog(volume: &SimVolume) -> FileName {
    let names = volume.disk.list().unwrap();
    names.into_iter().find(|name| name.as_str().ends_with("_catalog")).unwrap()
}

/// A row of the table `works.pumps`; its value is its time.
fn row(tags: &[(&str, Option<&str>)], time: i64) -> Vec<u8> {
    let tag = |(name, value): &(&str, Option<&str>)| {
        let value = value.map(|it| Value::Bytes(it.as_bytes().to_vec()));
        let mut tag = column(name, DataType::String, vec![value]);
        tag.category = Category::Tag;
        tag
    };
    let mut columns: Vec<_> = tags.iter().map(tag).collect();
    columns.insert(columns.len() / 2, ints("v", &[time as i32]));
    tablet_request(&Tablet {
        database: Some("works".to_owned()),
        device: "pumps".to_owned(),
        aligned: true,
        times: vec![time],
        columns,
    })
}

/// A file of the table `pumps` with one row; without tags in its schema where they are `None`.
fn file_of(tags: Option<&[&str]>, values: &[&str], time: i64) -> Vec<u8> {
    let options = WriteOptions::of_version(TsFileVersion::V4);
    let mut writer = TsFileWriter::new(Vec::new(), options).unwrap();
    let column = |name: &str, data_type, category| TableColumn {
        name: name.into(),
        data_type,
        encoding: Encoding::Plain,
        compression: Compression::Uncompressed,
        category,
    };
    let tags = tags.unwrap_or_default().iter();
    let mut columns: Vec<_> =
        tags.map(|name| column(name, DataType::String, Category::Tag)).collect();
    columns.push(column("v", DataType::Int32, Category::Field));
    writer.declare_table(TableSchema { name: "pumps".into(), columns }).unwrap();
    let segments = ["pumps"].iter().chain(values).map(|it| Some(Box::from(*it))).collect();
    let segments = Segments(segments);
    let id = DeviceId { path: segments.to_string().into(), segments: Some(segments) };
    writer.begin_aligned(&id, &[SeriesSpec::new("v", DataType::Int32)]).unwrap();
    let mut batch = Batch::new([DataType::Int32]);
    batch.times.push(time);
    batch.columns[0].presence.push(true);
    assert!(batch.columns[0].values.push(&Value::Int32(time as i32)));
    writer.write(&batch).unwrap();
    writer.finish().unwrap().out
}

fn give_file(
    store: &mut Store<SimVolume>,
    volume: &SimVolume,
    sequence: u64,
    bytes: &[u8],
) -> Applied {
    let path = volume.stage("staged.tsfile", bytes.to_vec());
    let file = ReceivedFile { ts_file: &path, mods: None, database: Some("works") };
    store.apply_file(sequence, 5, &file).unwrap()
}

/// Plan 2003: a deletion of all rows with this value in this segment, or of all rows.
fn deletion(segment: Option<(&str, i32)>) -> Vec<u8> {
    let mut request = vec![1, 0, 100];
    let mut writer = Writer::new(&mut request);
    writer.i16(2003);
    writer.var(1);
    writer.u8(0);
    writer.i64(i64::MIN);
    writer.i64(i64::MAX);
    writer.vstr(Some("pumps"));
    match segment {
        Some((value, index)) => {
            writer.u8(2);
            writer.vstr(Some(value));
            writer.var(index);
        }
        None => writer.u8(0),
    }
    writer.var(0);
    writer.vstr(Some("works"));
    writer.str("");
    writer.i32(0);
    request
}

fn devices(store: &Store<SimVolume>) -> Rows {
    let works = Pattern::Table { database: "works".into(), table: None };
    let all = held(&store.snapshot(), &[works], (i64::MIN, i64::MAX));
    let mut found = Rows::new();
    for ((device, _), cells) in all {
        found.insert(device.to_string(), cells.keys().copied().collect());
    }
    found
}

fn rows(all: &[(&str, &[i64])]) -> Rows {
    all.iter().map(|(device, times)| ((*device).to_owned(), times.to_vec())).collect()
}

const SITE_AND_DEV: [(&str, Option<&str>); 2] = [("site", Some("north")), ("dev", Some("p1"))];
const DEV_AND_SITE: [(&str, Option<&str>); 2] = [("dev", Some("p1")), ("site", Some("north"))];

#[test]
fn rows_are_of_the_device_that_their_tags_name_whatever_their_order_and_whichever_are_missing() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = open(&volume);
    give(&mut store, 1, &row(&SITE_AND_DEV, 1));
    give(&mut store, 2, &row(&DEV_AND_SITE, 2));
    give(&mut store, 3, &row(&[("dev", Some("p1"))], 3));
    give(&mut store, 4, &row(&[("line", Some("a")), ("site", Some("north"))], 4));
    give(&mut store, 5, &row(&[("line", None), ("dev", Some("p1")), ("site", Some("north"))], 5));
    let expected = rows(&[
        ("works.pumps.north.p1", &[1, 2, 5]),
        ("works.pumps.null.p1", &[3]),
        ("works.pumps.north.null.a", &[4]),
    ]);
    assert_eq!(devices(&store), expected);
    store.flush().unwrap();
    give(&mut store, 6, &row(&DEV_AND_SITE, 6));
    store.flush().unwrap();
    while store.merge_once().unwrap() {}
    drop(store);
    let mut store = open(&volume);
    give(&mut store, 7, &row(&DEV_AND_SITE, 7));
    let mut expected = expected;
    expected.insert("works.pumps.north.p1".to_owned(), vec![1, 2, 5, 6, 7]);
    assert_eq!(devices(&store), expected);
}

#[test]
fn rows_with_a_tag_that_comes_twice_are_left_out_and_said_so() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = open(&volume);
    let request = row(&[("dev", Some("p1")), ("dev", Some("p2"))], 1);
    let applied = store.apply_request(1, 5, &request).unwrap();
    assert_eq!(applied.left_out, ["rows of table pumps: a tag comes twice"]);
    assert_eq!(devices(&store), Rows::new());
}

#[test]
fn a_file_whose_tags_are_in_another_order_is_refused_and_both_orders_are_told() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = open(&volume);
    give(&mut store, 1, &row(&SITE_AND_DEV, 1));
    let (dev_first, site_first) = (["dev", "site"], ["site", "dev", "line"]);
    for (sequence, tags, values) in [
        (2, Some(&dev_first[..]), ["p1", "north"]),
        (3, Some(&dev_first[..1]), ["p1", "north"]),
        (4, None, ["north", "p1"]),
    ] {
        let applied = give_file(&mut store, &volume, sequence, &file_of(tags, &values, 2));
        assert!(applied.is_refused, "{sequence}");
        let found = &applied.left_out[0];
        assert!(found.contains("works.pumps: expected tags (site, dev)"), "{found}");
        let names = ["dev, site", "dev, tag1", "tag0, tag1"][sequence as usize - 2];
        assert!(found.ends_with(&format!("found ({names})")), "{found}");
    }
    let longer = file_of(Some(&site_first), &["north", "p1"], 3);
    assert!(!give_file(&mut store, &volume, 5, &longer).is_refused);
    let shorter = file_of(Some(&site_first[..1]), &["north"], 4);
    assert!(!give_file(&mut store, &volume, 6, &shorter).is_refused);
    give(&mut store, 7, &row(&[("line", Some("a"))], 7));
    let expected = rows(&[
        ("works.pumps.north", &[4]),
        ("works.pumps.north.p1", &[1, 3]),
        ("works.pumps.null.null.a", &[7]),
    ]);
    assert_eq!(devices(&store), expected);
}

#[test]
fn tags_that_a_file_does_not_name_are_not_called_as_those_of_rows_that_come_later() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = open(&volume);
    let applied = give_file(&mut store, &volume, 1, &file_of(None, &["north", "p1"], 1));
    assert!(!applied.is_refused, "{applied:?}");
    give(&mut store, 2, &row(&DEV_AND_SITE, 2));
    let expected =
        rows(&[("works.pumps.north.p1", &[1]), ("works.pumps.null.null.p1.north", &[2])]);
    assert_eq!(devices(&store), expected);
}

/// A deletion tells places of tags and not their names: in a table that was made anew they may be those
/// of others.
#[test]
fn a_deletion_by_tags_is_left_out_and_said_so_once_tags_came_in_several_orders() {
    for is_file in [false, true] {
        let volume = SimVolume::new(SimStorage::new());
        let mut store = open(&volume);
        give(&mut store, 1, &row(&SITE_AND_DEV, 1));
        give(&mut store, 2, &row(&[("site", Some("south")), ("dev", Some("p1"))], 2));
        // as long as there is one order it is the one of deletions
        give(&mut store, 3, &deletion(Some(("south", 1))));
        assert_eq!(devices(&store), rows(&[("works.pumps.north.p1", &[1])]), "{is_file}");
        if is_file {
            let file = file_of(Some(&["dev", "site"]), &["p1", "north"], 2);
            assert!(give_file(&mut store, &volume, 4, &file).is_refused);
        } else {
            give(&mut store, 4, &row(&DEV_AND_SITE, 1));
        }
        store.flush().unwrap();
        for sequence in [5, 6] {
            let applied = store.apply_request(sequence, 5, &deletion(Some(("north", 1)))).unwrap();
            let told = "deletion of table pumps, all columns";
            assert!(applied.left_out[0].starts_with(told), "{applied:?}");
            drop(store);
            store = open(&volume);
        }
        assert_eq!(devices(&store), rows(&[("works.pumps.north.p1", &[1])]), "{is_file}");
        give(&mut store, 7, &deletion(None));
        assert_eq!(devices(&store), Rows::new(), "{is_file}");
    }
}

/// Whatever of a catalog is lost: the rows that come next name no tag of the files that are there.
#[test]
fn a_store_whose_catalog_is_damaged_at_any_byte_has_the_names_of_tags_from_its_files() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = open(&volume);
    give(&mut store, 1, &row(&SITE_AND_DEV, 1));
    store.flush().unwrap();
    drop(store);
    let name = catalog(&volume);
    let sound = volume.disk.content(&name).unwrap();
    for at in (0..sound.len()).step_by(5) {
        let mut damaged = sound.clone();
        damaged[at] ^= 0x55;
        let volume = volume.on(volume.disk.restarted());
        volume.disk.set_content(&name, damaged);
        let mut store = open(&volume);
        give(&mut store, 2, &row(&DEV_AND_SITE, 2));
        assert_eq!(devices(&store), rows(&[("works.pumps.north.p1", &[1, 2])]), "byte {at}");
    }
}
