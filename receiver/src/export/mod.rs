//! `tidegate-receiver export`: series of the tree model, or tables, as one file.
//!
//! It is written beside its name and moved there once it is whole and durable. Whatever ends it
//! before, an interrupt too, leaves nothing. If files of a store vanish under it, which a running
//! daemon has merged, it begins again.

mod partial;
mod series;
mod wide;

use core::ops::RangeInclusive;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use clap::ValueEnum;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use tidegate_columnar as columnar;
use tidegate_daemon::signals::Signals;
use tidegate_durable::DirStorage;
use tidegate_durable::Storage;
use tidegate_model::Precision;
use tidegate_query::QueryError;
use tidegate_query::text::Text;
use tidegate_query::text::named;
use tidegate_sql::Page;
use tidegate_sql::Show;
use tidegate_sql::Statement;
use tidegate_sql::parse;
use tidegate_sql::time::TimeContext;
use tidegate_sql::time::UtcOffset;
use tidegate_sql::time::parse_time;
use tidegate_store::Device;
use tidegate_store::DeviceScan;
use tidegate_store::Look;
use tidegate_store::Pattern;
use tidegate_store::Rows;
use tidegate_store::Scan;
use tidegate_store::table_schemas;
use tidegate_tsfile::Batch;
use tidegate_tsfile::TsFileVersion;

use crate::data::Place;
use crate::data::Stores;
use crate::data::Tried;
use crate::data::View;
use crate::data::context;
use crate::data::has_series;
use partial::Partial;
use series::SeriesWriter;
use wide::Layout;
use wide::WideWriter;

const BUFFER_BYTES: usize = 256 * 1024;
/// The bar has so many steps for each device.
const STEPS: u64 = 1000;
const ALL_TIMES: RangeInclusive<i64> = i64::MIN..=i64::MAX;

/// Kind of file.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Kind {
    /// A line for each point: time, device, measurement, data type, value; of a table a line for each
    /// row
    Csv,
    /// A TsFile of version 4, for IoTDB 2
    Tsfile,
    /// A TsFile of version 3, for IoTDB 1
    TsfileV3,
    /// Parquet: a row for each time of a device, a column for each measurement
    Parquet,
    /// Arrow's file format (Feather 2), with the rows of parquet
    Arrow,
}

/// What is to be exported.
pub(crate) struct Export {
    pub(crate) place: Place,
    pub(crate) kind: Kind,
    pub(crate) patterns: Vec<String>,
    /// A database of the table model, and a table of it; instead of the patterns.
    pub(crate) database: Option<String>,
    pub(crate) table: Option<String>,
    pub(crate) times: (Option<String>, Option<String>),
    pub(crate) as_numbers: bool,
    pub(crate) offset: UtcOffset,
    pub(crate) out: PathBuf,
}

/// Why there is no file.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Stopped {
    /// Whoever reads the standard output has seen enough.
    Closed,
    /// Somebody did not want to wait.
    Interrupted,
    /// To be told.
    Message(String),
}

impl From<String> for Stopped {
    fn from(message: String) -> Self {
        Self::Message(message)
    }
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
    let (first, last) = (time("--start", start, i64::MIN)?, time("--end", end, i64::MAX)?);
    match first <= last {
        true => Ok(first..=last),
        false => Err(format!(
            "expected --start at or before --end, found {} behind {}",
            start.unwrap_or_default(),
            end.unwrap_or_default()
        )),
    }
}

/// What a path or pattern means, which is one that SQL knows, too.
///
/// # Arguments
///
/// - `what`: names it in errors
pub(crate) fn pattern(
    what: &str,
    text: &str,
    context: &TimeContext,
) -> Result<tidegate_sql::Path, String> {
    match parse(&format!("SHOW TIMESERIES {text}"), context) {
        Ok(Statement::Show(Show { pattern: Some(path), page, .. })) if page == Page::default() => {
            Ok(path)
        }
        Ok(_) => Err(format!("{what} {text:?}: expected a path such as root.plant.**")),
        // its place is that in a statement which nobody has written
        Err(error) => Err(format!("{what} {text:?}: {}", error.reason())),
    }
}

/// Takes the last time of a batch and its points; an error ends the export.
type Step<'s> = dyn FnMut(i64, usize) -> Result<(), Tried<Stopped>> + 's;

/// Gives rows to `take`, batch by batch, and tells `step` of each.
fn each_batch<'d>(
    opened: &'d DeviceScan<DirStorage>,
    mut rows: Rows<'d, <DirStorage as Storage>::File>,
    step: &mut Step<'_>,
    mut take: impl FnMut(&Batch) -> Result<(), String>,
) -> Result<(), Tried<Stopped>> {
    let mut batch = Batch::default();
    while opened.next_into(&mut rows, &mut batch)? {
        let (time, n_points) = (batch.times.last().copied(), batch.n_points());
        take(&batch)?;
        step(time.unwrap_or_default(), n_points)?;
    }
    Ok(())
}

/// A device, and what its store holds.
type Found<'s> = (Device, &'s str, &'s Look);

/// What people are told beside the result, each thing once.
#[derive(Default)]
struct Notices {
    told: BTreeSet<String>,
}

impl Notices {
    fn tell(&mut self, bar: &ProgressBar, notice: String) {
        if !self.told.contains(&notice) {
            bar.suspend(|| eprintln!("tidegate-receiver: {notice}"));
            self.told.insert(notice);
        }
    }
}

/// Writes what all devices have; says how many points.
fn write_all(
    writer: &mut Writer,
    devices: &[Found<'_>],
    scan: &Scan,
    notices: &mut Notices,
    bar: &ProgressBar,
    go_on: &dyn Fn() -> Result<(), Tried<Stopped>>,
) -> Result<u64, Tried<Stopped>> {
    let mut n_points = 0u64;
    for (number, (device, _, look)) in devices.iter().enumerate() {
        let opened = look.snapshot.device(device, scan)?;
        for hidden in opened.hidden() {
            let (measurement, found) = (&hidden.measurement, hidden.data_type);
            let notice = format!(
                "{} points of {device}.{measurement} are {found} in {} and are left out",
                hidden.n_points, hidden.file
            );
            notices.tell(bar, notice);
        }
        let base = (number as u64).saturating_mul(STEPS);
        let mut step = |time: i64, points: usize| {
            n_points = n_points.saturating_add(points as u64);
            bar.set_position(base.saturating_add(part(&opened, time)));
            bar.set_message(format!("{n_points} points"));
            go_on()
        };
        match writer {
            Writer::Series(writer) => writer.device(device, &opened, &mut step)?,
            Writer::Wide(writer) => writer.device(device, &opened, &mut step)?,
        }
    }
    if let Writer::Wide(writer) = writer
        && writer.n_replaced() > 0
    {
        let n_replaced = writer.n_replaced();
        let notice =
            format!("{n_replaced} texts are not UTF-8: U+FFFD stands in the places of that");
        notices.tell(bar, notice);
    }
    Ok(n_points)
}

impl Export {
    /// Writes the file; says how many points are in it.
    pub(crate) fn run(&self) -> Result<u64, Stopped> {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_stopped);
        // SIGHUP, too: its terminal is gone, and there is nothing to be read again
        let _signals = Signals::spawn(move |_| stop.store(true, Ordering::Relaxed))
            .map_err(|error| format!("signals: {error}"))?;
        let mut notices = Notices::default();
        let done = self.place.with_stores(|stores| self.write(stores, &is_stopped, &mut notices));
        let broken = io::Error::from(rustix::io::Errno::PIPE).to_string();
        match done {
            Err(Stopped::Message(message)) if self.is_to_stdout() && message.contains(&broken) => {
                Err(Stopped::Closed)
            }
            done => done,
        }
    }

    /// Whether the file is the standard output.
    pub(crate) fn is_to_stdout(&self) -> bool {
        self.out.as_os_str() == "-"
    }

    /// Writes the file from the stores as they are.
    fn write(
        &self,
        stores: &Stores,
        is_stopped: &AtomicBool,
        notices: &mut Notices,
    ) -> Result<u64, Tried<Stopped>> {
        let (start, end) = &self.times;
        let patterns = self.wanted(&context(stores.all().precision, self.offset))?;
        let stores = &stores.of(&patterns)?;
        let precision = stores.precision;
        let times = times(&context(precision, self.offset), (start.as_deref(), end.as_deref()))?;
        let scan = Scan { patterns, measurements: None, times };
        let devices = self.devices(stores, &scan)?;
        let bar = bar(devices.len() as u64);
        self.expect_series(stores, &scan.patterns, notices, &bar)?;
        let (out, file) = self.create()?;
        let is_begun = out.is_none();
        let go_on = || match is_stopped.load(Ordering::Relaxed) {
            true => Err(Tried::Failed(Stopped::Interrupted)),
            false => Ok(()),
        };
        let written = || -> Result<u64, Tried<Stopped>> {
            let mut writer = self.writer(file, precision, &devices, &scan, &go_on)?;
            if self.database.is_none() {
                self.tell_of_tables(stores, notices, &bar);
            }
            let n_points = write_all(&mut writer, &devices, &scan, notices, &bar, &go_on)?;
            bar.finish_and_clear();
            let file = match writer {
                Writer::Series(writer) => writer.finish()?,
                Writer::Wide(writer) => writer.finish()?,
            };
            go_on()?;
            out.map_or(Ok(()), |partial| partial.keep(&file))?;
            Ok(n_points)
        };
        match written() {
            // what has left cannot be taken back
            Err(Tried::Vanished(Stopped::Message(error))) if is_begun => {
                Err(Tried::Failed(Stopped::Message(format!(
                    "{error}: files were merged meanwhile, what was written is not complete; ask again"
                ))))
            }
            written => written,
        }
    }

    /// What is written to, and where it is kept until it is whole; the standard output is not.
    fn create(&self) -> Result<(Option<Partial>, File), String> {
        if !self.is_to_stdout() {
            let (partial, file) = Partial::create(&self.out)?;
            return Ok((Some(partial), file));
        }
        if self.kind != Kind::Csv {
            let kind = self.kind.to_possible_value();
            let kind = kind.as_ref().map_or("such", |it| it.get_name());
            return Err(format!(
                "--out -: expected the name of a file, since {kind} is none for the standard output; \
                 csv is"
            ));
        }
        let out = io::stdout().as_fd().try_clone_to_owned();
        let out = out.map_err(|error| format!("standard output: {error}"))?;
        Ok((None, File::from(out)))
    }

    /// An error if no series matches any of the patterns: there is nothing to write, which a file without
    /// points does not say. What one of several patterns lacks is told.
    fn expect_series(
        &self,
        stores: &View<'_>,
        patterns: &[Pattern],
        notices: &mut Notices,
        bar: &ProgressBar,
    ) -> Result<(), String> {
        if self.database.is_some() {
            return Ok(());
        }
        let is_there = |pattern: &Pattern| {
            let patterns = core::slice::from_ref(pattern);
            stores.looks.iter().any(|(_, look)| has_series(look, patterns))
        };
        let named_there = self.patterns.iter().zip(patterns).map(|(text, it)| (text, is_there(it)));
        let (there, lacking): (Vec<_>, Vec<_>) = named_there.partition(|(_, is_there)| *is_there);
        let lacking: Vec<&str> = lacking.iter().map(|(text, _)| text.as_str()).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        let message = format!("no series matches {}", named(lacking));
        if there.is_empty() {
            // they may have been looked for here
            self.tell_of_tables(stores, notices, bar);
            return Err(format!("{message}: nothing was written; SHOW TIMESERIES lists all"));
        }
        notices.tell(bar, message);
        Ok(())
    }

    fn wanted(&self, context: &TimeContext) -> Result<Vec<Pattern>, String> {
        let Some(database) = &self.database else {
            let pattern = |text: &String| {
                let path = pattern("--pattern", text, context)?;
                Ok(Pattern::Tree(path.nodes().join(".").into()))
            };
            return self.patterns.iter().map(pattern).collect();
        };
        let (database, table) = (database.as_str().into(), self.table.as_deref());
        Ok(vec![Pattern::Table { database, table: table.map(Box::from) }])
    }

    /// The devices, in order; each is in one origin.
    fn devices<'s>(&self, stores: &View<'s>, scan: &Scan) -> Result<Vec<Found<'s>>, String> {
        let mut devices = Vec::new();
        for (name, look) in &stores.looks {
            let found = look.snapshot.devices(&scan.patterns);
            devices.extend(found.into_iter().map(|device| (device, name.as_str(), look)));
        }
        devices.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        let is_same =
            |one: &Found<'_>, other: &Found<'_>| self.database.is_some() || one.0 == other.0;
        for same in devices.chunk_by(is_same) {
            let mut origins: Vec<String> =
                same.iter().map(|(_, name, _)| (*name).to_owned()).collect();
            origins.sort_unstable();
            origins.dedup();
            if let ([(one, ..), ..], [_, _, ..]) = (same, origins.as_slice()) {
                let device = self.database.clone().unwrap_or_else(|| one.to_string());
                return Err(QueryError::Ambiguous { device, origins }.to_string());
            }
        }
        if let (Some(database), true) = (&self.database, devices.is_empty()) {
            let known = tables_of(stores);
            let known = named(known.iter().map(String::as_str));
            return Err(match &self.table {
                Some(table) => format!("expected a table {database}.{table}, found {known}"),
                None => format!("expected tables of the database {database}, found {known}"),
            });
        }
        Ok(devices)
    }

    /// Tables are not of the tree: nobody shall think that they are in the file.
    fn tell_of_tables(&self, stores: &View<'_>, notices: &mut Notices, bar: &ProgressBar) {
        let known = tables_of(stores);
        if !known.is_empty() {
            let notice = format!(
                "tables are not in this file, but are exported with --database and --table: {}",
                named(known.iter().map(String::as_str))
            );
            notices.tell(bar, notice);
        }
    }

    fn writer(
        &self,
        file: File,
        precision: Precision,
        devices: &[Found<'_>],
        scan: &Scan,
        go_on: &dyn Fn() -> Result<(), Tried<Stopped>>,
    ) -> Result<Writer, Tried<Stopped>> {
        let out = BufWriter::with_capacity(BUFFER_BYTES, file);
        let offset = (!self.as_numbers).then_some(self.offset);
        let text = Text { precision, offset };
        let version = match self.kind {
            Kind::Tsfile => TsFileVersion::V4,
            Kind::TsfileV3 if self.database.is_some() => {
                let message = "a TsFile of version 3 has no tables: expected --format tsfile";
                return Err(message.to_owned().into());
            }
            Kind::TsfileV3 => TsFileVersion::V3,
            Kind::Csv if self.database.is_none() => {
                return Ok(Writer::Series(SeriesWriter::csv(out, text)?));
            }
            Kind::Csv | Kind::Parquet | Kind::Arrow => {
                let layout = self.layout(devices, scan, go_on)?;
                let format = match self.kind {
                    Kind::Parquet => columnar::Format::Parquet,
                    Kind::Arrow => columnar::Format::Arrow,
                    _ => return Ok(Writer::Wide(WideWriter::csv(out, layout, text)?)),
                };
                let metadata = metadata(devices);
                let table = columnar::Table { precision, columns: Vec::new(), metadata };
                return Ok(Writer::Wide(WideWriter::columnar(out, layout, format, table)?));
            }
        };
        let mut schemas = Vec::new();
        if let (Some(_), Some((.., look))) = (&self.database, devices.first()) {
            let mut named = Vec::new();
            for (device, ..) in devices {
                go_on()?;
                named.push((device, look.snapshot.device(device, scan)?.columns().to_vec()));
            }
            schemas = table_schemas(&look.tables, named.into_iter());
        }
        Ok(Writer::Series(SeriesWriter::ts_file(out, version, schemas)?))
    }

    /// The columns of a file that has one for each measurement.
    fn layout(
        &self,
        devices: &[Found<'_>],
        scan: &Scan,
        go_on: &dyn Fn() -> Result<(), Tried<Stopped>>,
    ) -> Result<Layout, Tried<Stopped>> {
        let mut layout = match &self.database {
            None => Layout::of_tree(),
            Some(database) => {
                let tables: BTreeSet<_> =
                    devices.iter().filter_map(|(device, ..)| device.table_name()).collect();
                if tables.len() > 1 {
                    let known = named(tables);
                    return Err(format!(
                        "{database} has the tables {known}, and such a file has one: expected \
                         --table, or --format tsfile"
                    )
                    .into());
                }
                Layout::of_table(tags(devices).into_iter())
            }
        };
        for (device, _, look) in devices {
            go_on()?;
            layout.add(device, look.snapshot.device(device, scan)?.columns())?;
        }
        Ok(layout)
    }
}

enum Writer {
    Series(SeriesWriter),
    Wide(WideWriter),
}

/// What a file says of itself.
fn metadata(devices: &[Found<'_>]) -> Vec<(String, String)> {
    let origins: BTreeSet<&str> = devices.iter().map(|(_, origin, _)| *origin).collect();
    let origins: Vec<&str> = origins.into_iter().collect();
    let pairs = [
        ("tidegate.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("tidegate.origin", origins.join(",")),
    ];
    pairs.map(|(key, value)| (key.to_owned(), value)).into()
}

/// The names of the tags of the one table that these devices are of; those that no sender has told
/// have names by their places.
fn tags(devices: &[Found<'_>]) -> Vec<String> {
    let Some((device, _, look)) = devices.first() else { return Vec::new() };
    let key = (
        device.database().unwrap_or_default().into(),
        device.table_name().unwrap_or_default().into(),
    );
    let known = look.tables.get(&key).map_or(&[][..], Vec::as_slice);
    let n_tags = devices.iter().map(|(device, ..)| match device {
        Device::Tree { .. } => 0,
        Device::Table { segments, .. } => segments.0.len().saturating_sub(1),
    });
    let n_tags = n_tags.max().unwrap_or(0).max(known.len());
    let name = |at: usize| known.get(at).map_or_else(|| format!("tag{at}"), |it| it.to_string());
    (0..n_tags).map(name).collect()
}

/// All tables, as `database.table`.
fn tables_of(stores: &View<'_>) -> Vec<String> {
    let tables = stores.looks.iter().flat_map(|(_, look)| look.snapshot.tables());
    let tables: BTreeSet<String> =
        tables.map(|(database, table)| format!("{database}.{table}")).collect();
    tables.into_iter().collect()
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
