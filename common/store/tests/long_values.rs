//! Texts and blobs that are as long as a page or longer: rows in small batches, and what they are
//! together although their statistics are not held.

mod support;

use tidegate_durable::sim::SimStorage;
use tidegate_model::DataType;
use tidegate_model::Value;
use tidegate_store::DeviceScan;
use tidegate_store::Scan;
use tidegate_store::Store;
use tidegate_tsfile::BATCH_BYTES;
use tidegate_tsfile::Batch;
use tidegate_tsfile::Statistics;
use tidegate_tsfile::Values;

use support::SimDir;
use support::SimVolume;
use support::column;
use support::everything;
use support::give;
use support::rows;
use support::store;

/// Some are long and some are short; none is as the one before.
fn value(time: i64, length: usize) -> Vec<u8> {
    let length = if time % 3 == 1 { 5 } else { length + time as usize };
    let mut value = vec![b'a' + time.rem_euclid(26) as u8; length];
    value.extend_from_slice(time.to_string().as_bytes());
    value
}

/// Gives each device rows with these times.
fn give_rows(
    store: &mut Store<SimVolume>,
    sequence: &mut u64,
    times: impl Iterator<Item = i64>,
    length: usize,
) {
    let times: Vec<i64> = times.collect();
    let values = || times.iter().map(|time| Some(Value::Bytes(value(*time, length)))).collect();
    for data_type in [DataType::Text, DataType::String, DataType::Blob] {
        let device = format!("root.l.{}", data_type.as_str().to_lowercase());
        *sequence += 1;
        let columns = vec![column("v", data_type, values())];
        give(store, *sequence, &rows(&device, times.clone(), columns));
    }
}

fn each_device(store: &Store<SimVolume>, mut check: impl FnMut(DataType, &DeviceScan<SimDir>)) {
    let snapshot = store.snapshot();
    let scan = Scan { patterns: everything(), measurements: None, times: i64::MIN..=i64::MAX };
    let devices = snapshot.devices(&scan.patterns);
    assert_eq!(devices.len(), 3);
    for device in devices {
        let opened = snapshot.device(&device, &scan).unwrap();
        check(opened.columns()[0].data_type, &opened);
    }
}

#[test]
fn what_long_texts_are_together_is_what_their_points_say() {
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    let mut sequence = 0;
    // files behind each other, the last of which has one row, and two that overlap
    for times in [0..40, 40..80, 80..81, 200..260, 210..220] {
        give_rows(&mut store, &mut sequence, times, 9000);
        store.flush().unwrap();
    }
    let times: Vec<i64> = (0..81).chain(200..260).collect();
    each_device(&store, |data_type, opened| {
        for wanted in [i64::MIN..=i64::MAX, 0..=79, 5..=70, 80..=80, 41..=205] {
            let own: Vec<i64> = times.iter().copied().filter(|it| wanted.contains(it)).collect();
            let mut values = Values::new(data_type);
            for time in &own {
                assert!(values.push(&Value::Bytes(value(*time, 9000))));
            }
            let found = opened.aggregate_between(0, &wanted).unwrap();
            let expected = Statistics::of(Some(data_type), &own, Some(&values));
            assert_eq!(found.statistics, expected, "{data_type} {wanted:?}");
            assert_eq!(found.count, own.len() as u64, "{data_type} {wanted:?}");
        }
        // the first and the last one of a chunk are all that TEXT needs, BLOB needs none
        let found = opened.aggregate_between(0, &(0..=79)).unwrap();
        match data_type {
            DataType::Text => assert!(found.n_read <= 4, "{} read", found.n_read),
            DataType::Blob => assert_eq!(found.n_read, 0),
            _ => (),
        }
    });
}

#[test]
fn batches_of_long_values_end_where_they_have_enough_and_lose_nothing() {
    const LENGTH: usize = 300 << 10;
    let volume = SimVolume::new(SimStorage::new());
    let mut store = store(&volume);
    let mut sequence = 0;
    // two files that have every other row, one behind them, and memory
    give_rows(&mut store, &mut sequence, (0..80).step_by(2), LENGTH);
    store.flush().unwrap();
    give_rows(&mut store, &mut sequence, (1..80).step_by(2), LENGTH);
    store.flush().unwrap();
    give_rows(&mut store, &mut sequence, 80..120, LENGTH);
    store.flush().unwrap();
    give_rows(&mut store, &mut sequence, 120..160, LENGTH);
    each_device(&store, |data_type, opened| {
        let mut rows = opened.rows().unwrap();
        let (mut batch, mut time, mut n_batches) = (Batch::default(), 0, 0);
        while opened.next_into(&mut rows, &mut batch).unwrap() {
            // a page of one value or more may be behind the last row that there was room for
            assert!(batch.texts_bytes() <= BATCH_BYTES + 2 * LENGTH, "{}", batch.texts_bytes());
            for (own, cell) in batch.times.iter().zip(batch.columns[0].cells()) {
                assert_eq!(*own, time);
                assert!(cell == Some(Value::Bytes(value(time, LENGTH))), "{data_type} at {time}");
                time += 1;
            }
            n_batches += 1;
        }
        assert_eq!(time, 160);
        assert!((4..=12).contains(&n_batches), "{data_type}: {n_batches} batches");
    });
}
