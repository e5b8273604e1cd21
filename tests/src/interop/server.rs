//! One real IoTDB for the tests, through the scripts in `tests/interop`.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::anyhow;
use anyhow::bail;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

use crate::harness::SourceDirs;
use crate::harness::poll;
use crate::harness::tail;
use crate::workspace;

/// Fetching 110 MB from a slow mirror takes minutes.
pub(crate) const ASSEMBLE_TIME_MAX: Duration = Duration::from_secs(600);
/// Compiling a handful of Java files.
pub(crate) const BUILD_TIME_MAX: Duration = Duration::from_secs(120);
/// `start.sh` gives up after 90 seconds for each of the two nodes.
const START_TIME_MAX: Duration = Duration::from_secs(200);
/// `stop.sh` waits up to 30 seconds for each of the two nodes.
const STOP_TIME_MAX: Duration = Duration::from_secs(90);

/// A script that was told to end does so within this.
const SCRIPT_END_TIME_MAX: Duration = Duration::from_secs(5);

/// A running ConfigNode and DataNode; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    instance: String,
    properties: Vec<String>,
    environment: Vec<(String, String)>,
    offset: String,
    /// Its client port.
    pub(crate) rpc: SocketAddr,
    /// Its air-gap receiver, if the properties switch it on.
    pub(crate) air_gap: SocketAddr,
    /// Its DataNode's process id.
    pub(crate) dn_pid: u32,
    home: PathBuf,
    log: PathBuf,
}

impl Server {
    /// Starts a fresh one on free ports.
    pub(crate) fn start(instance: &str, properties: &[&str], log: &Path) -> Result<Self> {
        Self::start_with(instance, properties, &[], log)
    }

    /// The same with settings of `start.sh`, such as the size of the heap.
    pub(crate) fn start_with(
        instance: &str,
        properties: &[&str],
        environment: &[(&str, &str)],
        log: &Path,
    ) -> Result<Self> {
        let properties: Vec<String> = properties.iter().map(|&it| it.to_owned()).collect();
        let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        let environment: Vec<_> = environment.iter().map(owned).collect();
        let facts = start(instance, &["--fresh"], "auto", (&properties, &environment), log)?;
        let fact =
            |key: &str| facts.get(key).cloned().ok_or_else(|| anyhow!("start.sh printed no {key}"));
        let at = |key: &str| -> Result<SocketAddr> {
            Ok(SocketAddr::from(([127, 0, 0, 1], fact(key)?.parse()?)))
        };
        Ok(Self {
            instance: instance.to_owned(),
            properties,
            environment,
            offset: fact("offset")?,
            rpc: at("rpc")?,
            air_gap: at("air_gap")?,
            dn_pid: fact("dn_pid")?.parse()?,
            home: PathBuf::from(fact("home")?),
            log: log.to_owned(),
        })
    }

    /// Kills it and starts it again on the same ports, with its data.
    pub(crate) fn kill_and_restart(&self) -> Result<()> {
        self.kill()?;
        let settings = (self.properties.as_slice(), self.environment.as_slice());
        start(&self.instance, &[], &self.offset, settings, &self.log)?;
        Ok(())
    }

    /// Kills its DataNode at once, without a script in between; [`Server::kill_and_restart`] brings
    /// it back.
    pub(crate) fn kill_data_node(&self) -> Result<()> {
        let path = self.home.join("datanode.pid");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let pid = Pid::from_raw(text.trim().parse()?).context("expected a process id above 0")?;
        kill_process(pid, Signal::KILL).with_context(|| format!("killing {}", self.instance))
    }

    /// Its directories, for a sender beside it.
    pub(crate) fn dirs(&self) -> SourceDirs {
        SourceDirs::below(&self.home)
    }

    /// The last warnings and errors of the DataNode.
    pub(crate) fn log_tail(&self) -> String {
        let log = fs::read(self.home.join("logs/datanode.log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let is_trouble = |line: &&str| line.contains(" WARN ") || line.contains(" ERROR ");
        let lines: Vec<&str> = log.lines().filter(is_trouble).collect();
        let title = format!("warnings and errors of the IoTDB {}", self.instance);
        tail(&title, &lines.join("\n"))
    }

    /// Kills it and removes everything it has written, even after Ctrl-C.
    pub(crate) fn remove(self) -> Result<()> {
        self.kill_now()?;
        fs::remove_dir_all(&self.home).with_context(|| format!("removing {}", self.home.display()))
    }

    fn kill(&self) -> Result<()> {
        let arguments = [self.instance.as_str(), "KILL"];
        script("tests/interop/stop.sh", &arguments, STOP_TIME_MAX, &self.log)?;
        Ok(())
    }

    /// The same without `poll`, which refuses to wait once Ctrl-C was pressed.
    fn kill_now(&self) -> io::Result<()> {
        Command::new(workspace::root().join("tests/interop/stop.sh"))
            .args([&self.instance, "KILL"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map(drop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.kill_now() {
            eprintln!("stopping {}: {error}", self.instance);
        }
    }
}

fn start(
    instance: &str,
    options: &[&str],
    offset: &str,
    (properties, environment): (&[String], &[(String, String)]),
    log: &Path,
) -> Result<HashMap<String, String>> {
    let owner = std::process::id().to_string();
    let mut arguments = options.to_vec();
    arguments.extend(["--owner", &owner, instance, offset]);
    arguments.extend(properties.iter().map(String::as_str));
    let program = ("tests/interop/start.sh", environment);
    let line = script_in(program, &arguments, START_TIME_MAX, log)?;
    let pairs = line.split_whitespace().filter_map(|word| word.split_once('='));
    Ok(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

/// Runs a script of this repository and returns what it prints on standard output.
///
/// # Arguments
///
/// - `log`: where its standard error goes; an error carries the end of it
pub(crate) fn script(
    path: &str,
    arguments: &[&str],
    within: Duration,
    log: &Path,
) -> Result<String> {
    script_in((path, &[]), arguments, within, log)
}

fn script_in(
    (path, environment): (&str, &[(String, String)]),
    arguments: &[&str],
    within: Duration,
    log: &Path,
) -> Result<String> {
    let answer = log.with_extension("answer");
    let stderr = fs::File::options().create(true).append(true).open(log)?;
    let mut child = Command::new(workspace::root().join(path))
        .args(arguments)
        .envs(environment.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::null())
        .stdout(fs::File::create(&answer)?)
        .stderr(stderr)
        .spawn()
        .with_context(|| format!("running {path}"))?;
    let ended = poll(within, &format!("the end of {path}"), || Ok(child.try_wait()?));
    let said = || tail(path, &fs::read_to_string(log).unwrap_or_default());
    match ended {
        Ok(status) if status.success() => Ok(fs::read_to_string(&answer)?),
        Ok(status) => bail!("{path} {}: {status}\n{}", arguments.join(" "), said()),
        Err(error) => {
            end_script(&mut child);
            bail!("{error:#}\n{}", said())
        }
    }
}

/// Ends a script that is not waited for any longer: start.sh ends its servers on SIGTERM.
fn end_script(child: &mut Child) {
    // The error at hand says more than one about the ending.
    let _ = kill_process(Pid::from_child(child), Signal::TERM);
    let deadline = Instant::now() + SCRIPT_END_TIME_MAX;
    while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
        thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
}
