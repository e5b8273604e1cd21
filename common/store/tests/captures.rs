//! Every capture of a conversation of two real IoTDBs, replayed, leaves in a store what it left in
//! the receiving IoTDB.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use tidegate_model::DataType;
use tidegate_model::Value;
use tidegate_store::Device;
use tidegate_store::DirVolume;
use tidegate_store::Options;
use tidegate_store::Pattern;
use tidegate_store::ReceivedFile;
use tidegate_store::Scan;
use tidegate_store::Store;
use tidegate_tsfile::ModsKind;
use tidegate_wire::FrameDecoder;
use tidegate_wire::FrameEvent;
use tidegate_wire::FrameLimits;
use tidegate_wire::Payload;
use tidegate_wire::Request;

/// Cells as IoTDB prints them, by time and series; those that are null left out.
type Table = BTreeMap<(i64, String), String>;

fn gunzip(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut found = Vec::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut found).unwrap();
    found
}

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

/// A value as IoTDB prints it, but for numbers that are no whole ones.
fn shown(data_type: DataType, value: &Value) -> String {
    match value {
        Value::Boolean(value) => value.to_string(),
        Value::Int32(value) => value.to_string(),
        Value::Int64(value) => value.to_string(),
        Value::Float(value) => format!("{}", f64::from(*value)),
        Value::Double(value) => format!("{value}"),
        Value::Bytes(bytes) if data_type == DataType::Blob => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("0x{hex}")
        }
        Value::Bytes(bytes) => String::from_utf8(bytes.clone()).unwrap(),
    }
}

fn found(store: &Store<DirVolume>) -> (Table, BTreeMap<String, DataType>) {
    let (mut table, mut types) = (Table::new(), BTreeMap::new());
    let patterns = vec![Pattern::Tree("root.t.**".into())];
    let scan = Scan { patterns, measurements: None, times: i64::MIN..=i64::MAX };
    store
        .snapshot()
        .scan(&scan, &mut |device, series, batch| {
            let Device::Tree { path } = device else { panic!("{device}") };
            for (series, column) in series.iter().zip(&batch.columns) {
                let name = format!("{path}.{}", series.measurement);
                for (time, cell) in batch.times.iter().zip(column.cells()) {
                    if let Some(value) = cell {
                        table.insert((*time, name.clone()), shown(series.data_type, &value));
                    }
                }
                types.insert(name, series.data_type);
            }
            true
        })
        .unwrap();
    (table, types)
}

/// What the receiving IoTDB held.
fn expected(path: &Path, types: &BTreeMap<String, DataType>) -> Table {
    let text = String::from_utf8(gunzip(path)).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').skip(1).collect();
    let mut table = Table::new();
    for line in lines {
        let mut cells = line.split(',');
        let time: i64 = cells.next().unwrap().parse().unwrap();
        let cells: Vec<&str> = cells.collect();
        assert_eq!(cells.len(), names.len(), "{line}");
        for (name, cell) in names.iter().zip(cells).filter(|(_, cell)| *cell != "null") {
            // Java prints numbers in other ways
            let cell = match types.get(*name) {
                Some(DataType::Float) => f64::from(cell.parse::<f32>().unwrap()).to_string(),
                Some(DataType::Double) => cell.parse::<f64>().unwrap().to_string(),
                _ => cell.to_owned(),
            };
            table.insert((time, (*name).to_owned()), cell);
        }
    }
    table
}

/// The case that holds the same.
fn file_of(version: &str, case: &str) -> PathBuf {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(version);
    let file = |case: &str| data.join(format!("{case}.csv.gz"));
    let plain = case.trim_end_matches("-nopattern");
    [case, plain, &plain.replace("tsfile-mods", "tsfile-small")]
        .into_iter()
        .map(file)
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("nothing is known of {version} {case}"))
}

#[test]
fn every_capture_leaves_what_it_left_in_the_receiving_iotdb() {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wire/tests/data");
    let mut n_cases = 0;
    for version in ["1.2.2", "2.0.1-beta"] {
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
            let expected = expected(&file_of(version, name), &types);
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
