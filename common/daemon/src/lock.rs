//! One daemon per state directory: an exclusive lock on the file `lock` inside it.
//!
//! The kernel lets the lock go when the process ends, however it ends, so a lock file that was left
//! behind never has to be removed by hand.

use core::fmt;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

/// Readable by the service's group, by nobody else.
const DIRECTORY_MODE: u32 = 0o750;

/// Digits of a process id, and some.
const PID_BYTES_MAX: u64 = 20;

/// The lock; dropping it lets the directory go.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Locks `state_dir`, which is made, durably, if it does not exist (mode 0750).
    ///
    /// # Errors
    /// Another process holds it, or the file system refuses.
    pub fn acquire(state_dir: &Path) -> Result<Self, LockError> {
        let path = state_dir.join("lock");
        let io_error = |source| LockError::Io { path: path.clone(), source };
        tidegate_durable::make_directory(state_dir, DIRECTORY_MODE).map_err(io_error)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false) // the holder's number is still needed
            .mode(0o640)
            .open(&path)
            .map_err(io_error)?;
        match file.try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held { pid: read_pid(&file), state_dir: state_dir.into() });
            }
            Err(TryLockError::Error(source)) => return Err(io_error(source)),
        }
        file.set_len(0).map_err(io_error)?;
        writeln!(file, "{}", std::process::id()).map_err(io_error)?;
        Ok(Self { _file: file })
    }
}

/// Who wrote into the lock file; for the message only.
fn read_pid(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(PID_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Why a state directory was not locked.
#[derive(Debug)]
#[non_exhaustive]
pub enum LockError {
    /// Another process has it.
    Held {
        /// Its number, if it could be read.
        pid: Option<u32>,
        /// The directory.
        state_dir: PathBuf,
    },
    /// The lock file cannot be used.
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { pid: Some(pid), state_dir } => {
                write!(f, "state directory {} is in use by process {pid}", state_dir.display())
            }
            Self::Held { pid: None, state_dir } => {
                write!(f, "state directory {} is in use by another process", state_dir.display())
            }
            Self::Io { path, source } => write!(f, "lock file {}: {source}", path.display()),
        }
    }
}

impl std::error::Error for LockError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Held { .. } => None,
            Self::Io { source, .. } => Some(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_second_daemon_on_a_state_directory_is_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("a/b");
        let first = StateLock::acquire(&state).unwrap();
        let mode = std::fs::metadata(&state).unwrap().permissions().mode();
        assert_eq!(mode & 0o7027, 0, "{mode:o}");
        let error = StateLock::acquire(&state).unwrap_err();
        let expected = format!(
            "state directory {} is in use by process {}",
            state.display(),
            std::process::id(),
        );
        assert_eq!(error.to_string(), expected);
        drop(first);
        StateLock::acquire(&state).unwrap();
    }

    #[test]
    fn a_lock_file_left_behind_does_not_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        std::fs::write(&path, "4194304999 and more than a number").unwrap();
        let _lock = StateLock::acquire(dir.path()).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_state_directory_that_is_a_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "").unwrap();
        let error = StateLock::acquire(&path).unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}
