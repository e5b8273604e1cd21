//! What both daemons share at their edge: lock file, control socket, log, signals, threads.
//!
//! Nothing here decides about data. Everything here may block, touch files or read a clock, so none
//! of it is called from the event loop, but for the channels it hands out.

pub mod control;
pub mod files;
pub mod inspect;
pub mod lock;
pub mod log;
pub mod rate_limit;
pub mod signals;
pub mod supervise;
pub mod text;
