//! Rows of a device out of several layers: in the order of time, of each cell the one with the
//! greatest precedence, and no row without a cell. Only in tables of files a time is a row by itself.
//!
//! Layers are merged per group of columns: all columns of an aligned device are one group, each
//! other series is one. Groups are then joined by time. A layer is read from the time on at which
//! its first row is due, so that memory is taken for no more layers than overlap at one time.

use core::ops::Range;

use tidegate_model::DataType;
use tidegate_tsfile::BATCH_BYTES;
use tidegate_tsfile::Batch;
use tidegate_tsfile::BatchColumn;
use tidegate_tsfile::Rows as FileRows;
use tidegate_tsfile::rows_of_merge;

use crate::StoreError;
use crate::columns::append;
use crate::columns::converted;
use crate::damage::Damage;
use crate::volume::StoredFile;

/// As much as a page of our own has, which is read at once: less would save nothing.
const SHARE_BYTES_MIN: usize = 128 << 10;

/// What of so many bytes each of `n` may hold.
fn share_of(bytes_max: usize, n: usize) -> usize {
    bytes_max.checked_div(n).unwrap_or(bytes_max).max(SHARE_BYTES_MIN)
}

/// Where rows come from.
#[derive(Debug)]
pub(crate) enum Origin<'s, F> {
    /// A file.
    File(FromFile<'s, F>),
    /// Memory, unless they are taken already.
    Memory(Option<Batch>),
}

/// Rows of a file.
#[derive(Debug)]
pub(crate) struct FromFile<'s, F> {
    pub(crate) rows: Box<FileRows<'s, StoredFile<F>>>,
    /// Its place below the store's directory.
    pub(crate) file: &'s str,
    pub(crate) damage: &'s Damage,
}

impl<F: tidegate_durable::StorageFile> FromFile<'_, F> {
    /// The next rows; `false` behind the last ones, and where the rest is left out.
    fn next_into(&mut self, batch: &mut Batch) -> Result<bool, StoreError> {
        self.rows.next_into(batch).or_else(|source| {
            let error = StoreError::Read { file: self.file.to_owned(), source };
            self.damage.pass(self.file, error).map(|()| false)
        })
    }
}

/// One layer of a group.
#[derive(Debug)]
pub(crate) struct Source<'s, F> {
    origin: Origin<'s, F>,
    /// For each column of the group its place among the columns of this layer.
    places: Vec<Option<usize>>,
    /// No row is before this time.
    start: i64,
    is_begun: bool,
    batch: Batch,
    /// The next row of `batch`.
    row: usize,
    /// Where in the values of each column of `batch` that row has its own, if it has one.
    values: Vec<usize>,
}

impl<'s, F: tidegate_durable::StorageFile> Source<'s, F> {
    pub(crate) fn new(origin: Origin<'s, F>, places: Vec<Option<usize>>, start: i64) -> Self {
        let (batch, values) = (Batch::default(), Vec::new());
        Self { origin, places, start, is_begun: false, batch, row: 0, values }
    }

    fn time(&self) -> Option<i64> {
        self.batch.times.get(self.row).copied()
    }

    /// Fetches rows if there are none; `false` at the end.
    fn fill(&mut self, types: &[DataType]) -> Result<bool, StoreError> {
        self.is_begun = true;
        while self.time().is_none() {
            let is_there = match &mut self.origin {
                Origin::File(file) => file.next_into(&mut self.batch)?,
                Origin::Memory(rows) => {
                    let taken = rows.take();
                    let is_there = taken.is_some();
                    self.batch = taken.unwrap_or_default();
                    is_there
                }
            };
            self.row = 0;
            self.values.clear();
            self.values.resize(self.batch.columns.len(), 0);
            if !is_there {
                self.batch.times.clear();
                return Ok(false);
            }
            for (place, data_type) in self.places.iter().zip(types) {
                let column = place.and_then(|place| self.batch.columns.get_mut(place));
                if let Some(column) = column.filter(|column| column.data_type != *data_type) {
                    *column = converted(column, *data_type);
                }
            }
        }
        Ok(true)
    }

    /// Moves rows before `limit` to `out`, `most` at most, and no more than there is room for in bytes.
    fn move_rows(&mut self, limit: Option<i64>, most: usize, room_bytes: usize, out: &mut Batch) {
        let left = self.batch.times.get(self.row..).unwrap_or_default();
        let n_rows = limit.map_or(left.len(), |limit| left.partition_point(|time| *time < limit));
        let rows = self.row..self.row.saturating_add(n_rows.min(most));
        let end = self.row.saturating_add(self.batch.n_rows_within(rows, room_bytes));
        let rows = self.row..end;
        out.times.extend_from_slice(self.batch.times.get(rows.clone()).unwrap_or_default());
        for (place, out) in self.places.iter().zip(&mut out.columns) {
            match place.and_then(|at| Some((self.batch.columns.get(at)?, self.values.get_mut(at)?)))
            {
                Some((column, value)) => *value = append(out, column, rows.clone(), *value),
                None => out.presence.push_many(false, rows.len()),
            }
        }
        self.row = end;
    }

    /// The cell of the present row, if it has one in this column of the group.
    fn cell(&self, column: usize) -> Option<(&BatchColumn, usize)> {
        let place = self.places.get(column).copied()??;
        let column = self.batch.columns.get(place)?;
        column.presence.get(self.row).then_some((column, *self.values.get(place)?))
    }

    /// Leaves the row.
    fn pass(&mut self) {
        for (column, value) in self.batch.columns.iter().zip(&mut self.values) {
            *value = value.saturating_add(usize::from(column.presence.get(self.row)));
        }
        self.row = self.row.saturating_add(1);
    }
}

/// Columns that are merged together.
#[derive(Debug)]
pub(crate) struct Group<'s, F> {
    /// Their places among the columns that are asked for.
    pub(crate) columns: Vec<usize>,
    pub(crate) types: Vec<DataType>,
    /// By ascending precedence.
    pub(crate) sources: Vec<Source<'s, F>>,
}

impl<F: tidegate_durable::StorageFile> Group<'_, F> {
    /// The next rows into `out`, until they have texts of so many bytes; `false` behind the last ones.
    fn next_into(&mut self, bytes_max: usize, out: &mut Batch) -> Result<bool, StoreError> {
        out.shape(self.types.iter().copied());
        let n_rows_max = rows_of_merge(self.types.len());
        while out.len() < n_rows_max {
            let room_bytes = bytes_max.saturating_sub(out.texts_bytes());
            if room_bytes == 0 {
                break;
            }
            let Some(time) = self.next_time()? else { break };
            let others = self.sources.iter().filter_map(|source| match source.is_begun {
                true => source.time().filter(|other| *other > time),
                false => Some(source.start),
            });
            let limit = others.min();
            let at_time = |source: &&mut Source<'_, F>| source.time() == Some(time);
            let n_at_time = self.sources.iter_mut().filter(at_time).count();
            let mut sources = self.sources.iter_mut().filter(at_time);
            if n_at_time == 1
                && let Some(source) = sources.next()
            {
                let most = n_rows_max.saturating_sub(out.len());
                source.move_rows(limit, most, room_bytes, out);
            } else {
                self.merge_row(time, out);
            }
        }
        Ok(!out.is_empty())
    }

    /// The least time that is left, with every source begun that may have a row of it.
    fn next_time(&mut self) -> Result<Option<i64>, StoreError> {
        let mut at = 0usize;
        while let Some(source) = self.sources.get_mut(at) {
            match !source.is_begun || source.fill(&self.types)? {
                true => at = at.saturating_add(1),
                false => drop(self.sources.remove(at)),
            }
        }
        loop {
            let time = self.sources.iter().filter_map(Source::time).min();
            let waiting = self.sources.iter().enumerate().filter(|(_, source)| !source.is_begun);
            let next = waiting.min_by_key(|(_, source)| source.start);
            let due = next.filter(|(_, source)| time.is_none_or(|time| source.start <= time));
            let Some((at, _)) = due else { return Ok(time) };
            let is_there = match self.sources.get_mut(at) {
                Some(source) => source.fill(&self.types)?,
                None => true,
            };
            if !is_there {
                self.sources.remove(at);
            }
        }
    }

    fn merge_row(&mut self, time: i64, out: &mut Batch) {
        out.times.push(time);
        for (at, out) in out.columns.iter_mut().enumerate() {
            let newest_first = self.sources.iter().rev();
            let mut at_time = newest_first.filter(|source| source.time() == Some(time));
            let found = at_time.find_map(|source| Some((source.cell(at)?, source.row)));
            match found {
                Some(((column, value), row)) => {
                    append(out, column, row..row.saturating_add(1), value);
                }
                None => out.presence.push(false),
            }
        }
        for source in self.sources.iter_mut().filter(|source| source.time() == Some(time)) {
            source.pass();
        }
    }
}

/// A group with the rows of it that are due next.
#[derive(Debug)]
struct Joined<'s, F> {
    group: Group<'s, F>,
    batch: Batch,
    row: usize,
    values: Vec<usize>,
    is_over: bool,
}

impl<F: tidegate_durable::StorageFile> Joined<'_, F> {
    fn left(&self) -> &[i64] {
        self.batch.times.get(self.row..).unwrap_or_default()
    }

    fn fill(&mut self, bytes_max: usize) -> Result<(), StoreError> {
        while !self.is_over && self.left().is_empty() {
            self.is_over = !self.group.next_into(bytes_max, &mut self.batch)?;
            self.row = 0;
            self.values.clear();
            self.values.resize(self.batch.columns.len(), 0);
        }
        Ok(())
    }

    fn move_rows(&mut self, rows: Range<usize>, out: &mut Batch) {
        let columns = self.group.columns.iter().zip(&self.batch.columns).zip(&mut self.values);
        for ((place, column), value) in columns {
            if let Some(out) = out.columns.get_mut(*place) {
                *value = append(out, column, rows.clone(), *value);
            }
        }
        self.row = rows.end;
    }

    fn push_nulls(&self, n_rows: usize, out: &mut Batch) {
        for place in &self.group.columns {
            if let Some(out) = out.columns.get_mut(*place) {
                out.presence.push_many(false, n_rows);
            }
        }
    }
}

/// Rows of one device, in the order of time.
#[derive(Debug)]
pub struct Rows<'s, F> {
    groups: Vec<Joined<'s, F>>,
    types: Vec<DataType>,
    /// Whether a time is a row also without a cell.
    keeps_times: bool,
    /// How many bytes of texts are gathered at once.
    bytes_max: usize,
}

impl<'s, F: tidegate_durable::StorageFile> Rows<'s, F> {
    pub(crate) fn new(groups: Vec<Group<'s, F>>, types: Vec<DataType>, keeps_times: bool) -> Self {
        let joined = |group| {
            let (batch, values) = (Batch::default(), Vec::new());
            Joined { group, batch, row: 0, values, is_over: false }
        };
        let groups = groups.into_iter().map(joined).collect();
        Self { groups, types, keeps_times, bytes_max: BATCH_BYTES }
    }

    /// Lets these rows gather no more than their share of what `n_others` as these may hold together.
    #[must_use]
    pub fn one_of(mut self, n_others: usize) -> Self {
        self.bytes_max = share_of(self.bytes_max, n_others);
        self
    }

    /// The next rows into `batch`, whose own rows are forgotten; `false` behind the last ones.
    pub(crate) fn advance(&mut self, batch: &mut Batch) -> Result<bool, StoreError> {
        loop {
            let is_there = match self.groups.as_mut_slice() {
                // one group that has all columns in their order
                [only] if only.group.columns.iter().copied().eq(0..self.types.len()) => {
                    only.group.next_into(self.bytes_max, batch)?
                }
                _ => self.join(batch)?,
            };
            if !is_there {
                return Ok(false);
            }
            if !self.keeps_times {
                // rows of which nothing is left are no rows
                batch.drop_empty_rows();
            }
            if !batch.is_empty() {
                return Ok(true);
            }
        }
    }

    fn join(&mut self, out: &mut Batch) -> Result<bool, StoreError> {
        out.shape(self.types.iter().copied());
        let n_rows_max = rows_of_merge(self.types.len());
        let group_bytes_max = share_of(self.bytes_max, self.groups.len());
        while out.len() < n_rows_max && out.texts_bytes() < self.bytes_max {
            for group in &mut self.groups {
                group.fill(group_bytes_max)?;
            }
            let mut lefts = self.groups.iter().map(Joined::left);
            let first = lefts.next().unwrap_or_default();
            if !first.is_empty() && lefts.all(|left| left == first) {
                out.times.extend_from_slice(first);
                for group in &mut self.groups {
                    let rows = group.row..group.batch.len();
                    group.move_rows(rows, out);
                }
                continue;
            }
            let time = self.groups.iter().filter_map(|group| group.left().first()).min();
            let Some(time) = time.copied() else { break };
            out.times.push(time);
            for group in &mut self.groups {
                match group.left().first() == Some(&time) {
                    true => group.move_rows(group.row..group.row.saturating_add(1), out),
                    false => group.push_nulls(1, out),
                }
            }
        }
        Ok(!out.is_empty())
    }
}
