//! A TsFile that is being written, front to back.

use std::io::Write;

use super::error::WriteError;
use super::options::SeriesSpec;
use super::options::WriteOptions;
use crate::Batch;
use crate::DeviceExtent;
use crate::DeviceId;
use crate::Resource;
use crate::TableSchema;
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
    out: W,
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
    pub fn resource(&self) -> Resource {
        unreachable!()
    }
}

impl<W: Write> TsFileWriter<W> {
    /// Writes the head of the file.
    pub fn new(out: W, options: WriteOptions) -> Result<Self, WriteError> {
        options.check()?;
        Ok(Self { out })
    }

    /// Declares a table of the table model (version 4), before its first device.
    pub fn declare_table(&mut self, schema: TableSchema) -> Result<(), WriteError> {
        let _ = schema;
        unreachable!()
    }

    /// Begins a series with times of its own, of which batches of one column follow.
    ///
    /// A cell that is null gives no point.
    pub fn begin_series(
        &mut self,
        device: &DeviceId,
        series: &SeriesSpec,
    ) -> Result<(), WriteError> {
        let _ = (device, series);
        unreachable!()
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
        let _ = (device, columns);
        unreachable!()
    }

    /// Appends rows to what was begun last.
    pub fn write(&mut self, batch: &Batch) -> Result<(), WriteError> {
        let _ = batch;
        unreachable!()
    }

    /// Writes what is left, the index and the tail.
    pub fn finish(self) -> Result<Written<W>, WriteError> {
        let _ = self.out;
        unreachable!()
    }
}
