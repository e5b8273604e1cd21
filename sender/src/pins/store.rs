//! What is pinned, shared by the thread that pins and the readers that send from pins.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use tidegate_daemon::files::open_regular;
use tidegate_source::FileIdentity;
use tidegate_source::ModsMark;
use tidegate_source::PinnedMods;
use tidegate_tsfile::ModsKind;

use crate::catalog;

/// All pins. Only one thread changes them.
#[derive(Debug, Default)]
pub(crate) struct PinStore {
    /// Locked for no longer than a look-up takes.
    pins: Mutex<HashMap<FileIdentity, Pin>>,
}

/// One file that is kept, with the deletions beside it.
#[derive(Clone, Debug)]
pub(super) struct Pin {
    pub(super) file: Held,
    pub(super) mods: Option<HeldMods>,
    /// Grows with each pin.
    pub(super) serial: u64,
}

/// By what a file is kept.
#[derive(Clone, Debug)]
pub(super) enum Held {
    /// It is open.
    Open(Arc<File>),
    /// A second name of it.
    Link(PathBuf),
    /// The same bytes.
    Copy(PathBuf),
}

#[derive(Clone, Debug)]
pub(super) struct HeldMods {
    pub(super) kind: ModsKind,
    pub(super) held: Held,
    /// Which list it is; of a copy from an earlier run nobody knows.
    pub(super) inode: Option<u64>,
}

/// A pinned file that was opened to be sent.
#[derive(Debug)]
pub(crate) struct OpenedPin {
    pub(crate) file: File,
    /// Its deletions, and how much of them belongs to it: all whole entries, or up to here.
    pub(crate) mods: Option<(ModsKind, File, Option<u64>)>,
}

impl PinStore {
    /// Opens a pinned file, with exactly the deletions that are asked for; `None` if that cannot be
    /// had any more.
    pub(crate) fn open(
        &self,
        identity: FileIdentity,
        wanted: PinnedMods,
    ) -> io::Result<Option<OpenedPin>> {
        let Some(pin) = self.lock().get(&identity).cloned() else { return Ok(None) };
        let Some(file) = pin.file.open()? else { return Ok(None) };
        let facts = file.metadata()?;
        let is_same = match pin.file {
            Held::Open(_) | Held::Link(_) => catalog::identity(&facts) == identity,
            Held::Copy(_) => facts.len() == identity.length_bytes,
        };
        if !is_same {
            return Ok(None);
        }
        let (mods, length_bytes) = match wanted {
            PinnedMods::Exactly(None) => (None, None),
            PinnedMods::Exactly(Some(mark)) => match pin.mods {
                Some(mods) if mods.is_of(mark) => (Some(mods), Some(mark.seen.length_bytes)),
                Some(_) | None => return Ok(None),
            },
            PinnedMods::Any => (pin.mods, None),
        };
        let Some(mods) = mods else { return Ok(Some(OpenedPin { file, mods: None })) };
        let Some(list) = mods.held.open()? else { return Ok(None) };
        Ok(Some(OpenedPin { file, mods: Some((mods.kind, list, length_bytes)) }))
    }

    /// Which files are pinned.
    pub(super) fn identities(&self) -> HashSet<FileIdentity> {
        self.lock().keys().copied().collect()
    }

    pub(super) fn get(&self, identity: FileIdentity) -> Option<Pin> {
        self.lock().get(&identity).cloned()
    }

    pub(super) fn put(&self, identity: FileIdentity, pin: Pin) {
        self.lock().insert(identity, pin);
    }

    /// Takes a pin out and undoes it.
    pub(super) fn let_go(&self, identity: FileIdentity) -> io::Result<()> {
        let Some(pin) = self.lock().remove(&identity) else { return Ok(()) };
        if let Some(mods) = pin.mods {
            mods.held.let_go()?;
        }
        pin.file.let_go()
    }

    /// How many files are kept in a certain way.
    pub(super) fn count(&self, is_it: impl Fn(&Held) -> bool) -> u64 {
        self.lock().values().filter(|pin| is_it(&pin.file)).count() as u64
    }

    /// All pins, the youngest first.
    pub(super) fn youngest_first(&self) -> Vec<(FileIdentity, Pin)> {
        let mut pins: Vec<(FileIdentity, Pin)> =
            self.lock().iter().map(|(identity, pin)| (*identity, pin.clone())).collect();
        pins.sort_unstable_by_key(|(_, pin)| std::cmp::Reverse(pin.serial));
        pins
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FileIdentity, Pin>> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn open(&self) -> io::Result<Option<File>> {
        let path = match self {
            Self::Open(file) => return file.try_clone().map(Some),
            Self::Link(path) | Self::Copy(path) => path,
        };
        match open_regular(path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        }
    }

    pub(super) fn let_go(&self) -> io::Result<()> {
        match self {
            Self::Open(_) => Ok(()),
            Self::Link(path) | Self::Copy(path) => match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(io::Error::new(error.kind(), format!("{}: {error}", path.display())))
                }
                _ => Ok(()),
            },
        }
    }

    /// Whether room on a disk comes free when it is let go: the source has removed the file, or it is
    /// a copy.
    pub(super) fn takes_room(&self) -> bool {
        match self {
            Self::Open(file) => file.metadata().is_ok_and(|facts| facts.nlink() == 0),
            Self::Link(path) => std::fs::metadata(path).is_ok_and(|facts| facts.nlink() <= 1),
            Self::Copy(_) => true,
        }
    }

    /// The file system that it takes room on.
    pub(super) fn file_system(&self) -> io::Result<(u64, rustix::fs::StatVfs)> {
        match self {
            Self::Open(file) => Ok((file.metadata()?.dev(), rustix::fs::fstatvfs(&**file)?)),
            Self::Link(path) | Self::Copy(path) => {
                Ok((std::fs::metadata(path)?.dev(), rustix::fs::statvfs(path)?))
            }
        }
    }
}

impl HeldMods {
    /// Whether it holds all of a list as far as that was listed. A list only grows while its inode
    /// stays, so what was listed is the beginning of what is there.
    pub(super) fn is_of(&self, mark: ModsMark) -> bool {
        let length_bytes = match &self.held {
            Held::Open(file) => file.metadata().map(|facts| facts.len()),
            Held::Link(path) | Held::Copy(path) => std::fs::metadata(path).map(|facts| facts.len()),
        };
        self.kind == mark.seen.kind
            && self.inode == Some(mark.inode)
            && length_bytes.is_ok_and(|it| it >= mark.seen.length_bytes)
    }
}
