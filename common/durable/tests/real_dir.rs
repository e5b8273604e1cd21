//! The same types on a real directory, and a reader on another thread than the writer.

use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc;
use std::thread;

use tidegate_durable::DirStorage;
use tidegate_durable::Entry;
use tidegate_durable::FileName;
use tidegate_durable::Journal;
use tidegate_durable::RecordDraft;
use tidegate_durable::Seq;
use tidegate_durable::Spool;
use tidegate_durable::SpoolOptions;
use tidegate_durable::SpoolReader;
use tidegate_durable::Storage;
use tidegate_durable::StorageFile;
use tidegate_durable::TwoSlot;
use tidegate_durable::free_bytes;

fn name(text: &str) -> FileName {
    FileName::new(text).unwrap()
}

fn draft(payload: &[u8]) -> RecordDraft<'_> {
    RecordDraft {
        kind: 1,
        dialect: 3,
        flags: 0,
        origin: "peer",
        connection: 9,
        arrival_ms: -5,
        payload,
    }
}

#[test]
fn a_real_directory_does_what_the_trait_says() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("made/with/parents");
    let storage = DirStorage::open(&path).unwrap();
    assert_eq!(DirStorage::open(&path).unwrap().path(), path);
    let mut file = storage.create(&name("a")).unwrap();
    file.write_at(b"hello", 3).unwrap();
    file.truncate(6).unwrap();
    file.sync().unwrap();
    assert_eq!(storage.create(&name("a")).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(storage.open(&name("b")).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    std::fs::create_dir(path.join("directory")).unwrap();
    std::fs::write(path.join(".hidden"), b"").unwrap();
    storage.rename(&name("a"), &name("c")).unwrap();
    storage.sync_dir().unwrap();
    assert_eq!(storage.list().unwrap(), [name("c")]);
    let mut bytes = [9; 8];
    let file = storage.open(&name("c")).unwrap();
    assert_eq!((file.len_bytes().unwrap(), file.read_at(&mut bytes, 0).unwrap()), (6, 6));
    assert_eq!(&bytes, b"\0\0\0hel\x09\x09");
    assert_eq!(file.read_at(&mut bytes, 6).unwrap(), 0);
    storage.remove(&name("c")).unwrap();
    assert!(storage.list().unwrap().is_empty());
    assert!(free_bytes(&path).unwrap() > 0);
    assert!(free_bytes(&path.join("absent")).is_err());
    assert!(DirStorage::open(path.join(".hidden")).is_err(), "a file is no directory");
}

/// A state directory that is a mount may stand in a file system that cannot sync directories.
#[test]
fn a_directory_that_is_there_is_taken_where_its_parent_cannot_be_synced() {
    let parent = std::fs::File::open("/proc").unwrap();
    assert!(parent.sync_all().is_err(), "another parent is needed");
    DirStorage::open("/proc/self").unwrap();
    assert!(DirStorage::open("/proc/tidegate").is_err(), "what is to be made must be durable");
}

#[test]
fn everything_survives_a_restart_on_a_real_directory() {
    let temporary = tempfile::tempdir().unwrap();
    let storage = DirStorage::open(temporary.path()).unwrap();
    for round in 1..=5_u8 {
        let (mut slot, content) = TwoSlot::open(storage.clone(), name("slot")).unwrap();
        assert_eq!(content.payload.unwrap_or_default(), vec![round - 1; usize::from(round) - 1]);
        slot.write(&vec![round; usize::from(round)]).unwrap();
        let (mut journal, recovery) = Journal::open(storage.clone(), name("journal"), 1).unwrap();
        assert_eq!(recovery.records.len(), usize::from(round) - 1);
        journal.append(round, b"record").unwrap();
        journal.sync().unwrap();
        let (mut spool, recovery) = Spool::open(storage.clone(), SpoolOptions::default()).unwrap();
        assert!(recovery.is_sound());
        assert_eq!(spool.append(draft(&[round])).unwrap(), Seq::new(u64::from(round)));
        spool.sync().unwrap();
    }
}

/// `gaps` of a receiver that does not run wanted to write where it only looks.
#[test]
fn whoever_may_only_read_may_look() {
    let temporary = tempfile::tempdir().unwrap();
    let storage = DirStorage::open(temporary.path()).unwrap();
    let (mut journal, _) = Journal::open(storage.clone(), name("journal"), 1).unwrap();
    journal.append(1, b"record").unwrap();
    journal.close().unwrap();
    TwoSlot::open(storage.clone(), name("slot")).unwrap().0.write(b"value").unwrap();
    let (mut spool, _) = Spool::open(storage.clone(), SpoolOptions::default()).unwrap();
    spool.append(draft(b"payload")).unwrap();
    spool.close().unwrap();
    for entry in std::fs::read_dir(temporary.path()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o400)).unwrap();
    }
    let looking = thread::spawn(move || {
        obey_file_modes();
        assert!(storage.open(&name("journal")).is_err(), "it may not write");
        let found = Journal::inspect(&storage, &name("journal")).unwrap().unwrap();
        assert_eq!(found.records.len(), 1);
        let found = TwoSlot::inspect(&storage, &name("slot")).unwrap();
        assert_eq!(found.payload.as_deref(), Some(&b"value"[..]));
        let mut reader = SpoolReader::inspect(storage).unwrap();
        assert_eq!(reader.read(Seq::new(1), 1024, 10).unwrap().len(), 1);
    });
    looking.join().unwrap();
}

/// Takes from this thread what lets root write to everything.
fn obey_file_modes() {
    let mut sets = rustix::thread::capabilities(None).unwrap();
    sets.effective.remove(rustix::thread::CapabilitySet::DAC_OVERRIDE);
    rustix::thread::set_capabilities(None, sets).unwrap();
}

#[test]
fn a_reader_on_another_thread_sees_every_durable_record_once_and_in_order() {
    const RECORDS: u64 = 3_000;
    let temporary = tempfile::tempdir().unwrap();
    let storage = DirStorage::open(temporary.path()).unwrap();
    let options = SpoolOptions {
        segment_bytes_max: 16 * 1024,
        buffer_bytes: 1024,
        ..SpoolOptions::default()
    };
    let (mut spool, _) = Spool::open(storage, options).unwrap();
    let mut consumer = spool.consumer("loader").unwrap();
    let mut reader = spool.reader();
    let (synced, wait) = mpsc::channel();
    let loader = thread::spawn(move || {
        let mut next = Seq::new(1);
        while next.get() <= RECORDS {
            wait.recv().unwrap();
            while next <= reader.durable_seq() {
                for entry in reader.read(next, 4096, 50).unwrap() {
                    let Entry::Record(record) = entry else { panic!("{entry:?}") };
                    assert_eq!(
                        (record.seq, record.payload),
                        (next, next.get().to_le_bytes().to_vec())
                    );
                    next = next.next();
                }
                consumer.advance(Seq::new(next.get() - 1)).unwrap();
            }
            consumer.sync().unwrap();
        }
        consumer
    });
    for number in 1..=RECORDS {
        spool.append(draft(&number.to_le_bytes())).unwrap();
        if number % 40 == 0 || number == RECORDS {
            spool.sync().unwrap();
            synced.send(()).unwrap();
            spool.retain().unwrap();
        }
    }
    let consumer = loader.join().unwrap();
    assert_eq!(consumer.synced_position().get(), RECORDS);
    assert!(spool.retain().is_ok());
    assert_eq!(spool.segments(), 1, "all that is done with is gone");
}

#[test]
fn small_records_are_appended_fast() {
    const RECORDS: u32 = 200_000;
    let temporary = tempfile::tempdir().unwrap();
    let storage = DirStorage::open(temporary.path()).unwrap();
    let (mut spool, _) = Spool::open(storage, SpoolOptions::default()).unwrap();
    let payload = [7; 200];
    let started = std::time::Instant::now();
    for _ in 0..RECORDS {
        spool.append(draft(&payload)).unwrap();
    }
    let took = started.elapsed();
    spool.sync().unwrap();
    // Printed, not asserted: a busy machine is no bug.
    println!("spool: {:.0} appends/s", f64::from(RECORDS) / took.as_secs_f64());
    assert_eq!(spool.durable_seq().get(), u64::from(RECORDS));
}
