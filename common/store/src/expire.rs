//! Lets go what is too old, or too much: whole files, and in the others rows that are hidden until a
//! merge leaves them out.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_tsfile::Cuts;

use crate::Device;
use crate::StoreError;
use crate::catalog::Change;
use crate::horizon::Horizon;
use crate::horizon::Horizons;
use crate::layer::Layer;
use crate::lost::remove_lost;
use crate::snapshot::expired;
use crate::store::Store;
use crate::volume::Volume;

impl<V: Volume> Store<V> {
    /// Removes layers all of whose rows are before a time, and hides the rows before it that are in
    /// others. What arrives later is not concerned before this is said again.
    ///
    /// Hidden they must be: a removed layer may have overwritten cells of one that stays.
    pub fn expire(&mut self, start: i64) -> Result<(), StoreError> {
        let given = self.precedence_of(self.applied).max(self.memory_precedence);
        let precedence = given.max(self.catalog.state().precedence);
        self.let_go(&[Horizon { start, precedence }], &BTreeSet::new())
    }

    /// Removes the oldest files until they take no more than `most_bytes`, all but the newest one.
    /// Returns what those take that are left.
    ///
    /// A row is no younger than its file: of a device whose clock is far ahead every row would be the
    /// newest, and all others would go before it. What a removed layer may have overwritten is hidden.
    pub fn shrink(&mut self, most_bytes: u64) -> Result<u64, StoreError> {
        let mut total_bytes = self.layers().map(|it| it.length_bytes).fold(0, u64::saturating_add);
        let mut horizons = Horizons::default();
        let mut gone = BTreeSet::new();
        let by_age = self.by_age();
        if let Some(((_, newest), others)) = by_age.split_last() {
            for (end, layer) in others {
                if total_bytes <= most_bytes {
                    break;
                }
                total_bytes = total_bytes.saturating_sub(layer.length_bytes);
                gone.insert(layer.id);
                // a part of the newest record may be all that is left of it
                let is_of_newest = layer.precedence == newest.precedence;
                let precedence = layer.precedence.saturating_sub(u64::from(is_of_newest));
                horizons.raise(Horizon { start: end.saturating_add(1), precedence });
            }
        }
        let horizons: Vec<Horizon> = horizons.iter().copied().collect();
        self.let_go(&horizons, &gone)?;
        Ok(self.layers().map(|it| it.length_bytes).fold(0, u64::saturating_add))
    }

    /// Layers by the last time that they are taken for, the oldest first: that of their rows, but not
    /// behind the arrival of any layer that counts more. So one that has rows behind its time goes only
    /// after all whose cells it may have overwritten there.
    fn by_age(&self) -> Vec<(i64, &Layer)> {
        let per_ms = self.per_ms();
        let mut arrival = i64::MAX;
        let mut all: Vec<(i64, &Layer)> = Vec::new();
        for layer in self.layers.iter().rev().map(|it| &it.layer) {
            arrival = arrival.min(layer.arrival_ms.saturating_mul(per_ms));
            all.push((layer.range.end.min(arrival), layer));
        }
        all.reverse();
        all.sort_by_key(|(end, _)| *end);
        all
    }

    /// Hides what is before some horizons, and lets go layers of which nothing is left, and some others
    /// with all that they have.
    fn let_go(&mut self, horizons: &[Horizon], more: &BTreeSet<u64>) -> Result<(), StoreError> {
        for horizon in horizons {
            let Horizon { start, precedence } = *horizon;
            let known = &self.catalog.state().horizons;
            let mut all = self.layers().chain(self.lost().map(|lost| &lost.layer));
            let is_felt = all.any(|it| {
                it.precedence <= precedence
                    && it.range.start < start
                    && known.start_of(it.precedence) < start
            });
            drop(all);
            // they come again after a crash
            let own = self.memory_precedence;
            let mut in_memory = self.memory.devices().values();
            let is_felt = is_felt
                || (own <= precedence
                    && known.start_of(own) < start
                    && in_memory.any(|device| device.range().start < start));
            if is_felt {
                self.catalog.set_horizon(*horizon)?;
            }
        }
        let starts = horizons.iter().filter(|it| it.precedence >= self.memory_precedence);
        let cut = starts.map(|it| it.start).max().and_then(expired);
        if let Some(cut) = cut.filter(|_| !self.memory.is_empty()) {
            let cuts = |_: &Device, _: &[&str]| Cuts { rows: vec![cut.clone()], ..Cuts::default() };
            Arc::make_mut(&mut self.memory).cut(cuts);
        }
        // also what an interrupted one has left
        let horizons = &self.catalog.state().horizons;
        let (gone, left): (Vec<_>, Vec<_>) = self.layers.iter().cloned().partition(|it| {
            more.contains(&it.layer.id)
                || it.layer.range.end < horizons.start_of(it.layer.precedence)
        });
        let lost = self.lost().map(|lost| &lost.layer);
        let lost = lost.filter(|it| it.range.end < horizons.start_of(it.precedence));
        let lost: Vec<Layer> = lost.cloned().collect();
        if !gone.is_empty() || !lost.is_empty() {
            let removed = gone.iter().map(|it| &it.layer).chain(&lost).map(|it| it.id).collect();
            let forgotten = self.forgettable(&left, None);
            let position = self.position();
            let change = Change { position, removed, forgotten, ..Change::default() };
            self.catalog.change(&change)?;
            self.layers = left;
            self.deletions = Arc::new(self.catalog.state().deletions.clone());
            self.doomed.extend(gone);
            self.look_at_lost()?;
            for layer in &lost {
                let dir = self.volume.dir(&layer.directory());
                let dir = dir.map_err(StoreError::io("open", layer.directory()))?;
                remove_lost(&dir, layer)?;
            }
        }
        self.remove_doomed()
    }
}
