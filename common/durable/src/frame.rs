//! The bytes that journal and spool segments share: file header (two copies) and record frame.
//!
//! Integers are little-endian. A frame's header has a check sum of its own, mixed with the file's
//! salt: a length can be trusted although the body is damaged, and a request that carries the image
//! of a frame is never taken for one when readers look for the next frame behind damage.

use std::io;

use crate::StorageFile;
use crate::bytes::array_at;
use crate::bytes::u16_at;
use crate::bytes::u32_at;
use crate::bytes::u64_at;

pub(crate) const FORMAT_VERSION: u16 = 1;
/// One copy of a file header: one sector, so that a sector lost is not the file lost.
pub(crate) const HEADER_COPY_BYTES: usize = 512;
/// Where the first frame starts.
pub(crate) const FILE_HEADER_BYTES: u64 = 2 * HEADER_COPY_BYTES as u64;
pub(crate) const FRAME_HEADER_BYTES: usize = 32;
/// No frame is larger, whatever options say: lengths stay far from any integer's edge.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 30;
/// No number is higher, so adding to one never overflows. At a million records a second it lasts
/// 146 thousand years.
pub(crate) const SEQ_MAX: u64 = u64::MAX / 4;
pub(crate) const FRAME_MAGIC: [u8; 4] = *b"TgRc";

const HEADER_CRC_AT: usize = HEADER_COPY_BYTES - 4;
const FRAME_CRC_AT: usize = FRAME_HEADER_BYTES - 4;

const _: () = assert!(FILE_HEADER_BYTES == 1024);
const _: () = assert!(FRAME_CRC_AT == 28);

/// What a file of frames is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FileKind {
    Journal,
    Segment,
}

impl FileKind {
    fn magic(self) -> &'static [u8; 8] {
        match self {
            Self::Journal => b"TDGJRNL\n",
            Self::Segment => b"TDGSPOL\n",
        }
    }
}

/// The head of a file of frames.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct FileHeader {
    pub(crate) kind: FileKind,
    pub(crate) salt: u32,
    /// The number of the first frame.
    pub(crate) first_seq: u64,
    /// The first number of the segment before this one; 0 when there was none.
    pub(crate) previous_first_seq: u64,
}

/// What stands at the head of a file.
#[derive(Debug)]
pub(crate) enum FoundHeader {
    Damaged,
    Intact { header: FileHeader, damaged_copies: u8 },
    Newer { version: u16 },
}

impl FileHeader {
    /// Both copies.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut copy = Vec::with_capacity(2 * HEADER_COPY_BYTES);
        copy.extend_from_slice(self.kind.magic());
        copy.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        copy.extend_from_slice(&[0; 2]);
        copy.extend_from_slice(&self.salt.to_le_bytes());
        copy.extend_from_slice(&self.first_seq.to_le_bytes());
        copy.extend_from_slice(&self.previous_first_seq.to_le_bytes());
        copy.resize(HEADER_CRC_AT, 0);
        copy.extend_from_slice(&crc32fast::hash(&copy).to_le_bytes());
        copy.extend_from_within(..);
        assert_eq!(copy.len() as u64, FILE_HEADER_BYTES, "a file header has a fixed size");
        copy
    }

    /// Reads the head of `file`.
    pub(crate) fn read(file: &impl StorageFile, kind: FileKind) -> io::Result<FoundHeader> {
        let mut bytes = [0; FILE_HEADER_BYTES as usize];
        let found_bytes = file.read_full(&mut bytes, 0)?;
        let mut intact = None;
        let mut damaged_copies = 0;
        for copy in bytes.chunks(HEADER_COPY_BYTES) {
            match Self::decode_copy(copy, kind) {
                Some(Ok(header)) => intact = Some(header),
                Some(Err(version)) => return Ok(FoundHeader::Newer { version }),
                None => damaged_copies += 1,
            }
        }
        if found_bytes < bytes.len() {
            damaged_copies = damaged_copies.max(1);
        }
        Ok(intact
            .map_or(FoundHeader::Damaged, |header| FoundHeader::Intact { header, damaged_copies }))
    }

    fn decode_copy(copy: &[u8], kind: FileKind) -> Option<Result<Self, u16>> {
        let crc = u32_at(copy, HEADER_CRC_AT)?;
        if crc != crc32fast::hash(copy.get(..HEADER_CRC_AT)?) || array_at(copy, 0)? != *kind.magic()
        {
            return None;
        }
        let version = u16_at(copy, 8)?;
        if version > FORMAT_VERSION {
            return Some(Err(version));
        }
        let first_seq = u64_at(copy, 16).filter(|first| (1..=SEQ_MAX).contains(first))?;
        let previous_first_seq = u64_at(copy, 24)?;
        Some(Ok(Self { kind, salt: u32_at(copy, 12)?, first_seq, previous_first_seq }))
    }
}

/// The head of one frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct FrameHeader {
    pub(crate) body_bytes: usize,
    pub(crate) seq: u64,
    /// The highest number known to be durable when this frame was made. It tells damage from a torn
    /// tail: what a later frame calls synced was not torn by a power cut.
    pub(crate) synced_seq: u64,
    pub(crate) body_crc: u32,
}

impl FrameHeader {
    pub(crate) fn encode(&self, salt: u32) -> [u8; FRAME_HEADER_BYTES] {
        assert!(self.body_bytes <= BODY_BYTES_MAX, "frames are capped before they are made");
        assert!(self.synced_seq < self.seq, "a frame is not synced before it is written");
        let mut bytes = [0; FRAME_HEADER_BYTES];
        bytes[..4].copy_from_slice(&FRAME_MAGIC);
        bytes[4..8].copy_from_slice(&(self.body_bytes as u32).to_le_bytes());
        bytes[8..16].copy_from_slice(&self.seq.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.synced_seq.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.body_crc.to_le_bytes());
        let crc = salted_crc(salt, &bytes[..FRAME_CRC_AT]);
        bytes[FRAME_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` unless magic, check sum and cap hold.
    pub(crate) fn decode(bytes: &[u8], salt: u32) -> Option<Self> {
        let bytes: &[u8; FRAME_HEADER_BYTES] = bytes.try_into().ok()?;
        if !bytes.starts_with(&FRAME_MAGIC)
            || u32_at(bytes, FRAME_CRC_AT)? != salted_crc(salt, bytes.get(..FRAME_CRC_AT)?)
        {
            return None;
        }
        let body_bytes = usize::try_from(u32_at(bytes, 4)?).ok()?;
        let header = Self {
            body_bytes,
            seq: u64_at(bytes, 8)?,
            synced_seq: u64_at(bytes, 16)?,
            body_crc: u32_at(bytes, 24)?,
        };
        let sane =
            body_bytes <= BODY_BYTES_MAX && header.synced_seq < header.seq && header.seq <= SEQ_MAX;
        sane.then_some(header)
    }

    /// Header and body together.
    pub(crate) fn frame_bytes(&self) -> u64 {
        FRAME_HEADER_BYTES as u64 + self.body_bytes as u64
    }
}

/// Appends one frame around the body that `body` appends to `buffer`.
pub(crate) fn append_frame(
    buffer: &mut Vec<u8>,
    salt: u32,
    seq: u64,
    synced_seq: u64,
    body: impl FnOnce(&mut Vec<u8>),
) {
    let start = buffer.len();
    buffer.resize(start + FRAME_HEADER_BYTES, 0);
    body(buffer);
    let body_bytes = &buffer[start + FRAME_HEADER_BYTES..];
    let header = FrameHeader {
        body_bytes: body_bytes.len(),
        seq,
        synced_seq,
        body_crc: crc32fast::hash(body_bytes),
    };
    buffer[start..start + FRAME_HEADER_BYTES].copy_from_slice(&header.encode(salt));
}

/// Whether `buffer` is a run of whole frames numbered from `first_seq`: how many.
///
/// The other half of the pair of checks: sums are taken when a frame is made and compared once more
/// just before the bytes leave, so that memory gone bad in between does not become an intact record.
pub(crate) fn count_whole_frames(buffer: &[u8], salt: u32, first_seq: u64) -> Option<u64> {
    let mut rest = buffer;
    let mut count = 0_u64;
    while !rest.is_empty() {
        let (head, behind) = rest.split_at_checked(FRAME_HEADER_BYTES)?;
        let header = FrameHeader::decode(head, salt)?;
        let (body, behind) = behind.split_at_checked(header.body_bytes)?;
        if header.seq != first_seq.checked_add(count)? || crc32fast::hash(body) != header.body_crc {
            return None;
        }
        count += 1;
        rest = behind;
    }
    Some(count)
}

fn salted_crc(salt: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}
