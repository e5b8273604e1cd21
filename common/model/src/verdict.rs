//! What can become of a delivery.

use core::fmt;

/// The three things that can become of an item or a frame.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums)] // a reply is one of the first two or there is no reply
pub enum Verdict {
    /// The peer has it and promises what its OK promises.
    Accepted,
    /// The peer answered that it will not take it as it came.
    Refused,
    /// Nobody knows: closed, timed out, illegal byte. It must be sent again.
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        })
    }
}
