//! Merges small files in the background, so that a year of rows does not leave a million of them.
//!
//! Layers of one folder and partition that follow one another in precedence become one, with the
//! precedence of the newest and without what was deleted. No layer that lies between them in
//! precedence may share a cell with them: it would have to hide some of their cells and be hidden by
//! others. Nor is a layer merged that came behind a record that is not durable yet: rows of that record
//! count less than this layer, and more than those before it. One record of the catalog takes the new one in and the old ones out; their files go
//! afterwards, once nobody reads them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_durable::Storage;
use tidegate_tsfile::Batch;
use tidegate_tsfile::TsFileVersion;

use crate::Device;
use crate::DeviceScan;
use crate::Pattern;
use crate::Rows;
use crate::Scan;
use crate::Series;
use crate::Snapshot;
use crate::StoreError;
use crate::build::Builder;
use crate::build::table_schemas;
use crate::catalog::Change;
use crate::device::is_of_root;
use crate::file::LayerFile;
use crate::layer::Layer;
use crate::layer::LayerKind;
use crate::leftovers::remove_names;
use crate::leftovers::take_back;
use crate::lost::Lost;
use crate::lost::LostPart;
use crate::lost::Unreadable;
use crate::store::Store;
use crate::volume::Volume;

/// What became of a run.
enum Built<V: Volume> {
    /// Its layer; nothing if every row is deleted.
    Layer(Option<Box<LayerFile<V::Dir>>>),
    /// It cannot be one file: a series has two types in it, and one file has one, or a layer cannot
    /// be read. The layers that are to blame; none if it is all of them together.
    Unmergeable(Vec<u64>),
    /// Layers cannot be read; of each what was found.
    Unreadable(Vec<Unreadable>),
}

type Run<V> = Vec<Arc<LayerFile<<V as Volume>::Dir>>>;

impl<V: Volume> Store<V> {
    /// Merges one run of small files, if there is one; `true` if there may be more to do.
    pub fn merge_once(&mut self) -> Result<bool, StoreError> {
        self.remove_doomed()?;
        let Some(run) = self.run() else { return Ok(false) };
        self.merge(run)?;
        self.remove_doomed()?;
        Ok(true)
    }

    /// How many layers are left as they are since they cannot be merged, as far as was tried since
    /// the start.
    pub fn n_unmergeable(&self) -> usize {
        self.layers().filter(|layer| self.unmergeable.contains(&layer.id)).count()
    }

    /// Layers to be merged: the first run of enough small ones.
    fn run(&self) -> Option<Run<V>> {
        let mut folders: BTreeMap<(&str, Option<&str>, i64), Run<V>> = BTreeMap::new();
        for layer in &self.layers {
            let it = &layer.layer;
            let key = (&*it.folder, it.database.as_deref(), it.partition);
            folders.entry(key).or_default().push(Arc::clone(layer));
        }
        self.options.merge_bytes.iter().find_map(|most_bytes| {
            folders.values().find_map(|layers| self.run_in(layers, *most_bytes))
        })
    }

    fn run_in(&self, layers: &Run<V>, most_bytes: u64) -> Option<Run<V>> {
        let durable = self.precedence_of(self.position());
        let mut run: Run<V> = Vec::new();
        for layer in layers {
            let is_small = layer.layer.length_bytes < most_bytes
                && layer.layer.precedence <= durable
                && !self.unmergeable.contains(&layer.layer.id);
            let is_full = run.len() >= self.options.merge_files_max;
            if is_small && !is_full && self.may_join(&run, layer) {
                run.push(Arc::clone(layer));
                continue;
            }
            if run.len() >= self.options.merge_files_min.max(2) {
                return Some(run);
            }
            run.clear();
            if is_small {
                run.push(Arc::clone(layer));
            }
        }
        (run.len() >= self.options.merge_files_min.max(2)).then_some(run)
    }

    /// Whether no layer between the run and this one shares a cell with the run.
    fn may_join(&self, run: &Run<V>, layer: &LayerFile<V::Dir>) -> bool {
        let Some(first) = run.first() else { return true };
        let between = first.layer.precedence..=layer.layer.precedence;
        let is_of_run = |id: u64| id == layer.layer.id || run.iter().any(|it| it.layer.id == id);
        // they may come back, and count then as they do now
        let is_in_the_way = |lost: &Lost| {
            let mut all = run.iter().map(|it| &**it).chain([layer]);
            between.contains(&lost.layer.precedence)
                && all.any(|own| lost.overlaps(own.layer.range))
        };
        if self.lost().any(is_in_the_way) {
            return false;
        }
        let mut others = self.layers.iter().filter(|other| {
            between.contains(&other.layer.precedence) && !is_of_run(other.layer.id)
        });
        others.all(|other| {
            let all = run.iter().map(|it| &**it).chain([layer]);
            all.into_iter().all(|own| !own.overlaps(other))
        })
    }

    fn merge(&mut self, run: Run<V>) -> Result<(), StoreError> {
        let removed: Vec<u64> = run.iter().map(|layer| layer.layer.id).collect();
        let built = match self.build_merged(&run)? {
            Built::Layer(built) => built.map(|it| *it),
            Built::Unmergeable(culprits) => {
                // not again before a start; the rest of a run may go on without its culprits
                self.unmergeable.extend(if culprits.is_empty() { removed } else { culprits });
                return Ok(());
            }
            Built::Unreadable(culprits) => {
                let opens = |id: &u64| {
                    let mut all = run.iter();
                    all.find(|it| it.layer.id == *id).is_some_and(|it| it.file().is_ok())
                };
                let (damaged, lost): (Vec<_>, Vec<_>) =
                    culprits.into_iter().partition(|it: &Unreadable| opens(&it.id));
                self.unmergeable.extend(damaged.iter().map(|it| it.id));
                self.damaged.extend(damaged.into_iter().map(|it| (it.id, it.found)));
                return self.lose(&lost);
            }
        };
        let added = built.iter().map(|it| it.layer.clone()).collect();
        let position = self.position();
        let left: Vec<_> =
            self.layers.iter().filter(|it| !removed.contains(&it.layer.id)).cloned().collect();
        let forgotten = self.forgettable(&left, built.as_ref());
        let change = Change { position, added, removed, forgotten, ..Change::default() };
        if let Err(error) = self.catalog.change(&change) {
            return Err(match &built {
                Some(built) => take_back(&built.dir, &built.layer, error),
                None => error,
            });
        }
        self.layers = left;
        if let Some(built) = built {
            self.add_layer(built);
        }
        self.deletions = Arc::new(self.catalog.state().deletions.clone());
        self.doomed.extend(run);
        Ok(())
    }

    /// What a run becomes. Only what is wrong with more than one file is an error: a layer that was
    /// damaged at its source is so at every start, and where the disk cannot give a file back it cannot
    /// do so the next time.
    fn build_merged(&self, run: &Run<V>) -> Result<Built<V>, StoreError> {
        let Some(newest) = run.last().map(|it| &it.layer) else {
            return Ok(Built::Unmergeable(Vec::new()));
        };
        let mut layer = self.new_layer(LayerKind::Merged, newest.precedence, newest.arrival_ms);
        layer.lowest = run.iter().map(|it| it.layer.lowest).min().unwrap_or(newest.lowest);
        (layer.database, layer.folder) = (newest.database.clone(), newest.folder.clone());
        (layer.region, layer.partition) = (newest.region, newest.partition);
        let merges = run.iter().map(|it| it.layer.merges).max().unwrap_or(0);
        layer.merges = merges.saturating_add(1);
        self.name(&mut layer);
        let unsound = unsound(run);
        if !unsound.is_empty() {
            return Ok(Built::Unreadable(unsound));
        }
        match self.write_merged(run, layer.clone()) {
            Err(error) if error.is_of_content() || error.is_of_file() => (),
            outcome => {
                return outcome.map_err(|error| match self.volume.dir(&layer.directory()) {
                    Ok(dir) => take_back(&dir, &layer, error),
                    Err(_) => error,
                });
            }
        }
        let dir = self.volume.dir(&layer.directory());
        let dir = dir.map_err(StoreError::io("open", layer.directory()))?;
        remove_names(&dir, &layer)?;
        let mut culprits = Vec::new();
        for layer in run {
            match self.read_alone(layer) {
                Err(error) if error.is_of_file() => {
                    culprits.push(Unreadable::of(layer.layer.id, &error));
                }
                outcome => outcome?,
            }
        }
        Ok(match culprits.is_empty() {
            true => Built::Unmergeable(Vec::new()),
            false => Built::Unreadable(culprits),
        })
    }

    /// Reads all that a merge reads of a layer.
    fn read_alone(&self, layer: &Arc<LayerFile<V::Dir>>) -> Result<(), StoreError> {
        let snapshot = self.snapshot_of(vec![Arc::clone(layer)]);
        let mut batch = Batch::default();
        for device in layer.devices.extents.devices() {
            let opened = snapshot.device(device, &whole(device))?;
            let mut rows = opened.rows()?;
            while opened.next_into(&mut rows, &mut batch)? {}
        }
        Ok(())
    }

    fn snapshot_of(&self, layers: Run<V>) -> Snapshot<V::Dir> {
        Snapshot {
            layers,
            deletions: Arc::clone(&self.deletions),
            memory: Arc::default(),
            horizons: self.catalog.state().horizons.clone(),
            lost: Arc::default(),
            damage: Arc::default(),
        }
    }

    fn write_merged(&self, run: &Run<V>, layer: Layer) -> Result<Built<V>, StoreError> {
        let mut culprits = Vec::new();
        for layer in run {
            if !layer.finds_its_devices()? {
                culprits.push(layer.layer.id);
            }
        }
        if !culprits.is_empty() {
            return Ok(Built::Unmergeable(culprits));
        }
        let snapshot = self.snapshot_of(run.clone());
        let devices: BTreeSet<&Device> =
            run.iter().flat_map(|it| it.devices.extents.devices()).collect();
        let mut named = Vec::new();
        for device in &devices {
            let opened = snapshot.device(device, &whole(device))?;
            if !opened.is_of_one_type() {
                return Ok(Built::Unmergeable(Vec::new()));
            }
            named.push((*device, opened.columns().to_vec()));
        }
        if !is_one_schema(&named) {
            return Ok(Built::Unmergeable(Vec::new()));
        }
        let files: Result<Vec<_>, _> = run.iter().map(|it| it.file()).collect();
        let is_v3 = files?.iter().all(|file| file.version() == TsFileVersion::V3);
        let version = if is_v3 { TsFileVersion::V3 } else { TsFileVersion::V4 };
        // by its name in a file of version 4 such a device would be one of a table
        let has_odd_name = |device: &&Device| match device {
            Device::Tree { path } => !is_of_root(path),
            Device::Table { .. } => false,
        };
        if !is_v3 && devices.iter().any(has_odd_name) {
            return Ok(Built::Unmergeable(Vec::new()));
        }
        let tables = table_schemas(&self.catalog.state().tables, named.into_iter());
        let mut builder = Builder::begin(&self.volume, layer, version, tables)?;
        for device in devices {
            write_device(&mut builder, &snapshot.device(device, &whole(device))?)?;
        }
        builder.finish().map(|built| Built::Layer(built.map(Box::new)))
    }

    /// Deletions that no layer is left for.
    pub(crate) fn forgettable(
        &self,
        left: &[Arc<LayerFile<V::Dir>>],
        built: Option<&LayerFile<V::Dir>>,
    ) -> Vec<u64> {
        let layers: Vec<_> = left.iter().map(|it| &**it).chain(built).collect();
        let mut needed = BTreeSet::new();
        let mut all = BTreeSet::new();
        for deletion in &*self.deletions {
            all.insert(deletion.precedence);
            let is_felt = layers.iter().any(|it| {
                it.layer.precedence < deletion.precedence
                    && it.feels(deletion)
                    && built.is_none_or(|built| built.layer.id != it.layer.id)
            });
            if is_felt || self.lost().any(|lost| lost.feels(deletion)) {
                needed.insert(deletion.precedence);
            }
        }
        all.difference(&needed).copied().collect()
    }
}

/// Layers of which the points are not those that their statistics tell of, and what was found. A TsFile
/// has no checksums: merged, damage would be in a file that has nothing wrong with it.
fn unsound<S: Storage>(run: &[Arc<LayerFile<S>>]) -> Vec<Unreadable> {
    let found = run.iter().filter_map(|layer| {
        // one that does not open is told of by whoever reads it
        let file = layer.file().ok()?;
        let verified = file.verify();
        let finding = verified.findings.first()?;
        let found = finding.to_string().into();
        Some(Unreadable { id: layer.layer.id, part: LostPart::File, found })
    });
    found.collect()
}

/// Whether each field of a table has one type on all its devices.
fn is_one_schema(named: &[(&Device, Vec<Series>)]) -> bool {
    let mut known = BTreeMap::new();
    let tables = named.iter().filter_map(|(device, all)| Some((device.database_and_table()?, all)));
    tables.into_iter().all(|(table, all)| {
        all.iter().all(|series| {
            let key = (table.clone(), &*series.measurement);
            *known.entry(key).or_insert(series.data_type) == series.data_type
        })
    })
}

/// Everything of a device.
fn whole(device: &Device) -> Scan {
    Scan {
        patterns: vec![Pattern::Device(device.clone())],
        measurements: None,
        times: i64::MIN..=i64::MAX,
    }
}

/// Writes the rows of a device: column by column where they do not share their times, so that no
/// more than one of them is held.
fn write_device<V: Volume>(
    builder: &mut Builder<V>,
    device: &DeviceScan<V::Dir>,
) -> Result<(), StoreError> {
    let all = device.columns();
    let mut batch = Batch::default();
    let mut write = |mut rows: Rows<'_, _>, series: &[Series]| {
        let mut is_begun = false;
        while device.next_into(&mut rows, &mut batch)? {
            if !is_begun {
                builder.device(&device.device, series)?;
                is_begun = true;
            }
            builder.write(&batch)?;
        }
        Ok::<_, StoreError>(())
    };
    // those of tables are, also where a device has no column
    if device.device.database().is_some() || all.iter().any(|series| series.is_aligned) {
        let aligned = |it: &Series| Series { is_aligned: true, ..it.clone() };
        return write(device.rows()?, &all.iter().map(aligned).collect::<Vec<_>>());
    }
    for (at, series) in all.iter().enumerate() {
        write(device.rows_of(&[at], device.times)?, core::slice::from_ref(series))?;
    }
    Ok(())
}
