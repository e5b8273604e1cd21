//! Which file is which, and what became of those that are no longer there.

use std::collections::HashSet;
use std::sync::Arc;

use tidegate_model::Verdict;
use tidegate_source::DropPolicy;
use tidegate_source::FileIdentity;
use tidegate_source::GapReason;
use tidegate_source::Item;
use tidegate_source::ItemKind;
use tidegate_source::Record;
use tidegate_source::SealedFile;
use tidegate_source::SourceConfig;
use tidegate_source::Stall;
use tidegate_source::Unread;
use tidegate_source::Watched;
use tidegate_tsfile::ProgressIndex;

use crate::tree::Key;
use crate::tree::Site;
use crate::tree::compacted;
use crate::tree::deletion;
use crate::tree::disk;
use crate::tree::folder;
use crate::tree::label;
use crate::tree::name;
use crate::tree::sequence;
use crate::tree::unsequence;
use crate::tree::watched;

#[test]
fn what_has_left_is_known_again_by_its_inode_under_another_name_also_after_a_restart() {
    for restarts in [false, true] {
        let mut site = Site::new(SourceConfig::default());
        let old = site.tree.add(&unsequence(1), 3);
        assert_eq!(site.turn(), ["u3"]);
        if restarts {
            site.restart();
        }
        // Insertion compaction: a link in the other space under another name, then the old one goes.
        site.tree.link(&old, (sequence(1), name(77)));
        assert_eq!(site.turn(), [""; 0]);
        site.tree.remove(&old);
        assert_eq!([site.turn(), site.turn(), site.turn()].concat(), [""; 0]);
        assert_eq!(site.reasons(), []);
    }
}

#[test]
fn an_inode_number_used_again_is_another_file() {
    let mut site = Site::new(SourceConfig::default());
    let old = site.tree.add(&sequence(1), 3);
    site.turn();
    let old = site.tree.remove(&old).identity;
    let new = site.tree.add(&sequence(1), 4);
    site.tree.file(&new).identity = FileIdentity { mtime_ns: old.mtime_ns + 1, ..old };
    assert_eq!([site.turn(), site.turn()].concat(), ["s4"]);
}

#[test]
fn a_file_copied_to_another_disk_leaves_again_only_if_its_checksum_says_so() {
    for is_equal in [true, false] {
        let mut site = Site::new(SourceConfig::default());
        site.departed.crc32 = 77;
        let key = site.tree.add(&sequence(1), 1);
        assert_eq!(site.turn(), ["s1"]);
        let mut copy = site.tree.file(&key).clone();
        copy.identity.inode = 50;
        let copied = copy.identity;
        site.tree.files.insert(("/tier2".into(), key.0.clone(), key.1), copy);
        site.scan();
        site.tree.remove(&key);
        site.scan();
        let item = site.poll().or_else(|| {
            site.scan();
            site.poll()
        });
        let item = item.expect("someone must compare them");
        let ItemKind::File(file) = &item.kind else { panic!("{item:?}") };
        assert_eq!(
            (file.identity, file.twin, &*file.folder),
            (copied, Some(77), "/tier2/sequence/root.t[1]/0")
        );
        site.source.handle_twin(item.token, is_equal);
        site.persist();
        assert_eq!(site.drain(), if is_equal { vec![] } else { vec!["s1"] });
        let is_sent =
            |record: &Record| matches!(record, Record::Sent(sent) if sent.file.identity == copied);
        assert!(site.records.iter().any(is_sent), "it is known from now on");
        site.restart();
        assert_eq!([site.turn(), site.turn()].concat(), [""; 0]);
        assert_eq!(site.status(1).vanished_files, 0);
    }
}

#[test]
fn a_file_that_was_cut_is_a_gap_and_one_that_is_as_long_elsewhere_is_not() {
    for (length_bytes, gaps) in
        [(50, vec![GapReason::VanishedUnsent]), (101, Vec::new()), (150, Vec::new())]
    {
        let mut site = Site::new(SourceConfig::default());
        let key = site.tree.add(&sequence(1), 1);
        let old = site.tree.file(&key).identity;
        assert_eq!(old.length_bytes, 101);
        site.scan();
        site.tree.file(&key).identity = FileIdentity { length_bytes, mtime_ns: 8, ..old };
        let mut left = site.turn();
        for _ in 0..3 {
            left.extend(site.turn());
        }
        assert_eq!(left, ["s1"]);
        assert_eq!(site.reasons(), gaps, "{length_bytes} bytes");
        assert!(site.gaps.iter().all(|gap| gap.bytes == (0, 101) && gap.times == Some((100, 199))));
    }
}

#[test]
fn what_cannot_be_read_is_not_gone() {
    let region = Some(sequence(1).region);
    for region in [region, None] {
        let mut site = Site::new(SourceConfig::default());
        site.tree.add(&sequence(1), 1);
        assert_eq!(site.turn(), ["s1"]);
        let waits = site.tree.add(&sequence(1), 2);
        site.scan();
        let files = std::mem::take(&mut site.tree.files);
        site.tree.unread = vec![Unread { region, reason: "no permission".to_owned() }];
        for _ in 0..5 {
            site.scan();
        }
        site.tree.files = files;
        site.scan();
        site.tree.unread.clear();
        assert_eq!([site.turn(), site.turn()].concat(), ["s2"]);
        // What went while nobody could see it is found out as soon as one can.
        site.tree.remove(&waits);
        let n_records = site.records.len();
        site.scan();
        assert!(matches!(site.records[n_records..], [Record::Gone(_)]), "{:?}", site.records);
        assert_eq!(site.reasons(), []);
    }
}

#[test]
fn nothing_of_a_region_is_gone_before_the_region_was_seen_since_the_start() {
    let mut site = Site::new(SourceConfig::default());
    let keys: Vec<Key> = [1, 2]
        .into_iter()
        .flat_map(|region| [(region, 1), (region, 2)])
        .map(|(region, version)| site.tree.add(&sequence(region), version))
        .collect();
    assert_eq!(site.turn().len(), 4);
    site.restart();
    let n_records = site.records.len();
    // Region 1 lies on a disk that is not mounted yet, and region 2 has lost a file.
    let unmounted = [site.tree.remove(&keys[0]), site.tree.remove(&keys[1])];
    let lost = site.tree.remove(&keys[2]).identity;
    for _ in 0..3 {
        assert_eq!(site.turn(), [""; 0]);
    }
    let is_gone = |it: &&Record| matches!(it, Record::Gone(_));
    let gone_of = |site: &Site| -> Vec<Record> {
        site.records[n_records..].iter().filter(is_gone).cloned().collect()
    };
    assert_eq!(gone_of(&site), [Record::Gone(lost)]);
    // There may have been deletions beside it: nobody watched before the start.
    assert_eq!(site.reasons(), [GapReason::DeletionsUnseen]);
    let [mounted, gone] = unmounted;
    site.tree.files.insert((disk(), sequence(1), mounted.name), mounted);
    assert_eq!([site.turn(), site.turn()].concat(), [""; 0]);
    assert_eq!(gone_of(&site), [Record::Gone(lost), Record::Gone(gone.identity)]);
}

#[test]
fn a_file_that_is_missed_by_one_scan_while_it_is_out_leaves_all_the_same() {
    // It was forgotten when it came back to the queue, and its folder did not change any more.
    for verdict in [Verdict::Unknown, Verdict::Accepted] {
        let mut site = Site::new(SourceConfig::default());
        let key = site.tree.add(&sequence(1), 1);
        site.tree.add(&sequence(1), 2);
        site.scan();
        let item = site.poll().expect("the first");
        let file = site.tree.remove(&key);
        site.scan();
        site.tree.files.insert((disk(), key.0.clone(), key.1), file);
        site.scan();
        site.end(&item, verdict);
        let mut left = Vec::new();
        for _ in 0..4 {
            left.extend(site.turn());
        }
        let again: &[&str] = if verdict == Verdict::Unknown { &["s1", "s2"] } else { &["s2"] };
        assert_eq!(left, again, "{verdict}");
        assert_eq!(site.reasons(), []);
        let status = site.status(1);
        assert_eq!((status.vanished_files, status.superseded_files), (0, 0));
        site.tree.add(&sequence(1), 3);
        assert_eq!(site.turn(), ["s3"], "it is still known");
    }
}

#[test]
fn deletions_beside_any_name_of_a_file_that_went_may_have_been_missed() {
    // Only the name under which it lay first was looked at. An insertion compaction gives a file a
    // second one, beside which deletions stand from then on.
    for written in [0, 1] {
        let mut site = Site::new(SourceConfig::default());
        let names = [site.tree.add(&unsequence(1), 3), (sequence(1), name(77))];
        site.tree.link(&names[0], names[1].clone());
        assert_eq!(site.turn(), ["u3"]);
        names.iter().for_each(|name| drop(site.tree.remove(name)));
        let (place, name) = &names[written];
        let touched = HashSet::from([(folder(&disk(), place), *name)]);
        site.tree.watched = watched(touched);
        site.turn();
        assert_eq!(site.reasons(), [GapReason::DeletionsUnseen], "{name}");
    }
}

#[test]
fn a_target_need_not_leave_if_all_of_it_has_and_somebody_watched() {
    for is_watched in [true, false] {
        let mut site = Site::new(SourceConfig::default());
        let sources = [1, 2].map(|version| site.tree.add(&sequence(1), version));
        assert_eq!(site.turn(), ["s1", "s2"]);
        if !is_watched {
            site.tree.watched = Watched::No;
        }
        let target = site.tree.add_with(&sequence(1), compacted(1), &[("root.t.d1", 100, 299)]);
        let facts = Arc::make_mut(&mut site.tree.file(&target).facts);
        // Rows that nobody has seen may be in it.
        facts.progress = Some(ProgressIndex::iot(1, 99).into());
        sources.iter().for_each(|source| drop(site.tree.remove(source)));
        let left = site.turns(4);
        assert_eq!(left, if is_watched { vec![] } else { vec!["s1"] });
        assert_eq!(site.status(1).covered_files, u64::from(is_watched));
        let unseen = [GapReason::DeletionsUnseen];
        assert_eq!(site.reasons(), if is_watched { &unseen[..0] } else { &unseen[..] });
    }
}

#[test]
fn deletions_beside_a_target_that_never_left_concern_what_it_is_made_of() {
    // Its sources had left. A deletion was written beside it, and the next compaction left nothing
    // of it: the far side kept the rows, and nobody said so.
    let mut site = Site::new(SourceConfig::default());
    let source = site.tree.add(&sequence(1), 1);
    assert_eq!(site.turn(), ["s1"]);
    let target = site.tree.add(&sequence(1), 1);
    assert_eq!(source, target);
    let file = site.tree.remove(&target);
    let target = (sequence(1), compacted(1));
    site.tree
        .files
        .insert((disk(), target.0.clone(), target.1), SealedFile { name: target.1, ..file });
    site.scan();
    site.tree.remove(&target);
    let touched = HashSet::from([(folder(&disk(), &target.0), target.1)]);
    site.tree.watched = watched(touched);
    site.turn();
    assert_eq!(site.reasons(), [GapReason::DeletionsUnseen]);
}

#[test]
fn a_source_that_goes_backwards_is_a_gap_for_each_region_and_its_watermarks_are_void() {
    let mut site = Site::new(SourceConfig::default());
    for (region, version) in [(1, 1), (1, 2), (2, 3)] {
        site.tree.add(&sequence(region), version);
    }
    for _ in 0..4 {
        site.turn();
    }
    assert!(site.status(1).watermark.is_some());
    // Growing, or not to be read for a while, is no going back.
    for reboots in [Some(5), None, Some(5), Some(7)] {
        site.tree.marks.reboots = reboots;
        site.turn();
    }
    assert_eq!(site.reasons(), []);
    site.restart();
    site.tree.marks.reboots = Some(6);
    site.turn();
    assert_eq!(site.reasons(), [GapReason::SourceRolledBack; 2]);
    assert_eq!(site.gaps.iter().map(|gap| gap.n_files).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(site.status(1).watermark, None);
    site.tree.marks.node = Some(2);
    site.turn();
    assert_eq!(site.reasons().len(), 4, "another cluster's");
}

#[test]
fn a_source_that_went_backwards_behind_our_back_is_a_gap_too() {
    for restarts in [false, true] {
        let mut site = Site::new(SourceConfig::default());
        site.tree.marks.reboots = Some(5);
        site.tree.add(&sequence(1), 1);
        site.turn();
        // It cannot be read for a while, in which the source is restored.
        site.tree.marks.reboots = None;
        site.turn();
        if restarts {
            site.records = site.source.live_records();
            site.restart();
        }
        site.tree.marks.reboots = Some(3);
        site.turn();
        assert_eq!(site.reasons(), [GapReason::SourceRolledBack], "{restarts}");
        let marks = site.records.iter().rev().find(|it| matches!(it, Record::Marks(_)));
        assert_eq!(marks, Some(&Record::Marks(site.tree.marks)));
    }
}

/// Nobody knows what the lost part of the ledger said, so all that had left leaves once more.
#[test]
fn behind_a_damaged_ledger_what_had_left_leaves_again_in_its_order() {
    let mut site = Site::new(SourceConfig::default());
    let times: &[(&str, i64, i64)] = &[("root.t.d1", 0, 9)];
    site.tree.add_with(&unsequence(1), name(9), times);
    site.tree.add_with(&sequence(1), name(1), times);
    assert_eq!(site.turn(), ["s1", "u9"]);
    site.restart();
    site.source.distrust_past();
    site.persist();
    assert_eq!(site.turn(), ["s1", "u9"]);
    site.restart();
    assert_eq!(site.turn(), [""; 0], "once");
}

/// The scanner had watched, and the pipe was only set up then: what it had not seen was taken for seen.
#[test]
fn nothing_was_watched_before_the_first_scan_whatever_the_watcher_says() {
    let mut site = Site::new(SourceConfig::default());
    let first = site.tree.add_with(&sequence(1), name(1), &[("root.t.d1", 0, 9)]);
    assert_eq!(site.turn(), ["s1"]);
    // While the pipe is away a file is sealed, and compacted with the first.
    let second = site.tree.add_with(&sequence(1), name(2), &[("root.t.d1", 10, 19)]);
    site.tree.remove(&first);
    site.tree.remove(&second);
    site.tree.add_with(&sequence(1), compacted(1), &[("root.t.d1", 0, 19)]);
    site.restart();
    let left = site.turns(5);
    assert_eq!((left, site.status(1).covered_files), (vec!["s1".to_owned()], 0));
}

/// All of it was deleted at the far side, and sent again.
#[test]
fn a_target_whose_compaction_was_undone_is_not_followed_as_a_drop() {
    let config = SourceConfig { drop_policy: DropPolicy::Delete, ..SourceConfig::default() };
    let mut site = Site::new(config);
    site.tree.add_with(&sequence(1), name(1), &[("root.t.d1", 0, 9)]);
    site.tree.add_with(&sequence(1), name(2), &[("root.t.d1", 10, 19)]);
    assert_eq!(site.turn(), ["s1", "s2"]);
    let target = site.tree.add_with(&sequence(1), compacted(1), &[("root.t.d1", 0, 19)]);
    site.turn();
    site.tree.remove(&target);
    for _ in 0..5 {
        assert_eq!(site.turn(), [""; 0]);
        site.pass(100);
    }
}

/// It was said to be lost, and all of it was in its sources.
#[test]
fn a_target_whose_compaction_was_undone_is_no_gap() {
    for is_source_there in [true, false] {
        let mut site = Site::new(SourceConfig::default());
        let devices = [("root.t.d1", 100, 199)];
        let source = site.tree.add_with(&sequence(1), name(1), &devices);
        site.scan();
        let target = site.tree.add_with(&sequence(1), compacted(1), &devices);
        site.scan();
        site.tree.remove(&target);
        if !is_source_there {
            site.tree.remove(&source);
        }
        let mut left = Vec::new();
        for _ in 0..4 {
            left.extend(site.turn());
        }
        let n_gone = usize::from(!is_source_there);
        assert_eq!(left.len(), 1 - n_gone, "{left:?}");
        let vanished = site.reasons().into_iter().filter(|it| *it == GapReason::VanishedUnsent);
        assert_eq!(vanished.count(), 2 * n_gone, "{:?}", site.gaps);
    }
}

/// IoTDB never renames a region's folder; somebody may.
#[test]
fn a_region_that_is_renamed_keeps_its_files_wherever_they_are_on_their_way() {
    for n_out in 0..3 {
        for verdict in [Verdict::Accepted, Verdict::Unknown] {
            let mut site = Site::new(SourceConfig::default());
            let keys = [1, 2, 3].map(|version| site.tree.add(&sequence(1), version));
            site.scan();
            let out = (n_out > 0).then(|| site.poll().expect("an item"));
            let renamed = keys.map(|key| site.tree.move_to(&key, sequence(9)));
            site.scan();
            if let Some(item) = out {
                site.end(&item, verdict);
            }
            if n_out == 2 {
                site.tree.remove(&renamed[2]);
            }
            for _ in 0..5 {
                site.turn();
            }
            let n_vanished = site.reasons().len();
            assert_eq!(n_vanished, usize::from(n_out == 2), "{:?}", site.reasons());
            let sent = site.status(1).sent_files + site.status(9).sent_files;
            assert_eq!(sent, if n_out == 2 { 2 } else { 3 }, "{n_out} {verdict:?}");
        }
    }
}

/// A count went below zero: the file waited where it was found, and was taken out where it had lain.
#[test]
fn a_region_that_was_renamed_while_nobody_looked_keeps_its_files() {
    let mut site = Site::new(SourceConfig::default());
    let keys = [1, 2, 3].map(|version| site.tree.add(&sequence(1), version));
    site.scan();
    let item = site.poll().expect("the first");
    site.end(&item, Verdict::Accepted);
    site.restart();
    keys.iter().for_each(|key| drop(site.tree.move_to(key, sequence(9))));
    assert_eq!(site.turn(), ["s2", "s3"]);
    site.pass(400);
    for _ in 0..4 {
        assert_eq!(site.turn(), [""; 0]);
    }
    assert_eq!(site.reasons(), []);
    site.tree.add(&sequence(9), 4);
    assert_eq!(site.turn(), ["s4"]);
}

/// A file that is out while its region is renamed, and another that is new there.
fn out_of_a_renamed_region() -> (Site, Item, Key) {
    let mut site = Site::new(SourceConfig::default());
    let key = site.tree.add(&sequence(1), 1);
    site.scan();
    let item = site.poll().expect("the file");
    let renamed = site.tree.move_to(&key, sequence(9));
    site.tree.add(&sequence(9), 2);
    site.scan();
    (site, item, renamed)
}

/// What was out was looked for in the region where it lies, and it had left from another.
#[test]
fn a_file_that_is_out_while_its_region_is_renamed_and_it_is_removed_has_left_or_is_a_gap() {
    for verdict in [Verdict::Accepted, Verdict::Unknown] {
        let (mut site, item, renamed) = out_of_a_renamed_region();
        site.tree.remove(&renamed);
        site.scan();
        site.end(&item, verdict);
        for _ in 0..4 {
            site.turn();
        }
        let expected = [GapReason::VanishedUnsent];
        let n_gaps = usize::from(verdict == Verdict::Unknown);
        assert_eq!(site.reasons(), &expected[..n_gaps], "{verdict:?}");
        site.restart();
        for _ in 0..4 {
            assert_eq!(site.turn(), [""; 0], "{verdict:?}");
        }
    }
}

/// The region that it had left from was held up, and the one where it waited was not.
#[test]
fn a_file_that_stalls_after_its_region_was_renamed_holds_up_the_region_where_it_lies() {
    for stall in ["moved", "blocked", "damaged"] {
        let (mut site, item, _) = out_of_a_renamed_region();
        let why = "why".to_owned();
        let (how, left, after) = match stall {
            "moved" => (Stall::Moved, vec![], vec!["s1", "s2"]),
            "blocked" => (Stall::Blocked(why), vec![], vec!["s1", "s2"]),
            _ => (Stall::Damaged(why), vec!["s2"], vec!["s1"]),
        };
        site.source.handle_stall(site.now, item.token, how);
        assert_eq!(site.drain(), left, "{stall}");
        let status = site.status(9);
        assert_eq!(status.blocked.is_some(), stall == "blocked");
        assert_eq!(status.aside.len(), usize::from(stall == "damaged"));
        assert_eq!((site.status(1).blocked, site.status(1).aside), (None, vec![]), "{stall}");
        site.pass(60);
        assert_eq!(site.turn(), after, "{stall}");
    }
}

/// It counted as gone after a while: false gaps, and what waited left from pins.
#[test]
fn a_region_that_is_not_sent_any_more_is_not_gone_and_goes_on_where_it_stood() {
    let mut site = Site::new(SourceConfig::default());
    let sent = site.tree.add(&sequence(1), 1);
    site.turn();
    site.tree.add(&sequence(1), 2);
    site.scan();
    site.restart();
    site.tree.skipped.insert(sequence(1).region);
    site.tree.remove(&sent);
    let n_records = site.records.len();
    for _ in 0..5 {
        assert_eq!(site.turn(), [""; 0]);
        site.pass(400);
    }
    assert!(!site.status(1).awaits_scan, "no scan will help");
    let is_gone = |it: &Record| matches!(it, Record::Gone(_) | Record::Orphaned(_));
    assert!(!site.records[n_records..].iter().any(is_gone), "{:?}", site.records);
    assert_eq!(site.reasons(), []);
    site.tree.skipped.clear();
    assert_eq!([site.turn(), site.turn()].concat(), ["s2"]);
}

/// The file was taken for the one that had left, and for one whose deletions are all settled.
#[test]
fn a_file_that_is_found_again_is_a_new_one_over_a_restart_too() {
    let mut site = Site::new(SourceConfig::default());
    let key = site.tree.add_with(&sequence(1), name(1), &[("root.t.d1", 0, 9)]);
    let other = site.tree.add_with(&sequence(1), name(2), &[("root.t.d2", 0, 9)]);
    assert_eq!(site.turn(), ["s1", "s2"]);
    // While a deletion waits, nothing is forgotten.
    site.tree.set_mods(&other, 1, &[deletion("root.t.d2.s", 0, 3)]);
    site.scan();
    let file = site.tree.remove(&key);
    site.scan();
    site.tree.files.insert((disk(), key.0.clone(), key.1), file);
    site.tree.set_mods(&key, 2, &[deletion("root.t.d1.s", 0, 3)]);
    site.scan();
    let item = site.poll().expect("the deletion");
    site.end(&item, Verdict::Accepted);
    site.restart();
    site.scan();
    let item = site.poll().expect("it leaves with its deletions");
    let ItemKind::File(file) = &item.kind else { panic!("{item:?}") };
    assert_eq!((label(&item), file.mods.is_some()), ("s1".to_owned(), true));
    site.end(&item, Verdict::Accepted);
    assert_eq!([site.turn(), site.turn()].concat(), [""; 0]);
}

#[test]
fn a_file_that_one_scan_missed_is_not_forgotten_after_it_has_left() {
    for was_out in [false, true] {
        let mut site = Site::new(SourceConfig::default());
        let key = site.tree.add(&sequence(1), 1);
        site.scan();
        let out = was_out.then(|| site.poll().expect("the file"));
        let file = site.tree.remove(&key);
        site.tree.add(&sequence(1), 2);
        site.scan();
        site.tree.files.insert((disk(), key.0.clone(), key.1), file.clone());
        if let Some(item) = out {
            // It is listed again, and that scan is taken in by half.
            let scan = site.tree.scan();
            site.source.begin_scan(site.now, Arc::new(scan));
            site.source.take_in(1);
            site.end(&item, Verdict::Accepted);
            while site.source.take_in(1) {}
            site.persist();
        }
        for _ in 0..5 {
            site.turn();
        }
        assert!(!site.records.contains(&Record::Gone(file.identity)), "{was_out}");
        assert_eq!((site.reasons(), site.status(1).sent_files), (vec![], 2), "{was_out}");
        site.restart();
        assert_eq!(site.turn(), [""; 0], "{was_out}");
    }
}

#[test]
fn what_was_not_written_down_before_it_went_is_written_down_as_seen() {
    let mut site = Site::new(SourceConfig::default());
    let key = site.tree.add(&sequence(1), 1);
    let first = site.tree.scan();
    site.source.handle_scan(site.now, &first);
    site.tree.remove(&key);
    site.tree.add(&sequence(1), 2);
    site.scan();
    site.restart();
    for _ in 0..4 {
        site.turn();
    }
    assert!(site.reasons().contains(&GapReason::VanishedUnsent), "{:?}", site.reasons());
}
