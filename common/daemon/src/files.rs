//! Reading files that others wrote, without trusting their size or that they are files.

use std::fs::File;
use std::io;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use tidegate_tsfile::ReadAt;

/// The first `bytes_max` bytes of a file and one more if there are more, so that whoever judges the
/// content also sees that it is too large.
///
/// # Errors
/// The file cannot be opened or read; the error names the path.
pub fn read_at_most(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let with_path =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let file = open_regular(path).map_err(with_path)?;
    file.take(limit).read_to_end(&mut bytes).map_err(with_path)?;
    Ok(bytes)
}

/// Opens a file to be read, if it is one: a FIFO under its name would be waited for without end.
///
/// # Errors
/// It cannot be opened, or is no regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let at_once = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(at_once).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("expected a regular file, but found something else")),
    }
}

/// A file that is read by `pread`, never mapped: its owner may cut it short at any time.
#[derive(Debug)]
pub struct PositionedFile {
    file: File,
    length_bytes: u64,
}

impl PositionedFile {
    /// Opens a file to be read, if it is one.
    ///
    /// # Errors
    /// As [`open_regular`].
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = open_regular(path)?;
        let length_bytes = file.metadata()?.len();
        Ok(Self { file, length_bytes })
    }
}

impl ReadAt for PositionedFile {
    fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, offset)
    }
}

/// Files that the process may have open; all there are, where nothing limits them.
pub fn descriptors_max() -> u64 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_over_the_cap_is_cut_one_byte_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("conf");
        for (len, expected) in [(0, 0), (9, 9), (10, 10), (11, 11), (1000, 11)] {
            std::fs::write(&path, vec![b'x'; len]).unwrap();
            assert_eq!(read_at_most(&path, 10).unwrap().len(), expected, "file of {len} bytes");
        }
    }

    #[test]
    fn what_is_no_regular_file_is_refused_and_never_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("conf");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        let error = read_at_most(&path, 10).unwrap_err();
        assert!(error.to_string().contains("expected a regular file"), "{error}");
        assert!(read_at_most(dir.path(), 10).is_err());
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read_at_most(Path::new("no/such/file"), 10).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().starts_with("no/such/file: "), "{error}");
    }
}
