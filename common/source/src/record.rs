//! What the cursor journal holds: identities of what has left.
//!
//! The journal gives each record a kind byte and a checksum; the bodies are laid out here. Kinds
//! 0x10 and above are left for positions in write-ahead logs.

use core::fmt;

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::Writer;
use tidegate_tsfile::ModsKind;

use crate::gap::decode_name;
use crate::gap::decode_place;
use crate::gap::encode_name;
use crate::gap::encode_place;
use crate::identity::FileIdentity;
use crate::identity::Place;
use crate::identity::TsFileName;
use crate::item::ModsSeen;

/// A line of the cursor journal.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Record {
    /// A file was acknowledged.
    Sent(Sent),
    /// Deletions up to this length, written after their file had left, have been accounted for.
    ModsSettled {
        /// The file they belong to.
        identity: FileIdentity,
        /// Bytes of the mods file that are settled.
        mods: ModsSeen,
    },
}

/// A file that was acknowledged.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Sent {
    /// Where it lay.
    pub place: Place,
    /// Its name there at that time.
    pub name: TsFileName,
    /// What it is recognised by.
    pub identity: FileIdentity,
    /// Position in the region's stream.
    pub sequence: u64,
    /// Deletions that are settled: carried along, or recorded as a gap.
    pub mods: Option<ModsSeen>,
}

/// Kind byte of [`Record::Sent`].
const KIND_SENT: u8 = 1;
/// Kind byte of [`Record::ModsSettled`].
const KIND_MODS_SETTLED: u8 = 2;
/// Form of the bodies below; a journal of a later form is refused, not guessed at.
const FORM: u8 = 1;

impl Record {
    /// Kind byte and body for the journal.
    pub fn encode(&self) -> (u8, Vec<u8>) {
        let mut body = Vec::new();
        let mut out = Writer::new(&mut body);
        out.u8(FORM);
        let kind = match self {
            Self::Sent(sent) => {
                encode_place(&sent.place, &mut out);
                encode_name(&sent.name, &mut out);
                sent.identity.encode(&mut out);
                out.i64(sent.sequence.cast_signed());
                encode_mods(sent.mods, &mut out);
                KIND_SENT
            }
            Self::ModsSettled { identity, mods } => {
                identity.encode(&mut out);
                encode_mods(Some(*mods), &mut out);
                KIND_MODS_SETTLED
            }
        };
        (kind, body)
    }

    /// Reads back what [`Record::encode`] wrote.
    pub fn decode(kind: u8, body: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(body);
        let form = reader.u8("kind")?;
        if form != FORM {
            return Err(RecordError::Form(form));
        }
        let record = match kind {
            KIND_SENT => Self::Sent(Sent {
                place: decode_place(&mut reader)?,
                name: decode_name(&mut reader)?,
                identity: FileIdentity::decode(&mut reader)?,
                sequence: reader.i64("number")?.cast_unsigned(),
                mods: decode_mods(&mut reader)?,
            }),
            KIND_MODS_SETTLED => {
                let identity = FileIdentity::decode(&mut reader)?;
                let mods = decode_mods(&mut reader)?.ok_or(RecordError::NoMods)?;
                Self::ModsSettled { identity, mods }
            }
            other => return Err(RecordError::Kind(other)),
        };
        match reader.remaining() {
            0 => Ok(record),
            n_bytes => Err(RecordError::Surplus(n_bytes)),
        }
    }
}

/// Why a journal record could not be read back.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RecordError {
    /// A field is cut short or out of range.
    Field(Error),
    /// Written by a later version.
    Form(u8),
    /// No such kind of record.
    Kind(u8),
    /// A settled-mods record that names no mods.
    NoMods,
    /// No such space.
    Space(u8),
    /// Bytes behind the last field.
    Surplus(usize),
}

impl From<Error> for RecordError {
    fn from(error: Error) -> Self {
        Self::Field(error)
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(error) => write!(f, "cursor record: {error}"),
            Self::Form(form) => write!(
                f,
                "cursor record: expected form {FORM}, but found {form}: written by a later version"
            ),
            Self::Kind(kind) => write!(f, "cursor record: expected kind 1 or 2, but found {kind}"),
            Self::NoMods => f.write_str("cursor record: settled deletions without a length"),
            Self::Space(space) => {
                write!(f, "cursor record: expected space 0 or 1, but found {space}")
            }
            Self::Surplus(n_bytes) => write!(f, "cursor record: {n_bytes} bytes too many"),
        }
    }
}

impl std::error::Error for RecordError {}

fn encode_mods(mods: Option<ModsSeen>, out: &mut Writer<'_>) {
    match mods {
        None => out.u8(0),
        Some(mods) => {
            out.u8(match mods.kind {
                ModsKind::Text => 1,
                ModsKind::Binary => 2,
            });
            out.i64(mods.length_bytes.cast_signed());
        }
    }
}

fn decode_mods(reader: &mut Reader<'_>) -> Result<Option<ModsSeen>, RecordError> {
    let kind = match reader.u8("kind")? {
        0 => return Ok(None),
        1 => ModsKind::Text,
        2 => ModsKind::Binary,
        other => return Err(RecordError::Kind(other)),
    };
    Ok(Some(ModsSeen { kind, length_bytes: reader.i64("number")?.cast_unsigned() }))
}
