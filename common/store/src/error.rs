//! What can go wrong with a store, and which of it may pass.

use core::fmt;
use std::io;

use tidegate_durable::JournalDamage;
use tidegate_durable::OpenError;
use tidegate_durable::WriteError;
use tidegate_model::Precision;
use tidegate_tsfile::ReadError;
use tidegate_wire::request::RequestError;

use crate::fingerprint::Fingerprint;
use crate::gone::told_of;

/// What an operating system calls a disk that cannot give back what was written; it has no name in
/// [`io::ErrorKind`].
const EIO: i32 = 5;

/// Why a store did not do what it was asked to.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// Records of the catalog were durable and are damaged. Who only looks does not open it, since
    /// what they said of files is not known; who writes the store makes it anew.
    CatalogDamaged(JournalDamage),
    /// A record of the catalog that this release does not understand.
    CatalogRecord(tidegate_codec::Error),
    /// The store that was here vanished as a whole, and another one was made in its place.
    Gone {
        /// Its last record.
        last: u64,
    },
    /// A file or directory.
    Io {
        /// What was being done.
        doing: &'static str,
        /// With what.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// The deletions that came with a file are not there as they were: which of its rows are deleted is
    /// not known.
    List {
        /// Their list, below the store's directory.
        list: String,
        /// What they are.
        expected: Fingerprint,
        /// What was found there.
        found: String,
    },
    /// Rows are needed of a file that the catalog names and that is not there, or cannot be read.
    Lost {
        /// Its place below the store's directory.
        file: String,
        /// What was found there.
        found: String,
    },
    /// The catalog could not be opened.
    Open(OpenError),
    /// Times of another unit than those that are there.
    Precision {
        /// That of the store.
        expected: Precision,
        /// That of the sender.
        found: Precision,
    },
    /// A TsFile of the store could not be read.
    Read {
        /// Its place below the store's directory.
        file: String,
        /// Why not.
        source: ReadError,
    },
    /// A request that cannot be read; it will not become better.
    Request(RequestError),
    /// The catalog could not be written.
    Write(WriteError),
    /// A TsFile could not be written.
    WriteFile {
        /// Its place below the store's directory.
        file: String,
        /// Why not.
        source: tidegate_tsfile::WriteError,
    },
}

impl StoreError {
    /// Whether there was no room, and the same may be tried again on this store.
    ///
    /// After anything else that is not [`is_of_item`](Self::is_of_item) the store is to be opened
    /// anew.
    pub fn is_full(&self) -> bool {
        let is_full = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        };
        match self {
            Self::Io { source, .. } => is_full(source),
            Self::Write(error) => !error.is_fatal(),
            Self::WriteFile { source: tidegate_tsfile::WriteError::Io { source, .. }, .. } => {
                is_full(source)
            }
            _ => false,
        }
    }

    /// Whether it is the item that is wrong, and the store as it was before.
    pub fn is_of_item(&self) -> bool {
        matches!(self, Self::Request(_) | Self::Precision { .. })
    }

    /// Whether a file was gone when it was to be opened: a merge may have removed it.
    pub fn is_vanished(&self) -> bool {
        match self {
            Self::Io { doing: "open" | "read", source, .. } => {
                source.kind() == io::ErrorKind::NotFound
            }
            _ => false,
        }
    }

    /// Whether it is a file of the store that is lost or damaged, or the store that was here before:
    /// whoever leaves it out can go on.
    pub fn is_of_damage(&self) -> bool {
        matches!(self, Self::Gone { .. } | Self::Lost { .. }) || self.is_of_file()
    }

    /// Whether one file cannot be read while others may be: it is gone or damaged, or lies where the
    /// disk is.
    pub(crate) fn is_of_file(&self) -> bool {
        match self {
            Self::Io { doing: "open" | "read", source, .. }
            | Self::Read { source: ReadError::Io { source, .. }, .. } => is_of_file(source),
            Self::List { .. } | Self::Read { .. } => true,
            _ => false,
        }
    }

    /// Whether one file cannot be written where others may be: something is in its place that cannot be
    /// replaced.
    pub(crate) fn is_of_place(&self) -> bool {
        let kinds = [io::ErrorKind::IsADirectory, io::ErrorKind::PermissionDenied];
        matches!(self, Self::Io { doing: "write", source, .. } if kinds.contains(&source.kind()))
    }

    /// Whether it is what is in a TsFile, or would be, that is wrong, and not the disk: it will not
    /// become better.
    pub(crate) fn is_of_content(&self) -> bool {
        match self {
            Self::Read { source, .. } => !matches!(source, ReadError::Io { .. }),
            Self::WriteFile { source, .. } => {
                !matches!(source, tidegate_tsfile::WriteError::Io { .. })
            }
            _ => false,
        }
    }

    pub(crate) fn io(
        doing: &'static str,
        what: impl fmt::Display,
    ) -> impl FnOnce(io::Error) -> Self {
        let what = what.to_string();
        move |source| Self::Io { doing, what, source }
    }
}

/// Whether an error of the system is of one file, and others may be read or removed.
pub(crate) fn is_of_file(error: &io::Error) -> bool {
    let kinds = [
        io::ErrorKind::IsADirectory,
        io::ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied,
        io::ErrorKind::UnexpectedEof,
    ];
    kinds.contains(&error.kind()) || error.raw_os_error() == Some(EIO)
}

impl From<WriteError> for StoreError {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CatalogDamaged(damage) => {
                write!(
                    f,
                    "store: expected a whole catalog, but found: {damage}; the daemon makes it anew \
                     when it opens the store"
                )
            }
            Self::CatalogRecord(error) => write!(f, "store: record of the catalog: {error}"),
            Self::Gone { last } => write!(f, "store: {}", told_of(*last)),
            Self::Io { doing, what, source } => write!(f, "store: cannot {doing} {what}: {source}"),
            Self::List { list, expected, found } => write!(
                f,
                "store: {list}: expected deletions of {expected}, found: {found}; which rows of the file \
                 they delete is not known"
            ),
            Self::Lost { file, found } => write!(
                f,
                "store: {file}: expected a file that can be read, found: {found}; rows of it would be \
                 missing, and older ones in their places"
            ),
            Self::Open(error) => write!(f, "store: catalog: {error}"),
            Self::Precision { expected, found } => write!(
                f,
                "store: expected times in {}, but found {}",
                expected.as_str(),
                found.as_str()
            ),
            Self::Read { file, source } => write!(f, "store: {file}: {source}"),
            Self::Request(error) => error.fmt(f),
            Self::Write(error) => write!(f, "store: catalog: {error}"),
            Self::WriteFile { file, source } => write!(f, "store: {file}: {source}"),
        }
    }
}

impl core::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::CatalogRecord(error) => Some(error),
            Self::Io { source, .. } => Some(source),
            Self::Open(error) => Some(error),
            Self::Read { source, .. } => Some(source),
            Self::Request(error) => Some(error),
            Self::Write(error) => Some(error),
            Self::WriteFile { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bad sector is of one file; too few descriptors, a full disk or a mount that is gone are not.
    #[test]
    fn what_the_system_says_of_one_file_is_told_from_what_it_says_of_all() {
        let of_one = [EIO, 2, 13, 21];
        let of_all = [20, 23, 24, 28, 30, 107, 110, 116];
        let is_of_file = |errno: i32| {
            let source = io::Error::from_raw_os_error(errno);
            StoreError::Io { doing: "read", what: String::new(), source }.is_of_file()
        };
        assert!(of_one.into_iter().all(is_of_file));
        assert!(!of_all.into_iter().any(is_of_file));
        let source = io::Error::from_raw_os_error(EIO);
        let written = StoreError::Io { doing: "write", what: String::new(), source };
        assert!(!written.is_of_file() && !written.is_of_damage());
    }
}
