//! Looks at a store that another process may be writing, and changes nothing in it.
//!
//! What that process has in memory only is not seen. A file may be merged away between the look at
//! the catalog and the opening of it: [`StoreError::is_vanished`] tells, and a new look helps. Once
//! [`Snapshot::hold`] has opened the files, they can be read whatever that process does.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tidegate_durable::DirStorage;
use tidegate_durable::FileName;
use tidegate_durable::Journal;
use tidegate_model::Precision;

use crate::Snapshot;
use crate::StoreError;
use crate::catalog::CATALOG;
use crate::catalog::State;
use crate::catalog::TableName;
use crate::file::LayerFile;
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
}

impl Look {
    /// Whether there is a store in `root`; also one that has lost its catalog.
    pub fn is_at(root: &Path) -> bool {
        root.join(CATALOG).is_file() || root.join(DATA).is_dir()
    }

    /// Looks at the store in `root`; `None` if there is none.
    pub fn at(root: &Path) -> Result<Option<Self>, StoreError> {
        let catalog = FileName::new(CATALOG).map_err(io::Error::other);
        let catalog = catalog.map_err(StoreError::io("name", CATALOG))?;
        let dir = match DirStorage::existing(root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            dir => dir.map_err(StoreError::io("open", root.display()))?,
        };
        let Some(found) = Journal::inspect(&dir, &catalog)? else { return Ok(None) };
        let state = State::of(&found)?;
        let mut layers = Vec::new();
        for layer in state.layers.values() {
            let at = root.join(layer.directory());
            let dir = DirStorage::existing(&at).map_err(StoreError::io("open", at.display()))?;
            layers.push(Arc::new(LayerFile::load(layer.clone(), dir)?));
        }
        layers.sort_by_key(|layer| layer.layer.rank());
        let (deletions, memory) = (Arc::new(state.deletions), Arc::default());
        let snapshot = Snapshot { layers, deletions, memory, horizons: state.horizons };
        Ok(Some(Self { snapshot, precision: state.precision, tables: state.tables }))
    }
}
