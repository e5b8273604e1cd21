//! What stands beside a TsFile, damaged in every way: an answer is as it was before, or is refused by
//! name, and nothing is merged that is not known.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use tidegate_codec::Writer;
use tidegate_durable::Storage;
use tidegate_durable::sim::SimFault;
use tidegate_durable::sim::SimStorage;
use tidegate_model::DataType;
use tidegate_model::Value;
use tidegate_store::Device;
use tidegate_store::DirVolume;
use tidegate_store::Look;
use tidegate_store::LostPart;
use tidegate_store::OnDamage;
use tidegate_store::Options;
use tidegate_store::Pattern;
use tidegate_store::ReceivedFile;
use tidegate_store::Scan;
use tidegate_store::Snapshot;
use tidegate_store::Store;
use tidegate_store::StoreError;
use tidegate_store::Volume;
use tidegate_store::check;
use tidegate_tsfile::Batch;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::SeriesSpec;
use tidegate_tsfile::TsFileVersion;
use tidegate_tsfile::TsFileWriter;
use tidegate_tsfile::WriteOptions;

use support::SimVolume;
use support::delete_request;
use support::everything;
use support::give;
use support::ints;
use support::rows;
use support::store;

const DEVICES: [&str; 2] = ["root.f.a", "root.f.b"];

/// A file with a hundred rows of each device.
fn file_bytes(kind: ModsKind, first: i64) -> Vec<u8> {
    let version = match kind {
        ModsKind::Text => TsFileVersion::V3,
        ModsKind::Binary => TsFileVersion::V4,
    };
    let mut writer = TsFileWriter::new(Vec::new(), WriteOptions::of_version(version)).unwrap();
    for device in DEVICES {
        let id = Device::tree(device).id(version);
        writer.begin_series(&id, &SeriesSpec::new("s", DataType::Int64)).unwrap();
        let mut batch = Batch::new([DataType::Int64]);
        for time in first..first + 100 {
            batch.times.push(time);
            batch.columns[0].presence.push(true);
            assert!(batch.columns[0].values.push(&Value::Int64(time * 7)));
        }
        writer.write(&batch).unwrap();
    }
    writer.finish().unwrap().out
}

fn entry(kind: ModsKind, pattern: &str, start: i64, end: i64) -> Vec<u8> {
    let mut raw = Vec::new();
    match kind {
        ModsKind::Text => {
            raw = format!("DELETION,{pattern},{},{start},{end}\n", i64::MAX).into_bytes();
        }
        ModsKind::Binary => {
            let mut writer = Writer::new(&mut raw);
            writer.u8(1);
            writer.i64(start);
            writer.i64(end);
            writer.vstr(Some(pattern));
        }
    }
    raw
}

/// The list that comes with the file whose first time this is.
fn own_list(kind: ModsKind, first: i64) -> Vec<u8> {
    let own = [("root.f.a.s", 0, 9), ("root.f.*.s", 20, 24), ("root.f.b.s", 30, 33)];
    let own = own.map(|(pattern, from, to)| entry(kind, pattern, first + from, first + to));
    own.concat()
}

/// Two files with lists of their own, one of other rows, and a deletion of all of them beside each.
/// Returns the places of the first ones.
fn fill<V: Volume>(
    store: &mut Store<V>,
    kind: ModsKind,
    stage: impl Fn(&str, Vec<u8>) -> PathBuf,
) -> Vec<String> {
    for (sequence, first) in [(1, 0), (2, 1000)] {
        let ts_file = stage(&format!("{first}.tsfile"), file_bytes(kind, first));
        let mods = stage(&format!("{first}.mods"), own_list(kind, first));
        let mods = Some((kind, mods.as_path()));
        let file = ReceivedFile { ts_file: &ts_file, mods, database: None };
        assert_eq!(store.apply_file(sequence, 5, &file).unwrap(), Default::default());
    }
    let requests = [
        rows("root.a.d", vec![1, 2, 3], vec![ints("s", &[1, 2, 3])]),
        delete_request("root.**", 2, 2),
        delete_request("root.f.a.s", 1050, 1053),
    ];
    for (sequence, request) in (3..).zip(&requests) {
        assert!(store.apply_request(sequence, 5, request).unwrap().left_out.is_empty());
        store.flush().unwrap();
    }
    while store.write_mods().unwrap() {}
    store.layers().map(|layer| layer.path()).take(2).collect()
}

type Answer = Result<BTreeMap<i64, Value>, String>;

/// The rows of a series, or why there is no answer.
fn answer<S: Storage>(snapshot: &Snapshot<S>, device: &str, times: (i64, i64)) -> Answer {
    let device = Device::tree(device);
    let patterns = vec![Pattern::Device(device.clone())];
    let scan = Scan { patterns, measurements: None, times: times.0..=times.1 };
    let read = || -> Result<_, StoreError> {
        let opened = snapshot.device(&device, &scan)?;
        let (mut rows, mut batch, mut found) = (opened.rows()?, Batch::default(), BTreeMap::new());
        while opened.next_into(&mut rows, &mut batch)? {
            let cells = batch.columns[0].cells();
            let cells = batch.times.iter().zip(cells);
            found.extend(cells.filter_map(|(time, cell)| Some((*time, cell?))));
        }
        Ok(found)
    };
    read().map_err(|error| {
        assert!(error.is_of_damage() && !error.is_vanished(), "{error}");
        error.to_string()
    })
}

const ALL: (i64, i64) = (i64::MIN, i64::MAX);

fn answers<S: Storage>(snapshot: &Snapshot<S>) -> Vec<Answer> {
    ["root.a.d", DEVICES[0], DEVICES[1]].map(|device| answer(snapshot, device, ALL)).to_vec()
}

/// What can become of a list, and whether the part of `own_bytes` at its beginning is not as it was.
fn damages(list: &[u8], own_bytes: usize) -> Vec<(String, Option<Vec<u8>>, bool)> {
    let mut all = vec![("missing".to_owned(), None, true)];
    for length in 0..list.len() {
        all.push((format!("cut to {length}"), Some(list[..length].to_vec()), length < own_bytes));
    }
    for at in 0..list.len() {
        for byte in [0, b'\n', list[at] ^ 1, list[at] ^ 0x10, list[at] ^ 0x80] {
            if byte == list[at] {
                continue;
            }
            let mut bytes = list.to_vec();
            bytes[at] = byte;
            all.push((format!("{byte:02x} at {at}"), Some(bytes), at < own_bytes));
        }
    }
    all.push(("longer".to_owned(), Some([list, &list[..20]].concat()), false));
    all.push(("zeros behind".to_owned(), Some([list, &[0; 9][..]].concat()), false));
    all
}

fn look(root: &Path, on_damage: OnDamage) -> Snapshot<tidegate_durable::DirStorage> {
    Look::at_with(root, on_damage).unwrap().unwrap().snapshot
}

#[test]
fn whatever_becomes_of_a_list_whoever_looks_gets_the_same_rows_or_a_refusal_that_names_it() {
    for kind in [ModsKind::Text, ModsKind::Binary] {
        let root = tempfile::tempdir().unwrap();
        let mut opened = Store::open(DirVolume::new(root.path()), Options::default(), 1).unwrap();
        opened.begin_spool([1; 16]).unwrap();
        let paths = fill(&mut opened, kind, |name, bytes| {
            let path = root.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        });
        drop(opened);
        assert_eq!(check(root.path()).unwrap().unwrap().findings, []);
        let path = paths[0].clone() + kind.suffix();
        let file = root.path().join(&path);
        let list = fs::read(&file).unwrap();
        let own_bytes = own_list(kind, 0).len();
        assert!(list.len() > own_bytes && list.starts_with(&own_list(kind, 0)));
        let expected = answers(&look(root.path(), OnDamage::Fail));
        assert!(expected.iter().all(|it| it.as_ref().is_ok_and(|rows| !rows.is_empty())));
        for (context, bytes, is_lost) in damages(&list, own_bytes) {
            match &bytes {
                Some(bytes) => fs::write(&file, bytes).unwrap(),
                None => fs::remove_file(&file).unwrap(),
            }
            let strict = look(root.path(), OnDamage::Fail);
            let found = answers(&strict);
            let lenient = look(root.path(), OnDamage::LeaveOut);
            assert_eq!(answer(&lenient, "root.a.d", ALL), expected[0], "{context}");
            assert_eq!(lenient.left_out(), [], "{context}: nobody needs the list");
            let findings = check(root.path()).unwrap().unwrap().findings;
            if !is_lost {
                assert_eq!(found, expected, "{context}");
                assert!(findings.iter().all(|it| it.0 == path), "{context}: {findings:?}");
                // a whole copy that is not there may be still to be written
                let is_whole = bytes.is_some_and(|it| it.len() == own_bytes);
                assert_eq!(findings.len(), usize::from(!is_whole), "{context}: {findings:?}");
                continue;
            }
            assert_eq!(found[0], expected[0], "{context}");
            for refused in &found[1..] {
                let refused = refused.as_ref().unwrap_err();
                assert!(refused.contains(&path), "{context}: {refused}");
            }
            for device in DEVICES {
                assert!(answer(&strict, device, (200, 2000)).is_ok(), "{context}: other times");
                let rows = answer(&lenient, device, ALL).unwrap();
                assert!(rows.keys().all(|time| *time >= 1000), "{context}: {rows:?}");
            }
            assert_eq!(lenient.left_out().len(), 1, "{context}");
            assert!(findings.len() == 1 && findings[0].0 == path, "{context}: {findings:?}");
        }
        fs::write(&file, &list).unwrap();
        assert_eq!(answers(&look(root.path(), OnDamage::Fail)), expected);
    }
}

/// The names of what lies there, and what is in it.
fn content(volume: &SimVolume) -> BTreeMap<String, Vec<u8>> {
    let names = volume.disk.list().unwrap();
    let all = names.into_iter().filter(|name| !name.as_str().ends_with("_catalog"));
    all.map(|name| (name.to_string(), volume.disk.content(&name).unwrap())).collect()
}

#[test]
fn whatever_becomes_of_a_list_a_store_merges_no_row_that_is_deleted_and_has_all_once_it_is_back() {
    for kind in [ModsKind::Text, ModsKind::Binary] {
        let volume = SimVolume::new(SimStorage::new());
        let mut opened = store(&volume);
        let paths = fill(&mut opened, kind, |name, bytes| volume.stage(name, bytes));
        let expected = answers(&opened.snapshot());
        drop(opened);
        let before = content(&volume);
        let path = paths[0].clone() + kind.suffix();
        let name = volume.disk_name(&path);
        let list = volume.disk.content(&name).unwrap();
        for (context, bytes, is_lost) in damages(&list, own_list(kind, 0).len()) {
            let volume = volume.on(volume.disk.restarted());
            match bytes.clone() {
                Some(bytes) => volume.disk.set_content(&name, bytes),
                None => volume.disk.delete(&name),
            }
            let mut opened = store(&volume);
            while opened.write_mods().unwrap() {}
            let faults: Vec<String> = opened.faults().into_iter().map(|it| it.item).collect();
            let lost: Vec<_> = opened.lost().map(|it| (it.path(), it.part)).collect();
            if is_lost {
                assert_eq!(faults, [&*path], "{context}");
                assert_eq!(lost, [(path.clone(), LostPart::List)], "{context}");
            } else {
                assert!(faults.is_empty() && lost.is_empty(), "{context}: {faults:?}");
                // it is written anew, and what was there is kept but where it was the beginning of it
                let mut now = content(&volume);
                let aside = now.remove(&format!("{name}.unread"));
                assert_eq!(now, before, "{context}");
                let bytes = bytes.clone().unwrap();
                let is_other = !list.starts_with(&bytes);
                assert_eq!(aside, is_other.then_some(bytes), "{context}");
                let remade = if is_other { vec![path.clone()] } else { Vec::new() };
                assert_eq!(opened.take_remade(), remade, "{context}");
            }
            while opened.merge_once().unwrap() {}
            assert_eq!(opened.layers().count(), 2, "{context}");
            let found = answers(&opened.snapshot());
            if !is_lost {
                assert_eq!(found, expected, "{context}");
                continue;
            }
            assert_eq!(found[0], expected[0], "{context}");
            assert!(found[1..].iter().all(Result::is_err), "{context}");
            assert_eq!(volume.disk.content(&name), bytes, "{context}: nobody writes there");
            volume.disk.set_content(&name, list.clone());
            assert_eq!(opened.find_lost().unwrap(), [paths[0].clone()], "{context}");
            assert_eq!(answers(&opened.snapshot()), expected, "{context}");
            while opened.merge_once().unwrap() {}
            assert_eq!(opened.layers().count(), 2, "{context}");
            assert_eq!(answers(&opened.snapshot()), expected, "{context}");
        }
    }
}

/// The daemon knew the deletions, and told of nothing before its next start.
#[test]
fn a_list_that_goes_while_its_store_is_open_is_missed_at_the_next_look() {
    let volume = SimVolume::new(SimStorage::new());
    let mut opened = store(&volume);
    let paths = fill(&mut opened, ModsKind::Text, |name, bytes| volume.stage(name, bytes));
    let expected = answers(&opened.snapshot());
    let name = volume.disk_name(&format!("{}.mods", paths[1]));
    let list = volume.disk.content(&name).unwrap();
    for damage in [None, Some(list[1..].to_vec())] {
        match damage {
            Some(bytes) => volume.disk.set_content(&name, bytes),
            None => volume.disk.delete(&name),
        }
        // a deletion that comes meanwhile is not written in the place of what is missed
        let before = volume.disk.content(&name);
        let next = opened.last_known() + 1;
        give(&mut opened, next, &delete_request("root.f.b.s", 5000, 5001));
        while opened.write_mods().unwrap() {}
        assert_eq!(volume.disk.content(&name), before);
        opened.lose_missing().unwrap();
        assert_eq!(opened.lost().count(), 1);
        assert!(answers(&opened.snapshot())[1].is_err());
        // the file goes, too, and comes back without its list
        let file = volume.disk_name(&paths[1]);
        let rows = volume.disk.content(&file).unwrap();
        volume.disk.delete(&file);
        assert_eq!(opened.find_lost().unwrap(), Vec::<String>::new());
        assert_eq!(opened.faults()[0].item, paths[1]);
        volume.disk.set_content(&file, rows);
        assert_eq!(opened.find_lost().unwrap(), Vec::<String>::new());
        assert_eq!(opened.faults()[0].item, format!("{}.mods", paths[1]));
        volume.disk.set_content(&name, list.clone());
        assert_eq!(opened.find_lost().unwrap(), [&*paths[1]]);
        assert_eq!(answers(&opened.snapshot()), expected);
    }
    // where its rows expire meanwhile it goes with them
    volume.disk.delete(&name);
    opened.lose_missing().unwrap();
    opened.expire(1050).unwrap();
    assert_eq!(opened.lost().count(), 1);
    opened.expire(1100).unwrap();
    assert_eq!((opened.lost().count(), opened.faults()), (0, Vec::new()));
    assert_eq!(content(&volume), BTreeMap::new());
}

/// A merge goes by the deletions that were there when the store was opened.
#[test]
fn a_list_that_is_damaged_behind_the_back_of_an_open_store_gets_no_row_into_a_merged_file() {
    let volume = SimVolume::new(SimStorage::new());
    let mut opened = store(&volume);
    let paths = fill(&mut opened, ModsKind::Text, |name, bytes| volume.stage(name, bytes));
    let expected = answers(&opened.snapshot());
    volume.disk.set_content(&volume.disk_name(&format!("{}.mods", paths[0])), Vec::new());
    while opened.merge_once().unwrap() {}
    assert_eq!(opened.layers().count(), 2);
    assert_eq!(answers(&opened.snapshot()), expected);
    assert_eq!(answers(&store(&volume).snapshot()), expected);
}

/// Rows that such a list deletes were in answers, and a merge kept them for good.
#[test]
fn a_list_that_arrives_damaged_is_missed_at_once_and_given_up_by_those_who_say_so() {
    let whole = own_list(ModsKind::Text, 0);
    let torn = whole[..whole.len() - 3].to_vec();
    let with_zero = String::from_utf8(whole).unwrap().replace("b.s,", "b\0s,").into_bytes();
    for arrived in [torn, with_zero] {
        let volume = SimVolume::new(SimStorage::new());
        let mut opened = store(&volume);
        let ts_file = volume.stage("a.tsfile", file_bytes(ModsKind::Text, 0));
        let mods = volume.stage("a.mods", arrived.clone());
        let mods = Some((ModsKind::Text, mods.as_path()));
        let file = ReceivedFile { ts_file: &ts_file, mods, database: None };
        assert_eq!(opened.apply_file(1, 5, &file).unwrap(), Default::default());
        let faults = opened.faults();
        assert!(faults.len() == 1 && faults[0].item.ends_with(".tsfile.mods"), "{faults:?}");
        for _ in ["when it arrives", "and later"] {
            assert_eq!(opened.faults(), faults, "in the same words");
            assert!(answers(&opened.snapshot())[1..].iter().all(Result::is_err));
            opened = store(&volume);
        }
        // what is deleted meanwhile counts once it is given up
        give(&mut opened, 2, &delete_request("root.f.b.s", 30, 40));
        assert_eq!(opened.forget_lost().unwrap(), [&*faults[0].item]);
        assert_eq!(opened.forget_lost().unwrap(), Vec::<String>::new());
        while opened.write_mods().unwrap() {}
        let name = volume.disk_name(&faults[0].item);
        let aside = volume.disk_name(&format!("{}.unread", faults[0].item));
        assert_eq!(volume.disk.content(&aside), Some(arrived));
        let text = String::from_utf8(volume.disk.content(&name).unwrap()).unwrap();
        let ends: Vec<_> = text.lines().filter_map(|line| line.split(',').next_back()).collect();
        assert_eq!(ends, ["9", "24", "40"]);
        for _ in ["now", "and after a start"] {
            assert_eq!((opened.lost().count(), opened.faults()), (0, Vec::new()));
            let found = answers(&opened.snapshot());
            assert_eq!(found[1].as_ref().unwrap().len(), 100 - 10 - 5);
            assert_eq!(found[2].as_ref().unwrap().len(), 100 - 5 - 11);
            opened = store(&volume);
        }
        opened.expire(1000).unwrap();
        assert_eq!(content(&volume).len(), 0, "and all of it goes");
    }
}

#[test]
fn lists_are_given_up_and_a_resource_made_anew_also_where_the_power_goes_meanwhile() {
    let volume = SimVolume::new(SimStorage::new());
    let mut opened = store(&volume);
    let paths = fill(&mut opened, ModsKind::Text, |name, bytes| volume.stage(name, bytes));
    let known = answers(&opened.snapshot());
    drop(opened);
    let lists: Vec<_> =
        paths.iter().map(|path| volume.disk_name(&format!("{path}.mods"))).collect();
    let torn = volume.disk.content(&lists[1]).unwrap()[..60].to_vec();
    let resource = volume.disk_name(&format!("{}.resource", paths[1]));
    let fresh = |fault: Option<u64>| {
        let disk = volume.disk.restarted();
        let disk = match fault {
            Some(at) => disk.with_fault(at, SimFault::PowerCut),
            None => disk,
        };
        disk.delete(&lists[0]);
        disk.delete(&resource);
        disk.set_content(&lists[1], torn.clone());
        volume.on(disk)
    };
    let run = |volume: &SimVolume| -> Result<Vec<String>, StoreError> {
        let mut options = Options::default();
        options.merge_files_min = 2;
        let mut opened = Store::open(volume.clone(), options, 1)?;
        let given_up = opened.forget_lost()?;
        while opened.write_mods()? {}
        while opened.merge_once()? {}
        Ok(given_up)
    };
    let whole = fresh(None);
    let before = whole.disk.changes();
    assert_eq!(run(&whole).unwrap().len(), 2);
    let n_changes = whole.disk.changes() - before;
    assert!(n_changes > 20, "{n_changes}");
    let after = store(&whole);
    let expected = answers(&after.snapshot());
    assert_eq!(after.lost().count(), 0);
    let n_rows = |answers: &[Answer]| answers.iter().map(|it| it.as_ref().unwrap().len()).sum();
    // of the first list all, of the second all but its first entry; what the catalog has stays
    let n_known: usize = n_rows(&known);
    assert_eq!(n_rows(&expected), n_known + (9 + 5 + 5 + 4) + (5 + 5 + 4));
    for at in before..before + n_changes {
        let cut = fresh(Some(at));
        assert!(run(&cut).is_err(), "{at}");
        for image in cut.disk.images(at) {
            let context = format!("cut at {at}, {}", image.label);
            let again = volume.on(image.storage);
            let opened = store(&again);
            for (found, expected) in answers(&opened.snapshot()).into_iter().zip(&expected) {
                assert!(found.is_err() || found == *expected, "{context}: {found:?}");
            }
            drop(opened);
            run(&again).unwrap();
            assert_eq!(answers(&store(&again).snapshot()), expected, "{context}");
        }
    }
}

/// A flipped byte in the name of a device hid that device.
#[test]
fn whatever_becomes_of_a_resource_answers_are_as_before_and_the_next_start_makes_it_anew() {
    for kind in [ModsKind::Text, ModsKind::Binary] {
        let root = tempfile::tempdir().unwrap();
        let open = || {
            let mut opened =
                Store::open(DirVolume::new(root.path()), Options::default(), 1).unwrap();
            opened.begin_spool([1; 16]).unwrap();
            opened
        };
        let mut opened = open();
        let stage = |name: &str, bytes: Vec<u8>| {
            let path = root.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        fill(&mut opened, kind, stage);
        let paths: Vec<String> = opened.layers().map(|layer| layer.path()).collect();
        assert_eq!(opened.take_remade(), Vec::<String>::new());
        drop(opened);
        let known = look(root.path(), OnDamage::Fail);
        let (expected, devices) = (answers(&known), known.devices(&everything()));
        // of files that came, and of one of our own
        for (number, path) in paths.iter().enumerate() {
            let path = path.clone() + ".resource";
            let file = root.path().join(&path);
            let bytes = fs::read(&file).unwrap();
            for (at, (context, damaged, _)) in damages(&bytes, 0).into_iter().enumerate() {
                match &damaged {
                    Some(damaged) => fs::write(&file, damaged).unwrap(),
                    None => fs::remove_file(&file).unwrap(),
                }
                let found = look(root.path(), OnDamage::Fail);
                assert_eq!(found.devices(&everything()), devices, "{context}");
                assert_eq!(answers(&found), expected, "{context}");
                let findings = check(root.path()).unwrap().unwrap().findings;
                let named: Vec<&str> = findings.iter().map(|it| &*it.0).collect();
                assert_eq!(named, [&*path], "{context}: {findings:?}");
                // a start takes its time on a disk
                if at % 16 == number {
                    let mut opened = open();
                    assert_eq!(opened.take_remade(), [&*path], "{context}");
                    assert_eq!(answers(&opened.snapshot()), expected, "{context}");
                    assert_eq!(opened.faults(), [], "{context}");
                    assert_eq!(fs::read(&file).unwrap(), bytes, "{context}");
                }
            }
            fs::write(&file, &bytes).unwrap();
        }
        assert_eq!(open().take_remade(), Vec::<String>::new());
    }
}

/// A record of the catalog that was damaged at its end looks as if the power had gone.
#[test]
fn a_deletion_whose_record_is_torn_counts_where_its_copies_stand() {
    for kind in [ModsKind::Text, ModsKind::Binary] {
        let volume = SimVolume::new(SimStorage::new());
        let mut opened = store(&volume);
        fill(&mut opened, kind, |name, bytes| volume.stage(name, bytes));
        let expected = answers(&opened.snapshot());
        drop(opened);
        let names = volume.disk.list().unwrap();
        let catalog = names.iter().find(|name| name.as_str().ends_with("_catalog")).unwrap();
        let whole = volume.disk.content(catalog).unwrap();
        volume.disk.set_content(catalog, whole[..whole.len() - 3].to_vec());
        for _ in ["once", "and at every start"] {
            let mut opened = store(&volume);
            assert_eq!((opened.rebuilt(), opened.n_taken_in()), (None, 0));
            assert_eq!(answers(&opened.snapshot()), expected);
            while opened.write_mods().unwrap() {}
            assert_eq!(opened.take_remade(), Vec::<String>::new());
        }
    }
}

/// Then nobody knows what it was.
#[test]
fn a_store_without_a_catalog_takes_the_lists_that_are_there_and_misses_them_from_then_on() {
    let volume = SimVolume::new(SimStorage::new());
    let mut opened = store(&volume);
    let paths = fill(&mut opened, ModsKind::Binary, |name, bytes| volume.stage(name, bytes));
    let expected = answers(&opened.snapshot());
    drop(opened);
    let names = volume.disk.list().unwrap();
    let catalog = names.iter().find(|name| name.as_str().ends_with("_catalog")).unwrap();
    volume.disk.delete(catalog);
    let resource = volume.disk_name(&format!("{}.resource", paths[1]));
    let sound = volume.disk.content(&resource).unwrap();
    volume.disk.delete(&resource);
    let mut opened = store(&volume);
    assert!(opened.rebuilt().is_some());
    assert_eq!(opened.take_remade(), [format!("{}.resource", paths[1])]);
    assert_eq!(volume.disk.content(&resource), Some(sound));
    assert_eq!(answers(&opened.snapshot()), expected);
    drop(opened);
    let name = volume.disk_name(&format!("{}.mods2", paths[0]));
    let list = volume.disk.content(&name).unwrap();
    let last = entry(ModsKind::Binary, "root.**", 2, 2).len();
    volume.disk.set_content(&name, list[..list.len() - last].to_vec());
    let opened = store(&volume);
    assert_eq!(opened.lost().map(|it| it.part).collect::<Vec<_>>(), [LostPart::List]);
    assert!(answers(&opened.snapshot())[1].is_err());
}

/// A directory in its place stands for whatever the disk does not give back.
#[test]
fn a_list_that_the_disk_does_not_give_back_stops_no_store_and_no_rebuild() {
    let root = tempfile::tempdir().unwrap();
    let open = || {
        let mut opened = Store::open(DirVolume::new(root.path()), Options::default(), 1).unwrap();
        opened.begin_spool([1; 16]).unwrap();
        opened
    };
    let mut opened = open();
    let paths = fill(&mut opened, ModsKind::Text, |name, bytes| {
        let path = root.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    });
    let expected = answers(&opened.snapshot());
    let others: Vec<String> = opened.layers().map(|layer| layer.path()).skip(2).collect();
    drop(opened);
    let unread = |path: &str| {
        let list = root.path().join(format!("{path}.mods"));
        fs::remove_file(&list).unwrap();
        fs::create_dir(&list).unwrap();
    };
    unread(&others[0]);
    let mut opened = open();
    while opened.write_mods().unwrap() {}
    assert_eq!((answers(&opened.snapshot()), opened.faults()), (expected.clone(), Vec::new()));
    drop(opened);
    unread(&paths[0]);
    let opened = open();
    assert_eq!(opened.lost().map(|it| it.part).collect::<Vec<_>>(), [LostPart::List]);
    assert!(answers(&opened.snapshot())[1].is_err());
    drop(opened);
    fs::remove_file(root.path().join("catalog")).unwrap();
    let opened = open();
    let mut lists = [&paths[0], &others[0]].map(|path| format!("{path}.mods"));
    let mut unread = opened.rebuilt().unwrap().unread.clone();
    lists.sort();
    unread.sort();
    assert_eq!(unread, lists);
    let found = answers(&opened.snapshot());
    assert_eq!(found[1].as_ref().unwrap().len(), expected[1].as_ref().unwrap().len() + 10 + 5);
}

/// The store was not opened, and with it no other one: the daemon took the target for one that is away.
#[test]
fn a_resource_that_can_be_neither_read_nor_written_stops_no_store() {
    let root = tempfile::tempdir().unwrap();
    let open = || Store::open(DirVolume::new(root.path()), Options::default(), 1).unwrap();
    let mut opened = open();
    let paths = fill(&mut opened, ModsKind::Text, |name, bytes| {
        let path = root.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    });
    let expected = answers(&opened.snapshot());
    drop(opened);
    let resource = root.path().join(format!("{}.resource", paths[0]));
    fs::remove_file(&resource).unwrap();
    fs::create_dir(&resource).unwrap();
    for _ in ["first", "and the next start"] {
        let opened = open();
        assert_eq!((answers(&opened.snapshot()), opened.faults()), (expected.clone(), Vec::new()));
    }
    fs::remove_dir(&resource).unwrap();
    assert_eq!(open().take_remade(), [format!("{}.resource", paths[0])]);
}
