//! What has expired: everything before a time in whatever was there when that was decided.
//!
//! What comes later is not concerned, however old it is: it expires when that is decided again. So a
//! clock that was wrong, or a single row of a wrong time, takes what is there at worst, and never
//! what is still to come.

/// Most horizons that are told apart; they differ only where one was lower than an earlier one.
const HORIZONS_MAX: usize = 16;

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
    /// Takes one in, which is decided after all that are here.
    pub(crate) fn raise(&mut self, horizon: Horizon) {
        self.all.retain(|it| it.start > horizon.start);
        self.all.push(horizon);
        if self.all.len() > HORIZONS_MAX {
            // the two last ones as one, which hides more than either
            let last = self.all.pop().map_or(0, |it| it.precedence);
            if let Some(before) = self.all.last_mut() {
                before.precedence = before.precedence.max(last);
            }
        }
    }

    /// The first time that has not expired in a layer.
    pub(crate) fn start_of(&self, precedence: u64) -> i64 {
        let own = self.all.iter().find(|it| it.precedence >= precedence);
        own.map_or(i64::MIN, |it| it.start)
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
    fn horizons_are_bounded_and_never_hide_less() {
        let mut all = Horizons::default();
        for at in 0..100 {
            all.raise(Horizon { start: 1000 - at, precedence: at as u64 });
            assert!(all.iter().count() <= HORIZONS_MAX);
        }
        for precedence in 0..100 {
            assert!(all.start_of(precedence) >= 1000 - precedence as i64, "{precedence}");
        }
    }
}
