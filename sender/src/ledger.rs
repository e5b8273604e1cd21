//! The thread that makes what the sources decided durable: cursors and gaps of all pipes.
//!
//! Effects are appended as they come and synced together; a pipe's gap records are durable before
//! the cursor records that follow them.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::time::Duration;
use std::time::SystemTime;

use tidegate_durable::DirStorage;
use tidegate_durable::FileName;
use tidegate_durable::Journal;
use tidegate_durable::OpenError;
use tidegate_durable::Storage;
use tidegate_durable::WriteError;
use tidegate_source::Effect;
use tidegate_source::Gap;
use tidegate_source::Record;

/// What the loop asks of the ledger.
#[derive(Debug)]
pub(crate) enum LedgerRequest {
    /// Take charge of a pipe's journals.
    Adopt { pipe: u64, journals: Box<Journals> },
    /// Make these durable, in this order.
    Append { pipe: u64, effects: Vec<Effect> },
    /// Replace the cursor journal by these records.
    Rewrite { pipe: u64, records: Vec<Record> },
    /// Sync, close, and say when that is done.
    Release { pipe: u64, done: Sender<()> },
    /// Sync and close everything, then end.
    Stop,
}

/// What the ledger tells the loop.
#[derive(Debug)]
pub(crate) enum LedgerReport {
    /// So many effects of a pipe are durable now.
    Durable { pipe: u64, n_effects: usize, cursor_bytes: u64 },
    /// The cursor journal was rewritten, or had no room for that, and is so long now.
    Rewritten { pipe: u64, cursor_bytes: u64 },
    /// The disk is full; tried again until there is room.
    DiskFull { reason: String },
    /// The disk cannot be trusted: the daemon must end.
    Fatal { reason: String },
}

/// A pipe's two journals.
#[derive(Debug)]
pub(crate) struct Journals {
    pub(crate) cursor: Journal<DirStorage>,
    pub(crate) gaps: Journal<DirStorage>,
    dir: PathBuf,
    salt: u32,
}

/// A gap and when it was recorded, in milliseconds since 1970.
#[derive(Clone, Debug)]
pub(crate) struct DatedGap {
    pub(crate) recorded_ms: u64,
    pub(crate) gap: Gap,
}

/// What a pipe's journals held.
#[derive(Debug, Default)]
pub(crate) struct Past {
    pub(crate) records: Vec<Record>,
    pub(crate) gaps: Vec<DatedGap>,
    /// Damage that was found in the cursor journal, for the log and `status`. What is lost is sent
    /// again.
    pub(crate) cursor_damage: Vec<String>,
    /// Damage that was found in the gap journal. What is lost is told nowhere else.
    pub(crate) gaps_damage: Vec<String>,
}

/// Kind byte of a gap record.
const KIND_GAP: u8 = 1;
const RETRY_WHEN_FULL: Duration = Duration::from_secs(1);
/// Effects of this many requests are synced together at most.
const REQUESTS_PER_SYNC_MAX: usize = 256;

impl Journals {
    /// Opens the journals in a pipe's runtime directory and reads what they hold.
    pub(crate) fn open(dir: &Path, salt: u32) -> Result<(Self, Past), String> {
        let storage = DirStorage::open(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let open = |name: &str, damage: &mut Vec<String>| {
            let name = FileName::new(name).expect("a plain name");
            let named = |error: &dyn fmt::Display| format!("{}: {error}", dir.display());
            match Journal::open(storage.clone(), name.clone(), salt) {
                // Nothing of it can be read: it is put aside, and begun anew.
                Err(error @ OpenError::HeaderDamaged { .. }) => {
                    let aside = FileName::new(aside_name(&name, salt)).expect("a plain name");
                    damage.push(format!("{}; it is kept as {aside}", named(&error)));
                    storage.rename(&name, &aside).map_err(|error| named(&error))?;
                    Journal::open(storage.clone(), name, salt).map_err(|error| named(&error))
                }
                opened => opened.map_err(|error| named(&error)),
            }
        };
        let mut past = Past::default();
        let (cursor, cursor_past) = open("cursor", &mut past.cursor_damage)?;
        let (gaps, gaps_past) = open("gaps", &mut past.gaps_damage)?;
        let told =
            |name: &FileName, what: &dyn fmt::Display| format!("{}: {name}: {what}", dir.display());
        let name = cursor.name();
        past.cursor_damage.extend(cursor_past.damage.iter().map(|damage| told(name, damage)));
        for record in &cursor_past.records {
            match Record::decode(record.kind, &record.bytes) {
                Ok(record) => past.records.push(record),
                Err(error) => past.cursor_damage.push(told(name, &error)),
            }
        }
        let name = gaps.name();
        past.gaps_damage.extend(gaps_past.damage.iter().map(|damage| told(name, damage)));
        for record in &gaps_past.records {
            match decode_gap(&record.bytes) {
                Some(gap) => past.gaps.push(gap),
                None => past.gaps_damage.push(told(name, &"a record is unreadable")),
            }
        }
        Ok((Self { cursor, gaps, dir: dir.to_owned(), salt }, past))
    }

    /// Replaces a damaged cursor journal by these records, so that the same damage is not found, and
    /// acted upon, at every start; the damaged one is kept.
    pub(crate) fn mend_cursor(&mut self, records: &[Record]) -> Result<(), String> {
        let encoded = records.iter().map(Record::encode);
        mend(&self.dir, self.salt, &mut self.cursor, encoded)
    }

    /// The same of a damaged gap journal.
    pub(crate) fn mend_gaps(&mut self, gaps: &[DatedGap]) -> Result<(), String> {
        let encoded = gaps.iter().map(|gap| (KIND_GAP, gap.encode()));
        mend(&self.dir, self.salt, &mut self.gaps, encoded)
    }

    fn append_gaps(&mut self, effects: &[Effect]) -> Result<(), WriteError> {
        for effect in effects {
            if let Effect::Gap(gap) = effect {
                self.gaps.append(KIND_GAP, &DatedGap::now(gap.clone()).encode())?;
            }
        }
        self.gaps.sync()
    }

    fn append_records(&mut self, effects: &[Effect]) -> Result<(), WriteError> {
        for effect in effects {
            if let Effect::Cursor(record) = effect {
                let (kind, body) = record.encode();
                self.cursor.append(kind, &body)?;
            }
        }
        self.cursor.sync()
    }
}

/// The gaps in a pipe's runtime directory, without changing anything there, and what is damaged.
pub(crate) fn read_gaps(dir: &Path) -> anyhow::Result<(Vec<DatedGap>, Vec<String>)> {
    let storage = DirStorage::existing(dir)?;
    let name = FileName::new("gaps").expect("a plain name");
    let found = Journal::inspect(&storage, &name)?.unwrap_or_default();
    let mut damage: Vec<String> =
        found.damage.iter().map(|it| format!("{}: {name}: {it}", dir.display())).collect();
    let gaps: Vec<DatedGap> =
        found.records.iter().filter_map(|record| decode_gap(&record.bytes)).collect();
    let n_unreadable = found.records.len() - gaps.len();
    if n_unreadable > 0 {
        damage.push(format!("{}: {name}: {n_unreadable} records are unreadable", dir.display()));
    }
    Ok((gaps, damage))
}

/// Runs the ledger until it is told to stop or the loop is gone.
pub(crate) fn run(requests: &Receiver<LedgerRequest>, mut report: impl FnMut(LedgerReport)) {
    let mut pipes: HashMap<u64, Journals> = HashMap::new();
    while let Ok(first) = requests.recv() {
        let mut batch = Batch::default();
        let mut next = Some(first);
        let mut last = None;
        while let Some(request) = next.take() {
            match request {
                LedgerRequest::Append { pipe, effects } => {
                    batch.add(pipe, effects);
                    if batch.n_requests < REQUESTS_PER_SYNC_MAX {
                        next = requests.try_recv().ok();
                    }
                }
                other => last = Some(other),
            }
        }
        for (pipe, effects) in batch.effects {
            let Some(journals) = pipes.get_mut(&pipe) else { continue };
            let has_gaps = effects.iter().any(|effect| matches!(effect, Effect::Gap(_)));
            if (has_gaps && !persist(|| journals.append_gaps(&effects), &mut report))
                || !persist(|| journals.append_records(&effects), &mut report)
            {
                return;
            }
            let cursor_bytes = journals.cursor.bytes();
            report(LedgerReport::Durable { pipe, n_effects: effects.len(), cursor_bytes });
        }
        match last {
            None | Some(LedgerRequest::Append { .. }) => (),
            Some(LedgerRequest::Adopt { pipe, journals }) => {
                pipes.insert(pipe, *journals);
            }
            Some(LedgerRequest::Rewrite { pipe, records }) => {
                let Some(journals) = pipes.get_mut(&pipe) else { continue };
                match journals.cursor.rewrite(records.iter().map(Record::encode)) {
                    // Where there is no room for a second journal, the first may still have some.
                    Ok(()) | Err(WriteError::DiskFull(_)) => {
                        let cursor_bytes = journals.cursor.bytes();
                        report(LedgerReport::Rewritten { pipe, cursor_bytes });
                    }
                    Err(error) => return report(fatal(&error)),
                }
            }
            Some(LedgerRequest::Release { pipe, done }) => {
                if let Some(journals) = pipes.remove(&pipe) {
                    close(journals);
                }
                // Who asked may have given up waiting.
                let _ = done.send(());
            }
            Some(LedgerRequest::Stop) => break,
        }
    }
    pipes.into_values().for_each(close);
}

#[derive(Default)]
struct Batch {
    /// In order of first appearance, so that a busy pipe cannot starve another.
    effects: Vec<(u64, Vec<Effect>)>,
    n_requests: usize,
}

impl Batch {
    fn add(&mut self, pipe: u64, effects: Vec<Effect>) {
        self.n_requests += 1;
        match self.effects.iter_mut().find(|(known, _)| *known == pipe) {
            Some((_, known)) => known.extend(effects),
            None => self.effects.push((pipe, effects)),
        }
    }
}

/// Tries until it is done or the disk fails for good; says whether it is done.
fn persist(
    mut write: impl FnMut() -> Result<(), WriteError>,
    report: &mut impl FnMut(LedgerReport),
) -> bool {
    loop {
        match write() {
            Ok(()) => return true,
            Err(WriteError::DiskFull(failure)) => {
                report(LedgerReport::DiskFull { reason: failure.to_string() });
                std::thread::sleep(RETRY_WHEN_FULL);
            }
            Err(error) => {
                report(fatal(&error));
                return false;
            }
        }
    }
}

fn fatal(error: &WriteError) -> LedgerReport {
    LedgerReport::Fatal { reason: format!("the pipe's state: {error}") }
}

/// Closing only tells a later start that the end is whole; everything is synced already.
fn close(journals: Journals) {
    for journal in [journals.cursor, journals.gaps] {
        if let Err(error) = journal.close() {
            tracing::warn!(%error, "closing a journal failed; what it holds is durable");
        }
    }
}

impl DatedGap {
    fn now(gap: Gap) -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let recorded_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Self { recorded_ms, gap }
    }

    fn encode(&self) -> Vec<u8> {
        [&self.recorded_ms.to_be_bytes()[..], &self.gap.encode()].concat()
    }
}

fn mend(
    dir: &Path,
    salt: u32,
    journal: &mut Journal<DirStorage>,
    records: impl Iterator<Item = (u8, Vec<u8>)>,
) -> Result<(), String> {
    let path = dir.join(journal.name().as_str());
    let aside = dir.join(aside_name(journal.name(), salt));
    let failed = |error: &dyn fmt::Display| {
        format!("{}: the damage stays, and is found again: {error}", path.display())
    };
    // One without a head was put aside already, and what is there now was begun anew.
    if !aside.exists() {
        std::fs::copy(&path, &aside).map_err(|error| failed(&error))?;
    }
    journal.rewrite(records).map_err(|error| failed(&error))
}

/// What a damaged journal is kept as.
fn aside_name(journal: &FileName, salt: u32) -> String {
    format!("{journal}.damaged-{salt:08x}")
}

fn decode_gap(bytes: &[u8]) -> Option<DatedGap> {
    let (recorded_ms, body) = bytes.split_first_chunk()?;
    let gap = Gap::decode(body).ok()?;
    Some(DatedGap { recorded_ms: u64::from_be_bytes(*recorded_ms), gap })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use tidegate_source::FileIdentity;
    use tidegate_source::ModsMark;
    use tidegate_source::ModsSeen;
    use tidegate_tsfile::ModsKind;

    use super::*;

    #[test]
    fn after_a_rewrite_the_ledger_says_how_long_the_journal_is_now() {
        let dir = tempfile::tempdir().expect("a directory");
        let (journals, _) = Journals::open(dir.path(), 1).expect("journals");
        let (requests, inbox) = channel();
        let (outbox, reports) = channel();
        let thread = std::thread::spawn(move || run(&inbox, |it| outbox.send(it).expect("a test")));
        let record = |inode| Record::ModsSettled {
            identity: FileIdentity { inode, length_bytes: 1, mtime_ns: 1 },
            mods: ModsMark { seen: ModsSeen { kind: ModsKind::Text, length_bytes: 1 }, inode: 1 },
        };
        let effects: Vec<Effect> = (0..1000).map(|at| Effect::Cursor(record(at))).collect();
        let ask = |request| requests.send(request).expect("a ledger");
        ask(LedgerRequest::Adopt { pipe: 1, journals: Box::new(journals) });
        ask(LedgerRequest::Append { pipe: 1, effects });
        ask(LedgerRequest::Rewrite { pipe: 1, records: vec![record(5)] });
        ask(LedgerRequest::Stop);
        thread.join().expect("a ledger");
        let before = match reports.recv().expect("a report") {
            LedgerReport::Durable { pipe: 1, n_effects: 1000, cursor_bytes } => cursor_bytes,
            other => panic!("{other:?}"),
        };
        match reports.recv().expect("a report") {
            LedgerReport::Rewritten { pipe: 1, cursor_bytes } => {
                assert!(cursor_bytes < before / 10, "{cursor_bytes} of {before}");
            }
            other => panic!("{other:?}"),
        }
        let (_, past) = Journals::open(dir.path(), 1).expect("journals");
        assert_eq!((past.records, past.cursor_damage), (vec![record(5)], Vec::new()));
    }

    /// A pipe whose ledger had lost its head did not run any more, and nothing said how to go on.
    #[test]
    fn a_journal_without_a_head_is_put_aside_and_begun_anew() {
        for name in ["cursor", "gaps"] {
            let dir = tempfile::tempdir().expect("a directory");
            drop(Journals::open(dir.path(), 1).expect("journals"));
            std::fs::write(dir.path().join(name), [7; 2000]).expect("rubbish");
            let (_, past) = Journals::open(dir.path(), 0xab).expect("journals all the same");
            let told = past.cursor_damage.iter().chain(&past.gaps_damage).next().expect("damage");
            assert!(told.contains(name) && told.contains("damaged-000000ab"), "{told}");
            let aside = dir.path().join(format!("{name}.damaged-000000ab"));
            assert_eq!(std::fs::read(aside).expect("it is kept"), [7; 2000]);
            let (_, past) = Journals::open(dir.path(), 2).expect("journals");
            assert_eq!((past.cursor_damage.len(), past.gaps_damage.len()), (0, 0));
        }
    }
}
