//! The pins of a run, as an edge keeps them.

use std::sync::Arc;

use tidegate_source::FileIdentity;
use tidegate_source::PinnedMods;

use super::File;
use super::Pins;
use super::Run;

impl Run {
    /// Pins what waits, at most so many files, and lets go what is not needed any more.
    pub(super) fn pin(&mut self, n_files_max: usize) {
        if self.setup.pins == Pins::Nowhere {
            return;
        }
        for wanted in self.source.pins_wanted(n_files_max) {
            let Some(found) = self.iotdb.find(wanted.identity).cloned() else { continue };
            // More may stand there by now; what was listed is the beginning of it.
            let same_list = wanted.mods.is_none_or(|mods| mods.inode == found.mods.inode);
            if same_list {
                let name = found.name;
                if self.pins.insert(wanted.identity, found).is_none() {
                    self.tell(|| format!("{name} is pinned"));
                }
            }
        }
        for identity in self.source.needless_pins() {
            self.pins.remove(&identity);
        }
        self.tell_pins();
    }

    pub(super) fn tell_pins(&mut self) {
        self.source.handle_pins(Arc::new(self.pins.keys().copied().collect()));
        self.collect();
    }

    /// A file as its pin has it, if the deletions are those that belong to it.
    pub(super) fn pinned(&self, identity: FileIdentity, mods: PinnedMods) -> Option<File> {
        let mut found = self.pins.get(&identity)?.clone();
        if let PinnedMods::Exactly(mods) = mods {
            let n_entries = mods.map_or(0, |mods| mods.seen.length_bytes / 10) as usize;
            let same_list = mods.is_none_or(|mods| mods.inode == found.mods.inode);
            if !same_list || found.mods.entries.len() < n_entries {
                return None;
            }
            found.mods.entries.truncate(n_entries);
        }
        Some(found)
    }
}
