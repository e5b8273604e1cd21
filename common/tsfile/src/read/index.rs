//! The metadata section: index nodes, the metadata of series and chunks, and that of the file.

use core::cmp::Ordering;
use core::fmt;
use std::sync::Arc;

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_model::Category;
use tidegate_model::DataType;

use super::recent::Found;
use crate::Compression;
use crate::DeviceId;
use crate::Encoding;
use crate::ReadError;
use crate::Segments;
use crate::Statistics;
use crate::TsFileVersion;
use crate::bloom::BloomFilter;
use crate::device::NAME_BYTES_MAX;

/// Code of the type of a time column in chunk headers and metadata.
pub(crate) const VECTOR_CODE: u8 = 6;
/// Most levels of an index: a degree of 2 and 2^40 entries.
pub(crate) const INDEX_DEPTH_MAX: usize = 40;
/// Longest text of a property or schema.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// What a node of the index points to.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums)] // the file has these
pub enum NodeKind {
    /// To nodes of devices.
    InternalDevice,
    /// To the measurements of one device each.
    LeafDevice,
    /// To nodes of measurements.
    InternalMeasurement,
    /// To the metadata of series.
    LeafMeasurement,
}

impl NodeKind {
    /// The byte at the end of a node.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::InternalDevice => 0,
            Self::LeafDevice => 1,
            Self::InternalMeasurement => 2,
            Self::LeafMeasurement => 3,
        }
    }
}

/// A node whose keys are devices, or one whose keys are measurements.
#[derive(Clone, Debug)]
pub(crate) struct Node<K> {
    pub(crate) children: Vec<Child<K>>,
    pub(crate) kind: NodeKind,
}

/// What one key of a node stands for: the bytes from `start` to `end` of the file.
#[derive(Clone, Debug)]
pub(crate) struct Child<K> {
    pub(crate) key: K,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// A key of a node.
pub(crate) trait Key: Sized {
    /// The kinds of nodes that have such keys: internal and leaf.
    const KINDS: [NodeKind; 2];

    fn decode(reader: &mut Reader<'_>, version: TsFileVersion) -> Result<Self, Error>;

    /// A node with such keys, to be kept.
    fn found(node: &Arc<Node<Self>>) -> Found;

    /// The node with such keys that was kept.
    fn node_of(found: &Found) -> Option<Arc<Node<Self>>>;
}

impl Key for DeviceId {
    const KINDS: [NodeKind; 2] = [NodeKind::InternalDevice, NodeKind::LeafDevice];

    fn decode(reader: &mut Reader<'_>, version: TsFileVersion) -> Result<Self, Error> {
        decode_device(reader, version)
    }

    fn found(node: &Arc<Node<Self>>) -> Found {
        Found::Devices(Arc::clone(node))
    }

    fn node_of(found: &Found) -> Option<Arc<Node<Self>>> {
        match found {
            Found::Devices(node) => Some(Arc::clone(node)),
            _ => None,
        }
    }
}

impl Key for Box<str> {
    const KINDS: [NodeKind; 2] = [NodeKind::InternalMeasurement, NodeKind::LeafMeasurement];

    fn decode(reader: &mut Reader<'_>, _: TsFileVersion) -> Result<Self, Error> {
        decode_name(reader, "name of a measurement")
    }

    fn found(node: &Arc<Node<Self>>) -> Found {
        Found::Measurements(Arc::clone(node))
    }

    fn node_of(found: &Found) -> Option<Arc<Node<Self>>> {
        match found {
            Found::Measurements(node) => Some(Arc::clone(node)),
            _ => None,
        }
    }
}

/// A device in the form of a version.
pub(crate) fn decode_device(
    reader: &mut Reader<'_>,
    version: TsFileVersion,
) -> Result<DeviceId, Error> {
    if version == TsFileVersion::V3 {
        return Ok(DeviceId { path: decode_name(reader, "path of a device")?, segments: None });
    }
    let segments = Segments::decode(reader)?;
    Ok(DeviceId { path: segments.to_string().into(), segments: Some(segments) })
}

/// A name, which must not be null.
pub(crate) fn decode_name(reader: &mut Reader<'_>, what: &'static str) -> Result<Box<str>, Error> {
    let offset = reader.position();
    let found = reader.vstr(what, NAME_BYTES_MAX)?;
    found.map(Box::from).ok_or(Error::Value { offset, expected: what, found: -1 })
}

impl Node<Box<str>> {
    /// Whether it leads to the time column of an aligned device: its name is empty, so it is the first.
    pub(crate) fn is_aligned(&self) -> bool {
        self.children.first().is_some_and(|child| child.key.is_empty())
    }
}

impl<K: Key> Node<K> {
    /// Reads a node; its children are in order, and lie behind each other before it.
    pub(crate) fn decode(reader: &mut Reader<'_>, version: TsFileVersion) -> Result<Self, Error> {
        let what = "number of children of an index node";
        let mut n_children = reader.uvar_count(what, MIN_CHILD_BYTES)?;
        let mut starts = Vec::new();
        while n_children > 0 {
            n_children = n_children.saturating_sub(1);
            let key = K::decode(reader, version)?;
            starts.push((key, offset_of(reader, "offset in an index node")?));
        }
        let end = offset_of(reader, "end offset of an index node")?;
        let offset = reader.position();
        let found = reader.u8("kind of an index node")?;
        let kind =
            K::KINDS.into_iter().find(|kind| kind.code() == found).ok_or_else(|| Error::Value {
                offset,
                expected: "the kind of index node that belongs here",
                found: found.into(),
            })?;
        let mut children: Vec<Child<K>> = Vec::with_capacity(starts.len());
        for (key, start) in starts {
            if let Some(before) = children.last_mut() {
                before.end = start;
            }
            children.push(Child { key, start, end });
        }
        if let Some(odd) = children.iter().find(|child| child.start > child.end) {
            return Err(Error::Value {
                offset,
                expected: "ascending offsets in the index node that ends",
                found: odd.end.try_into().unwrap_or(i64::MAX),
            });
        }
        Ok(Self { children, kind })
    }
}

/// An offset in the file, which is not negative.
fn offset_of(reader: &mut Reader<'_>, what: &'static str) -> Result<u64, Error> {
    let offset = reader.position();
    let found = reader.i64(what)?;
    u64::try_from(found).map_err(|_| Error::Value { offset, expected: what, found })
}

/// Least bytes of a child: an empty key and an offset.
const MIN_CHILD_BYTES: usize = 9;

/// What a series is in its device.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums)] // the file has these
pub enum SeriesKind {
    /// One with times of its own.
    Plain,
    /// The time column of an aligned device.
    Time,
    /// A column of an aligned device.
    Value,
}

impl fmt::Display for SeriesKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "a series",
            Self::Time => "a time column",
            Self::Value => "a column of an aligned device",
        })
    }
}

impl SeriesKind {
    /// The kind that the upper bits of a marker or of a metadata type say.
    pub(crate) fn of_bits(byte: u8) -> Option<Self> {
        match byte & 0xc0 {
            0 => Some(Self::Plain),
            0x80 => Some(Self::Time),
            0x40 => Some(Self::Value),
            _ => None,
        }
    }

    /// The kind of a series whose metadata begin with this byte, in a device that is aligned or not.
    ///
    /// Where compaction took chunks over as they were, IoTDB leaves out what kind the series of an
    /// aligned device are, and itself goes by the time column alone.
    fn in_device(form: u8, measurement: &str, is_aligned: bool) -> Option<Self> {
        Some(match Self::of_bits(form)? {
            Self::Plain if is_aligned && measurement.is_empty() => Self::Time,
            Self::Plain if is_aligned => Self::Value,
            said => said,
        })
    }

    /// The upper bits.
    pub(crate) fn bits(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Time => 0x80,
            Self::Value => 0x40,
        }
    }
}

/// All chunks of one series of a device in the file, and what their points are together.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the file has this
pub struct SeriesMetadata {
    /// What it is in its device.
    pub kind: SeriesKind,
    /// Name of the measurement; empty for a time column.
    pub measurement: Box<str>,
    /// Type of the values; `None` for a time column.
    pub data_type: Option<DataType>,
    /// Of all its points.
    pub statistics: Statistics,
    /// Its chunks, in the order of the file.
    pub chunks: Vec<ChunkMetadata>,
}

/// One chunk in the index.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the file has this
pub struct ChunkMetadata {
    /// Where the chunk's marker stands in the file.
    pub offset: u64,
    /// Of its points.
    pub statistics: Statistics,
}

impl SeriesMetadata {
    /// The same with [`Statistics::with_texts_up_to`]; `None` if that leaves all as it is.
    pub fn with_texts_up_to(&self, bytes_max: usize) -> Option<Self> {
        let all = self.chunks.iter().map(|chunk| &chunk.statistics).chain([&self.statistics]);
        if !all.into_iter().any(|it| it.texts_bytes() > bytes_max) {
            return None;
        }
        let chunks = self.chunks.iter().map(|ChunkMetadata { offset, statistics }| ChunkMetadata {
            offset: *offset,
            statistics: statistics.with_texts_up_to(bytes_max),
        });
        Some(Self {
            kind: self.kind,
            measurement: self.measurement.clone(),
            data_type: self.data_type,
            statistics: self.statistics.with_texts_up_to(bytes_max),
            chunks: chunks.collect(),
        })
    }

    /// Reads the metadata of one series if it has this name; else passes over it.
    pub(crate) fn decode_if(
        reader: &mut Reader<'_>,
        is_aligned: bool,
        measurement: &str,
    ) -> Result<Option<Self>, Error> {
        let mut ahead = reader.clone();
        let form = ahead.u8("form of a series' metadata")?;
        let name = ahead.vstr("name of a measurement", NAME_BYTES_MAX)?;
        let kind = name.and_then(|name| SeriesKind::in_device(form, name, is_aligned));
        if let Some(kind) = kind.filter(|_| name != Some(measurement)) {
            let data_type = decode_type(&mut ahead, kind)?;
            let list_bytes = ahead.uvar("length of a list of chunks")?;
            Statistics::decode(&mut ahead, data_type)?;
            ahead.take(usize::try_from(list_bytes).unwrap_or(usize::MAX), "list of chunks")?;
            *reader = ahead;
            return Ok(None);
        }
        Self::decode(reader, is_aligned).map(Some)
    }

    /// Reads the metadata of one series of a device that is aligned or not.
    pub(crate) fn decode(reader: &mut Reader<'_>, is_aligned: bool) -> Result<Self, Error> {
        let offset = reader.position();
        let form = reader.u8("form of a series' metadata")?;
        let wrong = |expected| Error::Value { offset, expected, found: form.into() };
        let several = match form & 0x3f {
            0 => false,
            1 => true,
            _ => return Err(wrong("the form of a series' metadata, 0 or 1")),
        };
        let measurement = decode_name(reader, "name of a measurement")?;
        let kind = SeriesKind::in_device(form, &measurement, is_aligned)
            .ok_or_else(|| wrong("the kind of a series in its metadata"))?;
        let data_type = decode_type(reader, kind)?;
        let list_bytes = reader.uvar("length of a list of chunks")?;
        let statistics = Statistics::decode(reader, data_type)?;
        let list_bytes = usize::try_from(list_bytes).unwrap_or(usize::MAX);
        let mut list = reader.sub(list_bytes, "list of chunks")?;
        let mut chunks = Vec::new();
        while !list.is_empty() {
            let position = list.position();
            let offset = offset_of(&mut list, "offset of a chunk")?;
            // Else a small file could name one chunk a million times.
            if chunks.last().is_some_and(|before: &ChunkMetadata| before.offset >= offset) {
                let expected = "a greater offset than that of the chunk before";
                let found = offset.try_into().unwrap_or(i64::MAX);
                return Err(Error::Value { offset: position, expected, found });
            }
            let statistics = match several {
                true => Statistics::decode(&mut list, data_type)?,
                false => statistics.clone(),
            };
            chunks.push(ChunkMetadata { offset, statistics });
        }
        // By these it is decided which chunks are looked at, and what is counted without a look.
        let counted = chunks.iter().map(|chunk| u64::from(chunk.statistics.count));
        let there = || chunks.iter().map(|chunk| &chunk.statistics).filter(|it| it.count > 0);
        let start = there().map(|it| it.start_time).min();
        let end = there().map(|it| it.end_time).max();
        if several
            && (start.is_some_and(|start| start != statistics.start_time)
                || end.is_some_and(|end| end != statistics.end_time)
                || counted.sum::<u64>() != u64::from(statistics.count))
        {
            let expected = "statistics of a series that are those of its chunks in count and times";
            return Err(Error::Value { offset, expected, found: statistics.count.into() });
        }
        if !several && chunks.len() > 1 {
            return Err(wrong("the form of a series' metadata with several chunks, 1"));
        }
        Ok(Self { kind, measurement, data_type, statistics, chunks })
    }
}

/// The type of a series or chunk; a time column has VECTOR, and nothing else has.
pub(crate) fn decode_type(
    reader: &mut Reader<'_>,
    kind: SeriesKind,
) -> Result<Option<DataType>, Error> {
    let offset = reader.position();
    let code = reader.u8("data type")?;
    let found = DataType::from_code(code);
    match (kind, found) {
        (SeriesKind::Time, None) if code == VECTOR_CODE => Ok(None),
        (SeriesKind::Plain | SeriesKind::Value, Some(_)) => Ok(found),
        _ => Err(Error::Value {
            offset,
            expected: "a data type that belongs here",
            found: code.into(),
        }),
    }
}

/// The metadata at the end of a file.
#[derive(Debug)]
pub(crate) struct FileMetadata {
    /// The roots of the index: one in v3, one per table in v4.
    pub(crate) roots: Vec<Root>,
    pub(crate) tables: Vec<TableSchema>,
    /// Where the separator before the metadata section stands.
    pub(crate) separator: u64,
    pub(crate) bloom: Option<BloomFilter>,
    pub(crate) properties: Vec<(Box<str>, Option<Box<str>>)>,
}

/// A root of the index.
#[derive(Debug)]
pub(crate) struct Root {
    /// First segment of all its devices; `None` in v3.
    pub(crate) table: Option<Box<str>>,
    pub(crate) node: Node<DeviceId>,
}

/// Columns of a table, in files of the table model.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the file has this
pub struct TableSchema {
    /// Name of the table.
    pub name: Box<str>,
    /// Its columns, in order.
    pub columns: Vec<TableColumn>,
}

/// A column of a table.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the file has this
pub struct TableColumn {
    /// Name of the column.
    pub name: Box<str>,
    /// Type of its values.
    pub data_type: DataType,
    /// How values written from now on would be encoded.
    pub encoding: Encoding,
    /// How pages written from now on would be compressed.
    pub compression: Compression,
    /// What the column is for.
    pub category: Category,
}

impl FileMetadata {
    pub(crate) fn decode(reader: &mut Reader<'_>, version: TsFileVersion) -> Result<Self, Error> {
        let (mut roots, mut tables) = (Vec::new(), Vec::new());
        if version == TsFileVersion::V3 {
            roots.push(Root { table: None, node: Node::decode(reader, version)? });
        } else {
            for _ in 0..reader.uvar_count("number of index roots", MIN_ROOT_BYTES)? {
                let table = Some(decode_name(reader, "table of an index root")?);
                roots.push(Root { table, node: Node::decode(reader, version)? });
            }
            for _ in 0..reader.uvar_count("number of table schemas", 2)? {
                tables.push(TableSchema::decode(reader)?);
            }
        }
        let separator = offset_of(reader, "offset of the metadata section")?;
        let bloom = match reader.is_empty() {
            // Some versions end here if there is no series.
            true => None,
            false => BloomFilter::decode(reader, version)?,
        };
        let mut properties = Vec::new();
        if version != TsFileVersion::V3 {
            let offset = reader.position();
            let n_properties = reader.var("number of properties")?;
            let max = reader.remaining() / 2;
            let n_properties = usize::try_from(n_properties)
                .ok()
                .filter(|n| *n <= max)
                .ok_or_else(|| Error::Count {
                    offset,
                    what: "number of properties",
                    found: n_properties.into(),
                    max,
                })?;
            for _ in 0..n_properties {
                let key = decode_name(reader, "key of a property")?;
                let value = reader.vstr("value of a property", TEXT_BYTES_MAX)?;
                properties.push((key, value.map(Box::from)));
            }
        }
        reader.finish()?;
        Ok(Self { roots, tables, separator, bloom, properties })
    }

    /// Refuses files whose pages are encrypted.
    pub(crate) fn refuse_encryption(&self) -> Result<(), ReadError> {
        let find = |wanted| {
            let found = self.properties.iter().find(|(key, _)| &**key == wanted);
            found.and_then(|(_, value)| value.as_deref())
        };
        match find("encryptLevel") {
            None | Some("0") => Ok(()),
            Some(_) => {
                let cipher = find("encryptType").unwrap_or("an unnamed cipher");
                Err(ReadError::Encrypted { cipher: cipher.into() })
            }
        }
    }
}

/// Least bytes of a root: an empty name and a node without children.
const MIN_ROOT_BYTES: usize = 11;

impl TableSchema {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let name = decode_name(reader, "name of a table")?;
        let mut columns = Vec::new();
        for _ in 0..reader.uvar_count("number of columns of a table", MIN_COLUMN_BYTES)? {
            columns.push(TableColumn::decode(reader)?);
        }
        Ok(Self { name, columns })
    }
}

/// Least bytes of a column: an empty name, three codes, no properties, the category.
const MIN_COLUMN_BYTES: usize = 15;

impl TableColumn {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let name = reader.str("name of a column", NAME_BYTES_MAX)?.into();
        let mut code = |expected| {
            let offset = reader.position();
            let found = reader.u8(expected)?;
            Ok((found, Error::Value { offset, expected, found: found.into() }))
        };
        let (found, wrong) = code("data type of a column")?;
        let data_type = DataType::from_code(found).ok_or(wrong)?;
        let (found, wrong) = code("encoding of a column")?;
        let encoding = Encoding::from_code(found).ok_or(wrong)?;
        let (found, wrong) = code("compression of a column")?;
        let compression = Compression::from_code(found).ok_or(wrong)?;
        for _ in 0..reader.count("number of properties of a column", 8)? {
            reader.nullable_str("key of a column's property", TEXT_BYTES_MAX)?;
            reader.nullable_str("value of a column's property", TEXT_BYTES_MAX)?;
        }
        let offset = reader.position();
        let found = reader.i32("category of a column")?;
        let category = match found {
            0 => Category::Tag,
            1 => Category::Field,
            2 => Category::Attribute,
            3 => Category::Time,
            _ => {
                let expected = "category of a column, 0 to 3";
                return Err(Error::Value { offset, expected, found: found.into() });
            }
        };
        Ok(Self { name, data_type, encoding, compression, category })
    }
}

/// Java's order of texts, by UTF-16 units, in which the index is sorted.
pub(crate) fn java_order(left: &str, right: &str) -> Ordering {
    // Bytes of UTF-8 are in the same order unless a surrogate pair is compared with a unit above it.
    left.encode_utf16().cmp(right.encode_utf16())
}

/// The order of devices in the index: paths in v3; segments in v4, null before any text.
pub(crate) fn device_order(left: &DeviceId, right: &DeviceId) -> Ordering {
    let (Some(left_segments), Some(right_segments)) = (&left.segments, &right.segments) else {
        return java_order(&left.path, &right.path);
    };
    for (left, right) in left_segments.0.iter().zip(&right_segments.0) {
        let order = match (left, right) {
            (Some(left), Some(right)) => java_order(left, right),
            (left, right) => left.is_some().cmp(&right.is_some()),
        };
        if order.is_ne() {
            return order;
        }
    }
    left_segments.0.len().cmp(&right_segments.0.len())
}
