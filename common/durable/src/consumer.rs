//! How far one named consumer of a spool has come. Durable, in a two-slot file of its own, so that
//! it can live on another thread than the spool's writer.

use core::fmt;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering;
use std::sync::Arc;

use crate::FileName;
use crate::NameError;
use crate::OpenError;
use crate::Seq;
use crate::Storage;
use crate::TwoSlot;
use crate::WriteError;
use crate::bytes::u64_at;

pub(crate) const CURSOR_SUFFIX: &str = ".cur";

/// A consumer's position: everything up to and including it is done with.
///
/// The spool keeps every record behind the *synced* position of its slowest consumer.
#[derive(Debug)]
pub struct Consumer<S: Storage> {
    slot: TwoSlot<S>,
    position: Seq,
    /// Shared with the spool, which retains by it.
    synced: Arc<AtomicU64>,
    /// The spool's durable watermark.
    durable: Arc<AtomicU64>,
}

impl<S: Storage> Consumer<S> {
    pub(crate) fn new(slot: TwoSlot<S>, synced: Arc<AtomicU64>, durable: Arc<AtomicU64>) -> Self {
        let position = Seq::new(synced.load(Ordering::Acquire));
        Self { slot, position, synced, durable }
    }

    /// The position that consumer `name` of a spool has on disk, changing nothing: for looking at a spool
    /// that may be in use. [`Seq::ZERO`] where there is no such consumer.
    pub fn inspect(storage: &S, name: &str) -> Result<Seq, OpenError> {
        let file = cursor_file(name)?;
        let content = TwoSlot::inspect(storage, &file)?;
        let Some(payload) = content.payload else { return Ok(Seq::ZERO) };
        // an intact slot with anything else in it is none of ours
        let (position, _) = decode_cursor(&payload).ok_or(OpenError::BothSlotsDamaged { file })?;
        Ok(Seq::new(position))
    }

    /// Moves the position forward, in memory. It survives once [`Consumer::sync`] returns.
    pub fn advance(&mut self, to: Seq) -> Result<(), AdvanceError> {
        let durable = Seq::new(self.durable.load(Ordering::Acquire));
        if to < self.position {
            return Err(AdvanceError::Backwards { from: self.position, to });
        }
        if to > durable {
            return Err(AdvanceError::NotDurable { durable, to });
        }
        self.position = to;
        Ok(())
    }

    /// Makes the position durable. After [`WriteError::DiskFull`] it is still to be done.
    pub fn sync(&mut self) -> Result<(), WriteError> {
        if self.position == self.synced_position() {
            return Ok(());
        }
        let durable = self.durable.load(Ordering::Acquire);
        assert!(self.position.get() <= durable, "a consumer is never ahead of what is durable");
        self.slot.write(&encode_cursor(self.position.get(), durable))?;
        self.synced.store(self.position.get(), Ordering::Release);
        Ok(())
    }

    /// Where the consumer is, synced or not.
    pub fn position(&self) -> Seq {
        self.position
    }

    /// Where it would start after a power cut.
    pub fn synced_position(&self) -> Seq {
        Seq::new(self.synced.load(Ordering::Acquire))
    }
}

/// Why a position was not moved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AdvanceError {
    /// Positions never go back.
    Backwards {
        /// The position.
        from: Seq,
        /// What was asked for.
        to: Seq,
    },
    /// The record there is not durable yet, so nobody can have read it.
    NotDurable {
        /// The highest durable record.
        durable: Seq,
        /// What was asked for.
        to: Seq,
    },
}

impl fmt::Display for AdvanceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backwards { from, to } => {
                write!(f, "consumer position: expected {from} or higher, found {to}")
            }
            Self::NotDurable { durable, to } => {
                write!(f, "consumer position: expected at most the durable {durable}, found {to}")
            }
        }
    }
}

impl core::error::Error for AdvanceError {}

/// Why there is no [`Consumer`].
#[derive(Debug)]
#[non_exhaustive]
pub enum ConsumerError {
    /// Its handle is still in somebody's hands.
    InUse,
    /// The name is no file name.
    Name(NameError),
    /// Its name does not fit into the spool's mark.
    NameTooLong {
        /// Its length.
        bytes: usize,
        /// The longest.
        bytes_max: usize,
    },
    /// Its file cannot be opened.
    Open(OpenError),
    /// A spool has no more consumers than [`CONSUMERS_MAX`](crate::CONSUMERS_MAX).
    TooMany,
    /// Its file cannot be written.
    Write(WriteError),
}

impl fmt::Display for ConsumerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("consumer: its handle is in use"),
            Self::Name(error) => write!(f, "consumer: {error}"),
            Self::NameTooLong { bytes, bytes_max } => {
                write!(f, "consumer: expected a name of at most {bytes_max} bytes, found {bytes}")
            }
            Self::Open(error) => write!(f, "consumer: {error}"),
            Self::TooMany => {
                write!(f, "consumer: expected at most {} in one spool", crate::CONSUMERS_MAX)
            }
            Self::Write(error) => write!(f, "consumer: {error}"),
        }
    }
}

impl core::error::Error for ConsumerError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::InUse | Self::NameTooLong { .. } | Self::TooMany => None,
            Self::Name(error) => Some(error),
            Self::Open(error) => Some(error),
            Self::Write(error) => Some(error),
        }
    }
}

impl From<NameError> for ConsumerError {
    fn from(error: NameError) -> Self {
        Self::Name(error)
    }
}

impl From<OpenError> for ConsumerError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl From<WriteError> for ConsumerError {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

/// The file of consumer `name`.
pub(crate) fn cursor_file(name: &str) -> Result<FileName, NameError> {
    let file = FileName::new(format!("{name}{CURSOR_SUFFIX}"))?;
    // Room for the suffix under which a two-slot file comes into being.
    file.with_suffix(".new")?;
    Ok(file)
}

pub(crate) fn encode_cursor(position: u64, durable: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&position.to_le_bytes());
    bytes[8..].copy_from_slice(&durable.to_le_bytes());
    bytes
}

/// Position and durable watermark.
pub(crate) fn decode_cursor(payload: &[u8]) -> Option<(u64, u64)> {
    let sane = |(position, durable): &(u64, u64)| position <= durable;
    Some((u64_at(payload, 0)?, u64_at(payload, 8)?)).filter(sane)
}
