//! The subcommands that are no daemon.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use serde_json::Value;
use tidegate_config::PipeName;
use tidegate_config::SENDER_TABLE;
use tidegate_config::SenderConfig;
use tidegate_daemon::control;
use tidegate_daemon::text;
use tidegate_daemon::text::plain;
use tidegate_daemon::text::rfc3339;
use tidegate_durable::OpenError;

use crate::edge::wall_clock_ms;
use crate::ledger;
use crate::pipe;
use crate::pipe::GAPS_LISTED_MAX;
use crate::pipes;
use crate::settings;
use crate::status;

/// A daemon answers from memory; longer than this means that it hangs.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// `tidegate-sender status`.
pub(crate) fn status(conf: &Path, json: bool) -> Result<()> {
    let config = settings::load(conf)?.config;
    let report = ask(&config, "status")?;
    print(&if json { pretty(&report)? } else { status::render(&report) })
}

/// `tidegate-sender gaps`: reads the journals; asks the daemon where its state may not be read.
pub(crate) fn gaps(conf: &Path, json: bool, wide: bool) -> Result<()> {
    let config = settings::load(conf)?.config;
    let Listed { gaps, warnings } = match gaps_on_disk(&config) {
        Err(reading) if is_of(&reading, std::io::ErrorKind::PermissionDenied) => {
            gaps_of_daemon(&config).with_context(|| format!("{reading:#}; instead"))?
        }
        listed => listed?,
    };
    for warning in &warnings {
        eprintln!("warning: {warning}");
    }
    if json {
        print(&pretty(&Value::Array(gaps))?)?;
    } else {
        let columns = (!wide).then(text::columns);
        match gaps.is_empty() && warnings.is_empty() {
            true => print("no gaps: everything that left arrived, or is still waiting\n")?,
            false => print(&render_gaps(&gaps, columns))?,
        }
    }
    match warnings.is_empty() {
        true => Ok(()),
        false => bail!("there may be more gaps than are listed"),
    }
}

/// The gaps for people.
///
/// # Arguments
///
/// - `columns`: no line of the table is longer; `None` is one line for each gap, however long
fn render_gaps(gaps: &[Value], columns: Option<u16>) -> String {
    let mut table = comfy_table::Table::new();
    match columns {
        None => table.set_header([
            "pipe",
            "recorded",
            "region",
            "partition",
            "file",
            "concerned",
            "reason",
        ]),
        Some(_) => table.set_header(["pipe", "where", "what", "reason, recorded"]),
    };
    let mut explanations = BTreeMap::new();
    for gap in gaps {
        let word = |key: &str| plain(gap[key].as_str().unwrap_or("-"));
        let recorded = rfc3339(gap["recorded_ms"].as_i64().unwrap_or_default());
        let partition = format!("{} {}", gap["partition"], word("space"));
        let file = match gap["files"].as_u64() {
            Some(n_files) if n_files > 1 => format!("{} and {} more", word("file"), n_files - 1),
            _ => word("file"),
        };
        let (region, concerned, reason) = (word("region"), concerned(gap), word("reason"));
        match columns {
            None => {
                table.add_row([word("pipe"), recorded, region, partition, file, concerned, reason])
            }
            Some(_) => table.add_row([
                word("pipe"),
                format!("{region}\n{partition}"),
                format!("{file}\n{concerned}"),
                format!("{reason}\n{recorded}"),
            ]),
        };
        explanations.insert(word("reason"), word("explanation"));
    }
    if let Some(columns) = columns {
        table.set_width(columns).set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
        // times and reasons that are cut in two are hard to read, and to look for
        if let Some(column) = table.column_mut(3) {
            column.set_constraint(comfy_table::ColumnConstraint::ContentWidth);
        }
    }
    let explanations: String =
        explanations.iter().map(|(reason, told)| format!("{reason}: {told}\n")).collect();
    let gaps = if gaps.len() == 1 { "1 gap".to_owned() } else { format!("{} gaps", gaps.len()) };
    format!("{table}\n{gaps}\n{explanations}")
}

/// Times and bytes that a gap names, if any.
fn concerned(gap: &Value) -> String {
    let times = gap["from_time"].as_i64().zip(gap["to_time"].as_i64());
    let bytes = (gap["from_byte"].as_u64(), gap["to_byte"].as_u64());
    let times = times.map(|(from, to)| format!("times {from} to {to}"));
    let bytes = match bytes {
        (Some(from), Some(to)) if to > 0 => Some(format!("bytes {from} to {to}")),
        _ => None,
    };
    let points = gap["points"].as_u64().map(|n_points| format!("{n_points} points"));
    let [series, cause] = ["series", "cause"].map(|key| gap[key].as_str().map(plain));
    let all = series.into_iter().chain(points).chain(times).chain(bytes).chain(cause);
    let all: Vec<String> = all.collect();
    if all.is_empty() { "-".to_owned() } else { all.join(", ") }
}

/// `tidegate-sender check-conf`: all that `run` refuses before it opens its state or calls anybody, by
/// the same functions.
pub(crate) fn check_conf(conf: &Path) -> Result<()> {
    let loaded = settings::load(conf)?;
    let facts = settings::survey(&loaded.config)?;
    let definitions = pipes::read_definitions(&loaded.config.pipe_dir())?;
    let mut faults = definitions.faults;
    let mut notices: Vec<String> = loaded.notices.iter().map(ToString::to_string).collect();
    notices.extend(facts.notices.iter().cloned());
    notices.extend(definitions.exposed);
    for (name, definition) in &definitions.sound {
        notices.extend(definition.notes.iter().map(|note| format!("pipe {name}: {note}")));
        if let Err(reason) = pipe::meant(definition, &facts, wall_clock_ms()) {
            faults.push(format!("pipe {name} cannot run: {reason}"));
        }
    }
    for notice in &notices {
        print(&format!("{notice}\n"))?;
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    print(&format!("{}: no fault, {} pipes\n", conf.display(), definitions.sound.len()))
}

/// `tidegate-sender print-default-conf`.
pub(crate) fn print_default_conf() -> Result<()> {
    print(&SENDER_TABLE.render_conf())
}

fn ask(config: &SenderConfig, command: &str) -> Result<Value> {
    let request = control::Request::new(command);
    control::ask(&config.control_socket, &request, ANSWER_TIME_MAX).map_err(anyhow::Error::from)
}

/// Gaps as they are listed.
struct Listed {
    gaps: Vec<Value>,
    /// Why there may be more.
    warnings: Vec<String>,
}

fn is_of(error: &anyhow::Error, kind: std::io::ErrorKind) -> bool {
    error.chain().any(|cause| match cause.downcast_ref::<OpenError>() {
        Some(OpenError::Io(failure)) => failure.cause().kind() == kind,
        _ => cause.downcast_ref::<std::io::Error>().is_some_and(|it| it.kind() == kind),
    })
}

fn gaps_of_daemon(config: &SenderConfig) -> Result<Listed> {
    let answer = ask(config, "gaps")?;
    let gaps = answer.as_array().cloned().unwrap_or_default();
    let mut of_pipes: BTreeMap<&str, usize> = BTreeMap::new();
    for gap in &gaps {
        *of_pipes.entry(gap["pipe"].as_str().unwrap_or_default()).or_default() += 1;
    }
    let full = of_pipes.iter().filter(|(_, n_gaps)| **n_gaps >= GAPS_LISTED_MAX);
    let warnings = full
        .map(|(pipe, _)| {
            format!("pipe {pipe}: the daemon lists the last {GAPS_LISTED_MAX}; its state has all")
        })
        .collect();
    Ok(Listed { gaps, warnings })
}

/// Only looks: whoever asks may not be the daemon's user, and must leave nothing behind of its own.
fn gaps_on_disk(config: &SenderConfig) -> Result<Listed> {
    let runtime = config.state_dir.join("runtime");
    let mut listed = Listed { gaps: Vec::new(), warnings: Vec::new() };
    let entries = match std::fs::read_dir(&runtime) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(listed),
        Err(error) => return Err(error).with_context(|| format!("reading {}", runtime.display())),
    };
    for entry in entries {
        let dir = entry.with_context(|| format!("reading {}", runtime.display()))?.path();
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = PipeName::from_file_name(&format!("{name}.toml"))
            .map_or(name, |name| name.as_str().to_owned());
        let read = ledger::read_gaps(&dir).with_context(|| format!("reading {}", dir.display()));
        let (gaps, damage) = match read {
            Ok(read) => read,
            Err(error) if is_of(&error, std::io::ErrorKind::PermissionDenied) => return Err(error),
            // Another pipe's are listed all the same; one that is just removed has none.
            Err(error) if is_of(&error, std::io::ErrorKind::NotFound) => continue,
            Err(error) => {
                listed.warnings.push(format!("{error:#}"));
                continue;
            }
        };
        listed.warnings.extend(damage);
        for gap in &gaps {
            listed.gaps.push(serde_json::to_value(status::gap_report(&name, gap))?);
        }
    }
    Ok(listed)
}

fn pretty(value: &Value) -> Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Prints; a reader that has seen enough is no error.
fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("writing to standard output"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A line of them had 200 columns and more.
    #[test]
    fn gaps_fit_the_columns_that_there_are_and_nothing_of_them_is_lost() {
        let gap = json!({
            "pipe": "to-the-other-side", "recorded_ms": 1_764_264_463_001i64,
            "reason": "deletions-unseen", "explanation": "rows may have been deleted",
            "region": "root.plant.with.a.long.name[17]", "partition": 2810, "space": "unsequence",
            "file": "1700000000000-1234-0-0.tsfile", "files": 4, "from_byte": 0, "to_byte": 0,
            "from_time": 1_700_000_000_053i64, "to_time": 1_700_000_008_094i64,
        });
        for columns in [80, 100] {
            let shown = render_gaps(std::slice::from_ref(&gap), Some(columns));
            let (table, rest) = shown.split_once("1 gap\n").expect("a count");
            let longest = table.lines().map(|line| line.chars().count()).max();
            assert!(longest <= Some(columns.into()), "{table}");
            for whole in [" 2025-11-27T17:27:43.001Z ", " deletions-unseen ", "1234"] {
                assert!(table.contains(whole), "{whole} in {table}");
            }
            for part in ["2810", "and 3", "17]", "1700000", "08094"] {
                assert!(table.contains(part), "{part} in {table}");
            }
            assert_eq!(rest, "deletions-unseen: rows may have been deleted\n");
        }
        let wide = render_gaps(std::slice::from_ref(&gap), None);
        let words = ["to-the-other-side", "name[17]", "tsfile and 3 more", "to 1700000008094"];
        assert!(wide.lines().any(|line| words.iter().all(|it| line.contains(it))), "{wide}");
    }
}
