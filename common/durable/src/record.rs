//! One record of the spool and the bytes of its body.

use core::fmt;

use crate::bytes::array_at;
use crate::bytes::u64_at;

/// Bytes before the origin.
pub(crate) const BODY_FIXED_BYTES: usize = 20;

/// The place of a record in order of arrival: the first record ever is 1, and no number is used
/// again once it was acknowledged. As a position, "everything up to and including"; 0 is nothing.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Seq(u64);

impl Seq {
    /// Before the first record.
    pub const ZERO: Self = Self(0);

    /// The number itself.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one behind this.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A record to be appended. What kind, dialect and flags mean is the caller's affair.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecordDraft<'a> {
    /// What the record is.
    pub kind: u8,
    /// Which dialect the request is in.
    pub dialect: u8,
    /// Caller's flags.
    pub flags: u8,
    /// Where it came from, such as the peer's address: at most 255 bytes.
    pub origin: &'a str,
    /// Which connection it came on.
    pub connection: u64,
    /// When it arrived: milliseconds since 1970.
    pub arrival_ms: i64,
    /// The request as it came.
    pub payload: &'a [u8],
}

impl RecordDraft<'_> {
    /// How long an origin may be.
    pub const ORIGIN_BYTES_MAX: usize = 255;

    /// The length of the body in the file.
    pub(crate) fn body_bytes(&self) -> usize {
        BODY_FIXED_BYTES + self.origin.len() + self.payload.len()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        assert!(self.origin.len() <= Self::ORIGIN_BYTES_MAX, "origins are capped before");
        out.extend_from_slice(&[self.kind, self.dialect, self.flags, self.origin.len() as u8]);
        out.extend_from_slice(&self.connection.to_le_bytes());
        out.extend_from_slice(&self.arrival_ms.to_le_bytes());
        out.extend_from_slice(self.origin.as_bytes());
        out.extend_from_slice(self.payload);
    }
}

/// A record read back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Its place in order of arrival.
    pub seq: Seq,
    /// See [`RecordDraft::kind`].
    pub kind: u8,
    /// See [`RecordDraft::dialect`].
    pub dialect: u8,
    /// See [`RecordDraft::flags`].
    pub flags: u8,
    /// See [`RecordDraft::origin`].
    pub origin: String,
    /// See [`RecordDraft::connection`].
    pub connection: u64,
    /// See [`RecordDraft::arrival_ms`].
    pub arrival_ms: i64,
    /// See [`RecordDraft::payload`].
    pub payload: Vec<u8>,
}

impl Record {
    /// The record in `body`; `None` when the fields do not fit.
    pub(crate) fn decode(seq: Seq, body: &[u8]) -> Option<Self> {
        let [kind, dialect, flags, origin_bytes] = array_at(body, 0)?;
        let (origin, payload) =
            body.get(BODY_FIXED_BYTES..)?.split_at_checked(usize::from(origin_bytes))?;
        Some(Self {
            seq,
            kind,
            dialect,
            flags,
            origin: str::from_utf8(origin).ok()?.to_owned(),
            connection: u64_at(body, 4)?,
            arrival_ms: i64::from_le_bytes(array_at(body, 12)?),
            payload: payload.to_vec(),
        })
    }

    /// This record as one to be appended elsewhere.
    pub fn draft(&self) -> RecordDraft<'_> {
        RecordDraft {
            kind: self.kind,
            dialect: self.dialect,
            flags: self.flags,
            origin: &self.origin,
            connection: self.connection,
            arrival_ms: self.arrival_ms,
            payload: &self.payload,
        }
    }
}
