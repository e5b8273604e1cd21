//! The laws of progress indexes, and that IoTDB's own classes come to the same results.

mod support;

use std::collections::BTreeMap;

use support::from_hex;
use support::manifest_path;
use tidegate_codec::Reader;
use tidegate_tsfile::PROGRESS_DEPTH_MAX;
use tidegate_tsfile::ProcessorState;
use tidegate_tsfile::ProgressIndex;
use tidegate_tsfile::SimpleProgress;
use tidegate_tsfile::TimeWindow;

fn decode(bytes: &[u8]) -> ProgressIndex {
    let mut reader = Reader::new(bytes);
    let index = ProgressIndex::decode(&mut reader).unwrap();
    reader.finish().unwrap();
    index
}

fn encode(index: &ProgressIndex) -> Vec<u8> {
    let mut bytes = Vec::new();
    index.encode(&mut bytes).unwrap();
    bytes
}

/// Small numbers, so that keys meet and values are often equal.
fn random(random: &mut fastrand::Rng) -> ProgressIndex {
    let mut index = ProgressIndex::minimum();
    for _ in 0..random.usize(0..5) {
        let simple = SimpleProgress { reboots: random.i32(-1..2), flush_order: random.i64(-1..2) };
        let content = random.bool().then(|| vec![random.u8(0..2); random.usize(0..2)].into());
        index.join(&match random.u8(0..6) {
            0 => ProgressIndex::iot(random.i32(0..3), random.i64(-1..2)),
            1 => ProgressIndex::simple(simple.reboots, simple.flush_order),
            2 => ProgressIndex::recover(random.i32(0..3), simple),
            3 => ProgressIndex::meta(random.i64(-1..2)),
            4 => {
                let series = *random.choice(&["", "root.a", "键"]).unwrap();
                ProgressIndex::time_window(series, TimeWindow { time: random.i64(0..2), content })
            }
            _ => ProgressIndex::minimum().with_state(ProcessorState {
                version: random.i64(0..2),
                values: BTreeMap::from([("v".into(), content)]),
            }),
        });
    }
    index
}

#[test]
fn join_is_the_least_upper_bound_and_survives_the_journal() {
    let (mut n_covered, mut n_apart) = (0, 0);
    for seed in 0..20_000 {
        let rng = &mut fastrand::Rng::with_seed(seed);
        let (a, b, c) = (random(rng), random(rng), random(rng));
        let join = a.clone().joined(&b);
        assert_eq!(join, b.clone().joined(&a), "commutative, seed {seed}");
        let left = join.clone().joined(&c);
        assert_eq!(left, a.clone().joined(&b.clone().joined(&c)), "associative, seed {seed}");
        assert_eq!(a, a.clone().joined(&a), "idempotent, seed {seed}");
        assert_eq!(a, a.clone().joined(&ProgressIndex::minimum()), "neutral, seed {seed}");
        assert!(a.is_covered_by(&join) && b.is_covered_by(&join), "upper, seed {seed}");
        assert!(!(a.is_covered_by(&c) && b.is_covered_by(&c)) || join.is_covered_by(&c), "least");
        assert_eq!(a.is_covered_by(&b), join == b, "order and join agree, seed {seed}");
        assert_eq!(a.is_covered_by(&b) && b.is_covered_by(&a), a == b, "antisymmetric");
        assert_eq!(decode(&encode(&a)), a, "seed {seed}");
        n_covered += u32::from(a.is_proven_by(&b));
        n_apart += u32::from(!a.is_covered_by(&b) && !b.is_covered_by(&a));
    }
    assert!(n_covered > 500 && n_apart > 500, "{n_covered} covered, {n_apart} apart");
}

#[test]
fn the_minimum_is_covered_by_everything_and_proves_nothing() {
    let minimum = ProgressIndex::minimum();
    let watermark = ProgressIndex::iot(1, 5);
    assert!(minimum.is_covered_by(&watermark) && minimum.is_covered_by(&minimum));
    assert!(!minimum.is_evidence());
    assert!(!minimum.is_proven_by(&watermark) && !minimum.is_proven_by(&minimum));
    assert!(watermark.is_proven_by(&watermark) && !watermark.is_proven_by(&minimum));
    assert_eq!(minimum.to_string(), "minimum");
}

#[test]
fn another_peer_node_or_kind_covers_nothing() {
    let flush = |flush_order| SimpleProgress { reboots: 1, flush_order };
    let check = |lower: ProgressIndex, upper: ProgressIndex, is_covered: bool| {
        assert_eq!(lower.is_covered_by(&upper), is_covered, "{lower} by {upper}");
    };
    check(ProgressIndex::iot(1, 5), ProgressIndex::iot(1, 6), true);
    check(ProgressIndex::iot(1, 5), ProgressIndex::iot(2, 6), false);
    check(ProgressIndex::simple(1, 5), ProgressIndex::simple(2, 0), true);
    check(ProgressIndex::simple(2, 0), ProgressIndex::simple(1, 5), false);
    check(ProgressIndex::simple(1, 5), ProgressIndex::recover(1, flush(6)), false);
    check(ProgressIndex::recover(1, flush(5)), ProgressIndex::recover(1, flush(6)), true);
    check(ProgressIndex::recover(1, flush(5)), ProgressIndex::recover(2, flush(6)), false);
}

/// `joins.txt` has two indexes, what IoTDB joins them to, and whether it calls the second equal or
/// after. IoTDB knows fewer pairs to be ordered than there are (of hybrids it demands that every
/// part is after), so only its yes must be ours.
#[test]
fn iotdb_joins_to_the_same() {
    let text = std::fs::read_to_string(manifest_path("tests/golden/joins.txt")).unwrap();
    let (mut n_pairs, mut n_after) = (0, 0);
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [a, b, join, relation] = words[..] else { panic!("{line}") };
        let [a, b, join] = [a, b, join].map(|hex| decode(&from_hex(hex)));
        assert_eq!(a.clone().joined(&b), join, "{line}");
        assert_eq!(b.clone().joined(&a), join, "{line}");
        if relation == "after" {
            assert!(a.is_covered_by(&b), "{line}");
            n_after += 1;
        }
        n_pairs += 1;
    }
    assert_eq!((n_pairs, n_after), (240, 80));
}

#[test]
fn indexes_nest_so_deep_and_no_deeper() {
    // Hybrids of one part each, around the minimum.
    let nested = |depth: usize| [b"\0\x05\0\0\0\x01\0\x05".repeat(depth), vec![0, 1]].concat();
    let deepest = usize::from(PROGRESS_DEPTH_MAX) - 1;
    assert_eq!(decode(&nested(deepest)), ProgressIndex::minimum());
    for depth in [deepest + 1, 100_000] {
        let bytes = nested(depth);
        let error = ProgressIndex::decode(&mut Reader::new(&bytes)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected progress indexes at most 8 deep at byte 64, but found 9"
        );
    }
}

#[test]
fn counts_that_cannot_be_are_refused() {
    for kind in [2u8, 4, 5, 7] {
        let bytes = [0, kind, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        let error = ProgressIndex::decode(&mut Reader::new(&bytes)).unwrap_err();
        assert!(error.to_string().contains("expected a count of at most"), "{error}");
        assert_eq!(error.offset(), 2);
    }
}
