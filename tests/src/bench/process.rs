//! What a process costs: CPU time and memory, read from `/proc`.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use serde_json::Value;

/// Often enough to see the peak of what is held for a piece.
const SAMPLE_PAUSE: Duration = Duration::from_millis(10);
/// A daemon answers within this, or it is busy with something that should not keep it busy.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// CPU time of a process's living threads, to the nanosecond.
pub(super) fn cpu(pid: u32) -> Result<Duration> {
    let dir = format!("/proc/{pid}/task");
    let mut total = Duration::ZERO;
    for task in fs::read_dir(&dir).with_context(|| format!("reading {dir}"))? {
        // A thread that ends meanwhile takes its share with it.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let on_cpu = text.split_whitespace().next().unwrap_or_default();
        total += Duration::from_nanos(on_cpu.parse().context("reading schedstat")?);
    }
    Ok(total)
}

/// Asks a daemon how it is, without starting another process.
pub(super) fn status(socket: &Path) -> Result<Value> {
    let stream = UnixStream::connect(socket).with_context(|| socket.display().to_string())?;
    stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
    (&stream).write_all(b"{\"command\":\"status\"}\n")?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    let mut answer: Value = serde_json::from_str(&line).context("reading an answer")?;
    match answer.get_mut("ok") {
        Some(value) => Ok(value.take()),
        None => bail!("expected an answer, found {line}"),
    }
}

/// Most memory that a process was seen to hold.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peak {
    /// Of its own: `RssAnon`.
    pub(super) anonymous_bytes: u64,
    /// With the pages of files that are mapped: `VmRSS`.
    pub(super) resident_bytes: u64,
}

/// Watches the memory of processes until it is told to stop.
pub(super) struct Watch {
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Peak>>,
}

impl Watch {
    pub(super) fn start(pids: &[u32]) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let is_stopped = Arc::clone(&stopped);
        let pids = pids.to_vec();
        let thread = std::thread::spawn(move || {
            let mut peaks = vec![Peak::default(); pids.len()];
            loop {
                for (peak, pid) in peaks.iter_mut().zip(&pids) {
                    // One that has ended keeps the peak it had.
                    let now = memory(*pid).unwrap_or_default();
                    peak.anonymous_bytes = peak.anonymous_bytes.max(now.anonymous_bytes);
                    peak.resident_bytes = peak.resident_bytes.max(now.resident_bytes);
                }
                if is_stopped.load(Ordering::Relaxed) {
                    return peaks;
                }
                std::thread::sleep(SAMPLE_PAUSE);
            }
        });
        Self { stopped, thread }
    }

    /// The peaks, in the order of the processes.
    pub(super) fn stop(self) -> Vec<Peak> {
        self.stopped.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

/// What a process holds now.
pub(super) fn memory(pid: u32) -> Option<Peak> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let bytes = |key: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    };
    Some(Peak { anonymous_bytes: bytes("RssAnon:")?, resident_bytes: bytes("VmRSS:")? })
}
