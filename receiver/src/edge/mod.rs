//! The event loop: one thread owns the listener, every connection and every timer.
//!
//! No call here touches the file system, waits for a lock held over I/O, or sleeps. Work for disks
//! goes out through [`Ingest`]; what comes back arrives as [`EdgeMessage`] with a wake-up.

mod connection;
mod listener;

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use std::time::Instant;

use mio::Events;
use mio::Interest;
use mio::Poll;
use mio::net::TcpListener;
use slab::Slab;
use tidegate_config::AllowList;
use tidegate_daemon::rate_limit::RateLimited;
use tidegate_daemon::rate_limit::Verdict as LogVerdict;
use tidegate_daemon::supervise::Fatal;
use tidegate_link::Time;
use tidegate_link::receiving::AnswerTo;
use tidegate_link::receiving::Close;
use tidegate_link::receiving::CloseReason;
use tidegate_link::receiving::Hello;
use tidegate_link::receiving::ReceivingConfig;
use tidegate_link::receiving::ReceivingSession;
use tidegate_link::receiving::Token;

use crate::buffers::Pool;
use crate::buffers::Released;
use crate::disk::DiskGuard;
use crate::ingest::Deferred;
use crate::ingest::Greeting;
use crate::ingest::Ingest;
use crate::ingest::Peer;
use crate::status::EdgeReport;

use connection::Connection;
use connection::Flow;
pub(crate) use listener::bind;

pub(crate) const TOKEN_WAKER: mio::Token = mio::Token(0);
const TOKEN_LISTENER: mio::Token = mio::Token(1);
/// Connections are numbered from here.
const TOKEN_FIRST: usize = 2;

/// Bytes in flight of all connections together.
const TOTAL_IN_FLIGHT_BYTES_MAX: usize = 40 << 20;
/// A turn of the loop that takes longer is counted, and counted once more if the loop itself was at
/// work for so long: then it was not merely kept waiting for a processor.
const SLOW_TURN: Duration = Duration::from_millis(50);
/// Log lines of one kind in a minute.
const LINES_PER_MINUTE: u32 = 30;
/// Pause before the next accept when descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// Messages taken in one turn.
const MESSAGES_PER_TURN: usize = 4096;
const EVENTS: usize = 256;

/// What other threads tell the loop.
pub(crate) enum EdgeMessage {
    /// How things stand.
    Ask(SyncSender<EdgeReport>),
    /// Something handed in has come out.
    Outcome(Deferred),
    /// Bytes of files of a connection have left memory.
    Released(u64, usize),
    /// A request of a connection has left memory.
    RequestReleased(u64, usize),
    /// Changed keys.
    Settings(Settings),
    /// End in order.
    Stop,
}

/// How other threads reach the loop: leaves a message and wakes it.
pub(crate) type Tell = Arc<dyn Fn(EdgeMessage) + Send + Sync>;

/// The keys the loop works by.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) session: Arc<ReceivingConfig>,
    pub(crate) allow_list: AllowList,
    pub(crate) connections_max: usize,
    pub(crate) in_flight_bytes_max: usize,
}

/// What the loop is given to work with.
pub(crate) struct EdgePorts {
    pub(crate) poll: Poll,
    pub(crate) messages: Receiver<EdgeMessage>,
    pub(crate) fatals: Receiver<Fatal>,
    pub(crate) ingest: Ingest,
    pub(crate) pool: Arc<Pool>,
    pub(crate) released: Released,
    pub(crate) request_released: Released,
    pub(crate) guard: Arc<DiskGuard>,
}

/// Why the loop ended.
pub(crate) enum Ended {
    /// A thread failed.
    Fatal(Fatal),
    /// It was asked to; here the threads say what fails while they end.
    InOrder(Receiver<Fatal>),
}

/// The loop's state.
pub(crate) struct Edge {
    ports: EdgePorts,
    settings: Settings,
    listener: Option<TcpListener>,
    is_listener_ready: bool,
    accept_again: Option<Time>,
    connections: Slab<Connection>,
    by_id: HashMap<u64, usize>,
    deadlines: BTreeSet<(Time, usize)>,
    /// Connections with more to do; a key that is none only keeps the loop from sleeping.
    ready: VecDeque<usize>,
    /// Received and not yet written, all connections together.
    total_in_flight_bytes: usize,
    /// Requests in memory, all connections together.
    request_bytes: usize,
    started: Instant,
    /// The upper half of connection ids, different in each run.
    run: u64,
    next_connection: u64,
    stats: Stats,
    log: RateLimited,
}

/// Numbers since the start.
#[derive(Default)]
pub(crate) struct Stats {
    pub(crate) bytes_received: u64,
    pub(crate) last_error: Option<String>,
    accepted: u64,
    refused: u64,
    slow_turns: u64,
    busy_turns: u64,
    replies: HashMap<(&'static str, AnswerTo), u64>,
}

impl Stats {
    /// A reply left.
    pub(crate) fn count_reply(&mut self, byte: &'static str, to: AnswerTo) {
        let count = self.replies.entry((byte, to)).or_default();
        *count = count.saturating_add(1);
    }
}

/// What a connection may use during its turn.
pub(crate) struct Context<'e> {
    pub(crate) now: Time,
    pub(crate) ingest: &'e Ingest,
    pub(crate) pool: &'e Arc<Pool>,
    pub(crate) released: &'e Released,
    pub(crate) request_released: &'e Released,
    pub(crate) guard: &'e DiskGuard,
    pub(crate) stats: &'e mut Stats,
    pub(crate) in_flight_bytes_max: usize,
    pub(crate) total_in_flight_bytes: &'e mut usize,
    pub(crate) request_bytes: &'e mut usize,
    log: &'e mut RateLimited,
}

impl Context<'_> {
    /// Whether all connections together leave room for another buffer.
    pub(crate) fn has_memory(&self) -> bool {
        *self.total_in_flight_bytes < TOTAL_IN_FLIGHT_BYTES_MAX
    }

    /// A warning, unless too many of its kind were written this minute.
    pub(crate) fn warn(&mut self, kind: &str, line: fmt::Arguments<'_>) {
        warn(self.log, kind, line);
    }

    /// The one line about the end of a connection.
    pub(crate) fn log_close(&mut self, connection: &Connection, close: &Close) {
        let peer = connection.peer;
        let reason = &close.reason;
        match reason {
            CloseReason::PeerClosed => tracing::debug!(%peer, "connection closed by the peer"),
            _ => {
                self.stats.last_error = Some(format!("{peer}: {reason}"));
                let kind = format!("closed {}", peer.ip());
                self.warn(&kind, format_args!("connection closed: peer={peer} reason={reason}"));
            }
        }
    }
}

/// What this thread has had of a processor.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    // it counts up from zero
    Duration::try_from(time).unwrap_or_default()
}

fn warn(log: &mut RateLimited, kind: &str, line: fmt::Arguments<'_>) {
    match log.admit(Instant::now(), kind) {
        LogVerdict::HoldBack => {}
        LogVerdict::Write { n_held_back: 0 } => tracing::warn!("{line}"),
        LogVerdict::Write { n_held_back } => {
            tracing::warn!("{line} (and {n_held_back} like it not shown)");
        }
    }
}

impl Edge {
    /// A loop over `listener`, if there is one.
    pub(crate) fn new(
        ports: EdgePorts,
        settings: Settings,
        mut listener: Option<TcpListener>,
        run: u32,
    ) -> io::Result<Self> {
        if let Some(listener) = &mut listener {
            let registry = ports.poll.registry();
            registry.register(listener, TOKEN_LISTENER, Interest::READABLE)?;
        }
        Ok(Self {
            ports,
            settings,
            listener,
            is_listener_ready: true,
            accept_again: None,
            connections: Slab::new(),
            by_id: HashMap::new(),
            deadlines: BTreeSet::new(),
            ready: VecDeque::new(),
            total_in_flight_bytes: 0,
            request_bytes: 0,
            started: Instant::now(),
            run: u64::from(run) << 32,
            next_connection: 0,
            stats: Stats::default(),
            log: RateLimited::new(LINES_PER_MINUTE),
        })
    }

    /// Runs until it is asked to end or a thread fails.
    pub(crate) fn run(mut self) -> io::Result<Ended> {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            match self.ports.poll.poll(&mut events, self.sleep_time()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                outcome => outcome?,
            }
            let (turn, worked) = (Instant::now(), processor_time());
            for event in &events {
                self.take_event(event);
            }
            if let Ok(fatal) = self.ports.fatals.try_recv() {
                self.reset_all();
                return Ok(Ended::Fatal(fatal));
            }
            if self.take_messages() {
                self.reset_all();
                return Ok(Ended::InOrder(self.ports.fatals));
            }
            self.take_deadlines();
            self.tell_held_back();
            self.accept();
            for _ in 0..self.ready.len() {
                if let Some(key) = self.ready.pop_front() {
                    self.turn(key);
                }
            }
            if turn.elapsed() > SLOW_TURN {
                self.stats.slow_turns = self.stats.slow_turns.saturating_add(1);
                if processor_time().saturating_sub(worked) > SLOW_TURN {
                    self.stats.busy_turns = self.stats.busy_turns.saturating_add(1);
                }
            }
        }
    }

    fn now(&self) -> Time {
        Time::from_micros(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn sleep_time(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let first = self.deadlines.first().map(|(deadline, _)| *deadline);
        let due = first.into_iter().chain(self.accept_again).min();
        let due = due.map(|due| due.since(self.now()));
        let told = self.log.due().map(|due| due.saturating_duration_since(Instant::now()));
        // poll rounds down to whole milliseconds; one more keeps it from spinning before the time
        Some(due.into_iter().chain(told).min()? + Duration::from_millis(1))
    }

    fn take_event(&mut self, event: &mio::event::Event) {
        match event.token() {
            TOKEN_WAKER => {}
            TOKEN_LISTENER => self.is_listener_ready = true,
            mio::Token(number) => {
                let key = number.saturating_sub(TOKEN_FIRST);
                let Some(connection) = self.connections.get_mut(key) else { return };
                connection.is_readable = true;
                let is_dead =
                    event.is_error() || (event.is_read_closed() && event.is_write_closed());
                if is_dead && !(event.is_readable() && connection.wants_read()) {
                    let flow = self.with(key, Connection::failed);
                    self.follow(key, flow);
                } else {
                    self.ready.push_back(key);
                }
            }
        }
    }

    /// `true` when it is time to end.
    fn take_messages(&mut self) -> bool {
        for _ in 0..MESSAGES_PER_TURN {
            let Ok(message) = self.ports.messages.try_recv() else {
                return false;
            };
            match message {
                EdgeMessage::Ask(reply) => {
                    let _ = reply.try_send(self.report());
                }
                EdgeMessage::Outcome(deferred) => {
                    if let Some(key) = self.by_id.get(&deferred.connection).copied() {
                        let Deferred { token, verdict, .. } = deferred;
                        let flow =
                            self.with(key, |it, context| it.outcome(token, verdict, context));
                        self.follow(key, flow);
                    }
                }
                EdgeMessage::Released(connection, bytes) => self.released(connection, bytes),
                EdgeMessage::RequestReleased(connection, bytes) => {
                    self.request_bytes = self.request_bytes.saturating_sub(bytes);
                    let key = self.by_id.get(&connection);
                    if let Some(it) = key.and_then(|key| self.connections.get_mut(*key)) {
                        it.request_released(bytes);
                    }
                }
                EdgeMessage::Settings(settings) => self.settings = settings,
                EdgeMessage::Stop => return true,
            }
        }
        // the rest comes first in the next turn, which must not sleep
        self.ready.push_back(usize::MAX);
        false
    }

    fn released(&mut self, connection: u64, bytes: usize) {
        let is_full = |in_flight_bytes| in_flight_bytes >= TOTAL_IN_FLIGHT_BYTES_MAX;
        let was_full = is_full(self.total_in_flight_bytes);
        self.total_in_flight_bytes = self.total_in_flight_bytes.saturating_sub(bytes);
        if let Some(key) = self.by_id.get(&connection).copied() {
            if let Some(connection) = self.connections.get_mut(key) {
                connection.released(bytes);
            }
            self.ready.push_back(key);
        }
        // only now: while there is no room, each of them would look in vain at every release
        if was_full && !is_full(self.total_in_flight_bytes) {
            self.ready.extend(self.by_id.values().copied());
        }
    }

    fn take_deadlines(&mut self) {
        let now = self.now();
        if self.accept_again.is_some_and(|due| due <= now) {
            self.accept_again = None;
            self.is_listener_ready = true;
        }
        while let Some((_, key)) = self.deadlines.first().copied().filter(|(due, _)| *due <= now) {
            self.deadlines.pop_first();
            if let Some(connection) = self.connections.get_mut(key) {
                connection.deadline = None;
                let flow = self.with(key, Connection::timeout);
                self.follow(key, flow);
            }
        }
    }

    /// Says which lines were held back, once their minute is over.
    fn tell_held_back(&mut self) {
        let now = Instant::now();
        if self.log.due().is_some_and(|due| due <= now) {
            for (kind, n_held_back) in self.log.sweep(now) {
                tracing::warn!(n_held_back, "more of: {kind}");
            }
        }
    }

    fn turn(&mut self, key: usize) {
        if self.connections.contains(key) {
            let flow = self.with(key, Connection::turn);
            self.follow(key, flow);
        }
    }

    /// Runs `what` on a connection with everything it may use.
    fn with(
        &mut self,
        key: usize,
        what: impl FnOnce(&mut Connection, &mut Context<'_>) -> Flow,
    ) -> Flow {
        let now = self.now();
        let Some(connection) = self.connections.get_mut(key) else {
            return Flow::Idle;
        };
        let mut context = Context {
            now,
            ingest: &self.ports.ingest,
            pool: &self.ports.pool,
            released: &self.ports.released,
            request_released: &self.ports.request_released,
            guard: &self.ports.guard,
            stats: &mut self.stats,
            in_flight_bytes_max: self.settings.in_flight_bytes_max,
            total_in_flight_bytes: &mut self.total_in_flight_bytes,
            request_bytes: &mut self.request_bytes,
            log: &mut self.log,
        };
        what(connection, &mut context)
    }

    /// Does what a connection's turn has left to the edge.
    fn follow(&mut self, key: usize, flow: Flow) {
        match flow {
            Flow::Gone(close) => self.remove(key, close),
            Flow::Greet(token, hello) => self.greet(key, token, hello),
            Flow::Idle => self.set_deadline(key),
            Flow::More => {
                self.set_deadline(key);
                self.ready.push_back(key);
            }
        }
    }

    fn set_deadline(&mut self, key: usize) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let next = connection.next_deadline();
        if connection.deadline != next {
            if let Some(old) = connection.deadline {
                self.deadlines.remove(&(old, key));
            }
            connection.deadline = next;
            if let Some(next) = next {
                self.deadlines.insert((next, key));
            }
        }
    }

    /// A handshake: older connections of the same stream or pipe end before it is even compared.
    fn greet(&mut self, key: usize, token: Token, hello: Hello) {
        let Some(id) = self.connections.get(key).map(|connection| connection.id) else { return };
        if hello.stream.is_some() {
            let is_older = |other: &Connection| {
                other.id != id && other.hello.as_ref().is_some_and(|it| hello.ends(it))
            };
            let older: Vec<usize> = self
                .connections
                .iter()
                .filter(|(_, other)| is_older(other))
                .map(|(key, _)| key)
                .collect();
            for key in older {
                if let Some(connection) = self.connections.get(key) {
                    connection.reset();
                    let peer = connection.peer;
                    let verdict = self.log.admit(Instant::now(), "older connection dropped");
                    if let LogVerdict::Write { n_held_back } = verdict {
                        let more = (n_held_back > 0).then_some(n_held_back);
                        tracing::info!(%peer, more, "older connection of the same stream dropped");
                    }
                }
                self.remove(key, None);
            }
        }
        let hello = Arc::new(hello);
        if let Some(connection) = self.connections.get_mut(key) {
            connection.hello = Some(Arc::clone(&hello));
            let (peer, form) = (connection.peer, hello.form);
            let (origin, precision) = (&hello.origin, hello.precision);
            tracing::debug!(%peer, %origin, %precision, %form, "handshake");
        }
        let peer = Peer { connection: id, hello };
        self.ports.ingest.greet(Greeting { peer, token: token.as_u64() });
        self.set_deadline(key);
    }

    fn remove(&mut self, key: usize, close: Option<Close>) {
        let _ = self.with(key, |connection, context| {
            connection.end(context);
            if let Some(close) = &close {
                context.log_close(connection, close);
            }
            Flow::Idle
        });
        let Some(mut connection) = self.connections.try_remove(key) else { return };
        let _ = self.ports.poll.registry().deregister(&mut connection.socket);
        self.by_id.remove(&connection.id);
        if let Some(deadline) = connection.deadline {
            self.deadlines.remove(&(deadline, key));
        }
        if self.accept_again.is_some() {
            self.is_listener_ready = true;
        }
    }

    fn reset_all(&mut self) {
        self.listener = None;
        for (_, connection) in &mut self.connections {
            connection.reset();
        }
        self.connections.clear();
    }

    fn add(&mut self, mut socket: mio::net::TcpStream, peer: std::net::SocketAddr) {
        let session = ReceivingSession::new(self.now(), Arc::clone(&self.settings.session));
        let entry = self.connections.vacant_entry();
        let key = entry.key();
        let token = mio::Token(key.saturating_add(TOKEN_FIRST));
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.ports.poll.registry().register(&mut socket, token, interest) {
            warn(&mut self.log, "register", format_args!("cannot watch a connection: {error}"));
            return;
        }
        self.next_connection = self.next_connection.saturating_add(1);
        let id = self.run | self.next_connection;
        entry.insert(Connection::new(id, peer, socket, session));
        self.by_id.insert(id, key);
        self.stats.accepted = self.stats.accepted.saturating_add(1);
        tracing::debug!(%peer, "connection accepted");
        self.set_deadline(key);
        self.ready.push_back(key);
    }

    fn report(&self) -> EdgeReport {
        let address = self.listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let replies = self.stats.replies.iter();
        EdgeReport {
            listening: address.map(|address| address.to_string()),
            connections: self.connections.iter().map(|(_, it)| it.report()).collect(),
            connections_accepted: self.stats.accepted,
            connections_refused: self.stats.refused,
            replies: replies
                .map(|((byte, to), count)| (format!("{byte}.{}", to.as_str()), *count))
                .collect(),
            bytes_received: self.stats.bytes_received,
            in_flight_bytes: self.total_in_flight_bytes,
            slow_turns: self.stats.slow_turns,
            busy_turns: self.stats.busy_turns,
            last_error: self.stats.last_error.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
