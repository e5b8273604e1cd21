//! A condition with the series that it means.
//!
//! What is said about a path that means several series must hold for all of them, as IoTDB has it:
//! there the condition is written out once for each of them, and all of those must be true. Below a
//! NOT that is a condition that one of them must meet.

use tidegate_durable::Storage;
use tidegate_model::Value;
use tidegate_sql::Condition;
use tidegate_sql::Filter;
use tidegate_sql::Path;
use tidegate_sql::ValueTest;
use tidegate_tsfile::Batch;

use crate::QueryError;
use crate::site::Cell;
use crate::site::Sites;
use crate::site::joined;

/// Every path that a filter means, behind the paths of FROM.
pub(crate) fn paths(filter: Option<&Filter>, from: &[Path]) -> Vec<Vec<String>> {
    let series = filter.map_or(&[][..], Filter::series);
    series.iter().flat_map(|path| behind(path, from)).collect()
}

/// A path of a filter behind the paths of FROM.
pub(crate) fn behind(path: &Path, from: &[Path]) -> Vec<Vec<String>> {
    match path.is_full() {
        true => vec![path.nodes().to_vec()],
        false => from.iter().map(|prefix| joined(prefix.nodes(), path)).collect(),
    }
}

/// The series of a filter, by its numbers.
pub(crate) fn cells<S: Storage>(
    filter: &Filter,
    sites: &Sites<'_, S>,
    from: &[Vec<String>],
) -> Result<Vec<Vec<Cell>>, QueryError> {
    let mut found = Vec::new();
    for path in filter.series() {
        let mut cells: Vec<Cell> = match path.is_full() {
            true => sites.cells(path.nodes()),
            false => from.iter().flat_map(|it| sites.cells(&joined(it, path))).collect(),
        };
        cells.sort_unstable();
        cells.dedup();
        found.push(cells);
    }
    for at in 0..found.iter().map(Vec::len).max().unwrap_or(0) {
        let data_type = |number: usize| {
            let cell = found.get(number).and_then(|cells| cells.get(at));
            cell.map(|cell| sites.data_type(*cell))
        };
        filter.check_types(&data_type).map_err(QueryError::TypeMismatch)?;
    }
    Ok(found)
}

/// A condition over columns of batches.
pub(crate) struct Bound<'f> {
    condition: &'f Condition,
    /// For each series of the filter the columns that it means.
    places: Vec<Vec<usize>>,
}

impl<'f> Bound<'f> {
    pub(crate) fn new(filter: &'f Filter, places: Vec<Vec<usize>>) -> Self {
        Self { condition: filter.condition(), places }
    }

    /// For each row whether it is meant.
    pub(crate) fn mask(&self, batch: &Batch) -> Vec<bool> {
        let mut cursors = vec![0usize; batch.columns.len()];
        let mut used: Vec<usize> = self.places.iter().flatten().copied().collect();
        used.sort_unstable();
        used.dedup();
        let mut mask = Vec::with_capacity(batch.len());
        for (row, time) in batch.times.iter().enumerate() {
            let value = |place: usize| {
                let column = batch.columns.get(place)?;
                let value = cursors.get(place)?;
                column.presence.get(row).then(|| column.values.get(*value))?
            };
            mask.push(self.evaluate(self.condition, *time, true, &value) == Some(true));
            for place in &used {
                let is_there = batch.columns.get(*place).is_some_and(|it| it.presence.get(row));
                if let Some(cursor) = cursors.get_mut(*place) {
                    *cursor = cursor.saturating_add(usize::from(is_there));
                }
            }
        }
        mask
    }

    /// Depth is bounded by the parser.
    fn evaluate(
        &self,
        condition: &Condition,
        time: i64,
        is_positive: bool,
        value: &dyn Fn(usize) -> Option<Value>,
    ) -> Option<bool> {
        let each = |it: &Condition| self.evaluate(it, time, is_positive, value);
        match condition {
            Condition::And(members) => decided(members.iter().map(each), false),
            Condition::Or(members) => decided(members.iter().map(each), true),
            Condition::Constant(constant) => *constant,
            Condition::Not(inner) => self.evaluate(inner, time, !is_positive, value).map(|it| !it),
            Condition::Time(test) => Some(test.holds(time)),
            Condition::Value { series, test } => self.value(*series, test, is_positive, value),
        }
    }

    fn value(
        &self,
        series: usize,
        test: &ValueTest,
        is_positive: bool,
        value: &dyn Fn(usize) -> Option<Value>,
    ) -> Option<bool> {
        match self.places.get(series).map_or(&[][..], Vec::as_slice) {
            // there is no such series
            [] => test.holds(None),
            [place] => test.holds(value(*place).as_ref()),
            places => {
                let each = |place: &usize| test.holds(value(*place).as_ref());
                decided(places.iter().map(each), !is_positive)
            }
        }
    }
}

/// `wanted` if one is that, else unknown if one is unknown, else the contrary.
fn decided(all: impl Iterator<Item = Option<bool>>, wanted: bool) -> Option<bool> {
    let mut result = Some(!wanted);
    for it in all {
        match it {
            Some(found) if found == wanted => return Some(wanted),
            Some(_) => (),
            None => result = None,
        }
    }
    result
}
