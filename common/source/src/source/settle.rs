//! The end of a scan: what the changes mean.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashSet;
use std::sync::Arc;

use super::ModsTaken;
use super::Origin;
use super::Queued;
use super::Source;
use super::State;
use super::scan::TakingIn;
use super::vanished::Vanished;
use crate::gap::GapReason;
use crate::identity::FileIdentity;
use crate::identity::RegionKey;
use crate::listing::Scan;
use crate::listing::SourceMarks;
use crate::listing::Watched;
use crate::record::Boundary;
use crate::record::Known;
use crate::record::Record;
use crate::region::Held;
use crate::region::OrderKey;
use crate::region::Rank;
use crate::region::Region;
use crate::watermark::OpenFile;

/// After a scan that found more new files than these, memory is looked after.
const FRESH_FEW: usize = 1000;

impl Source {
    /// All folders of a scan are taken in.
    pub(super) fn end_scan(&mut self, mut taking_in: TakingIn) {
        self.drop_gone_folders(&mut taking_in);
        let TakingIn { scan, touched, fresh, with_mods, grown_up, gone_folders, .. } = taking_in;
        let mut last_mods = taking_in.last_mods;
        self.compare_marks(&scan);
        let readable = self.readable_regions(&scan);
        self.note_open_files();
        let is_boundary = self.take_boundary(&scan);
        for &identity in &fresh {
            self.enter(identity);
        }
        if is_boundary {
            self.note_young_history();
            // Behind all that was seen so far: when the ledger is read, that is history.
            self.record(Record::BoundaryTaken);
        }
        if fresh.len() > FRESH_FEW {
            self.pack();
        }
        for &identity in &grown_up {
            self.come_of_age(identity);
        }
        self.find_targets_at_first_sight(&fresh, scan.now_ns);
        self.distrust_targets();
        let mut vanished = Vec::new();
        for identity in touched {
            if self.settle_places(identity) {
                vanished.push(identity);
            }
        }
        let mut calm = readable.clone();
        if let Watched::Yes { broken, .. } = &scan.watched {
            // What is not listed yet may have deletions beside it.
            calm.retain(|region| !broken.iter().any(|(it, _)| it == region));
        }
        let mut outcome = Vanished::default();
        let unlisted = scan.unlisted();
        for identity in vanished {
            let Some(tracked) = self.files.get_mut(&identity) else { continue };
            let is_orphan = tracked.is_orphan;
            let region = self.regions.entry(tracked.region().clone()).or_default();
            if !region.is_seen || unlisted.covers(tracked.region()) {
                // It may be in the part that could not be read, and be written to there.
                tracked.has_missed = true;
                region.limbo.push(identity);
                continue;
            }
            if is_orphan {
                continue;
            }
            calm.remove(tracked.region());
            if let Some(mods) = last_mods.remove(&identity) {
                self.take_last_deletions(identity, mods);
            }
            self.handle_vanished(identity, &mut outcome);
        }
        self.touched_unread = match &scan.watched {
            Watched::Yes { touched, .. } if !scan.unsettled.is_empty() => touched.clone(),
            Watched::Yes { .. } | Watched::No => HashSet::new(),
        };
        self.note_vanished(outcome);
        self.take_up_orphans(&unlisted);
        for identity in with_mods {
            self.take_deletions(identity);
        }
        self.take_strays(&scan, &gone_folders);
        self.mark_lost_in_targets();
        self.make_way(&fresh);
        self.settle_lost(&readable);
        self.release_held(&readable, &fresh);
        self.let_ready(&readable, &calm);
        self.follow_watermarks(&readable, &fresh);
    }

    /// Has the trees of files, which grew at their ends, take no more room than they need.
    fn pack(&mut self) {
        for region in self.regions.values_mut() {
            for partition in region.partitions.values_mut() {
                partition.live = std::mem::take(&mut partition.live).into_iter().collect();
            }
        }
    }

    fn readable_regions(&self, scan: &Scan) -> BTreeSet<RegionKey> {
        let unlisted = scan.unlisted();
        let is_readable = |key: &RegionKey, region: &Region| {
            region.is_seen && !scan.unsettled.contains(key) && !unlisted.covers(key)
        };
        let readable = self.regions.iter().filter(|(key, region)| is_readable(key, region));
        readable.map(|(key, _)| key.clone()).collect()
    }

    /// The source must not go backwards.
    fn compare_marks(&mut self, scan: &Scan) {
        let (before, now) = (self.marks, scan.marks);
        let is_other = matches!((before.node, now.node), (Some(a), Some(b)) if a != b);
        let is_older = matches!((self.last_reboots, now.reboots), (Some(a), Some(b)) if b < a);
        self.last_reboots = now.reboots.or(self.last_reboots);
        let now = SourceMarks {
            node: now.node.or(before.node),
            // Not readable now is not what it was.
            reboots: now.reboots,
        };
        if now == before {
            return;
        }
        self.marks = now;
        self.regions.values_mut().for_each(|region| region.is_stirred = true);
        if !(is_other || is_older) {
            return self.record(Record::Marks(now));
        }
        let mut first_of: BTreeMap<&RegionKey, (FileIdentity, u32)> = BTreeMap::new();
        for (&identity, tracked) in &self.files {
            if tracked.left.is_some() {
                let (first, n_files) = first_of.entry(tracked.region()).or_insert((identity, 0));
                (*first, *n_files) = ((*first).min(identity), *n_files + 1);
            }
        }
        let first_of: Vec<(Known, u32)> = first_of
            .into_values()
            .filter_map(|(first, n_files)| Some((self.files.get(&first)?.known(first), n_files)))
            .collect();
        for region in self.regions.values_mut() {
            region.watermark.reset();
        }
        for (known, n_files) in first_of {
            self.gap(GapReason::SourceRolledBack, known, n_files, (0, 0), None);
        }
        // Behind the gaps: were they lost, they would be found anew.
        self.record(Record::Marks(now));
    }

    /// What stands there in the first scan in which everything could be read is history.
    /// Says whether that was this one.
    fn take_boundary(&mut self, scan: &Scan) -> bool {
        if self.has_boundary || !scan.unread.is_empty() {
            return false;
        }
        let mut boundaries: BTreeMap<(RegionKey, i64), (u64, u32, u32)> = BTreeMap::new();
        for listing in &scan.listings {
            let key = (listing.place.region.clone(), listing.place.partition);
            let (version_max, n_sealed, n_open) = boundaries.entry(key).or_default();
            for file in &listing.sealed {
                *version_max = file.name.version.max(*version_max);
                *n_sealed += 1;
            }
            for name in &listing.unsealed {
                *version_max = name.version.max(*version_max);
                *n_open += 1;
            }
        }
        for ((region, partition), (version_max, n_sealed, n_open)) in boundaries {
            let known = self.regions.entry(region.clone()).or_default();
            known.partitions.entry(partition).or_default().boundary =
                Some((version_max, n_sealed, n_open));
            self.record(Record::Boundary(Boundary {
                region,
                partition,
                version_max,
                n_sealed,
                n_open,
            }));
        }
        self.has_boundary = true;
        true
    }

    /// What is young is in the ledger later than the boundary, and must be history there all the same.
    fn note_young_history(&mut self) {
        let young = self.files.iter().filter(|(_, tracked)| tracked.is_young);
        let mut young: Vec<FileIdentity> = young.map(|(identity, _)| *identity).collect();
        young.sort_unstable();
        young.into_iter().for_each(|identity| self.record(Record::InHistory(identity)));
    }

    /// A file was found: it begins to wait, unless it has left.
    fn enter(&mut self, identity: FileIdentity) {
        let Some(tracked) = self.files.get(&identity) else { return };
        let location = tracked.locations.first().expect("a fresh file lies somewhere").clone();
        let is_new = tracked.left.is_none() && tracked.state == State::Remembered;
        // Of a young one, what stands beside it is not all there yet.
        let is_new = is_new && !tracked.is_young;
        let waits = tracked.state == State::Remembered;
        let facts = tracked.facts.clone();
        let live = tracked.live();
        let late = tracked.is_compaction() || (waits && tracked.left.is_some());
        if is_new {
            self.note_seen(identity);
        }
        if waits {
            let open = self.waits_of(&location, identity);
            let key = self.order_key(&location, identity, late);
            let tracked = self.files.get_mut(&identity).expect("it was just looked at");
            tracked.state = State::Waiting(key.turn());
            let first_scan = tracked.first_scan;
            let region = self.regions.entry(location.place().region.clone()).or_default();
            region.count_waiting(first_scan, true);
            // Whether it is held for another reason is decided once all of the scan is known.
            if !open.is_empty() {
                region.held.insert(identity, Held { open, targets: Vec::new() });
            }
        }
        let rank = self.rank(&location, identity);
        let region = self.regions.entry(location.place().region.clone()).or_default();
        region.watermark.see(facts.progress.as_ref());
        let partition = region.partitions.entry(location.place().partition).or_default();
        partition.live.insert(rank, live);
    }

    /// A file was young, and is not any more: what stands beside it now is what it leaves with.
    fn come_of_age(&mut self, identity: FileIdentity) {
        let Some(tracked) = self.files.get_mut(&identity) else { return };
        tracked.is_young = false;
        if tracked.origin == Origin::Rows
            && let Some(extra) = &mut tracked.extra
        {
            extra.mods_settled = extra.mods.as_ref().map(|mods| mods.mark());
            extra.mods_taken = match &extra.mods {
                Some(mods) => ModsTaken::List(Arc::clone(mods)),
                None => ModsTaken::Nothing,
            };
        }
        self.note_seen(identity);
    }

    fn note_seen(&mut self, identity: FileIdentity) {
        let Some(tracked) = self.files.get(&identity) else { return };
        let key = tracked.region().clone();
        match tracked.extra().mods_settled {
            None => self.enqueue(Queued::Seen(identity)),
            mods => self.record(Record::Seen(tracked.known(identity), mods)),
        }
        // With which deletions it leaves must be known after a crash, whether or not it left.
        let n_effects = self.n_effects;
        self.regions.entry(key).or_default().effects_awaited = n_effects;
    }

    /// Brings the order in line with where a file lies; says whether it lies nowhere.
    pub(super) fn settle_places(&mut self, identity: FileIdentity) -> bool {
        let Some(tracked) = self.files.get(&identity) else { return false };
        let Some(location) = tracked.locations.first().cloned() else { return true };
        let (old, new) = (self.rank(&tracked.last, identity), self.rank(&location, identity));
        let is_out = self.is_out(identity);
        let tracked = self.files.get_mut(&identity).expect("it was just looked at");
        tracked.has_missed = false;
        let live = tracked.live();
        // One that is out may have been missed by a scan.
        let was_missed = std::mem::take(&mut tracked.is_vanished) || tracked.is_orphan;
        let before = std::mem::replace(&mut tracked.last, location.clone());
        if old == new && before.place() == location.place() && !was_missed {
            return false;
        }
        if before.place().region != location.place().region {
            self.move_region(identity, &before.place().region, old, before.place().partition);
        }
        let Some(tracked) = self.files.get_mut(&identity) else { return false };
        let region = self.regions.entry(tracked.region().clone()).or_default();
        if let Some(partition) = region.partitions.get_mut(&before.place().partition) {
            partition.live.remove(&old);
        }
        region.partitions.entry(location.place().partition).or_default().live.insert(new, live);
        if let State::Waiting(turn) = tracked.state
            && !is_out
        {
            let key = turn.key(before.place().partition, old);
            let moved = turn.key(location.place().partition, new);
            if region.queue.remove(&key) || region.aside.remove(&key).is_some() {
                region.queue.insert(moved);
            }
        }
        self.return_orphan(identity);
        self.settle_rank(identity, old, new);
        false
    }

    /// A file lies in another region than before: somebody has renamed a folder. IoTDB never does.
    fn move_region(&mut self, identity: FileIdentity, from: &RegionKey, old: Rank, partition: i64) {
        let is_out = self.is_out(identity);
        let Some(tracked) = self.files.get(&identity) else { return };
        let has_files = self.regions.get(from).is_some_and(|region| region.has_files);
        self.regions.entry(tracked.region().clone()).or_default().has_files |= has_files;
        let Some(region) = self.regions.get_mut(from) else { return };
        if let Some(partition) = region.partitions.get_mut(&partition) {
            partition.live.remove(&old);
        }
        region.settling.remove(&identity);
        let is_unreadable = region.unreadable_mods.remove(&identity);
        // One that is out is counted where it left; see `requeue`.
        let State::Waiting(turn) = tracked.state else { return };
        if is_out {
            return;
        }
        region.take_out(turn.key(partition, old));
        region.count_waiting(tracked.first_scan, false);
        let to = self.regions.entry(tracked.region().clone()).or_default();
        to.count_waiting(tracked.first_scan, true);
        to.is_stirred = true;
        to.held.insert(identity, Held::default());
        if is_unreadable {
            to.unreadable_mods.insert(identity);
        }
    }

    /// A file that may have left wins over other files now than when it did.
    fn settle_rank(&mut self, identity: FileIdentity, old: Rank, new: Rank) {
        let Some(tracked) = self.files.get(&identity) else { return };
        if tracked.left.is_none() && !tracked.is_attempted {
            return;
        }
        let key = tracked.region().clone();
        let between = old.min(new)..old.max(new);
        let extent = &tracked.facts.extent;
        let mut passed =
            self.concerned_in(&key, tracked.last.place().partition, between, |other| {
                other.facts.extent.overlaps(extent)
            });
        passed.retain(|rank| rank.identity != identity);
        if passed.is_empty() {
            return;
        }
        // Where it fell, they must arrive after it; where it rose, it must arrive after them.
        let beaten = if new < old { passed } else { vec![new] };
        self.beat(&key, beaten, None);
    }

    /// Which new files may leave: those behind which every earlier deletion was looked for.
    ///
    /// A deletion made before a row of a sealed file stands beside the files that were listed with
    /// it, and those were read after it was listed. If files had gone by then, a compaction may
    /// have taken deletions with it into a target, which the next scan shows.
    fn let_ready(&mut self, readable: &BTreeSet<RegionKey>, calm: &BTreeSet<RegionKey>) {
        for (key, region) in &mut self.regions {
            if !readable.contains(key) {
                continue;
            }
            if calm.contains(key) {
                region.ready_scan = self.n_scans;
            } else if region.readable_scan + 1 == self.n_scans {
                region.ready_scan = region.ready_scan.max(self.n_scans - 1);
            }
            region.readable_scan = self.n_scans;
        }
    }

    fn follow_watermarks(&mut self, readable: &BTreeSet<RegionKey>, fresh: &[FileIdentity]) {
        let mut sealed: BTreeMap<&RegionKey, HashSet<OpenFile>> = BTreeMap::new();
        for identity in fresh {
            if let Some(tracked) = self.files.get(identity) {
                let place = tracked.last.place();
                let file = (place.partition, place.space, tracked.last.name);
                let region = self.regions.get(tracked.region());
                if !region.is_some_and(|region| region.watermark.knew_open(&file)) {
                    continue;
                }
                sealed.entry(tracked.region()).or_default().insert(file);
            }
        }
        let none = HashSet::new();
        for (key, region) in &mut self.regions {
            if !readable.contains(key) {
                continue;
            }
            let open = region.partitions.iter().flat_map(|(&partition, known)| {
                known.open.iter().map(move |&(space, name)| (partition, space, name))
            });
            let open = open.collect();
            let sealed = sealed.get(key).unwrap_or(&none);
            region.watermark.end_scan(self.n_scans, self.marks, open, sealed);
        }
        let keys: Vec<RegionKey> = readable.iter().cloned().collect();
        keys.iter().for_each(|key| self.raise_watermark(key));
    }

    /// Raises a region's watermark if all that must have left has.
    pub(super) fn raise_watermark(&mut self, key: &RegionKey) {
        let Some(region) = self.regions.get_mut(key) else { return };
        let oldest = region.waiting_by_scan.keys().next().copied();
        if !region.watermark.rise(oldest) {
            return;
        }
        region.is_stirred = true;
        if let Some((marks, progress)) = region.watermark.reached() {
            let (marks, progress) = (*marks, Box::new(progress.clone()));
            self.record(Record::Watermark { region: key.clone(), marks, progress });
        }
    }

    /// Puts a file that has left back into the queue.
    pub(super) fn requeue_left(&mut self, identity: FileIdentity, key: OrderKey) {
        let Some(tracked) = self.files.get_mut(&identity) else { return };
        tracked.state = State::Waiting(key.turn());
        let region = self.regions.entry(tracked.region().clone()).or_default();
        region.count_waiting(tracked.first_scan, true);
        region.counts.resent_files += 1;
        self.queue_or_hold(identity, key);
    }
}
