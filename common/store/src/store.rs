//! The store of one origin: takes in what the spool holds, record by record, and says how far.
//!
//! What it is given is durable in it once [`position`](Store::position) has passed it, and not
//! before: until then the spool must keep it. After an error that is neither of an item nor of a full
//! disk the store is to be opened anew.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use tidegate_model::DataType;
use tidegate_model::Precision;
use tidegate_model::path;
use tidegate_tsfile::Cuts;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::TableSchema;
use tidegate_tsfile::TimeRange;
use tidegate_tsfile::TsFile;
use tidegate_wire::Payload;
use tidegate_wire::request::Request;

use crate::Device;
use crate::Snapshot;
use crate::StoreError;
use crate::apply::Action;
use crate::apply::Actions;
use crate::beside::may_concern;
use crate::build::finish_beside;
use crate::catalog::Catalog;
use crate::catalog::Change;
use crate::extents::Extents;
use crate::extents::Names;
use crate::file::Devices;
use crate::file::LayerFile;
use crate::file::devices_of;
use crate::file::read_whole;
use crate::fingerprint::Fingerprint;
use crate::layer::Layer;
use crate::layer::LayerKind;
use crate::leftovers::take_back;
use crate::list::List;
use crate::lost::LostFile;
use crate::lost::Unreadable;
use crate::lost::load_layers;
use crate::memory::Memory;
use crate::memory::Points;
use crate::rebuild::Rebuilt;
use crate::rebuild::mend_catalog;
use crate::snapshot::device_id;
use crate::tags::Tags;
use crate::tags::disagreement;
use crate::tags::tags_within;
use crate::tombstone::Tombstone;
use crate::tombstone::cuts_of;
use crate::volume::Volume;

/// How a store goes about its work.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Rows in memory are written to files when they take so much.
    pub flush_bytes: usize,
    /// Length of a partition in milliseconds: IoTDB's week.
    pub partition_ms: i64,
    /// Files below these lengths are merged with their like, each as soon as there are
    /// [`merge_files_min`](Self::merge_files_min) in a row.
    pub merge_bytes: Vec<u64>,
    /// How many files of a kind are left alone.
    pub merge_files_min: usize,
    /// Most files that are merged at once.
    pub merge_files_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            flush_bytes: 32 << 20,
            partition_ms: 604_800_000,
            merge_bytes: vec![1 << 20, 8 << 20, 64 << 20],
            merge_files_min: 8,
            merge_files_max: 32,
        }
    }
}

/// A file that was received, and lies where it was staged.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs)] // what is known of it
pub struct ReceivedFile<'p> {
    /// The TsFile; synced.
    pub ts_file: &'p Path,
    /// Its deletions; synced.
    pub mods: Option<(ModsKind, &'p Path)>,
    /// Its database in the table model.
    pub database: Option<&'p str>,
}

/// What became of an item.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use]
#[allow(clippy::exhaustive_structs)] // what is told of it
pub struct Applied {
    /// What of it is not in the store, and why: to be told to people.
    pub left_out: Vec<String>,
    /// Whether that is all of it: a file that cannot be read, or is not there.
    pub is_refused: bool,
}

/// The store of one origin.
#[derive(Debug)]
pub struct Store<V: Volume> {
    pub(crate) volume: V,
    pub(crate) options: Options,
    pub(crate) catalog: Catalog<V::Dir>,
    /// By ascending rank.
    pub(crate) layers: Vec<Arc<LayerFile<V::Dir>>>,
    /// Of the devices of the layers.
    names: Names,
    pub(crate) deletions: Arc<Vec<Tombstone>>,
    pub(crate) memory: Arc<Memory>,
    /// Of the newest row in memory.
    pub(crate) memory_precedence: u64,
    /// The record of the oldest row in memory.
    pub(crate) memory_first: u64,
    pub(crate) memory_arrival_ms: i64,
    /// The last record that was given.
    pub(crate) applied: u64,
    /// Files that are no layers any more, and may still be read.
    pub(crate) doomed: Vec<Arc<LayerFile<V::Dir>>>,
    /// Layers that could not be merged.
    pub(crate) unmergeable: BTreeSet<u64>,
    /// What of them was found to be damaged.
    pub(crate) damaged: BTreeMap<u64, Box<str>>,
    /// Layers beside whose files deletions are to be written.
    pub(crate) without_mods: BTreeSet<u64>,
    /// What readers are told of lost files.
    pub(crate) lost: Arc<Vec<LostFile>>,
    /// Files beside others that were not what they should be and were made anew.
    pub(crate) remade: Vec<String>,
    rebuilt: Option<Rebuilt>,
    n_taken_in: usize,
    kept_aside: Vec<String>,
    found: Vec<String>,
}

impl<V: Volume> Store<V> {
    /// Opens the store of a volume, or makes one there.
    ///
    /// Removes files that the catalog does not speak of: an interrupted run has left them, and what
    /// they held comes again. Where the catalog is damaged or gone it is made anew first, so that no
    /// file is removed for want of it; [`rebuilt`](Self::rebuilt) says so.
    pub fn open(volume: V, options: Options, salt: u32) -> Result<Self, StoreError> {
        let root = volume.dir("").map_err(StoreError::io("open", "the store"))?;
        let (rebuilt, n_taken_in) = mend_catalog(&volume, &root, salt)?;
        let mut catalog = Catalog::open(root, salt)?;
        let mut remade = Vec::new();
        let mut names = Names::default();
        let layers = load_layers(&volume, &mut catalog, &mut names, &mut remade)?;
        let mut layers: Vec<_> = layers.into_iter().map(Arc::new).collect();
        layers.sort_by_key(|layer| layer.layer.rank());
        let (deletions, applied) =
            (Arc::new(catalog.state().deletions.clone()), catalog.state().position);
        let mut store = Self {
            volume,
            options,
            catalog,
            layers,
            names,
            deletions,
            memory: Arc::default(),
            memory_precedence: 0,
            memory_first: 0,
            memory_arrival_ms: 0,
            applied,
            doomed: Vec::new(),
            unmergeable: BTreeSet::new(),
            damaged: BTreeMap::new(),
            without_mods: BTreeSet::new(),
            lost: Arc::default(),
            remade,
            rebuilt,
            n_taken_in,
            kept_aside: Vec::new(),
            found: Vec::new(),
        };
        store.kept_aside = store.remove_leftovers()?;
        store.look_for_lacking_mods();
        store.look_at_lost()?;
        store.found = store.find_lost()?;
        Ok(store)
    }

    /// Whether the catalog was made anew when the store was opened, and what that cost.
    pub fn rebuilt(&self) -> Option<&Rebuilt> {
        self.rebuilt.as_ref()
    }

    /// How many whole files were taken in, when the store was opened, that the catalog did not name
    /// since its last record was torn.
    pub fn n_taken_in(&self) -> usize {
        self.n_taken_in
    }

    /// The places of files that were not as they were written and have been made anew, of what is sound;
    /// each is told once.
    pub fn take_remade(&mut self) -> Vec<String> {
        core::mem::take(&mut self.remade)
    }

    /// Where files are kept that were found, when the store was opened, in the places of files that had
    /// been given up: they count for nothing.
    pub fn kept_aside(&self) -> &[String] {
        &self.kept_aside
    }

    /// Lost files that were there again when the store was opened.
    pub fn found(&self) -> &[String] {
        &self.found
    }

    /// Says which spool the numbers to come are of. Numbers of another one begin anew, and count
    /// behind everything that is here.
    pub fn begin_spool(&mut self, id: [u8; 16]) -> Result<(), StoreError> {
        match self.catalog.state().spool {
            Some((known, _)) if known == id => Ok(()),
            _ => self.restart_spool(id),
        }
    }

    /// Says that numbers of this spool begin anew although its id may be known: it is not as it was.
    pub fn restart_spool(&mut self, id: [u8; 16]) -> Result<(), StoreError> {
        self.begin_numbers(id, 0)
    }

    /// Says that this spool ends earlier than it did, and that numbers behind its end begin anew.
    ///
    /// What is here of the records before that stays as it is: given again they would count more than
    /// newer ones that the spool does not have any more.
    ///
    /// # Arguments
    ///
    /// - `last`: its last record
    pub fn cut_spool(&mut self, id: [u8; 16], last: u64) -> Result<(), StoreError> {
        self.flush()?;
        self.begin_numbers(id, self.position().min(last))
    }

    fn begin_numbers(&mut self, id: [u8; 16], position: u64) -> Result<(), StoreError> {
        self.flush()?;
        let base = self.catalog.state().precedence;
        self.catalog.set_spool(id, base, position)?;
        self.applied = position;
        Ok(())
    }

    /// Says in which unit the times are; another one than before is refused.
    pub fn set_precision(&mut self, precision: Precision) -> Result<(), StoreError> {
        match self.catalog.state().precision {
            None => self.catalog.set_precision(precision),
            Some(expected) if expected == precision => Ok(()),
            Some(expected) => Err(StoreError::Precision { expected, found: precision }),
        }
    }

    /// The unit of the times, if it is known.
    pub fn precision(&self) -> Option<Precision> {
        self.catalog.state().precision
    }

    /// Up to this record of the spool everything is durable here.
    pub fn position(&self) -> u64 {
        match self.memory.is_empty() {
            true => self.applied.max(self.catalog.state().position),
            false => self.memory_first.saturating_sub(1).max(self.catalog.state().position),
        }
    }

    /// The greatest number of the spool that the store has ever acted upon: a spool that ends before it
    /// is not as it was. It may be behind the position, which rows in memory have held back.
    pub fn last_known(&self) -> u64 {
        let state = self.catalog.state();
        let done = state.done.last().copied().unwrap_or(0);
        let given = state.precedence.saturating_sub(self.precedence_of(0));
        self.position().max(done).max(given)
    }

    /// Whether there are rows in memory, which hold the position back.
    pub fn has_rows_in_memory(&self) -> bool {
        !self.memory.is_empty()
    }

    /// What the rows in memory take.
    pub fn memory_bytes(&self) -> usize {
        self.memory.bytes()
    }

    /// Takes in a record that has nothing for a store.
    pub fn pass(&mut self, sequence: u64) {
        self.applied = self.applied.max(sequence);
    }

    /// Takes in a request of rows or deletions.
    ///
    /// # Arguments
    ///
    /// - `sequence`: its number in the spool, greater than all before
    /// - `request`: as on the wire
    pub fn apply_request(
        &mut self,
        sequence: u64,
        arrival_ms: i64,
        request: &[u8],
    ) -> Result<Applied, StoreError> {
        if sequence <= self.catalog.state().position {
            return Ok(Applied::default());
        }
        let inner;
        let mut payload = Payload::decode(request).map_err(StoreError::Request)?;
        if let Request::Compressed(compressed) = &payload.request {
            inner = compressed.decompress(INFLATED_BYTES_MAX).map_err(StoreError::Request)?;
            payload = Payload::decode(&inner).map_err(StoreError::Request)?;
        }
        let precedence = self.precedence_of(sequence);
        let known = |device: &Device, name: &str| self.known_type(device, name);
        let Actions { list, left_out } =
            Actions::of(&payload.request, precedence, &known, self.catalog.state());
        let mut deletions = Vec::new();
        for action in list {
            match action {
                Action::Delete(deletion) => deletions.push(deletion),
                Action::Insert(mut points) => {
                    // given again, they may have expired since they came
                    points.keep_from(self.catalog.state().horizons.start_of(precedence));
                    self.insert(&points, sequence, arrival_ms)?;
                }
                Action::Table(table, tags) => self.catalog.set_table(&table, &tags)?,
            }
        }
        if !deletions.is_empty() {
            self.delete(sequence, deletions)?;
        }
        self.applied = self.applied.max(sequence);
        if self.memory.bytes() >= self.options.flush_bytes {
            self.flush()?;
        }
        Ok(Applied { left_out, is_refused: false })
    }

    /// Takes in a file. It stays where it is; once this has returned it may be removed there.
    pub fn apply_file(
        &mut self,
        sequence: u64,
        arrival_ms: i64,
        file: &ReceivedFile<'_>,
    ) -> Result<Applied, StoreError> {
        let state = self.catalog.state();
        if sequence <= state.position || state.done.contains(&sequence) {
            self.applied = self.applied.max(sequence);
            return Ok(Applied::default());
        }
        let layer = self.new_layer(LayerKind::Received, self.precedence_of(sequence), arrival_ms);
        let received = self.receive(sequence, layer, file)?;
        let is_refused = received.is_err();
        let left_out = received.err().into_iter().collect();
        self.applied = self.applied.max(sequence);
        Ok(Applied { left_out, is_refused })
    }

    /// What is in the store now.
    pub fn snapshot(&self) -> Snapshot<V::Dir> {
        Snapshot {
            layers: self.layers.clone(),
            deletions: Arc::clone(&self.deletions),
            memory: Arc::clone(&self.memory),
            horizons: self.catalog.state().horizons.clone(),
            lost: Arc::clone(&self.lost),
            damage: Arc::default(),
        }
    }

    /// The layers, by ascending precedence.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().map(|layer| &layer.layer)
    }

    /// The newest time of a row, of those that were deleted meanwhile, too.
    pub fn newest(&self) -> Option<i64> {
        let in_files = self.layers().map(|layer| layer.range.end);
        let in_memory = self.memory.devices().values().map(|device| device.range().end);
        in_files.chain(in_memory).max()
    }

    /// How many points are in memory only.
    pub fn n_points_in_memory(&self) -> u64 {
        self.memory.n_points()
    }

    /// Receives a file; inside, why there is nothing in it for anybody.
    fn receive(
        &mut self,
        sequence: u64,
        mut layer: Layer,
        file: &ReceivedFile<'_>,
    ) -> Result<Result<(), String>, StoreError> {
        let shown = file.ts_file.display().to_string();
        let staged = self.volume.open_elsewhere(file.ts_file);
        let Some(staged) = staged.map_err(StoreError::io("open", &shown))? else {
            return Ok(Err(format!("{shown} is missing")));
        };
        let found = TsFile::open(staged).and_then(|open| {
            let devices = devices_of(&open, file.database)?;
            let tables: Vec<_> = open.tables().to_vec();
            Ok((open.version(), tables, devices, open.source().length()))
        });
        let (version, tables, devices, length_bytes) = match found {
            Err(source) => {
                let error = StoreError::Read { file: shown, source };
                return match &error {
                    StoreError::Read { source, .. } if error.is_of_file() => {
                        Ok(Err(format!("cannot be read: {source}")))
                    }
                    _ => Err(error),
                };
            }
            Ok(found) => found,
        };
        layer.length_bytes = length_bytes;
        let Devices { extents, .. } = &devices;
        let Some(range) = extents.range() else {
            return Ok(Ok(()));
        };
        layer.range = range;
        // what a sender says of a file of the tree model is none
        layer.database = devices.database().map(Box::from);
        if let Err(why) = self.name_tags(&tables, &devices)? {
            return Ok(Err(why));
        }
        if self.memory.overlaps(extents.iter()) {
            self.flush()?;
        }
        self.place(&mut layer, extents);
        let directory = layer.directory();
        let dir = self.volume.dir(&directory).map_err(StoreError::io("make", &directory))?;
        let parts = [(Some(("", file.ts_file))), file.mods.map(|(kind, at)| (kind.suffix(), at))];
        for (suffix, from) in parts.into_iter().flatten() {
            let adopted = self.volume.adopt(from, &directory, &layer.file_name(suffix));
            if !adopted.map_err(StoreError::io("take in", from.display()))? {
                return Ok(Err(format!("{} is missing", from.display())));
            }
        }
        finish_beside(&dir, &mut layer, version, &devices)
            .map_err(|error| take_back(&dir, &layer, error))?;
        if let Some((kind, _)) = file.mods {
            let bytes = read_whole(&dir, &layer.file_name(kind.suffix()))?;
            layer.mods = Some((kind, Fingerprint::of(&bytes)));
        }
        // it may have arrived so that nobody can tell what it deletes
        let (list, lost) = match List::read(&layer, &dir) {
            Err(error @ StoreError::List { .. }) => (None, vec![Unreadable::of(layer.id, &error)]),
            list => (Some(list?), Vec::new()),
        };
        let added = vec![layer.clone()];
        let taken_in = self.commit(sequence, Change { added, lost, ..Change::default() });
        taken_in.map_err(|error| take_back(&dir, &layer, error))?;
        match list {
            Some(list) => self.add_layer(LayerFile::new(layer, dir, devices, list)),
            None => self.look_at_lost()?,
        }
        Ok(Ok(()))
    }

    fn insert(
        &mut self,
        points: &Points<'_>,
        sequence: u64,
        arrival_ms: i64,
    ) -> Result<(), StoreError> {
        if !self.memory.accepts(points) {
            self.flush()?;
        }
        if self.memory.is_empty() {
            self.memory_first = sequence;
        }
        Arc::make_mut(&mut self.memory).insert(points);
        self.memory_precedence = self.memory_precedence.max(self.precedence_of(sequence));
        self.memory_arrival_ms = self.memory_arrival_ms.max(arrival_ms);
        Ok(())
    }

    fn delete(&mut self, sequence: u64, deletions: Vec<Tombstone>) -> Result<(), StoreError> {
        let cuts = |device: &Device, measurements: &[&str]| -> Cuts {
            let own = deletions.iter().filter(|it| it.is_of(device.database()));
            cuts_of(&[], own, &device_id(device), measurements)
        };
        Arc::make_mut(&mut self.memory).cut(cuts);
        // Where it comes again it may be known, or have been forgotten before rows that come again were
        // written.
        let is_felt = |it: &Tombstone| {
            self.layers.iter().any(|layer| may_concern(it, layer))
                || self.lost().any(|lost| lost.feels(it))
        };
        let felt: Vec<_> = deletions.into_iter().filter(is_felt).collect();
        let is_new = |it: &&Tombstone| !self.deletions.contains(it);
        let deletions: Vec<_> = felt.iter().filter(is_new).cloned().collect();
        if !deletions.is_empty() {
            self.commit(sequence, Change { deletions, ..Change::default() })?;
            self.deletions = Arc::new(self.catalog.state().deletions.clone());
        }
        felt.iter().for_each(|deletion| self.will_write(deletion));
        Ok(())
    }

    /// Makes a change of an item durable, and the position with it if nothing is in memory only.
    fn commit(&mut self, sequence: u64, change: Change) -> Result<(), StoreError> {
        let is_all = self.memory.is_empty();
        let position = if is_all { sequence } else { self.position() };
        let done = (!is_all).then_some(sequence);
        self.catalog.change(&Change { position, done, ..change })
    }

    pub(crate) fn add_layer(&mut self, mut layer: LayerFile<V::Dir>) {
        self.names.share(&mut layer.devices.extents);
        let rank = layer.layer.rank();
        let at = self.layers.partition_point(|it| it.layer.rank() <= rank);
        self.layers.insert(at, Arc::new(layer));
    }

    /// Takes in the names of the tags of a file; inside, why its devices would get wrong ones.
    fn name_tags(
        &mut self,
        tables: &[TableSchema],
        devices: &Devices,
    ) -> Result<Result<(), String>, StoreError> {
        let (mut changed, mut wrong) = (Vec::new(), None);
        for (table, found) in tags_within(tables, devices) {
            let known = Tags::known(self.catalog.state(), &table);
            let mut tags = known.clone();
            let is_alike = tags.extend(&found);
            if !is_alike {
                wrong = wrong.or_else(|| Some(disagreement(&table, &known.names, &found)));
            }
            if tags != known {
                changed.push((table, tags, is_alike));
            }
        }
        // of a file that is not taken in no name counts
        for (table, tags, _) in changed.iter().filter(|(.., it)| wrong.is_none() || !it) {
            self.catalog.set_table(table, tags)?;
        }
        Ok(wrong.map_or(Ok(()), |why| Err(format!("cannot be read: {why}"))))
    }

    /// The type that a series has now.
    fn known_type(&self, device: &Device, measurement: &str) -> Option<DataType> {
        let in_memory = self.memory.devices().get(device);
        if let Some(series) = in_memory.and_then(|it| it.series.get(measurement)) {
            return Some(series.data_type);
        }
        self.layers.iter().rev().filter(|layer| layer.range_of(device).is_some()).find_map(
            |layer| {
                let file = layer.file().ok()?;
                layer
                    .find(&file, device)
                    .ok()?
                    .iter()
                    .find_map(|found| file.find_series(found, measurement).ok()??.data_type)
            },
        )
    }

    pub(crate) fn precedence_of(&self, sequence: u64) -> u64 {
        let base = self.catalog.state().spool.map_or(0, |(_, base)| base);
        base.saturating_add(sequence)
    }

    pub(crate) fn new_layer(&self, kind: LayerKind, precedence: u64, arrival_ms: i64) -> Layer {
        Layer {
            id: self.catalog.state().next_id,
            precedence,
            lowest: precedence,
            kind,
            database: None,
            folder: Box::default(),
            region: 0,
            partition: 0,
            arrival_ms,
            merges: 0,
            range: TimeRange::ALL,
            length_bytes: 0,
            mods: None,
            resource: Fingerprint::default(),
        }
    }

    /// Gives a layer a name that no other one has.
    pub(crate) fn name(&self, layer: &mut Layer) {
        let doomed = self.doomed.iter().map(|it| it.layer.path());
        let lost = self.lost().map(|it| it.layer.path());
        let taken = self.layers().map(Layer::path).chain(doomed).chain(lost);
        let taken: BTreeSet<String> = taken.collect();
        while taken.contains(&layer.path()) {
            layer.merges = layer.merges.saturating_add(1);
        }
    }

    /// Decides where a layer lies.
    fn place(&self, layer: &mut Layer, extents: &Extents) {
        let mut folders = extents.devices().map(folder_of);
        let first = folders.next().unwrap_or_default();
        layer.folder = match folders.all(|folder| folder == first) {
            true => first.into(),
            false => "root".into(),
        };
        layer.region = self.region_of(&layer.folder, &[]);
        layer.partition = self.partition_of(layer.range.start);
        self.name(layer);
        // not before: a flush may have come between
        layer.id = self.catalog.state().next_id;
    }

    /// The number of a folder: that of its layers, or the next one.
    pub(crate) fn region_of(&self, folder: &str, others: &[Layer]) -> u32 {
        let all = || self.layers().chain(others).chain(self.lost().map(|it| &it.layer));
        let known = all().find(|layer| *layer.folder == *folder).map(|layer| layer.region);
        let greatest = || all().map(|layer| layer.region).max().unwrap_or(0);
        known.unwrap_or_else(|| greatest().saturating_add(1))
    }

    /// The number of the partition of a time.
    pub(crate) fn partition_of(&self, time: i64) -> i64 {
        time.div_euclid(self.options.partition_ms.saturating_mul(self.per_ms()).max(1))
    }

    /// How many units of time a millisecond has.
    pub(crate) fn per_ms(&self) -> i64 {
        self.catalog.state().precision.unwrap_or(Precision::Ms).per_ms()
    }
}

/// A compressed request may become so long; the listener has refused longer ones.
const INFLATED_BYTES_MAX: usize = 64 << 20;

/// The folder in which layers of a device lie: as its database is called at the source, as far as
/// that can be told.
pub(crate) fn folder_of(device: &Device) -> String {
    let name = match device {
        Device::Table { database, .. } => database.to_string(),
        Device::Tree { path } => path::assumed_database(path),
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let first_is_plain = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if first_is_plain && name.len() <= 100 && name.bytes().all(is_plain) {
        return name;
    }
    // a name that no other has, and that every file system takes
    let mut escaped = String::from("x");
    for byte in name.bytes().take(60) {
        match is_plain(byte) {
            true => escaped.push(char::from(byte)),
            false => escaped.push('_'),
        }
    }
    let digest = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{escaped}-{digest:016x}")
}
