//! The knobs of the simulator: what a configuration can say, and what holds where it says nothing.

use core::fmt;
use core::num::NonZeroU64;
use core::ops::RangeInclusive;
use core::time::Duration;
use std::net::SocketAddr;

use super::profile::Profile;

/// Where a gateway listens, whom it forwards to, and how it behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address on the inner side; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The host on the outer side.
    pub target: SocketAddr,
    /// How it behaves.
    pub rules: Rules,
}

impl Config {
    /// A gateway on a free loopback port, with the plain rules of `profile`.
    pub fn loopback(profile: Profile, target: SocketAddr) -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)), target, rules: Rules::new(profile) }
    }
}

/// What a device allows, how fast it is, and which faults it shows.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Which bytes pass.
    pub profile: Profile,
    /// Delay added to a request and its reply together: half on each way.
    pub rtt: Duration,
    /// Line rate of the whole device on the way out; `None` is as fast as the machine.
    pub bytes_per_second: Option<NonZeroU64>,
    /// Largest single write to the outer side.
    pub split_bytes: Option<NonZeroU64>,
    /// Each request is split after so many bytes.
    pub split_at: Option<NonZeroU64>,
    /// Pause after a [`split_at`](Self::split_at) piece, so that its reader sees it alone.
    pub split_gap: Duration,
    /// Bytes wait so long for others to join them in one write.
    pub coalesce: Duration,
    /// Longer requests are cut; `None` is no limit.
    pub frame_bytes_max: Option<NonZeroU64>,
    /// A connection is cut when no byte passed for so long.
    pub idle_cut: Option<Duration>,
    /// The device restarts again and again.
    pub restart: Option<Restart>,
    /// New connections a minute from one address; more are reset.
    pub connections_per_minute: Option<u32>,
    /// Source ports that may connect; others are reset.
    pub source_ports: PortSet,
    /// What goes wrong with replies.
    pub faults: Faults,
    /// What an inner connection sees while the outer host is down.
    pub outer_down: OuterDown,
    /// Pause between attempts to reach the outer host.
    pub outer_retry: Duration,
    /// Whether the outer side is served at all.
    pub forwarding: Forwarding,
    /// What becomes of a reset by the outer host.
    pub reset_passing: ResetPassing,
    /// What becomes of bytes whose inner connection has gone.
    pub given_up: GivenUp,
}

impl Rules {
    /// The rules of a profile, without delay, limits of rate, or faults.
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            rtt: Duration::ZERO,
            bytes_per_second: None,
            split_bytes: None,
            split_at: None,
            split_gap: Duration::from_millis(1),
            coalesce: Duration::ZERO,
            frame_bytes_max: NonZeroU64::new(profile.frame_bytes_max()),
            idle_cut: None,
            restart: None,
            connections_per_minute: None,
            source_ports: PortSet::all(),
            faults: Faults::default(),
            outer_down: OuterDown::Hold,
            outer_retry: Duration::from_secs(1),
            forwarding: Forwarding::Pass,
            reset_passing: ResetPassing::Reset,
            given_up: GivenUp::Drop,
        }
    }

    /// Delay on the way out.
    pub(super) fn delay_forward(&self) -> Duration {
        self.rtt / 2
    }

    /// Delay on the way back: the other half, so that both together are exactly the RTT.
    pub(super) fn delay_back(&self) -> Duration {
        self.rtt - self.rtt / 2
    }
}

/// A device that restarts: all connections are cut, and for a while new ones are reset.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Restart {
    /// Time from one restart to the next.
    pub every: Duration,
    /// How long new connections are reset.
    pub down: Duration,
}

/// Faults of the way back. `*_every` counts the replies of the whole device; `*_chance` draws from
/// one seeded sequence, so that a run with one connection repeats.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Seed of the chances.
    pub seed: u64,
    /// Every so manieth reply is swallowed.
    pub lose_every: Option<NonZeroU64>,
    /// Every so manieth reply is late.
    pub late_every: Option<NonZeroU64>,
    /// Every so manieth reply is delivered twice.
    pub double_every: Option<NonZeroU64>,
    /// Chance of a reply to be swallowed, 0 to 1.
    pub lose_chance: f64,
    /// Chance of a reply to be late, 0 to 1.
    pub late_chance: f64,
    /// Chance of a reply to be delivered twice, 0 to 1.
    pub double_chance: f64,
    /// How late a late reply is.
    pub late_by: Duration,
}

/// What an inner connection sees while the outer host is down.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum OuterDown {
    /// It stays open and silent while the outer host is tried again.
    Hold,
    /// It is reset.
    Reset,
}

/// Whether the outer side is served at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Forwarding {
    /// Bytes go to the outer host.
    Pass,
    /// Bytes are taken and swallowed; the outer host is never called.
    Swallow,
}

/// What becomes of a reset by the outer host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ResetPassing {
    /// The inner side sees an orderly close, as behind some devices that end TCP.
    OrderlyClose,
    /// The inner side is reset too.
    Reset,
}

/// What becomes of bytes whose inner connection has gone before they went out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum GivenUp {
    /// They are delivered all the same, late: the sender has long given them up.
    Deliver,
    /// They are dropped if the outer host was never reached or the connection was reset.
    Drop,
}

/// A set of TCP ports.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PortSet {
    ranges: Vec<RangeInclusive<u16>>,
}

impl PortSet {
    /// Every port.
    pub fn all() -> Self {
        Self { ranges: vec![0..=u16::MAX] }
    }

    /// Ports and ranges with commas between: `40000-40003,40010`.
    pub fn parse(text: &str) -> Result<Self, PortSetError> {
        let bad = |part: &str| PortSetError { part: part.to_owned() };
        let mut ranges = Vec::new();
        for part in text.split(',') {
            let (low, high) = part.split_once('-').unwrap_or((part, part));
            let low: u16 = low.trim().parse().map_err(|_| bad(part))?;
            let high: u16 = high.trim().parse().map_err(|_| bad(part))?;
            if high < low {
                return Err(bad(part));
            }
            ranges.push(low..=high);
        }
        Ok(Self { ranges })
    }

    /// Whether `port` is in the set.
    pub fn contains(&self, port: u16) -> bool {
        self.ranges.iter().any(|range| range.contains(&port))
    }
}

/// A list of ports that cannot be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PortSetError {
    part: String,
}

impl fmt::Display for PortSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected a port or a rising range such as 40000-40003, found {:?}", self.part)
    }
}

impl std::error::Error for PortSetError {}
