//! Rows that are gathered until they are enough for a row group or a record batch, with values as the
//! file will have them: dates as days, texts as UTF-8.

use core::ops::Range;

use tidegate_model::DataType;
use tidegate_tsfile::Batch;
use tidegate_tsfile::BatchColumn;
use tidegate_tsfile::Values;

use crate::Column;
use crate::ColumnarError;
use crate::date::days_of;

/// How much is held.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs)] // what is limited
pub struct Limits {
    /// Rows of a group.
    pub rows_max: usize,
    /// Memory of a group, about; one row may take more.
    pub bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rows_max: 1 << 17, bytes_max: 32 << 20 }
    }
}

/// Rows that wait to be written.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) rows: Batch,
    bytes: usize,
    limits: Limits,
    /// What each row takes in every column, whether it has a value or not.
    row_bytes: usize,
}

/// Where rows of a batch go.
pub(crate) struct Goal<'g> {
    /// For the first columns the same value in each row.
    pub(crate) labels: &'g [Option<Box<str>>],
    /// For each column of the batch its place.
    pub(crate) places: &'g [usize],
    pub(crate) columns: &'g [Column],
}

impl Group {
    /// # Arguments
    ///
    /// - `is_dense`: whether the file keeps room for values that are null
    pub(crate) fn new(columns: &[Column], limits: Limits, is_dense: bool) -> Self {
        let rows = Batch::new(columns.iter().map(|column| column.data_type));
        let width = |column: &Column| match (is_dense, column.data_type.fixed_bytes()) {
            (true, Some(width)) => width,
            // offsets of texts
            (true, None) => 4,
            (false, _) => 0,
        };
        let bits = columns.len() / 8;
        let widths = columns.iter().map(width).fold(0, usize::saturating_add);
        Self { rows, bytes: 0, limits, row_bytes: widths.saturating_add(bits).saturating_add(8) }
    }

    /// How many of `rows` of a batch there is room for; of an empty group one at least.
    pub(crate) fn room_for(&self, batch: &Batch, rows: Range<usize>, goal: &Goal<'_>) -> usize {
        let most = self.limits.rows_max.saturating_sub(self.rows.len());
        let mut n_rows = rows.len().min(most);
        let is_too_much = |n_rows: usize| {
            let more = self.bytes_of(batch, rows.start..rows.start.saturating_add(n_rows), goal);
            self.bytes.saturating_add(more) > self.limits.bytes_max
        };
        while n_rows > 1 && is_too_much(n_rows) {
            n_rows /= 2;
        }
        match n_rows == 1 && !self.rows.is_empty() && is_too_much(1) {
            true => 0,
            false => n_rows.max(usize::from(self.rows.is_empty())),
        }
    }

    fn bytes_of(&self, batch: &Batch, rows: Range<usize>, goal: &Goal<'_>) -> usize {
        let labels = goal.labels.iter().flatten().map(|it| it.len());
        let row = labels.fold(self.row_bytes, usize::saturating_add);
        let columns = batch.columns.iter().map(|column| {
            let own = column.presence.rank(rows.start)..column.presence.rank(rows.end);
            match &column.values {
                Values::Bytes(values) => own
                    .filter_map(|at| values.get(at))
                    .map(|value| value.len().saturating_add(16))
                    .fold(0, usize::saturating_add),
                _ => own.len().saturating_mul(8),
            }
        });
        let columns = columns.fold(0, usize::saturating_add);
        columns.saturating_add(row.saturating_mul(rows.len()))
    }

    /// Takes rows in; returns how many texts were not UTF-8.
    pub(crate) fn push(
        &mut self,
        batch: &Batch,
        rows: Range<usize>,
        goal: &Goal<'_>,
    ) -> Result<u64, ColumnarError> {
        self.bytes = self.bytes.saturating_add(self.bytes_of(batch, rows.clone(), goal));
        let times = batch.times.get(rows.clone()).unwrap_or_default();
        let n_rows = self.rows.len().saturating_add(times.len());
        self.rows.times.extend_from_slice(times);
        let labelled = self.rows.columns.iter_mut().zip(goal.labels);
        for (column, label) in labelled {
            column.presence.push_many(label.is_some(), times.len());
            if let (Values::Bytes(values), Some(label)) = (&mut column.values, label) {
                times.iter().for_each(|_| values.push(label.as_bytes()));
            }
        }
        let mut n_replaced = 0u64;
        for (place, own) in goal.places.iter().zip(&batch.columns) {
            let place = (self.rows.columns.get_mut(*place), goal.columns.get(*place));
            let (Some(column), Some(told)) = place else { continue };
            if own.data_type != column.data_type {
                return Err(ColumnarError::Columns {
                    expected: format!("{} in {}", told.name, column.data_type),
                    found: own.data_type.to_string(),
                });
            }
            let value = own.presence.rank(rows.start);
            match column.data_type {
                DataType::Date => {
                    push_dates(column, own, &batch.times, rows.clone(), &told.name)?;
                }
                DataType::Text | DataType::String => {
                    n_replaced = n_replaced.saturating_add(push_texts(column, own, rows.clone()));
                }
                _ => {
                    column.append(own, rows.clone(), value);
                }
            }
        }
        for column in &mut self.rows.columns {
            let missing = n_rows.saturating_sub(column.presence.len());
            column.presence.push_many(false, missing);
        }
        Ok(n_replaced)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.rows.len() >= self.limits.rows_max || self.bytes >= self.limits.bytes_max
    }

    /// The rows, which are forgotten here.
    pub(crate) fn take(&mut self) -> Batch {
        self.bytes = 0;
        let empty = Batch::new(self.rows.columns.iter().map(|column| column.data_type));
        core::mem::replace(&mut self.rows, empty)
    }
}

fn push_dates(
    column: &mut BatchColumn,
    own: &BatchColumn,
    times: &[i64],
    rows: Range<usize>,
    name: &str,
) -> Result<(), ColumnarError> {
    let mut at = own.presence.rank(rows.start);
    for row in rows {
        let is_there = own.presence.get(row);
        if let (true, Values::Int32(dates), Values::Int32(days)) =
            (is_there, &own.values, &mut column.values)
        {
            let found = dates.get(at).copied().unwrap_or_default();
            at = at.saturating_add(1);
            days.push(days_of(found).ok_or_else(|| ColumnarError::Date {
                column: name.to_owned(),
                time: times.get(row).copied().unwrap_or_default(),
                found,
            })?);
        }
        column.presence.push(is_there);
    }
    Ok(())
}

fn push_texts(column: &mut BatchColumn, own: &BatchColumn, rows: Range<usize>) -> u64 {
    let value = own.presence.rank(rows.start);
    let mut values = value..own.presence.rank(rows.end);
    let Values::Bytes(texts) = &own.values else { return 0 };
    let is_text = |at: usize| texts.get(at).is_none_or(|text| core::str::from_utf8(text).is_ok());
    if values.clone().all(is_text) {
        column.append(own, rows, value);
        return 0;
    }
    let mut n_replaced = 0u64;
    for row in rows {
        let is_there = own.presence.get(row);
        column.presence.push(is_there);
        let text = if is_there { values.next().and_then(|at| texts.get(at)) } else { None };
        if let (Values::Bytes(out), Some(text)) = (&mut column.values, text) {
            n_replaced = n_replaced.saturating_add(u64::from(core::str::from_utf8(text).is_err()));
            out.push(String::from_utf8_lossy(text).as_bytes());
        }
    }
    n_replaced
}
