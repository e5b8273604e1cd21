//! Writing TsFiles: rows to pages, pages to chunks, and the index behind them.

pub(crate) mod chunk;
pub(crate) mod crew;
pub(crate) mod error;
pub(crate) mod file;
pub(crate) mod group;
pub(crate) mod index;
pub(crate) mod memory;
pub(crate) mod names;
pub(crate) mod options;
pub(crate) mod out;
pub(crate) mod packer;
