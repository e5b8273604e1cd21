//! What order and coverage cost: many small files from first to last, scans in which nothing
//! changed, the time from a seal to the wire, and the model.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use rustix::fs::inotify;
use rustix::io::Errno;

use super::Bench;
use super::process;
use super::process::Watch;
use super::sink::Came;
use super::sink::FrameSink;
use super::table::Goal;
use super::table::Row;
use super::table::mebibytes;
use super::table::median;
use super::table::millis;
use super::table::seconds;
use crate::harness::Daemon;
use crate::harness::SenderSetup;
use crate::harness::SourceDirs;
use crate::harness::check_interrupted;
use crate::workspace;

const FIXTURE: &str = "iotdb-2.0.1-beta";
/// A TsFile of one device, and the length of its `.resource`.
const TS_FILE: &str = "sequence/root.office/2/2810/1795382334182-3-0-0.tsfile";
const RESOURCE_BYTES: usize = 77;
/// Where the `.resource` has first and last time, and the number of its progress.
const TIMES_AT: usize = 6;
const PROGRESS_AT: usize = RESOURCE_BYTES - 8;

const FIRST_PARTITION: u64 = 2600;
const PARTITION_MS: u64 = 604_800_000;
/// Time between two files of a partition.
const STEP_MS: u64 = 100_000;
const FIRST_TIME_MS: u64 = 1_700_000_000_000;
/// One file in so many is in unsequence, over the times of the one before it.
const UNSEQUENCE_EVERY: u64 = 10;

/// Nothing here takes longer, whatever the machine.
const RUN_TIME_MAX: Duration = Duration::from_secs(1800);
/// Files whose way from seal to wire is timed.
const N_LATE_FILES: usize = 50;
const LATE_TIME_MAX: Duration = Duration::from_secs(30);
/// Scans over which their cost is averaged.
const N_SCANS: u64 = 20;
const MODEL_TEST: &str = "whatever_happens_the_far_side_reads_what_the_source_reads";

/// How a sender notices a file, and how soon it must be on its way then.
struct Noticing {
    what: &'static str,
    keys: &'static str,
    limit_ms: f64,
    note: &'static str,
}

const WATCHED: Noticing = Noticing {
    what: "from a seal to the wire, at worst",
    keys: "",
    limit_ms: 100.0,
    note: "inotify and the default interval of scans",
};
/// One interval, and what a scan takes.
const UNWATCHED: Noticing = Noticing {
    what: "the same without inotify",
    keys: "sender_watch=off\nsender_rescan_interval_ms=1000\n",
    limit_ms: 1_100.0,
    note: "sender_watch=off, a scan a second",
};

/// The measure.
pub(super) fn run(bench: &mut Bench) -> Result<()> {
    many_files(bench)?;
    latency(bench, &WATCHED)?;
    latency(bench, &UNWATCHED)?;
    model(bench)
}

/// 100,000 small files in 200 partitions, and then nothing.
fn many_files(bench: &mut Bench) -> Result<()> {
    let (n_files, n_partitions) = bench.sized((100_000, 200), (10_000, 50));
    let dir = bench.dir("order")?;
    bench.step(&format!("order: writing {n_files} files in {n_partitions} partitions"));
    let mut tree = SmallFiles::new(&dir.join("source"), n_partitions)?;
    for _ in 0..n_files {
        tree.add()?;
    }
    super::settle_disk();
    bench.step("order: sending them to a sink");
    let sink = FrameSink::start()?;
    let source = SourceDirs::below(&tree.root);
    let mut run = Run::start(&prepare(bench, &dir, &source, &sink)?)?;
    let watch = Watch::start(&[run.daemon.pid()]);
    run.wait_seals(&sink, 1)?;
    let at_first = process::memory(run.daemon.pid()).unwrap_or_default().anonymous_bytes;
    run.wait_seals(&sink, n_files)?;
    let at_last = process::memory(run.daemon.pid()).unwrap_or_default().anonymous_bytes;
    let peaks = watch.stop();
    let peak = peaks.first().map_or(0, |peak| peak.anonymous_bytes);
    let came = sink.came();
    add_pace(bench, &came, usize::try_from(n_files)? / 10)?;
    add_memory(bench, at_last.saturating_sub(at_first), peak);
    quiet_scans(bench, &mut run, &tree)?;
    run.end()?;
    fs::remove_dir_all(&dir)?;
    Ok(())
}

fn add_pace(bench: &mut Bench, came: &[Came], n_edge: usize) -> Result<()> {
    let seals: Vec<Instant> = came.iter().filter(|came| came.is_seal).map(|came| came.at).collect();
    let (Some(began), Some(first), Some(last_from), Some(last)) = (
        came.first().map(|came| came.at),
        seals.get(n_edge - 1),
        seals.get(seals.len().saturating_sub(n_edge + 1)),
        seals.last(),
    ) else {
        bail!("expected more than {n_edge} files, found {}", seals.len());
    };
    let (first, last_edge) = (*first - began, *last - *last_from);
    let value = last_edge.as_secs_f64() / first.as_secs_f64();
    bench.add(Row {
        what: format!("{} small files, the last {n_edge}", seals.len()),
        ours: seconds(last_edge),
        beside: format!("the first {n_edge}: {}", seconds(first)),
        ratio: Some(value),
        goal: Goal::AtMost { value, limit: 1.2, unit: "times the first" },
        note: format!("to a sink that answers 00; {} for all", seconds(*last - began)),
    });
    Ok(())
}

fn add_memory(bench: &mut Bench, growth_bytes: u64, peak_bytes: u64) {
    let rows = [
        ("growth", "from the first file to the last", growth_bytes, 8.0),
        ("peak", "", peak_bytes, 64.0),
    ];
    for (what, when, n_bytes, limit) in rows {
        let value = n_bytes as f64 / f64::from(1 << 20);
        bench.add(Row {
            what: format!("small files, {what} of the sender's memory"),
            ours: mebibytes(n_bytes),
            goal: Goal::AtMost { value, limit, unit: "MiB" },
            note: ["RssAnon", when].join(" ").trim().to_owned(),
            ..Row::default()
        });
    }
}

/// What scans cost while nothing changes, and what they open.
fn quiet_scans(bench: &mut Bench, run: &mut Run, tree: &SmallFiles) -> Result<()> {
    bench.step(&format!("order: {N_SCANS} scans of nothing new"));
    // The scans right behind the last file still look at what changed.
    let settled = run.scans()? + N_SCANS;
    run.wait_scans(settled)?;
    let opens = Opens::watch(&tree.folders)?;
    let (scans_before, cpu_before) = (run.scans()?, process::cpu(run.daemon.pid())?);
    run.wait_scans(scans_before + N_SCANS)?;
    let cpu = process::cpu(run.daemon.pid())?.saturating_sub(cpu_before);
    let n_scans = u32::try_from(run.scans()? - scans_before)?;
    let (n_files, n_folders) = opens.count()?;
    let each = cpu / n_scans.max(1);
    let value = each.as_secs_f64() * 1e3;
    bench.add(Row {
        what: "a scan in which nothing changed, CPU".to_owned(),
        ours: millis(each),
        goal: Goal::AtMost { value, limit: 50.0, unit: "ms" },
        note: format!(
            "all of the sender's threads over {n_scans} scans, {} folders",
            tree.folders.len()
        ),
        ..Row::default()
    });
    bench.add(Row {
        what: "files opened by these scans".to_owned(),
        ours: n_files.to_string(),
        beside: format!("{n_folders} folders"),
        goal: Goal::AtMost { value: f64::from(n_files), limit: 0.0, unit: "files" },
        note: "inotify on every folder".to_owned(),
        ..Row::default()
    });
    Ok(())
}

/// From the appearance of a `.resource` to the first frame, with the interval that a user gets.
fn latency(bench: &mut Bench, how: &Noticing) -> Result<()> {
    bench.step(&format!("order: {N_LATE_FILES} files, from seal to wire, {}", how.note));
    let dir = bench.dir("order")?;
    let mut tree = SmallFiles::new(&dir.join("source"), 20)?;
    for _ in 0..200 {
        tree.add()?;
    }
    let sink = FrameSink::start()?;
    let setup = prepare(bench, &dir, &SourceDirs::below(&tree.root), &sink)?;
    super::use_usual_intervals(&setup.conf())?;
    let mut conf = fs::OpenOptions::new().append(true).open(setup.conf())?;
    std::io::Write::write_all(&mut conf, how.keys.as_bytes())?;
    let mut run = Run::start(&setup)?;
    run.wait_seals(&sink, 200)?;
    let mut random = fastrand::Rng::with_seed(7);
    let mut times = Vec::new();
    for _ in 0..N_LATE_FILES {
        // At no fixed distance from a scan, and after the last file's own trouble is over.
        thread::sleep(Duration::from_millis(random.u64(100..300)));
        check_interrupted()?;
        let n_before = sink.n_came();
        let sealed = tree.add()?;
        let came = run.wait_frames(&sink, n_before + 1)?;
        times.push(came.at.saturating_duration_since(sealed));
        run.wait_seals(&sink, 200 + u64::try_from(times.len())?)?;
    }
    run.end()?;
    fs::remove_dir_all(&dir)?;
    let worst = times.iter().max().copied().unwrap_or_default();
    let value = worst.as_secs_f64() * 1e3;
    bench.add(Row {
        what: how.what.to_owned(),
        ours: millis(worst),
        beside: format!("median {}", millis(median(times))),
        goal: Goal::AtMost { value, limit: how.limit_ms, unit: "ms" },
        note: format!("{N_LATE_FILES} files, {}", how.note),
        ..Row::default()
    });
    Ok(())
}

/// How fast the model of order and coverage runs: the test of the profile that `make test` uses.
fn model(bench: &mut Bench) -> Result<()> {
    let what = "model of order and coverage, one core";
    let Some(test) = newest_test("order")? else {
        let note = "not built; cargo test -p tidegate-source --test order --no-run".to_owned();
        bench.add(Row { what: what.to_owned(), ours: "-".to_owned(), note, ..Row::default() });
        return Ok(());
    };
    let n_seeds: u32 = bench.sized(20_000, 2_000);
    bench.step(&format!("order: {n_seeds} seeds of the model"));
    let started = Instant::now();
    let status = Command::new(&test)
        .args(["--test-threads=1", "--exact", MODEL_TEST])
        .env("TIDEGATE_SEEDS", n_seeds.to_string())
        .env_remove("TIDEGATE_SEED")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .with_context(|| test.display().to_string())?;
    let took = started.elapsed();
    if !status.success() {
        bail!("{} {MODEL_TEST}: {status}", test.display());
    }
    let rate = f64::from(n_seeds) / took.as_secs_f64();
    bench.add(Row {
        what: what.to_owned(),
        ours: format!("{rate:.0} seeds/s"),
        beside: "2000 seeds/s".to_owned(),
        ratio: Some(rate / 2000.0),
        goal: Goal::RatioMin(1.0),
        note: format!("{n_seeds} seeds in {}, the profile of the tests", seconds(took)),
    });
    Ok(())
}

/// The newest test program of that name that `cargo test` has built.
fn newest_test(name: &str) -> Result<Option<PathBuf>> {
    let Ok(entries) = fs::read_dir(workspace::root().join("target/debug/deps")) else {
        return Ok(None);
    };
    let mut newest = None;
    for entry in entries {
        let path = entry?.path();
        let is_named = path
            .file_name()
            .and_then(|it| it.to_str()?.rsplit_once('-'))
            .is_some_and(|(stem, hash)| stem == name && !hash.contains('.'));
        if is_named && path.metadata()?.permissions().mode() & 0o100 != 0 {
            newest = newest.max(Some((path.metadata()?.modified()?, path)));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// A source of many small files, written as IoTDB writes them: the `.resource` comes last, whole.
struct SmallFiles {
    root: PathBuf,
    /// Every partition's folder.
    folders: Vec<PathBuf>,
    n_partitions: u64,
    n_files: u64,
    ts_file: Vec<u8>,
    resource: Vec<u8>,
}

impl SmallFiles {
    /// An empty one that says of itself what the fixture's says.
    fn new(root: &Path, n_partitions: u64) -> Result<Self> {
        let fixture = workspace::root().join("tests/fixtures").join(FIXTURE).join("data");
        for folder in ["datanode/system", "confignode/system"] {
            fs::create_dir_all(root.join(folder))?;
            for entry in fs::read_dir(fixture.join(folder))? {
                let entry = entry?;
                fs::copy(entry.path(), root.join(folder).join(entry.file_name()))?;
            }
        }
        let ts_file = fixture.join("datanode/data").join(TS_FILE);
        let resource = fs::read(ts_file.with_extension("tsfile.resource"))?;
        if resource.len() != RESOURCE_BYTES {
            bail!("expected a .resource of {RESOURCE_BYTES} bytes, found {}", resource.len());
        }
        let ts_file = fs::read(&ts_file).with_context(|| ts_file.display().to_string())?;
        let spaces = ["sequence", "unsequence"];
        let mut folders = Vec::new();
        for (space, at) in
            spaces.iter().flat_map(|space| (0..n_partitions).map(move |at| (space, at)))
        {
            let partition = FIRST_PARTITION + at;
            let folder = root.join(format!("datanode/data/{space}/root.office/2/{partition}"));
            fs::create_dir_all(&folder)?;
            folders.push(folder);
        }
        Ok(Self { root: root.to_owned(), folders, n_partitions, n_files: 0, ts_file, resource })
    }

    /// Adds a sealed file; the moment at which its `.resource` was there.
    fn add(&mut self) -> Result<Instant> {
        let number = self.n_files;
        self.n_files += 1;
        let (partition, version) = (number % self.n_partitions, number / self.n_partitions + 1);
        let is_late = version % UNSEQUENCE_EVERY == 0;
        let folder = if is_late { partition + self.n_partitions } else { partition };
        let folder = &self.folders[usize::try_from(folder)?];
        let name = format!("{}-{version}-0-0.tsfile", FIRST_TIME_MS + number);
        fs::write(folder.join(&name), &self.ts_file)?;
        let steps = if is_late { version - 1 } else { version };
        let start_ms = (FIRST_PARTITION + partition) * PARTITION_MS + steps * STEP_MS;
        let mut resource = self.resource.clone();
        let times = [start_ms, start_ms + STEP_MS - 1].map(u64::to_be_bytes).concat();
        resource[TIMES_AT..TIMES_AT + 16].copy_from_slice(&times);
        resource[PROGRESS_AT..].copy_from_slice(&(number + 1).to_be_bytes());
        let unfinished = folder.join(format!("{name}.resource.temp"));
        fs::write(&unfinished, resource)?;
        let sealed = Instant::now();
        fs::rename(unfinished, folder.join(format!("{name}.resource")))?;
        Ok(sealed)
    }
}

/// A sender towards the sink that is not started yet.
fn prepare(
    bench: &Bench,
    dir: &Path,
    source: &SourceDirs,
    sink: &FrameSink,
) -> Result<SenderSetup> {
    let setup = SenderSetup::new(&bench.binaries, &dir.join("sender"), source, &[])?;
    let keys = [("connector.tidegate.gateway", "plain-tcp")];
    setup.write_pipe("bench", sink.address(), &keys)?;
    Ok(setup)
}

/// A sender towards the sink.
struct Run {
    daemon: Daemon,
    socket: PathBuf,
}

impl Run {
    fn start(setup: &SenderSetup) -> Result<Self> {
        let socket = setup.conf().with_file_name("sender.sock");
        Ok(Self { daemon: setup.start()?, socket })
    }

    /// Waits for the frame of that number; counted from 1.
    fn wait_frames(&mut self, sink: &FrameSink, n_frames: usize) -> Result<Came> {
        let deadline = Instant::now() + LATE_TIME_MAX;
        loop {
            if let Some(came) = sink.behind(n_frames - 1) {
                return Ok(came);
            }
            self.pause(deadline, "a frame", Duration::from_millis(1))?;
        }
    }

    /// Waits until so many files have been sent whole, and the sender knows it.
    fn wait_seals(&mut self, sink: &FrameSink, n_files: u64) -> Result<()> {
        let deadline = Instant::now() + RUN_TIME_MAX;
        let n_wanted = usize::try_from(n_files)?;
        loop {
            // A file has two frames or more, so that they need not be looked through each time.
            if sink.n_came() >= 2 * n_wanted {
                let n_seals = sink.came().iter().filter(|came| came.is_seal).count();
                if n_seals >= n_wanted && self.number("sent_files")? >= n_files {
                    return Ok(());
                }
            }
            self.pause(
                deadline,
                &format!("{n_files} files to be sent"),
                Duration::from_millis(20),
            )?;
        }
    }

    fn wait_scans(&mut self, n_scans: u64) -> Result<()> {
        let deadline = Instant::now() + LATE_TIME_MAX;
        while self.scans()? < n_scans {
            self.pause(deadline, "scans", Duration::from_millis(100))?;
        }
        Ok(())
    }

    fn scans(&self) -> Result<u64> {
        self.number("scans")
    }

    fn number(&self, key: &str) -> Result<u64> {
        let status = process::status(&self.socket)?;
        status["pipes"][0][key].as_u64().with_context(|| format!("no {key} in {status}"))
    }

    fn pause(&mut self, deadline: Instant, what: &str, pause: Duration) -> Result<()> {
        check_interrupted()?;
        self.daemon.ensure_running()?;
        if Instant::now() >= deadline {
            let status = process::status(&self.socket).unwrap_or_default();
            bail!("waited in vain for {what}; the sender says {status:#}");
        }
        thread::sleep(pause);
        Ok(())
    }

    fn end(mut self) -> Result<()> {
        self.daemon.terminate()?;
        Ok(())
    }
}

/// Counts what is opened in some folders.
struct Opens {
    fd: OwnedFd,
}

impl Opens {
    fn watch(folders: &[PathBuf]) -> Result<Self> {
        let fd = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
        for folder in folders {
            inotify::add_watch(&fd, folder, inotify::WatchFlags::OPEN)
                .with_context(|| format!("watching {}", folder.display()))?;
        }
        Ok(Self { fd })
    }

    /// How many files and how many folders since then.
    fn count(&self) -> Result<(u32, u32)> {
        let mut buffer = [const { core::mem::MaybeUninit::uninit() }; 64 * 1024];
        let mut events = inotify::Reader::new(&self.fd, &mut buffer);
        let (mut n_files, mut n_folders) = (0, 0);
        loop {
            match events.next() {
                Ok(event) if event.events().contains(inotify::ReadFlags::ISDIR) => n_folders += 1,
                Ok(_) => n_files += 1,
                Err(Errno::AGAIN) => return Ok((n_files, n_folders)),
                Err(error) => return Err(error).context("reading what was opened"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_have_inodes_and_extents_of_their_own() {
        use std::os::unix::fs::MetadataExt;

        let dir = tempfile::tempdir().expect("a directory");
        let mut tree = SmallFiles::new(dir.path(), 3).expect("a tree");
        for _ in 0..60 {
            tree.add().expect("a file");
        }
        let mut inodes = std::collections::HashSet::new();
        let mut resources = std::collections::HashSet::new();
        let mut n_late = 0;
        for folder in &tree.folders {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                n_late += u32::from(folder.display().to_string().contains("unsequence"));
                inodes.insert(path.metadata().expect("a file").ino());
                if path.extension().is_some_and(|it| it == "resource") {
                    resources.insert(fs::read(path).expect("a resource"));
                }
            }
        }
        assert_eq!((inodes.len(), resources.len(), n_late), (120, 60, 12));
    }

    #[test]
    fn opened_files_are_counted_and_looked_at_files_are_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a");
        fs::write(&path, "a").expect("a file");
        let opens = Opens::watch(&[dir.path().to_owned()]).expect("a watch");
        fs::metadata(&path).expect("a file");
        assert_eq!(opens.count().expect("a count"), (0, 0));
        fs::read_dir(dir.path()).expect("a folder");
        fs::read(&path).expect("a file");
        assert_eq!(opens.count().expect("a count"), (1, 1));
    }
}
