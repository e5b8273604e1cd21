//! The one Java client that steers all servers (`tests/java/Drive.java`).

use std::collections::HashMap;
use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::anyhow;
use anyhow::bail;

use super::points::Points;
use crate::harness::poll;
use crate::workspace;

/// No statement of these tests takes longer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(90);

/// It closes its sessions within this.
const END_TIME_MAX: Duration = Duration::from_secs(2);

/// The key=value words of an answer.
pub(crate) type Answer = HashMap<String, String>;

/// A running client; ended when dropped.
#[derive(Debug)]
pub(crate) struct Drive {
    child: Child,
    /// Nothing once it was told to end.
    commands: Option<ChildStdin>,
    answers: Receiver<String>,
    at: SocketAddr,
}

impl Drive {
    /// Starts it; it will talk to `server` first.
    pub(crate) fn start(server: SocketAddr, log: &Path) -> Result<Self> {
        let mut child = Command::new(workspace::root().join("tests/java/run.sh"))
            .args(["Drive", &server.ip().to_string(), &server.port().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .spawn()
            .context("running tests/java/run.sh")?;
        let commands = child.stdin.take().ok_or_else(|| anyhow!("the client has no input"))?;
        let output = child.stdout.take().ok_or_else(|| anyhow!("the client has no output"))?;
        let (lines, answers) = channel();
        // Ends with the client: its output is closed then.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, commands: Some(commands), answers, at: server })
    }

    /// Runs a command at a server; an error names both.
    pub(crate) fn run(&mut self, server: SocketAddr, command: &str) -> Result<Answer> {
        self.turn_to(server)?;
        self.exchange(command).with_context(|| format!("{command:?} at the IoTDB on {server}"))
    }

    /// Runs a command at a server, and `meanwhile` before its answer is waited for. The answer does
    /// not matter: the server may be gone by then.
    pub(super) fn run_while(
        &mut self,
        server: SocketAddr,
        command: &str,
        meanwhile: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        self.turn_to(server)?;
        self.tell(command)?;
        let outcome = meanwhile();
        self.answer()?;
        outcome
    }

    /// Writes the points below a pattern into a file.
    pub(super) fn points(
        &mut self,
        server: SocketAddr,
        pattern: &str,
        path: PathBuf,
    ) -> Result<Points> {
        let answer = self.run(server, &format!("points {} {pattern}", path.display()))?;
        Points::from_answer(&answer, path)
    }

    /// Writes the result of a query in the table model into a file.
    pub(super) fn table_rows(
        &mut self,
        server: SocketAddr,
        sql: &str,
        path: PathBuf,
    ) -> Result<Points> {
        let answer = self.run(server, &format!("tquery {} {sql}", path.display()))?;
        Points::from_answer(&answer, path)
    }

    fn turn_to(&mut self, server: SocketAddr) -> Result<()> {
        if self.at != server {
            self.exchange(&format!("at {} {}", server.ip(), server.port()))?;
            self.at = server;
        }
        Ok(())
    }

    fn tell(&mut self, command: &str) -> Result<()> {
        let commands = self.commands.as_mut().ok_or_else(|| anyhow!("the client has ended"))?;
        writeln!(commands, "{command}").context("the client has ended")?;
        commands.flush().context("the client has ended")
    }

    fn answer(&self) -> Result<String> {
        let answers = &self.answers;
        poll(ANSWER_TIME_MAX, "the client's answer", || {
            match answers.recv_timeout(Duration::from_millis(50)) {
                Ok(line) => Ok(Some(line)),
                Err(RecvTimeoutError::Timeout) => Ok(None),
                Err(RecvTimeoutError::Disconnected) => bail!("the client has ended"),
            }
        })
    }

    fn exchange(&mut self, command: &str) -> Result<Answer> {
        self.tell(command)?;
        let line = self.answer()?;
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("ok", rest) => {
                let pairs = rest.split_whitespace().filter_map(|word| word.split_once('='));
                Ok(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
            }
            ("error", message) => bail!("{message}"),
            _ => bail!("expected ok or error, but the client said {line:?}"),
        }
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        // It ends with its input, and then removes the libraries it has unpacked.
        self.commands = None;
        let deadline = Instant::now() + END_TIME_MAX;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(10));
        }
        // Nothing more can be done about a failure here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
