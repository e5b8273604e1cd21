//! Headers of chunks and pages, and the walk over the pages of one chunk.

use core::mem::size_of;
use std::sync::Arc;

use tidegate_codec::Error;
use tidegate_codec::PipeCompression;
use tidegate_codec::Reader;
use tidegate_model::DataType;

use super::index::SeriesKind;
use super::index::decode_name;
use super::index::decode_type;
use super::source::Window;
use crate::Compression;
use crate::Encoding;
use crate::Limits;
use crate::ReadAt;
use crate::ReadError;
use crate::Statistics;

/// The header of a chunk.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the file has this
pub struct ChunkHeader {
    /// Where the marker before the header stands in the file.
    pub offset: u64,
    /// What the series is in its device.
    pub kind: SeriesKind,
    /// Whether the marker says that there is one page, which then has no statistics.
    pub is_single_page: bool,
    /// Name of the measurement; empty for a time column.
    pub measurement: Box<str>,
    /// Type of the values; `None` for a time column.
    pub data_type: Option<DataType>,
    /// How the bodies of its pages are compressed.
    pub compression: Compression,
    /// How its values are encoded; of a time column how its times are.
    pub encoding: Encoding,
    /// Where its pages begin in the file.
    pub data_offset: u64,
    /// How many bytes its pages have.
    pub data_bytes: u32,
}

impl ChunkHeader {
    /// Where the chunk ends in the file.
    pub fn end(&self) -> u64 {
        self.data_offset.saturating_add(self.data_bytes.into())
    }

    /// Whether a marker is that of a chunk.
    pub(crate) fn is_marker(marker: u8) -> bool {
        matches!(marker & 0x3f, 1 | 5) && SeriesKind::of_bits(marker).is_some()
    }

    /// Reads marker and header.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let position = reader.position();
        let marker = reader.u8("marker of a chunk")?;
        let wrong = Error::Value {
            offset: position,
            expected: "the marker of a chunk",
            found: marker.into(),
        };
        let kind = SeriesKind::of_bits(marker).filter(|_| Self::is_marker(marker)).ok_or(wrong)?;
        let measurement = decode_name(reader, "measurement of a chunk")?;
        let data_bytes = reader.uvar("length of a chunk")?;
        let data_type = decode_type(reader, kind)?;
        let at = reader.position();
        let code = reader.u8("compression of a chunk")?;
        let compression = Compression::from_code(code).ok_or_else(|| Error::Value {
            offset: at,
            expected: "a compression (LZO, SDT, PAA and PLA are in no file of IoTDB 1.0 or later)",
            found: code.into(),
        })?;
        let at = reader.position();
        let code = reader.u8("encoding of a chunk")?;
        let expected = "an encoding";
        let wrong = Error::Value { offset: at, expected, found: code.into() };
        let encoding = Encoding::from_code(code).ok_or(wrong)?;
        Ok(Self {
            offset: position as u64,
            kind,
            is_single_page: marker & 0x3f == 5,
            measurement,
            data_type,
            compression,
            encoding,
            data_offset: reader.position() as u64,
            data_bytes,
        })
    }
}

/// A page of a chunk.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the file has this
pub struct PageHeader {
    /// Where the header begins in the file.
    pub offset: u64,
    /// Where the body begins in the file.
    pub body_offset: u64,
    /// Length of the body in the file.
    pub compressed_bytes: u32,
    /// Length of the body when it is decompressed; zero if all its rows are null.
    pub uncompressed_bytes: u32,
    /// Of its points, if the chunk has several pages.
    pub statistics: Option<Statistics>,
}

impl PageHeader {
    /// Where the page ends in the file.
    pub fn end(&self) -> u64 {
        self.body_offset.saturating_add(self.compressed_bytes.into())
    }

    /// Leaves out of the statistics what only texts take much room for, while a page of them is read.
    pub(crate) fn forget_texts(&mut self) {
        if let Some(known) = &mut self.statistics
            && known.texts_bytes() > 0
        {
            *known = known.with_texts_up_to(0);
        }
    }
}

/// The walk over the pages of one chunk.
#[derive(Debug)]
pub(crate) struct Pages {
    pub(crate) header: Arc<ChunkHeader>,
    window: Window,
    next: u64,
    /// How many pages come before the next one.
    n_passed: usize,
    places: Places,
    /// How many of these were known before.
    n_known: usize,
    /// The least time that the next page may have, by those before it.
    least_time: i64,
    /// Whether all of them have points, and none has a lesser time.
    is_ordered: bool,
    limits: Limits,
}

/// Where the pages of a chunk are, as far as somebody has walked over them.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    header: Arc<ChunkHeader>,
    /// Where each page begins behind the chunk's header, and where the last one ends if it was met.
    starts: Vec<u32>,
    /// No time of the page, nor of those behind it, is less. Empty for a value chunk.
    least_times: Vec<i64>,
}

/// How many pages of a chunk [`Places`] hold at most: a small file may have a great many empty ones.
const PLACES_MAX: usize = 4096;

impl Places {
    fn of(header: &Arc<ChunkHeader>) -> Self {
        Self { header: Arc::clone(header), starts: Vec::new(), least_times: Vec::new() }
    }

    /// What they take in memory.
    pub(crate) fn size_bytes(&self) -> usize {
        let Self { header, starts, least_times } = self;
        let starts_bytes = starts.len().saturating_mul(size_of::<u32>());
        let times_bytes = least_times.len().saturating_mul(size_of::<i64>());
        let own_bytes = size_of::<Self>().saturating_add(size_of::<ChunkHeader>());
        let own_bytes = own_bytes.saturating_add(header.measurement.len());
        own_bytes.saturating_add(starts_bytes).saturating_add(times_bytes)
    }
}

impl Pages {
    /// Reads the header of the chunk whose marker stands at `offset` of `source`.
    ///
    /// `end` is where the data section ends.
    pub(crate) fn open(
        source: &(impl ReadAt + ?Sized),
        offset: u64,
        end: u64,
        mut window: Window,
        limits: Limits,
    ) -> Result<Self, ReadError> {
        let header = window
            .parse(source, offset, end, ChunkHeader::decode)?
            .map_err(|source| ReadError::Malformed { what: "header of a chunk", source })?;
        if header.end() > end {
            let found = format!("{} bytes", header.data_bytes);
            return Err(ReadError::unsound(offset, "a chunk that ends in the data section", found));
        }
        let header = Arc::new(header);
        let places = Places::of(&header);
        Ok(Self::over(places, window, limits))
    }

    /// A walk over a chunk of which something is known.
    pub(crate) fn over(places: Places, window: Window, limits: Limits) -> Self {
        let header = Arc::clone(&places.header);
        let (next, n_known) = (header.data_offset, places.starts.len());
        let least_time = i64::MIN;
        let (n_passed, is_ordered) = (0, true);
        Self { header, window, next, n_passed, places, n_known, least_time, is_ordered, limits }
    }

    /// What is known of the chunk now.
    pub(crate) fn into_parts(self) -> (Places, Vec<u8>) {
        (self.places, self.window.into_buffer())
    }

    /// Whether more is known than when the walk began. Of pages that are out of order nothing is: whoever
    /// comes next shall meet them again.
    pub(crate) fn has_learnt(&self) -> bool {
        self.is_ordered && self.places.starts.len() > self.n_known
    }

    /// How many pages come before the next one.
    pub(crate) fn n_passed(&self) -> usize {
        self.n_passed
    }

    /// Passes over pages all of whose times are known to be before `time`.
    pub(crate) fn pass_before(&mut self, time: i64) {
        let behind = self.places.least_times.partition_point(|least| *least <= time);
        self.pass_to(behind.saturating_sub(1));
    }

    /// Whether all times of the next page and of those behind it are known to be after `time`.
    pub(crate) fn is_after(&self, time: i64) -> bool {
        self.places.least_times.get(self.n_passed).is_some_and(|least| *least > time)
    }

    /// Passes over pages up to the one that has `n_before` before it, if their places are known.
    fn pass_to(&mut self, n_before: usize) {
        let nearest = n_before.min(self.places.starts.len().saturating_sub(1));
        if let Some(start) = self.places.starts.get(nearest).filter(|_| nearest > self.n_passed) {
            self.next = self.header.data_offset.saturating_add((*start).into());
            self.n_passed = nearest;
            let least = self.places.least_times.get(nearest);
            self.least_time = least.copied().unwrap_or(self.least_time);
        }
    }

    /// Takes note of where the next page begins, and what is its least time.
    fn note(&mut self, statistics: Option<&Statistics>) {
        let n_known = self.places.starts.len();
        let is_last = self.next >= self.header.end();
        let has_times = self.header.kind != SeriesKind::Value;
        let start = u32::try_from(self.next.saturating_sub(self.header.data_offset));
        if let Ok(start) = start
            && self.n_passed == n_known
            && n_known < PLACES_MAX
        {
            self.places.starts.push(start);
            if has_times && !is_last {
                let least = statistics.map_or(self.least_time, |known| known.start_time);
                self.places.least_times.push(least.max(self.least_time));
            }
        }
        let Some(&Statistics { count, start_time, end_time, .. }) = statistics else {
            self.is_ordered &= is_last || !has_times;
            return;
        };
        let is_next = count > 0 && (self.least_time..=end_time).contains(&start_time);
        // Behind the greatest of all times no page can begin.
        self.is_ordered &= is_next && end_time < i64::MAX;
        self.least_time = self.least_time.max(end_time.saturating_add(1));
    }

    /// Gives back memory above the share of its window.
    pub(crate) fn rest(&mut self) {
        self.window.rest();
    }

    /// The page that has `n_before` before it, which is none that was passed; `None` behind the last one.
    pub(crate) fn nth(
        &mut self,
        source: &(impl ReadAt + ?Sized),
        n_before: usize,
    ) -> Result<Option<PageHeader>, ReadError> {
        self.pass_to(n_before);
        while self.n_passed < n_before {
            if self.next(source)?.is_none() {
                return Ok(None);
            }
        }
        self.next(source)
    }

    /// The next page; `None` behind the last one.
    pub(crate) fn next(
        &mut self,
        source: &(impl ReadAt + ?Sized),
    ) -> Result<Option<PageHeader>, ReadError> {
        let (offset, end) = (self.next, self.header.end());
        if offset >= end {
            self.note(None);
            return Ok(None);
        }
        if self.header.is_single_page && offset > self.header.data_offset {
            let found = format!("{} bytes more", end.saturating_sub(offset));
            return Err(ReadError::unsound(offset, "the end of a chunk of one page", found));
        }
        let data_type = self.header.data_type;
        let with_statistics = !self.header.is_single_page;
        let places = self.places.starts.get(self.n_passed..).unwrap_or_default();
        if let [start, behind, ..] = *places
            && matches!(self.header.compression, Compression::By(_))
        {
            // Header and body at once; of a body that is not compressed a part may do.
            let length = usize::try_from(behind.saturating_sub(start)).unwrap_or(usize::MAX);
            if length <= self.limits.page_bytes_max {
                self.window.bytes(source, offset, length, end)?;
            }
        }
        let page = self
            .window
            .parse(source, offset, end, |reader| {
                let uncompressed_bytes = reader.uvar("uncompressed length of a page")?;
                let (mut compressed_bytes, mut statistics) = (0, None);
                if uncompressed_bytes > 0 {
                    compressed_bytes = reader.uvar("compressed length of a page")?;
                    if with_statistics {
                        statistics = Some(Statistics::decode(reader, data_type)?);
                    }
                }
                let body_offset = reader.position() as u64;
                Ok(PageHeader {
                    offset,
                    body_offset,
                    compressed_bytes,
                    uncompressed_bytes,
                    statistics,
                })
            })?
            .map_err(|source| ReadError::Malformed { what: "header of a page", source })?;
        if page.end() > end {
            let found = format!("{} bytes", page.compressed_bytes);
            return Err(ReadError::unsound(offset, "a page that ends in its chunk", found));
        }
        self.note(page.statistics.as_ref());
        self.next = page.end();
        self.n_passed = self.n_passed.saturating_add(1);
        Ok(Some(page))
    }

    /// The body of a page as it was before it was compressed.
    ///
    /// Memory taken, in `buffer`: the body's length, after it was compared with the cap.
    pub(crate) fn body<'b>(
        &'b mut self,
        source: &(impl ReadAt + ?Sized),
        page: &PageHeader,
        buffer: &'b mut Vec<u8>,
    ) -> Result<&'b [u8], ReadError> {
        self.beginning(source, page, usize::MAX, buffer)
    }

    /// As [`body`](Self::body), but no more of it than the first `most` bytes if these can be had for
    /// less.
    pub(crate) fn beginning<'b>(
        &'b mut self,
        source: &(impl ReadAt + ?Sized),
        page: &PageHeader,
        most: usize,
        buffer: &'b mut Vec<u8>,
    ) -> Result<&'b [u8], ReadError> {
        let max = self.limits.page_bytes_max;
        let checked = |found: u32, what| {
            let length = usize::try_from(found).unwrap_or(usize::MAX);
            match length <= max {
                true => Ok(length),
                false => Err(ReadError::TooLarge {
                    offset: page.offset,
                    what,
                    found: found.into(),
                    max: max as u64,
                }),
            }
        };
        let length = checked(page.uncompressed_bytes, "uncompressed length of a page")?;
        let packed_length = checked(page.compressed_bytes, "compressed length of a page")?;
        let end = self.header.end();
        let Compression::By(by) = self.header.compression else {
            if length != packed_length {
                let expected = "equal lengths of a page that is not compressed";
                let found = format!("{packed_length} and {length}");
                return Err(ReadError::unsound(page.offset, expected, found));
            }
            return self.window.bytes(source, page.body_offset, length.min(most), end);
        };
        let packed = self.window.bytes(source, page.body_offset, packed_length, end)?;
        let longest = packed_length.saturating_mul(expansion_max(by)).saturating_add(64);
        if length > longest {
            let expected = "an uncompressed length that the compressor can reach";
            let found = format!("{length} bytes from {packed_length}");
            return Err(ReadError::unsound(page.offset, expected, found));
        }
        let is_whole = length <= most || !by.has_beginning();
        let n_bytes = if is_whole { length } else { most };
        if buffer.len() < n_bytes {
            buffer.resize(n_bytes, 0);
        }
        let output = buffer.get_mut(..n_bytes).unwrap_or_default();
        let decompressed = match is_whole {
            true => by.decompress_into(packed, output),
            false => by.decompress_beginning(packed, output),
        };
        decompressed.map_err(|source| ReadError::Compression { offset: page.offset, source })?;
        Ok(output)
    }
}

/// The headers of the pages of a chunk; ends behind the first error.
pub fn pages_of<'s, R: ReadAt>(
    source: &'s R,
    header: &ChunkHeader,
) -> impl Iterator<Item = Result<PageHeader, ReadError>> + use<'s, R> {
    let places = Places::of(&Arc::new(header.clone()));
    let mut pages = Pages::over(places, Window::one_of(1), Limits::default());
    let mut is_done = false;
    core::iter::from_fn(move || {
        if is_done {
            return None;
        }
        let page = pages.next(source).transpose();
        is_done = !matches!(page, Some(Ok(_)));
        page
    })
}

/// How many times as long as its input the output of a compressor can be.
///
/// A page that claims more costs no memory. zstd and xz have no such limit worth the name.
fn expansion_max(by: PipeCompression) -> usize {
    match by {
        PipeCompression::Snappy => 64,
        PipeCompression::Lz4 => 255,
        PipeCompression::Gzip => 1032,
        _ => usize::MAX,
    }
}
