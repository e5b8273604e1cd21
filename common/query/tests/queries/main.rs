//! Answers equal those of brute force over everything that a store holds, and look as they should.

mod brute;
mod damage;
mod names;
mod origins;
mod output;
mod rules;
mod site;
mod stream;
#[path = "../../../store/tests/support/mod.rs"]
mod support;
