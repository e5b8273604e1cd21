//! What stores lack: files that are gone or damaged, and lists of deletions that cannot be read. It is
//! told once, looked for again, and given up if somebody says so.

use std::io;
use std::sync::mpsc::SyncSender;

use tidegate_durable::Storage;
use tidegate_store::DirVolume;
use tidegate_store::Fault;
use tidegate_store::Store;

use super::Forgotten;
use super::Loader;
use super::storing::Stores;
use super::storing::WAITING_MAX;
use super::storing::failed;
use crate::gaps::Gap;
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
    fn count_files(&self) {
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
        let Some(stores) = &mut self.stores else { return Ok(()) };
        for (origin, store) in &mut stores.open {
            for file in store.find_lost().map_err(failed)? {
                tracing::info!(origin, file, "a lost file of the store is there again");
            }
            store.lose_missing().map_err(failed)?;
        }
        let open: Vec<String> = stores.open.keys().cloned().collect();
        self.tell_of(&open)
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
            return Ok(Err(format!("no store of origin {origin}")));
        }
        let forgotten = self.store(origin)?.forget_lost().map_err(failed)?;
        for file in &forgotten {
            tracing::warn!(origin, file, "a lost file of the store is given up");
        }
        self.count_files();
        Ok(Ok(forgotten))
    }
}
