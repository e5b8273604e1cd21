//! The ledger read back, and written anew.

use std::collections::BTreeSet;

use super::Extra;
use super::Left;
use super::Location;
use super::ModsTaken;
use super::Source;
use super::State;
use super::Tracked;
use crate::identity::FileIdentity;
use crate::identity::RegionKey;
use crate::listing::ModsMark;
use crate::listing::SourceMarks;
use crate::partition::Gone;
use crate::record::Boundary;
use crate::record::Known;
use crate::record::Record;
use crate::record::Sent;

impl Source {
    /// Takes in one record of the ledger, oldest first, before the first scan.
    pub fn load(&mut self, record: Record) {
        assert_eq!(self.n_scans, 0, "the past is loaded before the first scan");
        match record {
            Record::Seen(known, mods) => {
                let identity = known.identity;
                self.remember(&known);
                if let Some(tracked) = self.files.get_mut(&identity) {
                    // A scan had missed it, and it began anew when it was found again.
                    (tracked.state, tracked.left) = (State::Remembered, None);
                }
                self.set_orphan(identity, false);
                self.set_settled(identity, mods);
            }
            Record::Orphaned(identity) => self.set_orphan(identity, true),
            Record::Sent(sent) => {
                let identity = sent.file.identity;
                self.remember(&sent.file);
                self.note_short(&sent.file, sent.is_short);
                let region = self.regions.entry(sent.file.place.region.clone()).or_default();
                region.last_sequence = region.last_sequence.max(sent.sequence);
                region.counts.count(sent.form, sent.is_short, identity.length_bytes);
                region.has_files |= sent.form.is_file();
                self.set_settled(identity, sent.mods);
                let Sent { sequence, crc32, form, is_short, .. } = sent;
                self.set_left(identity, Left::Sent { sequence, crc32, form, is_short });
            }
            Record::Covered(identity) => self.set_left(identity, Left::Covered),
            Record::Requeued(files) => {
                for identity in files {
                    if let Some(tracked) = self.files.get_mut(&identity) {
                        tracked.state = State::Remembered;
                        tracked.is_beaten = true;
                    }
                }
            }
            Record::Gone(identity) => {
                self.set_orphan(identity, false);
                self.files.remove(&identity);
                self.in_history.remove(&identity);
            }
            Record::ModsSettled { identity, mods } => self.set_settled(identity, Some(mods)),
            Record::DeletionDone { region, key } => {
                self.regions.entry(region).or_default().done.insert(key);
            }
            Record::Watermark { region, marks, progress } => {
                self.regions.entry(region).or_default().watermark.restore(marks, *progress);
            }
            Record::Boundary(boundary) => {
                let Boundary { region, partition, version_max, n_sealed, n_open } = boundary;
                let region = self.regions.entry(region).or_default();
                let partition = region.partitions.entry(partition).or_default();
                partition.boundary = Some((version_max, n_sealed, n_open));
            }
            Record::BoundaryTaken => self.has_boundary = true,
            Record::InHistory(identity) => match self.files.get_mut(&identity) {
                Some(tracked) => tracked.is_history = true,
                None => _ = self.in_history.insert(identity),
            },
            Record::Marks(marks) => {
                self.marks = marks;
                self.last_reboots = marks.reboots.or(self.last_reboots);
            }
            Record::Sequence { region, last, has_files } => {
                let region = self.regions.entry(region).or_default();
                region.last_sequence = region.last_sequence.max(last);
                region.has_files |= has_files;
            }
        }
    }

    /// The ledger was damaged: what it says of files that have left may be outdated. They leave once
    /// more, in their order, so that in the end the far side reads what the source does. To be said
    /// before the first scan, and the ledger to be [written anew](Self::live_records) then: found
    /// again at the next start, the same damage would have all of it leave again.
    pub fn distrust_past(&mut self) {
        let left = self.files.iter().filter(|(_, tracked)| tracked.left.is_some());
        let mut again: Vec<FileIdentity> = left.map(|(identity, _)| *identity).collect();
        again.sort_unstable();
        self.is_past_damaged = true;
        for region in self.regions.values_mut() {
            region.watermark.reset();
        }
        self.load(Record::Requeued(again));
    }

    /// A file that was seen and has not left may have been on its way when the last run ended.
    pub(super) fn doubt_unanswered(&mut self) {
        let files = self.files.values().filter(|tracked| tracked.left.is_none());
        let regions: BTreeSet<RegionKey> = files.map(|it| it.region().clone()).collect();
        regions.iter().for_each(|key| self.note_file_sent(key));
    }

    fn remember(&mut self, known: &Known) {
        let Known { place, identity, .. } = known;
        let region = self.regions.entry(place.region.clone()).or_default();
        region.partitions.entry(place.partition).or_default();
        // Until it is found.
        region.limbo.push(*identity);
        // What was seen before the boundary is what was there when it was drawn.
        let is_history = self.in_history.remove(identity) || !self.has_boundary;
        self.files.entry(*identity).or_insert_with(|| {
            let mut tracked = Tracked::new(Location::past(place.clone(), known.name));
            // It may have left before the end of the last run, and nobody has watched.
            (tracked.is_attempted, tracked.has_missed) = (true, true);
            tracked.is_history = is_history;
            Box::new(tracked)
        });
    }

    fn set_left(&mut self, identity: FileIdentity, left: Left) {
        if let Some(tracked) = self.files.get_mut(&identity) {
            tracked.state = State::Rests;
            tracked.left = Some(left);
        }
        self.set_orphan(identity, false);
    }

    fn set_settled(&mut self, identity: FileIdentity, mods: Option<ModsMark>) {
        if let Some(tracked) = self.files.get_mut(&identity) {
            let mods_taken = mods.map_or(ModsTaken::Nothing, ModsTaken::Length);
            tracked.extra = Extra { mods_settled: mods, mods_taken, ..Extra::default() }.boxed();
        }
    }

    /// What the ledger must still hold, for writing it anew: shorter by everything that is gone.
    pub fn live_records(&self) -> Vec<Record> {
        let mut records = Vec::with_capacity(self.files.len() + self.regions.len());
        let last = SourceMarks { reboots: self.last_reboots, ..self.marks };
        records.extend([last, self.marks].map(Record::Marks));
        for (key, region) in &self.regions {
            let (last, has_files) = (region.last_sequence, region.has_files);
            records.push(Record::Sequence { region: key.clone(), last, has_files });
            for (&partition, known) in &region.partitions {
                if let Some((version_max, n_sealed, n_open)) = known.boundary {
                    let region = key.clone();
                    let boundary = Boundary { region, partition, version_max, n_sealed, n_open };
                    records.push(Record::Boundary(boundary));
                }
            }
            if let Some((marks, progress)) = region.watermark.reached() {
                let (marks, progress) = (*marks, Box::new(progress.clone()));
                records.push(Record::Watermark { region: key.clone(), marks, progress });
            }
            let done = region.done.iter();
            records.extend(done.map(|it| Record::DeletionDone { region: key.clone(), key: it }));
        }
        let mut in_history: Vec<FileIdentity> = self.in_history.iter().copied().collect();
        in_history.sort_unstable();
        records.extend(in_history.into_iter().map(Record::InHistory));
        // Of what stands before the boundary, it says that it is history.
        records.extend(self.file_records(true));
        records.extend(self.has_boundary.then_some(Record::BoundaryTaken));
        records.extend(self.file_records(false));
        records
    }

    /// What the ledger must still hold of files that are history, or of the others.
    fn file_records(&self, is_history: bool) -> Vec<Record> {
        let mut records = Vec::new();
        for region in self.regions.values() {
            let lost = region.lost().map(|lost| &lost.gone);
            let gone = lost.chain(region.deletions.iter().flat_map(|it| &it.gone));
            let gone = gone.filter(|it| self.is_in_history(it.file.identity) == is_history);
            records.extend(gone.flat_map(Gone::records));
        }
        let files = self.files.iter().filter(|(_, tracked)| tracked.is_history == is_history);
        let mut files: Vec<(&FileIdentity, &Box<Tracked>)> = files.collect();
        files.sort_unstable_by_key(|(identity, _)| **identity);
        for (identity, tracked) in files {
            let known = tracked.known(*identity);
            let mods = tracked.extra().mods_settled;
            match tracked.left {
                Some(Left::Sent { sequence, crc32, form, is_short }) => {
                    let sent = Sent { file: known, sequence, mods, crc32, form, is_short };
                    records.push(Record::Sent(sent));
                }
                // Not before it is known what it leaves with.
                None if tracked.is_young && !tracked.is_beaten => {
                    records.extend(is_history.then_some(Record::InHistory(*identity)));
                }
                left => {
                    records.push(Record::Seen(known, mods));
                    records.extend(left.map(|_| Record::Covered(*identity)));
                    records.extend(tracked.is_orphan.then_some(Record::Orphaned(*identity)));
                }
            }
            if tracked.state != State::Rests && (tracked.left.is_some() || tracked.is_beaten) {
                records.push(Record::Requeued(vec![*identity]));
            }
        }
        records
    }

    /// Whether a file that went was there, sealed, when the boundary was drawn.
    fn is_in_history(&self, gone: FileIdentity) -> bool {
        match self.files.get(&gone) {
            Some(tracked) => tracked.is_history,
            None => !self.has_boundary || self.in_history.contains(&gone),
        }
    }
}
