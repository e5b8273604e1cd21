//! What a TsFile and its companions are on disk.

mod magic;
mod mods;

pub use magic::EndsError;
pub use magic::HEAD_BYTES;
pub use magic::MAGIC;
pub use magic::TAIL_BYTES;
pub use magic::TsFileVersion;
pub use magic::check_ends;
pub use mods::ModsKind;
pub use mods::WholeEntries;
