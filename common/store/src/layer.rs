//! A layer: one TsFile of the store, and where it stands among the others.

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::Writer;
use tidegate_durable::FileName;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::TimeRange;

use crate::fingerprint::Fingerprint;
use crate::volume::DATA;

/// How a layer came to be.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums)] // the three ways
pub enum LayerKind {
    /// A file as it was received.
    Received,
    /// Rows that were received.
    Flushed,
    /// Made of other layers.
    Merged,
}

/// What the catalog says of a layer.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Layer {
    /// Its number; none is given twice.
    pub id: u64,
    /// Of two cells of one time that of the layer with the greater precedence counts.
    pub precedence: u64,
    /// The least precedence of what it was made of.
    pub lowest: u64,
    /// How it came to be.
    pub kind: LayerKind,
    /// The database of the table model; `None` in the tree model.
    pub database: Option<Box<str>>,
    /// The name of its folder below the data.
    pub folder: Box<str>,
    /// Number of the database in this store.
    pub region: u32,
    /// Number of the week in which its first time is.
    pub partition: i64,
    /// When its newest part arrived; later than that of all of this precedence that it overwrites.
    pub arrival_ms: i64,
    /// How often it was merged.
    pub merges: u32,
    /// First and last time.
    pub range: TimeRange,
    /// Length of the file.
    pub length_bytes: u64,
    /// Which kind of deletions came with it, and what they are: the beginning of the list beside it.
    pub mods: Option<(ModsKind, Fingerprint)>,
    /// What its `.resource` is.
    pub resource: Fingerprint,
}

impl Layer {
    /// Its directory below the root.
    pub fn directory(&self) -> String {
        let Self { folder, region, partition, .. } = self;
        format!("{DATA}/{folder}/{region}/{partition}")
    }

    /// Where it stands among the others: of two cells of one time that of the greater one counts. It
    /// is told by the name alone, so that whoever has lost the catalog tells the same.
    pub(crate) fn rank(&self) -> (u64, i64, u32) {
        (self.precedence, self.arrival_ms.max(0), self.merges)
    }

    /// The name of its TsFile: a later layer is a later version, as IoTDB counts them.
    pub fn name(&self) -> String {
        format!("{}-{}-{}-0.tsfile", self.arrival_ms.max(0), self.precedence, self.merges)
    }

    /// Its place below the root.
    pub fn path(&self) -> String {
        format!("{}/{}", self.directory(), self.name())
    }

    pub(crate) fn file_name(&self, suffix: &str) -> FileName {
        // digits, dashes and a fixed end
        FileName::new(self.name() + suffix).unwrap_or_else(|error| unreachable!("{error}"))
    }

    /// Whether deletions came with it.
    pub(crate) fn has_own_deletions(&self) -> bool {
        self.mods.is_some_and(|(_, own)| own.length_bytes > 0)
    }

    /// The place of the list of deletions that came with it.
    pub(crate) fn list_path(&self) -> String {
        self.path() + self.mods.map_or(ModsKind::Text, |(kind, _)| kind).suffix()
    }

    pub(crate) fn encode(&self, writer: &mut Writer<'_>) {
        writer.i64(self.id.cast_signed());
        writer.i64(self.precedence.cast_signed());
        writer.i64(self.lowest.cast_signed());
        writer.u8(match self.kind {
            LayerKind::Received => 0,
            LayerKind::Flushed => 1,
            LayerKind::Merged => 2,
        });
        writer.nullable_str(self.database.as_deref());
        writer.str(&self.folder);
        writer.i32(self.region.cast_signed());
        writer.i64(self.partition);
        writer.i64(self.arrival_ms);
        writer.i32(self.merges.cast_signed());
        writer.i64(self.range.start);
        writer.i64(self.range.end);
        writer.i64(self.length_bytes.cast_signed());
        writer.u8(match self.mods {
            None => 0,
            Some((ModsKind::Text, _)) => 1,
            Some((ModsKind::Binary, _)) => 2,
        });
        if let Some((_, own)) = self.mods {
            own.encode(writer);
        }
        self.resource.encode(writer);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            id: reader.i64("number of a layer")?.cast_unsigned(),
            precedence: reader.i64("precedence of a layer")?.cast_unsigned(),
            lowest: reader.i64("least precedence of a layer")?.cast_unsigned(),
            kind: code(reader, "kind of a layer, 0 to 2", |code| match code {
                0 => Some(LayerKind::Received),
                1 => Some(LayerKind::Flushed),
                2 => Some(LayerKind::Merged),
                _ => None,
            })?,
            database: reader.nullable_str("database of a layer", TEXT_BYTES_MAX)?.map(Box::from),
            folder: reader.str("folder of a layer", TEXT_BYTES_MAX)?.into(),
            region: reader.i32("region of a layer")?.cast_unsigned(),
            partition: reader.i64("partition of a layer")?,
            arrival_ms: reader.i64("arrival of a layer")?,
            merges: reader.i32("merges of a layer")?.cast_unsigned(),
            range: TimeRange {
                start: reader.i64("first time of a layer")?,
                end: reader.i64("last time of a layer")?,
            },
            length_bytes: reader.i64("length of a layer")?.cast_unsigned(),
            mods: match code(reader, "kind of mods of a layer, 0 to 2", |code| match code {
                0 => Some(None),
                1 => Some(Some(ModsKind::Text)),
                2 => Some(Some(ModsKind::Binary)),
                _ => None,
            })? {
                Some(kind) => Some((kind, Fingerprint::decode(reader)?)),
                None => None,
            },
            resource: Fingerprint::decode(reader)?,
        })
    }
}

/// Longest name of a database or folder.
pub(crate) const TEXT_BYTES_MAX: usize = 1 << 20;

/// A byte that stands for something.
pub(crate) fn code<T>(
    reader: &mut Reader<'_>,
    expected: &'static str,
    of: impl FnOnce(u8) -> Option<T>,
) -> Result<T, Error> {
    let offset = reader.position();
    let found = reader.u8(expected)?;
    of(found).ok_or_else(|| Error::Value { offset, expected, found: found.into() })
}
