//! Rows as Parquet and Arrow files, for the tools of those who export.
//!
//! ```text
//! begin (a device) ─► write (its batches) ─► group of rows ─► row group or record batch ─► out
//! ```
//!
//! - A file is one [`Table`]: the time, and columns that all have one type. Rows come device by device;
//!   what a device does not have is null.
//! - A group is what is held: so many rows or bytes as [`Limits`] say, whatever the length of the file.
//!   Only the places of the groups that were written are remembered besides, for the end of the file.
//! - Times, values and nulls go from the batches of a store into the buffers of a file as they are. Of
//!   Parquet the interface below Arrow is used: it takes values without their nulls, as a batch has
//!   them.
//!
//! | IoTDB | Parquet | Arrow |
//! |---|---|---|
//! | times, TIMESTAMP | INT64, TIMESTAMP in UTC in the unit of the origin | Timestamp in that unit, UTC |
//! | DATE | INT32, DATE | Date32 |
//! | BOOLEAN, INT32, INT64, FLOAT, DOUBLE | BOOLEAN, INT32, INT64, FLOAT, DOUBLE | the same |
//! | TEXT, STRING | BYTE_ARRAY, STRING | Utf8 |
//! | BLOB, OBJECT | BYTE_ARRAY | Binary |
//!
//! A DATE that is no day is an error. A text that is not UTF-8, which IoTDB does not forbid, has U+FFFD
//! in the places where it is not, as IoTDB itself shows it, and is counted.

// Tests may slice what they made themselves.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

mod arrow;
mod date;
mod error;
mod group;
mod parquet;
mod writer;

pub use error::ColumnarError;
pub use group::Limits;
pub use writer::Column;
pub use writer::Format;
pub use writer::TIME;
pub use writer::Table;
pub use writer::Writer;
