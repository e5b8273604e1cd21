//! Appends frames to one file: buffer, group write, sync, and undo when the disk is full.

use crate::FileName;
use crate::Storage;
use crate::StorageFile;
use crate::error::Failure;
use crate::error::Operation;
use crate::error::WriteError;
use crate::frame::FILE_HEADER_BYTES;
use crate::frame::FRAME_HEADER_BYTES;
use crate::frame::FileHeader;
use crate::frame::append_frame;
use crate::frame::count_whole_frames;

/// Bytes are moved in pieces of this size when the tail of a file is written again.
const REWRITE_BYTES: usize = 256 * 1024;

/// The writing end of a journal or of a spool's active segment.
#[derive(Debug)]
pub(crate) struct LogWriter<F> {
    file: F,
    name: FileName,
    header: FileHeader,
    buffer: Vec<u8>,
    /// Written out once it holds this much.
    buffer_bytes: usize,
    /// Where the buffer goes. `synced_bytes <= written_bytes`.
    written_bytes: u64,
    synced_bytes: u64,
    /// The number of the first frame in the buffer. `synced_seq < buffered_from_seq <= next_seq`.
    buffered_from_seq: u64,
    next_seq: u64,
    synced_seq: u64,
    is_failed: bool,
}

impl<F: StorageFile> LogWriter<F> {
    /// Continues `file`, which ends after `written_bytes`; everything below `next_seq` is synced.
    pub(crate) fn new(
        file: F,
        name: FileName,
        header: FileHeader,
        written_bytes: u64,
        next_seq: u64,
        buffer_bytes: usize,
    ) -> Self {
        assert!(written_bytes >= FILE_HEADER_BYTES, "the file header is written first");
        assert!(next_seq >= header.first_seq, "numbers never go back");
        Self {
            file,
            name,
            header,
            buffer: Vec::new(),
            buffer_bytes,
            written_bytes,
            synced_bytes: written_bytes,
            buffered_from_seq: next_seq,
            next_seq,
            synced_seq: next_seq - 1,
            is_failed: false,
        }
    }

    /// Adds one frame: its number. Written out only when the buffer is full.
    pub(crate) fn append(&mut self, body: impl FnOnce(&mut Vec<u8>)) -> Result<u64, WriteError> {
        self.refuse_if_failed()?;
        let seq = self.next_seq;
        append_frame(&mut self.buffer, self.header.salt, seq, self.synced_seq, body);
        self.next_seq += 1;
        if self.buffer.len() >= self.buffer_bytes {
            self.write_out()?;
        }
        Ok(seq)
    }

    /// Makes every appended frame durable: the number of the last one.
    pub(crate) fn sync(&mut self) -> Result<u64, WriteError> {
        self.refuse_if_failed()?;
        if self.synced_seq + 1 == self.next_seq {
            return Ok(self.synced_seq);
        }
        self.write_out()?;
        if let Err(cause) = self.file.sync() {
            return Err(self.fail(Operation::SyncFile, cause));
        }
        self.synced_bytes = self.written_bytes;
        self.synced_seq = self.next_seq - 1;
        assert!(self.buffer.is_empty(), "nothing stays behind a sync");
        Ok(self.synced_seq)
    }

    /// Lets the next frames say that all frames before them are synced. Only for a file that nobody
    /// can see before it is.
    pub(crate) fn vouch(&mut self) {
        self.synced_seq = self.next_seq - 1;
    }

    /// The writer of the same file under the name it has got.
    pub(crate) fn renamed(mut self, name: FileName) -> Self {
        self.name = name;
        self
    }

    /// Marks the writer as failed by something that happened around it.
    pub(crate) fn set_failed(&mut self) {
        self.is_failed = true;
    }

    pub(crate) fn refuse_if_failed(&self) -> Result<(), WriteError> {
        if self.is_failed {
            return Err(WriteError::PreviousIo { file: self.name.clone() });
        }
        Ok(())
    }

    pub(crate) fn header(&self) -> &FileHeader {
        &self.header
    }

    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    pub(crate) fn synced_seq(&self) -> u64 {
        self.synced_seq
    }

    /// The file that is written to.
    pub(crate) fn file(&self) -> &F {
        &self.file
    }

    /// Length of the file once the buffer is written.
    pub(crate) fn len_bytes(&self) -> u64 {
        self.written_bytes + self.buffer.len() as u64
    }

    /// Whether a frame was ever appended.
    pub(crate) fn is_empty(&self) -> bool {
        self.next_seq == self.header.first_seq
    }

    fn write_out(&mut self) -> Result<(), WriteError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let frames = count_whole_frames(&self.buffer, self.header.salt, self.buffered_from_seq);
        assert_eq!(
            frames,
            Some(self.next_seq - self.buffered_from_seq),
            "frames in memory are no longer what was appended"
        );
        if let Err(cause) = self.file.write_at(&self.buffer, self.written_bytes) {
            let error = Failure::new(Operation::Write, &self.name, cause).into();
            return Err(self.undo(error));
        }
        self.written_bytes += self.buffer.len() as u64;
        self.buffered_from_seq = self.next_seq;
        self.buffer.clear();
        if self.buffer.capacity() > self.buffer_bytes.saturating_mul(2) {
            self.buffer.shrink_to(self.buffer_bytes);
        }
        Ok(())
    }

    /// Takes back everything behind the last sync when the disk is full; ends the writer otherwise.
    fn undo(&mut self, error: WriteError) -> WriteError {
        if error.is_fatal() {
            self.is_failed = true;
            return error;
        }
        if let Err(cause) = self.file.truncate(self.synced_bytes) {
            return self.fail(Operation::Truncate, cause);
        }
        self.buffer.clear();
        self.written_bytes = self.synced_bytes;
        self.next_seq = self.synced_seq + 1;
        self.buffered_from_seq = self.next_seq;
        error
    }

    fn fail(&mut self, operation: Operation, cause: std::io::Error) -> WriteError {
        self.is_failed = true;
        WriteError::Fatal(Failure::new(operation, &self.name, cause))
    }
}

/// Makes a new file with `header` and the frames that `fill` appends, and syncs it. The directory is
/// the caller's. When anything fails, the file is taken away again.
pub(crate) fn create_log<S: Storage>(
    storage: &S,
    name: &FileName,
    header: FileHeader,
    buffer_bytes: usize,
    fill: impl FnOnce(&mut LogWriter<S::File>) -> Result<(), WriteError>,
) -> Result<LogWriter<S::File>, WriteError> {
    let create = |cause| Failure::new(Operation::Create, name, cause);
    let mut file = storage.create(name).map_err(create)?;
    let head = header.encode();
    let made = match file.write_at(&head, 0) {
        Ok(()) => {
            let next_seq = header.first_seq;
            let len_bytes = head.len() as u64;
            let mut writer =
                LogWriter::new(file, name.clone(), header, len_bytes, next_seq, buffer_bytes);
            fill(&mut writer).and_then(|()| {
                writer.write_out()?;
                match writer.file.sync() {
                    Ok(()) => {
                        writer.synced_bytes = writer.written_bytes;
                        writer.synced_seq = writer.next_seq - 1;
                        Ok(writer)
                    }
                    Err(cause) => Err(writer.fail(Operation::SyncFile, cause)),
                }
            })
        }
        Err(cause) => Err(Failure::new(Operation::Write, name, cause).into()),
    };
    if matches!(made, Err(WriteError::DiskFull(_))) {
        let failure =
            |operation| move |cause| WriteError::Fatal(Failure::new(operation, name, cause));
        storage.remove(name).map_err(failure(Operation::Remove))?;
        // Back after a power cut it would stand for records that went elsewhere meanwhile.
        storage.sync_dir().map_err(failure(Operation::SyncDirectory))?;
    }
    made
}

/// Cuts `file` to `keep_bytes`, writes everything from `from_bytes` again as it stands, and syncs.
///
/// What was not synced may be in memory only: after a failed sync the system calls such pages clean.
/// Written again they are dirty, so this sync speaks for them.
pub(crate) fn settle(
    file: &mut impl StorageFile,
    name: &FileName,
    from_bytes: u64,
    keep_bytes: u64,
) -> Result<(), Failure> {
    let failure = |operation| move |cause| Failure::new(operation, name, cause);
    if file.len_bytes().map_err(failure(Operation::Length))? != keep_bytes {
        file.truncate(keep_bytes).map_err(failure(Operation::Truncate))?;
    }
    let mut piece = vec![0; REWRITE_BYTES];
    let mut at = from_bytes;
    while at < keep_bytes {
        let count = (keep_bytes - at).min(REWRITE_BYTES as u64) as usize;
        let piece = &mut piece[..count];
        if file.read_full(piece, at).map_err(failure(Operation::Read))? < count {
            return Err(failure(Operation::Read)(std::io::ErrorKind::UnexpectedEof.into()));
        }
        file.write_at(piece, at).map_err(failure(Operation::Write))?;
        at += count as u64;
    }
    file.sync().map_err(failure(Operation::SyncFile))
}

const _: () = assert!(FRAME_HEADER_BYTES < REWRITE_BYTES);
