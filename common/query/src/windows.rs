//! The windows of GROUP BY, by their numbers.

use tidegate_model::Precision;
use tidegate_sql::GroupBy;
use tidegate_sql::Window;
use tidegate_sql::time::UtcOffset;

/// Windows of one statement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    group_by: GroupBy,
    precision: Precision,
    offset: UtcOffset,
    /// How many there are.
    pub(crate) len: u64,
}

impl Windows {
    pub(crate) fn new(group_by: GroupBy, precision: Precision, offset: UtcOffset) -> Self {
        let is_there = |number: u64| group_by.window(number, precision, offset).is_some();
        // the first number behind the last one, between one that is there and one that is not
        let (mut there, mut behind) = (0u64, 1u64);
        if !is_there(0) {
            return Self { group_by, precision, offset, len: 0 };
        }
        while is_there(behind) {
            (there, behind) = (behind, behind.saturating_mul(2));
        }
        while there.saturating_add(1) < behind {
            let middle = there.midpoint(behind);
            match is_there(middle) {
                true => there = middle,
                false => behind = middle,
            }
        }
        Self { group_by, precision, offset, len: behind }
    }

    /// The windows of these numbers, the oldest first.
    pub(crate) fn list(&self, numbers: core::ops::Range<u64>) -> Vec<Window> {
        let window = |number| self.group_by.window(number, self.precision, self.offset);
        numbers.filter_map(window).collect()
    }
}
