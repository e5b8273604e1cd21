//! Whether a file is what it says of itself: structure, statistics, index, bloom filter.
//!
//! A TsFile has no checksums. What can be held against something else is: every chunk of the data
//! section against the index and back, every statistics block against the decoded points, the order
//! of keys, the bloom filter. A changed value that no statistics block repeats goes unnoticed.

use core::fmt;

use tidegate_model::DataType;

use crate::BatchColumn;
use crate::DataEntries;
use crate::DataEntry;
use crate::Device;
use crate::Encoding;
use crate::Extremes;
use crate::ReadAt;
use crate::ReadError;
use crate::SeriesKind;
use crate::SeriesMetadata;
use crate::Statistics;
use crate::TsFile;
use crate::TsFileVersion;
use crate::ValueStatistics;
use crate::read::chunk::ChunkHeader;
use crate::read::chunk::Pages;
use crate::read::file::Index;
use crate::read::index::device_order;
use crate::read::index::java_order;
use crate::read::page::PageContext;
use crate::read::rows::ALL_TIMES;
use crate::read::source::Window;

/// What was found in a file.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Verified {
    /// Devices in the index.
    pub n_devices: u64,
    /// Series in the index, time columns not counted.
    pub n_series: u64,
    /// Chunks in the index.
    pub n_chunks: u64,
    /// Pages that were decoded.
    pub n_pages: u64,
    /// Points that were decoded.
    pub n_points: u64,
    /// What is wrong, the first [`FINDINGS_MAX`] of it.
    pub findings: Vec<Finding>,
    /// How much more is wrong.
    pub n_more_findings: u64,
}

/// How many findings are kept.
pub const FINDINGS_MAX: usize = 1000;

/// Something that is wrong in a file.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finding {
    /// Device and measurement concerned; empty if it is the file as a whole.
    pub series: String,
    /// What is wrong, and where.
    pub error: ReadError,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.series.is_empty() {
            true => self.error.fmt(f),
            false => write!(f, "{}: {}", self.series, self.error),
        }
    }
}

impl Verified {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    fn note(&mut self, series: impl Into<String>, error: ReadError) {
        match self.findings.len() < FINDINGS_MAX {
            true => self.findings.push(Finding { series: series.into(), error }),
            false => self.n_more_findings = self.n_more_findings.saturating_add(1),
        }
    }
}

impl<R: ReadAt> TsFile<R> {
    /// Reads all of the file and says what is wrong with it.
    ///
    /// Memory taken: a page of each column at most, and 24 bytes for each chunk.
    pub fn verify(&self) -> Verified {
        let mut verifier = Verifier {
            file: self,
            found: Verified::default(),
            indexed: Vec::new(),
            times: Vec::new(),
            column: BatchColumn::new(DataType::Int64),
            body: Vec::new(),
        };
        verifier.index();
        verifier.data();
        verifier.found
    }
}

/// A chunk of the index: where it is, and of what.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct IndexedChunk {
    offset: u64,
    /// Of device and measurement.
    name_hash: u64,
    was_met: bool,
}

struct Verifier<'f, R> {
    file: &'f TsFile<R>,
    found: Verified,
    indexed: Vec<IndexedChunk>,
    times: Vec<i64>,
    column: BatchColumn,
    body: Vec<u8>,
}

impl<R: ReadAt> Verifier<'_, R> {
    /// Everything that the index leads to.
    fn index(&mut self) {
        let file = self.file;
        let mut before: Option<Device> = None;
        for device in file.devices() {
            let device = match device {
                Ok(device) => device,
                Err(error) => return self.found.note("", error),
            };
            self.found.n_devices = self.found.n_devices.saturating_add(1);
            let is_behind =
                before.as_ref().is_none_or(|before| device_order(before.id(), device.id()).is_lt());
            if !is_behind && self.is_indexed() {
                let expected = "devices in ascending order in the index";
                let error = ReadError::unsound(file.data_end(), expected, device.id());
                self.found.note(device.id().to_string(), error);
            }
            if let Err(error) = self.device(&device) {
                self.found.note(device.id().to_string(), error);
            }
            before = Some(device);
        }
    }

    fn device(&mut self, device: &Device) -> Result<(), ReadError> {
        let file = self.file;
        let mut time: Option<SeriesMetadata> = None;
        let mut before: Option<Box<str>> = None;
        for series in file.series(device)? {
            let series = series?;
            let name = format!("{}.{}", device.id(), series.measurement);
            let is_behind =
                before.as_ref().is_none_or(|it| java_order(it, &series.measurement).is_lt());
            if !is_behind && self.is_indexed() {
                let expected = "measurements in ascending order in the index";
                let error = ReadError::unsound(file.data_end(), expected, &series.measurement);
                self.found.note(&name, error);
            }
            if !file.may_contain(device.id(), &series.measurement) {
                let expected = "the series in the bloom filter";
                let error = ReadError::unsound(file.data_end(), expected, "no trace of it");
                self.found.note(&name, error);
            }
            self.series(&name, &series, time.as_ref());
            before = Some(series.measurement.clone());
            if series.kind == SeriesKind::Time {
                time = Some(series);
            }
        }
        Ok(())
    }

    fn series(&mut self, name: &str, series: &SeriesMetadata, time: Option<&SeriesMetadata>) {
        let is_time = series.kind == SeriesKind::Time;
        if !is_time {
            self.found.n_series = self.found.n_series.saturating_add(1);
        }
        let mut total = Statistics::empty(series.data_type);
        let mut is_lossy = false;
        for chunk in &series.chunks {
            self.found.n_chunks = self.found.n_chunks.saturating_add(1);
            self.indexed.push(IndexedChunk {
                offset: chunk.offset,
                name_hash: hash_of(name),
                was_met: false,
            });
            let place = Place { offset: chunk.offset, series, time, statistics: &chunk.statistics };
            match self.chunk(name, &place) {
                Ok((statistics, lossy)) => {
                    is_lossy |= lossy;
                    total.merge(&chunk.statistics);
                    self.compare(name, chunk.offset, lossy, &chunk.statistics, &statistics);
                }
                Err(error) => self.found.note(name, error),
            }
        }
        let offset = series.chunks.first().map_or(0, |chunk| chunk.offset);
        self.compare(name, offset, is_lossy, &series.statistics, &total);
    }

    /// Statistics of the points of a chunk, and whether its encoding does not keep values exactly.
    fn chunk(&mut self, name: &str, place: &Place<'_>) -> Result<(Statistics, bool), ReadError> {
        let file = self.file;
        let series = place.series;
        let mut pages = self.open(place.offset)?;
        let header = pages.header.clone();
        let is_same = header.kind == series.kind
            && header.data_type == series.data_type
            && header.measurement == series.measurement;
        if !is_same {
            let expected = "the chunk that the index says";
            let found = format!("{} called {:?}", header.kind, header.measurement);
            return Err(ReadError::unsound(place.offset, expected, found));
        }
        let lossy = is_lossy(&header, file.version());
        let mut time_pages = match (series.kind, place.time_chunk()) {
            (SeriesKind::Value, Some(offset)) if header.data_bytes > 0 => Some(self.open(offset)?),
            _ => None,
        };
        let mut total = Statistics::empty(series.data_type);
        while let Some(page) = pages.next(&file.source)? {
            self.found.n_pages = self.found.n_pages.saturating_add(1);
            let known = page
                .statistics
                .as_ref()
                .or_else(|| header.is_single_page.then_some(place.statistics));
            if let Some(time_pages) = &mut time_pages {
                self.time_page(time_pages)?;
            }
            let context = PageContext {
                version: file.version,
                limits: file.limits,
                chunk: &header,
                page: &page,
                statistics: known,
                time_encoding: file.time_encoding,
                rlbe: None,
            };
            let statistics = self.page(&mut pages, &context)?;
            if let Some(known) = &page.statistics {
                self.compare(name, page.offset, lossy, known, &statistics);
            }
            total.merge(&statistics);
        }
        Ok((total, lossy))
    }

    fn open(&self, offset: u64) -> Result<Pages, ReadError> {
        let file = self.file;
        Pages::open(&file.source, offset, file.data_end(), Window::one_of(2), file.limits)
    }

    /// The times of the next page of a time chunk.
    fn time_page(&mut self, pages: &mut Pages) -> Result<(), ReadError> {
        let file = self.file;
        let header = pages.header.clone();
        let Some(page) = pages.next(&file.source)? else {
            let expected = "as many pages in a time chunk as in its value chunks";
            return Err(ReadError::unsound(header.offset, expected, "fewer"));
        };
        let context = PageContext {
            version: file.version,
            limits: file.limits,
            chunk: &header,
            page: &page,
            statistics: page.statistics.as_ref(),
            time_encoding: file.time_encoding,
            rlbe: None,
        };
        let body = pages.body(&file.source, &page, &mut self.body)?;
        context.decode_times(body, &mut self.times)
    }

    /// Statistics of the points of a page.
    fn page(
        &mut self,
        pages: &mut Pages,
        context: &PageContext<'_>,
    ) -> Result<Statistics, ReadError> {
        let source = &self.file.source;
        let data_type = context.chunk.data_type;
        if context.page.uncompressed_bytes == 0 {
            return Ok(Statistics::empty(data_type));
        }
        let body = pages.body(source, context.page, &mut self.body)?;
        let column = &mut self.column;
        if let Some(data_type) = data_type.filter(|it| *it != column.data_type) {
            *column = BatchColumn::new(data_type);
        }
        let statistics = match context.chunk.kind {
            SeriesKind::Time => {
                context.decode_times(body, &mut self.times)?;
                Statistics::of(None, &self.times, None)
            }
            SeriesKind::Plain => {
                context.decode_plain(body, &ALL_TIMES, &mut self.times, column)?;
                Statistics::of(data_type, &self.times, Some(&column.values))
            }
            SeriesKind::Value => {
                context.decode_column(body, self.times.len(), 0..self.times.len(), column)?;
                let there = self.times.iter().zip(column.presence.iter());
                let times: Vec<i64> =
                    there.filter(|(_, is_there)| *is_there).map(|(time, _)| *time).collect();
                Statistics::of(data_type, &times, Some(&column.values))
            }
        };
        if data_type.is_some() {
            let n_points = u64::from(statistics.count);
            self.found.n_points = self.found.n_points.saturating_add(n_points);
        }
        Ok(statistics)
    }

    fn compare(
        &mut self,
        name: &str,
        offset: u64,
        lossy: bool,
        said: &Statistics,
        found: &Statistics,
    ) {
        if !agree(said, found, lossy) {
            let expected = "statistics of the points that are there";
            let found = format!("{said}, instead of {found}");
            self.found.note(name, ReadError::unsound(offset, expected, found));
        }
    }

    /// Everything in the data section, held against the index.
    fn data(&mut self) {
        self.indexed.sort_unstable();
        let entries = match DataEntries::new(&self.file.source) {
            Ok(entries) => entries,
            Err(error) => return self.found.note("", error),
        };
        let mut device = String::new();
        let (mut end, trusted_end) = (None, self.file.data_end());
        for entry in entries {
            let is_beyond = |offset| !self.is_indexed() && offset >= trusted_end;
            match entry {
                // What an unfinished file has behind its last whole group is known to be lost.
                Ok(DataEntry::Group { offset, .. }) if is_beyond(offset) => break,
                Ok(DataEntry::Group { device: id, .. }) => device = id.to_string(),
                Ok(DataEntry::Chunk(header)) => self.meet(&device, &header),
                Ok(DataEntry::PlanIndexes { .. }) => (),
                Ok(DataEntry::Separator { offset }) => end = Some(offset),
                Err(error) => {
                    self.found.note("", error);
                    break;
                }
            }
        }
        let expected_end = trusted_end;
        if self.is_indexed() && end != Some(expected_end) {
            let expected = "the data section to end where the metadata says";
            let found =
                end.map_or_else(|| "no end".to_owned(), |end| format!("an end at byte {end}"));
            self.found.note("", ReadError::unsound(expected_end, expected, found));
        }
        let missing = self.indexed.iter().filter(|chunk| !chunk.was_met);
        let missing: Vec<u64> = missing.map(|chunk| chunk.offset).collect();
        for offset in missing {
            let expected = "a chunk of the series that the index names";
            self.found.note("", ReadError::unsound(offset, expected, "none in the data section"));
        }
    }

    /// Whether there is an index of the file's own, to be held against its data.
    fn is_indexed(&self) -> bool {
        matches!(self.file.index, Index::InFile(_))
    }

    fn meet(&mut self, device: &str, header: &ChunkHeader) {
        let name = format!("{device}.{}", header.measurement);
        let at = self.indexed.binary_search_by_key(&header.offset, |chunk| chunk.offset);
        let chunk = at.ok().and_then(|at| self.indexed.get_mut(at));
        match chunk.filter(|chunk| chunk.name_hash == hash_of(&name)) {
            Some(chunk) => chunk.was_met = true,
            // IoTDB leaves chunks without a point out of the index at times.
            None if header.data_bytes == 0 => (),
            None => {
                let expected = "every chunk in the index under its series";
                let error = ReadError::unsound(header.offset, expected, "one that is not");
                self.found.note(name, error);
            }
        }
    }
}

/// Where a chunk is, and what the index says of it.
struct Place<'a> {
    offset: u64,
    series: &'a SeriesMetadata,
    time: Option<&'a SeriesMetadata>,
    statistics: &'a Statistics,
}

impl Place<'_> {
    /// The time chunk before a value chunk.
    fn time_chunk(&self) -> Option<u64> {
        let chunks = &self.time?.chunks;
        let behind = chunks.partition_point(|chunk| chunk.offset < self.offset);
        chunks.get(behind.checked_sub(1)?).map(|chunk| chunk.offset)
    }
}

/// FNV-1a: equal names have equal hashes, and that is all that is asked.
fn hash_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Whether values may come back other than they were when statistics were made of them.
fn is_lossy(chunk: &ChunkHeader, version: TsFileVersion) -> bool {
    let is_float = matches!(chunk.data_type, Some(DataType::Float | DataType::Double));
    match chunk.encoding {
        Encoding::Ts2Diff | Encoding::Rle | Encoding::Rlbe | Encoding::Camel => is_float,
        // Its writer overflows where values jump far.
        Encoding::Sprintz => true,
        // The first form ends at a NaN and keeps no other.
        Encoding::GorillaV1 => version == TsFileVersion::V3,
        _ => false,
    }
}

/// Whether two statistics are of the same points, but for what adding numbers in another order
/// rounds, and but for the values of an encoding that does not keep them.
fn agree(said: &Statistics, found: &Statistics, lossy: bool) -> bool {
    let of_times = |it: &Statistics| (it.count, it.start_time, it.end_time);
    if of_times(said) != of_times(found) {
        return false;
    }
    if lossy || said.count == 0 {
        return true;
    }
    match (&said.values, &found.values) {
        (ValueStatistics::Int64(said), ValueStatistics::Int64(found)) => {
            let ends = |it: &Extremes<i64, f64>| (it.min, it.max, it.first, it.last);
            let reach = said.min.unsigned_abs().max(said.max.unsigned_abs()) as f64;
            ends(said) == ends(found) && sums_agree(said.sum, found.sum, reach)
        }
        (ValueStatistics::Float(said), ValueStatistics::Float(found)) => {
            let bits = |it: &Extremes<f32, f64>| {
                [it.min, it.max, it.first, it.last].map(|value| same_bits(value.into()))
            };
            let reach = f64::from(said.min.abs().max(said.max.abs()));
            bits(said) == bits(found) && sums_agree(said.sum, found.sum, reach)
        }
        (ValueStatistics::Double(said), ValueStatistics::Double(found)) => {
            let bits = |it: &Extremes<f64, f64>| [it.min, it.max, it.first, it.last].map(same_bits);
            let reach = said.min.abs().max(said.max.abs());
            bits(said) == bits(found) && sums_agree(said.sum, found.sum, reach)
        }
        (said, found) => said == found,
    }
}

/// The bits of a number; those of one NaN for all of them, since Java does not keep their payload.
fn same_bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

fn sums_agree(said: f64, found: f64, reach: f64) -> bool {
    let is_odd = |sum: f64| !sum.is_finite();
    // Sums that were too large once say nothing.
    (is_odd(said) && is_odd(found)) || (said - found).abs() <= reach.max(1.0) * SUM_TOLERANCE
}

/// How far sums may lie apart, as a share of the greatest value: rounding of 10^6 additions.
const SUM_TOLERANCE: f64 = 1e-9;
