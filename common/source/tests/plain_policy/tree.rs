//! A data directory in memory, and what a test does with a source.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_model::Time;
use tidegate_model::Verdict;
use tidegate_source::Departed;
use tidegate_source::Effect;
use tidegate_source::FileIdentity;
use tidegate_source::Item;
use tidegate_source::ItemKind;
use tidegate_source::Listing;
use tidegate_source::Outcome;
use tidegate_source::Place;
use tidegate_source::RegionKey;
use tidegate_source::Scan;
use tidegate_source::SealedFile;
use tidegate_source::Source;
use tidegate_source::Space;
use tidegate_source::TsFileName;

/// A data directory in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    pub(crate) files: BTreeMap<(Place, TsFileName), SealedFile>,
    pub(crate) n_inodes: u64,
}

impl Tree {
    pub(crate) fn add(&mut self, place: &Place, version: u64) -> FileIdentity {
        self.add_compacted(place, version, 0)
    }

    pub(crate) fn add_compacted(
        &mut self,
        place: &Place,
        version: u64,
        inner: u32,
    ) -> FileIdentity {
        self.n_inodes += 1;
        let name = TsFileName { version, time_ms: 1000 + version, inner, cross: 0 };
        let identity =
            FileIdentity { inode: self.n_inodes, length_bytes: 100 + self.n_inodes, mtime_ns: 7 };
        self.files.insert((place.clone(), name), SealedFile { name, identity, mods: None });
        identity
    }

    pub(crate) fn scan(&self) -> Scan {
        let mut listings: BTreeMap<Place, Listing> = BTreeMap::new();
        for ((place, _), file) in &self.files {
            let folder: Arc<str> = format!("{place:?}").into();
            let listing = listings.entry(place.clone()).or_insert_with(|| Listing {
                place: place.clone(),
                folder,
                sealed: Vec::new(),
                n_unsealed: 0,
            });
            listing.sealed.push(*file);
        }
        Scan { listings: listings.into_values().map(Arc::new).collect(), unread: Vec::new() }
    }
}

pub(crate) fn place(region: u32, partition: i64, space: Space) -> Place {
    let region = RegionKey { database: "root.t".to_owned(), region };
    Place { region, partition, space }
}

pub(crate) const NOTHING: Departed = Departed { mods: None, mods_carried: false };

pub(crate) fn at(seconds: u64) -> Time {
    Time::from_micros(seconds * 1_000_000)
}

pub(crate) fn accept(
    source: &mut Source,
    now: Time,
    item: &Item,
    departed: Departed,
) -> Vec<Effect> {
    let outcome = Outcome::bare(Verdict::Accepted, "");
    source.handle_outcome(now, item.token, &outcome, departed);
    std::iter::from_fn(|| source.poll_effect()).collect()
}

pub(crate) fn identity(item: &Item) -> FileIdentity {
    let ItemKind::File(file) = &item.kind else { panic!("{item:?}") };
    file.identity
}

/// Sends everything there is; the identities in the order in which they left.
pub(crate) fn drain(source: &mut Source, now: Time) -> Vec<FileIdentity> {
    let mut left = Vec::new();
    while let Some(item) = source.poll_item(now, |_| true) {
        left.push(identity(&item));
        accept(source, now, &item, NOTHING);
    }
    left
}
