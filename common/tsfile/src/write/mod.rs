//! Writing TsFiles: rows to pages, pages to chunks, and the index behind them.

pub(crate) mod error;
pub(crate) mod file;
pub(crate) mod options;
