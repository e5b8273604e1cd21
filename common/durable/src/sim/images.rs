//! Which states a power cut may leave: all of the systematic ones, some of the random ones.

use std::sync::Arc;
use std::sync::Mutex;

use crate::sim::Change;
use crate::sim::Inode;
use crate::sim::SimStorage;
use crate::sim::State;
use crate::sim::lock;

/// Disks tear writes between sectors, and sometimes within.
const SECTOR_BYTES: usize = 512;

/// How many random states follow the systematic ones.
const RANDOM_IMAGES: u64 = 6;

/// Cuts within one write that are tried each; longer writes are cut at chosen places.
const CUTS_MAX: usize = 6;

/// A disk as it is found after a power cut.
#[derive(Clone, Debug)]
pub struct SimImage {
    /// Which of the unsynced changes it has kept.
    pub label: String,
    /// The disk.
    pub storage: SimStorage,
}

/// What becomes of one unsynced change of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Drop,
    Keep,
    /// The first bytes are there, the length is not.
    Prefix(usize),
    /// The sectors whose bit is set in the number are there, zeros stand for the others.
    Sectors(u64),
    /// The length is there, the bytes are not: what stood on the disk before shows.
    Stale(u8),
}

impl SimStorage {
    /// The states in which the disk may be found if the power goes now. The same seed gives the
    /// same states. Always among them: all unsynced changes kept, none, only the last one, each
    /// write torn, and each directory change missing.
    pub fn images(&self, seed: u64) -> Vec<SimImage> {
        let state = lock(&self.state);
        let writes: Vec<(usize, usize)> = (0..state.inodes.len())
            .flat_map(|inode| (0..state.inodes[inode].pending.len()).map(move |at| (inode, at)))
            .collect();
        let entries = state.pending.len();
        let all_entries = vec![true; entries];
        let all = |_| Fate::Keep;
        let none = |_| Fate::Drop;
        let mut images = vec![
            state.image("all kept", &all_entries, all),
            state.image("none kept", &vec![false; entries], none),
        ];
        if entries > 0 {
            images.push(state.image("no entry kept", &vec![false; entries], all));
            images.push(state.image("only entries kept", &all_entries, none));
        }
        for kept in 0..entries {
            let prefix: Vec<bool> = (0..entries).map(|at| at < kept).collect();
            let without: Vec<bool> = (0..entries).map(|at| at != kept).collect();
            images.push(state.image(&format!("entries up to {kept}"), &prefix, all));
            images.push(state.image(&format!("all entries but {kept}"), &without, all));
        }
        if let Some(last) = writes.last() {
            let only = |at| if at == *last { Fate::Keep } else { Fate::Drop };
            images.push(state.image("only the last write kept", &all_entries, only));
        }
        for (order, torn) in writes.iter().enumerate() {
            for fate in state.torn_fates(*torn, seed) {
                let label = format!("write {torn:?} {fate:?}, before it kept, behind it dropped");
                let fates = |at| fate_around(&writes, at, order, fate, Fate::Drop);
                images.push(state.image(&label, &all_entries, fates));
                if order + 1 < writes.len() {
                    let label = format!("write {torn:?} {fate:?}, all others kept");
                    let fates = |at| fate_around(&writes, at, order, fate, Fate::Keep);
                    images.push(state.image(&label, &all_entries, fates));
                }
            }
        }
        if !writes.is_empty() || entries > 0 {
            for round in 0..RANDOM_IMAGES {
                let seed = mix(seed ^ mix(round));
                let kept: Vec<bool> =
                    (0..entries).map(|at| mix(seed ^ at as u64) & 1 == 0).collect();
                let fates = |(inode, at): (usize, usize)| {
                    random_fate(mix(seed ^ mix((inode as u64) << 32 | at as u64)))
                };
                images.push(state.image(&format!("random {seed:#x}"), &kept, fates));
            }
        }
        images
    }
}

impl State {
    fn image(
        &self,
        label: &str,
        entries_kept: &[bool],
        fate: impl Fn((usize, usize)) -> Fate,
    ) -> SimImage {
        let mut entries = self.durable.clone();
        for (change, _) in self.pending.iter().zip(entries_kept).filter(|(_, kept)| **kept) {
            change.apply(&mut entries);
        }
        let mut inodes = vec![Inode::default(); self.inodes.len()];
        for index in entries.values().copied() {
            let mut bytes = self.inodes[index].durable.clone();
            for (at, change) in self.inodes[index].pending.iter().enumerate() {
                change.apply_with(fate((index, at)), &mut bytes);
            }
            inodes[index] = Inode { live: bytes.clone(), durable: bytes, pending: Vec::new() };
        }
        let state = Self { inodes, live: entries.clone(), durable: entries, ..Self::default() };
        SimImage {
            label: label.to_owned(),
            storage: SimStorage { state: Arc::new(Mutex::new(state)) },
        }
    }

    /// The ways to tear one write.
    fn torn_fates(&self, (inode, at): (usize, usize), seed: u64) -> Vec<Fate> {
        let Change::Write { bytes, .. } = &self.inodes[inode].pending[at] else {
            return vec![Fate::Drop];
        };
        let mut cuts: Vec<usize> = [1, bytes.len() / 2, bytes.len().saturating_sub(1)].into();
        cuts.extend((SECTOR_BYTES..bytes.len()).step_by(SECTOR_BYTES).take(CUTS_MAX));
        cuts.push(mix(seed ^ bytes.len() as u64) as usize % bytes.len().max(1));
        cuts.retain(|cut| (1..bytes.len()).contains(cut));
        cuts.sort_unstable();
        cuts.dedup();
        let mut fates: Vec<Fate> = cuts.into_iter().map(Fate::Prefix).collect();
        fates.extend([Fate::Drop, Fate::Stale(0), Fate::Stale(0xA5)]);
        if bytes.len() > SECTOR_BYTES {
            fates.extend([
                Fate::Sectors(0xAAAA_AAAA_AAAA_AAAA),
                Fate::Sectors(!1),
                Fate::Sectors(mix(seed)),
            ]);
        }
        fates
    }
}

impl Change {
    fn apply_with(&self, fate: Fate, bytes: &mut Vec<u8>) {
        let Self::Write { offset_bytes, bytes: written } = self else {
            if fate != Fate::Drop {
                self.apply(bytes);
            }
            return;
        };
        let offset_bytes = *offset_bytes;
        let start = offset_bytes as usize;
        match fate {
            Fate::Drop => {}
            Fate::Keep => self.apply(bytes),
            Fate::Prefix(count) => {
                let written = written[..count.min(written.len())].to_vec();
                Self::Write { offset_bytes, bytes: written }.apply(bytes);
            }
            Fate::Sectors(mask) => {
                let end = start + written.len();
                bytes.resize(bytes.len().max(end), 0);
                for at in (start..end).filter(|at| mask >> (at / SECTOR_BYTES % 64) & 1 == 1) {
                    bytes[at] = written[at - start];
                }
            }
            Fate::Stale(filler) => {
                // Only bytes that the file did not have before show what the disk held.
                let end = start + written.len();
                let had = bytes.len().max(start);
                bytes.resize(bytes.len().max(end), 0);
                if had < end {
                    bytes[had..end].fill(filler);
                }
            }
        }
    }
}

/// What happens to `at` when all before `order` are kept, `order` itself meets `fate`, and those
/// behind it meet `behind`.
fn fate_around(
    writes: &[(usize, usize)],
    at: (usize, usize),
    order: usize,
    fate: Fate,
    behind: Fate,
) -> Fate {
    match writes.iter().position(|write| *write == at) {
        Some(place) if place < order => Fate::Keep,
        Some(place) if place == order => fate,
        _ => behind,
    }
}

fn random_fate(random: u64) -> Fate {
    match random % 6 {
        0 | 1 => Fate::Drop,
        2 | 3 => Fate::Keep,
        4 => Fate::Prefix((random >> 8) as usize % 2048),
        _ => Fate::Sectors(mix(random)),
    }
}

/// A number that looks random (the finisher of splitmix64).
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
