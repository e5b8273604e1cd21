//! IoTDB's own air-gap sink towards our receiver; what arrives is loaded back by `LOAD`.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use sha2::Digest;
use sha2::Sha256;

use super::ours;
use super::rig::CROSSING_TIME_MAX;
use super::rig::Rig;
use super::rig::Role;
use super::rig::Route;
use super::rig::Shown;
use super::rig::sealed_files;
use super::rig::stop_uncut;
use crate::arrival;
use crate::arrival::Listed;
use crate::harness::Daemon;
use crate::harness::ReceiverSetup;
use crate::harness::SourceDirs;
use crate::harness::poll;

/// Each is one region.
const DATABASES: [&str; 4] = ["root.eq.a", "root.eq.b", "root.eq.c", "root.eq.d"];
/// Rounds of one file in each region; more follow until two of them have the same name.
const ROUNDS_MIN: u32 = 6;
const ROUNDS_MAX: u32 = 60;
const START_MS: u64 = 1_700_000_000_000;

/// Through a forward gateway.
pub(super) fn forward(rig: &mut Rig) -> Result<Shown> {
    let (source, receiver) = prepare(rig)?;
    let mut daemon = receiver.start()?;
    let (gateway, to) = rig.gateway(Route::FORWARD.unlimited(), receiver.address())?;
    let pipe = Pipe::of_tree(rig, "forward", to, Route::FORWARD)?;
    wait_all_arrived(&receiver, &mut daemon, &source)?;
    pipe.drop(rig)?;
    daemon.terminate()?;
    stop_uncut(gateway)?;
    load_back(rig, &receiver)
}

/// Through a reverse gateway, every frame wrapped in E language.
pub(super) fn reverse(rig: &mut Rig) -> Result<Shown> {
    let (source, receiver) = prepare(rig)?;
    let mut daemon = receiver.start()?;
    let (gateway, to) = rig.gateway(Route::REVERSE.unlimited(), receiver.address())?;
    let pipe = Pipe::of_tree(rig, "reverse", to, Route::REVERSE)?;
    wait_all_arrived(&receiver, &mut daemon, &source)?;
    pipe.drop(rig)?;
    daemon.terminate()?;
    stop_uncut(gateway)?;
    load_back(rig, &receiver)
}

/// A database of the table model, through a forward gateway.
pub(super) fn table(rig: &mut Rig) -> Result<Shown> {
    ours::write_table(rig, Role::Source)?;
    rig.run_all(Role::Target, "tsql DROP DATABASE IF EXISTS works\n tsql CREATE DATABASE works")?;
    let source = rig.server(Role::Source)?.dirs();
    let files = fingerprints(&source, |path| path.contains("/works/"))?;
    let receiver = ReceiverSetup::new(&rig.binaries, &rig.dir.join("receiver"), &[])?;
    let mut daemon = receiver.start()?;
    let (gateway, to) = rig.gateway(Route::FORWARD.unlimited(), receiver.address())?;
    // Limited by source.table, 2.0.1-beta sends no history.
    let attributes = ["source.database-name=works", "source.mods.enable=true"];
    let pipe = Pipe::create(rig, Model::Table, "tables", to, &attributes)?;
    wait_all_arrived(&receiver, &mut daemon, &files)?;
    pipe.drop(rig)?;
    daemon.terminate()?;
    stop_uncut(gateway)?;
    load_into_target(rig, &receiver, "tload works")?;
    let n_points = ours::target_must_have_table(rig, Role::Source)?;
    Ok(Shown { compared: "rows of works.pumps loaded back = live source".to_owned(), n_points })
}

/// Our receiver is killed twice while the sink sends.
pub(super) fn receiver_killed(rig: &mut Rig) -> Result<Shown> {
    let (source, receiver) = prepare(rig)?;
    let mut daemon = receiver.start()?;
    let (gateway, to) = rig.gateway(Route::SLOW.unlimited(), receiver.address())?;
    let pipe = Pipe::of_tree(rig, "killed", to, Route::SLOW)?;
    for n_files in [5, 12] {
        wait_arrivals(&receiver, &mut daemon, n_files..source.len())?;
        daemon.kill9()?;
        daemon = receiver.start()?;
    }
    wait_all_arrived(&receiver, &mut daemon, &source)?;
    pipe.drop(rig)?;
    daemon.terminate()?;
    drop(gateway);
    load_back(rig, &receiver)
}

/// Waits for the moment at which so many TsFiles have arrived.
///
/// # Arguments
///
/// - `middle`: at least its start; an error if its end was reached, for then it is no middle
pub(super) fn wait_arrivals(
    setup: &ReceiverSetup,
    daemon: &mut Daemon,
    middle: Range<usize>,
) -> Result<()> {
    poll(CROSSING_TIME_MAX, &format!("{} files to arrive", middle.start), || {
        daemon.ensure_running()?;
        reached(arrivals(setup)?.len(), &middle)
    })
    .map_err(|error| daemon.with_log(&error))
}

/// Whether a number of files lies in the middle, or not yet; an error if it lies beyond.
pub(super) fn reached(n_files: usize, middle: &Range<usize>) -> Result<Option<()>> {
    if n_files >= middle.end {
        bail!("expected to see {} of {} files, but all are there", middle.start, middle.end);
    }
    Ok((n_files >= middle.start).then_some(()))
}

/// Waits until every sealed file of the source has arrived, by its SHA-256.
pub(super) fn wait_all_arrived(
    setup: &ReceiverSetup,
    daemon: &mut Daemon,
    files: &BTreeMap<String, String>,
) -> Result<()> {
    let mut missing = Vec::new();
    let arrived = poll(CROSSING_TIME_MAX, &format!("{} files to arrive", files.len()), || {
        daemon.ensure_running()?;
        let arrived: HashSet<String> = arrivals(setup)?.into_iter().collect();
        let absent = files.iter().filter(|(sha256, _)| !arrived.contains(*sha256));
        missing = absent.map(|(_, path)| path.clone()).collect();
        Ok(missing.is_empty().then_some(()))
    });
    arrived
        .with_context(|| format!("{} missing, among them {:?}", missing.len(), missing.first()))
        .map_err(|error| daemon.with_log(&error))
}

/// Paths of the source's files by their SHA-256.
pub(super) fn fingerprints(
    source: &SourceDirs,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for path in sealed_files(source)? {
        let shown = path.display().to_string();
        if is_wanted(&shown) {
            let digest = Sha256::digest(fs::read(&path)?);
            files.insert(digest.iter().map(|byte| format!("{byte:02x}")).collect(), shown);
        }
    }
    Ok(files)
}

/// Loads every origin's directory into the target, with `load` or `tload DATABASE`.
pub(super) fn load_into_target(rig: &mut Rig, setup: &ReceiverSetup, command: &str) -> Result<()> {
    for entry in fs::read_dir(setup.files())? {
        let origin = entry?.path();
        if origin.is_dir() {
            rig.run(Role::Target, &format!("{command} {}", origin.display()))?;
        }
    }
    Ok(())
}

/// SHA-256 of the TsFiles that arrived, in order, as the manifests of all origins list them.
fn arrivals(setup: &ReceiverSetup) -> Result<Vec<String>> {
    let is_ts_file = |it: &Listed| Path::new(&it.name).extension().is_some_and(|it| it == "tsfile");
    let listed = arrival::manifests(&setup.files())?.into_iter();
    Ok(listed.filter(is_ts_file).map(|it| it.sha256).collect())
}

fn load_back(rig: &mut Rig, setup: &ReceiverSetup) -> Result<Shown> {
    load_into_target(rig, setup, "load")?;
    let n_points = rig.both_must_have(&["root.eq.**"])?;
    Ok(Shown { compared: "root.eq.** loaded back = live source".to_owned(), n_points })
}

/// Files with equal names in the source, and a receiver that does not run yet.
fn prepare(rig: &mut Rig) -> Result<(BTreeMap<String, String>, ReceiverSetup)> {
    let source = rig.server(Role::Source)?.dirs();
    if fingerprints(&source, is_ours)?.is_empty() {
        write_equal_names(rig, &source)?;
        rig.run_all(Role::Source, OVERWRITES)?;
    }
    let setup = ReceiverSetup::new(&rig.binaries, &rig.dir.join("receiver"), &[])?;
    Ok((fingerprints(&source, is_ours)?, setup))
}

fn is_ours(path: &str) -> bool {
    path.contains("/root.eq.")
}

/// Files are named by the millisecond and a counter of the region: one request to all regions
/// gives equal names sooner or later.
fn write_equal_names(rig: &mut Rig, source: &SourceDirs) -> Result<()> {
    for database in DATABASES {
        rig.run(Role::Source, &format!("sql CREATE DATABASE {database}"))?;
    }
    let devices = DATABASES.map(|database| format!("{database}.d1")).join(",");
    for round in 0..ROUNDS_MAX {
        let start = START_MS + u64::from(round) * 1000;
        let tablet = format!("tablet {devices} false {start} 100 0 {round} DOUBLE,INT64,TEXT");
        rig.run(Role::Source, &tablet)?;
        rig.run(Role::Source, "sql FLUSH")?;
        if round + 1 >= ROUNDS_MIN && has_equal_names(source)? {
            return Ok(());
        }
    }
    bail!("no equal file names in {} regions after {ROUNDS_MAX} rounds", DATABASES.len())
}

fn has_equal_names(source: &SourceDirs) -> Result<bool> {
    let files = sealed_files(source)?;
    let ours = files.iter().filter(|path| is_ours(&path.display().to_string()));
    let mut seen = HashSet::new();
    Ok(ours.filter_map(|path| path.file_name()).any(|name| !seen.insert(name)))
}

/// Overwrites in unsequence, deletes, and rows written again after them.
const OVERWRITES: &str = "
    bulk root.eq.c.large false 1 1 1700000000000 700 100 BLOB:4096
    tablet root.eq.a.d1,root.eq.b.d1 false 1700000000050 1020 0 101 DOUBLE,INT64,TEXT
    sql FLUSH
    tablet root.eq.a.d1 false 1700000001020 30 0 102 DOUBLE,INT64,TEXT
    sql FLUSH
    sql DELETE FROM root.eq.a.d1.s_int64 WHERE time >= 1700000000040 AND time <= 1700000001030
    sql DELETE FROM root.eq.b.d1.* WHERE time <= 1700000000020
    tablet root.eq.a.d1 false 1700000001025 10 0 103 DOUBLE,INT64,TEXT
    tablet root.eq.b.d1 false 1700000000010 5 0 104 DOUBLE,INT64,TEXT
    sql FLUSH
";

/// One of IoTDB's two data models, each with a dialect of SQL.
#[derive(Clone, Copy)]
enum Model {
    Tree,
    Table,
}

impl Model {
    /// The client's command for a statement.
    fn sql(self) -> &'static str {
        match self {
            Self::Tree => "sql",
            Self::Table => "tsql",
        }
    }
}

/// A pipe of the source.
struct Pipe {
    model: Model,
    name: &'static str,
}

impl Pipe {
    /// Sends the databases of this file.
    fn of_tree(rig: &mut Rig, name: &'static str, to: SocketAddr, route: Route) -> Result<Self> {
        let mut attributes = vec!["source.path=root.eq.**", "source.mods.enable=true"];
        attributes.extend(route.sink);
        Self::create(rig, Model::Tree, name, to, &attributes)
    }

    fn create(
        rig: &mut Rig,
        model: Model,
        name: &'static str,
        to: SocketAddr,
        attributes: &[&str],
    ) -> Result<Self> {
        let [plugin, pipe] = rig.plugin_sql(name, to, attributes)?;
        // A plugin belongs to both models, and its name is quoted as in the tree model.
        rig.run(Role::Source, &format!("{} {plugin}", Model::Tree.sql()))?;
        rig.run(Role::Source, &format!("{} {pipe}", model.sql()))?;
        Ok(Self { model, name })
    }

    fn drop(self, rig: &mut Rig) -> Result<()> {
        rig.run(Role::Source, &format!("{} DROP PIPE {}", self.model.sql(), self.name))?;
        Ok(())
    }
}
