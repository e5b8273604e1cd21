//! The keys of `receiver.properties`.

use std::net::IpAddr;
use std::path::PathBuf;

use tidegate_model::Precision;

use crate::allow_list::AllowList;
use crate::error::Reason;
use crate::secret::Secret;
use crate::table::KeyTable;
use crate::table::Reading;
use crate::value::Kind;
use crate::value::LOG_LEVELS;
use crate::value::LogLevel;
use crate::value::Setting;

/// The keys of tidegate-receiver.
pub static RECEIVER_TABLE: KeyTable = KeyTable {
    daemon: "tidegate-receiver",
    file: "receiver.properties",
    prefix: "receiver_",
    other: ("sender.properties", "sender_"),
    keys: RECEIVER_KEYS,
};

/// Where received data ends up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Target {
    /// Files in a directory, with a manifest.
    Directory,
    /// A running IoTDB; refused by this release.
    Iotdb,
    /// The embedded store.
    Store,
}

impl Target {
    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Iotdb => "iotdb",
            Self::Store => "store",
        }
    }
}

impl Setting for Target {
    fn read(_: &Kind, text: &str) -> Option<Self> {
        [Self::Directory, Self::Iotdb, Self::Store].into_iter().find(|it| it.as_str() == text)
    }
}

/// What a sender is told while there is no room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // wait or say no
pub enum DiskFullPolicy {
    /// No reply, then an abortive close: the sender keeps the item.
    Withhold,
    /// `ff`: a stock 1.3+ sender gives the item up after a minute of it.
    Refuse,
}

impl Setting for DiskFullPolicy {
    fn read(_: &Kind, text: &str) -> Option<Self> {
        match text {
            "withhold" => Some(Self::Withhold),
            "refuse" => Some(Self::Refuse),
            _ => None,
        }
    }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

config_table! {
    /// Values of `receiver.properties`.
    ReceiverConfig, RECEIVER_KEYS, RECEIVER_TABLE, check;

    section "Keys of IoTDB";

    /// Whether to receive pipe data through an air gap.
    pipe_air_gap_receiver_enabled: bool = "pipe_air_gap_receiver_enabled",
    "false" => "true", Kind::Boolean, Restart, Used;

    /// The port on which pipe data is received through an air gap. 0 takes any free port, which
    /// status then names.
    pipe_air_gap_receiver_port: u16 = "pipe_air_gap_receiver_port",
    "9780", Kind::Integer { min: 0, max: 65_535 }, Restart, Used;

    section "Peers";

    /// Address to listen on. 0.0.0.0 is every IPv4 address, :: every address.
    bind_address: IpAddr = "receiver_bind_address",
    "0.0.0.0", Kind::Address, Restart, Used;

    /// Who may connect. Nothing means everyone, with a warning at start.
    allow_list: AllowList = "receiver_allow_list",
    "", Kind::AllowList, Live, Used;

    /// Connections at the same time.
    connections_max: usize = "receiver_connections_max",
    "64", Kind::Integer { min: 1, max: 4096 }, Live, Used;

    /// User that a handshake must name.
    user: String = "receiver_user",
    "root", Kind::Text { bytes_max: 255 }, Live, Used;

    /// Password that a handshake must give. The default draws a warning at start.
    password: Secret = "receiver_password",
    "root", Kind::Secret, Live, Used;

    /// Whether the handshake of IoTDB 1.2 is accepted, which carries no user and no password.
    accept_v1: bool = "receiver_accept_v1",
    "true", Kind::Boolean, Live, Used;

    /// Name under which data is kept whose sender gives neither its own name nor a cluster id.
    origin_name: String = "receiver_origin_name",
    "air-gap", Kind::Text { bytes_max: 100 }, Restart, Used;

    /// Cluster id of this side: a sender of the same cluster is refused. auto makes one at the
    /// first start and keeps it.
    cluster_id: Option<String> = "receiver_cluster_id",
    "auto", Kind::TextOrAuto { bytes_max: 255 }, Restart, Used;

    /// Unit of the time stamps that is accepted. auto means that the first item kept of each origin
    /// fixes it for that origin.
    timestamp_precision: Option<Precision> = "receiver_timestamp_precision",
    "auto", Kind::Choice(&["auto", "ms", "us", "ns"]), Restart, Used;

    section "Limits";

    /// Largest request that is no file piece. It is held in memory whole.
    payload_bytes_max: u64 = "receiver_payload_max_bytes",
    "24MiB", Kind::Bytes { min: 64 * KIB, max: 64 * MIB }, Restart, Used;

    /// Largest file piece. It is streamed to disk and never held whole.
    piece_bytes_max: u64 = "receiver_piece_max_bytes",
    "64MiB", Kind::Bytes { min: 64 * KIB, max: 64 * MIB }, Restart, Used;

    /// Files that have begun and are not sealed, over all connections.
    unfinished_files_max: usize = "receiver_unfinished_files_max",
    "256", Kind::Integer { min: 1, max: 65_536 }, Restart, Used;

    /// Bytes of one connection that are read and not yet written.
    in_flight_bytes_max: u64 = "receiver_in_flight_bytes_max",
    "4MiB", Kind::Bytes { min: 64 * KIB, max: GIB }, Restart, Used;

    /// Space that is left free on the file system of the state and of the target.
    disk_floor_bytes: u64 = "receiver_disk_floor_bytes",
    "1GiB", Kind::Bytes { min: 0, max: 1024 * TIB }, Live, Used;

    /// What happens below that floor. withhold keeps the sender waiting and loses nothing; refuse
    /// answers ff, after which IoTDB from 1.3 on drops the data.
    disk_full_policy: DiskFullPolicy = "receiver_disk_full_policy",
    "withhold", Kind::Choice(&["withhold", "refuse"]), Live, Used;

    /// How long a reply to anything but a file is held back while there is temporary trouble. Keep
    /// it below the 60 seconds after which IoTDB gives a tablet up.
    withhold_tablet_ms: u64 = "receiver_withhold_tablet_ms",
    "50000", Kind::Millis { min: 100, max: 3_600_000 }, Live, Used;

    /// The same for files. Keep it below pipe_connector_timeout_ms of the sender.
    withhold_file_ms: u64 = "receiver_withhold_file_ms",
    "800000", Kind::Millis { min: 100, max: 86_400_000 }, Live, Used;

    /// Idle time after which a connection is closed.
    idle_close_ms: u64 = "receiver_idle_close_ms",
    "840000", Kind::Millis { min: 1_000, max: 86_400_000 }, Live, Used;

    section "Target";

    /// Where received data ends up. store keeps files, rows and deletions in the embedded store, which
    /// can be asked; directory keeps files as they came, and nothing else; iotdb comes with a later
    /// release.
    target: Target = "receiver_target",
    "store", Kind::Choice(&["store", "directory", "iotdb"]), Restart, Used;

    /// Directory of the store or of received files. Nothing means the directory store or files in the
    /// state directory.
    directory: Option<PathBuf> = "receiver_directory",
    "", Kind::OptionalPath, Restart, Used;

    /// Rows of a store older than this are hidden, and files of such rows are removed. 0 keeps all.
    store_keep_ms: u64 = "receiver_store_keep_ms",
    "0", Kind::Millis { min: 0, max: 3_155_760_000_000 }, Restart, Used;

    /// Most bytes of files of the store of one origin; the oldest rows go. 0 keeps all.
    store_bytes_max: u64 = "receiver_store_max_bytes",
    "0", Kind::Bytes { min: 0, max: 1024 * TIB }, Restart, Used;

    section "Daemon";

    /// Where the receiver keeps what it must not forget, the spool above all.
    state_dir: PathBuf = "receiver_state_dir",
    "/var/lib/tidegate/receiver", Kind::Path, Restart, Used;

    /// Size at which a new segment of the spool is begun.
    spool_segment_bytes: u64 = "receiver_spool_segment_bytes",
    "64MiB", Kind::Bytes { min: MIB, max: 4 * GIB }, Restart, Used;

    /// Unix socket on which the receiver answers its own commands.
    control_socket: PathBuf = "receiver_control_socket",
    "/run/tidegate/receiver.sock", Kind::SocketPath, Restart, Used;

    /// What is written to the log.
    log_level: LogLevel = "receiver_log_level",
    "info", Kind::Choice(LOG_LEVELS), Live, Used;
}

impl ReceiverConfig {
    /// Directory of the store or of received files.
    pub fn directory(&self) -> PathBuf {
        let name = if self.target == Target::Store { "store" } else { "files" };
        self.directory.clone().unwrap_or_else(|| self.state_dir.join(name))
    }

    /// True when a handshake is checked against what everyone knows.
    pub fn has_default_login(&self) -> bool {
        self.user == "root" && self.password.reveal() == "root"
    }
}

/// What no single key can tell.
fn check(config: &ReceiverConfig, reading: &mut Reading) {
    if config.target == Target::Iotdb {
        let what = format!("receiver_target={}", config.target.as_str());
        let message =
            format!("{what} comes with a later release, this one has store and directory");
        reading.fault(reading.line("receiver_target"), Reason::Contradiction { message });
    }
    let longest_ms = config.withhold_file_ms.max(config.withhold_tablet_ms);
    if config.idle_close_ms <= longest_ms {
        let message = format!(
            "receiver_idle_close_ms is {}, but must be above receiver_withhold_file_ms and \
             receiver_withhold_tablet_ms ({longest_ms})",
            config.idle_close_ms,
        );
        let line = ["receiver_idle_close_ms", "receiver_withhold_file_ms"]
            .iter()
            .find_map(|key| reading.line(key))
            .or_else(|| reading.line("receiver_withhold_tablet_ms"));
        reading.fault(line, Reason::Contradiction { message });
    }
    if config.allow_list.admits_everyone() {
        let text = "receiver_allow_list is empty: every address may connect";
        reading.notice(reading.line("receiver_allow_list"), text.to_owned());
    }
    if config.has_default_login() {
        let text = "receiver_user and receiver_password are the default: anyone can log in";
        reading.notice(reading.line("receiver_password"), text.to_owned());
    }
}
