//! What stands in the files beside a TsFile: `.resource`, `.mods`, `.mods2`.

use std::fmt::Write;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use serde_json::Value;
use serde_json::json;
use tidegate_tsfile::Deletion;
use tidegate_tsfile::Ending;
use tidegate_tsfile::ModEntry;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::ModsReference;
use tidegate_tsfile::Predicate;
use tidegate_tsfile::Progress;
use tidegate_tsfile::ProgressIndex;
use tidegate_tsfile::RESOURCE_BYTES_MAX;
use tidegate_tsfile::RESOURCE_SUFFIX;
use tidegate_tsfile::Resource;
use tidegate_tsfile::Segments;
use tidegate_tsfile::SimpleProgress;
use tidegate_tsfile::Target;
use tidegate_tsfile::TimeIndex;

use super::shown;
use crate::files::open_regular;
use crate::text::plain;

/// Larger mods files are cut here: IoTDB compacts them long before.
const MODS_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What was found: all that goes to standard output, and what is wrong with the file.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) text: String,
    pub(super) damage: Option<String>,
}

/// Reads the file and says what is in it; `None` if its name is that of no companion.
pub(super) fn inspect(path: &Path, as_json: bool) -> Result<Option<Report>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let report = if name.ends_with(RESOURCE_SUFFIX) {
        let bytes = read(path, RESOURCE_BYTES_MAX)?;
        let resource = Resource::parse(&bytes).with_context(|| shown(path))?;
        let damage = resource.unread.map(|error| error.to_string());
        let text =
            if as_json { pretty(&resource_json(&resource))? } else { resource_text(&resource) };
        Report { text, damage }
    } else if let Some(kind) = mods_kind(&name) {
        let bytes = read(path, MODS_BYTES_MAX)?;
        let mut walk = kind.entries(&bytes, 0);
        let entries: Vec<ModEntry> = walk.by_ref().collect();
        let whole_bytes = walk.whole_bytes();
        let ending = walk.into_ending();
        let damage = match &ending {
            Ending::Damaged(error) => Some(error.to_string()),
            Ending::Whole | Ending::Torn { .. } => None,
        };
        let text = if as_json {
            pretty(&mods_json(kind, &entries, whole_bytes, &ending))?
        } else {
            mods_text(&entries, whole_bytes, &ending)
        };
        Report { text, damage }
    } else {
        return Ok(None);
    };
    Ok(Some(report))
}

/// Deletions in the lists beside a TsFile, and what is wrong with a list. An entry that was only begun
/// is none.
pub(super) fn deletions_beside(path: &Path) -> Result<(Vec<ModEntry>, Option<String>)> {
    let (mut found, mut damage) = (Vec::new(), None);
    for kind in [ModsKind::Text, ModsKind::Binary] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(kind.suffix());
        let beside = Path::new(&beside);
        let is_there = beside.try_exists();
        if !is_there.with_context(|| format!("looking for {}", shown(beside)))? {
            continue;
        }
        let bytes = read(beside, MODS_BYTES_MAX)?;
        let mut walk = kind.entries(&bytes, 0);
        found.extend(walk.by_ref());
        if let Ending::Damaged(error) = walk.into_ending() {
            damage = Some(format!("{}: {error}", shown(beside)));
        }
    }
    Ok((found, damage))
}

fn mods_kind(name: &str) -> Option<ModsKind> {
    [ModsKind::Text, ModsKind::Binary].into_iter().find(|kind| name.ends_with(kind.suffix()))
}

fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let file = open_regular(path).with_context(|| format!("opening {}", shown(path)))?;
    let mut bytes = Vec::new();
    let reading = file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes);
    reading.with_context(|| format!("reading {}", shown(path)))?;
    if bytes.len() as u64 > bytes_max {
        bail!("{}: expected at most {bytes_max} bytes, found more", shown(path));
    }
    Ok(bytes)
}

fn pretty(value: &Value) -> Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(value)?))
}

fn resource_text(resource: &Resource) -> String {
    let mut lines = Lines(String::new());
    let form = match resource.time_index {
        TimeIndex::Paths => "by path, as IoTDB 1.x writes them",
        TimeIndex::Segments => "by segments, as IoTDB 2.x writes them",
    };
    lines.fact("devices", &format!("{} {form}", resource.devices.len()));
    let range = resource.range().map_or_else(|| "none".to_owned(), |range| range.to_string());
    lines.fact("time", &range);
    match resource.plan_indexes {
        Some(plans) if plans.min <= plans.max => {
            lines.fact("plans", &format!("{} to {}", plans.min, plans.max));
        }
        Some(_) => lines.fact("plans", "none counted"),
        None => lines.fact("plans", "not readable"),
    }
    match &resource.mods {
        None => (),
        Some(ModsReference::Beside(name)) => lines.fact("mods", &plain(name)),
        Some(ModsReference::Shared { path, offset }) => {
            lines.fact("mods", &format!("shared {} from byte {offset}", plain(path)));
        }
    }
    let progress = match &resource.progress {
        Progress::Known(index) => plain(&index.to_string()),
        Progress::Absent => "none".to_owned(),
        Progress::Unreadable(error) => format!("not readable: {error}"),
    };
    lines.fact("progress", &progress);
    if let Some(marks) = resource.marks {
        let made_by = match (marks.by_consensus, marks.by_pipe) {
            (false, false) => "this IoTDB",
            (true, false) => "IoTConsensusV2",
            (false, true) => "a pipe",
            (true, true) => "IoTConsensusV2 and a pipe",
        };
        lines.fact("made by", made_by);
    }
    if resource.is_remote {
        lines.fact("stored", "remotely");
    }
    lines.0.push('\n');
    lines.row("first time", "last time", "device");
    for extent in &resource.devices {
        // The end is often missing where the source crashed.
        let end = match extent.range.end {
            i64::MIN => "unknown".to_owned(),
            end => end.to_string(),
        };
        lines.row(&extent.range.start.to_string(), &end, &plain(&extent.device.path));
    }
    lines.0
}

fn mods_text(entries: &[ModEntry], whole_bytes: usize, ending: &Ending) -> String {
    let mut lines = Lines(String::new());
    for entry in entries {
        let mut text = plain(&entry.deletion.to_string());
        match entry.file_offset {
            None => (),
            Some(i64::MAX) => text.push_str(", in the whole file"),
            Some(offset) => text.push_str(&format!(", in chunks before byte {offset}")),
        }
        lines.line(&format!("{:>8}  {text}", entry.position));
    }
    lines.line(&format!("{} whole entries in {whole_bytes} bytes", entries.len()));
    if let Ending::Torn { left_bytes } = ending {
        lines.line(&format!("{left_bytes} more bytes, of an entry that is not all there"));
    }
    lines.0
}

/// Text under construction.
struct Lines(String);

impl Lines {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn fact(&mut self, name: &str, value: &str) {
        self.line(&format!("{name:<10}{value}"));
    }

    fn row(&mut self, first: &str, last: &str, device: &str) {
        let written = writeln!(self.0, "{first:>20} {last:>20}  {device}");
        debug_assert!(written.is_ok(), "a string takes everything");
    }
}

fn resource_json(resource: &Resource) -> Value {
    let devices: Vec<Value> = resource
        .devices
        .iter()
        .map(|extent| {
            json!({
                "path": extent.device.path,
                "segments": extent.device.segments.as_ref().map(|it| &it.0),
                "start": extent.range.start,
                "end": extent.range.end,
            })
        })
        .collect();
    let mods = resource.mods.as_ref().map(|mods| match mods {
        ModsReference::Beside(name) => json!({"name": name}),
        ModsReference::Shared { path, offset } => json!({"path": path, "offset": offset}),
    });
    let progress = match &resource.progress {
        Progress::Known(index) => progress_json(index),
        Progress::Absent => Value::Null,
        Progress::Unreadable(error) => json!({"unreadable": error.to_string()}),
    };
    json!({
        "kind": "resource",
        "time_index": match resource.time_index {
            TimeIndex::Paths => "paths",
            TimeIndex::Segments => "segments",
        },
        "range": resource.range().map(|range| json!({"start": range.start, "end": range.end})),
        "devices": devices,
        "plan_indexes": resource.plan_indexes.map(|it| json!({"min": it.min, "max": it.max})),
        "mods": mods,
        "progress": progress,
        "marks": resource.marks.map(|it| {
            json!({"by_consensus": it.by_consensus, "by_pipe": it.by_pipe})
        }),
        "is_remote": resource.is_remote,
        "damage": resource.unread.map(|error| error.to_string()),
    })
}

fn progress_json(index: &ProgressIndex) -> Value {
    let flush = |it: SimpleProgress| json!({"reboots": it.reboots, "flush_order": it.flush_order});
    let peers: Vec<Value> = index
        .iot_peers()
        .map(|(peer, search_index)| json!({"peer": peer, "search_index": search_index}))
        .collect();
    let nodes: Vec<Value> = index
        .recover_nodes()
        .map(|(node, progress)| json!({"data_node": node, "progress": flush(progress)}))
        .collect();
    json!({
        "text": index.to_string(),
        "is_evidence": index.is_evidence(),
        "iot": peers,
        "simple": index.simple_part().map(flush),
        "recover": nodes,
    })
}

fn mods_json(kind: ModsKind, entries: &[ModEntry], whole_bytes: usize, ending: &Ending) -> Value {
    let entries: Vec<Value> = entries
        .iter()
        .map(|entry| {
            let mut value = deletion_json(&entry.deletion);
            value["position"] = json!(entry.position);
            value["file_offset"] = json!(entry.file_offset);
            value
        })
        .collect();
    let (torn_bytes, damage) = match ending {
        Ending::Whole => (0, None),
        Ending::Torn { left_bytes } => (*left_bytes, None),
        Ending::Damaged(error) => (0, Some(error.to_string())),
    };
    json!({
        "kind": match kind {
            ModsKind::Text => "mods",
            ModsKind::Binary => "mods2",
        },
        "entries": entries,
        "whole_bytes": whole_bytes,
        "torn_bytes": torn_bytes,
        "damage": damage,
    })
}

fn deletion_json(deletion: &Deletion) -> Value {
    let mut value = match &deletion.target {
        Target::Tree { pattern } => json!({"pattern": pattern}),
        Target::Table { table, predicate, columns } => {
            json!({"table": table, "predicate": predicate_json(predicate), "columns": columns})
        }
    };
    value["start"] = json!(deletion.start);
    value["end"] = json!(deletion.end);
    value
}

/// Only so deep as the parser went.
fn predicate_json(predicate: &Predicate) -> Value {
    let segments = |it: &Segments| json!(it.0);
    match predicate {
        Predicate::Any => json!("any"),
        Predicate::Device(device) => json!({"device": segments(device)}),
        Predicate::Segment { value, index } => json!({"segment": index, "is": value}),
        Predicate::And(parts) => {
            json!({"and": parts.iter().map(predicate_json).collect::<Vec<_>>()})
        }
        Predicate::AnyOf(devices) => {
            json!({"devices": devices.iter().map(segments).collect::<Vec<_>>()})
        }
        Predicate::Present { index } => json!({"segment": index, "is_present": true}),
        // The text of a kind that is younger than this command.
        other => json!(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    fn fixture(below: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(below)
    }

    /// Inspects `bytes` as a file of this name.
    fn of_bytes(name: &str, bytes: &[u8], as_json: bool) -> Result<Report> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join(name);
        fs::write(&path, bytes)?;
        super::inspect(&path, as_json).map(Option::unwrap)
    }

    fn inspect(path: &Path, as_json: bool) -> Result<Report> {
        super::inspect(path, as_json).map(Option::unwrap)
    }

    const MIX: &str = "iotdb-1.2.2/data/datanode/data/sequence/root.mix/5/0";

    #[test]
    fn a_resource_is_printed_for_a_person_and_for_a_machine() {
        let path = fixture(
            "iotdb-2.0.1-beta/data/datanode/data/sequence/root.office/2/2812/1795382333597-1-0-0.tsfile.resource",
        );
        let report = inspect(&path, false).unwrap();
        assert_eq!(report.damage, None);
        assert_eq!(
            report.text,
            "devices   1 by segments, as IoTDB 2.x writes them\n\
             time      1700700000000 to 1700700000099\n\
             plans     none counted\n\
             progress  simple 0/21\n\
             \n\
             \u{20}         first time            last time  device\n\
             \u{20}      1700700000000        1700700000099  root.office.d1\n"
        );
        let value: Value = serde_json::from_str(&inspect(&path, true).unwrap().text).unwrap();
        assert_eq!(value["devices"][0]["segments"], json!(["root.office", "d1"]));
        assert_eq!(value["progress"]["simple"], json!({"reboots": 0, "flush_order": 21}));
        assert_eq!((&value["damage"], &value["mods"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn mods_of_both_kinds_are_printed_for_a_person_and_for_a_machine() {
        let text = fixture(MIX).join("1795347690951-1-0-0.tsfile.mods");
        let report = inspect(&text, false).unwrap();
        assert_eq!(
            report.text,
            "       0  tree root.mix.d1.s_int32 from 50 to 60, in chunks before byte 5548\n\
             \u{20}     40  tree root.mix.a1.s_text from -9223372036854775808 to 10, in chunks before byte 5548\n\
             2 whole entries in 97 bytes\n"
        );
        let entry = b"\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x05\x04t1\x02\x01\x02\x02\x02x";
        let report = of_bytes("a.mods2", &[&entry[..], b"\x01\0"].concat(), false).unwrap();
        assert_eq!(report.damage, None);
        assert_eq!(
            report.text,
            "       0  table t1, columns x, segment 1 is null from 1 to 5\n\
             1 whole entries in 26 bytes\n\
             2 more bytes, of an entry that is not all there\n"
        );
        let report = of_bytes("a.mods2", &[&entry[..], b"\x01\0"].concat(), true).unwrap();
        let value: Value = serde_json::from_str(&report.text).unwrap();
        assert_eq!(
            value["entries"][0],
            json!({
                "table": "t1", "predicate": {"segment": 1, "is": null}, "columns": ["x"],
                "start": 1, "end": 5, "position": 0, "file_offset": null,
            })
        );
        assert_eq!((&value["torn_bytes"], &value["damage"]), (&json!(2), &Value::Null));
    }

    #[test]
    fn damage_is_named_behind_all_that_could_be_read() {
        let line = "DELETION,root.a,1,2,3\n";
        let report = of_bytes("a.mods", format!("{line}what\n{line}").as_bytes(), false).unwrap();
        assert!(report.text.ends_with("1 whole entries in 22 bytes\n"), "{}", report.text);
        let damage = report.damage.unwrap();
        assert!(damage.ends_with("at byte 22, but found \"what\""), "{damage}");

        let mut bytes = fs::read(fixture(MIX).join("1795347690951-1-0-0.tsfile.resource")).unwrap();
        bytes.truncate(bytes.len() - 1);
        let report = of_bytes("a.resource", &bytes, false).unwrap();
        assert!(report.text.contains("progress  not readable: number of a flush at byte"));
        assert!(report.text.contains("root.mix.d1\n"), "{}", report.text);
        assert!(report.damage.is_some());
    }

    #[test]
    fn files_that_cannot_be_read_are_refused_with_what_was_expected() {
        let error =
            |name: &str, bytes: &[u8]| format!("{:#}", of_bytes(name, bytes, false).unwrap_err());
        assert!(error("a.resource", b"\x07").contains("expected version 1 at byte 0, but found 7"));
        let error = inspect(Path::new("/nonexistent/a.mods"), false).unwrap_err();
        assert!(format!("{error:#}").starts_with("opening /nonexistent/a.mods: "));
    }

    #[test]
    fn what_is_no_regular_file_is_refused_and_never_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mods");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        let error = format!("{:#}", inspect(&path, false).unwrap_err());
        assert!(error.contains("expected a regular file"), "{error}");
    }

    #[test]
    fn names_cannot_steer_the_terminal() {
        let report = of_bytes("a.mods", b"DELETION,root.\x1b[2Jd,1,2,3\n", false).unwrap();
        assert!(report.text.contains("root.\\u{1b}[2Jd"), "{}", report.text);
    }
}
