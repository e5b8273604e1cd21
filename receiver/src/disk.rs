//! The floor under the free space of the file systems of state and target, and what happens at it.

use std::io;
use std::io::ErrorKind;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use tidegate_config::DiskFullPolicy;

/// Shared by the threads that write; asked by the edge without touching the file system.
///
/// Everybody may ask the state's file system. The target's may be a mount that hangs, so only the
/// loader asks it, and the others go by what it found.
#[derive(Debug)]
pub(crate) struct DiskGuard {
    state_dir: PathBuf,
    floor_bytes: AtomicU64,
    state_free_bytes: AtomicU64,
    target_free_bytes: AtomicU64,
    refuses: AtomicBool,
}

impl DiskGuard {
    /// Guards the file system of `state_dir`, and that of the target once it is asked.
    pub(crate) fn new(state_dir: PathBuf, floor_bytes: u64, policy: DiskFullPolicy) -> Self {
        let guard = Self {
            state_dir,
            floor_bytes: AtomicU64::new(floor_bytes),
            state_free_bytes: AtomicU64::new(u64::MAX),
            target_free_bytes: AtomicU64::new(u64::MAX),
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

    /// Asks the state's file system, and says whether there is room for new data.
    pub(crate) fn look(&self) -> bool {
        self.state_free_bytes.store(free_bytes(&self.state_dir), Ordering::Relaxed);
        self.has_room()
    }

    /// Asks the file system of the target, which may block.
    pub(crate) fn look_at_target(&self, target: &Path) {
        self.target_free_bytes.store(free_bytes(target), Ordering::Relaxed);
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
        let state = self.state_free_bytes.load(Ordering::Relaxed);
        state.min(self.target_free_bytes.load(Ordering::Relaxed))
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

/// Without an answer there is no reason to hold anyone up: writes will tell.
fn free_bytes(directory: &Path) -> u64 {
    tidegate_durable::free_bytes(directory).unwrap_or(u64::MAX)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Writer, keeper and control once asked the target too: a mount that hung held up what the
    /// state directory had room for, and with it the answer to `status`.
    #[test]
    fn whoever_asks_for_room_goes_by_what_the_loader_found_at_the_target() {
        let root = tempfile::tempdir().unwrap();
        let (state, target) = (root.path().join("state"), root.path().join("target"));
        std::fs::create_dir(&state).unwrap();
        let guard = DiskGuard::new(state.clone(), 1, DiskFullPolicy::Withhold);
        assert!(guard.look() && guard.free_bytes() < u64::MAX);
        // what cannot be asked has room; what can be has never enough from now on
        std::fs::rename(&state, &target).unwrap();
        guard.set(u64::MAX, DiskFullPolicy::Withhold);
        assert!(guard.look(), "nobody has asked the target");
        guard.look_at_target(&target);
        assert!(!guard.look(), "the loader's word counts");
        std::fs::remove_dir(&target).unwrap();
        assert!(!guard.look(), "and holds until it asks again");
        guard.look_at_target(&target);
        assert!(guard.look());
    }
}
