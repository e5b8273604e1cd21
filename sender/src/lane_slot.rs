//! One lane as the loop holds it: its state machine, its socket, its reader, its item.

use std::collections::VecDeque;
use std::sync::mpsc::Sender;

use tidegate_link::Time;
use tidegate_link::sending::Delivery;
use tidegate_link::sending::Lane;
use tidegate_link::sending::PieceFrame;
use tidegate_model::Dialect;
use tidegate_source::Departed;
use tidegate_source::FileItem;
use tidegate_source::Form;
use tidegate_source::Token;

use crate::line::Line;
use crate::line::Outgoing;
use crate::reader::PieceData;
use crate::reader::ReadRequest;
use crate::refusals::Refusals;
use crate::resolver::CallId;

/// A lane and everything that belongs to it.
#[derive(Debug)]
pub(crate) struct LaneSlot {
    pub(crate) pipe: u64,
    /// Which of its pipe's lanes.
    pub(crate) number: usize,
    pub(crate) lane: Lane,
    pub(crate) line: Option<Line>,
    /// The call whose peer's name is being looked up.
    pub(crate) looking_up: Option<CallId>,
    pub(crate) reader: Sender<ReadRequest>,
    pub(crate) cargo: Option<Cargo>,
    /// Whether the pipe sends late deletions, or records them as gaps.
    pub(crate) sends_deletions: bool,
    /// Pieces that were read and are not yet wanted.
    pub(crate) pieces: VecDeque<PieceData>,
    pub(crate) waiting: Waiting,
    /// What of the item waits for a connection.
    pub(crate) points_wait: Option<PointsWait>,
    /// Next of the allowed source ports to try.
    pub(crate) next_port: usize,
    pub(crate) bytes_sent: u64,
    pub(crate) refusals: Refusals,
}

/// Points that wait for a connection in the dialect that they were made for.
#[derive(Debug)]
pub(crate) struct PointsWait {
    pub(crate) dialect: Dialect,
    /// The file that they are in; `None` of tablets.
    pub(crate) delivery: Option<Delivery>,
}

/// What keeps a frame that was asked for from leaving.
#[derive(Debug)]
pub(crate) enum Waiting {
    Nothing,
    /// Its bytes are still being read.
    Data(PieceFrame),
    /// Its tablet is still being read.
    Tablet,
    /// A rate limit.
    Rate {
        outgoing: Outgoing,
        until: Time,
        /// When it was first held back.
        since: Time,
    },
}

/// The item on its way.
#[derive(Debug)]
pub(crate) struct Cargo {
    pub(crate) token: Token,
    pub(crate) load: Load,
    /// What logs and `status` call it.
    pub(crate) name: String,
    pub(crate) sequence: u64,
    /// How it leaves, as far as that is known.
    pub(crate) departed: Departed,
    pub(crate) began: Time,
}

/// What an item is made of.
#[derive(Debug)]
pub(crate) enum Load {
    File(FileItem),
    Deletion,
}

impl Cargo {
    /// Whether it leaves as requests and not as a file.
    pub(crate) fn is_requests(&self) -> bool {
        matches!(self.load, Load::Deletion) || self.departed.form == Form::Tablets
    }
}

impl LaneSlot {
    /// Lets go of what is being read; buffers go back to the reader.
    pub(crate) fn drop_reading(&mut self) {
        // A reader that is gone is noticed by the supervisor.
        let _ = self.reader.send(ReadRequest::Cancel);
        self.points_wait = None;
        for piece in self.pieces.drain(..) {
            let _ = self.reader.send(ReadRequest::Return(piece.bytes));
        }
        if let Waiting::Rate { outgoing, .. } =
            std::mem::replace(&mut self.waiting, Waiting::Nothing)
        {
            self.give_back(outgoing.data);
        }
    }

    /// Gives a piece's buffer back. Frames that are no pieces carry none.
    pub(crate) fn give_back(&self, buffer: Vec<u8>) {
        if buffer.capacity() > 0 {
            let _ = self.reader.send(ReadRequest::Return(buffer));
        }
    }
}
