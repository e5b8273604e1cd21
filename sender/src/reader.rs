//! The thread that reads one lane's files, a piece ahead of the wire.
//!
//! Source files are read with `pread`, never mapped: IoTDB truncates them on recovery. They are
//! opened once; what vanishes later is still read to its end.

mod mods;

use std::fmt;
use std::fs;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvError;

use tidegate_daemon::files::open_regular;
use tidegate_model::Dialect;
use tidegate_source::FileIdentity;
use tidegate_source::FileItem;
use tidegate_source::ModsSeen;
use tidegate_source::PinnedMods;
use tidegate_source::Stall;
use tidegate_tsfile::TsFileVersion;

use crate::catalog;
use crate::pins::OpenedPin;
use crate::pins::PinStore;
use crate::pins::with_suffix;

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
    /// It was compared with a file that has left already.
    Compared { token: u64, is_equal: bool },
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
    /// CRC-32 of the TsFile up to the end of this piece.
    pub(crate) file_crc32: u32,
}

/// Bytes read at once when a file is compared.
const COMPARE_BYTES: usize = 256 * 1024;
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
    /// What the open file must still be; of a copy, it is the copy's.
    identity: FileIdentity,
    piece_bytes: u32,
    in_mods: bool,
    offset: u64,
    /// Over the TsFile as far as it was read.
    crc32: crc32fast::Hasher,
}

/// Runs a reader until it is told to stop or the loop is gone.
pub(crate) fn run(
    requests: &Receiver<ReadRequest>,
    pins: &Arc<PinStore>,
    mut report: impl FnMut(ReadReport),
) {
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
            Some(ReadRequest::Open(OpenFile { token, file, .. })) if file.twin.is_some() => {
                report(match compare(&file) {
                    Ok(is_equal) => ReadReport::Compared { token, is_equal },
                    Err(stall) => ReadReport::Stalled { token, stall },
                });
            }
            Some(ReadRequest::Open(request)) => {
                let token = request.token;
                match open(request, pins) {
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

fn open(request: OpenFile, pins: &PinStore) -> Result<(Reading, Option<ModsSeen>), Stall> {
    let OpenFile { token, file: item, dialect, piece_bytes, mods_bytes_max } = request;
    let path = path_of(&item);
    let Source { ts_file, mods, mods_seen } = match item.pinned {
        Some(wanted) => open_pinned(&item, wanted, pins, mods_bytes_max)?,
        None => open_in_place(&item, mods_bytes_max)?,
    };
    let facts = ts_file.metadata().map_err(|error| stall(&path, "looking at", &error))?;
    let identity = catalog::identity(&facts);
    let version = check_complete(&ts_file, &item, &path)?;
    if version == TsFileVersion::V4 && dialect < Dialect::V2_0 {
        return Err(Stall::Blocked(format!(
            "{}: a TsFile of version 4 (IoTDB 2.x) cannot be sent in dialect {dialect}, which \
             knows version 3; set connector.tidegate.dialect=2.0 if the peer is an IoTDB 2.x",
            path.display()
        )));
    }
    let mods = mods.filter(|_| mods_seen.is_some_and(|seen| seen.travels_in(dialect)));
    let in_mods = mods.is_some();
    let crc32 = crc32fast::Hasher::new();
    let reading =
        Reading { token, mods, ts_file, item, identity, piece_bytes, in_mods, offset: 0, crc32 };
    Ok((reading, mods_seen))
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
            check_unchanged(&self.ts_file, self.identity, &path)?;
        }
        Ok(Some(self.piece(false, offset, buffer)))
    }

    fn piece(&mut self, from_mods: bool, offset: u64, bytes: Vec<u8>) -> PieceData {
        let crc32 = crc32fast::hash(&bytes);
        if !from_mods {
            let n_bytes = bytes.len() as u64;
            self.crc32.combine(&crc32fast::Hasher::new_with_initial_len(crc32, n_bytes));
        }
        let file_crc32 = self.crc32.clone().finalize();
        PieceData { token: self.token, from_mods, offset, bytes, crc32, file_crc32 }
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
mod tests {
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;
    use std::sync::mpsc::Sender;
    use std::sync::mpsc::channel;

    use tidegate_config::PinMode;
    use tidegate_source::ModsMark;
    use tidegate_source::PinWanted;
    use tidegate_source::Place;
    use tidegate_source::RegionKey;
    use tidegate_source::Space;
    use tidegate_source::TsFileName;
    use tidegate_tsfile::ModsKind;

    use super::*;
    use crate::pins::PinConfig;
    use crate::pins::PinRequest;
    use crate::pins::Pinner;

    /// Head, some bytes, and a tail that promises no metadata.
    fn ts_file(version: u8, n_bytes: usize) -> Vec<u8> {
        let mut bytes = b"TsFile".to_vec();
        bytes.push(version);
        bytes.extend((0..n_bytes).map(|at| (at % 251) as u8));
        bytes.extend([0, 0, 0, 0]);
        bytes.extend(b"TsFile");
        bytes
    }

    struct Fixture {
        dir: tempfile::TempDir,
        requests: Sender<ReadRequest>,
        reports: Receiver<ReadReport>,
    }

    impl Fixture {
        fn new() -> Self {
            Self::with(tempfile::tempdir().expect("a directory"), Arc::default())
        }

        fn with(dir: tempfile::TempDir, pins: Arc<PinStore>) -> Self {
            let (requests, inbox) = channel();
            let (outbox, reports) = channel();
            std::thread::spawn(move || {
                run(&inbox, &pins, |report| outbox.send(report).expect("a test"));
            });
            Self { dir, requests, reports }
        }

        fn path(&self) -> PathBuf {
            self.dir.path().join("7-1-0-0.tsfile")
        }

        fn item(&self) -> FileItem {
            let facts = fs::metadata(self.path()).expect("the file");
            let region = RegionKey { database: "root.t".into(), region: 1 };
            let place = Place { region, partition: 0, space: Space::Sequence };
            let name = TsFileName::parse("7-1-0-0.tsfile").expect("a name");
            let folder = self.dir.path().to_string_lossy().into_owned();
            FileItem::new(place, name, catalog::identity(&facts), folder.into(), None)
        }

        fn open(&self, dialect: Dialect, piece_bytes: u32) -> ReadReport {
            self.open_item(self.item(), dialect, piece_bytes)
        }

        fn open_item(&self, file: FileItem, dialect: Dialect, piece_bytes: u32) -> ReadReport {
            let open = OpenFile { token: 1, file, dialect, piece_bytes, mods_bytes_max: 1000 };
            self.requests.send(ReadRequest::Open(open)).expect("a reader");
            self.reports.recv().expect("a reader")
        }

        /// Reads to the end, giving buffers back; what came, or why not.
        fn read(&self, n_bytes: usize) -> Result<Vec<u8>, Stall> {
            let mut whole = Vec::new();
            while whole.len() < n_bytes {
                match self.reports.recv().expect("a reader") {
                    ReadReport::Piece(piece) => {
                        assert_eq!(piece.offset, whole.len() as u64);
                        assert_eq!(piece.crc32, crc32fast::hash(&piece.bytes));
                        whole.extend_from_slice(&piece.bytes);
                        let _ = self.requests.send(ReadRequest::Return(piece.bytes));
                    }
                    ReadReport::Stalled { stall, .. } => return Err(stall),
                    other => panic!("{other:?}"),
                }
            }
            Ok(whole)
        }
    }

    fn unfit(report: ReadReport) -> String {
        match report {
            ReadReport::Stalled { stall: Stall::Blocked(reason), .. }
            | ReadReport::Stalled { stall: Stall::Damaged(reason), .. } => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn pieces_of_any_size_make_up_the_file() {
        let whole = ts_file(3, 1000);
        for piece_bytes in [1, 7, 1000, 1017, 5000] {
            let fixture = Fixture::new();
            fs::write(fixture.path(), &whole).expect("a file");
            let opened = fixture.open(Dialect::V1_3, piece_bytes);
            assert!(matches!(opened, ReadReport::Opened { mods_bytes: None, .. }), "{opened:?}");
            assert_eq!(fixture.read(whole.len()), Ok(whole.clone()));
        }
    }

    #[test]
    fn a_copy_is_told_by_its_checksum_and_what_is_read_adds_up_to_it() {
        let fixture = Fixture::new();
        let whole = ts_file(3, 1000);
        fs::write(fixture.path(), &whole).expect("a file");
        let crc32 = crc32fast::hash(&whole);
        for (twin, expected) in [(crc32, true), (crc32 ^ 1, false)] {
            let mut item = fixture.item();
            item.twin = Some(twin);
            match fixture.open_item(item, Dialect::V1_3, 10) {
                ReadReport::Compared { is_equal, .. } => assert_eq!(is_equal, expected),
                other => panic!("{other:?}"),
            }
        }
        fixture.open(Dialect::V1_3, 300);
        let mut last = 0;
        for _ in 0..whole.len().div_ceil(300) {
            let ReadReport::Piece(piece) = fixture.reports.recv().expect("a piece") else {
                panic!("no piece")
            };
            last = piece.file_crc32;
            let _ = fixture.requests.send(ReadRequest::Return(piece.bytes));
        }
        assert_eq!(last, crc32);
    }

    #[test]
    fn no_more_is_read_ahead_than_two_pieces() {
        let fixture = Fixture::new();
        fs::write(fixture.path(), ts_file(3, 1000)).expect("a file");
        fixture.open(Dialect::V1_3, 10);
        let held: Vec<ReadReport> =
            (0..PIECES_AHEAD).map(|_| fixture.reports.recv().expect("a piece")).collect();
        // The reader answers requests in order: had it read on, a piece would come before this.
        let other = fixture.open_item(fixture.item(), Dialect::V1_3, 10);
        assert!(matches!(other, ReadReport::Opened { .. }), "{other:?} after {held:?}");
    }

    #[test]
    fn mods_travel_before_their_file_as_whole_entries_but_not_to_1_2() {
        let entry = "DELETION,root.t.d1.s,9223372036854775807,1,5\n";
        for (dialect, carried) in [(Dialect::V1_3, Some(45)), (Dialect::V1_2, None)] {
            let fixture = Fixture::new();
            fs::write(fixture.path(), ts_file(3, 5)).expect("a file");
            let mods = fixture.dir.path().join("7-1-0-0.tsfile.mods");
            fs::write(mods, format!("{entry}DELETION,root.t")).expect("mods");
            match fixture.open(dialect, 100) {
                ReadReport::Opened { mods_bytes, mods_seen, .. } => {
                    assert_eq!(mods_bytes, carried);
                    assert_eq!(mods_seen.map(|seen| seen.length_bytes), Some(45));
                }
                other => panic!("{other:?}"),
            }
            let first = fixture.reports.recv().expect("a piece");
            let ReadReport::Piece(piece) = first else { panic!("{first:?}") };
            assert_eq!(piece.from_mods, carried.is_some());
            if carried.is_some() {
                assert_eq!(piece.bytes, entry.as_bytes());
            }
        }
    }

    #[test]
    fn a_file_that_is_gone_or_another_is_not_read() {
        let fixture = Fixture::new();
        fs::write(fixture.path(), ts_file(3, 50)).expect("a file");
        let item = fixture.item();
        let mut file = File::options().append(true).open(fixture.path()).expect("the file");
        file.write_all(b"grown").expect("more bytes");
        let report = fixture.open_item(item.clone(), Dialect::V1_3, 10);
        assert!(matches!(report, ReadReport::Stalled { stall: Stall::Moved, .. }), "{report:?}");
        fs::remove_file(fixture.path()).expect("gone");
        let report = fixture.open_item(item, Dialect::V1_3, 10);
        assert!(matches!(report, ReadReport::Stalled { stall: Stall::Moved, .. }), "{report:?}");
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_never_comes_to_its_end() {
        let changes: [fn(&Path); 2] = [
            |path| File::options().write(true).open(path).and_then(|f| f.set_len(30)).expect("cut"),
            |path| {
                let mut file = File::options().append(true).open(path).expect("the file");
                file.write_all(b"grown").expect("more bytes");
            },
        ];
        for change in changes {
            let fixture = Fixture::new();
            let whole = ts_file(3, 5000);
            fs::write(fixture.path(), &whole).expect("a file");
            fixture.open(Dialect::V1_3, 10);
            change(&fixture.path());
            assert_eq!(fixture.read(whole.len()), Err(Stall::Moved));
        }
    }

    #[test]
    fn a_file_that_vanishes_after_it_was_opened_is_read_to_its_end() {
        let fixture = Fixture::new();
        let whole = ts_file(3, 5000);
        fs::write(fixture.path(), &whole).expect("a file");
        fixture.open(Dialect::V1_3, 100);
        fs::remove_file(fixture.path()).expect("gone");
        assert_eq!(fixture.read(whole.len()), Ok(whole));
    }

    #[test]
    fn an_unfinished_file_and_one_the_peer_cannot_read_are_named_with_the_reason() {
        let fixture = Fixture::new();
        let mut unfinished = ts_file(3, 50);
        unfinished.truncate(60);
        fs::write(fixture.path(), unfinished).expect("a file");
        assert!(unfit(fixture.open(Dialect::V1_3, 10)).contains("7-1-0-0.tsfile"));
        fs::write(fixture.path(), b"Ts").expect("a file");
        assert!(unfit(fixture.open(Dialect::V1_3, 10)).contains("7-1-0-0.tsfile"));
        fs::write(fixture.path(), ts_file(4, 50)).expect("a file");
        let reason = unfit(fixture.open(Dialect::V1_3, 10));
        assert!(reason.contains("version 4") && reason.contains("dialect 1.3"), "{reason}");
        assert!(matches!(fixture.open(Dialect::V2_0, 10), ReadReport::Opened { .. }));
    }

    #[test]
    fn deletions_of_another_kind_than_listed_travel_only_in_a_dialect_that_reads_them() {
        let entry = [&[1; 17][..], b"\x02d"].concat();
        let listed = Some(ModsSeen { kind: ModsKind::Text, length_bytes: 45 });
        let seen = Some(ModsSeen { kind: ModsKind::Binary, length_bytes: 19 });
        for (dialect, carried) in
            [(Dialect::V1_2, None), (Dialect::V1_3, None), (Dialect::V2_0, Some(19))]
        {
            let fixture = Fixture::new();
            fs::write(fixture.path(), ts_file(3, 5)).expect("a file");
            let mut item = fixture.item();
            item.mods = listed;
            fs::write(fixture.dir.path().join("7-1-0-0.tsfile.mods2"), &entry).expect("mods");
            match fixture.open_item(item, dialect, 100) {
                ReadReport::Opened { mods_bytes, mods_seen, .. } => {
                    assert_eq!((mods_bytes, mods_seen), (carried, seen), "{dialect}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// It blocked its region for good: nobody can mend what is pinned.
    #[test]
    fn a_pinned_file_leaves_with_what_can_be_read_of_its_deletions() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = PinConfig {
            mode: PinMode::Hold,
            dirs: Vec::new(),
            files_max: 9,
            bytes_max: 9999,
            floor_percent: 0,
        };
        let pinner = Pinner::open(config).expect("a pinner");
        let fixture = Fixture::with(dir, pinner.store());
        fs::write(fixture.path(), ts_file(3, 5)).expect("a file");
        let list = fixture.dir.path().join("7-1-0-0.tsfile.mods");
        let entry = "DELETION,root.t.d1.s,9223372036854775807,1,5\n";
        fs::write(&list, format!("{entry}rubbish\n{entry}")).expect("mods");
        let inode = fs::metadata(&list).expect("the list").ino();
        let mut item = fixture.item();
        let whole = Some(ModsSeen { kind: ModsKind::Text, length_bytes: 45 });
        let mods = whole.map(|seen| ModsMark { seen, inode });
        let FileItem { identity, folder, name, .. } = item.clone();
        let wanted = vec![PinWanted { identity, folder, name, mods }];
        let (requests, inbox) = channel();
        requests.send(PinRequest { wanted, needless: Vec::new() }).expect("a pinner");
        drop(requests);
        pinner.run(&inbox, |_| ());
        fs::remove_file(fixture.path()).expect("gone");
        fs::remove_file(&list).expect("gone");
        for pinned in [PinnedMods::Any, PinnedMods::Exactly(mods)] {
            item.pinned = Some(pinned);
            match fixture.open_item(item.clone(), Dialect::V1_3, 100) {
                ReadReport::Opened { mods_bytes, mods_seen, .. } => {
                    assert_eq!((mods_bytes, mods_seen), (Some(45), whole), "{pinned:?}");
                }
                other => panic!("{pinned:?}: {other:?}"),
            }
            fixture.requests.send(ReadRequest::Cancel).expect("a reader");
            while let Ok(ReadReport::Piece(piece)) = fixture.reports.try_recv() {
                let _ = fixture.requests.send(ReadRequest::Return(piece.bytes));
            }
        }
    }

    #[test]
    fn what_is_no_regular_file_is_named_and_never_waited_for() {
        let fixture = Fixture::new();
        fs::write(fixture.path(), ts_file(3, 5)).expect("a file");
        let item = fixture.item();
        let fifo = |name: &str| {
            let path = fixture.dir.path().join(name);
            rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).expect("a FIFO");
        };
        fifo("7-1-0-0.tsfile.mods");
        let reason = unfit(fixture.open_item(item.clone(), Dialect::V1_3, 10));
        assert!(reason.contains("expected a regular file"), "{reason}");
        fs::remove_file(fixture.path()).expect("gone");
        fifo("7-1-0-0.tsfile");
        let reason = unfit(fixture.open_item(item, Dialect::V1_3, 10));
        assert!(reason.contains("expected a regular file"), "{reason}");
    }

    #[test]
    fn more_deletions_than_allowed_hold_their_file_back() {
        let fixture = Fixture::new();
        fs::write(fixture.path(), ts_file(3, 5)).expect("a file");
        fs::write(fixture.dir.path().join("7-1-0-0.tsfile.mods"), [b'\n'; 1001]).expect("mods");
        assert!(unfit(fixture.open(Dialect::V1_3, 10)).contains("sender_mods_max_bytes"));
    }
}
