//! What a file is, and the writing of it group by group.

use core::fmt;
use std::io::Write;

use tidegate_model::DataType;
use tidegate_model::Precision;
use tidegate_tsfile::Batch;

use crate::ColumnarError;
use crate::Limits;
use crate::arrow::ArrowFile;
use crate::group::Goal;
use crate::group::Group;
use crate::parquet::ParquetFile;

/// Name of the first column, which has the times.
pub const TIME: &str = "Time";

/// Kind of file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // what this crate is for
pub enum Format {
    /// Arrow's file format for one schema and many batches, also known as Feather 2.
    Arrow,
    /// Parquet.
    Parquet,
}

/// A column of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what a column is
pub struct Column {
    /// Its name; no two have the same.
    pub name: String,
    /// Type of its values.
    pub data_type: DataType,
}

/// What a file is.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs)] // what there is to know
pub struct Table {
    /// Unit of the times, and of all values of TIMESTAMP.
    pub precision: Precision,
    /// The columns behind [`TIME`].
    pub columns: Vec<Column>,
    /// What else the file says of itself: keys and values.
    pub metadata: Vec<(String, String)>,
}

impl Table {
    /// The metadata, and the types that IoTDB has for the columns: those of the file are fewer.
    pub(crate) fn all_metadata(&self) -> Vec<(String, String)> {
        let types = self.columns.iter().map(|column| column.data_type);
        let names: Vec<&str> =
            [DataType::Timestamp].into_iter().chain(types).map(DataType::as_str).collect();
        let own = [
            ("tidegate.precision", self.precision.as_str().to_owned()),
            ("tidegate.types", names.join(",")),
        ];
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
        self.metadata.iter().cloned().chain(own).collect()
    }
}

/// Writes a file front to back.
pub struct Writer<W: Write + Send> {
    columns: Vec<Column>,
    group: Group,
    labels: Vec<Option<Box<str>>>,
    places: Vec<usize>,
    n_replaced: u64,
    file: File<W>,
}

enum File<W: Write + Send> {
    Arrow(ArrowFile<W>),
    Parquet(ParquetFile<W>),
}

impl<W: Write + Send> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    ///
    /// Two columns of one name, and what `out` says.
    pub fn new(
        out: W,
        format: Format,
        table: &Table,
        limits: Limits,
    ) -> Result<Self, ColumnarError> {
        let mut names: Vec<&str> = table.columns.iter().map(|it| it.name.as_str()).collect();
        names.push(TIME);
        names.sort_unstable();
        if let Some([name, _]) = names.windows(2).find(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(ColumnarError::Columns {
                expected: String::from("columns with a name of their own"),
                found: format!("two that are called {name}"),
            });
        }
        let file = match format {
            Format::Arrow => File::Arrow(ArrowFile::new(out, table)?),
            Format::Parquet => File::Parquet(ParquetFile::new(out, table)?),
        };
        Ok(Self {
            columns: table.columns.clone(),
            group: Group::new(&table.columns, limits, format == Format::Arrow),
            labels: Vec::new(),
            places: Vec::new(),
            n_replaced: 0,
            file,
        })
    }

    /// Says whose rows come next.
    ///
    /// # Arguments
    ///
    /// - `labels`: values of the first columns, which are texts, in all of these rows
    /// - `places`: for each column of these rows its place among the columns of the file
    pub fn begin(&mut self, labels: Vec<Option<Box<str>>>, places: Vec<usize>) {
        (self.labels, self.places) = (labels, places);
    }

    /// Takes rows of what was begun; what they do not have is null.
    ///
    /// # Errors
    ///
    /// A DATE that is no day, a column of another type than was told, and what the output says. Nothing
    /// can be written behind an error.
    pub fn write(&mut self, batch: &Batch) -> Result<(), ColumnarError> {
        if self.places.len() != batch.columns.len() {
            return Err(ColumnarError::Columns {
                expected: format!("{} columns", self.places.len()),
                found: batch.columns.len().to_string(),
            });
        }
        let mut row = 0usize;
        while row < batch.len() {
            let goal = Goal { labels: &self.labels, places: &self.places, columns: &self.columns };
            let n_rows = self.group.room_for(batch, row..batch.len(), &goal);
            if n_rows > 0 {
                let end = row.saturating_add(n_rows).min(batch.len());
                let n_replaced = self.group.push(batch, row..end, &goal)?;
                self.n_replaced = self.n_replaced.saturating_add(n_replaced);
                row = end;
            }
            if n_rows == 0 || self.group.is_full() {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// How many texts were not UTF-8 so far.
    pub fn n_replaced(&self) -> u64 {
        self.n_replaced
    }

    /// Writes what is held and the end of the file.
    pub fn finish(mut self) -> Result<W, ColumnarError> {
        if !self.group.rows.is_empty() {
            self.flush()?;
        }
        match self.file {
            File::Arrow(file) => file.finish(),
            File::Parquet(file) => file.finish(),
        }
    }

    fn flush(&mut self) -> Result<(), ColumnarError> {
        let rows = self.group.take();
        match &mut self.file {
            File::Arrow(file) => file.write(rows),
            File::Parquet(file) => file.write(&rows),
        }
    }
}

impl<W: Write + Send> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("columns", &self.columns)
            .field("n_rows_held", &self.group.rows.len())
            .finish_non_exhaustive()
    }
}
