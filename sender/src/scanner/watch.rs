//! What a watcher saw, scan by scan, put together from single events. No I/O.
//!
//! The question behind it: may something have come and gone that no listing shows? A compaction's
//! target is trusted only if every file that it may be made of was listed, and a file that vanished
//! has missed no deletion only if nobody wrote to its mods unseen. So whoever is in doubt here says
//! that a partition's watch is broken; that costs a file sent twice, and the contrary would cost
//! rows.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use tidegate_source::Listing;
use tidegate_source::Place;
use tidegate_source::RegionKey;
use tidegate_source::Scan;
use tidegate_source::TsFileName;
use tidegate_source::Watched;

/// A region and one of its partitions.
type Partition = (RegionKey, i64);

/// How a folder is watched when it is entered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sight {
    /// Since it was entered before.
    Since,
    /// From now on.
    FromNow,
    /// It cannot be.
    Blind,
    /// It is not there, and its parent, which is watched, tells when it appears.
    Gone,
}

/// Puts the events between scans together.
///
/// For each scan, call [`enter`](Self::enter) for each partition folder before it is listed and
/// [`enter_parent`](Self::enter_parent) for each directory above before it is read,
/// [`listed`](Self::listed) when all are and all events up to then were handed in, and
/// [`ended`](Self::ended) at its end. Events may be handed in at any time.
#[derive(Debug)]
pub(super) struct Watch {
    folders: HashMap<Arc<str>, Folder>,
    /// Directories that were entered in this scan, and those that appeared since the last.
    entered: HashSet<Arc<str>>,
    appeared: HashSet<Arc<str>>,
    /// TsFiles that appeared since the last scan's folders were listed.
    created: HashSet<(Place, TsFileName)>,
    /// The same of the scan before, as far as they were not listed then.
    carried: HashSet<(Place, TsFileName)>,
    /// Mods files that were written to.
    touched: HashSet<(Arc<str>, TsFileName)>,
    /// Those told of in the last scan, and partitions that were broken; `None` if nothing was said.
    told: HashSet<(Arc<str>, TsFileName)>,
    broken: Option<HashSet<Partition>>,
    /// Partitions of which something may have been missed, whatever the events say.
    doubted: HashSet<Partition>,
    /// Those among them of which events may have been missed.
    unseen: HashSet<Partition>,
    /// The same as it was told in the last scan; `None` if nothing was said.
    told_unseen: Option<HashSet<Partition>>,
    /// For so many scans nothing can be said.
    n_blind_scans: u8,
    events_max: usize,
}

#[derive(Debug)]
struct Folder {
    place: Place,
    sight: Sight,
    /// As it was listed last.
    listing: Option<Arc<Listing>>,
    /// Whether that was in this scan.
    is_listed: bool,
}

/// Events kept between two scans; with more, nothing is said of the time between them.
const EVENTS_MAX: usize = 100_000;

impl Default for Watch {
    fn default() -> Self {
        Self {
            folders: HashMap::new(),
            entered: HashSet::new(),
            appeared: HashSet::new(),
            created: HashSet::new(),
            carried: HashSet::new(),
            touched: HashSet::new(),
            told: HashSet::new(),
            broken: None,
            doubted: HashSet::new(),
            unseen: HashSet::new(),
            told_unseen: None,
            // Before the first scan nobody watched.
            n_blind_scans: 1,
            events_max: EVENTS_MAX,
        }
    }
}

impl Watch {
    /// A directory above the partition folders is going to be read.
    pub(super) fn enter_parent(&mut self, dir: Arc<str>, sight: Sight) {
        if sight == Sight::Gone {
            return;
        }
        self.entered.insert(dir);
        if sight == Sight::Blind {
            self.go_blind();
        }
    }

    /// A partition folder is going to be listed.
    pub(super) fn enter(&mut self, folder: &Arc<str>, place: &Place, sight: Sight) {
        if sight == Sight::Gone {
            return;
        }
        self.entered.insert(Arc::clone(folder));
        match self.folders.get_mut(folder) {
            Some(known) => known.sight = sight,
            None => {
                let new = Folder { place: place.clone(), sight, listing: None, is_listed: false };
                self.folders.insert(Arc::clone(folder), new);
            }
        }
        if sight != Sight::Since {
            self.doubted.insert(partition(place));
            self.unseen.insert(partition(place));
        }
    }

    /// Something appeared in a directory above the partition folders.
    pub(super) fn appeared(&mut self, dir: Arc<str>) {
        self.appeared.insert(dir);
        self.bound();
    }

    /// A TsFile appeared.
    pub(super) fn created(&mut self, folder: &Arc<str>, name: TsFileName) {
        let Some(known) = self.folders.get(folder) else { return };
        self.created.insert((known.place.clone(), name));
        self.bound();
    }

    /// A mods file appeared or was written to.
    pub(super) fn touched(&mut self, folder: &Arc<str>, name: TsFileName) {
        self.touched.insert((Arc::clone(folder), name));
        self.bound();
    }

    /// A directory was deleted; everything that happened in it was handed in. Another one of that
    /// name is watched only once it is entered.
    pub(super) fn deleted(&mut self, dir: &Arc<str>) {
        self.entered.remove(dir);
        self.appeared.remove(dir);
    }

    /// A directory is no longer watched, though it may be there.
    pub(super) fn lost(&mut self, dir: &Arc<str>) {
        let Some(known) = self.folders.get_mut(dir) else { return self.go_blind() };
        known.sight = Sight::Blind;
        self.doubted.insert(partition(&known.place));
        self.unseen.insert(partition(&known.place));
    }

    /// Events were lost.
    pub(super) fn overflowed(&mut self) {
        self.appeared.clear();
        self.created.clear();
        self.touched.clear();
        self.go_blind();
    }

    /// All folders of a scan were listed, and all events up to now handed in.
    pub(super) fn listed(&mut self, scan: &Scan) -> Watched {
        let created = std::mem::take(&mut self.created);
        let mut carried = std::mem::take(&mut self.carried);
        let now = ByPlace::of(scan.listings.iter());
        let before = ByPlace::of(self.folders.values().filter_map(|it| it.listing.as_ref()));
        let new: HashSet<(Place, TsFileName)> =
            created.into_iter().filter(|it| !now.show(it)).collect();
        carried.retain(|it| !now.show(it));
        // What was created and is not in a listing came and went, or came after its folder was
        // listed; which of the two, the next scan may tell.
        let is_missed = |it: &&(Place, TsFileName)| !before.show(it);
        let gone = carried.iter().filter(is_missed).map(|(place, _)| partition(place));
        let mut doubted = std::mem::take(&mut self.doubted);
        doubted.extend(gone);
        let late = new.iter().filter(is_missed).map(|(place, _)| partition(place));
        let mut broken: HashSet<Partition> = late.collect();
        // A target may have appeared in a folder after that was listed, and what it is made of gone
        // from another before that was listed: the next scan shows it first.
        let restless: HashSet<Partition> = new.iter().map(|(place, _)| partition(place)).collect();
        self.doubted.extend(doubted.intersection(&restless).cloned());
        broken.extend(doubted);
        // A folder that appeared behind the scan's back may have given its files to a target that
        // the scan shows.
        let entered = std::mem::take(&mut self.entered);
        if self.appeared.drain().any(|dir| !entered.contains(&dir)) {
            self.go_blind();
        }
        let unlisted = scan.unlisted();
        let now: HashMap<&Arc<str>, &Arc<Listing>> =
            scan.listings.iter().map(|listing| (&listing.folder, listing)).collect();
        let mut blind = HashSet::new();
        for (folder, known) in &mut self.folders {
            let listing = now.get(folder);
            known.is_listed = listing.is_some();
            let is_unread = !known.is_listed && unlisted.covers(&known.place.region);
            if known.sight == Sight::Blind || is_unread {
                blind.insert(partition(&known.place));
            }
            if let Some(listing) = listing {
                known.listing = Some(Arc::clone(listing));
            }
        }
        let mut unseen = std::mem::take(&mut self.unseen);
        unseen.extend(blind.iter().cloned());
        broken.extend(blind.iter().cloned());
        self.unseen.extend(blind.iter().cloned());
        self.doubted.extend(blind);
        self.carried = new;
        self.told = std::mem::take(&mut self.touched);
        if self.n_blind_scans > 0 {
            self.n_blind_scans -= 1;
            (self.broken, self.told_unseen) = (None, None);
            return Watched::No;
        }
        (self.broken, self.told_unseen) = (Some(broken.clone()), Some(unseen.clone()));
        Watched::Yes { broken, unseen, touched: self.told.clone() }
    }

    /// The mods were looked at, too.
    pub(super) fn ended(&mut self, scan: &Scan) {
        // Where some were not read, what was written to them is still unseen.
        for (folder, name) in self.told.drain() {
            let place = self.folders.get(&folder).map(|known| &known.place);
            if place.is_some_and(|place| scan.unsettled.contains(&place.region)) {
                self.touched.insert((folder, name));
            }
        }
        let unlisted = scan.unlisted();
        self.folders.retain(|_, known| {
            let is_unread = unlisted.covers(&known.place.region);
            let partition = partition(&known.place);
            let was_told = |told: &Option<HashSet<Partition>>| {
                told.as_ref().is_none_or(|told| told.contains(&partition))
            };
            let is_unsettled = scan.unsettled.contains(&known.place.region);
            if is_unread || (is_unsettled && was_told(&self.told_unseen)) {
                self.unseen.insert(partition.clone());
            }
            if is_unread || (is_unsettled && was_told(&self.broken)) {
                self.doubted.insert(partition);
            }
            known.is_listed || is_unread
        });
    }

    /// Nothing can be said of this scan; and what was missed may have gone into a target that the
    /// next one shows first.
    fn go_blind(&mut self) {
        self.n_blind_scans = 2;
    }

    fn bound(&mut self) {
        let n_events = self.appeared.len() + self.created.len() + self.touched.len();
        if n_events > self.events_max {
            self.overflowed();
        }
    }
}

fn partition(place: &Place) -> Partition {
    (place.region.clone(), place.partition)
}

/// Listings by what they list: more than one data directory may have a place.
struct ByPlace<'l>(HashMap<&'l Place, Vec<&'l Listing>>);

impl<'l> ByPlace<'l> {
    fn of(listings: impl Iterator<Item = &'l Arc<Listing>>) -> Self {
        let mut by_place: HashMap<&Place, Vec<&Listing>> = HashMap::new();
        for listing in listings {
            by_place.entry(&listing.place).or_default().push(listing);
        }
        Self(by_place)
    }

    /// Whether a TsFile is in one of them, sealed or not.
    fn show(&self, (place, name): &(Place, TsFileName)) -> bool {
        self.0.get(place).into_iter().flatten().any(|listing| listing.shows(*name))
    }
}
