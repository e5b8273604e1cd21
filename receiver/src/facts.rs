//! A journal of small facts that are all in memory as well.
//!
//! A fact is appended when it is learnt, and durable after the next sync. A full disk undoes what was
//! appended; from then on, and when most of the journal is outdated, it is written anew from memory.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_durable::FileName;
use tidegate_durable::Journal;
use tidegate_durable::JournalRecovery;
use tidegate_durable::OpenError;
use tidegate_durable::Storage;
use tidegate_durable::WriteError;

/// The only kind of record in such a journal.
const KIND_FACT: u8 = 1;

/// The journal; whoever has the facts brings them along.
#[derive(Debug)]
pub(crate) struct FactJournal<S: Storage> {
    journal: Journal<S>,
    is_dirty: bool,
    /// A full disk undid what had been appended: only a rewrite brings it back.
    is_behind: bool,
    rewrite_bytes: u64,
    rewrite_at_bytes: u64,
}

impl<S: Storage> FactJournal<S> {
    /// Opens the journal `name`. It is written anew when it has grown beyond `rewrite_bytes`, and
    /// beyond twice what it had after the last time.
    pub(crate) fn open(
        storage: S,
        name: &str,
        salt: u32,
        rewrite_bytes: u64,
    ) -> Result<(Self, JournalRecovery), OpenError> {
        let (journal, recovery) = Journal::open(storage, FileName::new(name)?, salt)?;
        let (is_dirty, is_behind) = (false, false);
        let rewrite_at_bytes = rewrite_bytes;
        Ok((Self { journal, is_dirty, is_behind, rewrite_bytes, rewrite_at_bytes }, recovery))
    }

    /// Adds a fact that is in memory from now on, also after an error.
    pub(crate) fn append(&mut self, fact: &impl Serialize) -> Result<(), WriteError> {
        self.is_dirty = true;
        let appended = self.journal.append(KIND_FACT, &encode(fact));
        self.is_behind |= appended.is_err();
        appended
    }

    /// Makes every fact durable; `all` are those in memory.
    pub(crate) fn sync<F: Serialize>(
        &mut self,
        all: impl IntoIterator<Item = F>,
    ) -> Result<(), WriteError> {
        if !self.is_dirty {
            return Ok(());
        }
        if !self.is_behind {
            let synced = self.journal.sync();
            self.is_behind = synced.is_err();
            synced?;
        }
        if self.is_behind || self.journal.bytes() > self.rewrite_at_bytes {
            let lines: Vec<Vec<u8>> = all.into_iter().map(|fact| encode(&fact)).collect();
            self.journal.rewrite(lines.iter().map(|line| (KIND_FACT, line.as_slice())))?;
            self.is_behind = false;
            self.rewrite_at_bytes = self.rewrite_bytes.max(self.journal.bytes().saturating_mul(2));
        }
        self.is_dirty = false;
        Ok(())
    }

    /// Makes every fact durable and closes in good order.
    pub(crate) fn close<F: Serialize>(
        mut self,
        all: impl IntoIterator<Item = F>,
    ) -> Result<(), WriteError> {
        self.sync(all)?;
        self.journal.close()
    }
}

/// What a journal says, in order. A line of a later release may say what this one does not know.
pub(crate) fn read<F: DeserializeOwned>(found: &JournalRecovery) -> impl Iterator<Item = F> {
    found.records.iter().flat_map(|record| serde_json::from_slice(&record.bytes))
}

fn encode(fact: &impl Serialize) -> Vec<u8> {
    // strings and numbers only: there is nothing in it that JSON could not hold
    serde_json::to_vec(fact).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tidegate_durable::sim::SimStorage;

    use super::*;

    const REWRITE_BYTES: u64 = 4096;

    /// Numbers 0 to 9, each told anew again and again; the last word on each counts.
    #[test]
    fn what_is_outdated_takes_no_room_for_good_and_what_counts_stays() {
        let disk = SimStorage::new();
        let open = || FactJournal::open(disk.clone(), "facts", 1, REWRITE_BYTES).unwrap();
        let (mut journal, _) = open();
        let mut facts = [(0_u64, 0_u64); 10];
        let mut longest = 0;
        for round in 0..1000 {
            let at = round % 10;
            facts[at] = (at as u64, round as u64);
            journal.append(&facts[at]).unwrap();
            journal.sync(facts).unwrap();
            longest = longest.max(journal.journal.bytes());
        }
        assert!((REWRITE_BYTES / 2..=REWRITE_BYTES).contains(&longest), "{longest}");
        drop(journal);
        let mut found = [(0, 0); 10];
        read::<(u64, u64)>(&open().1).for_each(|fact| found[fact.0 as usize] = fact);
        assert_eq!(found, facts);
    }
}
