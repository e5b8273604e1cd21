//! What is remembered of chunks until the index is written, in as few bytes as that takes.

use std::collections::BTreeMap;

use tidegate_codec::Writer;
use tidegate_model::DataType;

use super::error::WriteError;
use super::options::SeriesSpec;
use super::out::encode;
use crate::SeriesKind;
use crate::Statistics;
use crate::TimeRange;
use crate::read::index::VECTOR_CODE;

/// A device that has chunks.
#[derive(Debug, Default)]
pub(crate) struct DeviceMemory {
    /// By measurement; that of a time column is empty.
    pub(crate) series: BTreeMap<Box<str>, SeriesMemory>,
}

/// A series that has chunks.
#[derive(Debug)]
pub(crate) struct SeriesMemory {
    pub(crate) kind: SeriesKind,
    /// `None` of a time column.
    pub(crate) data_type: Option<DataType>,
    /// Of all its chunks.
    pub(crate) statistics: Statistics,
    pub(crate) n_chunks: u32,
    first_offset: u64,
    /// The chunks as they will stand in the file; empty while there is one.
    list: Vec<u8>,
}

impl DeviceMemory {
    pub(crate) fn is_aligned(&self) -> bool {
        self.series.contains_key("")
    }

    /// Whether an aligned device has exactly these columns.
    pub(crate) fn has_columns(&self, columns: &[SeriesSpec]) -> bool {
        self.series.len() == columns.len().saturating_add(1)
            && columns.iter().all(|column| {
                let known = self.series.get(&column.measurement);
                known.is_some_and(|known| known.data_type == Some(column.data_type))
            })
    }

    /// Takes in a chunk.
    pub(crate) fn add(
        &mut self,
        series: Option<&SeriesSpec>,
        kind: SeriesKind,
        offset: u64,
        statistics: &Statistics,
    ) -> Result<(), WriteError> {
        let measurement = series.map_or("", |series| &*series.measurement);
        if let Some(known) = self.series.get_mut(measurement) {
            return known.add(offset, statistics);
        }
        let new = SeriesMemory {
            kind,
            data_type: series.map(|series| series.data_type),
            statistics: statistics.clone(),
            n_chunks: 1,
            first_offset: offset,
            list: Vec::new(),
        };
        self.series.insert(measurement.into(), new);
        Ok(())
    }

    /// First and last time of all its series.
    pub(crate) fn range(&self) -> TimeRange {
        let empty = TimeRange { start: i64::MAX, end: i64::MIN };
        let ranges = self.series.values().map(|series| {
            let Statistics { start_time: start, end_time: end, .. } = series.statistics;
            TimeRange { start, end }
        });
        ranges.fold(empty, TimeRange::union)
    }
}

impl SeriesMemory {
    fn add(&mut self, offset: u64, statistics: &Statistics) -> Result<(), WriteError> {
        encode(&mut self.list, |writer| {
            if self.n_chunks == 1 {
                write_offset(writer, self.first_offset);
                self.statistics.encode(writer);
            }
            write_offset(writer, offset);
            statistics.encode(writer);
        })?;
        self.statistics.merge(statistics);
        self.n_chunks = self.n_chunks.saturating_add(1);
        Ok(())
    }

    /// Writes the metadata of the series.
    pub(crate) fn encode(&self, measurement: &str, writer: &mut Writer<'_>) {
        let form = u8::from(self.n_chunks > 1);
        let list_bytes = if self.n_chunks > 1 { self.list.len() } else { size_of::<u64>() };
        writer.u8(self.kind.bits() | form);
        writer.vstr(Some(measurement));
        writer.u8(self.data_type.map_or(VECTOR_CODE, DataType::code));
        writer.uvar(u32::try_from(list_bytes).unwrap_or(u32::MAX));
        self.statistics.encode(writer);
        match self.n_chunks {
            1 => write_offset(writer, self.first_offset),
            _ => writer.bytes(&self.list),
        }
    }
}

/// An offset in the file, far below where its sign would be.
pub(crate) fn write_offset(writer: &mut Writer<'_>, offset: u64) {
    writer.i64(offset.cast_signed());
}
