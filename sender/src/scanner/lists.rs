//! Lists of deletions that were written to, held open for as long as their files are there.
//!
//! Rows are deleted, a compaction applies that, and the file is gone with its list, all between two
//! scans: then nothing in the directories tells of the deletion any more. But the kernel tells as
//! soon as a list is there, which is before the compaction begins, and what is open by then can be
//! read when it has no name left.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use tidegate_daemon::files::descriptors_max;
use tidegate_daemon::files::open_regular;
use tidegate_source::Listing;
use tidegate_source::Scan;
use tidegate_source::TsFileName;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::RESOURCE_SUFFIX;

use crate::catalog::GoneList;
use crate::catalog::identity;

/// Where a list stands: the folder, and the name of its TsFile.
pub(super) type At = (Arc<str>, TsFileName);

/// Lists by where they stand.
#[derive(Debug)]
pub(super) struct HeldLists {
    held: HashMap<At, Held>,
    /// The same in the order in which they were opened.
    by_serial: BTreeMap<u64, At>,
    next_serial: u64,
    lists_max: usize,
}

#[derive(Debug)]
struct Held {
    serial: u64,
    list: GoneList,
}

/// One in so many of the process' descriptors may be a list; each comes with a `.resource`.
const DESCRIPTORS_PER_LIST: u64 = 16;

impl HeldLists {
    /// As many as the process' descriptors allow.
    pub(super) fn new() -> Self {
        let lists_max = descriptors_max().min(1 << 16) / DESCRIPTORS_PER_LIST;
        Self::with_max(usize::try_from(lists_max).unwrap_or(0))
    }

    fn with_max(lists_max: usize) -> Self {
        Self { held: HashMap::new(), by_serial: BTreeMap::new(), next_serial: 0, lists_max }
    }

    /// A list appeared under its name.
    pub(super) fn appeared(&mut self, dir: &Path, at: At, kind: ModsKind) {
        // What is held is not what stood there last.
        self.take(&at);
        self.written(dir, at, kind);
    }

    /// A list was written to. One that is gone by now is held if it was before; of others, those that
    /// were opened first make room.
    pub(super) fn written(&mut self, dir: &Path, at: At, kind: ModsKind) {
        let Ok(list) = open(dir, at.clone(), kind) else { return };
        self.take(&at);
        while self.held.len() >= self.lists_max {
            let Some((_, first)) = self.by_serial.pop_first() else { return };
            self.held.remove(&first);
        }
        let serial = self.next_serial;
        self.next_serial += 1;
        self.by_serial.insert(serial, at.clone());
        self.held.insert(at, Held { serial, list });
    }

    /// Folders were listed: the lists of files that are not there any more.
    pub(super) fn take_gone(&mut self, scan: &Scan) -> Vec<GoneList> {
        if self.held.is_empty() {
            return Vec::new();
        }
        let listings: HashMap<&Arc<str>, &Listing> =
            scan.listings.iter().map(|listing| (&listing.folder, &**listing)).collect();
        let is_gone = |at: &At, list: &GoneList| match listings.get(&at.0) {
            Some(listing) => !is_in(listing, at.1, list),
            None => scan.unread.is_empty(),
        };
        let gone = self.take_if(is_gone);
        // Somebody has removed a list whose file is there: what is held says nothing any more.
        self.take_if(|at, list| {
            listings.contains_key(&at.0) && list.list.metadata().is_ok_and(|it| it.nlink() == 0)
        });
        gone
    }

    /// Events in a folder may have been missed, or in all: what is held may not be what stands there.
    pub(super) fn doubt(&mut self, folder: Option<&Arc<str>>) {
        self.take_if(|at, _| folder.is_none_or(|folder| at.0 == *folder));
    }

    fn take(&mut self, at: &At) {
        if let Some(held) = self.held.remove(at) {
            self.by_serial.remove(&held.serial);
        }
    }

    fn take_if(&mut self, is_it: impl Fn(&At, &GoneList) -> bool) -> Vec<GoneList> {
        let taken = self.held.extract_if(|at, held| is_it(at, &held.list));
        let taken = taken.map(|(_, Held { serial, list })| {
            self.by_serial.remove(&serial);
            list
        });
        taken.collect()
    }
}

/// Whether a list's file is there, or one of its name that is not sealed, as far as was seen.
fn is_in(listing: &Listing, name: TsFileName, list: &GoneList) -> bool {
    match listing.sealed_at(name) {
        Some(at) => listing.sealed[at].identity == list.identity,
        None => listing.is_unsealed(name),
    }
}

fn open(dir: &Path, at: At, kind: ModsKind) -> io::Result<GoneList> {
    let name = at.1;
    let list = open_regular(&dir.join(format!("{name}{}", kind.suffix())))?;
    let resource = open_regular(&dir.join(format!("{name}{RESOURCE_SUFFIX}")))?;
    // IoTDB removes a file before its list: while it is there, the list is its own.
    let identity = identity(&std::fs::metadata(dir.join(name.to_string()))?);
    Ok(GoneList { identity, at, kind, list, resource })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::eyes::Eyes;
    use super::*;
    use crate::catalog::Catalog;
    use crate::catalog::CatalogConfig;
    use crate::catalog::tests::resource;

    struct Site {
        dir: tempfile::TempDir,
        catalog: Catalog,
        eyes: Eyes,
    }

    impl Site {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            let config = CatalogConfig {
                data_dirs: vec![dir.path().to_owned()],
                mods_bytes_max: 1 << 20,
                ..CatalogConfig::default()
            };
            let eyes = Eyes::new(64).expect("inotify");
            Self { dir, catalog: Catalog::new(config), eyes }
        }

        fn path(&self, suffix: &str) -> std::path::PathBuf {
            let folder = self.dir.path().join("sequence/root.sg/3/0");
            fs::create_dir_all(&folder).expect("a folder");
            folder.join(format!("7-1-0-0.tsfile{suffix}"))
        }

        fn seal(&self) {
            fs::write(self.path(""), b"x").expect("a file");
            let devices = [("root.sg.d", 1, 9), ("root.sg.e", 1, 9)];
            fs::write(self.path(RESOURCE_SUFFIX), resource(&devices)).expect("a resource");
        }

        fn delete(&self, entries: &str) {
            fs::write(self.path(".mods"), entries).expect("a list");
        }

        /// What the end of a compaction does.
        fn remove(&self) {
            for suffix in ["", RESOURCE_SUFFIX, ".mods"] {
                let _ = fs::remove_file(self.path(suffix));
            }
        }

        fn scan(&mut self) -> Scan {
            self.catalog.scan(super::super::wall_clock_ns(), &mut self.eyes)
        }
    }

    const ENTRY: &str = "DELETION,root.sg.d.s,9,1,5\n";

    /// The deletion was a gap record, and its rows stayed at the far side.
    #[test]
    fn a_list_that_was_written_and_removed_between_two_scans_is_in_the_second() {
        for n_before in [0, 1] {
            let mut site = Site::new();
            site.seal();
            if n_before > 0 {
                site.delete(ENTRY);
            }
            site.scan();
            let before = site.scan();
            let identity = before.listings[0].sealed[0].identity;
            site.delete(&ENTRY.repeat(n_before + 1));
            assert!(site.eyes.take_hint(), "the kernel told of it");
            // What is written behind that counts, too.
            let list = fs::File::options().append(true).open(site.path(".mods"));
            io::Write::write_all(&mut list.expect("the list"), ENTRY.as_bytes()).expect("more");
            site.remove();
            let scan = site.scan();
            let [(found, last)] = &scan.last_mods.iter().collect::<Vec<_>>()[..] else {
                panic!("{:?}", scan.last_mods)
            };
            assert_eq!((**found, last.mods.entries.len()), (identity, n_before + 2));
            let listed = &before.listings[0].sealed[0];
            assert_eq!(last.at, (Arc::clone(&before.listings[0].folder), listed.name));
            assert_eq!(listed.mods.is_some(), n_before > 0);
            if let Some(mods) = &listed.mods {
                assert_eq!((mods.inode, mods.kind), (last.mods.inode, last.mods.kind));
            }
            assert!(site.scan().last_mods.is_empty(), "once");
        }
    }

    /// A compaction came to its end in the same moment: the kernel told too late.
    #[test]
    fn what_is_written_to_a_list_that_is_held_counts_whenever_the_kernel_tells_of_it() {
        let mut site = Site::new();
        site.seal();
        site.scan();
        site.delete(ENTRY);
        site.eyes.take_hint();
        let scan = site.scan();
        assert_eq!(scan.listings[0].sealed[0].mods.as_ref().map(|it| it.entries.len()), Some(1));
        site.scan();
        let list = fs::File::options().append(true).open(site.path(".mods"));
        io::Write::write_all(&mut list.expect("the list"), ENTRY.as_bytes()).expect("more");
        site.remove();
        let scan = site.scan();
        let n_entries: Vec<_> = scan.last_mods.values().map(|it| it.mods.entries.len()).collect();
        assert_eq!(n_entries, [2]);
    }

    /// It was taken for what stood there in the end.
    #[test]
    fn a_list_that_somebody_removed_or_whose_events_were_lost_is_held_no_longer() {
        for is_removed in [true, false] {
            let mut site = Site::new();
            site.seal();
            site.scan();
            site.delete(ENTRY);
            site.scan();
            match is_removed {
                true => fs::remove_file(site.path(".mods")).expect("gone"),
                false => site.eyes.overflow(),
            }
            site.scan();
            site.remove();
            assert!(site.scan().last_mods.is_empty(), "removed: {is_removed}");
        }
    }

    #[test]
    fn no_more_lists_are_held_than_descriptors_allow_and_none_that_are_not_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let folder: Arc<str> = dir.path().to_string_lossy().into();
        let mut lists = HeldLists::with_max(2);
        let name = |version| TsFileName { time_ms: 7, version, inner: 0, cross: 0 };
        let at = |version| (Arc::clone(&folder), name(version));
        for version in 1..=3 {
            for suffix in ["", RESOURCE_SUFFIX, ".mods"] {
                fs::write(dir.path().join(format!("{}{suffix}", name(version))), b"x").expect("it");
            }
            lists.appeared(dir.path(), at(version), ModsKind::Text);
            lists.written(dir.path(), at(version), ModsKind::Text);
        }
        let held = |lists: &HeldLists| {
            let mut versions: Vec<u64> = lists.held.keys().map(|at| at.1.version).collect();
            versions.sort_unstable();
            assert_eq!(versions.len(), lists.by_serial.len());
            versions
        };
        assert_eq!(held(&lists), [2, 3], "the first made room");
        fs::remove_file(dir.path().join(format!("{}.mods", name(2)))).expect("gone");
        lists.written(dir.path(), at(2), ModsKind::Text);
        assert_eq!(held(&lists), [2, 3], "it is what it was");
        lists.appeared(dir.path(), at(2), ModsKind::Text);
        assert_eq!(held(&lists), [3], "another one had its name, and nobody has seen that");
        lists.written(dir.path(), at(2), ModsKind::Text);
        lists.written(dir.path(), at(1), ModsKind::Binary);
        assert_eq!(lists.take_gone(&Scan::default()).len(), 1);
        assert_eq!(held(&lists), [0; 0]);
    }
}
