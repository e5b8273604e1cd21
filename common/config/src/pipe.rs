//! A pipe definition: what is extracted, and over which connector it leaves.
//!
//! One TOML file per pipe. Keys are those of IoTDB's `CREATE PIPE`, with or without their prefix:
//!
//! ```toml
//! name = "plant1"
//!
//! [extractor]
//! "extractor.realtime.mode" = "file"
//!
//! [connector]
//! "connector" = "iotdb-air-gap-connector"
//! "connector.node-urls" = "10.0.0.2:9780"
//! ```

use std::net::IpAddr;

use tidegate_model::Dialect;

use crate::error::ConfigErrors;
use crate::error::Faults;
use crate::error::Reason;
use crate::gateway::DEFAULT_PROFILE;
use crate::gateway::GATEWAY_PROFILES;
use crate::gateway::GatewayProfile;
use crate::node_url;
use crate::node_url::NODE_URLS_MAX;
use crate::node_url::NodeUrl;
use crate::pipe_extractor::ExtractorSpec;
use crate::pipe_extractor::read_extractor;
use crate::pipe_keys as keys;
use crate::pipe_keys::PLUGIN;
use crate::pipe_name::PipeName;
use crate::pipe_text::Given;
use crate::pipe_text::PipeText;
use crate::pipe_text::Section;
use crate::secret::Secret;
use crate::text;
use crate::value::Kind;
use crate::value::Setting;

/// Source ports that one pipe may name.
const SEND_PORTS_MAX: usize = 1024;

/// Smallest piece: below it the frame's own bytes outweigh the content.
const PIECE_BYTES_MIN: u32 = 1024;

/// A pipe as it was defined.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // made by `parse`, read everywhere
pub struct PipeDefinition {
    /// Name.
    pub name: PipeName,
    /// What is read.
    pub extractor: ExtractorSpec,
    /// How it leaves.
    pub connector: AirGapConnector,
    /// What `status` must say about this definition, such as a mode that runs as another.
    pub notes: Vec<String>,
}

/// `realtime.mode`. This release runs every mode as [`RealtimeMode::File`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // IoTDB's modes
pub enum RealtimeMode {
    /// Sealed files.
    File,
    /// Tablets always.
    ForcedLog,
    /// Tablets, files under load; IoTDB's default.
    Hybrid,
    /// Tablets.
    Log,
}

impl RealtimeMode {
    /// The word in the definition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::ForcedLog => "forced-log",
            Self::Hybrid => "hybrid",
            Self::Log => "log",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let all = [Self::File, Self::ForcedLog, Self::Hybrid, Self::Log];
        all.into_iter().find(|it| text.eq_ignore_ascii_case(it.as_str()))
    }
}

/// The settings of `iotdb-air-gap-connector`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // made by `parse`, read everywhere
pub struct AirGapConnector {
    /// Peers, at least one, without repetition, in the order given.
    pub node_urls: Vec<NodeUrl>,
    /// How long the reply to a handshake is waited for.
    pub handshake_timeout_ms: u64,
    /// User in handshake V2.
    pub user: String,
    /// Password in handshake V2.
    pub password: Secret,
    /// Whether frames are wrapped in E language, if the pipe says so itself; see
    /// [`AirGapConnector::wraps_in_e_language`].
    pub e_language: Option<bool>,
    /// What lies in between.
    pub gateway: GatewayProfile,
    /// Dialect of the peer; `None` means the source's own generation.
    pub dialect: Option<Dialect>,
    /// Whether deletions made after their files had left are sent, or recorded as gaps.
    pub sends_deletions: bool,
    /// Largest piece, if the pipe says so itself; see [`AirGapConnector::piece_bytes_max`].
    pub piece_size_bytes: Option<u32>,
    /// Local ports that connections come from.
    pub send_port: SendPort,
    /// Local address that connections come from.
    pub bind_address: Option<IpAddr>,
    /// What this pipe may send; `None` means no limit.
    pub rate_limit_bytes_per_second: Option<u64>,
}

impl AirGapConnector {
    /// Whether frames are wrapped: as the pipe says, else as the gateway demands.
    pub fn wraps_in_e_language(&self) -> bool {
        self.e_language.unwrap_or(self.gateway.e_language)
    }

    /// Largest file piece: as the pipe says, else what the gateway lets pass.
    pub fn piece_bytes_max(&self) -> u32 {
        self.piece_size_bytes.unwrap_or_else(|| self.gateway.piece_bytes_max())
    }
}

/// Local ports that connections may come from; gateways often name them in their rules.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // IoTDB's three strategies
pub enum SendPort {
    /// Any, as the system picks.
    Random,
    /// One of a range, both ends included.
    Range {
        /// First port.
        min: u16,
        /// Last port.
        max: u16,
    },
    /// One of these.
    Candidate(Vec<u16>),
}

impl PipeDefinition {
    /// Reads a definition; `file` is only the name that errors carry. Without `name` the pipe is
    /// called after `file_name`, the last part of its path; with it both must agree.
    ///
    /// # Errors
    /// Every fault with its line; unknown keys with the nearest one; what this release does not
    /// have by name.
    pub fn parse(file: &str, file_name: &str, bytes: &[u8]) -> Result<Self, ConfigErrors> {
        let mut faults = Faults::new(file);
        let text = PipeText::read(file, bytes, &mut faults)?;
        let name = read_name(&text, file_name, &mut faults);
        let mut notes = Vec::new();
        let extractor = read_extractor(&text.extractor, &mut notes, &mut faults);
        read_processor(&text.processor, &mut faults);
        let connector = read_connector(&text.connector, &mut faults);
        faults.into_result()?;
        match (name, extractor, connector) {
            (Some(name), Some(extractor), Some(connector)) => {
                Ok(Self { name, extractor, connector, notes })
            }
            _ => {
                let demand = "a part of the definition is missing".to_owned();
                let reason = Reason::Missing { demand };
                Err(crate::error::ConfigError::new(file, None, reason).into())
            }
        }
    }
}

fn read_name(text: &PipeText, file_name: &str, faults: &mut Faults) -> Option<PipeName> {
    let line = text.name.as_ref().map(|(_, line)| *line);
    let read = match &text.name {
        Some((name, _)) => PipeName::new(name),
        None => PipeName::from_file_name(file_name),
    };
    let name = match read {
        Ok(name) => name,
        Err(error) => {
            let message = format!("name: {error}");
            faults.push(line, Reason::Contradiction { message });
            return None;
        }
    };
    if name.file_name() != file_name {
        let inside = text::quoted(name.as_str());
        faults.push(line, Reason::NameDiffers { inside, belongs_in: name.file_name() });
    }
    Some(name)
}

/// Only the processor that does nothing is here; whatever another one is given is refused with it.
fn read_processor(section: &Section, faults: &mut Faults) {
    match section.given(PLUGIN) {
        Some(plugin) if !is_one_of(&plugin.value, keys::PROCESSOR_PLUGINS) => {
            let what = format!("{} = {}", plugin.shown_key, plugin.shown_value());
            faults.push(Some(plugin.line), Reason::NotYet { what });
        }
        _ => section.check_keys(keys::PROCESSOR_KEYS, faults),
    }
}

fn read_connector(section: &Section, faults: &mut Faults) -> Option<AirGapConnector> {
    let Some(line) = section.line else {
        let demand = "a section [connector] must be given".to_owned();
        faults.push(None, Reason::Missing { demand });
        return None;
    };
    if section.given(PLUGIN).is_none() {
        let demand =
            format!("{} must be given, this release has iotdb-air-gap-connector", section.heading,);
        faults.push(Some(line), Reason::Missing { demand });
    }
    match check_plugin(section, keys::AIR_GAP_PLUGINS, keys::LATER_CONNECTORS, faults) {
        Plugin::Here => (),
        // The keys of another connector would be judged by the wrong rules.
        Plugin::Another => return None,
    }
    section.check_keys(keys::CONNECTOR_KEYS, faults);
    let timeout = Kind::Millis { min: 1, max: 3_600_000 };
    let node_urls = read_node_urls(section, line, faults);
    let handshake_timeout_ms = read(section, "air-gap.handshake-timeout-ms", &timeout, faults);
    let user = read_user(section, faults);
    let password = read(section, "password", &Kind::Secret, faults);
    let e_language = read(section, "air-gap.e-language.enable", &Kind::Boolean, faults);
    let gateway = read_gateway(section, faults);
    let dialect = read_dialect(section, faults);
    let sends_deletions = read_deletions(section, faults);
    let piece_size_bytes = gateway.and_then(|it| read_piece_size(section, it, faults));
    let send_port = read_send_port(section, faults);
    let bind_address = read(section, "tidegate.bind-address", &Kind::Address, faults);
    let rate_limit: Option<Option<Option<u64>>> =
        read(section, "rate-limit-bytes-per-second", &Kind::ByteRate, faults);
    Some(AirGapConnector {
        node_urls: node_urls?,
        handshake_timeout_ms: handshake_timeout_ms?.unwrap_or(5_000),
        user: user?,
        password: password?.unwrap_or_else(|| Secret::new("root")),
        e_language: e_language?,
        gateway: *gateway?,
        dialect: dialect?,
        sends_deletions: sends_deletions?,
        piece_size_bytes: piece_size_bytes?,
        send_port: send_port?,
        bind_address: bind_address?,
        rate_limit_bytes_per_second: rate_limit?.flatten(),
    })
}

/// A key's value: `Some(None)` when it is not given, `None` when a fault was noted.
pub(crate) fn read<T: Setting>(
    section: &Section,
    key: &str,
    kind: &Kind,
    faults: &mut Faults,
) -> Option<Option<T>> {
    let Some(given) = section.given(key) else {
        return Some(None);
    };
    // Blanks at the ends of a password may be meant.
    let text = if *kind == Kind::Secret { &given.value } else { given.value.trim() };
    let read = T::read(kind, text);
    if read.is_none() {
        bad_value(given, &kind.to_string(), faults);
    }
    read.map(Some)
}

pub(crate) fn bad_value(given: &Given, expected: &str, faults: &mut Faults) {
    let reason = Reason::BadValue {
        key: given.shown_key.clone(),
        expected: expected.to_owned(),
        found: given.shown_value(),
    };
    faults.push(Some(given.line), reason);
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|it| name.trim().eq_ignore_ascii_case(it))
}

#[derive(Clone, Copy)]
pub(crate) enum Plugin {
    Here,
    Another,
}

/// Judges the plugin's name; another one is noted as a fault. No name is no other one.
pub(crate) fn check_plugin(
    section: &Section,
    here: &[&str],
    later: &[&str],
    faults: &mut Faults,
) -> Plugin {
    let Some(given) = section.given(PLUGIN).filter(|it| !is_one_of(&it.value, here)) else {
        return Plugin::Here;
    };
    let reason = match is_one_of(&given.value, later) {
        true => Reason::NotYet { what: format!("{} = {}", given.shown_key, given.shown_value()) },
        false => {
            let all = here.iter().chain(later).copied();
            let nearest = text::nearest(given.value.trim(), all);
            let nearest = nearest.map_or_else(String::new, |it| format!(", nearest is {it}"));
            Reason::BadValue {
                key: given.shown_key.clone(),
                expected: here.join(" or "),
                found: format!("{}{nearest}", given.shown_value()),
            }
        }
    };
    faults.push(Some(given.line), reason);
    Plugin::Another
}

fn read_node_urls(section: &Section, line: u32, faults: &mut Faults) -> Option<Vec<NodeUrl>> {
    let mut urls: Vec<NodeUrl> = Vec::new();
    if let Some(given) = section.given("node-urls") {
        let parsed: Option<Vec<NodeUrl>> =
            given.value.split(',').map(|it| NodeUrl::parse(it.trim())).collect();
        match parsed.filter(|it| it.len() <= NODE_URLS_MAX) {
            Some(parsed) => urls = parsed,
            None => {
                let expected = format!(
                    "host:port, comma separated, at most {NODE_URLS_MAX}, such as \
                     10.0.0.2:9780,10.0.0.3:9780",
                );
                bad_value(given, &expected, faults);
                return None;
            }
        }
    }
    let ip = either(section, "ip", "host", faults)?;
    let port = section.given("port");
    match (ip, port) {
        (Some(ip), Some(port)) => {
            let Some(number) = node_url::parse_port(port.value.trim()) else {
                bad_value(port, "a port from 1 to 65535", faults);
                return None;
            };
            let Some(url) = NodeUrl::new(ip.value.trim(), number) else {
                bad_value(ip, "an IP address or a host name", faults);
                return None;
            };
            urls.push(url);
        }
        (None, None) if !urls.is_empty() => (),
        _ => {
            let demand = format!(
                "either {0}.node-urls or {0}.ip with {0}.port must be given",
                section.heading,
            );
            let line = ip.or(port).map_or(line, |it| it.line);
            faults.push(Some(line), Reason::Missing { demand });
            return None;
        }
    }
    let mut unique: Vec<NodeUrl> = Vec::with_capacity(urls.len());
    for url in urls {
        if !unique.contains(&url) {
            unique.push(url);
        }
    }
    Some(unique)
}

/// One of two names of the same key; both at once is a fault.
fn either<'s>(
    section: &'s Section,
    key: &str,
    other: &str,
    faults: &mut Faults,
) -> Option<Option<&'s Given>> {
    match (section.given(key), section.given(other)) {
        (Some(first), Some(second)) => {
            let reason = Reason::Repeated {
                key: second.shown_key.clone(),
                first_key: first.shown_key.clone(),
                first_line: first.line,
            };
            faults.push(Some(second.line), reason);
            None
        }
        (first, second) => Some(first.or(second)),
    }
}

fn read_user(section: &Section, faults: &mut Faults) -> Option<String> {
    let kind = Kind::Text { bytes_max: 255 };
    match either(section, "user", "username", faults)? {
        None => Some("root".to_owned()),
        Some(given) => read(section, &given.key, &kind, faults)?,
    }
}

fn read_gateway(section: &Section, faults: &mut Faults) -> Option<&'static GatewayProfile> {
    let Some(given) = section.given("tidegate.gateway") else {
        return Some(DEFAULT_PROFILE);
    };
    let profile = GatewayProfile::by_name(given.value.trim());
    if profile.is_none() {
        let names: Vec<&str> = GATEWAY_PROFILES.iter().map(|it| it.name).collect();
        bad_value(given, &format!("one of {}", names.join(", ")), faults);
    }
    profile
}

fn read_dialect(section: &Section, faults: &mut Faults) -> Option<Option<Dialect>> {
    match section.given("tidegate.dialect") {
        None => Some(None),
        Some(given) if given.value.trim() == "auto" => Some(None),
        Some(given) => {
            let dialect = Dialect::parse(given.value.trim());
            if dialect.is_none() {
                bad_value(given, "auto, 1.2, 1.3 or 2.0", faults);
            }
            dialect.map(Some)
        }
    }
}

fn read_deletions(section: &Section, faults: &mut Faults) -> Option<bool> {
    match section.given("tidegate.deletions") {
        None => Some(true),
        Some(given) => match given.value.trim() {
            "send" => Some(true),
            "gap" => Some(false),
            _ => {
                bad_value(given, "send or gap", faults);
                None
            }
        },
    }
}

fn read_piece_size(
    section: &Section,
    gateway: &GatewayProfile,
    faults: &mut Faults,
) -> Option<Option<u32>> {
    let key = "tidegate.piece-size-bytes";
    match section.given(key) {
        Some(given) if given.value.trim() == "auto" => Some(None),
        Some(given) => {
            let (min, max) = (PIECE_BYTES_MIN, gateway.piece_bytes_max());
            let kind = Kind::Bytes { min: min.into(), max: max.into() };
            let size = u32::read(&kind, given.value.trim());
            if size.is_none() {
                let expected =
                    format!("auto or bytes from {min} to {max} (gateway {})", gateway.name);
                bad_value(given, &expected, faults);
            }
            size.map(Some)
        }
        None => Some(None),
    }
}

fn read_send_port(section: &Section, faults: &mut Faults) -> Option<SendPort> {
    let strategy = section.given("send-port.restriction-strategy");
    let word = strategy.map_or("random", |it| it.value.trim());
    let (read, own_keys): (_, &[&str]) = match word.to_ascii_lowercase().as_str() {
        "random" => (Some(SendPort::Random), &[]),
        "range" => {
            (read_port_range(section, faults), &["send-port.range.min", "send-port.range.max"])
        }
        "candidate" => (read_candidates(section, faults), &["send-port.candidate"]),
        _ => {
            let given = strategy?;
            bad_value(given, "random, range or candidate", faults);
            return None;
        }
    };
    for key in ["send-port.range.min", "send-port.range.max", "send-port.candidate"] {
        if let Some(given) = section.given(key).filter(|_| !own_keys.contains(&key)) {
            let message = format!(
                "{} has no meaning with {} = {word}",
                given.shown_key,
                section.shown_key("send-port.restriction-strategy"),
            );
            faults.push(Some(given.line), Reason::Contradiction { message });
        }
    }
    read
}

fn read_port_range(section: &Section, faults: &mut Faults) -> Option<SendPort> {
    let (min, max) = ("send-port.range.min", "send-port.range.max");
    let (Some(given_min), Some(given_max)) = (section.given(min), section.given(max)) else {
        let demand = format!(
            "{} = range needs {} and {}",
            section.shown_key("send-port.restriction-strategy"),
            section.shown_key(min),
            section.shown_key(max),
        );
        let line = section.given("send-port.restriction-strategy").map(|it| it.line);
        faults.push(line, Reason::Missing { demand });
        return None;
    };
    let mut port = |given: &Given| {
        let port = node_url::parse_port(given.value.trim());
        if port.is_none() {
            bad_value(given, "a port from 1 to 65535", faults);
        }
        port
    };
    let (min, max) = (port(given_min), port(given_max));
    let (min, max) = (min?, max?);
    if max < min {
        bad_value(given_max, &format!("a port not below {}", given_min.shown_key), faults);
        return None;
    }
    Some(SendPort::Range { min, max })
}

fn read_candidates(section: &Section, faults: &mut Faults) -> Option<SendPort> {
    let key = "send-port.candidate";
    let Some(given) = section.given(key) else {
        let demand = format!(
            "{} = candidate needs {}",
            section.shown_key("send-port.restriction-strategy"),
            section.shown_key(key),
        );
        let line = section.given("send-port.restriction-strategy").map(|it| it.line);
        faults.push(line, Reason::Missing { demand });
        return None;
    };
    let ports = given.value.split(',').map(|it| node_url::parse_port(it.trim()));
    match ports.collect::<Option<Vec<u16>>>().filter(|it| it.len() <= SEND_PORTS_MAX) {
        Some(mut ports) => {
            ports.sort_unstable();
            ports.dedup();
            Some(SendPort::Candidate(ports))
        }
        None => {
            bad_value(given, "ports from 1 to 65535, comma separated", faults);
            None
        }
    }
}
