//! The only door to a disk: one directory, its files, and the two syncs.

use core::fmt::Debug;
use std::io;

use crate::FileName;

/// One directory. Clones are other doors to the same directory.
///
/// A created, renamed or removed entry is durable only after [`Storage::sync_dir`]; bytes and length
/// of a file only after [`StorageFile::sync`]. Dropping a file never syncs it.
pub trait Storage: Clone + Debug + Send + Sync + 'static {
    /// An open file.
    type File: StorageFile;

    /// Creates `name` for reading and writing; [`io::ErrorKind::AlreadyExists`] when it is there.
    fn create(&self, name: &FileName) -> io::Result<Self::File>;

    /// Opens `name` for reading and writing; [`io::ErrorKind::NotFound`] when it is absent.
    fn open(&self, name: &FileName) -> io::Result<Self::File>;

    /// Opens `name` for reading only, which needs no right to write; [`io::ErrorKind::NotFound`]
    /// when it is absent.
    fn open_to_read(&self, name: &FileName) -> io::Result<Self::File>;

    /// Names of all regular files whose name is a [`FileName`], in order.
    fn list(&self) -> io::Result<Vec<FileName>>;

    /// Renames `from` to `to`, replacing `to` atomically.
    fn rename(&self, from: &FileName, to: &FileName) -> io::Result<()>;

    /// Removes `name`.
    fn remove(&self, name: &FileName) -> io::Result<()>;

    /// Makes every entry of the directory durable.
    fn sync_dir(&self) -> io::Result<()>;
}

/// One open file. Several may be open on the same name; they see each other's writes.
pub trait StorageFile: Debug + Send + Sync + 'static {
    /// Reads into `buffer` from `offset_bytes`: how many bytes, 0 only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize>;

    /// Fills `buffer` from `offset_bytes` as far as the file goes: how many bytes.
    fn read_full(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, offset_bytes + filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        Ok(filled)
    }

    /// Writes all of `bytes` at `offset_bytes`. After an error any part of them may be written.
    fn write_at(&mut self, bytes: &[u8], offset_bytes: u64) -> io::Result<()>;

    /// The length now, in bytes.
    fn len_bytes(&self) -> io::Result<u64>;

    /// Which file it is, whatever its name: device and inode.
    fn identity(&self) -> io::Result<(u64, u64)>;

    /// Sets the length; growing fills with zeros.
    fn truncate(&mut self, len_bytes: u64) -> io::Result<()>;

    /// Makes bytes and length durable (`fdatasync`). After an error the file is never trusted again.
    fn sync(&mut self) -> io::Result<()>;
}
