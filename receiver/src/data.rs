//! The stores of a receiver as other processes see them: read only, and after the daemon, if it runs,
//! has written what it had in memory.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use tidegate_config::Target;
use tidegate_daemon::control;
use tidegate_daemon::control::AskError;
use tidegate_durable::DirStorage;
use tidegate_model::Precision;
use tidegate_query::Source;
use tidegate_sql::time::TimeContext;
use tidegate_sql::time::UtcOffset;
use tidegate_store::Look;
use tidegate_store::StoreError;

use crate::cli;

/// The daemon may take so long to write what is in memory.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(30);
/// Files may be merged away while a store is looked at; then it is looked at again, so often.
pub(crate) const LOOKS_MAX: usize = 5;

/// Where stores are, and which of them are wanted.
pub(crate) struct Place {
    directory: PathBuf,
    origin: Option<String>,
}

/// What the stores hold.
pub(crate) struct Stores {
    /// By origin.
    looks: Vec<(String, Look)>,
    pub(crate) precision: Precision,
}

impl Place {
    /// Finds the stores of a configuration, and asks the daemon to write what it has in memory.
    pub(crate) fn find(conf: &Path, origin: Option<String>) -> Result<Self, String> {
        let config = cli::load(conf)?.config;
        if config.target != Target::Store {
            return Err(format!(
                "{}: expected receiver_target=store, found {}: only a store can be asked",
                conf.display(),
                config.target.as_str()
            ));
        }
        match control::ask(&config.control_socket, &control::Request::new("flush"), FLUSH_TIME_MAX)
        {
            // what is not in files is in the spool, and comes when the daemon starts
            Ok(_) | Err(AskError::NotRunning { .. }) => (),
            Err(error) => eprintln!(
                "tidegate-receiver: the newest rows may be missing, the daemon did not write them: \
                 {error}"
            ),
        }
        Ok(Self { directory: config.directory(), origin })
    }

    /// The directories of the stores, by origin.
    pub(crate) fn roots(&self) -> Result<Vec<(String, PathBuf)>, String> {
        let names = self.names()?;
        Ok(names.into_iter().map(|name| (name.clone(), self.directory.join(name))).collect())
    }

    fn names(&self) -> Result<Vec<String>, String> {
        let shown =
            |error: &dyn core::fmt::Display| format!("{}: {error}", self.directory.display());
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(|error| shown(&error))? {
            let entry = entry.map_err(|error| shown(&error))?;
            let is_directory = entry.file_type().is_ok_and(|it| it.is_dir());
            if let (true, Ok(name)) = (is_directory, entry.file_name().into_string()) {
                names.push(name);
            }
        }
        names.retain(|name| !name.starts_with('.'));
        names.sort_unstable();
        let known = names.join(", ");
        if let Some(origin) = &self.origin {
            names.retain(|name| name == origin);
        }
        if names.is_empty() {
            let wanted = self.origin.as_deref().unwrap_or("any");
            return Err(shown(&format_args!("no store of origin {wanted}; there are: [{known}]")));
        }
        Ok(names)
    }

    /// Looks at the stores as they are now.
    pub(crate) fn look(&self) -> Result<Stores, String> {
        let shown =
            |error: &dyn core::fmt::Display| format!("{}: {error}", self.directory.display());
        let mut looks = Vec::new();
        for name in self.names()? {
            let failed = |error: StoreError| shown(&format_args!("{name}: {error}"));
            if let Some(look) = look_at(&self.directory.join(&name)).map_err(failed)? {
                looks.push((name, look));
            }
        }
        let precisions = looks.iter().filter_map(|(name, look)| Some((name, look.precision?)));
        let (one, other) = (precisions.clone().next(), precisions.clone());
        if let Some((name, precision)) = one
            && let Some((other, found)) = other.into_iter().find(|(_, it)| *it != precision)
        {
            return Err(format!(
                "the times of origin {name} are in {precision} and those of {other} in {found}: \
                 expected one of them with --origin"
            ));
        }
        let precision = one.map_or(Precision::Ms, |(_, precision)| precision);
        Ok(Stores { looks, precision })
    }
}

fn look_at(directory: &Path) -> Result<Option<Look>, StoreError> {
    let mut found = Look::at(directory);
    for _ in 1..LOOKS_MAX {
        match &found {
            Err(error) if error.is_vanished() => found = Look::at(directory),
            _ => break,
        }
    }
    found
}

impl Stores {
    /// As statements are answered from.
    pub(crate) fn sources(&self) -> Vec<Source<'_, DirStorage>> {
        let looks = self.looks.iter();
        looks.map(|(name, look)| Source { name, snapshot: &look.snapshot }).collect()
    }

    /// Makes numbers of the times that people write.
    pub(crate) fn context(&self, offset: UtcOffset) -> TimeContext {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = match self.precision {
            Precision::Ms => since.as_millis(),
            Precision::Us => since.as_micros(),
            Precision::Ns => since.as_nanos(),
        };
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        TimeContext { precision: self.precision, offset, now }
    }
}
