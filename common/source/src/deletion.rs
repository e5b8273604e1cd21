//! Deletions on their way: what an entry of a mods file means for the far side.
//!
//! A pattern such as `root.plant.**` reaches over all regions, and so would the deletion at the far
//! side; but each region travels in a stream of its own, and rows that another region wrote after
//! the deletion may be there already. So an entry is cut to the devices and times of the file beside
//! which it stands: a device's rows of one partition belong to one region only.

use core::fmt;
use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_model::path;
use tidegate_tsfile as tsfile;
use tidegate_tsfile::DeviceExtent;
use tidegate_tsfile::Predicate;
use tidegate_tsfile::Segments;
use tidegate_tsfile::Target;

use crate::extent::DeviceSpan;
use crate::extent::Extent;
use crate::extent::device_key;

/// An entry of a mods file, cut to the file beside which it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // built by the edge
pub struct SeenDeletion {
    /// Where the entry ends, in bytes from the start of the mods file.
    pub end_bytes: u64,
    /// Equal for entries that mean the same.
    pub key: DeletionKey,
    /// What the far side must delete.
    pub scope: Scope,
}

/// What is left of a deletion when it is cut to one file.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // something, nothing, or nobody knows
pub enum Scope {
    /// These series and times.
    Cut(Deletion),
    /// No device of the file has rows in it.
    Nothing,
    /// The file's `.resource` could not be read, so its devices are not known.
    Unknown,
}

/// A deletion of named devices, ready to travel.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // built by the edge
pub struct Deletion {
    /// First time stamp, included.
    pub start: i64,
    /// Last time stamp, included.
    pub end: i64,
    /// Which series.
    pub series: Series,
}

/// Series that a [`Deletion`] deletes from.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // the two models
pub enum Series {
    /// Of the tree model.
    Tree {
        /// Full paths: a device without wildcards, and a measurement or a pattern of measurements.
        paths: BTreeSet<Arc<str>>,
    },
    /// Of a table.
    Table {
        /// The table.
        table: Arc<str>,
        /// The devices, table name first.
        devices: BTreeSet<Segments>,
        /// The columns; none stands for all.
        columns: Arc<[Box<str>]>,
    },
}

/// Recognises a deletion wherever it stands: 128 bits over its fields, the same in every release.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DeletionKey(pub(crate) u128);

impl DeletionKey {
    /// The key of an entry.
    pub fn of(entry: &tsfile::Deletion) -> Self {
        let mut hash = Fnv::default();
        hash.i64(entry.start);
        hash.i64(entry.end);
        match &entry.target {
            Target::Tree { pattern } => {
                hash.u8(1);
                hash.text(Some(pattern));
            }
            Target::Table { table, predicate, columns } => {
                hash.u8(0);
                hash.text(Some(table));
                hash.predicate(predicate);
                hash.i64(columns.len() as i64);
                columns.iter().for_each(|column| hash.text(Some(column)));
            }
        }
        Self(hash.0)
    }
}

/// FNV-1a with 128 bits.
struct Fnv(u128);

impl Default for Fnv {
    fn default() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }
}

impl Fnv {
    fn u8(&mut self, byte: u8) {
        self.0 = (self.0 ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b);
    }

    fn i64(&mut self, value: i64) {
        value.to_be_bytes().into_iter().for_each(|byte| self.u8(byte));
    }

    fn text(&mut self, text: Option<&str>) {
        // The length before the bytes, so that two texts in a row cannot pass for two others.
        self.i64(text.map_or(-1, |text| text.len() as i64));
        text.unwrap_or("").bytes().for_each(|byte| self.u8(byte));
    }

    fn segments(&mut self, segments: &Segments) {
        self.i64(segments.0.len() as i64);
        segments.0.iter().for_each(|segment| self.text(segment.as_deref()));
    }

    fn predicate(&mut self, predicate: &Predicate) {
        match predicate {
            Predicate::Any => self.u8(0),
            Predicate::Device(segments) => {
                self.u8(1);
                self.segments(segments);
            }
            Predicate::Segment { value, index } => {
                self.u8(2);
                self.text(value.as_deref());
                self.i64(i64::from(*index));
            }
            Predicate::And(parts) => {
                self.u8(3);
                self.i64(parts.len() as i64);
                parts.iter().for_each(|part| self.predicate(part));
            }
            Predicate::AnyOf(devices) => {
                self.u8(4);
                self.i64(devices.len() as i64);
                devices.iter().for_each(|device| self.segments(device));
            }
            Predicate::Present { index } => {
                self.u8(5);
                self.i64(i64::from(*index));
            }
            other => self.text(Some(&other.to_string())),
        }
    }
}

/// Cuts an entry to the devices and times of the file beside which it stands.
pub fn cut(entry: &tsfile::Deletion, devices: &[DeviceExtent]) -> Scope {
    let mut bounds: Option<(i64, i64)> = None;
    let mut widen = |range: tsfile::TimeRange| {
        let range = range.widened();
        let (start, end) = (range.start.max(entry.start), range.end.min(entry.end));
        bounds = (start <= end)
            .then(|| bounds.map_or((start, end), |(a, b)| (a.min(start), b.max(end))))
            .or(bounds);
        start <= end
    };
    let series = match &entry.target {
        Target::Tree { pattern } => {
            let pattern = path::nodes(pattern);
            let mut paths = BTreeSet::new();
            for extent in devices {
                let device = &extent.device.path;
                let measurement = path::measurement_pattern(&pattern, &path::nodes(device));
                if let Some(measurement) = measurement
                    && widen(extent.range)
                {
                    paths.insert(Arc::from(format!("{device}.{measurement}")));
                }
            }
            Series::Tree { paths }
        }
        Target::Table { table, predicate, columns } => {
            let mut meant = BTreeSet::new();
            for extent in devices {
                if let Some(segments) = &extent.device.segments
                    && segments.0.first().is_some_and(|it| it.as_deref() == Some(&**table))
                    && predicate.meets(segments)
                    && widen(extent.range)
                {
                    meant.insert(segments.clone());
                }
            }
            let (table, columns) = (Arc::from(&**table), Arc::from(&**columns));
            Series::Table { table, devices: meant, columns }
        }
    };
    match bounds {
        Some((start, end)) => Scope::Cut(Deletion { start, end, series }),
        None => Scope::Nothing,
    }
}

impl Deletion {
    /// Takes in another cut of the same entry, from another file of the same partition.
    pub(crate) fn join(&mut self, other: &Self) {
        self.start = self.start.min(other.start);
        self.end = self.end.max(other.end);
        match (&mut self.series, &other.series) {
            (Series::Tree { paths }, Series::Tree { paths: more }) => {
                paths.extend(more.iter().cloned());
            }
            (Series::Table { devices, .. }, Series::Table { devices: more, .. }) => {
                devices.extend(more.iter().cloned());
            }
            _ => unreachable!("cuts of one entry are of one kind"),
        }
    }

    /// In parts of which none takes much more than `bytes_max` on the wire: a gateway passes no
    /// larger frames.
    pub(crate) fn split(self, bytes_max: usize) -> Vec<Self> {
        let Self { start, end, series } = self;
        match series {
            Series::Tree { paths } => chunks(paths, bytes_max, |path| 2 * path.len() + 32)
                .map(|paths| Self { start, end, series: Series::Tree { paths } })
                .collect(),
            Series::Table { table, devices, columns } => {
                let fixed = table.len() + columns.iter().map(|it| it.len() + 4).sum::<usize>() + 32;
                let size = |device: &Segments| {
                    fixed + device.0.iter().flatten().map(|it| it.len() + 4).sum::<usize>()
                };
                let part = |devices| {
                    let (table, columns) = (Arc::clone(&table), Arc::clone(&columns));
                    Self { start, end, series: Series::Table { table, devices, columns } }
                };
                chunks(devices, bytes_max, size).map(part).collect()
            }
        }
    }

    /// Devices and times that it may touch.
    pub fn extent(&self) -> Extent {
        let Self { start, end, series } = self;
        let span =
            |device: &str| DeviceSpan { device: device_key(device), start: *start, end: *end };
        match series {
            Series::Tree { paths } => Extent::of_devices(
                paths
                    .iter()
                    .filter_map(|it| {
                        let measurement = path::nodes(it).last()?.len();
                        Some(span(it.get(..it.len().checked_sub(measurement + 1)?)?))
                    })
                    .collect(),
            ),
            // Segments may be joined to a path in more than one way.
            Series::Table { .. } => Extent::Range { start: *start, end: *end },
        }
    }

    /// How many series or devices it names.
    pub fn n_names(&self) -> usize {
        match &self.series {
            Series::Tree { paths } => paths.len(),
            Series::Table { devices, .. } => devices.len(),
        }
    }
}

/// Splits a set where the sizes of its elements add up to `bytes_max`.
fn chunks<T: Ord>(
    set: BTreeSet<T>,
    bytes_max: usize,
    size: impl Fn(&T) -> usize,
) -> impl Iterator<Item = BTreeSet<T>> {
    let mut set = set.into_iter().peekable();
    core::iter::from_fn(move || {
        let mut part = BTreeSet::new();
        let mut bytes = 0;
        while let Some(next) = set.next_if(|it| part.is_empty() || bytes + size(it) <= bytes_max) {
            bytes += size(&next);
            part.insert(next);
        }
        (!part.is_empty()).then_some(part)
    })
}

impl fmt::Display for Deletion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, end, series } = self;
        match series {
            Series::Tree { paths } => {
                write!(f, "deletion of times {start} to {end} from {} series", paths.len())?;
                paths.first().map_or(Ok(()), |first| write!(f, ", {first} first"))
            }
            Series::Table { table, devices, .. } => write!(
                f,
                "deletion of times {start} to {end} from {} devices of table {table}",
                devices.len()
            ),
        }
    }
}
