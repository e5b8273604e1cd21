//! A catalog that is damaged or gone: what files hold is there again, and nothing else.

mod support;

use std::collections::BTreeMap;

use tidegate_durable::FileName;
use tidegate_durable::Storage;
use tidegate_durable::sim::SimFault;
use tidegate_durable::sim::SimStorage;
use tidegate_model::Category;
use tidegate_model::DataType;
use tidegate_model::Tablet;
use tidegate_model::Value;
use tidegate_store::Options;
use tidegate_store::Store;

use support::Held;
use support::SimVolume;
use support::column;
use support::delete_request;
use support::everything;
use support::give;
use support::held;
use support::ints;
use support::rows;
use support::store;
use support::tablet_request;

/// The root is the first directory that a store asks for.
fn catalog(volume: &SimVolume) -> FileName {
    let names = volume.disk.list().unwrap();
    names.into_iter().find(|name| name.as_str().ends_with("_catalog")).unwrap()
}

fn all(store: &Store<SimVolume>) -> Held {
    held(&store.snapshot(), &everything(), (i64::MIN, i64::MAX))
}

fn table_row(time: i64) -> Vec<u8> {
    let text = Some(Value::Bytes(b"a".to_vec()));
    let mut tag = column("line", DataType::String, vec![text]);
    tag.category = Category::Tag;
    tablet_request(&Tablet {
        database: Some("plant".to_owned()),
        device: "pumps".to_owned(),
        aligned: true,
        times: vec![time],
        columns: vec![tag, ints("s", &[5])],
    })
}

/// Layers that were flushed and merged, with overwritten cells, and if wanted a deletion.
fn filled(disk: SimStorage, with_deletion: bool) -> (SimVolume, Held) {
    let volume = SimVolume::new(disk);
    let mut store = store(&volume);
    for sequence in 1..=12_u64 {
        let time = (sequence % 5) as i64;
        let values = [sequence as i32, 7];
        let device = if sequence % 3 == 0 { "root.b.c.d" } else { "root.a.d" };
        give(&mut store, sequence, &rows(device, vec![time, 50], vec![ints("s", &values)]));
        store.flush().unwrap();
        if sequence == 6 {
            while store.merge_once().unwrap() {}
        }
    }
    give(&mut store, 13, &table_row(3));
    store.flush().unwrap();
    if with_deletion {
        give(&mut store, 14, &delete_request("root.a.d.s", 1, 2));
    }
    let found = all(&store);
    (volume, found)
}

#[test]
fn a_store_whose_catalog_is_gone_holds_what_its_files_hold() {
    let (volume, expected) = filled(SimStorage::new(), false);
    let name = catalog(&volume);
    let catalog = volume.disk.content(&name).unwrap();
    for lost in [None, Some(Vec::new()), Some(vec![0; catalog.len()])] {
        match lost {
            None => volume.disk.delete(&name),
            Some(bytes) => volume.disk.set_content(&name, bytes),
        }
        let store = store(&volume);
        assert_eq!(all(&store), expected);
        let rebuilt = store.rebuilt().unwrap();
        assert_eq!((rebuilt.n_known, rebuilt.n_found), (0, store.layers().count()));
        assert!(rebuilt.unnamed.is_empty() && rebuilt.unread.is_empty(), "{rebuilt}");
        drop(store);
        let store = support::store(&volume);
        assert_eq!((all(&store), store.rebuilt()), (expected.clone(), None), "and is sound now");
        let accounts = store.faults();
        assert_eq!(accounts.last().map(|it| &*it.item), Some("catalog of the store"));
    }
}

/// Rows of records that come behind count more than those that were there.
#[test]
fn what_arrives_behind_a_catalog_that_was_made_anew_counts_more_than_what_was_there() {
    let (volume, _) = filled(SimStorage::new(), false);
    volume.disk.delete(&catalog(&volume));
    let mut store = store(&volume);
    assert_eq!(store.position(), 0);
    give(&mut store, 1, &rows("root.a.d", vec![50], vec![ints("s", &[1000])]));
    store.flush().unwrap();
    let found = support::series(&store, "root.a.d", "s");
    assert_eq!(found.get(&50), Some(&Value::Int32(1000)));
}

/// A record that was damaged at its end looks as if the power had gone.
#[test]
fn files_that_a_torn_catalog_does_not_name_are_taken_in_and_counted() {
    let (volume, expected) = filled(SimStorage::new(), false);
    let name = catalog(&volume);
    let mut torn = volume.disk.content(&name).unwrap();
    torn.truncate(torn.len() - 3);
    assert_eq!(store(&volume).n_taken_in(), 0);
    volume.disk.set_content(&name, torn);
    let opened = store(&volume);
    assert_eq!((opened.n_taken_in(), opened.rebuilt()), (1, None));
    assert_eq!(all(&opened), expected);
}

#[test]
fn whatever_byte_of_a_catalog_is_damaged_no_row_of_a_file_is_lost_and_none_is_made_up() {
    let (_, undeleted) = filled(SimStorage::new(), false);
    let n_rebuilt: usize = [false, true]
        .into_iter()
        .map(|with_deletion| damage_everywhere(with_deletion, &undeleted))
        .sum();
    assert!(n_rebuilt > 100, "{n_rebuilt}");
}

/// Returns how often the catalog was made anew. The last record adds a layer, or a deletion.
fn damage_everywhere(with_deletion: bool, undeleted: &Held) -> usize {
    let (volume, expected) = filled(SimStorage::new(), with_deletion);
    let name = catalog(&volume);
    let sound = volume.disk.content(&name).unwrap();
    let mut n_rebuilt = 0;
    for at in (0..sound.len()).step_by(13) {
        let mut damaged = sound.clone();
        damaged[at] ^= 0x55;
        let volume = volume.on(volume.disk.restarted());
        volume.disk.set_content(&name, damaged.clone());
        let mut options = Options::default();
        options.merge_files_min = 2;
        let store = Store::open(volume.clone(), options, 1).unwrap();
        let found = all(&store);
        for (key, series) in &expected {
            let own = found.get(key).unwrap_or_else(|| panic!("byte {at}: {key:?} is lost"));
            for (time, value) in series {
                assert_eq!(own.get(time), Some(value), "byte {at}: {key:?} at {time}");
            }
        }
        for (key, series) in &found {
            let none = BTreeMap::new();
            let (may, is) = (undeleted.get(key).unwrap_or(&none), series);
            assert!(is.iter().all(|(time, it)| may.get(time) == Some(it)), "byte {at}: {key:?}");
        }
        if let Some(rebuilt) = store.rebuilt() {
            n_rebuilt += 1;
            let kept = FileName::new(
                name.as_str().replace("catalog", rebuilt.kept_as.as_deref().unwrap_or("catalog")),
            );
            assert_eq!(volume.disk.content(&kept.unwrap()).unwrap(), damaged, "byte {at}");
        }
    }
    n_rebuilt
}

#[test]
fn a_file_that_cannot_be_read_is_kept_aside_and_named() {
    let (volume, _) = filled(SimStorage::new(), false);
    let store = store(&volume);
    let path = store.layers().next().unwrap().path();
    let end = path.rsplit('/').next().unwrap().to_owned();
    drop(store);
    let names = volume.disk.list().unwrap();
    let name = names.iter().find(|name| name.as_str().ends_with(&end)).unwrap();
    let mut bytes = volume.disk.content(name).unwrap();
    bytes.truncate(bytes.len() - 9);
    volume.disk.set_content(name, bytes.clone());
    volume.disk.delete(&catalog(&volume));
    for _ in 0..2 {
        let store = support::store(&volume);
        assert!(store.rebuilt().is_none_or(|it| it.unread == [path.clone()]));
        let aside = FileName::new(format!("{name}.unread")).unwrap();
        assert_eq!(volume.disk.content(&aside), Some(bytes.clone()));
    }
}

/// The store was never opened again, and the receiver took that for a target that is away.
#[test]
fn a_catalog_that_is_torn_and_names_a_file_that_is_gone_is_made_anew_and_names_the_file() {
    let (volume, expected) = filled(SimStorage::new(), true);
    let name = catalog(&volume);
    let mut torn = volume.disk.content(&name).unwrap();
    torn.truncate(torn.len() - 3);
    let path = store(&volume).layers().last().unwrap().path();
    let end = path.rsplit('/').next().unwrap();
    let names = volume.disk.list().unwrap();
    names.iter().filter(|it| it.as_str().contains(end)).for_each(|it| volume.disk.delete(it));
    volume.disk.set_content(&name, torn);
    let opened = store(&volume);
    let rebuilt = opened.rebuilt().unwrap();
    assert_eq!((&rebuilt.missing[..], rebuilt.n_found), (&[path][..], 0), "{rebuilt}");
    assert!(rebuilt.kept_as.is_some() && rebuilt.cause.contains("torn"), "{rebuilt}");
    assert!(all(&opened).len() < expected.len());
    drop(opened);
    assert!(store(&volume).rebuilt().is_none(), "and is sound now");
}

/// The names of the TsFiles on the disk of a store.
fn ts_files(volume: &SimVolume) -> usize {
    let names = volume.disk.list().unwrap();
    names.iter().filter(|name| name.as_str().ends_with(".tsfile")).count()
}

/// What a full disk kept out of the catalog lay there whole. Rows of it were deleted, and then a torn
/// catalog took it in.
#[test]
fn no_file_stays_that_the_catalog_had_no_room_for() {
    type Step = fn(&mut Store<SimVolume>) -> Result<(), tidegate_store::StoreError>;
    let merge: Step = |store| store.merge_once().map(drop);
    for (step, n_rows) in [(merge, 0), (Store::flush as Step, 1)] {
        let filled = |disk: SimStorage| {
            let (volume, _) = filled(disk, false);
            let mut opened = store(&volume);
            for sequence in 1..=n_rows {
                let devices = [("root.a.d", 1), ("root.b.c.d", 2)];
                for (device, time) in devices {
                    let request = rows(device, vec![time], vec![ints("s", &[8])]);
                    give(&mut opened, 100 + sequence, &request);
                }
            }
            (volume, opened)
        };
        let (volume, mut opened) = filled(SimStorage::new());
        let first = volume.disk.changes();
        step(&mut opened).unwrap();
        let mut n_full = 0;
        for index in first..volume.disk.changes() {
            let (volume, mut opened) =
                filled(SimStorage::new().with_fault(index, SimFault::DiskFull));
            let before = ts_files(&volume);
            let Err(error) = step(&mut opened) else { continue };
            // what was merged and could not be removed the catalog speaks of as gone
            if error.is_full() && !error.to_string().contains("cannot remove") {
                n_full += 1;
                assert_eq!(ts_files(&volume), before, "{index}: {error}");
            }
        }
        assert!(n_full > 5, "{n_full}");
    }
}

/// The catalog was durable before anybody was told that it had been made anew: where the daemon ended in
/// between, nobody was.
#[test]
fn a_rebuild_that_is_interrupted_is_done_by_the_next_start_and_told_by_every_one() {
    let (volume, expected) = filled(SimStorage::new(), false);
    let name = catalog(&volume);
    let mut damaged = volume.disk.content(&name).unwrap();
    let middle = damaged.len() - 300;
    damaged[middle] ^= 0x55;
    let first = {
        let whole = volume.on(volume.disk.restarted());
        whole.disk.set_content(&name, damaged.clone());
        let before = whole.disk.changes();
        assert!(store(&whole).rebuilt().is_some());
        before..whole.disk.changes()
    };
    assert!(!first.is_empty());
    for index in 0..first.end - first.start {
        let disk = volume.disk.restarted().with_fault(index, SimFault::PowerCut);
        disk.set_content(&name, damaged.clone());
        let volume = volume.on(disk);
        let opened = Store::open(volume.clone(), Options::default(), 1);
        let _ = opened.map(|mut store| store.begin_spool([1; 16]));
        let store = store(&volume.on(volume.disk.restarted()));
        assert_eq!(all(&store), expected, "{index}");
        let faults = store.faults();
        assert!(faults.len() == 1 && faults[0].what.contains("made anew"), "{index}: {faults:?}");
    }
}

#[test]
fn a_deletion_that_stands_beside_the_files_survives_the_loss_of_the_catalog() {
    let (volume, expected) = filled(SimStorage::new(), true);
    let mut opened = store(&volume);
    while opened.write_mods().unwrap() {}
    drop(opened);
    let n_mods = || {
        let names = volume.disk.list().unwrap();
        names.iter().filter(|name| name.as_str().ends_with(".mods")).count()
    };
    let n_written = n_mods();
    assert!(n_written > 0);
    volume.disk.delete(&catalog(&volume));
    let mut store = store(&volume);
    assert_eq!(all(&store), expected);
    while store.merge_once().unwrap() {}
    assert_eq!(all(&store), expected);
    assert!(n_mods() < n_written, "they go with their files");
}
