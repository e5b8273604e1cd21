//! What deletions take from the rows of one device of one file.

use core::ops::Range;
use core::ops::RangeInclusive;
use std::collections::BTreeMap;

use tidegate_model::path;

use crate::Batch;
use crate::BatchColumn;
use crate::DeviceId;
use crate::ModEntry;
use crate::Statistics;
use crate::Target;

/// Times that were deleted, both ends included.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what a deletion says
pub struct Cut {
    /// The times.
    pub times: RangeInclusive<i64>,
    /// Only chunks whose marker stands before this offset are concerned: in a `.mods` file of 1.x
    /// what was flushed behind it was written after the deletion. `u64::MAX` for all chunks.
    pub before_offset: u64,
}

impl Cut {
    /// The times of an entry of a mods file, and the chunks that it concerns.
    fn of(entry: &ModEntry) -> Self {
        let times = entry.deletion.start..=entry.deletion.end;
        let before_offset = entry.file_offset.map_or(u64::MAX, |at| u64::try_from(at).unwrap_or(0));
        Self { times, before_offset }
    }

    fn concerns(&self, chunk_offset: u64) -> bool {
        chunk_offset < self.before_offset
    }

    /// The rows that it takes of a chunk.
    fn rows_of(&self, chunk_offset: u64, times: &[i64]) -> Range<usize> {
        let (Some(first), Some(last)) = (times.first(), times.last()) else { return 0..0 };
        if !self.concerns(chunk_offset) || self.times.start() > last || self.times.end() < first {
            return 0..0;
        }
        let first = times.partition_point(|time| time < self.times.start());
        let behind = times.partition_point(|time| time <= self.times.end());
        first..behind.max(first)
    }
}

/// Cuts by their first times, those that touch or overlap as one.
fn joined(mut cuts: Vec<Cut>) -> Vec<Cut> {
    cuts.sort_unstable_by_key(|cut| (cut.before_offset, *cut.times.start()));
    let mut out: Vec<Cut> = Vec::with_capacity(cuts.len());
    for cut in cuts {
        match out.last_mut() {
            Some(last)
                if last.before_offset == cut.before_offset
                    && last.times.end().saturating_add(1) >= *cut.times.start() =>
            {
                let end = (*last.times.end()).max(*cut.times.end());
                last.times = *last.times.start()..=end;
            }
            _ => out.push(cut),
        }
    }
    out
}

/// The rows of a chunk that any of some cuts takes, in order, none twice.
fn rows_taken(cuts: &[Cut], chunk_offset: u64, times: &[i64]) -> Vec<Range<usize>> {
    let all = cuts.iter().map(|cut| cut.rows_of(chunk_offset, times));
    let mut all: Vec<Range<usize>> = all.filter(|rows| !rows.is_empty()).collect();
    all.sort_unstable_by_key(|rows| rows.start);
    let mut out: Vec<Range<usize>> = Vec::with_capacity(all.len());
    for rows in all {
        match out.last_mut() {
            Some(last) if last.end >= rows.start => last.end = last.end.max(rows.end),
            _ => out.push(rows),
        }
    }
    out
}

/// What deletions take from rows of one device.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // two ways to delete
pub struct Cuts {
    /// Whole rows.
    pub rows: Vec<Cut>,
    /// Cells, for each column that is read; columns that are missing lose none.
    pub columns: Vec<Vec<Cut>>,
}

impl Cuts {
    /// What the entries of a mods file take from these columns of a device of the file beside which
    /// they stand.
    pub fn of<'e>(
        entries: impl IntoIterator<Item = &'e ModEntry>,
        device: &DeviceId,
        measurements: &[impl AsRef<str>],
    ) -> Self {
        let nodes = path::nodes(&device.path);
        let mut rows = Vec::new();
        // those that name measurements, by the name or pattern: each is looked for once
        let mut named: BTreeMap<(&str, bool), Vec<Cut>> = BTreeMap::new();
        for entry in entries {
            let cut = Cut::of(entry);
            match &entry.deletion.target {
                Target::Tree { pattern } => {
                    let pattern = path::nodes(pattern);
                    match path::measurement_pattern(&pattern, &nodes) {
                        None => (),
                        Some("*") => rows.push(cut),
                        Some(wanted) => {
                            let is_pattern = wanted.contains('*');
                            named.entry((wanted, is_pattern)).or_default().push(cut);
                        }
                    }
                }
                Target::Table { table, predicate, columns } => {
                    let is_meant = device.segments.as_ref().is_some_and(|segments| {
                        segments.0.first().is_some_and(|it| it.as_deref() == Some(&**table))
                            && predicate.meets(segments)
                    });
                    if is_meant && columns.is_empty() {
                        rows.push(cut);
                    } else if is_meant {
                        for column in columns {
                            named.entry((&**column, false)).or_default().push(cut.clone());
                        }
                    }
                }
            }
        }
        let mut columns: Vec<Vec<Cut>> = vec![Vec::new(); measurements.len()];
        if !named.is_empty() {
            share_out(named, measurements, &mut columns);
        }
        Self { rows: joined(rows), columns: columns.into_iter().map(joined).collect() }
    }

    /// Whether all rows with such statistics of a chunk are taken.
    pub(crate) fn hide_all(&self, chunk_offset: u64, statistics: &Statistics) -> bool {
        self.rows.iter().any(|cut| {
            cut.concerns(chunk_offset)
                && *cut.times.start() <= statistics.start_time
                && *cut.times.end() >= statistics.end_time
        })
    }

    /// Takes from rows of the chunk at `chunk_offset` what was deleted.
    pub(crate) fn apply(&self, chunk_offset: u64, batch: &mut Batch) {
        batch.remove_rows(&rows_taken(&self.rows, chunk_offset, &batch.times));
        let Batch { times, columns } = batch;
        for (column, cuts) in columns.iter_mut().zip(&self.columns) {
            column.remove_cells(&rows_taken(cuts, chunk_offset, times));
        }
    }

    /// Whether nothing is deleted.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.columns.iter().all(Vec::is_empty)
    }
}

/// Gives cuts to the measurements that they name.
fn share_out(
    named: BTreeMap<(&str, bool), Vec<Cut>>,
    measurements: &[impl AsRef<str>],
    columns: &mut [Vec<Cut>],
) {
    let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, measurement) in measurements.iter().enumerate() {
        places.entry(measurement.as_ref()).or_default().push(at);
    }
    let mut give = |at: usize, cuts: &[Cut]| {
        if let Some(column) = columns.get_mut(at) {
            column.extend_from_slice(cuts);
        }
    };
    for ((wanted, is_pattern), cuts) in named {
        // a series pays for what is left of a pattern's cuts, not for each of them
        let cuts = joined(cuts);
        if !is_pattern {
            places.get(wanted).into_iter().flatten().for_each(|at| give(*at, &cuts));
            continue;
        }
        for (measurement, places) in &places {
            if path::matches(&[wanted], &[measurement]) {
                places.iter().for_each(|at| give(*at, &cuts));
            }
        }
    }
}

impl Batch {
    /// Takes rows away; they are in order, and none comes twice.
    fn remove_rows(&mut self, taken: &[Range<usize>]) {
        if taken.is_empty() {
            return;
        }
        for column in &mut self.columns {
            column.rebuild(taken, |_, _| ());
        }
        let mut taken = taken.iter().cloned().peekable();
        let mut row = 0usize;
        self.times.retain(|_| {
            while taken.next_if(|rows| rows.end <= row).is_some() {}
            let is_taken = taken.peek().is_some_and(|rows| rows.contains(&row));
            row = row.saturating_add(1);
            !is_taken
        });
    }
}

impl BatchColumn {
    /// Makes cells null.
    fn remove_cells(&mut self, taken: &[Range<usize>]) {
        if !taken.is_empty() {
            self.rebuild(taken, |kept, n_rows| kept.presence.push_many(false, n_rows));
        }
    }

    /// Appends what is not taken to a new column, and in the place of each stretch that is what
    /// `replace` puts there.
    fn rebuild(&mut self, taken: &[Range<usize>], replace: impl Fn(&mut Self, usize)) {
        let mut kept = Self::new(self.data_type);
        let (mut row, mut value) = (0usize, 0usize);
        for rows in taken {
            value = kept.append(self, row..rows.start, value);
            value = value.saturating_add(self.presence.count_of(rows.clone()));
            replace(&mut kept, rows.len());
            row = rows.end;
        }
        kept.append(self, row..self.presence.len(), value);
        *self = kept;
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use tidegate_model::DataType;
    use tidegate_model::Value;

    use super::*;
    use crate::ModsKind;

    const NAMES: [&str; 4] = ["s1", "s2", "t1", "t2"];

    fn entries(text: &str) -> Vec<ModEntry> {
        ModsKind::Text.entries(text.as_bytes(), 0).collect()
    }

    fn device() -> DeviceId {
        DeviceId { path: "root.a.d".into(), segments: None }
    }

    /// What is left of a cell, asked of each entry by itself.
    fn survives(entries: &[ModEntry], name: &str, time: i64, chunk_offset: u64) -> bool {
        let full = format!("root.a.d.{name}");
        entries.iter().all(|entry| {
            let Target::Tree { pattern } = &entry.deletion.target else { return true };
            let is_behind = entry.file_offset.is_some_and(|at| chunk_offset >= at as u64);
            let times = entry.deletion.start..=entry.deletion.end;
            is_behind
                || !times.contains(&time)
                || !path::matches(&path::nodes(pattern), &path::nodes(&full))
        })
    }

    #[test]
    fn cuts_of_random_entries_take_what_each_entry_by_itself_would_take() {
        let patterns = [
            "root.a.d.s1",
            "root.a.d.t2",
            "root.a.d.s*",
            "root.*.d.*",
            "root.**",
            "root.a.**",
            "root.a.e.s1",
            "root.a.d",
            "root.**.t1",
        ];
        for seed in 0..300 {
            let mut rng = Rng::with_seed(seed);
            let lines = (0..rng.usize(0..40)).map(|_| {
                let pattern = patterns[rng.usize(..patterns.len())];
                let start = rng.i64(-3..100);
                let end = start + rng.i64(0..9);
                let offset = [i64::MAX, i64::MAX, 100, 200][rng.usize(..4)];
                format!("DELETION,{pattern},{offset},{start},{end}\n")
            });
            let entries = entries(&lines.collect::<String>());
            let cuts = Cuts::of(&entries, &device(), &NAMES);
            for chunk_offset in [50, 150, 250] {
                let mut batch = Batch::new(NAMES.map(|_| DataType::Int32));
                let times: Vec<i64> = (0..100).filter(|_| rng.u8(..4) > 0).collect();
                for time in times {
                    batch.times.push(time);
                    for (at, column) in batch.columns.iter_mut().enumerate() {
                        let is_there = at == 0 || rng.u8(..3) > 0;
                        column.presence.push(is_there);
                        let value = Value::Int32(time as i32 * 10 + at as i32);
                        assert!(!is_there || column.values.push(&value));
                    }
                }
                let cells = |batch: &Batch| {
                    let columns = batch.columns.iter().zip(NAMES).map(|(column, name)| {
                        let cells = batch.times.iter().zip(column.cells());
                        let cells = cells.filter_map(|(time, cell)| Some((*time, cell?)));
                        (name, cells.collect::<Vec<_>>())
                    });
                    columns.collect::<Vec<_>>()
                };
                let mut expected = cells(&batch);
                for (name, cells) in &mut expected {
                    cells.retain(|(time, _)| survives(&entries, name, *time, chunk_offset));
                }
                cuts.apply(chunk_offset, &mut batch);
                assert_eq!(cells(&batch), expected, "seed {seed} at {chunk_offset}");
                assert!(batch.columns.iter().all(|it| it.presence.len() == batch.len()));
            }
        }
    }

    /// Each entry was held for each series that it names.
    #[test]
    fn a_hundred_thousand_entries_for_ten_thousand_series_become_one_cut_of_each() {
        let names: Vec<String> = (0..10_000).map(|at| format!("s{at}")).collect();
        let line = |at: usize| match at % 2 {
            0 => format!("DELETION,root.a.d.s*,{},{at},{}\n", i64::MAX, at + 1),
            _ => format!("DELETION,root.a.d.s{},{},{at},{at}\n", at % 10_000, i64::MAX),
        };
        let entries = entries(&(0..100_000).map(line).collect::<String>());
        let cuts = Cuts::of(&entries, &device(), &names);
        assert!(cuts.columns.iter().all(|column| column.len() == 1), "{:?}", cuts.columns[1]);
        assert_eq!(cuts.columns[1][0].times, 0..=99_999);
    }
}
