//! Takes accepted files out of the spool and puts them into the target directory.
//!
//! One record after the other, in order of arrival; what an interrupted run has done already is
//! recognised and not done twice. The position moves only after files and manifest are durable.
//! Rows, deletions and plans are passed over: they stay in the spool for a later consumer. Where the
//! target is a store, `loader/storing.rs` gives it everything instead.

mod again;
mod lacking;
mod remembered;
mod retention;
mod rollback;
mod storing;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::Sender;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::time::Duration;
use std::time::Instant;

use tidegate_durable::Consumer;
use tidegate_durable::DirStorage;
use tidegate_durable::Entry;
use tidegate_durable::Record;
use tidegate_durable::Seq;
use tidegate_durable::SpoolReader;
use tidegate_durable::Storage;

use crate::disk;
use crate::disk::DiskGuard;
use crate::keeper::KeeperOp;
use crate::manifest::Line;
use crate::manifest::Manifest;
use crate::manifest::PlacedManifest;
use crate::placement;
use crate::records;
use crate::records::RecordKind;
use crate::records::StagedFile;
use crate::sealer::sync_directory;
use crate::state::lost_gap;
use crate::status::LoaderReport;
use crate::target::Target;
use crate::writer;
use crate::writer::named;

pub(crate) use storing::Stores;

/// Manifests that are open at once; there may be more origins than descriptors. A batch ends where
/// one more would be needed.
pub(crate) const MANIFESTS_OPEN_MAX: usize = 128;

/// What is read from the spool, and made durable together.
const READ_BYTES: usize = 8 << 20;
const READ_RECORDS: usize = 256;
/// A batch ends once it has placed so many bytes: copies are known soon after they are made.
const BATCH_BYTES: u64 = 256 << 20;

/// Pause before another try while the target is away or full; doubled up to the longest while full.
const ROOM_POLL: Duration = Duration::from_secs(1);
const ROOM_POLL_MAX: Duration = Duration::from_secs(16);

/// How often the target is asked for its free space while there is no news: nobody else asks it, and
/// below the floor no news comes.
const TARGET_POLL: Duration = Duration::from_secs(1);

/// After the first news the loader waits this long, so that small files share their syncs and
/// leave the disk to those that arrive.
const BATCH_PAUSE: Duration = Duration::from_millis(100);

/// The files that were given up, or why none was.
pub(crate) type Forgotten = Result<Vec<String>, String>;

/// What the keeper tells the loader.
pub(crate) enum LoaderOp {
    /// Write what stores have in memory, and say so: somebody wants to read their files.
    Flush(SyncSender<Result<(), String>>),
    /// Give up what is lost of the store of an origin, and say which files that were.
    ForgetLost(String, SyncSender<Forgotten>),
    /// There is something new.
    Look,
    /// The daemon ends.
    Stop,
}

/// Where the loader works.
pub(crate) struct LoaderPlaces {
    pub(crate) staging: PathBuf,
    pub(crate) snapshots: PathBuf,
    /// Files that may belong to records which can no longer be read.
    pub(crate) unclaimed: PathBuf,
    pub(crate) target: Target,
    /// Files of this run begin with this, those of others are judged by the spool.
    pub(crate) run: String,
}

/// The thread's state.
pub(crate) struct Loader<S: Storage> {
    pub(crate) ops: Receiver<LoaderOp>,
    pub(crate) keeper: Sender<KeeperOp>,
    pub(crate) consumer: Consumer<S>,
    pub(crate) reader: SpoolReader<S>,
    pub(crate) places: LoaderPlaces,
    pub(crate) guard: Arc<DiskGuard>,
    pub(crate) report: Arc<Mutex<LoaderReport>>,
    pub(crate) manifests: BTreeMap<String, PlacedManifest>,
    /// Fewer than [`MANIFESTS_OPEN_MAX`] after descriptors have run out.
    pub(crate) manifests_max: usize,
    /// Where the target is stores and no files.
    pub(crate) stores: Option<Stores>,
}

/// What the records of one batch have touched.
#[derive(Default)]
struct Touched {
    /// The last record that is done.
    last: Option<Seq>,
    directories: BTreeSet<PathBuf>,
    lines: BTreeMap<String, Vec<Line>>,
    gaps: Vec<crate::gaps::Gap>,
    files: u64,
    bytes: u64,
}

impl Touched {
    /// All files of a record are in their places.
    fn placed(&mut self, origin: &str, lines: Vec<Line>) {
        if lines.is_empty() {
            return;
        }
        for line in &lines {
            self.files = self.files.saturating_add(1);
            self.bytes = self.bytes.saturating_add(line.length_bytes);
        }
        self.lines.entry(origin.to_owned()).or_default().extend(lines);
    }

    /// A file is neither staged nor in its place.
    fn lost(&mut self, origin: &str, sequence: u64, file: &StagedFile) {
        tracing::error!(origin, sequence, file = %file.name, "staged file is missing");
        let (origin, item) = (origin.to_owned(), format!("{} of record {sequence}", file.name));
        let reason = String::from("its staged file is missing");
        self.gaps.push(crate::gaps::Gap { origin, item, reason });
    }
}

impl<S: Storage> Loader<S> {
    /// Runs until it is told to stop or a disk fails.
    pub(crate) fn run(mut self) -> io::Result<()> {
        self.look_at_target();
        self.remove_orphans()?;
        let mut stalled: Option<String> = None;
        let mut pause = ROOM_POLL;
        loop {
            let loaded = match self.stores.is_some() {
                true => self.store_all(),
                false => self.load_all(),
            };
            match loaded {
                Ok(()) => {
                    if stalled.take().is_some() {
                        tracing::info!("target goes on, every file that waited is in its place");
                        self.note(|report| {
                            report.last_error = None;
                            report.is_target_away = false;
                        });
                    }
                    self.manifests_max = MANIFESTS_OPEN_MAX;
                }
                Err(error) if disk::may_pass(&error) => {
                    let reason = error.to_string();
                    if stalled.as_ref() != Some(&reason) {
                        tracing::warn!(%error, "target stalled, files wait in the state directory");
                    }
                    pause = next_pause(stalled.as_ref().map(|_| pause), &error);
                    stalled = Some(reason);
                    // what was open may be gone; what was written is found again
                    self.manifests.clear();
                    self.close_stores();
                    if let Some(stores) = &mut self.stores {
                        stores.refuse_waiting(&error);
                    }
                    if disk::is_full(&error) {
                        // it may be descriptors that are full
                        self.manifests_max = (self.manifests_max / 2).max(1);
                    }
                    let is_target_away = self.places.target.check().is_err();
                    self.note(|report| {
                        report.is_target_away = is_target_away;
                        report.last_error = Some(error.to_string());
                    });
                }
                Err(error) => return Err(error),
            }
            let pause = stalled.as_ref().map(|_| pause);
            let until = pause.or_else(|| self.stores.as_ref()?.pause());
            if self.is_stopped(until) {
                return match pause {
                    None => self.end_stores(),
                    Some(_) => Ok(()),
                };
            }
        }
    }

    /// Waits for news, and then a moment for more of them; `true` when the daemon ends.
    fn is_stopped(&mut self, pause: Option<Duration>) -> bool {
        let again = pause.map(|pause| Instant::now() + pause);
        let mut op = loop {
            self.look_at_target();
            let left = again.map(|again| again.saturating_duration_since(Instant::now()));
            match self.ops.recv_timeout(left.unwrap_or(TARGET_POLL).min(TARGET_POLL)) {
                Err(RecvTimeoutError::Timeout) if again.is_none_or(|it| it > Instant::now()) => {}
                op => break op,
            }
        };
        let until = Instant::now() + BATCH_PAUSE;
        loop {
            match op {
                Ok(LoaderOp::Stop) | Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
                Ok(LoaderOp::Flush(reply)) => {
                    // without stores the reply is dropped, which says so, too
                    if let Some(stores) = &mut self.stores {
                        stores.wait_for_flush(reply);
                    }
                }
                Ok(LoaderOp::ForgetLost(origin, reply)) => {
                    if let Some(stores) = &mut self.stores {
                        stores.will_forget(origin, reply);
                    }
                }
                Ok(LoaderOp::Look) => {}
            }
            op = self.ops.recv_timeout(until.saturating_duration_since(Instant::now()));
        }
    }

    fn look_at_target(&self) {
        self.guard.look_at_target(self.places.target.directory());
    }

    /// Everything durable in the spool, batch by batch.
    fn load_all(&mut self) -> io::Result<()> {
        self.places.target.check()?;
        let durable = self.reader.durable_seq();
        while self.consumer.position() < durable {
            let next = self.consumer.position().next();
            let entries =
                self.reader.read(next, READ_BYTES, READ_RECORDS).map_err(io::Error::other)?;
            let mut touched = Touched::default();
            let loaded = self.load_batch(&entries, &mut touched);
            if let Err(error) = loaded.as_ref()
                && !disk::may_pass(error)
            {
                return loaded;
            }
            // also where the next record has to wait: room may come from files that are known
            let Some(last) = touched.last else {
                return loaded;
            };
            self.commit(touched, last)?;
            loaded?;
        }
        Ok(())
    }

    /// Places the files of one record after the other, as far as one batch goes.
    fn load_batch(&mut self, entries: &[Entry], touched: &mut Touched) -> io::Result<()> {
        for entry in entries {
            if self.manifests.len() >= self.manifests_max && self.is_of_another_origin(entry) {
                if touched.last.is_some() {
                    break;
                }
                self.manifests.clear();
            }
            if touched.bytes >= BATCH_BYTES {
                break;
            }
            match entry {
                Entry::Lost(range) => {
                    tracing::error!(%range, "spool damaged");
                    self.keep_unclaimed()?;
                    touched.gaps.push(lost_gap(range));
                }
                Entry::Record(record) => {
                    self.load(record, touched)?;
                    self.look_at_target();
                }
            }
            touched.last = Some(entry.last_seq());
        }
        Ok(())
    }

    /// Whether an entry needs a manifest that is not open.
    fn is_of_another_origin(&self, entry: &Entry) -> bool {
        let Entry::Record(record) = entry else { return false };
        RecordKind::of_code(record.kind) == Some(RecordKind::File)
            && !self.manifests.contains_key(&record.origin)
    }

    /// Makes durable what a batch has touched, and then moves the position to `last`.
    fn commit(&mut self, touched: Touched, last: Seq) -> io::Result<()> {
        self.make_durable(&touched)?;
        // what went away meanwhile may have taken the batch with it
        self.places.target.check()?;
        self.report_lost(touched.gaps)?;
        self.consumer.advance(last).map_err(io::Error::other)?;
        self.consumer.sync().map_err(|error| match error.is_fatal() {
            true => io::Error::other(error),
            false => io::Error::new(io::ErrorKind::StorageFull, error),
        })?;
        self.manifests.values_mut().for_each(|it| it.manifest.settle());
        let _ = self.keeper.send(KeeperOp::Retain);
        self.note(|report| {
            report.files = report.files.saturating_add(touched.files);
            report.bytes = report.bytes.saturating_add(touched.bytes);
            (report.position, report.read) = (last.get(), last.get());
            report.is_target_away = false;
            report.last_error = None;
        });
        Ok(())
    }

    fn load(&mut self, record: &Record, touched: &mut Touched) -> io::Result<()> {
        let Some(kind) = RecordKind::of_code(record.kind).filter(|kind| kind.has_files()) else {
            return Ok(());
        };
        let sequence = record.seq.get();
        let contents = match records::decode(kind, &record.payload) {
            Ok(contents) => contents,
            Err(error) => {
                self.keep_unclaimed()?;
                let (origin, item) = (record.origin.clone(), format!("spool record {sequence}"));
                touched.gaps.push(crate::gaps::Gap { origin, item, reason: error.to_string() });
                return Ok(());
            }
        };
        if kind != RecordKind::File {
            return self.keep_snapshot(&record.origin, sequence, &contents.files, touched);
        }
        // makes the directory where there is none
        self.manifest(&record.origin)?;
        self.places.target.check()?;
        let directory = self.places.target.directory().join(&record.origin);
        let (mut lines, mut lost) = (Vec::new(), Vec::new());
        for (file, stored) in
            placement::place(&self.places.staging, &directory, sequence, &contents.files)?
        {
            let Some(stored) = stored else {
                if !self.manifest(&record.origin)?.has_bytes(sequence, &file.sha256) {
                    lost.push(file);
                }
                continue;
            };
            if self.manifest(&record.origin)?.has(sequence, &stored, &file.sha256) {
                continue;
            }
            lines.push(Line {
                sequence,
                origin: record.origin.clone(),
                name: file.name.clone(),
                length_bytes: file.length_bytes,
                crc32: file.crc32,
                sha256: file.sha256,
                arrival_ms: record.arrival_ms,
                stored,
                database: contents.database(&file.name).map(str::to_owned),
            });
        }
        // nothing of a record that is only half done, which comes again
        lost.into_iter().for_each(|file| touched.lost(&record.origin, sequence, file));
        touched.placed(&record.origin, lines);
        touched.directories.insert(directory);
        Ok(())
    }

    fn keep_snapshot(
        &self,
        origin: &str,
        sequence: u64,
        files: &[StagedFile],
        touched: &mut Touched,
    ) -> io::Result<()> {
        for (file, stored) in
            placement::place(&self.places.staging, &self.places.snapshots, sequence, files)?
        {
            if stored.is_none() {
                touched.lost(origin, sequence, file);
            }
        }
        touched.directories.insert(self.places.snapshots.clone());
        Ok(())
    }

    /// Files first, then the lines that speak of them.
    fn make_durable(&mut self, touched: &Touched) -> io::Result<()> {
        for directory in &touched.directories {
            if directory.is_dir() {
                sync_directory(directory)?;
            }
        }
        for (origin, lines) in &touched.lines {
            self.manifest(origin)?.append(lines)?;
        }
        Ok(())
    }

    /// Leaves gap records; they must be durable before the position moves behind them.
    fn report_lost(&self, gaps: Vec<crate::gaps::Gap>) -> io::Result<()> {
        if gaps.is_empty() {
            return Ok(());
        }
        for gap in &gaps {
            tracing::warn!(origin = gap.origin, item = gap.item, reason = gap.reason, "gap");
        }
        let (done, is_done) = sync_channel(1);
        let _ = self.keeper.send(KeeperOp::Lost(gaps, done));
        let outcome = is_done.recv();
        let outcome = outcome.map_err(|_| io::Error::other("the keeper ended too early"))?;
        outcome.map_err(|reason| io::Error::new(io::ErrorKind::StorageFull, reason))
    }

    fn manifest(&mut self, origin: &str) -> io::Result<&mut Manifest<DirStorage>> {
        let position = self.consumer.position().get();
        if self.manifests.get(origin).is_some_and(|placed| !placed.is_in_place()) {
            self.manifests.remove(origin);
        }
        match self.manifests.entry(origin.to_owned()) {
            std::collections::btree_map::Entry::Occupied(found) => {
                Ok(&mut found.into_mut().manifest)
            }
            std::collections::btree_map::Entry::Vacant(place) => {
                let directory = self.places.target.origin(origin)?;
                Ok(&mut place.insert(PlacedManifest::open(&directory, position)?).manifest)
            }
        }
    }

    /// Removes what an earlier run has left in the staging directory and no record speaks of.
    fn remove_orphans(&mut self) -> io::Result<()> {
        let durable = self.reader.durable_seq();
        let mut wanted = HashSet::new();
        let mut is_spool_whole = true;
        let mut next = self.consumer.position().next();
        while next <= durable {
            let entries =
                self.reader.read(next, READ_BYTES, READ_RECORDS).map_err(io::Error::other)?;
            let Some(last) = entries.last().map(Entry::last_seq) else {
                break;
            };
            for entry in &entries {
                match contents_of(entry) {
                    Some(contents) => {
                        wanted.extend(contents.files.into_iter().map(|file| file.staged));
                    }
                    None => is_spool_whole = false,
                }
            }
            next = last.next();
        }
        if !is_spool_whole || self.places.unclaimed.is_dir() {
            // what a record speaks of that cannot be read was acknowledged, and must not go
            return self.put_aside(&wanted);
        }
        let mut removed = 0_u64;
        for name in names_in(&self.places.staging)? {
            let name = name?;
            let name = name.to_string_lossy();
            if !name.starts_with(&self.places.run) && !wanted.contains(name.as_ref()) {
                writer::remove(&self.places.staging.join(name.as_ref()))?;
                removed = removed.saturating_add(1);
            }
        }
        if removed > 0 {
            tracing::info!(files = removed, "removed unfinished files of an earlier run");
        }
        Ok(())
    }

    /// A record cannot be read. Which of the staged files are its own shows at the next start, when
    /// no others are on their way; until then the directory says that they are to be kept.
    fn keep_unclaimed(&self) -> io::Result<()> {
        let unclaimed = &self.places.unclaimed;
        let failed = |error| named(&error, "create", &unclaimed.display().to_string());
        DirStorage::open(unclaimed).map(drop).map_err(failed)
    }

    /// Moves what no readable record speaks of out of the way of later starts.
    fn put_aside(&self, wanted: &HashSet<String>) -> io::Result<()> {
        let LoaderPlaces { staging, unclaimed, .. } = &self.places;
        let mut is_moved = false;
        for name in names_in(staging)? {
            let name = name?;
            let name = name.to_string_lossy();
            if !name.starts_with(&self.places.run) && !wanted.contains(name.as_ref()) {
                let failed = |error| named(&error, "move to unclaimed", &name);
                DirStorage::open(unclaimed).map_err(failed)?;
                is_moved = true;
                fs::rename(staging.join(name.as_ref()), unclaimed.join(name.as_ref()))
                    .map_err(failed)?;
                tracing::error!(
                    directory = %unclaimed.display(),
                    file = %name,
                    "the spool is damaged; kept a file that no readable record speaks of"
                );
            }
        }
        if is_moved {
            sync_directory(unclaimed)?;
            sync_directory(staging)?;
        }
        Ok(())
    }

    fn note(&self, change: impl FnOnce(&mut LoaderReport)) {
        change(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The names in a directory.
fn names_in(directory: &Path) -> io::Result<impl Iterator<Item = io::Result<OsString>>> {
    let failed = |error: io::Error| named(&error, "list", &directory.display().to_string());
    let entries = fs::read_dir(directory).map_err(failed)?;
    Ok(entries.map(move |entry| entry.map(|it| it.file_name()).map_err(failed)))
}

/// How long to wait before another try, after the pause before.
fn next_pause(before: Option<Duration>, error: &io::Error) -> Duration {
    match before {
        Some(pause) if disk::is_full(error) => pause.saturating_mul(2).min(ROOM_POLL_MAX),
        _ => ROOM_POLL,
    }
}

/// What a record holds; `None` if it is lost or of a later release.
fn contents_of(entry: &Entry) -> Option<records::Contents> {
    let Entry::Record(record) = entry else { return None };
    records::decode(RecordKind::of_code(record.kind)?, &record.payload).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_target_is_tried_less_and_less_often_and_one_that_is_away_every_second() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let away = io::Error::from(io::ErrorKind::NotFound);
        let next = |before: u64| next_pause(Some(Duration::from_secs(before)), &full).as_secs();
        assert_eq!(next_pause(None, &full), ROOM_POLL);
        assert_eq!([next(1), next(8), next(16)], [2, 16, 16]);
        assert_eq!(next_pause(Some(ROOM_POLL_MAX), &away), ROOM_POLL);
    }
}
