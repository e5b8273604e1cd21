//! The files of one run, and the order in which they have to arrive.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use fastrand::Rng;
use tidegate_source::FileIdentity;
use tidegate_source::Listing;
use tidegate_source::ModsSeen;
use tidegate_source::Place;
use tidegate_source::RegionKey;
use tidegate_source::Scan;
use tidegate_source::SealedFile;
use tidegate_source::Space;
use tidegate_source::TsFileName;
use tidegate_tsfile::ModsKind;

/// Files with an older name are history.
pub(crate) const CREATED_MS: u64 = 1_000;

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
            let key = RegionKey { database: format!("root.d{region}"), region: region as u32 };
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
                        time_ms: rng.u64(CREATED_MS - 3..CREATED_MS + 3),
                        inner: 0,
                        // makes names unique, and so the order total
                        cross: at as u32,
                    },
                    identity: FileIdentity {
                        inode: at as u64 + 10,
                        length_bytes: n_bytes as u64,
                        mtime_ns: 5,
                    },
                    mods: mods
                        .as_ref()
                        .map(|mods| ModsSeen { kind, length_bytes: mods.len() as u64 }),
                },
                bytes: noise(rng, n_bytes),
                mods,
            });
        }
        list.sort_by_key(|item| {
            let history = item.file.name.time_ms < CREATED_MS;
            let place = (item.place.partition, item.place.space);
            (item.region, item.batch, !history, place, item.file.name)
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

    /// What a scan finds once the batches up to `batch` are there.
    pub(crate) fn scan(&self, batch: usize) -> Scan {
        let mut places: BTreeMap<&Place, Vec<SealedFile>> = BTreeMap::new();
        for item in self.list.iter().filter(|item| item.batch <= batch) {
            places.entry(&item.place).or_default().push(item.file);
        }
        let listings = places.into_iter().rev().map(|(place, sealed)| {
            let folder = Arc::from("data");
            Arc::new(Listing { place: place.clone(), folder, sealed, n_unsealed: 0 })
        });
        Scan { listings: listings.collect(), unread: Vec::new() }
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
