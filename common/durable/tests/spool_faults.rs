//! An I/O error at every operation of the spool workload: no panic, no false acknowledgement. A full
//! disk is survived, a failed device or sync ends the spool until it is opened anew.

mod common;

use tidegate_durable::Entry;
use tidegate_durable::OpenError;
use tidegate_durable::Spool;
use tidegate_durable::SpoolOptions;
use tidegate_durable::WriteError;
use tidegate_durable::sim::SimFault;
use tidegate_durable::sim::SimStorage;

use crate::common::Promises;
use crate::common::SimSpool;
use crate::common::Workload;
use crate::common::draft;
use crate::common::tiny;

const STEPS: u64 = 50;

/// Runs the workload to its end through whatever fails: how often the spool was opened, and the
/// disk as it is in the end.
fn run_through(mut storage: SimStorage, context: &str) -> (Promises, SimStorage, u32) {
    let mut workload = Workload::default();
    let mut opened = 0;
    'process: loop {
        opened += 1;
        assert!(opened < 5, "{context}: one fault cannot end this many processes");
        let (mut spool, recovery) = match Spool::open(storage.clone(), tiny()) {
            Ok(opened) => opened,
            Err(OpenError::Io(_)) => {
                storage = storage.restarted();
                continue;
            }
            Err(error) => panic!("{context}: {error}"),
        };
        workload.promises.check_open(&spool, &recovery, context);
        if opened > 1 {
            // What opening has shown is durable, also after a failed sync of file or directory.
            let copy = storage.restarted();
            copy.cut_power();
            for image in copy.images(1) {
                let again = workload.promises.check(&image.storage, context);
                assert_eq!(again.durable_seq(), spool.durable_seq(), "{context}, {}", image.label);
                assert!(again.consumers().eq(spool.consumers()), "{context}, {}", image.label);
            }
        }
        loop {
            let Err(error) = workload.run(&mut spool, STEPS) else {
                break 'process;
            };
            if matches!(error, WriteError::DiskFull(_)) {
                assert_eq!(spool.next_seq(), spool.durable_seq().next(), "{context}: undone");
                continue;
            }
            assert!(matches!(error, WriteError::Fatal(_)), "{context}: {error}");
            workload.end_process();
            drop(spool);
            storage = storage.restarted();
            continue 'process;
        }
    }
    workload.end_process();
    (workload.promises, storage, opened)
}

#[test]
fn every_failed_change_is_survived_without_a_false_acknowledgement() {
    let (_, whole, _) = run_through(SimStorage::new(), "no fault");
    let changes = whole.changes();
    let (mut images, mut full, mut failed) = (0_u64, 0_u64, 0_u64);
    for index in 0..changes {
        for fault in [SimFault::DiskFull, SimFault::Io] {
            let context = format!("{fault:?} at change {index} of {changes}");
            let storage = SimStorage::new().with_fault(index, fault);
            let (promises, storage, opened) = run_through(storage, &context);
            full += u64::from(opened == 1);
            failed += u64::from(opened > 1);
            assert!(promises.acked_to() > 100, "{context}: the workload reached its end");
            storage.cut_power();
            for image in storage.images(index) {
                promises.check(&image.storage, &format!("{context}, then {}", image.label));
                images += 1;
            }
        }
    }
    println!(
        "spool: {changes} changes failed twice: {full} survived, {failed} reopened, {images} images"
    );
    assert!(images > 1000 && full > 100 && failed > 100, "{images} {full} {failed}");
}

#[test]
fn every_failed_read_is_an_error_and_never_a_loss() {
    let disk = SimStorage::new();
    let (promises, disk, _) = run_through(disk, "no fault");
    let mut faults = 0_u64;
    for index in 0.. {
        let storage = disk.restarted().with_read_fault(index, SimFault::Io);
        match Spool::open(storage.clone(), tiny()) {
            Err(OpenError::Io(_)) => {
                promises.check(&storage.restarted(), &format!("read {index} failed"));
                faults += 1;
            }
            Err(error) => panic!("read {index}: {error}"),
            Ok((spool, recovery)) => {
                assert!(recovery.is_sound());
                read_through_one_fault(&spool);
                promises.check(&storage.restarted(), &format!("read {index} failed"));
                if storage.reads() <= index {
                    break;
                }
            }
        }
    }
    println!("spool: {faults} reads failed while opening");
    assert!(faults > 20, "{faults}");
}

/// A failed read of records can be made again.
fn read_through_one_fault(spool: &SimSpool) {
    let mut reader = spool.reader();
    let mut from = spool.first_seq();
    let mut failures = 0;
    while from <= spool.durable_seq() {
        match reader.read(from, 700, 3) {
            Ok(batch) => {
                assert!(batch.iter().all(|entry| matches!(entry, Entry::Record(_))));
                from = batch.last().unwrap().last_seq().next();
            }
            Err(_) => failures += 1,
        }
        assert!(failures < 2, "one fault fails one read");
    }
}

#[test]
fn a_failed_sync_or_device_refuses_everything_until_reopened() {
    for needle in ["sync 0", "write", "sync directory"] {
        let mut probe = None;
        let whole = SimStorage::new();
        run_through(whole.clone(), "probe");
        for (index, line) in whole.log().iter().enumerate().skip(60) {
            if line.contains(needle) && line.contains("seg") == (needle != "sync directory") {
                probe = Some(index as u64);
                break;
            }
        }
        let storage = SimStorage::new().with_fault(probe.unwrap(), SimFault::Io);
        let (mut spool, _) = Spool::open(storage.clone(), tiny()).unwrap();
        let error = Workload::default().run(&mut spool, STEPS).unwrap_err();
        assert!(matches!(error, WriteError::Fatal(_)), "{needle}: {error}");
        let said = error.to_string();
        assert!(said.contains("simulated EIO") && said.contains("cannot "), "{said}");
        let before = storage.changes();
        for _ in 0..3 {
            let append = spool.append(draft(1, b"x"));
            assert!(matches!(append, Err(WriteError::PreviousIo { .. })), "{needle}");
            assert!(matches!(spool.sync(), Err(WriteError::PreviousIo { .. })), "{needle}");
            assert!(matches!(spool.retain(), Err(WriteError::PreviousIo { .. })), "{needle}");
            assert!(spool.consumer("late").is_err() && spool.forget_consumer("loader").is_err());
        }
        assert_eq!(storage.changes(), before, "{needle}: the disk is not touched again");
    }
}

#[test]
fn a_full_disk_is_survived_as_soon_as_there_is_room() {
    let storage = SimStorage::new();
    let (mut spool, _) = Spool::open(storage.clone(), tiny()).unwrap();
    let big = vec![7; 900];
    storage.set_capacity_bytes(Some(60_000));
    let mut refused = 0;
    let mut acked = 0;
    for number in 0..200 {
        let outcome = spool.append(draft(number, &big)).and_then(|_| spool.sync());
        match outcome {
            Ok(seq) => acked = seq.get(),
            Err(WriteError::DiskFull(failure)) => {
                refused += 1;
                assert!(failure.file().is_some());
                assert_eq!(spool.durable_seq().get(), acked);
                if refused == 20 {
                    storage.set_capacity_bytes(None);
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((refused, acked), (20, 180));
    drop(spool);
    storage.cut_power();
    let (spool, recovery) = Spool::open(storage.images(1).remove(1).storage, tiny()).unwrap();
    assert!(recovery.is_sound() && recovery.torn_tail.is_none());
    assert_eq!(spool.durable_seq().get(), 180);
}

#[test]
fn what_a_full_disk_has_undone_never_comes_back() {
    let probe = SimStorage::new();
    Spool::open(probe.clone(), SpoolOptions::default()).unwrap();
    // The next change is the batch: half of it, two whole records, reaches the disk.
    let storage = SimStorage::new().with_fault(probe.changes(), SimFault::DiskFull);
    let (mut spool, _) = Spool::open(storage.clone(), SpoolOptions::default()).unwrap();
    for number in 0..4 {
        spool.append(draft(number, b"undone")).unwrap();
    }
    assert!(matches!(spool.sync(), Err(WriteError::DiskFull(_))));
    spool.append(draft(9, b"stands")).unwrap();
    assert_eq!(spool.sync().unwrap().get(), 1);
    drop(spool);
    storage.cut_power();
    for image in
        storage.images(3).into_iter().map(|image| image.storage).chain([storage.restarted()])
    {
        let (spool, recovery) = Spool::open(image, SpoolOptions::default()).unwrap();
        assert!(recovery.is_sound() && recovery.torn_tail.is_none(), "{recovery:?}");
        assert_eq!(spool.durable_seq().get(), 1, "only what stands");
    }
}

#[test]
fn a_segment_that_a_full_disk_has_prevented_is_never_missed() {
    let probe = SimStorage::new();
    run_through(probe.clone(), "probe");
    let heads = probe.log().into_iter().enumerate().skip(60);
    let head = heads.filter(|(_, line)| line.contains("write 1024 at 0 ")).map(|(at, _)| at).next();
    let storage = SimStorage::new().with_fault(head.unwrap() as u64, SimFault::DiskFull);
    let (mut spool, _) = Spool::open(storage.clone(), tiny()).unwrap();
    let mut workload = Workload::default();
    assert!(matches!(workload.run(&mut spool, STEPS), Err(WriteError::DiskFull(_))));
    // A smaller record still fits where the large one did not, and takes the number that the new
    // segment would have begun with.
    let segments = spool.segments();
    let seq = spool.append(draft(1, b"")).unwrap();
    spool.sync().unwrap();
    assert_eq!(spool.segments(), segments);
    workload.consume_up_to("loader", seq);
    storage.cut_power();
    for image in storage.images(5) {
        let (spool, recovery) = Spool::open(image.storage, tiny()).unwrap();
        assert!(recovery.is_sound(), "{}: {recovery:?}", image.label);
        assert_eq!(spool.durable_seq(), seq, "{}", image.label);
    }
}
