//! What deletions take from the rows of one device of one file.

use core::ops::Range;
use core::ops::RangeInclusive;

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

    fn rows_of(&self, times: &[i64]) -> Range<usize> {
        let first = times.partition_point(|time| time < self.times.start());
        let behind = times.partition_point(|time| time <= self.times.end());
        first..behind.max(first)
    }
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
        let mut cuts = Self { rows: Vec::new(), columns: vec![Vec::new(); measurements.len()] };
        let nodes = path::nodes(&device.path);
        for entry in entries {
            let cut = Cut::of(entry);
            match &entry.deletion.target {
                Target::Tree { pattern } => {
                    let pattern = path::nodes(pattern);
                    match path::measurement_pattern(&pattern, &nodes) {
                        None => (),
                        Some("*") => cuts.rows.push(cut),
                        Some(wanted) => cuts.push(&cut, measurements, |measurement| {
                            path::matches(&[wanted], &[measurement])
                        }),
                    }
                }
                Target::Table { table, predicate, columns } => {
                    let is_meant = device.segments.as_ref().is_some_and(|segments| {
                        segments.0.first().is_some_and(|it| it.as_deref() == Some(&**table))
                            && predicate.meets(segments)
                    });
                    match columns.is_empty() {
                        _ if !is_meant => (),
                        true => cuts.rows.push(cut),
                        false => cuts.push(&cut, measurements, |measurement| {
                            columns.iter().any(|column| **column == *measurement)
                        }),
                    }
                }
            }
        }
        cuts
    }

    fn push(
        &mut self,
        cut: &Cut,
        measurements: &[impl AsRef<str>],
        is_meant: impl Fn(&str) -> bool,
    ) {
        for (cuts, measurement) in self.columns.iter_mut().zip(measurements) {
            if is_meant(measurement.as_ref()) {
                cuts.push(cut.clone());
            }
        }
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
        for cut in self.rows.iter().filter(|cut| cut.concerns(chunk_offset)) {
            batch.remove_rows(cut.rows_of(&batch.times));
        }
        let Batch { times, columns } = batch;
        for (column, cuts) in columns.iter_mut().zip(&self.columns) {
            for cut in cuts.iter().filter(|cut| cut.concerns(chunk_offset)) {
                column.remove_cells(cut.rows_of(times));
            }
        }
    }

    /// Whether nothing is deleted.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.columns.iter().all(Vec::is_empty)
    }
}

impl Batch {
    fn remove_rows(&mut self, rows: Range<usize>) {
        if rows.is_empty() {
            return;
        }
        for column in &mut self.columns {
            let n_rows = column.presence.len();
            column.rebuild(|kept, column| {
                kept.append(column, 0..rows.start, 0);
                kept.append(column, rows.end..n_rows, column.presence.rank(rows.end));
            });
        }
        self.times.drain(rows);
    }
}

impl BatchColumn {
    fn remove_cells(&mut self, rows: Range<usize>) {
        if rows.is_empty() {
            return;
        }
        let n_rows = self.presence.len();
        self.rebuild(|kept, column| {
            kept.append(column, 0..rows.start, 0);
            kept.presence.push_many(false, rows.len());
            kept.append(column, rows.end..n_rows, column.presence.rank(rows.end));
        });
    }

    fn rebuild(&mut self, fill: impl FnOnce(&mut Self, &Self)) {
        let mut kept = Self::new(self.data_type);
        fill(&mut kept, self);
        *self = kept;
    }
}
