//! What the tests share: the gateway simulator as a library beside its binary, a harness that runs
//! the daemons, and what cargo knows about the workspace.

pub mod arrival;
pub mod bench;
pub mod gateway;
pub mod harness;
pub mod interop;
pub mod site;
pub mod source;
pub mod stored;
pub mod workspace;
