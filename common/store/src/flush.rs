//! Writes the rows in memory to files, one per folder and partition.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_model::DataType;
use tidegate_tsfile::TimeRange;
use tidegate_tsfile::TsFileVersion;

use crate::Device;
use crate::StoreError;
use crate::build::Builder;
use crate::build::table_schemas;
use crate::catalog::Change;
use crate::file::LayerFile;
use crate::layer::LayerKind;
use crate::leftovers::take_back;
use crate::memory::MemoryDevice;
use crate::snapshot::Series;
use crate::store::Store;
use crate::store::folder_of;
use crate::volume::Volume;

/// Most files of one flush. Rows of more partitions share files: peers choose times, and must not
/// choose how many files there are.
const FILES_MAX: usize = 64;

/// Devices of one file, each with the times that go into it.
type Slices = BTreeMap<Device, TimeRange>;

/// Where the file of some rows lies. Folders of two databases may have one name, and a file is of
/// one model.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Place {
    database: Option<Box<str>>,
    folder: String,
    partition: i64,
}

impl<V: Volume> Store<V> {
    /// Writes the rows in memory to files; then everything that was given is durable here.
    ///
    /// In the middle of a record those of its rows that have come are written, and the position
    /// stays before it.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        if self.memory.is_empty() {
            return Ok(());
        }
        let mut written: Vec<LayerFile<V::Dir>> = Vec::new();
        let change = self.write_memory(&mut written).and_then(|()| {
            let added = written.iter().map(|it| it.layer.clone()).collect();
            let position = self.applied.max(self.catalog.state().position);
            self.catalog.change(&Change { position, added, ..Change::default() })
        });
        if let Err(error) = change {
            let back = |error, it: &LayerFile<V::Dir>| take_back(&it.dir, &it.layer, error);
            return Err(written.iter().fold(error, back));
        }
        written.into_iter().for_each(|layer| self.add_layer(layer));
        self.memory = Arc::default();
        (self.memory_precedence, self.memory_arrival_ms) = (0, 0);
        Ok(())
    }

    /// Writes files of the rows in memory, of which the catalog does not speak yet.
    fn write_memory(&self, written: &mut Vec<LayerFile<V::Dir>>) -> Result<(), StoreError> {
        let memory = Arc::clone(&self.memory);
        let mut next_id = self.catalog.state().next_id;
        // What came between rows in memory does not meet them, or was done to them. Where a record is
        // written in parts they have one precedence, and the arrival tells which came later: unlike
        // their numbers it stands in the name.
        let precedence = self.memory_precedence;
        let equals = self.layers().filter(|it| it.precedence == precedence);
        let behind_ms = equals.map(|it| it.arrival_ms.saturating_add(1)).max();
        let arrival_ms = self.memory_arrival_ms.max(behind_ms.unwrap_or(0));
        for (key, slices) in self.slices() {
            let mut layer = self.new_layer(LayerKind::Flushed, precedence, arrival_ms);
            layer.id = next_id;
            let Place { database, folder, partition } = key;
            layer.database = database;
            let others: Vec<_> = written.iter().map(|it| it.layer.clone()).collect();
            layer.region = self.region_of(&folder, &others);
            (layer.folder, layer.partition) = (folder.into(), partition);
            self.name(&mut layer);
            let found = slices.iter().filter_map(|(device, range)| {
                Some((device, memory.devices().get(device)?, *range))
            });
            let devices: Vec<(&Device, &MemoryDevice, TimeRange)> = found.collect();
            let named = devices.iter().map(|(device, rows, _)| (*device, series_of(rows)));
            let tables = table_schemas(&self.catalog.state().tables, named);
            let version = version_of(&devices);
            let built = Builder::begin(&self.volume, layer.clone(), version, tables);
            let built = built.and_then(|mut builder| {
                for (device, rows, times) in devices {
                    write_device(&mut builder, device, rows, times)?;
                }
                builder.finish()
            });
            let built = built.map_err(|error| match self.volume.dir(&layer.directory()) {
                Ok(dir) => take_back(&dir, &layer, error),
                Err(_) => error,
            })?;
            if let Some(layer) = built {
                next_id = next_id.saturating_add(1);
                written.push(layer);
            }
        }
        Ok(())
    }

    /// Which rows go into which file.
    fn slices(&self) -> BTreeMap<Place, Slices> {
        let mut files: BTreeMap<Place, Slices> = BTreeMap::new();
        for (device, rows) in self.memory.devices() {
            let database: Option<Box<str>> = device.database().map(Box::from);
            let folder = folder_of(device);
            let mut partitions = BTreeMap::new();
            for time in rows.times() {
                let point = TimeRange { start: time, end: time };
                let own = partitions.entry(self.partition_of(time)).or_insert(point);
                *own = own.union(point);
            }
            for (partition, range) in partitions {
                let (database, folder) = (database.clone(), folder.clone());
                let place = Place { database, folder, partition };
                files.entry(place).or_default().insert(device.clone(), range);
            }
        }
        if files.len() <= FILES_MAX {
            return files;
        }
        let mut merged: BTreeMap<_, (i64, Slices)> = BTreeMap::new();
        for (Place { database, folder, partition }, slices) in files {
            let own = merged.entry((database, folder));
            let (_, own) = own.or_insert_with(|| (partition, Slices::new()));
            for (device, range) in slices {
                let times = own.entry(device).or_insert(range);
                *times = times.union(range);
            }
        }
        let place = |((database, folder), (partition, slices))| {
            (Place { database, folder, partition }, slices)
        };
        merged.into_iter().map(place).collect()
    }
}

fn series_of(rows: &MemoryDevice) -> Vec<Series> {
    let series = rows.series.iter().map(|(measurement, series)| Series {
        measurement: measurement.clone(),
        data_type: series.data_type,
        is_aligned: rows.is_aligned,
    });
    series.collect()
}

/// What IoTDB 1.x can read, too, where it has the model and the types.
fn version_of(devices: &[(&Device, &MemoryDevice, TimeRange)]) -> TsFileVersion {
    let is_new = |(device, rows, _): &(&Device, &MemoryDevice, TimeRange)| {
        device.database().is_some()
            || rows.series.values().any(|series| series.data_type == DataType::Object)
    };
    match devices.iter().any(is_new) {
        true => TsFileVersion::V4,
        false => TsFileVersion::V3,
    }
}

fn write_device<V: Volume>(
    builder: &mut Builder<V>,
    device: &Device,
    rows: &MemoryDevice,
    times: TimeRange,
) -> Result<(), StoreError> {
    let series = series_of(rows);
    if rows.is_aligned {
        let names: Vec<&str> = series.iter().map(|series| &*series.measurement).collect();
        let batch = rows.batch(&names, times);
        if batch.is_empty() {
            return Ok(());
        }
        builder.device(device, &series)?;
        return builder.write(&batch);
    }
    for series in &series {
        let batch = rows.batch(&[&series.measurement], times);
        if !batch.is_empty() {
            builder.device(device, core::slice::from_ref(series))?;
            builder.write(&batch)?;
        }
    }
    Ok(())
}
