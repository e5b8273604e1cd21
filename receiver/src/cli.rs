//! The command line: the daemon itself, and the questions that are put to a running one.

use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::Parser;
use clap::Subcommand;
use tidegate_config::CONFIG_TEXT_BYTES_MAX;
use tidegate_config::Loaded;
use tidegate_config::RECEIVER_TABLE;
use tidegate_config::ReceiverConfig;
use tidegate_daemon::control;
use tidegate_daemon::control::AskError;
use tidegate_daemon::files;
use tidegate_daemon::inspect;
use tidegate_daemon::text;
use tidegate_durable::DirStorage;
use tidegate_sql::time::UtcOffset;

use crate::daemon;
use crate::data::Place;
use crate::export;
use crate::gaps;
use crate::plot;
use crate::sql;
use crate::state::Layout;
use crate::status;
use crate::status::Report;
use crate::verify;

/// A question is answered within this time or not at all.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// Exit status for a configuration that cannot be used, as in `sysexits`.
const EXIT_CONFIG: u8 = 78;
/// Exit status of an answer that lacks what is damaged, as was wanted.
const EXIT_INCOMPLETE: u8 = 3;
/// Exit status of what was interrupted, as a shell has it for SIGINT.
const EXIT_INTERRUPTED: u8 = 130;
/// Exit status when the daemon is not running or gives no answer.
const EXIT_UNAVAILABLE: u8 = 69;

/// Receives Apache IoTDB time series across a one-way security gateway.
#[derive(Parser)]
#[command(name = "tidegate-receiver", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon in the foreground; SIGTERM ends it, SIGHUP rereads the configuration
    Run(Conf),
    /// Say what is connected, what was taken, what waits, and what is wrong
    Status(Question),
    /// List what is known to be missing: refused for good, or lost in a damaged spool
    Gaps(Gaps),
    /// Print what a TsFile, .resource, .mods or .mods2 file says; needs no daemon and no
    /// configuration
    Inspect(Inspect),
    /// Ask the embedded store: SELECT, SHOW, COUNT
    Sql(Sql),
    /// Write series of the embedded store to a file
    Export(Export),
    /// Draw a series of the embedded store in the terminal
    Plot(Plot),
    /// Read all files of the embedded store and say whether they are sound
    Verify(Verify),
    /// Give up the files of a store that are lost: answers go on without their rows, for good
    ForgetLost(ForgetLost),
    /// Check receiver.properties without starting
    CheckConf(Conf),
    /// Print receiver.properties with every key, its default and its meaning
    PrintDefaultConf,
}

#[derive(Args)]
struct Conf {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/tidegate/receiver.properties")]
    conf: PathBuf,
}

#[derive(Args)]
struct Question {
    #[command(flatten)]
    conf: Conf,
    /// Control socket, instead of the one named in the configuration
    #[arg(long, value_name = "PATH")]
    control_socket: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Gaps {
    #[command(flatten)]
    question: Question,
    /// Print each gap on one line, however long
    #[arg(long, conflicts_with = "json")]
    wide: bool,
}

#[derive(Args)]
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

#[derive(Args)]
struct Stored {
    #[command(flatten)]
    conf: Conf,
    /// Whose data; without it, those of all origins
    #[arg(long, value_name = "NAME")]
    origin: Option<String>,
    /// Offset of times that are shown or are written without one
    #[arg(long, value_name = "+hh:mm", default_value = "Z", value_parser = zone)]
    zone: UtcOffset,
    /// Answer without files that are lost and chunks that are damaged; names them, and ends with
    /// status 3
    #[arg(long)]
    skip_damaged: bool,
}

#[derive(Args)]
struct Sql {
    #[command(flatten)]
    stored: Stored,
    /// The statement; without it, statements are read from the standard input
    #[arg(long, short = 'e', value_name = "STATEMENT")]
    execute: Option<String>,
    /// How rows are printed
    #[arg(long, value_enum, default_value = "table")]
    format: sql::Format,
    /// How times are printed
    #[arg(long, value_enum, default_value = "iso")]
    time: sql::Times,
}

#[derive(Args)]
struct Export {
    #[command(flatten)]
    stored: Stored,
    /// The kind of file
    #[arg(long, value_enum)]
    format: export::Kind,
    /// Series by their full paths, with * and **; may be given several times
    #[arg(long, value_name = "PATTERN", default_value = "root.**")]
    pattern: Vec<String>,
    /// A database of the table model, instead of series
    #[arg(long, value_name = "NAME", conflicts_with = "pattern")]
    database: Option<String>,
    /// A table of that database; only tsfile takes several
    #[arg(long, value_name = "NAME", requires = "database")]
    table: Option<String>,
    /// The first time
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// The last time
    #[arg(long, value_name = "TIME")]
    end: Option<String>,
    /// How times are written in csv
    #[arg(long, value_enum, default_value = "iso")]
    time: sql::Times,
    /// The file, which must not be there yet; - for the standard output, with csv
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Args)]
struct Verify {
    #[command(flatten)]
    conf: Conf,
    /// Whose data; without it, those of all origins
    #[arg(long, value_name = "NAME")]
    origin: Option<String>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct ForgetLost {
    #[command(flatten)]
    question: Question,
    /// Whose files
    #[arg(long, value_name = "NAME")]
    origin: String,
}

#[derive(Args)]
struct Plot {
    #[command(flatten)]
    stored: Stored,
    /// The full path of a series
    series: String,
    /// The first time
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// The last time
    #[arg(long, value_name = "TIME")]
    end: Option<String>,
}

fn zone(text: &str) -> Result<UtcOffset, String> {
    UtcOffset::parse(text).map_err(|error| error.to_string())
}

/// Does what the arguments ask for.
pub(crate) fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(conf) => match load(&conf.conf) {
            Ok(loaded) => daemon::run(&conf.conf, loaded),
            Err(message) => fail(EXIT_CONFIG, &message),
        },
        Command::CheckConf(conf) => match load(&conf.conf) {
            Ok(loaded) => {
                let notices: String =
                    loaded.notices.iter().map(|notice| format!("{notice}\n")).collect();
                print(&format!("{notices}{}: no fault\n", conf.conf.display()))
            }
            Err(message) => fail(EXIT_CONFIG, &message),
        },
        Command::Status(question) => ask(&question, &control::Request::new("status"), |value| {
            serde_json::from_value::<Report>(value).map(|report| status::render(&report))
        }),
        Command::Gaps(Gaps { question, wide }) => {
            ask(&question, &control::Request::new("gaps"), |value| {
                let columns = (!wide).then(text::columns);
                let gaps = serde_json::from_value::<Vec<status::GapReport>>(value)?;
                Ok(status::render_gaps(&gaps, columns))
            })
        }
        Command::Inspect(Inspect { file, json, pages, points, with_deleted }) => {
            let what = inspect::Inspect {
                as_json: json,
                with_pages: pages,
                as_points: points,
                with_deleted,
            };
            match inspect::run(&file, what) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(1, &format!("{error:#}")),
            }
        }
        Command::Sql(arguments) => ask_store(arguments),
        Command::Export(arguments) => export(arguments),
        Command::Plot(Plot { stored, series, start, end }) => {
            let drawn = stored.place().and_then(|place| {
                let times = (start.as_deref(), end.as_deref());
                let picture = plot::draw(&place, &series, times, stored.zone)?;
                Ok((picture, place))
            });
            match drawn {
                Ok((picture, place)) => complete(&place, print(&picture)),
                Err(message) => fail(1, &message),
            }
        }
        Command::ForgetLost(ForgetLost { question, origin }) => {
            let request = control::Request::new("forget-lost").with("origin", origin);
            ask(&question, &request, |value| {
                serde_json::from_value::<Vec<String>>(value).map(|files| render_forgotten(&files))
            })
        }
        Command::Verify(Verify { conf, origin, json }) => verify(&conf.conf, origin, json),
        Command::PrintDefaultConf => print(&RECEIVER_TABLE.render_conf()),
    }
}

impl Stored {
    fn place(&self) -> Result<Place, String> {
        let place = Place::find(&self.conf.conf, self.origin.clone())?;
        Ok(place.skipping(self.skip_damaged))
    }
}

fn ask_store(Sql { stored, execute, format, time }: Sql) -> ExitCode {
    let place = match stored.place() {
        Ok(place) => place,
        Err(message) => return fail(EXIT_CONFIG, &message),
    };
    let shell = sql::Shell { place, format, times: time, offset: stored.zone };
    let answered = match execute {
        Some(statement) => shell.answer(&statement),
        None => shell.answer_all(),
    };
    match answered {
        Ok(()) => complete(&shell.place, ExitCode::SUCCESS),
        Err(sql::Failure::Closed) => ExitCode::FAILURE,
        Err(sql::Failure::Message(message)) => fail(1, &message),
    }
}

fn export(arguments: Export) -> ExitCode {
    let Export { stored, format, pattern, database, table, start, end, time, out } = arguments;
    let place = match stored.place() {
        Ok(place) => place,
        Err(message) => return fail(EXIT_CONFIG, &message),
    };
    let (offset, as_numbers) = (stored.zone, time == sql::Times::Epoch);
    let times = (start, end);
    let (kind, patterns) = (format, pattern);
    let export =
        export::Export { place, kind, patterns, database, table, times, as_numbers, offset, out };
    match export.run() {
        Ok(n_points) if export.is_to_stdout() => {
            eprintln!("tidegate-receiver: {n_points} points");
            complete(&export.place, ExitCode::SUCCESS)
        }
        Ok(n_points) => {
            let told = print(&format!("{n_points} points in {}\n", export.out.display()));
            complete(&export.place, told)
        }
        Err(export::Stopped::Closed) => ExitCode::FAILURE,
        Err(export::Stopped::Message(message)) => fail(1, &message),
        Err(export::Stopped::Interrupted) if export.is_to_stdout() => {
            fail(EXIT_INTERRUPTED, "interrupted: what was written is not complete")
        }
        Err(export::Stopped::Interrupted) => {
            let out = export.out.display();
            fail(EXIT_INTERRUPTED, &format!("interrupted: {out} was not written"))
        }
    }
}

/// The status of an answer, if it was given.
fn complete(place: &Place, status: ExitCode) -> ExitCode {
    match place.is_incomplete() && status == ExitCode::SUCCESS {
        true => ExitCode::from(EXIT_INCOMPLETE),
        false => status,
    }
}

fn verify(conf: &Path, origin: Option<String>, as_json: bool) -> ExitCode {
    let place = match Place::find(conf, origin) {
        Ok(place) => place,
        Err(message) => return fail(EXIT_CONFIG, &message),
    };
    match verify::run(&place, as_json) {
        Ok((true, text)) => print(&text),
        Ok((false, text)) => {
            print(&text);
            ExitCode::FAILURE
        }
        Err(message) => fail(1, &message),
    }
}

/// Reads a configuration file.
pub(crate) fn load(path: &Path) -> Result<Loaded<ReceiverConfig>, String> {
    let bytes =
        files::read_at_most(path, CONFIG_TEXT_BYTES_MAX).map_err(|error| error.to_string())?;
    let name = path.display().to_string();
    ReceiverConfig::load(&name, &bytes).map_err(|errors| errors.to_string())
}

fn render_forgotten(files: &[String]) -> String {
    let lines = files.iter().map(|file| format!("{file}: given up\n"));
    match files.is_empty() {
        true => String::from("nothing is lost\n"),
        false => lines.collect(),
    }
}

fn ask(
    question: &Question,
    request: &control::Request,
    render: impl Fn(serde_json::Value) -> serde_json::Result<String>,
) -> ExitCode {
    let socket = match &question.control_socket {
        Some(socket) => socket.clone(),
        None => match load(&question.conf.conf) {
            Ok(loaded) => loaded.config.control_socket,
            Err(message) => return fail(EXIT_CONFIG, &message),
        },
    };
    let answer = match control::ask(&socket, request, ANSWER_TIME_MAX) {
        Ok(answer) => answer,
        // not of one that runs: what it has in memory may not be there yet
        Err(error @ AskError::NotRunning { .. })
            if request.command == "gaps" && question.control_socket.is_none() =>
        {
            match gaps_on_disk(&question.conf.conf) {
                Ok(answer) => answer,
                Err(reading) => return fail(EXIT_UNAVAILABLE, &format!("{error}; {reading}")),
            }
        }
        // it runs, and there is no such origin, say
        Err(error @ AskError::Refused { .. }) if request.command == "forget-lost" => {
            return fail(1, &error.to_string());
        }
        Err(error) => return fail(EXIT_UNAVAILABLE, &error.to_string()),
    };
    let text = match question.json {
        true => serde_json::to_string_pretty(&answer).map(|text| text + "\n"),
        false => render(answer),
    };
    match text {
        Ok(text) => print(&text),
        Err(error) => fail(EXIT_UNAVAILABLE, &format!("the daemon's answer: {error}")),
    }
}

/// Only looks: whoever asks may not be the daemon's user, and must leave nothing behind.
fn gaps_on_disk(conf: &Path) -> Result<serde_json::Value, String> {
    let memory = Layout::of(&load(conf)?.config.state_dir).memory;
    let shown = |error: &dyn core::fmt::Display| format!("{}: {error}", memory.display());
    let storage = DirStorage::existing(&memory).map_err(|error| shown(&error))?;
    let gaps = gaps::inspect(&storage).map_err(|error| shown(&error))?;
    let reports: Vec<_> = gaps.iter().map(status::GapReport::of).collect();
    serde_json::to_value(reports).map_err(|error| shown(&error))
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        // the reader has seen enough, as with `head`
        Err(_) => ExitCode::FAILURE,
    }
}

pub(crate) fn fail(status: u8, message: &str) -> ExitCode {
    eprintln!("tidegate-receiver: {message}");
    ExitCode::from(status)
}
