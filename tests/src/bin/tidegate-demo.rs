//! `make demo`: real IoTDB files cross a simulated one-way gateway into a store, and every point that can
//! be selected there is compared with what those IoTDBs answered.

use std::collections::BTreeMap;
use std::fs;
use std::io::IsTerminal;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use clap::Parser;
use comfy_table::CellAlignment;
use comfy_table::Table;
use flate2::read::GzDecoder;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use serde_json::Value;
use sha2::Digest;
use sha2::Sha256;
use tidegate_tests::arrival;
use tidegate_tests::harness;
use tidegate_tests::harness::Binaries;
use tidegate_tests::harness::Daemon;
use tidegate_tests::harness::Gateway;
use tidegate_tests::harness::ReceiverSetup;
use tidegate_tests::harness::SenderSetup;
use tidegate_tests::harness::SourceDirs;
use tidegate_tests::stored;
use tidegate_tests::workspace;

/// Ships the TsFiles of two real IoTDBs through a simulated one-way gateway and compares all points.
#[derive(Debug, Parser)]
#[command(name = "tidegate-demo", version, max_term_width = 100)]
struct Arguments {
    /// Line rate of the simulated gateway; 57 is the one public measurement of a real device
    #[arg(long, value_name = "MBIT", default_value_t = 57.0)]
    mbit: f64,
    /// Round trip time of the simulated gateway
    #[arg(long, value_name = "MS", default_value_t = 5.0)]
    rtt_ms: f64,
    /// Directory for everything that is written; kept afterwards
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// The sources, with what there is to know of them.
const SOURCES: [(&str, &str); 2] = [
    ("iotdb-1.2.2", "IoTDB 1.2.2: TsFile version 3, deletions as text"),
    ("iotdb-2.0.1-beta", "IoTDB 2.0.1-beta: TsFile version 4, deletions in binary"),
];
/// What is shown of the store at the end, besides numbers.
const SHOWN: &str = "SELECT s_int32, s_double, s_text FROM root.plant.a1 LIMIT 4";
const DRAWN: &str = "root.plant.a1.s_double";
/// The demo is over in seconds; longer means that something hangs.
const CROSSING_TIME_MAX: Duration = Duration::from_secs(120);
/// The port that operators know.
const PORT: u16 = 9780;

/// One source on its way.
struct Crossing {
    source: &'static str,
    n_files: usize,
    n_bytes: u64,
    setup: SenderSetup,
    sender: Daemon,
    gateway: Gateway,
    took: Option<Duration>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidegate-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    harness::catch_interrupts()?;
    let binaries = Binaries::beside_this_one()?;
    let temporary = tempfile::tempdir().context("making a directory")?;
    let dir = arguments.dir.as_deref().unwrap_or_else(|| temporary.path());
    println!(
        "Tidegate: TsFiles of two real IoTDBs cross a gateway that lets one byte come back.\n"
    );
    let port =
        if TcpListener::bind(("127.0.0.1", PORT)).is_ok() { PORT } else { harness::free_port()? };
    let receiver_setup = ReceiverSetup::with_store(&binaries, &dir.join("receiver"), port, &[])?;
    let mut receiver = receiver_setup.start()?;
    let began = Instant::now();
    let mut crossings = Vec::new();
    for (source, meaning) in SOURCES {
        let crossing = start(arguments, &binaries, dir, source, &receiver_setup)?;
        println!(
            "  {meaning}\n    {} files, {} -> tidegate-sender -> {} -> {} -> tidegate-receiver\n",
            crossing.n_files,
            bytes(crossing.n_bytes),
            crossing.gateway.address,
            receiver_setup.address(),
        );
        crossings.push(crossing);
    }
    watch(&mut crossings, began)?;
    let took = began.elapsed();
    report(&crossings, &receiver_setup, took)?;
    compare(&receiver_setup)?;
    for crossing in crossings {
        let mut sender = crossing.sender;
        sender.terminate()?;
        crossing.gateway.stop()?;
    }
    receiver.terminate()?;
    if let Some(dir) = &arguments.dir {
        println!("everything is in {}", dir.display());
    }
    Ok(())
}

fn start(
    arguments: &Arguments,
    binaries: &Binaries,
    dir: &Path,
    source: &'static str,
    receiver: &ReceiverSetup,
) -> Result<Crossing> {
    let dirs = SourceDirs::fixture(source);
    let files = arrival::sealed_files(&dirs.data())?;
    if files.is_empty() {
        bail!("{}: expected TsFiles", dirs.data().display());
    }
    let dir = dir.join(source);
    fs::create_dir_all(&dir)?;
    let (rtt_ms, mbit) = (arguments.rtt_ms.to_string(), arguments.mbit.to_string());
    let line = ["--profile", "syskeeper-2000-forward", "--rtt-ms", &rtt_ms, "--mbit", &mbit];
    let gateway = Gateway::start(binaries, receiver.address(), &line, &dir.join("gateway.log"))?;
    let setup = SenderSetup::new(binaries, &dir, &dirs, &[])?;
    let profile = [("connector.tidegate.gateway", "syskeeper-2000-forward")];
    setup.write_pipe("demo", gateway.address, &profile)?;
    let sender = setup.start()?;
    let n_bytes = files.values().map(|file| file.length_bytes).sum();
    Ok(Crossing { source, n_files: files.len(), n_bytes, setup, sender, gateway, took: None })
}

/// Shows progress until nothing waits any more.
fn watch(crossings: &mut [Crossing], began: Instant) -> Result<()> {
    let total: u64 = crossings.iter().map(|it| it.n_bytes).sum();
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new(total)
    } else {
        ProgressBar::hidden()
    };
    let style = "{bar:40.cyan/blue} {bytes} of {total_bytes}, {bytes_per_sec}, {msg}";
    bar.set_style(ProgressStyle::with_template(style)?);
    let mut shown_tenths = 0;
    harness::poll(CROSSING_TIME_MAX, "every file to be acknowledged", || {
        let mut sent_bytes = 0;
        let mut sent_files = 0;
        for crossing in crossings.iter_mut() {
            crossing.sender.ensure_running()?;
            let status = crossing.setup.status()?;
            let pipe = &status["pipes"][0];
            let lane = &pipe["lanes"][0];
            sent_bytes += lane["bytes_sent"].as_u64().unwrap_or(0);
            sent_files += pipe["sent_files"].as_u64().unwrap_or(0);
            let waits =
                pipe["pending_files"].as_u64() != Some(0) || pipe["scans"].as_u64() < Some(1);
            if !waits && crossing.took.is_none() {
                crossing.took = Some(began.elapsed());
            }
        }
        bar.set_position(sent_bytes.min(total));
        bar.set_message(format!("{sent_files} files acknowledged"));
        let tenths = sent_bytes * 10 / total.max(1);
        if bar.is_hidden() && tenths > shown_tenths {
            shown_tenths = tenths;
            println!("  {:3} %  {sent_files} files acknowledged", tenths.min(10) * 10);
        }
        Ok(crossings.iter().all(|it| it.took.is_some()).then_some(()))
    })?;
    bar.finish();
    Ok(())
}

/// Prints the summary of the crossings, once the store has taken everything in.
fn report(crossings: &[Crossing], receiver: &ReceiverSetup, took: Duration) -> Result<()> {
    let status = harness::poll(CROSSING_TIME_MAX, "the store to take everything in", || {
        let status: Value = receiver.status()?;
        let came = &status["keeper"]["durable_sequence"];
        Ok((came.is_u64() && *came == status["loader"]["read"]).then_some(status))
    })?;
    let mut table = Table::new();
    table.set_header(["source", "files", "bytes", "seconds", "MB/s", "00", "ff", "none", "other"]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for crossing in crossings {
        let status = crossing.setup.status()?;
        let replies = &status["pipes"][0]["lanes"][0]["replies"];
        let count = |key: &str| replies[key].as_u64().unwrap_or(0);
        let seconds = crossing.took.unwrap_or(took).as_secs_f64();
        table.add_row([
            crossing.source.to_owned(),
            crossing.n_files.to_string(),
            crossing.n_bytes.to_string(),
            format!("{seconds:.2}"),
            format!("{:.2}", crossing.n_bytes as f64 / 1e6 / seconds),
            count("ok").to_string(),
            count("fail").to_string(),
            (count("closed") + count("broken") + count("timeout")).to_string(),
            count("illegal").to_string(),
        ]);
    }
    println!("\n{table}");
    println!("replies: 00 = taken, ff = refused, none = closed or timed out, other = illegal");
    println!(
        "receiver: {} items kept, {} files in its store\n",
        status["keeper"]["durable_sequence"].as_u64().unwrap_or(0),
        status["loader"]["files"].as_u64().unwrap_or(0),
    );
    Ok(())
}

/// Compares what the store answers with what the IoTDBs answered, and shows some of it.
fn compare(receiver: &ReceiverSetup) -> Result<()> {
    let mut table = Table::new();
    table.set_header(["source", "database", "points in the store", "as the source had them"]);
    table.column_mut(2).into_iter().for_each(|it| it.set_cell_alignment(CellAlignment::Right));
    let (mut n_points, mut faults) = (0, Vec::new());
    for (source, _) in SOURCES {
        for (database, expected) in expected(source)? {
            let found = stored::points(receiver, &format!("{database}.**"))?;
            let n_found = found.lines().count();
            let is_equal = expected.is(&found);
            n_points += n_found;
            if !is_equal {
                faults.push(format!("{database} of {source}"));
            }
            let verdict = if is_equal { "all" } else { "NO" };
            table.add_row([source, &database, &n_found.to_string(), verdict]);
        }
    }
    println!("{table}");
    if !faults.is_empty() {
        bail!("the store has other points than its source: {}", faults.join(", "));
    }
    println!("{n_points} points selected from the store, each with the value its source had\n");
    println!("tidegate-receiver sql -e \"{SHOWN}\"");
    println!("{}", stored::print(receiver, SHOWN, &[])?);
    println!("tidegate-receiver plot {DRAWN}");
    println!("{}", stored::plot(receiver, DRAWN)?);
    Ok(())
}

/// What an IoTDB answered.
enum Expected {
    /// Lines of points, with our digits.
    Lines(String),
    /// `lines=N sha256=HEX` of them.
    Digest(String),
}

impl Expected {
    fn is(&self, found: &str) -> bool {
        match self {
            Self::Lines(lines) => lines == found,
            Self::Digest(digest) => {
                let hex: String =
                    Sha256::digest(found).iter().map(|byte| format!("{byte:02x}")).collect();
                *digest == format!("lines={} sha256={hex}", found.lines().count())
            }
        }
    }
}

/// What is known of a fixture's databases, by their names.
fn expected(source: &str) -> Result<BTreeMap<String, Expected>> {
    let dir = workspace::root().join("tests/fixtures").join(source).join("expected");
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(database) = name.strip_suffix(".csv.gz") {
            let mut lines = String::new();
            GzDecoder::new(fs::File::open(&path)?).read_to_string(&mut lines)?;
            found.insert(database.to_owned(), Expected::Lines(stored::with_our_digits(&lines)?));
        } else if let Some(database) = name.strip_suffix(".digest") {
            let digest = fs::read_to_string(&path)?.trim().to_owned();
            found.insert(database.to_owned(), Expected::Digest(digest));
        }
    }
    Ok(found)
}

fn bytes(n_bytes: u64) -> String {
    indicatif::HumanBytes(n_bytes).to_string()
}
