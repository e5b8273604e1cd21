//! What an answer looks like, and who takes it.

use std::io;

use tidegate_model::DataType;
use tidegate_tsfile::Batch;

use crate::QueryError;

/// The columns of an answer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what a head is
pub struct Head {
    /// Whether rows have a time; it is the first column then, and is called `Time`.
    pub has_time: bool,
    /// The columns behind it.
    pub columns: Vec<Column>,
}

/// A column of an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what a column is
pub struct Column {
    /// Its name.
    pub name: String,
    /// Type of its values.
    pub data_type: DataType,
}

impl Column {
    pub(crate) fn new(name: impl Into<String>, data_type: DataType) -> Self {
        Self { name: name.into(), data_type }
    }
}

/// Takes an answer.
pub trait Sink {
    /// The columns; comes once, before all rows.
    fn head(&mut self, head: &Head) -> io::Result<()>;

    /// Rows with these columns, one at least. Times of rows without a time mean nothing, and with the
    /// newest rows first they descend.
    fn rows(&mut self, rows: &Batch) -> io::Result<()>;

    /// There are no more rows.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Gives rows to a sink as far as LIMIT and OFFSET want them.
pub(crate) struct Pages<'s> {
    sink: &'s mut dyn Sink,
    skip: u64,
    left: u64,
    pub(crate) n_rows: u64,
}

impl<'s> Pages<'s> {
    pub(crate) fn new(sink: &'s mut dyn Sink, page: tidegate_sql::Page) -> Self {
        Self { sink, skip: page.offset, left: page.limit.unwrap_or(u64::MAX), n_rows: 0 }
    }

    pub(crate) fn head(&mut self, head: &Head) -> Result<(), QueryError> {
        if head.columns.len() > crate::RESULT_COLUMNS_MAX {
            return Err(QueryError::too_many(
                "columns of the result",
                head.columns.len(),
                crate::RESULT_COLUMNS_MAX,
            ));
        }
        self.sink.head(head).map_err(QueryError::Output)
    }

    /// Whether no more rows are wanted.
    pub(crate) fn is_full(&self) -> bool {
        self.left == 0
    }

    /// Which of the next `n_rows` rows are wanted; the ones before them need not be made.
    pub(crate) fn claim(&mut self, n_rows: u64) -> core::ops::Range<u64> {
        let start = self.skip.min(n_rows);
        self.skip = self.skip.saturating_sub(start);
        start..n_rows.min(start.saturating_add(self.left))
    }

    /// Takes rows; `false` once no more are wanted.
    pub(crate) fn push(&mut self, rows: &mut Batch) -> Result<bool, QueryError> {
        let n_rows = rows.len() as u64;
        let wanted = self.claim(n_rows);
        let as_usize = |row: u64| usize::try_from(row).unwrap_or(usize::MAX);
        rows.keep_rows(as_usize(wanted.start)..as_usize(wanted.end));
        if !rows.is_empty() {
            self.left = self.left.saturating_sub(rows.len() as u64);
            self.n_rows = self.n_rows.saturating_add(rows.len() as u64);
            self.sink.rows(rows).map_err(QueryError::Output)?;
        }
        Ok(!self.is_full())
    }

    pub(crate) fn finish(self) -> Result<u64, QueryError> {
        self.sink.finish().map_err(QueryError::Output)?;
        Ok(self.n_rows)
    }
}
