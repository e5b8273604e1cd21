//! What opening a spool has found and done.

use core::fmt;

use crate::FileName;
use crate::Seq;

/// Records that are lost although they were acknowledged, or may have been.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LostRange {
    /// The first one.
    pub first: Seq,
    /// The last one.
    pub last: Seq,
    /// Why.
    pub reason: LostReason,
}

impl fmt::Display for LostRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "records {} to {} are lost: {}", self.first, self.last, self.reason)
    }
}

/// Why records are lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LostReason {
    /// Their bytes are not what was written.
    DamagedBytes,
    /// The segment that held them is not there, or was cut short.
    MissingSegment,
}

impl fmt::Display for LostReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DamagedBytes => "their bytes are damaged",
            Self::MissingSegment => "their segment is missing or cut short",
        })
    }
}

/// What a power cut has left of a batch that nobody was told of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TornTail {
    /// The file that was cut.
    pub file: FileName,
    /// How many bytes went.
    pub bytes: u64,
    /// How many intact records were among them, behind the first torn one.
    pub records: u64,
}

/// Damage that costs no record by itself, or whose cost stands in [`Recovery::lost`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SpoolDamage {
    /// A consumer's position is gone; it starts again at the oldest record.
    CursorLost {
        /// The consumer.
        consumer: String,
    },
    /// Both copies of a segment's header are damaged: all its records are lost.
    HeaderLost {
        /// The segment.
        file: FileName,
    },
    /// One copy of a segment's header is damaged; the other one serves.
    HeaderCopy {
        /// The segment.
        file: FileName,
    },
    /// The file that says how far the spool was synced is gone; it was made anew from the segments.
    MarkLost,
}

impl fmt::Display for SpoolDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CursorLost { consumer } => {
                write!(
                    f,
                    "the position of consumer {consumer} is lost, it starts at the oldest record"
                )
            }
            Self::HeaderLost { file } => write!(f, "{file}: both copies of the header are damaged"),
            Self::HeaderCopy { file } => write!(f, "{file}: one copy of the header is damaged"),
            Self::MarkLost => f.write_str("the spool's mark is lost and was made anew"),
        }
    }
}

/// What [`Spool::open`](crate::Spool::open) has found and done.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Recovery {
    /// Ranges found lost, in order. Readers report the same ranges, and also those of segments that
    /// opening did not verify: write gap records from there, and log these.
    pub lost: Vec<LostRange>,
    /// The unacknowledged rest that was cut off.
    pub torn_tail: Option<TornTail>,
    /// Small files of which one slot is damaged: torn by a power cut while it was written, or gone
    /// bad, in which case the value before the last one serves.
    pub damaged_slots: Vec<FileName>,
    /// Other damage.
    pub damage: Vec<SpoolDamage>,
}

impl Recovery {
    /// Whether nothing but an unacknowledged tail was touched.
    pub fn is_sound(&self) -> bool {
        self.lost.is_empty() && self.damage.is_empty()
    }
}
