//! Every capture of a conversation of two real IoTDBs, replayed, leaves in a store what it left in
//! the receiving IoTDB.

#[path = "support/table.rs"]
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use tidegate_store::DirVolume;
use tidegate_store::Options;
use tidegate_store::ReceivedFile;
use tidegate_store::Store;
use tidegate_tsfile::ModsKind;
use tidegate_wire::FrameDecoder;
use tidegate_wire::FrameEvent;
use tidegate_wire::FrameLimits;
use tidegate_wire::Payload;
use tidegate_wire::Request;

use table::VERSIONS;
use table::expected;
use table::file_of;
use table::found;
use table::gunzip;

/// The payloads of all connections, in the order in which their first bytes came.
fn payloads(case: &Path) -> Vec<Vec<u8>> {
    let trace = gunzip(&case.join("trace.bin.gz"));
    let index = fs::read(case.join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let mut decoders: BTreeMap<u64, FrameDecoder> = BTreeMap::new();
    let (mut open, mut found) = (BTreeMap::<u64, Vec<u8>>::new(), Vec::new());
    for event in index["events"].as_array().unwrap() {
        if event["dir"] != "c2s" {
            continue;
        }
        let number = |key: &str| event[key].as_u64().unwrap();
        let (connection, start) = (number("conn"), number("off") as usize);
        let mut part = &trace[start..start + number("len") as usize];
        let decoder =
            decoders.entry(connection).or_insert_with(|| FrameDecoder::new(FrameLimits::default()));
        while let Some(event) = decoder.next(&mut part).unwrap() {
            let payload = open.entry(connection).or_default();
            match event {
                FrameEvent::Begin { .. } => payload.clear(),
                FrameEvent::Payload(bytes) => payload.extend_from_slice(bytes),
                FrameEvent::End => found.push(core::mem::take(payload)),
            }
        }
    }
    found
}

/// Gives a store what a receiver would give it.
fn replay(store: &mut Store<DirVolume>, staging: &Path, payloads: &[Vec<u8>]) {
    let stage = |name: &str| staging.join(name.replace(['/', ':'], "_"));
    for (sequence, payload) in (1..).zip(payloads) {
        let mut files: Vec<PathBuf> = Vec::new();
        match Payload::decode(payload).unwrap().request {
            Request::HandshakeV1(_) | Request::HandshakeV2(_) => store.pass(sequence),
            Request::FilePiece(piece) => {
                let path = stage(piece.file_name);
                let mut bytes = fs::read(&path).unwrap_or_default();
                bytes.truncate(piece.offset as usize);
                bytes.extend_from_slice(piece.data);
                fs::write(path, bytes).unwrap();
            }
            Request::FileSeal(seal) => files.push(stage(seal.file_name)),
            Request::FileSealMany(seal) => {
                files.extend(seal.files().map(|(name, _)| stage(name)));
            }
            _ => {
                let applied = store.apply_request(sequence, 5, payload).unwrap();
                assert_eq!(applied.left_out, Vec::<String>::new());
            }
        }
        if let Some(ts_file) = files.iter().find(|path| path.extension().unwrap() == "tsfile") {
            let mods = files.iter().find_map(|path| match path.extension()?.to_str()? {
                "mods" => Some((ModsKind::Text, path.as_path())),
                "mods2" => Some((ModsKind::Binary, path.as_path())),
                _ => None,
            });
            let file = ReceivedFile { ts_file, mods, database: None };
            let applied = store.apply_file(sequence, 5, &file).unwrap();
            assert_eq!(applied.left_out, Vec::<String>::new());
            files.iter().for_each(|path| fs::remove_file(path).unwrap());
        }
    }
}

#[test]
fn every_capture_leaves_what_it_left_in_the_receiving_iotdb() {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wire/tests/data");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut n_cases = 0;
    for version in VERSIONS {
        for case in fs::read_dir(captures.join(version)).unwrap() {
            let case = case.unwrap().path();
            let name = case.file_name().unwrap().to_str().unwrap();
            let root = tempfile::tempdir().unwrap();
            let staging = root.path().join("staging");
            fs::create_dir(&staging).unwrap();
            let volume = DirVolume::new(root.path().join("store"));
            let mut store = Store::open(volume.clone(), Options::default(), 1).unwrap();
            store.begin_spool([1; 16]).unwrap();
            replay(&mut store, &staging, &payloads(&case));
            let (in_memory, types) = found(&store);
            let expected = expected(&file_of(&data, version, name), &types);
            for (key, cell) in &expected {
                assert_eq!(in_memory.get(key), Some(cell), "{version} {name} {key:?}");
            }
            assert_eq!(in_memory.len(), expected.len(), "{version} {name}");
            // and from files, with another start
            store.flush().unwrap();
            assert_eq!(found(&store).0, in_memory, "{version} {name}");
            drop(store);
            let store = Store::open(volume, Options::default(), 1).unwrap();
            assert_eq!(found(&store).0, in_memory, "{version} {name}");
            n_cases += 1;
        }
    }
    assert_eq!(n_cases, 49);
}
