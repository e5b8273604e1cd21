//! Rows of a device out of its chunks: in the order of time, the later chunk first where two have
//! the same cell, without what was deleted.

use core::borrow::Borrow;
use core::ops::RangeInclusive;
use std::sync::Arc;

use tidegate_model::DataType;

use super::batch::Batch;
use super::chunk::PageHeader;
use super::chunk::Pages;
use super::index::ChunkMetadata;
use super::index::SeriesKind;
use super::index::SeriesMetadata;
use super::merge::Merge;
use super::page::PageContext;
use super::recent::Found;
use super::source::Window;
use crate::ReadAt;
use crate::ReadError;
use crate::Statistics;
use crate::TsFile;
use crate::cuts::Cuts;

/// All times.
pub const ALL_TIMES: RangeInclusive<i64> = i64::MIN..=i64::MAX;

/// Which rows of a device are wanted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Selection {
    /// Times, both ends included.
    pub times: RangeInclusive<i64>,
    /// What was deleted: of rows, and of each column that is asked for.
    pub cuts: Cuts,
}

impl Default for Selection {
    fn default() -> Self {
        Self { times: ALL_TIMES, cuts: Cuts::default() }
    }
}

impl Selection {
    /// Rows with these times, of which nothing was deleted.
    pub fn of_times(times: RangeInclusive<i64>) -> Self {
        Self { times, cuts: Cuts::default() }
    }

    /// Whether rows of a chunk with times may be among them.
    fn may_want(&self, chunk: &ChunkMetadata) -> bool {
        chunk.statistics.overlaps(*self.times.start(), *self.times.end())
            && !self.cuts.hide_all(chunk.offset, &chunk.statistics)
    }
}

/// Rows of one device, page by page.
///
/// A series with times of its own gives rows of one column. Columns of an aligned device that are
/// read together give rows with nulls; a row in which all of them are null comes, too.
#[derive(Debug)]
pub struct Rows<'f, R> {
    file: &'f TsFile<R>,
    columns: Vec<Column>,
    /// Groups of chunks whose times overlap, the last one next.
    clusters: Vec<Vec<RowChunk>>,
    selection: Selection,
    state: State,
    /// Memory of chunks that were read.
    spare: Vec<Vec<u8>>,
}

/// Memory that one read leaves to the next.
#[derive(Debug, Default)]
pub struct ReadMemory(Vec<Vec<u8>>);

#[derive(Debug)]
enum State {
    Between,
    /// One chunk, page after page.
    Single(Box<ChunkRows>),
    /// Several, row by row.
    Merging(Merge),
}

/// A column that is read.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    measurement: Box<str>,
    pub(crate) data_type: DataType,
}

impl Column {
    fn of(series: &SeriesMetadata) -> Result<Self, ReadError> {
        let data_type = series.data_type.ok_or_else(|| {
            let offset = series.chunks.first().map_or(0, |chunk| chunk.offset);
            ReadError::unsound(offset, "a series with values", "a time column")
        })?;
        Ok(Self { measurement: series.measurement.clone(), data_type })
    }
}

/// Chunks that hold the same rows: one, or the time chunk and value chunks of an aligned device.
#[derive(Clone, Debug)]
pub(crate) struct RowChunk {
    /// Marker of the chunk, or of the time chunk.
    pub(crate) offset: u64,
    /// Without texts, as those of the columns.
    pub(crate) statistics: Statistics,
    is_aligned: bool,
    /// Markers of the value chunks; `None` where the group has none of the column. Their statistics
    /// tell columns without values.
    columns: Vec<Option<(u64, Statistics)>>,
}

impl<R: ReadAt> TsFile<R> {
    /// Rows of a series with times of its own.
    pub fn rows(
        &self,
        series: &SeriesMetadata,
        selection: Selection,
    ) -> Result<Rows<'_, R>, ReadError> {
        let columns = vec![Column::of(series)?];
        let wanted = series.chunks.iter().filter(|chunk| selection.may_want(chunk));
        let chunks = wanted.map(|chunk| RowChunk {
            offset: chunk.offset,
            statistics: chunk.statistics.with_texts_up_to(0),
            is_aligned: false,
            columns: Vec::new(),
        });
        Ok(self.rows_of(columns, chunks.collect(), selection))
    }

    /// Rows of some columns of an aligned device.
    ///
    /// # Arguments
    ///
    /// - `time`: the device's time column
    /// - `columns`: its columns that are wanted; those of any order
    pub fn aligned_rows(
        &self,
        time: &SeriesMetadata,
        columns: &[impl Borrow<SeriesMetadata>],
        selection: Selection,
    ) -> Result<Rows<'_, R>, ReadError> {
        let columns = || columns.iter().map(Borrow::borrow);
        let wanted: Result<Vec<Column>, ReadError> = columns().map(Column::of).collect();
        let wanted = wanted?;
        // Times alone, until it is known which chunks are wanted: most often few are.
        let mut times: Vec<&ChunkMetadata> = time.chunks.iter().collect();
        times.sort_by_key(|chunk| chunk.offset);
        let mut chunks: Vec<Option<RowChunk>> = times
            .iter()
            .map(|chunk| {
                selection.may_want(chunk).then(|| RowChunk {
                    offset: chunk.offset,
                    statistics: chunk.statistics.with_texts_up_to(0),
                    is_aligned: true,
                    columns: vec![None; wanted.len()],
                })
            })
            .collect();
        for (at, column) in columns().enumerate() {
            let mut before = None;
            for value in &column.chunks {
                // A value chunk stands behind its time chunk and before the next one.
                let behind = times.partition_point(|chunk| chunk.offset < value.offset);
                let Some(own) = behind.checked_sub(1) else {
                    let expected = "a value chunk behind a time chunk";
                    return Err(ReadError::unsound(value.offset, expected, "none before it"));
                };
                if before.replace(own) == Some(own) {
                    let expected = "one value chunk of a column for each time chunk";
                    return Err(ReadError::unsound(value.offset, expected, "another one"));
                }
                let chunk = chunks.get_mut(own).and_then(Option::as_mut);
                if let Some(place) = chunk.and_then(|chunk| chunk.columns.get_mut(at)) {
                    *place = Some((value.offset, value.statistics.with_texts_up_to(0)));
                }
            }
        }
        Ok(self.rows_of(wanted, chunks.into_iter().flatten().collect(), selection))
    }

    fn rows_of(
        &self,
        columns: Vec<Column>,
        chunks: Vec<RowChunk>,
        selection: Selection,
    ) -> Rows<'_, R> {
        let clusters = clusters_of(chunks);
        Rows { file: self, columns, clusters, selection, state: State::Between, spare: Vec::new() }
    }
}

impl<R: ReadAt> Rows<'_, R> {
    /// Lets these rows use memory that others have given back.
    #[must_use]
    pub fn with_memory(mut self, memory: ReadMemory) -> Self {
        self.spare = memory.0;
        self
    }

    /// Gives the memory back, for other rows: many short reads are faster with the same.
    pub fn into_memory(mut self) -> ReadMemory {
        if let State::Single(chunk) = self.state {
            chunk.recycle(self.file, &mut self.spare);
        }
        ReadMemory(self.spare)
    }

    /// The next rows into `batch`, whose own rows are forgotten; `false` behind the last ones.
    ///
    /// A batch is a page at most, or what is merged at once; it may have no row although others
    /// follow.
    pub fn next_into(&mut self, batch: &mut Batch) -> Result<bool, ReadError> {
        batch.shape(self.columns.iter().map(|column| column.data_type));
        loop {
            let is_there = match &mut self.state {
                State::Between => match self.clusters.pop() {
                    None => return Ok(false),
                    Some(cluster) => {
                        self.state = self.begin(cluster)?;
                        continue;
                    }
                },
                State::Single(chunk) => chunk.next_into(self.file, &self.selection, batch)?,
                State::Merging(merge) => merge.next_into(self.file, &self.selection, batch)?,
            };
            if is_there {
                return Ok(true);
            }
            if let State::Single(chunk) = core::mem::replace(&mut self.state, State::Between) {
                chunk.recycle(self.file, &mut self.spare);
            }
        }
    }

    fn begin(&mut self, mut cluster: Vec<RowChunk>) -> Result<State, ReadError> {
        let n_windows = cluster.iter().map(|chunk| chunk.columns.len().saturating_add(1)).sum();
        if cluster.len() == 1
            && let Some(chunk) = cluster.pop()
        {
            let times = &self.selection.times;
            let (columns, spare) = (&self.columns, &mut self.spare);
            let rows = ChunkRows::open(self.file, chunk, columns, times, n_windows, spare)?;
            return Ok(State::Single(Box::new(rows)));
        }
        Ok(State::Merging(Merge::new(cluster, self.columns.clone(), n_windows)))
    }
}

/// Chunks in groups whose times overlap, the first group last.
fn clusters_of(mut chunks: Vec<RowChunk>) -> Vec<Vec<RowChunk>> {
    chunks.sort_by_key(|chunk| (chunk.statistics.start_time, chunk.offset));
    let mut clusters: Vec<Vec<RowChunk>> = Vec::new();
    let mut end = None;
    for chunk in chunks {
        let chunk_end = chunk.statistics.end_time;
        match clusters.last_mut() {
            Some(cluster) if end >= Some(chunk.statistics.start_time) => cluster.push(chunk),
            _ => clusters.push(vec![chunk]),
        }
        end = end.max(Some(chunk_end));
    }
    clusters.reverse();
    clusters
}

/// The rows of one [`RowChunk`], page by page.
#[derive(Debug)]
pub(crate) struct ChunkRows {
    /// Marker of the chunk, or of the time chunk.
    offset: u64,
    statistics: Statistics,
    /// Of the chunk, or of the time chunk.
    pages: Pages,
    /// Of the value chunks of an aligned device, with the statistics of the index; `None` where the
    /// group has no value of the column.
    columns: Option<Vec<Option<(Pages, Statistics)>>>,
    /// What a body is decompressed into.
    body: Vec<u8>,
    /// Last time of the pages that were decoded.
    last_time: Option<i64>,
    /// Whether a part of the chunk is wanted, and not all of it.
    is_part: bool,
    /// What is left of a page that is too large to be given at once.
    left: Option<LeftOfPage>,
}

/// In how many parts a page is given at most.
const PARTS_MAX: usize = 16;

/// A page of which rows are still to be given.
#[derive(Debug)]
struct LeftOfPage {
    page: PageHeader,
    value_pages: Vec<Option<PageHeader>>,
    /// The first time that is wanted and was not given.
    start: i64,
}

/// What was decoded of a page.
#[derive(Clone, Copy, Debug)]
struct Given {
    /// Whether all wanted rows are there.
    is_whole: bool,
    /// The first and the last time that were decoded.
    ends: Option<(i64, i64)>,
}

impl ChunkRows {
    pub(crate) fn open<R: ReadAt>(
        file: &TsFile<R>,
        chunk: RowChunk,
        wanted: &[Column],
        times: &RangeInclusive<i64>,
        n_windows: usize,
        spare: &mut Vec<Vec<u8>>,
    ) -> Result<Self, ReadError> {
        let Statistics { start_time, end_time, .. } = chunk.statistics;
        let is_part = *times.start() > start_time || *times.end() < end_time;
        let body = spare.pop().unwrap_or_default();
        let mut open = |offset, kind, measurement: &str, data_type| {
            let window = Window::over(spare.pop().unwrap_or_default(), n_windows);
            let known = file.recent.get(offset..offset, |found| match found {
                Found::Chunk(places) if is_part => Some(Arc::clone(places)),
                _ => None,
            });
            let pages = match known {
                Some(known) => Pages::over((*known).clone(), window, file.limits),
                None => Pages::open(&file.source, offset, file.data_end(), window, file.limits)?,
            };
            let header = &pages.header;
            if (header.kind, &*header.measurement, header.data_type)
                != (kind, measurement, data_type)
            {
                let expected = "the chunk that the index says";
                let found = format!("{} called {:?}", header.kind, header.measurement);
                return Err(ReadError::unsound(offset, expected, found));
            }
            Ok(pages)
        };
        let RowChunk { offset, statistics, is_aligned, columns } = chunk;
        let mut pages = match wanted.first() {
            Some(column) if !is_aligned => {
                open(offset, SeriesKind::Plain, &column.measurement, Some(column.data_type))?
            }
            _ => open(offset, SeriesKind::Time, "", None)?,
        };
        let open_column = |(column, wanted): (Option<(u64, Statistics)>, &Column)| {
            // A column without values may have a header alone, or nothing.
            let Some((offset, statistics)) = column.filter(|(_, it)| it.count > 0) else {
                return Ok(None);
            };
            let Column { measurement, data_type } = wanted;
            let pages = open(offset, SeriesKind::Value, measurement, Some(*data_type))?;
            Ok::<_, ReadError>(Some((pages, statistics)))
        };
        let columns: Result<Vec<_>, _> = columns.into_iter().zip(wanted).map(open_column).collect();
        let columns = columns?;
        let columns = is_aligned.then_some(columns);
        pages.pass_before(*times.start());
        let (last_time, left) = (None, None);
        Ok(Self { offset, statistics, pages, columns, body, last_time, is_part, left })
    }

    /// Gives memory back that is needed again when the next page is read: many chunks may be open.
    pub(crate) fn rest(&mut self) {
        self.pages.rest();
        for (pages, _) in self.columns.iter_mut().flatten().flatten() {
            pages.rest();
        }
        self.body = Vec::new();
    }

    /// The memory, for other chunks; what was learnt of a chunk of which others may want another part
    /// is kept.
    fn recycle<R>(self, file: &TsFile<R>, spare: &mut Vec<Vec<u8>>) {
        let columns = self.columns.into_iter().flatten().flatten().map(|(pages, _)| pages);
        for pages in columns.chain([self.pages]) {
            let offset = pages.header.offset;
            let is_new = self.is_part && !pages.header.is_single_page && pages.has_learnt();
            let (places, buffer) = pages.into_parts();
            spare.push(buffer);
            if is_new {
                file.recent.put(offset..offset, Found::Chunk(Arc::new(places)));
            }
        }
        spare.push(self.body);
    }

    /// The rows of the next page that has wanted ones; `false` behind the last page.
    pub(crate) fn next_into<R: ReadAt>(
        &mut self,
        file: &TsFile<R>,
        selection: &Selection,
        batch: &mut Batch,
    ) -> Result<bool, ReadError> {
        let (start, end) = selection.times.clone().into_inner();
        if let Some(left) = self.left.take() {
            self.give(file, selection, left, batch)?;
            return Ok(true);
        }
        while !self.pages.is_after(end)
            && let Some(mut page) = self.pages.next(&file.source)?
        {
            page.forget_texts();
            let known = self.statistics_of(&page);
            if known.is_some_and(|known| known.count > 0 && known.start_time > end) {
                // Times of pages ascend.
                return Ok(false);
            }
            let is_wanted = page.uncompressed_bytes > 0
                && known.is_none_or(|known| {
                    known.overlaps(start, end) && !selection.cuts.hide_all(self.offset, known)
                });
            let value_pages = self.value_pages(file, &page)?;
            if !is_wanted {
                continue;
            }
            let offset = page.offset;
            let ends =
                self.give(file, selection, LeftOfPage { page, value_pages, start }, batch)?;
            self.check_order(offset, ends)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// What is known of a page without its points.
    fn statistics_of<'p>(&'p self, page: &'p PageHeader) -> Option<&'p Statistics> {
        let is_single = self.pages.header.is_single_page;
        page.statistics.as_ref().or_else(|| is_single.then_some(&self.statistics))
    }

    /// What is left of the wanted rows of a page, or the first of them; the first and the last time that were
    /// decoded.
    fn give<R: ReadAt>(
        &mut self,
        file: &TsFile<R>,
        selection: &Selection,
        left: LeftOfPage,
        batch: &mut Batch,
    ) -> Result<Option<(i64, i64)>, ReadError> {
        let LeftOfPage { page, value_pages, start } = left;
        let wanted = start..=*selection.times.end();
        let known = self.statistics_of(&page).cloned();
        let given = self.decode(file, &page, known.as_ref(), &value_pages, &wanted, batch)?;
        let last = batch.times.last().filter(|_| !given.is_whole);
        let start = last.and_then(|last| last.checked_add(1));
        self.left = start.map(|start| LeftOfPage { page, value_pages, start });
        selection.cuts.apply(self.offset, batch);
        Ok(given.ends)
    }

    /// Times of pages ascend, and are those that the index says of the chunk: by them chunks were put
    /// in order.
    fn check_order(&mut self, offset: u64, ends: Option<(i64, i64)>) -> Result<(), ReadError> {
        let Some((first, last)) = ends else { return Ok(()) };
        if self.last_time.is_some_and(|before| before >= first) {
            return Err(ReadError::Unordered { offset, time: first });
        }
        self.last_time = Some(last);
        let Statistics { start_time, end_time, .. } = self.statistics;
        if first < start_time || last > end_time {
            let expected = "times that the index says of the chunk";
            let found = format!("{first} to {last} instead of {start_time} to {end_time}");
            return Err(ReadError::unsound(offset, expected, found));
        }
        Ok(())
    }

    /// The pages of the value chunks that belong to a time page.
    fn value_pages<R: ReadAt>(
        &mut self,
        file: &TsFile<R>,
        time_page: &PageHeader,
    ) -> Result<Vec<Option<PageHeader>>, ReadError> {
        let n_before = self.pages.n_passed().saturating_sub(1);
        let columns = self.columns.iter_mut().flatten().map(|column| {
            let Some((pages, _)) = column else { return Ok(None) };
            let mut page = pages.nth(&file.source, n_before)?;
            page.iter_mut().for_each(PageHeader::forget_texts);
            page.map(Some).ok_or_else(|| {
                let expected = "as many pages in a value chunk as in its time chunk";
                let found = format!("fewer in {:?}", pages.header.measurement);
                ReadError::unsound(time_page.offset, expected, found)
            })
        });
        columns.collect()
    }

    /// The wanted rows of a page, or the first of them.
    fn decode<R: ReadAt>(
        &mut self,
        file: &TsFile<R>,
        page: &PageHeader,
        statistics: Option<&Statistics>,
        value_pages: &[Option<PageHeader>],
        wanted: &RangeInclusive<i64>,
        batch: &mut Batch,
    ) -> Result<Given, ReadError> {
        let TsFile { source, version, limits, time_encoding, .. } = file;
        let (version, limits, time_encoding) = (*version, *limits, *time_encoding);
        let chunk = Arc::clone(&self.pages.header);
        let context = PageContext {
            version,
            limits,
            chunk: &chunk,
            page,
            statistics,
            time_encoding,
            rlbe: None,
        };
        let Some(columns) = &mut self.columns else {
            let all = |ends| Given { is_whole: true, ends };
            let Some(column) = batch.columns.first_mut() else { return Ok(all(None)) };
            let n_bytes = context.n_bytes_up_to(*wanted.end());
            let times = &mut batch.times;
            if let Some(n_bytes) = n_bytes {
                let body = self.pages.beginning(source, page, n_bytes, &mut self.body)?;
                if let Ok(ends) = context.decode_plain(body, wanted, times, column) {
                    return Ok(all(ends));
                }
            }
            let body = self.pages.body(source, page, &mut self.body)?;
            return context.decode_plain(body, wanted, times, column).map(all);
        };
        let body = self.pages.body(source, page, &mut self.body)?;
        let mut rows = context.decode_rows(body, wanted, &mut batch.times)?;
        // small pages may hold many rows of equal values
        let n_cells = rows.n_rows.saturating_mul(columns.len().max(1));
        if n_cells > limits.page_cells_max {
            let what = "rows times columns of a page";
            let (found, max) = (n_cells as u64, limits.page_cells_max as u64);
            return Err(ReadError::TooLarge { offset: page.offset, what, found, max });
        }
        // Every part is decoded from the beginning of the page on, so there must not be many.
        let n_rows_max = limits.batch_rows_max(columns.len()).max(rows.n_rows.div_ceil(PARTS_MAX));
        let is_whole = rows.wanted.len() <= n_rows_max;
        if !is_whole {
            batch.times.truncate(n_rows_max);
            rows.wanted.end = rows.wanted.start.saturating_add(n_rows_max);
        }
        let columns = columns.iter_mut().zip(value_pages).zip(&mut batch.columns);
        for ((opened, page), column) in columns {
            let (Some((pages, known)), Some(page)) = (opened, page) else {
                column.clear();
                column.presence.push_many(false, rows.wanted.len());
                continue;
            };
            let chunk = Arc::clone(&pages.header);
            let is_single = chunk.is_single_page;
            let statistics = page.statistics.as_ref().or_else(|| is_single.then_some(&*known));
            let context = PageContext {
                version,
                limits,
                chunk: &chunk,
                page,
                statistics,
                time_encoding,
                rlbe: None,
            };
            if page.uncompressed_bytes == 0 {
                context.decode_column(&[], rows.n_rows, rows.wanted.clone(), column)?;
                continue;
            }
            if let Some(n_bytes) = context.n_bytes_of(&rows) {
                let body = pages.beginning(source, page, n_bytes, &mut self.body)?;
                let wanted = rows.wanted.clone();
                if context.decode_column(body, rows.n_rows, wanted, column).is_ok() {
                    continue;
                }
            }
            let body = pages.body(source, page, &mut self.body)?;
            context.decode_column(body, rows.n_rows, rows.wanted.clone(), column)?;
        }
        Ok(Given { is_whole, ends: rows.ends })
    }
}
