//! The one thread that owns what is durable: spool, origins, gaps, dedup tail.
//!
//! It takes everything that waits, appends it, syncs once, and only then lets the outcomes out. A
//! full disk makes what could not be kept wait; any other failure ends the thread and with it the
//! daemon, before anything more is acknowledged.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::Sender;
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use sha2::Digest;
use sha2::Sha256;
use tidegate_config::DiskFullPolicy;
use tidegate_daemon::rate_limit::RateLimited;
use tidegate_daemon::rate_limit::Verdict as LogVerdict;
use tidegate_durable::RecordDraft;
use tidegate_durable::Storage;
use tidegate_durable::WriteError;
use tidegate_link::receiving::Seal;
use tidegate_link::receiving::Submit;
use tidegate_model::Precision;

use crate::buffers::Charge;
use crate::dedup::Fingerprint;
use crate::dedup::Lane;
use crate::disk::DiskGuard;
use crate::gaps::Gap;
use crate::gaps::Inbox;
use crate::gaps::Outcome;
use crate::ingest::Deferred;
use crate::ingest::Fault;
use crate::ingest::Greeting;
use crate::ingest::OutcomeSink;
use crate::ingest::Peer;
use crate::ingest::Verdict;
use crate::records;
use crate::records::RecordKind;
use crate::records::StagedFile;
use crate::state::Item;
use crate::state::State;
use crate::status::GapReport;
use crate::status::KeeperReport;
use crate::writer;

/// How often a full disk is looked at again while something waits for it.
const ROOM_POLL: Duration = Duration::from_millis(250);
/// Log lines of one kind in a minute.
const LINES_PER_MINUTE: u32 = 30;
/// Most operations that share one sync.
const BATCH_MAX: usize = 256;

/// What the keeper is asked to do.
pub(crate) enum KeeperOp {
    /// Everything up to this record is in the stores: outdated segments may go.
    Applied(u64),
    /// How things stand.
    Ask(SyncSender<KeeperReport>),
    /// The gaps one by one, which are many.
    AskGaps(SyncSender<Vec<GapReport>>),
    /// Files are durable: make them an item.
    Commit(CommitJob),
    /// A connection is over: what of it still waits is forgotten.
    DropConnection { connection: u64 },
    /// Leave gap records.
    Gaps(Arc<Inbox>),
    /// Compare a handshake with what is remembered.
    Greet(Greeting),
    /// Leave gap records, and say whether they are durable or why not.
    Lost(Vec<Gap>, SyncSender<Result<(), String>>),
    /// The peer has seen the last answer.
    Prove { connection: u64 },
    /// The loader went on: outdated segments may go.
    Retain,
    /// Remember what has become of items that were lost.
    Settled { origin: String, items: Vec<String>, outcome: Outcome },
    /// The daemon ends.
    Stop,
    /// Keep a request.
    Submit(SubmitJob),
}

/// Durable files and the seal they belong to.
pub(crate) struct CommitJob {
    pub(crate) peer: Peer,
    pub(crate) token: u64,
    pub(crate) seal: Seal,
    pub(crate) files: Vec<StagedFile>,
}

/// A request to be kept.
pub(crate) struct SubmitJob {
    pub(crate) peer: Peer,
    pub(crate) token: u64,
    pub(crate) submit: Submit,
    /// The request's memory, which others may want.
    pub(crate) _charge: Charge,
}

/// Where the thread gets and leaves its work.
pub(crate) struct KeeperPorts {
    pub(crate) ops: Receiver<KeeperOp>,
    pub(crate) outcomes: OutcomeSink,
    pub(crate) loader: Sender<crate::loader::LoaderOp>,
}

/// The thread's state.
pub(crate) struct Keeper<S: Storage> {
    ports: KeeperPorts,
    guard: Arc<DiskGuard>,
    state: State<S>,
    precision: Option<Precision>,
    /// Appended, not yet synced.
    pending: Vec<Pending>,
    /// What found no room.
    waiting: Vec<KeeperOp>,
    /// When to look again whether there is some, whatever else goes on.
    look_again: Instant,
    log: RateLimited,
}

/// An appended item.
struct Pending {
    item: Item,
    lane: Lane,
    fingerprint: Option<Fingerprint>,
    op: KeeperOp,
}

impl<S: Storage> Keeper<S> {
    pub(crate) fn new(
        ports: KeeperPorts,
        guard: Arc<DiskGuard>,
        state: State<S>,
        precision: Option<Precision>,
    ) -> Self {
        let (pending, waiting) = (Vec::new(), Vec::new());
        let (look_again, log) = (Instant::now(), RateLimited::new(LINES_PER_MINUTE));
        Self { ports, guard, state, precision, pending, waiting, look_again, log }
    }

    /// Runs until it is told to stop or the disk fails.
    pub(crate) fn run(mut self) -> Result<(), WriteError> {
        loop {
            let look_again = (!self.waiting.is_empty()).then_some(self.look_again);
            let op = match look_again.into_iter().chain(self.log.due()).min() {
                None => self.ports.ops.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => {
                    let pause = due.saturating_duration_since(Instant::now());
                    self.ports.ops.recv_timeout(pause)
                }
            };
            self.tell_held_back();
            let mut batch = self.what_may_go_on();
            match op {
                Ok(op) => batch.push(op),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.state.close(),
            }
            if batch.is_empty() {
                continue;
            }
            batch.extend(self.ports.ops.try_iter().take(BATCH_MAX));
            let mut is_last = false;
            for op in batch {
                is_last |= matches!(op, KeeperOp::Stop);
                self.take(op)?;
            }
            self.settle()?;
            if is_last {
                return self.state.close();
            }
        }
    }

    /// Says which lines were held back, once their minute is over.
    fn tell_held_back(&mut self) {
        let now = Instant::now();
        if self.log.due().is_some_and(|due| due <= now) {
            for (kind, n_held_back) in self.log.sweep(now) {
                tracing::info!(n_held_back, "more of: {kind}");
            }
        }
    }

    /// What waits, when it is time for another try and there may be room.
    fn what_may_go_on(&mut self) -> Vec<KeeperOp> {
        let now = Instant::now();
        if self.waiting.is_empty() || now < self.look_again {
            return Vec::new();
        }
        self.look_again = now + ROOM_POLL;
        match !self.guard.look() && self.guard.policy() == DiskFullPolicy::Withhold {
            true => Vec::new(),
            false => core::mem::take(&mut self.waiting),
        }
    }

    fn take(&mut self, op: KeeperOp) -> Result<(), WriteError> {
        match op {
            KeeperOp::Applied(position) => {
                self.settle()?;
                self.state.let_go(position);
                tolerate_full(self.state.checkpoint())?;
                tolerate_full(self.state.spool.retain().map(drop))?;
                Ok(())
            }
            KeeperOp::Ask(reply) => {
                let report = self.state.report(self.waiting.len());
                // a client that has gone away needs no answer
                let _ = reply.try_send(report);
                Ok(())
            }
            KeeperOp::AskGaps(reply) => {
                let _ = reply.try_send(self.state.gaps.list().map(GapReport::of).collect());
                Ok(())
            }
            KeeperOp::Commit(job) => self.commit(job),
            KeeperOp::DropConnection { connection } => self.forget(connection),
            KeeperOp::Gaps(inbox) => {
                inbox.take().into_iter().try_for_each(|(gap, count)| self.note_gap(gap, count))
            }
            KeeperOp::Lost(gaps, reply) => {
                gaps.into_iter().try_for_each(|gap| self.note_lost(gap))?;
                self.settle()?;
                // what found no room above is still to be written: not before that is it durable
                let full = tolerate_full(self.state.gaps.sync())?;
                // a loader that is gone has said why
                let _ = reply.try_send(full.map_or(Ok(()), Err));
                Ok(())
            }
            KeeperOp::Greet(greeting) => self.greet(greeting),
            KeeperOp::Prove { connection } => {
                self.state.tail.prove(connection);
                Ok(())
            }
            KeeperOp::Retain => {
                self.settle()?;
                tolerate_full(self.state.spool.retain().map(drop))?;
                Ok(())
            }
            KeeperOp::Settled { origin, items, outcome } => {
                let outcome = (outcome, now_ms());
                tolerate_full(self.state.gaps.settle(&origin, &items, outcome)).map(drop)
            }
            KeeperOp::Stop => Ok(()),
            KeeperOp::Submit(job) => self.submit(job),
        }
    }

    fn note_gap(&mut self, gap: Gap, count: u64) -> Result<(), WriteError> {
        tolerate_full(self.state.gaps.note(gap, count, now_ms())).map(drop)
    }

    /// What was lost names its record, so one that is known is the same one, told again.
    fn note_lost(&mut self, gap: Gap) -> Result<(), WriteError> {
        match self.state.gaps.has(&gap) {
            true => Ok(()),
            false => self.note_gap(gap, 1),
        }
    }

    fn greet(&mut self, greeting: Greeting) -> Result<(), WriteError> {
        // an answer here promises that nothing handed in before is still undecided
        self.settle()?;
        let Greeting { peer, token } = greeting;
        let greeted = self.state.registry.greet(peer.connection, &peer.hello, self.precision);
        self.answer(
            peer.connection,
            token,
            match greeted {
                Ok(()) => Verdict::Accepted,
                Err(fault) => Verdict::Refused(Fault::Handshake(fault)),
            },
        );
        Ok(())
    }

    fn submit(&mut self, job: SubmitJob) -> Result<(), WriteError> {
        let (connection, token) = (job.peer.connection, job.token);
        if !self.guard.look() {
            let reason = self.guard.reason();
            match self.guard.policy() {
                DiskFullPolicy::Refuse => {
                    let item = job.submit.kind.as_str().to_owned();
                    let fault = Fault::Item { item, reason };
                    self.answer(connection, token, Verdict::Refused(fault));
                }
                DiskFullPolicy::Withhold => {
                    self.answer(connection, token, Verdict::Temporary { reason });
                    self.waiting.push(KeeperOp::Submit(job));
                }
            }
            return Ok(());
        }
        let kind = RecordKind::of_submit(job.submit.kind);
        let payload = records::encode_request(&job.peer.hello, &job.submit.request);
        self.append(kind, &payload, None, KeeperOp::Submit(job))
    }

    fn commit(&mut self, job: CommitJob) -> Result<(), WriteError> {
        let connection = job.peer.connection;
        let kind = RecordKind::of_seal(job.seal.kind);
        let seal_sha256 = Sha256::digest(&job.seal.request).into();
        let fingerprint = Fingerprint::of(kind, seal_sha256, &job.files);
        if self.pending.iter().any(|pending| pending.fingerprint.as_ref() == Some(&fingerprint)) {
            self.settle()?;
        }
        let lane = Lane::of_hello(&job.peer.hello);
        if let Some(sequence) = self.state.tail.repeated(connection, &lane, &fingerprint) {
            let name = job.files.last().map_or("", |file| file.name.as_str());
            let verdict = self.log.admit(Instant::now(), "repeated files");
            if let LogVerdict::Write { n_held_back } = verdict {
                tracing::info!(
                    sequence,
                    origin = %lane.origin,
                    file = name,
                    more = (n_held_back > 0).then_some(n_held_back),
                    "repeated file, kept once already"
                );
            }
            self.state.repeated_files = self.state.repeated_files.saturating_add(1);
            self.remove_staged(&job.files);
            self.answer(connection, job.token, Verdict::Accepted);
            return Ok(());
        }
        let (hello, seal) = (&job.peer.hello, &job.seal);
        let payload = records::encode_files(hello, &job.files, &seal.parameters, &seal.request);
        self.append(kind, &payload, Some(fingerprint), KeeperOp::Commit(job))
    }

    fn append(
        &mut self,
        kind: RecordKind,
        payload: &[u8],
        fingerprint: Option<Fingerprint>,
        op: KeeperOp,
    ) -> Result<(), WriteError> {
        let Some((Peer { connection, hello }, token)) = asked_by(&op) else { return Ok(()) };
        let connection = *connection;
        // before the record, so that no item is kept of a sender that a restart does not know
        if let Err(error) = self.state.registry.remember(hello) {
            return match error.is_fatal() {
                true => Err(error),
                false => {
                    self.wait(op, &error);
                    self.settle()
                }
            };
        }
        let (arrival_ms, dialect) = (now_ms(), records::dialect_code(hello));
        let draft = RecordDraft {
            kind: kind.code(),
            dialect,
            flags: 0,
            origin: hello.origin.as_str(),
            connection,
            arrival_ms,
            payload,
        };
        match self.state.spool.append(draft) {
            Ok(sequence) => {
                let lane = Lane::of_hello(hello);
                let sequence = sequence.get();
                let type_code = records::type_code(request_of(&op));
                let item = Item { sequence, kind, connection, arrival_ms, dialect, type_code };
                self.pending.push(Pending { item, lane, fingerprint, op });
                Ok(())
            }
            Err(error @ WriteError::TooLarge { .. }) => {
                let (item, reason) = (kind.as_str().to_owned(), error.to_string());
                self.answer(connection, token, Verdict::Refused(Fault::Item { item, reason }));
                Ok(())
            }
            Err(error) if !error.is_fatal() => {
                self.wait(op, &error);
                self.settle()
            }
            Err(error) => Err(error),
        }
    }

    /// Syncs what is appended and lets the outcomes out.
    fn settle(&mut self) -> Result<(), WriteError> {
        if !self.pending.is_empty() {
            let synced = tolerate_full(self.state.spool.sync().map(drop))?;
            let durable = self.state.spool.durable_seq().get();
            let mut is_news = false;
            for pending in core::mem::take(&mut self.pending) {
                if pending.item.sequence > durable {
                    self.wait_without_room(pending.op, &synced);
                    continue;
                }
                is_news = true;
                self.committed(pending);
            }
            if is_news {
                // a loader that is gone has reported why
                let _ = self.ports.loader.send(crate::loader::LoaderOp::Look);
            }
            if self.state.is_checkpoint_due() {
                tolerate_full(self.state.checkpoint())?;
            }
        }
        tolerate_full(self.state.gaps.sync()).map(drop)
    }

    fn committed(&mut self, pending: Pending) {
        let Some((peer, token)) = asked_by(&pending.op) else { return };
        let connection = peer.connection;
        self.state.note(&pending.item, pending.lane, pending.fingerprint);
        self.answer(connection, token, Verdict::Accepted);
    }

    /// A connection is over; a late item of it must not be committed after its successor greeted.
    fn forget(&mut self, connection: u64) -> Result<(), WriteError> {
        self.settle()?;
        self.state.registry.leave(connection);
        let (gone, kept): (Vec<_>, Vec<_>) = core::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|op| asked_by(op).is_some_and(|(peer, _)| peer.connection == connection));
        self.waiting = kept;
        for op in gone {
            if let KeeperOp::Commit(job) = op {
                self.remove_staged(&job.files);
            }
        }
        Ok(())
    }

    fn remove_staged(&self, files: &[StagedFile]) {
        for file in files {
            if let Err(error) = writer::remove(&self.state.staging.join(&file.staged)) {
                // the next start removes it
                tracing::warn!(%error, "staged file left behind");
            }
        }
    }

    fn wait(&mut self, op: KeeperOp, error: &WriteError) {
        self.wait_without_room(op, &Some(error.to_string()));
    }

    fn wait_without_room(&mut self, op: KeeperOp, error: &Option<String>) {
        if let Some((peer, token)) = asked_by(&op) {
            let connection = peer.connection;
            let reason = error.clone().unwrap_or_else(|| String::from("disk full"));
            self.answer(connection, token, Verdict::Temporary { reason });
        }
        self.waiting.push(op);
    }

    fn answer(&self, connection: u64, token: u64, verdict: Verdict) {
        (self.ports.outcomes)(Deferred { connection, token, verdict });
    }
}

/// Who waits for the outcome of an operation.
fn asked_by(op: &KeeperOp) -> Option<(&Peer, u64)> {
    match op {
        KeeperOp::Commit(job) => Some((&job.peer, job.token)),
        KeeperOp::Submit(job) => Some((&job.peer, job.token)),
        _ => None,
    }
}

/// The request on the wire that an operation keeps.
fn request_of(op: &KeeperOp) -> &[u8] {
    match op {
        KeeperOp::Commit(job) => &job.seal.request,
        KeeperOp::Submit(job) => &job.submit.request,
        _ => &[],
    }
}

/// A full disk is survived and comes out as its message; anything else is not.
fn tolerate_full(outcome: Result<(), WriteError>) -> Result<Option<String>, WriteError> {
    match outcome {
        Ok(()) => Ok(None),
        Err(error) if !error.is_fatal() => Ok(Some(error.to_string())),
        Err(error) => Err(error),
    }
}

/// Milliseconds since 1970, for records that people read.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
