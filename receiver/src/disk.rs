//! The floor under the free space of the file systems of state and target, and what happens at it.

use std::io;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use tidegate_config::DiskFullPolicy;

/// Shared by the threads that write; asked by the edge without touching the file system.
#[derive(Debug)]
pub(crate) struct DiskGuard {
    directories: Vec<PathBuf>,
    floor_bytes: AtomicU64,
    free_bytes: AtomicU64,
    refuses: AtomicBool,
}

impl DiskGuard {
    /// Guards the file systems of `directories`.
    pub(crate) fn new(directories: Vec<PathBuf>, floor_bytes: u64, policy: DiskFullPolicy) -> Self {
        let guard = Self {
            directories,
            floor_bytes: AtomicU64::new(floor_bytes),
            free_bytes: AtomicU64::new(u64::MAX),
            refuses: AtomicBool::new(policy == DiskFullPolicy::Refuse),
        };
        guard.look();
        guard
    }

    /// Takes over changed keys.
    pub(crate) fn set(&self, floor_bytes: u64, policy: DiskFullPolicy) {
        self.floor_bytes.store(floor_bytes, Ordering::Relaxed);
        self.refuses.store(policy == DiskFullPolicy::Refuse, Ordering::Relaxed);
    }

    /// Asks the file system, and says whether there is room for new data.
    pub(crate) fn look(&self) -> bool {
        // without an answer there is no reason to hold anyone up: writes will tell
        let free =
            |directory: &PathBuf| tidegate_durable::free_bytes(directory).unwrap_or(u64::MAX);
        let free_bytes = self.directories.iter().map(free).min().unwrap_or(u64::MAX);
        self.free_bytes.store(free_bytes, Ordering::Relaxed);
        self.has_room()
    }

    /// Whether there was room at the last look.
    pub(crate) fn has_room(&self) -> bool {
        self.free_bytes() >= self.floor_bytes()
    }

    /// The floor.
    pub(crate) fn floor_bytes(&self) -> u64 {
        self.floor_bytes.load(Ordering::Relaxed)
    }

    /// Free bytes at the last look, where there is least.
    pub(crate) fn free_bytes(&self) -> u64 {
        self.free_bytes.load(Ordering::Relaxed)
    }

    /// What to do without room.
    pub(crate) fn policy(&self) -> DiskFullPolicy {
        match self.refuses.load(Ordering::Relaxed) {
            true => DiskFullPolicy::Refuse,
            false => DiskFullPolicy::Withhold,
        }
    }

    /// Why something has to wait, in words.
    pub(crate) fn reason(&self) -> String {
        format!(
            "disk nearly full: {} bytes free, receiver_disk_floor_bytes is {}",
            self.free_bytes(),
            self.floor_bytes()
        )
    }
}

/// Whether an error says that there is no room or no descriptor, which passes; anything else does
/// not.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
        || is_out_of_descriptors(error)
}

/// Whether the process or the system has no descriptor left. Only opening says that, never a sync.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    matches!(errno, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE))
}

/// Whether an error about the target may pass when somebody looks after it: what was acknowledged
/// stays in the state directory until then. A failed sync or read never passes.
pub(crate) fn may_pass(error: &io::Error) -> bool {
    let known = [
        // something else has the name of a directory, such as a link to one that is not mounted
        ErrorKind::AlreadyExists,
        ErrorKind::IsADirectory,
        ErrorKind::NotADirectory,
        ErrorKind::NotFound,
        ErrorKind::PermissionDenied,
        ErrorKind::ReadOnlyFilesystem,
    ];
    is_full(error) || known.contains(&error.kind())
}
