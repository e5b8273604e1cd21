use std::fs;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;

use tempfile::TempDir;
use tidegate_source::ModsSeen;
use tidegate_source::PinnedMods;
use tidegate_source::TsFileName;
use tidegate_tsfile::ModsKind;

use super::*;

const ENTRY: &str = "DELETION,root.t.d1.s,9223372036854775807,1,5\n";
const MODES: [PinMode; 3] = [PinMode::Link, PinMode::Hold, PinMode::Copy];

struct Site {
    source: TempDir,
    pins: TempDir,
}

impl Site {
    fn new() -> Self {
        let dir = || tempfile::tempdir().expect("a directory");
        Self { source: dir(), pins: dir() }
    }

    fn config(&self, mode: PinMode) -> PinConfig {
        PinConfig {
            mode,
            dirs: vec![self.pins.path().join("pins")],
            files_max: 10,
            bytes_max: 1 << 20,
            floor_percent: 0,
        }
    }

    fn pinner(&self, mode: PinMode) -> Pinner {
        Pinner::open(self.config(mode)).expect("a pinner")
    }

    fn path(&self, version: u64) -> PathBuf {
        self.source.path().join(name(version).to_string())
    }

    fn mods_path(&self, version: u64) -> PathBuf {
        with_suffix(&self.path(version), ".mods")
    }

    /// A file as it is now, with its deletions.
    fn wanted(&self, version: u64) -> PinWanted {
        let facts = fs::metadata(self.path(version)).expect("the file");
        let mods = fs::metadata(self.mods_path(version)).ok().map(|facts| ModsMark {
            seen: ModsSeen { kind: ModsKind::Text, length_bytes: facts.len() },
            inode: facts.ino(),
        });
        let folder = self.source.path().to_string_lossy().as_ref().into();
        PinWanted { identity: catalog::identity(&facts), folder, name: name(version), mods }
    }

    fn add(&self, version: u64, bytes: &str) -> PinWanted {
        fs::write(self.path(version), bytes).expect("a file");
        self.wanted(version)
    }

    fn remove(&self, version: u64) {
        fs::remove_file(self.path(version)).expect("the file");
        let _ = fs::remove_file(self.mods_path(version));
    }

    fn n_in_dir(&self) -> usize {
        fs::read_dir(self.pins.path().join("pins")).map_or(0, Iterator::count)
    }
}

fn name(version: u64) -> TsFileName {
    TsFileName { version, time_ms: 7, inner: 0, cross: 0 }
}

fn apply(pinner: &mut Pinner, wanted: &[&PinWanted], needless: &[&PinWanted]) -> PinReport {
    pinner.apply(&PinRequest {
        wanted: wanted.iter().map(|it| (*it).clone()).collect(),
        needless: needless.iter().map(|it| it.identity).collect(),
    });
    pinner.report()
}

/// The bytes of a pinned file, and of its deletions; `None` if they cannot be had.
fn read(store: &PinStore, file: &PinWanted, mods: PinnedMods) -> Option<(String, Option<String>)> {
    let mut opened = store.open(file.identity, mods).expect("a disk that works")?;
    let mut bytes = String::new();
    // From the start, wherever the descriptor that is shared may stand.
    let mut all = vec![0; usize::try_from(file.identity.length_bytes).expect("short")];
    opened.file.read_exact_at(&mut all, 0).expect("the file");
    bytes.push_str(&String::from_utf8(all).expect("text"));
    let mods = opened.mods.as_mut().map(|(_, list, length_bytes)| {
        let mut text = String::new();
        match length_bytes {
            Some(n_bytes) => {
                let mut all = vec![0; usize::try_from(*n_bytes).expect("short")];
                list.read_exact_at(&mut all, 0).expect("the list");
                text.push_str(&String::from_utf8(all).expect("text"));
            }
            None => drop(list.read_to_string(&mut text).expect("the list")),
        }
        text
    });
    Some((bytes, mods))
}

#[test]
fn each_way_keeps_a_file_and_exactly_the_deletions_that_were_listed() {
    for mode in MODES {
        let site = Site::new();
        let mut pinner = site.pinner(mode);
        let store = pinner.store();
        let bare = site.add(1, "bare");
        fs::write(site.mods_path(2), ENTRY).expect("mods");
        let before = site.add(2, "deleted from");
        let report = apply(&mut pinner, &[&bare, &before], &[]);
        assert_eq!((report.pinned.len(), report.totals.declined), (2, 0), "{mode:?} {report:?}");
        // More is deleted: in place, then in a list that is written anew.
        for round in 0..2 {
            let both = ENTRY.repeat(round + 2);
            if round == 1 {
                fs::remove_file(site.mods_path(2)).expect("the list");
            }
            fs::write(site.mods_path(2), &both).expect("mods");
            let after = site.wanted(2);
            let exactly = PinnedMods::Exactly(after.mods);
            if round == 1 || mode == PinMode::Copy {
                assert_eq!(read(&store, &after, exactly), None, "{mode:?}: the list is another");
            }
            apply(&mut pinner, &[&bare, &after], &[]);
            let expected = Some(("deleted from".to_owned(), Some(both)));
            assert_eq!(read(&store, &after, exactly), expected, "{mode:?}");
        }
        let after = site.wanted(2);
        [1, 2].into_iter().for_each(|version| site.remove(version));
        let got = read(&store, &after, PinnedMods::Exactly(after.mods));
        let expected = Some(("deleted from".to_owned(), Some(ENTRY.repeat(3))));
        assert_eq!(got, expected, "{mode:?}");
        assert_eq!(read(&store, &after, PinnedMods::Any), expected, "{mode:?}");
        let none = PinnedMods::Exactly(None);
        assert_eq!(read(&store, &bare, none), Some(("bare".to_owned(), None)), "{mode:?}");
        let report = apply(&mut pinner, &[], &[&bare, &after]);
        assert!(report.pinned.is_empty());
        assert_eq!(read(&store, &bare, none), None);
        assert_eq!(site.n_in_dir(), 0, "{mode:?}");
    }
}

#[test]
fn a_file_that_is_another_by_now_is_not_pinned() {
    for mode in MODES {
        let site = Site::new();
        let mut pinner = site.pinner(mode);
        let was = site.add(1, "one");
        site.add(1, "another");
        let gone = site.add(2, "gone");
        site.remove(2);
        fs::write(site.mods_path(3), ENTRY).expect("mods");
        let mut of_other_list = site.add(3, "three");
        of_other_list.mods = of_other_list.mods.map(|mark| ModsMark { inode: 1, ..mark });
        let report = apply(&mut pinner, &[&was, &gone, &of_other_list], &[]);
        assert!(report.pinned.is_empty(), "{mode:?}");
        assert_eq!((report.totals.declined, report.totals.trouble), (3, None), "{mode:?}");
        assert_eq!(site.n_in_dir(), 0, "{mode:?}");
    }
}

#[test]
fn no_more_is_pinned_than_allowed_and_what_comes_first_goes_first() {
    for (files_max, bytes_max, expected) in
        [(2, 100, [1, 2].as_slice()), (9, 10, &[1, 3]), (9, 0, &[]), (9, 100, &[1, 2, 3])]
    {
        let site = Site::new();
        let config = PinConfig { files_max, bytes_max, ..site.config(PinMode::Hold) };
        let mut pinner = Pinner::open(config).expect("a pinner");
        let files = [site.add(1, "sixsix"), site.add(2, "fives"), site.add(3, "four")];
        let wanted: Vec<&PinWanted> = files.iter().collect();
        let report = apply(&mut pinner, &wanted, &[]);
        let pinned: Vec<u64> = files
            .iter()
            .filter(|it| report.pinned.contains(&it.identity))
            .map(|it| it.name.version)
            .collect();
        assert_eq!(pinned, expected, "{files_max} files, {bytes_max} bytes");
        assert_eq!(report.totals.declined, 3 - expected.len() as u64);
        assert_eq!(report.totals.trouble, None);
    }
}

#[test]
fn what_cannot_be_linked_is_held_open_or_named() {
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return };
    let site = Site::new();
    let file = site.add(1, "one");
    for (mode, n_open) in [(PinMode::Auto, 1), (PinMode::Link, 0)] {
        let dirs = vec![elsewhere.path().join("pins")];
        let mut pinner = Pinner::open(PinConfig { dirs, ..site.config(mode) }).expect("a pinner");
        let report = apply(&mut pinner, &[&file], &[]);
        assert_eq!((report.totals.open, report.totals.links), (n_open, 0), "{mode:?}");
        let trouble = report.totals.trouble.unwrap_or_default();
        assert_eq!(trouble.contains("sender_pin_dirs"), n_open == 0, "{trouble:?}");
        assert_eq!(report.warnings.len() as u64, 1 - n_open);
        let again = apply(&mut pinner, &[&file], &[]);
        assert!(again.warnings.is_empty(), "said once: {:?}", again.warnings);
    }
    // A file where the directory should be.
    let dirs = vec![site.path(1)];
    let config = |mode| PinConfig { dirs: dirs.clone(), ..site.config(mode) };
    let mut pinner = Pinner::open(config(PinMode::Auto)).expect("a pinner");
    assert_eq!(apply(&mut pinner, &[&file], &[]).totals.open, 1);
    assert!(Pinner::open(config(PinMode::Link)).is_err());
    assert_eq!(apply(&mut site.pinner(PinMode::Auto), &[&file], &[]).totals.links, 1);
}

#[test]
fn links_and_copies_outlive_the_sender_and_what_is_none_any_more_is_removed() {
    for mode in [PinMode::Link, PinMode::Copy] {
        let site = Site::new();
        fs::write(site.mods_path(1), ENTRY).expect("mods");
        let files = [site.add(1, "one"), site.add(2, "two")];
        apply(&mut site.pinner(mode), &[&files[0], &files[1]], &[]);
        [1, 2].into_iter().for_each(|version| site.remove(version));
        let dir = site.pins.path().join("pins");
        let of_second = fs::read_dir(&dir).expect("the directory").find_map(|entry| {
            let path = entry.expect("an entry").path();
            (fs::read(&path).expect("a file") == b"two").then_some(path)
        });
        fs::write(of_second.expect("a pin"), "cut").expect("it changes");
        fs::write(dir.join("of somebody else"), "").expect("a file");
        fs::write(dir.join("1-2-3.copy.tsfile.part"), "").expect("a file");
        // Also where nothing is pinned any more, what is pinned is used.
        let mut pinner = site.pinner(PinMode::Off);
        let report = pinner.report();
        let (kept, is_cut) = (files[0].identity, files[1].identity);
        assert!(report.pinned.contains(&kept), "{mode:?}");
        assert_eq!(report.pinned.contains(&is_cut), mode == PinMode::Copy, "{mode:?}: same length");
        let got = read(&pinner.store(), &files[0], PinnedMods::Any);
        assert_eq!(got, Some(("one".to_owned(), Some(ENTRY.to_owned()))), "{mode:?}");
        apply(&mut pinner, &[], &[&files[0], &files[1]]);
        assert_eq!(site.n_in_dir(), 1, "{mode:?}: what is of somebody else");
    }
}

#[test]
fn below_the_floor_pins_that_take_room_go_and_none_are_made() {
    for (mode, n_kept) in [(PinMode::Link, 1), (PinMode::Hold, 1), (PinMode::Copy, 0)] {
        let site = Site::new();
        let mut pinner = site.pinner(mode);
        let (there, removed) = (site.add(1, "there"), site.add(2, "removed"));
        apply(&mut pinner, &[&there, &removed], &[]);
        site.remove(2);
        pinner.config.floor_percent = 100;
        let late = site.add(3, "late");
        let report = apply(&mut pinner, &[&there, &late], &[]);
        let kept: HashSet<FileIdentity> = [there.identity].into_iter().take(n_kept).collect();
        assert_eq!(*report.pinned, kept, "{mode:?}");
        assert_eq!(report.totals.let_go, 2 - n_kept as u64, "{mode:?}");
        assert!(report.warnings[0].contains("less than 100 % are free"), "{report:?}");
        pinner.config.floor_percent = 0;
        let report = apply(&mut pinner, &[&there, &late], &[]);
        assert_eq!(report.pinned.len(), 2, "{mode:?}: there is room again");
    }
}

#[test]
fn no_more_files_are_held_open_than_half_of_the_descriptors_allow() {
    let site = Site::new();
    let mut pinner = site.pinner(PinMode::Hold);
    pinner.descriptors_max = 8;
    let files = [1, 2, 3].map(|version| site.add(version, "bytes"));
    let report = apply(&mut pinner, &[&files[0], &files[1], &files[2]], &[]);
    assert_eq!((report.totals.open, report.totals.declined), (2, 1));
    let trouble = report.totals.trouble.expect("a reason");
    assert!(trouble.contains("8 descriptors"), "{trouble}");
}

#[test]
fn a_copy_that_would_go_below_the_floor_is_not_made() {
    let site = Site::new();
    let mut pinner = site.pinner(PinMode::Copy);
    pinner.config.floor_percent = 1;
    let mut file = site.add(1, "bytes");
    assert!(pinner.has_room(&pinner.dirs[0], &file));
    file.identity.length_bytes = u64::MAX;
    assert!(!pinner.has_room(&pinner.dirs[0], &file));
}
