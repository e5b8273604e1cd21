//! The state directory: what is in it, how it is opened, how far the spool has been understood.
//!
//! ```text
//! <state>/lock          held while the daemon runs
//! <state>/spool/        accepted items in order of arrival
//! <state>/memory/       origins, gaps, own cluster id, target, checkpoint, unlooked, stored
//! <state>/staging/      files on their way, and sealed ones until the loader takes them
//! <state>/snapshots/    schema and config snapshots, kept and not applied
//! <state>/unclaimed/    staged files of records that can no longer be read; made when needed
//! ```

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;
use tidegate_daemon::text::rfc3339;
use tidegate_durable::Consumer;
use tidegate_durable::DirStorage;
use tidegate_durable::Entry;
use tidegate_durable::FileName;
use tidegate_durable::JournalRecovery;
use tidegate_durable::OpenError;
use tidegate_durable::Record;
use tidegate_durable::Seq;
use tidegate_durable::Spool;
use tidegate_durable::SpoolOptions;
use tidegate_durable::SpoolReader;
use tidegate_durable::Storage;
use tidegate_durable::TwoSlot;
use tidegate_durable::WriteError;

use crate::dedup::Fingerprint;
use crate::dedup::Lane;
use crate::dedup::Tail;
use crate::gaps::Gap;
use crate::gaps::Gaps;
use crate::records;
use crate::records::Contents;
use crate::records::RecordKind;
use crate::registry::Registry;
use crate::status::KeeperReport;
use crate::status::NotApplied;
use crate::status::Tally;

/// The consumer that puts files into the target directory.
pub(crate) const CONSUMER_DIRECTORY: &str = "directory";
/// The consumer of points: nobody yet, so it holds back the first item that carries any.
const CONSUMER_POINTS: &str = "points";
/// Holds back what the dedup tail is rebuilt from.
const CONSUMER_UNPROVEN: &str = "unproven";

/// The receiver's own id.
const CLUSTER_ID: &str = "cluster-id";
/// How far the spool is understood.
const CHECKPOINT: &str = "checkpoint";

/// Items that are kept and not applied and listed one by one; all are counted.
const NOT_APPLIED_MAX: usize = 16;

/// A checkpoint is made after so many records ...
const CHECKPOINT_RECORDS: u64 = 1024;
/// ... or so many bytes, so that a start never has more than that to read.
const CHECKPOINT_BYTES: u64 = 64 << 20;
/// How much of the spool is read at a time when it is gone through again.
const READ_BYTES: usize = 4 << 20;
const READ_RECORDS: usize = 1024;

/// Everything durable but the files.
pub(crate) struct State<S: Storage> {
    pub(crate) spool: Spool<S>,
    pub(crate) registry: Registry<S>,
    pub(crate) gaps: Gaps<S>,
    pub(crate) tail: Tail,
    pub(crate) staging: PathBuf,
    /// Since the start.
    pub(crate) repeated_files: u64,
    /// The latest that are kept and not applied, oldest first.
    not_applied: VecDeque<NotApplied>,
    points: Consumer<S>,
    unproven: Consumer<S>,
    checkpoint: TwoSlot<S>,
    memory: Memory,
    checkpointed_bytes: u64,
    checkpointed_sequence: u64,
}

/// What the checkpoint holds.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Memory {
    /// Every record up to this one is in the numbers.
    counted_to: u64,
    /// The first record that a later consumer of points must see.
    first_kept: Option<u64>,
    /// Items accepted so far, by kind.
    accepted: BTreeMap<String, Tally>,
    /// The numbers of the latest that are not applied; their records stay in the spool.
    #[serde(default)]
    not_applied: VecDeque<u64>,
}

/// A record that became durable or was found so.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) sequence: u64,
    pub(crate) kind: RecordKind,
    pub(crate) connection: u64,
    pub(crate) arrival_ms: i64,
    /// As in the record.
    pub(crate) dialect: u8,
    /// Of the request on the wire.
    pub(crate) type_code: Option<i16>,
}

/// What opening leaves to others.
pub(crate) struct Opened<S: Storage> {
    pub(crate) state: State<S>,
    /// For the loader.
    pub(crate) directory: Consumer<S>,
    pub(crate) reader: SpoolReader<S>,
    /// Up to here nobody waits for points.
    pub(crate) points_position: Seq,
    /// The cluster id of this receiver.
    pub(crate) cluster_id: String,
    /// The small facts of the state, for those that others keep.
    pub(crate) memory: S,
}

/// Paths below the state directory.
pub(crate) struct Layout {
    state_dir: PathBuf,
    pub(crate) spool: PathBuf,
    pub(crate) memory: PathBuf,
    pub(crate) staging: PathBuf,
    pub(crate) snapshots: PathBuf,
    pub(crate) unclaimed: PathBuf,
}

impl Layout {
    pub(crate) fn of(state_dir: &Path) -> Self {
        Self {
            state_dir: state_dir.to_owned(),
            spool: state_dir.join("spool"),
            memory: state_dir.join("memory"),
            staging: state_dir.join("staging"),
            snapshots: state_dir.join("snapshots"),
            unclaimed: state_dir.join("unclaimed"),
        }
    }
}

impl State<DirStorage> {
    /// Opens the state directory.
    pub(crate) fn open(
        layout: &Layout,
        segment_bytes_max: u64,
    ) -> Result<Opened<DirStorage>, String> {
        let open = |path: &Path| {
            DirStorage::open(path).map_err(|error| format!("{}: {error}", path.display()))
        };
        for path in [&layout.staging, &layout.snapshots] {
            open(path)?;
        }
        let storages = Storages { spool: open(&layout.spool)?, memory: open(&layout.memory)? };
        Self::open_on(storages, &layout.staging, segment_bytes_max)
            .map_err(|error| format!("{}: {error}", layout.state_dir.display()))
    }
}

/// Where everything durable but the files is kept.
pub(crate) struct Storages<S> {
    pub(crate) spool: S,
    pub(crate) memory: S,
}

impl<S: Storage> State<S> {
    /// Opens everything and understands what the last run has left.
    pub(crate) fn open_on(
        storages: Storages<S>,
        staging: &Path,
        segment_bytes_max: u64,
    ) -> Result<Opened<S>, String> {
        let memory = storages.memory;
        let salt = RandomState::new().hash_one(()) as u32;
        #[allow(clippy::field_reassign_with_default)] // it cannot be written as a literal
        let options = {
            let mut options = SpoolOptions::default();
            options.segment_bytes_max = segment_bytes_max;
            options
        };
        let (mut spool, recovery) =
            Spool::open(storages.spool, options).map_err(|e| format!("spool: {e}"))?;
        if let Some(torn) = &recovery.torn_tail {
            let (file, bytes) = (&torn.file, torn.bytes);
            tracing::info!(%file, bytes, "cut off what was never acknowledged");
        }
        for damage in &recovery.damage {
            tracing::warn!(%damage, "spool damaged");
        }
        recovery.damaged_slots.iter().for_each(log_damaged_slot);
        let (registry, found) =
            Registry::open(memory.clone(), salt).map_err(|e| format!("origins: {e}"))?;
        log_found("origins", &found);
        let (gaps, found) = Gaps::open(memory.clone(), salt).map_err(|e| format!("gaps: {e}"))?;
        log_found("gaps", &found);
        let (checkpoint, remembered) = open_checkpoint(&memory, spool.first_seq())?;
        let mut consumer =
            |name: &str| spool.consumer(name).map_err(|error| format!("spool: {error}"));
        let directory = consumer(CONSUMER_DIRECTORY)?;
        let (points, unproven) = (consumer(CONSUMER_POINTS)?, consumer(CONSUMER_UNPROVEN)?);
        let reader = spool.reader();
        let mut state = Self {
            checkpointed_bytes: spool.bytes(),
            checkpointed_sequence: remembered.counted_to,
            spool,
            registry,
            gaps,
            tail: Tail::default(),
            staging: staging.to_owned(),
            repeated_files: 0,
            not_applied: VecDeque::new(),
            points,
            unproven,
            checkpoint,
            memory: remembered,
        };
        state.recall()?;
        state.catch_up()?;
        let cluster_id = cluster_id(&memory)?;
        let points_position = state.points.position();
        Ok(Opened { state, points_position, directory, reader, cluster_id, memory })
    }

    /// A record became durable.
    pub(crate) fn note(&mut self, item: &Item, lane: Lane, fingerprint: Option<Fingerprint>) {
        self.count(item, &lane.origin);
        self.tail.committed(item.sequence, item.connection, lane, fingerprint);
    }

    fn count(&mut self, item: &Item, origin: &str) {
        let (sequence, kind) = (item.sequence, item.kind);
        if sequence <= self.memory.counted_to {
            return;
        }
        self.memory.counted_to = sequence;
        if kind.is_not_applied() {
            self.list(item, origin);
        }
        let tally = self.memory.accepted.entry(kind.as_str().to_owned()).or_default();
        tally.items = tally.items.saturating_add(1);
        if kind != RecordKind::File {
            self.memory.first_kept.get_or_insert(sequence);
        }
    }

    fn list(&mut self, item: &Item, origin: &str) {
        self.not_applied.push_back(NotApplied {
            sequence: item.sequence,
            kind: item.kind.as_str().to_owned(),
            request_type: item.type_code,
            origin: origin.to_owned(),
            dialect: records::dialect_said(item.dialect).map(|it| it.as_str().to_owned()),
            time: rfc3339(item.arrival_ms),
        });
        let surplus = self.not_applied.len().saturating_sub(NOT_APPLIED_MAX);
        self.not_applied.drain(..surplus);
        self.memory.not_applied = self.not_applied.iter().map(|it| it.sequence).collect();
    }

    /// A store has taken in everything up to `position`, so no later consumer waits for it.
    pub(crate) fn let_go(&mut self, position: u64) {
        if self.memory.first_kept.is_some_and(|first| first <= position) {
            let next = position.saturating_add(1);
            self.memory.first_kept = (next <= self.memory.counted_to).then_some(next);
            // so that the next checkpoint says so, also if nothing arrives
            self.checkpointed_sequence = 0;
        }
    }

    /// Whether a start would have much to read again.
    pub(crate) fn is_checkpoint_due(&self) -> bool {
        let records = self.memory.counted_to.saturating_sub(self.checkpointed_sequence);
        let bytes = self.spool.bytes().saturating_sub(self.checkpointed_bytes);
        records >= CHECKPOINT_RECORDS || bytes >= CHECKPOINT_BYTES
    }

    /// Writes down how far the spool is understood, and lets go what nobody needs.
    pub(crate) fn checkpoint(&mut self) -> Result<(), WriteError> {
        if self.memory.counted_to == self.checkpointed_sequence {
            return Ok(());
        }
        let memory = serde_json::to_vec(&self.memory).unwrap_or_default();
        self.checkpoint.write(&memory)?;
        self.checkpointed_sequence = self.memory.counted_to;
        self.checkpointed_bytes = self.spool.bytes();
        let counted = self.memory.counted_to;
        let before = |first: Option<u64>| first.map_or(counted, |first| first.saturating_sub(1));
        let positions = [before(self.memory.first_kept), before(self.tail.oldest())];
        for (consumer, to) in [&mut self.points, &mut self.unproven].into_iter().zip(positions) {
            let to = Seq::new(to.min(counted));
            if to > consumer.position() && consumer.advance(to).is_ok() {
                consumer.sync()?;
            }
        }
        Ok(())
    }

    /// Closes in good order; the next start has nothing to read again. What fails keeps nothing else
    /// from being closed.
    pub(crate) fn close(mut self) -> Result<(), WriteError> {
        let checkpoint = self.checkpoint();
        let Self { spool, registry, gaps, .. } = self;
        let mut fatal = None;
        for (part, outcome) in [
            ("checkpoint", checkpoint),
            ("gaps", gaps.close()),
            ("origins", registry.close()),
            ("spool", spool.close()),
        ] {
            match outcome {
                Err(error) if error.is_fatal() && fatal.is_none() => fatal = Some(error),
                Err(error) => tracing::error!(part, %error, "not closed in good order"),
                Ok(()) => {}
            }
        }
        fatal.map_or(Ok(()), Err)
    }

    /// How things stand.
    pub(crate) fn report(&self, waiting: usize) -> KeeperReport {
        KeeperReport {
            spool_bytes: self.spool.bytes(),
            spool_segments: self.spool.segments(),
            durable_sequence: self.spool.durable_seq().get(),
            consumers: self
                .spool
                .consumers()
                .map(|(name, position)| (name.to_owned(), position.get()))
                .collect(),
            accepted: self.memory.accepted.clone(),
            not_applied: self.not_applied.iter().cloned().collect(),
            repeated_files: self.repeated_files,
            unproven: self.tail.len(),
            waiting,
            origins: self.registry.origins().map(crate::status::OriginReport::of).collect(),
            n_gaps: self.gaps.len(),
        }
    }

    /// Reads again what the checkpoint lists by number only.
    fn recall(&mut self) -> Result<(), String> {
        let mut reader = self.spool.reader();
        for sequence in self.memory.not_applied.clone() {
            let found = reader.read(Seq::new(sequence), READ_BYTES, 1);
            for entry in found.map_err(|failure| format!("spool: {failure}"))? {
                if let Some((item, record, _)) = item_of(&entry) {
                    self.list(&item, &record.origin);
                }
            }
        }
        Ok(())
    }

    /// Goes through the records behind the checkpoint and those of the dedup tail.
    fn catch_up(&mut self) -> Result<(), String> {
        let first = self.unproven.position().get().min(self.memory.counted_to);
        let mut next = Seq::new(first).next();
        let mut reader = self.spool.reader();
        while next <= self.spool.durable_seq() {
            let entries = reader
                .read(next, READ_BYTES, READ_RECORDS)
                .map_err(|failure| format!("spool: {failure}"))?;
            let Some(last) = entries.last().map(Entry::last_seq) else {
                break;
            };
            for entry in entries {
                self.replay(&entry);
            }
            next = last.next();
        }
        Ok(())
    }

    fn replay(&mut self, entry: &Entry) {
        if let Entry::Lost(range) = entry {
            tracing::error!(%range, "spool damaged");
        }
        let Some((item, record, contents)) = item_of(entry) else { return };
        if let Some(contents) = contents {
            let lane = Lane::of_record(&record.origin, &contents);
            let print = Fingerprint::of_record(item.kind, &contents);
            self.tail.committed(item.sequence, item.connection, lane, print);
        }
        self.count(&item, &record.origin);
    }
}

/// What an entry of the spool says; no contents if they cannot be read, nothing if the record is
/// lost or of a later release.
fn item_of(entry: &Entry) -> Option<(Item, &Record, Option<Contents>)> {
    let Entry::Record(record) = entry else { return None };
    let kind = RecordKind::of_code(record.kind)?;
    let contents = records::decode(kind, &record.payload).ok();
    let item = Item {
        sequence: record.seq.get(),
        kind,
        connection: record.connection,
        arrival_ms: record.arrival_ms,
        dialect: record.dialect,
        type_code: contents.as_ref().and_then(|contents| contents.type_code),
    };
    Some((item, record, contents))
}

/// The gap record of a damaged spool.
pub(crate) fn lost_gap(range: &tidegate_durable::LostRange) -> Gap {
    let item = match range.first == range.last {
        true => format!("spool record {}", range.first),
        false => format!("spool records {} to {}", range.first, range.last),
    };
    Gap { origin: String::from("(unknown)"), item, reason: range.reason.to_string() }
}

/// A small fact in the state, and what it says.
pub(crate) fn two_slot<S: Storage>(
    storage: &S,
    name: &str,
) -> Result<(TwoSlot<S>, Option<Vec<u8>>), String> {
    let name = FileName::new(name).map_err(|error| format!("memory: {error}"))?;
    let (slot, content) =
        TwoSlot::open(storage.clone(), name.clone()).map_err(|error| format!("memory: {error}"))?;
    if content.is_other_slot_damaged {
        log_damaged_slot(&name);
    }
    Ok((slot, content.payload))
}

/// The checkpoint; one that cannot be read is made anew from the spool, which begins at `first`.
fn open_checkpoint<S: Storage>(storage: &S, first: Seq) -> Result<(TwoSlot<S>, Memory), String> {
    let name = FileName::new(CHECKPOINT).map_err(|error| format!("memory: {error}"))?;
    let found = TwoSlot::inspect(storage, &name);
    let (slot, content) = if let Err(error @ OpenError::BothSlotsDamaged { .. }) = found {
        let failed = |error| format!("memory: cannot remove {name}: {error}");
        storage.remove(&name).map_err(failed)?;
        (two_slot(storage, CHECKPOINT)?.0, Some(Err(error.to_string())))
    } else {
        let (slot, payload) = two_slot(storage, CHECKPOINT)?;
        let content = payload.map(|bytes| serde_json::from_slice(&bytes));
        (slot, content.map(|memory| memory.map_err(|error| error.to_string())))
    };
    let memory = match content {
        None => Memory::default(),
        Some(Ok(memory)) => memory,
        Some(Err(reason)) => {
            tracing::warn!(reason, "checkpoint damaged: items are counted from record {first} on");
            Memory { counted_to: first.get().saturating_sub(1), ..Memory::default() }
        }
    };
    Ok((slot, memory))
}

fn log_damaged_slot(file: &FileName) {
    tracing::warn!(%file, "one slot is damaged, the other one serves");
}

/// What opening a journal has found.
fn log_found(file: &str, found: &JournalRecovery) {
    let JournalRecovery { damage, torn_bytes, is_header_copy_damaged, .. } = found;
    damage.iter().for_each(|damage| tracing::warn!(%damage, "{file} damaged"));
    if *is_header_copy_damaged {
        tracing::warn!(file, "one copy of the header is damaged, the other one serves");
    }
    if *torn_bytes > 0 {
        tracing::info!(file, bytes = torn_bytes, "cut off what was never acknowledged");
    }
}

/// Which spool the numbers of this state are of, for those that only look at it.
pub(crate) fn spool_id(memory: &Path) -> Result<[u8; 16], String> {
    let shown = |error: &dyn core::fmt::Display| format!("{}: {error}", memory.display());
    let storage = DirStorage::existing(memory).map_err(|error| shown(&error))?;
    let name = FileName::new(CLUSTER_ID).map_err(|error| shown(&error))?;
    let content = TwoSlot::inspect(&storage, &name).map_err(|error| shown(&error))?;
    let id = content.payload.and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(spool_of(&id.unwrap_or_default()))
}

/// The id of the spool of a receiver of this cluster id.
pub(crate) fn spool_of(cluster_id: &str) -> [u8; 16] {
    uuid::Uuid::parse_str(cluster_id).unwrap_or_default().into_bytes()
}

/// The id this receiver was given at its first start.
fn cluster_id(storage: &impl Storage) -> Result<String, String> {
    let (mut slot, content) = two_slot(storage, CLUSTER_ID)?;
    if let Some(id) = content.and_then(|bytes| String::from_utf8(bytes).ok()) {
        return Ok(id);
    }
    let id = uuid::Uuid::new_v4().to_string();
    slot.write(id.as_bytes()).map_err(|error| format!("memory: {error}"))?;
    Ok(id)
}
