//! One connection under a virtual clock: what each rule and each knob promises.

use core::num::NonZeroU64;
use core::time::Duration;

use super::super::device::Watched;
use super::super::profile::Profile;
use super::super::record::Refusal;
use super::super::record::Stats;
use super::super::rules::Faults;
use super::super::rules::PortSet;
use super::super::rules::Restart;
use super::super::rules::Rules;
use super::*;

/// One connection, an inner host that sends what a test says, and an outer host that keeps what it
/// gets. Time jumps to the next deadline.
struct Pair {
    device: Device,
    crossing: Crossing,
    now: Duration,
    outer_is_up: bool,
    /// Each write to the outer side, with its time.
    written: Vec<(Duration, Vec<u8>)>,
    /// Each byte that came back, with its time.
    returned: Vec<(Duration, u8)>,
    actions: Vec<Action>,
}

impl Pair {
    fn new(rules: Rules) -> Self {
        let mut device = Device::new(rules, Watched::Yes);
        let peer = "10.0.0.1:40000".parse().expect("an address");
        let number = device.handle_arrival(Duration::ZERO, peer).expect("an arrival");
        let crossing = Crossing::new(&device, Duration::ZERO, number);
        let mut pair = Self {
            device,
            crossing,
            now: Duration::ZERO,
            outer_is_up: true,
            written: Vec::new(),
            returned: Vec::new(),
            actions: Vec::new(),
        };
        pair.drive();
        pair
    }

    fn forward(profile: Profile) -> Self {
        Self::new(Rules::new(profile))
    }

    /// Does everything that can be done without time passing.
    fn drive(&mut self) {
        for _ in 0..1_000_000 {
            if self.is_over() {
                return;
            }
            self.crossing.handle_time(&self.device, self.now);
            if let Some(action) = self.crossing.poll_action(&mut self.device, self.now) {
                self.actions.push(action);
                if action == Action::Connect && self.outer_is_up {
                    self.crossing.handle_outer_connected(&mut self.device, self.now);
                } else if action == Action::Connect {
                    self.crossing.handle_outer_failed(&mut self.device, self.now);
                }
                continue;
            }
            if let Some(bytes) = self.crossing.poll_forward(&self.device, self.now) {
                let bytes = bytes.to_vec();
                self.crossing.forwarded(&mut self.device, self.now, bytes.len());
                self.written.push((self.now, bytes));
                continue;
            }
            if let Some(bytes) = self.crossing.poll_back(self.now) {
                let bytes = bytes.to_vec();
                self.crossing.returned(&mut self.device, self.now, bytes.len());
                self.returned.extend(bytes.into_iter().map(|byte| (self.now, byte)));
                continue;
            }
            if !self.crossing.is_ending() {
                return;
            }
        }
        panic!("the connection never comes to rest");
    }

    /// Lets time pass until `until`, from deadline to deadline.
    fn run_until(&mut self, until: Duration) {
        while let Some(at) = self.crossing.poll_timeout(&self.device, self.now) {
            if until < at || self.is_over() {
                break;
            }
            self.now = at;
            self.drive();
        }
        self.now = self.now.max(until);
        self.drive();
    }

    /// Sends as fast as the gateway takes it.
    fn send(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.is_over() {
            let room = self.crossing.room(&self.device, self.now).min(bytes.len());
            if room == 0 {
                let at = self.crossing.poll_timeout(&self.device, self.now);
                self.run_until(at.expect("a full gateway must have a reason to wake up"));
                continue;
            }
            let mut buffer = self.crossing.buffer(room);
            buffer[..room].copy_from_slice(&bytes[..room]);
            self.crossing.handle_inner_bytes(&mut self.device, self.now, buffer, room);
            bytes = &bytes[room..];
            self.drive();
        }
    }

    fn reply(&mut self, bytes: &[u8]) {
        self.crossing.handle_outer_bytes(&mut self.device, self.now, bytes);
        self.drive();
    }

    fn is_over(&self) -> bool {
        matches!(self.actions.last(), Some(Action::Close | Action::Reset))
    }

    fn stats(&self) -> &Stats {
        self.device.stats()
    }

    fn all_written(&self) -> Vec<u8> {
        self.written.iter().flat_map(|(_, bytes)| bytes.clone()).collect()
    }

    fn all_returned(&self) -> Vec<u8> {
        self.returned.iter().map(|(_, byte)| *byte).collect()
    }

    #[track_caller]
    fn assert_cut(&self, reason: Cut) {
        assert_eq!(self.actions.last(), Some(&Action::Reset), "{:?}", self.stats());
        assert_eq!(self.stats().cut(reason), 1, "{:?}", self.stats());
        assert_eq!(self.stats().cuts.len(), 1, "{:?}", self.stats());
        assert_eq!(self.stats().open, 0);
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn some(n: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(n)
}

fn wrapped(payload: &[u8]) -> Vec<u8> {
    [E_PREFIX, payload, E_SUFFIX].concat()
}

const FORWARD: [Profile; 3] =
    [Profile::Syskeeper2000Forward, Profile::XjForward, Profile::Stonewall2000Forward];

#[test]
fn one_byte_of_two_values_comes_back_per_request() {
    for profile in FORWARD {
        let mut pair = Pair::forward(profile);
        for (request, reply) in [(&b"one"[..], 0x00), (b"2", 0xff), (b"three", 0x00)] {
            pair.send(request);
            pair.reply(&[reply]);
        }
        assert_eq!(pair.all_written(), b"one2three");
        assert_eq!(pair.all_returned(), [0x00, 0xff, 0x00]);
        assert_eq!((pair.stats().requests, pair.stats().bytes_forward), (3, 9));
        assert_eq!((pair.stats().bytes_back.zeros, pair.stats().bytes_back.ones), (2, 1));
        assert!(!pair.is_over());
    }
}

#[test]
fn everything_else_that_comes_back_cuts_both_sides() {
    for profile in FORWARD {
        for first in 0..=u8::MAX {
            let mut pair = Pair::forward(profile);
            pair.send(b"request");
            pair.reply(&[first]);
            if matches!(first, 0x00 | 0xff) {
                assert_eq!(pair.all_returned(), [first]);
                pair.reply(&[first]);
                pair.assert_cut(Cut::SecondByte);
                assert_eq!(pair.all_returned(), [first]);
            } else {
                pair.assert_cut(Cut::IllegalByte);
                assert!(pair.all_returned().is_empty());
            }
        }

        let mut pair = Pair::forward(profile);
        pair.reply(&[0x00]);
        pair.assert_cut(Cut::SecondByte);

        let mut pair = Pair::forward(profile);
        pair.send(b"request");
        pair.reply(&[0x00, 0x00]);
        pair.assert_cut(Cut::ExtraBytes);
    }
}

#[test]
fn plain_tcp_lets_everything_back() {
    let mut pair = Pair::forward(Profile::PlainTcp);
    pair.reply(b"220 hello");
    pair.send(b"EHLO");
    pair.reply(&[0x00]);
    pair.reply(&[0xff]);
    assert_eq!(pair.all_returned(), b"220 hello\x00\xff");
    assert_eq!(pair.stats().bytes_back.other, 9);
    assert!(!pair.is_over());
}

/// A request is what went out since the last byte came back, however it was cut into pieces.
#[test]
fn a_request_is_one_request_under_every_split() {
    let request = b"0123456789";
    for split in 0..1_u32 << (request.len() - 1) {
        let mut pair = Pair::forward(Profile::Syskeeper2000Forward);
        for _ in 0..2 {
            let mut start = 0;
            for end in 1..=request.len() {
                if end == request.len() || split >> (end - 1) & 1 == 1 {
                    pair.send(&request[start..end]);
                    start = end;
                }
            }
            pair.reply(&[0x00]);
        }
        assert_eq!(pair.stats().requests, 2, "split {split:b}");
        pair.reply(&[0x00]);
        pair.assert_cut(Cut::SecondByte);
    }
}

/// Two frames sent without waiting are one request to the device: the second answer cuts.
#[test]
fn frames_in_flight_together_get_one_answer() {
    let mut pair = Pair::forward(Profile::Syskeeper2000Forward);
    pair.send(b"frame");
    pair.send(b"frame");
    pair.reply(&[0x00]);
    pair.reply(&[0x00]);
    pair.assert_cut(Cut::SecondByte);
}

#[test]
fn the_reverse_profile_demands_e_language_at_every_split() {
    let request = wrapped(b"payload");
    for at in 1..request.len() {
        let mut pair = Pair::forward(Profile::Syskeeper2000Reverse);
        pair.send(&request[..at]);
        pair.send(&request[at..]);
        pair.reply(&[0xff]);
        pair.send(&request);
        pair.reply(&[0x00]);
        assert_eq!(pair.all_returned(), [0xff, 0x00], "split at {at}");
        assert!(!pair.is_over());

        let mut pair = Pair::forward(Profile::Syskeeper2000Reverse);
        pair.send(&request[..at]);
        pair.reply(&[0x00]);
        pair.assert_cut(Cut::BadESuffix);
        assert!(pair.all_returned().is_empty());
    }
    for at in 0..E_PREFIX.len() {
        let mut broken = request.clone();
        broken[at] ^= 0x20;
        let mut pair = Pair::forward(Profile::Syskeeper2000Reverse);
        pair.send(&broken[..at]);
        assert!(!pair.is_over(), "cut before byte {at}, which is the first wrong one");
        pair.send(&broken[at..]);
        pair.assert_cut(Cut::BadEPrefix);
        assert_eq!(pair.all_written(), &broken[..at], "a wrong byte must not pass");
    }
}

#[test]
fn the_frame_limit_lets_exactly_the_limit_pass() {
    for limit in [1, 4, 1000] {
        let rules = Rules { frame_bytes_max: some(limit), ..Rules::new(Profile::XjForward) };
        let request = vec![7; limit as usize];
        let mut pair = Pair::new(rules.clone());
        for _ in 0..3 {
            pair.send(&request);
            pair.reply(&[0x00]);
        }
        assert!(!pair.is_over());
        pair.send(&request);
        pair.send(&[7]);
        pair.assert_cut(Cut::FrameTooLong);
        assert_eq!(pair.stats().bytes_forward, 4 * limit);
    }
    let mut pair = Pair::forward(Profile::Syskeeper2000Forward);
    pair.send(&vec![7; (1 << 20) + 1]);
    pair.assert_cut(Cut::FrameTooLong);
}

#[test]
fn silence_cuts_and_any_byte_puts_it_off() {
    let rules = Rules { idle_cut: Some(ms(100)), ..Rules::new(Profile::XjForward) };
    let mut pair = Pair::new(rules);
    pair.run_until(ms(99));
    pair.send(b"request");
    pair.run_until(ms(198));
    pair.reply(&[0x00]);
    pair.run_until(ms(297));
    assert!(!pair.is_over());
    pair.run_until(ms(298));
    pair.assert_cut(Cut::Idle);
}

#[test]
fn the_round_trip_is_delayed_by_exactly_the_rtt() {
    let rtt = Duration::from_nanos(1_500_001);
    let mut pair = Pair::new(Rules { rtt, ..Rules::new(Profile::XjForward) });
    pair.send(b"request");
    assert_eq!(pair.written, []);
    pair.run_until(rtt / 2);
    assert_eq!(pair.written, [(rtt / 2, b"request".to_vec())]);
    pair.reply(&[0x00]);
    pair.run_until(ms(2));
    assert_eq!(pair.returned, [(rtt, 0x00)]);
}

/// The delay is a pipe, not a lock-step: what fits into it flows.
#[test]
fn a_delay_does_not_slow_a_stream() {
    let rules = Rules { rtt: ms(200), frame_bytes_max: None, ..Rules::new(Profile::XjForward) };
    let mut pair = Pair::new(rules);
    let stream = vec![7; 60 << 20];
    pair.send(&stream);
    assert_eq!(pair.now, Duration::ZERO, "60 MiB must be under way at once");
    pair.run_until(ms(100));
    assert_eq!(pair.stats().bytes_forward, 60 << 20);
}

#[test]
fn the_line_rate_is_shared_by_all_connections() {
    let rules = Rules {
        bytes_per_second: some(1_000_000),
        frame_bytes_max: None,
        ..Rules::new(Profile::XjForward)
    };
    let mut pair = Pair::new(rules);
    // Another connection has booked half a second of the line.
    pair.device.pace(Duration::ZERO, 500_000);
    pair.send(&vec![7; 1_000_000]);
    pair.run_until(ms(3000));
    let last = pair.written.last().expect("bytes").0;
    assert!(ms(1499) < last && last < ms(1501), "{last:?}");
    let longest = pair.written.iter().map(|(_, bytes)| bytes.len()).max();
    assert!(longest <= Some(5000), "a paced line trickles, but wrote {longest:?} at once");
}

#[test]
fn what_is_queued_stays_bounded() {
    let mut pair = Pair::forward(Profile::XjForward);
    pair.outer_is_up = false;
    pair.crossing = Crossing::new(&pair.device, pair.now, 1);
    pair.drive();
    let mut taken = 0;
    loop {
        let room = pair.crossing.room(&pair.device, pair.now);
        if room == 0 {
            break;
        }
        let buffer = pair.crossing.buffer(room);
        pair.crossing.handle_inner_bytes(&mut pair.device, pair.now, buffer, room);
        taken += room;
    }
    assert!(QUEUE_BYTES / 2 < taken && taken <= QUEUE_BYTES, "{taken}");
}

#[test]
fn splitting_and_coalescing_change_writes_and_no_bytes() {
    let rules = Rules::new(Profile::XjForward);
    let lengths = |pair: &Pair| pair.written.iter().map(|(_, b)| b.len()).collect::<Vec<_>>();

    let mut pair = Pair::new(Rules { split_bytes: some(3), ..rules.clone() });
    pair.send(b"01234567");
    assert_eq!(lengths(&pair), [3, 3, 2]);

    let gap = ms(5);
    let mut pair = Pair::new(Rules { split_at: some(4), split_gap: gap, ..rules.clone() });
    for _ in 0..2 {
        pair.send(b"01");
        pair.send(b"23456789");
        pair.run_until(pair.now + gap);
        pair.reply(&[0x00]);
    }
    assert_eq!(lengths(&pair), [2, 2, 6, 2, 2, 6]);
    assert_eq!(pair.written[2].0 - pair.written[1].0, gap);
    assert_eq!(pair.all_written(), b"01234567890123456789");

    let mut pair = Pair::new(Rules { coalesce: ms(10), ..rules });
    for at in [0, 4, 9] {
        pair.run_until(ms(at));
        pair.send(b"piece");
    }
    pair.run_until(ms(11));
    pair.send(b"piece");
    pair.run_until(ms(30));
    let expected = [(ms(10), b"piecepiecepiece".to_vec()), (ms(21), b"piece".to_vec())];
    assert_eq!(pair.written, expected);
}

/// Plays `n` requests and returns what came back for each.
fn play(rules: Rules, n: usize) -> Vec<Vec<u8>> {
    let mut pair = Pair::new(rules);
    let mut played = Vec::new();
    for i in 0..n {
        let before = pair.returned.len();
        pair.send(b"request");
        pair.reply(&[if i % 2 == 0 { 0x00 } else { 0xff }]);
        played.push(pair.returned[before..].iter().map(|(_, byte)| *byte).collect());
    }
    played
}

#[test]
fn counted_faults_hit_every_nth_reply() {
    let rules = Rules::new(Profile::XjForward);
    let faults = Faults { lose_every: some(3), double_every: some(4), ..Faults::default() };
    let played = play(Rules { faults, ..rules.clone() }, 12);
    let lengths: Vec<usize> = played.iter().map(Vec::len).collect();
    assert_eq!(lengths, [1, 1, 0, 2, 1, 0, 1, 2, 0, 1, 1, 0]);
    assert_eq!(played[3], [0xff, 0xff]);

    let faults = Faults { late_every: some(2), late_by: ms(700), ..Faults::default() };
    let mut pair = Pair::new(Rules { faults, ..rules });
    pair.send(b"request");
    pair.reply(&[0x00]);
    pair.send(b"request");
    pair.reply(&[0xff]);
    pair.run_until(ms(1000));
    assert_eq!(pair.returned, [(ms(0), 0x00), (ms(700), 0xff)]);
    assert_eq!(pair.stats().faults.late, 1);
}

#[test]
fn chances_repeat_for_a_seed_and_only_for_it() {
    let rules = |seed| Rules {
        faults: Faults { seed, lose_chance: 0.2, double_chance: 0.2, ..Faults::default() },
        ..Rules::new(Profile::XjForward)
    };
    for seed in 0..50 {
        let first = play(rules(seed), 200);
        assert_eq!(first, play(rules(seed), 200), "seed {seed}");
        assert_ne!(first, play(rules(seed + 1), 200), "seed {seed}");
        let lost = first.iter().filter(|replies| replies.is_empty()).count();
        assert!((10..80).contains(&lost), "seed {seed}: {lost} of 200 lost at a chance of 0.2");
    }
}

#[test]
fn an_absent_outer_host_is_silence_until_it_is_back() {
    let mut pair = Pair::forward(Profile::XjForward);
    pair.outer_is_up = false;
    pair.crossing = Crossing::new(&pair.device, pair.now, 1);
    pair.actions.clear();
    pair.send(b"request");
    pair.run_until(ms(2500));
    assert_eq!(pair.actions, [Action::Connect; 3], "at 0, 1 and 2 s");
    assert_eq!((pair.written.len(), pair.stats().outer_failures), (0, 3));
    pair.outer_is_up = true;
    pair.run_until(ms(3000));
    assert_eq!(pair.written, [(ms(3000), b"request".to_vec())]);
    let told = pair.device.poll_events().filter(|event| event.what == What::OuterDown).count();
    assert_eq!(told, 1, "a host that stays away is told once");

    let rules = Rules { outer_down: OuterDown::Reset, ..Rules::new(Profile::XjForward) };
    let mut pair = Pair::new(rules);
    pair.outer_is_up = false;
    pair.crossing = Crossing::new(&pair.device, pair.now, 1);
    pair.drive();
    pair.assert_cut(Cut::OuterDown);
}

#[test]
fn bytes_given_up_by_their_sender_are_dropped_or_delivered_as_told() {
    for (given_up, is_reset) in [
        (GivenUp::Drop, false),
        (GivenUp::Drop, true),
        (GivenUp::Deliver, false),
        (GivenUp::Deliver, true),
    ] {
        let mut pair = Pair::new(Rules { given_up, ..Rules::new(Profile::XjForward) });
        pair.outer_is_up = false;
        pair.crossing = Crossing::new(&pair.device, pair.now, 1);
        pair.send(b"zombie");
        if is_reset {
            pair.crossing.handle_inner_reset(&pair.device);
        } else {
            pair.crossing.handle_inner_fin(&pair.device, pair.now);
        }
        pair.drive();
        pair.outer_is_up = true;
        pair.run_until(ms(1000));
        assert_eq!(pair.is_over(), given_up == GivenUp::Drop);
        if given_up == GivenUp::Deliver {
            assert_eq!(pair.all_written(), b"zombie");
            assert_eq!(pair.actions.last(), Some(&Action::FinishOuter));
            pair.reply(&[0x00]);
            assert_eq!(pair.returned.is_empty(), is_reset, "nobody is there to take it");
        }
    }
}

/// A short request and its end may both be there before the first attempt to reach the outer host
/// has come to anything.
#[test]
fn an_end_during_the_first_attempt_loses_nothing() {
    for outer_is_up in [true, false] {
        let mut pair = Pair::forward(Profile::XjForward);
        pair.actions.clear();
        pair.crossing = Crossing::new(&pair.device, pair.now, 1);
        let action = pair.crossing.poll_action(&mut pair.device, pair.now);
        assert_eq!(action, Some(Action::Connect));
        pair.send(b"request");
        pair.crossing.handle_inner_fin(&pair.device, pair.now);
        pair.drive();
        assert_eq!(pair.actions, []);
        if outer_is_up {
            pair.crossing.handle_outer_connected(&mut pair.device, pair.now);
            pair.drive();
            assert_eq!(pair.all_written(), b"request");
            assert_eq!(pair.actions, [Action::FinishOuter]);
        } else {
            pair.crossing.handle_outer_failed(&mut pair.device, pair.now);
            pair.drive();
            assert_eq!(pair.actions, [Action::Close]);
        }
    }
}

#[test]
fn a_silent_device_swallows_and_never_calls() {
    let rules = Rules { forwarding: Forwarding::Swallow, ..Rules::new(Profile::XjForward) };
    let mut pair = Pair::new(rules);
    pair.send(&vec![7; 10 << 20]);
    assert_eq!((pair.actions.len(), pair.written.len()), (0, 0));
    pair.crossing.handle_inner_fin(&pair.device, pair.now);
    pair.drive();
    assert_eq!(pair.actions, [Action::Close]);
}

#[test]
fn ends_are_passed_on_after_the_bytes_before_them() {
    let rules = Rules { rtt: ms(10), ..Rules::new(Profile::XjForward) };
    let mut pair = Pair::new(rules);
    pair.actions.clear();
    pair.send(b"last request");
    pair.crossing.handle_inner_fin(&pair.device, pair.now);
    pair.drive();
    assert_eq!(pair.actions, [], "bytes are still under way");
    pair.run_until(ms(5));
    assert_eq!(pair.actions, [Action::FinishOuter]);
    pair.reply(&[0x00]);
    pair.crossing.handle_outer_fin(pair.now);
    pair.drive();
    assert_eq!(pair.actions, [Action::FinishOuter], "the reply is still under way");
    pair.run_until(ms(10));
    assert_eq!(pair.returned, [(ms(10), 0x00)]);
    assert_eq!(pair.actions, [Action::FinishOuter, Action::FinishInner, Action::Close]);
    assert_eq!(pair.stats().open, 0);
}

#[test]
fn a_reset_by_the_outer_host_is_a_reset_or_a_close_as_told() {
    let mut pair = Pair::forward(Profile::XjForward);
    pair.send(b"request");
    pair.crossing.handle_outer_reset(&pair.device);
    pair.drive();
    assert_eq!(pair.actions.last(), Some(&Action::Reset));
    assert_eq!(pair.stats().host_resets, 1);

    let mut pair = Pair::new(Rules {
        reset_passing: ResetPassing::OrderlyClose,
        ..Rules::new(Profile::XjForward)
    });
    pair.send(b"request");
    pair.crossing.handle_outer_reset(&pair.device);
    pair.drive();
    assert_eq!(pair.actions.last(), Some(&Action::FinishInner));
    pair.send(b"swallowed");
    pair.crossing.handle_inner_fin(&pair.device, pair.now);
    pair.drive();
    assert_eq!(pair.actions.last(), Some(&Action::Close));
    assert_eq!(pair.all_written(), b"request");
}

#[test]
fn admission_is_by_port_by_rate_and_not_while_restarting() {
    let rules = Rules {
        source_ports: PortSet::parse("40000-40001,40005").expect("ports"),
        connections_per_minute: Some(2),
        restart: Some(Restart { every: ms(300_000), down: ms(1000) }),
        ..Rules::new(Profile::XjForward)
    };
    let mut device = Device::new(rules, Watched::No);
    let arrive = |device: &mut Device, at: u64, peer: &str| {
        device.handle_arrival(ms(at), peer.parse().expect("an address")).err()
    };
    assert_eq!(arrive(&mut device, 0, "10.0.0.1:40002"), Some(Refusal::SourcePort));
    assert_eq!(arrive(&mut device, 0, "10.0.0.1:40000"), None);
    assert_eq!(arrive(&mut device, 59_999, "10.0.0.1:40005"), None);
    assert_eq!(arrive(&mut device, 59_999, "10.0.0.1:40001"), Some(Refusal::ReconnectLimit));
    assert_eq!(arrive(&mut device, 59_999, "10.0.0.2:40001"), None, "the limit is per address");
    assert_eq!(arrive(&mut device, 60_000, "10.0.0.1:40001"), None, "the first has left");
    assert_eq!(arrive(&mut device, 60_001, "10.0.0.1:40001"), Some(Refusal::ReconnectLimit));

    assert!(!device.handle_time(ms(299_999)));
    assert!(device.handle_time(ms(300_000)));
    assert!(!device.handle_time(ms(300_000)));
    assert_eq!(device.poll_timeout(), Some(ms(600_000)));
    assert_eq!(arrive(&mut device, 300_999, "10.0.0.1:40000"), Some(Refusal::Restarting));
    assert_eq!(arrive(&mut device, 301_000, "10.0.0.1:40000"), None);
    assert_eq!(device.stats().refusals.values().sum::<u64>(), 4);
    assert_eq!(device.stats().connections, 5);
}

#[test]
fn a_restart_cuts() {
    let mut pair = Pair::forward(Profile::XjForward);
    pair.send(b"request");
    pair.crossing.handle_restart();
    pair.drive();
    pair.assert_cut(Cut::Restart);
}

/// Events that arrive after the verdict change neither it nor the counters.
#[test]
fn the_first_reason_holds() {
    let mut pair = Pair::forward(Profile::XjForward);
    pair.send(b"request");
    pair.crossing.handle_outer_bytes(&mut pair.device, pair.now, &[0x01]);
    pair.crossing.handle_outer_bytes(&mut pair.device, pair.now, &[0x00]);
    pair.crossing.handle_outer_reset(&pair.device);
    pair.crossing.handle_inner_fin(&pair.device, pair.now);
    pair.drive();
    pair.assert_cut(Cut::IllegalByte);
    assert_eq!(pair.stats().host_resets, 0);
}

/// Random traffic, random pieces, random knobs: the outer side gets what the inner side sent.
#[test]
fn no_byte_is_lost_invented_or_moved() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let maybe = |random: &mut fastrand::Rng, max: u64| {
            if random.bool() { some(random.u64(1..=max)) } else { None }
        };
        let rules = Rules {
            rtt: ms(random.u64(0..5)),
            bytes_per_second: maybe(&mut random, 10_000_000),
            split_bytes: maybe(&mut random, 3000),
            split_at: maybe(&mut random, 80),
            coalesce: ms(random.u64(0..3)),
            frame_bytes_max: None,
            ..Rules::new(Profile::XjForward)
        };
        let mut pair = Pair::new(rules);
        let mut sent = Vec::new();
        let mut replies = Vec::new();
        for _ in 0..random.usize(1..8) {
            for _ in 0..random.usize(1..4) {
                let piece: Vec<u8> = (0..random.usize(1..5000)).map(|_| random.u8(..)).collect();
                pair.send(&piece);
                sent.extend(piece);
                pair.run_until(pair.now + ms(random.u64(0..3)));
            }
            while pair.all_written().len() < sent.len() {
                pair.run_until(pair.now + ms(1000));
            }
            let reply = if random.bool() { 0x00 } else { 0xff };
            pair.reply(&[reply]);
            replies.push(reply);
        }
        pair.run_until(pair.now + ms(1000));
        assert_eq!(pair.all_written(), sent, "seed {seed}");
        assert_eq!(pair.all_returned(), replies, "seed {seed}");
        assert_eq!(pair.stats().requests, replies.len() as u64, "seed {seed}");
        assert!(!pair.is_over(), "seed {seed}");
    }
}
