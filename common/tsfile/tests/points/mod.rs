//! What several tests of the reader need: the corpus, and all points of a file as lines.

// Each test takes what it needs.
#![allow(dead_code, unreachable_pub)]

use std::fs;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::io::Read;
use std::ops::RangeInclusive;
use std::path::Path;
use std::path::PathBuf;

use tidegate_tsfile::ALL_TIMES;
use tidegate_tsfile::Batch;
use tidegate_tsfile::ReadAt;
use tidegate_tsfile::ReadError;
use tidegate_tsfile::Selection;
use tidegate_tsfile::SeriesKind;
use tidegate_tsfile::TsFile;
use tidegate_tsfile::Values;

/// The libraries that wrote the corpus.
pub const KINDS: [&str; 4] = ["v3old", "v3new", "v4beta", "v4"];
/// What real servers wrote, in the repository only.
const SERVER: &str = "server";

pub fn corpus() -> PathBuf {
    // The complete corpus is made by `tests/java/tsfile/run.sh KIND corpus DIR`.
    let elsewhere = std::env::var_os("TIDEGATE_CORPUS").map(PathBuf::from);
    elsewhere.unwrap_or_else(in_repository)
}

fn in_repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// Files of the corpus with the points that they must have.
pub fn files() -> Vec<(PathBuf, PathBuf)> {
    let mut found = Vec::new();
    let of_servers = in_repository().join(SERVER);
    for folder in KINDS.map(|kind| corpus().join(kind)).into_iter().chain([of_servers]) {
        let manifest = fs::read_to_string(folder.join("manifest.csv")).unwrap();
        for line in manifest.lines().skip(1) {
            let (file, expected) = line.split_once(',').unwrap();
            found.push((folder.join(file), folder.join(expected)));
        }
    }
    assert!(found.len() > 30, "the corpus is missing");
    found
}

/// Lines of the expected points, sorted.
pub fn expected(path: &Path) -> Vec<String> {
    let mut text = String::new();
    let file = fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let mut lines: Vec<String> = text.lines().map(normal).collect();
    lines.sort_unstable();
    lines
}

/// Java prints a decimal before the bits of a number; only the bits count.
fn normal(line: &str) -> String {
    match line.rsplit_once('|') {
        Some((front, bits)) => {
            let (front, _) = front.rsplit_once(',').unwrap();
            format!("{front},{bits}")
        }
        None => line.to_owned(),
    }
}

/// All points of a file, as lines of the corpus, sorted.
pub fn points<R: ReadAt>(file: &TsFile<R>) -> Result<Vec<String>, ReadError> {
    points_between(file, ALL_TIMES)
}

/// The points of a file with these times, as lines of the corpus, sorted.
pub fn points_between<R: ReadAt>(
    file: &TsFile<R>,
    times: RangeInclusive<i64>,
) -> Result<Vec<String>, ReadError> {
    let mut lines = Vec::new();
    each_batch(file, &Selection::of_times(times), |series, batch| {
        let column = &batch.columns[0];
        let there = batch.times.iter().zip(column.presence.iter());
        let times = there.filter(|(_, is_there)| *is_there).map(|(time, _)| time);
        for (at, time) in times.enumerate() {
            lines.push(format!("{series},{time},{}", shown(&column.values, at)));
        }
    })?;
    lines.sort_unstable();
    Ok(lines)
}

/// A number that stands for all points of a file.
pub fn digest<R: ReadAt>(file: &TsFile<R>) -> Result<u64, ReadError> {
    let mut hasher = DefaultHasher::new();
    each_batch(file, &Selection::default(), |series, batch| {
        series.hash(&mut hasher);
        batch.times.hash(&mut hasher);
        let column = &batch.columns[0];
        column.presence.iter().for_each(|is_there| is_there.hash(&mut hasher));
        match &column.values {
            Values::Boolean(values) => values.hash(&mut hasher),
            Values::Int32(values) => values.hash(&mut hasher),
            Values::Int64(values) => values.hash(&mut hasher),
            Values::Float(values) => {
                values.iter().for_each(|value| value.to_bits().hash(&mut hasher));
            }
            Values::Double(values) => {
                values.iter().for_each(|value| value.to_bits().hash(&mut hasher));
            }
            Values::Bytes(values) => values.iter().for_each(|value| value.hash(&mut hasher)),
        }
    })?;
    Ok(hasher.finish())
}

/// Calls `see` with device and measurement, and with rows of that series.
fn each_batch<R: ReadAt>(
    file: &TsFile<R>,
    selection: &Selection,
    mut see: impl FnMut(&str, &Batch),
) -> Result<(), ReadError> {
    let mut batch = Batch::default();
    for device in file.devices() {
        let device = device?;
        let series: Result<Vec<_>, _> = file.series(&device)?.collect();
        let series = series?;
        let time = series.iter().find(|it| it.kind == SeriesKind::Time);
        for one in series.iter().filter(|it| it.kind != SeriesKind::Time) {
            let mut rows = match time {
                Some(time) => {
                    file.aligned_rows(time, std::slice::from_ref(one), selection.clone())?
                }
                None => file.rows(one, selection.clone())?,
            };
            let name = format!("{},{}", device.id(), one.measurement);
            let mut last = None;
            while rows.next_into(&mut batch)? {
                for time in &batch.times {
                    assert!(last < Some(*time), "{name}: {time} behind {last:?}");
                    last = Some(*time);
                }
                see(&name, &batch);
            }
        }
    }
    Ok(())
}

fn shown(values: &Values, at: usize) -> String {
    match values {
        Values::Boolean(values) => values[at].to_string(),
        Values::Int32(values) => values[at].to_string(),
        Values::Int64(values) => values[at].to_string(),
        Values::Float(values) => format!("{:08x}", values[at].to_bits()),
        Values::Double(values) => format!("{:016x}", values[at].to_bits()),
        Values::Bytes(values) => {
            let hex: String =
                values.get(at).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
            format!("x:{hex}")
        }
    }
}

/// Says which lines differ, briefly.
#[track_caller]
pub fn compare(what: &str, found: &[String], expected: &[String]) {
    if found == expected {
        return;
    }
    let missing: Vec<_> = expected.iter().filter(|it| found.binary_search(it).is_err()).collect();
    let surplus: Vec<_> = found.iter().filter(|it| expected.binary_search(it).is_err()).collect();
    panic!(
        "{what}: {} points instead of {}; {} missing, such as {:?}; {} too many, such as {:?}",
        found.len(),
        expected.len(),
        missing.len(),
        &missing[..missing.len().min(4)],
        surplus.len(),
        &surplus[..surplus.len().min(4)],
    );
}
