//! One time partition of a region: which files are there, and which went unsent.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;

use crate::identity::FileIdentity;
use crate::identity::Space;
use crate::identity::TsFileName;
use crate::listing::FileFacts;
use crate::listing::ModsMark;
use crate::listing::ModsRead;
use crate::record::Known;
use crate::record::Record;
use crate::region::Rank;
use crate::region::ReadRule;

/// One time partition of a region, both spaces.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    /// The files that are there, in the order in which they win.
    pub(crate) live: BTreeMap<Rank, Live>,
    /// Open files by space and name, as of the last scan.
    pub(crate) open: HashSet<(Space, TsFileName)>,
    /// The same as of the scan before.
    pub(crate) open_before: HashSet<(Space, TsFileName)>,
    /// The last scan in which an open file was gone that had never been seen sealed.
    pub(crate) unsealed_lost_scan: Option<u64>,
    /// Files that vanished, while it is not settled what became of them.
    pub(crate) lost: Vec<Lost>,
    /// The scan in which the partition was first listed; 0 if it is known from the journal.
    pub(crate) first_scan: u64,
    /// Whether a file of it has left but for points that could not be read.
    pub(crate) has_short: bool,
    /// The highest version that counts as history, and how many files were sealed and open then.
    pub(crate) boundary: Option<(u64, u32, u32)>,
}

/// What is asked of many files at once, without a look at each of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Live {
    pub(crate) has_left: bool,
    /// Whether it is a compaction's target.
    pub(crate) is_target: bool,
}

impl Live {
    /// Whether something late may hide or delete what has left of the file; whoever wants to know
    /// for sure must look at it.
    pub(crate) fn may_be_beaten(self) -> bool {
        self.has_left || self.is_target
    }
}

/// A file that vanished: before it had left, or after, where drops are followed.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) gone: Gone,
    /// Whether rows of it are not at the far side, or not as they should be.
    pub(crate) is_unsent: bool,
    /// Whether rows of it may be at the far side, and deleting them is up to us.
    pub(crate) is_dropped: bool,
    /// What is known of it; nothing if it was never listed since the start.
    pub(crate) facts: Option<Arc<FileFacts>>,
    /// The deletions beside it, as they were listed last.
    pub(crate) mods: Option<Arc<ModsRead>>,
    /// The same as they were in the end, where that is known.
    pub(crate) last_mods: Option<Arc<ModsRead>>,
    /// Whether files waited behind it that leave in its place, without the deletions beside it: those
    /// have left.
    pub(crate) was_waited_for: bool,
    /// Whether there may have been others.
    pub(crate) has_missed: bool,
    /// Whether rows of it may have been deleted by what stood, or stands, beside another file: beside
    /// a target that it was in and that went too, or beside the files that a compaction was making it
    /// of when it was last seen.
    pub(crate) is_doubtful: bool,
    pub(crate) first_scan: u64,
    /// Scans since it went in which all of the region could be read.
    pub(crate) n_scans_since: u64,
    /// Whether a compaction's target may hold it.
    pub(crate) is_taken: bool,
}

/// What the ledger says of a file that vanished, and must say until that is settled.
#[derive(Clone, Debug)]
pub(crate) struct Gone {
    pub(crate) file: Known,
    pub(crate) mods: Option<ModsMark>,
    pub(crate) has_left: bool,
    /// Whether it was to leave, for the first time or again.
    pub(crate) waited: bool,
}

impl Gone {
    pub(crate) fn records(&self) -> impl Iterator<Item = Record> {
        let identity = self.file.identity;
        let covered = self.has_left.then_some(Record::Covered(identity));
        let again = self.has_left && self.waited;
        core::iter::once(Record::Seen(self.file.clone(), self.mods))
            .chain(covered)
            .chain(again.then(|| Record::Requeued(vec![identity])))
    }
}

/// A compaction's target is in place before its sources go, so a scan that begins after they went
/// shows it; so many more scans must have been whole.
const SCANS_TO_SETTLE: u64 = 1;

impl Lost {
    /// Whether every target that may hold the file has been seen.
    pub(crate) fn is_settled(&self) -> bool {
        self.n_scans_since > SCANS_TO_SETTLE
    }
}

/// Whether a compaction may have made a target of a file, among others, judging by what they are.
///
/// # Arguments
///
/// - `facts`: of the file; `None` where nothing is known of it
pub(crate) fn may_hold(
    (target_space, target): (Space, TsFileName),
    target_facts: &FileFacts,
    space: Space,
    facts: Option<&FileFacts>,
) -> bool {
    // Into the unsequence space only a repair goes, which begins at version 0. The other way also a
    // link goes, which may have been there and gone.
    let spaces_fit =
        (space, target_space) != (Space::Sequence, Space::Unsequence) || target.version == 0;
    // A target's progress is the join over its sources.
    let progress_fits = || match (facts.and_then(|it| it.progress.as_ref()), &target_facts.progress)
    {
        (Some(file), Some(target)) => file.whole().is_covered_by(&target.whole()),
        (Some(_), None) => false,
        (None, _) => true,
    };
    spaces_fit
        && facts.is_none_or(|facts| facts.extent.overlaps(&target_facts.extent))
        && progress_fits()
}

impl Partition {
    /// The files of that name that are there.
    pub(crate) fn named(
        &self,
        rule: ReadRule,
        space: Space,
        name: TsFileName,
    ) -> impl Iterator<Item = FileIdentity> {
        self.live
            .range(Rank::least(rule, space, name)..)
            .take_while(move |(rank, _)| rank.space == space && rank.name == name)
            .map(|(rank, _)| rank.identity)
    }

    /// Beside a target deletions may have been made that a file which may be in it, and went too, does
    /// not have.
    pub(crate) fn doubt_lost_in_lost(&mut self) {
        let counts = |name: TsFileName| (name.inner, name.cross);
        let targets = self.lost.iter().filter(|it| it.is_unsent);
        let targets = targets.filter(|it| it.gone.file.name.is_of_compaction());
        let targets: Vec<_> = targets
            .map(|it| {
                (it.gone.file.place.space, it.gone.file.name, it.first_scan, it.facts.clone())
            })
            .collect();
        for (space, name, first_scan, facts) in targets {
            for lost in self.lost.iter_mut().filter(|it| it.is_unsent && !it.is_doubtful) {
                let Known { place, name: lost_name, .. } = &lost.gone.file;
                let may_hold =
                    |facts| may_hold((space, name), facts, place.space, lost.facts.as_deref());
                lost.is_doubtful = first_scan >= lost.first_scan
                    && counts(name) > counts(*lost_name)
                    && facts.as_deref().is_none_or(may_hold);
            }
        }
    }

    /// Whether an open file went before it was seen sealed: a compaction may have taken it in.
    pub(crate) fn has_lost_open_file(&self, rule: ReadRule) -> bool {
        self.open_before.iter().any(|&(space, name)| {
            !self.open.contains(&(space, name)) && self.named(rule, space, name).next().is_none()
        })
    }

    /// Whether a compaction's target is there together with the source whose name it took: then the
    /// compaction is not at its end, and the deletions that came meanwhile may not be beside it yet.
    pub(crate) fn is_unfinished(&self, rule: ReadRule, space: Space, target: TsFileName) -> bool {
        let source = TsFileName { inner: 0, cross: 0, ..target };
        let from = Rank::least(rule, space, source);
        let before = Rank::least(rule, space, target);
        self.live.range(from..before).any(|(rank, _)| rank.space == space)
    }
}
