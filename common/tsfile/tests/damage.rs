//! Damaged TsFiles: every cut and every byte changed, with the memory that reading takes counted.
//!
//! A TsFile has no checksums, so a change may go unnoticed; what must never happen is a panic, an
//! endless walk, or memory beyond the limits.

#[path = "support/counting.rs"]
mod counting;
mod points;

use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tidegate_model::DataType;
use tidegate_tsfile::Batch;
use tidegate_tsfile::DataEntries;
use tidegate_tsfile::DataEntry;
use tidegate_tsfile::DeviceId;
use tidegate_tsfile::Limits;
use tidegate_tsfile::ReadAt;
use tidegate_tsfile::ReadError;
use tidegate_tsfile::Selection;
use tidegate_tsfile::SeriesSpec;
use tidegate_tsfile::TsFile;
use tidegate_tsfile::TsFileVersion;
use tidegate_tsfile::TsFileWriter;
use tidegate_tsfile::Unfinished;
use tidegate_tsfile::Values;
use tidegate_tsfile::WriteOptions;
use tidegate_tsfile::pages_of;

/// The most that reading a file of the corpus may take: a page of rows as lines, xz's dictionary.
const PEAK_BYTES_MAX: isize = 64 << 20;

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.page_bytes_max = 4 << 20;
    limits.page_rows_max = 200_000;
    limits
}

fn unfinished() -> Unfinished {
    Unfinished { limits: limits(), ..Unfinished::default() }
}

/// What became of a damaged file.
#[derive(Debug, Default)]
struct Tally {
    /// Not opened, not readable, or `verify` found something.
    noticed: u32,
    /// Unnoticed, and all points are what they were.
    harmless: u32,
    /// Unnoticed, with other points.
    unnoticed: u32,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.noticed += other.noticed;
        self.harmless += other.harmless;
        self.unnoticed += other.unnoticed;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { noticed, harmless, unnoticed } = *self;
        let all = noticed + harmless + unnoticed;
        let share = |part: u32, of: u32| 100.0 * f64::from(part) / f64::from(of);
        write!(
            f,
            "{all} changes: {noticed} noticed ({:.1} %), {harmless} harmless, {unnoticed} change points \
             unnoticed ({:.1} % of those that are not harmless)",
            share(noticed, all),
            share(unnoticed, noticed + unnoticed),
        )
    }
}

impl Tally {
    fn add(&mut self, bytes: &[u8], sound: u64, what: &str) {
        let ((), took) = counting::peak_bytes(|| self.look(bytes, sound));
        assert!(took <= PEAK_BYTES_MAX, "{what}: {took} bytes of memory");
    }

    fn look(&mut self, bytes: &[u8], sound: u64) {
        let unfinished = TsFile::open_unfinished(bytes, unfinished());
        if let Ok(recovered) = unfinished {
            assert!(recovered.end <= bytes.len() as u64);
            let _ = points::digest(&recovered.file);
        }
        let found = TsFile::open_with(bytes, limits()).and_then(|file| {
            let found = points::digest(&file)?;
            let verified = file.verify();
            verified
                .findings
                .iter()
                .for_each(|finding| assert_in_words(&finding.error.to_string()));
            Ok((found, verified.is_sound()))
        });
        if let Err(error) = &found {
            assert_in_words(&error.to_string());
        }
        match found {
            Ok((found, true)) if found == sound => self.harmless += 1,
            Ok((_, true)) => self.unnoticed += 1,
            Ok((_, false)) | Err(_) => self.noticed += 1,
        }
    }
}

/// Messages had values in the form that is meant for whoever debugs the program.
fn assert_in_words(message: &str) {
    let (words, _) = message.split_once('"').unwrap_or((message, ""));
    for mark in ["{", "Some(", "None", "::", "(("] {
        assert!(!words.contains(mark), "{mark} in {message}");
    }
}

/// The small files of the corpus that hold every form of structure.
fn small_files() -> Vec<PathBuf> {
    let names = [
        "multichunk.tsfile",
        "timeplain.tsfile",
        "timeplain-aligned.tsfile",
        "timerle.tsfile",
        "timerle-aligned.tsfile",
        "table-model.tsfile",
    ];
    let all = points::files().into_iter().map(|(path, _)| path);
    let small = all.filter(|path| names.iter().any(|name| path.ends_with(name)));
    let found: Vec<PathBuf> = small.collect();
    assert!(found.len() >= 14, "{found:?}");
    found
}

#[test]
fn no_cut_of_a_file_passes_for_it() {
    for path in small_files() {
        let bytes = fs::read(&path).unwrap();
        for length in 0..bytes.len() {
            let cut = &bytes[..length];
            assert!(TsFile::open(cut).is_err(), "{} cut to {length}", path.display());
            if let Ok(recovered) = TsFile::open_unfinished(cut, unfinished()) {
                let name = path.display();
                points::digest(&recovered.file)
                    .unwrap_or_else(|error| panic!("{name} cut to {length}: {error}"));
            }
        }
    }
}

/// Changes one bit of each byte, or each of the eight in turn.
fn change_each_byte(path: &Path, changes_all_bits: bool) -> Tally {
    let mut tally = Tally::default();
    let mut bytes = fs::read(path).unwrap();
    let sound = points::digest(&TsFile::open(&*bytes).unwrap()).unwrap();
    let mut random = fastrand::Rng::with_seed(bytes.len() as u64);
    for at in 0..bytes.len() {
        let right = bytes[at];
        let chosen = random.u8(0..8);
        for bit in (0..8).filter(|bit| changes_all_bits || *bit == chosen) {
            bytes[at] ^= 1 << bit;
            tally.add(&bytes, sound, &format!("{} byte {at} bit {bit}", path.display()));
            bytes[at] = right;
        }
    }
    tally
}

/// `TIDEGATE_ALL_FLIPS=1`, which `make fuzz` sets, changes each of the eight bits of each byte.
#[test]
fn no_changed_byte_of_a_small_file_costs_more_than_an_error() {
    let changes_all_bits = std::env::var_os("TIDEGATE_ALL_FLIPS").is_some();
    let files = small_files();
    let next = AtomicUsize::new(0);
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let mut tally = Tally::default();
        while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            tally += change_each_byte(path, changes_all_bits);
        }
        tally
    };
    let tally = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..n_threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().fold(Tally::default(), |mut all, worker| {
            all += worker.join().expect("no change makes the reader panic");
            all
        })
    });
    println!("small files: {tally}");
    assert!(tally.noticed > 10 * tally.unnoticed);
}

/// Questions about some times passed such series over, as if nothing were in them.
#[test]
fn no_changed_byte_of_an_index_gives_a_series_whose_times_contradict_its_points() {
    let mut n_series = 0;
    for path in small_files() {
        let mut bytes = fs::read(&path).unwrap();
        let data_end = TsFile::open(&*bytes).unwrap().data_end() as usize;
        for at in data_end..bytes.len() {
            bytes[at] ^= 0xff;
            let Ok(file) = TsFile::open_with(&*bytes, limits()) else {
                bytes[at] ^= 0xff;
                continue;
            };
            for device in file.devices().map_while(Result::ok) {
                let Ok(all) = file.series(&device) else { continue };
                for series in all.map_while(Result::ok) {
                    let whole = &series.statistics;
                    let of_chunks = series.chunks.iter().map(|chunk| &chunk.statistics);
                    let there = || of_chunks.clone().filter(|it| it.count > 0);
                    for one in there() {
                        assert!(one.start_time <= one.end_time, "byte {at}");
                    }
                    if let (Some(start), Some(end)) =
                        (there().map(|it| it.start_time).min(), there().map(|it| it.end_time).max())
                    {
                        assert_eq!((start, end), (whole.start_time, whole.end_time), "byte {at}");
                    }
                    assert_eq!(of_chunks.map(|it| it.count).sum::<u32>(), whole.count, "byte {at}");
                    n_series += 1;
                }
            }
            bytes[at] ^= 0xff;
        }
    }
    assert!(n_series > 10_000, "{n_series}");
}

#[test]
fn no_change_of_any_file_costs_more_than_an_error() {
    let changes = std::env::var("TIDEGATE_SEEDS").ok().and_then(|n| n.parse().ok());
    let changes = changes.unwrap_or(20_000usize);
    let files = points::files();
    let mut tally = Tally::default();
    for (i, (path, _)) in files.iter().enumerate() {
        let sound_bytes = fs::read(path).unwrap();
        let sound = points::digest(&TsFile::open(&*sound_bytes).unwrap()).unwrap();
        let mut random = fastrand::Rng::with_seed(i as u64);
        for _ in 0..changes / files.len() {
            let mut bytes = sound_bytes.clone();
            // The index is a small part of a file, and the larger part of what can go wrong.
            let data_end = TsFile::open(&*bytes).map_or(0, |file| file.data_end() as usize);
            let at = match random.bool() {
                true => random.usize(..bytes.len()),
                false => random.usize(data_end..bytes.len()),
            };
            bytes[at] ^= 1 << random.u8(0..8);
            tally.add(&bytes, sound, &format!("{} byte {at}", path.display()));
        }
    }
    println!("all files: {tally}");
    assert!(tally.noticed > tally.unnoticed);
}

/// What look-ups have met is held for the next ones, damage among it.
#[test]
fn what_is_held_of_a_damaged_file_changes_no_answer() {
    let ask = |file: &TsFile<&[u8]>, times: &RangeInclusive<i64>| match points::points_between(
        file,
        times.clone(),
    ) {
        Ok(points) => points.join("\n"),
        Err(error) => format!("{error:?}"),
    };
    let (mut n_asked, mut n_refused) = (0, 0);
    for path in small_files() {
        let sound = fs::read(&path).unwrap();
        let lines = points::points(&TsFile::open(&*sound).unwrap()).unwrap();
        let time_of = |line: &String| line.rsplit(',').nth(1).unwrap().parse().unwrap();
        let times: Vec<i64> = lines.iter().map(time_of).collect();
        let mut random = fastrand::Rng::with_seed(sound.len() as u64);
        for _ in 0..60 {
            let mut bytes = sound.clone();
            let at = random.usize(..bytes.len());
            bytes[at] ^= 1 << random.u8(0..8);
            let Ok(file) = TsFile::open_with(&*bytes, limits()) else { continue };
            for _ in 0..8 {
                let start = *random.choice(&times).unwrap();
                let times = start..=start.saturating_add(random.i64(0..3) * random.i64(0..2000));
                let fresh = TsFile::open_with(&*bytes, limits()).unwrap();
                let expected = ask(&fresh, &times);
                let name = path.display();
                assert_eq!(ask(&file, &times), expected, "{name} byte {at}, {times:?}");
                n_asked += 1;
                n_refused += u32::from(expected.contains("offset"));
            }
        }
    }
    assert!(n_refused > 100 && n_asked > 2 * n_refused, "{n_refused} of {n_asked}");
}

/// Rows of the only series of a file, in parts, or why there are none.
fn rows_between(file: &TsFile<&[u8]>, times: RangeInclusive<i64>) -> String {
    let device = file.devices().next().unwrap().unwrap();
    let series = file.series(&device).unwrap().next().unwrap().unwrap();
    let mut rows = file.rows(&series, Selection::of_times(times)).unwrap();
    let (mut batch, mut found) = (Batch::default(), Vec::new());
    loop {
        match rows.next_into(&mut batch) {
            Ok(true) => found.extend(batch.times.iter().map(i64::to_string)),
            Ok(false) => break,
            Err(error) => {
                found.push(format!("{error:?}"));
                break;
            }
        }
    }
    drop(rows.into_memory());
    found.join(" ")
}

/// Rows were passed over behind a page without points, or whose times do not say where they are.
#[test]
fn what_is_held_of_pages_whose_statistics_are_no_order_changes_no_answer() {
    let mut options = WriteOptions::of_version(TsFileVersion::V3);
    options.page_rows_max = 10;
    let mut writer = TsFileWriter::new(Vec::new(), options).unwrap();
    let id = DeviceId { path: "root.a.d".into(), segments: None };
    writer.begin_series(&id, &SeriesSpec::new("s", DataType::Boolean)).unwrap();
    let mut batch = Batch::new([DataType::Boolean]);
    batch.times.extend(0..60);
    batch.columns[0].presence.push_many(true, 60);
    batch.columns[0].values = Values::Boolean(vec![true; 60]);
    writer.write(&batch).unwrap();
    let sound = writer.finish().unwrap().out;
    let mut entries = DataEntries::new(&sound).unwrap();
    let header = entries.find_map(|entry| match entry.unwrap() {
        DataEntry::Chunk(header) => Some(header),
        _ => None,
    });
    let pages: Vec<_> = pages_of(&sound, &header.unwrap()).map(Result::unwrap).collect();
    assert_eq!(pages.len(), 6);
    let wide = [25..=i64::MAX, i64::MIN..=34, 35..=1 << 50, 1..=58];
    let (mut n_asked, mut n_other) = (0, 0);
    for (page, count, start, end) in pages.iter().flat_map(|page| {
        let ends = [(i64::MAX, i64::MIN), (1 << 40, 39), (30, 5), (30, i64::MAX), (0, 59)];
        let all = ends.into_iter().flat_map(|ends| [0, 10].map(|count| (count, ends)));
        all.map(move |(count, (start, end))| (page, count, start, end))
    }) {
        let mut bytes = sound.clone();
        // First and last value and a number come behind the times.
        let at = page.body_offset as usize - 10 - 2 * size_of::<i64>();
        bytes[at - 1] = count;
        bytes[at..at + 8].copy_from_slice(&start.to_be_bytes());
        bytes[at + 8..at + 16].copy_from_slice(&end.to_be_bytes());
        for first in wide.clone() {
            let file = TsFile::open(&*bytes).unwrap();
            rows_between(&file, first.clone());
            for times in (0..60).step_by(5).map(|time| time..=time + 2).chain(wide.clone()) {
                let fresh = rows_between(&TsFile::open(&*bytes).unwrap(), times.clone());
                let what =
                    format!("{count} from {start} to {end} at {at}: {times:?} after {first:?}");
                assert_eq!(rows_between(&file, times.clone()), fresh, "{what}");
                n_asked += 1;
                n_other += u32::from(fresh != rows_between(&TsFile::open(&*sound).unwrap(), times));
            }
        }
    }
    assert!(n_asked > 3000 && n_other > n_asked / 10, "{n_other} of {n_asked}");
}

/// A file that its owner cuts in half after some reads.
struct Shrinking<'b> {
    bytes: &'b [u8],
    reads_left: AtomicUsize,
}

impl ReadAt for Shrinking<'_> {
    fn length_bytes(&self) -> u64 {
        self.bytes.length_bytes()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let less = |left: usize| left.checked_sub(1);
        let is_whole = self.reads_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        let half = &self.bytes[..self.bytes.len() / 2];
        if is_whole.is_ok() { self.bytes } else { half }.read_at(offset, into)
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_an_error_with_the_place_or_was_read_before() {
    let (mut n_whole, mut n_refused) = (0, 0);
    for path in small_files() {
        let bytes = fs::read(&path).unwrap();
        let sound = points::digest(&TsFile::open(&*bytes).unwrap()).unwrap();
        for n_reads in 0.. {
            let shrinking = Shrinking { bytes: &bytes, reads_left: AtomicUsize::new(n_reads) };
            match TsFile::open(shrinking).and_then(|file| points::digest(&file)) {
                Ok(found) => {
                    assert_eq!(found, sound, "{} after {n_reads} reads", path.display());
                    n_whole += 1;
                    break;
                }
                Err(error) => {
                    let is_cut = matches!(&error, ReadError::Io { offset, source, .. }
                        if source.kind() == io::ErrorKind::UnexpectedEof
                            && *offset <= bytes.len() as u64);
                    assert!(is_cut, "{} after {n_reads} reads: {error:?}", path.display());
                    n_refused += 1;
                }
            }
        }
    }
    assert!(n_whole >= 14 && n_refused > 4 * n_whole, "{n_whole} whole, {n_refused} refused");
}
