//! One connection through the gateway: decides which bytes pass, when, and what cuts it.
//!
//! Invariants: bytes are never reordered; a byte comes back only against a request; once cut, nothing
//! passes any more; what is queued stays below [`Crossing::room`]'s bound.

use core::time::Duration;
use std::collections::VecDeque;

use super::device::Device;
use super::device::Fate;
use super::profile::ContentRule;
use super::profile::E_PREFIX;
use super::profile::E_SUFFIX;
use super::profile::ReturnRule;
use super::record::Cut;
use super::record::Side;
use super::record::What;
use super::rules::Forwarding;
use super::rules::GivenUp;
use super::rules::OuterDown;
use super::rules::ResetPassing;

/// The state of one inner connection and its counterpart on the outer side.
///
/// Methods come in four kinds:
///
/// - A. getters, taking `&self`
/// - B. `handle_*`: something happened outside (bytes, end, reset, time)
/// - C. commands: [`forwarded`](Self::forwarded), [`returned`](Self::returned), which say how much
///   of a polled slice was written
/// - D. `poll_*`: what the caller must do next
///
/// After every B or C, call [`poll_action`](Self::poll_action) until it has nothing, then write what
/// [`poll_forward`](Self::poll_forward) and [`poll_back`](Self::poll_back) offer; these may find a
/// reason to cut, hence the loop. Time is the span since the start, and never goes back.
pub struct Crossing {
    number: u64,
    forward: Queue,
    back: Queue,
    inner: End,
    inner_gone: bool,
    outer: Outer,
    outer_end: End,
    ending: Option<Ending>,
    request_bytes: u64,
    bytes_forward: u64,
    tail: Tail,
    batch_until: Duration,
    split_until: Duration,
    resume_at: Duration,
    last_byte_at: Duration,
    spare: Vec<Vec<u8>>,
}

impl Crossing {
    /// A connection that was accepted under `number`.
    pub fn new(device: &Device, now: Duration, number: u64) -> Self {
        let rules = device.rules();
        Self {
            number,
            forward: Queue::new(if rules.rtt.is_zero() { QUEUE_BYTES } else { QUEUE_BYTES_RTT }),
            back: Queue::new(QUEUE_BYTES),
            inner: End::Open,
            inner_gone: false,
            outer: match rules.forwarding {
                Forwarding::Pass => Outer::Absent { retry_at: now, tried: false },
                Forwarding::Swallow => Outer::Gone,
            },
            outer_end: End::Open,
            ending: None,
            request_bytes: 0,
            bytes_forward: 0,
            tail: Tail::default(),
            batch_until: Duration::ZERO,
            split_until: Duration::ZERO,
            resume_at: Duration::ZERO,
            last_byte_at: now,
            spare: Vec::new(),
        }
    }

    /// The number it was accepted under.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether it waits for the attempt to reach the outer host that it asked for.
    pub fn awaits_outer(&self) -> bool {
        matches!(self.outer, Outer::Connecting { .. })
    }

    /// Whether the next [`poll_action`](Self::poll_action) ends it.
    pub fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// How many bytes may be read from the inner side now; 0 is wait.
    pub fn room(&self, device: &Device, now: Duration) -> usize {
        if self.inner != End::Open || self.ending.is_some() || now < self.resume_at {
            return 0;
        }
        match self.forward.room() {
            // Better none than a trickle of short reads while the queue is all but full.
            room if room < READ_BYTES_SPARE_MIN => 0,
            room => room.min(read_bytes_max(device)),
        }
    }

    /// How many bytes may be read from the outer side now; 0 is wait.
    pub fn room_back(&self) -> usize {
        if self.outer != Outer::Connected || self.outer_end != End::Open || self.ending.is_some() {
            return 0;
        }
        self.back.room()
    }

    /// A buffer of at least `n_bytes` for [`handle_inner_bytes`](Self::handle_inner_bytes), reused
    /// where one has run empty: a gateway that allocates per read is slower than the line.
    pub fn buffer(&mut self, n_bytes: usize) -> Vec<u8> {
        let mut buffer = self.spare.pop().unwrap_or_default();
        if buffer.len() < n_bytes {
            buffer.resize(n_bytes, 0);
        }
        buffer
    }

    /// The inner side sent the first `n_bytes` of `buffer`.
    pub fn handle_inner_bytes(
        &mut self,
        device: &mut Device,
        now: Duration,
        mut buffer: Vec<u8>,
        n_bytes: usize,
    ) {
        assert!(n_bytes <= buffer.len(), "more bytes read than the buffer holds");
        self.last_byte_at = now;
        if self.outer == Outer::Gone || n_bytes == 0 || self.ending.is_some() {
            self.recycle(buffer);
            return;
        }
        let paced = device.pace(now, n_bytes);
        if now + LINE_BACKLOG < paced {
            self.resume_at = paced - LINE_BACKLOG;
        }
        let rules = device.rules();
        if !rules.coalesce.is_zero() && self.batch_until <= now {
            self.batch_until = now + rules.coalesce;
        }
        let due = paced.max(self.batch_until) + rules.delay_forward();
        if !rules.coalesce.is_zero() && self.forward.join(due, &buffer[..n_bytes]) {
            self.recycle(buffer);
        } else if n_bytes < buffer.len() / 4 {
            // A long queue of short reads must not pin a large buffer for each of them.
            self.forward.push(due, buffer[..n_bytes].to_vec());
            self.recycle(buffer);
        } else {
            buffer.truncate(n_bytes);
            self.forward.push(due, buffer);
        }
    }

    /// The inner side has ended in order.
    pub fn handle_inner_fin(&mut self, device: &Device, now: Duration) {
        self.last_byte_at = now;
        self.inner = End::Ended;
        // An attempt that is still open may succeed: a short request and its end come at once.
        let unreached = matches!(self.outer, Outer::Absent { .. });
        if self.outer == Outer::Gone || (unreached && self.is_given_up(device)) {
            self.end(Ending::Orderly);
        }
    }

    /// The inner side was reset.
    pub fn handle_inner_reset(&mut self, device: &Device) {
        self.back.clear();
        if device.rules().given_up == GivenUp::Deliver
            && self.outer != Outer::Gone
            && !self.forward.is_empty()
        {
            self.inner = End::Ended;
            self.inner_gone = true;
        } else {
            self.end(Ending::HostReset(Side::Inner));
        }
    }

    /// The outer host was reached.
    pub fn handle_outer_connected(&mut self, device: &mut Device, now: Duration) {
        self.outer = Outer::Connected;
        self.last_byte_at = now;
        device.note(now, self.number, What::OuterConnected);
    }

    /// The outer host was not reached.
    pub fn handle_outer_failed(&mut self, device: &mut Device, now: Duration) {
        device.stats_mut().outer_failures += 1;
        if !matches!(self.outer, Outer::Connecting { tried: true }) {
            device.note(now, self.number, What::OuterDown);
        }
        match device.rules().outer_down {
            OuterDown::Hold => {
                let retry_at = now + device.rules().outer_retry.max(SHORTEST_RETRY);
                self.outer = Outer::Absent { retry_at, tried: true };
            }
            OuterDown::Reset => self.end(Ending::Cut(Cut::OuterDown)),
        }
        if self.inner == End::Ended && self.is_given_up(device) {
            self.end(Ending::Orderly);
        }
    }

    /// The outer side sent `bytes`: passes the one byte that is allowed, or cuts.
    pub fn handle_outer_bytes(&mut self, device: &mut Device, now: Duration, bytes: &[u8]) {
        self.last_byte_at = now;
        let (Some(&first), None) = (bytes.first(), self.ending) else {
            return;
        };
        let profile = device.rules().profile;
        if let ReturnRule::OneByteOf(allowed) = profile.return_rule() {
            let wrapped = profile.content_rule() == ContentRule::ELanguage;
            let broken = if !allowed.contains(&first) {
                Some(Cut::IllegalByte)
            } else if self.request_bytes == 0 {
                Some(Cut::SecondByte)
            } else if 1 < bytes.len() {
                Some(Cut::ExtraBytes)
            } else if wrapped && !self.tail.is_suffix() {
                Some(Cut::BadESuffix)
            } else {
                None
            };
            if let Some(reason) = broken {
                self.end(Ending::Cut(reason));
                return;
            }
        }
        device.note(now, self.number, What::Returned(first, self.request_bytes));
        self.request_bytes = 0;
        self.tail = Tail::default();
        self.queue_back(device, now, first, bytes);
    }

    /// The outer side has ended in order.
    pub fn handle_outer_fin(&mut self, now: Duration) {
        self.last_byte_at = now;
        self.outer_end = End::Ended;
    }

    /// The outer side was reset.
    pub fn handle_outer_reset(&mut self, device: &Device) {
        match device.rules().reset_passing {
            ResetPassing::OrderlyClose => {
                self.outer = Outer::Gone;
                self.outer_end = End::Ended;
                self.forward.clear();
                if self.inner != End::Open {
                    self.end(Ending::HostReset(Side::Outer));
                }
            }
            ResetPassing::Reset => self.end(Ending::HostReset(Side::Outer)),
        }
    }

    /// Time has passed.
    pub fn handle_time(&mut self, device: &Device, now: Duration) {
        if let Some(idle) = device.rules().idle_cut
            && self.last_byte_at + idle <= now
        {
            self.end(Ending::Cut(Cut::Idle));
        }
    }

    /// The device restarts.
    pub fn handle_restart(&mut self) {
        self.end(Ending::Cut(Cut::Restart));
    }

    /// The first `n_bytes` of [`poll_forward`](Self::poll_forward)'s slice were written.
    pub fn forwarded(&mut self, device: &mut Device, now: Duration, n_bytes: usize) {
        if n_bytes == 0 {
            return;
        }
        let stats = device.stats_mut();
        if self.request_bytes == 0 {
            stats.requests += 1;
        }
        stats.bytes_forward += n_bytes as u64;
        self.bytes_forward += n_bytes as u64;
        self.request_bytes += n_bytes as u64;
        self.last_byte_at = now;
        if device.rules().profile.content_rule() == ContentRule::ELanguage {
            self.tail.extend(self.forward.front(n_bytes));
        }
        if let Some(empty) = self.forward.consume(n_bytes) {
            self.recycle(empty);
        }
        if device.rules().split_at.is_some_and(|at| at.get() == self.request_bytes) {
            self.split_until = now + device.rules().split_gap;
        }
    }

    /// The first `n_bytes` of [`poll_back`](Self::poll_back)'s slice were written.
    pub fn returned(&mut self, device: &mut Device, now: Duration, n_bytes: usize) {
        self.last_byte_at = now;
        let counts = &mut device.stats_mut().bytes_back;
        for byte in self.back.front(n_bytes) {
            match byte {
                0x00 => counts.zeros += 1,
                0xff => counts.ones += 1,
                _ => counts.other += 1,
            }
        }
        self.back.consume(n_bytes);
    }

    /// What the caller must do with its sockets next.
    pub fn poll_action(&mut self, device: &mut Device, now: Duration) -> Option<Action> {
        if let Some(ending) = self.ending {
            return Some(self.report(device, now, ending));
        }
        match self.outer {
            Outer::Absent { retry_at, tried } if retry_at <= now => {
                self.outer = Outer::Connecting { tried };
                return Some(Action::Connect);
            }
            Outer::Connected if self.forward.is_empty() && self.inner == End::Ended => {
                self.inner = End::Passed;
                return Some(Action::FinishOuter);
            }
            _ => (),
        }
        if self.outer_end == End::Ended && self.back.is_empty() {
            self.outer_end = End::Passed;
            return Some(Action::FinishInner);
        }
        if self.inner == End::Passed && self.outer_end == End::Passed {
            self.end(Ending::Orderly);
            return Some(self.report(device, now, Ending::Orderly));
        }
        None
    }

    /// Bytes for the outer side, as many as go into one write.
    pub fn poll_forward(&mut self, device: &Device, now: Duration) -> Option<&[u8]> {
        let due = self.forward.due()?;
        if self.outer != Outer::Connected || self.ending.is_some() {
            return None;
        }
        if now < due || now < self.split_until {
            return None;
        }
        match self.write_bytes(device) {
            Ok(n_bytes) => Some(self.forward.front(n_bytes)),
            Err(reason) => {
                self.end(Ending::Cut(reason));
                None
            }
        }
    }

    /// Bytes for the inner side.
    pub fn poll_back(&self, now: Duration) -> Option<&[u8]> {
        let due = self.back.due()?;
        (self.ending.is_none() && due <= now).then(|| self.back.front(usize::MAX))
    }

    /// The next time after `now` at which to call [`handle_time`](Self::handle_time) and poll again.
    pub fn poll_timeout(&self, device: &Device, now: Duration) -> Option<Duration> {
        let retry_at = match self.outer {
            Outer::Absent { retry_at, .. } => Some(retry_at),
            _ => None,
        };
        let forward_at = match self.outer {
            Outer::Connected => self.forward.due().map(|due| due.max(self.split_until)),
            _ => None,
        };
        let idle_at = device.rules().idle_cut.map(|idle| self.last_byte_at + idle);
        let times = [retry_at, forward_at, self.back.due(), Some(self.resume_at), idle_at];
        // What is already due waits for a socket, not for the clock.
        times.into_iter().flatten().filter(|at| now < *at).min()
    }

    /// Whether nothing is left to deliver once the inner side has ended before the outer was reached.
    fn is_given_up(&self, device: &Device) -> bool {
        self.forward.is_empty() || device.rules().given_up == GivenUp::Drop
    }

    /// How many bytes of the first chunk make one write, or why the request is cut.
    fn write_bytes(&self, device: &Device) -> Result<usize, Cut> {
        let rules = device.rules();
        let mut n_bytes = self.forward.front(usize::MAX).len() as u64;
        if let Some(limit) = rules.frame_bytes_max {
            let left = limit.get().saturating_sub(self.request_bytes);
            if left == 0 {
                return Err(Cut::FrameTooLong);
            }
            n_bytes = n_bytes.min(left);
        }
        if let Some(split) = rules.split_bytes {
            n_bytes = n_bytes.min(split.get());
        }
        if let Some(at) = rules.split_at
            && self.request_bytes < at.get()
        {
            n_bytes = n_bytes.min(at.get() - self.request_bytes);
        }
        let n_bytes = usize::try_from(n_bytes).unwrap_or(usize::MAX);
        if rules.profile.content_rule() == ContentRule::ELanguage {
            let start = usize::try_from(self.request_bytes).unwrap_or(usize::MAX);
            let expected = E_PREFIX.get(start..).unwrap_or_default();
            if self.forward.front(n_bytes).iter().zip(expected).any(|(found, want)| found != want) {
                return Err(Cut::BadEPrefix);
            }
        }
        Ok(n_bytes)
    }

    fn queue_back(&mut self, device: &mut Device, now: Duration, first: u8, bytes: &[u8]) {
        if self.inner_gone {
            return;
        }
        let due = now + device.rules().delay_back();
        match device.reply_fate() {
            Fate::Doubled => {
                device.note(now, self.number, What::ReplyDoubled(first));
                self.back.push(due, bytes.to_vec());
                self.back.push(due, bytes.to_vec());
            }
            Fate::Late => {
                device.note(now, self.number, What::ReplyLate(first));
                self.back.push(due + device.rules().faults.late_by, bytes.to_vec());
            }
            Fate::Lost => device.note(now, self.number, What::ReplyLost(first)),
            Fate::Plain => self.back.push(due, bytes.to_vec()),
        }
    }

    /// The first ending holds: what happens while a connection is being taken down is no news.
    fn end(&mut self, ending: Ending) {
        self.ending.get_or_insert(ending);
    }

    fn report(&mut self, device: &mut Device, now: Duration, ending: Ending) -> Action {
        let stats = device.stats_mut();
        stats.open -= 1;
        let (what, action) = match ending {
            Ending::Cut(reason) => {
                *stats.cuts.entry(reason).or_insert(0) += 1;
                (What::Cut(reason, self.bytes_forward), Action::Reset)
            }
            Ending::HostReset(side) => {
                stats.host_resets += 1;
                (What::HostReset(side, self.bytes_forward), Action::Reset)
            }
            Ending::Orderly => (What::Closed(self.bytes_forward), Action::Close),
        };
        device.note(now, self.number, what);
        action
    }

    fn recycle(&mut self, buffer: Vec<u8>) {
        if READ_BYTES_SPARE_MIN <= buffer.len() && self.spare.len() < SPARE_BUFFERS {
            self.spare.push(buffer);
        }
    }
}

/// What the caller must do with its sockets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Close both sides in order and forget the connection.
    Close,
    /// Begin to connect to the outer host.
    Connect,
    /// End the inner side's way back in order.
    FinishInner,
    /// End the outer side's way out in order.
    FinishOuter,
    /// Reset both sides and forget the connection.
    Reset,
}

/// How one direction stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// Ended by its host; bytes may still be queued.
    Ended,
    Open,
    /// The end was passed on to the other side.
    Passed,
}

/// How a connection ends as a whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ending {
    Cut(Cut),
    HostReset(Side),
    Orderly,
}

/// How the outer side stands. `tried` remembers that its absence was told already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outer {
    Absent { retry_at: Duration, tried: bool },
    Connected,
    Connecting { tried: bool },
    Gone,
}

/// The last bytes of the request that is on its way.
#[derive(Default)]
struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    fn extend(&mut self, written: &[u8]) {
        let skipped = written.len().saturating_sub(E_SUFFIX.len());
        self.bytes.extend(written.iter().skip(skipped));
        let surplus = self.bytes.len().saturating_sub(E_SUFFIX.len());
        self.bytes.drain(..surplus);
    }

    fn is_suffix(&self) -> bool {
        self.bytes == E_SUFFIX
    }
}

/// Bytes on their way in one direction, each chunk with the time before which it may not leave.
struct Queue {
    chunks: VecDeque<Chunk>,
    n_bytes: usize,
    bytes_max: usize,
}

struct Chunk {
    due: Duration,
    bytes: Vec<u8>,
    start: usize,
}

impl Queue {
    fn new(bytes_max: usize) -> Self {
        Self { chunks: VecDeque::new(), n_bytes: 0, bytes_max }
    }

    fn room(&self) -> usize {
        if self.chunks.len() < CHUNKS_MAX { self.bytes_max.saturating_sub(self.n_bytes) } else { 0 }
    }

    fn push(&mut self, due: Duration, bytes: Vec<u8>) {
        // A late chunk holds back those behind it: this is a stream.
        let due = self.chunks.back().map_or(due, |last| last.due.max(due));
        self.n_bytes += bytes.len();
        self.chunks.push_back(Chunk { due, bytes, start: 0 });
    }

    /// Appends to the last chunk if that leaves at the same time; whether it did.
    fn join(&mut self, due: Duration, bytes: &[u8]) -> bool {
        match self.chunks.back_mut() {
            Some(last) if last.due == due && last.bytes.len() + bytes.len() <= QUEUE_BYTES => {
                last.bytes.extend_from_slice(bytes);
                self.n_bytes += bytes.len();
                true
            }
            _ => false,
        }
    }

    fn due(&self) -> Option<Duration> {
        self.chunks.front().map(|chunk| chunk.due)
    }

    /// At most `n_bytes` of the first chunk.
    fn front(&self, n_bytes: usize) -> &[u8] {
        let rest = self.chunks.front().map_or(&[][..], |chunk| &chunk.bytes[chunk.start..]);
        &rest[..rest.len().min(n_bytes)]
    }

    /// Drops the first `n_bytes` of the first chunk, and returns its buffer once it is empty.
    fn consume(&mut self, n_bytes: usize) -> Option<Vec<u8>> {
        let chunk = self.chunks.front_mut()?;
        assert!(n_bytes <= chunk.bytes.len() - chunk.start, "more bytes written than offered");
        chunk.start += n_bytes;
        self.n_bytes -= n_bytes;
        if chunk.start < chunk.bytes.len() {
            return None;
        }
        self.chunks.pop_front().map(|chunk| chunk.bytes)
    }

    fn clear(&mut self) {
        self.chunks.clear();
        self.n_bytes = 0;
    }

    fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }
}

/// How much one read takes: large where nothing limits the rate; where something does, about 5 ms of
/// the line, so that bytes trickle instead of arriving in lumps.
fn read_bytes_max(device: &Device) -> usize {
    let Some(rate) = device.rules().bytes_per_second else {
        return READ_BYTES;
    };
    usize::try_from(rate.get() / 200).unwrap_or(READ_BYTES).clamp(READ_BYTES_PACED_MIN, READ_BYTES)
}

/// Queue of one direction, without and with a delay to bridge (1 GB/s for 64 ms).
const QUEUE_BYTES: usize = 1 << 20;
const QUEUE_BYTES_RTT: usize = 64 << 20;

/// Chunks queued in one direction: bounds what one-byte reads cost.
const CHUNKS_MAX: usize = 1 << 16;

const READ_BYTES: usize = 256 << 10;
const READ_BYTES_PACED_MIN: usize = 1 << 10;

/// Buffers kept for reuse, and the smallest worth keeping.
const SPARE_BUFFERS: usize = 4;
const READ_BYTES_SPARE_MIN: usize = READ_BYTES / 4;

/// How far the line may be booked ahead before the inner side has to wait.
const LINE_BACKLOG: Duration = Duration::from_millis(20);

const SHORTEST_RETRY: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests;
