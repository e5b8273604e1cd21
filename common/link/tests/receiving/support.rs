//! An edge that does what a session asks, the frames of a sender, and the recorded conversations.

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
use tidegate_link::receiving::Outcome;
use tidegate_link::receiving::ReceivingConfig;
use tidegate_link::receiving::ReceivingSession;
use tidegate_link::receiving::Refusal;
use tidegate_link::receiving::SubmitKind;
use tidegate_link::receiving::Token;
use tidegate_wire::Wrap;
use tidegate_wire::frame;

pub(crate) const OK: u8 = 0x00;
pub(crate) const FAIL: u8 = 0xff;

pub(crate) fn config() -> ReceivingConfig {
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
pub(crate) struct Edge {
    pub(crate) now: Time,
    pub(crate) session: ReceivingSession,
    /// What is offered next when an outcome is owed.
    pub(crate) outcome: Outcome,
    /// Bytes the socket holds because the session does not want them yet.
    pub(crate) socket: Vec<u8>,
    pub(crate) replies: Vec<u8>,
    pub(crate) refusals: Vec<Refusal>,
    /// Unfinished files by their number.
    pub(crate) files: BTreeMap<u64, (String, Vec<u8>)>,
    /// Sealed files, in order.
    pub(crate) sealed: Vec<(String, Vec<u8>)>,
    pub(crate) submitted: Vec<(SubmitKind, Vec<u8>)>,
    pub(crate) owed: Option<Token>,
    pub(crate) closed: Option<Close>,
    pub(crate) trace: Vec<String>,
}

impl Edge {
    pub(crate) fn new(config: ReceivingConfig) -> Self {
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

    pub(crate) fn greeted() -> Self {
        let mut edge = Self::new(config());
        edge.send(&handshake(&[]));
        assert_eq!(edge.replies, [OK]);
        edge
    }

    /// Bytes arrive on the socket.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
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

    pub(crate) fn offer(&mut self, token: Token) {
        self.owed = Some(token);
        let outcome = self.outcome.clone();
        self.session.handle_outcome(self.now, token, outcome.clone());
        if outcome != Outcome::Temporary {
            self.owed = None;
        }
    }

    pub(crate) fn drain(&mut self) {
        while let Some(action) = self.session.poll_action() {
            if let Some(token) = self.act(action) {
                self.offer(token);
            }
        }
    }

    pub(crate) fn act(&mut self, action: Action<'_>) -> Option<Token> {
        assert!(self.closed.is_none(), "{action:?} after the close");
        match action {
            Action::FileWrite { file, at_bytes, bytes } => {
                let content = &mut self.files.get_mut(&file.as_u64()).expect("a started file").1;
                assert_eq!(content.len() as u64, at_bytes, "bytes come in order");
                content.extend_from_slice(&bytes);
                self.trace.push(format!("write {}", file.as_u64()));
                None
            }
            other => {
                let action = other.into_owned();
                self.trace.push(format!("{action:?}"));
                self.act_owned(action)
            }
        }
    }

    pub(crate) fn act_owned(&mut self, action: Action<'static>) -> Option<Token> {
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

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.session.handle_timeout(self.now);
        self.drain();
    }

    pub(crate) fn eof(&mut self) {
        self.session.handle_eof(self.now);
        self.drain();
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, bytes: &[u8], reply: u8) {
        let before = self.replies.len();
        self.send(bytes);
        assert_eq!(self.replies.get(before..), Some(&[reply][..]), "{:?}", self.refusals.last());
    }
}

pub(crate) fn framed(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::encode_frame(payload, Wrap::None, &mut out).unwrap();
    out
}

pub(crate) fn string(text: &[u8]) -> Vec<u8> {
    [&(text.len() as i32).to_be_bytes()[..], text].concat()
}

pub(crate) fn payload(type_code: i16, body: &[u8]) -> Vec<u8> {
    [&[1][..], &type_code.to_be_bytes(), body].concat()
}

pub(crate) fn request(type_code: i16, body: &[u8]) -> Vec<u8> {
    framed(&payload(type_code, body))
}

/// A V2 handshake; the pairs replace or add to what a stock sender says. `-` leaves a key out.
pub(crate) fn handshake(changes: &[(&str, &str)]) -> Vec<u8> {
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

pub(crate) fn piece_payload(type_code: i16, name: &[u8], offset: i64, bytes: &[u8]) -> Vec<u8> {
    let body = [string(name), offset.to_be_bytes().to_vec(), string(bytes)].concat();
    payload(type_code, &body)
}

pub(crate) fn piece(type_code: i16, name: &str, offset: i64, bytes: &[u8]) -> Vec<u8> {
    framed(&piece_payload(type_code, name.as_bytes(), offset, bytes))
}

pub(crate) fn seal(name: &str, length: i64) -> Vec<u8> {
    request(5, &[string(name.as_bytes()), length.to_be_bytes().to_vec()].concat())
}

pub(crate) fn seal_many(type_code: i16, files: &[(&str, i64)]) -> Vec<u8> {
    let count = (files.len() as i32).to_be_bytes().to_vec();
    let names: Vec<u8> = files.iter().flat_map(|(name, _)| string(name.as_bytes())).collect();
    let lengths: Vec<u8> = files.iter().flat_map(|(_, length)| length.to_be_bytes()).collect();
    request(type_code, &[count.clone(), names, count, lengths, vec![0; 4]].concat())
}

pub(crate) struct Conversation {
    pub(crate) name: String,
    pub(crate) up: Vec<u8>,
    pub(crate) down: Vec<u8>,
}

/// Every air-gap connection between two real IoTDBs that was recorded.
pub(crate) fn conversations() -> Vec<Conversation> {
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

pub(crate) fn sorted(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}
