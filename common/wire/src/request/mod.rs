//! Pipe requests: what the payload of a frame says.
//!
//! A [`Request`] borrows everything from the payload. Lists are checked once when the request is
//! decoded and then read again element by element ([`Seq`]), so decoding takes no memory, however many
//! elements a peer claims. Everything is kept as it was sent (slack, map order, fillers of null cells,
//! sizes of bitmaps), so that encoding gives the same bytes.

mod batch;
mod column;
mod deletion;
mod file;
mod handshake;
mod insert;
mod kind;
mod nested;
mod plan;
mod seq;
mod summary;
mod tablet;

use core::fmt;

use tidegate_codec::CompressError;
use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::TooLong;
use tidegate_codec::Writer;

use batch::decode_tablets;

use crate::piece::PieceKind;

pub use batch::Batch;
pub use batch::BatchV2;
pub use batch::WithDatabase;
pub use column::Column;
pub use column::Schema;
pub use column::Times;
pub use column::ValueRef;
pub use column::Values;
pub use deletion::Deletion;
pub use deletion::DeletionTarget;
pub use deletion::Predicate;
pub use deletion::RelationalDelete;
pub use deletion::VarText;
pub use file::FilePiece;
pub use file::FileSeal;
pub use file::FileSealMany;
pub use file::SealKind;
pub use file::database_key;
pub use handshake::HandshakeV1;
pub use handshake::HandshakeV2;
pub use handshake::Node;
pub use handshake::keys;
pub use insert::Cell;
pub use insert::DataModel;
pub use insert::Form;
pub use insert::InsertPlan;
pub use insert::InsertRows;
pub use insert::Measurements;
pub use insert::Row;
pub use insert::TabletNode;
pub use insert::WalInsert;
pub use kind::RequestType;
pub use nested::Compressed;
pub use nested::Slice;
pub use nested::Stage;
pub use nested::encode_compressed;
pub use plan::DeleteData;
pub use plan::OpaquePlan;
pub use plan::Path;
pub use plan::PathKind;
pub use plan::PathSchema;
pub use plan::Plan;
pub use plan::VectorSchema;
pub use seq::Element;
pub use seq::Pair;
pub use seq::Seq;
pub use seq::SeqIter;
pub use summary::Summary;
pub use tablet::Bitmap;
pub use tablet::Tablet;
pub use tablet::TabletForm;
pub use tablet::TabletSchema;
pub use tablet::encode_tablet;
pub use tablet::encode_tablet_request;

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
    /// 6: several inserts.
    Batch(Batch<'a>),
    /// 13: several inserts, each with a database.
    BatchV2(BatchV2<'a>),
    /// 300: another request, compressed.
    Compressed(Compressed<'a>),
    /// 200: a plan of a ConfigNode, carried as it is.
    ConfigPlan(OpaquePlan<'a>),
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
    /// 2: an insert node as a plan.
    Insert(InsertPlan<'a>),
    /// 10: an insert node as a plan, with a database.
    InsertV2(WithDatabase<'a, InsertPlan<'a>>),
    /// 7: an insert node as an entry of the write-ahead log.
    LogEntry(WalInsert<'a>),
    /// 12: an insert node as an entry of the write-ahead log, with a database.
    LogEntryV2(WithDatabase<'a, WalInsert<'a>>),
    /// 100: a plan.
    Plan(Plan<'a>),
    /// 400: part of another request.
    Slice(Slice<'a>),
    /// 3: a raw tablet.
    Tablet(Tablet<'a>),
    /// 11: a raw tablet with a database.
    TabletV2(WithDatabase<'a, Tablet<'a>>),
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
            T::TransferTabletInsertNode => Self::Insert(Element::decode(reader, ())?),
            T::TransferTabletRaw => Self::Tablet(decode_tablets(reader, Element::decode)?),
            T::TransferTsFilePiece => Self::piece(PieceKind::TsFile, reader)?,
            T::TransferTsFileSeal => Self::FileSeal(FileSeal::decode(reader)?),
            T::TransferTabletBatch => Self::Batch(Batch::decode(reader)?),
            T::TransferTabletBinary => Self::LogEntry(WalInsert::decode_bare(reader)?),
            T::TransferTsFilePieceWithMod => Self::piece(PieceKind::TsFileWithMods, reader)?,
            T::TransferTsFileSealWithMod => Self::seal(SealKind::TsFileWithMods, reader)?,
            T::TransferTabletInsertNodeV2 => Self::InsertV2(Element::decode(reader, ())?),
            T::TransferTabletRawV2 => Self::TabletV2(decode_tablets(reader, Element::decode)?),
            T::TransferTabletBinaryV2 => Self::LogEntryV2(Element::decode(reader, ())?),
            T::TransferTabletBatchV2 => Self::BatchV2(BatchV2::decode(reader)?),
            T::TransferPlanNode => Self::Plan(Plan::decode(reader)?),
            T::TransferSchemaSnapshotPiece => Self::piece(PieceKind::SchemaSnapshot, reader)?,
            T::TransferSchemaSnapshotSeal => Self::seal(SealKind::SchemaSnapshot, reader)?,
            T::TransferConfigPlan => Self::ConfigPlan(OpaquePlan::decode(reader)?),
            T::TransferConfigSnapshotPiece => Self::piece(PieceKind::ConfigSnapshot, reader)?,
            T::TransferConfigSnapshotSeal => Self::seal(SealKind::ConfigSnapshot, reader)?,
            T::TransferCompressed => Self::Compressed(Compressed::decode(reader)?),
            T::TransferSlice => Self::Slice(Slice::decode(reader)?),
        })
    }

    /// Writes the body.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Batch(it) => it.encode(writer),
            Self::BatchV2(it) => it.encode(writer),
            Self::Compressed(it) => it.encode(writer),
            Self::ConfigPlan(it) => it.encode(writer),
            Self::FilePiece(it) => it.encode(writer),
            Self::FileSeal(it) => it.encode(writer),
            Self::FileSealMany(it) => it.encode(writer),
            Self::HandshakeV1(it) => it.encode(writer),
            Self::HandshakeV2(it) => it.encode(writer),
            Self::Insert(it) => it.encode(writer, ()),
            Self::InsertV2(it) => it.encode(writer, ()),
            Self::LogEntry(it) => it.encode_bare(writer),
            Self::LogEntryV2(it) => it.encode(writer, ()),
            Self::Plan(it) => it.encode(writer),
            Self::Slice(it) => it.encode(writer),
            Self::Tablet(it) => it.encode(writer, it.form),
            Self::TabletV2(it) => it.encode(writer, it.inner.form),
        }
    }

    /// The type on the wire.
    pub fn request_type(&self) -> RequestType {
        match self {
            Self::Batch(_) => RequestType::TransferTabletBatch,
            Self::BatchV2(_) => RequestType::TransferTabletBatchV2,
            Self::Compressed(_) => RequestType::TransferCompressed,
            Self::ConfigPlan(_) => RequestType::TransferConfigPlan,
            Self::FilePiece(it) => it.kind.request_type(),
            Self::FileSeal(_) => RequestType::TransferTsFileSeal,
            Self::FileSealMany(it) => it.kind.request_type(),
            Self::HandshakeV1(it) => it.request_type(),
            Self::HandshakeV2(it) => it.request_type(),
            Self::Insert(_) => RequestType::TransferTabletInsertNode,
            Self::InsertV2(_) => RequestType::TransferTabletInsertNodeV2,
            Self::LogEntry(_) => RequestType::TransferTabletBinary,
            Self::LogEntryV2(_) => RequestType::TransferTabletBinaryV2,
            Self::Plan(_) => RequestType::TransferPlanNode,
            Self::Slice(_) => RequestType::TransferSlice,
            Self::Tablet(_) => RequestType::TransferTabletRaw,
            Self::TabletV2(_) => RequestType::TransferTabletRawV2,
        }
    }

    /// The request in one short line.
    pub fn summary(&self) -> Summary<'_, 'a> {
        Summary(self)
    }

    fn piece(kind: PieceKind, reader: &mut Reader<'a>) -> Result<Self, RequestError> {
        Ok(Self::FilePiece(FilePiece::decode(kind, reader)?))
    }

    fn seal(kind: SealKind, reader: &mut Reader<'a>) -> Result<Self, RequestError> {
        Ok(Self::FileSealMany(FileSealMany::decode(kind, reader)?))
    }
}

/// Reasons why a payload with a right checksum is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RequestError {
    /// The body is not of the form that its type says.
    Codec(Error),
    /// What was compressed cannot be decompressed.
    Compress(CompressError),
    /// A request inside of another that may not hold it.
    Nested {
        /// Type of the inner one.
        inner: RequestType,
    },
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

impl From<CompressError> for RequestError {
    fn from(error: CompressError) -> Self {
        Self::Compress(error)
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Codec(error) => write!(f, "request: {error}"),
            Self::Compress(error) => write!(f, "request: {error}"),
            Self::Nested { inner } => {
                write!(f, "request: expected no further request inside of one, but found {inner}")
            }
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
            Self::Compress(error) => Some(error),
            _ => None,
        }
    }
}

/// Names, paths, keys and other short texts.
pub(crate) const TEXT_BYTES_MAX: usize = 1 << 20;
