//! What is missing in a store, or wrong with it: as people are told of it.
//!
//! Everything here follows from the catalog, or from what lies beside it, and is found again at every
//! start. So it may be told as often as somebody likes, and needs no record of whether it was.

use crate::gone::WHOLE_STORE;
use crate::gone::told_of;
use crate::layer::Layer;
use crate::lost::Lost;
use crate::lost::LostPart;
use crate::rebuild::UNREAD_SUFFIX;
use crate::store::Store;
use crate::volume::Volume;

/// Most files that are told of one by one.
const FAULTS_MAX: usize = 100;

/// Something that is missing, or wrong.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct Fault {
    /// What it is about: a file below the store's directory, most of the time.
    pub item: String,
    /// What is wrong with it, and what can be done.
    pub what: String,
}

impl<V: Volume> Store<V> {
    /// What is missing in the store or wrong with it, as far as it is known without reading everything.
    /// A hundred files at most, and then how many more there are.
    pub fn faults(&self) -> Vec<Fault> {
        let accounts = self.catalog.state().rebuilt.iter();
        let accounts = accounts.map(|what| Fault {
            item: String::from("catalog of the store"),
            what: what.to_string(),
        });
        let gone =
            self.gone().map(|last| Fault { item: WHOLE_STORE.to_owned(), what: told_of(last) });
        let accounts = accounts.chain(gone);
        let lost = self.lost().map(of_lost);
        let damaged = self.layers().filter_map(|layer| {
            let found = self.damaged.get(&layer.id)?;
            Some(of_damaged(layer, found))
        });
        let mut files = lost.chain(damaged);
        let mut faults: Vec<Fault> = accounts.chain(files.by_ref().take(FAULTS_MAX)).collect();
        let n_more = files.count();
        if n_more > 0 {
            faults.push(Fault {
                item: String::from("files of the store"),
                what: format!("{n_more} more are lost or damaged: verify names them all"),
            });
        }
        faults
    }
}

fn of_lost(lost: &Lost) -> Fault {
    let Lost { layer, part, found } = lost;
    let (start, end) = (layer.range.start, layer.range.end);
    if *part == LostPart::List {
        let expected = layer.mods.map(|(_, own)| own).unwrap_or_default();
        let what = format!(
            "expected deletions of {expected}, as they came with their file, found: {found}; which of the \
             rows of that file from {start} to {end} are deleted is not known, and none of them is in an \
             answer. Put the list back as it was; or delete again at the source and give it up by \
             forget-lost: what of it can be read counts then"
        );
        return Fault { item: lost.path(), what };
    }
    let what = format!(
        "expected a file of {} bytes with rows from {start} to {end}, found: {found}; they are in no \
         answer. A damaged one is kept with {UNREAD_SUFFIX} behind its name. Put the file back as it \
         was, or compare these times with the source",
        layer.length_bytes
    );
    Fault { item: layer.path(), what }
}

fn of_damaged(layer: &Layer, found: &str) -> Fault {
    let (start, end) = (layer.range.start, layer.range.end);
    let what = format!(
        "expected rows from {start} to {end} that can be read, found: {found}; the file is merged with \
         no other. Compare these times with the source"
    );
    Fault { item: layer.path(), what }
}
