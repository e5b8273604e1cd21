//! Counts and extremes without reading points, where deletions and overlaps allow.
//!
//! A chunk answers for itself if it lies within the times, nothing of it is deleted, and no other
//! layer or chunk has points between its first and last one. Where it does not, its points are read.

use core::ops::RangeInclusive;

use tidegate_durable::Storage;
use tidegate_model::DataType;
use tidegate_tsfile::Batch;
use tidegate_tsfile::Statistics;
use tidegate_tsfile::TimeRange;
use tidegate_tsfile::ValueStatistics;
use tidegate_tsfile::Values;

use crate::DeviceScan;
use crate::StoreError;

/// What the points of a series are together.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what was asked for
pub struct Aggregate {
    /// How many there are; [`Statistics::count`] cannot hold so many.
    pub count: u64,
    /// Of all of them, as a file would say it, but for a NaN: it is neither minimum nor maximum where there
    /// is anything else.
    pub statistics: Statistics,
    /// How many of them were read.
    pub n_read: u64,
}

/// Points that lie together.
struct Piece<'s> {
    range: TimeRange,
    /// If they can answer for themselves. Those of long texts do not say which these are.
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
                Some(statistics) if has_shed_texts(data_type, statistics) => {
                    self.take_texts(column, range, statistics, &mut found)?;
                }
                Some(statistics) => {
                    found.count = found.count.saturating_add(statistics.count.into());
                    merge_past_nan(&mut found.statistics, statistics);
                }
                None => self.read_into(column, range, times, &mut found)?,
            }
        }
        Ok(found)
    }

    /// Takes in points that can answer for themselves but for their texts, of which TEXT has the first and
    /// the last one, and STRING the least and the greatest as well.
    fn take_texts(
        &self,
        column: usize,
        range: TimeRange,
        statistics: &Statistics,
        found: &mut Aggregate,
    ) -> Result<(), StoreError> {
        let TimeRange { start, end } = range;
        let is_of_ends = matches!(found.statistics.values, ValueStatistics::Text { .. });
        if !is_of_ends || start == end {
            return self.read_into(column, range, range, found);
        }
        let (count, own_count) = (found.count, found.statistics.count);
        for end in [start, end] {
            let range = TimeRange { start: end, end };
            self.read_into(column, range, range, found)?;
        }
        found.count = count.saturating_add(statistics.count.into());
        found.statistics.count = own_count.saturating_add(statistics.count);
        Ok(())
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
                let is_own = is_inside
                    && series.data_type == data_type
                    && part.is_whole(own, range)
                    && !has_nan(&chunk.statistics);
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
                let part = statistics_past_nan(column.data_type, &batch.times, &column.values);
                found.count = found.count.saturating_add(batch.len() as u64);
                found.n_read = found.n_read.saturating_add(batch.len() as u64);
                merge_past_nan(&mut found.statistics, &part);
            }
        }
        Ok(())
    }
}

/// Whether nothing is said of values of which a file says something.
fn has_shed_texts(data_type: Option<DataType>, statistics: &Statistics) -> bool {
    let is_none = |it: &Statistics| matches!(it.values, ValueStatistics::None);
    is_none(statistics) && !is_none(&Statistics::empty(data_type))
}

/// The statistics of points. In those of files a NaN in front stays minimum and maximum, as in Java; here
/// both pass over it.
pub fn statistics_past_nan(data_type: DataType, times: &[i64], values: &Values) -> Statistics {
    let mut found = Statistics::of(Some(data_type), times, Some(values));
    if has_nan(&found) {
        match (&mut found.values, values) {
            (ValueStatistics::Float(found), Values::Float(values)) => {
                let values = values.iter().copied().filter(|value| !value.is_nan());
                found.min = values.clone().reduce(f32::min).unwrap_or(found.min);
                found.max = values.reduce(f32::max).unwrap_or(found.max);
            }
            (ValueStatistics::Double(found), Values::Double(values)) => {
                let values = values.iter().copied().filter(|value| !value.is_nan());
                found.min = values.clone().reduce(f64::min).unwrap_or(found.min);
                found.max = values.reduce(f64::max).unwrap_or(found.max);
            }
            _ => (),
        }
    }
    found
}

/// Takes in the statistics of other points, whose minimum and maximum count where there was but a NaN.
pub fn merge_past_nan(own: &mut Statistics, other: &Statistics) {
    own.merge(other);
    match (&mut own.values, &other.values) {
        (ValueStatistics::Float(own), ValueStatistics::Float(other)) => {
            own.min = if own.min.is_nan() { other.min } else { own.min };
            own.max = if own.max.is_nan() { other.max } else { own.max };
        }
        (ValueStatistics::Double(own), ValueStatistics::Double(other)) => {
            own.min = if own.min.is_nan() { other.min } else { own.min };
            own.max = if own.max.is_nan() { other.max } else { own.max };
        }
        _ => (),
    }
}

/// Whether minimum or maximum is a NaN, which says nothing of the other values.
fn has_nan(statistics: &Statistics) -> bool {
    match &statistics.values {
        ValueStatistics::Float(found) => found.min.is_nan() || found.max.is_nan(),
        ValueStatistics::Double(found) => found.min.is_nan() || found.max.is_nan(),
        _ => false,
    }
}
