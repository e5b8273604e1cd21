//! Reading TsFiles: by index, and without one.

pub(crate) mod batch;
pub(crate) mod chunk;
pub(crate) mod error;
pub(crate) mod file;
pub(crate) mod index;
pub(crate) mod limits;
pub(crate) mod merge;
pub(crate) mod page;
pub(crate) mod recent;
pub(crate) mod recover;
pub(crate) mod rows;
pub(crate) mod source;
pub(crate) mod walk;
