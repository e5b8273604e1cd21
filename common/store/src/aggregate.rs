//! Counts and extremes without reading points, where deletions and overlaps allow.
//!
//! A chunk answers for itself if it lies within the times, nothing of it is deleted, and no other
//! layer or chunk has points between its first and last one. Where it does not, its points are read.

use core::ops::RangeInclusive;

use tidegate_durable::Storage;
use tidegate_tsfile::Batch;
use tidegate_tsfile::Statistics;
use tidegate_tsfile::TimeRange;

use crate::DeviceScan;
use crate::StoreError;

/// What the points of a series are together.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what was asked for
pub struct Aggregate {
    /// How many there are; [`Statistics::count`] cannot hold so many.
    pub count: u64,
    /// Of all of them, as a file would say it.
    pub statistics: Statistics,
    /// How many of them were read.
    pub n_read: u64,
}

/// Points that lie together.
struct Piece<'s> {
    range: TimeRange,
    /// If they can answer for themselves.
    statistics: Option<&'s Statistics>,
}

impl<S: Storage> DeviceScan<S> {
    /// What the points of one column are together.
    ///
    /// `column` is a place in [`columns`](Self::columns).
    pub fn aggregate(&self, column: usize) -> Result<Aggregate, StoreError> {
        self.aggregate_within(column, self.times)
    }

    /// What the points of one column within some of the times are together.
    pub fn aggregate_between(
        &self,
        column: usize,
        times: &RangeInclusive<i64>,
    ) -> Result<Aggregate, StoreError> {
        self.aggregate_within(column, self.times_in(times))
    }

    /// In how many pieces the points of one column lie: what it costs to look through them.
    pub fn n_chunks(&self, column: usize) -> usize {
        let series = self.parts.iter().flat_map(|part| &part.series);
        let own = series.filter(|(place, _)| *place == column);
        own.map(|(_, series)| series.chunks.len()).sum()
    }

    fn aggregate_within(&self, column: usize, times: TimeRange) -> Result<Aggregate, StoreError> {
        let data_type = self.columns.get(column).map(|column| column.data_type);
        let statistics = Statistics::empty(data_type);
        let mut found = Aggregate { count: 0, statistics, n_read: 0 };
        let mut pieces = self.pieces(column, times).into_iter().peekable();
        while let Some(Piece { mut range, mut statistics }) = pieces.next() {
            while let Some(next) = pieces.next_if(|next| next.range.start <= range.end) {
                (range, statistics) = (range.union(next.range), None);
            }
            match statistics {
                Some(statistics) => {
                    found.count = found.count.saturating_add(statistics.count.into());
                    found.statistics.merge(statistics);
                }
                None => self.read_into(column, range, times, &mut found)?,
            }
        }
        Ok(found)
    }

    /// All chunks with points within the times, by their first times.
    fn pieces(&self, column: usize, times: TimeRange) -> Vec<Piece<'_>> {
        let data_type = self.columns.get(column).map(|column| column.data_type);
        let mut pieces = Vec::new();
        for part in &self.parts {
            let own = part.series.iter().position(|(place, _)| *place == column);
            let Some((own, (_, series))) = own.and_then(|own| Some((own, part.series.get(own)?)))
            else {
                continue;
            };
            for chunk in &series.chunks {
                let Statistics { count, start_time: start, end_time: end, .. } = chunk.statistics;
                let range = TimeRange { start, end };
                if count == 0 || !range.overlaps(times) {
                    continue;
                }
                let is_inside = times.start <= start && end <= times.end;
                let is_own =
                    is_inside && series.data_type == data_type && part.is_whole(own, range);
                pieces.push(Piece { range, statistics: is_own.then_some(&chunk.statistics) });
            }
        }
        let memory = self.memory.devices().get(&self.device);
        let name = self.columns.get(column).map(|column| &*column.measurement);
        let in_memory = memory.and_then(|device| device.series.get(name?));
        if let Some(series) = in_memory
            && let batch = series.points(times)
            && let (Some(start), Some(end)) = (batch.times.first(), batch.times.last())
        {
            let range = TimeRange { start: *start, end: *end };
            pieces.push(Piece { range, statistics: None });
        }
        pieces.sort_by_key(|piece| piece.range.start);
        pieces
    }

    fn read_into(
        &self,
        column: usize,
        range: TimeRange,
        times: TimeRange,
        found: &mut Aggregate,
    ) -> Result<(), StoreError> {
        let times =
            TimeRange { start: range.start.max(times.start), end: range.end.min(times.end) };
        let mut rows = self.rows_of(&[column], times)?;
        let mut batch = Batch::default();
        while self.next_into(&mut rows, &mut batch)? {
            // rows without a cell are none, so that every time has its value
            if let Some(column) = batch.columns.first() {
                let part =
                    Statistics::of(Some(column.data_type), &batch.times, Some(&column.values));
                found.count = found.count.saturating_add(batch.len() as u64);
                found.n_read = found.n_read.saturating_add(batch.len() as u64);
                found.statistics.merge(&part);
            }
        }
        Ok(())
    }
}
