//! The gateway with real sockets: one thread, one mio loop, a heap of deadlines. Decides nothing
//! about bytes; it moves them between sockets and [`Crossing`]s, and resets what it is told to.

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BinaryHeap;
use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Instant;

use mio::Events;
use mio::Interest;
use mio::Poll;
use mio::Registry;
use mio::Token;
use mio::Waker;
use mio::event::Event as Readiness;
use mio::net::TcpListener;
use mio::net::TcpStream;
use slab::Slab;
use socket2::SockRef;

use super::core::Action;
use super::core::Crossing;
use super::device::Device;
use super::device::Watched;
use super::record::Event;
use super::record::Stats;
use super::rules::Config;

/// Starts a gateway on a thread of its own. It accepts from the moment this returns.
pub fn spawn(config: Config) -> io::Result<Handle> {
    start(config, None)
}

/// As [`spawn`]; `observer` is told every event, on the gateway's thread.
pub fn spawn_observed(config: Config, observer: Observer) -> io::Result<Handle> {
    start(config, Some(observer))
}

/// Who is told what happens.
pub struct Observer(Box<dyn FnMut(&Event) + Send>);

impl Observer {
    /// Calls `tell` for every event.
    pub fn new(tell: impl FnMut(&Event) + Send + 'static) -> Self {
        Self(Box::new(tell))
    }
}

fn start(config: Config, observer: Option<Observer>) -> io::Result<Handle> {
    let mut listener = TcpListener::bind(config.listen)?;
    let addr = listener.local_addr()?;
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let (commands, inbox) = mpsc::channel();
    let watched = if observer.is_some() { Watched::Yes } else { Watched::No };
    let edge = Edge {
        device: Device::new(config.rules, watched),
        target: config.target,
        listener,
        accept_at: None,
        poll,
        inbox,
        links: Slab::new(),
        deadlines: BinaryHeap::new(),
        hot: Vec::new(),
        scratch: vec![0; SCRATCH_BYTES],
        started: Instant::now(),
        observer,
    };
    let thread =
        std::thread::Builder::new().name("gateway-sim".to_owned()).spawn(move || edge.run())?;
    Ok(Handle { addr, commands, waker, thread: Some(thread) })
}

/// A running gateway. Dropping it stops it.
pub struct Handle {
    addr: SocketAddr,
    commands: mpsc::Sender<Command>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<io::Result<Stats>>>,
}

impl Handle {
    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The counters now: all that a peer has seen happen is in them.
    pub fn stats(&self) -> io::Result<Stats> {
        let (reply, answer) = mpsc::channel();
        self.command(Command::Stats(reply))?;
        answer.recv().map_err(|_| gone())
    }

    /// Cuts all connections and refuses new ones for `down`.
    pub fn restart(&self, down: Duration) -> io::Result<()> {
        self.command(Command::Restart(down))
    }

    /// Resets all connections, stops, and returns the last counters.
    pub fn stop(mut self) -> io::Result<Stats> {
        self.command(Command::Stop)?;
        self.join()
    }

    /// Whether it still runs: only an error of the system ends it before [`stop`](Self::stop).
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    fn command(&self, command: Command) -> io::Result<()> {
        self.commands.send(command).map_err(|_| gone())?;
        self.waker.wake()
    }

    fn join(&mut self) -> io::Result<Stats> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(stats)) => stats,
            Some(Err(_)) | None => Err(gone()),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.thread.is_some() && self.command(Command::Stop).is_ok() {
            // Nobody is left to tell an error to.
            let _ = self.join();
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("the gateway thread has ended")
}

enum Command {
    Restart(Duration),
    Stats(mpsc::Sender<Stats>),
    Stop,
}

struct Edge {
    device: Device,
    target: SocketAddr,
    listener: TcpListener,
    /// When to accept again after the system refused to.
    accept_at: Option<Duration>,
    poll: Poll,
    inbox: mpsc::Receiver<Command>,
    links: Slab<Link>,
    /// (time, key, number): the number tells a connection from a later one under the same key.
    deadlines: BinaryHeap<Reverse<(Duration, usize, u64)>>,
    /// Connections that used up their share of a turn and have more to do.
    hot: Vec<usize>,
    scratch: Vec<u8>,
    started: Instant,
    observer: Option<Observer>,
}

impl Edge {
    fn run(mut self) -> io::Result<Stats> {
        let mut events = Events::with_capacity(256);
        loop {
            let patience = self.patience();
            if patience == Some(Duration::ZERO) && self.hot.is_empty() {
                std::thread::yield_now();
            }
            match self.poll.poll(&mut events, patience) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            }
            for key in std::mem::take(&mut self.hot) {
                self.pump(key);
            }
            for readiness in &events {
                match readiness.token() {
                    LISTENER => self.accept(),
                    WAKER => {
                        if self.obey() == Flow::Stop {
                            self.publish();
                            return Ok(self.device.stats().clone());
                        }
                    }
                    Token(token) => {
                        let key = (token - FIRST_LINK) / 2;
                        if let Some(link) = self.links.get_mut(key) {
                            link.note_readiness(&self.device, token, readiness);
                            self.pump(key);
                        }
                    }
                }
            }
            self.keep_time();
            self.publish();
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// How long to wait for sockets. The system call counts in milliseconds; with a round trip to
    /// imitate the rest is spent awake, or an RTT of 1 ms would become 2.
    fn patience(&self) -> Option<Duration> {
        if !self.hot.is_empty() {
            return Some(Duration::ZERO);
        }
        let first = self.deadlines.peek().map(|Reverse((at, ..))| *at);
        let times = [first, self.device.poll_timeout(), self.accept_at];
        let at = times.into_iter().flatten().min()?;
        let left = at.saturating_sub(self.now());
        if self.device.rules().rtt.is_zero() {
            Some(left)
        } else {
            Some(Duration::from_millis(u64::try_from(left.as_millis()).unwrap_or(u64::MAX)))
        }
    }

    fn keep_time(&mut self) {
        let now = self.now();
        if self.device.handle_time(now) {
            self.cut_all();
        }
        if self.accept_at.is_some_and(|at| at <= now) {
            self.accept_at = None;
            self.accept();
        }
        while let Some(&Reverse((at, key, number))) = self.deadlines.peek() {
            if self.now() < at {
                break;
            }
            self.deadlines.pop();
            if let Some(link) = self.links.get_mut(key)
                && link.crossing.number() == number
            {
                if link.armed == Some(at) {
                    link.armed = None;
                }
                self.pump(key);
            }
        }
    }

    fn obey(&mut self) -> Flow {
        while let Ok(command) = self.inbox.try_recv() {
            match command {
                Command::Restart(down) => {
                    let now = self.now();
                    self.device.handle_restart(now, down);
                    self.cut_all();
                }
                Command::Stats(reply) => {
                    // Who asked may have stopped waiting.
                    let _ = reply.send(self.device.stats().clone());
                }
                Command::Stop => {
                    for (_, link) in &self.links {
                        link.set_reset_on_close();
                    }
                    return Flow::Stop;
                }
            }
        }
        Flow::Continue
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return,
                    ErrorKind::ConnectionAborted | ErrorKind::Interrupted => (),
                    _ => {
                        // Out of descriptors or memory: the backlog stays, and so must we.
                        self.accept_at = Some(self.now() + ACCEPT_PAUSE);
                        return;
                    }
                },
            }
        }
    }

    fn admit(&mut self, mut stream: TcpStream, peer: SocketAddr) {
        let now = self.now();
        let Ok(number) = self.device.handle_arrival(now, peer) else {
            reset_on_close(&stream);
            return;
        };
        // Fails only on a socket that is dead already, which the first read will tell.
        let _ = stream.set_nodelay(true);
        let entry = self.links.vacant_entry();
        let key = entry.key();
        let token = Token(FIRST_LINK + 2 * key);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let mut crossing = Crossing::new(&self.device, now, number);
        if self.poll.registry().register(&mut stream, token, interest).is_err() {
            crossing.handle_inner_reset(&self.device);
        }
        entry.insert(Link {
            crossing,
            inner: Port { stream, readable: false, writable: false },
            outer: None,
            armed: None,
        });
        self.pump(key);
    }

    /// Moves what can be moved on one connection, for a bounded number of rounds.
    fn pump(&mut self, key: usize) {
        for _ in 0..ROUNDS {
            let now = self.now();
            let Some(link) = self.links.get_mut(key) else {
                return;
            };
            let device = &mut self.device;
            link.crossing.handle_time(device, now);
            while let Some(action) = link.crossing.poll_action(device, now) {
                let token = Token(FIRST_LINK + 2 * key + 1);
                let call_outer = || Port::connect(self.poll.registry(), self.target, token);
                if link.act(action, device, now, call_outer) == Flow::Stop {
                    self.links.remove(key);
                    return;
                }
            }
            let moved = [
                link.read_inner(device, now),
                link.write_outer(device, now),
                link.read_outer(device, now, &mut self.scratch),
                link.write_inner(device, now),
            ];
            if !moved.contains(&Moved::Yes) {
                if let Some(at) = link.crossing.poll_timeout(device, now)
                    && link.armed.is_none_or(|armed| at < armed)
                {
                    link.armed = Some(at);
                    self.deadlines.push(Reverse((at, key, link.crossing.number())));
                }
                return;
            }
        }
        self.hot.push(key);
    }

    fn cut_all(&mut self) {
        let keys: Vec<usize> = self.links.iter().map(|(key, _)| key).collect();
        for key in keys {
            if let Some(link) = self.links.get_mut(key) {
                link.crossing.handle_restart();
            }
            self.pump(key);
        }
    }

    fn publish(&mut self) {
        if let Some(Observer(tell)) = &mut self.observer {
            self.device.poll_events().for_each(|event| tell(&event));
        }
    }
}

/// One connection: the machine that decides and the sockets that it decides about.
struct Link {
    crossing: Crossing,
    inner: Port,
    outer: Option<Port>,
    /// The earliest time that stands in the heap for it.
    armed: Option<Duration>,
}

impl Link {
    fn note_readiness(&mut self, device: &Device, token: usize, readiness: &Readiness) {
        let is_inner = (token - FIRST_LINK).is_multiple_of(2);
        let port = if is_inner { Some(&mut self.inner) } else { self.outer.as_mut() };
        let Some(port) = port else {
            return;
        };
        port.readable |= readiness.is_readable();
        port.writable |= readiness.is_writable();
        if !readiness.is_error() || (!is_inner && self.crossing.awaits_outer()) {
            return;
        }
        // Told at once: with its queue full, a connection is not read, and would not find out.
        if let Ok(Some(_)) = port.stream.take_error() {
            if is_inner {
                self.crossing.handle_inner_reset(device);
            } else {
                self.crossing.handle_outer_reset(device);
            }
        }
    }

    fn act(
        &mut self,
        action: Action,
        device: &mut Device,
        now: Duration,
        call_outer: impl FnOnce() -> io::Result<Port>,
    ) -> Flow {
        match action {
            Action::Close => return Flow::Stop,
            Action::Connect => match call_outer() {
                Ok(port) => self.outer = Some(port),
                Err(_) => self.crossing.handle_outer_failed(device, now),
            },
            // A socket that cannot be shut down is dead, which reading it will tell.
            Action::FinishInner => drop(self.inner.stream.shutdown(Shutdown::Write)),
            Action::FinishOuter => {
                if let Some(port) = &self.outer {
                    drop(port.stream.shutdown(Shutdown::Write));
                }
            }
            Action::Reset => {
                self.set_reset_on_close();
                return Flow::Stop;
            }
        }
        Flow::Continue
    }

    fn read_inner(&mut self, device: &mut Device, now: Duration) -> Moved {
        let room = self.crossing.room(device, now);
        if room == 0 || !self.inner.readable {
            return Moved::No;
        }
        let mut buffer = self.crossing.buffer(room);
        match self.inner.read(&mut buffer[..room]) {
            Taken::Bytes(n) => self.crossing.handle_inner_bytes(device, now, buffer, n),
            Taken::End => self.crossing.handle_inner_fin(device, now),
            Taken::Broken => self.crossing.handle_inner_reset(device),
            Taken::Nothing => {
                self.crossing.handle_inner_bytes(device, now, buffer, 0);
                return Moved::No;
            }
        }
        Moved::Yes
    }

    fn write_outer(&mut self, device: &mut Device, now: Duration) -> Moved {
        let Some(port) = &mut self.outer else {
            return Moved::No;
        };
        if !port.writable {
            return Moved::No;
        }
        if self.crossing.awaits_outer() {
            match port.connected() {
                Taken::Nothing => return Moved::No,
                Taken::Broken | Taken::End => {
                    self.outer = None;
                    self.crossing.handle_outer_failed(device, now);
                }
                Taken::Bytes(_) => self.crossing.handle_outer_connected(device, now),
            }
            return Moved::Yes;
        }
        let Some(bytes) = self.crossing.poll_forward(device, now) else {
            // It may have found a reason to cut.
            return if self.crossing.is_ending() { Moved::Yes } else { Moved::No };
        };
        match port.write(bytes) {
            Taken::Bytes(n) => self.crossing.forwarded(device, now, n),
            Taken::Nothing => return Moved::No,
            Taken::Broken | Taken::End => self.crossing.handle_outer_reset(device),
        }
        Moved::Yes
    }

    fn read_outer(&mut self, device: &mut Device, now: Duration, scratch: &mut [u8]) -> Moved {
        let room = self.crossing.room_back().min(scratch.len());
        let Some(port) = self.outer.as_mut().filter(|port| port.readable && 0 < room) else {
            return Moved::No;
        };
        match port.read(&mut scratch[..room]) {
            Taken::Bytes(n) => self.crossing.handle_outer_bytes(device, now, &scratch[..n]),
            Taken::End => self.crossing.handle_outer_fin(now),
            Taken::Broken => self.crossing.handle_outer_reset(device),
            Taken::Nothing => return Moved::No,
        }
        Moved::Yes
    }

    fn write_inner(&mut self, device: &mut Device, now: Duration) -> Moved {
        let Some(bytes) = self.crossing.poll_back(now).filter(|_| self.inner.writable) else {
            return Moved::No;
        };
        match self.inner.write(bytes) {
            Taken::Bytes(n) => self.crossing.returned(device, now, n),
            Taken::Nothing => return Moved::No,
            Taken::Broken | Taken::End => self.crossing.handle_inner_reset(device),
        }
        Moved::Yes
    }

    fn set_reset_on_close(&self) {
        reset_on_close(&self.inner.stream);
        if let Some(port) = &self.outer {
            reset_on_close(&port.stream);
        }
    }
}

/// A socket and what mio, which tells changes only, has said about it.
struct Port {
    stream: TcpStream,
    readable: bool,
    writable: bool,
}

impl Port {
    fn connect(registry: &Registry, target: SocketAddr, token: Token) -> io::Result<Self> {
        let mut stream = TcpStream::connect(target)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, readable: false, writable: false })
    }

    /// Whether the connection stands: `Bytes` if so, `Nothing` if it is not known yet.
    fn connected(&mut self) -> Taken {
        if !matches!(self.stream.take_error(), Ok(None)) {
            return Taken::Broken;
        }
        match self.stream.peer_addr() {
            Ok(_) => {
                // As for the inner side: a dead socket tells by itself.
                let _ = self.stream.set_nodelay(true);
                Taken::Bytes(0)
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => {
                self.writable = false;
                Taken::Nothing
            }
            Err(_) => Taken::Broken,
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Taken {
        let result = self.stream.read(buffer);
        Taken::of(result, &mut self.readable)
    }

    fn write(&mut self, bytes: &[u8]) -> Taken {
        let result = self.stream.write(bytes);
        Taken::of(result, &mut self.writable)
    }
}

/// What one call on a socket gave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Taken {
    Broken,
    Bytes(usize),
    End,
    Nothing,
}

impl Taken {
    fn of(result: io::Result<usize>, ready: &mut bool) -> Self {
        match result {
            Ok(0) => Self::End,
            Ok(n) => Self::Bytes(n),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => Self::Bytes(0),
                ErrorKind::WouldBlock => {
                    *ready = false;
                    Self::Nothing
                }
                _ => Self::Broken,
            },
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flow {
    Continue,
    Stop,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Moved {
    No,
    Yes,
}

/// Makes the close of `stream` a reset. On a socket that is dead already there is nothing to reset.
fn reset_on_close(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
const FIRST_LINK: usize = 2;

/// Rounds on one connection before the others have their turn.
const ROUNDS: usize = 32;

const SCRATCH_BYTES: usize = 64 << 10;

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
