//! A TsFile that is being written, front to back.

use core::fmt;
use std::collections::BTreeMap;
use std::io::Write;

use super::crew::PageHelper;
use super::error::WriteError;
use super::group::Group;
use super::group::Tools;
use super::index::Ingredients;
use super::memory::DeviceMemory;
use super::names;
use super::options::SeriesSpec;
use super::options::WriteOptions;
use super::out::Out;
use super::packer::Packer;
use crate::Batch;
use crate::DeviceExtent;
use crate::DeviceId;
use crate::MAGIC;
use crate::Resource;
use crate::TableSchema;
use crate::TimeIndex;
use crate::TsFileVersion;

/// A TsFile that is being written.
///
/// Bytes go out in the order of the file, and none is gone back to. In memory are the chunks that
/// are being filled, and until [`finish`](Self::finish) what the index must say of every chunk.
///
/// 1. [`declare_table`](Self::declare_table) for each table, if devices of tables will come
/// 2. [`begin_series`](Self::begin_series) or [`begin_aligned`](Self::begin_aligned)
/// 3. [`write`](Self::write) as often as there are rows; then 2 again
/// 4. [`finish`](Self::finish): without it there is no TsFile
///
/// Series of one device should follow one another. A series or device may come again, with later
/// times: within one file the times of a series ascend, because IoTDB takes that for granted.
#[derive(Debug)]
pub struct TsFileWriter<W> {
    options: WriteOptions,
    tools: Tools<W>,
    tables: Vec<TableSchema>,
    /// What was begun last.
    group: Option<Group>,
    n_points: u64,
}

/// A finished file.
#[derive(Debug)]
#[non_exhaustive]
pub struct Written<W> {
    /// Where it was written to; not flushed.
    pub out: W,
    /// Layout of the file.
    pub version: TsFileVersion,
    /// Length of the file.
    pub length_bytes: u64,
    /// How many cells are not null.
    pub n_points: u64,
    /// How many chunks there are, those of time columns and empty ones included.
    pub n_chunks: u64,
    /// Devices with their first and last time, in the order of the index.
    pub extents: Vec<DeviceExtent>,
}

impl<W> Written<W> {
    /// The `.resource` to be put beside the file.
    ///
    /// It names no mods and says nothing of progress: set what is known before it is encoded.
    pub fn resource(&self) -> Resource {
        let time_index = match self.version {
            TsFileVersion::V3 => TimeIndex::Paths,
            _ => TimeIndex::Segments,
        };
        Resource::new(time_index, self.extents.clone())
    }
}

impl<W: Write> TsFileWriter<W> {
    /// Writes the head of the file.
    pub fn new(out: W, options: WriteOptions) -> Result<Self, WriteError> {
        options.check()?;
        let packer = Packer::new(options.compression)?;
        let mut out = Out::new(out);
        out.structure(|writer| {
            writer.bytes(MAGIC);
            writer.u8(options.version.byte());
        })?;
        let tools = Tools { out, packer, devices: BTreeMap::new() };
        Ok(Self { options, tools, tables: Vec::new(), group: None, n_points: 0 })
    }

    /// Somebody to be run by another thread, who compresses pages while this one encodes. There may be
    /// several; a second one finds little to do. `None` if nothing is compressed.
    ///
    /// The file is the same with any number of them.
    pub fn helper(&mut self) -> Result<Option<PageHelper>, WriteError> {
        self.tools.packer.helper()
    }

    /// Declares a table of the table model (version 4), before its first device.
    pub fn declare_table(&mut self, schema: TableSchema) -> Result<(), WriteError> {
        names::table_schema(&schema, self.options.version)?;
        if self.tables.iter().any(|known| known.name == schema.name) {
            let expected = "to be declared once";
            return Err(WriteError::Table {
                table: schema.name.clone(),
                expected,
                found: schema.name,
            });
        }
        self.tables.push(schema);
        Ok(())
    }

    /// Begins a series with times of its own, of which batches of one column follow.
    ///
    /// A cell that is null gives no point.
    pub fn begin_series(
        &mut self,
        device: &DeviceId,
        series: &SeriesSpec,
    ) -> Result<(), WriteError> {
        self.tools.out.check()?;
        let device = names::device(device, self.options.version)?;
        names::series(series, self.options.version)?;
        let refuse = |device: DeviceId, expected, found: &dyn fmt::Display| {
            let found = found.to_string().into();
            Err(WriteError::Columns { device: device.path, expected, found })
        };
        if names::table(&device).is_some() {
            return refuse(device, "columns with common times in the table model", &"a series");
        }
        // What is closed may be of the same device.
        self.close_group()?;
        let known = self.tools.devices.get(&device);
        if known.is_some_and(DeviceMemory::is_aligned) {
            return refuse(device, "columns with common times, as before", &series.measurement);
        }
        let known = known.and_then(|known| known.series.get(&series.measurement));
        if known.is_some_and(|known| known.data_type != Some(series.data_type)) {
            let expected = "the type that the series had before";
            return refuse(device, expected, &series.data_type);
        }
        let last_time = known.map(|known| known.statistics.end_time);
        let has_header =
            self.group.as_ref().is_some_and(|it| it.has_header && it.is_plain_of(&device));
        let mut group = Group::plain(device, series.clone(), last_time, &self.options);
        group.has_header = has_header;
        self.group = Some(group);
        Ok(())
    }

    /// Begins an aligned device, of which batches with these columns follow.
    ///
    /// If it comes again its columns must be the same: IoTDB pairs the n-th chunk of a column with
    /// the n-th of the times, so that a column that begins later would get the wrong times.
    pub fn begin_aligned(
        &mut self,
        device: &DeviceId,
        columns: &[SeriesSpec],
    ) -> Result<(), WriteError> {
        self.tools.out.check()?;
        let device = names::device(device, self.options.version)?;
        names::columns(&device, columns, self.options.version)?;
        if let Some(table) = names::table(&device) {
            names::columns_of_table(table, columns, &self.tables)?;
        }
        self.close_group()?;
        let known = self.tools.devices.get(&device);
        let expected = match known {
            Some(known) if !known.is_aligned() => Some("series with times of their own, as before"),
            Some(known) if !known.has_columns(columns) => Some("the columns that it had before"),
            _ => None,
        };
        if let Some(expected) = expected {
            let found = format!("{} columns", columns.len()).into();
            return Err(WriteError::Columns { device: device.path, expected, found });
        }
        let times = known.and_then(|known| known.series.get(""));
        let last_time = times.map(|times| times.statistics.end_time);
        self.group = Some(Group::aligned(device, columns.to_vec(), last_time, &self.options));
        Ok(())
    }

    /// Appends rows to what was begun last.
    pub fn write(&mut self, batch: &Batch) -> Result<(), WriteError> {
        self.tools.out.check()?;
        let group = self.group.as_mut().ok_or(WriteError::NotBegun)?;
        group.check(batch)?;
        self.n_points = self.n_points.saturating_add(batch.n_points() as u64);
        let taken = group.take(batch, &mut self.tools);
        self.watched(taken)
    }

    /// Writes what is left, the index and the tail.
    ///
    /// The bytes are handed to `out`, which is neither flushed nor synced.
    pub fn finish(mut self) -> Result<Written<W>, WriteError> {
        self.tools.out.check()?;
        self.close_group()?;
        let Self { options, tools, tables, n_points, .. } = self;
        let Tools { mut out, devices, .. } = tools;
        if devices.is_empty() {
            return Err(WriteError::NoPoints);
        }
        let series = devices.values().flat_map(|device| device.series.values());
        let n_chunks: u64 = series.map(|series| u64::from(series.n_chunks)).sum();
        let WriteOptions { version, index_degree: degree, .. } = options;
        let n_chunks_reckoned = usize::try_from(n_chunks).unwrap_or(usize::MAX);
        let ingredients = Ingredients {
            version,
            degree,
            devices: &devices,
            tables: &tables,
            n_chunks: n_chunks_reckoned,
        };
        let in_order = ingredients.write(&mut out)?;
        let extents = in_order
            .into_iter()
            .map(|(device, memory)| DeviceExtent { device: device.clone(), range: memory.range() });
        let extents = extents.collect();
        let (out, length_bytes) = out.finish()?;
        Ok(Written { out, version, length_bytes, n_points, n_chunks, extents })
    }

    /// Writes what is left of what was begun last.
    fn close_group(&mut self) -> Result<(), WriteError> {
        let closed = match &mut self.group {
            Some(group) => group.close(&mut self.tools),
            None => Ok(()),
        };
        self.watched(closed)
    }

    /// After an error in the midst of rows the file cannot be what it should.
    fn watched(&mut self, done: Result<(), WriteError>) -> Result<(), WriteError> {
        if done.is_err() {
            self.tools.out.give_up();
        }
        done
    }
}
