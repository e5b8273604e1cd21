//! `tidegate-sender`: reads a live IoTDB's files from outside and ships them through a gateway that
//! lets one byte come back.

mod catalog;
mod commands;
mod daemon;
mod deletion;
mod drive;
mod edge;
mod excerpts;
mod filter;
mod lane_slot;
mod ledger;
mod line;
mod manager;
mod message;
mod pinning;
mod pins;
mod pipe;
mod pipes;
mod reader;
mod refusals;
mod resolver;
mod scanner;
mod settings;
mod status;
mod tablets;
mod unsendable;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;

/// Ships Apache IoTDB time series through a one-way security gateway.
#[derive(Debug, Parser)]
#[command(name = "tidegate-sender", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon in the foreground; SIGTERM ends it, SIGHUP rereads configuration and pipes
    Run(Conf),
    /// Say what each pipe has sent, what waits, and what is wrong
    Status(Ask),
    /// List what could not be delivered, with the reason
    Gaps(Gaps),
    /// Print what a TsFile, .resource, .mods or .mods2 file says; needs no daemon and no
    /// configuration
    Inspect(Inspect),
    /// Check sender.properties and all pipe definitions without starting
    CheckConf(Conf),
    /// Print sender.properties with every key, its default and its meaning
    PrintDefaultConf,
}

#[derive(Debug, clap::Args)]
struct Conf {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/tidegate/sender.properties")]
    conf: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Ask {
    #[command(flatten)]
    conf: Conf,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Gaps {
    #[command(flatten)]
    ask: Ask,
    /// Print each gap on one line, however long
    #[arg(long, conflicts_with = "json")]
    wide: bool,
}

#[derive(Debug, clap::Args)]
struct Inspect {
    /// The file; its name tells of which kind it is
    file: PathBuf,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
    /// Of a TsFile: print every page, too
    #[arg(long)]
    pages: bool,
    /// Of a TsFile: print its points as csv, and nothing else
    #[arg(long, conflicts_with_all = ["json", "pages"])]
    points: bool,
    /// Of a TsFile: print also points that the deletions beside it take
    #[arg(long, requires = "points")]
    with_deleted: bool,
}

impl Inspect {
    fn run(&self) -> anyhow::Result<()> {
        let what = tidegate_daemon::inspect::Inspect {
            as_json: self.json,
            with_pages: self.pages,
            as_points: self.points,
            with_deleted: self.with_deleted,
        };
        tidegate_daemon::inspect::run(&self.file, what)
    }
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run(conf) => daemon::run(&conf.conf),
        Command::Status(ask) => commands::status(&ask.conf.conf, ask.json),
        Command::Gaps(Gaps { ask, wide }) => commands::gaps(&ask.conf.conf, ask.json, wide),
        Command::Inspect(inspect) => inspect.run(),
        Command::CheckConf(conf) => commands::check_conf(&conf.conf),
        Command::PrintDefaultConf => commands::print_default_conf(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidegate-sender: {error:#}");
            ExitCode::FAILURE
        }
    }
}
