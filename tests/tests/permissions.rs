//! A source that may be read in part only, and a sender that is not above permissions.

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tidegate_tests::arrival;
use tidegate_tests::harness::Daemon;
use tidegate_tests::site::Site;

/// The sender, without what lets root read everything.
fn start(site: &Site) -> Daemon {
    if !rustix::process::geteuid().is_root() {
        return site.start();
    }
    let without = "-dac_override,-dac_read_search";
    let arguments = ["--bounding-set", without, "--inh-caps", without, "--"];
    site.setup.start_by("setpriv", &arguments).expect("a sender without capabilities")
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn what_may_not_be_read_stands_still_is_no_gap_and_holds_up_no_other_region() {
    let mut site = Site::new(&[]);
    let folders = ["sequence/root.a/1/0", "sequence/root.b/2/0", "sequence/root.c/3/0"];
    let files = folders.map(|folder| site.tree.add_file(folder, 5000, None).expect("a file"));
    let data_dir = site.tree.data_dir();
    let folder = data_dir.join(folders[0]);
    set_mode(&folder, 0o000);
    set_mode(&files[2], 0o000);
    site.write_pipe("p", site.receiver_setup.address(), &[]);
    let mut sender = start(&site);
    // The first region may not be listed, a file of the third not be opened; the second goes on.
    let status = site.wait(&mut sender, "the second region's file", |status| {
        status["pipes"][0]["sent_files"] == 1
            && status["pipes"][0]["regions"].to_string().contains("Permission denied")
    });
    let unread = status["source"]["unread"].to_string();
    assert!(unread.contains("sequence/root.a/1/0") && unread.contains("denied"), "{status}");
    // It may be read, then not again while what was in it waits or has left.
    set_mode(&folder, 0o755);
    site.wait(&mut sender, "the first", |status| status["pipes"][0]["sent_files"] == 2);
    set_mode(&folder, 0o000);
    site.tree.add_file(folders[1], 5000, None).expect("another file");
    let status =
        site.wait(&mut sender, "another file", |status| status["pipes"][0]["sent_files"] == 3);
    assert_eq!(status["pipes"][0]["gaps"], 0, "{status}");
    set_mode(&folder, 0o755);
    set_mode(&files[2], 0o644);
    let mut sealed = arrival::sealed_files(&data_dir).expect("the source");
    // The third region's is tried again a minute later.
    sealed.retain(|name, _| !name.contains("root.c"));
    let comparison = site.in_place(&mut sender, &sealed);
    assert_eq!(comparison.n_repeated, 0);
    assert_eq!(site.status()["pipes"][0]["gaps"], 0);
}
