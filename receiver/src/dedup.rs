//! Which files were accepted without the sender having been seen to know it.
//!
//! An OK is proven once the same connection goes on after it. Until then the sender may not have
//! got it and will send the same file again; such a repetition is answered with OK and not kept
//! twice. Only this tail is looked at: an older equal file is a replay that the sender wants, and
//! an epoch of its own marks one as well. (A sender that restarts between our OK and its own cursor
//! comes back with a new epoch, and its file is kept twice. That costs space and changes no value:
//! it replays its stream in order, and the last arrival wins.)

use std::collections::VecDeque;

use crate::records::Contents;
use crate::records::RecordKind;
use crate::records::StagedFile;

/// Most entries of one origin; the oldest go first.
const ENTRIES_PER_ORIGIN_MAX: usize = 64;

/// An entry this many records back is forgotten, so that it does not hold back the spool for ever.
const RECORDS_BACK_MAX: u64 = 100_000;

/// What makes two transfers the same: the seal as it stood on the wire, which names the database of
/// a table-model file, what it made of the files, and name, length and SHA-256 of each.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Fingerprint {
    kind: RecordKind,
    seal_sha256: [u8; 32],
    files: Vec<(String, u64, [u8; 32])>,
}

impl Fingerprint {
    /// Of the files that one seal makes a record of `kind`.
    pub(crate) fn of(kind: RecordKind, seal_sha256: [u8; 32], files: &[StagedFile]) -> Self {
        let of_one = |file: &StagedFile| (file.name.clone(), file.length_bytes, file.sha256);
        Self { kind, seal_sha256, files: files.iter().map(of_one).collect() }
    }

    /// Of a record read back; `None` if it holds no files.
    pub(crate) fn of_record(kind: RecordKind, contents: &Contents) -> Option<Self> {
        Some(Self::of(kind, contents.seal_sha256?, &contents.files))
    }
}

/// Whose item it is, as far as repetitions are concerned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Lane {
    pub(crate) origin: String,
    pub(crate) stream: Option<String>,
    pub(crate) epoch: Option<u64>,
}

/// The accepted items whose OK is not proven, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    entries: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    sequence: u64,
    connection: u64,
    lane: Lane,
    fingerprint: Fingerprint,
}

impl Tail {
    /// The sequence under which this very item was accepted; its OK now belongs to `connection`.
    pub(crate) fn repeated(
        &mut self,
        connection: u64,
        lane: &Lane,
        fingerprint: &Fingerprint,
    ) -> Option<u64> {
        let same = |entry: &&mut Entry| entry.lane == *lane && entry.fingerprint == *fingerprint;
        let entry = self.entries.iter_mut().find(same)?;
        entry.connection = connection;
        Some(entry.sequence)
    }

    /// An item was committed: it proves what came before it on its connection and in its stream.
    pub(crate) fn committed(
        &mut self,
        sequence: u64,
        connection: u64,
        lane: Lane,
        files: Option<Fingerprint>,
    ) {
        self.prove(connection);
        if lane.stream.is_some() {
            self.entries.retain(|entry| {
                entry.lane.origin != lane.origin || entry.lane.stream != lane.stream
            });
        }
        if let Some(fingerprint) = files {
            let of_origin = |entry: &&Entry| entry.lane.origin == lane.origin;
            if self.entries.iter().filter(of_origin).count() >= ENTRIES_PER_ORIGIN_MAX {
                let oldest = self.entries.iter().position(|entry| of_origin(&entry));
                oldest.and_then(|at| self.entries.remove(at));
            }
            self.entries.push_back(Entry { sequence, connection, lane, fingerprint });
        }
        let horizon = sequence.saturating_sub(RECORDS_BACK_MAX);
        while self.entries.front().is_some_and(|entry| entry.sequence < horizon) {
            self.entries.pop_front();
        }
    }

    /// The connection went on, so its peer knows of every OK before.
    pub(crate) fn prove(&mut self, connection: u64) {
        self.entries.retain(|entry| entry.connection != connection);
    }

    /// The oldest item that is still needed.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.sequence)
    }

    /// How many items are unproven.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl Lane {
    /// The lane of a record read back.
    pub(crate) fn of_record(origin: &str, contents: &Contents) -> Self {
        Self { origin: origin.to_owned(), stream: contents.stream.clone(), epoch: contents.epoch }
    }

    /// The lane of a connection.
    pub(crate) fn of_hello(hello: &tidegate_link::receiving::Hello) -> Self {
        Self {
            origin: hello.origin.as_str().to_owned(),
            stream: hello.stream.clone(),
            epoch: hello.epoch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(stream: Option<&str>, epoch: u64) -> Lane {
        let origin = String::from("plant");
        Lane { origin, stream: stream.map(str::to_owned), epoch: stream.map(|_| epoch) }
    }

    fn print(name: &str) -> Fingerprint {
        Fingerprint::of(RecordKind::File, [0; 32], &[file(name)])
    }

    fn file(name: &str) -> StagedFile {
        let (staged, name) = (String::new(), name.to_owned());
        StagedFile { staged, name, length_bytes: 1, crc32: 0, sha256: [0; 32] }
    }

    #[test]
    fn what_the_seal_said_and_made_of_the_files_tells_them_apart() {
        let of = |kind, seal| Fingerprint::of(kind, [seal; 32], &[file("a")]);
        let one = of(RecordKind::SchemaSnapshot, 0);
        assert_eq!(one, of(RecordKind::SchemaSnapshot, 0));
        assert_ne!(one, of(RecordKind::ConfigSnapshot, 0), "another kind");
        assert_ne!(one, of(RecordKind::SchemaSnapshot, 1), "another database");
    }

    #[test]
    fn a_repetition_is_known_only_while_its_ok_is_unproven() {
        let mut tail = Tail::default();
        let stock = lane(None, 0);
        tail.committed(1, 10, stock.clone(), Some(print("a")));
        assert_eq!(tail.repeated(11, &stock, &print("a")), Some(1));
        assert_eq!(tail.repeated(11, &stock, &print("b")), None);
        tail.prove(10);
        assert_eq!(tail.repeated(12, &stock, &print("a")), Some(1), "the OK moved to 11 and 12");
        tail.prove(12);
        assert_eq!(tail.repeated(13, &stock, &print("a")), None);
        assert_eq!(tail.oldest(), None);
    }

    #[test]
    fn a_new_epoch_and_another_item_of_the_stream_end_the_tail() {
        let mut tail = Tail::default();
        tail.committed(1, 10, lane(Some("p/0"), 7), Some(print("a")));
        assert_eq!(tail.repeated(11, &lane(Some("p/0"), 8), &print("a")), None);
        assert_eq!(tail.repeated(11, &lane(Some("p/1"), 7), &print("a")), None);
        tail.committed(2, 12, lane(Some("p/0"), 7), None);
        assert_eq!(tail.repeated(13, &lane(Some("p/0"), 7), &print("a")), None);
    }

    #[test]
    fn the_tail_is_bounded() {
        let mut tail = Tail::default();
        for n in 0..1000 {
            tail.committed(n + 1, n, lane(None, 0), Some(print(&n.to_string())));
        }
        assert_eq!(tail.len(), ENTRIES_PER_ORIGIN_MAX);
        assert_eq!(tail.oldest(), Some(1000 - 63));
        tail.committed(RECORDS_BACK_MAX + 999, 5000, lane(Some("s"), 0), None);
        assert_eq!(tail.oldest(), Some(999));
    }
}
