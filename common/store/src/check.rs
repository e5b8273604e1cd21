//! Holds a store against its catalog: every file that it speaks of is there and is what it says.
//!
//! Another process may be writing the store. What it takes away meanwhile is not missing.

use std::path::Path;

use tidegate_durable::DirStorage;
use tidegate_durable::OpenError;
use tidegate_tsfile::Ending;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::TimeRange;

use crate::DirVolume;
use crate::Layer;
use crate::Lost;
use crate::StoreError;
use crate::catalog::CATALOG;
use crate::file::LayerFile;
use crate::file::devices_of;
use crate::file::read_if_there;
use crate::gone::WHOLE_STORE;
use crate::gone::told_of;
use crate::look::MISSING;
use crate::look::state_at;
use crate::volume::Volume;

/// What was found in a store.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Checked {
    /// Files that the catalog speaks of and that are there.
    pub n_files: u64,
    /// Devices in them; one that is in several files counts in each.
    pub n_devices: u64,
    /// Points in them, those that were overwritten or deleted, too.
    pub n_points: u64,
    /// TsFiles that the catalog does not speak of: being written, or left by an interrupted run.
    pub n_unknown: u64,
    /// What is wrong: the file below the store's directory, and what of it. At most
    /// [`CHECK_FINDINGS_MAX`].
    pub findings: Vec<(String, String)>,
    /// How much more is wrong.
    pub n_more_findings: u64,
}

/// How many findings of a store are kept.
pub const CHECK_FINDINGS_MAX: usize = 1000;

impl Checked {
    fn note(&mut self, file: &str, what: impl ToString) {
        match self.findings.len() < CHECK_FINDINGS_MAX {
            true => self.findings.push((file.to_owned(), what.to_string())),
            false => self.n_more_findings = self.n_more_findings.saturating_add(1),
        }
    }
}

/// Reads all of the store in `root`; `None` if there is none.
///
/// What is wrong in it is no error but a finding. Memory taken: names of the devices of one file.
pub fn check(root: &Path) -> Result<Option<Checked>, StoreError> {
    let mut checked = Checked::default();
    let state = match state_at(root) {
        Ok(None) => return Ok(None),
        Ok(Some(state)) => state,
        // of a newer release, or of a disk: nothing is known of the store
        Err(
            error @ (StoreError::Io { .. }
            | StoreError::Open(OpenError::Io(_) | OpenError::Version { .. })),
        ) => return Err(error),
        Err(error) => {
            checked.note(CATALOG, error);
            return Ok(Some(checked));
        }
    };
    if let Some(last) = state.gone {
        checked.note(WHOLE_STORE, told_of(last));
    }
    for layer in state.layers.values() {
        check_layer(root, layer, &mut checked)?;
    }
    for Lost { layer, found } in state.lost.values() {
        let what = format!("lost: {found}; its rows are in no answer until it is there again");
        checked.note(&layer.path(), what);
    }
    let volume = DirVolume::new(root);
    for path in volume.data_dirs().map_err(StoreError::io("list", "the data"))? {
        let dir = DirStorage::existing(root.join(&path)).map_err(StoreError::io("open", &path))?;
        let listed =
            tidegate_durable::Storage::list(&dir).map_err(StoreError::io("list", &path))?;
        for name in listed.iter().filter(|name| name.as_str().ends_with(".tsfile")) {
            let is_known = state.speaks_of(&format!("{path}/{name}"));
            checked.n_unknown = checked.n_unknown.saturating_add(u64::from(!is_known));
        }
    }
    Ok(Some(checked))
}

fn check_layer(root: &Path, layer: &Layer, checked: &mut Checked) -> Result<(), StoreError> {
    let path = layer.path();
    let opened = DirStorage::existing(root.join(layer.directory()))
        .map_err(StoreError::io("open", layer.directory()))
        .and_then(|dir| LayerFile::load(layer.clone(), dir))
        .and_then(|loaded| Ok((loaded.file()?, loaded)));
    let (file, loaded) = match opened {
        Ok(opened) => opened,
        Err(error) if error.is_vanished() => {
            let now = state_at(root)?;
            if now.is_some_and(|now| now.layers.contains_key(&layer.id)) {
                checked.note(&path, format!("expected a file that is there, but found: {MISSING}"));
            }
            return Ok(());
        }
        Err(error) if !error.is_of_file() => return Err(error),
        Err(error) => {
            checked.note(&path, error);
            return Ok(());
        }
    };
    checked.n_files = checked.n_files.saturating_add(1);
    let length_bytes = file.source().length();
    if length_bytes != layer.length_bytes {
        let expected = layer.length_bytes;
        checked.note(&path, format!("expected {expected} bytes, but found {length_bytes}"));
    }
    let verified = file.verify();
    checked.n_devices = checked.n_devices.saturating_add(verified.n_devices);
    checked.n_points = checked.n_points.saturating_add(verified.n_points);
    verified.findings.iter().for_each(|finding| checked.note(&path, finding));
    checked.n_more_findings = checked.n_more_findings.saturating_add(verified.n_more_findings);
    if let Ok(found) = devices_of(&file, layer.database.as_deref()) {
        let range = found.extents.values().copied().reduce(TimeRange::union);
        if range != Some(layer.range) {
            let expected = layer.range;
            let found = range.map_or_else(|| String::from("no rows"), |range| range.to_string());
            checked.note(&path, format!("expected times from {expected}, but found {found}"));
        }
        if LayerFile::devices_beside(layer, &loaded.dir).is_none() {
            checked.note(
                &path,
                "expected its devices and times in the .resource, but found none or others",
            );
        }
        // what stands beside it may say more, never less
        let lacks = found.extents.iter().find(|(device, range)| {
            let beside = loaded.range_of(device);
            beside.is_none_or(|it| it.start > range.start || it.end < range.end)
        });
        if let Some((device, _)) = lacks {
            checked.note(&path, format!("expected {device} with its times in the .resource"));
        }
    }
    let n_before = checked.findings.len();
    for kind in [ModsKind::Text, ModsKind::Binary] {
        let name = format!("{path}{}", kind.suffix());
        let bytes = match read_if_there(&loaded.dir, &layer.file_name(kind.suffix())) {
            Err(error) if error.is_of_file() => {
                checked.note(&name, error);
                continue;
            }
            bytes => bytes?,
        };
        if bytes.is_none() && layer.mods == Some(kind) {
            checked
                .note(&name, format!("expected the deletions of the file, but found: {MISSING}"));
        }
        let ending = kind.entries(&bytes.unwrap_or_default(), 0).into_ending();
        if !matches!(ending, Ending::Whole) {
            checked.note(&name, format!("expected whole entries, but found {ending}"));
        }
    }
    if let Some((list, found)) = loaded.damaged_list.as_deref().and_then(|it| it.split_once(": "))
        && checked.findings.len() == n_before
    {
        checked.note(list, found);
    }
    Ok(())
}
