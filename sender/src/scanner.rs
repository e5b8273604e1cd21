//! The thread that keeps the catalog: rescans on a timer, sooner when inotify hints at a change.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsRawFd;
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

use inotify::Inotify;
use inotify::WatchMask;
use mio::Events;
use mio::Interest;
use mio::Poll;
use mio::Token;
use mio::Waker;
use mio::unix::SourceFd;
use tidegate_source::Scan;

use crate::catalog::Catalog;

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
    /// Folders whose listing was found to be wrong. Locked for no longer than a move takes.
    doubted: Mutex<HashSet<PathBuf>>,
    stop: AtomicBool,
}

impl Shared {
    fn doubted(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.doubted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether inotify may hint at changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hints {
    Inotify,
    None,
}

const WAKE: Token = Token(0);
const HINT: Token = Token(1);
/// Files of one flush appear one after the other; a hint waits this long for the next.
const HINTS_GATHER: Duration = Duration::from_millis(20);
/// A busy source hints all the time; between two scans there is at least this.
const SCAN_PAUSE_MIN: Duration = Duration::from_millis(50);

impl ScannerHandle {
    /// Scans as soon as possible, and reads `folder` whatever its modification time says: a file in
    /// it is not what its listing says, and a file that changes leaves its folder's time alone.
    pub(crate) fn look_again(&self, folder: PathBuf) {
        self.shared.doubted().insert(folder);
        self.shared.scan_now.store(true, Ordering::SeqCst);
        self.wake();
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
    hints: Option<Inotify>,
    watched: HashSet<PathBuf>,
    watch_failure_logged: bool,
}

impl Scanner {
    /// Prepares a scanner; `hints` that cannot be had are done without, with a line in the log.
    pub(crate) fn new(catalog: Catalog, interval_ms: u64, hints: Hints) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let hints = match hints {
            Hints::Inotify => start_inotify(&poll),
            Hints::None => None,
        };
        let shared = Arc::new(Shared {
            rescan_interval_ms: AtomicU64::new(interval_ms),
            scan_now: AtomicBool::new(false),
            doubted: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        Ok(Self {
            catalog,
            poll,
            handle: ScannerHandle { shared, waker },
            hints,
            watched: HashSet::new(),
            watch_failure_logged: false,
        })
    }

    /// A handle to it.
    pub(crate) fn handle(&self) -> ScannerHandle {
        self.handle.clone()
    }

    /// Runs until it is stopped; every scan goes to `deliver`.
    pub(crate) fn run(mut self, mut deliver: impl FnMut(Scan)) -> io::Result<()> {
        let mut events = Events::with_capacity(16);
        while !self.handle.shared.stop.load(Ordering::SeqCst) {
            let started = Instant::now();
            self.handle.shared.scan_now.store(false, Ordering::SeqCst);
            for folder in std::mem::take(&mut *self.handle.shared.doubted()) {
                self.catalog.doubt(&folder);
            }
            deliver(self.catalog.scan(wall_clock_ns()));
            self.watch();
            self.wait(&mut events, started)?;
        }
        Ok(())
    }

    /// Waits for the next scan: a hint, a call, or the timer.
    fn wait(&mut self, events: &mut Events, started: Instant) -> io::Result<()> {
        loop {
            let interval = self.handle.shared.rescan_interval_ms.load(Ordering::SeqCst);
            let due = started + Duration::from_millis(interval);
            let left = due.saturating_duration_since(Instant::now());
            match self.poll.poll(events, Some(left)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            let hinted = events.iter().any(|event| event.token() == HINT);
            let shared = &self.handle.shared;
            if shared.stop.load(Ordering::SeqCst) {
                return Ok(());
            }
            if shared.scan_now.load(Ordering::SeqCst) {
                // A file that never stops changing must not make this a busy loop.
                std::thread::sleep(SCAN_PAUSE_MIN.saturating_sub(started.elapsed()));
                return Ok(());
            }
            if hinted && self.drain_hints() {
                let pause = SCAN_PAUSE_MIN.saturating_sub(started.elapsed()).max(HINTS_GATHER);
                std::thread::sleep(pause.min(left));
                self.drain_hints();
                return Ok(());
            }
            if Instant::now() >= due {
                return Ok(());
            }
        }
    }

    /// Whether any hint concerns files that we look for.
    fn drain_hints(&mut self) -> bool {
        let Some(hints) = &mut self.hints else { return false };
        let mut buffer = [0; 16 * 1024];
        let mut relevant = false;
        // Ends with WouldBlock; whatever else it ends with, the timer still runs.
        while let Ok(events) = hints.read_events(&mut buffer) {
            for event in events {
                relevant |= event.name.is_none_or(is_relevant);
            }
        }
        relevant
    }

    /// Watches the folders that appeared since the last scan.
    fn watch(&mut self) {
        let Some(hints) = &self.hints else { return };
        let wanted = self.catalog.watchable();
        self.watched.retain(|dir| wanted.contains(dir));
        let mask = WatchMask::MOVED_TO | WatchMask::CREATE | WatchMask::ONLYDIR;
        for dir in wanted {
            if self.watched.contains(&dir) {
                continue;
            }
            match hints.watches().add(&dir, mask) {
                Ok(_) => {
                    self.watched.insert(dir);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => (),
                Err(error) => {
                    if !std::mem::replace(&mut self.watch_failure_logged, true) {
                        tracing::warn!(
                            dir = %dir.display(), %error,
                            "no more change hints from the kernel (fs.inotify.max_user_watches?); \
                             rescans alone find new files"
                        );
                    }
                    break;
                }
            }
        }
    }
}

/// `.resource` appears when a file is sealed; a name without a dot may be a new folder.
fn is_relevant(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.ends_with(".resource")
        || name.ends_with(".mods")
        || name.ends_with(".mods2")
        || !name.contains(".tsfile")
}

fn start_inotify(poll: &Poll) -> Option<Inotify> {
    let started = Inotify::init().and_then(|inotify| {
        poll.registry().register(&mut SourceFd(&inotify.as_raw_fd()), HINT, Interest::READABLE)?;
        Ok(inotify)
    });
    match started {
        Ok(inotify) => Some(inotify),
        Err(error) => {
            tracing::warn!(%error, "no change hints from the kernel; rescans alone find new files");
            None
        }
    }
}

/// Nanoseconds since 1970 on the wall clock, which is what file systems stamp with.
fn wall_clock_ns() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
