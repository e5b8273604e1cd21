//! Pipes that take only some series or times: the real sender beside files of a real 1.2.2, and what
//! then lies in the spool of the real receiver.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;
use tidegate_codec::Reader;
use tidegate_durable::DirStorage;
use tidegate_durable::Entry;
use tidegate_durable::SpoolReader;
use tidegate_model::Value as Cell;
use tidegate_tests::arrival;
use tidegate_tests::harness;
use tidegate_tests::harness::Binaries;
use tidegate_tests::harness::Daemon;
use tidegate_tests::harness::Gateway;
use tidegate_tests::harness::ReceiverSetup;
use tidegate_tests::harness::SenderSetup;
use tidegate_tests::harness::SourceDirs;
use tidegate_tests::site::Site;
use tidegate_tests::site::WITHIN;
use tidegate_tsfile::Batch;
use tidegate_tsfile::Selection;
use tidegate_tsfile::TsFile;
use tidegate_wire::Payload;
use tidegate_wire::Request;

/// A sender beside the fixture of 1.2.2, and a receiver.
struct Fixture {
    _dir: TempDir,
    receiver_setup: ReceiverSetup,
    receiver: Daemon,
    setup: SenderSetup,
    binaries: Binaries,
}

impl Fixture {
    fn new(extractor: &str, connector: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let binaries = Binaries::beside_this_one().expect("the daemons are built");
        let receiver_setup =
            ReceiverSetup::new(&binaries, &dir.path().join("receiver"), &[]).expect("a receiver");
        let receiver = receiver_setup.start().expect("a receiver");
        let source = SourceDirs::fixture("iotdb-1.2.2");
        let setup = SenderSetup::new(&binaries, &dir.path().join("sender"), &source, &[]);
        let setup = setup.expect("a sender");
        let text = format!(
            "[extractor]\n{extractor}\n[connector]\nconnector = \"iotdb-air-gap-connector\"\n\
             node-urls = \"{}\"\n{connector}\n",
            receiver_setup.address()
        );
        fs::write(setup.conf().with_file_name("pipes").join("p.toml"), text).expect("a pipe");
        Self { _dir: dir, receiver_setup, receiver, setup, binaries }
    }

    /// Sums of a field over the regions of the pipe, once nothing waits.
    fn run(&self) -> impl Fn(&str) -> u64 + use<> {
        let mut sender = self.setup.start().expect("the sender starts");
        let done = harness::poll(WITHIN, "all files to be dealt with", || {
            sender.ensure_running()?;
            let status = self.setup.status()?;
            let sum = |field: &str| sum_of(&status, field);
            Ok((sum("sent_files") + sum("outside_files") == 6).then_some(status))
        });
        let status = done.unwrap_or_else(|error| panic!("{:#}\n{:?}", error, self.setup.status()));
        sender.terminate().expect("it ends");
        move |field| sum_of(&status, field)
    }

    /// The TsFiles in the receiver's directory, once one is there.
    fn placed(&self) -> Vec<PathBuf> {
        let arrived = harness::poll(WITHIN, "a file to be in its place", || {
            let all = arrival::arrived(&self.receiver_setup.files())?;
            Ok((!all.is_empty()).then_some(all))
        });
        let arrived = arrived.expect("a file");
        arrived.into_values().flatten().map(|content| content.path).collect()
    }

    /// The requests in the receiver's spool that carry rows, in the order of their arrival.
    fn spooled(mut self) -> Vec<Vec<u8>> {
        self.receiver.terminate().expect("it ends");
        let spool = self.receiver_setup.state().join("spool");
        let storage = DirStorage::existing(&spool).expect("a spool");
        let mut reader = SpoolReader::inspect(storage).expect("a spool");
        let first = reader.first_seq().expect("records");
        let entries = reader.read(first, 64 << 20, 100_000).expect("records");
        let payloads = entries.into_iter().filter_map(|entry| {
            let Entry::Record(record) = entry else { panic!("a record is lost") };
            let mut reader = Reader::new(&record.payload);
            reader.u8("version").expect("a version");
            reader.nullable_str("stream", 1 << 20).expect("a stream");
            if reader.u8("flag").expect("a flag") == 1 {
                reader.i64("epoch").expect("an epoch");
            }
            // Files are kind 1.
            (record.kind == 2).then(|| reader.take_rest().to_vec())
        });
        payloads.collect()
    }
}

fn sum_of(status: &Value, field: &str) -> u64 {
    let regions = status["pipes"][0]["regions"].as_array().cloned().unwrap_or_default();
    regions.iter().filter_map(|region| region[field].as_u64()).sum()
}

/// By series and time.
type Points = BTreeMap<(String, i64), String>;

/// What one reads who applies the tablets one after the other.
fn replay(payloads: &[Vec<u8>]) -> Points {
    let mut points = Points::new();
    for payload in payloads {
        let decoded = Payload::decode(payload).expect("a request");
        let Request::Tablet(tablet) = decoded.request else { panic!("{payload:02x?}") };
        let tablet = tablet.to_model();
        for column in tablet.columns {
            let series = format!("{}.{}", tablet.device, column.name);
            for (time, cell) in tablet.times.iter().zip(column.values) {
                if let Some(cell) = cell {
                    points.insert((series.clone(), *time), shown(&cell));
                }
            }
        }
    }
    points
}

/// What a file holds.
fn points_of(path: &Path) -> Points {
    let file = TsFile::open(fs::read(path).expect("a file")).expect("a TsFile");
    let mut points = Points::new();
    for device in file.devices().map(|device| device.expect("a device")) {
        for series in file.series(&device).expect("series").map(|series| series.expect("one")) {
            let name = format!("{}.{}", device.id().path, series.measurement);
            let mut rows = file.rows(&series, Selection::default()).expect("rows");
            let mut batch = Batch::default();
            while rows.next_into(&mut batch).expect("rows") {
                for (time, cell) in batch.times.iter().zip(batch.columns[0].cells()) {
                    points.insert((name.clone(), *time), shown(&cell.expect("a value")));
                }
            }
        }
    }
    points
}

fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Boolean(value) => value.to_string(),
        Cell::Bytes(value) => String::from_utf8(value.clone()).expect("a text"),
        Cell::Double(value) => format!("{value:?}"),
        Cell::Float(value) => format!("{value:?}"),
        Cell::Int32(value) => value.to_string(),
        Cell::Int64(value) => value.to_string(),
    }
}

/// What the 1.2.2 answered for the files of the fixture.
fn answered(series: &str) -> Points {
    let path = tidegate_tests::workspace::root()
        .join("tests/fixtures/iotdb-1.2.2/expected/root.mix.csv.gz");
    let mut text = String::new();
    let packed = fs::read(path).expect("what was answered");
    flate2::read::GzDecoder::new(&*packed).read_to_string(&mut text).expect("a text");
    let point = |line: &str| {
        let mut parts = line.splitn(4, ',');
        let mut part = || parts.next().expect("four parts").to_owned();
        let (name, time, data_type, value) = (part(), part(), part(), part());
        let value = match &*data_type {
            "DOUBLE" => format!("{:?}", value.parse::<f64>().expect("a number")),
            "FLOAT" => format!("{:?}", value.parse::<f32>().expect("a number")),
            _ => value,
        };
        ((name, time.parse().expect("a time")), value)
    };
    let points: Points =
        text.lines().map(point).filter(|((name, _), _)| name.starts_with(series)).collect();
    assert!(!points.is_empty(), "{series}");
    points
}

#[test]
fn the_points_of_a_pattern_that_cuts_files_arrive_as_tablets_in_the_order_of_the_files() {
    for dialect in ["1.2", "1.3"] {
        let connector =
            format!("tidegate.dialect = \"{dialect}\"\ntidegate.piece-size-bytes = 2048");
        let fixture = Fixture::new("pattern = \"root.mix.d1.s_int32\"", &connector);
        let sum = fixture.run();
        assert_eq!((sum("sent_files"), sum("tablet_files"), sum("outside_files")), (3, 3, 3));
        assert_eq!(fixture.setup.gaps().expect("gaps"), Value::Array(Vec::new()));
        let payloads = fixture.spooled();
        assert!(payloads.len() > 3, "pieces are small");
        assert!(payloads.iter().all(|it| it.starts_with(&[1, 0, 3])), "type 3");
        assert_eq!(replay(&payloads), answered("root.mix.d1.s_int32"));
    }
}

/// Nobody knows then what was on its way, and behind a file tablets could be hidden.
#[test]
fn a_sender_that_is_killed_between_two_tablets_of_a_file_sends_all_its_points_again_as_a_file() {
    let keys = "tidegate.dialect = \"1.3\"\ntidegate.piece-size-bytes = 8192";
    let pattern = "pattern = \"root.pages.d0\"";
    let undisturbed = Fixture::new(pattern, keys);
    assert_eq!(undisturbed.run()("tablet_files"), 1);
    let undisturbed = undisturbed.spooled();
    let expected = replay(&undisturbed);
    assert_eq!(expected.len(), 50_000);
    let fixture = Fixture::new(pattern, keys);
    let log = fixture.setup.conf().with_file_name("gateway.log");
    let address = fixture.receiver_setup.address();
    let gateway = Gateway::start(&fixture.binaries, address, &["--mbit", "2"], &log);
    let gateway = gateway.expect("a gateway");
    let pipe = fixture.setup.conf().with_file_name("pipes").join("p.toml");
    let text = fs::read_to_string(&pipe).expect("a pipe");
    let slow = text.replace(&address.to_string(), &gateway.address.to_string());
    fs::write(&pipe, slow).expect("a slow pipe");
    let mut sender = fixture.setup.start().expect("the sender starts");
    let waited = harness::poll(WITHIN, "some tablets to have left", || {
        sender.ensure_running()?;
        let status = fixture.setup.status()?;
        let n_bytes = status["pipes"][0]["lanes"][0]["bytes_sent"].as_u64();
        Ok((n_bytes > Some(60_000)).then_some(()))
    });
    waited.expect("it sends");
    sender.kill9().expect("it dies");
    drop(gateway);
    fs::write(&pipe, text).expect("a fast pipe");
    let sum = fixture.run();
    assert_eq!((sum("sent_files"), sum("tablet_files"), sum("excerpt_files")), (1, 0, 1));
    let files = fixture.placed();
    assert_eq!(files.len(), 1);
    assert_eq!(points_of(&files[0]), expected);
    let payloads = fixture.spooled();
    assert!((1..undisturbed.len()).contains(&payloads.len()), "some came as tablets before");
    assert_eq!(payloads, undisturbed[..payloads.len()]);
}

#[test]
fn to_1_2_files_with_mods_leave_as_their_points_and_files_without_as_they_are() {
    let fixture = Fixture::new("path = \"root.mix.**\"", "tidegate.dialect = \"1.2\"");
    let sum = fixture.run();
    assert_eq!((sum("sent_files"), sum("tablet_files"), sum("outside_files")), (3, 2, 3));
    let payloads = fixture.spooled();
    let points = replay(&payloads);
    let answered = answered("root.mix.");
    // The unsequence file comes last, and whole.
    let n_equal = points.iter().filter(|(key, value)| answered.get(key) == Some(value)).count();
    assert!(n_equal * 10 > answered.len() * 5, "{n_equal} of {}", answered.len());
    assert!(points.keys().all(|key| answered.contains_key(key)), "nothing deleted came back");
}

#[test]
fn where_only_insertions_are_included_files_leave_whole_and_without_their_mods() {
    for (extractor, n_mods) in [("", 2), ("inclusion = \"data.insert\"", 0)] {
        let fixture = Fixture::new(extractor, "tidegate.dialect = \"1.3\"");
        let sum = fixture.run();
        assert_eq!((sum("sent_files"), sum("tablet_files"), sum("sent_deletions")), (6, 0, 0));
        assert_eq!(fixture.setup.gaps().expect("gaps"), Value::Array(Vec::new()));
        let all = harness::poll(WITHIN, "all files to be in their places", || {
            let all = arrival::arrived(&fixture.receiver_setup.files())?;
            let is_mods = |name: &&String| name.ends_with(".mods");
            let n_found = all.keys().filter(is_mods).count();
            Ok((all.len() - n_found == 6).then_some(n_found))
        });
        assert_eq!(all.expect("six files"), n_mods, "{extractor}");
    }
}

#[test]
fn a_range_of_history_limits_history_alone_also_after_a_restart() {
    let mut site = Site::new(&[]);
    let folder = "sequence/root.a/1/0";
    for _ in 0..2 {
        site.tree.add_file(folder, 1000, None).expect("a file");
    }
    let text = format!(
        "[extractor]\nhistory.start-time = 11\n[connector]\n\
         connector = \"iotdb-air-gap-connector\"\nnode-urls = \"{}\"\n",
        site.receiver_setup.address()
    );
    fs::write(site.pipe_path("p"), text).expect("a pipe");
    let mut sender = site.start();
    site.wait(&mut sender, "history to be passed over", |it| sum_of(it, "outside_files") == 2);
    sender.terminate().expect("it ends");
    // Of the same times; sealed while nobody watched.
    site.tree.add_file(folder, 1000, None).expect("a file");
    let mut sender = site.start();
    let status = site.wait(&mut sender, "the new file", |it| sum_of(it, "sent_files") == 1);
    assert_eq!((sum_of(&status, "outside_files"), sum_of(&status, "tablet_files")), (2, 0));
    assert_eq!(site.gaps(), Vec::<Value>::new());
}

/// A peer that takes handshakes and refuses all else, as an IoTDB does with tablets in the forms of
/// another generation.
fn answer_as_another_generation(mut peer: TcpStream) {
    let mut head = [0; 8];
    while peer.read_exact(&mut head).is_ok() {
        let length = u32::from_be_bytes(head[..4].try_into().expect("4 bytes"));
        let mut body = vec![0; length as usize];
        if peer.read_exact(&mut body).is_err() {
            return;
        }
        // behind the checksum and a byte for the version of the form
        let is_handshake = matches!(i16::from_be_bytes([body[9], body[10]]), 0 | 1 | 50 | 51);
        if peer.write_all(&[if is_handshake { 0x00 } else { 0xff }]).is_err() {
            return;
        }
    }
}

/// Tablets got ff for ever, files went through, and nothing said that it was the dialect.
#[test]
fn points_that_a_peer_refuses_again_and_again_have_status_speak_of_the_dialect() {
    let fixture = Fixture::new("pattern = \"root.mix.d1.s_int32\"", "");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for peer in listener.incoming().flatten() {
            std::thread::spawn(move || answer_as_another_generation(peer));
        }
    });
    let pipe = fixture.setup.conf().with_file_name("pipes").join("p.toml");
    let text = fs::read_to_string(&pipe).expect("a pipe");
    let text = text.replace(&fixture.receiver_setup.address().to_string(), &address.to_string());
    fs::write(&pipe, text).expect("a pipe");
    let mut sender = fixture.setup.start().expect("the sender starts");
    let hinted = harness::poll(WITHIN, "a hint", || {
        sender.ensure_running()?;
        let status = fixture.setup.status()?;
        let hint = status["pipes"][0]["lanes"][0]["hint"].as_str().map(str::to_owned);
        Ok(hint)
    });
    let hint = hinted.unwrap_or_else(|error| panic!("{:#}", sender.with_log(&error)));
    let expected = " times in a row in the forms of dialect 1.3, which auto took from the source";
    assert!(hint.contains(expected), "{hint}");
    // and the log once, as soon as it is no accident
    let log = sender.log().expect("a log");
    assert_eq!(log.matches(&format!("refused 3{expected}")).count(), 1, "{log}");
}
