//! Files that are no longer there: which of them are missed, and what has to follow from that.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::DropPolicy;
use super::Effect;
use super::Left;
use super::Origin;
use super::Source;
use super::State;
use super::Without;
use crate::gap::Gap;
use crate::gap::GapReason;
use crate::identity::FileIdentity;
use crate::identity::RegionKey;
use crate::partition::Gone;
use crate::partition::Lost;
use crate::partition::Partition;
use crate::partition::may_hold;
use crate::record::Known;
use crate::record::Record;
use crate::region::OrderKey;
use crate::region::Rank;

/// What follows from files that went, with the records of gaps before those that forget the files.
#[derive(Debug, Default)]
pub(super) struct Vanished {
    unseen: BTreeMap<(RegionKey, i64), Unseen>,
    gone: Vec<Gone>,
}

/// Files of one partition that went after they had left, while deletions may have been missed.
#[derive(Debug)]
struct Unseen {
    first: Known,
    n_files: u32,
    times: Option<(i64, i64)>,
}

impl Source {
    /// Forgets a file that is no longer there, and remembers what has to follow from that.
    pub(super) fn handle_vanished(&mut self, identity: FileIdentity, outcome: &mut Vanished) {
        let (is_covered, is_out) = (self.is_covered(identity), self.is_out(identity));
        let Some(tracked) = self.files.get(&identity) else { return };
        let (rank, waits) = (self.rank(&tracked.last, identity), self.key_of(tracked, identity));
        let tracked = self.files.get_mut(&identity).expect("it was just looked at");
        let region = self.regions.entry(tracked.region().clone()).or_default();
        let partition = region.partitions.entry(tracked.last.place().partition).or_default();
        partition.live.remove(&rank);
        region.is_stirred = true;
        if waits.is_some() && is_out {
            // The reader holds it open; its outcome decides.
            tracked.is_vanished = true;
            return;
        }
        let tracked = self.files.remove(&identity).expect("it was just looked at");
        if tracked.is_history {
            self.in_history.insert(identity);
        }
        let file = tracked.known(identity);
        let held = region.held.get(&identity);
        let had_target = held.is_some_and(|held| !held.targets.is_empty());
        region.remove(identity, waits, tracked.first_scan);
        // Of a compaction's target, rows of it: with the files that it is made of.
        let may_have_left = tracked.left.is_some()
            || tracked.is_attempted
            || tracked.is_compaction()
            || !tracked.is_found;
        // Deletions that could not be read are in what it became, too.
        let mods = tracked.extra().mods.as_ref();
        let has_missed = tracked.has_missed || mods.is_some_and(|mods| mods.damage.is_some());
        if may_have_left && has_missed {
            let key = (tracked.region().clone(), tracked.last.place().partition);
            let entry = outcome.unseen.entry(key).or_insert_with(|| Unseen {
                first: file.clone(),
                n_files: 0,
                times: None,
            });
            entry.n_files += 1;
            if let Some((start, end)) = tracked.facts.extent.bounds() {
                let (a, b) = entry.times.unwrap_or((start, end));
                entry.times = Some((a.min(start), b.max(end)));
            }
        }
        let gone = Gone {
            file,
            mods: tracked.extra().mods_settled,
            has_left: tracked.left.is_some(),
            waited: tracked.state != State::Rests,
        };
        let is_unsent = tracked.state != State::Rests && !is_covered;
        let mods = tracked.extra().mods.clone();
        let last_mods = tracked.extra().last_mods.clone();
        let was_waited_for = region.held.values().any(|held| held.targets.contains(&identity));
        let is_unfinished = tracked.is_compaction() && tracked.extra().settles_at.is_none();
        let is_doubtful = is_unfinished || had_target || tracked.has_lost_target;
        let follows_drops = self.config.drop_policy == DropPolicy::Delete;
        let is_dropped = may_have_left && !tracked.has_missed && follows_drops;
        if !is_unsent && !is_dropped {
            outcome.gone.push(gone);
            return;
        }
        if is_unsent {
            region.watermark.abandon();
        }
        let partition = region.partitions.entry(tracked.last.place().partition).or_default();
        partition.lost.push(Lost {
            gone,
            is_unsent,
            is_dropped,
            facts: tracked.is_found.then_some(tracked.facts),
            mods,
            // Unless it has just been said.
            has_missed: (has_missed && !may_have_left) || tracked.is_young,
            last_mods,
            was_waited_for,
            is_doubtful,
            first_scan: tracked.first_scan,
            n_scans_since: 0,
            is_taken: false,
        });
    }

    /// A file that vanished while it was out has left, or has not.
    pub(super) fn end_vanished(&mut self, identity: FileIdentity) {
        if !self.files.get(&identity).is_some_and(|it| it.is_vanished && it.lies_nowhere()) {
            return;
        }
        let mut outcome = Vanished::default();
        self.handle_vanished(identity, &mut outcome);
        self.note_vanished(outcome);
        self.mark_lost_in_targets();
    }

    pub(super) fn note_vanished(&mut self, outcome: Vanished) {
        let Vanished { unseen, gone } = outcome;
        let says_so = self.config.without != Without::UnseenDeletions;
        for Unseen { first, n_files, times } in unseen.into_values().filter(|_| says_so) {
            self.gap(GapReason::DeletionsUnseen, first, n_files, (0, 0), times);
        }
        gone.into_iter().for_each(|it| self.forget(it));
    }

    pub(super) fn gap(
        &mut self,
        reason: GapReason,
        file: Known,
        n_files: u32,
        bytes: (u64, u64),
        times: Option<(i64, i64)>,
    ) {
        let Known { place, name, .. } = file;
        let unread = None;
        self.push(Effect::Gap(Gap { place, name, n_files, reason, bytes, times, unread }));
    }

    /// Targets that may hold a file which vanished unsent must leave.
    pub(super) fn mark_lost_in_targets(&mut self) {
        if self.config.without == Without::Lost {
            return;
        }
        let (rule, n_scans) = (self.read_rule(), self.n_scans);
        let mut uncovered = Vec::new();
        for region in self.regions.values_mut() {
            for partition in region.partitions.values_mut() {
                if partition.lost.is_empty() {
                    continue;
                }
                partition.doubt_lost_in_lost();
                let targets = partition.live.iter().filter(|(_, it)| it.is_target);
                let targets: Vec<Rank> = targets.map(|(rank, _)| *rank).collect();
                let Partition { live, lost, .. } = partition;
                for lost in lost {
                    let (space, lost_name) = (lost.gone.file.place.space, lost.gone.file.name);
                    let namesakes = live.range(Rank::least(rule, space, lost_name)..);
                    // On another disk, say; one that is shorter was cut.
                    lost.is_taken |= namesakes
                        .map(|(rank, _)| rank)
                        .take_while(|it| it.space == space && it.name == lost_name)
                        .any(|it| it.identity.length_bytes >= lost.gone.file.identity.length_bytes);
                    for &Rank { name, space: target_space, identity, .. } in &targets {
                        let target = (target_space, name);
                        let Some(tracked) = self.files.get_mut(&identity) else { continue };
                        let Origin::Compaction { holds_unsent, .. } = &mut tracked.origin else {
                            continue;
                        };
                        if tracked.first_scan < lost.first_scan
                            || !may_hold(target, &tracked.facts, space, lost.facts.as_deref())
                        {
                            continue;
                        }
                        lost.is_taken = true;
                        if !lost.is_unsent {
                            continue;
                        }
                        *holds_unsent = true;
                        if tracked.left == Some(Left::Covered) && tracked.state == State::Rests {
                            uncovered.push(identity);
                        }
                    }
                }
            }
        }
        for identity in uncovered {
            let Some(tracked) = self.files.get(&identity) else { continue };
            let key = self.order_key(&tracked.last, identity, true);
            self.requeue_left(identity, OrderKey { scan: n_scans, ..key });
            self.record(Record::Requeued(vec![identity]));
        }
    }

    /// What became of files that vanished unsent, once every target that may hold them was seen.
    pub(super) fn settle_lost(&mut self, readable: &BTreeSet<RegionKey>) {
        let mut settled = Vec::new();
        for (key, region) in &mut self.regions {
            if !readable.contains(key) {
                continue;
            }
            for partition in region.partitions.values_mut() {
                settled.extend(partition.lost.extract_if(.., |lost| lost.is_settled()));
                partition.lost.iter_mut().for_each(|lost| lost.n_scans_since += 1);
            }
        }
        for lost in settled {
            if lost.is_unsent && !lost.is_taken && self.may_rescue(&lost) {
                self.rescue(lost);
                continue;
            }
            if self.files.contains_key(&lost.gone.file.identity) {
                // A scan has missed it, and it is dealt with as what it is.
                continue;
            }
            let Known { place, name, .. } = &lost.gone.file;
            // Deletions stand beside a target once it is read, and then it is not undone any more.
            let has_deletions = lost.mods.is_some() || lost.last_mods.is_some();
            // What was in it is elsewhere.
            let is_elsewhere = lost.is_taken || (!has_deletions && self.is_undone(place, *name));
            let region = self.regions.entry(place.region.clone()).or_default();
            match (lost.is_unsent, is_elsewhere) {
                (true, true) => region.counts.superseded += 1,
                (true, false) => {
                    region.counts.vanished += 1;
                    if self.config.without != Without::VanishedUnsent {
                        let times = lost.facts.as_ref().and_then(|it| it.extent.bounds());
                        let file = lost.gone.file.clone();
                        let bytes = (0, file.identity.length_bytes);
                        self.gap(GapReason::VanishedUnsent, file.clone(), 1, bytes, times);
                        if has_deletions && lost.was_waited_for {
                            self.gap(GapReason::DeletionsUnseen, file, 1, (0, 0), times);
                        }
                    }
                }
                (false, _) => (),
            }
            if lost.is_dropped && !is_elsewhere {
                self.follow_drop(lost.gone, lost.facts.as_deref());
            } else {
                self.forget(lost.gone);
            }
        }
    }
}
