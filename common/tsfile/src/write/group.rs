//! Rows of one series or aligned device on their way into pages and chunks.

use core::ops::Range;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;

use super::chunk::Chunk;
use super::error::WriteError;
use super::memory::DeviceMemory;
use super::options::SeriesSpec;
use super::options::WriteOptions;
use super::out::Out;
use super::packer::Packer;
use crate::Batch;
use crate::BatchColumn;
use crate::DeviceId;
use crate::Presence;
use crate::SeriesKind;
use crate::TsFileVersion;
use crate::Values;

/// What a group writes with.
#[derive(Debug)]
pub(crate) struct Tools<W> {
    pub(crate) out: Out<W>,
    pub(crate) packer: Packer,
    /// Devices that have chunks.
    pub(crate) devices: BTreeMap<DeviceId, DeviceMemory>,
}

/// The rows of what was begun last.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) device: DeviceId,
    version: TsFileVersion,
    /// Whether the header of a chunk group stands in the file, which further chunks may follow.
    pub(crate) has_header: bool,
    /// Of an aligned device.
    times: Option<Chunk>,
    columns: Vec<(SeriesSpec, Chunk)>,
    /// Rows that wait for their page to fill.
    pending: Batch,
    /// Rows in the pages of the chunks.
    chunk_rows: usize,
    /// Of the chunks that are being filled.
    partition: Option<i64>,
    last_time: Option<i64>,
    limits: PageLimits,
}

/// Limits for this shape of rows.
#[derive(Clone, Copy, Debug)]
struct PageLimits {
    page_rows: usize,
    /// Of the values of one column that have lengths of their own.
    page_bytes: usize,
    chunk_rows: usize,
    chunk_bytes: usize,
    /// Of the pages of all chunks.
    chunks_bytes: usize,
    /// Length of a time partition.
    partition: Option<i64>,
}

impl PageLimits {
    fn new(options: &WriteOptions, series: &[SeriesSpec]) -> Self {
        // Half of the memory is for rows that wait, half for pages.
        let half = options.group_bytes_max / 2;
        let widths = || series.iter().map(|it| it.data_type.fixed_bytes());
        let widest = widths().flatten().max().unwrap_or(1);
        let row_bytes = widths().map(|width| width.unwrap_or(SPAN_BYTES)).sum::<usize>();
        let row_bytes = row_bytes.saturating_add(size_of::<i64>());
        let rows = [
            options.page_rows_max,
            options.chunk_rows_max,
            options.page_bytes_max.checked_div(widest).unwrap_or(1),
            half.checked_div(row_bytes).unwrap_or(1),
        ];
        let n_texts = widths().filter(Option::is_none).count().max(1);
        let page_bytes = half.checked_div(n_texts).unwrap_or(half).min(options.page_bytes_max);
        Self {
            page_rows: rows.into_iter().min().unwrap_or(1).max(1),
            page_bytes,
            chunk_rows: options.chunk_rows_max,
            chunk_bytes: options.chunk_bytes_max,
            chunks_bytes: half,
            partition: options.time_partition.map(|it| i64::try_from(it.get()).unwrap_or(i64::MAX)),
        }
    }

    /// The partition of a time, if there are any.
    fn partition_of(&self, time: i64) -> Option<i64> {
        self.partition.and_then(|length| time.checked_div_euclid(length))
    }
}

/// What the place of a text takes besides the text.
const SPAN_BYTES: usize = 16;
/// Longest value. A page of them must stay below what our own reader takes.
const VALUE_BYTES_MAX: usize = 64 << 20;

impl Group {
    /// Of a series with times of its own, the last of which was `last_time`.
    pub(crate) fn plain(
        device: DeviceId,
        series: SeriesSpec,
        last_time: Option<i64>,
        options: &WriteOptions,
    ) -> Self {
        let kind = SeriesKind::Plain;
        Self::new(device, None, kind, vec![series], last_time, options)
    }

    /// Of an aligned device, whose last row was at `last_time`.
    pub(crate) fn aligned(
        device: DeviceId,
        columns: Vec<SeriesSpec>,
        last_time: Option<i64>,
        options: &WriteOptions,
    ) -> Self {
        let times = Some(Chunk::new(SeriesKind::Time, None));
        Self::new(device, times, SeriesKind::Value, columns, last_time, options)
    }

    fn new(
        device: DeviceId,
        times: Option<Chunk>,
        kind: SeriesKind,
        series: Vec<SeriesSpec>,
        last_time: Option<i64>,
        options: &WriteOptions,
    ) -> Self {
        let limits = PageLimits::new(options, &series);
        let pending = Batch::new(series.iter().map(|it| it.data_type));
        let chunk = |it: SeriesSpec| {
            let chunk = Chunk::new(kind, Some(it.data_type));
            (it, chunk)
        };
        Self {
            device,
            version: options.version,
            has_header: false,
            times,
            columns: series.into_iter().map(chunk).collect(),
            pending,
            chunk_rows: 0,
            partition: None,
            last_time,
            limits,
        }
    }

    /// Whether it is that of a series with times of its own of this device.
    pub(crate) fn is_plain_of(&self, device: &DeviceId) -> bool {
        self.times.is_none() && self.device == *device
    }

    /// Refuses a batch that is not of this shape, or whose times do not ascend.
    pub(crate) fn check(&self, batch: &Batch) -> Result<(), WriteError> {
        let refuse = |expected, want, found| Err(WriteError::Batch { expected, want, found });
        if batch.columns.len() != self.columns.len() {
            return refuse("columns", self.columns.len(), batch.columns.len());
        }
        for (column, (series, _)) in batch.columns.iter().zip(&self.columns) {
            let BatchColumn { data_type, values, presence } = column;
            if *data_type != series.data_type || !is_of(values, &Values::new(*data_type)) {
                return Err(WriteError::Columns {
                    device: self.device.path.clone(),
                    expected: "a column of its type",
                    found: format!("{data_type} for {}", series.measurement).into(),
                });
            }
            if presence.len() != batch.times.len() {
                return refuse("rows in a column", batch.times.len(), presence.len());
            }
            if presence.count() != values.len() {
                return refuse("values in a column", presence.count(), values.len());
            }
            if let Values::Bytes(values) = values
                && let Some(found) = values.iter().map(<[u8]>::len).max()
                && found > VALUE_BYTES_MAX
            {
                return Err(WriteError::Value { found, max: VALUE_BYTES_MAX });
            }
        }
        let ends = self.last_time.zip(batch.times.first().copied());
        let pairs = || batch.times.iter().copied().zip(batch.times.iter().skip(1).copied());
        // Looking at all pairs without a way out is what a compiler makes wide instructions of.
        let is_unordered = |unordered, (before, time)| unordered | (before >= time);
        if !ends.into_iter().chain(pairs()).fold(false, is_unordered) {
            return Ok(());
        }
        match ends.into_iter().chain(pairs()).find(|(before, time)| before >= time) {
            None => Ok(()),
            Some((before, time)) => {
                Err(WriteError::Unordered { series: self.name(), before, time })
            }
        }
    }

    fn name(&self) -> Box<str> {
        let device = &self.device;
        match (&self.times, self.columns.first()) {
            (None, Some((series, _))) => format!("{device}.{}", series.measurement).into(),
            _ => device.path.clone(),
        }
    }

    /// Takes the rows of a batch that was checked.
    pub(crate) fn take<W: Write>(
        &mut self,
        batch: &Batch,
        tools: &mut Tools<W>,
    ) -> Result<(), WriteError> {
        self.last_time = batch.times.last().copied().or(self.last_time);
        let batch = match self.times {
            None => without_nulls(batch),
            Some(_) => Cow::Borrowed(batch),
        };
        let mut row = 0usize;
        let mut next_values = vec![0usize; batch.columns.len()];
        while row < batch.len() {
            let left = batch.times.get(row..).unwrap_or_default();
            let partition = left.first().and_then(|time| self.limits.partition_of(*time));
            if partition != self.partition {
                self.close(tools)?;
                self.partition = partition;
            }
            let n_left = left.partition_point(|time| self.limits.partition_of(*time) <= partition);
            let n_rows = self.n_fitting(&batch, row..row.saturating_add(n_left), &next_values);
            let end = row.saturating_add(n_rows);
            if self.pending.times.is_empty() && n_rows == batch.len() && self.fills_page(n_rows) {
                return self.add_page(&batch, tools);
            }
            self.pending.times.extend_from_slice(batch.times.get(row..end).unwrap_or_default());
            let columns = self.pending.columns.iter_mut().zip(&batch.columns);
            for ((pending, column), next) in columns.zip(&mut next_values) {
                *next = pending.append(column, row..end, *next);
            }
            row = end;
            if self.fills_page(self.pending.len()) || row < batch.len() {
                self.close_page(tools)?;
            }
        }
        Ok(())
    }

    /// Whether a page of so many rows takes no more.
    fn fills_page(&self, n_rows: usize) -> bool {
        n_rows >= self.limits.page_rows
            || self.chunk_rows.saturating_add(n_rows) >= self.limits.chunk_rows
    }

    /// How many of these rows of `batch` the page has room for; one at least if it is empty.
    fn n_fitting(&self, batch: &Batch, rows: Range<usize>, next_values: &[usize]) -> usize {
        let PageLimits { page_rows, page_bytes, chunk_rows, .. } = self.limits;
        let n_pending = self.pending.len();
        let in_chunk = chunk_rows.saturating_sub(self.chunk_rows).saturating_sub(n_pending);
        let in_page = page_rows.saturating_sub(n_pending);
        let mut n_rows = rows.len().min(in_page).min(in_chunk);
        let columns = batch.columns.iter().zip(&self.pending.columns).zip(next_values);
        for ((column, pending), next) in columns {
            if let (Values::Bytes(values), Values::Bytes(pending)) =
                (&column.values, &pending.values)
            {
                let mut left = page_bytes.checked_sub(pending.total_bytes());
                let mut next = *next;
                let mut fits = |row: usize| {
                    if !column.presence.get(row) {
                        return true;
                    }
                    let bytes = values.get(next).map_or(0, <[u8]>::len);
                    next = next.saturating_add(1);
                    left = left.and_then(|left| left.checked_sub(bytes));
                    left.is_some()
                };
                n_rows = rows.clone().take(n_rows).take_while(|row| fits(*row)).count();
            }
        }
        n_rows.max(usize::from(n_pending == 0))
    }

    /// Closes the page that is being filled.
    fn close_page<W: Write>(&mut self, tools: &mut Tools<W>) -> Result<(), WriteError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut pending = core::mem::take(&mut self.pending);
        let added = self.add_page(&pending, tools);
        if added.is_ok() {
            pending.clear();
        }
        self.pending = pending;
        added
    }

    /// Makes a page of all rows of `batch`, and closes the chunks if they are large enough.
    fn add_page<W: Write>(
        &mut self,
        batch: &Batch,
        tools: &mut Tools<W>,
    ) -> Result<(), WriteError> {
        let Batch { times, columns } = batch;
        if let Some(chunk) = &mut self.times {
            tools.packer.times(times, chunk)?;
        }
        let is_plain = self.times.is_none();
        for ((series, chunk), column) in self.columns.iter_mut().zip(columns) {
            match is_plain {
                true => tools.packer.plain(times, series, &column.values, chunk)?,
                false => tools.packer.column(times, series, column, chunk)?,
            }
        }
        self.chunk_rows = self.chunk_rows.saturating_add(times.len());
        let is_full = self.chunk_rows >= self.limits.chunk_rows
            || self.may_have_many_bytes() && {
                self.settle(&mut tools.packer)?;
                self.may_have_many_bytes()
            };
        if is_full { self.close_chunks(tools) } else { Ok(()) }
    }

    /// Whether the chunks are to be closed for their bytes; sure if no page waits.
    fn may_have_many_bytes(&self) -> bool {
        let PageLimits { chunk_bytes, chunks_bytes, .. } = self.limits;
        let chunks = || self.times.iter().chain(self.columns.iter().map(|(_, chunk)| chunk));
        let longest = chunks().map(Chunk::pages_bytes_max).max().unwrap_or(0);
        let together = chunks().map(Chunk::pages_bytes_max).fold(0, usize::saturating_add);
        longest >= chunk_bytes || together >= chunks_bytes
    }

    /// Waits for all pages that are being compressed: where chunks end must not hang on who was
    /// faster.
    fn settle(&mut self, packer: &mut Packer) -> Result<(), WriteError> {
        let columns = self.columns.iter_mut().map(|(_, chunk)| chunk);
        self.times.iter_mut().chain(columns).try_for_each(|chunk| chunk.settle(packer))
    }

    /// Closes the page and the chunks that are being filled.
    pub(crate) fn close<W: Write>(&mut self, tools: &mut Tools<W>) -> Result<(), WriteError> {
        self.close_page(tools)?;
        if self.chunk_rows > 0 { self.close_chunks(tools) } else { Ok(()) }
    }

    fn close_chunks<W: Write>(&mut self, tools: &mut Tools<W>) -> Result<(), WriteError> {
        let Tools { out, packer, devices } = tools;
        // Time chunks get a group each: readers of one group would have to pair them by counting.
        if !self.has_header || self.times.is_some() {
            out.structure(|writer| {
                writer.u8(GROUP_MARKER);
                match &self.device.segments {
                    Some(segments) if self.version != TsFileVersion::V3 => segments.encode(writer),
                    _ => writer.vstr(Some(&self.device.path)),
                }
            })?;
            self.has_header = true;
        }
        if !devices.contains_key(&self.device) {
            devices.insert(self.device.clone(), DeviceMemory::default());
        }
        let Some(memory) = devices.get_mut(&self.device) else { return Ok(()) };
        let times = self.times.iter_mut().map(|chunk| (None, chunk));
        let columns = self.columns.iter_mut().map(|(series, chunk)| (Some(&*series), chunk));
        for (series, chunk) in times.chain(columns) {
            chunk.settle(packer)?;
            let offset = chunk.write(series, packer, out)?;
            memory.add(series, chunk.kind(), offset, chunk.statistics())?;
            chunk.clear();
        }
        self.chunk_rows = 0;
        Ok(())
    }
}

/// The marker before the header of a chunk group.
const GROUP_MARKER: u8 = 0;

fn is_of(values: &Values, kind: &Values) -> bool {
    core::mem::discriminant(values) == core::mem::discriminant(kind)
}

/// Rows of one column in which it is not null.
fn without_nulls(batch: &Batch) -> Cow<'_, Batch> {
    let Some(column) = batch.columns.first().filter(|it| !it.presence.is_all()) else {
        return Cow::Borrowed(batch);
    };
    let rows = batch.times.iter().zip(column.presence.iter());
    let times: Vec<i64> = rows.filter_map(|(time, is_there)| is_there.then_some(*time)).collect();
    let presence = Presence::all(times.len());
    let (data_type, values) = (column.data_type, column.values.clone());
    Cow::Owned(Batch { times, columns: vec![BatchColumn { data_type, values, presence }] })
}
