//! Which device: the names in `.resource` files and in deletions of tables.

use core::fmt;
use core::fmt::Write;

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::Writer;

/// Longest path, segment or name; IoTDB's own limits are far below.
pub(crate) const NAME_BYTES_MAX: usize = 64 * 1024;
/// Most segments of one device.
pub(crate) const SEGMENTS_MAX: usize = 4096;

/// The segments of a device of version 4: the table's name, then the values of its tags.
///
/// In the tree model the first three nodes of the path stand for the table.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(clippy::exhaustive_structs)] // the file has this
pub struct Segments(pub Box<[Option<Box<str>>]>);

impl Segments {
    /// Reads a device of version 4.
    ///
    /// A count that the bytes left cannot hold is an [`Error::UnexpectedEnd`], since the bytes may
    /// still be on their way.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let offset = reader.position();
        let what = "number of segments of a device";
        let count = reader.uvar(what)?;
        if usize::try_from(count).map_or(true, |count| count > SEGMENTS_MAX) {
            return Err(Error::Count { offset, what, found: count.into(), max: SEGMENTS_MAX });
        }
        let mut segments = Vec::new();
        for _ in 0..count {
            segments.push(reader.vstr("segment of a device", NAME_BYTES_MAX)?.map(Box::from));
        }
        Ok(Self(segments.into()))
    }

    /// The segments of a dotted path of the tree model.
    ///
    /// The first three nodes are the first segment; of fewer than four nodes all but the last are.
    pub fn of_path(path: &str) -> Self {
        let nodes = tidegate_model::path::nodes(path);
        let n_first = nodes.len().saturating_sub(1).clamp(1, 3);
        let (first, rest) = nodes.split_at_checked(n_first).unwrap_or((&nodes, &[]));
        let rest = rest.iter().map(|node| Some(Box::from(*node)));
        Self(core::iter::once(Some(first.join(".").into())).chain(rest).collect())
    }

    pub(crate) fn encode(&self, writer: &mut Writer<'_>) {
        writer.uvar(u32::try_from(self.0.len()).unwrap_or(u32::MAX));
        for segment in &self.0 {
            writer.vstr(segment.as_deref());
        }
    }
}

/// The segments with dots between them, as IoTDB prints a device. A null segment is `null`.
impl fmt::Display for Segments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_char('.')?;
            }
            f.write_str(segment.as_deref().unwrap_or("null"))?;
        }
        Ok(())
    }
}

/// A device as a `.resource` file names it.
///
/// Equality is that of the file. Version 3 has the path alone, version 4 has segments, and the same
/// device may stand in one file so and in another so: compare [`path`](Self::path)s to find out
/// whether two files may have a device in common.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(clippy::exhaustive_structs)] // the file has this
pub struct DeviceId {
    /// The dotted path, or the segments with dots between them.
    pub path: Box<str>,
    /// The segments, in version 4.
    pub segments: Option<Segments>,
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}
