//! The metadata section: series, index nodes and the tail, in the order in which IoTDB writes them.

use std::collections::BTreeMap;
use std::io::Write;

use tidegate_codec::Writer;
use tidegate_model::Category;

use super::error::WriteError;
use super::memory::DeviceMemory;
use super::memory::SeriesMemory;
use super::memory::write_offset;
use super::out::Out;
use super::out::encode;
use crate::DeviceId;
use crate::Limits;
use crate::MAGIC;
use crate::NodeKind;
use crate::TableColumn;
use crate::TableSchema;
use crate::TsFileVersion;
use crate::bloom::BloomFilter;
use crate::read::file::SEPARATOR;
use crate::read::index::device_order;
use crate::read::index::java_order;

/// What the index is made of.
pub(crate) struct Ingredients<'a> {
    pub(crate) version: TsFileVersion,
    pub(crate) degree: usize,
    pub(crate) devices: &'a BTreeMap<DeviceId, DeviceMemory>,
    pub(crate) tables: &'a [TableSchema],
    /// How many chunks the file has.
    pub(crate) n_chunks: usize,
}

impl<'a> Ingredients<'a> {
    /// Writes everything behind the chunks. Returns the devices in the order of the index.
    pub(crate) fn write<W: Write>(
        &self,
        out: &mut Out<W>,
    ) -> Result<Vec<(&'a DeviceId, &'a DeviceMemory)>, WriteError> {
        let separator = out.position();
        out.structure(|writer| writer.u8(SEPARATOR))?;
        let mut devices: Vec<_> = self.devices.iter().collect();
        devices.sort_by(|(left, _), (right, _)| device_order(left, right));
        // IoTDB reckons with chunks, not series: the filter of a file of many flushes is larger.
        let mut bloom = BloomFilter::for_series(self.n_chunks);
        let mut below = Vec::with_capacity(devices.len());
        for (device, memory) in &devices {
            below.push((*device, self.measurements(device, memory, &mut bloom, out)?));
        }
        let table_of = |id: &'a DeviceId| id.segments.as_ref()?.0.first()?.as_deref();
        let mut roots = Vec::new();
        for group in below.chunk_by(|(left, _), (right, _)| table_of(left) == table_of(right)) {
            let table = group.first().and_then(|(device, _)| table_of(device));
            if let Some(root) = self.devices(group, out)? {
                roots.push((table, root));
            }
        }
        let metadata = self.metadata(&roots, separator, &bloom)?;
        let max = i32::MAX as usize;
        let too_large =
            || WriteError::TooLarge { what: "metadata of the file", found: metadata.len(), max };
        let length = i32::try_from(metadata.len()).map_err(|_| too_large())?;
        out.bytes(&metadata)?;
        out.structure(|writer| {
            writer.i32(length);
            writer.bytes(MAGIC);
        })?;
        Ok(devices)
    }

    /// Writes the series of a device and the nodes above them but the root, which is returned as the
    /// bytes that it will have.
    fn measurements<W: Write>(
        &self,
        device: &DeviceId,
        memory: &DeviceMemory,
        bloom: &mut BloomFilter,
        out: &mut Out<W>,
    ) -> Result<Vec<u8>, WriteError> {
        let mut series: Vec<(&str, &SeriesMemory)> =
            memory.series.iter().map(|(name, series)| (&**name, series)).collect();
        series.sort_by(|(left, _), (right, _)| java_order(left, right));
        let mut leaves = Vec::new();
        for leaf in series.chunks(self.degree.saturating_mul(self.degree)) {
            let mut node = Node::new(NodeKind::LeafMeasurement);
            for run in leaf.chunks(self.degree) {
                let first = run.first().map_or("", |(name, _)| *name);
                let start = out.position();
                node.add(first, self.version, start)?;
                for (name, series) in run {
                    bloom.add(&device.path, name);
                    out.structure(|writer| series.encode(name, writer))?;
                }
                // Readers fetch a run at once. It is so large only if it is full of large texts.
                let found = out.position().saturating_sub(start);
                let found = usize::try_from(found).unwrap_or(usize::MAX);
                let max = Limits::default().metadata_bytes_max;
                if found > max {
                    let what = "metadata of neighbouring series";
                    return Err(WriteError::TooLarge { what, found, max });
                }
            }
            node.end = out.position();
            leaves.push(node);
        }
        let mut bytes = Vec::new();
        if let Some(root) = self.above(leaves, NodeKind::InternalMeasurement, out)? {
            encode(&mut bytes, |writer| root.encode(writer))?;
        }
        Ok(bytes)
    }

    /// Writes the nodes of devices of one table but the root, which is returned.
    fn devices<W: Write>(
        &self,
        devices: &[(&'a DeviceId, Vec<u8>)],
        out: &mut Out<W>,
    ) -> Result<Option<Node<'a, DeviceId>>, WriteError> {
        let mut leaves = Vec::new();
        for run in devices.chunks(self.degree) {
            let mut node = Node::new(NodeKind::LeafDevice);
            for (device, measurements) in run {
                node.add(*device, self.version, out.position())?;
                out.bytes(measurements)?;
            }
            node.end = out.position();
            leaves.push(node);
        }
        self.above(leaves, NodeKind::InternalDevice, out)
    }

    /// Builds levels above nodes until one node is left, and writes all but that.
    fn above<'k, K: Key + ?Sized, W: Write>(
        &self,
        mut nodes: Vec<Node<'k, K>>,
        kind: NodeKind,
        out: &mut Out<W>,
    ) -> Result<Option<Node<'k, K>>, WriteError> {
        while nodes.len() > 1 {
            let mut above = Vec::with_capacity(nodes.len().div_ceil(self.degree));
            for run in nodes.chunks(self.degree) {
                let mut node = Node::new(kind);
                for child in run {
                    if let Some(first) = child.first {
                        node.add(first, self.version, out.position())?;
                    }
                    out.structure(|writer| child.encode(writer))?;
                }
                node.end = out.position();
                above.push(node);
            }
            nodes = above;
        }
        Ok(nodes.pop())
    }

    fn metadata(
        &self,
        roots: &[(Option<&str>, Node<'_, DeviceId>)],
        separator: u64,
        bloom: &BloomFilter,
    ) -> Result<Vec<u8>, WriteError> {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let is_v3 = self.version == TsFileVersion::V3;
        let mut bytes = Vec::new();
        encode(&mut bytes, |writer| {
            if !is_v3 {
                writer.uvar(count(roots.len()));
            }
            for (table, root) in roots {
                if !is_v3 {
                    writer.vstr(Some(table.unwrap_or("")));
                }
                root.encode(writer);
            }
            if !is_v3 {
                writer.uvar(count(self.tables.len()));
                for table in self.tables {
                    writer.vstr(Some(&table.name));
                    writer.uvar(count(table.columns.len()));
                    table.columns.iter().for_each(|column| column.encode(writer));
                }
            }
            write_offset(writer, separator);
            bloom.encode(writer);
            if !is_v3 {
                writer.var(PROPERTIES.len() as i32);
                for (key, value) in PROPERTIES {
                    writer.vstr(Some(key));
                    writer.vstr(value);
                }
            }
        })?;
        Ok(bytes)
    }
}

/// What IoTDB says of a file that is not encrypted, in its order.
const PROPERTIES: [(&str, Option<&str>); 3] = [
    ("encryptLevel", Some("0")),
    ("encryptKey", None),
    ("encryptType", Some("org.apache.tsfile.encrypt.UNENCRYPTED")),
];

/// A node that is being filled.
struct Node<'k, K: ?Sized> {
    kind: NodeKind,
    first: Option<&'k K>,
    n_children: u32,
    /// Keys and offsets.
    children: Vec<u8>,
    /// Where the last child ends.
    end: u64,
}

/// A key of a node.
trait Key {
    fn encode(&self, version: TsFileVersion, writer: &mut Writer<'_>);
}

impl Key for str {
    fn encode(&self, _: TsFileVersion, writer: &mut Writer<'_>) {
        writer.vstr(Some(self));
    }
}

impl Key for DeviceId {
    fn encode(&self, version: TsFileVersion, writer: &mut Writer<'_>) {
        match &self.segments {
            Some(segments) if version != TsFileVersion::V3 => segments.encode(writer),
            _ => writer.vstr(Some(&self.path)),
        }
    }
}

impl<'k, K: Key + ?Sized> Node<'k, K> {
    fn new(kind: NodeKind) -> Self {
        Self { kind, first: None, n_children: 0, children: Vec::new(), end: 0 }
    }

    fn add(&mut self, key: &'k K, version: TsFileVersion, start: u64) -> Result<(), WriteError> {
        self.first = self.first.or(Some(key));
        self.n_children = self.n_children.saturating_add(1);
        encode(&mut self.children, |writer| {
            key.encode(version, writer);
            write_offset(writer, start);
        })
    }

    fn encode(&self, writer: &mut Writer<'_>) {
        writer.uvar(self.n_children);
        writer.bytes(&self.children);
        write_offset(writer, self.end);
        writer.u8(self.kind.code());
    }
}

impl TableColumn {
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.str(&self.name);
        writer.u8(self.data_type.code());
        writer.u8(self.encoding.code());
        writer.u8(self.compression.code());
        writer.length(0);
        writer.i32(match self.category {
            Category::Tag => 0,
            Category::Field => 1,
            Category::Attribute => 2,
            Category::Time => 3,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::path::PathBuf;

    use super::*;
    use crate::SeriesKind;
    use crate::SeriesSpec;
    use crate::TsFile;

    /// TsFiles that real servers sealed.
    fn real() -> Vec<PathBuf> {
        let (mut folders, mut found) = (Vec::new(), Vec::new());
        folders.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures"));
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|it| it == "tsfile") {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }

    /// The file with everything behind its chunks written anew, from what a reader finds there.
    fn rewritten(file: &TsFile<&Vec<u8>>) -> Vec<u8> {
        let mut devices: BTreeMap<DeviceId, DeviceMemory> = BTreeMap::new();
        for device in file.devices() {
            let device = device.unwrap();
            let memory = devices.entry(device.id().clone()).or_default();
            for series in file.series(&device).unwrap() {
                let series = series.unwrap();
                let spec = series.data_type.map(|it| SeriesSpec::new(&series.measurement, it));
                for chunk in &series.chunks {
                    let spec = spec.as_ref().filter(|_| series.kind != SeriesKind::Time);
                    memory.add(spec, series.kind, chunk.offset, &chunk.statistics).unwrap();
                }
            }
        }
        let series = devices.values().flat_map(|device| device.series.values());
        let ingredients = Ingredients {
            version: file.version(),
            degree: 256,
            devices: &devices,
            tables: file.tables(),
            n_chunks: series.map(|series| series.n_chunks as usize).sum(),
        };
        let mut out = Out::new(Vec::new());
        out.bytes(&file.source()[..usize::try_from(file.data_end()).unwrap()]).unwrap();
        ingredients.write(&mut out).unwrap();
        out.finish().unwrap().0
    }

    #[test]
    fn the_index_of_a_real_file_comes_out_to_the_byte() {
        let mut n_files = 0;
        for path in real() {
            let bytes = fs::read(&path).unwrap();
            let Ok(file) = TsFile::open(&bytes) else { continue };
            let again = rewritten(&file);
            let equal = bytes.iter().zip(&again).take_while(|(left, right)| left == right).count();
            assert!(
                again == bytes,
                "{}: {} of {} bytes equal, {} written",
                path.display(),
                equal,
                bytes.len(),
                again.len()
            );
            for device in file.devices() {
                let device = device.unwrap();
                for series in file.series(&device).unwrap() {
                    assert!(file.may_contain(device.id(), &series.unwrap().measurement));
                }
            }
            n_files += 1;
        }
        assert!(n_files > 40, "{n_files}");
    }
}
