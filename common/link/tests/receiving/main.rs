//! What the receiving session promises, over real conversations and over damaged ones.

mod rules;
mod streams;
mod support;
