//! The threads behind the edge: how they are joined, started and ended.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

use tidegate_daemon::supervise::Supervisor;
use tidegate_durable::Storage;
use tidegate_model::Precision;

use crate::disk::DiskGuard;
use crate::edge::EdgeMessage;
use crate::edge::Tell;
use crate::hasher;
use crate::ingest::Ingest;
use crate::ingest::OutcomeSink;
use crate::keeper::Keeper;
use crate::keeper::KeeperOp;
use crate::keeper::KeeperPorts;
use crate::loader::Loader;
use crate::loader::LoaderOp;
use crate::loader::LoaderPlaces;
use crate::loader::MANIFESTS_OPEN_MAX;
use crate::sealer::Sealer;
use crate::state::Layout;
use crate::state::Opened;
use crate::status::LoaderReport;
use crate::target::Target;
use crate::writer::Writer;
use crate::writer::WriterOp;
use crate::writer::WriterPorts;

/// What all threads share.
pub(crate) struct Common<'a> {
    pub(crate) supervisor: &'a Supervisor,
    pub(crate) tell: &'a Tell,
    pub(crate) guard: &'a Arc<DiskGuard>,
    pub(crate) report: &'a Arc<Mutex<LoaderReport>>,
}

/// Where they work.
pub(crate) struct Places {
    pub(crate) layout: Layout,
    pub(crate) target: Target,
    /// Whether the target is stores.
    pub(crate) stores: Option<crate::loader::Stores>,
    /// The name of this run, unique over all runs.
    pub(crate) run: String,
}

/// The running threads, in the direction of the data, and what ends each.
pub(crate) struct Threads {
    pub(crate) keeper: Sender<KeeperOp>,
    writer: Sender<WriterOp>,
    pub(crate) loader: Sender<LoaderOp>,
    before_keeper: Vec<JoinHandle<()>>,
    keeper_thread: JoinHandle<()>,
    loader_thread: JoinHandle<()>,
}

impl Threads {
    /// Starts all of them; the door to them is the second value.
    pub(crate) fn start(
        common: &Common<'_>,
        opened: Opened<impl Storage>,
        places: Places,
        precision: Option<Precision>,
    ) -> io::Result<(Self, Ingest)> {
        let Common { supervisor, guard, .. } = common;
        let (writer, writer_ops) = channel();
        let (hasher, hasher_ops) = channel();
        let (sealer, sealer_ops) = channel();
        let (keeper, keeper_ops) = channel();
        let (loader, loader_ops) = channel();
        let tell = Arc::clone(common.tell);
        let outcomes: OutcomeSink = Arc::new(move |it| tell(EdgeMessage::Outcome(it)));
        let staging = places.layout.staging;

        let hashing = supervisor.spawn("hasher", move || hasher::run(&hasher_ops))?;
        let outcomes_too = Arc::clone(&outcomes);
        let ports = WriterPorts { ops: writer_ops, hasher, sealer, outcomes: outcomes_too };
        let it = Writer::new(ports, Arc::clone(guard), staging.clone(), places.run.clone());
        let writing = supervisor.spawn("writer", move || it.run())?;
        let it = Sealer {
            ops: sealer_ops,
            keeper: keeper.clone(),
            outcomes: Arc::clone(&outcomes),
            staging: staging.clone(),
        };
        let sealing = supervisor.spawn("sealer", move || it.run())?;
        let ports = KeeperPorts { ops: keeper_ops, outcomes, loader: loader.clone() };
        let it = Keeper::new(ports, Arc::clone(guard), opened.state, precision);
        let keeper_thread = supervisor.spawn("keeper", move || it.run())?;
        let it = Loader {
            ops: loader_ops,
            keeper: keeper.clone(),
            consumer: opened.directory,
            reader: opened.reader,
            places: LoaderPlaces {
                staging,
                snapshots: places.layout.snapshots,
                unclaimed: places.layout.unclaimed,
                target: places.target,
                run: places.run,
            },
            guard: Arc::clone(guard),
            report: Arc::clone(common.report),
            manifests: BTreeMap::new(),
            manifests_max: MANIFESTS_OPEN_MAX,
            stores: places.stores,
        };
        let loader_thread = supervisor.spawn("loader", move || it.run())?;

        let ingest = Ingest::new(writer.clone(), keeper.clone());
        let before_keeper = vec![writing, hashing, sealing];
        let threads = Self { keeper, writer, loader, before_keeper, keeper_thread, loader_thread };
        Ok((threads, ingest))
    }

    /// Lets each finish what it was given.
    pub(crate) fn end(self) {
        let _ = self.loader.send(LoaderOp::Stop);
        let _ = self.writer.send(WriterOp::Stop);
        drop(self.writer);
        for thread in self.before_keeper {
            let _ = thread.join();
        }
        let _ = self.loader_thread.join();
        let _ = self.keeper.send(KeeperOp::Stop);
        let _ = self.keeper_thread.join();
    }
}
