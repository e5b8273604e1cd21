//! Answers statements over snapshots of stores: rows, aggregates and lists, batch by batch.
//!
//! ```text
//! Statement ──► sites (which series are meant) ──► join or statistics ──► pages ──► Sink
//! ```
//!
//! - [`Query::run`] gives typed rows to a [`Sink`], column by column as the store has them. Memory is
//!   taken for one batch of each device, whatever the number of rows is.
//! - Rows of several devices are joined by time. The newest first are read in windows of time from the
//!   end, each small enough to be held.
//! - Aggregates without a condition about values come from statistics where the store allows it.
//! - What would take more than the bounds below is refused, and the error says what to do.
//!
//! [`output`] writes rows as IoTDB's table, csv or json.

// Tests may slice what they made themselves.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

mod accumulate;
mod aggregate;
mod answer;
mod backward;
mod by_device;
mod condition;
mod error;
mod join;
mod last;
pub mod output;
mod plot;
mod query;
mod rows;
mod select;
mod show;
mod site;
pub mod text;
mod windows;

pub use answer::Column;
pub use answer::Head;
pub use answer::Sink;
pub use error::QueryError;
pub use plot::Plot;
pub use query::Outcome;
pub use query::Query;
pub use query::Source;
pub use query::patterns;

/// Series that one statement may join by time: each takes memory for a batch of its rows.
pub const JOINED_MAX: usize = 1000;

/// Columns of one result.
pub const RESULT_COLUMNS_MAX: usize = 100_000;

/// Notices that are kept of one statement; the others are counted.
pub const NOTICES_MAX: usize = 16;
