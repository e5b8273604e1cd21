//! Which item may leave next: what a live IoTDB's directories hold, what has left, and in which
//! order the rest goes.
//!
//! No I/O and no clock: listings and outcomes come in, [`Item`]s and [`Effect`]s go out.

mod deletion;
mod extent;
mod gap;
mod identity;
mod item;
mod listing;
mod partition;
mod pending;
mod pin;
mod progress;
mod record;
mod region;
mod source;
mod watermark;

pub use deletion::Deletion;
pub use deletion::DeletionKey;
pub use deletion::Scope;
pub use deletion::SeenDeletion;
pub use deletion::Series;
pub use deletion::cut;
pub use extent::DeviceSpan;
pub use extent::Extent;
pub use extent::device_key;
pub use gap::Gap;
pub use gap::GapReason;
pub use gap::UnreadPoints;
pub use identity::FileIdentity;
pub use identity::Place;
pub use identity::RegionKey;
pub use identity::Space;
pub use identity::TsFileName;
pub use item::Age;
pub use item::DeleteItem;
pub use item::FileItem;
pub use item::Form;
pub use item::Item;
pub use item::ItemKind;
pub use item::Outcome;
pub use item::Precedence;
pub use item::Token;
pub use listing::FileFacts;
pub use listing::LastMods;
pub use listing::Listing;
pub use listing::ModsMark;
pub use listing::ModsRead;
pub use listing::ModsSeen;
pub use listing::Scan;
pub use listing::SealedFile;
pub use listing::SourceMarks;
pub use listing::Unlisted;
pub use listing::Unread;
pub use listing::Watched;
pub use pin::PinWanted;
pub use pin::PinnedMods;
pub use progress::FileProgress;
pub use record::Boundary;
pub use record::Known;
pub use record::Record;
pub use record::RecordError;
pub use record::Sent;
pub use region::ReadRule;
pub use source::Departed;
pub use source::DropPolicy;
pub use source::Effect;
pub use source::Source;
pub use source::SourceConfig;
pub use source::Stall;
pub use source::StreamStatus;
#[doc(hidden)]
pub use source::Without;
pub use tidegate_model::Verdict;
