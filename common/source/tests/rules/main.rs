//! The rules of order and coverage one by one, by hand; the model test next door has them meet.

mod codec;
mod deletions;
mod files;
mod forms;
mod holding;
mod order;
mod pins;
mod runs;
mod strays;
mod tree;
