//! What each kind of gateway lets pass.
//!
//! The reply rule is the same for all (one byte, `00` or `ff`, per request) and so is the window (one
//! frame): no device is known that would punish keeping to them.

/// Settings that belong to one kind of gateway.
///
/// How long a reply is waited for is no property of a device: `pipe_connector_timeout_ms` says it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // made here only, read everywhere
pub struct GatewayProfile {
    /// Name, as in `connector.tidegate.gateway`.
    pub name: &'static str,
    /// Largest frame that passes, with its E-language wrap.
    pub frame_bytes_max: u32,
    /// Whether frames are wrapped in E language unless the pipe says otherwise.
    pub e_language: bool,
    /// First pause before a reconnect.
    pub backoff_min_ms: u64,
    /// Longest pause before a reconnect.
    pub backoff_max_ms: u64,
    /// Idle time after which our side closes the connection, before the device cuts it.
    pub idle_close_ms: u64,
    /// One sentence for the manual.
    pub meaning: &'static str,
}

/// Upper bound of what stands around a piece in its frame: E wrap, two lengths, checksum, request
/// header, file name of at most 255 bytes, offset.
pub const FRAME_OVERHEAD_BYTES_MAX: u32 = 1024;

/// The profile of a pipe that names none: the strictest forward device.
pub(crate) const DEFAULT_PROFILE: &GatewayProfile = &SYSKEEPER_2000_FORWARD;

const FORWARD: GatewayProfile = GatewayProfile {
    name: "",
    frame_bytes_max: 1024 * 1024,
    e_language: false,
    backoff_min_ms: 1_000,
    backoff_max_ms: 30_000,
    idle_close_ms: 60_000,
    meaning: "",
};

const SYSKEEPER_2000_FORWARD: GatewayProfile = GatewayProfile {
    name: "syskeeper-2000-forward",
    meaning: "NARI Syskeeper-2000, forward: frames of at most 1 MiB",
    ..FORWARD
};

/// Every profile, the default first.
pub const GATEWAY_PROFILES: &[GatewayProfile] = &[
    SYSKEEPER_2000_FORWARD,
    GatewayProfile {
        name: "syskeeper-2000-reverse",
        e_language: true,
        meaning: "NARI Syskeeper-2000, reverse: frames of at most 1 MiB, wrapped in E language",
        ..FORWARD
    },
    GatewayProfile {
        name: "xj-forward",
        meaning: "XJ forward gateway: frames of at most 1 MiB",
        ..FORWARD
    },
    GatewayProfile {
        name: "stonewall-2000-forward",
        meaning: "Kedong StoneWall-2000, forward: frames of at most 1 MiB",
        ..FORWARD
    },
    GatewayProfile {
        name: "plain-tcp",
        frame_bytes_max: 4 * 1024 * 1024,
        meaning: "no gateway between the two sides: frames of at most 4 MiB",
        ..FORWARD
    },
];

impl GatewayProfile {
    /// The profile of that name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        GATEWAY_PROFILES.iter().find(|it| it.name == name)
    }

    /// Largest file piece whose frame passes.
    pub fn piece_bytes_max(&self) -> u32 {
        self.frame_bytes_max.saturating_sub(FRAME_OVERHEAD_BYTES_MAX)
    }
}
