//! Exports series by series: csv with a line for each point, and TsFiles.

use std::fs::File;
use std::io::BufWriter;
use std::thread;

use tidegate_durable::DirStorage;
use tidegate_model::DataType;
use tidegate_query::Column;
use tidegate_query::Head;
use tidegate_query::Sink;
use tidegate_query::output::Csv;
use tidegate_query::text::Text;
use tidegate_store::Device;
use tidegate_store::DeviceScan;
use tidegate_store::Series;
use tidegate_tsfile::Batch;
use tidegate_tsfile::BatchColumn;
use tidegate_tsfile::Presence;
use tidegate_tsfile::SeriesSpec;
use tidegate_tsfile::TableSchema;
use tidegate_tsfile::TsFileVersion;
use tidegate_tsfile::TsFileWriter;
use tidegate_tsfile::Values;
use tidegate_tsfile::WriteOptions;

use super::Step;
use super::Stopped;
use super::each_batch;
use crate::data::Tried;

/// Writes points of devices to a file.
pub(super) enum SeriesWriter {
    Csv(Box<Csv<BufWriter<File>>>),
    TsFile(Box<TsFileWriter<BufWriter<File>>>, TsFileVersion),
}

impl SeriesWriter {
    /// A line for each point: time, device, measurement, data type, value.
    pub(super) fn csv(out: BufWriter<File>, text: Text) -> Result<Self, String> {
        let mut csv = Csv::new(out, text);
        let names = ["Device", "Measurement", "DataType", "Value"];
        let columns = names.map(|name| Column { name: name.to_owned(), data_type: DataType::Text });
        csv.head(&Head { has_time: true, columns: columns.into() })
            .map_err(|error| error.to_string())?;
        Ok(Self::Csv(Box::new(csv)))
    }

    /// A TsFile.
    ///
    /// # Arguments
    ///
    /// - `tables`: all that will come
    pub(super) fn ts_file(
        out: BufWriter<File>,
        version: TsFileVersion,
        tables: Vec<TableSchema>,
    ) -> Result<Self, String> {
        let begin = || {
            let mut writer = TsFileWriter::new(out, WriteOptions::of_version(version))?;
            // Somebody waits for it. Without a thread to spare it takes longer, and ends as well.
            if let Some(helper) = writer.helper()? {
                let named = thread::Builder::new().name("export-pages".to_owned());
                drop(named.spawn(|| helper.run()));
            }
            tables.into_iter().try_for_each(|table| writer.declare_table(table))?;
            Ok(writer)
        };
        let writer = begin().map_err(|error: tidegate_tsfile::WriteError| error.to_string())?;
        Ok(Self::TsFile(Box::new(writer), version))
    }

    pub(super) fn device(
        &mut self,
        device: &Device,
        opened: &DeviceScan<DirStorage>,
        step: &mut Step<'_>,
    ) -> Result<(), Tried<Stopped>> {
        // in tables a time is a row also without a field
        let is_of_table = device.database().is_some();
        let is_aligned = is_of_table || opened.columns().iter().any(|series| series.is_aligned);
        let all: Vec<usize> = (0..opened.columns().len()).collect();
        let groups: Vec<Vec<usize>> = match is_aligned {
            _ if all.is_empty() && !is_of_table => return Ok(()),
            true => vec![all],
            false => all.into_iter().map(|column| vec![column]).collect(),
        };
        for columns in groups {
            let series: Vec<&Series> =
                columns.iter().filter_map(|column| opened.columns().get(*column)).collect();
            let rows = match is_of_table {
                true => opened.rows()?,
                false => opened.rows_between(&columns, &super::ALL_TIMES)?,
            };
            let mut is_begun = false;
            each_batch(opened, rows, step, |batch| {
                if !core::mem::replace(&mut is_begun, true) {
                    self.begin(device, &series, is_aligned)?;
                }
                self.write(device, &series, batch)
            })?;
        }
        Ok(())
    }

    fn begin(
        &mut self,
        device: &Device,
        series: &[&Series],
        is_aligned: bool,
    ) -> Result<(), String> {
        let Self::TsFile(writer, version) = self else { return Ok(()) };
        let id = device.id(*version);
        let specs: Vec<SeriesSpec> =
            series.iter().map(|it| SeriesSpec::new(&it.measurement, it.data_type)).collect();
        let begun = match specs.as_slice() {
            [one] if !is_aligned => writer.begin_series(&id, one),
            columns => writer.begin_aligned(&id, columns),
        };
        begun.map_err(|error| format!("{device}: {error}"))
    }

    fn write(&mut self, device: &Device, series: &[&Series], batch: &Batch) -> Result<(), String> {
        match self {
            Self::TsFile(writer, _) => {
                writer.write(batch).map_err(|error| format!("{device}: {error}"))
            }
            Self::Csv(csv) => {
                for (series, column) in series.iter().zip(&batch.columns) {
                    let points = points(&device.to_string(), series, &batch.times, column);
                    csv.rows(&points).map_err(|error| error.to_string())?;
                }
                Ok(())
            }
        }
    }

    pub(super) fn finish(self) -> Result<File, String> {
        let out = match self {
            Self::Csv(csv) => csv.into_inner(),
            Self::TsFile(writer, _) => writer.finish().map_err(|error| error.to_string())?.out,
        };
        out.into_inner().map_err(|error| error.to_string())
    }
}

/// The points of a series, a row for each.
fn points(device: &str, series: &Series, times: &[i64], column: &BatchColumn) -> Batch {
    let rows = times.iter().zip(column.presence.iter()).filter(|(_, is_there)| *is_there);
    let times: Vec<i64> = rows.map(|(time, _)| *time).collect();
    let n_rows = times.len();
    let names = [device, &series.measurement, series.data_type.as_str()];
    let names = names.map(|name| label(Some(name), DataType::Text, n_rows));
    let own = BatchColumn { presence: Presence::all(n_rows), ..column.clone() };
    Batch { times, columns: names.into_iter().chain([own]).collect() }
}

/// A column that says the same in each row.
pub(super) fn label(text: Option<&str>, data_type: DataType, n_rows: usize) -> BatchColumn {
    let mut column = BatchColumn::new(data_type);
    column.presence.push_many(text.is_some(), n_rows);
    if let (Values::Bytes(values), Some(text)) = (&mut column.values, text) {
        (0..n_rows).for_each(|_| values.push(text.as_bytes()));
    }
    column
}
