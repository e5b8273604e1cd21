//! Which item may leave next: what a live IoTDB's directories hold, what has left, and in which
//! order the rest goes.
//!
//! No I/O and no clock: listings and outcomes come in, [`Item`]s and [`Effect`]s go out.

mod gap;
mod identity;
mod item;
mod listing;
mod record;
mod source;
mod stream;

pub use gap::Gap;
pub use gap::GapReason;
pub use identity::FileIdentity;
pub use identity::Place;
pub use identity::RegionKey;
pub use identity::Space;
pub use identity::TsFileName;
pub use item::Extent;
pub use item::FileItem;
pub use item::Item;
pub use item::ItemKind;
pub use item::ModsSeen;
pub use item::Outcome;
pub use item::Precedence;
pub use item::Token;
pub use listing::Listing;
pub use listing::Scan;
pub use listing::SealedFile;
pub use listing::Unread;
pub use record::Record;
pub use record::RecordError;
pub use record::Sent;
pub use source::Departed;
pub use source::Effect;
pub use source::Source;
pub use source::Stall;
pub use source::StreamStatus;
pub use tidegate_model::Verdict;
