//! What is written into the journals, and what is read back from damaged ones.

use tidegate_source::Boundary;
use tidegate_source::DeletionKey;
use tidegate_source::FileIdentity;
use tidegate_source::Form;
use tidegate_source::Gap;
use tidegate_source::GapReason;
use tidegate_source::Known;
use tidegate_source::ModsMark;
use tidegate_source::ModsSeen;
use tidegate_source::Place;
use tidegate_source::Record;
use tidegate_source::RecordError;
use tidegate_source::RegionKey;
use tidegate_source::SourceMarks;
use tidegate_source::Space;
use tidegate_source::TsFileName;
use tidegate_source::UnreadPoints;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::ProgressIndex;
use tidegate_tsfile::SimpleProgress;

use crate::tree::deletion;

const N_KINDS: u8 = 15;

fn u64(rng: &mut fastrand::Rng) -> u64 {
    [0, 1, 77, u64::MAX, rng.u64(..)][rng.usize(0..5)]
}

fn i64(rng: &mut fastrand::Rng) -> i64 {
    u64(rng).cast_signed()
}

fn region(rng: &mut fastrand::Rng) -> RegionKey {
    let database = ["root.t", "plant", "", "root.\u{5de5}\u{5382}"][rng.usize(0..4)];
    let database = database.repeat(rng.usize(1..4)).into();
    RegionKey { database, region: rng.u32(..) }
}

fn known(rng: &mut fastrand::Rng) -> Known {
    let space = if rng.bool() { Space::Sequence } else { Space::Unsequence };
    Known {
        place: Place { region: region(rng), partition: i64(rng), space },
        name: TsFileName {
            version: u64(rng),
            time_ms: u64(rng),
            inner: rng.u32(..),
            cross: rng.u32(..),
        },
        identity: identity(rng),
    }
}

fn identity(rng: &mut fastrand::Rng) -> FileIdentity {
    FileIdentity { inode: u64(rng), length_bytes: u64(rng), mtime_ns: i64(rng) }
}

fn mods(rng: &mut fastrand::Rng) -> ModsMark {
    let kind = if rng.bool() { ModsKind::Text } else { ModsKind::Binary };
    ModsMark { seen: ModsSeen { kind, length_bytes: u64(rng) }, inode: u64(rng) }
}

fn marks(rng: &mut fastrand::Rng) -> SourceMarks {
    SourceMarks { node: rng.bool().then_some(rng.u64(..)), reboots: rng.bool().then_some(u64(rng)) }
}

fn progress(rng: &mut fastrand::Rng) -> ProgressIndex {
    let mut progress = ProgressIndex::minimum();
    for _ in 0..rng.usize(0..4) {
        progress.join(&match rng.u8(0..4) {
            0 => ProgressIndex::iot(rng.i32(0..9), i64(rng)),
            1 => ProgressIndex::simple(rng.i32(..), i64(rng)),
            2 => ProgressIndex::meta(i64(rng)),
            _ => {
                let simple = SimpleProgress { reboots: rng.i32(..), flush_order: i64(rng) };
                ProgressIndex::recover(rng.i32(..), simple)
            }
        });
    }
    progress
}

/// A record of each kind; of `Sent`, which is built inside only, one that a source wrote.
fn record(rng: &mut fastrand::Rng, kind: u8) -> Record {
    match kind {
        1 => Record::Seen(known(rng), rng.bool().then_some(mods(rng))),
        2 | 14 => {
            let mut site = crate::tree::Site::new(tidegate_source::SourceConfig::default());
            let key = site.tree.add(&crate::tree::sequence(rng.u32(..)), u64(rng) % 1000);
            if rng.bool() {
                site.tree.set_mods(&key, 1, &[deletion("root.**", 0, i64(rng))]);
            }
            site.departed.crc32 = rng.u32(..);
            if kind == 14 {
                site.departed.form = [Form::Tablets, Form::Nothing, Form::Excerpt][rng.usize(..3)];
            }
            if kind == 14 && rng.bool() {
                site.scan();
                let item = site.poll().expect("a file");
                site.source.handle_unread(item.token, vec![unread(rng)]);
                site.end(&item, tidegate_model::Verdict::Accepted);
            }
            site.turn();
            let sent = site.records.into_iter().find(|it| matches!(it, Record::Sent(_)));
            sent.expect("a file has left")
        }
        3 => Record::Covered(identity(rng)),
        4 => Record::Requeued((0..rng.usize(0..4)).map(|_| identity(rng)).collect()),
        5 => Record::Gone(identity(rng)),
        6 => Record::ModsSettled { identity: identity(rng), mods: mods(rng) },
        7 => {
            let key = DeletionKey::of(&deletion("root.**", i64(rng), i64(rng)));
            Record::DeletionDone { region: region(rng), key }
        }
        8 => Record::Watermark {
            region: region(rng),
            marks: marks(rng),
            progress: Box::new(progress(rng)),
        },
        9 => Record::Boundary(Boundary {
            region: region(rng),
            partition: i64(rng),
            version_max: u64(rng),
            n_sealed: rng.u32(..),
            n_open: rng.u32(..),
        }),
        10 => Record::Marks(marks(rng)),
        11 => Record::BoundaryTaken,
        12 => Record::Sequence { region: region(rng), last: u64(rng), has_files: rng.bool() },
        13 => Record::Orphaned(identity(rng)),
        _ => Record::InHistory(identity(rng)),
    }
}

fn unread(rng: &mut fastrand::Rng) -> UnreadPoints {
    UnreadPoints {
        series: rng.bool().then(|| "root.a.`b.c`.s".into()),
        times: rng.bool().then(|| (i64(rng), i64(rng))),
        n_points: rng.bool().then(|| u64(rng)),
        why: "page at byte 7: not of its compressor".into(),
    }
}

/// A gap of each reason; gaps are built inside only, so one is read back.
fn gap(rng: &mut fastrand::Rng) -> Gap {
    let known = known(rng);
    let (kind, seen) = Record::Seen(known, None).encode();
    assert_eq!(kind, 1);
    let code = rng.u8(1..=GapReason::all().count() as u8);
    // Form, reason, then place and name as in a record of a file, whose identity follows there.
    let mut body = vec![1, code];
    body.extend(&seen[1..seen.len() - 25]);
    body.extend(rng.u32(..).to_be_bytes());
    body.extend([u64(rng), u64(rng)].map(u64::to_be_bytes).concat());
    let times = rng.bool();
    body.push(u8::from(times));
    let (start, end) = if times { (i64(rng), i64(rng)) } else { (0, 0) };
    body.extend([start, end].map(i64::to_be_bytes).concat());
    let mut gap = Gap::decode(&body).expect("a gap");
    gap.unread = rng.bool().then(|| UnreadPoints { times: gap.times, ..unread(rng) });
    gap
}

/// What may come of a few bytes: another value or an error, and never more than they can say.
fn check_damaged(kind: u8, body: &[u8]) {
    if let Ok(record) = Record::decode(kind, body) {
        let (kind, again) = record.encode();
        assert!(again.len() <= body.len() + 8, "{record:?} from {} bytes", body.len());
        assert_eq!(Record::decode(kind, &again).as_ref(), Ok(&record));
    }
    if let Ok(gap) = Gap::decode(body) {
        assert!(gap.encode().len() <= body.len() && gap.to_string().len() < 400 + body.len());
    }
}

#[test]
fn every_record_and_gap_is_read_back_as_it_was_and_no_cut_or_flip_does_harm() {
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut bodies = Vec::new();
        for expected_kind in 1..=N_KINDS {
            let record = record(&mut rng, expected_kind);
            let (kind, body) = record.encode();
            assert_eq!(
                (kind, Record::decode(kind, &body)),
                (expected_kind, Ok(record)),
                "seed {seed}"
            );
            let surplus = [&body[..], &[0]].concat();
            assert!(Record::decode(kind, &surplus).is_err(), "seed {seed}: {kind}");
            for end in 0..body.len() {
                assert!(Record::decode(kind, &body[..end]).is_err(), "seed {seed}: {kind}, {end}");
            }
            bodies.push((kind, body));
        }
        let gap = gap(&mut rng);
        let body = gap.encode();
        assert_eq!(Gap::decode(&body), Ok(gap), "seed {seed}");
        assert!((0..body.len()).all(|end| Gap::decode(&body[..end]).is_err()), "seed {seed}");
        bodies.push((0, body));
        for (kind, body) in bodies {
            for at in 0..body.len() {
                for flip in [1, 0x80, 0xff, rng.u8(1..)] {
                    let mut damaged = body.clone();
                    damaged[at] ^= flip;
                    check_damaged(kind, &damaged);
                    check_damaged(rng.u8(..), &damaged);
                }
            }
        }
    }
}

#[test]
fn a_later_form_or_kind_is_refused_with_what_was_expected_and_found() {
    let (kind, mut body) = Record::BoundaryTaken.encode();
    assert_eq!(Record::decode(N_KINDS + 1, &body), Err(RecordError::Kind(N_KINDS + 1)));
    let error = RecordError::Kind(99).to_string();
    assert_eq!(error, "ledger record: expected kind 1 to 15, but found 99");
    body[0] += 1;
    assert_eq!(Record::decode(kind, &body), Err(RecordError::Form(body[0])));
    assert_eq!(Gap::decode(&[1, 77]), Err(RecordError::Kind(77)));
    assert_eq!(Gap::decode(&[9]), Err(RecordError::Form(9)));
}

/// Such a gap was written, and was damage when it was read.
#[test]
fn a_gap_of_a_file_with_very_long_names_is_read_back_with_their_beginnings() {
    let mut gap = gap(&mut fastrand::Rng::with_seed(1));
    let long: std::sync::Arc<str> = "ä".repeat(1 << 20).into();
    gap.unread = Some(UnreadPoints {
        series: Some(long.clone()),
        times: gap.times,
        n_points: None,
        why: long.clone(),
    });
    let read = Gap::decode(&gap.encode()).expect("a gap").unread.expect("unread points");
    for text in [read.series.expect("a series"), read.why] {
        assert!(text.len() > 1000 && long.starts_with(&*text));
    }
}
