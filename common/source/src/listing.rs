//! What a catalog scan saw, as values.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use tidegate_model::Dialect;
use tidegate_tsfile::DeviceExtent;
use tidegate_tsfile::ModsKind;

use crate::deletion::SeenDeletion;
use crate::extent::Extent;
use crate::identity::FileIdentity;
use crate::identity::Place;
use crate::identity::RegionKey;
use crate::identity::TsFileName;
use crate::progress::FileProgress;

/// One folder `<space>/<database>/<region>/<partition>` at one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // built by the edge
pub struct Listing {
    /// Which folder, in IoTDB's terms.
    pub place: Place,
    /// Which folder, on disk. Two data directories may hold the same place.
    pub folder: Arc<str>,
    /// The sealed TsFiles in it, those with a `.resource`, sorted by name.
    pub sealed: Vec<SealedFile>,
    /// TsFiles without a `.resource`, sorted: open, or left by a crash.
    pub unsealed: Vec<TsFileName>,
}

impl Listing {
    /// Where in [`sealed`](Self::sealed) the file of that name is.
    pub fn sealed_at(&self, name: TsFileName) -> Option<usize> {
        self.sealed.binary_search_by_key(&name, |file| file.name).ok()
    }

    /// Whether a file of that name is there that is not sealed.
    pub fn is_unsealed(&self, name: TsFileName) -> bool {
        self.unsealed.binary_search(&name).is_ok()
    }

    /// Whether a file of that name is there, sealed or not.
    pub fn shows(&self, name: TsFileName) -> bool {
        self.sealed_at(name).is_some() || self.is_unsealed(name)
    }
}

/// A TsFile whose `.resource` exists.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // built by the edge
pub struct SealedFile {
    /// Its name.
    pub name: TsFileName,
    /// What it is recognised by.
    pub identity: FileIdentity,
    /// What its `.resource` says.
    pub facts: Arc<FileFacts>,
    /// Deletions beside it.
    pub mods: Option<Arc<ModsRead>>,
    /// Whether more that belongs to it may come: IoTDB's LOAD puts a file into its place, then its
    /// `.resource`, then its mods. It is there, but does not leave yet.
    pub is_young: bool,
}

/// What a `.resource` says of its file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // built by the edge
pub struct FileFacts {
    /// Devices and times.
    pub extent: Extent,
    /// Which rows of the consensus are in it; `None` where that says nothing.
    pub progress: Option<FileProgress>,
    /// The devices by name, where drops are to be followed
    /// ([`DropPolicy::Delete`](crate::DropPolicy::Delete)).
    pub devices: Option<Arc<[DeviceExtent]>>,
}

/// A mods file as it was read.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // built by the edge
pub struct ModsRead {
    /// Text or binary.
    pub kind: ModsKind,
    /// Inode: another one means that the list was written anew.
    pub inode: u64,
    /// Up to the end of the last whole entry.
    pub whole_bytes: u64,
    /// The whole entries in the order of the file.
    pub entries: Vec<SeenDeletion>,
    /// Set if what stands behind the last whole entry will never be one.
    pub damage: Option<String>,
}

impl ModsRead {
    /// What of it is told to others.
    pub fn seen(&self) -> ModsSeen {
        ModsSeen { kind: self.kind, length_bytes: self.whole_bytes }
    }

    /// What of it is remembered over a restart.
    pub(crate) fn mark(&self) -> ModsMark {
        ModsMark { seen: self.seen(), inode: self.inode }
    }
}

/// How far a mods file was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // two facts
pub struct ModsSeen {
    /// Text or binary.
    pub kind: ModsKind,
    /// Bytes up to the end of the last whole entry.
    pub length_bytes: u64,
}

/// How far a mods file is dealt with, as the ledger remembers it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // two facts
pub struct ModsMark {
    /// How far it was read.
    pub seen: ModsSeen,
    /// Its inode: a list that was written anew is another one, however long it is.
    pub inode: u64,
}

impl ModsMark {
    /// Of a list that was there and was removed. One that is there later is another one, whatever it
    /// looks like: no list has this inode.
    pub(crate) const REMOVED: Self =
        Self { seen: ModsSeen { kind: ModsKind::Text, length_bytes: 0 }, inode: 0 };

    /// Whether a list is the same one and has only grown, if anything.
    pub(crate) fn is_beginning_of(self, list: &ModsRead) -> bool {
        let Self { seen: ModsSeen { kind, length_bytes }, inode } = self;
        inode == list.inode && kind == list.kind && length_bytes <= list.whole_bytes
    }
}

impl ModsSeen {
    /// Whether a peer of that dialect reads such deletions: 1.2 has no form for any beside a file,
    /// 1.3 loads `.mods` only, 2.0 both.
    pub fn travels_in(self, dialect: Dialect) -> bool {
        match self.kind {
            ModsKind::Text => dialect > Dialect::V1_2,
            ModsKind::Binary => dialect >= Dialect::V2_0,
        }
    }
}

/// One whole scan.
///
/// Two rules make it say more than its parts:
///
/// - Within a region the unsequence folders are listed before the sequence folders: then an
///   unsequence file that is seen sealed has every sequence file that was there when it sealed in
///   the same scan, or in an earlier one.
/// - The mods files are read after all folders were listed: then every deletion that was made
///   before the last row of a sealed file stands beside the files that are listed, unless a
///   compaction has taken it in.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs)] // built by the edge
pub struct Scan {
    /// Every folder that could be read. A folder in which nothing changed since the last scan comes
    /// as the same `Arc`, which costs nothing to look at.
    pub listings: Vec<Arc<Listing>>,
    /// What could not be read, with the reason. Nothing there counts as vanished.
    pub unread: Vec<Unread>,
    /// Regions that are there and not listed, since another replica of them is sent. Nothing there
    /// counts as vanished.
    pub skipped: HashSet<RegionKey>,
    /// Regions in which files went between their listing and the reading of their mods.
    pub unsettled: HashSet<RegionKey>,
    /// When it began, on the clock of the file system, in nanoseconds since 1970.
    pub now_ns: i64,
    /// What is known of the time since the scan before.
    pub watched: Watched,
    /// Lists of deletions that were written to beside files that went before the lists were looked
    /// at, by what their file was recognised by: as they were in the end.
    pub last_mods: HashMap<FileIdentity, LastMods>,
    /// Facts that only grow while the source is what it was; see [`SourceMarks`].
    pub marks: SourceMarks,
}

/// What a watcher saw between two scans.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_enums)] // watched or not
pub enum Watched {
    /// Nobody looked, or not everywhere: anything may have come and gone.
    #[default]
    No,
    /// Every folder that was listed in the scan before was watched since.
    Yes {
        /// Partitions in which a TsFile appeared and was gone before it was listed, or is not listed
        /// yet, and those that are unseen.
        broken: HashSet<(RegionKey, i64)>,
        /// Partitions that were not watched, or not all of the time.
        unseen: HashSet<(RegionKey, i64)>,
        /// Mods files that were written to, by folder and by name of their TsFile, before the mods
        /// were read in this scan and after they were in the one before.
        touched: HashSet<(Arc<str>, TsFileName)>,
    },
}

/// The deletions beside a file that has gone, all of them.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs)] // built by the edge
pub struct LastMods {
    /// The folder and the name under which the file had them.
    pub at: (Arc<str>, TsFileName),
    /// The deletions.
    pub mods: Arc<ModsRead>,
}

/// Facts about the source that never go backwards, but when it is restored from a backup.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // built by the edge
pub struct SourceMarks {
    /// Digest of the cluster's and the DataNode's name.
    pub node: Option<u64>,
    /// How often the DataNode was started.
    pub reboots: Option<u64>,
}

impl Scan {
    /// What of the tree may hold more than was listed.
    pub fn unlisted(&self) -> Unlisted<'_> {
        let unread = self.unread.iter().filter_map(|unread| unread.region.as_ref());
        Unlisted {
            is_all: self.unread.iter().any(|unread| unread.region.is_none()),
            regions: unread.chain(&self.skipped).collect(),
        }
    }
}

/// The regions that could not be read whole, or were not to be; made by [`Scan::unlisted`].
#[derive(Clone, Debug)]
pub struct Unlisted<'s> {
    is_all: bool,
    regions: HashSet<&'s RegionKey>,
}

impl Unlisted<'_> {
    /// Whether anything may be in that region that the scan does not show.
    pub fn covers(&self, region: &RegionKey) -> bool {
        self.is_all || self.regions.contains(region)
    }
}

/// A part of the tree that could not be read.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // built by the edge
pub struct Unread {
    /// The region concerned; `None` when a whole space or data directory could not be read.
    pub region: Option<RegionKey>,
    /// What failed, naming the path.
    pub reason: String,
}
