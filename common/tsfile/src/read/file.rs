//! A TsFile that is open: its metadata, and the way from a device to its series.

use core::cmp::Ordering as Order;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering;
use std::sync::Arc;

use tidegate_codec::Reader;

use super::index::Child;
use super::index::FileMetadata;
use super::index::INDEX_DEPTH_MAX;
use super::index::Key;
use super::index::Node;
use super::index::NodeKind;
use super::index::SeriesMetadata;
use super::index::TableSchema;
use super::index::device_order;
use super::index::java_order;
use super::recent::Block;
use super::recent::Found;
use super::recent::Recent;
use super::source::fetch;
use crate::DeviceId;
use crate::Encoding;
use crate::HEAD_BYTES;
use crate::Limits;
use crate::ReadAt;
use crate::ReadError;
use crate::Segments;
use crate::TAIL_BYTES;
use crate::TsFileVersion;
use crate::check_ends;

/// A TsFile, open for reading.
///
/// Nothing but the metadata at its end is held in memory, and 512 KiB at most of what look-ups have met on
/// their way through the index and over pages, since the next one most likely takes the same way. All
/// methods take `&self`, so that several threads may read at once.
#[derive(Debug)]
pub struct TsFile<R> {
    pub(crate) source: R,
    pub(crate) version: TsFileVersion,
    pub(crate) limits: Limits,
    pub(crate) time_encoding: Encoding,
    pub(crate) index: Index,
    pub(crate) recent: Recent,
}

/// Where the metadata of series is.
#[derive(Debug)]
pub(crate) enum Index {
    /// In the file, behind the data.
    InFile(FileMetadata),
    /// In memory, found by a walk over a file that was not finished.
    Found {
        /// In the order in which they first appear.
        devices: Vec<(DeviceId, Vec<SeriesMetadata>)>,
        /// Where the data that can be trusted ends.
        end: u64,
    },
}

/// A device of a file, and where its series are.
#[derive(Clone, Debug)]
pub struct Device {
    id: DeviceId,
    place: Place,
    budget: Budget,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// The bytes of its node of measurements.
    Node { start: u64, end: u64 },
    /// Its number among those found.
    Found(usize),
}

impl Device {
    /// Which device it is.
    pub fn id(&self) -> &DeviceId {
        &self.id
    }
}

impl<R: ReadAt> TsFile<R> {
    /// Opens a finished file.
    pub fn open(source: R) -> Result<Self, ReadError> {
        Self::open_with(source, Limits::default())
    }

    /// As [`open`](Self::open), with limits of one's own.
    pub fn open_with(source: R, limits: Limits) -> Result<Self, ReadError> {
        let length_bytes = source.length_bytes();
        let (mut head, mut tail) = (Vec::new(), Vec::new());
        fetch(&source, 0, length_bytes.min(HEAD_BYTES as u64), &mut head)?;
        let tail_bytes = length_bytes.min(TAIL_BYTES as u64);
        let tail_offset = length_bytes.saturating_sub(tail_bytes);
        fetch(&source, tail_offset, tail_bytes, &mut tail)?;
        let version = check_ends(&head, &tail, length_bytes)?;
        let metadata_bytes = tail.first_chunk().map_or(0, |length| u32::from_be_bytes(*length));
        let offset = tail_offset.saturating_sub(metadata_bytes.into());
        let mut bytes = Vec::new();
        checked_fetch(&source, offset, metadata_bytes.into(), limits, &mut bytes)?;
        let mut reader = Reader::at(&bytes, usize::try_from(offset).unwrap_or(usize::MAX));
        let metadata = FileMetadata::decode(&mut reader, version)
            .map_err(|source| ReadError::Malformed { what: "metadata of the file", source })?;
        let separator = metadata.separator;
        let mut marker = Vec::new();
        if separator >= offset || separator < HEAD_BYTES as u64 {
            let expected = "the metadata section between data and end";
            return Err(ReadError::unsound(offset, expected, format!("byte {separator}")));
        }
        fetch(&source, separator, 1, &mut marker)?;
        if marker != [SEPARATOR] {
            let expected = "the separator 0x02 before the metadata section";
            return Err(ReadError::unsound(separator, expected, format!("{marker:02x?}")));
        }
        metadata.refuse_encryption()?;
        let index = Index::InFile(metadata);
        let (time_encoding, recent) = (Encoding::Ts2Diff, Recent::default());
        Ok(Self { source, version, limits, time_encoding, index, recent })
    }

    /// Sets how the times of series with times of their own are encoded (`time_encoder`).
    ///
    /// No file says so. If the statistics disagree, the other encodings are tried.
    #[must_use]
    pub fn with_time_encoding(mut self, time_encoding: Encoding) -> Self {
        self.time_encoding = time_encoding;
        self
    }

    /// The layout of the file.
    pub fn version(&self) -> TsFileVersion {
        self.version
    }

    /// Where the bytes come from.
    pub fn source(&self) -> &R {
        &self.source
    }

    /// Where the chunks end.
    pub fn data_end(&self) -> u64 {
        match &self.index {
            Index::InFile(metadata) => metadata.separator,
            Index::Found { end, .. } => *end,
        }
    }

    /// Schemas of the tables, in files of the table model.
    pub fn tables(&self) -> &[TableSchema] {
        match &self.index {
            Index::InFile(metadata) => &metadata.tables,
            Index::Found { .. } => &[],
        }
    }

    /// What the file says of itself besides.
    pub fn properties(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let found: &[_] = match &self.index {
            Index::InFile(metadata) => &metadata.properties,
            Index::Found { .. } => &[],
        };
        found.iter().map(|(key, value)| (&**key, value.as_deref()))
    }

    /// Whether a series may be in the file; `false` is certain.
    pub fn may_contain(&self, device: &DeviceId, measurement: &str) -> bool {
        match &self.index {
            Index::InFile(metadata) => {
                let bloom = metadata.bloom.as_ref();
                bloom.is_none_or(|bloom| bloom.contains(&device.path, measurement))
            }
            Index::Found { .. } => true,
        }
    }

    /// The device of a dotted path as this file would name it, of the tree model.
    pub fn device_of_path(&self, path: &str) -> DeviceId {
        let segments = (self.version != TsFileVersion::V3).then(|| Segments::of_path(path));
        DeviceId { path: path.into(), segments }
    }

    /// All devices, in the order of the index.
    pub fn devices(&self) -> Devices<'_, R> {
        let walk = match &self.index {
            Index::InFile(metadata) => {
                let roots = metadata.roots.iter().map(|root| root.node.clone());
                Walk::over(roots, self.budget())
            }
            Index::Found { .. } => Walk::nothing(),
        };
        Devices { file: self, walk, n_found: 0, budget: self.budget() }
    }

    /// The device with this name, if it is in the file.
    ///
    /// Reads one node per level of the index.
    pub fn find_device(&self, id: &DeviceId) -> Result<Option<Device>, ReadError> {
        let metadata = match &self.index {
            Index::InFile(metadata) => metadata,
            Index::Found { devices, .. } => {
                let found = devices.iter().position(|(known, _)| known == id);
                let budget = self.budget();
                let device = |at| Device { id: id.clone(), place: Place::Found(at), budget };
                return Ok(found.map(device));
            }
        };
        let table = id.segments.as_ref().and_then(|segments| segments.0.first()?.as_deref());
        let root = metadata.roots.iter().find(|root| root.table.as_deref() == table);
        let Some(root) = root else { return Ok(None) };
        let mut below: Arc<Node<DeviceId>>;
        let mut node = &root.node;
        for _ in 0..INDEX_DEPTH_MAX {
            let found = child_of(node, |key| device_order(key, id));
            let Some(&Child { ref key, start, end }) = found else { return Ok(None) };
            if node.kind == NodeKind::LeafDevice {
                let place = Place::Node { start, end };
                let budget = self.budget();
                return Ok((key == id).then(|| Device { id: id.clone(), place, budget }));
            }
            below = self.node_on_way(start, end)?;
            node = &below;
        }
        Err(too_deep(root.node.children.first()))
    }

    /// All series of a device, in the order of the index; a time column comes first.
    pub fn series<'f>(&'f self, device: &Device) -> Result<SeriesOf<'f, R>, ReadError> {
        let (walk, is_aligned, found) = match device.place {
            Place::Node { start, end } => {
                let root: Node<Box<str>> = self.node(start, end)?;
                let is_aligned = root.is_aligned();
                (Walk::over([root], device.budget.clone()), is_aligned, &[][..])
            }
            Place::Found(at) => (Walk::nothing(), false, self.found(at)),
        };
        let (block, taken_bytes, block_start) = (Vec::new(), 0, 0);
        Ok(SeriesOf { file: self, walk, is_aligned, block, taken_bytes, block_start, found })
    }

    /// The series of a device with this measurement, if it is in the file.
    ///
    /// The empty measurement is the time column of an aligned device.
    pub fn find_series(
        &self,
        device: &Device,
        measurement: &str,
    ) -> Result<Option<Arc<SeriesMetadata>>, ReadError> {
        let (start, end) = match device.place {
            Place::Node { start, end } => (start, end),
            Place::Found(at) => {
                let mut found = self.found(at).iter();
                let found = found.find(|series| &*series.measurement == measurement);
                return Ok(found.cloned().map(Arc::new));
            }
        };
        let mut node: Arc<Node<Box<str>>> = self.node_on_way(start, end)?;
        let is_aligned = node.is_aligned();
        for _ in 0..INDEX_DEPTH_MAX {
            let found = child_of(&node, |key| java_order(key, measurement));
            let Some(&Child { start, end, .. }) = found else { return Ok(None) };
            if node.kind == NodeKind::LeafMeasurement {
                return self.find_in_block(start, end, is_aligned, measurement);
            }
            node = self.node_on_way(start, end)?;
        }
        Err(too_deep(node.children.first()))
    }

    fn find_in_block(
        &self,
        start: u64,
        end: u64,
        is_aligned: bool,
        measurement: &str,
    ) -> Result<Option<Arc<SeriesMetadata>>, ReadError> {
        let held = self.recent.get(start..end, |found| match found {
            Found::Block(block) if block.is_aligned == is_aligned => {
                let mut known = block.known.iter();
                let found = known.find(|series| &*series.measurement == measurement);
                Some(found.map(Arc::clone).ok_or_else(|| block.clone()))
            }
            _ => None,
        });
        let mut block = match held {
            Some(Ok(found)) => return Ok(Some(found)),
            Some(Err(block)) => block,
            None => {
                let (mut bytes, length_bytes) = (Vec::new(), end.saturating_sub(start));
                checked_fetch(&self.source, start, length_bytes, self.limits, &mut bytes)?;
                Block { bytes: Arc::new(bytes), is_aligned, known: Vec::new() }
            }
        };
        let position = usize::try_from(start).unwrap_or(usize::MAX);
        let mut reader = Reader::at(&block.bytes, position);
        let mut found = None;
        while found.is_none() && !reader.is_empty() {
            let series = SeriesMetadata::decode_if(&mut reader, is_aligned, measurement);
            found = series.map_err(malformed_series)?.map(Arc::new);
        }
        block.known.extend(found.clone());
        self.recent.put(start..end, Found::Block(block));
        Ok(found)
    }

    /// For one walk over all that stands behind the data.
    fn budget(&self) -> Budget {
        let metadata_bytes = self.source.length_bytes().saturating_sub(self.data_end());
        Budget(Arc::new(AtomicU64::new(metadata_bytes.saturating_mul(WALKS_MAX))))
    }

    fn found(&self, at: usize) -> &[SeriesMetadata] {
        match &self.index {
            Index::Found { devices, .. } => devices.get(at).map_or(&[], |(_, series)| series),
            Index::InFile(_) => &[],
        }
    }

    fn node<K: Key>(&self, start: u64, end: u64) -> Result<Node<K>, ReadError> {
        let mut bytes = Vec::new();
        checked_fetch(&self.source, start, end.saturating_sub(start), self.limits, &mut bytes)?;
        self.decode_node(&bytes, start)
    }

    /// As [`node`](Self::node), on the way of a look-up.
    fn node_on_way<K: Key>(&self, start: u64, end: u64) -> Result<Arc<Node<K>>, ReadError> {
        if let Some(node) = self.recent.get(start..end, K::node_of) {
            return Ok(node);
        }
        let node = Arc::new(self.node(start, end)?);
        self.recent.put(start..end, K::found(&node));
        Ok(node)
    }

    fn decode_node<K: Key>(&self, bytes: &[u8], start: u64) -> Result<Node<K>, ReadError> {
        let mut reader = Reader::at(bytes, usize::try_from(start).unwrap_or(usize::MAX));
        let node = Node::decode(&mut reader, self.version);
        node.and_then(|node| reader.finish().map(|()| node))
            .map_err(|source| ReadError::Malformed { what: "index node", source })
    }
}

/// The marker between data and metadata.
pub(crate) const SEPARATOR: u8 = 2;

fn malformed_series(source: tidegate_codec::Error) -> ReadError {
    ReadError::Malformed { what: "metadata of a series", source }
}

#[cold]
fn too_deep<K>(child: Option<&Child<K>>) -> ReadError {
    let offset = child.map_or(0, |child| child.start);
    ReadError::unsound(offset, "an index of at most 40 levels", "more")
}

/// The child that has a key if any has: the last one whose own key is not beyond it.
fn child_of<K>(node: &Node<K>, order: impl Fn(&K) -> Order) -> Option<&Child<K>> {
    let behind = node.children.partition_point(|child| order(&child.key).is_le());
    node.children.get(behind.checked_sub(1)?)
}

/// Fetches a structure of the metadata section, if it is within the limits.
fn checked_fetch(
    source: &impl ReadAt,
    offset: u64,
    length_bytes: u64,
    limits: Limits,
    into: &mut Vec<u8>,
) -> Result<(), ReadError> {
    let max = limits.metadata_bytes_max as u64;
    if length_bytes > max {
        let what = "structure of the metadata section";
        return Err(ReadError::TooLarge { offset, what, found: length_bytes, max });
    }
    fetch(source, offset, length_bytes, into)
}

/// A walk over the leaves of an index, depth first.
#[derive(Debug)]
struct Walk<K> {
    /// Children that are left of the nodes on the way, with the kind of their node and its depth.
    stack: Vec<(core::iter::Peekable<std::vec::IntoIter<Child<K>>>, NodeKind)>,
    /// Roots that come later, the next one last.
    later: Vec<Node<K>>,
    budget: Budget,
}

/// How many bytes nodes and blocks may still have, of all devices that were found together. More than
/// the metadata section has mean that some have several parents, and the walk might not end in years.
#[derive(Clone, Debug, Default)]
struct Budget(Arc<AtomicU64>);

/// How often the series of all devices may be walked through by those that one walk has found.
const WALKS_MAX: u64 = 8;

impl Budget {
    fn take(&self, start: u64, end: u64) -> Result<(), ReadError> {
        let length_bytes = end.saturating_sub(start);
        let less = |left: u64| left.checked_sub(length_bytes);
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.map(drop).map_err(|_| {
            let expected = "an index in which every node has one parent";
            ReadError::unsound(start, expected, "a node that was met before")
        })
    }
}

impl<K: Key> Walk<K> {
    fn over(roots: impl IntoIterator<Item = Node<K>>, budget: Budget) -> Self {
        let mut later: Vec<Node<K>> = roots.into_iter().collect();
        later.reverse();
        Self { stack: Vec::new(), later, budget }
    }

    fn nothing() -> Self {
        Self::over([], Budget::default())
    }

    /// The next child of a leaf.
    fn next<R: ReadAt>(&mut self, file: &TsFile<R>) -> Result<Option<Child<K>>, ReadError> {
        loop {
            let Some((children, kind)) = self.stack.last_mut() else {
                let Some(root) = self.later.pop() else { return Ok(None) };
                self.stack.push((root.children.into_iter().peekable(), root.kind));
                continue;
            };
            let Some(child) = children.next() else {
                self.stack.pop();
                continue;
            };
            self.budget.take(child.start, child.end)?;
            if matches!(kind, NodeKind::LeafDevice | NodeKind::LeafMeasurement) {
                return Ok(Some(child));
            }
            if self.stack.len() >= INDEX_DEPTH_MAX {
                return Err(too_deep(Some(&child)));
            }
            let node: Node<K> = file.node(child.start, child.end)?;
            self.stack.push((node.children.into_iter().peekable(), node.kind));
        }
    }
}

/// The devices of a file; ends behind the first error.
#[derive(Debug)]
pub struct Devices<'f, R> {
    file: &'f TsFile<R>,
    walk: Walk<DeviceId>,
    n_found: usize,
    /// For the series of all of them.
    budget: Budget,
}

impl<R: ReadAt> Iterator for Devices<'_, R> {
    type Item = Result<Device, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Index::Found { devices, .. } = &self.file.index {
            let (id, _) = devices.get(self.n_found)?;
            let place = Place::Found(self.n_found);
            self.n_found = self.n_found.saturating_add(1);
            return Some(Ok(Device { id: id.clone(), place, budget: self.budget.clone() }));
        }
        match self.walk.next(self.file) {
            Ok(child) => {
                let Child { key: id, start, end } = child?;
                let place = Place::Node { start, end };
                Some(Ok(Device { id, place, budget: self.budget.clone() }))
            }
            Err(error) => {
                self.walk = Walk::nothing();
                Some(Err(error))
            }
        }
    }
}

/// The series of a device; ends behind the first error.
#[derive(Debug)]
pub struct SeriesOf<'f, R> {
    file: &'f TsFile<R>,
    walk: Walk<Box<str>>,
    /// Whether the device has a time column.
    is_aligned: bool,
    /// The block of series that is being read, and how much of it was.
    block: Vec<u8>,
    taken_bytes: usize,
    block_start: u64,
    /// Series that were found by a walk over the data, those that are left.
    found: &'f [SeriesMetadata],
}

impl<R: ReadAt> SeriesOf<'_, R> {
    fn advance(&mut self) -> Result<Option<SeriesMetadata>, ReadError> {
        if let Some((series, left)) = self.found.split_first() {
            self.found = left;
            return Ok(Some(series.clone()));
        }
        while self.taken_bytes >= self.block.len() {
            let Some(Child { start, end, .. }) = self.walk.next(self.file)? else {
                return Ok(None);
            };
            let length_bytes = end.saturating_sub(start);
            let TsFile { source, limits, .. } = self.file;
            checked_fetch(source, start, length_bytes, *limits, &mut self.block)?;
            (self.taken_bytes, self.block_start) = (0, start);
        }
        let left = self.block.get(self.taken_bytes..).unwrap_or_default();
        let start = usize::try_from(self.block_start).unwrap_or(usize::MAX);
        let mut reader = Reader::at(left, start.saturating_add(self.taken_bytes));
        let series =
            SeriesMetadata::decode(&mut reader, self.is_aligned).map_err(malformed_series)?;
        self.taken_bytes = self.block.len().saturating_sub(reader.remaining());
        Ok(Some(series))
    }
}

impl<R: ReadAt> Iterator for SeriesOf<'_, R> {
    type Item = Result<SeriesMetadata, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.walk = Walk::nothing();
            self.block.clear();
        }
        next.transpose()
    }
}

#[cfg(test)]
mod tests {
    use tidegate_codec::Writer;
    use tidegate_model::DataType;
    use tidegate_model::Value;

    use super::*;
    use crate::Batch;
    use crate::MAGIC;
    use crate::SeriesKind;
    use crate::SeriesSpec;
    use crate::TsFileWriter;
    use crate::WriteOptions;

    /// A file of one device with 300 series.
    fn one_device() -> Vec<u8> {
        let options = WriteOptions::of_version(TsFileVersion::V3);
        let mut writer = TsFileWriter::new(Vec::new(), options).unwrap();
        let id = DeviceId { path: "root.a.d".into(), segments: None };
        for at in 0..300 {
            let spec = SeriesSpec::new(&format!("s{at:03}"), DataType::Int32);
            writer.begin_series(&id, &spec).unwrap();
            let mut batch = Batch::new([DataType::Int32]);
            batch.times.push(1);
            batch.columns[0].presence.push(true);
            assert!(batch.columns[0].values.push(&Value::Int32(at)));
            writer.write(&batch).unwrap();
        }
        writer.finish().unwrap().out
    }

    /// The same file with other devices, and bytes in front of its root where their nodes begin at `starts`.
    fn with_nodes(sound: &[u8], nodes: &[u8], starts: impl IntoIterator<Item = usize>) -> Vec<u8> {
        let file = TsFile::open(sound).unwrap();
        let tail = sound.len() - TAIL_BYTES;
        let length = u32::from_be_bytes(*sound[tail..].first_chunk().unwrap());
        let mut out = sound[..tail - length as usize].to_vec();
        let (first, starts) = (out.len(), Vec::from_iter(starts));
        out.extend_from_slice(nodes);
        let (start, mut writer) = (out.len(), Writer::new(&mut out));
        writer.uvar(starts.len() as u32);
        for (at, node) in starts.into_iter().enumerate() {
            writer.vstr(Some(&format!("root.a.d{at:04}")));
            writer.i64((first + node) as i64);
        }
        writer.i64(start as i64);
        writer.u8(NodeKind::LeafDevice.code());
        writer.i64(file.data_end() as i64);
        let length = (out.len() - start) as u32;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(MAGIC);
        out
    }

    /// The node of the only device of a file.
    fn only_node(sound: &[u8]) -> Node<Box<str>> {
        let file = TsFile::open(sound).unwrap();
        let device = file.devices().next().unwrap().unwrap();
        let Place::Node { start, end } = device.place else { unreachable!() };
        file.node(start, end).unwrap()
    }

    fn bytes_of(kind: NodeKind, key: &str, start: u64, end: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out);
        writer.uvar(1);
        writer.vstr(Some(key));
        writer.i64(start as i64);
        writer.i64(end as i64);
        writer.u8(kind.code());
        out
    }

    /// The same file with a thousand devices, each of which has a node of its own that leads to the
    /// series of the only one.
    fn thousand_devices() -> Vec<u8> {
        let sound = one_device();
        let node = only_node(&sound);
        let (first, last) = (&node.children[0], node.children.last().unwrap());
        let node = bytes_of(node.kind, &first.key, first.start, last.end);
        with_nodes(&sound, &node.repeat(1000), (0..1000).map(|at| at * node.len()))
    }

    /// Each device had a budget of its own, and blocks of series had none.
    #[test]
    fn devices_that_share_their_series_are_found_out_before_each_has_been_walked_through() {
        let file = TsFile::open(thousand_devices()).unwrap();
        let mut n_series = 0;
        let walked = file.devices().try_for_each(|device| {
            for series in file.series(&device?)? {
                series?;
                n_series += 1;
            }
            Ok::<(), ReadError>(())
        });
        assert!(walked.unwrap_err().to_string().contains("every node has one parent"));
        assert!((300..60_000).contains(&n_series), "{n_series}");
        let file = TsFile::open(one_device()).unwrap();
        let device = file.devices().next().unwrap().unwrap();
        for _ in 0..5 {
            assert_eq!(file.series(&device).unwrap().map(Result::unwrap).count(), 300);
        }
    }
    /// A node was known by where it begins, and a series by its block.
    #[test]
    fn what_was_met_on_another_way_is_not_taken_for_what_stands_on_this_one() {
        let sound = one_device();
        let block = &only_node(&sound).children[0];
        let node = |key: &str| bytes_of(NodeKind::LeafMeasurement, key, block.start, block.end);
        let (aligned, plain) = (node(""), node("s000"));
        // the first one has no bytes; the last two have one series, in which nothing says its kind
        let starts = [0, 0, aligned.len()];
        let bytes = with_nodes(&sound, &[aligned, plain].concat(), starts);
        let look_up = |file: &TsFile<&[u8]>, at| {
            let id = DeviceId { path: format!("root.a.d{at:04}").into(), segments: None };
            let device = file.find_device(&id).unwrap().unwrap();
            file.find_series(&device, "s000").map(|found| found.unwrap().kind)
        };
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let file = TsFile::open(&*bytes).unwrap();
            for at in order {
                let fresh = look_up(&TsFile::open(&*bytes).unwrap(), at);
                let found = look_up(&file, at);
                assert_eq!(format!("{found:?}"), format!("{fresh:?}"), "device {at} of {order:?}");
                match at {
                    0 => assert!(found.is_err()),
                    1 => assert_eq!(found.unwrap(), SeriesKind::Value),
                    _ => assert_eq!(found.unwrap(), SeriesKind::Plain),
                }
            }
        }
    }
}
