//! Reading and writing TsFiles, beside the official Java library on the same files in the same run.

use std::fs;
use std::hint::black_box;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use tidegate_codec::PipeCompression;
use tidegate_daemon::files::PositionedFile;
use tidegate_model::DataType;
use tidegate_tsfile::Batch;
use tidegate_tsfile::Compression;
use tidegate_tsfile::DeviceId;
use tidegate_tsfile::Encoding;
use tidegate_tsfile::ReadMemory;
use tidegate_tsfile::Selection;
use tidegate_tsfile::SeriesKind;
use tidegate_tsfile::SeriesMetadata;
use tidegate_tsfile::SeriesSpec;
use tidegate_tsfile::TsFile;
use tidegate_tsfile::TsFileWriter;
use tidegate_tsfile::Values;
use tidegate_tsfile::WriteOptions;

use super::Bench;
use super::process::Watch;
use super::table::Goal;
use super::table::Row;
use super::table::mebibytes;
use crate::workspace;

/// The files: 20 columns of one device, as `tests/java/tsfile/README.md` says.
const SHAPES: [&str; 4] = ["aligned-lz4", "plain-lz4", "plain-snappy", "aligned-raw"];
const N_COLUMNS: u64 = 20;
const N_LOOKUPS: u64 = 2000;
/// Rows of one call of the writer.
const BATCH_ROWS: u64 = 10_000;
const FIRST_TIME: i64 = 1_700_000_000_000;
const MIB: f64 = 1024.0 * 1024.0;

/// Full scans, look-ups and writing.
pub(super) fn run(bench: &mut Bench) -> Result<()> {
    let dir = bench.dir("tsfile")?;
    let n_points = bench.sized(50_000_000u64, 5_000_000);
    for shape in SHAPES {
        let file = dir.join(format!("{shape}.tsfile"));
        bench.step(&format!("{n_points} points in a file by the Java library: {shape}"));
        java(&["bulk", &shown(&file)?, shape, &n_points.to_string()])?;
        scan(bench, shape, &file, n_points)?;
        lookup(bench, shape, &file, n_points / N_COLUMNS)?;
        fs::remove_file(&file)?;
    }
    // What is written is held in memory first, and would be in that of the scans.
    SHAPES.iter().try_for_each(|shape| write(bench, shape, &dir, n_points / N_COLUMNS))
}

fn scan(bench: &mut Bench, shape: &str, file: &Path, n_points: u64) -> Result<()> {
    let theirs = field(&java(&["scan", &shown(file)?])?, "points_per_second")?;
    let mut alone = 0.0;
    for n_threads in [1, 2] {
        let watch = Watch::start(&[std::process::id()]);
        let mut best = Duration::MAX;
        // The first is to warm up, as with the peer.
        for round in 0..=3 {
            let started = Instant::now();
            let found = scan_all(file, n_threads)?;
            ensure!(found == n_points, "{shape}: {found} points instead of {n_points}");
            if round > 0 {
                best = best.min(started.elapsed());
            }
        }
        let peak = watch.stop();
        let ours = n_points as f64 / best.as_secs_f64();
        if n_threads > 1 {
            bench.add(Row {
                what: format!("scan of {shape}, {n_threads} threads"),
                ours: millions(ours),
                beside: format!("one thread {}", millions(alone)),
                ratio: Some(ours / alone),
                ..Row::default()
            });
            continue;
        }
        alone = ours;
        bench.add(Row {
            what: format!("scan of {shape}"),
            ours: millions(ours),
            beside: format!("Java {}", millions(theirs)),
            ratio: Some(ours / theirs),
            goal: Goal::RatioMin(5.0),
            note: "one thread, best of 3, page cache".to_owned(),
        });
        let anonymous = peak.first().map_or(0, |peak| peak.anonymous_bytes);
        bench.add(Row {
            what: format!("memory of that scan, {shape}"),
            ours: mebibytes(anonymous),
            goal: Goal::AtMost { value: anonymous as f64 / MIB, limit: 64.0, unit: "MiB" },
            note: "anonymous, of the whole process".to_owned(),
            ..Row::default()
        });
    }
    Ok(())
}

/// Reads every point; returns how many there are.
fn scan_all(path: &Path, n_threads: usize) -> Result<u64> {
    let file = TsFile::open(PositionedFile::open(path)?)?;
    let (mut columns, mut time) = (Vec::new(), None);
    for device in file.devices() {
        for series in file.series(&device?)? {
            let series = series?;
            match series.kind {
                SeriesKind::Time => time = Some(series),
                _ => columns.push(series),
            }
        }
    }
    // An aligned device by its times, since its columns share them; else series by series.
    let parts: Vec<(&[SeriesMetadata], Selection)> = match &time {
        Some(time) => {
            let n_chunks = time.chunks.len().div_ceil(n_threads * n_threads).max(1);
            let ranges = time.chunks.chunks(n_chunks).filter_map(|chunks| {
                let (first, last) = (chunks.first()?, chunks.last()?);
                Some(first.statistics.start_time..=last.statistics.end_time)
            });
            ranges.map(|times| (&*columns, Selection::of_times(times))).collect()
        }
        None => columns.chunks(1).map(|series| (series, Selection::default())).collect(),
    };
    let next = AtomicUsize::new(0);
    let work = || {
        let (mut n_points, mut sum) = (0, 0u64);
        let (mut batch, mut memory) = (Batch::default(), ReadMemory::default());
        while let Some((columns, times)) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            let rows = match (&time, *columns) {
                (Some(time), columns) => file.aligned_rows(time, columns, times.clone())?,
                (None, [series]) => file.rows(series, times.clone())?,
                (None, _) => bail!("a part of several series"),
            };
            let mut rows = rows.with_memory(memory);
            while rows.next_into(&mut batch)? {
                n_points += batch.n_points() as u64;
                sum = sum.wrapping_add(sum_of(&batch));
            }
            memory = rows.into_memory();
        }
        black_box(sum);
        anyhow::Ok(n_points)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads).map(|_| scope.spawn(work)).collect();
        let counts = threads.into_iter().map(|thread| match thread.join() {
            Ok(count) => count,
            Err(_) => bail!("a thread panicked"),
        });
        counts.sum()
    })
}

/// Of all times and values: the peer adds them up, too.
fn sum_of(batch: &Batch) -> u64 {
    fn sum<T: Copy>(of: &[T], bits: impl Fn(T) -> u64) -> u64 {
        of.iter().fold(0, |sum, it| sum.wrapping_add(bits(*it)))
    }
    let columns = batch.columns.iter().map(|column| match &column.values {
        Values::Int64(values) => sum(values, i64::cast_unsigned),
        Values::Double(values) => sum(values, f64::to_bits),
        other => other.len() as u64,
    });
    columns.fold(sum(&batch.times, i64::cast_unsigned), u64::wrapping_add)
}

fn lookup(bench: &mut Bench, shape: &str, path: &Path, n_rows: u64) -> Result<()> {
    let answer = java(&["lookup", &shown(path)?, &N_LOOKUPS.to_string(), "1"])?;
    let theirs = field(&answer, "seconds_per_lookup")?;
    let file = TsFile::open(PositionedFile::open(path)?)?;
    let device_id = file.device_of_path("root.bench.d");
    let mut random = fastrand::Rng::with_seed(1);
    let (mut batch, mut memory) = (Batch::default(), ReadMemory::default());
    let mut best = Duration::MAX;
    for _ in 0..4 {
        let started = Instant::now();
        for _ in 0..N_LOOKUPS {
            let device = file.find_device(&device_id)?.context("the device")?;
            let name = format!("s{:02}", random.u64(..N_COLUMNS));
            let series = file.find_series(&device, &name)?.context("the series")?;
            let time = FIRST_TIME + 1000 * random.i64(0..n_rows as i64);
            let selection = Selection::of_times(time..=time);
            let rows = match series.kind {
                SeriesKind::Value => {
                    let times = file.find_series(&device, "")?.context("the times")?;
                    file.aligned_rows(&times, std::slice::from_ref(&series), selection)?
                }
                _ => file.rows(&series, selection)?,
            };
            let mut rows = rows.with_memory(memory);
            let mut n_found = 0;
            while rows.next_into(&mut batch)? {
                n_found += batch.n_points();
            }
            memory = rows.into_memory();
            ensure!(n_found == 1, "{shape}: {n_found} points at {time} of {name}");
        }
        best = best.min(started.elapsed());
    }
    let ours = best.as_secs_f64() / N_LOOKUPS as f64;
    bench.add(Row {
        what: format!("look-up of a point in {shape}"),
        ours: format!("{:.1} us", ours * 1e6),
        beside: format!("Java {:.1} us", theirs * 1e6),
        ratio: Some(theirs / ours),
        goal: Goal::RatioMin(20.0),
        note: "through the index, pages of 10,000 rows".to_owned(),
    });
    Ok(())
}

fn write(bench: &mut Bench, shape: &str, dir: &Path, n_rows: u64) -> Result<()> {
    let answer = java(&["write", &shown(dir)?, &n_rows.to_string(), shape])?;
    let theirs = field(&answer, "points_per_second")?;
    // Without compression there is nothing for a second thread.
    let n_threads_max = if shape.ends_with("-raw") { 1 } else { 2 };
    for n_threads in 1..=n_threads_max {
        let mut best = Duration::MAX;
        for _ in 0..3 {
            best = best.min(write_all(&dir.join("ours.tsfile"), shape, n_rows, n_threads)?);
        }
        let ours = (n_rows * N_COLUMNS) as f64 / best.as_secs_f64();
        bench.add(Row {
            what: match n_threads {
                1 => format!("writing {shape}"),
                _ => format!("writing {shape}, a second thread compresses"),
            },
            ours: millions(ours),
            beside: format!("Java {}", millions(theirs)),
            ratio: Some(ours / theirs),
            goal: if n_threads == n_threads_max { Goal::RatioMin(3.0) } else { Goal::None },
            note: "making the values not counted".to_owned(),
        });
    }
    Ok(())
}

/// Writes a file of a shape; returns the time without that of making the values.
fn write_all(path: &Path, shape: &str, n_rows: u64, n_threads: usize) -> Result<Duration> {
    let mut options = WriteOptions::default();
    let is_raw = shape.ends_with("-raw");
    options.compression = match shape {
        _ if is_raw => Compression::Uncompressed,
        _ if shape.ends_with("-snappy") => Compression::By(PipeCompression::Snappy),
        _ => Compression::By(PipeCompression::Lz4),
    };
    // While values are made the second thread would compress for nothing: they are made for whole
    // chunks, at whose end no page waits.
    let chunk_rows = options.chunk_rows_max as u64;
    let columns: Vec<SeriesSpec> = (0..N_COLUMNS)
        .map(|column| {
            let data_type = if column < 10 { DataType::Int64 } else { DataType::Double };
            let spec = SeriesSpec::new(&format!("s{column:02}"), data_type);
            if is_raw { spec.with_encoding(Encoding::Plain) } else { spec }
        })
        .collect();
    let out = io::BufWriter::with_capacity(1 << 20, fs::File::create(path)?);
    let mut writer = TsFileWriter::new(out, options)?;
    for _ in 1..n_threads {
        let helper = writer.helper()?.context("nothing is compressed")?;
        thread::spawn(|| helper.run());
    }
    let device = DeviceId { path: "root.bench.d".into(), segments: None };
    let group_columns = if shape.starts_with("aligned") { N_COLUMNS } else { 1 };
    let groups = (0..N_COLUMNS).step_by(group_columns as usize);
    let mut took = Duration::ZERO;
    for group in groups.map(|first| first..first + group_columns) {
        let specs = columns.get(group.start as usize..group.end as usize).context("columns")?;
        let started = Instant::now();
        match specs {
            [spec] => writer.begin_series(&device, spec)?,
            specs => writer.begin_aligned(&device, specs)?,
        }
        took += started.elapsed();
        for start in (0..n_rows).step_by(options.chunk_rows_max) {
            let end = n_rows.min(start + chunk_rows);
            let batches = (start..end).step_by(BATCH_ROWS as usize);
            let batches = batches.map(|start| batch(group.clone(), start, end));
            let batches: Vec<Batch> = batches.collect();
            let started = Instant::now();
            batches.iter().try_for_each(|batch| writer.write(batch))?;
            took += started.elapsed();
        }
    }
    let started = Instant::now();
    let written = writer.finish()?;
    written.out.into_inner()?;
    Ok(took + started.elapsed())
}

/// Rows from `start` on, with the values that the peer writes.
fn batch(columns: std::ops::Range<u64>, start: u64, n_rows: u64) -> Batch {
    let rows = start..n_rows.min(start + BATCH_ROWS);
    let types = columns.clone().map(|it| if it < 10 { DataType::Int64 } else { DataType::Double });
    let mut batch = Batch::new(types);
    batch.times.extend(rows.clone().map(|row| FIRST_TIME + 1000 * row as i64));
    for (number, column) in columns.zip(&mut batch.columns) {
        let noise = |row: u64| (row * N_COLUMNS + number).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60;
        match &mut column.values {
            Values::Int64(values) => {
                values.extend(rows.clone().map(|row| (row * 7 + number * 1000 + noise(row)) as i64))
            }
            Values::Double(values) => values.extend(rows.clone().map(|row| {
                (2000 + number * 10 + (row / 16) % 500 + noise(row) / 4) as f64 / 100.0
            })),
            _ => (),
        }
        column.presence.push_many(true, batch.times.len());
    }
    batch
}

/// What the official library, version 4, prints.
fn java(arguments: &[&str]) -> Result<String> {
    let program: PathBuf = workspace::root().join("tests/java/tsfile/run.sh");
    let output = Command::new(&program)
        .arg("v4")
        .args(arguments)
        .output()
        .with_context(|| program.display().to_string())?;
    ensure!(
        output.status.success(),
        "run.sh v4 {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// The number behind `name=`.
fn field(answer: &str, name: &str) -> Result<f64> {
    let words = answer.split_whitespace();
    let found = words.filter_map(|word| word.split_once('=')).find(|(key, _)| *key == name);
    let (_, value) = found.with_context(|| format!("no {name} in {answer:?}"))?;
    Ok(value.parse()?)
}

fn shown(path: &Path) -> Result<String> {
    Ok(path.to_str().context("a path in UTF-8")?.to_owned())
}

fn millions(per_second: f64) -> String {
    format!("{:.1} M points/s", per_second / 1e6)
}
