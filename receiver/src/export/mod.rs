//! `tidegate-receiver export`: series of the tree model as one file.
//!
//! It is written beside its name and moved there once it is whole and durable. Whatever ends it
//! before, an interrupt too, leaves nothing.

use core::ops::RangeInclusive;
use std::fs;
use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use clap::ValueEnum;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use tidegate_daemon::signals::Signal;
use tidegate_daemon::signals::Signals;
use tidegate_durable::DirStorage;
use tidegate_model::DataType;
use tidegate_model::Precision;
use tidegate_query::Column;
use tidegate_query::Head;
use tidegate_query::Sink;
use tidegate_query::output::Csv;
use tidegate_query::text::Text;
use tidegate_sql::time::TimeContext;
use tidegate_sql::time::UtcOffset;
use tidegate_sql::time::parse_time;
use tidegate_store::Device;
use tidegate_store::DeviceScan;
use tidegate_store::Pattern;
use tidegate_store::Scan;
use tidegate_store::Series;
use tidegate_tsfile::Batch;
use tidegate_tsfile::BatchColumn;
use tidegate_tsfile::DeviceId;
use tidegate_tsfile::Segments;
use tidegate_tsfile::SeriesSpec;
use tidegate_tsfile::TsFileVersion;
use tidegate_tsfile::TsFileWriter;
use tidegate_tsfile::WriteOptions;

use crate::data::Place;

const BUFFER_BYTES: usize = 256 * 1024;
/// The bar has so many steps for each device.
const STEPS: u64 = 1000;

/// Kind of file.
#[derive(Clone, Copy, Eq, PartialEq, ValueEnum)]
pub(crate) enum Kind {
    /// A line for each point: time, device, measurement, data type, value
    Csv,
    /// A TsFile of version 4, for IoTDB 2
    Tsfile,
    /// A TsFile of version 3, for IoTDB 1
    TsfileV3,
}

/// What is to be exported.
pub(crate) struct Export {
    pub(crate) place: Place,
    pub(crate) kind: Kind,
    pub(crate) patterns: Vec<String>,
    pub(crate) times: (Option<String>, Option<String>),
    pub(crate) as_numbers: bool,
    pub(crate) offset: UtcOffset,
    pub(crate) out: PathBuf,
}

/// First and last time as people write them.
pub(crate) fn times(
    context: &TimeContext,
    (start, end): (Option<&str>, Option<&str>),
) -> Result<RangeInclusive<i64>, String> {
    let time = |option: &str, text: Option<&str>, otherwise| match text {
        None => Ok(otherwise),
        Some(text) => parse_time(text, context).map_err(|error| format!("{option}: {error}")),
    };
    Ok(time("--start", start, i64::MIN)?..=time("--end", end, i64::MAX)?)
}

/// A file that is not there until it is whole.
struct Partial {
    path: PathBuf,
    beside: PathBuf,
}

impl Partial {
    fn create(path: &Path) -> Result<(Self, File), String> {
        let shown = |error: io::Error| format!("{}: {error}", path.display());
        if path.try_exists().map_err(shown)? {
            return Err(format!("{}: expected no file there, found one", path.display()));
        }
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let beside = PathBuf::from(name);
        let file = File::create_new(&beside).map_err(shown)?;
        Ok((Self { path: path.to_owned(), beside }, file))
    }

    fn keep(self, file: &File) -> io::Result<()> {
        file.sync_all()?;
        fs::rename(&self.beside, &self.path)?;
        let parent = self.path.parent().filter(|it| !it.as_os_str().is_empty());
        File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // gone already if it was kept
        let _ = fs::remove_file(&self.beside);
    }
}

/// Writes points of devices to a file.
enum Writer {
    Csv(Box<Csv<BufWriter<File>>>),
    TsFile(Box<TsFileWriter<BufWriter<File>>>, TsFileVersion),
}

impl Export {
    /// Writes the file; says how many points are in it.
    pub(crate) fn run(&self) -> Result<u64, String> {
        let stores = self.place.look()?;
        let (start, end) = &self.times;
        let times = times(&stores.context(self.offset), (start.as_deref(), end.as_deref()))?;
        let patterns = self.patterns.iter().map(|it| Pattern::Tree(it.as_str().into())).collect();
        let scan = Scan { patterns, measurements: None, times };
        let mut devices = Vec::new();
        let sources = stores.sources();
        for (at, source) in sources.iter().enumerate() {
            let found = source.snapshot.devices(&scan.patterns);
            devices.extend(found.into_iter().map(|device| (device, at)));
        }
        devices.sort_unstable();
        for pair in devices.windows(2) {
            if let [(one, _), (other, _)] = pair
                && one == other
            {
                return Err(format!("{one} is in several origins: expected --origin"));
            }
        }
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_stopped);
        let _signals = Signals::spawn(move |signal| {
            if signal == Signal::Terminate {
                stop.store(true, Ordering::Relaxed);
            }
        })
        .map_err(|error| format!("signals: {error}"))?;
        let (partial, file) = Partial::create(&self.out)?;
        let mut writer = self.writer(file, stores.precision)?;
        let bar = bar(devices.len() as u64);
        let mut n_points = 0u64;
        for (number, (device, source)) in devices.iter().enumerate() {
            let Some(source) = sources.get(*source) else { continue };
            let opened =
                source.snapshot.device(device, &scan).map_err(|error| error.to_string())?;
            for hidden in opened.hidden() {
                let (measurement, found) = (&hidden.measurement, hidden.data_type);
                bar.suspend(|| {
                    eprintln!(
                        "tidegate-receiver: {} points of {device}.{measurement} are {found} in {} \
                         and are left out",
                        hidden.n_points, hidden.file
                    );
                });
            }
            let base = (number as u64).saturating_mul(STEPS);
            let mut step = |time: i64, points: usize| {
                n_points = n_points.saturating_add(points as u64);
                bar.set_position(base.saturating_add(part(&opened, time)));
                bar.set_message(format!("{n_points} points"));
                match is_stopped.load(Ordering::Relaxed) {
                    true => Err(String::from("interrupted, nothing was written")),
                    false => Ok(()),
                }
            };
            writer.device(device, &opened, &mut step)?;
        }
        bar.finish_and_clear();
        let named = |error: io::Error| format!("{}: {error}", self.out.display());
        let file = writer.finish()?;
        partial.keep(&file).map_err(named)?;
        Ok(n_points)
    }

    fn writer(&self, file: File, precision: Precision) -> Result<Writer, String> {
        let out = BufWriter::with_capacity(BUFFER_BYTES, file);
        let version = match self.kind {
            Kind::Tsfile => TsFileVersion::V4,
            Kind::TsfileV3 => TsFileVersion::V3,
            Kind::Csv => {
                let offset = (!self.as_numbers).then_some(self.offset);
                let mut csv = Csv::new(out, Text { precision, offset });
                let names = ["Device", "Measurement", "DataType", "Value"];
                let columns =
                    names.map(|name| Column { name: name.to_owned(), data_type: DataType::Text });
                let head = Head { has_time: true, columns: columns.into() };
                csv.head(&head).map_err(|error| error.to_string())?;
                return Ok(Writer::Csv(Box::new(csv)));
            }
        };
        let writer = TsFileWriter::new(out, WriteOptions::of_version(version));
        let writer = writer.map_err(|error| error.to_string())?;
        Ok(Writer::TsFile(Box::new(writer), version))
    }
}

/// Takes the last time of a batch and its points; an error ends the export.
type Step<'s> = dyn FnMut(i64, usize) -> Result<(), String> + 's;

impl Writer {
    fn device(
        &mut self,
        device: &Device,
        opened: &DeviceScan<DirStorage>,
        step: &mut Step<'_>,
    ) -> Result<(), String> {
        let Device::Tree { path } = device else { return Ok(()) };
        let is_aligned = opened.columns().iter().any(|series| series.is_aligned);
        let all: Vec<usize> = (0..opened.columns().len()).collect();
        let groups: Vec<Vec<usize>> = match is_aligned {
            _ if all.is_empty() => return Ok(()),
            true => vec![all],
            false => all.into_iter().map(|column| vec![column]).collect(),
        };
        for columns in groups {
            let series: Vec<&Series> =
                columns.iter().filter_map(|column| opened.columns().get(*column)).collect();
            self.begin(path, &series, is_aligned)?;
            let every = i64::MIN..=i64::MAX;
            let rows = opened.rows_between(&columns, &every);
            let mut rows = rows.map_err(|error| error.to_string())?;
            let mut batch = Batch::default();
            while opened.next_into(&mut rows, &mut batch).map_err(|error| error.to_string())? {
                self.write(path, &series, &batch)?;
                step(batch.times.last().copied().unwrap_or_default(), batch.n_points())?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, path: &str, series: &[&Series], is_aligned: bool) -> Result<(), String> {
        let Self::TsFile(writer, version) = self else { return Ok(()) };
        let segments = (*version != TsFileVersion::V3).then(|| Segments::of_path(path));
        let id = DeviceId { path: path.into(), segments };
        let specs: Vec<SeriesSpec> =
            series.iter().map(|it| SeriesSpec::new(&it.measurement, it.data_type)).collect();
        let begun = match specs.as_slice() {
            [one] if !is_aligned => writer.begin_series(&id, one),
            columns => writer.begin_aligned(&id, columns),
        };
        begun.map_err(|error| format!("{path}: {error}"))
    }

    fn write(&mut self, path: &str, series: &[&Series], batch: &Batch) -> Result<(), String> {
        match self {
            Self::TsFile(writer, _) => {
                writer.write(batch).map_err(|error| format!("{path}: {error}"))
            }
            Self::Csv(csv) => {
                for (series, column) in series.iter().zip(&batch.columns) {
                    let points = points(path, series, &batch.times, column);
                    csv.rows(&points).map_err(|error| error.to_string())?;
                }
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<File, String> {
        let out = match self {
            Self::Csv(csv) => csv.into_inner(),
            Self::TsFile(writer, _) => writer.finish().map_err(|error| error.to_string())?.out,
        };
        out.into_inner().map_err(|error| error.to_string())
    }
}

/// The points of a series, a row for each.
fn points(path: &str, series: &Series, times: &[i64], column: &BatchColumn) -> Batch {
    let rows = times.iter().zip(column.presence.iter()).filter(|(_, is_there)| *is_there);
    let times: Vec<i64> = rows.map(|(time, _)| *time).collect();
    let n_rows = times.len();
    let text = |text: &str| {
        let mut column = BatchColumn::new(DataType::Text);
        let value = tidegate_model::Value::Bytes(text.as_bytes().to_vec());
        for _ in 0..n_rows {
            column.presence.push(column.values.push(&value));
        }
        column
    };
    let presence = tidegate_tsfile::Presence::all(n_rows);
    let own = BatchColumn { presence, ..column.clone() };
    let names = [path, &series.measurement, series.data_type.as_str()].map(text);
    Batch { times, columns: names.into_iter().chain([own]).collect() }
}

/// How far a device is read, from 0 to [`STEPS`]: by the last time.
fn part(opened: &DeviceScan<DirStorage>, time: i64) -> u64 {
    let ranges = (0..opened.columns().len()).filter_map(|column| opened.range(column));
    let range =
        ranges.reduce(|one, other| *one.start().min(other.start())..=*one.end().max(other.end()));
    let Some(range) = range else { return STEPS };
    let span = u128::from(range.end().abs_diff(*range.start())).max(1);
    let done = u128::from(time.abs_diff(*range.start())).saturating_mul(STEPS.into());
    u64::try_from(done.checked_div(span).unwrap_or(0)).unwrap_or(STEPS).min(STEPS)
}

/// Only on a terminal.
fn bar(n_devices: u64) -> ProgressBar {
    let bar = ProgressBar::new(n_devices.saturating_mul(STEPS));
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {percent}% {msg} {eta}") {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let (partial, mut file) = Partial::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        assert!(!path.exists());
        drop(partial);
        assert_eq!(names(directory.path()), Vec::<String>::new());
        let (partial, mut file) = Partial::create(&path).unwrap();
        file.write_all(b"whole").unwrap();
        partial.keep(&file).unwrap();
        assert_eq!(names(directory.path()), ["out"]);
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert!(Partial::create(&path).is_err(), "what is there is not replaced");
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }
}
