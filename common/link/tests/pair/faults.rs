//! What can go wrong in a run, how often, and which rule of an edge is broken on purpose.

use core::time::Duration;

use fastrand::Rng;
use tidegate_link::Time;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A thing that goes wrong.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(crate) enum Fault {
            $($(#[$doc])* $name,)*
        }

        impl Fault {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

faults! {
    /// Nothing the sender writes arrives any more.
    BlackHoleForward,
    /// Nothing the receiver writes arrives any more.
    BlackHoleBack,
    /// A call is neither accepted nor refused.
    CallHangs,
    /// A byte of a frame is changed.
    Corrupt,
    /// kill -9 of the receiver.
    CrashReceiver,
    /// kill -9 of the sender.
    CrashSender,
    /// kill -9 of the sender between the OK and the durable cursor.
    CrashSenderBeforeCursor,
    /// The connection is cut within a frame, on either side or both.
    CutWithin,
    /// The connection is cut some time after a frame, on either side or both.
    CutLater,
    /// Two bytes come back for one frame, the second before the next frame leaves.
    DoubleReply,
    /// An OK comes back before the frame has left.
    EarlyOk,
    /// The gateway restarts: all its connections go.
    GatewayRestart,
    /// The gateway keeps what it was given and delivers it much later.
    Hold,
    /// Another byte than 00 or ff comes back.
    IllegalReply,
    /// The reply comes after the sender gave up.
    LateReply,
    /// One side's close never reaches the other.
    LoseClose,
    /// The reply never comes.
    LoseReply,
    /// An OK turns into a refusal on its way.
    OkBecomesFail,
    /// The gateway accepts a call though it has no connection behind it.
    OneSided,
    /// A call is refused.
    Refuse,
    /// The target has no room for the moment.
    TargetBusy,
    /// The target refuses a file.
    TargetRefuses,
    /// A byte comes back that nobody waits for, on an idle connection.
    Unsolicited,
    /// The sender cannot read on in the file.
    Withdraw,
}

/// The faults of one run: which kinds, how likely, how many.
#[derive(Debug)]
pub(crate) struct Faults {
    allowed: u32,
    chance_per_10_000: u32,
    left: u32,
    until: Time,
    /// When the last one struck.
    pub(crate) last_at: Time,
    /// How often each struck.
    pub(crate) seen: [u32; Fault::ALL.len()],
}

/// No fault strikes later than this.
const FAULTS_END: Duration = Duration::from_secs(4 * 3600);

impl Faults {
    /// Draws the faults of a run. Few kinds often find what all kinds together hide.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let all = (1u32 << Fault::ALL.len()) - 1;
        let allowed = match rng.u32(0..4) {
            0 => all,
            1 => rng.u32(..) & rng.u32(..) & all,
            _ => rng.u32(..) & all,
        };
        Self {
            allowed,
            chance_per_10_000: [30, 100, 300, 1000, 3000][rng.usize(0..5)],
            left: [0, 3, 8, 20, 40][rng.usize(0..5)],
            until: Time::default() + FAULTS_END,
            last_at: Time::default(),
            seen: [0; Fault::ALL.len()],
        }
    }

    /// No fault at all.
    pub(crate) fn none() -> Self {
        Self {
            allowed: 0,
            chance_per_10_000: 0,
            left: 0,
            until: Time::default(),
            last_at: Time::default(),
            seen: [0; Fault::ALL.len()],
        }
    }

    /// Whether `fault` strikes here and now.
    pub(crate) fn strikes(&mut self, rng: &mut Rng, now: Time, fault: Fault) -> bool {
        // Out of this many: some places are passed at every step, others once per item.
        let one_in = match fault {
            Fault::CrashSender | Fault::CrashReceiver | Fault::GatewayRestart => 40_000,
            Fault::CrashSenderBeforeCursor | Fault::EarlyOk | Fault::TargetRefuses => 3_000,
            _ => 10_000,
        };
        let strikes = self.left > 0
            && self.allowed & (1 << fault as u32) != 0
            && now < self.until
            && rng.u32(0..one_in) < self.chance_per_10_000;
        if strikes {
            self.left -= 1;
            self.note(now, fault);
        }
        strikes
    }

    /// Counts a fault that was ordered, not drawn.
    pub(crate) fn note(&mut self, now: Time, fault: Fault) {
        self.last_at = now;
        self.seen[fault as usize] += 1;
    }
}

/// A rule of the edges that is broken on purpose, to show that the pair would notice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Broken {
    Nothing,
    /// The receiver answers a seal, and commits afterwards.
    AnswersBeforeCommit,
    /// The receiver answers a seal with two bytes.
    AnswersTwice,
    /// The receiver commits to memory and loses it with its process.
    CommitsToMemory,
    /// The receiver takes a waiting commit of a dropped connection up again.
    CommitsForDroppedConnections,
    /// The receiver forgets what it committed but cannot know to be acknowledged.
    ForgetsUnprovenTail,
    /// The receiver keeps older connections of a stream.
    KeepsOlderConnections,
    /// The receiver gives the bytes of one file to another.
    MixesFiles,
    /// The sender moves its cursor once an item has left, whatever is heard.
    CursorBeforeOk,
    /// The sender does not write its cursor down.
    CursorInMemory,
    /// The sender hands in what comes on connections that were thrown away.
    HearsOldConnections,
    /// The sender hands in the first byte of what it reads and drops the others.
    ReadsOneByte,
    /// The sender does not look for waiting bytes before it writes.
    WritesWithoutReading,
    /// The sender calls as often as it likes.
    CallsWithoutLimit,
}

impl Broken {
    pub(crate) const ALL: &'static [Self] = &[
        Self::AnswersBeforeCommit,
        Self::AnswersTwice,
        Self::CommitsToMemory,
        Self::CommitsForDroppedConnections,
        Self::ForgetsUnprovenTail,
        Self::KeepsOlderConnections,
        Self::MixesFiles,
        Self::CursorBeforeOk,
        Self::CursorInMemory,
        Self::HearsOldConnections,
        Self::ReadsOneByte,
        Self::WritesWithoutReading,
        Self::CallsWithoutLimit,
    ];
}
