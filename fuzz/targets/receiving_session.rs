//! Whatever a peer sends: at most one byte per frame, the same decisions for any cut, memory below
//! its cap, nothing sealed that did not arrive.

#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tidegate_link::Time;
use tidegate_link::receiving::Action;
use tidegate_link::receiving::Answer;
use tidegate_link::receiving::CloseHow;
use tidegate_link::receiving::Outcome;
use tidegate_link::receiving::ReceivingConfig;
use tidegate_link::receiving::ReceivingSession;
use tidegate_link::receiving::Token;
use tidegate_wire::Wrap;
use tidegate_wire::frame;

const REQUEST_BYTES_MAX: u32 = 1 << 16;

/// What an edge can see of a session.
#[derive(Debug, Default, Eq, PartialEq)]
struct Seen {
    /// `true` for each byte that accepts.
    replies: Vec<bool>,
    /// Files of each seal, with how many bytes they have.
    sealed: Vec<Vec<(String, u64)>>,
    /// Type and bytes of each request that is kept.
    submitted: Vec<(i16, Vec<u8>)>,
    closed: Option<CloseHow>,
}

fuzz_target!(|data: &[u8]| {
    // The first byte says how long the parts are. Then payloads, each behind its length, which are
    // framed as a sender would; what is left at the end goes out as it is.
    let Some((part_bytes, mut data)) = data.split_first() else { return };
    let mut stream = framed(&handshake());
    let mut n_frames = 1;
    while let Some((length, rest)) = data.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        stream.extend(framed(payload));
        n_frames += 1;
        data = rest;
    }
    stream.extend_from_slice(data);
    let whole = run(&stream, stream.len());
    assert!(whole.replies.len() <= n_frames + data.len() / 19 + 1, "one byte for a frame");
    assert_eq!(run(&stream, usize::from(*part_bytes).max(1)), whole);
});

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::encode_frame(payload, Wrap::None, &mut out).unwrap();
    out
}

fn handshake() -> Vec<u8> {
    let string = |text: &str| [&(text.len() as i32).to_be_bytes()[..], text.as_bytes()].concat();
    let mut payload = [&[1, 0, 51][..], &2_i32.to_be_bytes()].concat();
    for text in ["clusterID", "that-side", "timestampPrecision", "ms"] {
        payload.extend(string(text));
    }
    payload
}

fn config() -> ReceivingConfig {
    ReceivingConfig {
        max_payload_bytes: 1 << 20,
        max_request_bytes: REQUEST_BYTES_MAX,
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

/// An edge that agrees to everything.
#[derive(Default)]
struct Edge {
    seen: Seen,
    /// Bytes of each unfinished file.
    files: BTreeMap<u64, u64>,
}

fn run(stream: &[u8], part_bytes: usize) -> Seen {
    let now = Time::from_micros(1);
    let mut session = ReceivingSession::new(now, Arc::new(config()));
    let mut edge = Edge::default();
    let mut unread = Vec::new();
    for part in stream.chunks(part_bytes) {
        unread.extend_from_slice(part);
        let mut input = unread.as_slice();
        loop {
            let before = input.len();
            let mut acted = false;
            while let Some(action) = session.handle_bytes(now, &mut input) {
                acted = true;
                if let Some(token) = edge.act(action) {
                    session.handle_outcome(now, token, Outcome::Accepted);
                }
            }
            while let Some(action) = session.poll_action() {
                acted = true;
                assert!(edge.act(action).is_none(), "an outcome waits for an outcome");
            }
            assert!(session.gathered_bytes() <= 4 * REQUEST_BYTES_MAX as usize);
            if !acted && input.len() == before {
                break;
            }
        }
        let n_left = input.len();
        unread.drain(..unread.len() - n_left);
    }
    edge.seen
}

impl Edge {
    fn act(&mut self, action: Action<'_>) -> Option<Token> {
        assert_eq!(self.seen.closed, None, "nothing follows a close");
        match action {
            Action::Handshake(token, _) | Action::PieceEnd(token, _) => return Some(token),
            Action::FileStart { file, .. } => {
                assert_eq!(self.files.insert(file.as_u64(), 0), None, "never used twice");
            }
            Action::FileWrite { file, at_bytes, bytes } => {
                let length = self.files.get_mut(&file.as_u64()).expect("begun");
                assert_eq!(*length, at_bytes, "bytes come in order");
                *length += bytes.len() as u64;
            }
            Action::FileDrop { file } => assert!(self.files.remove(&file.as_u64()).is_some()),
            Action::Seal(token, seal) => {
                let files = seal.files.iter().map(|file| {
                    let length = self.files.remove(&file.file.as_u64()).expect("begun");
                    assert_eq!(file.length_bytes, length, "as much as arrived");
                    (file.name.clone(), length)
                });
                let files: Vec<_> = files.collect();
                self.seen.sealed.push(files);
                return Some(token);
            }
            Action::Submit(token, submit) => {
                self.seen.submitted.push((submit.type_code, submit.request));
                return Some(token);
            }
            Action::Reply(answer) => self.seen.replies.push(matches!(answer, Answer::Ok(_))),
            Action::Close(close) => self.seen.closed = Some(close.how),
            _ => {}
        }
        None
    }
}
