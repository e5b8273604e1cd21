//! What of a file is wanted: all of it, nothing, or some points, and those as tablets.

pub(crate) mod share;
pub(crate) mod tablets;
