//! Shared words: the terms that every other crate speaks in. No I/O.

mod data_type;
mod dialect;
pub mod path;
mod pattern;
mod precision;
mod tablet;
mod time;
mod verdict;

pub use data_type::DataType;
pub use dialect::Dialect;
pub use pattern::MeasurementCut;
pub use pattern::PatternError;
pub use pattern::PatternForm;
pub use pattern::SeriesPattern;
pub use precision::Precision;
pub use tablet::Category;
pub use tablet::Column;
pub use tablet::Tablet;
pub use tablet::Value;
pub use time::Time;
pub use verdict::Verdict;
