//! What of a file could not be read, by name.

use std::io;

use crate::DeviceId;
use crate::ReadError;

/// Points that are in a file and could not be read.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct UnreadPart {
    /// The device; `None` where the file does not say, or if they are of several.
    pub device: Option<Box<str>>,
    /// The measurement; `None` where the file does not say, or if they are of several.
    pub measurement: Option<Box<str>>,
    /// The first and the last time that they may have, by the statistics.
    pub times: Option<(i64, i64)>,
    /// How many there are at most, by the statistics.
    pub n_points: Option<u64>,
    /// Why.
    pub why: String,
}

/// What could not be read so far. The same file gives the same list each time.
#[derive(Debug, Default)]
pub struct Unread {
    parts: Vec<UnreadPart>,
}

/// More parts than that of one file are told as one.
const PARTS_MAX: usize = 100;
/// More parts than that of one series are told as one.
const SERIES_PARTS_MAX: usize = 16;

impl Unread {
    /// All of it, in the order in which it was met.
    pub fn parts(&self) -> &[UnreadPart] {
        &self.parts
    }

    /// The same, to be kept.
    pub fn into_parts(self) -> Vec<UnreadPart> {
        self.parts
    }

    pub(super) fn append(&mut self, other: Self) {
        other.parts.into_iter().for_each(|part| self.push(part));
    }

    pub(super) fn push(&mut self, part: UnreadPart) {
        let is_same = |it: &&mut UnreadPart| {
            (&it.device, &it.measurement) == (&part.device, &part.measurement)
        };
        let n_same = self.parts.iter_mut().filter(is_same).count();
        let is_full = self.parts.len() >= PARTS_MAX;
        let last = match () {
            () if n_same >= SERIES_PARTS_MAX => self.parts.iter_mut().rfind(is_same),
            () if is_full => self.parts.last_mut(),
            () => None,
        };
        match last {
            Some(last) => last.join(part),
            None => self.parts.push(part),
        }
    }

    /// A device of which the index does not say what it has.
    pub(super) fn push_device(&mut self, device: Option<&DeviceId>, error: &ReadError) {
        let device = device.map(|it| it.path.clone());
        let (measurement, times, n_points) = (None, None, None);
        self.push(UnreadPart { device, measurement, times, n_points, why: error.to_string() });
    }
}

impl UnreadPart {
    /// Adds another part, and forgets what the two do not share.
    fn join(&mut self, other: Self) {
        if self.device != other.device {
            self.device = None;
        }
        if self.measurement != other.measurement || self.device.is_none() {
            self.measurement = None;
        }
        let both = self.times.zip(other.times);
        self.times = both.map(|(one, other)| (one.0.min(other.0), one.1.max(other.1)));
        let both = self.n_points.zip(other.n_points);
        self.n_points = both.map(|(one, other)| one.saturating_add(other));
    }
}

/// Which errors have what they are about left out; the others end the reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passes {
    /// Bytes that cannot be fetched: they may be there later.
    pub(super) io_errors: bool,
    /// What takes too much memory as it is read here.
    pub(super) too_large: bool,
}

impl ReadError {
    /// Whether what it is about is to be left out. Bytes of a file that became shorter are never: it is
    /// another file now.
    pub(super) fn passes(&self, passes: Passes) -> bool {
        match self {
            Self::Io { source, .. } => {
                passes.io_errors && source.kind() != io::ErrorKind::UnexpectedEof
            }
            Self::TooLarge { .. } => passes.too_large,
            _ => true,
        }
    }
}
