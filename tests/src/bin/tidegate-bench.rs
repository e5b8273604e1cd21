//! `tidegate-bench`: the performance table. Decides the exit status; everything else is
//! `tidegate_tests::bench`.

use std::process::ExitCode;

use clap::Parser;

use tidegate_tests::bench;

fn main() -> ExitCode {
    match bench::run(&bench::Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tidegate-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
