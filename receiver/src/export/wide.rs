//! Exports with a column for each measurement: Parquet and Arrow, and tables as csv.
//!
//! Rows come device by device, each in the order of time. What tells the device is in the first
//! columns: its path, or the tags of its table. A measurement that has several types has a column for
//! each of them, with the type behind its name; so has one that is called as another column is.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufWriter;

use tidegate_columnar as columnar;
use tidegate_durable::DirStorage;
use tidegate_model::DataType;
use tidegate_query::Column;
use tidegate_query::Head;
use tidegate_query::JOINED_MAX;
use tidegate_query::Sink;
use tidegate_query::output::Csv;
use tidegate_query::text::Text;
use tidegate_store::Device;
use tidegate_store::DeviceScan;
use tidegate_store::Series;
use tidegate_tsfile::Batch;
use tidegate_tsfile::BatchColumn;

use super::Step;
use super::Stopped;
use super::each_batch;
use super::series::label;
use crate::data::Tried;

/// Columns of one file: each takes room in every row group.
const COLUMNS_MAX: usize = 10_000;
/// Name of the column that has the path of the device.
const DEVICE: &str = "Device";

/// Which columns there are, and where each series is among them.
pub(super) struct Layout {
    /// Names of the first columns.
    labels: Vec<String>,
    fields: BTreeMap<(Box<str>, DataType), usize>,
}

impl Layout {
    /// Of devices of the tree model.
    pub(super) fn of_tree() -> Self {
        Self { labels: vec![DEVICE.to_owned()], fields: BTreeMap::new() }
    }

    /// Of devices of one table.
    pub(super) fn of_table(tags: impl Iterator<Item = String>) -> Self {
        Self { labels: tags.collect(), fields: BTreeMap::new() }
    }

    /// Makes room for the series of a device.
    pub(super) fn add(&mut self, device: &Device, series: &[Series]) -> Result<(), String> {
        if series.len() > JOINED_MAX {
            return Err(format!(
                "{device} has {} series, expected at most {JOINED_MAX} in one row: name fewer of \
                 them with --pattern, or export to csv or tsfile",
                series.len()
            ));
        }
        let keys = series.iter().map(|it| (it.measurement.clone(), it.data_type));
        self.fields.extend(keys.map(|key| (key, 0)));
        match self.fields.len() <= COLUMNS_MAX {
            true => Ok(()),
            false => Err(format!(
                "there are more than {COLUMNS_MAX} measurements, each of which would be a column: \
                 name fewer of them with --pattern, or export to csv or tsfile"
            )),
        }
    }

    /// The columns behind the time.
    pub(super) fn columns(&mut self) -> Vec<columnar::Column> {
        let label = |name: &String| (name.clone(), DataType::String);
        let mut columns: Vec<(String, DataType)> = self.labels.iter().map(label).collect();
        let taken: BTreeSet<&str> =
            self.labels.iter().map(String::as_str).chain([columnar::TIME]).collect();
        let mut types: BTreeMap<Box<str>, usize> = BTreeMap::new();
        for (measurement, _) in self.fields.keys() {
            let n_types = types.entry(measurement.clone()).or_default();
            *n_types = n_types.saturating_add(1);
        }
        for ((measurement, data_type), place) in &mut self.fields {
            let is_alone = types.get(measurement) == Some(&1) && !taken.contains(&**measurement);
            let name = match is_alone {
                true => measurement.to_string(),
                false => format!("{measurement} ({data_type})"),
            };
            *place = columns.len();
            columns.push((name, *data_type));
        }
        let column = |(name, data_type)| columnar::Column { name, data_type };
        columns.into_iter().map(column).collect()
    }

    fn labels_of(&self, device: &Device) -> Vec<Option<Box<str>>> {
        let mut labels: Vec<Option<Box<str>>> = match device {
            Device::Tree { path } => vec![Some(path.clone())],
            Device::Table { segments, .. } => segments.0.iter().skip(1).cloned().collect(),
        };
        labels.resize(self.labels.len(), None);
        labels
    }

    fn places_of(&self, series: &[Series]) -> Vec<usize> {
        let place = |it: &Series| self.fields.get(&(it.measurement.clone(), it.data_type)).copied();
        series.iter().filter_map(place).collect()
    }
}

/// Writes rows of devices to a file.
pub(super) struct WideWriter {
    layout: Layout,
    columns: Vec<columnar::Column>,
    out: Out,
}

enum Out {
    Csv(Box<Csv<BufWriter<File>>>),
    Columnar(Box<columnar::Writer<BufWriter<File>>>),
}

impl WideWriter {
    /// A csv with a line for each row.
    pub(super) fn csv(
        out: BufWriter<File>,
        mut layout: Layout,
        text: Text,
    ) -> Result<Self, String> {
        let columns = layout.columns();
        let mut csv = Csv::new(out, text);
        let column =
            |it: &columnar::Column| Column { name: it.name.clone(), data_type: it.data_type };
        csv.head(&Head { has_time: true, columns: columns.iter().map(column).collect() })
            .map_err(|error| error.to_string())?;
        Ok(Self { layout, columns, out: Out::Csv(Box::new(csv)) })
    }

    /// A Parquet or Arrow file; the table has no columns yet.
    pub(super) fn columnar(
        out: BufWriter<File>,
        mut layout: Layout,
        format: columnar::Format,
        mut table: columnar::Table,
    ) -> Result<Self, String> {
        table.columns = layout.columns();
        let limits = columnar::Limits::default();
        let writer = columnar::Writer::new(out, format, &table, limits);
        let writer = writer.map_err(|error| error.to_string())?;
        Ok(Self { layout, columns: table.columns, out: Out::Columnar(Box::new(writer)) })
    }

    pub(super) fn device(
        &mut self,
        device: &Device,
        opened: &DeviceScan<DirStorage>,
        step: &mut Step<'_>,
    ) -> Result<(), Tried<Stopped>> {
        let (labels, places) =
            (self.layout.labels_of(device), self.layout.places_of(opened.columns()));
        if let Out::Columnar(writer) = &mut self.out {
            writer.begin(labels.clone(), places.clone());
        }
        let (columns, out) = (&self.columns, &mut self.out);
        each_batch(opened, opened.rows()?, step, |batch| match out {
            Out::Columnar(writer) => {
                writer.write(batch).map_err(|error| format!("{device}: {error}"))
            }
            Out::Csv(csv) => {
                let wide = widened(batch, columns, &labels, &places);
                csv.rows(&wide).map_err(|error| error.to_string())
            }
        })
    }

    /// How many texts were not UTF-8 and had to be mended.
    pub(super) fn n_replaced(&self) -> u64 {
        match &self.out {
            Out::Csv(_) => 0,
            Out::Columnar(writer) => writer.n_replaced(),
        }
    }

    pub(super) fn finish(self) -> Result<File, String> {
        let out = match self.out {
            Out::Csv(csv) => csv.into_inner(),
            Out::Columnar(writer) => writer.finish().map_err(|error| error.to_string())?,
        };
        out.into_inner().map_err(|error| error.to_string())
    }
}

/// Rows with all columns of a file.
fn widened(
    batch: &Batch,
    columns: &[columnar::Column],
    labels: &[Option<Box<str>>],
    places: &[usize],
) -> Batch {
    let n_rows = batch.len();
    let mut wide: Vec<BatchColumn> = columns
        .iter()
        .enumerate()
        .map(|(at, it)| label(labels.get(at).and_then(Option::as_deref), it.data_type, n_rows))
        .collect();
    for (place, column) in places.iter().zip(&batch.columns) {
        if let Some(wide) = wide.get_mut(*place) {
            *wide = column.clone();
        }
    }
    Batch { times: batch.times.clone(), columns: wide }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(names: core::ops::Range<usize>) -> Vec<Series> {
        let series = |number| Series {
            measurement: format!("s{number}").into(),
            data_type: DataType::Int32,
            is_aligned: true,
        };
        names.map(series).collect()
    }

    #[test]
    fn more_series_of_a_device_or_columns_than_there_may_be_are_refused() {
        let device = Device::tree("root.d");
        let mut layout = Layout::of_tree();
        layout.add(&device, &series(0..JOINED_MAX)).unwrap();
        let error = layout.add(&device, &series(0..JOINED_MAX + 1)).unwrap_err();
        assert!(error.starts_with("root.d has 1001 series, expected at most 1000"), "{error}");
        for start in (0..COLUMNS_MAX).step_by(JOINED_MAX) {
            layout.add(&device, &series(start..start + JOINED_MAX)).unwrap();
        }
        assert_eq!(layout.columns().len(), COLUMNS_MAX + 1);
        let error = layout.add(&device, &series(COLUMNS_MAX..COLUMNS_MAX + 1)).unwrap_err();
        assert!(error.starts_with("there are more than 10000 measurements"), "{error}");
    }

    #[test]
    fn tags_that_a_device_does_not_have_are_null() {
        let mut layout = Layout::of_table(["line", "place"].map(str::to_owned).into_iter());
        layout.add(&Device::tree("root.d"), &series(0..2)).unwrap();
        let names: Vec<String> = layout.columns().into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["line", "place", "s0", "s1"]);
        let device = Device::table("works", vec![Some("pumps".into()), Some("a".into())]);
        assert_eq!(layout.labels_of(&device), [Some("a".into()), None]);
        assert_eq!(layout.places_of(&series(1..2)), [3]);
    }
}
