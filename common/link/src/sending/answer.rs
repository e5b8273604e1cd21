//! The one place where what comes back over the gateway is given a meaning.

use core::fmt;

use tidegate_model::Verdict;
use tidegate_wire::Reply;

use super::lane_config::HandshakeForm;

/// What the edge heard on a connection that had a frame out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // there is nothing else to hear
pub enum Heard<'a> {
    /// Everything that could be read at once; never empty.
    Bytes(&'a [u8]),
    /// The peer closed in order.
    Eof,
    /// The peer, or a gateway, broke the connection off; the text says how.
    Broken(&'a str),
    /// Nothing, until the deadline.
    Silence,
}

/// What was heard, told apart.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// The peer has it.
    Ok,
    /// The peer will not take it.
    Fail,
    /// Closed without an answer, in order.
    Closed,
    /// Broken off without an answer.
    Broken(String),
    /// No answer within the time.
    TimedOut,
    /// Something that no receiver sends: another value, or more than one byte.
    Illegal {
        /// The first byte.
        first: u8,
        /// How many bytes there were.
        n_bytes: usize,
    },
    /// A byte that nobody waits for.
    Unsolicited {
        /// The byte.
        first: u8,
    },
    /// OK for a frame of which the last bytes had not left.
    Premature,
}

/// Gives what was heard its meaning.
///
/// # Arguments
///
/// - `waiting`: whether a frame is out for which one byte is owed
/// - `sent_whole`: whether all of that frame has left
pub fn interpret(heard: Heard<'_>, waiting: bool, sent_whole: bool) -> Answer {
    let bytes = match heard {
        Heard::Bytes(bytes) => bytes,
        Heard::Eof => return Answer::Closed,
        Heard::Broken(how) => return Answer::Broken(how.to_owned()),
        Heard::Silence => return Answer::TimedOut,
    };
    let [first, surplus @ ..] = bytes else { return Answer::Closed };
    if !waiting {
        return Answer::Unsolicited { first: *first };
    }
    match (Reply::from_byte(*first), surplus) {
        (Ok(Reply::Ok), []) if sent_whole => Answer::Ok,
        (Ok(Reply::Ok), []) => Answer::Premature,
        (Ok(Reply::Fail), []) => Answer::Fail,
        _ => Answer::Illegal { first: *first, n_bytes: bytes.len() },
    }
}

impl Answer {
    /// What it says about the frame that was out.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Ok => Verdict::Accepted,
            Self::Fail => Verdict::Refused,
            Self::Broken(_)
            | Self::Closed
            | Self::Illegal { .. }
            | Self::Premature
            | Self::TimedOut
            | Self::Unsolicited { .. } => Verdict::Unknown,
        }
    }

    /// Stable key for counters and `--json`.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Broken(_) => "broken",
            Self::Closed => "closed",
            Self::Fail => "fail",
            Self::Illegal { .. } | Self::Premature => "illegal",
            Self::Ok => "ok",
            Self::TimedOut => "timeout",
            Self::Unsolicited { .. } => "unsolicited",
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(how) => write!(f, "connection broken off ({how})"),
            Self::Closed => f.write_str("connection closed by the peer without an answer"),
            Self::Fail => f.write_str("refused (ff)"),
            Self::Illegal { first, n_bytes: 1 } => {
                write!(f, "illegal answer: expected 00 or ff, but found {first:02x}")
            }
            Self::Illegal { first, n_bytes } => write!(
                f,
                "illegal answer: expected one byte, but found {n_bytes}, the first {first:02x}"
            ),
            Self::Ok => f.write_str("accepted (00)"),
            Self::Premature => f.write_str("illegal answer: 00 before the frame had left"),
            Self::TimedOut => f.write_str("no answer within the time"),
            Self::Unsolicited { first } => {
                write!(f, "a byte that nobody waited for ({first:02x})")
            }
        }
    }
}

/// What went wrong with a handshake, and what to look at.
pub(super) fn handshake_trouble(form: HandshakeForm, answer: &Answer) -> String {
    let form = match form {
        HandshakeForm::V1 => "V1",
        HandshakeForm::V2 => "V2",
    };
    let hint = match answer {
        Answer::Fail => {
            " (is the precision the peer's own, are user and password right, and is an IoTDB \
             receiver switched on with pipe_air_gap_receiver_enabled=true?)"
        }
        Answer::TimedOut => " (does the gateway reach the receiver? a gateway answers by itself)",
        Answer::Closed | Answer::Broken(_) => {
            " (is the receiver up behind the gateway, and is our address on its allow-list?)"
        }
        _ => " (does something other than a receiver answer on this port?)",
    };
    format!("handshake {form}: {answer}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_single_00_for_a_frame_that_left_is_an_acknowledgement() {
        for byte in 0..=255u8 {
            for surplus in 0..3 {
                let bytes = vec![byte; surplus + 1];
                for (waiting, sent_whole) in [(false, false), (true, false), (true, true)] {
                    let answer = interpret(Heard::Bytes(&bytes), waiting, sent_whole);
                    let ok = byte == 0 && surplus == 0 && waiting && sent_whole;
                    assert_eq!(answer.verdict() == Verdict::Accepted, ok, "{bytes:?} {answer}");
                    let refused = byte == 0xff && surplus == 0 && waiting;
                    assert_eq!(answer.verdict() == Verdict::Refused, refused, "{bytes:?} {answer}");
                }
            }
        }
        for heard in [Heard::Eof, Heard::Broken("reset"), Heard::Silence, Heard::Bytes(&[])] {
            assert_eq!(interpret(heard, true, true).verdict(), Verdict::Unknown);
        }
    }
}
