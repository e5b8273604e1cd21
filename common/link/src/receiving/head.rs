//! Reads the head of a payload while it arrives: what it is, and for a piece, where its bytes go.
//!
//! A piece of 64 MiB must reach the disk without ever standing in memory, so its head is complete
//! before its bytes are looked at, and no head is longer than [`MAX_HEAD_BYTES`].

use tidegate_wire::PieceHead;
use tidegate_wire::RequestType;
use tidegate_wire::piece::PieceKind;

use super::refusal::MAX_NAME_BYTES;
use super::refusal::NameFault;
use super::refusal::Refusal;
use super::refusal::check_name;
use super::refusal::check_tsfile_name;

/// Version, type, name with its length, offset, length of the bytes.
pub(super) const MAX_HEAD_BYTES: usize = NAME_START_BYTES + MAX_NAME_BYTES + TAIL_BYTES;

/// Version and type.
pub(super) const TYPE_BYTES: usize = 3;
/// Version, type and length of the name.
const NAME_START_BYTES: usize = TYPE_BYTES + 4;
/// Offset and length of the bytes.
const TAIL_BYTES: usize = 8 + 4;
/// The only request version there is.
const VERSION: u8 = 1;

/// What the first bytes of a payload say.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Head {
    /// This many bytes more are needed to tell.
    NeedMore(usize),
    /// Not a piece; to be gathered whole.
    Other {
        /// Its type code.
        type_code: i16,
    },
    /// A piece; its bytes follow, up to the end of the payload.
    Piece(Piece),
}

/// The head of a piece whose name may reach a file system.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Piece {
    pub(super) kind: PieceKind,
    pub(super) name: String,
    pub(super) offset: i64,
    pub(super) length_bytes: u64,
}

/// Parses `head`, the first bytes of a payload of `payload_bytes`.
pub(super) fn parse(head: &[u8], payload_bytes: u32) -> Result<Head, Refusal> {
    let Some((&[version, high, low], rest)) = head.split_first_chunk() else {
        return Ok(Head::NeedMore(TYPE_BYTES.saturating_sub(head.len())));
    };
    let type_code = i16::from_be_bytes([high, low]);
    if version != VERSION {
        return Err(Refusal::UnknownVersion(i8::from_be_bytes([version])));
    }
    if RequestType::from_code(type_code).and_then(PieceKind::of).is_none() {
        return Ok(Head::Other { type_code });
    }
    let needed = match rest.first_chunk().map(|length| i32::from_be_bytes(*length)) {
        None => NAME_START_BYTES,
        Some(length) => NAME_START_BYTES + name_length(length, type_code)? + TAIL_BYTES,
    };
    if u32::try_from(needed).is_ok_and(|needed| needed > payload_bytes) {
        let fault = format!("expected a head of {needed} bytes, found {payload_bytes}");
        return Err(Refusal::Body { type_code, fault });
    }
    if head.len() < needed {
        return Ok(Head::NeedMore(needed.saturating_sub(head.len())));
    }
    piece(head, type_code, payload_bytes).map(Head::Piece)
}

/// Reads the complete head of a piece.
fn piece(head: &[u8], type_code: i16, payload_bytes: u32) -> Result<Piece, Refusal> {
    let body = |fault| Refusal::Body { type_code, fault };
    let (piece, _) = PieceHead::decode(head)
        .map_err(|error| body(error.to_string()))?
        .ok_or_else(|| body(String::from("incomplete head")))?;
    let name = piece.file_name.as_bytes();
    let name = match piece.kind {
        PieceKind::TsFile | PieceKind::TsFileWithMods => check_tsfile_name(name)?,
        _ => check_name(name)?,
    };
    check_fills(&piece, payload_bytes)?;
    Ok(Piece {
        kind: piece.kind,
        name: name.to_owned(),
        offset: piece.offset,
        length_bytes: u64::from(piece.data_bytes),
    })
}

fn name_length(length: i32, type_code: i16) -> Result<usize, Refusal> {
    let bytes = usize::try_from(length).map_err(|_| Refusal::Body {
        type_code,
        fault: format!("length of the file name is {length}"),
    })?;
    if bytes > MAX_NAME_BYTES {
        let name = format!("of {bytes} bytes");
        return Err(Refusal::FileName { name, fault: NameFault::TooLong });
    }
    Ok(bytes)
}

fn check_fills(piece: &PieceHead<'_>, payload_bytes: u32) -> Result<(), Refusal> {
    if piece.fills(payload_bytes) {
        return Ok(());
    }
    let (type_code, expected) = (piece.kind.request_type().code(), piece.payload_bytes());
    let fault = format!("expected a piece of {expected} bytes in all, found {payload_bytes}");
    Err(Refusal::Body { type_code, fault })
}
