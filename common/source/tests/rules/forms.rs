//! Files of which not all is wanted: in what form they left, and what follows from that.

use tidegate_model::Verdict;
use tidegate_source::Age;
use tidegate_source::Form;
use tidegate_source::GapReason;
use tidegate_source::ItemKind;
use tidegate_source::Record;
use tidegate_source::SourceConfig;
use tidegate_source::UnreadPoints;

use crate::tree::Key;
use crate::tree::Site;
use crate::tree::compacted;
use crate::tree::deletion;
use crate::tree::name;
use crate::tree::sequence;
use crate::tree::unsequence;

fn site() -> Site {
    Site::new(SourceConfig::default())
}

/// What a compaction does between two scans.
fn compact(site: &mut Site, sources: &[Key], target: u64) {
    site.tree.add_with(&sequence(1), compacted(target), &[("root.t.d1", 100, 900)]);
    for source in sources {
        site.tree.remove(source);
    }
}

/// The next file that is out, and what it is to the boundary.
fn next_age(site: &mut Site) -> Age {
    let item = site.poll().expect("a file");
    let ItemKind::File(file) = &item.kind else { panic!("{item:?}") };
    let age = file.age;
    site.end(&item, Verdict::Accepted);
    age
}

#[test]
fn a_file_of_which_nothing_is_wanted_counts_as_one_that_has_left() {
    let mut site = site();
    let key = site.tree.add(&sequence(1), 1);
    site.departed.form = Form::Nothing;
    assert_eq!(site.turn(), ["s1"]);
    let status = site.status(1);
    assert_eq!((status.sent_files, status.outside_files), (0, 1));
    assert!(site.records.iter().any(|it| matches!(it, Record::Sent(_))), "the cursor has moved");
    // What is made of it alone need not leave either.
    compact(&mut site, &[key], 1);
    assert_eq!(site.calm_down(), [""; 0]);
    for _ in 0..2 {
        site.restart();
        assert_eq!(site.turns(3), [""; 0]);
        assert_eq!(site.status(1).outside_files, 1);
    }
    assert_eq!(site.reasons(), []);
}

#[test]
fn a_file_that_left_in_part_leaves_again_behind_a_late_one_that_it_wins_over() {
    let mut site = site();
    site.departed.form = Form::Tablets;
    site.tree.add_with(&unsequence(1), name(5), &[("root.t.d", 1, 9)]);
    assert_eq!(site.turn(), ["u5"]);
    site.tree.add_with(&sequence(1), name(3), &[("root.t.d", 5, 20)]);
    assert_eq!(site.turns(2), ["s3", "u5"]);
    assert_eq!(site.status(1).tablet_files, 3);
}

#[test]
fn once_something_has_left_as_a_file_points_leave_as_files_also_after_a_restart() {
    for (form, is_file) in
        [(Form::File, true), (Form::Excerpt, true), (Form::Tablets, false), (Form::Nothing, false)]
    {
        for restarts in [false, true] {
            let mut site = site();
            site.departed.form = form;
            let first = site.tree.add(&sequence(1), 1);
            site.turn();
            site.departed.form = Form::Tablets;
            // The file may be gone long before.
            site.tree.remove(&first);
            assert_eq!(site.calm_down(), [""; 0]);
            if restarts {
                site.restart();
                site.scan();
            }
            let key = site.tree.add_with(&unsequence(1), name(2), &[("root.t.e", 10, 19)]);
            site.scan();
            let (identity, what) = (site.tree.file(&key).identity, format!("behind {form:?}"));
            assert_eq!(site.source.has_sent_files(identity), is_file, "{what}");
            // Those that must leave as tablets all the same are told of.
            site.departed.may_be_hidden = is_file;
            site.turns(2);
            let n_gaps = site.gaps.iter().filter(|it| it.reason == GapReason::RowsMayBeHidden);
            assert_eq!(n_gaps.count(), usize::from(is_file), "{what}");
        }
    }
}

/// The far side may have it although the answer was lost, and it may be compacted before it leaves again.
#[test]
fn a_file_whose_answer_was_lost_counts_as_one_that_has_left_also_after_a_restart() {
    for (verdict, is_file) in [(Verdict::Unknown, true), (Verdict::Refused, false)] {
        let mut site = site();
        site.departed.form = Form::File;
        site.tree.add(&sequence(1), 1);
        site.scan();
        let item = site.poll().expect("a file");
        let key = site.tree.add(&sequence(1), 2);
        site.scan();
        let identity = site.tree.file(&key).identity;
        assert!(!site.source.has_sent_files(identity));
        site.end(&item, verdict);
        assert_eq!(site.source.has_sent_files(identity), is_file, "{verdict:?}");
        // After a restart nobody knows what was on its way.
        site.restart();
        site.scan();
        assert!(site.source.has_sent_files(identity), "{verdict:?}");
    }
}

#[test]
fn excerpts_are_counted_and_their_cursor_moves() {
    let mut site = site();
    site.tree.add(&sequence(1), 1);
    site.departed.form = Form::Excerpt;
    assert_eq!(site.turn(), ["s1"]);
    for _ in 0..2 {
        let status = site.status(1);
        assert_eq!((status.sent_files, status.tablet_files, status.excerpt_files), (1, 0, 1));
        site.restart();
        assert_eq!(site.turns(2), [""; 0]);
    }
}

#[test]
fn what_was_there_when_the_pipe_was_created_is_history_for_good() {
    let mut site = site();
    let first = site.tree.add(&sequence(1), 1);
    site.tree.open.insert((sequence(1), name(2)));
    site.scan();
    assert_eq!(next_age(&mut site), Age::History);
    // It was open then, so it has rows of before and of after: it must not be cut.
    site.tree.open.clear();
    let straddles = site.tree.add(&sequence(1), 2);
    site.scan();
    assert_eq!(next_age(&mut site), Age::Realtime);
    site.tree.add(&sequence(1), 3);
    site.scan();
    assert_eq!(next_age(&mut site), Age::Realtime);
    // Written anew or not, the ledger knows it.
    for rewrites in [false, true, true] {
        if rewrites {
            site.records = site.source.live_records();
        }
        site.restart();
        let winner = site.tree.file(&first).identity;
        site.records.push(Record::Requeued(vec![winner]));
        site.restart();
        site.scan();
        assert_eq!(next_age(&mut site), Age::History);
    }
    // A compaction's target leaves only if nobody watched, and has rows of both.
    compact(&mut site, &[first, straddles], 1);
    site.restart();
    site.scan();
    let item = std::iter::repeat_with(|| {
        site.pass(1000);
        site.scan();
        site.poll()
    });
    let item = item.take(5).flatten().next().expect("the target");
    let ItemKind::File(file) = &item.kind else { panic!("{item:?}") };
    assert_eq!((file.name, file.age), (compacted(1), Age::Either));
}

/// What IoTDB's LOAD had just put into place when the boundary was drawn was not in the ledger yet, and
/// came after the boundary there: all of its times left, also those that a pipe wants of new data only.
#[test]
fn a_file_that_was_young_when_the_boundary_was_drawn_is_history_for_good() {
    for restarts_young in [false, true] {
        for rewrites in [false, true] {
            let mut site = site();
            let loaded = site.tree.add(&unsequence(1), 1);
            site.tree.set_mods(&loaded, 7, &[deletion("root.t.d1.s", 100, 110)]);
            site.tree.file(&loaded).is_young = true;
            site.scan();
            if !restarts_young {
                site.tree.file(&loaded).is_young = false;
                site.scan();
            }
            for _ in 0..2 {
                if rewrites {
                    site.records = site.source.live_records();
                }
                site.restart();
            }
            if restarts_young {
                // Also when the tree is not there at once.
                let trees = std::mem::take(&mut site.tree.files);
                site.turns(2);
                site.records = site.source.live_records();
                site.restart();
                site.tree.files = trees;
                site.scan();
                site.tree.file(&loaded).is_young = false;
            }
            site.tree.add(&unsequence(1), 2);
            site.scan();
            let what = format!("restarts young: {restarts_young}, rewrites: {rewrites}");
            assert_eq!(next_age(&mut site), Age::History, "{what}");
            assert_eq!(next_age(&mut site), Age::Realtime, "{what}");
            assert_eq!(site.drain(), [""; 0], "its deletions leave beside it alone: {what}");
            assert_eq!(site.reasons(), [], "{what}");
        }
    }
}

#[test]
fn a_late_deletion_of_what_is_not_wanted_is_done_and_no_gap() {
    let mut site = site();
    let key = site.tree.add_with(&sequence(1), name(1), &[("root.t.d", 1, 9)]);
    assert_eq!(site.turn(), ["s1"]);
    site.tree.set_mods(&key, 7, &[deletion("root.t.d.s", 1, 5)]);
    (site.departed.form, site.departed.mods_carried) = (Form::Nothing, false);
    assert_eq!(site.turns(2), ["1..5 of root.t.d.s"]);
    let status = site.status(1);
    assert_eq!((status.sent_deletions, status.pending_deletions), (0, 0));
    assert_eq!(site.reasons(), []);
}

#[test]
fn series_that_were_left_out_are_a_gap() {
    let mut site = site();
    site.tree.add(&sequence(1), 1);
    (site.departed.form, site.departed.has_unknown_types) = (Form::Tablets, true);
    site.turn();
    assert_eq!(site.reasons(), [GapReason::TypesNotCarried]);
}

fn unread(series: &str, times: Option<(i64, i64)>) -> UnreadPoints {
    let why = "page at byte 7: not of its compressor".into();
    UnreadPoints { series: Some(series.into()), times, n_points: Some(3), why }
}

/// Sends the next file, of which something cannot be read.
fn send_short(site: &mut Site, unread: Vec<UnreadPoints>, verdict: Verdict) {
    let item = site.poll().expect("a file");
    site.source.handle_unread(item.token, unread);
    site.end(&item, verdict);
}

/// It left again every minute for ever, up to the damage, and nothing behind it.
#[test]
fn a_file_of_which_points_cannot_be_read_leaves_once_and_they_are_a_gap_once() {
    let mut site = site();
    let key = site.tree.add_with(&unsequence(1), name(5), &[("root.t.d", 1, 9)]);
    site.departed.form = Form::Tablets;
    site.scan();
    // What was not acknowledged is no gap yet.
    let parts = || vec![unread("root.t.d.s", Some((4, 6))), unread("root.t.d.u", None)];
    send_short(&mut site, parts(), Verdict::Unknown);
    assert_eq!(site.reasons(), []);
    send_short(&mut site, parts(), Verdict::Accepted);
    assert_eq!(site.reasons(), [GapReason::PointsUnread; 2]);
    let times: Vec<_> = site.gaps.iter().map(|gap| gap.times).collect();
    assert_eq!(times, [Some((4, 6)), Some((1, 9))], "of the file, where statistics cannot be read");
    let told = site.gaps[0].to_string();
    assert!(told.contains(": times 4 to 6: 3 points of root.t.d.s: page at byte 7"), "{told}");
    for restarts in [false, true] {
        if restarts {
            site.restart();
        }
        assert_eq!(site.turns(3), [""; 0]);
        assert_eq!((site.status(1).sent_files, site.status(1).short_files), (1, 1));
    }
    // Behind a late file it leaves again, and nobody has to be told again.
    site.tree.add_with(&sequence(1), name(3), &[("root.t.d", 5, 20)]);
    site.scan();
    site.pass(100);
    site.scan();
    send_short(&mut site, vec![], Verdict::Accepted);
    send_short(&mut site, parts(), Verdict::Accepted);
    assert_eq!(site.reasons().len(), 2);
    // Another file in its place is looked at like any other.
    site.tree.file(&key).identity.inode += 1000;
    site.tree.hush();
    assert_eq!(site.turns(5), ["u5"]);
    assert_eq!(site.reasons().len(), 2);
}

/// The source may read what cannot be read here: an encrypted file, or one whose disk came back.
#[test]
fn what_compactions_make_of_a_file_that_left_in_part_leaves_also_after_a_restart() {
    for (is_short, restarts) in [(false, false), (true, false), (true, true)] {
        let mut site = site();
        let key = site.tree.add(&sequence(1), 1);
        site.departed.form = Form::Nothing;
        site.scan();
        let parts = if is_short { vec![unread("root.t.d1.s", None)] } else { Vec::new() };
        send_short(&mut site, parts, Verdict::Accepted);
        if restarts {
            site.restart();
            site.scan();
        }
        site.departed.form = Form::Tablets;
        compact(&mut site, &[key], 1);
        let left = site.calm_down().len();
        assert_eq!(left, usize::from(is_short), "{is_short} {restarts}");
    }
}
