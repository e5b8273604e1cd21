//! How often each peer may be called, whichever lane calls.

use core::time::Duration;
use std::collections::VecDeque;

use crate::Time;

/// The peers of one pipe and when each was last called.
///
/// Gateways alarm on reconnect storms and may block the source; so the limits are per peer, over all
/// lanes.
#[derive(Debug)]
pub struct Peers {
    calls: Vec<VecDeque<Time>>,
    calls_per_minute_max: usize,
    interval_min: Duration,
}

const MINUTE: Duration = Duration::from_secs(60);

impl Peers {
    /// `n_peers` peers that may be called `calls_per_minute_max` times a minute each, and never
    /// twice within `interval_min`.
    pub fn new(n_peers: usize, calls_per_minute_max: usize, interval_min: Duration) -> Self {
        assert!(n_peers > 0, "a pipe has at least one peer");
        assert!(calls_per_minute_max > 0, "a peer must be callable");
        Self { calls: vec![VecDeque::new(); n_peers], calls_per_minute_max, interval_min }
    }

    /// Changes the shortest time between two calls to one peer.
    pub fn set_interval_min(&mut self, interval_min: Duration) {
        self.interval_min = interval_min;
    }

    /// Notes a call to `peer` and answers `Ok`, or says when it may be called again.
    pub(crate) fn call(&mut self, peer: usize, now: Time) -> Result<(), Time> {
        let Some(calls) = self.calls.get_mut(peer) else { return Ok(()) };
        while calls.front().is_some_and(|&call| call + MINUTE <= now) {
            calls.pop_front();
        }
        let too_many = calls.front().filter(|_| calls.len() >= self.calls_per_minute_max);
        let too_soon = calls.back().map(|&last| last + self.interval_min);
        let until = too_many.map(|&oldest| oldest + MINUTE).max(too_soon);
        match until {
            Some(until) if now < until => Err(until),
            _ => {
                calls.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_never_called_more_often_in_any_minute_than_allowed() {
        let mut peers = Peers::new(2, 5, Duration::from_secs(2));
        let mut allowed = Vec::new();
        for second in 0..600 {
            let now = Time::from_micros(second * 1_000_000);
            if peers.call(0, now).is_ok() {
                allowed.push(now);
            }
        }
        assert_eq!(allowed.len(), 50);
        for pair in allowed.windows(2) {
            assert!(pair[1].since(pair[0]) >= Duration::from_secs(2), "{pair:?}");
        }
        for window in allowed.windows(6) {
            assert!(window[5].since(window[0]) >= MINUTE, "{window:?}");
        }
        assert_eq!(peers.call(1, Time::from_micros(0)), Ok(()), "the other peer has its own limit");
    }
}
