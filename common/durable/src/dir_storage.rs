//! [`Storage`] on a real directory. The only file of this crate that names `std::fs`
//! (`tests/no_bypass.rs` holds that).

use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use crate::FileName;
use crate::Storage;
use crate::StorageFile;

/// Readable by the service's group, by nobody else: requests carry measured values.
const FILE_MODE: u32 = 0o640;

/// As the system makes them; the process's mask takes from it.
const DIRECTORY_MODE: u32 = 0o777;

/// A real directory.
#[derive(Clone, Debug)]
pub struct DirStorage {
    directory: Arc<PathBuf>,
}

impl DirStorage {
    /// The directory at `path`, created with its parents when absent. What was created is durable
    /// on return.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = path.into();
        make_directory(&directory, DIRECTORY_MODE)?;
        Ok(Self { directory: Arc::new(directory) })
    }

    /// The directory at `path`, which must be there already.
    pub fn existing(path: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = path.into();
        match fs::metadata(&directory)?.is_dir() {
            true => Ok(Self { directory: Arc::new(directory) }),
            false => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    fn path_of(&self, name: &FileName) -> PathBuf {
        self.directory.join(name.as_str())
    }
}

impl Storage for DirStorage {
    type File = DirFile;

    fn create(&self, name: &FileName) -> io::Result<DirFile> {
        File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(self.path_of(name))
            .map(|file| DirFile { file })
    }

    fn open(&self, name: &FileName) -> io::Result<DirFile> {
        File::options().read(true).write(true).open(self.path_of(name)).map(|file| DirFile { file })
    }

    fn open_to_read(&self, name: &FileName) -> io::Result<DirFile> {
        File::open(self.path_of(name)).map(|file| DirFile { file })
    }

    fn list(&self) -> io::Result<Vec<FileName>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.directory.as_path())? {
            let entry = entry?;
            let name =
                entry.file_name().into_string().ok().and_then(|text| FileName::new(text).ok());
            if let Some(name) = name
                && entry.file_type()?.is_file()
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn rename(&self, from: &FileName, to: &FileName) -> io::Result<()> {
        fs::rename(self.path_of(from), self.path_of(to))
    }

    fn remove(&self, name: &FileName) -> io::Result<()> {
        fs::remove_file(self.path_of(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        sync_directory(&self.directory)
    }
}

/// A file of a [`DirStorage`].
#[derive(Debug)]
pub struct DirFile {
    file: File,
}

impl StorageFile for DirFile {
    fn read_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
        loop {
            match self.file.read_at(buffer, offset_bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    fn write_at(&mut self, bytes: &[u8], offset_bytes: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset_bytes)
    }

    fn len_bytes(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }

    fn identity(&self) -> io::Result<(u64, u64)> {
        self.file.metadata().map(|metadata| (metadata.dev(), metadata.ino()))
    }

    fn truncate(&mut self, len_bytes: u64) -> io::Result<()> {
        self.file.set_len(len_bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        // fdatasync writes the length too: it is metadata that reading the bytes needs.
        self.file.sync_data()
    }
}

/// Makes the directory `path`, with its parents when absent; what is made gets `mode`. Its entry in
/// its parent is durable on return, also where an earlier process made it and was ended before it
/// had synced that.
pub fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|ancestor| !ancestor.as_os_str().is_empty() && !ancestor.is_dir())
        .collect();
    for directory in missing.iter().rev() {
        match DirBuilder::new().mode(mode).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        sync_directory(parent_of(directory))?;
    }
    if !path.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    match sync_directory(parent_of(path)) {
        // somebody else has made it there, and looks after it; or the parent's file system knows
        // no such sync
        Err(error)
            if missing.is_empty()
                && matches!(
                    error.kind(),
                    io::ErrorKind::PermissionDenied
                        | io::ErrorKind::InvalidInput
                        | io::ErrorKind::Unsupported
                ) =>
        {
            Ok(())
        }
        outcome => outcome,
    }
}

/// Opens anew each time, so that no descriptor is used again after a failed sync.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
