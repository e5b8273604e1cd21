//! `make demo`: real IoTDB files cross a simulated one-way gateway, and every checksum is compared.

use std::fs;
use std::io::IsTerminal;
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
use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use serde_json::Value;
use tidegate_tests::arrival;
use tidegate_tests::harness;
use tidegate_tests::harness::Binaries;
use tidegate_tests::harness::Daemon;
use tidegate_tests::harness::Gateway;
use tidegate_tests::harness::ReceiverSetup;
use tidegate_tests::harness::SenderSetup;
use tidegate_tests::harness::SourceDirs;

/// Ships the TsFiles of two real IoTDBs through a simulated one-way gateway and compares them.
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
    let receiver_setup = ReceiverSetup::at_port(&binaries, &dir.join("receiver"), port, &[])?;
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

/// Compares every checksum and prints the summary.
fn report(crossings: &[Crossing], receiver: &ReceiverSetup, took: Duration) -> Result<()> {
    let mut source = std::collections::BTreeMap::new();
    for crossing in crossings {
        source.extend(arrival::sealed_files(&SourceDirs::fixture(crossing.source).data())?);
    }
    let n_files = source.len() as u64;
    harness::poll(CROSSING_TIME_MAX, "every file to be in its place", || {
        let placed = arrival::arrived(&receiver.files())?.values().map(Vec::len).sum::<usize>();
        Ok((placed as u64 >= n_files).then_some(()))
    })?;
    let comparison = arrival::compare(&source, &arrival::arrived(&receiver.files())?);
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
    let status: Value = receiver.status()?;
    println!("\n{table}");
    println!("replies: 00 = taken, ff = refused, none = closed or timed out, other = illegal\n");
    println!(
        "receiver: {} items in its spool\n",
        status["keeper"]["durable_sequence"].as_u64().unwrap_or(0)
    );
    if !comparison.faults.is_empty() {
        bail!(
            "{} files are not as they should be: {}",
            comparison.faults.len(),
            comparison.faults[0]
        );
    }
    println!(
        "SHA-256 compared: {} of {} files are equal on both sides ({})",
        comparison.n_equal,
        source.len(),
        bytes(comparison.equal_bytes)
    );
    Ok(())
}

fn bytes(n_bytes: u64) -> String {
    indicatif::HumanBytes(n_bytes).to_string()
}
