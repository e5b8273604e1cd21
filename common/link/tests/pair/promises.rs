//! Promises of a lane, one by one.
