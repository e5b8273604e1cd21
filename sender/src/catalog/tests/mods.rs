//! Deletions beside sealed files.

use std::os::unix::fs::FileExt;

use tidegate_source::ModsSeen;
use tidegate_source::Scope;

use super::*;

const FOLDER: &str = "sequence/root.sg/3/0";
const FILE: &str = "sequence/root.sg/3/0/7-1-0-0.tsfile";
const TEXT: &str = "sequence/root.sg/3/0/7-1-0-0.tsfile.mods";
const BINARY: &str = "sequence/root.sg/3/0/7-1-0-0.tsfile.mods2";

/// An entry of 27 bytes.
fn line(at: u8) -> Vec<u8> {
    format!("DELETION,root.sg.d.s,9,1,{at}\n").into_bytes()
}

/// Entries as IoTDB 2.x writes them.
fn binary() -> Vec<u8> {
    let path = "../common/tsfile/tests/golden/tree.mods2.hex";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = fs::read_to_string(path).expect("a golden file");
    let digits: Vec<u8> = text.trim().bytes().collect();
    digits
        .chunks(2)
        .map(|two| u8::from_str_radix(str::from_utf8(two).expect("digits"), 16).expect("digits"))
        .collect()
}

fn mods(scan: &Scan) -> Option<&Arc<ModsRead>> {
    only(scan).mods.as_ref()
}

fn ends(scan: &Scan) -> Vec<i64> {
    let entries = mods(scan).into_iter().flat_map(|mods| &mods.entries);
    entries
        .map(|entry| match &entry.scope {
            Scope::Cut(deletion) => deletion.end,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn tree() -> Tree {
    let tree = Tree::new();
    tree.seal(FILE);
    tree
}

#[test]
fn a_list_that_grows_is_read_from_where_it_was_read_to() {
    let mut tree = tree();
    let mut bytes = [line(1), line(2)].concat();
    bytes.extend(&line(3)[..9]);
    tree.write(TEXT, &bytes);
    tree.age(FOLDER);
    let first = tree.scan();
    assert_eq!(ends(&first), [1, 2]);
    let seen = mods(&first).expect("mods").seen();
    assert_eq!(seen, ModsSeen { kind: ModsKind::Text, length_bytes: 54 });
    // What was read is not read again: it could be anything by now.
    let file = File::options().write(true).open(tree.path(TEXT)).expect("the list");
    file.write_all_at(b"rubbish", 0).expect("rubbish");
    tree.append(TEXT, &line(3)[9..]);
    tree.append(TEXT, b"DELE");
    let (second, n_opened) = tree.scan_counting();
    assert_eq!((ends(&second), n_opened), (vec![1, 2, 3], 2));
    let read = mods(&second).expect("mods");
    assert_eq!((read.whole_bytes, read.entries[2].end_bytes), (81, 81));
    // More of what is not whole yet is nothing new.
    tree.append(TEXT, b"TION");
    let (third, n_opened) = tree.scan_counting();
    assert!(Arc::ptr_eq(&second.listings[0], &third.listings[0]));
    assert_eq!(n_opened, 1);
}

#[test]
fn a_list_that_is_written_anew_or_cut_is_read_whole() {
    let mut tree = tree();
    tree.write(TEXT, &[line(1), line(2)].concat());
    assert_eq!(ends(&tree.scan()), [1, 2]);
    let new = tree.write(&format!("{FOLDER}/new"), &[line(4), line(5), line(6)].concat());
    fs::rename(new, tree.path(TEXT)).expect("a name");
    assert_eq!(ends(&tree.scan()), [4, 5, 6]);
    File::options().write(true).open(tree.path(TEXT)).and_then(|it| it.set_len(27)).expect("cut");
    assert_eq!(ends(&tree.scan()), [4]);
}

#[test]
fn deletions_appended_to_a_list_that_was_empty_or_torn_at_first_are_seen() {
    for begin in [b"".as_slice(), b"DELET"] {
        let mut tree = tree();
        tree.write(TEXT, begin);
        tree.age(FOLDER);
        assert_eq!(mods(&tree.scan()), None);
        tree.append(TEXT, &line(4)[begin.len()..]);
        assert_eq!(ends(&tree.scan()), [4]);
    }
}

#[test]
fn of_two_lists_the_binary_one_counts_once_there_is_something_in_it() {
    let kind = |scan: &Scan| mods(scan).map(|mods| mods.kind);
    let binary = binary();
    for text in [None, Some(line(1))] {
        let mut tree = tree();
        tree.write(BINARY, b"");
        if let Some(text) = &text {
            tree.write(TEXT, text);
        }
        tree.age(FOLDER);
        let before = text.as_ref().map(|_| ModsKind::Text);
        assert_eq!(kind(&tree.scan()), before);
        tree.append(BINARY, &binary[..3]);
        assert_eq!(kind(&tree.scan()), before, "nothing whole is in it yet");
        tree.append(BINARY, &binary[3..]);
        assert_eq!(kind(&tree.scan()), Some(ModsKind::Binary));
        // IoTDB 2.x removes the old one.
        let _ = fs::remove_file(tree.path(TEXT));
        let scan = tree.scan();
        assert_eq!((kind(&scan), scan.unsettled.len()), (Some(ModsKind::Binary), 0));
    }
}

#[test]
fn a_list_that_is_missing_while_it_is_written_anew_is_what_it_was() {
    let mut tree = tree();
    tree.write(TEXT, &[line(1), line(2)].concat());
    tree.age(FOLDER);
    let before = tree.scan();
    let settle = tree.write(&format!("{TEXT}.settle"), &line(2));
    fs::remove_file(tree.path(TEXT)).expect("gone");
    let moment = tree.scan();
    assert_eq!(moment.unsettled, HashSet::from([region(3)]));
    assert!(Arc::ptr_eq(&before.listings[0], &moment.listings[0]));
    fs::rename(settle, tree.path(TEXT)).expect("a name");
    let after = tree.scan();
    assert_eq!((ends(&after), after.unsettled.len()), (vec![2], 0));
    assert_ne!(mods(&after).expect("mods").inode, mods(&before).expect("mods").inode);
    // Between the phases, too.
    let (text, settle) = (tree.path(TEXT), tree.path(&format!("{TEXT}.settle")));
    fs::write(&settle, line(2)).expect("a file");
    let moment = tree.scan_while(|| fs::remove_file(&text).expect("gone"));
    assert_eq!((ends(&moment), moment.unsettled.len()), (vec![2], 1));
}

#[test]
fn a_file_found_in_that_moment_waits_for_its_list() {
    let mut tree = tree();
    let settle = tree.write(&format!("{TEXT}.settle"), &line(2));
    let scan = tree.scan();
    assert!(scan.listings[0].sealed[0].is_young);
    assert!(tree.catalog.next_due().is_some());
    tree.ahead = Duration::from_secs(2);
    assert_eq!(mods(&tree.scan()), None, "left by a crash: the list is lost at the source, too");
    tree.ahead = Duration::ZERO;
    fs::rename(settle, tree.path(TEXT)).expect("a name");
    assert_eq!(ends(&tree.scan()), [2]);
}

#[test]
fn deletions_made_between_the_phases_are_in_the_scan() {
    let mut tree = tree();
    tree.seal(&format!("{FOLDER}/8-1-0-0.tsfile"));
    tree.write(TEXT, &line(1));
    tree.age(FOLDER);
    tree.scan();
    let (text, other) = (tree.path(TEXT), tree.path(&format!("{FOLDER}/8-1-0-0.tsfile.mods")));
    let scan = tree.scan_while(|| {
        File::options()
            .append(true)
            .open(&text)
            .and_then(|mut it| it.write_all(&line(2)))
            .expect("2");
        fs::write(&other, line(3)).expect("a file");
    });
    let n_entries =
        |at: usize| scan.listings[0].sealed[at].mods.as_ref().map(|mods| mods.entries.len());
    assert_eq!((n_entries(0), n_entries(1), scan.unsettled.len()), (Some(2), Some(1), 0));
}

#[test]
fn what_will_never_be_an_entry_is_damage_and_what_stands_before_it_counts() {
    let mut tree = tree();
    tree.write(TEXT, &[line(1), b"rubbish\n".to_vec(), line(2)].concat());
    tree.age(FOLDER);
    let scan = tree.scan();
    assert_eq!(ends(&scan), [1]);
    let damage = mods(&scan).and_then(|mods| mods.damage.clone()).expect("damage");
    assert!(damage.contains("7-1-0-0.tsfile.mods") && damage.contains("rubbish"), "{damage}");
    tree.append(TEXT, &line(3));
    assert!(Arc::ptr_eq(&scan.listings[0], &tree.scan().listings[0]));
}

#[test]
fn a_list_above_the_limit_is_not_read_and_the_key_is_named() {
    for (n_bytes, is_read) in [(53, true), (54, true), (55, false)] {
        let mut tree = Tree::with(|config| config.mods_bytes_max = 54);
        tree.seal(FILE);
        let mut bytes = [line(1), line(2), line(3)].concat();
        bytes.truncate(n_bytes);
        tree.write(TEXT, &bytes);
        let (scan, n_opened) = tree.scan_counting();
        let read = mods(&scan).expect("mods");
        assert_eq!(read.damage.is_none(), is_read, "{n_bytes} bytes");
        assert_eq!(read.entries.len(), if is_read { n_bytes / 27 } else { 0 });
        assert_eq!(n_opened, if is_read { 3 } else { 2 });
        if let Some(damage) = &read.damage {
            assert!(damage.contains("sender_mods_max_bytes (54)"), "{damage}");
        }
    }
    // Grown beyond it, it keeps what was read.
    let mut tree = Tree::with(|config| config.mods_bytes_max = 54);
    tree.seal(FILE);
    tree.write(TEXT, &[line(1), line(2)].concat());
    tree.scan();
    tree.append(TEXT, &line(3));
    let scan = tree.scan();
    assert_eq!(ends(&scan), [1, 2]);
    assert!(mods(&scan).is_some_and(|mods| mods.damage.is_some()));
}

#[test]
fn more_deleted_series_than_memory_is_meant_for_are_damage() {
    let names: Vec<String> = (0..999).map(|at| format!("root.sg.d{at}")).collect();
    let devices: Vec<_> = names.iter().map(|name| (name.as_str(), 1, 9)).collect();
    for (n_entries, is_whole) in [(499, true), (500, true), (501, false)] {
        let mut tree = tree();
        tree.write(&format!("{FILE}.resource"), &resource(&devices));
        tree.write(TEXT, "DELETION,root.**,9,1,5\n".repeat(n_entries).as_bytes());
        let scan = tree.scan();
        let read = mods(&scan).expect("mods");
        assert_eq!((read.damage.is_none(), read.entries.len()), (is_whole, n_entries.min(500)));
    }
}

#[test]
fn deletions_are_cut_to_the_devices_of_their_file_or_nobody_knows() {
    let scopes = |resource: Option<&[u8]>, drop_policy: DropPolicy| {
        let mut tree = Tree::with(|config| config.drop_policy = drop_policy);
        tree.seal(FILE);
        if let Some(bytes) = resource {
            tree.write(&format!("{FILE}.resource"), bytes);
        }
        tree.write(TEXT, b"DELETION,root.**,9,5,50\nDELETION,root.other.**,9,1,5\n");
        let scan = tree.scan();
        mods(&scan).expect("mods").entries.iter().map(|it| it.scope.clone()).collect::<Vec<_>>()
    };
    for policy in [DropPolicy::Keep, DropPolicy::Delete] {
        let cut = scopes(None, policy);
        let [Scope::Cut(deletion), Scope::Nothing] = &cut[..] else { panic!("{cut:?}") };
        assert_eq!((deletion.start, deletion.end, deletion.n_names()), (5, 9, 1));
        for unknown in [b"rubbish".to_vec(), resource(&[])] {
            assert_eq!(scopes(Some(&unknown), policy), [Scope::Unknown, Scope::Unknown]);
        }
    }
}

/// Somebody who followed our advice, and removed a damaged list, stopped the region for good: first
/// always, then where the next scan came so late that the folder counted as settled.
#[test]
fn a_list_that_somebody_has_removed_or_emptied_is_forgotten() {
    for case in 0..8 {
        let (is_emptied, is_settling, is_late) = (case & 1 > 0, case & 2 > 0, case & 4 > 0);
        let mut tree = tree();
        tree.write(TEXT, b"rubbish\n");
        tree.scan();
        assert!(mods(&tree.scan()).is_some_and(|mods| mods.damage.is_some()));
        match is_emptied {
            true => drop(tree.write(TEXT, b"")),
            false => fs::remove_file(tree.path(TEXT)).expect("the list"),
        }
        if is_settling {
            tree.write(&format!("{TEXT}.settle"), b"");
        }
        if is_late {
            tree.age(FOLDER);
        }
        let n_scans = (0..30).take_while(|_| {
            let scan = tree.scan();
            mods(&scan).is_some() || !scan.unsettled.is_empty()
        });
        let expected = match (is_emptied, is_settling) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => 19,
        };
        let case = format!("emptied {is_emptied}, settling {is_settling}, late {is_late}");
        assert_eq!(n_scans.count(), expected, "{case}");
        tree.write(TEXT, &line(1));
        assert_eq!(ends(&tree.scan()), [1], "one that comes later counts: {case}");
    }
}

/// How often it had been missing was not forgotten when it was back.
#[test]
fn a_list_that_is_missed_now_and_then_is_what_it_was() {
    let mut tree = tree();
    let list = tree.write(TEXT, &line(1));
    tree.age(FOLDER);
    tree.scan();
    for _ in 0..4 {
        let aside = tree.path("aside");
        fs::rename(&list, &aside).expect("a name");
        tree.age(FOLDER);
        let moment = tree.scan();
        assert_eq!((ends(&moment), moment.unsettled.len()), (vec![1], 1));
        fs::rename(&aside, &list).expect("a name");
        tree.age(FOLDER);
        let after = tree.scan();
        assert_eq!((ends(&after), after.unsettled.len()), (vec![1], 0));
    }
}
