//! One region's queue: what waits, in which order it leaves, what is set aside.

use core::time::Duration;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use tidegate_model::Time;

use crate::identity::FileIdentity;
use crate::identity::Space;
use crate::identity::TsFileName;
use crate::item::Token;

/// Position of a waiting file.
///
/// History first; then in the order of the scans that saw the files sealed; within a scan the
/// sequence files of a partition before its unsequence files, by version, then time.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct OrderKey {
    pub(crate) phase: Phase,
    pub(crate) scan: u64,
    pub(crate) partition: i64,
    pub(crate) space: Space,
    pub(crate) name: TsFileName,
    /// Two data directories may hold equal names.
    pub(crate) identity: FileIdentity,
}

/// Whether a file was made before the pipe or after it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Phase {
    History,
    Realtime,
}

/// A damaged file set aside: it must not hold up the others.
#[derive(Clone, Debug)]
pub(crate) struct Aside {
    pub(crate) reason: String,
    pub(crate) retry_at: Time,
}

/// One region's stream.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) queue: BTreeSet<OrderKey>,
    pub(crate) aside: BTreeMap<OrderKey, Aside>,
    pub(crate) in_flight: Option<(Token, OrderKey)>,
    /// The file that may not be overtaken and cannot leave, with the reason.
    pub(crate) blocked: Option<(OrderKey, String)>,
    /// The sequence number of the file that was tried last; a retry keeps it.
    pub(crate) numbered: Option<(OrderKey, u64)>,
    pub(crate) last_sequence: u64,
    pub(crate) held_until: Option<Time>,
    /// The scan that was the latest when a file of the region turned out to have moved. Until a
    /// later one is in whole nobody knows where it lies, and nothing may overtake it.
    pub(crate) lost_in_scan: Option<u64>,
    pub(crate) refusals: u32,
    /// Turn in which it was last served, for fairness between streams.
    pub(crate) served_in_turn: u64,
    pub(crate) n_unsealed: usize,
    /// A folder of the region was listed since the start.
    pub(crate) was_seen: bool,
    pub(crate) sent_files: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) vanished: u64,
    pub(crate) superseded: u64,
    pub(crate) last_trouble: Option<String>,
}

/// First pause after a refusal.
const HOLD_MIN: Duration = Duration::from_secs(1);
/// Longest pause between two tries of a refused file.
const HOLD_MAX: Duration = Duration::from_secs(60);
/// Pause before a file that was set aside, or blocks its region, is looked at again.
pub(crate) const ASIDE: Duration = Duration::from_secs(60);

impl Stream {
    /// The next file to leave, if the stream may send now.
    pub(crate) fn next(&mut self, now: Time) -> Option<OrderKey> {
        let held = self.held_until.is_some_and(|until| now < until);
        if held || self.in_flight.is_some() || self.lost_in_scan.is_some() {
            return None;
        }
        let due: Vec<OrderKey> =
            self.aside.iter().filter(|(_, it)| it.retry_at <= now).map(|(&key, _)| key).collect();
        for key in due {
            self.aside.remove(&key);
            self.queue.insert(key);
        }
        self.queue.first().copied()
    }

    /// The sequence number of a file: a new one, or the one it had when it was tried just before.
    ///
    /// A number is never given to two files, so that a late copy of one cannot pass for the other.
    pub(crate) fn number(&mut self, key: OrderKey) -> u64 {
        match self.numbered {
            Some((tried, number)) if tried == key => number,
            _ => {
                self.last_sequence += 1;
                self.numbered = Some((key, self.last_sequence));
                self.last_sequence
            }
        }
    }

    /// Pauses after a refusal, longer each time.
    pub(crate) fn hold(&mut self, now: Time) {
        let pause = HOLD_MIN * 2u32.saturating_pow(self.refusals.min(6));
        self.refusals = self.refusals.saturating_add(1);
        self.held_until = Some(now + pause.min(HOLD_MAX));
    }

    /// When something may change by itself.
    pub(crate) fn wake_at(&self) -> Option<Time> {
        if self.in_flight.is_some() || self.lost_in_scan.is_some() {
            return None;
        }
        let held = self.held_until.filter(|_| !self.queue.is_empty());
        let aside = self.aside.values().map(|aside| aside.retry_at).min();
        match (held, aside) {
            (Some(held), Some(aside)) if self.queue.is_empty() => Some(held.max(aside)),
            (Some(held), _) => Some(held),
            (None, aside) => aside,
        }
    }
}
