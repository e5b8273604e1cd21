//! One partition folder: which TsFiles are in it, and which of them are sealed.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tidegate_source::Extent;
use tidegate_source::FileFacts;
use tidegate_source::FileIdentity;
use tidegate_source::Listing;
use tidegate_source::Place;
use tidegate_source::SealedFile;
use tidegate_source::Space;
use tidegate_source::TsFileName;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::RESOURCE_SUFFIX;

use super::Context;
use super::facts::EXTENTS_BYTES_MAX;
use super::facts::ResourceRead;
use super::facts::facts_of;
use super::facts::read_resource;
use super::identity;
use super::leads_nowhere;
use super::mods::ModsFile;
use super::mtime_ns;
use super::names::Beside;
use super::names::SETTLE_SUFFIX;
use super::names::read_names;

/// A partition folder as it was when it was last looked at.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) listing: Arc<Listing>,
    /// The `.resource` of each sealed file, as it was when it was read.
    resources: Vec<FileIdentity>,
    /// Sealed files whose `.resource` could not be read. If it is mended in place, its folder does
    /// not tell.
    doubtful: Vec<usize>,
    young: Vec<Young>,
    /// Files whose list of deletions was missing so many times when it was looked for.
    pub(super) missing_mods: HashMap<TsFileName, u32>,
    /// Mods files that are there, empty ones too, by the position of their TsFile in the listing.
    pub(super) mods_files: Vec<ModsFile>,
    /// Modification time of the folder, from before its names were read.
    pub(super) mtime_ns: i64,
    /// Whether that time is so old that it cannot hide a later change.
    pub(super) is_settled: bool,
    /// Whether the folder never came to rest while it was listed.
    pub(super) is_restless: bool,
    pub(super) extent_bytes: usize,
}

/// A file that has its `.resource`, while something may still be on its way into its place.
#[derive(Clone, Copy, Debug)]
struct Young {
    name: TsFileName,
    resource: FileIdentity,
    first_seen_ns: i64,
    due_ns: i64,
}

/// What names and `stat` say of a folder.
struct Found {
    mtime_ns: i64,
    is_restless: bool,
    files: Vec<FoundFile>,
}

struct FoundFile {
    name: TsFileName,
    beside: Beside,
    ts_file: FileIdentity,
    /// The `.resource`, and when its inode last changed.
    resource: Option<(FileIdentity, i64)>,
}

/// A folder that changed less than this before it was read may change again within the same tick of
/// the file system's clock; it is read once more.
const MTIME_SETTLES_NS: i64 = 2_000_000_000;
/// IoTDB's LOAD puts a TsFile into its place, then its `.resource`, then its mods. Within this time
/// it is done.
const LOAD_SETTLES_NS: i64 = 1_000_000_000;
/// A folder that changes while it is listed is listed again so many times.
const LISTINGS_MAX: usize = 8;
/// The newer kind goes before the older one.
pub(super) const MODS_KINDS: [ModsKind; 2] = [ModsKind::Binary, ModsKind::Text];

impl Folder {
    /// Whether nothing can have changed in a folder but its mods files.
    pub(super) fn is_unchanged(&self, dir: &Path) -> io::Result<bool> {
        if !self.is_settled || mtime_ns(&fs::metadata(dir)?) != self.mtime_ns {
            return Ok(false);
        }
        Ok(self.doubtful.iter().all(|&at| {
            let (file, seen) = (&self.listing.sealed[at], &self.resources[at]);
            let path = dir.join(format!("{}{RESOURCE_SUFFIX}", file.name));
            fs::metadata(path).is_ok_and(|facts| identity(&facts) == *seen)
        }))
    }

    /// Lists a folder. What was known of its files is taken over; the mods come later.
    pub(super) fn list(
        dir: &Path,
        place: &Place,
        known: Option<&Self>,
        context: &mut Context,
    ) -> io::Result<Self> {
        let found = find(dir)?;
        let mut folder = Self {
            listing: Arc::new(Listing {
                place: place.clone(),
                folder: Arc::from(dir.to_string_lossy().as_ref()),
                sealed: Vec::new(),
                unsealed: Vec::new(),
            }),
            resources: Vec::new(),
            doubtful: Vec::new(),
            young: Vec::new(),
            missing_mods: HashMap::new(),
            mods_files: Vec::new(),
            mtime_ns: found.mtime_ns,
            is_settled: false,
            is_restless: found.is_restless,
            extent_bytes: 0,
        };
        let known_bytes = known.map_or(0, |known| known.extent_bytes);
        context.extent_bytes = context.extent_bytes.saturating_sub(known_bytes);
        let filled = folder.fill(dir, found.files, known, context);
        context.extent_bytes += if filled.is_ok() { folder.extent_bytes } else { known_bytes };
        filled?;
        let is_old = context.now_ns.saturating_sub(folder.mtime_ns) > MTIME_SETTLES_NS;
        // Whether a list that is missing comes back only another look can tell.
        let is_whole = folder.young.is_empty() && folder.missing_mods.is_empty();
        folder.is_settled = is_old && !folder.is_restless && is_whole;
        if let Some(known) = known
            && *known.listing == *folder.listing
        {
            folder.listing = Arc::clone(&known.listing);
        }
        Ok(folder)
    }

    /// When the folder must be looked at again without anything happening.
    pub(super) fn due_ns(&self) -> Option<i64> {
        self.young.iter().map(|young| young.due_ns).min()
    }

    fn fill(
        &mut self,
        dir: &Path,
        files: Vec<FoundFile>,
        known: Option<&Self>,
        context: &mut Context,
    ) -> io::Result<()> {
        let mut sealed = Vec::new();
        let mut unsealed = Vec::new();
        for file in files {
            let Some((resource, changed_ns)) = file.resource else {
                unsealed.push(file.name);
                continue;
            };
            let before = known.and_then(|known| known.sealed(file.name, file.ts_file));
            // What was grown up once does not become young again.
            let was_young = before.is_none_or(|(at, known)| known.listing.sealed[at].is_young);
            let young = was_young
                .then(|| young(dir, &self.listing.place, &file, changed_ns, known, context))
                .flatten();
            let is_young = young.is_some();
            self.young.extend(young);
            let same = before.filter(|(at, known)| known.resources[*at] == resource);
            let facts = match same {
                Some((at, known)) => {
                    if known.doubtful.contains(&at) {
                        self.doubtful.push(sealed.len());
                    }
                    Some(Arc::clone(&known.listing.sealed[at].facts))
                }
                None => self.read_facts(dir, file.name, sealed.len(), context)?,
            };
            let Some(facts) = facts else {
                // It went while it was looked at, or is just being replaced.
                self.is_restless = true;
                unsealed.push(file.name);
                continue;
            };
            for kind in MODS_KINDS.into_iter().filter(|&kind| file.beside.has(kind)) {
                let read = same.and_then(|(at, known)| known.mods_file(at, kind));
                self.mods_files.push(ModsFile::new(sealed.len(), kind, read));
            }
            let mods = before.and_then(|(at, known)| known.listing.sealed[at].mods.clone());
            if mods.is_some() && !MODS_KINDS.into_iter().any(|kind| file.beside.has(kind)) {
                let n_looks = known.and_then(|known| known.missing_mods.get(&file.name));
                self.missing_mods.insert(file.name, n_looks.copied().unwrap_or_default());
            }
            self.extent_bytes += facts.extent.heap_bytes();
            self.resources.push(resource);
            sealed.push(SealedFile {
                name: file.name,
                identity: file.ts_file,
                facts,
                mods,
                is_young,
            });
        }
        let listing = Arc::get_mut(&mut self.listing).expect("it was just made");
        (listing.sealed, listing.unsealed) = (sealed, unsealed);
        Ok(())
    }

    /// What a `.resource` says; `None` if it is gone.
    fn read_facts(
        &mut self,
        dir: &Path,
        name: TsFileName,
        at: usize,
        context: &mut Context,
    ) -> io::Result<Option<Arc<FileFacts>>> {
        let path = dir.join(format!("{name}{RESOURCE_SUFFIX}"));
        let (facts, problem) = match read_resource(&path)? {
            ResourceRead::Gone => return Ok(None),
            ResourceRead::Unreadable(problem) => (FileFacts::default(), Some(problem)),
            ResourceRead::Said(resource) => {
                let taken = context.extent_bytes.saturating_add(self.extent_bytes);
                let left = EXTENTS_BYTES_MAX.saturating_sub(taken);
                facts_of(*resource, context.keeps_devices, left)
            }
        };
        if let Some(problem) = problem {
            let unknown = facts.extent == Extent::Unknown;
            let consequence = match unknown {
                true => "its file passes for one with rows of any device and time",
                false => "how far the data of its file reaches is not known",
            };
            context.warnings.push(format!("{}: {problem}; {consequence}", path.display()));
            self.doubtful.push(at);
        }
        Ok(Some(Arc::new(facts)))
    }

    /// The sealed file of that name and identity, by its position.
    fn sealed(&self, name: TsFileName, identity: FileIdentity) -> Option<(usize, &Self)> {
        let at = self.listing.sealed_at(name)?;
        (self.listing.sealed[at].identity == identity).then_some((at, self))
    }

    /// A mods file of a sealed file.
    pub(super) fn mods_file(&self, at: usize, kind: ModsKind) -> Option<&ModsFile> {
        let from = self.mods_files.partition_point(|it| it.at < at);
        self.mods_files[from..].iter().take_while(|it| it.at == at).find(|it| it.kind == kind)
    }
}

/// Reads names and `stat`s, again if the folder changes meanwhile: a name that is moved may be missed
/// at both places.
///
/// A change within the tick of the folder's last one goes unnoticed, but then its time is so recent
/// that it is listed again in the next scan, and nobody draws conclusions from one scan alone.
fn find(dir: &Path) -> io::Result<Found> {
    find_while(dir, || ())
}

/// The same, while something happens after each reading.
fn find_while(dir: &Path, mut happens: impl FnMut()) -> io::Result<Found> {
    let mut mtime_before_ns = mtime_ns(&fs::metadata(dir)?);
    let mut n_listings = 1;
    loop {
        let mut files = Vec::new();
        for (name, beside) in read_names(dir)?.into_iter().filter(|(_, it)| it.ts_file) {
            // Compaction removes files while we look.
            let Some(facts) = stat(&dir.join(name.to_string()))? else { continue };
            if !facts.is_file() {
                continue;
            }
            let resource = match beside.resource {
                true => stat(&dir.join(format!("{name}{RESOURCE_SUFFIX}")))?,
                false => None,
            };
            files.push(FoundFile {
                name,
                beside,
                ts_file: identity(&facts),
                resource: resource.map(|facts| (identity(&facts), super::ctime_ns(&facts))),
            });
        }
        happens();
        let mtime_after_ns = mtime_ns(&fs::metadata(dir)?);
        let is_calm = mtime_after_ns == mtime_before_ns;
        if is_calm || n_listings == LISTINGS_MAX {
            return Ok(Found { mtime_ns: mtime_before_ns, is_restless: !is_calm, files });
        }
        mtime_before_ns = mtime_after_ns;
        n_listings += 1;
    }
}

/// What is under a path; `None` if nothing is.
pub(super) fn stat(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::metadata(path) {
        Ok(facts) => Ok(Some(facts)),
        Err(error) if leads_nowhere(&error) => Ok(None),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    }
}

/// Whether a file that was not seen sealed before must wait, since its mods may be on their way: in
/// the unsequence space LOAD may be at work, and anywhere IoTDB 1.x may be writing a list anew.
///
/// The inode's own change counts, for a rename keeps the time of the content. Where that lies in the
/// future, the clock was set back, and the time since the first sight counts.
fn young(
    dir: &Path,
    place: &Place,
    file: &FoundFile,
    changed_ns: i64,
    known: Option<&Folder>,
    context: &Context,
) -> Option<Young> {
    let (resource, _) = file.resource?;
    let is_settling = file.beside.settling && !file.beside.text_mods;
    let settling_ns = is_settling.then(|| {
        let path = dir.join(format!("{}{}{SETTLE_SUFFIX}", file.name, ModsKind::Text.suffix()));
        stat(&path).ok().flatten().map(|facts| super::ctime_ns(&facts))
    });
    let loading_ns = (place.space == Space::Unsequence).then_some(changed_ns);
    let changed_ns = settling_ns.flatten().into_iter().chain(loading_ns).max()?;
    let now_ns = context.now_ns;
    let before = known.into_iter().flat_map(|known| &known.young);
    let first_seen_ns = before
        .filter(|young| young.name == file.name && young.resource == resource)
        .map(|young| young.first_seen_ns)
        .find(|&first_seen_ns| first_seen_ns <= now_ns)
        .unwrap_or(now_ns);
    let from_ns = if changed_ns <= now_ns { changed_ns } else { first_seen_ns };
    let due_ns = from_ns.saturating_add(LOAD_SETTLES_NS);
    (now_ns < due_ns).then_some(Young { name: file.name, resource, first_seen_ns, due_ns })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_folder_that_changes_while_it_is_listed_is_listed_again_up_to_a_limit() {
        for n_changes in [0, 1, LISTINGS_MAX - 1, LISTINGS_MAX, LISTINGS_MAX + 5] {
            let dir = tempfile::tempdir().expect("a directory");
            let mut n_listings = 0;
            let found = find_while(dir.path(), || {
                n_listings += 1;
                if n_listings <= n_changes {
                    let name = dir.path().join(format!("{n_listings}-1-0-0.tsfile"));
                    fs::write(name, b"").expect("a file");
                    // Faster than the clock of the file system.
                    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(n_listings as u64);
                    fs::File::open(dir.path()).expect("it").set_modified(time).expect("a time");
                }
            });
            let found = found.expect("it can be listed");
            assert_eq!(n_listings, (n_changes + 1).min(LISTINGS_MAX));
            assert_eq!(found.is_restless, n_changes >= LISTINGS_MAX, "{n_changes} changes");
            if !found.is_restless {
                assert_eq!(found.files.len(), n_changes, "all that there is");
            }
        }
    }
}
