//! Chunks whose times overlap, merged row by row: of two cells at one time that of the later chunk
//! counts, and a null hides nothing.

use super::batch::Batch;
use super::limits::BATCH_BYTES;
use super::rows::ChunkRows;
use super::rows::Column;
use super::rows::RowChunk;
use super::rows::Selection;
use crate::ReadAt;
use crate::ReadError;
use crate::TsFile;

/// How many chunks that overlap at one time may hold as much as is given at once.
const OVERLAPPING_MAX: usize = 16;

/// Chunks that are merged. A chunk is opened when its first time is reached, so that no more memory
/// is taken than chunks overlap at one time.
#[derive(Debug)]
pub(crate) struct Merge {
    columns: Vec<Column>,
    n_windows: usize,
    /// Chunks that begin later, the next one last.
    later: Vec<RowChunk>,
    /// Chunks that are being read, by their place in the file.
    open: Vec<Head>,
}

/// A chunk that is being read.
#[derive(Debug)]
struct Head {
    offset: u64,
    rows: ChunkRows,
    batch: Batch,
    /// The next row of `batch`.
    row: usize,
    /// Where in the values of each column that row has its own, if it has one.
    values: Vec<usize>,
}

impl Head {
    fn time(&self) -> Option<i64> {
        self.batch.times.get(self.row).copied()
    }

    /// Fetches rows if there are none; `false` at the end.
    fn fill<R: ReadAt>(
        &mut self,
        file: &TsFile<R>,
        selection: &Selection,
    ) -> Result<bool, ReadError> {
        while self.time().is_none() {
            self.batch.clear();
            self.row = 0;
            self.values.fill(0);
            if !self.rows.next_into(file, selection, &mut self.batch)? {
                return Ok(false);
            }
            self.rows.rest();
        }
        Ok(true)
    }

    /// Moves rows before `limit` to `out`, `most` at most.
    fn move_rows(&mut self, limit: Option<i64>, most: usize, out: &mut Batch) {
        let left = self.batch.times.get(self.row..).unwrap_or_default();
        let n_rows = limit.map_or(left.len(), |limit| left.partition_point(|time| *time < limit));
        let rows = self.row..self.row.saturating_add(n_rows.min(most));
        let room_bytes = BATCH_BYTES.saturating_sub(out.texts_bytes());
        let end = self.row.saturating_add(self.batch.n_rows_within(rows, room_bytes));
        out.times.extend_from_slice(self.batch.times.get(self.row..end).unwrap_or_default());
        let columns = out.columns.iter_mut().zip(&self.batch.columns).zip(&mut self.values);
        for ((out, column), value) in columns {
            *value = out.append(column, self.row..end, *value);
        }
        self.row = end;
    }

    /// Leaves the row, whose cells were taken by others.
    fn pass(&mut self) {
        for (column, value) in self.batch.columns.iter().zip(&mut self.values) {
            *value = value.saturating_add(usize::from(column.presence.get(self.row)));
        }
        self.row = self.row.saturating_add(1);
    }
}

impl Merge {
    pub(crate) fn new(mut chunks: Vec<RowChunk>, columns: Vec<Column>, n_windows: usize) -> Self {
        chunks.sort_by_key(|chunk| core::cmp::Reverse(chunk.statistics.start_time));
        Self { columns, n_windows, later: chunks, open: Vec::new() }
    }

    /// The next rows; `false` behind the last ones.
    pub(crate) fn next_into<R: ReadAt>(
        &mut self,
        file: &TsFile<R>,
        selection: &Selection,
        out: &mut Batch,
    ) -> Result<bool, ReadError> {
        let n_rows_max = file.limits.merged_rows_max(self.columns.len());
        while out.len() < n_rows_max && out.texts_bytes() < BATCH_BYTES {
            let Some(time) = self.next_time(file, selection)? else { break };
            let later = self.later.last().map(|chunk| chunk.statistics.start_time);
            let others = self.open.iter().filter_map(Head::time).filter(|other| *other > time);
            let limit = others.min().into_iter().chain(later).min();
            let n_at_time = self.open.iter().filter(|head| head.time() == Some(time)).count();
            let mut at_time = self.open.iter_mut().filter(|head| head.time() == Some(time));
            if n_at_time == 1
                && let Some(head) = at_time.next()
            {
                head.move_rows(limit, n_rows_max.saturating_sub(out.len()), out);
            } else {
                self.merge_row(time, out);
            }
        }
        Ok(!out.is_empty())
    }

    /// The least time that is left, with every chunk open that may have a row of it.
    fn next_time<R: ReadAt>(
        &mut self,
        file: &TsFile<R>,
        selection: &Selection,
    ) -> Result<Option<i64>, ReadError> {
        loop {
            let (mut at, mut is_filled) = (0usize, false);
            while let Some(head) = self.open.get_mut(at) {
                is_filled |= head.time().is_none();
                match head.fill(file, selection)? {
                    true => at = at.saturating_add(1),
                    false => drop(self.open.remove(at)),
                }
            }
            if is_filled {
                self.check_size(file)?;
            }
            let time = self.open.iter().filter_map(Head::time).min();
            let is_due =
                |chunk: &mut RowChunk| time.is_none_or(|time| chunk.statistics.start_time <= time);
            let Some(chunk) = self.later.pop_if(is_due) else { return Ok(time) };
            let offset = chunk.offset;
            let rows = ChunkRows::open(
                file,
                chunk,
                &self.columns,
                &selection.times,
                self.n_windows,
                &mut Vec::new(),
            )?;
            let batch = Batch::new(self.columns.iter().map(|column| column.data_type));
            let values = vec![0; self.columns.len()];
            let behind = self.open.partition_point(|head| head.offset < offset);
            self.open.insert(behind, Head { offset, rows, batch, row: 0, values });
        }
    }

    /// Compares what is held with the cap: each chunk that is open holds a page, or as much as is given at
    /// once.
    fn check_size<R>(&self, file: &TsFile<R>) -> Result<(), ReadError> {
        let n_rows = self.open.iter().map(|head| head.batch.len()).fold(0, usize::saturating_add);
        let n_cells = n_rows.saturating_mul(self.columns.len());
        let max = file.limits.batch_cells_max.saturating_mul(OVERLAPPING_MAX);
        match self.open.first() {
            Some(Head { offset, .. }) if n_cells > max => {
                let what = "rows times columns of pages of chunks that overlap";
                let (found, max) = (n_cells as u64, max as u64);
                Err(ReadError::TooLarge { offset: *offset, what, found, max })
            }
            _ => Ok(()),
        }
    }

    /// One row of what several chunks have at `time`.
    fn merge_row(&mut self, time: i64, out: &mut Batch) {
        out.times.push(time);
        for (at, out) in out.columns.iter_mut().enumerate() {
            let mut heads = self.open.iter().rev().filter(|head| head.time() == Some(time));
            let found = heads.find_map(|head| {
                let column = head.batch.columns.get(at)?;
                column.presence.get(head.row).then_some((column, head.values.get(at)?, head.row))
            });
            match found {
                Some((column, value, row)) => {
                    out.append(column, row..row.saturating_add(1), *value);
                }
                None => out.presence.push(false),
            }
        }
        for head in self.open.iter_mut().filter(|head| head.time() == Some(time)) {
            head.pass();
        }
    }
}
