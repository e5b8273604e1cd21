//! The loop's side of the pins: which files are worth one, and who needs it.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use tidegate_source::FileIdentity;
use tidegate_source::PinWanted;

use crate::edge::Edge;
use crate::pins::PinReport;
use crate::pins::PinRequest;
use crate::pins::PinStore;
use crate::pins::PinTotals;
use crate::pins::Pinner;

/// What the loop knows of the pins.
#[derive(Debug)]
pub(crate) struct Pins {
    pub(crate) store: Arc<PinStore>,
    pub(crate) pinned: Arc<HashSet<FileIdentity>>,
    pub(crate) totals: PinTotals,
    /// Whether the thread has not answered yet.
    is_asked: bool,
    /// Whether a scan came since it was asked.
    is_due: bool,
    /// Whether all pipes that are defined are known: others may need what these do not.
    pub(crate) knows_all_pipes: bool,
}

impl Pins {
    /// What an earlier run has left.
    pub(crate) fn new(pinner: &mut Pinner) -> Self {
        let PinReport { pinned, totals, warnings } = pinner.report();
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Self {
            store: pinner.store(),
            pinned,
            totals,
            is_asked: false,
            is_due: false,
            knows_all_pipes: false,
        }
    }

    /// A scan ended: once it is taken in, the pins are looked at.
    pub(crate) fn handle_scan(&mut self) {
        self.is_due = true;
    }
}

impl Edge {
    /// Asks for pins, once every source has taken in its scan.
    pub(crate) fn ask_for_pins(&mut self) {
        if !self.state.pins.is_due || self.state.pins.is_asked {
            return;
        }
        let wanted = self.pins_wanted();
        let needless = self.needless_pins();
        let pins = &mut self.state.pins;
        pins.is_due = false;
        if wanted.is_empty() && pins.pinned.is_empty() {
            return;
        }
        pins.is_asked = true;
        // A pinner that is gone has been reported by the supervisor.
        let _ = self.pin.send(PinRequest { wanted, needless });
    }

    /// The files of all pipes that are worth a pin, each once.
    fn pins_wanted(&self) -> Vec<PinWanted> {
        let n_files_max = self.config.pin_files_max;
        let mut known = HashSet::new();
        let pipes = self.state.pipes.values();
        let wanted = pipes.flat_map(|pipe| pipe.source.pins_wanted(n_files_max));
        wanted.filter(|it| known.insert(it.identity)).collect()
    }

    /// Pins that no pipe needs. While a pipe is not known, nobody can tell.
    fn needless_pins(&self) -> Vec<FileIdentity> {
        let state = &self.state;
        let knows_all = state.pins.knows_all_pipes
            && state.setting_up.is_empty()
            && state.broken_pipes.is_empty();
        if !knows_all {
            return Vec::new();
        }
        let mut n_needless: HashMap<FileIdentity, usize> =
            state.pins.pinned.iter().map(|identity| (*identity, 0)).collect();
        for pipe in state.pipes.values() {
            for identity in pipe.source.needless_pins() {
                *n_needless.entry(identity).or_default() += 1;
            }
        }
        let n_pipes = state.pipes.len();
        n_needless
            .into_iter()
            .filter(|(_, n)| *n == n_pipes)
            .map(|(identity, _)| identity)
            .collect()
    }

    /// Files were pinned, or let go.
    pub(crate) fn handle_pinned(&mut self, report: PinReport) {
        for warning in &report.warnings {
            self.warn("pins", warning);
        }
        let pins = &mut self.state.pins;
        pins.is_asked = false;
        pins.totals = report.totals;
        pins.pinned = Arc::clone(&report.pinned);
        let ids: Vec<u64> = self.state.pipes.keys().copied().collect();
        for id in ids {
            if let Some(pipe) = self.state.pipes.get_mut(&id) {
                pipe.source.handle_pins(Arc::clone(&report.pinned));
            }
            self.persist(id);
        }
    }
}
