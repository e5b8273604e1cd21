//! Rows of several devices joined by time, the newest first.
//!
//! A store reads forwards only. So the times are taken from the end in windows, each of which is read
//! and turned round. A window that has more rows than may be held is halved and read again; a nearly
//! empty one makes the next one longer.

use tidegate_durable::Storage;
use tidegate_tsfile::Batch;

use crate::QueryError;
use crate::join::Plan;
use crate::rows::bytes_of;
use crate::rows::reversed;
use crate::site::Cell;

/// Rows that are held at once, and their bytes; one row may have more.
const HELD_ROWS_MAX: usize = 65_536;
const HELD_BYTES_MAX: usize = 64 << 20;
/// The first window is such a part of all times.
const FIRST_PART: u64 = 1024;

/// Rows from the end.
pub(crate) struct Backward<'p, 's, S: Storage> {
    plan: &'p Plan<'s, S>,
    start: i64,
    /// The last time of the next window.
    end: Option<i64>,
    /// From the first to the last time of a window.
    width: u64,
}

impl<'p, 's, S: Storage> Backward<'p, 's, S> {
    /// The rows of a plan within some times.
    pub(crate) fn new(plan: &'p Plan<'s, S>, times: &core::ops::RangeInclusive<i64>) -> Self {
        let Some(found) = plan.range() else {
            return Self { plan, start: 0, end: None, width: 0 };
        };
        let start = *times.start().max(found.start());
        let end = *times.end().min(found.end());
        let width = end.abs_diff(start) / FIRST_PART;
        Self { plan, start, end: (start <= end).then_some(end), width }
    }

    /// The next rows into `out`, times descending; `false` behind the last ones.
    pub(crate) fn next_into(&mut self, out: &mut Batch) -> Result<bool, QueryError> {
        while let Some(end) = self.end {
            let start = end.saturating_sub_unsigned(self.width).max(self.start);
            let Some(held) = self.window(start, end)? else {
                self.width = end.abs_diff(start) / 2;
                continue;
            };
            self.end = start.checked_sub(1).filter(|end| self.start <= *end);
            if held.len() < HELD_ROWS_MAX / 4 {
                self.width = self.width.saturating_mul(2).saturating_add(1);
            }
            if !held.is_empty() {
                *out = reversed(&held);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// All rows of a window, unless they are too many.
    fn window(&self, start: i64, end: i64) -> Result<Option<Batch>, QueryError> {
        let mut rows = self.plan.rows(&(start..=end))?;
        let mut held = Batch::new(self.plan.types.iter().copied());
        let mut batch = Batch::default();
        while rows.next_into(&mut batch)? {
            held.times.extend_from_slice(&batch.times);
            for (held, column) in held.columns.iter_mut().zip(&batch.columns) {
                held.append(column, 0..batch.times.len(), 0);
            }
            let is_too_much = held.len() > HELD_ROWS_MAX || bytes_of(&held) > HELD_BYTES_MAX;
            if is_too_much && start < end {
                return Ok(None);
            }
        }
        Ok(Some(held))
    }
}

/// Rows in either order.
pub(crate) enum Stream<'p, 's, S: Storage> {
    Forward(crate::join::Join<'p, S>),
    Backward(Backward<'p, 's, S>),
}

impl<S: Storage> Stream<'_, '_, S> {
    pub(crate) fn next_into(&mut self, out: &mut Batch) -> Result<bool, QueryError> {
        match self {
            Self::Forward(rows) => rows.next_into(out),
            Self::Backward(rows) => rows.next_into(out),
        }
    }
}

/// Places of series in a list that has each of them once, which is made longer as needed.
pub(crate) fn place_of(cells: &mut Vec<Cell>, cell: Cell) -> usize {
    cells.iter().position(|it| *it == cell).unwrap_or_else(|| {
        cells.push(cell);
        cells.len().saturating_sub(1)
    })
}
