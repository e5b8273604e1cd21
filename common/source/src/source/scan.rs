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
    fresh: Fresh,
}

impl TakingIn {
    /// A file is to be looked at once more when all folders are in.
    pub(super) fn touch(&mut self, identity: FileIdentity) {
        self.touched.insert(identity);
    }
}

/// Files that one scan saw for the first time.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    /// Partitions with a new target of a compaction.
    compacted: HashSet<(RegionKey, i64)>,
    named: HashSet<(Place, TsFileName)>,
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
        self.taking_in =
            Some(TakingIn { scan, next: 0, touched: HashSet::new(), fresh: Fresh::default() });
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
            n_files += self.observe(listing, &mut taking_in.touched, &mut taking_in.fresh);
        }
        self.taking_in = Some(taking_in);
        true
    }

    /// Compares one folder with what was known of it.
    ///
    /// Says how many files had to be looked at.
    fn observe(
        &mut self,
        listing: &Arc<Listing>,
        touched: &mut HashSet<FileIdentity>,
        fresh: &mut Fresh,
    ) -> usize {
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
            self.add_location(listing, file, touched, fresh);
        }
        listing.sealed.len()
    }

    /// All folders of a scan are taken in.
    fn end_scan(&mut self, taking_in: TakingIn) {
        let TakingIn { scan, mut touched, fresh, .. } = taking_in;
        self.drop_gone_folders(&scan, &mut touched);
        for identity in touched {
            self.settle_location(identity, &fresh);
        }
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
        fresh: &mut Fresh,
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
        fresh.insert(&listing.place, file.name);
        self.streams.entry(region.clone()).or_default().queue.insert(key);
        self.files.insert(
            file.identity,
            Tracked {
                region,
                locations: vec![location],
                mods: file.mods,
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

    /// A file's locations or mods changed in this scan: brings its queue entry in line.
    pub(super) fn settle_location(&mut self, identity: FileIdentity, fresh: &Fresh) {
        let Some(tracked) = self.files.get(&identity) else { return };
        let &State::Unsent(key) = &tracked.state else {
            return self.settle_mods(identity);
        };
        let region = tracked.region.clone();
        let stream = self.streams.entry(region.clone()).or_default();
        if stream.in_flight.is_some_and(|(_, in_flight)| in_flight == key) {
            return; // the reader holds it open; its outcome decides
        }
        if let Some(location) = tracked.locations.first() {
            let moved = location.name != key.name
                || location.place.space != key.space
                || location.place.partition != key.partition;
            let new = OrderKey {
                partition: location.place.partition,
                space: location.place.space,
                name: location.name,
                ..key
            };
            if moved {
                stream.queue.remove(&key);
                stream.aside.remove(&key);
            }
            if !stream.aside.contains_key(&new) {
                stream.queue.insert(new);
            }
            let tracked = self.files.get_mut(&identity).expect("the file was just looked at");
            tracked.state = State::Unsent(new);
            return;
        }
        stream.queue.remove(&key);
        stream.aside.remove(&key);
        if stream.blocked.as_ref().is_some_and(|(blocked, _)| *blocked == key) {
            (stream.blocked, stream.held_until) = (None, None);
        }
        self.files.remove(&identity);
        let place = Place { region, partition: key.partition, space: key.space };
        if fresh.supersedes(&place, key.name) {
            stream.superseded += 1;
            return;
        }
        stream.vanished += 1;
        self.effects.push_back(Effect::Gap(Gap {
            place,
            name: key.name,
            reason: GapReason::VanishedUnsent,
            bytes: (0, identity.length_bytes),
        }));
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

impl Fresh {
    fn insert(&mut self, place: &Place, name: TsFileName) {
        // IoTDB counts compactions in the name of their target; a flush has none.
        if name.inner > 0 || name.cross > 0 {
            self.compacted.insert((place.region.clone(), place.partition));
        }
        self.named.insert((place.clone(), name));
    }

    /// Whether what lay there under that name may be in one of these.
    fn supersedes(&self, place: &Place, name: TsFileName) -> bool {
        self.compacted.contains(&(place.region.clone(), place.partition))
            || self.named.contains(&(place.clone(), name))
    }
}
