//! Pipe requests: what the payload of a frame says.
//!
//! A [`Request`] borrows everything from the payload. Lists are checked once when the request is
//! decoded and then read again element by element ([`Seq`]), so decoding takes no memory, however many
//! elements a peer claims. Everything is kept as it was sent (slack, map order, fillers of null cells,
//! sizes of bitmaps), so that encoding gives the same bytes.

mod file;
mod handshake;
mod kind;
mod seq;

use core::fmt;

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::TooLong;
use tidegate_codec::Writer;

pub use file::FilePiece;
pub use file::FileSeal;
pub use file::FileSealMany;
pub use file::SealKind;
pub use file::database_key;
pub use handshake::HandshakeV1;
pub use handshake::HandshakeV2;
pub use handshake::Node;
pub use handshake::keys;
pub use kind::RequestType;
pub use seq::Element;
pub use seq::Pair;
pub use seq::Seq;

/// Version and type.
pub const PAYLOAD_HEAD_BYTES: usize = 3;
/// The only version of pipe requests.
pub const VERSION: i8 = 1;

/// The first three bytes of a payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the version is always 1
pub struct PayloadHead {
    /// What follows.
    pub request_type: RequestType,
}

impl PayloadHead {
    /// Reads version and type.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, RequestError> {
        match reader.i8("version of the request")? {
            VERSION => (),
            found => return Err(RequestError::UnknownVersion(found)),
        }
        let code = reader.i16("type of the request")?;
        let request_type = RequestType::from_code(code).ok_or(RequestError::UnknownType(code))?;
        Ok(Self { request_type })
    }

    /// Writes version and type.
    pub fn encode(self, writer: &mut Writer<'_>) {
        writer.i8(VERSION);
        writer.i16(self.request_type.code());
    }
}

/// A whole payload: the request, and what a sender left behind it.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // a request and its rest
pub struct Payload<'a> {
    /// The request.
    pub request: Request<'a>,
    /// Bytes after the request: 1.x senders append the unused part of a growing buffer.
    pub slack: &'a [u8],
}

impl<'a> Payload<'a> {
    /// Reads a payload.
    pub fn decode(payload: &'a [u8]) -> Result<Self, RequestError> {
        let mut reader = Reader::new(payload);
        let head = PayloadHead::decode(&mut reader)?;
        let request = Request::decode(head.request_type, &mut reader)?;
        Ok(Self { request, slack: reader.take_rest() })
    }

    /// Appends the payload to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let mut writer = Writer::new(out);
        PayloadHead { request_type: self.request.request_type() }.encode(&mut writer);
        self.request.encode(&mut writer);
        writer.bytes(self.slack);
        writer.finish()
    }
}

impl<'a> From<Request<'a>> for Payload<'a> {
    fn from(request: Request<'a>) -> Self {
        Self { request, slack: &[] }
    }
}

/// A pipe request.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Request<'a> {
    /// 4, 8, 101, 201: part of a file.
    FilePiece(FilePiece<'a>),
    /// 5: the end of a TsFile that came alone.
    FileSeal(FileSeal<'a>),
    /// 9, 102, 202: the end of several files that belong together.
    FileSealMany(FileSealMany<'a>),
    /// 0, 1: first words of an old sender.
    HandshakeV1(HandshakeV1<'a>),
    /// 50, 51: first words of a sender from 1.3 on.
    HandshakeV2(HandshakeV2<'a>),
}

impl<'a> Request<'a> {
    /// Reads the body of a request of the given type.
    pub fn decode(
        request_type: RequestType,
        reader: &mut Reader<'a>,
    ) -> Result<Self, RequestError> {
        use RequestType as T;
        Ok(match request_type {
            T::HandshakeConfigNodeV1 => {
                Self::HandshakeV1(HandshakeV1::decode(Node::ConfigNode, reader)?)
            }
            T::HandshakeDataNodeV1 => {
                Self::HandshakeV1(HandshakeV1::decode(Node::DataNode, reader)?)
            }
            T::HandshakeConfigNodeV2 => {
                Self::HandshakeV2(HandshakeV2::decode(Node::ConfigNode, reader)?)
            }
            T::HandshakeDataNodeV2 => {
                Self::HandshakeV2(HandshakeV2::decode(Node::DataNode, reader)?)
            }
            T::TransferTsFileSeal => Self::FileSeal(FileSeal::decode(reader)?),
            other => {
                if let Some(kind) = crate::piece::PieceKind::of(other) {
                    Self::FilePiece(FilePiece::decode(kind, reader)?)
                } else if let Some(kind) = SealKind::of(other) {
                    Self::FileSealMany(FileSealMany::decode(kind, reader)?)
                } else {
                    return Err(RequestError::UnknownType(other.code()));
                }
            }
        })
    }

    /// Writes the body.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        match self {
            Self::FilePiece(it) => it.encode(writer),
            Self::FileSeal(it) => it.encode(writer),
            Self::FileSealMany(it) => it.encode(writer),
            Self::HandshakeV1(it) => it.encode(writer),
            Self::HandshakeV2(it) => it.encode(writer),
        }
    }

    /// The type on the wire.
    pub fn request_type(&self) -> RequestType {
        match self {
            Self::FilePiece(it) => it.kind.request_type(),
            Self::FileSeal(_) => RequestType::TransferTsFileSeal,
            Self::FileSealMany(it) => it.kind.request_type(),
            Self::HandshakeV1(it) => it.request_type(),
            Self::HandshakeV2(it) => it.request_type(),
        }
    }
}

/// Reasons why a payload with a right checksum is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RequestError {
    /// The body is not of the form that its type says.
    Codec(Error),
    /// A type that this version does not know.
    UnknownType(i16),
    /// A version other than 1.
    UnknownVersion(i8),
}

impl From<Error> for RequestError {
    fn from(error: Error) -> Self {
        Self::Codec(error)
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Codec(error) => write!(f, "request: {error}"),
            Self::UnknownType(found) => {
                write!(f, "request: expected a known type, but found {found}")
            }
            Self::UnknownVersion(found) => {
                write!(f, "request: expected version {VERSION}, but found {found}")
            }
        }
    }
}

impl core::error::Error for RequestError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Codec(error) => Some(error),
            _ => None,
        }
    }
}

/// Names, paths, keys and other short texts.
pub(crate) const TEXT_BYTES_MAX: usize = 1 << 20;
