//! Lists of deletions beside files that no scan has shown.
//!
//! A compaction's target may take in a file that has left, get a deletion beside it, and go into the
//! next target, all between two scans. The watcher has seen the list.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use super::Source;
use crate::deletion::Scope;
use crate::gap::GapReason;
use crate::identity::FileIdentity;
use crate::identity::Place;
use crate::identity::TsFileName;
use crate::listing::LastMods;
use crate::listing::Listing;
use crate::listing::Scan;
use crate::listing::Watched;
use crate::record::Known;

/// A list, by its folder and the name of its file.
type At = (Arc<str>, TsFileName);

/// A name that is gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct GoneName {
    /// Whether the deletions that stood beside it have been taken, need not be, or are on record as
    /// missed.
    pub(super) is_dealt_with: bool,
    /// The scan in which it went, or in which the watcher told of it last.
    pub(super) n_scans: u64,
}

impl Source {
    /// Puts the deletions of lists into the stream whose files came and went, or says that they were
    /// not read.
    ///
    /// # Arguments
    ///
    /// - `gone_folders`: those that went in this scan
    pub(super) fn take_strays(&mut self, scan: &Scan, gone_folders: &HashMap<Arc<str>, Place>) {
        let carried = std::mem::take(&mut self.strays);
        let none = HashSet::new();
        let touched = match &scan.watched {
            Watched::Yes { touched, .. } => touched,
            // Then nobody trusts what went at all.
            Watched::No => &none,
        };
        let strays = touched.union(&carried).filter(|at| !self.is_sealed_at(at));
        let mut strays: Vec<&At> = strays.collect();
        strays.sort_unstable();
        for at in strays {
            let (place, may_yet_come) = match (self.folders.get(&at.0), gone_folders.get(&at.0)) {
                (Some(folder), _) => {
                    let is_listed = folder.seen_in_scan == self.n_scans;
                    let is_open = folder.listing.is_unsealed(at.1);
                    // It may have come after its folder was listed, or not be sealed yet.
                    (folder.listing.place.clone(), !carried.contains(at) || !is_listed || is_open)
                }
                (None, Some(place)) => (place.clone(), false),
                (None, None) => continue,
            };
            let caught = scan.last_mods.iter().filter(|(_, last)| last.at == *at);
            let caught = caught.min_by_key(|(identity, _)| **identity);
            if let Some(gone) = self.gone_names.get_mut(at)
                // It may have had more beside it after it was first dealt with.
                && (caught.is_none() || gone.n_scans == self.n_scans)
            {
                gone.n_scans = self.n_scans;
                if !std::mem::replace(&mut gone.is_dealt_with, true) {
                    self.miss_stray(place, at.1);
                }
                continue;
            }
            match caught {
                Some((&identity, last)) => self.take_stray(place, identity, last),
                None if may_yet_come => {
                    self.strays.insert(at.clone());
                    continue;
                }
                None => self.miss_stray(place, at.1),
            }
            self.deal_with(at.clone());
        }
        let n_scans = self.n_scans;
        // The watcher may hear of a list in the scan after the one in which its file went.
        self.gone_names.retain(|_, gone| gone.n_scans + 1 >= n_scans);
    }

    /// Whether a file is listed sealed: its list is read where it stands.
    fn is_sealed_at(&self, (folder, name): &At) -> bool {
        self.folders.get(folder).is_some_and(|it| it.listing.sealed_at(*name).is_some())
    }

    /// Lists that were written to before the first scan say nothing.
    pub(super) fn pass_over(&mut self, touched: &HashSet<At>) {
        touched.iter().cloned().for_each(|at| self.deal_with(at));
    }

    /// Files that were open and are there no more had never left: what was deleted beside them has
    /// been applied by whatever took them in, and that leaves whole.
    pub(super) fn note_gone_open_files(&mut self, before: &Listing, now: Option<&Listing>) {
        for &name in before.unsealed.iter().filter(|name| !name.is_of_compaction()) {
            if !now.is_some_and(|now| now.shows(name)) {
                self.deal_with((Arc::clone(&before.folder), name));
            }
        }
    }

    fn deal_with(&mut self, at: At) {
        let n_scans = self.n_scans;
        self.gone_names.insert(at, GoneName { is_dealt_with: true, n_scans });
    }

    fn take_stray(&mut self, place: Place, identity: FileIdentity, last: &LastMods) {
        // Another name of a file that went, and that may leave from its pin.
        let region = self.regions.entry(place.region.clone()).or_default();
        let mut lost = region.partitions.values_mut().flat_map(|it| &mut it.lost);
        if let Some(lost) = lost.find(|it| it.gone.file.identity == identity) {
            lost.last_mods = Some(Arc::clone(&last.mods));
        } else if let Some(tracked) = self.files.get_mut(&identity).filter(|it| it.is_orphan) {
            tracked.extra_mut().last_mods = Some(Arc::clone(&last.mods));
        }
        let file = Known { place, name: last.at.1, identity };
        let mut is_missed = last.mods.damage.is_some();
        for entry in &last.mods.entries {
            match &entry.scope {
                Scope::Nothing => (),
                Scope::Unknown => is_missed = true,
                // Whether it left before, beside what the file was made of, nobody knows.
                Scope::Cut(deletion) => self.repeat_deletion(&file, entry.key, deletion),
            }
        }
        if is_missed {
            self.miss_stray(file.place, file.name);
        }
    }

    fn miss_stray(&mut self, place: Place, name: TsFileName) {
        let identity = FileIdentity { inode: 0, length_bytes: 0, mtime_ns: 0 };
        let file = Known { place, name, identity };
        self.gap(GapReason::DeletionsUnseen, file, 1, (0, 0), None);
    }
}
