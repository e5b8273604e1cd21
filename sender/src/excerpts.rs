//! Files of points while they leave: in the state directory and without a name, so that whatever ends
//! the sender ends them.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use tidegate_durable::make_directory;

/// Where such files are made, and within which bounds. Each lane has one at most.
#[derive(Debug)]
pub(crate) struct Excerpts {
    dir: PathBuf,
    bytes_max: u64,
    /// With less than this free none is written on.
    floor_percent: u64,
    n_made: AtomicU64,
}

const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// After so many bytes the free space is looked at again.
const LOOK_BYTES: u64 = 4 << 20;

impl Excerpts {
    /// Makes the directory, and removes what a run has left that was killed before it took the name
    /// away.
    pub(crate) fn open(dir: &Path, bytes_max: u64, floor_percent: u64) -> io::Result<Self> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", dir.display()));
        make_directory(dir, DIR_MODE).map_err(named)?;
        for entry in fs::read_dir(dir).map_err(named)? {
            fs::remove_file(entry.map_err(named)?.path()).map_err(named)?;
        }
        Ok(Self { dir: dir.to_owned(), bytes_max, floor_percent, n_made: AtomicU64::new(0) })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file to be written and read, which is gone once it is closed.
    pub(crate) fn create(&self) -> io::Result<File> {
        let number = self.n_made.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("{number}.tsfile"));
        let mut options = File::options();
        let file = options.read(true).write(true).create_new(true).mode(FILE_MODE).open(&path)?;
        fs::remove_file(&path)?;
        Ok(file)
    }

    /// Writes to such a file within the bounds.
    ///
    /// # Errors of the writes
    /// [`io::ErrorKind::FileTooLarge`] beyond the bound of a file, [`io::ErrorKind::StorageFull`]
    /// where too little space is free.
    pub(crate) fn bounded<'f>(&'f self, file: &'f File) -> Bounded<'f> {
        Bounded { excerpts: self, file, n_bytes: 0, looked_at: None }
    }

    fn check_floor(&self) -> io::Result<()> {
        let disk = rustix::fs::statvfs(&self.dir)?;
        let is_below = u128::from(disk.f_bavail) * 100
            < u128::from(disk.f_blocks) * u128::from(self.floor_percent);
        if !is_below {
            return Ok(());
        }
        let percent = self.floor_percent;
        let text = format!("less than {percent} % are free (sender_pin_floor_percent)");
        Err(io::Error::new(io::ErrorKind::StorageFull, text))
    }
}

/// See [`Excerpts::bounded`].
#[derive(Debug)]
pub(crate) struct Bounded<'f> {
    excerpts: &'f Excerpts,
    file: &'f File,
    n_bytes: u64,
    /// How much was written when the free space was looked at last.
    looked_at: Option<u64>,
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n_bytes = self.n_bytes.saturating_add(bytes.len() as u64);
        let max = self.excerpts.bytes_max;
        if n_bytes > max {
            let text = format!("more than {max} bytes (sender_excerpt_max_bytes)");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        if self.looked_at.is_none_or(|at| n_bytes - at >= LOOK_BYTES) {
            self.excerpts.check_floor()?;
            self.looked_at = Some(n_bytes);
        }
        let n_written = self.file.write(bytes)?;
        self.n_bytes += n_written as u64;
        Ok(n_written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn a_file_has_no_name_and_what_a_kill_left_is_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("excerpts");
        let excerpts = Excerpts::open(&path, 10, 0).expect("a directory");
        let file = excerpts.create().expect("a file");
        excerpts.bounded(&file).write_all(b"0123456789").expect("room");
        let mut found = [0; 10];
        file.read_exact_at(&mut found, 0).expect("what was written");
        assert_eq!(&found, b"0123456789");
        let n_names = || fs::read_dir(&path).expect("a directory").count();
        assert_eq!(n_names(), 0);
        fs::write(path.join("0.tsfile"), "left").expect("a file");
        let excerpts = Excerpts::open(&path, 10, 0).expect("a directory");
        assert_eq!(n_names(), 0);
        excerpts.create().expect("its name is free");
    }

    #[test]
    fn no_more_is_written_than_allowed_and_nothing_below_the_floor() {
        let dir = tempfile::tempdir().expect("a directory");
        for (bytes_max, floor_percent, expected) in [
            (10, 0, Ok(())),
            (9, 0, Err(io::ErrorKind::FileTooLarge)),
            (10, 101, Err(io::ErrorKind::StorageFull)),
        ] {
            let excerpts = Excerpts::open(dir.path(), bytes_max, floor_percent).expect("one");
            let file = excerpts.create().expect("a file");
            let mut out = excerpts.bounded(&file);
            let written = out.write_all(b"01234").and_then(|()| out.write_all(b"56789"));
            assert_eq!(written.map_err(|error| error.kind()), expected, "{bytes_max}");
        }
    }
}
