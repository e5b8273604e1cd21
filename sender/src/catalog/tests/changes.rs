//! What changes between scans and within one.

use super::*;

const FOLDER: &str = "sequence/root.sg/3/0";
const FILE: &str = "sequence/root.sg/3/0/7-1-0-0.tsfile";
const LOADED: &str = "unsequence/root.sg/3/0/7-1-0-0.tsfile";

#[test]
fn a_folder_without_changes_comes_as_the_same_listing_and_nothing_is_opened() {
    let mut tree = Tree::new();
    tree.seal(FILE);
    tree.write(&format!("{FILE}.mods"), b"DELETION,root.sg.d.s,9,1,5\n");
    // Newly changed, so that it is listed anew, and then at rest.
    let (first, n_opened) = tree.scan_counting();
    assert_eq!(n_opened, 3, "the .resource, the mods, and the .resource to cut the mods to");
    let (second, n_opened) = tree.scan_counting();
    assert!(Arc::ptr_eq(&first.listings[0], &second.listings[0]));
    assert_eq!(n_opened, 0);
    tree.age(FOLDER);
    for _ in 0..2 {
        let (third, n_opened) = tree.scan_counting();
        assert!(Arc::ptr_eq(&first.listings[0], &third.listings[0]));
        assert_eq!(n_opened, 0);
    }
    tree.write(&format!("{FOLDER}/8-2-0-0.tsfile"), b"x");
    let (changed, n_opened) = tree.scan_counting();
    assert_eq!(changed.listings[0].unsealed.len(), 1, "a new file changes the folder");
    assert_eq!(n_opened, 0, "what was known is known");
    assert!(Arc::ptr_eq(&only(&first).facts, &changed.listings[0].sealed[0].facts));
}

#[test]
fn a_file_that_changes_in_place_is_seen_once_its_folder_is_doubted() {
    let mut tree = Tree::new();
    tree.seal(FILE);
    tree.age(FOLDER);
    let before = only(&tree.scan()).identity;
    tree.append(FILE, b"y");
    assert_eq!(only(&tree.scan()).identity, before, "the folder did not change");
    let folder = tree.path(FOLDER);
    tree.catalog.doubt(&folder);
    let after = only(&tree.scan()).identity;
    assert_eq!((before.length_bytes, after.length_bytes), (1, 2));
}

#[test]
fn a_resource_that_is_replaced_is_read_again() {
    let mut tree = Tree::new();
    tree.seal(FILE);
    assert_eq!(only(&tree.scan()).facts.extent.bounds(), Some((1, 9)));
    let path = tree.write(&format!("{FILE}.resource.temp"), &resource(&[("root.sg.d", 1, 20)]));
    fs::rename(path, tree.path(&format!("{FILE}.resource"))).expect("a name");
    assert_eq!(only(&tree.scan()).facts.extent.bounds(), Some((1, 20)));
}

#[test]
fn a_resource_that_cannot_be_read_is_said_once_and_its_file_overlaps_everything() {
    let whole = resource(&[("root.sg.d", 1, 9), ("root.sg.e", -5, 4)]);
    let mut random = fastrand::Rng::with_seed(1);
    let torn = (0..whole.len()).map(|end| whole[..end].to_vec());
    let flipped: Vec<Vec<u8>> = (0..200)
        .map(|_| {
            let mut bytes = whole.clone();
            bytes[random.usize(..whole.len())] ^= 1 << random.u8(..8);
            bytes
        })
        .collect();
    let mut tree = Tree::new();
    tree.seal(&format!("{FOLDER}/1-1-0-0.tsfile"));
    let cases: Vec<Vec<u8>> = torn.chain(flipped).collect();
    for (at, bytes) in cases.iter().enumerate() {
        let path = format!("{FOLDER}/{}-9-0-0.tsfile", at + 10);
        tree.write(&path, b"x");
        tree.write(&format!("{path}.resource"), bytes);
    }
    let scan = tree.scan();
    assert_eq!((scan.unread.len(), scan.unsettled.len()), (0, 0), "the region goes on");
    let files = &scan.listings[0].sealed;
    assert_eq!(files.len(), cases.len() + 1);
    for file in &files[1..] {
        let bytes = &cases[usize::try_from(file.name.time_ms).expect("small") - 10];
        let parsed = tidegate_tsfile::Resource::parse(bytes);
        let is_known = file.facts.extent != Extent::Unknown;
        assert_eq!(is_known, parsed.is_ok_and(|it| !it.devices.is_empty()));
    }
    let warnings = tree.catalog.take_warnings();
    assert_eq!(warnings.len(), WARNINGS_MAX + 1);
    assert!(warnings[WARNINGS_MAX].contains("more warnings"), "{}", warnings[WARNINGS_MAX]);
    tree.age(FOLDER);
    let (_, n_opened) = tree.scan_counting();
    assert_eq!((n_opened, tree.catalog.take_warnings()), (0, vec![]), "said once");
    // Mended in place, which its folder does not tell.
    let mended = format!("{FOLDER}/10-9-0-0.tsfile.resource");
    assert_eq!(fs::metadata(tree.path(&mended)).expect("there").len(), 0);
    tree.append(&mended, &whole);
    tree.age(FOLDER);
    let scan = tree.scan();
    let mended = scan.listings[0].sealed.iter().find(|file| file.name.time_ms == 10);
    assert_eq!(mended.expect("there").facts.extent.bounds(), Some((-5, 9)));
}

#[test]
fn what_is_no_regular_file_is_never_waited_for() {
    let mut tree = Tree::new();
    tree.write(FILE, b"x");
    let fifo = |path: &str| {
        let mode = rustix::fs::Mode::RWXU;
        rustix::fs::mkfifoat(rustix::fs::CWD, tree.dir.path().join(path), mode).expect("a FIFO");
    };
    fifo(&format!("{FILE}.resource"));
    fifo(&format!("{FILE}.mods"));
    fifo(&format!("{FOLDER}/8-1-0-0.tsfile"));
    let scan = tree.scan();
    let file = only(&scan);
    assert_eq!((&file.facts.extent, &file.mods), (&Extent::Unknown, &None));
    assert_eq!(tree.catalog.take_warnings().len(), 1);
}

#[test]
fn files_that_vanish_between_the_phases_leave_their_region_unsettled() {
    let mut tree = Tree::new();
    let other = "sequence/root.sg/4/0/7-1-0-0.tsfile";
    for file in [FILE, other, &format!("{FOLDER}/8-1-0-0.tsfile")] {
        tree.seal(file);
        tree.write(&format!("{file}.mods"), b"DELETION,root.sg.d.s,9,1,5\n");
    }
    tree.age(FOLDER);
    tree.age("sequence/root.sg/4/0");
    assert!(tree.scan().unsettled.is_empty());
    let gone = [FILE.to_owned(), format!("{FILE}.resource"), format!("{FILE}.mods")];
    let gone = gone.map(|it| tree.path(&it));
    let scan = tree.scan_while(|| gone.iter().for_each(|it| fs::remove_file(it).expect("gone")));
    assert_eq!(scan.unsettled, HashSet::from([region(3)]));
    assert_eq!(scan.listings.len(), 2);
    let scan = tree.scan();
    assert!(scan.unsettled.is_empty());
    assert_eq!(scan.listings.iter().map(|it| it.sealed.len()).sum::<usize>(), 2);
    let folder = tree.path(FOLDER);
    let scan = tree.scan_while(|| fs::remove_dir_all(&folder).expect("gone"));
    assert_eq!(scan.unsettled, HashSet::from([region(3)]), "a whole folder");
    assert_eq!(tree.scan().listings.len(), 1);
}

#[test]
fn files_that_appear_between_the_phases_are_found_by_the_next_scan() {
    let mut tree = Tree::new();
    tree.seal(FILE);
    tree.age(FOLDER);
    let new = [tree.path(&format!("{FOLDER}/8-1-0-0.tsfile")), tree.path(FILE)];
    let scan = tree.scan_while(|| {
        fs::write(&new[0], b"x").expect("a file");
        let content = resource(&[("root.sg.d", 1, 9)]);
        fs::write(new[0].with_extension("tsfile.resource"), content).expect("a file");
    });
    only(&scan);
    assert!(scan.unsettled.is_empty());
    // Even if that time should hide them.
    tree.age(FOLDER);
    assert_eq!(tree.scan().listings[0].sealed.len(), 2);
}

#[test]
fn a_loaded_file_is_young_until_its_deletions_must_be_there() {
    let mut tree = Tree::new();
    tree.seal(LOADED);
    let scan = tree.scan();
    assert!(only(&scan).is_young);
    let due = tree.catalog.next_due().expect("another scan is due");
    assert!(due > Duration::ZERO && due <= Duration::from_secs(1), "{due:?}");
    tree.write(&format!("{LOADED}.mods"), b"DELETION,root.sg.d.s,9,1,5\n");
    tree.age("unsequence/root.sg/3/0");
    tree.ahead = due + Duration::from_millis(1);
    let scan = tree.scan();
    assert!(!only(&scan).is_young);
    assert_eq!(only(&scan).mods.as_ref().expect("with its mods").entries.len(), 1);
    assert_eq!(tree.catalog.next_due(), None);
    // A link made elsewhere changes the inode of the .resource, and the file is still sealed.
    let link = tree.path("link.resource");
    fs::hard_link(tree.path(&format!("{LOADED}.resource")), link).expect("a link");
    tree.ahead = Duration::ZERO;
    let folder = tree.path("unsequence/root.sg/3/0");
    tree.catalog.doubt(&folder);
    assert!(!only(&tree.scan()).is_young);
}

#[test]
fn a_clock_that_is_set_back_holds_no_file_for_long() {
    let mut tree = Tree::new();
    tree.seal(LOADED);
    let dir = tree.path("unsequence/root.sg/3/0");
    let at = |tree: &mut Tree, now_ns: i64| {
        tree.catalog.doubt(&dir);
        let scan = tree.catalog.scan(now_ns, &mut Meddler::default());
        scan.listings[0].sealed.iter().filter(|file| !file.is_young).count()
    };
    // A day behind the file system, and later another day.
    let mut now_ns = tree.now_ns() - 86_400_000_000_000;
    assert_eq!(at(&mut tree, now_ns), 0);
    assert_eq!(tree.catalog.next_due(), Some(Duration::from_secs(1)));
    now_ns -= 86_400_000_000_000;
    assert_eq!(at(&mut tree, now_ns), 0);
    assert_eq!(at(&mut tree, now_ns + 999_999_999), 0);
    assert_eq!(at(&mut tree, now_ns + 1_000_000_000), 1);
}

#[test]
fn extents_of_files_that_are_gone_make_room_for_others() {
    let mut tree = Tree::new();
    for file in [FILE, &format!("{FOLDER}/8-1-0-0.tsfile")] {
        tree.seal(file);
        let two_devices = resource(&[("root.sg.d1", 5, 9), ("root.sg.d2", 5, 9)]);
        fs::write(tree.path(&format!("{file}.resource")), two_devices).expect("a resource");
    }
    let bytes = |tree: &Tree| -> usize {
        tree.catalog.folders.values().map(|known| known.folder.extent_bytes).sum()
    };
    tree.scan();
    assert_eq!(bytes(&tree), 4 * size_of::<tidegate_source::DeviceSpan>());
    fs::remove_file(tree.path(FILE)).expect("gone");
    tree.scan();
    assert_eq!(bytes(&tree), 2 * size_of::<tidegate_source::DeviceSpan>());
    fs::remove_dir_all(tree.path(FOLDER)).expect("gone");
    tree.scan();
    assert_eq!(bytes(&tree), 0);
}
