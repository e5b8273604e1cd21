//! The thread that reads one lane's files, a piece ahead of the wire.
//!
//! Source files are read with `pread`, never mapped: IoTDB truncates them on recovery. They are
//! opened once; what vanishes later is still read to its end.

mod excerpt;
mod extract;
mod mods;

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Receiver;

use tidegate_daemon::files::open_regular;
use tidegate_model::Dialect;
use tidegate_source::FileIdentity;
use tidegate_source::FileItem;
use tidegate_source::ModsSeen;
use tidegate_source::PinnedMods;
use tidegate_source::Stall;
use tidegate_source::UnreadPoints;
use tidegate_tsfile::Share;
use tidegate_tsfile::TsFile;
use tidegate_tsfile::TsFileVersion;
use tidegate_tsfile::Wanted;

use crate::catalog;
use crate::excerpts::Excerpts;
use crate::filter::Filter;
use crate::pins::OpenedPin;
use crate::pins::PinStore;
use crate::pins::with_suffix;
use excerpt::Made;

/// What the loop asks of a reader.
#[derive(Debug)]
pub(crate) enum ReadRequest {
    /// Open a file, then read it piece by piece as far as there is room.
    Open(OpenFile),
    /// The points of an open file are to leave, as a file or as tablets.
    Points { token: u64, wants_excerpt: bool },
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
    /// What of it is wanted.
    pub(crate) filter: Arc<Filter>,
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
    /// Only points of it leave: in which form, [`ReadRequest::Points`] says.
    Cut { token: u64 },
    /// Its points leave as a file, whose pieces follow in order.
    Excerpt {
        token: u64,
        /// What it was made for.
        dialect: Dialect,
        length_bytes: u64,
        /// Mods that were beside it; what they delete is not in the excerpt.
        mods_seen: Option<ModsSeen>,
        /// Whether series were left out, since the peer does not know their types.
        has_unknown_types: bool,
    },
    /// Points of it could not be read, and what leaves lacks them.
    Unread { token: u64, unread: Vec<UnreadPoints> },
    /// It is damaged, but all that is wanted of it was found.
    Mended { token: u64, trouble: String },
    /// It leaves as tablets; they follow in order, at least one.
    Tablets {
        token: u64,
        /// Their form.
        dialect: Dialect,
        /// Why there is no excerpt, if one was wanted.
        not_excerpt: Option<String>,
        /// Mods that were beside it; what they delete is in no tablet.
        mods_seen: Option<ModsSeen>,
    },
    /// Nothing of it is to leave.
    Nothing {
        token: u64,
        /// Mods that were beside it, if it was opened.
        mods_seen: Option<ModsSeen>,
        /// Whether there would be something, of types that the peer does not know.
        has_unknown_types: bool,
    },
    /// The next piece.
    Piece(PieceData),
    /// It was compared with a file that has left already.
    Compared { token: u64, is_equal: bool },
    /// It cannot leave, or cannot be read to its end.
    Stalled { token: u64, stall: Stall },
}

/// What a piece is part of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    Mods,
    TsFile,
    /// It is a whole request.
    Tablet {
        is_last: bool,
        /// Whether series were left out so far, since the peer does not know their types.
        has_unknown_types: bool,
    },
}

/// Bytes of one piece.
pub(crate) struct PieceData {
    pub(crate) token: u64,
    pub(crate) part: Part,
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) crc32: u32,
    /// CRC-32 of the TsFile up to the end of this piece.
    pub(crate) file_crc32: u32,
    /// Of the last tablet, which points of the file could not be read.
    pub(crate) unread: Vec<UnreadPoints>,
}

/// Bytes read at once when a file is compared.
const COMPARE_BYTES: usize = 256 * 1024;
/// Pieces read ahead of the wire: one being sent, one waiting.
const PIECES_AHEAD: usize = 2;
/// Above this piece size only one piece is held, or memory would not stay within its bound.
const PIECE_BYTES_AHEAD_MAX: u32 = 8 << 20;

/// So often, and as many minutes, bytes that the disk does not give back are asked for. Then the rest of
/// their file leaves without them.
const IO_TRIES: u32 = 10;
/// Files that are remembered for what happened to them; all are forgotten when there are more.
const FAILED_FILES_MAX: usize = 1024;

/// What became of a file whose points were to leave.
#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    n_all: u32,
    /// Of these, how often the disk did not give bytes back.
    n_io: u32,
}

/// A file being read.
struct Reading {
    token: u64,
    mods: Option<Vec<u8>>,
    ts_file: File,
    /// What errors call it.
    path: PathBuf,
    /// What the open file must still be; of a copy or an excerpt, it is its own.
    identity: FileIdentity,
    /// As announced to the peer.
    length_bytes: u64,
    piece_bytes: u32,
    in_mods: bool,
    offset: u64,
    /// Over the TsFile as far as it was read.
    crc32: crc32fast::Hasher,
}

/// What a reader and the loop share while a file is read.
struct Desk<'r, F> {
    requests: &'r Receiver<ReadRequest>,
    report: F,
    spare: Vec<Vec<u8>>,
    /// Pieces that were handed out and have not come back.
    n_held: usize,
    /// How often points of a file began to leave and could not be read, or sent, to the end.
    failed: HashMap<FileIdentity, Failures>,
}

/// Runs a reader until it is told to stop or the loop is gone.
pub(crate) fn run(
    requests: &Receiver<ReadRequest>,
    pins: &PinStore,
    excerpts: &Excerpts,
    report: impl FnMut(ReadReport),
) {
    let failed = HashMap::new();
    let mut desk = Desk { requests, report, spare: Vec::new(), n_held: 0, failed };
    let mut next = None;
    loop {
        match next.take().unwrap_or_else(|| desk.wait()) {
            ReadRequest::Stop => return,
            ReadRequest::Cancel | ReadRequest::Points { .. } => (),
            ReadRequest::Return(buffer) => desk.take_back(buffer),
            ReadRequest::Open(OpenFile { token, file, .. }) if file.twin.is_some() => {
                (desk.report)(match compare(&file) {
                    Ok(is_equal) => ReadReport::Compared { token, is_equal },
                    Err(stall) => ReadReport::Stalled { token, stall },
                });
            }
            ReadRequest::Open(request) => {
                let token = request.token;
                let served =
                    open(request, pins).and_then(|opened| opened.serve(&mut desk, excerpts));
                next = served.unwrap_or_else(|stall| {
                    (desk.report)(ReadReport::Stalled { token, stall });
                    None
                });
            }
        }
    }
}

impl<F: FnMut(ReadReport)> Desk<'_, F> {
    /// The next request; a loop that is gone counts as a request to stop.
    fn wait(&self) -> ReadRequest {
        self.requests.recv().unwrap_or(ReadRequest::Stop)
    }

    /// In which form the points of the open file leave, or what else is asked.
    fn wait_for_form(&mut self, of: u64) -> Form {
        loop {
            match self.wait() {
                ReadRequest::Points { token, wants_excerpt } if token == of => {
                    return Form::Points { wants_excerpt };
                }
                ReadRequest::Points { .. } => (),
                ReadRequest::Return(buffer) => self.take_back(buffer),
                ReadRequest::Cancel => return Form::Other(None),
                other => return Form::Other(Some(other)),
            }
        }
    }

    fn failures(&self, identity: FileIdentity) -> Failures {
        self.failed.get(&identity).copied().unwrap_or_default()
    }

    fn note_failed(&mut self, identity: FileIdentity, is_io: bool) {
        if self.failed.len() >= FAILED_FILES_MAX {
            self.failed.clear();
        }
        let Failures { n_all, n_io } = self.failed.entry(identity).or_default();
        *n_all = n_all.saturating_add(1);
        *n_io = n_io.saturating_add(is_io.into());
    }

    /// Says that nothing of a file leaves, and what could not be read of it.
    fn report_nothing(&mut self, nothing: ReadReport, unread: Vec<UnreadPoints>) {
        if let ReadReport::Nothing { token, .. } = nothing
            && !unread.is_empty()
        {
            (self.report)(ReadReport::Unread { token, unread });
        }
        (self.report)(nothing);
    }

    fn take_back(&mut self, buffer: Vec<u8>) {
        self.n_held -= 1;
        self.spare.push(buffer);
        self.spare.truncate(PIECES_AHEAD);
    }

    /// Hands out pieces as far as there is room, until there are no more or something else is asked:
    /// that is returned.
    fn hand_out(
        &mut self,
        piece_bytes: u32,
        mut produce: impl FnMut(Vec<u8>) -> Result<Option<PieceData>, Stall>,
    ) -> Result<Option<ReadRequest>, Stall> {
        let n_ahead = if piece_bytes > PIECE_BYTES_AHEAD_MAX { 1 } else { PIECES_AHEAD };
        loop {
            let has_room = self.n_held < n_ahead;
            let request = if has_room { self.requests.try_recv().ok() } else { Some(self.wait()) };
            match request {
                Some(ReadRequest::Return(buffer)) => self.take_back(buffer),
                Some(ReadRequest::Cancel) => return Ok(None),
                Some(ReadRequest::Points { .. }) => (),
                Some(other) => return Ok(Some(other)),
                None => match produce(self.spare.pop().unwrap_or_default())? {
                    Some(piece) => {
                        self.n_held += 1;
                        (self.report)(ReadReport::Piece(piece));
                    }
                    None => return Ok(None),
                },
            }
        }
    }
}

/// What the loop says of an open file whose points are to leave.
enum Form {
    Points {
        wants_excerpt: bool,
    },
    /// It is not wanted any more, but perhaps this.
    Other(Option<ReadRequest>),
}

/// A file that was opened, or need not be.
enum Opened {
    Nothing { token: u64 },
    Whole { reading: Reading, mods_seen: Option<ModsSeen> },
    Points(Box<Points>),
}

/// A file of which the points are to leave.
struct Points {
    reading: Reading,
    item: FileItem,
    mods_seen: Option<ModsSeen>,
    wanted: Wanted,
    dialect: Dialect,
}

impl Opened {
    /// Says what it is and hands out its pieces; returns what else was asked meanwhile.
    fn serve<F: FnMut(ReadReport)>(
        self,
        desk: &mut Desk<'_, F>,
        excerpts: &Excerpts,
    ) -> Result<Option<ReadRequest>, Stall> {
        match self {
            Self::Nothing { token } => {
                let (mods_seen, has_unknown_types) = (None, false);
                (desk.report)(ReadReport::Nothing { token, mods_seen, has_unknown_types });
                Ok(None)
            }
            Self::Whole { mut reading, mods_seen } => {
                let mods_bytes = reading.mods.as_ref().map(|mods| mods.len() as u64);
                let token = reading.token;
                (desk.report)(ReadReport::Opened { token, mods_bytes, mods_seen });
                desk.hand_out(reading.piece_bytes, |buffer| reading.read_piece(buffer))
            }
            Self::Points(points) => points.serve(desk, excerpts),
        }
    }
}

impl Points {
    fn serve<F: FnMut(ReadReport)>(
        self,
        desk: &mut Desk<'_, F>,
        excerpts: &Excerpts,
    ) -> Result<Option<ReadRequest>, Stall> {
        let identity = self.item.identity;
        let failed = AtomicBool::new(false);
        let served = self.serve_some(desk, excerpts, &failed);
        if let Err(Stall::Blocked(_)) = &served {
            desk.note_failed(identity, failed.into_inner());
        }
        served
    }

    fn serve_some<F: FnMut(ReadReport)>(
        self,
        desk: &mut Desk<'_, F>,
        excerpts: &Excerpts,
        failed: &AtomicBool,
    ) -> Result<Option<ReadRequest>, Stall> {
        let Self { reading, item, mods_seen, wanted, dialect } = self;
        let Reading { token, mods, ts_file, path, identity, piece_bytes, .. } = reading;
        let length_bytes = item.identity.length_bytes;
        let bytes = extract::Bytes { file: &ts_file, length_bytes, failed };
        let deleted = mods.zip(mods_seen).map(|(mods, seen)| extract::entries(&mods, seen));
        let deleted = deleted.unwrap_or_default();
        let failures = desk.failures(item.identity);
        let passes_io_errors = failures.n_io >= IO_TRIES;
        let order =
            extract::Order { item: &item, wanted, deleted, dialect, piece_bytes, passes_io_errors };
        let nothing =
            |has_unknown_types| ReadReport::Nothing { token, mods_seen, has_unknown_types };
        let opened = match extract::open(bytes, &path, &order)? {
            Ok(opened) => opened,
            Err(unread) => {
                check_unchanged(&ts_file, identity, &path)?;
                desk.report_nothing(nothing(false), vec![unread]);
                return Ok(None);
            }
        };
        let file = &opened.file;
        let of_index = opened.unread.as_ref().map(extract::told);
        if let Some(trouble) = opened.trouble.filter(|_| of_index.is_none()) {
            let trouble = format!("{}: {trouble}", path.display());
            (desk.report)(ReadReport::Mended { token, trouble });
        }
        (desk.report)(ReadReport::Cut { token });
        let wants_excerpt = match desk.wait_for_form(token) {
            Form::Points { wants_excerpt } => wants_excerpt,
            Form::Other(next) => return Ok(next),
        };
        let made = wants_excerpt.then(|| excerpt::make(file, &path, &order, excerpts));
        let mut not_excerpt = None;
        match made.transpose()? {
            Some(Made::Nothing { has_unknown_types, mut unread }) => {
                check_unchanged(&ts_file, identity, &path)?;
                unread.extend(of_index);
                desk.report_nothing(nothing(has_unknown_types), unread);
                return Ok(None);
            }
            Some(Made::File { ts_file: made, length_bytes, has_unknown_types, mut unread }) => {
                check_unchanged(&ts_file, identity, &path)?;
                unread.extend(of_index);
                if !unread.is_empty() {
                    (desk.report)(ReadReport::Unread { token, unread });
                }
                let path = excerpts.dir().to_owned();
                let mut reading = Reading::new(token, made, length_bytes, path, piece_bytes)?;
                (desk.report)(ReadReport::Excerpt {
                    token,
                    dialect,
                    length_bytes,
                    mods_seen,
                    has_unknown_types,
                });
                return desk.hand_out(piece_bytes, |buffer| reading.read_piece(buffer));
            }
            Some(Made::Impossible(reason)) => not_excerpt = Some(reason),
            None => (),
        }
        if failures.n_all > 0 {
            // What has left of it leaves again only with all that comes behind.
            let mut all = extract::Requests::new(file, &path, order.clone());
            while all.next_request()?.is_some() {}
        }
        let mut requests = extract::Requests::new(file, &path, order);
        let unread = |requests: &extract::Requests<'_>| {
            let unread = requests.unread().iter().map(extract::told);
            unread.chain(of_index.clone()).collect::<Vec<_>>()
        };
        let mut first = requests.next_request()?;
        if first.is_none() {
            check_unchanged(&ts_file, identity, &path)?;
            desk.report_nothing(nothing(requests.has_unknown_types()), unread(&requests));
            return Ok(None);
        }
        (desk.report)(ReadReport::Tablets { token, dialect, not_excerpt, mods_seen });
        desk.hand_out(piece_bytes, |_| {
            let next = match first.take() {
                Some(first) => Some(first),
                None => requests.next_request()?,
            };
            let Some(extract::Request { payload, is_last, has_unknown_types }) = next else {
                return Ok(None);
            };
            if is_last {
                // What was read belongs together only if nothing changed meanwhile.
                check_unchanged(&ts_file, identity, &path)?;
            }
            let part = Part::Tablet { is_last, has_unknown_types };
            let unread = if is_last { unread(&requests) } else { Vec::new() };
            let (offset, crc32, file_crc32) = (0, 0, 0);
            Ok(Some(PieceData { token, part, offset, bytes: payload, crc32, file_crc32, unread }))
        })
    }
}

fn open(request: OpenFile, pins: &PinStore) -> Result<Opened, Stall> {
    let OpenFile { token, file: item, dialect, piece_bytes, filter, mods_bytes_max } = request;
    let path = path_of(&item);
    let wanted = filter.wanted(item.age);
    let mut share = extract::share_by_resource(&item, &path, &wanted)?;
    if share == Share::Nothing {
        return Ok(Opened::Nothing { token });
    }
    let Source { ts_file, mods, mods_seen } = match item.pinned {
        Some(pinned) => open_pinned(&item, pinned, pins, mods_bytes_max)?,
        None => open_in_place(&item, mods_bytes_max)?,
    };
    let version = check_complete(&ts_file, &item, &path)?;
    let length_bytes = item.identity.length_bytes;
    let mut reading = Reading::new(token, ts_file, length_bytes, path, piece_bytes)?;
    if share == Share::Some {
        let Reading { ts_file, path, identity, .. } = &reading;
        let failed = AtomicBool::new(false);
        let file = TsFile::open(extract::Bytes { file: ts_file, length_bytes, failed: &failed });
        let is_table_model = item.place.region.is_table_model();
        let found = file.and_then(|file| wanted.share_of(&file, is_table_model));
        share = match found {
            Ok(share) => share,
            // How much can be found all the same, a look at each point tells; there it is counted how often
            // the disk does not give the index back.
            Err(error) if extract::is_of_bytes(&error, true) => Share::Some,
            Err(error) => return Err(extract::read_stall(path, &error)),
        };
        // What was found is of the file that was opened, unless somebody has written into it.
        check_unchanged(ts_file, *identity, path)?;
    }
    let is_of_tables = item.place.region.is_table_model();
    // As IoTDB has it: what is deleted beside a file is there without its deletions.
    let mods = mods.filter(|_| filter.takes_deletions());
    let travels = |seen: ModsSeen| seen.travels_in(dialect);
    let is_whole = share == Share::All && (mods.is_none() || mods_seen.is_none_or(travels));
    if version == TsFileVersion::V4 && dialect < Dialect::V2_0 && (is_whole || is_of_tables) {
        return Err(Stall::Blocked(format!(
            "{}: a TsFile of version 4 (IoTDB 2.x) cannot be sent in dialect {dialect}, which \
             knows version 3; set connector.tidegate.dialect=2.0 if the peer is an IoTDB 2.x",
            reading.path.display()
        )));
    }
    reading.in_mods = is_whole && mods.is_some();
    reading.mods = mods;
    Ok(match share {
        Share::Nothing => Opened::Nothing { token },
        _ if is_whole => Opened::Whole { reading, mods_seen },
        _ => {
            let points = Points { reading, item, mods_seen, wanted, dialect };
            Opened::Points(Box::new(points))
        }
    })
}

/// What a file and its deletions are read from.
struct Source {
    ts_file: File,
    mods: Option<Vec<u8>>,
    mods_seen: Option<ModsSeen>,
}

fn open_in_place(item: &FileItem, mods_bytes_max: u64) -> Result<Source, Stall> {
    let path = path_of(item);
    let ts_file = open_regular(&path).map_err(|error| stall(&path, "opening", &error))?;
    check_unchanged(&ts_file, item.identity, &path)?;
    let (mods, mods_seen) = mods::read(&path, mods_bytes_max)?;
    // IoTDB removes a file before its deletions: while it is there, so were they.
    let named = fs::metadata(&path).map_err(|error| stall(&path, "looking at", &error))?;
    match catalog::identity(&named) == item.identity {
        true => Ok(Source { ts_file, mods, mods_seen }),
        false => Err(Stall::Moved),
    }
}

/// Of a file that the source has removed, what is pinned.
fn open_pinned(
    item: &FileItem,
    wanted: PinnedMods,
    pins: &PinStore,
    mods_bytes_max: u64,
) -> Result<Source, Stall> {
    let path = path_of(item);
    let opened = pins.open(item.identity, wanted);
    let opened = opened.map_err(|error| stall(&path, "opening the pin of", &error))?;
    let Some(OpenedPin { file: ts_file, mods }) = opened else { return Err(Stall::Moved) };
    let Some((kind, list, length_bytes)) = mods else {
        return Ok(Source { ts_file, mods: None, mods_seen: None });
    };
    let path = with_suffix(&path, kind.suffix());
    let bytes_max = length_bytes.unwrap_or(u64::MAX);
    let bytes = mods::read_from_start(&list, &path, bytes_max, mods_bytes_max)?;
    let is_whole = length_bytes.is_none_or(|it| it == bytes.len() as u64);
    // Nobody can mend what is pinned, and that there may have been more is on record.
    let (bytes, _) = mods::whole_entries(bytes, kind);
    let mods_seen = mods::seen(&bytes, kind);
    // Anything less would bring deleted rows back.
    match is_whole && length_bytes.is_none_or(|it| bytes.len() as u64 == it) {
        true => Ok(Source { ts_file, mods: mods_seen.map(|_| bytes), mods_seen }),
        false => Err(Stall::Moved),
    }
}

/// Whether a file has the checksum of its [twin](FileItem::twin).
fn compare(item: &FileItem) -> Result<bool, Stall> {
    let path = path_of(item);
    let file = open_regular(&path).map_err(|error| stall(&path, "opening", &error))?;
    check_unchanged(&file, item.identity, &path)?;
    let mut crc32 = crc32fast::Hasher::new();
    let mut buffer = vec![0; COMPARE_BYTES];
    let mut offset = 0;
    loop {
        let n_bytes =
            file.read_at(&mut buffer, offset).map_err(|error| stall(&path, "reading", &error))?;
        if n_bytes == 0 {
            break;
        }
        crc32.update(&buffer[..n_bytes]);
        offset += n_bytes as u64;
    }
    check_unchanged(&file, item.identity, &path)?;
    Ok(offset == item.identity.length_bytes && Some(crc32.finalize()) == item.twin)
}

impl Reading {
    /// From the start, without mods.
    fn new(
        token: u64,
        ts_file: File,
        length_bytes: u64,
        path: PathBuf,
        piece_bytes: u32,
    ) -> Result<Self, Stall> {
        let facts = ts_file.metadata().map_err(|error| stall(&path, "looking at", &error))?;
        Ok(Self {
            token,
            mods: None,
            ts_file,
            path,
            identity: catalog::identity(&facts),
            length_bytes,
            piece_bytes,
            in_mods: false,
            offset: 0,
            crc32: crc32fast::Hasher::new(),
        })
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
            return Ok(Some(self.piece(Part::Mods, offset, buffer)));
        }
        let offset = self.offset;
        let left = self.length_bytes - offset;
        if left == 0 {
            return Ok(None);
        }
        let n_bytes = usize::try_from(left.min(u64::from(self.piece_bytes))).unwrap_or(0);
        buffer.resize(n_bytes, 0);
        self.ts_file.read_exact_at(&mut buffer, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Stall::Moved, // truncated under us
            _ => stall(&self.path, "reading", &error),
        })?;
        self.offset += n_bytes as u64;
        if self.offset == self.length_bytes {
            // What was read belongs together only if nothing changed meanwhile.
            check_unchanged(&self.ts_file, self.identity, &self.path)?;
        }
        Ok(Some(self.piece(Part::TsFile, offset, buffer)))
    }

    fn piece(&mut self, part: Part, offset: u64, bytes: Vec<u8>) -> PieceData {
        let crc32 = crc32fast::hash(&bytes);
        if part == Part::TsFile {
            let n_bytes = bytes.len() as u64;
            self.crc32.combine(&crc32fast::Hasher::new_with_initial_len(crc32, n_bytes));
        }
        let file_crc32 = self.crc32.clone().finalize();
        let unread = Vec::new();
        PieceData { token: self.token, part, offset, bytes, crc32, file_crc32, unread }
    }
}

impl fmt::Debug for PieceData {
    /// Leaves the bytes out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token, part, offset, bytes, .. } = self;
        write!(f, "PieceData({token}, {part:?}, {offset}+{})", bytes.len())
    }
}

fn path_of(item: &FileItem) -> PathBuf {
    PathBuf::from(&*item.folder).join(item.name.to_string())
}

fn check_unchanged(
    file: &File,
    identity: FileIdentity,
    path: &std::path::Path,
) -> Result<(), Stall> {
    let facts = file.metadata().map_err(|error| stall(path, "looking at", &error))?;
    if catalog::identity(&facts) == identity { Ok(()) } else { Err(Stall::Moved) }
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
        .map_err(|error| Stall::Damaged(format!("{}: {error}", path.display())))
}

fn stall(path: &std::path::Path, doing: &str, error: &io::Error) -> Stall {
    if error.kind() == io::ErrorKind::NotFound {
        Stall::Moved
    } else {
        Stall::Blocked(format!("{}: {doing} it failed: {error}", path.display()))
    }
}

#[cfg(test)]
mod tests;
