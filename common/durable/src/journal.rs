//! A list of small records in one file: append, group sync, atomic replacement.

use core::fmt;

use crate::FileName;
use crate::OpenError;
use crate::Storage;
use crate::StorageFile;
use crate::WriteError;
use crate::error::Failure;
use crate::error::Operation;
use crate::frame::BODY_BYTES_MAX;
use crate::frame::FORMAT_VERSION;
use crate::frame::FileHeader;
use crate::frame::FileKind;
use crate::frame::FoundHeader;
use crate::log_writer::LogWriter;
use crate::log_writer::create_log;
use crate::log_writer::settle;
use crate::survey::Survey;
use crate::survey::survey;

/// The kind that no record may have: it closes a journal in good order.
pub const KIND_RESERVED: u8 = 0;

const BUFFER_BYTES: usize = 256 * 1024;

/// A record of a journal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JournalRecord {
    /// What it is; never [`KIND_RESERVED`].
    pub kind: u8,
    /// The record.
    pub bytes: Vec<u8>,
}

/// Records in the middle that are lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct JournalDamage {
    /// How many records are lost; the mark behind a rewrite counts as one.
    pub records: u64,
    /// How many intact records stand before them.
    pub after_records: u64,
    /// Where the damaged bytes start in the file.
    pub from_bytes: u64,
    /// Where they end.
    pub to_bytes: u64,
}

impl fmt::Display for JournalDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} records behind the first {} are lost: bytes {} to {} are damaged",
            self.records, self.after_records, self.from_bytes, self.to_bytes
        )
    }
}

/// What [`Journal::open`] has found and done.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct JournalRecovery {
    /// All intact records, in order, also those behind damage.
    pub records: Vec<JournalRecord>,
    /// Ranges that are lost although they were synced.
    pub damage: Vec<JournalDamage>,
    /// Bytes of an unacknowledged tail that were cut off.
    pub torn_bytes: u64,
    /// Intact records among them, behind the first torn one.
    pub torn_records: u64,
    /// Whether one copy of the file's header is damaged; the other one serves.
    pub is_header_copy_damaged: bool,
}

/// An append-only list of small records.
#[derive(Debug)]
pub struct Journal<S: Storage> {
    storage: S,
    name: FileName,
    beside: FileName,
    salt: u32,
    log: LogWriter<S::File>,
}

impl<S: Storage> Journal<S> {
    /// Opens `name`, or makes it when absent. `salt` is any number that peers cannot guess; it goes
    /// into a new file and keeps records that carry images of records from being taken for them.
    pub fn open(
        storage: S,
        name: FileName,
        salt: u32,
    ) -> Result<(Self, JournalRecovery), OpenError> {
        let beside = name.with_suffix(".new")?;
        let (log, recovery) = match storage.open(&name) {
            Ok(file) => recover::<S>(file, &name)?,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                let log = replace(&storage, &name, &beside, salt, |_| Ok(()));
                (log?, JournalRecovery::default())
            }
            Err(cause) => return Err(Failure::new(Operation::Open, &name, cause).into()),
        };
        sync_dir(&storage)?;
        Ok((Self { storage, name, beside, salt, log }, recovery))
    }

    /// What `name` holds, judged as by [`Journal::open`] but changing nothing: for looking at a
    /// journal that may be in use. `None` when it is absent.
    pub fn inspect(storage: &S, name: &FileName) -> Result<Option<JournalRecovery>, OpenError> {
        match storage.open_to_read(name) {
            Ok(file) => judge(&file, name).map(|(_, _, recovery)| Some(recovery)),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(Failure::new(Operation::Open, name, cause).into()),
        }
    }

    /// Adds a record. It is durable after the next [`Journal::sync`]; after
    /// [`WriteError::DiskFull`] every record since the last sync is undone.
    ///
    /// # Panics
    /// When `kind` is [`KIND_RESERVED`].
    pub fn append(&mut self, kind: u8, bytes: &[u8]) -> Result<(), WriteError> {
        assert_ne!(kind, KIND_RESERVED, "this kind closes a journal");
        check_size(bytes)?;
        self.log.append(|body| encode(body, kind, bytes)).map(drop)
    }

    /// Makes every appended record durable.
    pub fn sync(&mut self) -> Result<(), WriteError> {
        self.log.sync().map(drop)
    }

    /// Replaces all records by `records`, atomically: after a power cut the journal holds the old
    /// list or the new one. Records not yet synced are dropped with the old list. After
    /// [`WriteError::DiskFull`] the old list stands.
    ///
    /// # Panics
    /// When a kind is [`KIND_RESERVED`].
    pub fn rewrite<B: AsRef<[u8]>>(
        &mut self,
        records: impl IntoIterator<Item = (u8, B)>,
    ) -> Result<(), WriteError> {
        self.log.refuse_if_failed()?;
        let made = replace(&self.storage, &self.name, &self.beside, self.salt, |log| {
            for (kind, bytes) in records {
                assert_ne!(kind, KIND_RESERVED, "this kind closes a journal");
                let bytes = bytes.as_ref();
                check_size(bytes)?;
                log.append(|body| encode(body, kind, bytes))?;
            }
            Ok(())
        });
        match made {
            Ok(log) => {
                self.log = log;
                Ok(())
            }
            Err(error) => {
                if error.is_fatal() {
                    self.log.set_failed();
                }
                Err(error)
            }
        }
    }

    /// Syncs and closes in good order: from then on every damaged byte, also in the last batch, is
    /// told apart from a torn tail.
    pub fn close(mut self) -> Result<(), WriteError> {
        self.log.sync()?;
        self.log.append(|body| body.push(KIND_RESERVED))?;
        self.log.sync().map(drop)
    }

    /// The length of the file, in bytes, once everything is written.
    pub fn bytes(&self) -> u64 {
        self.log.len_bytes()
    }

    /// Whether its file is the one under its name, with all that was written: else somebody has removed
    /// it, cut it, or put another one in its place, and what is written now nobody will find.
    pub fn is_in_place(&self) -> bool {
        let look = || {
            let found = self.storage.open_to_read(&self.name)?;
            let is_own = found.identity()? == self.log.file().identity()?;
            Ok(is_own && found.len_bytes()? >= self.bytes())
        };
        // what cannot be looked at is not told to be elsewhere
        look().unwrap_or_else(|error: std::io::Error| {
            use std::io::ErrorKind::{NotADirectory, NotFound};
            !matches!(error.kind(), NotFound | NotADirectory)
        })
    }

    /// The file's name.
    pub fn name(&self) -> &FileName {
        &self.name
    }
}

/// Builds the new list beside, then moves it over the old one.
fn replace<S: Storage>(
    storage: &S,
    name: &FileName,
    beside: &FileName,
    salt: u32,
    fill: impl FnOnce(&mut LogWriter<S::File>) -> Result<(), WriteError>,
) -> Result<LogWriter<S::File>, WriteError> {
    match storage.remove(beside) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            return Err(Failure::new(Operation::Remove, beside, cause).into());
        }
        _ => {}
    }
    let header = FileHeader { kind: FileKind::Journal, salt, first_seq: 1, previous_first_seq: 0 };
    let log = create_log(storage, beside, header, BUFFER_BYTES, |log| {
        fill(log)?;
        if log.is_empty() {
            return Ok(());
        }
        // The file gets its name only once it is synced whole, so it may say so in advance.
        log.vouch();
        log.append(|body| body.push(KIND_RESERVED)).map(drop)
    })?;
    storage.rename(beside, name).map_err(|cause| Failure::new(Operation::Rename, beside, cause))?;
    sync_dir(storage)?;
    Ok(log.renamed(name.clone()))
}

fn recover<S: Storage>(
    mut file: S::File,
    name: &FileName,
) -> Result<(LogWriter<S::File>, JournalRecovery), OpenError> {
    let (header, survey, recovery) = judge(&file, name)?;
    // Only frames say what is synced here, and each frame only of those before it.
    assert_eq!(survey.damaged_tail_from_bytes, None, "a journal's tail is torn or intact");
    let keep_bytes = survey.keep_bytes;
    settle(&mut file, name, survey.doubt_from_bytes, keep_bytes)?;
    let next_seq = survey.last_seq + 1;
    let mut log = LogWriter::new(file, name.clone(), header, keep_bytes, next_seq, BUFFER_BYTES);
    if !survey.holes.is_empty() && survey.torn_bytes > 0 {
        // What was cut may have been all that said how far the file was synced: without a mark in its
        // place the next reader would take the damage for the torn tail, and cut what is behind it.
        log.append(|body| body.push(KIND_RESERVED))?;
        log.sync()?;
    }
    Ok((log, recovery))
}

/// Reads all of `file` and changes nothing.
fn judge(
    file: &impl StorageFile,
    name: &FileName,
) -> Result<(FileHeader, Survey, JournalRecovery), OpenError> {
    let read = |cause| Failure::new(Operation::Read, name, cause);
    let (header, damaged_copies) = match FileHeader::read(file, FileKind::Journal).map_err(read)? {
        FoundHeader::Intact { header, damaged_copies } => (header, damaged_copies),
        FoundHeader::Damaged => return Err(OpenError::HeaderDamaged { file: name.clone() }),
        FoundHeader::Newer { version } => {
            let (file, newest) = (name.clone(), FORMAT_VERSION);
            return Err(OpenError::Version { file, found: version, newest });
        }
    };
    let mut found = Vec::new();
    let survey = survey(file, &header, 0, |frame, body| {
        if let Some((kind, bytes)) = body.split_first() {
            found.push((frame.seq, JournalRecord { kind: *kind, bytes: bytes.to_vec() }));
        }
    })
    .map_err(read)?;
    found.retain(|(seq, record)| *seq <= survey.last_seq && record.kind != KIND_RESERVED);
    let damage = survey.holes.iter().map(|hole| JournalDamage {
        records: hole.last_seq + 1 - hole.first_seq,
        after_records: found.iter().filter(|(seq, _)| *seq < hole.first_seq).count() as u64,
        from_bytes: hole.from_bytes,
        to_bytes: hole.to_bytes,
    });
    let recovery = JournalRecovery {
        damage: damage.collect(),
        torn_bytes: survey.torn_bytes,
        torn_records: survey.torn_frames,
        is_header_copy_damaged: damaged_copies > 0,
        records: found.into_iter().map(|(_, record)| record).collect(),
    };
    Ok((header, survey, recovery))
}

fn encode(body: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    body.push(kind);
    body.extend_from_slice(bytes);
}

fn check_size(bytes: &[u8]) -> Result<(), WriteError> {
    let bytes_max = BODY_BYTES_MAX - 1;
    if bytes.len() > bytes_max {
        return Err(WriteError::TooLarge { bytes: bytes.len(), bytes_max });
    }
    Ok(())
}

fn sync_dir(storage: &impl Storage) -> Result<(), Failure> {
    storage.sync_dir().map_err(|cause| Failure::of_directory(Operation::SyncDirectory, cause))
}
