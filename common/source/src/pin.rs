//! Pins: files that wait, kept from being lost when the source drops them.

use std::sync::Arc;

use crate::identity::FileIdentity;
use crate::identity::TsFileName;
use crate::listing::ModsMark;

/// A file that waits and is worth a pin.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // read by the edge
pub struct PinWanted {
    /// What must be found there.
    pub identity: FileIdentity,
    /// The folder it lies in.
    pub folder: Arc<str>,
    /// Its name there.
    pub name: TsFileName,
    /// The deletions beside it, as far as they were listed.
    pub mods: Option<ModsMark>,
}

/// Which deletions must be pinned beside a file that is to leave from its pin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // known or not
pub enum PinnedMods {
    /// Those that were listed last, and no others: later ones have left by themselves, and the rows
    /// that they delete would come back.
    Exactly(Option<ModsMark>),
    /// Whatever there is: what stood there last is not known since the start.
    Any,
}
