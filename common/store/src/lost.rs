//! Files that the catalog names and that cannot be read: gone, or damaged where nothing in them can be
//! found without it; or whose own deletions are not there as they were, so that nobody can tell which of
//! their rows are deleted. No store stops because of one.
//!
//! Such a file is no layer any more, and the catalog says what was found in its place. A damaged one
//! is kept under a name with `.unread` behind it. What stands beside it stays, and so do the deletions
//! that concern it; nothing is merged across it. So when the file is there again, as it was, it is a
//! layer again, with the precedence that it had. The same holds for a list; the file beside it stays.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::Writer;
use tidegate_durable::FileName;
use tidegate_durable::Storage;
use tidegate_tsfile::RESOURCE_SUFFIX;
use tidegate_tsfile::TimeRange;

use crate::Device;
use crate::StoreError;
use crate::beside::aside_of;
use crate::build::finish_beside;
use crate::catalog::Catalog;
use crate::catalog::Change;
use crate::catalog::FORGOTTEN_AT_ONCE_MAX;
use crate::extents::Names;
use crate::file::Devices;
use crate::file::LayerFile;
use crate::file::devices_of;
use crate::file::read_if_there;
use crate::file::write_whole;
use crate::fingerprint::Fingerprint;
use crate::layer::Layer;
use crate::layer::TEXT_BYTES_MAX;
use crate::layer::code;
use crate::leftovers::remove;
use crate::leftovers::remove_names;
use crate::list::Entries;
use crate::list::List;
use crate::look::MISSING;
use crate::rebuild::UNREAD_SUFFIX;
use crate::store::Store;
use crate::tombstone::Tombstone;
use crate::volume::Volume;

/// What is said of a file in the place of a lost one that has other rows than that had.
const OTHER_ROWS: &str = "a file with rows of other devices or times";
/// What is added to the name of a file that is there again after it was given up.
pub(crate) const GIVEN_UP_SUFFIX: &str = ".given-up";
/// Longest account of what was found in the place of a file.
const FOUND_BYTES_MAX: usize = 1000;
/// Most layers that one record of the catalog takes out.
const LOST_AT_ONCE_MAX: usize = 1000;

/// What of a layer cannot be read.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums)] // what rows are made of
pub enum LostPart {
    /// Its TsFile.
    File,
    /// The deletions that came with it.
    List,
}

/// A layer whose file cannot be read, or whose deletions.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Lost {
    /// The layer as it was.
    pub layer: Layer,
    /// What of it cannot be read.
    pub part: LostPart,
    /// What was found in its place.
    pub found: Box<str>,
}

impl Lost {
    /// The place of what cannot be read, below the store's directory.
    pub fn path(&self) -> String {
        match self.part {
            LostPart::File => self.layer.path(),
            LostPart::List => self.layer.list_path(),
        }
    }

    /// Whether cells of it may be of these times.
    pub(crate) fn overlaps(&self, times: TimeRange) -> bool {
        self.layer.range.overlaps(times)
    }

    /// Whether a deletion may take cells of it, should it come back.
    pub(crate) fn feels(&self, deletion: &Tombstone) -> bool {
        self.layer.precedence < deletion.precedence && self.overlaps(deletion.times())
    }
}

/// What is known of a lost layer to those that read.
#[derive(Debug)]
pub(crate) struct LostFile {
    pub(crate) lost: Lost,
    /// Its devices, if they can still be told.
    pub(crate) devices: Option<Devices>,
}

impl LostFile {
    pub(crate) fn of<S: Storage>(lost: Lost, dir: &S) -> Self {
        let devices = LayerFile::devices_beside(&lost.layer, dir).or_else(|| match lost.part {
            LostPart::File => None,
            LostPart::List => LayerFile::devices_within(&lost.layer, dir).ok(),
        });
        Self { lost, devices }
    }

    /// What an answer says that needs it.
    pub(crate) fn error(&self) -> StoreError {
        let Lost { layer, part, found } = &self.lost;
        let found = found.to_string();
        match part {
            LostPart::File => StoreError::Lost { file: layer.path(), found },
            LostPart::List => {
                let expected = layer.mods.map(|(_, own)| own).unwrap_or_default();
                StoreError::List { list: layer.list_path(), expected, found }
            }
        }
    }

    /// Whether it may have rows of a device within some times.
    pub(crate) fn may_have(&self, device: &Device, times: TimeRange) -> bool {
        let own = self.lost.layer.range;
        let range = match &self.devices {
            Some(devices) => devices.extents.get(device),
            None => Some(own),
        };
        range.is_some_and(|range| range.overlaps(times))
    }
}

/// What was found, as far as it is kept.
pub(crate) fn account(error: &StoreError) -> Box<str> {
    let mut text = match error {
        error if error.is_vanished() => String::from(MISSING),
        StoreError::Read { source, .. } => source.to_string(),
        StoreError::Io { source, .. } => source.to_string(),
        StoreError::List { found, .. } => found.clone(),
        error => error.to_string(),
    };
    text.truncate(text.floor_char_boundary(FOUND_BYTES_MAX));
    text.into()
}

/// Opens the layers that the catalog names. Those that cannot be read are taken out of it.
///
/// # Arguments
///
/// - `remade`: takes the places of what was made anew beside them
pub(crate) fn load_layers<V: Volume>(
    volume: &V,
    catalog: &mut Catalog<V::Dir>,
    names: &mut Names,
    remade: &mut Vec<String>,
) -> Result<Vec<LayerFile<V::Dir>>, StoreError> {
    let (mut layers, mut lost) = (Vec::new(), Vec::new());
    // opening one anew waits for the disk
    let mut dirs: HashMap<String, V::Dir> = HashMap::new();
    for layer in catalog.state().layers.values() {
        let directory = layer.directory();
        let dir = match dirs.get(&directory) {
            Some(dir) => dir.clone(),
            None => {
                let dir = volume.dir(&directory).map_err(StoreError::io("open", &directory))?;
                dirs.entry(directory).or_insert(dir).clone()
            }
        };
        match LayerFile::load(layer.clone(), dir).and_then(|it| it.file().map(drop).map(|()| it)) {
            Ok(mut file) => {
                names.share(&mut file.devices.extents);
                layers.push(file);
            }
            Err(error) if error.is_of_file() => lost.push(Unreadable::of(layer.id, &error)),
            Err(error) => return Err(error),
        }
    }
    lost.chunks(LOST_AT_ONCE_MAX).try_for_each(|some| catalog.lose(some))?;
    for layer in &mut layers {
        remade.extend(mend_resource(catalog, layer)?);
    }
    Ok(layers)
}

/// A layer that cannot be read, and what was found.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    pub(crate) id: u64,
    pub(crate) part: LostPart,
    pub(crate) found: Box<str>,
}

impl Unreadable {
    pub(crate) fn of(id: u64, error: &StoreError) -> Self {
        let part = match error {
            StoreError::List { .. } => LostPart::List,
            _ => LostPart::File,
        };
        Self { id, part, found: account(error) }
    }

    pub(crate) fn encode(&self, writer: &mut Writer<'_>) {
        writer.i64(self.id.cast_signed());
        writer.u8(match self.part {
            LostPart::File => 0,
            LostPart::List => 1,
        });
        writer.str(&self.found);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            id: reader.i64("number of a layer")?.cast_unsigned(),
            part: code(reader, "what of a layer is lost, 0 or 1", |code| match code {
                0 => Some(LostPart::File),
                1 => Some(LostPart::List),
                _ => None,
            })?,
            found: reader.str("what was found", TEXT_BYTES_MAX)?.into(),
        })
    }
}

impl<V: Volume> Store<V> {
    /// Layers whose files cannot be read.
    pub fn lost(&self) -> impl Iterator<Item = &Lost> {
        self.catalog.state().lost.values()
    }

    /// Gives up what is lost, but for files that are there again: answers go on without it, with older
    /// rows in its places. Of a list what can be read counts then, and the rows of its file are there
    /// again. What was kept aside stays where it is. So is the store that was here before, if it vanished.
    /// Returns the places of what was given up.
    pub fn forget_lost(&mut self) -> Result<Vec<String>, StoreError> {
        self.find_lost()?;
        let (mut paths, mut removed, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        let mut files = Vec::new();
        let mut id = self.catalog.state().next_id;
        for lost in self.catalog.state().lost.values() {
            match lost.part {
                LostPart::File => files.push(lost.path()),
                LostPart::List => {
                    let layer = &lost.layer;
                    let dir = self.volume.dir(&layer.directory());
                    let dir = dir.map_err(StoreError::io("open", layer.directory()))?;
                    match LayerFile::load(without_lost_entries(layer, id, &dir)?, dir) {
                        // lost meanwhile
                        Err(error) if error.is_of_file() => continue,
                        file => kept.push(file?),
                    }
                    id = id.saturating_add(1);
                }
            }
            paths.push(lost.path());
            removed.push(lost.layer.id);
        }
        if !paths.is_empty() {
            // first: else one that is put back in between would be a leftover
            files.chunks(FORGOTTEN_AT_ONCE_MAX).try_for_each(|some| self.catalog.forget(some))?;
            let added = kept.iter().map(|file| file.layer.clone()).collect();
            let position = self.position();
            self.catalog.change(&Change { position, added, removed, ..Change::default() })?;
            self.look_at_lost()?;
            kept.into_iter().for_each(|file| self.add_layer(file));
            self.look_for_lacking_mods();
        }
        paths.extend(self.forget_gone()?);
        Ok(paths)
    }

    /// Takes layers out whose files cannot be read.
    pub(crate) fn lose(&mut self, lost: &[Unreadable]) -> Result<(), StoreError> {
        if lost.is_empty() {
            return Ok(());
        }
        self.catalog.lose(lost)?;
        let is_lost = |id: u64| lost.iter().any(|it| it.id == id);
        self.layers.retain(|it| !is_lost(it.layer.id));
        self.look_at_lost()?;
        // keeps the damaged ones aside
        self.find_lost().map(drop)
    }

    /// Takes layers out whose files are gone or damaged since they were looked at last, or whose own
    /// deletions are. Who reads them still holds them open.
    pub fn lose_missing(&mut self) -> Result<(), StoreError> {
        let mut lost = Vec::new();
        for layer in &self.layers {
            let looked = layer.open_anew().and_then(|_| match layer.layer.has_own_deletions() {
                true => List::read(&layer.layer, &layer.dir).map(drop),
                false => Ok(()),
            });
            match looked {
                Err(error) if error.is_of_file() => {
                    lost.push(Unreadable::of(layer.layer.id, &error));
                }
                looked => looked?,
            }
        }
        lost.chunks(LOST_AT_ONCE_MAX).try_for_each(|some| self.lose(some))
    }

    /// Looks which devices what is lost has.
    pub(crate) fn look_at_lost(&mut self) -> Result<(), StoreError> {
        let mut lost = Vec::new();
        for it in self.lost() {
            let dir = self.volume.dir(&it.layer.directory());
            let dir = dir.map_err(StoreError::io("open", it.layer.directory()))?;
            lost.push(LostFile::of(it.clone(), &dir));
        }
        self.lost = Arc::new(lost);
        Ok(())
    }

    /// Looks whether lost files are there again, as they were; those that are count as before. Returns
    /// their places.
    pub fn find_lost(&mut self) -> Result<Vec<String>, StoreError> {
        let (mut found, mut others) = (Vec::new(), Vec::new());
        for lost in self.catalog.state().lost.values() {
            let layer = &lost.layer;
            let dir = self.volume.dir(&layer.directory());
            let dir = dir.map_err(StoreError::io("open", layer.directory()))?;
            match open_again(layer, &dir) {
                Ok(Some(file)) => found.push(file),
                Ok(None) => {
                    put_aside(layer, &dir);
                    let (part, found) = (LostPart::File, OTHER_ROWS.into());
                    others.push(Unreadable { id: layer.id, part, found });
                }
                Err(error) => {
                    if error.is_of_content() {
                        put_aside(layer, &dir);
                    }
                    // what is not there, or not to be read, is as before: there is another time
                    let now = Unreadable::of(layer.id, &error);
                    let is_other = now.part == LostPart::List || now.part != lost.part;
                    if error.is_of_content() || error.is_of_file() && is_other {
                        others.push(now);
                    }
                }
            }
        }
        let known = &self.catalog.state().lost;
        others.retain(|now| {
            known
                .get(&now.id)
                .is_some_and(|lost| (lost.part, &lost.found) != (now.part, &now.found))
        });
        if !others.is_empty() {
            others.chunks(LOST_AT_ONCE_MAX).try_for_each(|some| self.catalog.lose(some))?;
            self.look_at_lost()?;
        }
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<u64> = found.iter().map(|file| file.layer.id).collect();
        let paths = found.iter().map(|file| file.layer.path()).collect();
        self.catalog.find(&ids)?;
        self.look_at_lost()?;
        for mut file in found {
            self.remade.extend(mend_resource(&mut self.catalog, &mut file)?);
            self.add_layer(file);
        }
        self.look_for_lacking_mods();
        Ok(paths)
    }
}

/// Removes what is left of a lost layer; nobody reads it.
pub(crate) fn remove_lost<S: Storage>(dir: &S, layer: &Layer) -> Result<(), StoreError> {
    let aside = remove(dir, &layer.file_name(UNREAD_SUFFIX));
    aside.map_err(StoreError::io("remove", layer.path()))?;
    remove_names(dir, layer).map(drop)
}

/// The file of a lost layer; `None` if it has rows that are not those of the layer.
fn open_again<S: Storage>(layer: &Layer, dir: &S) -> Result<Option<LayerFile<S>>, StoreError> {
    let loaded = LayerFile::load(layer.clone(), dir.clone())?;
    let file = loaded.file()?;
    let found = devices_of(&file, layer.database.as_deref());
    let found = found.map_err(|source| loaded.unread(source))?;
    let is_within = |it: TimeRange, of: TimeRange| of.start <= it.start && it.end <= of.end;
    let is_own = found.extents.iter().all(|(device, range)| {
        let known = loaded.range_of(device);
        is_within(range, layer.range) && known.is_some_and(|known| is_within(range, known))
    });
    drop(file);
    Ok(is_own.then_some(loaded))
}

/// A layer under another number, with what can be read of its list; what stands behind that is kept
/// under another name, since something else will be written there.
fn without_lost_entries<S: Storage>(layer: &Layer, id: u64, dir: &S) -> Result<Layer, StoreError> {
    let Some((kind, _)) = layer.mods else { return Ok(Layer { id, ..layer.clone() }) };
    let name = layer.file_name(kind.suffix());
    let bytes = match read_if_there(dir, &name) {
        Err(error) if error.is_of_file() => Vec::new(),
        bytes => bytes?.unwrap_or_default(),
    };
    let own = bytes.get(..Entries::of(kind, &bytes, 0).whole_bytes).unwrap_or_default();
    if own.len() < bytes.len() {
        write_whole(dir, &aside_of(layer, kind), &bytes)?;
        dir.sync_dir().map_err(StoreError::io("sync", layer.directory()))?;
    }
    Ok(Layer { id, mods: Some((kind, Fingerprint::of(own))), ..layer.clone() })
}

/// Writes a `.resource` anew that is not as it was, from the devices of the file, which is. Returns its
/// place if it was written.
fn mend_resource<S: Storage>(
    catalog: &mut Catalog<S>,
    file: &mut LayerFile<S>,
) -> Result<Option<String>, StoreError> {
    if file.has_resource {
        return Ok(None);
    }
    let version = file.file()?.version();
    let mut layer = file.layer.clone();
    match finish_beside(&file.dir, &mut layer, version, &file.devices) {
        // the devices are known all the same, and there is another start
        Err(error) if error.is_full() || error.is_of_place() => return Ok(None),
        outcome => outcome?,
    }
    if layer.resource != file.layer.resource {
        layer.id = catalog.state().next_id;
        let position = catalog.state().position;
        let (added, removed) = (vec![layer.clone()], vec![file.layer.id]);
        catalog.change(&Change { position, added, removed, ..Change::default() })?;
        file.layer = layer;
    }
    file.has_resource = true;
    Ok(Some(file.layer.path() + RESOURCE_SUFFIX))
}

/// Keeps a damaged file under another name. What cannot be done now the next start does.
fn put_aside<S: Storage>(layer: &Layer, dir: &S) {
    let aside = layer.file_name(UNREAD_SUFFIX);
    let is_free = dir.list().is_ok_and(|listed| !listed.contains(&aside));
    if is_free && dir.rename(&layer.file_name(""), &aside).is_ok() {
        let _ = dir.sync_dir();
    }
}

/// Whether a name is that of a file which was kept aside, or of what stood beside it.
pub(crate) fn is_kept(name: &FileName, listed: &[FileName]) -> bool {
    let asides = listed.iter().filter_map(|name| {
        let name = name.as_str();
        name.strip_suffix(UNREAD_SUFFIX).or_else(|| name.strip_suffix(GIVEN_UP_SUFFIX))
    });
    let mut asides = asides.filter_map(|own| name.as_str().strip_prefix(own));
    asides.any(|end| !end.is_empty())
}
