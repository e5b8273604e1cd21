//! The only door of a store to the file system: directories below its root, and files that come in.
//!
//! Everything that is written goes through [`Storage`], so that a simulated disk sees it.

use core::fmt::Debug;
use std::fs;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_durable::DirFile;
use tidegate_durable::DirStorage;
use tidegate_durable::FileName;
use tidegate_durable::Storage;
use tidegate_durable::StorageFile;
use tidegate_tsfile::ReadAt;

/// Directories of a store.
pub trait Volume: Clone + Debug + Send + Sync + 'static {
    /// One directory.
    type Dir: Storage;

    /// The directory at `path`, names with `/` between them, below the root; the empty path is the
    /// root. Made when absent, below a root that is there; its entry is durable on return.
    fn dir(&self, path: &str) -> io::Result<Self::Dir>;

    /// The paths of all directories of files that are there.
    fn data_dirs(&self) -> io::Result<Vec<String>>;

    /// Opens a file that lies elsewhere; `None` if it is not there.
    fn open_elsewhere(
        &self,
        path: &Path,
    ) -> io::Result<Option<StoredFile<<Self::Dir as Storage>::File>>>;

    /// Puts a file that lies elsewhere, and is synced, into a directory; `false` if it is not there.
    /// What stands there under that name is replaced. The file stays where it was, too.
    fn adopt(&self, from: &Path, path: &str, name: &FileName) -> io::Result<bool>;
}

/// Where the TsFiles of a store lie.
pub(crate) const DATA: &str = "data/unsequence";

/// A store's directory on a real disk.
#[derive(Clone, Debug)]
pub struct DirVolume {
    root: Arc<PathBuf>,
}

impl DirVolume {
    /// The store in `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: Arc::new(root.into()) }
    }

    fn at(&self, path: &str) -> PathBuf {
        match path {
            "" => self.root.to_path_buf(),
            _ => self.root.join(path),
        }
    }
}

impl Volume for DirVolume {
    type Dir = DirStorage;

    fn dir(&self, path: &str) -> io::Result<DirStorage> {
        // one that was removed is never made anew below a store that is open
        if !path.is_empty() && !self.root.try_exists()? {
            return Err(io::ErrorKind::NotFound.into());
        }
        DirStorage::open(self.at(path))
    }

    fn data_dirs(&self) -> io::Result<Vec<String>> {
        let mut level = vec![DATA.to_owned()];
        for _ in ["database", "region", "partition"] {
            let mut below = Vec::new();
            for path in level {
                let entries = match fs::read_dir(self.at(&path)) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    entries => entries?,
                };
                for entry in entries {
                    let entry = entry?;
                    if let Ok(name) = entry.file_name().into_string()
                        && entry.file_type()?.is_dir()
                    {
                        below.push(format!("{path}/{name}"));
                    }
                }
            }
            level = below;
        }
        level.sort_unstable();
        Ok(level)
    }

    fn open_elsewhere(&self, path: &Path) -> io::Result<Option<StoredFile<DirFile>>> {
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(None);
        };
        let name = FileName::new(name.to_string_lossy()).map_err(io::Error::other)?;
        let opened = DirStorage::existing(directory).and_then(|it| it.open_to_read(&name));
        match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.and_then(StoredFile::new).map(Some),
        }
    }

    fn adopt(&self, from: &Path, path: &str, name: &FileName) -> io::Result<bool> {
        if !from.try_exists()? {
            return Ok(false);
        }
        let to = self.at(path).join(name.as_str());
        match fs::remove_file(&to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => (),
        }
        if fs::hard_link(from, &to).is_err() {
            // another file system, or one without links
            fs::copy(from, &to)?;
            fs::File::open(&to)?.sync_all()?;
        }
        Ok(true)
    }
}

/// A file of a store as a source of bytes.
#[derive(Debug)]
pub struct StoredFile<F> {
    file: F,
    length_bytes: u64,
}

impl<F: StorageFile> StoredFile<F> {
    /// A file that is open.
    pub fn new(file: F) -> io::Result<Self> {
        let length_bytes = file.len_bytes()?;
        Ok(Self { file, length_bytes })
    }

    pub(crate) fn length(&self) -> u64 {
        self.length_bytes
    }
}

impl<F: StorageFile> ReadAt for StoredFile<F> {
    fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        match self.file.read_full(into, offset)? == into.len() {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// A file that is written front to back.
#[derive(Debug)]
pub(crate) struct Sink<F> {
    pub(crate) file: F,
    offset: u64,
}

impl<F> Sink<F> {
    pub(crate) fn new(file: F) -> Self {
        Self { file, offset: 0 }
    }
}

impl<F: StorageFile> Write for Sink<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(bytes, self.offset)?;
        self.offset = self.offset.saturating_add(bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
