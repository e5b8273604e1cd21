//! Whole streams of bytes: recorded, cut, mutated, damaged, foreign.

use tidegate_link::receiving::CloseHow;
use tidegate_link::receiving::CloseReason;
use tidegate_link::receiving::Refusal;
use tidegate_wire::Wrap;
use tidegate_wire::frame;

use super::support::*;

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
        assert!(edge.sealed.is_empty(), "bit {at}: a damaged transfer was sealed");
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
