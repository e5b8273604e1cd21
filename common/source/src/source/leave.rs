//! What leaves next, and what became of what left.

use std::ops::Bound;
use std::ops::RangeBounds;
use std::sync::Arc;

use tidegate_model::Time;
use tidegate_model::Verdict;

use super::Departed;
use super::Effect;
use super::Left;
use super::Source;
use super::Stall;
use super::State;
use super::Tracked;
use super::Without;
use crate::extent::Extent;
use crate::gap::Gap;
use crate::gap::GapReason;
use crate::gap::UnreadPoints;
use crate::identity::FileIdentity;
use crate::identity::Place;
use crate::identity::RegionKey;
use crate::item::DeleteItem;
use crate::item::FileItem;
use crate::item::Form;
use crate::item::Item;
use crate::item::ItemKind;
use crate::item::Outcome;
use crate::item::Precedence;
use crate::item::Token;
use crate::record::Known;
use crate::record::Record;
use crate::record::Sent;
use crate::region::ASIDE;
use crate::region::Aside;
use crate::region::Flight;
use crate::region::Numbered;
use crate::region::OrderKey;
use crate::region::Rank;
use crate::region::Region;

/// Series of a deletion that leave in one request take about so much of it: less than the largest
/// frame of any gateway.
const DELETION_BYTES_MAX: usize = 256 * 1024;

impl Source {
    /// The next item of a stream for which `may` says yes: of the one that waited longest for a turn.
    ///
    /// Effects may be there to be polled afterwards, whether there was an item or not.
    pub fn poll_item(
        &mut self,
        now: Time,
        mut may: impl FnMut(&RegionKey) -> bool,
    ) -> Option<Item> {
        self.clock = now;
        if self.taking_in.is_some() {
            return None;
        }
        let mut tried: Option<(u64, RegionKey)> = None;
        loop {
            // As a rule the first has one, so there is no need to sort them.
            let behind = |turn: (u64, &RegionKey)| {
                tried.as_ref().is_none_or(|(served, key)| turn > (*served, key))
            };
            let next = self
                .regions
                .iter()
                .map(|(key, region)| ((region.served_in_turn, key), region))
                .filter(|(turn, region)| behind(*turn) && self.may_have_item(region, now))
                .filter(|((_, key), _)| may(key))
                .map(|(turn, _)| turn)
                .min()?;
            let (served, key) = (next.0, next.1.clone());
            if let Some(item) = self.next_of(&key, now) {
                return Some(item);
            }
            tried = Some((served, key));
        }
    }

    /// Whether it is worth asking [`poll_item`](Self::poll_item).
    pub fn has_item(&self, now: Time, mut may: impl FnMut(&RegionKey) -> bool) -> bool {
        self.taking_in.is_none()
            && self.regions.iter().any(|(key, region)| self.may_have_item(region, now) && may(key))
    }

    fn may_have_item(&self, region: &Region, now: Time) -> bool {
        let is_due = || region.aside.values().any(|aside| aside.retry_at <= now);
        region.may_send(now, self.n_durable, self.n_scans)
            && self.unreadable_mods(region).is_none()
            && (!region.deletions.is_empty()
                || region.queue.first().is_some_and(|head| self.is_ready(region, head))
                || is_due())
    }

    /// An item came to something.
    ///
    /// # Arguments
    ///
    /// - `departed`: how it left, if it did
    pub fn handle_outcome(
        &mut self,
        now: Time,
        token: Token,
        outcome: &Outcome,
        departed: Departed,
    ) {
        self.clock = now;
        let (key, flight) = self.land(token);
        let region = self.regions.entry(key.clone()).or_default();
        if outcome.verdict == Verdict::Accepted {
            region.refusals = 0;
            region.held_until = None;
            region.last_trouble = None;
            let (_, sequence) = region.numbered.take().expect("an item in flight has a number");
            match flight {
                Flight::File(file) => self.depart(&key, file.rank.identity, sequence, departed),
                Flight::Deletion => self.depart_deletion(&key, departed),
            }
            return;
        }
        region.last_trouble = Some(outcome.message.clone());
        if outcome.verdict == Verdict::Refused {
            region.hold(now);
        }
        if let Flight::File(file) = flight {
            if outcome.verdict == Verdict::Unknown {
                // It may be there, and without its deletions.
                self.note_uncarried(file.rank.identity, departed);
                if departed.form.is_file() {
                    self.note_file_sent(&key);
                }
            }
            self.requeue(&key, file);
        }
    }

    /// An item could not be tried.
    pub fn handle_stall(&mut self, now: Time, token: Token, stall: Stall) {
        let (key, flight) = self.land(token);
        let Flight::File(file) = flight else { return };
        let is_lost = matches!(stall, Stall::Moved | Stall::Damaged(_));
        let identity = file.rank.identity;
        let is_orphan = |it: &Tracked| it.is_orphan && it.lies_nowhere();
        if is_lost && self.files.get(&identity).is_some_and(|it| is_orphan(it)) {
            // There is no other place to look for it, and it will not mend.
            return self.abandon(identity);
        }
        let Some(waiting) = self.requeue(&key, file) else { return };
        if let Stall::Damaged(_) = stall {
            self.regions.entry(key).or_default().numbered = None;
        }
        // Which is not where it left from, if that was renamed meanwhile.
        let Some(lies_in) = self.files.get(&identity).map(|it| it.region().clone()) else { return };
        let region = self.regions.entry(lies_in).or_default();
        match stall {
            Stall::Moved => region.scan_awaited = Some(self.n_scans),
            Stall::Blocked(reason) => {
                region.held_until = Some(now + ASIDE);
                region.blocked = Some((waiting, reason));
            }
            Stall::Damaged(reason) => {
                region.last_trouble = Some(reason.clone());
                region.take_out(waiting);
                region.aside.insert(waiting, Aside { reason, retry_at: now + ASIDE });
            }
        }
    }

    /// Some of an item that is out could not be read, and what leaves lacks it: a gap, once the rest has
    /// left. Of a file nothing leaves a second time for that.
    pub fn handle_unread(&mut self, token: Token, unread: Vec<UnreadPoints>) {
        let key = self.in_flight.get(&token);
        if let Some(region) = key.and_then(|key| self.regions.get_mut(key)) {
            region.unread = unread;
        }
    }

    /// A file was compared with its [twin](FileItem::twin): an equal one has left already, another
    /// one leaves like any file.
    pub fn handle_twin(&mut self, token: Token, is_equal: bool) {
        let (key, flight) = self.land(token);
        let Flight::File(file) = flight else { return };
        let identity = file.rank.identity;
        let tracked = self.files.get_mut(&identity).expect("an item in flight is tracked");
        let twin = tracked.extra.as_mut().and_then(|extra| extra.twin.take());
        let region = self.regions.entry(key.clone()).or_default();
        match twin.filter(|_| is_equal) {
            Some(crc32) => {
                let (_, sequence) = region.numbered.take().expect("an item in flight has a number");
                let (form, is_short) = (Form::File, false);
                self.set_rests(&key, identity, Left::Sent { sequence, crc32, form, is_short });
            }
            None => {
                region.numbered = None;
                self.requeue(&key, file);
            }
        }
    }

    fn next_of(&mut self, key: &RegionKey, now: Time) -> Option<Item> {
        let region = self.regions.get_mut(key)?;
        region.bring_back(now);
        let is_last = self.config.without == Without::DeletionsFirst && !region.queue.is_empty();
        if !region.deletions.is_empty() && !is_last {
            return Some(self.begin_deletion(key));
        }
        loop {
            let region = self.regions.get(key)?;
            let head = *region.queue.first()?;
            let identity = head.rank.identity;
            if !self.is_ready(region, &head) {
                return None;
            }
            let tracked = self.files.get(&identity).expect("a queued file is tracked");
            if self.is_covered(identity) {
                self.cover(key, head);
            } else if tracked.extra().twin.is_some() || !self.requeue_closure(key, head) {
                return Some(self.begin_file(key, head));
            } else if self.config.without != Without::ClosureFirst {
                return None;
            }
        }
    }

    /// A compaction's target need not leave.
    fn cover(&mut self, key: &RegionKey, head: OrderKey) {
        let identity = head.rank.identity;
        let tracked = self.files.get_mut(&identity).expect("a queued file is tracked");
        tracked.state = State::Rests;
        tracked.left = Some(Left::Covered);
        let first_scan = tracked.first_scan;
        let region = self.regions.entry(key.clone()).or_default();
        region.take_out(head);
        region.count_waiting(first_scan, false);
        region.counts.covered_files += 1;
        region.is_stirred = true;
        self.note_live(identity);
        self.record(Record::Covered(identity));
        self.raise_watermark(key);
    }

    /// Queues every file once more that has left, wins over this one and may have a cell in common
    /// with it: at the far side this one is going to win over them. Says whether there are any.
    fn requeue_closure(&mut self, key: &RegionKey, head: OrderKey) -> bool {
        let Some(tracked) = self.files.get(&head.rank.identity) else { return false };
        if self.config.without == Without::Closure {
            return false;
        }
        let extent = &tracked.facts.extent;
        // An orphan must not hide anything that the source still has: versions are given again after
        // a start of the DataNode, so what was written since may have a lower one.
        let from = if tracked.is_orphan { Bound::Unbounded } else { Bound::Excluded(head.rank) };
        let above = (from, Bound::Unbounded);
        let beaten = self
            .concerned_in(key, head.partition, above, |other| other.facts.extent.overlaps(extent));
        let is_any = !beaten.is_empty();
        self.beat(key, beaten, Some(head));
        is_any
    }

    /// Files of a partition of which something late may hide or delete rows that have left.
    ///
    /// # Arguments
    ///
    /// - `ranks`: those that are asked about
    /// - `is_hit`: whether the late one may have a cell in common with a file
    pub(super) fn concerned_in(
        &self,
        key: &RegionKey,
        partition: i64,
        ranks: impl RangeBounds<Rank>,
        is_hit: impl Fn(&Tracked) -> bool,
    ) -> Vec<Rank> {
        let Some(partition) = self.partition(key, partition) else { return Vec::new() };
        let is_concerned = |rank: &Rank| {
            let file = self.files.get(&rank.identity);
            file.is_some_and(|it| it.is_concerned_by_late_ones() && is_hit(it))
        };
        let live = partition.live.range(ranks);
        let concerned = live.filter(|(rank, live)| live.may_be_beaten() && is_concerned(rank));
        concerned.map(|(&rank, _)| rank).collect()
    }

    /// Files whose rows something late is going to hide or delete leave once more behind it, and
    /// that is durable first.
    ///
    /// # Arguments
    ///
    /// - `behind`: the late file; `None` if it is a deletion, which leaves before all files anyway
    pub(super) fn beat(&mut self, key: &RegionKey, beaten: Vec<Rank>, behind: Option<OrderKey>) {
        if beaten.is_empty() {
            return;
        }
        for &rank in &beaten {
            let identity = rank.identity;
            let Some(other) = self.files.get_mut(&identity) else { continue };
            // Of a target that waits, this says that it must leave.
            other.is_beaten = true;
            if other.state != State::Rests {
                continue;
            }
            // Behind the late one, whether or not that is a compaction's target.
            let again = match behind {
                Some(late) => OrderKey { rank, is_late: true, ..late },
                None => {
                    let location = other.last.clone();
                    self.order_key(&location, identity, true)
                }
            };
            self.requeue_left(identity, again);
        }
        let files = beaten.into_iter().map(|rank| rank.identity).collect();
        self.record(Record::Requeued(files));
        if self.config.without != Without::ClosureFirst {
            let n_effects = self.n_effects;
            self.regions.entry(key.clone()).or_default().effects_awaited = n_effects;
        }
    }

    fn begin_file(&mut self, key: &RegionKey, head: OrderKey) -> Item {
        let (identity, without) = (head.rank.identity, self.config.without);
        let tracked = self.files.get_mut(&identity).expect("a queued file is tracked");
        tracked.is_attempted |= tracked.extra().twin.is_none();
        let location = tracked.locations.first().unwrap_or(&tracked.last);
        let (place, name) = (location.place().clone(), location.name);
        let folder = Arc::clone(location.folder());
        let mods = tracked.extra().mods.as_ref().map(|mods| mods.seen());
        let mut file = FileItem::new(place, name, identity, folder, mods);
        file.twin = tracked.extra().twin;
        file.age = tracked.age();
        file.pinned = tracked.is_orphan.then(|| tracked.pinned_mods(without));
        let extent = tracked.facts.extent.clone();
        let precedence = Some(Precedence { space: file.place.space, name });
        let region = self.regions.entry(key.clone()).or_default();
        region.queue.remove(&head);
        region.blocked = None;
        let sequence = region.number(Numbered::File(identity));
        let kind = ItemKind::File(file);
        self.launch(key, Flight::File(head), sequence, precedence, extent, kind)
    }

    fn begin_deletion(&mut self, key: &RegionKey) -> Item {
        let region = self.regions.entry(key.clone()).or_default();
        let first = region.deletions.split_first(DELETION_BYTES_MAX).expect("a deletion waits");
        let serial = first.serial;
        let item = DeleteItem {
            partition: first.partition,
            key: first.key,
            deletion: first.deletion.clone(),
        };
        let sequence = region.number(Numbered::Deletion(serial));
        let (start, end) = (item.deletion.start, item.deletion.end);
        let extent = Extent::Range { start, end };
        self.launch(key, Flight::Deletion, sequence, None, extent, ItemKind::Delete(item))
    }

    fn launch(
        &mut self,
        key: &RegionKey,
        flight: Flight,
        sequence: u64,
        precedence: Option<Precedence>,
        extent: Extent,
        kind: ItemKind,
    ) -> Item {
        let token = Token(self.next_token);
        self.next_token += 1;
        self.turn += 1;
        let turn = self.turn;
        let region = self.regions.entry(key.clone()).or_default();
        region.served_in_turn = turn;
        region.in_flight = Some((token, flight));
        region.unread = Vec::new();
        self.in_flight.insert(token, key.clone());
        Item { token, stream: key.clone(), sequence, precedence, extent, kind }
    }

    fn land(&mut self, token: Token) -> (RegionKey, Flight) {
        let key = self.in_flight.remove(&token).expect("an outcome names an item in flight");
        let region = self.regions.get_mut(&key).expect("an item in flight has a region");
        let (out, flight) = region.in_flight.take().expect("an item of the region is in flight");
        assert_eq!(out, token, "one item of a region is out");
        region.is_stirred = true;
        (key, flight)
    }

    /// Puts a file that did not get through back to its place; says which that is, if it is still
    /// there.
    fn requeue(&mut self, from: &RegionKey, file: OrderKey) -> Option<OrderKey> {
        let identity = file.rank.identity;
        let tracked = self.files.get(&identity)?;
        if tracked.region() != from {
            let (to, first_scan) = (tracked.region().clone(), tracked.first_scan);
            self.regions.entry(from.clone()).or_default().count_waiting(first_scan, false);
            self.regions.entry(to).or_default().count_waiting(first_scan, true);
        }
        let tracked = self.files.get(&identity)?;
        if tracked.is_vanished && tracked.lies_nowhere() {
            self.end_vanished(identity);
            return None;
        }
        if tracked.is_orphan && tracked.lies_nowhere() && !self.is_pinned(identity) {
            self.abandon(identity);
            return None;
        }
        let tracked = self.files.get(&identity)?;
        // It may have been linked under another name while it was out.
        let rank = self.rank(&tracked.last, identity);
        let waiting = OrderKey { rank, partition: tracked.last.place().partition, ..file };
        let tracked = self.files.get_mut(&identity)?;
        tracked.state = State::Waiting(waiting.turn());
        self.queue_or_hold(identity, waiting);
        Some(waiting)
    }

    fn depart(&mut self, key: &RegionKey, identity: FileIdentity, sequence: u64, how: Departed) {
        let tracked = self.files.get(&identity).expect("an item in flight is tracked");
        let carried: Vec<_> = tracked
            .extra()
            .mods
            .iter()
            .filter(|mods| how.mods.is_some_and(|left| left.kind == mods.kind))
            .flat_map(|mods| &mods.entries)
            .filter(|entry| how.mods.is_some_and(|left| entry.end_bytes <= left.length_bytes))
            .map(|entry| entry.key)
            .collect();
        let region = self.regions.entry(key.clone()).or_default();
        let unread = std::mem::take(&mut region.unread);
        let is_short = !unread.is_empty();
        region.counts.count(how.form, is_short, identity.length_bytes);
        region.has_files |= how.form.is_file();
        self.note_uncarried(identity, how);
        self.note_left_out(identity, how);
        self.note_unread(identity, unread);
        self.note_done(key, &carried);
        let Departed { crc32, form, .. } = how;
        self.set_rests(key, identity, Left::Sent { sequence, crc32, form, is_short });
    }

    /// Deletions that a file left without become a gap, once.
    fn note_uncarried(&mut self, identity: FileIdentity, how: Departed) {
        let Some(mods) = how.mods.filter(|_| !how.mods_carried) else { return };
        let Some(tracked) = self.files.get_mut(&identity) else { return };
        if tracked.extra().mods_uncarried == Some(mods) {
            return;
        }
        tracked.extra_mut().mods_uncarried = Some(mods);
        let known = tracked.known(identity);
        self.gap(GapReason::ModsNotCarried, known, 1, (0, mods.length_bytes), None);
    }

    /// What is not at the far side of a file that left as tablets, or may not be read there.
    fn note_left_out(&mut self, identity: FileIdentity, how: Departed) {
        let Some(tracked) = self.files.get(&identity) else { return };
        let (known, times) = (tracked.known(identity), tracked.facts.extent.bounds());
        let length_bytes = identity.length_bytes;
        if how.has_unknown_types {
            let reason = GapReason::TypesNotCarried;
            self.gap(reason, known.clone(), 1, (0, length_bytes), times);
        }
        if how.may_be_hidden {
            self.gap(GapReason::RowsMayBeHidden, known, 1, (0, length_bytes), times);
        }
    }

    /// What could not be read of a file is a gap, once: it may leave again, and is no better then.
    fn note_unread(&mut self, identity: FileIdentity, unread: Vec<UnreadPoints>) {
        let Some(tracked) = self.files.get(&identity) else { return };
        if matches!(tracked.left, Some(Left::Sent { is_short: true, .. })) {
            return;
        }
        let (known, extent) = (tracked.known(identity), tracked.facts.extent.bounds());
        for unread in unread {
            let Known { place, name, .. } = known.clone();
            let times = unread.times.or(extent);
            self.push(Effect::Gap(Gap {
                place,
                name,
                n_files: 1,
                reason: GapReason::PointsUnread,
                bytes: (0, identity.length_bytes),
                times,
                unread: Some(unread),
            }));
        }
    }

    /// A file may be at the far side, though nobody has said so: it may be compacted before it leaves again.
    pub(super) fn note_file_sent(&mut self, key: &RegionKey) {
        let region = self.regions.entry(key.clone()).or_default();
        if !std::mem::replace(&mut region.has_files, true) {
            let last = region.last_sequence;
            self.record(Record::Sequence { region: key.clone(), last, has_files: true });
        }
    }

    /// Whether something has left the region of a file as a file, or may have. IoTDB gives a file that it loads a
    /// higher version than what it takes in from then on into a memtable that was open then, so points
    /// must leave as a file, too, once one has. Which cells it had says nothing: it may be gone by now, or
    /// be compacted with others that have not left.
    pub fn has_sent_files(&self, identity: FileIdentity) -> bool {
        let Some(tracked) = self.files.get(&identity) else { return false };
        self.regions.get(&tracked.last.place().region).is_some_and(|region| region.has_files)
    }

    /// Points of a file are not at the far side and never will be by itself. What compactions make of it
    /// may hold them, if the source can read what cannot be read here.
    pub(super) fn note_short(&mut self, file: &Known, is_short: bool) {
        let region = self.regions.entry(file.place.region.clone()).or_default();
        let partition = region.partitions.entry(file.place.partition).or_default();
        partition.has_short |= is_short;
    }

    /// A file is at the far side, or nothing of it is wanted there.
    fn set_rests(&mut self, key: &RegionKey, identity: FileIdentity, left: Left) {
        let tracked = self.files.get_mut(&identity).expect("an item in flight is tracked");
        let mods = tracked.extra().mods_settled;
        tracked.left = Some(left);
        tracked.is_beaten = false;
        tracked.state = State::Rests;
        let (file, first_scan) = (tracked.known(identity), tracked.first_scan);
        let is_hit = std::mem::take(&mut tracked.is_hit_in_flight);
        // It lies nowhere, and is not needed any more.
        tracked.is_vanished |= tracked.is_orphan;
        let location = tracked.last.clone();
        let rank = self.rank(&location, identity);
        self.note_live(identity);
        if let Left::Sent { sequence, crc32, form, is_short } = left {
            self.note_short(&file, is_short);
            self.record(Record::Sent(Sent { file, sequence, mods, crc32, form, is_short }));
        }
        let region = self.regions.entry(key.clone()).or_default();
        region.count_waiting(first_scan, false);
        if is_hit {
            self.beat(key, vec![rank], None);
            self.settle_deletions(key);
        }
        self.raise_watermark(key);
        self.repeat_last_deletions(identity);
        self.set_orphan(identity, false);
        self.end_vanished(identity);
    }

    fn depart_deletion(&mut self, key: &RegionKey, how: Departed) {
        let region = self.regions.entry(key.clone()).or_default();
        let first = region.deletions.pop_first().expect("the first deletion was out");
        if how.form == Form::Nothing {
            // Nothing that it deletes was sent.
        } else if how.mods_carried {
            region.counts.deletions += 1;
        } else {
            let (space, name) = first.origin;
            self.push(Effect::Gap(Gap {
                place: Place { region: key.clone(), partition: first.partition, space },
                name,
                n_files: 1,
                reason: GapReason::ModsNotCarried,
                bytes: (0, 0),
                times: Some((first.deletion.start, first.deletion.end)),
                unread: None,
            }));
        }
        if first.is_last_part {
            self.note_done(key, &[first.key]);
            for gone in first.gone {
                self.note_gone(gone.file.identity);
            }
        }
        self.settle_deletions(key);
    }
}
