//! The thread that keeps the catalog: rescans on a timer, sooner when inotify hints at a change.

mod eyes;
mod lists;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use mio::Events;
use mio::Interest;
use mio::Poll;
use mio::Token;
use mio::Waker;
use mio::unix::SourceFd;
use tidegate_daemon::rate_limit::RateLimited;
use tidegate_daemon::rate_limit::Verdict;
use tidegate_source::Place;
use tidegate_source::Scan;
use tidegate_source::Watched;

use crate::catalog::Catalog;
use crate::catalog::GoneList;
use crate::catalog::Watcher;
use crate::settings::replicas::SkippedRegion;
use eyes::Eyes;
use eyes::WATCHES_MAX;

/// Asks the scanner for things, from any thread.
#[derive(Clone, Debug)]
pub(crate) struct ScannerHandle {
    shared: Arc<Shared>,
    waker: Arc<Waker>,
}

#[derive(Debug)]
struct Shared {
    rescan_interval_ms: AtomicU64,
    scan_now: AtomicBool,
    scan_soon: AtomicBool,
    /// Folders whose listing was found to be wrong. Locked for no longer than a move takes.
    doubted: Mutex<HashSet<PathBuf>>,
    /// Locked for no longer than a move takes, too.
    skipped: Mutex<Arc<[SkippedRegion]>>,
    stop: AtomicBool,
}

/// Whether inotify may hint at changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hints {
    Inotify,
    None,
}

/// Why a scan begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Cause {
    /// Something may have changed, or it is time and nobody waits.
    Change,
    /// Somebody waits for another scan, and that is all.
    Soon,
    /// The thread is to end.
    Stop,
}

const WAKE: Token = Token(0);
const HINT: Token = Token(1);
/// Files of one flush appear one after the other; a hint waits this long for the next.
const HINTS_GATHER: Duration = Duration::from_millis(20);
/// A busy source hints all the time; between two scans there is at least this.
const SCAN_PAUSE_MIN: Duration = Duration::from_millis(50);
/// Lines a minute about files that cannot be understood.
const LINES_PER_MINUTE_MAX: u32 = 60;

impl ScannerHandle {
    /// Scans as soon as possible, and reads `folder` whatever its modification time says: a file in
    /// it is not what its listing says, and a file that changes leaves its folder's time alone.
    pub(crate) fn look_again(&self, folder: PathBuf) {
        lock(&self.shared.doubted).insert(folder);
        self.shared.scan_now.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Scans before long: something waits for nothing but another scan.
    ///
    /// It may be said after each scan. If that goes on and nothing else happens, the pauses grow up
    /// to the usual interval.
    pub(crate) fn scan_soon(&self) {
        self.shared.scan_soon.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Regions that are there and not sent, as of the last scan.
    pub(crate) fn skipped(&self) -> Arc<[SkippedRegion]> {
        Arc::clone(&lock(&self.shared.skipped))
    }

    /// Changes the time between two scans.
    pub(crate) fn set_interval_ms(&self, interval_ms: u64) {
        self.shared.rescan_interval_ms.store(interval_ms, Ordering::SeqCst);
        self.wake();
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        // A waker fails only when its poll is gone, and the thread with it.
        let _ = self.waker.wake();
    }
}

/// The scanner before its thread starts.
#[derive(Debug)]
pub(crate) struct Scanner {
    catalog: Catalog,
    poll: Poll,
    handle: ScannerHandle,
    observer: Observer,
    lines_logged: RateLimited,
}

/// Who watches the directories, if anybody.
#[derive(Debug)]
enum Observer {
    Eyes(Box<Eyes>),
    Nobody,
}

impl Scanner {
    /// Prepares a scanner; `hints` that cannot be had are done without, with a line in the log.
    pub(crate) fn new(catalog: Catalog, interval_ms: u64, hints: Hints) -> io::Result<Self> {
        Self::with_watches(catalog, interval_ms, hints, WATCHES_MAX)
    }

    fn with_watches(
        catalog: Catalog,
        interval_ms: u64,
        hints: Hints,
        watches_max: usize,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let observer = match hints {
            Hints::Inotify => start_inotify(&poll, watches_max),
            Hints::None => Observer::Nobody,
        };
        let shared = Arc::new(Shared {
            rescan_interval_ms: AtomicU64::new(interval_ms),
            scan_now: AtomicBool::new(false),
            scan_soon: AtomicBool::new(false),
            doubted: Mutex::default(),
            skipped: Mutex::new(Arc::new([])),
            stop: AtomicBool::new(false),
        });
        Ok(Self {
            catalog,
            poll,
            handle: ScannerHandle { shared, waker },
            observer,
            lines_logged: RateLimited::new(LINES_PER_MINUTE_MAX),
        })
    }

    /// A handle to it.
    pub(crate) fn handle(&self) -> ScannerHandle {
        self.handle.clone()
    }

    /// Runs until it is stopped; every scan goes to `deliver`.
    pub(crate) fn run(mut self, mut deliver: impl FnMut(Scan)) -> io::Result<()> {
        let mut events = Events::with_capacity(16);
        let mut soon = SCAN_PAUSE_MIN;
        loop {
            let started = Instant::now();
            let shared = Arc::clone(&self.handle.shared);
            shared.scan_now.store(false, Ordering::SeqCst);
            shared.scan_soon.store(false, Ordering::SeqCst);
            for folder in std::mem::take(&mut *lock(&shared.doubted)) {
                self.catalog.doubt(&folder);
            }
            self.observer.take_hint();
            let scan = self.catalog.scan(wall_clock_ns(), &mut self.observer);
            *lock(&shared.skipped) = self.catalog.skipped();
            self.log_warnings();
            deliver(scan);
            match self.wait(&mut events, started, soon)? {
                Cause::Change => soon = SCAN_PAUSE_MIN,
                Cause::Soon => soon = soon.saturating_mul(2),
                Cause::Stop => return Ok(()),
            }
        }
    }

    /// Waits for the next scan: a hint, a call, or the timer.
    fn wait(&mut self, events: &mut Events, started: Instant, soon: Duration) -> io::Result<Cause> {
        let shared = Arc::clone(&self.handle.shared);
        // What was seen while the folders were listed may have come after its folder's turn.
        let mut hint_due = self.observer.take_hint().then(|| started + SCAN_PAUSE_MIN);
        loop {
            if shared.stop.load(Ordering::SeqCst) {
                return Ok(Cause::Stop);
            }
            let interval = shared.rescan_interval_ms.load(Ordering::SeqCst);
            let timer_due = started + Duration::from_millis(interval);
            // A file that never stops changing must not make this a busy loop.
            let now_due = shared.scan_now.load(Ordering::SeqCst).then(|| started + SCAN_PAUSE_MIN);
            let catalog_due = self.catalog.next_due().map(|it| started + it.max(SCAN_PAUSE_MIN));
            let soon_due = shared.scan_soon.load(Ordering::SeqCst).then(|| started + soon);
            let change_due = [now_due, catalog_due, hint_due].into_iter().flatten().min();
            let quiet_due = soon_due.map_or(timer_due, |soon_due| soon_due.min(timer_due));
            let due = change_due.map_or(quiet_due, |change_due| change_due.min(quiet_due));
            let now = Instant::now();
            if due <= now {
                let is_change = change_due.is_some_and(|it| it <= now) || soon_due.is_none();
                return Ok(if is_change { Cause::Change } else { Cause::Soon });
            }
            match self.poll.poll(events, Some(due - now)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            if events.iter().any(|event| event.token() == HINT) && self.observer.take_hint() {
                let gathered = (Instant::now() + HINTS_GATHER).max(started + SCAN_PAUSE_MIN);
                hint_due = hint_due.or(Some(gathered));
            }
        }
    }

    fn log_warnings(&mut self) {
        for line in self.catalog.take_warnings() {
            match self.lines_logged.admit(Instant::now(), "source file") {
                Verdict::Write { n_held_back } => tracing::warn!(n_held_back, "{line}"),
                Verdict::HoldBack => (),
            }
        }
    }
}

impl Observer {
    fn take_hint(&mut self) -> bool {
        match self {
            Self::Eyes(eyes) => eyes.take_hint(),
            Self::Nobody => false,
        }
    }
}

impl Watcher for Observer {
    fn enter(&mut self, dir: &Path, place: Option<&Place>) {
        if let Self::Eyes(eyes) = self {
            eyes.enter(dir, place);
        }
    }

    fn listed(&mut self, scan: &Scan) -> Watched {
        match self {
            Self::Eyes(eyes) => eyes.listed(scan),
            Self::Nobody => Watched::No,
        }
    }

    fn take_gone_lists(&mut self, scan: &Scan) -> Vec<GoneList> {
        match self {
            Self::Eyes(eyes) => eyes.take_gone_lists(scan),
            Self::Nobody => Vec::new(),
        }
    }

    fn ended(&mut self, scan: &Scan) {
        if let Self::Eyes(eyes) = self {
            eyes.ended(scan);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start_inotify(poll: &Poll, watches_max: usize) -> Observer {
    let started = Eyes::new(watches_max).and_then(|eyes| {
        poll.registry().register(&mut SourceFd(&eyes.fd()), HINT, Interest::READABLE)?;
        Ok(eyes)
    });
    match started {
        Ok(eyes) => Observer::Eyes(Box::new(eyes)),
        Err(error) => {
            tracing::warn!(%error, "no change hints from the kernel; rescans alone find new files");
            Observer::Nobody
        }
    }
}

/// Nanoseconds since 1970 on the wall clock, which is what file systems stamp with.
fn wall_clock_ns() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
