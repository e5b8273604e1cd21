//! IoTDB's SQL, as far as a store of received data answers it, and IoTDB's times as text.
//!
//! [`parse`] turns a statement into a [`Statement`]; whatever it does not take it refuses by name and
//! place. Nothing here reads data or a clock: the present time comes in a [`TimeContext`], and
//! [`Filter::evaluate`] is given its values.
//!
//! The lexer takes the whole lexical grammar of IoTDB's tree model, so that other statements can be
//! added beside these.

mod error;
mod expand;
mod filter;
mod keyword;
mod lexer;
mod parser;
mod path;
mod statement;
pub mod time;
mod window;

pub use error::Reason;
pub use error::SqlError;
pub use expand::Column;
pub use expand::TooManyColumns;
pub use filter::Comparison;
pub use filter::Condition;
pub use filter::Filter;
pub use filter::Like;
pub use filter::Literal;
pub use filter::Misfit;
pub use filter::TimeRange;
pub use filter::TimeTest;
pub use filter::TypeMismatch;
pub use filter::ValueTest;
pub use parser::parse;
pub use path::Path;
pub use path::shown_path;
pub use statement::Align;
pub use statement::Count;
pub use statement::Function;
pub use statement::Item;
pub use statement::Order;
pub use statement::Page;
pub use statement::Select;
pub use statement::SelectItem;
pub use statement::SelectLast;
pub use statement::Show;
pub use statement::Statement;
pub use statement::What;
pub use window::Bounds;
pub use window::GroupBy;
pub use window::Window;

/// No statement may be longer.
pub const STATEMENT_BYTES_MAX: usize = 64 * 1024;

/// Parentheses and NOTs inside each other.
pub const DEPTH_MAX: usize = 64;

/// Columns that the items and the paths behind FROM make together, before wildcards are looked up.
pub const COLUMNS_MAX: usize = 16 * 1024;

/// Memory that those columns, or the series of a filter, take together, about: a short statement with
/// one long path would multiply it.
pub const COLUMNS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A pattern behind LIKE may not be longer: matching takes time in proportion to it, for each row.
pub const LIKE_BYTES_MAX: usize = 1024;
