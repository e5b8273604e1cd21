//! Why a frame is refused, and what a peer that does not speak this protocol looks like.

use core::fmt;

use super::PAYLOAD_BYTES_MIN;

/// Reasons why the bytes of a connection are not a frame.
///
/// After any of them the position in the stream is lost, so the connection is over: in silence when
/// the peer is [foreign](FrameError::is_foreign), else after `ff`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FrameError {
    /// The checksum field does not hold the CRC-32 of the payload, zero-extended.
    Checksum {
        /// All eight bytes of the field.
        want: u64,
        /// The CRC-32 of the payload as it arrived.
        got: u32,
    },
    /// An E-language prefix stands inside the wrap of a frame.
    NestedPrefix,
    /// The connection began with something else than a frame.
    NotAirGap(Foreign),
    /// The E-language prefix began as it should and went on otherwise.
    Prefix {
        /// How many bytes were right.
        matched_bytes: usize,
    },
    /// The E-language suffix is not what it should be.
    Suffix {
        /// How many bytes were right.
        matched_bytes: usize,
    },
    /// The payload is larger than this side takes.
    TooLarge {
        /// Length of the payload.
        payload_bytes: u32,
        /// The cap.
        max_payload_bytes: u32,
    },
    /// The length leaves no room for checksum, version and type, or is negative.
    TooShort {
        /// The length field.
        length: i32,
    },
    /// The two length fields differ.
    UnequalLengths {
        /// The first.
        first: i32,
        /// The second.
        second: i32,
    },
}

impl FrameError {
    /// Whether the peer never spoke this protocol: then even an `ff` tells it too much.
    pub fn is_foreign(&self) -> bool {
        matches!(self, Self::NotAirGap(_))
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Checksum { want, got } => write!(
                f,
                "frame: expected a payload with checksum {want:016x}, but found {got:016x} \
                 (damaged on the way, or a sender that counts otherwise)"
            ),
            Self::NestedPrefix => f.write_str(
                "frame: expected the length after the E-language prefix, but found a second prefix \
                 (is E-language added by both the sender and the gateway?)",
            ),
            Self::NotAirGap(foreign) => {
                write!(f, "expected an air-gap frame, but found what looks like {foreign}")
            }
            Self::Prefix { matched_bytes } => write!(
                f,
                "frame: expected the 63 bytes of the E-language prefix, but found others after {matched_bytes}"
            ),
            Self::Suffix { matched_bytes } => write!(
                f,
                "frame: expected the 15 bytes of the E-language suffix, but found others after {matched_bytes}"
            ),
            Self::TooLarge { payload_bytes, max_payload_bytes } => write!(
                f,
                "frame: expected a payload of at most {max_payload_bytes} bytes, but found {payload_bytes}"
            ),
            Self::TooShort { length } => write!(
                f,
                "frame: expected a length of at least {}, but found {length}",
                super::CHECKSUM_BYTES.saturating_add(PAYLOAD_BYTES_MIN)
            ),
            Self::UnequalLengths { first, second } => write!(
                f,
                "frame: expected the same length twice, but found {first} and then {second} \
                 (is the position in the stream lost, or is this another protocol?)"
            ),
        }
    }
}

impl core::error::Error for FrameError {}

/// A protocol that is known by its first bytes, for the log line that names the likely cause.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Foreign {
    /// An HTTP request (or HTTP/2, or a WebSocket, which begins as one).
    Http,
    /// The header with which load balancers announce a client's address.
    ProxyProtocol,
    /// Remote desktop.
    Rdp,
    /// SSH.
    Ssh,
    /// Printable text of some other kind.
    Text,
    /// Thrift RPC: an IoTDB client, or a pipe with the thrift connector.
    Thrift,
    /// A TLS client hello.
    Tls,
}

impl Foreign {
    /// What the first bytes of a connection look like, if they are known and no frame.
    pub(super) fn detect(first: &[u8; 8]) -> Option<Self> {
        const HTTP: [&[u8]; 10] = [
            b"GET ",
            b"POST ",
            b"PUT ",
            b"HEAD ",
            b"DELETE ",
            b"OPTIONS ",
            b"PATCH ",
            b"CONNECT ",
            b"TRACE ",
            b"PRI * ",
        ];
        // Framed: four bytes of length, then version 1 of the binary or compact protocol.
        let framed =
            matches!(first, [_, _, _, _, 0x80, 0x01, _, _] | [_, _, _, _, 0x82, 0x21 | 0x41, ..]);
        match first {
            [0x16, 0x03, 0..=4, ..] => Some(Self::Tls),
            [0x03, 0x00, 0x00, _, _, 0xe0, ..] => Some(Self::Rdp),
            [b'S', b'S', b'H', b'-', ..] => Some(Self::Ssh),
            b"PROXY TC" | b"PROXY UN" | b"\r\n\r\n\0\r\nQ" => Some(Self::ProxyProtocol),
            [0x80, 0x01, 0x00, 1..=4, ..] | [0x82, 0x21 | 0x41, ..] => Some(Self::Thrift),
            _ if framed => Some(Self::Thrift),
            _ if HTTP.iter().any(|method| first.starts_with(method)) => Some(Self::Http),
            _ if first.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t')) => {
                Some(Self::Text)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "an HTTP request (a browser, a health check or a port scan?)",
            Self::ProxyProtocol => "a PROXY protocol header (a load balancer in front?)",
            Self::Rdp => "remote desktop (a port scan?)",
            Self::Ssh => "SSH (a port scan, or the wrong port?)",
            Self::Text => "text (a port scan, or the wrong port?)",
            Self::Thrift => {
                "thrift (an IoTDB client, or a pipe with a thrift connector on the air-gap port?)"
            }
            Self::Tls => "TLS (the air gap has none; is it terminated before this port?)",
        })
    }
}
