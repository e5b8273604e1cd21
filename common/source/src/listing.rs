//! What a catalog scan saw, as values.

use std::sync::Arc;

use crate::identity::FileIdentity;
use crate::identity::Place;
use crate::identity::RegionKey;
use crate::identity::TsFileName;
use crate::item::ModsSeen;

/// One folder `<space>/<database>/<region>/<partition>` at one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // built by the edge
pub struct Listing {
    /// Which folder, in IoTDB's terms.
    pub place: Place,
    /// Which folder, on disk. Two data directories may hold the same place.
    pub folder: Arc<str>,
    /// The sealed TsFiles in it: those with a `.resource`.
    pub sealed: Vec<SealedFile>,
    /// TsFiles without a `.resource`: open, or left by a crash.
    pub n_unsealed: usize,
}

/// A TsFile whose `.resource` exists.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // built by the edge
pub struct SealedFile {
    /// Its name.
    pub name: TsFileName,
    /// What it is recognised by.
    pub identity: FileIdentity,
    /// Deletions beside it.
    pub mods: Option<ModsSeen>,
}

/// One whole scan.
///
/// Within a region the unsequence folders must be listed before the sequence folders: then an
/// unsequence file that is seen sealed has every sequence file that sealed before it in the same
/// scan or an earlier one.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs)] // built by the edge
pub struct Scan {
    /// Every folder that could be read. A folder in which nothing changed since the last scan comes
    /// as the same `Arc`, which costs nothing to look at.
    pub listings: Vec<Arc<Listing>>,
    /// What could not be read, with the reason. Nothing there counts as vanished.
    pub unread: Vec<Unread>,
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
