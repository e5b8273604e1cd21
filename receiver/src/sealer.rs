//! Makes finished files durable: their bytes, then, once for all that wait, the directory.
//!
//! Files are created under their final staging name, so no rename has to be made durable. What a
//! seal promises is checked here: length, both ends of a TsFile. Everything else only passes
//! through, behind what came before it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;

use tidegate_link::receiving::Seal;
use tidegate_link::receiving::SealKind;

use crate::hasher::Digests;
use crate::ingest::Deferred;
use crate::ingest::Fault;
use crate::ingest::OutcomeSink;
use crate::ingest::Peer;
use crate::ingest::Verdict;
use crate::keeper::CommitJob;
use crate::keeper::KeeperOp;
use crate::records::StagedFile;
use crate::writer;

/// Most jobs that share one sync of the directory.
const BATCH_MAX: usize = 64;

/// What the writer hands on.
pub(crate) enum SealerOp {
    /// To the keeper, in order.
    Pass(KeeperOp),
    /// Files to make durable.
    Seal(SealJob),
}

/// Files of one seal.
pub(crate) struct SealJob {
    pub(crate) peer: Peer,
    pub(crate) token: u64,
    pub(crate) seal: Seal,
    pub(crate) files: Vec<WrittenFile>,
}

/// A file whose bytes have all been written.
pub(crate) struct WrittenFile {
    pub(crate) handle: File,
    pub(crate) staged: String,
    pub(crate) name: String,
    pub(crate) claimed_bytes: u64,
    pub(crate) length_bytes: u64,
    pub(crate) head: Vec<u8>,
    pub(crate) tail: Vec<u8>,
    pub(crate) digests: Receiver<Digests>,
}

/// The thread's state.
pub(crate) struct Sealer {
    pub(crate) ops: Receiver<SealerOp>,
    pub(crate) keeper: Sender<KeeperOp>,
    pub(crate) outcomes: OutcomeSink,
    pub(crate) staging: PathBuf,
}

impl Sealer {
    /// Runs until the writer is gone or a sync fails.
    pub(crate) fn run(self) -> io::Result<()> {
        while let Ok(first) = self.ops.recv() {
            let mut ready = Vec::new();
            let mut is_directory_dirty = false;
            let more = self.ops.try_iter().take(BATCH_MAX);
            for op in core::iter::once(first).chain(more) {
                match op {
                    SealerOp::Pass(op) => ready.push(op),
                    SealerOp::Seal(job) => {
                        if let Some(commit) = self.settle(job)? {
                            is_directory_dirty = true;
                            ready.push(KeeperOp::Commit(commit));
                        }
                    }
                }
            }
            if is_directory_dirty {
                sync_directory(&self.staging)?;
            }
            for op in ready {
                let _ = self.keeper.send(op);
            }
        }
        Ok(())
    }

    /// Checks and syncs the files of one seal; what is refused is removed and answered at once.
    fn settle(&self, job: SealJob) -> io::Result<Option<CommitJob>> {
        let SealJob { peer, token, seal, files } = job;
        if let Err(fault) = check(&seal, &files) {
            for file in &files {
                writer::remove(&self.staging.join(&file.staged))?;
            }
            let verdict = Verdict::Refused(fault);
            (self.outcomes)(Deferred { connection: peer.connection, token, verdict });
            return Ok(None);
        }
        let mut staged = Vec::with_capacity(files.len());
        for file in files {
            let failed = |error| writer::named(&error, "sync", &file.staged);
            file.handle.sync_data().map_err(failed)?;
            let digests = file
                .digests
                .recv()
                .map_err(|_| io::Error::other("the hashing thread ended too early"))?;
            staged.push(StagedFile {
                staged: file.staged,
                name: file.name,
                length_bytes: file.length_bytes,
                crc32: digests.crc32,
                sha256: digests.sha256,
            });
        }
        Ok(Some(CommitJob { peer, token, seal, files: staged }))
    }
}

/// What a seal claims, against what was written.
fn check(seal: &Seal, files: &[WrittenFile]) -> Result<(), Fault> {
    let fault = |item: &str, reason: String| Fault::Item { item: item.to_owned(), reason };
    if files.len() != seal.files.len() {
        let name = seal.files.first().map_or("seal", |file| file.name.as_str());
        return Err(fault(name, String::from("its bytes are not there")));
    }
    for file in files {
        if file.length_bytes != file.claimed_bytes {
            let (found, expected) = (file.length_bytes, file.claimed_bytes);
            let reason = format!("expected {expected} bytes, {found} were written");
            return Err(fault(&file.name, reason));
        }
        if seal.kind == SealKind::TsFile && file.name.ends_with(".tsfile") {
            tidegate_tsfile::check_ends(&file.head, &file.tail, file.length_bytes)
                .map_err(|error| fault(&file.name, error.to_string()))?;
        }
    }
    Ok(())
}

/// Makes the entries of a directory durable. A failure is of no kind that could pass.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    let shown = path.display();
    let failed = |error| io::Error::other(format!("cannot sync directory {shown}: {error}"));
    let directory = File::open(path)
        .map_err(|error| writer::named(&error, "open directory", &shown.to_string()))?;
    directory.sync_all().map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use tidegate_link::receiving::FileId;
    use tidegate_link::receiving::HandshakeForm;
    use tidegate_link::receiving::Hello;
    use tidegate_link::receiving::Origin;
    use tidegate_link::receiving::SealedFile;
    use tidegate_model::Precision;

    use super::*;

    /// A seal of one snapshot file, whose bytes are in `handle`.
    fn job(handle: File, token: u64) -> SealJob {
        let hello = Hello {
            origin: Origin::escape("plant"),
            stream: None,
            epoch: None,
            dialect: None,
            precision: Precision::Ms,
            form: HandshakeForm::V2,
        };
        let name = format!("{token}.snapshot");
        let file = SealedFile { file: FileId::of(0), name: name.clone(), length_bytes: 0 };
        let (files, parameters, request) = (vec![file], Vec::new(), Vec::new());
        let (digests_in, digests) = channel();
        let _ = digests_in.send(Digests { crc32: 0, sha256: [0; 32] });
        let written = WrittenFile {
            handle,
            staged: name.clone(),
            name,
            claimed_bytes: 0,
            length_bytes: 0,
            head: Vec::new(),
            tail: Vec::new(),
            digests,
        };
        SealJob {
            peer: Peer { connection: 1, hello: Arc::new(hello) },
            token,
            seal: Seal { kind: SealKind::ConfigSnapshot, files, parameters, request },
            files: vec![written],
        }
    }

    /// Runs the thread over `jobs`: how it ends, and how many seals reached the keeper.
    fn run(staging: &Path, jobs: Vec<SealJob>) -> (io::Result<()>, usize) {
        let (ops_in, ops) = channel();
        let (keeper, kept) = channel();
        jobs.into_iter().for_each(|job| drop(ops_in.send(SealerOp::Seal(job))));
        drop(ops_in);
        let outcomes: OutcomeSink = Arc::new(|it| panic!("nobody is answered here: {it:?}"));
        let outcome = Sealer { ops, keeper, outcomes, staging: staging.to_owned() }.run();
        (outcome, kept.iter().count())
    }

    /// What cannot be synced is a device here, and a directory that is gone: the system itself says
    /// that it failed.
    #[test]
    fn after_a_failed_sync_no_seal_of_the_batch_reaches_the_keeper() {
        let staging = tempfile::tempdir().unwrap();
        let good = |token| job(tempfile::tempfile().unwrap(), token);
        let bad = || job(File::options().write(true).open("/dev/null").unwrap(), 9);
        let (outcome, n_kept) = run(staging.path(), vec![good(1), good(2)]);
        assert!(outcome.is_ok() && n_kept == 2, "{outcome:?}, {n_kept}");
        for jobs in [vec![bad()], vec![good(1), bad()], vec![bad(), good(1)]] {
            let (outcome, n_kept) = run(staging.path(), jobs);
            let error = outcome.expect_err("the thread goes on").to_string();
            assert!(error.contains("cannot sync 9.snapshot"), "{error}");
            assert_eq!(n_kept, 0);
        }
        let gone = staging.path().join("gone");
        let (outcome, n_kept) = run(&gone, vec![good(1), good(2)]);
        assert!(outcome.is_err() && n_kept == 0, "{outcome:?}, {n_kept}");
    }
}
