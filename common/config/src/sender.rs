//! The keys of `sender.properties`.

use std::path::Path;
use std::path::PathBuf;

use tidegate_model::Precision;

use crate::error::ConfigError;
use crate::error::Reason;
use crate::iotdb_conf::IotdbConf;
use crate::table::KeyTable;
use crate::table::Reading;
use crate::value::DirTiers;
use crate::value::IotdbVersion;
use crate::value::Kind;
use crate::value::LOG_LEVELS;
use crate::value::LogLevel;
use crate::value::ReplicaPolicy;
use crate::value::Setting;

/// The keys of tidegate-sender.
pub static SENDER_TABLE: KeyTable = KeyTable {
    daemon: "tidegate-sender",
    file: "sender.properties",
    prefix: "sender_",
    other: ("receiver.properties", "receiver_"),
    keys: SENDER_KEYS,
};

/// How the sender learns of new files.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // with hints or without
pub enum Watch {
    /// inotify as a hint, the rescan as the truth.
    Auto,
    /// Rescans only.
    Off,
}

impl Setting for Watch {
    fn read(_: &Kind, text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "off" => Some(Self::Off),
            _ => None,
        }
    }
}

/// What the far side makes of data that the source drops without a deletion.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // keep or delete
pub enum DropPolicy {
    /// It keeps them.
    Keep,
    /// It deletes them too.
    Delete,
}

impl Setting for DropPolicy {
    fn read(_: &Kind, text: &str) -> Option<Self> {
        match text {
            "keep" => Some(Self::Keep),
            "delete" => Some(Self::Delete),
            _ => None,
        }
    }
}

/// How files that wait are kept from being lost when the source drops them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // every way there is
pub enum PinMode {
    /// By links, and where that cannot be, by holding them open.
    Auto,
    /// By links.
    Link,
    /// By holding them open.
    Hold,
    /// By copies.
    Copy,
    /// Not at all.
    Off,
}

impl Setting for PinMode {
    fn read(_: &Kind, text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "link" => Some(Self::Link),
            "hold" => Some(Self::Hold),
            "copy" => Some(Self::Copy),
            "off" => Some(Self::Off),
            _ => None,
        }
    }
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

config_table! {
    /// Values of `sender.properties`.
    SenderConfig, SENDER_KEYS, SENDER_TABLE, check;

    section "Keys of IoTDB";

    /// Directory of plugin libraries. A relative path is below the state directory.
    pipe_lib_dir: PathBuf = "pipe_lib_dir",
    "ext/pipe", Kind::Path, Restart, Unused;

    /// The maximum number of threads that execute pipe subtasks. 0 means the default of IoTDB.
    pipe_subtask_executor_max_thread_num: u32 = "pipe_subtask_executor_max_thread_num",
    "5", Kind::Integer { min: 0, max: 1024 }, Restart, Unused;

    /// How long the reply to a request is waited for before the connection is given up.
    /// Keep it above what the slowest receiver needs to load a file.
    pipe_connector_timeout_ms: u64 = "pipe_connector_timeout_ms" | "pipe_sink_timeout_ms",
    "900000", Kind::Millis { min: 1_000, max: 86_400_000 }, Live, Used;

    /// The maximum number of selectors of an asynchronous connector.
    /// The air-gap connector has none: all its sockets are in one event loop.
    pipe_async_connector_selector_number: u32 =
        "pipe_async_connector_selector_number" | "pipe_sink_selector_number",
    "1", Kind::Integer { min: 0, max: 1024 }, Restart, Unused;

    /// The core number of clients of an asynchronous connector.
    pipe_async_connector_core_client_number: u32 = "pipe_async_connector_core_client_number",
    "8", Kind::Integer { min: 0, max: 65_536 }, Restart, Unused;

    /// The maximum number of clients of an asynchronous connector.
    pipe_async_connector_max_client_number: u32 =
        "pipe_async_connector_max_client_number" | "pipe_sink_max_client_number",
    "16", Kind::Integer { min: 0, max: 65_536 }, Restart, Unused;

    /// Whether to receive pipe data through an air gap.
    /// The sender never listens: receiving is what tidegate-receiver and its own file do.
    pipe_air_gap_receiver_enabled: bool = "pipe_air_gap_receiver_enabled",
    "false", Kind::Boolean, Restart, Unused;

    /// The port on which pipe data is received through an air gap; see the key before.
    pipe_air_gap_receiver_port: u16 = "pipe_air_gap_receiver_port",
    "9780", Kind::Integer { min: 0, max: 65_535 }, Restart, Unused;

    /// What all pipes together may send. A pipe's own limit is rate-limit-bytes-per-second.
    all_sinks_rate_limit_bytes_per_second: Option<u64> =
        "pipe_all_sinks_rate_limit_bytes_per_second",
    "-1", Kind::ByteRate, Live, Used;

    section "Source";

    /// Data directories of the IoTDB to read, as dn_data_dirs in its own configuration: a comma
    /// between directories, a semicolon between tiers. Nothing is ever written there.
    /// Needed unless sender_iotdb_conf_dir is given, and used before what stands there.
    dn_data_dirs: DirTiers = "dn_data_dirs",
    "", Kind::DirTiers, Restart, Used;

    /// System directory of that DataNode. Its system.properties tells version and cluster.
    dn_system_dir: Option<PathBuf> = "dn_system_dir",
    "", Kind::OptionalPath, Restart, Used;

    /// Directory conf of that IoTDB. The directories are read there, relative ones are below the
    /// directory that holds conf.
    iotdb_conf_dir: Option<PathBuf> = "sender_iotdb_conf_dir",
    "", Kind::OptionalPath, Restart, Used;

    /// System directory of a ConfigNode of that cluster. Its system.properties is the only place
    /// that tells the unit of the time stamps.
    confignode_system_dir: Option<PathBuf> = "sender_confignode_system_dir",
    "", Kind::OptionalPath, Restart, Used;

    /// Unit of the time stamps. Needed where no ConfigNode's system directory can be read.
    timestamp_precision: Option<Precision> = "sender_timestamp_precision",
    "auto", Kind::Choice(&["auto", "ms", "us", "ns"]), Restart, Used;

    /// Version of the IoTDB. Needed where the DataNode's system directory cannot be read.
    iotdb_version: Option<IotdbVersion> = "sender_iotdb_version",
    "auto", Kind::VersionOrAuto, Restart, Used;

    /// How often the directories are read again for new files.
    rescan_interval_ms: u64 = "sender_rescan_interval_ms",
    "5000", Kind::Millis { min: 100, max: 3_600_000 }, Live, Used;

    /// Whether inotify may hint at new files between two rescans. It is never relied upon.
    watch: Watch = "sender_watch",
    "auto", Kind::Choice(&["auto", "off"]), Restart, Used;

    /// The largest mods file that is sent with its TsFile. A larger one keeps its file from leaving,
    /// and the status says so: without its deletions the file would bring deleted rows back.
    mods_bytes_max: u64 = "sender_mods_max_bytes",
    "64MiB", Kind::Bytes { min: 1024, max: GIB }, Restart, Used;

    /// Which regions are sent where a region has more than one replica. Every replica holds the same
    /// rows: all sends this DataNode's, none only regions without a second replica, and a list of
    /// region ids only those. Nothing means that there must be no region with several.
    replica_policy: ReplicaPolicy = "sender_replica_policy",
    "", Kind::Replicas, Restart, Used;

    /// What becomes of rows at the far side that the source drops without a deletion: by TTL, by
    /// DROP DATABASE, or by hand. keep leaves them there, delete deletes them there too.
    drop_policy: DropPolicy = "sender_drop_policy",
    "keep", Kind::Choice(&["keep", "delete"]), Restart, Used;

    /// How long IoTDB may take to remove the files that a compaction has replaced. It waits for
    /// queries that read them: keep this above the query timeout of that IoTDB (60 s by default).
    /// Until then the result of a compaction that may hold new rows does not leave.
    compaction_end_ms: u64 = "sender_compaction_end_ms",
    "120000", Kind::Millis { min: 1_000, max: 3_600_000 }, Restart, Used;

    section "Pins";

    /// How files that wait are kept, so that they leave even if the source removes them first (TTL,
    /// DROP DATABASE, by hand): link gives them a second name, hold keeps them open until the sender
    /// ends, copy copies them. auto links where the system allows it and holds where it does not:
    /// links need the same file system, and the files' owner or write permission. What is not pinned
    /// and goes too early becomes a gap record. With sender_drop_policy=delete nothing is pinned.
    pin_mode: PinMode = "sender_pin_mode",
    "auto", Kind::Choice(&["auto", "link", "hold", "copy", "off"]), Restart, Used;

    /// Where links and copies go: a directory on each file system that data directories are on, with
    /// commas between them. Nothing means the directory pins in the state directory.
    pin_dirs: DirTiers = "sender_pin_dirs",
    "", Kind::DirTiers, Restart, Used;

    /// Files that are pinned at once; those that leave next come first. As many may be held open.
    pin_files_max: usize = "sender_pin_files_max",
    "1000", Kind::Integer { min: 1, max: 65_536 }, Restart, Used;

    /// Bytes of the files that are pinned at once. A link or an open file takes room only once the
    /// source has removed it, a copy always does.
    pin_bytes_max: u64 = "sender_pin_max_bytes",
    "16GiB", Kind::Bytes { min: 0, max: 1024 * TIB }, Restart, Used;

    /// Free space, in percent of a file system, below which pins that take room are let go and none
    /// are made, nor excerpts (sender_excerpt_max_bytes). IoTDB itself stops writing below its
    /// disk_space_warning_threshold, 5 percent by default.
    pin_floor_percent: u64 = "sender_pin_floor_percent",
    "10", Kind::Integer { min: 0, max: 100 }, Restart, Used;

    section "Daemon";

    /// Where the sender keeps what it must not forget.
    state_dir: PathBuf = "sender_state_dir",
    "/var/lib/tidegate/sender", Kind::Path, Restart, Used;

    /// The largest excerpt: a file of the points that a pipe takes of a file. Behind a file that left
    /// points leave so, since an IoTDB could hide tablets behind it. It is written
    /// in the directory excerpts in the state directory, one for each lane at most, and is gone when it
    /// has left. Points that need a larger one leave as tablets, and a gap record says so.
    excerpt_bytes_max: u64 = "sender_excerpt_max_bytes",
    "4GiB", Kind::Bytes { min: 0, max: TIB }, Restart, Used;

    /// Where the pipe definitions are. Nothing means the directory pipes in the state directory.
    pipe_dir: Option<PathBuf> = "sender_pipe_dir",
    "", Kind::OptionalPath, Restart, Used;

    /// Unix socket on which the sender answers its own commands.
    control_socket: PathBuf = "sender_control_socket",
    "/run/tidegate/sender.sock", Kind::SocketPath, Restart, Used;

    /// The shortest time between two connections to one peer. Some gateways punish more.
    reconnect_interval_min_ms: u64 = "sender_reconnect_min_interval_ms",
    "1000", Kind::Millis { min: 10, max: 600_000 }, Live, Used;

    /// What is written to the log.
    log_level: LogLevel = "sender_log_level",
    "info", Kind::Choice(LOG_LEVELS), Live, Used;
}

/// Where the source's files are, after the properties and IoTDB's own configuration are joined.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // paths only
pub struct SourceLocation {
    /// Data directories.
    pub data_dirs: DirTiers,
    /// The DataNode's system directory.
    pub dn_system_dir: Option<PathBuf>,
    /// Where the DataNode's consensus keeps its groups: as IoTDB has it, else beside the system
    /// directory.
    pub dn_consensus_dir: Option<PathBuf>,
    /// The ConfigNode's system directory.
    pub confignode_system_dir: Option<PathBuf>,
}

impl SenderConfig {
    /// Directory of the pipe definitions.
    pub fn pipe_dir(&self) -> PathBuf {
        self.pipe_dir.clone().unwrap_or_else(|| self.state_dir.join("pipes"))
    }

    /// Directory of excerpts.
    pub fn excerpt_dir(&self) -> PathBuf {
        self.state_dir.join("excerpts")
    }

    /// Directories of links and copies.
    pub fn pin_dirs(&self) -> Vec<PathBuf> {
        match self.pin_dirs.is_empty() {
            true => vec![self.state_dir.join("pins")],
            false => self.pin_dirs.dirs().cloned().collect(),
        }
    }

    /// Joins the properties with IoTDB's own configuration, which the caller reads if
    /// [`SenderConfig::iotdb_conf_dir`] is set. What the properties say comes first.
    ///
    /// # Errors
    /// Neither of them names a data directory.
    pub fn source_location(
        &self,
        iotdb: Option<&IotdbConf>,
    ) -> Result<SourceLocation, ConfigError> {
        let data_dirs = match (&self.dn_data_dirs, iotdb) {
            (own, _) if !own.is_empty() => own.clone(),
            (_, Some(iotdb)) => iotdb.dn_data_dirs.clone(),
            (_, None) => {
                let demand = "either dn_data_dirs or sender_iotdb_conf_dir must be given";
                let reason = Reason::Missing { demand: demand.to_owned() };
                return Err(ConfigError::new(SENDER_TABLE.file, None, reason));
            }
        };
        let or = |own: &Option<PathBuf>, other: Option<&Path>| {
            own.clone().or_else(|| other.map(Path::to_owned))
        };
        let dn_system_dir = or(&self.dn_system_dir, iotdb.map(|it| it.dn_system_dir.as_path()));
        let beside = |dir: &Path| Some(dir.parent()?.join("consensus"));
        let dn_consensus_dir = match iotdb {
            Some(iotdb) => Some(iotdb.dn_consensus_dir.clone()),
            None => dn_system_dir.as_deref().and_then(beside),
        };
        Ok(SourceLocation {
            data_dirs,
            dn_system_dir,
            dn_consensus_dir,
            confignode_system_dir: or(
                &self.confignode_system_dir,
                iotdb.map(|it| it.confignode_system_dir.as_path()),
            ),
        })
    }
}

/// What no single key can tell.
fn check(config: &SenderConfig, reading: &mut Reading) {
    if config.dn_data_dirs.dirs().any(|dir| dir.starts_with(&config.state_dir)) {
        let reason = Reason::Contradiction {
            message: "dn_data_dirs lies inside sender_state_dir; the source is never written to, \
                      so the state must be elsewhere"
                .to_owned(),
        };
        reading.fault(reading.line("dn_data_dirs"), reason);
    }
    let pipe_dir = config.pipe_dir();
    let own = [
        ("sender_state_dir", &config.state_dir),
        ("sender_pipe_dir", &pipe_dir),
        ("sender_control_socket", &config.control_socket),
    ];
    let pin_dirs = config.pin_dirs.dirs().map(|dir| ("sender_pin_dirs", dir));
    let inside = |path: &PathBuf| config.dn_data_dirs.dirs().any(|dir| path.starts_with(dir));
    if let Some((key, _)) = own.into_iter().chain(pin_dirs).find(|(_, path)| inside(path)) {
        let message = format!("{key} lies inside dn_data_dirs, and the source is never written to");
        reading.fault(reading.line(key), Reason::Contradiction { message });
    }
    if config.mods_bytes_max > 512 * MIB {
        let text =
            "sender_mods_max_bytes is large: so many bytes are read again after each failure";
        reading.notice(reading.line("sender_mods_max_bytes"), text.to_owned());
    }
}
