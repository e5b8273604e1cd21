//! The receiver's edge: unfinished files, one writer, what is durable, and the fence.

use core::time::Duration;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use tidegate_link::Time;
use tidegate_link::receiving::Action;
use tidegate_link::receiving::Answer;
use tidegate_link::receiving::CloseHow;
use tidegate_link::receiving::FileId;
use tidegate_link::receiving::HandshakeFault;
use tidegate_link::receiving::HandshakeForm;
use tidegate_link::receiving::Hello;
use tidegate_link::receiving::Outcome;
use tidegate_link::receiving::ReceivingConfig;
use tidegate_link::receiving::ReceivingSession;
use tidegate_link::receiving::Refusal;
use tidegate_link::receiving::Seal;
use tidegate_link::receiving::Token;
use tidegate_link::sending::DialectRule;

use crate::faults::Broken;
use crate::faults::Fault;
use crate::gateway::End;
use crate::world::Event;
use crate::world::PeerKind;
use crate::world::Setup;
use crate::world::World;

/// A receiver: what its process holds and what its disk holds.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) up: bool,
    /// Grows with every start; what was under way before is gone.
    life: u32,
    config: Arc<ReceivingConfig>,
    conns: BTreeMap<usize, Conn>,
    jobs: BTreeMap<u64, Job>,
    next_job: u64,
    writer_free_at: Time,
    epochs: HashMap<StreamKey, u64>,
    disk: Disk,
    /// What the sender took for accepted here.
    pub(crate) accepted_here: Vec<usize>,
}

/// Origin and stream; no stream for V1.
type StreamKey = (String, Option<String>);

#[derive(Debug)]
struct Conn {
    session: ReceivingSession,
    input: Vec<u8>,
    files: BTreeMap<FileId, Vec<u8>>,
    /// The dedup key of the seal whose 00 was the last traffic here.
    unproven: Option<DedupKey>,
    /// When the answer that is owed comes too late.
    owed_until: Time,
}

/// A seal that waits for the writer, or for room.
#[derive(Debug)]
struct Job {
    link: usize,
    token: Token,
    stream: StreamKey,
    epoch: Option<u64>,
    parts: Vec<(String, Vec<u8>)>,
    /// It waits for room, and is tried again.
    waits: bool,
}

/// Origin, epoch and the parts with their bytes.
type DedupKey = (String, Option<u64>, Vec<(String, Vec<u8>)>);

/// What survives.
#[derive(Debug, Default)]
struct Disk {
    with_mods: HashSet<usize>,
    without_mods: HashSet<usize>,
    /// Committed items with the epochs they came in.
    epochs_of: HashMap<usize, HashSet<u64>>,
    unproven: HashSet<DedupKey>,
}

impl Receiver {
    pub(crate) fn new(setup: &Setup) -> Self {
        let config = ReceivingConfig {
            max_payload_bytes: 4096,
            max_request_bytes: 4096,
            max_unfinished_files: 4,
            withhold_tablet: Duration::from_secs(50),
            withhold_file: setup.reply_timeout * 8 / 10,
            idle_close: Duration::from_secs(14 * 60),
            accept_v1: setup.accept_v1,
            own_cluster_id: "target".into(),
            user: "root".into(),
            password: "root".into(),
            listener_name: "listener".into(),
        };
        Self {
            up: true,
            life: 0,
            config: Arc::new(config),
            conns: BTreeMap::new(),
            jobs: BTreeMap::new(),
            next_job: 0,
            writer_free_at: Time::default(),
            epochs: HashMap::new(),
            disk: Disk::default(),
            accepted_here: Vec::new(),
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.conns.values().filter_map(|conn| conn.session.poll_timeout()).min()
    }

    pub(crate) fn has_connections(&self) -> bool {
        !self.conns.is_empty()
    }

    pub(crate) fn holds(&self, item: usize) -> bool {
        self.disk.with_mods.contains(&item) || self.disk.without_mods.contains(&item)
    }

    pub(crate) fn holds_form(&self, item: usize, with_mods: bool) -> bool {
        let held = if with_mods { &self.disk.with_mods } else { &self.disk.without_mods };
        held.contains(&item)
    }
}

impl World {
    /// A connection arrives.
    pub(crate) fn accept(&mut self, receiver: usize, link: usize) {
        let it = &mut self.receivers[receiver];
        let session = ReceivingSession::new(self.now, Arc::clone(&it.config));
        let conn = Conn {
            session,
            input: Vec::new(),
            files: BTreeMap::new(),
            unproven: None,
            owed_until: self.now,
        };
        it.conns.insert(link, conn);
    }

    pub(crate) fn receive(&mut self, receiver: usize, link: usize, bytes: &[u8]) {
        let it = &mut self.receivers[receiver];
        let Some(conn) = it.conns.get_mut(&link) else { return };
        // Another frame on the same connection proves that the OK before it was read.
        if let Some(key) = conn.unproven.take() {
            it.disk.unproven.remove(&key);
        }
        conn.input.extend_from_slice(bytes);
        self.feed(receiver, link);
    }

    pub(crate) fn receive_end(&mut self, receiver: usize, link: usize, end: End) {
        let now = self.now;
        let Some(conn) = self.receivers[receiver].conns.get_mut(&link) else { return };
        match end {
            End::Fin => conn.session.handle_eof(now),
            End::Rst => conn.session.handle_error(now),
        }
        self.feed(receiver, link);
    }

    pub(crate) fn receiver_timeouts(&mut self, receiver: usize) {
        let now = self.now;
        let is_due = |conn: &Conn| conn.session.poll_timeout().is_some_and(|due| due <= now);
        let conns = self.receivers[receiver].conns.iter();
        let due: Vec<usize> =
            conns.filter(|(_, conn)| is_due(conn)).map(|(link, _)| *link).collect();
        for link in due {
            if let Some(conn) = self.receivers[receiver].conns.get_mut(&link) {
                conn.session.handle_timeout(now);
            }
            self.feed(receiver, link);
        }
    }

    /// kill -9: what the writer was at may have become durable or not.
    pub(crate) fn crash_receiver(&mut self, receiver: usize) {
        self.trace.note(self.now, "receiver killed", receiver, 0);
        let first = self.receivers[receiver].jobs.pop_first();
        if let Some((_, job)) = first.filter(|(_, job)| !job.waits)
            && self.rng.bool()
        {
            self.commit(receiver, &job);
        }
        let it = &mut self.receivers[receiver];
        it.up = false;
        it.life += 1;
        it.jobs.clear();
        it.epochs.clear();
        if self.broken == Broken::CommitsToMemory {
            it.disk = Disk::default();
        }
        let links: Vec<usize> = core::mem::take(&mut it.conns).into_keys().collect();
        for link in links {
            let end = self.draw_end();
            self.gateway_outer_gone(link, end);
        }
        let pause = self.up_to(Duration::from_secs(60));
        self.at(self.now + pause, Event::StartReceiver { receiver });
    }

    /// Takes the session through its actions and its input as far as it goes.
    fn feed(&mut self, receiver: usize, link: usize) {
        loop {
            let Some(conn) = self.receivers[receiver].conns.get_mut(&link) else { return };
            if let Some(action) = conn.session.poll_action() {
                self.perform(receiver, link, action);
                continue;
            }
            if conn.input.is_empty() || !conn.session.wants_read() {
                return;
            }
            let buffer = core::mem::take(&mut conn.input);
            let mut input = buffer.as_slice();
            loop {
                let Some(conn) = self.receivers[receiver].conns.get_mut(&link) else { return };
                match conn.session.handle_bytes(self.now, &mut input) {
                    Some(action) => self.perform(receiver, link, action),
                    None => break,
                }
            }
            if let Some(conn) = self.receivers[receiver].conns.get_mut(&link) {
                conn.input = input.to_vec();
            }
        }
    }

    fn perform(&mut self, receiver: usize, link: usize, action: Action<'_>) {
        let it = &mut self.receivers[receiver];
        let Some(conn) = it.conns.get_mut(&link) else { return };
        match &action {
            Action::Handshake(..) => conn.owed_until = self.now + it.config.withhold_tablet,
            Action::PieceEnd(..) | Action::Seal(..) => {
                conn.owed_until = self.now + it.config.withhold_file;
            }
            _ => (),
        }
        match action {
            Action::FileStart { file, .. } => _ = conn.files.insert(file, Vec::new()),
            Action::FileWrite { file, at_bytes, bytes } => {
                let held = conn.files.get_mut(&file).expect("writes follow a start");
                assert!(at_bytes <= held.len() as u64, "writes leave no holes");
                held.truncate(at_bytes as usize);
                held.extend_from_slice(&bytes);
            }
            Action::FileDrop { file } => _ = conn.files.remove(&file),
            Action::Handshake(token, hello) => self.greet(receiver, link, token, &hello),
            Action::PieceEnd(token, _) => self.take_later(receiver, link, token),
            Action::Seal(token, seal) => self.seal(receiver, link, token, seal),
            Action::Reply(answer) => self.reply(link, &answer),
            Action::Close(close) => {
                self.trace.note(self.now, "receiver closes", link, close.how as u64);
                self.trace.say(self.now, format_args!("receiver: {}", close.reason));
                it.conns.remove(&link);
                let end = match close.how {
                    CloseHow::Reset => End::Rst,
                    _ => End::Fin,
                };
                self.gateway_outer_gone(link, end);
            }
            other => panic!("the lane sends nothing that leads to {other:?}"),
        }
    }

    /// Promise 5, and the byte.
    fn reply(&mut self, link: usize, answer: &Answer) {
        let byte = match answer {
            Answer::Ok(_) => 0x00,
            Answer::Fail(_, refusal) => {
                self.trace.say(self.now, format_args!("receiver: {refusal}"));
                0xff
            }
            other => panic!("no byte for {other:?}"),
        };
        self.trace.note(self.now, "reply", link, byte);
        let it = &mut self.links[link];
        it.n_replies += 1;
        let n_begun = it.frame_starts.iter().filter(|start| **start < it.delivered).count();
        if it.n_replies > n_begun {
            let n_replies = it.n_replies;
            self.violate(format!("{n_replies} bytes came back for {n_begun} frames on {link}"));
        }
        self.gateway_reply(link, byte as u8);
    }

    /// The outcome now, or when the disk has it.
    fn take_later(&mut self, receiver: usize, link: usize, token: Token) {
        let life = self.receivers[receiver].life;
        let delay = if self.strikes(Fault::TargetBusy) {
            self.up_to(self.setup.reply_timeout)
        } else if self.rng.u8(0..4) == 0 {
            self.up_to(Duration::from_millis(10))
        } else {
            return self.settle(receiver, link, token, Outcome::Accepted);
        };
        self.at(self.now + delay, Event::Taken { receiver, life, link, token });
    }

    pub(crate) fn handle_taken(&mut self, receiver: usize, life: u32, link: usize, token: Token) {
        if self.receivers[receiver].life == life {
            self.settle(receiver, link, token, Outcome::Accepted);
            self.feed(receiver, link);
        }
    }

    fn settle(&mut self, receiver: usize, link: usize, token: Token, outcome: Outcome) {
        let Some(conn) = self.receivers[receiver].conns.get_mut(&link) else { return };
        conn.session.handle_outcome(self.now, token, outcome);
        if self.now > conn.owed_until {
            self.violate(format!("the answer on {link} was withheld for too long"));
        }
    }

    fn greet(&mut self, receiver: usize, link: usize, token: Token, hello: &Hello) {
        let kind = self.setup.peers_kind[self.links[link].peer];
        if hello.form == HandshakeForm::V2 && kind != PeerKind::Tidegate {
            if kind == PeerKind::ClosesOnV2 {
                self.receivers[receiver].conns.remove(&link);
                return self.gateway_outer_gone(link, End::Fin);
            }
            let refusal = Refusal::Handshake(HandshakeFault::PrecisionMissing);
            return self.settle(receiver, link, token, Outcome::Refused(refusal));
        }
        let key = stream_key(hello);
        if let (Some(epoch), true) = (hello.epoch, hello.stream.is_some()) {
            let youngest = self.receivers[receiver].epochs.entry(key.clone()).or_insert(epoch);
            if *youngest > epoch {
                let fault = HandshakeFault::EpochOld { found: epoch, expected: *youngest };
                let refusal = Outcome::Refused(Refusal::Handshake(fault));
                return self.settle(receiver, link, token, refusal);
            }
            *youngest = epoch;
            if self.broken != Broken::KeepsOlderConnections {
                self.fence(receiver, link, &key);
            }
        }
        self.take_later(receiver, link, token);
    }

    /// Drops the older connections of a stream, and whatever they were about to commit.
    fn fence(&mut self, receiver: usize, link: usize, key: &StreamKey) {
        let it = &mut self.receivers[receiver];
        if self.broken != Broken::CommitsForDroppedConnections {
            it.jobs.retain(|_, job| job.stream != *key);
        }
        let is_older = |conn: &Conn| conn.session.identity().map(stream_key).as_ref() == Some(key);
        let older: Vec<usize> = it
            .conns
            .iter()
            .filter(|(other, conn)| **other != link && is_older(conn))
            .map(|(other, _)| *other)
            .collect();
        for other in older {
            self.trace.note(self.now, "fenced", other, link as u64);
            self.receivers[receiver].conns.remove(&other);
            self.gateway_outer_gone(other, End::Rst);
        }
    }

    fn seal(&mut self, receiver: usize, link: usize, token: Token, seal: Seal) {
        if self.strikes(Fault::TargetRefuses) {
            let refusal = Refusal::ByTarget { item: "file".into(), reason: "so drawn".into() };
            return self.settle(receiver, link, token, Outcome::Refused(refusal));
        }
        let waits = self.strikes(Fault::TargetBusy);
        let delay = match waits {
            true => self.up_to(self.setup.reply_timeout * 3),
            false => self.up_to(Duration::from_millis(40)),
        };
        let mix = self.broken == Broken::MixesFiles && self.rng.u8(0..8) == 0;
        let it = &mut self.receivers[receiver];
        let conn = it.conns.get_mut(&link).expect("the connection was just served");
        let hello = conn.session.identity().expect("seals follow a handshake").clone();
        let mut parts: Vec<(String, Vec<u8>)> = Vec::new();
        for file in seal.files {
            let bytes = conn.files.remove(&file.file).expect("sealed files were started");
            assert_eq!(bytes.len() as u64, file.length_bytes, "the session checks lengths");
            parts.push((file.name, bytes));
        }
        if mix {
            parts[0].1.rotate_left(1);
        }
        let at = match waits {
            true => self.now + delay,
            false => it.writer_free_at.max(self.now) + delay,
        };
        if !waits {
            it.writer_free_at = at;
        }
        let number = it.next_job;
        it.next_job += 1;
        let (stream, epoch) = (stream_key(&hello), hello.epoch);
        it.jobs.insert(number, Job { link, token, stream, epoch, parts, waits });
        let life = it.life;
        self.at(at, Event::Commit { receiver, life, job: number });
        if self.broken == Broken::AnswersBeforeCommit {
            self.settle(receiver, link, token, Outcome::Accepted);
        }
    }

    pub(crate) fn handle_commit(&mut self, receiver: usize, life: u32, job: u64) {
        let it = &mut self.receivers[receiver];
        if it.life != life {
            return;
        }
        let Some(mut job) = it.jobs.remove(&job) else { return };
        let is_there = it.conns.contains_key(&job.link);
        if job.waits && !is_there && self.broken != Broken::CommitsForDroppedConnections {
            return; // given up with its connection
        }
        self.commit(receiver, &job);
        let key = (job.stream.0, job.epoch, core::mem::take(&mut job.parts));
        if let Some(conn) = self.receivers[receiver].conns.get_mut(&job.link) {
            conn.unproven = Some(key);
        }
        self.settle(receiver, job.link, job.token, Outcome::Accepted);
        if is_there && self.broken == Broken::AnswersTwice {
            self.links[job.link].n_replies += 1;
            self.gateway_reply(job.link, 0);
        }
        self.feed(receiver, job.link);
    }

    /// Makes a seal durable, unless it is a repetition that the sender cannot know of. Promises 3
    /// and 4.
    fn commit(&mut self, receiver: usize, job: &Job) {
        let key = (job.stream.0.clone(), job.epoch, job.parts.clone());
        let forgets = self.broken == Broken::ForgetsUnprovenTail;
        if !self.receivers[receiver].disk.unproven.insert(key) && !forgets {
            self.trace.note(self.now, "repeated", job.link, 0);
            return;
        }
        let Some(item) = self.identify(&job.parts) else {
            let names: Vec<&str> = job.parts.iter().map(|(name, _)| name.as_str()).collect();
            return self.violate(format!("{names:?} as committed equal no item of the source"));
        };
        self.trace.note(self.now, "commit", job.link, item as u64);
        let model = &self.items.list[item];
        let (region, order) = (model.region, model.order);
        let first = self.receivers.iter().all(|receiver| !receiver.holds(item));
        let disk = &mut self.receivers[receiver].disk;
        let held = if job.parts.len() > 1 { &mut disk.with_mods } else { &mut disk.without_mods };
        held.insert(item);
        let epoch = job.epoch.unwrap_or(0);
        let repeated = !disk.epochs_of.entry(item).or_default().insert(epoch);
        if first {
            if self.first_commits[region] != order {
                let expected = self.first_commits[region];
                self.violate(format!("region {region}: item {order} before {expected}"));
            }
            self.first_commits[region] = order + 1;
        }
        if !self.setup.is_fenced() {
            return;
        }
        if repeated {
            self.violate(format!("item {item} was committed twice in epoch {epoch}"));
        }
        if self.accepted[region][receiver] > order + 1 {
            let later = self.accepted[region][receiver] - 1;
            self.violate(format!(
                "region {region}: item {order} was committed after {later} was accepted"
            ));
        }
        let alone = self.receivers.len() == 1;
        if alone && self.cursor_passed[item] && self.broken != Broken::CursorBeforeOk {
            self.violate(format!("item {item} was committed again after the cursor passed it"));
        }
    }

    /// The item that these files are, byte for byte.
    fn identify(&self, parts: &[(String, Vec<u8>)]) -> Option<usize> {
        let ((name, bytes), mods) = parts.split_last()?;
        let item = *self.by_name.get(name)?;
        let model = &self.items.list[item];
        let (DialectRule::Auto(dialect) | DialectRule::Fixed(dialect)) = self.setup.rule;
        let mods_equal = match mods {
            [] => {
                let seen = self.items.mods_seen(item);
                seen.is_none_or(|seen| !seen.travels_in(dialect)) || !self.setup.is_fenced()
            }
            [(mods_name, mods)] => {
                mods_name.starts_with(name.as_str()) && model.mods.as_ref() == Some(mods)
            }
            _ => false,
        };
        (mods_equal && model.bytes == *bytes).then_some(item)
    }
}

fn stream_key(hello: &Hello) -> StreamKey {
    (hello.origin.as_str().to_owned(), hello.stream.clone())
}
