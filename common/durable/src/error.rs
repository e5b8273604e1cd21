//! What can go wrong with a disk, and which of it is survivable.

use core::fmt;
use std::io;

use crate::FileName;

/// What was being done to the disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Operation {
    /// Creating a file.
    Create,
    /// Asking for a file's length.
    Length,
    /// Listing the directory.
    List,
    /// Opening a file.
    Open,
    /// Reading bytes.
    Read,
    /// Removing a file.
    Remove,
    /// Renaming a file.
    Rename,
    /// Making the directory's entries durable.
    SyncDirectory,
    /// Making a file's bytes durable.
    SyncFile,
    /// Setting a file's length.
    Truncate,
    /// Writing bytes.
    Write,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Length => "take the length of",
            Self::List => "list",
            Self::Open => "open",
            Self::Read => "read",
            Self::Remove => "remove",
            Self::Rename => "rename",
            Self::SyncDirectory => "sync the entries of",
            Self::SyncFile => "sync",
            Self::Truncate => "set the length of",
            Self::Write => "write",
        })
    }
}

/// One operation that failed: what, on which file, why.
#[derive(Debug)]
pub struct Failure {
    operation: Operation,
    file: Option<FileName>,
    cause: io::Error,
}

impl Failure {
    /// `operation` on `file` failed.
    pub(crate) fn new(operation: Operation, file: &FileName, cause: io::Error) -> Self {
        Self { operation, file: Some(file.clone()), cause }
    }

    /// `operation` on the directory itself failed.
    pub(crate) fn of_directory(operation: Operation, cause: io::Error) -> Self {
        Self { operation, file: None, cause }
    }

    /// What was being done.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The file, or `None` for the directory itself.
    pub fn file(&self) -> Option<&FileName> {
        self.file.as_ref()
    }

    /// What the system answered.
    pub fn cause(&self) -> &io::Error {
        &self.cause
    }

    /// A full disk or quota met while writing. A sync that reports it is not survivable: the pages
    /// it was about are gone.
    fn is_survivable(&self) -> bool {
        let full =
            [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded].contains(&self.cause.kind());
        full && !matches!(self.operation, Operation::SyncFile | Operation::SyncDirectory)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_ref().map_or("the directory", FileName::as_str);
        write!(f, "cannot {} {file}: {}", self.operation, self.cause)
    }
}

impl core::error::Error for Failure {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// Why something was not written.
#[derive(Debug)]
#[non_exhaustive]
pub enum WriteError {
    /// The disk or the quota is full. What was not yet synced is undone; go on when there is room.
    DiskFull(Failure),
    /// The disk cannot be trusted. The object refuses everything until it is opened anew.
    Fatal(Failure),
    /// An earlier [`WriteError::Fatal`] ended this object; open it anew.
    PreviousIo {
        /// The file it was about.
        file: FileName,
    },
    /// The record is larger than its limit. Nothing was changed.
    TooLarge {
        /// What was asked for.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
}

impl WriteError {
    /// Whether the object may still be used.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Fatal(_) | Self::PreviousIo { .. })
    }
}

impl From<Failure> for WriteError {
    fn from(failure: Failure) -> Self {
        if failure.is_survivable() { Self::DiskFull(failure) } else { Self::Fatal(failure) }
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DiskFull(failure) => write!(f, "disk full: {failure}"),
            Self::Fatal(failure) => write!(f, "disk failed: {failure}"),
            Self::PreviousIo { file } => {
                write!(f, "{file} is closed by an earlier disk failure and must be opened anew")
            }
            Self::TooLarge { bytes, bytes_max } => {
                write!(f, "record: expected at most {bytes_max} bytes, found {bytes}")
            }
        }
    }
}

impl core::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::DiskFull(failure) | Self::Fatal(failure) => Some(failure),
            Self::PreviousIo { .. } | Self::TooLarge { .. } => None,
        }
    }
}

/// Why something could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// Neither slot of a two-slot file is intact. It is not replaced by a default: somebody decides.
    BothSlotsDamaged {
        /// The file.
        file: FileName,
    },
    /// Neither copy of a journal's header is intact.
    HeaderDamaged {
        /// The file.
        file: FileName,
    },
    /// The disk refused; a full disk is here too, see [`Failure::cause`].
    Io(Failure),
    /// The name leaves no room for the suffixes this crate adds.
    Name(crate::NameError),
    /// There are cursor files of more consumers than a spool may have.
    TooManyConsumers {
        /// How many.
        found: usize,
    },
    /// Written by a newer version of this product.
    Version {
        /// The file.
        file: FileName,
        /// Its format version.
        found: u16,
        /// The newest that this build reads.
        newest: u16,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BothSlotsDamaged { file } => {
                write!(f, "{file}: expected one intact slot of two, found both damaged")
            }
            Self::HeaderDamaged { file } => {
                write!(f, "{file}: expected one intact header of two, found both damaged")
            }
            Self::Io(failure) => write!(f, "{failure}"),
            Self::Name(error) => write!(f, "{error}"),
            Self::TooManyConsumers { found } => {
                write!(
                    f,
                    "spool: expected at most {} consumers, found {found}",
                    crate::CONSUMERS_MAX
                )
            }
            Self::Version { file, found, newest } => {
                write!(f, "{file}: expected format version {newest} or older, found {found}")
            }
        }
    }
}

impl core::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io(failure) => Some(failure),
            Self::Name(error) => Some(error),
            Self::BothSlotsDamaged { .. }
            | Self::HeaderDamaged { .. }
            | Self::TooManyConsumers { .. }
            | Self::Version { .. } => None,
        }
    }
}

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> Self {
        Self::Io(failure)
    }
}

/// Writing is part of opening: a full disk keeps things closed, like any other failure.
impl From<WriteError> for OpenError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::DiskFull(failure) | WriteError::Fatal(failure) => Self::Io(failure),
            other => Self::Io(Failure::of_directory(Operation::Write, io::Error::other(other))),
        }
    }
}

impl From<crate::NameError> for OpenError {
    fn from(error: crate::NameError) -> Self {
        Self::Name(error)
    }
}
