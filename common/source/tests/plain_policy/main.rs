//! The plain policy of this release, driven by hand and by random directories and random fates.

mod fates;
mod rules;
mod tree;
mod vanishing;
