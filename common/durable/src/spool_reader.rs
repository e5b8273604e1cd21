//! Reads durable records, beside the writer or without one.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering;
use std::io;
use std::sync::Arc;

use crate::LostRange;
use crate::LostReason;
use crate::Record;
use crate::Seq;
use crate::Storage;
use crate::StorageFile;
use crate::error::Failure;
use crate::error::Operation;
use crate::frame::FILE_HEADER_BYTES;
use crate::frame::FileHeader;
use crate::frame::FileKind;
use crate::frame::FoundHeader;
use crate::scan::Scanned;
use crate::scan::Scanner;
use crate::spool::segment_first_seq;
use crate::spool::segment_name;
use crate::survey::survey;

/// What a reader delivers, in order and without a gap between one and the next.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // either a record is there or it is not
pub enum Entry {
    /// Records that are lost: write a gap record.
    Lost(LostRange),
    /// A record.
    Record(Record),
}

impl Entry {
    /// The last number it stands for: where a consumer advances to when it is done with it.
    pub fn last_seq(&self) -> Seq {
        match self {
            Self::Lost(range) => range.last,
            Self::Record(record) => record.seq,
        }
    }
}

/// Reads the durable records of a spool. It shares only the durable watermark with the writer, opens
/// files of its own, and remembers its place.
#[derive(Debug)]
pub struct SpoolReader<S: Storage> {
    storage: S,
    durable: Arc<AtomicU64>,
    place: Option<Place<S::File>>,
}

/// Where the reader stands.
#[derive(Debug)]
struct Place<F> {
    segment_first_seq: u64,
    file: F,
    /// `None` when both copies are damaged: nothing in the segment can be read.
    head: Option<FileHeader>,
    offset_bytes: u64,
    next_seq: u64,
}

/// What one call has gathered.
struct Batch {
    entries: Vec<Entry>,
    bytes: usize,
    bytes_max: usize,
    records_max: usize,
    durable: u64,
}

impl Batch {
    fn has_room_for(&self, bytes: usize) -> bool {
        self.entries.is_empty()
            || (self.entries.len() < self.records_max
                && self.bytes.saturating_add(bytes) <= self.bytes_max)
    }

    fn lose(&mut self, first: u64, last: u64, reason: LostReason) {
        assert!(first <= last && last <= self.durable, "only durable records can be lost");
        let range = LostRange { first: Seq::new(first), last: Seq::new(last), reason };
        self.entries.push(Entry::Lost(range));
    }
}

/// How a walk through one segment ended.
enum Walk {
    /// The segment has nothing more; this number is due next.
    Ended { next_seq: u64, reason: LostReason },
    /// The batch is full, or everything durable is in it.
    Full,
}

impl<S: Storage> SpoolReader<S> {
    pub(crate) fn new(storage: S, durable: Arc<AtomicU64>) -> Self {
        Self { storage, durable, place: None }
    }

    /// A reader without a writer, which changes nothing: for looking at a spool that may be in use.
    /// It sees every intact record there was when it was made, also such as are not synced.
    pub fn inspect(storage: S) -> Result<Self, Failure> {
        let reader = Self::new(storage, Arc::default());
        let last = reader.segment_firsts()?.into_iter().max();
        if let Some(place) = last.map(|first| reader.seek(first)).transpose()?.flatten() {
            let end = place.head.map_or(Ok(place.next_seq - 1), |head| {
                let known = head.first_seq - 1;
                let read = |cause| read_failure(&place, cause);
                survey(&place.file, &head, known, |_, _| {}).map(|s| s.last_seq).map_err(read)
            });
            reader.durable.store(end?, Ordering::Release);
        }
        Ok(reader)
    }

    /// The number of the oldest record that is kept, or of the next one when none is.
    pub fn first_seq(&self) -> Result<Seq, Failure> {
        let oldest = self.segment_firsts()?.into_iter().min();
        Ok(oldest.map_or_else(|| self.durable_seq().next(), Seq::new))
    }

    /// Durable records from `from` on, and what is lost among them: until `records_max` entries or
    /// `bytes_max` bytes of records, but at least one entry when there is any.
    ///
    /// After an error the call may be made again.
    pub fn read(
        &mut self,
        from: Seq,
        bytes_max: usize,
        records_max: usize,
    ) -> Result<Vec<Entry>, Failure> {
        let durable = self.durable.load(Ordering::Acquire);
        let mut batch = Batch { entries: Vec::new(), bytes: 0, bytes_max, records_max, durable };
        let mut next_seq = from.get().max(1);
        let mut place = self.place.take().filter(|place| place.next_seq == next_seq);
        while next_seq <= durable && batch.has_room_for(0) {
            let at = match place.take() {
                Some(place) => place,
                None => match self.seek(next_seq)? {
                    Some(found) => found,
                    None => {
                        let last = self.first_behind(next_seq)?.map_or(durable, |first| first - 1);
                        let last = last.min(durable);
                        batch.lose(next_seq, last, LostReason::MissingSegment);
                        next_seq = last + 1;
                        continue;
                    }
                },
            };
            let at = place.insert(at);
            match walk(at, &mut batch).map_err(|cause| read_failure(at, cause))? {
                Walk::Full => break,
                Walk::Ended { next_seq: due, reason } => {
                    let first = at.segment_first_seq;
                    next_seq = self.leave_segment(first, due, reason, &mut batch)?;
                    place = None;
                }
            }
        }
        self.place = place;
        Ok(batch.entries)
    }

    /// The highest durable record.
    pub fn durable_seq(&self) -> Seq {
        Seq::new(self.durable.load(Ordering::Acquire))
    }

    /// The end of a segment is reached where `due` is expected: what is due in the next one.
    fn leave_segment(
        &self,
        first: u64,
        due: u64,
        reason: LostReason,
        batch: &mut Batch,
    ) -> Result<u64, Failure> {
        if due > batch.durable {
            return Ok(due);
        }
        let behind = self.first_behind(first)?;
        if behind == Some(due) {
            return Ok(due);
        }
        let last = behind.map_or(batch.durable, |behind| behind - 1).min(batch.durable);
        batch.lose(due, last, reason);
        Ok(last + 1)
    }

    /// Opens the segment that holds `seq`; `None` when every segment starts behind it.
    fn seek(&self, seq: u64) -> Result<Option<Place<S::File>>, Failure> {
        let firsts = self.segment_firsts()?;
        let Some(first) = firsts.into_iter().filter(|first| *first <= seq).max() else {
            return Ok(None);
        };
        let name = segment_name(first);
        let name = &name;
        let failure = |operation| move |cause| Failure::new(operation, name, cause);
        let file = self.storage.open_to_read(name).map_err(failure(Operation::Open))?;
        let read = FileHeader::read(&file, FileKind::Segment);
        let head = match read.map_err(failure(Operation::Read))? {
            FoundHeader::Intact { header, .. } if header.first_seq == first => Some(header),
            _ => None,
        };
        let mut place = Place {
            segment_first_seq: first,
            file,
            head,
            offset_bytes: FILE_HEADER_BYTES,
            next_seq: seq,
        };
        if let Some(head) = head {
            let offset_bytes =
                offset_of(&place.file, &head, seq).map_err(failure(Operation::Read))?;
            place.offset_bytes = offset_bytes;
        }
        Ok(Some(place))
    }

    /// The first number of the first segment that starts behind `seq`.
    fn first_behind(&self, seq: u64) -> Result<Option<u64>, Failure> {
        Ok(self.segment_firsts()?.into_iter().filter(|first| *first > seq).min())
    }

    fn segment_firsts(&self) -> Result<Vec<u64>, Failure> {
        let list = |cause| Failure::of_directory(Operation::List, cause);
        let names = self.storage.list().map_err(list)?;
        Ok(names.iter().filter_map(segment_first_seq).collect())
    }
}

/// Gathers records from where `place` stands.
fn walk<F: StorageFile>(place: &mut Place<F>, batch: &mut Batch) -> io::Result<Walk> {
    let Some(head) = place.head else {
        return Ok(Walk::Ended { next_seq: place.next_seq, reason: LostReason::DamagedBytes });
    };
    let mut scanner = Scanner::new(&place.file, head.salt, place.offset_bytes, place.next_seq)?;
    let mut reason = LostReason::MissingSegment;
    while place.next_seq <= batch.durable && batch.has_room_for(0) {
        let (offset_bytes, header) = match scanner.next()? {
            Scanned::Bad { .. } => {
                reason = LostReason::DamagedBytes;
                continue;
            }
            Scanned::End => return Ok(Walk::Ended { next_seq: place.next_seq, reason }),
            Scanned::Frame { offset_bytes, header } => (offset_bytes, header),
        };
        if header.seq > place.next_seq {
            let last = batch.durable.min(header.seq - 1);
            batch.lose(place.next_seq, last, reason);
            place.next_seq = last + 1;
            if header.seq > batch.durable {
                break;
            }
        }
        reason = LostReason::MissingSegment;
        place.offset_bytes = offset_bytes;
        if !batch.has_room_for(header.body_bytes) {
            break;
        }
        let seq = Seq::new(header.seq);
        match Record::decode(seq, scanner.body(offset_bytes, &header)) {
            Some(record) => {
                batch.bytes = batch.bytes.saturating_add(header.body_bytes);
                batch.entries.push(Entry::Record(record));
            }
            None => batch.lose(header.seq, header.seq, LostReason::DamagedBytes),
        }
        place.offset_bytes = offset_bytes + header.frame_bytes();
        place.next_seq = header.seq + 1;
    }
    Ok(Walk::Full)
}

/// Where in `file` a search for `seq` starts.
fn offset_of(file: &impl StorageFile, head: &FileHeader, seq: u64) -> io::Result<u64> {
    let mut scanner = Scanner::new(file, head.salt, FILE_HEADER_BYTES, head.first_seq)?;
    scanner.skip_below(seq)?;
    Ok(scanner.offset_bytes())
}

fn read_failure<F>(place: &Place<F>, cause: io::Error) -> Failure {
    Failure::new(Operation::Read, &segment_name(place.segment_first_seq), cause)
}
