//! Requests in order of arrival, durable before they are acknowledged, kept until every consumer is
//! done with them.
//!
//! A spool is a directory of segments, one mark, and one cursor file per consumer. Records are
//! appended to the active segment, the last one; the others never change. A record is durable, and
//! readers see it, once the sync behind it has returned.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering;
use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::io;
use std::sync::Arc;

use crate::Consumer;
use crate::ConsumerError;
use crate::Entry;
use crate::FileName;
use crate::OpenError;
use crate::RecordDraft;
use crate::Recovery;
use crate::Seq;
use crate::SpoolReader;
use crate::Storage;
use crate::TwoSlot;
use crate::WriteError;
use crate::consumer::cursor_file;
use crate::consumer::encode_cursor;
use crate::error::Failure;
use crate::error::Operation;
use crate::frame::BODY_BYTES_MAX;
use crate::frame::FRAME_HEADER_BYTES;
use crate::frame::FileHeader;
use crate::frame::FileKind;
use crate::frame::SEQ_MAX;
use crate::log_writer::LogWriter;
use crate::log_writer::create_log;
use crate::record::BODY_FIXED_BYTES;
use crate::spool_open;

/// The most consumers of one spool.
pub const CONSUMERS_MAX: usize = 16;

/// The longest name of a consumer, so that all of them fit into the mark.
const CONSUMER_NAME_BYTES_MAX: usize = 64;

/// How much of a spool is read when it is opened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Verify {
    /// The active segment, and the heads of the others. Damage inside those shows when they are read.
    #[default]
    ActiveSegment,
    /// Every byte.
    All,
}

/// The bounds of a spool.
#[derive(Clone, Debug)]
pub struct SpoolOptions {
    /// A segment that would grow beyond this is followed by a new one; a larger record gets a
    /// segment of its own. Default 64 MiB.
    pub segment_bytes_max: u64,
    /// The largest record, payload and origin together. Default 256 MiB, at most 1 GiB.
    pub record_bytes_max: usize,
    /// Records are written out once this much is buffered. Default 1 MiB.
    pub buffer_bytes: usize,
    /// What opening reads.
    pub verify: Verify,
    /// Goes into new segments: a number that peers cannot guess. It keeps a request that carries the
    /// image of a record from being taken for one behind damage. Default: random.
    pub salt: u32,
}

impl Default for SpoolOptions {
    fn default() -> Self {
        Self {
            segment_bytes_max: 64 << 20,
            record_bytes_max: 256 << 20,
            buffer_bytes: 1 << 20,
            verify: Verify::default(),
            salt: RandomState::new().hash_one(()) as u32,
        }
    }
}

/// A segment that no longer changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed {
    pub(crate) first_seq: u64,
    pub(crate) bytes: u64,
}

/// A consumer as the spool knows it.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) name: String,
    /// Its synced position, shared with its handle.
    pub(crate) synced: Arc<AtomicU64>,
}

/// The writing end of a spool; see the crate's description. Readers and consumers are handles that
/// may live on other threads.
#[derive(Debug)]
pub struct Spool<S: Storage> {
    pub(crate) storage: S,
    pub(crate) options: SpoolOptions,
    /// In ascending order, without a gap between one and the next unless records are lost.
    pub(crate) sealed: VecDeque<Sealed>,
    pub(crate) active: LogWriter<S::File>,
    pub(crate) mark: TwoSlot<S>,
    pub(crate) consumers: Vec<Registered>,
    /// The highest durable record. Only the writer moves it, only forward.
    pub(crate) durable: Arc<AtomicU64>,
}

impl<S: Storage> Spool<S> {
    /// Opens the spool in `storage`, or makes one.
    ///
    /// Cuts off what a power cut has torn, reports what is damaged, and makes durable whatever it
    /// found intact. Segments that every consumer is done with are removed, as by [`Spool::retain`].
    /// Numbers never go back behind anything that is known to have been synced.
    pub fn open(storage: S, options: SpoolOptions) -> Result<(Self, Recovery), OpenError> {
        spool_open::open(storage, options)
    }

    /// Adds a record: its number. It is durable after the next [`Spool::sync`].
    ///
    /// After [`WriteError::DiskFull`] every record behind [`Spool::durable_seq`] is undone and its
    /// number free again. Starting a new segment syncs, so records of the same batch may be durable.
    pub fn append(&mut self, draft: RecordDraft<'_>) -> Result<Seq, WriteError> {
        self.active.refuse_if_failed()?;
        self.check_size(&draft)?;
        let frame_bytes = (FRAME_HEADER_BYTES + draft.body_bytes()) as u64;
        let is_full = self.active.len_bytes() + frame_bytes > self.options.segment_bytes_max;
        if is_full && !self.active.is_empty() {
            self.rotate()?;
        }
        self.active.append(|body| draft.encode(body)).map(Seq::new)
    }

    /// Makes every appended record durable: the number of the last one. Only now may they be
    /// acknowledged.
    ///
    /// After [`WriteError::DiskFull`] every record behind [`Spool::durable_seq`] is undone.
    pub fn sync(&mut self) -> Result<Seq, WriteError> {
        let durable = self.active.sync()?;
        let before = self.durable.swap(durable, Ordering::Release);
        assert!(before <= durable, "what is durable stays durable");
        Ok(Seq::new(durable))
    }

    /// Durable records from `from` on: see [`SpoolReader::read`]. A reader of one's own keeps its
    /// place between calls.
    pub fn read(
        &self,
        from: Seq,
        bytes_max: usize,
        records_max: usize,
    ) -> Result<Vec<Entry>, Failure> {
        self.reader().read(from, bytes_max, records_max)
    }

    /// A reader with file handles of its own, for any thread.
    pub fn reader(&self) -> SpoolReader<S> {
        SpoolReader::new(self.storage.clone(), Arc::clone(&self.durable))
    }

    /// The handle of consumer `name`. A new one starts at the oldest record that is kept, and from
    /// now on holds back [`Spool::retain`].
    pub fn consumer(&mut self, name: &str) -> Result<Consumer<S>, ConsumerError> {
        self.active.refuse_if_failed()?;
        let file = cursor_file(name)?;
        let known = self.consumers.iter().position(|consumer| consumer.name == name);
        if let Some(consumer) = known.and_then(|index| self.consumers.get(index)) {
            if Arc::strong_count(&consumer.synced) > 1 {
                return Err(ConsumerError::InUse);
            }
        } else if name.len() > CONSUMER_NAME_BYTES_MAX {
            let (bytes, bytes_max) = (name.len(), CONSUMER_NAME_BYTES_MAX);
            return Err(ConsumerError::NameTooLong { bytes, bytes_max });
        } else if self.consumers.len() >= CONSUMERS_MAX {
            return Err(ConsumerError::TooMany);
        }
        let (mut slot, content) = TwoSlot::open(self.storage.clone(), file)?;
        if content.payload.is_none() {
            let position = self.first_seq().get() - 1;
            slot.write(&encode_cursor(position, self.durable.load(Ordering::Acquire)))?;
        }
        let synced = match known.and_then(|index| self.consumers.get(index)) {
            Some(consumer) => Arc::clone(&consumer.synced),
            None => self.register(name)?,
        };
        Ok(Consumer::new(slot, synced, Arc::clone(&self.durable)))
    }

    /// Names and synced positions of all consumers.
    pub fn consumers(&self) -> impl Iterator<Item = (&str, Seq)> {
        self.consumers.iter().map(|consumer| {
            (consumer.name.as_str(), Seq::new(consumer.synced.load(Ordering::Acquire)))
        })
    }

    /// Takes consumer `name` off the list, so that it no longer holds back [`Spool::retain`].
    pub fn forget_consumer(&mut self, name: &str) -> Result<(), ConsumerError> {
        self.active.refuse_if_failed()?;
        let file = cursor_file(name)?;
        if let Some(index) = self.consumers.iter().position(|consumer| consumer.name == name) {
            if self.consumers.get(index).is_some_and(|c| Arc::strong_count(&c.synced) > 1) {
                return Err(ConsumerError::InUse);
            }
            // First the mark: a name in the mark without a file would be a lost position.
            let forgotten = self.consumers.remove(index);
            if let Err(error) = self.write_mark() {
                self.consumers.insert(index, forgotten);
                return Err(error.into());
            }
        }
        match self.storage.remove(&file) {
            Ok(()) => self.sync_dir()?,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => {
                let error = Failure::new(Operation::Remove, &file, cause).into();
                return Err(self.note(error).into());
            }
        }
        Ok(())
    }

    /// Removes the oldest segments that every consumer is done with: how many. Never the active
    /// one, and none while nobody consumes.
    pub fn retain(&mut self) -> Result<usize, WriteError> {
        self.active.refuse_if_failed()?;
        let Some(slowest) = self.consumers().map(|(_, position)| position.get()).min() else {
            return Ok(0);
        };
        let mut removed = 0;
        while let Some(oldest) = self.sealed.front() {
            let behind =
                self.sealed.get(1).map_or_else(|| self.active.header().first_seq, |s| s.first_seq);
            if behind - 1 > slowest {
                break;
            }
            let name = segment_name(oldest.first_seq);
            if let Err(cause) = self.storage.remove(&name) {
                let error = Failure::new(Operation::Remove, &name, cause).into();
                return Err(self.note(error));
            }
            self.sealed.pop_front();
            removed += 1;
        }
        if removed > 0 {
            self.sync_dir()?;
        }
        Ok(removed)
    }

    /// Syncs and records how far, so that from then on damage to the last batch is told apart from
    /// a torn tail.
    pub fn close(mut self) -> Result<(), WriteError> {
        self.sync()?;
        self.write_mark()
    }

    /// Length of all segments together.
    pub fn bytes(&self) -> u64 {
        self.sealed.iter().map(|segment| segment.bytes).sum::<u64>() + self.active.len_bytes()
    }

    /// How many segments there are, the active one included.
    pub fn segments(&self) -> usize {
        self.sealed.len() + 1
    }

    /// The number of the oldest record that is kept, or of the next one when none is.
    pub fn first_seq(&self) -> Seq {
        let oldest = self.sealed.front().map(|segment| segment.first_seq);
        Seq::new(oldest.unwrap_or_else(|| self.active.header().first_seq))
    }

    /// The number that the next record gets.
    pub fn next_seq(&self) -> Seq {
        Seq::new(self.active.next_seq())
    }

    /// The highest durable record.
    pub fn durable_seq(&self) -> Seq {
        Seq::new(self.durable.load(Ordering::Acquire))
    }

    /// Seals the active segment and starts a new one.
    fn rotate(&mut self) -> Result<(), WriteError> {
        self.sync()?;
        assert_eq!(
            self.active.synced_seq() + 1,
            self.active.next_seq(),
            "only whole segments seal"
        );
        let previous = self.active.header().first_seq;
        let sealed = Sealed { first_seq: previous, bytes: self.active.len_bytes() };
        let next_seq = self.active.next_seq();
        match create_segment(&self.storage, &self.options, next_seq, previous) {
            Ok(log) => {
                self.active = log;
                self.sealed.push_back(sealed);
                Ok(())
            }
            Err(error) => Err(self.note(error)),
        }
    }

    fn register(&mut self, name: &str) -> Result<Arc<AtomicU64>, WriteError> {
        let synced = Arc::new(AtomicU64::new(self.first_seq().get() - 1));
        self.consumers.push(Registered { name: name.to_owned(), synced: Arc::clone(&synced) });
        if let Err(error) = self.write_mark() {
            self.consumers.pop();
            return Err(error);
        }
        Ok(synced)
    }

    pub(crate) fn write_mark(&mut self) -> Result<(), WriteError> {
        let names = self.consumers.iter().map(|consumer| consumer.name.as_str());
        let payload = spool_open::encode_mark(self.durable.load(Ordering::Acquire), names);
        let outcome = self.mark.write(&payload);
        outcome.map_err(|error| self.note(error))
    }

    fn sync_dir(&mut self) -> Result<(), WriteError> {
        self.storage.sync_dir().map_err(|cause| {
            self.note(Failure::of_directory(Operation::SyncDirectory, cause).into())
        })
    }

    /// Ends the spool when `error` is of that sort.
    fn note(&mut self, error: WriteError) -> WriteError {
        if error.is_fatal() {
            self.active.set_failed();
        }
        error
    }

    fn check_size(&self, draft: &RecordDraft<'_>) -> Result<(), WriteError> {
        let origin_max = RecordDraft::ORIGIN_BYTES_MAX;
        let record_max = self.options.record_bytes_max.min(BODY_BYTES_MAX - BODY_FIXED_BYTES);
        let record_bytes = draft.body_bytes() - BODY_FIXED_BYTES;
        for (bytes, bytes_max) in [(draft.origin.len(), origin_max), (record_bytes, record_max)] {
            if bytes > bytes_max {
                return Err(WriteError::TooLarge { bytes, bytes_max });
            }
        }
        Ok(())
    }
}

/// A new, empty, durable segment.
pub(crate) fn create_segment<S: Storage>(
    storage: &S,
    options: &SpoolOptions,
    first_seq: u64,
    previous_first_seq: u64,
) -> Result<LogWriter<S::File>, WriteError> {
    let kind = FileKind::Segment;
    let header = FileHeader { kind, salt: options.salt, first_seq, previous_first_seq };
    let name = segment_name(first_seq);
    let log = create_log(storage, &name, header, options.buffer_bytes, |_| Ok(()))?;
    storage.sync_dir().map_err(|e| Failure::of_directory(Operation::SyncDirectory, e))?;
    Ok(log)
}

/// The file of the segment that starts at `first_seq`.
pub(crate) fn segment_name(first_seq: u64) -> FileName {
    FileName::new(format!("{first_seq:020}{SEGMENT_SUFFIX}")).expect("digits and letters only")
}

/// The inverse of [`segment_name`].
pub(crate) fn segment_first_seq(name: &FileName) -> Option<u64> {
    let digits = name.as_str().strip_suffix(SEGMENT_SUFFIX)?;
    let first_seq = digits.parse().ok()?;
    let range = 1..=SEQ_MAX;
    (range.contains(&first_seq) && segment_name(first_seq) == *name).then_some(first_seq)
}

const SEGMENT_SUFFIX: &str = ".seg";
