//! A store that vanished as a whole: its directory was removed, and another store stands in its place.
//!
//! A store cannot notice that by itself, since nothing is left of it. Whoever gives it records remembers
//! how [far](Store::standing) it was, and says so to the one that was made anew. From then on it is as
//! with a lost file: answers fail or go without it, until somebody [gives it up](Store::forget_lost).

use crate::StoreError;
use crate::layer::Layer;
use crate::layer::LayerKind;
use crate::store::Store;
use crate::volume::Volume;

/// What is named where a file would be.
pub const WHOLE_STORE: &str = "the whole store";

/// How far a store is, as its catalog says it. Of one store it never goes back.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
#[allow(clippy::exhaustive_structs)] // two numbers
pub struct Standing {
    /// Raised when the numbers of the spool begin anew.
    pub base: u64,
    /// The greatest number of the spool that it speaks of.
    pub taken: u64,
}

impl<V: Volume> Store<V> {
    /// How far it is.
    pub fn standing(&self) -> Standing {
        let state = self.catalog.state();
        let done = state.done.last().copied().unwrap_or(0);
        let base = state.spool.map_or(0, |(_, base)| base);
        Standing { base, taken: state.position.max(done) }
    }

    /// Whether a record of the spool is durable here.
    pub fn has(&self, sequence: u64) -> bool {
        let state = self.catalog.state();
        // also a file that a torn catalog did not name
        let precedence = self.precedence_of(sequence);
        let is_own =
            |layer: &Layer| layer.precedence == precedence && layer.kind == LayerKind::Received;
        sequence <= state.position || state.done.contains(&sequence) || self.layers().any(is_own)
    }

    /// Whether its catalog is where it was, and is no older copy.
    pub fn is_in_place(&self) -> bool {
        self.catalog.is_in_place()
    }

    /// Whether it was made just now, and nobody has said anything to it.
    pub fn is_blank(&self) -> bool {
        let state = self.catalog.state();
        let has_nothing = state.layers.is_empty() && state.lost.is_empty();
        has_nothing && state.spool.is_none() && state.gone.is_none() && state.rebuilt.is_empty()
    }

    /// The spool of which its numbers are, if it was told.
    pub fn spool(&self) -> Option<[u8; 16]> {
        self.catalog.state().spool.map(|(id, _)| id)
    }

    /// The last record of the store that was in this place and vanished; `None` if there was none, or it
    /// was given up.
    pub fn gone(&self) -> Option<u64> {
        self.catalog.state().gone
    }

    /// Says that another store was in this place, with records up to `last`, and vanished.
    pub fn replace_gone(&mut self, last: u64) -> Result<(), StoreError> {
        self.catalog.set_gone(Some(last))
    }

    /// Gives up the store that vanished; how it is called, if there was one.
    pub(crate) fn forget_gone(&mut self) -> Result<Option<String>, StoreError> {
        let Some(last) = self.gone() else { return Ok(None) };
        self.catalog.set_gone(None)?;
        Ok(Some(format!("{WHOLE_STORE}, up to record {last}")))
    }
}

/// What is told of it.
pub(crate) fn told_of(last: u64) -> String {
    format!(
        "expected the store that took in records up to {last}, found none: its directory was removed; \
         what of these records is not in the spool any more is in no answer. Put the directory back \
         while the daemon is stopped, or give it up with tidegate-receiver forget-lost"
    )
}
