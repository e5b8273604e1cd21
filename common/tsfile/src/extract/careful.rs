//! Rows of a device of a file that may be damaged: what cannot be read is named and left out, page by page
//! and column by column, and everything else comes.
//!
//! Sound series are read as ever. Only where a page cannot be read, times are taken apart at the ends of
//! pages, and the page is told from the others by reading it alone.

use core::ops::RangeInclusive;
use std::collections::BTreeSet;
use std::collections::HashSet;
use std::collections::VecDeque;

use super::unread::Passes;
use super::unread::Unread;
use super::unread::UnreadPart;
use crate::Batch;
use crate::ChunkMetadata;
use crate::Cuts;
use crate::DeviceId;
use crate::Limits;
use crate::ReadAt;
use crate::ReadError;
use crate::Rows;
use crate::Selection;
use crate::SeriesMetadata;
use crate::TsFile;
use crate::read::chunk::Pages;
use crate::read::source::Window;

/// As [`Rows`], but for what is damaged.
#[derive(Debug)]
pub(super) struct CarefulRows<'f, R> {
    file: &'f TsFile<R>,
    device: Box<str>,
    whole: Columns,
    selection: Selection,
    passes: Passes,
    /// What is still to be read, in the order of times.
    parts: VecDeque<Part>,
    /// Those of the first part, once it was begun.
    rows: Option<Rows<'f, R>>,
    /// The first time that was not given; `None` behind the last of all times.
    next: Option<i64>,
    /// Pages that are named already: marker of the chunk and number of the page.
    named: HashSet<(u64, usize)>,
}

/// A series with times of its own, or the time column and some others of an aligned device.
#[derive(Clone, Debug)]
struct Columns {
    time: Option<SeriesMetadata>,
    series: Vec<SeriesMetadata>,
}

/// Some of the rows.
#[derive(Debug)]
struct Part {
    times: RangeInclusive<i64>,
    /// What of the columns is sound; `None` if nobody has looked.
    sound: Option<Columns>,
}

/// A page that rows may be in.
#[derive(Clone, Copy, Debug)]
struct Page {
    /// Marker of its chunk.
    chunk: u64,
    /// How many pages come before it.
    number: usize,
    offset: u64,
    start: i64,
    end: i64,
    n_points: u64,
    /// Whether its header cannot be read, so that it stands for all that follow in its chunk.
    is_rest: bool,
}

impl<'f, R: ReadAt> CarefulRows<'f, R> {
    /// # Arguments
    ///
    /// - `time`: the time column of an aligned device
    /// - `series`: its columns, or one series with times of its own
    pub(super) fn new(
        file: &'f TsFile<R>,
        device: &DeviceId,
        time: Option<SeriesMetadata>,
        series: Vec<SeriesMetadata>,
        selection: Selection,
        passes: Passes,
    ) -> Self {
        let times = selection.times.clone();
        Self {
            file,
            device: device.path.clone(),
            whole: Columns { time, series },
            next: Some(*times.start()),
            parts: VecDeque::from([Part { times, sound: None }]),
            selection,
            passes,
            rows: None,
            named: HashSet::new(),
        }
    }

    /// As [`Rows::next_into`]; what is left out is told to `unread`.
    ///
    /// # Errors
    /// Only those after which another try may find more.
    pub(super) fn next_into(
        &mut self,
        batch: &mut Batch,
        unread: &mut Unread,
    ) -> Result<bool, ReadError> {
        loop {
            let next = match &mut self.rows {
                Some(rows) => rows.next_into(batch),
                None => match self.begin() {
                    Ok(false) => {
                        batch.clear();
                        return Ok(false);
                    }
                    Ok(true) => continue,
                    Err(error) => Err(error),
                },
            };
            match next {
                Ok(true) => {
                    if let Some(last) = batch.times.last() {
                        self.next = last.checked_add(1);
                    }
                    return Ok(true);
                }
                Ok(false) => {
                    self.rows = None;
                    self.parts.pop_front();
                }
                Err(error) if !error.passes(self.passes) => return Err(error),
                Err(error) => {
                    self.rows = None;
                    self.isolate(&error, unread)?;
                }
            }
        }
    }

    /// Opens the rows of the first part; `false` if there is none.
    fn begin(&mut self) -> Result<bool, ReadError> {
        let Some(next) = self.next else { return Ok(false) };
        let Some(part) = self.parts.front_mut() else { return Ok(false) };
        let start = (*part.times.start()).max(next);
        part.times = start..=*part.times.end();
        let columns = part.sound.as_ref().unwrap_or(&self.whole);
        let selection = Selection { times: part.times.clone(), cuts: self.selection.cuts.clone() };
        self.rows = columns.rows(self.file, selection)?;
        Ok(self.rows.is_some())
    }

    /// Takes the first part, which cannot be read as it is, apart.
    fn isolate(&mut self, error: &ReadError, unread: &mut Unread) -> Result<(), ReadError> {
        let Some(Part { times, sound }) = self.parts.pop_front() else { return Ok(()) };
        let Some(next) = self.next.filter(|next| next <= times.end()) else { return Ok(()) };
        let times = (*times.start()).max(next)..=*times.end();
        if let Some(sound) = sound {
            // What is sound apart is not together; there is no other way to read it.
            self.name_all(&sound, &times, error, unread);
            return Ok(());
        }
        self.name_strays(error, unread);
        let pages = self.pages(&times)?;
        if let ReadError::Unordered { offset, .. } = error
            && let Some(page) = pages.iter().find(|page| page.offset == *offset)
            && page.end < next
        {
            // Rows behind it have been given, so there is no place for it any more.
            self.name_page(page, error, unread);
        }
        let slices = slices(&times, &pages);
        for (at, slice) in slices.iter().enumerate() {
            if self.probe(&self.whole, slice)?.is_none() {
                continue;
            }
            let sound = self.sound_of(slice, &pages, unread)?;
            if *slice.end() < *times.end() {
                let rest = slice.end().saturating_add(1)..=*times.end();
                self.parts.push_front(Part { times: rest, sound: None });
            }
            self.parts.push_front(Part { times: slice.clone(), sound: Some(sound) });
            if at > 0 {
                let before = *times.start()..=slice.start().saturating_sub(1);
                let sound = Some(self.whole.clone());
                self.parts.push_front(Part { times: before, sound });
            }
            return Ok(());
        }
        // Each by itself can be read.
        for times in slices.into_iter().rev() {
            self.parts.push_front(Part { times, sound: Some(self.whole.clone()) });
        }
        Ok(())
    }

    /// What of the columns can be read within a slice; the rest is named.
    fn sound_of(
        &mut self,
        slice: &RangeInclusive<i64>,
        pages: &[Page],
        unread: &mut Unread,
    ) -> Result<Columns, ReadError> {
        let mut sound = self.whole.clone();
        let mut anchors = self.whole.anchor().map_or(Vec::new(), |it| it.chunks.clone());
        anchors.sort_unstable_by_key(|chunk| chunk.offset);
        let ends: Vec<u64> =
            anchors.iter().skip(1).map(|next| next.offset).chain([u64::MAX]).collect();
        for (chunk, end) in anchors.iter().zip(ends) {
            if !chunk.statistics.overlaps(*slice.start(), *slice.end()) {
                continue;
            }
            let in_chunk = pages.iter().filter(|page| page.chunk == chunk.offset);
            let page =
                in_chunk.copied().find(|it| it.start <= *slice.end() && it.end >= *slice.start());
            let page = page.unwrap_or_else(|| Page::of_chunk(chunk));
            let own = chunk.offset..end;
            let alone = self.whole.of_chunks(&own);
            let time_alone = Columns { series: Vec::new(), ..alone.clone() };
            let anchor = if alone.time.is_some() { &time_alone } else { &alone };
            if let Some(error) = self.probe(anchor, slice)? {
                self.name_page(&page, &error, unread);
                sound.drop_chunks(&own);
                continue;
            }
            if alone.time.is_none() {
                continue;
            }
            for at in 0..self.whole.series.len() {
                let Some(column) = alone.series.get(at) else { continue };
                let one = Columns { time: alone.time.clone(), series: vec![column.clone()] };
                if let Some(error) = self.probe(&one, slice)? {
                    self.name_column(column, &page, &error, unread);
                    if let Some(column) = sound.series.get_mut(at) {
                        column.chunks.retain(|it| !own.contains(&it.offset));
                    }
                }
            }
        }
        Ok(sound)
    }

    /// Why rows cannot be read, if they cannot.
    fn probe(
        &self,
        columns: &Columns,
        times: &RangeInclusive<i64>,
    ) -> Result<Option<ReadError>, ReadError> {
        let cuts = &self.selection.cuts;
        let own = columns.series.iter().map(|column| {
            let at = self.whole.series.iter().position(|it| it.measurement == column.measurement);
            at.and_then(|at| cuts.columns.get(at)).cloned().unwrap_or_default()
        });
        let cuts = Cuts { rows: cuts.rows.clone(), columns: own.collect() };
        let selection = Selection { times: times.clone(), cuts };
        let read = columns.rows(self.file, selection).and_then(|rows| {
            let mut batch = Batch::default();
            let Some(mut rows) = rows else { return Ok(()) };
            while rows.next_into(&mut batch)? {}
            Ok(())
        });
        match read {
            Ok(()) => Ok(None),
            Err(error) if error.passes(self.passes) => Ok(Some(error)),
            Err(error) => Err(error),
        }
    }

    /// Pages that rows with these times may be in, as far as their headers can be read: a page whose header
    /// cannot stands for all that follow in its chunk.
    fn pages(&self, times: &RangeInclusive<i64>) -> Result<Vec<Page>, ReadError> {
        let mut found = Vec::new();
        for chunk in self.whole.anchor().map_or(&[][..], |it| &it.chunks) {
            let statistics = &chunk.statistics;
            if statistics.overlaps(*times.start(), *times.end()) {
                found.extend(self.pages_of(chunk)?);
            }
        }
        Ok(found)
    }

    fn pages_of(&self, chunk: &ChunkMetadata) -> Result<Vec<Page>, ReadError> {
        let mut found: Vec<Page> = Vec::new();
        let mut rest = Page::of_chunk(chunk);
        match self.walk(chunk.offset, &mut found, &mut rest) {
            Ok(()) => Ok(found),
            Err(error) if error.passes(self.passes) => {
                rest.is_rest = true;
                found.extend((rest.start <= rest.end).then_some(rest));
                Ok(found)
            }
            Err(error) => Err(error),
        }
    }

    /// Walks over the headers of the pages of a chunk; `rest` is what is left behind the last one.
    fn walk(&self, chunk: u64, found: &mut Vec<Page>, rest: &mut Page) -> Result<(), ReadError> {
        let TsFile { source, limits, .. } = self.file;
        let (end, limits): (_, Limits) = (self.file.data_end(), *limits);
        let mut pages = Pages::open(source, chunk, end, Window::one_of(1), limits)?;
        while let Some(header) = pages.next(source)? {
            rest.offset = header.offset;
            let page = match &header.statistics {
                Some(it) => Page {
                    start: it.start_time,
                    end: it.end_time,
                    n_points: it.count.into(),
                    ..*rest
                },
                // The only one of its chunk, or one without points.
                None => Page { n_points: rest.n_points, ..*rest },
            };
            rest.number = rest.number.saturating_add(1);
            if header.statistics.is_some() {
                rest.n_points = rest.n_points.saturating_sub(page.n_points);
                rest.start = rest.start.max(page.end.saturating_add(1));
            }
            if header.uncompressed_bytes > 0 && page.start <= page.end {
                found.push(page);
            }
        }
        Ok(())
    }

    /// A page of the times, and so of all columns, cannot be read.
    fn name_page(&mut self, page: &Page, error: &ReadError, unread: &mut Unread) {
        if self.whole.time.is_none() {
            let measurement = self.whole.series.first().map(|it| it.measurement.clone());
            return self.name(page, measurement, error, unread);
        }
        let chunks = self.whole.time.iter().flat_map(|it| &it.chunks);
        let end = chunks.map(|it| it.offset).filter(|it| *it > page.chunk).min();
        let own = page.chunk..end.unwrap_or(u64::MAX);
        let columns = self.whole.of_chunks(&own).series;
        let mut is_any = false;
        for column in columns.iter().filter(|it| !it.chunks.is_empty()) {
            is_any = true;
            self.name_column(column, page, error, unread);
        }
        if !is_any {
            self.name(page, None, error, unread);
        }
    }

    /// The same of one column. How many points it has there is what its own page says.
    fn name_column(
        &mut self,
        column: &SeriesMetadata,
        page: &Page,
        error: &ReadError,
        unread: &mut Unread,
    ) {
        for chunk in &column.chunks {
            let pages = self.pages_of(chunk).unwrap_or_else(|_| vec![Page::of_chunk(chunk)]);
            let is_in = |own: &&Page| match page.is_rest {
                true => own.number >= page.number || own.is_rest,
                false => own.number == page.number || own.is_rest && own.number < page.number,
            };
            for own in pages.iter().filter(is_in) {
                self.name(own, Some(column.measurement.clone()), error, unread);
            }
        }
    }

    fn name(
        &mut self,
        page: &Page,
        measurement: Option<Box<str>>,
        error: &ReadError,
        unread: &mut Unread,
    ) {
        if page.n_points == 0 || !self.named.insert((page.chunk, page.number)) {
            return;
        }
        let wanted = &self.selection.times;
        let times = (page.start.max(*wanted.start()), page.end.min(*wanted.end()));
        unread.push(UnreadPart {
            device: Some(self.device.clone()),
            measurement,
            times: Some(times),
            n_points: Some(page.n_points),
            why: error.to_string(),
        });
    }

    /// Names all columns within some times.
    fn name_all(
        &mut self,
        columns: &Columns,
        times: &RangeInclusive<i64>,
        error: &ReadError,
        unread: &mut Unread,
    ) {
        for column in &columns.series {
            let overlapping = column
                .chunks
                .iter()
                .filter(|chunk| chunk.statistics.overlaps(*times.start(), *times.end()));
            for chunk in overlapping {
                let (start, end) = times.clone().into_inner();
                let page = Page { start, end, number: usize::MAX, ..Page::of_chunk(chunk) };
                self.name(&page, Some(column.measurement.clone()), error, unread);
            }
        }
    }

    /// Chunks of columns that stand before all chunks of times belong to no rows.
    fn name_strays(&mut self, error: &ReadError, unread: &mut Unread) {
        let Some(time) = &self.whole.time else { return };
        let first = time.chunks.iter().map(|chunk| chunk.offset).min().unwrap_or(u64::MAX);
        let mut strays = Vec::new();
        for column in &mut self.whole.series {
            let own = column.chunks.iter().filter(|chunk| chunk.offset < first);
            strays.extend(own.map(|chunk| (column.measurement.clone(), Page::of_chunk(chunk))));
            column.chunks.retain(|chunk| chunk.offset >= first);
        }
        for (measurement, page) in strays {
            self.name(&page, Some(measurement), error, unread);
        }
    }
}

impl Columns {
    fn rows<'f, R: ReadAt>(
        &self,
        file: &'f TsFile<R>,
        selection: Selection,
    ) -> Result<Option<Rows<'f, R>>, ReadError> {
        let rows = match (&self.time, self.series.first()) {
            (Some(time), _) => file.aligned_rows(time, &self.series, selection),
            (None, Some(one)) => file.rows(one, selection),
            (None, None) => return Ok(None),
        };
        rows.map(Some)
    }

    /// What has the times.
    fn anchor(&self) -> Option<&SeriesMetadata> {
        self.time.as_ref().or_else(|| self.series.first())
    }

    /// Only chunks that stand within these offsets.
    fn of_chunks(&self, own: &core::ops::Range<u64>) -> Self {
        let mut found = self.clone();
        for one in found.time.iter_mut().chain(&mut found.series) {
            one.chunks.retain(|chunk| own.contains(&chunk.offset));
        }
        found
    }

    fn drop_chunks(&mut self, own: &core::ops::Range<u64>) {
        for one in self.time.iter_mut().chain(&mut self.series) {
            one.chunks.retain(|chunk| !own.contains(&chunk.offset));
        }
    }
}

impl Page {
    /// All of a chunk.
    fn of_chunk(chunk: &ChunkMetadata) -> Self {
        let statistics = &chunk.statistics;
        Self {
            chunk: chunk.offset,
            number: 0,
            offset: chunk.offset,
            start: statistics.start_time,
            end: statistics.end_time,
            n_points: statistics.count.into(),
            is_rest: false,
        }
    }
}

/// Times in slices, of which each page has either all or nothing.
fn slices(times: &RangeInclusive<i64>, pages: &[Page]) -> Vec<RangeInclusive<i64>> {
    let (start, end) = times.clone().into_inner();
    let mut begins = BTreeSet::from([start]);
    for page in pages {
        begins.insert(page.start);
        begins.extend(page.end.checked_add(1));
    }
    let begins: Vec<i64> = begins.into_iter().filter(|it| times.contains(it)).collect();
    let ends = begins.iter().skip(1).map(|next| next.saturating_sub(1)).chain([end]);
    begins.iter().zip(ends).map(|(begin, end)| *begin..=end).collect()
}
