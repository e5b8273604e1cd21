//! A deletion that arrived by itself: it takes cells of every layer of lower precedence, and of no
//! other.

use std::collections::BTreeMap;

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::Writer;
use tidegate_model::path;
use tidegate_tsfile::Cuts;
use tidegate_tsfile::Deletion;
use tidegate_tsfile::DeviceId;
use tidegate_tsfile::ModEntry;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::Target;
use tidegate_tsfile::TimeRange;

use crate::Device;
use crate::layer::TEXT_BYTES_MAX;

/// Longest entry; one is at most as long as a request.
const ENTRY_BYTES_MAX: usize = 64 << 20;

/// A deletion with its precedence.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Tombstone {
    pub(crate) precedence: u64,
    /// The database of the table model.
    pub(crate) database: Option<Box<str>>,
    pub(crate) entry: ModEntry,
}

impl Tombstone {
    /// From the bytes of an entry of `.mods2`; `None` if they are none, or delete nothing.
    pub(crate) fn of_entry(precedence: u64, database: Option<&str>, raw: &[u8]) -> Option<Self> {
        let mut entries = ModsKind::Binary.entries(raw, 0);
        let entry = entries.next()?;
        (entries.whole_bytes() == raw.len()).then(|| Self {
            precedence,
            database: database.map(Box::from),
            entry,
        })
    }

    /// A pattern of series of the tree model.
    pub(crate) fn of_pattern(precedence: u64, pattern: &str, times: TimeRange) -> Option<Self> {
        let mut raw = Vec::new();
        let mut writer = Writer::new(&mut raw);
        writer.u8(1);
        writer.i64(times.start);
        writer.i64(times.end);
        writer.vstr(Some(pattern));
        Self::of_entry(precedence, None, &raw)
    }

    pub(crate) fn times(&self) -> TimeRange {
        TimeRange { start: self.entry.deletion.start, end: self.entry.deletion.end }
    }

    /// Whether it may mean devices of this database.
    pub(crate) fn is_of(&self, database: Option<&str>) -> bool {
        match (&self.entry.deletion.target, database) {
            (Target::Tree { .. }, None) => true,
            (Target::Table { .. }, Some(database)) => {
                self.database.as_deref().is_none_or(|own| own == database)
            }
            _ => false,
        }
    }

    /// Whether it may take cells of this device.
    pub(crate) fn means(&self, device: &Device) -> bool {
        match (&self.entry.deletion.target, device) {
            (Target::Tree { pattern }, Device::Tree { path }) => {
                path::measurement_pattern(&path::nodes(pattern), &path::nodes(path)).is_some()
            }
            (Target::Table { table, predicate, .. }, Device::Table { segments, .. }) => {
                self.is_of(device.database())
                    && device.table_name() == Some(table)
                    && predicate.meets(segments)
            }
            _ => false,
        }
    }

    pub(crate) fn encode(&self, writer: &mut Writer<'_>) {
        writer.i64(self.precedence.cast_signed());
        writer.nullable_str(self.database.as_deref());
        writer.bin(&self.entry.raw);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let precedence = reader.i64("precedence of a deletion")?.cast_unsigned();
        let database = reader.nullable_str("database of a deletion", TEXT_BYTES_MAX)?;
        let offset = reader.position();
        let raw = reader.bin("deletion", ENTRY_BYTES_MAX)?;
        let expected = "an entry of a mods file";
        Self::of_entry(precedence, database, raw).ok_or(Error::Value { offset, expected, found: 0 })
    }
}

/// Of each of some deletions the greatest precedence that it has.
pub(crate) fn precedences(all: &[Tombstone]) -> BTreeMap<&Deletion, u64> {
    let mut found = BTreeMap::new();
    for Tombstone { precedence, entry, .. } in all {
        let greatest = found.entry(&entry.deletion).or_insert(0);
        *greatest = (*precedence).max(*greatest);
    }
    found
}

/// What deletions take from columns of a device: those that came with its file, and those that came
/// later.
pub(crate) fn cuts_of<'t>(
    own: &[ModEntry],
    later: impl Iterator<Item = &'t Tombstone>,
    device: &DeviceId,
    measurements: &[impl AsRef<str>],
) -> Cuts {
    Cuts::of(own.iter().chain(later.map(|it| &it.entry)), device, measurements)
}
