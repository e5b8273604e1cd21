//! The journal under power cuts, I/O errors and damage.

mod common;

use tidegate_durable::Journal;
use tidegate_durable::JournalRecovery;
use tidegate_durable::OpenError;
use tidegate_durable::Storage;
use tidegate_durable::StorageFile;
use tidegate_durable::WriteError;
use tidegate_durable::sim::SimFault;
use tidegate_durable::sim::SimStorage;

use crate::common::name;
use crate::common::payload;

const STEPS: u64 = 110;
const SALT: u32 = 77;

fn open(storage: &SimStorage) -> Result<(Journal<SimStorage>, JournalRecovery), OpenError> {
    Journal::open(storage.clone(), name("sent.journal"), SALT)
}

/// A journal workload and what it was promised: the list is `acked` followed by some first part of
/// `tried`, or, while a rewrite is under way, all of `rewritten` instead.
#[derive(Debug, Default)]
struct Workload {
    step: u64,
    number: u64,
    acked: Vec<u64>,
    tried: Vec<u64>,
    rewritten: Option<Vec<u64>>,
}

impl Workload {
    fn run(&mut self, journal: &mut Journal<SimStorage>) -> Result<(), WriteError> {
        while self.step < STEPS {
            self.one_step(journal)?;
            self.step += 1;
        }
        Ok(())
    }

    fn one_step(&mut self, journal: &mut Journal<SimStorage>) -> Result<(), WriteError> {
        if self.step % 12 == 11 {
            let kept: Vec<u64> = self.acked.iter().rev().take(5).rev().copied().collect();
            self.rewritten = Some(kept.clone());
            let records: Vec<(u8, Vec<u8>)> = kept.iter().map(|n| record(*n)).collect();
            journal.rewrite(records.iter().map(|(kind, bytes)| (*kind, bytes.as_slice())))?;
            (self.acked, self.rewritten) = (kept, None);
            return Ok(());
        }
        for _ in 0..=self.step % 3 {
            let (kind, bytes) = record(self.number);
            self.tried.push(self.number);
            self.number += 1;
            journal.append(kind, &bytes)?;
        }
        journal.sync()?;
        self.acked.append(&mut self.tried);
        Ok(())
    }

    /// The list found in `recovery` is one that was promised; it is the promise from now on.
    fn check(&mut self, recovery: &JournalRecovery, context: &str) {
        assert!(recovery.damage.is_empty(), "{context}: a power cut is no damage: {recovery:?}");
        assert!(!recovery.is_header_copy_damaged, "{context}");
        let found: Vec<(u8, Vec<u8>)> =
            recovery.records.iter().map(|r| (r.kind, r.bytes.clone())).collect();
        let list = |numbers: &[u64]| numbers.iter().map(|n| record(*n)).collect::<Vec<_>>();
        let extra = found.len().saturating_sub(self.acked.len()).min(self.tried.len());
        let kept = [self.acked.as_slice(), &self.tried[..extra]].concat();
        if found == list(&kept) {
            self.acked = kept;
        } else {
            let rewritten = self.rewritten.take();
            let is_rewritten = rewritten.as_ref().is_some_and(|r| list(r) == found);
            assert!(is_rewritten, "{context}: {} found, {kept:?} promised", found.len());
            self.acked = rewritten.unwrap();
        }
        self.tried.clear();
        self.rewritten = None;
    }
}

fn record(number: u64) -> (u8, Vec<u8>) {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend(payload(number));
    ((1 + number % 9) as u8, bytes)
}

#[test]
fn every_power_cut_keeps_the_old_list_or_the_new_one() {
    let whole = SimStorage::new();
    Workload::default().run(&mut open(&whole).unwrap().0).unwrap();
    let changes = whole.changes();
    let (mut images, mut torn) = (0_u64, 0_u64);
    for cut_at in 0..changes {
        let storage = SimStorage::new().with_fault(cut_at, SimFault::PowerCut);
        let mut workload = Workload::default();
        if let Ok((mut journal, _)) = open(&storage) {
            workload.run(&mut journal).unwrap_err();
        }
        for image in storage.images(cut_at) {
            let context = format!("cut at {cut_at} of {changes}, {}", image.label);
            let mut promised = Workload {
                acked: workload.acked.clone(),
                tried: workload.tried.clone(),
                rewritten: workload.rewritten.clone(),
                ..Workload::default()
            };
            let opened = open(&image.storage).unwrap_or_else(|e| panic!("{context}: {e}"));
            let (mut journal, recovery) = opened;
            promised.check(&recovery, &context);
            torn += u64::from(recovery.torn_bytes > 0);
            // What was recovered and what follows it survive the next cut.
            let (kind, bytes) = record(9_999);
            journal.append(kind, &bytes).unwrap();
            journal.sync().unwrap();
            promised.acked.push(9_999);
            image.storage.cut_power();
            let none_kept = &image.storage.images(0)[1];
            promised.check(&open(&none_kept.storage).unwrap().1, &format!("{context}, again"));
            images += 1;
        }
    }
    println!("journal: {changes} cuts, {images} images, {torn} with a torn tail");
    assert!(images > 1000 && torn > 100, "{images} {torn}");
}

#[test]
fn every_failed_operation_keeps_what_was_acknowledged() {
    let whole = SimStorage::new();
    Workload::default().run(&mut open(&whole).unwrap().0).unwrap();
    let (mut images, mut full) = (0_u64, 0_u64);
    for index in 0..whole.changes() {
        for fault in [SimFault::DiskFull, SimFault::Io] {
            let context = format!("{fault:?} at {index}");
            let mut storage = SimStorage::new().with_fault(index, fault);
            let mut workload = Workload::default();
            loop {
                let Ok((mut journal, recovery)) = open(&storage) else {
                    storage = storage.restarted();
                    continue;
                };
                workload.check(&recovery, &context);
                // What opening has shown is durable, also after a failed sync of file or directory.
                let copy = storage.restarted();
                copy.cut_power();
                for image in copy.images(index) {
                    workload.check(&open(&image.storage).unwrap().1, &context);
                    images += 1;
                }
                let mut outcome = workload.run(&mut journal);
                while let Err(WriteError::DiskFull(_)) = outcome {
                    full += 1;
                    // Undone: the same list as before, and room for the next attempt.
                    (workload.tried, workload.rewritten) = (Vec::new(), None);
                    outcome = workload.run(&mut journal);
                }
                let Err(error) = outcome else { break };
                assert!(matches!(error, WriteError::Fatal(_)), "{context}: {error}");
                let changes = storage.changes();
                let refusals = [
                    journal.append(1, b"x"),
                    journal.sync(),
                    journal.rewrite([(1, b"x".as_slice())]),
                    journal.close(),
                ];
                for refusal in refusals {
                    assert!(matches!(refusal, Err(WriteError::PreviousIo { .. })), "{context}");
                }
                assert_eq!(storage.changes(), changes, "{context}");
                storage = storage.restarted();
            }
            storage.cut_power();
            for image in storage.images(index) {
                workload.check(&open(&image.storage).unwrap().1, &context);
                images += 1;
            }
        }
    }
    println!("journal: {} changes failed twice, {full} survived, {images} images", whole.changes());
    assert!(images > 400 && full > 100, "{images} {full}");
}

/// Where each record's frame ends, for a journal of `numbers`.
fn frame_ends(numbers: &[u64]) -> Vec<usize> {
    let mut end = 1024;
    let ends = numbers.iter().map(|number| {
        end += 32 + 1 + record(*number).1.len();
        end
    });
    ends.collect()
}

const SMALL: [u64; 5] = [0, 4, 7, 12, 5];

/// How a small journal was written and left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Left {
    Closed,
    Rewritten,
    /// As after `kill -9`.
    Killed,
}

/// A small journal's disk, and its bytes.
fn small(left: Left) -> (SimStorage, Vec<u8>) {
    let storage = SimStorage::new();
    let (mut journal, _) = open(&storage).unwrap();
    let records: Vec<(u8, Vec<u8>)> = SMALL.iter().map(|n| record(*n)).collect();
    if left == Left::Rewritten {
        journal.rewrite(records.iter().map(|(kind, bytes)| (*kind, bytes.as_slice()))).unwrap();
    } else {
        for (kind, bytes) in &records {
            journal.append(*kind, bytes).unwrap();
            journal.sync().unwrap();
        }
    }
    if left == Left::Closed {
        journal.close().unwrap();
    }
    let bytes = storage.content(&name("sent.journal")).unwrap();
    (storage, bytes)
}

#[test]
fn a_flipped_bit_costs_the_record_it_is_in_and_is_reported() {
    let mut flips = 0_u64;
    for left in [Left::Closed, Left::Rewritten, Left::Killed] {
        let (storage, whole) = small(left);
        let ends = frame_ends(&SMALL);
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                storage.set_content(&name("sent.journal"), bytes);
                let context = format!("{left:?}: bit {bit} of byte {at}");
                let (_, recovery) = open(&storage).unwrap_or_else(|e| panic!("{context}: {e}"));
                let hit = ends.iter().position(|end| at < *end);
                let is_head = at < 1024;
                let lost = hit.filter(|_| !is_head);
                let kept: Vec<_> = (0..SMALL.len()).filter(|i| Some(*i) != lost).collect();
                let expected: Vec<_> = kept.iter().map(|i| record(SMALL[*i])).collect();
                let found: Vec<_> =
                    recovery.records.iter().map(|r| (r.kind, r.bytes.clone())).collect();
                assert_eq!(found, expected, "{context}");
                assert_eq!(recovery.is_header_copy_damaged, is_head, "{context}");
                let is_in_doubt = left == Left::Killed && lost == Some(SMALL.len() - 1);
                // A rewrite and a close end in a mark of their own.
                let is_mark = lost.is_none() && !is_head;
                if is_in_doubt || is_mark {
                    assert!(recovery.torn_bytes > 0, "{context}");
                } else if !is_head {
                    let damage = recovery.damage.first().expect(&context);
                    assert_eq!(recovery.damage.len(), 1, "{context}");
                    assert_eq!((damage.records, recovery.torn_bytes), (1, 0), "{context}");
                    assert!(
                        (damage.from_bytes..damage.to_bytes).contains(&(at as u64)),
                        "{context}"
                    );
                    assert_eq!(damage.after_records, lost.unwrap_or(0) as u64, "{context}");
                }
                flips += 1;
            }
        }
    }
    println!("journal: {flips} flips");
    assert!(flips > 10_000, "{flips}");
}

/// With damage before a torn tail, the tail may hold the only word on how far the file was synced.
/// Once it was cut, the next reader took the damage for a torn tail and dropped what was behind it.
#[test]
fn what_was_found_behind_damage_is_found_again() {
    const NUMBERS: [u64; 9] = [0, 4, 7, 12, 5, 1, 2, 3, 6];
    let storage = SimStorage::new();
    let (mut journal, _) = open(&storage).unwrap();
    for (at, number) in NUMBERS.iter().enumerate() {
        let (kind, bytes) = record(*number);
        journal.append(kind, &bytes).unwrap();
        if at % 3 == 2 {
            journal.sync().unwrap();
        }
    }
    drop(journal);
    let whole = storage.content(&name("sent.journal")).unwrap();
    let ends = frame_ends(&NUMBERS);
    let mut torn_behind_damage = 0;
    for first in 0..NUMBERS.len() {
        for second in first + 1..NUMBERS.len() {
            // in the header of a frame, and in its last byte
            for (one, other) in [(32, 32), (32, 1), (1, 32), (1, 1)] {
                let place = |frame: usize, back: usize| match back {
                    1 => ends[frame] - 1,
                    _ => frame.checked_sub(1).map_or(1024, |before| ends[before]) + 8,
                };
                let mut bytes = whole.clone();
                bytes[place(first, one)] ^= 1;
                bytes[place(second, other)] ^= 1;
                storage.set_content(&name("sent.journal"), bytes);
                let context = format!("frames {first} and {second}, {one} and {other}");
                let (_, found) = open(&storage).unwrap();
                torn_behind_damage += u32::from(found.torn_records > 0 && !found.damage.is_empty());
                let (mut journal, again) = open(&storage).unwrap();
                assert_eq!(again.records, found.records, "{context}");
                assert_eq!(again.torn_bytes, 0, "{context}");
                let (kind, bytes) = record(50);
                journal.append(kind, &bytes).unwrap();
                journal.sync().unwrap();
                let (_, last) = open(&storage).unwrap();
                assert_eq!(last.records.len(), found.records.len() + 1, "{context}");
            }
        }
    }
    assert!(torn_behind_damage > 10, "{torn_behind_damage}");
}

#[test]
fn a_journal_cut_anywhere_keeps_the_records_before_and_takes_new_ones() {
    for left in [Left::Closed, Left::Killed] {
        let (storage, whole) = small(left);
        for len in 0..whole.len() {
            storage.set_content(&name("sent.journal"), whole[..len].to_vec());
            let context = format!("{left:?}: cut to {len}");
            let (mut journal, recovery) = match open(&storage) {
                Ok(opened) => opened,
                Err(OpenError::HeaderDamaged { .. }) => {
                    assert!(len < 512, "{context}");
                    continue;
                }
                Err(error) => panic!("{context}: {error}"),
            };
            assert!(len >= 512, "{context}");
            let kept = frame_ends(&SMALL).iter().filter(|end| **end <= len).count();
            let mut expected: Vec<_> = SMALL[..kept].iter().map(|n| record(*n)).collect();
            let found = |recovery: &JournalRecovery| -> Vec<_> {
                recovery.records.iter().map(|r| (r.kind, r.bytes.clone())).collect()
            };
            assert_eq!(found(&recovery), expected, "{context}");
            assert_eq!(recovery.is_header_copy_damaged, len < 1024, "{context}");
            let (kind, bytes) = record(42);
            journal.append(kind, &bytes).unwrap();
            journal.close().unwrap();
            expected.push((kind, bytes));
            assert_eq!(found(&open(&storage).unwrap().1), expected, "{context}");
        }
    }
}

#[test]
fn a_record_that_carries_a_journal_is_never_read_as_one() {
    let (_, inner) = small(Left::Closed);
    let open = |storage: &SimStorage| {
        Journal::open(storage.clone(), name("sent.journal"), SALT + 1).unwrap()
    };
    for flip in 0..40 {
        let storage = SimStorage::new();
        let (mut journal, _) = open(&storage);
        for (kind, bytes) in [(1, b"before".as_slice()), (2, &inner), (3, b"behind")] {
            journal.append(kind, bytes).unwrap();
        }
        journal.close().unwrap();
        // Damage to the outer frame: where it ends is unknown, so the inner frames are searched.
        let mut bytes = storage.content(&name("sent.journal")).unwrap();
        bytes[1024 + 32 + 7 + flip] ^= 0x10;
        storage.set_content(&name("sent.journal"), bytes);
        let (_, recovery) = open(&storage);
        let found: Vec<u8> = recovery.records.iter().map(|record| record.kind).collect();
        assert_eq!(found, [1, 3], "byte {flip}");
        assert_eq!(recovery.damage.len(), 1, "byte {flip}");
    }
}

#[test]
fn a_journal_whose_file_was_replaced_cut_or_removed_is_not_in_place() {
    let damage: [&dyn Fn(&SimStorage); 4] = [
        &|storage| {
            let bytes = storage.content(&name("sent.journal")).unwrap();
            let mut copy = storage.create(&name("copy")).unwrap();
            copy.write_at(&bytes, 0).unwrap();
            storage.rename(&name("copy"), &name("sent.journal")).unwrap();
        },
        &|storage| {
            let mut file = storage.open(&name("sent.journal")).unwrap();
            file.truncate(file.len_bytes().unwrap() - 1).unwrap();
        },
        &|storage| storage.remove(&name("sent.journal")).unwrap(),
        &|storage| storage.rename(&name("sent.journal"), &name("elsewhere")).unwrap(),
    ];
    for damage in damage {
        let storage = SimStorage::new();
        let (mut journal, _) = open(&storage).unwrap();
        for number in 0..3 {
            let (kind, bytes) = record(number);
            journal.append(kind, &bytes).unwrap();
            journal.sync().unwrap();
            assert!(journal.is_in_place());
        }
        // its own way of replacing the file is none
        journal.rewrite([record(7)]).unwrap();
        assert!(journal.is_in_place());
        damage(&storage);
        assert!(!journal.is_in_place());
    }
}
