//! What makes a file of the source the same file as one seen before.
//!
//! The path is an attribute, never the identity: a compaction target takes its source's time and
//! version, and an insertion compaction hard-links a file under a new name.

use core::fmt;
use std::sync::Arc;

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::Writer;

/// One data region of the source: what one stream of items comes from.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(clippy::exhaustive_structs)] // a plain compound name
pub struct RegionKey {
    /// Database folder, such as `root.sg` (tree model) or `plant` (table model).
    pub database: Arc<str>,
    /// Region id, unique in the cluster.
    pub region: u32,
}

impl RegionKey {
    /// Whether the database belongs to the table model, whose names have no `root.` prefix.
    pub fn is_table_model(&self) -> bool {
        &*self.database != "root" && !self.database.starts_with("root.")
    }
}

impl fmt::Display for RegionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.database, self.region)
    }
}

/// Which of the two spaces of a data directory a file lies in.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(clippy::exhaustive_enums)] // IoTDB knows these two
pub enum Space {
    /// `sequence/`: times of a device only grow from file to file.
    Sequence,
    /// `unsequence/`: late data, which win over the sequence space.
    Unsequence,
}

impl Space {
    /// Name of the folder under a data directory.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sequence => "sequence",
            Self::Unsequence => "unsequence",
        }
    }
}

/// Where a file lies: region, time partition and space.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(clippy::exhaustive_structs)] // a plain compound name
pub struct Place {
    /// The region.
    pub region: RegionKey,
    /// Time partition; negative for times before the origin.
    pub partition: i64,
    /// The space.
    pub space: Space,
}

/// `<time>-<version>-<inner>-<cross>.tsfile`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(clippy::exhaustive_structs)] // the four numbers of IoTDB's file names
pub struct TsFileName {
    /// Counter in the partition; newer data have the higher version.
    pub version: u64,
    /// Creation time in milliseconds.
    pub time_ms: u64,
    /// Number of inner-space compactions behind the file.
    pub inner: u32,
    /// Number of cross-space compactions behind the file.
    pub cross: u32,
}

impl TsFileName {
    /// Parses a bare file name; `None` for anything that IoTDB would not have written.
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(".tsfile")?.split('-');
        let parsed = Self {
            time_ms: number(parts.next()?)?,
            version: number(parts.next()?)?,
            inner: u32::try_from(number(parts.next()?)?).ok()?,
            cross: u32::try_from(number(parts.next()?)?).ok()?,
        };
        parts.next().is_none().then_some(parsed)
    }

    /// Whether a compaction made the file: IoTDB counts them in the name of their target, and a
    /// flush or a LOAD has none.
    pub(crate) fn is_of_compaction(&self) -> bool {
        self.inner > 0 || self.cross > 0
    }
}

impl fmt::Display for TsFileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, time_ms, inner, cross } = self;
        write!(f, "{time_ms}-{version}-{inner}-{cross}.tsfile")
    }
}

/// What stays the same when a sealed file is renamed or hard-linked, and changes when its inode
/// number is given to another file.
///
/// The number of the file system is no part of it: over a reboot or a remount it may change (LVM,
/// NFS, btrfs, the order in which disks are found), and then everything would be sent again. Two
/// files of different disks would have to agree in inode, length and nanosecond to be confused.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(clippy::exhaustive_structs)] // facts of one stat(2)
pub struct FileIdentity {
    /// Number of the inode. Alone it would lie: numbers of deleted files are used again.
    pub inode: u64,
    /// Length; a sealed TsFile never changes it.
    pub length_bytes: u64,
    /// Last modification of the content, in nanoseconds since 1970.
    pub mtime_ns: i64,
}

impl FileIdentity {
    pub(crate) fn encode(&self, out: &mut Writer<'_>) {
        out.i64(self.inode.cast_signed());
        out.i64(self.length_bytes.cast_signed());
        out.i64(self.mtime_ns);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            inode: reader.i64("number")?.cast_unsigned(),
            length_bytes: reader.i64("number")?.cast_unsigned(),
            mtime_ns: reader.i64("number")?,
        })
    }
}

/// Digits only: no sign, no blank, no leading plus.
fn number(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_iotdb_writes_are_tsfiles() {
        let name = TsFileName::parse("1795346872988-12-3-0.tsfile").expect("a real name");
        assert_eq!((name.time_ms, name.version, name.inner, name.cross), (1795346872988, 12, 3, 0));
        assert_eq!(name.to_string(), "1795346872988-12-3-0.tsfile");
        for other in [
            "1-1-0.tsfile",
            "1-1-0-0-0.tsfile",
            "1-1-0-0.tsfile.resource",
            "1-1-0-0.inner",
            "-1-1-0-0.tsfile",
            "+1-1-0-0.tsfile",
            "1-1-0-99999999999.tsfile",
            "1-1-0- 0.tsfile",
            "99999999999999999999999-1-0-0.tsfile",
            ".tsfile",
        ] {
            assert_eq!(TsFileName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn newer_versions_sort_behind_older_ones_whatever_their_times() {
        let old = TsFileName::parse("9-1-0-0.tsfile").expect("a name");
        let new = TsFileName::parse("1-2-0-0.tsfile").expect("a name");
        assert!(old < new, "IoTDB compares versions before times when it reads");
    }
}
