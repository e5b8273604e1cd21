//! What the items of a query and the paths behind `FROM` mean together.

use core::fmt;

use crate::COLUMNS_MAX;
use crate::Function;
use crate::Item;
use crate::Path;
use crate::Select;
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

/// The items and the paths make more columns than [`COLUMNS_MAX`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // there is nothing to say
pub struct TooManyColumns;

impl fmt::Display for TooManyColumns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected at most {COLUMNS_MAX} columns, found more")
    }
}

impl core::error::Error for TooManyColumns {}

impl Select {
    /// Every item behind every path, item by item, as IoTDB orders them.
    pub fn columns(&self) -> Result<Vec<Column>, TooManyColumns> {
        check(self.items.len(), self.from.len())?;
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
        check(self.items.len(), self.from.len())?;
        let behind = |item| self.from.iter().map(move |prefix: &Path| prefix.join(item));
        Ok(self.items.iter().flat_map(behind).collect())
    }
}

fn check(n_items: usize, n_prefixes: usize) -> Result<(), TooManyColumns> {
    match n_items.saturating_mul(n_prefixes) <= COLUMNS_MAX {
        true => Ok(()),
        false => Err(TooManyColumns),
    }
}
