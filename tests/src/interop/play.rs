//! What the cases about order play on: an IoTDB that is written to, overwritten, compacted and
//! crashed, our sender beside it, and one of two receivers behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use serde_json::Value;

use super::points::Points;
use super::rig::CROSSING_TIME_MAX;
use super::rig::Rig;
use super::rig::Role;
use super::rig::Route;
use super::rig::Shown;
use super::rig::all_files;
use super::rig::end_sender;
use super::rig::files_sent;
use super::rig::is_sealed;
use super::rig::sealed_files;
use super::rig::ts_files;
use super::spool;
use super::spool::Replayed;
use super::spool::Tags;
use crate::harness::Daemon;
use crate::harness::Gateway;
use crate::harness::ReceiverSetup;
use crate::harness::SenderSetup;
use crate::harness::SourceDirs;
use crate::harness::free_port;
use crate::harness::poll;
use crate::stored;

/// Each is one region; requests to both make files of equal names.
pub(super) const DATABASES: [&str; 2] = ["root.o1", "root.o2"];
/// The first time stamp of the week in which most happens, and one in the week after.
pub(super) const START_MS: u64 = 1_700_000_000_000;
const NEXT_WEEK_MS: u64 = 1_700_700_000_000;
/// How far back an overwrite reaches.
const OVERWRITE_MS: u64 = 3000;

/// Scans of our sender that find nothing new before it is believed that there is nothing.
const IDLE_SCANS: u64 = 3;
/// A compaction has begun and ended within this.
const COMPACTION_TIME_MAX: Duration = Duration::from_secs(60);
/// All regions of a restarted IoTDB have a leader within this.
const RESTART_TIME_MAX: Duration = Duration::from_secs(60);
/// Of a memtable on its way to disk, so that a kill leaves a file cut off in the middle.
const FLUSHED_BYTES_MIN: u64 = 1 << 20;

/// Files that had been sent were compacted while the sender did not run: it cannot know whether
/// something was deleted meanwhile, and says so. Nothing was, here.
const EXPECTED_GAP: &str = "deletions-unseen";

/// Which receiver is behind the sender.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Towards {
    /// A stock IoTDB's.
    Stock,
    /// Ours with a directory; what it keeps is put into a second IoTDB.
    Ours,
    /// Ours with its store, which is asked by SQL.
    Store,
}

/// What has crossed, and where it is now.
#[derive(Clone, Debug)]
pub(super) enum Crossed {
    /// In the stock IoTDB behind the sender.
    Stock,
    /// In a second IoTDB, from our receiver's directory and spool.
    Replayed(Replayed),
    /// In our receiver's store.
    Stored(ReceiverSetup),
}

/// What is on, besides the IoTDBs of the rig.
pub(super) struct Play<'a> {
    pub(super) rig: &'a mut Rig,
    /// The IoTDB that is written to.
    pub(super) source: Role,
    pub(super) rng: fastrand::Rng,
    setup: SenderSetup,
    sender: Option<Daemon>,
    receiver: Option<(ReceiverSetup, Daemon)>,
    towards: Towards,
    gateway: Option<Gateway>,
    /// Gives every write values of its own.
    n_writes: u64,
    /// How far new rows have come.
    cursor_ms: u64,
    n_kills: u32,
    /// What the sender could not deliver, asked at the end.
    gaps: Value,
    /// Whether the source compacts; a restart makes it do so.
    compacts: bool,
}

impl<'a> Play<'a> {
    /// An empty source, a sender that does not run yet, an empty target.
    pub(super) fn begin(
        rig: &'a mut Rig,
        source: Role,
        towards: Towards,
        route: Route,
    ) -> Result<Self> {
        Self::begin_with(rig, source, towards, route, &[])
    }

    /// The same with more keys of the sender's pipe.
    pub(super) fn begin_with(
        rig: &'a mut Rig,
        source: Role,
        towards: Towards,
        route: Route,
        keys: &[(&str, &str)],
    ) -> Result<Self> {
        let dirs = rig.server(source)?.dirs();
        let (receiver, target) = match towards {
            Towards::Stock => (None, rig.server(Role::Target)?.air_gap),
            Towards::Ours | Towards::Store => {
                let (binaries, dir) = (&rig.binaries, rig.dir.join("receiver"));
                let setup = match towards {
                    Towards::Store => ReceiverSetup::with_store(binaries, &dir, free_port()?, &[])?,
                    _ => ReceiverSetup::new(binaries, &dir, &[])?,
                };
                let daemon = setup.start()?;
                let address = setup.address();
                (Some((setup, daemon)), address)
            }
        };
        let (gateway, to) = rig.gateway(route, target)?;
        let setup = rig.sender(&dirs, route, to, keys)?;
        let rng = fastrand::Rng::with_seed(rig.seed);
        let mut play = Self {
            rig,
            source,
            rng,
            setup,
            sender: None,
            receiver,
            towards,
            gateway,
            n_writes: 0,
            cursor_ms: 0,
            n_kills: 0,
            gaps: Value::Null,
            compacts: true,
        };
        for database in DATABASES {
            play.run(&format!("sql CREATE DATABASE {database}"))?;
        }
        Ok(play)
    }

    /// Runs a command at the source.
    pub(super) fn run(&mut self, command: &str) -> Result<()> {
        self.rig.run(self.source, command).map(drop)
    }

    /// Runs commands at the source, one a line.
    pub(super) fn run_all(&mut self, commands: &str) -> Result<()> {
        self.rig.run_all(self.source, commands)
    }

    /// The source's directories.
    pub(super) fn dirs(&mut self) -> Result<SourceDirs> {
        Ok(self.rig.server(self.source)?.dirs())
    }

    /// Writes rows that no other write has.
    pub(super) fn write(&mut self, devices: &str, start_ms: u64, n_rows: u64) -> Result<()> {
        self.n_writes += 1;
        // Every cell, or all but one in so many.
        let (nulls, number) = ([0, 0, 2, 3][self.rng.usize(0..4)], self.n_writes);
        let is_aligned = devices.ends_with(".a1");
        let command =
            format!("tablet {devices} {is_aligned} {start_ms} {n_rows} {nulls} {number} basic");
        self.run(&command)
    }

    /// Writes at random, new rows and old ones, and mostly flushes.
    pub(super) fn write_round(&mut self) -> Result<()> {
        let both =
            |device: &str| DATABASES.map(|database| format!("{database}.{device}")).join(",");
        let n_rows = self.rng.u64(20..120);
        let (devices, start_ms) = match self.rng.u32(0..10) {
            0..=4 => {
                self.cursor_ms += n_rows;
                (both("d1"), START_MS + self.cursor_ms - n_rows)
            }
            5..=6 => (both("d1"), self.overwritten_ms()),
            7 => {
                let database = DATABASES[self.rng.usize(..DATABASES.len())];
                (format!("{database}.a1"), self.overwritten_ms())
            }
            // Mostly between the rows that are there: what IoTDB calls insertion compaction.
            8 => (both("d2"), START_MS + self.rng.u64(0..300) * 1000),
            _ => (both("d1"), NEXT_WEEK_MS + self.rng.u64(0..1000)),
        };
        self.write(&devices, start_ms, n_rows)?;
        let database = DATABASES[self.rng.usize(..DATABASES.len())];
        match self.rng.u32(0..6) {
            0..=2 => self.run("sql FLUSH"),
            3 => self.run(&format!("sql FLUSH {database} FALSE")),
            4 => self.run(&format!("sql FLUSH {database} TRUE")),
            _ => Ok(()),
        }
    }

    /// Deletes something at random; some of it has left, some has not.
    pub(super) fn delete_round(&mut self) -> Result<()> {
        const PATTERNS: [&str; 6] =
            ["d1.s_int32", "d1.*", "a1.**", "d2.s_double", "*.s_int64", "d1.s_text"];
        let database = DATABASES[self.rng.usize(..DATABASES.len())];
        let pattern = PATTERNS[self.rng.usize(..PATTERNS.len())];
        let first = self.overwritten_ms();
        let last = first + self.rng.u64(0..400);
        self.run(&format!(
            "sql DELETE FROM {database}.{pattern} WHERE time >= {first} AND time <= {last}"
        ))
    }

    fn overwritten_ms(&mut self) -> u64 {
        let first = self.cursor_ms.saturating_sub(OVERWRITE_MS);
        START_MS + self.rng.u64(first..=self.cursor_ms)
    }

    /// Lets the source compact.
    pub(super) fn start_compaction(&mut self) -> Result<()> {
        self.set_compaction(true)
    }

    /// Ends all compaction at the source and waits until none runs any longer.
    pub(super) fn stop_compaction(&mut self) -> Result<()> {
        self.set_compaction(false)?;
        let dirs = self.dirs()?;
        poll(COMPACTION_TIME_MAX, "the end of the last compaction", || {
            let is_trace = |path: &PathBuf| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                [".log", ".inner", ".cross", ".settle"].iter().any(|end| name.ends_with(end))
            };
            Ok((!all_files(&dirs)?.iter().any(is_trace)).then_some(()))
        })
    }

    fn set_compaction(&mut self, is_on: bool) -> Result<()> {
        self.compacts = is_on;
        let keys = ["seq_space", "unseq_space", "cross_space"];
        let pairs = keys.map(|key| format!("'enable_{key}_compaction'='{is_on}'")).join(" ");
        self.run(&format!("sql SET CONFIGURATION {pairs}"))
    }

    /// Compacts until at most half of the files are left that no compaction has made.
    pub(super) fn compact_much(&mut self) -> Result<()> {
        let dirs = self.dirs()?;
        let is_plain = |path: &PathBuf| path.display().to_string().ends_with("-0-0.tsfile");
        let before: BTreeSet<PathBuf> = sealed_files(&dirs)?.into_iter().filter(is_plain).collect();
        if before.is_empty() {
            bail!("expected files to compact");
        }
        self.start_compaction()?;
        poll(COMPACTION_TIME_MAX, "half of the files to be compacted", || {
            let n_left = sealed_files(&dirs)?.iter().filter(|path| before.contains(*path)).count();
            Ok((n_left * 2 <= before.len()).then_some(()))
        })?;
        self.stop_compaction()
    }

    /// Kills the source's DataNode while a large memtable is half on disk, and starts it again.
    pub(super) fn crash_source(&mut self) -> Result<()> {
        let start_ms = START_MS + self.cursor_ms;
        self.run(&format!("bulk root.o1.large false 20 1 {start_ms} 200 100 BLOB:4096"))?;
        let dirs = self.dirs()?;
        self.rig.kill_within(self.source, "sql FLUSH", || {
            let unsealed = ts_files(&dirs)?.into_iter().filter(|path| !is_sealed(path));
            let lengths = unsealed.filter_map(|path| fs::metadata(path).ok());
            Ok(lengths.map(|facts| facts.len()).any(|length| length >= FLUSHED_BYTES_MIN))
        })?;
        self.wait_writable()?;
        // What was set at run time is gone.
        match self.compacts {
            true => Ok(()),
            false => self.stop_compaction(),
        }
    }

    /// A restarted IoTDB answers before its regions take rows.
    fn wait_writable(&mut self) -> Result<()> {
        let mut last = String::new();
        let is_writable = poll(RESTART_TIME_MAX, "the restarted IoTDB to take rows", || {
            let wrote = DATABASES.iter().try_for_each(|database| {
                self.run(&format!("sql INSERT INTO {database}.probe(time, v) VALUES (1, 1)"))
            });
            last = wrote.as_ref().err().map(|error| format!("{error:#}")).unwrap_or_default();
            Ok(wrote.ok())
        });
        is_writable.with_context(|| format!("it said last: {last}"))
    }

    /// Starts the sender.
    pub(super) fn start_sender(&mut self) -> Result<()> {
        self.sender = Some(self.setup.start()?);
        Ok(())
    }

    /// Ends the sender in good order.
    pub(super) fn stop_sender(&mut self) -> Result<()> {
        end_sender(self.sender.take().context("the sender does not run")?)
    }

    /// Kills the sender and starts it again; a store's receiver too, every other time, for what it has
    /// in memory must be there again.
    pub(super) fn kill_sender(&mut self) -> Result<()> {
        if self.towards == Towards::Store && self.n_kills.is_multiple_of(2) {
            self.kill_receiver()?;
            self.restart_receiver()?;
        }
        let sender = self.sender.as_mut().context("the sender does not run")?;
        sender.ensure_running()?;
        sender.kill9()?;
        self.n_kills += 1;
        self.start_sender()
    }

    /// The same, one time in so many.
    pub(super) fn kill_sender_at_times(&mut self, one_in: u32) -> Result<()> {
        match self.rng.u32(0..one_in) {
            0 => self.kill_sender(),
            _ => Ok(()),
        }
    }

    /// Waits until the sender has sent so many files.
    pub(super) fn wait_sent(&mut self, n_files: u64) -> Result<()> {
        let (setup, sender) = self.running()?;
        poll(CROSSING_TIME_MAX, &format!("{n_files} files to be sent"), || {
            sender.ensure_running()?;
            Ok((files_sent(setup)? >= n_files).then_some(()))
        })
        .map_err(|error| sender.with_log(&error))
    }

    /// Waits until the sender has looked several times at what is there now.
    pub(super) fn let_it_look(&mut self) -> Result<()> {
        let (setup, sender) = self.running()?;
        let mut since = None;
        poll(CROSSING_TIME_MAX, "the sender to look", || {
            sender.ensure_running()?;
            let status = setup.status()?;
            // One that has just started has no pipes yet.
            let Some(scans) = status["pipes"][0]["scans"].as_u64() else { return Ok(None) };
            let since = *since.get_or_insert(scans);
            Ok((scans >= since + IDLE_SCANS).then_some(()))
        })
        .map_err(|error| sender.with_log(&error))
    }

    /// Kills our receiver; nothing can leave until it is back.
    pub(super) fn kill_receiver(&mut self) -> Result<()> {
        let (_, receiver) = self.receiver.as_mut().context("the receiver is not ours")?;
        receiver.kill9()
    }

    /// Starts our receiver again.
    pub(super) fn restart_receiver(&mut self) -> Result<()> {
        let (setup, receiver) = self.receiver.as_mut().context("the receiver is not ours")?;
        *receiver = setup.start()?;
        Ok(())
    }

    /// Waits until every file that waits is pinned: how many those are.
    pub(super) fn wait_pinned(&mut self) -> Result<u64> {
        self.wait_regions("all files to be pinned", |waiting, pinned, _| {
            waiting > 0 && pinned == waiting
        })
    }

    /// Waits until so many files that wait are gone at the source.
    pub(super) fn wait_orphaned(&mut self, n_files: u64) -> Result<()> {
        self.wait_regions("all files to be missed", |_, _, orphaned| orphaned == n_files).map(drop)
    }

    /// Waits for numbers of waiting, pinned, and orphaned files.
    fn wait_regions(&mut self, what: &str, is_so: impl Fn(u64, u64, u64) -> bool) -> Result<u64> {
        let (setup, sender) = self.running()?;
        let mut last = String::new();
        let waited = poll(CROSSING_TIME_MAX, what, || {
            sender.ensure_running()?;
            let pipe = &setup.status()?["pipes"][0];
            last = format!("{pipe:#}");
            let sum = |key: &str| regions(pipe).filter_map(|region| region[key].as_u64()).sum();
            let n_waiting = pipe["pending_files"].as_u64().unwrap_or(0);
            let is_so = is_so(n_waiting, sum("pinned_files"), sum("orphaned_files"));
            Ok(is_so.then_some(n_waiting))
        });
        waited
            .with_context(|| format!("the sender said last: {last}"))
            .map_err(|error| sender.with_log(&error))
    }

    /// Waits until the sender has looked several times and has nothing left to send.
    pub(super) fn wait_idle(&mut self) -> Result<()> {
        let (setup, sender) = self.running()?;
        let mut rest: Option<(u64, Value)> = None;
        let mut last = String::new();
        let idle = poll(CROSSING_TIME_MAX, "the sender to have nothing left", || {
            sender.ensure_running()?;
            let status = setup.status()?;
            let pipe = &status["pipes"][0];
            last = format!("{pipe:#}");
            ensure_untroubled(&status)?;
            let Some(scans) = pipe["scans"].as_u64() else { return Ok(None) };
            if waiting(pipe) > 0 {
                rest = None;
                return Ok(None);
            }
            let done = done(pipe);
            match &rest {
                Some((since, known)) if *known == done => {
                    Ok((scans >= since + IDLE_SCANS).then_some(()))
                }
                _ => {
                    rest = Some((scans, done));
                    Ok(None)
                }
            }
        });
        idle.with_context(|| format!("the sender said last: {last}"))
            .map_err(|error| sender.with_log(&error))
    }

    /// Flushes everything first.
    pub(super) fn wait_idle_flushed(&mut self) -> Result<()> {
        self.run("sql FLUSH")?;
        self.wait_idle()
    }

    fn running(&mut self) -> Result<(&SenderSetup, &mut Daemon)> {
        Ok((&self.setup, self.sender.as_mut().context("the sender does not run")?))
    }

    /// Flushes, lets everything cross, and compares the values on both sides.
    pub(super) fn finish(mut self) -> Result<Shown> {
        self.run("sql FLUSH")?;
        let crossed = self.let_all_cross(&[])?;
        let source = self.source;
        let n_points = self.told(|play| {
            let expected = play.rig.points(source, "root.**")?;
            play.arrived(&crossed, expected, |arrived, expected| {
                arrived.must_equal(expected, "root.**")
            })
        })?;
        self.ensure_no_loss()?;
        Ok(Shown { compared: self.compared("root.**", &crossed), n_points })
    }

    /// The same where only points that `is_meant` takes by series and time were to leave.
    pub(super) fn finish_filtered(
        mut self,
        what: &str,
        is_meant: impl Fn(&str, i64) -> bool,
    ) -> Result<Shown> {
        self.run("sql FLUSH")?;
        let crossed = self.let_all_cross(&[])?;
        let source = self.source;
        let n_points = self.told(|play| {
            let expected = play.rig.points(source, "root.**")?;
            let expected = expected.only(is_meant, play.rig.dir.join("meant.csv"))?;
            play.arrived(&crossed, expected, |arrived, expected| arrived.must_equal(expected, what))
        })?;
        self.ensure_no_loss()?;
        Ok(Shown { compared: self.compared(what, &crossed), n_points })
    }

    /// Has everything that has arrived below `root.**` compared with what was expected, both in digits
    /// that can be compared.
    pub(super) fn arrived<T>(
        &mut self,
        crossed: &Crossed,
        expected: Points,
        compare: impl FnOnce(&Points, &Points) -> Result<T>,
    ) -> Result<T> {
        let Crossed::Stored(setup) = crossed else {
            return compare(&self.rig.points(Role::Target, "root.**")?, &expected);
        };
        let at = |name: &str| self.rig.dir.join(name);
        let arrived = Points::from_text(&stored::points(setup, "root.**")?, at("stored.csv"))?;
        compare(&arrived, &expected.with_our_digits(at("expected.csv"))?)
    }

    /// The same where a deletion may fall between two scans together with the compaction that applies
    /// it: nothing is missing, and what is there too much stands in the gap records.
    pub(super) fn finish_told(mut self) -> Result<Shown> {
        self.run("sql FLUSH")?;
        let crossed = self.let_all_cross(&[])?;
        let source = self.source;
        let gaps = self.gaps.as_array().cloned().unwrap_or_default();
        let is_told = |series: &str, time: i64| {
            gaps.iter().any(|gap| {
                let region = gap["region"].as_str().and_then(|region| region.split_once('['));
                let bound = |key: &str, open: i64| gap[key].as_i64().unwrap_or(open);
                gap["reason"] == EXPECTED_GAP
                    && region.is_some_and(|(database, _)| {
                        series.strip_prefix(database).is_some_and(|it| it.starts_with('.'))
                    })
                    && bound("from_time", i64::MIN) <= time
                    && time <= bound("to_time", i64::MAX)
            })
        };
        let (n_points, n_surplus) = self.told(|play| {
            let expected = play.rig.points(source, "root.**")?;
            play.arrived(&crossed, expected, |arrived, expected| {
                arrived.must_equal_but(expected, "root.**", is_told)
            })
        })?;
        let what = format!("root.** ({n_surplus} more, all of them told by {} gaps)", gaps.len());
        Ok(Shown { compared: self.compared(&what, &crossed), n_points })
    }

    /// The same without a comparison, which needs to know where to look.
    pub(super) fn let_all_cross(&mut self, tags: Tags<'_>) -> Result<Crossed> {
        self.wait_idle()?;
        self.gaps = self.setup.gaps()?;
        self.stop_sender()?;
        let Some((setup, mut daemon)) = self.receiver.take() else { return Ok(Crossed::Stock) };
        spool::wait_all_placed(&setup, &mut daemon)?;
        daemon.terminate()?;
        self.gateway = None;
        Ok(match self.towards {
            Towards::Store => Crossed::Stored(setup),
            _ => Crossed::Replayed(spool::replay(self.rig, &setup, tags)?),
        })
    }

    /// What was compared with what.
    pub(super) fn compared(&self, what: &str, crossed: &Crossed) -> String {
        let how = match crossed {
            Crossed::Replayed(Replayed { n_files, n_deletions }) => {
                format!("{n_files} files and {n_deletions} deletions put back")
            }
            Crossed::Stock => String::from("arrived"),
            Crossed::Stored(_) => String::from("SELECT from the store"),
        };
        let (kills, seed) = (self.n_kills, self.rig.seed);
        format!("{what}: {how} = live source; sender killed {kills} times, seed {seed}")
    }

    /// What `ask` says; an error carries the seed.
    pub(super) fn told<T>(&mut self, ask: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let result = ask(self);
        let shown = || format!("seed {}", self.rig.seed);
        result.with_context(shown)
    }

    /// An error if the sender had to leave something behind by the end. Values are compared first,
    /// for they tell more.
    pub(super) fn ensure_no_loss(&self) -> Result<()> {
        let listed = self.gaps.as_array().context("the gaps are no list")?;
        let is_loss = |gap: &&Value| gap["reason"] != EXPECTED_GAP;
        match listed.iter().find(is_loss) {
            None => Ok(()),
            Some(gap) => bail!(
                "expected no gaps but {EXPECTED_GAP}, the sender lists {} in all, one of them {gap:#}",
                listed.len()
            ),
        }
    }
}

/// An error if the sender says that it cannot send something.
fn ensure_untroubled(status: &Value) -> Result<()> {
    let is_empty = |value: &Value| value.as_array().is_none_or(Vec::is_empty);
    let is_stuck = |it: &Value| !is_empty(&it["aside"]) || !it["blocked"].is_null();
    match is_empty(&status["faults"]) && !regions(&status["pipes"][0]).any(is_stuck) {
        true => Ok(()),
        false => bail!("the sender cannot send everything: {status:#}"),
    }
}

/// How many things wait to be sent, or to be looked at.
fn waiting(pipe: &Value) -> u64 {
    const KEYS: [&str; 5] =
        ["history_files", "realtime_files", "held_files", "pending_deletions", "unsealed_files"];
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let of_region = |region: &Value| {
        let awaits_scan = u64::from(region["awaits_scan"].as_bool().unwrap_or(false));
        KEYS.iter().map(|key| number(&region[*key])).sum::<u64>() + awaits_scan
    };
    let own = ["pending_files", "pending_deletions"].map(|key| number(&pipe[key]));
    own.iter().sum::<u64>() + regions(pipe).map(of_region).sum::<u64>()
}

/// What has been done: while it changes, the sender is at work.
fn done(pipe: &Value) -> Value {
    let of_region = |region: &Value| {
        Value::from(vec![
            region["sent_files"].clone(),
            region["sent_deletions"].clone(),
            region["last_sequence"].clone(),
        ])
    };
    regions(pipe).map(of_region).collect()
}

fn regions(pipe: &Value) -> impl Iterator<Item = &Value> {
    pipe["regions"].as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sender_waits_while_anything_of_any_region_does() {
        let pipe = |region: Value| json!({"pending_files": 0, "regions": [{}, region]});
        assert_eq!(waiting(&pipe(json!({"sent_files": 3, "unsealed_files": 0}))), 0);
        for key in ["history_files", "held_files", "pending_deletions", "unsealed_files"] {
            assert_eq!(waiting(&pipe(json!({key: 2}))), 2, "{key}");
        }
        assert_eq!(waiting(&pipe(json!({"awaits_scan": true}))), 1);
        assert_eq!(waiting(&json!({"pending_files": 1})), 1);
    }

    #[test]
    fn trouble_of_a_region_is_not_waited_out() {
        let status = |region: Value| json!({"faults": [], "pipes": [{"regions": [region]}]});
        ensure_untroubled(&status(json!({"aside": [], "blocked": null}))).expect("no trouble");
        ensure_untroubled(&status(json!({"aside": [{"file": "f"}]}))).expect_err("a file aside");
        ensure_untroubled(&status(json!({"blocked": {"file": "f"}}))).expect_err("a blocked file");
        ensure_untroubled(&json!({"faults": ["p1"], "pipes": []})).expect_err("a fault");
    }
}
