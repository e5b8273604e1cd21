//! What the tests share: the captures, the stream of events of a cut, the check of one payload.

#![allow(dead_code, unreachable_pub)] // each test file uses its part

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use tidegate_wire::FrameDecoder;
use tidegate_wire::FrameError;
use tidegate_wire::FrameEvent;
use tidegate_wire::FrameLimits;
use tidegate_wire::Payload;
use tidegate_wire::Request;

/// One connection of a capture.
pub struct Conversation {
    /// Version, case and number of the connection.
    pub name: String,
    /// What the sender said.
    pub up: Vec<u8>,
    /// What the receiver answered.
    pub down: Vec<u8>,
}

/// Every connection of every capture between two real IoTDBs.
pub fn conversations() -> Vec<Conversation> {
    let root = manifest_path("tests/data");
    let mut found = Vec::new();
    for version in sorted_dir(&root) {
        for case in sorted_dir(&version) {
            let name = format!("{}/{}", file_name(&version), file_name(&case));
            let trace = gunzip(&fs::read(case.join("trace.bin.gz")).unwrap());
            let index = fs::read(case.join("index.json")).unwrap();
            let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
            let mut streams: BTreeMap<u64, (Vec<u8>, Vec<u8>)> = BTreeMap::new();
            for event in index["events"].as_array().unwrap() {
                let at = |key: &str| event[key].as_u64().unwrap() as usize;
                let bytes = &trace[at("off")..at("off") + at("len")];
                let (up, down) = streams.entry(event["conn"].as_u64().unwrap()).or_default();
                match event["dir"].as_str().unwrap() {
                    "c2s" => up.extend_from_slice(bytes),
                    "s2c" => down.extend_from_slice(bytes),
                    _ => (),
                }
            }
            for (connection, (up, down)) in streams {
                found.push(Conversation { name: format!("{name}#{connection}"), up, down });
            }
        }
    }
    assert!(found.len() > 40, "expected the captures, found {} connections", found.len());
    found
}

/// A frame as a whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame {
    pub wrapped: bool,
    pub payload: Vec<u8>,
}

/// Feeds `stream` in parts that end at `cuts` and at its end; checks that events make sense.
pub fn decode_cut(
    stream: &[u8],
    cuts: &[usize],
    limits: FrameLimits,
) -> (Vec<Frame>, Result<bool, FrameError>) {
    let mut decoder = FrameDecoder::new(limits);
    let mut frames = Vec::new();
    let mut open: Option<(u32, Frame)> = None;
    let mut start = 0;
    for end in cuts.iter().copied().chain([stream.len()]) {
        let mut part = &stream[start..end];
        start = end;
        loop {
            match decoder.next(&mut part) {
                Ok(None) => {
                    assert!(part.is_empty(), "the decoder waits although bytes are left");
                    break;
                }
                Ok(Some(FrameEvent::Begin { payload_bytes, wrapped })) => {
                    assert!(open.is_none());
                    open = Some((payload_bytes, Frame { wrapped, payload: Vec::new() }));
                }
                Ok(Some(FrameEvent::Payload(bytes))) => {
                    assert!(!bytes.is_empty());
                    open.as_mut().unwrap().1.payload.extend_from_slice(bytes);
                }
                Ok(Some(FrameEvent::End)) => {
                    let (payload_bytes, frame) = open.take().unwrap();
                    assert_eq!(payload_bytes as usize, frame.payload.len());
                    frames.push(frame);
                }
                Err(error) => {
                    assert_eq!(decoder.next(&mut part), Err(error), "a poisoned decoder forgets");
                    assert!(!decoder.is_between_frames());
                    return (frames, Err(error));
                }
            }
            assert!(decoder.buffered_bytes() < 8);
        }
    }
    (frames, Ok(decoder.is_between_frames()))
}

/// Decodes a payload and checks that it encodes to the same bytes, compressed ones after decompression.
pub fn check_payload(payload: &[u8]) {
    let decoded = Payload::decode(payload)
        .unwrap_or_else(|error| panic!("{error}\n{}", to_hex(&payload[..payload.len().min(400)])));
    let mut encoded = Vec::new();
    decoded.encode(&mut encoded).unwrap();
    assert_eq!(to_hex(&encoded), to_hex(payload), "{:?}", decoded.request);
    assert!(!decoded.request.summary().to_string().is_empty());
    if let Request::Compressed(compressed) = &decoded.request {
        check_payload(&compressed.decompress(64 << 20).unwrap());
    }
}

pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).unwrap_or_else(|| panic!("{c:?} is no hex digit")) as u8)
        .collect();
    assert!(digits.len().is_multiple_of(2), "half a byte in {text:?}");
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

pub fn manifest_path(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

pub fn sorted_dir(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

pub fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

pub fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut found = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut found).unwrap();
    found
}
