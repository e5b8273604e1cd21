//! Mods files of real servers, those that IoTDB's classes wrote for these tests, and broken ones.

mod support;

use std::collections::HashSet;

use support::all;
use support::golden;
use support::real;
use tidegate_tsfile::Deletion;
use tidegate_tsfile::Ending;
use tidegate_tsfile::ModEntry;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::Predicate;
use tidegate_tsfile::Segments;
use tidegate_tsfile::Target;

fn read(kind: ModsKind, bytes: &[u8]) -> (Vec<ModEntry>, Ending) {
    let mut walk = kind.entries(bytes, 0);
    let entries = walk.by_ref().collect();
    (entries, walk.into_ending())
}

fn times(start: i64, end: i64) -> Vec<u8> {
    [start.to_be_bytes(), end.to_be_bytes()].concat()
}

/// A table entry around a predicate.
fn table(predicate: &[u8], columns: &[u8]) -> Vec<u8> {
    [&[0], &times(1, 5)[..], b"\x04t1", predicate, columns].concat()
}

/// One entry of each form.
fn entries() -> Vec<Vec<u8>> {
    let tree = [&[1], &times(1, 5)[..], b"\x14root.t.d1."].concat();
    // AND of (device t1.a) and (segment 1 is null), two columns
    let nested = table(b"\x03\x04\x01\x02\x04t1\x02a\x02\x01\x02", b"\x04\x02x\x02y");
    let later = table(b"\x04\x04\x02\x04t1\x02b\x02\x04t1\x02a", b"\x00");
    vec![tree, table(b"\x00", b"\x00"), nested, later, table(b"\x05\x04", b"\x02\x02x")]
}

#[test]
fn files_of_iotdbs_classes_say_what_was_put_into_them() {
    for (kind, suffix, n_expected) in [(ModsKind::Binary, "mods2", 11), (ModsKind::Text, "mods", 6)]
    {
        let mut n_found = 0;
        for (file, expected) in golden(suffix) {
            let (entries, ending) = read(kind, &file.bytes);
            let text: String = entries
                .iter()
                .map(|entry| match entry.file_offset {
                    Some(offset) => format!("{} before {offset}\n", entry.deletion),
                    None => format!("{}\n", entry.deletion),
                })
                .collect();
            assert_eq!(text, expected, "{}", file.name);
            assert_eq!(ending, Ending::Whole, "{}", file.name);
            n_found += entries.len();
        }
        assert_eq!(n_found, n_expected, "{suffix}");
    }
}

#[test]
fn entries_of_real_servers_are_read_and_their_bytes_kept() {
    let text = real(".mods");
    let binary = real(".mods2");
    assert_eq!((text.len(), binary.len()), (2, 5));
    let lines: Vec<String> = text
        .iter()
        .flat_map(|file| read(ModsKind::Text, &file.bytes).0)
        .map(|entry| format!("{} before {}", entry.deletion, entry.file_offset.unwrap()))
        .collect();
    assert_eq!(
        lines,
        [
            "tree root.mix.d1.s_int32 from 50 to 60 before 5548",
            "tree root.mix.a1.s_text from -9223372036854775808 to 10 before 5548",
            "tree root.mix.d1.* from 395 to 9223372036854775807 before 2637",
        ]
    );
    for file in binary {
        let (entries, ending) = read(ModsKind::Binary, &file.bytes);
        assert_eq!(ending, Ending::Whole, "{}", file.name);
        let raw: Vec<u8> = entries.iter().flat_map(|entry| entry.raw.to_vec()).collect();
        assert_eq!(raw, file.bytes, "{}", file.name);
    }
}

#[test]
fn every_cut_ends_at_the_last_whole_entry_and_is_called_torn() {
    let crafted = (ModsKind::Binary, entries().concat());
    let binary = all("mods2").into_iter().map(|file| (ModsKind::Binary, file.bytes));
    let text = all("mods").into_iter().map(|file| (ModsKind::Text, file.bytes));
    for (kind, file) in binary.chain(text).chain([crafted]) {
        let (whole, _) = read(kind, &file);
        let ends = whole.iter().skip(1).map(|entry| entry.position).chain([file.len()]);
        let ends: Vec<usize> = ends.collect();
        for cut in 0..=file.len() {
            let n_whole = ends.iter().filter(|&&end| end <= cut).count();
            let bytes = n_whole.checked_sub(1).map_or(0, |last| ends[last]);
            let (entries, ending) = read(kind, &file[..cut]);
            assert_eq!(entries, whole[..n_whole], "cut at {cut}");
            let mut walk = kind.entries(&file[..cut], 0);
            let n_entries = walk.by_ref().count();
            assert_eq!((walk.whole_bytes(), n_entries), (bytes, n_whole), "cut at {cut}");
            let expected = match cut - bytes {
                0 => Ending::Whole,
                left_bytes => Ending::Torn { left_bytes },
            };
            assert_eq!(ending, expected, "cut at {cut}");
            // From there on, when the rest has come.
            let mut rest = kind.entries(&file[bytes..], bytes);
            assert_eq!(rest.by_ref().collect::<Vec<_>>(), whole[n_whole..], "from {bytes}");
            assert_eq!((rest.whole_bytes(), rest.ending()), (file.len(), Some(&Ending::Whole)));
        }
    }
}

#[test]
fn what_is_no_entry_ends_the_walk_as_damage_and_not_as_torn() {
    let good = entries().concat();
    let n = good.len();
    let check = |kind: ModsKind, bad: &[u8], expected: &str| {
        let good = if kind == ModsKind::Text { &b""[..] } else { &good[..] };
        let file = [good, bad].concat();
        let mut walk = kind.entries(&file, 0);
        let count = walk.by_ref().count();
        assert_eq!((count == 0, walk.whole_bytes()), (good.is_empty(), good.len()));
        let Some(Ending::Damaged(error)) = walk.ending().cloned() else {
            panic!("{bad:?}: {:?}", walk.ending());
        };
        assert_eq!(error.to_string(), expected);
        assert_eq!(walk.next(), None, "it stays there");
    };
    let at = |offset: usize| n + offset;
    check(
        ModsKind::Binary,
        &[9; 40],
        &format!("expected a kind of deletion (0 or 1) at byte {n}, but found 9"),
    );
    check(
        ModsKind::Binary,
        &table(b"\x06", b"\x00"),
        &format!("expected a kind of predicate (0 to 5) at byte {}, but found 6", at(20)),
    );
    check(
        ModsKind::Binary,
        &[&[1], &times(5, 1)[..], b"\x02a"].concat(),
        &format!(
            "expected an end of a deletion that is not before its start at byte {}, but found 1",
            at(9)
        ),
    );
    check(
        ModsKind::Binary,
        &[&[1], &times(1, 5)[..], b"\x01"].concat(),
        &format!("expected path pattern, not null at byte {}, but found -1", at(17)),
    );
    check(
        ModsKind::Binary,
        &[&[1], &times(1, 5)[..], b"\x04\xff\xff"].concat(),
        &format!(
            "path pattern, not null at byte {}: expected UTF-8, but found other bytes",
            at(18)
        ),
    );
    let line = "`DELETION,<path>,<file offset>,<start>,<end>`";
    for bad in ["", "INSERT,root.a,1,2,3", "DELETION,root.a", "DELETION,root.a,1,x", "DELETION,1,2"]
    {
        let expected = format!("expected {line} at byte 0, but found {bad:?}");
        check(ModsKind::Text, format!("{bad}\nDELETION,root.a,1,2,3\n").as_bytes(), &expected);
    }
    check(
        ModsKind::Text,
        b"DELETION,root.a,1,3,2\n",
        "expected a deletion that does not end before it starts at byte 0, but found \"DELETION,root.a,1,3,2\"",
    );
    let Ending::Damaged(error) = read(ModsKind::Text, &[b'a'; 70_000]).1 else { panic!() };
    assert!(error.to_string().starts_with("expected the end of a line within 65664 bytes at"));
    assert_eq!(read(ModsKind::Text, &[b'a'; 65_663]).1, Ending::Torn { left_bytes: 65_663 });
}

#[test]
fn nested_predicates_are_followed_to_a_depth_and_no_further() {
    let nested = |depth: usize| table(&[&[3, 2].repeat(depth)[..], &[0]].concat(), b"\x00");
    assert_eq!(read(ModsKind::Binary, &nested(16)).1, Ending::Whole);
    for depth in [17, 1_000_000] {
        assert!(matches!(read(ModsKind::Binary, &nested(depth)).1, Ending::Damaged(_)), "{depth}");
    }
}

#[test]
fn deletions_are_equal_when_they_delete_the_same_wherever_they_stand() {
    let one = |bytes: &[u8]| read(ModsKind::Binary, bytes).0.remove(0).deletion;
    // Order and repetition of columns and of predicates say nothing.
    let a = one(&table(b"\x03\x04\x00\x05\x02", b"\x04\x02x\x02y"));
    let b = one(&table(b"\x03\x06\x05\x02\x00\x00", b"\x06\x02y\x02x\x02x"));
    assert_eq!(a, b);
    let both = HashSet::from([a.clone(), b]);
    assert_eq!(both.len(), 1);
    assert_ne!(a, one(&table(b"\x03\x04\x00\x05\x04", b"\x04\x02x\x02y")));
    assert_ne!(a, one(&table(b"\x03\x04\x00\x05\x02", b"\x00")));
    // A line of 1.x and an entry of 2.x; the file offset does not count.
    let lines = b"DELETION,root.t.d1.,7,1,5\r\nDELETION,root.t.d1.,9,1,5\n";
    let (lines, ending) = read(ModsKind::Text, lines);
    assert_eq!(ending, Ending::Whole);
    assert_eq!(lines[0].deletion, lines[1].deletion);
    assert_eq!(lines[0].deletion, one(&entries()[0]));
    assert_eq!((lines[0].position, lines[1].position), (0, 27));
    assert_eq!(&*lines[0].raw, b"DELETION,root.t.d1.,7,1,5");
}

#[test]
fn predicates_of_later_versions_are_understood() {
    let (entries, _) = read(ModsKind::Binary, &entries().concat());
    let device = |tag: &str| Segments([Some("t1".into()), Some(tag.into())].into());
    let table = |predicate, columns| Deletion {
        target: Target::Table { table: "t1".into(), predicate, columns },
        start: 1,
        end: 5,
    };
    let any_of = Predicate::AnyOf([device("a"), device("b")].into());
    assert_eq!(entries[3].deletion, table(any_of, [].into()));
    assert_eq!(entries[4].deletion, table(Predicate::Present { index: 2 }, ["x".into()].into()));
    assert_eq!(
        entries[3].deletion.to_string(),
        "table t1, all columns, one of the devices (t1.a; t1.b) from 1 to 5"
    );
}
