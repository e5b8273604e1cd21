//! Our sender to our receiver over one source, timed.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;

use super::process;
use super::process::Peak;
use super::process::Watch;
use crate::harness::Binaries;
use crate::harness::Daemon;
use crate::harness::ReceiverSetup;
use crate::harness::SENDER;
use crate::harness::SenderSetup;
use crate::harness::SourceDirs;
use crate::harness::check_interrupted;

/// Nothing here takes longer, whatever the machine.
pub(super) const CROSSING_TIME_MAX: Duration = Duration::from_secs(300);
/// How exactly the end of a crossing is seen; each look costs the sender some 50 µs.
const POLL_PAUSE: Duration = Duration::from_millis(4);

/// What a crossing took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crossed {
    pub(super) wall: Duration,
    pub(super) sender_cpu: Duration,
    pub(super) receiver_cpu: Duration,
    pub(super) sender_peak: Peak,
    pub(super) receiver_peak: Peak,
}

/// Both daemons, the receiver running.
pub(super) struct Pair {
    binaries: Binaries,
    dir: PathBuf,
    pub(super) receiver: ReceiverSetup,
    pub(super) receiver_daemon: Daemon,
    pub(super) sender: SenderSetup,
}

/// The sender, while it runs.
pub(super) struct Sending {
    pub(super) daemon: Daemon,
    pub(super) started: Instant,
    socket: PathBuf,
}

impl Pair {
    /// Starts a receiver and configures a sender; both write below `dir`.
    pub(super) fn new(binaries: &Binaries, dir: &Path, source: &SourceDirs) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let receiver = ReceiverSetup::new(binaries, &dir.join("receiver"), &[])?;
        let receiver_daemon = receiver.start()?;
        let sender = SenderSetup::new(binaries, &dir.join("sender"), source, &[])?;
        let (binaries, dir) = (binaries.clone(), dir.to_owned());
        Ok(Self { binaries, dir, receiver, receiver_daemon, sender })
    }

    /// Writes a pipe to `peer`, or to the receiver itself.
    pub(super) fn write_pipe(&self, peer: Option<SocketAddr>, more: &[(&str, &str)]) -> Result<()> {
        let mut keys = vec![("connector.tidegate.gateway", "plain-tcp")];
        keys.extend(more);
        self.sender.write_pipe("bench", peer.unwrap_or_else(|| self.receiver.address()), &keys)
    }

    /// Starts the sender; the clock runs from before.
    pub(super) fn start_sender(&self) -> Result<Sending> {
        let conf = self.sender.conf();
        let arguments = ["run".as_ref(), "--conf".as_ref(), conf.as_os_str()];
        let log = self.dir.join("sender/sender.log");
        let started = Instant::now();
        let daemon = Daemon::spawn(&self.binaries.path(SENDER), arguments, &log)?;
        Ok(Sending { daemon, started, socket: self.dir.join("sender/sender.sock") })
    }

    /// Ends both and removes what they have written.
    pub(super) fn end(mut self, mut sending: Sending) -> Result<()> {
        sending.daemon.terminate()?;
        self.receiver_daemon.terminate()?;
        fs::remove_dir_all(&self.dir).with_context(|| self.dir.display().to_string())
    }
}

impl Sending {
    /// Waits until so many files are acknowledged; the moment.
    pub(super) fn wait_sent(&mut self, n_files: u64) -> Result<Instant> {
        let deadline = Instant::now() + CROSSING_TIME_MAX;
        loop {
            // Until it listens there is no answer.
            let status = process::status(&self.socket).unwrap_or_default();
            let now = Instant::now();
            if status["pipes"][0]["sent_files"].as_u64() >= Some(n_files) {
                return Ok(now);
            }
            check_interrupted()?;
            self.daemon.ensure_running()?;
            if now >= deadline {
                let sent = &status["pipes"][0]["sent_files"];
                bail!("{n_files} files should have crossed, {sent} have: {status}");
            }
            std::thread::sleep(POLL_PAUSE);
        }
    }

    /// Waits for its first answer; the moment.
    pub(super) fn wait_answer(&mut self) -> Result<Instant> {
        let deadline = Instant::now() + CROSSING_TIME_MAX;
        while process::status(&self.socket).is_err() {
            self.daemon.ensure_running()?;
            check_interrupted()?;
            if Instant::now() >= deadline {
                bail!("the sender gives no answer");
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        Ok(Instant::now())
    }
}

/// Crosses once: from the sender's start until every file is acknowledged.
pub(super) fn cross(
    binaries: &Binaries,
    dir: &Path,
    source: &SourceDirs,
    n_files: u64,
) -> Result<Crossed> {
    let pair = Pair::new(binaries, dir, source)?;
    pair.write_pipe(None, &[])?;
    let cpu_before = process::cpu(pair.receiver_daemon.pid())?;
    let mut sending = pair.start_sender()?;
    let watch = Watch::start(&[sending.daemon.pid(), pair.receiver_daemon.pid()]);
    let ended = sending.wait_sent(n_files)?;
    let crossed = Crossed {
        wall: ended - sending.started,
        sender_cpu: process::cpu(sending.daemon.pid())?,
        receiver_cpu: process::cpu(pair.receiver_daemon.pid())?.saturating_sub(cpu_before),
        sender_peak: Peak::default(),
        receiver_peak: Peak::default(),
    };
    let peaks = watch.stop();
    pair.end(sending)?;
    let peak = |at: usize| peaks.get(at).copied().unwrap_or_default();
    Ok(Crossed { sender_peak: peak(0), receiver_peak: peak(1), ..crossed })
}
