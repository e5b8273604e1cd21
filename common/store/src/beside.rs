//! Writes deletions beside the files that they concern, as IoTDB does: for whoever reads the files
//! without the catalog, a sender or one who has to make the catalog anew.
//!
//! The catalog stays what counts, so nobody waits for this: it is done in the background, a few files
//! at a time, and again from the start if it was interrupted. A deletion that stands in both places
//! deletes no more than one.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_durable::Storage;
use tidegate_tsfile::Deletion;
use tidegate_tsfile::ModEntry;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::Target;
use tidegate_tsfile::TsFileVersion;

use crate::StoreError;
use crate::file::LayerFile;
use crate::file::read_if_there;
use crate::file::write_whole;
use crate::rebuild::UNREAD_SUFFIX;
use crate::store::Store;
use crate::tombstone::Tombstone;
use crate::volume::Volume;

/// Most files beside which deletions are written at once.
const FILES_MAX: usize = 32;

impl<V: Volume> Store<V> {
    /// Writes deletions beside some of the files that lack them; `true` if there are more.
    pub fn write_mods(&mut self) -> Result<bool, StoreError> {
        for _ in 0..FILES_MAX {
            let Some(id) = self.without_mods.first().copied() else { return Ok(false) };
            if let Some(layer) = self.layers.iter().find(|layer| layer.layer.id == id) {
                match self.write_mods_of(layer) {
                    // it does not say of which form its list would be; the catalog has the deletion
                    Err(error) if error.is_of_file() => (),
                    outcome => outcome?,
                }
            }
            self.without_mods.remove(&id);
        }
        Ok(!self.without_mods.is_empty())
    }

    /// Finds the files that may lack deletions beside them; which of them do is seen when it is
    /// their turn.
    pub(crate) fn look_for_lacking_mods(&mut self) {
        let lacks = |layer: &&Arc<LayerFile<V::Dir>>| {
            let known = known_beside(&layer.entries);
            let mut felt = self.deletions.iter().filter(|it| may_concern(it, layer));
            felt.any(|it| !known.contains(&it.entry.deletion))
        };
        let lacking = self.layers.iter().filter(lacks).map(|layer| layer.layer.id);
        self.without_mods = lacking.collect();
    }

    /// Remembers that a deletion is to be written beside the files that it may concern.
    pub(crate) fn will_write(&mut self, deletion: &Tombstone) {
        let felt = self.layers.iter().filter(|layer| may_concern(deletion, layer));
        self.without_mods.extend(felt.map(|layer| layer.layer.id));
    }

    fn write_mods_of(&self, layer: &LayerFile<V::Dir>) -> Result<(), StoreError> {
        let concerned = self.deletions.iter().filter(|it| concerns(it, layer));
        let concerned: Vec<&Tombstone> = concerned.collect();
        if concerned.is_empty() {
            return Ok(());
        }
        let kind = match (layer.layer.mods, layer.file()?.version()) {
            (Some(kind), _) => kind,
            (None, TsFileVersion::V3) => ModsKind::Text,
            (None, _) => ModsKind::Binary,
        };
        let name = layer.layer.file_name(kind.suffix());
        let mut bytes = match read_if_there(&layer.dir, &name)? {
            // it is missed, and would not be if there were another one
            None if layer.layer.mods == Some(kind) => return Ok(()),
            bytes => bytes.unwrap_or_default(),
        };
        let mut found = kind.entries(&bytes, 0);
        let entries: Vec<ModEntry> = found.by_ref().collect();
        let whole_bytes = found.whole_bytes();
        if whole_bytes < bytes.len() {
            let aside = layer.layer.file_name(&format!("{}{UNREAD_SUFFIX}", kind.suffix()));
            if read_if_there(&layer.dir, &aside)?.is_none() {
                write_whole(&layer.dir, &aside, &bytes)?;
            }
        }
        // what nobody can read may not stand before the rest
        bytes.truncate(whole_bytes);
        let mut known = known_beside(&entries);
        for deletion in concerned {
            if known.insert(&deletion.entry.deletion) {
                append(kind, deletion, &mut bytes);
            }
        }
        if bytes.len() == whole_bytes {
            return Ok(());
        }
        write_whole(&layer.dir, &name, &bytes)?;
        layer.dir.sync_dir().map_err(StoreError::io("sync", layer.layer.directory()))
    }
}

/// Deletions that stand beside a file and take from all of it.
fn known_beside(entries: &[ModEntry]) -> BTreeSet<&Deletion> {
    let is_of_all = |it: &&ModEntry| it.file_offset.is_none_or(|at| at == i64::MAX);
    entries.iter().filter(is_of_all).map(|entry| &entry.deletion).collect()
}

/// Whether a deletion may take cells of a layer, by database and times.
pub(crate) fn may_concern<S: Storage>(deletion: &Tombstone, layer: &LayerFile<S>) -> bool {
    layer.layer.precedence < deletion.precedence && layer.feels(deletion)
}

/// Whether a deletion may take cells of a layer, by its devices.
fn concerns<S: Storage>(deletion: &Tombstone, layer: &LayerFile<S>) -> bool {
    let mut devices = layer.devices.extents.iter();
    may_concern(deletion, layer)
        && devices.any(|(device, range)| range.overlaps(deletion.times()) && deletion.means(device))
}

fn append(kind: ModsKind, deletion: &Tombstone, out: &mut Vec<u8>) {
    let Deletion { target, start, end } = &deletion.entry.deletion;
    match (kind, target) {
        (ModsKind::Binary, _) => out.extend_from_slice(&deletion.entry.raw),
        (ModsKind::Text, Target::Tree { pattern }) if !pattern.contains(['\n', '\r']) => {
            out.extend_from_slice(
                format!("DELETION,{pattern},{},{start},{end}\n", i64::MAX).as_bytes(),
            );
        }
        // no line can say it; the catalog does
        (ModsKind::Text, _) => (),
    }
}
