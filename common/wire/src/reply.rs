//! The byte that comes back: the one place which knows that zero means yes.

use core::fmt;

/// What a receiver answers to a frame.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums)] // the gateway lets nothing else through
pub enum Reply {
    /// `ff`: damaged, or refused for good.
    Fail,
    /// `00`: taken.
    Ok,
}

impl Reply {
    /// Reads a reply; anything but `00` and `ff` is nobody's answer.
    pub fn from_byte(byte: u8) -> Result<Self, IllegalReply> {
        match byte {
            0x00 => Ok(Self::Ok),
            0xff => Ok(Self::Fail),
            found => Err(IllegalReply(found)),
        }
    }

    /// The byte on the wire.
    pub fn byte(self) -> u8 {
        match self {
            Self::Ok => 0x00,
            Self::Fail => 0xff,
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "00 (OK)",
            Self::Fail => "ff (FAIL)",
        })
    }
}

/// A byte that no receiver sends: something else answers, or the gateway changed it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_structs)] // a byte is a byte
pub struct IllegalReply(pub u8);

impl fmt::Display for IllegalReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reply: expected 00 (OK) or ff (FAIL), but found {:02x}", self.0)
    }
}

impl core::error::Error for IllegalReply {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_all_bytes_only_zero_is_ok_and_only_ff_is_fail() {
        for byte in 0..=u8::MAX {
            match Reply::from_byte(byte) {
                Ok(reply) => assert_eq!((reply.byte(), reply == Reply::Ok), (byte, byte == 0)),
                Err(IllegalReply(found)) => assert!(found == byte && byte != 0 && byte != 0xff),
            }
        }
    }
}
