//! A disk in memory that fails on purpose. For tests of this crate and of all that stand on it.
//!
//! Every changing operation is counted (create, write, truncate, sync, rename, remove, directory
//! sync), and so is every reading one. A power cut or a fault can be set on any number.
//! After a power cut, [`SimStorage::images`] gives the states in which the disk may be found: what
//! was synced is there, and of the rest any part, in any order, torn anywhere.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::FileName;
use crate::Storage;
use crate::StorageFile;

mod images;

pub use images::SimImage;

/// What an operation does instead of its work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // tests go through all of them
pub enum SimFault {
    /// The disk is full: a write does half of its work first; syncs fail and lose what they were to
    /// keep.
    DiskFull,
    /// The device fails (`EIO`): a write does half of its work first; syncs fail and lose what they
    /// were to keep.
    Io,
    /// The power goes: neither this operation nor any other one gets an answer.
    PowerCut,
}

/// A directory in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct SimStorage {
    state: Arc<Mutex<State>>,
}

/// A file of a [`SimStorage`].
#[derive(Debug)]
pub struct SimFile {
    state: Arc<Mutex<State>>,
    inode: usize,
    name: FileName,
}

/// A change of a file that is not synced.
#[derive(Clone, Debug)]
enum Change {
    Truncate { len_bytes: u64 },
    Write { offset_bytes: u64, bytes: Vec<u8> },
}

/// A change of the directory that is not synced.
#[derive(Clone, Debug)]
enum EntryChange {
    Create { name: FileName, inode: usize },
    Remove { name: FileName },
    Rename { from: FileName, to: FileName },
}

#[derive(Clone, Debug, Default)]
struct Inode {
    /// What a running system sees.
    live: Vec<u8>,
    /// What a power cut leaves for certain.
    durable: Vec<u8>,
    /// What it may leave besides, oldest first.
    pending: Vec<Change>,
}

#[derive(Clone, Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    live: BTreeMap<FileName, usize>,
    durable: BTreeMap<FileName, usize>,
    pending: Vec<EntryChange>,
    changes: u64,
    reads: u64,
    change_faults: BTreeMap<u64, SimFault>,
    read_faults: BTreeMap<u64, SimFault>,
    capacity_bytes: Option<u64>,
    is_off: bool,
    log: Vec<String>,
}

impl SimStorage {
    /// An empty directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `fault` on the changing operation number `index`, counted from 0.
    #[must_use]
    pub fn with_fault(self, index: u64, fault: SimFault) -> Self {
        self.lock().change_faults.insert(index, fault);
        self
    }

    /// Sets `fault` on the reading operation number `index`, counted from 0.
    #[must_use]
    pub fn with_read_fault(self, index: u64, fault: SimFault) -> Self {
        self.lock().read_faults.insert(index, fault);
        self
    }

    /// Lets files hold no more than `capacity_bytes` together; `None` for as much as they like.
    pub fn set_capacity_bytes(&self, capacity_bytes: Option<u64>) {
        self.lock().capacity_bytes = capacity_bytes;
    }

    /// How many changing operations there were.
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// How many reading operations there were.
    pub fn reads(&self) -> u64 {
        self.lock().reads
    }

    /// Whether the power is gone.
    pub fn is_off(&self) -> bool {
        self.lock().is_off
    }

    /// The changing operations so far, one line each.
    pub fn log(&self) -> Vec<String> {
        self.lock().log.clone()
    }

    /// Cuts the power between two operations.
    pub fn cut_power(&self) {
        self.lock().is_off = true;
    }

    /// The same disk for a new process: counters and faults start anew, and unsynced changes are
    /// still in memory, as after `kill -9`.
    pub fn restarted(&self) -> Self {
        let old = self.lock().clone();
        let state = State {
            inodes: old.inodes,
            live: old.live,
            durable: old.durable,
            pending: old.pending,
            capacity_bytes: old.capacity_bytes,
            ..State::default()
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The bytes of `name` as a running system sees them.
    pub fn content(&self, name: &FileName) -> Option<Vec<u8>> {
        let state = self.lock();
        let inode = state.live.get(name)?;
        state.inodes.get(*inode).map(|inode| inode.live.clone())
    }

    /// Replaces the bytes of `name`, durably and outside of all counting: damage at rest.
    pub fn set_content(&self, name: &FileName, bytes: Vec<u8>) {
        let mut state = self.lock();
        let inode = Inode { live: bytes.clone(), durable: bytes, pending: Vec::new() };
        let index = state.inodes.len();
        state.inodes.push(inode);
        state.live.insert(name.clone(), index);
        state.durable.insert(name.clone(), index);
    }

    /// Removes `name`, durably and outside of all counting.
    pub fn delete(&self, name: &FileName) {
        let mut state = self.lock();
        state.live.remove(name);
        state.durable.remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// A test that panicked while it held the lock has failed already.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// Counts a changing operation: the fault that is set on it.
    fn change(&mut self, what: &str) -> io::Result<Option<SimFault>> {
        self.refuse_when_off()?;
        let fault = self.change_faults.get(&self.changes).copied();
        self.log.push(format!("{} {what}", self.changes));
        self.changes += 1;
        self.is_off |= fault == Some(SimFault::PowerCut);
        Ok(fault)
    }

    fn read(&mut self) -> io::Result<()> {
        self.refuse_when_off()?;
        let fault = self.read_faults.get(&self.reads).copied();
        self.reads += 1;
        self.is_off |= fault == Some(SimFault::PowerCut);
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn refuse_when_off(&self) -> io::Result<()> {
        if self.is_off { Err(SimFault::PowerCut.error()) } else { Ok(()) }
    }

    fn inode_of(&self, name: &FileName) -> io::Result<usize> {
        self.live.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn used_bytes(&self) -> u64 {
        self.live.values().filter_map(|i| self.inodes.get(*i)).map(|i| i.live.len() as u64).sum()
    }

    fn inode_mut(&mut self, index: usize) -> io::Result<&mut Inode> {
        self.inodes.get_mut(index).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Changes the directory unless a fault forbids. With the power going it may have happened.
    fn change_entry(&mut self, what: &str, change: EntryChange) -> io::Result<()> {
        let fault = self.change(what)?;
        if matches!(fault, None | Some(SimFault::PowerCut)) {
            change.apply(&mut self.live);
            self.pending.push(change);
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }
}

impl SimFault {
    fn error(self) -> io::Error {
        match self {
            Self::DiskFull => io::ErrorKind::StorageFull.into(),
            Self::Io => io::Error::other("simulated EIO"),
            Self::PowerCut => io::Error::other("simulated power cut"),
        }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Truncate { len_bytes } => bytes.resize(*len_bytes as usize, 0),
            Self::Write { offset_bytes, bytes: written } => {
                let start = *offset_bytes as usize;
                let end = start + written.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[start..end].copy_from_slice(written);
            }
        }
    }
}

impl EntryChange {
    fn apply(&self, entries: &mut BTreeMap<FileName, usize>) {
        match self {
            Self::Create { name, inode } => {
                entries.insert(name.clone(), *inode);
            }
            Self::Remove { name } => {
                entries.remove(name);
            }
            Self::Rename { from, to } => {
                if let Some(inode) = entries.remove(from) {
                    entries.insert(to.clone(), inode);
                }
            }
        }
    }
}

impl Storage for SimStorage {
    type File = SimFile;

    fn create(&self, name: &FileName) -> io::Result<SimFile> {
        let mut state = self.lock();
        if state.live.contains_key(name) {
            state.refuse_when_off()?;
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        let change = EntryChange::Create { name: name.clone(), inode };
        state.change_entry(&format!("create {name}"), change)?;
        Ok(SimFile { state: Arc::clone(&self.state), inode, name: name.clone() })
    }

    fn open(&self, name: &FileName) -> io::Result<SimFile> {
        let mut state = self.lock();
        state.read()?;
        let inode = state.inode_of(name)?;
        Ok(SimFile { state: Arc::clone(&self.state), inode, name: name.clone() })
    }

    fn open_to_read(&self, name: &FileName) -> io::Result<SimFile> {
        self.open(name)
    }

    fn list(&self) -> io::Result<Vec<FileName>> {
        let mut state = self.lock();
        state.read()?;
        Ok(state.live.keys().cloned().collect())
    }

    fn rename(&self, from: &FileName, to: &FileName) -> io::Result<()> {
        let mut state = self.lock();
        state.inode_of(from)?;
        let change = EntryChange::Rename { from: from.clone(), to: to.clone() };
        state.change_entry(&format!("rename {from} to {to}"), change)
    }

    fn remove(&self, name: &FileName) -> io::Result<()> {
        let mut state = self.lock();
        state.refuse_when_off()?;
        state.inode_of(name)?;
        let change = EntryChange::Remove { name: name.clone() };
        state.change_entry(&format!("remove {name}"), change)
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.lock();
        if let Some(fault) = state.change("sync directory")? {
            return Err(fault.error());
        }
        state.durable = state.live.clone();
        state.pending.clear();
        Ok(())
    }
}

impl StorageFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
        let mut state = lock(&self.state);
        state.read()?;
        let live = &state.inode_mut(self.inode)?.live;
        let rest = live.get(offset_bytes as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&mut self, bytes: &[u8], offset_bytes: u64) -> io::Result<()> {
        let mut state = lock(&self.state);
        let what = format!("write {} at {offset_bytes} {}", bytes.len(), self.name);
        let mut fault = state.change(&what)?;
        let used = state.used_bytes();
        let capacity = state.capacity_bytes.unwrap_or(u64::MAX);
        let inode = state.inode_mut(self.inode)?;
        let end = offset_bytes + bytes.len() as u64;
        if end.saturating_sub(inode.live.len() as u64) > capacity.saturating_sub(used) {
            fault = fault.or(Some(SimFault::DiskFull));
        }
        let done = match fault {
            None | Some(SimFault::PowerCut) => bytes,
            Some(_) => &bytes[..bytes.len() / 2],
        };
        let change = Change::Write { offset_bytes, bytes: done.to_vec() };
        change.apply(&mut inode.live);
        inode.pending.push(change);
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn len_bytes(&self) -> io::Result<u64> {
        let mut state = lock(&self.state);
        state.read()?;
        Ok(state.inode_mut(self.inode)?.live.len() as u64)
    }

    fn identity(&self) -> io::Result<(u64, u64)> {
        Ok((0, self.inode as u64))
    }

    fn truncate(&mut self, len_bytes: u64) -> io::Result<()> {
        let mut state = lock(&self.state);
        let fault = state.change(&format!("truncate to {len_bytes} {}", self.name))?;
        if matches!(fault, None | Some(SimFault::PowerCut)) {
            let change = Change::Truncate { len_bytes };
            let inode = state.inode_mut(self.inode)?;
            change.apply(&mut inode.live);
            inode.pending.push(change);
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = lock(&self.state);
        let fault = state.change(&format!("sync {}", self.name))?;
        let inode = state.inode_mut(self.inode)?;
        match fault {
            None => {
                // Not a copy of what is live: what an earlier failed sync has lost stays lost until
                // it is written again.
                for change in std::mem::take(&mut inode.pending) {
                    change.apply(&mut inode.durable);
                }
                Ok(())
            }
            Some(SimFault::PowerCut) => Err(SimFault::PowerCut.error()),
            Some(fault) => {
                inode.pending.clear();
                Err(fault.error())
            }
        }
    }
}
