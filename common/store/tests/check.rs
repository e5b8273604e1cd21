//! Whether a store is what its catalog says: every kind of damage is found and named.

mod support;

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use tidegate_store::DirVolume;
use tidegate_store::Look;
use tidegate_store::Options;
use tidegate_store::Store;
use tidegate_store::check;

use support::delete_request;
use support::ints;
use support::rows;

fn filled(root: &Path) -> Vec<PathBuf> {
    let mut store = Store::open(DirVolume::new(root), Options::default(), 1).unwrap();
    store.begin_spool([1; 16]).unwrap();
    for sequence in 1..=3 {
        let values: Vec<i32> = (0..100).map(|at| at * 7919 % 101).collect();
        let request = rows("root.a.d", (0..100).collect(), vec![ints("s", &values)]);
        let _ = store.apply_request(sequence, 5, &request).unwrap();
        store.flush().unwrap();
    }
    let _ = store.apply_request(4, 5, &delete_request("root.a.d.s", 3, 5)).unwrap();
    while store.write_mods().unwrap() {}
    store.layers().map(|layer| root.join(layer.path())).collect()
}

/// What is found once `damage` was done to the files.
fn found(damage: impl Fn(&[PathBuf])) -> Vec<(String, String)> {
    let root = tempfile::tempdir().unwrap();
    let files = filled(root.path());
    damage(&files);
    let checked = check(root.path()).unwrap().unwrap();
    checked.findings
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", file.display()))
}

#[test]
fn a_store_that_is_as_it_was_written_is_sound_and_its_points_are_counted() {
    let root = tempfile::tempdir().unwrap();
    assert!(check(root.path()).unwrap().is_none() && !Look::is_at(root.path()), "no store");
    let files = filled(root.path());
    assert!(Look::is_at(root.path()));
    fs::copy(&files[0], files[0].with_file_name("9-99-0-0.tsfile")).unwrap();
    let checked = check(root.path()).unwrap().unwrap();
    assert_eq!(checked.findings, []);
    let counts = (checked.n_files, checked.n_devices, checked.n_points, checked.n_unknown);
    assert_eq!(counts, (3, 3, 300, 1));
    fs::remove_file(root.path().join("catalog")).unwrap();
    assert!(Look::is_at(root.path()), "it is made anew by whoever opens it");
}

#[test]
fn every_kind_of_damage_to_a_store_is_found_and_names_its_file() {
    let change = |path: &Path, at: usize| {
        let mut bytes = fs::read(path).unwrap();
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= 0x40;
        fs::write(path, bytes).unwrap();
    };
    let gone = found(|files| fs::remove_file(&files[1]).unwrap());
    assert!(gone[0].1.contains("no such file"), "{gone:?}");
    let short = found(|files| {
        let bytes = fs::read(&files[1]).unwrap();
        fs::write(&files[1], &bytes[..bytes.len() - 3]).unwrap();
    });
    assert_eq!(short.len(), 1, "{short:?}");
    let page = found(|files| change(&files[1], 60));
    assert!(!page.is_empty());
    let resource = found(|files| {
        fs::copy(beside(&files[1], ".resource"), beside(&files[1], ".kept")).unwrap();
        change(&beside(&files[1], ".resource"), 10);
    });
    assert!(resource[0].1.starts_with("expected 59 bytes with CRC-32 "), "{resource:?}");
    for content in ["DELETION,root", "what\n", "DELETION,root.a.d.s,9223372036854775807,3,6\n"] {
        let mods = found(|files| fs::write(beside(&files[1], ".mods"), content).unwrap());
        assert!(mods.len() == 1 && mods[0].0.ends_with(".mods"), "{mods:?}");
        assert!(mods[0].1.starts_with("expected deletions that the catalog has"), "{mods:?}");
    }
    // its copy is a moment behind the catalog, which is no damage
    assert_eq!(found(|files| fs::remove_file(beside(&files[1], ".mods")).unwrap()), []);
    let other = found(|files| {
        fs::copy(&files[2], &files[1]).unwrap();
        let mut store = Store::open(
            DirVolume::new(files[0].ancestors().nth(6).unwrap()),
            Options::default(),
            1,
        )
        .unwrap();
        let request = rows("root.a.d", vec![1000], vec![ints("s", &[1])]);
        store.begin_spool([1; 16]).unwrap();
        let _ = store.apply_request(5, 5, &request).unwrap();
        store.flush().unwrap();
        let newest =
            files[0].ancestors().nth(6).unwrap().join(store.layers().last().unwrap().path());
        fs::copy(&files[2], newest).unwrap();
    });
    let is_of_times = |what: &&String| what.starts_with("expected times from ");
    let what = other.iter().map(|(_, what)| what).find(is_of_times);
    assert_eq!(what.unwrap(), "expected times from 1000 to 1000, but found 0 to 99");
    for (file, _) in [gone, short, page, resource].concat() {
        assert!(file.contains("-2-0-0.tsfile"), "{file}");
    }
    let catalog = found(|files| {
        let root = files[0].ancestors().nth(6).unwrap();
        let path = root.join("catalog");
        let length = fs::read(&path).unwrap().len();
        change(&path, length - 400);
    });
    assert_eq!(catalog[0].0, "catalog");
    // it was an error, and whoever read all stores stopped there
    let header = found(|files| {
        let path = files[0].ancestors().nth(6).unwrap().join("catalog");
        let length = fs::read(&path).unwrap().len();
        fs::write(&path, vec![0; length]).unwrap();
    });
    assert_eq!((header.len(), &*header[0].0), (1, "catalog"), "{header:?}");
    assert!(header[0].1.contains("header"), "{header:?}");
}
