//! What each gateway model lets through: decides the reply rule, the content rule and the frame
//! limit that a profile name stands for.

use core::fmt;

/// First bytes of a request in E-language. Written out here, apart from the product's own constant,
/// so that the simulator judges the product and does not merely agree with it.
pub const E_PREFIX: &[u8] = b"<!System=IoTDB Version=1.0 Code=UTF-8 Data=1.0!>\n<block:=Free>\n";

/// Last bytes of a request in E-language.
pub const E_SUFFIX: &[u8] = b"\n</block:=Free>";

const MIB: u64 = 1 << 20;

/// A gateway model, by the name that the product's configuration uses.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Profile {
    /// No gateway: every byte passes both ways.
    PlainTcp,
    /// Kedong StoneWall-2000, forward.
    Stonewall2000Forward,
    /// NARI Syskeeper-2000, forward.
    Syskeeper2000Forward,
    /// NARI Syskeeper-2000, reverse: requests must be in E-language.
    Syskeeper2000Reverse,
    /// XJ's own gateway, forward.
    XjForward,
}

impl Profile {
    /// Every profile, in the order in which help texts list them.
    pub const ALL: [Self; 5] = [
        Self::Syskeeper2000Forward,
        Self::XjForward,
        Self::Stonewall2000Forward,
        Self::Syskeeper2000Reverse,
        Self::PlainTcp,
    ];

    /// The profile of that name; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.as_str() == text)
    }

    /// The name, as in `connector.tidegate.gateway`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PlainTcp => "plain-tcp",
            Self::Stonewall2000Forward => "stonewall-2000-forward",
            Self::Syskeeper2000Forward => "syskeeper-2000-forward",
            Self::Syskeeper2000Reverse => "syskeeper-2000-reverse",
            Self::XjForward => "xj-forward",
        }
    }

    /// The largest request, E-language wrap included.
    pub fn frame_bytes_max(self) -> u64 {
        match self {
            Self::PlainTcp => 4 * MIB,
            Self::Stonewall2000Forward
            | Self::Syskeeper2000Forward
            | Self::Syskeeper2000Reverse
            | Self::XjForward => MIB,
        }
    }

    /// What may come back.
    ///
    /// IoTDB's table lists the StoneWall-2000 without a limit while its vendor says one bit: the
    /// narrower reading is simulated.
    pub fn return_rule(self) -> ReturnRule {
        match self {
            Self::PlainTcp => ReturnRule::Anything,
            Self::Stonewall2000Forward
            | Self::Syskeeper2000Forward
            | Self::Syskeeper2000Reverse
            | Self::XjForward => ReturnRule::OneByteOf(&[0x00, 0xff]),
        }
    }

    /// What a request must look like.
    pub fn content_rule(self) -> ContentRule {
        match self {
            Self::Syskeeper2000Reverse => ContentRule::ELanguage,
            Self::PlainTcp
            | Self::Stonewall2000Forward
            | Self::Syskeeper2000Forward
            | Self::XjForward => ContentRule::Anything,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a device checks in the bytes it forwards.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ContentRule {
    /// Nothing.
    Anything,
    /// A request begins with [`E_PREFIX`], and when its answer comes it has ended with
    /// [`E_SUFFIX`].
    ELanguage,
}

/// What a device lets back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReturnRule {
    /// Any bytes at any time.
    Anything,
    /// One byte per request, and only one of these.
    OneByteOf(&'static [u8]),
}
