//! `tidegate-sender run`: starts the threads, runs the loop, ends in order.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::channel;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use mio::Poll;
use mio::Waker;
use tidegate_config::Watch;
use tidegate_daemon::control::ControlServer;
use tidegate_daemon::lock::StateLock;
use tidegate_daemon::log;
use tidegate_daemon::rate_limit::RateLimited;
use tidegate_daemon::signals::Signals;
use tidegate_daemon::supervise::Grace;
use tidegate_daemon::supervise::Supervisor;
use tidegate_link::sending::RateLimit;

use crate::catalog::Catalog;
use crate::catalog::CatalogConfig;
use crate::edge::Edge;
use crate::edge::LINES_PER_MINUTE_MAX;
use crate::edge::State;
use crate::edge::WAKE;
use crate::edge::wall_clock_ms;
use crate::ledger;
use crate::manager;
use crate::manager::Manage;
use crate::manager::Places;
use crate::message::Message;
use crate::message::Outbox;
use crate::pinning::Pins;
use crate::pins::Pinner;
use crate::pipes::Identity;
use crate::resolver::CallIds;
use crate::resolver::Resolver;
use crate::scanner::Hints;
use crate::scanner::Scanner;
use crate::settings;

/// After a fatal error the process ends within this, whatever hangs.
const GRACE: Duration = Duration::from_secs(4);
/// A control request that the loop has not answered within this is given up.
const CONTROL_ANSWER_MAX: Duration = Duration::from_secs(5);

/// Runs the daemon until it is told to end.
pub(crate) fn run(conf: &Path) -> Result<()> {
    let loaded = settings::load(conf)?;
    let config = loaded.config;
    let log = log::init(config.log_level.as_str())?;
    for notice in &loaded.notices {
        tracing::info!("{notice}");
    }
    let facts = settings::survey(&config)?;
    for notice in &facts.notices {
        tracing::info!("{notice}");
    }
    let _lock = StateLock::acquire(&config.state_dir)?;
    let identity = Identity::open(&config.state_dir)?;
    let poll = Poll::new().context("making the event loop")?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKE).context("making the event loop")?);
    let (sender, inbox) = channel();
    let outbox = Outbox::new(sender, Arc::clone(&waker));
    let wake = outbox.clone();
    let (supervisor, fatals) = Supervisor::new(Grace::ExitAfter(GRACE), move || wake.wake());
    let signals = outbox.clone();
    let _signals = Signals::spawn(move |signal| signals.send(Message::Signal(signal)))
        .context("catching signals")?;

    let hints = match config.watch {
        Watch::Auto => Hints::Inotify,
        Watch::Off => Hints::None,
    };
    let catalog = Catalog::new(CatalogConfig {
        data_dirs: facts.data_dirs.clone(),
        dn_system_dir: facts.dn_system_dir.clone(),
        mods_bytes_max: config.mods_bytes_max,
        drop_policy: facts.drop_policy,
        replicas: facts.replicas.clone(),
    });
    let scanner =
        Scanner::new(catalog, config.rescan_interval_ms, hints).context("starting the scanner")?;
    let mut pinner =
        Pinner::open(settings::pin_config(&config)).context("opening sender_pin_dirs")?;
    let pins = Pins::new(&mut pinner);
    let excerpts = settings::excerpts(&config).context("opening the directory of excerpts")?;
    let (pin, pin_inbox) = channel();
    let (ledger, ledger_inbox) = channel();
    let (manager, manager_inbox) = channel();
    let places = Places {
        conf: conf.to_owned(),
        state_dir: config.state_dir.clone(),
        pipe_dir: config.pipe_dir(),
        source: settings::source_config(&config, &facts),
    };
    let scanner_handle = scanner.handle();
    let to = outbox.clone();
    supervisor
        .spawn("scanner", move || scanner.run(|scan| to.send(Message::Scanned(Arc::new(scan)))))?;
    let to = outbox.clone();
    supervisor.spawn("pinner", move || {
        pinner.run(&pin_inbox, |report| to.send(Message::Pinned(report)));
        Ok::<(), String>(())
    })?;
    let to = outbox.clone();
    let ledger_thread = supervisor.spawn("ledger", move || {
        ledger::run(&ledger_inbox, |report| to.send(Message::Ledger(report)));
        Ok::<(), String>(())
    })?;
    let to = outbox.clone();
    supervisor.spawn("manager", move || {
        manager::run(&places, &manager_inbox, &to);
        Ok::<(), String>(())
    })?;
    let to = outbox.clone();
    let control = ControlServer::spawn(&config.control_socket, move |request| {
        let (answer, answered) = channel();
        to.send(Message::Control { request, answer });
        answered.recv_timeout(CONTROL_ANSWER_MAX).unwrap_or_else(|error| match error {
            RecvTimeoutError::Disconnected => Err("the daemon is ending".to_owned()),
            RecvTimeoutError::Timeout => Err("the event loop does not answer".to_owned()),
        })
    })?;
    // The manager runs until the loop is gone.
    let _ = manager.send(Manage::ReadDefinitions);
    tracing::info!(
        epoch = identity.epoch, sender = %identity.id, precision = %facts.precision,
        iotdb = facts.iotdb_version.as_deref().unwrap_or("of unknown version"),
        "tidegate-sender {} runs; unsealed files are not sent until IoTDB seals them",
        env!("CARGO_PKG_VERSION")
    );
    let state = State {
        origin: Instant::now(),
        started_ms: wall_clock_ms(),
        pipes: BTreeMap::new(),
        broken_pipes: BTreeMap::new(),
        definition_faults: Vec::new(),
        lanes: Vec::new(),
        next_pipe_id: 1,
        calls: CallIds::default(),
        resolver: Resolver::default(),
        releasing: BTreeMap::new(),
        pins,
        setting_up: BTreeMap::new(),
        last_scan: None,
        rate: config.all_sinks_rate_limit_bytes_per_second.map(RateLimit::new),
        disk_full: None,
        is_stopping: false,
        n_turns: 0,
        n_slow_turns: 0,
        slowest_turn: Duration::ZERO,
        lines_logged: RateLimited::new(LINES_PER_MINUTE_MAX),
    };
    let mut edge = Edge {
        poll,
        inbox,
        fatals,
        outbox,
        supervisor,
        config,
        facts,
        identity,
        log,
        scanner: scanner_handle,
        ledger,
        manager,
        pin,
        excerpts: Arc::new(excerpts),
        state,
    };
    let result = edge.run();
    edge.shut_down();
    // Whoever still asks hears at once that nobody will answer: the control thread waits for them.
    drop(edge);
    drop(control);
    join_within(ledger_thread, GRACE);
    match &result {
        Ok(()) => tracing::info!("ended in order"),
        Err(error) => tracing::error!("ended: {error:#}"),
    }
    result
}

/// Waits for a thread, but not for ever: what it still writes is not needed for a right restart.
fn join_within(thread: std::thread::JoinHandle<()>, time_max: Duration) {
    let (done, joined) = channel();
    std::thread::spawn(move || {
        let _ = thread.join();
        let _ = done.send(());
    });
    if joined.recv_timeout(time_max).is_err() {
        tracing::warn!("the state directory does not answer; ending all the same");
    }
}
