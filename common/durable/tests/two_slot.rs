//! The two-slot record: a power cut or an error at any operation leaves the old value or the new one.

mod common;

use tidegate_durable::OpenError;
use tidegate_durable::TWO_SLOT_PAYLOAD_BYTES_MAX;
use tidegate_durable::TwoSlot;
use tidegate_durable::WriteError;
use tidegate_durable::sim::SimFault;
use tidegate_durable::sim::SimStorage;

use crate::common::name;

const WRITES: u64 = 120;

/// Values of all lengths up to the largest; each tells its number.
fn value(number: u64) -> Vec<u8> {
    let len = (number * 523 % (TWO_SLOT_PAYLOAD_BYTES_MAX as u64 - 7)) as usize;
    let mut value = number.to_le_bytes().to_vec();
    value.resize(8 + len, number as u8);
    value
}

fn number_of(payload: &[u8]) -> u64 {
    let number = u64::from_le_bytes(payload[..8].try_into().unwrap());
    assert_eq!(payload, value(number), "a value is never half of one and half of another");
    number
}

/// Writes values 1.. until something fails: the last one acknowledged and the last one tried.
fn run(storage: &SimStorage) -> (u64, u64) {
    let Ok((mut slot, content)) = TwoSlot::open(storage.clone(), name("cursor")) else {
        return (0, 0);
    };
    let first = content.payload.as_deref().map_or(0, number_of) + 1;
    for number in first..=WRITES {
        if slot.write(&value(number)).is_err() {
            return (number - 1, number);
        }
    }
    (WRITES, WRITES)
}

fn check(storage: &SimStorage, acked: u64, tried: u64, context: &str) -> u64 {
    let (_, content) = TwoSlot::open(storage.clone(), name("cursor"))
        .unwrap_or_else(|error| panic!("{context}: {error}"));
    let found = content.payload.as_deref().map_or(0, number_of);
    assert!((acked..=tried).contains(&found), "{context}: {acked} <= {found} <= {tried}");
    found
}

#[test]
fn every_power_cut_leaves_the_old_value_or_the_new_one() {
    let whole = SimStorage::new();
    run(&whole);
    let changes = whole.changes();
    let mut images = 0_u64;
    for cut_at in 0..changes {
        let storage = SimStorage::new().with_fault(cut_at, SimFault::PowerCut);
        let (acked, tried) = run(&storage);
        for image in storage.images(cut_at) {
            let context = format!("cut at {cut_at} of {changes}, {}", image.label);
            let found = check(&image.storage, acked, tried, &context);
            let (again, _) = run(&image.storage);
            assert_eq!(again, WRITES, "{context}: goes on from {found}");
            image.storage.cut_power();
            check(&image.storage.images(0)[1].storage, WRITES, WRITES, &context);
            images += 1;
        }
    }
    println!("two-slot: {changes} cuts, {images} images");
    assert!(images > 1000, "{images}");
}

#[test]
fn every_failed_operation_keeps_what_was_acknowledged() {
    let whole = SimStorage::new();
    run(&whole);
    let mut images = 0_u64;
    for index in 0..whole.changes() {
        for fault in [SimFault::DiskFull, SimFault::Io] {
            let context = format!("{fault:?} at {index}");
            let mut storage = SimStorage::new().with_fault(index, fault);
            let (mut slot, content) = match TwoSlot::open(storage.clone(), name("cursor")) {
                Ok(opened) => opened,
                Err(_) => {
                    storage = storage.restarted();
                    TwoSlot::open(storage.clone(), name("cursor")).unwrap()
                }
            };
            assert!(content.payload.is_none(), "{context}");
            let mut number = 1;
            while number <= WRITES {
                match slot.write(&value(number)) {
                    Ok(()) => number += 1,
                    Err(WriteError::DiskFull(_)) => {}
                    Err(WriteError::Fatal(_)) => {
                        let changes = storage.changes();
                        let refused = slot.write(&value(number));
                        assert!(matches!(refused, Err(WriteError::PreviousIo { .. })), "{context}");
                        assert_eq!(storage.changes(), changes, "{context}");
                        storage = storage.restarted();
                        let found = check(&storage, number - 1, number, &context);
                        number = found + 1;
                        slot = TwoSlot::open(storage.clone(), name("cursor")).unwrap().0;
                        // What the reopened record says is durable, also after a failed sync.
                        storage.cut_power();
                        for image in storage.images(index) {
                            check(&image.storage, found, found, &context);
                            images += 1;
                        }
                        storage = storage.restarted();
                        slot = {
                            drop(slot);
                            TwoSlot::open(storage.clone(), name("cursor")).unwrap().0
                        };
                    }
                    Err(error) => panic!("{context}: {error}"),
                }
            }
            storage.cut_power();
            for image in storage.images(index) {
                check(&image.storage, WRITES, WRITES, &context);
                images += 1;
            }
        }
    }
    println!("two-slot: {} changes failed twice, {images} images", whole.changes());
    assert!(images > 1000, "{images}");
}

#[test]
fn two_damaged_slots_are_an_error_and_never_a_default() {
    let storage = SimStorage::new();
    let (mut slot, _) = TwoSlot::open(storage.clone(), name("cursor")).unwrap();
    for number in 1..=3 {
        slot.write(&value(number)).unwrap();
    }
    let whole = storage.content(&name("cursor")).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        storage.set_content(&name("cursor"), bytes.clone());
        let (_, content) = TwoSlot::open(storage.clone(), name("cursor")).unwrap();
        let found = number_of(&content.payload.unwrap());
        // The newest value stands in slot 0, the one before in slot 1. Behind them is padding.
        let is_newest_hit = at < 24 + value(3).len();
        let is_older_hit = (8192..8192 + 24 + value(2).len()).contains(&at);
        assert_eq!(found, if is_newest_hit { 2 } else { 3 }, "byte {at}");
        assert_eq!(content.is_other_slot_damaged, is_newest_hit || is_older_hit, "byte {at}");
        if is_newest_hit {
            bytes[8192 + 9] ^= 4;
            storage.set_content(&name("cursor"), bytes);
            let opened = TwoSlot::open(storage.clone(), name("cursor"));
            let error = opened.map(drop).unwrap_err();
            assert!(matches!(error, OpenError::BothSlotsDamaged { .. }), "byte {at}: {error}");
            assert!(error.to_string().starts_with("cursor: "), "{error}");
        }
    }
    for len in 0..8192 {
        storage.set_content(&name("cursor"), whole[..len].to_vec());
        match TwoSlot::open(storage.clone(), name("cursor")) {
            Ok((_, content)) => {
                assert!(len >= 24 + value(3).len(), "cut to {len}");
                assert_eq!(number_of(&content.payload.unwrap()), 3, "cut to {len}");
                assert!(content.is_other_slot_damaged, "cut to {len}");
            }
            Err(error) => assert!(matches!(error, OpenError::BothSlotsDamaged { .. })),
        }
    }
}

#[test]
fn a_payload_of_the_limit_fits_and_one_more_byte_does_not() {
    let (mut slot, _) = TwoSlot::open(SimStorage::new(), name("cursor")).unwrap();
    for len in [0, 1, TWO_SLOT_PAYLOAD_BYTES_MAX - 1, TWO_SLOT_PAYLOAD_BYTES_MAX] {
        slot.write(&vec![1; len]).unwrap();
    }
    let over = slot.write(&vec![1; TWO_SLOT_PAYLOAD_BYTES_MAX + 1]);
    assert!(matches!(over, Err(WriteError::TooLarge { bytes: 4097, bytes_max: 4096 })));
    slot.write(b"goes on").unwrap();
}
