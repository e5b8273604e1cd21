//! Our sender towards the air-gap receiver of a real IoTDB.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;

use super::points::Points;
use super::rig::Rig;
use super::rig::Role;
use super::rig::Route;
use super::rig::Shown;
use super::rig::end_sender;
use super::rig::sealed_files;
use super::rig::stop_uncut;
use super::rig::wait_all_sent;
use crate::harness::ReceiverSetup;
use crate::harness::SenderSetup;
use crate::harness::SourceDirs;
use crate::harness::poll;
use crate::stored;

/// What a gateway lets through at once.
const FRAME_BYTES_MAX: u64 = 1 << 20;

/// The fixture of a 2.0.1-beta and its databases, two regions with equal file names.
pub(super) const FIXTURE_2_0: (&str, &[&str]) =
    ("iotdb-2.0.1-beta", &["root.plant", "root.office"]);
const FIXTURE_1_2: (&str, &[&str]) =
    ("iotdb-1.2.2", &["root.enc", "root.encal", "root.mix", "root.pages"]);

/// The fixture of a 2.0.1-beta, directly.
pub(super) fn fixture_direct(rig: &mut Rig) -> Result<Shown> {
    fixture(rig, FIXTURE_2_0, Route::DIRECT, &[])
}

/// The same through a forward gateway.
pub(super) fn fixture_forward(rig: &mut Rig) -> Result<Shown> {
    fixture(rig, FIXTURE_2_0, Route::FORWARD, &[])
}

/// The same through a reverse gateway.
pub(super) fn fixture_reverse(rig: &mut Rig) -> Result<Shown> {
    fixture(rig, FIXTURE_2_0, Route::REVERSE, &[])
}

/// V3 files with text mods, which the target upgrades.
pub(super) fn fixture_1_2(rig: &mut Rig) -> Result<Shown> {
    fixture(rig, FIXTURE_1_2, Route::FORWARD, &[("connector.tidegate.dialect", "2.0")])
}

fn fixture(
    rig: &mut Rig,
    (name, databases): (&str, &[&str]),
    route: Route,
    keys: &[(&str, &str)],
) -> Result<Shown> {
    let target = rig.server(Role::Target)?.air_gap;
    let (gateway, to) = rig.gateway(route, target)?;
    let source = SourceDirs::fixture(name);
    let setup = rig.sender(&source, route, to, keys)?;
    let mut sender = setup.start()?;
    wait_all_sent(&setup, &mut sender, &source)?;
    expect_no_gaps(&setup)?;
    sender.terminate()?;
    stop_uncut(gateway)?;
    let n_points = rig.target_must_have(name, databases)?;
    Ok(Shown { compared: format!("{} = answers of {name}", databases.join(", ")), n_points })
}

/// A live IoTDB's own directories while it writes, through a reverse gateway.
///
/// History, files flushed while the sender runs, overwrites in unsequence, an unsequence file
/// sealed before its sequence file, deletes before the file leaves, rows written again after them.
/// At last a delete after the file has left: it must follow the file.
pub(super) fn live(rig: &mut Rig) -> Result<Shown> {
    const DATABASES: &[&str] = &["root.live.**", "root.side.**"];
    let target = rig.server(Role::Target)?.air_gap;
    let source = rig.server(Role::Source)?.dirs();
    rig.run_all(Role::Source, HISTORY)?;
    expect_large_file(&source)?;
    let (gateway, to) = rig.gateway(Route::REVERSE, target)?;
    let setup = rig.sender(&source, Route::REVERSE, to, &[])?;
    let mut sender = setup.start()?;
    rig.run_all(Role::Source, WHILE_RUNNING)?;
    wait_all_sent(&setup, &mut sender, &source)?;
    let n_points = rig.both_must_have(DATABASES)?;

    end_sender(sender)?;
    rig.run_all(Role::Source, WHILE_STOPPED)?;
    let mut sender = setup.start()?;
    wait_all_sent(&setup, &mut sender, &source)?;
    let n_points = n_points + rig.both_must_have(DATABASES)?;
    expect_no_gaps(&setup)?;

    rig.run(Role::Source, "sql DELETE FROM root.live.d1.s_text WHERE time <= 1700000000010")?;
    poll(Duration::from_secs(20), "the delete to leave", || {
        let regions = &setup.status()?["pipes"][0]["regions"];
        let sent = |region: &serde_json::Value| region["sent_deletions"].as_u64() > Some(0);
        Ok(regions.as_array().is_some_and(|all| all.iter().any(sent)).then_some(()))
    })
    .map_err(|error| sender.with_log(&error))?;
    let n_points = n_points + rig.both_must_have(DATABASES)?;
    expect_no_gaps(&setup)?;
    sender.terminate()?;
    stop_uncut(gateway)?;
    let compared = format!("{} = live source, three times", DATABASES.join(", "));
    Ok(Shown { compared, n_points })
}

/// A live IoTDB that is written to at random while our sender is killed again and again.
///
/// Overlapping rows of a few devices, so that most of them are overwritten; regions are flushed
/// whole, in part or not.
pub(super) fn live_random(rig: &mut Rig) -> Result<Shown> {
    const DATABASES: [&str; 2] = ["root.rnd1", "root.rnd2"];
    const ROUNDS: u32 = 80;
    const ROUNDS_PER_KILL: u32 = 9;
    let seed = rig.seed;
    let mut random = fastrand::Rng::with_seed(seed);
    let target = rig.server(Role::Target)?.air_gap;
    let source = rig.server(Role::Source)?.dirs();
    for database in DATABASES {
        rig.run(Role::Source, &format!("sql CREATE DATABASE {database}"))?;
    }
    let (_gateway, to) = rig.gateway(Route::SLOW, target)?;
    let setup = rig.sender(&source, Route::SLOW, to, &[])?;
    let mut sender = setup.start()?;
    let shown = || format!("seed {seed}");
    for round in 1..=ROUNDS {
        let database = DATABASES[random.usize(..DATABASES.len())];
        let (device, start) = (random.u32(1..=3), 1_700_000_000_000 + random.u64(..3000));
        let (rows, nulls) = (random.u32(1..300), random.u32(..4));
        let tablet =
            format!("tablet {database}.d{device} false {start} {rows} {nulls} {round} basic");
        rig.run(Role::Source, &tablet)?;
        let flush = match random.u32(..4) {
            0 => "sql FLUSH".to_owned(),
            1 => format!("sql FLUSH {database} FALSE"),
            2 => format!("sql FLUSH {database} TRUE"),
            _ => continue,
        };
        rig.run(Role::Source, &flush)?;
        if round % ROUNDS_PER_KILL == 0 {
            sender.kill9()?;
            sender = setup.start()?;
        }
    }
    rig.run(Role::Source, "sql FLUSH")?;
    wait_all_sent(&setup, &mut sender, &source).with_context(shown)?;
    expect_no_gaps(&setup).with_context(shown)?;
    let n_points = rig.both_must_have(&["root.rnd1.**", "root.rnd2.**"]).with_context(shown)?;
    Ok(Shown { compared: format!("root.rnd1, root.rnd2 = live source, seed {seed}"), n_points })
}

/// A database of the table model of a live IoTDB, with overwrites and deletes.
pub(super) fn live_table(rig: &mut Rig) -> Result<Shown> {
    let target = rig.server(Role::Target)?.air_gap;
    let source = rig.server(Role::Source)?.dirs();
    rig.run(Role::Target, "tsql DROP DATABASE IF EXISTS works")?;
    write_table(rig, Role::Source)?;
    let (gateway, to) = rig.gateway(Route::FORWARD, target)?;
    let setup = rig.sender(&source, Route::FORWARD, to, &[])?;
    let mut sender = setup.start()?;
    for command in TABLE_LATER {
        rig.run(Role::Source, command)?;
    }
    wait_all_sent(&setup, &mut sender, &source)?;
    expect_no_gaps(&setup)?;
    sender.terminate()?;
    stop_uncut(gateway)?;
    let n_points = target_must_have_table(rig, Role::Source)?;
    // What else the source holds has left by the same pipe.
    let n_points = n_points + rig.both_must_have(&["root.**"])?;
    Ok(Shown { compared: "rows of works.pumps, root.** = live source".to_owned(), n_points })
}

/// Writes the table, unless an earlier case has.
pub(super) fn write_table(rig: &mut Rig, source: Role) -> Result<()> {
    match rig.run(source, "tsql CREATE DATABASE works") {
        Err(error) if format!("{error:#}").contains("already exist") => return Ok(()),
        other => other?,
    };
    TABLE.iter().try_for_each(|command| rig.run(source, command).map(drop))
}

/// Compares the table of both IoTDBs; returns how many rows it has.
pub(super) fn target_must_have_table(rig: &mut Rig, source: Role) -> Result<u64> {
    let expected = rig.table_rows(source, ROWS)?;
    n_rows(rig.table_rows(Role::Target, ROWS)?.must_equal(&expected, "works.pumps")?)
}

/// Compares the table of an IoTDB with that of our store, whose SQL is not of the table model: it is
/// read as programs do.
pub(super) fn store_must_have_table(
    rig: &mut Rig,
    source: Role,
    receiver: &ReceiverSetup,
) -> Result<u64> {
    let expected = rig.table_rows(source, ROWS)?;
    let stored = stored::table(receiver, "works", "pumps", &TAGS, &FIELDS)?;
    let stored = Points::from_text(&stored, rig.dir.join("table-stored.csv"))?;
    n_rows(stored.must_equal(&expected, "works.pumps")?)
}

/// Of lines the first one of which names the columns.
fn n_rows(n_lines: u64) -> Result<u64> {
    match n_lines {
        0 | 1 => bail!("works.pumps: expected rows to compare, but there are none"),
        _ => Ok(n_lines - 1),
    }
}

/// An error if no file needs several frames of a gateway; IoTDB seals by itself what grows large.
fn expect_large_file(source: &SourceDirs) -> Result<()> {
    let mut largest_bytes = 0;
    for path in sealed_files(source)? {
        largest_bytes = largest_bytes.max(fs::metadata(path)?.len());
    }
    match largest_bytes > FRAME_BYTES_MAX {
        true => Ok(()),
        false => {
            bail!("expected a file of more than a frame, the largest has {largest_bytes} bytes")
        }
    }
}

/// An error if our sender had to leave something behind.
pub(super) fn expect_no_gaps(setup: &SenderSetup) -> Result<()> {
    let gaps = setup.gaps()?;
    match gaps.as_array().is_some_and(Vec::is_empty) {
        true => Ok(()),
        false => bail!("expected no gaps, but the sender lists {gaps:#}"),
    }
}

const HISTORY: &str = "
    sql CREATE DATABASE root.live
    sql CREATE DATABASE root.side
    tablet root.live.d1,root.side.d1 false 1700000000000 300 0 1
    tablet root.live.a1 true 1700000000000 300 4 2
    bulk root.side.large false 1 1 1700000000000 700 100 BLOB:4096
    sql FLUSH
    tablet root.live.d1,root.side.d1 false 1700000000300 200 3 3
    tablet root.live.d1 false 1700700000000 100 0 4
    sql FLUSH
    tablet root.live.d1,root.side.d1 false 1700000000100 120 0 5
    tablet root.live.a1 true 1700000000250 30 3 6
    sql FLUSH
    sql DELETE FROM root.live.d1.s_int32 WHERE time >= 1700000000040 AND time <= 1700000000160
    sql DELETE FROM root.live.a1.** WHERE time > 1700000000280
    sql DELETE FROM root.side.d1.* WHERE time <= 1700000000020
    tablet root.live.d1 false 1700000000060 20 0 7
    sql FLUSH
";

/// The rows from 2000 on wait in an open sequence file while unsequence files overtake it.
const WHILE_RUNNING: &str = "
    tablet root.live.d1,root.side.d1 false 1700000001000 200 0 8
    sql FLUSH
    tablet root.live.d1,root.side.d1 false 1700000002000 200 2 9
    tablet root.live.d1,root.side.d1 false 1700000001100 50 0 10
    sql FLUSH root.live FALSE
    tablet root.live.d1 false 1700000001120 10 0 11
    tablet root.live.d1 false 1700000002050 60 0 12
    sql FLUSH
";

/// A device of its own, so that no file that has left holds rows of the deletes.
const WHILE_STOPPED: &str = "
    tablet root.live.d2 false 1700000005000 200 0 13
    sql FLUSH
    sql DELETE FROM root.live.d2.s_double WHERE time < 1700000005050
    tablet root.live.d2 false 1700000005010 10 0 14
    sql FLUSH
    sql DELETE FROM root.live.d2.** WHERE time >= 1700000005150
    tablet root.live.d2 false 1700000005160 5 0 15
    sql FLUSH
";

/// Columns of the table.
pub(super) const TAGS: [&str; 2] = ["site", "pump"];
const FIELDS: [&str; 3] = ["flow", "state", "n"];
const ROWS: &str =
    "SELECT time, site, pump, flow, state, n FROM works.pumps ORDER BY site, pump, time";

const TABLE: &[&str] = &[
    "tsql CREATE TABLE works.pumps (site STRING TAG, pump STRING TAG, flow DOUBLE FIELD, \
     state STRING FIELD, n INT64 FIELD)",
    "tsql INSERT INTO works.pumps(time, site, pump, flow, state, n) VALUES \
     (1000, 'north', 'p1', 1.5, 'on', 1), (2000, 'north', 'p1', 2.5, 'on', 2), \
     (3000, 'north', 'p1', 3.5, 'off', 3), (1000, 'south', 'p2', 10.25, NULL, 4), \
     (2000, 'south', 'p2', NULL, 'on', 5)",
    "tsql FLUSH",
    "tsql INSERT INTO works.pumps(time, site, pump, flow, state, n) VALUES \
     (1500, 'north', 'p1', 7.5, 'new', 6), (2000, 'north', 'p1', 8.5, 'over', 7)",
    "tsql FLUSH",
    "tsql DELETE FROM works.pumps WHERE site = 'south' AND time <= 1000",
];

const TABLE_LATER: &[&str] = &[
    "tsql INSERT INTO works.pumps(time, site, pump, flow, state, n) VALUES \
     (4000, 'north', 'p1', 4.5, 'on', 8), (1200, 'south', 'p2', 0.125, 'back', 9)",
    "tsql FLUSH",
];
