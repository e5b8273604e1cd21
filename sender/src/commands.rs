//! The subcommands that are no daemon.

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

use crate::inspect;
use crate::ledger;
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

/// `tidegate-sender gaps`: asks the daemon, or reads its journals when it does not run.
pub(crate) fn gaps(conf: &Path, json: bool) -> Result<()> {
    let config = settings::load(conf)?.config;
    let gaps = match ask(&config, "gaps") {
        Ok(gaps) => gaps,
        Err(asking) => gaps_on_disk(&config).with_context(|| format!("{asking:#}; instead"))?,
    };
    if json {
        return print(&pretty(&gaps)?);
    }
    let gaps = gaps.as_array().cloned().unwrap_or_default();
    if gaps.is_empty() {
        return print("no gaps: everything that left arrived, or is still waiting\n");
    }
    let mut table = comfy_table::Table::new();
    table.set_header(["pipe", "region", "partition", "file", "bytes", "reason"]);
    for gap in &gaps {
        let word = |key: &str| gap[key].as_str().unwrap_or("-").to_owned();
        table.add_row([
            word("pipe"),
            word("region"),
            gap["partition"].to_string(),
            word("file"),
            format!("{}..{}", gap["from_byte"], gap["to_byte"]),
            format!("{}: {}", word("reason"), word("explanation")),
        ]);
    }
    print(&format!("{table}\n{} gaps\n", gaps.len()))
}

/// `tidegate-sender inspect`.
pub(crate) fn inspect(file: &Path, json: bool) -> Result<()> {
    let report = inspect::inspect(file, json)?;
    print(&report.text)?;
    match report.damage {
        None => Ok(()),
        Some(damage) => bail!("{damage}"),
    }
}

/// `tidegate-sender check-conf`.
pub(crate) fn check_conf(conf: &Path) -> Result<()> {
    let loaded = settings::load(conf)?;
    for notice in &loaded.notices {
        print(&format!("{notice}\n"))?;
    }
    let facts = settings::survey(&loaded.config)?;
    let definitions = pipes::read_definitions(&loaded.config.pipe_dir())?;
    for exposed in &definitions.exposed {
        print(&format!("{exposed}\n"))?;
    }
    if !definitions.faults.is_empty() {
        bail!("{}", definitions.faults.join("\n"));
    }
    for (name, definition) in &definitions.sound {
        if definition.connector.dialect.is_none() && facts.dialect.is_none() {
            bail!(
                "pipe {name}: connector.tidegate.dialect is needed: the source's version is not known"
            );
        }
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

/// Only looks: whoever asks may not be the daemon's user, and must leave nothing behind of its own.
fn gaps_on_disk(config: &SenderConfig) -> Result<Value> {
    let runtime = config.state_dir.join("runtime");
    let mut reports = Vec::new();
    let entries = match std::fs::read_dir(&runtime) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Value::Array(Vec::new()));
        }
        Err(error) => return Err(error).with_context(|| format!("reading {}", runtime.display())),
    };
    for entry in entries {
        let dir = entry.with_context(|| format!("reading {}", runtime.display()))?.path();
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = PipeName::from_file_name(&format!("{name}.toml"))
            .map_or(name, |name| name.as_str().to_owned());
        let gaps = ledger::read_gaps(&dir).map_err(anyhow::Error::msg)?;
        reports.extend(gaps.iter().map(|gap| status::gap_report(&name, gap)));
    }
    Ok(serde_json::to_value(reports)?)
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
