//! A source, a receiver and a sender, as most tests of the daemons need them.
//!
//! What cannot be had here ends the test, with the log of the daemon concerned.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::arrival;
use crate::harness;
use crate::harness::Binaries;
use crate::harness::Daemon;
use crate::harness::Gateway;
use crate::harness::ReceiverSetup;
use crate::harness::SenderSetup;
use crate::harness::SourceDirs;
use crate::source::SourceTree;

/// Whatever is waited for comes within this, the longest pauses between calls included, or not at all.
pub const WITHIN: Duration = Duration::from_secs(90);

/// What lies at a source, by its names on the wire.
pub type Files = BTreeMap<String, arrival::Content>;

/// A source, a receiver, and a sender that is not started yet.
#[derive(Debug)]
pub struct Site {
    /// Everything is in it.
    pub dir: TempDir,
    /// The programs.
    pub binaries: Binaries,
    /// The source.
    pub tree: SourceTree,
    /// How the receiver starts.
    pub receiver_setup: ReceiverSetup,
    /// The receiver.
    pub receiver: Daemon,
    /// How the sender starts.
    pub setup: SenderSetup,
}

impl Site {
    /// A site whose sender has these lines more in its configuration.
    pub fn new(more: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let binaries = Binaries::beside_this_one().expect("the daemons are built");
        let tree = SourceTree::new(&dir.path().join("source"), 7).expect("a source");
        let receiver_setup =
            ReceiverSetup::new(&binaries, &dir.path().join("receiver"), &[]).expect("a receiver");
        let receiver = receiver_setup.start().expect("a receiver");
        let source = SourceDirs::below(tree.root());
        let setup = SenderSetup::new(&binaries, &dir.path().join("sender"), &source, more)
            .expect("a sender");
        Self { dir, binaries, tree, receiver_setup, receiver, setup }
    }

    /// A gateway to the receiver.
    pub fn gateway(&self, arguments: &[&str]) -> Gateway {
        let log = self.dir.path().join("gateway.log");
        Gateway::start(&self.binaries, self.receiver_setup.address(), arguments, &log)
            .expect("a gateway")
    }

    /// Defines a pipe.
    pub fn write_pipe(&self, name: &str, peer: SocketAddr, more: &[(&str, &str)]) {
        self.setup.write_pipe(name, peer, more).expect("a pipe");
    }

    /// Where a pipe is defined.
    pub fn pipe_path(&self, name: &str) -> std::path::PathBuf {
        self.setup.conf().with_file_name("pipes").join(format!("{name}.toml"))
    }

    /// Starts the sender.
    pub fn start(&self) -> Daemon {
        self.setup.start().expect("the sender starts")
    }

    /// What the sender says of itself.
    pub fn status(&self) -> Value {
        self.setup.status().expect("the sender answers")
    }

    /// Waits until the status is as wanted.
    pub fn wait(
        &self,
        sender: &mut Daemon,
        what: &str,
        mut wanted: impl FnMut(&Value) -> bool,
    ) -> Value {
        let waited = harness::poll(WITHIN, what, || {
            sender.ensure_running()?;
            let status = self.setup.status()?;
            Ok(wanted(&status).then_some(status))
        });
        waited.unwrap_or_else(|error| panic!("{:#}\n{:#}", sender.with_log(&error), self.status()))
    }

    /// Waits until everything is acknowledged, and compares both sides.
    pub fn arrives(&self, sender: &mut Daemon) -> arrival::Comparison {
        let files = arrival::sealed_files(&self.tree.data_dir()).expect("the source");
        let n_ts_files = files.keys().filter(|name| name.ends_with(".tsfile")).count() as u64;
        self.wait(sender, "all files to be acknowledged", |status| {
            status["pipes"][0]["sent_files"].as_u64() == Some(n_ts_files)
        });
        self.in_place(sender, &files)
    }

    /// Waits until all of these files are in their place, and compares both sides.
    pub fn in_place(&self, sender: &mut Daemon, files: &Files) -> arrival::Comparison {
        let compared = harness::poll(WITHIN, "all files to be in their place", || {
            sender.ensure_running()?;
            let arrived = arrival::arrived(&self.receiver_setup.files())?;
            let comparison = arrival::compare(files, &arrived);
            Ok((comparison.n_equal == files.len()).then_some(comparison))
        });
        let comparison = compared.unwrap_or_else(|error| panic!("{:#}", sender.with_log(&error)));
        assert_eq!(comparison.faults, [""; 0]);
        comparison
    }

    /// The gap records of the only pipe, once all that the sender tells of are on disk.
    pub fn gaps(&self) -> Vec<Value> {
        let listed = harness::poll(WITHIN, "all gap records to be on disk", || {
            let told = self.setup.status()?["pipes"][0]["gaps"].as_u64();
            let gaps = self.setup.gaps()?.as_array().cloned().unwrap_or_default();
            Ok((told == Some(gaps.len() as u64)).then_some(gaps))
        });
        listed.expect("gap records")
    }

    /// Runs a command that must be refused; what it says.
    pub fn refusal(&self, command: &str) -> String {
        let output = std::process::Command::new(self.binaries.path("tidegate-sender"))
            .args([command, "--conf"])
            .arg(self.setup.conf())
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{said}");
        said
    }
}
