//! `.resource`: which devices a sealed TsFile has, from when to when, and how far its data reaches.
//!
//! The extents come first and decide what must be sent with what; they are read or the file is
//! refused. What comes behind them (plan indexes, mods, blocks) differs between versions, and new
//! blocks will come: if something there cannot be read, the extents are given all the same, together
//! with the reason.

use core::fmt;

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::TooLong;
use tidegate_codec::Writer;

use crate::device::DeviceId;
use crate::device::NAME_BYTES_MAX;
use crate::device::Segments;
use crate::mods::ModsKind;
use crate::progress::ProgressIndex;

/// What is added to the name of a TsFile.
pub const RESOURCE_SUFFIX: &str = ".resource";

/// No `.resource` larger than this should be read: over two million devices.
pub const RESOURCE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What a `.resource` file says.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Resource {
    /// How devices are named.
    pub time_index: TimeIndex,
    /// Each device with its first and last time.
    pub devices: Vec<DeviceExtent>,
    /// Numbers of the plans executed in this file.
    pub plan_indexes: Option<PlanIndexes>,
    /// The mods file that it names. Almost never there; the file `<name>.mods` or `<name>.mods2`
    /// beside the TsFile counts whatever stands here.
    pub mods: Option<ModsReference>,
    /// How far its data reaches.
    pub progress: Progress,
    /// Who made the file, from 2.0.2 on.
    pub marks: Option<PipeMarks>,
    /// Whether the file is on remote storage.
    pub is_remote: bool,
    /// Why the rest of the file, behind all that is given here, could not be read.
    pub unread: Option<Error>,
}

/// Form of the time index.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums)] // IoTDB has never had another on disk
pub enum TimeIndex {
    /// 1, from IoTDB 1.x: devices by their path.
    Paths,
    /// 3, from IoTDB 2.x: devices by their segments.
    Segments,
}

/// A range of time stamps, both ends included.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_structs)] // a pair
pub struct TimeRange {
    /// First.
    pub start: i64,
    /// Last; [`i64::MIN`] where nobody has written it down.
    pub end: i64,
}

/// One device and its time.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_structs)] // a pair
pub struct DeviceExtent {
    /// The device.
    pub device: DeviceId,
    /// Its first and last time, as the file has them.
    pub range: TimeRange,
}

/// Numbers of the plans executed in a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // a pair
pub struct PlanIndexes {
    /// Greatest; [`i64::MIN`] if unused.
    pub max: i64,
    /// Least; [`i64::MAX`] if unused.
    pub min: i64,
}

/// A mods file that a `.resource` names.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // one per kind of mods file
pub enum ModsReference {
    /// 1.x: the name of the `.mods` file in the same directory.
    Beside(Box<str>),
    /// 2.x: a `.mods2` file shared by several TsFiles, and where in it this one's entries begin.
    Shared {
        /// Its absolute path at the source.
        path: Box<str>,
        /// Bytes before the first entry.
        offset: i64,
    },
}

/// The progress index of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // there, not there, or not known
pub enum Progress {
    /// It is there. It may still be the minimum, which says nothing.
    Known(ProgressIndex),
    /// The file has none.
    Absent,
    /// It, or something that stands before it, could not be read.
    Unreadable(Error),
}

impl Progress {
    /// The index, if it says something.
    pub fn evidence(&self) -> Option<&ProgressIndex> {
        match self {
            Self::Known(index) if index.is_evidence() => Some(index),
            Self::Known(_) | Self::Absent | Self::Unreadable(_) => None,
        }
    }
}

/// Who made a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the file has these fields
pub struct PipeMarks {
    /// IoTConsensusV2 replicated it.
    pub by_consensus: bool,
    /// A pipe loaded it.
    pub by_pipe: bool,
}

impl PlanIndexes {
    /// Of a file in which none was executed.
    pub const UNUSED: Self = Self { max: i64::MIN, min: i64::MAX };
}

impl TimeRange {
    /// All time.
    pub const ALL: Self = Self { start: i64::MIN, end: i64::MAX };

    /// The least range that is surely not too small.
    ///
    /// A device without an end may reach to any time. A range that ends before it begins is a lie,
    /// and stands for all time.
    #[must_use]
    pub fn widened(self) -> Self {
        match self {
            Self { start, end } if start <= end => self,
            Self { start, end: i64::MIN } => Self { start, end: i64::MAX },
            _ => Self::ALL,
        }
    }

    /// Whether both, widened, have a time in common.
    pub fn overlaps(self, other: Self) -> bool {
        let (one, other) = (self.widened(), other.widened());
        one.start <= other.end && other.start <= one.end
    }

    /// The least range that holds both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

impl fmt::Display for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.start, self.end)
    }
}

impl Resource {
    /// Reads a whole `.resource` file.
    ///
    /// It is an error if the extents cannot be read. What cannot be read behind them is told by
    /// [`progress`](Self::progress) and [`unread`](Self::unread).
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let (time_index, devices) = head(&mut reader)?;
        let mut resource = Self::new(time_index, devices);
        if let Err(error) = resource.tail(&mut reader) {
            if resource.progress == Progress::Absent {
                resource.progress = Progress::Unreadable(error);
            }
            resource.unread = Some(error);
        }
        Ok(resource)
    }

    /// Of devices of which nothing else is known.
    pub fn new(time_index: TimeIndex, devices: Vec<DeviceExtent>) -> Self {
        Self {
            time_index,
            devices,
            plan_indexes: None,
            mods: None,
            progress: Progress::Absent,
            marks: None,
            is_remote: false,
            unread: None,
        }
    }

    /// The bytes of the file, as the IoTDB writes them whose time index it has.
    ///
    /// What could not be read is not written. Where IoTDB has no way to leave something out, what
    /// says nothing stands for it.
    pub fn encode(&self) -> Result<Vec<u8>, TooLong> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        writer.u8(1);
        writer.u8(match self.time_index {
            TimeIndex::Paths => 1,
            TimeIndex::Segments => 3,
        });
        writer.length(self.devices.len());
        for extent in &self.devices {
            writer.i64(extent.range.start);
            writer.i64(extent.range.end);
        }
        for (at, extent) in self.devices.iter().enumerate() {
            match (self.time_index, &extent.device.segments) {
                (TimeIndex::Paths, _) => writer.str(&extent.device.path),
                (TimeIndex::Segments, Some(segments)) => segments.encode(&mut writer),
                (TimeIndex::Segments, None) => {
                    Segments::of_path(&extent.device.path).encode(&mut writer);
                }
            }
            writer.length(at);
        }
        let PlanIndexes { max, min } = self.plan_indexes.unwrap_or(PlanIndexes::UNUSED);
        writer.i64(max);
        writer.i64(min);
        match &self.mods {
            None => writer.nullable_str(None),
            Some(ModsReference::Beside(name)) => writer.str(name),
            Some(ModsReference::Shared { path, offset }) => {
                writer.str(path);
                writer.i64(*offset);
            }
        }
        writer.finish()?;
        self.encode_blocks(&mut bytes)?;
        Ok(bytes)
    }

    fn encode_blocks(&self, bytes: &mut Vec<u8>) -> Result<(), TooLong> {
        match &self.progress {
            Progress::Known(index) => {
                bytes.push(1);
                index.encode(bytes)?;
            }
            Progress::Absent | Progress::Unreadable(_) => bytes.push(0),
        }
        if self.is_remote {
            bytes.push(2);
        }
        if let Some(PipeMarks { by_consensus, by_pipe }) = self.marks {
            bytes.extend([3, u8::from(by_consensus), u8::from(by_pipe)]);
        }
        Ok(())
    }

    /// First to last time of all devices, each widened; nothing if there is no device.
    pub fn range(&self) -> Option<TimeRange> {
        let ranges = self.devices.iter().map(|extent| extent.range.widened());
        ranges.reduce(TimeRange::union)
    }

    /// The devices, in the order of the file.
    pub fn devices(&self) -> impl ExactSizeIterator<Item = &DeviceId> {
        self.devices.iter().map(|extent| &extent.device)
    }

    fn tail(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        let max = reader.i64("greatest plan index")?;
        self.plan_indexes = Some(PlanIndexes { max, min: reader.i64("least plan index")? });
        // Files of before 1.0 end here.
        if reader.is_empty() {
            return Ok(());
        }
        if let Some(name) = reader.nullable_str("name of the mods file", NAME_BYTES_MAX)? {
            // As IoTDB does: only the name tells whether an offset follows.
            self.mods = Some(if name.ends_with(ModsKind::Binary.suffix()) {
                let offset = reader.i64("offset in the shared mods file")?;
                ModsReference::Shared { path: name.into(), offset }
            } else {
                ModsReference::Beside(name.into())
            });
        }
        while !reader.is_empty() {
            self.block(reader)?;
        }
        Ok(())
    }

    fn block(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        let offset = reader.position();
        match reader.u8("kind of a block")? {
            0 => (),
            1 => {
                let index = ProgressIndex::decode(reader)?;
                // IoTDB writes one block; were there two, what both say must be covered.
                self.progress = Progress::Known(match &self.progress {
                    Progress::Known(earlier) => index.joined(earlier),
                    Progress::Absent | Progress::Unreadable(_) => index,
                });
            }
            2 => self.is_remote = true,
            3 => {
                let by_consensus = reader.bool("mark of consensus, 0 or 1")?;
                let by_pipe = reader.bool("mark of a pipe, 0 or 1")?;
                self.marks = Some(PipeMarks { by_consensus, by_pipe });
            }
            found => {
                let expected = "a kind of block (0 to 3)";
                return Err(Error::Value { offset, expected, found: found.into() });
            }
        }
        Ok(())
    }
}

fn head(reader: &mut Reader<'_>) -> Result<(TimeIndex, Vec<DeviceExtent>), Error> {
    let found = reader.u8("version")?;
    if found != 1 {
        return Err(Error::Value { offset: 0, expected: "version 1", found: found.into() });
    }
    let offset = reader.position();
    // Two times, the least device, and the place of its times.
    let (time_index, device_bytes_min) = match reader.u8("kind of the time index")? {
        1 => (TimeIndex::Paths, 16 + 4 + 4),
        3 => (TimeIndex::Segments, 16 + 1 + 4),
        found => {
            let expected = "a time index by device, of kind 1 or 3";
            return Err(Error::Value { offset, expected, found: found.into() });
        }
    };
    let count = reader.count("number of devices", device_bytes_min)?;
    let mut ranges = Vec::with_capacity(count);
    for _ in 0..count {
        let start = reader.i64("first time of a device")?;
        ranges.push(TimeRange { start, end: reader.i64("last time of a device")? });
    }
    let mut devices = Vec::with_capacity(count);
    for _ in 0..count {
        let device = device(reader, time_index)?;
        let offset = reader.position();
        let found = reader.i32("place of the times of a device")?;
        let range = usize::try_from(found).ok().and_then(|at| ranges.get(at).copied());
        let expected = "the place of a device's times among those of all devices";
        let range = range.ok_or_else(|| Error::Value { offset, expected, found: found.into() })?;
        devices.push(DeviceExtent { device, range });
    }
    Ok((time_index, devices))
}

fn device(reader: &mut Reader<'_>, time_index: TimeIndex) -> Result<DeviceId, Error> {
    match time_index {
        TimeIndex::Paths => {
            let path = reader.str("path of a device", NAME_BYTES_MAX)?;
            Ok(DeviceId { path: path.into(), segments: None })
        }
        TimeIndex::Segments => {
            let segments = Segments::decode(reader)?;
            Ok(DeviceId { path: segments.to_string().into(), segments: Some(segments) })
        }
    }
}
