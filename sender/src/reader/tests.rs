//! The reader as a thread: what it reports of which file.

mod damaged;
mod points;

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

/// A file of a real 1.2.2 with several devices.
fn real_file() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data = manifest.join("../tests/fixtures/iotdb-1.2.2/data/datanode/data");
    data.join("sequence/root.mix/5/0/1795347690951-1-0-0.tsfile")
}

struct Fixture {
    dir: tempfile::TempDir,
    requests: Sender<ReadRequest>,
    reports: Receiver<ReadReport>,
    filter: Arc<Filter>,
    wants_excerpt: bool,
}

impl Fixture {
    fn new() -> Self {
        Self::with(tempfile::tempdir().expect("a directory"), Arc::default())
    }

    fn with(dir: tempfile::TempDir, pins: Arc<PinStore>) -> Self {
        let excerpts = Excerpts::open(&dir.path().join("excerpts"), 1 << 20, 0);
        Self::bounded(dir, pins, excerpts.expect("a directory"))
    }

    fn bounded(dir: tempfile::TempDir, pins: Arc<PinStore>, excerpts: Excerpts) -> Self {
        let (requests, inbox) = channel();
        let (outbox, reports) = channel();
        std::thread::spawn(move || {
            run(&inbox, &pins, &excerpts, |report| outbox.send(report).expect("a test"));
        });
        Self { dir, requests, reports, filter: Arc::default(), wants_excerpt: false }
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
        let filter = Arc::clone(&self.filter);
        let mods_bytes_max = 1000;
        let open = OpenFile { token: 1, file, dialect, piece_bytes, filter, mods_bytes_max };
        self.requests.send(ReadRequest::Open(open)).expect("a reader");
        match self.reports.recv().expect("a reader") {
            ReadReport::Cut { token } => {
                let wants_excerpt = self.wants_excerpt;
                // One of an item before means nothing.
                for (token, wants_excerpt) in [(token + 1, !wants_excerpt), (token, wants_excerpt)]
                {
                    let _ = self.requests.send(ReadRequest::Points { token, wants_excerpt });
                }
                self.reports.recv().expect("a reader")
            }
            other => other,
        }
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
fn mods_travel_before_their_file_as_whole_entries() {
    let entry = "DELETION,root.t.d1.s,9223372036854775807,1,5\n";
    let fixture = Fixture::new();
    fs::write(fixture.path(), ts_file(3, 5)).expect("a file");
    let mods = fixture.dir.path().join("7-1-0-0.tsfile.mods");
    fs::write(mods, format!("{entry}DELETION,root.t")).expect("mods");
    match fixture.open(Dialect::V1_3, 100) {
        ReadReport::Opened { mods_bytes, mods_seen, .. } => {
            assert_eq!(mods_bytes, Some(45));
            assert_eq!(mods_seen.map(|seen| seen.length_bytes), Some(45));
        }
        other => panic!("{other:?}"),
    }
    let first = fixture.reports.recv().expect("a piece");
    let ReadReport::Piece(piece) = first else { panic!("{first:?}") };
    assert_eq!((piece.part, &*piece.bytes), (Part::Mods, entry.as_bytes()));
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
        fs::copy(real_file(), fixture.path()).expect("a file");
        let mut item = fixture.item();
        item.mods = listed;
        fs::write(fixture.dir.path().join("7-1-0-0.tsfile.mods2"), &entry).expect("mods");
        match fixture.open_item(item, dialect, 1 << 20) {
            ReadReport::Opened { mods_bytes, mods_seen, .. } => {
                assert_eq!((mods_bytes, mods_seen), (carried, seen), "{dialect}");
            }
            // What they delete is left out.
            ReadReport::Tablets { mods_seen, .. } => {
                assert_eq!((None, mods_seen), (carried, seen), "{dialect}");
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
