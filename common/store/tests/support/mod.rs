//! What the tests share: a simulated volume, requests and files, and what a store should hold.

#![allow(dead_code, unreachable_pub)] // each test file uses its part

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;

use tidegate_codec::Writer;
use tidegate_durable::FileName;
use tidegate_durable::Storage;
use tidegate_durable::StorageFile;
use tidegate_durable::sim::SimFile;
use tidegate_durable::sim::SimStorage;
use tidegate_model::Category;
use tidegate_model::Column;
use tidegate_model::DataType;
use tidegate_model::Tablet;
use tidegate_model::Value;
use tidegate_store::Device;
use tidegate_store::Options;
use tidegate_store::Pattern;
use tidegate_store::Scan;
use tidegate_store::Snapshot;
use tidegate_store::Store;
use tidegate_store::StoredFile;
use tidegate_store::Volume;
use tidegate_wire::Payload;
use tidegate_wire::Request;
use tidegate_wire::RequestType;
use tidegate_wire::request::DeleteData;
use tidegate_wire::request::Path as WirePath;
use tidegate_wire::request::PayloadHead;
use tidegate_wire::request::Plan;
use tidegate_wire::request::TabletForm;
use tidegate_wire::request::encode_tablet;

/// A volume on a simulated disk; what lies elsewhere is on another one, which never fails.
#[derive(Clone, Debug)]
pub struct SimVolume {
    pub disk: SimStorage,
    pub elsewhere: SimStorage,
    paths: Arc<Mutex<Vec<String>>>,
}

impl SimVolume {
    pub fn new(disk: SimStorage) -> Self {
        Self { disk, elsewhere: SimStorage::new(), paths: Arc::default() }
    }

    /// The same names on another disk.
    pub fn on(&self, disk: SimStorage) -> Self {
        Self { disk, ..self.clone() }
    }

    pub fn stage(&self, name: &str, bytes: Vec<u8>) -> PathBuf {
        self.elsewhere.set_content(&FileName::new(name).unwrap(), bytes);
        Path::new("/staging").join(name)
    }

    /// What a file below the root is called on the disk.
    pub fn disk_name(&self, path: &str) -> FileName {
        let (directory, name) = path.rsplit_once('/').unwrap();
        self.dir(directory).unwrap().own(&FileName::new(name).unwrap())
    }

    fn staged(path: &Path) -> FileName {
        FileName::new(path.file_name().unwrap().to_str().unwrap()).unwrap()
    }
}

impl Volume for SimVolume {
    type Dir = SimDir;

    fn dir(&self, path: &str) -> io::Result<SimDir> {
        let mut paths = self.paths.lock().unwrap();
        let number = paths.iter().position(|known| known == path).unwrap_or_else(|| {
            paths.push(path.to_owned());
            paths.len() - 1
        });
        Ok(SimDir { disk: self.disk.clone(), prefix: format!("d{number}_") })
    }

    fn data_dirs(&self) -> io::Result<Vec<String>> {
        let paths = self.paths.lock().unwrap().clone();
        Ok(paths.into_iter().filter(|path| path.starts_with("data/")).collect())
    }

    fn open_elsewhere(&self, path: &Path) -> io::Result<Option<StoredFile<SimFile>>> {
        match self.elsewhere.open(&Self::staged(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.and_then(StoredFile::new).map(Some),
        }
    }

    fn adopt(&self, from: &Path, path: &str, name: &FileName) -> io::Result<bool> {
        let Some(bytes) = self.elsewhere.content(&Self::staged(from)) else { return Ok(false) };
        let dir = self.dir(path)?;
        let _ = dir.remove(name);
        let mut file = dir.create(name)?;
        file.write_at(&bytes, 0)?;
        file.sync()?;
        Ok(true)
    }
}

/// A directory of a [`SimVolume`]: names with a prefix.
#[derive(Clone, Debug)]
pub struct SimDir {
    disk: SimStorage,
    prefix: String,
}

impl SimDir {
    fn own(&self, name: &FileName) -> FileName {
        FileName::new(format!("{}{name}", self.prefix)).unwrap()
    }
}

impl Storage for SimDir {
    type File = SimFile;

    fn create(&self, name: &FileName) -> io::Result<SimFile> {
        self.disk.create(&self.own(name))
    }

    fn open(&self, name: &FileName) -> io::Result<SimFile> {
        self.disk.open(&self.own(name))
    }

    fn open_to_read(&self, name: &FileName) -> io::Result<SimFile> {
        self.disk.open_to_read(&self.own(name))
    }

    fn list(&self) -> io::Result<Vec<FileName>> {
        let names = self.disk.list()?;
        let own = names.iter().filter_map(|name| name.as_str().strip_prefix(&self.prefix));
        Ok(own.map(|name| FileName::new(name).unwrap()).collect())
    }

    fn rename(&self, from: &FileName, to: &FileName) -> io::Result<()> {
        self.disk.rename(&self.own(from), &self.own(to))
    }

    fn remove(&self, name: &FileName) -> io::Result<()> {
        self.disk.remove(&self.own(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }
}

/// What a store should hold: of each series its points.
pub type Held = BTreeMap<(Device, String), BTreeMap<i64, Value>>;

/// Everything that a store holds within some times.
pub fn held<S: Storage>(snapshot: &Snapshot<S>, patterns: &[Pattern], times: (i64, i64)) -> Held {
    let scan = Scan { patterns: patterns.to_vec(), measurements: None, times: times.0..=times.1 };
    let mut found = Held::new();
    let mut before: Option<(Device, i64)> = None;
    snapshot
        .scan(&scan, &mut |device, series, batch| {
            for time in &batch.times {
                let is_behind =
                    before.as_ref().is_none_or(|(known, last)| known != device || last < time);
                assert!(is_behind, "{device} at {time} behind {before:?}");
                before = Some((device.clone(), *time));
            }
            for (series, column) in series.iter().zip(&batch.columns) {
                assert_eq!(column.presence.len(), batch.len());
                assert_eq!(column.presence.count(), column.values.len());
                for (time, cell) in batch.times.iter().zip(column.cells()) {
                    if let Some(value) = cell {
                        let key = (device.clone(), series.measurement.to_string());
                        found.entry(key).or_default().insert(*time, value);
                    }
                }
            }
            true
        })
        .unwrap();
    found
}

/// Patterns of everything that the tests make.
pub fn everything() -> Vec<Pattern> {
    vec![Pattern::Tree("root.**".into()), Pattern::Table { database: "plant".into(), table: None }]
}

pub fn column(name: &str, data_type: DataType, values: Vec<Option<Value>>) -> Column {
    let (name, category) = (name.to_owned(), Category::Field);
    Column { name, data_type, encoding: 0, compressor: 0, category, values }
}

/// A tablet as a request of type 3, or 11 if it has a database.
pub fn tablet_request(tablet: &Tablet) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    let request_type = match tablet.database {
        None => RequestType::TransferTabletRaw,
        Some(_) => RequestType::TransferTabletRawV2,
    };
    PayloadHead { request_type }.encode(&mut writer);
    encode_tablet(tablet, TabletForm::Categories, &mut writer);
    if let Some(database) = &tablet.database {
        writer.nullable_str(Some(database));
    }
    out
}

/// A deletion as a request of type 100.
pub fn delete_request(pattern: &str, start_time: i64, end_time: i64) -> Vec<u8> {
    let nodes = pattern.split('.').collect();
    let paths = vec![WirePath::measurement(pattern, nodes)].into();
    let delete = DeleteData { paths, start_time, end_time, plan_node_id: "" };
    let mut out = Vec::new();
    Payload::from(Request::Plan(Plan::Delete(delete))).encode(&mut out).unwrap();
    out
}

/// A store that merges as soon as it can.
pub fn store(volume: &SimVolume) -> Store<SimVolume> {
    let mut options = Options::default();
    options.merge_files_min = 2;
    let mut store = Store::open(volume.clone(), options, 1).unwrap();
    store.begin_spool([1; 16]).unwrap();
    store
}

pub fn rows(device: &str, times: Vec<i64>, columns: Vec<Column>) -> Vec<u8> {
    let device = device.to_owned();
    tablet_request(&Tablet { database: None, device, aligned: false, times, columns })
}

pub fn ints(name: &str, values: &[i32]) -> Column {
    column(name, DataType::Int32, values.iter().map(|it| Some(Value::Int32(*it))).collect())
}

/// What a series holds now, as numbers.
pub fn series(store: &Store<SimVolume>, device: &str, name: &str) -> BTreeMap<i64, Value> {
    let all = held(&store.snapshot(), &everything(), (i64::MIN, i64::MAX));
    all.get(&(Device::tree(device), name.to_owned())).cloned().unwrap_or_default()
}

pub fn give(store: &mut Store<SimVolume>, sequence: u64, request: &[u8]) {
    let applied = store.apply_request(sequence, 5, request).unwrap();
    assert_eq!(applied.left_out, Vec::<String>::new());
}
