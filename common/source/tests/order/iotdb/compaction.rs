//! Compactions of the model, step by step, so that anything can happen in between.

use std::time::Duration;

use tidegate_source::ReadRule;
use tidegate_source::RegionKey;
use tidegate_source::Space;
use tidegate_source::TsFileName;
use tidegate_tsfile::ProgressIndex;

use super::Compaction;
use super::File;
use super::Iotdb;
use super::Mods;
use super::Rows;
use super::Stage;

impl Iotdb {
    /// Begins a compaction, if there is something to compact; says of what kind.
    pub(crate) fn compact(
        &mut self,
        region: &RegionKey,
        partition: i64,
        kind: u8,
        n_files: usize,
    ) -> Option<&'static str> {
        let rule = self.rule;
        let known = self.partition(region, partition);
        if known.compaction.is_some() {
            return None;
        }
        let mut files: Vec<File> =
            known.files.iter().filter(|file| !file.is_hidden).cloned().collect();
        files.sort_by_key(|file| file.rank(rule));
        let of = |space: Space| files.iter().filter(move |file| file.space == space);
        let (what, sources, name): (&str, Vec<File>, TsFileName) = match kind % 4 {
            0 | 1 => {
                let space =
                    if kind.is_multiple_of(4) { Space::Sequence } else { Space::Unsequence };
                let sources: Vec<File> = of(space).take(n_files.max(2)).cloned().collect();
                if sources.len() < 2 {
                    return None;
                }
                let named = match (rule, space) {
                    (ReadRule::ByVersion, Space::Unsequence) => sources.last(),
                    _ => sources.first(),
                };
                let inner = sources.iter().map(|it| it.name.inner).max().unwrap_or(0) + 1;
                let name = TsFileName { inner, ..named.expect("two at least").name };
                ("inner", sources, name)
            }
            2 => {
                let oldest = of(Space::Unsequence).next()?.clone();
                let beneath: Vec<File> =
                    of(Space::Sequence).filter(|file| file.overlaps(&oldest)).cloned().collect();
                let Some(first) = beneath.first() else {
                    return self.link(region, partition, &oldest);
                };
                let cross = beneath.iter().map(|it| it.name.cross).max().unwrap_or(0) + 1;
                let name = TsFileName { cross, ..first.name };
                ("cross", beneath.into_iter().chain([oldest]).collect(), name)
            }
            _ => {
                let file = files.iter().find(|file| !file.mods.entries.is_empty())?;
                let name = TsFileName { inner: file.name.inner + 1, ..file.name };
                ("settle", vec![file.clone()], name)
            }
        };
        let mut rows = Rows::new();
        let mut progress = ProgressIndex::minimum();
        for source in &sources {
            rows.extend(source.visible());
            progress.join(&source.progress);
        }
        let space = sources[0].space;
        let identity = self.identity();
        let inode = self.inode();
        let mods = Mods { inode, entries: Vec::new() };
        let target = File { space, name, identity, rows, mods, progress, is_hidden: true };
        let compaction = Compaction {
            sources: sources.iter().map(|it| it.identity).collect(),
            target: (!target.rows.is_empty()).then_some(target),
            mods: Vec::new(),
            stage: Stage::Writing,
            swapped_for: Duration::ZERO,
        };
        if !self.keeps_values(region, partition, &compaction) {
            return None;
        }
        self.compacted.insert((region.clone(), partition));
        self.partition(region, partition).compaction = Some(compaction);
        Some(what)
    }

    /// Insertion compaction: a hard link in the other space, then the old name goes.
    fn link(&mut self, region: &RegionKey, partition: i64, file: &File) -> Option<&'static str> {
        if self.rule == ReadRule::ByVersion {
            return None;
        }
        let known = self.partition(region, partition);
        let name = TsFileName { time_ms: known.tick(), ..file.name };
        let link = File { space: Space::Sequence, name, ..file.clone() };
        known.files.push(link);
        known.compaction = Some(Compaction {
            sources: vec![file.identity],
            target: None,
            mods: Vec::new(),
            stage: Stage::Swapped,
            swapped_for: Duration::ZERO,
        });
        // Of the two names the old one is out of sight from now on.
        for old in &mut known.files {
            if old.identity == file.identity && old.name == file.name && old.space == file.space {
                old.is_hidden = true;
            }
        }
        self.created.push((Self::place(region, partition, Space::Sequence), name));
        Some("insertion")
    }

    /// Whether queries would show the same with the target in place of its sources.
    fn keeps_values(&mut self, region: &RegionKey, partition: i64, it: &Compaction) -> bool {
        let before = self.read();
        let known = self.partition(region, partition);
        let files = known.files.clone();
        for file in &mut known.files {
            file.is_hidden |= it.sources.contains(&file.identity);
        }
        known.files.extend(it.target.clone().map(|file| File { is_hidden: false, ..file }));
        let after = self.read();
        self.partition(region, partition).files = files;
        before == after
    }

    /// The next step of a compaction.
    pub(crate) fn go_on(&mut self, region: &RegionKey, partition: i64) -> Option<&'static str> {
        let known = self.partition(region, partition);
        let compaction = known.compaction.as_mut()?;
        let place = |space| Self::place(region, partition, space);
        match (compaction.stage, &compaction.target) {
            (Stage::Writing, Some(target)) => {
                compaction.stage = Stage::Shown;
                let shown = (place(target.space), target.name);
                known.files.push(target.clone());
                self.created.push(shown);
                Some("the target is there")
            }
            (Stage::Writing, None) | (Stage::Shown, _) => {
                compaction.stage = Stage::Swapped;
                let mut mods = Vec::new();
                for deletion in &compaction.mods {
                    if !mods.contains(deletion) {
                        mods.push(deletion.clone());
                    }
                }
                let target = compaction.target.as_ref().map(|target| target.identity);
                let mut touched = None;
                for file in &mut known.files {
                    if Some(file.identity) == target {
                        file.is_hidden = false;
                        file.mods.entries.clone_from(&mods);
                        touched = (!mods.is_empty()).then(|| (place(file.space), file.name));
                    } else if compaction.sources.contains(&file.identity) {
                        file.is_hidden = true;
                    }
                }
                self.touched.extend(touched);
                Some("the target is read")
            }
            (Stage::Swapped, _) => {
                let at = known
                    .files
                    .iter()
                    .position(|file| file.is_hidden && compaction.sources.contains(&file.identity));
                match at {
                    Some(at) => {
                        let file = known.files.remove(at);
                        self.gone_rows.insert((place(file.space), file.name), file.rows.clone());
                        self.gone.push((place(file.space), file));
                        Some("a source goes")
                    }
                    None => {
                        known.compaction = None;
                        Some("done")
                    }
                }
            }
        }
    }

    pub(super) fn end_compaction(&mut self, region: &RegionKey, partition: i64) {
        let known = self.partition(region, partition);
        let Some(compaction) = known.compaction.take() else { return };
        if compaction.stage == Stage::Swapped {
            let sources: Vec<File> = known.files.extract_if(.., |file| file.is_hidden).collect();
            for file in sources {
                let place = Self::place(region, partition, file.space);
                self.gone_rows.insert((place.clone(), file.name), file.rows.clone());
                self.gone.push((place, file));
            }
        } else {
            let target = compaction.target.as_ref().map(|target| target.identity);
            known.files.retain(|file| Some(file.identity) != target);
        }
    }
}
