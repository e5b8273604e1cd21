//! What a lane must know from the start: its peers, its times, how it introduces itself.

use core::fmt;
use core::time::Duration;

use tidegate_model::Dialect;
use tidegate_model::Precision;

/// What a lane must know from the start.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs)] // built by the edge
pub struct LaneConfig {
    /// Number of peers of the pipe.
    pub n_peers: usize,
    /// The peer to call first; the others only when it is dead.
    pub first_peer: usize,
    /// What to say of ourselves.
    pub introduction: Introduction,
    /// In which form requests leave.
    pub dialect: DialectRule,
    /// Most data bytes in one piece.
    pub piece_bytes: u32,
    /// For connecting, and again for each answer to a handshake.
    pub handshake_timeout: Duration,
    /// For the answer to any other frame, counted from its last byte's leaving.
    pub reply_timeout: Duration,
    /// An idle connection is closed after this; the peer's 15-minute timer must never run out.
    pub idle_close: Duration,
    /// First pause after a failure.
    pub backoff_min: Duration,
    /// Longest pause.
    pub backoff_max: Duration,
    /// Seed of the jitter, so that a run can be repeated.
    pub seed: u64,
}

/// What the sender says of itself in a handshake.
#[derive(Clone)]
#[allow(clippy::exhaustive_structs)] // built by the edge
pub struct Introduction {
    /// Our own stable id, sent as `clusterID`: a peer refuses its own.
    pub cluster_id: String,
    /// Unit of all time stamps.
    pub precision: Precision,
    /// User at the peer.
    pub user: String,
    /// Password at the peer; it crosses in clear, as IoTDB's own senders do.
    pub password: String,
    /// `tidegate.sender`.
    pub sender: String,
    /// `tidegate.stream`: pipe and lane.
    pub stream: String,
    /// `tidegate.epoch`: grows with every start of the sender, and each time the pipe is set up.
    pub epoch: u64,
}

/// In which form requests leave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // `connector.tidegate.dialect`
pub enum DialectRule {
    /// `auto`: the source's own generation, 1.3 forms if a 1.2 source meets a peer that knows V2.
    Auto(Dialect),
    /// As the user said.
    Fixed(Dialect),
}

/// Which handshake a peer took.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // IoTDB has these two
pub enum HandshakeForm {
    /// Precision only.
    V1,
    /// Named parameters.
    V2,
}

impl DialectRule {
    /// V1 proves nothing about the peer and skips its login; only 1.2 needs it.
    pub(super) fn allows_v1(self) -> bool {
        matches!(self, Self::Auto(Dialect::V1_2) | Self::Fixed(Dialect::V1_2))
    }

    pub(super) fn agreed(self, form: HandshakeForm) -> Dialect {
        match (self, form) {
            (Self::Auto(Dialect::V1_2), HandshakeForm::V2) => Dialect::V1_3,
            (Self::Auto(dialect) | Self::Fixed(dialect), _) => dialect,
        }
    }
}

impl fmt::Debug for Introduction {
    /// Leaves the password out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introduction")
            .field("cluster_id", &self.cluster_id)
            .field("precision", &self.precision)
            .field("user", &self.user)
            .field("sender", &self.sender)
            .field("stream", &self.stream)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}
