//! A layer that can be read: its file, opened when it is needed, and which devices are in it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;

use tidegate_durable::FileName;
use tidegate_durable::Storage;
use tidegate_durable::StorageFile;
use tidegate_tsfile::Device as FileDevice;
use tidegate_tsfile::DeviceExtent;
use tidegate_tsfile::DeviceId;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::RESOURCE_SUFFIX;
use tidegate_tsfile::ReadError;
use tidegate_tsfile::Resource;
use tidegate_tsfile::TimeIndex;
use tidegate_tsfile::TimeRange;
use tidegate_tsfile::TsFile;
use tidegate_tsfile::TsFileVersion;

use crate::Device;
use crate::StoreError;
use crate::extents::Extents;
use crate::fingerprint::Fingerprint;
use crate::layer::Layer;
use crate::list::List;
use crate::rebuild::UNREAD_SUFFIX;
use crate::tombstone::Tombstone;
use crate::volume::StoredFile;

/// A TsFile of a store.
pub(crate) type LayerTsFile<S> = TsFile<StoredFile<<S as Storage>::File>>;

/// What a file calls devices that it does not call as we would.
pub(crate) type Aliases = BTreeMap<Device, Vec<DeviceId>>;

/// The devices of a file.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    pub(crate) extents: Extents,
    pub(crate) aliases: Aliases,
}

/// The devices of a file while they are gathered.
#[derive(Debug, Default)]
struct Gathered {
    extents: BTreeMap<Device, TimeRange>,
    aliases: Aliases,
}

impl Gathered {
    /// Takes in one name of a device.
    fn insert(
        &mut self,
        id: &DeviceId,
        database: Option<&str>,
        version: TsFileVersion,
        range: TimeRange,
    ) {
        let device = Device::of_file(id, database);
        if device.id(version) != *id || self.aliases.contains_key(&device) {
            // the names that were met before are ours, unless one was strange already
            let known = self.extents.contains_key(&device).then(|| device.id(version));
            let all = self.aliases.entry(device.clone()).or_insert_with(|| Vec::from_iter(known));
            all.push(id.clone());
        }
        let extent = self.extents.entry(device).or_insert(range);
        *extent = extent.union(range);
    }

    fn finish(self) -> Devices {
        Devices { extents: self.extents.into(), aliases: self.aliases }
    }
}

impl Devices {
    /// What a file of this layout calls a device.
    fn ids(&self, device: &Device, version: TsFileVersion) -> Vec<DeviceId> {
        self.aliases.get(device).cloned().unwrap_or_else(|| vec![device.id(version)])
    }

    /// The database of the table model of which there are devices; the first one of several.
    pub(crate) fn database(&self) -> Option<&str> {
        self.extents.devices().find_map(Device::database)
    }
}

/// A layer that can be read.
#[derive(Debug)]
pub(crate) struct LayerFile<S: Storage> {
    pub(crate) layer: Layer,
    pub(crate) dir: S,
    pub(crate) devices: Devices,
    /// The databases of its devices; `None` among them for the tree model.
    databases: BTreeSet<Option<Box<str>>>,
    /// The deletions beside it.
    pub(crate) list: List,
    /// Whether its `.resource` is as it was written.
    pub(crate) has_resource: bool,
    /// Open as long as somebody reads.
    open: Mutex<Weak<LayerTsFile<S>>>,
}

impl<S: Storage> LayerFile<S> {
    pub(crate) fn new(layer: Layer, dir: S, devices: Devices, list: List) -> Self {
        let databases = devices.extents.devices().map(|device| device.database().map(Box::from));
        let databases = databases.collect();
        Self { layer, dir, devices, databases, list, has_resource: true, open: Mutex::default() }
    }

    /// Opens what the catalog speaks of.
    pub(crate) fn load(layer: Layer, dir: S) -> Result<Self, StoreError> {
        match List::read(&layer, &dir) {
            Err(error @ StoreError::List { .. }) => {
                // where the file is lost, too, that says more
                Self::alone(&layer, &dir).open_anew()?;
                Err(error)
            }
            list => Self::load_with(layer, dir, list?),
        }
    }

    /// Opens what the catalog speaks of, but for its list.
    pub(crate) fn load_with(layer: Layer, dir: S, list: List) -> Result<Self, StoreError> {
        let beside = Self::devices_beside(&layer, &dir);
        let has_resource = beside.is_some();
        let devices = match beside {
            Some(devices) => devices,
            // the file itself says it, too
            None => Self::devices_within(&layer, &dir)?,
        };
        Ok(Self { has_resource, ..Self::new(layer, dir, devices, list) })
    }

    /// A file of which nothing is known but its place.
    pub(crate) fn alone(layer: &Layer, dir: &S) -> Self {
        Self::new(layer.clone(), dir.clone(), Devices::default(), List::default())
    }

    /// The devices of a file by its index.
    pub(crate) fn devices_within(layer: &Layer, dir: &S) -> Result<Devices, StoreError> {
        let alone = Self::alone(layer, dir);
        let found = devices_of(&alone.open_anew()?, layer.database.as_deref());
        found.map_err(|source| alone.unread(source))
    }

    /// The devices of a file by what stands beside it, if that is as it was written: a device that it
    /// does not name would be in no answer.
    pub(crate) fn devices_beside(layer: &Layer, dir: &S) -> Option<Devices> {
        let bytes = read_whole(dir, &layer.file_name(RESOURCE_SUFFIX)).ok()?;
        if Fingerprint::of(&bytes) != layer.resource {
            return None;
        }
        let resource = Resource::parse(&bytes).ok()?;
        let version = match resource.time_index {
            TimeIndex::Segments => TsFileVersion::V4,
            _ => TsFileVersion::V3,
        };
        let mut devices = Gathered::default();
        for DeviceExtent { device, range } in &resource.devices {
            devices.insert(device, layer.database.as_deref(), version, *range);
        }
        Some(devices.finish())
    }

    /// The file, open.
    pub(crate) fn file(&self) -> Result<Arc<LayerTsFile<S>>, StoreError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.upgrade() {
            return Ok(file);
        }
        let file = Arc::new(self.open_anew()?);
        *open = Arc::downgrade(&file);
        Ok(file)
    }

    /// The file as it is in the directory now, which need not be the one that is open.
    pub(crate) fn open_anew(&self) -> Result<LayerTsFile<S>, StoreError> {
        let stored = self.dir.open_to_read(&self.layer.file_name("")).and_then(StoredFile::new);
        let stored = stored.map_err(StoreError::io("open", self.layer.path()))?;
        TsFile::open(stored).map_err(|source| self.unread(source))
    }

    pub(crate) fn unread(&self, source: ReadError) -> StoreError {
        StoreError::Read { file: self.layer.path(), source }
    }

    /// First and last time of a device, if it is in the file.
    pub(crate) fn range_of(&self, device: &Device) -> Option<TimeRange> {
        self.devices.extents.get(device)
    }

    /// The device in the file: more than once where the file gives its path several names.
    pub(crate) fn find(
        &self,
        file: &LayerTsFile<S>,
        device: &Device,
    ) -> Result<Vec<FileDevice>, StoreError> {
        let mut found = Vec::new();
        for id in self.devices.ids(device, file.version()) {
            found.extend(file.find_device(&id).map_err(|source| self.unread(source))?);
        }
        Ok(found)
    }

    /// How often a device must be in the file, if it is.
    pub(crate) fn n_expected(&self, device: &Device) -> usize {
        self.devices.aliases.get(device).map_or(1, Vec::len)
    }

    /// Of which kind a list beside it is.
    pub(crate) fn list_kind(&self) -> Result<ModsKind, StoreError> {
        Ok(match (self.layer.mods, self.file()?.version()) {
            (Some((kind, _)), _) => kind,
            (None, TsFileVersion::V3) => ModsKind::Text,
            (None, _) => ModsKind::Binary,
        })
    }

    /// Whether a deletion may take cells of it, by its database and times.
    pub(crate) fn feels(&self, deletion: &Tombstone) -> bool {
        self.layer.range.overlaps(deletion.times())
            && self.databases.iter().any(|it| deletion.is_of(it.as_deref()))
    }

    /// Whether each of its devices is found in the file by what its `.resource` calls it: what is not
    /// would be in no merged file.
    pub(crate) fn finds_its_devices(&self) -> Result<bool, StoreError> {
        let file = self.file()?;
        for device in self.devices.extents.devices() {
            if self.find(&file, device)?.len() < self.n_expected(device) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether both may have a cell of one series at one time.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        if !self.layer.range.overlaps(other.layer.range) {
            return false;
        }
        let (few, many) = match self.devices.extents.len() <= other.devices.extents.len() {
            true => (self, other),
            false => (other, self),
        };
        let mut few = few.devices.extents.iter();
        few.any(|(device, range)| many.range_of(device).is_some_and(|it| it.overlaps(range)))
    }

    /// The names of what lies in its directory.
    pub(crate) fn names(&self) -> Vec<FileName> {
        names_of(&self.layer)
    }
}

/// The names of what lies in the directory of a layer; its TsFile last.
pub(crate) fn names_of(layer: &Layer) -> Vec<FileName> {
    let lists = [ModsKind::Text.suffix(), ModsKind::Binary.suffix()];
    let asides = lists.map(|suffix| layer.file_name(&format!("{suffix}{UNREAD_SUFFIX}")));
    let others = lists.into_iter().chain([RESOURCE_SUFFIX, ""]);
    asides.into_iter().chain(others.map(|suffix| layer.file_name(suffix))).collect()
}

/// Each device of a file with its first and last time; reads the index and no data.
pub(crate) fn devices_of<R: tidegate_tsfile::ReadAt>(
    file: &TsFile<R>,
    database: Option<&str>,
) -> Result<Devices, ReadError> {
    let mut devices = Gathered::default();
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
            devices.insert(device.id(), database, file.version(), range);
        }
    }
    Ok(devices.finish())
}

/// What stands beside a file of these devices. No progress index: nothing here has numbers of a
/// consensus.
pub(crate) fn resource_bytes(
    version: TsFileVersion,
    devices: &Devices,
) -> Result<Vec<u8>, StoreError> {
    let time_index = match version {
        TsFileVersion::V3 => TimeIndex::Paths,
        _ => TimeIndex::Segments,
    };
    let extents = devices.extents.iter().flat_map(|(device, range)| {
        let ids = devices.ids(device, version).into_iter();
        ids.map(move |device| DeviceExtent { device, range })
    });
    let bytes = Resource::new(time_index, extents.collect()).encode();
    let too_long = |error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error);
    bytes.map_err(|error| StoreError::io("write", "a .resource")(too_long(error)))
}

/// All bytes of a small file; `None` if it is not there.
pub(crate) fn read_if_there<S: Storage>(
    dir: &S,
    name: &FileName,
) -> Result<Option<Vec<u8>>, StoreError> {
    match read_whole(dir, name) {
        Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(None)
        }
        read => read.map(Some),
    }
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
