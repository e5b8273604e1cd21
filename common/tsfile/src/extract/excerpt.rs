//! The wanted points of a file as a file of their own.

use core::fmt;
use std::io;
use std::io::Write;

use tidegate_model::Category;
use tidegate_model::DataType;

use super::WantedSeries;
use super::careful::CarefulRows;
use super::share::Wanted;
use super::unread::Passes;
use super::unread::Unread;
use crate::Batch;
use crate::Cuts;
use crate::Device;
use crate::DeviceId;
use crate::ModEntry;
use crate::ReadAt;
use crate::ReadError;
use crate::Selection;
use crate::SeriesMetadata;
use crate::SeriesSpec;
use crate::Statistics;
use crate::TableSchema;
use crate::TsFile;
use crate::TsFileVersion;
use crate::TsFileWriter;
use crate::WriteError;
use crate::WriteOptions;
use crate::Written;

/// What is asked of [`write_excerpt`].
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs)] // built by the caller
pub struct ExcerptOrder {
    /// Which points.
    pub wanted: Wanted,
    /// What was deleted of the file: the entries of its mods file.
    pub deleted: Vec<ModEntry>,
    /// Whether the devices are of tables.
    pub is_table_model: bool,
    /// Layout of the file that is written.
    pub version: TsFileVersion,
    /// Types that the peer knows; series of others are left out, and counted.
    pub knows: fn(DataType) -> bool,
    /// Whether bytes that cannot be fetched are left out as damaged ones are; else they are an error.
    pub passes_io_errors: bool,
}

impl ExcerptOrder {
    /// What is too large here may pass as tablets.
    fn passes(&self) -> Passes {
        Passes { io_errors: self.passes_io_errors, too_large: false }
    }
}

/// What came of [`write_excerpt`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Excerpt<W> {
    /// The file; `None` if no point is wanted. What `out` was given then is of no use.
    pub written: Option<Written<W>>,
    /// Series with wanted points that were left out since the peer does not know their type.
    pub n_unknown: u32,
    /// What could not be read.
    pub unread: Unread,
}

/// Columns of an aligned device that are read at once; each may have a page in memory. A device comes
/// once in a file, so more cannot be done one after the other.
const COLUMNS_MAX: usize = 1024;

/// Writes the points of a file that are wanted, as a file. What is damaged is left out, page by page and
/// column by column.
///
/// The same file and order give the same bytes. Memory taken: the pages being read, one for each
/// column of a device, what the writer takes, and the index of the new file.
pub fn write_excerpt<R: ReadAt, W: Write>(
    file: &TsFile<R>,
    order: &ExcerptOrder,
    out: W,
) -> Result<Excerpt<W>, ExcerptError> {
    let mut writer = TsFileWriter::new(out, WriteOptions::of_version(order.version))?;
    if order.is_table_model {
        for table in file.tables() {
            writer.declare_table(known_columns(table, order.knows))?;
        }
    }
    let unread = Unread::default();
    let mut copy = Copy { file, order, writer, has_rows: false, n_unknown: 0, unread };
    for device in file.devices() {
        let (copied, device) = match device {
            Ok(device) => (copy.wanted_of(&device), Some(device)),
            Err(error) => (Err(error.into()), None),
        };
        match copied {
            Err(ExcerptError::Read(error)) if error.passes(order.passes()) => {
                copy.unread.push_device(device.as_ref().map(Device::id), &error);
            }
            copied => copied?,
        }
    }
    let Copy { writer, has_rows, n_unknown, unread, .. } = copy;
    let written = if has_rows { Some(writer.finish()?) } else { None };
    Ok(Excerpt { written, n_unknown, unread })
}

/// Rows on their way from one file to the other.
struct Copy<'f, R, W> {
    file: &'f TsFile<R>,
    order: &'f ExcerptOrder,
    writer: TsFileWriter<W>,
    has_rows: bool,
    n_unknown: u32,
    unread: Unread,
}

impl<'f, R: ReadAt, W: Write> Copy<'f, R, W> {
    fn wanted_of(&mut self, device: &Device) -> Result<(), ExcerptError> {
        let ExcerptOrder { wanted, is_table_model, knows, .. } = self.order;
        let found = WantedSeries::of(self.file, device, wanted, *is_table_model, *knows)?;
        let Some(found) = found else { return Ok(()) };
        self.n_unknown = self.n_unknown.saturating_add(found.n_unknown);
        if found.series.is_empty() && !(*is_table_model && found.has_rows(wanted)) {
            return Ok(());
        }
        self.device(device.id(), found)
    }

    fn device(&mut self, device: &DeviceId, found: WantedSeries) -> Result<(), ExcerptError> {
        let spec = |one: &SeriesMetadata| {
            one.data_type.map(|data_type| SeriesSpec::new(&one.measurement, data_type))
        };
        let WantedSeries { time, series, .. } = found;
        let Some(time) = time else {
            for one in &series {
                let Some(spec) = spec(one) else { continue };
                let rows = self.careful(device, None, vec![one.clone()]);
                self.rows(rows, |writer| writer.begin_series(device, &spec))?;
            }
            return Ok(());
        };
        if series.len() > COLUMNS_MAX {
            let (device, found) = (device.path.clone(), series.len());
            return Err(ExcerptError::TooWide { device, found, max: COLUMNS_MAX });
        }
        let mut series = series;
        let mut at = 0usize;
        while let Some(one) = series.get(at) {
            match self.has_points(device, &time, one)? {
                true => at = at.saturating_add(1),
                false => drop(series.remove(at)),
            }
        }
        if series.is_empty() && !self.order.is_table_model {
            return Ok(());
        }
        let specs: Vec<SeriesSpec> = series.iter().filter_map(spec).collect();
        let rows = self.careful(device, Some(time), series);
        self.rows(rows, |writer| writer.begin_aligned(device, &specs))
    }

    /// Whether a column of an aligned device has a value in the rows that are wanted: without one it
    /// would only make a series at the far side.
    fn has_points(
        &mut self,
        device: &DeviceId,
        time: &SeriesMetadata,
        one: &SeriesMetadata,
    ) -> Result<bool, ReadError> {
        let times = &self.order.wanted.times;
        let Statistics { start_time, end_time, .. } = one.statistics;
        if self.order.deleted.is_empty() && times.contains(&start_time) && times.contains(&end_time)
        {
            return Ok(true);
        }
        let mut rows = self.careful(device, Some(time.clone()), vec![one.clone()]);
        let mut batch = Batch::default();
        let mut unread = Unread::default();
        while rows.next_into(&mut batch, &mut unread)? {
            if batch.n_points() > 0 {
                // What is damaged of it is met again.
                return Ok(true);
            }
        }
        self.unread.append(unread);
        Ok(false)
    }

    fn careful(
        &self,
        device: &DeviceId,
        time: Option<SeriesMetadata>,
        series: Vec<SeriesMetadata>,
    ) -> CarefulRows<'f, R> {
        let names: Vec<&str> = series.iter().map(|it| &*it.measurement).collect();
        let cuts = Cuts::of(&self.order.deleted, device, &names);
        let selection = Selection { times: self.order.wanted.times.clone(), cuts };
        CarefulRows::new(self.file, device, time, series, selection, self.order.passes())
    }

    /// Copies the rows, if there are any, behind what `begin` writes.
    fn rows(
        &mut self,
        mut rows: CarefulRows<'_, R>,
        begin: impl FnOnce(&mut TsFileWriter<W>) -> Result<(), WriteError>,
    ) -> Result<(), ExcerptError> {
        let mut begin = Some(begin);
        let mut batch = Batch::default();
        while rows.next_into(&mut batch, &mut self.unread)? {
            if !self.order.is_table_model {
                batch.drop_empty_rows();
            }
            if batch.is_empty() {
                continue;
            }
            if let Some(begin) = begin.take() {
                begin(&mut self.writer)?;
                self.has_rows = true;
            }
            self.writer.write(&batch)?;
        }
        Ok(())
    }
}

/// A table without the fields that the peer does not know.
fn known_columns(table: &TableSchema, knows: fn(DataType) -> bool) -> TableSchema {
    let columns = table.columns.iter();
    let known = columns.filter(|it| it.category != Category::Field || knows(it.data_type));
    TableSchema { name: table.name.clone(), columns: known.cloned().collect() }
}

/// Why points cannot be made into a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum ExcerptError {
    /// The file could not be read.
    Read(ReadError),
    /// An aligned device has too many wanted columns.
    TooWide {
        /// The device.
        device: Box<str>,
        /// How many it has.
        found: usize,
        /// Most that are allowed.
        max: usize,
    },
    /// The new file could not be written.
    Write(WriteError),
}

impl ExcerptError {
    /// Why the bytes could not be written, if that is what went wrong.
    pub fn written_to(&self) -> Option<&io::Error> {
        match self {
            Self::Write(WriteError::Io { source, .. }) => Some(source),
            _ => None,
        }
    }
}

impl From<ReadError> for ExcerptError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<WriteError> for ExcerptError {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

impl fmt::Display for ExcerptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::TooWide { device, found, max } => {
                write!(f, "{device}: expected at most {max} columns, but found {found}")
            }
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ExcerptError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Read(error) => Some(error),
            Self::TooWide { .. } => None,
            Self::Write(error) => Some(error),
        }
    }
}
