//! `tidegate-receiver`: takes what crosses a one-way gateway, makes it durable, and answers with one
//! byte.
//!
//! ```text
//! edge (sockets, timers) ──► writer ──► sealer ──► keeper (spool) ──► loader (target)
//!                              └► hasher ──┘
//! ```
//!
//! Each box is a thread with one job. The edge never touches a disk, the keeper is the only one that
//! acknowledges, and whatever fails in between ends the daemon before a false OK could leave.

mod buffers;
mod cli;
mod control;
mod daemon;
mod data;
mod dedup;
mod disk;
mod edge;
mod export;
mod facts;
mod gaps;
mod hasher;
mod ingest;
mod keeper;
mod loader;
mod manifest;
mod placement;
mod plot;
mod records;
mod registry;
mod sealer;
mod sql;
mod state;
mod status;
mod target;
mod threads;
mod verify;
mod waiting;
mod writer;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
