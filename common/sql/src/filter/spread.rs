//! Filters whose leaves are put onto other series: behind the paths of `FROM`, or onto those that a
//! pattern means. A leaf that means several becomes all of them, as in IoTDB.

use std::collections::HashMap;

use super::Condition;
use super::Filter;
use super::Literal;
use super::ValueTest;
use crate::COLUMNS_BYTES_MAX;
use crate::COLUMNS_MAX;
use crate::Path;
use crate::TooManyColumns;
use crate::expand;

impl Filter {
    /// The filter with its series behind those paths; those that begin at the root stay.
    pub fn behind(&self, prefixes: &[Path]) -> Result<Self, TooManyColumns> {
        expand::check(self.series.iter().map(Path::cost_bytes), prefixes)?;
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
        let (mut n_leaves, mut bytes) = (0usize, 0usize);
        let condition = spread(&self.condition, &mut |series, test| {
            let paths = meant.get(series).map_or(&[][..], Vec::as_slice);
            n_leaves = n_leaves.saturating_add(paths.len());
            bytes = bytes.saturating_add(paths.len().saturating_mul(test.cost_bytes()));
            match n_leaves <= COLUMNS_MAX && bytes <= COLUMNS_BYTES_MAX {
                true => Ok(paths.iter().map(|it| numbers.of(it.clone())).collect()),
                false => Err(TooManyColumns),
            }
        })?;
        Ok(Self { series: numbers.into_series(), condition })
    }
}

fn spread<F>(condition: &Condition, numbers: &mut F) -> Result<Condition, TooManyColumns>
where
    F: FnMut(usize, &ValueTest) -> Result<Vec<usize>, TooManyColumns>,
{
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
            let leaves: Vec<_> = numbers(*series, test)?.into_iter().map(leaf).collect();
            match leaves.is_empty() {
                true => Condition::Constant(None),
                false => Condition::and(leaves),
            }
        }
    })
}

impl ValueTest {
    /// What it takes in memory, about.
    fn cost_bytes(&self) -> usize {
        /// Memory that a literal or a test takes beside its text.
        const EACH_BYTES: usize = 64;
        let literal = |it: &Literal| match it {
            Literal::Bytes(bytes) => bytes.len().saturating_add(EACH_BYTES),
            Literal::Text(text) => text.len().saturating_add(EACH_BYTES),
            Literal::Boolean(_) | Literal::Float(_) | Literal::Integer(_) => EACH_BYTES,
        };
        let inside = match self {
            Self::Between(low, high) => literal(low).saturating_add(literal(high)),
            Self::Compare(_, it) => literal(it),
            Self::In(literals) => literals.iter().map(literal).sum(),
            Self::IsNull => 0,
            // Its text, and two bytes for each part of it.
            Self::Like(like) => like.pattern().len().saturating_mul(3),
        };
        inside.saturating_add(EACH_BYTES)
    }
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
