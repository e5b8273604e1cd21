//! The core of a pipe's source: scans and outcomes in, items and durable effects out.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
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
use crate::listing::Scan;
use crate::listing::SealedFile;
use crate::record::Record;
use crate::record::Sent;
use crate::stream::ASIDE;
use crate::stream::Aside;
use crate::stream::OrderKey;
use crate::stream::Phase;
use crate::stream::Stream;

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
    effects: VecDeque<Effect>,
    next_token: u64,
    turn: u64,
    /// Why parts of the tree could not be read in the last scan.
    unread: Vec<String>,
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
    /// Gone, or no longer the file that was listed: the next scan will tell.
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
    /// Files that vanished before they could leave while a compaction's target appeared in their
    /// partition, or another file under their name.
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

/// Files that one scan saw for the first time.
#[derive(Debug, Default)]
struct Fresh<'a> {
    /// Partitions with a new target of a compaction.
    compacted: HashSet<(&'a RegionKey, i64)>,
    named: HashSet<(&'a Place, TsFileName)>,
}

impl<'a> Fresh<'a> {
    fn insert(&mut self, place: &'a Place, name: TsFileName) {
        // IoTDB counts compactions in the name of their target; a flush has none.
        if name.inner > 0 || name.cross > 0 {
            self.compacted.insert((&place.region, place.partition));
        }
        self.named.insert((place, name));
    }

    /// Whether what lay there under that name may be in one of these.
    fn supersedes(&self, place: &Place, name: TsFileName) -> bool {
        self.compacted.contains(&(&place.region, place.partition))
            || self.named.contains(&(place, name))
    }
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
            effects: VecDeque::new(),
            next_token: 1,
            turn: 0,
            unread: Vec::new(),
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

    /// A scan of the data directories ended.
    pub fn handle_scan(&mut self, scan: &Scan) {
        self.n_scans += 1;
        self.unread = scan.unread.iter().map(|unread| unread.reason.clone()).collect();
        let mut touched = HashSet::new();
        let mut fresh = Fresh::default();
        for listing in &scan.listings {
            self.observe(listing, &mut touched, &mut fresh);
        }
        self.drop_gone_folders(scan, &mut touched);
        for identity in touched {
            self.settle_location(identity, &fresh);
        }
        self.count_unsealed();
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
        self.streams.iter_mut().any(|(region, stream)| may(region) && stream.next(now).is_some())
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
    /// everything: a folder that cannot be read is not gone.
    pub fn forget_departed(&mut self) -> usize {
        if !self.unread.is_empty() || self.n_scans == 0 {
            return 0;
        }
        let last: HashMap<&RegionKey, u64> =
            self.streams.iter().map(|(region, stream)| (region, stream.last_sequence)).collect();
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
        // It may have been renamed or removed while it was out; nothing new is known of its
        // partition then, so a removal counts as a gap.
        self.settle_location(key.identity, &Fresh::default());
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

    /// Compares one folder with what was known of it.
    fn observe<'a>(
        &mut self,
        listing: &'a Arc<Listing>,
        touched: &mut HashSet<FileIdentity>,
        fresh: &mut Fresh<'a>,
    ) {
        let folder_key = (listing.place.clone(), Arc::clone(&listing.folder));
        let before = self.folders.insert(
            folder_key,
            Folder { listing: Arc::clone(listing), seen_in_scan: self.n_scans },
        );
        let before = before.map(|folder| folder.listing);
        if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, listing)) {
            return;
        }
        let now: HashSet<(FileIdentity, TsFileName)> =
            listing.sealed.iter().map(|file| (file.identity, file.name)).collect();
        for old in before.iter().flat_map(|before| &before.sealed) {
            if !now.contains(&(old.identity, old.name)) {
                self.remove_location(listing, old, touched);
            }
        }
        for file in &listing.sealed {
            self.add_location(listing, file, touched, fresh);
        }
    }

    fn add_location<'a>(
        &mut self,
        listing: &'a Arc<Listing>,
        file: &SealedFile,
        touched: &mut HashSet<FileIdentity>,
        fresh: &mut Fresh<'a>,
    ) {
        let location = Location {
            place: listing.place.clone(),
            folder: Arc::clone(&listing.folder),
            name: file.name,
        };
        if let Some(tracked) = self.files.get_mut(&file.identity) {
            if !tracked.locations.contains(&location) {
                tracked.locations.push(location);
                touched.insert(file.identity);
            }
            if tracked.mods != file.mods {
                // Two names of one file may have deletions of their own, and no order.
                if let (State::Sent(sent), [_]) = (&mut tracked.state, &tracked.locations[..])
                    && was_rewritten(tracked.mods, file.mods)
                {
                    sent.mods = None;
                }
                tracked.mods = file.mods;
                touched.insert(file.identity);
            }
            return;
        }
        let key = self.order_key(&location, file.identity);
        let region = listing.place.region.clone();
        fresh.insert(&listing.place, file.name);
        self.streams.entry(region.clone()).or_default().queue.insert(key);
        self.files.insert(
            file.identity,
            Tracked {
                region,
                locations: vec![location],
                mods: file.mods,
                state: State::Unsent(key),
            },
        );
    }

    fn remove_location(
        &mut self,
        listing: &Arc<Listing>,
        old: &SealedFile,
        touched: &mut HashSet<FileIdentity>,
    ) {
        if let Some(tracked) = self.files.get_mut(&old.identity) {
            tracked.locations.retain(|location| {
                location.place != listing.place
                    || location.folder != listing.folder
                    || location.name != old.name
            });
            touched.insert(old.identity);
        }
    }

    /// Folders that were listed before and are not there any more.
    fn drop_gone_folders(&mut self, scan: &Scan, touched: &mut HashSet<FileIdentity>) {
        let blind = scan.unread.iter().any(|unread| unread.region.is_none());
        let unread: HashSet<&RegionKey> =
            scan.unread.iter().filter_map(|unread| unread.region.as_ref()).collect();
        let gone: Vec<(Place, Arc<str>)> = self
            .folders
            .iter()
            .filter(|((place, _), folder)| {
                folder.seen_in_scan < self.n_scans && !blind && !unread.contains(&place.region)
            })
            .map(|(folder_key, _)| folder_key.clone())
            .collect();
        for folder_key in gone {
            let folder = self.folders.remove(&folder_key).expect("the key was just listed");
            for old in &folder.listing.sealed {
                self.remove_location(&folder.listing, old, touched);
            }
        }
        // A file that could not be opened was either removed from its listing, which the loop
        // above saw, or it is still listed and may be tried again.
        let n_scans = self.n_scans;
        touched.extend(self.missing.extract_if(|_, since| *since < n_scans).map(|(it, _)| it));
    }

    /// A file's locations or mods changed in this scan: brings its queue entry in line.
    fn settle_location(&mut self, identity: FileIdentity, fresh: &Fresh<'_>) {
        let Some(tracked) = self.files.get(&identity) else { return };
        let &State::Unsent(key) = &tracked.state else {
            return self.settle_mods(identity);
        };
        let region = tracked.region.clone();
        let stream = self.streams.entry(region.clone()).or_default();
        if stream.in_flight.is_some_and(|(_, in_flight)| in_flight == key) {
            return; // the reader holds it open; its outcome decides
        }
        if let Some(location) = tracked.locations.first() {
            let moved = location.name != key.name
                || location.place.space != key.space
                || location.place.partition != key.partition;
            let new = OrderKey {
                partition: location.place.partition,
                space: location.place.space,
                name: location.name,
                ..key
            };
            if moved {
                stream.queue.remove(&key);
                stream.aside.remove(&key);
            }
            if !stream.aside.contains_key(&new) {
                stream.queue.insert(new);
            }
            let tracked = self.files.get_mut(&identity).expect("the file was just looked at");
            tracked.state = State::Unsent(new);
            return;
        }
        stream.queue.remove(&key);
        stream.aside.remove(&key);
        if stream.blocked.as_ref().is_some_and(|(blocked, _)| *blocked == key) {
            (stream.blocked, stream.held_until) = (None, None);
        }
        self.files.remove(&identity);
        let place = Place { region, partition: key.partition, space: key.space };
        if fresh.supersedes(&place, key.name) {
            stream.superseded += 1;
            return;
        }
        stream.vanished += 1;
        self.effects.push_back(Effect::Gap(Gap {
            place,
            name: key.name,
            reason: GapReason::VanishedUnsent,
            bytes: (0, identity.length_bytes),
        }));
    }

    /// Deletions that appeared beside a file after it had left: a gap, recorded once.
    fn settle_mods(&mut self, identity: FileIdentity) {
        let Some(Tracked { mods: Some(seen), state: State::Sent(sent), .. }) =
            self.files.get_mut(&identity)
        else {
            return;
        };
        let settled = sent
            .mods
            .filter(|settled| settled.kind == seen.kind)
            .map_or(0, |settled| settled.length_bytes);
        if seen.length_bytes <= settled {
            return;
        }
        sent.mods = Some(*seen);
        self.effects.push_back(Effect::Gap(Gap {
            place: sent.place.clone(),
            name: sent.name,
            reason: GapReason::ModsAfterFile,
            bytes: (settled, seen.length_bytes),
        }));
        self.effects.push_back(Effect::Cursor(Record::ModsSettled { identity, mods: *seen }));
    }

    fn order_key(&self, location: &Location, identity: FileIdentity) -> OrderKey {
        let history = location.name.time_ms < self.created_ms;
        OrderKey {
            phase: if history { Phase::History } else { Phase::Realtime },
            scan: self.n_scans,
            partition: location.place.partition,
            space: location.place.space,
            name: location.name,
            identity,
        }
    }

    fn count_unsealed(&mut self) {
        for stream in self.streams.values_mut() {
            stream.n_unsealed = 0;
        }
        for ((place, _), folder) in &self.folders {
            if folder.listing.n_unsealed > 0 {
                self.streams.entry(place.region.clone()).or_default().n_unsealed +=
                    folder.listing.n_unsealed;
            }
        }
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
