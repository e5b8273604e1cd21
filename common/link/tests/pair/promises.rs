//! What a lane promises, one promise at a time, with the test in the place of the peer.

use core::time::Duration;

use tidegate_link::Time;
use tidegate_link::sending::Command;
use tidegate_link::sending::Delivery;
use tidegate_link::sending::DeliveryPart;
use tidegate_link::sending::DialectRule;
use tidegate_link::sending::Frame;
use tidegate_link::sending::Heard;
use tidegate_link::sending::Introduction;
use tidegate_link::sending::Lane;
use tidegate_link::sending::LaneConfig;
use tidegate_link::sending::Peers;
use tidegate_link::sending::Phase;
use tidegate_link::sending::PieceFrame;
use tidegate_model::Dialect;
use tidegate_model::Precision;
use tidegate_model::Verdict;

const OK: u8 = 0x00;
const FAIL: u8 = 0xff;
const REPLY_TIMEOUT: Duration = Duration::from_secs(900);
const IDLE_CLOSE: Duration = Duration::from_secs(60);

/// A lane, its clock, and the hands of the edge.
struct Bench {
    lane: Lane,
    peers: Peers,
    now: Time,
    next_token: u64,
}

impl Bench {
    fn new(n_peers: usize, dialect: DialectRule, piece_bytes: u32) -> Self {
        let config = LaneConfig {
            n_peers,
            first_peer: 0,
            introduction: Introduction {
                cluster_id: "us".into(),
                precision: Precision::Ms,
                user: "root".into(),
                password: "root".into(),
                sender: "us".into(),
                stream: "pipe/0".into(),
                epoch: 1,
            },
            dialect,
            piece_bytes,
            handshake_timeout: Duration::from_secs(5),
            reply_timeout: REPLY_TIMEOUT,
            idle_close: IDLE_CLOSE,
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(30),
            seed: 7,
        };
        let peers = Peers::new(n_peers, 1000, Duration::ZERO);
        let mut lane = Lane::new(config);
        lane.want(true);
        Self { lane, peers, now: Time::from_micros(5_000_000), next_token: 1 }
    }

    fn poll(&mut self) -> Option<Command> {
        self.lane.poll_command(self.now, &mut self.peers)
    }

    #[track_caller]
    fn expect_quiet(&mut self) {
        assert_eq!(self.poll(), None);
    }

    #[track_caller]
    fn expect(&mut self, command: &Command) {
        assert_eq!(self.poll().as_ref(), Some(command));
    }

    #[track_caller]
    fn expect_outcome(&mut self, verdict: Verdict) {
        match self.poll() {
            Some(Command::Outcome { verdict: found, .. }) => assert_eq!(found, verdict),
            other => panic!("expected an outcome, but found {other:?}"),
        }
    }

    /// Lets the pause pass and expects a call; returns whom.
    #[track_caller]
    fn expect_call(&mut self) -> usize {
        if self.lane.phase() == Phase::Pausing {
            self.now = self.now.max(self.lane.poll_timeout().expect("a pause ends"));
        }
        match self.poll() {
            Some(Command::Connect { peer }) => peer,
            other => panic!("expected a call, but found {other:?}"),
        }
    }

    #[track_caller]
    fn expect_send(&mut self) -> Frame {
        match self.poll() {
            Some(Command::Send(frame)) if self.lane.is_sending() => frame,
            other => panic!("expected a frame to be sent, but found {other:?}"),
        }
    }

    /// Expects a frame and lets all of it leave.
    #[track_caller]
    fn sends(&mut self) -> Frame {
        let frame = self.expect_send();
        self.lane.handle_sent(self.now);
        frame
    }

    #[track_caller]
    fn sends_piece(&mut self) -> PieceFrame {
        match self.sends() {
            Frame::Piece(piece) => piece,
            other => panic!("expected a piece, but found {other:02x?}"),
        }
    }

    /// Expects a frame that is no piece; returns its type.
    #[track_caller]
    fn sends_type(&mut self) -> u8 {
        match self.sends() {
            Frame::Whole(payload) => payload[2],
            other => panic!("expected no piece, but found {other:?}"),
        }
    }

    fn hears(&mut self, bytes: &[u8]) {
        self.lane.handle_heard(self.now, Heard::Bytes(bytes));
    }

    /// Lets the time pass until the lane's own deadline.
    #[track_caller]
    fn times_out(&mut self) {
        self.now = self.lane.poll_timeout().expect("there is a deadline");
        self.lane.handle_timeout(self.now);
    }

    /// Calls, and lets the greeting leave; returns its type.
    #[track_caller]
    fn greets(&mut self) -> u8 {
        self.expect_call();
        self.lane.handle_connected(self.now);
        self.sends_type()
    }

    /// Calls, and has V2 accepted.
    #[track_caller]
    fn connects(&mut self) -> usize {
        let peer = self.expect_call();
        self.lane.handle_connected(self.now);
        assert_eq!(self.sends_type(), 51);
        self.hears(&[OK]);
        self.expect_quiet();
        assert!(self.lane.is_ready());
        peer
    }

    fn begins(&mut self, mods_bytes: Option<u64>, length_bytes: u64) -> u64 {
        let token = self.next_token;
        self.next_token += 1;
        let part = |name: &str, length_bytes| DeliveryPart { name: name.into(), length_bytes };
        let delivery = Delivery {
            token,
            mods: mods_bytes.map(|n_bytes| part("1-1-0-0.tsfile.mods", n_bytes)),
            ts_file: part("1-1-0-0.tsfile", length_bytes),
            database: None,
        };
        self.lane.begin(self.now, delivery);
        token
    }

    /// Sends a file of one piece, and has it accepted.
    #[track_caller]
    fn delivers(&mut self, length_bytes: u64) {
        self.begins(None, length_bytes);
        self.sends_piece();
        self.hears(&[OK]);
        self.sends_type();
        self.hears(&[OK]);
        self.expect_outcome(Verdict::Accepted);
    }

    /// Hears what ends the connection.
    #[track_caller]
    fn ends_by(&mut self, how: Heard<'_>) {
        self.lane.handle_heard(self.now, how);
        self.expect(&Command::Abandon);
    }

    /// The connection went, and the item's fate is unknown or refused.
    #[track_caller]
    fn expect_abandoned(&mut self, verdict: Verdict) {
        self.expect(&Command::Abandon);
        self.expect_outcome(verdict);
        assert!(!self.lane.is_sending());
    }
}

fn auto(dialect: Dialect) -> DialectRule {
    DialectRule::Auto(dialect)
}

#[test]
fn late_reply_never_acks_the_next_frame() {
    let mut bench = Bench::new(1, auto(Dialect::V1_3), 100);
    bench.connects();
    bench.begins(None, 100);
    bench.sends_piece();
    bench.times_out();
    bench.expect_abandoned(Verdict::Unknown);
    // The byte comes now, and again while the next call is under way: there is nothing it answers.
    bench.hears(&[OK]);
    bench.expect_quiet();
    bench.expect_call();
    bench.hears(&[OK]);
    bench.expect_quiet();
    bench.lane.handle_connected(bench.now);
    // And even on the new connection, before anything was written there.
    bench.expect_send();
    bench.hears(&[OK]);
    bench.expect(&Command::Abandon);
    assert_eq!(bench.lane.phase(), Phase::Pausing);
    assert_eq!(bench.lane.counters().ok, 1, "only the first handshake was answered");
}

#[test]
fn duplicate_reply_before_the_next_send_kills_the_connection() {
    // In one read with the first.
    let mut bench = Bench::new(1, auto(Dialect::V1_3), 100);
    bench.connects();
    bench.begins(None, 100);
    bench.sends_piece();
    bench.hears(&[OK, OK]);
    bench.expect_abandoned(Verdict::Unknown);
    // Between the first and the seal that it lets go: the seal is not written.
    let mut bench = Bench::new(1, auto(Dialect::V1_3), 100);
    bench.connects();
    bench.begins(None, 100);
    bench.sends_piece();
    bench.hears(&[OK]);
    bench.expect_send();
    bench.hears(&[OK]);
    assert!(!bench.lane.is_sending(), "the seal must not leave");
    bench.expect_abandoned(Verdict::Unknown);
    // Even before the edge has asked for the seal.
    let mut bench = Bench::new(1, auto(Dialect::V1_3), 100);
    bench.connects();
    bench.begins(None, 100);
    bench.sends_piece();
    bench.hears(&[OK]);
    bench.hears(&[OK]);
    bench.expect_abandoned(Verdict::Unknown);
}

#[test]
fn premature_ok_is_no_acknowledgement() {
    let mut bench = Bench::new(1, auto(Dialect::V1_3), 100);
    bench.connects();
    bench.begins(None, 100);
    bench.sends_piece();
    bench.hears(&[OK]);
    bench.expect_send();
    bench.lane.handle_progress(bench.now);
    bench.hears(&[OK]);
    bench.expect_abandoned(Verdict::Unknown);
}

#[test]
fn unsolicited_byte_while_idle_is_no_answer() {
    for byte in [OK, FAIL, 0x01] {
        let mut bench = Bench::new(1, auto(Dialect::V1_3), 100);
        bench.connects();
        bench.hears(&[byte]);
        bench.expect(&Command::Abandon);
        bench.expect_quiet();
        bench.connects();
        bench.delivers(10);
    }
}

#[test]
fn v1_is_never_tried_after_a_timeout_or_reset() {
    for how in [Heard::Silence, Heard::Broken("reset"), Heard::Bytes(&[0x01])] {
        let mut bench = Bench::new(1, auto(Dialect::V1_2), 100);
        for _ in 0..5 {
            assert_eq!(bench.greets(), 51, "after {how:?}");
            bench.ends_by(how);
        }
    }
    // After ff, on the same connection; after an orderly close, on the next; once.
    let mut bench = Bench::new(1, auto(Dialect::V1_2), 100);
    assert_eq!(bench.greets(), 51);
    bench.hears(&[FAIL]);
    assert_eq!(bench.sends_type(), 1);
    bench.ends_by(Heard::Broken("reset"));
    assert_eq!(bench.greets(), 51);
    bench.ends_by(Heard::Eof);
    assert_eq!(bench.greets(), 1);
    bench.hears(&[OK]);
    assert_eq!(bench.lane.agreed().map(|agreed| agreed.1), Some(Dialect::V1_2));
}

#[test]
fn a_source_newer_than_1_2_never_speaks_v1() {
    let fixed = DialectRule::Fixed(Dialect::V1_3);
    for rule in [auto(Dialect::V1_3), auto(Dialect::V2_0), fixed] {
        for how in [Heard::Bytes(&[FAIL]), Heard::Eof] {
            let mut bench = Bench::new(1, rule, 100);
            for _ in 0..3 {
                assert_eq!(bench.greets(), 51);
                bench.ends_by(how);
            }
        }
    }
}

/// A peer that closed on V2 and then could not be reached made the lane greet the next peer with V1
/// right away; that one then got its files without their deletions.
#[test]
fn what_one_peer_makes_of_v2_is_not_held_against_another() {
    let mut bench = Bench::new(2, auto(Dialect::V1_2), 100);
    assert_eq!(bench.expect_call(), 0);
    bench.lane.handle_connected(bench.now);
    assert_eq!(bench.sends_type(), 51);
    bench.ends_by(Heard::Eof);
    assert_eq!(bench.expect_call(), 0);
    bench.lane.handle_connect_failed(bench.now, "refused");
    assert_eq!(bench.connects(), 1);
    assert_eq!(bench.lane.agreed().map(|agreed| agreed.1), Some(Dialect::V1_3));
}

/// The V1 frame went into the middle of the V2 frame, whose end was then taken for its own.
#[test]
fn v1_waits_until_v2_has_left() {
    let mut bench = Bench::new(1, auto(Dialect::V1_2), 100);
    bench.expect_call();
    bench.lane.handle_connected(bench.now);
    bench.expect_send();
    bench.lane.handle_progress(bench.now);
    bench.hears(&[FAIL]);
    assert!(!bench.lane.is_sending(), "the rest of V2 must not leave either");
    bench.expect(&Command::Abandon);
    bench.connects();
}

#[test]
fn a_dead_first_peer_does_not_keep_the_others_from_being_tried() {
    let dead: [fn(&mut Bench); 4] = [
        |bench| bench.lane.handle_connect_failed(bench.now, "refused"),
        |bench| {
            bench.times_out();
            bench.expect(&Command::Abandon);
        },
        // A gateway that accepts by itself.
        |bench| {
            bench.lane.handle_connected(bench.now);
            bench.sends();
            bench.times_out();
            bench.expect(&Command::Abandon);
        },
        |bench| {
            bench.lane.handle_connected(bench.now);
            bench.sends();
            bench.ends_by(Heard::Broken("reset"));
        },
    ];
    for die in dead {
        let mut bench = Bench::new(3, auto(Dialect::V2_0), 100);
        let start = bench.now;
        assert_eq!(bench.expect_call(), 0);
        die(&mut bench);
        assert_eq!(bench.expect_call(), 1);
        die(&mut bench);
        assert_eq!(bench.connects(), 2);
        assert!(bench.now.since(start) <= Duration::from_secs(14), "{:?}", bench.now.since(start));
        // Sticky: a break is no death, so the same peer is called again.
        bench.begins(None, 10);
        bench.sends_piece();
        bench.lane.handle_heard(bench.now, Heard::Broken("reset"));
        bench.expect_abandoned(Verdict::Unknown);
        assert_eq!(bench.connects(), 2);
    }
}

#[test]
fn a_peer_that_greets_and_closes_is_trouble_is_called_more_and_more_rarely_and_given_up_for_another()
 {
    for has_begun in [false, true] {
        let mut bench = Bench::new(2, auto(Dialect::V1_3), 100);
        let mut called = Vec::new();
        let began = bench.now;
        for _ in 0..6 {
            called.push(bench.connects());
            if has_begun {
                bench.begins(None, 100);
                bench.sends_piece();
            }
            bench.ends_by(Heard::Eof);
            if has_begun {
                bench.expect_outcome(Verdict::Unknown);
            }
            assert_eq!(bench.lane.phase(), Phase::Pausing);
            assert!(bench.lane.last_trouble().is_some_and(|it| it.contains("closed")));
        }
        assert_eq!(called, [0, 0, 0, 0, 0, 1], "begun: {has_begun}");
        // 1, 2, 4, 8, 16 s, each with its jitter.
        assert!(bench.now.since(began) > Duration::from_secs(15), "begun: {has_begun}");
    }
}

#[test]
fn a_connection_that_something_was_accepted_on_may_be_closed_and_counts_for_its_peer() {
    let mut bench = Bench::new(2, auto(Dialect::V1_3), 100);
    for _ in 0..20 {
        assert_eq!(bench.connects(), 0);
        bench.delivers(100);
        bench.ends_by(Heard::Eof);
        assert_eq!((bench.lane.phase(), bench.lane.last_trouble()), (Phase::Resting, None));
    }
    // One that was idle for long is no trouble either: a file may take its time to be opened.
    for _ in 0..20 {
        assert_eq!(bench.connects(), 0);
        bench.now = bench.now + Duration::from_secs(30);
        bench.ends_by(Heard::Eof);
        assert_eq!((bench.lane.phase(), bench.lane.last_trouble()), (Phase::Resting, None));
    }
}

/// A receiver resets what has been silent for long, which once passed for trouble.
#[test]
fn a_connection_that_something_was_accepted_on_may_be_broken_off_while_it_is_idle() {
    let mut bench = Bench::new(1, auto(Dialect::V1_3), 100);
    bench.connects();
    bench.delivers(100);
    bench.ends_by(Heard::Broken("reset"));
    assert_eq!((bench.lane.phase(), bench.lane.last_trouble()), (Phase::Resting, None));
    // nothing was accepted on this one
    bench.connects();
    bench.ends_by(Heard::Broken("reset"));
    assert!(bench.lane.last_trouble().is_some());
}

#[test]
fn fail_restarts_the_file_from_piece_0() {
    for (heard, verdict) in [
        (Heard::Bytes(&[FAIL]), Verdict::Refused),
        (Heard::Bytes(&[0x7f]), Verdict::Unknown),
        (Heard::Broken("reset"), Verdict::Unknown),
        (Heard::Eof, Verdict::Unknown),
    ] {
        for n_before in 0..=4 {
            let mut bench = Bench::new(1, auto(Dialect::V1_3), 100);
            bench.connects();
            bench.begins(Some(20), 250);
            for _ in 0..n_before {
                bench.sends();
                bench.hears(&[OK]);
            }
            bench.sends();
            bench.lane.handle_heard(bench.now, heard);
            bench.expect_abandoned(verdict);
            bench.expect_quiet();
            bench.connects();
            let token = bench.begins(Some(20), 250);
            let mut pieces = Vec::new();
            for _ in 0..4 {
                let piece = bench.sends_piece();
                assert_eq!(piece.token, token);
                pieces.push((piece.from_mods, piece.offset, piece.n_bytes));
                bench.hears(&[OK]);
            }
            let whole = [(true, 0, 20), (false, 0, 100), (false, 100, 100), (false, 200, 50)];
            assert_eq!(pieces, whole, "after {heard:?} to frame {n_before}");
            assert_eq!(bench.sends_type(), 9);
            bench.hears(&[OK]);
            bench.expect_outcome(Verdict::Accepted);
        }
    }
}

#[test]
fn pieces_shrink_after_breaks_but_never_after_ff() {
    let lose = |bench: &mut Bench, heard, verdict| {
        bench.connects();
        bench.begins(None, 1 << 30);
        let piece = bench.sends_piece();
        bench.lane.handle_heard(bench.now, heard);
        bench.expect_abandoned(verdict);
        piece.n_bytes
    };
    let mut bench = Bench::new(1, auto(Dialect::V1_3), 1 << 20);
    for _ in 0..50 {
        let n_bytes = lose(&mut bench, Heard::Bytes(&[FAIL]), Verdict::Refused);
        assert_eq!(n_bytes, 1 << 20);
        // What nobody sends says nothing about sizes either.
        let n_bytes = lose(&mut bench, Heard::Bytes(&[0x01]), Verdict::Unknown);
        assert_eq!(n_bytes, 1 << 20);
    }
    for heard in [Heard::Broken("reset"), Heard::Eof, Heard::Silence] {
        let mut bench = Bench::new(1, auto(Dialect::V1_3), 1 << 20);
        let sizes: Vec<u32> = (0..15).map(|_| lose(&mut bench, heard, Verdict::Unknown)).collect();
        let m = 1 << 20;
        let halves = [m, m / 2, m / 4, m / 8, m / 16].map(|size| [size; 3]);
        assert_eq!(sizes, halves.concat());
        assert_eq!(bench.lane.piece_bytes(), 64 << 10, "not smaller than the floor");
    }
}

#[test]
fn pieces_grow_back_after_many_files_and_more_slowly_each_time_they_had_to_shrink() {
    let mut bench = Bench::new(1, auto(Dialect::V1_3), 1 << 20);
    for files_before_growth in [64, 128, 256] {
        for _ in 0..3 {
            bench.connects();
            bench.begins(None, 1 << 20);
            bench.sends_piece();
            bench.times_out();
            bench.expect_abandoned(Verdict::Unknown);
        }
        assert_eq!(bench.lane.piece_bytes(), 1 << 19);
        bench.connects();
        for n_files in 0..files_before_growth {
            assert_eq!(bench.lane.piece_bytes(), 1 << 19, "after {n_files} files");
            bench.delivers(1 << 19);
        }
        assert_eq!(bench.lane.piece_bytes(), 1 << 20);
        bench.ends_by(Heard::Eof);
    }
}

/// A gateway drops what is too large without a word. The small deletions file got through each time,
/// and each time the large pieces were believed to have got through with it: the size stayed.
#[test]
fn small_frames_that_get_through_do_not_keep_large_pieces_large() {
    let limit = 300_000;
    let mut bench = Bench::new(1, auto(Dialect::V1_3), 1 << 20);
    for _ in 0..20 {
        bench.connects();
        bench.begins(Some(100), 2 << 20);
        assert!(bench.sends_piece().from_mods);
        bench.hears(&[OK]);
        if bench.sends_piece().n_bytes <= limit {
            return;
        }
        bench.times_out();
        bench.expect_abandoned(Verdict::Unknown);
        // Another stream's small file goes over the same lane in between.
        bench.connects();
        bench.delivers(500);
        bench.ends_by(Heard::Eof);
    }
    panic!("pieces still have {} bytes", bench.lane.piece_bytes());
}

/// A peer may close while the connection is idle; the piece that had not left did not break it.
#[test]
fn a_break_before_anything_has_left_says_nothing_about_sizes() {
    let mut bench = Bench::new(1, auto(Dialect::V1_3), 1 << 20);
    for _ in 0..20 {
        bench.connects();
        bench.begins(None, 1 << 30);
        bench.expect_send();
        bench.lane.handle_heard(bench.now, Heard::Eof);
        bench.expect_abandoned(Verdict::Unknown);
    }
    assert_eq!(bench.lane.piece_bytes(), 1 << 20);
}

#[test]
fn idle_connection_is_closed_and_reopened_lazily() {
    let mut bench = Bench::new(1, auto(Dialect::V2_0), 100);
    bench.connects();
    bench.delivers(10);
    bench.lane.want(false);
    let idle_since = bench.now;
    bench.times_out();
    assert_eq!(bench.now.since(idle_since), IDLE_CLOSE);
    bench.expect(&Command::Close);
    // Nothing to send: no connection, no timer, for as long as it takes.
    bench.expect_quiet();
    assert_eq!(bench.lane.poll_timeout(), None);
    bench.now = bench.now + Duration::from_secs(86_400);
    bench.expect_quiet();
    bench.lane.want(true);
    bench.connects();
    assert_eq!(bench.lane.counters().calls, 2);
    assert_eq!(bench.lane.counters().broken + bench.lane.counters().closed, 0);
}

/// Stop-and-wait with a slow link: as long as bytes leave, the peer is alive; the clock for the
/// answer starts with the last one.
#[test]
fn a_frame_that_is_still_leaving_does_not_time_out() {
    let mut bench = Bench::new(1, auto(Dialect::V2_0), 100);
    bench.connects();
    bench.begins(None, 10);
    bench.expect_send();
    for _ in 0..10 {
        bench.now = bench.now + REPLY_TIMEOUT * 9 / 10;
        bench.lane.handle_timeout(bench.now);
        bench.expect_quiet();
        bench.lane.handle_progress(bench.now);
    }
    bench.lane.handle_sent(bench.now);
    let left_at = bench.now;
    bench.times_out();
    assert_eq!(bench.now.since(left_at), REPLY_TIMEOUT);
    bench.expect_abandoned(Verdict::Unknown);
}
