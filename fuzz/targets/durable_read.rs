//! Whatever stands on a disk: journal and spool open or say why not, and what they give back is what
//! was put in.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_durable::Entry;
use tidegate_durable::FileName;
use tidegate_durable::Journal;
use tidegate_durable::RecordDraft;
use tidegate_durable::Seq;
use tidegate_durable::Spool;
use tidegate_durable::SpoolOptions;
use tidegate_durable::Storage;
use tidegate_durable::sim::SimStorage;

const RECORDS: u64 = 12;

fuzz_target!(|data: &[u8]| {
    // The first byte chooses a file, the next two where it is cut; then come places, each with what
    // is to stand there.
    let Some((head, edits)) = data.split_first_chunk::<3>() else { return };
    let [file, cut @ ..] = *head;
    let disk = written();
    let names = disk.list().unwrap();
    let name = &names[usize::from(file) % names.len()];
    let mut bytes = disk.content(name).unwrap();
    for edit in edits.as_chunks::<4>().0 {
        let [high, low, mask, value] = *edit;
        let at = usize::from(u16::from_be_bytes([high, low])) % bytes.len();
        bytes[at] = bytes[at] & !mask | value & mask;
    }
    match usize::from(u16::from_be_bytes(cut)) {
        0 => {}
        cut => bytes.truncate(cut),
    }
    disk.set_content(name, bytes);
    check_journal(&disk);
    check_spool(&disk);
});

fn journal() -> FileName {
    FileName::new("list").unwrap()
}

fn options() -> SpoolOptions {
    let mut options = SpoolOptions::default();
    options.segment_bytes_max = 2048;
    options
}

fn payload(number: u64) -> Vec<u8> {
    vec![number as u8; 40 * number as usize]
}

/// A disk with a journal and a spool of several segments.
fn written() -> SimStorage {
    let disk = SimStorage::new();
    let (mut list, _) = Journal::open(disk.clone(), journal(), 7).unwrap();
    let (mut spool, _) = Spool::open(disk.clone(), options()).unwrap();
    let mut consumer = spool.consumer("reader").unwrap();
    for number in 1..=RECORDS {
        list.append(1, &payload(number)).unwrap();
        let payload = &payload(number);
        let draft = RecordDraft {
            kind: 1,
            dialect: 2,
            flags: 0,
            origin: "peer",
            connection: number,
            arrival_ms: 0,
            payload,
        };
        spool.append(draft).unwrap();
        if number % 3 == 0 {
            list.sync().unwrap();
            spool.sync().unwrap();
        }
    }
    consumer.advance(Seq::new(3)).unwrap();
    consumer.sync().unwrap();
    disk
}

fn check_journal(disk: &SimStorage) {
    let Ok((_, recovery)) = Journal::open(disk.clone(), journal(), 7) else { return };
    let mut numbers = (1..=RECORDS).map(payload);
    for record in &recovery.records {
        assert!(numbers.any(|it| it == record.bytes), "foreign or out of order: {record:?}");
    }
    // what opening has made of it is sound
    let (_, again) = Journal::open(disk.clone(), journal(), 7).unwrap();
    assert_eq!(again.records, recovery.records);
}

fn check_spool(disk: &SimStorage) {
    let Ok((spool, _)) = Spool::open(disk.clone(), options()) else { return };
    let mut reader = spool.reader();
    let mut next = Seq::new(1);
    while next <= spool.durable_seq() {
        let Ok(entries) = reader.read(next, 1 << 20, 5) else { return };
        let Some(last) = entries.last().map(Entry::last_seq) else { return };
        for entry in &entries {
            if let Entry::Record(record) = entry {
                assert_eq!(record.payload, payload(record.seq.get()), "foreign");
            }
        }
        assert!(last >= next, "it goes on");
        next = last.next();
    }
}
