//! Reading the deletions beside a TsFile, as far as they are whole.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use tidegate_daemon::files::open_regular;
use tidegate_source::ModsSeen;
use tidegate_source::Stall;
use tidegate_tsfile::Ending;
use tidegate_tsfile::ModsKind;

use super::stall;
use crate::pins::with_suffix;

/// Bytes read at once of a file of deletions.
const MODS_READ_BYTES: usize = 64 * 1024;

/// Whole entries of the mods file beside a TsFile, and how much that is.
pub(super) fn read(
    ts_file: &Path,
    mods_bytes_max: u64,
) -> Result<(Option<Vec<u8>>, Option<ModsSeen>), Stall> {
    // As the catalog does; what was listed may have given way to the other kind since.
    for kind in [ModsKind::Binary, ModsKind::Text] {
        let path = with_suffix(ts_file, kind.suffix());
        let file = match open_regular(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(stall(&path, "opening", &error)),
        };
        let bytes = read_from_start(&file, &path, u64::MAX, mods_bytes_max)?;
        if bytes.is_empty() {
            continue;
        }
        let (bytes, ending) = whole_entries(bytes, kind);
        if let Ending::Damaged(error) = ending {
            return Err(Stall::Blocked(format!(
                "{}: {error}; without its deletions the file would bring deleted rows back: have \
                 IoTDB compact the file, or see \"A list of deletions is damaged\" in the manual's \
                 troubleshooting",
                path.display()
            )));
        }
        let seen = seen(&bytes, kind);
        return Ok((seen.map(|_| bytes), seen));
    }
    Ok((None, None))
}

/// The first bytes of a file of deletions, all of them if it has fewer.
pub(super) fn read_from_start(
    file: &File,
    path: &Path,
    length_bytes: u64,
    mods_bytes_max: u64,
) -> Result<Vec<u8>, Stall> {
    let bytes_max = length_bytes.min(mods_bytes_max.saturating_add(1));
    let mut bytes = Vec::new();
    let mut buffer = vec![0; MODS_READ_BYTES];
    while (bytes.len() as u64) < bytes_max {
        let left = usize::try_from(bytes_max - bytes.len() as u64).unwrap_or(usize::MAX);
        let n_wanted = left.min(buffer.len());
        // With its offset: a pin's descriptor is shared by all who read it.
        let n_read = file
            .read_at(&mut buffer[..n_wanted], bytes.len() as u64)
            .map_err(|error| stall(path, "reading", &error))?;
        if n_read == 0 {
            break;
        }
        bytes.extend_from_slice(&buffer[..n_read]);
    }
    if bytes.len() as u64 > mods_bytes_max {
        return Err(Stall::Blocked(format!(
            "{}: more deletions than sender_mods_max_bytes ({mods_bytes_max}) allows; raise it",
            path.display()
        )));
    }
    Ok(bytes)
}

/// The whole entries of a list of deletions, and what stands behind them.
pub(super) fn whole_entries(mut bytes: Vec<u8>, kind: ModsKind) -> (Vec<u8>, Ending) {
    let mut walk = kind.entries(&bytes, 0);
    while walk.next().is_some() {}
    let whole_bytes = walk.whole_bytes();
    let ending = walk.into_ending();
    bytes.truncate(whole_bytes);
    (bytes, ending)
}

/// How far a list was read, unless nothing is in it.
pub(super) fn seen(bytes: &[u8], kind: ModsKind) -> Option<ModsSeen> {
    (!bytes.is_empty()).then_some(ModsSeen { kind, length_bytes: bytes.len() as u64 })
}
