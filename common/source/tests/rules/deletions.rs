//! Deletions: which leave with their file, which by themselves, and which not at all.

use std::collections::BTreeSet;
use std::collections::HashSet;
use std::sync::Arc;

use tidegate_model::Verdict;
use tidegate_source::DeletionKey;
use tidegate_source::DropPolicy;
use tidegate_source::GapReason;
use tidegate_source::Item;
use tidegate_source::ItemKind;
use tidegate_source::ModsRead;
use tidegate_source::Record;
use tidegate_source::Scope;
use tidegate_source::Series;
use tidegate_source::SourceConfig;
use tidegate_source::Space;
use tidegate_source::TsFileName;
use tidegate_source::Watched;

use crate::tree::Key;
use crate::tree::Site;
use crate::tree::at;
use crate::tree::compacted;
use crate::tree::deletion;
use crate::tree::disk;
use crate::tree::folder;
use crate::tree::label;
use crate::tree::name;
use crate::tree::place;
use crate::tree::sequence;
use crate::tree::unsequence;
use crate::tree::watched;

/// One file, which has left.
fn sent() -> (Site, Key) {
    let mut site = Site::new(SourceConfig::default());
    let key = site.tree.add_with(&sequence(1), name(1), &[("root.t.d1", 0, 9)]);
    assert_eq!(site.turn(), ["s1"]);
    (site, key)
}

#[test]
fn those_beside_a_file_when_it_is_first_seen_leave_with_it_and_late_ones_by_themselves() {
    let mut site = Site::new(SourceConfig::default());
    let key = site.tree.add_with(&sequence(1), name(1), &[("root.t.d1", 0, 9)]);
    let entries = [3, 5].map(|end| deletion("root.t.d1.s", 2, end));
    site.tree.set_mods(&key, 1, &entries[..1]);
    site.scan();
    // Whether the file leaves before or after the second is seen: nobody may know.
    site.tree.set_mods(&key, 1, &entries);
    assert_eq!(site.turn(), ["2..5 of root.t.d1.s", "s1"]);
    site.restart();
    assert_eq!(site.turn(), [""; 0]);
    assert_eq!(site.reasons(), []);
}

#[test]
fn late_ones_leave_before_new_files_cut_to_devices_and_times_and_merged_over_a_partition() {
    let mut site = Site::new(SourceConfig::default());
    let elsewhere = place(1, 1, Space::Sequence);
    let keys = [
        site.tree.add_with(&sequence(1), name(1), &[("root.t.d1", 0, 9), ("root.t.d2", 20, 29)]),
        site.tree.add_with(&sequence(1), name(2), &[("root.t.d1", 10, 19), ("root.t.d3", 0, 4)]),
        site.tree.add_with(&elsewhere, name(3), &[("root.t.d1", 1000, 1001)]),
    ];
    assert_eq!(site.turn(), ["s1", "s2", "s3"]);
    let entries = [deletion("root.t.*.s", 5, 25), deletion("root.**", i64::MIN, i64::MAX)];
    site.tree.set_mods(&keys[0], 1, &entries);
    site.tree.set_mods(&keys[1], 2, &entries);
    site.tree.set_mods(&keys[2], 3, &entries);
    site.tree.add_with(&sequence(1), name(4), &[("root.t.d1", 5, 5)]);
    let left = site.turn();
    let expected = [
        "5..25 of root.t.d1.s root.t.d2.s",
        "0..29 of root.t.d1.* root.t.d2.* root.t.d3.*",
        "1000..1001 of root.t.d1.*",
        "s4",
    ];
    assert_eq!(left, expected, "nothing of partition 1 is between 5 and 25, nor of d3");
    assert_eq!(site.status(1).sent_deletions, 3);
}

#[test]
fn a_long_one_leaves_in_parts_that_fit_into_a_frame_and_is_done_with_the_last() {
    let devices: Vec<String> =
        (0..4000).map(|at| format!("root.t.{}.d{at}", "x".repeat(200))).collect();
    let devices: Vec<(&str, i64, i64)> = devices.iter().map(|it| (&**it, 0, 9)).collect();
    let mut site = Site::new(SourceConfig::default());
    let key = site.tree.add_with(&sequence(1), name(1), &devices);
    site.turn();
    let whole = deletion("root.t.**", 0, 4);
    site.tree.set_mods(&key, 1, std::slice::from_ref(&whole));
    site.scan();
    let paths_of = |item: &Item| -> BTreeSet<Arc<str>> {
        let ItemKind::Delete(it) = &item.kind else { panic!("{item:?}") };
        assert_eq!(it.key, DeletionKey::of(&whole));
        let Series::Tree { paths } = &it.deletion.series else { panic!("{item:?}") };
        paths.clone()
    };
    let done = Record::DeletionDone { region: key.0.region.clone(), key: DeletionKey::of(&whole) };
    for crashes in [true, false] {
        let (mut paths, mut numbers) = (BTreeSet::new(), BTreeSet::new());
        while let Some(item) = site.poll() {
            let part = paths_of(&item);
            let wire_bytes: usize = part.iter().map(|path| 2 * path.len() + 32).sum();
            assert!(wire_bytes <= 256 * 1024, "{wire_bytes}");
            // A retry is the same part under the same number.
            site.end(&item, Verdict::Unknown);
            let again = site.poll().expect("the same");
            assert_eq!((again.sequence, paths_of(&again)), (item.sequence, part.clone()));
            assert!(!site.records.contains(&done));
            site.end(&again, Verdict::Accepted);
            assert!(numbers.insert(item.sequence) && paths.is_disjoint(&part));
            paths.extend(part);
            if crashes {
                break;
            }
        }
        if crashes {
            site.restart();
            site.scan();
            continue;
        }
        assert_eq!((paths.len(), numbers.len() > 2), (4000, true), "all of it, from the start");
        assert!(site.records.contains(&done));
    }
}

#[test]
fn late_ones_are_repeated_after_a_crash_until_all_have_left() {
    let (mut site, key) = sent();
    let entries = [deletion("root.t.d1.s", 0, 1), deletion("root.t.d1.s", 3, 4)];
    site.tree.set_mods(&key, 1, &entries);
    site.scan();
    let item = site.poll().expect("the first");
    site.end(&item, Verdict::Accepted);
    site.restart();
    let both = ["0..1 of root.t.d1.s", "3..4 of root.t.d1.s"];
    assert_eq!(site.turn(), both);
    site.restart();
    assert_eq!(site.turn(), [""; 0]);
    let settled = site.records.iter().filter(|it| matches!(it, Record::ModsSettled { .. }));
    assert_eq!(settled.count(), 1);
}

#[test]
fn what_a_peer_does_not_take_is_a_gap_once() {
    let mut site = Site::new(SourceConfig::default());
    site.departed.mods_carried = false;
    let key = site.tree.add_with(&sequence(1), name(1), &[("root.t.d1", 0, 9)]);
    let entries = [deletion("root.t.d1.s", 0, 1), deletion("root.t.d1.s", 3, 4)];
    site.tree.set_mods(&key, 1, &entries[..1]);
    site.scan();
    for verdict in [Verdict::Refused, Verdict::Unknown, Verdict::Unknown, Verdict::Accepted] {
        site.pass(60);
        let item = site.poll().expect("the file");
        site.end(&item, verdict);
    }
    let gap =
        |site: &Site, at: usize| (site.gaps[at].reason, site.gaps[at].bytes, site.gaps[at].times);
    assert_eq!(gap(&site, 0), (GapReason::ModsNotCarried, (0, 10), None));
    site.tree.set_mods(&key, 1, &entries);
    site.turn();
    site.restart();
    site.turn();
    assert_eq!(gap(&site, 1), (GapReason::ModsNotCarried, (0, 0), Some((3, 4))));
    assert_eq!((site.gaps.len(), site.status(1).sent_deletions), (2, 0));
}

#[test]
fn of_a_list_that_was_written_anew_what_is_new_leaves_and_what_it_may_hit_leaves_behind_it() {
    // After a restart the lengths alone were compared: the first entries of a list that was longer
    // than the old one were taken for those that had left.
    for restarts in [false, true] {
        let (mut site, key) = sent();
        let entries = [0, 2, 4].map(|start| deletion("root.t.d1.s", start, start + 1));
        site.tree.set_mods(&key, 1, &entries[..2]);
        assert_eq!(site.turn().len(), 2);
        // Written after the first two, and hit by the third: of that nobody can be sure.
        site.tree.add_with(&sequence(1), name(2), &[("root.t.d1", 4, 12)]);
        assert_eq!(site.turn(), ["s2"]);
        if restarts {
            site.restart();
        }
        // Longer or shorter than it was, and in another order. The second is missing: unless it was
        // merged with another, its rows are there again.
        let anew = [entries[2].clone(), entries[0].clone(), deletion("root.t.d9.s", 0, 9)];
        site.tree.set_mods(&key, 2, &anew);
        let left = site.turn();
        let expected: &[&str] = match restarts {
            false => &["4..5 of root.t.d1.s", "s1", "s2"],
            true => &["4..5 of root.t.d1.s", "0..1 of root.t.d1.s", "s1", "s2"],
        };
        assert_eq!(left, expected, "restarted: {restarts}");
        assert_eq!(site.turn(), [""; 0]);
    }
}

#[test]
fn a_file_that_was_dropped_is_deleted_over_its_times_where_that_is_asked_for() {
    for (drop_policy, is_watched) in
        [(DropPolicy::Delete, true), (DropPolicy::Delete, false), (DropPolicy::Keep, true)]
    {
        let mut site = Site::new(SourceConfig { drop_policy, ..SourceConfig::default() });
        let devices = |start, end| [("root.t.d1", start, end)];
        let dropped = site.tree.add_with(&sequence(1), name(1), &devices(0, 9));
        let identity = site.tree.file(&dropped).identity;
        site.tree.add_with(&sequence(1), name(2), &devices(9, 19));
        site.tree.add_with(&sequence(1), name(3), &devices(20, 29));
        site.turn();
        site.scan();
        site.tree.remove(&dropped);
        if !is_watched {
            site.tree.watched = Watched::No;
        }
        let mut left = Vec::new();
        for _ in 0..4 {
            left.extend(site.turn());
        }
        let is_followed = drop_policy == DropPolicy::Delete && is_watched;
        // What is hit of others by that leaves once more.
        let expected: &[&str] = if is_followed { &["0..9 of root.t.d1.*", "s2"] } else { &[] };
        assert_eq!(left, expected, "{drop_policy:?}, watched: {is_watched}");
        assert!(site.records.contains(&Record::Gone(identity)));
        let unseen = usize::from(!is_watched);
        assert_eq!(site.reasons(), vec![GapReason::DeletionsUnseen; unseen]);
    }
}

#[test]
fn a_file_is_not_forgotten_before_the_deletions_beside_it_have_left() {
    // A deletion waited behind a file that was out; a compaction applied it, and the file went.
    // It was taken out of the ledger, the sender was killed, and nobody knew of the deletion.
    for is_rewritten in [false, true] {
        let (mut site, key) = sent();
        let identity = site.tree.file(&key).identity;
        site.tree.set_mods(&key, 1, &[deletion("root.t.d1.s", 0, 1)]);
        site.scan();
        site.tree.remove(&key);
        site.tree.add(&sequence(1), 2);
        site.scan();
        assert!(!site.records.contains(&Record::Gone(identity)));
        if is_rewritten {
            site.records = site.source.live_records();
        }
        site.restart();
        site.turn();
        assert_eq!(site.reasons(), [GapReason::DeletionsUnseen], "rewritten: {is_rewritten}");
        assert!(site.records.contains(&Record::Gone(identity)));
    }
    let (mut site, key) = sent();
    let identity = site.tree.file(&key).identity;
    site.tree.set_mods(&key, 1, &[deletion("root.t.d1.s", 0, 1)]);
    site.scan();
    site.tree.remove(&key);
    site.scan();
    assert_eq!(site.drain(), ["0..1 of root.t.d1.s"]);
    assert!(site.records.contains(&Record::Gone(identity)));
}

#[test]
fn those_beside_a_file_that_went_before_they_were_read_are_a_gap() {
    // The deletion came before the mods of that scan were read, and the file went then: the next
    // scan knew only of what had come after.
    for is_unsettled in [true, false] {
        let (mut site, key) = sent();
        let touched = HashSet::from([(folder(&disk(), &key.0), key.1)]);
        let mut scan = site.tree.scan();
        scan.watched = watched(touched);
        if is_unsettled {
            scan.unsettled.insert(key.0.region.clone());
        }
        site.source.handle_scan(site.now, &scan);
        site.persist();
        site.tree.remove(&key);
        site.turn();
        let expected = [GapReason::DeletionsUnseen];
        assert_eq!(site.reasons(), &expected[..usize::from(is_unsettled)]);
    }
}

/// They were a gap, too: the file was in a compaction's target by the next scan.
#[test]
fn those_written_just_before_their_file_went_leave_before_all_that_came_since() {
    let cases = [
        (true, true, false),
        (true, false, false),
        (true, true, true),
        (false, true, false),
        (false, false, false),
    ];
    for (has_left, is_told, has_two_names) in cases {
        let mut site = Site::new(SourceConfig::default());
        let key = site.tree.add_with(&sequence(1), name(1), &[("root.t.d1", 0, 9)]);
        site.tree.set_mods(&key, 1, &[deletion("root.t.d1.s", 8, 9)]);
        let other = (sequence(1), name(3));
        if has_two_names {
            site.tree.link(&key, other.clone());
        }
        site.scan();
        if has_left {
            assert_eq!(site.drain(), ["s1"]);
        } else {
            // It may have arrived all the same.
            let item = site.poll().expect("the file");
            site.end(&item, Verdict::Unknown);
        }
        let entries = [deletion("root.t.d1.s", 8, 9), deletion("root.t.d1.s", 2, 3)];
        site.tree.set_mods(&key, 1, &entries);
        let file = site.tree.remove(&key);
        let mut names = vec![key];
        if has_two_names {
            site.tree.remove(&other);
            names.push(other);
        }
        site.tree.watched = watched(names.iter().map(at).collect());
        if is_told {
            site.tree.catch(at(&names[0]), &file);
        }
        // The target, and a file whose rows came later.
        let target = site.tree.add_with(&sequence(1), compacted(1), &[("root.t.d1", 0, 7)]);
        Arc::make_mut(&mut site.tree.file(&target).facts).progress = file.facts.progress.clone();
        site.tree.add_with(&sequence(1), name(2), &[("root.t.d1", 2, 30)]);
        let mut left = site.turns(1);
        left.extend(site.calm_down());
        let expected: &[&str] = match (has_left, is_told) {
            (true, true) => &["2..3 of root.t.d1.s", "s2"],
            (true, false) => &["s2"],
            // The target leaves in its place.
            (false, true) => &["2..3 of root.t.d1.s", "s1", "s2"],
            (false, false) => &["s1", "s2"],
        };
        assert_eq!(left, expected, "left {has_left}, told {is_told}");
        let gaps: &[_] = match is_told && !has_two_names {
            true => &[],
            false => &[GapReason::DeletionsUnseen],
        };
        assert_eq!(site.reasons(), gaps, "left {has_left}, told {is_told}, {left:?}");
        site.restart();
        let again = [(); 4].map(|()| site.turn()).concat();
        assert_eq!(again, [""; 0], "left {has_left}, told {is_told}");
    }
}

/// A file goes with these last words beside it; what left.
fn last_words(site: &mut Site, key: &Key, damage: Option<&str>) -> Vec<String> {
    let mods = site.tree.file(key).mods.as_ref().expect("an entry");
    let mods = ModsRead { damage: damage.map(str::to_owned), ..ModsRead::clone(mods) };
    site.tree.file(key).mods = Some(Arc::new(mods));
    site.tree.go_caught(key);
    let mut left = site.turns(1);
    left.extend(site.calm_down());
    left
}

#[test]
fn of_last_ones_that_cannot_be_read_the_rest_is_a_gap() {
    let (mut site, key) = sent();
    site.tree.set_mods(&key, 1, &[deletion("root.t.d1.s", 2, 3)]);
    assert_eq!(last_words(&mut site, &key, Some("rubbish")), ["2..3 of root.t.d1.s"]);
    assert_eq!(site.reasons(), [GapReason::DeletionsUnseen]);
}

/// IoTDB merged them, and the file was dropped: it was said not to have left.
#[test]
fn last_ones_that_were_written_anew_are_no_reason_to_miss_their_file() {
    let (mut site, key) = sent();
    site.tree.set_mods(&key, 1, &[0, 1].map(|start| deletion("root.t.d1.s", start, start + 1)));
    assert_eq!(site.turn().len(), 2);
    site.tree.set_mods(&key, 2, &[deletion("root.t.d1.s", 0, 2)]);
    assert_eq!(last_words(&mut site, &key, None), ["0..2 of root.t.d1.s"]);
    assert_eq!(site.reasons(), []);
}

/// The sender was killed when it had written down that the file had left, and nothing else.
#[test]
fn a_list_removed_while_its_file_is_out_is_missed_over_a_crash_too() {
    let mut site = left_with_a_list_removed_meanwhile();
    let records = site.records.clone();
    for n_records in 0..=records.len() {
        site.records = records[..n_records].to_vec();
        site.restart();
        assert_eq!([site.turn(), site.turn()].concat(), ["s1"], "{n_records} records");
        site.restart();
        assert_eq!([site.turn(), site.turn()].concat(), [""; 0], "{n_records} records");
    }
}

/// The target was dropped, what it had been made of left in its place, and brought the rows back.
#[test]
fn those_beside_a_target_that_is_dropped_are_a_gap_if_what_it_was_made_of_leaves() {
    // Named after another file, or after one that is there: then it may have been undone, but for the
    // deletions.
    for (is_deleted, version) in [(true, 0), (false, 0), (true, 1)] {
        let mut site = Site::new(SourceConfig::default());
        site.tree.add_with(&sequence(1), name(1), &[("root.t.d1", 0, 9)]);
        site.scan();
        let cross = TsFileName { cross: 1, ..name(version) };
        let target = site.tree.add_with(&sequence(1), cross, &[("root.t.d1", 0, 9)]);
        site.scan();
        if is_deleted {
            site.tree.set_mods(&target, 1, &[deletion("root.t.d1.s", 2, 3)]);
        }
        assert_eq!(site.turn().len(), usize::from(is_deleted));
        site.tree.remove(&target);
        let mut left = Vec::new();
        for _ in 0..4 {
            left.extend(site.turn());
            site.pass(100);
        }
        assert_eq!(left, ["s1"]);
        let gaps = [GapReason::VanishedUnsent, GapReason::DeletionsUnseen];
        assert_eq!(site.reasons(), gaps[..1 + usize::from(is_deleted)]);
    }
}

/// It was sent as a new one, and deleted what had been written after it.
#[test]
fn a_deletion_that_a_list_lacked_for_a_while_spares_what_was_written_after_it() {
    for inode in [1, 2] {
        let mut site = Site::new(SourceConfig::default());
        let key = site.tree.add_with(&sequence(1), name(1), &[("root.t.d1", 0, 9)]);
        let entries = [deletion("root.t.d1.s", 0, 1), deletion("root.t.d1.s", 4, 5)];
        site.tree.set_mods(&key, 1, &entries);
        assert_eq!(site.turn(), ["s1"]);
        site.tree.add_with(&sequence(1), name(2), &[("root.t.d1", 4, 12)]);
        assert_eq!(site.turn(), ["s2"]);
        site.tree.set_mods(&key, inode, &entries[..1]);
        assert_eq!(site.turn(), ["s1", "s2"]);
        site.tree.set_mods(&key, inode, &entries);
        assert_eq!(site.turn(), ["4..5 of root.t.d1.s", "s2"]);
    }
}

/// They were once left out without a word, and later files left before they could have.
#[test]
fn those_that_cannot_be_read_hold_a_region_up_whose_file_has_left() {
    let damaged = |site: &mut Site, key: &Key, damage: Option<&str>| {
        let n_entries = if damage.is_some() { 1 } else { 2 };
        let entries = [0, 2].map(|start| deletion("root.t.d1.s", start, start + 1));
        site.tree.set_mods(key, 1, &entries[..n_entries]);
        let mods = site.tree.file(key).mods.as_ref().expect("an entry");
        let mods = ModsRead { damage: damage.map(str::to_owned), ..ModsRead::clone(mods) };
        site.tree.file(key).mods = Some(Arc::new(mods));
    };
    for is_mended in [true, false] {
        let (mut site, key) = sent();
        site.tree.add(&sequence(2), 8);
        site.turn();
        damaged(&mut site, &key, Some("too many"));
        site.tree.add(&sequence(1), 5);
        site.tree.add(&sequence(2), 9);
        assert_eq!(site.turn(), ["s9"], "the other region goes on");
        let blocked = site.status(1).blocked.expect("a reason");
        assert!(blocked.0.ends_with(".tsfile") && blocked.1 == "too many", "{blocked:?}");
        site.restart();
        assert_eq!(site.turn(), [""; 0], "over a restart, too");
        if is_mended {
            damaged(&mut site, &key, None);
            assert_eq!(site.turn().len(), 3, "two deletions, or one of both, and the file");
            assert_eq!(site.reasons(), []);
        } else {
            site.tree.remove(&key);
            let mut left = site.turn();
            left.extend(site.turn());
            assert_eq!(left.last().map(String::as_str), Some("s5"));
            assert_eq!(site.reasons(), [GapReason::DeletionsUnseen]);
        }
        assert_eq!(site.status(1).blocked, None);
    }
}

/// The rows that it had deleted are there again at the source.
#[test]
fn a_file_whose_list_somebody_removed_leaves_again_without_it_once() {
    for travelled in [true, false] {
        for is_down in [true, false] {
            let mut site = Site::new(SourceConfig::default());
            let key = site.tree.add_with(&sequence(1), name(1), &[("root.t.d1", 0, 9)]);
            if !travelled {
                site.turn();
            }
            site.tree.set_mods(&key, 1, &[deletion("root.t.d1.s", 0, 3)]);
            // It wins over the file, so it must not be hidden by it.
            site.tree.add_with(&unsequence(1), name(2), &[("root.t.d1", 4, 5)]);
            site.turn();
            site.scan();
            if is_down {
                site.restart();
            }
            site.tree.file(&key).mods = None;
            assert_eq!(site.turn(), ["s1", "u2"], "travelled {travelled}, down {is_down}");
            site.restart();
            assert_eq!([site.turn(), site.turn()].concat(), [""; 0]);
            assert_eq!(site.reasons(), []);
        }
    }
}

/// A file that was out with its list when somebody removed that.
fn left_with_a_list_removed_meanwhile() -> Site {
    let mut site = Site::new(SourceConfig::default());
    let key = site.tree.add_with(&sequence(1), name(1), &[("root.t.d1", 0, 9)]);
    site.tree.set_mods(&key, 1, &[deletion("root.t.d1.s", 0, 3)]);
    site.scan();
    let item = site.poll().expect("the file");
    site.tree.file(&key).mods = None;
    site.scan();
    site.end(&item, Verdict::Accepted);
    site
}

#[test]
fn a_list_removed_while_its_file_is_out_has_it_leave_again() {
    let mut site = left_with_a_list_removed_meanwhile();
    assert_eq!([site.turn(), site.turn()].concat(), ["s1"]);
}

/// They were sent as new ones: rows written after them were deleted at the far side.
#[test]
fn of_a_list_that_comes_back_all_leaves_and_what_it_may_hit_leaves_behind_it() {
    for restarts in [true, false] {
        let (mut site, key) = sent();
        site.tree.set_mods(&key, 1, &[deletion("root.t.d1.s", 0, 3)]);
        assert_eq!(site.turn(), ["0..3 of root.t.d1.s"]);
        site.tree.add_with(&sequence(1), name(2), &[("root.t.d1", 2, 12)]);
        assert_eq!(site.turn(), ["s2"]);
        let list = site.tree.file(&key).mods.take();
        assert_eq!(site.turn(), ["s1", "s2"]);
        if restarts {
            site.restart();
        }
        site.tree.file(&key).mods = list;
        assert_eq!(site.turn(), ["0..3 of root.t.d1.s", "s2"], "{restarts}");
        site.restart();
        assert_eq!([site.turn(), site.turn()].concat(), [""; 0]);
        assert_eq!(site.reasons(), []);
    }
}

#[test]
fn those_whose_devices_are_not_known_are_a_gap_with_their_bytes() {
    let (mut site, key) = sent();
    let entries = [0, 2, 4].map(|start| deletion("root.t.d1.s", start, start + 1));
    site.tree.set_mods(&key, 1, &entries);
    let mods = site.tree.file(&key).mods.as_ref().expect("three entries");
    let mut mods = ModsRead::clone(mods);
    mods.entries[1].scope = Scope::Unknown;
    mods.entries[2].scope = Scope::Nothing;
    site.tree.file(&key).mods = Some(Arc::new(mods));
    assert_eq!(site.turn(), ["0..1 of root.t.d1.s"]);
    site.turn();
    let [gap] = &site.gaps[..] else { panic!("{:?}", site.gaps) };
    assert_eq!((gap.reason, gap.bytes), (GapReason::ModsUnreadable, (10, 20)));
}

#[test]
fn one_deletion_of_many_files_costs_what_many_of_one_file_cost() {
    // Not a measurement: with a search through all that wait this would take minutes.
    let mut site = Site::new(SourceConfig::default());
    let keys: Vec<Key> = (0..40)
        .map(|at| site.tree.add_with(&sequence(1), name(at), &[("root.t.d1", 0, 9)]))
        .collect();
    site.turn();
    let entries: Vec<_> = (0..5000).map(|at| deletion("root.t.d1.s", 0, at)).collect();
    for (key, inode) in keys.iter().zip(1..) {
        site.tree.set_mods(key, inode, &entries);
    }
    site.scan();
    assert_eq!(site.status(1).pending_deletions, 5000);
    let item = site.poll().expect("the first");
    assert_eq!(label(&item), "0..0 of root.t.d1.s");
    // Another file brings all of them once more: the first is out and must not grow.
    let key = site.tree.add_with(&sequence(1), name(99), &[("root.t.d2", 0, 9)]);
    site.end(&item, Verdict::Accepted);
    site.turn();
    let entries: Vec<_> = (0..50).map(|at| deletion("root.t.*.s", 0, at)).collect();
    site.tree.set_mods(&key, 99, &entries);
    assert_eq!(site.turn().len(), 50, "those of which something is cut to the file");
}
