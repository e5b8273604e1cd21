//! What became of files that vanished before they could leave: they live on in others, or are gaps.
//!
//! IoTDB writes the target of a compaction beside its sources, and removes those when no query reads
//! them any more; a scan may see both, or several may. A move to another disk looks the same. So a
//! file counts as living on if another was first seen after it that may hold what it held, and that
//! is still there or was sent: one that is gone itself stands for nothing.

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;

use super::Effect;
use super::Source;
use super::State;
use super::Tracked;
use crate::gap::Gap;
use crate::gap::GapReason;
use crate::identity::FileIdentity;
use crate::identity::Place;
use crate::identity::RegionKey;
use crate::identity::TsFileName;
use crate::stream::OrderKey;

/// Compaction targets kept in mind for each partition, the newest.
const TARGETS_MAX: usize = 64;

/// The compaction targets that scans have shown, by partition.
#[derive(Debug, Default)]
pub(super) struct Targets {
    by_partition: HashMap<(RegionKey, i64), VecDeque<FileIdentity>>,
}

/// An unsent file that lies nowhere any more.
struct Vanished {
    place: Place,
    key: OrderKey,
    seen_in_scan: u64,
}

impl Targets {
    /// Keeps a file in mind if it is a target.
    pub(super) fn note(&mut self, place: &Place, name: TsFileName, identity: FileIdentity) {
        // IoTDB counts compactions in the name of their target; a flush has none.
        if name.inner == 0 && name.cross == 0 {
            return;
        }
        let partition = (place.region.clone(), place.partition);
        let targets = self.by_partition.entry(partition).or_default();
        targets.push_back(identity);
        if targets.len() > TARGETS_MAX {
            targets.pop_front();
        }
    }

    fn of(&self, place: &Place) -> impl Iterator<Item = FileIdentity> + use<'_> {
        let partition = (place.region.clone(), place.partition);
        self.by_partition.get(&partition).into_iter().flatten().copied()
    }
}

impl Source {
    /// Unsent files lie nowhere any more: each lives on in another, or is a gap.
    pub(super) fn account_for(&mut self, identities: &[FileIdentity]) {
        // All of them first, so that none of them stands for another.
        let vanished: Vec<Vanished> = identities.iter().filter_map(|it| self.drop(*it)).collect();
        if vanished.is_empty() {
            return;
        }
        let namesakes = self.namesakes(&vanished);
        for gone in vanished {
            // What was cut short does not hold what it held.
            let namesakes = namesakes.get(&(gone.place.clone(), gone.key.name));
            let namesakes = namesakes.into_iter().flatten().copied();
            let copies = namesakes.filter(|it| it.length_bytes >= gone.key.identity.length_bytes);
            let successors: Vec<FileIdentity> = self
                .targets
                .of(&gone.place)
                .chain(copies)
                .filter(|it| self.files.get(it).is_some_and(|it| self.came_after(it, &gone)))
                .collect();
            let stream = self.streams.entry(gone.place.region.clone()).or_default();
            if !successors.is_empty() {
                stream.superseded += 1;
                for successor in successors {
                    self.move_up(successor, &gone.key);
                }
                continue;
            }
            stream.vanished += 1;
            self.effects.push_back(Effect::Gap(Gap {
                place: gone.place,
                name: gone.key.name,
                reason: GapReason::VanishedUnsent,
                bytes: (0, gone.key.identity.length_bytes),
            }));
        }
        let files = &self.files;
        self.targets.by_partition.retain(|_, targets| {
            targets.retain(|it| files.contains_key(it));
            !targets.is_empty()
        });
    }

    /// Takes a file out of everything.
    fn drop(&mut self, identity: FileIdentity) -> Option<Vanished> {
        let &Tracked { state: State::Unsent(key), seen_in_scan, .. } = self.files.get(&identity)?
        else {
            return None;
        };
        let region = self.files.remove(&identity)?.region;
        let stream = self.streams.entry(region.clone()).or_default();
        stream.queue.remove(&key);
        stream.aside.remove(&key);
        if stream.blocked.as_ref().is_some_and(|(blocked, _)| *blocked == key) {
            (stream.blocked, stream.held_until) = (None, None);
        }
        let place = Place { region, partition: key.partition, space: key.space };
        Some(Vanished { place, key, seen_in_scan })
    }

    /// A successor takes the place of what it holds, or it would come after newer values.
    fn move_up(&mut self, successor: FileIdentity, gone: &OrderKey) {
        let Some(tracked) = self.files.get_mut(&successor) else { return };
        let State::Unsent(key) = &mut tracked.state else { return };
        let stream = self.streams.entry(tracked.region.clone()).or_default();
        let is_out = stream.in_flight.is_some_and(|(_, in_flight)| in_flight == *key);
        if is_out || (key.phase, key.scan) <= (gone.phase, gone.scan) {
            return;
        }
        let before = *key;
        (key.phase, key.scan) = (gone.phase, gone.scan);
        if stream.queue.remove(&before) {
            stream.queue.insert(*key);
        }
        if let Some(aside) = stream.aside.remove(&before) {
            stream.aside.insert(*key, aside);
        }
        if let Some((blocked, _)) = &mut stream.blocked
            && *blocked == before
        {
            *blocked = *key;
        }
    }

    /// Whether a file is still there or was sent, and was first seen after another.
    ///
    /// Of two that one scan showed first, nothing tells which came first. If it was a compaction
    /// under way, the next scan shows its end; what goes later goes for another reason.
    fn came_after(&self, it: &Tracked, gone: &Vanished) -> bool {
        let stands = matches!(it.state, State::Sent(_)) || !it.locations.is_empty();
        let together =
            it.seen_in_scan == gone.seen_in_scan && self.n_scans <= gone.seen_in_scan + 1;
        stands && (it.seen_in_scan > gone.seen_in_scan || together)
    }

    /// Files that lie under the names of others that are gone: moved to another disk, say.
    fn namesakes(&self, gone: &[Vanished]) -> HashMap<(Place, TsFileName), Vec<FileIdentity>> {
        let places: HashSet<&Place> = gone.iter().map(|it| &it.place).collect();
        let names: HashSet<(&Place, TsFileName)> =
            gone.iter().map(|it| (&it.place, it.key.name)).collect();
        let mut found: HashMap<_, Vec<_>> = HashMap::new();
        for ((place, _), folder) in self.folders.iter().filter(|(it, _)| places.contains(&it.0)) {
            for file in &folder.listing.sealed {
                if names.contains(&(place, file.name)) {
                    found.entry((place.clone(), file.name)).or_default().push(file.identity);
                }
            }
        }
        found
    }
}
