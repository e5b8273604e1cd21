//! TsFiles of ours and of the official Java library, both ways, and of ours in a real IoTDB.
//!
//! What the library makes of a file is the truth; `tests/java/tsfile/README.md` tells its kinds.

mod lines;
mod select;
// One source of random files, for the tests of the crate and for these.
#[allow(dead_code)]
#[path = "../../../../common/tsfile/tests/write/shape.rs"]
mod shape;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::anyhow;
use anyhow::bail;
use flate2::read::GzDecoder;
use tidegate_model::DataType;
use tidegate_model::Value;
use tidegate_tsfile::DeviceId;
use tidegate_tsfile::Encoding;
use tidegate_tsfile::RlbeMeaning;
use tidegate_tsfile::Segments;
use tidegate_tsfile::TsFile;
use tidegate_tsfile::TsFileVersion;
use tidegate_tsfile::Unfinished;

use self::lines::Nans;
use self::lines::SeriesLines;
use self::select::Selected;
use self::shape::Shape;
use super::rig::Rig;
use super::rig::Role;
use super::rig::Shown;
use super::server::script;
use crate::stored::with_our_digits;

/// One JVM makes, reads or checks some hundred files.
const JAVA_TIME_MAX: Duration = Duration::from_secs(900);
/// Seeds of files of ours begin here, those of the tests of the crate at 0.
const SEED: u64 = 1_000_000;
/// Times of random files begin at -1000. LOAD of 2.0.1-beta splits files at the borders of time
/// partitions, of which 0 is one, and may lose empty chunks of aligned columns there.
const FIRST_TIMES: i64 = 1000;
/// OBJECT is the last type of all, and what came with IoTDB 1.3.3 stands behind TEXT.
const N_TYPES_OLD: usize = 6;

/// A version of the library.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Kind {
    name: &'static str,
    version: TsFileVersion,
    /// What RLBE of floats means to it.
    rlbe: RlbeMeaning,
    /// How many of all types it knows.
    n_types: usize,
}

const KINDS: [Kind; 4] = [
    Kind {
        name: "v3old",
        version: TsFileVersion::V3,
        rlbe: RlbeMeaning::FloatDifference,
        n_types: N_TYPES_OLD,
    },
    Kind {
        name: "v3new",
        version: TsFileVersion::V3,
        rlbe: RlbeMeaning::FloatDifference,
        n_types: DataType::ALL.len() - 1,
    },
    Kind {
        name: "v4beta",
        version: TsFileVersion::V4,
        rlbe: RlbeMeaning::FloatDifference,
        n_types: DataType::ALL.len() - 1,
    },
    Kind {
        name: "v4",
        version: TsFileVersion::V4,
        rlbe: RlbeMeaning::BitDifference,
        n_types: DataType::ALL.len(),
    },
];

impl Kind {
    /// The older libraries add to a NaN, and which of two NaNs comes out differs from run to run.
    fn nans(self) -> Nans {
        match self.rlbe {
            RlbeMeaning::BitDifference => Nans::Exact,
            RlbeMeaning::FloatDifference => Nans::Alike,
        }
    }

    /// Runs a command of its programs.
    fn java(self, rig: &Rig, words: &[&str], files: &[PathBuf]) -> Result<String> {
        let mut arguments = vec![self.name.to_owned()];
        arguments.extend(words.iter().map(|&word| word.to_owned()));
        arguments.extend(files.iter().map(|path| path.display().to_string()));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let log = rig.dir.join(format!("java-{}.log", self.name));
        script("tests/java/tsfile/run.sh", &arguments, JAVA_TIME_MAX, &log).map_err(|error| {
            let said = fs::read_to_string(log.with_extension("answer")).unwrap_or_default();
            let wrong: Vec<&str> = said.lines().filter(|line| !line.starts_with("ok ")).collect();
            error.context(wrong.join("\n"))
        })
    }
}

/// What was compared.
#[derive(Debug, Default)]
struct Compared {
    n_files: usize,
    n_points: u64,
    ways: BTreeSet<String>,
}

/// The files of all kinds as lines of a table.
fn shown(what: &str, all: &[(Kind, Compared)]) -> Shown {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::ASCII_FULL_CONDENSED);
    let ways = "type x encoding x compression x aligned";
    table.set_header([what, "files", "points", ways, "differences"]);
    for (kind, it) in all {
        let numbers = [it.n_files as u64, it.n_points, it.ways.len() as u64, 0];
        let mut row = vec![kind.name.to_owned()];
        row.extend(numbers.iter().map(u64::to_string));
        table.add_row(row);
    }
    println!("{table}");
    let n_files: usize = all.iter().map(|(_, it)| it.n_files).sum();
    let n_points = all.iter().map(|(_, it)| it.n_points).sum();
    let ways: BTreeSet<&String> = all.iter().flat_map(|(_, it)| &it.ways).collect();
    let compared = format!("{n_files} files, {} ways to store values: {what}", ways.len());
    Shown { compared, n_points }
}

/// Random files of every library, read by us: points with and without the index, and the index.
pub(super) fn read(rig: &mut Rig, seeds: Range<u64>, n_files: u64) -> Result<Shown> {
    let mut all = Vec::new();
    for kind in KINDS {
        let mut compared = Compared::default();
        for seed in seeds.clone() {
            let seed = seed + rig.seed;
            let dir = rig.dir.join(format!("{}-{seed}", kind.name));
            let dir_name = dir.display().to_string();
            kind.java(rig, &["random", &dir_name, &seed.to_string(), &n_files.to_string()], &[])?;
            let manifest = fs::read_to_string(dir.join("manifest.csv"))?;
            let files: Vec<(PathBuf, &str)> = manifest
                .lines()
                .skip(1)
                .filter_map(|line| line.split_once(','))
                .map(|(file, encoding)| (dir.join(file), encoding))
                .collect();
            let paths: Vec<PathBuf> = files.iter().map(|(path, _)| path.clone()).collect();
            kind.java(rig, &["stats", "--into", &dir_name], &paths)?;
            for (path, encoding) in files {
                let encoding = Encoding::ALL.into_iter().find(|it| it.as_str() == encoding);
                let encoding =
                    encoding.ok_or_else(|| anyhow!("a time encoding in manifest.csv"))?;
                let points = fs::read_to_string(path.with_extension("points"))?;
                let stats = fs::read_to_string(path.with_extension("stats"))?;
                let theirs = Theirs { kind, encoding, points: &points, stats: Some(&stats) };
                theirs.compare(&path, &mut compared)?;
            }
        }
        all.push((kind, compared));
    }
    Ok(shown("theirs, read by us", &all))
}

/// What the library found in a file.
struct Theirs<'a> {
    kind: Kind,
    encoding: Encoding,
    points: &'a str,
    stats: Option<&'a str>,
}

impl Theirs<'_> {
    /// Compares it with what we find; an error names the file and the first difference.
    fn compare(&self, path: &Path, compared: &mut Compared) -> Result<()> {
        self.differ(path, compared).with_context(|| path.display().to_string())
    }

    fn differ(&self, path: &Path, compared: &mut Compared) -> Result<()> {
        let nans = self.kind.nans();
        let must = |what: &str, difference: Option<String>| match difference {
            Some(difference) => bail!("{what}: {difference}"),
            None => Ok(()),
        };
        let bytes = fs::read(path)?;
        let file = TsFile::open(&*bytes)?.with_time_encoding(self.encoding);
        let ours = lines::points(&file)?;
        let text: String = ours.iter().map(|series| &*series.lines).collect();
        must("points", lines::difference(&text, self.points, nans))?;
        if let Some(stats) = self.stats {
            must("index", lines::difference(&lines::index(&file)?, stats, Nans::Exact))?;
        }
        if let Some(finding) = file.verify().findings.first() {
            bail!("verify: {finding}");
        }
        let data_end = usize::try_from(file.data_end())?;
        let known = Unfinished {
            time_encoding: self.encoding,
            rlbe: Some(self.kind.rlbe),
            ..Unfinished::default()
        };
        let recovered = TsFile::open_unfinished(&bytes[..=data_end], known)?;
        if let Some(trouble) = recovered.trouble {
            bail!("without index: {trouble}");
        }
        let ours = lines::points(&recovered.file)?;
        let expected = lines::series_of(self.points);
        must("points without index", lines::difference_of(ours, expected, nans))?;
        compared.n_files += 1;
        compared.n_points += self.points.lines().count() as u64;
        compared.ways.append(&mut lines::ways(&file)?);
        Ok(())
    }
}

/// Random files of ours, checked and read by every library that may meet them.
pub(super) fn written(rig: &mut Rig, n_files: u64) -> Result<Shown> {
    let mut all = Vec::new();
    for kind in KINDS {
        let dir = rig.dir.join(kind.name);
        fs::create_dir(&dir)?;
        let mut compared = Compared::default();
        let mut files = Vec::new();
        let mut meant = Vec::new();
        for at in 0..n_files {
            let seed = SEED * rig.seed + at;
            let shape = Shape::of(seed, kind.version, &DataType::ALL[..kind.n_types]);
            let path = dir.join(format!("ours-{seed}.tsfile"));
            write(&shape, &path, &mut compared)?;
            files.push(path);
            meant.push(meant_lines(&shape));
        }
        kind.java(rig, &["check"], &files)?;
        kind.java(rig, &["dump", "--into", &dir.display().to_string()], &files)?;
        for (path, meant) in files.iter().zip(meant) {
            let theirs = fs::read_to_string(path.with_extension("points"))?;
            let difference = lines::difference_of(meant, lines::series_of(&theirs), Nans::Exact);
            if let Some(difference) = difference {
                bail!("{}: {difference}", path.display());
            }
            compared.n_files += 1;
            compared.n_points += theirs.lines().count() as u64;
        }
        all.push((kind, compared));
    }
    Ok(shown("ours, read by them", &all))
}

fn write(shape: &Shape, path: &Path, compared: &mut Compared) -> Result<()> {
    let written = shape.write(Vec::new()).with_context(|| path.display().to_string())?;
    fs::write(path, &written.out)?;
    compared.ways.append(&mut lines::ways(&TsFile::open(&*written.out)?)?);
    Ok(())
}

/// The points of a shape: device, measurement, type, time and bytes of the value.
fn each_point(shape: &Shape, mut see: impl FnMut(&str, &str, DataType, i64, &Value)) {
    for step in &shape.steps {
        let device = &shape.devices[step.device];
        let columns = match device.is_aligned {
            true => &device.columns[..],
            false => &device.columns[step.series..][..1],
        };
        for batch in &step.batches {
            for (spec, column) in columns.iter().zip(&batch.columns) {
                for (time, cell) in batch.times.iter().zip(column.cells()) {
                    if let Some(value) = cell {
                        see(&device.id.path, &spec.measurement, spec.data_type, *time, &value);
                    }
                }
            }
        }
    }
}

/// The points that are meant by a shape, in the lines of `dump`.
fn meant_lines(shape: &Shape) -> Vec<SeriesLines> {
    let mut found = std::collections::BTreeMap::<String, String>::new();
    each_point(shape, |device, measurement, data_type, time, value| {
        let name = format!("{},{}", lines::escaped(device), lines::escaped(measurement));
        let line = format!("{name},{time},{data_type},{}\n", lines::value(value));
        found.entry(name).or_default().push_str(&line);
    });
    found.into_iter().map(|(name, lines)| SeriesLines { name, lines }).collect()
}

/// Random files of ours, of both versions, loaded by a real IoTDB and selected there.
pub(super) fn loaded(rig: &mut Rig, n_files: u64) -> Result<Shown> {
    let dir = rig.dir.join("load");
    fs::create_dir(&dir)?;
    let mut compared = Compared::default();
    let (mut meant, mut read_back) = (Selected::default(), Selected::default());
    for at in 0..n_files {
        let version = if at % 2 == 0 { TsFileVersion::V3 } else { TsFileVersion::V4 };
        let types = &DataType::ALL[..DataType::ALL.len() - 1];
        let mut shape = Shape::of(SEED * rig.seed + at, version, types);
        rename(&mut shape, at, version);
        let path = dir.join(format!("{at}-ours.tsfile"));
        write(&shape, &path, &mut compared)?;
        read_back.take(&TsFile::open(fs::read(&path)?)?, &[])?;
        each_point(&shape, |device, measurement, data_type, time, value| {
            meant.put(device, measurement, time, select::shown(data_type, value));
        });
    }
    rig.run(Role::Target, &format!("load {}", dir.display()))?;
    let theirs = rig.points(Role::Target, "root.loaded.**")?.text()?;
    let theirs = with_our_digits(&theirs)?;
    let ours = meant.lines();
    for (what, found) in [("our reader", read_back.lines()), ("LOAD", theirs)] {
        if let Some(difference) = lines::difference(&ours, &found, Nans::Exact) {
            bail!("points after {what}: {difference}");
        }
    }
    let n_points = ours.lines().count() as u64;
    let compared = format!("{n_files} files of ours, v3 and v4, loaded = written");
    Ok(Shown { compared, n_points })
}

/// Gives a shape names that IoTDB's SQL prints as they are, no tables, and times of one time
/// partition.
fn rename(shape: &mut Shape, at: u64, version: TsFileVersion) {
    shape.tables.clear();
    for (number, device) in shape.devices.iter_mut().enumerate() {
        let path = format!("root.loaded.f{at}.d{number}");
        let segments = (version == TsFileVersion::V4).then(|| Segments::of_path(&path));
        device.id = DeviceId { path: path.into(), segments };
        for column in &mut device.columns {
            column.measurement = match &*column.measurement {
                "\u{fffd}" => "replaced".into(),
                "\u{10000}" => "supplementary".into(),
                "s%" => "percent".into(),
                same => same.into(),
            };
        }
    }
    let batches = shape.steps.iter_mut().flat_map(|step| &mut step.batches);
    batches.flat_map(|batch| &mut batch.times).for_each(|time| *time += FIRST_TIMES);
}

/// The complete corpus of every library, most of which is too large for the repository.
pub(super) fn corpus(rig: &mut Rig) -> Result<Shown> {
    let mut all = Vec::new();
    for kind in KINDS {
        let dir = rig.dir.join(kind.name);
        kind.java(rig, &["corpus", &dir.display().to_string()], &[])?;
        let manifest = fs::read_to_string(dir.join("manifest.csv"))?;
        let files: Vec<(PathBuf, PathBuf)> = manifest
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(','))
            .map(|(file, expected)| (dir.join(file), dir.join(expected)))
            .collect();
        for encoding in [Encoding::Ts2Diff, Encoding::Plain, Encoding::Rle] {
            let paths = files.iter().map(|(path, _)| path.clone());
            let paths: Vec<PathBuf> = paths.filter(|it| time_encoding(it) == encoding).collect();
            let into = dir.display().to_string();
            let words = ["dump", "--time-encoding", encoding.as_str(), "--into", &into];
            kind.java(rig, &words, &paths)?;
        }
        let mut compared = Compared::default();
        for (path, expected) in files {
            let points = fs::read_to_string(path.with_extension("points"))?;
            let mut written = String::new();
            GzDecoder::new(fs::File::open(&expected)?).read_to_string(&mut written)?;
            if sorted(&points, without_type) != sorted(&written, with_bits_only) {
                bail!("{}: what the library reads is not what was written", path.display());
            }
            let encoding = time_encoding(&path);
            let theirs = Theirs { kind, encoding, points: &points, stats: None };
            theirs.compare(&path, &mut compared)?;
        }
        all.push((kind, compared));
    }
    Ok(shown("the corpus, read by us", &all))
}

/// How a file of the corpus encodes times, which its name says.
fn time_encoding(path: &Path) -> Encoding {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    match &*name {
        "timeplain" => Encoding::Plain,
        "timerle" => Encoding::Rle,
        _ => Encoding::Ts2Diff,
    }
}

fn sorted(text: &str, form: impl Fn(&str) -> String) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(form).collect();
    lines.sort_unstable();
    lines
}

/// A line of `dump` as the corpus has it: no type, and of a float the bits.
fn without_type(line: &str) -> String {
    let mut fields = line.rsplitn(3, ',');
    let [value, _, front] =
        [fields.next(), fields.next(), fields.next()].map(Option::unwrap_or_default);
    let bits = value.strip_prefix("f:").or_else(|| value.strip_prefix("d:")).unwrap_or(value);
    format!("{front},{bits}")
}

/// A line of the corpus, of a float without the decimal in front of its bits.
fn with_bits_only(line: &str) -> String {
    match line.rsplit_once('|') {
        Some((front, bits)) => {
            format!("{},{bits}", front.rsplit_once(',').map_or("", |(front, _)| front))
        }
        None => line.to_owned(),
    }
}
