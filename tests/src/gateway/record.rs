//! What the simulator tells about itself: reasons, counters, and one line per event.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Serialize;

/// Why both sides of a connection were reset by the gateway itself.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Cut {
    /// A request did not begin with the E-language prefix.
    BadEPrefix,
    /// A request was answered that had not ended with the E-language suffix.
    BadESuffix,
    /// More bytes than one came back at once.
    ExtraBytes,
    /// A request was longer than the device takes.
    FrameTooLong,
    /// No byte passed for too long.
    Idle,
    /// A byte came back that is none of the allowed ones.
    IllegalByte,
    /// The outer host could not be reached, and the device does not hold connections.
    OuterDown,
    /// The device restarted.
    Restart,
    /// A byte came back without a new request.
    SecondByte,
}

impl Cut {
    /// The name, as in logs and counters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadEPrefix => "bad-e-prefix",
            Self::BadESuffix => "bad-e-suffix",
            Self::ExtraBytes => "extra-bytes",
            Self::FrameTooLong => "frame-too-long",
            Self::Idle => "idle",
            Self::IllegalByte => "illegal-byte",
            Self::OuterDown => "outer-down",
            Self::Restart => "restart",
            Self::SecondByte => "second-byte",
        }
    }
}

/// Why a new connection was reset at once.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Refusal {
    /// Too many new connections within a minute from that address.
    ReconnectLimit,
    /// The device is restarting.
    Restarting,
    /// The source port is not allowed.
    SourcePort,
    /// The simulator holds as many connections as it ever does.
    TooManyOpen,
}

impl Refusal {
    /// The name, as in logs and counters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReconnectLimit => "reconnect-limit",
            Self::Restarting => "restarting",
            Self::SourcePort => "source-port",
            Self::TooManyOpen => "too-many-open",
        }
    }
}

/// One side of the gateway.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // a gateway has two sides
pub enum Side {
    /// The protected side, which opens connections.
    Inner,
    /// The other side, which is listening.
    Outer,
}

impl Side {
    fn as_str(self) -> &'static str {
        match self {
            Self::Inner => "inner",
            Self::Outer => "outer",
        }
    }
}

/// Bytes that came back, by value.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct BytesBack {
    /// OK in IoTDB's polarity.
    #[serde(rename = "00")]
    pub zeros: u64,
    /// FAIL in IoTDB's polarity.
    #[serde(rename = "ff")]
    pub ones: u64,
    /// Any other value; only `plain-tcp` lets one pass.
    pub other: u64,
}

/// Replies that were tampered with on purpose.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct FaultCounts {
    /// Delivered twice.
    pub doubled: u64,
    /// Delivered late.
    pub late: u64,
    /// Swallowed.
    pub lost: u64,
}

/// Counters since the start.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Stats {
    /// Connections accepted from the inner side, refused ones apart.
    pub connections: u64,
    /// Of these, open now.
    pub open: u64,
    /// Requests of which at least the first byte went out.
    pub requests: u64,
    /// Bytes that went out.
    pub bytes_forward: u64,
    /// Bytes that came back to the inner side.
    pub bytes_back: BytesBack,
    /// Connections the gateway cut, by reason.
    pub cuts: BTreeMap<Cut, u64>,
    /// Connections it refused, by reason.
    pub refusals: BTreeMap<Refusal, u64>,
    /// Faults it played.
    pub faults: FaultCounts,
    /// Connections that ended because one of the hosts reset them.
    pub host_resets: u64,
    /// Attempts to reach the outer host that failed.
    pub outer_failures: u64,
}

impl Stats {
    /// How many connections were cut for `reason`.
    pub fn cut(&self, reason: Cut) -> u64 {
        self.cuts.get(&reason).copied().unwrap_or(0)
    }

    /// How many connections were refused for `reason`.
    pub fn refused(&self, reason: Refusal) -> u64 {
        self.refusals.get(&reason).copied().unwrap_or(0)
    }
}

/// Something that happened, with the time since the start.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// Time since the start.
    pub at: Duration,
    /// Number of the connection, counted from 1; 0 where none is meant.
    pub connection: u64,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum What {
    /// An inner connection was accepted.
    Accepted(SocketAddr),
    /// Both sides have ended in order, after so many bytes out.
    Closed(u64),
    /// Both sides were reset by the gateway, after so many bytes out.
    Cut(Cut, u64),
    /// One of the hosts reset its side, after so many bytes out.
    HostReset(Side, u64),
    /// The outer host was reached.
    OuterConnected,
    /// The outer host was not reached; told once until it is.
    OuterDown,
    /// A new inner connection was reset.
    Refused(SocketAddr, Refusal),
    /// A reply will be delivered twice.
    ReplyDoubled(u8),
    /// A reply will be late.
    ReplyLate(u8),
    /// A reply was swallowed.
    ReplyLost(u8),
    /// A byte came back, the answer to so many bytes.
    Returned(u8, u64),
    /// All connections are cut.
    Restart,
}

impl What {
    /// Whether this happens once per request, so that a quiet log leaves it out.
    pub fn is_routine(&self) -> bool {
        matches!(self, Self::Returned(..))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t={}.{:06}s ", self.at.as_secs(), self.at.subsec_micros())?;
        if self.connection != 0 {
            write!(f, "conn={} ", self.connection)?;
        }
        match &self.what {
            What::Accepted(peer) => write!(f, "event=accepted peer={peer}"),
            What::Closed(bytes) => write!(f, "event=closed bytes_forward={bytes}"),
            What::Cut(reason, bytes) => {
                write!(f, "event=cut reason={} bytes_forward={bytes}", reason.as_str())
            }
            What::HostReset(side, bytes) => {
                write!(f, "event=host-reset side={} bytes_forward={bytes}", side.as_str())
            }
            What::OuterConnected => f.write_str("event=outer-connected"),
            What::OuterDown => f.write_str("event=outer-down"),
            What::Refused(peer, reason) => {
                write!(f, "event=refused peer={peer} reason={}", reason.as_str())
            }
            What::ReplyDoubled(byte) => write!(f, "event=reply-doubled byte={byte:02x}"),
            What::ReplyLate(byte) => write!(f, "event=reply-late byte={byte:02x}"),
            What::ReplyLost(byte) => write!(f, "event=reply-lost byte={byte:02x}"),
            What::Returned(byte, bytes) => {
                write!(f, "event=returned byte={byte:02x} request_bytes={bytes}")
            }
            What::Restart => f.write_str("event=restart"),
        }
    }
}
