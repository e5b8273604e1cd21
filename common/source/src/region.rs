//! One region's stream: what waits, in which order it leaves, and what holds it up.

use core::time::Duration;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;

use tidegate_model::Time;

use crate::deletion::DeletionKey;
use crate::gap::UnreadPoints;
use crate::identity::FileIdentity;
use crate::identity::Space;
use crate::identity::TsFileName;
use crate::item::Form;
use crate::item::Token;
use crate::partition::Lost;
use crate::partition::Partition;
use crate::pending::PendingDeletions;
use crate::watermark::Watermark;

/// Position of a waiting file.
///
/// History first; then in the order of the scans in which the files became ready; within a scan by
/// partition, and there as IoTDB reads: what wins comes last. A compaction's target comes behind
/// whatever it may have been made of.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct OrderKey {
    pub(crate) phase: Phase,
    pub(crate) scan: u64,
    pub(crate) partition: i64,
    pub(crate) is_late: bool,
    pub(crate) rank: Rank,
}

/// What of a waiting file's position does not follow from where it lies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Turn {
    phase: Phase,
    scan: u64,
    pub(crate) is_late: bool,
}

impl OrderKey {
    pub(crate) fn turn(&self) -> Turn {
        Turn { phase: self.phase, scan: self.scan, is_late: self.is_late }
    }
}

impl Turn {
    pub(crate) fn key(self, partition: i64, rank: Rank) -> OrderKey {
        let Self { phase, scan, is_late } = self;
        OrderKey { phase, scan, partition, is_late, rank }
    }
}

/// Which of two files of a partition wins where both have a cell: the greater one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Rank {
    /// The space, where IoTDB looks at it first; 1.2 does not.
    major: Space,
    pub(crate) name: TsFileName,
    pub(crate) space: Space,
    /// Two data directories may hold equal names.
    pub(crate) identity: FileIdentity,
}

impl Rank {
    pub(crate) fn new(
        rule: ReadRule,
        space: Space,
        name: TsFileName,
        identity: FileIdentity,
    ) -> Self {
        let major = match rule {
            ReadRule::UnsequenceFirst => space,
            ReadRule::ByVersion => Space::Sequence,
        };
        Self { major, name, space, identity }
    }

    /// The least rank that a file of that name may have.
    pub(crate) fn least(rule: ReadRule, space: Space, name: TsFileName) -> Self {
        let identity = FileIdentity { inode: 0, length_bytes: 0, mtime_ns: i64::MIN };
        Self::new(rule, space, name, identity)
    }

    /// Whether an open file of that space and name would lose against this one.
    pub(crate) fn beats(&self, rule: ReadRule, space: Space, name: TsFileName) -> bool {
        Self::new(rule, space, name, self.identity) < *self
    }
}

/// How the source decides which of two values of one cell is read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // one for 1.2, one for everything later
pub enum ReadRule {
    /// IoTDB 1.2: the larger version wins, whatever the space.
    ByVersion,
    /// IoTDB 1.3 and later: the unsequence space wins, then the larger version.
    #[default]
    UnsequenceFirst,
}

/// Whether a file was there when the pipe was created.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Phase {
    History,
    Realtime,
}

/// A damaged file set aside: it must not hold up the others.
#[derive(Clone, Debug)]
pub(crate) struct Aside {
    pub(crate) reason: String,
    pub(crate) retry_at: Time,
}

/// What a file waits for before it is queued.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    /// Open sequence files that an unsequence file wins over.
    pub(crate) open: Vec<TsFileName>,
    /// Compaction targets that may hold the file.
    pub(crate) targets: Vec<FileIdentity>,
}

/// What is out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flight {
    File(OrderKey),
    /// The first of [`Region::deletions`].
    Deletion,
}

impl Flight {
    pub(crate) fn is_of(&self, identity: FileIdentity) -> bool {
        matches!(self, Self::File(key) if key.rank.identity == identity)
    }
}

/// What the last sequence number was given to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Numbered {
    File(FileIdentity),
    /// By the serial number among the deletions that wait.
    Deletion(u64),
}

/// Deletions that have left, so that a compaction's target that carries them on is understood.
#[derive(Clone, Debug, Default)]
pub(crate) struct Done {
    keys: HashSet<DeletionKey>,
    order: VecDeque<DeletionKey>,
}

impl Done {
    pub(crate) fn contains(&self, key: DeletionKey) -> bool {
        self.keys.contains(&key)
    }

    /// Says whether it is news.
    pub(crate) fn insert(&mut self, key: DeletionKey) -> bool {
        if !self.keys.insert(key) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > DONE_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
        true
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = DeletionKey> {
        self.order.iter().copied()
    }
}

/// Keys of deletions that are remembered in each region. A compaction that carries on a deletion
/// which this many others followed would have it sent twice.
const DONE_MAX: usize = 65_536;

/// One region's stream.
#[derive(Debug, Default)]
pub(crate) struct Region {
    pub(crate) partitions: BTreeMap<i64, Partition>,
    pub(crate) queue: BTreeSet<OrderKey>,
    /// Files that may not leave yet, and what they wait for.
    pub(crate) held: HashMap<FileIdentity, Held>,
    pub(crate) aside: BTreeMap<OrderKey, Aside>,
    pub(crate) deletions: PendingDeletions,
    /// Whether anything happened since the held files were last looked at that may let one go.
    pub(crate) is_stirred: bool,
    /// When one may go because of the time alone.
    pub(crate) stirs_at: Option<Time>,
    /// Files without a place: not found since the start, or when not all could be read.
    pub(crate) limbo: Vec<FileIdentity>,
    /// Files whose deletions are settled once [`deletions`](Self::deletions) is empty.
    pub(crate) settling: BTreeSet<FileIdentity>,
    pub(crate) done: Done,
    /// Files whose deletions can only be read in part. Where such a file has left, nothing may leave
    /// behind a deletion that is not known.
    pub(crate) unreadable_mods: BTreeSet<FileIdentity>,
    pub(crate) in_flight: Option<(Token, Flight)>,
    /// What could not be read of the file that is out.
    pub(crate) unread: Vec<UnreadPoints>,
    /// The file that may not be overtaken and cannot leave, with the reason.
    pub(crate) blocked: Option<(OrderKey, String)>,
    /// The sequence number that was given last; a retry keeps it.
    pub(crate) numbered: Option<(Numbered, u64)>,
    pub(crate) last_sequence: u64,
    /// Whether something has ever left as a file.
    pub(crate) has_files: bool,
    pub(crate) held_until: Option<Time>,
    /// Nothing leaves before this many effects are durable.
    pub(crate) effects_awaited: u64,
    /// Nothing leaves before the end of a scan with a higher number.
    pub(crate) scan_awaited: Option<u64>,
    pub(crate) refusals: u32,
    /// Files that were first seen in a later scan may not leave yet: deletions made before their
    /// rows may not have been seen.
    pub(crate) ready_scan: u64,
    /// The last scan in which all of the region could be read, and nothing went while it was.
    pub(crate) readable_scan: u64,
    /// Whether any folder of it was listed since the start. Until then a file system may not be
    /// mounted yet, and nothing is taken for gone.
    pub(crate) is_seen: bool,
    /// Waiting files by the scan in which they were first seen.
    pub(crate) waiting_by_scan: BTreeMap<u64, u64>,
    pub(crate) watermark: Watermark,
    /// Turn in which it was last served, for fairness between streams.
    pub(crate) served_in_turn: u64,
    pub(crate) n_unsealed: usize,
    pub(crate) counts: Counts,
    pub(crate) last_trouble: Option<String>,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent_files: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) resent_files: u64,
    pub(crate) covered_files: u64,
    pub(crate) deletions: u64,
    pub(crate) vanished: u64,
    pub(crate) superseded: u64,
    pub(crate) tablet_files: u64,
    pub(crate) excerpt_files: u64,
    pub(crate) outside_files: u64,
    pub(crate) short_files: u64,
}

impl Counts {
    /// A file was acknowledged, or nothing of it was wanted.
    pub(crate) fn count(&mut self, form: Form, is_short: bool, length_bytes: u64) {
        self.short_files += u64::from(is_short);
        if form == Form::Nothing {
            self.outside_files += 1;
            return;
        }
        self.sent_files += 1;
        self.sent_bytes += length_bytes;
        self.tablet_files += u64::from(form == Form::Tablets);
        self.excerpt_files += u64::from(form == Form::Excerpt);
    }
}

/// First pause after a refusal.
const HOLD_MIN: Duration = Duration::from_secs(1);
/// Longest pause between two tries of a refused item.
const HOLD_MAX: Duration = Duration::from_secs(60);
/// Pause before a file that was set aside, or blocks its region, is looked at again.
pub(crate) const ASIDE: Duration = Duration::from_secs(60);

impl Region {
    /// Whether anything may be out besides what is.
    pub(crate) fn may_send(&self, now: Time, n_durable: u64, n_scans: u64) -> bool {
        self.in_flight.is_none()
            && self.held_until.is_none_or(|until| until <= now)
            && self.effects_awaited <= n_durable
            && self.scan_awaited.is_none_or(|scan| scan < n_scans)
    }

    /// Puts files that were set aside back to their places, once it is time.
    pub(crate) fn bring_back(&mut self, now: Time) {
        let due: Vec<OrderKey> =
            self.aside.iter().filter(|(_, it)| it.retry_at <= now).map(|(&key, _)| key).collect();
        for key in due {
            self.is_stirred = true;
            self.aside.remove(&key);
            self.queue.insert(key);
        }
    }

    /// The sequence number of an item: a new one, or the one it had when it was tried just before.
    ///
    /// A number is never given to two items, so that a late copy of one cannot pass for the other.
    pub(crate) fn number(&mut self, item: Numbered) -> u64 {
        match self.numbered {
            Some((tried, number)) if tried == item => number,
            _ => {
                self.last_sequence += 1;
                self.numbered = Some((item, self.last_sequence));
                self.last_sequence
            }
        }
    }

    /// Pauses after a refusal, longer each time.
    pub(crate) fn hold(&mut self, now: Time) {
        let pause = HOLD_MIN * 2u32.saturating_pow(self.refusals.min(6));
        self.refusals = self.refusals.saturating_add(1);
        self.held_until = Some(now + pause.min(HOLD_MAX));
    }

    /// When something may change by itself.
    pub(crate) fn wake_at(&self) -> Option<Time> {
        if self.in_flight.is_some() {
            return None;
        }
        let waits = !self.queue.is_empty() || !self.deletions.is_empty();
        let held = self.held_until.filter(|_| waits);
        let aside = self.aside.values().map(|aside| aside.retry_at).min();
        match (held, aside) {
            (Some(held), Some(aside)) if !waits => Some(held.max(aside)),
            (Some(held), _) => Some(held),
            (None, aside) => aside,
        }
    }

    /// A file that was first seen in this scan waits, or no longer does.
    pub(crate) fn count_waiting(&mut self, first_scan: u64, waits: bool) {
        let count = self.waiting_by_scan.entry(first_scan).or_default();
        if waits {
            *count += 1;
        } else {
            *count -= 1;
            if *count == 0 {
                self.waiting_by_scan.remove(&first_scan);
            }
        }
    }

    /// Files that vanished, while it is not settled what became of them.
    pub(crate) fn lost(&self) -> impl Iterator<Item = &Lost> {
        self.partitions.values().flat_map(|partition| &partition.lost)
    }

    /// Knows a file no longer that is not there any more.
    ///
    /// # Arguments
    ///
    /// - `waits`: its position, if it waits and is not out
    /// - `first_scan`: the one that it was first seen in
    pub(crate) fn remove(
        &mut self,
        identity: FileIdentity,
        waits: Option<OrderKey>,
        first_scan: u64,
    ) {
        if let Some(key) = waits {
            self.take_out(key);
            self.count_waiting(first_scan, false);
        }
        self.settling.remove(&identity);
        self.unreadable_mods.remove(&identity);
    }

    /// Takes a file out of whichever place it waits in.
    pub(crate) fn take_out(&mut self, key: OrderKey) {
        self.queue.remove(&key);
        self.aside.remove(&key);
        self.held.remove(&key.rank.identity);
        if self.blocked.as_ref().is_some_and(|(blocked, _)| *blocked == key) {
            (self.blocked, self.held_until) = (None, None);
        }
    }
}
