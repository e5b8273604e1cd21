//! What the daemons cost: memory during a large file, time to start, CPU while nothing happens.

use std::fs::File;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;

use super::Bench;
use super::crossing;
use super::crossing::Pair;
use super::process;
use super::table::Goal;
use super::table::Row;
use super::table::mebibytes;
use super::table::median;
use super::table::megabytes;
use super::table::millis;
use super::table::rate;
use super::table::seconds;
use crate::harness::Daemon;
use crate::harness::RECEIVER;
use crate::harness::START_TIME_MAX;
use crate::harness::SourceDirs;
use crate::harness::check_interrupted;
use crate::source::SourceTree;

const GIB: u64 = 1 << 30;
/// Length and magic at the end of a made-up file.
const TAIL_BYTES: u64 = 10;
/// Room that the receiver and everybody else must be left with.
const SPARE_BYTES: u64 = 2 * GIB;
/// By then the connection rests and the folders have been found unchanged since they were read.
const SETTLE_TIME: Duration = Duration::from_secs(8);
const MINUTE: Duration = Duration::from_secs(60);

/// Anonymous memory of both during one large file.
pub(super) fn memory(bench: &mut Bench) -> Result<()> {
    let dir = bench.dir("memory")?;
    let wanted = bench.sized(4 * GIB, GIB);
    let free = free_bytes(&dir)?;
    let n_bytes = wanted.min(free.saturating_sub(SPARE_BYTES));
    bench.step(&format!("memory: one file of {} (sparse)", mebibytes(n_bytes)));
    let mut tree = SourceTree::new(&dir.join("source"), 4)?;
    let path = tree.add_file("sequence/root.plant/1/2800", 0, None)?;
    let mut file = File::options().write(true).open(path)?;
    file.set_len(7)?;
    file.set_len(n_bytes)?;
    file.seek(SeekFrom::Start(n_bytes - TAIL_BYTES))?;
    file.write_all(b"\x00\x00\x00\x00TsFile")?;
    drop(file);
    let source = SourceDirs::below(tree.root());
    let crossed = crossing::cross(&bench.binaries, &dir.join("pair"), &source, 1)?;
    std::fs::remove_dir_all(&dir)?;
    super::settle_disk();
    let short = if n_bytes < wanted { ", all that the disk has room for" } else { "" };
    let (sender, receiver) = (crossed.sender_peak, crossed.receiver_peak);
    for (name, peak) in [("sender", sender), ("receiver", receiver)] {
        let value = peak.anonymous_bytes as f64 / f64::from(1 << 20);
        bench.add(Row {
            what: format!("memory of the {name}, a file of {}{short}", mebibytes(n_bytes)),
            ours: mebibytes(peak.anonymous_bytes),
            beside: format!("VmRSS {}", mebibytes(peak.resident_bytes)),
            goal: Goal::AtMost { value, limit: 64.0, unit: "MiB" },
            note: format!("highest RssAnon; {}", megabytes(rate(n_bytes, crossed.wall))),
            ..Row::default()
        });
    }
    Ok(())
}

/// From the start of the process until it can be used.
pub(super) fn start(bench: &mut Bench) -> Result<()> {
    bench.step("start: to the first accepted connection, to the first answer");
    let dir = bench.dir("start")?;
    let mut tree = SourceTree::new(&dir.join("source"), 5)?;
    tree.add_files(20)?;
    let mut receiver = Vec::new();
    let mut sender = Vec::new();
    for _ in 0..bench.sized(5, 3) {
        let source = SourceDirs::below(tree.root());
        let mut pair = Pair::new(&bench.binaries, &dir.join("pair"), &source)?;
        pair.receiver_daemon.terminate()?;
        pair.write_pipe(None, &[])?;
        let conf = pair.receiver.conf();
        let arguments = ["run".as_ref(), "--conf".as_ref(), conf.as_os_str()];
        let started = Instant::now();
        let log = dir.join("receiver.log");
        pair.receiver_daemon = Daemon::spawn(&bench.binaries.path(RECEIVER), arguments, &log)?;
        while TcpStream::connect(pair.receiver.address()).is_err() {
            check_interrupted()?;
            if started.elapsed() > START_TIME_MAX {
                bail!("the receiver does not listen");
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        receiver.push(started.elapsed());
        let mut sending = pair.start_sender()?;
        sender.push(sending.wait_answer()? - sending.started);
        pair.end(sending)?;
    }
    std::fs::remove_dir_all(&dir)?;
    for (what, times) in
        [("receiver, start to listening", receiver), ("sender, start to answering", sender)]
    {
        let n_times = times.len();
        let typical = median(times);
        let value = typical.as_secs_f64() * 1e3;
        bench.add(Row {
            what: what.to_owned(),
            ours: millis(typical),
            goal: Goal::AtMost { value, limit: 100.0, unit: "ms" },
            note: format!("median of {n_times}"),
            ..Row::default()
        });
    }
    Ok(())
}

/// CPU of both while a pipe has nothing to send, with the intervals that a user gets by default.
pub(super) fn idle(bench: &mut Bench) -> Result<()> {
    let span = Duration::from_secs(bench.sized(30, 10));
    bench.step(&format!("idle: {} s of nothing", span.as_secs()));
    let dir = bench.dir("idle")?;
    let mut tree = SourceTree::new(&dir.join("source"), 6)?;
    tree.add_files(200)?;
    let pair = Pair::new(&bench.binaries, &dir.join("pair"), &SourceDirs::below(tree.root()))?;
    super::use_usual_intervals(&pair.sender.conf())?;
    pair.write_pipe(None, &[])?;
    let mut sending = pair.start_sender()?;
    sending.wait_sent(200)?;
    std::thread::sleep(SETTLE_TIME);
    let pids = [sending.daemon.pid(), pair.receiver_daemon.pid()];
    let before = [process::cpu(pids[0])?, process::cpu(pids[1])?];
    std::thread::sleep(span);
    check_interrupted()?;
    let after = [process::cpu(pids[0])?, process::cpu(pids[1])?];
    pair.end(sending)?;
    std::fs::remove_dir_all(&dir)?;
    for (at, name) in ["sender", "receiver"].into_iter().enumerate() {
        let used = after[at].saturating_sub(before[at]);
        let in_a_minute = used.mul_f64(MINUTE.as_secs_f64() / span.as_secs_f64());
        let value = in_a_minute.as_secs_f64() * 1e3;
        bench.add(Row {
            what: format!("idle {name}, CPU a minute"),
            ours: millis(in_a_minute),
            goal: Goal::AtMost { value, limit: 10.0, unit: "ms" },
            note: format!("over {}, 200 files at the source, all sent", seconds(span)),
            ..Row::default()
        });
    }
    Ok(())
}

/// What is free on the file system of a directory.
fn free_bytes(dir: &Path) -> Result<u64> {
    let facts = rustix::fs::statvfs(dir).with_context(|| dir.display().to_string())?;
    Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
}
