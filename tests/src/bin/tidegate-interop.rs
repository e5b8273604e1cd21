//! `tidegate-interop`: Tidegate against a real IoTDB, compared by values. Decides the exit status;
//! everything else is `tidegate_tests::interop`.

use std::process::ExitCode;

use clap::Parser;

use tidegate_tests::interop;

fn main() -> ExitCode {
    match interop::run(&interop::Args::parse()) {
        Ok(tally) if tally.n_failed == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tidegate-interop: {error:#}");
            ExitCode::FAILURE
        }
    }
}
