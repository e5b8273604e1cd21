//! Damage at rest: every bit flipped, every length, every file gone. What is touched is named, all
//! the rest is delivered, and no number is given out twice.

mod common;

use tidegate_durable::Entry;
use tidegate_durable::FileName;
use tidegate_durable::LostRange;
use tidegate_durable::LostReason;
use tidegate_durable::Recovery;
use tidegate_durable::Seq;
use tidegate_durable::Spool;
use tidegate_durable::SpoolDamage;
use tidegate_durable::SpoolOptions;
use tidegate_durable::Storage;
use tidegate_durable::Verify;
use tidegate_durable::sim::SimStorage;

use crate::common::SimSpool;
use crate::common::draft;
use crate::common::name;
use crate::common::read_all;
use crate::common::tiny;

const RECORDS: u64 = 16;
const FRAME_FIXED: usize = 32 + 20 + "10.0.0.7:51034".len();

fn body(number: u64) -> Vec<u8> {
    vec![number as u8; 30 + (number as usize * 37) % 150]
}

fn options() -> SpoolOptions {
    SpoolOptions { segment_bytes_max: 1024 + 900, ..tiny() }
}

/// A spool of a few segments; closed in good order, or left as after `kill -9`.
fn small(is_closed: bool) -> SimStorage {
    let storage = SimStorage::new();
    let (mut spool, _) = Spool::open(storage.clone(), options()).unwrap();
    let consumer = spool.consumer("loader").unwrap();
    for number in 1..=RECORDS {
        spool.append(draft(number, &body(number))).unwrap();
        if number % 2 == 0 {
            spool.sync().unwrap();
        }
    }
    assert!(spool.segments() >= 4, "{}", spool.segments());
    drop(consumer);
    if is_closed {
        spool.close().unwrap();
    }
    storage
}

/// A copy of `storage` with other bytes in one file.
fn with(storage: &SimStorage, file: &FileName, bytes: Vec<u8>) -> SimStorage {
    let copy = storage.restarted();
    copy.set_content(file, bytes);
    copy
}

fn segments(storage: &SimStorage) -> Vec<(FileName, u64, Vec<u8>)> {
    let names = storage.list().unwrap().into_iter();
    names
        .filter_map(|name| {
            let first = name.as_str().strip_suffix(".seg")?.parse().unwrap();
            let bytes = storage.content(&name).unwrap();
            Some((name, first, bytes))
        })
        .collect()
}

/// Which record byte `at` of the segment that starts with `first` belongs to.
fn record_at(first: u64, at: usize, segment_bytes: usize) -> Option<u64> {
    let mut end = 1024;
    for seq in first.. {
        end += FRAME_FIXED + body(seq).len();
        if at < end {
            return (at >= 1024).then_some(seq);
        }
        assert!(end < segment_bytes);
    }
    None
}

/// Opens, reads everything, and holds what is readable together with what is lost against all that
/// was written: the lost ranges.
fn open_and_account(storage: &SimStorage, context: &str) -> (SimSpool, Recovery, Vec<LostRange>) {
    let (spool, recovery, lost) = open_and_account_from(storage, 0, context);
    assert_eq!(lost, recovery.lost, "{context}: opening and reading tell the same");
    (spool, recovery, lost)
}

/// The same for a consumer that is done with `consumed` records at least.
fn open_and_account_from(
    storage: &SimStorage,
    consumed: u64,
    context: &str,
) -> (SimSpool, Recovery, Vec<LostRange>) {
    let (spool, recovery) = Spool::open(storage.clone(), options())
        .unwrap_or_else(|error| panic!("{context}: {error}"));
    let position = spool.consumers().next().unwrap().1;
    assert!(position.get() >= consumed, "{context}");
    let mut expected = position.next();
    let mut lost = Vec::new();
    let mut reader = spool.reader();
    while expected <= spool.durable_seq() {
        for entry in reader.read(expected, 300, 3).unwrap() {
            match &entry {
                Entry::Lost(range) => {
                    assert_eq!(range.first, expected, "{context}");
                    lost.push(*range);
                }
                Entry::Record(record) => {
                    let seq = record.seq.get();
                    assert_eq!(record.seq, expected, "{context}");
                    assert_eq!(record.draft(), draft(seq, &body(seq)), "{context}");
                }
            }
            expected = entry.last_seq().next();
        }
    }
    (spool, recovery, lost)
}

fn only(seq: u64) -> Vec<LostRange> {
    let (first, last) = (Seq::new(seq), Seq::new(seq));
    vec![LostRange { first, last, reason: LostReason::DamagedBytes }]
}

#[test]
fn a_flipped_bit_costs_the_record_it_is_in_and_is_reported() {
    let storage = small(true);
    let mut flips = 0_u64;
    for (file, first, whole) in segments(&storage) {
        for at in 0..whole.len() {
            // Header copies are mostly padding: one bit of each byte there, all bits elsewhere.
            for bit in if at < 1024 { at % 8..at % 8 + 1 } else { 0..8 } {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                let context = format!("bit {bit} of byte {at} of {file}");
                let (mut spool, recovery, lost) =
                    open_and_account(&with(&storage, &file, bytes), &context);
                assert!(!recovery.is_sound(), "{context}: is not noticed");
                let hit = record_at(first, at, whole.len());
                assert_eq!(lost, hit.map(only).unwrap_or_default(), "{context}");
                let copy = vec![SpoolDamage::HeaderCopy { file: file.clone() }];
                assert_eq!(recovery.damage, if at < 1024 { copy } else { vec![] }, "{context}");
                assert_eq!(recovery.torn_tail, None, "{context}");
                assert_eq!(spool.append(draft(1, b"")).unwrap().get(), RECORDS + 1, "{context}");
                flips += 1;
            }
        }
    }
    println!("spool: {flips} flips");
    assert!(flips > 10_000, "{flips}");
}

#[test]
fn after_a_kill_only_the_last_batch_can_be_taken_for_a_torn_tail() {
    let storage = small(false);
    let mut flips = 0_u64;
    for (file, first, whole) in segments(&storage) {
        for flip in 1024 * 8..whole.len() * 8 {
            let at = flip / 8;
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (flip % 8);
            let context = format!("bit {} of byte {at} of {file}", flip % 8);
            let (_, recovery, lost) = open_and_account(&with(&storage, &file, bytes), &context);
            let hit = record_at(first, at, whole.len()).unwrap();
            if hit > RECORDS - 2 {
                let torn = recovery.torn_tail.expect(&context);
                assert_eq!((torn.file, torn.records), (file.clone(), RECORDS - hit), "{context}");
                assert!(torn.bytes > 0 && lost.is_empty(), "{context}");
            } else {
                assert_eq!((lost, recovery.torn_tail), (only(hit), None), "{context}");
            }
            flips += 1;
        }
    }
    println!("spool: {flips} flips after a kill");
    assert!(flips > 10_000, "{flips}");
}

#[test]
fn a_segment_of_any_length_costs_what_is_cut_and_numbers_go_on() {
    let storage = small(true);
    let all = segments(&storage);
    let mut cuts = 0_u64;
    for (index, (file, first, whole)) in all.iter().enumerate() {
        let last = all.get(index + 1).map_or(RECORDS, |(_, next, _)| next - 1);
        for len in 0..whole.len() {
            let context = format!("{file} cut to {len} bytes");
            let copy = with(&storage, file, whole[..len].to_vec());
            let (mut spool, recovery, lost) = open_and_account(&copy, &context);
            assert!(!recovery.is_sound(), "{context}: is not noticed");
            let first_lost =
                if len < 1024 { *first } else { record_at(*first, len, whole.len()).unwrap() };
            let first_lost = if (512..1024).contains(&len) { *first } else { first_lost };
            assert_eq!(lost.len(), 1, "{context}: {lost:?}");
            assert_eq!((lost[0].first.get(), lost[0].last.get()), (first_lost, last), "{context}");
            let seq = spool.append(draft(3, &body(RECORDS + 1))).unwrap();
            assert_eq!(seq.get(), RECORDS + 1, "{context}: no number twice");
            spool.sync().unwrap();
            drop(spool);
            let (spool, recovery) = Spool::open(copy, options()).unwrap();
            assert_eq!(recovery.lost, lost, "{context}: the same after the next start");
            assert_eq!(spool.durable_seq(), seq, "{context}");
            cuts += 1;
        }
    }
    println!("spool: {cuts} cuts to length");
    assert!(cuts > 1000, "{cuts}");
}

#[test]
fn a_missing_segment_is_reported_with_its_range() {
    let storage = small(true);
    let all = segments(&storage);
    for verify in [Verify::All, Verify::ActiveSegment] {
        for (index, (file, first, _)) in all.iter().enumerate() {
            let last = all.get(index + 1).map_or(RECORDS, |(_, next, _)| next - 1);
            let copy = storage.restarted();
            copy.delete(file);
            let options = SpoolOptions { verify, ..options() };
            let (mut spool, recovery) = Spool::open(copy, options).unwrap();
            let (first, last) = (Seq::new(*first), Seq::new(last));
            let reason = LostReason::MissingSegment;
            let range = LostRange { first, last, reason };
            assert_eq!(recovery.lost, [range], "{verify:?} {file}");
            let start = spool.consumers().next().unwrap().1.next();
            let entries = spool.read(start, usize::MAX, usize::MAX).unwrap();
            let lost: Vec<_> = entries.iter().filter(|e| matches!(e, Entry::Lost(_))).collect();
            assert_eq!(lost, [&Entry::Lost(range)], "{verify:?} {file}");
            assert_eq!(entries.last().unwrap().last_seq().get(), RECORDS, "{verify:?} {file}");
            assert_eq!(spool.append(draft(1, b"")).unwrap().get(), RECORDS + 1);
        }
    }
    let empty = storage.restarted();
    for (file, ..) in &all {
        empty.delete(file);
    }
    let (mut spool, recovery, lost) = open_and_account(&empty, "no segment left");
    assert_eq!((recovery.lost.len(), lost[0].last.get()), (1, RECORDS));
    assert_eq!(spool.append(draft(1, b"")).unwrap().get(), RECORDS + 1, "no number twice");
}

#[test]
fn a_segment_without_any_header_is_lost_whole_and_its_numbers_stay_taken() {
    for is_closed in [true, false] {
        let storage = small(is_closed);
        let all = segments(&storage);
        for (index, (file, first, whole)) in all.iter().enumerate() {
            let mut bytes = whole.clone();
            (bytes[17], bytes[512 + 40]) = (0xEE, 0xEE);
            let context = format!("closed {is_closed}, {file}");
            let (mut spool, recovery, lost) =
                open_and_account(&with(&storage, file, bytes), &context);
            let loss = SpoolDamage::HeaderLost { file: file.clone() };
            assert_eq!(recovery.damage, [loss], "{context}");
            assert_eq!((lost.len(), lost[0].first.get()), (1, *first), "{context}");
            match all.get(index + 1) {
                Some((_, next, _)) => assert_eq!(lost[0].last.get(), next - 1, "{context}"),
                None => assert!(lost[0].last.get() >= RECORDS, "{context}"),
            }
            assert!(spool.append(draft(1, b"")).unwrap().get() > RECORDS, "{context}");
        }
    }
}

/// With less behind its header than a record, it was taken to hold none: the next segment was to get
/// its name, and the spool never opened again.
#[test]
fn a_last_segment_of_any_length_without_any_header_is_stepped_over() {
    for is_closed in [true, false] {
        let storage = small(is_closed);
        let (file, first, whole) = segments(&storage).pop().unwrap();
        for len in 0..whole.len() {
            let mut bytes = whole[..len].to_vec();
            for at in [17, 512 + 40] {
                bytes.get_mut(at).into_iter().for_each(|byte| *byte = !*byte);
            }
            let context = format!("closed {is_closed}, {len} bytes");
            let copy = with(&storage, &file, bytes);
            let (mut spool, _, lost) = open_and_account(&copy, &context);
            let next = spool.append(draft(3, &body(3))).unwrap();
            let is_taken = if is_closed { RECORDS } else { first - 1 };
            assert!(next.get() > is_taken, "{context}: {next}");
            assert!(lost.iter().all(|range| range.first.get() == first), "{context}: {lost:?}");
            spool.sync().unwrap();
            drop(spool);
            let (spool, _) = Spool::open(copy, options()).unwrap();
            assert_eq!(spool.durable_seq(), next, "{context}: also at the next start");
        }
    }
}

#[test]
fn small_files_gone_bad_bring_records_again_and_never_lose_one() {
    let storage = small(true);
    let (mut spool, _) = Spool::open(storage.clone(), options()).unwrap();
    let mut consumer = spool.consumer("loader").unwrap();
    consumer.advance(Seq::new(1)).unwrap();
    consumer.sync().unwrap();
    spool.close().unwrap();
    for (file, is_cursor) in [(name("spool.mark"), false), (name("loader.cur"), true)] {
        let whole = storage.content(&file).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            let context = format!("byte {at} of {file}");
            let (spool, recovery, lost) = open_and_account(&with(&storage, &file, bytes), &context);
            assert!(lost.is_empty() && recovery.is_sound(), "{context}: {recovery:?}");
            assert_eq!(spool.durable_seq().get(), RECORDS, "{context}");
            if at % 8192 < 24 {
                assert_eq!(recovery.damaged_slots, std::slice::from_ref(&file), "{context}");
            }
        }
        let copy = storage.restarted();
        copy.delete(&file);
        let (_, recovery, lost) = open_and_account(&copy, "deleted");
        let damage = if is_cursor {
            SpoolDamage::CursorLost { consumer: "loader".to_owned() }
        } else {
            SpoolDamage::MarkLost
        };
        assert_eq!(recovery.damage, std::slice::from_ref(&damage));
        assert!(lost.is_empty());
        let copy = with(&storage, &file, vec![0xFF; 16 * 1024]);
        let (spool, recovery, _) = open_and_account(&copy, "overwritten");
        assert_eq!(recovery.damage, [damage]);
        assert_eq!(read_all(&spool).len() as u64, RECORDS);
    }
}

#[test]
fn a_lost_cursor_keeps_holding_back_removal() {
    let storage = small(true);
    storage.delete(&name("loader.cur"));
    let (mut spool, _) = Spool::open(storage.clone(), options()).unwrap();
    assert_eq!(spool.retain().unwrap(), 0);
    let mut consumer = spool.consumer("loader").unwrap();
    assert_eq!(consumer.position(), Seq::ZERO);
    consumer.advance(Seq::new(RECORDS)).unwrap();
    assert_eq!(spool.retain().unwrap(), 0, "only a synced position counts");
    consumer.sync().unwrap();
    let sealed = spool.segments() - 1;
    assert_eq!(spool.retain().unwrap(), sealed, "never the active one");
    assert_eq!(spool.segments(), 1);
}

#[test]
fn a_synced_position_tells_damage_from_a_torn_tail_and_keeps_numbers_taken() {
    let storage = SimStorage::new();
    let (mut spool, _) = Spool::open(storage.clone(), options()).unwrap();
    let mut consumer = spool.consumer("loader").unwrap();
    for number in 1..=3 {
        spool.append(draft(number, &body(number))).unwrap();
    }
    spool.sync().unwrap();
    consumer.advance(Seq::new(1)).unwrap();
    consumer.sync().unwrap();
    drop(spool);
    let (file, _, whole) = segments(&storage).remove(0);
    for len in 1024..whole.len() {
        let context = format!("cut to {len}");
        let copy = with(&storage, &file, whole[..len].to_vec());
        let (mut spool, recovery, _) = open_and_account_from(&copy, 1, &context);
        assert_eq!((recovery.lost.len(), recovery.torn_tail), (1, None), "{context}");
        assert_eq!(recovery.lost[0].last.get(), 3, "{context}");
        assert_eq!(spool.append(draft(9, b"")).unwrap().get(), 4, "{context}: no number twice");
    }
}

#[test]
fn a_position_lost_in_the_process_that_made_it_is_noticed() {
    let storage = SimStorage::new();
    let (mut spool, _) = Spool::open(storage.clone(), options()).unwrap();
    spool.consumer("loader").unwrap();
    drop(spool);
    storage.delete(&name("loader.cur"));
    let (spool, recovery) = Spool::open(storage, options()).unwrap();
    assert_eq!(recovery.damage, [SpoolDamage::CursorLost { consumer: "loader".to_owned() }]);
    assert_eq!(spool.consumers().count(), 1);
}
