//! Reads the source's directories: which TsFiles lie where, what their `.resource` says, and which
//! deletions stand beside them.
//!
//! The truth is the rescan. A folder whose modification time did not change since it was last read
//! is not read again, and what was read of a file is not read again: where nothing changed, nothing
//! is opened. Nothing is ever written.
//!
//! A scan has two phases, see [`Scan`]: first all folders are listed, then the mods of all of them
//! are looked at. Between the two the watcher says what it saw.

mod facts;
mod folder;
mod marks;
mod mods;
mod names;
#[cfg(test)]
pub(crate) mod tests;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_source::DropPolicy;
use tidegate_source::FileIdentity;
use tidegate_source::Place;
use tidegate_source::RegionKey;
use tidegate_source::Scan;
use tidegate_source::Space;
use tidegate_source::TsFileName;
use tidegate_source::Unread;
use tidegate_source::Watched;
use tidegate_tsfile::ModsKind;

use crate::settings::replicas::Choice;
use crate::settings::replicas::Replicas;
use crate::settings::replicas::SkippedRegion;
use folder::Folder;
use marks::Marks;
use mods::Calm;
use names::ENTRIES_PER_FOLDER_MAX;
pub(crate) use names::split;
use names::too_many_entries;

/// What a catalog must know from the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct CatalogConfig {
    pub(crate) data_dirs: Vec<PathBuf>,
    pub(crate) dn_system_dir: Option<PathBuf>,
    /// Larger mods files are not read; they hold their file back.
    pub(crate) mods_bytes_max: u64,
    pub(crate) drop_policy: DropPolicy,
    pub(crate) replicas: Replicas,
}

/// Whoever watches the directories while they are read.
pub(crate) trait Watcher {
    /// A directory is going to be read: what happens in it from now on must be seen. Those with a
    /// place are partition folders.
    fn enter(&mut self, dir: &Path, place: Option<&Place>);

    /// All folders were listed, and no mods looked at yet: says what was seen up to now.
    ///
    /// # Arguments
    ///
    /// - `scan`: the first phase of it
    fn listed(&mut self, scan: &Scan) -> Watched;

    /// Said after that: lists of deletions that were written to since they were looked at, beside files
    /// that are not there any more.
    fn take_gone_lists(&mut self, scan: &Scan) -> Vec<GoneList>;

    /// The mods were looked at, too: the scan is whole.
    fn ended(&mut self, scan: &Scan);
}

/// A list of deletions that was opened while its TsFile was there.
#[derive(Debug)]
pub(crate) struct GoneList {
    /// What the file was recognised by.
    pub(crate) identity: FileIdentity,
    /// Its folder and name.
    pub(crate) at: (Arc<str>, TsFileName),
    pub(crate) kind: ModsKind,
    pub(crate) list: fs::File,
    pub(crate) resource: fs::File,
}

/// The data directories of one IoTDB and what they held when they were last read.
#[derive(Debug)]
pub(crate) struct Catalog {
    config: CatalogConfig,
    folders: HashMap<PathBuf, Known>,
    /// `sequence` and `unsequence` folders that have been there.
    spaces: HashSet<PathBuf>,
    /// What was decided of each region when data of it were first seen.
    choices: HashMap<u32, Choice>,
    skipped: BTreeMap<RegionKey, String>,
    marks: Marks,
    warnings: Warnings,
    next_due: Option<Duration>,
    n_scans: u64,
}

#[derive(Debug)]
struct Known {
    folder: Folder,
    seen_in_scan: u64,
}

/// What the folders of one scan share.
#[derive(Debug)]
struct Context {
    now_ns: i64,
    mods_bytes_max: u64,
    keeps_devices: bool,
    /// Memory behind the extents of all files.
    extent_bytes: usize,
    warnings: Warnings,
}

/// What the operator should hear of, for the log.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    lines: Vec<String>,
    n_left_out: usize,
}

/// A scan in the making.
struct Round<'w, W> {
    watcher: &'w mut W,
    scan: Scan,
    context: Context,
    /// Folders in the order in which they were listed.
    listed: Vec<PathBuf>,
}

/// What directories there are in another.
#[derive(Debug, Default)]
struct Dirs {
    dirs: Vec<PathBuf>,
    /// Links that cannot be followed now: regions are moved to other disks by links, and a disk may
    /// not be mounted.
    dangling: Vec<(PathBuf, io::Error)>,
}

const DANGLING: &str = "the link leads nowhere";
/// Lines of warnings kept from one scan.
const WARNINGS_MAX: usize = 20;

impl Catalog {
    pub(crate) fn new(config: CatalogConfig) -> Self {
        Self {
            marks: Marks::new(config.dn_system_dir.as_deref()),
            config,
            folders: HashMap::new(),
            spaces: HashSet::new(),
            choices: HashMap::new(),
            skipped: BTreeMap::new(),
            warnings: Warnings::default(),
            next_due: None,
            n_scans: 0,
        }
    }

    /// Why a directory cannot be an IoTDB data directory, if so.
    pub(crate) fn check_data_dir(dir: &Path) -> Result<(), String> {
        let shown = dir.display();
        let entries = fs::read_dir(dir).map_err(|error| {
            format!("dn_data_dirs: {shown}: expected a readable IoTDB data directory: {error}")
        })?;
        let names: Vec<String> = entries
            .take(64)
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .collect();
        let is_known = |name: &String| name == "sequence" || name == "unsequence";
        if names.is_empty() || names.iter().any(is_known) {
            return Ok(());
        }
        Err(format!(
            "dn_data_dirs: {shown}: expected sequence/ or unsequence/ in an IoTDB data directory, \
             but found {} (give the directory that holds them, such as data/datanode/data)",
            names[..names.len().min(5)].join(", ")
        ))
    }

    /// Reads all directories.
    ///
    /// # Arguments
    ///
    /// - `now_ns`: wall clock in nanoseconds since 1970, on the clock of the file system
    pub(crate) fn scan(&mut self, now_ns: i64, watcher: &mut impl Watcher) -> Scan {
        self.n_scans += 1;
        let n_opened = facts::n_opened();
        let context = Context {
            now_ns,
            mods_bytes_max: self.config.mods_bytes_max,
            keeps_devices: self.config.drop_policy == DropPolicy::Delete,
            extent_bytes: self.folders.values().map(|known| known.folder.extent_bytes).sum(),
            warnings: std::mem::take(&mut self.warnings),
        };
        let scan = Scan { now_ns, ..Scan::default() };
        let mut round = Round { watcher, scan, context, listed: Vec::new() };
        let marks = self.marks.read();
        // Unsequence before sequence: see `Scan`.
        for space in [Space::Unsequence, Space::Sequence] {
            for data_dir in self.config.data_dirs.clone() {
                round.watcher.enter(&data_dir, None);
                if space == Space::Sequence && is_empty(&data_dir) {
                    let error = maybe_not_mounted("it is empty");
                    round.scan.unread.push(unread(&data_dir, None, &error));
                }
                self.scan_space(&data_dir.join(space.as_str()), space, &mut round);
            }
        }
        let known = round.listed.iter().filter_map(|dir| self.folders.get(dir));
        round.scan.listings = known.map(|known| Arc::clone(&known.folder.listing)).collect();
        round.scan.watched = round.watcher.listed(&round.scan);
        let gone = round.watcher.take_gone_lists(&round.scan);
        let gone = gone.into_iter().filter_map(|it| mods::read_gone(it, &round.context));
        round.scan.last_mods = gone.collect();
        self.look_at_mods(&mut round);
        round.scan.skipped = self.skipped.keys().cloned().collect();
        round.scan.marks = self.marks.read();
        if round.scan.marks != marks {
            // Which of the files were there before the DataNode was started, nobody knows.
            round.scan.marks.reboots = None;
        }
        let Round { watcher, scan, context, .. } = round;
        watcher.ended(&scan);
        self.forget(&scan);
        self.warnings = context.warnings;
        let n_opened = facts::n_opened() - n_opened;
        tracing::debug!(folders = self.folders.len(), n_opened, "the directories were read");
        let due = self.folders.values().filter_map(|known| known.folder.due_ns()).min();
        self.next_due = due.map(|due_ns| {
            Duration::from_nanos(u64::try_from(due_ns.saturating_sub(now_ns)).unwrap_or(0))
        });
        scan
    }

    /// How long after the begin of the last scan another one must begin without anything happening.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.next_due
    }

    /// What the operator should hear of, once.
    pub(crate) fn take_warnings(&mut self) -> Vec<String> {
        let Warnings { mut lines, n_left_out } = std::mem::take(&mut self.warnings);
        if n_left_out > 0 {
            lines.push(format!("{n_left_out} more warnings of this kind"));
        }
        lines
    }

    /// Regions that are there and not sent.
    pub(crate) fn skipped(&self) -> Arc<[SkippedRegion]> {
        let skipped = self.skipped.iter().map(|(region, reason)| SkippedRegion {
            region: region.clone(),
            reason: reason.clone(),
        });
        skipped.collect()
    }

    /// Forgets what the modification time of a folder says: its files are looked at again.
    pub(crate) fn doubt(&mut self, folder: &Path) {
        if let Some(known) = self.folders.get_mut(folder) {
            known.folder.is_settled = false;
        }
    }

    fn scan_space<W: Watcher>(&mut self, dir: &Path, space: Space, round: &mut Round<'_, W>) {
        round.watcher.enter(dir, None);
        let problems = &mut round.scan.unread;
        let n_unread = problems.len();
        let Some(databases) = read_dirs(dir, None, problems) else {
            // IoTDB never removes it; a file system that is not mounted does.
            let is_link = fs::symlink_metadata(dir).is_ok();
            let expected = is_link || self.spaces.contains(dir);
            if problems.len() == n_unread && expected {
                problems.push(unread(dir, None, &maybe_not_mounted("it was there before")));
            }
            return;
        };
        self.spaces.insert(dir.to_owned());
        problems.extend(databases.dangling.iter().map(|(link, error)| unread(link, None, error)));
        for database in databases.dirs {
            let Some(name) = database.file_name().and_then(|name| name.to_str()) else {
                continue; // IoTDB's own names are UTF-8
            };
            let name: Arc<str> = name.into();
            round.watcher.enter(&database, None);
            let regions = read_dirs(&database, None, &mut round.scan.unread);
            let Some(regions) = regions else { continue };
            let key_of = |dir: &Path| {
                let region = number::<u32>(dir)?;
                Some(RegionKey { database: Arc::clone(&name), region })
            };
            for (link, error) in regions.dangling {
                let Some(key) = key_of(&link) else { continue };
                round.scan.unread.push(unread(&link, Some(&key), &error));
            }
            for region_dir in regions.dirs {
                let Some(key) = key_of(&region_dir) else { continue };
                self.scan_region(&region_dir, &key, space, round);
            }
        }
    }

    fn scan_region<W: Watcher>(
        &mut self,
        dir: &Path,
        key: &RegionKey,
        space: Space,
        round: &mut Round<'_, W>,
    ) {
        round.watcher.enter(dir, None);
        let Some(dirs) = read_dirs(dir, Some(key), &mut round.scan.unread) else { return };
        let mut partitions: Vec<(i64, PathBuf)> =
            dirs.dirs.into_iter().filter_map(|dir| Some((number(&dir)?, dir))).collect();
        let is_partition = |(link, _): &&(PathBuf, io::Error)| number::<i64>(link).is_some();
        let dangling: Vec<_> = dirs.dangling.iter().filter(is_partition).collect();
        if (partitions.is_empty() && dangling.is_empty()) || !self.is_sent(dir, key, round) {
            return;
        }
        for (link, error) in dangling {
            round.scan.unread.push(unread(link, Some(key), error));
        }
        // Newest first: see `facts::EXTENTS_BYTES_MAX`.
        partitions.sort_by_key(|(partition, _)| Reverse(*partition));
        for (partition, dir) in partitions {
            let place = Place { region: key.clone(), partition, space };
            self.scan_folder(dir, &place, round);
        }
    }

    /// Whether this replica of a region with data is the one that is sent. The answer stands: files
    /// that are no longer listed would pass for files that are gone.
    fn is_sent<W>(&mut self, dir: &Path, key: &RegionKey, round: &mut Round<'_, W>) -> bool {
        let choice = match self.choices.get(&key.region) {
            Some(choice) => choice.clone(),
            None => self.config.replicas.choose(key.region),
        };
        match &choice {
            Choice::Send => (),
            Choice::Skip(reason) => {
                if self.skipped.insert(key.clone(), reason.clone()).is_none() {
                    round.context.warnings.push(format!("region {key} is not sent: {reason}"));
                }
            }
            Choice::Doubt(reason) => {
                let reason =
                    format!("{}: is not read: {reason}; set sender_replica_policy", dir.display());
                round.scan.unread.push(Unread { region: Some(key.clone()), reason });
                return false;
            }
        }
        let is_sent = choice == Choice::Send;
        self.choices.insert(key.region, choice);
        is_sent
    }

    fn scan_folder<W: Watcher>(&mut self, dir: PathBuf, place: &Place, round: &mut Round<'_, W>) {
        round.watcher.enter(&dir, Some(place));
        let known = self.folders.get_mut(&dir);
        let listed = match &known {
            Some(known) => known.folder.is_unchanged(&dir),
            None => Ok(false),
        };
        let listed = listed.and_then(|is_unchanged| match is_unchanged {
            true => Ok(None),
            false => {
                let known = known.as_ref().map(|known| &known.folder);
                Folder::list(&dir, place, known, &mut round.context).map(Some)
            }
        });
        match listed {
            Ok(folder) => {
                let seen_in_scan = self.n_scans;
                match (folder, known) {
                    (Some(folder), _) => {
                        self.folders.insert(dir.clone(), Known { folder, seen_in_scan });
                    }
                    (None, Some(known)) => known.seen_in_scan = seen_in_scan,
                    (None, None) => return,
                }
                round.listed.push(dir);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            Err(error) => round.scan.unread.push(unread(&dir, Some(&place.region), &error)),
        }
    }

    /// The second phase.
    fn look_at_mods<W>(&mut self, round: &mut Round<'_, W>) {
        round.scan.listings.clear();
        for dir in &round.listed {
            let Some(known) = self.folders.get_mut(dir) else { continue };
            let looked = known.folder.look_at_mods(dir, &round.context);
            let listing = &known.folder.listing;
            match looked {
                Ok(calm) => {
                    if calm == Calm::No {
                        round.scan.unsettled.insert(listing.place.region.clone());
                    }
                    round.scan.listings.push(Arc::clone(listing));
                }
                Err(error) => {
                    let region = &listing.place.region;
                    round.scan.unread.push(unread(dir, Some(region), &error));
                }
            }
        }
    }

    /// Forgets the folders that are gone, but not those that may be in what could not be read.
    fn forget(&mut self, scan: &Scan) {
        let unlisted = scan.unlisted();
        let n_scans = self.n_scans;
        self.folders.retain(|_, known| {
            let region = &known.folder.listing.place.region;
            known.seen_in_scan == n_scans || unlisted.covers(region)
        });
    }
}

impl Warnings {
    fn push(&mut self, line: String) {
        match self.lines.len() < WARNINGS_MAX {
            true => self.lines.push(line),
            false => self.n_left_out += 1,
        }
    }
}

/// What a file is recognised by.
pub(crate) fn identity(facts: &fs::Metadata) -> FileIdentity {
    FileIdentity { inode: facts.ino(), length_bytes: facts.len(), mtime_ns: mtime_ns(facts) }
}

fn mtime_ns(facts: &fs::Metadata) -> i64 {
    facts.mtime().saturating_mul(1_000_000_000).saturating_add(facts.mtime_nsec())
}

fn ctime_ns(facts: &fs::Metadata) -> i64 {
    facts.ctime().saturating_mul(1_000_000_000).saturating_add(facts.ctime_nsec())
}

/// The directories in `dir`; `None` when there is no such directory or it cannot be read.
fn read_dirs(dir: &Path, region: Option<&RegionKey>, problems: &mut Vec<Unread>) -> Option<Dirs> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            problems.push(unread(dir, region, &error));
            return None;
        }
    };
    let mut found = Dirs::default();
    for (at, entry) in entries.enumerate() {
        if at >= ENTRIES_PER_FOLDER_MAX {
            problems.push(unread(dir, region, &too_many_entries()));
            return None;
        }
        match entry.and_then(|entry| Ok((kind_of(&entry)?, entry.path()))) {
            Ok((EntryKind::Dir, path)) => found.dirs.push(path),
            Ok((EntryKind::Dangling(error), path)) => found.dangling.push((path, error)),
            Ok((EntryKind::Other, _)) => (),
            Err(error) => {
                problems.push(unread(dir, region, &error));
                return None;
            }
        }
    }
    found.dirs.sort();
    Some(found)
}

/// What an entry of a directory is, as far as it matters.
enum EntryKind {
    Dir,
    Dangling(io::Error),
    Other,
}

/// Follows a link: regions are moved to other disks that way.
fn kind_of(entry: &fs::DirEntry) -> io::Result<EntryKind> {
    let of = |is_dir: bool| if is_dir { EntryKind::Dir } else { EntryKind::Other };
    let kind = entry.file_type()?;
    if !kind.is_symlink() {
        return Ok(of(kind.is_dir()));
    }
    Ok(match fs::metadata(entry.path()) {
        Ok(facts) => of(facts.is_dir()),
        Err(error) if leads_nowhere(&error) => EntryKind::Dangling(maybe_not_mounted(DANGLING)),
        Err(error) => EntryKind::Dangling(error),
    })
}

/// Whether a path ends nowhere: nothing is there, or a link leads to itself.
fn leads_nowhere(error: &io::Error) -> bool {
    let is_loop = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    error.kind() == io::ErrorKind::NotFound || is_loop
}

/// Whether there is nothing in it at all: IoTDB makes its folders when it starts.
fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none())
}

fn maybe_not_mounted(why: &str) -> io::Error {
    io::Error::other(format!("{why}; is its file system mounted?"))
}

fn unread(dir: &Path, region: Option<&RegionKey>, error: &io::Error) -> Unread {
    let reason = format!("{}: cannot be read: {error}", dir.display());
    Unread { region: region.cloned(), reason }
}

/// The number that a directory is named after, written as IoTDB does: `03` is not region 3.
fn number<N: FromStr + ToString>(dir: &Path) -> Option<N> {
    let name = dir.file_name()?.to_str()?;
    name.parse().ok().filter(|number: &N| number.to_string() == name)
}
