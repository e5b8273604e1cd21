//! Files of a store that are gone or damaged: the rest is there, nothing that is lacking is passed over,
//! and what comes back counts as before.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use tidegate_durable::sim::SimFault;
use tidegate_durable::sim::SimStorage;
use tidegate_model::DataType;
use tidegate_model::Value;
use tidegate_store::Device;
use tidegate_store::DirVolume;
use tidegate_store::Look;
use tidegate_store::OnDamage;
use tidegate_store::Options;
use tidegate_store::Pattern;
use tidegate_store::ReceivedFile;
use tidegate_store::Scan;
use tidegate_store::Snapshot;
use tidegate_store::Store;
use tidegate_store::StoreError;
use tidegate_store::check;
use tidegate_tsfile::Batch;
use tidegate_tsfile::Selection;
use tidegate_tsfile::SeriesSpec;
use tidegate_tsfile::TsFile;
use tidegate_tsfile::TsFileVersion;
use tidegate_tsfile::TsFileWriter;
use tidegate_tsfile::WriteOptions;

use support::SimVolume;
use support::delete_request;
use support::everything;
use support::give;
use support::held;
use support::ints;
use support::rows;
use support::series;
use support::store;

/// Three files: two of one device that overwrite one another, and one of another device.
fn filled(volume: &SimVolume) -> Store<SimVolume> {
    let mut store = store(volume);
    let requests = [
        rows("root.a.d", vec![1, 2], vec![ints("s", &[1, 2])]),
        rows("root.a.d", vec![2, 3], vec![ints("s", &[20, 30])]),
        rows("root.a.e", vec![2], vec![ints("s", &[7])]),
    ];
    for (sequence, request) in (1..).zip(&requests) {
        give(&mut store, sequence, request);
        store.flush().unwrap();
    }
    store
}

fn path_of<V: tidegate_store::Volume>(store: &Store<V>, precedence: u64) -> String {
    store.layers().find(|layer| layer.precedence == precedence).unwrap().path()
}

fn scan(device: &str, times: (i64, i64)) -> (Device, Scan) {
    let device = Device::tree(device);
    let patterns = vec![Pattern::Device(device.clone())];
    (device, Scan { patterns, measurements: None, times: times.0..=times.1 })
}

/// How many rows of a device there are.
fn n_rows<S: tidegate_durable::Storage>(
    snapshot: &Snapshot<S>,
    device: &str,
    times: (i64, i64),
) -> Result<usize, StoreError> {
    let (device, scan) = scan(device, times);
    let opened = snapshot.device(&device, &scan)?;
    let (mut rows, mut batch, mut found) = (opened.rows()?, Batch::default(), 0);
    while opened.next_into(&mut rows, &mut batch)? {
        found += batch.len();
    }
    Ok(found)
}

/// It was found out at the next start only, and told by nobody before.
#[test]
fn a_file_that_goes_while_its_store_is_open_is_lost_at_the_next_look_and_back_at_another() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = filled(&volume);
    store.lose_missing().unwrap();
    assert_eq!(store.lost().count(), 0);
    for (precedence, is_cut) in [(2, false), (3, true)] {
        let path = path_of(&store, precedence);
        let name = volume.disk_name(&path);
        let bytes = volume.disk.content(&name).unwrap();
        volume.disk.delete(&name);
        if is_cut {
            volume.disk.set_content(&name, bytes[..bytes.len() / 2].to_vec());
        }
        store.lose_missing().unwrap();
        let lost: Vec<_> = store.lost().map(|it| it.layer.path()).collect();
        assert_eq!(lost, std::slice::from_ref(&path));
        let of_device =
            |store: &Store<SimVolume>, device| n_rows(&store.snapshot(), device, (0, 9));
        let (own, other, n_other) = match precedence {
            2 => ("root.a.d", "root.a.e", 1),
            _ => ("root.a.e", "root.a.d", 3),
        };
        assert!(of_device(&store, own).unwrap_err().is_of_damage());
        assert_eq!(of_device(&store, other).unwrap(), n_other);
        volume.disk.set_content(&name, bytes);
        assert_eq!(store.find_lost().unwrap(), [path]);
        assert_eq!(of_device(&store, own).unwrap(), 4 - n_other);
    }
}

/// The catalog was sound, so it was not made anew, and the store was never opened again: the receiver
/// took it for a target that is away, and waited, for all origins.
#[test]
fn a_store_opens_without_a_file_that_is_gone_and_answers_what_does_not_need_it() {
    let volume = SimVolume::new(SimStorage::new());
    let filled = filled(&volume);
    let path = path_of(&filled, 2);
    drop(filled);
    let name = volume.disk_name(&path);
    let bytes = volume.disk.content(&name).unwrap();
    volume.disk.delete(&name);
    for _ in ["first", "and it is not taken for another one"] {
        let mut store = store(&volume);
        let lost: Vec<_> = store.lost().map(|it| (it.layer.path(), &*it.found)).collect();
        assert_eq!(lost, [(path.clone(), "no such file")]);
        let snapshot = store.snapshot();
        assert_eq!(n_rows(&snapshot, "root.a.e", (0, 9)).unwrap(), 1);
        assert_eq!(n_rows(&snapshot, "root.a.d", (0, 1)).unwrap(), 1, "before its rows");
        let error = n_rows(&snapshot, "root.a.d", (2, 2)).unwrap_err();
        assert!(error.is_of_damage() && !error.is_vanished(), "{error}");
        assert!(error.to_string().contains(&path), "{error}");
        assert!(snapshot.devices(&everything()).contains(&Device::tree("root.a.d")));
        assert_eq!(store.find_lost().unwrap(), Vec::<String>::new());
    }
    // what is decided meanwhile concerns it, too
    let mut opened = store(&volume);
    give(&mut opened, 4, &delete_request("root.a.d.s", 3, 3));
    opened.expire(2).unwrap();
    while opened.merge_once().unwrap() {}
    volume.disk.set_content(&name, bytes);
    assert_eq!(opened.find_lost().unwrap(), [path]);
    let expected = BTreeMap::from([(2, Value::Int32(20))]);
    assert_eq!(series(&opened, "root.a.d", "s"), expected);
    drop(opened);
    assert_eq!(series(&store(&volume), "root.a.d", "s"), expected, "also after a start");
}

#[test]
fn a_damaged_file_is_kept_aside_with_what_stands_beside_it_and_goes_when_its_rows_expire() {
    let volume = SimVolume::new(SimStorage::new());
    let mut opened = filled(&volume);
    give(&mut opened, 4, &delete_request("root.a.d.s", 3, 3));
    while opened.write_mods().unwrap() {}
    let path = path_of(&opened, 2);
    drop(opened);
    let names = ["", ".unread", ".resource", ".mods"];
    let names = names.map(|end| volume.disk_name(&format!("{path}{end}")));
    let whole = volume.disk.content(&names[0]).unwrap();
    let damaged = whole[..whole.len() - 5].to_vec();
    volume.disk.set_content(&names[0], damaged.clone());
    for _ in 0..2 {
        let store = store(&volume);
        assert_eq!(store.lost().count(), 1);
        let found = names.each_ref().map(|name| volume.disk.content(name));
        assert_eq!((&found[0], &found[1]), (&None, &Some(damaged.clone())));
        assert!(found[2].is_some() && found[3].is_some());
    }
    // one that is not what it was is none of the store's
    let other = volume.disk_name(&path_of(&store(&volume), 3));
    volume.disk.set_content(&names[0], volume.disk.content(&other).unwrap());
    assert_eq!(store(&volume).find_lost().unwrap(), Vec::<String>::new());
    volume.disk.set_content(&names[0], whole.clone());
    let mut opened = store(&volume);
    assert_eq!(opened.lost().count(), 0);
    let left = BTreeMap::from([(1, Value::Int32(1)), (2, Value::Int32(20))]);
    assert_eq!(series(&opened, "root.a.d", "s"), left);
    assert_eq!(volume.disk.content(&names[1]), Some(damaged), "nothing is destroyed");
    drop(opened);
    volume.disk.set_content(&names[0], whole[..9].to_vec());
    opened = store(&volume);
    assert_eq!(opened.lost().count(), 1);
    opened.expire(4).unwrap();
    assert_eq!((opened.lost().count(), opened.layers().count()), (0, 0));
    drop(opened);
    drop(store(&volume));
    let left = |name| volume.disk.content(name).is_some();
    assert!(!names.iter().any(left));
}

#[test]
fn what_is_given_up_is_in_no_answer_and_in_nobodys_way_and_its_file_stays() {
    let volume = SimVolume::new(SimStorage::new());
    let opened = filled(&volume);
    let (path, gone) = (path_of(&opened, 2), path_of(&opened, 3));
    drop(opened);
    let name = volume.disk_name(&path);
    let damaged = volume.disk.content(&name).unwrap()[..30].to_vec();
    volume.disk.set_content(&name, damaged.clone());
    let whole = volume.disk.content(&volume.disk_name(&gone)).unwrap();
    volume.disk.delete(&volume.disk_name(&gone));
    let mut opened = store(&volume);
    assert_eq!(opened.lost().count(), 2);
    // one that is there again is not given up
    volume.disk.set_content(&volume.disk_name(&gone), whole);
    assert_eq!(opened.forget_lost().unwrap(), [&*path]);
    assert_eq!(opened.forget_lost().unwrap(), Vec::<String>::new());
    for _ in ["now", "and after a start"] {
        assert_eq!((opened.lost().count(), opened.faults()), (0, Vec::new()));
        let found = series(&opened, "root.a.d", "s");
        assert_eq!(found, BTreeMap::from([(1, Value::Int32(1)), (2, Value::Int32(2))]));
        assert_eq!(series(&opened, "root.a.e", "s"), BTreeMap::from([(2, Value::Int32(7))]));
        opened = store(&volume);
    }
    let aside = volume.disk_name(&format!("{path}.unread"));
    assert_eq!(volume.disk.content(&aside), Some(damaged));
}

/// A file that was put back after it had been given up was removed at the next start, and nobody said so.
#[test]
fn a_file_that_is_put_back_after_it_was_given_up_is_kept_under_another_name_and_told() {
    let volume = SimVolume::new(SimStorage::new());
    let opened = filled(&volume);
    let path = path_of(&opened, 2);
    drop(opened);
    let names = ["", ".resource", ".given-up"].map(|end| volume.disk_name(&format!("{path}{end}")));
    let whole = volume.disk.content(&names[0]).unwrap();
    volume.disk.delete(&names[0]);
    assert_eq!(store(&volume).forget_lost().unwrap(), [&*path]);
    // what an interrupted run has left still goes
    let leftover = volume.disk_name(&format!("{path}.temp"));
    for round in 0..2 {
        volume.disk.set_content(&names[0], whole.clone());
        volume.disk.set_content(&names[1], vec![7]);
        volume.disk.set_content(&leftover, vec![7]);
        let kept = [format!("{path}.given-up"), path.clone()];
        let mut opened = store(&volume);
        assert_eq!(opened.kept_aside(), [&*kept[round]], "{round}");
        assert_eq!((opened.lost().count(), opened.layers().count()), (0, 2));
        assert_eq!(opened.find_lost().unwrap(), Vec::<String>::new());
        assert_eq!(volume.disk.content(&names[2]), Some(whole.clone()));
        assert_eq!(volume.disk.content(&names[0]).is_some(), round == 1);
        assert!(volume.disk.content(&names[1]).is_some(), "what stands beside it stays");
    }
    volume.disk.delete(&names[0]);
    let opened = store(&volume);
    assert_eq!(opened.kept_aside(), Vec::<String>::new(), "it is told when it comes");
    assert_eq!(volume.disk.content(&names[2]), Some(whole));
}

/// It stayed "no such file", whatever was in its place.
#[test]
fn of_a_lost_file_the_last_thing_that_was_found_in_its_place_is_told() {
    let volume = SimVolume::new(SimStorage::new());
    let opened = filled(&volume);
    let (path, other) = (path_of(&opened, 2), path_of(&opened, 3));
    drop(opened);
    let [name, other] = [&path, &other].map(|path| volume.disk_name(path));
    let whole = volume.disk.content(&name).unwrap();
    volume.disk.delete(&name);
    let mut opened = store(&volume);
    let found = |opened: &Store<SimVolume>| opened.lost().next().map(|lost| lost.found.to_string());
    assert_eq!(found(&opened).as_deref(), Some("no such file"));
    volume.disk.set_content(&name, volume.disk.content(&other).unwrap());
    assert_eq!(opened.find_lost().unwrap(), Vec::<String>::new());
    let expected = "a file with rows of other devices or times";
    assert_eq!(found(&opened).as_deref(), Some(expected));
    assert!(opened.faults()[0].what.contains(expected), "{:?}", opened.faults());
    let error = n_rows(&opened.snapshot(), "root.a.d", (2, 2)).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
    drop(opened);
    // also where the wrong one was put aside, and nothing is there
    opened = store(&volume);
    assert_eq!(found(&opened).as_deref(), Some(expected));
    volume.disk.set_content(&name, whole[..9].to_vec());
    opened.find_lost().unwrap();
    assert_ne!(found(&opened).as_deref(), Some(expected));
    volume.disk.set_content(&name, whole);
    assert_eq!(opened.find_lost().unwrap(), [path]);
}

/// Between the record of the catalog and the other name, and at every other operation.
#[test]
fn a_power_cut_while_a_file_is_lost_or_found_leaves_a_store_that_opens() {
    let volume = SimVolume::new(SimStorage::new());
    let filled = filled(&volume);
    let expected = held(&filled.snapshot(), &everything(), (i64::MIN, i64::MAX));
    let path = path_of(&filled, 2);
    drop(filled);
    let name = volume.disk_name(&path);
    let whole = volume.disk.content(&name).unwrap();
    // damaged at first, then whole again
    let run = |volume: &SimVolume| -> Result<(), StoreError> {
        let mut options = Options::default();
        options.merge_files_min = 2;
        Store::open(volume.clone(), options.clone(), 1)?;
        volume.disk.set_content(&name, whole.clone());
        Store::open(volume.clone(), options, 1).map(drop)
    };
    let fresh = |fault: Option<u64>| {
        let disk = volume.disk.restarted();
        let disk = match fault {
            Some(at) => disk.with_fault(at, SimFault::PowerCut),
            None => disk,
        };
        disk.set_content(&name, whole[..40].to_vec());
        volume.on(disk)
    };
    let sound = fresh(None);
    let before = sound.disk.changes();
    run(&sound).unwrap();
    let n_changes = sound.disk.changes() - before;
    assert!(n_changes > 4, "{n_changes}");
    for at in before..before + n_changes {
        let cut = fresh(Some(at));
        let _ = run(&cut);
        let again = volume.on(cut.disk.restarted());
        run(&again).unwrap();
        let store = store(&again);
        assert_eq!(store.lost().count(), 0, "{at}");
        let found = held(&store.snapshot(), &everything(), (i64::MIN, i64::MAX));
        assert_eq!(found, expected, "{at}");
    }
}

/// What a merge could not read for a reason of the disk was an error, and tried again for ever.
#[test]
fn a_merge_leaves_out_files_that_are_gone_or_damaged_and_names_them() {
    let volume = SimVolume::new(SimStorage::new());
    let mut opened = store(&volume);
    for sequence in 1..=8 {
        let times = (0..50).map(|at| at + sequence as i64 * 100).collect();
        let values: Vec<i32> = (0..50).map(|at| at * 7919 % 101).collect();
        give(&mut opened, sequence, &rows("root.a.d", times, vec![ints("s", &values)]));
        opened.flush().unwrap();
    }
    let paths: Vec<String> = opened.layers().map(tidegate_store::Layer::path).collect();
    let name = |at: usize| volume.disk_name(&paths[at]);
    volume.disk.delete(&name(1));
    let bytes = volume.disk.content(&name(3)).unwrap();
    volume.disk.set_content(&name(3), bytes[..9].to_vec());
    let mut bytes = volume.disk.content(&name(5)).unwrap();
    bytes[30..60].fill(0xff);
    volume.disk.set_content(&name(5), bytes);
    while opened.merge_once().unwrap() {}
    let lost: Vec<String> = opened.lost().map(|it| it.layer.path()).collect();
    assert_eq!(lost, [&*paths[1], &*paths[3]]);
    let named: Vec<String> = opened.faults().into_iter().map(|it| it.item).collect();
    assert_eq!(named, [&*paths[1], &*paths[3], &*paths[5]]);
    let mut left: Vec<_> = opened.layers().map(|it| (it.range.start, it.merges)).collect();
    left.sort_unstable();
    assert_eq!(left, [(100, 1), (600, 0), (700, 1)]);
    assert!(volume.disk.content(&volume.disk_name(&format!("{}.unread", paths[3]))).is_some());
}

/// All rows of a file of one plain series; `None` if they cannot be read.
fn values_of(bytes: &[u8]) -> Option<Vec<Value>> {
    let file = TsFile::open(bytes).ok()?;
    let device = file.devices().next()?.ok()?;
    let series = file.series(&device).ok()?.next()?.ok()?;
    let mut rows = file.rows(&series, Selection::default()).ok()?;
    let (mut batch, mut found) = (Batch::default(), Vec::new());
    while rows.next_into(&mut batch).ok()? {
        found.extend(batch.columns[0].cells().flatten());
    }
    Some(found)
}

/// Merged, other values would have been in a file that has nothing wrong with it.
#[test]
fn values_that_are_not_those_of_their_statistics_are_never_merged_and_are_told() {
    let volume = SimVolume::new(SimStorage::new());
    let mut opened = store(&volume);
    for sequence in 1..=3 {
        let times = (0..50).map(|at| at + sequence as i64 * 100).collect();
        let values: Vec<i32> = (0..50).map(|at| at * 7919 % 101).collect();
        give(&mut opened, sequence, &rows("root.a.d", times, vec![ints("s", &values)]));
        opened.flush().unwrap();
    }
    let paths: Vec<String> = opened.layers().map(tidegate_store::Layer::path).collect();
    let name = volume.disk_name(&paths[1]);
    let sound = volume.disk.content(&name).unwrap();
    // The first byte with a bit of which nothing but the values depends.
    let damaged = (0..sound.len()).find_map(|at| {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        let found = values_of(&bytes)?;
        let is_other = found.len() == 50 && Some(&found) != values_of(&sound).as_ref();
        is_other.then_some(bytes)
    });
    volume.disk.set_content(&name, damaged.unwrap());
    while opened.merge_once().unwrap() {}
    let named: Vec<_> = opened.faults().into_iter().map(|it| (it.item, it.what)).collect();
    assert_eq!(named.len(), 1, "{named:?}");
    assert_eq!(named[0].0, paths[1]);
    assert!(named[0].1.contains("statistics"), "{}", named[0].1);
    assert!(opened.layers().any(|it| it.path() == paths[1]));
    // and it is the same once the file is as it was
    volume.disk.set_content(&name, sound);
    let mut opened = store(&volume);
    while opened.merge_once().unwrap() {}
    assert_eq!(opened.faults().len(), 0);
    assert_eq!(opened.layers().count(), 1);
    assert_eq!(series(&opened, "root.a.d", "s").len(), 150);
}

/// A file with chunks of a hundred rows: of a series with times of its own, and of an aligned device.
fn chunked() -> Vec<u8> {
    let options = WriteOptions::of_version(TsFileVersion::V3);
    let mut writer = TsFileWriter::new(Vec::new(), options).unwrap();
    for (device, names) in [("root.f.aligned", &["a", "b"][..]), ("root.f.plain", &["s"][..])] {
        let id = Device::tree(device).id(TsFileVersion::V3);
        let specs: Vec<_> =
            names.iter().map(|name| SeriesSpec::new(name, DataType::Int64)).collect();
        for chunk in 0..5_i64 {
            match specs.as_slice() {
                [one] => writer.begin_series(&id, one).unwrap(),
                all => writer.begin_aligned(&id, all).unwrap(),
            }
            let mut batch = Batch::new(specs.iter().map(|spec| spec.data_type));
            for time in chunk * 100..chunk * 100 + 100 {
                batch.times.push(time);
                for column in &mut batch.columns {
                    column.presence.push(true);
                    assert!(column.values.push(&Value::Int64(time * time % 9973)));
                }
            }
            writer.write(&batch).unwrap();
        }
    }
    writer.finish().unwrap().out
}

/// A store on a real disk, with a received file of many chunks and one of other rows.
fn on_disk(root: &Path) -> Vec<PathBuf> {
    let mut store = Store::open(DirVolume::new(root), Options::default(), 1).unwrap();
    store.begin_spool([1; 16]).unwrap();
    let staged = root.join("staged.tsfile");
    fs::write(&staged, chunked()).unwrap();
    let file = ReceivedFile { ts_file: &staged, mods: None, database: None };
    let _ = store.apply_file(1, 5, &file).unwrap();
    let _ = store.apply_request(2, 5, &rows("root.a.d", vec![1], vec![ints("s", &[1])])).unwrap();
    store.flush().unwrap();
    store.layers().map(|layer| root.join(layer.path())).collect()
}

fn look(root: &Path, on_damage: OnDamage) -> Result<Look, StoreError> {
    Look::at_with(root, on_damage).map(Option::unwrap)
}

#[test]
fn of_a_damaged_chunk_no_more_than_that_chunk_is_left_out_and_only_where_that_is_allowed() {
    let root = tempfile::tempdir().unwrap();
    let files = on_disk(root.path());
    let whole = fs::read(&files[0]).unwrap();
    let all = (i64::MIN, i64::MAX);
    let devices = ["root.f.aligned", "root.f.plain"];
    let mut n_damaged = 0;
    // chunks alone, neither the head nor the index
    for at in (7..whole.len() / 2).step_by(11) {
        let mut bytes = whole.clone();
        bytes[at..at + 4].fill(0xff);
        fs::write(&files[0], bytes).unwrap();
        let strict = look(root.path(), OnDamage::Fail).unwrap().snapshot;
        let lenient = look(root.path(), OnDamage::LeaveOut).unwrap().snapshot;
        assert_eq!(n_rows(&lenient, "root.a.d", all).unwrap(), 1);
        assert_eq!(lenient.left_out(), []);
        let (mut n_errors, mut n_left) = (0, 0);
        for device in devices {
            let found = n_rows(&lenient, device, all).unwrap();
            match n_rows(&strict, device, all) {
                Ok(strict) => assert_eq!(found, strict, "byte {at}"),
                Err(error) => {
                    n_errors += 1;
                    assert!(error.to_string().contains("5-1-0-0.tsfile: "), "{error}");
                }
            }
            n_left += found;
        }
        assert!(n_left >= 900, "byte {at}: {n_left} of 1000 rows");
        let left_out = lenient.left_out();
        assert_eq!(left_out.len(), usize::from(n_errors > 0), "byte {at}");
        assert!(left_out.iter().all(|it| files[0].ends_with(&it.file)), "{left_out:?}");
        n_damaged += n_errors;
    }
    assert!(n_damaged > 20, "{n_damaged}");
}

#[test]
fn whatever_byte_of_a_file_is_damaged_a_store_opens_and_whoever_leaves_it_out_gets_the_rest() {
    let root = tempfile::tempdir().unwrap();
    let files = on_disk(root.path());
    let whole = fs::read(&files[0]).unwrap();
    let (all, mut n_lost) = ((i64::MIN, i64::MAX), 0);
    for at in (0..whole.len()).step_by(17) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x41;
        fs::write(&files[0], bytes).unwrap();
        let strict = look(root.path(), OnDamage::Fail).unwrap().snapshot;
        let lenient = look(root.path(), OnDamage::LeaveOut).unwrap().snapshot;
        for device in ["root.f.aligned", "root.f.plain"] {
            let found = n_rows(&lenient, device, all).unwrap();
            match n_rows(&strict, device, all) {
                Ok(strict) => assert_eq!(found, strict, "byte {at}"),
                Err(error) => assert!(error.is_of_damage(), "byte {at}: {error}"),
            }
        }
        assert_eq!(n_rows(&strict, "root.a.d", all).unwrap(), 1, "byte {at}");
        if at % 2 == 0 {
            let store = Store::open(DirVolume::new(root.path()), Options::default(), 1).unwrap();
            n_lost += store.lost().count();
            assert_eq!(n_rows(&store.snapshot(), "root.a.d", all).unwrap(), 1, "byte {at}");
        }
    }
    assert!(n_lost > 0);
    fs::write(&files[0], &whole).unwrap();
    let store = Store::open(DirVolume::new(root.path()), Options::default(), 1).unwrap();
    assert_eq!(n_rows(&store.snapshot(), "root.f.plain", all).unwrap(), 500);
}

/// What an index did not find was not there: an answer lacked its rows, and nothing said so.
#[test]
fn a_device_that_the_index_of_a_file_does_not_find_is_missed() {
    let root = tempfile::tempdir().unwrap();
    let files = on_disk(root.path());
    let mut bytes = fs::read(&files[0]).unwrap();
    let mut places = bytes.windows(12).enumerate().filter(|(_, it)| it == b"root.f.plain");
    let last = places.by_ref().map(|(at, _)| at).last().unwrap();
    bytes[last + 11] = b'm';
    fs::write(&files[0], bytes).unwrap();
    let all = (i64::MIN, i64::MAX);
    let strict = look(root.path(), OnDamage::Fail).unwrap().snapshot;
    assert_eq!(n_rows(&strict, "root.f.aligned", all).unwrap(), 500);
    let error = n_rows(&strict, "root.f.plain", all).unwrap_err();
    assert!(error.is_of_damage(), "{error}");
    assert!(
        error.to_string().contains("no root.f.plain where its index should have it"),
        "{error}"
    );
    let lenient = look(root.path(), OnDamage::LeaveOut).unwrap().snapshot;
    assert_eq!(n_rows(&lenient, "root.f.plain", all).unwrap(), 0);
    assert_eq!(lenient.left_out().len(), 1);
}

/// Where it is not what the catalog says the index of the file counts.
#[test]
fn devices_are_looked_up_in_the_file_where_what_stands_beside_it_contradicts_the_catalog() {
    let root = tempfile::tempdir().unwrap();
    let files = on_disk(root.path());
    let beside = |file: &Path| PathBuf::from(format!("{}.resource", file.display()));
    fs::copy(beside(&files[1]), beside(&files[0])).unwrap();
    let snapshot = look(root.path(), OnDamage::Fail).unwrap().snapshot;
    assert_eq!(n_rows(&snapshot, "root.f.plain", (i64::MIN, i64::MAX)).unwrap(), 500);
}

#[test]
fn whatever_is_missing_of_a_file_whoever_looks_is_told_or_answered_without_it() {
    let root = tempfile::tempdir().unwrap();
    let files = on_disk(root.path());
    let whole = fs::read(&files[0]).unwrap();
    let resource = PathBuf::from(format!("{}.resource", files[0].display()));
    let all = (i64::MIN, i64::MAX);
    let other_file = fs::read(&resource).unwrap();
    for (has_resource, length) in
        [(true, None), (true, Some(whole.len() - 9)), (false, None), (false, Some(50))]
    {
        fs::write(&resource, &other_file).unwrap();
        if !has_resource {
            fs::remove_file(&resource).unwrap();
        }
        match length {
            Some(length) => fs::write(&files[0], &whole[..length]).unwrap(),
            None => fs::remove_file(&files[0]).unwrap(),
        }
        let context = format!("{has_resource}, {length:?}");
        let strict = look(root.path(), OnDamage::Fail);
        match has_resource {
            // nobody knows whose rows were in it
            false => assert!(strict.unwrap_err().is_of_damage(), "{context}"),
            true => {
                let strict = strict.unwrap().snapshot;
                assert_eq!(n_rows(&strict, "root.a.d", all).unwrap(), 1, "{context}");
                let error = n_rows(&strict, "root.f.plain", all).unwrap_err();
                assert!(error.is_of_damage() && !error.is_vanished(), "{context}: {error}");
            }
        }
        let lenient = look(root.path(), OnDamage::LeaveOut).unwrap().snapshot;
        assert_eq!(n_rows(&lenient, "root.a.d", all).unwrap(), 1, "{context}");
        assert_eq!(n_rows(&lenient, "root.f.plain", all).unwrap(), 0, "{context}");
        assert_eq!(lenient.left_out().len(), 1, "{context}");
        let findings = check(root.path()).unwrap().unwrap().findings;
        assert_eq!(findings.len(), 1, "{findings:?}");
        // and the same once the daemon has seen it
        drop(Store::open(DirVolume::new(root.path()), Options::default(), 1).unwrap());
        let lenient = look(root.path(), OnDamage::LeaveOut).unwrap().snapshot;
        assert_eq!(n_rows(&lenient, "root.f.plain", all).unwrap(), 0, "{context}");
        assert_eq!(lenient.left_out().len(), 1, "{context}");
        let findings = check(root.path()).unwrap().unwrap().findings;
        assert!(findings.len() == 1 && findings[0].1.starts_with("lost: "), "{findings:?}");
        fs::write(&files[0], &whole).unwrap();
        let store = Store::open(DirVolume::new(root.path()), Options::default(), 1).unwrap();
        assert_eq!(store.lost().count(), 0, "{context}");
        assert_eq!(n_rows(&store.snapshot(), "root.f.plain", all).unwrap(), 500);
    }
}
