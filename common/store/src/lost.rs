//! Files that the catalog names and that cannot be read: gone, or damaged where nothing in them can be
//! found without it. No store stops because of one.
//!
//! Such a file is no layer any more, and the catalog says what was found in its place. A damaged one
//! is kept under a name with `.unread` behind it. What stands beside it stays, and so do the deletions
//! that concern it; nothing is merged across it. So when the file is there again, as it was, it is a
//! layer again, with the precedence that it had.

use std::sync::Arc;

use tidegate_durable::FileName;
use tidegate_durable::Storage;
use tidegate_tsfile::TimeRange;

use crate::Device;
use crate::StoreError;
use crate::catalog::Catalog;
use crate::catalog::Change;
use crate::catalog::FORGOTTEN_AT_ONCE_MAX;
use crate::file::Devices;
use crate::file::LayerFile;
use crate::file::devices_of;
use crate::layer::Layer;
use crate::leftovers::remove;
use crate::leftovers::remove_names;
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

/// A layer whose file cannot be read.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Lost {
    /// The layer as it was.
    pub layer: Layer,
    /// What was found in the place of its file.
    pub found: Box<str>,
}

impl Lost {
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
    /// Its devices, if they still stand beside it.
    pub(crate) devices: Option<Devices>,
}

impl LostFile {
    pub(crate) fn of<S: Storage>(lost: Lost, dir: &S) -> Self {
        let devices = LayerFile::devices_beside(&lost.layer, dir);
        Self { lost, devices }
    }

    /// What an answer says that needs it.
    pub(crate) fn error(&self) -> StoreError {
        let Lost { layer, found } = &self.lost;
        StoreError::Lost { file: layer.path(), found: found.to_string() }
    }

    /// Whether it may have rows of a device within some times.
    pub(crate) fn may_have(&self, device: &Device, times: TimeRange) -> bool {
        let own = self.lost.layer.range;
        let range = match &self.devices {
            Some(devices) => devices.extents.get(device).copied(),
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
        error => error.to_string(),
    };
    text.truncate(text.floor_char_boundary(FOUND_BYTES_MAX));
    text.into()
}

/// Opens the layers that the catalog names. Those that cannot be read are taken out of it.
pub(crate) fn load_layers<V: Volume>(
    volume: &V,
    catalog: &mut Catalog<V::Dir>,
) -> Result<Vec<LayerFile<V::Dir>>, StoreError> {
    let (mut layers, mut lost) = (Vec::new(), Vec::new());
    for layer in catalog.state().layers.values() {
        let dir = volume.dir(&layer.directory());
        let dir = dir.map_err(StoreError::io("open", layer.directory()))?;
        match LayerFile::load(layer.clone(), dir).and_then(|it| it.file().map(drop).map(|()| it)) {
            Ok(file) => layers.push(file),
            Err(error) if error.is_of_file() => lost.push((layer.id, account(&error))),
            Err(error) => return Err(error),
        }
    }
    lost.chunks(LOST_AT_ONCE_MAX).try_for_each(|some| catalog.lose(some))?;
    Ok(layers)
}

/// A layer and what was found in the place of its file.
pub(crate) type Unreadable = (u64, Box<str>);

impl<V: Volume> Store<V> {
    /// Layers whose files cannot be read.
    pub fn lost(&self) -> impl Iterator<Item = &Lost> {
        self.catalog.state().lost.values()
    }

    /// Gives up what is lost, but for files that are there again: answers go on without it, with older
    /// rows in its places. What was kept aside stays where it is. Returns the places of the files. So is
    /// the store that was here before, if it vanished.
    pub fn forget_lost(&mut self) -> Result<Vec<String>, StoreError> {
        self.find_lost()?;
        let mut paths: Vec<String> = self.lost().map(|lost| lost.layer.path()).collect();
        if !paths.is_empty() {
            // first: else one that is put back in between would be a leftover
            paths.chunks(FORGOTTEN_AT_ONCE_MAX).try_for_each(|some| self.catalog.forget(some))?;
            let removed = self.lost().map(|lost| lost.layer.id).collect();
            let position = self.position();
            self.catalog.change(&Change { position, removed, ..Change::default() })?;
            self.look_at_lost()?;
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
        let is_lost = |id: u64| lost.iter().any(|(own, _)| *own == id);
        self.layers.retain(|it| !is_lost(it.layer.id));
        self.look_at_lost()?;
        // keeps the damaged ones aside
        self.find_lost().map(drop)
    }

    /// Takes layers out whose files are gone or damaged since they were looked at last. Who reads them
    /// still holds them open.
    pub fn lose_missing(&mut self) -> Result<(), StoreError> {
        let mut lost = Vec::new();
        for layer in &self.layers {
            match layer.open_anew() {
                Err(error) if error.is_of_file() => lost.push((layer.layer.id, account(&error))),
                found => drop(found?),
            }
        }
        lost.chunks(LOST_AT_ONCE_MAX).try_for_each(|some| self.lose(some))
    }

    /// Looks at what still stands beside lost files.
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
                    others.push((layer.id, Box::from(OTHER_ROWS)));
                }
                Err(error) if error.is_of_content() => {
                    put_aside(layer, &dir);
                    others.push((layer.id, account(&error)));
                }
                // not there, or not to be read: there is another time
                Err(_) => (),
            }
        }
        let known = &self.catalog.state().lost;
        others.retain(|(id, account)| known.get(id).is_some_and(|lost| lost.found != *account));
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
        found.into_iter().for_each(|file| self.add_layer(file));
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
    let is_within = |it: &TimeRange, of: TimeRange| of.start <= it.start && it.end <= of.end;
    let is_own = found.extents.iter().all(|(device, range)| {
        let known = loaded.range_of(device);
        is_within(range, layer.range) && known.is_some_and(|known| is_within(range, known))
    });
    drop(file);
    Ok(is_own.then_some(loaded))
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
