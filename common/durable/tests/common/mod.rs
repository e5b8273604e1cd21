//! What the tests of this crate share: payloads that tell who they are, and a spool workload that
//! knows what it was promised.
#![allow(dead_code)] // each test file uses its own part

use std::collections::BTreeMap;

use tidegate_durable::Consumer;
use tidegate_durable::ConsumerError;
use tidegate_durable::Entry;
use tidegate_durable::FileName;
use tidegate_durable::OpenError;
use tidegate_durable::RecordDraft;
use tidegate_durable::Recovery;
use tidegate_durable::Seq;
use tidegate_durable::Spool;
use tidegate_durable::SpoolOptions;
use tidegate_durable::Verify;
use tidegate_durable::WriteError;
use tidegate_durable::sim::SimStorage;

pub(crate) type SimSpool = Spool<SimStorage>;

pub(crate) fn name(text: &str) -> FileName {
    FileName::new(text).unwrap()
}

/// Tiny segments and a tiny buffer, so that a short workload meets every edge.
pub(crate) fn tiny() -> SpoolOptions {
    SpoolOptions {
        segment_bytes_max: 1024 + 2600,
        record_bytes_max: 4096,
        buffer_bytes: 700,
        verify: Verify::All,
        salt: 0x5EED,
    }
}

/// A payload that carries its number; sizes from nothing to several sectors.
pub(crate) fn payload(number: u64) -> Vec<u8> {
    let len = [5, 0, 130, 600, 33, 1, 1400, 64][number as usize % 8];
    (0..len).map(|at: u64| (number.wrapping_mul(31) ^ at.wrapping_mul(7)) as u8).collect()
}

pub(crate) fn draft<'a>(number: u64, payload: &'a [u8]) -> RecordDraft<'a> {
    RecordDraft {
        kind: (number % 7) as u8,
        dialect: 2,
        flags: (number % 3) as u8,
        origin: "10.0.0.7:51034",
        connection: number.wrapping_mul(1_000_003),
        arrival_ms: 1_700_000_000_000 + number as i64,
        payload,
    }
}

/// Everything readable, from the oldest record on.
pub(crate) fn read_all(spool: &SimSpool) -> Vec<Entry> {
    let mut reader = spool.reader();
    let mut entries = Vec::new();
    let mut from = spool.first_seq();
    while from <= spool.durable_seq() {
        let batch = reader.read(from, 900, 5).unwrap();
        assert!(!batch.is_empty(), "durable records are there or are reported lost");
        from = batch.last().unwrap().last_seq().next();
        entries.extend(batch);
    }
    entries
}

/// What a caller of the spool was told, whatever happened to the disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promises {
    /// Acknowledged by a sync: these exactly.
    pub(crate) acked: BTreeMap<u64, u64>,
    /// Attempts by number: what may be found where nothing was acknowledged.
    pub(crate) tried: BTreeMap<u64, Vec<u64>>,
    /// Synced positions, and the highest one that was attempted.
    pub(crate) cursors: BTreeMap<String, (u64, u64)>,
}

impl Promises {
    pub(crate) fn acked_to(&self) -> u64 {
        self.acked.keys().next_back().copied().unwrap_or(0)
    }

    fn ack_to(&mut self, durable: Seq) {
        for seq in self.acked_to() + 1..=durable.get() {
            let number = *self.tried[&seq].last().unwrap();
            self.acked.insert(seq, number);
        }
    }

    /// Opens `storage` and holds it against the promises.
    pub(crate) fn check(&self, storage: &SimStorage, context: &str) -> SimSpool {
        let (spool, recovery) = Spool::open(storage.clone(), tiny())
            .unwrap_or_else(|error| panic!("{context}: does not open: {error}"));
        self.check_open(&spool, &recovery, context);
        spool
    }

    pub(crate) fn check_open(&self, spool: &SimSpool, recovery: &Recovery, context: &str) {
        assert!(recovery.is_sound(), "{context}: a power cut is no damage: {recovery:?}");
        let durable = spool.durable_seq().get();
        assert!(durable >= self.acked_to(), "{context}: {durable} < acked {}", self.acked_to());
        assert_eq!(spool.next_seq().get(), durable + 1, "{context}");
        let mut slowest = None;
        for (consumer, position) in spool.consumers() {
            let (_, tried) = self.cursors.get(consumer).copied().unwrap_or_default();
            assert!(position.get() <= tried.max(spool.first_seq().get() - 1), "{context}");
            slowest = slowest.min(Some(position)).or(Some(position));
        }
        for (consumer, (synced, _)) in &self.cursors {
            let found = spool.consumers().find(|(name, _)| name == consumer);
            let position = found.map(|(_, position)| position.get());
            assert!(position.is_none_or(|p| p >= *synced), "{context}: {consumer} went back");
            assert!(position.is_some() || *synced == 0, "{context}: {consumer} is forgotten");
        }
        if let Some(slowest) = slowest {
            assert!(spool.first_seq() <= slowest.next(), "{context}: a consumer lost records");
        } else {
            assert_eq!(spool.first_seq().get(), 1, "{context}: removed without a consumer");
        }
        let mut expected = spool.first_seq().get();
        for entry in read_all(spool) {
            let Entry::Record(record) = entry else { panic!("{context}: {entry:?}") };
            assert_eq!(record.seq.get(), expected, "{context}: contiguous");
            let seq = expected;
            let known = self.acked.get(&seq).map_or_else(
                || self.tried.get(&seq).cloned().unwrap_or_default(),
                |number| vec![*number],
            );
            let is_known = known.iter().any(|n| record.draft() == draft(*n, &payload(*n)));
            assert!(is_known, "{context}: record {seq} is none of {known:?}");
            expected += 1;
        }
        assert_eq!(expected, durable + 1, "{context}: nothing is missing at the end");
    }
}

/// The fixed workload: appends, group syncs, rotation, consumers that come, advance and go, removal.
#[derive(Debug, Default)]
pub(crate) struct Workload {
    pub(crate) promises: Promises,
    /// The step to be done next.
    pub(crate) step: u64,
    /// Records made so far; each has a number of its own.
    number: u64,
    consumers: BTreeMap<String, Consumer<SimStorage>>,
}

impl Workload {
    /// Runs up to step `end`; stops at the first error.
    pub(crate) fn run(&mut self, spool: &mut SimSpool, end: u64) -> Result<(), WriteError> {
        while self.step < end {
            self.one_step(spool)?;
            self.step += 1;
        }
        Ok(())
    }

    /// Moves a consumer whose handle is there already.
    pub(crate) fn consume_up_to(&mut self, who: &str, seq: Seq) {
        let consumer = self.consumers.get_mut(who).unwrap();
        consumer.advance(seq).unwrap();
        consumer.sync().unwrap();
    }

    /// Forgets handles, as a process does that ends.
    pub(crate) fn end_process(&mut self) {
        self.consumers.clear();
    }

    fn one_step(&mut self, spool: &mut SimSpool) -> Result<(), WriteError> {
        let step = self.step;
        if step == 2 || step == 20 {
            self.consumer(spool, if step == 2 { "loader" } else { "archive" })?;
        }
        for _ in 0..=step % 4 {
            let number = self.number;
            self.number += 1;
            let seq = spool.next_seq().get();
            self.promises.tried.entry(seq).or_default().push(number);
            let outcome = spool.append(draft(number, &payload(number)));
            // Starting a segment syncs, also when the append behind it fails.
            self.promises.ack_to(spool.durable_seq());
            assert_eq!(outcome?.get(), seq);
        }
        let durable = spool.sync()?;
        self.promises.ack_to(durable);
        let last = spool.read(durable, 1, 1).unwrap();
        assert_eq!(last.last().map(Entry::last_seq), Some(durable), "what is synced is readable");
        assert!(spool.read(durable.next(), 1, 1).unwrap().is_empty(), "and nothing else");
        if step > 2 {
            self.advance(spool, "loader", 1 + step % 3)?;
        }
        if step > 20 {
            self.advance(spool, "archive", 4)?;
        }
        if step % 3 == 2 {
            spool.retain()?;
        }
        if step == 40 {
            self.consumers.remove("archive");
            // From here on it may be there or not.
            self.promises.cursors.get_mut("archive").unwrap().0 = 0;
            spool.forget_consumer("archive").map_err(into_write_error)?;
        }
        Ok(())
    }

    fn consumer(&mut self, spool: &mut SimSpool, who: &str) -> Result<(), WriteError> {
        if !self.consumers.contains_key(who) {
            self.promises.cursors.entry(who.to_owned()).or_default();
            let consumer = spool.consumer(who).map_err(into_write_error)?;
            self.consumers.insert(who.to_owned(), consumer);
        }
        Ok(())
    }

    fn advance(&mut self, spool: &mut SimSpool, who: &str, by: u64) -> Result<(), WriteError> {
        if who == "archive" && self.step > 40 {
            return Ok(());
        }
        self.consumer(spool, who)?;
        let consumer = self.consumers.get_mut(who).unwrap();
        let to = (consumer.position().get() + by).min(spool.durable_seq().get());
        consumer.advance(Seq::new(to)).unwrap();
        let promise = self.promises.cursors.get_mut(who).unwrap();
        promise.1 = promise.1.max(to);
        consumer.sync()?;
        promise.0 = to;
        Ok(())
    }
}

pub(crate) fn into_write_error(error: ConsumerError) -> WriteError {
    match error {
        ConsumerError::Open(OpenError::Io(failure)) => WriteError::Fatal(failure),
        ConsumerError::Write(error) => error,
        other => panic!("the workload met {other}"),
    }
}
