//! Everything that can wake the event loop besides sockets and time, in one closed list.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;

use mio::Waker;
use tidegate_config::Loaded;
use tidegate_config::SenderConfig;
use tidegate_daemon::control;
use tidegate_daemon::signals::Signal;
use tidegate_source::Scan;

use crate::ledger::LedgerReport;
use crate::pins::PinReport;
use crate::pipes::Definitions;
use crate::pipes::PipeSetup;
use crate::reader::ReadReport;
use crate::resolver::Resolved;

/// What threads tell the loop.
#[derive(Debug)]
pub(crate) enum Message {
    /// Somebody asks on the control socket.
    Control { request: control::Request, answer: Sender<control::Answer> },
    /// Pipe definitions were read, at start or on SIGHUP.
    Definitions(Result<Definitions, String>),
    /// Something became durable, or cannot.
    Ledger(LedgerReport),
    /// A name was looked up.
    LookedUp(Resolved),
    /// Files were pinned, or let go.
    Pinned(PinReport),
    /// A pipe can run, or why it cannot.
    PipeReady(Result<Box<PipeSetup>, NotReady>),
    /// A reader got somewhere. A lane's place may have been given to another pipe meanwhile.
    Read { lane: usize, pipe: u64, report: ReadReport },
    /// The configuration was read again.
    Reloaded(Result<Box<Loaded<SenderConfig>>, String>),
    /// The directories were read.
    Scanned(Arc<Scan>),
    /// A signal.
    Signal(Signal),
}

/// A pipe whose state could not be opened.
#[derive(Debug)]
pub(crate) struct NotReady {
    pub(crate) name: String,
    pub(crate) reason: String,
    /// Set while an earlier pipe of that name still has the state.
    pub(crate) released: Option<Receiver<()>>,
}

/// Sends messages and wakes the loop.
///
/// The channel has no bound of its own: each sender has at most a few messages under way, by the
/// protocol it follows.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    sender: Sender<Message>,
    waker: Arc<Waker>,
}

impl Outbox {
    pub(crate) fn new(sender: Sender<Message>, waker: Arc<Waker>) -> Self {
        Self { sender, waker }
    }

    /// Sends; when the loop is gone there is nobody left to tell.
    pub(crate) fn send(&self, message: Message) {
        let _ = self.sender.send(message);
        self.wake();
    }

    /// Wakes the loop without a message.
    pub(crate) fn wake(&self) {
        let _ = self.waker.wake();
    }
}
