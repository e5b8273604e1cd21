//! What a receiving session asks of its edge, and what the edge tells it back.
//!
//! Everything the session decides leaves as one [`Action`]; everything it has to wait for comes
//! back as one [`Outcome`] under the [`Token`] of the action that asked.

use core::fmt;
use core::time::Duration;
use std::borrow::Cow;

use tidegate_model::Dialect;
use tidegate_model::Precision;
use tidegate_wire::FrameError;

use super::origin::Origin;
use super::refusal::Refusal;

/// Ties an [`Outcome`] to the action that asked for it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Token(pub(super) u64);

impl Token {
    /// The number, for logs and for maps at the edge.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// One unfinished file of one connection; never used twice within it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FileId(pub(super) u64);

impl FileId {
    /// The file of a number that [`as_u64`](Self::as_u64) gave.
    pub const fn of(number: u64) -> Self {
        Self(number)
    }

    /// The number, for names and maps at the edge.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// What the edge must do, in the order given.
#[derive(Debug)]
#[non_exhaustive]
pub enum Action<'a> {
    /// A handshake passed every check that needs no memory of other connections. The edge compares
    /// precision and epoch with what it remembers, drops older connections of the same sender and
    /// stream, and only then reports the outcome.
    Handshake(Token, Hello),
    /// A new file begins, under a name fit for a file system.
    FileStart {
        /// The new file.
        file: FileId,
        /// Its bare, checked name.
        name: String,
    },
    /// Bytes of a file, before their checksum is known. They arrive in order and without holes.
    FileWrite {
        /// The file.
        file: FileId,
        /// Where the bytes belong.
        at_bytes: u64,
        /// The bytes.
        bytes: Cow<'a, [u8]>,
    },
    /// The file will not be sealed; what was kept of it is to be removed.
    FileDrop {
        /// The file.
        file: FileId,
    },
    /// A piece arrived whole and intact; the outcome says when its bytes have been taken.
    PieceEnd(Token, FileId),
    /// Commit these files. The session has let go of them, whatever the outcome.
    Seal(Token, Seal),
    /// Keep this request durably.
    Submit(Token, Submit),
    /// Write exactly this one byte.
    Reply(Answer),
    /// Close the connection; the session is finished, and so is every file not yet sealed.
    Close(Close),
}

impl Action<'_> {
    /// The same action, with bytes of its own.
    pub fn into_owned(self) -> Action<'static> {
        match self {
            Self::FileDrop { file } => Action::FileDrop { file },
            Self::FileStart { file, name } => Action::FileStart { file, name },
            Self::FileWrite { file, at_bytes, bytes } => {
                Action::FileWrite { file, at_bytes, bytes: Cow::Owned(bytes.into_owned()) }
            }
            Self::Handshake(token, hello) => Action::Handshake(token, hello),
            Self::PieceEnd(token, file) => Action::PieceEnd(token, file),
            Self::Seal(token, seal) => Action::Seal(token, seal),
            Self::Submit(token, submit) => Action::Submit(token, submit),
            Self::Reply(answer) => Action::Reply(answer),
            Self::Close(close) => Action::Close(close),
        }
    }
}

/// Who a connection says it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hello {
    /// Whose data follows.
    pub origin: Origin,
    /// `tidegate.stream`, if the peer is a Tidegate.
    pub stream: Option<String>,
    /// `tidegate.epoch`, if the peer is a Tidegate.
    pub epoch: Option<u64>,
    /// `tidegate.dialect`: the generation of requests that follow, if the peer is a Tidegate and says
    /// one that is known here.
    pub dialect: Option<Dialect>,
    /// Unit of every time stamp that follows.
    pub precision: Precision,
    /// Which handshake it was.
    pub form: HandshakeForm,
}

impl Hello {
    /// Whether this handshake ends another connection: an older one of the same stream, or one of
    /// any stream of the same pipe from before the pipe was set up anew, since regions may have
    /// changed lanes then.
    pub fn ends(&self, other: &Self) -> bool {
        let (Some(stream), Some(other_stream)) = (&self.stream, &other.stream) else {
            return false;
        };
        let is_older = match stream == other_stream {
            true => other.epoch <= self.epoch,
            false => pipe_of(stream) == pipe_of(other_stream) && other.epoch < self.epoch,
        };
        self.origin == other.origin && is_older
    }
}

/// The pipe of a stream: a Tidegate names its streams `pipe/lane`. What has no lane is its own pipe.
pub fn pipe_of(stream: &str) -> &str {
    stream.rsplit_once('/').map_or(stream, |(pipe, _)| pipe)
}

/// The two generations of handshakes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum HandshakeForm {
    /// Precision only: IoTDB 1.2, or a later one that was refused with V2.
    V1,
    /// A map of parameters: IoTDB 1.3 and later, and Tidegate.
    V2,
}

impl fmt::Display for HandshakeForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "V1",
            Self::V2 => "V2",
        })
    }
}

/// A request to be kept as it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Submit {
    /// What it asks for.
    pub kind: SubmitKind,
    /// Its type code on the wire.
    pub type_code: i16,
    /// Version, type and body, after any decompression and reassembly.
    pub request: Vec<u8>,
}

/// What a kept request asks for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum SubmitKind {
    /// Rows in any of the tablet forms.
    Tablet,
    /// A deletion of points.
    Delete,
    /// A schema plan other than a deletion.
    SchemaPlan,
    /// A plan of a ConfigNode.
    ConfigPlan,
}

impl SubmitKind {
    /// Whether a target will ever apply it; the others are kept and listed.
    pub const fn is_applied(self) -> bool {
        matches!(self, Self::Tablet | Self::Delete)
    }

    /// A word for logs and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tablet => "tablet",
            Self::Delete => "delete",
            Self::SchemaPlan => "schema-plan",
            Self::ConfigPlan => "config-plan",
        }
    }
}

/// Files to be committed together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seal {
    /// What the files are.
    pub kind: SealKind,
    /// The files in the order of the request; at least one.
    pub files: Vec<SealedFile>,
    /// The parameters of the request, such as `DATABASE_NAME_<file>`.
    pub parameters: Vec<(String, Option<String>)>,
    /// Version, type and body of the seal request.
    pub request: Vec<u8>,
}

/// One file of a seal; its length has been compared with the bytes that arrived.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SealedFile {
    /// The file.
    pub file: FileId,
    /// Its bare, checked name.
    pub name: String,
    /// Its length.
    pub length_bytes: u64,
}

/// What sealed files are.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SealKind {
    /// A TsFile, with or without its mods.
    TsFile,
    /// A snapshot of a schema region.
    SchemaSnapshot,
    /// A snapshot of a ConfigNode.
    ConfigSnapshot,
}

impl SealKind {
    /// A word for logs and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TsFile => "tsfile",
            Self::SchemaSnapshot => "schema-snapshot",
            Self::ConfigSnapshot => "config-snapshot",
        }
    }
}

/// The answer to a frame, with what the log wants to know.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// `0x00`.
    Ok(AnswerTo),
    /// `0xff`.
    Fail(AnswerTo, Refusal),
}

/// Which kind of frame an answer belongs to.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum AnswerTo {
    /// A handshake.
    Handshake,
    /// A piece of a file.
    Piece,
    /// A seal.
    Seal,
    /// A tablet, deletion or plan.
    Request,
    /// A slice that is not the last of its request.
    Slice,
    /// Something that could not be told.
    Unknown,
}

impl AnswerTo {
    /// A word for logs and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Piece => "piece",
            Self::Seal => "seal",
            Self::Request => "request",
            Self::Slice => "slice",
            Self::Unknown => "unknown",
        }
    }
}

/// What became of something the edge was asked to do.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// Done: answer `0x00`.
    Accepted,
    /// Refused for good: answer `0xff`.
    Refused(Refusal),
    /// Not now: answer nothing yet. A later outcome under the same token is still welcome; without
    /// one the connection is reset before the sender's own time limit.
    Temporary,
}

/// The end of a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Close {
    /// How to close.
    pub how: CloseHow,
    /// Why, in one log line.
    pub reason: CloseReason,
}

/// How to close a connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum CloseHow {
    /// Let the reply byte out, then end the connection in order.
    Finish,
    /// Abort it: an orderly end would read as a refusal at stock senders.
    Reset,
    /// Write nothing, just close.
    Silent,
}

/// Why a connection ends.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The stream of frames is damaged, or no such stream at all.
    Frame(FrameError),
    /// Nothing arrived for this long.
    Idle(Duration),
    /// No handshake was accepted for this long.
    NoHandshake(Duration),
    /// The frame is too large for what it is.
    Oversized(Refusal),
    /// The peer closed between two frames.
    PeerClosed,
    /// The peer closed within a frame or before its answer.
    PeerClosedEarly,
    /// The socket failed.
    SocketFailed,
    /// The answer was held back for this long because of temporary trouble.
    Withheld(Duration),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(error) => write!(f, "{error}"),
            Self::Idle(span) => write!(f, "nothing received for {} s", span.as_secs()),
            Self::NoHandshake(span) => write!(f, "no handshake within {} s", span.as_secs()),
            Self::Oversized(refusal) => write!(f, "{refusal}"),
            Self::PeerClosed => f.write_str("closed by the peer"),
            Self::PeerClosedEarly => f.write_str("closed by the peer in the middle of a request"),
            Self::SocketFailed => f.write_str("socket error"),
            Self::Withheld(span) => write!(
                f,
                "answer withheld for {} s because of temporary trouble, reset so that the sender \
                 tries again",
                span.as_secs()
            ),
        }
    }
}
