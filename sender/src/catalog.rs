//! Reads the source's directories: which sealed TsFiles lie where.
//!
//! The truth is the rescan. A folder whose modification time did not change since it was last read
//! is not read again; only the lengths of the mods files in it are, since IoTDB appends to them.
//! Nothing is opened here, and nothing is ever written.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_source::FileIdentity;
use tidegate_source::Listing;
use tidegate_source::ModsSeen;
use tidegate_source::Place;
use tidegate_source::RegionKey;
use tidegate_source::Scan;
use tidegate_source::SealedFile;
use tidegate_source::Space;
use tidegate_source::TsFileName;
use tidegate_source::Unread;
use tidegate_tsfile::ModsKind;

/// The data directories of one IoTDB and what they held when they were last read.
#[derive(Debug)]
pub(crate) struct Catalog {
    data_dirs: Vec<PathBuf>,
    folders: HashMap<PathBuf, Folder>,
    /// `sequence` and `unsequence` folders that have been there.
    spaces: HashSet<PathBuf>,
    n_scans: u64,
}

#[derive(Debug)]
struct Folder {
    /// Modification time of the folder, when it was too old to hide a later change.
    settled_mtime_ns: Option<i64>,
    listing: Arc<Listing>,
    /// Mods files there, empty ones too, each by the position of its TsFile in the listing.
    mods_files: Vec<(usize, ModsKind)>,
    seen_in_scan: u64,
}

/// What directories there are in another.
#[derive(Debug, Default)]
struct Dirs {
    dirs: Vec<PathBuf>,
    /// Links that lead nowhere now: regions are moved to other disks by links, and a disk may not be
    /// mounted.
    dangling: Vec<PathBuf>,
}

const DANGLING: &str = "the link leads nowhere";

/// A folder that changed less than this before it was read may change again within the same tick of
/// the file system's clock; it is read once more.
const MTIME_SETTLES_NS: i64 = 2_000_000_000;
/// More than this in one folder is refused with an error: a listing cut short would make files look
/// as if they had vanished.
const ENTRIES_PER_FOLDER_MAX: usize = 1_000_000;
/// The newer kind goes before the older one.
const MODS_KINDS: [ModsKind; 2] = [ModsKind::Binary, ModsKind::Text];

impl Catalog {
    pub(crate) fn new(data_dirs: Vec<PathBuf>) -> Self {
        Self { data_dirs, folders: HashMap::new(), spaces: HashSet::new(), n_scans: 0 }
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
    pub(crate) fn scan(&mut self, now_ns: i64) -> Scan {
        self.n_scans += 1;
        let mut scan = Scan::default();
        // Unsequence before sequence: see `Scan`.
        for space in [Space::Unsequence, Space::Sequence] {
            for data_dir in self.data_dirs.clone() {
                if space == Space::Sequence && is_empty(&data_dir) {
                    scan.unread.push(unread(&data_dir, None, &maybe_not_mounted("it is empty")));
                }
                self.scan_space(&data_dir.join(space.as_str()), space, now_ns, &mut scan);
            }
        }
        let n_scans = self.n_scans;
        self.folders.retain(|_, folder| folder.seen_in_scan == n_scans);
        scan
    }

    /// Forgets what the modification time of a folder says: its files are looked at again.
    pub(crate) fn doubt(&mut self, folder: &Path) {
        if let Some(folder) = self.folders.get_mut(folder) {
            folder.settled_mtime_ns = None;
        }
    }

    /// Folders in which files may appear, for hints: partitions and all their parents.
    pub(crate) fn watchable(&self) -> HashSet<PathBuf> {
        let mut dirs = HashSet::new();
        for data_dir in &self.data_dirs {
            dirs.insert(data_dir.clone());
            for space in [Space::Sequence, Space::Unsequence] {
                dirs.insert(data_dir.join(space.as_str()));
            }
        }
        for folder in self.folders.keys() {
            let mut dir = folder.as_path();
            while dirs.insert(dir.to_owned()) {
                let Some(parent) = dir.parent() else { break };
                dir = parent;
            }
        }
        dirs
    }

    fn scan_space(&mut self, dir: &Path, space: Space, now_ns: i64, scan: &mut Scan) {
        let n_unread = scan.unread.len();
        let Some(databases) = read_dirs(dir, None, &mut scan.unread) else {
            // IoTDB never removes it; a file system that is not mounted does.
            let is_link = fs::symlink_metadata(dir).is_ok();
            let expected = is_link || self.spaces.contains(dir);
            if scan.unread.len() == n_unread && expected {
                scan.unread.push(unread(dir, None, &maybe_not_mounted("it was there before")));
            }
            return;
        };
        self.spaces.insert(dir.to_owned());
        for link in databases.dangling {
            scan.unread.push(unread(&link, None, &maybe_not_mounted(DANGLING)));
        }
        for database in databases.dirs {
            let Some(name) = database.file_name().and_then(|name| name.to_str()) else {
                continue; // IoTDB's own names are UTF-8
            };
            let name = name.to_owned();
            let Some(regions) = read_dirs(&database, None, &mut scan.unread) else { continue };
            let key_of = |dir: &Path| {
                let region = number::<u32>(dir)?;
                Some(RegionKey { database: name.clone(), region })
            };
            for link in regions.dangling {
                let Some(key) = key_of(&link) else { continue };
                scan.unread.push(unread(&link, Some(&key), &maybe_not_mounted(DANGLING)));
            }
            for region_dir in regions.dirs {
                let Some(key) = key_of(&region_dir) else { continue };
                let partitions = read_dirs(&region_dir, Some(&key), &mut scan.unread);
                let Some(partitions) = partitions else { continue };
                for link in partitions.dangling {
                    let Some(_) = number::<i64>(&link) else { continue };
                    scan.unread.push(unread(&link, Some(&key), &maybe_not_mounted(DANGLING)));
                }
                for partition_dir in partitions.dirs {
                    let Some(partition) = number::<i64>(&partition_dir) else { continue };
                    let place = Place { region: key.clone(), partition, space };
                    self.scan_folder(partition_dir, place, now_ns, scan);
                }
            }
        }
    }

    fn scan_folder(&mut self, dir: PathBuf, place: Place, now_ns: i64, scan: &mut Scan) {
        match self.look(&dir, &place, now_ns) {
            Ok(folder) => {
                scan.listings.push(Arc::clone(&folder.listing));
                self.folders.insert(dir, folder);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            Err(error) => scan.unread.push(unread(&dir, Some(&place.region), &error)),
        }
    }

    fn look(&self, dir: &Path, place: &Place, now_ns: i64) -> io::Result<Folder> {
        let mtime_ns = mtime_ns(&fs::metadata(dir)?);
        let known = self.folders.get(dir);
        let (listing, mods_files) = match known {
            Some(known) if known.settled_mtime_ns == Some(mtime_ns) => {
                (grown_mods(dir, known), known.mods_files.clone())
            }
            _ => {
                let (listing, mods_files) = list(dir, place)?;
                let listing = match known {
                    Some(known) if *known.listing == listing => Arc::clone(&known.listing),
                    _ => Arc::new(listing),
                };
                (listing, mods_files)
            }
        };
        let settled = now_ns.saturating_sub(mtime_ns) > MTIME_SETTLES_NS;
        Ok(Folder {
            settled_mtime_ns: settled.then_some(mtime_ns),
            listing,
            mods_files,
            seen_in_scan: self.n_scans,
        })
    }
}

/// Lists one partition folder, and the mods files in it.
fn list(dir: &Path, place: &Place) -> io::Result<(Listing, Vec<(usize, ModsKind)>)> {
    let mut names = HashSet::new();
    for entry in fs::read_dir(dir)? {
        if let Ok(name) = entry?.file_name().into_string() {
            names.insert(name);
        }
        if names.len() > ENTRIES_PER_FOLDER_MAX {
            return Err(too_many_entries());
        }
    }
    let mut sealed = Vec::new();
    let mut n_unsealed = 0;
    for name in &names {
        let Some(parsed) = TsFileName::parse(name) else { continue };
        if !names.contains(&format!("{name}.resource")) {
            n_unsealed += 1;
            continue;
        }
        let facts = match fs::metadata(dir.join(name)) {
            Ok(facts) if facts.is_file() => facts,
            Ok(_) => continue,
            // Compaction removes files while we look.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        sealed.push(SealedFile { name: parsed, identity: identity(&facts), mods: None });
    }
    sealed.sort_by_key(|file| file.name);
    let mut mods_files = Vec::new();
    for (at, file) in sealed.iter_mut().enumerate() {
        let name = file.name.to_string();
        let first = mods_files.len();
        let kinds = MODS_KINDS.into_iter();
        let there = kinds.filter(|kind| names.contains(&format!("{name}{}", kind.suffix())));
        mods_files.extend(there.map(|kind| (at, kind)));
        file.mods = mods_seen(dir, &name, mods_files[first..].iter().map(|it| it.1));
    }
    let folder = Arc::from(dir.to_string_lossy().as_ref());
    Ok((Listing { place: place.clone(), folder, sealed, n_unsealed }, mods_files))
}

/// The same listing, unless one of its mods files grew: the folder itself does not tell.
fn grown_mods(dir: &Path, known: &Folder) -> Arc<Listing> {
    let mut grown: Option<Listing> = None;
    for files in known.mods_files.chunk_by(|one, other| one.0 == other.0) {
        let at = files[0].0;
        let file = &known.listing.sealed[at];
        let seen = mods_seen(dir, &file.name.to_string(), files.iter().map(|it| it.1));
        if seen.is_some() && seen != file.mods {
            grown.get_or_insert_with(|| Listing::clone(&known.listing)).sealed[at].mods = seen;
        }
    }
    grown.map_or_else(|| Arc::clone(&known.listing), Arc::new)
}

/// The deletions beside a TsFile, of the first kind of which there are some.
fn mods_seen(
    dir: &Path,
    ts_file: &str,
    mut kinds: impl Iterator<Item = ModsKind>,
) -> Option<ModsSeen> {
    kinds.find_map(|kind| {
        let facts = fs::metadata(dir.join(format!("{ts_file}{}", kind.suffix()))).ok()?;
        let length_bytes = facts.len();
        (facts.is_file() && length_bytes > 0).then_some(ModsSeen { kind, length_bytes })
    })
}

/// What a file is recognised by.
pub(crate) fn identity(facts: &fs::Metadata) -> FileIdentity {
    FileIdentity { inode: facts.ino(), length_bytes: facts.len(), mtime_ns: mtime_ns(facts) }
}

fn mtime_ns(facts: &fs::Metadata) -> i64 {
    facts.mtime().saturating_mul(1_000_000_000).saturating_add(facts.mtime_nsec())
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
    for entry in entries {
        if found.dirs.len() + found.dangling.len() > ENTRIES_PER_FOLDER_MAX {
            problems.push(unread(dir, region, &too_many_entries()));
            return None;
        }
        match entry.and_then(|entry| Ok((kind_of(&entry)?, entry.path()))) {
            Ok((EntryKind::Dir, path)) => found.dirs.push(path),
            Ok((EntryKind::Dangling, path)) => found.dangling.push(path),
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
    Dangling,
    Other,
}

/// Follows a link: regions are moved to other disks that way.
fn kind_of(entry: &fs::DirEntry) -> io::Result<EntryKind> {
    let of = |is_dir: bool| if is_dir { EntryKind::Dir } else { EntryKind::Other };
    let kind = entry.file_type()?;
    if !kind.is_symlink() {
        return Ok(of(kind.is_dir()));
    }
    match fs::metadata(entry.path()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(EntryKind::Dangling),
        facts => Ok(of(facts?.is_dir())),
    }
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

fn too_many_entries() -> io::Error {
    io::Error::other(format!("expected at most {ENTRIES_PER_FOLDER_MAX} entries"))
}

fn number<N: std::str::FromStr>(dir: &Path) -> Option<N> {
    dir.file_name()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::time::Duration;
    use std::time::SystemTime;

    use super::*;

    struct Tree {
        dir: tempfile::TempDir,
        catalog: Catalog,
    }

    impl Tree {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            let catalog = Catalog::new(vec![dir.path().to_owned()]);
            Self { dir, catalog }
        }

        fn write(&self, path: &str, bytes: &[u8]) -> PathBuf {
            let path = self.dir.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            fs::write(&path, bytes).expect("a file");
            path
        }

        fn age(&self, path: &str) {
            let dir = File::open(self.dir.path().join(path)).expect("a directory");
            dir.set_modified(SystemTime::now() - Duration::from_secs(60)).expect("an older time");
        }

        fn scan(&mut self) -> Scan {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
            self.catalog.scan(i64::try_from(now.as_nanos()).expect("before 2262"))
        }
    }

    #[test]
    fn only_files_with_a_resource_are_sealed_and_foreign_things_are_passed_over() {
        let mut tree = Tree::new();
        let folder = "sequence/root.sg/3/-1";
        tree.write(&format!("{folder}/7-1-0-0.tsfile"), b"x");
        tree.write(&format!("{folder}/7-1-0-0.tsfile.resource"), b"r");
        tree.write(&format!("{folder}/7-1-0-0.tsfile.mods"), b"m\n");
        tree.write(&format!("{folder}/8-2-0-0.tsfile"), b"open");
        tree.write(&format!("{folder}/9-3-1-0.inner"), b"target");
        tree.write(&format!("{folder}/9-3-1-0.inner.resource"), b"target");
        tree.write(&format!("{folder}/10-4-0-0.tsfile.resource"), b"alone");
        tree.write("sequence/root.sg/not-a-region/0/7-1-0-0.tsfile", b"x");
        tree.write("load/7-1-0-0.tsfile", b"x");
        let scan = tree.scan();
        assert!(scan.unread.is_empty(), "{:?}", scan.unread);
        let [listing] = &scan.listings[..] else { panic!("{:?}", scan.listings) };
        assert_eq!(listing.place.region.to_string(), "root.sg[3]");
        assert_eq!((listing.place.partition, listing.place.space), (-1, Space::Sequence));
        assert_eq!(listing.n_unsealed, 1);
        let [file] = &listing.sealed[..] else { panic!("{listing:?}") };
        assert_eq!(file.name.to_string(), "7-1-0-0.tsfile");
        let mods = ModsSeen { kind: ModsKind::Text, length_bytes: 2 };
        assert_eq!(file.mods, Some(mods));
    }

    #[test]
    fn a_folder_without_changes_comes_as_the_same_listing_and_growing_mods_are_seen() {
        let mut tree = Tree::new();
        let folder = "sequence/root.sg/3/0";
        tree.write(&format!("{folder}/7-1-0-0.tsfile"), b"x");
        tree.write(&format!("{folder}/7-1-0-0.tsfile.resource"), b"r");
        let mods = tree.write(&format!("{folder}/7-1-0-0.tsfile.mods2"), b"m");
        tree.age(folder);
        let (first, second) = (tree.scan(), tree.scan());
        assert!(Arc::ptr_eq(&first.listings[0], &second.listings[0]));
        let mut file = File::options().append(true).open(mods).expect("the mods file");
        file.write_all(b"more").expect("more mods");
        let third = tree.scan();
        let grown = third.listings[0].sealed[0].mods.expect("mods");
        assert_eq!(grown, ModsSeen { kind: ModsKind::Binary, length_bytes: 5 });
        tree.write(&format!("{folder}/8-2-0-0.tsfile"), b"x");
        assert_eq!(tree.scan().listings[0].n_unsealed, 1, "a new file changes the folder");
    }

    #[test]
    fn a_file_that_changes_in_place_is_seen_once_its_folder_is_doubted() {
        let mut tree = Tree::new();
        let folder = "sequence/root.sg/3/0";
        let file = tree.write(&format!("{folder}/7-1-0-0.tsfile"), b"x");
        tree.write(&format!("{folder}/7-1-0-0.tsfile.resource"), b"r");
        tree.age(folder);
        let before = tree.scan().listings[0].sealed[0].identity;
        File::options().append(true).open(&file).and_then(|mut it| it.write_all(b"y")).expect("y");
        assert_eq!(tree.scan().listings[0].sealed[0].identity, before, "the folder did not change");
        tree.catalog.doubt(file.parent().expect("a folder"));
        let after = tree.scan().listings[0].sealed[0].identity;
        assert_eq!((before.length_bytes, after.length_bytes), (1, 2));
    }

    #[test]
    fn a_region_behind_a_link_is_read_like_any_other() {
        let mut tree = Tree::new();
        tree.write("elsewhere/0/7-1-0-0.tsfile", b"x");
        tree.write("sequence/root.sg/4/0/8-1-0-0.tsfile", b"x");
        let link = tree.dir.path().join("sequence/root.sg/3");
        std::os::unix::fs::symlink(tree.dir.path().join("elsewhere"), link).expect("a link");
        assert_eq!(tree.scan().listings.len(), 2);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_unread_and_takes_nothing_else_with_it() {
        let mut tree = Tree::new();
        tree.write("elsewhere/0/7-1-0-0.tsfile", b"x");
        tree.write("sequence/root.sg/4/0/8-1-0-0.tsfile", b"x");
        let (away, there) = (tree.dir.path().join("away"), tree.dir.path().join("elsewhere"));
        let link = |at: &str| {
            let at = tree.dir.path().join(at);
            std::os::unix::fs::symlink(&there, at).expect("a link");
        };
        link("sequence/root.sg/3");
        link("sequence/root.sg/no-region");
        fs::rename(&there, &away).expect("a name");
        // From the start, and after it had been seen.
        for _ in 0..2 {
            let scan = tree.scan();
            assert_eq!(scan.listings.len(), 1, "the other region is read");
            let [unread] = &scan.unread[..] else { panic!("{:?}", scan.unread) };
            let region = RegionKey { database: "root.sg".to_owned(), region: 3 };
            assert_eq!(unread.region, Some(region));
            fs::rename(&away, &there).expect("a name");
            assert_eq!(tree.scan().unread, []);
            fs::rename(&there, &away).expect("a name");
        }
        fs::remove_file(tree.dir.path().join("sequence/root.sg/3")).expect("gone");
        std::os::unix::fs::symlink(&there, tree.dir.path().join("sequence/root.b"))
            .expect("a link");
        let unread = tree.scan().unread;
        assert!(matches!(&unread[..], [Unread { region: None, .. }]), "{unread:?}");
    }

    #[test]
    fn a_space_behind_a_link_that_leads_nowhere_and_an_empty_directory_are_unread() {
        let mut tree = Tree::new();
        let unread = tree.scan().unread;
        assert!(matches!(&unread[..], [Unread { region: None, .. }]), "{unread:?}");
        assert!(unread[0].reason.contains("mounted"), "{unread:?}");
        let nowhere = tree.dir.path().join("nowhere");
        std::os::unix::fs::symlink(nowhere, tree.dir.path().join("sequence")).expect("a link");
        let unread = tree.scan().unread;
        assert!(matches!(&unread[..], [Unread { region: None, .. }]), "{unread:?}");
    }

    #[test]
    fn deletions_appended_to_a_list_that_was_empty_at_first_are_seen() {
        for (first, second) in [(".mods", None), (".mods2", None), (".mods2", Some(".mods"))] {
            let mut tree = Tree::new();
            let folder = "sequence/root.sg/3/0";
            let file = format!("{folder}/7-1-0-0.tsfile");
            tree.write(&file, b"x");
            tree.write(&format!("{file}.resource"), b"r");
            let empty = tree.write(&format!("{file}{first}"), b"");
            if let Some(second) = second {
                tree.write(&format!("{file}{second}"), b"m\n");
            }
            tree.age(folder);
            let kind = |scan: &Scan| scan.listings[0].sealed[0].mods.map(|mods| mods.kind);
            assert_eq!(kind(&tree.scan()), second.map(|_| ModsKind::Text));
            let mut file = File::options().append(true).open(empty).expect("the mods file");
            file.write_all(b"more").expect("mods");
            let binary = first == ".mods2";
            let expected = if binary { ModsKind::Binary } else { ModsKind::Text };
            assert_eq!(kind(&tree.scan()), Some(expected), "{first}");
        }
    }

    #[test]
    fn a_file_system_that_is_not_mounted_any_more_is_not_an_empty_one() {
        let mut tree = Tree::new();
        tree.write("sequence/root.sg/3/0/7-1-0-0.tsfile", b"x");
        assert_eq!(tree.scan().unread, []);
        let (there, away) = (tree.dir.path().join("sequence"), tree.dir.path().join("away"));
        fs::rename(&there, &away).expect("a name");
        let unread = tree.scan().unread;
        assert_eq!(unread.len(), 1);
        assert!(unread[0].region.is_none() && unread[0].reason.contains("mounted"), "{unread:?}");
        fs::rename(&away, &there).expect("a name");
        assert_eq!(tree.scan().unread, []);
    }

    #[test]
    fn unsequence_folders_are_listed_before_sequence_folders() {
        let mut tree = Tree::new();
        for space in ["sequence", "unsequence"] {
            tree.write(&format!("{space}/root.a/1/0/7-1-0-0.tsfile"), b"x");
            tree.write(&format!("{space}/root.b/2/0/7-1-0-0.tsfile"), b"x");
        }
        let scan = tree.scan();
        let spaces: Vec<Space> = scan.listings.iter().map(|it| it.place.space).collect();
        use Space::Sequence as S;
        use Space::Unsequence as U;
        assert_eq!(spaces, [U, U, S, S]);
    }

    #[test]
    fn a_directory_that_is_not_a_data_directory_is_named_with_what_it_holds() {
        let tree = Tree::new();
        assert_eq!(Catalog::check_data_dir(tree.dir.path()), Ok(()), "a new one may be empty");
        tree.write("conf/iotdb.properties", b"");
        let error = Catalog::check_data_dir(tree.dir.path()).expect_err("no data directory");
        assert!(error.contains("expected sequence/ or unsequence/") && error.contains("conf"));
        let error = Catalog::check_data_dir(Path::new("/nowhere")).expect_err("no directory");
        assert!(error.contains("/nowhere"), "{error}");
    }
}
