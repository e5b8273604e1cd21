//! Puts arriving files on the disk: one thread, no sync.
//!
//! Bytes of a file come in order and are written once, in pieces as large as they came; the kernel
//! is told to start writing them back at once, so that the sync at the seal finds little to do. A
//! full disk stops one file, not the thread: its bytes wait, the connection is held up by what it
//! has in flight, and the file goes on when there is room. Any other error ends the daemon.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::time::Duration;
use std::time::Instant;

use tidegate_config::DiskFullPolicy;
use tidegate_link::receiving::Seal;
use tidegate_tsfile::HEAD_BYTES;
use tidegate_tsfile::TAIL_BYTES;

use crate::buffers::Chunk;
use crate::buffers::Part;
use crate::disk;
use crate::disk::DiskGuard;
use crate::hasher::FileKey;
use crate::hasher::HashOp;
use crate::ingest::Deferred;
use crate::ingest::Fault;
use crate::ingest::OutcomeSink;
use crate::ingest::Peer;
use crate::ingest::Verdict;
use crate::keeper::KeeperOp;
use crate::sealer::SealJob;
use crate::sealer::SealerOp;
use crate::sealer::WrittenFile;

/// How often a full disk is looked at again while something waits for it.
const ROOM_POLL: Duration = Duration::from_millis(250);

/// After so many bytes of a file the kernel is asked to write back what it has.
const WRITE_BACK_BYTES: u64 = 8 << 20;

/// What lies this far behind has usually reached the disk by then.
const DROP_BEHIND_BYTES: u64 = 32 << 20;

/// Readable by the service's group, by nobody else.
const FILE_MODE: u32 = 0o640;

/// What the ingest side asks for.
pub(crate) enum WriterOp {
    /// A connection is over.
    DropConnection { connection: u64 },
    /// A file will not be sealed.
    Drop { connection: u64, file: u64 },
    /// Hand on, behind everything before it.
    Pass(KeeperOp),
    /// A piece has arrived whole; may more come?
    PieceEnd { connection: u64, file: u64, token: u64, name: String },
    /// Files are complete.
    Seal { peer: Peer, token: u64, seal: Seal },
    /// A file begins.
    Start { connection: u64, file: u64 },
    /// The daemon ends.
    Stop,
    /// Bytes of files.
    Write { connection: u64, chunk: Arc<Chunk>, parts: Vec<Part> },
}

/// Where the thread gets and leaves its work.
pub(crate) struct WriterPorts {
    pub(crate) ops: Receiver<WriterOp>,
    pub(crate) hasher: Sender<HashOp>,
    pub(crate) sealer: Sender<SealerOp>,
    pub(crate) outcomes: OutcomeSink,
}

/// The thread's state.
pub(crate) struct Writer {
    ports: WriterPorts,
    guard: Arc<DiskGuard>,
    staging: PathBuf,
    /// Makes names unique over all runs.
    run: String,
    next_file: u64,
    files: HashMap<FileKey, Arriving>,
    /// Seals of files whose bytes are not all written.
    late_seals: Vec<(Peer, u64, Seal)>,
    /// Pieces whose answer waits for room.
    held: Vec<Deferred>,
    /// When to look again whether there is some, whatever else goes on.
    look_again: Instant,
    /// Written since the last look.
    unlooked_bytes: u64,
    /// Something found no room, and the log says so.
    is_out_of_room: bool,
}

/// A file on its way.
struct Arriving {
    staged: String,
    file: Option<File>,
    length_bytes: u64,
    advised_bytes: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
    /// Bytes that found no room, in order.
    backlog: VecDeque<(Arc<Chunk>, Part)>,
    is_given_up: bool,
}

impl Writer {
    pub(crate) fn new(
        ports: WriterPorts,
        guard: Arc<DiskGuard>,
        staging: PathBuf,
        run: String,
    ) -> Self {
        Self {
            ports,
            guard,
            staging,
            run,
            next_file: 0,
            files: HashMap::new(),
            late_seals: Vec::new(),
            held: Vec::new(),
            look_again: Instant::now(),
            unlooked_bytes: 0,
            is_out_of_room: false,
        }
    }

    /// Runs until it is told to stop or the disk fails.
    pub(crate) fn run(mut self) -> io::Result<()> {
        loop {
            let op = match self.waits_for_room() {
                false => self.ports.ops.recv().map_err(|_| RecvTimeoutError::Disconnected),
                true => {
                    let pause = self.look_again.saturating_duration_since(Instant::now());
                    self.ports.ops.recv_timeout(pause)
                }
            };
            match op {
                Ok(WriterOp::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Ok(op) => self.take(op)?,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.waits_for_room() && self.look_again <= Instant::now() {
                self.look_again = Instant::now() + ROOM_POLL;
                self.try_again()?;
            }
        }
    }

    fn waits_for_room(&self) -> bool {
        !self.held.is_empty() || self.files.values().any(|file| !file.backlog.is_empty())
    }

    fn take(&mut self, op: WriterOp) -> io::Result<()> {
        match op {
            WriterOp::DropConnection { connection } => {
                self.drop_files(|(owner, _)| owner == connection)?;
                self.late_seals.retain(|(peer, ..)| peer.connection != connection);
                self.held.retain(|held| held.connection != connection);
                self.pass(SealerOp::Pass(KeeperOp::DropConnection { connection }));
            }
            WriterOp::Drop { connection, file } => {
                self.drop_files(|key| key == (connection, file))?;
            }
            WriterOp::Pass(op) => self.pass(SealerOp::Pass(op)),
            WriterOp::PieceEnd { connection, file, token, name } => {
                // a small file is sealed next: its bytes may as well be on their way by then
                if let Some(file) = self.files.get_mut(&(connection, file)) {
                    file.start_write_back(0);
                }
                self.answer_piece(connection, token, name);
            }
            WriterOp::Seal { peer, token, seal } => self.seal(peer, token, seal),
            WriterOp::Start { connection, file } => self.start((connection, file)),
            WriterOp::Stop => {}
            WriterOp::Write { connection, chunk, parts } => {
                for part in parts {
                    self.write((connection, part.file), &chunk, part)?;
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, key: FileKey) {
        let staged = format!("{}-{}", self.run, self.next_file);
        self.next_file = self.next_file.saturating_add(1);
        let arriving = Arriving {
            staged,
            file: None,
            length_bytes: 0,
            advised_bytes: 0,
            head: Vec::with_capacity(HEAD_BYTES),
            tail: Vec::with_capacity(TAIL_BYTES),
            backlog: VecDeque::new(),
            is_given_up: false,
        };
        self.files.insert(key, arriving);
    }

    fn write(&mut self, key: FileKey, chunk: &Arc<Chunk>, part: Part) -> io::Result<()> {
        let Some(file) = self.files.get_mut(&key) else {
            return Ok(());
        };
        let op = HashOp::Update(key.0, Arc::clone(chunk), part);
        let _ = self.ports.hasher.send(op);
        file.note_ends(chunk.get(&part));
        file.backlog.push_back((Arc::clone(chunk), part));
        let full = file.drain(&self.staging, self.guard.policy())?;
        self.note_room(full.as_ref());
        // a large file must not run through the floor while nobody looks
        let length = part.end.saturating_sub(part.start);
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        self.unlooked_bytes = self.unlooked_bytes.saturating_add(length);
        if self.unlooked_bytes >= WRITE_BACK_BYTES {
            self.unlooked_bytes = 0;
            self.guard.look();
        }
        Ok(())
    }

    /// Says when writing stops for want of room, and when it goes on.
    fn note_room(&mut self, full: Option<&io::Error>) {
        match full {
            Some(error) if !self.is_out_of_room => {
                tracing::warn!(%error, "no room for what arrives, it waits");
                self.is_out_of_room = true;
            }
            None if self.is_out_of_room && !self.waits_for_room() => {
                tracing::info!("there is room again");
                self.is_out_of_room = false;
            }
            _ => {}
        }
    }

    /// The first piece of a file, or one that arrives below the floor, is answered from here.
    fn answer_piece(&mut self, connection: u64, token: u64, name: String) {
        let verdict = match (self.guard.look(), self.guard.policy()) {
            (true, _) => Verdict::Accepted,
            (false, DiskFullPolicy::Withhold) => Verdict::Temporary { reason: self.guard.reason() },
            (false, DiskFullPolicy::Refuse) => {
                Verdict::Refused(Fault::Item { item: name, reason: self.guard.reason() })
            }
        };
        let deferred = Deferred { connection, token, verdict };
        if matches!(deferred.verdict, Verdict::Temporary { .. }) {
            self.held.push(deferred.clone());
        }
        (self.ports.outcomes)(deferred);
    }

    fn seal(&mut self, peer: Peer, token: u64, seal: Seal) {
        let key = |file: u64| (peer.connection, file);
        if self.is_late(&peer, &seal) {
            let verdict = Verdict::Temporary { reason: String::from("disk full") };
            (self.ports.outcomes)(Deferred { connection: peer.connection, token, verdict });
            self.late_seals.push((peer, token, seal));
            return;
        }
        let mut files = Vec::new();
        for sealed in &seal.files {
            let key = key(sealed.file.as_u64());
            let Some(mut file) = self.files.remove(&key) else { continue };
            let (reply, digests) = channel();
            let _ = self.ports.hasher.send(HashOp::Finish(key, reply));
            // a file without bytes has not been made yet; the seal's lengths will not match then
            let Some(handle) = file.file.take() else { continue };
            files.push(WrittenFile {
                handle,
                staged: file.staged,
                name: sealed.name.clone(),
                claimed_bytes: sealed.length_bytes,
                length_bytes: file.length_bytes,
                head: file.head,
                tail: file.tail,
                digests,
            });
        }
        self.pass(SealerOp::Seal(SealJob { peer, token, seal, files }));
    }

    /// Whether bytes of these files still wait for room.
    fn is_late(&self, peer: &Peer, seal: &Seal) -> bool {
        seal.files.iter().any(|sealed| {
            let file = self.files.get(&(peer.connection, sealed.file.as_u64()));
            file.is_some_and(|file| !file.backlog.is_empty())
        })
    }

    /// There may be room again.
    fn try_again(&mut self) -> io::Result<()> {
        let policy = self.guard.policy();
        let mut full = None;
        for file in self.files.values_mut() {
            full = file.drain(&self.staging, policy)?.or(full);
        }
        self.note_room(full.as_ref());
        let (late, ready): (Vec<_>, Vec<_>) = core::mem::take(&mut self.late_seals)
            .into_iter()
            .partition(|(peer, _, seal)| self.is_late(peer, seal));
        self.late_seals = late;
        for (peer, token, seal) in ready {
            self.seal(peer, token, seal);
        }
        if !self.held.is_empty() && self.guard.look() {
            for held in self.held.drain(..) {
                let verdict = Verdict::Accepted;
                (self.ports.outcomes)(Deferred { verdict, ..held });
            }
        }
        Ok(())
    }

    fn drop_files(&mut self, unwanted: impl Fn(FileKey) -> bool) -> io::Result<()> {
        let keys: Vec<FileKey> = self.files.keys().copied().filter(|key| unwanted(*key)).collect();
        for key in keys {
            let _ = self.ports.hasher.send(HashOp::Forget(key));
            if let Some(file) = self.files.remove(&key).filter(|file| file.file.is_some()) {
                remove(&self.staging.join(&file.staged))?;
            }
        }
        Ok(())
    }

    /// A sealer that is gone has reported why.
    fn pass(&self, op: SealerOp) {
        let _ = self.ports.sealer.send(op);
    }
}

impl Arriving {
    /// Keeps both ends of the file in memory, so that a seal reads nothing back.
    fn note_ends(&mut self, bytes: &[u8]) {
        let missing = HEAD_BYTES.saturating_sub(self.head.len());
        self.head.extend(bytes.iter().take(missing));
        let from = bytes.len().saturating_sub(TAIL_BYTES);
        self.tail.extend_from_slice(bytes.get(from..).unwrap_or_default());
        let surplus = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..surplus);
    }

    /// Writes what waits, as far as there is room; the error that says there is none.
    ///
    /// Where the policy is to refuse, a file that found no room is given up: its seal will find
    /// fewer bytes than it claims.
    fn drain(&mut self, staging: &Path, policy: DiskFullPolicy) -> io::Result<Option<io::Error>> {
        if self.is_given_up {
            self.backlog.clear();
        }
        while let Some((chunk, part)) = self.backlog.front() {
            let bytes = chunk.get(part);
            match self.file.as_ref() {
                None => match create(&staging.join(&self.staged)) {
                    Ok(file) => {
                        self.file = Some(file);
                        continue;
                    }
                    Err(error) if disk::is_full(&error) => {
                        self.wait_or_give_up(policy);
                        return Ok(Some(named(&error, "create", &self.staged)));
                    }
                    Err(error) => return Err(named(&error, "create", &self.staged)),
                },
                Some(file) => match file.write_all_at(bytes, part.at_bytes) {
                    Ok(()) => {}
                    Err(error) if disk::is_full(&error) => {
                        self.wait_or_give_up(policy);
                        return Ok(Some(named(&error, "write", &self.staged)));
                    }
                    Err(error) => return Err(named(&error, "write", &self.staged)),
                },
            }
            let end = part.at_bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(0));
            self.length_bytes = self.length_bytes.max(end);
            self.backlog.pop_front();
        }
        self.start_write_back(WRITE_BACK_BYTES);
        Ok(None)
    }

    fn wait_or_give_up(&mut self, policy: DiskFullPolicy) {
        if policy == DiskFullPolicy::Refuse {
            self.is_given_up = true;
            self.backlog.clear();
        }
    }

    /// Tells the kernel that these bytes are not needed in memory: it starts writing the fresh ones
    /// to the disk, does not wait, and lets go of those that are there already, so that a large
    /// file takes no memory from an IoTDB beside us. Only a hint, so its failure changes nothing.
    fn start_write_back(&mut self, at_least_bytes: u64) {
        let fresh = self.length_bytes.saturating_sub(self.advised_bytes);
        if fresh < at_least_bytes {
            return;
        }
        if let Some(file) = &self.file {
            let from = self.advised_bytes.saturating_sub(DROP_BEHIND_BYTES);
            let length = std::num::NonZeroU64::new(self.length_bytes.saturating_sub(from));
            let advice = rustix::fs::Advice::DontNeed;
            let _ = rustix::fs::fadvise(file, from, length, advice);
        }
        self.advised_bytes = self.length_bytes;
    }
}

fn create(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(FILE_MODE).open(path)
}

/// Makes a file in the place of whatever has its name: a FIFO that is opened to be written waits for
/// a reader.
pub(crate) fn create_anew(path: &Path) -> io::Result<File> {
    remove(path)?;
    create(path)
}

/// Removes a staged file; one that is not there is as good.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(named(&error, "remove", &path.display().to_string()))
        }
        _ => Ok(()),
    }
}

/// An error that says what was done to which file; what passes stays recognisable as such.
pub(crate) fn named(error: &io::Error, what: &str, file: &str) -> io::Error {
    let kind = match disk::is_full(error) {
        true => io::ErrorKind::StorageFull,
        false => error.kind(),
    };
    io::Error::new(kind, format!("cannot {what} {file}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffers::Pool;

    #[test]
    fn a_large_file_does_not_run_through_the_floor() {
        let root = tempfile::tempdir().unwrap();
        let guarded = root.path().join("not-there-yet");
        // what cannot be asked has room; from now on it can be, and never has enough
        let guard = DiskGuard::new(guarded.clone(), u64::MAX, DiskFullPolicy::Withhold);
        assert!(guard.look());
        std::fs::create_dir(&guarded).unwrap();

        let (ops, ops_out) = channel();
        let (hasher, _hashed) = channel();
        let (sealer, _sealed) = channel();
        let (verdicts_in, verdicts) = channel();
        let outcomes: OutcomeSink = Arc::new(move |it: Deferred| {
            let _ = verdicts_in.send(it.verdict);
        });
        let ports = WriterPorts { ops: ops_out, hasher, sealer, outcomes };
        let guard = Arc::new(guard);
        let staging = root.path().to_path_buf();
        let mut writer = Writer::new(ports, Arc::clone(&guard), staging, String::from("run"));
        let pool = Arc::new(Pool::default());
        let released: crate::buffers::Released = Arc::new(|_, _| {});
        writer.take(WriterOp::Start { connection: 1, file: 0 }).unwrap();
        for at in 0..=8_u64 {
            assert_eq!(guard.has_room(), at < 8, "after {at} MiB");
            let chunk = Chunk::new(vec![0; 1 << 20], &pool, 1, &released);
            let part = Part { file: 0, at_bytes: at << 20, start: 0, end: 1 << 20 };
            writer.take(WriterOp::Write { connection: 1, chunk, parts: vec![part] }).unwrap();
        }
        let end = WriterOp::PieceEnd { connection: 1, file: 0, token: 0, name: String::new() };
        writer.take(end).unwrap();
        assert!(matches!(verdicts.try_recv(), Ok(Verdict::Temporary { .. })));
        drop(ops);
    }
}
