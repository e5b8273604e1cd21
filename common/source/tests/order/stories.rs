//! Stories that chance tells too rarely: each ends badly without one rule.

use tidegate_source::Without;

use crate::run::Step;

/// Name, the rule that it needs, and what happens.
pub(crate) type Story = (&'static str, Without, fn() -> Vec<Step>);

pub(crate) const ALL: &[Story] = &[
    (
        "a target that carries a deletion on does not delete what was written since",
        Without::DeletionRepair,
        carried_on,
    ),
    ("rows recovered without their number are not taken for old ones", Without::Reboots, recovered),
    (
        "what a late file beats is queued again before the file leaves",
        Without::ClosureFirst,
        killed_behind_a_late_file,
    ),
    (
        "what a target may hold does not leave behind a deletion that stands beside the target",
        Without::Obsolete,
        deleted_in_a_target,
    ),
    (
        "a dropped file does not leave without the deletions that left before it",
        Without::PinnedMods,
        dropped_after_a_deletion,
    ),
];

const SCAN: Step = Step::Scan { is_watched: true, unread: None, race: Vec::new() };
const BLIND_SCAN: Step = Step::Scan { is_watched: false, unread: None, race: Vec::new() };

fn insert(device: u8, time: u8) -> Step {
    Step::Insert { device, time }
}

/// Memory of the first region's first partition becomes a file.
fn sealed(space: u8) -> [Step; 2] {
    [Step::Flush { pick: space }, Step::Seal { pick: 0 }]
}

fn sent() -> [Step; 4] {
    [SCAN, Step::Drain, SCAN, Step::Drain]
}

fn carried_on() -> Vec<Step> {
    let mut steps = vec![insert(0, 2), insert(0, 3)];
    steps.extend(sealed(0));
    steps.push(insert(0, 5));
    steps.extend(sealed(0));
    steps.extend(sent());
    steps.push(Step::Compact { pick: 0, kind: 0, n_files: 0 });
    steps.push(Step::Delete { pattern: 0, start: 2, length: 0 });
    steps.extend(sent());
    steps.push(insert(0, 2));
    steps.extend(sealed(1));
    steps.extend(sent());
    steps.extend([const { Step::GoOn { pick: 0 } }; 6]);
    steps.extend(sent());
    steps
}

fn recovered() -> Vec<Step> {
    let mut steps = vec![insert(0, 1)];
    steps.extend(sealed(0));
    for _ in 0..4 {
        steps.extend(sent());
    }
    steps.push(insert(0, 5));
    steps.push(Step::Restart);
    steps.push(Step::Compact { pick: 0, kind: 0, n_files: 0 });
    steps.extend([const { Step::GoOn { pick: 0 } }; 6]);
    steps.extend(sent());
    steps
}

fn killed_behind_a_late_file() -> Vec<Step> {
    let mut steps = vec![insert(0, 1), insert(0, 2)];
    steps.extend(sealed(0));
    steps.extend(sent());
    steps.push(insert(0, 2));
    steps.extend(sealed(1));
    steps.extend(sent());
    // Sealed and compacted while nobody looks: the target must leave, late.
    steps.push(insert(0, 5));
    steps.extend(sealed(0));
    steps.push(Step::Compact { pick: 0, kind: 0, n_files: 0 });
    steps.extend([const { Step::GoOn { pick: 0 } }; 6]);
    steps.extend([BLIND_SCAN, Step::Persist { n_effects: 40 }, BLIND_SCAN]);
    // Until its sources, if any were left, would be gone.
    steps.extend([Step::Pause { seconds: 150 }, Step::Send { pick: 0 }, BLIND_SCAN]);
    steps.push(Step::Persist { n_effects: 40 });
    // It arrives, and the sender is killed; then the target is dropped.
    steps.push(Step::Send { pick: 0 });
    steps.push(Step::CrashSender { n_lost: 8, arrives: true });
    steps.push(Step::Drop { pick: 1 });
    steps.extend(sent());
    steps
}

fn deleted_in_a_target() -> Vec<Step> {
    let mut steps = vec![insert(0, 2)];
    steps.extend(sealed(0));
    steps.push(insert(0, 5));
    steps.extend(sealed(0));
    steps.push(SCAN);
    steps.push(Step::Compact { pick: 0, kind: 0, n_files: 0 });
    // Queries read the target, and the files that it is made of are still there.
    steps.extend([const { Step::GoOn { pick: 0 } }; 2]);
    steps.push(SCAN);
    steps.push(Step::Delete { pattern: 0, start: 2, length: 0 });
    steps.extend(sent());
    steps
}

fn dropped_after_a_deletion() -> Vec<Step> {
    let mut steps = Vec::new();
    for time in [2, 4, 6] {
        steps.push(insert(0, time));
        steps.extend(sealed(0));
    }
    // Three are pinned, two are looked at again after the deletion.
    let race = vec![(0, insert(1, 9))];
    steps.extend([SCAN, Step::Scan { is_watched: true, unread: None, race }]);
    steps.push(Step::Delete { pattern: 0, start: 6, length: 0 });
    steps.push(SCAN);
    steps.push(Step::Drop { pick: 2 });
    steps.extend([SCAN, SCAN, SCAN]);
    steps
}

/// An unsequence file is sealed before the sequence file that it wins over.
pub(crate) fn sealed_the_other_way_round() -> Vec<Step> {
    let mut steps = vec![insert(0, 2), insert(0, 3), Step::Flush { pick: 0 }];
    steps.push(insert(0, 2));
    // The sequence file is on its way to disk, the unsequence file overtakes it.
    steps.extend([Step::Flush { pick: 1 }, Step::Seal { pick: 1 }]);
    steps.extend(sent());
    steps.push(Step::Seal { pick: 0 });
    steps.extend(sent());
    steps
}
