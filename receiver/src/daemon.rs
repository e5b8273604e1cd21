//! Puts the threads together, starts and ends them.
//!
//! Start: lock, state, threads, control socket, listener; the port opens last, when everything
//! behind it is ready. End: the edge resets its connections (nothing unanswered is promised), then
//! each thread finishes what it was given, in the direction of the data.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use mio::Poll;
use mio::Waker;
use tidegate_config::Loaded;
use tidegate_config::ReceiverConfig;
use tidegate_daemon::control::Answer;
use tidegate_daemon::control::ControlServer;
use tidegate_daemon::control::Request;
use tidegate_daemon::lock::StateLock;
use tidegate_daemon::log;
use tidegate_daemon::log::LogHandle;
use tidegate_daemon::signals::Signal;
use tidegate_daemon::signals::Signals;
use tidegate_daemon::supervise::EXIT_FATAL;
use tidegate_daemon::supervise::Grace;
use tidegate_daemon::supervise::Supervisor;
use tidegate_link::receiving::ReceivingConfig;

use crate::buffers::Pool;
use crate::buffers::Released;
use crate::cli;
use crate::disk::DiskGuard;
use crate::edge;
use crate::edge::Edge;
use crate::edge::EdgeMessage;
use crate::edge::EdgePorts;
use crate::edge::Ended;
use crate::edge::Settings;
use crate::hasher;
use crate::ingest::Ingest;
use crate::ingest::OutcomeSink;
use crate::keeper::Keeper;
use crate::keeper::KeeperOp;
use crate::keeper::KeeperPorts;
use crate::loader::Loader;
use crate::loader::LoaderOp;
use crate::loader::LoaderPlaces;
use crate::sealer::Sealer;
use crate::state::Layout;
use crate::state::Opened;
use crate::state::State;
use crate::status::LoaderReport;
use crate::status::Report;
use crate::writer::Writer;
use crate::writer::WriterOp;
use crate::writer::WriterPorts;

/// Exit status when the daemon cannot start, as in `sysexits`.
const EXIT_START: u8 = 71;
/// After SIGTERM the threads have so long; what was acknowledged is durable in any case.
const END_TIME_MAX: Duration = Duration::from_secs(4);
/// After a failed disk the same, before the process is ended from outside.
const FATAL_TIME_MAX: Duration = Duration::from_secs(5);
/// A busy thread is left out of a status after this time.
const ASK_TIME_MAX: Duration = Duration::from_secs(1);
/// A frame's payload is a piece and its head.
const PIECE_HEAD_BYTES_MAX: u64 = 64 << 10;
/// Unfinished files of one connection: a TsFile, its mods of both kinds, and one to spare.
const FILES_PER_CONNECTION: usize = 4;
/// Descriptors that are not connections and their files.
const DESCRIPTORS_RESERVED: usize = 64;

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

/// The threads behind the edge, in the direction of the data, and what ends each.
struct Threads {
    writer: Sender<WriterOp>,
    keeper: Sender<KeeperOp>,
    loader: Sender<LoaderOp>,
    before_keeper: Vec<JoinHandle<()>>,
    keeper_thread: JoinHandle<()>,
    loader_thread: JoinHandle<()>,
}

fn start(conf: &Path, config: ReceiverConfig, log: LogHandle) -> Result<Running, String> {
    let started = Instant::now();
    let lock = StateLock::acquire(&config.state_dir).map_err(|error| error.to_string())?;
    let layout = Layout::of(&config.state_dir);
    let opened = State::open(&layout, config.spool_segment_bytes)?;
    let target = config.directory();
    std::fs::create_dir_all(&target).map_err(|e| format!("{}: {e}", target.display()))?;
    let cluster_id = config.cluster_id.clone().unwrap_or_else(|| opened.cluster_id.clone());
    let run = uuid::Uuid::new_v4();
    let (run_name, run_number) = (run.simple().to_string(), run.as_fields().0);

    let io = |error: std::io::Error| error.to_string();
    let poll = Poll::new().map_err(io)?;
    let waker = Arc::new(Waker::new(poll.registry(), edge::TOKEN_WAKER).map_err(io)?);
    let (messages_in, messages) = channel();
    let tell = {
        let waker = Arc::clone(&waker);
        let messages = messages_in;
        move |message: EdgeMessage| {
            // the loop that is gone needs no telling
            if messages.send(message).is_ok() {
                let _ = waker.wake();
            }
        }
    };
    let tell: Arc<dyn Fn(EdgeMessage) + Send + Sync> = Arc::new(tell);
    let (supervisor, fatals) = Supervisor::new(Grace::ExitAfter(FATAL_TIME_MAX), move || {
        let _ = waker.wake();
    });

    let policy = config.disk_full_policy;
    let guarded = vec![config.state_dir.clone(), target.clone()];
    let guard = Arc::new(DiskGuard::new(guarded, config.disk_floor_bytes, policy));
    let report = Arc::new(Mutex::new(LoaderReport {
        target: target.display().to_string(),
        position: opened.directory.position().get(),
        ..LoaderReport::default()
    }));
    let (threads, ingest) = start_threads(
        &supervisor,
        &tell,
        &guard,
        opened,
        Places { layout, target, run: run_name },
        config.timestamp_precision,
        Arc::clone(&report),
    )
    .map_err(io)?;

    let settings = settings(&config, &cluster_id);
    let listener = match config.pipe_air_gap_receiver_enabled {
        false => None,
        true => {
            let address = SocketAddr::new(config.bind_address, config.pipe_air_gap_receiver_port);
            let listener = edge::bind(address);
            Some(listener.map_err(|error| format!("cannot listen on {address}: {error}"))?)
        }
    };
    let control = start_control(
        &config,
        &tell,
        &threads.keeper,
        Facts { cluster_id: cluster_id.clone(), started, guard: Arc::clone(&guard), report },
    )?;
    let signals = start_signals(conf, config, log, cluster_id, &tell, &guard).map_err(io)?;
    match listener.as_ref().map(mio::net::TcpListener::local_addr).transpose().map_err(io)? {
        Some(address) => tracing::info!("listening on {address}"),
        None => tracing::warn!("not listening: pipe_air_gap_receiver_enabled=false"),
    }
    let released: Released = {
        let tell = Arc::clone(&tell);
        Arc::new(move |connection, bytes| tell(EdgeMessage::Released(connection, bytes)))
    };
    let pool = Arc::new(Pool::default());
    let ports = EdgePorts { poll, messages, fatals, ingest, pool, released, guard };
    let edge = Edge::new(ports, settings, listener, run_number).map_err(io)?;
    Ok(Running { edge, threads, control, signals, _lock: lock })
}

impl Running {
    fn run(self) -> ExitCode {
        let Self { edge, threads, control, signals, _lock } = self;
        let status = match edge.run() {
            Ok(Ended::InOrder) => ExitCode::SUCCESS,
            Ok(Ended::Fatal(fatal)) => {
                tracing::error!("{fatal}: nothing more is acknowledged, ending");
                return ExitCode::from(EXIT_FATAL);
            }
            Err(error) => {
                tracing::error!("event loop failed: {error}");
                return ExitCode::from(EXIT_FATAL);
            }
        };
        drop(control);
        let (done_in, done) = channel();
        std::thread::spawn(move || {
            threads.end();
            let _ = done_in.send(());
        });
        match done.recv_timeout(END_TIME_MAX) {
            Ok(()) => tracing::info!("ended"),
            Err(_) => tracing::warn!("ended while a disk was still busy; nothing is lost by it"),
        }
        drop(signals);
        status
    }
}

impl Threads {
    /// Lets each finish what it was given.
    fn end(self) {
        let _ = self.loader.send(LoaderOp::Stop);
        let _ = self.writer.send(WriterOp::Stop);
        drop(self.writer);
        for thread in self.before_keeper {
            let _ = thread.join();
        }
        let _ = self.loader_thread.join();
        let _ = self.keeper.send(KeeperOp::Stop);
        let _ = self.keeper_thread.join();
    }
}

/// Where the threads work.
struct Places {
    layout: Layout,
    target: PathBuf,
    run: String,
}

fn start_threads(
    supervisor: &Supervisor,
    tell: &Arc<dyn Fn(EdgeMessage) + Send + Sync>,
    guard: &Arc<DiskGuard>,
    opened: Opened,
    places: Places,
    precision: Option<tidegate_model::Precision>,
    report: Arc<Mutex<LoaderReport>>,
) -> std::io::Result<(Threads, Ingest)> {
    let (writer_in, writer_ops) = channel();
    let (hasher_in, hasher_ops) = channel();
    let (sealer_in, sealer_ops) = channel();
    let (keeper_in, keeper_ops) = channel();
    let (loader_in, loader_ops) = channel();
    let outcomes: OutcomeSink = {
        let tell = Arc::clone(tell);
        Arc::new(move |deferred| tell(EdgeMessage::Outcome(deferred)))
    };
    let staging = places.layout.staging.clone();
    let hashing = supervisor.spawn("hasher", move || hasher::run(&hasher_ops))?;
    let ports = WriterPorts {
        ops: writer_ops,
        hasher: hasher_in,
        sealer: sealer_in,
        outcomes: Arc::clone(&outcomes),
    };
    let writer = Writer::new(ports, Arc::clone(guard), staging.clone(), places.run.clone());
    let writing = supervisor.spawn("writer", move || writer.run())?;
    let sealer = Sealer {
        ops: sealer_ops,
        keeper: keeper_in.clone(),
        outcomes: Arc::clone(&outcomes),
        staging: staging.clone(),
    };
    let sealing = supervisor.spawn("sealer", move || sealer.run())?;
    let ports = KeeperPorts { ops: keeper_ops, outcomes, loader: loader_in.clone() };
    let keeper = Keeper::new(ports, Arc::clone(guard), opened.state, precision);
    let keeper_thread = supervisor.spawn("keeper", move || keeper.run())?;
    let loader = Loader {
        ops: loader_ops,
        keeper: keeper_in.clone(),
        consumer: opened.directory,
        reader: opened.reader,
        places: LoaderPlaces {
            staging,
            snapshots: places.layout.snapshots,
            target: places.target,
            run: places.run,
        },
        report,
        manifests: BTreeMap::new(),
    };
    let loader_thread = supervisor.spawn("loader", move || loader.run())?;
    let ingest = Ingest::new(writer_in.clone(), keeper_in.clone());
    let threads = Threads {
        writer: writer_in,
        keeper: keeper_in,
        loader: loader_in,
        before_keeper: vec![writing, hashing, sealing],
        keeper_thread,
        loader_thread,
    };
    Ok((threads, ingest))
}

/// What a status needs beside the threads' answers.
struct Facts {
    cluster_id: String,
    started: Instant,
    guard: Arc<DiskGuard>,
    report: Arc<Mutex<LoaderReport>>,
}

fn start_control(
    config: &ReceiverConfig,
    tell: &Arc<dyn Fn(EdgeMessage) + Send + Sync>,
    keeper: &Sender<KeeperOp>,
    facts: Facts,
) -> Result<ControlServer, String> {
    let (tell, keeper) = (Arc::clone(tell), keeper.clone());
    let state_dir = config.state_dir.display().to_string();
    let ask_keeper = move || {
        let (reply, answer) = sync_channel(1);
        keeper.send(KeeperOp::Ask(reply)).ok()?;
        answer.recv_timeout(ASK_TIME_MAX).ok()
    };
    let handler = move |request: Request| -> Answer {
        let to_json = |error: serde_json::Error| error.to_string();
        match request.command.as_str() {
            "gaps" => {
                let report = ask_keeper().ok_or("the keeper is busy, try again")?;
                serde_json::to_value(report.gaps).map_err(to_json)
            }
            "status" => {
                let (reply, answer) = sync_channel(1);
                tell(EdgeMessage::Ask(reply));
                facts.guard.look();
                let loader = facts.report.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let keeper = ask_keeper().map(|mut report| {
                    // the list has a command of its own
                    report.gaps.clear();
                    report
                });
                let report = Report {
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    pid: std::process::id(),
                    cluster_id: facts.cluster_id.clone(),
                    uptime_ms: u64::try_from(facts.started.elapsed().as_millis()).unwrap_or(0),
                    state_dir: state_dir.clone(),
                    disk_free_bytes: facts.guard.free_bytes(),
                    disk_floor_bytes: facts.guard.floor_bytes(),
                    edge: answer.recv_timeout(ASK_TIME_MAX).ok(),
                    keeper,
                    loader,
                };
                serde_json::to_value(report).map_err(to_json)
            }
            other => Err(format!("expected status or gaps, found {other}")),
        }
    };
    ControlServer::spawn(&config.control_socket, handler).map_err(|error| error.to_string())
}

fn start_signals(
    conf: &Path,
    mut config: ReceiverConfig,
    log: LogHandle,
    cluster_id: String,
    tell: &Arc<dyn Fn(EdgeMessage) + Send + Sync>,
    guard: &Arc<DiskGuard>,
) -> std::io::Result<Signals> {
    let (conf, tell, guard) = (conf.to_owned(), Arc::clone(tell), Arc::clone(guard));
    Signals::spawn(move |signal| match signal {
        Signal::Terminate => tell(EdgeMessage::Stop),
        Signal::Reload => {
            let new = match cli::load(&conf) {
                Ok(loaded) => loaded.config,
                Err(message) => {
                    tracing::error!("configuration not reread, the old one stays: {message}");
                    return;
                }
            };
            let outcome = config.reload(&new);
            tracing::info!(
                applied = outcome.applied.join(","),
                needs_restart = outcome.needs_restart.join(","),
                "configuration reread"
            );
            guard.set(config.disk_floor_bytes, config.disk_full_policy);
            if let Err(error) = log.set_level(config.log_level.as_str()) {
                tracing::error!("log level not changed: {error}");
            }
            tell(EdgeMessage::Settings(settings(&config, &cluster_id)));
        }
    })
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
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let descriptors =
        limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
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
