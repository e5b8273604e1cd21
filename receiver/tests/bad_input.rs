//! Hostile and mistaken peers over a real socket: the right byte or none, and one log line.

mod common;

use std::io::Write;

use common::End;
use common::FAIL;
use common::OK;
use common::Site;
use common::framed;
use common::piece;
use common::request;
use common::seal;
use common::ts_file;

/// Sends `bytes` on a connection that has greeted; reply, end, and what the one log line says.
#[track_caller]
fn check_closed(bytes: &[u8], reply: Option<u8>, log: &str) {
    let site = Site::new(&[]);
    let daemon = site.start();
    let mut peer = if reply.is_some() { daemon.greeted() } else { daemon.connect() };
    peer.send(bytes);
    if reply.is_some() {
        assert_eq!(peer.reply(), reply);
        assert_eq!(peer.end(), End::InOrder);
    } else {
        assert_eq!(peer.reply(), None);
    }
    let line = daemon.log.wait(log);
    assert!(line.contains("WARN"), "{line}");
    // everything about a connection is logged before its successor is answered
    daemon.greeted();
    assert_eq!(daemon.log.count("WARN connection"), 1, "one line");
}

#[test]
fn other_protocols_get_no_byte_and_one_line_that_names_them() {
    check_closed(b"GET /status HTTP/1.1\r\nHost: receiver\r\n\r\n", None, "HTTP");
    check_closed(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", None, "TLS");
}

#[test]
fn damaged_frames_get_one_ff_and_a_close() {
    let mut flipped = piece(4, "a.tsfile", 0, &ts_file(100, 1));
    let last = flipped.len() - 20;
    flipped[last] ^= 1;
    check_closed(&flipped, Some(FAIL), "checksum");
    check_closed(&[0, 0, 0, 17, 0, 0, 0, 18], Some(FAIL), "same length twice");
    check_closed(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff], Some(FAIL), "at most");
    check_closed(&[0; 8], Some(FAIL), "at least 11");
}

#[test]
fn a_peer_that_never_stops_still_gets_its_ff() {
    let site = Site::new(&[]);
    let daemon = site.start();
    let mut peer = daemon.greeted();
    // a header over the cap, and then all the bytes it promises
    let length = (65_i32 << 20) + 8;
    peer.send(&[length.to_be_bytes(), length.to_be_bytes(), [0; 4], [0; 4]].concat());
    for _ in 0..65 {
        peer.send(&vec![0; 1 << 20]);
    }
    assert_eq!(peer.reply(), Some(FAIL));
}

#[test]
fn refused_requests_leave_the_connection_open_and_a_gap() {
    let site = Site::new(&[]);
    let daemon = site.start();
    let mut peer = daemon.greeted();
    assert_eq!(peer.ask(&request(77, b"")), Some(FAIL));
    assert_eq!(peer.ask(&request(3, b"zzzz")), Some(FAIL));
    assert_eq!(peer.ask(&piece(4, "../a.tsfile", 0, b"x")), Some(FAIL));
    assert_eq!(peer.ask(&piece(4, "a.tsfile", 5, b"x")), Some(FAIL));
    // a whole file that is no TsFile, three times as a sender would
    for _ in 0..3 {
        assert_eq!(peer.file("cut.tsfile", &ts_file(100, 1)[..90], 50), Some(FAIL));
    }
    assert_eq!(peer.file("good.tsfile", &ts_file(100, 1), 50), Some(OK));
    daemon.wait_status(|status| status["keeper"]["n_gaps"] == 4);
    daemon.kill();
    let daemon = site.start();
    let gaps = daemon.gaps();
    let gap = |item: &str| {
        let found = gaps.as_array().unwrap().iter().find(|gap| gap["item"] == item);
        found.unwrap_or_else(|| panic!("{item} in {gaps:#}")).clone()
    };
    assert_eq!(gap("cut.tsfile")["origin"], "that-side");
    assert!(gap("cut.tsfile")["reason"].as_str().unwrap().contains("TsFile"), "{gaps:#}");
    assert!(gap("request of type 77")["count"].as_u64().unwrap() >= 1);
    let table = String::from_utf8(site.output("gaps", &[]).stdout).unwrap();
    assert!(table.contains("cut.tsfile"), "{table}");
    let json = site.output("gaps", &["--json"]).stdout;
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&json).unwrap(), gaps);
}

#[test]
fn a_seal_without_bytes_or_with_another_length_is_refused() {
    let site = Site::new(&[]);
    let daemon = site.start();
    let mut peer = daemon.greeted();
    assert_eq!(peer.ask(&seal("a.tsfile", 0)), Some(FAIL));
    assert_eq!(peer.ask(&piece(4, "a.tsfile", 0, b"")), Some(OK));
    assert_eq!(peer.ask(&seal("a.tsfile", 0)), Some(FAIL), "an empty file is no TsFile");
    let content = ts_file(100, 1);
    assert_eq!(peer.ask(&piece(4, "a.tsfile", 0, &content)), Some(OK));
    assert_eq!(peer.ask(&seal("a.tsfile", 101)), Some(FAIL));
    assert_eq!(peer.file("a.tsfile", &content, 100), Some(OK), "from piece 0 again");
}

#[test]
fn a_thousand_connections_leave_nothing_behind() {
    let site = Site::new(&[]);
    let daemon = site.start();
    let whole = piece(4, "a.tsfile", 0, &ts_file(1000, 1));
    for n in 0..1000 {
        let bytes = match n % 4 {
            0 => common::handshake(&[]),
            1 => [common::handshake(&[]), whole[..n].to_vec()].concat(),
            2 => b"\0\0".to_vec(),
            _ => Vec::new(),
        };
        // over the cap a connection is refused, and writing to it may fail
        let _ = daemon.connect().socket.write_all(&bytes);
    }
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", daemon.status()["pid"]));
    daemon.wait_status(|status| status["edge"]["connections"].as_array().unwrap().is_empty());
    assert!(descriptors().unwrap().count() < 64);
    assert_eq!(daemon.greeted().file("a.tsfile", &ts_file(1000, 1), 100), Some(OK));
    let staged = std::fs::read_dir(site.path("state/staging")).unwrap().count();
    assert!(staged <= 1, "{staged} unfinished files");
}

#[test]
fn only_allowed_peers_and_only_so_many_get_in() {
    let site = Site::new(&[("receiver_allow_list", "10.0.0.0/8")]);
    let daemon = site.start();
    assert_eq!(daemon.connect().reply(), None);
    daemon.log.wait("not in receiver_allow_list");
    drop(daemon);
    let site = Site::new(&[("receiver_connections_max", "2")]);
    let daemon = site.start();
    let (_one, _two) = (daemon.greeted(), daemon.greeted());
    assert_eq!(daemon.connect().reply(), None);
    daemon.log.wait("receiver_connections_max");
}

#[test]
fn pieces_larger_than_the_pipe_between_threads_arrive_whole() {
    let site = Site::new(&[("receiver_in_flight_bytes_max", "64KiB")]);
    let daemon = site.start();
    let content = ts_file(9_000_000, 3);
    assert_eq!(daemon.greeted().file("big.tsfile", &content, 4_000_000), Some(OK));
    // pipelined and in one stream with what follows
    let frames = [
        common::handshake(&[("clusterID", "other")]),
        piece(4, "b.tsfile", 0, &content),
        seal("b.tsfile", 9_000_000),
        framed(&[1, 0, 99]),
    ];
    let mut peer = daemon.connect();
    peer.send(&frames.concat());
    let replies: Vec<_> = (0..4).map(|_| peer.reply()).collect();
    assert_eq!(replies, [Some(OK), Some(OK), Some(OK), Some(FAIL)]);
    daemon.wait_loaded();
    assert!(site.stored().iter().all(|file| file.bytes == content));
}

#[test]
fn strangers_fill_no_memory() {
    let site = Site::new(&[]);
    let daemon = site.start();
    let large = request(2, &vec![0; 20 << 20]);
    let mut strangers: Vec<_> = (0..8).map(|_| daemon.connect()).collect();
    for stranger in &mut strangers {
        stranger.send(&large[..large.len() - 1]);
    }
    daemon.wait_status(|status| status["edge"]["bytes_received"].as_u64() > Some(150 << 20));
    let anonymous = daemon.anonymous_kib();
    assert!(anonymous < 64 << 10, "{anonymous} KiB");
    let mut stranger = strangers.pop().unwrap();
    assert_eq!(stranger.ask(&large[large.len() - 1..]), Some(FAIL));
    assert_eq!(stranger.ask(&common::handshake(&[])), Some(OK), "still in step");
}

#[test]
fn requests_of_many_connections_do_not_fill_memory() {
    let site = Site::new(&[]);
    let daemon = site.start();
    let large = request(2, &vec![0; 20 << 20]);
    // each sends all but the last byte, and goes nowhere
    let mut peers: Vec<_> = (0..24).map(|_| daemon.greeted()).collect();
    for peer in &mut peers {
        let _ = peer.socket.write_all(&large[..large.len() - 1]);
    }
    daemon.log.wait("too much memory");
    let anonymous = daemon.anonymous_kib();
    assert!(anonymous < 320 << 10, "{anonymous} KiB");
    drop(peers);
    daemon.wait_status(|status| status["edge"]["connections"].as_array().unwrap().is_empty());
    let whole = request(200, &vec![0; 20 << 20]);
    assert_eq!(daemon.greeted().ask(&whole), Some(OK), "and it is given back");
}

#[test]
fn silent_connections_make_room_when_all_places_are_taken() {
    let site = Site::new(&[("receiver_connections_max", "2")]);
    let daemon = site.start();
    let mut left = daemon.greeted();
    let mut busy = daemon.greeted();
    let until = std::time::Instant::now() + common::PATIENCE;
    // a sender that calls again and again, as after a restart of the gateway
    let mut new = loop {
        assert!(std::time::Instant::now() < until, "kept out");
        assert_eq!(busy.ask(&common::config_plan()), Some(OK));
        let Ok(mut new) = daemon.try_connect() else { continue };
        if new.socket.write_all(&common::handshake(&[])).is_ok() && new.reply() == Some(OK) {
            break new;
        }
    };
    assert_eq!(left.end(), End::Reset);
    assert_eq!(new.file("a.tsfile", &ts_file(100, 1), 100), Some(OK));
    assert_eq!(busy.ask(&common::config_plan()), Some(OK), "the busy one has stayed");
    daemon.log.wait("silent connection ended to make room");
}

/// Connections that never greet and send a byte now and then once kept every sender out.
#[test]
fn strangers_who_trickle_bytes_keep_no_sender_out() {
    let site = Site::new(&[("receiver_connections_max", "4")]);
    let daemon = site.start();
    let mut at_work = daemon.greeted();
    let mut strangers: Vec<_> = (0..3).map(|_| daemon.connect()).collect();
    // the beginning of a request that could be a handshake
    let begun = request(51, &[0; 1000]);
    for stranger in &mut strangers {
        stranger.send(&begun[..20]);
    }
    daemon.wait_status(|status| status["edge"]["connections"].as_array().unwrap().len() == 4);
    let mut next = 20;
    let mut trickle = |strangers: &mut Vec<common::Peer>| {
        next += 1;
        strangers.iter_mut().for_each(|it| drop(it.socket.write_all(&begun[next..=next])));
    };
    for n in 0..6 {
        trickle(&mut strangers);
        // a sender that calls anew, and a gateway that restarted: one place is enough
        let mut sender = daemon.connect();
        let name = format!("{n}.tsfile");
        assert_eq!(sender.ask(&common::handshake(&[])), Some(OK), "sender {n}");
        assert_eq!(sender.file(&name, &ts_file(100, n), 100), Some(OK));
    }
    daemon.log.wait("connection without a handshake ended to make room");
    assert_eq!(at_work.ask(&common::config_plan()), Some(OK), "who has greeted stays");
}

/// After a damaged frame a connection lingers, so that its answer is read. Peers that sent nothing but
/// such frames once kept every sender out.
#[test]
fn peers_who_send_damage_keep_no_sender_out() {
    let site = Site::new(&[("receiver_connections_max", "3")]);
    let daemon = site.start();
    let mut at_work = daemon.greeted();
    let mut lingering = Vec::new();
    for n in 0..6 {
        let mut peer = daemon.greeted();
        peer.send(&[0; 8]);
        assert_eq!((peer.reply(), peer.end()), (Some(FAIL), End::InOrder), "peer {n}");
        lingering.push(peer);
    }
    daemon.log.wait("closing connection ended to make room");
    assert_eq!(at_work.ask(&common::config_plan()), Some(OK), "who is at work stays");
}
