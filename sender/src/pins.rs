//! The thread that pins waiting files, so that what the source drops of them leaves all the same.
//!
//! A pin is a second name of a file, an open descriptor, or a copy. Nothing relies on one: a file
//! that is neither in its place nor pinned becomes a gap record. The source's directories are not
//! written to.

mod disk;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use serde::Serialize;
use tidegate_config::PinMode;
use tidegate_daemon::files::descriptors_max;
use tidegate_daemon::files::open_regular;
use tidegate_source::FileIdentity;
use tidegate_source::ModsMark;
use tidegate_source::PinWanted;

use crate::catalog;
use disk::PinDir;
use disk::Way;
pub(crate) use disk::with_suffix;
use store::Held;
use store::HeldMods;
pub(crate) use store::OpenedPin;
use store::Pin;
pub(crate) use store::PinStore;

/// What is pinned how, and within which bounds.
#[derive(Clone, Debug)]
pub(crate) struct PinConfig {
    pub(crate) mode: PinMode,
    /// Where links and copies go; a link only where its file's disk is.
    pub(crate) dirs: Vec<PathBuf>,
    pub(crate) files_max: usize,
    pub(crate) bytes_max: u64,
    /// With less than this free, pins that take room are let go, and none are made.
    pub(crate) floor_percent: u64,
}

/// What the loop wants.
#[derive(Debug)]
pub(crate) struct PinRequest {
    /// Files to be pinned, those first that leave first.
    pub(crate) wanted: Vec<PinWanted>,
    /// Pins that nobody needs any more.
    pub(crate) needless: Vec<FileIdentity>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct PinReport {
    /// All files that are pinned now.
    pub(crate) pinned: Arc<HashSet<FileIdentity>>,
    pub(crate) totals: PinTotals,
    /// Worth a line in the log.
    pub(crate) warnings: Vec<String>,
}

/// What `status` says of all pins.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub(crate) struct PinTotals {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) links: u64,
    pub(crate) open: u64,
    pub(crate) copies: u64,
    /// Files that waited and were not pinned, for want of room or permission, in the last round.
    pub(crate) declined: u64,
    /// Pins that were let go, over this run, since a disk was too full.
    pub(crate) let_go: u64,
    /// What keeps files from being pinned.
    pub(crate) trouble: Option<String>,
}

/// Makes pins and lets them go.
#[derive(Debug)]
pub(crate) struct Pinner {
    config: PinConfig,
    dirs: Vec<PinDir>,
    store: Arc<PinStore>,
    totals: PinTotals,
    n_pinned: u64,
    warnings: Vec<String>,
    /// Open files that the process may have.
    descriptors_max: u64,
    /// Disks that are too full, so that it is said once.
    full: HashSet<u64>,
}

/// Where a file's pin can be.
enum Place<'p> {
    Here,
    Dir(&'p PinDir, Way),
}

impl Pinner {
    /// Makes the directories, and takes over what an earlier run has pinned.
    ///
    /// # Errors
    /// A directory that is needed cannot be made or read.
    pub(crate) fn open(config: PinConfig) -> io::Result<Self> {
        let store = Arc::new(PinStore::default());
        let mut pinner = Self {
            dirs: Vec::new(),
            store,
            totals: PinTotals::default(),
            n_pinned: 0,
            warnings: Vec::new(),
            descriptors_max: descriptors_max(),
            full: HashSet::new(),
            config,
        };
        let makes_dirs = !matches!(pinner.config.mode, PinMode::Off | PinMode::Hold);
        for path in pinner.config.dirs.clone() {
            if !makes_dirs && !path.is_dir() {
                continue;
            }
            let opened = PinDir::open(&path).and_then(|dir| Ok((dir.read()?, dir)));
            match opened {
                Ok((found, dir)) => {
                    found.into_iter().for_each(|(identity, pin)| pinner.put(identity, pin));
                    pinner.dirs.push(dir);
                }
                Err(error) if pinner.config.mode == PinMode::Auto => {
                    pinner.totals.trouble = Some(format!("no links: {error}"));
                    pinner.warnings.push(format!("files are not pinned by links: {error}"));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(pinner)
    }

    /// What is pinned, for the readers.
    pub(crate) fn store(&self) -> Arc<PinStore> {
        Arc::clone(&self.store)
    }

    /// Runs until the loop is gone.
    pub(crate) fn run(mut self, requests: &Receiver<PinRequest>, report: impl Fn(PinReport)) {
        for request in requests {
            self.apply(&request);
            report(self.report());
        }
    }

    /// What is pinned now.
    pub(crate) fn report(&mut self) -> PinReport {
        let pinned = self.store.identities();
        self.totals.files = pinned.len() as u64;
        self.totals.bytes = pinned.iter().map(|identity| identity.length_bytes).sum();
        self.totals.links = self.store.count(|it| matches!(it, Held::Link(_)));
        self.totals.open = self.store.count(|it| matches!(it, Held::Open(_)));
        self.totals.copies = self.store.count(|it| matches!(it, Held::Copy(_)));
        PinReport {
            pinned: Arc::new(pinned),
            totals: self.totals.clone(),
            warnings: std::mem::take(&mut self.warnings),
        }
    }

    fn apply(&mut self, request: &PinRequest) {
        for &identity in &request.needless {
            self.let_go(identity);
        }
        self.keep_floor();
        let pinned = self.store.identities();
        let (mut n_files, mut n_bytes) =
            (pinned.len(), pinned.iter().map(|identity| identity.length_bytes).sum::<u64>());
        self.totals.declined = 0;
        for wanted in &request.wanted {
            if let Some(pin) = self.store.get(wanted.identity) {
                self.renew_mods(wanted, pin);
                continue;
            }
            let length_bytes = wanted.identity.length_bytes;
            let fits = n_files < self.config.files_max
                && n_bytes.saturating_add(length_bytes) <= self.config.bytes_max;
            if fits && self.pin(wanted) {
                n_files += 1;
                n_bytes = n_bytes.saturating_add(length_bytes);
            } else {
                self.totals.declined += 1;
            }
        }
    }

    /// Pins a file; says whether that could be done.
    fn pin(&mut self, wanted: &PinWanted) -> bool {
        let path = path_of(wanted);
        let Ok(facts) = fs::metadata(&path) else { return false };
        if catalog::identity(&facts) != wanted.identity || self.full.contains(&facts.dev()) {
            return false;
        }
        let tried = match self.config.mode {
            PinMode::Off => return false,
            PinMode::Hold => self.hold(&path, wanted),
            PinMode::Copy => match self.dirs.iter().find(|dir| self.has_room(dir, wanted)) {
                Some(dir) => self.pin_at(&Place::Dir(dir, Way::Copy), &path, wanted),
                None => Err(io::Error::other("no directory for copies has room")),
            },
            PinMode::Link => self.link(facts.dev(), &path, wanted),
            PinMode::Auto => self.link(facts.dev(), &path, wanted).or_else(|error| {
                self.hold(&path, wanted).map_err(|other| {
                    io::Error::new(
                        other.kind(),
                        format!("{error}; to hold it open failed: {other}"),
                    )
                })
            }),
        };
        match tried {
            Ok(pin) => {
                self.put(wanted.identity, pin);
                self.totals.trouble = None;
                true
            }
            // It went meanwhile, or its deletions were written anew.
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => {
                self.trouble(format!("{}: pinning it failed: {error}", path.display()));
                false
            }
        }
    }

    fn link(&self, device: u64, path: &Path, wanted: &PinWanted) -> io::Result<Pin> {
        let Some(dir) = self.dirs.iter().find(|dir| dir.is_on(device)) else {
            return Err(io::Error::other(
                "none of sender_pin_dirs is on its file system, so it cannot be linked there",
            ));
        };
        self.pin_at(&Place::Dir(dir, Way::Link), path, wanted)
    }

    fn hold(&self, path: &Path, wanted: &PinWanted) -> io::Result<Pin> {
        // Half of the descriptors are for all the rest. A file may come with its deletions.
        let n_open = self.store.count(|it| matches!(it, Held::Open(_)));
        if (n_open + 1) * 2 > self.descriptors_max / 2 {
            return Err(io::Error::other(format!(
                "as many files are held open as {} descriptors allow (LimitNOFILE, ulimit -n)",
                self.descriptors_max
            )));
        }
        self.pin_at(&Place::Here, path, wanted)
    }

    fn pin_at(&self, place: &Place<'_>, path: &Path, wanted: &PinWanted) -> io::Result<Pin> {
        let file = match place {
            Place::Dir(dir, way) => dir.keep(*way, path, wanted.identity)?,
            Place::Here => hold(path, |facts| catalog::identity(facts) == wanted.identity)?,
        };
        let mods = wanted.mods.map(|mark| pin_mods(place, path, wanted.identity, mark));
        match mods.transpose() {
            Ok(mods) => Ok(Pin { file, mods, serial: 0 }),
            Err(error) => {
                file.let_go()?;
                Err(error)
            }
        }
    }

    /// Keeps the deletions up to date that are pinned with a file.
    fn renew_mods(&mut self, wanted: &PinWanted, mut pin: Pin) {
        let Some(mark) = wanted.mods else { return };
        if pin.mods.as_ref().is_some_and(|mods| mods.is_of(mark)) {
            return;
        }
        let path = path_of(wanted);
        let dir = |of: &Path| self.dirs.iter().find(|dir| of.parent() == Some(dir.path()));
        let place = match &pin.file {
            Held::Open(_) => Some(Place::Here),
            Held::Link(of) => dir(of).map(|dir| Place::Dir(dir, Way::Link)),
            Held::Copy(of) => dir(of).map(|dir| Place::Dir(dir, Way::Copy)),
        };
        let Some(place) = place else { return };
        match pin_mods(&place, &path, wanted.identity, mark) {
            Ok(mods) => {
                pin.mods = Some(mods);
                self.store.put(wanted.identity, pin);
            }
            // The next scan shows what became of them.
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            Err(error) => {
                self.trouble(format!("{}: pinning its deletions failed: {error}", path.display()));
            }
        }
    }

    fn put(&mut self, identity: FileIdentity, pin: Pin) {
        self.n_pinned += 1;
        self.store.put(identity, Pin { serial: self.n_pinned, ..pin });
    }

    fn let_go(&mut self, identity: FileIdentity) {
        if let Err(error) = self.store.let_go(identity) {
            self.trouble(format!("letting a pin go failed: {error}"));
        }
    }

    /// Where a disk is too full, lets pins go that take room there: those first that would leave
    /// last. The source must not run out of room because of what it has removed.
    fn keep_floor(&mut self) {
        let mut full = BTreeMap::new();
        for (identity, pin) in self.store.youngest_first() {
            let Ok((device, _)) = pin.file.file_system() else { continue };
            // Asked anew for each: room comes free as they go.
            let is_full = |pin: &Pin| {
                pin.file.file_system().is_ok_and(|(_, disk)| self.is_below_floor(&disk))
            };
            let was_full = *full.entry(device).or_insert_with(|| is_full(&pin));
            if was_full && pin.file.takes_room() && is_full(&pin) {
                self.let_go(identity);
                self.totals.let_go += 1;
            }
        }
        let full: HashSet<u64> =
            full.into_iter().filter(|(_, full)| *full).map(|(it, _)| it).collect();
        for device in full.difference(&self.full.clone()) {
            let percent = self.config.floor_percent;
            self.warnings.push(format!(
                "less than {percent} % are free on the file system with device number {device}: \
                 pins of files that the source has removed are let go, and no others are made; \
                 what is lost by that becomes a gap record"
            ));
        }
        self.full = full;
    }

    /// Whether a copy leaves its disk above the floor.
    fn has_room(&self, dir: &PinDir, wanted: &PinWanted) -> bool {
        let length_bytes = wanted.identity.length_bytes;
        rustix::fs::statvfs(dir.path()).is_ok_and(|mut disk| {
            let n_blocks = length_bytes.div_ceil(disk.f_frsize.max(1));
            disk.f_bavail = disk.f_bavail.saturating_sub(n_blocks);
            !self.is_below_floor(&disk)
        })
    }

    fn is_below_floor(&self, disk: &rustix::fs::StatVfs) -> bool {
        u128::from(disk.f_bavail) * 100
            < u128::from(disk.f_blocks) * u128::from(self.config.floor_percent)
    }

    fn trouble(&mut self, text: String) {
        if self.totals.trouble.is_none() {
            self.warnings.push(text.clone());
        }
        self.totals.trouble = Some(text);
    }
}

fn path_of(wanted: &PinWanted) -> PathBuf {
    Path::new(&*wanted.folder).join(wanted.name.to_string())
}

/// Holds a file open.
fn hold(path: &Path, is_right: impl Fn(&fs::Metadata) -> bool) -> io::Result<Held> {
    let file = open_regular(path)?;
    match is_right(&file.metadata()?) {
        true => Ok(Held::Open(Arc::new(file))),
        false => Err(io::ErrorKind::NotFound.into()),
    }
}

/// Keeps the deletions beside a file.
fn pin_mods(
    place: &Place<'_>,
    ts_file: &Path,
    identity: FileIdentity,
    mark: ModsMark,
) -> io::Result<HeldMods> {
    let kind = mark.seen.kind;
    let path = with_suffix(ts_file, kind.suffix());
    match place {
        Place::Dir(dir, way) => {
            let length_bytes = mark.seen.length_bytes;
            dir.keep_mods(*way, (&path, kind), identity, mark.inode, length_bytes)
        }
        Place::Here => {
            let held = hold(&path, |facts| facts.ino() == mark.inode)?;
            Ok(HeldMods { kind, held, inode: Some(mark.inode) })
        }
    }
}
