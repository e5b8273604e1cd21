//! A catalog that is damaged or gone is made anew: of what can still be read of it, and of the files,
//! whose names carry the precedence and whose index says what is in them.
//!
//! What the catalog alone knew and what cannot be read is lost: deletions that arrived by themselves
//! and stand beside no file, and the names of some databases. Nothing is made up for it. What stands
//! beside a file is taken as it is: from then on it is known what it was. Files that
//! the rest of the catalog does not speak of are taken in, so a file whose removal was said in the
//! lost part comes back; it counts no more than before, so newer cells hide its own.

use core::fmt;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use tidegate_durable::FileName;
use tidegate_durable::Storage;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::TimeRange;
use tidegate_tsfile::TsFile;

use crate::Device;
use crate::StoreError;
use crate::catalog::CATALOG;
use crate::catalog::Catalog;
use crate::catalog::Found;
use crate::catalog::State;
use crate::catalog::TableName;
use crate::device::is_of_root;
use crate::file::LayerFile;
use crate::file::devices_of;
use crate::file::read_if_there;
use crate::file::read_whole;
use crate::file::resource_bytes;
use crate::file::write_whole;
use crate::fingerprint::Fingerprint;
use crate::layer::Layer;
use crate::layer::LayerKind;
use crate::list::Entries;
use crate::list::is_copy;
use crate::list::own_part;
use crate::store::folder_of;
use crate::tags::Tags;
use crate::tags::tags_within;
use crate::tombstone::precedences;
use crate::volume::DATA;
use crate::volume::StoredFile;
use crate::volume::Volume;

/// What is added to the name of a TsFile that cannot be read: it stays where it is, and nobody reads
/// or removes it.
pub(crate) const UNREAD_SUFFIX: &str = ".unread";
/// Most damaged catalogs that are kept; the last one is replaced then.
const KEPT_MAX: usize = 100;

/// What became of a catalog that was damaged or gone.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Rebuilt {
    /// What was wrong with it.
    pub cause: String,
    /// The name of what was there, beside the new one; `None` if nothing was.
    pub kept_as: Option<String>,
    /// Layers that what was left of it spoke of, and that are there.
    pub n_known: usize,
    /// Layers of files of which nothing was left in it.
    pub n_found: usize,
    /// Files that it spoke of and that are not there.
    pub missing: Vec<String>,
    /// Files that cannot be read; they are kept under a name with `.unread` behind it.
    pub unread: Vec<String>,
    /// Folders of tables whose database has a name that cannot be told from theirs.
    pub unnamed: BTreeSet<String>,
}

impl fmt::Display for Rebuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cause, kept_as, n_known, n_found, missing, unread, unnamed } = self;
        let kept_as = kept_as.as_deref().unwrap_or("nothing");
        write!(
            f,
            "{cause}; the catalog was made anew of {n_known} files that what was left of it names \
             and {n_found} that it does not; deletions in the lost part that stand beside no file \
             are lost, and files that it named and that are not there are not missed; what was there \
             is kept as {kept_as}"
        )?;
        let lists = [("missing", missing), ("not readable and kept aside", unread)];
        for (what, files) in lists.into_iter().filter(|(_, files)| !files.is_empty()) {
            write!(f, "; {what}: {}", files.join(", "))?;
        }
        if !unnamed.is_empty() {
            let all: Vec<&str> = unnamed.iter().map(String::as_str).collect();
            write!(f, "; databases called by their folders: {}", all.join(", "))?;
        }
        Ok(())
    }
}

/// Makes the catalog anew if it is damaged or gone. What became of it, or how many files were taken
/// in that a torn one does not name.
pub(crate) fn mend_catalog<V: Volume>(
    volume: &V,
    root: &V::Dir,
    salt: u32,
) -> Result<(Option<Rebuilt>, usize), StoreError> {
    let nothing = Ok((None, 0));
    let (cause, mut state, is_torn) = match Catalog::look(root)? {
        Found::Sound => return nothing,
        Found::Torn(state) => (String::from("catalog: its last record is torn"), state, true),
        // before anything is taken in a record is written
        Found::Empty if !has_files(volume)? => return nothing,
        Found::Empty => {
            let cause = String::from("catalog: expected its records, found none");
            (cause, Box::default(), false)
        }
        Found::Damaged(cause, state) => (format!("catalog: {cause}"), state, false),
    };
    let mut rebuilt = Rebuilt { cause, ..Rebuilt::default() };
    let mut is_more = complete(volume, &mut state, &mut rebuilt)?;
    // What an interrupted run has written whole is what it was about to say, and comes again at
    // worst, so it does no harm; and should it have been said, it is the only one there is. But no
    // interruption takes away a file that the rest speaks of.
    if is_torn && rebuilt.missing.is_empty() {
        is_more |= rebuilt.n_found > 0;
        if is_more {
            Catalog::replace(root, salt, &state)?;
        }
        return Ok((None, rebuilt.n_found));
    }
    // numbers to come count behind everything that is there
    (state.spool, state.position) = (None, 0);
    state.done.clear();
    rebuilt.kept_as = keep_aside(root)?;
    // it is told to people once it is durable: it must not be durable without that
    state.tell_rebuilt(&rebuilt.to_string());
    Catalog::replace(root, salt, &state)?;
    Ok((Some(rebuilt), 0))
}

/// Keeps a copy of the catalog as it is; `None` if there is none.
fn keep_aside<S: Storage>(root: &S) -> Result<Option<String>, StoreError> {
    let name = named(CATALOG.to_owned())?;
    let listed = root.list().map_err(StoreError::io("list", "the store"))?;
    if !listed.contains(&name) {
        return Ok(None);
    }
    let bytes = read_whole(root, &name)?;
    let mut number = 1;
    let mut kept = named(format!("{CATALOG}.damaged-{number}"))?;
    while listed.contains(&kept) && number < KEPT_MAX {
        number = number.saturating_add(1);
        kept = named(format!("{CATALOG}.damaged-{number}"))?;
    }
    write_whole(root, &kept, &bytes)?;
    root.sync_dir().map_err(StoreError::io("sync", "the store"))?;
    Ok(Some(kept.to_string()))
}

/// Whether there is a TsFile in the store.
fn has_files<V: Volume>(volume: &V) -> Result<bool, StoreError> {
    for path in volume.data_dirs().map_err(StoreError::io("list", "the data"))? {
        let dir = volume.dir(&path).map_err(StoreError::io("open", &path))?;
        let names = dir.list().map_err(StoreError::io("list", &path))?;
        if names.iter().any(|name| name.as_str().ends_with(".tsfile")) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes what is left of a catalog whole by the files. Whether lists of files that it names say more than
/// it does.
fn complete<V: Volume>(
    volume: &V,
    state: &mut State,
    rebuilt: &mut Rebuilt,
) -> Result<bool, StoreError> {
    let mut there = BTreeSet::new();
    let mut found = Vec::new();
    for path in volume.data_dirs().map_err(StoreError::io("list", "the data"))? {
        let dir = volume.dir(&path).map_err(StoreError::io("open", &path))?;
        for name in dir.list().map_err(StoreError::io("list", &path))? {
            let full = format!("{path}/{name}");
            if let Some(layer) = layer_of(&path, name.as_str()) {
                there.insert(full.clone());
                if !state.speaks_of(&full) {
                    found.push((layer, dir.clone(), name));
                }
            }
        }
    }
    // not lost: the lost part may have said that it was merged away
    state.layers.retain(|_, layer| {
        let is_there = there.contains(&layer.path());
        if !is_there {
            rebuilt.missing.push(layer.path());
        }
        is_there
    });
    rebuilt.n_known = state.layers.len();
    let mut is_more = adopt_lists(volume, state)?;
    is_more |= learn_tags(volume, state, rebuilt)?;
    found.sort_by_key(|(layer, ..)| layer.rank());
    for (layer, dir, name) in found {
        take_in(state, rebuilt, layer, (&dir, &name))?;
    }
    Ok(is_more)
}

/// Takes the names of tags that the catalog does not have any more from the files that it names: whoever
/// named tags next would name those of these files. Whether there are such.
fn learn_tags<V: Volume>(
    volume: &V,
    state: &mut State,
    rebuilt: &mut Rebuilt,
) -> Result<bool, StoreError> {
    let mut is_more = false;
    let of_tables = state.layers.values().filter(|layer| layer.database.is_some());
    for layer in of_tables.cloned().collect::<Vec<_>>() {
        let dir = volume.dir(&layer.directory());
        let dir = dir.map_err(StoreError::io("open", layer.directory()))?;
        let alone = LayerFile::alone(&layer, &dir);
        let read = alone.open_anew().and_then(|file| {
            let devices = devices_of(&file, layer.database.as_deref());
            let devices = devices.map_err(|source| alone.unread(source))?;
            Ok(tags_within(file.tables(), &devices))
        });
        let found = match read {
            // whoever opens the layer says so
            Err(error) if error.is_of_file() => continue,
            found => found?,
        };
        let before = state.tables.clone();
        if learn(state, found) {
            is_more |= state.tables != before;
        } else {
            state.layers.remove(&layer.id);
            put_aside(rebuilt, &layer, (&dir, &layer.file_name("")))?;
            is_more = true;
        }
    }
    Ok(is_more)
}

/// Takes in the names of the tags of a file; `false`, and nothing is changed, where they are others.
fn learn(state: &mut State, found: BTreeMap<TableName, Vec<Box<str>>>) -> bool {
    let mut all = Vec::new();
    for (table, found) in found {
        let mut tags = Tags::known(state, &table);
        if !tags.extend(&found) {
            return false;
        }
        all.push((table, tags.names));
    }
    state.tables.extend(all);
    true
}

/// Copies of deletions that the catalog does not have any more are all that is left of them: a list that
/// has such counts as if it had come with its file. Whether there is one.
fn adopt_lists<V: Volume>(volume: &V, state: &mut State) -> Result<bool, StoreError> {
    let State { layers, deletions, .. } = state;
    let (known, mut is_more) = (precedences(deletions), false);
    for layer in layers.values_mut() {
        let dir = volume.dir(&layer.directory());
        let dir = dir.map_err(StoreError::io("open", layer.directory()))?;
        let kinds = match layer.mods {
            Some((kind, _)) => vec![kind],
            None => vec![ModsKind::Binary, ModsKind::Text],
        };
        for kind in kinds {
            let bytes = match read_if_there(&dir, &layer.file_name(kind.suffix())) {
                // whoever opens the layer says so if it is missed
                Err(error) if error.is_of_file() => continue,
                bytes => bytes?.unwrap_or_default(),
            };
            let Ok(own) = own_part(layer, Some(&bytes)) else { continue };
            let behind = bytes.get(own.len()..).unwrap_or_default();
            let copies = Entries::of(kind, behind, own.len());
            if copies.ending.is_some() || !copies.whole.iter().all(|it| is_copy(it, layer, &known))
            {
                layer.mods = Some((kind, Fingerprint::of(&bytes)));
                is_more = true;
                break;
            }
        }
    }
    Ok(is_more)
}

/// Takes in a file of which nothing is known but its place.
fn take_in<S: Storage>(
    state: &mut State,
    rebuilt: &mut Rebuilt,
    mut layer: Layer,
    (dir, name): (&S, &FileName),
) -> Result<(), StoreError> {
    let stored = dir.open_to_read(name).and_then(StoredFile::new);
    let stored = stored.map_err(StoreError::io("open", layer.path()));
    let database = database_of(state, &layer.folder);
    let read = stored.and_then(|stored| {
        let read = TsFile::open(stored).and_then(|file| {
            let own = database.as_ref().map_or(&*layer.folder, |it| it);
            let devices = devices_of(&file, Some(own))?;
            let resource = resource_bytes(file.version(), &devices);
            Ok((file.source().length(), file.tables().to_vec(), devices, resource))
        });
        read.map_err(|source| StoreError::Read { file: layer.path(), source })
    });
    let (length_bytes, tables, devices, resource) = match read {
        Ok(read) => read,
        Err(error) if !error.is_of_file() => return Err(error),
        Err(_) => return put_aside(rebuilt, &layer, (dir, name)),
    };
    let Some(range) = devices.extents.range() else {
        return Ok(());
    };
    layer.database = devices.database().map(Box::from);
    if layer.database.is_some() && database.is_none() {
        rebuilt.unnamed.insert(layer.folder.to_string());
    }
    if !learn(state, tags_within(&tables, &devices)) {
        return put_aside(rebuilt, &layer, (dir, name));
    }
    (layer.range, layer.length_bytes) = (range, length_bytes);
    for kind in [ModsKind::Text, ModsKind::Binary] {
        let own = list_of(dir, &layer, kind, rebuilt)?;
        layer.mods = own.map(|own| (kind, own)).or(layer.mods);
    }
    // one that is another is made anew when the layer is opened
    layer.resource = Fingerprint::of(&resource?);
    layer.id = state.next_id;
    state.next_id = state.next_id.saturating_add(1);
    state.precedence = state.precedence.max(layer.precedence);
    state.layers.insert(layer.id, layer);
    rebuilt.n_found = rebuilt.n_found.saturating_add(1);
    Ok(())
}

/// Keeps a file that cannot be read where it counts for nothing.
fn put_aside<S: Storage>(
    rebuilt: &mut Rebuilt,
    layer: &Layer,
    (dir, name): (&S, &FileName),
) -> Result<(), StoreError> {
    let aside = named(format!("{name}{UNREAD_SUFFIX}"))?;
    dir.rename(name, &aside).map_err(StoreError::io("rename", layer.path()))?;
    dir.sync_dir().map_err(StoreError::io("sync", layer.directory()))?;
    rebuilt.unread.push(layer.path());
    Ok(())
}

/// What the list beside a file is; `None` if it is not there, or cannot be read and is kept aside.
fn list_of<S: Storage>(
    dir: &S,
    layer: &Layer,
    kind: ModsKind,
    rebuilt: &mut Rebuilt,
) -> Result<Option<Fingerprint>, StoreError> {
    let name = layer.file_name(kind.suffix());
    match read_if_there(dir, &name) {
        Err(error) if error.is_of_file() => {
            let aside = named(format!("{name}{UNREAD_SUFFIX}"))?;
            dir.rename(&name, &aside).map_err(StoreError::io("rename", layer.path()))?;
            dir.sync_dir().map_err(StoreError::io("sync", layer.directory()))?;
            rebuilt.unread.push(layer.path() + kind.suffix());
            Ok(None)
        }
        bytes => Ok(bytes?.map(|bytes| Fingerprint::of(&bytes))),
    }
}

/// The database whose tables lie in a folder, if its name is known or can be told.
fn database_of(state: &State, folder: &str) -> Option<Box<str>> {
    let lies_there = |database: &str| folder_of(&Device::table(database, Vec::new())) == *folder;
    let in_layers = state.layers.values().filter_map(|layer| layer.database.as_deref());
    let in_tables = state.tables.keys().map(|(database, _)| &**database);
    let known = in_layers.chain(in_tables).find(|database| lies_there(database));
    let own = Some(folder).filter(|it| lies_there(it) && !is_of_root(it) && !is_escaped(it));
    known.or(own).map(Box::from)
}

/// Whether a folder may stand for a name that no folder can have.
fn is_escaped(folder: &str) -> bool {
    let digest = folder.rsplit_once('-').map_or("", |(_, digest)| digest);
    folder.starts_with('x') && digest.len() == 16 && digest.bytes().all(|it| it.is_ascii_hexdigit())
}

/// What the place of a file says of its layer; `None` if it is not a place of a layer.
fn layer_of(path: &str, name: &str) -> Option<Layer> {
    let mut parts = path.strip_prefix(DATA)?.strip_prefix('/')?.split('/');
    let (folder, region, partition) = (parts.next()?, parts.next()?, parts.next()?);
    let mut numbers = name.strip_suffix(".tsfile")?.split('-');
    let mut number = || numbers.next()?.parse::<u64>().ok();
    let (arrival_ms, precedence, merges, _) = (number()?, number()?, number()?, number()?);
    let merges = u32::try_from(merges).ok()?;
    let layer = Layer {
        id: 0,
        precedence,
        lowest: precedence,
        kind: if merges == 0 { LayerKind::Received } else { LayerKind::Merged },
        database: None,
        folder: folder.into(),
        region: region.parse().ok()?,
        partition: partition.parse().ok()?,
        arrival_ms: i64::try_from(arrival_ms).ok()?,
        merges,
        range: TimeRange::ALL,
        length_bytes: 0,
        mods: None,
        resource: Fingerprint::default(),
    };
    (layer.path() == format!("{path}/{name}")).then_some(layer)
}

fn named(name: String) -> Result<FileName, StoreError> {
    let shown = name.clone();
    FileName::new(name).map_err(|error| StoreError::io("name", shown)(std::io::Error::other(error)))
}
