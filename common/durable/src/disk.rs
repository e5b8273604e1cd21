//! How much room a file system has left.

use std::io;
use std::path::Path;

/// Bytes that this process may still write to the file system that holds `path`.
///
/// Blocks reserved for root do not count.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
