//! What our receiver keeps, put into an IoTDB in the order in which it came: files of the directory
//! target by `LOAD`, deletions from the spool as SQL in between. Both share one arrival sequence.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use anyhow::anyhow;
use anyhow::bail;
use tidegate_codec::Reader;
use tidegate_durable::DirStorage;
use tidegate_durable::Entry;
use tidegate_durable::Record;
use tidegate_durable::SpoolReader;
use tidegate_wire::request::Deletion;
use tidegate_wire::request::DeletionTarget;
use tidegate_wire::request::Payload;
use tidegate_wire::request::Plan;
use tidegate_wire::request::Predicate;
use tidegate_wire::request::Request;

use super::rig::CROSSING_TIME_MAX;
use super::rig::Rig;
use super::rig::Role;
use crate::arrival;
use crate::arrival::Listed;
use crate::harness::Daemon;
use crate::harness::ReceiverSetup;
use crate::harness::poll;

/// Kinds of records, see `receiver/src/records.rs`.
const KIND_FILE: u8 = 1;
const KIND_DELETE: u8 = 3;
const RECORD_VERSION: u8 = 1;
const TEXT_BYTES_MAX: usize = 1 << 20;

const READ_BYTES: usize = 4 << 20;
const READ_RECORDS: usize = 1024;
/// Files of one `LOAD`.
const LOAD_FILES_MAX: usize = 100;

/// What came.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Replayed {
    /// TsFiles.
    pub(super) n_files: usize,
    /// Requests of type 100 that delete.
    pub(super) n_deletions: usize,
}

/// The names of a table's tag columns, in order: a deletion tells them by their place.
pub(super) type Tags<'a> = &'a [&'a str];

/// One thing that came.
enum Arrival {
    /// The TsFile and its mods, as they lie in the directory.
    Files { paths: Vec<PathBuf>, database: Option<String> },
    /// Commands of the client.
    Deletion(Vec<String>),
}

/// Waits until the receiver has put everything it has accepted into its target. A store may have rows
/// in memory then, which it writes when it ends.
pub(super) fn wait_all_placed(setup: &ReceiverSetup, daemon: &mut Daemon) -> Result<()> {
    poll(CROSSING_TIME_MAX, "the receiver's target to hold what has come", || {
        daemon.ensure_running()?;
        let status = setup.status()?;
        let (keeper, read) = (&status["keeper"], &status["loader"]["read"]);
        let (came, placed) = (&keeper["durable_sequence"], &keeper["consumers"]["directory"]);
        Ok((came.is_u64() && (came == placed || came == read)).then_some(()))
    })
    .map_err(|error| daemon.with_log(&error))
}

/// Puts everything into the target; the receiver has ended.
pub(super) fn replay(rig: &mut Rig, setup: &ReceiverSetup, tags: Tags<'_>) -> Result<Replayed> {
    let mut replayed = Replayed::default();
    let mut batch = Batch { dir: rig.dir.join("load"), ..Batch::default() };
    for (sequence, arrival) in arrivals(setup, tags)? {
        match arrival {
            Arrival::Files { paths, database } => {
                if batch.database != database || batch.n_files >= LOAD_FILES_MAX {
                    batch.load(rig)?;
                }
                batch.database = database;
                batch.add(&paths)?;
                replayed.n_files += 1;
            }
            Arrival::Deletion(commands) => {
                batch.load(rig)?;
                for command in commands {
                    rig.run_if_there(Role::Target, &command)
                        .with_context(|| format!("the deletion of record {sequence}"))?;
                }
                replayed.n_deletions += 1;
            }
        }
    }
    batch.load(rig)?;
    Ok(replayed)
}

/// Files that are loaded together: nothing came between them.
#[derive(Default)]
struct Batch {
    dir: PathBuf,
    n_loads: usize,
    n_files: usize,
    database: Option<String>,
}

impl Batch {
    fn add(&mut self, paths: &[PathBuf]) -> Result<()> {
        let dir = self.dir.join(self.n_loads.to_string());
        fs::create_dir_all(&dir)?;
        for path in paths {
            let name = path.file_name().ok_or_else(|| anyhow!("{} is no file", path.display()))?;
            fs::hard_link(path, dir.join(name)).with_context(|| path.display().to_string())?;
        }
        self.n_files += 1;
        Ok(())
    }

    fn load(&mut self, rig: &mut Rig) -> Result<()> {
        if self.n_files == 0 {
            return Ok(());
        }
        let dir = self.dir.join(self.n_loads.to_string());
        let command = match &self.database {
            Some(database) => format!("tload {database} {}", dir.display()),
            None => format!("load {}", dir.display()),
        };
        rig.run(Role::Target, &command)?;
        self.n_loads += 1;
        self.n_files = 0;
        Ok(())
    }
}

/// Everything that came, by its place in the arrival sequence.
fn arrivals(setup: &ReceiverSetup, tags: Tags<'_>) -> Result<BTreeMap<u64, Arrival>> {
    let mut found = BTreeMap::new();
    for Listed { sequence, path, database, .. } in arrival::manifests(&setup.files())? {
        let arrival = Arrival::Files { paths: Vec::new(), database };
        if let Arrival::Files { paths, .. } = found.entry(sequence).or_insert(arrival) {
            paths.push(path);
        }
    }
    for record in records(&setup.state().join("spool"))? {
        let sequence = record.seq.get();
        match record.kind {
            KIND_FILE if found.contains_key(&sequence) => (),
            KIND_FILE => bail!("record {sequence} is a file, and no manifest lists it"),
            KIND_DELETE => {
                let commands = request_of(&record).and_then(|bytes| deletion(bytes, tags));
                let commands = commands.with_context(|| format!("record {sequence}"))?;
                found.insert(sequence, Arrival::Deletion(commands));
            }
            kind => bail!("record {sequence} is neither file nor deletion, but of kind {kind}"),
        }
    }
    Ok(found)
}

/// Every record that is kept.
fn records(spool: &Path) -> Result<Vec<Record>> {
    let mut reader = SpoolReader::inspect(DirStorage::existing(spool)?)?;
    let mut records = Vec::new();
    let mut next = reader.first_seq()?;
    while next <= reader.durable_seq() {
        for entry in reader.read(next, READ_BYTES, READ_RECORDS)? {
            next = entry.last_seq().next();
            match entry {
                Entry::Record(record) => records.push(record),
                Entry::Lost(range) => bail!("{}: lost {range:?}", spool.display()),
            }
        }
    }
    Ok(records)
}

/// The request in a record as on the wire, behind who sent it.
fn request_of(record: &Record) -> Result<&[u8]> {
    let mut reader = Reader::new(&record.payload);
    match reader.u8("version of the record")? {
        RECORD_VERSION => (),
        found => bail!("expected version {RECORD_VERSION} of a record, found {found}"),
    }
    reader.nullable_str("stream", TEXT_BYTES_MAX)?;
    if reader.bool("whether there is an epoch")? {
        reader.i64("epoch")?;
    }
    Ok(reader.take_rest())
}

/// The commands that delete what a request of type 100 deletes.
fn deletion(request: &[u8], tags: Tags<'_>) -> Result<Vec<String>> {
    match Payload::decode(request)?.request {
        Request::Plan(Plan::Delete(delete)) => {
            let times = (delete.start_time, delete.end_time);
            Ok(delete.paths.iter().map(|path| from_tree(&path.full_path(), times)).collect())
        }
        Request::Plan(Plan::RelationalDelete(delete)) => {
            let of_entry = |entry: Deletion<'_>| from_entry(delete.database, &entry, tags);
            delete.entries.iter().map(of_entry).collect()
        }
        other => bail!("expected a deletion, found a request of type {:?}", other.request_type()),
    }
}

fn from_entry(database: Option<&str>, entry: &Deletion<'_>, tags: Tags<'_>) -> Result<String> {
    let times = (entry.start_time, entry.end_time);
    match &entry.target {
        DeletionTarget::Tree { pattern } => {
            Ok(from_tree(pattern.context("a deletion without a pattern")?, times))
        }
        DeletionTarget::Table { table, predicate, columns } => {
            if !columns.is_empty() {
                bail!("a deletion of columns, which SQL has no DELETE for");
            }
            let database = database.context("a deletion from a table without a database")?;
            let table = table.context("a deletion from a table without a name")?;
            let mut conditions = of_times(times);
            of_predicate(predicate, tags, &mut conditions)?;
            Ok(format!("tsql DELETE FROM {database}.{table}{}", of_conditions(&conditions)))
        }
    }
}

fn from_tree(path: &str, times: (i64, i64)) -> String {
    format!("sql DELETE FROM {path}{}", of_conditions(&of_times(times)))
}

fn of_conditions(conditions: &[String]) -> String {
    match conditions.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", conditions.join(" AND ")),
    }
}

/// Both ends are inclusive; an end that excludes nothing is left out.
fn of_times((start, end): (i64, i64)) -> Vec<String> {
    let start = (start != i64::MIN).then(|| format!("time >= {start}"));
    let end = (end != i64::MAX).then(|| format!("time <= {end}"));
    start.into_iter().chain(end).collect()
}

fn of_predicate(
    predicate: &Predicate<'_>,
    tags: Tags<'_>,
    conditions: &mut Vec<String>,
) -> Result<()> {
    let mut add = |place: usize, value: Option<&str>| -> Result<()> {
        // The first segment is the table itself.
        let tag = place.checked_sub(1).and_then(|place| tags.get(place));
        let tag = tag.with_context(|| format!("there is no tag at {place}: {tags:?}"))?;
        conditions.push(match value {
            Some(value) => format!("{tag} = '{}'", value.replace('\'', "''")),
            None => format!("{tag} IS NULL"),
        });
        Ok(())
    };
    match predicate {
        Predicate::Any => Ok(()),
        Predicate::And(predicates) => {
            predicates.iter().try_for_each(|it| of_predicate(&it, tags, conditions))
        }
        Predicate::Device(segments) => {
            let values: Vec<Option<&str>> = segments.iter().map(|it| it.0).collect();
            // Tags behind the last one that is set are not written.
            let places = 1..=tags.len();
            places.into_iter().try_for_each(|at| add(at, values.get(at).copied().flatten()))
        }
        Predicate::Segment { value, index } => add(usize::try_from(*index)?, *value),
    }
}

#[cfg(test)]
mod tests {
    use tidegate_durable::RecordDraft;
    use tidegate_durable::Spool;
    use tidegate_durable::SpoolOptions;
    use tidegate_wire::request::DeleteData;
    use tidegate_wire::request::Path as WirePath;
    use tidegate_wire::request::RelationalDelete;
    use tidegate_wire::request::Seq;
    use tidegate_wire::request::VarText;

    use super::*;

    fn bytes_of(plan: Plan<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        Payload::from(Request::Plan(plan)).encode(&mut bytes).expect("a short request");
        bytes
    }

    #[test]
    fn deletions_of_the_spool_become_the_same_deletions_in_sql() {
        let paths = ["root.o1.d1.**", "root.o1.d1.s"]
            .map(|path| WirePath::measurement(path, path.split('.').collect()));
        let tree = |start_time, end_time| {
            let paths = paths.to_vec().into();
            bytes_of(Plan::Delete(DeleteData { paths, start_time, end_time, plan_node_id: "" }))
        };
        assert_eq!(
            deletion(&tree(-1, 5), &[]).expect("a deletion"),
            [
                "sql DELETE FROM root.o1.d1.** WHERE time >= -1 AND time <= 5",
                "sql DELETE FROM root.o1.d1.s WHERE time >= -1 AND time <= 5",
            ]
        );
        let all = deletion(&tree(i64::MIN, i64::MAX), &[]).expect("a deletion");
        assert_eq!(all.last().expect("two"), "sql DELETE FROM root.o1.d1.s");

        let entry = |predicate| Deletion {
            start_time: i64::MIN,
            end_time: 9,
            target: DeletionTarget::Table {
                table: Some("pumps"),
                predicate,
                columns: Vec::new().into(),
            },
        };
        let segment = |value, index| Predicate::Segment { value, index };
        let texts = |texts: &[Option<&'static str>]| texts.iter().map(|&it| VarText(it)).collect();
        let device: Vec<VarText<'_>> = texts(&[Some("pumps"), Some("it's"), None]);
        let entries = vec![
            entry(Predicate::Any),
            entry(Predicate::And(Seq::new(vec![segment(Some("n"), 1), segment(None, 2)], 0))),
            entry(Predicate::Device(device.into())),
        ];
        let delete = |entries: Vec<Deletion<'static>>| {
            let (database, entries) = (Some("works"), entries.into());
            bytes_of(Plan::RelationalDelete(RelationalDelete {
                entries,
                database,
                plan_node_id: "",
            }))
        };
        assert_eq!(
            deletion(&delete(entries), &["site", "pump"]).expect("a deletion"),
            [
                "tsql DELETE FROM works.pumps WHERE time <= 9",
                "tsql DELETE FROM works.pumps WHERE time <= 9 AND site = 'n' AND pump IS NULL",
                "tsql DELETE FROM works.pumps WHERE time <= 9 AND site = 'it''s' AND pump IS NULL",
            ]
        );
        let unknown = delete(vec![entry(segment(Some("n"), 3))]);
        deletion(&unknown, &["site", "pump"]).expect_err("there are two tags");
    }

    #[test]
    fn what_was_kept_is_read_in_order_and_the_request_behind_its_sender() {
        let dir = tempfile::tempdir().expect("a directory");
        let storage = DirStorage::open(dir.path()).expect("a storage");
        let (mut spool, _) = Spool::open(storage, SpoolOptions::default()).expect("a spool");
        for (stream, request) in [(None, b"one"), (Some("p1/0"), b"two")] {
            let mut payload = Vec::new();
            let mut writer = tidegate_codec::Writer::new(&mut payload);
            writer.u8(RECORD_VERSION);
            writer.nullable_str(stream);
            writer.bool(stream.is_some());
            if stream.is_some() {
                writer.i64(7);
            }
            writer.bytes(request);
            let draft = RecordDraft {
                kind: KIND_DELETE,
                dialect: 0,
                flags: 0,
                origin: "o",
                connection: 1,
                arrival_ms: 0,
                payload: &payload,
            };
            spool.append(draft).expect("room");
        }
        spool.close().expect("a disk");
        let records = records(dir.path()).expect("a spool");
        let requests: Vec<&[u8]> =
            records.iter().map(|record| request_of(record).expect("a request")).collect();
        assert_eq!(requests, [b"one", b"two"]);
    }
}
