//! Gap records: what could not be delivered, and why.

use core::fmt;

use tidegate_codec::Reader;
use tidegate_codec::Writer;

use crate::identity::Place;
use crate::identity::RegionKey;
use crate::identity::Space;
use crate::identity::TsFileName;
use crate::record::RecordError;

/// A range of the source that will not reach the peer by itself.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Gap {
    /// Region, partition and space of the file concerned.
    pub place: Place,
    /// The file concerned.
    pub name: TsFileName,
    /// Why.
    pub reason: GapReason,
    /// Bytes of the file's companion concerned, first and one past the last; zero and the file's
    /// length when it is the file itself.
    pub bytes: (u64, u64),
}

/// Why a range could not be delivered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum GapReason {
    /// Deletions were added beside a file that had already left.
    ModsAfterFile,
    /// The peer's dialect has no form for deletions beside a file, or for such deletions.
    ModsNotCarried,
    /// The file vanished or was cut short before it could leave, and nothing that came after it may
    /// hold its data.
    VanishedUnsent,
}

impl GapReason {
    /// Stable key for logs and `--json`.
    pub fn key(self) -> &'static str {
        match self {
            Self::ModsAfterFile => "mods-after-file",
            Self::ModsNotCarried => "mods-not-carried",
            Self::VanishedUnsent => "vanished-unsent",
        }
    }

    /// What it means and what to do.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::ModsAfterFile => {
                "deletions written after their file had left; repeat them at the far side"
            }
            Self::ModsNotCarried => {
                "a peer of dialect 1.2 reads no deletions beside a file, and one of 1.3 no .mods2; \
                 repeat them at the far side"
            }
            Self::VanishedUnsent => {
                "removed or cut short at the source (TTL, DROP, or by hand) before it could leave"
            }
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, name, reason, bytes } = self;
        write!(
            f,
            "{} {}/{}/{name}: bytes {}..{}: {}",
            reason.key(),
            place.region,
            place.partition,
            bytes.0,
            bytes.1,
            reason.explanation()
        )
    }
}

/// Form of the body below.
const FORM: u8 = 1;
const DATABASE_BYTES_MAX: usize = 4096;

impl Gap {
    /// Body for the gap journal.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let mut out = Writer::new(&mut body);
        out.u8(FORM);
        out.u8(match self.reason {
            GapReason::ModsAfterFile => 1,
            GapReason::ModsNotCarried => 2,
            GapReason::VanishedUnsent => 3,
        });
        encode_place(&self.place, &mut out);
        encode_name(&self.name, &mut out);
        out.i64(self.bytes.0.cast_signed());
        out.i64(self.bytes.1.cast_signed());
        body
    }

    /// Reads back what [`Gap::encode`] wrote.
    pub fn decode(body: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(body);
        let form = reader.u8("kind")?;
        if form != FORM {
            return Err(RecordError::Form(form));
        }
        let reason = match reader.u8("kind")? {
            1 => GapReason::ModsAfterFile,
            2 => GapReason::ModsNotCarried,
            3 => GapReason::VanishedUnsent,
            other => return Err(RecordError::Kind(other)),
        };
        let place = decode_place(&mut reader)?;
        let name = decode_name(&mut reader)?;
        let gap = Self {
            place,
            name,
            reason,
            bytes: (reader.i64("number")?.cast_unsigned(), reader.i64("number")?.cast_unsigned()),
        };
        match reader.remaining() {
            0 => Ok(gap),
            n_bytes => Err(RecordError::Surplus(n_bytes)),
        }
    }
}

pub(crate) fn encode_place(place: &Place, out: &mut Writer<'_>) {
    out.str(&place.region.database);
    out.i32(place.region.region.cast_signed());
    out.i64(place.partition);
    out.u8(match place.space {
        Space::Sequence => 0,
        Space::Unsequence => 1,
    });
}

pub(crate) fn decode_place(reader: &mut Reader<'_>) -> Result<Place, RecordError> {
    let database = reader.str("database", DATABASE_BYTES_MAX)?.to_owned();
    let region = RegionKey { database, region: reader.i32("number")?.cast_unsigned() };
    let partition = reader.i64("number")?;
    let space = match reader.u8("kind")? {
        0 => Space::Sequence,
        1 => Space::Unsequence,
        other => return Err(RecordError::Space(other)),
    };
    Ok(Place { region, partition, space })
}

pub(crate) fn encode_name(name: &TsFileName, out: &mut Writer<'_>) {
    out.i64(name.time_ms.cast_signed());
    out.i64(name.version.cast_signed());
    out.i32(name.inner.cast_signed());
    out.i32(name.cross.cast_signed());
}

pub(crate) fn decode_name(reader: &mut Reader<'_>) -> Result<TsFileName, RecordError> {
    let (time_ms, version) =
        (reader.i64("number")?.cast_unsigned(), reader.i64("number")?.cast_unsigned());
    Ok(TsFileName {
        version,
        time_ms,
        inner: reader.i32("number")?.cast_unsigned(),
        cross: reader.i32("number")?.cast_unsigned(),
    })
}
