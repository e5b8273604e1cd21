//! What the items of a query and the paths behind `FROM` mean together.

use core::fmt;

use crate::COLUMNS_BYTES_MAX;
use crate::COLUMNS_MAX;
use crate::Function;
use crate::Item;
use crate::Path;
use crate::Select;
use crate::SelectItem;
use crate::SelectLast;

/// One column, or as many as its pattern means.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what a column is
pub struct Column {
    /// The aggregate over it.
    pub function: Option<Function>,
    /// A full path, or a pattern of full paths.
    pub path: Path,
    /// Its name, if it was given one. IoTDB refuses it where the pattern means several series.
    pub alias: Option<String>,
}

/// Items or series and the paths before them are more than [`COLUMNS_MAX`], or take more than
/// [`COLUMNS_BYTES_MAX`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // there is nothing to say
pub struct TooManyColumns;

impl fmt::Display for TooManyColumns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected at most {COLUMNS_MAX} columns and {COLUMNS_BYTES_MAX} bytes of them, found more"
        )
    }
}

impl core::error::Error for TooManyColumns {}

impl Select {
    /// Every item behind every path, item by item, as IoTDB orders them.
    pub fn columns(&self) -> Result<Vec<Column>, TooManyColumns> {
        let path = |it: &SelectItem| match &it.item {
            Item::Aggregate(_, path) | Item::Series(path) => {
                path.cost_bytes().saturating_add(it.alias.as_ref().map_or(0, String::len))
            }
        };
        check(self.items.iter().map(path), &self.from)?;
        let columns = self.items.iter().flat_map(|it| {
            let (function, path) = match &it.item {
                Item::Aggregate(function, path) => (Some(*function), path),
                Item::Series(path) => (None, path),
            };
            self.from.iter().map(move |prefix| Column {
                function,
                path: prefix.join(path),
                alias: it.alias.clone(),
            })
        });
        Ok(columns.collect())
    }
}

impl SelectLast {
    /// Every path behind every path of `FROM`.
    pub fn paths(&self) -> Result<Vec<Path>, TooManyColumns> {
        check(self.items.iter().map(Path::cost_bytes), &self.from)?;
        let behind = |item| self.from.iter().map(move |prefix: &Path| prefix.join(item));
        Ok(self.items.iter().flat_map(behind).collect())
    }
}

/// Whether things that take so much, each behind each of those paths, are few enough.
pub(crate) fn check(
    costs: impl ExactSizeIterator<Item = usize>,
    prefixes: &[Path],
) -> Result<(), TooManyColumns> {
    let (n_costs, n_prefixes) = (costs.len(), prefixes.len());
    let suffix_bytes = costs.fold(0, usize::saturating_add);
    let prefix_bytes = prefixes.iter().map(Path::cost_bytes).fold(0, usize::saturating_add);
    let bytes = suffix_bytes
        .saturating_mul(n_prefixes)
        .saturating_add(prefix_bytes.saturating_mul(n_costs));
    match n_costs.saturating_mul(n_prefixes) <= COLUMNS_MAX && bytes <= COLUMNS_BYTES_MAX {
        true => Ok(()),
        false => Err(TooManyColumns),
    }
}
