//! The data section from front to back, without the index: what a file without a tail still says.

use tidegate_codec::Error;
use tidegate_codec::Reader;

use super::chunk::ChunkHeader;
use super::file::SEPARATOR;
use super::index::decode_device;
use super::source::Window;
use super::source::fetch;
use crate::DeviceId;
use crate::EndsError;
use crate::HEAD_BYTES;
use crate::MAGIC;
use crate::ReadAt;
use crate::ReadError;
use crate::TsFileVersion;

/// Marker of a chunk group.
pub(crate) const GROUP: u8 = 0;
/// Marker of plan indexes.
pub(crate) const PLAN_INDEXES: u8 = 4;

/// What stands in the data section.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // the file has these
pub enum DataEntry {
    /// Chunks of a device begin.
    Group {
        /// Where the marker stands.
        offset: u64,
        /// The device.
        device: DeviceId,
    },
    /// A chunk of that device; its pages are passed over.
    Chunk(ChunkHeader),
    /// The plan indexes of what stands before; IoTDB writes them behind each flush.
    PlanIndexes {
        /// Where the marker stands.
        offset: u64,
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// The data section ends.
    Separator {
        /// Where the marker stands.
        offset: u64,
    },
}

/// A walk over the data section; ends behind the separator, the last byte, or the first error.
#[derive(Debug)]
pub struct DataEntries<R> {
    source: R,
    version: TsFileVersion,
    window: Window,
    next: u64,
    is_done: bool,
}

impl<R: ReadAt> DataEntries<R> {
    /// Begins behind the magic and version of a file, which need not be finished.
    pub fn new(source: R) -> Result<Self, ReadError> {
        let mut head = Vec::new();
        fetch(&source, 0, source.length_bytes().min(HEAD_BYTES as u64), &mut head)?;
        let version = match head.strip_prefix(MAGIC) {
            Some([3]) => TsFileVersion::V3,
            Some([4]) => TsFileVersion::V4,
            Some([found]) => return Err(EndsError::Version { found: *found }.into()),
            _ => return Err(EndsError::HeadMagic.into()),
        };
        let window = Window::one_of(1);
        Ok(Self { source, version, window, next: HEAD_BYTES as u64, is_done: false })
    }

    /// The layout of the file.
    pub fn version(&self) -> TsFileVersion {
        self.version
    }

    /// Where the next entry begins.
    pub fn position(&self) -> u64 {
        self.next
    }

    fn advance(&mut self) -> Result<Option<DataEntry>, ReadError> {
        let (offset, end, version) = (self.next, self.source.length_bytes(), self.version);
        if offset >= end {
            return Ok(None);
        }
        let entry = self
            .window
            .parse(&self.source, offset, end, |reader| decode(reader, version))?
            .map_err(|source| ReadError::Malformed { what: "data section", source })?;
        let (entry, behind) = entry;
        if behind > end {
            let expected = "a chunk that ends in the file";
            return Err(ReadError::unsound(offset, expected, format!("an end at byte {behind}")));
        }
        self.next = behind;
        self.is_done = matches!(entry, DataEntry::Separator { .. });
        Ok(Some(entry))
    }
}

/// An entry, and where the next one begins.
fn decode(reader: &mut Reader<'_>, version: TsFileVersion) -> Result<(DataEntry, u64), Error> {
    let offset = reader.position() as u64;
    let mut behind = reader.clone();
    let entry = match behind.u8("marker")? {
        GROUP => DataEntry::Group { offset, device: decode_device(&mut behind, version)? },
        PLAN_INDEXES => DataEntry::PlanIndexes {
            offset,
            min: behind.i64("least plan index")?,
            max: behind.i64("greatest plan index")?,
        },
        SEPARATOR => DataEntry::Separator { offset },
        _ => {
            let chunk = ChunkHeader::decode(reader)?;
            let end = chunk.end();
            return Ok((DataEntry::Chunk(chunk), end));
        }
    };
    Ok((entry, behind.position() as u64))
}

impl<R: ReadAt> Iterator for DataEntries<R> {
    type Item = Result<DataEntry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let next = self.advance().transpose();
        self.is_done |= !matches!(next, Some(Ok(_)));
        next
    }
}
