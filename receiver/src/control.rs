//! Answers `status`, `gaps` and `flush` over the control socket.
//!
//! Each thread is asked for its own part; one that is busy is left out after a second rather than
//! waited for.

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::Sender;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::time::Duration;
use std::time::Instant;

use tidegate_config::DiskFullPolicy;
use tidegate_daemon::control::Answer;
use tidegate_daemon::control::ControlServer;
use tidegate_daemon::control::Request;

use crate::disk::DiskGuard;
use crate::edge::EdgeMessage;
use crate::edge::Tell;
use crate::keeper::KeeperOp;
use crate::loader::LoaderOp;
use crate::status::EdgeReport;
use crate::status::LoaderReport;
use crate::status::Report;

/// A busy thread is left out after this time.
const ASK_TIME_MAX: Duration = Duration::from_secs(1);
/// Stores may take so long to do what they are asked to.
const LOADER_TIME_MAX: Duration = Duration::from_secs(20);

/// Whom to ask, and what never changes.
pub(crate) struct Control {
    pub(crate) tell: Tell,
    pub(crate) keeper: Sender<KeeperOp>,
    pub(crate) loader: Sender<LoaderOp>,
    pub(crate) guard: Arc<DiskGuard>,
    pub(crate) report: Arc<Mutex<LoaderReport>>,
    pub(crate) cluster_id: String,
    pub(crate) state_dir: String,
    pub(crate) started: Instant,
}

impl Control {
    /// Listens at `path`.
    pub(crate) fn spawn(self, path: &Path) -> Result<ControlServer, String> {
        ControlServer::spawn(path, move |request| self.answer(&request))
            .map_err(|error| error.to_string())
    }

    fn answer(&self, request: &Request) -> Answer {
        let answer = match request.command.as_str() {
            "gaps" => {
                let gaps = self.ask_keeper(KeeperOp::AskGaps);
                serde_json::to_value(gaps.ok_or("the keeper is busy, try again")?)
            }
            "flush" => return self.flush().map(|()| serde_json::Value::Null),
            "forget-lost" => {
                let origin = request.arguments.get("origin").and_then(serde_json::Value::as_str);
                serde_json::to_value(self.forget_lost(origin.ok_or("expected an origin")?)?)
            }
            "status" => serde_json::to_value(self.status()),
            other => {
                return Err(format!("expected status, gaps, flush or forget-lost, found {other}"));
            }
        };
        answer.map_err(|error| error.to_string())
    }

    fn status(&self) -> Report {
        self.guard.look();
        let loader = self.report.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            cluster_id: self.cluster_id.clone(),
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            state_dir: self.state_dir.clone(),
            disk_free_bytes: self.guard.free_bytes(),
            disk_floor_bytes: self.guard.floor_bytes(),
            disk_full_policy: match self.guard.policy() {
                DiskFullPolicy::Refuse => String::from("refuse"),
                DiskFullPolicy::Withhold => String::from("withhold"),
            },
            edge: self.ask_edge(),
            keeper: self.ask_keeper(KeeperOp::Ask),
            loader,
        }
    }

    /// Waits until the stores have written what they had in memory.
    fn flush(&self) -> Result<(), String> {
        self.ask_loader(LoaderOp::Flush)
    }

    /// Waits until what is lost of an origin is given up.
    fn forget_lost(&self, origin: &str) -> Result<Vec<String>, String> {
        self.ask_loader(|reply| LoaderOp::ForgetLost(origin.to_owned(), reply))
    }

    fn ask_loader<T>(
        &self,
        question: impl FnOnce(SyncSender<Result<T, String>>) -> LoaderOp,
    ) -> Result<T, String> {
        let (reply, answer) = sync_channel(1);
        let _ = self.loader.send(question(reply));
        match answer.recv_timeout(LOADER_TIME_MAX) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Disconnected) => {
                Err(String::from("expected receiver_target=store"))
            }
            Err(RecvTimeoutError::Timeout) => Err(String::from("the stores are busy, try again")),
        }
    }

    fn ask_edge(&self) -> Option<EdgeReport> {
        let (reply, answer) = sync_channel(1);
        (self.tell)(EdgeMessage::Ask(reply));
        answer.recv_timeout(ASK_TIME_MAX).ok()
    }

    fn ask_keeper<T>(&self, question: impl FnOnce(SyncSender<T>) -> KeeperOp) -> Option<T> {
        let (reply, answer) = sync_channel(1);
        self.keeper.send(question(reply)).ok()?;
        answer.recv_timeout(ASK_TIME_MAX).ok()
    }
}
