//! Writes deletions beside the files that they concern, as IoTDB does: for whoever reads the files
//! without the catalog, a sender or one who has to make the catalog anew.
//!
//! The catalog stays what counts, so nobody waits for this: it is done in the background, a few files
//! at a time, and again from the start if it was interrupted. What stands there already and is not what
//! the catalog says is replaced, but never what came with the file.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use tidegate_durable::FileName;
use tidegate_durable::Storage;
use tidegate_tsfile::Deletion;
use tidegate_tsfile::ModEntry;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::Target;

use crate::StoreError;
use crate::file::LayerFile;
use crate::file::read_if_there;
use crate::file::write_whole;
use crate::layer::Layer;
use crate::list::is_copy;
use crate::list::is_plain;
use crate::list::own_part;
use crate::list::takes_from_all;
use crate::rebuild::UNREAD_SUFFIX;
use crate::store::Store;
use crate::tombstone::Tombstone;
use crate::tombstone::precedences;
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
                    remade => self.remade.extend(remade?),
                }
            }
            self.without_mods.remove(&id);
        }
        Ok(!self.without_mods.is_empty())
    }

    /// Finds the files that may lack deletions beside them; which of them do is seen when it is
    /// their turn.
    pub(crate) fn look_for_lacking_mods(&mut self) {
        let all = precedences(&self.deletions);
        let lacks = |layer: &&Arc<LayerFile<V::Dir>>| {
            let list = &layer.list;
            let known = known_beside(list.own.iter().chain(&list.copied));
            let mut felt = self.deletions.iter().filter(|it| may_concern(it, layer));
            list.has_more
                || felt.any(|it| !known.contains(&it.entry.deletion))
                || list.copied.iter().any(|it| !is_copy(it, &layer.layer, &all))
        };
        let lacking = self.layers.iter().filter(lacks).map(|layer| layer.layer.id);
        self.without_mods = lacking.collect();
    }

    /// Remembers that a deletion is to be written beside the files that it may concern.
    pub(crate) fn will_write(&mut self, deletion: &Tombstone) {
        let felt = self.layers.iter().filter(|layer| may_concern(deletion, layer));
        self.without_mods.extend(felt.map(|layer| layer.layer.id));
    }

    /// Returns the place of the list if something else stood there.
    fn write_mods_of(&self, layer: &LayerFile<V::Dir>) -> Result<Option<String>, StoreError> {
        let kind = layer.list_kind()?;
        let name = layer.layer.file_name(kind.suffix());
        let found = read_if_there(&layer.dir, &name)?;
        // it is missed, and would not be if something were written there
        let Ok(own) = own_part(&layer.layer, found.as_deref()) else { return Ok(None) };
        let mut bytes = own.to_vec();
        let mut known = known_beside(&layer.list.own);
        for deletion in self.deletions.iter().filter(|it| concerns(it, layer)) {
            if known.insert(&deletion.entry.deletion) {
                append(kind, deletion, &mut bytes);
            }
        }
        let found = found.unwrap_or_default();
        if bytes == found {
            return self.put_stranger_aside(layer, kind);
        }
        let is_other = !bytes.starts_with(&found);
        if is_other {
            let aside = aside_of(&layer.layer, kind);
            if read_if_there(&layer.dir, &aside)?.is_none() {
                write_whole(&layer.dir, &aside, &found)?;
            }
        }
        write_whole(&layer.dir, &name, &bytes)?;
        layer.dir.sync_dir().map_err(StoreError::io("sync", layer.layer.directory()))?;
        Ok(is_other.then(|| layer.layer.path() + kind.suffix()))
    }

    /// A list of the kind that is not its file's is none of ours, and whoever reads the files would apply
    /// it. Returns its place if there was one.
    fn put_stranger_aside(
        &self,
        layer: &LayerFile<V::Dir>,
        own: ModsKind,
    ) -> Result<Option<String>, StoreError> {
        let kind = match own {
            ModsKind::Text => ModsKind::Binary,
            ModsKind::Binary => ModsKind::Text,
        };
        let name = layer.layer.file_name(kind.suffix());
        match layer.dir.rename(&name, &aside_of(&layer.layer, kind)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            renamed => renamed.map_err(StoreError::io("rename", &name))?,
        }
        layer.dir.sync_dir().map_err(StoreError::io("sync", layer.layer.directory()))?;
        Ok(Some(layer.layer.path() + kind.suffix()))
    }
}

/// What a list is called that is kept.
pub(crate) fn aside_of(layer: &Layer, kind: ModsKind) -> FileName {
    layer.file_name(&format!("{}{UNREAD_SUFFIX}", kind.suffix()))
}

/// Deletions that stand beside a file and take from all of it.
fn known_beside<'e>(entries: impl IntoIterator<Item = &'e ModEntry>) -> BTreeSet<&'e Deletion> {
    entries.into_iter().filter(|it| takes_from_all(it)).map(|entry| &entry.deletion).collect()
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
        // no list says it; the catalog does
        _ if !is_plain(&deletion.entry.deletion) => (),
        (ModsKind::Binary, _) => out.extend_from_slice(&deletion.entry.raw),
        (ModsKind::Text, Target::Tree { pattern }) => {
            out.extend_from_slice(
                format!("DELETION,{pattern},{},{start},{end}\n", i64::MAX).as_bytes(),
            );
        }
        // no line can
        (ModsKind::Text, _) => (),
    }
}
