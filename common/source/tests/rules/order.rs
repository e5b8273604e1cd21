//! What leaves before what.

use tidegate_source::Effect;
use tidegate_source::Place;
use tidegate_source::ReadRule;
use tidegate_source::Record;
use tidegate_source::SourceConfig;
use tidegate_source::Space;
use tidegate_source::TsFileName;

use crate::tree::Site;
use crate::tree::compacted;
use crate::tree::file_label;
use crate::tree::label;
use crate::tree::name;
use crate::tree::place;
use crate::tree::sequence;
use crate::tree::unsequence;

#[test]
fn history_leaves_as_the_source_reads_it_what_wins_last() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        for read_rule in [ReadRule::UnsequenceFirst, ReadRule::ByVersion] {
            let mut site = Site::new(SourceConfig { read_rule, ..SourceConfig::default() });
            let mut keys: Vec<(Place, TsFileName)> = Vec::new();
            for _ in 0..rng.u64(1..30) {
                let space = if rng.bool() { Space::Sequence } else { Space::Unsequence };
                let place = place(1, rng.i64(-2..2), space);
                // Two files may be of one version, and times say nothing.
                let name = TsFileName {
                    time_ms: rng.u64(0..50),
                    inner: rng.u32(0..2),
                    ..name(rng.u64(0..9))
                };
                if !keys.contains(&(place.clone(), name)) {
                    // All overlap, so whatever left too early would have to leave again.
                    keys.push(site.tree.add_with(&place, name, &[("root.t.d1", 0, 9)]));
                }
            }
            keys.sort_by_key(|(place, name)| match read_rule {
                ReadRule::UnsequenceFirst => (place.partition, place.space, *name, place.space),
                ReadRule::ByVersion => (place.partition, Space::Sequence, *name, place.space),
            });
            // A target beside the file whose name it took would be held; here all are at rest.
            let is_source = |it: &(Place, TsFileName)| {
                it.1.inner == 0 && keys.contains(&(it.0.clone(), TsFileName { inner: 1, ..it.1 }))
            };
            if keys.iter().any(is_source) {
                continue;
            }
            let expected: Vec<String> = keys.iter().map(file_label).collect();
            assert_eq!(site.turn(), expected, "seed {seed}, {read_rule:?}");
        }
    }
}

#[test]
fn what_stood_there_at_creation_leaves_before_what_came_since_open_files_included() {
    let mut site = Site::new(SourceConfig::default());
    let later = place(1, 7, Space::Sequence);
    site.tree.add(&sequence(1), 1);
    site.tree.open.insert((later.clone(), name(5)));
    site.scan();
    // Of the same partition, of another one, and of one that is younger than the pipe.
    site.tree.add(&sequence(1), 2);
    site.tree.add(&place(1, -3, Space::Sequence), 4);
    site.scan();
    // It straddles the boundary: history, and it leaves whole.
    site.tree.add(&later, 5);
    site.tree.add(&later, 6);
    site.scan();
    let status = site.status(1);
    assert_eq!((status.history_files, status.realtime_files), (2, 3));
    assert_eq!(status.history_bytes + status.realtime_bytes, 101 + 102 + 103 + 104 + 105);
    assert_eq!(site.drain(), ["s1", "s5", "s4", "s2", "s6"]);
    let boundaries: Vec<_> = site
        .records
        .iter()
        .filter_map(|record| match record {
            Record::Boundary(it) => Some((it.partition, it.version_max, it.n_sealed, it.n_open)),
            _ => None,
        })
        .collect();
    assert_eq!(boundaries, [(0, 1, 1, 0), (7, 5, 0, 1)]);
}

#[test]
fn the_boundary_of_history_outlives_a_restart_and_waits_until_all_can_be_read() {
    let mut site = Site::new(SourceConfig::default());
    site.tree.add(&sequence(1), 1);
    site.tree.unread =
        vec![tidegate_source::Unread { region: None, reason: "no permission".to_owned() }];
    site.scan();
    site.tree.add(&sequence(1), 2);
    site.tree.unread.clear();
    site.scan();
    site.restart();
    site.tree.add(&sequence(1), 3);
    site.scan();
    let status = site.status(1);
    assert_eq!((status.history_files, status.realtime_files), (2, 1));
}

#[test]
fn an_unsequence_file_waits_for_the_sequence_files_that_were_open_and_that_it_wins_over() {
    for read_rule in [ReadRule::UnsequenceFirst, ReadRule::ByVersion] {
        let mut site = Site::new(SourceConfig { read_rule, ..SourceConfig::default() });
        site.tree.add(&unsequence(1), 5);
        let open = [(sequence(1), name(4)), (sequence(1), name(6))];
        site.tree.open.extend(open);
        // One of another partition does not matter.
        site.tree.open.insert((place(1, 1, Space::Sequence), name(1)));
        assert_eq!(site.turn(), [""; 0]);
        assert_eq!(site.status(1).held_files, 1);
        site.tree.add(&sequence(1), 4);
        let first = site.turn();
        site.tree.add(&sequence(1), 6);
        let second = site.turn();
        match read_rule {
            ReadRule::UnsequenceFirst => assert_eq!(
                (&*first, &*second),
                (&["s4".to_owned()][..], &["s6".to_owned(), "u5".to_owned()][..])
            ),
            ReadRule::ByVersion => assert_eq!(
                (&*first, &*second),
                (&["s4".to_owned(), "u5".to_owned()][..], &["s6".to_owned()][..])
            ),
        }
    }
}

#[test]
fn behind_a_late_file_those_leave_again_that_win_over_it_and_have_a_cell_in_common() {
    let mut site = Site::new(SourceConfig::default());
    let device = |start, end| [("root.t.d1", start, end), ("root.t.d2", 50, 60)];
    site.tree.add_with(&sequence(1), name(1), &device(0, 9));
    site.tree.add_with(&sequence(1), name(4), &device(10, 19));
    site.tree.add_with(&unsequence(1), name(5), &device(0, 3));
    site.tree.add_with(&place(1, 1, Space::Unsequence), name(6), &device(0, 3));
    assert_eq!(site.turn(), ["s1", "s4", "u5", "u6"]);
    site.tree.add_with(&sequence(1), name(2), &[("root.t.d1", 2, 5)]);
    assert_eq!(site.turn(), ["s2", "u5"]);
    site.tree.add_with(&sequence(1), name(3), &[("root.t.d3", 0, 99), ("root.t.d2", 0, 49)]);
    assert_eq!(site.turn(), ["s3"], "same times, other devices");
    assert_eq!(site.status(1).resent_files, 1);
}

#[test]
fn nothing_leaves_before_that_is_durable_which_must_follow_if_it_arrives() {
    let mut site = Site::new(SourceConfig::default());
    site.tree.add_with(&unsequence(1), name(5), &[("root.t.d1", 0, 9)]);
    // With which deletions a file was first seen must be known after a crash.
    site.source.handle_scan(site.now, &site.tree.scan());
    let n_seen = site.collect();
    assert_eq!(site.source.poll_item(site.now, |_| true), None);
    assert!(!site.source.has_item(site.now, |_| true));
    site.source.handle_durable(n_seen);
    assert_eq!(site.drain(), ["u5"]);
    site.tree.add_with(&sequence(1), name(2), &[("root.t.d1", 0, 9)]);
    site.scan();
    // The winner leaves once more behind it, also if we are killed in between.
    assert_eq!(site.source.poll_item(site.now, |_| true), None);
    let Some(Effect::Cursor(Record::Requeued(files))) = site.source.poll_effect() else {
        panic!("the re-queueing comes first")
    };
    assert_eq!(files.len(), 1);
    assert_eq!(site.source.poll_item(site.now, |_| true), None, "it is only in memory yet");
    site.source.handle_durable(1);
    let item = site.source.poll_item(site.now, |_| true).expect("the late file");
    assert_eq!(label(&item), "s2");
    site.records.push(Record::Requeued(files));
    site.restart();
    assert_eq!(site.turn(), ["s2", "u5"]);
}

#[test]
fn a_finished_target_waits_for_its_sources_from_the_scan_that_shows_it_not_from_the_last_poll() {
    // The clock of the last poll was used. Where nothing had been polled for minutes, the target
    // left at once, a source that was still there was taken for a file that it beats and left once
    // more, and rows that were deleted meanwhile came back.
    let mut site = Site::new(SourceConfig::default());
    let sources = [1, 2].map(|version| site.tree.add(&sequence(1), version));
    site.scan();
    let devices = [("root.t.d1", 100, 299)];
    site.tree.add_with(&sequence(1), compacted(1), &devices);
    site.scan();
    site.pass(1000);
    site.tree.remove(&sources[0]);
    site.scan();
    assert_eq!(site.drain(), [""; 0], "the second source may still be there for two minutes");
    site.pass(119);
    assert_eq!(site.turn(), [""; 0]);
    site.tree.remove(&sources[1]);
    site.pass(1);
    assert_eq!(site.turn(), ["s1"]);
    site.turn();
    site.turn();
    let status = site.status(1);
    assert_eq!((status.superseded_files, status.vanished_files), (2, 0));
}
