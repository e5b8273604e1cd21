//! Taking in a scan: what appeared, moved, changed or vanished since the one before.
//!
//! A large scan is taken in part by part, so that the caller's loop can do other things meanwhile.

use std::collections::HashSet;
use std::sync::Arc;

use super::Effect;
use super::Folder;
use super::Location;
use super::Source;
use super::State;
use super::Tracked;
use super::was_rewritten;
use crate::gap::Gap;
use crate::gap::GapReason;
use crate::identity::FileIdentity;
use crate::identity::Place;
use crate::identity::RegionKey;
use crate::identity::TsFileName;
use crate::listing::Listing;
use crate::listing::Scan;
use crate::listing::SealedFile;
use crate::record::Record;
use crate::stream::OrderKey;
use crate::stream::Phase;

/// A scan of which a part is taken in.
#[derive(Debug)]
pub(super) struct TakingIn {
    scan: Arc<Scan>,
    /// The next folder.
    next: usize,
    touched: HashSet<FileIdentity>,
}

impl TakingIn {
    /// A file is to be looked at once more when all folders are in.
    pub(super) fn touch(&mut self, identity: FileIdentity) {
        self.touched.insert(identity);
    }
}

impl Source {
    /// A scan of the data directories ended: takes all of it in at once.
    pub fn handle_scan(&mut self, scan: &Scan) {
        self.begin_scan(Arc::new(scan.clone()));
        while self.take_in(usize::MAX) {}
    }

    /// A scan of the data directories ended: [`take_in`](Self::take_in) does the rest. What is left
    /// of an earlier one is taken in here and now.
    pub fn begin_scan(&mut self, scan: Arc<Scan>) {
        while self.take_in(usize::MAX) {}
        self.n_scans += 1;
        self.unread = scan.unread.iter().map(|unread| unread.reason.clone()).collect();
        self.taking_in = Some(TakingIn { scan, next: 0, touched: HashSet::new() });
    }

    /// Takes in folders of the scan until about `n_files_max` files were looked at; says whether
    /// anything is left. Until nothing is, no item leaves: the order is that of whole scans.
    pub fn take_in(&mut self, n_files_max: usize) -> bool {
        let Some(mut taking_in) = self.taking_in.take() else { return false };
        let mut n_files = 0usize;
        while n_files < n_files_max {
            let Some(listing) = taking_in.scan.listings.get(taking_in.next) else {
                self.end_scan(taking_in);
                return false;
            };
            taking_in.next += 1;
            n_files += self.observe(listing, &mut taking_in.touched);
        }
        self.taking_in = Some(taking_in);
        true
    }

    /// Compares one folder with what was known of it.
    ///
    /// Says how many files had to be looked at.
    fn observe(&mut self, listing: &Arc<Listing>, touched: &mut HashSet<FileIdentity>) -> usize {
        let folder_key = (listing.place.clone(), Arc::clone(&listing.folder));
        let before = self.folders.insert(
            folder_key,
            Folder { listing: Arc::clone(listing), seen_in_scan: self.n_scans },
        );
        let before = before.map(|folder| folder.listing);
        if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, listing)) {
            return 0;
        }
        let now: HashSet<(FileIdentity, TsFileName)> =
            listing.sealed.iter().map(|file| (file.identity, file.name)).collect();
        for old in before.iter().flat_map(|before| &before.sealed) {
            if !now.contains(&(old.identity, old.name)) {
                self.remove_location(listing, old, touched);
            }
        }
        for file in &listing.sealed {
            self.add_location(listing, file, touched);
        }
        listing.sealed.len()
    }

    /// All folders of a scan are taken in.
    fn end_scan(&mut self, taking_in: TakingIn) {
        let TakingIn { scan, mut touched, .. } = taking_in;
        self.drop_gone_folders(&scan, &mut touched);
        let mut vanished: Vec<FileIdentity> =
            touched.into_iter().filter(|identity| self.settle_location(*identity)).collect();
        vanished.sort_unstable();
        self.account_for(&vanished);
        for stream in self.streams.values_mut() {
            if stream.lost_in_scan.is_some_and(|scan| scan < self.n_scans) {
                stream.lost_in_scan = None;
            }
        }
        self.count_unsealed();
    }

    fn add_location(
        &mut self,
        listing: &Arc<Listing>,
        file: &SealedFile,
        touched: &mut HashSet<FileIdentity>,
    ) {
        let location = Location {
            place: listing.place.clone(),
            folder: Arc::clone(&listing.folder),
            name: file.name,
        };
        if let Some(tracked) = self.files.get_mut(&file.identity) {
            if !tracked.locations.contains(&location) {
                tracked.locations.push(location);
                touched.insert(file.identity);
            }
            if tracked.mods != file.mods {
                // Two names of one file may have deletions of their own, and no order.
                if let (State::Sent(sent), [_]) = (&mut tracked.state, &tracked.locations[..])
                    && was_rewritten(tracked.mods, file.mods)
                {
                    sent.mods = None;
                }
                tracked.mods = file.mods;
                touched.insert(file.identity);
            }
            return;
        }
        let key = self.order_key(&location, file.identity);
        let region = listing.place.region.clone();
        self.targets.note(&listing.place, file.name, file.identity);
        self.streams.entry(region.clone()).or_default().queue.insert(key);
        self.files.insert(
            file.identity,
            Tracked {
                region,
                locations: vec![location],
                mods: file.mods,
                seen_in_scan: self.n_scans,
                state: State::Unsent(key),
            },
        );
    }

    fn remove_location(
        &mut self,
        listing: &Arc<Listing>,
        old: &SealedFile,
        touched: &mut HashSet<FileIdentity>,
    ) {
        if let Some(tracked) = self.files.get_mut(&old.identity) {
            tracked.locations.retain(|location| {
                location.place != listing.place
                    || location.folder != listing.folder
                    || location.name != old.name
            });
            touched.insert(old.identity);
        }
    }

    /// Folders that were listed before and are not there any more.
    fn drop_gone_folders(&mut self, scan: &Scan, touched: &mut HashSet<FileIdentity>) {
        let blind = scan.unread.iter().any(|unread| unread.region.is_none());
        let unread: HashSet<&RegionKey> =
            scan.unread.iter().filter_map(|unread| unread.region.as_ref()).collect();
        let gone: Vec<(Place, Arc<str>)> = self
            .folders
            .iter()
            .filter(|((place, _), folder)| {
                folder.seen_in_scan < self.n_scans && !blind && !unread.contains(&place.region)
            })
            .map(|(folder_key, _)| folder_key.clone())
            .collect();
        for folder_key in gone {
            let folder = self.folders.remove(&folder_key).expect("the key was just listed");
            for old in &folder.listing.sealed {
                self.remove_location(&folder.listing, old, touched);
            }
        }
        // A file that could not be opened was either removed from its listing, which the loop
        // above saw, or it is still listed and may be tried again.
        let n_scans = self.n_scans;
        touched.extend(self.missing.extract_if(|_, since| *since < n_scans).map(|(it, _)| it));
    }

    /// A file's locations or mods changed in this scan: brings its queue entry in line. Says whether
    /// it vanished before it could leave.
    pub(super) fn settle_location(&mut self, identity: FileIdentity) -> bool {
        let Some(tracked) = self.files.get_mut(&identity) else { return false };
        let &State::Unsent(key) = &tracked.state else {
            self.settle_mods(identity);
            return false;
        };
        let stream = self.streams.entry(tracked.region.clone()).or_default();
        if stream.in_flight.is_some_and(|(_, in_flight)| in_flight == key) {
            return false; // the reader holds it open; its outcome decides
        }
        let Some(location) = tracked.locations.first() else { return true };
        let new = OrderKey {
            partition: location.place.partition,
            space: location.place.space,
            name: location.name,
            ..key
        };
        if new != key {
            stream.queue.remove(&key);
            stream.aside.remove(&key);
        }
        if !stream.aside.contains_key(&new) {
            stream.queue.insert(new);
        }
        tracked.state = State::Unsent(new);
        false
    }

    /// Deletions that appeared beside a file after it had left: a gap, recorded once.
    pub(super) fn settle_mods(&mut self, identity: FileIdentity) {
        let Some(Tracked { mods: Some(seen), state: State::Sent(sent), .. }) =
            self.files.get_mut(&identity)
        else {
            return;
        };
        let settled = sent
            .mods
            .filter(|settled| settled.kind == seen.kind)
            .map_or(0, |settled| settled.length_bytes);
        if seen.length_bytes <= settled {
            return;
        }
        sent.mods = Some(*seen);
        self.effects.push_back(Effect::Gap(Gap {
            place: sent.place.clone(),
            name: sent.name,
            reason: GapReason::ModsAfterFile,
            bytes: (settled, seen.length_bytes),
        }));
        self.effects.push_back(Effect::Cursor(Record::ModsSettled { identity, mods: *seen }));
    }

    fn count_unsealed(&mut self) {
        for stream in self.streams.values_mut() {
            stream.n_unsealed = 0;
        }
        for ((place, _), folder) in &self.folders {
            if let Some(stream) = self.streams.get_mut(&place.region) {
                stream.was_seen = true;
            }
            if folder.listing.n_unsealed > 0 {
                self.streams.entry(place.region.clone()).or_default().n_unsealed +=
                    folder.listing.n_unsealed;
            }
        }
    }

    fn order_key(&self, location: &Location, identity: FileIdentity) -> OrderKey {
        let history = location.name.time_ms < self.created_ms;
        OrderKey {
            phase: if history { Phase::History } else { Phase::Realtime },
            scan: self.n_scans,
            partition: location.place.partition,
            space: location.place.space,
            name: location.name,
            identity,
        }
    }
}
