//! Where the tags of a table are. Devices of a table are values of tags by their places, while senders
//! name the tags, and a table that was dropped and created anew may have others, or in another order.
//!
//! A store keeps one order of each table, to whose end it adds. Rows are put in it by the names of
//! their tags. A file keeps its own places, and so does a deletion: as `LOAD` of IoTDB 2.0 does, a
//! store takes a file where its order and that of the store are the beginning of one another.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use tidegate_model::Category;
use tidegate_tsfile::Predicate;
use tidegate_tsfile::TableSchema;

use crate::Device;
use crate::build::tag_name;
use crate::catalog::State;
use crate::catalog::TableName;
use crate::file::Devices;

/// Most tags of a table.
pub(crate) const TAGS_MAX: usize = 1024;

/// The tags of a table, as a store has them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tags {
    /// Their names, in their order.
    pub(crate) names: Vec<Box<str>>,
    /// Whether a sender has told them in an order of which neither is the beginning of the other: places
    /// that are told without names may then mean one tag or another.
    pub(crate) is_mixed: bool,
}

impl Tags {
    /// What a store has of a table.
    pub(crate) fn known(state: &State, table: &TableName) -> Self {
        let names = state.tables.get(table).cloned().unwrap_or_default();
        Self { names, is_mixed: state.mixed.contains(table) }
    }

    /// Where tags of these names are; those that are new are added at the end.
    ///
    /// # Errors
    ///
    /// Why there can be no rows of them.
    pub(crate) fn places(&mut self, names: &[Box<str>]) -> Result<Vec<usize>, String> {
        if !is_once(names) {
            return Err(String::from("a tag comes twice"));
        }
        let mut all = self.names.clone();
        let mut places = Vec::with_capacity(names.len());
        for name in names {
            let known = all.iter().position(|known| known == name);
            places.push(known.unwrap_or(all.len()));
            if known.is_none() {
                all.push(name.clone());
            }
        }
        if all.len() >= TAGS_MAX && all.len() > self.names.len() {
            let n_tags = all.len();
            return Err(format!("expected less than {TAGS_MAX} tags of a table, found {n_tags}"));
        }
        self.is_mixed |= places.iter().enumerate().any(|(at, place)| at != *place);
        self.names = all;
        Ok(places)
    }

    /// Takes in the order of a file; `false`, and nothing is changed but that it is mixed, where places
    /// in the file and here mean different tags.
    pub(crate) fn extend(&mut self, names: &[Box<str>]) -> bool {
        let is_alike = is_once(names) && self.names.iter().zip(names).all(|(one, it)| one == it);
        if is_alike {
            self.names.extend(names.iter().skip(self.names.len()).cloned());
        }
        self.is_mixed |= !is_alike;
        is_alike
    }
}

fn is_once(names: &[Box<str>]) -> bool {
    names.iter().collect::<BTreeSet<_>>().len() == names.len()
}

/// The names of the tags of each table of a file. Of a tag that has no name in it, its place is the name.
pub(crate) fn tags_within(
    tables: &[TableSchema],
    devices: &Devices,
) -> BTreeMap<TableName, Vec<Box<str>>> {
    let mut n_tags: BTreeMap<TableName, usize> = BTreeMap::new();
    for device in devices.extents.devices() {
        let (Some(table), Device::Table { segments, .. }) = (device.database_and_table(), device)
        else {
            continue;
        };
        let most = n_tags.entry(table).or_default();
        *most = (*most).max(segments.0.len().saturating_sub(1));
    }
    let named = n_tags.into_iter().map(|(table, n_tags)| {
        let schema = tables.iter().find(|schema| schema.name == table.1);
        let columns = schema.into_iter().flat_map(|schema| &schema.columns);
        let tags = columns.filter(|column| column.category == Category::Tag);
        let mut tags: Vec<_> = tags.enumerate().map(|(at, it)| tag_name(at, &it.name)).collect();
        tags.extend((tags.len()..n_tags).map(|at| tag_name(at, "")));
        (table, tags)
    });
    named.collect()
}

/// What people are told of orders that do not agree.
pub(crate) fn disagreement(table: &TableName, expected: &[Box<str>], found: &[Box<str>]) -> String {
    let (database, name) = table;
    let [expected, found] = [expected, found].map(|names| names.join(", "));
    format!(
        "table {database}.{name}: expected tags ({expected}) as the store has them, or a beginning or \
         longer list of the same, but found ({found})"
    )
}

/// Whether it means any device, whatever its tags.
pub(crate) fn is_of_all(predicate: &Predicate) -> bool {
    match predicate {
        Predicate::Any => true,
        Predicate::And(parts) => parts.iter().all(is_of_all),
        _ => false,
    }
}
