//! A pipe that takes a part: points that overwrite those of a file which left before must not be
//! hidden behind it.

use std::time::Duration;

use anyhow::Result;
use anyhow::ensure;

use super::ours::expect_no_gaps;
use super::rig::CROSSING_TIME_MAX;
use super::rig::Rig;
use super::rig::Role;
use super::rig::Route;
use super::rig::Shown;
use super::rig::end_sender;
use super::rig::sealed_files;
use super::rig::stop_uncut;
use crate::harness::poll;

/// The device that the pipe takes.
const WANTED: &str = "root.cut.d1";

/// The target has a memtable that is older than the file that comes first: rows of tablets would go
/// into it, and the file would hide them.
pub(super) fn overwritten(rig: &mut Rig) -> Result<Shown> {
    rig.run_all(Role::Source, "sql CREATE DATABASE root.cut")?;
    // In a file with rows of the wanted device, which leaves as tablets.
    rig.run(Role::Source, "tablet root.cut.d2 false 1700000009000 10 0 5 basic")?;
    rig.run_all(Role::Target, "sql CREATE DATABASE root.cut")?;
    for role in [Role::Source, Role::Target] {
        rig.run_all(role, BEFORE)?;
    }
    let target = rig.server(Role::Target)?.air_gap;
    let source = rig.server(Role::Source)?.dirs();
    let (gateway, to) = rig.gateway(Route::FORWARD, target)?;
    let setup = rig.sender(&source, Route::FORWARD, to, &[("extractor.pattern", WANTED)])?;
    let mut sender = setup.start()?;
    rig.run_all(Role::Source, WHOLE)?;
    poll(Duration::from_secs(60), "the file to leave whole", || {
        sender.ensure_running()?;
        Ok((field(&setup.status()?, "sent_files") >= 2).then_some(()))
    })
    .map_err(|error| sender.with_log(&error))?;
    rig.run_all(Role::Source, IN_PART)?;
    // Earlier cases may have left files of which nothing is wanted.
    let n_sealed = sealed_files(&source)?.len() as u64;
    poll(CROSSING_TIME_MAX, &format!("{n_sealed} files to be dealt with"), || {
        sender.ensure_running()?;
        let status = setup.status()?;
        let n_done = field(&status, "sent_files") + field(&status, "outside_files");
        Ok((n_done >= n_sealed).then_some(()))
    })
    .map_err(|error| sender.with_log(&error))?;
    let status = setup.status()?;
    ensure!(
        field(&status, "excerpt_files") == 1 && field(&status, "tablet_files") == 1,
        "expected the overwritten points as a file, but the sender says {status:#}"
    );
    let n_points = rig.both_must_have(&[WANTED])?;
    let unwanted = rig.points(Role::Target, "root.cut.d2")?.text()?;
    ensure!(unwanted.is_empty(), "expected nothing of root.cut.d2, but found {unwanted}");
    expect_no_gaps(&setup)?;
    end_sender(sender)?;
    stop_uncut(gateway)?;
    Ok(Shown { compared: "root.cut.d1 = live source".to_owned(), n_points })
}

/// Sum of a field over the regions of the pipe.
fn field(status: &serde_json::Value, key: &str) -> u64 {
    let regions = status["pipes"][0]["regions"].as_array();
    regions.into_iter().flatten().filter_map(|region| region[key].as_u64()).sum()
}

/// The same rows at both: one file, and a memtable of rows that are older than those in it.
const BEFORE: &str = "
    tablet root.cut.d1 false 1700000009000 10 0 1 basic
    sql FLUSH
    tablet root.cut.d1 false 1700000008000 10 0 2 basic
";
/// A file of the wanted device alone.
const WHOLE: &str = "
    tablet root.cut.d1 false 1700000000000 200 0 3 basic
    sql FLUSH
";
/// A file of which a part is wanted, and which wins.
const IN_PART: &str = "
    tablet root.cut.d1,root.cut.d2 false 1700000000050 100 0 4 basic
    sql FLUSH
";
