//! A layer that can be read: its file, opened when it is needed, and which devices are in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;

use tidegate_durable::FileName;
use tidegate_durable::Storage;
use tidegate_durable::StorageFile;
use tidegate_tsfile::DeviceExtent;
use tidegate_tsfile::ModEntry;
use tidegate_tsfile::RESOURCE_SUFFIX;
use tidegate_tsfile::ReadError;
use tidegate_tsfile::Resource;
use tidegate_tsfile::TimeIndex;
use tidegate_tsfile::TimeRange;
use tidegate_tsfile::TsFile;
use tidegate_tsfile::TsFileVersion;

use crate::Device;
use crate::StoreError;
use crate::layer::Layer;
use crate::volume::StoredFile;

/// A TsFile of a store.
pub(crate) type LayerTsFile<S> = TsFile<StoredFile<<S as Storage>::File>>;

/// First and last time of each device.
pub(crate) type Extents = BTreeMap<Device, TimeRange>;

/// A layer that can be read.
#[derive(Debug)]
pub(crate) struct LayerFile<S: Storage> {
    pub(crate) layer: Layer,
    pub(crate) dir: S,
    pub(crate) extents: Extents,
    /// Deletions that came with the file.
    pub(crate) entries: Vec<ModEntry>,
    /// Open as long as somebody reads.
    open: Mutex<Weak<LayerTsFile<S>>>,
}

impl<S: Storage> LayerFile<S> {
    pub(crate) fn new(layer: Layer, dir: S, extents: Extents, entries: Vec<ModEntry>) -> Self {
        Self { layer, dir, extents, entries, open: Mutex::default() }
    }

    /// Opens what the catalog speaks of.
    pub(crate) fn load(layer: Layer, dir: S) -> Result<Self, StoreError> {
        let mut loaded = Self::new(layer, dir, Extents::new(), Vec::new());
        if let Some(kind) = loaded.layer.mods {
            let bytes = read_whole(&loaded.dir, &loaded.layer.file_name(kind.suffix()))?;
            loaded.entries = kind.entries(&bytes, 0).collect();
        }
        let resource = read_whole(&loaded.dir, &loaded.layer.file_name(RESOURCE_SUFFIX));
        loaded.extents = match resource.ok().and_then(|bytes| Resource::parse(&bytes).ok()) {
            Some(resource) => {
                let database = loaded.layer.database.as_deref();
                let extents = resource.devices.iter();
                extents.map(|it| (Device::of_file(&it.device, database), it.range)).collect()
            }
            // the file itself says it, too
            None => {
                let file = loaded.file()?;
                let found = extents_of(&file, loaded.layer.database.as_deref());
                found.map_err(|source| loaded.unread(source))?
            }
        };
        Ok(loaded)
    }

    /// The file, open.
    pub(crate) fn file(&self) -> Result<Arc<LayerTsFile<S>>, StoreError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.upgrade() {
            return Ok(file);
        }
        let name = self.layer.file_name("");
        let stored = self.dir.open_to_read(&name).and_then(StoredFile::new);
        let stored = stored.map_err(StoreError::io("open", self.layer.path()))?;
        let file = Arc::new(TsFile::open(stored).map_err(|source| self.unread(source))?);
        *open = Arc::downgrade(&file);
        Ok(file)
    }

    pub(crate) fn unread(&self, source: ReadError) -> StoreError {
        StoreError::Read { file: self.layer.path(), source }
    }

    /// First and last time of a device, if it is in the file.
    pub(crate) fn range_of(&self, device: &Device) -> Option<TimeRange> {
        self.extents.get(device).copied()
    }

    /// Whether each of its devices is found by our name of it: what is not is in no merged file.
    pub(crate) fn finds_its_devices(&self) -> Result<bool, StoreError> {
        let file = self.file()?;
        for device in self.extents.keys() {
            let found = file.find_device(&device.id(file.version()));
            if found.map_err(|source| self.unread(source))?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether both may have a cell of one series at one time.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        if self.layer.database != other.layer.database
            || !self.layer.range.overlaps(other.layer.range)
        {
            return false;
        }
        let (few, many) = match self.extents.len() <= other.extents.len() {
            true => (self, other),
            false => (other, self),
        };
        let mut few = few.extents.iter();
        few.any(|(device, range)| many.range_of(device).is_some_and(|it| it.overlaps(*range)))
    }

    /// The names of what lies in its directory.
    pub(crate) fn names(&self) -> Vec<FileName> {
        names_of(&self.layer)
    }
}

/// The names of what lies in the directory of a layer; its TsFile last.
pub(crate) fn names_of(layer: &Layer) -> Vec<FileName> {
    let mods = layer.mods.map(|kind| layer.file_name(kind.suffix()));
    let resource = layer.file_name(RESOURCE_SUFFIX);
    mods.into_iter().chain([resource, layer.file_name("")]).collect()
}

/// Each device of a file with its first and last time; reads the index and no data.
pub(crate) fn extents_of<R: tidegate_tsfile::ReadAt>(
    file: &TsFile<R>,
    database: Option<&str>,
) -> Result<Extents, ReadError> {
    let mut extents = Extents::new();
    for device in file.devices() {
        let device = device?;
        let mut range: Option<TimeRange> = None;
        for series in file.series(&device)? {
            let found = series?.statistics;
            if found.count > 0 {
                let found = TimeRange { start: found.start_time, end: found.end_time };
                range = Some(range.map_or(found, |range| range.union(found)));
            }
        }
        if let Some(range) = range {
            let extent = extents.entry(Device::of_file(device.id(), database)).or_insert(range);
            *extent = extent.union(range);
        }
    }
    Ok(extents)
}

/// What stands beside a file of these extents. No progress index: nothing here has numbers of a
/// consensus.
pub(crate) fn resource_bytes(
    version: TsFileVersion,
    extents: &Extents,
) -> Result<Vec<u8>, StoreError> {
    let time_index = match version {
        TsFileVersion::V3 => TimeIndex::Paths,
        _ => TimeIndex::Segments,
    };
    let extents = extents.iter();
    let devices =
        extents.map(|(device, range)| DeviceExtent { device: device.id(version), range: *range });
    let bytes = Resource::new(time_index, devices.collect()).encode();
    let too_long = |error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error);
    bytes.map_err(|error| StoreError::io("write", "a .resource")(too_long(error)))
}

/// All bytes of a small file.
pub(crate) fn read_whole<S: Storage>(dir: &S, name: &FileName) -> Result<Vec<u8>, StoreError> {
    let read = || {
        let file = dir.open_to_read(name)?;
        let mut bytes = vec![0; usize::try_from(file.len_bytes()?).unwrap_or(usize::MAX)];
        let n_read = file.read_full(&mut bytes, 0)?;
        bytes.truncate(n_read);
        Ok(bytes)
    };
    read().map_err(StoreError::io("read", name))
}

/// Writes a small file beside its name and moves it there; its bytes are synced, its entry is not.
pub(crate) fn write_whole<S: Storage>(
    dir: &S,
    name: &FileName,
    bytes: &[u8],
) -> Result<(), StoreError> {
    let write = || {
        let beside = FileName::new(format!("{name}.temp")).map_err(std::io::Error::other)?;
        let mut file = create_anew(dir, &beside)?;
        file.write_at(bytes, 0)?;
        file.sync()?;
        dir.rename(&beside, name)
    };
    write().map_err(StoreError::io("write", name))
}

/// Creates a file in the place of what may be there.
pub(crate) fn create_anew<S: Storage>(dir: &S, name: &FileName) -> std::io::Result<S::File> {
    match dir.remove(name) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => dir.create(name),
    }
}
