//! Tidegate against a real IoTDB 2.0.1-beta: which cases there are, and how they are run and told.
//!
//! Every case compares points by their values. `tests/interop/README.md` tells of the scripts that
//! bring the IoTDBs, `tests/java/Drive.java` of the client that steers them.

mod crash;
mod cut;
pub(crate) mod drive;
mod order;
mod ours;
mod play;
mod points;
mod rig;
pub(crate) mod server;
mod spool;
mod sql;
mod stock;
mod tsfile;

use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use clap::Parser;
use comfy_table::Table;

use self::play::Towards;
use self::rig::Rig;
use self::rig::Role;
use self::rig::Shown;
use crate::harness::Binaries;
use crate::harness::catch_interrupts;
use crate::harness::check_interrupted;

/// Show, by values, that Tidegate and a real IoTDB understand each other.
///
/// Fetches IoTDB 2.0.1-beta from Maven Central once, starts two instances on loopback, and runs our
/// sender, receiver and gateway simulator, built before with `cargo build`, against them.
#[derive(Clone, Debug, Parser)]
#[command(name = "tidegate-interop", max_term_width = 100)]
pub struct Args {
    /// Run the cases that fit into a few minutes
    #[arg(long)]
    quick: bool,

    /// Keep all directories, logs and data of both IoTDBs
    #[arg(long)]
    keep: bool,

    /// List the cases and end
    #[arg(long)]
    list: bool,

    /// Seed of the cases that act at random
    #[arg(long, value_name = "SEED", default_value = "1")]
    seed: u64,

    /// Where our programs are [default: beside this one]
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,

    /// Run these cases only
    #[arg(value_name = "CASE")]
    cases: Vec<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Extent {
    Quick,
    Full,
}

struct Case {
    name: &'static str,
    extent: Extent,
    about: &'static str,
    run: fn(&mut Rig) -> Result<Shown>,
}

const CASES: &[Case] = &[
    Case {
        name: "tsfile-read",
        extent: Extent::Quick,
        about: "random TsFiles of four libraries, our reader, by index and without, and the index",
        run: |rig| tsfile::read(rig, 0..1, 30),
    },
    Case {
        name: "tsfile-read-more",
        extent: Extent::Full,
        about: "hundreds more of them",
        run: |rig| tsfile::read(rig, 1..3, 200),
    },
    Case {
        name: "tsfile-written",
        extent: Extent::Quick,
        about: "our random TsFiles, checked and read by four libraries",
        run: |rig| tsfile::written(rig, 60),
    },
    Case {
        name: "tsfile-written-more",
        extent: Extent::Full,
        about: "hundreds more of them",
        run: |rig| tsfile::written(rig, 600),
    },
    Case {
        name: "tsfile-loaded",
        extent: Extent::Quick,
        about: "our random TsFiles, v3 and v4, LOAD, SELECT",
        run: |rig| tsfile::loaded(rig, 6),
    },
    Case {
        name: "tsfile-loaded-more",
        extent: Extent::Full,
        about: "many more of them",
        run: |rig| tsfile::loaded(rig, 60),
    },
    Case {
        name: "tsfile-corpus",
        extent: Extent::Full,
        about: "the complete corpus of four libraries, our reader",
        run: tsfile::corpus,
    },
    Case {
        name: "fixture-forward",
        extent: Extent::Quick,
        about: "2.0.1-beta's files, our sender, forward gateway, IoTDB's receiver",
        run: ours::fixture_forward,
    },
    Case {
        name: "fixture-1.2",
        extent: Extent::Quick,
        about: "1.2.2's files and mods, our sender, forward gateway, IoTDB's receiver",
        run: ours::fixture_1_2,
    },
    Case {
        name: "fixture-direct",
        extent: Extent::Full,
        about: "2.0.1-beta's files, our sender, no gateway, IoTDB's receiver",
        run: ours::fixture_direct,
    },
    Case {
        name: "fixture-reverse",
        extent: Extent::Full,
        about: "2.0.1-beta's files, our sender, reverse gateway with E language, IoTDB's receiver",
        run: ours::fixture_reverse,
    },
    Case {
        name: "live",
        extent: Extent::Quick,
        about: "a live IoTDB, our sender, reverse gateway with E language, IoTDB's receiver",
        run: ours::live,
    },
    Case {
        name: "live-random",
        extent: Extent::Full,
        about: "a live IoTDB written at random, our sender killed, gateway, IoTDB's receiver",
        run: ours::live_random,
    },
    Case {
        name: "live-table",
        extent: Extent::Quick,
        about: "a live IoTDB's table model, our sender, forward gateway, IoTDB's receiver",
        run: ours::live_table,
    },
    Case {
        name: "cut",
        extent: Extent::Quick,
        about: "a live IoTDB, our sender with a pattern, forward gateway, IoTDB's receiver",
        run: cut::overwritten,
    },
    Case {
        name: "stock-forward",
        extent: Extent::Quick,
        about: "IoTDB's own sink with mods, equal names, forward gateway, our receiver, LOAD",
        run: stock::forward,
    },
    Case {
        name: "stock-reverse",
        extent: Extent::Quick,
        about: "IoTDB's own sink with mods, reverse gateway with E language, our receiver, LOAD",
        run: stock::reverse,
    },
    Case {
        name: "stock-table",
        extent: Extent::Full,
        about: "IoTDB's own sink with a table, forward gateway, our receiver, LOAD",
        run: stock::table,
    },
    Case {
        name: "stock-receiver-killed",
        extent: Extent::Full,
        about: "IoTDB's own sink, forward gateway, our receiver killed twice, LOAD",
        run: stock::receiver_killed,
    },
    Case {
        name: "both-killed",
        extent: Extent::Quick,
        about: "our sender, gateway, our receiver, both killed, LOAD",
        run: crash::both_killed,
    },
    Case {
        name: "sender-killed",
        extent: Extent::Quick,
        about: "our sender killed three times, gateway, IoTDB's receiver",
        run: crash::sender_killed,
    },
    Case {
        name: "target-killed",
        extent: Extent::Full,
        about: "our sender, gateway, IoTDB's receiver killed",
        run: crash::target_killed,
    },
    Case {
        name: "order",
        extent: Extent::Quick,
        about: "compaction, late targets, deletes, our sender killed, IoTDB's receiver",
        run: |rig| order::short(rig, Role::Compacting, Towards::Stock),
    },
    Case {
        name: "order-ours",
        extent: Extent::Quick,
        about: "the same with a DataNode killed in mid-flush, our receiver, LOAD",
        run: |rig| order::short_with_crash(rig, Role::Compacting, Towards::Ours),
    },
    Case {
        name: "order-iot",
        extent: Extent::Quick,
        about: "the same with IoTConsensus, IoTDB's receiver",
        run: |rig| order::short_with_crash(rig, Role::CompactingIot, Towards::Stock),
    },
    Case {
        name: "order-iot-ours",
        extent: Extent::Full,
        about: "the same with IoTConsensus, our receiver, LOAD",
        run: |rig| order::short_with_crash(rig, Role::CompactingIot, Towards::Ours),
    },
    Case {
        name: "order-compaction",
        extent: Extent::Full,
        about: "several hundred files, compaction all the time, our sender killed, IoTDB's receiver",
        run: |rig| order::compaction(rig, Role::Compacting, Towards::Stock),
    },
    Case {
        name: "order-compaction-ours",
        extent: Extent::Full,
        about: "several hundred files, compaction all the time, our sender killed, our receiver, LOAD",
        run: |rig| order::compaction(rig, Role::Compacting, Towards::Ours),
    },
    Case {
        name: "order-late-target",
        extent: Extent::Full,
        about: "compactions while our sender is away, IoTDB's receiver",
        run: |rig| order::late_target(rig, Role::Compacting, Towards::Stock),
    },
    Case {
        name: "order-late-target-ours",
        extent: Extent::Full,
        about: "compactions while our sender is away, our receiver, LOAD",
        run: |rig| order::late_target(rig, Role::Compacting, Towards::Ours),
    },
    Case {
        name: "order-deleted",
        extent: Extent::Full,
        about: "deletes, rows written again, our sender killed, IoTDB's receiver",
        run: |rig| order::deleted(rig, Role::Compacting, Towards::Stock),
    },
    Case {
        name: "order-deleted-ours",
        extent: Extent::Full,
        about: "deletes, rows written again, our sender killed, our receiver, LOAD",
        run: |rig| order::deleted(rig, Role::Compacting, Towards::Ours),
    },
    Case {
        name: "order-deleted-compacted",
        extent: Extent::Full,
        about: "deletes with compaction all the time, IoTDB's receiver",
        run: |rig| order::deleted_and_compacted(rig, Role::Compacting, Towards::Stock),
    },
    Case {
        name: "order-deleted-compacted-ours",
        extent: Extent::Full,
        about: "deletes with compaction all the time, our receiver, LOAD",
        run: |rig| order::deleted_and_compacted(rig, Role::Compacting, Towards::Ours),
    },
    Case {
        name: "order-unsequence-first",
        extent: Extent::Full,
        about: "unsequence files sealed before their sequence file, IoTDB's receiver",
        run: |rig| order::unsequence_first(rig, Role::Compacting, Towards::Stock),
    },
    Case {
        name: "order-unsequence-first-ours",
        extent: Extent::Full,
        about: "unsequence files sealed before their sequence file, our receiver, LOAD",
        run: |rig| order::unsequence_first(rig, Role::Compacting, Towards::Ours),
    },
    Case {
        name: "order-loaded",
        extent: Extent::Full,
        about: "old files loaded by hand at the source, IoTDB's receiver",
        run: |rig| order::loaded(rig, Role::Compacting, Towards::Stock),
    },
    Case {
        name: "order-loaded-ours",
        extent: Extent::Full,
        about: "old files loaded by hand at the source, our receiver, LOAD",
        run: |rig| order::loaded(rig, Role::Compacting, Towards::Ours),
    },
    Case {
        name: "order-crashed",
        extent: Extent::Full,
        about: "a DataNode killed in mid-flush three times, our sender killed, IoTDB's receiver",
        run: |rig| order::crashed(rig, Role::Compacting, Towards::Stock),
    },
    Case {
        name: "order-crashed-ours",
        extent: Extent::Full,
        about: "a DataNode killed in mid-flush three times, our sender killed, our receiver, LOAD",
        run: |rig| order::crashed(rig, Role::Compacting, Towards::Ours),
    },
    Case {
        name: "order-tables-ours",
        extent: Extent::Full,
        about: "a table and deletes from it, our receiver, LOAD",
        run: |rig| order::tables(rig, Role::Compacting, Towards::Ours),
    },
    Case {
        name: "order-dropped-ours",
        extent: Extent::Quick,
        about: "DROP DATABASE before anything has left, our receiver, LOAD",
        run: |rig| order::dropped(rig, Role::Compacting, Towards::Ours),
    },
    Case {
        name: "order-store",
        extent: Extent::Quick,
        about: "compaction, late targets, deletes, a DataNode and ours killed, our store",
        run: |rig| order::short_with_crash(rig, Role::Compacting, Towards::Store),
    },
    Case {
        name: "order-iot-store",
        extent: Extent::Full,
        about: "the same with IoTConsensus, our store",
        run: |rig| order::short_with_crash(rig, Role::CompactingIot, Towards::Store),
    },
    Case {
        name: "order-compaction-store",
        extent: Extent::Full,
        about: "several hundred files, compaction all the time, both of ours killed, our store",
        run: |rig| order::compaction(rig, Role::Compacting, Towards::Store),
    },
    Case {
        name: "order-late-target-store",
        extent: Extent::Full,
        about: "compactions while our sender is away, our store",
        run: |rig| order::late_target(rig, Role::Compacting, Towards::Store),
    },
    Case {
        name: "order-deleted-store",
        extent: Extent::Full,
        about: "deletes, rows written again, both of ours killed, our store",
        run: |rig| order::deleted(rig, Role::Compacting, Towards::Store),
    },
    Case {
        name: "order-deleted-compacted-store",
        extent: Extent::Full,
        about: "deletes with compaction all the time, our store",
        run: |rig| order::deleted_and_compacted(rig, Role::Compacting, Towards::Store),
    },
    Case {
        name: "order-unsequence-first-store",
        extent: Extent::Full,
        about: "unsequence files sealed before their sequence file, our store",
        run: |rig| order::unsequence_first(rig, Role::Compacting, Towards::Store),
    },
    Case {
        name: "order-loaded-store",
        extent: Extent::Full,
        about: "old files loaded by hand at the source, our store",
        run: |rig| order::loaded(rig, Role::Compacting, Towards::Store),
    },
    Case {
        name: "order-crashed-store",
        extent: Extent::Full,
        about: "a DataNode killed in mid-flush three times, both of ours killed, our store",
        run: |rig| order::crashed(rig, Role::Compacting, Towards::Store),
    },
    Case {
        name: "order-tables-store",
        extent: Extent::Quick,
        about: "a table and deletes from it, our store",
        run: |rig| order::tables(rig, Role::Compacting, Towards::Store),
    },
    Case {
        name: "order-dropped-store",
        extent: Extent::Full,
        about: "DROP DATABASE before anything has left, our store",
        run: |rig| order::dropped(rig, Role::Compacting, Towards::Store),
    },
    Case {
        name: "sql",
        extent: Extent::Quick,
        about: "the same statements to IoTDB and to our store",
        run: |rig| sql::same_answers(rig, 60),
    },
    Case {
        name: "sql-more",
        extent: Extent::Full,
        about: "many more of them",
        run: |rig| sql::same_answers(rig, 600),
    },
    Case {
        name: "filtered",
        extent: Extent::Quick,
        about: "some series and times of a live IoTDB, our sender killed, IoTDB's receiver",
        run: |rig| order::filtered(rig, Role::Compacting, Towards::Stock),
    },
    Case {
        name: "filtered-store",
        extent: Extent::Full,
        about: "the same towards our store",
        run: |rig| order::filtered(rig, Role::Compacting, Towards::Store),
    },
];

/// What became of the cases.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Equal values.
    pub n_passed: usize,
    /// Anything else.
    pub n_failed: usize,
}

/// Runs the cases and prints the table; the tally is its last line.
pub fn run(args: &Args) -> Result<Tally> {
    if args.list {
        for case in CASES {
            println!("{:<22} {:<6} {}", case.name, format!("{:?}", case.extent), case.about);
        }
        return Ok(Tally::default());
    }
    let cases = chosen(args)?;
    let binaries = match &args.bin_dir {
        Some(dir) => Binaries::new(dir)?,
        None => Binaries::beside_this_one()?,
    };
    catch_interrupts()?;
    let mut work = tempfile::Builder::new().prefix("tidegate-interop-").tempdir()?;
    work.disable_cleanup(args.keep);
    if args.keep {
        println!("directories are kept: {}", work.path().display());
    }
    let log = work.path().join("assemble.log");
    let started = Instant::now();
    server::script("tests/interop/assemble.sh", &[], server::ASSEMBLE_TIME_MAX, &log)?;
    server::script("tests/java/build.sh", &[], server::BUILD_TIME_MAX, &log)?;
    eprintln!("IoTDB and its client are ready after {:.1} s", started.elapsed().as_secs_f64());

    let mut rig = Rig::new(binaries, work.path(), args.seed);
    let ran = run_cases(&cases, &mut rig);
    // Before an error ends the run: nothing is left behind.
    if !args.keep {
        rig.remove_servers().context("removing the IoTDBs")?;
    }
    let (table, tally) = ran?;
    println!("{table}");
    println!("{} s in all", seconds(started.elapsed()));
    println!("{} passed, {} failed", tally.n_passed, tally.n_failed);
    Ok(tally)
}

fn run_cases(cases: &[&Case], rig: &mut Rig) -> Result<(Table, Tally)> {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_FULL_CONDENSED);
    table.set_header(["case", "how", "compared", "points", "seconds", "verdict"]);
    let mut tally = Tally::default();
    for case in cases {
        let began = Instant::now();
        let result = rig.begin(case.name).and_then(|()| (case.run)(rig));
        check_interrupted()?;
        let seconds = seconds(began.elapsed());
        let (compared, points, verdict) = match result {
            Ok(shown) => {
                tally.n_passed += 1;
                (shown.compared, shown.n_points.to_string(), "equal")
            }
            Err(error) => {
                tally.n_failed += 1;
                eprintln!("\n{}: {error:#}\n{}\n", case.name, rig.log_tails());
                ("see above".to_owned(), "-".to_owned(), "FAILED")
            }
        };
        eprintln!("{:<22} {seconds:>6} s  {verdict}", case.name);
        table.add_row([case.name, case.about, &compared, &points, &seconds, verdict]);
    }
    Ok((table, tally))
}

fn chosen(args: &Args) -> Result<Vec<&'static Case>> {
    if let Some(name) = args.cases.iter().find(|name| !CASES.iter().any(|it| it.name == **name)) {
        let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        bail!("unknown case {name}: expected one of {}", names.join(", "));
    }
    let is_chosen = |case: &&Case| match args.cases.is_empty() {
        true => !args.quick || case.extent == Extent::Quick,
        false => args.cases.iter().any(|name| name == case.name),
    };
    Ok(CASES.iter().filter(is_chosen).collect())
}

fn seconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64())
}
