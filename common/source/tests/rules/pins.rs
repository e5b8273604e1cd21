//! Files that the source drops before they could leave.

use std::collections::HashSet;
use std::sync::Arc;

use tidegate_source::Age;
use tidegate_source::DropPolicy;
use tidegate_source::FileIdentity;
use tidegate_source::GapReason;
use tidegate_source::Item;
use tidegate_source::ItemKind;
use tidegate_source::ModsMark;
use tidegate_source::ModsSeen;
use tidegate_source::PinnedMods;
use tidegate_source::Record;
use tidegate_source::SourceConfig;
use tidegate_source::Stall;
use tidegate_source::Verdict;
use tidegate_tsfile::ModsKind;

use crate::tree::Key;
use crate::tree::Site;
use crate::tree::at;
use crate::tree::compacted;
use crate::tree::deletion;
use crate::tree::label;
use crate::tree::name;
use crate::tree::sequence;
use crate::tree::unsequence;
use crate::tree::watched;

/// Pins every file that is wanted, and lets go what is not needed.
fn pin(site: &mut Site, pins: &mut HashSet<FileIdentity>) {
    pins.extend(site.source.pins_wanted(1000).into_iter().map(|it| it.identity));
    for identity in site.source.needless_pins() {
        pins.remove(&identity);
    }
    site.source.handle_pins(Arc::new(pins.clone()));
    site.persist();
}

/// A site with a file that waits, is pinned, and has gone; nobody knows yet where.
fn dropped() -> (Site, HashSet<FileIdentity>) {
    let mut site = Site::new(SourceConfig::default());
    let mut pins = HashSet::new();
    let file = site.tree.add(&sequence(1), 1);
    site.tree.add(&sequence(1), 2);
    for _ in 0..2 {
        site.scan();
        pin(&mut site, &mut pins);
    }
    assert_eq!(pins.len(), 2);
    site.tree.remove(&file);
    site.scan();
    (site, pins)
}

/// A site with a file that waits and is pinned.
fn pinned() -> (Site, HashSet<FileIdentity>, Key) {
    let mut site = Site::new(SourceConfig::default());
    let mut pins = HashSet::new();
    let key = site.tree.add(&sequence(1), 1);
    for _ in 0..2 {
        site.scan();
        pin(&mut site, &mut pins);
    }
    (site, pins, key)
}

/// Scans until it is settled what became of files that went.
fn settle(site: &mut Site, pins: &mut HashSet<FileIdentity>) {
    for _ in 0..3 {
        site.scan();
        pin(site, pins);
    }
}

fn pinned_mods(item: &Item) -> Option<PinnedMods> {
    match &item.kind {
        ItemKind::File(file) => file.pinned,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_dropped_file_leaves_from_its_pin_and_is_forgotten_then() {
    let (mut site, mut pins) = dropped();
    settle(&mut site, &mut pins);
    let status = site.status(1);
    assert_eq!((status.pinned_files, status.orphaned_files, status.vanished_files), (2, 1, 0));
    let mut left = Vec::new();
    while let Some(item) = site.poll() {
        left.push((label(&item), pinned_mods(&item)));
        site.end(&item, Verdict::Accepted);
    }
    let from_pin = Some(PinnedMods::Exactly(None));
    assert_eq!(left, [("s2".to_owned(), None), ("s1".to_owned(), from_pin)]);
    assert_eq!(site.reasons(), []);
    assert!(matches!(site.records.last(), Some(Record::Gone(_))), "{:?}", site.records.last());
    pin(&mut site, &mut pins);
    assert!(pins.is_empty(), "what has left needs no pin");
    site.restart();
    assert_eq!(site.turn(), [""; 0]);
}

/// A pipe may want other times of history than of what came since. A pinned file of history left with all
/// of its times, and one that came since was history once the ledger had been written anew.
#[test]
fn a_file_that_leaves_from_its_pin_is_history_if_it_was_when_it_lay_there() {
    for rewrites_at in [None, Some(1), Some(4)] {
        let (mut site, mut pins) = (Site::new(SourceConfig::default()), HashSet::new());
        let old = site.tree.add(&sequence(1), 1);
        site.scan();
        let new = site.tree.add(&sequence(1), 2);
        site.tree.add(&sequence(1), 3);
        settle(&mut site, &mut pins);
        site.tree.remove(&old);
        site.tree.remove(&new);
        for n_scans in 0..6 {
            site.scan();
            if rewrites_at == Some(n_scans) {
                site.records = site.source.live_records();
                site.restart();
                site.source.handle_pins(Arc::new(pins.clone()));
            }
        }
        let mut left = Vec::new();
        while let Some(item) = site.poll() {
            let ItemKind::File(file) = &item.kind else { panic!("{item:?}") };
            left.push((label(&item), file.age));
            site.end(&item, Verdict::Accepted);
        }
        left.sort_by(|a, b| a.0.cmp(&b.0));
        left.dedup();
        let ages = [("s1", Age::History), ("s2", Age::Realtime), ("s3", Age::Realtime)];
        assert_eq!(left, ages.map(|(it, age)| (it.to_owned(), age)), "{rewrites_at:?}");
    }
}

#[test]
fn without_its_pin_it_is_a_gap_whenever_that_goes() {
    type Loss = fn(&mut Site);
    let lose: Loss = |site| {
        site.source.handle_pins(Arc::default());
        site.persist();
    };
    let cases: [(&str, Loss, Loss); 4] = [
        ("before it is settled", lose, |_| ()),
        ("while it waits", |_| (), lose),
        (
            "as it is opened",
            |_| (),
            |site| {
                while let Some(item) = site.poll() {
                    match pinned_mods(&item) {
                        Some(_) => site.source.handle_stall(site.now, item.token, Stall::Moved),
                        None => site.end(&item, Verdict::Accepted),
                    }
                    site.persist();
                }
            },
        ),
        (
            "while it is out",
            |_| (),
            |site| {
                while let Some(item) = site.poll() {
                    let from_pin = pinned_mods(&item).is_some();
                    if from_pin {
                        site.source.handle_pins(Arc::default());
                    }
                    site.end(&item, if from_pin { Verdict::Unknown } else { Verdict::Accepted });
                }
            },
        ),
    ];
    for (when, before, after) in cases {
        let (mut site, _) = dropped();
        before(&mut site);
        (0..3).for_each(|_| site.scan());
        after(&mut site);
        site.drain();
        assert_eq!(site.reasons(), [GapReason::VanishedUnsent], "{when}");
        assert_eq!(site.gaps[0].times, Some((100, 199)), "{when}");
        let status = site.status(1);
        assert_eq!((status.vanished_files, status.orphaned_files), (1, 0), "{when}");
        site.restart();
        (0..3).for_each(|_| assert_eq!(site.turn(), [""; 0], "{when}"));
        assert_eq!(site.gaps.len(), 1, "{when}");
    }
}

#[test]
fn a_pin_outlives_the_sender_with_a_word_about_deletions_that_nobody_saw() {
    for n_scans in 0..4 {
        let (mut site, pins) = dropped();
        (0..n_scans).for_each(|_| site.scan());
        site.restart();
        site.source.handle_pins(Arc::new(pins.clone()));
        let mut left = Vec::new();
        for _ in 0..4 {
            site.scan();
            while let Some(item) = site.poll() {
                left.push((label(&item), pinned_mods(&item)));
                site.end(&item, Verdict::Accepted);
            }
        }
        let any = Some(PinnedMods::Any);
        let n_rescued = left.iter().filter(|it| **it == ("s1".to_owned(), any)).count();
        assert_eq!(n_rescued, 1, "killed after {n_scans} scans: {left:?}");
        // Where its rows are is not known any more, so all that it might hide comes behind it.
        assert_eq!(left.last(), Some(&("s2".to_owned(), None)), "killed after {n_scans} scans");
        assert_eq!(site.reasons(), [GapReason::DeletionsUnseen], "killed after {n_scans} scans");
    }
}

/// Files of lower versions too: after a start of the DataNode versions are given again.
#[test]
fn what_leaves_from_a_pin_hides_nothing_that_the_source_has() {
    let mut site = Site::new(SourceConfig::default());
    let mut pins = HashSet::new();
    let devices: &[(&str, i64, i64)] = &[("root.t.d1", 0, 9)];
    let file = site.tree.add_with(&unsequence(1), name(5), devices);
    for _ in 0..2 {
        site.scan();
        pin(&mut site, &mut pins);
    }
    site.tree.remove(&file);
    site.scan();
    site.tree.add_with(&sequence(1), name(1), devices);
    site.tree.add_with(&unsequence(1), name(9), devices);
    site.tree.add(&sequence(1), 7);
    assert_eq!(site.turn(), ["s1", "s7", "u9"]);
    settle(&mut site, &mut pins);
    assert_eq!(site.drain(), ["u5", "s1", "u9"], "those that overlap it come behind it");
    assert_eq!(site.reasons(), []);
}

/// What IoTDB's LOAD puts into place is young until its deletions are surely there.
#[test]
fn a_file_that_went_while_it_was_young_is_remembered_like_any_other() {
    let (mut site, mut pins) = (Site::new(SourceConfig::default()), HashSet::new());
    let file = site.tree.add(&unsequence(1), 1);
    site.tree.add(&sequence(1), 2);
    site.tree.file(&file).is_young = true;
    for _ in 0..2 {
        site.scan();
        pin(&mut site, &mut pins);
    }
    site.tree.remove(&file);
    settle(&mut site, &mut pins);
    site.restart();
    site.source.handle_pins(Arc::new(pins.clone()));
    let mut left = site.turn();
    left.sort();
    left.dedup();
    assert_eq!(left, ["s2", "u1"]);
    assert_eq!(site.reasons(), [GapReason::DeletionsUnseen], "they may have been on their way");
}

#[test]
fn what_went_into_a_target_leaves_with_it_and_not_from_its_pin() {
    let (mut site, mut pins) = dropped();
    let target = site.tree.add_with(&sequence(1), compacted(1), &[("root.t.d1", 100, 299)]);
    Arc::make_mut(&mut site.tree.file(&target).facts).progress =
        Some(tidegate_tsfile::ProgressIndex::iot(1, 2).into());
    let second = (sequence(1), name(2));
    site.tree.remove(&second);
    let mut left = Vec::new();
    for _ in 0..6 {
        left.extend(site.turn());
        pin(&mut site, &mut pins);
        site.pass(100);
    }
    assert_eq!(left, ["s1"]);
    assert_eq!((site.status(1).superseded_files, site.status(1).sent_files), (2, 1));
    assert!(pins.is_empty(), "{pins:?}");
}

/// Deletions may stand beside the target alone, and have left: rows of the files that it is made of
/// would come back.
#[test]
fn what_may_be_in_a_target_that_goes_too_does_not_leave_from_its_pin() {
    for (restarts, is_first) in [(false, false), (false, true), (true, false)] {
        let (mut site, mut pins) = (Site::new(SourceConfig::default()), HashSet::new());
        let sources = [1, 2].map(|version| site.tree.add(&sequence(1), version));
        for _ in 0..2 {
            site.scan();
            pin(&mut site, &mut pins);
        }
        let target = site.tree.add_with(&sequence(1), compacted(1), &[("root.t.d1", 100, 299)]);
        Arc::make_mut(&mut site.tree.file(&target).facts).progress =
            Some(tidegate_tsfile::ProgressIndex::iot(1, 2).into());
        site.scan();
        site.tree.remove(&target);
        if is_first {
            site.scan();
        }
        sources.iter().for_each(|file| drop(site.tree.remove(file)));
        site.tree.add(&sequence(1), 3);
        if restarts {
            site.restart();
            site.source.handle_pins(Arc::new(pins.clone()));
        }
        settle(&mut site, &mut pins);
        assert_eq!(site.drain(), ["s3"], "{restarts}, {is_first}");
        let n_unseen =
            site.reasons().iter().filter(|it| **it == GapReason::DeletionsUnseen).count();
        assert_eq!(n_unseen > 0, restarts, "nobody watched meanwhile");
        let vanished = site.gaps.iter().filter(|it| it.reason == GapReason::VanishedUnsent);
        let mut vanished: Vec<_> = vanished.map(|gap| gap.name).collect();
        vanished.sort();
        assert_eq!(vanished, [name(1), compacted(1), name(2)], "{restarts}, {is_first}");
    }
}

#[test]
fn a_pin_comes_with_the_deletions_that_were_listed() {
    let (mut site, mut pins) = (Site::new(SourceConfig::default()), HashSet::new());
    let file = site.tree.add(&sequence(1), 1);
    site.scan();
    let mark = |length_bytes, inode| {
        Some(ModsMark { seen: ModsSeen { kind: ModsKind::Text, length_bytes }, inode })
    };
    let wanted = |site: &Site| site.source.pins_wanted(10).into_iter().next().map(|it| it.mods);
    site.scan();
    assert_eq!(wanted(&site), Some(None));
    pin(&mut site, &mut pins);
    let entry = deletion("root.t.d1.s", 150, 150);
    site.tree.set_mods(&file, 77, &[entry.clone(), entry]);
    site.scan();
    assert_eq!(wanted(&site), Some(mark(20, 77)));
    site.tree.remove(&file);
    settle(&mut site, &mut pins);
    // The deletion itself leaves first, as it came after the file was seen.
    assert_eq!(site.poll().map(|item| label(&item)), Some("150..150 of root.t.d1.s".to_owned()));
}

/// It arrived, nobody said so, and then its pin was gone: that deletions may have been missed was not
/// said either.
#[test]
fn a_pin_that_goes_after_its_file_may_have_arrived_leaves_a_word_about_deletions() {
    let (mut site, mut pins, key) = pinned();
    site.tree.watched = watched(HashSet::from([at(&key)]));
    site.tree.remove(&key);
    site.scan();
    site.tree.hush();
    settle(&mut site, &mut pins);
    let item = site.poll().expect("the file");
    site.source.handle_pins(Arc::default());
    site.end(&item, Verdict::Unknown);
    assert_eq!(site.reasons(), [GapReason::VanishedUnsent, GapReason::DeletionsUnseen]);
}

/// They were held once more, and nothing was new in them.
#[test]
fn last_deletions_that_were_listed_are_no_news() {
    let mut site = Site::new(SourceConfig::default());
    let mut pins = HashSet::new();
    let key = site.tree.add(&sequence(1), 1);
    site.tree.set_mods(&key, 1, &[deletion("root.t.d1.s", 120, 130)]);
    for _ in 0..3 {
        site.scan();
        pin(&mut site, &mut pins);
    }
    site.tree.go_caught(&key);
    let mut left = Vec::new();
    for _ in 0..5 {
        site.scan();
        site.tree.hush();
        pin(&mut site, &mut pins);
        left.extend(site.drain());
    }
    assert_eq!((left, site.reasons()), (vec!["s1".to_owned()], vec![]));
}

/// Nobody knew them any more, and they were let go: the last that was left of their rows.
#[test]
fn pins_of_files_that_a_damaged_ledger_does_not_know_are_kept() {
    for is_damaged in [true, false] {
        let (mut site, mut pins) = dropped();
        settle(&mut site, &mut pins);
        let n_pins = pins.len();
        site.records.clear();
        site.restart();
        if is_damaged {
            site.source.distrust_past();
        }
        site.source.handle_pins(Arc::new(pins.clone()));
        site.scan();
        pin(&mut site, &mut pins);
        assert_eq!(pins.len(), n_pins - usize::from(!is_damaged));
    }
}

/// What the pin lacks leaves before it, and behind it once more: its rows come back with it.
#[test]
fn the_last_deletions_leave_once_more_behind_a_file_whose_pin_lacks_them() {
    let (mut site, mut pins, key) = pinned();
    site.tree.set_mods(&key, 1, &[deletion("root.t.d1.s", 120, 130)]);
    site.tree.go_caught(&key);
    // Rows that were written after the deletion.
    site.tree.add_with(&sequence(1), name(2), &[("root.t.d1", 125, 300)]);
    let mut left = Vec::new();
    for _ in 0..5 {
        site.scan();
        pin(&mut site, &mut pins);
        site.tree.hush();
        while let Some(item) = site.poll() {
            let from_pin = matches!(item.kind, ItemKind::File(_)).then(|| pinned_mods(&item));
            left.push((label(&item), from_pin.flatten()));
            site.end(&item, Verdict::Accepted);
        }
    }
    let deletion = ("120..130 of root.t.d1.s".to_owned(), None);
    let late = ("s2".to_owned(), None);
    let pinned = ("s1".to_owned(), Some(PinnedMods::Exactly(None)));
    assert_eq!(left, [deletion.clone(), late.clone(), pinned, deletion, late]);
    assert_eq!(site.reasons(), []);
    site.restart();
    assert_eq!([site.turn(), site.turn()].concat(), [""; 0]);
}

#[test]
fn a_file_that_is_there_again_is_like_any_other() {
    let (mut site, mut pins) = dropped();
    settle(&mut site, &mut pins);
    assert_eq!(site.status(1).orphaned_files, 1);
    let was = site.records.iter().find_map(|record| match record {
        Record::Seen(known, _) if known.name == name(1) => Some(known.identity),
        _ => None,
    });
    site.tree.add(&sequence(1), 1);
    let again: Key = (sequence(1), name(1));
    site.tree.file(&again).identity = was.expect("it was seen");
    site.scan();
    assert_eq!(site.status(1).orphaned_files, 0);
    for restarts in [false, true] {
        if restarts {
            site.restart();
            site.source.handle_pins(Arc::new(pins.clone()));
            site.scan();
        }
        let item = site.poll().expect("it waits");
        assert_eq!(pinned_mods(&item), None);
        site.end(&item, Verdict::Refused);
        site.pass(100);
    }
    let mut left = site.drain();
    left.sort();
    assert_eq!(left, ["s1", "s2"]);
    assert_eq!(site.reasons(), []);
}

#[test]
fn pins_are_wanted_by_turns_of_the_regions_in_order_and_not_at_first_sight() {
    let mut site = Site::new(SourceConfig::default());
    for (region, version) in [(1, 3), (1, 1), (1, 2), (2, 9), (2, 8), (3, 5)] {
        site.tree.add(&sequence(region), version);
    }
    site.scan();
    assert_eq!(site.source.pins_wanted(10), [], "most files leave at once");
    site.scan();
    let wanted = |n_files_max| -> Vec<u64> {
        let wanted = site.source.pins_wanted(n_files_max).into_iter();
        wanted.map(|it| it.name.version).collect()
    };
    assert_eq!(wanted(10), [1, 8, 5, 2, 9, 3]);
    assert_eq!(wanted(4), [1, 8, 5, 2]);
    assert_eq!(wanted(0), [0; 0]);
    let mut site =
        Site::new(SourceConfig { drop_policy: DropPolicy::Delete, ..SourceConfig::default() });
    site.tree.add(&sequence(1), 1);
    (0..3).for_each(|_| site.scan());
    assert_eq!(site.source.pins_wanted(10), [], "what is dropped is to go at the far side, too");
}

/// Its count of waiting files once went below zero.
#[test]
fn an_orphan_of_an_earlier_run_that_is_there_again_leaves_like_any_other() {
    let (mut site, mut pins) = dropped();
    settle(&mut site, &mut pins);
    let was = site.records.iter().find_map(|record| match record {
        Record::Orphaned(identity) => Some(*identity),
        _ => None,
    });
    site.restart();
    site.source.handle_pins(Arc::new(pins.clone()));
    site.scan();
    site.tree.add(&sequence(1), 1);
    site.tree.file(&(sequence(1), name(1))).identity = was.expect("it is one");
    let mut left = site.turn();
    left.extend(site.turn());
    left.sort();
    left.dedup();
    assert_eq!(left, ["s1", "s2"]);
}

#[test]
fn a_damaged_orphan_is_a_gap_and_holds_up_nothing() {
    let (mut site, mut pins) = dropped();
    settle(&mut site, &mut pins);
    while let Some(item) = site.poll() {
        match pinned_mods(&item) {
            Some(_) => {
                let damaged = Stall::Damaged("no tail".to_owned());
                site.source.handle_stall(site.now, item.token, damaged);
                site.persist();
            }
            None => site.end(&item, Verdict::Accepted),
        }
    }
    assert_eq!(site.reasons(), [GapReason::VanishedUnsent]);
    assert!(site.status(1).aside.is_empty());
}

/// DROP DATABASE while the sender was down: nothing of the region is ever listed again.
#[test]
fn files_of_a_region_that_went_as_a_whole_leave_from_their_pins_or_are_gaps() {
    for is_pinned in [true, false] {
        let (mut site, mut pins) = (Site::new(SourceConfig::default()), HashSet::new());
        let file = site.tree.add(&sequence(1), 1);
        site.tree.add(&sequence(2), 2);
        for _ in 0..2 {
            site.scan();
            pin(&mut site, &mut pins);
        }
        site.tree.remove(&file);
        site.restart();
        if is_pinned {
            site.source.handle_pins(Arc::new(pins.clone()));
        }
        let mut left = Vec::new();
        for _ in 0..8 {
            left.extend(site.turn());
            site.pass(100);
        }
        left.sort();
        assert_eq!(left, if is_pinned { vec!["s1", "s2"] } else { vec!["s2"] });
        let lost = site.reasons().contains(&GapReason::VanishedUnsent);
        assert_eq!(lost, !is_pinned, "{:?}", site.reasons());
    }
}
