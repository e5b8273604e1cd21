//! One run: both state machines, the gateway between them and a clock that jumps, in one thread.
//!
//! Everything follows from the seed. The promises that are watched while it runs:
//!
//! 1. whenever the sender takes an item for accepted, the receiver that answered holds it durably,
//!    byte for byte, deletions included;
//! 2. once the faults have ended, everything is delivered within a bound;
//! 3. whatever a receiver commits equals one item of the source, and nothing is committed again
//!    after the sender's cursor has passed it; within one run of the sender a fenced item is
//!    committed once;
//! 4. per region, first commits come in the order of the items; and on fenced streams no item is
//!    committed at a receiver after a later one was accepted there;
//! 5. a receiver writes at most one byte for each frame that began to arrive, and none after the
//!    time for which it may withhold one;
//! 6. a seed gives the same trace each time;
//! 7. no peer is called more often in a minute than allowed, no run spins, and in the end no
//!    connection is left on either side;
//! 8. V1 goes only to a peer that answered V2 with ff or an orderly close just before.
//!
//! Fenced are streams that never speak V1, which carries no stream. Two receivers that know nothing
//! of each other cannot fence each other, so the second half of 4 holds for each of them alone.
//!
//! What the wire cannot promise: a surplus byte that comes after the next frame has left is that
//! frame's answer, as far as anyone can tell. The gateway here never does that: its surplus bytes
//! come before the next frame, and its late bytes on connections that are gone.

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BinaryHeap;
use std::collections::HashMap;

use fastrand::Rng;
use tidegate_link::Time;
use tidegate_link::receiving::Token;
use tidegate_link::sending::DialectRule;
use tidegate_model::Dialect;
use tidegate_source::Record;
use tidegate_wire::frame::Wrap;

use crate::faults::Broken;
use crate::faults::Fault;
use crate::faults::Faults;
use crate::gateway::End;
use crate::gateway::Link;
use crate::items::Items;
use crate::receiver::Receiver;
use crate::sender::Sender;
use crate::trace::Trace;

/// What is fixed for a whole run.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) n_lanes: usize,
    /// Peer to receiver: several gateways may lead to one receiver.
    pub(crate) behind: Vec<usize>,
    pub(crate) peers_kind: Vec<PeerKind>,
    /// A peer that never gets a connection through; never the only one.
    pub(crate) dead_peer: Option<usize>,
    pub(crate) rule: DialectRule,
    /// The dead peer answers each greeting with 00 and closes in order, and does nothing else.
    pub(crate) dead_peer_greets: bool,
    pub(crate) accept_v1: bool,
    pub(crate) wrap: Wrap,
    pub(crate) piece_bytes: u32,
    pub(crate) round_trip: Duration,
    pub(crate) reply_timeout: Duration,
    pub(crate) calls_per_minute_max: usize,
    pub(crate) call_interval_min: Duration,
}

/// What answers behind a gateway.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PeerKind {
    /// Takes V2.
    Tidegate,
    /// Answers ff to V2, as IoTDB 1.2 does.
    FailsV2,
    /// Closes on V2.
    ClosesOnV2,
}

impl Setup {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let n_peers = [1, 1, 2, 3][rng.usize(0..4)];
        let apart = rng.bool();
        let rules = [
            DialectRule::Auto(Dialect::V1_2),
            DialectRule::Fixed(Dialect::V1_2),
            DialectRule::Auto(Dialect::V1_3),
            DialectRule::Fixed(Dialect::V1_3),
            DialectRule::Auto(Dialect::V2_0),
            DialectRule::Auto(Dialect::V2_0),
        ];
        let rule = rules[rng.usize(0..rules.len())];
        let mut setup = Self {
            n_lanes: rng.usize(1..=3),
            behind: (0..n_peers).map(|peer| if apart { peer } else { 0 }).collect(),
            peers_kind: vec![PeerKind::Tidegate; n_peers],
            dead_peer: Some(rng.usize(0..9)).filter(|peer| n_peers > 1 && *peer < n_peers),
            dead_peer_greets: rng.u8(0..4) == 0,
            rule,
            accept_v1: true,
            wrap: if rng.u8(0..4) == 0 { Wrap::ELanguage } else { Wrap::None },
            piece_bytes: rng.u32(16..200),
            round_trip: Duration::from_micros([100, 2_000, 50_000, 1_500_000][rng.usize(0..4)]),
            reply_timeout: Duration::from_secs([20, 90, 900][rng.usize(0..3)]),
            calls_per_minute_max: [2, 6, 30][rng.usize(0..3)],
            call_interval_min: Duration::from_secs(rng.u64(0..3)),
        };
        if !setup.is_fenced() {
            let kinds = [PeerKind::Tidegate, PeerKind::FailsV2, PeerKind::ClosesOnV2];
            let kind = kinds[rng.usize(0..3)];
            setup.peers_kind.fill(kind);
            setup.accept_v1 = kind != PeerKind::Tidegate || rng.bool();
        }
        setup
    }

    /// Whether every connection says which stream it carries.
    pub(crate) fn is_fenced(&self) -> bool {
        !matches!(self.rule, DialectRule::Auto(Dialect::V1_2) | DialectRule::Fixed(Dialect::V1_2))
    }

    /// How long after the last fault everything must be through. A connection that a fault killed
    /// is noticed after a reply time-out at the latest; then the next one must be had, which the
    /// limit on calls may put off for each lane and each dead peer.
    fn patience(&self, items: &Items) -> Duration {
        let frames = 6 * (items.n_frames(self.piece_bytes) + 20) as u32;
        let calls = 1 + (6 * self.n_lanes * self.behind.len() / self.calls_per_minute_max) as u32;
        3 * self.reply_timeout
            + Duration::from_secs(1200)
            + frames * (self.round_trip + Duration::from_millis(50))
            + calls * Duration::from_secs(60)
    }
}

/// Something that happens at a time.
#[derive(Debug)]
pub(crate) enum Event {
    /// A call was answered by the gateway, or not.
    Called { link: usize, accepted: bool },
    /// What the gateway holds towards the receiver is due.
    Forward { link: usize },
    /// What the gateway holds towards the sender is due.
    Backward { link: usize },
    /// The sender's loop looks at a connection.
    Readable { link: usize },
    /// The sender's socket takes more of a frame.
    Write { lane: usize, link: usize },
    /// The gateway cuts a connection.
    Cut { link: usize },
    /// A surplus byte arrives, if the connection is still idle.
    Surplus { link: usize, byte: u8, n_frames: usize },
    /// The receiver's disk is done with a piece or handshake.
    Taken { receiver: usize, life: u32, link: usize, token: Token },
    /// The receiver's writer is done with a commit.
    Commit { receiver: usize, life: u32, job: u64 },
    /// A killed sender starts again.
    StartSender,
    /// A killed receiver starts again.
    StartReceiver { receiver: usize },
    /// More files appear.
    NextBatch,
}

#[derive(Debug)]
struct Due {
    at: Time,
    number: u64,
    event: Event,
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) hash: u64,
    pub(crate) steps: u64,
    pub(crate) n_items: usize,
    pub(crate) seen: [u32; Fault::ALL.len()],
}

/// Everything in one run.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) rng: Rng,
    pub(crate) setup: Setup,
    pub(crate) faults: Faults,
    pub(crate) broken: Broken,
    pub(crate) trace: Trace,
    pub(crate) items: Items,
    pub(crate) batch: usize,
    pub(crate) links: Vec<Link>,
    pub(crate) sender: Option<Sender>,
    pub(crate) receivers: Vec<Receiver>,
    /// What survives the sender.
    pub(crate) epoch: u64,
    pub(crate) journal: Vec<Record>,
    pub(crate) cursor_passed: Vec<bool>,
    /// Per region and receiver: one past the last item that the sender took for accepted there.
    pub(crate) accepted: Vec<Vec<usize>>,
    /// Per region: how many items have been committed for the first time anywhere.
    pub(crate) first_commits: Vec<usize>,
    /// Wire name to item.
    pub(crate) by_name: HashMap<String, usize>,
    /// Ordered crash: at this step, of the sender (true) or of receiver 0.
    pub(crate) crash_at: Option<(u64, bool)>,
    steps: u64,
    done_at: Option<Time>,
    violation: Option<String>,
    events: BinaryHeap<Reverse<Due>>,
    n_events: u64,
}

/// A run with more steps is a livelock: the longest ones take a twentieth of it.
const STEPS_MAX: u64 = 400_000;
/// After everything is through, zombies get this long to come back.
const AFTERMATH: Duration = Duration::from_secs(3600);

impl World {
    /// The run of a seed.
    pub(crate) fn of_seed(seed: u64, broken: Broken, prints: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let setup = Setup::draw(&mut rng);
        let faults = Faults::draw(&mut rng);
        let n_items = match rng.u32(0..200) {
            0 => rng.usize(100..400),
            1..20 => rng.usize(20..60),
            _ => rng.usize(3..16),
        };
        let n_regions = rng.usize(1..=4);
        let items = Items::draw(&mut rng, n_items, n_regions, setup.piece_bytes);
        Self::new(rng, setup, faults, items, broken, Trace::new(prints))
    }

    pub(crate) fn new(
        mut rng: Rng,
        setup: Setup,
        faults: Faults,
        items: Items,
        broken: Broken,
        trace: Trace,
    ) -> Self {
        let n_receivers = setup.behind.iter().max().map_or(0, |last| last + 1);
        let receivers = (0..n_receivers).map(|_| Receiver::new(&setup)).collect();
        let mut world = Self {
            now: Time::default() + Duration::from_micros(rng.u64(0..1_000_000)),
            rng,
            setup,
            faults,
            broken,
            trace,
            batch: 0,
            links: Vec::new(),
            sender: None,
            receivers,
            epoch: 0,
            journal: Vec::new(),
            cursor_passed: vec![false; items.list.len()],
            accepted: vec![vec![0; n_receivers]; items.n_regions],
            first_commits: vec![0; items.n_regions],
            by_name: HashMap::new(),
            items,
            crash_at: None,
            steps: 0,
            done_at: None,
            violation: None,
            events: BinaryHeap::new(),
            n_events: 0,
        };
        world.start_sender();
        world
    }

    /// Runs to the end; `Err` says which promise was broken.
    pub(crate) fn run(mut self) -> Result<Report, String> {
        while self.step() {}
        if self.violation.is_none() {
            self.check_end();
        }
        match self.violation {
            Some(violation) => Err(format!("{} {violation}", self.now)),
            None => Ok(Report {
                hash: self.trace.hash(),
                steps: self.steps,
                n_items: self.items.list.len(),
                seen: self.faults.seen,
            }),
        }
    }

    /// Something that must never happen has happened.
    pub(crate) fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    pub(crate) fn at(&mut self, at: Time, event: Event) {
        self.n_events += 1;
        self.events.push(Reverse(Due { at, number: self.n_events, event }));
    }

    pub(crate) fn strikes(&mut self, fault: Fault) -> bool {
        let strikes = self.faults.strikes(&mut self.rng, self.now, fault);
        if strikes {
            self.trace.say(self.now, format_args!("FAULT {fault:?}"));
        }
        strikes
    }

    /// A random time between nothing and `most`.
    pub(crate) fn up_to(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.rng.u64(0..=most.as_micros() as u64))
    }

    /// Half a round trip, more or less.
    pub(crate) fn one_way(&mut self) -> Duration {
        let half = self.setup.round_trip / 2;
        half + self.up_to(half / 8)
    }

    fn step(&mut self) -> bool {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            self.violate(format!("spins: {STEPS_MAX} steps"));
        }
        if let Some((step, of_sender)) = self.crash_at
            && step == self.steps
        {
            self.faults.note(self.now, Fault::CrashSender);
            if of_sender { self.crash_sender() } else { self.crash_receiver(0) }
        }
        self.drive_sender();
        self.watch_progress();
        if self.violation.is_some() {
            return false;
        }
        let timer = self.next_timer();
        let event = self.events.peek().map(|Reverse(due)| due.at);
        let (Some(next), by_timer) = (match (timer, event) {
            (Some(timer), Some(event)) if timer < event => (Some(timer), true),
            (Some(timer), None) => (Some(timer), true),
            (_, event) => (event, false),
        }) else {
            return false;
        };
        if self.done_at.is_some_and(|done| next > done + AFTERMATH) {
            return false;
        }
        self.now = self.now.max(next);
        if by_timer {
            self.handle_timers();
        } else if let Some(Reverse(due)) = self.events.pop() {
            self.handle_event(due.event);
            self.maybe_crash();
        }
        true
    }

    fn handle_event(&mut self, event: Event) {
        match event {
            Event::Called { link, accepted } => self.handle_called(link, accepted),
            Event::Forward { link } => self.deliver_forward(link),
            Event::Backward { link } => self.deliver_backward(link),
            Event::Readable { link } => self.handle_readable(link),
            Event::Write { lane, link } => self.write_on(lane, link),
            Event::Cut { link } => self.cut(link),
            Event::Surplus { link, byte, n_frames } => self.deliver_surplus(link, byte, n_frames),
            Event::Taken { receiver, life, link, token } => {
                self.handle_taken(receiver, life, link, token);
            }
            Event::Commit { receiver, life, job } => self.handle_commit(receiver, life, job),
            Event::StartSender => self.start_sender(),
            Event::StartReceiver { receiver } => self.receivers[receiver].up = true,
            Event::NextBatch => self.next_batch(),
        }
    }

    fn maybe_crash(&mut self) {
        if self.done_at.is_some() {
            return;
        }
        if self.sender.is_some() && self.strikes(Fault::CrashSender) {
            self.crash_sender();
        }
        let receiver = self.rng.usize(0..self.receivers.len());
        if self.receivers[receiver].up && self.strikes(Fault::CrashReceiver) {
            self.crash_receiver(receiver);
        }
        if self.strikes(Fault::GatewayRestart) {
            let peer = self.rng.usize(0..self.setup.behind.len());
            for link in 0..self.links.len() {
                if self.links[link].peer == peer {
                    self.cut(link);
                }
            }
        }
    }

    fn next_timer(&mut self) -> Option<Time> {
        let sender = self.sender.as_ref().and_then(|sender| sender.poll_timeout(self.now));
        let receivers = self.receivers.iter().filter_map(Receiver::poll_timeout).min();
        sender.into_iter().chain(receivers).min()
    }

    fn handle_timers(&mut self) {
        self.sender_timeouts();
        for receiver in 0..self.receivers.len() {
            self.receiver_timeouts(receiver);
        }
    }

    /// Notices when everything is through, and when that takes too long.
    fn watch_progress(&mut self) {
        if self.done_at.is_some() {
            return;
        }
        let mut visible = self.items.list.iter().zip(&self.cursor_passed);
        if visible.all(|(item, passed)| *passed || item.batch > self.batch) {
            if self.batch == 0 {
                self.batch = 1; // from now on `start_sender` finds them, too
                let idle = self.up_to(Duration::from_secs(200));
                self.at(self.now + idle, Event::NextBatch);
            } else if self.cursor_passed.iter().all(|passed| *passed) {
                self.trace.note(self.now, "all through", 0, 0);
                self.done_at = Some(self.now);
            }
        }
        let patience = self.setup.patience(&self.items);
        if self.done_at.is_none() && self.now > self.faults.last_at + patience {
            let missing = self.cursor_passed.iter().filter(|passed| !**passed).count();
            self.violate(format!(
                "stuck: {missing} items missing {} s after the last fault",
                patience.as_secs()
            ));
        }
    }

    fn check_end(&mut self) {
        if self.done_at.is_none() {
            self.violate("ended before everything was through: nothing left to wait for".into());
        }
        for (region, n_committed) in self.first_commits.clone().into_iter().enumerate() {
            let n_items = self.items.list.iter().filter(|item| item.region == region).count();
            if n_committed != n_items {
                self.violate(format!("region {region}: {n_committed} of {n_items} arrived"));
            }
        }
        for receiver in 0..self.receivers.len() {
            let held = &self.receivers[receiver].accepted_here;
            let lost = held.iter().find(|item| !self.receivers[receiver].holds(**item)).copied();
            if let Some(item) = lost {
                self.violate(format!("item {item} was accepted and is gone from {receiver}"));
            }
        }
        let open: Vec<usize> =
            (0..self.links.len()).filter(|&link| self.links[link].inner_open).collect();
        if !open.is_empty() {
            self.violate(format!("idle connections are never closed: {open:?}"));
        }
        if self.receivers.iter().any(Receiver::has_connections) {
            self.violate("the receiver keeps connections that nobody uses".into());
        }
    }

    /// Closes of either side, as bytes on the wire would be.
    pub(crate) fn draw_end(&mut self) -> End {
        if self.rng.bool() { End::Fin } else { End::Rst }
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
