//! Pipe definitions on disk, and what each pipe must not forget.
//!
//! A definition is one TOML file in the pipe directory. Its runtime state is apart, in
//! `<state>/runtime/<escaped name>/`: `pipe` (creation id and time), `cursor`, `gaps`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Context;
use anyhow::Result;
use tidegate_config::CONFIG_TEXT_BYTES_MAX;
use tidegate_config::PipeDefinition;
use tidegate_config::PipeName;
use tidegate_daemon::files::read_at_most;
use tidegate_durable::DirStorage;
use tidegate_durable::FileName;
use tidegate_durable::TwoSlot;
use tidegate_source::Source;
use tidegate_source::SourceConfig;
use uuid::Uuid;

use crate::ledger::DatedGap;
use crate::ledger::Journals;

/// A pipe ready to run.
#[derive(Debug)]
pub(crate) struct PipeSetup {
    /// Names the pipe to the threads; never used twice in one run.
    pub(crate) id: u64,
    pub(crate) definition: PipeDefinition,
    pub(crate) created_ms: u64,
    pub(crate) source: Source,
    pub(crate) gaps: Vec<DatedGap>,
    pub(crate) journals: Box<Journals>,
    pub(crate) damage: Vec<String>,
}

/// What a look at the pipe directory found.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    pub(crate) sound: BTreeMap<String, PipeDefinition>,
    /// One text per definition that cannot be used.
    pub(crate) faults: Vec<String>,
    /// Names of the pipes that those would define.
    pub(crate) faulty: BTreeSet<String>,
    /// One text per definition that others than the owner may read: it may hold a password.
    pub(crate) exposed: Vec<String>,
}

/// The sender's own identity and how often it was started.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) id: Uuid,
    pub(crate) epoch: u64,
}

/// Pipe definitions that are read, and pipes that run; more are a fault.
pub(crate) const PIPES_MAX: usize = 256;
/// The group, or all, may read.
const OTHERS_READ: u32 = 0o044;

/// Pipes that are set up in one run have epochs of their own within the run's; more than these share
/// the last.
const EPOCHS_PER_RUN: u64 = 1 << 20;

impl Identity {
    /// What a pipe's lanes introduce themselves with: grows with each start, and within a run with
    /// each pipe that is set up, so that a receiver can tell a pipe from what it was before.
    pub(crate) fn epoch_of_pipe(&self, pipe_id: u64) -> u64 {
        self.epoch.saturating_mul(EPOCHS_PER_RUN).saturating_add(pipe_id.min(EPOCHS_PER_RUN - 1))
    }

    /// Reads the identity, or makes one; the epoch is one more than at the last start, durably.
    pub(crate) fn open(state_dir: &Path) -> Result<Self> {
        let doing = || format!("opening the identity in {}", state_dir.display());
        let storage = DirStorage::open(state_dir).with_context(doing)?;
        let name = FileName::new("identity").expect("a plain name");
        let (mut slot, content) = TwoSlot::open(storage, name).with_context(doing)?;
        let (id, last_epoch) = match content.payload.as_deref().map(parse_form_1) {
            Some(Some(known)) => known,
            Some(None) => anyhow::bail!(
                "{}: the identity has an unknown form: written by a later version?",
                state_dir.display()
            ),
            None => (Uuid::new_v4(), 0),
        };
        let epoch = last_epoch + 1;
        let payload = [&[1][..], id.as_bytes(), &epoch.to_be_bytes()].concat();
        slot.write(&payload).with_context(doing)?;
        Ok(Self { id, epoch })
    }
}

/// Reads all definitions; one that cannot be read stops none of the others.
pub(crate) fn read_definitions(dir: &Path) -> Result<Definitions> {
    let mut found = Definitions::default();
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => {
            return Err(error).with_context(|| format!("reading the pipes in {}", dir.display()));
        }
    };
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("reading {}", dir.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut n_surplus = 0usize;
    for path in paths {
        if found.sound.len() >= PIPES_MAX {
            // Not read; but a pipe of that name which runs is not stopped by others that came.
            if n_surplus == 0 {
                found.faults.push(format!(
                    "{}: expected at most {PIPES_MAX} pipes, but found more",
                    path.display()
                ));
            }
            n_surplus += 1;
            found.faulty.extend(pipe_name(&path));
            continue;
        }
        match read_definition(&path) {
            Ok(definition) => {
                found.exposed.extend(exposure(&path));
                found.sound.insert(definition.name.as_str().to_owned(), definition);
            }
            Err(error) => {
                found.faults.push(format!("{error:#}"));
                found.faulty.extend(pipe_name(&path));
            }
        }
    }
    Ok(found)
}

/// Why a definition's password is no secret, if so.
fn exposure(definition: &Path) -> Option<String> {
    let mode = fs::metadata(definition).ok()?.permissions().mode() & 0o7777;
    let shown = definition.display();
    (mode & OTHERS_READ != 0).then(|| {
        format!("{shown}: others may read the password in it: expected mode 0600, found {mode:04o}")
    })
}

fn pipe_name(definition: &Path) -> Option<String> {
    let name = PipeName::from_file_name(definition.file_name()?.to_str()?).ok()?;
    Some(name.as_str().to_owned())
}

fn read_definition(path: &Path) -> Result<PipeDefinition> {
    let shown = path.display().to_string();
    let file_name = path.file_name().and_then(|name| name.to_str());
    let file_name = file_name.with_context(|| format!("{shown}: the name is not UTF-8"))?;
    let bytes = read_at_most(path, CONFIG_TEXT_BYTES_MAX).context("reading a pipe definition")?;
    Ok(PipeDefinition::parse(&shown, file_name, &bytes)?)
}

/// Opens a pipe's runtime state, or makes it.
pub(crate) fn set_up(
    state_dir: &Path,
    id: u64,
    definition: PipeDefinition,
    source: SourceConfig,
) -> Result<PipeSetup> {
    let dir = runtime_dir(state_dir, &definition.name);
    let doing = || format!("opening the state of pipe {} in {}", definition.name, dir.display());
    let storage = DirStorage::open(&dir).with_context(doing)?;
    let name = FileName::new("pipe").expect("a plain name");
    let (mut slot, content) = TwoSlot::open(storage, name).with_context(doing)?;
    let created_ms = match content.payload.as_deref().map(parse_form_1) {
        Some(Some((_, created_ms))) => created_ms,
        Some(None) => anyhow::bail!("{}: unknown form: written by a later version?", doing()),
        None => {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let now_ms = u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(0);
            let creation_id = Uuid::new_v4();
            let payload = [&[1][..], creation_id.as_bytes(), &now_ms.to_be_bytes()].concat();
            slot.write(&payload).with_context(doing)?;
            now_ms
        }
    };
    let salt = u32::from_be_bytes(Uuid::new_v4().as_bytes()[..4].try_into().expect("4 bytes"));
    let (mut journals, past) = Journals::open(&dir, salt).map_err(anyhow::Error::msg)?;
    let mut source = Source::new(source);
    for record in past.records {
        source.load(record);
    }
    let mut mended = Vec::new();
    if !past.cursor_damage.is_empty() {
        source.distrust_past();
        mended.push(journals.mend_cursor(&source.live_records()));
    }
    if !past.gaps_damage.is_empty() {
        mended.push(journals.mend_gaps(&past.gaps));
    }
    let cursor_damage =
        past.cursor_damage.iter().map(|it| format!("{it}; what had left leaves again"));
    let gaps_damage =
        past.gaps_damage.iter().map(|it| format!("{it}; what it told of is not listed"));
    let unmended = mended.into_iter().filter_map(Result::err);
    let damage = cursor_damage.chain(gaps_damage).chain(unmended).collect();
    Ok(PipeSetup {
        id,
        definition,
        created_ms,
        source,
        gaps: past.gaps,
        journals: Box::new(journals),
        damage,
    })
}

/// Where a pipe keeps what it must not forget.
pub(crate) fn runtime_dir(state_dir: &Path, name: &PipeName) -> PathBuf {
    state_dir.join("runtime").join(name.escaped())
}

/// Form 1 of both records: form, UUID, number.
fn parse_form_1(payload: &[u8]) -> Option<(Uuid, u64)> {
    let [1, rest @ ..] = payload else { return None };
    let (id, number) = rest.split_first_chunk::<16>()?;
    Some((Uuid::from_bytes(*id), u64::from_be_bytes(number.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use tidegate_model::Time;
    use tidegate_source::Effect;
    use tidegate_source::FileIdentity;
    use tidegate_source::Known;
    use tidegate_source::Place;
    use tidegate_source::Record;
    use tidegate_source::RegionKey;
    use tidegate_source::Scan;
    use tidegate_source::SourceMarks;
    use tidegate_source::Space;
    use tidegate_source::TsFileName;

    use super::*;

    const DEFINITION: &str = "[connector]\n\"connector\" = \"iotdb-air-gap-connector\"\n\
                              \"connector.node-urls\" = \"h:1\"\n";

    fn set_up_at(dir: &Path) -> PipeSetup {
        let definition = PipeDefinition::parse("p.toml", "p.toml", DEFINITION.as_bytes());
        let definition = definition.expect("a definition");
        set_up(dir, 1, definition, SourceConfig::default()).expect("a pipe")
    }

    /// Records of a hundred files that have left.
    fn left() -> impl Iterator<Item = Record> {
        let region = RegionKey { database: "root.sg".into(), region: 1 };
        (1..=100).flat_map(move |inode| {
            let place = Place { region: region.clone(), partition: 0, space: Space::Sequence };
            let name = TsFileName { time_ms: 1, version: inode, inner: 0, cross: 0 };
            let identity = FileIdentity { inode, length_bytes: 1, mtime_ns: 1 };
            let known = Known { place, name, identity };
            [Record::Seen(known, None), Record::Covered(identity)]
        })
    }

    fn append(setup: &mut PipeSetup, records: impl Iterator<Item = Record>) {
        let cursor = &mut setup.journals.cursor;
        for record in records {
            let (kind, body) = record.encode();
            cursor.append(kind, &body).and_then(|()| cursor.sync()).expect("a record");
        }
    }

    fn n_again(setup: &PipeSetup) -> usize {
        let records = setup.source.live_records();
        records.iter().filter(|it| matches!(it, Record::Requeued(_))).count()
    }

    /// What is kept of a damaged journal.
    fn kept(dir: &Path, journal: &str) -> Vec<Vec<u8>> {
        let prefix = format!("{journal}.damaged-");
        let entries = fs::read_dir(dir.join("runtime/p")).expect("the state");
        let names = entries.map(|it| it.expect("an entry").file_name().into_string().expect("it"));
        let kept = names.filter(|name| name.starts_with(&prefix));
        kept.map(|it| fs::read(dir.join("runtime/p").join(it)).expect("a copy")).collect()
    }

    /// Spoils a byte in the middle of a journal.
    fn spoil(dir: &Path, journal: &str) {
        let path = dir.join("runtime").join("p").join(journal);
        let mut bytes = fs::read(&path).expect("a journal");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        fs::write(&path, bytes).expect("a damaged journal");
    }

    /// The damage was found anew at every start, and all that had ever left left once more.
    #[test]
    fn damage_in_the_ledger_has_what_had_left_leave_again_once_and_is_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        append(&mut set_up_at(dir.path()), left());
        spoil(dir.path(), "cursor");
        let spoilt = fs::read(dir.path().join("runtime/p/cursor")).expect("a journal");
        let setup = set_up_at(dir.path());
        let [told] = &setup.damage[..] else { panic!("{:?}", setup.damage) };
        assert!(told.contains("runtime/p: cursor: 1 records behind the first"), "{told}");
        assert!(n_again(&setup) >= 99, "{}", n_again(&setup));
        drop(setup);
        let mut setup = set_up_at(dir.path());
        assert_eq!(setup.damage, [""; 0], "it is told once");
        assert!(n_again(&setup) >= 99, "what has not left yet still must");
        append(&mut setup, left());
        drop(setup);
        let setup = set_up_at(dir.path());
        assert_eq!((setup.damage.len(), n_again(&setup)), (0, 0), "all of it has left again");
        assert_eq!(kept(dir.path(), "cursor"), [spoilt]);
    }

    /// It was put aside, and then what was begun anew was copied over it.
    #[test]
    fn a_journal_without_a_head_is_kept_as_it_was() {
        for journal in ["cursor", "gaps"] {
            let dir = tempfile::tempdir().expect("a directory");
            append(&mut set_up_at(dir.path()), left());
            let rubbish = vec![7; 5000];
            fs::write(dir.path().join("runtime/p").join(journal), &rubbish).expect("rubbish");
            let n_damage = [1, 0].map(|_| set_up_at(dir.path()).damage.len());
            assert_eq!(n_damage, [1, 0], "{journal}");
            assert_eq!(kept(dir.path(), journal), [rubbish], "{journal}");
        }
    }

    #[test]
    fn damage_among_the_gaps_is_told_once_and_has_nothing_leave_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut setup = set_up_at(dir.path());
        append(&mut setup, left());
        // A source that went backwards is a gap.
        setup.source.load(Record::Marks(SourceMarks { node: None, reboots: Some(5) }));
        left().for_each(|record| setup.source.load(record));
        let marks = SourceMarks { node: None, reboots: Some(4) };
        setup.source.handle_scan(Time::from_micros(0), &Scan { marks, ..Scan::default() });
        let mut effects = std::iter::from_fn(|| setup.source.poll_effect());
        let gap = effects.find_map(|effect| match effect {
            Effect::Gap(gap) => Some(DatedGap { recorded_ms: 7, gap }),
            _ => None,
        });
        let gap = gap.expect("a gap");
        setup.journals.mend_gaps(&vec![gap.clone(); 50]).expect("gaps");
        drop(setup);
        spoil(dir.path(), "gaps");
        for n_damage in [1, 0] {
            let setup = set_up_at(dir.path());
            assert_eq!((setup.damage.len(), n_again(&setup)), (n_damage, 0), "{:?}", setup.damage);
            assert_eq!(setup.gaps.len(), 49);
            assert!(setup.gaps.iter().all(|it| it.gap == gap.gap && it.recorded_ms == 7));
        }
    }

    #[test]
    fn a_definition_that_others_may_read_is_named_and_used() {
        let dir = tempfile::tempdir().expect("a directory");
        for (mode, n_exposed) in [(0o600, 0), (0o640, 1), (0o604, 1), (0o444, 1), (0o400, 0)] {
            let path = dir.path().join("p.toml");
            fs::write(&path, DEFINITION).expect("a definition");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
            let found = read_definitions(dir.path()).expect("definitions");
            assert_eq!(found.sound.len(), 1);
            assert_eq!(found.exposed.len(), n_exposed, "{mode:o}: {:?}", found.exposed);
            assert!(found.exposed.iter().all(|it| it.contains("p.toml")), "{:?}", found.exposed);
            fs::remove_file(path).expect("gone");
        }
    }

    #[test]
    fn more_definitions_than_allowed_stop_no_pipe_that_runs_whatever_its_name() {
        let dir = tempfile::tempdir().expect("a directory");
        for (n_surplus, n_faults) in [(0, 0), (1, 1), (3, 1)] {
            for number in 0..PIPES_MAX + n_surplus {
                let path = dir.path().join(format!("p{number:04}.toml"));
                fs::write(path, DEFINITION).expect("a definition");
            }
            let found = read_definitions(dir.path()).expect("definitions");
            assert_eq!(found.sound.len(), PIPES_MAX);
            assert_eq!(found.faults.len(), n_faults, "{:?}", found.faults);
            let surplus = (PIPES_MAX..PIPES_MAX + n_surplus).map(|number| format!("p{number:04}"));
            assert_eq!(found.faulty, surplus.collect(), "they go on if they run");
        }
    }
}
