//! Opens a spool: which records are there, which are lost, where writing goes on.

use core::sync::atomic::AtomicU64;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::CONSUMERS_MAX;
use crate::FileName;
use crate::LostRange;
use crate::LostReason;
use crate::OpenError;
use crate::Recovery;
use crate::Seq;
use crate::Spool;
use crate::SpoolDamage;
use crate::SpoolOptions;
use crate::Storage;
use crate::StorageFile;
use crate::TornTail;
use crate::TwoSlot;
use crate::Verify;
use crate::bytes::u64_at;
use crate::consumer::CURSOR_SUFFIX;
use crate::consumer::cursor_file;
use crate::consumer::decode_cursor;
use crate::error::Failure;
use crate::error::Operation;
use crate::frame::FILE_HEADER_BYTES;
use crate::frame::FORMAT_VERSION;
use crate::frame::FRAME_HEADER_BYTES;
use crate::frame::FileHeader;
use crate::frame::FileKind;
use crate::frame::FoundHeader;
use crate::log_writer::LogWriter;
use crate::log_writer::settle;
use crate::record::BODY_FIXED_BYTES;
use crate::spool::Registered;
use crate::spool::Sealed;
use crate::spool::create_segment;
use crate::spool::segment_first_seq;
use crate::survey::Hole;
use crate::survey::Survey;
use crate::survey::survey;

const MARK_FILE: &str = "spool.mark";

/// A segment as it was found.
struct Found<F> {
    first_seq: u64,
    name: FileName,
    file: F,
    bytes: u64,
    /// `None` when both copies are damaged.
    head: Option<FileHeader>,
    is_copy_damaged: bool,
}

/// What the small files say.
struct Known<S: Storage> {
    mark: TwoSlot<S>,
    /// The highest number known to have been synced.
    synced_seq: u64,
    /// Positions by name; `None` when lost.
    cursors: BTreeMap<String, Option<u64>>,
}

impl<S: Storage> Known<S> {
    /// Everything up to here is done with; `None` when no position is known.
    fn slowest(&self) -> Option<u64> {
        self.cursors.values().flatten().copied().min()
    }
}

/// See [`Spool::open`].
pub(crate) fn open<S: Storage>(
    storage: S,
    options: SpoolOptions,
) -> Result<(Spool<S>, Recovery), OpenError> {
    let mut recovery = Recovery::default();
    let names = storage.list().map_err(|e| Failure::of_directory(Operation::List, e))?;
    let mut known = read_small_files(&storage, &names, &mut recovery)?;
    let mut found = read_heads(&storage, &names)?;
    drop_unborn(&storage, &mut found, known.synced_seq)?;
    for segment in found.iter().filter(|segment| segment.is_copy_damaged) {
        recovery.damage.push(SpoolDamage::HeaderCopy { file: segment.name.clone() });
    }
    let last = found.pop();
    if let Some(last) = &last {
        known.synced_seq = known.synced_seq.max(least_synced(last));
    }
    verify_sealed(&found, last.as_ref(), options.verify, &known, &mut recovery)?;
    let mut sealed: Vec<Sealed> =
        found.iter().map(|s| Sealed { first_seq: s.first_seq, bytes: s.bytes }).collect();
    let previous = last.as_ref().map_or(0, |last| last.first_seq);
    let active = match last {
        Some(last) => {
            match recover_last(last, known.synced_seq, options.buffer_bytes, &mut recovery)? {
                Active::Continued(log) => log,
                Active::Ended { segment, next_seq } => {
                    sealed.push(segment);
                    create_segment(&storage, &options, next_seq, previous)?
                }
            }
        }
        None => {
            let next_seq = known.synced_seq + 1;
            note_missing(known.slowest().unwrap_or(0) + 1, known.synced_seq, &mut recovery);
            create_segment(&storage, &options, next_seq, 0)?
        }
    };
    recovery.lost.sort_by_key(|range| range.first);
    let first_seq =
        sealed.first().map_or_else(|| active.header().first_seq, |segment| segment.first_seq);
    let durable = active.synced_seq();
    assert!(durable >= known.synced_seq, "no acknowledged number is given out again");
    let register = |(name, position): (String, Option<u64>)| Registered {
        name,
        synced: Arc::new(AtomicU64::new(position.unwrap_or(first_seq - 1))),
    };
    let mut spool = Spool {
        storage,
        options,
        sealed: sealed.into(),
        active,
        mark: known.mark,
        consumers: known.cursors.into_iter().map(register).collect(),
        durable: Arc::new(AtomicU64::new(durable)),
    };
    spool.write_mark()?;
    // A removed segment may be back after a power cut while one behind it is not: without this the
    // oldest records would begin with a hole that nobody misses.
    spool.retain()?;
    Ok((spool, recovery))
}

/// The mark's payload: how far the spool is synced, and who consumes.
pub(crate) fn encode_mark<'n>(synced_seq: u64, names: impl Iterator<Item = &'n str>) -> Vec<u8> {
    let mut payload = synced_seq.to_le_bytes().to_vec();
    for name in names {
        payload.push(name.len() as u8);
        payload.extend_from_slice(name.as_bytes());
    }
    payload
}

fn decode_mark(payload: &[u8]) -> Option<(u64, Vec<String>)> {
    let synced_seq = u64_at(payload, 0)?;
    let mut rest = payload.get(8..)?;
    let mut names = Vec::new();
    while let Some((count, behind)) = rest.split_first() {
        let (name, behind) = behind.split_at_checked(usize::from(*count))?;
        names.push(str::from_utf8(name).ok()?.to_owned());
        rest = behind;
    }
    Some((synced_seq, names))
}

/// Reads mark and cursors.
fn read_small_files<S: Storage>(
    storage: &S,
    names: &[FileName],
    recovery: &mut Recovery,
) -> Result<Known<S>, OpenError> {
    let is_used = names
        .iter()
        .any(|name| segment_first_seq(name).is_some() || name.as_str().ends_with(CURSOR_SUFFIX));
    let (mut mark, payload) = open_or_remove(storage, FileName::new(MARK_FILE)?, recovery)?;
    let content = payload.as_deref().and_then(decode_mark);
    if content.is_none() && (is_used || payload.is_some()) {
        recovery.damage.push(SpoolDamage::MarkLost);
    }
    if payload.is_none() && !is_used {
        // Before anything else, so that a spool without a mark is one that has lost it.
        mark.write(&encode_mark(0, [].into_iter()))?;
    }
    let (mut synced_seq, listed) = content.unwrap_or_default();
    let mut cursors: BTreeMap<String, Option<u64>> =
        listed.into_iter().map(|name| (name, None)).collect();
    for name in names.iter().filter_map(|name| name.as_str().strip_suffix(CURSOR_SUFFIX)) {
        cursors.insert(name.to_owned(), None);
    }
    if cursors.len() > CONSUMERS_MAX {
        return Err(OpenError::TooManyConsumers { found: cursors.len() });
    }
    for (name, position) in &mut cursors {
        let (_, payload) = open_or_remove(storage, cursor_file(name)?, recovery)?;
        match payload.as_deref().and_then(decode_cursor) {
            Some((found, durable)) => {
                *position = Some(found);
                synced_seq = synced_seq.max(durable);
            }
            None => recovery.damage.push(SpoolDamage::CursorLost { consumer: name.clone() }),
        }
    }
    Ok(Known { mark, synced_seq, cursors })
}

/// Opens a two-slot file. When both slots are damaged it is taken away: the caller reports that.
fn open_or_remove<S: Storage>(
    storage: &S,
    name: FileName,
    recovery: &mut Recovery,
) -> Result<(TwoSlot<S>, Option<Vec<u8>>), OpenError> {
    match TwoSlot::open(storage.clone(), name.clone()) {
        Ok((slot, content)) => {
            if content.is_other_slot_damaged {
                recovery.damaged_slots.push(name);
            }
            Ok((slot, content.payload))
        }
        Err(OpenError::BothSlotsDamaged { .. }) => {
            storage.remove(&name).map_err(|e| Failure::new(Operation::Remove, &name, e))?;
            let (slot, _) = TwoSlot::open(storage.clone(), name)?;
            Ok((slot, None))
        }
        Err(error) => Err(error),
    }
}

/// Opens all segments, in order, and reads their heads.
fn read_heads<S: Storage>(
    storage: &S,
    names: &[FileName],
) -> Result<Vec<Found<S::File>>, OpenError> {
    let mut found = Vec::new();
    for name in names {
        let Some(first_seq) = segment_first_seq(name) else { continue };
        let failure = |operation| move |cause| Failure::new(operation, name, cause);
        let file = storage.open(name).map_err(failure(Operation::Open))?;
        let bytes = file.len_bytes().map_err(failure(Operation::Length))?;
        let head = FileHeader::read(&file, FileKind::Segment).map_err(failure(Operation::Read))?;
        let (head, damaged_copies) = match head {
            FoundHeader::Intact { header, damaged_copies } if header.first_seq == first_seq => {
                (Some(header), damaged_copies)
            }
            FoundHeader::Intact { .. } | FoundHeader::Damaged => (None, 0),
            FoundHeader::Newer { version } => {
                let (file, newest) = (name.clone(), FORMAT_VERSION);
                return Err(OpenError::Version { file, found: version, newest });
            }
        };
        let (name, is_copy_damaged) = (name.clone(), damaged_copies > 0);
        found.push(Found { first_seq, name, file, bytes, head, is_copy_damaged });
    }
    found.sort_by_key(|segment| segment.first_seq);
    Ok(found)
}

/// Takes away a last segment that a power cut met while it was made: its head is synced before it
/// gets a record, so it has none.
fn drop_unborn<S: Storage>(
    storage: &S,
    found: &mut Vec<Found<S::File>>,
    synced_seq: u64,
) -> Result<(), OpenError> {
    let is_unborn = |last: &Found<S::File>| {
        let is_head_damaged = last.head.is_none() || last.is_copy_damaged;
        is_head_damaged && last.bytes <= FILE_HEADER_BYTES && last.first_seq > synced_seq
    };
    while let Some(last) = found.pop_if(|last| is_unborn(last)) {
        storage.remove(&last.name).map_err(|e| Failure::new(Operation::Remove, &last.name, e))?;
        // Back after a power cut it would stand for records that went elsewhere meanwhile.
        let directory = |cause| Failure::of_directory(Operation::SyncDirectory, cause);
        storage.sync_dir().map_err(directory)?;
    }
    Ok(())
}

/// What the last segment alone says about how far the spool was synced.
fn least_synced<F>(last: &Found<F>) -> u64 {
    if last.head.is_some() {
        return last.first_seq - 1;
    }
    // Nobody knows how many records it held. No more than fit, so numbers go on behind those; and
    // behind its own first one in any case, which the segment that follows must not have.
    let frame_bytes_min = (FRAME_HEADER_BYTES + BODY_FIXED_BYTES) as u64;
    let records_max = last.bytes.saturating_sub(FILE_HEADER_BYTES) / frame_bytes_min;
    last.first_seq - 1 + records_max.max(1)
}

/// Finds what is lost before the last segment.
fn verify_sealed<S: Storage>(
    sealed: &[Found<S::File>],
    last: Option<&Found<S::File>>,
    verify: Verify,
    known: &Known<S>,
    recovery: &mut Recovery,
) -> Result<(), OpenError> {
    let slowest = known.slowest();
    if let (Some(first), Some(slowest)) = (sealed.first().or(last), slowest) {
        note_missing(slowest + 1, first.first_seq - 1, recovery);
    }
    let behind = sealed.iter().skip(1).chain(last);
    for (segment, next) in sealed.iter().zip(behind) {
        let last_seq = next.first_seq - 1;
        let Some(head) = &segment.head else {
            recovery.damage.push(SpoolDamage::HeaderLost { file: segment.name.clone() });
            note_lost(segment.first_seq, last_seq, LostReason::DamagedBytes, recovery);
            continue;
        };
        let follows = next.head.is_none_or(|next| next.previous_first_seq == segment.first_seq);
        if follows && verify == Verify::ActiveSegment {
            continue;
        }
        let survey = survey(&segment.file, head, last_seq, |_, _| {})
            .map_err(|cause| Failure::new(Operation::Read, &segment.name, cause))?;
        for hole in &survey.holes {
            // Removed segments may come back after a power cut, in any order: what every consumer
            // is done with is not missed.
            let is_removed = hole.last_seq == last_seq && !hole.has_bytes() && !follows;
            let first_seq =
                if is_removed { slowest.map_or(0, |seq| seq + 1) } else { 0 }.max(hole.first_seq);
            note_lost(first_seq, hole.last_seq, reason_of(hole), recovery);
        }
    }
    Ok(())
}

/// Where writing goes on.
enum Active<F> {
    Continued(LogWriter<F>),
    Ended { segment: Sealed, next_seq: u64 },
}

fn recover_last<F: StorageFile>(
    mut last: Found<F>,
    synced_seq: u64,
    buffer_bytes: usize,
    recovery: &mut Recovery,
) -> Result<Active<F>, OpenError> {
    let segment = Sealed { first_seq: last.first_seq, bytes: last.bytes };
    let Some(head) = last.head else {
        recovery.damage.push(SpoolDamage::HeaderLost { file: last.name });
        note_lost(last.first_seq, synced_seq, LostReason::DamagedBytes, recovery);
        return Ok(Active::Ended { segment, next_seq: synced_seq + 1 });
    };
    let survey = survey(&last.file, &head, synced_seq, |_, _| {})
        .map_err(|cause| Failure::new(Operation::Read, &last.name, cause))?;
    settle(&mut last.file, &last.name, survey.doubt_from_bytes, survey.keep_bytes)?;
    for hole in &survey.holes {
        note_lost(hole.first_seq, hole.last_seq, reason_of(hole), recovery);
    }
    if survey.torn_bytes > 0 {
        let (bytes, records) = (survey.torn_bytes, survey.torn_frames);
        recovery.torn_tail = Some(TornTail { file: last.name.clone(), bytes, records });
    }
    let Survey { last_seq, last_intact_seq, keep_bytes, damaged_tail_from_bytes, .. } = survey;
    let next_seq = last_seq + 1;
    if damaged_tail_from_bytes.is_some() || last_intact_seq < last_seq {
        // The damaged bytes stay for whoever wants to look at them.
        let segment = Sealed { bytes: keep_bytes, ..segment };
        return Ok(Active::Ended { segment, next_seq });
    }
    let (file, name) = (last.file, last.name);
    let log = LogWriter::new(file, name, head, keep_bytes, next_seq, buffer_bytes);
    Ok(Active::Continued(log))
}

fn reason_of(hole: &Hole) -> LostReason {
    if hole.has_bytes() { LostReason::DamagedBytes } else { LostReason::MissingSegment }
}

fn note_lost(first: u64, last: u64, reason: LostReason, recovery: &mut Recovery) {
    if first <= last {
        recovery.lost.push(LostRange { first: Seq::new(first), last: Seq::new(last), reason });
    }
}

fn note_missing(first: u64, last: u64, recovery: &mut Recovery) {
    note_lost(first, last, LostReason::MissingSegment, recovery);
}
