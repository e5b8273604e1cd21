//! What has expired: everything before a time in whatever was there when that was decided.
//!
//! What comes later is not concerned, however old it is: it expires when that is decided again. So a
//! clock that was wrong, or a single row of a wrong time, takes what is there at worst, and never
//! what is still to come.

/// Most horizons that are told apart; they differ only where one was lower than an earlier one, or
/// concerned less.
const HORIZONS_MAX: usize = 1000;

/// Rows before a time in layers up to a precedence.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Horizon {
    /// The first time that has not expired.
    pub(crate) start: i64,
    pub(crate) precedence: u64,
}

/// All that has expired.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Horizons {
    /// By ascending precedence and descending times: else the later one would say all.
    all: Vec<Horizon>,
}

impl Horizons {
    /// Takes one in.
    pub(crate) fn raise(&mut self, horizon: Horizon) {
        let Horizon { start, precedence } = horizon;
        if self.start_of(precedence) >= start {
            return;
        }
        self.all.retain(|it| it.start > start || it.precedence > precedence);
        let at = self.all.partition_point(|it| it.precedence < precedence);
        self.all.insert(at, horizon);
        if self.all.len() > HORIZONS_MAX {
            self.fold();
        }
    }

    /// Makes one of the two that differ least, which hides less than either: what has not expired must
    /// not be hidden, and what has may be hidden later.
    fn fold(&mut self) {
        let both = self.all.iter().zip(self.all.iter().skip(1));
        let differences = both.map(|(one, next)| one.start.abs_diff(next.start));
        let least = differences.enumerate().min_by_key(|(_, difference)| *difference);
        if let Some((at, _)) = least {
            self.all.remove(at);
        }
    }

    /// The first time that has not expired in a layer.
    pub(crate) fn start_of(&self, precedence: u64) -> i64 {
        let own = self.all.partition_point(|it| it.precedence < precedence);
        self.all.get(own).map_or(i64::MIN, |it| it.start)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Horizon> {
        self.all.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_horizon_concerns_what_came_behind_a_higher_one_alone() {
        let mut all = Horizons::default();
        all.raise(Horizon { start: 10, precedence: 1 });
        all.raise(Horizon { start: 900, precedence: 3 });
        all.raise(Horizon { start: 20, precedence: 5 });
        let found: Vec<i64> = (0..7).map(|precedence| all.start_of(precedence)).collect();
        assert_eq!(found, [900, 900, 900, 900, 20, 20, i64::MIN]);
        all.raise(Horizon { start: 900, precedence: 6 });
        assert_eq!(all.iter().count(), 1);
    }

    #[test]
    fn horizons_say_the_same_in_whatever_order_they_come() {
        let some = [(10, 1), (900, 3), (20, 5), (900, 2), (5, 5), (20, 4), (30, 4)];
        let start_of = |precedence| {
            let own = some.iter().filter(|(_, it)| *it >= precedence).map(|(start, _)| *start);
            own.max().unwrap_or(i64::MIN)
        };
        for first in 0..some.len() {
            let mut all = Horizons::default();
            let turned = some.iter().cycle().skip(first).take(some.len());
            turned.for_each(|(start, precedence)| {
                all.raise(Horizon { start: *start, precedence: *precedence });
            });
            for precedence in 0..8 {
                assert_eq!(all.start_of(precedence), start_of(precedence), "{first} {precedence}");
            }
        }
    }

    /// Of too many the two last ones became one that hid more: rows that had not expired were gone.
    #[test]
    fn horizons_are_bounded_and_never_hide_what_has_not_expired() {
        let mut all = Horizons::default();
        let n_horizons = 2 * HORIZONS_MAX as i64;
        let start = |precedence: i64| 1_000_000 - 7 * precedence - precedence % 3;
        for precedence in 0..n_horizons {
            all.raise(Horizon { start: start(precedence), precedence: precedence as u64 });
            assert!(all.iter().count() <= HORIZONS_MAX);
        }
        for precedence in 0..n_horizons {
            let found = all.start_of(precedence as u64);
            assert!(found <= start(precedence) && found >= start(precedence) - 30, "{precedence}");
        }
    }
}
