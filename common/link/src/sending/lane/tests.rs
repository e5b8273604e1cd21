//! The lane alone: times, and items of several requests.

use tidegate_model::Precision;

use super::super::delivery::DeliveryPart;
use super::super::lane_config::DialectRule;
use super::super::lane_config::Introduction;
use super::*;

fn at(ms: u64) -> Time {
    Time::from_micros(ms * 1000)
}

fn lane() -> (Lane, Peers) {
    let text = String::new;
    let introduction = Introduction {
        cluster_id: text(),
        precision: Precision::Ms,
        user: text(),
        password: text(),
        sender: text(),
        stream: text(),
        epoch: 1,
    };
    let lane = Lane::new(LaneConfig {
        n_peers: 1,
        first_peer: 0,
        introduction,
        dialect: DialectRule::Fixed(Dialect::V1_3),
        piece_bytes: 100,
        handshake_timeout: Duration::from_secs(5),
        reply_timeout: Duration::from_secs(9),
        idle_close: Duration::from_secs(60),
        backoff_min: Duration::from_secs(1),
        backoff_max: Duration::from_secs(1),
        seed: 1,
    });
    (lane, Peers::new(1, 10, Duration::ZERO))
}

/// A lane that is ready at 8 s.
fn ready() -> (Lane, Peers) {
    let (mut lane, mut peers) = lane();
    lane.want(true);
    while lane.poll_command(at(0), &mut peers).is_some() {}
    lane.handle_connected(at(8_000));
    while lane.poll_command(at(8_000), &mut peers).is_some() {}
    lane.handle_sent(at(8_000));
    lane.handle_heard(at(8_000), Heard::Bytes(&[0]));
    (lane, peers)
}

#[test]
fn an_item_of_several_requests_is_accepted_with_the_last_one_and_not_before() {
    let (mut lane, mut peers) = ready();
    lane.begin_requests(at(8_000), 7);
    for number in 0..3 {
        let supply = Command::Send(Frame::Supplied { token: 7 });
        assert_eq!(lane.poll_command(at(8_000), &mut peers), Some(supply));
        lane.handle_held_up(at(50_000));
        lane.handle_timeout(at(40_000));
        assert_eq!(lane.phase(), Phase::Awaiting, "it takes long to be read");
        lane.handle_supplied(at(45_000), 100, number == 2);
        assert_eq!(lane.poll_timeout(), Some(at(54_000)));
        lane.handle_sent(at(45_000));
        lane.handle_heard(at(45_000), Heard::Bytes(&[0]));
    }
    let outcome = lane.poll_command(at(45_000), &mut peers);
    let Some(Command::Outcome { token: 7, verdict: Verdict::Accepted, .. }) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(lane.is_ready());
}

#[test]
fn an_item_of_several_requests_of_which_one_is_refused_is_refused_whole() {
    let (mut lane, mut peers) = ready();
    lane.begin_requests(at(8_000), 7);
    for answer in [0, 0xff] {
        while lane.poll_command(at(8_000), &mut peers).is_some() {}
        lane.handle_supplied(at(8_000), 100, false);
        lane.handle_sent(at(8_000));
        lane.handle_heard(at(8_000), Heard::Bytes(&[answer]));
    }
    assert_eq!(lane.poll_command(at(8_000), &mut peers), Some(Command::Abandon));
    let outcome = lane.poll_command(at(8_000), &mut peers);
    let Some(Command::Outcome { token: 7, verdict: Verdict::Refused, .. }) = outcome else {
        panic!("{outcome:?}");
    };
}

/// A request that no frame can hold was never answered: it timed out, and all began anew.
#[test]
fn an_item_of_which_a_request_cannot_be_made_is_withdrawn_and_the_next_one_leaves() {
    let (mut lane, mut peers) = ready();
    lane.begin_requests(at(8_000), 7);
    let supply = Command::Send(Frame::Supplied { token: 7 });
    assert_eq!(lane.poll_command(at(8_000), &mut peers), Some(supply));
    lane.withdraw(at(8_000), 7);
    assert_eq!(lane.poll_command(at(8_000), &mut peers), Some(Command::Abandon));
    // Without an outcome: whoever withdraws it knows.
    assert_eq!(lane.poll_command(at(8_000), &mut peers), Some(Command::Connect { peer: 0 }));
    lane.handle_connected(at(9_000));
    while lane.poll_command(at(9_000), &mut peers).is_some() {}
    lane.handle_sent(at(9_000));
    lane.handle_heard(at(9_000), Heard::Bytes(&[0]));
    lane.begin_requests(at(9_000), 8);
    let supply = Command::Send(Frame::Supplied { token: 8 });
    assert_eq!(lane.poll_command(at(9_000), &mut peers), Some(supply));
}

#[test]
fn what_holds_us_up_on_our_own_side_is_not_taken_from_the_time_of_the_peer() {
    let (mut lane, mut peers) = lane();
    lane.want(true);
    assert_eq!(lane.poll_command(at(0), &mut peers), Some(Command::Connect { peer: 0 }));
    lane.handle_held_up(at(60_000));
    lane.handle_timeout(at(7_000));
    assert_eq!(lane.phase(), Phase::Connecting, "the look-up takes long");
    lane.handle_held_up(at(7_000));
    assert_eq!(lane.poll_timeout(), Some(at(12_000)));
    lane.handle_connected(at(8_000));
    while lane.poll_command(at(8_000), &mut peers).is_some() {}
    lane.handle_sent(at(8_000));
    lane.handle_heard(at(8_000), Heard::Bytes(&[0]));
    let ts_file = DeliveryPart { name: "7-1-0-0.tsfile".to_owned(), length_bytes: 100 };
    lane.begin(at(8_000), Delivery { token: 1, mods: None, ts_file, database: None });
    lane.handle_held_up(at(50_000));
    lane.handle_timeout(at(40_000));
    assert_eq!(lane.phase(), Phase::Awaiting, "the rate limit says later");
    lane.handle_sent(at(50_000));
    assert_eq!(lane.poll_timeout(), Some(at(59_000)));
    lane.handle_heard(at(50_001), Heard::Bytes(&[0]));
    let seal = lane.poll_timeout();
    lane.handle_held_up(at(90_000));
    assert_eq!(lane.poll_timeout(), seal, "a seal has its own time for loading");
}
