//! A model of what an IoTDB does with rows, files and deletions, as far as one who reads its
//! directories can see it.

mod compaction;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use tidegate_model::path;
use tidegate_source::FileIdentity;
use tidegate_source::Place;
use tidegate_source::ReadRule;
use tidegate_source::RegionKey;
use tidegate_source::Space;
use tidegate_source::TsFileName;
use tidegate_tsfile::Deletion;
use tidegate_tsfile::ProgressIndex;
use tidegate_tsfile::SimpleProgress;
use tidegate_tsfile::Target;

const SOURCES_GO_WITHIN: Duration = Duration::from_secs(50);

/// A cell: device and time; each device has one measurement, `s`.
pub(crate) type Cell = (usize, i64);
/// Every insert writes a value of its own.
pub(crate) type Rows = BTreeMap<Cell, u64>;

/// Devices by number; the third lives in a region of its own.
pub(crate) const DEVICES: [&str; 3] = ["root.db.d1", "root.db.d2", "root.db.d3"];
/// Patterns that deletions use.
pub(crate) const PATTERNS: [&str; 5] =
    ["root.db.d1.s", "root.db.d2.s", "root.db.d3.s", "root.db.**", "root.db.*.s"];
/// Times 0 to 9 are one partition, 10 to 19 the next.
pub(crate) const PARTITION: i64 = 10;

pub(crate) fn region_of(device: usize) -> RegionKey {
    RegionKey { database: "root.db".into(), region: if device == 2 { 2 } else { 1 } }
}

/// Which rows' numbers stand in `.resource`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Consensus {
    /// Each row of a region has a search index.
    Iot,
    /// None.
    Ratis,
}

#[derive(Debug)]
pub(crate) struct Iotdb {
    pub(crate) rule: ReadRule,
    consensus: Consensus,
    pub(crate) regions: BTreeMap<RegionKey, Region>,
    next_value: u64,
    next_inode: u64,
    pub(crate) now_ns: i64,
    pub(crate) reboots: u64,
    loads: i64,
    /// Cells whose rows were dropped without a deletion, and not written since.
    pub(crate) dropped: BTreeSet<Cell>,
    /// Cells whose rows were ever dropped.
    pub(crate) ever_dropped: BTreeSet<Cell>,
    /// Values that could be read until they were dropped, with their place.
    pub(crate) dropped_values: BTreeMap<u64, (RegionKey, i64, FileIdentity)>,
    /// Partitions in which anything was ever compacted.
    pub(crate) compacted: BTreeSet<(RegionKey, i64)>,
    /// What a watcher is told: files that appeared, mods that were written to.
    pub(crate) created: Vec<(Place, TsFileName)>,
    pub(crate) touched: Vec<(Place, TsFileName)>,
    /// How many files were dropped.
    pub(crate) n_dropped: u64,
    /// What was in the files that a compaction has removed.
    pub(crate) gone_rows: BTreeMap<(Place, TsFileName), Rows>,
    /// Files that were removed, as they were then.
    pub(crate) gone: Vec<(Place, File)>,
}

#[derive(Debug, Default)]
pub(crate) struct Region {
    pub(crate) partitions: BTreeMap<i64, Partition>,
    search_index: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Partition {
    last_version: u64,
    /// Milliseconds in names. Each partition has its own, so that names collide over partitions and
    /// regions.
    clock: u64,
    /// Last flushed time of each device.
    last_flush: BTreeMap<usize, i64>,
    /// Rows in memory by space, each with its open file.
    working: BTreeMap<Space, Memory>,
    /// Memory on its way to disk.
    flushing: Vec<Memory>,
    pub(crate) files: Vec<File>,
    compaction: Option<Compaction>,
}

#[derive(Clone, Debug)]
struct Memory {
    space: Space,
    name: TsFileName,
    rows: Rows,
    progress: ProgressIndex,
    /// Deletions that came while it was flushed.
    mods: Vec<Deletion>,
}

/// A sealed file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) space: Space,
    pub(crate) name: TsFileName,
    pub(crate) identity: FileIdentity,
    pub(crate) rows: Rows,
    pub(crate) mods: Mods,
    pub(crate) progress: ProgressIndex,
    /// Out of sight of queries: a target that is not in its place yet, or a source that was.
    is_hidden: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Mods {
    pub(crate) inode: u64,
    pub(crate) entries: Vec<Deletion>,
}

#[derive(Debug)]
struct Compaction {
    sources: Vec<FileIdentity>,
    target: Option<File>,
    /// Deletions that came since it began.
    mods: Vec<Deletion>,
    stage: Stage,
    /// Time since queries read the target.
    swapped_for: Duration,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Writing,
    /// The target is there with its `.resource`, without its mods.
    Shown,
    /// Queries read the target; the sources go one by one.
    Swapped,
}

/// Whether a deletion means a cell.
fn means(deletion: &Deletion, (device, time): Cell) -> bool {
    let Target::Tree { pattern } = &deletion.target else { return false };
    let path = format!("{}.s", DEVICES[device]);
    (deletion.start..=deletion.end).contains(&time)
        && path::matches(&path::nodes(pattern), &path::nodes(&path))
}

impl File {
    /// Rows that its deletions leave.
    pub(crate) fn visible(&self) -> Rows {
        let is_left = |cell: &Cell| !self.mods.entries.iter().any(|it| means(it, *cell));
        self.rows.iter().filter(|(cell, _)| is_left(cell)).map(|(&a, &b)| (a, b)).collect()
    }

    fn rank(&self, rule: ReadRule) -> (Space, TsFileName) {
        rank(rule, self.space, self.name)
    }

    /// First and last time by device.
    pub(crate) fn extents(&self) -> BTreeMap<usize, (i64, i64)> {
        let mut extents: BTreeMap<usize, (i64, i64)> = BTreeMap::new();
        for &(device, time) in self.rows.keys() {
            let (start, end) = extents.entry(device).or_insert((time, time));
            (*start, *end) = ((*start).min(time), (*end).max(time));
        }
        extents
    }

    fn overlaps(&self, other: &Self) -> bool {
        let others = other.extents();
        self.extents().iter().any(|(device, (start, end))| {
            others.get(device).is_some_and(|(a, b)| a <= end && start <= b)
        })
    }

    /// Whether IoTDB writes a deletion beside it.
    fn is_concerned(&self, deletion: &Deletion) -> bool {
        self.extents().iter().any(|(&device, &(start, end))| {
            start <= deletion.end
                && deletion.start <= end
                && means(
                    &Deletion { start: i64::MIN, end: i64::MAX, ..deletion.clone() },
                    (device, 0),
                )
        })
    }
}

fn rank(rule: ReadRule, space: Space, name: TsFileName) -> (Space, TsFileName) {
    match rule {
        ReadRule::UnsequenceFirst => (space, name),
        ReadRule::ByVersion => (Space::Sequence, name),
    }
}

impl Partition {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        1000 + self.clock
    }
}

impl Iotdb {
    pub(crate) fn new(rule: ReadRule, consensus: Consensus) -> Self {
        let mut regions = BTreeMap::new();
        for device in 0..DEVICES.len() {
            regions.entry(region_of(device)).or_insert_with(Region::default);
        }
        Self {
            rule,
            consensus,
            regions,
            next_value: 1,
            next_inode: 1,
            now_ns: 0,
            reboots: 1,
            loads: 0,
            dropped: BTreeSet::new(),
            ever_dropped: BTreeSet::new(),
            dropped_values: BTreeMap::new(),
            compacted: BTreeSet::new(),
            created: Vec::new(),
            touched: Vec::new(),
            gone: Vec::new(),
            n_dropped: 0,
            gone_rows: BTreeMap::new(),
        }
    }

    pub(crate) fn place(region: &RegionKey, partition: i64, space: Space) -> Place {
        Place { region: region.clone(), partition, space }
    }

    /// Every partition there is, with its region.
    pub(crate) fn keys(&self) -> Vec<(RegionKey, i64)> {
        let regions = self.regions.iter();
        regions
            .flat_map(|(key, it)| it.partitions.keys().map(|&partition| (key.clone(), partition)))
            .collect()
    }

    fn inode(&mut self) -> u64 {
        self.next_inode += 1;
        self.next_inode
    }

    fn identity(&mut self) -> FileIdentity {
        let inode = self.inode();
        FileIdentity { inode, length_bytes: 100 + inode, mtime_ns: self.now_ns }
    }

    fn partition(&mut self, region: &RegionKey, partition: i64) -> &mut Partition {
        let region = self.regions.get_mut(region).expect("the model has two regions");
        region.partitions.entry(partition).or_default()
    }

    fn new_name(&mut self, region: &RegionKey, partition: i64) -> TsFileName {
        let known = self.partition(region, partition);
        known.last_version += 1;
        let time_ms = known.tick();
        TsFileName { version: known.last_version, time_ms, inner: 0, cross: 0 }
    }

    /// Writes a row.
    pub(crate) fn insert(&mut self, device: usize, time: i64) {
        let region = region_of(device);
        let partition = time / PARTITION;
        let last_flush = self.partition(&region, partition).last_flush.get(&device).copied();
        let space = match last_flush {
            Some(last) if time <= last => Space::Unsequence,
            _ => Space::Sequence,
        };
        if !self.partition(&region, partition).working.contains_key(&space) {
            let name = self.new_name(&region, partition);
            self.created.push((Self::place(&region, partition, space), name));
            let memory = Memory {
                space,
                name,
                rows: Rows::new(),
                progress: ProgressIndex::minimum(),
                mods: Vec::new(),
            };
            self.partition(&region, partition).working.insert(space, memory);
        }
        let value = self.next_value;
        self.next_value += 1;
        let consensus = self.consensus;
        let known = self.regions.get_mut(&region).expect("the model has two regions");
        known.search_index += 1;
        let index = known.search_index;
        let partition = known.partitions.entry(partition).or_default();
        let memory = partition.working.get_mut(&space).expect("it was just made");
        memory.rows.insert((device, time), value);
        if consensus == Consensus::Iot {
            memory.progress.join(&ProgressIndex::iot(1, index));
        }
        self.dropped.remove(&(device, time));
    }

    /// Begins to write memory to disk.
    pub(crate) fn flush(&mut self, region: &RegionKey, partition: i64, space: Space) {
        let known = self.partition(region, partition);
        let Some(memory) = known.working.remove(&space) else { return };
        for &(device, time) in memory.rows.keys() {
            let last = known.last_flush.entry(device).or_insert(time);
            *last = (*last).max(time);
        }
        known.flushing.push(memory);
    }

    /// A file gets its `.resource`.
    pub(crate) fn seal(&mut self, region: &RegionKey, partition: i64, at: usize) {
        let n_flushing = self.partition(region, partition).flushing.len();
        if n_flushing == 0 {
            return;
        }
        let identity = self.identity();
        let inode = self.inode();
        let known = self.partition(region, partition);
        let memory = known.flushing.remove(at % n_flushing);
        // Nothing is left where every row was deleted in memory.
        if memory.rows.is_empty() {
            return;
        }
        let has_mods = !memory.mods.is_empty();
        let (space, name) = (memory.space, memory.name);
        known.files.push(File {
            space,
            name,
            identity,
            rows: memory.rows,
            mods: Mods { inode, entries: memory.mods },
            progress: memory.progress,
            is_hidden: false,
        });
        if has_mods {
            self.touched.push((Self::place(region, partition, space), name));
        }
    }

    /// Deletes in all regions.
    pub(crate) fn delete(&mut self, pattern: &str, start: i64, end: i64) {
        let deletion = Deletion { target: Target::Tree { pattern: pattern.into() }, start, end };
        for (key, region) in &mut self.regions {
            for (&partition, known) in &mut region.partitions {
                for memory in known.working.values_mut() {
                    memory.rows.retain(|cell, _| !means(&deletion, *cell));
                }
                for memory in &mut known.flushing {
                    if memory.rows.keys().any(|cell| means(&deletion, *cell)) {
                        memory.mods.push(deletion.clone());
                    }
                }
                let sources = match &mut known.compaction {
                    Some(it) if it.stage != Stage::Swapped => {
                        let concerned = known.files.iter().any(|file| {
                            it.sources.contains(&file.identity) && file.is_concerned(&deletion)
                        });
                        if concerned {
                            it.mods.push(deletion.clone());
                        }
                        it.sources.clone()
                    }
                    _ => Vec::new(),
                };
                for file in &mut known.files {
                    let is_seen = !file.is_hidden || sources.contains(&file.identity);
                    if is_seen && file.is_concerned(&deletion) {
                        file.mods.entries.push(deletion.clone());
                        self.touched.push((Self::place(key, partition, file.space), file.name));
                    }
                }
                // Two links of one file share their mods.
                let mods: BTreeMap<u64, Mods> = known
                    .files
                    .iter()
                    .filter(|file| !file.is_hidden)
                    .map(|file| (file.mods.inode, file.mods.clone()))
                    .collect();
                for file in &mut known.files {
                    if let Some(mods) = mods.get(&file.mods.inode) {
                        file.mods = mods.clone();
                    }
                }
            }
        }
    }

    /// What a query shows.
    pub(crate) fn read(&self) -> Rows {
        let mut cells: BTreeMap<Cell, ((Space, TsFileName), u64)> = BTreeMap::new();
        let mut put = |rank: (Space, TsFileName), rows: Rows| {
            for (cell, value) in rows {
                let held = cells.entry(cell).or_insert((rank, value));
                if held.0 <= rank {
                    *held = (rank, value);
                }
            }
        };
        for partition in self.regions.values().flat_map(|region| region.partitions.values()) {
            for file in partition.files.iter().filter(|file| !file.is_hidden) {
                put(file.rank(self.rule), file.visible());
            }
            for memory in partition.working.values().chain(&partition.flushing) {
                let is_left = |cell: &Cell| !memory.mods.iter().any(|it| means(it, *cell));
                let rows = memory.rows.iter().filter(|(cell, _)| is_left(cell));
                put(
                    rank(self.rule, memory.space, memory.name),
                    rows.map(|(&a, &b)| (a, b)).collect(),
                );
            }
        }
        cells.into_iter().map(|(cell, (_, value))| (cell, value)).collect()
    }

    /// Open files.
    pub(crate) fn open_files(known: &Partition) -> impl Iterator<Item = (Space, TsFileName)> {
        known.working.values().chain(&known.flushing).map(|memory| (memory.space, memory.name))
    }

    /// Sources that no query reads any more go within a minute.
    pub(crate) fn pass_time(&mut self, time: Duration) {
        self.now_ns += i64::try_from(time.as_nanos()).expect("a short time");
        let mut due = Vec::new();
        for (key, region) in &mut self.regions {
            for (&partition, known) in &mut region.partitions {
                if let Some(it) = known.compaction.as_mut().filter(|it| it.stage == Stage::Swapped)
                {
                    it.swapped_for += time;
                    if it.swapped_for > SOURCES_GO_WITHIN {
                        due.push((key.clone(), partition));
                    }
                }
            }
        }
        for (region, partition) in due {
            while self.go_on(&region, partition).is_some() {}
        }
    }

    /// LOAD of a file with rows of its own.
    pub(crate) fn load(&mut self, device: usize, times: &[i64]) {
        let region = region_of(device);
        let partition = times[0] / PARTITION;
        let times = times.iter().filter(|time| *time / PARTITION == partition);
        let mut rows = Rows::new();
        for &time in times {
            rows.insert((device, time), self.next_value);
            self.next_value += 1;
            self.dropped.remove(&(device, time));
        }
        let name = self.new_name(&region, partition);
        let (identity, inode) = (self.identity(), self.inode());
        self.loads += 1;
        let reboots = i32::try_from(self.reboots).expect("few");
        let simple = SimpleProgress { reboots, flush_order: self.loads };
        let progress = match self.consensus {
            Consensus::Iot => ProgressIndex::recover(1, simple),
            Consensus::Ratis => ProgressIndex::minimum(),
        };
        let known = self.partition(&region, partition);
        for &(device, time) in rows.keys() {
            let last = known.last_flush.entry(device).or_insert(time);
            *last = (*last).max(time);
        }
        let space = Space::Unsequence;
        let mods = Mods { inode, entries: Vec::new() };
        known.files.push(File { space, name, identity, rows, mods, progress, is_hidden: false });
        self.created.push((Self::place(&region, partition, space), name));
    }

    /// TTL, or a drop: a file goes.
    pub(crate) fn drop_file(&mut self, region: &RegionKey, partition: i64, at: usize) {
        let before = self.read();
        let known = self.partition(region, partition);
        let is_busy = |file: &File| {
            file.is_hidden
                || known.compaction.as_ref().is_some_and(|it| it.sources.contains(&file.identity))
        };
        let candidates: Vec<usize> =
            (0..known.files.len()).filter(|&it| !is_busy(&known.files[it])).collect();
        if candidates.is_empty() {
            return;
        }
        let file = known.files.remove(candidates[at % candidates.len()]);
        self.n_dropped += 1;
        self.gone.push((Self::place(region, partition, file.space), file.clone()));
        let after = self.read();
        let is_changed = |cell: &&Cell| before.get(cell) != after.get(cell);
        self.dropped.extend(file.rows.keys().filter(is_changed));
        let shown = file.visible().into_iter().filter(|(cell, it)| before.get(cell) == Some(it));
        let identity = file.identity;
        let shown = shown.map(|(_, value)| (value, (region.clone(), partition, identity)));
        self.dropped_values.extend(shown);
        self.ever_dropped.extend(file.visible().keys());
    }

    /// Somebody removes the list of deletions beside a file; says which file. None that a compaction
    /// is at work on.
    pub(crate) fn unlist(&mut self, region: &RegionKey, partition: i64, at: u8) -> Option<File> {
        let next_inode = self.inode();
        let known = self.partition(region, partition);
        if known.compaction.is_some() {
            return None;
        }
        let listed = known.files.iter().filter(|file| !file.mods.entries.is_empty());
        let inodes: Vec<u64> = listed.map(|file| file.mods.inode).collect();
        let inode = *inodes.get(usize::from(at) % inodes.len().max(1))?;
        let shares = |file: &&mut File| file.mods.inode == inode;
        let mut unlisted = None;
        for file in known.files.iter_mut().filter(shares) {
            file.mods = Mods { inode: next_inode, entries: Vec::new() };
            unlisted = Some(file.clone());
        }
        unlisted
    }

    /// The DataNode is killed and started again: rows in memory come back from the log as files.
    pub(crate) fn restart(&mut self) {
        self.reboots += 1;
        self.loads = 0;
        for (region, partition) in self.keys() {
            self.end_compaction(&region, partition);
            let known = self.partition(&region, partition);
            let memories: Vec<Memory> =
                known.working.values().cloned().chain(known.flushing.drain(..)).collect();
            known.working.clear();
            for memory in memories.into_iter().filter(|it| !it.rows.is_empty()) {
                let (identity, inode) = (self.identity(), self.inode());
                self.loads += 1;
                let reboots = i32::try_from(self.reboots).expect("few");
                let simple = SimpleProgress { reboots, flush_order: self.loads };
                let progress = match self.consensus {
                    Consensus::Iot if self.loads % 2 == 0 => ProgressIndex::recover(1, simple),
                    _ => ProgressIndex::minimum(),
                };
                let has_mods = !memory.mods.is_empty();
                if has_mods {
                    let place = Self::place(&region, partition, memory.space);
                    self.touched.push((place, memory.name));
                }
                self.partition(&region, partition).files.push(File {
                    space: memory.space,
                    name: memory.name,
                    identity,
                    rows: memory.rows,
                    mods: Mods { inode, entries: memory.mods },
                    progress,
                    is_hidden: false,
                });
            }
            let rule = self.rule;
            let known = self.partition(&region, partition);
            known.last_version = known.files.iter().map(|it| it.name.version).max().unwrap_or(0);
            known.last_flush.clear();
            for file in &known.files {
                if rule == ReadRule::ByVersion && file.space == Space::Unsequence {
                    continue;
                }
                for (device, (_, end)) in file.extents() {
                    let last = known.last_flush.entry(device).or_insert(end);
                    *last = (*last).max(end);
                }
            }
        }
    }

    /// Everything comes to rest: all memory is on disk, no compaction is under way.
    pub(crate) fn come_to_rest(&mut self) {
        for (region, partition) in self.keys() {
            for space in [Space::Sequence, Space::Unsequence] {
                self.flush(&region, partition, space);
            }
            while !self.partition(&region, partition).flushing.is_empty() {
                self.seal(&region, partition, 0);
            }
            while self.go_on(&region, partition).is_some() {}
        }
    }

    /// A file that is there, under any name.
    pub(crate) fn find(&self, identity: FileIdentity) -> Option<&File> {
        let partitions = self.regions.values().flat_map(|region| region.partitions.values());
        partitions.flat_map(|it| &it.files).find(|file| file.identity == identity)
    }
}
