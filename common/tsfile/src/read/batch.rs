//! Rows in memory: times and columns with nulls.

use core::ops::Range;

use tidegate_model::DataType;
use tidegate_model::Value;

use crate::ByteValues;
use crate::Values;

/// Rows of one device, column by column.
///
/// Times ascend, and no two are equal.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what rows are
pub struct Batch {
    /// One per row.
    pub times: Vec<i64>,
    /// The columns, in the order in which they were asked for.
    pub columns: Vec<BatchColumn>,
}

/// One column of a [`Batch`].
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what a column is
pub struct BatchColumn {
    /// Type of the values.
    pub data_type: DataType,
    /// The values of the rows in which the column is not null.
    pub values: Values,
    /// Which rows those are.
    pub presence: Presence,
}

impl Batch {
    /// No row yet, with columns of these types.
    pub fn new(types: impl IntoIterator<Item = DataType>) -> Self {
        let columns = types.into_iter().map(BatchColumn::new).collect();
        Self { times: Vec::new(), columns }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// How many cells are not null.
    pub fn n_points(&self) -> usize {
        self.columns.iter().map(|column| column.values.len()).sum()
    }

    /// How many bytes its texts and blobs have together. That takes a look at each column and none at the
    /// rows.
    pub fn texts_bytes(&self) -> usize {
        let texts = self.columns.iter().filter_map(BatchColumn::texts);
        texts.map(ByteValues::total_bytes).fold(0, usize::saturating_add)
    }

    /// How many of `rows`, from the first one on, have texts and blobs of `bytes_max` bytes at most, about;
    /// one at least.
    pub fn n_rows_within(&self, rows: Range<usize>, bytes_max: usize) -> usize {
        // as it mostly is
        if self.texts_bytes() <= bytes_max {
            return rows.len();
        }
        let bytes_of = |rows: Range<usize>| {
            let columns = self.columns.iter().filter_map(|column| {
                let own = column.presence.rank(rows.start)..column.presence.rank(rows.end);
                let lengths = own.filter_map(|at| Some(column.texts()?.get(at)?.len()));
                column.texts().map(|_| lengths.fold(0, usize::saturating_add))
            });
            columns.fold(0, usize::saturating_add)
        };
        let mut n_rows = rows.len();
        while n_rows > 1 && bytes_of(rows.start..rows.start.saturating_add(n_rows)) > bytes_max {
            n_rows /= 2;
        }
        n_rows
    }

    /// Forgets the rows and keeps the memory.
    pub fn clear(&mut self) {
        self.times.clear();
        for column in &mut self.columns {
            column.clear();
        }
    }

    /// Forgets the rows, and has columns of these types from then on, in the memory of those that are
    /// there if they have them already.
    pub fn shape(&mut self, types: impl Iterator<Item = DataType> + Clone) {
        match self.columns.iter().map(|column| column.data_type).eq(types.clone()) {
            true => self.clear(),
            false => *self = Self::new(types),
        }
    }

    /// Forgets the rows for which `mask`, one for each row, does not say so.
    pub fn retain_rows(&mut self, mask: &[bool]) {
        if mask.iter().all(|it| *it) {
            return;
        }
        for column in &mut self.columns {
            let mut left = BatchColumn::new(column.data_type);
            let (mut row, mut value) = (0usize, 0usize);
            for run in mask.chunk_by(|one, other| one == other) {
                let end = row.saturating_add(run.len());
                value = match run.first() {
                    Some(true) => left.append(column, row..end, value),
                    _ => value.saturating_add(column.n_there(row..end)),
                };
                row = end;
            }
            *column = left;
        }
        let mut is_kept = mask.iter();
        self.times.retain(|_| is_kept.next() == Some(&true));
    }

    /// Forgets the rows in which every column is null.
    pub fn drop_empty_rows(&mut self) {
        if self.columns.iter().any(|column| column.presence.is_all()) {
            return;
        }
        let has_cell = |row| self.columns.iter().any(|column| column.presence.get(row));
        let mask: Vec<bool> = (0..self.len()).map(has_cell).collect();
        self.retain_rows(&mask);
    }

    /// Forgets all rows but these.
    pub fn keep_rows(&mut self, rows: Range<usize>) {
        if rows == (0..self.len()) {
            return;
        }
        for column in &mut self.columns {
            let values = column.presence.rank(rows.start)..column.presence.rank(rows.end);
            column.values.keep(values);
            column.presence.keep(rows.clone());
        }
        self.times.truncate(rows.end);
        self.times.drain(..rows.start.min(rows.end));
    }
}

impl BatchColumn {
    /// No row yet.
    pub fn new(data_type: DataType) -> Self {
        Self { data_type, values: Values::new(data_type), presence: Presence::default() }
    }

    /// The cells in the order of rows.
    pub fn cells(&self) -> impl Iterator<Item = Option<Value>> {
        let mut next = 0usize;
        self.presence.iter().map(move |is_there| {
            let value = is_there.then(|| self.values.get(next))?;
            next = next.saturating_add(1);
            value
        })
    }

    /// Forgets the rows and keeps the memory.
    pub fn clear(&mut self) {
        self.values.clear();
        self.presence.clear();
    }

    /// The values, if each has a length of its own.
    fn texts(&self) -> Option<&ByteValues> {
        match &self.values {
            Values::Bytes(values) => Some(values),
            _ => None,
        }
    }

    /// How many of some rows are not null.
    fn n_there(&self, rows: Range<usize>) -> usize {
        match self.presence.is_all() {
            true => rows.len(),
            false => rows.filter(|row| self.presence.get(*row)).count(),
        }
    }

    /// Appends rows `rows` of `other`, the first of which has its value, if any, at `value` of
    /// `other`'s values. Returns at which value the row behind the last one has its own.
    pub fn append(&mut self, other: &Self, rows: Range<usize>, value: usize) -> usize {
        let n_values = self.presence.append(&other.presence, rows);
        let end = value.saturating_add(n_values);
        self.values.extend_from(&other.values, value..end);
        end
    }
}

/// Which rows of a column are not null.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Presence {
    /// One bit per row, the highest of the first byte first; empty if no row is null.
    bits: Vec<u8>,
    n_rows: usize,
}

impl Presence {
    /// `n_rows` rows, none of them null.
    pub fn all(n_rows: usize) -> Self {
        Self { bits: Vec::new(), n_rows }
    }

    /// From the bits of a page, the highest of the first byte first.
    pub(crate) fn set_bits(&mut self, bits: &[u8], n_rows: usize) {
        self.n_rows = n_rows;
        self.bits.clear();
        // What follows the last row means nothing, and must not be counted.
        let rest = match n_rows % 8 {
            0 => 0,
            n_used => 0xff_u8 >> n_used,
        };
        let Some((last, whole)) = bits.split_last() else { return };
        // Most columns have no null at all.
        if last | rest == 0xff && whole.iter().all(|byte| *byte == 0xff) {
            return;
        }
        self.bits.extend_from_slice(whole);
        self.bits.push(last & !rest);
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.n_rows
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.n_rows == 0
    }

    /// Whether no row is null.
    pub fn is_all(&self) -> bool {
        self.bits.is_empty()
    }

    /// Whether a row is not null.
    pub fn get(&self, row: usize) -> bool {
        let byte = self.bits.get(row / 8).copied();
        row < self.n_rows && byte.is_none_or(|byte| byte & (0x80 >> (row % 8)) != 0)
    }

    /// For each row whether it is not null.
    pub fn iter(&self) -> impl Iterator<Item = bool> {
        (0..self.n_rows).map(|row| self.get(row))
    }

    /// How many rows are not null.
    pub fn count(&self) -> usize {
        match self.bits.is_empty() {
            true => self.n_rows,
            false => self.bits.iter().map(|byte| byte.count_ones() as usize).sum(),
        }
    }

    /// How many of some rows are not null.
    pub(crate) fn count_of(&self, rows: Range<usize>) -> usize {
        match self.is_all() {
            true => rows.len(),
            false => rows.filter(|row| self.get(*row)).count(),
        }
    }

    /// How many of the first `rows` rows are not null.
    pub fn rank(&self, rows: usize) -> usize {
        let rows = rows.min(self.n_rows);
        if self.bits.is_empty() {
            return rows;
        }
        let (whole, rest) = (rows / 8, rows % 8);
        let whole_bytes = self.bits.get(..whole).unwrap_or_default();
        let n_whole: usize = whole_bytes.iter().map(|byte| byte.count_ones() as usize).sum();
        let last = self.bits.get(whole).copied().unwrap_or(0);
        n_whole.saturating_add((last & !(0xff_u8 >> rest)).count_ones() as usize)
    }

    /// Appends a row.
    pub fn push(&mut self, is_there: bool) {
        if self.bits.is_empty() {
            if is_there {
                self.n_rows = self.n_rows.saturating_add(1);
                return;
            }
            self.spell_out();
        }
        let mask = 0x80_u8 >> (self.n_rows % 8);
        match self.bits.get_mut(self.n_rows / 8) {
            Some(byte) if is_there => *byte |= mask,
            Some(_) => (),
            None => self.bits.push(if is_there { mask } else { 0 }),
        }
        self.n_rows = self.n_rows.saturating_add(1);
    }

    /// Appends `n_rows` rows that are all null, or all not.
    pub fn push_many(&mut self, is_there: bool, n_rows: usize) {
        if is_there && self.bits.is_empty() {
            self.n_rows = self.n_rows.saturating_add(n_rows);
            return;
        }
        for _ in 0..n_rows {
            self.push(is_there);
        }
    }

    /// Forgets the rows and keeps the memory.
    pub fn clear(&mut self) {
        self.bits.clear();
        self.n_rows = 0;
    }

    /// Forgets all rows but these.
    pub(crate) fn keep(&mut self, rows: Range<usize>) {
        let mut kept = Self::default();
        kept.append(self, rows);
        *self = kept;
    }

    /// Appends rows of `other`; returns how many of them are not null.
    fn append(&mut self, other: &Self, rows: Range<usize>) -> usize {
        if other.is_all() {
            self.push_many(true, rows.len());
            return rows.len();
        }
        let mut n_values = 0usize;
        for row in rows {
            let is_there = other.get(row);
            n_values = n_values.saturating_add(usize::from(is_there));
            self.push(is_there);
        }
        n_values
    }

    /// Writes all bits down, so that one of them may be zero.
    fn spell_out(&mut self) {
        self.bits.resize(self.n_rows.div_ceil(8), 0xff);
        let rest = self.n_rows % 8;
        if let Some(last) = self.bits.last_mut().filter(|_| rest > 0) {
            *last = !(0xff_u8 >> rest);
        }
        if self.bits.is_empty() {
            // Of no row: a byte must be there, or it would mean that none is null.
            self.bits.push(0);
        }
    }

    /// The first row that is not null.
    pub(crate) fn first(&self) -> Option<usize> {
        (0..self.n_rows).find(|row| self.get(*row))
    }

    /// The last row that is not null.
    pub(crate) fn last(&self) -> Option<usize> {
        (0..self.n_rows).rev().find(|row| self.get(*row))
    }

    /// Appends one bit per row, the highest of the first byte first; the rest of the last byte is 0.
    pub fn write_bits(&self, out: &mut Vec<u8>) {
        let n_bytes = self.n_rows.div_ceil(8);
        if !self.is_all() {
            out.extend_from_slice(self.bits.get(..n_bytes).unwrap_or_default());
            return;
        }
        out.resize(out.len().saturating_add(n_bytes), 0xff);
        let rest = self.n_rows % 8;
        if let Some(last) = out.last_mut().filter(|_| rest > 0) {
            *last = !(0xff_u8 >> rest);
        }
    }
}
