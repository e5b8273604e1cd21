//! A request in one short line, for logs.

use core::fmt;

use super::Deletion;
use super::DeletionTarget;
use super::InsertPlan;
use super::InsertRows;
use super::Plan;
use super::Request;
use super::WalInsert;

/// Shows a [`Request`]: its type, and the file, the devices or the paths it is about.
///
/// At most three names are shown, so a line stays short whatever was sent; control characters are
/// escaped.
#[derive(Clone, Copy, Debug)]
pub struct Summary<'s, 'a>(pub(super) &'s Request<'a>);

impl fmt::Display for Summary<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.request_type())?;
        match self.0 {
            Request::FilePiece(piece) => write!(
                f,
                " {:?} at {}, {} bytes",
                Short(piece.file_name),
                piece.offset,
                piece.data.len()
            ),
            Request::FileSeal(seal) => {
                write!(f, " {:?}, {} bytes", Short(seal.file_name), seal.file_bytes)
            }
            Request::HandshakeV1(handshake) => write!(f, " {:?}", Short(handshake.precision)),
            Request::HandshakeV2(handshake) => {
                let cluster = handshake.value(super::keys::CLUSTER_ID).unwrap_or_default();
                write!(f, " of cluster {:?}", Short(cluster))
            }
            Request::Compressed(compressed) => {
                for stage in &compressed.stages {
                    write!(f, " {}", stage.by)?;
                }
                Ok(())
            }
            Request::ConfigPlan(plan) => write!(f, " plan {}", plan.code),
            Request::Slice(slice) => write!(
                f,
                " {} of {} of {}",
                slice.index.saturating_add(1),
                slice.count,
                slice.origin_type
            ),
            other => {
                let mut names =
                    Names { f, shown: 0, left_out: 0, last: String::new(), result: Ok(()) };
                other.for_each_name(&mut |name| names.add(name));
                names.finish()
            }
        }
    }
}

impl Request<'_> {
    /// Calls `f` with each device, path pattern or file name in the request, in order, repeated or not.
    pub fn for_each_name(&self, f: &mut dyn FnMut(&str)) {
        match self {
            Self::Batch(batch) => {
                batch.log_entries.iter().for_each(|entry| entry.for_each_device(f));
                batch.inserts.iter().for_each(|plan| plan.for_each_device(f));
                batch.tablets.iter().for_each(|tablet| f(tablet.device));
            }
            Self::BatchV2(batch) => {
                batch.log_entries.iter().for_each(|entry| entry.inner.for_each_device(f));
                batch.inserts.iter().for_each(|plan| plan.inner.for_each_device(f));
                batch.tablets.iter().for_each(|tablet| f(tablet.inner.device));
            }
            Self::FilePiece(piece) => f(piece.file_name),
            Self::FileSeal(seal) => f(seal.file_name),
            Self::FileSealMany(seal) => seal.file_names.iter().for_each(f),
            Self::Insert(plan) => plan.for_each_device(f),
            Self::InsertV2(plan) => plan.inner.for_each_device(f),
            Self::LogEntry(entry) => entry.for_each_device(f),
            Self::LogEntryV2(entry) => entry.inner.for_each_device(f),
            Self::Plan(Plan::Delete(delete)) => {
                delete.paths.iter().for_each(|path| f(&path.full_path()));
            }
            Self::Plan(Plan::Insert(plan)) => plan.for_each_device(f),
            Self::Plan(Plan::RelationalDelete(delete)) => {
                delete.entries.iter().for_each(|entry| f(entry.name().unwrap_or_default()));
            }
            Self::Tablet(tablet) => f(tablet.device),
            Self::TabletV2(tablet) => f(tablet.inner.device),
            Self::Compressed(_)
            | Self::ConfigPlan(_)
            | Self::HandshakeV1(_)
            | Self::HandshakeV2(_)
            | Self::Plan(Plan::Opaque(_))
            | Self::Slice(_) => (),
        }
    }
}

impl InsertPlan<'_> {
    fn for_each_device(&self, f: &mut dyn FnMut(&str)) {
        self.rows.for_each_device(f);
    }
}

impl WalInsert<'_> {
    fn for_each_device(&self, f: &mut dyn FnMut(&str)) {
        self.rows.for_each_device(f);
    }
}

impl InsertRows<'_> {
    fn for_each_device(&self, f: &mut dyn FnMut(&str)) {
        match self {
            Self::One(row) => f(row.device),
            Self::Several { rows, .. } => rows.iter().for_each(|row| f(row.device)),
            Self::Tablet(tablet) => f(tablet.device),
        }
    }
}

impl<'a> Deletion<'a> {
    fn name(&self) -> Option<&'a str> {
        match self.target {
            DeletionTarget::Table { table, .. } => table,
            DeletionTarget::Tree { pattern } => pattern,
        }
    }
}

/// Collects names: repeated ones once, the first three shown, the others counted.
struct Names<'f, 'g> {
    f: &'f mut fmt::Formatter<'g>,
    shown: usize,
    left_out: usize,
    last: String,
    result: fmt::Result,
}

impl Names<'_, '_> {
    fn add(&mut self, name: &str) {
        if self.shown > 0 && name == self.last {
            return;
        }
        if self.shown == NAMES_MAX {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        self.shown = self.shown.saturating_add(1);
        name.clone_into(&mut self.last);
        self.result = self.result.and_then(|()| write!(self.f, " {:?}", Short(name)));
    }

    fn finish(self) -> fmt::Result {
        self.result?;
        match self.left_out {
            0 => Ok(()),
            n => write!(self.f, " and {n} more"),
        }
    }
}

/// The beginning of a text, escaped.
struct Short<'a>(&'a str);

impl fmt::Debug for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(TEXT_CHARS_MAX) {
            None => write!(f, "{:?}", self.0),
            Some((end, _)) => write!(f, "{:?}...", self.0.get(..end).unwrap_or_default()),
        }
    }
}

const NAMES_MAX: usize = 3;
const TEXT_CHARS_MAX: usize = 120;
