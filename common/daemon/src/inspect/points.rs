//! Points of a TsFile as csv.

use std::fmt::Write as _;
use std::io::Write;

use anyhow::Context;
use anyhow::Result;
use tidegate_model::DataType;
use tidegate_tsfile::Batch;
use tidegate_tsfile::BatchColumn;
use tidegate_tsfile::Cuts;
use tidegate_tsfile::ModEntry;
use tidegate_tsfile::ReadAt;
use tidegate_tsfile::Selection;
use tidegate_tsfile::SeriesKind;
use tidegate_tsfile::SeriesMetadata;
use tidegate_tsfile::TsFile;
use tidegate_tsfile::Values;

use super::WRITING;

/// Prints every point of a file that was not deleted, series by series; where chunks overlap, the later
/// one counts.
///
/// Columns are device, measurement, time (in the precision of its cluster), type and value. Numbers
/// have the digits that tell them apart, BLOB and OBJECT are `0x` and hex, DATE is `yyyy-mm-dd`.
pub(super) fn print(
    file: &TsFile<impl ReadAt>,
    deleted: &[ModEntry],
    out: &mut dyn Write,
) -> Result<()> {
    out.write_all(b"device,measurement,time,type,value\n").context(WRITING)?;
    let (mut batch, mut line) = (Batch::default(), String::new());
    for device in file.devices() {
        let device = device?;
        let device_name = quoted(device.id().path.as_bytes());
        let mut time: Option<SeriesMetadata> = None;
        for series in file.series(&device)? {
            let series = series?;
            if series.kind == SeriesKind::Time {
                time = Some(series);
                continue;
            }
            let Some(data_type) = series.data_type else { continue };
            let measurement = quoted(series.measurement.as_bytes());
            let mut selection = Selection::default();
            selection.cuts = Cuts::of(deleted, device.id(), &[&series.measurement]);
            let mut rows = match &time {
                Some(time) if series.kind == SeriesKind::Value => {
                    file.aligned_rows(time, std::slice::from_ref(&series), selection)?
                }
                _ => file.rows(&series, selection)?,
            };
            while rows.next_into(&mut batch)? {
                let Some(column) = batch.columns.first() else { continue };
                let there = batch.times.iter().zip(column.presence.iter());
                let times = there.filter(|(_, is_there)| *is_there).map(|(time, _)| time);
                for (at, time) in times.enumerate() {
                    line.clear();
                    write!(line, "{device_name},{measurement},{time},{data_type},")?;
                    push_value(column, at, &mut line)?;
                    line.push('\n');
                    out.write_all(line.as_bytes()).context(WRITING)?;
                }
            }
        }
    }
    Ok(())
}

/// The value at `at` of the values of a column.
fn push_value(column: &BatchColumn, at: usize, line: &mut String) -> std::fmt::Result {
    match &column.values {
        Values::Boolean(values) => write!(line, "{}", values.get(at).copied().unwrap_or_default()),
        Values::Int32(values) => {
            let value = values.get(at).copied().unwrap_or_default();
            match column.data_type {
                DataType::Date => {
                    let (year, month, day) = (value / 10_000, value / 100 % 100, value % 100);
                    write!(line, "{year:04}-{month:02}-{day:02}")
                }
                _ => write!(line, "{value}"),
            }
        }
        Values::Int64(values) => write!(line, "{}", values.get(at).copied().unwrap_or_default()),
        Values::Float(values) => write!(line, "{:?}", values.get(at).copied().unwrap_or_default()),
        Values::Double(values) => write!(line, "{:?}", values.get(at).copied().unwrap_or_default()),
        Values::Bytes(values) => {
            let value = values.get(at).unwrap_or_default();
            match column.data_type {
                DataType::Blob | DataType::Object => {
                    line.push_str("0x");
                    value.iter().try_for_each(|byte| write!(line, "{byte:02x}"))
                }
                _ => {
                    line.push_str(&quoted(value));
                    Ok(())
                }
            }
        }
    }
}

/// A field of csv: in quotes if it has to be. What is not UTF-8 is replaced.
fn quoted(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.into_owned(),
    }
}
