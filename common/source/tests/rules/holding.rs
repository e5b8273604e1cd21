//! What holds what up, and for how long.

use std::sync::Arc;
use tidegate_model::Verdict;
use tidegate_source::SourceConfig;
use tidegate_source::Space;
use tidegate_source::Stall;

use crate::tree::Site;
use crate::tree::place;
use crate::tree::sequence;

#[test]
fn a_file_that_cannot_leave_now_holds_up_its_region_and_no_other() {
    let mut site = Site::new(SourceConfig::default());
    let first = site.tree.add(&sequence(1), 1);
    site.tree.add(&sequence(1), 2);
    site.tree.add(&sequence(2), 3);
    site.scan();
    for others in [&["s3"][..], &[]] {
        let item = site.poll_of(|region| region.region == 1).expect("the first");
        site.source.handle_stall(site.now, item.token, Stall::Blocked("no permission".to_owned()));
        let status = site.status(1);
        assert_eq!(
            status.blocked,
            Some(("1001-1-0-0.tsfile".to_owned(), "no permission".to_owned()))
        );
        assert_eq!(status.history_files, 2, "both still wait");
        assert_eq!(site.drain(), others);
        site.now = site.source.poll_timeout().expect("a time to try again");
        assert!(site.source.has_item(site.now, |_| true));
    }
    // What is gone holds nothing up, whenever it would have been tried again.
    let item = site.poll().expect("the first");
    site.source.handle_stall(site.now, item.token, Stall::Blocked("no permission".to_owned()));
    site.tree.remove(&first);
    site.scan();
    assert_eq!(site.status(1).blocked, None);
    assert_eq!(site.turn(), ["s2"]);
}

#[test]
fn a_damaged_file_is_set_aside_and_tried_again() {
    let mut site = Site::new(SourceConfig::default());
    site.tree.add(&sequence(1), 1);
    site.tree.add(&sequence(1), 2);
    site.scan();
    let item = site.poll().expect("the first");
    site.source.handle_stall(site.now, item.token, Stall::Damaged("no tail".to_owned()));
    let aside = [("1001-1-0-0.tsfile".to_owned(), "no tail".to_owned())];
    assert_eq!(site.status(1).aside, aside);
    let next = site.poll().expect("the second");
    assert!(next.sequence > item.sequence, "a number is never given to two items");
    site.end(&next, Verdict::Accepted);
    assert_eq!(site.drain(), [""; 0]);
    site.now = site.source.poll_timeout().expect("a time to try again");
    assert_eq!(site.drain(), ["s1"]);
    assert_eq!((site.status(1).aside, site.source.poll_timeout()), (Vec::new(), None));
}

#[test]
fn a_refused_item_is_tried_again_after_pauses_that_grow_to_a_minute_under_the_same_number() {
    let mut site = Site::new(SourceConfig::default());
    let file = site.tree.add(&sequence(1), 1);
    site.scan();
    for kind in ["a file", "a deletion"] {
        let mut pauses = Vec::new();
        let mut numbers = Vec::new();
        for _ in 0..9 {
            let item = site.poll().expect("it is never given up");
            numbers.push(item.sequence);
            site.end(&item, Verdict::Refused);
            let next = site.source.poll_timeout().expect("a time to try again");
            pauses.push(next.since(site.now).as_secs());
            assert!(!site.source.has_item(site.now, |_| true));
            assert_eq!(site.status(1).last_trouble, Some("why".to_owned()));
            site.now = next;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60], "{kind}");
        assert_eq!(numbers, [numbers[0]; 9], "{kind}");
        site.drain();
        site.tree.set_mods(&file, 1, &[crate::tree::deletion("root.t.d1.s", 0, 999)]);
        site.scan();
    }
}

#[test]
fn a_file_that_moved_lets_nothing_of_its_region_pass_until_a_later_scan_is_in_whole() {
    let mut site = Site::new(SourceConfig::default());
    site.tree.add(&sequence(1), 1);
    site.tree.add(&place(1, 1, Space::Sequence), 2);
    site.tree.add(&sequence(2), 3);
    site.scan();
    let item = site.poll_of(|region| region.region == 1).expect("the first");
    // A scan that began before it moved does not tell.
    site.source.begin_scan(site.now, Arc::new(site.tree.scan()));
    assert!(site.source.take_in(1));
    site.source.handle_stall(site.now, item.token, Stall::Moved);
    while site.source.take_in(1) {
        assert_eq!(site.drain(), [""; 0], "the order is that of whole scans");
    }
    assert_eq!(site.drain(), ["s3"], "the first may only have a new name");
    assert!(!site.source.has_item(site.now, |_| true));
    assert_eq!(site.source.poll_timeout(), None, "only a scan can tell");
    assert!(site.source.wants_scan());
    assert_eq!(site.turn(), ["s1", "s2"]);
    assert!(!site.source.wants_scan());
}

#[test]
fn new_files_wait_while_part_of_their_region_cannot_be_read_and_those_of_others_do_not() {
    let mut site = Site::new(SourceConfig::default());
    site.tree.add(&sequence(1), 1);
    site.tree.add(&sequence(2), 2);
    let region = Some(sequence(1).region);
    let reason = "no permission".to_owned();
    site.tree.unread = vec![tidegate_source::Unread { region, reason }];
    assert_eq!(site.turn(), ["s2"]);
    assert!(site.status(1).awaits_scan);
    assert_eq!(site.source.unread(), ["no permission"]);
    site.tree.unread.clear();
    assert_eq!(site.turn(), ["s1"]);
    assert!(!site.status(1).awaits_scan);
}
