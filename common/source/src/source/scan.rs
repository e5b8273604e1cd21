//! Taking in a scan: what appeared, moved, changed or vanished since the one before.
//!
//! A large scan is taken in part by part, so that the caller's loop can do other things meanwhile.

use core::time::Duration;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use tidegate_model::Time;

use super::Extra;
use super::Folder;
use super::Left;
use super::Location;
use super::Locations;
use super::ModsTaken;
use super::NO_EXTRA;
use super::Origin;
use super::Source;
use super::Spot;
use super::State;
use super::Tracked;
use super::Without;
use super::strays::GoneName;
use crate::identity::FileIdentity;
use crate::identity::Place;
use crate::identity::Space;
use crate::identity::TsFileName;
use crate::item::Form;
use crate::listing::Listing;
use crate::listing::ModsRead;
use crate::listing::Scan;
use crate::listing::SealedFile;
use crate::listing::Watched;
use crate::partition::Partition;
use crate::record::Record;
use crate::region::OrderKey;
use crate::region::Phase;

/// A region of which nothing was found so long after everything could be read first is gone. What
/// is mounted later than that is taken for new, and leaves again.
const MISSES_A_REGION: Duration = Duration::from_secs(300);

/// A scan of which a part is taken in.
#[derive(Debug)]
pub(super) struct TakingIn {
    pub(super) scan: Arc<Scan>,
    /// The next folder.
    next: usize,
    /// Files whose places changed.
    pub(super) touched: BTreeSet<FileIdentity>,
    /// Files that were not known, or only remembered.
    pub(super) fresh: Vec<FileIdentity>,
    /// Files whose mods changed.
    pub(super) with_mods: BTreeSet<FileIdentity>,
    /// Files that are no longer young.
    pub(super) grown_up: Vec<FileIdentity>,
    /// Deletions beside files that went, if they were written to meanwhile.
    pub(super) last_mods: HashMap<FileIdentity, Arc<ModsRead>>,
    /// Folders that went, and what was in them.
    pub(super) gone_folders: HashMap<Arc<str>, Place>,
}

impl Source {
    /// A scan of the data directories ended: takes all of it in at once.
    pub fn handle_scan(&mut self, now: Time, scan: &Scan) {
        self.begin_scan(now, Arc::new(scan.clone()));
        while self.take_in(usize::MAX) {}
    }

    /// A scan of the data directories ended: [`take_in`](Self::take_in) does the rest. What is left
    /// of an earlier one is taken in here and now.
    pub fn begin_scan(&mut self, now: Time, scan: Arc<Scan>) {
        while self.take_in(usize::MAX) {}
        // What a watcher saw since the scan before says nothing to one who has not seen that.
        let scan = match &scan.watched {
            Watched::Yes { touched, .. } if self.n_scans == 0 => {
                self.pass_over(touched);
                Arc::new(Scan { watched: Watched::No, ..Scan::clone(&scan) })
            }
            Watched::Yes { .. } | Watched::No => scan,
        };
        self.clock = now;
        if self.n_scans == 0 {
            self.doubt_unanswered();
        }
        self.n_scans += 1;
        self.unread = scan.unread.iter().map(|unread| unread.reason.clone()).collect();
        self.skipped.clone_from(&scan.skipped);
        // A first scan finds all there is; to grow by doubling would take three times the room.
        let n_sealed: usize = scan.listings.iter().map(|listing| listing.sealed.len()).sum();
        let n_fresh = if self.files.is_empty() { n_sealed } else { 0 };
        self.files.reserve(n_fresh);
        self.effects.reserve_exact(n_fresh);
        self.taking_in = Some(TakingIn {
            scan,
            next: 0,
            touched: BTreeSet::new(),
            fresh: Vec::with_capacity(n_fresh),
            with_mods: BTreeSet::new(),
            grown_up: Vec::new(),
            last_mods: HashMap::new(),
            gone_folders: HashMap::new(),
        });
    }

    /// Takes in folders of the scan until about `n_files_max` files were looked at; says whether
    /// anything is left. Until nothing is, no item leaves: the order is that of whole scans.
    pub fn take_in(&mut self, n_files_max: usize) -> bool {
        let Some(mut taking_in) = self.taking_in.take() else { return false };
        let mut n_files = 0usize;
        while n_files < n_files_max {
            let Some(listing) = taking_in.scan.listings.get(taking_in.next).cloned() else {
                self.end_scan(taking_in);
                return false;
            };
            taking_in.next += 1;
            n_files += self.observe(&listing, &mut taking_in);
        }
        self.taking_in = Some(taking_in);
        true
    }

    /// Compares one folder with what was known of it.
    ///
    /// Says how many files had to be looked at.
    fn observe(&mut self, listing: &Arc<Listing>, taking_in: &mut TakingIn) -> usize {
        let seen_in_scan = self.n_scans;
        let before = match self.folders.get_mut(&listing.folder) {
            Some(folder) => {
                let last_seen = std::mem::replace(&mut folder.seen_in_scan, seen_in_scan);
                if Arc::ptr_eq(&folder.listing, listing) {
                    return 0;
                }
                let before = std::mem::replace(&mut folder.listing, Arc::clone(listing));
                if folder.spot.place != listing.place {
                    folder.spot = spot_of(listing);
                }
                let spot = Arc::clone(&folder.spot);
                Some(Folder { listing: before, spot, seen_in_scan: last_seen })
            }
            None => {
                let spot = spot_of(listing);
                let folder = Folder { listing: Arc::clone(listing), spot, seen_in_scan };
                self.folders.insert(Arc::clone(&listing.folder), folder);
                None
            }
        };
        let region = self.regions.entry(listing.place.region.clone()).or_default();
        region.is_seen = true;
        region.is_stirred = true;
        region
            .partitions
            .entry(listing.place.partition)
            .or_insert_with(|| Partition { first_scan: self.n_scans, ..Partition::default() });
        let now: HashSet<(FileIdentity, TsFileName)> =
            listing.sealed.iter().map(|file| (file.identity, file.name)).collect();
        if let Some(before) = before {
            let has_moved = before.listing.place != listing.place;
            let is_gone = |old: &SealedFile| has_moved || !now.contains(&(old.identity, old.name));
            self.remove_locations(&before, is_gone, taking_in);
            self.note_gone_open_files(&before.listing, Some(listing));
        }
        let spot = Arc::clone(&self.folders[&listing.folder].spot);
        for file in &listing.sealed {
            self.add_location(listing, &spot, file, taking_in);
        }
        listing.sealed.len()
    }

    fn add_location(
        &mut self,
        listing: &Arc<Listing>,
        spot: &Arc<Spot>,
        file: &SealedFile,
        taking_in: &mut TakingIn,
    ) {
        let location = Location { spot: Arc::clone(spot), name: file.name };
        let identity = file.identity;
        if let Some(tracked) = self.files.get_mut(&identity) {
            if !std::mem::replace(&mut tracked.is_found, true) {
                if let State::Waiting(_) = tracked.state {
                    // An orphan of an earlier run that lies somewhere again.
                    let region = self.regions.entry(tracked.region().clone()).or_default();
                    region.count_waiting(tracked.first_scan, false);
                    region.count_waiting(self.n_scans, true);
                }
                tracked.first_scan = self.n_scans;
                tracked.facts = Arc::clone(&file.facts);
                if file.mods.is_some() || *tracked.extra() != NO_EXTRA {
                    tracked.extra_mut().mods = file.mods.clone();
                    taking_in.with_mods.insert(identity);
                }
                if tracked.last.place().region != listing.place.region
                    && !matches!(tracked.state, State::Waiting(_))
                {
                    // Somebody has renamed a folder meanwhile: it never waited where it lay then.
                    tracked.last = location.clone();
                }
                if file.name.is_of_compaction() {
                    // What was known of it when it was first seen is forgotten.
                    tracked.origin = Origin::Compaction { is_trusted: false, holds_unsent: false };
                }
                taking_in.fresh.push(identity);
            }
            if tracked.is_young && !file.is_young {
                taking_in.grown_up.push(identity);
            }
            if !tracked.locations.all().contains(&location) {
                tracked.locations.push(location);
                taking_in.touched.insert(identity);
            }
            // Two names of one file share its mods, but for the moment in which they are linked.
            if file.mods.is_some() && tracked.extra().mods != file.mods {
                tracked.extra_mut().mods = file.mods.clone();
                taking_in.with_mods.insert(identity);
            } else if file.mods.is_none()
                && tracked.extra().mods.is_some()
                && tracked.locations.all().len() == 1
            {
                tracked.extra_mut().mods = None;
                taking_in.with_mods.insert(identity);
            }
            return;
        }
        let is_history = !self.has_boundary
            || self.in_history.remove(&identity)
            || self.is_copy_of_history(&location, identity);
        if is_history && self.has_boundary {
            self.record(Record::InHistory(identity));
        }
        let origin = self.origin_of(listing, file.name, &taking_in.scan);
        let mods_taken = match (origin, &file.mods) {
            (Origin::Rows, Some(mods)) => ModsTaken::List(Arc::clone(mods)),
            // What the sources were told is looked at entry by entry.
            (Origin::Compaction { .. }, _) | (Origin::Rows, None) => ModsTaken::Nothing,
        };
        let mods_settled = match origin {
            Origin::Rows => file.mods.as_ref().map(|mods| mods.mark()),
            Origin::Compaction { .. } => None,
        };
        let twin = self.twin_of(&location, identity);
        let is_namesake = self.config.without == Without::Inodes
            && self.has_namesake(location.place(), file.name);
        let mods = file.mods.clone();
        if mods.is_some() {
            taking_in.with_mods.insert(identity);
        }
        let extra = Extra { mods, mods_taken, mods_settled, twin, ..Extra::default() };
        let tracked = Tracked {
            locations: Locations::One(location.clone()),
            is_found: true,
            facts: Arc::clone(&file.facts),
            extra: extra.boxed(),
            first_scan: self.n_scans,
            is_history,
            is_young: file.is_young,
            origin,
            state: if is_namesake { State::Rests } else { State::Remembered },
            left: is_namesake.then_some(Left::Covered),
            ..Tracked::new(location)
        };
        self.files.insert(identity, Box::new(tracked));
        taking_in.fresh.push(identity);
    }

    /// What a file that was not known is made of.
    fn origin_of(&self, listing: &Listing, name: TsFileName, scan: &Scan) -> Origin {
        let place = &listing.place;
        let partition = self.partition(&place.region, place.partition);
        let is_known = partition.is_some_and(|it| it.first_scan < self.n_scans);
        if !is_known || !name.is_of_compaction() {
            return Origin::Rows;
        }
        let is_watched = match &scan.watched {
            Watched::No => false,
            Watched::Yes { broken, .. } => {
                !broken.contains(&(place.region.clone(), place.partition))
            }
        };
        let is_trusted = is_watched || self.config.without == Without::Watching;
        Origin::Compaction { is_trusted, holds_unsent: false }
    }

    /// The checksum of a file that has left and may be this one on another disk.
    fn twin_of(&self, location: &Location, identity: FileIdentity) -> Option<u32> {
        let place = location.place();
        let partition = self.partition(&place.region, place.partition)?;
        let equal = partition.named(self.read_rule(), place.space, location.name);
        equal.filter(|it| it.length_bytes == identity.length_bytes).find_map(|it| {
            match self.files.get(&it)?.left? {
                Left::Sent { crc32, form: Form::File, .. } => Some(crc32),
                // A copy of it leaves as it did, or does not leave either.
                Left::Sent { .. } | Left::Covered => None,
            }
        })
    }

    /// Whether a file may be one on another disk that was there when the boundary was drawn.
    fn is_copy_of_history(&self, location: &Location, identity: FileIdentity) -> bool {
        let place = location.place();
        let Some(partition) = self.partition(&place.region, place.partition) else { return false };
        let mut equal = partition.named(self.read_rule(), place.space, location.name);
        equal.any(|it| {
            it.length_bytes == identity.length_bytes
                && self.files.get(&it).is_some_and(|it| it.is_history)
        })
    }

    /// Whether a file of that time and version has left: what names would say.
    fn has_namesake(&self, place: &Place, name: TsFileName) -> bool {
        self.files.values().any(|it| {
            let other = it.locations.first().unwrap_or(&it.last);
            it.left.is_some()
                && other.place() == place
                && (other.name.version, other.name.time_ms) == (name.version, name.time_ms)
        })
    }

    /// Files of a folder are not there any more, or not under that name.
    fn remove_locations(
        &mut self,
        before: &Folder,
        is_gone: impl Fn(&SealedFile) -> bool,
        taking_in: &mut TakingIn,
    ) {
        let Listing { place, folder, sealed, .. } = &*before.listing;
        let was_listed = before.seen_in_scan + 1 == self.n_scans;
        let (has_missed_all, written) = match &taking_in.scan.watched {
            Watched::No => (true, None),
            Watched::Yes { unseen, touched, .. } => {
                let is_unseen = unseen.contains(&(place.region.clone(), place.partition));
                (!was_listed || is_unseen, Some(touched))
            }
        };
        for old in sealed.iter().filter(|old| is_gone(old)) {
            let Some(tracked) = self.files.get_mut(&old.identity) else { continue };
            tracked.locations.retain(|location| {
                *location.place() != *place
                    || location.folder() != folder
                    || location.name != old.name
            });
            let name = (Arc::clone(folder), old.name);
            let is_written =
                written.is_some_and(|it| it.contains(&name)) || self.touched_unread.contains(&name);
            let last = taking_in.scan.last_mods.get(&old.identity).filter(|it| it.at == name);
            match last.filter(|_| !has_missed_all) {
                Some(last) => {
                    // Under another name it may have had others.
                    let other = taking_in.last_mods.insert(old.identity, Arc::clone(&last.mods));
                    tracked.has_missed |= other.is_some();
                }
                None => tracked.has_missed |= has_missed_all || is_written,
            }
            let is_dealt_with = last.is_some() || tracked.has_missed;
            self.gone_names.insert(name, GoneName { is_dealt_with, n_scans: self.n_scans });
            taking_in.touched.insert(old.identity);
        }
    }

    /// Folders that were listed before and are not there any more.
    pub(super) fn drop_gone_folders(&mut self, taking_in: &mut TakingIn) {
        let scan = Arc::clone(&taking_in.scan);
        let unlisted = scan.unlisted();
        let n_scans = self.n_scans;
        let gone = self.folders.extract_if(|_, folder| {
            folder.seen_in_scan < n_scans && !unlisted.covers(&folder.listing.place.region)
        });
        let gone: Vec<Folder> = gone.map(|(_, folder)| folder).collect();
        for folder in gone {
            let Listing { place, folder: path, .. } = &*folder.listing;
            self.regions.entry(place.region.clone()).or_default().is_stirred = true;
            taking_in.gone_folders.insert(Arc::clone(path), place.clone());
            self.remove_locations(&folder, |_| true, taking_in);
            self.note_gone_open_files(&folder.listing, None);
        }
        // After a restart nothing is known of the folders: what is not found now is gone. A region of
        // which nothing at all is found, though all could be read again and again, is gone as a whole.
        if scan.unread.is_empty() {
            self.whole_since.get_or_insert(self.clock);
        }
        let is_all_seen = scan.unread.is_empty()
            && self.whole_since.is_some_and(|since| since + MISSES_A_REGION <= self.clock);
        for (key, region) in &mut self.regions {
            if unlisted.covers(key) {
                continue;
            }
            region.is_seen |= is_all_seen;
            if region.is_seen {
                taking_in.touched.extend(std::mem::take(&mut region.limbo));
            }
        }
    }

    /// Where a file belongs in the order, if it begins to wait now.
    pub(super) fn order_key(
        &self,
        location: &Location,
        identity: FileIdentity,
        late: bool,
    ) -> OrderKey {
        let Place { region, partition, .. } = location.place();
        let known = self.partition(region, *partition);
        let boundary = known.and_then(|it| it.boundary).map(|(version_max, ..)| version_max);
        let is_history = match boundary {
            Some(version_max) => location.name.version <= version_max,
            None => !self.has_boundary,
        };
        OrderKey {
            phase: if is_history { Phase::History } else { Phase::Realtime },
            scan: self.n_scans,
            partition: *partition,
            is_late: late,
            rank: self.rank(location, identity),
        }
    }

    /// The open files of every partition, as of this scan.
    pub(super) fn note_open_files(&mut self) {
        for region in self.regions.values_mut() {
            region.n_unsealed = 0;
            for partition in region.partitions.values_mut() {
                partition.open_before = std::mem::take(&mut partition.open);
            }
        }
        for folder in self.folders.values() {
            let place = &folder.listing.place;
            let Some(region) = self.regions.get_mut(&place.region) else { continue };
            let Some(partition) = region.partitions.get_mut(&place.partition) else { continue };
            region.n_unsealed += folder.listing.unsealed.len();
            partition.open.extend(folder.listing.unsealed.iter().map(|&name| (place.space, name)));
        }
    }

    /// Whether the unsequence barrier keeps a file back: the names of the open files it waits for.
    pub(super) fn waits_of(&self, location: &Location, identity: FileIdentity) -> Vec<TsFileName> {
        let place = location.place();
        if place.space == Space::Sequence || self.config.without == Without::Barrier {
            return Vec::new();
        }
        let rule = self.read_rule();
        let rank = self.rank(location, identity);
        let partition = self.partition(&place.region, place.partition);
        let open = partition.map(|it| &it.open).into_iter().flatten();
        open.filter(|(space, open)| {
            *space == Space::Sequence && *open != location.name && rank.beats(rule, *space, *open)
        })
        .map(|(_, open)| *open)
        .collect()
    }
}

fn spot_of(listing: &Listing) -> Arc<Spot> {
    let (place, folder) = (listing.place.clone(), Arc::clone(&listing.folder));
    Arc::new(Spot { place, folder })
}
