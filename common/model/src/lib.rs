//! Shared words: the terms that every other crate speaks in. No I/O.

mod dialect;
mod precision;
mod time;
mod verdict;

pub use dialect::Dialect;
pub use precision::Precision;
pub use time::Time;
pub use verdict::Verdict;
