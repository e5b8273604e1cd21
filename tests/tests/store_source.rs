//! A store as the source of a sender: the real daemons, and what the second store then shows.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use tidegate_codec::Writer;
use tidegate_durable::Storage;
use tidegate_model::Category;
use tidegate_model::Column;
use tidegate_model::DataType;
use tidegate_model::Precision;
use tidegate_model::Tablet;
use tidegate_model::Value;
use tidegate_store::DirVolume;
use tidegate_store::Look;
use tidegate_store::Options;
use tidegate_store::Pattern;
use tidegate_store::ReceivedFile;
use tidegate_store::Scan;
use tidegate_store::Snapshot;
use tidegate_store::Store;
use tidegate_tests::harness;
use tidegate_tests::harness::Binaries;
use tidegate_tests::harness::ReceiverSetup;
use tidegate_tests::harness::SenderSetup;
use tidegate_tests::harness::SourceDirs;
use tidegate_tests::site::WITHIN;
use tidegate_wire::Payload;
use tidegate_wire::Request;
use tidegate_wire::RequestType;
use tidegate_wire::request::DeleteData;
use tidegate_wire::request::Path as WirePath;
use tidegate_wire::request::PayloadHead;
use tidegate_wire::request::Plan;
use tidegate_wire::request::TabletForm;
use tidegate_wire::request::encode_tablet;

/// By series and time.
type Points = BTreeMap<(String, i64), Value>;

fn points<S: Storage>(snapshot: &Snapshot<S>) -> Points {
    let patterns = vec![Pattern::Tree("root.**".into())];
    let scan = Scan { patterns, measurements: None, times: i64::MIN..=i64::MAX };
    let mut found = Points::new();
    let scanned = snapshot.scan(&scan, &mut |device, series, batch| {
        for (series, column) in series.iter().zip(&batch.columns) {
            for (time, cell) in batch.times.iter().zip(column.cells()) {
                if let Some(value) = cell {
                    found.insert((format!("{device}.{}", series.measurement), *time), value);
                }
            }
        }
        true
    });
    scanned.expect("the store is read");
    found
}

fn rows(device: &str, times: &[i64], first: i32) -> Vec<u8> {
    let values = (first..).take(times.len()).map(|value| Some(Value::Int32(value)));
    let column = Column {
        name: String::from("s"),
        data_type: DataType::Int32,
        encoding: 0,
        compressor: 0,
        category: Category::Field,
        values: values.collect(),
    };
    let (device, times) = (device.to_owned(), times.to_vec());
    let tablet = Tablet { database: None, device, aligned: false, times, columns: vec![column] };
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    PayloadHead { request_type: RequestType::TransferTabletRaw }.encode(&mut writer);
    encode_tablet(&tablet, TabletForm::Categories, &mut writer);
    out
}

fn deletion(pattern: &str, start_time: i64, end_time: i64) -> Vec<u8> {
    let paths = vec![WirePath::measurement(pattern, pattern.split('.').collect())].into();
    let delete = DeleteData { paths, start_time, end_time, plan_node_id: "" };
    let mut out = Vec::new();
    Payload::from(Request::Plan(Plan::Delete(delete))).encode(&mut out).expect("a request");
    out
}

/// What the stores in a directory hold, as far as it is in files.
fn stored(below: &Path) -> Points {
    let mut found = Points::new();
    for entry in fs::read_dir(below).expect("the target").flatten() {
        if Look::is_at(&entry.path())
            && let Ok(Some(look)) = Look::at(&entry.path())
        {
            found.extend(points(&look.snapshot));
        }
    }
    found
}

/// Deletes in a store that was filled; returns what is left.
fn delete_more(root: &Path) -> Points {
    let mut store = Store::open(DirVolume::new(root), Options::default(), 1).expect("a store");
    store.begin_spool([1; 16]).expect("a spool");
    let request = deletion("root.plant.d1.s", 100, 130);
    let applied = store.apply_request(101, 1_700_000_000_000, &request).expect("taken in");
    assert!(applied.left_out.is_empty());
    while store.write_mods().expect("written") {}
    points(&store.snapshot())
}

/// Some TsFile of a real 1.2.2.
fn some_ts_file(below: &Path) -> Option<std::path::PathBuf> {
    fs::read_dir(below).ok()?.flatten().find_map(|entry| match entry.path() {
        path if path.is_dir() => some_ts_file(&path),
        path => path.extension().is_some_and(|end| end == "tsfile").then_some(path),
    })
}

/// Fills a store with rows that overwrite one another, deletions between them and a received file.
fn fill(root: &Path) -> Points {
    let mut options = Options::default();
    options.merge_files_min = 3;
    let mut store = Store::open(DirVolume::new(root), options, 1).expect("a store");
    store.begin_spool([1; 16]).expect("a spool");
    store.set_precision(Precision::Ms).expect("a precision");
    let mut sequence = 0;
    let mut give = |store: &mut Store<DirVolume>, request: &[u8]| {
        sequence += 1;
        let applied = store.apply_request(sequence, 1_700_000_000_000, request).expect("taken in");
        assert!(applied.left_out.is_empty());
        store.flush().expect("flushed");
    };
    for round in 0..4 {
        let times: Vec<i64> = (0..20).map(|row| row * 10 + i64::from(round)).collect();
        give(&mut store, &rows("root.plant.d1", &times, round * 100));
        give(&mut store, &rows("root.office.x.d2", &[5, 15, 25], round * 1000));
        give(&mut store, &deletion("root.plant.d1.s", 30, 62));
        if round == 1 {
            while store.merge_once().expect("merged") {}
        }
    }
    give(&mut store, &deletion("root.**.d2.s", 15, 15));
    let fixture = tidegate_tests::workspace::root().join("tests/fixtures/iotdb-1.2.2/data");
    let ts_file = some_ts_file(&fixture.join("datanode/data/sequence")).expect("a file");
    let file = ReceivedFile { ts_file: &ts_file, mods: None, database: None };
    let applied = store.apply_file(100, 1_700_000_000_000, &file).expect("taken in");
    assert_eq!(applied.left_out, Vec::<String>::new());
    while store.write_mods().expect("written") {}
    points(&store.snapshot())
}

#[test]
fn a_sender_whose_source_is_a_store_delivers_the_points_that_the_store_shows() {
    let dir = tempfile::tempdir().expect("a directory");
    let binaries = Binaries::beside_this_one().expect("the daemons are built");
    let source = dir.path().join("source");
    let expected = fill(&source.join("datanode"));
    assert!(expected.len() > 60, "{}", expected.len());
    let receiver_setup =
        ReceiverSetup::new(&binaries, &dir.path().join("receiver"), &[]).expect("a receiver");
    let conf = fs::read_to_string(receiver_setup.conf()).expect("a configuration");
    let conf = conf.replace("receiver_target=directory", "receiver_target=store");
    fs::write(receiver_setup.conf(), conf).expect("a configuration");
    let mut receiver = receiver_setup.start().expect("a receiver");
    let more = ["sender_iotdb_version=1.3.2", "sender_timestamp_precision=ms"];
    let dirs = SourceDirs::below(&source);
    let setup =
        SenderSetup::new(&binaries, &dir.path().join("sender"), &dirs, &more).expect("a sender");
    setup.write_pipe("p", receiver_setup.address(), &[]).expect("a pipe");
    let n_files = Look::at(&source.join("datanode")).expect("a store").expect("a store");
    let n_files = n_files.snapshot.n_layers() as u64;
    let mut sender = setup.start().expect("the sender starts");
    let sent = harness::poll(WITHIN, "all files to be acknowledged", || {
        sender.ensure_running()?;
        let status = setup.status()?;
        Ok((status["pipes"][0]["sent_files"].as_u64() == Some(n_files)).then_some(()))
    });
    sent.unwrap_or_else(|error| {
        panic!("{:#}\n{:#}", sender.with_log(&error), setup.status().unwrap_or_default())
    });
    assert_eq!(setup.gaps().expect("gaps"), serde_json::Value::Array(Vec::new()));
    // what is acknowledged is in the spool, and in the store a moment later
    let mut holds = |expected: &Points| {
        let mut found = Points::new();
        let waited = harness::poll(WITHIN, "all points to be in the store", || {
            receiver.ensure_running()?;
            sender.ensure_running()?;
            found = stored(&receiver_setup.files());
            Ok((found == *expected).then_some(()))
        });
        if waited.is_err() {
            let differ = |(key, it): &(&(String, i64), &Value)| expected.get(*key) != Some(*it);
            let wrong: Vec<_> = found.iter().filter(differ).take(9).collect();
            panic!("{} of {} points; wrong: {wrong:?}", found.len(), expected.len());
        }
    };
    holds(&expected);
    // a deletion of rows that have left
    holds(&delete_more(&source.join("datanode")));
    assert_eq!(setup.gaps().expect("gaps"), serde_json::Value::Array(Vec::new()));
    sender.terminate().expect("it ends");
    receiver.terminate().expect("it ends");
    // and what lies there is what its catalog says, until it is damaged
    let conf = receiver_setup.conf();
    let verify = || {
        let mut command = Command::new(binaries.path("tidegate-receiver"));
        let output = command.args(["verify", "--json", "--conf"]).arg(&conf).output();
        let output = output.expect("it runs");
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (output.status.code(), found[0].clone())
    };
    let (code, sound) = verify();
    assert_eq!((code, &sound["is_sound"]), (Some(0), &true.into()), "{sound:#}");
    assert!(sound["points"].as_u64() >= Some(expected.len() as u64), "{sound:#}");
    let damaged = some_ts_file(&receiver_setup.files()).expect("a file");
    let mut bytes = fs::read(&damaged).expect("a file");
    bytes.truncate(bytes.len() - 1);
    fs::write(&damaged, bytes).expect("a file");
    let (code, unsound) = verify();
    assert_eq!((code, &unsound["is_sound"]), (Some(1), &false.into()));
    let file = unsound["findings"][0]["file"].as_str().expect("a name");
    assert!(damaged.ends_with(file), "{unsound:#}");
}
