//! Bounds, at them and above, and looking without touching.

mod common;

use tidegate_durable::AdvanceError;
use tidegate_durable::CONSUMERS_MAX;
use tidegate_durable::ConsumerError;
use tidegate_durable::Entry;
use tidegate_durable::Journal;
use tidegate_durable::OpenError;
use tidegate_durable::RecordDraft;
use tidegate_durable::Seq;
use tidegate_durable::Spool;
use tidegate_durable::SpoolOptions;
use tidegate_durable::SpoolReader;
use tidegate_durable::Storage;
use tidegate_durable::TwoSlot;
use tidegate_durable::WriteError;
use tidegate_durable::sim::SimStorage;

use crate::common::draft;
use crate::common::name;
use crate::common::payload;
use crate::common::read_all;
use crate::common::tiny;

#[test]
fn a_record_of_the_limit_fits_whatever_the_segment_and_a_larger_one_changes_nothing() {
    let options = SpoolOptions { record_bytes_max: 9000, ..tiny() };
    let storage = SimStorage::new();
    let (mut spool, _) = Spool::open(storage.clone(), options).unwrap();
    let origin = "o".repeat(255);
    let payload = vec![5; 9000 - 255];
    let fits = RecordDraft { origin: &origin, ..draft(1, &payload) };
    for seq in 1..=3 {
        assert_eq!(spool.append(fits).unwrap(), Seq::new(seq));
    }
    assert_eq!(spool.segments(), 3, "each has a segment of its own");
    let longer = format!("{origin}o");
    let payload_over = vec![5; 9001 - 255];
    let over = [
        RecordDraft { payload: &payload_over, ..fits },
        RecordDraft { origin: &longer, ..draft(1, b"") },
    ];
    for draft in over {
        assert!(matches!(spool.append(draft), Err(WriteError::TooLarge { .. })));
        assert_eq!(spool.next_seq().get(), 4);
    }
    spool.sync().unwrap();
    assert_eq!(read_all(&spool).len(), 3);
}

#[test]
fn a_spool_has_no_more_consumers_than_its_bound_and_no_handle_twice() {
    let storage = SimStorage::new();
    let (mut spool, _) = Spool::open(storage.clone(), tiny()).unwrap();
    let mut handles: Vec<_> =
        (0..CONSUMERS_MAX).map(|n| spool.consumer(&format!("{n:x<64}")).unwrap()).collect();
    assert!(matches!(spool.consumer("one-more"), Err(ConsumerError::TooMany)));
    assert!(matches!(spool.consumer("../x"), Err(ConsumerError::Name(_))));
    let first = format!("{:x<64}", 0);
    assert!(matches!(spool.consumer(&first), Err(ConsumerError::InUse)));
    assert!(matches!(spool.forget_consumer(&first), Err(ConsumerError::InUse)));
    handles.remove(0);
    spool.consumer(&first).unwrap();
    spool.forget_consumer(&first).unwrap();
    spool.forget_consumer(&first).unwrap();
    let error = spool.consumer(&"y".repeat(65)).unwrap_err();
    assert!(matches!(error, ConsumerError::NameTooLong { bytes: 65, bytes_max: 64 }), "{error}");
    spool.consumer("one-more").unwrap();
    drop((spool, handles));
    let (spool, recovery) = Spool::open(storage.clone(), tiny()).unwrap();
    assert!(recovery.is_sound());
    assert_eq!(spool.consumers().count(), CONSUMERS_MAX);
    drop(spool);
    storage.set_content(&name("foreign.cur"), Vec::new());
    let error = Spool::open(storage, tiny()).map(drop).unwrap_err();
    assert!(matches!(error, OpenError::TooManyConsumers { found: 17 }), "{error}");
}

#[test]
fn a_consumer_never_goes_back_nor_ahead_of_what_is_durable() {
    let (mut spool, _) = Spool::open(SimStorage::new(), tiny()).unwrap();
    let mut consumer = spool.consumer("loader").unwrap();
    for number in 0..4 {
        spool.append(draft(number, b"x")).unwrap();
    }
    let ahead = consumer.advance(Seq::new(1)).unwrap_err();
    assert_eq!(ahead, AdvanceError::NotDurable { durable: Seq::ZERO, to: Seq::new(1) });
    spool.sync().unwrap();
    consumer.advance(Seq::new(3)).unwrap();
    let back = consumer.advance(Seq::new(2)).unwrap_err();
    assert_eq!(back, AdvanceError::Backwards { from: Seq::new(3), to: Seq::new(2) });
    assert_eq!((consumer.position().get(), consumer.synced_position().get()), (3, 0));
}

#[test]
fn looking_changes_nothing() {
    let storage = SimStorage::new();
    let (mut spool, _) = Spool::open(storage.clone(), tiny()).unwrap();
    for number in 1..=30 {
        spool.append(draft(number, &payload(number))).unwrap();
    }
    spool.sync().unwrap();
    let (mut journal, _) = Journal::open(storage.clone(), name("journal"), 1).unwrap();
    journal.append(1, b"one").unwrap();
    journal.sync().unwrap();
    let (mut slot, _) = TwoSlot::open(storage.clone(), name("slot")).unwrap();
    slot.write(b"value").unwrap();
    let before = storage.changes();
    let mut reader = SpoolReader::inspect(storage.clone()).unwrap();
    assert_eq!((reader.first_seq().unwrap().get(), reader.durable_seq().get()), (1, 30));
    let entries = reader.read(Seq::new(1), usize::MAX, usize::MAX).unwrap();
    assert!(entries.iter().all(|entry| matches!(entry, Entry::Record(_))) && entries.len() == 30);
    let found = Journal::inspect(&storage, &name("journal")).unwrap().unwrap();
    assert_eq!((found.records.len(), found.records[0].kind), (1, 1));
    assert_eq!(Journal::inspect(&storage, &name("absent")).unwrap(), None);
    let found = TwoSlot::inspect(&storage, &name("slot")).unwrap();
    assert_eq!(found.payload.as_deref(), Some(b"value".as_slice()));
    assert_eq!(TwoSlot::inspect(&storage, &name("absent")).unwrap().payload, None);
    let empty = SpoolReader::inspect(SimStorage::new()).unwrap();
    assert_eq!((empty.first_seq().unwrap().get(), empty.durable_seq().get()), (1, 0));
    assert_eq!(storage.changes(), before);
}

#[test]
fn what_retain_has_removed_does_not_come_back() {
    let storage = SimStorage::new();
    let (mut spool, _) = Spool::open(storage.clone(), tiny()).unwrap();
    let mut consumer = spool.consumer("loader").unwrap();
    for number in 1..=30 {
        spool.append(draft(number, &payload(number))).unwrap();
    }
    consumer.advance(spool.sync().unwrap()).unwrap();
    consumer.sync().unwrap();
    assert!(spool.retain().unwrap() > 2);
    storage.cut_power();
    for image in storage.images(0) {
        let names = image.storage.list().unwrap();
        let segments = names.iter().filter(|name| name.as_str().ends_with(".seg")).count();
        assert_eq!(segments, 1, "{}: {names:?}", image.label);
    }
}
