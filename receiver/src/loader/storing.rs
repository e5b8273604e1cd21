//! Gives every record to the store of its origin.
//!
//! A store says how far the spool may go: rows that it has in memory only are still in the spool, and
//! come again after a crash. So what is read runs ahead of the position.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::io;
use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::time::Duration;
use std::time::Instant;

use tidegate_config::ReceiverConfig;
use tidegate_durable::DirStorage;
use tidegate_durable::Entry;
use tidegate_durable::Record;
use tidegate_durable::Seq;
use tidegate_durable::Storage;
use tidegate_model::Precision;
use tidegate_store::Applied;
use tidegate_store::DirVolume;
use tidegate_store::Look;
use tidegate_store::Options;
use tidegate_store::ReceivedFile;
use tidegate_store::Store;
use tidegate_store::StoreError;
use tidegate_tsfile::ModsKind;

use super::Forgotten;
use super::Loader;
use super::READ_BYTES;
use super::READ_RECORDS;
use super::Touched;
use super::lacking::tell_remade;
use crate::gaps::Gap;
use crate::keeper::KeeperOp;
use crate::keeper::now_ms;
use crate::records;
use crate::records::Contents;
use crate::records::RecordKind;
use crate::state::Opened;
use crate::state::lost_gap;
use crate::target::Target;

use super::again::Again;
use super::lacking::tell_kept;
use super::remembered::Known;
use super::remembered::Remembered;
use super::retention::Retention;
use super::rollback::Unlooked;

/// Stores that are open at once; there may be more origins than descriptors.
const STORES_OPEN_MAX: usize = 128;
/// Rows stay in memory no longer than this.
const FLUSH_AFTER: Duration = Duration::from_secs(60);
/// What the rows of all stores take in memory, together.
const MEMORY_BYTES_MAX: usize = 128 << 20;
/// Stores that are not open and are looked at for age and size at once; the others follow next time.
const STORES_VISITED_MAX: usize = 128;
/// How often age and size of the stores are looked at.
const EXPIRE_EVERY: Duration = Duration::from_secs(600);
/// Questions that wait for memory to be written; the others are told to come again.
pub(super) const WAITING_MAX: usize = 64;
/// While there is something left to merge.
const MERGE_PAUSE: Duration = Duration::from_millis(200);

/// The stores of all origins.
pub(crate) struct Stores {
    pub(super) open: BTreeMap<String, Store<DirVolume>>,
    /// The record to be read next.
    pub(super) next: Seq,
    /// Where reading begins after everything was closed.
    begin: Seq,
    /// Up to here files were given to a directory, before the target was a store.
    given_away: Seq,
    /// Which spool the numbers are of.
    pub(super) spool: [u8; 16],
    /// Since when rows are in memory only.
    in_memory_since: Option<Instant>,
    pub(super) may_merge: bool,
    /// Whether the stores of origins that send nothing were opened, as many as may be open.
    knows_all: bool,
    /// Whether every store was looked at since the start.
    was_looked_at: bool,
    /// The last record of the spool when the daemon started, or before that if stores were not looked at.
    unlooked: Unlooked<DirStorage>,
    /// Origins whose store is known to be of this spool.
    checked: BTreeSet<String>,
    /// What is remembered of the stores, and what of them is read again since it was lost.
    pub(super) remembered: Remembered<DirStorage>,
    pub(super) again: Option<Again>,
    /// Gaps of what is missing in stores that were told since the start.
    pub(super) told: BTreeSet<Gap>,
    retention: Retention,
    started: Instant,
    expired: Option<Instant>,
    /// The last origin that was visited to let its rows expire.
    visited: String,
    /// Whoever wants to know when what is in memory was written.
    waiting: Vec<SyncSender<Result<(), String>>>,
    /// Origins of which what is lost is given up, and whoever wants to know.
    pub(super) forgetting: Vec<(String, SyncSender<Forgotten>)>,
}

impl Stores {
    pub(crate) fn new(
        opened: &Opened<DirStorage>,
        target: &Target,
        config: &ReceiverConfig,
    ) -> Result<Self, String> {
        let given_away = opened.directory.position();
        let begin = opened.points_position.min(given_away);
        let spool = crate::state::spool_of(&opened.cluster_id);
        Ok(Self {
            open: BTreeMap::new(),
            next: begin.next(),
            begin,
            given_away,
            spool,
            in_memory_since: None,
            may_merge: true,
            knows_all: false,
            was_looked_at: false,
            unlooked: Unlooked::open(&opened.memory, opened.reader.durable_seq())?,
            checked: BTreeSet::new(),
            remembered: Remembered::open(&opened.memory, target.id())?,
            again: None,
            told: BTreeSet::new(),
            retention: Retention::new(config.store_keep_ms, config.store_bytes_max),
            started: Instant::now(),
            expired: None,
            visited: String::new(),
            waiting: Vec::new(),
            forgetting: Vec::new(),
        })
    }

    /// Remembers to answer once everything that was read is in files.
    pub(super) fn wait_for_flush(&mut self, reply: SyncSender<Result<(), String>>) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push(reply);
        }
    }

    /// Answers those who wait that the target takes nothing: they need not wait until it does. Nor is
    /// anything given up then that nobody has seen.
    pub(super) fn refuse_waiting(&mut self, error: &io::Error) {
        // who asked may have gone
        for reply in core::mem::take(&mut self.waiting) {
            let _ = reply.try_send(Err(error.to_string()));
        }
        for (_, reply) in core::mem::take(&mut self.forgetting) {
            let _ = reply.try_send(Err(error.to_string()));
        }
    }

    /// How long there may be no news before there is something to do all the same.
    pub(super) fn pause(&self) -> Option<Duration> {
        if self.may_merge {
            return Some(MERGE_PAUSE);
        }
        let left = |since: Instant| FLUSH_AFTER.saturating_sub(since.elapsed());
        Some(self.in_memory_since.map_or(EXPIRE_EVERY, left))
    }

    /// Everything up to here is durable in the stores.
    fn position(&self) -> Seq {
        let read = self.next.get().saturating_sub(1);
        let with_rows = self.open.values().filter(|store| store.has_rows_in_memory());
        let held = with_rows.map(Store::position).min();
        Seq::new(held.map_or(read, |held| held.min(read)))
    }

    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        self.open.values_mut().try_for_each(Store::flush)?;
        self.in_memory_since = None;
        // files that came behind the rows waited for this
        self.may_merge = true;
        Ok(())
    }
}

impl<S: Storage> Loader<S> {
    /// Everything durable in the spool, then what stores do by themselves.
    pub(super) fn store_all(&mut self) -> io::Result<()> {
        self.places.target.check()?;
        self.close_moved()?;
        let known = self.open_known();
        self.finish_again()?;
        let durable = self.reader.durable_seq();
        while let Some(next) = self.stores.as_ref().map(|stores| stores.next)
            && next <= durable
        {
            let entries = self.reader.read(next, READ_BYTES, READ_RECORDS);
            let entries = entries.map_err(io::Error::other)?;
            let mut touched = Touched::default();
            let given = self.give_all(&entries, &mut touched);
            self.let_go(touched)?;
            if given.is_ok() {
                self.finish_again()?;
            }
            if let Err(error) = given {
                return self.make_room(error);
            }
        }
        if let Err(error) = known {
            return self.make_room(error);
        }
        self.answer_flushes()?;
        self.forget_lost()?;
        self.keep_house()
    }

    /// What may go by age or size is the one thing that makes room where an error says that there is
    /// none.
    fn make_room(&mut self, error: io::Error) -> io::Result<()> {
        if error.kind() == io::ErrorKind::StorageFull {
            self.expire_all()?;
        }
        Err(error)
    }

    /// Opens the stores that are there, as many as may be open, and looks once at all others: a spool
    /// that was rolled back must be noticed before it has grown to where it was. So this comes before
    /// any record, and one store that cannot be opened does not keep the rest.
    fn open_known(&mut self) -> io::Result<()> {
        if self.stores.as_ref().is_none_or(|stores| stores.knows_all) {
            return Ok(());
        }
        let mut outcome = Ok(());
        let mut origins = self.stored_origins()?;
        let remembered = self.stores.iter().flat_map(|stores| stores.remembered.origins());
        origins.extend(remembered.cloned());
        for origin in origins {
            let Some(stores) = &self.stores else { return Ok(()) };
            let is_open = stores.open.contains_key(&origin);
            let opened = match stores.open.len() < STORES_OPEN_MAX {
                true if !is_open => self.store(&origin).map(drop),
                false if !is_open && !stores.checked.contains(&origin) => {
                    self.open_store(&origin).map(drop)
                }
                _ => Ok(()),
            };
            outcome = outcome.and(opened);
        }
        if let (Err(_), Some(stores)) = (&outcome, &mut self.stores) {
            let looked = stores.unlooked.looked_at(stores.checked.iter());
            looked.map_err(io::Error::other)?;
        }
        outcome?;
        if let Some(stores) = &mut self.stores {
            if !stores.was_looked_at {
                stores.unlooked.forget().map_err(io::Error::other)?;
                stores.was_looked_at = true;
            }
            stores.knows_all = true;
        }
        Ok(())
    }

    /// The origins that have a store, whether anybody remembers them or not.
    pub(super) fn stored_origins(&self) -> io::Result<BTreeSet<String>> {
        let directory = self.places.target.directory();
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string()
                && Look::is_at(&entry.path())
            {
                found.insert(name);
            }
        }
        Ok(found)
    }

    /// Writes what is in memory if somebody waits for that.
    fn answer_flushes(&mut self) -> io::Result<()> {
        let Some(stores) = &mut self.stores else { return Ok(()) };
        let waiting = core::mem::take(&mut stores.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let flushed = stores.flush().map_err(failed);
        let flushed = flushed.and_then(|()| self.let_go(Touched::default()));
        // they may be what the question needs
        let flushed = flushed.and_then(|()| self.find_back());
        if let Some(stores) =
            self.stores.as_mut().filter(|it| it.again.is_some() && flushed.is_ok())
        {
            // not all is in files that was acknowledged
            stores.waiting.extend(waiting);
            stores.may_merge = true;
            return flushed;
        }
        for reply in waiting {
            // who asked may have gone
            let _ = reply.try_send(flushed.as_ref().map_err(ToString::to_string).copied());
        }
        flushed
    }

    /// Writes what is in memory, so that the next start has nothing to read again.
    pub(super) fn end_stores(&mut self) -> io::Result<()> {
        let Some(stores) = &mut self.stores else { return Ok(()) };
        stores.flush().map_err(failed)?;
        self.let_go(Touched::default())
    }

    /// Forgets what is in memory: it comes again.
    pub(super) fn close_stores(&mut self) {
        let position = self.consumer.position();
        if let Some(stores) = &mut self.stores {
            stores.open.clear();
            stores.again = None;
            stores.in_memory_since = None;
            // Also those that nothing is sent to have rows that expire.
            stores.knows_all = false;
            let again = match stores.begin < stores.given_away {
                true => stores.begin,
                false => position,
            };
            stores.next = again.next();
        }
    }

    fn give_all(&mut self, entries: &[Entry], touched: &mut Touched) -> io::Result<()> {
        for entry in entries {
            match entry {
                Entry::Lost(range) if self.is_again(range.last) => (),
                Entry::Lost(range) => {
                    tracing::error!(%range, "spool damaged");
                    self.keep_unclaimed()?;
                    touched.gaps.push(lost_gap(range));
                }
                Entry::Record(record) => {
                    if !self.give(record, touched)? {
                        return Ok(());
                    }
                }
            }
            self.look_at_target();
            if let Some(stores) = &mut self.stores {
                stores.next = entry.last_seq().next();
                stores.may_merge = true;
            }
        }
        Ok(())
    }

    fn is_again(&self, record: Seq) -> bool {
        self.stores.as_ref().is_some_and(|stores| stores.is_again(record))
    }

    /// Gives a record to the store of its origin; `false` if that needs earlier ones first.
    fn give(&mut self, record: &Record, touched: &mut Touched) -> io::Result<bool> {
        let Some(kind) = RecordKind::of_code(record.kind) else { return Ok(true) };
        if self.stores.as_ref().is_some_and(|it| it.has_had(&record.origin, record.seq)) {
            return Ok(true);
        }
        if matches!(kind, RecordKind::File | RecordKind::Tablet | RecordKind::Delete) {
            self.store(&record.origin)?;
            if self.stores.as_ref().is_some_and(|stores| stores.next < record.seq) {
                return Ok(false);
            }
        }
        self.apply(kind, record, touched)?;
        Ok(true)
    }

    fn apply(
        &mut self,
        kind: RecordKind,
        record: &Record,
        touched: &mut Touched,
    ) -> io::Result<()> {
        let sequence = record.seq.get();
        let gap =
            |item: String, reason: String| Gap { origin: record.origin.clone(), item, reason };
        let contents = match records::decode(kind, &record.payload) {
            Ok(contents) => contents,
            Err(error) => {
                self.keep_unclaimed()?;
                touched.gaps.push(gap(format!("spool record {sequence}"), error.to_string()));
                return Ok(());
            }
        };
        let applied = match kind {
            RecordKind::File => self.give_file(record, &contents, touched)?,
            RecordKind::Tablet | RecordKind::Delete => {
                let request = records::request_of(&record.payload, &contents);
                let store = self.store(&record.origin)?;
                match store.apply_request(sequence, record.arrival_ms, request) {
                    Err(error) if error.is_of_item() => {
                        touched.gaps.push(gap(format!("request {sequence}"), error.to_string()));
                        store.pass(sequence);
                        return Ok(());
                    }
                    applied => applied.map_err(failed)?,
                }
            }
            RecordKind::SchemaSnapshot | RecordKind::ConfigSnapshot => {
                return self.keep_snapshot(&record.origin, sequence, &contents.files, touched);
            }
            RecordKind::SchemaPlan | RecordKind::ConfigPlan => return Ok(()),
        };
        let named = contents.files.last().map(|file| format!("{} of record {sequence}", file.name));
        for what in applied.left_out {
            touched.gaps.push(match &named {
                Some(file) => gap(file.clone(), what),
                None => gap(what, String::from("a store does not keep it")),
            });
        }
        if kind == RecordKind::File && !applied.is_refused {
            for file in &contents.files {
                touched.files = touched.files.saturating_add(1);
                touched.bytes = touched.bytes.saturating_add(file.length_bytes);
            }
        }
        let Some(stores) = &mut self.stores else { return Ok(()) };
        if stores.in_memory_since.is_none() && stores.open.values().any(Store::has_rows_in_memory) {
            stores.in_memory_since = Some(Instant::now());
        }
        let in_memory = stores.open.values().map(Store::memory_bytes);
        match in_memory.fold(0, usize::saturating_add) > MEMORY_BYTES_MAX {
            true => stores.flush().map_err(failed),
            false => Ok(()),
        }
    }

    fn give_file(
        &mut self,
        record: &Record,
        contents: &Contents,
        touched: &mut Touched,
    ) -> io::Result<Applied> {
        let sequence = record.seq.get();
        let staging = self.places.staging.clone();
        let at = |end: &str| contents.files.iter().find(|file| file.name.ends_with(end));
        let Some(ts_file) = at(".tsfile") else { return Ok(Applied::default()) };
        let mods = [ModsKind::Binary, ModsKind::Text].into_iter().find_map(|kind| {
            let file = contents.files.iter().find(|file| file.name.ends_with(kind.suffix()))?;
            Some((kind, staging.join(&file.staged)))
        });
        let path = staging.join(&ts_file.staged);
        let is_given_away =
            self.stores.as_ref().is_some_and(|stores| record.seq <= stores.given_away);
        if self.is_again(record.seq) && !path.try_exists()? {
            return self.miss_file(record);
        }
        if is_given_away && !path.try_exists()? {
            return Ok(Applied::default());
        }
        let file = ReceivedFile {
            ts_file: &path,
            mods: mods.as_ref().map(|(kind, path)| (*kind, path.as_path())),
            database: contents.database(&ts_file.name),
        };
        let store = self.store(&record.origin)?;
        let applied = store.apply_file(sequence, record.arrival_ms, &file).map_err(failed)?;
        if mods.is_some()
            && let Some(stores) = &self.stores
            && let Some(store) = stores.open.get(&record.origin)
        {
            // of its list of deletions
            touched.gaps.extend(self.untold(&record.origin, store));
            self.count_files();
        }
        for file in &contents.files {
            match applied.is_refused {
                true => self.put_away(&file.staged)?,
                false => remove_if_there(&staging.join(&file.staged))?,
            }
        }
        Ok(applied)
    }

    /// Keeps a file that no store takes, where somebody may look at it.
    fn put_away(&self, staged: &str) -> io::Result<()> {
        self.keep_unclaimed()?;
        let from = self.places.staging.join(staged);
        match fs::rename(from, self.places.unclaimed.join(staged)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }

    /// The store of an origin, open.
    pub(super) fn store(&mut self, origin: &str) -> io::Result<&mut Store<DirVolume>> {
        let Some(stores) = &self.stores else { return Err(io::Error::other("no stores")) };
        if !stores.open.contains_key(origin) {
            if stores.open.len() >= STORES_OPEN_MAX {
                self.end_stores()?;
                if let Some(stores) = &mut self.stores {
                    stores.open.clear();
                }
            }
            let opened = self.open_store(origin)?;
            if let Some(stores) = &mut self.stores {
                stores.open.insert(origin.to_owned(), opened);
            }
        }
        let store = self.stores.as_mut().and_then(|stores| stores.open.get_mut(origin));
        store.ok_or_else(|| io::Error::other("no stores"))
    }

    fn open_store(&mut self, origin: &str) -> io::Result<Store<DirVolume>> {
        let directory = self.places.target.origin(origin)?;
        let salt = RandomState::new().hash_one(()) as u32;
        let mut store =
            Store::open(DirVolume::new(directory), Options::default(), salt).map_err(failed)?;
        if let Some(rebuilt) = store.rebuilt() {
            tracing::error!(origin, %rebuilt, "catalog of the store made anew");
        }
        tell_remade(origin, &mut store);
        tell_kept(origin, &store);
        self.tell_found(origin, store.found());
        self.compare(origin, &mut store)?;
        self.tell(origin, &store)?;
        if store.n_taken_in() > 0 {
            let n_files = store.n_taken_in();
            tracing::warn!(
                origin,
                n_files,
                "files taken in that the catalog of the store did not name, since its last record was torn"
            );
        }
        let Some(stores) = &mut self.stores else { return Err(io::Error::other("no stores")) };
        let last = stores.unlooked.last_of(origin).get();
        let known = store.last_known();
        if !stores.checked.contains(origin) && known > last {
            // the state was restored from a copy, or made anew under the old id
            tracing::warn!(origin, known, last, "the spool begins anew");
            store.cut_spool(stores.spool, last).map_err(failed)?;
            stores.remember_one(origin, Known::of(&store))?;
        }
        stores.checked.insert(origin.to_owned());
        if store.precision().is_none()
            && let Some(precision) = self.precision_of(origin)
        {
            store.set_precision(precision).map_err(failed)?;
        }
        Ok(store)
    }

    /// The unit of an origin's times, which its handshakes have said.
    fn precision_of(&self, origin: &str) -> Option<Precision> {
        let (reply, report) = sync_channel(1);
        let _ = self.keeper.send(KeeperOp::Ask(reply));
        let report = report.recv().ok()?;
        let found = report.origins.into_iter().find(|it| it.origin == origin)?;
        Precision::parse(&found.precision)
    }

    /// Flushes what has waited for long, merges and expires.
    fn keep_house(&mut self) -> io::Result<()> {
        let Some(stores) = &mut self.stores else { return Ok(()) };
        if stores.in_memory_since.is_some_and(|since| since.elapsed() >= FLUSH_AFTER) {
            stores.flush().map_err(failed)?;
            return self.let_go(Touched::default());
        }
        if stores.may_merge {
            stores.may_merge = false;
            let mut merging = Vec::new();
            for (origin, store) in &mut stores.open {
                // A merge takes far more room than deletions: it does not keep them from being written.
                let merged = store.merge_once();
                let written = match &merged {
                    Err(error) if !error.is_full() => Ok(false),
                    _ => store.write_mods(),
                };
                if let Ok(true) = &merged {
                    merging.push(origin.clone());
                }
                tell_remade(origin, store);
                for done in [merged, written] {
                    match done {
                        Ok(has_more) => stores.may_merge |= has_more,
                        // Small files are no harm, and what expires makes room.
                        Err(error) if error.is_full() => {
                            tracing::warn!(origin, %error, "no room to merge files of the store, or to write deletions beside them");
                        }
                        Err(error) => return Err(failed(error)),
                    }
                }
            }
            self.tell_of(&merging)?;
        }
        let Some(stores) = &self.stores else { return Ok(()) };
        match stores.expired.is_none_or(|at| at.elapsed() >= EXPIRE_EVERY) {
            true => {
                self.find_lost()?;
                self.open_remembered()?;
                self.expire_all()
            }
            false => Ok(()),
        }
    }

    /// Lets go what is too old, or too much, in stores that are open, and in some of the others.
    ///
    /// One that fails does not keep the rest: on a full disk any of them may make room.
    fn expire_all(&mut self) -> io::Result<()> {
        let Some(stores) = &mut self.stores else { return Ok(()) };
        stores.expired = Some(Instant::now());
        if !stores.retention.is_on() {
            return Ok(());
        }
        let now = stores.retention.look(now_ms(), stores.started.elapsed());
        let mut outcome = Ok(());
        for (origin, store) in &mut stores.open {
            let expired = stores.retention.apply(origin, store, now).map_err(failed);
            outcome = outcome.and(expired);
        }
        let mut closed = self.stored_origins()?;
        let Some(stores) = &mut self.stores else { return Ok(()) };
        closed.retain(|origin| !stores.open.contains_key(origin));
        let visited = rotation(&closed, &mut stores.visited, STORES_VISITED_MAX);
        for origin in visited {
            let opened = self.open_store(&origin);
            let expired = opened.and_then(|mut store| match &mut self.stores {
                Some(stores) => stores.retention.apply(&origin, &mut store, now).map_err(failed),
                None => Ok(()),
            });
            outcome = outcome.and(expired);
        }
        outcome
    }

    /// Tells everybody how far the spool may go.
    fn let_go(&mut self, touched: Touched) -> io::Result<()> {
        // what was written into a catalog that nobody will find is not there
        self.close_moved()?;
        let Some(stores) = &self.stores else { return Ok(()) };
        let (position, read) = (stores.position(), stores.next.get().saturating_sub(1));
        let (is_again, given_away) = (stores.again.is_some(), stores.given_away);
        self.places.target.check()?;
        self.report_lost(touched.gaps)?;
        if let Some(stores) = &mut self.stores {
            stores.remember()?;
        }
        if position > self.consumer.position() {
            self.consumer.advance(position).map_err(io::Error::other)?;
            self.consumer.sync().map_err(|error| match error.is_fatal() {
                true => io::Error::other(error),
                false => io::Error::new(io::ErrorKind::StorageFull, error),
            })?;
        }
        if position >= given_away
            && let Some(stores) = &mut self.stores
        {
            stores.begin = stores.begin.max(position);
        }
        if !is_again {
            // else what is still to be read again could go
            let _ = self.keeper.send(KeeperOp::Applied(position.get()));
        }
        self.note(|report| {
            report.files = report.files.saturating_add(touched.files);
            report.bytes = report.bytes.saturating_add(touched.bytes);
            (report.position, report.read) = (position.get(), read);
            report.is_target_away = false;
            report.last_error = None;
        });
        Ok(())
    }
}

/// The next names of a round, which goes on behind the last one that was had.
fn rotation(all: &BTreeSet<String>, last: &mut String, most: usize) -> Vec<String> {
    let behind = all.iter().filter(|name| *name > &*last);
    let before = all.iter().filter(|name| *name <= &*last);
    let found: Vec<String> = behind.chain(before).take(most).cloned().collect();
    if let Some(name) = found.last() {
        last.clone_from(name);
    }
    found
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// As an error of the target: one that may pass keeps its kind.
pub(super) fn failed(error: StoreError) -> io::Error {
    let kind = match &error {
        StoreError::Io { source, .. } => source.kind(),
        _ if error.is_full() => io::ErrorKind::StorageFull,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_origin_has_its_turn_and_none_has_two_before_the_others() {
        let all: BTreeSet<String> = ["a", "b", "c", "d", "e"].map(String::from).into();
        let mut last = String::new();
        let mut turns = Vec::new();
        for _ in 0..5 {
            turns.extend(rotation(&all, &mut last, 3));
        }
        let expected: Vec<&str> = "abcdeabcdeabcde".split("").filter(|it| !it.is_empty()).collect();
        assert_eq!(turns, expected);
        assert_eq!(rotation(&all, &mut last, 9).len(), 5);
    }
}
