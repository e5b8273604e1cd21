//! Deletions beside sealed files: looked at after all folders of a scan were listed.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::path::Path;
use std::sync::Arc;

use tidegate_source::DeletionKey;
use tidegate_source::FileIdentity;
use tidegate_source::LastMods;
use tidegate_source::Listing;
use tidegate_source::ModsRead;
use tidegate_source::Scope;
use tidegate_source::SealedFile;
use tidegate_source::SeenDeletion;
use tidegate_source::cut;
use tidegate_tsfile::DeviceExtent;
use tidegate_tsfile::Ending;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::RESOURCE_SUFFIX;

use super::Context;
use super::GoneList;
use super::facts::ResourceRead;
use super::facts::open;
use super::facts::read_opened_resource;
use super::facts::read_resource;
use super::folder::Folder;
use super::folder::MODS_KINDS;
use super::folder::stat;
use super::identity;
use super::mtime_ns;
use super::names::read_names;

/// A mods file and how far it was read.
#[derive(Clone, Debug)]
pub(super) struct ModsFile {
    /// Position of its TsFile in the listing.
    pub(super) at: usize,
    pub(super) kind: ModsKind,
    /// What it was when it was last read.
    seen: Option<FileIdentity>,
    /// What was in it, unless there is nothing whole in it.
    read: Option<Arc<ModsRead>>,
}

/// Series that the deletions beside one file may name, each deletion counting as one more: what they
/// are cut to is kept in memory.
const SERIES_MAX: usize = 500_000;

impl ModsFile {
    /// A mods file of the TsFile at a position, as it was known before, if it was.
    pub(super) fn new(at: usize, kind: ModsKind, known: Option<&Self>) -> Self {
        match known {
            Some(known) => Self { at, ..known.clone() },
            None => Self { at, kind, seen: None, read: None },
        }
    }

    /// What was read, unless it is nothing; the same object if it is what is known.
    fn kept_or(&self, mods: ModsRead) -> Option<Arc<ModsRead>> {
        match &self.read {
            Some(known) if **known == mods => Some(Arc::clone(known)),
            _ if mods.entries.is_empty() && mods.damage.is_none() => None,
            _ => Some(Arc::new(mods)),
        }
    }
}

/// A list of deletions that was there is taken for removed when it was missing so many times,
const LOOKS_FOR_MISSING: u32 = 2;
/// or so many times beside one that is to take its place.
const LOOKS_FOR_SETTLING: u32 = 20;

/// Whether everything was as it was listed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Calm {
    Yes,
    /// A file went, or its deletions are just being written anew.
    No,
}

/// What became of the reading of a mods file.
enum Reading {
    /// There is no such file (any more).
    Gone,
    /// It cannot be understood yet: the `.resource` of its TsFile is gone.
    NotYet,
    Done(FileIdentity, Option<Arc<ModsRead>>),
}

impl Folder {
    /// Looks at the mods of a folder that was listed before.
    ///
    /// # Errors
    /// Something is there and cannot be read.
    pub(super) fn look_at_mods(&mut self, dir: &Path, context: &Context) -> io::Result<Calm> {
        let mut calm = if self.is_restless { Calm::No } else { Calm::Yes };
        let Some(facts) = stat(dir)? else { return Ok(self.calm_if_empty(calm)) };
        let is_changed = mtime_ns(&facts) != self.mtime_ns;
        if is_changed || !self.is_settled {
            // What appeared since it was listed is found by the next scan.
            self.is_settled &= !is_changed;
            let found = match self.find_again(dir) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(self.calm_if_empty(calm));
                }
                found => found?,
            };
            if found == Calm::No {
                calm = Calm::No;
            }
        }
        let mut changed: Option<Vec<SealedFile>> = None;
        let mut mods_files = std::mem::take(&mut self.mods_files);
        let looking =
            mods_files.chunk_by_mut(|one, other| one.at == other.at).try_for_each(|group| {
                let at = group[0].at;
                let file = &self.listing.sealed[at];
                let looked = look(dir, file, group, context)?;
                if looked == Calm::No {
                    calm = Calm::No;
                    self.is_settled = false;
                }
                let mods = group.iter().find_map(|it| it.read.clone());
                // A list that is gone for a moment is what it was; one that is empty is not.
                if (mods.is_some() || looked == Calm::Yes) && mods != file.mods {
                    changed.get_or_insert_with(|| self.listing.sealed.clone())[at].mods = mods;
                }
                Ok::<(), io::Error>(())
            });
        self.mods_files = mods_files;
        looking?;
        if let Some(sealed) = changed {
            let Listing { place, folder, unsealed, .. } = &*self.listing;
            self.listing = Arc::new(Listing {
                place: place.clone(),
                folder: Arc::clone(folder),
                sealed,
                unsealed: unsealed.clone(),
            });
        }
        Ok(calm)
    }

    fn calm_if_empty(&mut self, calm: Calm) -> Calm {
        self.is_settled = false;
        if self.listing.sealed.is_empty() { calm } else { Calm::No }
    }

    /// Reads the names once more: which TsFiles are still there, and which mods files.
    fn find_again(&mut self, dir: &Path) -> io::Result<Calm> {
        let names = read_names(dir)?;
        let mut calm = Calm::Yes;
        let (mut mods_files, mut removed) = (Vec::new(), Vec::new());
        for (at, file) in self.listing.sealed.iter().enumerate() {
            let beside = names.get(&file.name).copied().unwrap_or_default();
            if !beside.ts_file {
                calm = Calm::No;
                continue;
            }
            let first = mods_files.len();
            for kind in MODS_KINDS.into_iter().filter(|&kind| beside.has(kind)) {
                mods_files.push(ModsFile::new(at, kind, self.mods_file(at, kind)));
            }
            if mods_files.len() > first || file.mods.is_none() {
                self.missing_mods.remove(&file.name);
                continue;
            }
            // IoTDB 1.x removes a list before it moves a shorter one into its place, and may crash in
            // between; both names may be missed by one look.
            let n_looks = self.missing_mods.entry(file.name).or_default();
            *n_looks += 1;
            let n_looks_max = if beside.settling { LOOKS_FOR_SETTLING } else { LOOKS_FOR_MISSING };
            if *n_looks < n_looks_max {
                calm = Calm::No;
                self.is_settled = false;
            } else {
                removed.push(at);
            }
        }
        self.mods_files = mods_files;
        self.forget_mods(&removed);
        Ok(calm)
    }

    /// Somebody has removed lists of deletions, and they do not come back.
    fn forget_mods(&mut self, at: &[usize]) {
        if at.is_empty() {
            return;
        }
        let mut listing = Listing::clone(&self.listing);
        for &at in at {
            listing.sealed[at].mods = None;
            self.missing_mods.remove(&listing.sealed[at].name);
        }
        self.listing = Arc::new(listing);
    }
}

/// Brings what is known of the mods files of one TsFile up to date.
fn look(
    dir: &Path,
    file: &SealedFile,
    group: &mut [ModsFile],
    context: &Context,
) -> io::Result<Calm> {
    let mut calm = Calm::Yes;
    for mods_file in group {
        let path = dir.join(format!("{}{}", file.name, mods_file.kind.suffix()));
        let facts = stat(&path)?;
        let reading = match facts {
            None => Reading::Gone,
            // Foreign, and perhaps something that blocks.
            Some(facts) if !facts.is_file() => Reading::Done(identity(&facts), None),
            Some(facts) if mods_file.seen == Some(identity(&facts)) => continue,
            Some(_) => read(dir, &path, file, mods_file, context)?,
        };
        match reading {
            Reading::Gone | Reading::NotYet => calm = Calm::No,
            Reading::Done(seen, read) => (mods_file.seen, mods_file.read) = (Some(seen), read),
        }
    }
    Ok(calm)
}

/// Reads a mods file: what was added to it, or all of it.
fn read(
    dir: &Path,
    path: &Path,
    file: &SealedFile,
    known: &ModsFile,
    context: &Context,
) -> io::Result<Reading> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut opened = match open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Reading::Gone),
        opened => opened.map_err(named)?,
    };
    let seen = identity(&opened.metadata().map_err(named)?);
    let is_grown = |before: &FileIdentity| {
        before.inode == seen.inode && before.length_bytes < seen.length_bytes
    };
    let before = known.read.as_ref().filter(|_| known.seen.as_ref().is_some_and(is_grown));
    let from_bytes = before.map_or(0, |before| before.whole_bytes);
    let mut mods = ModsRead {
        kind: known.kind,
        inode: seen.inode,
        whole_bytes: from_bytes,
        entries: before.map(|before| before.entries.clone()).unwrap_or_default(),
        damage: None,
    };
    if seen.length_bytes > context.mods_bytes_max {
        mods.damage = Some(format!(
            "{}: more deletions than sender_mods_max_bytes ({}) allows; raise it",
            path.display(),
            context.mods_bytes_max
        ));
        return Ok(Reading::Done(seen, known.kept_or(mods)));
    }
    // What comes behind the length that was seen is read the next time.
    let bytes = read_part(&mut opened, from_bytes, seen.length_bytes).map_err(named)?;
    if let Added::NotYet = add(path, &bytes, || Devices::of(dir, file), &mut mods)? {
        return Ok(Reading::NotYet);
    }
    Ok(Reading::Done(seen, known.kept_or(mods)))
}

/// Reads the list of a file that is not there any more; `None` if that cannot be done.
pub(super) fn read_gone(gone: GoneList, context: &Context) -> Option<(FileIdentity, LastMods)> {
    let GoneList { identity: ts_file, at, kind, mut list, resource } = gone;
    let path = Path::new(&*at.0).join(format!("{}{}", at.1, kind.suffix()));
    let facts = list.metadata().ok().filter(|it| it.len() <= context.mods_bytes_max)?;
    let inode = identity(&facts).inode;
    let mut mods = ModsRead { kind, inode, whole_bytes: 0, entries: Vec::new(), damage: None };
    let bytes = read_part(&mut list, 0, facts.len()).ok()?;
    let devices = || Ok(Devices::of_resource(read_opened_resource(&resource)));
    match add(&path, &bytes, devices, &mut mods).ok()? {
        Added::All => Some((ts_file, LastMods { at, mods: Arc::new(mods) })),
        Added::NotYet => None,
    }
}

fn read_part(file: &mut File, from_bytes: u64, to_bytes: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(from_bytes))?;
    let mut bytes = Vec::new();
    file.take(to_bytes.saturating_sub(from_bytes)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

enum Added {
    All,
    NotYet,
}

/// Adds the whole entries of `bytes`, which stand behind those that are in `mods`.
///
/// # Arguments
///
/// - `read_devices`: those of the TsFile; `None` if nobody can tell now. Asked if there is an entry.
fn add(
    path: &Path,
    bytes: &[u8],
    read_devices: impl Fn() -> io::Result<Option<Devices>>,
    mods: &mut ModsRead,
) -> io::Result<Added> {
    let offset = usize::try_from(mods.whole_bytes).unwrap_or(usize::MAX);
    let mut walk = mods.kind.entries(bytes, offset);
    let mut devices: Option<Devices> = None;
    let mut n_series: usize = mods.entries.iter().map(n_series_of).sum();
    while let Some(entry) = walk.next() {
        let devices = match &mut devices {
            Some(devices) => devices,
            none => match read_devices()? {
                Some(read) => none.insert(read),
                None => return Ok(Added::NotYet),
            },
        };
        let scope = devices.cut(&entry.deletion);
        let end_bytes = walk.whole_bytes() as u64;
        let seen = SeenDeletion { end_bytes, key: DeletionKey::of(&entry.deletion), scope };
        n_series = n_series.saturating_add(n_series_of(&seen));
        if n_series > SERIES_MAX {
            mods.damage = Some(format!(
                "{}: expected deletions of at most {SERIES_MAX} series, but found more",
                path.display()
            ));
            return Ok(Added::All);
        }
        mods.entries.push(seen);
        mods.whole_bytes = end_bytes;
    }
    mods.damage = match walk.into_ending() {
        Ending::Damaged(error) => Some(format!("{}: {error}", path.display())),
        Ending::Torn { .. } | Ending::Whole => None,
    };
    Ok(Added::All)
}

fn n_series_of(entry: &SeenDeletion) -> usize {
    match &entry.scope {
        Scope::Cut(deletion) => deletion.n_names().saturating_add(1),
        Scope::Nothing | Scope::Unknown => 1,
    }
}

/// The devices of a TsFile, to cut deletions to.
enum Devices {
    Kept(Arc<[DeviceExtent]>),
    Read(Vec<DeviceExtent>),
    Unknown,
}

impl Devices {
    /// `None` if the `.resource` is gone.
    fn of(dir: &Path, file: &SealedFile) -> io::Result<Option<Self>> {
        if let Some(devices) = file.facts.devices.as_ref().filter(|it| !it.is_empty()) {
            return Ok(Some(Self::Kept(Arc::clone(devices))));
        }
        let path = dir.join(format!("{}{RESOURCE_SUFFIX}", file.name));
        Ok(Self::of_resource(read_resource(&path)?))
    }

    fn of_resource(read: ResourceRead) -> Option<Self> {
        match read {
            ResourceRead::Gone => None,
            ResourceRead::Unreadable(_) => Some(Self::Unknown),
            // A sealed file has rows of something.
            ResourceRead::Said(resource) if resource.devices.is_empty() => Some(Self::Unknown),
            ResourceRead::Said(resource) => Some(Self::Read(resource.devices)),
        }
    }

    fn cut(&self, deletion: &tidegate_tsfile::Deletion) -> Scope {
        match self {
            Self::Kept(devices) => cut(deletion, devices),
            Self::Read(devices) => cut(deletion, devices),
            Self::Unknown => Scope::Unknown,
        }
    }
}
