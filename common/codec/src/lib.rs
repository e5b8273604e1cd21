//! Bytes to values and back: a bounded reader, a writer and IoTDB's five pipe compressors. No I/O.
//!
//! Nothing in this crate panics on what it reads, and nothing that is read decides how much memory
//! is taken: lengths are checked against what is really there and against a cap first.

#![warn(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

mod compress;
mod copies;
mod error;
mod lz4;
mod reader;
mod snappy;
mod writer;

pub use compress::{CompressError, PipeCompression, PipeCompressor};
pub use error::Error;
pub use reader::Reader;
pub use writer::{TooLong, Writer};
