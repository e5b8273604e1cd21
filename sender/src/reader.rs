//! The thread that reads one lane's files, a piece ahead of the wire.
//!
//! Source files are read with `pread`, never mapped: IoTDB truncates them on recovery. They are
//! opened once; what vanishes later is still read to its end.

use std::fmt;
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvError;

use tidegate_model::Dialect;
use tidegate_source::FileItem;
use tidegate_source::ModsSeen;
use tidegate_source::Stall;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::TsFileVersion;

use crate::catalog;

/// What the loop asks of a reader.
#[derive(Debug)]
pub(crate) enum ReadRequest {
    /// Open a file, then read it piece by piece as far as there is room.
    Open(OpenFile),
    /// A piece was used up: its buffer comes back.
    Return(Vec<u8>),
    /// What is open is no longer wanted.
    Cancel,
    /// End the thread.
    Stop,
}

/// A file to be opened.
#[derive(Debug)]
pub(crate) struct OpenFile {
    /// Names the item to the loop.
    pub(crate) token: u64,
    /// What the catalog knows of it.
    pub(crate) file: FileItem,
    /// The form in which it will leave.
    pub(crate) dialect: Dialect,
    /// Most data bytes in a piece.
    pub(crate) piece_bytes: u32,
    /// Larger mods files are left behind.
    pub(crate) mods_bytes_max: u64,
}

/// What a reader tells the loop.
#[derive(Debug)]
pub(crate) enum ReadReport {
    /// It is open; its pieces follow in order.
    Opened {
        token: u64,
        /// Length of the mods that will travel, if any.
        mods_bytes: Option<u64>,
        /// Mods that were beside it, travelling or not.
        mods_seen: Option<ModsSeen>,
    },
    /// The next piece.
    Piece(PieceData),
    /// It cannot leave, or cannot be read to its end.
    Stalled { token: u64, stall: Stall },
}

/// Bytes of one piece.
pub(crate) struct PieceData {
    pub(crate) token: u64,
    pub(crate) from_mods: bool,
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) crc32: u32,
}

/// Pieces read ahead of the wire: one being sent, one waiting.
const PIECES_AHEAD: usize = 2;
/// Above this piece size only one piece is held, or memory would not stay within its bound.
const PIECE_BYTES_AHEAD_MAX: u32 = 8 << 20;

/// A file being read.
struct Reading {
    token: u64,
    mods: Option<Vec<u8>>,
    ts_file: File,
    item: FileItem,
    piece_bytes: u32,
    in_mods: bool,
    offset: u64,
}

/// Runs a reader until it is told to stop or the loop is gone.
pub(crate) fn run(requests: &Receiver<ReadRequest>, mut report: impl FnMut(ReadReport)) {
    let mut reading: Option<Reading> = None;
    let mut spare: Vec<Vec<u8>> = Vec::new();
    let mut n_held = 0usize;
    loop {
        let room = reading.as_ref().is_some_and(|it| n_held < it.ahead());
        let request = if room { requests.try_recv().ok() } else { wait(requests) };
        match request {
            Some(ReadRequest::Stop) => return,
            Some(ReadRequest::Cancel) => reading = None,
            Some(ReadRequest::Return(buffer)) => {
                n_held -= 1;
                spare.push(buffer);
            }
            Some(ReadRequest::Open(request)) => {
                let token = request.token;
                match open(request) {
                    Ok((opened, mods_seen)) => {
                        let mods_bytes = opened.mods.as_ref().map(|mods| mods.len() as u64);
                        report(ReadReport::Opened { token, mods_bytes, mods_seen });
                        reading = Some(opened);
                    }
                    Err(stall) => report(ReadReport::Stalled { token, stall }),
                }
            }
            None => {
                let Some(current) = &mut reading else { return };
                let token = current.token;
                match current.read_piece(spare.pop().unwrap_or_default()) {
                    Ok(Some(piece)) => {
                        n_held += 1;
                        report(ReadReport::Piece(piece));
                    }
                    Ok(None) => reading = None,
                    Err(stall) => {
                        reading = None;
                        report(ReadReport::Stalled { token, stall });
                    }
                }
            }
        }
        if spare.len() > PIECES_AHEAD {
            spare.pop();
        }
    }
}

/// The next request; a loop that is gone counts as a request to stop.
fn wait(requests: &Receiver<ReadRequest>) -> Option<ReadRequest> {
    match requests.recv() {
        Ok(request) => Some(request),
        Err(RecvError) => Some(ReadRequest::Stop),
    }
}

fn open(request: OpenFile) -> Result<(Reading, Option<ModsSeen>), Stall> {
    let OpenFile { token, file: item, dialect, piece_bytes, mods_bytes_max } = request;
    let path = path_of(&item);
    let ts_file = File::open(&path).map_err(|error| stall(&path, "opening", &error))?;
    check_unchanged(&ts_file, &item, &path)?;
    let version = check_complete(&ts_file, &item, &path)?;
    if version == TsFileVersion::V4 && dialect < Dialect::V2_0 {
        return Err(Stall::Unfit(format!(
            "{}: a TsFile of version 4 (IoTDB 2.x) cannot be sent in dialect {dialect}, which \
             knows version 3; set connector.tidegate.dialect=2.0 if the peer is an IoTDB 2.x",
            path.display()
        )));
    }
    let (mods, mods_seen) = read_mods(&item, mods_bytes_max)?;
    let mods = mods.filter(|_| dialect > Dialect::V1_2);
    let in_mods = mods.is_some();
    let reading = Reading { token, mods, ts_file, item, piece_bytes, in_mods, offset: 0 };
    Ok((reading, mods_seen))
}

impl Reading {
    fn ahead(&self) -> usize {
        if self.piece_bytes > PIECE_BYTES_AHEAD_MAX { 1 } else { PIECES_AHEAD }
    }

    /// The next piece; `None` behind the last.
    fn read_piece(&mut self, mut buffer: Vec<u8>) -> Result<Option<PieceData>, Stall> {
        if let Some(mods) = self.mods.as_ref().filter(|_| self.in_mods) {
            let offset = self.offset;
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(mods.len());
            let to = (from + self.piece_bytes as usize).min(mods.len());
            buffer.clear();
            buffer.extend_from_slice(&mods[from..to]);
            if to == mods.len() {
                (self.in_mods, self.offset) = (false, 0);
            } else {
                self.offset = to as u64;
            }
            return Ok(Some(self.piece(true, offset, buffer)));
        }
        let offset = self.offset;
        let left = self.item.identity.length_bytes - offset;
        if left == 0 {
            return Ok(None);
        }
        let n_bytes = usize::try_from(left.min(u64::from(self.piece_bytes))).unwrap_or(0);
        buffer.resize(n_bytes, 0);
        let path = path_of(&self.item);
        self.ts_file.read_exact_at(&mut buffer, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Stall::Moved, // truncated under us
            _ => stall(&path, "reading", &error),
        })?;
        self.offset += n_bytes as u64;
        if self.offset == self.item.identity.length_bytes {
            // What was read belongs together only if nothing changed meanwhile.
            check_unchanged(&self.ts_file, &self.item, &path)?;
        }
        Ok(Some(self.piece(false, offset, buffer)))
    }

    fn piece(&self, from_mods: bool, offset: u64, bytes: Vec<u8>) -> PieceData {
        let crc32 = crc32fast::hash(&bytes);
        PieceData { token: self.token, from_mods, offset, bytes, crc32 }
    }
}

impl fmt::Debug for PieceData {
    /// Leaves the bytes out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token, from_mods, offset, bytes, .. } = self;
        write!(f, "PieceData({token}, mods {from_mods}, {offset}+{})", bytes.len())
    }
}

fn path_of(item: &FileItem) -> PathBuf {
    PathBuf::from(&*item.folder).join(item.name.to_string())
}

fn check_unchanged(file: &File, item: &FileItem, path: &std::path::Path) -> Result<(), Stall> {
    let facts = file.metadata().map_err(|error| stall(path, "looking at", &error))?;
    if catalog::identity(&facts) == item.identity { Ok(()) } else { Err(Stall::Moved) }
}

fn check_complete(
    file: &File,
    item: &FileItem,
    path: &std::path::Path,
) -> Result<TsFileVersion, Stall> {
    let length = item.identity.length_bytes;
    let mut head = [0; tidegate_tsfile::HEAD_BYTES];
    let mut tail = [0; tidegate_tsfile::TAIL_BYTES];
    if length >= (head.len() + tail.len()) as u64 {
        let read = |buffer: &mut [u8], at| {
            file.read_exact_at(buffer, at).map_err(|error| stall(path, "reading", &error))
        };
        read(&mut head, 0)?;
        read(&mut tail, length - tidegate_tsfile::TAIL_BYTES as u64)?;
    }
    tidegate_tsfile::check_ends(&head, &tail, length)
        .map_err(|error| Stall::Unfit(format!("{}: {error}", path.display())))
}

/// Whole entries of the mods file beside a TsFile, and how much that is.
fn read_mods(
    item: &FileItem,
    mods_bytes_max: u64,
) -> Result<(Option<Vec<u8>>, Option<ModsSeen>), Stall> {
    let kinds = match item.mods {
        Some(mods) => vec![mods.kind],
        None => vec![ModsKind::Binary, ModsKind::Text],
    };
    for kind in kinds {
        let mut path = path_of(item).into_os_string();
        path.push(kind.suffix());
        let path = PathBuf::from(path);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(stall(&path, "opening", &error)),
        };
        let mut bytes = Vec::new();
        let bounded = file.take(mods_bytes_max.saturating_add(1)).read_to_end(&mut bytes);
        bounded.map_err(|error| stall(&path, "reading", &error))?;
        if bytes.len() as u64 > mods_bytes_max {
            return Err(Stall::Unfit(format!(
                "{}: more deletions than sender_mods_max_bytes ({mods_bytes_max}) allows; raise it",
                path.display()
            )));
        }
        bytes.truncate(kind.whole_entries(&bytes).bytes);
        let seen = ModsSeen { kind, length_bytes: bytes.len() as u64 };
        return Ok(if bytes.is_empty() { (None, None) } else { (Some(bytes), Some(seen)) });
    }
    Ok((None, None))
}

fn stall(path: &std::path::Path, doing: &str, error: &io::Error) -> Stall {
    if error.kind() == io::ErrorKind::NotFound {
        Stall::Moved
    } else {
        Stall::Unfit(format!("{}: {doing} it failed: {error}", path.display()))
    }
}
