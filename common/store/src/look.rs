//! Looks at a store that another process may be writing, and changes nothing in it.
//!
//! What that process has in memory only is not seen. A file may be merged away between the look at
//! the catalog and the opening of it: [`StoreError::is_vanished`] tells, and a new look helps. Once
//! [`Snapshot::hold`] has opened the files, they can be read whatever that process does.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tidegate_durable::DirStorage;
use tidegate_durable::FileName;
use tidegate_durable::Journal;
use tidegate_durable::Storage;
use tidegate_model::Precision;

use crate::Layer;
use crate::Lost;
use crate::OnDamage;
use crate::Snapshot;
use crate::StoreError;
use crate::catalog::CATALOG;
use crate::catalog::State;
use crate::catalog::TableName;
use crate::damage::Damage;
use crate::extents::Names;
use crate::file::LayerFile;
use crate::gone::WHOLE_STORE;
use crate::lost::LostFile;
use crate::lost::LostPart;
use crate::lost::Unreadable;
use crate::volume::DATA;

/// What lies in the directory of a store.
#[derive(Debug)]
#[allow(clippy::exhaustive_structs)] // what can be seen from outside
pub struct Look {
    /// What can be read.
    pub snapshot: Snapshot<DirStorage>,
    /// The unit of the times, if it is known.
    pub precision: Option<Precision>,
    /// Names of the tags of each table, as far as a sender has told them.
    pub tables: BTreeMap<TableName, Vec<Box<str>>>,
    /// What of the spool is in the files.
    pub taken: Taken,
}

/// Which records of a spool are durable in a store.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    spool: Option<[u8; 16]>,
    position: u64,
    done: BTreeSet<u64>,
    last_known: u64,
}

impl Taken {
    fn of(state: &State) -> Self {
        let base = state.spool.map_or(0, |(_, base)| base);
        let last_done = state.done.last().copied().unwrap_or(0);
        let given = state.precedence.saturating_sub(base);
        Self {
            spool: state.spool.map(|(id, _)| id),
            position: state.position,
            done: state.done.clone(),
            last_known: state.position.max(last_done).max(given),
        }
    }

    /// Whether a record is in the files of the store.
    ///
    /// # Arguments
    ///
    /// - `spool`: the id of the spool
    /// - `last`: its last record; one that ends before what the store knows is not as it was
    pub fn has(&self, spool: [u8; 16], last: u64, sequence: u64) -> bool {
        self.spool == Some(spool)
            && self.last_known <= last
            && (sequence <= self.position || self.done.contains(&sequence))
    }
}

impl Look {
    /// Whether there is a store in `root`; also one that has lost its catalog.
    pub fn is_at(root: &Path) -> bool {
        root.join(CATALOG).is_file() || root.join(DATA).is_dir()
    }

    /// Looks at the store in `root`; `None` if there is none. Where rows that are needed cannot be read
    /// there is no answer.
    pub fn at(root: &Path) -> Result<Option<Self>, StoreError> {
        Self::at_with(root, OnDamage::Fail)
    }

    /// As [`at`](Self::at), and says what to do where rows that are needed cannot be read.
    ///
    /// # Errors
    ///
    /// A file that is lost or damaged is one only where it is needed, or where nobody can tell whether
    /// it is: nothing says any more which devices are in it.
    pub fn at_with(root: &Path, on_damage: OnDamage) -> Result<Option<Self>, StoreError> {
        let Some(state) = state_at(root)? else { return Ok(None) };
        let taken = Taken::of(&state);
        let mut seen = Seen::default();
        for layer in state.layers.values() {
            seen.take_in(root, layer)?;
        }
        // It is removed after the catalog has stopped to name it: one that is named now was not there
        // before that.
        if !seen.missing.is_empty() || !seen.damaged.is_empty() {
            let now = state_at(root)?.unwrap_or_default();
            let damaged = seen.damaged.iter().map(|lost| &lost.layer);
            let mut unread = seen.missing.iter().chain(damaged);
            if let Some(gone) = unread.find(|it| !now.layers.contains_key(&it.id)) {
                let vanished = io::ErrorKind::NotFound.into();
                return Err(StoreError::io("open", gone.path())(vanished));
            }
        }
        let missing = seen.missing.into_iter();
        let of_file = |layer| Lost { layer, part: LostPart::File, found: MISSING.into() };
        let missing = missing.map(of_file);
        let lost = state.lost.into_values().chain(seen.damaged).chain(missing);
        let lost = lost.map(|lost| match dir_of(root, &lost.layer) {
            Ok(dir) => LostFile::of(lost, &dir),
            Err(_) => LostFile { lost, devices: None },
        });
        let lost: Vec<LostFile> = lost.collect();
        let damage = Damage::new(on_damage);
        for unknown in lost.iter().filter(|lost| lost.devices.is_none()) {
            damage.pass(&unknown.lost.layer.path(), unknown.error())?;
        }
        if let Some(last) = state.gone {
            damage.pass(WHOLE_STORE, StoreError::Gone { last })?;
        }
        let mut layers = seen.layers;
        layers.sort_by_key(|layer| layer.layer.rank());
        let snapshot = Snapshot {
            layers,
            deletions: Arc::new(state.deletions),
            memory: Arc::default(),
            horizons: state.horizons,
            lost: Arc::new(lost),
            damage: Arc::new(damage),
        };
        Ok(Some(Self { snapshot, precision: state.precision, tables: state.tables, taken }))
    }
}

/// What is said of a file that is not there.
pub(crate) const MISSING: &str = "no such file";

/// What was seen of the layers that a catalog names.
#[derive(Default)]
struct Seen {
    layers: Vec<Arc<LayerFile<DirStorage>>>,
    /// Of their devices.
    names: Names,
    damaged: Vec<Lost>,
    /// Those whose files are not there.
    missing: Vec<Layer>,
    /// The names in each directory.
    listed: BTreeMap<String, BTreeSet<FileName>>,
}

impl Seen {
    fn take_in(&mut self, root: &Path, layer: &Layer) -> Result<(), StoreError> {
        let dir = match dir_of(root, layer) {
            Err(error) if error.is_vanished() => {
                self.missing.push(layer.clone());
                return Ok(());
            }
            dir => dir?,
        };
        let listed = match self.listed.entry(layer.directory()) {
            Entry::Occupied(listed) => listed.into_mut(),
            Entry::Vacant(place) => {
                let names = dir.list().map_err(StoreError::io("list", layer.directory()))?;
                place.insert(names.into_iter().collect())
            }
        };
        if !listed.contains(&layer.file_name("")) {
            self.missing.push(layer.clone());
            return Ok(());
        }
        match LayerFile::load(layer.clone(), dir) {
            Ok(mut file) => {
                self.names.share(&mut file.devices.extents);
                self.layers.push(Arc::new(file));
            }
            Err(error) if error.is_vanished() => self.missing.push(layer.clone()),
            Err(error) if error.is_of_file() => {
                let Unreadable { part, found, .. } = Unreadable::of(layer.id, &error);
                self.damaged.push(Lost { layer: layer.clone(), part, found });
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn dir_of(root: &Path, layer: &Layer) -> Result<DirStorage, StoreError> {
    let at = root.join(layer.directory());
    DirStorage::existing(&at).map_err(StoreError::io("open", at.display()))
}

/// What the catalog in `root` says; `None` if there is none.
pub(crate) fn state_at(root: &Path) -> Result<Option<State>, StoreError> {
    let catalog = FileName::new(CATALOG).map_err(io::Error::other);
    let catalog = catalog.map_err(StoreError::io("name", CATALOG))?;
    let dir = match DirStorage::existing(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        dir => dir.map_err(StoreError::io("open", root.display()))?,
    };
    Journal::inspect(&dir, &catalog)?.map(|found| State::of(&found)).transpose()
}
