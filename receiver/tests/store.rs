//! The target `store`: what arrives can be read, whatever happens to the daemon meanwhile.

mod common;
#[path = "../../common/store/tests/support/table.rs"]
mod table;

use std::fs;
use std::io::Read;
use std::path::Path;

use tidegate_store::DirVolume;
use tidegate_store::Options;
use tidegate_store::Store;

use common::OK;
use common::Site;
use common::config_plan;
use common::ts_file;
use table::VERSIONS;
use table::expected;
use table::file_of;
use table::found;

/// The cells of all stores of a site, which is at rest.
fn stored(
    site: &Site,
) -> (table::Table, std::collections::BTreeMap<String, tidegate_model::DataType>) {
    let (mut cells, mut types) = (table::Table::new(), std::collections::BTreeMap::new());
    for origin in fs::read_dir(site.path("files")).unwrap() {
        let origin = origin.unwrap().path();
        if origin.is_dir() {
            let store = Store::open(DirVolume::new(origin), Options::default(), 1).unwrap();
            let (more, more_types) = found(&store);
            cells.extend(more);
            types.extend(more_types);
        }
    }
    (cells, types)
}

#[test]
fn every_capture_leaves_what_it_left_in_the_receiving_iotdb_also_after_a_kill() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../common/store/tests/data");
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../common/wire/tests/data");
    for version in VERSIONS {
        for (number, case) in fs::read_dir(captures.join(version)).unwrap().enumerate() {
            let case = case.unwrap().file_name().into_string().unwrap();
            let site = Site::new(&[("receiver_target", "store")]);
            let mut daemon = site.start();
            for conversation in common::capture(&format!("{version}/{case}")) {
                let mut peer = daemon.connect();
                peer.send(&conversation.up);
                let mut replies = vec![0; conversation.down.len()];
                peer.socket.read_exact(&mut replies).unwrap();
                assert_eq!(replies, conversation.down, "{version} {case}");
                if number % 3 == 0 {
                    // rows are in memory only, and files on their way
                    daemon.kill();
                    daemon = site.start();
                }
            }
            let durable = |status: &serde_json::Value| {
                status["loader"]["read"] == status["keeper"]["durable_sequence"]
            };
            daemon.wait_status(durable);
            let (status, log) = daemon.terminate();
            assert!(status.success(), "{version} {case}: {log:#?}");
            let (cells, types) = stored(&site);
            let expected = expected(&file_of(&data, version, &case), &types);
            assert_eq!(cells.len(), expected.len(), "{version} {case}");
            assert!(cells == expected, "{version} {case}");
        }
    }
}

#[test]
fn the_spool_goes_once_rows_are_in_files_and_what_no_store_takes_is_a_gap_and_stays() {
    let site = Site::new(&[("receiver_target", "store")]);
    let daemon = site.start();
    let mut peer = daemon.greeted();
    assert_eq!(peer.ask(&config_plan()), Some(OK));
    // its two ends are those of a TsFile, and nothing else is
    assert_eq!(peer.file("bad.tsfile", &ts_file(3000, 1), 1000), Some(OK));
    daemon.wait_status(|status| status["keeper"]["n_gaps"] == 1);
    let gaps = daemon.gaps();
    assert!(gaps.to_string().contains("bad.tsfile"), "{gaps:#}");
    let status = daemon.wait_loaded();
    assert_eq!(status["loader"]["files"], 0, "{status:#}");
    assert!(daemon.terminate().0.success());
    assert_eq!(site.unclaimed(), [ts_file(3000, 1)]);
    // nothing comes again
    let daemon = site.start();
    let status = daemon.wait_loaded();
    assert_eq!(status["keeper"]["n_gaps"], 1, "{status:#}");
}

#[test]
fn rows_that_were_kept_for_later_are_in_the_store_once_it_is_the_target() {
    let site = Site::new(&[]);
    let daemon = site.start();
    for conversation in common::capture("2.0.1-beta/airgap-log-tablet") {
        let mut peer = daemon.connect();
        peer.send(&conversation.up);
        let mut replies = vec![0; conversation.down.len()];
        peer.socket.read_exact(&mut replies).unwrap();
    }
    daemon.wait_loaded();
    assert!(daemon.terminate().0.success());
    site.configure(&[
        ("receiver_target", "store"),
        ("receiver_directory", &site.path("files").display().to_string()),
    ]);
    for _ in ["first", "and a second start adds nothing"] {
        let daemon = site.start();
        daemon.wait_loaded();
        assert!(daemon.terminate().0.success());
        let (cells, types) = stored(&site);
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../common/store/tests/data");
        let version = "2.0.1-beta";
        assert!(cells == expected(&file_of(&data, version, "airgap-log-tablet"), &types));
    }
}
