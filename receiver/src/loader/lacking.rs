//! What stores lack: files that are gone or damaged, and lists of deletions that are. It is told once,
//! looked for again, and given up if somebody says so.

use std::io;
use std::sync::mpsc::SyncSender;

use tidegate_durable::Storage;
use tidegate_store::DirVolume;
use tidegate_store::Fault;
use tidegate_store::Store;
use tidegate_store::WHOLE_STORE;

use super::Forgotten;
use super::Loader;
use super::storing::Stores;
use super::storing::WAITING_MAX;
use super::storing::failed;
use crate::gaps::Gap;
use crate::gaps::Outcome;
use crate::keeper::KeeperOp;
use crate::status::StoreReport;

/// Gaps that are remembered as told; beyond that they are looked up again.
const TOLD_MAX: usize = 10_000;

impl Stores {
    fn remember_told(&mut self, gaps: Vec<Gap>) {
        if self.told.len() > TOLD_MAX {
            self.told.clear();
        }
        self.told.extend(gaps);
    }

    /// Remembers to give up what is lost of an origin.
    pub(super) fn will_forget(&mut self, origin: String, reply: SyncSender<Forgotten>) {
        if self.forgetting.len() < WAITING_MAX {
            self.forgetting.push((origin, reply));
        }
    }
}

/// Says which files beside others had to be made anew.
pub(super) fn tell_remade(origin: &str, store: &mut Store<DirVolume>) {
    for file in store.take_remade() {
        tracing::warn!(
            origin,
            file,
            "a file of the store was not as it was written and is made anew"
        );
    }
}

impl<S: Storage> Loader<S> {
    /// Leaves gap records of what is missing in a store or wrong with it. All of it is found again at
    /// every start, and a record that is there is not made twice.
    pub(super) fn tell(&mut self, origin: &str, store: &Store<DirVolume>) -> io::Result<()> {
        let gaps = self.untold(origin, store);
        self.tell_gaps(gaps)
    }

    fn tell_gaps(&mut self, gaps: Vec<Gap>) -> io::Result<()> {
        self.report_lost(gaps.clone())?;
        if let Some(stores) = &mut self.stores {
            stores.remember_told(gaps);
        }
        Ok(())
    }

    /// What is missing in a store or wrong with it, and was not told since the start.
    pub(super) fn untold(&self, origin: &str, store: &Store<DirVolume>) -> Vec<Gap> {
        let Some(stores) = &self.stores else { return Vec::new() };
        let gap =
            |Fault { item, what, .. }: Fault| Gap { origin: origin.to_owned(), item, reason: what };
        let gaps = store.faults().into_iter().map(gap);
        gaps.filter(|gap| !stores.told.contains(gap)).collect()
    }

    /// Leaves gap records of what stores that are open lack.
    pub(super) fn tell_of(&mut self, origins: &[String]) -> io::Result<()> {
        let Some(stores) = &self.stores else { return Ok(()) };
        let all = origins.iter().filter_map(|origin| Some((origin, stores.open.get(origin)?)));
        let gaps: Vec<Gap> = all.flat_map(|(origin, store)| self.untold(origin, store)).collect();
        self.tell_gaps(gaps)?;
        self.count_files();
        Ok(())
    }

    /// Says how many files are not as they should be, in stores that are open.
    pub(super) fn count_files(&self) {
        let Some(stores) = &self.stores else { return };
        let unmergeable = stores.open.values().map(Store::n_unmergeable).sum();
        let lost = stores.open.values().map(|store| store.lost().count()).sum();
        let gone = stores.open.iter().filter_map(|(origin, store)| {
            let (origin, expected) = (origin.clone(), store.gone()?);
            Some(StoreReport { origin, expected, found: 0 })
        });
        let gone: Vec<StoreReport> = gone.collect();
        self.note(|report| {
            (report.unmergeable, report.lost, report.gone) = (unmergeable, lost, gone);
        });
    }

    /// Looks whether lost files are there again, and whether others are lost.
    pub(super) fn find_lost(&mut self) -> io::Result<()> {
        self.find_back()?;
        let Some(stores) = &mut self.stores else { return Ok(()) };
        for (origin, store) in &mut stores.open {
            store.lose_missing().map_err(failed)?;
            tell_remade(origin, store);
        }
        let open: Vec<String> = stores.open.keys().cloned().collect();
        self.tell_of(&open)
    }

    /// Says which lost files of a store are there again.
    pub(super) fn tell_found(&mut self, origin: &str, found: &[String]) {
        for file in found {
            tracing::info!(origin, file, "a lost file of the store is there again");
        }
        self.settle(origin, found.to_vec(), Outcome::Back);
    }

    /// Has gap records say what has become of what they name. It is told anew should it be lost again.
    pub(super) fn settle(&mut self, origin: &str, items: Vec<String>, outcome: Outcome) {
        if items.is_empty() {
            return;
        }
        if let Some(stores) = &mut self.stores {
            stores.told.retain(|gap| gap.origin != *origin || !items.contains(&gap.item));
        }
        let _ = self.keeper.send(KeeperOp::Settled { origin: origin.to_owned(), items, outcome });
    }

    /// Looks whether lost files are there again.
    pub(super) fn find_back(&mut self) -> io::Result<()> {
        let Some(stores) = &mut self.stores else { return Ok(()) };
        let mut looked = Vec::new();
        for (origin, store) in &mut stores.open {
            if store.lost().next().is_some() {
                looked.push((origin.clone(), store.find_lost().map_err(failed)?));
            }
        }
        looked.iter().for_each(|(origin, found)| self.tell_found(origin, found));
        let origins: Vec<String> = looked.into_iter().map(|(origin, _)| origin).collect();
        self.tell_of(&origins)
    }

    /// Gives up what is lost where somebody says so.
    pub(super) fn forget_lost(&mut self) -> io::Result<()> {
        let Some(stores) = &mut self.stores else { return Ok(()) };
        for (origin, reply) in core::mem::take(&mut stores.forgetting) {
            let forgotten = self.forget_lost_of(&origin);
            // who asked may have gone
            let _ = reply.try_send(match &forgotten {
                Ok(forgotten) => forgotten.clone(),
                Err(error) => Err(error.to_string()),
            });
            forgotten.map(drop)?;
        }
        Ok(())
    }

    fn forget_lost_of(&mut self, origin: &str) -> io::Result<Forgotten> {
        if !self.stored_origins()?.contains(origin) {
            let known: Vec<String> = self.stored_origins()?.into_iter().collect();
            let known = known.join(", ");
            return Ok(Err(format!("no store of origin {origin}, there are those of: {known}")));
        }
        let forgotten = self.store(origin)?.forget_lost().map_err(failed)?;
        if let Some(stores) = &mut self.stores {
            stores.remember()?;
        }
        for file in &forgotten {
            tracing::warn!(origin, file, "a lost file of the store is given up");
        }
        self.count_files();
        let is_whole = |item: &String| item.starts_with(WHOLE_STORE);
        let whole = forgotten.iter().find(|item| is_whole(item)).map(|_| WHOLE_STORE.to_owned());
        let files = forgotten.iter().filter(|item| !is_whole(item)).cloned();
        self.settle(origin, files.chain(whole).collect(), Outcome::GivenUp);
        Ok(Ok(forgotten))
    }
}

/// Says which files are kept that were put back after they had been given up.
pub(super) fn tell_kept(origin: &str, store: &Store<DirVolume>) {
    for file in store.kept_aside() {
        tracing::warn!(
            origin,
            file,
            "a file that had been given up was there again; it is kept, and counts for nothing"
        );
    }
}
