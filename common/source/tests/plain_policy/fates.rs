//! Random directories, random fates.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tidegate_model::Time;
use tidegate_model::Verdict;
use tidegate_source::Effect;
use tidegate_source::FileIdentity;
use tidegate_source::Gap;
use tidegate_source::Item;
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

use crate::tree::NOTHING;
use crate::tree::Tree;
use crate::tree::at;
use crate::tree::drain;
use crate::tree::identity;
use crate::tree::place;

/// A run of random directories, fates and restarts.
struct Run {
    rng: fastrand::Rng,
    tree: Tree,
    source: Source,
    /// The cursor journal.
    journal: Vec<Record>,
    /// Lengths tell files apart.
    gaps: Vec<Gap>,
    now: Time,
    next_version: u64,
    in_flight: HashMap<RegionKey, Item>,
    accepted: HashSet<FileIdentity>,
    removed_unsent: u64,
    /// Scans since the last restart, and the first of them that showed a file.
    n_scans: u64,
    first_seen: HashMap<FileIdentity, u64>,
    /// Files removed unsent after a scan had shown them, since the last restart.
    lost: HashMap<FileIdentity, Place>,
    /// What has the name of a compaction's target, each with its partition.
    targets: HashMap<FileIdentity, Place>,
    /// What a compaction has not removed yet, with its target.
    doomed: Vec<(FileIdentity, FileIdentity)>,
    /// What compactions removed since the last restart, with the target.
    compacted: HashMap<FileIdentity, FileIdentity>,
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
            n_scans: 0,
            first_seen: HashMap::new(),
            lost: HashMap::new(),
            targets: HashMap::new(),
            doomed: Vec::new(),
            compacted: HashMap::new(),
        }
    }

    fn step(&mut self) {
        self.now = self.now + Duration::from_millis(self.rng.u64(0..3000));
        // A scan is taken in part by part, whatever happens in between.
        if self.rng.bool() {
            self.source.take_in(self.rng.usize(1..3));
            self.persist();
        }
        match self.rng.u8(0..14) {
            0..=2 => self.add_file(),
            3 => self.move_file(),
            4 if self.rng.bool() => self.remove_file(),
            5 => {
                let scan = self.scan();
                self.source.begin_scan(Arc::new(scan));
                self.persist();
            }
            6..=8 => self.begin_item(),
            9 | 10 => self.end_item(),
            12 => self.compact(),
            13 => self.remove_source(),
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
        self.remove(&key);
    }

    fn remove(&mut self, key: &(Place, TsFileName)) {
        let file = self.tree.files.remove(key).expect("it was picked");
        if self.accepted.contains(&file.identity) {
            return;
        }
        self.removed_unsent += 1;
        if self.first_seen.contains_key(&file.identity) {
            self.lost.insert(file.identity, key.0.clone());
        }
    }

    /// Some files of a partition go into one; they themselves go later, one by one.
    fn compact(&mut self) {
        let Some((place, _)) = self.pick() else { return };
        let n_files = self.rng.usize(1..4);
        let here = |it: &Place| (&it.region, it.partition) == (&place.region, place.partition);
        let files = self.tree.files.iter().filter(|((it, _), _)| here(it));
        let sources: Vec<FileIdentity> = files.map(|(_, it)| it.identity).take(n_files).collect();
        let target = self.tree.add_compacted(&place, self.next_version, 1);
        self.next_version += 1;
        self.doomed.extend(sources.into_iter().map(|source| (source, target)));
    }

    fn remove_source(&mut self) {
        let Some((source, target)) = self.doomed.pop() else { return };
        let mut files = self.tree.files.iter();
        let Some((key, _)) = files.find(|(_, file)| file.identity == source) else { return };
        let key = key.clone();
        self.remove(&key);
        self.compacted.insert(source, target);
    }

    fn scan(&mut self) -> Scan {
        self.n_scans += 1;
        for ((place, name), file) in &self.tree.files {
            let is_new = !self.first_seen.contains_key(&file.identity);
            self.first_seen.entry(file.identity).or_insert(self.n_scans);
            if is_new && name.inner > 0 {
                self.targets.insert(file.identity, place.clone());
            }
        }
        self.tree.scan()
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
        // What it had seen and not yet judged is not known any more.
        self.n_scans = 0;
        self.first_seen.clear();
        self.targets.clear();
        self.lost.clear();
        self.compacted.clear();
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
                    let read = Gap::decode(&gap.encode());
                    assert_eq!(read.as_ref(), Ok(&gap));
                    self.gaps.push(gap);
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
            let scan = self.scan();
            self.source.handle_scan(&scan);
            self.persist(); // `drain` drops effects
            self.now = self.now + Duration::from_secs(100);
            for left in drain(&mut self.source, self.now) {
                assert!(self.accepted.insert(left), "{left:?} left twice");
            }
            self.persist();
        }
    }

    fn is_gap(&self, file: &FileIdentity) -> bool {
        self.gaps.iter().any(|gap| gap.bytes == (0, file.length_bytes))
    }

    /// Nothing was lost in silence: what went unsent is a gap, or a later target may hold it, which
    /// left or is judged itself.
    fn check_lost(&self) {
        for (gone, place) in &self.lost {
            if self.accepted.contains(gone) || self.is_gap(gone) {
                continue;
            }
            let stands = |(target, at): (&FileIdentity, &Place)| {
                target != gone
                    && (&at.region, at.partition) == (&place.region, place.partition)
                    && self.first_seen.get(target) >= self.first_seen.get(gone)
                    && (self.accepted.contains(target) || self.lost.contains_key(target))
            };
            assert!(self.targets.iter().any(stands), "{gone:?} of {place:?} went in silence");
        }
    }

    /// No compaction was taken for a loss.
    fn check_compacted(&self) {
        for (gone, target) in &self.compacted {
            let later = self.first_seen.get(target) > self.first_seen.get(gone);
            let left = self.accepted.contains(target) && !self.lost.contains_key(target);
            assert!(!(later && left && self.is_gap(gone)), "{gone:?} is in {target:?}, no gap");
        }
    }
}

#[test]
fn whatever_happens_every_file_leaves_once_or_is_a_gap_or_lives_on_in_a_later_target() {
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
            run.check_lost();
            run.check_compacted();
            let n_gaps = run.gaps.len() as u64;
            assert!(n_gaps <= run.removed_unsent, "{n_gaps} gaps, {}", run.removed_unsent);
        });
        assert!(result.is_ok(), "seed {seed}");
    }
}
