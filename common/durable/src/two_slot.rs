//! One small record that is replaced whole, in a file of two slots written in turn.
//!
//! While one slot is written the other one holds the value before, so a power cut at any byte leaves
//! the old value or the new one. The file comes into being under another name with its first value
//! in it: a file under the final name always had an intact slot once, so two damaged slots are
//! damage and never a beginning.

use crate::FileName;
use crate::OpenError;
use crate::Storage;
use crate::StorageFile;
use crate::WriteError;
use crate::bytes::u16_at;
use crate::bytes::u32_at;
use crate::bytes::u64_at;
use crate::error::Failure;
use crate::error::Operation;

/// The largest payload, in bytes.
pub const TWO_SLOT_PAYLOAD_BYTES_MAX: usize = 4096;

/// Slots lie this far apart: no page and no sector belongs to both.
const SLOT_STRIDE_BYTES: u64 = 8192;
const SLOT_HEADER_BYTES: usize = 24;
const SLOT_BYTES_MAX: usize = SLOT_HEADER_BYTES + TWO_SLOT_PAYLOAD_BYTES_MAX;
const SLOT_MAGIC: [u8; 4] = *b"TgSl";
const SLOT_VERSION: u16 = 1;
const CRC_AT: usize = SLOT_HEADER_BYTES - 4;

const _: () = assert!(SLOT_BYTES_MAX as u64 <= SLOT_STRIDE_BYTES);

/// What [`TwoSlot::open`] has found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TwoSlotContent {
    /// The newest intact payload; `None` when the file is absent.
    pub payload: Option<Vec<u8>>,
    /// Whether the other slot is damaged: torn by a power cut while it was written, or gone bad.
    pub is_other_slot_damaged: bool,
}

/// A small record, replaced atomically.
#[derive(Debug)]
pub struct TwoSlot<S: Storage> {
    storage: S,
    name: FileName,
    state: State<S::File>,
}

#[derive(Debug)]
enum State<F> {
    Absent,
    Failed,
    Ready { file: F, newest: Place },
}

/// Which slot, and how often the record was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Place {
    slot: u64,
    generation: u64,
}

/// A slot as it was read.
enum Slot {
    Damaged,
    Empty,
    Intact { generation: u64, payload: Vec<u8> },
}

impl<S: Storage> TwoSlot<S> {
    /// Opens `name`. What it returns is durable: the newest slot is written again and synced, since
    /// after a failed sync it may be in memory only.
    pub fn open(storage: S, name: FileName) -> Result<(Self, TwoSlotContent), OpenError> {
        let read = match storage.open(&name) {
            Ok(mut file) => {
                let (place, payload, is_other_slot_damaged) = newest_slot(&file, &name)?;
                let bytes = encode_slot(place.generation, &payload);
                write_slot(&mut file, &name, place, &bytes)?;
                let content = TwoSlotContent { payload: Some(payload), is_other_slot_damaged };
                (State::Ready { file, newest: place }, content)
            }
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                (State::Absent, TwoSlotContent { payload: None, is_other_slot_damaged: false })
            }
            Err(cause) => return Err(Failure::new(Operation::Open, &name, cause).into()),
        };
        name.with_suffix(".new")?;
        let (state, content) = read;
        storage.sync_dir().map_err(|e| Failure::of_directory(Operation::SyncDirectory, e))?;
        Ok((Self { storage, name, state }, content))
    }

    /// What `name` holds, changing nothing: for looking at a record that may be in use.
    pub fn inspect(storage: &S, name: &FileName) -> Result<TwoSlotContent, OpenError> {
        match storage.open_to_read(name) {
            Ok(file) => {
                let (_, payload, is_other_slot_damaged) = newest_slot(&file, name)?;
                Ok(TwoSlotContent { payload: Some(payload), is_other_slot_damaged })
            }
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                Ok(TwoSlotContent { payload: None, is_other_slot_damaged: false })
            }
            Err(cause) => Err(Failure::new(Operation::Open, name, cause).into()),
        }
    }

    /// Replaces the record. Durable on return.
    pub fn write(&mut self, payload: &[u8]) -> Result<(), WriteError> {
        if payload.len() > TWO_SLOT_PAYLOAD_BYTES_MAX {
            let bytes_max = TWO_SLOT_PAYLOAD_BYTES_MAX;
            return Err(WriteError::TooLarge { bytes: payload.len(), bytes_max });
        }
        let outcome = match &mut self.state {
            State::Failed => return Err(WriteError::PreviousIo { file: self.name.clone() }),
            State::Absent => self.create(payload),
            State::Ready { file, newest } => {
                let place = Place { slot: 1 - newest.slot, generation: newest.generation + 1 };
                let bytes = encode_slot(place.generation, payload);
                write_slot(file, &self.name, place, &bytes)
                    .map(|()| *newest = place)
                    .map_err(WriteError::from)
            }
        };
        if outcome.as_ref().is_err_and(WriteError::is_fatal) {
            self.state = State::Failed;
        }
        outcome
    }

    /// The file's name.
    pub fn name(&self) -> &FileName {
        &self.name
    }

    /// Writes the first value beside the final name, then moves it there.
    fn create(&mut self, payload: &[u8]) -> Result<(), WriteError> {
        let beside = self.name.with_suffix(".new").map_err(|_| WriteError::TooLarge {
            bytes: self.name.as_str().len() + 4,
            bytes_max: FileName::BYTES_MAX,
        })?;
        let place = Place { slot: 0, generation: 1 };
        // When this fails, what is left beside is replaced by the next attempt.
        let file = self.create_beside(&beside, place, payload)?;
        let directory = |cause| Failure::of_directory(Operation::SyncDirectory, cause);
        let rename = |cause| Failure::new(Operation::Rename, &beside, cause);
        self.storage.rename(&beside, &self.name).map_err(rename)?;
        self.storage.sync_dir().map_err(directory)?;
        self.state = State::Ready { file, newest: place };
        Ok(())
    }

    fn create_beside(
        &self,
        name: &FileName,
        place: Place,
        payload: &[u8],
    ) -> Result<S::File, Failure> {
        let mut file = create_anew(&self.storage, name)?;
        let truncate = |cause| Failure::new(Operation::Truncate, name, cause);
        file.truncate(2 * SLOT_STRIDE_BYTES).map_err(truncate)?;
        write_slot(&mut file, name, place, &encode_slot(place.generation, payload))?;
        Ok(file)
    }
}

/// Creates `name`, replacing what an interrupted attempt has left.
pub(crate) fn create_anew<S: Storage>(storage: &S, name: &FileName) -> Result<S::File, Failure> {
    let create = |cause| Failure::new(Operation::Create, name, cause);
    match storage.create(name) {
        Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => {
            storage.remove(name).map_err(|cause| Failure::new(Operation::Remove, name, cause))?;
            storage.create(name).map_err(create)
        }
        outcome => outcome.map_err(create),
    }
}

fn write_slot(
    file: &mut impl StorageFile,
    name: &FileName,
    place: Place,
    bytes: &[u8],
) -> Result<(), Failure> {
    let offset_bytes = place.slot * SLOT_STRIDE_BYTES;
    assert!(
        matches!(decode_slot(bytes), Ok(Slot::Intact { generation, .. }) if generation == place.generation),
        "a slot is intact before it is written"
    );
    file.write_at(bytes, offset_bytes).map_err(|e| Failure::new(Operation::Write, name, e))?;
    file.sync().map_err(|e| Failure::new(Operation::SyncFile, name, e))
}

/// The newest slot, its payload, and whether the other one is damaged.
fn newest_slot(
    file: &impl StorageFile,
    name: &FileName,
) -> Result<(Place, Vec<u8>, bool), OpenError> {
    let mut newest: Option<(Place, Vec<u8>)> = None;
    let mut is_any_damaged = false;
    for slot in 0..2 {
        let mut bytes = vec![0; SLOT_BYTES_MAX];
        let found = file
            .read_full(&mut bytes, slot * SLOT_STRIDE_BYTES)
            .map_err(|cause| Failure::new(Operation::Read, name, cause))?;
        bytes.truncate(found);
        match decode_slot(&bytes) {
            Ok(Slot::Intact { generation, payload }) => {
                if newest.as_ref().is_none_or(|(place, _)| place.generation < generation) {
                    newest = Some((Place { slot, generation }, payload));
                }
            }
            Ok(Slot::Damaged) => is_any_damaged = true,
            Ok(Slot::Empty) => {}
            Err(found) => {
                let file = name.clone();
                return Err(OpenError::Version { file, found, newest: SLOT_VERSION });
            }
        }
    }
    let (place, payload) =
        newest.ok_or_else(|| OpenError::BothSlotsDamaged { file: name.clone() })?;
    // The first value goes to slot 0, the second to slot 1: an empty slot is sound only then.
    let is_other_damaged = is_any_damaged || (place.generation > 1 && is_empty_beside(file, place));
    Ok((place, payload, is_other_damaged))
}

fn is_empty_beside(file: &impl StorageFile, place: Place) -> bool {
    let mut head = [0; SLOT_HEADER_BYTES];
    let other = (1 - place.slot) * SLOT_STRIDE_BYTES;
    file.read_full(&mut head, other).is_ok_and(|_| head == [0; SLOT_HEADER_BYTES])
}

fn encode_slot(generation: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SLOT_HEADER_BYTES + payload.len());
    bytes.extend_from_slice(&SLOT_MAGIC);
    bytes.extend_from_slice(&SLOT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&(payload.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&generation.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    let crc = slot_crc(&bytes, payload);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// `Err` with the version when the slot is intact and newer than this build.
fn decode_slot(bytes: &[u8]) -> Result<Slot, u16> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(Slot::Empty);
    }
    let Some((version, slot)) = decode_intact_slot(bytes) else { return Ok(Slot::Damaged) };
    if version > SLOT_VERSION { Err(version) } else { Ok(slot) }
}

fn decode_intact_slot(bytes: &[u8]) -> Option<(u16, Slot)> {
    let (head, rest) = bytes.split_at_checked(SLOT_HEADER_BYTES)?;
    let payload = rest.get(..usize::from(u16_at(head, 6)?))?;
    let crc = slot_crc(head.get(..CRC_AT)?, payload);
    if !head.starts_with(&SLOT_MAGIC) || u32_at(head, CRC_AT)? != crc {
        return None;
    }
    let generation = u64_at(head, 8)?;
    Some((u16_at(head, 4)?, Slot::Intact { generation, payload: payload.to_vec() }))
}

fn slot_crc(head: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(payload);
    hasher.finalize()
}
