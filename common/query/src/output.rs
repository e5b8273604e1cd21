//! Answers as text: IoTDB's table, csv, or json.

mod csv;
mod json;
mod table;

use tidegate_tsfile::Batch;

pub use csv::Csv;
pub use json::Json;
pub use table::Table;

/// Goes through rows, and knows for each column where the value of the present row is.
struct Cursor {
    values: Vec<usize>,
    row: usize,
}

impl Cursor {
    fn new(rows: &Batch) -> Self {
        Self { values: vec![0; rows.columns.len()], row: 0 }
    }

    /// The place of the value of a column, if it has one in the present row.
    fn value(&self, rows: &Batch, column: usize) -> Option<usize> {
        let is_there = rows.columns.get(column)?.presence.get(self.row);
        self.values.get(column).copied().filter(|_| is_there)
    }

    fn next(&mut self, rows: &Batch) {
        for (column, value) in rows.columns.iter().zip(&mut self.values) {
            *value = value.saturating_add(usize::from(column.presence.get(self.row)));
        }
        self.row = self.row.saturating_add(1);
    }
}
