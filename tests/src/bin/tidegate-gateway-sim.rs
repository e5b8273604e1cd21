//! `tidegate-gateway-sim`: rehearse a one-way lateral isolation gateway. Decides where lines are
//! printed and when to stop; everything else is `tidegate_tests::gateway`.

use std::fs;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use clap::Parser;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::consts::SIGUSR1;
use signal_hook::flag;
use signal_hook::low_level::pipe;

use tidegate_tests::gateway;
use tidegate_tests::gateway::Args;
use tidegate_tests::gateway::Event;
use tidegate_tests::gateway::Observer;
use tidegate_tests::gateway::Stats;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidegate-gateway-sim: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> io::Result<()> {
    let stopping = Arc::new(AtomicBool::new(false));
    let (mut wake, signalled) = UnixStream::pair()?;
    for signal in [SIGINT, SIGTERM] {
        // Flag first, then the pipe: who is woken sees the flag.
        flag::register(signal, Arc::clone(&stopping))?;
    }
    for signal in [SIGINT, SIGTERM, SIGUSR1] {
        pipe::register(signal, signalled.try_clone()?)?;
    }

    let config = args.config();
    let (listen, target, profile) = (config.listen, config.target, config.rules.profile);
    let verbose = args.verbose();
    let print = move |event: &Event| {
        if verbose || !event.what.is_routine() {
            // A closed stderr must not stop the rehearsal.
            let _ = writeln!(io::stderr(), "{event}");
        }
    };
    let handle = gateway::spawn_observed(config, Observer::new(print))
        .map_err(|error| io::Error::new(error.kind(), format!("{listen}: {error}")))?;
    say(&format!("listening on {}", handle.addr()))?;
    eprintln!("forwarding to {target} as {profile}");

    loop {
        wake.read_exact(&mut [0])?;
        if stopping.load(Ordering::SeqCst) {
            return report(args, &handle.stop()?);
        }
        report(args, &handle.stats()?)?;
    }
}

fn report(args: &Args, stats: &Stats) -> io::Result<()> {
    let line = serde_json::to_string(stats).map_err(io::Error::other)?;
    if let Some(path) = args.stats_json() {
        fs::write(path, format!("{line}\n")).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
    }
    say(&line)
}

/// One line on stdout, at once: tests and scripts wait for it.
fn say(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}
