//! Stories of a watched partition, told at random: what is trusted must have been seen.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use tidegate_source::Space;
use tidegate_source::Unread;

use super::*;

/// Folders of one partition: two data directories, two spaces, unsequence first.
const N_FOLDERS: usize = 4;

type File = u64;

/// One partition of an IoTDB, the kernel's watches on it, and whoever believes what is said of it.
struct Story {
    random: fastrand::Rng,
    watch: Watch,
    /// How much less happens in scans: one seed is hectic, another calm.
    calm: usize,
    /// Folders that are there, with their files.
    folders: [Option<BTreeSet<File>>; N_FOLDERS],
    watched: [bool; N_FOLDERS],
    is_parent_watched: bool,
    /// What a file was made of.
    made_of: BTreeMap<File, BTreeSet<File>>,
    /// Sources that are still to go.
    going: Vec<(usize, File)>,
    /// Writes to the mods of a file, and how many of them were read.
    written: BTreeMap<File, u64>,
    read: BTreeMap<File, u64>,
    next: File,
    /// Files that were ever in a listing.
    seen: BTreeSet<File>,
    /// Files of the last listing of each folder.
    shown: [BTreeSet<File>; N_FOLDERS],
    is_known: bool,
    n_trusted: u64,
    n_unmissed: u64,
}

impl Story {
    fn new(seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            calm: 1 + usize::try_from(seed % 20).expect("small"),
            watch: Watch::default(),
            folders: Default::default(),
            watched: [false; N_FOLDERS],
            is_parent_watched: false,
            made_of: BTreeMap::new(),
            going: Vec::new(),
            written: BTreeMap::new(),
            read: BTreeMap::new(),
            next: 1,
            seen: BTreeSet::new(),
            shown: Default::default(),
            is_known: false,
            n_trusted: 0,
            n_unmissed: 0,
        }
    }

    fn create(&mut self, at: usize, made_of: BTreeSet<File>) {
        let file = self.next;
        self.next += 1;
        if self.folders[at].is_none() && self.is_parent_watched {
            self.watch.appeared(folder(at));
        }
        self.folders[at].get_or_insert_default().insert(file);
        self.made_of.insert(file, made_of);
        if self.watched[at] {
            self.watch.created(&folder(at), name(file));
        }
    }

    /// Something happens at the source, or to the watch.
    fn happen(&mut self) {
        let at = self.random.usize(..N_FOLDERS);
        match self.random.usize(..16) {
            0..3 => self.create(at, BTreeSet::new()),
            3..6 => self.compact(at),
            6..11 if !self.going.is_empty() => {
                let (at, file) = self.going.swap_remove(self.random.usize(..self.going.len()));
                self.folders[at].as_mut().expect("it is there").remove(&file);
            }
            11..14 => {
                let files: Vec<File> = self.folders[at].iter().flatten().copied().collect();
                if !files.is_empty() {
                    let file = files[self.random.usize(..files.len())];
                    *self.written.entry(file).or_default() += 1;
                    if self.watched[at] {
                        self.watch.touched(&folder(at), name(file));
                    }
                }
            }
            14 if self.folders[at].as_ref().is_some_and(BTreeSet::is_empty) => {
                // Deleted: nothing was missed, and the next one of that name is another.
                self.folders[at] = None;
                if std::mem::take(&mut self.watched[at]) {
                    self.watch.deleted(&folder(at));
                }
            }
            _ if self.random.usize(..8) == 0 && self.watched[at] => {
                self.watched[at] = false;
                self.watch.lost(&folder(at));
            }
            _ if self.random.usize(..40) == 0 => self.watch.overflowed(),
            _ => (),
        }
    }

    /// A compaction's target is there before the first of its sources goes.
    fn compact(&mut self, to: usize) {
        let is_going = |it: &(usize, File)| self.going.contains(it);
        let all = (0..N_FOLDERS)
            .flat_map(|at| self.folders[at].iter().flatten().map(move |&file| (at, file)));
        let all: Vec<(usize, File)> = all.filter(|it| !is_going(it)).collect();
        let n_sources = 1 + self.random.usize(..3);
        let mut sources: Vec<(usize, File)> = Vec::new();
        for _ in 0..n_sources.min(all.len()) {
            sources.push(all[self.random.usize(..all.len())]);
        }
        sources.dedup();
        if sources.is_empty() {
            return;
        }
        self.create(to, sources.iter().map(|(_, file)| *file).collect());
        sources.sort_unstable();
        sources.dedup();
        self.going.extend(sources);
    }

    /// While a scan goes on, less happens than between two of them.
    fn happenings(&mut self) {
        if self.random.usize(..self.calm) == 0 {
            for _ in 0..1 + self.random.usize(..3) {
                self.happen();
            }
        }
    }

    fn scan(&mut self) {
        let mut scan = Scan::default();
        let mut now: [Option<BTreeSet<File>>; N_FOLDERS] = Default::default();
        self.is_parent_watched = self.random.usize(..20) > 0;
        let sight = if self.is_parent_watched { Sight::Since } else { Sight::Blind };
        self.watch.enter_parent("/".into(), sight);
        for (at, now) in now.iter_mut().enumerate() {
            self.happenings();
            if self.folders[at].is_none() {
                continue;
            }
            let is_possible = self.random.usize(..12) > 0;
            let sight = match (self.watched[at], is_possible) {
                (true, _) => Sight::Since,
                (false, true) => Sight::FromNow,
                (false, false) => Sight::Blind,
            };
            self.watched[at] = sight != Sight::Blind;
            self.watch.enter(&folder(at), &place(at), sight);
            self.happenings();
            if self.random.usize(..25) == 0 {
                scan.unread.push(unread());
            } else if let Some(files) = &self.folders[at] {
                *now = Some(files.clone());
                scan.listings.push(listing(at, files));
            }
        }
        self.happenings();
        let watched = self.watch.listed(&scan);
        let is_read = self.random.usize(..25) > 0;
        if !is_read {
            scan.unread.push(unread());
        }
        self.read_mods(&now, &mut scan, is_read);
        self.watch.ended(&scan);
        if is_read {
            self.believe(now, &watched, !scan.unread.is_empty());
        }
    }

    fn read_mods(
        &mut self,
        now: &[Option<BTreeSet<File>>; N_FOLDERS],
        scan: &mut Scan,
        is_read: bool,
    ) {
        for (at, files) in now.iter().enumerate() {
            for file in files.iter().flatten() {
                if self.random.usize(..8) == 0 {
                    self.happenings();
                }
                if !self.folders[at].as_ref().is_some_and(|it| it.contains(file)) {
                    scan.unsettled.insert(region());
                } else if is_read {
                    let written = self.written.get(file).copied().unwrap_or(0);
                    self.read.insert(*file, written);
                }
            }
        }
    }

    /// What the source makes of it: see `common/source`.
    fn believe(
        &mut self,
        now: [Option<BTreeSet<File>>; N_FOLDERS],
        watched: &Watched,
        is_unread: bool,
    ) {
        let listed: BTreeSet<File> = now.iter().flatten().flatten().copied().collect();
        let before = self.seen.clone();
        let was_known = self.is_known;
        self.seen.extend(&listed);
        self.is_known |= !listed.is_empty();
        for (at, now) in now.into_iter().enumerate() {
            if let (None, true) = (&now, is_unread) {
                continue;
            }
            let shown = std::mem::replace(&mut self.shown[at], now.unwrap_or_default());
            let Watched::Yes { broken, touched, .. } = watched else { continue };
            if broken.contains(&(region(), 0)) {
                continue;
            }
            for file in self.shown[at].iter().filter(|it| was_known && !before.contains(it)) {
                self.n_trusted += 1;
                for source in &self.made_of[file] {
                    assert!(self.was_seen(*source), "{file} is trusted, {source} was not seen");
                }
            }
            for file in shown.iter().filter(|it| !is_unread && !listed.contains(it)) {
                // One whose mods nobody could read yet has not left.
                let Some(read) = self.read.get(file) else { continue };
                if !touched.contains(&(folder(at), name(*file))) {
                    self.n_unmissed += 1;
                    let written = self.written.get(file).copied().unwrap_or(0);
                    assert_eq!(*read, written, "deletions beside {file} were missed");
                }
            }
        }
    }
}

impl Story {
    /// Whether a file was seen, or all that it was made of.
    fn was_seen(&self, file: File) -> bool {
        let sources = &self.made_of[&file];
        self.seen.contains(&file)
            || (!sources.is_empty() && sources.iter().all(|source| self.was_seen(*source)))
    }
}

fn region() -> RegionKey {
    RegionKey { database: "root.sg".into(), region: 1 }
}

fn place(at: usize) -> Place {
    let space = if at < 2 { Space::Unsequence } else { Space::Sequence };
    Place { region: region(), partition: 0, space }
}

fn folder(at: usize) -> Arc<str> {
    format!("/data{}/{}/root.sg/1/0", at % 2, place(at).space.as_str()).into()
}

fn name(file: File) -> TsFileName {
    TsFileName { version: file, time_ms: file, inner: 0, cross: 0 }
}

fn unread() -> Unread {
    Unread { region: Some(region()), reason: String::new() }
}

fn listing(at: usize, files: &BTreeSet<File>) -> Arc<Listing> {
    let unsealed = files.iter().map(|&file| name(file)).collect();
    Arc::new(Listing { place: place(at), folder: folder(at), sealed: Vec::new(), unsealed })
}

#[test]
fn what_is_trusted_has_been_seen_and_what_went_untouched_was_read_to_its_end() {
    let (mut n_trusted, mut n_unmissed) = (0, 0);
    let seeds = std::env::var("TIDEGATE_SEED").ok().and_then(|it| it.parse().ok());
    for seed in seeds.map_or(0..100_000, |seed| seed..seed + 1) {
        let mut story = Story::new(seed);
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..12 {
                for _ in 0..story.random.usize(..12) {
                    story.happen();
                }
                story.scan();
            }
        }));
        assert!(told.is_ok(), "TIDEGATE_SEED={seed}");
        n_trusted += story.n_trusted;
        n_unmissed += story.n_unmissed;
    }
    // Nothing would be wrong either if nothing were ever said.
    assert!(
        seeds.is_some() || (n_trusted > 10_000 && n_unmissed > 10_000),
        "{n_trusted} {n_unmissed}"
    );
}

/// A watch that has seen one scan of the first folder.
fn watching() -> Watch {
    let mut watch = Watch::default();
    assert!(matches!(pass(&mut watch, &[(0, &[1])]), Watched::No), "nobody watched before");
    watch
}

/// A scan of these folders, all of them watched.
fn pass(watch: &mut Watch, folders: &[(usize, &[File])]) -> Watched {
    let mut scan = Scan::default();
    for &(at, files) in folders {
        let is_known = watch.folders.contains_key(&folder(at));
        watch.enter(&folder(at), &place(at), if is_known { Sight::Since } else { Sight::FromNow });
        scan.listings.push(listing(at, &files.iter().copied().collect()));
    }
    let watched = watch.listed(&scan);
    watch.ended(&scan);
    watched
}

fn is_broken(watched: &Watched) -> bool {
    match watched {
        Watched::Yes { broken, .. } => !broken.is_empty(),
        Watched::No => panic!("it was watched"),
    }
}

#[test]
fn a_file_that_came_and_went_breaks_two_scans_and_one_that_came_late_breaks_one() {
    let mut watch = watching();
    watch.created(&folder(0), name(2));
    assert!(is_broken(&pass(&mut watch, &[(0, &[1])])));
    assert!(is_broken(&pass(&mut watch, &[(0, &[1])])));
    assert!(!is_broken(&pass(&mut watch, &[(0, &[1])])));
    watch.created(&folder(0), name(3));
    assert!(is_broken(&pass(&mut watch, &[(0, &[1])])));
    assert!(!is_broken(&pass(&mut watch, &[(0, &[1, 3])])));
    watch.created(&folder(0), name(4));
    assert!(!is_broken(&pass(&mut watch, &[(0, &[1, 3, 4])])));
}

#[test]
fn a_folder_that_appears_is_not_watched_until_it_is_entered() {
    let mut watch = watching();
    assert!(is_broken(&pass(&mut watch, &[(0, &[1]), (2, &[2])])));
    assert!(!is_broken(&pass(&mut watch, &[(0, &[1]), (2, &[2])])));
}

#[test]
fn lost_events_leave_two_scans_unsaid() {
    let mut watch = watching();
    watch.overflowed();
    assert!(matches!(pass(&mut watch, &[(0, &[1])]), Watched::No));
    assert!(matches!(pass(&mut watch, &[(0, &[1])]), Watched::No));
    assert!(!is_broken(&pass(&mut watch, &[(0, &[1])])));
}

#[test]
fn more_events_than_are_kept_count_as_lost() {
    for (n_events, is_said) in [(9, true), (10, true), (11, false)] {
        let mut watch = Watch { events_max: 10, ..watching() };
        for file in 0..n_events {
            watch.created(&folder(0), name(100 + file));
        }
        assert_eq!(matches!(pass(&mut watch, &[(0, &[1])]), Watched::Yes { .. }), is_said);
    }
}

#[test]
fn writes_to_mods_are_told_once_unless_they_could_not_be_read() {
    let told = |watched: Watched| match watched {
        Watched::Yes { touched, .. } => touched.into_iter().map(|it| it.1.version).collect(),
        Watched::No => vec![],
    };
    let mut watch = watching();
    watch.touched(&folder(0), name(1));
    assert_eq!(told(pass(&mut watch, &[(0, &[1])])), [1]);
    assert_eq!(told(pass(&mut watch, &[(0, &[1])])), [0; 0]);
    watch.touched(&folder(0), name(1));
    watch.enter(&folder(0), &place(0), Sight::Since);
    let mut scan = Scan { listings: vec![listing(0, &BTreeSet::from([1]))], ..Scan::default() };
    assert_eq!(told(watch.listed(&scan)), [1]);
    scan.unsettled.insert(region());
    watch.ended(&scan);
    assert_eq!(told(pass(&mut watch, &[(0, &[1])])), [1]);
}
