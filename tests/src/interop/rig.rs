//! What all cases share: our programs, two real IoTDBs that are started when first needed, the
//! client that steers them, and a directory for each case.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::anyhow;
use anyhow::bail;

use super::drive::Answer;
use super::drive::Drive;
use super::points::Points;
use super::server::Server;
use super::server::script;
use crate::harness::Binaries;
use crate::harness::Daemon;
use crate::harness::Gateway;
use crate::harness::SenderSetup;
use crate::harness::SourceDirs;
use crate::harness::poll;
use crate::harness::poll_every;
use crate::stored;
use crate::workspace;

/// Everything that a case sends has arrived within this.
pub(super) const CROSSING_TIME_MAX: Duration = Duration::from_secs(120);
/// A restarted IoTDB accepts statements again within this.
const PING_TIME_MAX_MS: u32 = 60_000;

/// Files of dropped databases are gone within this.
const EMPTYING_TIME_MAX: Duration = Duration::from_secs(60);
/// What IoTDB's own databases have in their folders' names.
const OWN_FOLDER: &str = "/root.__";

/// What is waited for in a command that runs comes within this, or the command is over.
const MOMENT_TIME_MAX: Duration = Duration::from_secs(20);
/// Such a moment does not last.
const MOMENT_PAUSE: Duration = Duration::from_millis(1);

/// What the IoTDB that writes is given besides the defaults: the number of its files must not
/// change while they are counted.
const SOURCE_PROPERTIES: &[&str] = &[
    "enable_seq_space_compaction=false",
    "enable_unseq_space_compaction=false",
    "enable_cross_space_compaction=false",
];
const TARGET_PROPERTIES: &[&str] = &["pipe_air_gap_receiver_enabled=true"];

/// What makes an IoTDB compact eagerly: it looks for work twice a second, four files are work, and
/// targets are so small that one task makes several. What it has acknowledged survives a kill.
const COMPACTING_PROPERTIES: &[&str] = &[
    "compaction_schedule_interval_in_ms=500",
    "compaction_thread_count=2",
    "inner_compaction_candidate_file_num=4",
    "inner_compaction_total_file_num_threshold=12",
    "min_cross_compaction_unseq_file_level=0",
    "target_compaction_file_size=262144",
    "wal_mode=SYNC",
];
const IOT_CONSENSUS: &str =
    "data_region_consensus_protocol_class=org.apache.iotdb.consensus.iot.IoTConsensus";

/// One of the IoTDBs.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Role {
    /// Where points are written, and nothing is compacted.
    Source,
    /// Where they must arrive.
    Target,
    /// Where points are written and compacted.
    Compacting,
    /// The same with IoTConsensus in place of SimpleConsensus.
    CompactingIot,
}

impl Role {
    /// Those that each case finds empty.
    const EMPTIED: [Self; 3] = [Self::Target, Self::Compacting, Self::CompactingIot];

    fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
            Self::Compacting => "compacting",
            Self::CompactingIot => "compacting-iot",
        }
    }

    fn properties(self) -> Vec<&'static str> {
        match self {
            Self::Source => SOURCE_PROPERTIES.to_vec(),
            Self::Target => TARGET_PROPERTIES.to_vec(),
            Self::Compacting => COMPACTING_PROPERTIES.to_vec(),
            Self::CompactingIot => [COMPACTING_PROPERTIES, &[IOT_CONSENSUS]].concat(),
        }
    }
}

/// How bytes cross.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    /// Arguments of the gateway simulator; `None` is no gateway.
    gateway: Option<&'static [&'static str]>,
    /// The profile of our sender's pipe.
    profile: &'static str,
    /// Attributes of IoTDB's own sink.
    pub(super) sink: &'static [&'static str],
    /// Largest frame that our own sender may use; IoTDB's own sink knows no such limit.
    frames: Frames,
}

/// Whether the gateway limits frames.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Frames {
    /// As the device does.
    Limited,
    /// Not at all.
    Unlimited,
}

impl Route {
    /// No gateway.
    pub(super) const DIRECT: Self =
        Self { gateway: None, profile: "plain-tcp", sink: &[], frames: Frames::Limited };
    /// A forward gateway.
    pub(super) const FORWARD: Self = Self {
        gateway: Some(&["--profile", "syskeeper-2000-forward"]),
        profile: "syskeeper-2000-forward",
        sink: &[],
        frames: Frames::Limited,
    };
    /// A reverse gateway: every frame is wrapped in E language.
    pub(super) const REVERSE: Self = Self {
        gateway: Some(&["--profile", "syskeeper-2000-reverse"]),
        profile: "syskeeper-2000-reverse",
        sink: &["air-gap.e-language.enable=true"],
        frames: Frames::Limited,
    };
    /// A forward gateway with a delay, so that there is a middle to be killed in.
    pub(super) const SLOW: Self = Self {
        gateway: Some(&["--profile", "syskeeper-2000-forward", "--rtt-ms", "30"]),
        ..Self::FORWARD
    };

    /// The same for a sender that knows no limit of frames.
    #[must_use]
    pub(super) fn unlimited(self) -> Self {
        Self { frames: Frames::Unlimited, ..self }
    }
}

/// What a case has shown.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// What was compared with what.
    pub(super) compared: String,
    /// How many points were equal.
    pub(super) n_points: u64,
}

/// The shared things.
#[derive(Debug)]
pub(super) struct Rig {
    /// Our programs.
    pub(super) binaries: Binaries,
    work: PathBuf,
    /// Seed of the cases that act at random.
    pub(super) seed: u64,
    /// The directory of the case that runs.
    pub(super) dir: PathBuf,
    // The client goes before the servers it talks to.
    drive: Option<Drive>,
    servers: BTreeMap<Role, Server>,
}

impl Rig {
    /// Works below `work`, which exists.
    pub(super) fn new(binaries: Binaries, work: &Path, seed: u64) -> Self {
        let (drive, servers) = (None, BTreeMap::new());
        Self { binaries, work: work.to_owned(), seed, dir: work.to_owned(), drive, servers }
    }

    /// Makes the directory of a case, an empty target and empty sources that compact.
    pub(super) fn begin(&mut self, case: &str) -> Result<()> {
        self.dir = self.work.join(case);
        fs::create_dir(&self.dir).with_context(|| self.dir.display().to_string())?;
        for role in Role::EMPTIED {
            if self.servers.contains_key(&role) {
                self.run(role, &format!("ping {PING_TIME_MAX_MS}"))?;
                self.run_if_there(role, "sql DELETE DATABASE root.**")
                    .and_then(|()| self.run_if_there(role, "tsql DROP DATABASE IF EXISTS works"))
                    .with_context(|| format!("emptying {role:?}"))?;
                // It is dropped before its files are gone, and a sender would find them.
                let dirs = self.server(role)?.dirs();
                let is_left = |path: &PathBuf| !path.display().to_string().contains(OWN_FOLDER);
                poll(EMPTYING_TIME_MAX, "the files of dropped databases to go", || {
                    Ok((!ts_files(&dirs)?.iter().any(is_left)).then_some(()))
                })?;
            }
        }
        Ok(())
    }

    /// Runs a command of the client; that what it names is not there is no error.
    pub(super) fn run_if_there(&mut self, role: Role, command: &str) -> Result<()> {
        match self.run(role, command) {
            Err(error) if !format!("{error:#}").contains("not exist") => Err(error),
            _ => Ok(()),
        }
    }

    /// One of the IoTDBs, started if it does not run yet.
    pub(super) fn server(&mut self, role: Role) -> Result<&Server> {
        if !self.servers.contains_key(&role) {
            let name = role.name();
            let instance = format!("interop{}-{name}", std::process::id());
            let log = self.work.join(format!("{name}.log"));
            self.servers.insert(role, Server::start(&instance, &role.properties(), &log)?);
        }
        match self.servers.get(&role) {
            Some(server) => Ok(server),
            None => bail!("{role:?} was started and is gone"),
        }
    }

    /// Kills an IoTDB and starts it again with its data.
    pub(super) fn kill_and_restart(&mut self, role: Role) -> Result<()> {
        self.server(role)?.kill_and_restart()?;
        self.run(role, &format!("ping {PING_TIME_MAX_MS}"))?;
        Ok(())
    }

    /// Kills an IoTDB's DataNode in the middle of a command, once `is_middle` says so, and starts it
    /// again with its data.
    pub(super) fn kill_within(
        &mut self,
        role: Role,
        command: &str,
        mut is_middle: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let at = self.server(role)?.rpc;
        self.drive(at)?;
        let (Some(drive), Some(server)) = (&mut self.drive, self.servers.get(&role)) else {
            bail!("{role:?} was started and is gone");
        };
        drive.run_while(at, command, || {
            let ask = || Ok(is_middle()?.then_some(()));
            poll_every(MOMENT_PAUSE, MOMENT_TIME_MAX, "the moment", ask)
                .with_context(|| format!("in the middle of {command:?}"))?;
            server.kill_data_node()
        })?;
        self.kill_and_restart(role)
    }

    /// Runs a command of the client.
    pub(super) fn run(&mut self, role: Role, command: &str) -> Result<Answer> {
        let at = self.server(role)?.rpc;
        self.drive(at)?.run(at, command)
    }

    /// Runs commands, one a line.
    pub(super) fn run_all(&mut self, role: Role, commands: &str) -> Result<()> {
        let mut lines = commands.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.try_for_each(|line| self.run(role, line).map(drop))
    }

    /// All points below a pattern, as a file in the case's directory.
    pub(super) fn points(&mut self, role: Role, pattern: &str) -> Result<Points> {
        let at = self.server(role)?.rpc;
        let name = pattern.replace(['*', '.'], "_");
        let path = self.dir.join(format!("{name}-{role:?}.csv"));
        self.drive(at)?.points(at, pattern, path)
    }

    /// What a query in the table model gives, as a file in the case's directory.
    pub(super) fn table_rows(&mut self, role: Role, sql: &str) -> Result<Points> {
        let at = self.server(role)?.rpc;
        let path = self.dir.join(format!("table-{role:?}.csv"));
        self.drive(at)?.table_rows(at, sql, path)
    }

    /// What a query gives.
    pub(super) fn query(&mut self, role: Role, sql: &str) -> Result<stored::Answer> {
        let path = self.dir.join(format!("query-{role:?}.csv"));
        self.run(role, &format!("query {} {sql}", path.display()))?;
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        stored::Answer::from_csv(&text).with_context(|| sql.to_owned())
    }

    /// Compares the points of both IoTDBs below some patterns; returns how many there are.
    pub(super) fn both_must_have(&mut self, patterns: &[&str]) -> Result<u64> {
        self.target_must_equal(Role::Source, patterns)
    }

    /// The same with another source.
    pub(super) fn target_must_equal(&mut self, source: Role, patterns: &[&str]) -> Result<u64> {
        let mut n_points = 0;
        for pattern in patterns {
            let expected = self.points(source, pattern)?;
            n_points += self.points(Role::Target, pattern)?.must_equal(&expected, pattern)?;
        }
        Ok(n_points)
    }

    /// Compares the target's points with what a fixture expects.
    pub(super) fn target_must_have(&mut self, fixture: &str, databases: &[&str]) -> Result<u64> {
        let expected_dir = workspace::root().join("tests/fixtures").join(fixture).join("expected");
        let mut n_points = 0;
        for database in databases {
            let digest = expected_dir.join(format!("{database}.digest"));
            let expected = match digest.exists() {
                true => Points::from_digest_file(&digest)?,
                false => {
                    let path = self.dir.join(format!("{database}-expected.csv"));
                    Points::from_gzip(&expected_dir.join(format!("{database}.csv.gz")), path)?
                }
            };
            let arrived = self.points(Role::Target, &format!("{database}.**"))?;
            n_points += arrived.must_equal(&expected, database)?;
        }
        Ok(n_points)
    }

    /// The SQL that makes a stock IoTDB send by air gap: the plugin, then the pipe.
    pub(super) fn plugin_sql(
        &self,
        pipe: &str,
        to: SocketAddr,
        attributes: &[&str],
    ) -> Result<[String; 2]> {
        let to = to.to_string();
        let mut arguments = vec![pipe, &to];
        arguments.extend(attributes);
        let log = self.dir.join("plugin.log");
        let sql = script("tests/interop/plugin.sh", &arguments, Duration::from_secs(30), &log)?;
        let lines: Vec<String> = sql.lines().map(str::to_owned).collect();
        lines.try_into().map_err(|lines| anyhow!("expected two statements, found {lines:?}"))
    }

    /// The gateway of a route in front of `target`; with the address to send to.
    pub(super) fn gateway(
        &self,
        route: Route,
        target: SocketAddr,
    ) -> Result<(Option<Gateway>, SocketAddr)> {
        let Some(arguments) = route.gateway else { return Ok((None, target)) };
        let mut arguments = arguments.to_vec();
        if route.frames == Frames::Unlimited {
            arguments.extend(["--max-frame-bytes", "0"]);
        }
        let log = self.dir.join("gateway.log");
        let gateway = Gateway::start(&self.binaries, target, &arguments, &log)?;
        let address = gateway.address;
        Ok((Some(gateway), address))
    }

    /// A sender beside `source` with one pipe.
    pub(super) fn sender(
        &self,
        source: &SourceDirs,
        route: Route,
        to: SocketAddr,
        more: &[(&str, &str)],
    ) -> Result<SenderSetup> {
        let setup = SenderSetup::new(&self.binaries, &self.dir.join("sender"), source, &[])?;
        let mut keys = vec![("connector.tidegate.gateway", route.profile)];
        keys.extend(more);
        setup.write_pipe("p1", to, &keys)?;
        Ok(setup)
    }

    /// The ends of the IoTDBs' logs, for a failure.
    pub(super) fn log_tails(&self) -> String {
        let tails: Vec<String> = self.servers.values().map(Server::log_tail).collect();
        tails.join("\n")
    }

    /// Removes what the IoTDBs have written.
    pub(super) fn remove_servers(mut self) -> Result<()> {
        self.drive = None;
        std::mem::take(&mut self.servers).into_values().try_for_each(Server::remove)
    }

    fn drive(&mut self, at: SocketAddr) -> Result<&mut Drive> {
        match &mut self.drive {
            Some(drive) => Ok(drive),
            none => Ok(none.insert(Drive::start(at, &self.work.join("drive.log"))?)),
        }
    }
}

/// The TsFiles that are sealed below the data directory of a source.
pub(super) fn sealed_files(source: &SourceDirs) -> Result<Vec<PathBuf>> {
    let mut files = ts_files(source)?;
    files.retain(|path| is_sealed(path));
    Ok(files)
}

/// Whether a TsFile has its `.resource`.
pub(super) fn is_sealed(ts_file: &Path) -> bool {
    ts_file.with_extension("tsfile.resource").exists()
}

/// The TsFiles below the data directory of a source, open ones among them.
pub(super) fn ts_files(source: &SourceDirs) -> Result<Vec<PathBuf>> {
    let mut files = all_files(source)?;
    files.retain(|path| path.extension().is_some_and(|it| it == "tsfile"));
    Ok(files)
}

/// All files below the data directory of a source, which may lose some meanwhile.
pub(super) fn all_files(source: &SourceDirs) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut pending = vec![source.data().join("sequence"), source.data().join("unsequence")];
    while let Some(dir) = pending.pop() {
        // A new IoTDB has made neither directory yet.
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for entry in entries {
            let path = entry?.path();
            match path.is_dir() {
                true => pending.push(path),
                false => files.push(path),
            }
        }
    }
    Ok(files)
}

/// How many files our sender has sent, as far as it says.
pub(super) fn files_sent(setup: &SenderSetup) -> Result<u64> {
    let status = setup.status()?;
    Ok(status["pipes"][0]["sent_files"].as_u64().unwrap_or(0))
}

/// Waits until our sender has sent everything its source has sealed, and has nothing to wait for.
pub(super) fn wait_all_sent(
    setup: &SenderSetup,
    daemon: &mut Daemon,
    source: &SourceDirs,
) -> Result<()> {
    let n_sealed = sealed_files(source)?.len() as u64;
    let mut last = String::new();
    let sent = poll(CROSSING_TIME_MAX, &format!("{n_sealed} files to be sent"), || {
        daemon.ensure_running()?;
        let status = setup.status()?;
        let pipe = &status["pipes"][0];
        let is_empty = |value: &serde_json::Value| value.as_array().is_none_or(Vec::is_empty);
        let regions = pipe["regions"].as_array().cloned().unwrap_or_default();
        if !is_empty(&status["faults"]) || regions.iter().any(|it| !is_empty(&it["aside"])) {
            bail!("the sender cannot send everything: {status:#}");
        }
        let number = |key: &str| pipe[key].as_u64().unwrap_or(0);
        let unsealed: u64 = regions.iter().filter_map(|it| it["unsealed_files"].as_u64()).sum();
        last = format!("{pipe:#}");
        let all = number("sent_files") >= n_sealed && number("pending_files") + unsealed == 0;
        Ok(all.then_some(()))
    });
    sent.with_context(|| format!("the sender said last: {last}"))
        .map_err(|error| daemon.with_log(&error))
}

/// Ends our sender; an error if it does not end in good order.
pub(super) fn end_sender(mut sender: Daemon) -> Result<()> {
    let status = sender.terminate()?;
    match status.success() {
        true => Ok(()),
        false => Err(sender.with_log(&anyhow!("SIGTERM ended the sender with {status}"))),
    }
}

/// Ends a gateway; an error if it had to cut a connection.
pub(super) fn stop_uncut(gateway: Option<Gateway>) -> Result<()> {
    let Some(gateway) = gateway else { return Ok(()) };
    let counters = gateway.stop()?;
    let cuts = counters["cuts"].as_object().is_some_and(|cuts| !cuts.is_empty());
    match cuts || counters["requests"].as_u64().unwrap_or(0) == 0 {
        true => bail!("expected requests and no cut, but the gateway says {counters}"),
        false => Ok(()),
    }
}
