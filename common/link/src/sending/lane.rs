//! One lane: a connection at a time towards one of a pipe's peers, one frame in flight.

use core::time::Duration;
use std::collections::VecDeque;

use tidegate_codec::TooLong;
use tidegate_model::Dialect;
use tidegate_model::Verdict;
use tidegate_wire::Request;
use tidegate_wire::request::HandshakeV1;
use tidegate_wire::request::HandshakeV2;
use tidegate_wire::request::keys;

use super::answer::Answer;
use super::answer::Heard;
use super::answer::handshake_trouble;
use super::answer::interpret;
use super::delivery::Delivery;
use super::delivery::FileProgress;
use super::delivery::PieceFrame;
use super::delivery::Progress;
use super::delivery::Step;
use super::delivery::payload_of;
use super::jitter::Jitter;
use super::lane_config::HandshakeForm;
use super::lane_config::LaneConfig;
use super::peers::Peers;
use super::piece_size::PieceSize;
use crate::Time;

/// What a lane wants done.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // the edge must do each of them
pub enum Command {
    /// Open a connection to this peer; answer with `handle_connected` or `handle_connect_failed`.
    Connect {
        /// Index into the pipe's peers.
        peer: usize,
    },
    /// Read what is readable and hand it in (`handle_heard`); if the lane [is still
    /// sending](Lane::is_sending), write the frame, in one write where the send buffer takes it.
    /// Then `handle_sent`.
    Send(Frame),
    /// Throw the connection away by RST: nothing more may come from it.
    Abandon,
    /// Close in order.
    Close,
    /// An item came to something.
    Outcome {
        /// The item.
        token: u64,
        /// What it came to.
        verdict: Verdict,
        /// What was heard, for logs and status.
        message: String,
    },
}

/// A frame to be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // the edge must be able to send each of them
pub enum Frame {
    /// These bytes are the payload.
    Whole(Vec<u8>),
    /// The payload is this head and bytes of the file.
    Piece(PieceFrame),
    /// The payload is the next request of [an item of several](Lane::begin_requests); once it is
    /// there, and before it leaves, [`Lane::handle_supplied`].
    Supplied {
        /// The item.
        token: u64,
    },
}

/// Where a lane stands, for `status`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // shown by name
pub enum Phase {
    /// No connection, nothing to send.
    Resting,
    /// No connection, waiting before the next call.
    Pausing,
    /// A call is under way.
    Connecting,
    /// A handshake is out.
    Greeting,
    /// Connected, nothing out.
    Ready,
    /// A frame is out.
    Awaiting,
}

/// How often what was heard.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // shown field by field
pub struct LaneCounters {
    /// Answers 00.
    pub ok: u64,
    /// Answers ff.
    pub fail: u64,
    /// Closed in order without an answer.
    pub closed: u64,
    /// Broken off without an answer.
    pub broken: u64,
    /// No answer within the time.
    pub timed_out: u64,
    /// Anything else that came back.
    pub illegal: u64,
    /// Calls made.
    pub calls: u64,
    /// Calls that led to no connection.
    pub calls_failed: u64,
}

/// One air-gap lane: frames out, one byte back.
///
/// Methods come in four kinds:
///
/// - A. getters, taking `&self`
/// - B. `handle_*`: something happened outside
/// - C. commands: [`want`](Self::want), [`begin`](Self::begin), [`withdraw`](Self::withdraw)
/// - D. `poll_*`: what the caller must do next
///
/// After every B or C, call [`poll_command`](Self::poll_command) until it is empty, then
/// [`poll_timeout`](Self::poll_timeout). A lane takes a delivery only while it is
/// [ready](Self::is_ready), so an item is opened when it can leave and not before.
///
/// Never two frames are in flight, and after anything but OK the connection is thrown away: a reply
/// that comes late then finds no connection to come back on. The one exception is a FAIL to a V2
/// handshake, which V1 may follow on the same connection.
#[derive(Debug)]
pub struct Lane {
    config: LaneConfig,
    state: State,
    peer: usize,
    wanted: bool,
    progress: Option<Progress>,
    commands: VecDeque<Command>,
    counters: LaneCounters,
    jitter: Jitter,
    /// Failures since something was last accepted.
    failures: u32,
    /// Something was accepted on the present or last connection.
    was_of_use: bool,
    /// Connections in a row that were of no use, each after a handshake that was accepted.
    n_useless: u32,
    piece_size: PieceSize,
    /// The peer closed on V2 in order: greet it with V1 at the next call.
    v1_next: bool,
    last_answer: Option<String>,
    /// Dialect and handshake of the present or last connection.
    agreed: Option<(HandshakeForm, Dialect)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Resting,
    Pausing { until: Time },
    Connecting { deadline: Time },
    Greeting { form: HandshakeForm, left: Left, deadline: Time },
    Ready { since: Time },
    Awaiting { n_bytes: Option<u32>, left: Left, deadline: Time },
}

/// How much of a frame has left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Left {
    Nothing,
    Some,
    All,
}

/// After so many connections in a row that accepted a handshake and nothing else, another peer is
/// called: one may stand behind a gateway that answers by itself. More than it takes to halve a
/// piece, which may be all that is needed.
const USELESS_MAX: u32 = 5;
/// A receiver may take this long per byte to load a sealed file: 5 MB/s, the slowest disk we know.
const LOAD_BYTES_PER_SECOND_MIN: u64 = 5_000_000;

impl Lane {
    /// A lane without a connection.
    pub fn new(config: LaneConfig) -> Self {
        assert!(config.piece_bytes > 0, "a piece holds at least a byte");
        assert!(config.first_peer < config.n_peers, "the first peer is one of the pipe's");
        Self {
            state: State::Resting,
            peer: config.first_peer,
            wanted: false,
            progress: None,
            commands: VecDeque::new(),
            counters: LaneCounters::default(),
            jitter: Jitter::new(config.seed),
            failures: 0,
            was_of_use: false,
            n_useless: 0,
            piece_size: PieceSize::new(config.piece_bytes),
            v1_next: false,
            last_answer: None,
            agreed: None,
            config,
        }
    }

    /// Whether a delivery can begin.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready { .. })
    }

    /// Whether a frame is to be written, or is being written: the bytes of an earlier
    /// [`Command::Send`] still count only as long as this holds.
    pub fn is_sending(&self) -> bool {
        let (State::Awaiting { left, .. } | State::Greeting { left, .. }) = self.state else {
            return false;
        };
        left != Left::All
    }

    /// Whether what the connection brings means anything to the lane.
    pub fn is_listening(&self) -> bool {
        matches!(self.state, State::Awaiting { .. } | State::Greeting { .. } | State::Ready { .. })
    }

    /// Where the lane stands.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Awaiting { .. } => Phase::Awaiting,
            State::Connecting { .. } => Phase::Connecting,
            State::Greeting { .. } => Phase::Greeting,
            State::Pausing { .. } => Phase::Pausing,
            State::Ready { .. } => Phase::Ready,
            State::Resting => Phase::Resting,
        }
    }

    /// The peer of the present, last or next connection.
    pub fn peer(&self) -> usize {
        self.peer
    }

    /// The handshake that the peer took and the forms that follow from it.
    pub fn agreed(&self) -> Option<(HandshakeForm, Dialect)> {
        self.agreed
    }

    /// How often what was heard.
    pub fn counters(&self) -> LaneCounters {
        self.counters
    }

    /// What went wrong last, until something is accepted.
    pub fn last_trouble(&self) -> Option<&str> {
        self.last_answer.as_deref()
    }

    /// Most data bytes in a piece at present: less than configured after repeated breaks.
    pub fn piece_bytes(&self) -> u32 {
        self.piece_size.bytes()
    }

    /// The connection that was asked for is there.
    pub fn handle_connected(&mut self, now: Time) {
        if !matches!(self.state, State::Connecting { .. }) {
            return;
        }
        let form =
            if core::mem::take(&mut self.v1_next) { HandshakeForm::V1 } else { HandshakeForm::V2 };
        self.greet(now, form);
    }

    /// The connection that was asked for could not be had.
    pub fn handle_connect_failed(&mut self, now: Time, why: &str) {
        if matches!(self.state, State::Connecting { .. }) {
            self.counters.calls_failed += 1;
            self.fail(now, format!("no connection: {why}"), NextPeer::Another);
        }
    }

    /// Bytes came back, or the connection ended.
    pub fn handle_heard(&mut self, now: Time, heard: Heard<'_>) {
        let left = match self.state {
            State::Awaiting { left, .. } | State::Greeting { left, .. } => left,
            State::Ready { .. } => Left::Nothing,
            State::Connecting { .. } | State::Pausing { .. } | State::Resting => return,
        };
        let answer = interpret(heard, left != Left::Nothing, left == Left::All);
        self.count(&answer);
        match self.state {
            State::Greeting { form, .. } => self.greeted(now, form, left, &answer),
            State::Awaiting { n_bytes, .. } => self.answered(now, n_bytes, left, &answer),
            State::Ready { since } => self.surprised(now, since, &answer),
            State::Connecting { .. } | State::Pausing { .. } | State::Resting => (),
        }
    }

    /// Bytes of the frame have left: the peer is alive.
    pub fn handle_progress(&mut self, now: Time) {
        match &mut self.state {
            State::Awaiting { left, deadline, .. } => {
                *deadline = (*deadline).max(now + self.config.reply_timeout);
                *left = Left::Some;
            }
            State::Greeting { left, .. } => *left = Left::Some,
            _ => (),
        }
    }

    /// The last byte of the frame has left.
    pub fn handle_sent(&mut self, now: Time) {
        self.handle_progress(now);
        if let State::Awaiting { left, .. } | State::Greeting { left, .. } = &mut self.state {
            *left = Left::All;
        }
    }

    /// A deadline may have passed.
    pub fn handle_timeout(&mut self, now: Time) {
        match self.state {
            State::Connecting { deadline } if deadline <= now => {
                self.counters.calls_failed += 1;
                self.abandon();
                let within = self.config.handshake_timeout.as_millis();
                self.fail(now, format!("no connection within {within} ms"), NextPeer::Another);
            }
            State::Greeting { deadline, .. } | State::Awaiting { deadline, .. }
                if deadline <= now =>
            {
                self.handle_heard(now, Heard::Silence);
            }
            State::Ready { since } if since + self.config.idle_close <= now => {
                self.commands.push_back(Command::Close);
                self.state = State::Resting;
            }
            _ => (),
        }
    }

    /// Something on our own side, a name look-up or a rate limit, holds the call or the piece up
    /// until then: the peer's time begins after it.
    pub fn handle_held_up(&mut self, until: Time) {
        match &mut self.state {
            State::Connecting { deadline } => *deadline = until + self.config.handshake_timeout,
            State::Awaiting { n_bytes: Some(_), left: Left::Nothing, deadline } => {
                *deadline = until + self.config.reply_timeout;
            }
            _ => (),
        }
    }

    /// The request that [`Frame::Supplied`] asked for is there: so long is its payload.
    pub fn handle_supplied(&mut self, now: Time, payload_bytes: u32, is_last_one: bool) {
        let State::Awaiting { n_bytes: Some(n_bytes), left: Left::Nothing, deadline } =
            &mut self.state
        else {
            return;
        };
        let Some(Progress::Requests { is_last, .. }) = &mut self.progress else { return };
        (*n_bytes, *is_last) = (payload_bytes, is_last_one);
        *deadline = now + self.config.reply_timeout;
    }

    /// Changes the time-out of all later answers.
    pub fn set_reply_timeout(&mut self, reply_timeout: Duration) {
        self.config.reply_timeout = reply_timeout;
    }

    /// Whether there is something to send over this lane.
    pub fn want(&mut self, wanted: bool) {
        self.wanted = wanted;
    }

    /// Begins a delivery.
    ///
    /// # Panics
    ///
    /// When the lane is not [ready](Self::is_ready).
    pub fn begin(&mut self, now: Time, delivery: Delivery) {
        assert!(self.is_ready(), "a delivery begins on a lane that is ready");
        let (_, dialect) = self.agreed.expect("a ready lane has agreed on a dialect");
        let token = delivery.token;
        let has_mods = delivery.mods.is_some();
        assert!(!has_mods || dialect > Dialect::V1_2, "1.2 has no form for mods");
        self.progress = Some(Progress::File(FileProgress::new(delivery, dialect)));
        if let Err(TooLong) = self.send_next(now) {
            self.progress = None;
            self.report(token, Verdict::Refused, "a name is too long for the wire".to_owned());
        }
    }

    /// Begins the delivery of an item that is one request.
    ///
    /// # Panics
    ///
    /// When the lane is not [ready](Self::is_ready).
    pub fn begin_request(&mut self, now: Time, token: u64, payload: Vec<u8>) {
        assert!(self.is_ready(), "a delivery begins on a lane that is ready");
        self.progress = Some(Progress::Request { token, payload });
        self.send_next(now).expect("a payload is ready to be sent");
    }

    /// Begins the delivery of an item that is several requests, at least one. They are supplied one
    /// by one as [`Frame::Supplied`] asks for them, and the item is accepted with the last one; if
    /// anything else comes of one of them, all of them are to be sent again.
    ///
    /// # Panics
    ///
    /// When the lane is not [ready](Self::is_ready).
    pub fn begin_requests(&mut self, now: Time, token: u64) {
        assert!(self.is_ready(), "a delivery begins on a lane that is ready");
        self.progress = Some(Progress::Requests { token, is_last: false });
        self.send_next(now).expect("what is supplied has no name");
    }

    /// Gives up a delivery whose file vanished or changed under it, without an outcome. What the
    /// peer has of it so far goes with the connection.
    pub fn withdraw(&mut self, now: Time, token: u64) {
        if self.progress.as_ref().is_some_and(|progress| progress.token() == token) {
            self.progress = None;
            self.abandon();
            self.state = State::Pausing { until: now };
        }
    }

    /// What the caller must do next.
    pub fn poll_command(&mut self, now: Time, peers: &mut Peers) -> Option<Command> {
        if let Some(command) = self.commands.pop_front() {
            return Some(command);
        }
        let may_call = match self.state {
            State::Resting => true,
            State::Pausing { until } => until <= now,
            _ => false,
        };
        if !may_call || !self.wanted {
            return None;
        }
        if let Err(until) = peers.call(self.peer, now) {
            self.state = State::Pausing { until };
            return None;
        }
        self.counters.calls += 1;
        self.state = State::Connecting { deadline: now + self.config.handshake_timeout };
        Some(Command::Connect { peer: self.peer })
    }

    /// When [`handle_timeout`](Self::handle_timeout), or [`poll_command`](Self::poll_command) after
    /// a pause, has something to do.
    pub fn poll_timeout(&self) -> Option<Time> {
        match self.state {
            State::Resting => None,
            State::Pausing { until } => self.wanted.then_some(until),
            State::Awaiting { deadline, .. }
            | State::Connecting { deadline }
            | State::Greeting { deadline, .. } => Some(deadline),
            State::Ready { since } => Some(since + self.config.idle_close),
        }
    }

    fn greet(&mut self, now: Time, form: HandshakeForm) {
        let who = &self.config.introduction;
        let epoch = who.epoch.to_string();
        let payload = match form {
            HandshakeForm::V1 => payload_of(Request::HandshakeV1(HandshakeV1::new(who.precision))),
            HandshakeForm::V2 => payload_of(Request::HandshakeV2(HandshakeV2::new(&[
                (keys::CLUSTER_ID, &who.cluster_id),
                (keys::TIMESTAMP_PRECISION, who.precision.as_str()),
                (keys::USERNAME, &who.user),
                (keys::PASSWORD, &who.password),
                (keys::TIDEGATE_SENDER, &who.sender),
                (keys::TIDEGATE_STREAM, &who.stream),
                (keys::TIDEGATE_EPOCH, &epoch),
                (keys::TIDEGATE_DIALECT, self.config.dialect.agreed(form).as_str()),
            ]))),
        };
        let payload = payload.expect("names from the configuration are far below 2 GiB");
        let deadline = now + self.config.handshake_timeout;
        self.was_of_use = false;
        self.state = State::Greeting { form, left: Left::Nothing, deadline };
        self.commands.push_back(Command::Send(Frame::Whole(payload)));
    }

    /// A handshake was answered, or not.
    fn greeted(&mut self, now: Time, form: HandshakeForm, left: Left, answer: &Answer) {
        let dialect_rule = self.config.dialect;
        match (form, answer) {
            (_, Answer::Ok) => {
                self.agreed = Some((form, dialect_rule.agreed(form)));
                self.state = State::Ready { since: now };
            }
            // Within a frame that has not left, V1 would be taken for the rest of it.
            (HandshakeForm::V2, Answer::Fail) if dialect_rule.allows_v1() && left == Left::All => {
                self.greet(now, HandshakeForm::V1);
            }
            (_, answer) => {
                self.v1_next = form == HandshakeForm::V2
                    && *answer == Answer::Closed
                    && dialect_rule.allows_v1();
                let next = if self.v1_next { NextPeer::Same } else { NextPeer::Another };
                self.abandon();
                self.fail(now, handshake_trouble(form, answer), next);
            }
        }
    }

    /// A piece, a seal or a request was answered, or not.
    fn answered(&mut self, now: Time, n_bytes: Option<u32>, left: Left, answer: &Answer) {
        let progress = self.progress.as_mut().expect("a frame in flight belongs to a delivery");
        let token = progress.token();
        if *answer != Answer::Ok {
            self.progress = None;
            if let Some(n_bytes) = n_bytes.filter(|_| left != Left::Nothing) {
                self.piece_size.lost(n_bytes, answer);
            }
            self.abandon();
            self.report(token, answer.verdict(), answer.to_string());
            let next = self.next_peer(answer);
            return self.fail(now, answer.to_string(), next);
        }
        self.was_of_use = true;
        self.n_useless = 0;
        let is_over = n_bytes.is_none_or(|n_bytes| {
            self.piece_size.passed(n_bytes);
            progress.acknowledge(n_bytes)
        });
        match is_over {
            false => {
                if let Err(TooLong) = self.send_next(now) {
                    self.withdraw(now, token);
                    self.report(token, Verdict::Refused, "a name is too long".to_owned());
                }
            }
            true => {
                if !matches!(self.progress.take(), Some(Progress::Request { .. })) {
                    self.piece_size.file_accepted();
                }
                self.failures = 0;
                self.last_answer = None;
                self.state = State::Ready { since: now };
                self.report(token, Verdict::Accepted, answer.to_string());
            }
        }
    }

    /// Something came while nothing was out: whatever it is, the connection is not to be trusted.
    fn surprised(&mut self, now: Time, since: Time, answer: &Answer) {
        self.abandon();
        let was_idle = self.was_of_use || since + self.config.handshake_timeout <= now;
        match answer {
            // A peer may close an idle connection; that is no trouble.
            Answer::Closed if was_idle => self.state = State::Resting,
            // Many do it by breaking off; once something was accepted, it is the same.
            Answer::Broken(_) if self.was_of_use => self.state = State::Resting,
            Answer::Closed => {
                let next = self.next_peer(answer);
                let trouble = "closed right after the handshake (does the gateway reach the receiver? \
                               a gateway answers by itself)";
                self.fail(now, trouble.to_owned(), next);
            }
            _ => self.fail(now, answer.to_string(), NextPeer::Same),
        }
    }

    /// Whom to call after a connection that ended once the handshake was accepted: the peer was alive
    /// a moment ago and is called again, unless that has led to nothing too often.
    fn next_peer(&mut self, answer: &Answer) -> NextPeer {
        if self.was_of_use || *answer == Answer::Fail {
            return NextPeer::Same;
        }
        self.n_useless += 1;
        if self.n_useless < USELESS_MAX {
            return NextPeer::Same;
        }
        NextPeer::Another
    }

    fn send_next(&mut self, now: Time) -> Result<(), TooLong> {
        let progress = self.progress.as_ref().expect("there is a delivery under way");
        let (frame, n_bytes, patience) = match progress.next(self.piece_size.bytes())? {
            Step::Piece(piece) => {
                let n_bytes = piece.n_bytes;
                (Frame::Piece(piece), Some(n_bytes), Duration::ZERO)
            }
            Step::Supplied => {
                let token = progress.token();
                (Frame::Supplied { token }, Some(0), Duration::ZERO)
            }
            Step::Last(payload) => {
                let load_seconds = progress.total_bytes() / LOAD_BYTES_PER_SECOND_MIN;
                (Frame::Whole(payload), None, Duration::from_secs(load_seconds))
            }
        };
        let deadline = now + self.config.reply_timeout + patience;
        self.state = State::Awaiting { n_bytes, left: Left::Nothing, deadline };
        self.commands.push_back(Command::Send(frame));
        Ok(())
    }

    /// Throws the connection away, with what was still to be written to it.
    fn abandon(&mut self) {
        self.commands.retain(|command| !matches!(command, Command::Send(_)));
        self.commands.push_back(Command::Abandon);
    }

    fn report(&mut self, token: u64, verdict: Verdict, message: String) {
        self.commands.push_back(Command::Outcome { token, verdict, message });
    }

    fn fail(&mut self, now: Time, trouble: String, next: NextPeer) {
        self.last_answer = Some(trouble);
        if next == NextPeer::Another {
            self.peer = (self.peer + 1) % self.config.n_peers;
            // What one peer made of V2 says nothing about the next.
            self.v1_next = false;
            self.n_useless = 0;
        }
        let doubled = self.config.backoff_min * 2u32.saturating_pow(self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        let pause = self.jitter.spread(doubled.min(self.config.backoff_max));
        self.state = State::Pausing { until: now + pause };
    }

    fn count(&mut self, answer: &Answer) {
        let counters = &mut self.counters;
        let counter = match answer {
            Answer::Ok => &mut counters.ok,
            Answer::Fail => &mut counters.fail,
            Answer::Closed => &mut counters.closed,
            Answer::Broken(_) => &mut counters.broken,
            Answer::TimedOut => &mut counters.timed_out,
            Answer::Illegal { .. } | Answer::Premature | Answer::Unsolicited { .. } => {
                &mut counters.illegal
            }
        };
        *counter += 1;
    }
}

/// Which peer to call next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum NextPeer {
    Another,
    Same,
}

#[cfg(test)]
mod tests;
