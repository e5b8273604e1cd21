//! Runs the programs of this workspace as child processes for tests and the demo: starts them with
//! a log file and a configuration of their own, asks for their status, ends or kills them.
//!
//! Nothing here waits for a fixed time: everything polls until a deadline, and every error that
//! concerns a program carries the end of its log.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::fs::File;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
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
use serde_json::Value;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;

/// The sending daemon.
pub const SENDER: &str = "tidegate-sender";
/// The receiving daemon.
pub const RECEIVER: &str = "tidegate-receiver";
/// The gateway simulator.
pub const GATEWAY_SIM: &str = "tidegate-gateway-sim";

/// A daemon that was told to end does so within this.
pub const TERMINATE_TIME_MAX: Duration = Duration::from_secs(5);
/// A daemon answers on its control socket, or a simulator listens, within this.
pub const START_TIME_MAX: Duration = Duration::from_secs(10);

const POLL_PAUSE: Duration = Duration::from_millis(20);
/// Lines of a log that an error carries.
const TAIL_LINES: usize = 20;

static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Turns Ctrl-C and SIGTERM into an error of whatever polls next, so that everything that was
/// started is ended on the way out.
pub fn catch_interrupts() -> Result<()> {
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&INTERRUPTED))?;
    }
    Ok(())
}

/// An error once [`catch_interrupts`] has caught something.
pub fn check_interrupted() -> Result<()> {
    match INTERRUPTED.load(Ordering::SeqCst) {
        true => bail!("interrupted"),
        false => Ok(()),
    }
}

/// Asks again and again until there is an answer.
///
/// # Errors
///
/// What `ask` fails with, at once; or that `what` did not come about in time.
pub fn poll<T>(within: Duration, what: &str, ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    poll_every(POLL_PAUSE, within, what, ask)
}

/// The same with a pause of the caller's choice, for what does not last.
///
/// # Errors
///
/// As [`poll`].
pub fn poll_every<T>(
    pause: Duration,
    within: Duration,
    what: &str,
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        check_interrupted()?;
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            bail!("waited {} s in vain for {what}", within.as_secs());
        }
        thread::sleep(pause);
    }
}

/// A port on loopback on which nobody listens now.
///
/// For servers that must come back on the same port after a restart; others take port 0. It lies
/// below the ports that the system gives out by itself, so that no connection takes it meanwhile.
pub fn free_port() -> Result<u16> {
    for _ in 0..100 {
        let port = fastrand::u16(12_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("found no free port on loopback")
}

/// Where the compiled programs are.
#[derive(Clone, Debug)]
pub struct Binaries {
    dir: PathBuf,
}

impl Binaries {
    /// Those in a directory; all three must be there.
    pub fn new(dir: &Path) -> Result<Self> {
        for name in [SENDER, RECEIVER, GATEWAY_SIM] {
            if !dir.join(name).is_file() {
                bail!("{}: expected {name}; build it first with cargo build", dir.display());
            }
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// Those beside the running program; a test's own directory is one below.
    pub fn beside_this_one() -> Result<Self> {
        let this = std::env::current_exe().context("finding this program")?;
        let mut dirs = this.ancestors().skip(1).take(2);
        let dir = dirs.find(|dir| dir.file_name() != Some(OsStr::new("deps")));
        Self::new(dir.ok_or_else(|| anyhow!("{} has no directory", this.display()))?)
    }

    /// The path of a program.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// What `NAME status --json` prints.
    pub fn status(&self, name: &str, conf: &Path) -> Result<Value> {
        self.ask(name, "status", conf)
    }

    /// What `NAME gaps --json` prints.
    pub fn gaps(&self, name: &str, conf: &Path) -> Result<Value> {
        self.ask(name, "gaps", conf)
    }

    fn ask(&self, name: &str, command: &str, conf: &Path) -> Result<Value> {
        let output = Command::new(self.path(name))
            .args([command, "--json", "--conf"])
            .arg(conf)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("running {name} {command}"))?;
        if !output.status.success() {
            bail!("{name} {command}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{name} {command} --json printed no JSON"))
    }
}

/// A running program; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    name: String,
    log_path: PathBuf,
    /// Where this run's lines begin: a restart appends to the log.
    log_start: usize,
}

impl Daemon {
    /// Starts a program; both of its outputs are appended to the log.
    pub fn spawn<A: AsRef<OsStr>>(
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        log_path: &Path,
    ) -> Result<Self> {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let open = || File::options().create(true).append(true).open(log_path);
        let log = open().with_context(|| format!("opening {}", log_path.display()))?;
        let log_start = usize::try_from(log.metadata()?.len())?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(open()?)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        Ok(Self { child, name, log_path: log_path.to_owned(), log_start })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it as a power cut would: nothing is flushed, nothing is answered.
    pub fn kill9(&mut self) -> Result<()> {
        self.child.kill().with_context(|| format!("killing {}", self.name))?;
        self.child.wait().with_context(|| format!("waiting for {}", self.name))?;
        Ok(())
    }

    /// Sends SIGTERM and waits until it has ended.
    ///
    /// # Errors
    ///
    /// If that takes longer than [`TERMINATE_TIME_MAX`].
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(TERMINATE_TIME_MAX)
    }

    /// Sends SIGHUP: the daemons reread their configuration.
    pub fn reload(&mut self) -> Result<()> {
        self.signal(Signal::HUP)
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        let child = &mut self.child;
        let ended = poll(within, &what, || Ok(child.try_wait()?));
        ended.map_err(|error| self.with_log(&error))
    }

    /// Waits until a line of this run's log holds `text`, and returns that line.
    pub fn wait_for_log(&mut self, text: &str, within: Duration) -> Result<String> {
        let what = format!("{text:?} in the log of {}", self.name);
        let found = poll(within, &what, || {
            // The end is noticed before the log is read: its last lines count.
            let ended = self.child.try_wait()?;
            let log = self.log()?;
            // A line still being written has no end.
            let whole = log.rfind('\n').map_or("", |end| &log[..end]);
            match (whole.lines().find(|line| line.contains(text)), ended) {
                (Some(line), _) => Ok(Some(line.to_owned())),
                (None, Some(status)) => bail!("{} ended early: {status}", self.name),
                (None, None) => Ok(None),
            }
        });
        found.map_err(|error| self.with_log(&error))
    }

    /// An error if it has ended.
    pub fn ensure_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(self.with_log(&anyhow!("{} has ended: {status}", self.name))),
        }
    }

    /// What this run has logged.
    pub fn log(&self) -> Result<String> {
        let bytes = fs::read(&self.log_path)
            .with_context(|| format!("reading {}", self.log_path.display()))?;
        Ok(String::from_utf8_lossy(bytes.get(self.log_start..).unwrap_or_default()).into_owned())
    }

    /// The same error with the end of the log behind it.
    pub fn with_log(&self, error: &anyhow::Error) -> anyhow::Error {
        let log = self.log().unwrap_or_default();
        anyhow!("{error:#}\n{}", tail(&format!("log of {}", self.name), &log))
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        match kill_process(pid, signal) {
            // Not yet waited for, so the id is still its own.
            Ok(()) => Ok(()),
            Err(error) => Err(anyhow!("signalling {}: {error}", self.name)),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Nothing more can be done about a failure here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last lines of a text, indented under a title.
pub fn tail(title: &str, text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut out = format!("  {title}:");
    for line in lines.iter().skip(lines.len().saturating_sub(TAIL_LINES)) {
        out.push_str("\n    ");
        out.push_str(line);
    }
    out
}

/// The directories of one IoTDB.
#[derive(Clone, Debug)]
pub struct SourceDirs {
    root: PathBuf,
}

impl SourceDirs {
    /// Those of an installation: `datanode/{data,system}` and `confignode/system` are below it.
    pub fn below(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The one of `tests/fixtures` with that name.
    pub fn fixture(name: &str) -> Self {
        Self::below(&crate::workspace::root().join("tests/fixtures").join(name).join("data"))
    }

    /// Its `dn_data_dirs`.
    pub fn data(&self) -> PathBuf {
        self.root.join("datanode/data")
    }
}

/// A sender with a directory of its own.
#[derive(Clone, Debug)]
pub struct SenderSetup {
    binaries: Binaries,
    dir: PathBuf,
}

impl SenderSetup {
    /// Writes its configuration; `more` are further lines of `key=value`.
    pub fn new(
        binaries: &Binaries,
        dir: &Path,
        source: &SourceDirs,
        more: &[&str],
    ) -> Result<Self> {
        fs::create_dir_all(dir.join("pipes"))?;
        let at = |name: &str| dir.join(name).display().to_string();
        let root = source.root.display();
        let mut text = format!(
            "dn_data_dirs={root}/datanode/data\n\
             dn_system_dir={root}/datanode/system\n\
             sender_confignode_system_dir={root}/confignode/system\n\
             sender_state_dir={}\nsender_pipe_dir={}\nsender_control_socket={}\n\
             sender_rescan_interval_ms=200\nsender_reconnect_min_interval_ms=100\n\
             sender_compaction_end_ms=3000\n",
            at("state"),
            at("pipes"),
            at("sender.sock"),
        );
        for line in more {
            writeln!(text, "{line}")?;
        }
        let setup = Self { binaries: binaries.clone(), dir: dir.to_owned() };
        fs::write(setup.conf(), text)?;
        Ok(setup)
    }

    /// Its configuration file.
    pub fn conf(&self) -> PathBuf {
        self.dir.join("sender.properties")
    }

    /// Writes a pipe towards `peer`; `more` are further keys of its connector or extractor.
    pub fn write_pipe(&self, name: &str, peer: SocketAddr, more: &[(&str, &str)]) -> Result<()> {
        let (mut extractor, mut connector) = (String::new(), String::new());
        for (key, value) in more {
            let section =
                if key.starts_with("extractor.") { &mut extractor } else { &mut connector };
            writeln!(section, "{key:?} = {value:?}")?;
        }
        let text = format!(
            "[extractor]\n{extractor}[connector]\n\"connector\" = \"iotdb-air-gap-connector\"\n\
             \"connector.node-urls\" = \"{peer}\"\n{connector}",
        );
        fs::write(self.dir.join("pipes").join(format!("{name}.toml")), text)?;
        Ok(())
    }

    /// Starts it and waits until it answers.
    pub fn start(&self) -> Result<Daemon> {
        let arguments =
            [OsStr::new("run"), OsStr::new("--conf"), self.conf().as_os_str()].map(OsStr::to_owned);
        let program = self.binaries.path(SENDER);
        self.spawn(&program, &arguments)
    }

    /// Starts it, run by another program that takes its command line.
    pub fn start_by(&self, program: &str, arguments: &[&str]) -> Result<Daemon> {
        let own = [self.binaries.path(SENDER).into(), "run".into(), "--conf".into()];
        let arguments = arguments.iter().map(OsString::from).chain(own);
        let arguments: Vec<OsString> = arguments.chain([self.conf().into()]).collect();
        self.spawn(Path::new(program), &arguments)
    }

    fn spawn(&self, program: &Path, arguments: &[OsString]) -> Result<Daemon> {
        let mut daemon = Daemon::spawn(program, arguments, &self.dir.join("sender.log"))?;
        wait_for_answer(&mut daemon, || self.status())?;
        Ok(daemon)
    }

    /// What it says of itself.
    pub fn status(&self) -> Result<Value> {
        self.binaries.status(SENDER, &self.conf())
    }

    /// What it could not deliver.
    pub fn gaps(&self) -> Result<Value> {
        self.binaries.gaps(SENDER, &self.conf())
    }
}

/// A receiver with a directory and a port of its own.
#[derive(Clone, Debug)]
pub struct ReceiverSetup {
    binaries: Binaries,
    dir: PathBuf,
    port: u16,
}

impl ReceiverSetup {
    /// One whose target is a directory; `more` are further lines of `key=value`.
    pub fn new(binaries: &Binaries, dir: &Path, more: &[&str]) -> Result<Self> {
        let more = [&["receiver_target=directory"], more].concat();
        Self::with_store(binaries, dir, free_port()?, &more)
    }

    /// One whose target is a store, as it is without further words, at a given port.
    pub fn with_store(binaries: &Binaries, dir: &Path, port: u16, more: &[&str]) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let at = |name: &str| dir.join(name).display().to_string();
        let mut text = format!(
            "pipe_air_gap_receiver_enabled=true\npipe_air_gap_receiver_port={port}\n\
             receiver_bind_address=127.0.0.1\nreceiver_directory={}\n\
             receiver_state_dir={}\nreceiver_control_socket={}\nreceiver_disk_floor_bytes=64MiB\n",
            at("files"),
            at("state"),
            at("receiver.sock"),
        );
        for line in more {
            writeln!(text, "{line}")?;
        }
        let setup = Self { binaries: binaries.clone(), dir: dir.to_owned(), port };
        fs::write(setup.conf(), text)?;
        Ok(setup)
    }

    /// The programs that it is run with.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Its configuration file.
    pub fn conf(&self) -> PathBuf {
        self.dir.join("receiver.properties")
    }

    /// Where it listens, before and after a restart.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Where it puts what arrives: a directory for each origin.
    pub fn files(&self) -> PathBuf {
        self.dir.join("files")
    }

    /// Its state: the spool is below it.
    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Starts it and waits until it answers and listens.
    pub fn start(&self) -> Result<Daemon> {
        let arguments =
            [OsStr::new("run"), OsStr::new("--conf"), self.conf().as_os_str()].map(OsStr::to_owned);
        let program = self.binaries.path(RECEIVER);
        let mut daemon = Daemon::spawn(&program, arguments, &self.dir.join("receiver.log"))?;
        wait_for_answer(&mut daemon, || self.status())?;
        Ok(daemon)
    }

    /// What it says of itself.
    pub fn status(&self) -> Result<Value> {
        self.binaries.status(RECEIVER, &self.conf())
    }

    /// What it could not keep.
    pub fn gaps(&self) -> Result<Value> {
        self.binaries.gaps(RECEIVER, &self.conf())
    }
}

/// A gateway simulator on a port of its own.
#[derive(Debug)]
pub struct Gateway {
    /// The process.
    pub daemon: Daemon,
    /// Where its inner side listens.
    pub address: SocketAddr,
}

impl Gateway {
    /// Starts one in front of `target`; `more` are further arguments.
    pub fn start(
        binaries: &Binaries,
        target: SocketAddr,
        more: &[&str],
        log_path: &Path,
    ) -> Result<Self> {
        const LISTENING: &str = "listening on ";
        let target = target.to_string();
        let fixed = ["--listen", "127.0.0.1:0", "--outer-retry-ms", "50", "--target", &target];
        let arguments = fixed.iter().chain(more);
        let mut daemon = Daemon::spawn(&binaries.path(GATEWAY_SIM), arguments, log_path)?;
        let line = daemon.wait_for_log(LISTENING, START_TIME_MAX)?;
        let address = line.trim_start_matches(LISTENING).trim().parse();
        let address = address.with_context(|| format!("expected an address in {line:?}"))?;
        Ok(Self { daemon, address })
    }

    /// Ends it; returns its counters.
    pub fn stop(mut self) -> Result<Value> {
        self.daemon.terminate()?;
        let log = self.daemon.log()?;
        let counters = log.lines().rev().find(|line| line.starts_with('{'));
        let counters = counters.ok_or_else(|| {
            self.daemon.with_log(&anyhow!("the gateway simulator printed no counters"))
        })?;
        serde_json::from_str(counters).context("reading the gateway simulator's counters")
    }
}

fn wait_for_answer(daemon: &mut Daemon, mut ask: impl FnMut() -> Result<Value>) -> Result<()> {
    let mut last = String::new();
    let answered = poll(START_TIME_MAX, "an answer on the control socket", || {
        daemon.ensure_running()?;
        match ask() {
            Ok(_) => Ok(Some(())),
            Err(error) => {
                last = format!("{error:#}");
                Ok(None)
            }
        }
    });
    answered.map_err(|error| daemon.with_log(&anyhow!("{error:#}; the last answer was: {last}")))
}
