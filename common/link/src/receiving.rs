//! What an air-gap receiver decides about one connection.
//!
//! Held here: a handshake comes first; every frame is answered with at most one byte, and nothing
//! is ever written unasked; `0xff` means damaged or refused for good, temporary trouble is answered
//! by waiting and then a reset; bytes of a piece leave for the disk before their checksum is known,
//! but count towards a seal only after it was right.

use core::fmt;
use core::time::Duration;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use tidegate_wire::FrameDecoder;
use tidegate_wire::FrameError;
use tidegate_wire::FrameEvent;
use tidegate_wire::FrameLimits;
use tidegate_wire::piece::PieceKind;

use crate::Time;

mod action;
mod files;
mod handshake;
mod head;
mod origin;
mod refusal;
mod request;
mod slices;

pub use action::Action;
pub use action::Answer;
pub use action::AnswerTo;
pub use action::Close;
pub use action::CloseHow;
pub use action::CloseReason;
pub use action::FileId;
pub use action::HandshakeForm;
pub use action::Hello;
pub use action::Outcome;
pub use action::Seal;
pub use action::SealKind;
pub use action::SealedFile;
pub use action::Submit;
pub use action::SubmitKind;
pub use action::Token;
pub use action::pipe_of;
pub use origin::Origin;
pub use refusal::HandshakeFault;
pub use refusal::NameFault;
pub use refusal::Refusal;
pub use refusal::SealFault;

use files::Files;
use files::Neighbours;
use head::Head;
use request::Request;
use slices::Slices;

/// What is the same for every connection of a receiver.
#[derive(Clone)]
pub struct ReceivingConfig {
    /// Longest frame payload: a piece with its head.
    pub max_payload_bytes: u32,
    /// Longest payload that is not a piece, before and after decompression.
    pub max_request_bytes: u32,
    /// Most files of one connection that may be unfinished at once.
    pub max_unfinished_files: usize,
    /// How long a tablet or plan may wait for its answer before the connection is reset.
    pub withhold_tablet: Duration,
    /// How long a piece or seal may wait for its answer before the connection is reset.
    pub withhold_file: Duration,
    /// How long a connection may be silent before it is reset.
    pub idle_close: Duration,
    /// Whether V1 handshakes, which carry no user, are accepted.
    pub accept_v1: bool,
    /// The cluster id of this receiver.
    pub own_cluster_id: String,
    /// The user that V2 handshakes must name.
    pub user: String,
    /// The password of that user.
    pub password: String,
    /// The origin of senders that do not say who they are.
    pub listener_name: String,
}

impl fmt::Debug for ReceivingConfig {
    /// Leaves the password out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivingConfig")
            .field("max_payload_bytes", &self.max_payload_bytes)
            .field("max_request_bytes", &self.max_request_bytes)
            .field("max_unfinished_files", &self.max_unfinished_files)
            .field("withhold_tablet", &self.withhold_tablet)
            .field("withhold_file", &self.withhold_file)
            .field("idle_close", &self.idle_close)
            .field("accept_v1", &self.accept_v1)
            .field("own_cluster_id", &self.own_cluster_id)
            .field("user", &self.user)
            .field("listener_name", &self.listener_name)
            .finish_non_exhaustive()
    }
}

/// One air-gap connection, seen from the receiving side.
///
/// Methods come in three kinds:
///
/// - A. getters: [`wants_read`](Self::wants_read), [`identity`](Self::identity),
///   [`has_greeted`](Self::has_greeted),
///   [`gathered_bytes`](Self::gathered_bytes), [`silent_since`](Self::silent_since),
///   [`poll_timeout`](Self::poll_timeout)
/// - B. something happened outside: [`handle_bytes`](Self::handle_bytes),
///   [`handle_outcome`](Self::handle_outcome), [`handle_eof`](Self::handle_eof),
///   [`handle_error`](Self::handle_error), [`handle_timeout`](Self::handle_timeout)
/// - C. what the edge must do next: [`poll_action`](Self::poll_action)
///
/// The order of calls:
///
/// 1. While [`wants_read`](Self::wants_read): read from the socket and call
///    [`handle_bytes`](Self::handle_bytes) until it gives no action. What it left of its input
///    stays at the edge and comes first next time; pipelined frames wait there for their turn.
/// 2. After every other B: call [`poll_action`](Self::poll_action) until it gives nothing, then go
///    on with 1, for an answer that has left makes room for the next frame.
/// 3. Sleep until [`poll_timeout`](Self::poll_timeout) at the latest.
///
/// Every [`Action::Handshake`], [`Action::PieceEnd`], [`Action::Seal`] and [`Action::Submit`] waits
/// for an [`Outcome`]; at most one of them is open at a time. On [`Action::Close`] the edge drops
/// all files of the connection that no seal has taken.
#[derive(Debug)]
pub struct ReceivingSession {
    config: Arc<ReceivingConfig>,
    decoder: FrameDecoder,
    payload: Payload,
    phase: Phase,
    identity: Option<Hello>,
    files: Files,
    slices: Slices,
    actions: VecDeque<Action<'static>>,
    last_traffic: Time,
    /// Until the first handshake is accepted: when that must have happened.
    greet_by: Option<Time>,
    next_token: u64,
}

/// A connection has so long for its first accepted handshake, whatever it sends meanwhile.
pub const GREETING_TIME_MAX: Duration = Duration::from_secs(60);

/// Longest request that is gathered, or decompressed, before a handshake was accepted: no handshake is
/// longer, and nobody who has not greeted fills memory or takes time.
const GREETING_BYTES_MAX: u32 = 64 << 10;

/// A request may be compressed and sliced, each once.
const MAX_LAYERS: u8 = 2;

/// Where a session stands.
#[derive(Debug)]
enum Phase {
    /// Frames may come in.
    Reading,
    /// A frame is waiting for its outcome; nothing is read.
    Owing(Owed),
    /// Closed; nothing happens any more.
    Closed,
}

/// The one answer that is owed.
#[derive(Debug)]
struct Owed {
    token: Token,
    to: AnswerTo,
    since: Time,
    limit: Duration,
    /// The handshake or file that the outcome decides about.
    subject: Subject,
    /// The peer has shut its side; close once the answer is out.
    eof: bool,
}

#[derive(Debug)]
enum Subject {
    Handshake(Hello),
    Piece(FileId),
    Other,
}

/// The payload of the frame that is arriving.
#[derive(Debug)]
enum Payload {
    /// Its head is not complete.
    Head { bytes: Vec<u8>, payload_bytes: u32, missing: usize },
    /// A piece on its way to the disk.
    Piece { file: FileId, at_bytes: u64, length_bytes: u64 },
    /// Anything else, gathered as it arrives.
    Gather { bytes: Vec<u8> },
    /// Refused; the rest is passed over to keep the connection in step.
    Skip { to: AnswerTo, refusal: Refusal },
}

impl ReceivingSession {
    /// A session of a connection accepted `now`.
    pub fn new(now: Time, config: Arc<ReceivingConfig>) -> Self {
        let limits = FrameLimits { max_payload_bytes: config.max_payload_bytes };
        Self {
            decoder: FrameDecoder::new(limits),
            payload: Payload::Gather { bytes: Vec::new() },
            phase: Phase::Reading,
            identity: None,
            files: Files::new(config.max_unfinished_files),
            slices: Slices::default(),
            actions: VecDeque::new(),
            last_traffic: now,
            greet_by: Some(now + GREETING_TIME_MAX),
            next_token: 0,
            config,
        }
    }

    /// Whether bytes may be handed in: not while an answer is owed, nor after the end.
    pub fn wants_read(&self) -> bool {
        matches!(self.phase, Phase::Reading) && self.actions.is_empty()
    }

    /// Who the peer is, after an accepted handshake.
    pub fn identity(&self) -> Option<&Hello> {
        self.identity.as_ref()
    }

    /// Whether a handshake was ever accepted.
    pub fn has_greeted(&self) -> bool {
        self.greet_by.is_none()
    }

    /// Memory that holds a request until it is whole.
    pub fn gathered_bytes(&self) -> usize {
        let payload = match &self.payload {
            Payload::Gather { bytes } => bytes.capacity(),
            _ => 0,
        };
        payload.saturating_add(self.slices.held_bytes())
    }

    /// When the last bytes were taken or the last answer was given; `None` while one is owed and
    /// after the end.
    pub fn silent_since(&self) -> Option<Time> {
        matches!(self.phase, Phase::Reading).then_some(self.last_traffic)
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called at the latest.
    pub fn poll_timeout(&self) -> Option<Time> {
        match &self.phase {
            Phase::Reading => {
                let idle = self.last_traffic + self.config.idle_close;
                Some(self.greet_by.map_or(idle, |greet_by| greet_by.min(idle)))
            }
            Phase::Owing(owed) => Some(owed.since + owed.limit),
            Phase::Closed => None,
        }
    }

    /// Bytes arrived: takes what it can from the front of `input`.
    pub fn handle_bytes<'a>(&mut self, now: Time, input: &mut &'a [u8]) -> Option<Action<'a>> {
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Some(action);
            }
            if !self.wants_read() {
                return None;
            }
            let window = self.window().min(input.len());
            let (mut part, _) = input.split_at_checked(window)?;
            let event = self.decoder.next(&mut part);
            let taken = window.saturating_sub(part.len());
            *input = input.get(taken..)?;
            if taken > 0 {
                self.last_traffic = now;
            }
            match event {
                Ok(None) if taken == 0 => return None,
                Ok(None) => {}
                Ok(Some(FrameEvent::Begin { payload_bytes, .. })) => {
                    self.begin_payload(payload_bytes);
                }
                Ok(Some(FrameEvent::Payload(bytes))) => {
                    if let Some(action) = self.take_payload(bytes) {
                        return Some(action);
                    }
                }
                Ok(Some(FrameEvent::End)) => self.end_payload(now),
                Err(error) => self.damaged(error),
            }
        }
    }

    /// Something the edge was asked to do has come out. Outcomes nobody waits for are ignored.
    pub fn handle_outcome(&mut self, now: Time, token: Token, outcome: Outcome) {
        let Phase::Owing(owed) = &self.phase else {
            return;
        };
        if owed.token != token || outcome == Outcome::Temporary {
            return;
        }
        let Phase::Owing(owed) = core::mem::replace(&mut self.phase, Phase::Reading) else {
            return;
        };
        self.last_traffic = now;
        match outcome {
            Outcome::Refused(refusal) => {
                if let Subject::Piece(file) = owed.subject {
                    self.files.drop_one(file, &mut self.actions);
                }
                self.answer(Answer::Fail(owed.to, refusal));
            }
            _ => {
                if let Subject::Handshake(hello) = owed.subject {
                    self.greet_by = None;
                    self.identity = Some(hello);
                }
                self.answer(Answer::Ok(owed.to));
            }
        }
        if owed.eof {
            self.close(CloseHow::Finish, CloseReason::PeerClosed);
        }
    }

    /// The peer shut its sending side.
    pub fn handle_eof(&mut self, _now: Time) {
        match &mut self.phase {
            Phase::Reading => {
                let reason = match self.decoder.is_between_frames() {
                    true => CloseReason::PeerClosed,
                    false => CloseReason::PeerClosedEarly,
                };
                self.close(CloseHow::Silent, reason);
            }
            Phase::Owing(owed) => owed.eof = true,
            Phase::Closed => {}
        }
    }

    /// The socket failed.
    pub fn handle_error(&mut self, _now: Time) {
        self.close(CloseHow::Silent, CloseReason::SocketFailed);
    }

    /// The time given by [`poll_timeout`](Self::poll_timeout) may have come.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return;
        }
        match &self.phase {
            Phase::Reading if self.greet_by.is_some_and(|greet_by| greet_by <= now) => {
                self.close(CloseHow::Reset, CloseReason::NoHandshake(GREETING_TIME_MAX));
            }
            Phase::Reading => {
                self.close(CloseHow::Reset, CloseReason::Idle(self.config.idle_close));
            }
            Phase::Owing(owed) => {
                let (eof, reason) = (owed.eof, CloseReason::Withheld(owed.limit));
                let reason = if eof { CloseReason::PeerClosedEarly } else { reason };
                self.close(CloseHow::Reset, reason);
            }
            Phase::Closed => {}
        }
    }

    /// The next thing to do after any `handle_*` but `handle_bytes`.
    pub fn poll_action(&mut self) -> Option<Action<'static>> {
        self.actions.pop_front()
    }

    /// How much the decoder may see, so that a head ends where its bytes end.
    fn window(&self) -> usize {
        match &self.payload {
            Payload::Head { missing, .. } => *missing,
            _ => usize::MAX,
        }
    }

    fn begin_payload(&mut self, payload_bytes: u32) {
        let bytes = Vec::with_capacity(head::MAX_HEAD_BYTES);
        self.payload = Payload::Head { bytes, payload_bytes, missing: head::TYPE_BYTES };
    }

    /// Bytes of the payload; those of a piece go straight out.
    fn take_payload<'a>(&mut self, bytes: &'a [u8]) -> Option<Action<'a>> {
        match &mut self.payload {
            Payload::Head { bytes: head, .. } => {
                head.extend_from_slice(bytes);
                self.read_head();
                None
            }
            Payload::Gather { bytes: gathered } => {
                gathered.extend_from_slice(bytes);
                None
            }
            Payload::Piece { file, at_bytes, .. } => {
                let at = *at_bytes;
                *at_bytes = at.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                let bytes = Cow::Borrowed(bytes);
                Some(Action::FileWrite { file: *file, at_bytes: at, bytes })
            }
            Payload::Skip { .. } => None,
        }
    }

    fn read_head(&mut self) {
        let Payload::Head { bytes, payload_bytes, missing } = &mut self.payload else {
            return;
        };
        let payload_bytes = *payload_bytes;
        let next = match head::parse(bytes, payload_bytes) {
            Ok(Head::NeedMore(more)) => {
                *missing = more.max(1);
                return;
            }
            Ok(Head::Other { type_code }) => {
                let cap_bytes = self.config.max_request_bytes;
                if payload_bytes > cap_bytes {
                    let refusal =
                        Refusal::Oversized { type_code, found_bytes: payload_bytes, cap_bytes };
                    self.answer(Answer::Fail(AnswerTo::Request, refusal.clone()));
                    self.close(CloseHow::Finish, CloseReason::Oversized(refusal));
                    return;
                }
                match self.identity.is_none() && payload_bytes > GREETING_BYTES_MAX {
                    true => {
                        Payload::Skip { to: AnswerTo::Unknown, refusal: Refusal::HandshakeFirst }
                    }
                    false => Payload::Gather { bytes: core::mem::take(bytes) },
                }
            }
            Ok(Head::Piece(piece)) => match self.begin_piece(&piece) {
                Ok((file, at_bytes)) => {
                    Payload::Piece { file, at_bytes, length_bytes: piece.length_bytes }
                }
                Err(refusal) => Payload::Skip { to: AnswerTo::Piece, refusal },
            },
            Err(refusal) => Payload::Skip { to: AnswerTo::Unknown, refusal },
        };
        self.payload = next;
    }

    fn begin_piece(&mut self, piece: &head::Piece) -> Result<(FileId, u64), Refusal> {
        if self.identity.is_none() {
            return Err(Refusal::HandshakeFirst);
        }
        self.slices.clear();
        let neighbours = match piece.kind {
            PieceKind::TsFile => Neighbours::Drop,
            _ => Neighbours::Keep,
        };
        self.files.begin_piece(neighbours, &piece.name, piece.offset, &mut self.actions)
    }

    /// The frame is whole and its checksum was right.
    fn end_payload(&mut self, now: Time) {
        let payload = core::mem::replace(&mut self.payload, Payload::Gather { bytes: Vec::new() });
        match payload {
            Payload::Piece { file, length_bytes, .. } => self.end_piece(now, file, length_bytes),
            Payload::Gather { bytes } => self.dispatch(now, bytes, 0),
            Payload::Skip { to, refusal } => self.answer(Answer::Fail(to, refusal)),
            Payload::Head { .. } => {
                self.answer(Answer::Fail(AnswerTo::Unknown, Refusal::Incomplete));
            }
        }
    }

    fn end_piece(&mut self, now: Time, file: FileId, length_bytes: u64) {
        self.files.confirm(file, length_bytes);
        let token = self.owe(now, AnswerTo::Piece, Subject::Piece(file));
        self.actions.push_back(Action::PieceEnd(token, file));
    }

    /// A gathered request, or one found inside another.
    fn dispatch(&mut self, now: Time, payload: Vec<u8>, layer: u8) {
        let cap_bytes = match self.identity {
            None => self.config.max_request_bytes.min(GREETING_BYTES_MAX),
            Some(_) => self.config.max_request_bytes,
        };
        let (to, result) = match request::parse(payload, &self.config, cap_bytes) {
            Ok(Request::Handshake(checked)) => (AnswerTo::Handshake, self.greet(now, checked)),
            // a sender with a compressor wraps its handshake as well
            Ok(Request::Compressed(inner)) if layer < MAX_LAYERS => {
                return self.dispatch(now, inner, layer.saturating_add(1));
            }
            Ok(_) if self.identity.is_none() => (AnswerTo::Unknown, Err(Refusal::HandshakeFirst)),
            Ok(Request::Slice(slice)) if layer < MAX_LAYERS => {
                let cap = usize::try_from(self.config.max_request_bytes).unwrap_or(usize::MAX);
                match self.slices.push(slice, cap) {
                    Ok(Some(whole)) => {
                        let inner = request::join(whole);
                        return self.dispatch(now, inner, layer.saturating_add(1));
                    }
                    Ok(None) => return self.answer(Answer::Ok(AnswerTo::Slice)),
                    Err(refusal) => (AnswerTo::Slice, Err(refusal)),
                }
            }
            Ok(Request::Compressed(_) | Request::Slice(_)) => {
                (AnswerTo::Unknown, Err(Refusal::Layers))
            }
            Ok(Request::Piece(piece, bytes)) => {
                (AnswerTo::Piece, self.whole_piece(now, &piece, bytes))
            }
            Ok(Request::Seal(seal)) => (AnswerTo::Seal, self.seal(now, seal)),
            Ok(Request::Submit(submit)) => {
                self.slices.clear();
                let token = self.owe(now, AnswerTo::Request, Subject::Other);
                self.actions.push_back(Action::Submit(token, submit));
                return;
            }
            Err(refusal) => (AnswerTo::Unknown, Err(refusal)),
        };
        if let Err(refusal) = result {
            self.slices.clear();
            self.answer(Answer::Fail(to, refusal));
        }
    }

    fn greet(&mut self, now: Time, checked: Result<Hello, HandshakeFault>) -> Result<(), Refusal> {
        // as at IoTDB, a handshake begins anew: whatever the one before allowed is over
        self.identity = None;
        self.slices.clear();
        self.files.drop_all(&mut self.actions);
        let hello = checked.map_err(Refusal::Handshake)?;
        let token = self.owe(now, AnswerTo::Handshake, Subject::Handshake(hello.clone()));
        self.actions.push_back(Action::Handshake(token, hello));
        Ok(())
    }

    /// A piece that came compressed or in slices, so all at once.
    fn whole_piece(
        &mut self,
        now: Time,
        piece: &head::Piece,
        bytes: Vec<u8>,
    ) -> Result<(), Refusal> {
        let (file, at_bytes) = self.begin_piece(piece)?;
        self.actions.push_back(Action::FileWrite { file, at_bytes, bytes: Cow::Owned(bytes) });
        self.end_piece(now, file, piece.length_bytes);
        Ok(())
    }

    fn seal(&mut self, now: Time, seal: request::SealRequest) -> Result<(), Refusal> {
        self.slices.clear();
        let files = self.files.seal(&seal.named, &mut self.actions)?;
        let token = self.owe(now, AnswerTo::Seal, Subject::Other);
        let request::SealRequest { kind, parameters, request, .. } = seal;
        self.actions.push_back(Action::Seal(token, Seal { kind, files, parameters, request }));
        Ok(())
    }

    fn owe(&mut self, now: Time, to: AnswerTo, subject: Subject) -> Token {
        let token = Token(self.next_token);
        self.next_token = self.next_token.saturating_add(1);
        let limit = match to {
            AnswerTo::Piece | AnswerTo::Seal => self.config.withhold_file,
            _ => self.config.withhold_tablet,
        };
        self.phase = Phase::Owing(Owed { token, to, since: now, limit, subject, eof: false });
        token
    }

    fn answer(&mut self, answer: Answer) {
        self.actions.push_back(Action::Reply(answer));
    }

    /// The stream of frames cannot be followed any further.
    fn damaged(&mut self, error: FrameError) {
        if error.is_foreign() {
            return self.close(CloseHow::Silent, CloseReason::Frame(error));
        }
        if let Payload::Piece { file, .. } = self.payload {
            self.files.drop_one(file, &mut self.actions);
        }
        self.answer(Answer::Fail(AnswerTo::Unknown, Refusal::Damaged(error.to_string())));
        self.close(CloseHow::Finish, CloseReason::Frame(error));
    }

    fn close(&mut self, how: CloseHow, reason: CloseReason) {
        if !matches!(self.phase, Phase::Closed) {
            self.phase = Phase::Closed;
            self.actions.push_back(Action::Close(Close { how, reason }));
        }
    }
}
