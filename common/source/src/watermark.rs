//! The contiguous watermark of a region: up to which row of the consensus everything has left.
//!
//! IoTDB numbers the rows of a region (`progress index`) and writes the highest number of each file
//! into its `.resource`; a compaction's target takes the highest of its sources. Rows of lower
//! numbers may be in other files, open ones too, so one file's number says nothing by itself. What
//! can be said: all rows with numbers that were seen before a scan began are in files that are there
//! in that scan, sealed or open. Once each of those has left, everything up to those numbers has.

use std::collections::HashSet;

use tidegate_tsfile::ProgressIndex;

use crate::identity::Space;
use crate::identity::TsFileName;
use crate::listing::SourceMarks;
use crate::progress::FileProgress;
use crate::source::Without;

/// An open file: partition, space, name.
pub(crate) type OpenFile = (i64, Space, TsFileName);

/// What is known of one region.
#[derive(Debug, Default)]
pub(crate) struct Watermark {
    /// Every row up to here has left, while the source is what it was then.
    reached: Option<(SourceMarks, ProgressIndex)>,
    /// Join of all files that were seen sealed: by the scan before last, by the last, by this one.
    seen: [ProgressIndex; 3],
    open_before: HashSet<OpenFile>,
    snapshot: Option<Snapshot>,
}

/// What must have left before the watermark rises.
#[derive(Debug)]
struct Snapshot {
    marks: SourceMarks,
    progress: ProgressIndex,
    /// Files first seen up to this scan.
    until: u64,
    /// Files that were open, and have not been seen sealed.
    open: HashSet<OpenFile>,
}

impl Watermark {
    /// From the journal.
    pub(crate) fn restore(&mut self, marks: SourceMarks, progress: ProgressIndex) {
        self.reached = Some((marks, progress));
    }

    /// What the journal must keep.
    pub(crate) fn reached(&self) -> Option<&(SourceMarks, ProgressIndex)> {
        self.reached.as_ref()
    }

    /// Whether all rows of a file have left by other ways.
    ///
    /// A DataNode that was started again may have recovered rows into files without their numbers,
    /// so what was found before proves nothing after.
    pub(crate) fn proves(
        &self,
        progress: Option<&FileProgress>,
        marks: SourceMarks,
        without: Without,
    ) -> bool {
        let Some(progress) = progress.map(FileProgress::whole) else { return false };
        if without == Without::ContiguousWatermark && progress.is_proven_by(&self.seen[1]) {
            return true;
        }
        let Some((then, reached)) = &self.reached else { return false };
        let is_same = marks.reboots.is_some() && *then == marks;
        (is_same || without == Without::Reboots) && progress.is_proven_by(reached)
    }

    /// A sealed file was seen.
    pub(crate) fn see(&mut self, progress: Option<&FileProgress>) {
        if let Some(progress) = progress {
            self.seen[2].join(&progress.whole());
        }
    }

    /// A file went before it had left: what was to prove that everything has left cannot.
    pub(crate) fn abandon(&mut self) {
        self.snapshot = None;
    }

    /// The source is not what it was.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Whether a file was open when it was last looked at, so that it matters whether it is sealed.
    pub(crate) fn knew_open(&self, file: &OpenFile) -> bool {
        self.open_before.contains(file)
            || self.snapshot.as_ref().is_some_and(|snapshot| snapshot.open.contains(file))
    }

    /// A scan in which all of the region could be read ended.
    ///
    /// # Arguments
    ///
    /// - `open`: the region's open files
    /// - `sealed`: those that it [knew open](Self::knew_open) and that were seen sealed
    pub(crate) fn end_scan(
        &mut self,
        scan: u64,
        marks: SourceMarks,
        open: HashSet<OpenFile>,
        sealed: &HashSet<OpenFile>,
    ) {
        // A file that was open and is neither open nor sealed now was compacted before it was seen.
        let is_accounted = |it: &OpenFile| open.contains(it) || sealed.contains(it);
        let all_accounted = self.open_before.iter().all(is_accounted);
        if let Some(snapshot) = &mut self.snapshot {
            if snapshot.open.iter().any(|it| sealed.contains(it)) {
                snapshot.until = scan;
            }
            snapshot.open.retain(|it| open.contains(it));
        }
        if !all_accounted || self.snapshot.as_ref().is_some_and(|it| it.marks != marks) {
            self.snapshot = None;
        }
        let progress = self.seen[0].clone();
        let rises = self
            .reached
            .as_ref()
            .is_none_or(|(then, reached)| *then != marks || !progress.is_covered_by(reached));
        if self.snapshot.is_none()
            && all_accounted
            && marks.reboots.is_some()
            && progress.is_evidence()
            && rises
        {
            self.snapshot = Some(Snapshot { marks, progress, until: scan, open: open.clone() });
        }
        self.open_before = open;
        self.seen.rotate_left(1);
        self.seen[2] = self.seen[1].clone();
    }

    /// Raises the watermark if everything has left that must have; says whether it rose.
    ///
    /// # Arguments
    ///
    /// - `oldest_waiting`: the scan in which the oldest waiting file was first seen
    pub(crate) fn rise(&mut self, oldest_waiting: Option<u64>) -> bool {
        let is_due = |it: &mut Snapshot| {
            it.open.is_empty() && oldest_waiting.is_none_or(|oldest| oldest > it.until)
        };
        let Some(snapshot) = self.snapshot.take_if(is_due) else { return false };
        let progress = match self.reached.take() {
            Some((then, reached)) if then == snapshot.marks => reached.joined(&snapshot.progress),
            _ => snapshot.progress,
        };
        self.reached = Some((snapshot.marks, progress));
        true
    }
}
