//! Targets of compactions: what they may be made of, whether that has left, and who makes way for
//! whom.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use tidegate_model::Time;

use super::Origin;
use super::Source;
use super::State;
use super::Tracked;
use super::Without;
use crate::identity::FileIdentity;
use crate::identity::RegionKey;
use crate::identity::Space;
use crate::partition::may_hold;
use crate::region::Held;
use crate::region::OrderKey;
use crate::region::Rank;

/// Files that are queued at once, where there are so many.
const RELEASED_AT_ONCE: usize = 8192;
/// A compaction that wrote its target before that has ended.
const RECENT_NS: i64 = 300_000_000_000;

impl Source {
    /// When a partition is first listed, a compaction may be at its end: the target is there, and
    /// sources that IoTDB does not read any more are too.
    pub(super) fn find_targets_at_first_sight(&mut self, fresh: &[FileIdentity], now_ns: i64) {
        let rule = self.read_rule();
        for identity in fresh {
            let Some(tracked) = self.files.get_mut(identity) else { continue };
            let (place, name) = (tracked.last.place().clone(), tracked.last.name);
            if tracked.is_compaction() || !name.is_of_compaction() {
                continue;
            }
            let Some(region) = self.regions.get_mut(tracked.region()) else { continue };
            let Some(partition) = region.partitions.get_mut(&place.partition) else { continue };
            let is_recent = now_ns.saturating_sub(identity.mtime_ns) < RECENT_NS;
            if is_recent || partition.is_unfinished(rule, place.space, name) {
                let rank = Rank::new(rule, place.space, name, *identity);
                partition.live.entry(rank).or_default().is_target = true;
                tracked.origin = Origin::Compaction { is_trusted: false, holds_unsent: true };
                if let State::Waiting(turn) = &mut tracked.state {
                    turn.is_late = true;
                }
            }
        }
    }

    /// A target may hold a file that was last seen open: sealed and compacted between two scans.
    pub(super) fn distrust_targets(&mut self) {
        let (rule, n_scans) = (self.read_rule(), self.n_scans);
        let mut targets = Vec::new();
        for partition in self.regions.values_mut().flat_map(|it| it.partitions.values_mut()) {
            if partition.has_lost_open_file(rule) {
                partition.unsealed_lost_scan = Some(n_scans);
            }
            // It may also be in one that was first seen while the file still seemed to be open.
            if partition.unsealed_lost_scan.is_some_and(|scan| n_scans <= scan + 1) {
                let live = partition.live.iter().filter(|(_, it)| it.is_target);
                targets.extend(live.map(|(rank, _)| rank.identity));
            }
        }
        for identity in targets {
            if let Some(tracked) = self.files.get_mut(&identity)
                && tracked.left.is_none()
                && let Origin::Compaction { is_trusted, .. } = &mut tracked.origin
            {
                *is_trusted = false;
            }
        }
    }

    /// A new target of a compaction leaves in the place of all unsent files that it may hold.
    ///
    /// From the moment in which IoTDB reads the target, deletions stand beside it alone. Were such
    /// a deletion sent first and then one of the sources, which may still be there, its rows would
    /// come back. So the sources wait: they vanish, or they were none, and the target has left.
    pub(super) fn make_way(&mut self, fresh: &[FileIdentity]) {
        if self.config.without == Without::Obsolete {
            return;
        }
        for (target, identity, waiting) in self.unsent_in(fresh) {
            let is_out = self.is_out(identity);
            let Some(tracked) = self.files.get_mut(&target) else { continue };
            if let Origin::Compaction { holds_unsent, .. } = &mut tracked.origin {
                *holds_unsent = true;
            }
            let Some(region) = self.regions.get_mut(tracked.region()) else { continue };
            if !is_out {
                region.queue.remove(&waiting);
                region.aside.remove(&waiting);
                region.held.entry(identity).or_default().targets.push(target);
            }
        }
    }

    /// New targets, each with every waiting file that it may hold.
    fn unsent_in(&self, fresh: &[FileIdentity]) -> Vec<(FileIdentity, FileIdentity, OrderKey)> {
        let mut targets: BTreeMap<(&RegionKey, i64), Vec<FileIdentity>> = BTreeMap::new();
        for &identity in fresh {
            if let Some(it) = self.files.get(&identity)
                && it.is_compaction()
                && it.left.is_none()
            {
                let at = (it.region(), it.last.place().partition);
                targets.entry(at).or_default().push(identity);
            }
        }
        let mut found = Vec::new();
        for ((region, at), targets) in targets {
            let Some(partition) = self.partition(region, at) else { continue };
            let waiting = partition.live.keys().filter_map(|rank| {
                let tracked = self.files.get(&rank.identity)?;
                let key = self.key_of(tracked, rank.identity)?;
                let (start, end) = tracked.bounds();
                Some((start, end, rank.identity, key))
            });
            // Most files of a partition have times of their own: few are looked at for each target.
            let mut waiting: Vec<(i64, i64, FileIdentity, OrderKey)> = waiting.collect();
            waiting.sort_unstable_by_key(|&(start, ..)| start);
            for target in targets {
                let Some((first, last)) = self.files.get(&target).map(|it| it.bounds()) else {
                    continue;
                };
                let n_begun = waiting.partition_point(|&(start, ..)| start <= last);
                let inside = waiting.iter().take(n_begun).filter(|&&(_, end, identity, _)| {
                    first <= end && self.may_be_in(identity, target)
                });
                found.extend(inside.map(|&(_, _, identity, key)| (target, identity, key)));
            }
        }
        found
    }

    /// Lets files go that no longer wait for open files or for the end of a compaction, and files
    /// that were just found and need not.
    pub(super) fn release_held(&mut self, readable: &BTreeSet<RegionKey>, fresh: &[FileIdentity]) {
        let now = self.clock;
        let mut held = Vec::new();
        for (key, region) in &mut self.regions {
            let is_due = region.is_stirred || region.stirs_at.is_some_and(|at| at <= now);
            if is_due && readable.contains(key) {
                (region.is_stirred, region.stirs_at) = (false, None);
                held.extend(region.held.keys().copied());
            }
        }
        let is_held = held.chunks(RELEASED_AT_ONCE).map(|batch| (batch, true));
        let is_fresh = fresh.chunks(RELEASED_AT_ONCE).map(|batch| (batch, false));
        for (batch, is_held) in is_held.chain(is_fresh) {
            let mut released: BTreeMap<RegionKey, BTreeSet<OrderKey>> = BTreeMap::new();
            for &identity in batch {
                if !is_held && !self.is_entering(identity) {
                    continue;
                }
                let Some(tracked) = self.files.get(&identity) else { continue };
                let key = tracked.region().clone();
                if !readable.contains(&key) {
                    self.regions.entry(key).or_default().held.entry(identity).or_default();
                } else if let Some(order) = self.release(identity, now) {
                    released.entry(key).or_default().insert(order);
                }
            }
            for (key, mut released) in released {
                let region = self.regions.entry(key).or_default();
                // Made of many at once, a tree takes half the room.
                if released.len() > RELEASED_AT_ONCE / 2 {
                    region.queue.append(&mut released);
                } else {
                    region.queue.extend(released);
                }
            }
        }
    }

    /// Whether a file began to wait in this scan, and is in none of the places for that yet.
    fn is_entering(&self, identity: FileIdentity) -> bool {
        let Some(tracked) = self.files.get(&identity) else { return false };
        let Some(key) = self.key_of(tracked, identity) else { return false };
        let Some(region) = self.regions.get(tracked.region()) else { return false };
        key.scan == self.n_scans
            && !self.is_out(identity)
            && !region.queue.contains(&key)
            && !region.aside.contains_key(&key)
            && !region.held.contains_key(&identity)
    }

    /// Where a file is queued, if it need not be held any longer.
    fn release(&mut self, identity: FileIdentity, now: Time) -> Option<OrderKey> {
        let is_covered = self.is_covered(identity);
        let has_sources = !is_covered && self.has_possible_source(identity);
        let key = self.key_of(self.files.get(&identity)?, identity)?;
        let tracked = self.files.get_mut(&identity)?;
        let region = self.regions.get_mut(tracked.region())?;
        let partition = region.partitions.get(&key.partition)?;
        let held = region.held.entry(identity).or_default();
        // What a target is made of may only show in the scan after the one that shows it.
        if tracked.is_young || (tracked.is_compaction() && tracked.first_scan == self.n_scans) {
            region.stirs_at = Some(now);
            return None;
        }
        if tracked.is_compaction() && self.config.without != Without::Unfinished {
            let Rank { space, name, .. } = key.rank;
            if partition.is_unfinished(self.config.effective_read_rule(), space, name) {
                if let Some(extra) = &mut tracked.extra {
                    extra.settles_at = None;
                }
                return None;
            }
            tracked.extra_mut().settles_at.get_or_insert(now + self.config.sources_go_within);
            // While it is not gone, one of its sources would be taken for a file that it beats.
            if has_sources && !tracked.has_settled(now) {
                region.stirs_at = earlier(region.stirs_at, tracked.extra().settles_at);
                return None;
            }
        }
        held.open.retain(|name| partition.open.contains(&(Space::Sequence, *name)));
        if held.targets.iter().any(|it| !self.files.contains_key(it))
            && let Some(tracked) = self.files.get_mut(&identity)
        {
            tracked.has_lost_target = true;
        }
        held.targets.retain(|it| {
            let target = self.files.get(it).filter(|target| target.is_in_the_way(now));
            let settles_at =
                target.filter(|it| it.left.is_some()).and_then(|it| it.extra().settles_at);
            region.stirs_at = earlier(region.stirs_at, settles_at);
            target.is_some()
        });
        if !held.open.is_empty() || !held.targets.is_empty() {
            return None;
        }
        region.held.remove(&identity);
        let key = OrderKey { scan: self.n_scans, ..key };
        let tracked = self.files.get_mut(&identity)?;
        tracked.state = State::Waiting(key.turn());
        Some(key)
    }

    /// Whether a file is there of which a compaction may have made this target.
    fn has_possible_source(&self, target: FileIdentity) -> bool {
        let Some(it) = self.files.get(&target).filter(|it| it.is_compaction()) else {
            return false;
        };
        let partition = self.partition(it.region(), it.last.place().partition);
        let mut live = partition.into_iter().flat_map(|partition| partition.live.keys());
        live.any(|rank| {
            let Some(file) = self.files.get(&rank.identity) else { return false };
            // A compaction counts up what it does: within a space, or across.
            let counts = (rank.name.inner, rank.name.cross);
            let is_less = counts.0 < it.last.name.inner || counts.1 < it.last.name.cross;
            rank.identity != target
                && file.first_scan <= it.first_scan
                && is_less
                && may_hold(
                    (it.last.place().space, it.last.name),
                    &it.facts,
                    rank.space,
                    Some(&file.facts),
                )
        })
    }

    /// Targets that may hold a file and have not left, or only just.
    pub(super) fn targets_over(&self, identity: FileIdentity) -> Vec<FileIdentity> {
        if self.config.without == Without::Obsolete {
            return Vec::new();
        }
        let Some(tracked) = self.files.get(&identity) else { return Vec::new() };
        let partition = self.partition(tracked.region(), tracked.last.place().partition);
        let live = partition.into_iter().flat_map(|it| &it.live);
        let targets = live.filter(|(_, it)| it.is_target).map(|(rank, _)| rank.identity);
        targets
            .filter(|&target| {
                self.files.get(&target).is_some_and(|it| it.is_in_the_way(self.clock))
                    && self.may_be_in(identity, target)
            })
            .collect()
    }

    /// Whether a compaction may have made `target` of a file, among others.
    fn may_be_in(&self, identity: FileIdentity, target: FileIdentity) -> bool {
        let (Some(file), Some(it)) = (self.files.get(&identity), self.files.get(&target)) else {
            return false;
        };
        let counts = |it: &Tracked| (it.last.name.inner, it.last.name.cross);
        let is_older = file.first_scan < it.first_scan
            || file.first_scan == it.first_scan
                && (!file.is_compaction() || counts(file) < counts(it));
        identity != target
            && !file.is_orphan
            && it.is_compaction()
            && is_older
            && may_hold(
                (it.last.place().space, it.last.name),
                &it.facts,
                file.last.place().space,
                Some(&file.facts),
            )
    }

    /// Whether a file's rows have left by other ways, so that it need not.
    ///
    /// Only a compaction's target can be: it is made of files that were there. Either all of those
    /// are known, and none of them went without having left; or every row up to the highest that
    /// is in it has left.
    pub(super) fn is_covered(&self, identity: FileIdentity) -> bool {
        let Some(tracked) = self.files.get(&identity) else { return false };
        let Origin::Compaction { is_trusted, holds_unsent } = tracked.origin else { return false };
        if self.config.without == Without::Coverage {
            return true;
        }
        if holds_unsent || tracked.is_beaten || tracked.left.is_some() {
            return false;
        }
        let Some(region) = self.regions.get(tracked.region()) else { return false };
        let partition = tracked.last.place().partition;
        let has_aside = region.aside.keys().any(|key| key.partition == partition);
        if region.partitions.get(&partition).is_some_and(|it| it.has_short) {
            return false;
        }
        let progress = tracked.facts.progress.as_ref();
        (is_trusted && !has_aside)
            || region.watermark.proves(progress, self.marks, self.config.without)
    }

    /// Queues a file that is to leave, or holds it behind the targets that may hold it: they leave
    /// in its place.
    pub(super) fn queue_or_hold(&mut self, identity: FileIdentity, key: OrderKey) {
        let targets = self.targets_over(identity);
        for target in &targets {
            if let Some(tracked) = self.files.get_mut(target)
                && let Origin::Compaction { holds_unsent, .. } = &mut tracked.origin
            {
                *holds_unsent = true;
            }
        }
        let Some(tracked) = self.files.get(&identity) else { return };
        let region = self.regions.entry(tracked.region().clone()).or_default();
        if targets.is_empty() {
            region.queue.insert(key);
        } else {
            region.is_stirred = true;
            region.held.insert(identity, Held { open: Vec::new(), targets });
        }
    }
}

fn earlier(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    one.into_iter().chain(other).min()
}
