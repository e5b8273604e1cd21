//! Whether the spool is as the stores remember it, also after a start at which nobody could ask them.
//!
//! A state that was restored from a copy has a shorter spool than a store knows of. It shows as long as
//! the spool has not grown to where it was: so what counts is its last record at the first start since
//! the store was last looked at. Where the target was away or the store could not be read then, the next
//! start has to know that.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::Serialize;
use tidegate_durable::FileName;
use tidegate_durable::OpenError;
use tidegate_durable::Seq;
use tidegate_durable::Storage;
use tidegate_durable::TwoSlot;
use tidegate_durable::WriteError;

/// The file, among the small facts of the state.
const NAME: &str = "unlooked";

/// What the names of origins may take of which it is remembered that they were looked at while others
/// could not be. What more there are may pass for ones that know more than the spool, once, and are given
/// again what it has.
const LOOKED_BYTES_MAX: usize = 3000;

/// The last record of the spool at the first start since all stores were looked at.
#[derive(Debug)]
pub(crate) struct Unlooked<S: Storage> {
    slot: TwoSlot<S>,
    left: Left,
    /// For the next start.
    written: Left,
}

/// What starts leave for the next ones.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
struct Left {
    first: u64,
    /// Origins whose stores were looked at since, while others could not be.
    looked: BTreeSet<String>,
    /// The last record at the first start since those were looked at.
    since: Option<u64>,
}

impl<S: Storage> Unlooked<S> {
    /// Reads what earlier starts have left, and leaves word of this one, before anything is added to the
    /// spool.
    ///
    /// # Arguments
    ///
    /// - `last`: the last record of the spool
    pub(crate) fn open(memory: &S, last: Seq) -> Result<Self, String> {
        let name = FileName::new(NAME).map_err(|error| format!("memory: {error}"))?;
        let opened = match TwoSlot::open(memory.clone(), name.clone()) {
            Err(error @ OpenError::BothSlotsDamaged { .. }) => {
                tracing::warn!(%error, "nobody knows whether stores were looked at before this start");
                let failed = |error| format!("memory: cannot remove {name}: {error}");
                memory.remove(&name).map_err(failed)?;
                TwoSlot::open(memory.clone(), name)
            }
            opened => opened,
        };
        let (mut slot, content) = opened.map_err(|error| format!("memory: {error}"))?;
        let known: Option<Left> =
            content.payload.as_deref().and_then(|bytes| serde_json::from_slice(bytes).ok());
        let last = last.get();
        let mut left = known.clone().unwrap_or_else(|| Left { first: last, ..Left::default() });
        left.first = left.first.min(last);
        if !left.looked.is_empty() {
            left.since = Some(left.since.map_or(last, |since| since.min(last)));
        }
        if known.as_ref() != Some(&left) {
            write(&mut slot, &left)?;
        }
        let written = left.clone();
        Ok(Self { slot, left, written })
    }

    /// A spool that ended here, and of which the store of this origin knows more, is not as it was.
    pub(crate) fn last_of(&self, origin: &str) -> Seq {
        let since = self.left.since.filter(|_| self.left.looked.contains(origin));
        Seq::new(since.unwrap_or(self.left.first))
    }

    /// The stores of these origins were looked at, and not those of others.
    pub(crate) fn looked_at<'o>(
        &mut self,
        origins: impl Iterator<Item = &'o String>,
    ) -> Result<(), String> {
        let mut left = Left { first: self.left.first, ..Left::default() };
        let mut left_bytes = LOOKED_BYTES_MAX;
        for origin in origins {
            // with its quotes and the comma
            let Some(bytes) = left_bytes.checked_sub(origin.len().saturating_add(3)) else { break };
            left_bytes = bytes;
            left.looked.insert(origin.clone());
        }
        // what counts in this run stays as it is
        if left == self.written {
            return Ok(());
        }
        self.written = left;
        write(&mut self.slot, &self.written)
    }

    /// All stores were looked at.
    pub(crate) fn forget(&mut self) -> Result<(), String> {
        tolerate_full(self.slot.write(&[]))
    }
}

fn write<S: Storage>(slot: &mut TwoSlot<S>, left: &Left) -> Result<(), String> {
    let bytes = serde_json::to_vec(left).map_err(|error| format!("memory: {error}"))?;
    tolerate_full(slot.write(&bytes))
}

/// Without room no word is left: then a start is as if there had been none before it.
fn tolerate_full(written: Result<(), WriteError>) -> Result<(), String> {
    match written {
        Err(error) if error.is_fatal() => Err(format!("memory: {error}")),
        Err(error) => {
            tracing::warn!(%error, "no room to remember whether stores were looked at");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tidegate_durable::sim::SimFault;
    use tidegate_durable::sim::SimStorage;

    use super::*;

    fn first(memory: &SimStorage, last: u64) -> u64 {
        Unlooked::open(memory, Seq::new(last)).unwrap().last_of("o").get()
    }

    #[test]
    fn the_first_start_counts_until_all_stores_were_looked_at() {
        let memory = SimStorage::new();
        assert_eq!([5, 9, 3, 7].map(|last| first(&memory, last)), [5, 5, 3, 3]);
        let mut unlooked = Unlooked::open(&memory, Seq::new(8)).unwrap();
        unlooked.forget().unwrap();
        assert_eq!(unlooked.last_of("o").get(), 3, "of this run");
        drop(unlooked);
        assert_eq!(first(&memory, 12), 12);
    }

    /// A store that went on while another one could not be read is no sign of a restored state.
    #[test]
    fn a_store_that_was_looked_at_is_held_against_the_next_start_and_no_earlier_one() {
        let memory = SimStorage::new();
        let mut unlooked = Unlooked::open(&memory, Seq::new(5)).unwrap();
        unlooked.looked_at([&String::from("open")].into_iter()).unwrap();
        drop(unlooked);
        let unlooked = Unlooked::open(&memory, Seq::new(9)).unwrap();
        assert_eq!((unlooked.last_of("open").get(), unlooked.last_of("o").get()), (9, 5));
        drop(unlooked);
        // nor was it looked at in this run: the first start since counts
        let mut unlooked = Unlooked::open(&memory, Seq::new(14)).unwrap();
        assert_eq!((unlooked.last_of("open").get(), unlooked.last_of("o").get()), (9, 5));
        let many: Vec<String> = (0..5000).map(|origin| origin.to_string()).collect();
        unlooked.looked_at(many.iter()).unwrap();
        drop(unlooked);
        let unlooked = Unlooked::open(&memory, Seq::new(20)).unwrap();
        let n_looked = unlooked.left.looked.len();
        assert!((300..5000).contains(&n_looked), "as many as there is room for: {n_looked}");
        let found = ["0", "4999", "open"].map(|origin| unlooked.last_of(origin).get());
        assert_eq!(found, [20, 5, 5]);
    }

    #[test]
    fn a_full_or_damaged_state_keeps_no_daemon_from_starting() {
        for index in 0..3 {
            let memory = SimStorage::new().with_fault(index, SimFault::DiskFull);
            if let Ok(unlooked) = Unlooked::open(&memory, Seq::new(4)) {
                assert_eq!(unlooked.last_of("o").get(), 4);
            }
        }
        let memory = SimStorage::new();
        first(&memory, 4);
        let name = FileName::new(NAME).unwrap();
        let length = memory.content(&name).unwrap().len();
        memory.set_content(&name, vec![0xff; length]);
        assert_eq!(first(&memory, 6), 6);
    }
}
