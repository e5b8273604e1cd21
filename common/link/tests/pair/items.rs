//! The files of one run, and the order in which they have to arrive.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use fastrand::Rng;
use tidegate_source::DeviceSpan;
use tidegate_source::Extent;
use tidegate_source::FileFacts;
use tidegate_source::FileIdentity;
use tidegate_source::Listing;
use tidegate_source::ModsRead;
use tidegate_source::ModsSeen;
use tidegate_source::Place;
use tidegate_source::RegionKey;
use tidegate_source::Scan;
use tidegate_source::SealedFile;
use tidegate_source::Space;
use tidegate_source::TsFileName;
use tidegate_tsfile::ModsKind;

/// One file of the source.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) region: usize,
    /// Position in the stream of its region, from 0.
    pub(crate) order: usize,
    /// 0: there from the start; 1: appears after everything before has left.
    pub(crate) batch: usize,
    pub(crate) place: Place,
    pub(crate) file: SealedFile,
    pub(crate) bytes: Vec<u8>,
    pub(crate) mods: Option<Vec<u8>>,
}

/// All files of a run.
#[derive(Debug)]
pub(crate) struct Items {
    pub(crate) list: Vec<Model>,
    pub(crate) by_identity: HashMap<FileIdentity, usize>,
    pub(crate) n_regions: usize,
}

impl Items {
    /// Draws `n_items` files of random content over `n_regions` streams.
    pub(crate) fn draw(rng: &mut Rng, n_items: usize, n_regions: usize, piece_bytes: u32) -> Self {
        let mut list: Vec<Model> = Vec::with_capacity(n_items);
        for at in 0..n_items {
            let region = rng.usize(0..n_regions);
            let space = if rng.bool() { Space::Sequence } else { Space::Unsequence };
            let key =
                RegionKey { database: format!("root.d{region}").into(), region: region as u32 };
            let n_bytes = rng.usize(8..=(piece_bytes as usize * 7 / 2).max(9));
            let n_mods_bytes = rng.usize(1..80);
            let mods = (rng.u8(0..4) == 0).then(|| noise(rng, n_mods_bytes));
            let kind = if rng.bool() { ModsKind::Text } else { ModsKind::Binary };
            list.push(Model {
                region,
                order: 0,
                batch: usize::from(rng.u8(0..5) == 0),
                place: Place { region: key, partition: rng.i64(0..2), space },
                file: SealedFile {
                    name: TsFileName {
                        version: rng.u64(0..6),
                        // makes names unique, and so the order total
                        time_ms: at as u64,
                        inner: 0,
                        cross: 0,
                    },
                    identity: FileIdentity {
                        inode: at as u64 + 10,
                        length_bytes: n_bytes as u64,
                        mtime_ns: 5,
                    },
                    facts: Arc::new(FileFacts {
                        // No two files have a cell in common, so none leaves twice.
                        extent: Extent::of_devices(vec![DeviceSpan {
                            device: at as u64,
                            start: 0,
                            end: 0,
                        }]),
                        ..FileFacts::default()
                    }),
                    mods: mods.as_ref().map(|mods| {
                        Arc::new(ModsRead {
                            kind,
                            inode: 1,
                            whole_bytes: mods.len() as u64,
                            entries: Vec::new(),
                            damage: None,
                        })
                    }),
                    is_young: false,
                },
                bytes: noise(rng, n_bytes),
                mods,
            });
        }
        // What is there at first, and what has no later version than that, is history.
        let mut boundary: HashMap<(usize, i64), u64> = HashMap::new();
        for item in list.iter().filter(|item| item.batch == 0) {
            let version = boundary.entry((item.region, item.place.partition)).or_default();
            *version = (*version).max(item.file.name.version);
        }
        list.sort_by_key(|item| {
            let version = boundary.get(&(item.region, item.place.partition));
            let is_history = version.is_some_and(|version| item.file.name.version <= *version);
            let place = (item.place.partition, item.place.space);
            (item.region, item.batch, !is_history, place, item.file.name)
        });
        let mut next = vec![0; n_regions];
        for item in &mut list {
            item.order = next[item.region];
            next[item.region] += 1;
        }
        let by_identity =
            list.iter().enumerate().map(|(at, item)| (item.file.identity, at)).collect();
        Self { list, by_identity, n_regions }
    }

    /// How far the mods of a file were read.
    pub(crate) fn mods_seen(&self, item: usize) -> Option<ModsSeen> {
        self.list[item].file.mods.as_ref().map(|mods| mods.seen())
    }

    /// What a scan finds once the batches up to `batch` are there.
    pub(crate) fn scan(&self, batch: usize) -> Scan {
        let mut places: BTreeMap<&Place, Vec<SealedFile>> = BTreeMap::new();
        for item in self.list.iter().filter(|item| item.batch <= batch) {
            places.entry(&item.place).or_default().push(item.file.clone());
        }
        let listings = places.into_iter().rev().map(|(place, sealed)| {
            let folder = Arc::from(format!("data/{place:?}"));
            Arc::new(Listing { place: place.clone(), folder, sealed, unsealed: Vec::new() })
        });
        Scan { listings: listings.collect(), ..Scan::default() }
    }

    /// Frames that it takes to deliver everything once, at least.
    pub(crate) fn n_frames(&self, piece_bytes: u32) -> u64 {
        let pieces = |bytes: &[u8]| bytes.len().div_ceil(piece_bytes as usize) as u64;
        self.list
            .iter()
            .map(|item| 1 + pieces(&item.bytes) + item.mods.as_deref().map_or(0, pieces))
            .sum()
    }
}

fn noise(rng: &mut Rng, n_bytes: usize) -> Vec<u8> {
    let mut bytes = vec![0; n_bytes];
    rng.fill(&mut bytes);
    bytes
}
