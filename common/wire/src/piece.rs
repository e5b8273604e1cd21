//! File pieces without copying their data: the head of the payload, alone.
//!
//! The sender writes `[frame and payload head] [data] [suffix]` in one gathered write; the receiver
//! reads the head from the first bytes of a payload and streams the rest to disk.

use core::fmt;

use crc32fast::Hasher;
use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::Writer;

use crate::frame;
use crate::frame::PayloadTooLarge;
use crate::frame::Wrap;
use crate::request::PAYLOAD_HEAD_BYTES;
use crate::request::PayloadHead;
use crate::request::RequestError;
use crate::request::RequestType;

/// File names longer than this are refused before they are held (no file system has such names).
pub const FILE_NAME_BYTES_MAX: usize = 4096;
/// What must be buffered of a payload, at most, to read its [`PieceHead`].
pub const PIECE_HEAD_BYTES_MAX: usize = PIECE_FIXED_BYTES + FILE_NAME_BYTES_MAX;

/// Version, type, name length, offset, data length.
const PIECE_FIXED_BYTES: usize = PAYLOAD_HEAD_BYTES + 4 + 8 + 4;

/// Everything of a file piece but its data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the wire has these fields
pub struct PieceHead<'a> {
    /// Which of the four pieces.
    pub kind: PieceKind,
    /// Bare name of the file, as sent: not yet safe as a path.
    pub file_name: &'a str,
    /// Where in the file the data belongs.
    pub offset: i64,
    /// Length of the data that follows.
    pub data_bytes: u32,
}

impl<'a> PieceHead<'a> {
    /// Reads a head from the first bytes of a payload, and how many bytes it took.
    ///
    /// `Ok(None)` means that more bytes are needed, at most [`PIECE_HEAD_BYTES_MAX`] in all. A payload
    /// of another type is an error of kind [`RequestError::Codec`]: ask [`PayloadHead`] first.
    pub fn decode(payload_start: &'a [u8]) -> Result<Option<(Self, usize)>, RequestError> {
        match Self::read(payload_start) {
            Ok(found) => Ok(Some(found)),
            // The name's length is checked against its cap before against the end, so a wait is short.
            Err(RequestError::Codec(Error::UnexpectedEnd { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a payload of this many bytes ends with the data.
    pub fn fills(&self, payload_bytes: u32) -> bool {
        self.payload_bytes() == u64::from(payload_bytes)
    }

    /// Length of the payload, data included.
    pub fn payload_bytes(&self) -> u64 {
        (PIECE_FIXED_BYTES as u64)
            .saturating_add(self.file_name.len() as u64)
            .saturating_add(u64::from(self.data_bytes))
    }

    /// Appends everything that goes before the data: wrap, frame header and payload head.
    ///
    /// After it the caller writes the data, whose CRC-32 is given, and [`Wrap::suffix`].
    pub fn encode_frame_start(
        &self,
        data_crc32: u32,
        wrap: Wrap,
        out: &mut Vec<u8>,
    ) -> Result<(), PayloadTooLarge> {
        let payload_bytes = frame::check_payload_bytes(self.payload_bytes())?;
        let mut head = Vec::with_capacity(PIECE_FIXED_BYTES.saturating_add(self.file_name.len()));
        self.encode(&mut Writer::new(&mut head));
        let mut crc = Hasher::new();
        crc.update(&head);
        crc.combine(&Hasher::new_with_initial_len(data_crc32, u64::from(self.data_bytes)));
        out.extend_from_slice(wrap.prefix());
        out.extend_from_slice(&frame::encode_header(crc.finalize(), payload_bytes));
        out.extend_from_slice(&head);
        Ok(())
    }

    /// Writes the payload up to the data.
    fn encode(&self, writer: &mut Writer<'_>) {
        PayloadHead { request_type: self.kind.request_type() }.encode(writer);
        writer.str(self.file_name);
        writer.i64(self.offset);
        writer.i32(self.data_bytes.cast_signed());
    }

    fn read(payload_start: &'a [u8]) -> Result<(Self, usize), RequestError> {
        let mut reader = Reader::new(payload_start);
        let head = PayloadHead::decode(&mut reader)?;
        let kind = PieceKind::of(head.request_type).ok_or_else(|| Error::Value {
            offset: 1,
            expected: "the type of a file piece",
            found: i64::from(head.request_type.code()),
        })?;
        // Length and name apart: a name that is still on its way must not hide a length over the cap.
        let offset = reader.position();
        let length = reader.i32("length of the file name")?;
        let what = "file name";
        let length = usize::try_from(length)
            .ok()
            .filter(|n| *n <= FILE_NAME_BYTES_MAX)
            .ok_or_else(|| Error::Length {
                offset,
                what,
                found: i64::from(length),
                max: FILE_NAME_BYTES_MAX,
            })?;
        let at = reader.position();
        let name = reader.take(length, what)?;
        let file_name = core::str::from_utf8(name).map_err(|_| Error::Utf8 { offset: at, what })?;
        let file_offset = read_offset(&mut reader)?;
        let at = reader.position();
        let found = reader.i32("length of the piece")?;
        let data_bytes = u32::try_from(found).map_err(|_| Error::Length {
            offset: at,
            what: "piece",
            found: i64::from(found),
            max: i32::MAX as usize,
        })?;
        Ok((Self { kind, file_name, offset: file_offset, data_bytes }, reader.position()))
    }
}

fn read_offset(reader: &mut Reader<'_>) -> Result<i64, Error> {
    let at = reader.position();
    match reader.i64("offset in the file")? {
        found @ ..0 => Err(Error::Value { offset: at, expected: "an offset in the file", found }),
        offset => Ok(offset),
    }
}

/// Which kind of transfer a file piece belongs to.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum PieceKind {
    /// 201: part of a config region's snapshot.
    ConfigSnapshot,
    /// 101: part of a schema region's snapshot.
    SchemaSnapshot,
    /// 4: part of a TsFile that comes alone.
    TsFile,
    /// 8: part of a TsFile or of the mods file that comes with it.
    TsFileWithMods,
}

impl PieceKind {
    /// The piece that a type stands for, if any.
    pub fn of(request_type: RequestType) -> Option<Self> {
        match request_type {
            RequestType::TransferTsFilePiece => Some(Self::TsFile),
            RequestType::TransferTsFilePieceWithMod => Some(Self::TsFileWithMods),
            RequestType::TransferSchemaSnapshotPiece => Some(Self::SchemaSnapshot),
            RequestType::TransferConfigSnapshotPiece => Some(Self::ConfigSnapshot),
            _ => None,
        }
    }

    /// The type on the wire.
    pub fn request_type(self) -> RequestType {
        match self {
            Self::TsFile => RequestType::TransferTsFilePiece,
            Self::TsFileWithMods => RequestType::TransferTsFilePieceWithMod,
            Self::SchemaSnapshot => RequestType::TransferSchemaSnapshotPiece,
            Self::ConfigSnapshot => RequestType::TransferConfigSnapshotPiece,
        }
    }
}

impl fmt::Display for PieceHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file_name, offset, data_bytes, .. } = self;
        write!(f, "piece of {file_name:?} at {offset}, {data_bytes} bytes")
    }
}
