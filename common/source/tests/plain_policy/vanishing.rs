//! Files that go before they could leave, and folders that cannot be read.

use std::sync::Arc;

use tidegate_model::Verdict;
use tidegate_source::Effect;
use tidegate_source::FileIdentity;
use tidegate_source::GapReason;
use tidegate_source::Listing;
use tidegate_source::Outcome;
use tidegate_source::RegionKey;
use tidegate_source::Scan;
use tidegate_source::Source;
use tidegate_source::Space;
use tidegate_source::Stall;
use tidegate_source::Unread;

use crate::tree::NOTHING;
use crate::tree::Tree;
use crate::tree::accept;
use crate::tree::at;
use crate::tree::drain;
use crate::tree::identity;
use crate::tree::place;

#[test]
fn a_file_that_vanishes_unsent_leaves_a_gap_unless_new_ones_took_its_place() {
    let mut tree = Tree::default();
    let here = place(1, 0, Space::Sequence);
    tree.add(&here, 1);
    tree.add(&place(2, 0, Space::Sequence), 1);
    tree.add(&place(3, 0, Space::Sequence), 1);
    let mut source = Source::new(0);
    source.handle_scan(&tree.scan());
    tree.files.clear();
    tree.add(&here, 2); // a flush, which holds nothing of what vanished
    tree.add_compacted(&place(2, 0, Space::Unsequence), 2, 1); // a compaction's target
    tree.add(&place(3, 0, Space::Sequence), 1); // the same name on another disk, say
    source.handle_scan(&tree.scan());
    let effects: Vec<Effect> = std::iter::from_fn(|| source.poll_effect()).collect();
    let [Effect::Gap(gap)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((gap.reason, &gap.place), (GapReason::VanishedUnsent, &here));
    let superseded: Vec<u64> = source.status().map(|(_, it)| it.superseded_files).collect();
    assert_eq!(superseded, [0, 1, 1]);
}

#[test]
fn a_folder_that_cannot_be_read_is_not_a_folder_that_is_gone() {
    let mut tree = Tree::default();
    let file = tree.add(&place(1, 0, Space::Sequence), 1);
    let mut source = Source::new(0);
    source.handle_scan(&tree.scan());
    for region in [Some(RegionKey { database: "root.t".to_owned(), region: 1 }), None] {
        let unread = vec![Unread { region, reason: "no permission".to_owned() }];
        source.handle_scan(&Scan { listings: Vec::new(), unread });
        assert_eq!(source.poll_effect(), None);
        assert_eq!(source.unread(), ["no permission"]);
        assert_eq!(source.forget_departed(), 0);
    }
    source.handle_scan(&tree.scan());
    assert_eq!(drain(&mut source, at(0)), [file]);
}

#[test]
fn a_region_does_not_wait_for_a_file_that_is_gone() {
    let mut tree = Tree::default();
    tree.add(&place(1, 0, Space::Sequence), 1);
    let mut source = Source::new(0);
    source.handle_scan(&tree.scan());
    let item = source.poll_item(at(0), |_| true).expect("the file");
    source.handle_stall(at(0), item.token, Stall::Blocked("no permission".to_owned()));
    tree.files.clear();
    let other = tree.add(&place(1, 0, Space::Sequence), 2);
    source.handle_scan(&tree.scan());
    let (_, status) = source.status().next().expect("a region");
    assert_eq!(status.blocked, None);
    assert_eq!(drain(&mut source, at(1)), [other]);
}

#[test]
fn what_was_sent_of_a_region_is_not_forgotten_before_the_region_was_seen_since_the_start() {
    let mut tree = Tree::default();
    for region in [1, 2] {
        tree.add(&place(region, 0, Space::Sequence), 1);
        tree.add(&place(region, 0, Space::Sequence), 2);
    }
    let mut source = Source::new(0);
    source.handle_scan(&tree.scan());
    let mut records = Vec::new();
    while let Some(item) = source.poll_item(at(0), |_| true) {
        for effect in accept(&mut source, at(0), &item, NOTHING) {
            let Effect::Cursor(record) = effect else { panic!("{effect:?}") };
            records.push(record);
        }
    }
    let mut restarted = Source::new(0);
    records.into_iter().for_each(|record| restarted.load(record));
    // Region 1 lies on a disk that is not mounted yet; region 2 lost a file for good.
    let mounted = tree.clone();
    tree.files.retain(|(place, name), _| place.region.region == 2 && name.version == 2);
    restarted.handle_scan(&tree.scan());
    assert_eq!(restarted.forget_departed(), 1);
    restarted.handle_scan(&mounted.scan());
    assert_eq!(drain(&mut restarted, at(0)).len(), 1, "the one that was forgotten");
    tree.files.clear();
    restarted.handle_scan(&tree.scan());
    assert_eq!(restarted.forget_departed(), 2, "all but the last of each region");
}

#[test]
fn a_file_that_moved_lets_nothing_of_its_region_pass_until_a_later_scan_is_in_whole() {
    let mut tree = Tree::default();
    let first = tree.add(&place(1, 0, Space::Sequence), 1);
    let second = tree.add(&place(1, 1, Space::Sequence), 2);
    let other = tree.add(&place(2, 0, Space::Sequence), 3);
    let mut source = Source::new(u64::MAX);
    source.handle_scan(&tree.scan());
    let item = source.poll_item(at(0), |region| region.region == 1).expect("the first");
    source.handle_stall(at(0), item.token, Stall::Moved);
    assert_eq!(drain(&mut source, at(1)), [other], "the first may only have a new name");
    assert!(!source.has_item(at(1), |_| true));
    assert_eq!(source.poll_timeout(), None, "only a scan can tell");
    source.begin_scan(Arc::new(tree.scan()));
    assert!(source.take_in(1));
    assert_eq!(drain(&mut source, at(1)), []);
    while source.take_in(1) {}
    assert_eq!(drain(&mut source, at(1)), [first, second]);
}

#[test]
fn a_file_that_moved_while_a_scan_was_being_taken_in_waits_for_the_next_one() {
    let mut tree = Tree::default();
    let first = tree.add(&place(1, 0, Space::Sequence), 1);
    let second = tree.add(&place(1, 1, Space::Sequence), 2);
    let mut source = Source::new(u64::MAX);
    source.handle_scan(&tree.scan());
    let item = source.poll_item(at(0), |_| true).expect("the first");
    source.begin_scan(Arc::new(tree.scan()));
    assert!(source.take_in(1));
    source.handle_stall(at(0), item.token, Stall::Moved);
    while source.take_in(1) {}
    assert_eq!(drain(&mut source, at(1)), [], "this scan began before it moved");
    source.handle_scan(&tree.scan());
    assert_eq!(drain(&mut source, at(1)), [first, second]);
}

#[test]
fn a_file_that_came_back_while_a_scan_was_taken_in_part_by_part_is_no_gap() {
    let mut tree = Tree::default();
    let from = place(1, 0, Space::Unsequence);
    let file = tree.add(&from, 3);
    tree.add(&place(1, 0, Space::Sequence), 9);
    let mut source = Source::new(0);
    source.handle_scan(&tree.scan());
    let item = source.poll_item(at(0), |_| true).expect("a file");
    accept(&mut source, at(0), &item, NOTHING);
    let item = source.poll_item(at(0), |_| true).expect("the unsequence file");
    assert_eq!(identity(&item), file);
    // It is renamed into a folder that is listed later than the one it leaves.
    let (key, moved) = tree.files.pop_last().expect("the file");
    assert_eq!(key.0, from);
    tree.add(&from, 4);
    let to = place(1, 7, Space::Sequence);
    tree.files.insert((to, moved.name), moved);
    let mut scan = tree.scan();
    scan.listings.sort_by_key(|listing| listing.place != from);
    source.begin_scan(Arc::new(scan));
    assert!(source.take_in(1), "the folder that it left is in, the one it lies in is not");
    source.handle_outcome(at(0), item.token, &Outcome::bare(Verdict::Unknown, ""), NOTHING);
    assert_eq!(source.poll_effect(), None);
    while source.take_in(1) {}
    assert_eq!(source.poll_effect(), None);
    assert!(drain(&mut source, at(1)).contains(&file));
}

#[test]
fn a_compaction_seen_half_way_is_no_gap_however_many_scans_it_takes() {
    let mut tree = Tree::default();
    let here = place(1, 0, Space::Sequence);
    tree.add(&here, 1);
    tree.add(&here, 2);
    let mut source = Source::new(0);
    source.handle_scan(&tree.scan());
    let target = tree.add_compacted(&here, 1, 1);
    for _ in 0..5 {
        source.handle_scan(&tree.scan()); // a query keeps the sources alive
    }
    for version in [1, 2] {
        tree.files.retain(|(_, name), _| name.version != version || name.inner > 0);
        source.handle_scan(&tree.scan());
        assert_eq!(source.poll_effect(), None);
    }
    assert_eq!(drain(&mut source, at(0)), [target]);
    let (_, status) = source.status().next().expect("a region");
    assert_eq!((status.superseded_files, status.vanished_files), (2, 0));
}

#[test]
fn targets_older_than_a_file_gone_themselves_or_its_own_name_do_not_stand_for_it() {
    let mut tree = Tree::default();
    let here = place(1, 0, Space::Sequence);
    let old = tree.add_compacted(&here, 1, 1);
    let mut source = Source::new(0);
    source.handle_scan(&tree.scan());
    assert_eq!(drain(&mut source, at(0)), [old]);
    while source.poll_effect().is_some() {}
    let gaps = |source: &mut Source| {
        let effects = std::iter::from_fn(|| source.poll_effect());
        let gaps = effects.filter(|effect| matches!(effect, Effect::Gap(_)));
        gaps.count()
    };
    tree.add(&here, 5);
    source.handle_scan(&tree.scan());
    tree.files.retain(|(_, name), _| name.version != 5);
    source.handle_scan(&tree.scan());
    assert_eq!(gaps(&mut source), 1, "the target is older");
    tree.add(&here, 6);
    source.handle_scan(&tree.scan());
    tree.add_compacted(&here, 6, 1);
    source.handle_scan(&tree.scan());
    tree.files.retain(|(_, name), _| name.version != 6);
    source.handle_scan(&tree.scan());
    assert_eq!(gaps(&mut source), 2, "file and target are gone, neither stands for the other");
    // Two of the same scan: a compaction under way at that moment ends within the next.
    tree.add(&here, 7);
    tree.add_compacted(&here, 8, 1);
    source.handle_scan(&tree.scan());
    source.handle_scan(&tree.scan());
    tree.files.retain(|(_, name), _| name.version != 7);
    source.handle_scan(&tree.scan());
    assert_eq!(gaps(&mut source), 1, "the target was there all the time");
}

#[test]
fn a_compaction_target_takes_the_place_of_the_unsent_files_that_went_into_it() {
    for scans_between in 0..3 {
        let mut tree = Tree::default();
        let (sequence, unsequence) = (place(1, 0, Space::Sequence), place(1, 0, Space::Unsequence));
        tree.add(&sequence, 1);
        let mut source = Source::new(u64::MAX);
        source.handle_scan(&tree.scan());
        let newer = tree.add(&unsequence, 2);
        source.handle_scan(&tree.scan());
        let target = tree.add_compacted(&sequence, 1, 1);
        for _ in 0..scans_between {
            source.handle_scan(&tree.scan());
        }
        tree.files.retain(|(_, name), _| name.version != 1 || name.inner > 0);
        source.handle_scan(&tree.scan());
        assert_eq!(drain(&mut source, at(0)), [target, newer], "after {scans_between} scans");
    }
}

#[test]
fn a_file_that_shrank_in_place_is_a_gap_and_one_that_moved_to_another_disk_is_not() {
    for (length_bytes, n_gaps) in [(50, 1), (101, 0), (150, 0)] {
        let mut tree = Tree::default();
        let here = place(1, 0, Space::Sequence);
        let old = tree.add(&here, 1);
        assert_eq!(old.length_bytes, 101);
        let mut source = Source::new(0);
        source.handle_scan(&tree.scan());
        let changed = FileIdentity { length_bytes, mtime_ns: 8, ..old };
        tree.files.values_mut().for_each(|file| file.identity = changed);
        source.handle_scan(&tree.scan());
        let effects: Vec<Effect> = std::iter::from_fn(|| source.poll_effect()).collect();
        assert_eq!(effects.len(), n_gaps, "{length_bytes}: {effects:?}");
        assert_eq!(drain(&mut source, at(0)), [changed]);
    }
}

#[test]
fn a_file_copied_to_another_disk_and_removed_scans_later_is_no_gap_and_keeps_its_place() {
    let mut tree = Tree::default();
    tree.add(&place(1, 0, Space::Sequence), 1);
    let mut source = Source::new(0);
    source.handle_scan(&tree.scan());
    let newer = tree.add(&place(1, 0, Space::Unsequence), 2);
    let mut scan = tree.scan();
    source.handle_scan(&scan);
    let mut copy = Listing::clone(&scan.listings[0]);
    assert_eq!(copy.place.space, Space::Sequence);
    copy.folder = "/tier2".into();
    copy.sealed[0].identity.inode = 77;
    let moved = copy.sealed[0].identity;
    scan.listings.push(Arc::new(copy));
    source.handle_scan(&scan);
    source.handle_scan(&scan);
    scan.listings.remove(0);
    source.handle_scan(&scan);
    assert_eq!(source.poll_effect(), None);
    assert_eq!(drain(&mut source, at(0)), [moved, newer], "in the place of the first");
}
