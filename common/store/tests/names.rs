//! Whose rows those of a file are: devices that files name in different ways, and tables of no
//! database.

mod support;

use std::collections::BTreeMap;

use tidegate_durable::FileName;
use tidegate_durable::Storage;
use tidegate_durable::StorageFile;
use tidegate_durable::sim::SimStorage;
use tidegate_model::Category;
use tidegate_model::DataType;
use tidegate_model::Value;
use tidegate_store::Device;
use tidegate_store::LayerKind;
use tidegate_store::Options;
use tidegate_store::Pattern;
use tidegate_store::ReceivedFile;
use tidegate_store::Store;
use tidegate_store::Volume;
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
use support::delete_request;
use support::everything;
use support::held;

fn store(volume: &SimVolume) -> Store<SimVolume> {
    let mut options = Options::default();
    options.merge_files_min = 2;
    let mut store = Store::open(volume.clone(), options, 1).unwrap();
    store.begin_spool([1; 16]).unwrap();
    store
}

fn v3(path: &str) -> DeviceId {
    DeviceId { path: path.into(), segments: None }
}

fn v4(segments: &[&str]) -> DeviceId {
    let all = segments.iter().map(|it| Some(Box::from(*it))).collect();
    DeviceId { path: segments.join(".").into(), segments: Some(Segments(all)) }
}

/// A file with one number at one time of each of some devices, in this order.
fn file_of(devices: &[(&DeviceId, i64, i32)]) -> Vec<u8> {
    let is_v4 = devices.iter().any(|(id, ..)| id.segments.is_some());
    let version = if is_v4 { TsFileVersion::V4 } else { TsFileVersion::V3 };
    let mut writer = TsFileWriter::new(Vec::new(), WriteOptions::of_version(version)).unwrap();
    let is_table = |id: &DeviceId| is_v4 && !id.path.starts_with("root");
    if let Some((id, ..)) = devices.iter().find(|(id, ..)| is_table(id)) {
        let column = |name: &str, data_type, category| TableColumn {
            name: name.into(),
            data_type,
            encoding: Encoding::Plain,
            compression: Compression::Uncompressed,
            category,
        };
        let name = id.segments.as_ref().unwrap().0[0].clone().unwrap();
        let tag = column("line", DataType::String, Category::Tag);
        let columns = vec![tag, column("s", DataType::Int32, Category::Field)];
        writer.declare_table(TableSchema { name, columns }).unwrap();
    }
    for (id, time, value) in devices {
        let spec = SeriesSpec::new("s", DataType::Int32);
        match is_table(id) {
            true => writer.begin_aligned(id, &[spec]).unwrap(),
            false => writer.begin_series(id, &spec).unwrap(),
        }
        let mut batch = Batch::new([DataType::Int32]);
        batch.times.push(*time);
        batch.columns[0].presence.push(true);
        assert!(batch.columns[0].values.push(&Value::Int32(*value)));
        writer.write(&batch).unwrap();
    }
    writer.finish().unwrap().out
}

fn give(
    store: &mut Store<SimVolume>,
    volume: &SimVolume,
    (sequence, database): (u64, Option<&str>),
    bytes: Vec<u8>,
) {
    let path = volume.stage("staged.tsfile", bytes);
    let file = ReceivedFile { ts_file: &path, mods: None, database };
    let applied = store.apply_file(sequence, 5, &file).unwrap();
    assert_eq!((applied.left_out, applied.is_refused), (Vec::new(), false));
}

/// All points, device by device.
fn points(store: &Store<SimVolume>) -> Vec<(String, Vec<(i64, Value)>)> {
    let mut patterns = everything();
    patterns.push(Pattern::Table { database: "unnamed".into(), table: None });
    let all = held(&store.snapshot(), &patterns, (i64::MIN, i64::MAX));
    let points = |it: BTreeMap<i64, Value>| it.into_iter().collect();
    all.into_iter().map(|((device, _), it)| (device.to_string(), points(it))).collect()
}

fn one_device(name: &str, numbers: &[(i64, i32)]) -> Vec<(String, Vec<(i64, Value)>)> {
    let points = numbers.iter().map(|(time, value)| (*time, Value::Int32(*value))).collect();
    vec![(name.to_owned(), points)]
}

/// Segments may be cut in other places than ours are. Rows of such a device were not found by its
/// path, and those of others could not be merged past them.
#[test]
fn a_device_whose_path_files_cut_in_different_places_is_one_device() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    let odd = v4(&["root", "a", "b", "d"]);
    let usual = v4(&["root.a.b", "d"]);
    give(&mut store, &volume, (1, None), file_of(&[(&v3("root.a.b.d"), 1, 10)]));
    give(&mut store, &volume, (2, None), file_of(&[(&odd, 1, 11)]));
    give(&mut store, &volume, (3, None), file_of(&[(&v3("root.a.b.d"), 2, 20)]));
    // both of them in one file
    give(&mut store, &volume, (4, None), file_of(&[(&odd, 3, 30), (&usual, 4, 40)]));
    let expected = one_device("root.a.b.d", &[(1, 11), (2, 20), (3, 30), (4, 40)]);
    assert_eq!(points(&store), expected);
    drop(store);
    let mut store = self::store(&volume);
    assert_eq!(points(&store), expected, "by what stands beside the files");
    assert!(store.apply_request(5, 5, &delete_request("root.a.b.d.s", 2, 3)).is_ok());
    let expected = one_device("root.a.b.d", &[(1, 11), (4, 40)]);
    assert_eq!(points(&store), expected);
    while store.merge_once().unwrap() {}
    assert_eq!(store.layers().map(|it| it.kind).collect::<Vec<_>>(), [LayerKind::Merged]);
    assert_eq!((points(&store), store.n_unmergeable()), (expected, 0));
}

/// A merge reads devices by their names, and removes the files that it has read.
#[test]
fn a_layer_with_a_device_that_is_not_found_is_not_merged_away() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    for sequence in 1..=3 {
        let id = v3("root.a.b.d");
        give(&mut store, &volume, (sequence, None), file_of(&[(&id, sequence as i64, 7)]));
    }
    let middle = store.layers().nth(1).unwrap().clone();
    drop(store);
    // in its index the name is another one
    let name = volume.disk_name(&middle.path());
    let mut bytes = volume.disk.content(&name).unwrap();
    let at = bytes.windows(10).rposition(|it| it == b"root.a.b.d").unwrap();
    bytes[at + 9] = b'c';
    volume.disk.set_content(&name, bytes);
    let mut store = self::store(&volume);
    while store.merge_once().unwrap() {}
    assert_eq!((store.layers().count(), store.n_unmergeable()), (3, 1));
}

/// Senders name the database of a file of the table model, but not all of them do, and its devices
/// became ones of the tree model.
#[test]
fn a_table_whose_sender_names_no_database_is_a_table_all_the_same() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    let id = v4(&["pumps", "a"]);
    for sequence in [1, 2] {
        give(&mut store, &volume, (sequence, None), file_of(&[(&id, sequence as i64, 7)]));
    }
    let expected = one_device("unnamed.pumps.a", &[(1, 7), (2, 7)]);
    assert_eq!(points(&store), expected);
    let layers: Vec<_> = store.layers().map(|it| it.database.as_deref()).collect();
    assert_eq!(layers, [Some("unnamed"); 2]);
    while store.merge_once().unwrap() {}
    assert_eq!(store.layers().count(), 1);
    drop(store);
    let store = self::store(&volume);
    assert_eq!(points(&store), expected);
    let found = store
        .snapshot()
        .devices(&[Pattern::Table { database: "unnamed".into(), table: Some("pumps".into()) }]);
    assert_eq!(found, [Device::table("unnamed", vec![Some("pumps".into()), Some("a".into())])]);
    assert_eq!(tags_of_the_only_file(&store, &volume), ["line"]);
}

/// Names of the tags in the schema of the only file.
fn tags_of_the_only_file(store: &Store<SimVolume>, volume: &SimVolume) -> Vec<String> {
    let layer = store.layers().next().unwrap();
    let dir = volume.dir(&layer.directory()).unwrap();
    let file = dir.open(&FileName::new(layer.name()).unwrap()).unwrap();
    let mut bytes = vec![0; file.len_bytes().unwrap() as usize];
    file.read_full(&mut bytes, 0).unwrap();
    let file = tidegate_tsfile::TsFile::open(bytes).unwrap();
    let columns = file.tables().iter().flat_map(|table| &table.columns);
    let tags = columns.filter(|column| column.category == Category::Tag);
    tags.map(|column| column.name.to_string()).collect()
}

/// A sender of 2.0 names the database of a file of the tree model, too.
#[test]
fn what_a_sender_calls_the_database_of_a_tree_is_none_of_tables() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    let id = v4(&["root.a.b", "d"]);
    for (sequence, database) in [(1, Some("root.a")), (2, Some("a")), (3, None)] {
        give(&mut store, &volume, (sequence, database), file_of(&[(&id, sequence as i64, 7)]));
    }
    assert_eq!(points(&store), one_device("root.a.b.d", &[(1, 7), (2, 7), (3, 7)]));
    assert!(store.apply_request(4, 5, &delete_request("root.a.b.d.s", 2, 2)).is_ok());
    assert_eq!(points(&store), one_device("root.a.b.d", &[(1, 7), (3, 7)]));
    while store.merge_once().unwrap() {}
    assert_eq!(store.layers().count(), 1);
    assert_eq!(points(&store), one_device("root.a.b.d", &[(1, 7), (3, 7)]));
}

/// In a file of version 4 such a device is one of a table, so a merge must not write it to one.
#[test]
fn a_device_of_a_file_of_version_3_that_does_not_begin_with_root_stays_of_the_tree_model() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    let others = [v4(&["root.a.b", "d"]), v4(&["root.c.d", "e"])];
    let first = file_of(&[(&v3("d1"), 1, 10), (&v3("root.a.b.d"), 1, 11)]);
    give(&mut store, &volume, (1, None), first);
    let second = file_of(&[(&others[0], 2, 20), (&others[1], 2, 21)]);
    give(&mut store, &volume, (2, None), second);
    while store.merge_once().unwrap() {}
    let patterns = [Pattern::Tree("**".into())];
    let found = held(&store.snapshot(), &patterns, (i64::MIN, i64::MAX));
    let devices: Vec<_> = found.keys().map(|(device, _)| device.to_string()).collect();
    assert_eq!(devices, ["d1", "root.a.b.d", "root.c.d.e"]);
    assert!(found.keys().all(|(device, _)| device.database().is_none()));
}
