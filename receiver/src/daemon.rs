//! Puts the daemon together, starts and ends it.
//!
//! Start: lock, state, threads, control socket, listener; the port opens last, when everything
//! behind it is ready. End: the edge resets its connections (nothing unanswered is promised), then
//! each thread finishes what it was given, in the direction of the data.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::channel;
use std::time::Duration;
use std::time::Instant;

use mio::Poll;
use mio::Waker;
use mio::net::TcpListener;
use tidegate_config::Loaded;
use tidegate_config::ReceiverConfig;
use tidegate_daemon::control::ControlServer;
use tidegate_daemon::files::descriptors_max;
use tidegate_daemon::lock::StateLock;
use tidegate_daemon::log;
use tidegate_daemon::log::LogHandle;
use tidegate_daemon::signals::Signal;
use tidegate_daemon::signals::Signals;
use tidegate_daemon::supervise::EXIT_FATAL;
use tidegate_daemon::supervise::Fatal;
use tidegate_daemon::supervise::Grace;
use tidegate_daemon::supervise::Supervisor;
use tidegate_link::receiving::ReceivingConfig;

use crate::buffers::Pool;
use crate::buffers::Released;
use crate::cli;
use crate::control::Control;
use crate::disk::DiskGuard;
use crate::edge;
use crate::edge::Edge;
use crate::edge::EdgeMessage;
use crate::edge::EdgePorts;
use crate::edge::Ended;
use crate::edge::Settings;
use crate::edge::Tell;
use crate::loader::MANIFESTS_OPEN_MAX;
use crate::loader::Stores;
use crate::state::Layout;
use crate::state::State;
use crate::status::LoaderReport;
use crate::target::Target;
use crate::threads::Common;
use crate::threads::Places;
use crate::threads::Threads;

/// Exit status when the daemon cannot start, as in `sysexits`.
const EXIT_START: u8 = 71;
/// After SIGTERM everything has so long; what was acknowledged is durable in any case.
const END_TIME_MAX: Duration = Duration::from_secs(4);
/// Of that, an answer on the control socket that is under way.
const CONTROL_TIME_MAX: Duration = Duration::from_millis(500);
/// After a failed disk the same, before the process is ended from outside.
const FATAL_TIME_MAX: Duration = Duration::from_secs(5);
/// A frame's payload is a piece and its head.
const PIECE_HEAD_BYTES_MAX: u64 = 64 << 10;
/// Unfinished files of one connection: a TsFile, its mods of both kinds, and one to spare.
const FILES_PER_CONNECTION: usize = 4;
/// Descriptors that are not connections and their files: the manifests, and all others.
const DESCRIPTORS_RESERVED: usize = MANIFESTS_OPEN_MAX + 64;

/// Runs the daemon until it is told to end.
pub(crate) fn run(conf: &Path, loaded: Loaded<ReceiverConfig>) -> ExitCode {
    let Loaded { config, notices } = loaded;
    let log = match log::init(config.log_level.as_str()) {
        Ok(log) => log,
        Err(error) => return cli::fail(EXIT_START, &error.to_string()),
    };
    for notice in notices {
        tracing::warn!("{notice}");
    }
    match start(conf, config, log) {
        Ok(running) => running.run(),
        Err(message) => {
            tracing::error!("cannot start: {message}");
            ExitCode::from(EXIT_START)
        }
    }
}

/// A started daemon.
struct Running {
    edge: Edge,
    threads: Threads,
    control: ControlServer,
    signals: Signals,
    _lock: StateLock,
}

fn start(conf: &Path, config: ReceiverConfig, log: LogHandle) -> Result<Running, String> {
    let started = Instant::now();
    let failed = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    let lock = StateLock::acquire(&config.state_dir).map_err(|error| error.to_string())?;
    let layout = Layout::of(&config.state_dir);
    let opened = State::open(&layout, config.spool_segment_bytes)?;
    let target = Target::open(&opened.memory, &config.directory())?;
    let cluster_id = config.cluster_id.clone().unwrap_or_else(|| opened.cluster_id.clone());
    let run = uuid::Uuid::new_v4();

    let poll = Poll::new().map_err(failed("event loop"))?;
    let waker = Waker::new(poll.registry(), edge::TOKEN_WAKER).map_err(failed("event loop"))?;
    let waker = Arc::new(waker);
    let (messages_in, messages) = channel();
    let waker_too = Arc::clone(&waker);
    let tell: Tell = Arc::new(move |message| {
        // the loop that is gone needs no telling
        if messages_in.send(message).is_ok() {
            let _ = waker_too.wake();
        }
    });
    let (supervisor, fatals) = Supervisor::new(Grace::ExitAfter(FATAL_TIME_MAX), move || {
        let _ = waker.wake();
    });
    let (floor_bytes, policy) = (config.disk_floor_bytes, config.disk_full_policy);
    let guard = Arc::new(DiskGuard::new(config.state_dir.clone(), floor_bytes, policy));
    let report = Arc::new(Mutex::new(LoaderReport {
        target: target.directory().display().to_string(),
        is_store: config.target == tidegate_config::Target::Store,
        position: opened.directory.position().get(),
        read: opened.directory.position().get(),
        ..LoaderReport::default()
    }));
    let common = Common { supervisor: &supervisor, tell: &tell, guard: &guard, report: &report };
    let stores = match config.target {
        tidegate_config::Target::Store => Some(Stores::new(&opened, &target, &config)?),
        _ => None,
    };
    let places = Places { layout, target, stores, run: run.simple().to_string() };
    let (threads, ingest) = Threads::start(&common, opened, places, config.timestamp_precision)
        .map_err(failed("threads"))?;

    let listener = listen(&config)?;
    let control = Control {
        tell: Arc::clone(&tell),
        keeper: threads.keeper.clone(),
        loader: threads.loader.clone(),
        guard: Arc::clone(&guard),
        report,
        cluster_id: cluster_id.clone(),
        state_dir: config.state_dir.display().to_string(),
        started,
    };
    let control = control.spawn(&config.control_socket)?;
    let settings = settings(&config, &cluster_id);
    let (tell_too, guard_too) = (Arc::clone(&tell), Arc::clone(&guard));
    let reloader = Reloader { conf: conf.to_owned(), config, log, cluster_id, tell, guard };
    let signals = reloader.spawn().map_err(failed("signals"))?;
    let address = listener.as_ref().map(TcpListener::local_addr).transpose();
    match address.map_err(failed("address of the listener"))? {
        Some(address) => tracing::info!("listening on {address}"),
        None => tracing::warn!("not listening: pipe_air_gap_receiver_enabled=false"),
    }
    let released = |message: fn(u64, usize) -> EdgeMessage| -> Released {
        let tell = Arc::clone(&tell_too);
        Arc::new(move |connection, bytes| tell(message(connection, bytes)))
    };
    let ports = EdgePorts {
        poll,
        messages,
        fatals,
        ingest,
        pool: Arc::new(Pool::default()),
        released: released(EdgeMessage::Released),
        request_released: released(EdgeMessage::RequestReleased),
        guard: guard_too,
    };
    let edge =
        Edge::new(ports, settings, listener, run.as_fields().0).map_err(failed("event loop"))?;
    Ok(Running { edge, threads, control, signals, _lock: lock })
}

fn listen(config: &ReceiverConfig) -> Result<Option<TcpListener>, String> {
    if !config.pipe_air_gap_receiver_enabled {
        return Ok(None);
    }
    let address = SocketAddr::new(config.bind_address, config.pipe_air_gap_receiver_port);
    edge::bind(address).map(Some).map_err(|error| format!("cannot listen on {address}: {error}"))
}

impl Running {
    fn run(self) -> ExitCode {
        let Self { edge, threads, control, signals, _lock } = self;
        // neither is joined here: one may wait for a client, the other be inside a reload
        let _signals = core::mem::ManuallyDrop::new(signals);
        let outcome = edge.run();
        let until = Instant::now() + END_TIME_MAX;
        let closing = in_background(|| drop(control));
        let fatals = match outcome {
            Ok(Ended::InOrder(fatals)) => fatals,
            Ok(Ended::Fatal(fatal)) => return end_of(&fatal),
            Err(error) => {
                tracing::error!("event loop failed: {error}");
                return ExitCode::from(EXIT_FATAL);
            }
        };
        // whoever waits for a disk is waited for no longer than the deadline
        let left = |most: Duration| until.saturating_duration_since(Instant::now()).min(most);
        let ended = in_background(|| threads.end()).recv_timeout(left(END_TIME_MAX));
        let failed = fatals.try_iter().map(|fatal| end_of(&fatal)).last();
        match (ended, failed) {
            (Err(_), _) => {
                tracing::warn!("ended while a disk was still busy; nothing is lost by it");
            }
            (Ok(()), None) => tracing::info!("ended"),
            (Ok(()), Some(_)) => {}
        }
        // an answer that is under way may still get out; a client that asks nothing gets no more
        let _ = closing.recv_timeout(left(CONTROL_TIME_MAX));
        failed.unwrap_or(ExitCode::SUCCESS)
    }
}

/// Says why the daemon ends.
fn end_of(fatal: &Fatal) -> ExitCode {
    tracing::error!("{fatal}: nothing more is acknowledged, ending");
    ExitCode::from(EXIT_FATAL)
}

/// Does something on a thread of its own; the receiver hears when it is done.
fn in_background(what: impl FnOnce() + Send + 'static) -> Receiver<()> {
    let (done_in, done) = channel();
    std::thread::spawn(move || {
        what();
        // nobody waits any more when the time is over
        let _ = done_in.send(());
    });
    done
}

/// What a signal needs.
struct Reloader {
    conf: PathBuf,
    config: ReceiverConfig,
    log: LogHandle,
    cluster_id: String,
    tell: Tell,
    guard: Arc<DiskGuard>,
}

impl Reloader {
    fn spawn(mut self) -> io::Result<Signals> {
        Signals::spawn(move |signal| match signal {
            Signal::Terminate => (self.tell)(EdgeMessage::Stop),
            Signal::Reload => self.reload(),
        })
    }

    /// Takes over the keys that may change while running, and names the others.
    fn reload(&mut self) {
        let new = match cli::load(&self.conf) {
            Ok(Loaded { config, notices }) => {
                notices.iter().for_each(|notice| tracing::warn!("{notice}"));
                config
            }
            Err(message) => {
                tracing::error!("configuration not reread, the old one stays: {message}");
                return;
            }
        };
        let outcome = self.config.reload(&new);
        let config = &self.config;
        self.guard.set(config.disk_floor_bytes, config.disk_full_policy);
        if let Err(error) = self.log.set_level(config.log_level.as_str()) {
            tracing::error!("log level not changed: {error}");
        }
        (self.tell)(EdgeMessage::Settings(settings(config, &self.cluster_id)));
        tracing::info!(
            applied = outcome.applied.join(","),
            needs_restart = outcome.needs_restart.join(","),
            "configuration reread"
        );
    }
}

/// The keys of the event loop; those of a session hold for connections accepted from now on.
fn settings(config: &ReceiverConfig, cluster_id: &str) -> Settings {
    let capped = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
    let session = ReceivingConfig {
        max_payload_bytes: capped(config.piece_bytes_max.saturating_add(PIECE_HEAD_BYTES_MAX)),
        max_request_bytes: capped(config.payload_bytes_max),
        max_unfinished_files: FILES_PER_CONNECTION,
        withhold_tablet: Duration::from_millis(config.withhold_tablet_ms),
        withhold_file: Duration::from_millis(config.withhold_file_ms),
        idle_close: Duration::from_millis(config.idle_close_ms),
        accept_v1: config.accept_v1,
        own_cluster_id: cluster_id.to_owned(),
        user: config.user.clone(),
        password: config.password.reveal().to_owned(),
        listener_name: config.origin_name.clone(),
    };
    Settings {
        session: Arc::new(session),
        allow_list: config.allow_list.clone(),
        connections_max: connections_max(config),
        in_flight_bytes_max: usize::try_from(config.in_flight_bytes_max).unwrap_or(usize::MAX),
    }
}

/// The key, or less where files or descriptors would run out first.
fn connections_max(config: &ReceiverConfig) -> usize {
    let by_files = (config.unfinished_files_max / FILES_PER_CONNECTION).max(1);
    let descriptors = usize::try_from(descriptors_max()).unwrap_or(usize::MAX);
    let spare = descriptors.saturating_sub(DESCRIPTORS_RESERVED);
    let by_descriptors = (spare / (1 + FILES_PER_CONNECTION)).max(1);
    let found = config.connections_max.min(by_files).min(by_descriptors);
    if found < config.connections_max {
        tracing::warn!(
            "at most {found} connections at once: receiver_connections_max is {}, \
             receiver_unfinished_files_max {} and the limit of open files {descriptors}",
            config.connections_max,
            config.unfinished_files_max,
        );
    }
    found
}
