//! Random directories, random fates: what does not depend on how the source is driven.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tidegate_model::Verdict;
use tidegate_source::DropPolicy;
use tidegate_source::Item;
use tidegate_source::ReadRule;
use tidegate_source::Record;
use tidegate_source::RegionKey;
use tidegate_source::SourceConfig;
use tidegate_source::Space;
use tidegate_source::Stall;
use tidegate_source::Unread;
use tidegate_source::Watched;
use tidegate_tsfile::Deletion;

use crate::tree::Key;
use crate::tree::Site;
use crate::tree::compacted;
use crate::tree::deletion;
use crate::tree::disk;
use crate::tree::folder;
use crate::tree::label;
use crate::tree::name;
use crate::tree::place;
use crate::tree::watched;

/// A run, with everything that can be seen of it from outside.
struct Run {
    rng: fastrand::Rng,
    site: Site,
    mods: BTreeMap<Key, (u64, Vec<Deletion>)>,
    out: BTreeMap<RegionKey, Item>,
    next_version: u64,
    /// So many files are taken in at a time, if not all at once.
    part: Option<usize>,
    trace: Vec<String>,
    numbers: Vec<u64>,
    renames: bool,
}

impl Run {
    fn new(seed: u64, part: Option<usize>) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let config = SourceConfig {
            read_rule: if rng.bool() { ReadRule::ByVersion } else { ReadRule::UnsequenceFirst },
            drop_policy: if rng.bool() { DropPolicy::Keep } else { DropPolicy::Delete },
            ..SourceConfig::default()
        };
        let mut site = Site::new(config);
        // One file of each partition stays: an empty one may be forgotten.
        for (region, partition) in [(1, 0), (1, 1), (2, 0), (2, 1)] {
            site.tree.add_with(&place(region, partition, Space::Sequence), name(0), &[]);
        }
        site.scan();
        let (mods, out) = (BTreeMap::new(), BTreeMap::new());
        Self {
            rng,
            site,
            mods,
            out,
            next_version: 1,
            part,
            trace: Vec::new(),
            numbers: Vec::new(),
            renames: true,
        }
    }

    fn step(&mut self) {
        self.site.now = self.site.now + Duration::from_millis(self.rng.u64(0..40_000));
        match self.rng.u8(0..24) {
            0..=2 => self.seal(),
            3 => self.open(),
            4 => self.remove(),
            5 | 6 => self.compact(),
            7 | 8 => self.delete(),
            9 if self.renames => self.rename(),
            10..=13 => self.scan(),
            14..=19 => self.begin(),
            _ => self.end(),
        }
        self.site.persist();
        self.note_gaps();
    }

    fn version(&mut self) -> u64 {
        self.next_version += 1;
        self.next_version
    }

    fn open(&mut self) {
        let version = self.version();
        let space = if self.rng.bool() { Space::Sequence } else { Space::Unsequence };
        let place = place(self.rng.u32(1..3), self.rng.i64(0..2), space);
        self.site.tree.open.insert((place, name(version)));
    }

    fn seal(&mut self) {
        if self.site.tree.open.is_empty() {
            self.open();
        }
        let at = self.rng.usize(0..self.site.tree.open.len());
        let (place, name) = self.site.tree.open.iter().nth(at).expect("it is open").clone();
        let devices: Vec<(&str, i64, i64)> = ["root.t.d1", "root.t.d2", "root.t.d3"]
            .into_iter()
            .map(|device| (device, self.rng.i64(0..10), self.rng.i64(10..30)))
            .filter(|(_, _, end)| *end < 20)
            .collect();
        self.site.tree.add_with(&place, name, &devices);
    }

    fn pick(&mut self) -> Option<Key> {
        let n_files = self.site.tree.files.len();
        let (_, place, name) = self.site.tree.files.keys().nth(self.rng.usize(0..n_files))?;
        (name.version > 0).then(|| (place.clone(), *name))
    }

    fn remove(&mut self) {
        if let Some(key) = self.pick() {
            self.site.tree.remove(&key);
        }
    }

    /// Two files of a partition go into one; one of them goes with the next compaction only.
    fn compact(&mut self) {
        let Some(first) = self.pick() else { return };
        if first.1.inner > 0 {
            return;
        }
        let target = (first.0.clone(), compacted(first.1.version));
        if self.site.tree.files.contains_key(&(disk(), target.0.clone(), target.1)) {
            self.site.tree.remove(&first);
            return;
        }
        let devices = [("root.t.d1", 0, 20), ("root.t.d2", 0, 20), ("root.t.d3", 0, 20)];
        self.site.tree.add_with(&target.0, target.1, &devices);
        if self.rng.bool() {
            self.site.tree.remove(&first);
        }
    }

    /// One more deletion beside a file, whose list may be written anew, or none any more.
    fn delete(&mut self) {
        let Some(key) = self.pick() else { return };
        if self.rng.u8(0..8) == 0 {
            self.site.tree.file(&key).mods = None;
            self.mods.remove(&key);
            return;
        }
        let start = self.rng.i64(0..20);
        let pattern = ["root.t.d1.s", "root.t.*.s", "root.**"][self.rng.usize(0..3)];
        let next_inode = (self.site.tree.n_inodes + self.mods.len() as u64) * 1000;
        let (inode, entries) = self.mods.entry(key.clone()).or_insert((next_inode, Vec::new()));
        if self.rng.u8(0..4) == 0 && !entries.is_empty() {
            entries.remove(0);
            *inode += 1;
        }
        entries.push(deletion(pattern, start, start + 3));
        self.site.tree.set_mods(&key, *inode, entries);
        if let Watched::Yes { touched, .. } = &mut self.site.tree.watched
            && self.rng.bool()
        {
            touched.insert((folder(&disk(), &key.0), key.1));
        }
    }

    /// An insertion compaction.
    fn rename(&mut self) {
        let Some(key) = self.pick() else { return };
        let version = self.version();
        let place = place(key.0.region.region, key.0.partition, Space::Sequence);
        self.site.tree.link(&key, (place, name(version)));
        self.site.tree.remove(&key);
    }

    fn scan(&mut self) {
        let region = place(self.rng.u32(1..3), 0, Space::Sequence).region;
        let reason = "no permission".to_owned();
        self.site.tree.unread = match self.rng.u8(0..8) {
            0 => vec![Unread { region: Some(region), reason }],
            1 if self.rng.bool() => vec![Unread { region: None, reason }],
            _ => Vec::new(),
        };
        let mut scan = self.site.tree.scan();
        if self.rng.u8(0..6) == 0 {
            scan.watched = Watched::No;
        }
        match self.part {
            None => self.site.source.handle_scan(self.site.now, &scan),
            Some(n_files) => {
                self.site.source.begin_scan(self.site.now, Arc::new(scan));
                while self.site.source.take_in(n_files) {
                    self.site.persist();
                    assert!(!self.site.source.has_item(self.site.now, |_| true));
                }
            }
        }
        self.site.tree.watched = watched(HashSet::new());
    }

    fn begin(&mut self) {
        let (source, now) = (&mut self.site.source, self.site.now);
        let hoped = source.has_item(now, |_| true);
        let item = source.poll_item(now, |_| true);
        let n_effects = self.site.collect();
        self.site.source.handle_durable(n_effects);
        if !hoped {
            assert_eq!((&item, n_effects), (&None, 0), "nothing comes where nothing was to be had");
        }
        let Some(item) = item else { return };
        self.numbers.push(item.sequence);
        self.trace.push(format!("{} {}", item.stream, label(&item)));
        let other = self.out.insert(item.stream.clone(), item);
        assert_eq!(other, None, "one item of a region is out");
    }

    fn end(&mut self) {
        let Some((_, item)) = self.out.pop_first() else { return };
        let is_file = item.precedence.is_some();
        let why = "why".to_owned();
        let (source, now) = (&mut self.site.source, self.site.now);
        match self.rng.u8(0..12) {
            0 if is_file => source.handle_stall(now, item.token, Stall::Moved),
            1 if is_file => source.handle_stall(now, item.token, Stall::Blocked(why)),
            2 if is_file => source.handle_stall(now, item.token, Stall::Damaged(why)),
            3 => self.site.end(&item, Verdict::Refused),
            4 => self.site.end(&item, Verdict::Unknown),
            _ => self.site.end(&item, Verdict::Accepted),
        }
    }

    /// Lets everything leave.
    fn finish(&mut self) {
        while !self.out.is_empty() {
            self.end();
        }
        self.site.tree.open.clear();
        for _ in 0..8 {
            self.site.tree.unread.clear();
            self.site.pass(100);
            let left = self.site.turn();
            self.trace.extend(left);
            self.note_gaps();
        }
    }

    fn note_gaps(&mut self) {
        let gaps = std::mem::take(&mut self.site.gaps);
        self.trace.extend(gaps.iter().map(ToString::to_string));
    }

    /// The same tree, and a source that knows only what is in the ledger.
    fn restarted(&self, records: &[Record]) -> Self {
        let mut site = Site::new(self.site.config);
        (site.tree, site.now) = (self.site.tree.clone(), self.site.now);
        site.records = records.to_vec();
        site.restart();
        Self {
            rng: self.rng.clone(),
            site,
            mods: self.mods.clone(),
            out: BTreeMap::new(),
            next_version: self.next_version,
            part: self.part,
            renames: self.renames,
            trace: Vec::new(),
            numbers: Vec::new(),
        }
    }
}

#[test]
fn a_scan_taken_in_part_by_part_comes_to_what_it_comes_to_at_once() {
    for seed in 0..1500 {
        let [whole, parts] = [None, Some(1 + seed as usize % 3)].map(|part| {
            let mut run = Run::new(seed, part);
            (0..150).for_each(|_| run.step());
            run.finish();
            (run.trace, run.numbers, run.site.records)
        });
        assert_eq!(whole, parts, "seed {seed}");
    }
}

#[test]
fn a_ledger_written_anew_says_what_the_old_one_said() {
    for seed in 0..1500 {
        let mut run = Run::new(seed, None);
        // The new one has the new names, so the order may be another one.
        run.renames = false;
        let n_steps = run.rng.usize(0..150);
        (0..n_steps).for_each(|_| run.step());
        let anew = run.site.source.live_records();
        let [old, new] = [&run.site.records, &anew].map(|records| {
            let mut run = run.restarted(records);
            (0..100).for_each(|_| run.step());
            run.finish();
            run.trace
        });
        assert_eq!(old, new, "seed {seed}, {n_steps} steps");
    }
}

#[test]
fn what_leaves_does_not_depend_on_the_order_in_a_hash_table() {
    for seed in 0..300 {
        let [one, other] = [(); 2].map(|()| {
            let mut run = Run::new(seed, None);
            (0..150).for_each(|_| run.step());
            run.finish();
            (run.trace, run.numbers, run.site.records, run.site.source.live_records())
        });
        assert_eq!(one, other, "seed {seed}");
    }
}
