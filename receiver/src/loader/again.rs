//! Gives stores again what they have lost and the spool still has.
//!
//! Reading goes back to where the first of them needs it. The others have had those records, and rows of
//! them may be in their memory behind newer ones: they are not given them again. Until all is done the
//! spool keeps everything, and nothing more is remembered of the stores in question.

use std::collections::BTreeMap;
use std::io;

use tidegate_durable::Record;
use tidegate_durable::Seq;
use tidegate_durable::Storage;
use tidegate_store::Applied;
use tidegate_store::DirVolume;
use tidegate_store::Store;
use tidegate_store::WHOLE_STORE;

use super::Loader;
use super::remembered::Found;
use super::remembered::Known;
use super::storing::Stores;
use super::storing::failed;
use crate::gaps::Gap;
use crate::gaps::Outcome;
use crate::status::StoreReport;

/// Most stores that status names one by one.
const NAMED_MAX: usize = 100;

/// What is read a second time.
#[derive(Debug)]
pub(super) struct Again {
    /// Up to here, itself not: all others go on from there.
    until: Seq,
    origins: BTreeMap<String, Restored>,
}

/// A store that is given records again.
#[derive(Clone, Debug)]
struct Restored {
    /// What is before this it has had.
    next: Seq,
    /// What the store was compared with, once it was.
    lacks: Option<Lacks>,
    /// Files that the staging directory does not have any more.
    files: u64,
    /// The records of the first and the last of them.
    between: Option<(u64, u64)>,
}

/// What a store lacks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Lacks {
    /// Up to here it has everything.
    found: u64,
    /// Up to here it had.
    expected: u64,
    /// It is the whole store, which is told of otherwise.
    is_whole: bool,
}

impl Again {
    fn before(until: Seq) -> Self {
        Self { until, origins: BTreeMap::new() }
    }

    /// Has an origin read again from a record on, while others may be, too; which record is next.
    ///
    /// # Arguments
    ///
    /// - `next`: the record that would be next without it
    fn begin(&mut self, next: Seq, origin: &str, from: Seq, lacks: Option<Lacks>) -> Seq {
        // the others go on from here, once it has come so far
        for other in self.origins.values_mut() {
            other.next = other.next.max(next);
        }
        let from = from.min(self.until);
        let restored = Restored { next: from, lacks, files: 0, between: None };
        self.origins.insert(origin.to_owned(), restored);
        next.min(from)
    }

    fn has_had(&self, origin: &str, record: Seq) -> bool {
        record < self.origins.get(origin).map_or(self.until, |restored| restored.next)
    }
}

impl Stores {
    /// Has an origin read again from a record on.
    fn read_again(&mut self, origin: &str, from: Seq, lacks: Option<Lacks>) {
        let again = self.again.get_or_insert_with(|| Again::before(self.next));
        self.next = again.begin(self.next, origin, from, lacks);
        // soon
        self.may_merge = true;
    }

    /// The record that an origin is given next, or a later one.
    pub(super) fn next_of(&self, origin: &str) -> Seq {
        let own = self
            .again
            .as_ref()
            .map(|again| again.origins.get(origin).map_or(again.until, |restored| restored.next));
        own.map_or(self.next, |own| own.max(self.next))
    }

    /// Whether an origin has had a record.
    pub(super) fn has_had(&self, origin: &str, record: Seq) -> bool {
        self.again.as_ref().is_some_and(|again| again.has_had(origin, record))
    }

    /// Whether a record is read a second time.
    pub(super) fn is_again(&self, record: Seq) -> bool {
        self.again.as_ref().is_some_and(|again| record < again.until)
    }

    /// Whether an origin is given records again.
    fn is_given_again(&self, origin: &str) -> bool {
        self.again.as_ref().is_some_and(|again| again.origins.contains_key(origin))
    }

    /// Remembers how far a store is; durable after the next sync.
    pub(super) fn remember_one(&mut self, origin: &str, known: Known) -> io::Result<()> {
        let next = self.next_of(origin);
        self.remembered.set(origin, known, next).map_err(io::Error::other)
    }

    /// A file of a record that is read a second time is there no more.
    fn lacks_file(&mut self, origin: &str, record: Seq) {
        let Some(again) = &mut self.again else { return };
        let Some(restored) = again.origins.get_mut(origin) else { return };
        let record = record.get();
        restored.files = restored.files.saturating_add(1);
        let (first, _) = restored.between.unwrap_or((record, record));
        restored.between = Some((first, record));
    }

    /// Remembers how far the stores are that are open.
    pub(super) fn remember(&mut self) -> io::Result<()> {
        for (origin, store) in &self.open {
            if !self.is_given_again(origin) {
                let known = self.remembered.set(origin, Known::of(store), self.next);
                known.map_err(io::Error::other)?;
            }
        }
        self.remembered.sync().map_err(io::Error::other)
    }
}

impl<S: Storage> Loader<S> {
    /// Holds a store that was just opened against what is remembered of it, and says which spool there is.
    pub(super) fn compare(&mut self, origin: &str, store: &mut Store<DirVolume>) -> io::Result<()> {
        let Some(stores) = &mut self.stores else { return Ok(()) };
        let known = stores.remembered.of(origin).filter(|known| !known.is_of_nothing());
        let is_compared = stores.again.as_ref().is_some_and(|again| {
            again.origins.get(origin).is_some_and(|restored| restored.lacks.is_some())
        });
        let found = match is_compared {
            true => Found::Sound,
            false => Found::of(store, known, stores.spool),
        };
        let last = known.map_or(0, |known| known.last.max(known.gone.unwrap_or(0)));
        if found == Found::Gone {
            tracing::error!(
                origin,
                last,
                "the store of an origin is gone, another one is made in its place"
            );
            store.replace_gone(last).map_err(failed)?;
        }
        // its catalog was made anew and does not say it any more
        if store.spool().is_none()
            && store.gone().is_none()
            && let Some(last) = known.and_then(|known| known.gone)
        {
            store.replace_gone(last).map_err(failed)?;
        }
        let begun = match found {
            Found::OlderNumbers => store.restart_spool(stores.spool),
            _ => store.begin_spool(stores.spool),
        };
        begun.map_err(failed)?;
        // one that was made anew and not given everything before the daemon ended
        let is_new = known.is_some_and(|known| known.is_replaced_by(store));
        let is_whole = is_new || found == Found::Gone;
        let is_back = known.is_some_and(|known| known.gone.is_some()) && store.gone().is_none();
        if is_back {
            tracing::info!(origin, "the store of an origin is there again");
            self.settle(origin, vec![WHOLE_STORE.to_owned()], Outcome::Back);
        }
        let base = store.standing().base;
        let Some(stores) = &mut self.stores else { return Ok(()) };
        match (found, known) {
            (Found::Sound, _) | (_, None) => {
                if base > 0 && known.is_none_or(|known| known.base != base) {
                    stores.remember_one(origin, Known::of(store))?;
                }
                Ok(())
            }
            (_, Some(known)) => {
                let position = store.position();
                let since = match found {
                    Found::OlderNumbers => known.since,
                    _ if known.base == base => known.since,
                    _ => position.saturating_add(1),
                };
                // what came before these numbers may be older than what it has
                let found = match found {
                    Found::OlderNumbers => since.saturating_sub(1),
                    _ => position.max(since.saturating_sub(1)),
                };
                let lacking = stores.remembered.set_lacking(origin, Known { base, since, ..known });
                lacking.map_err(io::Error::other)?;
                self.give_again(origin, Lacks { found, expected: known.last, is_whole })
            }
        }
    }

    /// Has a store that went back in time read again what the spool still has, and tells what it has not.
    fn give_again(&mut self, origin: &str, lacks: Lacks) -> io::Result<()> {
        let first = self.reader.first_seq().map_err(io::Error::other)?;
        let Lacks { found, expected, is_whole } = lacks;
        if !is_whole {
            tracing::error!(
                origin,
                expected,
                found,
                "the store of an origin is older than it was; it is given again what the spool still has"
            );
            let missing = found.saturating_add(1)..=first.get().saturating_sub(1).min(expected);
            if !missing.is_empty() {
                let item = format!("records {} to {}", missing.start(), missing.end());
                let reason = told_of_older(lacks, "what of them is of this origin is");
                let gap = Gap { origin: origin.to_owned(), item, reason };
                self.report_lost(vec![gap])?;
            }
            let report = StoreReport { origin: origin.to_owned(), expected, found };
            self.note(|it| {
                it.older.retain(|older| older.origin != report.origin);
                if it.older.len() < NAMED_MAX {
                    it.older.push(report);
                }
            });
        }
        let from = Seq::new(found).next().max(first);
        if let Some(stores) = &mut self.stores {
            stores.read_again(origin, from, Some(lacks));
        }
        Ok(())
    }

    /// A file that comes again, and was moved into the store when it came first.
    pub(super) fn miss_file(&mut self, record: &Record) -> io::Result<Applied> {
        let sequence = record.seq.get();
        let store = self.store(&record.origin)?;
        let has_it = store.has(sequence);
        store.pass(sequence);
        if let Some(stores) = self.stores.as_mut().filter(|_| !has_it) {
            stores.lacks_file(&record.origin, record.seq);
        }
        Ok(Applied { is_refused: true, ..Applied::default() })
    }

    /// Once everything was read a second time: writes it to files, and lets the spool go on.
    pub(super) fn finish_again(&mut self) -> io::Result<()> {
        let Some(stores) = &mut self.stores else { return Ok(()) };
        if stores.again.as_ref().is_none_or(|again| stores.next < again.until) {
            return Ok(());
        }
        stores.flush().map_err(failed)?;
        let given = stores.again.iter().flat_map(|again| again.origins.keys().cloned());
        let mut known = Vec::new();
        for origin in given.collect::<Vec<_>>() {
            known.push((Known::of(self.store(&origin)?), origin));
        }
        let Some(stores) = &mut self.stores else { return Ok(()) };
        // one that was opened only now may need more
        let Some(again) = stores.again.take_if(|again| stores.next >= again.until) else {
            return Ok(());
        };
        let mut gaps = Vec::new();
        for (origin, restored) in again.origins {
            let Restored { lacks, files, between, .. } = restored;
            if let (Some(lacks), Some((first, last))) = (lacks.filter(|it| !it.is_whole), between) {
                let item = format!("{files} files of records {first} to {last}");
                let reason = told_of_older(lacks, "which are kept in the store alone, are");
                gaps.push(Gap { origin, item, reason });
            }
        }
        self.report_lost(gaps)?;
        let Some(stores) = &mut self.stores else { return Ok(()) };
        for (known, origin) in known {
            stores.remember_one(&origin, known)?;
        }
        stores.remember()
    }

    /// Closes stores whose directories or catalogs were taken away, or that others were put in the places
    /// of, and has read again what is not sure to be there.
    pub(super) fn close_moved(&mut self) -> io::Result<()> {
        let from = self.consumer.position().next();
        let Some(stores) = &mut self.stores else { return Ok(()) };
        let moved = stores.open.iter().filter(|(_, store)| !store.is_in_place());
        let moved: Vec<String> = moved.map(|(origin, _)| origin.clone()).collect();
        if moved.is_empty() {
            return Ok(());
        }
        // all of them are when the target is
        self.places.target.check()?;
        for origin in moved {
            tracing::error!(
                origin,
                "the directory of a store or its catalog is gone, or another one is in its place"
            );
            let closed = stores.open.remove(&origin);
            if let Some(closed) = closed.filter(|_| !stores.is_given_again(&origin)) {
                // else it would not be missed what went into files that are not there any more
                stores.remember_one(&origin, Known::of(&closed))?;
            }
            if let Some(again) = &mut stores.again {
                // it may be another one now
                again.origins.remove(&origin);
            }
            stores.read_again(&origin, from, None);
        }
        stores.remembered.sync().map_err(io::Error::other)?;
        self.open_remembered()
    }

    /// Opens stores that are remembered and not there.
    pub(super) fn open_remembered(&mut self) -> io::Result<()> {
        let there = self.stored_origins()?;
        let Some(stores) = &self.stores else { return Ok(()) };
        let gone = stores.remembered.origins().filter(|it| !there.contains(*it));
        for origin in gone.cloned().collect::<Vec<_>>() {
            self.store(&origin)?;
        }
        Ok(())
    }
}

fn told_of_older(Lacks { found, expected, .. }: Lacks, what: &str) -> String {
    format!(
        "expected the store to have records up to {expected}, found one with records up to {found}: an \
         older copy was put in its place; {what} in no answer, and not in the spool any more. Put the \
         newer store back, or send them again"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stores are closed and found to be older at any moment, also of each other's second reading.
    #[test]
    fn every_store_is_given_what_it_lacks_in_order_and_nothing_that_it_has() {
        const LAST: u64 = 40;
        let mut random = 1_u64;
        let mut below = |most: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % most
        };
        for _ in 0..20_000 {
            let names = ["a", "b", "c"];
            // what each of them has: everything up to this
            let mut held = [0_u64; 3];
            let (mut next, mut again) = (Seq::new(1), None::<Again>);
            while next.get() <= LAST || again.is_some() {
                if again.as_ref().is_some_and(|again| next >= again.until) {
                    again = None;
                    continue;
                }
                if below(12) == 0 {
                    let origin = below(3) as usize;
                    held[origin] = below(held[origin] + 1);
                    let own = again.get_or_insert_with(|| Again::before(next));
                    next = own.begin(next, names[origin], Seq::new(held[origin] + 1), None);
                    continue;
                }
                for (name, held) in names.iter().zip(&mut held) {
                    if !again.as_ref().is_some_and(|again| again.has_had(name, next)) {
                        assert_eq!(*held + 1, next.get(), "{name}");
                        *held = next.get();
                    }
                }
                next = next.next();
            }
            assert_eq!(held, [LAST; 3]);
        }
    }
}
