//! Rows that go because they are too old, or too many.

mod support;

use std::collections::BTreeMap;

use tidegate_durable::sim::SimFault;
use tidegate_durable::sim::SimStorage;
use tidegate_model::Value;
use tidegate_store::Store;

use support::SimVolume;
use support::give;
use support::ints;
use support::rows;
use support::series;
use support::store;

/// A store with one file of an old row and one of a newer row.
fn filled(disk: SimStorage) -> (SimVolume, Store<SimVolume>) {
    let volume = SimVolume::new(disk);
    let mut store = store(&volume);
    for (sequence, time) in [(1, 1), (2, 50)] {
        give(&mut store, sequence, &rows("root.a.d", vec![time], vec![ints("s", &[1])]));
        store.flush().unwrap();
    }
    (volume, store)
}

#[test]
fn what_has_expired_is_gone_and_does_not_bring_back_what_it_had_overwritten() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    give(&mut store, 1, &rows("root.a.d", vec![1, 50], vec![ints("s", &[1, 2])]));
    store.flush().unwrap();
    give(&mut store, 2, &rows("root.a.d", vec![1], vec![ints("s", &[9])]));
    store.flush().unwrap();
    store.expire(40).unwrap();
    let left = BTreeMap::from([(50, Value::Int32(2))]);
    assert_eq!(series(&store, "root.a.d", "s"), left);
    assert_eq!(store.layers().count(), 1);
    drop(store);
    let mut store = support::store(&volume);
    assert_eq!(series(&store, "root.a.d", "s"), left, "also after a start");
    assert_eq!(store.shrink(0).unwrap(), store.layers().map(|it| it.length_bytes).sum());
    assert_eq!(series(&store, "root.a.d", "s"), left, "the newest file stays");
    store.expire(51).unwrap();
    assert_eq!(series(&store, "root.a.d", "s"), BTreeMap::new());
    assert_eq!(store.layers().count(), 0);
    assert_eq!((store.position(), store.shrink(0).unwrap()), (2, 0));
}

/// A horizon was never lowered: one wrong clock, and nothing that came later was ever seen.
#[test]
fn what_arrives_behind_an_expiry_is_there_however_far_ahead_that_one_was() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    give(&mut store, 1, &rows("root.a.d", vec![1, 50], vec![ints("s", &[1, 2])]));
    store.flush().unwrap();
    give(&mut store, 2, &rows("root.a.d", vec![60], vec![ints("s", &[3])]));
    store.expire(1_000_000).unwrap();
    assert_eq!(series(&store, "root.a.d", "s"), BTreeMap::new(), "also in memory");
    assert_eq!((store.layers().count(), store.position()), (0, 2));
    give(&mut store, 3, &rows("root.a.d", vec![10, 70], vec![ints("s", &[4, 5])]));
    let found = BTreeMap::from([(10, Value::Int32(4)), (70, Value::Int32(5))]);
    assert_eq!(series(&store, "root.a.d", "s"), found);
    store.flush().unwrap();
    give(&mut store, 4, &rows("root.a.d", vec![80], vec![ints("s", &[6])]));
    store.flush().unwrap();
    store.expire(20).unwrap();
    while store.merge_once().unwrap() {}
    let found = BTreeMap::from([(70, Value::Int32(5)), (80, Value::Int32(6))]);
    assert_eq!(series(&store, "root.a.d", "s"), found);
    drop(store);
    assert_eq!(series(&support::store(&volume), "root.a.d", "s"), found, "after a start");
}

/// Rows that were in memory only came again after a crash, and were there until the next expiry; those
/// that were flushed with newer ones stayed until then, too.
#[test]
fn rows_that_are_given_again_after_they_have_expired_are_hidden_at_once() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    let old = rows("root.a.d", vec![1, 50], vec![ints("s", &[1, 2])]);
    give(&mut store, 1, &old);
    store.expire(40).unwrap();
    let left = BTreeMap::from([(50, Value::Int32(2))]);
    assert_eq!(series(&store, "root.a.d", "s"), left);
    drop(store);
    let mut store = support::store(&volume.on(volume.disk.restarted()));
    assert_eq!(store.position(), 0);
    give(&mut store, 1, &old);
    assert_eq!(series(&store, "root.a.d", "s"), left);
    // what comes for the first time is not concerned
    give(&mut store, 2, &rows("root.a.d", vec![2], vec![ints("s", &[3])]));
    store.flush().unwrap();
    let left = BTreeMap::from([(2, Value::Int32(3)), (50, Value::Int32(2))]);
    assert_eq!(series(&store, "root.a.d", "s"), left);
}

/// Between the record of the horizon and that of the layers an interruption left layers for ever.
#[test]
fn an_expiry_that_was_interrupted_is_done_when_it_comes_again() {
    let (volume, mut store) = filled(SimStorage::new());
    let first = volume.disk.changes();
    store.expire(40).unwrap();
    for index in first..volume.disk.changes() {
        let disk = SimStorage::new().with_fault(index, SimFault::PowerCut);
        let (volume, mut store) = filled(disk);
        assert!(store.expire(40).is_err(), "{index}");
        let mut store = support::store(&volume.on(volume.disk.restarted()));
        store.expire(40).unwrap();
        assert_eq!(store.layers().count(), 1, "{index}");
    }
}

/// What expires makes the room that a flush did not find; both go on with the store that is open,
/// unless it was a sync that failed.
#[test]
fn on_a_full_disk_expiry_makes_room_and_is_itself_repeated_where_there_is_none() {
    let row = rows("root.a.d", vec![60], vec![ints("s", &[2])]);
    let (volume, mut store) = filled(SimStorage::new());
    let first = volume.disk.changes();
    give(&mut store, 3, &row);
    store.flush().unwrap();
    let flushed = volume.disk.changes();
    store.expire(40).unwrap();
    let expected = series(&store, "root.a.d", "s");
    assert_eq!(expected, BTreeMap::from([(50, Value::Int32(1)), (60, Value::Int32(2))]));
    let mut n_full = [0, 0];
    for index in first..volume.disk.changes() {
        let disk = SimStorage::new().with_fault(index, SimFault::DiskFull);
        let (volume, mut store) = filled(disk);
        give(&mut store, 3, &row);
        for step in [Store::flush, |store: &mut Store<SimVolume>| store.expire(40)] {
            let Err(error) = step(&mut store) else { continue };
            if error.is_full() {
                n_full[usize::from(index >= flushed)] += 1;
            } else {
                // a sync: nobody knows what is on the disk before the store is opened anew
                store = support::store(&volume.on(volume.disk.restarted()));
                if store.position() < 3 {
                    give(&mut store, 3, &row);
                }
            }
            store.expire(40).unwrap();
            step(&mut store).unwrap();
        }
        assert_eq!(series(&store, "root.a.d", "s"), expected, "{index}");
        assert_eq!(store.layers().filter(|layer| layer.range.end < 40).count(), 0, "{index}");
    }
    assert!(n_full[0] > 3 && n_full[1] > 0, "{n_full:?}");
}

/// Files that ended in the year 2100 were the last to go, and those of all other rows went before them.
#[test]
fn a_device_whose_clock_is_far_ahead_takes_no_newer_rows_with_it_where_there_are_too_many_bytes() {
    const AHEAD: i64 = 4_102_444_800_000;
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    for hour in 1..=8_i64 {
        let now = hour * 3_600_000;
        let requests = [
            rows("root.a.d", vec![now - 1], vec![ints("s", &[hour as i32])]),
            // of one time again and again: what was overwritten must not come back
            rows("root.a.ahead", vec![AHEAD], vec![ints("s", &[hour as i32])]),
        ];
        for (number, request) in (1..).zip(&requests) {
            let _ = store.apply_request(hour as u64 * 2 + number, now, request).unwrap();
        }
        store.flush().unwrap();
    }
    let bytes = |store: &Store<SimVolume>| store.layers().map(|it| it.length_bytes).sum::<u64>();
    assert_eq!(store.layers().count(), 16, "two partitions");
    let half = store.layers().skip(8).map(|it| it.length_bytes).sum::<u64>();
    store.shrink(half).unwrap();
    assert!(bytes(&store) <= half);
    let hours = (5..=8).map(|hour| (hour * 3_600_000 - 1, Value::Int32(hour as i32))).collect();
    assert_eq!(series(&store, "root.a.d", "s"), hours, "the newest half");
    let ahead = BTreeMap::from([(AHEAD, Value::Int32(8))]);
    assert_eq!(series(&store, "root.a.ahead", "s"), ahead);
    drop(store);
    let mut store = support::store(&volume);
    assert_eq!(series(&store, "root.a.d", "s"), hours, "also after a start");
    store.shrink(0).unwrap();
    assert_eq!(store.layers().map(|it| it.precedence).collect::<Vec<_>>(), [18]);
    assert_eq!(series(&store, "root.a.ahead", "s"), ahead);
}

/// A bound below the length of the newest file took everything, and so did one that only some of several
/// files were above that ended at the same time.
#[test]
fn files_that_end_at_the_same_time_go_one_by_one_and_the_newest_stays() {
    for n_left in 0..4 {
        let volume = SimVolume::new(SimStorage::new());
        let mut store = store(&volume);
        let request = |number: i32| {
            let columns = vec![ints(&format!("s{number}"), &[number]), ints("all", &[number])];
            rows("root.a.d", vec![50], columns)
        };
        for number in 1..=4 {
            let _ = store.apply_request(number as u64, 1000, &request(number)).unwrap();
            store.flush().unwrap();
        }
        let one = store.layers().map(|it| it.length_bytes).max().unwrap();
        let left_bytes = store.shrink(one * n_left + n_left.min(1) * 3).unwrap();
        let n_left = n_left.max(1) as usize;
        assert_eq!((store.layers().count(), left_bytes > 0), (n_left, true));
        for number in 1..=4 {
            let expected = match number as usize > 4 - n_left {
                true => BTreeMap::from([(50, Value::Int32(number))]),
                false => BTreeMap::new(),
            };
            assert_eq!(series(&store, "root.a.d", &format!("s{number}")), expected, "{n_left}");
        }
        let newest = BTreeMap::from([(50, Value::Int32(4))]);
        assert_eq!(series(&store, "root.a.d", "all"), newest);
    }
}

/// The clock of the receiver may be wrong, too: the order of arrival is what is left.
#[test]
fn a_newer_cell_never_goes_before_an_older_one_however_the_clocks_went() {
    let arrivals = [5_000, 90_000, 1, 7_000, 6_000, 80_000];
    for n_left in 0..arrivals.len() {
        let volume = SimVolume::new(SimStorage::new());
        let mut store = store(&volume);
        for (number, arrival_ms) in (1..).zip(arrivals) {
            let row = rows("root.a.d", vec![70_000], vec![ints("s", &[number])]);
            let _ = store.apply_request(number as u64, arrival_ms, &row).unwrap();
            store.flush().unwrap();
        }
        let one = store.layers().map(|it| it.length_bytes).max().unwrap();
        store.shrink(one * n_left as u64).unwrap();
        let found = series(&store, "root.a.d", "s");
        let newest = BTreeMap::from([(70_000, Value::Int32(arrivals.len() as i32))]);
        assert_eq!(found, newest, "{n_left}");
    }
}

/// What goes by age or size must not bring back what it had overwritten, whatever was merged, flushed,
/// given again or lost in between.
#[test]
fn whatever_goes_no_cell_that_is_left_is_an_older_one() {
    for seed in 0..150 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut volume = SimVolume::new(SimStorage::new());
        let mut store = store(&volume);
        let mut newest: BTreeMap<(usize, i64), i32> = BTreeMap::new();
        let mut requests = Vec::new();
        let devices = ["root.a.d", "root.a.e", "root.b.f"];
        for number in 1..=60 {
            let (device, n_rows) = (rng.usize(..devices.len()), rng.i64(1..4));
            let start = rng.i64(0..40);
            let times: Vec<i64> = (start..start + n_rows).collect();
            newest.extend(times.iter().map(|time| ((device, *time), number)));
            let values = vec![number; times.len()];
            requests.push(rows(devices[device], times, vec![ints("s", &values)]));
            // ages that clocks have told
            let give = |store: &mut Store<SimVolume>, number: usize| {
                let arrival_ms = [30, 5, 50, 1000][number % 4];
                let _ =
                    store.apply_request(number as u64, arrival_ms, &requests[number - 1]).unwrap();
            };
            give(&mut store, number as usize);
            match rng.u8(..10) {
                0..3 => store.flush().unwrap(),
                3 => while store.merge_once().unwrap() {},
                4 => store.expire(rng.i64(0..30)).unwrap(),
                5 => {
                    let bytes: u64 = store.layers().map(|it| it.length_bytes).sum();
                    let (most_bytes, before) = (rng.u64(0..=bytes), store.layers().count());
                    let left_bytes = store.shrink(most_bytes).unwrap();
                    let after = store.layers().count();
                    assert!(left_bytes <= most_bytes || after == 1, "seed {seed}, {number}");
                    assert!(after >= before.min(1), "seed {seed}, {number}");
                }
                6 => {
                    volume = volume.on(volume.disk.restarted());
                    store = support::store(&volume);
                    (store.position() as usize + 1..=number as usize)
                        .for_each(|again| give(&mut store, again));
                }
                _ => (),
            }
            for (at, device) in devices.iter().enumerate() {
                for (time, value) in series(&store, device, "s") {
                    let expected = Value::Int32(newest[&(at, time)]);
                    assert_eq!(value, expected, "seed {seed}, record {number}: {device} {time}");
                }
            }
        }
    }
}
