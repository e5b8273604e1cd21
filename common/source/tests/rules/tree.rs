//! A data directory in memory, a source that looks at it, and what leaves.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tidegate_model::Time;
use tidegate_model::Verdict;
use tidegate_source::DeletionKey;
use tidegate_source::Departed;
use tidegate_source::DeviceSpan;
use tidegate_source::Effect;
use tidegate_source::Extent;
use tidegate_source::FileFacts;
use tidegate_source::FileIdentity;
use tidegate_source::Gap;
use tidegate_source::GapReason;
use tidegate_source::Item;
use tidegate_source::ItemKind;
use tidegate_source::LastMods;
use tidegate_source::Listing;
use tidegate_source::ModsRead;
use tidegate_source::Outcome;
use tidegate_source::Place;
use tidegate_source::Record;
use tidegate_source::RegionKey;
use tidegate_source::Scan;
use tidegate_source::SealedFile;
use tidegate_source::SeenDeletion;
use tidegate_source::Series;
use tidegate_source::Source;
use tidegate_source::SourceConfig;
use tidegate_source::SourceMarks;
use tidegate_source::Space;
use tidegate_source::StreamStatus;
use tidegate_source::TsFileName;
use tidegate_source::Unread;
use tidegate_source::Watched;
use tidegate_source::cut;
use tidegate_source::device_key;
use tidegate_tsfile::Deletion;
use tidegate_tsfile::DeviceExtent;
use tidegate_tsfile::DeviceId;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::ProgressIndex;
use tidegate_tsfile::Target;
use tidegate_tsfile::TimeRange;

pub(crate) type Key = (Place, TsFileName);
/// A list of deletions, by its folder and the name of its file.
pub(crate) type At = (Arc<str>, TsFileName);

/// A data directory in memory. Files lie on one disk, `/data`, unless they are put elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) files: BTreeMap<(Arc<str>, Place, TsFileName), SealedFile>,
    pub(crate) open: BTreeSet<Key>,
    pub(crate) unread: Vec<Unread>,
    /// Regions that are there and not listed, since they are not to be sent.
    pub(crate) skipped: HashSet<RegionKey>,
    pub(crate) marks: SourceMarks,
    pub(crate) watched: Watched,
    pub(crate) last_mods: HashMap<FileIdentity, LastMods>,
    pub(crate) n_inodes: u64,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            files: BTreeMap::new(),
            open: BTreeSet::new(),
            unread: Vec::new(),
            skipped: HashSet::new(),
            marks: SourceMarks { node: Some(1), reboots: Some(1) },
            watched: watched(HashSet::new()),
            last_mods: HashMap::new(),
            n_inodes: 0,
        }
    }
}

impl Tree {
    /// A sealed file of one device, whose times no other version's has.
    pub(crate) fn add(&mut self, place: &Place, version: u64) -> Key {
        let start = 100 * version.cast_signed();
        self.add_with(place, name(version), &[("root.t.d1", start, start + 99)])
    }

    /// A sealed file of these devices and times.
    pub(crate) fn add_with(
        &mut self,
        place: &Place,
        name: TsFileName,
        devices: &[(&str, i64, i64)],
    ) -> Key {
        self.n_inodes += 1;
        let inode = self.n_inodes;
        let identity = FileIdentity { inode, length_bytes: 100 + inode, mtime_ns: 7 };
        let spans = devices.iter().map(|&(device, start, end)| DeviceSpan {
            device: device_key(device),
            start,
            end,
        });
        let facts = FileFacts {
            extent: Extent::of_devices(spans.collect()),
            progress: Some(ProgressIndex::iot(1, inode.cast_signed()).into()),
            devices: Some(
                devices.iter().map(|&(path, start, end)| extent(path, start, end)).collect(),
            ),
        };
        let file =
            SealedFile { name, identity, facts: Arc::new(facts), mods: None, is_young: false };
        self.files.insert((disk(), place.clone(), name), file);
        self.open.remove(&(place.clone(), name));
        (place.clone(), name)
    }

    pub(crate) fn file(&mut self, (place, name): &Key) -> &mut SealedFile {
        self.files.get_mut(&(disk(), place.clone(), *name)).expect("the file is there")
    }

    pub(crate) fn remove(&mut self, (place, name): &Key) -> SealedFile {
        self.files.remove(&(disk(), place.clone(), *name)).expect("the file is there")
    }

    /// Puts a file into another folder under its name, and says where it is.
    pub(crate) fn move_to(&mut self, key: &Key, to: Place) -> Key {
        let file = self.remove(key);
        self.files.insert((disk(), to.clone(), key.1), file);
        (to, key.1)
    }

    /// The watcher has opened a list before it went.
    pub(crate) fn catch(&mut self, at: At, file: &SealedFile) {
        let mods = file.mods.clone().expect("an entry");
        self.last_mods.insert(file.identity, LastMods { at, mods });
    }

    /// A file goes, with a list that was just written to and that the watcher has opened.
    pub(crate) fn go_caught(&mut self, key: &Key) -> SealedFile {
        let file = self.remove(key);
        self.watched = watched(HashSet::from([at(key)]));
        self.catch(at(key), &file);
        file
    }

    /// From now on nothing happens that a watcher would tell of.
    pub(crate) fn hush(&mut self) {
        self.watched = watched(HashSet::new());
        self.last_mods.clear();
    }

    /// Another name for a file, which stays where it is.
    pub(crate) fn link(&mut self, from: &Key, to: Key) {
        let file = SealedFile { name: to.1, ..self.file(from).clone() };
        self.files.insert((disk(), to.0, to.1), file);
    }

    /// Deletions beside a file, all of them.
    pub(crate) fn set_mods(&mut self, key: &Key, inode: u64, entries: &[Deletion]) {
        let file = self.file(key);
        let devices = file.facts.devices.clone().unwrap_or_default();
        let entries: Vec<SeenDeletion> = entries
            .iter()
            .enumerate()
            .map(|(at, entry)| SeenDeletion {
                end_bytes: 10 * (at as u64 + 1),
                key: DeletionKey::of(entry),
                scope: cut(entry, &devices),
            })
            .collect();
        file.mods = Some(Arc::new(ModsRead {
            kind: ModsKind::Text,
            inode,
            whole_bytes: 10 * entries.len() as u64,
            entries,
            damage: None,
        }));
    }

    pub(crate) fn scan(&self) -> Scan {
        let mut listings: BTreeMap<(Arc<str>, &Place), Listing> = BTreeMap::new();
        let listing = |disk: &Arc<str>, place: &Place| Listing {
            place: place.clone(),
            folder: folder(disk, place),
            sealed: Vec::new(),
            unsealed: Vec::new(),
        };
        let is_sent = |place: &Place| !self.skipped.contains(&place.region);
        for ((disk, place, _), file) in self.files.iter().filter(|((_, it, _), _)| is_sent(it)) {
            let of = listings.entry((disk.clone(), place));
            of.or_insert_with(|| listing(disk, place)).sealed.push(file.clone());
        }
        for (place, name) in self.open.iter().filter(|(it, _)| is_sent(it)) {
            let of = listings.entry((disk(), place));
            of.or_insert_with(|| listing(&disk(), place)).unsealed.push(*name);
        }
        let mut listings: Vec<Listing> = listings.into_values().collect();
        listings.sort_by_key(|it| it.place.space == Space::Sequence);
        Scan {
            listings: listings.into_iter().map(Arc::new).collect(),
            unread: self.unread.clone(),
            skipped: self.skipped.clone(),
            watched: self.watched.clone(),
            last_mods: self.last_mods.clone(),
            marks: self.marks,
            now_ns: 1_000_000_000_000,
            ..Scan::default()
        }
    }
}

/// A source with its tree, its ledger and its gaps.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) config: SourceConfig,
    pub(crate) tree: Tree,
    pub(crate) source: Source,
    pub(crate) now: Time,
    pub(crate) records: Vec<Record>,
    pub(crate) gaps: Vec<Gap>,
    /// How the next items leave.
    pub(crate) departed: Departed,
}

impl Site {
    pub(crate) fn new(config: SourceConfig) -> Self {
        Self {
            config,
            tree: Tree::default(),
            source: Source::new(config),
            now: Time::from_micros(0),
            records: Vec::new(),
            gaps: Vec::new(),
            departed: Departed { mods: None, mods_carried: true, crc32: 0, ..Departed::default() },
        }
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    pub(crate) fn scan(&mut self) {
        self.source.handle_scan(self.now, &self.tree.scan());
        self.persist();
    }

    /// Takes over what the source wants to be durable, without making it so.
    pub(crate) fn collect(&mut self) -> usize {
        let mut n_effects = 0;
        while let Some(effect) = self.source.poll_effect() {
            n_effects += 1;
            match effect {
                Effect::Cursor(record) => self.records.push(record),
                Effect::Gap(gap) => self.gaps.push(gap),
                other => panic!("{other:?}"),
            }
        }
        n_effects
    }

    pub(crate) fn persist(&mut self) {
        let n_effects = self.collect();
        self.source.handle_durable(n_effects);
    }

    pub(crate) fn poll(&mut self) -> Option<Item> {
        self.poll_of(|_| true)
    }

    pub(crate) fn poll_of(&mut self, may: impl Fn(&RegionKey) -> bool) -> Option<Item> {
        for _ in 0..2 {
            let item = self.source.poll_item(self.now, &may);
            self.persist();
            if item.is_some() {
                return item;
            }
        }
        None
    }

    pub(crate) fn end(&mut self, item: &Item, verdict: Verdict) {
        let outcome = Outcome::bare(verdict, "why");
        let mut departed = self.departed;
        if let ItemKind::File(file) = &item.kind {
            departed.mods = file.mods;
        }
        self.source.handle_outcome(self.now, item.token, &outcome, departed);
        self.persist();
    }

    /// Sends everything that can leave; what that was.
    pub(crate) fn drain(&mut self) -> Vec<String> {
        let mut left = Vec::new();
        while let Some(item) = self.poll() {
            left.push(label(&item));
            self.end(&item, Verdict::Accepted);
        }
        left
    }

    /// A scan and all that follows from it; what left.
    pub(crate) fn turn(&mut self) -> Vec<String> {
        self.scan();
        self.drain()
    }

    /// Some scans, in each of which the time allows whatever it may; what left.
    pub(crate) fn turns(&mut self, n_turns: usize) -> Vec<String> {
        let mut left = Vec::new();
        for _ in 0..n_turns {
            left.extend(self.turn());
            self.pass(100);
        }
        left
    }

    /// The same with nothing that a watcher would tell of.
    pub(crate) fn calm_down(&mut self) -> Vec<String> {
        self.tree.hush();
        self.turns(5)
    }

    pub(crate) fn restart(&mut self) {
        self.source = restored(self.config, &self.records);
    }

    pub(crate) fn status(&self, region: u32) -> StreamStatus {
        let mut all = self.source.status();
        all.find(|(key, _)| key.region == region).expect("a known region").1
    }

    pub(crate) fn reasons(&self) -> Vec<GapReason> {
        self.gaps.iter().map(|gap| gap.reason).collect()
    }
}

/// A source that reads back what another has written.
fn restored(config: SourceConfig, records: &[Record]) -> Source {
    let mut source = Source::new(config);
    for record in records {
        let (kind, body) = record.encode();
        let read = Record::decode(kind, &body).expect("a record reads back");
        assert_eq!(read, *record);
        source.load(read);
    }
    source
}

/// `s7` is version 7 of the sequence space; a deletion is named by its times and its paths.
pub(crate) fn label(item: &Item) -> String {
    match &item.kind {
        ItemKind::File(file) => file_label(&(file.place.clone(), file.name)),
        ItemKind::Delete(it) => {
            let Series::Tree { paths } = &it.deletion.series else { panic!("{it:?}") };
            let paths: Vec<&str> = paths.iter().map(|path| &**path).collect();
            format!("{}..{} of {}", it.deletion.start, it.deletion.end, paths.join(" "))
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn file_label((place, name): &Key) -> String {
    let space = if place.space == Space::Sequence { "s" } else { "u" };
    format!("{space}{}", name.version)
}

pub(crate) fn sequence(region: u32) -> Place {
    place(region, 0, Space::Sequence)
}

pub(crate) fn unsequence(region: u32) -> Place {
    place(region, 0, Space::Unsequence)
}

pub(crate) fn place(region: u32, partition: i64, space: Space) -> Place {
    let region = RegionKey { database: "root.t".into(), region };
    Place { region, partition, space }
}

pub(crate) fn name(version: u64) -> TsFileName {
    TsFileName { version, time_ms: 1000 + version, inner: 0, cross: 0 }
}

/// The name of what an inner compaction makes of files of which this is the first version.
pub(crate) fn compacted(version: u64) -> TsFileName {
    TsFileName { inner: 1, ..name(version) }
}

pub(crate) fn deletion(pattern: &str, start: i64, end: i64) -> Deletion {
    Deletion { target: Target::Tree { pattern: pattern.into() }, start, end }
}

pub(crate) fn extent(path: &str, start: i64, end: i64) -> DeviceExtent {
    let device = DeviceId { path: path.into(), segments: None };
    DeviceExtent { device, range: TimeRange { start, end } }
}

/// Where the list beside a file stands.
pub(crate) fn at((place, name): &Key) -> At {
    (folder(&disk(), place), *name)
}

/// Everything was watched, and these lists were written to.
pub(crate) fn watched(touched: HashSet<At>) -> Watched {
    Watched::Yes { broken: HashSet::new(), unseen: HashSet::new(), touched }
}

pub(crate) fn disk() -> Arc<str> {
    "/data".into()
}

pub(crate) fn folder(disk: &str, place: &Place) -> Arc<str> {
    let Place { region, partition, space } = place;
    format!("{disk}/{}/{region}/{partition}", space.as_str()).into()
}
