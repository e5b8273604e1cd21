//! Deletions: which entries of which mods files must leave by themselves.
//!
//! Deletions that were there when a file was first seen leave with it. What is added after that
//! leaves as deletions of their own, before any file of the region that was sealed later: such a
//! file may hold rows that were written after the deletion, and they must not be there yet when it
//! arrives. Whether the file itself has left does not matter: nobody may know whether it has.

use std::collections::BTreeSet;
use std::collections::HashSet;
use std::sync::Arc;

use tidegate_tsfile as tsfile;
use tidegate_tsfile::DeviceExtent;
use tidegate_tsfile::Predicate;
use tidegate_tsfile::Target;
use tidegate_tsfile::TimeRange;

use super::ModsTaken;
use super::Origin;
use super::Source;
use super::Tracked;
use super::Without;
use crate::deletion::Deletion;
use crate::deletion::DeletionKey;
use crate::deletion::Scope;
use crate::deletion::SeenDeletion;
use crate::deletion::cut;
use crate::gap::GapReason;
use crate::identity::FileIdentity;
use crate::identity::Place;
use crate::identity::RegionKey;
use crate::identity::TsFileName;
use crate::listing::FileFacts;
use crate::listing::ModsMark;
use crate::listing::ModsRead;
use crate::partition::Gone;
use crate::record::Known;
use crate::record::Record;
use crate::region::Flight;
use crate::region::Region;

impl Source {
    /// Puts those deletions beside a file into its region's stream that have not been.
    pub(super) fn take_deletions(&mut self, identity: FileIdentity) {
        let Some(tracked) = self.files.get_mut(&identity) else { return };
        let region = self.regions.entry(tracked.region().clone()).or_default();
        let Some(mods) = tracked.extra().mods.clone() else {
            region.unreadable_mods.remove(&identity);
            return self.lose_deletions(identity);
        };
        match mods.damage {
            Some(_) => region.unreadable_mods.insert(identity),
            None => region.unreadable_mods.remove(&identity),
        };
        let now = ModsTaken::List(Arc::clone(&mods));
        if tracked.extra().mods_taken == now || (tracked.is_young && tracked.origin == Origin::Rows)
        {
            return;
        }
        let taken = std::mem::replace(&mut tracked.extra_mut().mods_taken, now);
        // Of one that has gone, nothing can leave again.
        let lies_nowhere = tracked.lies_nowhere();
        let (file, key) = (tracked.known(identity), tracked.region().clone());
        if self.config.without == Without::LateDeletions {
            return;
        }
        let region = self.regions.entry(key.clone()).or_default();
        let has_lost_entries = !lies_nowhere && taken.has_others_than(&mods);
        let mut unknown: Option<(u64, u64)> = None;
        let mut again = Vec::new();
        let mut start = 0;
        for (entry, mut news) in mods.entries.iter().zip(taken.news_in(&mods)) {
            let from = std::mem::replace(&mut start, entry.end_bytes);
            // It has left before: a compaction's target begins with what its sources were told, and a
            // list that was cut may be whole again.
            if news == News::New && region.done.contains(entry.key) {
                news = News::Again;
            }
            match (&entry.scope, news) {
                (_, News::Old) | (Scope::Nothing, _) => (),
                (Scope::Unknown, _) => {
                    unknown = Some((unknown.map_or(from, |it| it.0), entry.end_bytes));
                }
                (Scope::Cut(deletion), _) => {
                    region.deletions.put(entry.key, deletion.clone(), &file);
                    if news == News::Again {
                        again.push((entry.key, deletion));
                    }
                }
            }
        }
        region.settling.insert(identity);
        if has_lost_entries {
            self.send_again(identity);
        }
        for (deletion_key, deletion) in again {
            self.requeue_behind(&file, deletion_key, deletion);
        }
        if let Some(bytes) = unknown {
            self.gap(GapReason::ModsUnreadable, file, 1, bytes, None);
        }
        self.settle_deletions(&key);
    }

    /// Puts those deletions into the stream that were made beside a file just before it went.
    pub(super) fn take_last_deletions(&mut self, identity: FileIdentity, mods: Arc<ModsRead>) {
        let Some(tracked) = self.files.get_mut(&identity) else { return };
        tracked.has_missed |= mods.damage.is_some();
        let listed = tracked.extra_mut().mods.replace(Arc::clone(&mods));
        self.take_deletions(identity);
        if let Some(tracked) = self.files.get_mut(&identity) {
            // It may leave from its pin, which comes with the deletions that were listed.
            let extra = tracked.extra_mut();
            (extra.mods, extra.last_mods) = (listed, Some(mods));
        }
    }

    /// A file has left from its pin, and brought rows back that had been deleted just before it went.
    pub(super) fn repeat_last_deletions(&mut self, identity: FileIdentity) {
        // One that a scan has found again leaves with the list beside it.
        let Some(tracked) = self.files.get(&identity).filter(|it| it.lies_nowhere()) else {
            return;
        };
        // It may have to leave from its pin once more, and they behind it.
        let Some(last) = tracked.extra().last_mods.clone() else { return };
        let listed = tracked.extra().mods.as_ref().map(|it| it.mark());
        let carried_bytes = match listed.filter(|it| it.is_beginning_of(&last)) {
            Some(listed) => listed.seen.length_bytes,
            None => 0,
        };
        let file = tracked.known(identity);
        for entry in last.entries.iter().filter(|it| it.end_bytes > carried_bytes) {
            if let Scope::Cut(deletion) = &entry.scope {
                self.repeat_deletion(&file, entry.key, deletion);
            }
        }
    }

    /// Somebody has removed or emptied the list of deletions beside a file.
    fn lose_deletions(&mut self, identity: FileIdentity) {
        let removed = ModsTaken::Length(ModsMark::REMOVED);
        let Some(tracked) = self.files.get_mut(&identity) else { return };
        let taken = &tracked.extra().mods_taken;
        if tracked.is_young || *taken == ModsTaken::Nothing || *taken == removed {
            return;
        }
        tracked.extra_mut().mods_taken = removed;
        let key = tracked.region().clone();
        self.send_again(identity);
        self.regions.entry(key.clone()).or_default().settling.insert(identity);
        self.settle_deletions(&key);
    }

    /// Rows of a file that had been deleted may be there again: it must leave, once more if it has
    /// left.
    fn send_again(&mut self, identity: FileIdentity) {
        let is_out = self.is_out(identity);
        let Some(tracked) = self.files.get_mut(&identity) else { return };
        tracked.is_hit_in_flight |= is_out;
        let (key, location) = (tracked.region().clone(), tracked.last.clone());
        let rank = self.rank(&location, identity);
        self.beat(&key, vec![rank], None);
    }

    /// A file that had left was dropped: its devices are deleted over its times, and what else may
    /// be there leaves once more behind that.
    pub(super) fn follow_drop(&mut self, gone: Gone, facts: Option<&FileFacts>) {
        let devices = facts.and_then(|facts| facts.devices.as_deref()).unwrap_or_default();
        for entry in whole(devices) {
            let key = DeletionKey::of(&entry);
            if let Scope::Cut(deletion) = cut(&entry, devices) {
                self.repeat_deletion(&gone.file, key, &deletion);
            }
        }
        self.forget(gone);
    }

    /// Why nothing of a region may leave, if that is since deletions beside a file that has left cannot
    /// be read: whatever leaves now would have to leave behind them.
    pub(super) fn unreadable_mods(&self, region: &Region) -> Option<(TsFileName, &str)> {
        region.unreadable_mods.iter().find_map(|identity| {
            let tracked = self.files.get(identity).filter(|it| it.left.is_some())?;
            let damage = tracked.extra().mods.as_ref()?.damage.as_deref()?;
            Some((tracked.last.name, damage))
        })
    }

    /// Forgets a file that is no longer there, once every deletion has left that waits: beside it
    /// may have stood some of them, and after a restart nobody else would know.
    pub(super) fn forget(&mut self, gone: Gone) {
        let region = self.regions.entry(gone.file.place.region.clone()).or_default();
        match region.deletions.last_mut() {
            Some(last) => last.gone.push(gone),
            None => self.note_gone(gone.file.identity),
        }
    }

    /// A file is forgotten, unless a scan had missed it, and it is there again.
    pub(super) fn note_gone(&mut self, identity: FileIdentity) {
        if !self.files.contains_key(&identity) {
            self.in_history.remove(&identity);
            self.record(Record::Gone(identity));
        }
    }

    /// Puts a deletion into the stream that may have left before, and what it may hit behind it.
    ///
    /// # Arguments
    ///
    /// - `file`: the one beside which it stood
    pub(super) fn repeat_deletion(&mut self, file: &Known, key: DeletionKey, deletion: &Deletion) {
        let region = self.regions.entry(file.place.region.clone()).or_default();
        region.deletions.put(key, deletion.clone(), file);
        self.requeue_behind(file, key, deletion);
    }

    /// A deletion leaves that may have left before, and rows written after it too: it would delete
    /// them. So every file that may hold such rows leaves once more behind it.
    ///
    /// Files that the deletion concerns themselves hold none.
    fn requeue_behind(&mut self, file: &Known, deletion_key: DeletionKey, deletion: &Deletion) {
        if self.config.without == Without::DeletionRepair {
            return;
        }
        let extent = deletion.extent();
        let may_hold_later_rows = |other: &Tracked| {
            let mut entries = other.extra().mods.iter().flat_map(|mods| &mods.entries);
            other.facts.extent.overlaps(&extent) && !entries.any(|it| it.key == deletion_key)
        };
        let Place { region: key, partition, .. } = &file.place;
        let beaten = self.concerned_in(key, *partition, .., may_hold_later_rows);
        let in_flight = self.regions.get(key).and_then(|region| region.in_flight);
        if let Some((_, Flight::File(out))) = in_flight
            && let Some(other) = self.files.get_mut(&out.rank.identity)
            && may_hold_later_rows(other)
        {
            other.is_hit_in_flight = true;
        }
        self.beat(key, beaten, None);
    }

    /// Writes down how far the mods of a region's files are dealt with, if nothing of them waits.
    ///
    /// Until then a restart would send all of them again, which is harmless: no file leaves before
    /// the last of them.
    pub(super) fn settle_deletions(&mut self, key: &RegionKey) {
        let Some(region) = self.regions.get_mut(key) else { return };
        if !region.deletions.is_empty() {
            return;
        }
        for identity in std::mem::take(&mut region.settling) {
            let Some(tracked) = self.files.get_mut(&identity) else { continue };
            if tracked.is_hit_in_flight {
                // Until it is on record that it leaves again, a restart must find what it found.
                self.regions.entry(key.clone()).or_default().settling.insert(identity);
                continue;
            }
            let mods = match &tracked.extra().mods_taken {
                ModsTaken::Nothing => continue,
                ModsTaken::Length(mark) => *mark,
                ModsTaken::List(mods) => mods.mark(),
            };
            if tracked.extra().mods_settled != Some(mods) {
                tracked.extra_mut().mods_settled = Some(mods);
                self.record(Record::ModsSettled { identity, mods });
            }
        }
    }

    /// Deletions have left, by themselves or with a file.
    pub(super) fn note_done(&mut self, region: &RegionKey, keys: &[DeletionKey]) {
        for &key in keys {
            let known = self.regions.entry(region.clone()).or_default();
            if known.done.insert(key) {
                self.record(Record::DeletionDone { region: region.clone(), key });
            }
        }
    }
}

/// Deletions of all series of these devices: one of the tree model, one for each table.
fn whole(devices: &[DeviceExtent]) -> Vec<tsfile::Deletion> {
    let ranges = devices.iter().map(|it| it.range.widened());
    let Some(range) = ranges.reduce(TimeRange::union) else { return Vec::new() };
    let is_tree = |it: &&DeviceExtent| it.device.path.starts_with("root.");
    let tables: BTreeSet<Box<str>> = devices
        .iter()
        .filter(|it| !is_tree(it))
        .filter_map(|it| it.device.segments.as_ref()?.0.first()?.clone())
        .collect();
    let tree =
        devices.iter().any(|it| is_tree(&it)).then(|| Target::Tree { pattern: "root.**".into() });
    let tables = tables.into_iter().map(|table| {
        let columns = Box::default();
        Target::Table { table, predicate: Predicate::Any, columns }
    });
    let (start, end) = (range.start, range.end);
    tree.into_iter().chain(tables).map(|target| tsfile::Deletion { target, start, end }).collect()
}

/// Whether an entry must leave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum News {
    Old,
    /// It has not left, nor has any row that was written after it.
    New,
    /// It may have left before, under this form or another.
    Again,
}

impl ModsTaken {
    /// Whether deletions were there, as far as can be told, that are not there now: the list was
    /// written anew, by IoTDB, which merges what it holds, or by somebody.
    fn has_others_than(&self, now: &ModsRead) -> bool {
        match self {
            Self::Nothing => false,
            Self::Length(mark) => !mark.is_beginning_of(now) && *mark != ModsMark::REMOVED,
            Self::List(list) => {
                let keys: HashSet<DeletionKey> = now.entries.iter().map(|it| it.key).collect();
                list.entries.iter().any(|it| !keys.contains(&it.key))
            }
        }
    }

    /// What each entry is, as against what was there when the file was last looked at.
    fn news_in(&self, now: &ModsRead) -> Vec<News> {
        let mark = match self {
            Self::Nothing => return vec![News::New; now.entries.len()],
            Self::Length(mark) => *mark,
            Self::List(list) => list.mark(),
        };
        let is_grown = mark.is_beginning_of(now);
        let known: HashSet<DeletionKey> = match self {
            Self::List(list) if !is_grown => list.entries.iter().map(|it| it.key).collect(),
            _ => HashSet::new(),
        };
        let news_of = |entry: &SeenDeletion| match is_grown {
            true if entry.end_bytes <= mark.seen.length_bytes => News::Old,
            true => News::New,
            // IoTDB writes a long list anew and merges its entries.
            false if known.contains(&entry.key) => News::Old,
            false => News::Again,
        };
        now.entries.iter().map(news_of).collect()
    }
}
