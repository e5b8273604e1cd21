//! The catalog: which layers and deletions there are, and how far the spool is taken in. A journal;
//! one record is one change, so that it is there whole or not at all.
//!
//! | kind | record |
//! |---|---|
//! | 1 | change: position i64, number of the item done or -1 i64, next id i64; then five lists, each with an i32 count: layers added, ids of layers removed (i64), deletions added, precedences of deletions forgotten (i64), layers lost as in 6 |
//! | 2 | spool: id 16 bytes, base i64, position i64; numbers begin anew behind the position, and count from the base on |
//! | 3 | precision: u8, 0 ms, 1 us, 2 ns |
//! | 4 | table: database, name, i32 count of tags, their names; then, where senders told them in several orders, u8 1 |
//! | 5 | horizon: time i64, precedence i64: what is before the one in layers up to the other has expired |
//! | 6 | lost: i32 count of layers that are none any more, since their files, or the deletions that came with them, cannot be read; of each its id i64, u8 0 file or 1 deletions, and what was found |
//! | 7 | found: i32 count of lost layers that can be read again, their ids i64 |
//! | 8 | rebuilt: what became of a catalog that was damaged or gone |
//! | 9 | gone: i64, the last record of the store that was in this place before and vanished; -1 once it was given up |
//! | 10 | forgotten: i32 count of places of lost files that were given up |
//!
//! Integers are big-endian. A layer and a deletion are as `layer.rs` and `tombstone.rs` write them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::Writer;
use tidegate_durable::FileName;
use tidegate_durable::Journal;
use tidegate_durable::JournalRecord;
use tidegate_durable::JournalRecovery;
use tidegate_durable::OpenError;
use tidegate_durable::Storage;
use tidegate_model::Precision;

use crate::StoreError;
use crate::horizon::Horizon;
use crate::horizon::Horizons;
use crate::layer::Layer;
use crate::layer::TEXT_BYTES_MAX;
use crate::layer::code;
use crate::lost::Lost;
use crate::lost::Unreadable;
use crate::tags::Tags;
use crate::tombstone::Tombstone;

const CHANGE: u8 = 1;
const SPOOL: u8 = 2;
const PRECISION: u8 = 3;
const TABLE: u8 = 4;
const HORIZON: u8 = 5;
const LOST: u8 = 6;
const FOUND: u8 = 7;
const REBUILT: u8 = 8;
const GONE: u8 = 9;
const FORGOTTEN: u8 = 10;

/// Most places of files that were given up; what is put back into others is a leftover.
const FORGOTTEN_MAX: usize = 10_000;
/// Most of them in one record.
pub(crate) const FORGOTTEN_AT_ONCE_MAX: usize = 1000;
/// Most accounts of catalogs that were made anew; each is kept as a gap record, too.
const REBUILT_MAX: usize = 16;
/// Longest text of a record.
const WORDS_BYTES_MAX: usize = 1 << 16;

/// The journal is written anew once it is this long, and several times as long as what counts.
const REWRITE_BYTES_MIN: u64 = 1 << 20;
const REWRITE_FACTOR: u64 = 4;

/// Name of the journal in the root of a store.
pub(crate) const CATALOG: &str = "catalog";

/// One change, which is there whole or not at all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Change {
    /// Everything up to this number of the spool is durable in the store.
    pub(crate) position: u64,
    /// An item behind the position that is durable, too.
    pub(crate) done: Option<u64>,
    pub(crate) added: Vec<Layer>,
    pub(crate) removed: Vec<u64>,
    pub(crate) deletions: Vec<Tombstone>,
    /// Precedences of deletions that concern nothing any more.
    pub(crate) forgotten: Vec<u64>,
    /// Layers, those added among them, that cannot be read.
    pub(crate) lost: Vec<Unreadable>,
}

/// A database and one of its tables.
pub type TableName = (Box<str>, Box<str>);

/// What the catalog says.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) layers: BTreeMap<u64, Layer>,
    pub(crate) deletions: Vec<Tombstone>,
    pub(crate) position: u64,
    /// Items behind the position that are durable.
    pub(crate) done: BTreeSet<u64>,
    pub(crate) next_id: u64,
    pub(crate) spool: Option<([u8; 16], u64)>,
    pub(crate) precision: Option<Precision>,
    /// Names of the tags of each table.
    pub(crate) tables: BTreeMap<TableName, Vec<Box<str>>>,
    /// Tables whose tags senders have told in several orders.
    pub(crate) mixed: BTreeSet<TableName>,
    /// What has expired.
    pub(crate) horizons: Horizons,
    /// Layers that cannot be read.
    pub(crate) lost: BTreeMap<u64, Lost>,
    /// What became of catalogs that were damaged or gone, the last one last.
    pub(crate) rebuilt: Vec<Box<str>>,
    /// The last record of the store that was in this place before and vanished.
    pub(crate) gone: Option<u64>,
    /// Places of lost files that were given up: should one be there again, it is somebody's.
    pub(crate) forgotten: BTreeSet<String>,
    /// The greatest precedence that was given.
    pub(crate) precedence: u64,
    /// Places of layers that were removed; only where the rest of a damaged catalog is read.
    removed: Option<BTreeSet<String>>,
}

/// The catalog of one store.
#[derive(Debug)]
pub(crate) struct Catalog<S: Storage> {
    journal: Journal<S>,
    state: State,
    /// Length of the journal when it was written anew.
    base_bytes: u64,
}

/// A catalog as it lies there.
#[derive(Debug)]
pub(crate) enum Found {
    /// Whole.
    Sound,
    /// There is none, or there is no record in it: nothing was ever taken in, or it was lost.
    Empty,
    /// The last record has only begun. The power went, and then it says nothing that counts; or it
    /// was damaged, which looks the same.
    Torn(Box<State>),
    /// Damaged, and what can still be read of it.
    Damaged(String, Box<State>),
}

impl<S: Storage> Catalog<S> {
    /// Looks at the catalog in the root of a store and changes nothing.
    pub(crate) fn look(root: &S) -> Result<Found, StoreError> {
        match Journal::inspect(root, &Self::name()) {
            Err(error @ OpenError::HeaderDamaged { .. }) => {
                Ok(Found::Damaged(error.to_string(), Box::default()))
            }
            Err(error) => Err(error.into()),
            Ok(None) => Ok(Found::Empty),
            Ok(Some(found)) => match (State::of(&found), found.damage.first()) {
                (_, Some(damage)) => {
                    Ok(Found::Damaged(damage.to_string(), Box::new(State::rest_of(&found)?)))
                }
                (state, None) if found.torn_bytes > 0 && !found.records.is_empty() => {
                    Ok(Found::Torn(Box::new(state.and_then(|_| State::rest_of(&found))?)))
                }
                (state, None) => {
                    state?;
                    Ok(if found.records.is_empty() { Found::Empty } else { Found::Sound })
                }
            },
        }
    }

    /// Writes a catalog that says this and nothing else, in the place of what is there; at no moment
    /// is there one that says less.
    pub(crate) fn replace(root: &S, salt: u32, state: &State) -> Result<(), StoreError> {
        let name = Self::name();
        let opened = match Journal::open(root.clone(), name.clone(), salt) {
            Err(OpenError::HeaderDamaged { .. }) => {
                root.remove(&name).map_err(StoreError::io("remove", &name))?;
                Journal::open(root.clone(), name, salt)
            }
            opened => opened,
        };
        let (mut journal, _) = opened?;
        journal.rewrite(state.records())?;
        journal.sync().map_err(StoreError::from)
    }

    fn name() -> FileName {
        FileName::new(CATALOG).unwrap_or_else(|error| unreachable!("{error}"))
    }

    /// Opens the catalog in the root of a store, or makes it.
    pub(crate) fn open(root: S, salt: u32) -> Result<Self, StoreError> {
        let (journal, found) = Journal::open(root, Self::name(), salt)?;
        let state = State::of(&found)?;
        let base_bytes = journal.bytes();
        Ok(Self { journal, state, base_bytes })
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Takes in a change; durable on return.
    pub(crate) fn change(&mut self, change: &Change) -> Result<(), StoreError> {
        let next_id = change.added.iter().map(|layer| layer.id.saturating_add(1)).max();
        let next_id = next_id.unwrap_or(0).max(self.state.next_id);
        self.append(CHANGE, &encode_change(change, next_id))
    }

    /// Remembers which spool the numbers are of.
    ///
    /// # Arguments
    ///
    /// - `position`: up to here its records were taken in before, under other numbers
    pub(crate) fn set_spool(
        &mut self,
        id: [u8; 16],
        base: u64,
        position: u64,
    ) -> Result<(), StoreError> {
        self.append(SPOOL, &encode_spool(id, base, position))
    }

    /// Remembers the unit of times.
    pub(crate) fn set_precision(&mut self, precision: Precision) -> Result<(), StoreError> {
        self.append(PRECISION, &[precision_code(precision)])
    }

    /// Remembers the tags of a table.
    pub(crate) fn set_table(&mut self, table: &TableName, tags: &Tags) -> Result<(), StoreError> {
        self.append(TABLE, &encode_table(table, &tags.names, tags.is_mixed))
    }

    /// Takes layers out that cannot be read, and remembers what was found; of some that are out already
    /// something else may be found.
    pub(crate) fn lose(&mut self, lost: &[Unreadable]) -> Result<(), StoreError> {
        self.append(LOST, &encode_lost(lost))
    }

    /// Takes lost layers in again.
    pub(crate) fn find(&mut self, found: &[u64]) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        writer.length(found.len());
        found.iter().for_each(|id| writer.i64(id.cast_signed()));
        self.append(FOUND, &bytes)
    }

    /// Whether it is where it was, and no older copy of it.
    pub(crate) fn is_in_place(&self) -> bool {
        self.journal.is_in_place()
    }

    /// Remembers that another store was in this place, or that it was given up.
    pub(crate) fn set_gone(&mut self, last: Option<u64>) -> Result<(), StoreError> {
        self.append(GONE, &encode_gone(last))
    }

    /// Remembers the places of files that are given up.
    pub(crate) fn forget(&mut self, paths: &[String]) -> Result<(), StoreError> {
        self.append(FORGOTTEN, &encode_paths(paths.iter()))
    }

    /// Remembers what has expired.
    pub(crate) fn set_horizon(&mut self, horizon: Horizon) -> Result<(), StoreError> {
        self.append(HORIZON, &encode_horizon(horizon))
    }

    /// The record counts, and is durable, on return. Where there is no room for it nothing has
    /// changed.
    fn append(&mut self, kind: u8, bytes: &[u8]) -> Result<(), StoreError> {
        self.journal.append(kind, bytes)?;
        self.journal.sync()?;
        let record = JournalRecord { kind, bytes: bytes.to_vec() };
        self.state.replay(&record).map_err(StoreError::CatalogRecord)?;
        let due = self.base_bytes.saturating_mul(REWRITE_FACTOR).max(REWRITE_BYTES_MIN);
        if self.journal.bytes() > due {
            match self.journal.rewrite(self.state.records()) {
                // what is there stays good
                Err(error) if !error.is_fatal() => (),
                outcome => outcome?,
            }
            self.base_bytes = self.journal.bytes();
        }
        Ok(())
    }
}

impl State {
    /// What a journal says.
    pub(crate) fn of(found: &JournalRecovery) -> Result<Self, StoreError> {
        if let Some(damage) = found.damage.first() {
            return Err(StoreError::CatalogDamaged(*damage));
        }
        let mut state = Self::default();
        for record in &found.records {
            state.replay(record).map_err(StoreError::CatalogRecord)?;
        }
        Ok(state)
    }

    /// What the intact records of a damaged journal say.
    fn rest_of(found: &JournalRecovery) -> Result<Self, StoreError> {
        let mut state = Self { removed: Some(BTreeSet::new()), ..Self::default() };
        for record in &found.records {
            state.replay(record).map_err(StoreError::CatalogRecord)?;
        }
        Ok(state)
    }

    /// Whether a layer at this place is known, also as one that was removed.
    pub(crate) fn speaks_of(&self, path: &str) -> bool {
        self.removed.as_ref().is_some_and(|removed| removed.contains(path))
            || self.layers.values().any(|layer| layer.path() == path)
            || self.lost.values().any(|lost| lost.layer.path() == path)
    }

    fn replay(&mut self, record: &JournalRecord) -> Result<(), Error> {
        let mut reader = Reader::new(&record.bytes);
        match record.kind {
            CHANGE => self.replay_change(&mut reader)?,
            SPOOL => {
                let mut id = [0; 16];
                id.copy_from_slice(reader.take(16, "id of a spool")?);
                let base = reader.i64("base of a spool")?.cast_unsigned();
                self.position = reader.i64("position in a spool")?.cast_unsigned();
                self.done = BTreeSet::new();
                self.spool = Some((id, base));
                self.precedence = self.precedence.max(base);
            }
            PRECISION => {
                self.precision = Some(code(&mut reader, "precision, 0 to 2", precision_of)?);
            }
            TABLE => {
                let database = reader.str("database of a table", TEXT_BYTES_MAX)?.into();
                let table = reader.str("name of a table", TEXT_BYTES_MAX)?.into();
                let mut tags = Vec::new();
                for _ in 0..reader.count("number of tags", 4)? {
                    tags.push(reader.str("name of a tag", TEXT_BYTES_MAX)?.into());
                }
                let table = (database, table);
                // said only where it is so
                if !reader.is_empty() && reader.u8("whether tags are mixed")? != 0 {
                    self.mixed.insert(table.clone());
                }
                self.tables.insert(table, tags);
            }
            HORIZON => {
                let start = reader.i64("time of a horizon")?;
                let precedence = reader.i64("precedence of a horizon")?.cast_unsigned();
                self.horizons.raise(Horizon { start, precedence });
                self.precedence = self.precedence.max(precedence);
            }
            LOST => self.replay_lost(&mut reader)?,
            FOUND => {
                for _ in 0..reader.count("number of layers found", 8)? {
                    let id = reader.i64("number of a layer")?.cast_unsigned();
                    if let Some(lost) = self.lost.remove(&id) {
                        self.layers.insert(id, lost.layer);
                    }
                }
            }
            REBUILT => {
                let rebuilt = reader.str("account of a catalog", WORDS_BYTES_MAX)?;
                self.tell_rebuilt(rebuilt);
            }
            GONE => {
                self.gone = u64::try_from(reader.i64("last record of a store")?).ok();
            }
            FORGOTTEN => {
                for _ in 0..reader.count("number of files given up", 4)? {
                    let path = reader.str("place of a file", WORDS_BYTES_MAX)?;
                    if self.forgotten.len() < FORGOTTEN_MAX {
                        self.forgotten.insert(path.to_owned());
                    }
                }
            }
            found => {
                let expected = "a record of the catalog of kind 1 to 10";
                return Err(Error::Value { offset: 0, expected, found: found.into() });
            }
        }
        reader.finish()
    }

    fn replay_change(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        self.position = reader.i64("position")?.cast_unsigned();
        let done = reader.i64("number of an item")?;
        self.done.extend(u64::try_from(done).ok());
        self.done = self.done.split_off(&self.position.saturating_add(1));
        self.next_id = reader.i64("next id")?.cast_unsigned();
        for _ in 0..reader.count("number of layers", 8)? {
            let layer = Layer::decode(reader)?;
            self.precedence = self.precedence.max(layer.precedence);
            self.layers.insert(layer.id, layer);
        }
        for _ in 0..reader.count("number of layers removed", 8)? {
            let id = reader.i64("number of a layer")?.cast_unsigned();
            let lost = self.lost.remove(&id).map(|lost| lost.layer);
            let layer = self.layers.remove(&id).or(lost);
            if let (Some(layer), Some(removed)) = (layer, &mut self.removed) {
                removed.insert(layer.path());
            }
        }
        for _ in 0..reader.count("number of deletions", 16)? {
            let deletion = Tombstone::decode(reader)?;
            self.precedence = self.precedence.max(deletion.precedence);
            self.deletions.push(deletion);
        }
        for _ in 0..reader.count("number of deletions forgotten", 8)? {
            let precedence = reader.i64("precedence of a deletion")?.cast_unsigned();
            self.deletions.retain(|deletion| deletion.precedence != precedence);
        }
        self.replay_lost(reader)
    }

    fn replay_lost(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        for _ in 0..reader.count("number of layers lost", 13)? {
            let Unreadable { id, part, found } = Unreadable::decode(reader)?;
            let lost = self.lost.remove(&id).map(|lost| lost.layer);
            if let Some(layer) = self.layers.remove(&id).or(lost) {
                self.lost.insert(id, Lost { layer, part, found });
            }
        }
        Ok(())
    }

    /// Remembers what became of a catalog.
    pub(crate) fn tell_rebuilt(&mut self, rebuilt: &str) {
        let shown = rebuilt.floor_char_boundary(WORDS_BYTES_MAX);
        self.rebuilt.push(rebuilt.get(..shown).unwrap_or_default().into());
        let n_more = self.rebuilt.len().saturating_sub(REBUILT_MAX);
        self.rebuilt.drain(..n_more);
    }

    /// What a journal that says this and nothing else holds.
    fn records(&self) -> Vec<(u8, Vec<u8>)> {
        let mut records = Vec::new();
        if let Some(precision) = self.precision {
            records.push((PRECISION, vec![precision_code(precision)]));
        }
        if let Some((id, base)) = self.spool {
            records.push((SPOOL, encode_spool(id, base, self.position)));
        }
        records.extend(self.horizons.iter().map(|it| (HORIZON, encode_horizon(*it))));
        records.extend(self.rebuilt.iter().map(|it| (REBUILT, encode_text(it))));
        records.extend(self.gone.map(|last| (GONE, encode_gone(Some(last)))));
        let forgotten: Vec<&String> = self.forgotten.iter().collect();
        for some in forgotten.chunks(FORGOTTEN_AT_ONCE_MAX) {
            records.push((FORGOTTEN, encode_paths(some.iter().copied())));
        }
        for (table, tags) in &self.tables {
            records.push((TABLE, encode_table(table, tags, self.mixed.contains(table))));
        }
        let position = self.position;
        let mut change = |change: Change| {
            records.push((CHANGE, encode_change(&Change { position, ..change }, self.next_id)));
        };
        for done in &self.done {
            change(Change { done: Some(*done), ..Change::default() });
        }
        for layer in self.layers.values().chain(self.lost.values().map(|lost| &lost.layer)) {
            change(Change { added: vec![layer.clone()], ..Change::default() });
        }
        for deletion in &self.deletions {
            change(Change { deletions: vec![deletion.clone()], ..Change::default() });
        }
        change(Change::default());
        for (id, lost) in &self.lost {
            let Lost { part, found, .. } = lost;
            let lost = Unreadable { id: *id, part: *part, found: found.clone() };
            records.push((LOST, encode_lost(&[lost])));
        }
        records
    }
}

fn encode_change(change: &Change, next_id: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    writer.i64(change.position.cast_signed());
    writer.i64(change.done.map_or(-1, u64::cast_signed));
    writer.i64(next_id.cast_signed());
    writer.length(change.added.len());
    change.added.iter().for_each(|layer| layer.encode(&mut writer));
    writer.length(change.removed.len());
    change.removed.iter().for_each(|id| writer.i64(id.cast_signed()));
    writer.length(change.deletions.len());
    change.deletions.iter().for_each(|deletion| deletion.encode(&mut writer));
    writer.length(change.forgotten.len());
    change.forgotten.iter().for_each(|precedence| writer.i64(precedence.cast_signed()));
    writer.length(change.lost.len());
    change.lost.iter().for_each(|lost| lost.encode(&mut writer));
    bytes
}

fn encode_spool(id: [u8; 16], base: u64, position: u64) -> Vec<u8> {
    let mut bytes = id.to_vec();
    bytes.extend_from_slice(&base.to_be_bytes());
    bytes.extend_from_slice(&position.to_be_bytes());
    bytes
}

fn encode_lost(all: &[Unreadable]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    writer.length(all.len());
    all.iter().for_each(|lost| lost.encode(&mut writer));
    bytes
}

fn encode_paths<'p>(paths: impl ExactSizeIterator<Item = &'p String>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    writer.length(paths.len());
    paths.for_each(|path| writer.str(path));
    bytes
}

fn encode_gone(last: Option<u64>) -> Vec<u8> {
    last.map_or(-1, u64::cast_signed).to_be_bytes().to_vec()
}

fn encode_text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    Writer::new(&mut bytes).str(text);
    bytes
}

fn encode_horizon(horizon: Horizon) -> Vec<u8> {
    let mut bytes = horizon.start.to_be_bytes().to_vec();
    bytes.extend_from_slice(&horizon.precedence.to_be_bytes());
    bytes
}

fn encode_table((database, table): &TableName, tags: &[Box<str>], is_mixed: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    writer.str(database);
    writer.str(table);
    writer.length(tags.len());
    tags.iter().for_each(|tag| writer.str(tag));
    if is_mixed {
        writer.u8(1);
    }
    bytes
}

fn precision_code(precision: Precision) -> u8 {
    match precision {
        Precision::Ms => 0,
        Precision::Us => 1,
        Precision::Ns => 2,
    }
}

fn precision_of(code: u8) -> Option<Precision> {
    [Precision::Ms, Precision::Us, Precision::Ns].into_iter().find(|it| precision_code(*it) == code)
}
