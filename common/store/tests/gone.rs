//! A store in the place of one that vanished as a whole.

mod support;

use std::collections::BTreeMap;
use std::fs;

use tidegate_durable::sim::SimFault;
use tidegate_durable::sim::SimStorage;
use tidegate_model::Value;
use tidegate_store::DirVolume;
use tidegate_store::Options;
use tidegate_store::Store;
use tidegate_store::StoreError;

use support::SimVolume;
use support::ints;
use support::rows;
use support::series;
use support::store;

/// What was in the place of a store before it is told until somebody gives it up, also when the power goes
/// and when the catalog is written anew.
#[test]
fn a_store_in_the_place_of_one_that_is_gone_says_so_until_that_is_given_up() {
    let run = |volume: &SimVolume| -> Result<(), StoreError> {
        let mut store = Store::open(volume.clone(), Options::default(), 1)?;
        if store.is_blank() {
            store.replace_gone(70)?;
        }
        assert_eq!(store.gone(), Some(70));
        store.begin_spool([1; 16])?;
        let request = rows("root.a.d", vec![1], vec![ints("s", &[5])]);
        let _ = store.apply_request(71, 5, &request)?;
        store.flush()
    };
    let whole = SimVolume::new(SimStorage::new());
    let before = whole.disk.changes();
    run(&whole).unwrap();
    for at in before..whole.disk.changes() {
        let cut = SimVolume::new(SimStorage::new().with_fault(at, SimFault::PowerCut));
        let _ = run(&cut);
        let again = cut.on(cut.disk.restarted());
        run(&again).unwrap();
        let mut store = store(&again);
        let faults = store.faults();
        assert!(faults.len() == 1 && faults[0].item == "the whole store", "{at}: {faults:?}");
        assert_eq!(store.standing().taken, 71);
        assert_eq!(store.forget_lost().unwrap(), ["the whole store, up to record 70"]);
        drop(store);
        let mut store = Store::open(again.clone(), Options::default(), 1).unwrap();
        assert_eq!((store.gone(), store.faults()), (None, Vec::new()));
        assert_eq!(store.forget_lost().unwrap(), Vec::<String>::new());
        assert_eq!(series(&store, "root.a.d", "s"), BTreeMap::from([(1, Value::Int32(5))]));
    }
}

/// Its files went into a directory that was made anew below it, without a catalog.
#[test]
fn a_store_whose_directory_is_removed_writes_nothing_in_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("store");
    let mut store = Store::open(DirVolume::new(&root), Options::default(), 1).unwrap();
    store.begin_spool([1; 16]).unwrap();
    let request = rows("root.a.d", vec![1], vec![ints("s", &[5])]);
    let _ = store.apply_request(1, 5, &request).unwrap();
    fs::remove_dir_all(&root).unwrap();
    let _ = store.flush().unwrap_err();
    assert!(!root.exists());
}
