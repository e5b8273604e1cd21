//! The same TsFiles from IoTDB to IoTDB by its own air-gap sink, and from our sender to our receiver.
//!
//! IoTDB's time includes that its receiver loads each file before it answers; ours ends when the
//! file is durable on the other side. Both JVMs run with full optimisation.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;

use super::Bench;
use super::crossing;
use super::crossing::Crossed;
use super::crossing::Pair;
use super::probes;
use super::process::Watch;
use super::table::Goal;
use super::table::Row;
use super::table::mebibytes;
use super::table::median;
use super::table::megabytes;
use super::table::millis;
use super::table::rate;
use super::table::seconds;
use super::tap::Replied;
use super::tap::Tap;
use crate::gateway::Config;
use crate::gateway::Profile;
use crate::harness::SourceDirs;
use crate::harness::poll;
use crate::interop::drive::Drive;
use crate::interop::server;
use crate::interop::server::Server;

/// Files stay as they were flushed.
const PROPERTIES: [&str; 3] = [
    "enable_seq_space_compaction=false",
    "enable_unseq_space_compaction=false",
    "enable_cross_space_compaction=false",
];
const ENVIRONMENT: [(&str, &str); 3] = [
    ("TIDEGATE_IOTDB_JIT", "4"),
    ("TIDEGATE_IOTDB_DN_MB", "1024"),
    ("TIDEGATE_IOTDB_DN_DIRECT_MB", "512"),
];
const START_MS: u64 = 1_700_000_000_000;
/// What one command of the client writes; it must answer within its time.
const ROWS_AT_ONCE: u64 = 50_000;
/// Ten devices with ten sensors each.
const SERIES: u64 = 100;
/// Rows that make a file of about 455 kB.
const SMALL_ROWS: u64 = 700;
const WAIT_MS: u64 = 80_000;
const SEAL_TIME_MAX: Duration = Duration::from_secs(30);
const SCRIPT_TIME_MAX: Duration = Duration::from_secs(30);

/// Two IoTDBs and their client.
struct Peers {
    // The client goes before the servers it talks to.
    drive: Drive,
    from: Server,
    to: Server,
    log: PathBuf,
}

/// TsFiles of one database and the points in them.
struct Corpus {
    database: &'static str,
    files: Vec<PathBuf>,
    n_bytes: u64,
    n_points: u64,
}

/// How the peer did.
struct PeerTimes {
    /// From CREATE PIPE until all points can be queried.
    complete: Duration,
    replies: Vec<Replied>,
}

/// The measure.
pub(super) fn run(bench: &mut Bench) -> Result<()> {
    let dir = bench.dir("iotdb")?;
    let mut peers = Peers::start(bench, &dir)?;
    let n_rows = bench.sized(100_000, 20_000);
    bench.step("iotdb: writing the corpus");
    let first = peers.write_bulk(START_MS, n_rows)?;
    let second = peers.write_bulk(START_MS + n_rows, n_rows)?.without(&first);
    let small = peers.write_small(bench.sized(60, 20))?;
    let whole = first.with(&second);
    super::settle_disk();

    let watch = Watch::start(&[peers.to.dn_pid]);
    bench.step("iotdb: IoTDB to IoTDB, cold");
    let cold = peers.cross("cold", &whole, None)?;
    peers.empty(&whole)?;
    bench.step("iotdb: IoTDB to IoTDB, again");
    let warm = peers.cross("warm", &whole, Some(()))?;
    bench.step("iotdb: IoTDB to IoTDB, small files");
    let slow = peers.cross("small", &small, Some(()))?;
    let data_node = watch.stop().first().copied().unwrap_or_default();

    bench.step("iotdb: ours");
    let source = peers.copy(&dir.join("whole"), &whole)?;
    let source_small = peers.copy(&dir.join("small"), &small)?;
    let source_halves = peers.copy(&dir.join("halves"), &first)?;
    let target = peers.to;
    let hidden = dir.join("hidden");
    let arriving = stash(&hidden, &peers.from, &second)?;
    drop(peers.drive);
    peers.from.remove()?;
    target.remove()?;
    super::settle_disk();

    let crossed = whole_rounds(bench, &dir, &source, whole.files.len())?;
    let Some(typical) = crossed.get(crossed.len() / 2).copied() else { return Ok(()) };
    bench.add(Row {
        what: format!(
            "history of {} files, {}, start to complete",
            whole.files.len(),
            mebibytes(whole.n_bytes)
        ),
        ours: seconds(typical.wall),
        beside: format!("IoTDB {}", seconds(cold.complete)),
        ratio: Some(cold.complete.as_secs_f64() / typical.wall.as_secs_f64()),
        goal: Goal::RatioMin(10.0),
        note: format!(
            "ours from the sender's start; IoTDB's from CREATE PIPE, with LOAD; {} points; IoTDB the \
             second time {}; our CPU {}",
            whole.n_points,
            seconds(warm.complete),
            seconds(typical.sender_cpu + typical.receiver_cpu),
        ),
    });
    let appeared = appearing(bench, &dir, &source_halves, &first, &arriving)?;
    warm_row(bench, &dir, (&first, &second), &warm, appeared)?;
    small_rows(bench, &dir, &source_small, &small, &slow)?;
    bench.add(Row {
        what: "memory of what receives".to_owned(),
        ours: mebibytes(typical.receiver_peak.resident_bytes),
        beside: format!("DataNode {}", mebibytes(data_node.resident_bytes)),
        ratio: Some(
            data_node.resident_bytes as f64 / typical.receiver_peak.resident_bytes.max(1) as f64,
        ),
        note: format!(
            "highest VmRSS; anonymous: {} and {}",
            mebibytes(typical.receiver_peak.anonymous_bytes),
            mebibytes(data_node.anonymous_bytes)
        ),
        ..Row::default()
    });
    fs::remove_dir_all(&dir)?;
    Ok(())
}

fn whole_rounds(
    bench: &Bench,
    dir: &Path,
    source: &SourceDirs,
    n_files: usize,
) -> Result<Vec<Crossed>> {
    let mut rounds = Vec::new();
    for round in 0..bench.n_rounds() {
        let pair = dir.join(format!("pair{round}"));
        rounds.push(crossing::cross(&bench.binaries, &pair, source, n_files as u64)?);
        super::settle_disk();
    }
    rounds.sort_by_key(|crossed| crossed.wall);
    Ok(rounds)
}

/// Both daemons are warm and connected when the second half appears.
fn appearing(
    bench: &Bench,
    dir: &Path,
    source: &SourceDirs,
    first: &Corpus,
    arriving: &[(PathBuf, PathBuf)],
) -> Result<Duration> {
    let pair = Pair::new(&bench.binaries, &dir.join("appearing"), source)?;
    pair.write_pipe(None, &[])?;
    let mut sending = pair.start_sender()?;
    let n_first = first.files.len() as u64;
    sending.wait_sent(n_first)?;
    super::settle_disk();
    let began = Instant::now();
    for (hidden, name) in arriving {
        let place = source.data().join(name);
        fs::rename(hidden, &place).with_context(|| place.display().to_string())?;
    }
    let n_new = arriving.iter().filter(|(_, name)| is_ts_file(name)).count() as u64;
    let ended = sending.wait_sent(n_first + n_new)?;
    pair.end(sending)?;
    Ok(ended - began)
}

fn warm_row(
    bench: &mut Bench,
    dir: &Path,
    (first, second): (&Corpus, &Corpus),
    peer: &PeerTimes,
    appearing: Duration,
) -> Result<()> {
    let source = SourceDirs::below(&dir.join("whole"));
    let files: Vec<PathBuf> = second.files.iter().map(|file| source.data().join(file)).collect();
    let n_files = first.files.len() + second.files.len();
    let (mut bounds, mut found) = (Vec::new(), Vec::new());
    for _ in 0..bench.n_rounds() {
        let disk = probes::disk_write(&files, &dir.join("probe"))?;
        let others = probes::sha256(second.n_bytes).max(probes::loopback_copy(second.n_bytes)?);
        bounds.push(disk.max(others));
        let (_, replies) = tapped(bench, &dir.join("tapped"), &source, n_files)?;
        found.push(second_half(&replies, first.n_bytes)?);
        super::settle_disk();
    }
    let bound = rate(second.n_bytes, median(bounds));
    found.sort_by(f64::total_cmp);
    let ours = found.get(found.len() / 2).copied().unwrap_or_default();
    let theirs = second_half(&peer.replies, first.n_bytes)?;
    bench.add(Row {
        what: format!("second half alone, {}, all warm", mebibytes(second.n_bytes)),
        ours: megabytes(ours),
        beside: format!("IoTDB {}, bound {}", megabytes(theirs), megabytes(bound)),
        ratio: Some(ours / theirs),
        goal: Goal::RatioMin((0.8 * bound / theirs).min(3.0)),
        note: format!(
            "both by the replies that pass a tap; of the bound {:.2}; the goal is 3, or 80 % of \
             the bound if that is less; from its appearance at a live source until acknowledged: \
             {} ({})",
            ours / bound,
            millis(appearing),
            megabytes(rate(second.n_bytes, appearing)),
        ),
    });
    Ok(())
}

/// MB/s from the first reply behind so many bytes to the last of all.
fn second_half(replies: &[Replied], first_bytes: u64) -> Result<f64> {
    let mut n_passed = 0;
    let is_behind = |reply: &&Replied| {
        n_passed += reply.n_bytes;
        n_passed > first_bytes
    };
    let after: Vec<&Replied> = replies.iter().filter(is_behind).collect();
    let [from, rest @ ..] = after.as_slice() else { bail!("no replies: {replies:?}") };
    let to = rest.last().context("expected more requests in the second half")?;
    Ok(rate(rest.iter().map(|reply| reply.n_bytes).sum(), to.at - from.at))
}

/// Crosses once through a tap: the time from the sender's start, and the replies.
fn tapped(
    bench: &Bench,
    dir: &Path,
    source: &SourceDirs,
    n_files: usize,
) -> Result<(Duration, Vec<Replied>)> {
    let pair = Pair::new(&bench.binaries, dir, source)?;
    let tap = Tap::start(Config::loopback(Profile::PlainTcp, pair.receiver.address()))?;
    pair.write_pipe(Some(tap.address()), &[])?;
    let mut sending = pair.start_sender()?;
    let complete = sending.wait_sent(n_files as u64)? - sending.started;
    pair.end(sending)?;
    Ok((complete, tap.stop()?))
}

fn small_rows(
    bench: &mut Bench,
    dir: &Path,
    source: &SourceDirs,
    small: &Corpus,
    peer: &PeerTimes,
) -> Result<()> {
    let n_files = small.files.len();
    let sync = probes::sync_latency(&dir.join("probe"), 455_000)?;
    let mut found = Vec::new();
    for _ in 0..bench.n_rounds() {
        let (complete, replies) = tapped(bench, &dir.join("tapped"), source, n_files)?;
        found.push((complete, per_file(&replies, n_files)?));
        super::settle_disk();
    }
    found.sort();
    let Some((complete, each)) = found.get(found.len() / 2).copied() else { return Ok(()) };
    let bytes_each = small.n_bytes / n_files as u64;
    let theirs = per_file(&peer.replies, n_files)?;
    for (what, ours, theirs, note) in [
        ("start to complete, each", complete / n_files as u32, peer.complete / n_files as u32, ""),
        ("each, warm", each, theirs, "between replies on the wire; "),
    ] {
        bench.add(Row {
            what: format!("{n_files} files of {} kB, {what}", bytes_each / 1000),
            ours: millis(ours),
            beside: format!("IoTDB {}", millis(theirs)),
            ratio: Some(theirs.as_secs_f64() / ours.as_secs_f64()),
            goal: Goal::RatioMin(10.0),
            note: format!("{note}one fdatasync of such a file takes {}", millis(sync)),
        });
    }
    Ok(())
}

/// Time from the first file's reply to the last one's, for each file.
fn per_file(replies: &[Replied], n_files: usize) -> Result<Duration> {
    let big = |reply: &&Replied| reply.n_bytes > 100_000;
    let mut pieces = replies.iter().filter(big);
    let (Some(first), Some(last)) = (pieces.next(), replies.last()) else {
        bail!("expected pieces, found {replies:?}");
    };
    Ok((last.at - first.at) / u32::try_from(n_files)?)
}

impl Peers {
    fn start(bench: &Bench, dir: &Path) -> Result<Self> {
        let log = dir.join("scripts.log");
        bench.step("iotdb: assembling");
        server::script("tests/interop/assemble.sh", &[], server::ASSEMBLE_TIME_MAX, &log)?;
        server::script("tests/java/build.sh", &[], server::BUILD_TIME_MAX, &log)?;
        bench.step("iotdb: starting two");
        let name = |role: &str| format!("bench{}-{role}", std::process::id());
        let with_receiver = [&PROPERTIES[..], &["pipe_air_gap_receiver_enabled=true"]].concat();
        let from = Server::start_with(&name("from"), &PROPERTIES, &ENVIRONMENT, &log)?;
        let to = Server::start_with(&name("to"), &with_receiver, &ENVIRONMENT, &log)?;
        let drive = Drive::start(from.rpc, &dir.join("drive.log"))?;
        let mut peers = Self { drive, from, to, log };
        for at in [peers.from.rpc, peers.to.rpc] {
            peers.drive.run(at, "ping 60000")?;
        }
        Ok(peers)
    }

    fn write_bulk(&mut self, start_ms: u64, n_rows: u64) -> Result<Corpus> {
        let mut from = 0;
        while from < n_rows {
            let n_now = ROWS_AT_ONCE.min(n_rows - from);
            let start = start_ms + from;
            let command = format!("bulk root.bench.d false 10 10 {start} {n_now} 2000 DOUBLE");
            self.drive.run(self.from.rpc, &command)?;
            from += n_now;
        }
        self.drive.run(self.from.rpc, "sql FLUSH")?;
        self.corpus("root.bench", n_rows * SERIES)
    }

    fn write_small(&mut self, n_files: u64) -> Result<Corpus> {
        self.drive.run(self.from.rpc, "sql CREATE DATABASE root.small")?;
        for at in 0..n_files {
            let start = START_MS + at * SMALL_ROWS;
            let command =
                format!("bulk root.small.d false 10 10 {start} {SMALL_ROWS} {SMALL_ROWS} DOUBLE");
            self.drive.run(self.from.rpc, &command)?;
            self.drive.run(self.from.rpc, "sql FLUSH root.small")?;
        }
        self.corpus("root.small", n_files * SMALL_ROWS * SERIES)
    }

    /// What the source holds of a database, once all of it is sealed: a flush returns before.
    fn corpus(&self, database: &'static str, n_points: u64) -> Result<Corpus> {
        let data = self.from.dirs().data();
        let files = poll(SEAL_TIME_MAX, "IoTDB to seal its files", || {
            let files = ts_files(&data.join("sequence").join(database))?;
            Ok(files.iter().all(|file| resource(file).exists()).then_some(files))
        })?;
        let mut corpus = Corpus { database, files: Vec::new(), n_bytes: 0, n_points };
        for file in files {
            corpus.n_bytes += fs::metadata(&file)?.len();
            corpus.files.push(file.strip_prefix(&data)?.to_owned());
        }
        Ok(corpus)
    }

    /// Sends a database by a new pipe; through a tap if asked for.
    fn cross(&mut self, pipe: &str, corpus: &Corpus, tapped: Option<()>) -> Result<PeerTimes> {
        let mut config = Config::loopback(Profile::PlainTcp, self.to.air_gap);
        config.rules.frame_bytes_max = None;
        let tap = tapped.map(|()| Tap::start(config)).transpose()?;
        let to = tap.as_ref().map_or(self.to.air_gap, Tap::address).to_string();
        let path = format!("source.path={}.**", corpus.database);
        let arguments = [pipe, &to, &path];
        let sql =
            server::script("tests/interop/plugin.sh", &arguments, SCRIPT_TIME_MAX, &self.log)?;
        let mut began = Instant::now();
        for statement in sql.lines() {
            began = Instant::now();
            self.drive.run(self.from.rpc, &format!("sql {statement}"))?;
        }
        let wait = format!(
            "wait {} {WAIT_MS} SELECT count(*) FROM {}.**",
            corpus.n_points, corpus.database
        );
        self.drive.run(self.to.rpc, &wait)?;
        let complete = began.elapsed();
        self.drive.run(self.from.rpc, &format!("sql DROP PIPE {pipe}"))?;
        let replies = tap.map(Tap::stop).transpose()?.unwrap_or_default();
        Ok(PeerTimes { complete, replies })
    }

    /// Takes a database from the target.
    fn empty(&mut self, corpus: &Corpus) -> Result<()> {
        self.drive.run(self.to.rpc, &format!("sql DELETE DATABASE {}", corpus.database))?;
        Ok(())
    }

    /// The source's files as a source of their own.
    fn copy(&self, root: &Path, corpus: &Corpus) -> Result<SourceDirs> {
        let from = self.from.dirs().data();
        let home = from.ancestors().nth(2).context("a home")?;
        for system in ["datanode/system", "confignode/system"] {
            fs::create_dir_all(root.join(system))?;
            for entry in fs::read_dir(home.join(system))? {
                let path = entry?.path();
                if path.extension().is_some_and(|it| it == "properties") {
                    let name = path.file_name().unwrap_or_default();
                    fs::copy(&path, root.join(system).join(name))?;
                }
            }
        }
        let source = SourceDirs::below(root);
        for name in corpus.with_resources() {
            let place = source.data().join(&name);
            fs::create_dir_all(place.parent().context("a folder")?)?;
            fs::copy(from.join(&name), &place)?;
        }
        Ok(source)
    }
}

/// Copies files to where no sender looks; each with the name under which it will appear, the
/// resource after its TsFile.
fn stash(hidden: &Path, from: &Server, corpus: &Corpus) -> Result<Vec<(PathBuf, PathBuf)>> {
    fs::create_dir_all(hidden)?;
    let data = from.dirs().data();
    let mut stashed = Vec::new();
    for name in corpus.with_resources() {
        let place = hidden.join(stashed.len().to_string());
        fs::copy(data.join(&name), &place)?;
        stashed.push((place, name));
    }
    Ok(stashed)
}

impl Corpus {
    /// What is in this one and not in another.
    fn without(self, other: &Self) -> Self {
        let known: BTreeSet<&PathBuf> = other.files.iter().collect();
        let files = self.files.into_iter().filter(|file| !known.contains(file)).collect();
        Self { files, n_bytes: self.n_bytes - other.n_bytes, ..self }
    }

    /// Both together.
    fn with(&self, other: &Self) -> Self {
        Self {
            database: self.database,
            files: [self.files.as_slice(), &other.files].concat(),
            n_bytes: self.n_bytes + other.n_bytes,
            n_points: self.n_points + other.n_points,
        }
    }

    /// Each file and what stands beside it, in the order in which IoTDB makes them.
    fn with_resources(&self) -> impl Iterator<Item = PathBuf> {
        let both = |file: &PathBuf| [file.clone(), resource(file)];
        self.files.iter().flat_map(both)
    }
}

/// TsFiles below a directory, in order.
fn ts_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
            } else if is_ts_file(&path) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn is_ts_file(path: &Path) -> bool {
    path.extension().is_some_and(|it| it == "tsfile")
}

fn resource(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".resource");
    name.into()
}
