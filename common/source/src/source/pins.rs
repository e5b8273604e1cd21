//! Files that the source drops before they could leave, and that leave all the same: from their
//! pins.
//!
//! A pin changes nothing as long as its file lies where it was listed. When a file has vanished, and
//! every compaction's target that may hold it was seen and none does, the pin is all that is left of
//! it: the file is an orphan, and leaves in its order like any other.

use std::collections::HashSet;
use std::sync::Arc;

use super::DropPolicy;
use super::Extra;
use super::Location;
use super::ModsTaken;
use super::Source;
use super::State;
use super::Tracked;
use super::Without;
use crate::gap::GapReason;
use crate::identity::FileIdentity;
use crate::identity::Place;
use crate::identity::TsFileName;
use crate::listing::Unlisted;
use crate::partition::Gone;
use crate::partition::Lost;
use crate::partition::Partition;
use crate::pin::PinWanted;
use crate::pin::PinnedMods;
use crate::record::Known;
use crate::record::Record;
use crate::region::Flight;
use crate::region::OrderKey;
use crate::region::Region;

impl Source {
    /// The files that the edge holds pinned, all of them. What is not among them any more can leave
    /// from nowhere but its place.
    pub fn handle_pins(&mut self, pinned: Arc<HashSet<FileIdentity>>) {
        self.pinned = pinned;
        let orphans = self.orphans.iter().copied();
        // Those that are known from the journal only are looked at in the first scan.
        let is_abandoned = |identity: &FileIdentity| {
            !self.is_pinned(*identity)
                && !self.is_out(*identity)
                && self.files.get(identity).is_some_and(|it| matches!(it.state, State::Waiting(_)))
        };
        let abandoned: Vec<FileIdentity> = orphans.filter(is_abandoned).collect();
        abandoned.into_iter().for_each(|identity| self.abandon(identity));
    }

    /// Waiting files that are worth a pin, at most so many: those that leave first come first, and
    /// no region before the others. Files that were new in the last scan are not among them: most
    /// leave at once.
    pub fn pins_wanted(&self, n_files_max: usize) -> Vec<PinWanted> {
        if self.config.drop_policy == DropPolicy::Delete {
            return Vec::new();
        }
        let mut wanted = Vec::new();
        let mut regions: Vec<_> =
            self.regions.values().map(|region| self.pinnable(region)).collect();
        while wanted.len() < n_files_max && !regions.is_empty() {
            regions.retain_mut(|files| match files.next() {
                Some(file) if wanted.len() < n_files_max => {
                    wanted.push(file);
                    true
                }
                Some(_) | None => false,
            });
        }
        wanted
    }

    fn pinnable(&self, region: &Region) -> impl Iterator<Item = PinWanted> {
        let out = region.in_flight.and_then(|(_, flight)| match flight {
            Flight::File(key) => Some(key.rank.identity),
            Flight::Deletion => None,
        });
        let queued = region.queue.iter().map(|key: &OrderKey| key.rank.identity);
        let held = region.held.keys().copied();
        let aside = region.aside.keys().map(|key| key.rank.identity);
        out.into_iter().chain(queued).chain(held).chain(aside).filter_map(|identity| {
            let tracked = self.files.get(&identity)?;
            let location = tracked.locations.first()?;
            (tracked.first_scan < self.n_scans).then(|| PinWanted {
                identity,
                folder: Arc::clone(location.folder()),
                name: location.name,
                mods: tracked.extra().mods.as_ref().map(|mods| mods.mark()),
            })
        })
    }

    /// Pinned files that need no pin here: they have left, or are not known to a whole ledger.
    pub fn needless_pins(&self) -> Vec<FileIdentity> {
        let lost = self.regions.values().flat_map(Region::lost).filter(|it| it.is_unsent);
        let lost: HashSet<FileIdentity> = lost.map(|it| it.gone.file.identity).collect();
        let is_needed = |identity: &FileIdentity| match self.files.get(identity) {
            Some(tracked) => tracked.state != State::Rests,
            // What a damaged ledger said of it is lost, and so may the file be.
            None => lost.contains(identity) || self.is_past_damaged,
        };
        self.pinned.iter().filter(|it| !is_needed(it)).copied().collect()
    }

    /// Whether a file that vanished may leave from its pin: not if it is there again, and not if
    /// deletions may have been made that concern it and that it does not have.
    pub(super) fn may_rescue(&self, lost: &Lost) -> bool {
        let Known { place, name, identity } = &lost.gone.file;
        if !self.is_pinned(*identity) || self.files.contains_key(identity) || lost.is_doubtful {
            return false;
        }
        // Of a target that was not seen since the start, only this can tell.
        !self.is_undone(place, *name)
    }

    /// Whether a file that vanished was a compaction's target and the file that it is named after is
    /// there: then so is all that it was made of, and the compaction was undone.
    pub(super) fn is_undone(&self, place: &Place, name: TsFileName) -> bool {
        let partition = self.partition(&place.region, place.partition);
        let is_undone = |it: &Partition| it.is_unfinished(self.read_rule(), place.space, name);
        name.is_of_compaction() && partition.is_some_and(is_undone)
    }

    pub(super) fn is_pinned(&self, identity: FileIdentity) -> bool {
        self.pinned.contains(&identity)
    }

    /// A file that vanished is in no compaction's target: it leaves from its pin.
    pub(super) fn rescue(&mut self, lost: Lost) {
        let Lost { gone, facts, mods, last_mods, has_missed, first_scan, .. } = lost;
        let Gone { file, mods: mods_settled, .. } = gone;
        let identity = file.identity;
        // It may have gone while it was young, and is not in the ledger then.
        self.record(Record::Seen(file.clone(), mods_settled));
        let mods_taken = mods.clone().map_or(ModsTaken::Nothing, ModsTaken::List);
        let extra = Extra { mods, mods_taken, mods_settled, last_mods, ..Extra::default() };
        let tracked = Tracked {
            is_found: facts.is_some(),
            facts: facts.unwrap_or_default(),
            extra: extra.boxed(),
            first_scan,
            is_history: self.in_history.remove(&identity),
            is_attempted: true,
            has_missed,
            ..Tracked::new(Location::past(file.place, file.name))
        };
        self.files.insert(identity, Box::new(tracked));
        self.record(Record::Orphaned(identity));
        self.set_orphan(identity, true);
        self.take_up_orphan(identity);
    }

    /// Orphans of an earlier run begin to wait. That they lie nowhere is known, also where nothing of
    /// their region is left.
    pub(super) fn take_up_orphans(&mut self, unlisted: &Unlisted<'_>) {
        let is_due = |identity: &FileIdentity| {
            self.files.get(identity).is_some_and(|it| {
                it.state == State::Remembered && it.lies_nowhere() && !unlisted.covers(it.region())
            })
        };
        let due: Vec<FileIdentity> = self.orphans.iter().copied().filter(is_due).collect();
        due.into_iter().for_each(|identity| self.take_up_orphan(identity));
    }

    /// An orphan begins to wait, if it is still pinned.
    pub(super) fn take_up_orphan(&mut self, identity: FileIdentity) {
        if !self.is_pinned(identity) {
            return self.abandon(identity);
        }
        let Some(tracked) = self.files.get(&identity) else { return };
        let key = self.order_key(&tracked.last, identity, false);
        let Some(tracked) = self.files.get_mut(&identity) else { return };
        tracked.state = State::Waiting(key.turn());
        let region = self.regions.entry(tracked.region().clone()).or_default();
        region.count_waiting(tracked.first_scan, true);
        region.queue.insert(key);
    }

    /// An orphan lost its pin, too.
    pub(super) fn abandon(&mut self, identity: FileIdentity) {
        // One that a scan has found again is no orphan once that is taken in.
        if self.files.get(&identity).is_some_and(|it| !it.lies_nowhere()) {
            return;
        }
        self.set_orphan(identity, false);
        // It may have arrived all the same, without deletions that its pin did not have.
        self.repeat_last_deletions(identity);
        let Some(tracked) = self.files.remove(&identity) else { return };
        if tracked.is_history {
            self.in_history.insert(identity);
        }
        let waits = self.key_of(&tracked, identity);
        let region = self.regions.entry(tracked.region().clone()).or_default();
        region.remove(identity, waits, tracked.first_scan);
        region.is_stirred = true;
        region.counts.vanished += 1;
        let file = tracked.known(identity);
        let times = tracked.facts.extent.bounds();
        self.gap(GapReason::VanishedUnsent, file.clone(), 1, (0, identity.length_bytes), times);
        if tracked.has_missed {
            self.gap(GapReason::DeletionsUnseen, file.clone(), 1, (0, 0), times);
        }
        let mods = tracked.extra().mods_settled;
        self.forget(Gone { file, mods, has_left: false, waited: true });
    }

    /// An orphan lies somewhere again: it is a file like any other.
    pub(super) fn return_orphan(&mut self, identity: FileIdentity) {
        if !self.orphans.contains(&identity) {
            return;
        }
        self.set_orphan(identity, false);
        if let Some(tracked) = self.files.get(&identity) {
            let (known, mods) = (tracked.known(identity), tracked.extra().mods_settled);
            self.record(Record::Seen(known, mods));
        }
    }

    pub(super) fn set_orphan(&mut self, identity: FileIdentity, is_orphan: bool) {
        if let Some(tracked) = self.files.get_mut(&identity) {
            tracked.is_orphan = is_orphan;
        }
        match is_orphan {
            true => self.orphans.insert(identity),
            false => self.orphans.remove(&identity),
        };
    }
}

impl Tracked {
    pub(super) fn pinned_mods(&self, without: Without) -> PinnedMods {
        match self.is_found && without != Without::PinnedMods {
            true => PinnedMods::Exactly(self.extra().mods.as_ref().map(|mods| mods.mark())),
            false => PinnedMods::Any,
        }
    }
}
