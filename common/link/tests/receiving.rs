//! What the receiving session promises, over real conversations and over damaged ones.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidegate_link::Time;
use tidegate_link::receiving::Action;
use tidegate_link::receiving::Answer;
use tidegate_link::receiving::Close;
use tidegate_link::receiving::CloseHow;
use tidegate_link::receiving::CloseReason;
use tidegate_link::receiving::HandshakeFault;
use tidegate_link::receiving::Outcome;
use tidegate_link::receiving::ReceivingConfig;
use tidegate_link::receiving::ReceivingSession;
use tidegate_link::receiving::Refusal;
use tidegate_link::receiving::SubmitKind;
use tidegate_link::receiving::Token;
use tidegate_wire::Wrap;
use tidegate_wire::frame;

const OK: u8 = 0x00;
const FAIL: u8 = 0xff;

fn config() -> ReceivingConfig {
    ReceivingConfig {
        max_payload_bytes: (64 << 20) + (64 << 10),
        max_request_bytes: 24 << 20,
        max_unfinished_files: 4,
        withhold_tablet: Duration::from_secs(50),
        withhold_file: Duration::from_secs(800),
        idle_close: Duration::from_secs(840),
        accept_v1: true,
        own_cluster_id: "this-side".to_owned(),
        user: "root".to_owned(),
        password: "root".to_owned(),
        listener_name: "air-gap".to_owned(),
    }
}

/// An edge that does what the session asks and agrees to everything, unless told otherwise.
struct Edge {
    now: Time,
    session: ReceivingSession,
    /// What is offered next when an outcome is owed.
    outcome: Outcome,
    /// Bytes the socket holds because the session does not want them yet.
    socket: Vec<u8>,
    replies: Vec<u8>,
    refusals: Vec<Refusal>,
    /// Unfinished files by their number.
    files: BTreeMap<u64, (String, Vec<u8>)>,
    /// Sealed files, in order.
    sealed: Vec<(String, Vec<u8>)>,
    submitted: Vec<(SubmitKind, Vec<u8>)>,
    owed: Option<Token>,
    closed: Option<Close>,
    trace: Vec<String>,
}

impl Edge {
    fn new(config: ReceivingConfig) -> Self {
        let now = Time::from_micros(1);
        Self {
            now,
            session: ReceivingSession::new(now, Arc::new(config)),
            outcome: Outcome::Accepted,
            socket: Vec::new(),
            replies: Vec::new(),
            refusals: Vec::new(),
            files: BTreeMap::new(),
            sealed: Vec::new(),
            submitted: Vec::new(),
            owed: None,
            closed: None,
            trace: Vec::new(),
        }
    }

    fn greeted() -> Self {
        let mut edge = Self::new(config());
        edge.send(&handshake(&[]));
        assert_eq!(edge.replies, [OK]);
        edge
    }

    /// Bytes arrive on the socket.
    fn send(&mut self, bytes: &[u8]) {
        self.socket.extend_from_slice(bytes);
        let socket = std::mem::take(&mut self.socket);
        let mut input = socket.as_slice();
        loop {
            while let Some(action) = self.session.handle_bytes(self.now, &mut input) {
                let token = self.act(action);
                if let Some(token) = token {
                    self.offer(token);
                }
            }
            let before = self.replies.len();
            self.drain();
            if self.replies.len() == before || !self.session.wants_read() {
                break;
            }
        }
        assert!(input.is_empty() || !self.session.wants_read(), "bytes are left although wanted");
        self.socket = input.to_vec();
    }

    fn offer(&mut self, token: Token) {
        self.owed = Some(token);
        let outcome = self.outcome.clone();
        self.session.handle_outcome(self.now, token, outcome.clone());
        if outcome != Outcome::Temporary {
            self.owed = None;
        }
    }

    fn drain(&mut self) {
        while let Some(action) = self.session.poll_action() {
            if let Some(token) = self.act(action) {
                self.offer(token);
            }
        }
    }

    fn act(&mut self, action: Action<'_>) -> Option<Token> {
        assert!(self.closed.is_none(), "{action:?} after the close");
        match action {
            Action::FileWrite { file, at_bytes, bytes } => {
                let content = &mut self.files.get_mut(&file.as_u64()).expect("a started file").1;
                assert_eq!(content.len() as u64, at_bytes, "bytes come in order");
                content.extend_from_slice(&bytes);
                self.trace.push(format!("write {}", file.as_u64()));
                return None;
            }
            other => {
                let action = other.into_owned();
                self.trace.push(format!("{action:?}"));
                self.act_owned(action)
            }
        }
    }

    fn act_owned(&mut self, action: Action<'static>) -> Option<Token> {
        match action {
            Action::Handshake(token, _) | Action::PieceEnd(token, _) => return Some(token),
            Action::FileStart { file, name } => {
                assert!(self.files.insert(file.as_u64(), (name, Vec::new())).is_none());
            }
            Action::FileDrop { file } => {
                assert!(
                    self.files.remove(&file.as_u64()).is_some(),
                    "only started files are dropped"
                );
            }
            Action::Seal(token, seal) => {
                for sealed in &seal.files {
                    let (name, content) = self.files.remove(&sealed.file.as_u64()).unwrap();
                    assert_eq!((&name, content.len() as u64), (&sealed.name, sealed.length_bytes));
                    self.sealed.push((name, content));
                }
                return Some(token);
            }
            Action::Submit(token, submit) => {
                self.submitted.push((submit.kind, submit.request));
                return Some(token);
            }
            Action::Reply(Answer::Ok(_)) => self.replies.push(OK),
            Action::Reply(Answer::Fail(_, refusal)) => {
                self.replies.push(FAIL);
                self.refusals.push(refusal);
            }
            Action::Close(close) => self.closed = Some(close),
            other => panic!("unexpected {other:?}"),
        }
        None
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.session.handle_timeout(self.now);
        self.drain();
    }

    fn eof(&mut self) {
        self.session.handle_eof(self.now);
        self.drain();
    }

    #[track_caller]
    fn expect(&mut self, bytes: &[u8], reply: u8) {
        let before = self.replies.len();
        self.send(bytes);
        assert_eq!(self.replies.get(before..), Some(&[reply][..]), "{:?}", self.refusals.last());
    }
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::encode_frame(payload, Wrap::None, &mut out).unwrap();
    out
}

fn string(text: &[u8]) -> Vec<u8> {
    [&(text.len() as i32).to_be_bytes()[..], text].concat()
}

fn payload(type_code: i16, body: &[u8]) -> Vec<u8> {
    [&[1][..], &type_code.to_be_bytes(), body].concat()
}

fn request(type_code: i16, body: &[u8]) -> Vec<u8> {
    framed(&payload(type_code, body))
}

/// A V2 handshake; the pairs replace or add to what a stock sender says. `-` leaves a key out.
fn handshake(changes: &[(&str, &str)]) -> Vec<u8> {
    let mut map = BTreeMap::from([("clusterID", "that-side"), ("timestampPrecision", "ms")]);
    for (key, value) in changes {
        match *value {
            "-" => drop(map.remove(key)),
            value => drop(map.insert(key, value)),
        }
    }
    let mut body = (map.len() as i32).to_be_bytes().to_vec();
    for (key, value) in map {
        body.extend(string(key.as_bytes()));
        body.extend(string(value.as_bytes()));
    }
    request(51, &body)
}

fn piece_payload(type_code: i16, name: &[u8], offset: i64, bytes: &[u8]) -> Vec<u8> {
    let body = [string(name), offset.to_be_bytes().to_vec(), string(bytes)].concat();
    payload(type_code, &body)
}

fn piece(type_code: i16, name: &str, offset: i64, bytes: &[u8]) -> Vec<u8> {
    framed(&piece_payload(type_code, name.as_bytes(), offset, bytes))
}

fn seal(name: &str, length: i64) -> Vec<u8> {
    request(5, &[string(name.as_bytes()), length.to_be_bytes().to_vec()].concat())
}

fn seal_many(type_code: i16, files: &[(&str, i64)]) -> Vec<u8> {
    let count = (files.len() as i32).to_be_bytes().to_vec();
    let names: Vec<u8> = files.iter().flat_map(|(name, _)| string(name.as_bytes())).collect();
    let lengths: Vec<u8> = files.iter().flat_map(|(_, length)| length.to_be_bytes()).collect();
    request(type_code, &[count.clone(), names, count, lengths, vec![0; 4]].concat())
}

struct Conversation {
    name: String,
    up: Vec<u8>,
    down: Vec<u8>,
}

/// Every air-gap connection between two real IoTDBs that was recorded.
fn conversations() -> Vec<Conversation> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wire/tests/data");
    let mut found = Vec::new();
    for version in sorted(&root) {
        for case in sorted(&version) {
            let mut trace = Vec::new();
            let zipped = fs::read(case.join("trace.bin.gz")).unwrap();
            flate2::read::GzDecoder::new(&zipped[..]).read_to_end(&mut trace).unwrap();
            let index = fs::read(case.join("index.json")).unwrap();
            let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
            let mut streams: BTreeMap<u64, (Vec<u8>, Vec<u8>)> = BTreeMap::new();
            for event in index["events"].as_array().unwrap() {
                let at = |key: &str| event[key].as_u64().unwrap() as usize;
                let bytes = &trace[at("off")..at("off") + at("len")];
                let (up, down) = streams.entry(at("conn") as u64).or_default();
                match event["dir"].as_str().unwrap() {
                    "c2s" => up.extend_from_slice(bytes),
                    "s2c" => down.extend_from_slice(bytes),
                    _ => {}
                }
            }
            for (connection, (up, down)) in streams {
                let name = format!("{}#{connection}", case.display());
                found.push(Conversation { name, up, down });
            }
        }
    }
    assert!(found.len() > 40, "found {} conversations", found.len());
    found
}

fn sorted(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn recorded_conversations_get_the_replies_that_iotdb_gave() {
    for Conversation { name, up, down } in conversations() {
        // all at once: pipelining is accepted, every frame waits for its turn
        let mut edge = Edge::new(config());
        edge.send(&up);
        assert_eq!(edge.replies, down, "{name}: {:?}", edge.refusals);
        edge.eof();
        let how = edge.closed.map(|close| (close.how, close.reason));
        assert_eq!(how, Some((CloseHow::Silent, CloseReason::PeerClosed)), "{name}");
    }
}

#[test]
fn any_cut_of_the_stream_gives_the_same_decisions() {
    for Conversation { name, up, .. } in conversations() {
        let whole = {
            let mut edge = Edge::new(config());
            edge.send(&up);
            edge
        };
        let (steps, part) = if up.len() < 4096 { (1, 1) } else { (up.len() / 64, 7) };
        for cut in (1..up.len()).step_by(steps).take(600) {
            let mut edge = Edge::new(config());
            edge.send(&up[..cut]);
            edge.send(&up[cut..]);
            assert_eq!(
                (edge.replies, edge.sealed),
                (whole.replies.clone(), whole.sealed.clone()),
                "{name} cut at {cut}"
            );
        }
        let mut edge = Edge::new(config());
        up.chunks(part).for_each(|bytes| edge.send(bytes));
        assert_eq!(edge.sealed, whole.sealed, "{name} in parts of {part}");
        assert_eq!(edge.submitted, whole.submitted, "{name} in parts of {part}");
        assert_eq!(edge.replies, whole.replies, "{name} in parts of {part}");
    }
}

#[test]
fn mutated_streams_never_panic_answer_twice_or_grow() {
    let conversations = conversations();
    for seed in 0..4000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut up = conversations[random.usize(..conversations.len())].up.clone();
        up.truncate(200_000);
        for _ in 0..random.usize(1..6) {
            let at = random.usize(..up.len());
            match random.u8(..5) {
                0 => up[at] ^= 1 << random.u8(..8),
                1 => up[at] = random.u8(..),
                2 => drop(up.drain(at..(at + random.usize(..64)).min(up.len()))),
                3 => {
                    drop(up.splice(at..at, std::iter::repeat_n(random.u8(..), random.usize(..64))))
                }
                _ => up.truncate(at.max(1)),
            }
            if up.is_empty() {
                up.push(0);
            }
        }
        let mut edge = Edge::new(config());
        let mut frames = 0;
        for bytes in up.chunks(random.usize(1..5000)) {
            if edge.closed.is_some() {
                break;
            }
            edge.send(bytes);
            frames = edge.trace.iter().filter(|line| line.starts_with("Reply")).count();
        }
        assert_eq!(frames, edge.replies.len(), "seed {seed}");
        assert!(edge.files.len() <= 4, "seed {seed}: unfinished files are bounded");
        let kept: usize = edge.files.values().map(|(_, bytes)| bytes.len()).sum();
        assert!(kept <= up.len(), "seed {seed}");
    }
}

#[test]
fn a_flipped_bit_never_reaches_a_sealed_file() {
    let content = b"TsFile\x03 and what follows";
    let clean = [piece(4, "a.tsfile", 0, content), seal("a.tsfile", content.len() as i64)].concat();
    for at in 0..clean.len() * 8 {
        let mut damaged = clean.clone();
        damaged[at / 8] ^= 1 << (at % 8);
        let mut edge = Edge::greeted();
        edge.send(&damaged);
        edge.eof();
        assert!(edge.replies.len() <= 3);
        for (name, bytes) in &edge.sealed {
            // a flip in the seal is caught by its own checksum, so what is sealed is what was sent
            assert_eq!((name.as_str(), &bytes[..]), ("a.tsfile", &content[..]), "bit {at}");
            panic!("bit {at}: a damaged frame was sealed");
        }
    }
}

#[test]
fn lengths_out_of_bounds_are_refused_once_and_close() {
    for length in [0, 4, 7, 8, 10, -1, i32::MIN, i32::MAX, (64 << 20) + (64 << 10) + 9] {
        let mut edge = Edge::greeted();
        edge.expect(&[length.to_be_bytes(), length.to_be_bytes()].concat(), FAIL);
        assert_eq!(edge.closed.as_ref().map(|close| close.how), Some(CloseHow::Finish), "{length}");
    }
    let mut edge = Edge::greeted();
    edge.expect(&[17_i32.to_be_bytes(), 18_i32.to_be_bytes()].concat(), FAIL);
    assert!(edge.closed.is_some());
}

#[test]
fn requests_that_are_no_pieces_have_a_cap_of_their_own() {
    let mut edge = Edge::greeted();
    let length = (24_i32 << 20) + 9;
    let head = [length.to_be_bytes(), length.to_be_bytes(), [0; 4], [0; 4]].concat();
    edge.send(&head);
    edge.expect(&[1, 0, 3], FAIL);
    assert_eq!(edge.closed.as_ref().map(|close| close.how), Some(CloseHow::Finish));
    assert!(matches!(edge.refusals.last(), Some(Refusal::Oversized { type_code: 3, .. })));
}

#[test]
fn a_damaged_wrap_is_refused_and_a_million_prefixes_are_one_error() {
    let mut wrapped = Vec::new();
    frame::encode_frame(&piece_payload(4, b"a.tsfile", 0, b"x"), Wrap::ELanguage, &mut wrapped)
        .unwrap();
    Edge::greeted().expect(&wrapped, OK);
    for at in [10, 62, wrapped.len() - 15, wrapped.len() - 1] {
        let mut damaged = wrapped.clone();
        damaged[at] ^= 1;
        let mut edge = Edge::greeted();
        edge.expect(&damaged, FAIL);
        assert!(edge.closed.is_some(), "byte {at}");
        assert!(edge.files.is_empty(), "byte {at}");
    }
    let mut edge = Edge::new(config());
    for _ in 0..1_000_000 {
        if edge.closed.is_some() {
            break;
        }
        edge.send(frame::E_LANGUAGE_PREFIX);
    }
    assert_eq!(edge.replies, [FAIL]);
}

#[test]
fn other_protocols_get_silence_and_a_reason_that_names_them() {
    for (hello, word) in [
        (&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], "HTTP"),
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], "TLS"),
        (&b"SSH-2.0-OpenSSH_9.6\r\n"[..], "SSH"),
        (&b"\x00\x00\x00\x20\x80\x01\x00\x01\x00\x00\x00\x0b"[..], "thrift"),
    ] {
        let mut edge = Edge::new(config());
        edge.send(hello);
        assert!(edge.replies.is_empty(), "{word}");
        let close = edge.closed.expect("closed");
        assert_eq!(close.how, CloseHow::Silent);
        assert!(close.reason.to_string().contains(word), "{}", close.reason);
    }
}

#[test]
fn a_connection_that_ends_early_gets_silence() {
    let frame = handshake(&[]);
    for cut in 0..frame.len() {
        let mut edge = Edge::new(config());
        edge.send(&frame[..cut]);
        edge.eof();
        assert!(edge.replies.is_empty(), "cut at {cut}");
        assert_eq!(edge.closed.map(|close| close.how), Some(CloseHow::Silent), "cut at {cut}");
    }
}

#[test]
fn nothing_is_taken_before_a_handshake_and_the_connection_stays() {
    let mut edge = Edge::new(config());
    for bytes in [piece(4, "a.tsfile", 0, b"x"), seal("a.tsfile", 1), request(200, &[0, 1])] {
        edge.expect(&bytes, FAIL);
        assert_eq!(edge.refusals.last(), Some(&Refusal::HandshakeFirst));
    }
    edge.expect(&handshake(&[]), OK);
    edge.expect(&piece(4, "a.tsfile", 0, b"x"), OK);
    assert!(edge.sealed.is_empty() && edge.submitted.is_empty());
}

#[track_caller]
fn check_handshake(changes: &[(&str, &str)], expected: Result<&str, HandshakeFault>) {
    let mut edge = Edge::new(config());
    edge.send(&handshake(changes));
    match expected {
        Ok(origin) => {
            assert_eq!(edge.replies, [OK]);
            assert_eq!(edge.session.identity().unwrap().origin.as_str(), origin);
        }
        Err(fault) => {
            assert_eq!(edge.replies, [FAIL]);
            assert_eq!(edge.refusals, [Refusal::Handshake(fault)]);
            assert!(edge.closed.is_none(), "a refused V2 may be followed by V1");
        }
    }
}

#[test]
fn handshakes_are_checked_key_by_key() {
    check_handshake(&[], Ok("that-side"));
    check_handshake(&[("userId", ""), ("anything", "else")], Ok("that-side"));
    check_handshake(&[("tidegate.sender", "plant/7")], Ok("plant%2F7"));
    check_handshake(&[("clusterID", "")], Ok("air-gap"));
    check_handshake(&[("username", "root"), ("password", "root")], Ok("that-side"));
    check_handshake(&[("clusterID", "-")], Err(HandshakeFault::ClusterIdMissing));
    check_handshake(&[("clusterID", "this-side")], Err(HandshakeFault::OwnClusterId));
    check_handshake(&[("timestampPrecision", "-")], Err(HandshakeFault::PrecisionMissing));
    let unknown = HandshakeFault::PrecisionUnknown("s".to_owned());
    check_handshake(&[("timestampPrecision", "s")], Err(unknown));
    for changes in [[("password", "wrong")], [("password", "")], [("password", "roott")]] {
        let user = "root".to_owned();
        check_handshake(&changes, Err(HandshakeFault::Credentials { user }));
    }
    let user = "admin".to_owned();
    check_handshake(&[("username", "admin")], Err(HandshakeFault::Credentials { user }));
    let epoch = HandshakeFault::EpochMalformed("-1".to_owned());
    check_handshake(&[("tidegate.epoch", "-1")], Err(epoch));
}

#[test]
fn v1_is_accepted_by_setting_only() {
    let v1 = request(1, &string(b"us"));
    let mut edge = Edge::new(config());
    edge.expect(&v1, OK);
    assert_eq!(edge.session.identity().unwrap().origin.as_str(), "air-gap");
    let mut edge = Edge::new(ReceivingConfig { accept_v1: false, ..config() });
    edge.expect(&v1, FAIL);
    edge.expect(&handshake(&[]), OK);
}

#[test]
fn a_new_handshake_forgets_files_and_a_refused_one_forgets_the_peer() {
    let mut edge = Edge::greeted();
    edge.expect(&piece(4, "a.tsfile", 0, b"x"), OK);
    edge.expect(&handshake(&[]), OK);
    edge.expect(&seal("a.tsfile", 1), FAIL);
    edge.expect(&handshake(&[("password", "wrong")]), FAIL);
    edge.expect(&piece(4, "a.tsfile", 0, b"x"), FAIL);
    assert_eq!(edge.refusals.last(), Some(&Refusal::HandshakeFirst));
}

#[test]
fn names_that_must_not_reach_a_file_system_are_refused_and_the_connection_stays() {
    let long = [vec![b'x'; 249], b".tsfile".to_vec()].concat();
    let names: [&[u8]; 15] = [
        b"",
        b".",
        b"..",
        b"../a.tsfile",
        b"a/b.tsfile",
        b"/a.tsfile",
        b"a\\b.tsfile",
        b"a\0.tsfile",
        b"a\n.tsfile",
        b"a..tsfile",
        b"\xff\xfe.tsfile",
        b"a.txt",
        b"tsfile",
        b".tsfile",
        &long,
    ];
    let mut edge = Edge::greeted();
    for name in names {
        edge.expect(&framed(&piece_payload(4, name, 0, b"x")), FAIL);
        assert!(edge.refusals.last().unwrap().is_final(), "{:?}", edge.refusals.last());
    }
    let longest = [vec![b'x'; 248], b".tsfile".to_vec()].concat();
    edge.expect(&framed(&piece_payload(4, &longest, 0, b"x")), OK);
    for name in ["a.tsfile.mods", "a.tsfile.mods2"] {
        edge.expect(&piece(8, name, 0, b"x"), OK);
    }
    edge.expect(&piece(101, "1.mtree.snapshot", 0, b"x"), OK);
    edge.expect(&framed(&piece_payload(101, b"../mtree", 0, b"x")), FAIL);
}

#[test]
fn pieces_begin_at_zero_continue_at_the_end_or_are_refused_until_zero() {
    let mut edge = Edge::greeted();
    edge.expect(&piece(4, "a.tsfile", 3, b"def"), FAIL);
    edge.expect(&piece(4, "a.tsfile", 0, b"abc"), OK);
    edge.expect(&piece(4, "a.tsfile", 3, b"def"), OK);
    for offset in [3, 5, 7, i64::MAX] {
        edge.expect(&piece(4, "a.tsfile", offset, b"x"), FAIL);
        edge.expect(&piece(4, "a.tsfile", 6, b"ghi"), FAIL);
        edge.expect(&seal("a.tsfile", 6), FAIL);
        edge.expect(&piece(4, "a.tsfile", 0, b"abc"), OK);
        edge.expect(&piece(4, "a.tsfile", 3, b"def"), OK);
    }
    for malformed in [-1, i64::MIN] {
        edge.expect(&piece(4, "a.tsfile", malformed, b"x"), FAIL);
    }
    edge.expect(&piece(4, "a.tsfile", 0, b"again"), OK);
    edge.expect(&seal("a.tsfile", 5), OK);
    assert_eq!(edge.sealed, [("a.tsfile".to_owned(), b"again".to_vec())]);
    edge.expect(&seal("a.tsfile", 5), FAIL);
    assert!(edge.closed.is_none());
}

#[test]
fn a_seal_needs_exactly_what_arrived() {
    let mut edge = Edge::greeted();
    edge.expect(&seal("a.tsfile", 0), FAIL);
    for length in [0, 2, 4, -1, i64::MAX] {
        edge.expect(&piece(4, "a.tsfile", 0, b"abc"), OK);
        edge.expect(&seal("a.tsfile", length), FAIL);
    }
    // a refused seal drops its files, so the right length comes too late
    edge.expect(&piece(4, "a.tsfile", 0, b"abc"), OK);
    edge.expect(&seal("a.tsfile", 4), FAIL);
    edge.expect(&seal("a.tsfile", 3), FAIL);
    assert!(edge.sealed.is_empty());
    let unfinished = edge.files.len();
    assert!(unfinished <= 1, "{unfinished} files left");
}

#[test]
fn several_files_go_side_by_side_only_with_the_types_meant_for_it() {
    let mut edge = Edge::greeted();
    edge.expect(&piece(8, "a.tsfile.mods", 0, b"mods"), OK);
    edge.expect(&piece(8, "a.tsfile", 0, b"ts"), OK);
    edge.expect(&piece(8, "a.tsfile.mods", 4, b"more"), OK);
    edge.expect(&seal_many(9, &[("a.tsfile.mods", 8), ("a.tsfile", 2)]), OK);
    assert_eq!(edge.sealed.len(), 2);

    edge.expect(&piece(4, "b.tsfile", 0, b"b"), OK);
    edge.expect(&piece(4, "c.tsfile", 0, b"c"), OK);
    edge.expect(&piece(4, "b.tsfile", 1, b"b"), FAIL);
    edge.expect(&seal_many(9, &[("c.tsfile", 1)]), OK);

    edge.expect(&piece(101, "mtree", 0, b"m"), OK);
    edge.expect(&piece(101, "tlog", 0, b"t"), OK);
    edge.expect(&seal_many(102, &[("mtree", 1), ("tlog", 1)]), OK);
    edge.expect(&piece(8, "d.tsfile", 0, b"d"), OK);
    for files in [
        &[][..],
        &[("d.tsfile", 1), ("d.tsfile", 1)],
        &[("d.tsfile.mods", 1)],
        &[("d.tsfile", 1), ("e.tsfile", 1)],
        &[("../d.tsfile", 1)],
    ] {
        edge.expect(&seal_many(9, files), FAIL);
    }
    edge.expect(&seal_many(9, &[("d.tsfile", 1)]), OK);
}

#[test]
fn forgotten_files_make_room_for_new_ones() {
    let mut edge = Edge::greeted();
    for n in 0..100 {
        edge.expect(&piece(8, &format!("{n}.tsfile"), 0, b"x"), OK);
        assert!(edge.files.len() <= 4);
    }
    edge.expect(&piece(8, "0.tsfile", 1, b"x"), FAIL);
    edge.expect(&piece(8, "99.tsfile", 1, b"x"), OK);
}

#[test]
fn a_piece_must_fill_its_frame() {
    for change in [-1_i32, 1, i32::MIN, i32::MAX - 100] {
        let mut bytes = piece_payload(4, b"a.tsfile", 0, b"abc");
        let at = bytes.len() - 7;
        let length = 3_i32.wrapping_add(change).to_be_bytes();
        bytes[at..at + 4].copy_from_slice(&length);
        let mut edge = Edge::greeted();
        edge.expect(&framed(&bytes), FAIL);
        assert!(edge.files.is_empty() && edge.closed.is_none(), "{change}");
    }
    for length in 3..20 {
        let bytes = piece_payload(4, b"a.tsfile", 0, b"abc");
        let mut edge = Edge::greeted();
        edge.expect(&framed(&bytes[..length]), FAIL);
        assert!(edge.closed.is_none(), "cut to {length}");
    }
}

#[test]
fn unknown_types_and_versions_are_refused_for_good_and_the_connection_stays() {
    let mut edge = Edge::greeted();
    for (bytes, refusal) in [
        (vec![1, 0, 14], Refusal::UnknownType(14)),
        (vec![1, 0x7f, 0xff], Refusal::UnknownType(i16::MAX)),
        (vec![2, 0, 3], Refusal::UnknownVersion(2)),
        (vec![0xff, 0, 3], Refusal::UnknownVersion(-1)),
    ] {
        edge.expect(&framed(&bytes), FAIL);
        assert_eq!(edge.refusals.last(), Some(&refusal));
    }
    edge.expect(&request(3, b"zzzz"), FAIL);
    assert!(matches!(edge.refusals.last(), Some(Refusal::Body { type_code: 3, .. })));
    edge.expect(&request(200, &[0, 1, 2, 3]), OK);
    assert_eq!(edge.submitted.last().unwrap().0, SubmitKind::ConfigPlan);
}

#[test]
fn compressed_and_sliced_requests_are_handled_as_what_they_hold() {
    let mut edge = Edge::greeted();
    let piece = piece_payload(4, b"a.tsfile", 0, b"abc");
    let mut packed = Vec::new();
    let by = [tidegate_codec::PipeCompression::Zstd, tidegate_codec::PipeCompression::Lz4];
    tidegate_wire::request::encode_compressed(&piece, &by, &mut packed).unwrap();
    edge.expect(&framed(&packed), OK);
    let seal = payload(5, &[string(b"a.tsfile"), 3_i64.to_be_bytes().to_vec()].concat());
    let body = &seal[3..];
    let slice = |order: i32, index: i32, count: i32, bytes: &[u8]| {
        let numbers =
            [order.to_be_bytes().to_vec(), vec![0, 5], (body.len() as i32).to_be_bytes().to_vec()];
        let place = [index.to_be_bytes(), count.to_be_bytes()].concat();
        request(400, &[numbers.concat(), string(bytes), place].concat())
    };
    let (first, second) = body.split_at(7);
    // out of order, another order, then a stranger in between: all clear what was gathered
    edge.expect(&slice(1, 1, 2, second), FAIL);
    edge.expect(&slice(1, 0, 2, first), OK);
    edge.expect(&slice(2, 1, 2, second), FAIL);
    edge.expect(&slice(1, 1, 2, second), FAIL);
    edge.expect(&slice(1, 0, 2, first), OK);
    edge.expect(&slice(1, 1, 2, first), FAIL);
    edge.expect(&slice(1, 0, 2, first), OK);
    edge.expect(&slice(1, 1, 2, second), OK);
    assert_eq!(edge.sealed, [("a.tsfile".to_owned(), b"abc".to_vec())]);
    // a bomb is refused by what it declares
    let mut bomb = packed.clone();
    bomb[10..14].copy_from_slice(&i32::MAX.to_be_bytes());
    edge.expect(&framed(&bomb), FAIL);
    assert!(edge.closed.is_none());
}

#[test]
fn temporary_trouble_is_answered_in_time_or_with_a_reset() {
    for (bytes, limit) in [
        (request(200, &[0, 1]), Duration::from_secs(50)),
        (piece(4, "a.tsfile", 0, b"x"), Duration::from_secs(800)),
    ] {
        let mut edge = Edge::greeted();
        edge.outcome = Outcome::Temporary;
        edge.send(&bytes);
        edge.send(&bytes);
        assert_eq!(edge.socket, bytes, "nothing is read while an answer is owed");
        edge.pass(limit - Duration::from_millis(1));
        assert_eq!((edge.replies.len(), edge.closed.is_none()), (1, true));
        let token = edge.owed.take().unwrap();
        edge.outcome = Outcome::Accepted;
        edge.session.handle_outcome(edge.now, token, Outcome::Accepted);
        edge.drain();
        assert_eq!(edge.replies, [OK, OK]);
        // a second outcome under the same token answers nothing
        edge.session.handle_outcome(edge.now, token, Outcome::Accepted);
        edge.drain();
        edge.send(&[]);
        assert_eq!(edge.replies, [OK, OK, OK], "the frame that waited in the socket is next");

        edge.outcome = Outcome::Temporary;
        edge.send(&bytes);
        edge.pass(limit);
        assert_eq!(edge.replies.len(), 3);
        let close = edge.closed.expect("closed");
        assert_eq!((close.how, close.reason), (CloseHow::Reset, CloseReason::Withheld(limit)));
    }
}

#[test]
fn an_idle_connection_is_reset_without_a_byte() {
    let mut edge = Edge::greeted();
    let idle = Duration::from_secs(840);
    edge.pass(idle - Duration::from_secs(1));
    edge.expect(&piece(4, "a.tsfile", 0, b"x"), OK);
    edge.pass(idle - Duration::from_secs(1));
    assert!(edge.closed.is_none());
    edge.pass(Duration::from_secs(1));
    assert_eq!(edge.replies.len(), 2);
    assert_eq!(edge.closed.map(|close| close.how), Some(CloseHow::Reset));
}

#[test]
fn a_refused_piece_ends_its_file() {
    let mut edge = Edge::greeted();
    let refusal = Refusal::ByTarget { item: "a.tsfile".to_owned(), reason: "full".to_owned() };
    edge.outcome = Outcome::Refused(refusal);
    edge.expect(&piece(4, "a.tsfile", 0, b"abc"), FAIL);
    edge.outcome = Outcome::Accepted;
    edge.expect(&piece(4, "a.tsfile", 3, b"abc"), FAIL);
    assert!(edge.files.is_empty());
}

#[test]
fn a_large_piece_is_never_held() {
    let bytes = vec![7; 8 << 20];
    let frame = piece(4, "a.tsfile", 0, &bytes);
    let mut session = ReceivingSession::new(Time::from_micros(0), Arc::new(config()));
    let mut given = 0;
    let mut feed = |mut input: &[u8]| {
        while let Some(action) = session.handle_bytes(Time::from_micros(0), &mut input) {
            match action {
                Action::FileWrite { bytes: Cow::Borrowed(bytes), .. } => given += bytes.len(),
                Action::FileWrite { .. } => panic!("bytes of a plain piece were copied"),
                Action::Handshake(token, _) | Action::PieceEnd(token, _) => {
                    session.handle_outcome(Time::from_micros(0), token, Outcome::Accepted);
                }
                _ => {}
            }
        }
    };
    feed(&handshake(&[]));
    frame.chunks(60_000).for_each(&mut feed);
    assert_eq!(given, bytes.len());
}
