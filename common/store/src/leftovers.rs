//! Removes files that nobody needs: of former layers, of interrupted runs, of what found no room.
//!
//! Such a file is in nobody's way. One that cannot be removed, for want of a permission say, takes its
//! room and stops nothing: it is tried again.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use tidegate_durable::FileName;
use tidegate_durable::Storage;

use crate::StoreError;
use crate::error::is_of_file;
use crate::file::names_of;
use crate::layer::Layer;
use crate::lost::GIVEN_UP_SUFFIX;
use crate::lost::Lost;
use crate::lost::is_kept;
use crate::store::Store;
use crate::volume::Volume;

impl<V: Volume> Store<V> {
    /// Removes files that the catalog does not speak of. One that is in the place of a file that was given
    /// up is none of an interrupted run: it is kept, under another name. Returns the places of those.
    pub(crate) fn remove_leftovers(&self) -> Result<Vec<String>, StoreError> {
        let mut kept = Vec::new();
        let mut known: BTreeMap<String, BTreeSet<FileName>> = BTreeMap::new();
        for layer in &self.layers {
            known.entry(layer.layer.directory()).or_default().extend(layer.names());
        }
        for Lost { layer, .. } in self.lost() {
            known.entry(layer.directory()).or_default().extend(names_of(layer));
        }
        let paths = self.volume.data_dirs().map_err(StoreError::io("list", "the data"))?;
        for path in paths {
            let dir = self.volume.dir(&path).map_err(StoreError::io("open", &path))?;
            let list = || dir.list().map_err(StoreError::io("list", &path));
            let known = known.get(&path);
            let is_known = |name: &FileName| known.is_some_and(|known| known.contains(name));
            let mut listed = list()?;
            for name in listed.iter().filter(|name| !is_known(name)) {
                let full = format!("{path}/{name}");
                if self.catalog.state().forgotten.contains(&full) {
                    kept.push(
                        keep_given_up(&dir, name, &listed)
                            .map_or(full, |aside| format!("{path}/{aside}")),
                    );
                }
            }
            if !kept.is_empty() {
                listed = list()?;
            }
            for name in &listed {
                let is_known = is_known(name) || kept.contains(&format!("{path}/{name}"));
                if !is_known && !is_kept(name, &listed) {
                    remove(&dir, name).map_err(StoreError::io("remove", name))?;
                }
            }
        }
        Ok(kept)
    }

    /// Removes files of former layers that nobody reads any more. Those that are still there afterwards
    /// have another turn.
    pub(crate) fn remove_doomed(&mut self) -> Result<(), StoreError> {
        // a catalog that somebody has put in its place may name them
        if self.doomed.is_empty() || !self.catalog.is_in_place() {
            return Ok(());
        }
        let (gone, mut kept): (Vec<_>, Vec<_>) =
            self.doomed.drain(..).partition(|layer| Arc::strong_count(layer) == 1);
        let mut outcome = Ok(());
        for layer in gone {
            let removed = remove_names(&layer.dir, &layer.layer);
            if !matches!(removed, Ok(true)) {
                kept.push(layer);
            }
            outcome = outcome.and_then(|()| removed.map(drop));
        }
        self.doomed = kept;
        outcome
    }
}

/// Gives a file the name of one that is there again after it was given up; `None` if it keeps its own.
fn keep_given_up<S: Storage>(dir: &S, name: &FileName, listed: &[FileName]) -> Option<FileName> {
    let aside = FileName::new(format!("{name}{GIVEN_UP_SUFFIX}")).ok()?;
    if listed.contains(&aside) || dir.rename(name, &aside).is_err() {
        return None;
    }
    // what is not durable the next start does again
    let _ = dir.sync_dir();
    Some(aside)
}

/// Removes what lies in the directory of a layer, as far as it is there; `true` if nothing of it is any
/// more.
pub(crate) fn remove_names<S: Storage>(dir: &S, layer: &Layer) -> Result<bool, StoreError> {
    let mut outcome = Ok(true);
    for name in names_of(layer) {
        let removed = remove(dir, &name).map_err(StoreError::io("remove", layer.path()));
        outcome = match (outcome, removed) {
            (Ok(all), Ok(is_gone)) => Ok(all && is_gone),
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
    }
    outcome
}

/// Removes a file; `false` if it cannot be removed though others may be.
pub(crate) fn remove<S: Storage>(dir: &S, name: &FileName) -> io::Result<bool> {
    match dir.remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) if is_of_file(&error) => Ok(false),
        removed => removed.map(|()| true),
    }
}

/// Removes a layer that the catalog does not take in for want of room: whole as it is, a torn catalog
/// would take it in at a later start, with what was deleted meanwhile. After any other error nobody
/// knows whether the catalog speaks of it.
pub(crate) fn take_back<S: Storage>(dir: &S, layer: &Layer, error: StoreError) -> StoreError {
    if error.is_full() {
        // what cannot be removed now the next start removes
        let _ = remove_names(dir, layer);
    }
    error
}
