//! The gateway: bytes forward, one byte back, and everything it can do wrong.
//!
//! It terminates TCP on both sides, so what happens on one side need not be known on the other.

use core::time::Duration;
use std::collections::VecDeque;

use tidegate_link::Time;

use crate::faults::Broken;
use crate::faults::Fault;
use crate::world::Event;
use crate::world::World;

/// How a connection ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    Fin,
    Rst,
}

/// One connection of the sender, and the one that the gateway makes for it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) peer: usize,
    pub(crate) lane: usize,
    /// The sender's socket is there.
    pub(crate) inner_open: bool,
    /// What the sender's socket holds to be read.
    pub(crate) readable: Vec<u8>,
    pub(crate) readable_end: Option<End>,
    /// Something was read after which nothing may be written here.
    pub(crate) spoiled: bool,
    /// A surplus byte that arrives just before the next frame is written.
    pub(crate) surplus: Option<u8>,
    /// Where frames begin in the stream, and how much was written and delivered of it.
    pub(crate) frame_starts: Vec<u64>,
    pub(crate) written: u64,
    pub(crate) delivered: u64,
    /// Bytes that the receiver wrote.
    pub(crate) n_replies: usize,
    /// The gateway answers by itself, and closes.
    only_greets: bool,
    outer: Outer,
    forward: VecDeque<(Time, Passing)>,
    backward: VecDeque<(Time, Passing)>,
    forward_due: Time,
    backward_due: Time,
    forward_dead: bool,
    backward_dead: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outer {
    /// Made when there is something to deliver.
    NotYet,
    Open,
    Dead,
}

#[derive(Debug)]
enum Passing {
    Bytes(Vec<u8>),
    End(End),
}

/// What a zombie waits at most.
const HELD_MAX: Duration = Duration::from_secs(2000);

impl World {
    /// The sender calls a peer.
    pub(crate) fn gateway_call(&mut self, peer: usize, lane: usize) -> usize {
        let link = self.links.len();
        self.links.push(Link {
            peer,
            lane,
            inner_open: true,
            readable: Vec::new(),
            readable_end: None,
            spoiled: false,
            surplus: None,
            frame_starts: Vec::new(),
            written: 0,
            delivered: 0,
            n_replies: 0,
            only_greets: false,
            outer: Outer::NotYet,
            forward: VecDeque::new(),
            backward: VecDeque::new(),
            forward_due: self.now,
            backward_due: self.now,
            forward_dead: false,
            backward_dead: false,
        });
        let at = self.now + self.one_way() * 2;
        let dead =
            (self.setup.dead_peer == Some(peer)).then(|| match self.setup.dead_peer_greets {
                true => 2,
                false => self.rng.u8(0..3),
            });
        if dead == Some(0) || self.strikes(Fault::Refuse) {
            self.at(at, Event::Called { link, accepted: false });
        } else if dead != Some(1) && !self.strikes(Fault::CallHangs) {
            if dead == Some(2) || self.strikes(Fault::OneSided) {
                self.links[link].outer = Outer::Dead;
                if dead == Some(2) && self.setup.dead_peer_greets {
                    self.links[link].only_greets = true;
                } else if self.rng.bool() {
                    let end = self.draw_end();
                    let within = self.up_to(Duration::from_secs(30));
                    self.push_backward(link, Passing::End(end), within);
                }
            } else if self.rng.bool() {
                self.connect_outer(link);
            }
            self.at(at, Event::Called { link, accepted: true });
        }
        link
    }

    /// The sender writes; `ends_frame` when it is the last part of a frame.
    pub(crate) fn gateway_forward(&mut self, link: usize, mut bytes: Vec<u8>, ends_frame: bool) {
        self.links[link].written += bytes.len() as u64;
        if self.links[link].only_greets && ends_frame {
            let delay = self.one_way();
            self.push_backward(link, Passing::Bytes(vec![0]), delay);
            let delay = delay + self.up_to(Duration::from_millis(100));
            return self.push_backward(link, Passing::End(End::Fin), delay);
        }
        if self.links[link].forward_dead {
            return;
        }
        if self.strikes(Fault::BlackHoleForward) {
            self.links[link].forward_dead = true;
            return;
        }
        if self.strikes(Fault::Corrupt) {
            let at = self.rng.usize(0..bytes.len());
            bytes[at] ^= 1 << self.rng.u8(0..8);
        }
        let mut delay = self.one_way();
        if self.strikes(Fault::Hold) {
            delay += self.up_to(HELD_MAX);
        }
        if self.strikes(Fault::CutWithin) {
            bytes.truncate(self.rng.usize(0..bytes.len()));
            if !bytes.is_empty() {
                self.push_forward(link, Passing::Bytes(bytes), delay);
            }
            return self.cut(link);
        }
        while bytes.len() > 1 && self.rng.u8(0..12) == 0 {
            let rest = bytes.split_off(self.rng.usize(1..bytes.len().min(24)));
            self.push_forward(link, Passing::Bytes(bytes), delay);
            bytes = rest;
            delay += self.up_to(Duration::from_millis(3));
        }
        self.push_forward(link, Passing::Bytes(bytes), delay);
        if ends_frame && self.strikes(Fault::CutLater) {
            let within = self.up_to(self.setup.round_trip * 4 + Duration::from_millis(80));
            self.at(self.now + within, Event::Cut { link });
        }
    }

    /// The receiver writes its byte.
    pub(crate) fn gateway_reply(&mut self, link: usize, byte: u8) {
        let mut byte = byte;
        let mut delay = self.one_way();
        if self.strikes(Fault::BlackHoleBack) {
            self.links[link].backward_dead = true;
        }
        if self.links[link].backward_dead || self.strikes(Fault::LoseReply) {
            return;
        }
        if self.strikes(Fault::LateReply) {
            delay += self.up_to(self.setup.reply_timeout * 2);
        }
        if self.strikes(Fault::IllegalReply) {
            byte = [0x01, 0x7f, 0x80, 0xfe, self.rng.u8(1..0xff)][self.rng.usize(0..5)];
        }
        if byte == 0 && self.strikes(Fault::OkBecomesFail) {
            byte = 0xff;
        }
        let mut bytes = vec![byte];
        if self.strikes(Fault::DoubleReply) {
            let surplus = if self.rng.bool() { byte } else { 0 };
            match self.rng.u8(0..2) {
                0 => bytes.push(surplus),
                _ => self.links[link].surplus = Some(surplus),
            }
        } else if self.strikes(Fault::Unsolicited) {
            let n_frames = self.links[link].frame_starts.len();
            let at = self.now + delay + self.up_to(Duration::from_secs(59));
            self.at(at, Event::Surplus { link, byte: 0, n_frames });
        }
        self.push_backward(link, Passing::Bytes(bytes), delay);
    }

    /// The sender's socket goes. What the gateway holds may still be delivered.
    pub(crate) fn gateway_inner_gone(&mut self, link: usize, end: End) {
        if !self.links[link].inner_open {
            return;
        }
        self.links[link].inner_open = false;
        if self.strikes(Fault::LoseClose) {
            return;
        }
        if end == End::Rst && self.rng.bool() {
            self.links[link].forward.clear();
            self.links[link].forward_due = self.now;
        }
        let delay = self.one_way();
        self.push_forward(link, Passing::End(end), delay);
    }

    /// The receiver's socket goes.
    pub(crate) fn gateway_outer_gone(&mut self, link: usize, end: End) {
        self.links[link].outer = Outer::Dead;
        if !self.strikes(Fault::LoseClose) {
            let delay = self.one_way();
            self.push_backward(link, Passing::End(end), delay);
        }
    }

    /// The connection is cut on the inner side, the outer side, or both.
    pub(crate) fn cut(&mut self, link: usize) {
        let (inner, outer) = [(true, true), (true, false), (false, true)][self.rng.usize(0..3)];
        if inner {
            let end = self.draw_end();
            self.push_backward(link, Passing::End(end), Duration::ZERO);
            self.links[link].forward_dead = true;
        }
        if outer {
            let end = self.draw_end();
            self.push_forward(link, Passing::End(end), Duration::ZERO);
            self.links[link].forward_dead = true;
            self.links[link].backward_dead = true;
        }
    }

    pub(crate) fn deliver_forward(&mut self, link: usize) {
        let now = self.now;
        let due = |passing: &mut (Time, Passing)| passing.0 <= now;
        while let Some((_, passing)) = self.links[link].forward.pop_front_if(due) {
            if self.links[link].outer == Outer::NotYet {
                self.connect_outer(link);
            }
            if self.links[link].outer == Outer::Dead {
                continue;
            }
            let receiver = self.setup.behind[self.links[link].peer];
            match passing {
                Passing::Bytes(mut bytes) => {
                    while let Some((_, Passing::Bytes(more))) = self.links[link]
                        .forward
                        .pop_front_if(|next| next.0 <= now && matches!(next.1, Passing::Bytes(_)))
                    {
                        bytes.extend(more);
                    }
                    self.links[link].delivered += bytes.len() as u64;
                    self.receive(receiver, link, &bytes);
                }
                Passing::End(end) => {
                    self.links[link].outer = Outer::Dead;
                    self.receive_end(receiver, link, end);
                }
            }
        }
    }

    pub(crate) fn deliver_backward(&mut self, link: usize) {
        let now = self.now;
        let due = |passing: &mut (Time, Passing)| passing.0 <= now;
        let mut any = false;
        while let Some((_, passing)) = self.links[link].backward.pop_front_if(due) {
            let broken = self.broken == Broken::HearsOldConnections;
            let link = &mut self.links[link];
            if !link.inner_open && !broken {
                continue;
            }
            any = true;
            match passing {
                Passing::Bytes(bytes) if link.readable_end.is_none() => {
                    link.readable.extend(bytes);
                }
                Passing::End(end) if link.inner_open => _ = link.readable_end.get_or_insert(end),
                _ => (),
            }
        }
        if any {
            let lag = match self.rng.u8(0..4) {
                0 => self.up_to(Duration::from_millis(5)),
                _ => Duration::ZERO,
            };
            self.at(now + lag, Event::Readable { link });
        }
    }

    /// A byte that nobody waits for, unless a frame has left since: then it could not be told from
    /// its answer, which is the limit of the wire and not tested here.
    pub(crate) fn deliver_surplus(&mut self, link: usize, byte: u8, n_frames: usize) {
        let it = &self.links[link];
        let untouched = it.frame_starts.len() == n_frames && it.readable.is_empty();
        if it.inner_open && untouched && it.readable_end.is_none() && self.is_idle(link) {
            self.links[link].readable.push(byte);
            self.handle_readable(link);
        }
    }

    fn connect_outer(&mut self, link: usize) {
        let receiver = self.setup.behind[self.links[link].peer];
        if self.receivers[receiver].up {
            self.links[link].outer = Outer::Open;
            self.accept(receiver, link);
            return;
        }
        self.links[link].outer = Outer::Dead;
        if self.rng.bool() {
            let (end, delay) = (self.draw_end(), self.one_way());
            self.push_backward(link, Passing::End(end), delay);
        }
    }

    fn push_forward(&mut self, link: usize, passing: Passing, delay: Duration) {
        let it = &mut self.links[link];
        let at = it.forward_due.max(self.now + delay);
        it.forward_due = at;
        it.forward.push_back((at, passing));
        self.at(at, Event::Forward { link });
    }

    fn push_backward(&mut self, link: usize, passing: Passing, delay: Duration) {
        let it = &mut self.links[link];
        let at = it.backward_due.max(self.now + delay);
        it.backward_due = at;
        it.backward.push_back((at, passing));
        self.at(at, Event::Backward { link });
    }
}
