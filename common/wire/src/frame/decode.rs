//! The incremental frame decoder: any cut of the stream gives the same frames.
//!
//! It holds at most eight bytes. What arrives of a payload is handed on at once, and is to be believed
//! only after [`FrameEvent::End`], when lengths, checksum and suffix have been compared.

use crc32fast::Hasher;

use super::CHECKSUM_BYTES;
use super::DETECTED_BYTES;
use super::E_LANGUAGE_PREFIX;
use super::E_LANGUAGE_SUFFIX;
use super::Foreign;
use super::FrameError;
use super::FrameLimits;
use super::PAYLOAD_BYTES_MAX;
use super::PAYLOAD_BYTES_MIN;

/// What a [`FrameDecoder`] found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // a frame has a beginning, a middle and an end
pub enum FrameEvent<'a> {
    /// A header was accepted; a payload of this many bytes follows.
    Begin {
        /// Length of the payload.
        payload_bytes: u32,
        /// Whether the frame came inside an E-language block.
        wrapped: bool,
    },
    /// The next bytes of the payload, never empty.
    Payload(&'a [u8]),
    /// Everything about the frame was right.
    End,
}

/// Turns the bytes of one connection into frames.
///
/// Feed it what was read and call [`next`](Self::next) until it returns `None`. After an error it is
/// poisoned: the position in the stream is lost, and every later call returns the same error.
#[derive(Clone, Debug)]
pub struct FrameDecoder {
    limits: FrameLimits,
    state: State,
    /// Bytes of the 8-byte field being collected; the first `held_bytes` are valid.
    held: [u8; DETECTED_BYTES],
    held_bytes: usize,
    /// Whether a frame has ended: what comes first on a connection may be another protocol.
    past_first_frame: bool,
}

#[derive(Clone, Debug)]
enum State {
    /// 8 bytes: two lengths, or the beginning of a prefix.
    Start,
    /// The rest of the prefix.
    Prefix { matched_bytes: usize },
    /// 8 bytes: two lengths, inside of a wrap.
    Lengths,
    /// 8 bytes of checksum.
    Checksum { payload_bytes: u32, wrapped: bool },
    /// The payload.
    Payload { left_bytes: u32, want: u64, wrapped: bool, crc: Hasher },
    /// The suffix of a wrapped frame.
    Suffix { matched_bytes: usize },
    /// Nothing more.
    Poisoned(FrameError),
}

impl FrameDecoder {
    /// A decoder for a new connection.
    pub fn new(limits: FrameLimits) -> Self {
        let max_payload_bytes = limits.max_payload_bytes.min(PAYLOAD_BYTES_MAX);
        Self {
            limits: FrameLimits { max_payload_bytes },
            state: State::Start,
            held: [0; DETECTED_BYTES],
            held_bytes: 0,
            past_first_frame: false,
        }
    }

    /// The next event; takes what it used from the front of `input`.
    ///
    /// `None` means that all of `input` was used and more is needed.
    #[allow(clippy::should_implement_trait)] // an iterator could not borrow the input per call
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<FrameEvent<'a>>, FrameError> {
        self.advance(input).inspect_err(|error| self.state = State::Poisoned(*error))
    }

    /// Whether the next byte, if any, begins a frame: a close here cuts nothing.
    pub fn is_between_frames(&self) -> bool {
        matches!(self.state, State::Start) && self.held_bytes == 0
    }

    /// How many bytes of an unfinished field are held.
    pub fn buffered_bytes(&self) -> usize {
        self.held_bytes
    }

    fn advance<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<FrameEvent<'a>>, FrameError> {
        loop {
            match &mut self.state {
                State::Start => {
                    let Some(field) = self.collect(input) else { return Ok(None) };
                    if E_LANGUAGE_PREFIX.starts_with(&field) {
                        self.state = State::Prefix { matched_bytes: DETECTED_BYTES };
                    } else {
                        let foreign = Foreign::detect(&field).filter(|_| !self.past_first_frame);
                        let payload_bytes = self.lengths(field, foreign)?;
                        self.state = State::Checksum { payload_bytes, wrapped: false };
                    }
                }
                State::Prefix { matched_bytes } => {
                    match match_text(input, E_LANGUAGE_PREFIX, matched_bytes) {
                        Match::More => return Ok(None),
                        Match::Differs => {
                            return Err(FrameError::Prefix { matched_bytes: *matched_bytes });
                        }
                        Match::Whole => self.state = State::Lengths,
                    }
                }
                State::Lengths => {
                    let Some(field) = self.collect(input) else { return Ok(None) };
                    if E_LANGUAGE_PREFIX.starts_with(&field) {
                        return Err(FrameError::NestedPrefix);
                    }
                    let payload_bytes = self.lengths(field, None)?;
                    self.state = State::Checksum { payload_bytes, wrapped: true };
                }
                &mut State::Checksum { payload_bytes, wrapped } => {
                    let Some(field) = self.collect(input) else { return Ok(None) };
                    let want = u64::from_be_bytes(field);
                    let crc = Hasher::new();
                    self.state = State::Payload { left_bytes: payload_bytes, want, wrapped, crc };
                    return Ok(Some(FrameEvent::Begin { payload_bytes, wrapped }));
                }
                State::Payload { left_bytes: left_bytes @ 1.., crc, .. } => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    let part = split_front(input, *left_bytes as usize);
                    crc.update(part);
                    *left_bytes = left_bytes.saturating_sub(part.len() as u32);
                    return Ok(Some(FrameEvent::Payload(part)));
                }
                State::Payload { want, wrapped, crc, .. } => {
                    let (want, got) = (*want, crc.clone().finalize());
                    if want != u64::from(got) {
                        return Err(FrameError::Checksum { want, got });
                    }
                    if !*wrapped {
                        return Ok(Some(self.end()));
                    }
                    self.state = State::Suffix { matched_bytes: 0 };
                }
                State::Suffix { matched_bytes } => {
                    match match_text(input, E_LANGUAGE_SUFFIX, matched_bytes) {
                        Match::More => return Ok(None),
                        Match::Differs => {
                            return Err(FrameError::Suffix { matched_bytes: *matched_bytes });
                        }
                        Match::Whole => return Ok(Some(self.end())),
                    }
                }
                State::Poisoned(error) => return Err(*error),
            }
        }
    }

    fn end<'a>(&mut self) -> FrameEvent<'a> {
        self.state = State::Start;
        self.past_first_frame = true;
        FrameEvent::End
    }

    /// An 8-byte field, once all of it is there.
    fn collect(&mut self, input: &mut &[u8]) -> Option<[u8; DETECTED_BYTES]> {
        let place = self.held.get_mut(self.held_bytes..).unwrap_or_default();
        let part = split_front(input, place.len());
        for (place, byte) in place.iter_mut().zip(part) {
            *place = *byte;
        }
        self.held_bytes = self.held_bytes.saturating_add(part.len());
        if self.held_bytes < DETECTED_BYTES {
            return None;
        }
        self.held_bytes = 0;
        Some(self.held)
    }

    /// The length of the payload from the two length fields.
    fn lengths(
        &self,
        field: [u8; DETECTED_BYTES],
        foreign: Option<Foreign>,
    ) -> Result<u32, FrameError> {
        let both = u64::from_be_bytes(field);
        let first = ((both >> 32) as u32).cast_signed();
        let second = (both as u32).cast_signed();
        if first != second {
            let unequal = FrameError::UnequalLengths { first, second };
            return Err(foreign.map_or(unequal, FrameError::NotAirGap));
        }
        let payload_bytes = u32::try_from(first)
            .ok()
            .and_then(|length| length.checked_sub(CHECKSUM_BYTES))
            .filter(|payload_bytes| *payload_bytes >= PAYLOAD_BYTES_MIN)
            .ok_or(FrameError::TooShort { length: first })?;
        let max_payload_bytes = self.limits.max_payload_bytes;
        if payload_bytes > max_payload_bytes {
            return Err(FrameError::TooLarge { payload_bytes, max_payload_bytes });
        }
        Ok(payload_bytes)
    }
}

enum Match {
    More,
    Differs,
    Whole,
}

/// Compares the input with what is left of `text` after `matched_bytes`.
fn match_text(input: &mut &[u8], text: &[u8], matched_bytes: &mut usize) -> Match {
    let wanted = text.get(*matched_bytes..).unwrap_or_default();
    let part = split_front(input, wanted.len());
    let same = part.iter().zip(wanted).take_while(|(found, want)| found == want).count();
    *matched_bytes = matched_bytes.saturating_add(same);
    if same < part.len() {
        Match::Differs
    } else if *matched_bytes < text.len() {
        Match::More
    } else {
        Match::Whole
    }
}

/// Takes at most `n` bytes from the front of `input`.
fn split_front<'a>(input: &mut &'a [u8], n: usize) -> &'a [u8] {
    let (part, rest) = input.split_at_checked(n).unwrap_or((input, &[]));
    *input = rest;
    part
}
