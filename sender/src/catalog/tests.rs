//! What a scan says of a tree of files.

mod changes;
mod mods;

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::time::SystemTime;

use tidegate_config::ReplicaPolicy;
use tidegate_source::Extent;
use tidegate_source::ModsRead;
use tidegate_source::SealedFile;
use tidegate_source::TsFileName;
use tidegate_tsfile::ModsKind;

use super::*;

/// A `.resource` of IoTDB 1.x: devices with their first and last times.
pub(crate) fn resource(devices: &[(&str, i64, i64)]) -> Vec<u8> {
    let count = i32::try_from(devices.len()).expect("few");
    let mut bytes = vec![1, 1];
    bytes.extend(count.to_be_bytes());
    for (_, start, end) in devices {
        bytes.extend(start.to_be_bytes());
        bytes.extend(end.to_be_bytes());
    }
    for (at, (device, ..)) in (0i32..).zip(devices) {
        bytes.extend(i32::try_from(device.len()).expect("short").to_be_bytes());
        bytes.extend(device.as_bytes());
        bytes.extend(at.to_be_bytes());
    }
    bytes.extend(i64::MIN.to_be_bytes());
    bytes.extend(i64::MAX.to_be_bytes());
    bytes.extend((-1i32).to_be_bytes());
    // A progress index of IoTConsensus: row 7 of peer 1.
    bytes.extend([1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7]);
    bytes
}

/// Somebody who watches, and does things while the scan is at work.
#[derive(Default)]
struct Meddler<'m> {
    /// After the folders were listed.
    listed: Option<Box<dyn FnMut() + 'm>>,
    /// Directories that were announced, partition folders with their listing to come.
    entered: Vec<(PathBuf, Option<Place>)>,
    n_ended: usize,
}

impl Watcher for Meddler<'_> {
    fn enter(&mut self, dir: &Path, place: Option<&Place>) {
        self.entered.push((dir.to_owned(), place.cloned()));
    }

    fn listed(&mut self, scan: &Scan) -> Watched {
        for listing in &scan.listings {
            let is_it = |(dir, place): &(PathBuf, Option<Place>)| {
                dir == Path::new(&*listing.folder) && place.as_ref() == Some(&listing.place)
            };
            assert!(self.entered.iter().any(is_it), "a folder is watched before it is listed");
        }
        if let Some(listed) = &mut self.listed {
            listed();
        }
        Watched::default()
    }

    fn take_gone_lists(&mut self, _: &Scan) -> Vec<GoneList> {
        Vec::new()
    }

    fn ended(&mut self, _: &Scan) {
        self.n_ended += 1;
    }
}

struct Tree {
    dir: tempfile::TempDir,
    catalog: Catalog,
    /// How far the clock is ahead of the file system's.
    ahead: Duration,
}

impl Tree {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(adjust: impl FnOnce(&mut CatalogConfig)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = CatalogConfig {
            data_dirs: vec![dir.path().to_owned()],
            mods_bytes_max: 1 << 20,
            ..CatalogConfig::default()
        };
        adjust(&mut config);
        Self { dir, catalog: Catalog::new(config), ahead: Duration::ZERO }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(&path, bytes).expect("a file");
        path
    }

    /// A sealed file of one device.
    fn seal(&self, path: &str) {
        self.write(path, b"x");
        self.write(&format!("{path}.resource"), &resource(&[("root.sg.d", 1, 9)]));
    }

    fn append(&self, path: &str, bytes: &[u8]) {
        let file = File::options().append(true).open(self.path(path));
        file.expect("the file").write_all(bytes).expect("more");
    }

    /// Makes a folder so old that its time cannot hide a change.
    fn age(&self, path: &str) {
        let dir = File::open(self.path(path)).expect("a directory");
        dir.set_modified(SystemTime::now() - Duration::from_secs(60)).expect("an older time");
    }

    fn now_ns(&self) -> i64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        i64::try_from((now + self.ahead).as_nanos()).expect("before 2262")
    }

    fn scan(&mut self) -> Scan {
        let mut nobody = Meddler::default();
        let scan = self.catalog.scan(self.now_ns(), &mut nobody);
        assert_eq!(nobody.n_ended, 1);
        scan
    }

    /// A scan, with things that happen between its phases.
    fn scan_while(&mut self, happens: impl FnMut()) -> Scan {
        let now_ns = self.now_ns();
        let mut meddler = Meddler { listed: Some(Box::new(happens)), ..Meddler::default() };
        self.catalog.scan(now_ns, &mut meddler)
    }

    /// A scan, and how many files it opened.
    fn scan_counting(&mut self) -> (Scan, u64) {
        let before = facts::n_opened();
        let scan = self.scan();
        (scan, facts::n_opened() - before)
    }
}

/// The only sealed file of the only folder.
fn only(scan: &Scan) -> &SealedFile {
    assert_eq!(scan.unread, []);
    let [listing] = &scan.listings[..] else { panic!("{:?}", scan.listings) };
    let [file] = &listing.sealed[..] else { panic!("{listing:?}") };
    file
}

fn name(text: &str) -> TsFileName {
    TsFileName::parse(text).expect("a name")
}

fn region(region: u32) -> RegionKey {
    RegionKey { database: "root.sg".into(), region }
}

#[test]
fn only_files_with_a_resource_are_sealed_and_foreign_things_are_passed_over() {
    let mut tree = Tree::new();
    let folder = "sequence/root.sg/3/-1";
    tree.seal(&format!("{folder}/7-1-0-0.tsfile"));
    tree.write(&format!("{folder}/7-1-0-0.tsfile.mods"), b"DELETION,root.sg.d.s,9,1,5\n");
    tree.write(&format!("{folder}/8-2-0-0.tsfile"), b"open");
    tree.write(&format!("{folder}/9-3-1-0.inner"), b"target");
    tree.write(&format!("{folder}/9-3-1-0.inner.resource"), b"target");
    tree.write(&format!("{folder}/10-4-0-0.tsfile.resource"), b"alone");
    tree.seal(&format!("{folder}/011-5-0-0.tsfile"));
    tree.seal(&format!("{folder}/12-6-0-0.tsfile/13-7-0-0.tsfile"));
    tree.write("sequence/root.sg/not-a-region/0/7-1-0-0.tsfile", b"x");
    tree.write("sequence/root.sg/03/0/7-1-0-0.tsfile", b"x");
    tree.write("sequence/root.sg/4/partition/7-1-0-0.tsfile", b"x");
    tree.write("sequence/root.sg/file", b"x");
    tree.write("load/7-1-0-0.tsfile", b"x");
    let scan = tree.scan();
    let file = only(&scan);
    let listing = &scan.listings[0];
    assert_eq!(listing.place.region.to_string(), "root.sg[3]");
    assert_eq!((listing.place.partition, listing.place.space), (-1, Space::Sequence));
    assert_eq!(&*listing.folder, tree.path(folder).to_str().expect("plain"));
    assert_eq!(listing.unsealed, [name("8-2-0-0.tsfile")]);
    assert_eq!(file.name.to_string(), "7-1-0-0.tsfile");
    assert_eq!(file.facts.extent.bounds(), Some((1, 9)));
    assert_eq!(file.facts.progress, Some(tidegate_tsfile::ProgressIndex::iot(1, 7).into()));
    assert_eq!(file.facts.devices, None);
    let mods: &ModsRead = file.mods.as_ref().expect("mods");
    assert_eq!((mods.kind, mods.whole_bytes, mods.entries.len()), (ModsKind::Text, 27, 1));
    assert_eq!(tree.catalog.take_warnings(), Vec::<String>::new());
}

#[test]
fn devices_are_kept_by_name_only_where_drops_are_followed() {
    let mut tree = Tree::with(|config| config.drop_policy = DropPolicy::Delete);
    tree.seal("sequence/root.sg/3/0/7-1-0-0.tsfile");
    let scan = tree.scan();
    let devices = only(&scan).facts.devices.as_ref().expect("devices");
    assert_eq!(&*devices[0].device.path, "root.sg.d");
}

#[test]
fn a_region_behind_a_link_is_read_like_any_other() {
    let mut tree = Tree::new();
    tree.write("elsewhere/0/7-1-0-0.tsfile", b"x");
    tree.write("sequence/root.sg/4/0/8-1-0-0.tsfile", b"x");
    symlink(tree.path("elsewhere"), tree.path("sequence/root.sg/3")).expect("a link");
    assert_eq!(tree.scan().listings.len(), 2);
}

#[test]
fn a_link_that_leads_nowhere_is_unread_and_takes_nothing_else_with_it() {
    let mut tree = Tree::new();
    tree.write("elsewhere/0/7-1-0-0.tsfile", b"x");
    tree.write("sequence/root.sg/4/0/8-1-0-0.tsfile", b"x");
    let (away, there) = (tree.path("away"), tree.path("elsewhere"));
    symlink(&there, tree.path("sequence/root.sg/3")).expect("a link");
    symlink(&there, tree.path("sequence/root.sg/no-region")).expect("a link");
    fs::rename(&there, &away).expect("a name");
    // From the start, and after it had been seen.
    for _ in 0..2 {
        let scan = tree.scan();
        assert_eq!(scan.listings.len(), 1, "the other region is read");
        let [unread] = &scan.unread[..] else { panic!("{:?}", scan.unread) };
        assert_eq!(unread.region, Some(region(3)));
        fs::rename(&away, &there).expect("a name");
        assert_eq!(tree.scan().unread, []);
        fs::rename(&there, &away).expect("a name");
    }
    fs::remove_file(tree.path("sequence/root.sg/3")).expect("gone");
    symlink(&there, tree.path("sequence/root.b")).expect("a link");
    let unread = tree.scan().unread;
    assert!(matches!(&unread[..], [Unread { region: None, .. }]), "{unread:?}");
}

#[test]
fn links_in_circles_end_and_hide_nothing_else() {
    let mut tree = Tree::new();
    tree.seal("sequence/root.sg/3/0/7-1-0-0.tsfile");
    // To itself, to a parent, and to the folder that it is in.
    symlink("loop", tree.path("sequence/root.sg/loop")).expect("a link");
    symlink("5", tree.path("sequence/root.sg/3/5")).expect("a link");
    symlink("..", tree.path("sequence/root.sg/3/x")).expect("a link");
    symlink(".", tree.path("sequence/root.sg/3/0/0")).expect("a link");
    symlink("8-1-0-0.tsfile", tree.path("sequence/root.sg/3/0/8-1-0-0.tsfile")).expect("a link");
    let scan = tree.scan();
    assert_eq!(scan.listings.len(), 1);
    assert_eq!(scan.listings[0].sealed.len(), 1);
    let [unread] = &scan.unread[..] else { panic!("{:?}", scan.unread) };
    assert_eq!(unread.region, Some(region(3)), "a partition may be behind the link");
}

#[test]
fn what_cannot_be_looked_at_keeps_its_region_back_and_no_other() {
    // As good as a missing permission, which does not bind every user that tests run as.
    let nowhere = "x".repeat(300);
    for broken in ["7-1-0-0.tsfile.mods", "7-1-0-0.tsfile.resource", "8-1-0-0.tsfile"] {
        let mut tree = Tree::new();
        tree.seal("sequence/root.sg/4/0/7-1-0-0.tsfile");
        tree.seal("sequence/root.sg/3/0/7-1-0-0.tsfile");
        tree.age("sequence/root.sg/3/0");
        let before = tree.scan();
        assert_eq!((before.listings.len(), before.unread.len()), (2, 0));
        let path = tree.path(&format!("sequence/root.sg/3/0/{broken}"));
        let away = path.with_extension("away");
        let was_there = fs::rename(&path, &away).is_ok();
        symlink(&nowhere, &path).expect("a link");
        for _ in 0..2 {
            let scan = tree.scan();
            assert_eq!(scan.listings.len(), 1, "{broken}");
            let [unread] = &scan.unread[..] else { panic!("{:?}", scan.unread) };
            assert_eq!(unread.region, Some(region(3)));
            assert!(unread.reason.contains(broken), "{}", unread.reason);
        }
        fs::remove_file(&path).expect("gone");
        if was_there {
            fs::rename(&away, &path).expect("a name");
        }
        tree.age("sequence/root.sg/3/0");
        let (after, n_opened) = tree.scan_counting();
        assert_eq!((after.unread.len(), n_opened), (0, 0), "nothing was forgotten");
        let same = before.listings.iter().zip(&after.listings);
        assert!(same.into_iter().all(|(before, after)| Arc::ptr_eq(before, after)), "{broken}");
    }
}

#[test]
fn a_space_behind_a_link_that_leads_nowhere_and_an_empty_directory_are_unread() {
    let mut tree = Tree::new();
    let unread = tree.scan().unread;
    assert!(matches!(&unread[..], [Unread { region: None, .. }]), "{unread:?}");
    assert!(unread[0].reason.contains("mounted"), "{unread:?}");
    symlink(tree.path("nowhere"), tree.path("sequence")).expect("a link");
    let unread = tree.scan().unread;
    assert!(matches!(&unread[..], [Unread { region: None, .. }]), "{unread:?}");
}

#[test]
fn a_file_system_that_is_not_mounted_any_more_is_not_an_empty_one() {
    let mut tree = Tree::new();
    tree.seal("sequence/root.sg/3/0/7-1-0-0.tsfile");
    tree.age("sequence/root.sg/3/0");
    assert_eq!(tree.scan().unread, []);
    let (there, away) = (tree.path("sequence"), tree.path("away"));
    fs::rename(&there, &away).expect("a name");
    let unread = tree.scan().unread;
    assert_eq!(unread.len(), 1);
    assert!(unread[0].region.is_none() && unread[0].reason.contains("mounted"), "{unread:?}");
    fs::rename(&away, &there).expect("a name");
    let (scan, n_opened) = tree.scan_counting();
    assert_eq!((scan.unread, n_opened), (Vec::new(), 0), "what is known of it is still known");
}

#[test]
fn unsequence_folders_are_listed_before_sequence_folders_and_newer_partitions_before_older() {
    let mut tree = Tree::new();
    for space in ["sequence", "unsequence"] {
        for place in ["root.a/1/0", "root.a/1/10", "root.a/1/9", "root.b/2/-1"] {
            tree.write(&format!("{space}/{place}/7-1-0-0.tsfile"), b"x");
        }
    }
    let scan = tree.scan();
    let order: Vec<(Space, i64)> =
        scan.listings.iter().map(|it| (it.place.space, it.place.partition)).collect();
    let partitions = [10, 9, 0, -1];
    let expected: Vec<(Space, i64)> = [Space::Unsequence, Space::Sequence]
        .into_iter()
        .flat_map(|space| partitions.map(|partition| (space, partition)))
        .collect();
    assert_eq!(order, expected);
}

#[test]
fn a_directory_that_is_not_a_data_directory_is_named_with_what_it_holds() {
    let tree = Tree::new();
    assert_eq!(Catalog::check_data_dir(tree.dir.path()), Ok(()), "a new one may be empty");
    tree.write("conf/iotdb.properties", b"");
    let error = Catalog::check_data_dir(tree.dir.path()).expect_err("no data directory");
    assert!(error.contains("expected sequence/ or unsequence/") && error.contains("conf"));
    let error = Catalog::check_data_dir(Path::new("/nowhere")).expect_err("no directory");
    assert!(error.contains("/nowhere"), "{error}");
}

#[test]
fn a_folder_of_a_hundred_thousand_entries_is_read_once() {
    let mut tree = Tree::new();
    let folder = tree.path("sequence/root.sg/3/0");
    fs::create_dir_all(&folder).expect("a folder");
    let content = resource(&[("root.sg.d", 1, 9)]);
    for at in 0..80_000 {
        fs::write(folder.join(format!("{at}-2-0-0.tsfile")), b"").expect("a file");
    }
    for at in 0..10_000 {
        let path = folder.join(format!("{at}-1-0-0.tsfile"));
        fs::write(&path, b"").expect("a file");
        fs::write(path.with_extension("tsfile.resource"), &content).expect("a file");
    }
    tree.age("sequence/root.sg/3/0");
    let (first, n_opened) = tree.scan_counting();
    let listing = &first.listings[0];
    assert_eq!((listing.sealed.len(), listing.unsealed.len()), (10_000, 80_000));
    assert_eq!(n_opened, 10_000);
    let (second, n_opened) = tree.scan_counting();
    assert!(Arc::ptr_eq(listing, &second.listings[0]));
    assert_eq!(n_opened, 0);
    tree.seal("sequence/root.sg/3/0/50000-1-0-0.tsfile");
    let (third, n_opened) = tree.scan_counting();
    assert_eq!((third.listings[0].sealed.len(), n_opened), (10_001, 1));
}

#[test]
fn regions_that_are_not_chosen_are_not_listed_and_are_named() {
    let consensus = tempfile::tempdir().expect("a directory");
    let group = |region: u32, nodes: &[u32]| {
        let dir = consensus.path().join(format!("data_region/1_{region}"));
        fs::create_dir_all(&dir).expect("directories");
        for node in nodes {
            fs::write(dir.join(format!("{node}_configuration.dat")), b"").expect("a file");
        }
    };
    group(3, &[1]);
    group(4, &[1, 2]);
    let tree_of = |policy: ReplicaPolicy| {
        let replicas = Replicas::new(policy, Some(consensus.path()));
        let tree = Tree::with(|config| config.replicas = replicas);
        tree.seal("sequence/root.sg/3/0/7-1-0-0.tsfile");
        tree.seal("sequence/root.sg/4/0/7-1-0-0.tsfile");
        tree
    };
    let listed = |scan: &Scan| -> Vec<u32> {
        scan.listings.iter().map(|it| it.place.region.region).collect()
    };
    let mut tree = tree_of(ReplicaPolicy::All);
    assert_eq!(listed(&tree.scan()), [3, 4]);
    assert!(tree.catalog.skipped().is_empty());
    let mut tree = tree_of(ReplicaPolicy::None);
    let scan = tree.scan();
    assert_eq!((listed(&scan), scan.unread.len()), (vec![3], 0));
    assert_eq!(scan.skipped, HashSet::from([region(4)]), "what is not listed is not gone");
    let skipped = tree.catalog.skipped();
    assert_eq!((skipped.len(), &skipped[0].region), (1, &region(4)));
    assert!(skipped[0].reason.contains("2 replicas"), "{}", skipped[0].reason);
    let told = tree.catalog.take_warnings();
    assert!(told.len() == 1 && told[0].contains("root.sg[4] is not sent"), "{told:?}");
    tree.scan();
    assert!(tree.catalog.take_warnings().is_empty(), "said once");
    // A second replica changes nothing until the next start: its files must not seem to vanish.
    group(3, &[2]);
    assert_eq!(listed(&tree.scan()), [3]);
    let mut tree = tree_of(ReplicaPolicy::Unset);
    let scan = tree.scan();
    assert_eq!((listed(&scan), scan.unread.len()), (vec![], 2));
    let reason = &scan.unread[0].reason;
    assert!(reason.contains("2 replicas") && reason.contains("sender_replica_policy"), "{reason}");
}

#[test]
fn marks_stand_in_the_scan_unless_the_data_node_is_started_meanwhile() {
    let system = tempfile::tempdir().expect("a directory");
    fs::create_dir(system.path().join("pipe")).expect("a directory");
    let reboots = |text: &str| {
        let path = system.path().join("pipe/reboot_times.txt");
        fs::write(path.with_extension("new"), text).expect("a file");
        fs::rename(path.with_extension("new"), path).expect("a name");
    };
    reboots("4");
    let dn_system_dir = Some(system.path().to_owned());
    let mut tree = Tree::with(|config| config.dn_system_dir = dn_system_dir);
    tree.seal("sequence/root.sg/3/0/7-1-0-0.tsfile");
    assert_eq!(tree.scan().marks.reboots, Some(4));
    assert_eq!(tree.scan_while(|| reboots("5")).marks.reboots, None);
    let scan = tree.scan();
    assert_eq!(scan.marks.reboots, Some(5));
    assert!(scan.now_ns <= tree.now_ns() && scan.now_ns > tree.now_ns() - 60_000_000_000);
}
