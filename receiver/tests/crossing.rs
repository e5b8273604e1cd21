//! What crosses: recorded conversations, repetitions, streams, and everything that was answered OK
//! before the daemon was killed.

mod common;

use std::collections::BTreeMap;
use std::io::Read;

use common::End;
use common::FAIL;
use common::OK;
use common::Site;
use common::config_plan;
use common::framed;
use common::handshake;
use common::piece;
use common::seal;
use common::tidegate;
use common::ts_file;
use tidegate_wire::FrameDecoder;
use tidegate_wire::FrameEvent;
use tidegate_wire::FrameLimits;
use tidegate_wire::Payload;
use tidegate_wire::Request;

/// Files in a recorded conversation, put together from their pieces.
fn files_in(up: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut decoder = FrameDecoder::new(FrameLimits::default());
    let (mut input, mut payload, mut files) = (up, Vec::new(), BTreeMap::new());
    while let Some(event) = decoder.next(&mut input).unwrap() {
        match event {
            FrameEvent::Begin { .. } => payload.clear(),
            FrameEvent::Payload(bytes) => payload.extend_from_slice(bytes),
            FrameEvent::End => {
                if let Request::FilePiece(piece) = Payload::decode(&payload).unwrap().request {
                    let file: &mut Vec<u8> = files.entry(piece.file_name.to_owned()).or_default();
                    file.truncate(piece.offset as usize);
                    file.extend_from_slice(piece.data);
                }
            }
        }
    }
    files
}

#[test]
fn recorded_senders_are_answered_as_iotdb_did_and_their_files_arrive() {
    let site = Site::new(&[]);
    let daemon = site.start();
    let mut expected = BTreeMap::new();
    for name in [
        "1.2.2/airgap-tsfile-multipiece-nopattern",
        "1.2.2/airgap-log-multi-nopattern",
        "2.0.1-beta/airgap-tsfile-mods-enabled",
        "2.0.1-beta/airgap-elanguage",
    ] {
        for conversation in common::capture(name) {
            expected.extend(files_in(&conversation.up));
            let mut peer = daemon.connect();
            peer.send(&conversation.up);
            let mut replies = vec![0; conversation.down.len()];
            peer.socket.read_exact(&mut replies).unwrap();
            assert_eq!(replies, conversation.down, "{name}");
        }
    }
    let status = daemon.wait_loaded();
    let stored: BTreeMap<_, _> =
        site.stored().into_iter().map(|file| (file.name, file.bytes)).collect();
    assert!(stored == expected, "{:?} and {:?}", stored.keys(), expected.keys());
    assert!(stored.keys().any(|name| name.ends_with(".mods2")), "{:?}", stored.keys());

    let keeper = &status["keeper"];
    assert!(keeper["accepted"]["tablet"]["items"].as_u64().unwrap() > 5, "{keeper:#}");
    let points = keeper["consumers"]["points"].as_u64().unwrap();
    let durable = keeper["durable_sequence"].as_u64().unwrap();
    assert!(points < durable, "tablets wait in the spool: {keeper:#}");
    // on a busy machine a turn may be kept waiting for a processor, and only that; a loop that blocks
    // on a disk shows many of them
    assert_eq!(status["edge"]["busy_turns"], 0, "{status:#}");
    assert!(status["edge"]["slow_turns"].as_u64().unwrap() <= 2, "{status:#}");
}

#[test]
fn a_file_repeated_after_a_lost_ok_is_kept_once() {
    let site = Site::new(&[]);
    let content = ts_file(3000, 1);
    let daemon = site.start();
    assert_eq!(daemon.greeted().file("a.tsfile", &content, 1000), Some(OK));
    // the connection ended right after its OK, so nobody knows whether it arrived
    assert_eq!(daemon.greeted().file("a.tsfile", &content, 2000), Some(OK));
    daemon.kill();
    let daemon = site.start();
    let mut peer = daemon.greeted();
    assert_eq!(peer.file("a.tsfile", &content, 500), Some(OK));
    let status = daemon.wait_loaded();
    assert_eq!(status["keeper"]["repeated_files"], 1);
    assert_eq!(site.stored().len(), 1);

    // this sender goes on after the OK: it has seen it, so the same file again is meant
    assert_eq!(peer.file("a.tsfile", &content, 3000), Some(OK));
    // other bytes are another file
    assert_eq!(daemon.greeted().file("a.tsfile", &ts_file(3000, 2), 3000), Some(OK));
    daemon.wait_loaded();
    assert_eq!(site.stored_names(), ["a.tsfile"; 3]);
}

/// IoTDB names files by time and version only, so two databases that were written alike can hold
/// files of the same name and the same bytes. The second one was once answered and dropped.
#[test]
fn equal_files_of_two_databases_are_two_files() {
    let site = Site::new(&[]);
    let daemon = site.start();
    let content = ts_file(3000, 1);
    let send = |seal: &[u8]| {
        let mut peer = daemon.greeted();
        assert_eq!(peer.ask(&piece(4, "a.tsfile", 0, &content)), Some(OK));
        assert_eq!(peer.ask(seal), Some(OK));
    };
    send(&common::seal_in("a.tsfile", 3000, "office"));
    send(&common::seal_in("a.tsfile", 3000, "plant"));
    send(&common::seal_in("a.tsfile", 3000, "plant"));
    // no database at all is another seal again
    send(&seal("a.tsfile", 3000));
    daemon.kill();
    let daemon = site.start();
    assert_eq!(daemon.greeted().ask(&config_plan()), Some(OK));
    let mut peer = daemon.greeted();
    assert_eq!(peer.ask(&piece(4, "a.tsfile", 0, &content)), Some(OK));
    assert_eq!(peer.ask(&common::seal_in("a.tsfile", 3000, "office")), Some(OK));
    let status = daemon.wait_loaded();
    assert_eq!(status["keeper"]["repeated_files"], 1, "known after a restart too");
    let manifest = std::fs::read_to_string(site.path("files/that-side/manifest.tsv")).unwrap();
    let databases: Vec<_> = manifest.lines().map(|line| line.rsplit('\t').next()).collect();
    assert_eq!(databases, [Some("office"), Some("plant"), Some("-")]);
}

#[test]
fn a_stream_is_deduplicated_within_its_epoch() {
    let site = Site::new(&[]);
    let daemon = site.start();
    let content = ts_file(100, 1);
    for (epoch, kept) in [(1, 1), (1, 1), (2, 2), (2, 2)] {
        let mut peer = daemon.greeted_as(&tidegate("p/0", epoch));
        assert_eq!(peer.file("a.tsfile", &content, 100), Some(OK));
        daemon.wait_loaded();
        assert_eq!(site.stored().len(), kept, "epoch {epoch}");
    }
    // another item of the stream ends the tail
    let mut peer = daemon.greeted_as(&tidegate("p/0", 2));
    assert_eq!(peer.file("b.tsfile", &content, 100), Some(OK));
    let mut peer = daemon.greeted_as(&tidegate("p/0", 2));
    assert_eq!(peer.file("a.tsfile", &content, 100), Some(OK));
    daemon.wait_loaded();
    assert_eq!(site.stored().len(), 4);
}

/// A pipe that is defined anew may spread its regions over its lanes in another way: what a gateway
/// still holds of any earlier lane must not come behind what the new ones send.
#[test]
fn a_pipe_that_was_set_up_anew_ends_all_its_earlier_lanes_and_no_other_pipe() {
    let site = Site::new(&[]);
    let daemon = site.start();
    let greet = |stream: &str, epoch: u64, expected: u8| {
        let mut peer = daemon.connect();
        assert_eq!(peer.ask(&tidegate(stream, epoch)), Some(expected), "{stream} {epoch}");
        peer
    };
    let mut earlier = [greet("p/a/0", 1, OK), greet("p/a/1", 1, OK)];
    let mut others = [greet("p/0", 1, OK), greet("p/b/0", 1, OK)];
    let mut anew = greet("p/a/0", 2, OK);
    for lane in &mut earlier {
        assert_eq!(lane.end(), End::Reset);
    }
    for other in &mut others {
        assert_eq!(other.file("a.tsfile", &ts_file(100, 1), 100), Some(OK));
    }
    greet("p/a/1", 1, FAIL);
    greet("p/a/1", 2, OK);
    assert_eq!(anew.ask(&config_plan()), Some(OK), "lanes that were set up together stay");
}

#[test]
fn an_older_connection_of_a_stream_is_gone_before_the_new_one_is_answered() {
    let site = Site::new(&[]);
    let daemon = site.start();
    let mut old = daemon.greeted_as(&tidegate("p/0", 1));
    assert_eq!(old.ask(&piece(4, "a.tsfile", 0, &ts_file(100, 1))), Some(OK));
    let mut other = daemon.greeted_as(&tidegate("q/0", 1));
    let mut new = daemon.greeted_as(&tidegate("p/0", 2));
    assert_eq!(old.end(), End::Reset);
    assert_eq!(other.ask(&config_plan()), Some(OK), "another stream is left alone");
    // what the gateway delivers late is refused, also after a restart
    let mut zombie = daemon.connect();
    assert_eq!(zombie.ask(&tidegate("p/0", 1)), Some(FAIL));
    assert_eq!(new.ask(&config_plan()), Some(OK), "a zombie drops nobody");
    daemon.kill();
    let daemon = site.start();
    assert_eq!(daemon.connect().ask(&tidegate("p/0", 1)), Some(FAIL));
    assert_eq!(daemon.connect().ask(&tidegate("p/0", 2)), Some(OK));
}

#[test]
fn what_is_kept_first_fixes_an_origins_precision() {
    let site = Site::new(&[]);
    let daemon = site.start();
    let in_us = handshake(&[("timestampPrecision", "us")]);
    // nothing is kept yet, but two units at once are refused all the same
    let mut peer = daemon.greeted();
    assert_eq!(daemon.connect().ask(&in_us), Some(FAIL));
    assert_eq!(peer.ask(&config_plan()), Some(OK));
    assert_eq!(peer.ask(&in_us), Some(FAIL));
    assert_eq!(peer.ask(&handshake(&[])), Some(OK), "the connection stays");
    daemon.kill();
    let daemon = site.start();
    assert_eq!(daemon.connect().ask(&in_us), Some(FAIL));
    let other = handshake(&[("timestampPrecision", "us"), ("clusterID", "another")]);
    assert_eq!(daemon.connect().ask(&other), Some(OK));
}

/// Whoever could greet under a thousand names and send nothing once locked every new plant out
/// for good.
#[test]
fn a_greeting_alone_is_not_remembered() {
    let site = Site::new(&[]);
    let daemon = site.start();
    let mut stranger = daemon.connect();
    for n in 0..1100 {
        let name = format!("made-up-{n}");
        assert_eq!(stranger.ask(&handshake(&[("clusterID", &name)])), Some(OK), "{n}");
    }
    let mut plant = daemon.greeted();
    assert_eq!(plant.ask(&config_plan()), Some(OK));
    let origins = |status: serde_json::Value| -> Vec<String> {
        let listed = status["keeper"]["origins"].as_array().unwrap().clone();
        listed.iter().map(|one| one["origin"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(origins(daemon.status()), ["that-side"]);
    daemon.kill();
    let daemon = site.start();
    assert_eq!(origins(daemon.status()), ["that-side"]);
}

#[test]
fn two_senders_may_use_the_same_file_name_at_the_same_time() {
    let site = Site::new(&[]);
    let daemon = site.start();
    let contents = [ts_file(2000, 1), ts_file(2000, 2)];
    let mut peers = [daemon.greeted(), daemon.greeted()];
    for at in [0, 1000] {
        for (peer, content) in peers.iter_mut().zip(&contents) {
            let bytes = &content[at..at + 1000];
            assert_eq!(peer.ask(&piece(4, "a.tsfile", at as i64, bytes)), Some(OK));
        }
    }
    for peer in &mut peers {
        assert_eq!(peer.ask(&seal("a.tsfile", 2000)), Some(OK));
    }
    daemon.wait_loaded();
    let stored: Vec<_> = site.stored().into_iter().map(|file| file.bytes).collect();
    assert_eq!(stored, contents);
}

/// kill -9 at seeded places of a transfer; the sender repeats what it got no OK for.
///
/// Ten rounds, or as many as `TIDEGATE_KILL_ROUNDS` says.
#[test]
fn every_ok_survives_kill_9_and_no_file_is_kept_twice() {
    let site = Site::new(&[("receiver_spool_segment_bytes", "1MiB")]);
    let rounds = std::env::var("TIDEGATE_KILL_ROUNDS").map_or(10, |text| text.parse().unwrap());
    let mut random = fastrand::Rng::with_seed(7);
    let mut sent: Vec<(String, Vec<u8>)> = Vec::new();
    let mut unanswered: Option<(String, Vec<u8>)> = None;
    for round in 0..rounds {
        let daemon = site.start();
        let mut peer = daemon.greeted();
        if let Some((name, content)) = unanswered.take() {
            assert_eq!(peer.file(&name, &content, 100_000), Some(OK), "round {round}");
            sent.push((name, content));
        }
        for n in 0..random.u32(0..4) {
            let name = format!("{round}-{n}.tsfile");
            let content = ts_file(random.usize(20..500_000), u64::from(round * 10 + n));
            assert_eq!(peer.file(&name, &content, 65_536), Some(OK));
            sent.push((name, content));
        }
        let name = format!("{round}-last.tsfile");
        let content = ts_file(random.usize(20..500_000), 1000 + u64::from(round));
        let frames = [framed_file(&name, &content, 50_000), vec![]].concat();
        let cut = match random.bool() {
            true => frames.len(),
            false => random.usize(0..frames.len()),
        };
        // everything at once, so that the kill falls anywhere between the frames' answers
        peer.send(&frames[..cut]);
        if cut == frames.len() && random.bool() {
            let mut replies = vec![1; content.chunks(50_000).count() + 1];
            peer.socket.read_exact(&mut replies).unwrap();
            assert!(replies.iter().all(|reply| *reply == OK));
        }
        daemon.kill();
        unanswered = Some((name, content));
    }
    let daemon = site.start();
    if let Some((name, content)) = unanswered.take() {
        assert_eq!(daemon.greeted().file(&name, &content, 100_000), Some(OK));
        sent.push((name, content));
    }
    daemon.wait_loaded();
    let stored: Vec<_> = site.stored().into_iter().map(|file| (file.name, file.bytes)).collect();
    let names = |files: &[(String, Vec<u8>)]| -> Vec<String> {
        files.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(&stored), names(&sent));
    assert!(stored == sent, "contents differ");
    let staged: Vec<_> = std::fs::read_dir(site.path("state/staging")).unwrap().collect();
    assert_eq!(staged.len(), 0, "unfinished files of killed runs are removed: {staged:?}");
}

fn framed_file(name: &str, content: &[u8], piece_bytes: usize) -> Vec<u8> {
    let mut frames = Vec::new();
    let mut offset = 0;
    for bytes in content.chunks(piece_bytes) {
        frames.extend(piece(4, name, offset, bytes));
        offset += bytes.len() as i64;
    }
    frames.extend(seal(name, offset));
    frames
}

#[test]
fn snapshots_and_plans_are_kept_and_listed_as_not_applied() {
    let site = Site::new(&[]);
    let daemon = site.start();
    let mut peer = daemon.greeted();
    assert_eq!(peer.ask(&piece(101, "mtree.snapshot", 0, b"m")), Some(OK));
    assert_eq!(peer.ask(&piece(101, "tlog.txt", 0, b"t")), Some(OK));
    let count = 2_i32.to_be_bytes();
    let names = [common::string(b"mtree.snapshot"), common::string(b"tlog.txt")].concat();
    let lengths = [1_i64.to_be_bytes(), 1_i64.to_be_bytes()].concat();
    let seal = [&[1, 0, 102][..], &count, &names, &count, &lengths, &[0; 4]].concat();
    assert_eq!(peer.ask(&framed(&seal)), Some(OK));
    assert_eq!(peer.ask(&config_plan()), Some(OK));
    daemon.wait_loaded();
    daemon.kill();
    let daemon = site.start();
    daemon.wait_loaded();
    let status = String::from_utf8(site.output("status", &[]).stdout).unwrap();
    assert!(status.contains("kept, not applied: config-plan 1, schema-snapshot 1"), "{status}");
    let kept = std::fs::read_dir(site.path("state/snapshots")).unwrap().count();
    assert_eq!(kept, 2);
    assert!(status.contains("2 config-plan (type 200), that-side, 20"), "{status}");

    // the latest are listed one by one, through a kill and through a checkpoint
    let mut peer = daemon.connect();
    let said = handshake(&[("tidegate.sender", "plant"), ("tidegate.dialect", "2.0")]);
    assert_eq!(peer.ask(&said), Some(OK));
    (0..30).for_each(|_| assert_eq!(peer.ask(&config_plan()), Some(OK)));
    let latest = |status: serde_json::Value| status["keeper"]["not_applied"].clone();
    let listed = latest(daemon.status());
    let numbers: Vec<_> =
        listed.as_array().unwrap().iter().map(|one| one["sequence"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (17..33).collect::<Vec<_>>());
    let last = &listed[15];
    assert_eq!((&last["kind"], &last["request_type"]), (&"config-plan".into(), &200.into()));
    assert_eq!((&last["origin"], &last["dialect"]), (&"plant".into(), &"2.0".into()));
    daemon.kill();
    let daemon = site.start();
    assert_eq!(latest(daemon.status()), listed);
    daemon.terminate();
    let daemon = site.start();
    assert_eq!(latest(daemon.status()), listed);
    assert!(site.stored().is_empty());
}
