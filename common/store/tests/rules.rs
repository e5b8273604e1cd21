//! Single rules of a store, one by one.

mod support;

use std::collections::BTreeMap;
use std::fs;

use tidegate_codec::Writer;
use tidegate_durable::Storage;
use tidegate_durable::sim::SimFault;
use tidegate_durable::sim::SimStorage;
use tidegate_model::Category;
use tidegate_model::Column;
use tidegate_model::DataType;
use tidegate_model::Precision;
use tidegate_model::Tablet;
use tidegate_model::Value;
use tidegate_store::Device;
use tidegate_store::DirVolume;
use tidegate_store::LayerKind;
use tidegate_store::Options;
use tidegate_store::Pattern;
use tidegate_store::ReceivedFile;
use tidegate_store::Scan;
use tidegate_store::Store;
use tidegate_store::StoreError;
use tidegate_tsfile::Batch;
use tidegate_tsfile::Compression;
use tidegate_tsfile::DeviceId;
use tidegate_tsfile::Encoding;
use tidegate_tsfile::RESOURCE_SUFFIX;
use tidegate_tsfile::Resource;
use tidegate_tsfile::SeriesSpec;
use tidegate_tsfile::TsFileVersion;
use tidegate_tsfile::TsFileWriter;
use tidegate_tsfile::WriteOptions;

use support::SimVolume;
use support::column;
use support::delete_request;
use support::everything;
use support::give;
use support::held;
use support::ints;
use support::rows;
use support::series;
use support::store;
use support::tablet_request;

#[test]
fn a_series_whose_type_widens_shows_old_values_as_new_ones_and_one_that_changes_names_what_it_hides()
 {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    give(&mut store, 1, &rows("root.a.d", vec![1, 2], vec![ints("s", &[10, 20])]));
    let doubles = column("s", DataType::Double, vec![Some(Value::Double(2.5))]);
    give(&mut store, 2, &rows("root.a.d", vec![2], vec![doubles]));
    let expected = BTreeMap::from([(1, Value::Double(10.0)), (2, Value::Double(2.5))]);
    assert_eq!(series(&store, "root.a.d", "s"), expected);
    let texts = column("s", DataType::Text, vec![Some(Value::Bytes(b"on".to_vec()))]);
    give(&mut store, 3, &rows("root.a.d", vec![9], vec![texts]));
    store.flush().unwrap();
    while store.merge_once().unwrap() {}
    assert_eq!(
        series(&store, "root.a.d", "s"),
        BTreeMap::from([(9, Value::Bytes(b"on".to_vec()))])
    );
    let scan = Scan { patterns: everything(), measurements: None, times: i64::MIN..=i64::MAX };
    let snapshot = store.snapshot();
    let opened = snapshot.device(&Device::tree("root.a.d"), &scan).unwrap();
    let hidden: Vec<_> = opened.hidden().iter().map(|it| (it.data_type, it.n_points)).collect();
    assert_eq!(hidden, [(DataType::Int32, 2), (DataType::Double, 1)]);
    assert_eq!(store.layers().count(), 3, "none of them was merged away");
    // once the texts are deleted the numbers are there again
    give(&mut store, 4, &delete_request("root.a.d.s", 9, 9));
    assert_eq!(series(&store, "root.a.d", "s"), expected);
}

#[test]
fn a_deletion_of_a_table_means_its_database_and_the_tags_that_it_names() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    let text = |text: &str| Some(Value::Bytes(text.as_bytes().to_vec()));
    for (sequence, database) in [(1, "plant"), (2, "other")] {
        let mut tag = column("line", DataType::String, vec![text("a"), text("b")]);
        tag.category = Category::Tag;
        let tablet = Tablet {
            database: Some(database.to_owned()),
            device: "pumps".to_owned(),
            aligned: true,
            times: vec![1, 1],
            columns: vec![tag, ints("s", &[1, 2]), ints("t", &[3, 4])],
        };
        give(&mut store, sequence, &tablet_request(&tablet));
    }
    store.flush().unwrap();
    // plan 2003: one entry, table, segment 1 is b, column s
    let mut request = vec![1, 0, 100];
    let mut writer = Writer::new(&mut request);
    writer.i16(2003);
    writer.var(1);
    writer.u8(0);
    writer.i64(0);
    writer.i64(5);
    writer.vstr(Some("pumps"));
    writer.u8(2);
    writer.vstr(Some("b"));
    writer.var(1);
    writer.var(1);
    writer.vstr(Some("s"));
    writer.vstr(Some("plant"));
    writer.str("");
    writer.i32(0);
    give(&mut store, 3, &request);
    for merged in [false, true] {
        let patterns: Vec<Pattern> = ["plant", "other"]
            .map(|name| Pattern::Table { database: name.into(), table: Some("pumps".into()) })
            .into();
        let all = held(&store.snapshot(), &patterns, (i64::MIN, i64::MAX));
        let cells: Vec<String> =
            all.keys().map(|(device, name)| format!("{device}.{name}")).collect();
        let expected = [
            "other.pumps.a.s",
            "other.pumps.a.t",
            "other.pumps.b.s",
            "other.pumps.b.t",
            "plant.pumps.a.s",
            "plant.pumps.a.t",
            "plant.pumps.b.t",
        ];
        assert_eq!(cells, expected, "{merged}");
        let mut tag = column("line", DataType::String, vec![text("a")]);
        tag.category = Category::Tag;
        let tablet = Tablet {
            database: Some("plant".to_owned()),
            device: "pumps".to_owned(),
            aligned: true,
            times: vec![2],
            columns: vec![tag, ints("s", &[5])],
        };
        if !merged {
            give(&mut store, 4, &tablet_request(&tablet));
            store.flush().unwrap();
            assert!(store.merge_once().unwrap());
        }
    }
}

#[test]
fn a_snapshot_reads_on_while_its_files_are_merged_away() {
    let root = tempfile::tempdir().unwrap();
    let mut options = Options::default();
    options.merge_files_min = 2;
    let mut store = Store::open(DirVolume::new(root.path()), options, 1).unwrap();
    store.begin_spool([1; 16]).unwrap();
    for sequence in 1..5 {
        let request = rows("root.a.d", vec![sequence as i64], vec![ints("s", &[7])]);
        let _ = store.apply_request(sequence, 5, &request).unwrap();
        store.flush().unwrap();
    }
    let snapshot = store.snapshot();
    while store.merge_once().unwrap() {}
    assert_eq!(store.layers().map(|it| it.kind).collect::<Vec<_>>(), [LayerKind::Merged]);
    assert_eq!(held(&snapshot, &everything(), (0, 9)).values().next().unwrap().len(), 4);
    let files = || {
        let folder = root.path().join(store.layers().next().unwrap().directory());
        fs::read_dir(folder).unwrap().count()
    };
    assert_eq!(files(), 10);
    drop(snapshot);
    store.merge_once().unwrap();
    let files = || {
        let folder = root.path().join(store.layers().next().unwrap().directory());
        fs::read_dir(folder).unwrap().count()
    };
    assert_eq!(files(), 2, "the merged file and its .resource");
}

/// What a sender reads of a source.
#[test]
fn a_store_looks_like_a_data_directory_in_which_later_files_have_greater_versions() {
    let root = tempfile::tempdir().unwrap();
    let mut store = Store::open(DirVolume::new(root.path()), Options::default(), 1).unwrap();
    store.begin_spool([1; 16]).unwrap();
    store.set_precision(Precision::Ms).unwrap();
    for (sequence, time) in [(1, 5), (2, 5), (3, 700_000_000)] {
        let request = rows("root.a.d", vec![time], vec![ints("s", &[7])]);
        let _ = store.apply_request(sequence, 1_700_000_000_000, &request).unwrap();
        store.flush().unwrap();
    }
    let mut versions = Vec::new();
    for partition in ["0", "1"] {
        let folder = root.path().join("data/unsequence/root.a/1").join(partition);
        let mut names: Vec<String> = fs::read_dir(folder.clone())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        for name in names.iter().filter(|name| name.ends_with(".tsfile")) {
            let resource = fs::read(folder.join(format!("{name}{RESOURCE_SUFFIX}"))).unwrap();
            let resource = Resource::parse(&resource).unwrap();
            assert_eq!(resource.devices().next().unwrap().path, "root.a.d".into());
            let parts: Vec<&str> = name.trim_end_matches(".tsfile").split('-').collect();
            assert_eq!((parts[0], parts[2], parts[3]), ("1700000000000", "0", "0"));
            versions.push(parts[1].parse::<u64>().unwrap());
        }
    }
    assert_eq!(versions, [1, 2, 3]);
}

#[test]
fn times_of_another_unit_are_refused_and_numbers_of_another_spool_count_behind() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    store.set_precision(Precision::Ms).unwrap();
    assert!(matches!(store.set_precision(Precision::Ns), Err(StoreError::Precision { .. })));
    give(&mut store, 40, &rows("root.a.d", vec![1], vec![ints("s", &[1])]));
    store.flush().unwrap();
    store.begin_spool([2; 16]).unwrap();
    assert_eq!(store.position(), 0);
    give(&mut store, 1, &rows("root.a.d", vec![1], vec![ints("s", &[2])]));
    store.flush().unwrap();
    assert_eq!(series(&store, "root.a.d", "s"), BTreeMap::from([(1, Value::Int32(2))]));
    drop(store);
    let mut store = Store::open(volume, Options::default(), 1).unwrap();
    store.begin_spool([2; 16]).unwrap();
    assert_eq!((store.position(), store.precision()), (1, Some(Precision::Ms)));
}

/// A spool that was restored from a copy has its old id, and numbers that were given before.
#[test]
fn numbers_of_a_spool_that_was_rolled_back_begin_anew_once() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    for sequence in 1..=9 {
        give(&mut store, sequence, &rows("root.a.d", vec![1], vec![ints("s", &[1])]));
    }
    store.flush().unwrap();
    store.restart_spool([1; 16]).unwrap();
    assert_eq!(store.position(), 0);
    give(&mut store, 1, &rows("root.a.d", vec![1], vec![ints("s", &[2])]));
    store.flush().unwrap();
    drop(store);
    let store = support::store(&volume);
    assert_eq!(store.position(), 1, "not begun anew at the next start");
    assert_eq!(series(&store, "root.a.d", "s"), BTreeMap::from([(1, Value::Int32(2))]));
}

/// Records between the position and the end of a state that was restored were given above newer ones that
/// the store had and the spool had not: older values came back, and rows that were deleted.
#[test]
fn what_a_store_has_of_a_spool_that_was_rolled_back_is_not_taken_in_again() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    let row = |time, value| rows("root.a.d", vec![time], vec![ints("s", &[value])]);
    let before = [row(1, 1), row(2, 1), delete_request("root.a.d.s", 2, 2), row(3, 1)];
    (1..).zip(&before).for_each(|(sequence, request)| give(&mut store, sequence, request));
    give(&mut store, 5, &row(1, 5));
    give(&mut store, 6, &row(2, 6));
    store.flush().unwrap();
    let expected = BTreeMap::from([(1, 5), (2, 6), (3, 1)].map(|(at, it)| (at, Value::Int32(it))));
    for _ in ["at once", "after another start"] {
        let mut store = support::store(&volume);
        if store.last_known() > 4 {
            store.cut_spool([1; 16], 4).unwrap();
        }
        assert_eq!((store.position(), store.last_known()), (4, 4));
        (1..).zip(&before).for_each(|(sequence, request)| give(&mut store, sequence, request));
        assert_eq!(series(&store, "root.a.d", "s"), expected);
    }
    let mut store = support::store(&volume);
    give(&mut store, 5, &row(1, 50));
    store.flush().unwrap();
    // of this one it has less than there is
    store.cut_spool([1; 16], 9).unwrap();
    assert_eq!(store.position(), 5);
    give(&mut store, 6, &row(3, 60));
    let found = series(&store, "root.a.d", "s");
    assert_eq!(found.into_values().collect::<Vec<_>>(), [50, 6, 60].map(Value::Int32));
}

#[test]
fn counts_and_extremes_of_files_that_lie_alone_cost_no_point() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    for sequence in 1..4_u64 {
        let times: Vec<i64> = (0..1000).map(|row| sequence as i64 * 10_000 + row).collect();
        let values: Vec<i32> = (0..1000).collect();
        give(&mut store, sequence, &rows("root.a.d", times, vec![ints("s", &values)]));
        store.flush().unwrap();
    }
    let scan = |start, end| Scan { patterns: everything(), measurements: None, times: start..=end };
    let aggregate = |store: &Store<SimVolume>, start, end| {
        let snapshot = store.snapshot();
        let device = snapshot.device(&Device::tree("root.a.d"), &scan(start, end)).unwrap();
        let found = device.aggregate(0).unwrap();
        (found.count, found.n_read)
    };
    assert_eq!(aggregate(&store, i64::MIN, i64::MAX), (3000, 0));
    assert_eq!(aggregate(&store, 10_500, i64::MAX), (2500, 500));
    give(&mut store, 4, &rows("root.a.d", vec![20_500], vec![ints("s", &[5])]));
    assert_eq!(aggregate(&store, i64::MIN, i64::MAX), (3000, 1000));
    give(&mut store, 5, &delete_request("root.a.d.s", 30_000, 30_009));
    assert_eq!(aggregate(&store, i64::MIN, i64::MAX), (2990, 1990));
}

#[test]
fn rows_of_more_partitions_than_files_are_allowed_share_files() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    let times: Vec<i64> = (0..500).map(|row| row * 604_800_000).collect();
    let values: Vec<i32> = (0..500).collect();
    give(&mut store, 1, &rows("root.a.d", times, vec![ints("s", &values)]));
    store.flush().unwrap();
    assert_eq!(store.layers().count(), 1);
    assert_eq!(series(&store, "root.a.d", "s").len(), 500);
}

#[test]
fn a_request_that_no_file_can_hold_is_left_out_and_said_so() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    let long = "x".repeat(16 * 1024 + 1);
    let columns = vec![ints("", &[1]), ints("s", &[2]), ints(&long, &[1])];
    let applied = store.apply_request(1, 5, &rows("root.a.d", vec![1], columns)).unwrap();
    // whose points they were was not said
    let expected = "expected the name of a measurement of 1 to 16384 bytes, found";
    assert_eq!(
        applied.left_out,
        [
            format!("1 points of root.a.d.: {expected} 0"),
            format!("1 points of root.a.d.{}: {expected} 16385", &long[..100])
        ]
    );
    assert!(matches!(store.apply_request(2, 5, &[9, 9, 9]), Err(StoreError::Request(_))));
    store.pass(2);
    store.flush().unwrap();
    assert_eq!(series(&store, "root.a.d", "s"), BTreeMap::from([(1, Value::Int32(2))]));
    assert_eq!(store.position(), 2);
}

/// A file of one text of a device, as it stands in it.
fn file_of_text(id: &DeviceId, time: i64, text: &str) -> Vec<u8> {
    let version = if id.segments.is_some() { TsFileVersion::V4 } else { TsFileVersion::V3 };
    let mut options = WriteOptions::of_version(version);
    options.compression = Compression::Uncompressed;
    let mut spec = SeriesSpec::new("s", DataType::Text);
    spec.encoding = Encoding::Plain;
    let mut batch = Batch::new([DataType::Text]);
    batch.times.push(time);
    batch.columns[0].presence.push(true);
    assert!(batch.columns[0].values.push(&Value::Bytes(text.as_bytes().to_vec())));
    let mut writer = TsFileWriter::new(Vec::new(), options).unwrap();
    writer.begin_series(id, &spec).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap().out
}

fn give_file(store: &mut Store<SimVolume>, volume: &SimVolume, sequence: u64, bytes: Vec<u8>) {
    let path = volume.stage("staged.tsfile", bytes);
    let file = ReceivedFile { ts_file: &path, mods: None, database: None };
    let applied = store.apply_file(sequence, 5, &file).unwrap();
    assert_eq!(applied.left_out, Vec::<String>::new());
}

/// A page that was damaged at the source is taken in, since only its index is read then. Merging it
/// was an error, which ended the daemon, and again at each start.
#[test]
fn a_layer_that_cannot_be_read_is_left_alone_and_the_others_are_merged() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    let id = DeviceId { path: "root.a.d".into(), segments: None };
    for sequence in 1..=5 {
        let mut bytes = file_of_text(&id, sequence as i64, "culprit");
        if sequence == 3 {
            let at = bytes.windows(7).position(|it| it == b"culprit").unwrap();
            bytes[at - 1] = 0x7E; // a text that is longer than its page
        }
        // of the others' times, but not of their cells
        give_file(&mut store, &volume, sequence, bytes);
    }
    let n_files = || volume.disk.list().unwrap().len();
    assert_eq!(n_files(), 1 + 5 * 2, "catalog, TsFiles and what stands beside them");
    while store.merge_once().unwrap() {}
    assert_eq!(store.n_unmergeable(), 1);
    let layers: Vec<_> = store.layers().map(|it| (it.kind, it.range.start, it.range.end)).collect();
    let expected =
        [(LayerKind::Merged, 1, 2), (LayerKind::Received, 3, 3), (LayerKind::Merged, 4, 5)];
    assert_eq!(layers, expected);
    assert_eq!(n_files(), 1 + 3 * 2, "nothing is left of what was given up");
}

/// After one that could not be removed the others were forgotten, and took their room until the next start.
#[test]
fn every_file_that_was_merged_away_goes_although_one_of_them_cannot_be_removed_at_once() {
    let filled = |disk: SimStorage| {
        let volume = SimVolume::new(disk);
        let mut store = store(&volume);
        for sequence in 1..=6 {
            let columns = vec![ints("s", &[sequence as i32])];
            give(&mut store, sequence, &rows("root.a.d", vec![sequence as i64], columns));
            store.flush().unwrap();
        }
        (volume, store)
    };
    let n_files = |volume: &SimVolume| {
        let names = volume.disk.list().unwrap();
        names.iter().filter(|name| name.as_str().contains(".tsfile")).count()
    };
    let (volume, mut opened) = filled(SimStorage::new());
    let first = volume.disk.changes();
    while opened.merge_once().unwrap() {}
    assert_eq!(n_files(&volume), 2, "one and what stands beside it");
    let mut n_failed = 0;
    for index in first..volume.disk.changes() {
        let (volume, mut opened) = filled(SimStorage::new().with_fault(index, SimFault::Io));
        match opened.merge_once() {
            Err(error) if error.to_string().contains("cannot remove") => n_failed += 1,
            _ => continue,
        }
        while opened.merge_once().unwrap() {}
        assert_eq!(n_files(&volume), 2, "{index}");
    }
    assert!(n_failed > 5, "{n_failed}");
}

/// A file without permission, or what is none: it stopped the receiver, and was not even needed.
#[test]
fn what_cannot_be_removed_at_all_stops_nothing() {
    let root = tempfile::tempdir().unwrap();
    let open = || {
        let mut options = Options::default();
        options.merge_files_min = 2;
        let mut store = Store::open(DirVolume::new(root.path()), options, 1).unwrap();
        store.begin_spool([1; 16]).unwrap();
        store
    };
    let mut opened = open();
    for sequence in 1..=3 {
        let columns = vec![ints("s", &[sequence as i32])];
        let request = rows("root.a.d", vec![sequence as i64], columns);
        let _ = opened.apply_request(sequence, 5, &request).unwrap();
        opened.flush().unwrap();
    }
    let path = root.path().join(opened.layers().next().unwrap().path() + RESOURCE_SUFFIX);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    while opened.merge_once().unwrap() {}
    assert_eq!(opened.layers().count(), 1);
    drop(opened);
    assert_eq!(open().layers().count(), 1);
}

/// Of which form the list beside a file is, the file says, and one that is damaged says nothing: that
/// must not hold the others up, or end the daemon.
#[test]
fn a_deletion_that_concerns_a_file_that_cannot_be_read_is_written_beside_the_others() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    let id = DeviceId { path: "root.a.d".into(), segments: None };
    for sequence in 1..=3 {
        give_file(&mut store, &volume, sequence, file_of_text(&id, sequence as i64, "a text"));
    }
    let damaged = store.layers().nth(1).unwrap().name();
    let names = volume.disk.list().unwrap();
    let name = names.iter().find(|name| name.as_str().ends_with(&damaged)).unwrap();
    volume.disk.set_content(name, b"TsFile".to_vec());
    drop(store);
    let mut store = support::store(&volume);
    give(&mut store, 4, &delete_request("root.a.d.s", 1, 3));
    while store.write_mods().unwrap() {}
    let names = volume.disk.list().unwrap();
    let n_lists = names.iter().filter(|name| name.as_str().ends_with(".mods")).count();
    assert_eq!(n_lists, 2);
}

fn table_rows(database: &str, tag: (&str, &str), time: i64, field: Column) -> Vec<u8> {
    let text = Some(Value::Bytes(tag.1.as_bytes().to_vec()));
    let mut line = column(tag.0, DataType::String, vec![text]);
    line.category = Category::Tag;
    tablet_request(&Tablet {
        database: Some(database.to_owned()),
        device: "pumps".to_owned(),
        aligned: true,
        times: vec![time],
        columns: vec![line, field],
    })
}

/// The schema of a table in a file has one type for a field: two devices with two of them in one
/// file made each flush fail.
#[test]
fn a_field_of_two_types_on_two_devices_of_a_table_is_in_files_of_its_own() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    let double = |value| column("s", DataType::Double, vec![Some(Value::Double(value))]);
    give(&mut store, 1, &table_rows("plant", ("line", "a"), 1, ints("s", &[1])));
    give(&mut store, 2, &table_rows("plant", ("line", "b"), 2, double(2.0)));
    store.flush().unwrap();
    while store.merge_once().unwrap() {}
    assert_eq!(store.layers().filter(|it| it.database.as_deref() == Some("plant")).count(), 2);
    let all = held(&store.snapshot(), &everything(), (i64::MIN, i64::MAX));
    let values: Vec<_> = all.values().flat_map(|it| it.values().cloned()).collect();
    assert_eq!(values, [Value::Int32(1), Value::Double(2.0)]);
    assert_eq!(store.n_unmergeable(), 2);
}

/// The name of a tag stands in the schema of every file of its table: a bad one made each flush
/// fail.
#[test]
fn rows_whose_tags_have_names_of_no_file_are_left_out_and_said_so() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    let longest = "n".repeat(16 * 1024);
    let too_long = "n".repeat(16 * 1024 + 1);
    for (sequence, name) in [(1, ""), (2, &*too_long), (3, "n"), (4, &*longest)] {
        let request = table_rows("plant", (name, "a"), sequence as i64, ints("s", &[1]));
        let applied = store.apply_request(sequence, 5, &request).unwrap();
        assert_eq!(applied.left_out.len(), usize::from(sequence < 3), "{applied:?}");
        store.flush().unwrap();
    }
    let all = held(&store.snapshot(), &everything(), (i64::MIN, i64::MAX));
    // two tags, and so two devices
    let mut times: Vec<i64> = all.values().flat_map(|it| it.keys().copied()).collect();
    times.sort_unstable();
    assert_eq!(times, [3, 4]);
}

/// A device of the tree model that does not begin with root is one of a table to every reader of a
/// file, and shared the file of the database of its name.
#[test]
fn a_device_of_the_tree_model_that_does_not_begin_with_root_is_left_out() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    give(&mut store, 1, &table_rows("plant", ("line", "a"), 1, ints("s", &[1])));
    for (sequence, device, n_left_out) in
        [(2, "plant.d", 1), (3, "rooted.d", 1), (4, "root.plant", 0), (5, "root", 0)]
    {
        let request = rows(device, vec![1], vec![ints("s", &[2])]);
        let applied = store.apply_request(sequence, 5, &request).unwrap();
        assert_eq!(applied.left_out.len(), n_left_out, "{device}: {applied:?}");
        let expected = format!("1 points of {device}.s: expected a device that begins with root");
        assert!(applied.left_out.iter().all(|told| *told == expected), "{applied:?}");
    }
    for _ in 0..2 {
        store.flush().unwrap();
        let all = store.snapshot().devices(&everything());
        let found: Vec<String> = all.iter().map(Device::to_string).collect();
        assert_eq!(found, ["root", "root.plant", "plant.pumps.a"]);
        store = support::store(&volume);
    }
}

/// The second one of the columns was taken in as far as its values had the type of the first, which
/// none had, and nobody was told.
#[test]
fn a_column_that_comes_twice_with_two_types_is_left_out_the_second_time_and_said_so() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    let doubles = column("s", DataType::Double, vec![Some(Value::Double(2.5)); 2]);
    let columns = vec![ints("s", &[1, 2]), doubles, ints("s", &[3, 4]), ints("t", &[5, 6])];
    let applied = store.apply_request(1, 5, &rows("root.a.d", vec![1, 2], columns)).unwrap();
    assert_eq!(applied.left_out.len(), 1, "{applied:?}");
    assert!(applied.left_out[0].contains("2 points of root.a.d.s: expected INT32"), "{applied:?}");
    let expected = BTreeMap::from([(1, Value::Int32(3)), (2, Value::Int32(4))]);
    assert_eq!(series(&store, "root.a.d", "s"), expected);
    store.flush().unwrap();
    assert_eq!(series(&store, "root.a.d", "s"), expected);
}

/// They stayed counted, so that ever smaller files were written.
#[test]
fn rows_in_memory_that_are_deleted_take_none_any_more() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    let text = || column("t", DataType::Text, vec![Some(Value::Bytes(vec![7; 1000])); 2]);
    let both = |times| rows("root.a.d", times, vec![ints("s", &[1, 2]), text()]);
    give(&mut store, 1, &both(vec![1, 2]));
    let before = (store.memory_bytes(), store.n_points_in_memory());
    give(&mut store, 2, &both(vec![11, 12]));
    give(&mut store, 3, &delete_request("root.a.d.*", 11, 12));
    assert_eq!((store.memory_bytes(), store.n_points_in_memory()), before);
    give(&mut store, 4, &delete_request("root.a.d.*", 0, 99));
    store.flush().unwrap();
    assert_eq!((store.memory_bytes(), store.n_points_in_memory()), (0, 0));
    assert_eq!(store.position(), 4);
}

/// Deletions and files that come behind rows in memory are known by their numbers. A spool that was
/// rolled back to between them and the position passed for the one that they were of, and new records
/// of these numbers were skipped.
#[test]
fn what_is_durable_behind_the_position_is_known_to_be_of_a_spool_that_reached_as_far() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    give(&mut store, 1, &rows("root.a.d", vec![1], vec![ints("s", &[1])]));
    store.flush().unwrap();
    assert_eq!(store.last_known(), 1);
    give(&mut store, 2, &rows("root.b.d", vec![1], vec![ints("s", &[1])]));
    give(&mut store, 7, &delete_request("root.a.d.s", 1, 1));
    let mut store = support::store(&volume);
    assert_eq!((store.position(), store.last_known()), (1, 7));
    store.restart_spool([1; 16]).unwrap();
    assert_eq!((store.position(), store.last_known()), (0, 0));
    give(&mut store, 1, &rows("root.b.d", vec![1], vec![ints("s", &[1])]));
    give(&mut store, 4, &rows("root.c.d", vec![9], vec![ints("s", &[1])]));
    // also a horizon speaks of all that was given
    store.expire(5).unwrap();
    let store = support::store(&volume);
    assert!(store.position() < 4 && store.last_known() == 4, "{}", store.position());
}

/// They were gone, and nothing told of it.
#[test]
fn rows_of_tables_that_have_tags_alone_are_told_of() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    let mut left_out = |values: Vec<Option<Value>>| {
        let mut tag = column("line", DataType::String, vec![Some(Value::Bytes(b"a".to_vec())); 2]);
        tag.category = Category::Tag;
        let tablet = Tablet {
            database: Some("works".to_owned()),
            device: "pumps".to_owned(),
            aligned: true,
            times: vec![1, 2],
            columns: vec![tag, column("n", DataType::Int32, values)],
        };
        store.apply_request(1, 5, &tablet_request(&tablet)).unwrap().left_out
    };
    let one = Some(Value::Int32(1));
    assert_eq!(left_out(vec![one.clone(), one.clone()]), Vec::<String>::new());
    let told = ["rows of table pumps that have tags alone"];
    assert_eq!(left_out(vec![one, None]), told);
    assert_eq!(left_out(vec![None, None]), told);
}
