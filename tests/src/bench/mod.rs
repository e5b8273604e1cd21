//! The performance table: which measures there are, and how they are run and told. Nothing here
//! judges: figures are printed beside their bounds and peers of the same run.

mod bulk;
mod crossing;
mod daemons;
mod iotdb;
mod order;
mod probes;
mod process;
mod sink;
mod stop_wait;
mod table;
mod tap;
mod tsfile;

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use clap::Parser;

use self::table::Row;
use crate::harness::Binaries;
use crate::harness::catch_interrupts;
use crate::harness::check_interrupted;
use crate::workspace;

/// Measure the daemons, with the machine's own limits and a real IoTDB beside them in the same run.
///
/// Prints a table and judges nothing. Build with `cargo build --release` first, or run `make bench`.
#[derive(Clone, Debug, Parser)]
#[command(name = "tidegate-bench", max_term_width = 100)]
pub struct Args {
    /// Smaller sizes and fewer rounds
    #[arg(long)]
    quick: bool,

    /// Run these measures only: bulk, iotdb, stop-wait, memory, start, idle, tsfile, order
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,

    /// Leave the real IoTDB out, and with it Java and the network
    #[arg(long)]
    no_iotdb: bool,

    /// Where everything is written, on the file system to be measured [default: below target/]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

type Measure = fn(&mut Bench) -> Result<()>;

/// The measures; the quiet ones first, before the machine is warm from the others.
const MEASURES: [(&str, Measure); 8] = [
    ("start", daemons::start),
    ("idle", daemons::idle),
    ("stop-wait", stop_wait::run),
    ("memory", daemons::memory),
    ("tsfile", tsfile::run),
    ("order", order::run),
    ("bulk", bulk::run),
    ("iotdb", iotdb::run),
];
/// Linux reports free pages to the hypervisor after two seconds.
const REST_TIME: Duration = Duration::from_secs(4);
/// Odd, so that there is a middle one.
const N_ROUNDS: usize = 3;

/// A run.
struct Bench {
    binaries: Binaries,
    work: PathBuf,
    is_quick: bool,
    started: Instant,
    rows: Vec<Row>,
}

/// Runs the measures and prints the table; whether all of them ran to their end.
pub fn run(args: &Args) -> Result<bool> {
    let known = |name: &String| MEASURES.iter().any(|(known, _)| known == name);
    if let Some(name) = args.only.iter().find(|name| !known(name)) {
        let names = MEASURES.map(|(name, _)| name).join(", ");
        bail!("unknown measure {name}: expected one of {names}");
    }
    catch_interrupts()?;
    let below = args.dir.clone().unwrap_or_else(|| workspace::root().join("target"));
    fs::create_dir_all(&below)?;
    let work = tempfile::Builder::new().prefix("bench-").tempdir_in(&below)?;
    let mut bench = Bench {
        binaries: Binaries::beside_this_one()?,
        work: work.path().to_owned(),
        is_quick: args.quick,
        started: Instant::now(),
        rows: Vec::new(),
    };
    println!("{}", about_machine());
    let mut failed = Vec::new();
    for (name, measure) in MEASURES {
        let is_wanted = args.only.is_empty() || args.only.iter().any(|only| only == name);
        if !is_wanted || (name == "iotdb" && args.no_iotdb) {
            continue;
        }
        let result = measure(&mut bench);
        check_interrupted()?;
        if let Err(error) = result {
            eprintln!("\n{name}: {error:#}\n");
            failed.push(name);
        }
    }
    println!("\n{}", table::render(&bench.rows));
    println!("{} after {:.0} s", about_machine(), bench.started.elapsed().as_secs_f64());
    if !failed.is_empty() {
        println!("did not run to their end: {}", failed.join(", "));
    }
    Ok(failed.is_empty())
}

impl Bench {
    /// Tells where the run is.
    fn step(&self, what: &str) {
        eprintln!("{:>5.0} s  {what}", self.started.elapsed().as_secs_f64());
    }

    /// Takes a line for the table and tells it.
    fn add(&mut self, row: Row) {
        self.step(&format!("-> {}: {} ({})", row.what, row.ours, row.beside));
        self.rows.push(row);
    }

    /// A fresh directory.
    fn dir(&self, name: &str) -> Result<PathBuf> {
        let dir = self.work.join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir(&dir).with_context(|| dir.display().to_string())?;
        Ok(dir)
    }

    fn sized<T>(&self, full: T, quick: T) -> T {
        if self.is_quick { quick } else { full }
    }

    /// How often what is noisy is measured.
    fn n_rounds(&self) -> usize {
        self.sized(N_ROUNDS, 1)
    }
}

/// Takes the intervals out of a sender's configuration: those of the harness are far shorter than
/// what a user gets by default.
fn use_usual_intervals(conf: &Path) -> Result<()> {
    let text = fs::read_to_string(conf)?;
    let usual: Vec<&str> = text.lines().filter(|line| !line.contains("_interval_ms")).collect();
    Ok(fs::write(conf, usual.join("\n") + "\n")?)
}

/// Lets everything be written back that an earlier step has left, so that it disturbs no other.
fn settle_disk() {
    rustix::fs::sync();
}

/// The same, and lets a virtual machine give back the pages that were freed: whoever writes next to
/// the page cache pays for new ones, so a bound and what is held against it must both begin so.
fn rest() {
    settle_disk();
    std::thread::sleep(REST_TIME);
}

fn about_machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let load = read("/proc/loadavg");
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    let n_cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown CPU", |(_, model)| model);
    format!("{n_cores} cores of {model}, load {}", load.join(" "))
}
