//! What all connections of one device share: who may connect, when a byte has left a line of
//! limited rate, which reply meets a fault, when the device restarts; and the counters.

use core::num::NonZeroU64;
use core::time::Duration;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::net::SocketAddr;

use super::record::Event;
use super::record::Refusal;
use super::record::Stats;
use super::record::What;
use super::rules::Rules;

/// The shared half of the simulator. Performs no I/O: time is the span since the start and comes as
/// an argument.
pub struct Device {
    rules: Rules,
    stats: Stats,
    events: Option<Vec<Event>>,
    random: fastrand::Rng,
    n_replies: u64,
    line_free_at: Duration,
    arrivals: BTreeMap<IpAddr, VecDeque<Duration>>,
    restart_at: Option<Duration>,
    down_until: Duration,
}

impl Device {
    /// A device that starts at time zero; with `Watched::Yes` it keeps events for
    /// [`poll_event`](Self::poll_event).
    pub fn new(rules: Rules, watched: Watched) -> Self {
        Self {
            random: fastrand::Rng::with_seed(rules.faults.seed),
            restart_at: rules.restart.map(|restart| restart.every),
            rules,
            stats: Stats::default(),
            events: match watched {
                Watched::Yes => Some(Vec::new()),
                Watched::No => None,
            },
            n_replies: 0,
            line_free_at: Duration::ZERO,
            arrivals: BTreeMap::new(),
            down_until: Duration::ZERO,
        }
    }

    /// Decides on a new inner connection: its number, or why it is reset.
    pub fn handle_arrival(&mut self, now: Duration, peer: SocketAddr) -> Result<u64, Refusal> {
        match self.admission(now, peer) {
            Ok(()) => {
                self.stats.connections += 1;
                self.stats.open += 1;
                let number = self.stats.connections;
                self.note(now, number, What::Accepted(peer));
                Ok(number)
            }
            Err(reason) => {
                *self.stats.refusals.entry(reason).or_insert(0) += 1;
                self.note(now, 0, What::Refused(peer, reason));
                Err(reason)
            }
        }
    }

    /// Time has passed: whether the device restarts now, so that every connection is to be cut.
    pub fn handle_time(&mut self, now: Duration) -> bool {
        let (Some(at), Some(restart)) = (self.restart_at, self.rules.restart) else {
            return false;
        };
        if now < at {
            return false;
        }
        self.restart_at = Some(now + restart.every.max(SHORTEST_RESTART));
        self.handle_restart(now, restart.down);
        true
    }

    /// The device restarts and refuses connections for `down`; the caller cuts the open ones.
    pub fn handle_restart(&mut self, now: Duration, down: Duration) {
        self.down_until = now + down;
        self.note(now, 0, What::Restart);
    }

    /// The events that were not taken yet, oldest first.
    pub fn poll_events(&mut self) -> impl Iterator<Item = Event> + '_ {
        self.events.iter_mut().flat_map(|events| events.drain(..))
    }

    /// When [`handle_time`](Self::handle_time) is due next.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.restart_at
    }

    /// The counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(super) fn stats_mut(&mut self) -> &mut Stats {
        &mut self.stats
    }

    pub(super) fn note(&mut self, at: Duration, connection: u64, what: What) {
        if let Some(events) = &mut self.events {
            events.push(Event { at, connection, what });
        }
    }

    /// When the last of `n_bytes` that arrive now has left the line. The line is the device's, not
    /// the connection's: several connections share its rate.
    pub(super) fn pace(&mut self, now: Duration, n_bytes: usize) -> Duration {
        let Some(rate) = self.rules.bytes_per_second else {
            return now;
        };
        let nanos = n_bytes as u128 * 1_000_000_000 / u128::from(rate.get());
        let on_line = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.line_free_at = self.line_free_at.max(now).saturating_add(on_line);
        self.line_free_at
    }

    /// What becomes of the next reply. All chances are drawn each time, so that switching one fault
    /// on does not move the others.
    pub(super) fn reply_fate(&mut self) -> Fate {
        self.n_replies += 1;
        let faults = &self.rules.faults;
        let n = self.n_replies;
        let counted = |every: Option<NonZeroU64>| every.is_some_and(|every| n % every == 0);
        let [lose, double, late] = [(); 3].map(|()| self.random.f64());
        if counted(faults.lose_every) || lose < faults.lose_chance {
            self.stats.faults.lost += 1;
            Fate::Lost
        } else if counted(faults.double_every) || double < faults.double_chance {
            self.stats.faults.doubled += 1;
            Fate::Doubled
        } else if counted(faults.late_every) || late < faults.late_chance {
            self.stats.faults.late += 1;
            Fate::Late
        } else {
            Fate::Plain
        }
    }

    fn admission(&mut self, now: Duration, peer: SocketAddr) -> Result<(), Refusal> {
        if now < self.down_until {
            return Err(Refusal::Restarting);
        }
        if !self.rules.source_ports.contains(peer.port()) {
            return Err(Refusal::SourcePort);
        }
        if CONNECTIONS_MAX <= self.stats.open {
            return Err(Refusal::TooManyOpen);
        }
        let Some(limit) = self.rules.connections_per_minute else {
            return Ok(());
        };
        let is_recent = |at: &Duration| now < *at + Duration::from_secs(60);
        self.arrivals.retain(|_, times| times.back().is_some_and(is_recent));
        if SOURCES_MAX <= self.arrivals.len() && !self.arrivals.contains_key(&peer.ip()) {
            return Err(Refusal::ReconnectLimit);
        }
        let times = self.arrivals.entry(peer.ip()).or_default();
        while times.front().is_some_and(|at| !is_recent(at)) {
            times.pop_front();
        }
        if limit as usize <= times.len() {
            return Err(Refusal::ReconnectLimit);
        }
        times.push_back(now);
        Ok(())
    }
}

/// Whether a [`Device`] keeps its events.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // it does or it does not
pub enum Watched {
    /// They are dropped.
    No,
    /// They wait for [`Device::poll_events`].
    Yes,
}

/// What becomes of one reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    Doubled,
    Late,
    Lost,
    Plain,
}

/// More connections than this are refused: a bound on sockets and buffers, not a model of a device.
const CONNECTIONS_MAX: u64 = 1024;

/// Addresses whose arrivals are counted at a time.
const SOURCES_MAX: usize = 4096;

/// A restart every zero milliseconds would never let time pass.
const SHORTEST_RESTART: Duration = Duration::from_millis(1);
