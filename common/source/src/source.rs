//! The core of a pipe's source: scans and outcomes in, items and durable effects out.

mod compaction;
mod leave;
mod load;
mod mods;
mod pins;
mod scan;
mod settle;
mod strays;
mod tracked;
mod vanished;

use core::time::Duration;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::sync::Arc;

use tidegate_model::Time;

use crate::gap::Gap;
use crate::identity::FileIdentity;
use crate::identity::RegionKey;
use crate::identity::TsFileName;
use crate::item::Form;
use crate::item::Token;
use crate::listing::Listing;
use crate::listing::ModsSeen;
use crate::listing::SourceMarks;
use crate::partition::Partition;
use crate::record::Record;
use crate::region::Flight;
use crate::region::OrderKey;
use crate::region::Phase;
use crate::region::Rank;
use crate::region::ReadRule;
use crate::region::Region;
use scan::TakingIn;
use strays::GoneName;
use tracked::Extra;
use tracked::Left;
use tracked::Location;
use tracked::Locations;
use tracked::ModsTaken;
use tracked::NO_EXTRA;
use tracked::Origin;
use tracked::Spot;
use tracked::State;
use tracked::Tracked;

/// Which file or deletion of a live IoTDB may leave next, so that what has left, the last arrival
/// winning, equals what the IoTDB holds.
///
/// Methods come in four kinds:
///
/// - A. getters, taking `&self`
/// - B. `handle_*`: a scan ended, an item came to something, effects are durable
/// - C. [`load`](Self::load), before the first scan
/// - D. `poll_*`: what the caller must do next
///
/// After every B and D, call [`poll_effect`](Self::poll_effect) until it is empty and make each
/// effect durable in that order, and say so by [`handle_durable`](Self::handle_durable); then
/// [`poll_item`](Self::poll_item) as long as lanes are free.
///
/// Of one region at most one item is out at a time, so what was acknowledged is always a prefix of
/// what was sent.
///
/// # How the order is kept
///
/// Of two files of a partition that have a cell in common, the source reads the one of higher
/// [`Rank`]; the far side reads the one that came last. So whenever a file leaves, every file of
/// higher rank that overlaps it and has left before is queued again behind it, and that is durable
/// before the first byte goes. What leaves in which order is then a matter of cost, not of
/// correctness: history by rank, later files as they are sealed, unsequence files after the
/// sequence files that were open when they were sealed.
///
/// A compaction's target holds what other files held. It need not leave if those have left; see
/// `is_covered`. Deletions leave before any file that may hold rows written after them.
#[derive(Debug)]
pub struct Source {
    config: SourceConfig,
    n_scans: u64,
    /// By path.
    folders: HashMap<Arc<str>, Folder>,
    files: HashMap<FileIdentity, Box<Tracked>>,
    regions: BTreeMap<RegionKey, Region>,
    in_flight: HashMap<Token, RegionKey>,
    effects: VecDeque<Queued>,
    n_effects: u64,
    n_durable: u64,
    next_token: u64,
    turn: u64,
    marks: SourceMarks,
    /// The time when it was last told.
    clock: Time,
    /// Whether the boundary of history is taken; until then everything is history.
    has_boundary: bool,
    /// Files that are not in `files` and were there, sealed, when the boundary was drawn.
    in_history: HashSet<FileIdentity>,
    /// Whether the ledger was damaged when it was read.
    is_past_damaged: bool,
    /// When everything could be read first since the start.
    whole_since: Option<Time>,
    /// How often the DataNode had been started when that could be read last.
    last_reboots: Option<u64>,
    /// Why parts of the tree could not be read in the last scan.
    unread: Vec<String>,
    /// Regions that were not to be sent then.
    skipped: HashSet<RegionKey>,
    taking_in: Option<TakingIn>,
    /// Mods files that were written to before the last scan read the mods, while files had gone that it
    /// could not read the mods of.
    touched_unread: HashSet<(Arc<str>, TsFileName)>,
    /// Names that are gone, as long as the watcher may tell of lists beside them.
    gone_names: HashMap<(Arc<str>, TsFileName), GoneName>,
    /// Lists that were written to beside names that have not been listed.
    strays: HashSet<(Arc<str>, TsFileName)>,
    /// Files that the edge holds pinned.
    pinned: Arc<HashSet<FileIdentity>>,
    /// Files that lie nowhere any more and leave from their pins.
    orphans: BTreeSet<FileIdentity>,
}

/// What a source must know from the start.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs)] // built by the edge
pub struct SourceConfig {
    /// How the IoTDB decides which of two values is read.
    pub read_rule: ReadRule,
    /// What to do when the source drops data by other ways than a deletion.
    pub drop_policy: DropPolicy,
    /// IoTDB removes a compaction's sources, one by one, once no query reads them. So long after the
    /// first has gone all are.
    pub sources_go_within: Duration,
    /// Rules that are switched off, to show that tests miss them.
    #[doc(hidden)]
    pub without: Without,
}

/// What the far side makes of data that the source drops: by TTL, DROP DATABASE, or by hand.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // keep or delete
pub enum DropPolicy {
    /// It keeps them.
    #[default]
    Keep,
    /// It deletes them too.
    Delete,
}

/// Rules of order and coverage; the tests switch them off one by one and must notice.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // for tests
pub enum Without {
    /// All rules hold.
    #[default]
    Nothing,
    /// Files that win are not sent again behind a late one.
    Closure,
    /// The re-queueing is not durable before the late file leaves.
    ClosureFirst,
    /// Unsequence files do not wait for open sequence files.
    Barrier,
    /// Deletions leave when no file waits.
    DeletionsFirst,
    /// Every target of a compaction counts as covered.
    Coverage,
    /// A target counts as covered though an unsent file vanished.
    Lost,
    /// A target counts as covered though nobody watched.
    Watching,
    /// The watermark is that of the newest file.
    ContiguousWatermark,
    /// The watermark outlives a start of the DataNode.
    Reboots,
    /// Rows written after a deletion are not sent again behind its repetition.
    DeletionRepair,
    /// Deletions beside files that have left are not sent.
    LateDeletions,
    /// Deletions are not cut to the devices of their file.
    DeletionCut,
    /// A target may leave while its sources are still there.
    Unfinished,
    /// A file may leave though a target that may hold it is there.
    Obsolete,
    /// Names decide, not inodes.
    Inodes,
    /// The read rule of 1.3 is used for all.
    ReadRule,
    /// Unseen deletions leave no record.
    UnseenDeletions,
    /// What vanished unsent leaves no record.
    VanishedUnsent,
    /// A pinned file leaves with whatever deletions its pin has.
    PinnedMods,
}

/// Something that must become durable.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Effect {
    /// Append to the ledger.
    Cursor(Record),
    /// Append to the gap journal.
    Gap(Gap),
}

/// An effect that was not polled yet. A first scan has one for each file there is, so it takes little
/// room.
#[derive(Debug)]
enum Queued {
    /// That a file was seen, without deletions.
    Seen(FileIdentity),
    Effect(Box<Effect>),
}

/// How an accepted item left.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // reported by the edge
pub struct Departed {
    /// Deletions beside a file that were read when it was opened.
    pub mods: Option<ModsSeen>,
    /// Whether they travelled with it; for a deletion, whether it travelled at all: some peers take
    /// none.
    pub mods_carried: bool,
    /// CRC-32 of the whole file, if it left as such.
    pub crc32: u32,
    /// In what form it left. A deletion that is [`Nothing`](Form::Nothing) was not wanted.
    pub form: Form,
    /// Whether series were left out since the peer does not know their types.
    pub has_unknown_types: bool,
    /// Whether the far side may go on reading older values; see [`Source::has_sent_files`].
    pub may_be_hidden: bool,
}

/// Why a file that was to leave could not even be tried.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // every reason is handled in its own way
pub enum Stall {
    /// Gone, or no longer the file that was listed: the next scan will tell. Until then nothing of
    /// its region leaves.
    Moved,
    /// It is whole but cannot leave now, for want of a permission, say. Nothing of its region may
    /// overtake it.
    Blocked(String),
    /// It is no whole TsFile, so there is nothing in it to be overtaken: it is set aside, and the
    /// region goes on.
    Damaged(String),
}

/// What `status` says of one region.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct StreamStatus {
    /// Files waiting that were there when the pipe was created.
    pub history_files: u64,
    /// Their bytes.
    pub history_bytes: u64,
    /// Files waiting that came since.
    pub realtime_files: u64,
    /// Their bytes.
    pub realtime_bytes: u64,
    /// Waiting files among them that wait for open sequence files or for the end of a compaction.
    pub held_files: u64,
    /// Deletions waiting.
    pub pending_deletions: u64,
    /// Files without `.resource`: their rows are not sent yet.
    pub unsealed_files: u64,
    /// Files acknowledged over the pipe's life, as far as the ledger tells.
    pub sent_files: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Files among them that left as tablets.
    pub tablet_files: u64,
    /// Files among them of which the wanted points left as a file.
    pub excerpt_files: u64,
    /// Files of which nothing was wanted.
    pub outside_files: u64,
    /// Files that left, or count as if, but for points that could not be read: each a gap record or more.
    pub short_files: u64,
    /// Files that were queued once more behind a late one that they win over.
    pub resent_files: u64,
    /// Targets of compactions that did not leave because everything in them had.
    pub covered_files: u64,
    /// Deletions acknowledged.
    pub sent_deletions: u64,
    /// Waiting files that are pinned: what the source drops of them leaves all the same.
    pub pinned_files: u64,
    /// Their bytes.
    pub pinned_bytes: u64,
    /// Files among them that the source has dropped.
    pub orphaned_files: u64,
    /// Files that vanished before they could leave, each a gap record.
    pub vanished_files: u64,
    /// Files that vanished before they could leave and whose rows leave with a compaction's target.
    pub superseded_files: u64,
    /// Damaged files set aside, with the reason.
    pub aside: Vec<(String, String)>,
    /// The file that holds the whole region up, with the reason.
    pub blocked: Option<(String, String)>,
    /// Whether new files wait for a scan in which all of the region can be read.
    pub awaits_scan: bool,
    /// What went wrong last.
    pub last_trouble: Option<String>,
    /// Sequence number of the last item that was tried.
    pub last_sequence: u64,
    /// Up to which row of the consensus everything has left, where that can be told.
    pub watermark: Option<String>,
}

#[derive(Debug)]
struct Folder {
    listing: Arc<Listing>,
    spot: Arc<Spot>,
    seen_in_scan: u64,
}

/// Room for effects that is kept.
const EFFECTS_USUAL: usize = 256;

impl Source {
    /// A source without a past.
    pub fn new(config: SourceConfig) -> Self {
        Self {
            config,
            n_scans: 0,
            folders: HashMap::new(),
            files: HashMap::new(),
            regions: BTreeMap::new(),
            in_flight: HashMap::new(),
            effects: VecDeque::new(),
            n_effects: 0,
            n_durable: 0,
            next_token: 1,
            turn: 0,
            marks: SourceMarks::default(),
            clock: Time::default(),
            has_boundary: false,
            in_history: HashSet::new(),
            is_past_damaged: false,
            whole_since: None,
            last_reboots: None,
            unread: Vec::new(),
            skipped: HashSet::new(),
            taking_in: None,
            touched_unread: HashSet::new(),
            gone_names: HashMap::new(),
            strays: HashSet::new(),
            pinned: Arc::default(),
            orphans: BTreeSet::new(),
        }
    }

    /// The next durable effect.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        let queued = self.effects.pop_front();
        if self.effects.is_empty() {
            // A large scan made it large, once.
            self.effects.shrink_to(EFFECTS_USUAL);
        }
        Some(match queued? {
            Queued::Effect(effect) => *effect,
            Queued::Seen(identity) => Effect::Cursor(match self.files.get(&identity) {
                Some(tracked) => Record::Seen(tracked.known(identity), None),
                // It went before anybody asked; what follows from that comes behind.
                None => self.lost_as_seen(identity).unwrap_or(Record::Gone(identity)),
            }),
        })
    }

    /// Whether there are effects to be polled.
    pub fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// Files that the ledger must remember.
    pub fn n_files(&self) -> usize {
        self.files.len()
    }

    /// So many more of the effects are durable, in the order in which they were polled.
    pub fn handle_durable(&mut self, n_effects: usize) {
        self.n_durable += n_effects as u64;
        assert!(self.n_durable <= self.n_effects, "no effect is durable before it was polled");
    }

    /// When [`Source::poll_item`] may find something new without anything happening.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.regions.values().filter_map(Region::wake_at).min()
    }

    /// Whether something waits for nothing but another scan. A region that cannot be read waits for
    /// the next one that is due anyway.
    pub fn wants_scan(&self) -> bool {
        self.taking_in.is_none()
            && self.regions.values().any(|region| {
                let is_new = region.queue.first().is_some_and(|it| !self.is_ready(region, it));
                let is_awaited = region.scan_awaited.is_some_and(|scan| scan >= self.n_scans);
                region.readable_scan == self.n_scans && (is_new || is_awaited)
            })
    }

    /// Why parts of the tree could not be read in the last scan.
    pub fn unread(&self) -> &[String] {
        &self.unread
    }

    /// Scans seen so far.
    pub fn n_scans(&self) -> u64 {
        self.n_scans
    }

    /// The regions known, with what `status` says of each.
    pub fn status(&self) -> impl Iterator<Item = (&RegionKey, StreamStatus)> {
        self.regions.iter().map(|(key, region)| (key, self.stream_status(key, region)))
    }

    fn stream_status(&self, key: &RegionKey, region: &Region) -> StreamStatus {
        let counts = region.counts;
        let mut status = StreamStatus {
            held_files: region.held.len() as u64,
            pending_deletions: region.deletions.len() as u64,
            unsealed_files: region.n_unsealed as u64,
            sent_files: counts.sent_files,
            sent_bytes: counts.sent_bytes,
            tablet_files: counts.tablet_files,
            excerpt_files: counts.excerpt_files,
            outside_files: counts.outside_files,
            short_files: counts.short_files,
            resent_files: counts.resent_files,
            covered_files: counts.covered_files,
            sent_deletions: counts.deletions,
            vanished_files: counts.vanished,
            superseded_files: counts.superseded,
            aside: region
                .aside
                .iter()
                .map(|(key, aside)| (key.rank.name.to_string(), aside.reason.clone()))
                .collect(),
            blocked: match self.unreadable_mods(region) {
                Some((name, why)) => Some((name.to_string(), why.to_owned())),
                None => region
                    .blocked
                    .as_ref()
                    .map(|(key, why)| (key.rank.name.to_string(), why.clone())),
            },
            awaits_scan: region.readable_scan < self.n_scans && !self.skipped.contains(key),
            last_trouble: region.last_trouble.clone(),
            last_sequence: region.last_sequence,
            watermark: region.watermark.reached().map(|(_, progress)| progress.to_string()),
            ..StreamStatus::default()
        };
        let in_flight = region.in_flight.iter().filter_map(|(_, flight)| match flight {
            Flight::File(key) => Some(*key),
            Flight::Deletion => None,
        });
        let held = region.held.keys().filter_map(|it| self.key_of(self.files.get(it)?, *it));
        for key in region.queue.iter().copied().chain(in_flight).chain(held) {
            let (files, bytes) = match key.phase {
                Phase::History => (&mut status.history_files, &mut status.history_bytes),
                Phase::Realtime => (&mut status.realtime_files, &mut status.realtime_bytes),
            };
            *files += 1;
            *bytes += key.rank.identity.length_bytes;
            if self.pinned.contains(&key.rank.identity) {
                status.pinned_files += 1;
                status.pinned_bytes += key.rank.identity.length_bytes;
                status.orphaned_files += u64::from(self.orphans.contains(&key.rank.identity));
            }
        }
        status
    }

    /// Whether every earlier deletion was looked for behind a file that waits.
    fn is_ready(&self, region: &Region, key: &OrderKey) -> bool {
        let first_scan = || self.files.get(&key.rank.identity).map(|it| it.first_scan);
        region.ready_scan >= self.n_scans || first_scan().is_none_or(|it| it <= region.ready_scan)
    }

    fn push(&mut self, effect: Effect) {
        self.enqueue(Queued::Effect(Box::new(effect)));
    }

    fn lost_as_seen(&self, identity: FileIdentity) -> Option<Record> {
        let mut lost = self.regions.values().flat_map(Region::lost);
        let lost = lost.find(|lost| lost.gone.file.identity == identity)?;
        lost.gone.records().next()
    }

    fn enqueue(&mut self, queued: Queued) {
        self.effects.push_back(queued);
        self.n_effects += 1;
    }

    fn record(&mut self, record: Record) {
        self.push(Effect::Cursor(record));
    }

    fn partition(&self, region: &RegionKey, partition: i64) -> Option<&Partition> {
        self.regions.get(region)?.partitions.get(&partition)
    }

    fn rank(&self, location: &Location, identity: FileIdentity) -> Rank {
        Rank::new(self.read_rule(), location.place().space, location.name, identity)
    }

    /// Whether a file is out: from its region, or from where it lay before that was renamed.
    fn is_out(&self, identity: FileIdentity) -> bool {
        let mut regions = self.in_flight.values().filter_map(|key| self.regions.get(key));
        regions.any(|it| it.in_flight.is_some_and(|(_, flight)| flight.is_of(identity)))
    }

    /// The position of a file, if it waits.
    fn key_of(&self, tracked: &Tracked, identity: FileIdentity) -> Option<OrderKey> {
        let State::Waiting(turn) = tracked.state else { return None };
        Some(turn.key(tracked.last.place().partition, self.rank(&tracked.last, identity)))
    }

    /// A file has left, or is taken for a compaction's target.
    fn note_live(&mut self, identity: FileIdentity) {
        let Some(tracked) = self.files.get(&identity) else { return };
        let rank = self.rank(&tracked.last, identity);
        let region = self.regions.get_mut(tracked.region());
        let partition =
            region.and_then(|it| it.partitions.get_mut(&tracked.last.place().partition));
        if let Some(live) = partition.and_then(|it| it.live.get_mut(&rank)) {
            *live = tracked.live();
        }
    }

    fn read_rule(&self) -> ReadRule {
        self.config.effective_read_rule()
    }
}

impl Default for SourceConfig {
    /// Queries of IoTDB end within a minute, unless they are allowed more.
    fn default() -> Self {
        Self {
            read_rule: ReadRule::default(),
            drop_policy: DropPolicy::default(),
            sources_go_within: Duration::from_secs(120),
            without: Without::default(),
        }
    }
}

impl SourceConfig {
    fn effective_read_rule(&self) -> ReadRule {
        match self.without {
            Without::ReadRule => ReadRule::UnsequenceFirst,
            _ => self.read_rule,
        }
    }
}
