//! One air-gap connection: its socket, its session, and the bytes in between.
//!
//! Bytes are read into a pooled buffer, the session looks at them there, and those that belong to a
//! file travel on in the very same buffer. Nothing here blocks.

use std::collections::HashMap;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpStream;
use socket2::SockRef;
use tidegate_link::Time;
use tidegate_link::receiving::Action;
use tidegate_link::receiving::Answer;
use tidegate_link::receiving::Close;
use tidegate_link::receiving::CloseHow;
use tidegate_link::receiving::FileId;
use tidegate_link::receiving::Hello;
use tidegate_link::receiving::Outcome;
use tidegate_link::receiving::ReceivingSession;
use tidegate_link::receiving::Refusal;
use tidegate_link::receiving::Token;
use tidegate_wire::Reply;

use super::Context;
use crate::buffers::BUFFER_BYTES;
use crate::buffers::Charge;
use crate::buffers::Chunk;
use crate::buffers::Part;
use crate::gaps::Gap;
use crate::ingest::Fault;
use crate::ingest::Peer;
use crate::ingest::Verdict;
use crate::keeper::SubmitJob;
use crate::status::ConnectionReport;

/// Less than this is copied, so that a full buffer is not pinned by a few bytes.
const COPY_BYTES_MAX: usize = 64 << 10;

/// Buffers one connection may fill before the others have their turn.
const BUFFERS_PER_TURN: usize = 4;

/// After the last reply of a connection its bytes are still read for so long, lest the reply be
/// lost in a reset.
const DRAIN_TIME: Duration = Duration::from_secs(3);

/// Requests of all connections together that are in memory, arriving or waiting for their outcome;
/// one alone may be as large as its own cap allows.
const REQUEST_BYTES_MAX: usize = 256 << 20;

/// At the cap, a connection that has been silent for so long makes room for a new one ...
const CROWDED_SILENCE: Duration = Duration::from_secs(5);
/// ... or for so long within a file: a gateway may hold a piece back until it has all of it.
const CROWDED_SILENCE_IN_FILE: Duration = Duration::from_secs(60);

/// One connection.
pub(crate) struct Connection {
    /// Unique over all runs.
    pub(crate) id: u64,
    pub(crate) peer: SocketAddr,
    pub(crate) socket: TcpStream,
    pub(crate) hello: Option<Arc<Hello>>,
    /// The deadline it is registered under.
    pub(crate) deadline: Option<Time>,
    /// Whether reading may bring something.
    pub(crate) is_readable: bool,
    session: ReceivingSession,
    buffer: Option<Vec<u8>>,
    filled_bytes: usize,
    taken_bytes: usize,
    parts: Vec<Part>,
    in_flight_bytes: usize,
    /// What it is charged for requests in memory, and how much of that the keeper has.
    request_bytes: usize,
    submitted_bytes: usize,
    /// Names of unfinished files, for messages.
    names: HashMap<u64, String>,
    pending_reply: Option<u8>,
    is_first_piece: bool,
    is_seal_unproven: bool,
    /// Tokens of handshakes and others, by their numbers.
    token: Option<Token>,
    drain_until: Option<Time>,
    bytes_received: u64,
    replies: u64,
    withheld: Option<String>,
}

/// How far a connection holds on to its place; who goes first comes first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Place {
    /// It is over, and only lingers until then so that its last reply is read.
    Closing { until: Time },
    /// It has never greeted; numbered in the order of arrival.
    Stranger { id: u64 },
    /// It may go after this time, unless it is heard of.
    Silent { until: Time },
}

/// How a turn of a connection ended.
pub(crate) enum Flow {
    /// It is over.
    Gone(Option<Close>),
    /// A handshake is for the edge to deal with.
    Greet(Token, Hello),
    /// Nothing more to do for now.
    Idle,
    /// There is more to do, after the others.
    More,
}

/// What the session wants after a look at the buffer.
enum Step {
    Act(Action<'static>),
    Done,
    Part,
}

impl Connection {
    pub(crate) fn new(
        id: u64,
        peer: SocketAddr,
        socket: TcpStream,
        session: ReceivingSession,
    ) -> Self {
        Self {
            id,
            peer,
            socket,
            hello: None,
            deadline: None,
            is_readable: true,
            session,
            buffer: None,
            filled_bytes: 0,
            taken_bytes: 0,
            parts: Vec::new(),
            in_flight_bytes: 0,
            request_bytes: 0,
            submitted_bytes: 0,
            names: HashMap::new(),
            pending_reply: None,
            is_first_piece: false,
            is_seal_unproven: false,
            token: None,
            drain_until: None,
            bytes_received: 0,
            replies: 0,
            withheld: None,
        }
    }

    /// When it wants to be looked at, whatever happens.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.drain_until.or_else(|| self.session.poll_timeout())
    }

    /// Whether the end of the peer would be noticed by reading; not while an answer is owed.
    pub(crate) fn wants_read(&self) -> bool {
        self.session.wants_read() || self.drain_until.is_some()
    }

    /// Whether it may be ended for another that wants its place, and from when on; `None` while it is
    /// busy. Whatever strangers send does not make them busy: the first to come is the first to go.
    pub(crate) fn place(&self) -> Option<Place> {
        if let Some(until) = self.drain_until {
            return Some(Place::Closing { until });
        }
        let silent_since = self.session.silent_since()?;
        if !self.session.has_greeted() {
            // until it was looked at once, its handshake may wait in the kernel
            let is_new = self.is_readable && self.bytes_received == 0;
            return (!is_new).then_some(Place::Stranger { id: self.id });
        }
        let is_busy = self.is_readable || self.in_flight_bytes > 0;
        let silence = match self.names.is_empty() {
            true => CROWDED_SILENCE,
            false => CROWDED_SILENCE_IN_FILE,
        };
        (!is_busy).then_some(Place::Silent { until: silent_since + silence })
    }

    /// Goes on as far as it can.
    pub(crate) fn turn(&mut self, context: &mut Context<'_>) -> Flow {
        if self.drain_until.is_some() {
            return self.drain(context);
        }
        if let Err(flow) = self.send_pending(context) {
            return flow;
        }
        for _ in 0..BUFFERS_PER_TURN {
            if let Some(flow) = self.look(context) {
                return flow;
            }
            if !self.may_read(context) {
                self.release_buffer(context);
                return Flow::Idle;
            }
            match self.fill(context) {
                Ok(true) => {}
                Ok(false) => {
                    self.release_buffer(context);
                    return Flow::Idle;
                }
                Err(flow) => return flow,
            }
        }
        Flow::More
    }

    /// A time limit may have passed.
    pub(crate) fn timeout(&mut self, context: &mut Context<'_>) -> Flow {
        match self.drain_until {
            Some(until) if context.now >= until => Flow::Gone(None),
            Some(_) => Flow::Idle,
            None => {
                self.session.handle_timeout(context.now);
                self.look(context).unwrap_or(Flow::Idle)
            }
        }
    }

    /// The socket reports an error or a close of both sides.
    pub(crate) fn failed(&mut self, context: &mut Context<'_>) -> Flow {
        self.session.handle_error(context.now);
        self.look(context).unwrap_or(Flow::Gone(None))
    }

    /// Something handed in has come out.
    pub(crate) fn outcome(
        &mut self,
        token: u64,
        verdict: Verdict,
        context: &mut Context<'_>,
    ) -> Flow {
        let Some(token) = self.token.filter(|asked| asked.as_u64() == token) else {
            return Flow::Idle;
        };
        let outcome = match verdict {
            Verdict::Accepted => Outcome::Accepted,
            Verdict::Refused(Fault::Handshake(fault)) => {
                Outcome::Refused(Refusal::Handshake(fault))
            }
            Verdict::Refused(Fault::Item { item, reason }) => {
                Outcome::Refused(Refusal::ByTarget { item, reason })
            }
            Verdict::Temporary { reason } => {
                let peer = self.peer;
                if self.withheld.is_none() {
                    context.warn(
                        "withheld",
                        format_args!("answer withheld: peer={peer} reason={reason}"),
                    );
                }
                self.withheld = Some(reason);
                Outcome::Temporary
            }
        };
        if outcome != Outcome::Temporary {
            self.withheld = None;
        }
        self.session.handle_outcome(context.now, token, outcome);
        match self.look(context) {
            Some(flow) => flow,
            None => Flow::More,
        }
    }

    /// Bytes have reached their file.
    pub(crate) fn released(&mut self, bytes: usize) {
        self.in_flight_bytes = self.in_flight_bytes.saturating_sub(bytes);
    }

    /// The keeper has let go of a request.
    pub(crate) fn request_released(&mut self, bytes: usize) {
        self.request_bytes = self.request_bytes.saturating_sub(bytes);
        self.submitted_bytes = self.submitted_bytes.saturating_sub(bytes);
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(&self) {
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }

    /// What it still holds goes back.
    pub(crate) fn end(&mut self, context: &mut Context<'_>) {
        self.parts.clear();
        self.taken_bytes = self.filled_bytes;
        self.release_buffer(context);
        // what the keeper has counts until it lets go of it
        let arriving = self.request_bytes.saturating_sub(self.submitted_bytes);
        *context.request_bytes = context.request_bytes.saturating_sub(arriving);
        context.ingest.drop_connection(self.id);
    }

    /// For status.
    pub(crate) fn report(&self) -> ConnectionReport {
        let hello = self.hello.as_deref();
        ConnectionReport {
            peer: self.peer.to_string(),
            origin: hello.map(|hello| hello.origin.as_str().to_owned()),
            stream: hello.and_then(|hello| hello.stream.clone()),
            epoch: hello.and_then(|hello| hello.epoch),
            bytes_received: self.bytes_received,
            replies: self.replies,
            withheld: self.withheld.clone(),
        }
    }

    fn may_read(&self, context: &Context<'_>) -> bool {
        let is_stalled = self.in_flight_bytes > 0
            && self.in_flight_bytes.saturating_add(BUFFER_BYTES) > context.in_flight_bytes_max;
        self.is_readable
            && self.session.wants_read()
            && self.pending_reply.is_none()
            && !is_stalled
            && context.has_memory()
    }

    /// Reads once; `Ok(false)` when the socket has nothing.
    fn fill(&mut self, context: &mut Context<'_>) -> Result<bool, Flow> {
        if self.buffer.as_ref().is_some_and(|buffer| self.filled_bytes == buffer.len()) {
            self.make_room(context);
        }
        let filled = self.filled_bytes;
        let buffer = self.buffer.get_or_insert_with(|| context.pool.take());
        let place = buffer.get_mut(filled..).unwrap_or_default();
        match self.socket.read(place) {
            Ok(0) => {
                self.session.handle_eof(context.now);
                Err(self.look(context).unwrap_or(Flow::Gone(None)))
            }
            Ok(n_read) => {
                if core::mem::take(&mut self.is_seal_unproven) {
                    context.ingest.prove(self.id);
                }
                self.filled_bytes = filled.saturating_add(n_read);
                let n_read = u64::try_from(n_read).unwrap_or(0);
                self.bytes_received = self.bytes_received.saturating_add(n_read);
                context.stats.bytes_received = context.stats.bytes_received.saturating_add(n_read);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_readable = false;
                Ok(false)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(_) => Err(self.failed(context)),
        }
    }

    /// Lets the session look at what is there; `Some` when the turn ends with it.
    fn look(&mut self, context: &mut Context<'_>) -> Option<Flow> {
        loop {
            match self.step(context.now) {
                Step::Done => return self.charge_requests(context),
                Step::Part => {}
                Step::Act(action) => {
                    if let Some(flow) = self.act(action, context) {
                        return Some(flow);
                    }
                }
            }
        }
    }

    /// Keeps the memory of all requests together within its bound.
    ///
    /// Whoever wants more is reset, not refused: there is room for it another time.
    fn charge_requests(&mut self, context: &mut Context<'_>) -> Option<Flow> {
        let held = self.session.gathered_bytes().saturating_add(self.submitted_bytes);
        let others = context.request_bytes.saturating_sub(self.request_bytes);
        let is_more = held > self.request_bytes;
        self.request_bytes = held;
        *context.request_bytes = others.saturating_add(held);
        if !is_more || others == 0 || *context.request_bytes <= REQUEST_BYTES_MAX {
            return None;
        }
        let line = format_args!(
            "connection closed: peer={} reason=requests of all connections take too much memory",
            self.peer
        );
        context.warn("memory", line);
        self.reset();
        Some(Flow::Gone(None))
    }

    fn step(&mut self, now: Time) -> Step {
        // a reply that has not left yet must not be replaced by that of a later frame
        let buffer = self.buffer.as_ref().filter(|_| self.pending_reply.is_none());
        let Some(buffer) = buffer else {
            return self.session.poll_action().map_or(Step::Done, Step::Act);
        };
        let unread = buffer.get(self.taken_bytes..self.filled_bytes).unwrap_or_default();
        let mut input = unread;
        let action = self.session.handle_bytes(now, &mut input);
        self.taken_bytes = self.filled_bytes.saturating_sub(input.len());
        match action {
            None => Step::Done,
            Some(Action::FileWrite {
                file,
                at_bytes,
                bytes: std::borrow::Cow::Borrowed(bytes),
            }) => {
                // what a call gives out is the last of what it took
                let end = self.taken_bytes;
                let start = end.saturating_sub(bytes.len());
                Part { file: file.as_u64(), at_bytes, start, end }.add_to(&mut self.parts);
                Step::Part
            }
            Some(action) => Step::Act(action.into_owned()),
        }
    }

    fn act(&mut self, action: Action<'static>, context: &mut Context<'_>) -> Option<Flow> {
        match action {
            Action::Handshake(token, hello) => {
                self.flush(context);
                self.token = Some(token);
                return Some(Flow::Greet(token, hello));
            }
            Action::FileStart { file, name } => {
                self.flush(context);
                self.is_first_piece = true;
                self.names.insert(file.as_u64(), name);
                context.ingest.start_file(self.id, file.as_u64());
            }
            Action::FileWrite { file, at_bytes, bytes } => {
                self.flush(context);
                let (start, end) = (0, bytes.len());
                let part = Part { file: file.as_u64(), at_bytes, start, end };
                self.hand_in(bytes.into_owned(), vec![part], context);
            }
            Action::FileDrop { file } => {
                self.flush(context);
                self.names.remove(&file.as_u64());
                context.ingest.drop_file(self.id, file.as_u64());
            }
            Action::PieceEnd(token, file) => self.piece_end(token, file, context),
            Action::Seal(token, seal) => {
                self.flush(context);
                self.token = Some(token);
                seal.files.iter().for_each(|file| drop(self.names.remove(&file.file.as_u64())));
                if let Some(peer) = self.as_peer() {
                    context.ingest.seal(peer, token.as_u64(), seal);
                }
            }
            Action::Submit(token, submit) => {
                self.token = Some(token);
                if let Some(peer) = self.as_peer() {
                    let bytes = submit.request.len();
                    let charge = Charge::new(bytes, self.id, context.request_released);
                    let token = token.as_u64();
                    context.ingest.submit(SubmitJob { peer, token, submit, _charge: charge });
                    self.submitted_bytes = self.submitted_bytes.saturating_add(bytes);
                    // at once: whatever comes of this turn, it will be given back
                    return self.charge_requests(context);
                }
            }
            Action::Reply(answer) => return self.reply(answer, context),
            Action::Close(close) => return Some(self.close(close, context)),
            // a new action is thought about where it is made; closing is always safe
            _ => return Some(Flow::Gone(None)),
        }
        None
    }

    fn as_peer(&self) -> Option<Peer> {
        let hello = self.hello.as_ref()?;
        Some(Peer { connection: self.id, hello: Arc::clone(hello) })
    }

    /// A piece promises nothing durable, so it is answered at once while there is room; the first
    /// of a file is answered by the thread that looks at the disk.
    fn piece_end(&mut self, token: Token, file: FileId, context: &mut Context<'_>) {
        self.flush(context);
        self.token = Some(token);
        if core::mem::take(&mut self.is_first_piece) || !context.guard.has_room() {
            let name = self.names.get(&file.as_u64()).cloned().unwrap_or_default();
            context.ingest.end_piece(self.id, file.as_u64(), token.as_u64(), name);
        } else {
            self.session.handle_outcome(context.now, token, Outcome::Accepted);
        }
    }

    fn reply(&mut self, answer: Answer, context: &mut Context<'_>) -> Option<Flow> {
        let byte = match &answer {
            Answer::Ok(to) => {
                self.is_seal_unproven = *to == tidegate_link::receiving::AnswerTo::Seal;
                context.stats.count_reply("ok", *to);
                Reply::Ok
            }
            Answer::Fail(to, refusal) => {
                context.stats.count_reply("fail", *to);
                self.log_refusal(refusal, context);
                Reply::Fail
            }
            _ => Reply::Fail,
        };
        self.replies = self.replies.saturating_add(1);
        self.pending_reply = Some(byte.byte());
        self.send_pending(context).err()
    }

    fn log_refusal(&self, refusal: &Refusal, context: &mut Context<'_>) {
        let origin = self.hello.as_ref().map_or("(none)", |hello| hello.origin.as_str());
        // damage closes the connection, and that is its log line
        if !matches!(refusal, Refusal::Damaged(_) | Refusal::Oversized { .. }) {
            let peer = self.peer;
            let line = format_args!("refused: peer={peer} origin={origin} reason={refusal}");
            context.warn(&format!("refused {}", peer.ip()), line);
        }
        context.stats.last_error = Some(format!("{} {origin}: {refusal}", self.peer));
        // only of those that have greeted, who are known to be senders
        if refusal.is_final() && self.session.identity().is_some() {
            let reason = match refusal {
                Refusal::ByTarget { reason, .. } => reason.clone(),
                other => other.to_string(),
            };
            let gap = Gap { origin: origin.to_owned(), item: refusal.item(), reason };
            context.ingest.record_gap(gap);
        }
    }

    fn send_pending(&mut self, context: &mut Context<'_>) -> Result<(), Flow> {
        let Some(byte) = self.pending_reply else {
            return Ok(());
        };
        match self.socket.write(&[byte]) {
            Ok(1) => {
                self.pending_reply = None;
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(())
            }
            Err(_) => {
                self.pending_reply = None;
                Err(self.failed(context))
            }
        }
    }

    fn close(&mut self, close: Close, context: &mut Context<'_>) -> Flow {
        match close.how {
            CloseHow::Reset => self.reset(),
            CloseHow::Finish if self.drain_until.is_none() => {
                context.log_close(self, &close);
                let _ = self.socket.shutdown(Shutdown::Write);
                self.drain_until = Some(context.now + DRAIN_TIME);
                self.taken_bytes = self.filled_bytes;
                self.parts.clear();
                return self.drain(context);
            }
            _ => {}
        }
        Flow::Gone(Some(close))
    }

    /// Reads and forgets until the peer has closed.
    fn drain(&mut self, context: &mut Context<'_>) -> Flow {
        let buffer = self.buffer.get_or_insert_with(|| context.pool.take());
        for _ in 0..BUFFERS_PER_TURN {
            match self.socket.read(buffer) {
                Ok(0) => return Flow::Gone(None),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_readable = false;
                    (self.filled_bytes, self.taken_bytes) = (0, 0);
                    self.release_buffer(context);
                    return Flow::Idle;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Flow::Gone(None),
            }
        }
        Flow::More
    }

    /// Hands the gathered parts in; unread bytes stay.
    fn flush(&mut self, context: &mut Context<'_>) {
        let parts = core::mem::take(&mut self.parts);
        let (Some(first), Some(last)) = (parts.first().copied(), parts.last().copied()) else {
            return;
        };
        let Some(mut buffer) = self.buffer.take() else { return };
        let length = last.end.saturating_sub(first.start);
        if length <= COPY_BYTES_MAX {
            let bytes = buffer.get(first.start..last.end).unwrap_or_default().to_vec();
            let moved = |part: Part| Part {
                start: part.start.saturating_sub(first.start),
                end: part.end.saturating_sub(first.start),
                ..part
            };
            self.buffer = Some(buffer);
            self.hand_in(bytes, parts.into_iter().map(moved).collect(), context);
            return;
        }
        let unread = self.taken_bytes..self.filled_bytes;
        if !unread.is_empty() {
            let mut fresh = context.pool.take();
            let bytes = buffer.get_mut(unread).unwrap_or_default();
            let (place, _) = fresh.split_at_mut(bytes.len());
            place.copy_from_slice(bytes);
            self.filled_bytes = bytes.len();
            self.buffer = Some(fresh);
        } else {
            self.filled_bytes = 0;
        }
        self.taken_bytes = 0;
        self.hand_in(buffer, parts, context);
    }

    fn hand_in(&mut self, bytes: Vec<u8>, parts: Vec<Part>, context: &mut Context<'_>) {
        let chunk = Chunk::new(bytes, context.pool, self.id, context.released);
        let charge_bytes = chunk.charge_bytes();
        self.in_flight_bytes = self.in_flight_bytes.saturating_add(charge_bytes);
        *context.total_in_flight_bytes = context.total_in_flight_bytes.saturating_add(charge_bytes);
        context.ingest.write(self.id, chunk, parts);
    }

    /// The buffer is full: hand its parts in, or move what is unread to the front.
    fn make_room(&mut self, context: &mut Context<'_>) {
        if !self.parts.is_empty() {
            self.flush(context);
        }
        if let Some(buffer) = &mut self.buffer
            && self.taken_bytes > 0
        {
            buffer.copy_within(self.taken_bytes..self.filled_bytes, 0);
            self.filled_bytes = self.filled_bytes.saturating_sub(self.taken_bytes);
            self.taken_bytes = 0;
        }
    }

    /// An idle connection holds no buffer.
    fn release_buffer(&mut self, context: &Context<'_>) {
        if self.taken_bytes == self.filled_bytes
            && self.parts.is_empty()
            && let Some(buffer) = self.buffer.take()
        {
            (self.filled_bytes, self.taken_bytes) = (0, 0);
            context.pool.put(buffer);
        }
    }
}

#[cfg(test)]
mod tests;
