//! The event loop: the only place that owns sockets and timers.
//!
//! On it there is no file system call, no sync and no name look-up; those run on named threads and
//! come back as messages. One closed list of reasons to wake up: sockets, time, [`Message`].

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use anyhow::Context;
use anyhow::Result;
use mio::Events;
use mio::Poll;
use tidegate_config::PipeDefinition;
use tidegate_config::PipeName;
use tidegate_config::SenderConfig;
use tidegate_daemon::log::LogHandle;
use tidegate_daemon::rate_limit::RateLimited;
use tidegate_daemon::rate_limit::Verdict as LogVerdict;
use tidegate_daemon::signals::Signal;
use tidegate_daemon::supervise::Fatal;
use tidegate_daemon::supervise::Supervisor;
use tidegate_link::Time;
use tidegate_link::sending::Introduction;
use tidegate_link::sending::Lane;
use tidegate_link::sending::LaneConfig;
use tidegate_link::sending::RateLimit;
use tidegate_source::Effect;
use tidegate_source::Scan;

use crate::excerpts::Excerpts;
use crate::lane_slot::LaneSlot;
use crate::lane_slot::Waiting;
use crate::ledger::DatedGap;
use crate::ledger::LedgerReport;
use crate::ledger::LedgerRequest;
use crate::manager::Manage;
use crate::message::Message;
use crate::message::NotReady;
use crate::message::Outbox;
use crate::pinning::Pins;
use crate::pins::PinRequest;
use crate::pipe::GAPS_LISTED_MAX;
use crate::pipe::Pipe;
use crate::pipe::REWRITE_BYTES_MIN;
use crate::pipes::Definitions;
use crate::pipes::Identity;
use crate::pipes::PIPES_MAX;
use crate::pipes::PipeSetup;
use crate::reader;
use crate::reader::ReadRequest;
use crate::refusals::Refusals;
use crate::resolver::CallIds;
use crate::resolver::Resolver;
use crate::scanner::ScannerHandle;
use crate::settings::SourceFacts;
use crate::status;

/// The waker's token; lanes have the tokens behind it.
pub(crate) const WAKE: mio::Token = mio::Token(0);

/// The event loop.
pub(crate) struct Edge {
    pub(crate) poll: Poll,
    pub(crate) inbox: Receiver<Message>,
    pub(crate) fatals: Receiver<Fatal>,
    pub(crate) outbox: Outbox,
    pub(crate) supervisor: Supervisor,
    pub(crate) config: SenderConfig,
    pub(crate) facts: SourceFacts,
    pub(crate) identity: Identity,
    pub(crate) log: LogHandle,
    pub(crate) scanner: ScannerHandle,
    pub(crate) ledger: Sender<LedgerRequest>,
    pub(crate) manager: Sender<Manage>,
    pub(crate) pin: Sender<PinRequest>,
    pub(crate) excerpts: Arc<Excerpts>,
    pub(crate) state: State,
}

/// What the loop knows.
pub(crate) struct State {
    pub(crate) origin: Instant,
    pub(crate) started_ms: u64,
    pub(crate) pipes: BTreeMap<u64, Pipe>,
    /// Pipes that are defined but cannot run.
    pub(crate) broken_pipes: BTreeMap<String, Broken>,
    /// Pipes that were stopped: what comes when the ledger has closed their journals, by name.
    pub(crate) releasing: BTreeMap<String, Receiver<()>>,
    pub(crate) definition_faults: Vec<String>,
    /// Lanes by index; the place of one that ended is used again.
    pub(crate) lanes: Vec<Option<LaneSlot>>,
    pub(crate) next_pipe_id: u64,
    pub(crate) calls: CallIds,
    pub(crate) resolver: Resolver,
    /// Pipes being set up, by name.
    pub(crate) setting_up: BTreeMap<String, SettingUp>,
    pub(crate) last_scan: Option<Arc<Scan>>,
    pub(crate) pins: Pins,
    pub(crate) rate: Option<RateLimit>,
    pub(crate) disk_full: Option<String>,
    pub(crate) is_stopping: bool,
    pub(crate) n_turns: u64,
    pub(crate) n_slow_turns: u64,
    pub(crate) slowest_turn: Duration,
    pub(crate) lines_logged: RateLimited,
}

/// A pipe that is being set up.
#[derive(Debug)]
pub(crate) struct SettingUp {
    definition: PipeDefinition,
    /// The definition was changed or removed meanwhile.
    is_outdated: bool,
}

/// A pipe that cannot run.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) reason: String,
    /// Set where another try may help: a full disk has room again, say.
    retry: Option<(Time, PipeDefinition)>,
}

/// A pipe whose state could not be opened is tried again after this.
const SET_UP_AGAIN: Duration = Duration::from_secs(30);
/// A turn of the loop that takes longer than this is counted.
const SLOW_TURN: Duration = Duration::from_millis(50);
/// Messages handled in one turn; the rest waits for the next, so that sockets are not starved.
const MESSAGES_PER_TURN_MAX: usize = 256;
/// Files of a scan that each pipe looks at in one turn: a few milliseconds.
const FILES_PER_TURN: usize = 1000;
/// About so much a file takes in the cursor journal.
const RECORD_BYTES: u64 = 128;
/// Effects that the ledger is given before it has made them durable.
const EFFECTS_IN_LEDGER_MAX: usize = 8192;
/// The ledger writes and lets go of so many effects while the next ones are gathered.
const EFFECTS_PER_REQUEST_MAX: usize = 1024;
/// Log lines of one kind in a minute.
pub(crate) const LINES_PER_MINUTE_MAX: u32 = 6;

impl Edge {
    /// Runs until SIGTERM, or until something fails for good.
    pub(crate) fn run(&mut self) -> Result<()> {
        let mut events = Events::with_capacity(256);
        while !self.state.is_stopping {
            let timeout = self.time_to_next_deadline();
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other.context("waiting for events")?,
            }
            let turn = Instant::now();
            for event in &events {
                if let Some(lane) = event.token().0.checked_sub(1) {
                    self.handle_line(lane);
                }
            }
            let n_messages = self.handle_messages()?;
            if n_messages == MESSAGES_PER_TURN_MAX {
                // There may be more; come back without waiting.
                self.outbox.wake();
            }
            self.take_in_scans();
            self.handle_timeouts();
            self.drive();
            self.count_turn(turn.elapsed());
        }
        Ok(())
    }

    /// Ends all connections and makes everything durable; bounded in time by the caller.
    pub(crate) fn shut_down(&mut self) {
        for at in 0..self.state.lanes.len() {
            self.end_lane(at);
        }
        self.scanner.stop();
        let _ = self.ledger.send(LedgerRequest::Stop);
    }

    /// The present, on the clock that the state machines are driven by.
    pub(crate) fn now(&self) -> Time {
        let micros = self.state.origin.elapsed().as_micros();
        Time::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// Writes a warning, unless lines of that kind have filled their minute.
    pub(crate) fn warn(&mut self, kind: &str, text: &str) {
        log_warning(&mut self.state.lines_logged, kind, text);
    }

    /// Says once a minute or so which warnings were held back.
    fn sweep_log(&mut self) {
        for (kind, n_held_back) in self.state.lines_logged.sweep(Instant::now()) {
            tracing::warn!(n_held_back, "more of: {kind}");
        }
    }

    /// Hands what a source decided to the ledger.
    pub(crate) fn persist(&mut self, id: u64) {
        let Some(pipe) = self.state.pipes.get_mut(&id) else { return };
        let mut effects = Vec::new();
        // The source keeps the others in less room until these are durable.
        while pipe.n_effects_pending < EFFECTS_IN_LEDGER_MAX
            && let Some(effect) = pipe.source.poll_effect()
        {
            if let Effect::Gap(gap) = &effect {
                let name = pipe.definition.name.as_str();
                let kind = format!("pipe {name}: gap: {}", gap.reason.key());
                log_warning(
                    &mut self.state.lines_logged,
                    &kind,
                    &format!("pipe {name}: gap: {gap}"),
                );
                pipe.n_gaps += 1;
                if pipe.gaps.len() == GAPS_LISTED_MAX {
                    pipe.gaps.pop_front();
                }
                let recorded_ms = wall_clock_ms();
                pipe.gaps.push_back(DatedGap { recorded_ms, gap: gap.clone() });
            }
            effects.push(effect);
            pipe.n_effects_pending += 1;
            if effects.len() == EFFECTS_PER_REQUEST_MAX {
                let effects = std::mem::take(&mut effects);
                // A ledger that is gone has reported why.
                let _ = self.ledger.send(LedgerRequest::Append { pipe: id, effects });
            }
        }
        if !effects.is_empty() {
            let _ = self.ledger.send(LedgerRequest::Append { pipe: id, effects });
        }
    }

    /// Ends a lane: its connection by RST, its reader in order.
    pub(crate) fn end_lane(&mut self, at: usize) {
        let Some(mut slot) = self.state.lanes.get_mut(at).and_then(Option::take) else { return };
        self.state.resolver.forget(at);
        slot.drop_reading();
        let _ = slot.reader.send(ReadRequest::Stop);
        if let Some(line) = slot.line {
            line.reset(self.poll.registry());
        }
    }

    fn handle_messages(&mut self) -> Result<usize> {
        if let Ok(fatal) = self.fatals.try_recv() {
            anyhow::bail!("{fatal}");
        }
        for n_handled in 0..MESSAGES_PER_TURN_MAX {
            let Ok(message) = self.inbox.try_recv() else { return Ok(n_handled) };
            match message {
                Message::Control { request, answer } => {
                    // Who asked may have given up waiting.
                    let _ = answer.send(status::answer(self, &request));
                }
                Message::Definitions(read) => self.handle_definitions(read),
                Message::Ledger(report) => self.handle_ledger(report)?,
                Message::LookedUp(found) => self.handle_resolved(found),
                Message::Pinned(report) => self.handle_pinned(report),
                Message::PipeReady(result) => self.handle_pipe_ready(result)?,
                Message::Read { lane, pipe, report } => self.handle_read(lane, pipe, report),
                Message::Reloaded(loaded) => self.handle_reloaded(loaded),
                Message::Scanned(scan) => self.handle_scan(scan),
                Message::Signal(Signal::Reload) => {
                    tracing::info!("SIGHUP: reading the configuration and the pipes again");
                    let _ = self.manager.send(Manage::Reload);
                }
                Message::Signal(Signal::Terminate) => {
                    tracing::info!("asked to end");
                    self.state.is_stopping = true;
                }
            }
        }
        Ok(MESSAGES_PER_TURN_MAX)
    }

    fn handle_scan(&mut self, scan: Arc<Scan>) {
        for unread in &scan.unread {
            self.warn(&unread.reason, &unread.reason);
        }
        let now = self.now();
        for pipe in self.state.pipes.values_mut() {
            pipe.source.begin_scan(now, Arc::clone(&scan));
        }
        self.state.last_scan = Some(scan);
        self.state.pins.handle_scan();
        self.set_up_broken();
        self.sweep_log();
    }

    /// Lets each source take in a part of its scan; a large one takes many turns of the loop.
    fn take_in_scans(&mut self) {
        let ids: Vec<u64> = self.state.pipes.keys().copied().collect();
        let mut are_all_in = true;
        for id in ids {
            let pipe = self.state.pipes.get_mut(&id);
            let more = pipe.is_some_and(|pipe| pipe.source.take_in(FILES_PER_TURN));
            if more {
                are_all_in = false;
                self.outbox.wake();
            }
            self.persist(id);
            if let Some(pipe) = self.state.pipes.get_mut(&id)
                && pipe.source.wants_scan()
                && pipe.scan_wanted_at != pipe.source.n_scans()
            {
                pipe.scan_wanted_at = pipe.source.n_scans();
                self.scanner.scan_soon();
            }
        }
        if are_all_in {
            self.ask_for_pins();
        }
    }

    fn handle_ledger(&mut self, report: LedgerReport) -> Result<()> {
        match report {
            LedgerReport::Durable { pipe, n_effects, cursor_bytes } => {
                self.state.disk_full = None;
                let Some(known) = self.state.pipes.get_mut(&pipe) else { return Ok(()) };
                known.n_effects_pending -= n_effects;
                known.source.handle_durable(n_effects);
                self.persist(pipe);
                let Some(known) = self.state.pipes.get_mut(&pipe) else { return Ok(()) };
                // What is not polled yet would stand behind what it came before.
                let live_bytes = known.source.n_files() as u64 * RECORD_BYTES;
                if cursor_bytes >= known.rewrite_at_bytes.max(2 * live_bytes)
                    && !known.source.has_effects()
                {
                    let records = known.source.live_records();
                    known.rewrite_at_bytes = u64::MAX; // until the ledger answers
                    let _ = self.ledger.send(LedgerRequest::Rewrite { pipe, records });
                }
                Ok(())
            }
            LedgerReport::Rewritten { pipe, cursor_bytes } => {
                if let Some(known) = self.state.pipes.get_mut(&pipe) {
                    // Half of it may be of files that are gone before it is worth another round.
                    known.rewrite_at_bytes = cursor_bytes.saturating_mul(2).max(REWRITE_BYTES_MIN);
                }
                Ok(())
            }
            LedgerReport::DiskFull { reason } => {
                let text = format!("nothing is acknowledged until there is room: {reason}");
                self.warn("disk full", &text);
                self.state.disk_full = Some(reason);
                Ok(())
            }
            LedgerReport::Fatal { reason } => anyhow::bail!("{reason}"),
        }
    }

    fn handle_reloaded(
        &mut self,
        loaded: Result<Box<tidegate_config::Loaded<SenderConfig>>, String>,
    ) {
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(reason) => {
                tracing::error!("the configuration was not taken over: {reason}");
                return;
            }
        };
        for notice in &loaded.notices {
            tracing::info!("{notice}");
        }
        let outcome = self.config.reload(&loaded.config);
        for key in &outcome.applied {
            tracing::info!(key, "changed and applied");
        }
        for key in &outcome.needs_restart {
            tracing::warn!(key, "changed, but read at start only: restart to apply it");
        }
        self.scanner.set_interval_ms(self.config.rescan_interval_ms);
        self.state.rate = self.config.all_sinks_rate_limit_bytes_per_second.map(RateLimit::new);
        for slot in self.state.lanes.iter_mut().flatten() {
            // Under the new limit it may leave long before.
            if let Waiting::Rate { until, .. } = &mut slot.waiting {
                *until = Time::default();
            }
        }
        let interval_min = Duration::from_millis(self.config.reconnect_interval_min_ms);
        for pipe in self.state.pipes.values_mut() {
            pipe.peers.set_interval_min(interval_min);
        }
        let reply_timeout = Duration::from_millis(self.config.pipe_connector_timeout_ms);
        for slot in self.state.lanes.iter_mut().flatten() {
            slot.lane.set_reply_timeout(reply_timeout);
        }
        if let Err(error) = self.log.set_level(self.config.log_level.as_str()) {
            tracing::error!("sender_log_level: {error}");
        }
    }

    /// Brings the running pipes in line with what the pipe directory says.
    fn handle_definitions(&mut self, read: Result<Definitions, String>) {
        let found = match read {
            Ok(found) => found,
            Err(reason) => {
                tracing::error!("the pipes stay as they are: {reason}");
                self.state.definition_faults = vec![reason];
                return;
            }
        };
        for fault in &found.faults {
            tracing::error!("a pipe definition cannot be used: {fault}");
        }
        for exposed in &found.exposed {
            tracing::warn!("{exposed}");
        }
        self.state.pins.knows_all_pipes = found.faults.is_empty();
        self.state.definition_faults = found.faults;
        self.state.broken_pipes.clear();
        let ids: Vec<u64> = self.state.pipes.keys().copied().collect();
        for id in ids {
            let pipe = &self.state.pipes[&id];
            let name = pipe.definition.name.as_str().to_owned();
            if found.faulty.contains(&name) {
                tracing::warn!(pipe = %name, "goes on by its earlier definition");
            } else if found.sound.get(&name) != Some(&pipe.definition) {
                self.remove_pipe(id);
            }
        }
        for (name, setting_up) in &mut self.state.setting_up {
            setting_up.is_outdated = found.sound.get(name) != Some(&setting_up.definition);
        }
        for (name, definition) in found.sound {
            let runs = self.state.pipes.values().any(|it| it.definition.name.as_str() == name);
            if runs || self.state.setting_up.contains_key(&name) {
                continue;
            }
            // Those that go on by an earlier definition count as well.
            if self.state.pipes.len() + self.state.setting_up.len() >= PIPES_MAX {
                let fault = format!("pipe {name}: expected at most {PIPES_MAX} pipes to run");
                tracing::error!("{fault}");
                self.state.definition_faults.push(fault);
                continue;
            }
            self.set_up(definition);
        }
        if self.state.pipes.is_empty() && self.state.setting_up.is_empty() {
            let dir = self.config.pipe_dir();
            tracing::warn!(dir = %dir.display(), "no pipe is defined: nothing is sent");
        }
    }

    /// Has a pipe's state opened.
    fn set_up(&mut self, definition: PipeDefinition) {
        let name = definition.name.as_str().to_owned();
        let id = self.state.next_pipe_id;
        self.state.next_pipe_id += 1;
        let released = self.state.releasing.remove(&name);
        let asked = Manage::SetUp { id, definition: Box::new(definition.clone()), released };
        self.state.setting_up.insert(name, SettingUp { definition, is_outdated: false });
        let _ = self.manager.send(asked);
    }

    /// Tries pipes again whose state could not be opened.
    fn set_up_broken(&mut self) {
        let now = self.now();
        let is_due = |broken: &Broken| broken.retry.as_ref().is_some_and(|(at, _)| *at <= now);
        let due = self.state.broken_pipes.extract_if(.., |_, broken| is_due(broken));
        let due: Vec<_> = due.filter_map(|(_, broken)| broken.retry).collect();
        for (_, definition) in due {
            self.set_up(definition);
        }
    }

    /// Stops a pipe.
    fn remove_pipe(&mut self, id: u64) {
        let Some(pipe) = self.state.pipes.remove(&id) else { return };
        tracing::info!(pipe = %pipe.definition.name, "stopped");
        for at in pipe.lanes {
            self.end_lane(at);
        }
        let (done, released) = std::sync::mpsc::channel();
        self.state.releasing.insert(pipe.definition.name.as_str().to_owned(), released);
        let _ = self.ledger.send(LedgerRequest::Release { pipe: id, done });
    }

    fn handle_pipe_ready(&mut self, result: Result<Box<PipeSetup>, NotReady>) -> Result<()> {
        let name = match &result {
            Ok(setup) => setup.definition.name.as_str().to_owned(),
            Err(not_ready) => not_ready.name.clone(),
        };
        let asked = self.state.setting_up.remove(&name);
        let is_outdated = asked.as_ref().is_none_or(|asked| asked.is_outdated);
        let mut setup = match result {
            Ok(setup) if !is_outdated => setup,
            Ok(setup) => {
                drop(setup);
                let _ = self.manager.send(Manage::ReadDefinitions);
                return Ok(());
            }
            Err(NotReady { reason, released, .. }) => {
                if let Some(released) = released {
                    self.state.releasing.insert(name.clone(), released);
                }
                if is_outdated {
                    let _ = self.manager.send(Manage::ReadDefinitions);
                    return Ok(());
                }
                let seconds = SET_UP_AGAIN.as_secs();
                let text = format!("pipe {name} cannot run, next try in {seconds} s: {reason}");
                self.warn(&text, &text);
                let again = self.now() + SET_UP_AGAIN;
                let retry = asked.map(|asked| (again, asked.definition));
                self.state.broken_pipes.insert(name, Broken { reason, retry });
                return Ok(());
            }
        };
        let id = setup.id;
        for damage in &setup.damage {
            tracing::error!(pipe = %name, "{damage}");
        }
        for note in &setup.definition.notes {
            tracing::warn!(pipe = %name, "{note}");
        }
        setup.source.handle_pins(Arc::clone(&self.state.pins.pinned));
        if let Some(scan) = &self.state.last_scan {
            setup.source.begin_scan(self.now(), Arc::clone(scan));
        }
        let interval_min = Duration::from_millis(self.config.reconnect_interval_min_ms);
        let (mut pipe, journals) = match Pipe::new(*setup, &self.facts, interval_min) {
            Ok(made) => made,
            Err(reason) => {
                tracing::error!(pipe = %name, "cannot run: {reason}");
                self.state.broken_pipes.insert(name, Broken { reason, retry: None });
                return Ok(());
            }
        };
        let _ = self.ledger.send(LedgerRequest::Adopt { pipe: id, journals });
        for number in 0..pipe.n_lanes() {
            let slot = self.make_lane(id, number, &pipe)?;
            pipe.lanes.push(slot);
        }
        tracing::info!(
            pipe = %name, lanes = pipe.lanes.len(), dialect = %pipe.wanted_dialect(),
            gateway = pipe.definition.connector.gateway.name, "running"
        );
        self.state.pipes.insert(id, pipe);
        self.persist(id);
        Ok(())
    }

    /// Makes a lane and its reader thread; says where in the loop's list it is.
    fn make_lane(&mut self, pipe_id: u64, number: usize, pipe: &Pipe) -> Result<usize> {
        let free = self.state.lanes.iter().position(Option::is_none);
        let at = free.unwrap_or(self.state.lanes.len());
        let connector = &pipe.definition.connector;
        let name = &pipe.definition.name;
        let id = self.identity.id.to_string();
        let lane = Lane::new(LaneConfig {
            n_peers: connector.node_urls.len(),
            first_peer: number % connector.node_urls.len(),
            introduction: Introduction {
                cluster_id: id.clone(),
                precision: self.facts.precision,
                user: connector.user.clone(),
                password: connector.password.reveal().to_owned(),
                sender: id,
                stream: format!("{}/{number}", stream_name(name)),
                epoch: self.identity.epoch_of_pipe(pipe_id),
            },
            dialect: pipe.dialect,
            piece_bytes: connector.piece_bytes_max(),
            handshake_timeout: Duration::from_millis(connector.handshake_timeout_ms),
            reply_timeout: Duration::from_millis(self.config.pipe_connector_timeout_ms),
            idle_close: Duration::from_millis(connector.gateway.idle_close_ms),
            backoff_min: Duration::from_millis(connector.gateway.backoff_min_ms),
            backoff_max: Duration::from_millis(connector.gateway.backoff_max_ms),
            seed: self.identity.epoch ^ self.identity.id.as_u64_pair().0 ^ number as u64,
        });
        let (reader, requests) = std::sync::mpsc::channel();
        let outbox = self.outbox.clone();
        let pins = Arc::clone(&self.state.pins.store);
        let excerpts = Arc::clone(&self.excerpts);
        let thread = format!("read-{}-{number}", name.escaped());
        let spawned = self.supervisor.spawn(&thread, move || {
            reader::run(&requests, &pins, &excerpts, |report| {
                outbox.send(Message::Read { lane: at, pipe: pipe_id, report });
            });
            Ok::<(), String>(())
        });
        spawned.with_context(|| format!("starting the reader of pipe {name}"))?;
        let slot = LaneSlot {
            pipe: pipe_id,
            number,
            lane,
            line: None,
            looking_up: None,
            reader,
            cargo: None,
            sends_deletions: connector.sends_deletions,
            pieces: VecDeque::new(),
            waiting: Waiting::Nothing,
            points_wait: None,
            next_port: 0,
            bytes_sent: 0,
            refusals: Refusals::default(),
        };
        match self.state.lanes.get_mut(at) {
            Some(place) => *place = Some(slot),
            None => self.state.lanes.push(Some(slot)),
        }
        Ok(at)
    }

    fn count_turn(&mut self, took: Duration) {
        self.state.n_turns += 1;
        self.state.slowest_turn = self.state.slowest_turn.max(took);
        if took > SLOW_TURN {
            self.state.n_slow_turns += 1;
        }
    }
}

/// A pipe's name as it goes into the handshake: receivers show it in their logs.
fn stream_name(name: &PipeName) -> String {
    if name.as_str().contains(char::is_control) { name.escaped() } else { name.to_string() }
}

fn log_warning(lines_logged: &mut RateLimited, kind: &str, text: &str) {
    match lines_logged.admit(Instant::now(), kind) {
        LogVerdict::Write { n_held_back: 0 } => tracing::warn!("{text}"),
        LogVerdict::Write { n_held_back } => tracing::warn!(n_held_back, "{text}"),
        LogVerdict::HoldBack => (),
    }
}

/// Milliseconds since 1970.
pub(crate) fn wall_clock_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
