//! What a scan of the model's directories shows, and what a watcher tells of the time before it.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use tidegate_source::DeletionKey;
use tidegate_source::DeviceSpan;
use tidegate_source::DropPolicy;
use tidegate_source::Extent;
use tidegate_source::FileFacts;
use tidegate_source::FileIdentity;
use tidegate_source::LastMods;
use tidegate_source::Listing;
use tidegate_source::ModsRead;
use tidegate_source::Place;
use tidegate_source::Scan;
use tidegate_source::Scope;
use tidegate_source::SealedFile;
use tidegate_source::SeenDeletion;
use tidegate_source::SourceMarks;
use tidegate_source::Space;
use tidegate_source::TsFileName;
use tidegate_source::Unread;
use tidegate_source::Watched;
use tidegate_source::Without;
use tidegate_source::cut;
use tidegate_source::device_key;
use tidegate_tsfile::DeviceExtent;
use tidegate_tsfile::DeviceId;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::TimeRange;

use super::Run;
use super::Step;
use super::YOUNG_NS;
use crate::iotdb::DEVICES;
use crate::iotdb::File;
use crate::iotdb::Iotdb;

impl Run {
    /// Reads the model's directories, while the steps of `race` happen between two folders.
    pub(super) fn scan(
        &mut self,
        is_watched: bool,
        unread: Option<u32>,
        race: &[(u8, Step)],
    ) -> Scan {
        let is_unread = |place: &Place| Some(place.region.region) == unread;
        let mut folders: Vec<Place> = Vec::new();
        for space in [Space::Unsequence, Space::Sequence] {
            for (region, known) in &self.iotdb.regions {
                let partitions = known.partitions.keys();
                folders.extend(partitions.map(|&it| Iotdb::place(region, it, space)));
            }
        }
        let n_places = folders.len().max(1);
        let mut at = 0usize;
        let pass = |run: &mut Self, at: usize| {
            for (when, step) in race {
                if usize::from(*when) % (2 * n_places) == at {
                    run.change(step);
                }
            }
        };
        let before = std::mem::take(&mut self.listings);
        let mut listed: Vec<Listing> = Vec::new();
        for place in folders {
            pass(self, at);
            at += 1;
            if !is_unread(&place) {
                listed.push(self.list(&place));
            }
        }
        // What the watcher saw up to here belongs to this scan; the mods are read after it.
        let created = std::mem::take(&mut self.iotdb.created);
        let touched = std::mem::take(&mut self.iotdb.touched);
        let mut unsettled = HashSet::new();
        for listing in &mut listed {
            pass(self, at);
            at += 1;
            for file in &mut listing.sealed {
                match self.iotdb.find(file.identity).cloned() {
                    Some(found) => file.mods = self.mods_of(&found),
                    None => {
                        unsettled.insert(listing.place.region.clone());
                    }
                }
            }
        }
        // Where some were not read, what was written to them is still unseen.
        let again = touched.iter().filter(|(place, _)| unsettled.contains(&place.region));
        self.iotdb.touched.extend(again.cloned());
        let mut scan = Scan {
            unsettled,
            now_ns: self.iotdb.now_ns,
            marks: SourceMarks { node: Some(1), reboots: Some(self.iotdb.reboots) },
            ..Scan::default()
        };
        let is_listed = |listings: &[&Listing], (place, name): &(Place, TsFileName)| {
            listings.iter().any(|it| it.place == *place && it.shows(*name))
        };
        let old: Vec<&Listing> = before.values().map(|it| &**it).collect();
        let new: Vec<&Listing> = listed.iter().collect();
        let unlisted: Vec<(Place, TsFileName)> = created
            .iter()
            .chain(&self.carried)
            .filter(|it| !is_listed(&old, it) && !is_listed(&new, it))
            .cloned()
            .collect();
        // Of what could not be read, nobody says anything in this scan and the next.
        let unread_before = std::mem::replace(&mut self.unread_before, unread);
        let doubted = [unread, unread_before].into_iter().flatten().flat_map(|region| {
            let keys = self.iotdb.regions.keys().filter(move |it| it.region == region);
            keys.flat_map(|key| [0, 1].map(|partition| (key.clone(), partition)))
        });
        if is_watched && self.was_watched {
            scan.watched = Watched::Yes {
                broken: unlisted
                    .iter()
                    .map(|(place, _)| (place.region.clone(), place.partition))
                    .chain(doubted.clone())
                    .collect(),
                unseen: doubted.collect(),
                touched: touched.into_iter().map(|(place, name)| (folder(&place), name)).collect(),
            };
        }
        let (gone, going) =
            std::mem::take(&mut self.iotdb.gone).into_iter().partition(|(place, file)| {
                !is_unread(place) && !is_listed(&new, &(place.clone(), file.name))
            });
        self.iotdb.gone = going;
        scan.last_mods = self.last_mods_of(gone);
        self.carried = created.into_iter().filter(|it| !is_listed(&new, it)).collect();
        // The watcher begins with a scan.
        self.was_watched = is_watched;
        self.has_seen_all &= is_watched && unread.is_none();
        if let Some(region) = unread {
            let key = self.iotdb.regions.keys().find(|it| it.region == region).cloned();
            scan.unread.extend(
                key.map(|key| Unread { region: Some(key), reason: "no permission".to_owned() }),
            );
            let kept = before.iter().filter(|((place, _), _)| is_unread(place));
            self.listings.extend(kept.map(|(key, listing)| (key.clone(), Arc::clone(listing))));
        }
        for listing in listed {
            let key = (listing.place.clone(), Arc::clone(&listing.folder));
            let listing = match before.get(&key) {
                Some(before) if **before == listing => Arc::clone(before),
                _ => Arc::new(listing),
            };
            self.listings.insert(key, Arc::clone(&listing));
            scan.listings.push(listing);
        }
        scan
    }

    /// The deletions beside files that went, if the watcher was quick enough to open their lists
    /// before: with every other file it was.
    fn last_mods_of(&self, gone: Vec<(Place, File)>) -> HashMap<FileIdentity, LastMods> {
        let is_caught = |file: &File| self.setup.catches_all || file.identity.inode % 4 < 2;
        let caught = gone.into_iter().filter(|(_, file)| is_caught(file));
        caught
            .filter_map(|(place, file)| {
                let at = (folder(&place), file.name);
                Some((file.identity, LastMods { at, mods: self.mods_of(&file)? }))
            })
            .collect()
    }

    fn list(&self, place: &Place) -> Listing {
        let region = &self.iotdb.regions[&place.region];
        let known = &region.partitions[&place.partition];
        let sealed = known.files.iter().filter(|file| file.space == place.space);
        let mut sealed: Vec<SealedFile> = sealed
            .map(|file| SealedFile {
                name: file.name,
                identity: file.identity,
                facts: Arc::new(self.facts_of(file)),
                mods: self.mods_of(file),
                is_young: file.space == Space::Unsequence
                    && self.iotdb.now_ns - file.identity.mtime_ns < YOUNG_NS,
            })
            .collect();
        sealed.sort_by_key(|file| file.name);
        let open = Iotdb::open_files(known).filter(|(space, _)| *space == place.space);
        let mut unsealed: Vec<TsFileName> = open.map(|(_, name)| name).collect();
        unsealed.sort();
        Listing { place: place.clone(), folder: folder(place), sealed, unsealed }
    }

    fn facts_of(&self, file: &File) -> FileFacts {
        let spans = file.extents().into_iter().map(|(device, (start, end))| DeviceSpan {
            device: device_key(DEVICES[device]),
            start,
            end,
        });
        let extent = Extent::of_devices(spans.collect());
        FileFacts {
            extent: if self.setup.has_devices { extent } else { extent.coarse() },
            progress: file.progress.is_evidence().then(|| file.progress.clone().into()),
            devices: (self.setup.drop_policy == DropPolicy::Delete)
                .then(|| devices_of(file).into()),
        }
    }

    pub(super) fn mods_of(&self, file: &File) -> Option<Arc<ModsRead>> {
        if file.mods.entries.is_empty() {
            return None;
        }
        let devices = match self.setup.without {
            Without::DeletionCut => every_device(),
            _ => devices_of(file),
        };
        let entries = file.mods.entries.iter().enumerate().map(|(at, entry)| SeenDeletion {
            end_bytes: 10 * (at as u64 + 1),
            key: DeletionKey::of(entry),
            scope: cut(entry, &devices),
        });
        let entries: Vec<SeenDeletion> = entries.collect();
        assert!(entries.iter().all(|it| !matches!(it.scope, Scope::Unknown)));
        Some(Arc::new(ModsRead {
            kind: ModsKind::Text,
            inode: file.mods.inode,
            whole_bytes: 10 * entries.len() as u64,
            entries,
            damage: None,
        }))
    }
}

fn devices_of(file: &File) -> Vec<DeviceExtent> {
    let extents = file.extents().into_iter();
    extents.map(|(at, (start, end))| extent(DEVICES[at], TimeRange { start, end })).collect()
}

/// What a file would hold that has every device at every time.
fn every_device() -> Vec<DeviceExtent> {
    DEVICES.map(|device| extent(device, TimeRange::ALL)).into()
}

fn extent(device: &str, range: TimeRange) -> DeviceExtent {
    DeviceExtent { device: DeviceId { path: device.into(), segments: None }, range }
}

fn folder(place: &Place) -> Arc<str> {
    let Place { region, partition, space } = place;
    format!("{}/{region}/{partition}", space.as_str()).into()
}
