//! Everything that must survive a power cut: every durability decision of the product is here.
//!
//! | Type | What it keeps | How |
//! |---|---|---|
//! | [`TwoSlot`] | one small record, replaced whole | two slots written in turn |
//! | [`Journal`] | a list of small records | append, group sync, atomic rewrite |
//! | [`Spool`] | requests in arrival order, with named consumers | segments, group sync |
//!
//! All of them sit on [`Storage`]: one directory. [`DirStorage`] is the real one;
//! [`sim::SimStorage`] lives in memory, counts operations, fails any of them and yields every state
//! in which a power cut may leave a disk. The byte formats are in `FORMAT.md`.
//!
//! The rules that every type here keeps:
//!
//! 1. Nothing is acknowledged before its bytes, its length and its directory entry are synced.
//! 2. A full disk ([`WriteError::DiskFull`]) is undone and survived. Any other failure, and every
//!    failed sync ([`WriteError::Fatal`]), ends the object: it answers [`WriteError::PreviousIo`]
//!    until it is opened anew. A failed sync leaves pages that look written and are not, so opening
//!    writes again whatever is not known to have been synced, before it is trusted.
//! 3. What is damaged is named with its range. What is intact behind it is still delivered.

mod bytes;
mod consumer;
mod dir_storage;
mod disk;
mod error;
mod frame;
mod journal;
mod log_writer;
mod name;
mod record;
mod recovery;
mod scan;
pub mod sim;
mod spool;
mod spool_open;
mod spool_reader;
mod storage;
mod survey;
mod two_slot;

pub use consumer::AdvanceError;
pub use consumer::Consumer;
pub use consumer::ConsumerError;
pub use dir_storage::DirFile;
pub use dir_storage::DirStorage;
pub use dir_storage::make_directory;
pub use disk::free_bytes;
pub use error::Failure;
pub use error::OpenError;
pub use error::Operation;
pub use error::WriteError;
pub use journal::Journal;
pub use journal::JournalDamage;
pub use journal::JournalRecord;
pub use journal::JournalRecovery;
pub use journal::KIND_RESERVED;
pub use name::FileName;
pub use name::NameError;
pub use record::Record;
pub use record::RecordDraft;
pub use record::Seq;
pub use recovery::LostRange;
pub use recovery::LostReason;
pub use recovery::Recovery;
pub use recovery::SpoolDamage;
pub use recovery::TornTail;
pub use spool::CONSUMERS_MAX;
pub use spool::Spool;
pub use spool::SpoolOptions;
pub use spool::Verify;
pub use spool_reader::Entry;
pub use spool_reader::SpoolReader;
pub use storage::Storage;
pub use storage::StorageFile;
pub use two_slot::TWO_SLOT_PAYLOAD_BYTES_MAX;
pub use two_slot::TwoSlot;
pub use two_slot::TwoSlotContent;
