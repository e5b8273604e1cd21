//! Whether each store is as the state remembers it. The opposite of `rollback.rs`: there the state went
//! back in time, here a store did, or vanished.
//!
//! What is remembered of a store is what its catalog says, after that is durable; so a store that says
//! less is not the one that was there, or is an older copy of it.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::hash::RandomState;

use serde::Deserialize;
use serde::Serialize;
use tidegate_durable::OpenError;
use tidegate_durable::Seq;
use tidegate_durable::Storage;
use tidegate_store::Standing;
use tidegate_store::Store;
use tidegate_store::Volume;

use crate::facts;
use crate::facts::FactJournal;

/// The journal, among the small facts of the state.
const NAME: &str = "stored";
/// It is written anew when it has grown beyond this and most of it is outdated.
const REWRITE_BYTES: u64 = 1 << 20;

/// What is remembered of a store.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Known {
    pub(super) base: u64,
    /// The first record that counts from that base on.
    #[serde(default)]
    pub(super) since: u64,
    /// The last record that it spoke of.
    pub(super) last: u64,
    /// The last record of the store that vanished before it, while that is not given up.
    #[serde(default)]
    pub(super) gone: Option<u64>,
    /// Whether it is given again what it lacks, and had not all of it: what it has of that may be the last
    /// record and not those before it.
    #[serde(default)]
    pub(super) is_lacking: bool,
}

impl Known {
    /// Of a store that is open; whoever remembers it knows since when.
    pub(super) fn of<V: Volume>(store: &Store<V>) -> Self {
        let Standing { base, taken } = store.standing();
        Self { base, since: 0, last: taken, gone: store.gone(), is_lacking: false }
    }
}

impl Known {
    /// Whether a store with nothing in it says as much.
    pub(super) fn is_of_nothing(&self) -> bool {
        self.base == 0 && self.last == 0 && self.gone.is_none() && !self.is_lacking
    }

    /// Whether a store was made in the place of this one, which had vanished.
    pub(super) fn is_replaced_by<V: Volume>(&self, store: &Store<V>) -> bool {
        store.gone().is_some() && self.gone != store.gone()
    }
}

/// One line of the journal.
#[derive(Deserialize, Serialize)]
struct Fact {
    /// The target's id: of another target nothing is remembered.
    target: String,
    origin: String,
    #[serde(flatten)]
    known: Known,
}

/// What is remembered of all stores.
#[derive(Debug)]
pub(crate) struct Remembered<S: Storage> {
    journal: FactJournal<S>,
    target: String,
    known: BTreeMap<String, Known>,
}

impl<S: Storage> Remembered<S> {
    /// Reads what is remembered of the stores of a target.
    pub(crate) fn open(memory: &S, target: &str) -> Result<Self, String> {
        let salt = RandomState::new().hash_one(()) as u32;
        let open = || FactJournal::open(memory.clone(), NAME, salt, REWRITE_BYTES);
        let opened = match open() {
            Err(error @ OpenError::HeaderDamaged { .. }) => {
                tracing::warn!(%error, "nobody knows how far the stores were");
                let name = tidegate_durable::FileName::new(NAME).map_err(|it| it.to_string())?;
                let failed = |error| format!("memory: cannot remove {name}: {error}");
                memory.remove(&name).map_err(failed)?;
                open()
            }
            opened => opened,
        };
        let (journal, found) = opened.map_err(|error| format!("memory: {NAME}: {error}"))?;
        found.damage.iter().for_each(|damage| tracing::warn!(%damage, "{NAME} damaged"));
        let facts = facts::read(&found).filter(|fact: &Fact| fact.target == target);
        let known = facts.map(|Fact { origin, known, .. }| (origin, known)).collect();
        Ok(Self { journal, target: target.to_owned(), known })
    }

    /// What is remembered of the store of an origin.
    pub(super) fn of(&self, origin: &str) -> Option<Known> {
        self.known.get(origin).copied()
    }

    /// The origins of which a store is remembered.
    pub(super) fn origins(&self) -> impl Iterator<Item = &String> {
        self.known.keys()
    }

    /// Remembers how far a store is; durable after the next sync. A full disk keeps nobody from going on:
    /// less is noticed then.
    ///
    /// # Arguments
    ///
    /// - `next`: the record that it is given next
    pub(super) fn set(&mut self, origin: &str, known: Known, next: Seq) -> Result<(), String> {
        let same = self.of(origin).filter(|before| before.base == known.base);
        let since = same.map_or_else(|| next.get(), |before| before.since);
        self.put(origin, Known { since, ..known })
    }

    /// Remembers that a store is given again what it lacks; durable on return.
    pub(super) fn set_lacking(&mut self, origin: &str, known: Known) -> Result<(), String> {
        self.put(origin, Known { is_lacking: true, ..known })?;
        self.sync()
    }

    fn put(&mut self, origin: &str, known: Known) -> Result<(), String> {
        // from the beginning on
        let since = if known.base == 0 { 0 } else { known.since };
        let known = Known { since, ..known };
        let before = self.of(origin);
        if before == Some(known) || (before.is_none() && known.is_of_nothing()) {
            return Ok(());
        }
        self.known.insert(origin.to_owned(), known);
        let fact = Fact { target: self.target.clone(), origin: origin.to_owned(), known };
        match self.journal.append(&fact) {
            Err(error) if error.is_fatal() => Err(format!("memory: {NAME}: {error}")),
            _ => Ok(()),
        }
    }

    /// Makes it durable.
    pub(super) fn sync(&mut self) -> Result<(), String> {
        let fact = |(origin, known): (&String, &Known)| Fact {
            target: self.target.clone(),
            origin: origin.clone(),
            known: *known,
        };
        match self.journal.sync(self.known.iter().map(fact)) {
            Err(error) if error.is_fatal() => Err(format!("memory: {NAME}: {error}")),
            _ => Ok(()),
        }
    }
}

/// How a store is that was just opened, and of which something may be remembered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// As it was, or further.
    Sound,
    /// One that was made just now, in the place of another one.
    Gone,
    /// An older copy, which has all up to its position.
    Older,
    /// An older copy of before the numbers of the spool began anew.
    OlderNumbers,
}

impl Found {
    /// Compares a store with what is remembered of it, before it is told which spool there is.
    pub(super) fn of<V: Volume>(store: &Store<V>, known: Option<Known>, spool: [u8; 16]) -> Self {
        let Some(known) = known else { return Self::Sound };
        let found = store.standing();
        let is_own = store.spool().is_none_or(|id| id == spool);
        match store.spool() {
            _ if store.is_blank() => Self::Gone,
            // made just now by a run that ended before it had given it everything
            _ if is_own && known.is_replaced_by(store) => Self::Older,
            // its catalog was made anew, which is told of
            _ if store.rebuilt().is_some() => Self::Sound,
            None => Self::Sound,
            Some(_) if found.base < known.base => Self::OlderNumbers,
            // of another state, which may be newer than this one
            Some(id) if id != spool => Self::Sound,
            Some(_) if found.base > known.base => Self::Sound,
            Some(_) if known.is_lacking || found.taken < known.last => Self::Older,
            Some(_) => Self::Sound,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use tidegate_codec::Writer;
    use tidegate_durable::FileName;
    use tidegate_durable::sim::SimStorage;
    use tidegate_model::Category;
    use tidegate_model::Column;
    use tidegate_model::DataType;
    use tidegate_model::Tablet;
    use tidegate_model::Value;
    use tidegate_store::DirVolume;
    use tidegate_store::Options;
    use tidegate_wire::RequestType;
    use tidegate_wire::request::PayloadHead;
    use tidegate_wire::request::TabletForm;
    use tidegate_wire::request::encode_tablet;

    use super::*;

    #[test]
    fn what_is_remembered_is_of_one_target_and_survives_every_power_cut() {
        let memory = SimStorage::new();
        let known = |last| Known { base: 3, since: 4, last, gone: None, is_lacking: false };
        let next = |last| Seq::new(last - 1);
        let mut remembered = Remembered::open(&memory, "one").unwrap();
        for last in [5, 9, 8] {
            remembered.set("o", known(last), next(last)).unwrap();
            remembered.set("nothing", Known::default(), next(last)).unwrap();
            remembered.sync().unwrap();
        }
        memory.cut_power();
        for image in memory.images(1) {
            let remembered = Remembered::open(&image.storage, "one").unwrap();
            assert_eq!(remembered.of("o"), Some(known(8)), "{}", image.label);
            assert_eq!(remembered.origins().collect::<Vec<_>>(), ["o"]);
            let other = Remembered::open(&image.storage, "another").unwrap();
            assert_eq!(other.of("o"), None);
        }
    }

    /// A store of a spool, whose numbers began anew so many times, with a row of a record.
    fn filled(root: &Path, spool: u8, n_restarts: u64, record: u64) -> Store<DirVolume> {
        let mut store = Store::open(DirVolume::new(root), Options::default(), 1).unwrap();
        if store.is_blank() {
            store.begin_spool([spool; 16]).unwrap();
        }
        for restart in 0..=n_restarts {
            let mut request = Vec::new();
            let mut writer = Writer::new(&mut request);
            PayloadHead { request_type: RequestType::TransferTabletRaw }.encode(&mut writer);
            let column = Column {
                name: String::from("s"),
                data_type: DataType::Int32,
                encoding: 0,
                compressor: 0,
                category: Category::Field,
                values: vec![Some(Value::Int32(7))],
            };
            let tablet = Tablet {
                device: String::from("root.a.d"),
                times: vec![1],
                columns: vec![column],
                ..Tablet::default()
            };
            encode_tablet(&tablet, TabletForm::Categories, &mut writer);
            let _ = store.apply_request(record, 5, &request).unwrap();
            store.flush().unwrap();
            if restart < n_restarts {
                store.restart_spool([spool; 16]).unwrap();
            }
        }
        store
    }

    #[test]
    fn an_older_store_is_told_from_one_that_is_further_or_of_another_state() {
        let found = |spool: u8, n_restarts: u64, record: u64, known: Known| {
            let root = tempfile::tempdir().unwrap();
            let store = filled(root.path(), spool, n_restarts, record);
            Found::of(&store, Some(known), [1; 16])
        };
        let known = |base, last| Known { base, since: 1, last, gone: None, is_lacking: false };
        assert_eq!(found(1, 0, 9, known(0, 9)), Found::Sound);
        assert_eq!(found(1, 0, 9, known(0, 8)), Found::Sound);
        assert_eq!(found(1, 0, 9, known(0, 10)), Found::Older);
        assert_eq!(found(1, 1, 9, known(0, 30)), Found::Sound, "the numbers began anew since");
        assert_eq!(found(1, 1, 9, known(9, 10)), Found::Older);
        assert_eq!(found(1, 1, 9, known(18, 1)), Found::OlderNumbers);
        assert_eq!(found(2, 1, 9, known(0, 30)), Found::Sound, "newer rows must not be hidden");
        assert_eq!(found(2, 0, 9, known(9, 1)), Found::OlderNumbers);
        let lacking = |base, last| Known { is_lacking: true, ..known(base, last) };
        assert_eq!(found(1, 0, 9, lacking(0, 9)), Found::Older, "the last record says nothing");
        assert_eq!(found(1, 1, 9, lacking(0, 9)), Found::Sound, "the numbers began anew since");
        let root = tempfile::tempdir().unwrap();
        let mut store = filled(root.path(), 1, 0, 9);
        store.replace_gone(30).unwrap();
        assert_eq!(Found::of(&store, Some(known(5, 2)), [1; 16]), Found::Older);
        assert_eq!(Found::of(&store, Some(known(0, 9)), [2; 16]), Found::Sound);
        let told = Known { gone: Some(30), ..known(0, 9) };
        assert_eq!(Found::of(&store, Some(told), [1; 16]), Found::Sound);
        drop(store);
        let root = tempfile::tempdir().unwrap();
        let blank = Store::open(DirVolume::new(root.path()), Options::default(), 1).unwrap();
        assert_eq!(Found::of(&blank, Some(known(0, 1)), [1; 16]), Found::Gone);
        assert_eq!(Found::of(&blank, None, [1; 16]), Found::Sound);
        drop(blank);
        drop(filled(root.path(), 1, 0, 9));
        fs::remove_file(root.path().join("catalog")).unwrap();
        let rebuilt = Store::open(DirVolume::new(root.path()), Options::default(), 1).unwrap();
        assert_eq!(Found::of(&rebuilt, Some(known(0, 9)), [1; 16]), Found::Sound);
    }

    #[test]
    fn a_full_or_damaged_state_keeps_no_store_from_going_on() {
        let memory = SimStorage::new();
        let mut remembered = Remembered::open(&memory, "one").unwrap();
        memory.set_capacity_bytes(Some(0));
        let known = Known { base: 3, since: 8, last: 7, gone: Some(2), is_lacking: false };
        remembered.set("o", known, Seq::new(8)).unwrap();
        remembered.sync().unwrap();
        memory.set_capacity_bytes(None);
        remembered.sync().unwrap();
        drop(remembered);
        assert_eq!(Remembered::open(&memory, "one").unwrap().of("o"), Some(known));
        let name = FileName::new(NAME).unwrap();
        let length = memory.content(&name).unwrap().len();
        memory.set_content(&name, vec![0xff; length]);
        assert_eq!(Remembered::open(&memory, "one").unwrap().of("o"), None);
    }
}
