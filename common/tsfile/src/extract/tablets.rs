//! The wanted points of a file as tablets: device by device, in the order of time, none larger than
//! a frame may be.

use core::fmt;
use std::collections::VecDeque;

use tidegate_model::Category;
use tidegate_model::Column;
use tidegate_model::DataType;
use tidegate_model::Tablet;
use tidegate_model::Value;

use super::WantedSeries;
use super::careful::CarefulRows;
use super::share::Wanted;
use super::unread::Passes;
use super::unread::Unread;
use crate::Batch;
use crate::Cuts;
use crate::Device;
use crate::DeviceId;
use crate::Devices;
use crate::ModEntry;
use crate::ReadAt;
use crate::ReadError;
use crate::Selection;
use crate::SeriesMetadata;
use crate::TsFile;

/// What is asked of [`Tablets`].
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs)] // built by the caller
pub struct TabletOrder {
    /// Which points.
    pub wanted: Wanted,
    /// What was deleted of the file: the entries of its mods file.
    pub deleted: Vec<ModEntry>,
    /// Database of a file of the table model; `None` in the tree model.
    pub database: Option<String>,
    /// Most bytes of a tablet in any form on the wire.
    pub bytes_max: usize,
    /// Most rows of a tablet.
    pub rows_max: usize,
    /// Types that the peer knows; series of others are left out, and counted.
    pub knows: fn(DataType) -> bool,
    /// Whether bytes that cannot be fetched are left out as damaged ones are; else they are an error.
    pub passes_io_errors: bool,
}

impl TabletOrder {
    fn passes(&self) -> Passes {
        Passes { io_errors: self.passes_io_errors, too_large: true }
    }
}

/// The points of a file that are wanted, as tablets.
///
/// What is damaged is left out, page by page and column by column, and named by [`unread`](Self::unread).
///
/// Memory taken: the pages being read, one for each column of a group, and a tablet or two.
#[derive(Debug)]
pub struct Tablets<'f, R> {
    file: &'f TsFile<R>,
    order: TabletOrder,
    devices: Devices<'f, R>,
    /// Groups of columns of the device under way.
    groups: VecDeque<Group>,
    current: Option<Filling<'f, R>>,
    ready: VecDeque<Tablet>,
    n_unknown: u32,
    unread: Unread,
}

/// Columns of one device that go into the same tablets.
#[derive(Debug)]
struct Group {
    device: DeviceId,
    /// The time column of an aligned device.
    time: Option<SeriesMetadata>,
    series: Vec<SeriesMetadata>,
    /// Whether rows without a value are rows all the same.
    keeps_empty_rows: bool,
}

/// Columns of one tablet; beyond these a device's columns go into several. Each may have a page and
/// half a megabyte of the file in memory.
const COLUMNS_MAX: usize = 64;
/// What a tablet has around its columns, and a column around its values, at most.
const TABLET_BYTES: usize = 64;
const COLUMN_BYTES: usize = 48;
/// Around one text, and around one row.
const TEXT_BYTES: usize = 5;
const ROW_BYTES: usize = 8;

impl<'f, R: ReadAt> Tablets<'f, R> {
    /// Of this file.
    pub fn new(file: &'f TsFile<R>, order: TabletOrder) -> Self {
        Self {
            file,
            devices: file.devices(),
            order,
            groups: VecDeque::new(),
            current: None,
            ready: VecDeque::new(),
            n_unknown: 0,
            unread: Unread::default(),
        }
    }

    /// Series with wanted points so far that were left out since the peer does not know their type.
    pub fn n_unknown(&self) -> u32 {
        self.n_unknown
    }

    /// What could not be read so far.
    pub fn unread(&self) -> &Unread {
        &self.unread
    }

    /// The next tablet; `None` behind the last one.
    ///
    /// # Errors
    /// [`TabletError::Read`] only where another try may find more.
    pub fn next_tablet(&mut self) -> Result<Option<Tablet>, TabletError> {
        loop {
            if let Some(tablet) = self.ready.pop_front() {
                return Ok(Some(tablet));
            }
            if let Some(filling) = &mut self.current {
                if !filling.fill(&self.order, &mut self.ready, &mut self.unread)? {
                    self.current = None;
                }
            } else if let Some(group) = self.groups.pop_front() {
                self.current = Filling::new(self.file, group, &self.order, &mut self.unread)?;
            } else {
                let passes = self.order.passes();
                let begun = match self.devices.next() {
                    Some(Ok(device)) => (self.begin(&device), Some(device)),
                    Some(Err(error)) => (Err(error), None),
                    None => return Ok(None),
                };
                match begun {
                    (Err(error), device) if error.passes(passes) => {
                        self.unread.push_device(device.as_ref().map(Device::id), &error);
                    }
                    (begun, _) => begun?,
                }
            }
        }
    }

    /// Sorts the wanted series of a device into groups.
    fn begin(&mut self, device: &Device) -> Result<(), ReadError> {
        let TabletOrder { wanted, database, bytes_max, knows, .. } = &self.order;
        let is_table = database.is_some();
        let found = WantedSeries::of(self.file, device, wanted, is_table, *knows)?;
        let Some(found) = found else { return Ok(()) };
        self.n_unknown = self.n_unknown.saturating_add(found.n_unknown);
        let has_rows = found.has_rows(wanted);
        let WantedSeries { time, series, .. } = found;
        let names_bytes_max = bytes_max / 4;
        let mut names_bytes = 0usize;
        let mut series_of_group = Vec::new();
        let group = |series: &mut Vec<_>, is_first| Group {
            device: device.id().clone(),
            time: time.clone(),
            series: core::mem::take(series),
            keeps_empty_rows: is_table && is_first,
        };
        let mut is_first = true;
        for series in series {
            let name_bytes = series.measurement.len().saturating_add(COLUMN_BYTES);
            let is_full = series_of_group.len() == COLUMNS_MAX
                || names_bytes.saturating_add(name_bytes) > names_bytes_max;
            if is_full && !series_of_group.is_empty() {
                self.groups.push_back(group(&mut series_of_group, is_first));
                (names_bytes, is_first) = (0, false);
            }
            names_bytes = names_bytes.saturating_add(name_bytes);
            series_of_group.push(series);
        }
        if !series_of_group.is_empty() || is_first && is_table && has_rows {
            self.groups.push_back(group(&mut series_of_group, is_first));
        }
        Ok(())
    }
}

/// Rows on their way into tablets.
#[derive(Debug)]
struct Filling<'f, R> {
    device: DeviceId,
    is_aligned: bool,
    keeps_empty_rows: bool,
    /// Tags of a table's device.
    tags: Vec<Column>,
    columns: Vec<(Box<str>, DataType)>,
    cursors: Vec<Cursor<'f, R>>,
}

/// Rows of one series, or of some columns of an aligned device.
#[derive(Debug)]
struct Cursor<'f, R> {
    rows: CarefulRows<'f, R>,
    batch: Batch,
    at: usize,
    /// Of each column, where in its values the next one stands.
    next_values: Vec<usize>,
}

impl<'f, R: ReadAt> Filling<'f, R> {
    /// `None` if nobody can say whose rows they are.
    fn new(
        file: &'f TsFile<R>,
        group: Group,
        order: &TabletOrder,
        unread: &mut Unread,
    ) -> Result<Option<Self>, ReadError> {
        let Group { device, time, series, keeps_empty_rows } = group;
        let tags = order.database.as_ref().map_or(Ok(Vec::new()), |_| tags_of(file, &device));
        let tags = match tags {
            Ok(tags) => tags,
            Err(error) if error.passes(order.passes()) => {
                unread.push_device(Some(&device), &error);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let cursor = |time: Option<SeriesMetadata>, series: Vec<SeriesMetadata>| {
            let names: Vec<&str> = series.iter().map(|it| &*it.measurement).collect();
            let cuts = Cuts::of(&order.deleted, &device, &names);
            let selection = Selection { times: order.wanted.times.clone(), cuts };
            let passes = order.passes();
            Cursor::new(CarefulRows::new(file, &device, time, series, selection, passes))
        };
        let is_aligned = time.is_some();
        let cursors = match time {
            Some(time) => vec![cursor(Some(time), series.clone())],
            None => series.iter().map(|one| cursor(None, vec![one.clone()])).collect(),
        };
        let columns =
            series.into_iter().filter_map(|one| Some((one.measurement, one.data_type?))).collect();
        Ok(Some(Self { device, is_aligned, keeps_empty_rows, tags, columns, cursors }))
    }

    /// Puts the next tablet behind those that are ready, if there is one; `false` behind the last row.
    fn fill(
        &mut self,
        order: &TabletOrder,
        ready: &mut VecDeque<Tablet>,
        unread: &mut Unread,
    ) -> Result<bool, TabletError> {
        let fixed_bytes = self.fixed_bytes(order);
        let mut bytes = fixed_bytes;
        let mut times = Vec::new();
        let mut columns: Vec<Vec<Option<Value>>> = vec![Vec::new(); self.columns.len()];
        let mut row = Vec::with_capacity(self.columns.len());
        let row_fixed = self.row_bytes();
        while let Some(time) = self.next_time(unread)? {
            let texts = self.texts_bytes(time);
            let row_bytes = row_fixed.saturating_add(texts);
            let would_be = bytes.saturating_add(row_bytes);
            if !times.is_empty() && (would_be > order.bytes_max || times.len() >= order.rows_max) {
                break;
            }
            self.take_row(time, &mut row);
            if row.iter().all(Option::is_none) && !self.keeps_empty_rows {
                continue;
            }
            if would_be > order.bytes_max {
                self.spread(time, &mut row, order, ready)?;
                return Ok(true);
            }
            bytes = would_be;
            times.push(time);
            for (column, cell) in columns.iter_mut().zip(row.drain(..)) {
                column.push(cell);
            }
        }
        if times.is_empty() {
            return Ok(false);
        }
        ready.push_back(self.tablet(order, times, columns));
        Ok(true)
    }

    /// A row that is too large for one tablet, in several.
    fn spread(
        &self,
        time: i64,
        row: &mut Vec<Option<Value>>,
        order: &TabletOrder,
        ready: &mut VecDeque<Tablet>,
    ) -> Result<(), TabletError> {
        let fixed = self.fixed_bytes(order).saturating_add(self.row_bytes());
        let mut part = vec![Vec::from([None]); row.len()];
        let mut bytes = fixed;
        let mut is_any = false;
        for (at, cell) in row.drain(..).enumerate() {
            let cell_bytes = cell.as_ref().map_or(0, text_bytes);
            if fixed.saturating_add(cell_bytes) > order.bytes_max {
                let measurement = self.columns.get(at).map_or("", |(name, _)| name);
                return Err(TabletError::TooLarge {
                    series: format!("{}.{measurement}", self.device),
                    time,
                    bytes: cell_bytes,
                    max: order.bytes_max,
                });
            }
            if is_any && bytes.saturating_add(cell_bytes) > order.bytes_max {
                let full =
                    core::mem::replace(&mut part, vec![Vec::from([None]); self.columns.len()]);
                ready.push_back(self.tablet(order, vec![time], full));
                bytes = fixed;
            }
            bytes = bytes.saturating_add(cell_bytes);
            is_any |= cell.is_some();
            if let Some(place) = part.get_mut(at) {
                *place = vec![cell];
            }
        }
        ready.push_back(self.tablet(order, vec![time], part));
        Ok(())
    }

    fn tablet(
        &self,
        order: &TabletOrder,
        times: Vec<i64>,
        cells: Vec<Vec<Option<Value>>>,
    ) -> Tablet {
        let fields = self.columns.iter().zip(cells).map(|((name, data_type), values)| Column {
            name: name.to_string(),
            data_type: *data_type,
            encoding: 0,
            compressor: 0,
            category: Category::Field,
            values,
        });
        let mut fields: Vec<Column> = fields.collect();
        if fields.iter().any(has_values) {
            // A column without a value would only make a series at the far side.
            fields.retain(has_values);
        }
        let tags = self.tags.iter().map(|tag| {
            let value = tag.values.first().cloned().flatten();
            Column { values: vec![value; times.len()], ..tag.clone() }
        });
        let columns = tags.chain(fields).collect();
        let device = match (&order.database, &self.device.segments) {
            (Some(_), Some(segments)) => segments.0.first().cloned().flatten().unwrap_or_default(),
            _ => self.device.path.clone(),
        };
        Tablet {
            database: order.database.clone(),
            device: device.into(),
            aligned: self.is_aligned,
            times,
            columns,
        }
    }

    /// The earliest time that is next in any cursor.
    fn next_time(&mut self, unread: &mut Unread) -> Result<Option<i64>, ReadError> {
        let mut earliest: Option<i64> = None;
        for cursor in &mut self.cursors {
            if let Some(time) = cursor.time(unread)? {
                earliest = Some(earliest.map_or(time, |it| it.min(time)));
            }
        }
        Ok(earliest)
    }

    /// Takes the row of that time out of the cursors that have it.
    fn take_row(&mut self, time: i64, row: &mut Vec<Option<Value>>) {
        row.clear();
        for cursor in &mut self.cursors {
            cursor.take(time, row);
        }
    }

    /// Bytes of the texts in the row of that time.
    fn texts_bytes(&self, time: i64) -> usize {
        self.cursors.iter().map(|cursor| cursor.texts_bytes(time)).fold(0, usize::saturating_add)
    }

    fn fixed_bytes(&self, order: &TabletOrder) -> usize {
        let names = self.columns.iter().map(|(name, _)| name.len());
        let tags = self.tags.iter().map(|tag| tag.name.len());
        let all = names.chain(tags).map(|bytes| bytes.saturating_add(COLUMN_BYTES));
        let database = order.database.as_ref().map_or(0, String::len);
        let around = TABLET_BYTES.saturating_add(self.device.path.len()).saturating_add(database);
        all.fold(around, usize::saturating_add)
    }

    /// Bytes of a row but for its texts. A bit of each column is for null.
    fn row_bytes(&self) -> usize {
        let values = self.columns.iter().map(|(_, it)| it.fixed_bytes().unwrap_or(TEXT_BYTES));
        let bits = self.columns.len().div_ceil(8).saturating_add(1);
        let tags = self.tags.iter().map(|tag| {
            let value = tag.values.first().and_then(Option::as_ref);
            value.map_or(0, text_bytes).saturating_add(TEXT_BYTES)
        });
        values.chain(tags).fold(ROW_BYTES.saturating_add(bits), usize::saturating_add)
    }
}

impl<'f, R: ReadAt> Cursor<'f, R> {
    fn new(rows: CarefulRows<'f, R>) -> Self {
        Self { rows, batch: Batch::default(), at: 0, next_values: Vec::new() }
    }

    /// The time of the next row.
    fn time(&mut self, unread: &mut Unread) -> Result<Option<i64>, ReadError> {
        loop {
            if let Some(time) = self.batch.times.get(self.at) {
                return Ok(Some(*time));
            }
            self.at = 0;
            let is_there = self.rows.next_into(&mut self.batch, unread)?;
            // Also behind the last row: a column that is not counted would take the cell of another.
            self.next_values.clear();
            self.next_values.resize(self.batch.columns.len(), 0);
            if !is_there {
                self.batch.clear();
                return Ok(None);
            }
        }
    }

    /// Appends the cells of the row of that time, or as many nulls.
    fn take(&mut self, time: i64, row: &mut Vec<Option<Value>>) {
        let is_there = self.batch.times.get(self.at) == Some(&time);
        for (column, next) in self.batch.columns.iter().zip(&mut self.next_values) {
            if !is_there || !column.presence.get(self.at) {
                row.push(None);
                continue;
            }
            row.push(column.values.get(*next));
            *next = next.saturating_add(1);
        }
        self.at = self.at.saturating_add(usize::from(is_there));
    }

    fn texts_bytes(&self, time: i64) -> usize {
        if self.batch.times.get(self.at) != Some(&time) {
            return 0;
        }
        let columns = self.batch.columns.iter().zip(&self.next_values);
        let texts = columns.map(|(column, next)| match &column.values {
            crate::Values::Bytes(values) if column.presence.get(self.at) => {
                values.get(*next).map_or(0, <[u8]>::len)
            }
            _ => 0,
        });
        texts.fold(0, usize::saturating_add)
    }
}

/// Whether a column has a value at all.
fn has_values(column: &Column) -> bool {
    column.values.iter().any(Option::is_some)
}

/// Bytes of a value beyond those that each of its type takes.
fn text_bytes(value: &Value) -> usize {
    match value {
        Value::Bytes(bytes) => bytes.len(),
        _ => 0,
    }
}

/// The tags of a device of a table, each a column of one value.
///
/// A tag without a name is an error: without it rows of several devices would become those of one.
fn tags_of<R: ReadAt>(file: &TsFile<R>, device: &DeviceId) -> Result<Vec<Column>, ReadError> {
    let Some(segments) = &device.segments else { return Ok(Vec::new()) };
    let mut segments = segments.0.iter();
    let table = segments.next().and_then(Option::as_deref);
    let schema = file.tables().iter().find(|it| Some(&*it.name) == table);
    let tags = schema.into_iter().flat_map(|it| &it.columns);
    let tags = tags.filter(|column| column.category == Category::Tag);
    let tags = tags.map(|column| {
        let value = segments.next().and_then(Option::as_deref);
        Column {
            name: column.name.to_string(),
            data_type: column.data_type,
            encoding: 0,
            compressor: 0,
            category: Category::Tag,
            values: vec![value.map(|it| Value::Bytes(it.as_bytes().to_vec()))],
        }
    });
    let tags: Vec<Column> = tags.collect();
    if segments.next().is_some() {
        let expected = "a schema that names every tag of the table's devices";
        return Err(ReadError::unsound(file.data_end(), expected, device));
    }
    Ok(tags)
}

/// Why points cannot be made into tablets.
#[derive(Debug)]
#[non_exhaustive]
pub enum TabletError {
    /// The file could not be read.
    Read(ReadError),
    /// One value is larger than a tablet may be.
    TooLarge {
        /// Its series.
        series: String,
        /// Its time.
        time: i64,
        /// Its length.
        bytes: usize,
        /// Most bytes of a tablet.
        max: usize,
    },
}

impl From<ReadError> for TabletError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl fmt::Display for TabletError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::TooLarge { series, time, bytes, max } => write!(
                f,
                "value of {series} at {time}: expected one that fits a request of {max} bytes, but \
                 found {bytes} bytes"
            ),
        }
    }
}

impl core::error::Error for TabletError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Read(error) => Some(error),
            Self::TooLarge { .. } => None,
        }
    }
}
