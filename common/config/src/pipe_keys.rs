//! Every key and plugin that IoTDB's pipes know, and which of them this release has.
//!
//! A key that is known and not here is refused by name: a filter that is silently ignored would
//! send data across the gateway that must stay inside.

/// What becomes of a key of a pipe definition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rule {
    /// This release has it.
    Here,
    /// Known, not here: only these values, which change nothing, are accepted.
    Later(&'static [&'static str]),
}

use Rule::Here;
use Rule::Later;

/// Keys without their prefix, and the rule for each.
pub(crate) type KeyRules = &'static [(&'static str, Rule)];

/// The key that names the plugin of a section; its prefix has nothing behind it.
pub(crate) const PLUGIN: &str = "";

pub(crate) const EXTRACTOR_PLUGINS: &[&str] = &["iotdb-extractor", "iotdb-source"];

pub(crate) const PROCESSOR_PLUGINS: &[&str] = &["do-nothing-processor"];

pub(crate) const AIR_GAP_PLUGINS: &[&str] = &["iotdb-air-gap-connector", "iotdb-air-gap-sink"];

/// Connectors that IoTDB has and this release has not.
pub(crate) const LATER_CONNECTORS: &[&str] = &[
    "do-nothing-connector",
    "do-nothing-sink",
    "iotdb-legacy-pipe-connector",
    "iotdb-legacy-pipe-sink",
    "iotdb-thrift-async-connector",
    "iotdb-thrift-async-sink",
    "iotdb-thrift-connector",
    "iotdb-thrift-sink",
    "iotdb-thrift-ssl-connector",
    "iotdb-thrift-ssl-sink",
    "iotdb-thrift-sync-connector",
    "iotdb-thrift-sync-sink",
    "opc-ua-connector",
    "opc-ua-sink",
    "websocket-connector",
    "websocket-sink",
    "write-back-connector",
    "write-back-sink",
];

pub(crate) const EXTRACTOR_KEYS: KeyRules = &[
    (PLUGIN, Here),
    ("end-time", Here),
    ("history.enable", Here),
    ("history.end-time", Here),
    ("history.start-time", Here),
    ("inclusion", Here),
    ("inclusion.exclusion", Here),
    ("path", Here),
    ("pattern", Here),
    ("pattern.format", Here),
    ("realtime.enable", Here),
    ("realtime.mode", Here),
    ("start-time", Here),
    ("capture.table", Later(&[])),
    ("capture.tree", Later(&[])),
    ("database", Later(&[])),
    ("database-name", Later(&[])),
    ("forwarding-pipe-requests", Later(&["true"])),
    ("history.loose-range", Later(&[""])),
    ("mode", Later(&["live"])),
    ("mode.double-living", Later(&["false"])),
    ("mode.snapshot", Later(&["false"])),
    ("mode.streaming", Later(&[])),
    ("mode.strict", Later(&["true"])),
    ("mods", Later(&[])),
    ("mods.enable", Later(&[])),
    ("password", Later(&[])),
    ("path.exclusion", Later(&[])),
    ("pattern.exclusion", Later(&[])),
    ("pattern.inclusion", Later(&[])),
    ("realtime.loose-range", Later(&[""])),
    ("skipif", Later(&[""])),
    ("table", Later(&[])),
    ("table-name", Later(&[])),
    ("user", Later(&[])),
    ("username", Later(&[])),
    ("watermark-interval-ms", Later(&["-1"])),
    ("watermark.interval-ms", Later(&["-1"])),
];

pub(crate) const PROCESSOR_KEYS: KeyRules = &[(PLUGIN, Here)];

pub(crate) const CONNECTOR_KEYS: KeyRules = &[
    (PLUGIN, Here),
    ("air-gap.e-language.enable", Here),
    ("air-gap.handshake-timeout-ms", Here),
    ("host", Here),
    ("ip", Here),
    ("node-urls", Here),
    ("password", Here),
    ("port", Here),
    ("rate-limit-bytes-per-second", Here),
    ("send-port.candidate", Here),
    ("send-port.range.max", Here),
    ("send-port.range.min", Here),
    ("send-port.restriction-strategy", Here),
    ("tidegate.bind-address", Here),
    ("tidegate.deletions", Here),
    ("tidegate.dialect", Here),
    ("tidegate.gateway", Here),
    ("tidegate.piece-size-bytes", Here),
    ("user", Here),
    ("username", Here),
    ("batch.enable", Later(&[])),
    ("batch.max-delay-ms", Later(&[])),
    ("batch.max-delay-seconds", Later(&[])),
    ("batch.size-bytes", Later(&[])),
    ("cli-hostname", Later(&[])),
    ("compressor", Later(&[""])),
    ("compressor.zstd.level", Later(&[])),
    ("enable-send-tsfile-limit", Later(&["false"])),
    ("exception.conflict.record-ignored-data", Later(&[])),
    ("exception.conflict.resolve-strategy", Later(&[])),
    ("exception.conflict.retry-max-time-seconds", Later(&[])),
    ("exception.data.convert-on-type-mismatch", Later(&[])),
    ("exception.others.record-ignored-data", Later(&[])),
    ("exception.others.retry-max-time-seconds", Later(&["-1"])),
    ("format", Later(&[])),
    ("leader-cache.enable", Later(&[])),
    ("load-balance-strategy", Later(&[])),
    ("load-tsfile-strategy", Later(&[])),
    ("load-tsfile-validation", Later(&[])),
    ("mark-as-general-write-request", Later(&["false"])),
    ("mark-as-pipe-request", Later(&[])),
    ("opcua.enable-anonymous-access", Later(&[])),
    ("opcua.https.port", Later(&[])),
    ("opcua.model", Later(&[])),
    ("opcua.security.dir", Later(&[])),
    ("opcua.tcp.port", Later(&[])),
    ("parallel.tasks", Later(&[])),
    ("realtime-first", Later(&[])),
    ("skipif", Later(&[""])),
    ("ssl.enable", Later(&["false"])),
    ("ssl.trust-store-path", Later(&[])),
    ("ssl.trust-store-pwd", Later(&[])),
    ("use-event-user-name", Later(&[])),
    ("user-id", Later(&[])),
    ("version", Later(&[])),
    ("websocket.port", Later(&[])),
];

/// True for keys whose value must not be shown.
pub(crate) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.contains("password") || key.contains("pwd")
}
