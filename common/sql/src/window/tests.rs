use super::*;
use crate::time::TimeContext;
use crate::time::parse_time;

const MS: Precision = Precision::Ms;

fn group_by(start: i64, end: i64, bounds: Bounds, interval: &str, step: &str) -> GroupBy {
    let parse = |text| Interval::parse(text).expect("an interval");
    GroupBy { start, end, bounds, interval: parse(interval), step: parse(step) }
}

fn windows(group_by: GroupBy) -> Vec<(i64, i64, i64)> {
    let all = group_by.windows(MS, UtcOffset::UTC);
    all.map(|it| (it.label, it.range.first, it.range.last)).collect()
}

#[test]
fn windows_have_the_end_that_is_included_and_end_with_the_last_time() {
    let closed = group_by(0, 10, Bounds::StartIncluded, "4ms", "4ms");
    assert_eq!(windows(closed), [(0, 0, 3), (4, 4, 7), (8, 8, 9)]);
    let open = group_by(0, 10, Bounds::EndIncluded, "4ms", "4ms");
    assert_eq!(windows(open), [(4, 1, 4), (8, 5, 8), (10, 9, 10)]);
}

#[test]
fn windows_may_overlap_or_leave_gaps() {
    let overlapping = group_by(-2, 4, Bounds::StartIncluded, "4ms", "2ms");
    assert_eq!(windows(overlapping), [(-2, -2, 1), (0, 0, 3), (2, 2, 3)]);
    let apart = group_by(0, 10, Bounds::StartIncluded, "1ms", "5ms");
    assert_eq!(windows(apart), [(0, 0, 0), (5, 5, 5)]);
}

#[test]
fn months_end_with_the_month_and_come_back_to_the_31st() {
    let offset = UtcOffset::from_minutes(480).expect("an offset");
    let context = TimeContext { precision: MS, offset, now: 0 };
    let time = |text| parse_time(text, &context).expect("a time");
    let it = group_by(time("2023-01-31"), time("2023-05-10"), Bounds::StartIncluded, "1mo", "1mo");
    let labels: Vec<_> = it.windows(MS, offset).map(|it| it.label).collect();
    let expected = ["2023-01-31", "2023-02-28", "2023-03-31", "2023-04-30"].map(time);
    assert_eq!(labels, expected);
    let last = it.window(3, MS, offset).expect("a window");
    assert_eq!(last.range.last, time("2023-05-10") - 1);
    assert_eq!(it.window(4, MS, offset), None);
}

#[test]
fn windows_reach_to_both_ends_of_time() {
    let it = group_by(i64::MIN, i64::MAX, Bounds::StartIncluded, "200000000y", "200000000y");
    let all = windows(it);
    assert_eq!(all.len(), 3);
    assert_eq!((all[0].1, all[2].2), (i64::MIN, i64::MAX - 1));
    let it = group_by(i64::MAX - 1, i64::MAX, Bounds::EndIncluded, "5ms", "5ms");
    assert_eq!(windows(it), [(i64::MAX, i64::MAX, i64::MAX)]);
    assert_eq!(it.window(u64::MAX, MS, UtcOffset::UTC), None);
}
