//! What the tests share: the gateway simulator as a library beside its binary, and what cargo knows
//! about the workspace.

pub mod gateway;
pub mod workspace;
