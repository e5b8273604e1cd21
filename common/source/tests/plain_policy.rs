//! The plain policy of this release, driven by random directories and random fates.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tidegate_model::Time;
use tidegate_model::Verdict;
use tidegate_source::Departed;
use tidegate_source::Effect;
use tidegate_source::FileIdentity;
use tidegate_source::GapReason;
use tidegate_source::Item;
use tidegate_source::ItemKind;
use tidegate_source::Listing;
use tidegate_source::ModsSeen;
use tidegate_source::Outcome;
use tidegate_source::Place;
use tidegate_source::Record;
use tidegate_source::RegionKey;
use tidegate_source::Scan;
use tidegate_source::SealedFile;
use tidegate_source::Source;
use tidegate_source::Space;
use tidegate_source::Stall;
use tidegate_source::TsFileName;
use tidegate_source::Unread;
use tidegate_tsfile::ModsKind;

/// A data directory in memory.
#[derive(Clone, Debug, Default)]
struct Tree {
    files: BTreeMap<(Place, TsFileName), SealedFile>,
    n_inodes: u64,
}

impl Tree {
    fn add(&mut self, place: &Place, version: u64) -> FileIdentity {
        self.add_compacted(place, version, 0)
    }

    fn add_compacted(&mut self, place: &Place, version: u64, inner: u32) -> FileIdentity {
        self.n_inodes += 1;
        let name = TsFileName { version, time_ms: 1000 + version, inner, cross: 0 };
        let identity =
            FileIdentity { inode: self.n_inodes, length_bytes: 100 + self.n_inodes, mtime_ns: 7 };
        self.files.insert((place.clone(), name), SealedFile { name, identity, mods: None });
        identity
    }

    fn scan(&self) -> Scan {
        let mut listings: BTreeMap<Place, Listing> = BTreeMap::new();
        for ((place, _), file) in &self.files {
            let folder: Arc<str> = format!("{place:?}").into();
            let listing = listings.entry(place.clone()).or_insert_with(|| Listing {
                place: place.clone(),
                folder,
                sealed: Vec::new(),
                n_unsealed: 0,
            });
            listing.sealed.push(*file);
        }
        Scan { listings: listings.into_values().map(Arc::new).collect(), unread: Vec::new() }
    }
}

fn place(region: u32, partition: i64, space: Space) -> Place {
    let region = RegionKey { database: "root.t".to_owned(), region };
    Place { region, partition, space }
}

const NOTHING: Departed = Departed { mods: None, mods_carried: false };

fn at(seconds: u64) -> Time {
    Time::from_micros(seconds * 1_000_000)
}

fn accept(source: &mut Source, now: Time, item: &Item, departed: Departed) -> Vec<Effect> {
    let outcome = Outcome::bare(Verdict::Accepted, "");
    source.handle_outcome(now, item.token, &outcome, departed);
    std::iter::from_fn(|| source.poll_effect()).collect()
}

fn identity(item: &Item) -> FileIdentity {
    let ItemKind::File(file) = &item.kind else { panic!("{item:?}") };
    file.identity
}

/// Sends everything there is; the identities in the order in which they left.
fn drain(source: &mut Source, now: Time) -> Vec<FileIdentity> {
    let mut left = Vec::new();
    while let Some(item) = source.poll_item(now, |_| true) {
        left.push(identity(&item));
        accept(source, now, &item, NOTHING);
    }
    left
}

#[test]
fn sequence_files_of_a_partition_leave_before_its_unsequence_files_by_version() {
    let mut tree = Tree::default();
    let unsequence = tree.add(&place(1, 0, Space::Unsequence), 1);
    let late = tree.add(&place(1, 0, Space::Sequence), 9);
    let early = tree.add(&place(1, 0, Space::Sequence), 2);
    let mut source = Source::new(u64::MAX);
    source.handle_scan(&tree.scan());
    assert_eq!(drain(&mut source, at(0)), [early, late, unsequence]);
}

#[test]
fn history_leaves_before_what_was_made_since_the_pipe() {
    let mut tree = Tree::default();
    let old = tree.add(&place(1, 5, Space::Unsequence), 3);
    let new = tree.add(&place(1, 0, Space::Sequence), 4);
    let mut source = Source::new(1004); // names carry 1000 + version
    source.handle_scan(&tree.scan());
    let (_, status) = source.status().next().expect("a region");
    assert_eq!((status.history_files, status.realtime_files), (1, 1));
    assert_eq!(drain(&mut source, at(0)), [old, new]);
}

#[test]
fn a_file_seen_in_a_later_scan_never_overtakes_one_that_sealed_before() {
    let mut tree = Tree::default();
    let first = tree.add(&place(1, 0, Space::Unsequence), 9);
    let mut source = Source::new(u64::MAX);
    source.handle_scan(&tree.scan());
    let second = tree.add(&place(1, 0, Space::Sequence), 1);
    source.handle_scan(&tree.scan());
    assert_eq!(drain(&mut source, at(0)), [first, second]);
}

#[test]
fn what_was_sent_is_known_again_by_its_inode_under_another_name() {
    let mut tree = Tree::default();
    let from = place(1, 0, Space::Unsequence);
    tree.add(&from, 3);
    let mut source = Source::new(0);
    source.handle_scan(&tree.scan());
    assert_eq!(drain(&mut source, at(0)).len(), 1);
    // Insertion compaction: a hard link in the other space, under another name, then the old goes.
    let (_, file) = tree.files.pop_first().expect("the file");
    let name = TsFileName { version: 77, time_ms: 5, inner: 0, cross: 0 };
    tree.files.insert((place(1, 0, Space::Sequence), name), SealedFile { name, ..file });
    source.handle_scan(&tree.scan());
    assert_eq!(drain(&mut source, at(0)), []);
    assert_eq!(source.poll_effect(), None, "neither a gap nor anything else");
}

#[test]
fn an_inode_number_used_again_is_another_file() {
    let mut tree = Tree::default();
    let here = place(1, 0, Space::Sequence);
    let old = tree.add(&here, 3);
    let mut source = Source::new(0);
    source.handle_scan(&tree.scan());
    drain(&mut source, at(0));
    tree.files.clear();
    tree.n_inodes -= 1;
    tree.add(&here, 4);
    let file = tree.files.values_mut().next().expect("the new file");
    file.identity.mtime_ns += 1;
    let new = file.identity;
    assert_eq!(old.inode, new.inode);
    source.handle_scan(&tree.scan());
    assert_eq!(drain(&mut source, at(0)), [new]);
}

#[test]
fn a_file_that_vanishes_unsent_leaves_a_gap_unless_new_ones_took_its_place() {
    let mut tree = Tree::default();
    let here = place(1, 0, Space::Sequence);
    tree.add(&here, 1);
    tree.add(&place(2, 0, Space::Sequence), 1);
    tree.add(&place(3, 0, Space::Sequence), 1);
    let mut source = Source::new(0);
    source.handle_scan(&tree.scan());
    tree.files.clear();
    tree.add(&here, 2); // a flush, which holds nothing of what vanished
    tree.add_compacted(&place(2, 0, Space::Unsequence), 2, 1); // a compaction's target
    tree.add(&place(3, 0, Space::Sequence), 1); // the same name on another disk, say
    source.handle_scan(&tree.scan());
    let effects: Vec<Effect> = std::iter::from_fn(|| source.poll_effect()).collect();
    let [Effect::Gap(gap)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((gap.reason, &gap.place), (GapReason::VanishedUnsent, &here));
    let superseded: Vec<u64> = source.status().map(|(_, it)| it.superseded_files).collect();
    assert_eq!(superseded, [0, 1, 1]);
}

#[test]
fn a_folder_that_cannot_be_read_is_not_a_folder_that_is_gone() {
    let mut tree = Tree::default();
    let file = tree.add(&place(1, 0, Space::Sequence), 1);
    let mut source = Source::new(0);
    source.handle_scan(&tree.scan());
    for region in [Some(RegionKey { database: "root.t".to_owned(), region: 1 }), None] {
        let unread = vec![Unread { region, reason: "no permission".to_owned() }];
        source.handle_scan(&Scan { listings: Vec::new(), unread });
        assert_eq!(source.poll_effect(), None);
        assert_eq!(source.unread(), ["no permission"]);
        assert_eq!(source.forget_departed(), 0);
    }
    source.handle_scan(&tree.scan());
    assert_eq!(drain(&mut source, at(0)), [file]);
}

#[test]
fn deletions_that_come_after_their_file_are_gaps_each_byte_once_also_after_a_restart() {
    let mut tree = Tree::default();
    tree.add(&place(1, 0, Space::Sequence), 1);
    let mut source = Source::new(0);
    source.handle_scan(&tree.scan());
    let item = source.poll_item(at(0), |_| true).expect("the file");
    let mods = |length_bytes| Some(ModsSeen { kind: ModsKind::Text, length_bytes });
    let departed = Departed { mods: mods(10), mods_carried: true };
    let mut records: Vec<Record> = Vec::new();
    let mut gaps = Vec::new();
    let mut note = |effects: Vec<Effect>| {
        for effect in effects {
            match effect {
                Effect::Cursor(record) => records.push(record),
                Effect::Gap(gap) => gaps.push((gap.reason, gap.bytes)),
                other => panic!("{other:?}"),
            }
        }
    };
    note(accept(&mut source, at(0), &item, departed));
    for length_bytes in [10, 25, 25, 30] {
        tree.files.values_mut().for_each(|file| file.mods = mods(length_bytes));
        source.handle_scan(&tree.scan());
        note(std::iter::from_fn(|| source.poll_effect()).collect());
    }
    let mut restarted = Source::new(0);
    records.iter().cloned().for_each(|record| restarted.load(record));
    tree.files.values_mut().for_each(|file| file.mods = mods(31));
    restarted.handle_scan(&tree.scan());
    let effects: Vec<Effect> = std::iter::from_fn(|| restarted.poll_effect()).collect();
    let Some(Effect::Gap(gap)) = effects.first() else { panic!("{effects:?}") };
    gaps.push((gap.reason, gap.bytes));
    let late = GapReason::ModsAfterFile;
    assert_eq!(gaps, [(late, (10, 25)), (late, (25, 30)), (late, (30, 31))]);
}

#[test]
fn a_list_of_deletions_that_was_written_anew_and_shorter_hides_no_new_ones() {
    for restarts in [false, true] {
        let mut tree = Tree::default();
        tree.add(&place(1, 0, Space::Sequence), 1);
        let mut source = Source::new(0);
        let mods = |length_bytes| Some(ModsSeen { kind: ModsKind::Text, length_bytes });
        tree.files.values_mut().for_each(|file| file.mods = mods(100));
        source.handle_scan(&tree.scan());
        let item = source.poll_item(at(0), |_| true).expect("the file");
        let departed = Departed { mods: mods(100), mods_carried: true };
        let effects = accept(&mut source, at(0), &item, departed);
        if restarts {
            source = Source::new(0);
            for effect in effects {
                let Effect::Cursor(record) = effect else { panic!("{effect:?}") };
                source.load(record);
            }
        }
        let mut gaps = Vec::new();
        for length_bytes in [20, 50] {
            tree.files.values_mut().for_each(|file| file.mods = mods(length_bytes));
            source.handle_scan(&tree.scan());
            while let Some(effect) = source.poll_effect() {
                if let Effect::Gap(gap) = effect {
                    gaps.push(gap.bytes);
                }
            }
        }
        assert_eq!(gaps, [(0, 20), (20, 50)], "restarted: {restarts}");
    }
}

#[test]
fn deletions_that_the_peer_cannot_take_are_a_gap() {
    let mut tree = Tree::default();
    tree.add(&place(1, 0, Space::Sequence), 1);
    let mut source = Source::new(0);
    source.handle_scan(&tree.scan());
    let item = source.poll_item(at(0), |_| true).expect("the file");
    let mods = Some(ModsSeen { kind: ModsKind::Text, length_bytes: 44 });
    let effects = accept(&mut source, at(0), &item, Departed { mods, mods_carried: false });
    let [Effect::Gap(gap), Effect::Cursor(_)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((gap.reason, gap.bytes), (GapReason::ModsNotCarried, (0, 44)));
}

#[test]
fn a_damaged_file_holds_up_nothing_and_is_tried_again() {
    let mut tree = Tree::default();
    let bad = tree.add(&place(1, 0, Space::Sequence), 1);
    let good = tree.add(&place(1, 0, Space::Sequence), 2);
    let mut source = Source::new(u64::MAX);
    source.handle_scan(&tree.scan());
    let item = source.poll_item(at(0), |_| true).expect("the first");
    source.handle_stall(at(0), item.token, Stall::Damaged("no tail".to_owned()));
    assert_eq!(drain(&mut source, at(1)), [good]);
    let (_, status) = source.status().next().expect("a region");
    assert_eq!(status.aside, [("1001-1-0-0.tsfile".to_owned(), "no tail".to_owned())]);
    let again = source.poll_timeout().expect("a time to try again");
    assert_eq!(drain(&mut source, again), [bad]);
}

#[test]
fn a_file_that_cannot_leave_now_holds_up_its_region_and_no_other() {
    let mut tree = Tree::default();
    let first = tree.add(&place(1, 0, Space::Sequence), 1);
    let second = tree.add(&place(1, 0, Space::Sequence), 2);
    let other = tree.add(&place(2, 0, Space::Sequence), 3);
    let mut source = Source::new(u64::MAX);
    source.handle_scan(&tree.scan());
    let item = source.poll_item(at(0), |region| region.region == 1).expect("the first");
    source.handle_stall(at(0), item.token, Stall::Blocked("no permission".to_owned()));
    assert_eq!(drain(&mut source, at(1)), [other]);
    let (_, status) = source.status().next().expect("a region");
    assert_eq!(status.blocked, Some(("1001-1-0-0.tsfile".to_owned(), "no permission".to_owned())));
    assert_eq!(status.history_files, 2, "both still wait");
    let again = source.poll_timeout().expect("a time to try again");
    assert_eq!(drain(&mut source, again), [first, second]);
    let (_, status) = source.status().next().expect("a region");
    assert_eq!(status.blocked, None);
}

#[test]
fn a_region_does_not_wait_for_a_file_that_is_gone() {
    let mut tree = Tree::default();
    tree.add(&place(1, 0, Space::Sequence), 1);
    let mut source = Source::new(0);
    source.handle_scan(&tree.scan());
    let item = source.poll_item(at(0), |_| true).expect("the file");
    source.handle_stall(at(0), item.token, Stall::Blocked("no permission".to_owned()));
    tree.files.clear();
    let other = tree.add(&place(1, 0, Space::Sequence), 2);
    source.handle_scan(&tree.scan());
    let (_, status) = source.status().next().expect("a region");
    assert_eq!(status.blocked, None);
    assert_eq!(drain(&mut source, at(1)), [other]);
}

#[test]
fn a_refused_file_is_tried_again_after_pauses_that_grow_to_a_minute() {
    let mut tree = Tree::default();
    tree.add(&place(1, 0, Space::Sequence), 1);
    let mut source = Source::new(0);
    source.handle_scan(&tree.scan());
    let mut now = at(0);
    let mut pauses = Vec::new();
    for _ in 0..9 {
        let item = source.poll_item(now, |_| true).expect("it is never given up");
        assert_eq!(item.sequence, 1, "a retry keeps its number");
        source.handle_outcome(now, item.token, &Outcome::bare(Verdict::Refused, "ff"), NOTHING);
        let next = source.poll_timeout().expect("a time to try again");
        pauses.push(next.since(now).as_secs());
        assert!(!source.has_item(now, |_| true));
        now = next;
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
}

/// A run of random directories, fates and restarts.
struct Run {
    rng: fastrand::Rng,
    tree: Tree,
    source: Source,
    /// The cursor journal.
    journal: Vec<Record>,
    gaps: Vec<GapReason>,
    now: Time,
    next_version: u64,
    in_flight: HashMap<RegionKey, Item>,
    accepted: HashSet<FileIdentity>,
    removed_unsent: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            tree: Tree::default(),
            source: Source::new(1010),
            journal: Vec::new(),
            gaps: Vec::new(),
            now: at(0),
            next_version: 1,
            in_flight: HashMap::new(),
            accepted: HashSet::new(),
            removed_unsent: 0,
        }
    }

    fn step(&mut self) {
        self.now = self.now + Duration::from_millis(self.rng.u64(0..3000));
        // A scan is taken in part by part, whatever happens in between.
        if self.rng.bool() {
            self.source.take_in(self.rng.usize(1..3));
            self.persist();
        }
        match self.rng.u8(0..12) {
            0..=2 => self.add_file(),
            3 => self.move_file(),
            4 if self.rng.bool() => self.remove_file(),
            5 => {
                self.source.begin_scan(Arc::new(self.tree.scan()));
                self.persist();
            }
            6..=8 => self.begin_item(),
            9 | 10 => self.end_item(),
            11 if self.rng.u8(0..4) == 0 => self.restart(),
            _ => (),
        }
    }

    fn add_file(&mut self) {
        let space = if self.rng.bool() { Space::Sequence } else { Space::Unsequence };
        let place = place(self.rng.u32(1..4), self.rng.i64(-1..2), space);
        self.tree.add(&place, self.next_version);
        self.next_version += 1;
    }

    fn pick(&mut self) -> Option<(Place, TsFileName)> {
        let n_files = self.tree.files.len();
        let at = if n_files == 0 { return None } else { self.rng.usize(0..n_files) };
        self.tree.files.keys().nth(at).cloned()
    }

    fn move_file(&mut self) {
        let Some(key) = self.pick() else { return };
        let file = self.tree.files.remove(&key).expect("it was picked");
        let space = Space::Sequence;
        let name = TsFileName { version: self.next_version, inner: 1, ..key.1 };
        self.next_version += 1;
        self.tree.files.insert((Place { space, ..key.0 }, name), SealedFile { name, ..file });
    }

    fn remove_file(&mut self) {
        let Some(key) = self.pick() else { return };
        let file = self.tree.files.remove(&key).expect("it was picked");
        self.removed_unsent += u64::from(!self.accepted.contains(&file.identity));
    }

    fn begin_item(&mut self) {
        let Some(item) = self.source.poll_item(self.now, |_| true) else { return };
        let other = self.in_flight.insert(item.stream.clone(), item);
        assert!(other.is_none(), "two items of one stream are out");
    }

    fn end_item(&mut self) {
        let Some(region) = self.in_flight.keys().min().cloned() else { return };
        let item = self.in_flight.remove(&region).expect("it was picked");
        let identity = identity(&item);
        match self.rng.u8(0..8) {
            0 => self.source.handle_stall(self.now, item.token, Stall::Moved),
            1 => {
                let why = "for some reason".to_owned();
                let blocked = self.rng.bool();
                let stall = if blocked { Stall::Blocked(why) } else { Stall::Damaged(why) };
                self.source.handle_stall(self.now, item.token, stall);
            }
            2 | 3 => {
                let verdict = if self.rng.bool() { Verdict::Refused } else { Verdict::Unknown };
                let outcome = Outcome::bare(verdict, "");
                self.source.handle_outcome(self.now, item.token, &outcome, NOTHING);
            }
            _ => {
                assert!(self.accepted.insert(identity), "{identity:?} left twice");
                let outcome = Outcome::bare(Verdict::Accepted, "");
                self.source.handle_outcome(self.now, item.token, &outcome, NOTHING);
            }
        }
        self.persist();
    }

    /// Crash: what was in flight is forgotten, the journal is read back.
    fn restart(&mut self) {
        self.in_flight.clear();
        if self.rng.bool() {
            self.source.forget_departed();
            self.journal = self.source.live_records();
        }
        self.source = Source::new(1010);
        for record in &self.journal {
            let (kind, body) = record.encode();
            let read = Record::decode(kind, &body).expect("a record reads back");
            assert_eq!(read, *record);
            self.source.load(read);
        }
    }

    fn persist(&mut self) {
        while let Some(effect) = self.source.poll_effect() {
            match effect {
                Effect::Cursor(record) => self.journal.push(record),
                Effect::Gap(gap) => {
                    let read = tidegate_source::Gap::decode(&gap.encode());
                    assert_eq!(read.as_ref(), Ok(&gap));
                    self.gaps.push(gap.reason);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Lets everything that is left go.
    fn finish(&mut self) {
        while !self.in_flight.is_empty() {
            self.end_item();
        }
        for _ in 0..4 {
            self.source.handle_scan(&self.tree.scan());
            self.now = self.now + Duration::from_secs(100);
            for left in drain(&mut self.source, self.now) {
                assert!(self.accepted.insert(left), "{left:?} left twice");
            }
            self.persist();
        }
    }
}

#[test]
fn whatever_happens_every_file_that_stays_leaves_exactly_once() {
    for seed in 0..3000 {
        let result = std::panic::catch_unwind(|| {
            let mut run = Run::new(seed);
            for _ in 0..120 {
                run.step();
            }
            run.finish();
            for ((place, name), file) in &run.tree.files {
                assert!(run.accepted.contains(&file.identity), "{place:?} {name} never left");
            }
            let n_gaps = run.gaps.len() as u64;
            assert!(n_gaps <= run.removed_unsent, "{n_gaps} gaps, {}", run.removed_unsent);
        });
        assert!(result.is_ok(), "seed {seed}");
    }
}
