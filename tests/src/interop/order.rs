//! Order and coverage: whatever an IoTDB does with its files while our sender runs, stops or is
//! killed, the far side has the source's values.
//!
//! Every case exists towards a stock IoTDB, towards our receiver with a directory, whose files are put
//! into a second IoTDB, and towards our receiver's store, which is asked itself. Compaction and deletions meet
//! only while the sender runs: what is deleted and compacted away while nobody watches is a gap by
//! design, and no case of equal values.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;

use super::ours;
use super::play::Crossed;
use super::play::DATABASES;
use super::play::Play;
use super::play::START_MS;
use super::play::Towards;
use super::rig::Rig;
use super::rig::Role;
use super::rig::Route;
use super::rig::Shown;
use super::rig::is_sealed;
use super::rig::sealed_files;

/// Everything in short: history under compaction, late targets, deletes and rows written again,
/// and the sender killed again and again.
pub(super) fn short(rig: &mut Rig, source: Role, towards: Towards) -> Result<Shown> {
    let mut play = Play::begin(rig, source, towards, Route::FORWARD)?;
    compacted_history(&mut play, 40, 40)?;
    deletes(&mut play, 30)?;
    late_targets(&mut play, 15)?;
    play.finish()
}

/// The same with a DataNode that is killed in the middle of a flush.
pub(super) fn short_with_crash(rig: &mut Rig, source: Role, towards: Towards) -> Result<Shown> {
    let mut play = Play::begin(rig, source, towards, Route::FORWARD)?;
    compacted_history(&mut play, 30, 30)?;
    play.crash_source()?;
    deletes(&mut play, 30)?;
    late_targets(&mut play, 15)?;
    play.finish()
}

/// Several hundred files with compaction running before and while they are sent.
pub(super) fn compaction(rig: &mut Rig, source: Role, towards: Towards) -> Result<Shown> {
    let mut play = Play::begin(rig, source, towards, Route::SLOW)?;
    compacted_history(&mut play, 200, 150)?;
    play.finish()
}

/// Overwrites that are compacted while the sender does not run, from files it has sent, has half
/// sent and has never seen.
pub(super) fn late_target(rig: &mut Rig, source: Role, towards: Towards) -> Result<Shown> {
    let mut play = Play::begin(rig, source, towards, Route::SLOW)?;
    play.stop_compaction()?;
    write_rounds(&mut play, 60)?;
    play.start_sender()?;
    play.wait_sent(20)?;
    // In the middle: what has not left is compacted with what has.
    play.stop_sender()?;
    play.compact_much()?;
    play.start_sender()?;
    for _ in 0..3 {
        late_targets(&mut play, 25)?;
    }
    play.finish()
}

/// Deletes of what has left and of what has not, and the same rows written again.
pub(super) fn deleted(rig: &mut Rig, source: Role, towards: Towards) -> Result<Shown> {
    let mut play = Play::begin(rig, source, towards, Route::FORWARD)?;
    play.stop_compaction()?;
    write_rounds(&mut play, 30)?;
    play.start_sender()?;
    play.run_all(REINSERTED)?;
    play.wait_idle()?;
    deletes(&mut play, 120)?;
    play.finish()
}

/// Deletes while compaction goes on, the sender running all the time.
pub(super) fn deleted_and_compacted(
    rig: &mut Rig,
    source: Role,
    towards: Towards,
) -> Result<Shown> {
    let mut play = Play::begin(rig, source, towards, Route::FORWARD)?;
    play.start_compaction()?;
    play.start_sender()?;
    for _ in 0..120 {
        play.write_round()?;
        if play.rng.u32(0..3) == 0 {
            play.delete_round()?;
        }
    }
    play.finish_told()
}

/// Unsequence files that are sealed before the sequence file whose rows they overwrite: a file
/// loaded at the source moves the border between the two while a sequence memtable is open.
pub(super) fn unsequence_first(rig: &mut Rig, source: Role, towards: Towards) -> Result<Shown> {
    let loaded = hand_made(rig, "root.o1.d1", START_MS + 9000)?;
    let mut play = Play::begin(rig, source, towards, Route::FORWARD)?;
    play.stop_compaction()?;
    play.write("root.o1.d1,root.o2.d1", START_MS, 200)?;
    play.run("sql FLUSH")?;
    play.start_sender()?;
    // This stays in memory, and is older than what overtakes it.
    play.write("root.o1.d1,root.o2.d1", START_MS + 1000, 300)?;
    play.run(&format!("load {}", loaded.display()))?;
    for start in [1050, 1100, 1020] {
        play.write("root.o1.d1", START_MS + start, 150)?;
        play.run("sql FLUSH root.o1 FALSE")?;
    }
    play.let_it_look()?;
    must_be_open(&mut play, "sequence/root.o1")?;
    play.run("sql FLUSH root.o1 TRUE")?;
    play.write("root.o1.d1", START_MS + 1080, 40)?;
    play.finish()
}

/// Old rows in files that somebody loads at the source: they win there, whatever their age.
pub(super) fn loaded(rig: &mut Rig, source: Role, towards: Towards) -> Result<Shown> {
    let old = hand_made(rig, "root.o1.d1", START_MS + 100)?;
    let older = hand_made(rig, "root.o1.d1", START_MS + 150)?;
    let mut play = Play::begin(rig, source, towards, Route::FORWARD)?;
    play.stop_compaction()?;
    play.write("root.o1.d1,root.o2.d1", START_MS, 400)?;
    play.run("sql FLUSH")?;
    play.start_sender()?;
    play.write("root.o1.d1", START_MS + 120, 100)?;
    play.run("sql FLUSH")?;
    play.wait_idle()?;
    play.run(&format!("load {}", old.display()))?;
    play.write("root.o1.d1", START_MS + 130, 20)?;
    // Rows in a memtable that was opened before the load stay below what is loaded.
    play.run(&format!("load {}", older.display()))?;
    play.write("root.o1.d1", START_MS + 200, 20)?;
    play.run("sql FLUSH")?;
    play.wait_idle()?;
    play.kill_sender()?;
    play.run(&format!("load {}", old.display()))?;
    play.compact_much()?;
    play.write("root.o1.d1", START_MS + 190, 20)?;
    play.finish()
}

/// A DataNode that is killed in the middle of flushes, and a sender that is killed all the time.
pub(super) fn crashed(rig: &mut Rig, source: Role, towards: Towards) -> Result<Shown> {
    let mut play = Play::begin(rig, source, towards, Route::SLOW)?;
    play.stop_compaction()?;
    play.start_sender()?;
    for _ in 0..3 {
        for _ in 0..40 {
            play.write_round()?;
            if play.rng.u32(0..6) == 0 {
                play.delete_round()?;
            }
            play.kill_sender_at_times(8)?;
        }
        play.crash_source()?;
    }
    play.finish()
}

/// A table with deletes of what has left, towards our receivers alone: a stock 2.0.1-beta refuses
/// deletions from tables for good.
pub(super) fn tables(rig: &mut Rig, source: Role, towards: Towards) -> Result<Shown> {
    rig.run_all(Role::Target, "tsql DROP DATABASE IF EXISTS works\n tsql CREATE DATABASE works")?;
    rig.run(source, "tsql DROP DATABASE IF EXISTS works")?;
    let mut play = Play::begin(rig, source, towards, Route::FORWARD)?;
    play.stop_compaction()?;
    ours::write_table(play.rig, source)?;
    play.start_sender()?;
    play.wait_idle()?;
    for command in TABLE_DELETES {
        match *command {
            "idle" => play.wait_idle()?,
            "kill" => play.kill_sender()?,
            command => play.run(command)?,
        }
    }
    play.run("tsql FLUSH")?;
    let crossed = play.let_all_cross(&ours::TAGS)?;
    let n_points = play.told(|play| match &crossed {
        Crossed::Stored(receiver) => ours::store_must_have_table(play.rig, source, receiver),
        _ => ours::target_must_have_table(play.rig, source),
    })?;
    play.ensure_no_loss()?;
    Ok(Shown { compared: play.compared("rows of works.pumps", &crossed), n_points })
}

/// Databases that are dropped while the receiver is away: what they held leaves from its pins.
pub(super) fn dropped(rig: &mut Rig, source: Role, towards: Towards) -> Result<Shown> {
    let mut play = Play::begin(rig, source, towards, Route::FORWARD)?;
    play.stop_compaction()?;
    for _ in 0..25 {
        play.write_round()?;
        if play.rng.u32(0..5) == 0 {
            play.delete_round()?;
        }
    }
    play.run("sql FLUSH")?;
    let expected = play.rig.points(source, "root.**")?;
    play.kill_receiver()?;
    play.start_sender()?;
    let n_pinned = play.wait_pinned()?;
    for database in DATABASES {
        play.run(&format!("sql DELETE DATABASE {database}"))?;
    }
    play.wait_orphaned(n_pinned)?;
    play.restart_receiver()?;
    let crossed = play.let_all_cross(&[])?;
    let n_points = play.told(|play| {
        play.arrived(&crossed, expected, |arrived, expected| {
            arrived.must_equal(expected, "root.**")
        })
    })?;
    play.ensure_no_loss()?;
    let what = format!("root.** before {n_pinned} files were dropped");
    Ok(Shown { compared: play.compared(&what, &crossed), n_points })
}

/// A pipe of some series and times: of files that lie across its bounds exactly the points within leave,
/// also above rows that left before.
pub(super) fn filtered(rig: &mut Rig, source: Role, towards: Towards) -> Result<Shown> {
    const FIRST_MS: u64 = START_MS + 150;
    const LAST_MS: u64 = START_MS + 1400;
    let (first, last) = (FIRST_MS.to_string(), LAST_MS.to_string());
    let keys = [
        ("extractor.pattern", "root.o1.d"),
        ("extractor.start-time", first.as_str()),
        ("extractor.end-time", last.as_str()),
    ];
    let mut play = Play::begin_with(rig, source, towards, Route::FORWARD, &keys)?;
    play.stop_compaction()?;
    write_rounds(&mut play, 30)?;
    play.start_sender()?;
    for _ in 0..30 {
        play.write_round()?;
        play.kill_sender_at_times(8)?;
    }
    play.wait_idle_flushed()?;
    play.kill_sender()?;
    late_targets(&mut play, 10)?;
    let is_meant = |series: &str, time: i64| {
        series.starts_with("root.o1.d")
            && u64::try_from(time).is_ok_and(|it| (FIRST_MS..=LAST_MS).contains(&it))
    };
    play.finish_filtered("root.o1.d, 1250 ms", is_meant)
}

/// Writes with compaction on; the sender comes in when some files are there.
fn compacted_history(play: &mut Play<'_>, n_before: u32, n_after: u32) -> Result<()> {
    play.start_compaction()?;
    write_rounds(play, n_before)?;
    play.start_sender()?;
    for _ in 0..n_after {
        play.write_round()?;
        play.kill_sender_at_times(20)?;
    }
    play.kill_sender()?;
    play.wait_idle_flushed()?;
    play.stop_compaction()
}

/// Deletes among writes, the sender killed at times; nothing is compacted meanwhile.
fn deletes(play: &mut Play<'_>, n_rounds: u32) -> Result<()> {
    for _ in 0..n_rounds {
        play.write_round()?;
        match play.rng.u32(0..8) {
            0..=2 => play.delete_round()?,
            // What is deleted now has left.
            3 => {
                play.wait_idle_flushed()?;
                play.delete_round()?;
            }
            4 => play.kill_sender()?,
            _ => (),
        }
    }
    play.wait_idle_flushed()
}

/// Everything has left; then more is written and all of it compacted while the sender is away.
fn late_targets(play: &mut Play<'_>, n_rounds: u32) -> Result<()> {
    play.wait_idle_flushed()?;
    play.stop_sender()?;
    write_rounds(play, n_rounds)?;
    play.run("sql FLUSH")?;
    play.compact_much()?;
    write_rounds(play, n_rounds / 3)?;
    play.start_sender()
}

fn write_rounds(play: &mut Play<'_>, n_rounds: u32) -> Result<()> {
    (0..n_rounds).try_for_each(|_| play.write_round())
}

/// A sealed TsFile of one device, made by another IoTDB and taken out of its directory.
fn hand_made(rig: &mut Rig, device: &str, start_ms: u64) -> Result<PathBuf> {
    const ROWS: u64 = 60;
    let database = DATABASES[0];
    let maker = Role::Source;
    rig.run(maker, &format!("sql CREATE DATABASE {database}"))?;
    let number = start_ms % 1000 + 500;
    rig.run(maker, &format!("tablet {device} false {start_ms} {ROWS} 0 {number} basic"))?;
    rig.run(maker, "sql FLUSH")?;
    let folder = format!("/{database}/");
    let mut files = sealed_files(&rig.server(maker)?.dirs())?;
    files.retain(|path| path.display().to_string().contains(&folder));
    let [made] = files.as_slice() else { bail!("expected one new file, found {files:?}") };
    let kept = rig.dir.join(format!("{start_ms}.tsfile"));
    fs::copy(made, &kept).with_context(|| made.display().to_string())?;
    rig.run(maker, &format!("sql DELETE DATABASE {database}"))?;
    Ok(kept)
}

/// An error unless there is an open file below that folder, for then the case shows nothing.
fn must_be_open(play: &mut Play<'_>, folder: &str) -> Result<()> {
    let dirs = play.dirs()?;
    let files = super::rig::ts_files(&dirs)?;
    let is_open = |path: &&PathBuf| path.display().to_string().contains(folder) && !is_sealed(path);
    match files.iter().find(is_open) {
        Some(_) => Ok(()),
        None => bail!("expected an open file below {folder}, found {files:?}"),
    }
}

/// Rounds of delete and insert over the same rows, flushed before, between and after.
const REINSERTED: &str = "
    tablet root.o1.d3,root.o2.d3 false 1700000000000 200 0 901 basic
    sql FLUSH
    sql DELETE FROM root.o1.d3.** WHERE time >= 1700000000050 AND time <= 1700000000150
    tablet root.o1.d3 false 1700000000060 30 0 902 basic
    sql FLUSH
    sql DELETE FROM root.o1.d3.s_int32 WHERE time >= 1700000000055 AND time <= 1700000000070
    sql DELETE FROM root.o2.d3.s_int32 WHERE time <= 1700000000010
    tablet root.o1.d3 false 1700000000068 4 0 903 basic
    sql DELETE FROM root.o1.*.s_double WHERE time > 1700000000180
    sql FLUSH
    tablet root.o1.d3,root.o2.d3 false 1700000000185 10 0 904 basic
    sql DELETE FROM root.o2.d3.*
    tablet root.o2.d3 false 1700000000100 5 0 905 basic
    sql FLUSH
";

const TABLE_DELETES: &[&str] = &[
    "tsql DELETE FROM works.pumps WHERE site = 'north' AND pump = 'p1' AND time <= 1500",
    "idle",
    "tsql INSERT INTO works.pumps(time, site, pump, flow, state, n) VALUES \
     (1500, 'north', 'p1', 0.5, 'again', 10), (5000, 'south', 'p2', 5.5, 'on', 11)",
    "tsql FLUSH",
    "kill",
    "tsql DELETE FROM works.pumps WHERE site = 'south' AND time >= 2000 AND time <= 4999",
    "tsql FLUSH",
    "idle",
    "tsql DELETE FROM works.pumps WHERE time >= 3000 AND time <= 3500",
    "tsql INSERT INTO works.pumps(time, site, pump, flow, state, n) VALUES \
     (3100, 'north', 'p1', 3.25, 'late', 12)",
];
