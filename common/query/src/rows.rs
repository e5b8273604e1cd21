//! Rows in memory: parts of them, and others of their columns.

use tidegate_model::DataType;
use tidegate_model::Value;
use tidegate_tsfile::Batch;
use tidegate_tsfile::BatchColumn;

/// The columns at these places, in that order.
pub(crate) fn projected(batch: Batch, places: &[usize]) -> Batch {
    if places.iter().copied().eq(0..batch.columns.len()) {
        return batch;
    }
    let column = |place: &usize| batch.columns.get(*place).cloned();
    let columns = places.iter().filter_map(column).collect();
    Batch { times: batch.times, columns }
}

/// The rows in the contrary order.
pub(crate) fn reversed(batch: &Batch) -> Batch {
    let times = batch.times.iter().rev().copied().collect();
    let columns = batch.columns.iter().map(|column| {
        let mut out = BatchColumn::new(column.data_type);
        let mut value = column.values.len();
        for row in (0..batch.len()).rev() {
            if column.presence.get(row) {
                value = value.saturating_sub(1);
            }
            out.append(column, row..row.saturating_add(1), value);
        }
        out
    });
    let columns = columns.collect();
    Batch { times, columns }
}

/// A column of `n_rows` rows without a value.
pub(crate) fn nulls(data_type: DataType, n_rows: usize) -> BatchColumn {
    let mut column = BatchColumn::new(data_type);
    column.presence.push_many(false, n_rows);
    column
}

/// A column that says the same in each row.
pub(crate) fn repeated(text: &str, n_rows: usize) -> BatchColumn {
    let mut column = BatchColumn::new(DataType::Text);
    for _ in 0..n_rows {
        push(&mut column, Some(&Value::Bytes(text.as_bytes().to_vec())));
    }
    column
}

/// Appends a cell; a value is of the column's type.
pub(crate) fn push(column: &mut BatchColumn, value: Option<&Value>) {
    let is_there = value.is_some_and(|value| column.values.push(value));
    column.presence.push(is_there);
}

/// Appends a cell of a column of texts.
pub(crate) fn push_text(column: &mut BatchColumn, text: &str) {
    push(column, Some(&Value::Bytes(text.as_bytes().to_vec())));
}

/// About how much memory the values of rows take.
pub(crate) fn bytes_of(batch: &Batch) -> usize {
    let column = |column: &BatchColumn| match &column.values {
        tidegate_tsfile::Values::Bytes(values) => {
            values.total_bytes().saturating_add(values.len().saturating_mul(16))
        }
        values => values.len().saturating_mul(8),
    };
    let columns: usize = batch.columns.iter().map(column).fold(0, usize::saturating_add);
    columns.saturating_add(batch.len().saturating_mul(8))
}
