//! The unit of every time stamp of one IoTDB cluster.

use core::fmt;

/// Unit of a cluster's time stamps (`timestamp_precision`).
///
/// It stands only in the ConfigNode's `system.properties` and in the handshakes; TsFiles do not
/// carry it, so data of two precisions must never meet in one place.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums)] // IoTDB knows these three and no others
pub enum Precision {
    /// Milliseconds, IoTDB's default.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
}

impl Precision {
    /// The form used on the wire and in configuration files: `ms`, `us` or `ns`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "ms" => Some(Self::Ms),
            "us" => Some(Self::Us),
            "ns" => Some(Self::Ns),
            _ => None,
        }
    }

    /// How many units a millisecond has.
    pub fn per_ms(self) -> i64 {
        match self {
            Self::Ms => 1,
            Self::Us => 1_000,
            Self::Ns => 1_000_000,
        }
    }

    /// See [`Precision::parse`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ms => "ms",
            Self::Us => "us",
            Self::Ns => "ns",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
