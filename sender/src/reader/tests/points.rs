//! What leaves of a file of which not all is wanted, compared with what a real 1.2.2 sent.

use std::collections::BTreeMap;
use std::io::Read;

use tidegate_config::PipeDefinition;
use tidegate_model::Precision;
use tidegate_model::Value;
use tidegate_source::Age;
use tidegate_wire::FrameDecoder;
use tidegate_wire::FrameEvent;
use tidegate_wire::FrameLimits;
use tidegate_wire::Payload;
use tidegate_wire::Request;

use super::*;

/// By series and time.
type Points = BTreeMap<(String, i64), String>;

/// The payloads of the requests of a recorded conversation between two 1.2.2.
fn payloads(case: &str) -> Vec<Vec<u8>> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let case = manifest.join("../common/wire/tests/data/1.2.2").join(case);
    let packed = fs::read(case.join("trace.bin.gz")).expect("a trace");
    let mut trace = Vec::new();
    flate2::read::GzDecoder::new(&*packed).read_to_end(&mut trace).expect("a trace");
    let index = fs::read(case.join("index.json")).expect("an index");
    let index: serde_json::Value = serde_json::from_slice(&index).expect("an index");
    let mut up = Vec::new();
    for event in index["events"].as_array().expect("events") {
        let at = |key: &str| event[key].as_u64().expect("a number") as usize;
        if event["dir"] == "c2s" {
            up.extend_from_slice(&trace[at("off")..at("off") + at("len")]);
        }
    }
    let mut decoder = FrameDecoder::new(FrameLimits::default());
    let (mut rest, mut payloads) = (&*up, Vec::<Vec<u8>>::new());
    while let Some(event) = decoder.next(&mut rest).expect("frames") {
        match event {
            FrameEvent::Begin { .. } => payloads.push(Vec::new()),
            FrameEvent::Payload(bytes) => payloads.last_mut().expect("one").extend(bytes),
            FrameEvent::End => (),
        }
    }
    payloads
}

fn points_of(payloads: &[Vec<u8>]) -> Points {
    let mut points = Points::new();
    for payload in payloads {
        let decoded = Payload::decode(payload).expect("a request");
        let tablet = match decoded.request {
            Request::Tablet(tablet) => tablet.to_model(),
            Request::TabletV2(tablet) => tablet.inner.to_model(),
            _ => continue,
        };
        for column in tablet.columns {
            let series = format!("{}.{}", tablet.device, column.name);
            for (time, value) in tablet.times.iter().zip(column.values) {
                if let Some(value) = value {
                    points.insert((series.clone(), *time), shown(&value));
                }
            }
        }
    }
    points
}

fn shown(value: &Value) -> String {
    match value {
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => format!("{other:?}"),
    }
}

/// The TsFile that a 1.2.2 without a pattern sent of the same rows.
fn captured_file() -> Vec<u8> {
    let mut file = Vec::new();
    for payload in payloads("airgap-tsfile-mods-nopattern") {
        if let Ok(Payload { request: Request::FilePiece(piece), .. }) = Payload::decode(&payload) {
            file.extend_from_slice(piece.data);
        }
    }
    assert!(file.starts_with(b"TsFile") && file.ends_with(b"TsFile"));
    file
}

pub(super) fn filter(lines: &str) -> Arc<Filter> {
    let text = format!(
        "[connector]\nconnector = \"iotdb-air-gap-connector\"\nnode-urls = \"h:1\"\n\
         [extractor]\n{lines}"
    );
    let definition = PipeDefinition::parse("p.toml", "p.toml", text.as_bytes());
    let extractor = definition.expect("a definition").extractor;
    let filter = Filter::new(&extractor, Dialect::V1_2, Precision::Ms, 0);
    Arc::new(filter.expect("a filter"))
}

/// What a reader makes of the fixture's file.
enum Found {
    Nothing,
    Whole,
    Tablets(Vec<Vec<u8>>),
}

fn leaves(fixture: &Fixture, age: Age, dialect: Dialect, piece_bytes: u32) -> Found {
    let mut item = fixture.item();
    item.age = age;
    match fixture.open_item(item, dialect, piece_bytes) {
        ReadReport::Nothing { .. } => return Found::Nothing,
        ReadReport::Opened { .. } => return Found::Whole,
        ReadReport::Tablets { .. } => (),
        other => panic!("{other:?}"),
    }
    let mut payloads = Vec::new();
    loop {
        let report = fixture.reports.recv().expect("a reader");
        let ReadReport::Piece(piece) = report else { panic!("{report:?}") };
        let Part::Tablet { is_last, .. } = piece.part else { panic!("{piece:?}") };
        assert!(piece.bytes.len() <= piece_bytes as usize);
        payloads.push(piece.bytes.clone());
        let _ = fixture.requests.send(ReadRequest::Return(piece.bytes));
        if is_last {
            return Found::Tablets(payloads);
        }
    }
}

fn tablets(fixture: &Fixture, age: Age, dialect: Dialect, piece_bytes: u32) -> Vec<Vec<u8>> {
    match leaves(fixture, age, dialect, piece_bytes) {
        Found::Tablets(payloads) => payloads,
        Found::Nothing => panic!("nothing leaves"),
        Found::Whole => panic!("the whole file leaves"),
    }
}

fn fixture(lines: &str) -> Fixture {
    let mut fixture = Fixture::new();
    fixture.filter = filter(lines);
    fs::write(fixture.path(), captured_file()).expect("a file");
    fixture
}

/// Says briefly how two sets of points differ.
#[track_caller]
fn compare(found: &Points, expected: &Points) {
    let missing: Vec<_> = expected.iter().filter(|it| found.get(it.0) != Some(it.1)).collect();
    let surplus: Vec<_> = found.keys().filter(|it| !expected.contains_key(*it)).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "{} missing, such as {:?}; {} too many, such as {:?}",
        missing.len(),
        missing.first(),
        surplus.len(),
        surplus.first()
    );
}

#[test]
fn a_pattern_that_cuts_a_file_sends_the_points_that_1_2_2_sends() {
    let expected = points_of(&payloads("airgap-pattern-tsfile-parsed"));
    assert_eq!(expected.len(), 3000);
    let fixture = fixture("pattern = \"root.t.d1\"");
    for piece_bytes in [1 << 20, 8192, 4096] {
        let sent = tablets(&fixture, Age::Realtime, Dialect::V1_2, piece_bytes);
        assert_eq!(sent.len() > 1, piece_bytes < 1 << 20, "a tablet is no larger than a piece");
        assert!(sent.iter().all(|it| it.starts_with(&[1, 0, 3])), "type 3");
        compare(&points_of(&sent), &expected);
    }
    let sent = tablets(&fixture, Age::Realtime, Dialect::V2_0, 1 << 20);
    assert!(sent.iter().all(|it| it.starts_with(&[1, 0, 11])), "type 11");
    compare(&points_of(&sent), &expected);
}

#[test]
fn a_range_of_history_sends_the_points_that_1_2_2_sends_and_limits_nothing_else() {
    let expected = points_of(&payloads("airgap-history-timerange"));
    assert!(!expected.is_empty());
    let lines = "pattern = \"root.t\"\n\
                 history.start-time = \"1970-01-01T00:00:00.100+00:00\"\n\
                 history.end-time = \"1970-01-01T00:00:00.200+00:00\"";
    let sent = tablets(&fixture(lines), Age::History, Dialect::V1_2, 1 << 20);
    compare(&points_of(&sent), &expected);
    for age in [Age::Realtime, Age::Either] {
        let fixture = fixture(lines);
        assert!(matches!(leaves(&fixture, age, Dialect::V1_2, 1 << 20), Found::Whole));
    }
}

#[test]
fn a_file_with_mods_goes_to_1_2_as_the_points_that_survive() {
    let mut expected = points_of(&payloads("airgap-tsfile-mods"));
    let n_all = expected.len();
    // 1.2.2 sends what was deleted; it must not come back.
    expected.retain(|(series, time), _| {
        let is_first = series == "root.t.d1.s_int32" && (100..200).contains(time);
        let is_second = series.starts_with("root.t.a1.") && *time < 50;
        !is_first && !is_second
    });
    assert_eq!((n_all, expected.len()), (5400, 5065), "as its own log says");
    let fixture = fixture("");
    let mods = "DELETION,root.t.d1.s_int32,9223372036854775807,100,199\n\
                DELETION,root.t.a1.*,9223372036854775807,-9223372036854775808,49\n";
    fs::write(fixture.dir.path().join("7-1-0-0.tsfile.mods"), mods).expect("mods");
    let sent = tablets(&fixture, Age::Realtime, Dialect::V1_2, 1 << 20);
    compare(&points_of(&sent), &expected);
    assert!(matches!(leaves(&fixture, Age::Realtime, Dialect::V1_3, 1 << 20), Found::Whole));
}

/// As IoTDB has it with `mods.enable`, which follows `inclusion`.
#[test]
fn where_only_insertions_are_included_a_file_leaves_without_its_deletions_in_every_form() {
    let mods = "DELETION,root.t.d1.s_int32,9223372036854775807,100,199\n";
    for inclusion in ["", "inclusion = \"data.insert\"\n"] {
        let takes_deletions = inclusion.is_empty();
        let with_mods = |lines: &str| {
            let fixture = fixture(&format!("{inclusion}{lines}"));
            fs::write(fixture.dir.path().join("7-1-0-0.tsfile.mods"), mods).expect("mods");
            fixture
        };
        for dialect in [Dialect::V1_2, Dialect::V1_3] {
            let fixture = with_mods("");
            match fixture.open(dialect, 1 << 20) {
                ReadReport::Opened { mods_bytes, mods_seen, .. } => {
                    assert!(dialect > Dialect::V1_2 || !takes_deletions);
                    assert_eq!(
                        (mods_bytes.is_some(), mods_seen.is_some()),
                        (takes_deletions, true)
                    );
                    if !takes_deletions {
                        let whole = captured_file();
                        assert_eq!(fixture.read(whole.len()).expect("a file"), whole);
                    }
                }
                ReadReport::Tablets { .. } => {
                    assert!(dialect == Dialect::V1_2 && takes_deletions);
                }
                other => panic!("{other:?}"),
            }
        }
        let fixture = with_mods("pattern = \"root.t.d1\"");
        let sent = points_of(&tablets(&fixture, Age::Realtime, Dialect::V1_3, 1 << 20));
        let is_deleted = |(series, time): &&(String, i64)| {
            series.ends_with(".s_int32") && (100..200).contains(time)
        };
        assert_eq!(sent.keys().any(|key| is_deleted(&key)), !takes_deletions);
    }
}

/// The excerpt that a reader makes of the fixture's file, if it makes one.
fn excerpt_of(
    fixture: &Fixture,
    dialect: Dialect,
    piece_bytes: u32,
) -> Result<Vec<u8>, ReadReport> {
    match fixture.open(dialect, piece_bytes) {
        ReadReport::Excerpt { length_bytes, has_unknown_types: false, .. } => {
            Ok(fixture.read(length_bytes as usize).expect("all of it"))
        }
        other => Err(other),
    }
}

/// All points of a file of the tree model.
fn points_in(bytes: Vec<u8>) -> Points {
    let file = TsFile::open(bytes).expect("a file");
    assert!(file.verify().is_sound());
    let order = tidegate_tsfile::TabletOrder {
        wanted: Wanted::default(),
        deleted: Vec::new(),
        database: None,
        bytes_max: 1 << 20,
        rows_max: 1000,
        knows: |_| true,
        passes_io_errors: false,
    };
    let mut tablets = tidegate_tsfile::Tablets::new(&file, order);
    let mut points = Points::new();
    while let Some(tablet) = tablets.next_tablet().expect("a tablet") {
        for column in tablet.columns {
            let series = format!("{}.{}", tablet.device, column.name);
            let cells = tablet.times.iter().zip(column.values);
            let there = cells.filter_map(|(time, value)| Some((*time, shown(&value?))));
            points.extend(there.map(|(time, value)| ((series.clone(), time), value)));
        }
    }
    points
}

#[test]
fn an_excerpt_has_the_points_of_the_tablets_and_the_same_bytes_each_time() {
    let mods = "DELETION,root.t.d1.s_int32,9223372036854775807,100,199\n";
    for (lines, has_mods) in [("pattern = \"root.t.d1\"", false), ("", true)] {
        let mut fixture = fixture(lines);
        if has_mods {
            fs::write(fixture.dir.path().join("7-1-0-0.tsfile.mods"), mods).expect("mods");
        }
        let expected = points_of(&tablets(&fixture, Age::Realtime, Dialect::V1_2, 1 << 20));
        fixture.wants_excerpt = true;
        let excerpt = excerpt_of(&fixture, Dialect::V1_2, 1 << 20).expect("an excerpt");
        for (dialect, piece_bytes) in [(Dialect::V1_2, 777), (Dialect::V2_0, 1 << 20)] {
            let again = excerpt_of(&fixture, dialect, piece_bytes);
            // The deletions travel to 2.0.
            assert!(again.is_ok_and(|it| it == excerpt) || has_mods && dialect == Dialect::V2_0);
        }
        compare(&points_in(excerpt), &expected);
    }
}

#[test]
fn a_file_that_is_given_up_before_its_form_is_chosen_lets_the_next_one_in() {
    let fixture = fixture("pattern = \"root.t.d1\"");
    let open = |token| OpenFile {
        token,
        file: fixture.item(),
        dialect: Dialect::V1_3,
        piece_bytes: 1 << 20,
        filter: Arc::clone(&fixture.filter),
        mods_bytes_max: 1000,
    };
    let is_cut = |of: u64| {
        let report = fixture.reports.recv().expect("a reader");
        assert!(matches!(report, ReadReport::Cut { token } if token == of), "{report:?}");
    };
    for (token, gives_up) in [(7, true), (8, false), (9, true)] {
        fixture.requests.send(ReadRequest::Open(open(token))).expect("a reader");
        is_cut(token);
        if gives_up {
            fixture.requests.send(ReadRequest::Cancel).expect("a reader");
        }
    }
    assert_eq!(tablets(&fixture, Age::Realtime, Dialect::V1_3, 1 << 20).len(), 1);
}

#[test]
fn a_file_of_which_all_or_nothing_leaves_needs_no_excerpt() {
    for (lines, is_whole) in [("pattern = \"root.t\"", true), ("pattern = \"root.t.d1.s\"", false)]
    {
        let mut fixture = fixture(lines);
        fixture.wants_excerpt = true;
        match excerpt_of(&fixture, Dialect::V1_3, 1 << 20) {
            Err(ReadReport::Opened { .. }) => assert!(is_whole),
            Err(ReadReport::Nothing { .. }) => assert!(!is_whole),
            other => panic!("{other:?}"),
        }
    }
    let mut fixture = fixture("pattern = \"root.t.d1\"");
    fs::write(
        fixture.dir.path().join("7-1-0-0.tsfile.mods"),
        "DELETION,root.t.d1.*,9223372036854775807,-9223372036854775808,9223372036854775807\n",
    )
    .expect("mods");
    fixture.wants_excerpt = true;
    let report = excerpt_of(&fixture, Dialect::V1_3, 1 << 20);
    assert!(matches!(report, Err(ReadReport::Nothing { .. })), "{report:?}");
}

#[test]
fn points_too_many_for_an_excerpt_leave_as_tablets_and_a_full_disk_is_waited_for() {
    for (bytes_max, floor_percent) in [(1000, 0), (1 << 20, 101)] {
        let dir = tempfile::tempdir().expect("a directory");
        let excerpts = Excerpts::open(&dir.path().join("excerpts"), bytes_max, floor_percent);
        let mut fixture = Fixture::bounded(dir, Arc::default(), excerpts.expect("a directory"));
        fixture.filter = filter("pattern = \"root.t.d1\"");
        fs::write(fixture.path(), captured_file()).expect("a file");
        fixture.wants_excerpt = true;
        match excerpt_of(&fixture, Dialect::V1_3, 1 << 20) {
            Err(ReadReport::Tablets { not_excerpt: Some(reason), .. }) => {
                assert!(reason.contains("sender_excerpt_max_bytes"), "{reason}");
                assert_eq!(bytes_max, 1000);
            }
            Err(report) => {
                let reason = unfit(report);
                assert!(reason.contains("sender_pin_floor_percent"), "{reason}");
                assert_eq!(floor_percent, 101);
            }
            Ok(_) => panic!("there is room"),
        }
    }
}

#[test]
fn a_file_wholly_inside_leaves_whole_and_one_wholly_outside_not_at_all() {
    for (lines, is_inside) in [
        ("pattern = \"root.t\"", true),
        ("path = \"root.*.*.*\"", true),
        ("history.start-time = 1\nhistory.end-time = 500", true),
        ("pattern = \"root.u\"", false),
        ("pattern = \"root.t.d1.s\"", false),
        ("history.start-time = 501", false),
        ("history.enable = false", false),
    ] {
        let fixture = fixture(lines);
        match leaves(&fixture, Age::History, Dialect::V1_3, 1 << 20) {
            Found::Whole => assert!(is_inside, "{lines}"),
            Found::Nothing => assert!(!is_inside, "{lines}"),
            Found::Tablets(_) => panic!("{lines}"),
        }
    }
}

#[test]
fn a_file_that_changes_while_its_points_are_read_never_comes_to_its_end() {
    let fixture = fixture("pattern = \"root.t.d1\"");
    let opened = fixture.open(Dialect::V1_3, 4096);
    assert!(matches!(opened, ReadReport::Tablets { .. }), "{opened:?}");
    let mut file = File::options().append(true).open(fixture.path()).expect("the file");
    file.write_all(b"grown").expect("more bytes");
    loop {
        match fixture.reports.recv().expect("a reader") {
            ReadReport::Piece(piece) => {
                assert!(!matches!(piece.part, Part::Tablet { is_last: true, .. }));
                let _ = fixture.requests.send(ReadRequest::Return(piece.bytes));
            }
            ReadReport::Stalled { stall, .. } => return assert_eq!(stall, Stall::Moved),
            other => panic!("{other:?}"),
        }
    }
}
