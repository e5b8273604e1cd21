//! What a store holds at one moment, for those that read. The one seam of everything above.
//!
//! A snapshot stays as it is while the store goes on: files that are merged away meanwhile are
//! removed only when nobody reads them any more.

use core::ops::RangeInclusive;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_durable::Storage;
use tidegate_model::DataType;
use tidegate_model::path;
use tidegate_tsfile::Batch;
use tidegate_tsfile::ChunkMetadata;
use tidegate_tsfile::Cut;
use tidegate_tsfile::Cuts;
use tidegate_tsfile::Selection;
use tidegate_tsfile::SeriesMetadata;
use tidegate_tsfile::Statistics;
use tidegate_tsfile::TimeRange;

use crate::Device;
use crate::StoreError;
use crate::catalog::TableName;
use crate::columns::is_convertible;
use crate::damage::Damage;
use crate::damage::LeftOut;
use crate::file::LayerFile;
use crate::file::LayerTsFile;
use crate::horizon::Horizons;
use crate::known::Known;
use crate::known::is_all_cut;
use crate::lost::LostFile;
use crate::memory::Memory;
use crate::memory::SharedMemory;
use crate::rows::FromFile;
use crate::rows::Group;
use crate::rows::Origin;
use crate::rows::Rows;
use crate::rows::Source;
use crate::tombstone::Tombstone;
use crate::tombstone::cuts_of;
use crate::wanted::Wanted;

/// Which series are wanted.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_enums)] // the two models, and one by name
pub enum Pattern {
    /// All series of one device.
    Device(Device),
    /// Series of the tree model whose full path matches, `*` for a node and `**` for any number. Nodes
    /// compare as [IoTDB keeps them](tidegate_model::path::kept_node), the pattern's being so.
    Tree(Box<str>),
    /// All series of a table.
    Table {
        /// The database.
        database: Box<str>,
        /// The table; `None` for all.
        table: Option<Box<str>>,
    },
}

/// Which rows are wanted.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs)] // what a scan is
pub struct Scan {
    /// Series that match any of these.
    pub patterns: Vec<Pattern>,
    /// Only measurements with these names; `None` for all.
    pub measurements: Option<Vec<Box<str>>>,
    /// Times, both ends included.
    pub times: RangeInclusive<i64>,
}

/// A series of a device.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what a series is
pub struct Series {
    /// Its measurement.
    pub measurement: Box<str>,
    /// Type of its values: that of the newest layer that has it.
    pub data_type: DataType,
    /// Whether it shares its times with others.
    pub is_aligned: bool,
}

/// Points that cannot be shown as values of their series' type.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what is to be told of them
pub struct Hidden {
    /// Their measurement.
    pub measurement: Box<str>,
    /// Their own type.
    pub data_type: DataType,
    /// The file that has them, below the store's directory.
    pub file: String,
    /// How many.
    pub n_points: u64,
}

/// Files of a snapshot that stay open, so that they can be read although others remove them.
#[derive(Debug)]
pub struct Held<S: Storage> {
    files: Vec<Arc<LayerTsFile<S>>>,
}

impl<S: Storage> Held<S> {
    /// How many they are.
    pub fn n_files(&self) -> usize {
        self.files.len()
    }
}

/// What a store holds at one moment.
#[derive(Debug)]
pub struct Snapshot<S: Storage> {
    /// By ascending rank.
    pub(crate) layers: Vec<Arc<LayerFile<S>>>,
    pub(crate) deletions: Arc<Vec<Tombstone>>,
    pub(crate) memory: SharedMemory,
    /// What has expired.
    pub(crate) horizons: Horizons,
    /// Files that the catalog names, or has named, and that cannot be read.
    pub(crate) lost: Arc<Vec<LostFile>>,
    pub(crate) damage: Arc<Damage>,
}

impl<S: Storage> Snapshot<S> {
    /// Files of which rows were left out of what was read so far, where that is
    /// [allowed](crate::OnDamage::LeaveOut).
    pub fn left_out(&self) -> Vec<LeftOut> {
        self.damage.left_out()
    }

    /// How many files there are.
    pub fn n_layers(&self) -> usize {
        self.layers.len()
    }

    /// The devices that have matching series or may have, in order; also those of lost files.
    ///
    /// Memory taken: their names.
    pub fn devices(&self, patterns: &[Pattern]) -> Vec<Device> {
        let in_files = self.layers.iter().flat_map(|layer| layer.devices.extents.devices());
        let lost = self.lost.iter().filter_map(|lost| lost.devices.as_ref());
        let in_files = in_files.chain(lost.flat_map(|devices| devices.extents.devices()));
        let all = in_files.chain(self.memory.devices().keys());
        let mut found: BTreeSet<&Device> = BTreeSet::new();
        for device in all {
            if !found.contains(device) && patterns.iter().any(|it| it.may_mean(device)) {
                found.insert(device);
            }
        }
        found.into_iter().cloned().collect()
    }

    /// The tables of the table model that have devices here, in order.
    pub fn tables(&self) -> BTreeSet<TableName> {
        let in_files = self.layers.iter().flat_map(|layer| layer.devices.extents.devices());
        let lost = self.lost.iter().filter_map(|lost| lost.devices.as_ref());
        in_files
            .chain(lost.flat_map(|devices| devices.extents.devices()))
            .chain(self.memory.devices().keys())
            .filter_map(Device::database_and_table)
            .collect()
    }

    /// Opens the files, the newest first, and keeps them open as long as the result is.
    ///
    /// A file that cannot be read is not held: whoever needs it will say so.
    ///
    /// # Arguments
    ///
    /// - `most`: so many files at most, since each takes a descriptor
    ///
    /// # Errors
    ///
    /// Only [vanished](StoreError::is_vanished) files.
    pub fn hold(&self, most: usize) -> Result<Held<S>, StoreError> {
        let mut files = Vec::new();
        for layer in self.layers.iter().rev().take(most) {
            match layer.file() {
                Ok(file) => files.push(file),
                Err(error) if error.is_vanished() => return Err(error),
                Err(_) => (),
            }
        }
        Ok(Held { files })
    }

    /// A device, ready to be read.
    ///
    /// # Errors
    ///
    /// Also where rows that are wanted are [lost](StoreError::is_of_damage), unless they are to be left
    /// out.
    pub fn device(&self, device: &Device, scan: &Scan) -> Result<DeviceScan<S>, StoreError> {
        self.device_between(device, scan, &scan.times)
    }

    /// As [`device`](Self::device), for rows of some of the times only. Its columns are those of all times;
    /// files that have no rows of these are looked at for that alone, and need not be readable.
    pub fn device_between(
        &self,
        device: &Device,
        scan: &Scan,
        rows: &RangeInclusive<i64>,
    ) -> Result<DeviceScan<S>, StoreError> {
        let kept = match device {
            Device::Tree { path } => path::kept(path),
            Device::Table { .. } => "".into(),
        };
        let nodes = path::nodes(&kept);
        let times = TimeRange { start: *scan.times.start(), end: *scan.times.end() };
        let rows =
            TimeRange { start: times.start.max(*rows.start()), end: times.end.min(*rows.end()) };
        DeviceScan::open(self, device, (times, rows), &Wanted::new(scan, device, &nodes))
    }

    /// Gives the rows of all matching series to `take`, device by device, each in the order of
    /// time, until it says `false`.
    pub fn scan(
        &self,
        scan: &Scan,
        take: &mut dyn FnMut(&Device, &[Series], &Batch) -> bool,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for name in self.devices(&scan.patterns) {
            let device = self.device(&name, scan)?;
            let mut rows = device.rows()?;
            while device.next_into(&mut rows, &mut batch)? {
                if !take(&name, device.columns(), &batch) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn cuts(&self, layer: &LayerFile<S>, device: &Device, measurements: &[&str]) -> Cuts {
        let own = layer.layer.precedence;
        let database = device.database();
        let is_later = |it: &&Tombstone| it.precedence > own && it.is_of(database);
        let later = self.deletions.iter().filter(is_later);
        let mut cuts = cuts_of(&layer.list.own, later, &device_id(device), measurements);
        cuts.rows.extend(expired(self.horizons.start_of(own)));
        cuts
    }
}

/// The rows before a time, as a deletion would take them.
pub(crate) fn expired(start: i64) -> Option<Cut> {
    let end = start.checked_sub(1)?;
    Some(Cut { times: i64::MIN..=end, before_offset: u64::MAX })
}

/// A device by the name that deletions compare.
pub(crate) fn device_id(device: &Device) -> tidegate_tsfile::DeviceId {
    device.id(tidegate_tsfile::TsFileVersion::V4)
}

impl Pattern {
    /// Whether a series of this device may match.
    fn may_mean(&self, device: &Device) -> bool {
        match (self, device) {
            (Self::Device(wanted), device) => wanted == device,
            (Self::Tree(pattern), Device::Tree { path }) => {
                let kept = path::kept(path);
                path::measurement_pattern(&path::nodes(pattern), &path::nodes(&kept)).is_some()
            }
            (Self::Table { database, table }, device) => {
                device.database() == Some(&**database)
                    && table.as_deref().is_none_or(|table| device.table_name() == Some(table))
            }
            _ => false,
        }
    }

    pub(crate) fn means(&self, device: &Device, nodes: &[&str], measurement: &str) -> bool {
        match (self, device) {
            (Self::Tree(pattern), Device::Tree { .. }) => {
                let own = path::nodes(pattern);
                let wanted = path::measurement_pattern(&own, nodes);
                let kept = path::kept_node(measurement);
                wanted.is_some_and(|wanted| path::matches(&[wanted], &[&*kept]))
            }
            _ => self.may_mean(device),
        }
    }
}

/// What one layer has of a device.
#[derive(Debug)]
pub(crate) struct Part<S: Storage> {
    pub(crate) file: Arc<LayerTsFile<S>>,
    /// Its place below the store's directory.
    path: String,
    /// The time column of an aligned device.
    time: Option<Arc<SeriesMetadata>>,
    /// Its series, each with its place among the columns of the scan.
    pub(crate) series: Vec<(usize, Arc<SeriesMetadata>)>,
    /// What is deleted, for the series in their order.
    pub(crate) cuts: Cuts,
}

/// A device, ready to be read.
#[derive(Debug)]
pub struct DeviceScan<S: Storage> {
    pub(crate) device: Device,
    pub(crate) times: TimeRange,
    pub(crate) columns: Vec<Series>,
    /// By ascending precedence.
    pub(crate) parts: Vec<Part<S>>,
    pub(crate) memory: Arc<Memory>,
    hidden: Vec<Hidden>,
    unread: Vec<String>,
    damage: Arc<Damage>,
}

impl<S: Storage> DeviceScan<S> {
    /// # Arguments
    ///
    /// - `times`: whose series are columns, and whose rows are wanted
    fn open(
        snapshot: &Snapshot<S>,
        device: &Device,
        (times, rows): (TimeRange, TimeRange),
        wanted: &Wanted<'_>,
    ) -> Result<Self, StoreError> {
        let is_needed = |range: TimeRange| rows.start <= rows.end && range.overlaps(rows);
        let mut unread = Vec::new();
        for lost in snapshot.lost.iter().filter(|lost| lost.may_have(device, times)) {
            match rows.start <= rows.end && lost.may_have(device, rows) {
                true => snapshot.damage.pass(&lost.lost.layer.path(), lost.error())?,
                false => unread.push(lost.lost.layer.path()),
            }
        }
        let mut found = Vec::new();
        let mut known = Known::default();
        let mut others = Vec::new();
        for (rank, layer) in snapshot.layers.iter().enumerate() {
            let Some(range) = layer.range_of(device).filter(|range| range.overlaps(times)) else {
                continue;
            };
            if times.start > times.end {
                continue;
            }
            if !is_needed(range) {
                others.push((rank, layer));
                continue;
            }
            let own = wanted.find(layer).or_else(|error| {
                snapshot.damage.pass(&layer.layer.path(), error).map(|()| Vec::new())
            });
            for (file, time, series) in own? {
                let names: Vec<&str> = series.iter().map(|it| &*it.measurement).collect();
                let cuts = snapshot.cuts(layer, device, &names);
                known.take(rank, time.is_some(), &series, &cuts);
                found.push((Arc::clone(layer), file, time, series, cuts));
            }
        }
        // the newest ones first: they may say all that there is to know
        for (rank, layer) in others.into_iter().rev() {
            if wanted.are_all_newer(rank, &known) {
                break;
            }
            let own = match wanted.find(layer) {
                Err(error) if error.is_of_damage() && !error.is_vanished() => {
                    unread.push(layer.layer.path());
                    continue;
                }
                own => own?,
            };
            for (_, time, series) in own {
                let names: Vec<&str> = series.iter().map(|it| &*it.measurement).collect();
                let cuts = snapshot.cuts(layer, device, &names);
                known.take(rank, time.is_some(), &series, &cuts);
            }
        }
        if wanted.are_all_newer(0, &known) {
            unread.clear();
        }
        if let Some(memory) = snapshot.memory.devices().get(device)
            && memory.range().overlaps(times)
        {
            for (name, series) in memory.series.iter().filter(|(name, _)| wanted.is(name)) {
                known.put(name, usize::MAX, series.data_type, memory.is_aligned);
            }
        }
        let mut scan = Self {
            device: device.clone(),
            times: rows,
            columns: known.into_columns(),
            parts: Vec::new(),
            memory: Arc::clone(&snapshot.memory),
            hidden: Vec::new(),
            unread,
            damage: Arc::clone(&snapshot.damage),
        };
        for (layer, file, time, series, cuts) in found {
            scan.take_part(layer.layer.path(), file, time, series, cuts);
        }
        Ok(scan)
    }

    /// Takes in what a layer has, as far as it can be shown.
    fn take_part(
        &mut self,
        path: String,
        file: Arc<LayerTsFile<S>>,
        time: Option<Arc<SeriesMetadata>>,
        series: Vec<Arc<SeriesMetadata>>,
        cuts: Cuts,
    ) {
        let mut kept = Vec::new();
        let mut kept_cuts = Cuts { rows: cuts.rows.clone(), columns: Vec::new() };
        for (at, series) in series.into_iter().enumerate() {
            let Some(own) = series.data_type.filter(|_| !is_all_cut(&cuts, at, &series)) else {
                continue;
            };
            let place = self.columns.binary_search_by(|it| it.measurement.cmp(&series.measurement));
            let column = place.ok().and_then(|place| Some((place, self.columns.get(place)?)));
            let Some((place, column)) = column else { continue };
            if is_convertible(own, column.data_type) {
                kept.push((place, series));
                kept_cuts.columns.push(cuts.columns.get(at).cloned().unwrap_or_default());
                continue;
            }
            self.hidden.push(Hidden {
                measurement: series.measurement.clone(),
                data_type: own,
                file: path.clone(),
                n_points: series.statistics.count.into(),
            });
        }
        if !kept.is_empty() || time.is_some() && self.keeps_times() {
            self.parts.push(Part { file, path, time, series: kept, cuts: kept_cuts });
        }
    }

    /// The columns of the rows, sorted by measurement.
    pub fn columns(&self) -> &[Series] {
        &self.columns
    }

    /// Whether a time is a row also without a cell: in a table its tags are values, too.
    fn keeps_times(&self) -> bool {
        self.device.database().is_some()
    }

    /// Points within the times that cannot be shown, since their series has another type now.
    pub fn hidden(&self) -> &[Hidden] {
        &self.hidden
    }

    /// Files without rows of these times that cannot be read, and may have more series.
    pub fn unread(&self) -> &[String] {
        &self.unread
    }

    /// Whether every value is of its series' type as it stands in its file.
    pub(crate) fn is_of_one_type(&self) -> bool {
        let mut series = self.parts.iter().flat_map(|part| &part.series);
        self.hidden.is_empty()
            && series.all(|(place, series)| {
                let column = self.columns.get(*place);
                column.is_none_or(|column| series.data_type == Some(column.data_type))
            })
    }

    /// Its rows with all columns, to be fetched by [`next_into`](Self::next_into). In a table those of
    /// files may have no cell: their tags are all that they say.
    pub fn rows(&self) -> Result<Rows<'_, S::File>, StoreError> {
        let all: Vec<usize> = (0..self.columns.len()).collect();
        self.read(&all, self.times, self.keeps_times())
    }

    /// Rows of some columns, by their places in [`columns`](Self::columns), within some of the times.
    ///
    /// The rows have these columns, in this order, and no others.
    pub fn rows_between(
        &self,
        columns: &[usize],
        times: &RangeInclusive<i64>,
    ) -> Result<Rows<'_, S::File>, StoreError> {
        self.rows_of(columns, self.times_in(times))
    }

    /// A range of times outside of which a column has no points; `None` if it has none at all.
    pub fn range(&self, column: usize) -> Option<RangeInclusive<i64>> {
        let name = &*self.columns.get(column)?.measurement;
        let in_files = self.parts.iter().flat_map(|part| &part.series);
        let in_files = in_files.filter(|(place, _)| *place == column).map(|(_, series)| {
            TimeRange { start: series.statistics.start_time, end: series.statistics.end_time }
        });
        let memory = self.memory.devices().get(&self.device);
        let memory = memory.filter(|memory| memory.series.contains_key(name));
        let all = in_files.chain(memory.map(|memory| memory.range()));
        let found = all.reduce(TimeRange::union)?;
        let found = self.times_in(&(found.start..=found.end));
        (found.start <= found.end).then_some(found.start..=found.end)
    }

    /// What of some times this scan is about.
    pub(crate) fn times_in(&self, times: &RangeInclusive<i64>) -> TimeRange {
        TimeRange {
            start: self.times.start.max(*times.start()),
            end: self.times.end.min(*times.end()),
        }
    }

    /// The next rows into `batch`, whose own rows are forgotten; `false` behind the last ones.
    pub fn next_into(
        &self,
        rows: &mut Rows<'_, S::File>,
        batch: &mut Batch,
    ) -> Result<bool, StoreError> {
        rows.advance(batch)
    }

    /// Rows of some columns within some of the times, none without a cell of them.
    pub(crate) fn rows_of(
        &self,
        wanted: &[usize],
        times: TimeRange,
    ) -> Result<Rows<'_, S::File>, StoreError> {
        self.read(wanted, times, false)
    }

    fn read(
        &self,
        wanted: &[usize],
        times: TimeRange,
        keeps_times: bool,
    ) -> Result<Rows<'_, S::File>, StoreError> {
        let data_type = |at: &usize| self.columns.get(*at).map(|column| column.data_type);
        let types: Vec<DataType> = wanted.iter().filter_map(data_type).collect();
        let memory = self.memory.devices().get(&self.device);
        let is_together = self.parts.iter().any(|part| part.time.is_some())
            || memory.is_some_and(|memory| memory.is_aligned);
        let places: Vec<Vec<usize>> = match is_together {
            true => vec![(0..wanted.len()).collect()],
            false => (0..wanted.len()).map(|at| vec![at]).collect(),
        };
        let mut groups = Vec::new();
        for columns in places {
            let wanted: Vec<usize> =
                columns.iter().filter_map(|at| wanted.get(*at).copied()).collect();
            let types = wanted.iter().filter_map(data_type).collect();
            let mut sources = Vec::new();
            for part in &self.parts {
                let own = part.sources(&wanted, times, keeps_times, &self.damage, &mut sources);
                own.or_else(|error| self.damage.pass(&part.path, error))?;
            }
            sources.extend(self.memory_source(&wanted, times));
            groups.push(Group { columns, types, sources });
        }
        Ok(Rows::new(groups, types, keeps_times))
    }

    fn memory_source<'s>(&self, wanted: &[usize], times: TimeRange) -> Option<Source<'s, S::File>> {
        let device = self.memory.devices().get(&self.device)?;
        let mut names = Vec::new();
        let places = wanted.iter().map(|at| {
            let name = &*self.columns.get(*at)?.measurement;
            device.series.contains_key(name).then(|| {
                names.push(name);
                names.len().saturating_sub(1)
            })
        });
        let places: Vec<_> = places.collect();
        let batch = device.batch(&names, times);
        let start = *batch.times.first()?;
        Some(Source::new(Origin::Memory(Some(batch)), places, start))
    }
}

impl<S: Storage> Part<S> {
    fn sources<'s>(
        &'s self,
        wanted: &[usize],
        times: TimeRange,
        keeps_times: bool,
        damage: &'s Damage,
        sources: &mut Vec<Source<'s, S::File>>,
    ) -> Result<(), StoreError> {
        let own = |at: &usize| self.series.iter().position(|(place, _)| place == at);
        let found: Vec<Option<usize>> = wanted.iter().map(own).collect();
        let chosen: Vec<usize> = found.iter().flatten().copied().collect();
        let unread = |source| StoreError::Read { file: self.path.clone(), source };
        let cut = |own: &usize| self.cuts.columns.get(*own).cloned().unwrap_or_default();
        let selection = |chosen: &[usize]| {
            let mut selection = Selection::of_times(times.start..=times.end);
            let columns = chosen.iter().map(cut).collect();
            selection.cuts = Cuts { rows: self.cuts.rows.clone(), columns };
            selection
        };
        let origin = |rows| {
            let (rows, file) = (Box::new(rows), &*self.path);
            Origin::File(FromFile { rows, file, damage })
        };
        let series = |own: &usize| self.series.get(*own).map(|(_, series)| series);
        if let Some(time) = self.time.as_ref().filter(|_| keeps_times || !chosen.is_empty()) {
            let columns = chosen.iter().filter_map(series).map(|it| Cow::Borrowed(&**it)).collect();
            let mut next = 0usize..;
            let places: Vec<_> = found.iter().map(|own| own.and_then(|_| next.next())).collect();
            for (time, columns) in pieces(time, columns, damage) {
                let selection = selection(&chosen);
                let rows = self.file.aligned_rows(&time, &columns, selection).map_err(unread)?;
                let start = time.statistics.start_time.max(times.start);
                sources.push(Source::new(origin(rows), places.clone(), start));
            }
            return Ok(());
        }
        for (column, own) in found.iter().enumerate() {
            let Some((own, series)) = own.and_then(|own| Some((own, series(&own)?))) else {
                continue;
            };
            let places: Vec<_> = (0..wanted.len()).map(|at| (at == column).then_some(0)).collect();
            for (series, _) in pieces(series, Vec::new(), damage) {
                let rows = self.file.rows(&series, selection(&[own])).map_err(unread)?;
                let start = series.statistics.start_time.max(times.start);
                sources.push(Source::new(origin(rows), places.clone(), start));
            }
        }
        Ok(())
    }

    /// Whether nothing of the series at `own` within these times is deleted.
    pub(crate) fn is_whole(&self, own: usize, range: TimeRange) -> bool {
        let columns = self.cuts.columns.get(own).map_or(&[][..], Vec::as_slice);
        self.cuts.rows.iter().chain(columns).all(|cut| {
            let cut = TimeRange { start: *cut.times.start(), end: *cut.times.end() };
            !cut.overlaps(range)
        })
    }
}

/// What is read, and left out if it is damaged, by itself: chunk by chunk, in the order in which they
/// count; where nothing is left out all at once.
///
/// # Arguments
///
/// - `time`: a series with times of its own, or the time column of the other ones
fn pieces<'s>(
    time: &'s SeriesMetadata,
    columns: Vec<Cow<'s, SeriesMetadata>>,
    damage: &Damage,
) -> Vec<(Cow<'s, SeriesMetadata>, Vec<Cow<'s, SeriesMetadata>>)> {
    if !damage.is_left_out() || time.chunks.len() < 2 {
        return vec![(Cow::Borrowed(time), columns)];
    }
    let mut chunks: Vec<_> = time.chunks.iter().collect();
    chunks.sort_by_key(|chunk| chunk.offset);
    let ends = chunks.iter().skip(1).map(|next| next.offset).chain([u64::MAX]);
    let piece = |(chunk, end): (&&ChunkMetadata, u64)| {
        let own = |series: &SeriesMetadata, statistics: &Statistics, first: u64| {
            let chunks = series.chunks.iter().filter(|it| (first..end).contains(&it.offset));
            SeriesMetadata {
                kind: series.kind,
                measurement: series.measurement.clone(),
                data_type: series.data_type,
                statistics: statistics.clone(),
                chunks: chunks.cloned().collect(),
            }
        };
        let of_column = |column: &Cow<'_, SeriesMetadata>| {
            Cow::Owned(own(column, &column.statistics, chunk.offset))
        };
        let columns = columns.iter().map(of_column).collect();
        (Cow::Owned(own(time, &chunk.statistics, chunk.offset)), columns)
    };
    chunks.iter().zip(ends).map(piece).collect()
}
