//! The command `inspect` of both daemons: prints what stands in a file of IoTDB. It changes nothing
//! and asks no daemon.
//!
//! All that can be read of a damaged file is printed; the damage comes last, and is an error, so
//! that scripts see it.

mod companions;
mod points;
mod tsfile;

use std::io;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;

use crate::text::plain;

/// What is to be printed.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs)] // the options of the command
pub struct Inspect {
    /// JSON instead of text.
    pub as_json: bool,
    /// Of a TsFile: every page, too.
    pub with_pages: bool,
    /// Of a TsFile: its points as csv, and nothing else.
    pub as_points: bool,
    /// Also those points that the deletions beside the file take.
    pub with_deleted: bool,
}

/// Prints what is in the file at `path` to `out`; returns what is wrong with it.
///
/// # Errors
/// The file cannot be read at all, is of no known kind, or `out` fails.
pub fn inspect(path: &Path, what: Inspect, out: &mut dyn Write) -> Result<Option<String>> {
    let named = |damage: String| format!("{}: {damage}", shown(path));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.ends_with(".tsfile") {
        let damage = tsfile::inspect(path, what, out)?;
        return Ok(damage.map(named));
    }
    if what.as_points || what.with_pages {
        bail!(
            "{}: expected a name that ends in .tsfile, since only TsFiles have points",
            shown(path)
        );
    }
    let Some(report) = companions::inspect(path, what.as_json)? else {
        bail!(
            "{}: expected a name that ends in .tsfile, .resource, .mods or .mods2; nothing else \
             can be inspected",
            shown(path)
        );
    };
    out.write_all(report.text.as_bytes()).context(WRITING)?;
    Ok(report.damage.map(named))
}

/// Runs the command on standard output; whoever closes it early has seen enough.
///
/// # Errors
/// As [`inspect`]; also if something is wrong with the file.
pub fn run(path: &Path, what: Inspect) -> Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let damage = inspect(path, what, &mut out).and_then(|damage| {
        out.flush().context(WRITING)?;
        Ok(damage)
    });
    match damage {
        Ok(None) => Ok(()),
        Ok(Some(damage)) => bail!("{damage}"),
        Err(error) if is_closed(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_closed(error: &anyhow::Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    cause.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

const WRITING: &str = "writing to standard output";

fn shown(path: &Path) -> String {
    plain(&path.display().to_string())
}
