//! Gap records: what could not be delivered, and why.

use core::fmt;
use std::sync::Arc;

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
    /// The file concerned, or the first of several.
    pub name: TsFileName,
    /// How many files it concerns.
    pub n_files: u32,
    /// Why.
    pub reason: GapReason,
    /// Bytes of the file's companion concerned, first and one past the last; zero and the file's
    /// length when it is the file itself.
    pub bytes: (u64, u64),
    /// First and last time stamp concerned, where they are known.
    pub times: Option<(i64, i64)>,
    /// Which points of the file could not be read.
    pub unread: Option<UnreadPoints>,
}

/// Points of a file that could not be read. Their times are those of the gap.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // built by the edge
pub struct UnreadPoints {
    /// The series, or the device if all of its are concerned; `None` if the file does not say.
    pub series: Option<Arc<str>>,
    /// First and last time, by the statistics, where they can be read.
    pub times: Option<(i64, i64)>,
    /// How many they are at most, by the statistics.
    pub n_points: Option<u64>,
    /// Why.
    pub why: Arc<str>,
}

/// Why a range could not be delivered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum GapReason {
    /// Files that had been sent were compacted while nobody watched, and deletions may have gone
    /// into the target unseen.
    DeletionsUnseen,
    /// Deletions beside a file that had left could not be read.
    ModsUnreadable,
    /// The peer's dialect has no form for deletions.
    ModsNotCarried,
    /// Points of a file that left in part: they are damaged, or the disk does not give them back.
    PointsUnread,
    /// Rows that left as tablets overlap a file that left whole: an IoTDB may take them into a memtable
    /// that it opened before it loaded the file, and then reads the file's values.
    RowsMayBeHidden,
    /// The source went backwards: it was restored from a backup.
    SourceRolledBack,
    /// Series of types that the peer's dialect does not know, in a file that left as tablets.
    TypesNotCarried,
    /// The file vanished before it could leave, and no compaction took it in.
    VanishedUnsent,
}

const REASONS: [(GapReason, u8, &str, &str); 8] = [
    (
        GapReason::ModsUnreadable,
        1,
        "mods-unreadable",
        "deletions beside a file that had left could not be read; repeat them at the far side",
    ),
    (
        GapReason::ModsNotCarried,
        2,
        "mods-not-carried",
        "a peer of dialect 1.2 takes no deletions, one of 1.3 no .mods2, and none a deletion of series \
         that no one pattern means but the pipe's and its own together; repeat them at the far side",
    ),
    (
        GapReason::VanishedUnsent,
        3,
        "vanished-unsent",
        "removed or cut short at the source (TTL, DROP, or by hand) before it could leave",
    ),
    (
        GapReason::DeletionsUnseen,
        4,
        "deletions-unseen",
        "files that had left were compacted while nobody watched, or between two scans; if rows were \
         deleted at the source meanwhile, delete them at the far side too",
    ),
    (
        GapReason::SourceRolledBack,
        5,
        "source-rolled-back",
        "the source was restored to an earlier state; rows that it has lost are still at the far \
         side",
    ),
    (
        GapReason::TypesNotCarried,
        6,
        "types-not-carried",
        "series of types that the peer does not know (TIMESTAMP, DATE, BLOB and STRING in dialect \
         1.2; OBJECT) were left out of a file that left as tablets",
    ),
    (
        GapReason::RowsMayBeHidden,
        7,
        "rows-may-be-hidden",
        "rows left as tablets that overlap a file which left whole before; an IoTDB at the far side \
         may go on reading the file's values where both have one: compare them, and insert these rows \
         again after a FLUSH",
    ),
    (
        GapReason::PointsUnread,
        8,
        "points-unread",
        "points of a file that left in part could not be read; all others have left. Where the source \
         still answers for them, insert them at the far side by hand; or put a sound copy of the file in \
         its place at the source, and it leaves anew",
    ),
];

impl GapReason {
    /// All reasons.
    pub fn all() -> impl Iterator<Item = Self> {
        REASONS.iter().map(|(reason, ..)| *reason)
    }

    /// Stable key for logs and `--json`.
    pub fn key(self) -> &'static str {
        self.row().2
    }

    /// What it means and what to do.
    pub fn explanation(self) -> &'static str {
        self.row().3
    }

    fn row(self) -> &'static (Self, u8, &'static str, &'static str) {
        let row = REASONS.iter().find(|(reason, ..)| *reason == self);
        row.expect("every reason has a row")
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, name, n_files, reason, bytes, times, unread } = self;
        write!(f, "{} {}/{}/{name}", reason.key(), place.region, place.partition)?;
        if *n_files > 1 {
            write!(f, " and {} more", n_files - 1)?;
        }
        if bytes.1 > 0 {
            write!(f, ": bytes {}..{}", bytes.0, bytes.1)?;
        }
        if let Some((start, end)) = times {
            write!(f, ": times {start} to {end}")?;
        }
        if let Some(unread) = unread {
            write!(f, ": {unread}")?;
        }
        write!(f, ": {}", reason.explanation())
    }
}

impl fmt::Display for UnreadPoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { series, n_points, why, .. } = self;
        match n_points {
            Some(1) => f.write_str("1 point")?,
            Some(n_points) => write!(f, "{n_points} points")?,
            None => f.write_str("points")?,
        }
        if let Some(series) = series {
            write!(f, " of {series}")?;
        }
        write!(f, ": {why}")
    }
}

/// Form of the body below.
const FORM: u8 = 1;
/// The same, with points that could not be read behind it.
const FORM_UNREAD: u8 = 2;
const SERIES_BYTES_MAX: usize = 1 << 20;
const DATABASE_BYTES_MAX: usize = 4096;

impl Gap {
    /// Body for the gap journal.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let mut out = Writer::new(&mut body);
        out.u8(if self.unread.is_some() { FORM_UNREAD } else { FORM });
        out.u8(self.reason.row().1);
        encode_place(&self.place, &mut out);
        encode_name(&self.name, &mut out);
        out.i32(self.n_files.cast_signed());
        out.i64(self.bytes.0.cast_signed());
        out.i64(self.bytes.1.cast_signed());
        out.bool(self.times.is_some());
        let (start, end) = self.times.unwrap_or_default();
        out.i64(start);
        out.i64(end);
        if let Some(unread) = &self.unread {
            unread.encode(&mut out);
        }
        body
    }

    /// Reads back what [`Gap::encode`] wrote.
    pub fn decode(body: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(body);
        let form = reader.u8("kind")?;
        if ![FORM, FORM_UNREAD].contains(&form) {
            return Err(RecordError::Form(form));
        }
        let code = reader.u8("kind")?;
        let row = REASONS.iter().find(|(_, known, ..)| *known == code);
        let reason = row.ok_or(RecordError::Kind(code))?.0;
        let place = decode_place(&mut reader)?;
        let name = decode_name(&mut reader)?;
        let n_files = reader.i32("number")?.cast_unsigned();
        let bytes = (reader.i64("number")?.cast_unsigned(), reader.i64("number")?.cast_unsigned());
        let has_times = reader.bool("flag")?;
        let times = (reader.i64("time")?, reader.i64("time")?);
        let times = has_times.then_some(times);
        let unread = match form {
            FORM_UNREAD => Some(UnreadPoints::decode(&mut reader, times)?),
            _ => None,
        };
        match reader.remaining() {
            0 => Ok(Self { place, name, n_files, reason, bytes, times, unread }),
            n_bytes => Err(RecordError::Surplus(n_bytes)),
        }
    }
}

impl UnreadPoints {
    fn encode(&self, out: &mut Writer<'_>) {
        out.bool(self.series.is_some());
        out.str(beginning(self.series.as_deref().unwrap_or_default()));
        out.bool(self.n_points.is_some());
        out.i64(self.n_points.unwrap_or_default().cast_signed());
        out.str(beginning(&self.why));
    }

    fn decode(reader: &mut Reader<'_>, times: Option<(i64, i64)>) -> Result<Self, RecordError> {
        let has_series = reader.bool("flag")?;
        let series: Arc<str> = reader.str("series", SERIES_BYTES_MAX)?.into();
        let has_number = reader.bool("flag")?;
        let n_points = reader.i64("number")?.cast_unsigned();
        let why = reader.str("reason", SERIES_BYTES_MAX)?.into();
        let (series, n_points) = (has_series.then_some(series), has_number.then_some(n_points));
        Ok(Self { series, times, n_points, why })
    }
}

/// As much of a text as can be read again: a damaged file may hold names of any length.
fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(SERIES_BYTES_MAX)]
}

pub(crate) fn encode_region(region: &RegionKey, out: &mut Writer<'_>) {
    out.str(&region.database);
    out.i32(region.region.cast_signed());
}

pub(crate) fn decode_region(reader: &mut Reader<'_>) -> Result<RegionKey, RecordError> {
    let database = reader.str("database", DATABASE_BYTES_MAX)?.into();
    Ok(RegionKey { database, region: reader.i32("number")?.cast_unsigned() })
}

pub(crate) fn encode_place(place: &Place, out: &mut Writer<'_>) {
    encode_region(&place.region, out);
    out.i64(place.partition);
    encode_space(place.space, out);
}

pub(crate) fn decode_place(reader: &mut Reader<'_>) -> Result<Place, RecordError> {
    let region = decode_region(reader)?;
    let partition = reader.i64("number")?;
    Ok(Place { region, partition, space: decode_space(reader)? })
}

fn encode_space(space: Space, out: &mut Writer<'_>) {
    out.u8(match space {
        Space::Sequence => 0,
        Space::Unsequence => 1,
    });
}

fn decode_space(reader: &mut Reader<'_>) -> Result<Space, RecordError> {
    match reader.u8("kind")? {
        0 => Ok(Space::Sequence),
        1 => Ok(Space::Unsequence),
        other => Err(RecordError::Space(other)),
    }
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
