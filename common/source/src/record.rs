//! What the coverage ledger remembers, as records of its journal.
//!
//! Kind bytes from 0x10 on are reserved for positions in write-ahead logs.

use core::fmt;

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::Writer;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::ProgressIndex;

use crate::deletion::DeletionKey;
use crate::gap::decode_name;
use crate::gap::decode_place;
use crate::gap::decode_region;
use crate::gap::encode_name;
use crate::gap::encode_place;
use crate::gap::encode_region;
use crate::identity::FileIdentity;
use crate::identity::Place;
use crate::identity::RegionKey;
use crate::identity::TsFileName;
use crate::item::Form;
use crate::listing::ModsMark;
use crate::listing::ModsSeen;
use crate::listing::SourceMarks;

/// One record of the journal.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Record {
    /// A file was seen for the first time, with these deletions beside it.
    Seen(Known, Option<ModsMark>),
    /// A file was acknowledged.
    Sent(Sent),
    /// A compaction's target holds nothing that did not leave before.
    Covered(FileIdentity),
    /// Files that had left must leave once more, behind one that they overlap and win over.
    Requeued(Vec<FileIdentity>),
    /// A file is no longer there, and what had to follow from that is done.
    Gone(FileIdentity),
    /// Deletions beside a file that has left have been dealt with up to here.
    ModsSettled {
        /// The file they belong to.
        identity: FileIdentity,
        /// How far the mods file is settled.
        mods: ModsMark,
    },
    /// A deletion has left, by itself or beside a file of this region.
    DeletionDone {
        /// The region.
        region: RegionKey,
        /// The deletion.
        key: DeletionKey,
    },
    /// Every row of a region up to here has left.
    Watermark {
        /// The region.
        region: RegionKey,
        /// The source when this was found.
        marks: SourceMarks,
        /// Which rows.
        progress: Box<ProgressIndex>,
    },
    /// What stood in a partition when the pipe was created.
    Boundary(Boundary),
    /// The source, when it was last looked at.
    Marks(SourceMarks),
    /// The sequence number that was given last in a region.
    Sequence {
        /// The region.
        region: RegionKey,
        /// The number.
        last: u64,
        /// Whether something has ever left as a file.
        has_files: bool,
    },
    /// A file is no longer there, and no compaction took it in: it leaves from its pin.
    Orphaned(FileIdentity),
    /// The boundary of every partition that was there when the pipe was created is taken: a
    /// partition without one is younger. Files seen before this are history.
    BoundaryTaken,
    /// So is this one, though it is seen behind that only.
    InHistory(FileIdentity),
}

/// A file as it was seen.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what a listing says
pub struct Known {
    /// Where it lay.
    pub place: Place,
    /// Its name there.
    pub name: TsFileName,
    /// What it is recognised by.
    pub identity: FileIdentity,
}

/// A file that was acknowledged.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Sent {
    /// The file.
    pub file: Known,
    /// Position in the region's stream.
    pub sequence: u64,
    /// Deletions beside it that are dealt with.
    pub mods: Option<ModsMark>,
    /// CRC-32 of the whole file, if that is what left.
    pub crc32: u32,
    /// In what form it left.
    pub form: Form,
    /// Whether points of it could not be read.
    pub is_short: bool,
}

/// What divides history from what came since: the files of one partition at the creation of the
/// pipe. Those with a version up to `version_max` are history; the open ones among them straddle
/// the boundary and leave whole.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // as recorded
pub struct Boundary {
    /// The region.
    pub region: RegionKey,
    /// The partition.
    pub partition: i64,
    /// The highest version in a name.
    pub version_max: u64,
    /// How many files were sealed.
    pub n_sealed: u32,
    /// How many were open.
    pub n_open: u32,
}

const KIND_SEEN: u8 = 1;
const KIND_SENT: u8 = 2;
const KIND_COVERED: u8 = 3;
const KIND_REQUEUED: u8 = 4;
const KIND_GONE: u8 = 5;
const KIND_MODS_SETTLED: u8 = 6;
const KIND_DELETION_DONE: u8 = 7;
const KIND_WATERMARK: u8 = 8;
const KIND_BOUNDARY: u8 = 9;
const KIND_MARKS: u8 = 10;
const KIND_BOUNDARY_TAKEN: u8 = 11;
const KIND_SEQUENCE: u8 = 12;
const KIND_ORPHANED: u8 = 13;
const KIND_SENT_OTHERWISE: u8 = 14;
const KIND_IN_HISTORY: u8 = 15;
/// Form of the bodies below; a journal of a later form is refused, not guessed at.
const FORM: u8 = 1;

impl Record {
    /// Kind byte and body for the journal.
    pub fn encode(&self) -> (u8, Vec<u8>) {
        let mut body = vec![FORM];
        let mut out = Writer::new(&mut body);
        let kind = match self {
            Self::Seen(known, mods) => {
                known.encode(&mut out);
                encode_mods(*mods, &mut out);
                KIND_SEEN
            }
            Self::Sent(sent) => {
                // As before there were other forms.
                let kind = match sent.form {
                    Form::File => KIND_SENT,
                    form => {
                        out.u8(form_code(form) | if sent.is_short { SHORT } else { 0 });
                        KIND_SENT_OTHERWISE
                    }
                };
                sent.encode(&mut out);
                kind
            }
            Self::Covered(identity) => {
                identity.encode(&mut out);
                KIND_COVERED
            }
            Self::Requeued(files) => {
                out.i32(i32::try_from(files.len()).unwrap_or(i32::MAX));
                files.iter().for_each(|identity| identity.encode(&mut out));
                KIND_REQUEUED
            }
            Self::Gone(identity) => {
                identity.encode(&mut out);
                KIND_GONE
            }
            Self::ModsSettled { identity, mods } => {
                identity.encode(&mut out);
                encode_mods(Some(*mods), &mut out);
                KIND_MODS_SETTLED
            }
            Self::DeletionDone { region, key } => {
                encode_region(region, &mut out);
                out.bytes(&key.0.to_be_bytes());
                KIND_DELETION_DONE
            }
            Self::Watermark { region, marks, progress } => {
                encode_region(region, &mut out);
                encode_marks(*marks, &mut out);
                let mut bytes = Vec::new();
                // One that has grown beyond what can be written down proves nothing.
                if progress.encode(&mut bytes).is_err() {
                    bytes.clear();
                    let _ = ProgressIndex::minimum().encode(&mut bytes);
                }
                out.bytes(&bytes);
                KIND_WATERMARK
            }
            Self::Boundary(boundary) => {
                encode_region(&boundary.region, &mut out);
                out.i64(boundary.partition);
                out.i64(boundary.version_max.cast_signed());
                out.i32(boundary.n_sealed.cast_signed());
                out.i32(boundary.n_open.cast_signed());
                KIND_BOUNDARY
            }
            Self::Marks(marks) => {
                encode_marks(*marks, &mut out);
                KIND_MARKS
            }
            Self::BoundaryTaken => KIND_BOUNDARY_TAKEN,
            Self::Sequence { region, last, has_files } => {
                encode_region(region, &mut out);
                out.i64(last.cast_signed());
                out.bool(*has_files);
                KIND_SEQUENCE
            }
            Self::Orphaned(identity) => {
                identity.encode(&mut out);
                KIND_ORPHANED
            }
            Self::InHistory(identity) => {
                identity.encode(&mut out);
                KIND_IN_HISTORY
            }
        };
        (kind, body)
    }

    /// Reads back what [`Record::encode`] wrote.
    pub fn decode(kind: u8, body: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(body);
        let reader = &mut reader;
        let form = reader.u8("kind")?;
        if form != FORM {
            return Err(RecordError::Form(form));
        }
        let record = match kind {
            KIND_SEEN => Self::Seen(Known::decode(reader)?, decode_mods(reader)?),
            KIND_SENT => Self::Sent(Sent::decode(Form::File, false, reader)?),
            KIND_SENT_OTHERWISE => {
                let (form, is_short) = decode_form(reader)?;
                Self::Sent(Sent::decode(form, is_short, reader)?)
            }
            KIND_COVERED => Self::Covered(FileIdentity::decode(reader)?),
            KIND_REQUEUED => {
                let n_files = reader.count("number of files", 24)?;
                let files: Result<_, _> =
                    (0..n_files).map(|_| FileIdentity::decode(reader)).collect();
                Self::Requeued(files?)
            }
            KIND_GONE => Self::Gone(FileIdentity::decode(reader)?),
            KIND_MODS_SETTLED => {
                let identity = FileIdentity::decode(reader)?;
                let mods = decode_mods(reader)?.ok_or(RecordError::NoMods)?;
                Self::ModsSettled { identity, mods }
            }
            KIND_DELETION_DONE => {
                let region = decode_region(reader)?;
                let high = u128::from(reader.i64("key")?.cast_unsigned());
                let low = u128::from(reader.i64("key")?.cast_unsigned());
                Self::DeletionDone { region, key: DeletionKey(high << 64 | low) }
            }
            KIND_WATERMARK => Self::Watermark {
                region: decode_region(reader)?,
                marks: decode_marks(reader)?,
                progress: Box::new(ProgressIndex::decode(reader)?),
            },
            KIND_BOUNDARY => Self::Boundary(Boundary {
                region: decode_region(reader)?,
                partition: reader.i64("number")?,
                version_max: reader.i64("number")?.cast_unsigned(),
                n_sealed: reader.i32("number")?.cast_unsigned(),
                n_open: reader.i32("number")?.cast_unsigned(),
            }),
            KIND_MARKS => Self::Marks(decode_marks(reader)?),
            KIND_BOUNDARY_TAKEN => Self::BoundaryTaken,
            KIND_SEQUENCE => Self::Sequence {
                region: decode_region(reader)?,
                last: reader.i64("number")?.cast_unsigned(),
                has_files: reader.bool("whether something has left as a file")?,
            },
            KIND_ORPHANED => Self::Orphaned(FileIdentity::decode(reader)?),
            KIND_IN_HISTORY => Self::InHistory(FileIdentity::decode(reader)?),
            other => return Err(RecordError::Kind(other)),
        };
        match reader.remaining() {
            0 => Ok(record),
            n_bytes => Err(RecordError::Surplus(n_bytes)),
        }
    }
}

impl Known {
    fn encode(&self, out: &mut Writer<'_>) {
        encode_place(&self.place, out);
        encode_name(&self.name, out);
        self.identity.encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            place: decode_place(reader)?,
            name: decode_name(reader)?,
            identity: FileIdentity::decode(reader)?,
        })
    }
}

impl Sent {
    fn encode(&self, out: &mut Writer<'_>) {
        self.file.encode(out);
        out.i64(self.sequence.cast_signed());
        encode_mods(self.mods, out);
        out.i32(self.crc32.cast_signed());
    }

    fn decode(form: Form, is_short: bool, reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            file: Known::decode(reader)?,
            sequence: reader.i64("number")?.cast_unsigned(),
            mods: decode_mods(reader)?,
            crc32: reader.i32("checksum")?.cast_unsigned(),
            form,
            is_short,
        })
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
            Self::Field(error) => write!(f, "ledger record: {error}"),
            Self::Form(form) => write!(
                f,
                "ledger record: expected form {FORM}, but found {form}: written by a later version"
            ),
            Self::Kind(kind) => {
                write!(f, "ledger record: expected kind 1 to {KIND_IN_HISTORY}, but found {kind}")
            }
            Self::NoMods => f.write_str("ledger record: settled deletions without a length"),
            Self::Space(space) => {
                write!(f, "ledger record: expected space 0 or 1, but found {space}")
            }
            Self::Surplus(n_bytes) => write!(f, "ledger record: {n_bytes} bytes too many"),
        }
    }
}

impl std::error::Error for RecordError {}

fn form_code(form: Form) -> u8 {
    match form {
        Form::File => 0,
        Form::Tablets => 1,
        Form::Nothing => 2,
        Form::Excerpt => 3,
    }
}

/// Set in the code of a form if points of the file could not be read; a whole file needs none to be.
const SHORT: u8 = 0x80;

fn decode_form(reader: &mut Reader<'_>) -> Result<(Form, bool), RecordError> {
    let code = reader.u8("kind")?;
    let all = [Form::Tablets, Form::Nothing, Form::Excerpt];
    let form = all.into_iter().find(|it| form_code(*it) == code & !SHORT);
    Ok((form.ok_or(RecordError::Kind(code))?, code & SHORT > 0))
}

fn encode_mods(mods: Option<ModsMark>, out: &mut Writer<'_>) {
    match mods {
        None => out.u8(0),
        Some(mods) => {
            out.u8(match mods.seen.kind {
                ModsKind::Text => 1,
                ModsKind::Binary => 2,
            });
            out.i64(mods.seen.length_bytes.cast_signed());
            out.i64(mods.inode.cast_signed());
        }
    }
}

fn decode_mods(reader: &mut Reader<'_>) -> Result<Option<ModsMark>, RecordError> {
    let kind = match reader.u8("kind")? {
        0 => return Ok(None),
        1 => ModsKind::Text,
        2 => ModsKind::Binary,
        other => return Err(RecordError::Kind(other)),
    };
    let seen = ModsSeen { kind, length_bytes: reader.i64("number")?.cast_unsigned() };
    Ok(Some(ModsMark { seen, inode: reader.i64("number")?.cast_unsigned() }))
}

fn encode_marks(marks: SourceMarks, out: &mut Writer<'_>) {
    for mark in [marks.node, marks.reboots] {
        out.bool(mark.is_some());
        out.i64(mark.unwrap_or_default().cast_signed());
    }
}

fn decode_marks(reader: &mut Reader<'_>) -> Result<SourceMarks, RecordError> {
    let mut mark = || -> Result<Option<u64>, RecordError> {
        let is_known = reader.bool("flag")?;
        let value = reader.i64("number")?.cast_unsigned();
        Ok(is_known.then_some(value))
    };
    Ok(SourceMarks { node: mark()?, reboots: mark()? })
}
