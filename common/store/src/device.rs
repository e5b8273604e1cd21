//! Which device a series belongs to, by one name whatever the layout of the file is.

use core::fmt;

use tidegate_tsfile::DeviceId;
use tidegate_tsfile::Segments;
use tidegate_tsfile::TsFileVersion;

/// The database of a table whose sender names none.
pub(crate) const NO_DATABASE: &str = "unnamed";

/// A device of a store.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(clippy::exhaustive_enums)] // the two models
pub enum Device {
    /// Of the tree model.
    Tree {
        /// Its dotted path.
        path: Box<str>,
    },
    /// Of the table model.
    Table {
        /// Its database.
        database: Box<str>,
        /// The name of the table, then the values of its tags, without nulls at the end.
        segments: Segments,
    },
}

impl Device {
    /// A device of the tree model.
    pub fn tree(path: &str) -> Self {
        Self::Tree { path: path.into() }
    }

    /// A device of the table model: the name of its table, then the values of its tags.
    pub fn table(database: &str, segments: Vec<Option<Box<str>>>) -> Self {
        let mut segments = segments;
        while segments.len() > 1 && segments.last().is_some_and(Option::is_none) {
            segments.pop();
        }
        Self::Table { database: database.into(), segments: Segments(segments.into()) }
    }

    /// What a file names so. The name tells the model, as it does to every reader of a file; the
    /// sender tells the database at most.
    ///
    /// Of the tree model the segments do not count: files of one device may cut its path in different
    /// places.
    pub(crate) fn of_file(id: &DeviceId, database: Option<&str>) -> Self {
        let table = id.segments.as_ref().filter(|segments| {
            let first = segments.0.first().and_then(Option::as_deref);
            !first.is_some_and(is_of_root)
        });
        match table {
            Some(segments) => {
                let database = database.filter(|it| !is_of_root(it)).unwrap_or(NO_DATABASE);
                Self::table(database, segments.0.to_vec())
            }
            None => Self::Tree { path: id.path.clone() },
        }
    }

    /// Its name in a file of this layout.
    pub fn id(&self, version: TsFileVersion) -> DeviceId {
        match self {
            Self::Tree { path } => {
                let segments = (version != TsFileVersion::V3).then(|| Segments::of_path(path));
                DeviceId { path: path.clone(), segments }
            }
            Self::Table { segments, .. } => {
                DeviceId { path: segments.to_string().into(), segments: Some(segments.clone()) }
            }
        }
    }

    /// The database of the table model; `None` in the tree model.
    pub fn database(&self) -> Option<&str> {
        match self {
            Self::Tree { .. } => None,
            Self::Table { database, .. } => Some(database),
        }
    }

    /// The database and the table; `None` in the tree model.
    pub(crate) fn database_and_table(&self) -> Option<(Box<str>, Box<str>)> {
        Some((self.database()?.into(), self.table_name()?.into()))
    }

    /// The table; `None` in the tree model.
    pub fn table_name(&self) -> Option<&str> {
        match self {
            Self::Tree { .. } => None,
            Self::Table { segments, .. } => segments.0.first()?.as_deref(),
        }
    }
}

/// Whether this is how names of the tree model begin: by it readers of a file tell the models apart.
pub(crate) fn is_of_root(path: &str) -> bool {
    path == "root" || path.starts_with("root.")
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tree { path } => f.write_str(path),
            Self::Table { database, segments } => write!(f, "{database}.{segments}"),
        }
    }
}
