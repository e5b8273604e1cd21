//! Rows that are in no file yet.
//!
//! They need no log of their own: the spool keeps them until they are flushed. A series has one type
//! here, a field of a table has one on all its devices, and a device is aligned or not: rows that say otherwise are refused, and taken once what is
//! here has been flushed.

use core::ops::RangeInclusive;
use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_model::DataType;
use tidegate_tsfile::Batch;
use tidegate_tsfile::BatchColumn;
use tidegate_tsfile::Cut;
use tidegate_tsfile::Cuts;
use tidegate_tsfile::Presence;
use tidegate_tsfile::TimeRange;
use tidegate_tsfile::Values;
use tidegate_wire::request::ValueRef;

use crate::Device;
use crate::catalog::TableName;
use crate::columns::append;
use crate::columns::sorted;

/// What a point takes besides its value, about.
const POINT_BYTES: usize = 16;
/// What a text takes besides its bytes, about.
const TEXT_BYTES: usize = 16;
/// What a series takes without its points, about.
const SERIES_BYTES: usize = 256;

/// Rows in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    devices: BTreeMap<Device, MemoryDevice>,
    /// Types of the fields of each table: a file has one for all devices.
    fields: BTreeMap<TableName, BTreeMap<Box<str>, DataType>>,
    bytes: usize,
    n_points: u64,
}

/// Rows of one device.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryDevice {
    pub(crate) is_aligned: bool,
    pub(crate) series: BTreeMap<Box<str>, MemorySeries>,
    range: Option<TimeRange>,
}

/// Points of one series in the order in which they came; of equal times the later one counts.
#[derive(Clone, Debug)]
pub(crate) struct MemorySeries {
    pub(crate) data_type: DataType,
    times: Vec<i64>,
    values: Values,
}

/// Points of one device that arrive together.
#[derive(Clone, Debug)]
pub(crate) struct Points<'a> {
    pub(crate) device: Device,
    pub(crate) is_aligned: bool,
    pub(crate) columns: Vec<PointsColumn<'a>>,
}

/// Points of one series.
#[derive(Clone, Debug)]
pub(crate) struct PointsColumn<'a> {
    pub(crate) measurement: &'a str,
    pub(crate) data_type: DataType,
    pub(crate) points: Vec<(i64, ValueRef<'a>)>,
}

impl Points<'_> {
    /// Forgets points before a time.
    pub(crate) fn keep_from(&mut self, start: i64) {
        for column in &mut self.columns {
            column.points.retain(|(time, _)| *time >= start);
        }
    }
}

impl Memory {
    pub(crate) fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn n_points(&self) -> u64 {
        self.n_points
    }

    pub(crate) fn devices(&self) -> &BTreeMap<Device, MemoryDevice> {
        &self.devices
    }

    /// Whether these points fit to what is here.
    pub(crate) fn accepts(&self, points: &Points<'_>) -> bool {
        let fields = points.device.database_and_table().and_then(|table| self.fields.get(&table));
        let is_of_table = |column: &PointsColumn<'_>| {
            let known = fields.and_then(|fields| fields.get(column.measurement));
            known.is_none_or(|known| *known == column.data_type)
        };
        if !points.columns.iter().all(is_of_table) {
            return false;
        }
        let Some(device) = self.devices.get(&points.device) else { return true };
        device.is_aligned == points.is_aligned
            && points.columns.iter().all(|column| {
                let known = device.series.get(column.measurement);
                known.is_none_or(|known| known.data_type == column.data_type)
            })
    }

    /// Takes in points that are [accepted](Self::accepts).
    pub(crate) fn insert(&mut self, points: &Points<'_>) {
        if points.columns.iter().all(|column| column.points.is_empty()) {
            return;
        }
        let table = points.device.database_and_table();
        let mut fields = table.map(|table| self.fields.entry(table).or_default());
        let device = self.devices.entry(points.device.clone()).or_default();
        device.is_aligned = points.is_aligned;
        for column in points.columns.iter().filter(|column| !column.points.is_empty()) {
            if !device.series.contains_key(column.measurement) {
                self.bytes = self.bytes.saturating_add(SERIES_BYTES);
            }
            let series = device.series.entry(column.measurement.into());
            let series = series.or_insert_with(|| MemorySeries::new(column.data_type));
            if let Some(fields) = &mut fields {
                fields.insert(column.measurement.into(), series.data_type);
            }
            for (time, value) in &column.points {
                if !push(&mut series.values, *value) {
                    continue;
                }
                series.times.push(*time);
                self.n_points = self.n_points.saturating_add(1);
                self.bytes = self.bytes.saturating_add(POINT_BYTES).saturating_add(match value {
                    ValueRef::Bytes(bytes) => bytes.len().saturating_add(TEXT_BYTES),
                    _ => 0,
                });
                let point = TimeRange { start: *time, end: *time };
                device.range = Some(device.range.map_or(point, |range| range.union(point)));
            }
        }
    }

    /// Takes from every device what `cuts` says for it and its series.
    pub(crate) fn cut(&mut self, cuts: impl Fn(&Device, &[&str]) -> Cuts) {
        self.devices.retain(|name, device| {
            let measurements: Vec<&str> = device.series.keys().map(|name| &**name).collect();
            let cuts = cuts(name, &measurements);
            if cuts.is_empty() {
                return true;
            }
            for (at, series) in device.series.values_mut().enumerate() {
                let own = cuts.columns.get(at).map_or(&[][..], Vec::as_slice);
                series.cut(&cuts.rows, own);
            }
            device.series.retain(|_, series| !series.times.is_empty());
            !device.series.is_empty()
        });
        if self.devices.is_empty() {
            // nothing would be flushed, and they would stay
            self.fields.clear();
        }
        let all = || self.devices.values().flat_map(|device| device.series.values());
        (self.bytes, self.n_points) = (
            all().map(MemorySeries::bytes).fold(0, usize::saturating_add),
            all().map(|series| series.times.len() as u64).fold(0, u64::saturating_add),
        );
    }

    /// Whether there may be a row of one of these devices in their times.
    pub(crate) fn overlaps<'d>(
        &self,
        mut extents: impl Iterator<Item = (&'d Device, TimeRange)>,
    ) -> bool {
        extents.any(|(device, range)| {
            let own = self.devices.get(device).and_then(|device| device.range);
            own.is_some_and(|own| own.overlaps(range))
        })
    }
}

impl MemoryDevice {
    /// First and last time of rows that were here; those deleted meanwhile may be among them.
    pub(crate) fn range(&self) -> TimeRange {
        self.range.unwrap_or(TimeRange::ALL)
    }

    /// The times of all points, in no order.
    pub(crate) fn times(&self) -> impl Iterator<Item = i64> {
        self.series.values().flat_map(|series| series.times.iter().copied())
    }

    /// Rows of some series within some times, in order.
    pub(crate) fn batch(&self, measurements: &[&str], times: TimeRange) -> Batch {
        let columns = measurements.iter().filter_map(|name| self.series.get(*name));
        joined(columns.map(|series| series.points(times)).collect())
    }
}

impl MemorySeries {
    /// What it takes, counted as its points were when they came.
    fn bytes(&self) -> usize {
        let texts_bytes = match &self.values {
            Values::Bytes(texts) => {
                texts.total_bytes().saturating_add(texts.len().saturating_mul(TEXT_BYTES))
            }
            _ => 0,
        };
        let points_bytes = self.times.len().saturating_mul(POINT_BYTES);
        SERIES_BYTES.saturating_add(points_bytes).saturating_add(texts_bytes)
    }

    fn new(data_type: DataType) -> Self {
        Self { data_type, times: Vec::new(), values: Values::new(data_type) }
    }

    /// Points within some times, in order.
    pub(crate) fn points(&self, times: TimeRange) -> Batch {
        let (found, values) = sorted(&self.times, &self.values, self.data_type);
        let presence = Presence::all(found.len());
        let column = BatchColumn { data_type: self.data_type, values, presence };
        let mut batch = Batch { times: found, columns: vec![column] };
        let first = batch.times.partition_point(|time| *time < times.start);
        let behind = batch.times.partition_point(|time| *time <= times.end);
        batch.keep_rows(first..behind.max(first));
        batch
    }

    fn cut(&mut self, rows: &[Cut], own: &[Cut]) {
        let all: Vec<RangeInclusive<i64>> = joined_times(rows.iter().chain(own));
        let is_cut = |time: &i64| {
            let behind = all.partition_point(|times| times.start() <= time);
            let before = behind.checked_sub(1).and_then(|at| all.get(at));
            before.is_some_and(|times| times.contains(time))
        };
        if !self.times.iter().any(is_cut) {
            return;
        }
        let mut values = Values::new(self.data_type);
        for (at, time) in self.times.iter().enumerate() {
            if !is_cut(time) {
                values.extend_from(&self.values, at..at.saturating_add(1));
            }
        }
        self.times.retain(|time| !is_cut(time));
        self.values = values;
    }
}

/// The times of some cuts, in order and disjoint.
fn joined_times<'c>(cuts: impl Iterator<Item = &'c Cut>) -> Vec<RangeInclusive<i64>> {
    let mut all: Vec<RangeInclusive<i64>> = cuts.map(|cut| cut.times.clone()).collect();
    all.sort_unstable_by_key(|times| *times.start());
    let mut out: Vec<RangeInclusive<i64>> = Vec::with_capacity(all.len());
    for times in all {
        match out.last_mut() {
            Some(last) if *last.end() >= *times.start() => {
                *last = *last.start()..=(*last.end()).max(*times.end());
            }
            _ => out.push(times),
        }
    }
    out
}

/// Columns with times of their own as rows with nulls.
fn joined(parts: Vec<Batch>) -> Batch {
    let mut times: Vec<i64> = parts.iter().flat_map(|part| part.times.iter().copied()).collect();
    times.sort_unstable();
    times.dedup();
    let columns = parts.iter().filter_map(|part| {
        let column = part.columns.first()?;
        if part.times.len() == times.len() {
            return Some(column.clone());
        }
        let mut out = BatchColumn::new(column.data_type);
        let mut next = 0usize;
        for time in &times {
            if part.times.get(next) == Some(time) {
                append(&mut out, column, next..next.saturating_add(1), next);
                next = next.saturating_add(1);
            } else {
                out.presence.push(false);
            }
        }
        Some(out)
    });
    let columns = columns.collect();
    Batch { times, columns }
}

fn push(values: &mut Values, value: ValueRef<'_>) -> bool {
    match (values, value) {
        (Values::Boolean(values), ValueRef::Boolean(value)) => values.push(value),
        (Values::Int32(values), ValueRef::Int32(value)) => values.push(value),
        (Values::Int64(values), ValueRef::Int64(value)) => values.push(value),
        (Values::Float(values), ValueRef::Float(value)) => values.push(value),
        (Values::Double(values), ValueRef::Double(value)) => values.push(value),
        (Values::Bytes(values), ValueRef::Bytes(value)) => values.push(value),
        _ => return false,
    }
    true
}

/// The rows in memory, shared with those that read them.
pub(crate) type SharedMemory = Arc<Memory>;
