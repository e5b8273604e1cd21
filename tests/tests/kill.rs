//! Real daemons, killed with SIGKILL again and again while files cross: nothing is lost, nothing is
//! changed, nothing is invented.
//!
//! `TIDEGATE_KILL_ROUNDS` raises the number of kills, `TIDEGATE_SEED` repeats a run.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use anyhow::ensure;
use tidegate_tests::arrival;
use tidegate_tests::harness;
use tidegate_tests::harness::Binaries;
use tidegate_tests::harness::Daemon;
use tidegate_tests::harness::Gateway;
use tidegate_tests::harness::ReceiverSetup;
use tidegate_tests::harness::SenderSetup;
use tidegate_tests::harness::SourceDirs;
use tidegate_tests::source::SourceTree;

/// Kills in a plain test run.
const ROUNDS: u64 = 10;
/// A whole run must come to its end within this, per round.
const ROUND_TIME_MAX: Duration = Duration::from_secs(60);

struct Site {
    rng: fastrand::Rng,
    tree: SourceTree,
    sender_setup: SenderSetup,
    receiver_setup: ReceiverSetup,
    sender: Daemon,
    receiver: Daemon,
    gateway: Gateway,
    kills: [u64; 2],
}

impl Site {
    fn new(dir: &Path, seed: u64) -> Result<Self> {
        let binaries = Binaries::beside_this_one()?;
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut tree = SourceTree::new(&dir.join("source"), rng.u64(..))?;
        tree.add_files(20)?;
        let receiver_setup = ReceiverSetup::new(&binaries, &dir.join("receiver"), &[])?;
        let receiver = receiver_setup.start()?;
        let line = ["--profile", "syskeeper-2000-forward", "--mbit", "400", "--rtt-ms", "1"];
        let log = dir.join("gateway.log");
        let gateway = Gateway::start(&binaries, receiver_setup.address(), &line, &log)?;
        let source = SourceDirs::below(tree.root());
        let sender_setup = SenderSetup::new(&binaries, &dir.join("sender"), &source, &[])?;
        let profile = [
            ("connector.tidegate.gateway", "syskeeper-2000-forward"),
            ("connector.tidegate.piece-size-bytes", "65536"),
        ];
        sender_setup.write_pipe("p", gateway.address, &profile)?;
        let sender = sender_setup.start()?;
        let kills = [0; 2];
        Ok(Self { rng, tree, sender_setup, receiver_setup, sender, receiver, gateway, kills })
    }

    fn sent_files(&self) -> Result<u64> {
        let status = self.sender_setup.status()?;
        Ok(status["pipes"][0]["sent_files"].as_u64().unwrap_or(0))
    }

    /// Lets some files cross, then kills one of the daemons at a random point and starts it again.
    fn round(&mut self) -> Result<()> {
        self.tree.add_files(6)?;
        let target = self.sent_files()? + self.rng.u64(1..5);
        harness::poll(ROUND_TIME_MAX, "some files to cross", || {
            self.sender.ensure_running()?;
            self.receiver.ensure_running()?;
            Ok((self.sent_files()? >= target).then_some(()))
        })?;
        // Somewhere in a file, a seal, a sync or a reply: where exactly is up to the machine.
        let spins = self.rng.u32(0..200_000);
        (0..spins).for_each(|spin| {
            std::hint::black_box(spin);
        });
        if self.rng.bool() {
            self.sender.kill9()?;
            self.sender = self.sender_setup.start()?;
            self.kills[0] += 1;
        } else {
            self.receiver.kill9()?;
            self.receiver = self.receiver_setup.start()?;
            self.kills[1] += 1;
        }
        Ok(())
    }

    fn finish(mut self, n_rounds: u64) -> Result<String> {
        let source = arrival::sealed_files(&self.tree.data_dir())?;
        let within = ROUND_TIME_MAX * 3;
        harness::poll(within, "everything to be acknowledged", || {
            self.sender.ensure_running()?;
            self.receiver.ensure_running()?;
            let status = self.sender_setup.status()?;
            let pipe = &status["pipes"][0];
            let all = pipe["scans"].as_u64() > Some(1) && pipe["pending_files"].as_u64() == Some(0);
            Ok(all.then_some(()))
        })?;
        let comparison = harness::poll(within, "everything to be in its place", || {
            let arrived = arrival::arrived(&self.receiver_setup.files())?;
            let comparison = arrival::compare(&source, &arrived);
            Ok((comparison.n_equal == source.len()).then_some(comparison))
        })?;
        ensure!(comparison.faults.is_empty(), "{:?}", comparison.faults);
        ensure!(
            comparison.n_repeated as u64 <= n_rounds * 3,
            "{} copies after {n_rounds} kills: only what was in flight may come twice",
            comparison.n_repeated
        );
        for gaps in [self.sender_setup.gaps()?, self.receiver_setup.gaps()?] {
            ensure!(gaps.as_array().is_some_and(Vec::is_empty), "{gaps}");
        }
        self.sender.terminate()?;
        self.receiver.terminate()?;
        self.gateway.stop()?;
        Ok(format!(
            "{} kills of the sender, {} of the receiver; {} files, {} bytes equal, {} repeated",
            self.kills[0],
            self.kills[1],
            comparison.n_equal,
            comparison.equal_bytes,
            comparison.n_repeated
        ))
    }
}

#[test]
fn kill_9_of_either_daemon_at_any_moment_loses_and_changes_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let n_rounds = number("TIDEGATE_KILL_ROUNDS").unwrap_or(ROUNDS);
    let seed = number("TIDEGATE_SEED").unwrap_or_else(|| fastrand::u64(..));
    let dir = tempfile::tempdir().expect("a directory");
    let run = || -> Result<String> {
        let mut site = Site::new(dir.path(), seed)?;
        for round in 0..n_rounds {
            if let Err(error) = site.round() {
                let error = site.sender.with_log(&site.receiver.with_log(&error));
                return Err(error.context(format!("round {round}")));
            }
        }
        site.finish(n_rounds)
    };
    match run() {
        Ok(summary) => println!("{summary}"),
        Err(error) => {
            let kept = fs::canonicalize(dir.keep()).expect("the directory is there");
            panic!("TIDEGATE_SEED={seed}: {error:#}\neverything is in {}", kept.display());
        }
    }
}
