//! Rule by rule: handshakes, names, pieces, seals, nesting, time limits.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tidegate_link::Time;
use tidegate_link::receiving::Action;
use tidegate_link::receiving::Close;
use tidegate_link::receiving::CloseHow;
use tidegate_link::receiving::CloseReason;
use tidegate_link::receiving::GREETING_TIME_MAX;
use tidegate_link::receiving::HandshakeFault;
use tidegate_link::receiving::Outcome;
use tidegate_link::receiving::ReceivingConfig;
use tidegate_link::receiving::ReceivingSession;
use tidegate_link::receiving::Refusal;
use tidegate_link::receiving::SubmitKind;

use super::support::*;

#[test]
fn nothing_is_taken_before_a_handshake_and_the_connection_stays() {
    let mut edge = Edge::new(config());
    // longer than any handshake: not even gathered to see what it is
    let long = request(77, &vec![0; 100_000]);
    for bytes in [piece(4, "a.tsfile", 0, b"x"), seal("a.tsfile", 1), request(200, &[0, 1]), long] {
        edge.expect(&bytes, FAIL);
        assert_eq!(edge.refusals.last(), Some(&Refusal::HandshakeFirst));
    }
    edge.expect(&handshake(&[]), OK);
    edge.expect(&piece(4, "a.tsfile", 0, b"x"), OK);
    assert!(edge.sealed.is_empty() && edge.submitted.is_empty());
}

#[test]
fn the_password_is_in_nothing_that_is_printed() {
    let config = Arc::new(ReceivingConfig { password: "secret".to_owned(), ..config() });
    let session = ReceivingSession::new(Time::from_micros(1), Arc::clone(&config));
    for printed in [format!("{config:?}"), format!("{session:#?}")] {
        assert!(printed.contains("root") && !printed.contains("secret"), "{printed}");
    }
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
    for stream in ["", "a\nb", "\u{1b}[2J", &"x".repeat(256)] {
        let fault = HandshakeFault::StreamMalformed(stream.to_owned());
        check_handshake(&[("tidegate.stream", stream)], Err(fault));
    }
    let epoch = HandshakeFault::EpochMalformed("-1".to_owned());
    check_handshake(&[("tidegate.epoch", "-1")], Err(epoch));
    // a later generation is no reason to refuse; it is not known here
    check_handshake(&[("tidegate.dialect", "9.9")], Ok("that-side"));
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
fn the_name_of_a_database_has_at_most_1024_bytes() {
    let mut edge = Edge::greeted();
    for (length, reply) in [(1023, OK), (1024, OK), (1025, FAIL)] {
        edge.expect(&piece(8, "a.tsfile", 0, b"ts"), OK);
        let one = 1_i32.to_be_bytes().to_vec();
        let pair = [string(b"DATABASE_NAME_a.tsfile"), string(&vec![b'd'; length])].concat();
        let names = [one.clone(), string(b"a.tsfile")].concat();
        let lengths = [one.clone(), 2_i64.to_be_bytes().to_vec()].concat();
        edge.expect(&request(9, &[names, lengths, one, pair].concat()), reply);
    }
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

/// 24 MiB out of some kilobytes, layer upon layer, would hold the loop of whoever accepts them.
#[test]
fn nobody_who_has_not_greeted_has_more_decompressed_than_a_greeting_may_have() {
    let by = [tidegate_codec::PipeCompression::Zstd];
    let packed = |n_bytes: usize| {
        let mut inner = vec![1, 0, 200];
        inner.resize(n_bytes, 0);
        let mut packed = Vec::new();
        tidegate_wire::request::encode_compressed(&inner, &by, &mut packed).unwrap();
        framed(&packed)
    };
    let mut edge = Edge::new(config());
    edge.expect(&packed(64 << 10), FAIL);
    assert_eq!(edge.refusals.last(), Some(&Refusal::HandshakeFirst), "looked into");
    for n_bytes in [(64 << 10) + 1, 20 << 20] {
        edge.expect(&packed(n_bytes), FAIL);
        let refusal = edge.refusals.last();
        let told = |it: &Refusal| it.to_string().contains("65536");
        assert!(refusal.is_some_and(told), "{n_bytes}: {refusal:?}");
    }
    edge.expect(&handshake(&[]), OK);
    edge.expect(&packed((64 << 10) + 1), OK);
}

#[test]
fn compressed_and_sliced_requests_are_handled_as_what_they_hold() {
    let by = [tidegate_codec::PipeCompression::Zstd, tidegate_codec::PipeCompression::Lz4];
    // a sender with a compressor wraps everything, its first words too
    let mut packed = Vec::new();
    tidegate_wire::request::encode_compressed(&handshake(&[])[16..], &by, &mut packed).unwrap();
    let mut edge = Edge::new(config());
    edge.expect(&framed(&packed), OK);
    let piece = piece_payload(4, b"a.tsfile", 0, b"abc");
    let mut packed = Vec::new();
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

/// Bytes that trickle in keep a connection from being idle, so that strangers could hold every
/// place for as long as they liked.
#[test]
fn a_connection_that_never_greets_is_reset_whatever_it_sends() {
    let refused = handshake(&[("password", "wrong")]);
    let unfinished = &handshake(&[])[..30];
    for sent in [&refused[..], unfinished, &[]] {
        let mut edge = Edge::new(config());
        let accepted = edge.now;
        for byte in sent {
            edge.send(&[*byte]);
            edge.pass(Duration::from_millis(100));
        }
        let replies = edge.replies.clone();
        assert_eq!(edge.session.poll_timeout(), Some(accepted + GREETING_TIME_MAX));
        let left = GREETING_TIME_MAX - edge.now.since(accepted);
        edge.pass(left - Duration::from_micros(1));
        assert_eq!(edge.closed, None);
        edge.pass(Duration::from_micros(1));
        let reason = CloseReason::NoHandshake(GREETING_TIME_MAX);
        assert_eq!(edge.closed, Some(Close { how: CloseHow::Reset, reason }));
        assert_eq!(edge.replies, replies, "no byte");
    }
    // whoever has greeted once may go on, also after a handshake that was refused
    let mut edge = Edge::greeted();
    edge.send(&refused);
    assert_eq!(edge.session.poll_timeout(), Some(edge.now + config().idle_close));
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
