//! What a sending and a receiving session decide, as state machines.
//!
//! Nothing here opens a socket, reads a file or looks at a clock: bytes and [`Time`] come in as
//! arguments, decisions go out as values. Both daemons drive these machines from one mio loop; the
//! tests drive them in pairs through a faulty gateway with a clock that jumps.

pub mod receiving;
pub mod sending;

pub use tidegate_model::Time;
