//! Power cut at every changing operation of a fixed spool workload: every state the disk may be
//! found in opens, and holds what was acknowledged.

mod common;

use tidegate_durable::Seq;
use tidegate_durable::Spool;
use tidegate_durable::sim::SimFault;
use tidegate_durable::sim::SimStorage;

use crate::common::Promises;
use crate::common::Workload;
use crate::common::draft;
use crate::common::payload;
use crate::common::tiny;

const STEPS: u64 = 50;

fn run(storage: &SimStorage) -> Promises {
    let mut workload = Workload::default();
    if let Ok((mut spool, recovery)) = Spool::open(storage.clone(), tiny()) {
        assert!(recovery.is_sound() && recovery.torn_tail.is_none());
        let outcome = workload.run(&mut spool, STEPS);
        assert_eq!(outcome.is_err(), storage.is_off(), "{outcome:?}");
    }
    workload.promises
}

#[test]
fn every_power_cut_keeps_every_acknowledged_record_and_nothing_foreign() {
    let whole = SimStorage::new();
    let promises = run(&whole);
    let changes = whole.changes();
    assert!((300..=600).contains(&changes), "a workload of about 500 operations, not {changes}");
    assert!(promises.acked_to() > 100);
    let mut images = 0_u64;
    let mut torn = 0_u64;
    for cut_at in 0..changes {
        let storage = SimStorage::new().with_fault(cut_at, SimFault::PowerCut);
        let promises = run(&storage);
        for image in storage.images(cut_at) {
            let context = format!("cut at {cut_at} of {changes}, {}", image.label);
            let (mut spool, recovery) = Spool::open(image.storage.clone(), tiny())
                .unwrap_or_else(|error| panic!("{context}: {error}"));
            promises.check_open(&spool, &recovery, &context);
            torn += u64::from(recovery.torn_tail.is_some());
            continue_and_cut_again(&promises, &mut spool, &image.storage, &context);
            images += 1;
        }
    }
    println!("spool: {changes} cuts, {images} images, {torn} with a torn tail");
    assert!(images > 1000 && torn > 1000, "{images} images, {torn} torn");
}

/// What is written after a recovery survives the next power cut, and so does what was recovered.
fn continue_and_cut_again(
    promises: &Promises,
    spool: &mut Spool<SimStorage>,
    storage: &SimStorage,
    context: &str,
) {
    let recovered_to = spool.durable_seq().get();
    let number = 1_000_000;
    let seq = spool.append(draft(number, &payload(number))).unwrap().get();
    assert_eq!(seq, recovered_to + 1, "{context}");
    spool.sync().unwrap();
    let first = spool.consumers().next().map(|(name, _)| name.to_owned());
    if let Some(name) = first {
        let mut consumer = spool.consumer(&name).unwrap();
        consumer.advance(Seq::new(seq)).unwrap();
        consumer.sync().unwrap();
    }
    let mut promises = promises.clone();
    promises.acked.insert(seq, number);
    for (_, tried) in promises.cursors.values_mut() {
        *tried = seq;
    }
    for unknown in promises.acked_to() + 1..seq {
        // Not acknowledged, found all the same: from now on it stays.
        assert!(promises.tried.contains_key(&unknown), "{context}");
    }
    storage.cut_power();
    let images = storage.images(1);
    let none_kept = images.iter().find(|image| image.label == "none kept").unwrap();
    let again = promises.check(&none_kept.storage, &format!("{context}, cut again"));
    assert_eq!(again.durable_seq().get(), seq, "{context}");
}
