//! The sender's edge: sockets, files and the cursor journal around `Source` and `Lane`.

use core::time::Duration;
use std::collections::VecDeque;

use tidegate_link::Time;
use tidegate_link::sending::Command;
use tidegate_link::sending::Delivery;
use tidegate_link::sending::DeliveryPart;
use tidegate_link::sending::Frame;
use tidegate_link::sending::Heard;
use tidegate_link::sending::Introduction;
use tidegate_link::sending::Lane;
use tidegate_link::sending::LaneConfig;
use tidegate_link::sending::Peers;
use tidegate_link::sending::Phase;
use tidegate_model::Dialect;
use tidegate_model::Precision;
use tidegate_model::Verdict;
use tidegate_source::Departed;
use tidegate_source::Effect;
use tidegate_source::ItemKind;
use tidegate_source::Outcome;
use tidegate_source::Source;
use tidegate_source::SourceConfig;
use tidegate_source::Stall;
use tidegate_source::Token;
use tidegate_wire::Payload;
use tidegate_wire::Request;
use tidegate_wire::frame::encode_frame;
use tidegate_wire::request::FilePiece;

use crate::faults::Broken;
use crate::faults::Fault;
use crate::gateway::End;
use crate::world::Event;
use crate::world::World;

/// Idle connections are closed after this.
pub(crate) const IDLE_CLOSE: Duration = Duration::from_secs(60);

/// One run of the sender's process.
#[derive(Debug)]
pub(crate) struct Sender {
    source: Source,
    lanes: Vec<LaneEdge>,
    peers: Peers,
    /// Calls of the last minute, per peer.
    calls: Vec<VecDeque<Time>>,
}

#[derive(Debug)]
struct LaneEdge {
    lane: Lane,
    link: Option<usize>,
    /// What is still to be written of the frame.
    out: Vec<u8>,
    current: Option<Current>,
    /// Items of this lane that have not left.
    n_unsent: usize,
    next_token: u64,
    /// Per peer: whether V2 was answered by ff or an orderly close there, so that V1 may follow.
    may_greet_v1: Vec<bool>,
}

/// The item under way.
#[derive(Clone, Debug)]
struct Current {
    lane_token: u64,
    source_token: Token,
    item: usize,
    mods_carried: bool,
}

impl Sender {
    pub(crate) fn poll_timeout(&self, now: Time) -> Option<Time> {
        let lanes = self.lanes.iter().filter_map(|edge| edge.lane.poll_timeout()).min();
        // A stream may be free to send while its lane is not.
        let source = self.source.poll_timeout().filter(|due| *due > now);
        lanes.into_iter().chain(source).min()
    }
}

impl World {
    pub(crate) fn start_sender(&mut self) {
        self.epoch += 1;
        self.trace.note(self.now, "sender starts", 0, self.epoch);
        let mut source = Source::new(SourceConfig::default());
        for record in &self.journal {
            source.load(record.clone());
        }
        source.handle_scan(self.now, &self.items.scan(self.batch));
        let n_peers = self.setup.behind.len();
        let limit = match self.broken {
            Broken::CallsWithoutLimit => usize::MAX,
            _ => self.setup.calls_per_minute_max,
        };
        let lanes = (0..self.setup.n_lanes).map(|lane| self.lane_edge(lane, n_peers)).collect();
        self.sender = Some(Sender {
            source,
            lanes,
            peers: Peers::new(n_peers, limit, self.setup.call_interval_min),
            calls: vec![VecDeque::new(); n_peers],
        });
        self.keep_effects();
    }

    fn lane_edge(&mut self, lane: usize, n_peers: usize) -> LaneEdge {
        let config = LaneConfig {
            n_peers,
            first_peer: lane % n_peers,
            introduction: Introduction {
                cluster_id: "source".into(),
                precision: Precision::Ms,
                user: "root".into(),
                password: "root".into(),
                sender: "sender".into(),
                stream: format!("pipe/{lane}"),
                epoch: self.epoch,
            },
            dialect: self.setup.rule,
            piece_bytes: self.setup.piece_bytes,
            handshake_timeout: Duration::from_secs(5),
            reply_timeout: self.setup.reply_timeout,
            idle_close: IDLE_CLOSE,
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(30),
            seed: self.rng.u64(..),
        };
        LaneEdge {
            lane: Lane::new(config),
            link: None,
            out: Vec::new(),
            current: None,
            n_unsent: self.count_unsent(lane),
            next_token: 0,
            may_greet_v1: vec![false; n_peers],
        }
    }

    fn count_unsent(&self, lane: usize) -> usize {
        let unsent = self.items.list.iter().zip(&self.cursor_passed).filter(|(item, passed)| {
            !**passed && item.batch <= self.batch && item.region % self.setup.n_lanes == lane
        });
        unsent.count()
    }

    /// More files are there. A sender that is down will find them when it starts.
    pub(crate) fn next_batch(&mut self) {
        let scan = self.items.scan(self.batch);
        for lane in 0..self.setup.n_lanes {
            let n_unsent = self.count_unsent(lane);
            if let Some(sender) = &mut self.sender {
                sender.lanes[lane].n_unsent = n_unsent;
            }
        }
        if let Some(sender) = &mut self.sender {
            sender.source.handle_scan(self.now, &scan);
        }
        self.keep_effects();
    }

    /// kill -9: the kernel closes the sockets.
    pub(crate) fn crash_sender(&mut self) {
        let Some(sender) = self.sender.take() else { return };
        self.trace.note(self.now, "sender killed", 0, self.epoch);
        for link in sender.lanes.iter().filter_map(|edge| edge.link) {
            let end = self.draw_end();
            self.gateway_inner_gone(link, end);
        }
        let pause = self.up_to(Duration::from_secs(30));
        self.at(self.now + pause, Event::StartSender);
    }

    pub(crate) fn sender_timeouts(&mut self) {
        let Some(sender) = &mut self.sender else { return };
        for edge in &mut sender.lanes {
            if edge.lane.poll_timeout().is_some_and(|due| due <= self.now) {
                edge.lane.handle_timeout(self.now);
            }
        }
    }

    /// Does everything that the lanes want done now.
    pub(crate) fn drive_sender(&mut self) {
        for lane in 0..self.setup.n_lanes {
            loop {
                let Some(sender) = &mut self.sender else { return };
                let edge = &mut sender.lanes[lane];
                edge.lane.want(edge.n_unsent > 0);
                if let Some(command) = edge.lane.poll_command(self.now, &mut sender.peers) {
                    self.obey(lane, command);
                } else if !self.begin_next(lane) {
                    break;
                }
            }
        }
    }

    /// Begins the next item of a lane that is ready.
    fn begin_next(&mut self, lane: usize) -> bool {
        let n_lanes = self.setup.n_lanes;
        let Some(sender) = &mut self.sender else { return false };
        let edge = &mut sender.lanes[lane];
        if !edge.lane.is_ready() {
            return false;
        }
        let of_lane = |region: u32| region as usize % n_lanes == lane;
        let item = sender.source.poll_item(self.now, |region| of_lane(region.region));
        let Some(item) = item else { return false };
        let ItemKind::File(file) = &item.kind else { panic!("only files are known") };
        let at = self.items.by_identity[&file.identity];
        let model = &self.items.list[at];
        let name = file.wire_name();
        let dialect = edge.lane.agreed().expect("a ready lane has agreed").1;
        let seen = self.items.mods_seen(at).filter(|seen| seen.travels_in(dialect));
        let mods = seen.map(|seen| {
            let name = format!("{name}{}", seen.kind.suffix());
            DeliveryPart { name, length_bytes: seen.length_bytes }
        });
        edge.next_token += 1;
        let current = Current {
            lane_token: edge.next_token,
            source_token: item.token,
            item: at,
            mods_carried: mods.is_some(),
        };
        let delivery = Delivery {
            token: current.lane_token,
            mods,
            ts_file: DeliveryPart { name: name.clone(), length_bytes: model.bytes.len() as u64 },
            database: (dialect == Dialect::V2_0).then(|| model.place.region.database.to_string()),
        };
        edge.current = Some(current);
        edge.lane.begin(self.now, delivery);
        self.trace.note(self.now, "item begins", lane, at as u64);
        assert_eq!(*self.by_name.entry(name).or_insert(at), at, "wire names are unique");
        true
    }

    fn obey(&mut self, lane: usize, command: Command) {
        match command {
            Command::Connect { peer } => self.call(lane, peer),
            Command::Send(frame) => self.send(lane, frame),
            Command::Abandon => self.hang_up(lane, End::Rst),
            Command::Close => self.hang_up(lane, End::Fin),
            Command::Outcome { token, verdict, message } => {
                self.trace.say(self.now, format_args!("lane {lane}: {message}"));
                self.handle_verdict(lane, token, verdict, message);
            }
        }
    }

    fn edge(&mut self, lane: usize) -> &mut LaneEdge {
        &mut self.sender.as_mut().expect("the sender runs").lanes[lane]
    }

    fn call(&mut self, lane: usize, peer: usize) {
        let (now, limit) = (self.now, self.setup.calls_per_minute_max);
        let interval_min = self.setup.call_interval_min;
        let calls = &mut self.sender.as_mut().expect("the sender runs").calls[peer];
        let too_soon = calls.back().is_some_and(|last| now.since(*last) < interval_min);
        calls.push_back(now);
        while calls.front().is_some_and(|call| now.since(*call) >= Duration::from_secs(60)) {
            calls.pop_front();
        }
        if calls.len() > limit || too_soon {
            let n_calls = calls.len();
            self.violate(format!("peer {peer} was called {n_calls} times in a minute"));
        }
        let open = self.edge(lane).link;
        if open.is_some() {
            self.violate(format!("lane {lane} calls while it has a connection"));
        }
        let link = self.gateway_call(peer, lane);
        self.edge(lane).link = Some(link);
        self.trace.note(now, "call", link, peer as u64);
    }

    pub(crate) fn handle_called(&mut self, link: usize, accepted: bool) {
        let now = self.now;
        let Some(lane) = self.lane_of(link) else { return };
        self.trace.note(now, "called", link, u64::from(accepted));
        let edge = self.edge(lane);
        if accepted {
            edge.lane.handle_connected(now);
        } else {
            edge.link = None;
            edge.lane.handle_connect_failed(now, "refused");
            self.links[link].inner_open = false;
        }
    }

    /// The lane whose present connection this is.
    fn lane_of(&self, link: usize) -> Option<usize> {
        let lane = self.links[link].lane;
        let edge = &self.sender.as_ref()?.lanes[lane];
        (edge.link == Some(link)).then_some(lane)
    }

    /// Whether the connection is up with nothing out.
    pub(crate) fn is_idle(&self, link: usize) -> bool {
        self.lane_of(link).is_some_and(|lane| {
            let sender = self.sender.as_ref().expect("the lane was just found");
            sender.lanes[lane].lane.phase() == Phase::Ready
        })
    }

    fn send(&mut self, lane: usize, frame: Frame) {
        let link = self.edge(lane).link.expect("a frame is sent on a connection");
        if let Some(surplus) = self.links[link].surplus.take() {
            self.links[link].readable.push(surplus);
            self.at(self.now, Event::Readable { link });
        }
        if self.broken != Broken::WritesWithoutReading {
            self.read(lane, link);
        }
        if !self.edge(lane).lane.is_sending() {
            return;
        }
        let payload = self.payload(lane, frame);
        self.check_greeting(lane, link, &payload);
        let wrap = self.setup.wrap;
        let edge = self.edge(lane);
        edge.out.clear();
        encode_frame(&payload, wrap, &mut edge.out).expect("frames of the test are small");
        if edge.current.is_some() && self.strikes(Fault::Withdraw) {
            return self.withdraw(lane);
        }
        let start = self.links[link].written;
        self.links[link].frame_starts.push(start);
        self.write_on(lane, link);
    }

    /// Promise 8: what may be greeted with V1.
    fn check_greeting(&mut self, lane: usize, link: usize, payload: &[u8]) {
        let peer = self.links[link].peer;
        let may = &mut self.edge(lane).may_greet_v1[peer];
        let is_v1 = payload.starts_with(&[1, 0, 1]);
        let is_v2 = payload.starts_with(&[1, 0, 51]);
        let surprise = is_v1 && !*may;
        *may &= !is_v1 && !is_v2;
        if surprise {
            self.violate(format!("V1 goes to peer {peer}, which did not turn V2 down"));
        }
    }

    fn payload(&mut self, lane: usize, frame: Frame) -> Vec<u8> {
        let piece = match frame {
            Frame::Whole(payload) => return payload,
            Frame::Piece(piece) => piece,
            Frame::Supplied { .. } => panic!("the pair has no items of several requests"),
        };
        let current = self.edge(lane).current.clone().expect("a piece belongs to an item");
        assert_eq!(current.lane_token, piece.token, "a piece names the item under way");
        let item = &self.items.list[current.item];
        let bytes = match piece.from_mods {
            true => item.mods.as_deref().expect("mods are sent only where there are some"),
            false => &item.bytes,
        };
        let start = usize::try_from(piece.offset).expect("small");
        let data = &bytes[start..start + piece.n_bytes as usize];
        let request = FilePiece {
            kind: piece.kind,
            file_name: &piece.name,
            offset: piece.offset.cast_signed(),
            data,
        };
        let mut payload = Vec::new();
        Payload::from(Request::FilePiece(request)).encode(&mut payload).expect("small");
        payload
    }

    /// Writes the next part of the frame.
    pub(crate) fn write_on(&mut self, lane: usize, link: usize) {
        let now = self.now;
        if self.lane_of(link) != Some(lane) {
            return;
        }
        let edge = self.edge(lane);
        if !edge.lane.is_sending() || edge.out.is_empty() {
            edge.out.clear();
            return;
        }
        let n_out = edge.out.len();
        let n_bytes = match self.rng.u8(0..16) {
            0 => self.rng.usize(1..=n_out),
            1 => 4.min(n_out),
            _ => n_out,
        };
        let edge = self.edge(lane);
        let rest = edge.out.split_off(n_bytes);
        let part = core::mem::replace(&mut edge.out, rest);
        let whole = edge.out.is_empty();
        if whole {
            edge.lane.handle_sent(now)
        } else {
            edge.lane.handle_progress(now)
        }
        if self.links[link].spoiled {
            self.violate(format!(
                "a frame leaves on connection {link}, which is not to be trusted"
            ));
        }
        self.trace.note(now, "write", link, part.len() as u64);
        self.gateway_forward(link, part, whole);
        if !whole {
            if self.strikes(Fault::EarlyOk) {
                self.links[link].readable.push(0);
                self.handle_readable(link);
            }
            let pause = self.up_to(Duration::from_millis(20)) + Duration::from_micros(1);
            self.at(now + pause, Event::Write { lane, link });
        }
    }

    /// The loop looks at a connection that has something to read.
    pub(crate) fn handle_readable(&mut self, link: usize) {
        if let Some(lane) = self.lane_of(link) {
            return self.read(lane, link);
        }
        if self.broken == Broken::HearsOldConnections && self.sender.is_some() {
            let bytes = core::mem::take(&mut self.links[link].readable);
            let (lane, now) = (self.links[link].lane, self.now);
            if !bytes.is_empty() {
                self.edge(lane).lane.handle_heard(now, Heard::Bytes(&bytes));
            }
        }
    }

    /// Hands in everything that can be read.
    fn read(&mut self, lane: usize, link: usize) {
        let now = self.now;
        while self.lane_of(link) == Some(lane) {
            if self.edge(lane).lane.phase() == Phase::Connecting {
                return; // a socket under way is not read
            }
            let broken = self.broken;
            let edge = self.edge(lane);
            let is_waiting = matches!(edge.lane.phase(), Phase::Awaiting | Phase::Greeting);
            let is_waiting = is_waiting && !edge.lane.is_sending();
            let is_greeted = is_waiting && edge.lane.phase() == Phase::Greeting;
            let it = &mut self.links[link];
            let peer = it.peer;
            if !it.readable.is_empty() {
                let mut bytes = core::mem::take(&mut it.readable);
                let is_v1_next = bytes == [0xff] && is_greeted;
                it.spoiled |= (bytes != [0] || !is_waiting) && !is_v1_next;
                if broken == Broken::ReadsOneByte {
                    bytes.truncate(1);
                }
                let edge = self.edge(lane);
                edge.may_greet_v1[peer] |= is_v1_next;
                edge.lane.handle_heard(now, Heard::Bytes(&bytes));
                self.trace.note(now, "heard", link, u64::from(bytes[0]));
            } else if let Some(end) = it.readable_end.take() {
                it.spoiled = true;
                self.trace.note(now, "heard end", link, end as u64);
                let heard = match end {
                    End::Fin => Heard::Eof,
                    End::Rst => Heard::Broken("reset"),
                };
                let edge = self.edge(lane);
                edge.may_greet_v1[peer] |= end == End::Fin && edge.lane.phase() == Phase::Greeting;
                edge.lane.handle_heard(now, heard);
            } else {
                return;
            }
        }
    }

    fn hang_up(&mut self, lane: usize, end: End) {
        let edge = self.edge(lane);
        edge.out.clear();
        if let Some(link) = edge.link.take() {
            self.trace.note(self.now, "hang up", link, end as u64);
            self.gateway_inner_gone(link, end);
        }
    }

    /// The file cannot be read on: it is looked for anew.
    fn withdraw(&mut self, lane: usize) {
        let (now, scan) = (self.now, self.items.scan(self.batch));
        let edge = self.edge(lane);
        let current = edge.current.take().expect("an item is under way");
        edge.lane.withdraw(now, current.lane_token);
        let source = &mut self.sender.as_mut().expect("the sender runs").source;
        source.handle_stall(now, current.source_token, Stall::Moved);
        source.handle_scan(now, &scan);
        self.keep_effects();
    }

    fn handle_verdict(&mut self, lane: usize, token: u64, verdict: Verdict, message: String) {
        let now = self.now;
        self.trace.note(now, "verdict", lane, verdict as u64);
        let edge = self.edge(lane);
        let link = edge.link;
        let current = edge.current.take().expect("an outcome names an item under way");
        assert_eq!(current.lane_token, token, "an outcome names the item under way");
        if verdict == Verdict::Accepted {
            let link = link.expect("an OK comes on a connection");
            self.check_accepted(current.item, current.mods_carried, link);
            if self.strikes(Fault::CrashSenderBeforeCursor) {
                return self.crash_sender();
            }
        }
        let mods = self.items.mods_seen(current.item);
        let verdict = match self.broken {
            Broken::CursorBeforeOk => Verdict::Accepted,
            _ => verdict,
        };
        let departed = Departed { mods, mods_carried: current.mods_carried, ..Departed::default() };
        let outcome = Outcome::bare(verdict, message);
        let source = &mut self.sender.as_mut().expect("the sender runs").source;
        source.handle_outcome(now, current.source_token, &outcome, departed);
        self.keep_effects();
        if verdict == Verdict::Accepted {
            self.cursor_passed[current.item] = true;
            let edge = self.edge(lane);
            edge.n_unsent = edge.n_unsent.saturating_sub(1); // only broken rules make it overflow
        }
    }

    /// Makes durable what the source wants to be.
    fn keep_effects(&mut self) {
        let Some(sender) = &mut self.sender else { return };
        let mut n_effects = 0;
        while let Some(effect) = sender.source.poll_effect() {
            n_effects += 1;
            if let Effect::Cursor(record) = effect
                && self.broken != Broken::CursorInMemory
            {
                self.journal.push(record);
            }
        }
        sender.source.handle_durable(n_effects);
    }

    /// Promise 1: what is accepted is there.
    fn check_accepted(&mut self, item: usize, mods_carried: bool, link: usize) {
        let receiver = self.setup.behind[self.links[link].peer];
        if !self.receivers[receiver].holds_form(item, mods_carried) {
            self.violate(format!("false acknowledgement: item {item} is not at {receiver}"));
        }
        self.receivers[receiver].accepted_here.push(item);
        let model = &self.items.list[item];
        let passed = &mut self.accepted[model.region][receiver];
        *passed = (*passed).max(model.order + 1);
    }
}
