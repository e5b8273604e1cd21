//! Lists of deletions beside files that no scan has shown.

use std::collections::HashSet;
use std::sync::Arc;

use tidegate_model::Verdict;
use tidegate_source::FileIdentity;
use tidegate_source::GapReason;
use tidegate_source::SealedFile;
use tidegate_source::SourceConfig;
use tidegate_source::TsFileName;
use tidegate_source::Watched;

use crate::tree::At;
use crate::tree::Key;
use crate::tree::Site;
use crate::tree::at;
use crate::tree::compacted;
use crate::tree::deletion;
use crate::tree::disk;
use crate::tree::label;
use crate::tree::name;
use crate::tree::sequence;
use crate::tree::watched;

/// A file that has left, and the target that took it in, with a deletion beside it; neither is there.
fn gone() -> (Site, At, SealedFile) {
    let mut site = Site::new(SourceConfig::default());
    let source = site.tree.add_with(&sequence(1), name(1), &[("root.t.d1", 0, 9)]);
    assert_eq!(site.turn(), ["s1"]);
    let file = site.tree.remove(&source);
    let key = site.tree.add_with(&sequence(1), compacted(1), &[("root.t.d1", 0, 9)]);
    Arc::make_mut(&mut site.tree.file(&key).facts).progress = file.facts.progress.clone();
    site.tree.set_mods(&key, 5, &[deletion("root.t.d1.s", 2, 3)]);
    let target = site.tree.remove(&key);
    (site, at(&key), target)
}

/// What took in all that was there, in the end.
fn add_last(site: &mut Site) -> Key {
    let name = TsFileName { inner: 2, ..compacted(1) };
    site.tree.add_with(&sequence(1), name, &[("root.t.d1", 0, 9)])
}

/// The deletion left once, or a gap says once that it was missed.
#[track_caller]
fn taken_or_missed(site: &Site, left: &[String], is_caught: bool) {
    let n_deletions = left.iter().filter(|it| it.starts_with("2..3")).count();
    assert_eq!(n_deletions, usize::from(is_caught), "{left:?}");
    let gaps = [GapReason::DeletionsUnseen];
    assert_eq!(site.reasons(), gaps[usize::from(is_caught)..], "caught {is_caught}");
}

/// A target that no scan has shown had it, and the next one has applied it.
#[test]
fn one_beside_a_file_that_came_and_went_is_taken_or_missed() {
    for (is_caught, is_late) in [(true, false), (false, false), (false, true)] {
        let (mut site, at, target) = gone();
        let key = (sequence(1), at.1);
        // The first target is there and gone, or is only shown by the scan after the next.
        site.tree.watched = Watched::Yes {
            broken: HashSet::from([(key.0.region.clone(), 0)]),
            unseen: HashSet::new(),
            touched: HashSet::from([at.clone()]),
        };
        if is_caught {
            site.tree.catch(at, &target);
        }
        // Rows that were written after the deletion.
        site.tree.add_with(&sequence(1), name(5), &[("root.t.d1", 3, 5)]);
        let first = site.turn();
        assert_eq!(first, if is_caught { &["2..3 of root.t.d1.s"][..] } else { &[] });
        if is_late {
            site.tree.files.insert((disk(), key.0, key.1), target);
        } else {
            let progress = target.facts.progress.clone();
            let last = add_last(&mut site);
            Arc::make_mut(&mut site.tree.file(&last).facts).progress = progress;
        }
        let left = site.calm_down();
        let n_deletions = left.iter().filter(|it| it.starts_with("2..3")).count();
        assert_eq!(n_deletions, usize::from(is_late), "{left:?}");
        assert_eq!(left.last().map(String::as_str), Some("s5"), "{left:?}");
        let gaps: &[_] = if is_caught || is_late { &[] } else { &[GapReason::DeletionsUnseen] };
        assert_eq!(site.reasons(), gaps, "caught {is_caught}, late {is_late}");
    }
}

/// The watcher tells of it again, as long as its region is unsettled: a gap each time.
#[test]
fn one_that_is_told_again_and_again_is_taken_or_missed_once() {
    for is_caught in [true, false] {
        let (mut site, at, target) = gone();
        add_last(&mut site);
        site.tree.watched = watched(HashSet::from([at.clone()]));
        if is_caught {
            site.tree.catch(at.clone(), &target);
        }
        let mut left = Vec::new();
        for _ in 0..6 {
            let mut scan = site.tree.scan();
            scan.unsettled.insert(sequence(1).region);
            site.source.handle_scan(site.now, &scan);
            site.persist();
            left.extend(site.drain());
            site.tree.last_mods.clear();
        }
        left.extend(site.calm_down());
        taken_or_missed(&site, &left, is_caught);
    }
}

/// It was listed without its `.resource`; the list was thrown away with what had been caught of it.
#[test]
fn one_beside_a_target_that_was_only_listed_open_is_taken_once_that_is_gone() {
    for is_caught in [true, false] {
        let (mut site, at, target) = gone();
        site.tree.open.insert((sequence(1), at.1));
        site.tree.watched = watched(HashSet::from([at.clone()]));
        let mut left = site.turn();
        site.tree.watched = watched(HashSet::new());
        site.tree.open.clear();
        add_last(&mut site);
        if is_caught {
            site.tree.catch(at, &target);
        }
        left.extend(site.turn());
        left.extend(site.calm_down());
        taken_or_missed(&site, &left, is_caught);
    }
}

/// It was only new, and listed by the next scan at the latest: what came then was not looked at.
#[test]
fn one_that_was_taken_and_had_more_before_its_file_went_is_taken_once_more() {
    let (mut site, at, mut target) = gone();
    site.tree.watched = watched(HashSet::from([at.clone()]));
    site.tree.catch(at.clone(), &target);
    assert_eq!(site.turn(), ["2..3 of root.t.d1.s"]);
    let entries = [deletion("root.t.d1.s", 2, 3), deletion("root.t.d1.s", 6, 7)];
    let key = site.tree.add_with(&sequence(1), at.1, &[("root.t.d1", 0, 9)]);
    site.tree.set_mods(&key, 5, &entries);
    target.mods = site.tree.remove(&key).mods;
    site.tree.catch(at, &target);
    add_last(&mut site);
    let left = site.turn();
    assert!(left.contains(&"6..7 of root.t.d1.s".to_owned()), "{left:?}");
    site.calm_down();
    assert_eq!(site.reasons(), []);
}

/// They were repeated whenever the file left, also with a list of its own again.
#[test]
fn the_last_ones_of_a_file_that_is_there_again_are_not_repeated() {
    let mut site = Site::new(SourceConfig::default());
    let key = site.tree.add_with(&sequence(1), name(1), &[("root.t.d1", 0, 9)]);
    site.tree.open.insert((sequence(1), name(9)));
    site.scan();
    let item = site.poll().expect("the file");
    site.tree.set_mods(&key, 1, &[deletion("root.t.d1.s", 2, 3)]);
    let file = site.tree.go_caught(&key);
    site.scan();
    site.tree.files.insert((disk(), key.0.clone(), key.1), file);
    site.tree.hush();
    let entries = [deletion("root.t.d1.s", 2, 3), deletion("root.t.d1.s", 6, 7)];
    site.tree.set_mods(&key, 1, &entries);
    site.scan();
    site.end(&item, Verdict::Accepted);
    let mut left = site.drain();
    left.extend(site.calm_down());
    assert_eq!(left, ["2..3 of root.t.d1.s", "6..7 of root.t.d1.s"]);
    assert_eq!(site.reasons(), []);
}

/// Nothing of it had left, and what took it in leaves whole.
#[test]
fn one_beside_an_open_file_that_was_compacted_unseen_needs_no_word() {
    let mut site = Site::new(SourceConfig::default());
    site.tree.add_with(&sequence(1), name(1), &[("root.t.d1", 0, 9)]);
    let open = (sequence(1), name(2));
    site.tree.open.insert(open.clone());
    assert_eq!(site.turn(), ["s1"]);
    site.tree.open.remove(&open);
    site.tree.watched = watched(HashSet::from([at(&open)]));
    site.tree.add_with(&sequence(1), compacted(2), &[("root.t.d1", 20, 29)]);
    let mut left = site.turn();
    left.extend(site.calm_down());
    assert_eq!((left, site.reasons()), (vec!["s2".to_owned()], vec![]));
}

/// It was still open at IoTDB when its file went, and nobody had taken it for written to.
#[test]
fn one_that_is_told_of_after_its_file_went_is_a_gap_unless_that_was_dealt_with() {
    for is_known in [true, false] {
        let mut site = Site::new(SourceConfig::default());
        let source = site.tree.add_with(&sequence(1), name(1), &[("root.t.d1", 0, 9)]);
        site.turn();
        site.tree.set_mods(&source, 1, &[deletion("root.t.d1.s", 2, 3)]);
        let file = site.tree.remove(&source);
        if is_known {
            site.tree.catch(at(&source), &file);
        }
        site.tree.add_with(&sequence(1), compacted(1), &[("root.t.d1", 0, 9)]);
        site.turn();
        site.tree.last_mods.clear();
        site.tree.watched = watched(HashSet::from([at(&source)]));
        site.turn();
        site.turn();
        site.calm_down();
        let gaps = [GapReason::DeletionsUnseen];
        assert_eq!(site.reasons(), gaps[usize::from(is_known)..], "known {is_known}");
    }
}

/// A pipe that was just set up wrote down what another had missed.
#[test]
fn one_beside_a_file_that_went_before_the_first_scan_needs_no_word() {
    let mut site = Site::new(SourceConfig::default());
    site.tree.add_with(&sequence(1), name(5), &[("root.t.d1", 50, 59)]);
    site.tree.watched = watched(HashSet::from([at(&(sequence(1), name(1)))]));
    site.turn();
    site.turn();
    site.calm_down();
    assert_eq!(site.reasons(), []);
}

/// An insertion had given it another name, which came and went; it left from its pin without them.
#[test]
fn one_beside_another_name_of_a_file_follows_it_from_its_pin() {
    for folder_stays in [true, false] {
        let mut site = Site::new(SourceConfig::default());
        if folder_stays {
            site.tree.open.insert((sequence(1), name(9)));
        }
        let key = site.tree.add_with(&sequence(1), name(1), &[("root.t.d1", 0, 9)]);
        site.scan();
        site.scan();
        let pins: HashSet<FileIdentity> =
            site.source.pins_wanted(9).iter().map(|it| it.identity).collect();
        assert_eq!(pins.len(), 1);
        site.source.handle_pins(Arc::new(pins));
        site.tree.set_mods(&key, 1, &[deletion("root.t.d1.s", 2, 3)]);
        let file = site.tree.remove(&key);
        let other = at(&(sequence(1), name(7)));
        site.tree.watched = watched(HashSet::from([other.clone()]));
        site.tree.catch(other, &file);
        let mut left = site.turn();
        left.extend(site.calm_down());
        assert_eq!(left, ["2..3 of root.t.d1.s", "s1", "2..3 of root.t.d1.s"], "{folder_stays}");
        assert_eq!(site.reasons(), []);
    }
}

/// A file that was hit while it left from its pin leaves once more: without them, they were not
/// repeated.
#[test]
fn the_last_ones_follow_their_file_each_time_that_it_leaves_from_its_pin() {
    let mut site = Site::new(SourceConfig::default());
    let mut pins: HashSet<FileIdentity> = HashSet::new();
    let key = site.tree.add(&sequence(1), 1);
    let other = site.tree.add_with(&sequence(1), name(2), &[("root.t.d1", 150, 300)]);
    let pin = |site: &mut Site, pins: &mut HashSet<FileIdentity>| {
        pins.extend(site.source.pins_wanted(9).iter().map(|it| it.identity));
        site.source.handle_pins(Arc::new(pins.clone()));
        site.persist();
    };
    for _ in 0..2 {
        site.scan();
        pin(&mut site, &mut pins);
    }
    site.tree.set_mods(&key, 1, &[deletion("root.t.d1.s", 120, 130)]);
    site.tree.go_caught(&key);
    let mut left = Vec::new();
    for _ in 0..10 {
        site.scan();
        pin(&mut site, &mut pins);
        site.tree.hush();
        while let Some(item) = site.poll() {
            if label(&item) == "s1" && !left.contains(&"s1".to_owned()) {
                // The list beside the other file is written, and written anew.
                for (inode, start) in [(9, 160), (10, 150)] {
                    site.tree.set_mods(&other, inode, &[deletion("root.t.d1.s", start, 170)]);
                    site.scan();
                }
            }
            left.push(label(&item));
            site.end(&item, Verdict::Accepted);
        }
    }
    let last_of = |what: &str| left.iter().rposition(|it| it == what);
    let n_times = left.iter().filter(|it| *it == "s1").count();
    assert_eq!(n_times, 2, "{left:?}");
    assert!(last_of("120..130 of root.t.d1.s") > last_of("s1"), "{left:?}");
    assert_eq!(site.reasons(), []);
}
