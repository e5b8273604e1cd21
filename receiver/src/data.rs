//! The stores of a receiver as other processes see them: read only, and after the daemon, if it runs,
//! has written what it had in memory.
//!
//! A running daemon merges small files, and removes those that it has merged. Whoever looks opens the
//! files first and holds them, so that they can be read to the end. Where they are too many for that,
//! what was begun is done again from the beginning.

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use tidegate_config::Target as TargetKind;
use tidegate_daemon::control;
use tidegate_daemon::control::AskError;
use tidegate_durable::DirStorage;
use tidegate_model::Precision;
use tidegate_query::QueryError;
use tidegate_query::Source;
use tidegate_query::text::named;
use tidegate_sql::time::TimeContext;
use tidegate_sql::time::UtcOffset;
use tidegate_store::Held;
use tidegate_store::LeftOut;
use tidegate_store::Look;
use tidegate_store::OnDamage;
use tidegate_store::Pattern;
use tidegate_store::Scan;
use tidegate_store::StoreError;

use crate::cli;
use crate::state::Layout;
use crate::target::Target;
use crate::waiting::Waiting;

/// The daemon may take so long to write what is in memory.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(30);
/// Files may be merged away while a store is looked at; then it is looked at again, so often.
const LOOKS_MAX: usize = 5;
/// Files that are held open: half of the descriptors that a process has where nobody raised it.
const FILES_HELD_MAX: usize = 512;

/// What is said where a file is the reason.
const DAMAGE_HINT: &str = "tidegate-receiver verify names all that is lost or damaged, and \
                           --skip-damaged answers without it";

/// Where stores are, and which of them are wanted.
pub(crate) struct Place {
    directory: PathBuf,
    /// Where the state of the receiver of these stores is.
    state_dir: PathBuf,
    origin: Option<String>,
    n_files_held_max: usize,
    on_damage: OnDamage,
    is_incomplete: Cell<bool>,
    /// What there is to be told of rows that are not in the files, once.
    untold: Cell<Option<Unwritten>>,
}

/// Why rows may be missing in the files.
enum Unwritten {
    /// The daemon did not write what it had in memory.
    Failed(String),
    /// No daemon runs.
    NotRunning,
}

/// What the stores hold.
pub(crate) struct Stores {
    /// By origin.
    looks: Vec<(String, Look)>,
    _held: Vec<Held<DirStorage>>,
}

/// How something ended that was tried with stores as they were.
pub(crate) enum Tried<E> {
    /// A file was removed meanwhile: it had better be tried again.
    Vanished(E),
    /// It cannot be done.
    Failed(E),
}

/// An error with what can be done.
fn told(error: &StoreError) -> String {
    match error.is_of_damage() {
        true => format!("{error}: {DAMAGE_HINT}"),
        false => error.to_string(),
    }
}

impl<E: From<String>> From<StoreError> for Tried<E> {
    fn from(error: StoreError) -> Self {
        match error.is_vanished() {
            true => Self::Vanished(error.to_string().into()),
            false => Self::Failed(told(&error).into()),
        }
    }
}

impl<E: From<String>> From<QueryError> for Tried<E> {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Store(error) => error.into(),
            error => Self::Failed(error.to_string().into()),
        }
    }
}

impl<E: From<String>> From<String> for Tried<E> {
    fn from(error: String) -> Self {
        Self::Failed(error.into())
    }
}

impl Place {
    /// Finds the stores of a configuration, and asks the daemon to write what it has in memory.
    pub(crate) fn find(conf: &Path, origin: Option<String>) -> Result<Self, String> {
        let config = cli::load(conf)?.config;
        if config.target != TargetKind::Store {
            return Err(format!(
                "{}: expected receiver_target=store, found {}: only a store can be asked",
                conf.display(),
                config.target.as_str()
            ));
        }
        let flush = control::Request::new("flush");
        let untold = match control::ask(&config.control_socket, &flush, FLUSH_TIME_MAX) {
            Ok(_) => None,
            Err(AskError::NotRunning { .. }) => Some(Unwritten::NotRunning),
            Err(error) => Some(Unwritten::Failed(error.to_string())),
        };
        Ok(Self {
            directory: config.directory(),
            state_dir: config.state_dir,
            origin,
            n_files_held_max: FILES_HELD_MAX,
            on_damage: OnDamage::Fail,
            is_incomplete: Cell::new(false),
            untold: Cell::new(untold),
        })
    }

    /// Leaves out what is damaged, if that is wanted.
    pub(crate) fn skipping(self, is_wanted: bool) -> Self {
        let on_damage = if is_wanted { OnDamage::LeaveOut } else { OnDamage::Fail };
        Self { on_damage, ..self }
    }

    /// Whether something was left out of an answer, which was told.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.is_incomplete.get()
    }

    /// Does something with the stores as they are, and does it again if files vanish meanwhile.
    pub(crate) fn with_stores<T, E: From<String>>(
        &self,
        mut act: impl FnMut(&Stores) -> Result<T, Tried<E>>,
    ) -> Result<T, E> {
        let mut n_looks = 0usize;
        loop {
            n_looks = n_looks.saturating_add(1);
            let looked = self.look();
            // also where there is no store yet, since all that came is in the spool
            self.tell_waiting(looked.as_ref().map_or(&[], |stores| &stores.looks));
            let stores = looked?;
            let error = match act(&stores) {
                Ok(done) => {
                    self.tell_left_out(&stores);
                    return Ok(done);
                }
                Err(Tried::Failed(error)) => return Err(error),
                Err(Tried::Vanished(error)) => error,
            };
            if n_looks >= LOOKS_MAX {
                return Err(error);
            }
        }
    }

    /// Says once what waits in the spool, and is in no answer; nothing where nothing does.
    fn tell_waiting(&self, looks: &[(String, Look)]) {
        let Some(why) = self.untold.take() else { return };
        let found = Waiting::find(&self.state_dir, self.origin.as_deref(), looks);
        let told = match (found, why) {
            (Ok(None), _) => return,
            (Ok(Some(waiting)), Unwritten::NotRunning) => {
                waiting.told("; start tidegate-receiver, which takes in what waits")
            }
            (Ok(Some(waiting)), Unwritten::Failed(error)) => {
                waiting.told(&format!("; the daemon takes nothing in: {error}"))
            }
            (Err(error), Unwritten::NotRunning) => {
                format!("cannot tell whether records wait in the spool: {error}")
            }
            (Err(_), Unwritten::Failed(error)) => {
                format!("the newest rows may be missing, the daemon did not write them: {error}")
            }
        };
        eprintln!("tidegate-receiver: {told}");
    }

    /// Why there are no stores: the target is not mounted, or nothing has ever run.
    fn without_stores(&self, otherwise: &str) -> String {
        let memory = Layout::of(&self.state_dir).memory;
        let known = Target::known(&memory, &self.directory).ok().flatten();
        match known.map(|target| target.check()) {
            Some(Err(error)) => error.to_string(),
            _ => format!("{}: {otherwise}", self.directory.display()),
        }
    }

    fn tell_left_out(&self, stores: &Stores) {
        for (origin, look) in &stores.looks {
            for LeftOut { file, what, n_times, .. } in look.snapshot.left_out() {
                self.is_incomplete.set(true);
                let places = if n_times == 1 { "in one place" } else { "in several places" };
                eprintln!(
                    "tidegate-receiver: {origin}: {file}: left out {places}, rows are missing or older \
                     than they should be: {what}"
                );
            }
        }
    }

    /// The directories of the stores, by origin.
    pub(crate) fn roots(&self) -> Result<Vec<(String, PathBuf)>, String> {
        let names = self.names()?;
        Ok(names.into_iter().map(|name| (name.clone(), self.directory.join(name))).collect())
    }

    fn names(&self) -> Result<Vec<String>, String> {
        let shown =
            |error: &dyn core::fmt::Display| format!("{}: {error}", self.directory.display());
        let entries = fs::read_dir(&self.directory).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => self.without_stores(NO_STORES),
            _ => shown(&error),
        })?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| shown(&error))?;
            let is_directory = entry.file_type().is_ok_and(|it| it.is_dir());
            if let (true, Ok(name)) = (is_directory, entry.file_name().into_string()) {
                names.push(name);
            }
        }
        names.retain(|name| !name.starts_with('.'));
        names.sort_unstable();
        match &self.origin {
            None if names.is_empty() => Err(self.without_stores(NO_STORE_YET)),
            Some(origin) if !names.contains(origin) => Err(self.without_stores(&format!(
                "expected a store of origin {origin}, found those of {}",
                named(names.iter().map(String::as_str))
            ))),
            Some(origin) => Ok(vec![origin.clone()]),
            None => Ok(names),
        }
    }

    /// Looks at the stores as they are now.
    fn look(&self) -> Result<Stores, String> {
        let shown =
            |error: &dyn core::fmt::Display| format!("{}: {error}", self.directory.display());
        let (mut looks, mut all_held, mut left) = (Vec::new(), Vec::new(), self.n_files_held_max);
        for name in self.names()? {
            let failed = |error: StoreError| shown(&format_args!("{name}: {}", told(&error)));
            let root = self.directory.join(&name);
            match look_at(&root, left, self.on_damage).map_err(failed)? {
                Some((look, held)) => {
                    left = left.saturating_sub(held.n_files());
                    looks.push((name, look));
                    all_held.push(held);
                }
                // else an origin of which nothing has come yet
                None if Look::is_at(&root) => {
                    return Err(shown(&format_args!("{name}: {NO_CATALOG}")));
                }
                None => (),
            }
        }
        Ok(Stores { looks, _held: all_held })
    }
}

/// What is said where nothing has ever run.
const NO_STORES: &str = "expected the directory of the stores, found none: tidegate-receiver run makes \
                         it, and the store of an origin once something has come from it";

/// What is said where a receiver has written nothing.
const NO_STORE_YET: &str = "expected the store of an origin, found none: nothing was written yet";

/// What is said of a store whose catalog is gone.
pub(crate) const NO_CATALOG: &str =
    "expected a catalog beside the files, found none; tidegate-receiver run makes it anew";

/// A look at a store, and as many of its files open as there may be.
type Looked = (Look, Held<DirStorage>);

fn look_at(
    directory: &Path,
    n_files_max: usize,
    on_damage: OnDamage,
) -> Result<Option<Looked>, StoreError> {
    let once = || -> Result<Option<Looked>, StoreError> {
        let Some(look) = Look::at_with(directory, on_damage)? else { return Ok(None) };
        let held = look.snapshot.hold(n_files_max)?;
        Ok(Some((look, held)))
    };
    let mut found = once();
    for _ in 1..LOOKS_MAX {
        match &found {
            Err(error) if error.is_vanished() => found = once(),
            _ => break,
        }
    }
    found
}

impl Stores {
    /// All of them, for what looks at no time.
    pub(crate) fn all(&self) -> View<'_> {
        View { looks: self.looks.iter().collect(), precision: precision_of(self.looks.iter()) }
    }

    /// Those that an answer about these series is of. Where the origins have times of different units,
    /// these are the ones that have such series.
    ///
    /// # Errors
    ///
    /// The answer would mix times of different units.
    pub(crate) fn of(&self, patterns: &[Pattern]) -> Result<View<'_>, String> {
        if !is_mixed(self.looks.iter()) {
            return Ok(self.all());
        }
        let looks: Vec<&(String, Look)> =
            self.looks.iter().filter(|(_, look)| has_series(look, patterns)).collect();
        if is_mixed(looks.iter().copied()) {
            let unit = |it: &&(String, Look)| Some(format!("{} {}", it.0, it.1.precision?));
            let units: Vec<String> = looks.iter().filter_map(unit).collect();
            return Err(format!(
                "the origins have times of different units ({}): expected one of them with --origin",
                named(units.iter().map(String::as_str))
            ));
        }
        match looks.is_empty() {
            true => Ok(self.all()),
            false => Ok(View { precision: precision_of(looks.iter().copied()), looks }),
        }
    }

    /// The units of the times, the one that is met first before others; one at least.
    pub(crate) fn units(&self) -> Vec<Precision> {
        let mut units = vec![precision_of(self.looks.iter())];
        for unit in self.looks.iter().filter_map(|(_, look)| look.precision) {
            if !units.contains(&unit) {
                units.push(unit);
            }
        }
        units
    }
}

/// The stores that an answer is of.
pub(crate) struct View<'s> {
    /// By origin.
    pub(crate) looks: Vec<&'s (String, Look)>,
    /// The unit of the times.
    pub(crate) precision: Precision,
}

impl View<'_> {
    /// As statements are answered from.
    pub(crate) fn sources(&self) -> Vec<Source<'_, DirStorage>> {
        let looks = self.looks.iter();
        looks.map(|(name, look)| Source { name, snapshot: &look.snapshot }).collect()
    }
}

/// Makes numbers of the times that people write.
pub(crate) fn context(precision: Precision, offset: UtcOffset) -> TimeContext {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = match precision {
        Precision::Ms => since.as_millis(),
        Precision::Us => since.as_micros(),
        Precision::Ns => since.as_nanos(),
    };
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    TimeContext { precision, offset, now }
}

fn is_mixed<'l>(looks: impl Iterator<Item = &'l (String, Look)>) -> bool {
    let mut units = looks.filter_map(|(_, look)| look.precision);
    let first = units.next();
    units.any(|it| Some(it) != first)
}

/// The unit of the first origin that has one.
fn precision_of<'l>(mut looks: impl Iterator<Item = &'l (String, Look)>) -> Precision {
    looks.find_map(|(_, look)| look.precision).unwrap_or(Precision::Ms)
}

/// Whether a store has such series, or may have some that nobody can read; no rows of them are needed for
/// that.
pub(crate) fn has_series(look: &Look, patterns: &[Pattern]) -> bool {
    let scan = Scan { patterns: patterns.to_vec(), measurements: None, times: i64::MIN..=i64::MAX };
    #[allow(clippy::reversed_empty_ranges)] // no time
    let none = i64::MAX..=i64::MIN;
    look.snapshot.devices(&scan.patterns).iter().any(|device| {
        // in tables a row may have tags alone
        let is_of_table = device.database().is_some();
        let found = look.snapshot.device_between(device, &scan, &none);
        found.map_or(true, |it| is_of_table || !it.columns().is_empty() || !it.unread().is_empty())
    })
}

#[cfg(test)]
mod tests {
    use tidegate_model::Category;
    use tidegate_model::Column;
    use tidegate_model::DataType;
    use tidegate_model::Tablet;
    use tidegate_model::Value;
    use tidegate_store::DirVolume;
    use tidegate_store::Options;
    use tidegate_store::Store;
    use tidegate_tsfile::Batch;
    use tidegate_wire::RequestType;
    use tidegate_wire::request::PayloadHead;
    use tidegate_wire::request::TabletForm;
    use tidegate_wire::request::encode_tablet;

    use super::*;

    fn request(number: i64) -> Vec<u8> {
        let column = Column {
            name: "s".to_owned(),
            data_type: DataType::Int64,
            encoding: 0,
            compressor: 0,
            category: Category::Field,
            values: vec![Some(Value::Int64(number))],
        };
        let tablet = Tablet {
            device: format!("root.p.d{}", number % 3),
            times: vec![number],
            columns: vec![column],
            ..Tablet::default()
        };
        let mut out = Vec::new();
        let mut writer = tidegate_codec::Writer::new(&mut out);
        PayloadHead { request_type: RequestType::TransferTabletRaw }.encode(&mut writer);
        encode_tablet(&tablet, TabletForm::Categories, &mut writer);
        out
    }

    fn place(directory: &Path, n_files_held_max: usize) -> Place {
        Place {
            directory: directory.to_owned(),
            state_dir: directory.join("state"),
            origin: None,
            n_files_held_max,
            on_damage: OnDamage::Fail,
            is_incomplete: Cell::new(false),
            untold: Cell::new(None),
        }
    }

    /// Reads everything, and merges the files behind the first device.
    fn read(stores: &Stores, store: &mut Store<DirVolume>) -> Result<u64, Tried<String>> {
        let patterns = vec![Pattern::Tree("root.**".into())];
        let scan = Scan { patterns, measurements: None, times: i64::MIN..=i64::MAX };
        let mut n_rows = 0;
        for source in stores.all().sources() {
            for device in source.snapshot.devices(&scan.patterns) {
                let opened = source.snapshot.device(&device, &scan)?;
                let (mut rows, mut batch) = (opened.rows()?, Batch::default());
                while opened.next_into(&mut rows, &mut batch)? {
                    n_rows += batch.len() as u64;
                }
                while store.merge_once().unwrap() {}
            }
        }
        Ok(n_rows)
    }

    /// A daemon merged files between two devices of an export: it failed.
    #[test]
    fn files_that_are_merged_meanwhile_are_read_on_or_everything_is_read_again() {
        for (n_files_held_max, n_reads_expected) in [(FILES_HELD_MAX, 1), (3, 2), (0, 2)] {
            let directory = tempfile::tempdir().unwrap();
            let volume = DirVolume::new(directory.path().join("plant"));
            let mut store = Store::open(volume, Options::default(), 1).unwrap();
            for number in 1..=9 {
                let _ = store.apply_request(number, 1, &request(number as i64)).unwrap();
                store.flush().unwrap();
            }
            let place = place(directory.path(), n_files_held_max);
            let mut n_reads = 0;
            let found: Result<u64, String> = place.with_stores(|stores| {
                n_reads += 1;
                read(stores, &mut store)
            });
            assert_eq!((found, n_reads), (Ok(9), n_reads_expected), "{n_files_held_max} held");
            assert_eq!(store.layers().count(), 1);
        }
    }

    #[test]
    fn what_vanishes_again_and_again_is_an_error_in_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let volume = DirVolume::new(directory.path().join("plant"));
        drop(Store::open(volume, Options::default(), 1).unwrap());
        let place = place(directory.path(), 0);
        let mut n_tried = 0;
        let found: Result<(), String> = place.with_stores(|_| {
            n_tried += 1;
            Err(Tried::Vanished(String::from("gone")))
        });
        assert_eq!((found, n_tried), (Err(String::from("gone")), LOOKS_MAX));
    }
}
