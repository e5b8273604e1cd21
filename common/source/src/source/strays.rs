//! Lists of deletions beside files that no scan has shown.
//!
//! A compaction's target may take in a file that has left, get a deletion beside it, and go into the
//! next target, all between two scans. The watcher has seen the list.

use std::sync::Arc;

use super::Source;
use crate::deletion::Scope;
use crate::gap::GapReason;
use crate::identity::FileIdentity;
use crate::identity::TsFileName;
use crate::listing::LastMods;
use crate::listing::Listing;
use crate::listing::Scan;
use crate::listing::Watched;
use crate::record::Known;

impl Source {
    /// Puts the deletions of lists into the stream whose files came and went, or says that they were
    /// not read.
    pub(super) fn take_strays(&mut self, scan: &Scan) {
        let carried = std::mem::take(&mut self.strays);
        let Watched::Yes { touched, .. } = &scan.watched else {
            // Then nobody trusts what went at all.
            self.gone_names.clear();
            return;
        };
        let mut last: Vec<(FileIdentity, &LastMods)> =
            scan.last_mods.iter().map(|(identity, last)| (*identity, last)).collect();
        last.sort_unstable_by_key(|(identity, _)| *identity);
        let mut strays: Vec<&(Arc<str>, TsFileName)> = touched.union(&carried).collect();
        strays.sort_unstable();
        for at in strays {
            let Some(folder) = self.folders.get(&at.0) else { continue };
            let listing = Arc::clone(&folder.listing);
            if is_in(&listing, at.1) || self.gone_names.contains(at) {
                continue;
            }
            match last.iter().find(|(_, last)| last.at == *at) {
                Some(&(identity, last)) => self.take_stray(&listing, identity, last),
                // It may have come after its folder was listed.
                None if !carried.contains(at) || folder.seen_in_scan < self.n_scans => {
                    self.strays.insert(at.clone());
                }
                None => self.miss_stray(&listing, at.1),
            }
        }
        self.gone_names.retain(|at| touched.contains(at));
    }

    fn take_stray(&mut self, listing: &Listing, identity: FileIdentity, last: &LastMods) {
        let region = &listing.place.region;
        let file = Known { place: listing.place.clone(), name: last.at.1, identity };
        let mut is_missed = last.mods.damage.is_some();
        for entry in &last.mods.entries {
            match &entry.scope {
                Scope::Nothing => (),
                Scope::Unknown => is_missed = true,
                Scope::Cut(deletion) => {
                    let known = self.regions.entry(region.clone()).or_default();
                    known.deletions.put(entry.key, deletion.clone(), &file);
                    // Whether it left before, beside what the file was made of, nobody knows.
                    self.requeue_behind(region, file.place.partition, entry.key, deletion);
                }
            }
        }
        if is_missed {
            self.miss_stray(listing, last.at.1);
        }
    }

    fn miss_stray(&mut self, listing: &Listing, name: TsFileName) {
        let identity = FileIdentity { inode: 0, length_bytes: 0, mtime_ns: 0 };
        let file = Known { place: listing.place.clone(), name, identity };
        self.gap(GapReason::DeletionsUnseen, file, 1, (0, 0), None);
    }
}

fn is_in(listing: &Listing, name: TsFileName) -> bool {
    listing.unsealed.contains(&name) || listing.sealed.iter().any(|file| file.name == name)
}
