//! The embedded store: received files, rows and deletions of one origin as one set that can be read.
//!
//! ```text
//! spool ──► Store::apply_request ──► memory ──flush──┐
//!      └──► Store::apply_file ───────────────────────┴──► layers ──► Snapshot::scan
//!                 deletions ──► catalog                      └─merge─┘
//! ```
//!
//! - A **layer** is one TsFile. It has a *precedence*, and of two cells at one time that of the layer
//!   with the greater one counts, if it is not null. A received file is a layer as it is: it is
//!   linked into its place and never decoded.
//! - **Precedence is order of arrival**: the number of the record in the spool. It equals the order
//!   of (stream epoch, stream sequence) of a Tidegate sender, since a stream is one connection with
//!   one item out at a time, an older connection of a stream is dropped before a newer one is
//!   answered, and only whole suffixes are sent again, in their order. Different streams never have a
//!   cell in common. What a file calls its version, and what any clock says, decides nothing.
//! - A **deletion** has a precedence, too. It takes cells of every layer below it and of none above.
//!   Rows in memory it takes at once. Deletions that stand beside a file concern that file alone:
//!   those that came with it, and all others that take something of it, which
//!   [`Store::write_mods`] writes there for whoever reads files without the catalog.
//! - **Memory** holds rows that are in no file yet. The spool is their log: it may let a record go
//!   once [`Store::position`] has passed it, and gives it again after a crash. A record that is
//!   given again changes nothing.
//! - The **catalog** is a journal. One record of it is one change: layers in, layers out, deletions,
//!   position. Files are synced before it speaks of them, and removed after it has stopped to. What
//!   it does not speak of is removed at the next start. One that is damaged or gone is made anew of
//!   what is left of it and of the files; [`Store::rebuilt`] says so.
//! - A **file that is gone or damaged** is [lost](Store::lost): no layer, until it is there again. So is one
//!   whose own deletions are not as they were, since nobody can tell which of its rows are deleted. Whoever
//!   needs rows of it is told, or goes on without them if that is [allowed](OnDamage).
//!   So it is with a whole store that was [removed](Store::gone), if somebody remembers that it was there.
//! - A **series has one type**: that of the newest layer that has points of it which were not
//!   deleted. Older values are converted where every one of them can be. Where they cannot they are
//!   not rows of the series, and [`DeviceScan::hidden`] counts them and names their file; merging
//!   leaves such files alone, so nothing is lost.
//!
//! The root of a store looks like a data directory of IoTDB, `data/unsequence/<database>/<region>/
//! <partition>/<time>-<version>-<inner>-<cross>.tsfile` with its `.resource`. The version is the
//! precedence, so that whoever reads it as IoTDB's comes to the same values. Of the tree model the
//! folder is named after the first two nodes of the devices, since no sender says what the database
//! is.
//!
//! [`Snapshot`] is the one seam of everything above. It gives columns in memory
//! ([`Batch`](tidegate_tsfile::Batch)), not Arrow: to build Arrow takes minutes of CPU time, and the
//! sender, which may read a store, needs none of it. Values, nulls and times lie nearly as Arrow and
//! Parquet have them, so whoever exports moves or copies buffers.
//!
//! Files are read with `pread`. They are not mapped: that would be unsafe code, which this workspace
//! denies, and a damaged disk would end the process where it now is an error.

// Tests may slice what they made themselves.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

mod aggregate;
mod apply;
mod beside;
mod build;
mod catalog;
mod check;
mod columns;
mod damage;
mod device;
mod error;
mod expire;
mod extents;
mod faults;
mod file;
mod fingerprint;
mod flush;
mod gone;
mod horizon;
mod known;
mod layer;
mod leftovers;
mod list;
mod look;
mod lost;
mod memory;
mod merge;
mod rebuild;
mod rows;
mod snapshot;
mod store;
mod tags;
mod tombstone;
mod volume;
mod wanted;

pub use aggregate::Aggregate;
pub use aggregate::merge_past_nan;
pub use aggregate::statistics_past_nan;
pub use build::table_schemas;
pub use catalog::TableName;
pub use check::CHECK_FINDINGS_MAX;
pub use check::Checked;
pub use check::check;
pub use damage::LeftOut;
pub use damage::OnDamage;
pub use device::Device;
pub use error::StoreError;
pub use faults::Fault;
pub use fingerprint::Fingerprint;
pub use gone::Standing;
pub use gone::WHOLE_STORE;
pub use layer::Layer;
pub use layer::LayerKind;
pub use look::Look;
pub use look::Taken;
pub use lost::Lost;
pub use lost::LostPart;
pub use rebuild::Rebuilt;
pub use rows::Rows;
pub use snapshot::DeviceScan;
pub use snapshot::Held;
pub use snapshot::Hidden;
pub use snapshot::Pattern;
pub use snapshot::Scan;
pub use snapshot::Series;
pub use snapshot::Snapshot;
pub use store::Applied;
pub use store::Options;
pub use store::ReceivedFile;
pub use store::Store;
pub use volume::DirVolume;
pub use volume::StoredFile;
pub use volume::Volume;
