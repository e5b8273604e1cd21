//! What must be equal in the end, and what is excused.

use std::collections::BTreeSet;

use tidegate_source::DropPolicy;
use tidegate_source::Effect;
use tidegate_source::FileIdentity;
use tidegate_source::GapReason;
use tidegate_source::Record;

use super::Run;
use crate::iotdb::Cell;
use crate::iotdb::DEVICES;
use crate::iotdb::PARTITION;

impl Run {
    pub(super) fn compare(&mut self) -> Result<(), String> {
        for (region, status) in self.source.status() {
            let waiting = status.history_files + status.realtime_files + status.pending_deletions;
            if waiting > 0 {
                return Err(format!("{region}: {waiting} items wait for ever"));
            }
        }
        let (here, there) = (self.iotdb.read(), self.far.read());
        let mut excused: BTreeSet<Cell> = BTreeSet::new();
        let keeps = self.setup.drop_policy == DropPolicy::Keep || !self.setup.takes_deletions;
        if keeps {
            // What the source dropped stays at the far side, also when rows that hid it are deleted.
            excused.extend(&self.iotdb.dropped);
            let ever = self.iotdb.ever_dropped.iter();
            excused.extend(ever.filter(|cell| !here.contains_key(cell)));
        } else {
            // What went beside a compaction may have gone into its target, for all one can tell.
            let dropped = self.iotdb.dropped.iter().chain(&self.iotdb.ever_dropped);
            excused.extend(dropped.filter(|&&(device, time)| {
                let region = crate::iotdb::region_of(device);
                self.iotdb.compacted.contains(&(region, time / PARTITION))
            }));
        }
        let gaps = self.journal.iter().filter_map(|effect| match effect {
            Effect::Gap(gap) => Some(gap),
            _ => None,
        });
        let gaps: Vec<&tidegate_source::Gap> = gaps.collect();
        // What came and went between two scans, or before a crash, nobody can tell of.
        let seen: BTreeSet<FileIdentity> = self
            .journal
            .iter()
            .filter_map(|effect| match effect {
                Effect::Cursor(Record::Seen(known, _)) => Some(known.identity),
                Effect::Cursor(Record::Sent(sent)) => Some(sent.file.identity),
                _ => None,
            })
            .collect();
        for (value, (region, partition, identity)) in &self.iotdb.dropped_values {
            // Whether a file went into a target or was dropped beside it cannot always be told.
            if self.iotdb.compacted.contains(&(region.clone(), *partition)) {
                continue;
            }
            let is_told = gaps.iter().any(|gap| {
                gap.reason == GapReason::VanishedUnsent
                    && gap.place.region == *region
                    && gap.place.partition == *partition
            });
            if !is_told && !self.far.arrived.contains(value) && seen.contains(identity) {
                return Err(format!("value {value} was dropped unsent, and nobody says so"));
            }
        }
        // Where nothing was dropped, nothing that can be read may be said to be lost.
        let is_read = |gap: &tidegate_source::Gap| {
            let rows = self.iotdb.gone_rows.get(&(gap.place.clone(), gap.name));
            rows.into_iter().flatten().any(|(cell, value)| here.get(cell) == Some(value))
        };
        if self.iotdb.n_dropped == 0
            && let Some(gap) =
                gaps.iter().find(|gap| gap.reason == GapReason::VanishedUnsent && is_read(gap))
        {
            return Err(format!("a gap where nothing was dropped: {gap}"));
        }
        // Who has seen all has no excuse, but for files that seem to have been dropped: all of their
        // rows were deleted.
        let seems_dropped = |gap: &tidegate_source::Gap| {
            gaps.iter().any(|other| {
                other.reason == GapReason::VanishedUnsent
                    && (&other.place, other.name) == (&gap.place, gap.name)
            })
        };
        if self.has_seen_all
            && self.iotdb.n_dropped == 0
            && self.setup.catches_all
            && let Some(gap) = gaps
                .iter()
                .find(|gap| gap.reason == GapReason::DeletionsUnseen && !seems_dropped(gap))
        {
            return Err(format!("a gap where everything was seen: {gap}"));
        }
        for gap in gaps {
            let is_excuse = match gap.reason {
                GapReason::DeletionsUnseen => true,
                GapReason::ModsNotCarried => !self.setup.takes_deletions,
                _ => false,
            };
            if !is_excuse {
                continue;
            }
            for device in 0..DEVICES.len() {
                for time in 0..2 * PARTITION {
                    let place = &gap.place;
                    if crate::iotdb::region_of(device) == place.region
                        && time / PARTITION == place.partition
                    {
                        // Rows may be too many there. Where the peer takes no deletions, a row that
                        // was to be deleted may also win over a newer one; none may be missing.
                        let cell = (device, time);
                        let is_deleted = !here.contains_key(&cell);
                        let is_hidden = !self.setup.takes_deletions && there.contains_key(&cell);
                        if is_deleted || is_hidden || self.iotdb.dropped.contains(&cell) {
                            excused.insert(cell);
                        }
                    }
                }
            }
        }
        let cells: BTreeSet<&Cell> = here.keys().chain(there.keys()).collect();
        for cell in cells {
            let (here, there) = (here.get(cell), there.get(cell));
            if here != there && !excused.contains(cell) {
                let (device, time) = *cell;
                let device = DEVICES[device];
                return Err(format!(
                    "{device} time {time}: the source has {here:?}, the far side {there:?}"
                ));
            }
        }
        Ok(())
    }
}
