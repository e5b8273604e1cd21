//! A region's deletions that wait to leave, in their order.

use std::collections::HashMap;
use std::collections::VecDeque;

use crate::deletion::Deletion;
use crate::deletion::DeletionKey;
use crate::identity::Space;
use crate::identity::TsFileName;
use crate::partition::Gone;
use crate::record::Known;

/// A deletion that waits to leave.
#[derive(Clone, Debug)]
pub(crate) struct PendingDeletion {
    pub(crate) serial: u64,
    pub(crate) key: DeletionKey,
    pub(crate) partition: i64,
    pub(crate) deletion: Deletion,
    /// Whether it is a part, which may have been out and must not grow any more.
    is_split: bool,
    /// Whether nothing of this deletion waits behind it.
    pub(crate) is_last_part: bool,
    /// Where it stood, for a gap record.
    pub(crate) origin: (Space, TsFileName),
    /// Files that are no longer there and are to be forgotten once it has left.
    pub(crate) gone: Vec<Gone>,
}

/// The deletions of one region that wait; the first may be out.
#[derive(Debug, Default)]
pub(crate) struct PendingDeletions {
    queue: VecDeque<PendingDeletion>,
    /// Position of the first. Positions do not change when others come or go.
    first_at: i64,
    next_serial: u64,
    /// Positions of those that may grow, by what they delete and in which partition. Each file of a
    /// partition may bring every deletion once more.
    places: HashMap<(DeletionKey, i64), i64>,
}

impl PendingDeletions {
    /// Adds a deletion; cuts of one entry from files of one partition leave as one.
    pub(crate) fn put(&mut self, key: DeletionKey, deletion: Deletion, file: &Known) {
        let partition = file.place.partition;
        let index = self.places.get(&(key, partition)).map(|at| at - self.first_at);
        let waiting = index.and_then(|it| self.queue.get_mut(usize::try_from(it).ok()?));
        if let Some(waiting) = waiting {
            return waiting.deletion.join(&deletion);
        }
        self.places.insert((key, partition), self.first_at + self.queue.len() as i64);
        let serial = self.serial();
        self.queue.push_back(PendingDeletion {
            serial,
            key,
            partition,
            deletion,
            is_split: false,
            is_last_part: true,
            origin: (file.place.space, file.name),
            gone: Vec::new(),
        });
    }

    /// Splits the first where it is too long to leave in one piece; what is the first then?
    pub(crate) fn split_first(&mut self, bytes_max: usize) -> Option<&PendingDeletion> {
        if self.queue.front().is_some_and(|first| !first.is_split) {
            let whole = self.pop_first()?;
            let parts = whole.deletion.clone().split(bytes_max);
            let n_parts = parts.len();
            for (at, deletion) in parts.into_iter().enumerate().rev() {
                let serial = if at == 0 { whole.serial } else { self.serial() };
                let is_last_part = at + 1 == n_parts;
                let part = PendingDeletion {
                    serial,
                    deletion,
                    is_split: true,
                    is_last_part,
                    ..whole.clone()
                };
                self.queue.push_front(part);
                self.first_at -= 1;
            }
        }
        self.queue.front()
    }

    pub(crate) fn pop_first(&mut self) -> Option<PendingDeletion> {
        let first = self.queue.pop_front()?;
        let key = (first.key, first.partition);
        if self.places.get(&key) == Some(&self.first_at) {
            self.places.remove(&key);
        }
        self.first_at += 1;
        Some(first)
    }

    pub(crate) fn last_mut(&mut self) -> Option<&mut PendingDeletion> {
        self.queue.back_mut()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &PendingDeletion> {
        self.queue.iter()
    }

    fn serial(&mut self) -> u64 {
        self.next_serial += 1;
        self.next_serial
    }
}
