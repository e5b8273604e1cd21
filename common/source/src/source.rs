//! The core of a pipe's source: scans and outcomes in, items and durable effects out.

mod scan;
mod successors;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;

use tidegate_model::Time;
use tidegate_model::Verdict;

use crate::gap::Gap;
use crate::gap::GapReason;
use crate::identity::FileIdentity;
use crate::identity::Place;
use crate::identity::RegionKey;
use crate::identity::TsFileName;
use crate::item::Extent;
use crate::item::FileItem;
use crate::item::Item;
use crate::item::ItemKind;
use crate::item::ModsSeen;
use crate::item::Outcome;
use crate::item::Precedence;
use crate::item::Token;
use crate::listing::Listing;
use crate::record::Record;
use crate::record::Sent;
use crate::stream::ASIDE;
use crate::stream::Aside;
use crate::stream::OrderKey;
use crate::stream::Phase;
use crate::stream::Stream;
use scan::TakingIn;
use successors::Targets;

/// Which file of a live IoTDB may leave next.
///
/// Methods come in four kinds:
///
/// - A. getters, taking `&self`
/// - B. `handle_*`: a scan ended, an item came to something
/// - C. [`load`](Self::load), before the first scan
/// - D. `poll_*`: what the caller must do next
///
/// After every B, call [`poll_effect`](Self::poll_effect) until it is empty and make each effect
/// durable in that order; then [`poll_item`](Self::poll_item) as long as lanes are free.
///
/// Of one region at most one item is out at a time, so what was acknowledged is always a prefix of
/// what was sent.
#[derive(Debug)]
pub struct Source {
    /// Files whose names are older are history.
    created_ms: u64,
    n_scans: u64,
    folders: HashMap<(Place, Arc<str>), Folder>,
    files: HashMap<FileIdentity, Tracked>,
    streams: BTreeMap<RegionKey, Stream>,
    in_flight: HashMap<Token, (RegionKey, OrderKey)>,
    /// Files that could not be opened, with the scan that had listed them.
    missing: HashMap<FileIdentity, u64>,
    targets: Targets,
    effects: VecDeque<Effect>,
    next_token: u64,
    turn: u64,
    /// Why parts of the tree could not be read in the last scan.
    unread: Vec<String>,
    taking_in: Option<TakingIn>,
}

/// Something that must become durable.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Effect {
    /// Append to the cursor journal.
    Cursor(Record),
    /// Append to the gap journal.
    Gap(Gap),
}

/// How an accepted file left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // reported by the edge
pub struct Departed {
    /// Deletions beside it that were read when it was opened.
    pub mods: Option<ModsSeen>,
    /// Whether they travelled with it.
    pub mods_carried: bool,
}

/// Why a file that was to leave could not even be tried.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // every reason is handled in its own way
pub enum Stall {
    /// Gone, or no longer the file that was listed: the next scan will tell. It may only have a new
    /// name, so nothing of its region overtakes it until then.
    Moved,
    /// It is whole but cannot leave now, for want of a permission, say. Nothing of its region may
    /// overtake it: a file that leaves late would win over newer values at the far side.
    Blocked(String),
    /// It is no whole TsFile, so there is nothing in it to be overtaken: it is set aside, and the
    /// region goes on.
    Damaged(String),
}

/// What `status` says of one region.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct StreamStatus {
    /// Files waiting that were made before the pipe.
    pub history_files: u64,
    /// Their bytes.
    pub history_bytes: u64,
    /// Files waiting that were made since.
    pub realtime_files: u64,
    /// Their bytes.
    pub realtime_bytes: u64,
    /// Files without `.resource`: their rows are not sent yet.
    pub unsealed_files: u64,
    /// Files acknowledged over the pipe's life, as far as the cursor journal tells.
    pub sent_files: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Files that vanished before they could leave, each a gap record.
    pub vanished_files: u64,
    /// Files that vanished before they could leave and live on: a compaction's target appeared in
    /// their partition after them, or another file under their name.
    pub superseded_files: u64,
    /// Damaged files set aside, with the reason.
    pub aside: Vec<(String, String)>,
    /// The file that holds the whole region up, with the reason.
    pub blocked: Option<(String, String)>,
    /// What went wrong last.
    pub last_trouble: Option<String>,
    /// Sequence number of the last item that was tried.
    pub last_sequence: u64,
}

#[derive(Debug)]
struct Folder {
    listing: Arc<Listing>,
    seen_in_scan: u64,
}

/// A file by identity, wherever it lies.
#[derive(Debug)]
struct Tracked {
    region: RegionKey,
    locations: Vec<Location>,
    mods: Option<ModsSeen>,
    /// The first scan that showed it; 0 if it was sent before the first one.
    seen_in_scan: u64,
    state: State,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Location {
    place: Place,
    folder: Arc<str>,
    name: TsFileName,
}

#[derive(Debug)]
enum State {
    /// Waiting, set aside or in flight.
    Unsent(OrderKey),
    Sent(Sent),
}

impl Source {
    /// A source without a past.
    ///
    /// # Arguments
    ///
    /// - `created_ms`: when the pipe was created, in milliseconds since 1970
    pub fn new(created_ms: u64) -> Self {
        Self {
            created_ms,
            n_scans: 0,
            folders: HashMap::new(),
            files: HashMap::new(),
            streams: BTreeMap::new(),
            in_flight: HashMap::new(),
            missing: HashMap::new(),
            targets: Targets::default(),
            effects: VecDeque::new(),
            next_token: 1,
            turn: 0,
            unread: Vec::new(),
            taking_in: None,
        }
    }

    /// Takes in one record of the cursor journal, oldest first, before the first scan.
    pub fn load(&mut self, record: Record) {
        assert_eq!(self.n_scans, 0, "the past is loaded before the first scan");
        match record {
            Record::Sent(sent) => {
                let stream = self.streams.entry(sent.place.region.clone()).or_default();
                stream.last_sequence = stream.last_sequence.max(sent.sequence);
                stream.sent_files += 1;
                stream.sent_bytes += sent.identity.length_bytes;
                self.files.insert(
                    sent.identity,
                    Tracked {
                        region: sent.place.region.clone(),
                        locations: Vec::new(),
                        mods: sent.mods,
                        seen_in_scan: 0,
                        state: State::Sent(sent),
                    },
                );
            }
            Record::ModsSettled { identity, mods } => {
                if let Some(Tracked { state: State::Sent(sent), mods: seen, .. }) =
                    self.files.get_mut(&identity)
                {
                    (sent.mods, *seen) = (Some(mods), Some(mods));
                }
            }
        }
    }

    /// An item came to something.
    ///
    /// # Arguments
    ///
    /// - `departed`: how it left; looked at only when it was accepted
    pub fn handle_outcome(
        &mut self,
        now: Time,
        token: Token,
        outcome: &Outcome,
        departed: Departed,
    ) {
        let (region, key) = self.take_in_flight(token);
        let stream = self.streams.entry(region).or_default();
        match outcome.verdict {
            Verdict::Accepted => self.depart(key, departed),
            Verdict::Refused => {
                stream.last_trouble = Some(outcome.message.clone());
                stream.hold(now);
                self.requeue(key);
            }
            Verdict::Unknown => {
                stream.last_trouble = Some(outcome.message.clone());
                self.requeue(key);
            }
        }
    }

    /// An item could not be tried.
    pub fn handle_stall(&mut self, now: Time, token: Token, stall: Stall) {
        let (region, key) = self.take_in_flight(token);
        // It may have been renamed or removed while it was out.
        self.requeue(key);
        let tracked = self.files.get(&key.identity);
        let Some(&State::Unsent(key)) = tracked.map(|tracked| &tracked.state) else { return };
        let stream = self.streams.entry(region).or_default();
        stream.queue.remove(&key);
        match stall {
            Stall::Moved => {
                self.missing.insert(key.identity, self.n_scans);
                stream.lost_in_scan = Some(self.n_scans);
            }
            Stall::Blocked(reason) => {
                stream.queue.insert(key);
                stream.held_until = Some(now + ASIDE);
                stream.blocked = Some((key, reason));
            }
            Stall::Damaged(reason) => {
                stream.last_trouble = Some(reason.clone());
                stream.numbered = None;
                stream.aside.insert(key, Aside { reason, retry_at: now + ASIDE });
            }
        }
    }

    /// The next durable effect.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The next item of a stream for which `may` says yes: the one that waited longest for a turn.
    pub fn poll_item(
        &mut self,
        now: Time,
        mut may: impl FnMut(&RegionKey) -> bool,
    ) -> Option<Item> {
        if self.taking_in.is_some() {
            return None;
        }
        let mut best: Option<(u64, RegionKey, OrderKey)> = None;
        for (region, stream) in &mut self.streams {
            if best.as_ref().is_some_and(|(turn, ..)| *turn <= stream.served_in_turn)
                || !may(region)
            {
                continue;
            }
            if let Some(key) = stream.next(now) {
                best = Some((stream.served_in_turn, region.clone(), key));
            }
        }
        let (_, region, key) = best?;
        let tracked = self.files.get(&key.identity).expect("a queued file is tracked");
        let location = tracked.locations.first().expect("a queued file lies somewhere");
        let folder = Arc::clone(&location.folder);
        let place = location.place.clone();
        let file = FileItem::new(place, location.name, key.identity, folder, tracked.mods);
        let token = Token(self.next_token);
        self.next_token += 1;
        self.turn += 1;
        let stream = self.streams.get_mut(&region).expect("the stream was just looked at");
        stream.queue.remove(&key);
        stream.blocked = None;
        stream.served_in_turn = self.turn;
        stream.in_flight = Some((token, key));
        self.in_flight.insert(token, (region.clone(), key));
        Some(Item {
            token,
            sequence: stream.number(key),
            stream: region,
            precedence: Precedence { space: file.place.space, name: file.name },
            extent: Extent::Unknown,
            kind: ItemKind::File(file),
        })
    }

    /// Whether [`poll_item`](Self::poll_item) would find something.
    pub fn has_item(&mut self, now: Time, mut may: impl FnMut(&RegionKey) -> bool) -> bool {
        self.taking_in.is_none()
            && self.streams.iter_mut().any(|(region, it)| may(region) && it.next(now).is_some())
    }

    /// When [`Source::poll_item`] may find something new without anything happening.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.streams.values().filter_map(Stream::wake_at).min()
    }

    /// The regions known, with what `status` says of each.
    pub fn status(&self) -> impl Iterator<Item = (&RegionKey, StreamStatus)> {
        self.streams.iter().map(|(region, stream)| (region, stream_status(stream)))
    }

    /// Why parts of the tree could not be read in the last scan.
    pub fn unread(&self) -> &[String] {
        &self.unread
    }

    /// Scans seen so far.
    pub fn n_scans(&self) -> u64 {
        self.n_scans
    }

    /// What the cursor journal must still hold: every file that was sent and not
    /// [forgotten](Self::forget_departed), in the order of the streams.
    pub fn live_records(&self) -> Vec<Record> {
        let sent = self.files.values().filter_map(|tracked| match &tracked.state {
            State::Sent(sent) => Some(sent),
            State::Unsent(_) => None,
        });
        let mut sent: Vec<&Sent> = sent.collect();
        sent.sort_by(|a, b| (&a.place.region, a.sequence).cmp(&(&b.place.region, b.sequence)));
        sent.into_iter().cloned().map(Record::Sent).collect()
    }

    /// Forgets files that were sent and are no longer anywhere, but for the last of each stream,
    /// which carries its sequence number; returns how many.
    ///
    /// To be called before the cursor journal is rewritten to
    /// [`live_records`](Self::live_records). Nothing is forgotten unless the last scan could read
    /// everything and is taken in whole: a folder that was not looked at is not gone. Nor is a region
    /// forgotten of which no folder was seen since the start: its disk may not be mounted yet.
    pub fn forget_departed(&mut self) -> usize {
        if !self.unread.is_empty() || self.n_scans == 0 || self.taking_in.is_some() {
            return 0;
        }
        let seen = self.streams.iter().filter(|(_, stream)| stream.was_seen);
        let last: HashMap<&RegionKey, u64> =
            seen.map(|(region, stream)| (region, stream.last_sequence)).collect();
        let n_before = self.files.len();
        self.files.retain(|_, tracked| match &tracked.state {
            State::Sent(sent) => {
                !tracked.locations.is_empty()
                    || last.get(&sent.place.region).is_none_or(|last| sent.sequence >= *last)
            }
            State::Unsent(_) => true,
        });
        n_before - self.files.len()
    }

    fn take_in_flight(&mut self, token: Token) -> (RegionKey, OrderKey) {
        let (region, key) =
            self.in_flight.remove(&token).expect("an outcome names an item in flight");
        let stream = self.streams.get_mut(&region).expect("an item in flight has a stream");
        assert_eq!(stream.in_flight.take(), Some((token, key)), "one item of a stream is out");
        (region, key)
    }

    /// Puts a file that did not get through back to its place.
    fn requeue(&mut self, key: OrderKey) {
        if let Some(taking_in) = &mut self.taking_in {
            // The folder that it left may be in already, and the one that it lies in may not.
            return taking_in.touch(key.identity);
        }
        // It may have been renamed or removed while it was out.
        if self.settle_location(key.identity) {
            self.account_for(&[key.identity]);
        }
    }

    fn depart(&mut self, key: OrderKey, departed: Departed) {
        let tracked = self.files.get_mut(&key.identity).expect("an item in flight is tracked");
        let stream = self.streams.entry(tracked.region.clone()).or_default();
        stream.refusals = 0;
        stream.held_until = None;
        stream.last_trouble = None;
        stream.sent_files += 1;
        stream.sent_bytes += key.identity.length_bytes;
        let (_, sequence) = stream.numbered.take().expect("an item in flight has a number");
        let place =
            Place { region: tracked.region.clone(), partition: key.partition, space: key.space };
        if let Some(mods) = departed.mods.filter(|_| !departed.mods_carried) {
            self.effects.push_back(Effect::Gap(Gap {
                place: place.clone(),
                name: key.name,
                reason: GapReason::ModsNotCarried,
                bytes: (0, mods.length_bytes),
            }));
        }
        let sent =
            Sent { place, name: key.name, identity: key.identity, sequence, mods: departed.mods };
        self.effects.push_back(Effect::Cursor(Record::Sent(sent.clone())));
        tracked.state = State::Sent(sent);
        self.settle_mods(key.identity);
    }
}

/// Deletions only grow, but for the times when IoTDB writes a long list of them anew, and shorter:
/// what is new in it cannot be told.
fn was_rewritten(before: Option<ModsSeen>, now: Option<ModsSeen>) -> bool {
    match (before, now) {
        (Some(before), Some(now)) => {
            before.kind == now.kind && now.length_bytes < before.length_bytes
        }
        (before, now) => before.is_some() && now.is_none(),
    }
}

fn stream_status(stream: &Stream) -> StreamStatus {
    let mut status = StreamStatus {
        unsealed_files: stream.n_unsealed as u64,
        sent_files: stream.sent_files,
        sent_bytes: stream.sent_bytes,
        vanished_files: stream.vanished,
        superseded_files: stream.superseded,
        aside: stream
            .aside
            .iter()
            .map(|(key, aside)| (key.name.to_string(), aside.reason.clone()))
            .collect(),
        blocked: stream.blocked.as_ref().map(|(key, why)| (key.name.to_string(), why.clone())),
        last_trouble: stream.last_trouble.clone(),
        last_sequence: stream.last_sequence,
        ..StreamStatus::default()
    };
    let in_flight = stream.in_flight.iter().map(|(_, key)| key);
    for key in stream.queue.iter().chain(in_flight) {
        let (files, bytes) = match key.phase {
            Phase::History => (&mut status.history_files, &mut status.history_bytes),
            Phase::Realtime => (&mut status.realtime_files, &mut status.realtime_bytes),
        };
        *files += 1;
        *bytes += key.identity.length_bytes;
    }
    status
}
