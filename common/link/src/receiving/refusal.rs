//! Why a frame is answered with `0xff`, and the rule for file names from outside.

use core::fmt;

/// Why a frame was refused. The peer sees one byte; log, status and gap records see this.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// The body does not parse.
    Body {
        /// Type code on the wire.
        type_code: i16,
        /// What was wrong with it.
        fault: String,
    },
    /// The edge or the target refused it for good.
    ByTarget {
        /// The name of the item, if it has one.
        item: String,
        /// Why.
        reason: String,
    },
    /// The frame itself is damaged; the connection closes.
    Damaged(String),
    /// A file name that must not reach a file system.
    FileName {
        /// The name, escaped and shortened.
        name: String,
        /// What is wrong with it.
        fault: NameFault,
    },
    /// A handshake that was not accepted.
    Handshake(HandshakeFault),
    /// Anything but a handshake before one.
    HandshakeFirst,
    /// The request ends before it says what it is.
    Incomplete,
    /// Compressed or sliced requests within such requests.
    Layers,
    /// Larger than requests of its type may be; the connection closes.
    Oversized {
        /// Type code on the wire.
        type_code: i16,
        /// Its length.
        found_bytes: u32,
        /// The cap.
        cap_bytes: u32,
    },
    /// A seal over bytes that did not arrive.
    Seal {
        /// The file.
        name: String,
        /// What is wrong.
        fault: SealFault,
    },
    /// A slice that does not continue its request.
    Slice(&'static str),
    /// A request type nobody knows.
    UnknownType(i16),
    /// A request version nobody knows.
    UnknownVersion(i8),
    /// A piece that neither begins nor continues its file.
    WrongOffset {
        /// The file.
        name: String,
        /// The offset of the piece.
        found_bytes: i64,
        /// Where the file ends.
        expected_bytes: u64,
    },
}

impl Refusal {
    /// Whether the sender's item itself was refused, so that a sender which gives up leaves a gap.
    ///
    /// The others are about the connection or the transfer: the sender starts over and gets through.
    pub const fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Body { .. }
                | Self::ByTarget { .. }
                | Self::FileName { .. }
                | Self::Incomplete
                | Self::Layers
                | Self::Oversized { .. }
                | Self::UnknownType(_)
                | Self::UnknownVersion(_)
        )
    }

    /// The item it is about, for gap records.
    pub fn item(&self) -> String {
        match self {
            Self::ByTarget { item, .. } => item.clone(),
            Self::FileName { name, .. }
            | Self::Seal { name, .. }
            | Self::WrongOffset { name, .. } => name.clone(),
            Self::Body { type_code, .. } | Self::Oversized { type_code, .. } => {
                format!("request of type {type_code}")
            }
            Self::UnknownType(type_code) => format!("request of type {type_code}"),
            _ => String::from("request"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body { type_code, fault } => {
                write!(f, "cannot parse the body of a request of type {type_code}: {fault}")
            }
            Self::ByTarget { item, reason } => write!(f, "{item}: {reason}"),
            Self::Damaged(fault) => write!(f, "{fault}"),
            Self::FileName { name, fault } => write!(f, "file name {name}: {fault}"),
            Self::Handshake(fault) => write!(f, "handshake: {fault}"),
            Self::HandshakeFirst => f.write_str("request before a handshake"),
            Self::Incomplete => f.write_str("request ends within its head"),
            Self::Layers => f.write_str("compressed or sliced requests within such requests"),
            Self::Oversized { type_code, found_bytes, cap_bytes } => write!(
                f,
                "request of type {type_code} has {found_bytes} bytes, expected at most {cap_bytes}"
            ),
            Self::Seal { name, fault } => write!(f, "seal of {name}: {fault}"),
            Self::Slice(fault) => write!(f, "slice: {fault}"),
            Self::UnknownType(code) => write!(f, "unknown request type {code}"),
            Self::UnknownVersion(version) => {
                write!(f, "unknown request version {version}, expected 1")
            }
            Self::WrongOffset { name, found_bytes, expected_bytes } => {
                write!(f, "piece of {name} at offset {found_bytes}, expected 0 or {expected_bytes}")
            }
        }
    }
}

/// Why a handshake was not accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum HandshakeFault {
    /// No `clusterID`.
    ClusterIdMissing,
    /// Wrong user or password.
    Credentials {
        /// The user that was named.
        user: String,
    },
    /// `tidegate.epoch` is not a number.
    EpochMalformed(String),
    /// A younger epoch of the same stream has been seen: this is a late frame of a dead sender.
    EpochOld {
        /// The epoch of this handshake.
        found: u64,
        /// The youngest epoch seen.
        expected: u64,
    },
    /// The sender is this very receiver.
    OwnClusterId,
    /// Another precision than this origin's data has.
    PrecisionDiffers {
        /// The precision of this handshake.
        found: &'static str,
        /// The precision fixed by the origin's first handshake.
        expected: &'static str,
    },
    /// No `timestampPrecision`.
    PrecisionMissing,
    /// Not one of the three precisions.
    PrecisionUnknown(String),
    /// `tidegate.stream` is empty, too long, or would break a line.
    StreamMalformed(String),
    /// A new origin, where a receiver remembers as many as it can.
    TooManyOrigins {
        /// As many.
        most: usize,
    },
    /// A new stream of an origin of which as many are remembered as can be.
    TooManyStreams {
        /// As many.
        most: usize,
    },
    /// V1 handshakes are switched off.
    V1NotAccepted,
}

impl fmt::Display for HandshakeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClusterIdMissing => f.write_str("no clusterID"),
            Self::Credentials { user } => {
                write!(f, "wrong user or password for user {}", shown(user.as_bytes()))
            }
            Self::EpochMalformed(text) => {
                write!(f, "tidegate.epoch is {}, expected a number", shown(text.as_bytes()))
            }
            Self::EpochOld { found, expected } => write!(
                f,
                "epoch {found} of this stream is over, epoch {expected} has been seen: an earlier \
                 run of the sender, or one delivered late by the gateway"
            ),
            Self::OwnClusterId => {
                f.write_str("clusterID is this receiver's own: the sender points back at itself")
            }
            Self::PrecisionDiffers { found, expected } => write!(
                f,
                "time-stamp precision {found}, expected {expected} as in this origin's first \
                 handshake"
            ),
            Self::PrecisionMissing => f.write_str("no timestampPrecision"),
            Self::PrecisionUnknown(text) => {
                write!(f, "time-stamp precision {}, expected ms, us or ns", shown(text.as_bytes()))
            }
            Self::StreamMalformed(text) => write!(
                f,
                "tidegate.stream is {}, expected 1 to 255 bytes without control characters",
                shown(text.as_bytes())
            ),
            Self::TooManyOrigins { most } => write!(
                f,
                "a new origin, but this receiver knows {most} already and no more: it needs a \
                 receiver with a state directory of its own"
            ),
            Self::TooManyStreams { most } => write!(
                f,
                "a new stream, but this origin has {most} already and no more: use names of pipes \
                 again, or give the sender another name"
            ),
            Self::V1NotAccepted => {
                f.write_str("a V1 handshake, which receiver_accept_v1=false refuses")
            }
        }
    }
}

/// What is wrong with a file name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum NameFault {
    /// No name at all.
    Empty,
    /// Not one of the extensions that travel as TsFiles.
    Extension,
    /// It could lead out of its directory or break a line, or names nothing.
    Path,
    /// Longer than a file name may be.
    TooLong,
    /// Not UTF-8.
    Utf8,
}

impl fmt::Display for NameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty",
            Self::Extension => "expected an extension of .tsfile, .mods or .mods2",
            Self::Path => "contains a path separator, `..` or a control character",
            Self::TooLong => "longer than 255 bytes",
            Self::Utf8 => "not UTF-8",
        })
    }
}

/// What is wrong with a seal.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SealFault {
    /// Another length than the bytes that arrived.
    Length {
        /// The length the seal claims.
        claimed_bytes: i64,
        /// The bytes that arrived.
        arrived_bytes: u64,
    },
    /// The name of a database is too long.
    Database {
        /// Its length.
        found_bytes: usize,
        /// The longest.
        expected_bytes: usize,
    },
    /// The names do not make one item.
    Names,
    /// No piece of it arrived on this connection.
    NoPieces,
}

impl fmt::Display for SealFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { claimed_bytes, arrived_bytes } => {
                write!(f, "claims {claimed_bytes} bytes, {arrived_bytes} arrived")
            }
            Self::Database { found_bytes, expected_bytes } => {
                write!(
                    f,
                    "name of a database: expected at most {expected_bytes} bytes, found {found_bytes}"
                )
            }
            Self::Names => f.write_str("expected one .tsfile and at most its mods"),
            Self::NoPieces => f.write_str("no piece of it arrived on this connection"),
        }
    }
}

/// Longest file name, in bytes: what common file systems allow.
pub(super) const MAX_NAME_BYTES: usize = 255;

/// A bare file name that may reach a file system.
pub(super) fn check_name(name: &[u8]) -> Result<&str, Refusal> {
    let fault = |fault| Refusal::FileName { name: shown(name), fault };
    if name.is_empty() {
        return Err(fault(NameFault::Empty));
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(fault(NameFault::TooLong));
    }
    let text = str::from_utf8(name).map_err(|_| fault(NameFault::Utf8))?;
    // `..` is refused anywhere: names with it have no honest use and end up in other tools' paths
    let bad = |c: char| matches!(c, '/' | '\\') || c.is_control();
    if text.contains(bad) || text.contains("..") || text == "." {
        return Err(fault(NameFault::Path));
    }
    Ok(text)
}

/// A checked name of a TsFile or its mods.
pub(super) fn check_tsfile_name(name: &[u8]) -> Result<&str, Refusal> {
    let text = check_name(name)?;
    let known = [".tsfile", ".mods", ".mods2"];
    let stem = known.iter().find_map(|extension| text.strip_suffix(extension));
    match stem {
        Some(stem) if !stem.is_empty() => Ok(text),
        _ => Err(Refusal::FileName { name: shown(name), fault: NameFault::Extension }),
    }
}

/// Outside bytes, fit for one log line: escaped and shortened.
fn shown(bytes: &[u8]) -> String {
    const SHOWN_BYTES: usize = 80;
    let part = bytes.get(..SHOWN_BYTES).unwrap_or(bytes);
    let dots = if part.len() < bytes.len() { "..." } else { "" };
    format!("`{}{dots}`", part.escape_ascii())
}
