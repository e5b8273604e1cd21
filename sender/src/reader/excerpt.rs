//! The wanted points of a file as a file, where tablets could be hidden by what left before.

use std::fs::File;
use std::io;
use std::path::Path;

use tidegate_model::Dialect;
use tidegate_source::Stall;
use tidegate_source::UnreadPoints;
use tidegate_tsfile::ExcerptError;
use tidegate_tsfile::ExcerptOrder;
use tidegate_tsfile::ReadError;
use tidegate_tsfile::TsFile;
use tidegate_tsfile::TsFileVersion;
use tidegate_tsfile::write_excerpt;

use super::extract::Bytes;
use super::extract::Order;
use super::extract::read_stall;
use super::extract::told;
use super::extract::types_of;
use crate::excerpts::Excerpts;

/// What came of making one.
#[derive(Debug)]
pub(super) enum Made {
    /// No point is wanted.
    Nothing { has_unknown_types: bool, unread: Vec<UnreadPoints> },
    File {
        ts_file: File,
        length_bytes: u64,
        /// Whether series were left out since the peer does not know their types.
        has_unknown_types: bool,
        unread: Vec<UnreadPoints>,
    },
    /// Nor will it be another time.
    Impossible(String),
}

/// Makes the file of the points that leave.
pub(super) fn make(
    file: &TsFile<Bytes<'_>>,
    path: &Path,
    order: &Order<'_>,
    excerpts: &Excerpts,
) -> Result<Made, Stall> {
    let blocked = |error: &io::Error| {
        let dir = excerpts.dir().display();
        Stall::Blocked(format!("{}: writing its points to {dir} failed: {error}", path.display()))
    };
    let ts_file = excerpts.create().map_err(|error| blocked(&error))?;
    let order = ExcerptOrder {
        wanted: order.wanted.clone(),
        deleted: order.deleted.clone(),
        is_table_model: order.item.place.region.is_table_model(),
        version: match order.dialect {
            Dialect::V1_2 | Dialect::V1_3 => TsFileVersion::V3,
            Dialect::V2_0 => file.version(),
        },
        knows: types_of(order.dialect),
        passes_io_errors: order.passes_io_errors,
    };
    let found = match write_excerpt(file, &order, excerpts.bounded(&ts_file)) {
        Ok(found) => found,
        // Tablets take fewer columns at once.
        Err(ExcerptError::Read(error @ ReadError::TooLarge { .. })) => {
            return Ok(Made::Impossible(format!("{}: {error}", path.display())));
        }
        Err(ExcerptError::Read(error)) => return Err(read_stall(path, &error)),
        Err(error) => match error.written_to() {
            Some(io) if io.kind() != io::ErrorKind::FileTooLarge => return Err(blocked(io)),
            _ => return Ok(Made::Impossible(format!("{}: {error}", path.display()))),
        },
    };
    let has_unknown_types = found.n_unknown > 0;
    let unread = found.unread.parts().iter().map(told).collect();
    Ok(match found.written.map(|it| it.length_bytes) {
        None => Made::Nothing { has_unknown_types, unread },
        Some(length_bytes) => Made::File { ts_file, length_bytes, has_unknown_types, unread },
    })
}
