//! Pages that are gathered until their chunk is closed.

use std::collections::VecDeque;
use std::io::Write;

use tidegate_codec::Writer;
use tidegate_model::DataType;

use super::crew::Ticket;
use super::error::WriteError;
use super::options::SeriesSpec;
use super::out::Out;
use super::out::encode;
use super::packer::Packer;
use super::packer::TIME_ENCODING;
use super::packer::checked;
use crate::SeriesKind;
use crate::Statistics;
use crate::read::index::VECTOR_CODE;

/// The pages of one chunk.
#[derive(Debug)]
pub(crate) struct Chunk {
    kind: SeriesKind,
    pages: Vec<u8>,
    n_pages: u32,
    /// Pages behind those, in their order.
    waiting: VecDeque<Waiting>,
    /// What those that wait may come to, at most.
    waiting_bytes_max: usize,
    /// The statistics of a page that is alone so far, and where in `pages` they belong if another
    /// one follows: the only page of a chunk has none.
    first: Option<(usize, Statistics)>,
    statistics: Statistics,
    /// Of no point.
    empty: Statistics,
    scratch: Vec<u8>,
}

impl Chunk {
    /// A chunk without pages; `None` is the type of a time column.
    pub(crate) fn new(kind: SeriesKind, data_type: Option<DataType>) -> Self {
        let empty = Statistics::empty(data_type);
        Self {
            kind,
            pages: Vec::new(),
            n_pages: 0,
            waiting: VecDeque::new(),
            waiting_bytes_max: 0,
            first: None,
            statistics: empty.clone(),
            empty,
            scratch: Vec::new(),
        }
    }

    pub(crate) fn kind(&self) -> SeriesKind {
        self.kind
    }

    pub(crate) fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// How long its pages are; at most, while some of them wait to be compressed.
    pub(crate) fn pages_bytes_max(&self) -> usize {
        self.pages.len().saturating_add(self.waiting_bytes_max)
    }

    /// Takes a page whose body is being compressed.
    pub(super) fn push_later(
        &mut self,
        body: Ticket,
        uncompressed_bytes: u32,
        statistics: Statistics,
    ) -> Result<(), WriteError> {
        self.scratch.clear();
        encode(&mut self.scratch, |writer| statistics.encode(writer))?;
        // No compressor makes more than this of what it cannot compress.
        let packed_bytes = (uncompressed_bytes as usize).saturating_mul(5) / 4;
        let page_bytes = packed_bytes.saturating_add(self.scratch.len()).saturating_add(1024);
        self.waiting_bytes_max = self.waiting_bytes_max.saturating_add(page_bytes);
        self.waiting.push_back(Waiting::Page { body, uncompressed_bytes, statistics });
        Ok(())
    }

    /// Waits for the pages that are being compressed.
    pub(crate) fn settle(&mut self, packer: &mut Packer) -> Result<(), WriteError> {
        self.waiting_bytes_max = 0;
        while let Some(page) = self.waiting.pop_front() {
            match page {
                Waiting::Empty => self.push_empty()?,
                Waiting::Page { body, uncompressed_bytes, statistics } => {
                    let packed = packer.ask_for(body)?;
                    self.push(uncompressed_bytes, checked(packed.len())?, &packed, statistics)?;
                    packer.keep(packed);
                }
            }
        }
        Ok(())
    }

    pub(super) fn push(
        &mut self,
        uncompressed_bytes: u32,
        compressed_bytes: u32,
        body: &[u8],
        statistics: Statistics,
    ) -> Result<(), WriteError> {
        self.first_is_not_alone()?;
        let has_statistics = self.n_pages > 0;
        encode(&mut self.pages, |writer| {
            writer.uvar(uncompressed_bytes);
            writer.uvar(compressed_bytes);
            if has_statistics {
                statistics.encode(writer);
            }
        })?;
        let header_end = self.pages.len();
        self.pages.extend_from_slice(body);
        self.n_pages = self.n_pages.saturating_add(1);
        self.statistics.merge(&statistics);
        if !has_statistics {
            self.first = Some((header_end, statistics));
        }
        Ok(())
    }

    /// Takes a page whose rows are all null, behind those that wait.
    pub(super) fn push_empty_later(&mut self) -> Result<(), WriteError> {
        if self.waiting.is_empty() {
            return self.push_empty();
        }
        self.waiting_bytes_max = self.waiting_bytes_max.saturating_add(1);
        self.waiting.push_back(Waiting::Empty);
        Ok(())
    }

    /// A page whose rows are all null has a length of zero, and nothing else.
    fn push_empty(&mut self) -> Result<(), WriteError> {
        self.first_is_not_alone()?;
        self.pages.push(0);
        self.n_pages = self.n_pages.saturating_add(1);
        Ok(())
    }

    fn first_is_not_alone(&mut self) -> Result<(), WriteError> {
        let Some((at, statistics)) = self.first.take() else { return Ok(()) };
        self.scratch.clear();
        encode(&mut self.scratch, |writer| statistics.encode(writer))?;
        self.pages.splice(at..at, self.scratch.iter().copied());
        Ok(())
    }

    /// Writes the chunk, none of whose pages waits, and returns where its marker stands.
    ///
    /// Pages that are all empty are left out.
    pub(crate) fn write<W: Write>(
        &self,
        series: Option<&SeriesSpec>,
        packer: &Packer,
        out: &mut Out<W>,
    ) -> Result<u64, WriteError> {
        let offset = out.position();
        let has_points = self.statistics.count > 0;
        let pages = if has_points { &*self.pages } else { &[] };
        let form = if has_points && self.n_pages > 1 { MANY_PAGES } else { ONE_PAGE };
        let length = u32::try_from(pages.len()).unwrap_or(u32::MAX);
        let (name, data_type, encoding) = match series {
            None => ("", VECTOR_CODE, TIME_ENCODING),
            Some(it) => (&*it.measurement, it.data_type.code(), it.encoding),
        };
        out.structure(|writer: &mut Writer<'_>| {
            writer.u8(self.kind.bits() | form);
            writer.vstr(Some(name));
            writer.uvar(length);
            writer.u8(data_type);
            writer.u8(packer.compression().code());
            writer.u8(encoding.code());
        })?;
        out.bytes(pages)?;
        Ok(offset)
    }

    /// Forgets the pages and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.pages.clear();
        self.n_pages = 0;
        self.waiting.clear();
        self.waiting_bytes_max = 0;
        self.first = None;
        self.statistics.clone_from(&self.empty);
    }
}

/// A page that is not among the others yet.
#[derive(Debug)]
enum Waiting {
    Empty,
    Page { body: Ticket, uncompressed_bytes: u32, statistics: Statistics },
}

/// Lower bits of the marker of a chunk of several pages.
const MANY_PAGES: u8 = 1;
/// Of one page, or of none.
const ONE_PAGE: u8 = 5;

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use tidegate_model::Value;

    use super::*;
    use crate::Batch;
    use crate::DeviceId;
    use crate::Limits;
    use crate::Selection;
    use crate::SeriesMetadata;
    use crate::TsFile;
    use crate::TsFileWriter;
    use crate::Values;
    use crate::WriteOptions;
    use crate::read::chunk::Pages;
    use crate::read::source::Window;

    const TYPES: [DataType; 10] = [
        DataType::Boolean,
        DataType::Int32,
        DataType::Int64,
        DataType::Float,
        DataType::Double,
        DataType::Text,
        DataType::Timestamp,
        DataType::Date,
        DataType::Blob,
        DataType::String,
    ];

    fn value(random: &mut Rng, data_type: DataType) -> Value {
        match Values::new(data_type) {
            Values::Boolean(_) => Value::Boolean(random.bool()),
            Values::Int32(_) => Value::Int32(random.i32(..)),
            Values::Int64(_) => Value::Int64(random.i64(..)),
            Values::Float(_) => Value::Float(random.choice([f32::NAN, -0.0, 1.5, -7.25]).unwrap()),
            Values::Double(_) => {
                Value::Double(random.choice([f64::NAN, -0.0, 0.1, 1e300]).unwrap())
            }
            Values::Bytes(_) => Value::Bytes(vec![random.u8(..); random.usize(..4)]),
        }
    }

    fn rows(random: &mut Rng, types: &[DataType]) -> Batch {
        let mut batch = Batch::new(types.iter().copied());
        batch.times = (0..500).map(|row| row * 10 + random.i64(0..10)).collect();
        for column in &mut batch.columns {
            let null_in_8 = random.choice([0, 4, 8]).unwrap();
            for row in 0..500 {
                // Some pages have no value at all, the first one among them.
                let is_there = random.u8(..8) >= null_in_8 && (null_in_8 == 0 || row / 60 % 3 > 0);
                column.presence.push(is_there);
                if is_there {
                    column.values.push(&value(random, column.data_type));
                }
            }
        }
        batch
    }

    /// For each page, what its header says of it, and of a chunk of one page what its chunk does.
    ///
    /// For a chunk without pages, as many nothings as others have pages.
    fn of_pages(
        file: &TsFile<&[u8]>,
        series: &SeriesMetadata,
        chunk_pages: usize,
    ) -> Vec<Option<Statistics>> {
        let mut found = Vec::new();
        for chunk in &series.chunks {
            let window = Window::one_of(1);
            let end = file.data_end();
            let mut pages =
                Pages::open(file.source(), chunk.offset, end, window, Limits::default()).unwrap();
            let mut merged = Statistics::empty(series.data_type);
            if pages.header.data_bytes == 0 {
                found.resize(found.len() + chunk_pages, None);
            }
            while let Some(page) = pages.next(file.source()).unwrap() {
                let is_single = pages.header.is_single_page;
                assert_eq!(page.statistics.is_some(), !is_single && page.uncompressed_bytes > 0);
                let known = page.statistics.or_else(|| is_single.then(|| chunk.statistics.clone()));
                known.iter().for_each(|known| merged.merge(known));
                found.push(known);
            }
            assert_eq!(format!("{merged:?}"), format!("{:?}", chunk.statistics));
        }
        let mut merged = Statistics::empty(series.data_type);
        series.chunks.iter().for_each(|chunk| merged.merge(&chunk.statistics));
        assert_eq!(format!("{merged:?}"), format!("{:?}", series.statistics));
        found
    }

    fn check(batch: &Batch, page_rows: usize, chunk_rows: usize, is_aligned: bool) -> usize {
        let mut options = WriteOptions::default();
        (options.page_rows_max, options.chunk_rows_max) = (page_rows, chunk_rows);
        let mut writer = TsFileWriter::new(Vec::new(), options).unwrap();
        let id = DeviceId { path: "root.sg.d".into(), segments: None };
        let types = batch.columns.iter().map(|column| column.data_type);
        let specs = types.enumerate().map(|(at, it)| SeriesSpec::new(&format!("s{at}"), it));
        let specs: Vec<_> = specs.collect();
        match is_aligned {
            true => writer.begin_aligned(&id, &specs).unwrap(),
            false => writer.begin_series(&id, &specs[0]).unwrap(),
        }
        writer.write(batch).unwrap();
        let bytes = writer.finish().unwrap().out;
        let file = TsFile::open(&bytes[..]).unwrap();
        let device = file.devices().next().unwrap().unwrap();
        let series: Vec<_> = file.series(&device).unwrap().map(Result::unwrap).collect();
        let chunk_pages = chunk_rows.div_ceil(page_rows);
        let mut known: Vec<_> =
            series.iter().map(|series| of_pages(&file, series, chunk_pages).into_iter()).collect();
        let selection = Selection::default();
        let mut rows = match is_aligned {
            true => file.aligned_rows(&series[0], &series[1..], selection).unwrap(),
            false => file.rows(&series[0], selection).unwrap(),
        };
        let (mut page, mut n_pages) = (Batch::default(), 0);
        while rows.next_into(&mut page).unwrap() {
            if is_aligned {
                let expected = Statistics::of(None, &page.times, None);
                assert_eq!(known[0].next().unwrap(), Some(expected));
            }
            for (at, column) in page.columns.iter().enumerate() {
                let there = page.times.iter().zip(column.presence.iter()).filter(|(_, it)| *it);
                let times: Vec<i64> = there.map(|(time, _)| *time).collect();
                let expected = Statistics::of(Some(column.data_type), &times, Some(&column.values));
                // A chunk without a value has no page either.
                let known = known[at + usize::from(is_aligned)].next().flatten();
                let known = known.unwrap_or_else(|| Statistics::empty(Some(column.data_type)));
                assert_eq!(format!("{known:?}"), format!("{expected:?}"));
            }
            n_pages += 1;
        }
        n_pages
    }

    #[test]
    fn statistics_are_those_of_the_points_of_each_page_chunk_and_series() {
        let mut n_pages = 0;
        for seed in 0..20 {
            let random = &mut Rng::with_seed(seed);
            for (page_rows, chunk_rows) in [(20, 20), (20, 60), (60, 180), (500, 500), (7, 1000)] {
                let batch = rows(random, &TYPES);
                n_pages += check(&batch, page_rows, chunk_rows, true);
                for column in batch.columns.iter().filter(|it| !it.values.is_empty()) {
                    let (times, columns) = (batch.times.clone(), vec![column.clone()]);
                    let one = Batch { times, columns };
                    n_pages += check(&one, page_rows, chunk_rows, false);
                }
            }
        }
        assert!(n_pages > 10_000, "{n_pages}");
    }
}
