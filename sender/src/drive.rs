//! Carries out what the lanes decide: calls, frames, outcomes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidegate_link::Time;
use tidegate_link::sending::Command;
use tidegate_link::sending::Delivery;
use tidegate_link::sending::DeliveryPart;
use tidegate_link::sending::Frame;
use tidegate_link::sending::Heard;
use tidegate_link::sending::PieceFrame;
use tidegate_model::Verdict;
use tidegate_source::Departed;
use tidegate_source::Item;
use tidegate_source::ItemKind;
use tidegate_source::ModsSeen;
use tidegate_source::Outcome;
use tidegate_source::Stall;
use tidegate_wire::PieceHead;

use crate::deletion;
use crate::edge::Edge;
use crate::lane_slot::Cargo;
use crate::lane_slot::LaneSlot;
use crate::lane_slot::Load;
use crate::lane_slot::Waiting;
use crate::line;
use crate::line::Line;
use crate::line::LineHeard;
use crate::line::Outgoing;
use crate::line::Wrote;
use crate::message::Message;
use crate::pipe::EFFECTS_PENDING_MAX;
use crate::pipe::lane_of;
use crate::reader::OpenFile;
use crate::reader::Part;
use crate::reader::PieceData;
use crate::reader::ReadReport;
use crate::reader::ReadRequest;
use crate::resolver;
use crate::resolver::LookedUp;
use crate::resolver::Lookup;
use crate::resolver::Resolved;

impl Edge {
    /// When the loop must wake up without being woken.
    pub(crate) fn time_to_next_deadline(&self) -> Option<Duration> {
        let lanes = self.state.lanes.iter().flatten().filter_map(|slot| {
            let rate = match &slot.waiting {
                Waiting::Rate { until, .. } => Some(*until),
                Waiting::Data(_) | Waiting::Nothing | Waiting::Tablet => None,
            };
            slot.lane.poll_timeout().into_iter().chain(rate).min()
        });
        let now = self.now();
        // What a source has had due since before waits for its lane, not for the clock.
        let sources = self.state.pipes.values().filter_map(|pipe| pipe.source.poll_timeout());
        let next = lanes.chain(sources.filter(|due| *due > now)).min()?;
        Some(next.since(now))
    }

    /// Lets everything happen that is due.
    pub(crate) fn handle_timeouts(&mut self) {
        let now = self.now();
        let mut held_back = Vec::new();
        for (at, slot) in self.state.lanes.iter_mut().enumerate() {
            let Some(slot) = slot else { continue };
            slot.lane.handle_timeout(now);
            if let Waiting::Rate { until, since, .. } = slot.waiting
                && until <= now
            {
                held_back.push((since, at));
            }
        }
        // Whoever waits longest goes first, or a busy lane would starve the others.
        held_back.sort_unstable();
        for (since, at) in held_back {
            let Some(slot) = self.slot(at) else { continue };
            match std::mem::replace(&mut slot.waiting, Waiting::Nothing) {
                Waiting::Rate { outgoing, .. } => self.launch(at, outgoing, since),
                other => slot.waiting = other,
            }
        }
    }

    /// Carries out commands and begins deliveries until nothing more can be done.
    pub(crate) fn drive(&mut self) {
        for at in 0..self.state.lanes.len() {
            while self.step(at) {}
        }
    }

    /// A socket is ready for something.
    pub(crate) fn handle_line(&mut self, at: usize) {
        let now = self.now();
        let Some(slot) = self.slot(at) else { return };
        let Some(line) = &slot.line else { return };
        if slot.lane.phase() == tidegate_link::sending::Phase::Connecting {
            match line.connected() {
                None => return,
                Some(Ok(())) => slot.lane.handle_connected(now),
                Some(Err(error)) => {
                    self.drop_line(at);
                    let Some(slot) = self.slot(at) else { return };
                    slot.lane.handle_connect_failed(now, &error.to_string());
                    return self.note_trouble(at);
                }
            }
        }
        self.write(at);
        self.hear(at);
    }

    /// A name was looked up.
    pub(crate) fn handle_resolved(&mut self, resolved: Resolved) {
        for found in self.state.resolver.resolved(resolved) {
            self.handle_looked_up(found);
        }
        self.look_up();
    }

    fn handle_looked_up(&mut self, found: LookedUp) {
        let now = self.now();
        let Some(slot) = self.slot(found.lane) else { return };
        if slot.looking_up.take_if(|call| *call == found.call).is_none() {
            return;
        }
        match found.result {
            Ok(address) => {
                slot.lane.handle_held_up(now);
                self.connect(found.lane, address);
            }
            Err(reason) => {
                slot.lane.handle_connect_failed(now, &reason);
                self.note_trouble(found.lane);
            }
        }
    }

    /// A reader got somewhere.
    pub(crate) fn handle_read(&mut self, at: usize, pipe: u64, report: ReadReport) {
        let now = self.now();
        let Some(slot) = self.slot(at).filter(|slot| slot.pipe == pipe) else { return };
        let expected = slot.cargo.as_ref().map(|cargo| cargo.token.as_u64());
        match report {
            ReadReport::Piece(mut piece) => {
                if expected != Some(piece.token) {
                    return slot.give_back(piece.bytes);
                }
                let unread = std::mem::take(&mut piece.unread);
                if !unread.is_empty() {
                    self.note_unread(at, unread);
                }
                let Some(slot) = self.slot(at) else { return };
                slot.pieces.push_back(piece);
                match std::mem::replace(&mut slot.waiting, Waiting::Nothing) {
                    Waiting::Data(wanted) => self.send_piece(at, wanted),
                    Waiting::Tablet => self.send_tablet(at),
                    other => slot.waiting = other,
                }
            }
            ReadReport::Unread { token, unread } if expected == Some(token) => {
                self.note_unread(at, unread);
            }
            ReadReport::Mended { token, trouble } if expected == Some(token) => {
                self.note_mended(at, &trouble);
            }
            ReadReport::Cut { token } if expected == Some(token) => self.choose_form(at, token),
            ReadReport::Tablets { token, dialect, not_excerpt, mods_seen }
                if expected == Some(token) =>
            {
                self.begin_tablets(at, dialect, mods_seen, not_excerpt);
            }
            ReadReport::Excerpt { token, dialect, length_bytes, mods_seen, has_unknown_types }
                if expected == Some(token) =>
            {
                let departed =
                    Departed { mods: mods_seen, has_unknown_types, ..Departed::default() };
                self.begin_excerpt(at, dialect, length_bytes, departed);
            }
            ReadReport::Nothing { token, mods_seen, has_unknown_types }
                if expected == Some(token) =>
            {
                self.end_unwanted(at, mods_seen, has_unknown_types);
            }
            ReadReport::Opened { token, mods_bytes, mods_seen } if expected == Some(token) => {
                self.begin(at, now, mods_bytes, mods_seen);
            }
            ReadReport::Stalled { token, stall } if expected == Some(token) => {
                slot.lane.withdraw(now, token);
                self.set_aside(at, stall);
            }
            ReadReport::Compared { token, is_equal } if expected == Some(token) => {
                self.end_twin(at, is_equal);
            }
            ReadReport::Compared { .. }
            | ReadReport::Cut { .. }
            | ReadReport::Excerpt { .. }
            | ReadReport::Mended { .. }
            | ReadReport::Nothing { .. }
            | ReadReport::Opened { .. }
            | ReadReport::Stalled { .. }
            | ReadReport::Tablets { .. }
            | ReadReport::Unread { .. } => (),
        }
    }

    /// Carries out one command, or begins a delivery; says whether there may be more to do.
    fn step(&mut self, at: usize) -> bool {
        let now = self.now();
        let state = &mut self.state;
        let Some(slot) = state.lanes.get_mut(at).and_then(Option::as_mut) else { return false };
        let Some(pipe) = state.pipes.get_mut(&slot.pipe) else { return false };
        let (number, n_lanes) = (slot.number, pipe.lanes.len());
        let may_send = pipe.n_effects_pending < EFFECTS_PENDING_MAX;
        let wanted = may_send
            && slot.cargo.is_none()
            && pipe.source.has_item(now, |region| lane_of(region, n_lanes) == number);
        slot.lane.want(wanted || slot.points_wait.is_some());
        if let Some(command) = slot.lane.poll_command(now, &mut pipe.peers) {
            self.carry_out(at, command);
            return true;
        }
        if slot.lane.is_ready() && slot.points_wait.is_some() {
            self.begin_waiting_points(at);
            return true;
        }
        if !wanted || !slot.lane.is_ready() {
            return false;
        }
        let item = pipe.source.poll_item(now, |region| lane_of(region, n_lanes) == number);
        let id = slot.pipe;
        self.persist(id);
        match item {
            Some(item) => self.take_up(at, now, item),
            None => false,
        }
    }

    fn carry_out(&mut self, at: usize, command: Command) {
        let now = self.now();
        match command {
            Command::Abandon => {
                self.drop_line(at);
                self.note_trouble(at);
            }
            Command::Close => self.close_line(at),
            Command::Connect { peer } => self.call(at, peer),
            Command::Outcome { token, verdict, message } => {
                self.note_answer(at, verdict);
                self.settle(at, token, verdict, message);
            }
            Command::Send(Frame::Whole(payload)) => {
                let Some(wrap) = self.wrap(at) else { return };
                match Outgoing::of_payload(&payload, wrap) {
                    // It costs nothing, so no rate limit is asked.
                    Ok(Outgoing { data: head, suffix, .. }) => {
                        let outgoing = Outgoing { head, data: Vec::new(), suffix, written: 0 };
                        self.launch(at, outgoing, now);
                    }
                    Err(error) => self.give_up_frame(at, "a request", error),
                }
            }
            Command::Send(Frame::Piece(piece)) => self.send_piece(at, piece),
            Command::Send(Frame::Supplied { .. }) => self.send_tablet(at),
        }
    }

    /// Takes an item from the source: a file goes to the lane's reader, a deletion to the lane.
    fn take_up(&mut self, at: usize, now: Time, item: Item) -> bool {
        let mods_bytes_max = self.config.mods_bytes_max;
        let state = &mut self.state;
        let Some(slot) = state.lanes.get_mut(at).and_then(Option::as_mut) else { return false };
        let Some(pipe) = state.pipes.get(&slot.pipe) else { return false };
        let (_, dialect) = slot.lane.agreed().expect("a ready lane has agreed on a dialect");
        let Item { token, stream, sequence, kind, .. } = item;
        let cargo = |load, name| {
            let departed = Departed::default();
            Some(Cargo { token, load, name, sequence, departed, began: now })
        };
        match kind {
            ItemKind::File(file) => {
                let request = ReadRequest::Open(OpenFile {
                    token: token.as_u64(),
                    file: file.clone(),
                    dialect,
                    piece_bytes: slot.lane.piece_bytes(),
                    filter: Arc::clone(&pipe.filter),
                    mods_bytes_max,
                });
                let name = file.wire_name();
                slot.cargo = cargo(Load::File(file), name);
                // A reader that is gone has been reported by the supervisor, and the daemon ends.
                slot.reader.send(request).is_ok()
            }
            ItemKind::Delete(mut delete) => {
                slot.cargo = cargo(Load::Deletion, delete.deletion.to_string());
                let cut = pipe.filter.cut(&delete.deletion);
                let Some(deletion) = cut.deletion else {
                    match cut.is_whole {
                        true => self.end_unwanted(at, None, false),
                        // It is settled without having left, and the source records the gap.
                        false => self.settle(at, token.as_u64(), Verdict::Accepted, String::new()),
                    }
                    return true;
                };
                delete.deletion = deletion;
                match deletion::request(&delete, &stream, dialect).filter(|_| slot.sends_deletions)
                {
                    Some(Ok(payload)) => {
                        if let Some(cargo) = &mut slot.cargo {
                            cargo.departed.mods_carried = cut.is_whole;
                        }
                        slot.lane.begin_request(now, token.as_u64(), payload);
                    }
                    Some(Err(reason)) => {
                        self.settle(at, token.as_u64(), Verdict::Refused, reason);
                    }
                    // The same.
                    None => {
                        self.settle(at, token.as_u64(), Verdict::Accepted, String::new());
                    }
                }
                true
            }
            _ => unreachable!("a source gives files and deletions"),
        }
    }

    /// A file is open: its delivery begins, if the connection is still there.
    fn begin(
        &mut self,
        at: usize,
        now: Time,
        mods_bytes: Option<u64>,
        mods_seen: Option<ModsSeen>,
    ) {
        let state = &mut self.state;
        let Some(slot) = state.lanes.get_mut(at).and_then(Option::as_mut) else { return };
        let Some(pipe) = state.pipes.get(&slot.pipe) else { return };
        let Some(cargo) = &mut slot.cargo else { return };
        let Load::File(file) = &cargo.load else { return };
        cargo.departed.mods = mods_seen;
        // Of deletions that are not wanted none is missing.
        cargo.departed.mods_carried = mods_bytes.is_some() || !pipe.filter.takes_deletions();
        let token = cargo.token.as_u64();
        if !slot.lane.is_ready() {
            let message = "the connection ended before the file was open".to_owned();
            return self.settle(at, token, Verdict::Unknown, message);
        }
        let name = cargo.name.clone();
        let region = &file.place.region;
        let mods = mods_bytes.zip(mods_seen).map(|(length_bytes, seen)| DeliveryPart {
            name: format!("{name}{}", seen.kind.suffix()),
            length_bytes,
        });
        let delivery = Delivery {
            token,
            mods,
            database: region.is_table_model().then(|| region.database.to_string()),
            ts_file: DeliveryPart { name, length_bytes: file.identity.length_bytes },
        };
        slot.lane.begin(now, delivery);
    }

    /// Sends a piece, or waits for its bytes.
    fn send_piece(&mut self, at: usize, wanted: PieceFrame) {
        let now = self.now();
        let Some(wrap) = self.wrap(at) else { return };
        let Some(slot) = self.slot(at) else { return };
        let Some(piece) = slot.pieces.pop_front() else {
            slot.waiting = Waiting::Data(wanted);
            return;
        };
        let PieceData { part, offset, ref bytes, crc32, file_crc32, .. } = piece;
        if let Some(cargo) = &mut slot.cargo {
            cargo.departed.crc32 = file_crc32;
        }
        assert_eq!(
            (part == Part::Mods, offset, bytes.len()),
            (wanted.from_mods, wanted.offset, wanted.n_bytes as usize),
            "pieces are read in the order in which they leave"
        );
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        let data_bytes = wanted.n_bytes;
        let head = PieceHead { kind: wanted.kind, file_name: &wanted.name, offset, data_bytes };
        let mut start = Vec::with_capacity(256);
        match head.encode_frame_start(crc32, wrap, &mut start) {
            Ok(()) => {
                let suffix = wrap.suffix();
                let outgoing = Outgoing { head: start, data: piece.bytes, suffix, written: 0 };
                self.launch(at, outgoing, now);
            }
            Err(error) => {
                slot.give_back(piece.bytes);
                self.give_up_frame(at, "a piece", error);
            }
        }
    }

    /// Writes a frame that has been ready `since` then, unless a byte that nobody waits for is there,
    /// or a rate limit says later.
    pub(crate) fn launch(&mut self, at: usize, outgoing: Outgoing, since: Time) {
        let now = self.now();
        self.hear(at);
        let state = &mut self.state;
        let Some(slot) = state.lanes.get_mut(at).and_then(Option::as_mut) else { return };
        let Some(pipe) = state.pipes.get_mut(&slot.pipe) else { return };
        let Some(line) = slot.line.as_mut().filter(|_| slot.lane.is_sending()) else {
            return slot.give_back(outgoing.data);
        };
        let limits = [&mut pipe.rate, &mut state.rate];
        // A handshake or a seal costs nothing, and the peer allows little time for it.
        if !outgoing.data.is_empty() {
            let ready = limits.iter().filter_map(|limit| Some(limit.as_ref()?.ready_at())).max();
            let until = ready.unwrap_or(now).max(now);
            slot.lane.handle_held_up(until);
            if now < until {
                slot.waiting = Waiting::Rate { outgoing, until, since };
                return;
            }
        }
        for limit in limits.into_iter().flatten() {
            limit.charge(now, outgoing.data.len() as u64);
        }
        slot.bytes_sent += outgoing.data.len() as u64;
        line.put(outgoing);
        self.write(at);
    }

    /// Writes as much of the frame as the socket takes.
    fn write(&mut self, at: usize) {
        let now = self.now();
        let Some(slot) = self.slot(at) else { return };
        let Some(line) = slot.line.as_mut().filter(|line| line.is_writing()) else { return };
        match line.write() {
            Ok(Wrote::Nothing) => (),
            Ok(Wrote::Some) => slot.lane.handle_progress(now),
            Ok(Wrote::All) => {
                let buffer = line.take_back();
                slot.lane.handle_sent(now);
                slot.give_back(buffer.unwrap_or_default());
            }
            Err(error) => {
                // The peer may have answered before it broke off.
                self.hear(at);
                let Some(slot) = self.slot(at) else { return };
                slot.lane.handle_heard(now, Heard::Broken(&error.to_string()));
            }
        }
    }

    /// Reads what came back.
    fn hear(&mut self, at: usize) {
        let now = self.now();
        let Some(slot) = self.slot(at) else { return };
        let Some(line) = &mut slot.line else { return };
        // A lane that has given its connection up does not listen: a peer may send without end.
        while slot.lane.is_listening() {
            match line.hear() {
                LineHeard::Nothing => return,
                LineHeard::Bytes(bytes) => slot.lane.handle_heard(now, Heard::Bytes(&bytes)),
                LineHeard::Eof => return slot.lane.handle_heard(now, Heard::Eof),
                LineHeard::Broken(how) => {
                    return slot.lane.handle_heard(now, Heard::Broken(&how));
                }
            }
        }
    }

    /// Calls a peer.
    fn call(&mut self, at: usize, peer: usize) {
        let now = self.now();
        let state = &mut self.state;
        let Some(slot) = state.lanes.get_mut(at).and_then(Option::as_mut) else { return };
        let Some(pipe) = state.pipes.get(&slot.pipe) else { return };
        let url = pipe.definition.connector.node_urls[peer].clone();
        match resolver::literal(&url) {
            Some(address) => self.connect(at, address),
            None => {
                let call = state.calls.next();
                slot.looking_up = Some(call);
                slot.lane.handle_held_up(now + resolver::LOOK_UP_TIME_MAX);
                let n_failed = slot.lane.counters().calls_failed;
                state.resolver.ask(Lookup { lane: at, call, url, n_failed });
                self.look_up();
            }
        }
    }

    /// Begins the look-ups that may begin, each on a thread.
    fn look_up(&mut self) {
        while let Some(host) = self.state.resolver.next() {
            let (name, outbox) = (host.clone(), self.outbox.clone());
            let spawned = self.supervisor.spawn("resolver", move || {
                outbox.send(Message::LookedUp(resolver::look_up(name)));
                Ok::<(), String>(())
            });
            if let Err(error) = spawned {
                let result = Err(format!("starting a thread: {error}"));
                self.outbox.send(Message::LookedUp(Resolved { host, result }));
            }
        }
    }

    /// Connects from the first allowed source port that is free.
    fn connect(&mut self, at: usize, address: std::net::SocketAddr) {
        let now = self.now();
        let token = mio::Token(at + 1);
        let state = &mut self.state;
        let in_use: Vec<u16> = state
            .lanes
            .iter()
            .flatten()
            .filter_map(|slot| slot.line.as_ref()?.local_port())
            .collect();
        let Some(slot) = state.lanes.get_mut(at).and_then(Option::as_mut) else { return };
        let Some(pipe) = state.pipes.get(&slot.pipe) else { return };
        let bind_address = pipe.definition.connector.bind_address;
        let candidates: Vec<Option<u16>> = match &pipe.ports {
            None => vec![None],
            Some(ports) => {
                let ports = line::ports_to_try(ports, slot.next_port, &in_use);
                ports.into_iter().map(Some).collect()
            }
        };
        let mut trouble = "all allowed source ports are in use".to_owned();
        for port in candidates {
            slot.next_port = slot.next_port.wrapping_add(1);
            match Line::connect(self.poll.registry(), token, address, bind_address, port) {
                Ok(line) => {
                    slot.line = Some(line);
                    return;
                }
                Err(error) => {
                    trouble = match port {
                        Some(port) => format!("from source port {port}: {error}"),
                        None => error.to_string(),
                    };
                    if !line::concerns_the_port(&error) {
                        break;
                    }
                }
            }
        }
        slot.lane.handle_connect_failed(now, &trouble);
        self.note_trouble(at);
    }

    /// An item came to something.
    pub(crate) fn settle(&mut self, at: usize, token: u64, verdict: Verdict, message: String) {
        let now = self.now();
        let state = &mut self.state;
        let Some(slot) = state.lanes.get_mut(at).and_then(Option::as_mut) else { return };
        let Some(pipe) = state.pipes.get_mut(&slot.pipe) else { return };
        if slot.cargo.as_ref().is_none_or(|cargo| cargo.token.as_u64() != token) {
            return;
        }
        let Some(cargo) = slot.cargo.take() else { return };
        slot.drop_reading();
        if verdict == Verdict::Accepted {
            let took_ms = u64::try_from(now.since(cargo.began).as_millis()).unwrap_or(u64::MAX);
            let bytes = match &cargo.load {
                Load::File(file) => file.identity.length_bytes,
                Load::Deletion => 0,
            };
            tracing::debug!(
                pipe = %pipe.definition.name, item = cargo.name, sequence = cargo.sequence, bytes,
                took_ms, "accepted"
            );
        }
        let outcome = Outcome::bare(verdict, message);
        pipe.source.handle_outcome(now, cargo.token, &outcome, cargo.departed);
        let id = slot.pipe;
        if verdict != Verdict::Accepted {
            let name = pipe.definition.name.to_string();
            let text = format!(
                "pipe {name}: {} is {verdict}: {}; it will be sent again from its start",
                cargo.name, outcome.message
            );
            self.warn(&format!("{name} {verdict}"), &text);
        }
        self.persist(id);
    }

    /// Counts what a peer says to requests, and says once that it may be the dialect.
    fn note_answer(&mut self, at: usize, verdict: Verdict) {
        let state = &mut self.state;
        let Some(slot) = state.lanes.get_mut(at).and_then(Option::as_mut) else { return };
        let Some(pipe) = state.pipes.get(&slot.pipe) else { return };
        if !slot.cargo.as_ref().is_some_and(Cargo::is_requests) {
            return;
        }
        let dialect = slot.lane.agreed().map(|(_, dialect)| dialect);
        let dialect = dialect.unwrap_or_else(|| pipe.wanted_dialect());
        if slot.refusals.note(verdict, Some(dialect))
            && let Some(hint) = slot.refusals.hint(pipe.dialect)
        {
            let (name, number) = (pipe.definition.name.to_string(), slot.number);
            self.warn(
                &format!("{name} {number} dialect"),
                &format!("pipe {name} lane {number}: {hint}"),
            );
        }
    }

    /// A file was compared with one that has left already.
    fn end_twin(&mut self, at: usize, is_equal: bool) {
        let state = &mut self.state;
        let Some(slot) = state.lanes.get_mut(at).and_then(Option::as_mut) else { return };
        let Some(pipe) = state.pipes.get_mut(&slot.pipe) else { return };
        let Some(cargo) = slot.cargo.take() else { return };
        slot.drop_reading();
        pipe.source.handle_twin(cargo.token, is_equal);
        let id = slot.pipe;
        self.persist(id);
    }

    /// A file cannot leave as it is.
    pub(crate) fn set_aside(&mut self, at: usize, stall: Stall) {
        let now = self.now();
        let state = &mut self.state;
        let Some(slot) = state.lanes.get_mut(at).and_then(Option::as_mut) else { return };
        let Some(pipe) = state.pipes.get_mut(&slot.pipe) else { return };
        let Some(cargo) = slot.cargo.take() else { return };
        slot.drop_reading();
        let Load::File(file) = &cargo.load else { return };
        let trouble = match &stall {
            Stall::Blocked(reason) => Some(format!(
                "pipe {}: region {} waits for a file that cannot leave: {reason}",
                pipe.definition.name, file.place.region
            )),
            Stall::Damaged(reason) => {
                Some(format!("pipe {}: set aside: {reason}", pipe.definition.name))
            }
            Stall::Moved => None,
        };
        pipe.source.handle_stall(now, cargo.token, stall);
        let id = slot.pipe;
        match trouble {
            Some(trouble) => self.warn(&trouble, &trouble),
            // Gone or changed: a look at its folder tells more.
            None => self.scanner.look_again(PathBuf::from(&*file.folder)),
        }
        self.persist(id);
    }

    /// Logs why a lane has no connection, if that is news.
    fn note_trouble(&mut self, at: usize) {
        let state = &self.state;
        let Some(slot) = state.lanes.get(at).and_then(Option::as_ref) else { return };
        let Some(pipe) = state.pipes.get(&slot.pipe) else { return };
        let Some(trouble) = slot.lane.last_trouble() else { return };
        let peers = &pipe.definition.connector.node_urls;
        let text = format!(
            "pipe {} lane {}: {trouble}; next call to {}",
            pipe.definition.name,
            slot.number,
            peers[slot.lane.peer()]
        );
        let kind = format!("{} {} {trouble}", pipe.definition.name, slot.number);
        self.warn(&kind, &text);
    }

    fn drop_line(&mut self, at: usize) {
        self.state.resolver.forget(at);
        let Some(slot) = self.slot(at) else { return };
        slot.looking_up = None;
        let Some(mut line) = slot.line.take() else { return };
        let buffer = line.take_back().unwrap_or_default();
        slot.give_back(buffer);
        if let Waiting::Rate { outgoing, .. } =
            std::mem::replace(&mut slot.waiting, Waiting::Nothing)
        {
            slot.give_back(outgoing.data);
        }
        line.reset(self.poll.registry());
    }

    /// Closes an idle connection. From a restricted source port by RST: a port in TIME_WAIT could
    /// not call again for a minute.
    fn close_line(&mut self, at: usize) {
        let Some(slot) = self.slot(at) else { return };
        let Some(line) = slot.line.take() else { return };
        if line.local_port().is_some() {
            line.reset(self.poll.registry());
        } else {
            line.close(self.poll.registry());
        }
    }

    pub(crate) fn wrap(&self, at: usize) -> Option<tidegate_wire::Wrap> {
        let slot = self.state.lanes.get(at)?.as_ref()?;
        Some(self.state.pipes.get(&slot.pipe)?.wrap)
    }

    pub(crate) fn slot(&mut self, at: usize) -> Option<&mut LaneSlot> {
        self.state.lanes.get_mut(at)?.as_mut()
    }
}
