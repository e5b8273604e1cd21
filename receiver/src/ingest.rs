//! The one door for everything that was received, whatever it came in by.
//!
//! A listener hands in bytes of files, seals and requests, and gets the outcome of each later
//! through its [`OutcomeSink`]. It knows nothing of disks; what stands behind knows nothing of
//! sockets. The air-gap edge is the first listener.
//!
//! Order: everything of one connection takes effect in the order handed in. A [`Greeting`] comes
//! out after everything that *any* connection handed in before it, so when it is answered, nothing
//! of a connection that was dropped before can still be committed.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use tidegate_link::receiving::Hello;
use tidegate_link::receiving::Seal;

use crate::buffers::Chunk;
use crate::buffers::Part;
use crate::gaps::Gap;
use crate::gaps::Inbox;
use crate::keeper::KeeperOp;
use crate::keeper::SubmitJob;
use crate::writer::WriterOp;

/// Gets the outcomes of one listener; called on other threads.
pub(crate) type OutcomeSink = Arc<dyn Fn(Deferred) + Send + Sync>;

/// What became of something handed in.
#[derive(Clone, Debug)]
pub(crate) struct Deferred {
    /// The connection it came on.
    pub(crate) connection: u64,
    /// The listener's own number for it.
    pub(crate) token: u64,
    /// The outcome.
    pub(crate) verdict: Verdict,
}

/// An outcome.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// Durable, or a repetition of what is, or nothing that had to be kept.
    Accepted,
    /// Refused for good.
    Refused(Fault),
    /// Not now; another verdict follows when there is room again.
    Temporary {
        /// What is in the way.
        reason: String,
    },
}

/// Why something was refused for good.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// A handshake that contradicts what is remembered.
    Handshake(tidegate_link::receiving::HandshakeFault),
    /// An item that cannot be kept.
    Item {
        /// Its name.
        item: String,
        /// Why.
        reason: String,
    },
}

/// Who hands something in, for records and dedup.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// The connection, unique over all runs of the daemon.
    pub(crate) connection: u64,
    /// Whose data it is.
    pub(crate) hello: Arc<Hello>,
}

/// A handshake to be compared with what is remembered.
#[derive(Clone, Debug)]
pub(crate) struct Greeting {
    /// Who greets.
    pub(crate) peer: Peer,
    /// The listener's number for it.
    pub(crate) token: u64,
}

/// The handle of a listener.
#[derive(Clone)]
pub(crate) struct Ingest {
    writer: Sender<WriterOp>,
    keeper: Sender<KeeperOp>,
    gaps: Arc<Inbox>,
}

impl Ingest {
    pub(crate) fn new(writer: Sender<WriterOp>, keeper: Sender<KeeperOp>) -> Self {
        Self { writer, keeper, gaps: Arc::default() }
    }

    /// A handshake; the verdict comes after everything handed in before.
    pub(crate) fn greet(&self, greeting: Greeting) {
        self.to_writer(WriterOp::Pass(KeeperOp::Greet(greeting)));
    }

    /// A file begins.
    pub(crate) fn start_file(&self, connection: u64, file: u64) {
        self.to_writer(WriterOp::Start { connection, file });
    }

    /// Bytes of files.
    pub(crate) fn write(&self, connection: u64, chunk: Arc<Chunk>, parts: Vec<Part>) {
        self.to_writer(WriterOp::Write { connection, chunk, parts });
    }

    /// A piece of a file has arrived whole: may more come?
    pub(crate) fn end_piece(&self, connection: u64, file: u64, token: u64, name: String) {
        self.to_writer(WriterOp::PieceEnd { connection, file, token, name });
    }

    /// A file will not be sealed.
    pub(crate) fn drop_file(&self, connection: u64, file: u64) {
        self.to_writer(WriterOp::Drop { connection, file });
    }

    /// Files are complete: commit them.
    pub(crate) fn seal(&self, peer: Peer, token: u64, seal: Seal) {
        self.to_writer(WriterOp::Seal { peer, token, seal });
    }

    /// A request to be kept.
    pub(crate) fn submit(&self, job: SubmitJob) {
        self.to_keeper(KeeperOp::Submit(job));
    }

    /// A connection is over: what it left unfinished goes, what waits for room is forgotten.
    pub(crate) fn drop_connection(&self, connection: u64) {
        self.to_writer(WriterOp::DropConnection { connection });
    }

    /// The peer went on after an answer, so it has seen that answer.
    pub(crate) fn prove(&self, connection: u64) {
        self.to_keeper(KeeperOp::Prove { connection });
    }

    /// An item was refused for good: leave a gap record.
    pub(crate) fn record_gap(&self, gap: Gap) {
        if self.gaps.put(gap) {
            self.to_keeper(KeeperOp::Gaps(Arc::clone(&self.gaps)));
        }
    }

    /// A thread that is gone has said why through the fatal door; nothing is to be added here.
    fn to_writer(&self, op: WriterOp) {
        let _ = self.writer.send(op);
    }

    fn to_keeper(&self, op: KeeperOp) {
        let _ = self.keeper.send(op);
    }
}
