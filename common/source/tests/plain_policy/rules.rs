//! Which file leaves when, and what is recorded of it.

use tidegate_model::Verdict;
use tidegate_source::Departed;
use tidegate_source::Effect;
use tidegate_source::GapReason;
use tidegate_source::ModsSeen;
use tidegate_source::Outcome;
use tidegate_source::Record;
use tidegate_source::SealedFile;
use tidegate_source::Source;
use tidegate_source::Space;
use tidegate_source::Stall;
use tidegate_source::TsFileName;
use tidegate_tsfile::ModsKind;

use crate::tree::NOTHING;
use crate::tree::Tree;
use crate::tree::accept;
use crate::tree::at;
use crate::tree::drain;
use crate::tree::place;

#[test]
fn sequence_files_of_a_partition_leave_before_its_unsequence_files_by_version() {
    let mut tree = Tree::default();
    let unsequence = tree.add(&place(1, 0, Space::Unsequence), 1);
    let late = tree.add(&place(1, 0, Space::Sequence), 9);
    let early = tree.add(&place(1, 0, Space::Sequence), 2);
    let mut source = Source::new(u64::MAX);
    source.handle_scan(&tree.scan());
    assert_eq!(drain(&mut source, at(0)), [early, late, unsequence]);
}

#[test]
fn history_leaves_before_what_was_made_since_the_pipe() {
    let mut tree = Tree::default();
    let old = tree.add(&place(1, 5, Space::Unsequence), 3);
    let new = tree.add(&place(1, 0, Space::Sequence), 4);
    let mut source = Source::new(1004); // names carry 1000 + version
    source.handle_scan(&tree.scan());
    let (_, status) = source.status().next().expect("a region");
    assert_eq!((status.history_files, status.realtime_files), (1, 1));
    assert_eq!(drain(&mut source, at(0)), [old, new]);
}

#[test]
fn a_file_seen_in_a_later_scan_never_overtakes_one_that_sealed_before() {
    let mut tree = Tree::default();
    let first = tree.add(&place(1, 0, Space::Unsequence), 9);
    let mut source = Source::new(u64::MAX);
    source.handle_scan(&tree.scan());
    let second = tree.add(&place(1, 0, Space::Sequence), 1);
    source.handle_scan(&tree.scan());
    assert_eq!(drain(&mut source, at(0)), [first, second]);
}

#[test]
fn what_was_sent_is_known_again_by_its_inode_under_another_name() {
    let mut tree = Tree::default();
    let from = place(1, 0, Space::Unsequence);
    tree.add(&from, 3);
    let mut source = Source::new(0);
    source.handle_scan(&tree.scan());
    assert_eq!(drain(&mut source, at(0)).len(), 1);
    // Insertion compaction: a hard link in the other space, under another name, then the old goes.
    let (_, file) = tree.files.pop_first().expect("the file");
    let name = TsFileName { version: 77, time_ms: 5, inner: 0, cross: 0 };
    tree.files.insert((place(1, 0, Space::Sequence), name), SealedFile { name, ..file });
    source.handle_scan(&tree.scan());
    assert_eq!(drain(&mut source, at(0)), []);
    assert_eq!(source.poll_effect(), None, "neither a gap nor anything else");
}

#[test]
fn an_inode_number_used_again_is_another_file() {
    let mut tree = Tree::default();
    let here = place(1, 0, Space::Sequence);
    let old = tree.add(&here, 3);
    let mut source = Source::new(0);
    source.handle_scan(&tree.scan());
    drain(&mut source, at(0));
    tree.files.clear();
    tree.n_inodes -= 1;
    tree.add(&here, 4);
    let file = tree.files.values_mut().next().expect("the new file");
    file.identity.mtime_ns += 1;
    let new = file.identity;
    assert_eq!(old.inode, new.inode);
    source.handle_scan(&tree.scan());
    assert_eq!(drain(&mut source, at(0)), [new]);
}

#[test]
fn deletions_that_come_after_their_file_are_gaps_each_byte_once_also_after_a_restart() {
    let mut tree = Tree::default();
    tree.add(&place(1, 0, Space::Sequence), 1);
    let mut source = Source::new(0);
    source.handle_scan(&tree.scan());
    let item = source.poll_item(at(0), |_| true).expect("the file");
    let mods = |length_bytes| Some(ModsSeen { kind: ModsKind::Text, length_bytes });
    let departed = Departed { mods: mods(10), mods_carried: true };
    let mut records: Vec<Record> = Vec::new();
    let mut gaps = Vec::new();
    let mut note = |effects: Vec<Effect>| {
        for effect in effects {
            match effect {
                Effect::Cursor(record) => records.push(record),
                Effect::Gap(gap) => gaps.push((gap.reason, gap.bytes)),
                other => panic!("{other:?}"),
            }
        }
    };
    note(accept(&mut source, at(0), &item, departed));
    for length_bytes in [10, 25, 25, 30] {
        tree.files.values_mut().for_each(|file| file.mods = mods(length_bytes));
        source.handle_scan(&tree.scan());
        note(std::iter::from_fn(|| source.poll_effect()).collect());
    }
    let mut restarted = Source::new(0);
    records.iter().cloned().for_each(|record| restarted.load(record));
    tree.files.values_mut().for_each(|file| file.mods = mods(31));
    restarted.handle_scan(&tree.scan());
    let effects: Vec<Effect> = std::iter::from_fn(|| restarted.poll_effect()).collect();
    let Some(Effect::Gap(gap)) = effects.first() else { panic!("{effects:?}") };
    gaps.push((gap.reason, gap.bytes));
    let late = GapReason::ModsAfterFile;
    assert_eq!(gaps, [(late, (10, 25)), (late, (25, 30)), (late, (30, 31))]);
}

#[test]
fn a_list_of_deletions_that_was_written_anew_and_shorter_hides_no_new_ones() {
    for restarts in [false, true] {
        let mut tree = Tree::default();
        tree.add(&place(1, 0, Space::Sequence), 1);
        let mut source = Source::new(0);
        let mods = |length_bytes| Some(ModsSeen { kind: ModsKind::Text, length_bytes });
        tree.files.values_mut().for_each(|file| file.mods = mods(100));
        source.handle_scan(&tree.scan());
        let item = source.poll_item(at(0), |_| true).expect("the file");
        let departed = Departed { mods: mods(100), mods_carried: true };
        let effects = accept(&mut source, at(0), &item, departed);
        if restarts {
            source = Source::new(0);
            for effect in effects {
                let Effect::Cursor(record) = effect else { panic!("{effect:?}") };
                source.load(record);
            }
        }
        let mut gaps = Vec::new();
        for length_bytes in [20, 50] {
            tree.files.values_mut().for_each(|file| file.mods = mods(length_bytes));
            source.handle_scan(&tree.scan());
            while let Some(effect) = source.poll_effect() {
                if let Effect::Gap(gap) = effect {
                    gaps.push(gap.bytes);
                }
            }
        }
        assert_eq!(gaps, [(0, 20), (20, 50)], "restarted: {restarts}");
    }
}

#[test]
fn deletions_that_the_peer_cannot_take_are_a_gap() {
    let mut tree = Tree::default();
    tree.add(&place(1, 0, Space::Sequence), 1);
    let mut source = Source::new(0);
    source.handle_scan(&tree.scan());
    let item = source.poll_item(at(0), |_| true).expect("the file");
    let mods = Some(ModsSeen { kind: ModsKind::Text, length_bytes: 44 });
    let effects = accept(&mut source, at(0), &item, Departed { mods, mods_carried: false });
    let [Effect::Gap(gap), Effect::Cursor(_)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((gap.reason, gap.bytes), (GapReason::ModsNotCarried, (0, 44)));
}

#[test]
fn a_damaged_file_holds_up_nothing_and_is_tried_again() {
    let mut tree = Tree::default();
    let bad = tree.add(&place(1, 0, Space::Sequence), 1);
    let good = tree.add(&place(1, 0, Space::Sequence), 2);
    let mut source = Source::new(u64::MAX);
    source.handle_scan(&tree.scan());
    let item = source.poll_item(at(0), |_| true).expect("the first");
    source.handle_stall(at(0), item.token, Stall::Damaged("no tail".to_owned()));
    assert_eq!(drain(&mut source, at(1)), [good]);
    let (_, status) = source.status().next().expect("a region");
    assert_eq!(status.aside, [("1001-1-0-0.tsfile".to_owned(), "no tail".to_owned())]);
    let again = source.poll_timeout().expect("a time to try again");
    assert_eq!(drain(&mut source, again), [bad]);
}

#[test]
fn a_file_that_cannot_leave_now_holds_up_its_region_and_no_other() {
    let mut tree = Tree::default();
    let first = tree.add(&place(1, 0, Space::Sequence), 1);
    let second = tree.add(&place(1, 0, Space::Sequence), 2);
    let other = tree.add(&place(2, 0, Space::Sequence), 3);
    let mut source = Source::new(u64::MAX);
    source.handle_scan(&tree.scan());
    let item = source.poll_item(at(0), |region| region.region == 1).expect("the first");
    source.handle_stall(at(0), item.token, Stall::Blocked("no permission".to_owned()));
    assert_eq!(drain(&mut source, at(1)), [other]);
    let (_, status) = source.status().next().expect("a region");
    assert_eq!(status.blocked, Some(("1001-1-0-0.tsfile".to_owned(), "no permission".to_owned())));
    assert_eq!(status.history_files, 2, "both still wait");
    let again = source.poll_timeout().expect("a time to try again");
    assert_eq!(drain(&mut source, again), [first, second]);
    let (_, status) = source.status().next().expect("a region");
    assert_eq!(status.blocked, None);
}

#[test]
fn a_refused_file_is_tried_again_after_pauses_that_grow_to_a_minute() {
    let mut tree = Tree::default();
    tree.add(&place(1, 0, Space::Sequence), 1);
    let mut source = Source::new(0);
    source.handle_scan(&tree.scan());
    let mut now = at(0);
    let mut pauses = Vec::new();
    for _ in 0..9 {
        let item = source.poll_item(now, |_| true).expect("it is never given up");
        assert_eq!(item.sequence, 1, "a retry keeps its number");
        source.handle_outcome(now, item.token, &Outcome::bare(Verdict::Refused, "ff"), NOTHING);
        let next = source.poll_timeout().expect("a time to try again");
        pauses.push(next.since(now).as_secs());
        assert!(!source.has_item(now, |_| true));
        now = next;
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
}
