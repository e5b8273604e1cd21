//! Holds a store against its catalog: every file that it speaks of is there and is what it says.
//!
//! Another process may be writing the store. What it takes away meanwhile is not missing.

use std::collections::BTreeMap;
use std::path::Path;

use tidegate_durable::DirStorage;
use tidegate_durable::OpenError;
use tidegate_tsfile::Deletion;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::RESOURCE_SUFFIX;

use crate::DirVolume;
use crate::Layer;
use crate::LostPart;
use crate::StoreError;
use crate::catalog::CATALOG;
use crate::file::LayerFile;
use crate::file::devices_of;
use crate::file::read_if_there;
use crate::fingerprint::Fingerprint;
use crate::gone::WHOLE_STORE;
use crate::gone::told_of;
use crate::list::List;
use crate::list::is_copy;
use crate::look::MISSING;
use crate::look::state_at;
use crate::lost::account;
use crate::tombstone::precedences;
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
    let known = precedences(&state.deletions);
    if let Some(last) = state.gone {
        checked.note(WHOLE_STORE, told_of(last));
    }
    for layer in state.layers.values() {
        check_layer(root, layer, &known, &mut checked)?;
    }
    for lost in state.lost.values() {
        let found = &lost.found;
        let what = match lost.part {
            LostPart::File => {
                format!("lost: {found}; its rows are in no answer until it is there again")
            }
            LostPart::List => format!(
                "lost: {found}; rows of the file are in no answer until the deletions that came with it \
                 are there again"
            ),
        };
        checked.note(&lost.path(), what);
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

/// The deletions of the catalog, with their precedences.
type Known<'s> = BTreeMap<&'s Deletion, u64>;

fn check_layer(
    root: &Path,
    layer: &Layer,
    known: &Known<'_>,
    checked: &mut Checked,
) -> Result<(), StoreError> {
    let path = layer.path();
    let opened = DirStorage::existing(root.join(layer.directory()))
        .map_err(StoreError::io("open", layer.directory()))
        .and_then(|dir| {
            let list = match List::read(layer, &dir) {
                Err(StoreError::List { .. }) => None,
                list => Some(list?),
            };
            let has_list = list.is_some();
            let loaded = LayerFile::load_with(layer.clone(), dir, list.unwrap_or_default())?;
            Ok((loaded.file()?, loaded, has_list))
        });
    let (file, loaded, has_list) = match opened {
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
        let range = found.extents.range();
        if range != Some(layer.range) {
            let expected = layer.range;
            let found = range.map_or_else(|| String::from("no rows"), |range| range.to_string());
            checked.note(&path, format!("expected times from {expected}, but found {found}"));
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
    check_beside(root, &loaded, (has_list, known), checked)
}

/// Holds what stands beside a file against the catalog. The daemon writes lists and makes files anew, so
/// what is wrong is looked at once more.
fn check_beside(
    root: &Path,
    loaded: &LayerFile<DirStorage>,
    (has_list, known): (bool, &Known<'_>),
    checked: &mut Checked,
) -> Result<(), StoreError> {
    let layer = &loaded.layer;
    let is_sound = |list: &List, known: &Known<'_>| {
        !list.has_more && list.copied.iter().all(|it| is_copy(it, layer, known))
    };
    if has_list && loaded.has_resource && is_sound(&loaded.list, known) {
        return Ok(());
    }
    // before the catalog: what is copied was in it before
    let list = List::read(layer, &loaded.dir);
    let Some(state) = state_at(root)?.filter(|now| now.layers.contains_key(&layer.id)) else {
        return Ok(());
    };
    let path = layer.path();
    if !loaded.has_resource {
        let expected = layer.resource;
        let found = match read_if_there(&loaded.dir, &layer.file_name(RESOURCE_SUFFIX)) {
            Err(error) => account(&error).into(),
            Ok(None) => MISSING.to_owned(),
            Ok(Some(bytes)) => Fingerprint::of(&bytes).to_string(),
        };
        checked.note(
            &format!("{path}{RESOURCE_SUFFIX}"),
            format!("expected {expected}, but found {found}; the next start makes it anew"),
        );
    }
    match list {
        Err(StoreError::List { list, expected, found }) => {
            checked.note(&list, format!("expected deletions of {expected}, but found {found}"));
        }
        Err(error) => return Err(error),
        Ok(list) if !is_sound(&list, &precedences(&state.deletions)) => checked.note(
            &(path + kind_beside(loaded).suffix()),
            "expected deletions that the catalog has, but found others; they are in no answer, and the \
             next start writes them anew",
        ),
        Ok(_) => (),
    }
    Ok(())
}

/// Of which kind the list is that is there.
fn kind_beside(loaded: &LayerFile<DirStorage>) -> ModsKind {
    let is_there = |kind: &ModsKind| {
        let name = loaded.layer.file_name(kind.suffix());
        matches!(read_if_there(&loaded.dir, &name), Ok(Some(_)))
    };
    let known = loaded.layer.mods.map(|(kind, _)| kind);
    let mut kinds = known.into_iter().chain([ModsKind::Text, ModsKind::Binary]);
    kinds.find(is_there).unwrap_or(ModsKind::Text)
}
