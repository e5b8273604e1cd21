//! Random operations against a list in memory: appends, syncs, kills, power cuts, full disks,
//! consumers, removal, reads from anywhere.

mod common;

use proptest::prelude::*;
use tidegate_durable::Consumer;
use tidegate_durable::Entry;
use tidegate_durable::Seq;
use tidegate_durable::Spool;
use tidegate_durable::WriteError;
use tidegate_durable::sim::SimStorage;

use crate::common::SimSpool;
use crate::common::draft;
use crate::common::payload;
use crate::common::tiny;

#[derive(Clone, Debug)]
enum Op {
    Advance { by: u64 },
    Append { count: u64 },
    Close,
    Full { room_bytes: u64 },
    Kill,
    PowerCut { image: usize, seed: u64 },
    Read { back: u64, bytes_max: usize, records_max: usize },
    Retain,
    Sync,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => (0_u64..9).prop_map(|by| Op::Advance { by }),
        6 => (1_u64..7).prop_map(|count| Op::Append { count }),
        1 => Just(Op::Close),
        1 => (0_u64..3000).prop_map(|room_bytes| Op::Full { room_bytes }),
        1 => Just(Op::Kill),
        1 => (any::<usize>(), any::<u64>()).prop_map(|(image, seed)| Op::PowerCut { image, seed }),
        3 => (0_u64..30, 0_usize..2000, 0_usize..9).prop_map(|(back, bytes_max, records_max)| {
            Op::Read { back, bytes_max, records_max }
        }),
        1 => Just(Op::Retain),
        4 => Just(Op::Sync),
    ]
}

/// The spool as it should be.
struct Model {
    storage: SimStorage,
    spool: SimSpool,
    consumer: Consumer<SimStorage>,
    /// Which number each record carries; index 0 is record 1.
    records: Vec<u64>,
    durable: usize,
    next_number: u64,
}

impl Model {
    fn open(storage: SimStorage) -> (SimStorage, SimSpool, Consumer<SimStorage>) {
        let (mut spool, recovery) = Spool::open(storage.clone(), tiny()).unwrap();
        assert!(recovery.is_sound(), "{recovery:?}");
        let consumer = spool.consumer("loader").unwrap();
        (storage, spool, consumer)
    }

    fn reopen(&mut self, storage: SimStorage) {
        (self.storage, self.spool, self.consumer) = Self::open(storage);
        let durable = self.spool.durable_seq().get() as usize;
        assert!((self.durable..=self.records.len()).contains(&durable), "{durable}");
        self.records.truncate(durable);
        self.durable = durable;
    }

    fn append(&mut self, count: u64) -> Result<(), WriteError> {
        for _ in 0..count {
            let number = self.next_number;
            self.next_number += 1;
            let outcome = self.spool.append(draft(number, &payload(number)));
            // A new segment syncs what stands before it.
            self.durable = self.spool.durable_seq().get() as usize;
            if outcome.is_err() {
                self.records.truncate(self.durable);
            }
            assert_eq!(outcome?.get() as usize, self.records.len() + 1);
            self.records.push(number);
        }
        Ok(())
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Advance { by } => {
                let to = (self.consumer.position().get() + by).min(self.durable as u64);
                self.consumer.advance(Seq::new(to)).unwrap();
                self.consumer.sync().unwrap();
                assert!(self.consumer.advance(Seq::new(self.durable as u64 + 1)).is_err());
            }
            Op::Append { count } => self.append(count).unwrap(),
            Op::Close => {
                self.durable = self.records.len();
                let storage = self.storage.restarted();
                let (_, other, _) = Self::open(SimStorage::new());
                std::mem::replace(&mut self.spool, other).close().unwrap();
                drop(storage);
                let images = self.storage.images(0);
                self.reopen(images.into_iter().nth(1).unwrap().storage);
            }
            Op::Full { room_bytes } => {
                let used: u64 = self.spool.bytes() + 3 * 16 * 1024;
                self.storage.set_capacity_bytes(Some(used + room_bytes));
                let outcome = self.append(3).and_then(|()| self.spool.sync().map(drop));
                self.storage.set_capacity_bytes(None);
                match outcome {
                    Ok(()) => self.durable = self.records.len(),
                    Err(WriteError::DiskFull(_)) => self.records.truncate(self.durable),
                    Err(error) => panic!("{error}"),
                }
                assert_eq!(self.spool.durable_seq().get() as usize, self.durable);
            }
            Op::Kill => self.reopen(self.storage.restarted()),
            Op::PowerCut { image, seed } => {
                let mut images = self.storage.images(seed);
                let image = images.swap_remove(image % images.len());
                self.reopen(image.storage);
            }
            Op::Read { back, bytes_max, records_max } => self.read(back, bytes_max, records_max),
            Op::Retain => drop(self.spool.retain().unwrap()),
            Op::Sync => {
                let durable = self.spool.sync().unwrap();
                self.durable = self.records.len();
                assert_eq!(durable.get() as usize, self.durable);
            }
        }
        assert_eq!(self.spool.next_seq().get() as usize, self.records.len() + 1);
        assert!(self.spool.first_seq() <= self.consumer.synced_position().next());
    }

    fn read(&self, back: u64, bytes_max: usize, records_max: usize) {
        let oldest = self.spool.first_seq().get();
        let from = (self.durable as u64 + 1).saturating_sub(back).max(oldest);
        let entries = self.spool.read(Seq::new(from), bytes_max, records_max).unwrap();
        let due = self.durable as u64 + 1 - from;
        assert_eq!(entries.is_empty(), due == 0, "at least one when there is any");
        assert!(entries.len() <= records_max.max(1));
        for (seq, entry) in (from..).zip(&entries) {
            let Entry::Record(record) = entry else { panic!("{entry:?}") };
            let number = self.records[seq as usize - 1];
            assert_eq!((record.seq.get(), record.draft()), (seq, draft(number, &payload(number))));
        }
        if bytes_max == 0 || records_max <= 1 {
            assert!(entries.len() <= 1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_leaves_what_a_list_would(ops in prop::collection::vec(op(), 1..120)) {
        let (storage, spool, consumer) = Model::open(SimStorage::new());
        let mut model =
            Model { storage, spool, consumer, records: Vec::new(), durable: 0, next_number: 1 };
        for op in ops {
            model.apply(op);
        }
        model.apply(Op::Sync);
        model.apply(Op::Read { back: 1000, bytes_max: usize::MAX, records_max: usize::MAX });
    }
}
