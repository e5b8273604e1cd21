//! Order and coverage against a model: what an IoTDB does with its files on one side, what an IoTDB
//! makes of what arrives on the other, everything that can go wrong between them, and equal values
//! at the end.
//!
//! `TIDEGATE_SEED=n` tells one run, `TIDEGATE_SEEDS=n` makes that many.

mod far;
mod iotdb;
mod run;
mod stories;

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use tidegate_source::DropPolicy;
use tidegate_source::ReadRule;
use tidegate_source::Without;

use crate::iotdb::Consensus;
use crate::run::Pins;
use crate::run::Run;
use crate::run::Setup;
use crate::run::Step;

const SEEDS: u64 = 20_000;

fn setup(rng: &mut fastrand::Rng, without: Without) -> Setup {
    let (rule, takes_deletions) = match rng.u8(0..4) {
        0 => (ReadRule::ByVersion, rng.u8(0..3) > 0),
        _ => (ReadRule::UnsequenceFirst, true),
    };
    let consensus = if rng.u8(0..3) > 0 { Consensus::Iot } else { Consensus::Ratis };
    let drop_policy = if rng.u8(0..3) > 0 { DropPolicy::Keep } else { DropPolicy::Delete };
    let has_devices = rng.u8(0..4) > 0;
    let pins = [Pins::Nowhere, Pins::Held, Pins::Linked][rng.usize(0..3)];
    let catches_all = rng.bool();
    Setup { rule, consensus, takes_deletions, has_devices, drop_policy, pins, catches_all, without }
}

/// What stories are told with.
fn plain(without: Without) -> Setup {
    Setup {
        rule: ReadRule::UnsequenceFirst,
        consensus: Consensus::Iot,
        takes_deletions: true,
        has_devices: true,
        drop_policy: DropPolicy::Keep,
        pins: Pins::Nowhere,
        catches_all: false,
        without,
    }
}

/// Steps of one run. Each run has a character: some never crash, some are never watched.
fn steps(rng: &mut fastrand::Rng) -> Vec<Step> {
    let n_steps = rng.usize(20..160);
    let has_crashes = rng.bool();
    let has_drops = rng.u8(0..4) == 0;
    let is_blind = rng.u8(0..4) == 0;
    let is_racy = rng.bool();
    let is_unreadable = rng.u8(0..4) == 0;
    let is_meddled_with = rng.u8(0..4) == 0;
    // The targets of compactions that must leave do so minutes later.
    let has_pauses = rng.bool();
    // Few times make many overwrites, many make few.
    let n_times = [3, 6, 20][rng.usize(0..3)];
    (0..n_steps)
        .map(|_| match rng.u8(0..40) {
            28..=33 => {
                let n_races = if is_racy { rng.usize(0..4) } else { 0 };
                let race =
                    (0..n_races).map(|_| (rng.u8(..), change(rng, has_drops, n_times))).collect();
                let is_unread = is_unreadable && rng.u8(0..5) == 0;
                let unread = is_unread.then(|| rng.u32(1..3));
                Step::Scan { is_watched: !is_blind && rng.u8(0..8) > 0, unread, race }
            }
            34..=35 => Step::Send { pick: rng.u8(..) },
            36..=37 => Step::Outcome { fate: rng.u8(..) },
            38 => Step::Persist { n_effects: rng.u8(0..40) },
            39 if has_crashes && rng.u8(0..3) == 0 => {
                Step::CrashSender { n_lost: rng.u8(0..10), arrives: rng.bool() }
            }
            _ if has_drops && rng.u8(0..60) == 0 => Step::LosePins { pick: rng.u8(..) },
            _ if has_crashes && rng.u8(0..60) == 0 => Step::Restart,
            _ if is_meddled_with && rng.u8(0..30) == 0 => Step::Unlist { pick: rng.u8(..) },
            _ if has_pauses && rng.u8(0..16) == 0 => Step::Pause { seconds: rng.u8(..) },
            26..=27 => Step::Drain,
            20..=25 => match rng.u8(0..3) {
                0 => Step::Send { pick: rng.u8(..) },
                1 => Step::Outcome { fate: rng.u8(..) },
                _ => Step::Persist { n_effects: rng.u8(10..40) },
            },
            _ => change(rng, has_drops, n_times),
        })
        .collect()
}

/// A change at the source.
fn change(rng: &mut fastrand::Rng, has_drops: bool, n_times: u8) -> Step {
    match rng.u8(0..30) {
        0..=9 => Step::Insert { device: rng.u8(..), time: rng.u8(0..n_times) },
        10..=12 => Step::Flush { pick: rng.u8(..) },
        13..=16 => Step::Seal { pick: rng.u8(..) },
        17..=18 => {
            Step::Delete { pattern: rng.u8(..), start: rng.u8(0..n_times), length: rng.u8(..) }
        }
        19..=20 => Step::Compact { pick: rng.u8(..), kind: rng.u8(..), n_files: rng.u8(..) },
        21..=25 => Step::GoOn { pick: rng.u8(..) },
        26 => Step::Load { device: rng.u8(..), time: rng.u8(0..n_times), length: rng.u8(..) },
        27 if has_drops => Step::Drop { pick: rng.u8(..) },
        _ => Step::Insert { device: 0, time: rng.u8(0..4) },
    }
}

/// Files that left in a run, and those among them that left from their pins.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    sent: u64,
    rescued: u64,
}

/// Runs the steps; what is wrong at the end, and the story if it is wanted.
fn run(setup: Setup, steps: &[Step], tells: bool) -> (Result<Count, String>, String) {
    let mut run = Run::new(setup, tells);
    let result = catch_unwind(AssertUnwindSafe(|| {
        steps.iter().for_each(|step| run.step(step));
        run.finish()
    }));
    let count = Count { sent: run.n_sent, rescued: run.n_rescued };
    let result = match result {
        Ok(result) => result.map(|()| count),
        Err(panic) => Err(match panic.downcast_ref::<String>() {
            Some(text) => format!("panic: {text}"),
            None => "panic".to_owned(),
        }),
    };
    (result, run.story())
}

/// Leaves out what is not needed for the failure.
fn shrink(setup: Setup, mut steps: Vec<Step>) -> Vec<Step> {
    let fails = |steps: &[Step]| run(setup, steps, false).0.is_err();
    let mut size = steps.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + size).min(steps.len()));
            if fails(&fewer) {
                steps = fewer;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    steps
}

fn of_seed(seed: u64, without: Without) -> (Setup, Vec<Step>) {
    let mut rng = fastrand::Rng::with_seed(seed);
    (setup(&mut rng, without), steps(&mut rng))
}

/// What went wrong, as a story that can be read.
fn failure(seed: u64, without: Without) -> String {
    let (setup, steps) = of_seed(seed, without);
    let n_steps = steps.len();
    let steps = shrink(setup, steps);
    let (result, story) = run(setup, &steps, true);
    let reason = result.expect_err("it failed before");
    format!("seed {seed}, {} of {n_steps} steps\n{setup:?}\n{story}{reason}", steps.len())
}

fn seeds() -> std::ops::Range<u64> {
    let number = |key| std::env::var(key).ok().map(|it| it.parse::<u64>().expect("a number"));
    match (number("TIDEGATE_SEED"), number("TIDEGATE_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(n_seeds)) => 0..n_seeds,
        (None, None) => 0..SEEDS,
    }
}

#[test]
fn whatever_happens_the_far_side_reads_what_the_source_reads() {
    let mut count = Count::default();
    for seed in seeds() {
        let (setup, steps) = of_seed(seed, Without::Nothing);
        match run(setup, &steps, false).0 {
            Ok(Count { sent, rescued }) => {
                count = Count { sent: count.sent + sent, rescued: count.rescued + rescued };
            }
            Err(_) => panic!("{}", failure(seed, Without::Nothing)),
        }
    }
    println!("{count:?}");
    assert!(count.rescued > 0 || seeds().count() < 1000, "no pin was of any use");
}

/// Every rule without which values would go wrong. The unsequence barrier is none of them: it saves
/// what the closure would cost.
const RULES: &[Without] = &[
    Without::Closure,
    Without::ClosureFirst,
    Without::DeletionsFirst,
    Without::Coverage,
    Without::Lost,
    Without::Watching,
    Without::ContiguousWatermark,
    Without::Reboots,
    Without::DeletionRepair,
    Without::LateDeletions,
    Without::DeletionCut,
    Without::Unfinished,
    Without::Obsolete,
    Without::Inodes,
    Without::ReadRule,
    Without::UnseenDeletions,
    Without::VanishedUnsent,
    Without::PinnedMods,
];

#[test]
fn each_rule_switched_off_is_noticed() {
    let mut missed = Vec::new();
    for &without in RULES {
        let in_story =
            stories::ALL.iter().find(|(_, of, _)| *of == without).map(|(name, ..)| *name);
        let noticed = (0..seeds().end.min(SEEDS)).find(|&seed| {
            let (setup, steps) = of_seed(seed, without);
            run(setup, &steps, false).0.is_err()
        });
        println!("{without:?}: seed {noticed:?}, story {in_story:?}");
        if noticed.is_none() && in_story.is_none() {
            missed.push(without);
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn each_story_ends_well_and_ends_badly_without_its_rule() {
    for (name, without, steps) in stories::ALL {
        let is_of_pins = *without == Without::PinnedMods;
        let pins = if is_of_pins { Pins::Linked } else { Pins::Nowhere };
        let steps = steps();
        let (result, story) = run(Setup { pins, ..plain(Without::Nothing) }, &steps, true);
        assert!(result.is_ok(), "{name}: {result:?}\n{story}");
        let (result, story) = run(Setup { pins, ..plain(*without) }, &steps, true);
        assert!(result.is_err(), "{name} without {without:?} ends well\n{story}");
    }
}

#[test]
fn an_unsequence_file_leaves_once_behind_the_sequence_file_that_was_open() {
    let n_sent = |without| {
        let (result, story) = run(plain(without), &stories::sealed_the_other_way_round(), true);
        result.unwrap_or_else(|error| panic!("{error}\n{story}")).sent
    };
    assert_eq!(n_sent(Without::Nothing), 2);
    assert_eq!(n_sent(Without::Barrier), 3, "it would have to leave once more");
}
