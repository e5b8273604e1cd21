//! Rows of a device of a file that may be damaged: what cannot be read is named and left out, page by page
//! and column by column, and everything else comes.
//!
//! Sound series are read as ever. Only where a page cannot be read, times are taken apart at the ends of
//! pages, and the page is told from the others by reading it alone. What gives fewer points than the index says,
//! without an error, is found out at the end.

use core::ops::Range;
use core::ops::RangeInclusive;
use std::collections::BTreeSet;
use std::collections::HashMap;
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
use crate::Statistics;
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
    /// How many points of a chunk are, by its marker.
    n_named: HashMap<u64, u64>,
    /// How many points of each column were given.
    n_given: Vec<u64>,
    is_counted: bool,
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
        let n_given = vec![0; series.len()];
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
            n_named: HashMap::new(),
            n_given,
            is_counted: false,
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
                        self.name_lacking(unread)?;
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
                    for (n_given, column) in self.n_given.iter_mut().zip(&batch.columns) {
                        *n_given = n_given.saturating_add(column.presence.count() as u64);
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
            self.read_apart(slices.get(..at).unwrap_or_default());
            return Ok(());
        }
        self.read_apart(&slices);
        Ok(())
    }

    /// Each of these slices can be read by itself.
    fn read_apart(&mut self, slices: &[RangeInclusive<i64>]) {
        for times in slices.iter().rev() {
            let (times, sound) = (times.clone(), Some(self.whole.clone()));
            self.parts.push_front(Part { times, sound });
        }
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
        let n_named = self.n_named.entry(page.chunk).or_default();
        *n_named = n_named.saturating_add(page.n_points);
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

    /// Names what is neither given nor named, though the index says that it is there: a header that makes a
    /// chunk end early looks like a sound one.
    fn name_lacking(&mut self, unread: &mut Unread) -> Result<(), ReadError> {
        if core::mem::replace(&mut self.is_counted, true) {
            return Ok(());
        }
        let lacking = self.lacking();
        let lacking = lacking.inspect_err(|_| self.is_counted = false)?;
        for (measurement, page, error) in lacking {
            self.name(&page, Some(measurement), &error, unread);
        }
        Ok(())
    }

    fn lacking(&self) -> Result<Vec<(Box<str>, Page, ReadError)>, ReadError> {
        let mut lacking = Vec::new();
        let mut anchors = self.whole.anchor().map_or(Vec::new(), |it| it.chunks.clone());
        anchors.sort_unstable_by_key(|chunk| chunk.statistics.start_time);
        let is_whole = |chunk: &ChunkMetadata| {
            let Cuts { rows, columns } = &self.selection.cuts;
            let times = &self.selection.times;
            let (start, end) = (chunk.statistics.start_time, chunk.statistics.end_time);
            let is_cut = !rows.is_empty() || columns.iter().any(|cuts| !cuts.is_empty());
            !is_cut && times.contains(&start) && times.contains(&end)
        };
        let (first, last) = self.selection.times.clone().into_inner();
        anchors.retain(|chunk| chunk.statistics.overlaps(first, last));
        let is_apart = anchors.windows(2).all(|pair| match pair {
            [one, next] => one.statistics.end_time < next.statistics.start_time,
            _ => true,
        });
        let is_counted = is_apart && anchors.iter().all(is_whole);
        let mut ends: Vec<u64> = anchors.iter().map(|chunk| chunk.offset).collect();
        ends.sort_unstable();
        for (column, n_given) in self.whole.series.iter().zip(&self.n_given) {
            let own = column.chunks.iter();
            let own = own.filter(|chunk| chunk.statistics.overlaps(first, last));
            let own: Vec<&ChunkMetadata> = own.collect();
            let expected: u64 = own.iter().map(|chunk| u64::from(chunk.statistics.count)).sum();
            let n_named = |chunk: &ChunkMetadata| self.n_named.get(&chunk.offset).copied();
            let named: u64 = own.iter().filter_map(|chunk| n_named(chunk)).sum();
            if is_counted && n_given.saturating_add(named) >= expected {
                continue;
            }
            for chunk in own {
                if self.selection.cuts.hide_all(chunk.offset, &chunk.statistics) {
                    continue; // nobody has looked for what is deleted
                }
                let count = u64::from(chunk.statistics.count);
                let n_found = match is_counted {
                    true => self.n_points_of(column, chunk, &ends)?,
                    false => self.n_points_by_headers(chunk)?,
                };
                let known = n_found.saturating_add(n_named(chunk).unwrap_or_default());
                let n_points = count.saturating_sub(known);
                let page = Page { n_points, number: usize::MAX, ..Page::of_chunk(chunk) };
                let expected = "as many points of a chunk as the index says";
                let error =
                    ReadError::unsound(chunk.offset, expected, format!("{n_found} of {count}"));
                lacking.push((column.measurement.clone(), page, error));
            }
        }
        Ok(lacking)
    }

    /// How many points a chunk has by the headers of its pages; none, if their times cannot be those that the
    /// index says, and pages may have been passed over.
    fn n_points_by_headers(&self, chunk: &ChunkMetadata) -> Result<u64, ReadError> {
        let pages = self.pages_of(chunk)?;
        let times = self.whole.time.iter().flat_map(|time| &time.chunks);
        let times = times.filter(|it| it.offset < chunk.offset).max_by_key(|it| it.offset);
        let of_times = times.map(|times| self.pages_of(times)).transpose()?;
        let of_times = of_times.as_deref().unwrap_or(&pages);
        let Statistics { start_time, end_time, .. } = times.unwrap_or(chunk).statistics;
        let (Some(first), Some(last)) = (of_times.first(), of_times.last()) else { return Ok(0) };
        // One whose last time is before its first is not among them.
        let is_next = |pair: &[Page]| match pair {
            [one, next] => one.end < next.start && one.number.saturating_add(1) == next.number,
            _ => true,
        };
        let is_sound = (first.number, first.start) == (0, start_time)
            && (last.end == end_time || last.is_rest)
            && of_times.windows(2).all(is_next);
        if !is_sound {
            return Ok(0);
        }
        // If the times of a page that was passed over are wrong, it is one next to those that are wanted.
        let (wanted_first, wanted_last) = self.selection.times.clone().into_inner();
        let before = of_times.iter().rfind(|page| page.end < wanted_first);
        let behind = of_times.iter().find(|page| page.start > wanted_last);
        let anchor = match &self.whole.time {
            Some(_) => Columns { time: self.whole.time.clone(), series: Vec::new() },
            None => self.whole.clone(),
        };
        for page in before.into_iter().chain(behind) {
            let error = self.probe(&anchor, &(page.start..=page.end))?;
            if matches!(error, Some(ReadError::Unsound { .. })) {
                return Ok(0);
            }
        }
        let own = pages.iter().filter(|page| last.is_rest || page.number <= last.number);
        Ok(own.map(|page| page.n_points).fold(0, u64::saturating_add))
    }

    /// How many points of a chunk can be read if nothing else is.
    ///
    /// # Arguments
    ///
    /// - `anchors`: markers of the chunks that have the times, in order
    fn n_points_of(
        &self,
        column: &SeriesMetadata,
        chunk: &ChunkMetadata,
        anchors: &[u64],
    ) -> Result<u64, ReadError> {
        let behind = anchors.partition_point(|offset| *offset <= chunk.offset);
        let start = behind.checked_sub(1).and_then(|at| anchors.get(at)).copied();
        let own = start.unwrap_or(chunk.offset)..anchors.get(behind).copied().unwrap_or(u64::MAX);
        let one = Columns { time: self.whole.time.clone(), series: vec![column.clone()] };
        let rows = one.of_chunks(&own).rows(self.file, Selection::default());
        let mut n_points = 0u64;
        let read = rows.and_then(|rows| {
            let Some(mut rows) = rows else { return Ok(()) };
            let mut batch = Batch::default();
            while rows.next_into(&mut batch)? {
                n_points = n_points.saturating_add(batch.n_points() as u64);
            }
            Ok(())
        });
        match read {
            Err(error) if !error.passes(self.passes) => Err(error),
            // What comes behind is named as far as it is.
            Ok(()) | Err(_) => Ok(n_points),
        }
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
    fn of_chunks(&self, own: &Range<u64>) -> Self {
        let mut found = self.clone();
        for one in found.time.iter_mut().chain(&mut found.series) {
            one.chunks.retain(|chunk| own.contains(&chunk.offset));
        }
        found
    }

    fn drop_chunks(&mut self, own: &Range<u64>) {
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
