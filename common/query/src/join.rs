//! Rows of several devices joined by time, the oldest first.
//!
//! Memory is taken for one batch of each device. Devices whose rows have the same times, and times
//! that only one device has, are joined run by run.

use core::ops::Range;
use core::ops::RangeInclusive;

use tidegate_durable::Storage;
use tidegate_model::DataType;
use tidegate_store::DeviceScan;
use tidegate_store::Rows;
use tidegate_tsfile::BATCH_BYTES;
use tidegate_tsfile::Batch;

use crate::QueryError;
use crate::site::Cell;
use crate::site::Opened;
use crate::site::Sites;

/// How many rows are made at once, about.
pub(crate) const BATCH_ROWS: usize = 8192;

/// What of some devices is joined.
pub(crate) struct Plan<'s, S: Storage> {
    parts: Vec<Part<'s, S>>,
    pub(crate) types: Vec<DataType>,
}

struct Part<'s, S: Storage> {
    scan: Opened<'s, S>,
    /// Columns of the device.
    columns: Vec<usize>,
    /// Where they are in the rows of the join.
    places: Vec<usize>,
}

impl<'s, S: Storage> Plan<'s, S> {
    /// Rows of these series, which are all different, column by column.
    pub(crate) fn new(sites: &'s Sites<'_, S>, cells: &[Cell]) -> Result<Self, QueryError> {
        if cells.len() > crate::JOINED_MAX {
            return Err(QueryError::too_many(
                "series joined by time",
                cells.len(),
                crate::JOINED_MAX,
            ));
        }
        let types = cells.iter().map(|cell| sites.data_type(*cell)).collect();
        let mut by_site: Vec<(Cell, usize)> =
            cells.iter().enumerate().map(|(place, cell)| (*cell, place)).collect();
        by_site.sort_unstable();
        let mut parts = Vec::new();
        for own in by_site.chunk_by(|(one, _), (other, _)| one.site == other.site) {
            let site = own.first().map_or(usize::MAX, |(cell, _)| cell.site);
            let Some(scan) = sites.open(site)? else { continue };
            let columns = own.iter().map(|(cell, _)| cell.column).collect();
            let places = own.iter().map(|(_, place)| *place).collect();
            parts.push(Part { scan, columns, places });
        }
        Ok(Self { parts, types })
    }

    /// Times outside of which there are no rows; `None` if there are none at all.
    pub(crate) fn range(&self) -> Option<RangeInclusive<i64>> {
        let ranges = self
            .parts
            .iter()
            .flat_map(|part| part.columns.iter().filter_map(|column| part.scan.range(*column)));
        ranges.reduce(|one, other| *one.start().min(other.start())..=*one.end().max(other.end()))
    }

    /// The rows within some times.
    pub(crate) fn rows(&self, times: &RangeInclusive<i64>) -> Result<Join<'_, S>, QueryError> {
        let mut inputs = Vec::new();
        for Part { scan, columns, places } in &self.parts {
            let rows = scan.rows_between(columns, times)?.one_of(self.parts.len());
            let (batch, values) = (Batch::default(), Vec::new());
            inputs.push(Input { scan, rows, places, batch, row: 0, values, is_over: false });
        }
        Ok(Join { inputs, types: &self.types })
    }
}

/// Rows of several devices.
pub(crate) struct Join<'p, S: Storage> {
    inputs: Vec<Input<'p, S>>,
    types: &'p [DataType],
}

struct Input<'p, S: Storage> {
    scan: &'p DeviceScan<S>,
    rows: Rows<'p, S::File>,
    places: &'p [usize],
    batch: Batch,
    /// The next row of `batch`.
    row: usize,
    /// Where in the values of each column of `batch` that row has its own, if it has one.
    values: Vec<usize>,
    is_over: bool,
}

impl<S: Storage> Input<'_, S> {
    fn left(&self) -> &[i64] {
        self.batch.times.get(self.row..).unwrap_or_default()
    }

    fn fill(&mut self) -> Result<(), QueryError> {
        while !self.is_over && self.left().is_empty() {
            self.is_over = !self.scan.next_into(&mut self.rows, &mut self.batch)?;
            if self.is_over {
                self.batch.clear();
            }
            self.row = 0;
            self.values.clear();
            self.values.resize(self.batch.columns.len(), 0);
        }
        Ok(())
    }

    fn move_rows(&mut self, n_rows: usize, out: &mut Batch) {
        let rows: Range<usize> = self.row..self.row.saturating_add(n_rows);
        let columns = self.places.iter().zip(&self.batch.columns).zip(&mut self.values);
        for ((place, column), value) in columns {
            if let Some(out) = out.columns.get_mut(*place) {
                *value = out.append(column, rows.clone(), *value);
            }
        }
        self.row = rows.end;
    }

    fn push_nulls(&self, n_rows: usize, out: &mut Batch) {
        for place in self.places {
            if let Some(out) = out.columns.get_mut(*place) {
                out.presence.push_many(false, n_rows);
            }
        }
    }
}

impl<S: Storage> Join<'_, S> {
    /// The next rows into `out`, whose own rows are forgotten; `false` behind the last ones.
    pub(crate) fn next_into(&mut self, out: &mut Batch) -> Result<bool, QueryError> {
        if let [only] = self.inputs.as_mut_slice()
            && only.places.iter().copied().eq(0..self.types.len())
        {
            return Ok(only.scan.next_into(&mut only.rows, out)?);
        }
        out.shape(self.types.iter().copied());
        while out.len() < BATCH_ROWS && out.texts_bytes() < BATCH_BYTES {
            for input in &mut self.inputs {
                input.fill()?;
            }
            if !self.run_into(out) {
                break;
            }
        }
        Ok(!out.is_empty())
    }

    /// A run of rows for which the same devices have values; `false` behind the last ones.
    fn run_into(&mut self, out: &mut Batch) -> bool {
        let firsts = self.inputs.iter().filter_map(|input| input.left().first().copied());
        let Some(time) = firsts.clone().min() else { return false };
        let others = firsts.filter(|first| *first > time).min();
        let is_at_time = |input: &&Input<'_, S>| input.left().first() == Some(&time);
        let mut at_time = self.inputs.iter().filter(is_at_time).map(Input::left);
        let first = at_time.next().unwrap_or_default();
        let limit = others.map_or(first.len(), |limit| first.partition_point(|it| *it < limit));
        let most = limit.min(BATCH_ROWS.saturating_sub(out.len())).max(1);
        let run = first.get(..most).unwrap_or_default();
        let n_rows = at_time.fold(run.len(), |n_rows, left| {
            let pairs = run.iter().zip(left).take(n_rows);
            pairs.take_while(|(one, other)| one == other).count()
        });
        // a device may have a row of its own behind the last one that they share
        let run = run.get(..n_rows).unwrap_or_default();
        out.times.extend_from_slice(run);
        for input in &mut self.inputs {
            match input.left().first() == Some(&time) {
                true => input.move_rows(n_rows, out),
                false => input.push_nulls(n_rows, out),
            }
        }
        true
    }
}
