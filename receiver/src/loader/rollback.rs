//! Whether the spool is as the stores remember it, also after a start at which nobody could ask them.
//!
//! A state that was restored from a copy has a shorter spool than a store knows of. It shows as long as
//! the spool has not grown to where it was: so what counts is its last record at the first start since
//! the stores were last looked at. Where the target was away or could not be read then, the next start
//! has to know that. A store that went on meanwhile, since another one alone could not be read, then
//! passes for one that knows more, too: its records come again, in their order, which changes nothing.

use tidegate_durable::FileName;
use tidegate_durable::OpenError;
use tidegate_durable::Seq;
use tidegate_durable::Storage;
use tidegate_durable::TwoSlot;
use tidegate_durable::WriteError;

/// The file, among the small facts of the state.
const NAME: &str = "unlooked";

/// The last record of the spool at the first start since all stores were looked at.
#[derive(Debug)]
pub(crate) struct Unlooked<S: Storage> {
    slot: TwoSlot<S>,
    first: Seq,
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
        let known = content.payload.as_deref().and_then(|bytes| bytes.try_into().ok());
        let known = known.map(|bytes| Seq::new(u64::from_be_bytes(bytes)));
        let first = known.map_or(last, |known| known.min(last));
        if known != Some(first) {
            tolerate_full(slot.write(&first.get().to_be_bytes()))?;
        }
        Ok(Self { slot, first })
    }

    /// A spool that ends here and whose stores know more is not as it was.
    pub(crate) fn first(&self) -> Seq {
        self.first
    }

    /// All stores were looked at.
    pub(crate) fn forget(&mut self) -> Result<(), String> {
        tolerate_full(self.slot.write(&[]))
    }
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
        Unlooked::open(memory, Seq::new(last)).unwrap().first().get()
    }

    #[test]
    fn the_first_start_counts_until_all_stores_were_looked_at() {
        let memory = SimStorage::new();
        assert_eq!([5, 9, 3, 7].map(|last| first(&memory, last)), [5, 5, 3, 3]);
        let mut unlooked = Unlooked::open(&memory, Seq::new(8)).unwrap();
        unlooked.forget().unwrap();
        assert_eq!(unlooked.first().get(), 3, "of this run");
        drop(unlooked);
        assert_eq!(first(&memory, 12), 12);
    }

    #[test]
    fn a_full_or_damaged_state_keeps_no_daemon_from_starting() {
        for index in 0..3 {
            let memory = SimStorage::new().with_fault(index, SimFault::DiskFull);
            if let Ok(unlooked) = Unlooked::open(&memory, Seq::new(4)) {
                assert_eq!(unlooked.first().get(), 4);
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
