//! Filters whose leaves are put onto other series: behind the paths of `FROM`, or onto those that a
//! pattern means. A leaf that means several becomes all of them, as in IoTDB.

use std::collections::HashMap;

use super::Condition;
use super::Filter;
use crate::COLUMNS_MAX;
use crate::Path;
use crate::TooManyColumns;

impl Filter {
    /// The filter with its series behind those paths; those that begin at the root stay.
    pub fn behind(&self, prefixes: &[Path]) -> Result<Self, TooManyColumns> {
        self.spread(&mut |path| match path.is_full() {
            true => vec![path.clone()],
            false => prefixes.iter().map(|prefix| prefix.join(path)).collect(),
        })
    }

    /// The filter with each series replaced by those that `meant` gives for it. What is said about
    /// one must hold for all of them; if there is none, it is unknown.
    pub fn spread(
        &self,
        meant: &mut dyn FnMut(&Path) -> Vec<Path>,
    ) -> Result<Self, TooManyColumns> {
        let mut numbers = Numbers::default();
        let meant: Vec<Vec<Path>> = self.series.iter().map(meant).collect();
        let mut n_leaves = 0;
        let condition = spread(&self.condition, &mut |series| {
            let paths = meant.get(series).map_or(&[][..], Vec::as_slice);
            n_leaves += paths.len();
            match n_leaves <= COLUMNS_MAX {
                true => Ok(paths.iter().map(|it| numbers.of(it.clone())).collect()),
                false => Err(TooManyColumns),
            }
        })?;
        Ok(Self { series: numbers.into_series(), condition })
    }
}

fn spread(
    condition: &Condition,
    numbers: &mut dyn FnMut(usize) -> Result<Vec<usize>, TooManyColumns>,
) -> Result<Condition, TooManyColumns> {
    let mut all = |members: &[Condition]| {
        members.iter().map(|it| spread(it, numbers)).collect::<Result<Vec<_>, _>>()
    };
    Ok(match condition {
        Condition::And(members) => Condition::and(all(members)?),
        Condition::Or(members) => Condition::or(all(members)?),
        Condition::Not(inner) => Condition::Not(Box::new(spread(inner, numbers)?)),
        Condition::Constant(_) | Condition::Time(_) => condition.clone(),
        Condition::Value { series, test } => {
            let leaf = |series| Condition::Value { series, test: test.clone() };
            let leaves: Vec<_> = numbers(*series)?.into_iter().map(leaf).collect();
            match leaves.is_empty() {
                true => Condition::Constant(None),
                false => Condition::and(leaves),
            }
        }
    })
}

/// Gives series their numbers.
#[derive(Default)]
pub(crate) struct Numbers {
    known: HashMap<Path, usize>,
    series: Vec<Path>,
}

impl Numbers {
    pub(crate) fn of(&mut self, path: Path) -> usize {
        if let Some(number) = self.known.get(&path) {
            return *number;
        }
        let number = self.series.len();
        self.series.push(path.clone());
        self.known.insert(path, number);
        number
    }

    pub(crate) fn into_series(self) -> Vec<Path> {
        self.series
    }
}
