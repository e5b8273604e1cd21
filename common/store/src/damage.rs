//! What becomes of an answer that needs rows which cannot be read: it fails, or it goes on and remembers
//! what it lacks.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::StoreError;

/// What to do where rows that are needed cannot be read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // there is nothing between them
pub enum OnDamage {
    /// No answer: one that lacks rows may show older ones in their places.
    #[default]
    Fail,
    /// Leave them out, as little as can be told apart: a chunk, what a file has of a device, a file.
    LeaveOut,
}

/// A file of which rows were left out.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LeftOut {
    /// Its place below the store's directory.
    pub file: String,
    /// Why, the first time.
    pub what: String,
    /// How many times.
    pub n_times: u64,
}

/// What was left out so far.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    on_damage: OnDamage,
    /// By file: the first reason, and how many there were.
    left_out: Mutex<BTreeMap<String, (String, u64)>>,
}

impl Damage {
    pub(crate) fn new(on_damage: OnDamage) -> Self {
        Self { on_damage, left_out: Mutex::default() }
    }

    /// Whether what is damaged is left out.
    pub(crate) fn is_left_out(&self) -> bool {
        self.on_damage == OnDamage::LeaveOut
    }

    /// Remembers what is left out of a file; an error where nothing may be.
    pub(crate) fn pass(&self, file: &str, error: StoreError) -> Result<(), StoreError> {
        // what was merged away is elsewhere
        if !self.is_left_out() || !error.is_of_damage() || error.is_vanished() {
            return Err(error);
        }
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        let what = match &error {
            StoreError::Lost { found, .. } => found.clone(),
            StoreError::List { list, expected, found } => {
                format!("expected deletions of {expected} in {list}, found: {found}")
            }
            StoreError::Read { source, .. } => source.to_string(),
            error => error.to_string(),
        };
        let (_, n_times) = left_out.entry(file.to_owned()).or_insert((what, 0));
        *n_times = n_times.saturating_add(1);
        Ok(())
    }

    pub(crate) fn left_out(&self) -> Vec<LeftOut> {
        let left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        let all = left_out.iter().map(|(file, (what, n_times))| LeftOut {
            file: file.clone(),
            what: what.clone(),
            n_times: *n_times,
        });
        all.collect()
    }
}
