//! `FORMAT.md` shows files byte by byte. These tests write the same files.

mod common;

use tidegate_durable::Journal;
use tidegate_durable::OpenError;
use tidegate_durable::RecordDraft;
use tidegate_durable::Seq;
use tidegate_durable::Spool;
use tidegate_durable::SpoolOptions;
use tidegate_durable::TwoSlot;
use tidegate_durable::sim::SimStorage;

use crate::common::name;

const TEXT: &str = include_str!("../FORMAT.md");
const SALT: u32 = 0x1122_3344;

/// The bytes that the text shows under `which`: lines of offset and bytes; what is not shown is zero.
fn shown(which: &str) -> Vec<u8> {
    let marker = format!("<!-- golden: {which} -->\n```\n");
    let block = TEXT.split(&marker).nth(1).unwrap().split("```").next().unwrap();
    let mut file = Vec::new();
    for line in block.lines() {
        let mut fields = line.split_whitespace();
        let offset = usize::from_str_radix(fields.next().unwrap(), 16).unwrap();
        let bytes: Vec<u8> = fields
            .take_while(|field| !field.starts_with('|'))
            .map(|field| u8::from_str_radix(field, 16).unwrap())
            .collect();
        assert!(offset >= file.len(), "{which}: lines are in order");
        file.resize(offset, 0);
        file.extend(bytes);
    }
    file
}

/// `file` as the text shows it; rows of zeros are left out, except the last one.
fn as_text(file: &[u8]) -> String {
    let rows = file.chunks(16).enumerate();
    let last = file.len().div_ceil(16) - 1;
    rows.filter(|(row, bytes)| *row == last || bytes.iter().any(|byte| *byte != 0))
        .map(|(row, bytes)| {
            let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let plain = |byte: &u8| if (32..127).contains(byte) { char::from(*byte) } else { '.' };
            let plain: String = bytes.iter().map(plain).collect();
            format!("{:04x}  {:<47}  |{plain}|\n", row * 16, hex.join(" "))
        })
        .collect()
}

fn check(which: &str, storage: &SimStorage, file: &str) {
    let written = storage.content(&name(file)).unwrap();
    if shown(which) != written {
        panic!("{which}: the text shows other bytes than are written:\n{}", as_text(&written));
    }
}

fn spool() -> SimStorage {
    let storage = SimStorage::new();
    let options = SpoolOptions { salt: SALT, ..SpoolOptions::default() };
    let (mut spool, _) = Spool::open(storage.clone(), options).unwrap();
    let mut consumer = spool.consumer("loader").unwrap();
    let draft = RecordDraft {
        kind: 2,
        dialect: 3,
        flags: 1,
        origin: "peer",
        connection: 7,
        arrival_ms: -2,
        payload: b"request",
    };
    spool.append(draft).unwrap();
    spool.sync().unwrap();
    consumer.advance(Seq::new(1)).unwrap();
    consumer.sync().unwrap();
    spool.close().unwrap();
    storage
}

#[test]
fn a_two_slot_file_is_what_the_text_shows() {
    let storage = SimStorage::new();
    let (mut slot, _) = TwoSlot::open(storage.clone(), name("record")).unwrap();
    for value in ["value 1", "value 2", "value 3"] {
        slot.write(value.as_bytes()).unwrap();
    }
    check("two-slot", &storage, "record");
}

#[test]
fn a_journal_is_what_the_text_shows() {
    let storage = SimStorage::new();
    let (mut journal, _) = Journal::open(storage.clone(), name("journal"), SALT).unwrap();
    for (kind, bytes) in [(1, "one"), (2, "two")] {
        journal.append(kind, bytes.as_bytes()).unwrap();
        journal.sync().unwrap();
    }
    journal.close().unwrap();
    check("journal", &storage, "journal");
}

#[test]
fn a_segment_is_what_the_text_shows() {
    check("segment", &spool(), "00000000000000000001.seg");
}

#[test]
fn mark_and_cursor_are_what_the_text_shows() {
    check("mark", &spool(), "spool.mark");
    check("cursor", &spool(), "loader.cur");
}

#[test]
fn a_newer_version_is_refused_and_left_alone() {
    let storage = SimStorage::new();
    let mut sector = vec![0; 512];
    sector[..8].copy_from_slice(b"TDGSPOL\n");
    sector[8] = 2;
    sector[16] = 1;
    let crc = crc32fast::hash(&sector[..508]);
    sector[508..].copy_from_slice(&crc.to_le_bytes());
    let segment = name("00000000000000000001.seg");
    storage.set_content(&segment, sector.clone());
    let error = Spool::open(storage.clone(), SpoolOptions::default()).map(drop).unwrap_err();
    assert!(matches!(error, OpenError::Version { found: 2, newest: 1, .. }), "{error}");
    assert_eq!(storage.content(&segment).unwrap(), sector);
    sector[..8].copy_from_slice(b"TDGJRNL\n");
    let crc = crc32fast::hash(&sector[..508]);
    sector[508..].copy_from_slice(&crc.to_le_bytes());
    storage.set_content(&name("journal"), sector);
    let error = Journal::open(storage.clone(), name("journal"), 0).map(drop).unwrap_err();
    assert!(matches!(error, OpenError::Version { found: 2, newest: 1, .. }), "{error}");
    let mut slot = b"TgSl\x02\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    slot.extend(crc32fast::hash(&slot).to_le_bytes());
    storage.set_content(&name("slot"), slot);
    let error = TwoSlot::open(storage, name("slot")).map(drop).unwrap_err();
    assert!(matches!(error, OpenError::Version { found: 2, newest: 1, .. }), "{error}");
}
