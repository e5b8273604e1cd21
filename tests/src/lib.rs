//! What the tests share: the gateway simulator as a library, beside its binary.

pub mod gateway;
