//! What waits in the spool and is in no answer, since no store has taken it in yet. Only looked at: it
//! takes no lock and is read beside a daemon that starts meanwhile.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use tidegate_daemon::text::rfc3339;
use tidegate_durable::Consumer;
use tidegate_durable::DirStorage;
use tidegate_durable::Entry;
use tidegate_durable::Record;
use tidegate_durable::SpoolReader;
use tidegate_query::text::named;
use tidegate_store::Look;

use crate::records::RecordKind;
use crate::state;
use crate::state::CONSUMER_DIRECTORY;
use crate::state::Layout;

/// So many records are looked at, and so much of them; there may be millions.
const RECORDS_MAX: usize = 4096;
const BYTES_MAX: usize = 64 << 20;
/// What is read at a time.
const READ_BYTES: usize = 8 << 20;
const READ_RECORDS: usize = 256;

/// Records that no store has.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Waiting {
    n_records: usize,
    /// Whether not all of them were looked at.
    has_more: bool,
    origins: BTreeSet<String>,
    /// When the newest one arrived, milliseconds since 1970.
    newest_ms: i64,
}

impl Waiting {
    /// What waits for these stores; `None` if nothing does.
    ///
    /// # Arguments
    ///
    /// - `origin`: whose records; `None` for all
    pub(crate) fn find(
        state_dir: &Path,
        origin: Option<&str>,
        looks: &[(String, Look)],
    ) -> Result<Option<Self>, String> {
        let layout = Layout::of(state_dir);
        let storage = match DirStorage::existing(&layout.spool) {
            // nothing has ever arrived
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            storage => storage.map_err(|error| format!("{}: {error}", layout.spool.display()))?,
        };
        let failed =
            |error: &dyn core::fmt::Display| format!("{}: {error}", layout.spool.display());
        let position =
            Consumer::inspect(&storage, CONSUMER_DIRECTORY).map_err(|error| failed(&error))?;
        let mut reader = SpoolReader::inspect(storage).map_err(|error| failed(&error))?;
        let last = reader.durable_seq();
        if last <= position {
            return Ok(None);
        }
        let spool = state::spool_id(&layout.memory)?;
        let is_waiting = |record: &Record| {
            let kind = RecordKind::of_code(record.kind);
            let look = looks.iter().find(|(name, _)| *name == record.origin);
            kind.is_some_and(|kind| !kind.is_not_applied())
                && origin.is_none_or(|origin| origin == record.origin)
                && !look
                    .is_some_and(|(_, look)| look.taken.has(spool, last.get(), record.seq.get()))
        };
        let mut found = Self::default();
        let (mut n_read, mut n_bytes, mut next) = (0usize, 0usize, position.next());
        while next <= last {
            if n_read >= RECORDS_MAX || n_bytes >= BYTES_MAX {
                found.has_more = true;
                break;
            }
            let entries = reader.read(next, READ_BYTES, READ_RECORDS);
            let entries = entries.map_err(|error| failed(&error))?;
            let Some(end) = entries.last().map(Entry::last_seq) else { break };
            next = end.next();
            n_read = n_read.saturating_add(entries.len());
            for record in entries.iter().filter_map(record_of) {
                n_bytes = n_bytes.saturating_add(record.payload.len());
                if is_waiting(record) {
                    found.take(record);
                }
            }
        }
        if found.has_more {
            let entries = reader.read(last, READ_BYTES, 1).map_err(|error| failed(&error))?;
            entries.iter().filter_map(record_of).filter(|it| is_waiting(it)).for_each(|record| {
                found.take(record);
            });
        }
        Ok((found.n_records > 0).then_some(found))
    }

    fn take(&mut self, record: &Record) {
        self.newest_ms = match self.n_records {
            0 => record.arrival_ms,
            _ => self.newest_ms.max(record.arrival_ms),
        };
        self.n_records = self.n_records.saturating_add(1);
        if !self.origins.contains(&record.origin) {
            self.origins.insert(record.origin.clone());
        }
    }

    /// As people read it.
    ///
    /// # Arguments
    ///
    /// - `behind`: what stands behind it
    pub(crate) fn told(&self, behind: &str) -> String {
        let Self { n_records, has_more, origins, newest_ms } = self;
        let is_one = *n_records == 1 && !has_more;
        let more = if *has_more { "more than " } else { "" };
        let (records, waits, are) =
            if is_one { ("record", "waits", "is") } else { ("records", "wait", "are") };
        let origin = if origins.len() == 1 { "origin" } else { "origins" };
        let origins = named(origins.iter().map(String::as_str));
        let newest = rfc3339(*newest_ms);
        format!(
            "{more}{n_records} {records} of {origin} {origins} (the newest of {newest}) {waits} in the \
             spool and {are} in no answer{behind}"
        )
    }
}

fn record_of(entry: &Entry) -> Option<&Record> {
    match entry {
        Entry::Record(record) => Some(record),
        Entry::Lost(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use tidegate_durable::RecordDraft;
    use tidegate_durable::Spool;
    use tidegate_durable::SpoolOptions;

    use super::*;

    fn draft<'a>(kind: RecordKind, origin: &'a str, arrival_ms: i64) -> RecordDraft<'a> {
        let (kind, payload) = (kind.code(), b"anything".as_slice());
        RecordDraft { kind, dialect: 2, flags: 0, origin, connection: 1, arrival_ms, payload }
    }

    /// A state whose spool holds these and whose loader has come so far.
    fn state(drafts: &[RecordDraft<'_>], position: u64) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::of(directory.path());
        DirStorage::open(&layout.memory).unwrap();
        let storage = DirStorage::open(&layout.spool).unwrap();
        let (mut spool, _) = Spool::open(storage, SpoolOptions::default()).unwrap();
        let mut consumer = spool.consumer(CONSUMER_DIRECTORY).unwrap();
        for it in drafts {
            let _ = spool.append(*it).unwrap();
        }
        spool.sync().unwrap();
        consumer.advance(tidegate_durable::Seq::new(position)).unwrap();
        consumer.sync().unwrap();
        directory
    }

    fn told(state: &tempfile::TempDir, origin: Option<&str>) -> Option<String> {
        Waiting::find(state.path(), origin, &[]).unwrap().map(|it| it.told(""))
    }

    #[test]
    fn what_stands_behind_the_position_and_is_rows_waits() {
        use RecordKind as K;
        let drafts = [
            draft(K::File, "east", 1000),
            draft(K::Tablet, "east", 3000),
            draft(K::ConfigPlan, "north", 3500),
            draft(K::Delete, "west", 2000),
        ];
        let all = state(&drafts, 0);
        let both = "3 records of origins east and west (the newest of 1970-01-01T00:00:03.000Z) wait \
                    in the spool and are in no answer";
        assert_eq!(told(&all, None).as_deref(), Some(both));
        assert_eq!(told(&all, Some("north")), None, "plans are never applied");
        let one = "1 record of origin west (the newest of 1970-01-01T00:00:02.000Z) waits in the \
                   spool and is in no answer";
        assert_eq!(told(&all, Some("west")).as_deref(), Some(one));
        assert_eq!(told(&state(&drafts, 2), None).as_deref(), Some(one));
        assert_eq!(told(&state(&drafts, 4), None), None);
        assert_eq!(told(&tempfile::tempdir().unwrap(), None), None, "nothing has ever arrived");
    }

    #[test]
    fn of_very_many_some_are_counted_and_the_newest_is_told() {
        let drafts = vec![draft(RecordKind::Tablet, "east", 1000); RECORDS_MAX];
        let whole = told(&state(&drafts, 0), None).unwrap();
        assert!(whole.starts_with("4096 records of origin east "), "{whole}");
        let newest = draft(RecordKind::Tablet, "west", 9000);
        let more = told(&state(&[&drafts[..], &[drafts[0], newest]].concat(), 0), None).unwrap();
        let expected = "more than 4097 records of origins east and west (the newest of \
                        1970-01-01T00:00:09.000Z) wait ";
        assert!(more.starts_with(expected), "{more}");
    }
}
