//! The test pair: sending and receiving machine against each other through a gateway that does
//! everything wrong, on a clock that jumps.
//!
//! - `TIDEGATE_SEEDS=1000000 cargo test -p tidegate-link --test pair no_fault` runs more seeds.
//! - `TIDEGATE_SEED=4711 cargo test -p tidegate-link --test pair no_fault` replays one and prints
//!   what happens.

mod faults;
mod gateway;
mod items;
mod promises;
mod receiver;
mod sender;
mod trace;
mod world;

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use fastrand::Rng;

use crate::faults::Broken;
use crate::faults::Fault;
use crate::faults::Faults;
use crate::items::Items;
use crate::trace::Trace;
use crate::world::Report;
use crate::world::Setup;
use crate::world::World;

/// Seeds of `make test`.
const N_SEEDS: u64 = 30_000;

#[test]
fn no_fault_loses_or_invents_an_item() {
    if let Some(seed) = number_in("TIDEGATE_SEED") {
        let report = World::of_seed(seed, Broken::Nothing, true).run();
        return report.map(drop).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    }
    let n_seeds = number_in("TIDEGATE_SEEDS").unwrap_or(N_SEEDS).max(10_000);
    let totals = Mutex::new(Totals::default());
    let failure = over_seeds(n_seeds, |seed| {
        let report = World::of_seed(seed, Broken::Nothing, false).run()?;
        totals.lock().expect("nothing panics here").add(&report);
        Ok(())
    });
    if let Some((seed, broken)) = failure {
        panic!(
            "seed {seed}: {broken}\nreplay it: TIDEGATE_SEED={seed} cargo test -p tidegate-link \
             --test pair no_fault -- --nocapture"
        );
    }
    let totals = totals.into_inner().expect("nothing panicked");
    println!("{n_seeds} seeds: {totals:?}");
    for (fault, seen) in Fault::ALL.iter().zip(totals.seen) {
        assert!(seen > 100, "{fault:?} struck only {seen} times: the pair no longer tests it");
    }
}

#[test]
fn a_seed_gives_the_same_trace_twice() {
    let failure = over_seeds(600, |seed| {
        let run = || World::of_seed(seed, Broken::Nothing, false).run().map(|report| report.hash);
        match (run()?, run()?) {
            (one, other) if one == other => Ok(()),
            (one, other) => Err(format!("traces differ: {one:x} and {other:x}")),
        }
    });
    assert_eq!(failure, None);
}

/// The pair would be worth nothing if it did not notice when a rule is broken.
#[test]
fn each_broken_rule_of_an_edge_is_caught() {
    for &broken in Broken::ALL {
        let caught = over_seeds(4000, |seed| World::of_seed(seed, broken, false).run().map(drop));
        let (seed, what) = caught.unwrap_or_else(|| panic!("{broken:?} went unnoticed"));
        println!("{broken:?}: seed {seed}: {what}");
        assert!(!what.starts_with("panicked"), "{broken:?} was met by accident: {what}");
    }
}

/// kill -9 of either side before every single step of a small transfer.
#[test]
fn a_kill_at_any_step_loses_nothing_and_doubles_nothing() {
    for variant in 0..4 {
        let run = |crash_at| {
            let mut rng = Rng::with_seed(variant);
            let mut setup = Setup::draw(&mut rng);
            setup.calls_per_minute_max = 30;
            let items = Items::draw(&mut rng, 5, 2, setup.piece_bytes);
            let trace = Trace::new(false);
            let faults = Faults::none();
            let mut world = World::new(rng, setup, faults, items, Broken::Nothing, trace);
            world.crash_at = crash_at;
            world.run()
        };
        let n_steps = run(None).expect("without a fault all is well").steps;
        for step in 1..=n_steps {
            for of_sender in [true, false] {
                if let Err(broken) = run(Some((step, of_sender))) {
                    panic!("variant {variant}, step {step}, sender {of_sender}: {broken}");
                }
            }
        }
    }
}

/// What many runs came to.
#[derive(Debug, Default)]
struct Totals {
    steps: u64,
    n_items: usize,
    seen: [u32; Fault::ALL.len()],
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.steps += report.steps;
        self.n_items += report.n_items;
        for (total, seen) in self.seen.iter_mut().zip(report.seen) {
            *total += seen;
        }
    }
}

/// Runs seeds on all cores until one fails; the failure with what it said.
fn over_seeds(
    n_seeds: u64,
    run: impl Fn(u64) -> Result<(), String> + Sync,
) -> Option<(u64, String)> {
    let next = AtomicU64::new(0);
    let failure: Mutex<Option<(u64, String)>> = Mutex::new(None);
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..n_threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= n_seeds {
                        return;
                    }
                    let result = catch_unwind(AssertUnwindSafe(|| run(seed)));
                    let result = result.unwrap_or_else(|panic| Err(words(&*panic)));
                    if let Err(what) = result {
                        let mut failure = failure.lock().expect("no panic inside");
                        if failure.as_ref().is_none_or(|(other, _)| seed < *other) {
                            *failure = Some((seed, what));
                        }
                        next.store(n_seeds, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    failure.into_inner().expect("no panic inside")
}

fn words(panic: &(dyn core::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("without words"))
}

fn number_in(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, expected a number")))
}
