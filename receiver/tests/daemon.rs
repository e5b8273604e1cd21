//! The daemon as such: start, end, reload, status, a full disk, a failed disk.

mod common;

use std::time::Duration;

use common::End;
use common::FAIL;
use common::OK;
use common::PATIENCE;
use common::Site;
use common::config_plan;
use common::piece;
use common::seal;
use common::ts_file;
use rustix::process::Signal;

#[test]
fn sigterm_ends_in_time_and_keeps_what_was_acknowledged() {
    let site = Site::new(&[]);
    let daemon = site.start();
    let mut peer = daemon.greeted();
    assert_eq!(peer.file("a.tsfile", &ts_file(1000, 1), 100), Some(OK));
    let half = piece(4, "b.tsfile", 0, &ts_file(1000, 2));
    peer.send(&half[..half.len() / 2]);
    let (status, log) = daemon.terminate();
    assert!(status.success(), "{status}");
    // it has a time limit of its own, and would say that it had to leave something behind
    assert!(log.iter().any(|line| line.ends_with(" ended")), "{log:#?}");
    assert_eq!(peer.end(), End::Reset);
    let daemon = site.start();
    daemon.wait_loaded();
    assert_eq!(site.stored().len(), 1);
}

/// The event loop is over by then, and with it went what the threads said of their end: the daemon
/// ended without a word and with status 0.
#[test]
fn a_disk_that_fails_while_the_daemon_ends_is_said_and_shows_in_its_status() {
    let site = Site::new(&[]);
    let daemon = site.start();
    assert_eq!(daemon.greeted().file("a.tsfile", &ts_file(100, 1), 100), Some(OK));
    daemon.wait_loaded();
    // the checkpoint is first written at the end: the nearest to a broken disk without privileges
    std::fs::remove_dir_all(site.path("state/memory")).unwrap();
    let (status, log) = daemon.terminate();
    assert_eq!(status.code(), Some(74), "{log:#?}");
    let said = |line: &String| line.contains("ERROR") && line.contains("checkpoint");
    assert!(log.iter().any(said), "{log:#?}");
}

/// Clients of the control socket that ask nothing once took their time out of the five seconds.
#[test]
fn a_stuck_control_client_does_not_delay_the_end() {
    let site = Site::new(&[("receiver_log_level", "debug")]);
    let daemon = site.start();
    let _stuck = std::os::unix::net::UnixStream::connect(site.path("control")).unwrap();
    let (status, log) = daemon.terminate();
    assert!(status.success(), "{status}");
    let ended = log.iter().position(|line| line.ends_with(" ended"));
    let given_up = log.iter().position(|line| line.contains("control connection failed"));
    assert!(ended.is_some() && given_up.is_none_or(|at| Some(at) > ended), "{log:#?}");
}

#[test]
fn a_second_daemon_on_the_same_state_is_refused() {
    let site = Site::new(&[]);
    let daemon = site.start();
    let output = site.output("run", &[]);
    assert!(!output.status.success());
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("is in use by process"), "{message}");
    drop(daemon);
    site.start();
}

#[test]
fn status_speaks_to_people_and_to_machines() {
    let site = Site::new(&[]);
    let output = site.output("status", &[]);
    assert!(!output.status.success(), "nobody is there");
    assert!(String::from_utf8(output.stderr).unwrap().contains("is the daemon running"));
    let daemon = site.start();
    let mut peer = daemon.greeted();
    assert_eq!(peer.file("a.tsfile", &ts_file(1000, 1), 100), Some(OK));
    daemon.wait_loaded();
    let text = String::from_utf8(site.output("status", &[]).stdout).unwrap();
    for part in ["listening:   127.0.0.1:", "that-side", "ok.seal 1", "file 1", "1 unproven"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let json: serde_json::Value =
        serde_json::from_slice(&site.output("status", &["--json"]).stdout).unwrap();
    assert_eq!(json["edge"]["replies"]["ok.piece"], 10);
    assert_eq!(json["loader"]["files"], 1);
}

#[test]
fn a_configuration_that_is_reread_is_judged_as_at_the_start() {
    let all = ("receiver_allow_list", "127.0.0.1/32,10.0.0.0/8");
    let site = Site::new(&[all]);
    let daemon = site.start();
    assert_eq!(daemon.log.count("receiver_allow_list is empty"), 0);
    site.configure(&[]);
    daemon.signal(Signal::HUP);
    daemon.log.wait("receiver_allow_list is empty");
}

#[test]
fn a_configuration_with_faults_is_refused_by_line_and_key() {
    let site = Site::new(&[("receiver_colour", "blue"), ("receiver_accept_v1", "perhaps")]);
    for command in ["run", "check-conf"] {
        let output = site.output(command, &[]);
        assert_eq!(output.status.code(), Some(78));
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains("receiver_colour") && message.contains("receiver_accept_v1"));
    }
}

#[test]
fn the_printed_configuration_is_a_good_one() {
    let site = Site::new(&[]);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tidegate-receiver"))
        .arg("print-default-conf")
        .output()
        .unwrap();
    std::fs::write(site.conf(), output.stdout).unwrap();
    let output = site.output("check-conf", &[]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn without_the_air_gap_there_is_no_port_but_a_status() {
    let site = Site::new(&[("pipe_air_gap_receiver_enabled", "false")]);
    let mut child = site.command("run").spawn().unwrap();
    let socket = site.path("control");
    let request = tidegate_daemon::control::Request::new("status");
    let until = std::time::Instant::now() + PATIENCE;
    let status = loop {
        match tidegate_daemon::control::ask(&socket, &request, PATIENCE) {
            Ok(status) => break status,
            Err(error) => assert!(std::time::Instant::now() < until, "{error}"),
        }
    };
    assert!(status["edge"]["listening"].is_null(), "{status:#}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn below_the_floor_answers_wait_and_come_when_there_is_room() {
    let floor = ("receiver_disk_floor_bytes", "1000TiB");
    let site = Site::new(&[floor]);
    let daemon = site.start();
    let (mut file, mut plan) = (daemon.greeted(), daemon.greeted());
    file.send(&piece(4, "a.tsfile", 0, &ts_file(100, 1)));
    plan.send(&config_plan());
    daemon.wait_status(|status| {
        let held = |one: &serde_json::Value| one["withheld"].is_string();
        status["edge"]["connections"].as_array().unwrap().iter().filter(|one| held(one)).count()
            == 2
    });
    assert_eq!(daemon.status()["edge"]["replies"]["ok.piece"], serde_json::Value::Null);
    site.configure(&[]);
    daemon.signal(Signal::HUP);
    assert_eq!(file.reply(), Some(OK));
    assert_eq!(plan.reply(), Some(OK));
    assert_eq!(file.ask(&seal("a.tsfile", 100)), Some(OK));
    assert!(daemon.log.wait("configuration reread").contains("receiver_disk_floor_bytes"));
}

/// Only the loader asks the target's file system; what it finds holds for all.
#[test]
fn a_target_below_the_floor_holds_answers_up_like_the_state() {
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else { return };
    let directory = other.path().join("files").display().to_string();
    let directory = ("receiver_directory", directory.as_str());
    let site = Site::new(&[directory]);
    let free = |path: &std::path::Path| tidegate_durable::free_bytes(path).unwrap();
    let (target, state) = (free(other.path()), free(&site.path(".")));
    // others write there meanwhile
    let Some(between) = state.checked_sub(target).filter(|it| *it > 1 << 30) else { return };
    let floor = (target + between / 2).to_string();
    site.configure(&[directory, ("receiver_disk_floor_bytes", &floor)]);
    let daemon = site.start();
    daemon.wait_status(|status| status["disk_free_bytes"].as_u64() < floor.parse().ok());
    let mut peer = daemon.greeted();
    peer.send(&piece(4, "a.tsfile", 0, &ts_file(100, 1)));
    daemon.wait_status(|status| status["edge"]["connections"][0]["withheld"].is_string());
    site.configure(&[directory]);
    daemon.signal(Signal::HUP);
    assert_eq!(peer.reply(), Some(OK));
    assert_eq!(peer.ask(&seal("a.tsfile", 100)), Some(OK));
    daemon.wait_loaded();
}

#[test]
fn an_answer_withheld_too_long_becomes_a_reset() {
    let site = Site::new(&[
        ("receiver_disk_floor_bytes", "1000TiB"),
        ("receiver_withhold_file_ms", "300"),
        ("receiver_withhold_tablet_ms", "200"),
    ]);
    let daemon = site.start();
    for bytes in [piece(4, "a.tsfile", 0, &ts_file(100, 1)), config_plan()] {
        let mut peer = daemon.greeted();
        peer.send(&bytes);
        assert_eq!(peer.end(), End::Reset);
    }
    daemon.wait_status(|status| status["keeper"]["waiting"] == 0);
}

#[test]
fn the_policy_to_refuse_answers_ff_and_leaves_a_gap() {
    let site = Site::new(&[
        ("receiver_disk_floor_bytes", "1000TiB"),
        ("receiver_disk_full_policy", "refuse"),
    ]);
    let daemon = site.start();
    let mut peer = daemon.greeted();
    assert_eq!(peer.ask(&piece(4, "a.tsfile", 0, &ts_file(100, 1))), Some(FAIL));
    assert_eq!(peer.ask(&config_plan()), Some(FAIL));
    daemon.wait_status(|status| status["keeper"]["n_gaps"] == 2);
    let text = String::from_utf8(site.output("status", &[]).stdout).unwrap();
    assert!(text.contains("BELOW THE FLOOR, what arrives is refused"), "{text}");
}

#[test]
fn an_idle_connection_is_reset() {
    let site = Site::new(&[
        ("receiver_idle_close_ms", "1000"),
        ("receiver_withhold_file_ms", "500"),
        ("receiver_withhold_tablet_ms", "500"),
    ]);
    let daemon = site.start();
    assert_eq!(daemon.greeted().end(), End::Reset);
}

#[test]
fn a_failed_disk_ends_the_daemon_before_anything_more_is_acknowledged() {
    let site = Site::new(&[]);
    let daemon = site.start();
    let mut peer = daemon.greeted();
    let content = ts_file(100, 1);
    assert_eq!(peer.file("a.tsfile", &content, 100), Some(OK));
    daemon.wait_loaded();
    // files can no longer be made: the nearest to a broken disk that needs no privileges
    std::fs::remove_dir(site.path("state/staging")).unwrap();
    // the piece promises nothing; the seal must not get its OK
    peer.send(&piece(4, "b.tsfile", 0, &content));
    peer.send(&seal("b.tsfile", 100));
    assert_ne!((peer.reply(), peer.reply()), (Some(OK), Some(OK)));
    let (status, log) = daemon.wait();
    assert_eq!(status.code(), Some(74), "{log:#?}");
    assert!(log.iter().any(|line| line.contains("cannot create")), "{log:#?}");
    let daemon = site.start();
    assert_eq!(daemon.greeted().file("b.tsfile", &content, 100), Some(OK));
    daemon.wait_loaded();
    assert_eq!(site.stored().len(), 2);
}

#[test]
fn a_state_made_anew_overwrites_nothing_in_the_target() {
    let site = Site::new(&[]);
    let contents = [ts_file(100, 1), ts_file(100, 2), ts_file(100, 1)];
    for content in &contents {
        let daemon = site.start();
        assert_eq!(daemon.greeted().file("a.tsfile", content, 100), Some(OK));
        daemon.wait_loaded();
        drop(daemon);
        std::fs::remove_dir_all(site.path("state")).unwrap();
    }
    let mut stored: Vec<_> = site.stored().into_iter().map(|file| file.bytes).collect();
    stored.sort();
    let mut expected = vec![contents[0].clone(), contents[1].clone()];
    expected.sort();
    assert!(stored == expected, "{} files", stored.len());
}

/// The manifest is a device that cannot be synced: as near to a failed fsync as needs no privileges.
#[test]
fn a_manifest_that_cannot_be_synced_ends_the_daemon_and_keeps_the_file_for_the_next_one() {
    let site = Site::new(&[]);
    let daemon = site.start();
    let mut peer = daemon.greeted();
    assert_eq!(peer.file("a.tsfile", &ts_file(100, 1), 100), Some(OK));
    daemon.wait_loaded();
    let manifest = site.path("files/that-side/manifest.tsv");
    std::fs::rename(&manifest, site.path("manifest.1")).unwrap();
    std::os::unix::fs::symlink("/dev/null", &manifest).unwrap();
    assert_eq!(peer.file("b.tsfile", &ts_file(100, 2), 100), Some(OK));
    let (status, log) = daemon.wait();
    assert_eq!(status.code(), Some(74), "{log:#?}");
    assert!(log.iter().any(|line| line.contains("cannot sync")), "{log:#?}");
    std::fs::rename(site.path("manifest.1"), &manifest).unwrap();
    let daemon = site.start();
    daemon.wait_loaded();
    assert_eq!(site.stored_names(), ["a.tsfile", "b.tsfile"]);
}

/// A target that was unmounted was once made anew below its mount point, and filled there.
#[test]
fn a_target_that_goes_away_is_waited_for_and_never_made_anew() {
    let site = Site::new(&[]);
    let daemon = site.start();
    let mut peer = daemon.greeted();
    assert_eq!(peer.file("a.tsfile", &ts_file(100, 1), 100), Some(OK));
    daemon.wait_loaded();
    let away = |daemon: &common::Daemon| {
        daemon.wait_status(|status| {
            let error = status["loader"]["last_error"].as_str().unwrap_or_default();
            status["loader"]["is_target_away"] == true && error.contains("target away")
        });
        let text = String::from_utf8(site.output("status", &[]).stdout).unwrap();
        assert!(text.contains("TARGET AWAY"), "{text}");
    };
    // unmounted while it runs: the name is gone
    std::fs::rename(site.path("files"), site.path("elsewhere")).unwrap();
    assert_eq!(peer.file("b.tsfile", &ts_file(100, 2), 100), Some(OK));
    away(&daemon);
    assert!(!site.path("files").exists());
    daemon.kill();
    // not mounted at boot: an empty directory stands in its place
    std::fs::create_dir(site.path("files")).unwrap();
    let daemon = site.start();
    assert_eq!(daemon.greeted().file("c.tsfile", &ts_file(100, 3), 100), Some(OK));
    away(&daemon);
    assert_eq!(std::fs::read_dir(site.path("files")).unwrap().count(), 0);
    // another disk than the one that is known
    std::fs::write(site.path("files/.tidegate-target"), "another\n").unwrap();
    away(&daemon);
    std::fs::remove_dir_all(site.path("files")).unwrap();
    std::fs::rename(site.path("elsewhere"), site.path("files")).unwrap();
    daemon.wait_loaded();
    daemon.wait_status(|status| status["loader"]["is_target_away"] == false);
    assert_eq!(site.stored_names(), ["a.tsfile", "b.tsfile", "c.tsfile"]);
}

#[test]
fn another_receiver_directory_is_begun_and_a_known_one_is_taken_over() {
    let site = Site::new(&[]);
    let daemon = site.start();
    assert_eq!(daemon.greeted().file("a.tsfile", &ts_file(100, 1), 100), Some(OK));
    daemon.wait_loaded();
    daemon.kill();
    let marker = |directory: &str| std::fs::read(site.path(directory).join(".tidegate-target"));
    let first = marker("files").unwrap();
    site.configure(&[("receiver_directory", &site.path("new/deep").display().to_string())]);
    let daemon = site.start();
    assert_eq!(daemon.greeted().file("b.tsfile", &ts_file(100, 2), 100), Some(OK));
    daemon.wait_loaded();
    assert!(site.path("new/deep/that-side/000000000002-b.tsfile").is_file());
    assert_ne!(marker("new/deep").unwrap(), first);
    daemon.kill();
    // the operator moved the first one and says so
    std::fs::rename(site.path("files"), site.path("moved")).unwrap();
    site.configure(&[("receiver_directory", &site.path("moved").display().to_string())]);
    let daemon = site.start();
    assert_eq!(daemon.greeted().file("c.tsfile", &ts_file(100, 3), 100), Some(OK));
    daemon.wait_loaded();
    assert_eq!(marker("moved").unwrap(), first);
    let manifest = std::fs::read_to_string(site.path("moved/that-side/manifest.tsv")).unwrap();
    assert_eq!(manifest.lines().count(), 2, "{manifest}");
}

#[test]
fn files_wait_while_the_target_is_away() {
    let site = Site::new(&[]);
    let daemon = site.start();
    let mut peer = daemon.greeted();
    assert_eq!(peer.file("a.tsfile", &ts_file(100, 1), 100), Some(OK));
    daemon.wait_loaded();
    std::fs::rename(site.path("files"), site.path("away")).unwrap();
    std::fs::write(site.path("files"), "in the way").unwrap();
    assert_eq!(peer.file("b.tsfile", &ts_file(100, 2), 100), Some(OK));
    daemon.log.wait("target stalled");
    std::fs::remove_file(site.path("files")).unwrap();
    // another reason than before
    daemon.log.wait("os error 2)");
    std::fs::rename(site.path("away"), site.path("files")).unwrap();
    daemon.wait_loaded();
    daemon.log.wait("target goes on");
    assert_eq!(site.stored_names(), ["a.tsfile", "b.tsfile"]);
}

#[test]
fn what_waits_goes_on_however_busy_the_others_are() {
    let site = Site::new(&[("receiver_disk_floor_bytes", "1000TiB")]);
    let daemon = site.start();
    let (mut waiting, mut busy) = (daemon.greeted(), daemon.greeted());
    waiting.send(&config_plan());
    daemon.wait_status(|status| status["keeper"]["waiting"] == 1);
    site.configure(&[]);
    daemon.signal(Signal::HUP);
    waiting.socket.set_nonblocking(true).unwrap();
    let until = std::time::Instant::now() + Duration::from_secs(10);
    while waiting.socket.peek(&mut [0]).is_err() {
        assert!(std::time::Instant::now() < until, "starved");
        assert_eq!(busy.ask(&config_plan()), Some(OK));
    }
    assert_eq!(waiting.reply(), Some(OK));
}

#[test]
fn a_peer_that_breaks_off_while_its_answer_is_withheld_is_noticed() {
    let site = Site::new(&[("receiver_disk_floor_bytes", "1000TiB")]);
    let daemon = site.start();
    let mut peer = daemon.greeted();
    peer.send(&piece(4, "a.tsfile", 0, &ts_file(100, 1)));
    daemon.wait_status(|status| status["edge"]["connections"][0]["withheld"].is_string());
    peer.reset();
    daemon.wait_status(|status| status["edge"]["connections"].as_array().unwrap().is_empty());
}

#[test]
fn files_of_a_damaged_record_are_put_aside_and_not_removed() {
    let site = Site::new(&[]);
    // nothing can be placed, so the files stay in staging
    let daemon = site.start();
    std::fs::rename(site.path("files"), site.path("away")).unwrap();
    let mut peer = daemon.greeted();
    let contents = [ts_file(100, 1), ts_file(100, 2)];
    assert_eq!(peer.file("first.tsfile", &contents[0], 100), Some(OK));
    assert_eq!(peer.file("second.tsfile", &contents[1], 100), Some(OK));
    daemon.log.wait("target stalled");
    daemon.kill();
    damage_record_of_first(&site);
    std::fs::rename(site.path("away"), site.path("files")).unwrap();
    let daemon = site.start();
    daemon.wait_loaded();
    assert_eq!(daemon.gaps().as_array().unwrap().len(), 1, "{:#}", daemon.gaps());
    let stored: Vec<_> = site.stored().into_iter().map(|file| file.bytes).collect();
    assert_eq!(stored, [contents[1].clone()]);
    assert_eq!(site.unclaimed(), [contents[0].clone()]);
}

/// They were removed at the next start, when the position stood behind the damage.
#[test]
fn files_of_a_record_found_damaged_while_running_are_kept_by_the_next_start() {
    let site = Site::new(&[]);
    let daemon = site.start();
    std::fs::rename(site.path("files"), site.path("away")).unwrap();
    let content = ts_file(100, 1);
    let mut peer = daemon.greeted();
    assert_eq!(peer.file("first.tsfile", &content, 100), Some(OK));
    assert_eq!(peer.file("second.tsfile", &ts_file(100, 2), 100), Some(OK));
    daemon.log.wait("target stalled");
    damage_record_of_first(&site);
    std::fs::rename(site.path("away"), site.path("files")).unwrap();
    daemon.wait_loaded();
    assert_eq!(site.stored().len(), 1);
    daemon.kill();
    let daemon = site.start();
    daemon.log.wait("kept a file that no readable record speaks of");
    assert_eq!(site.unclaimed(), [content]);
}

fn damage_record_of_first(site: &Site) {
    for entry in std::fs::read_dir(site.path("state/spool")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(12).position(|bytes| bytes == b"first.tsfile") {
            // in place: the daemon has the file open
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, &[bytes[at] ^ 1], at as u64).unwrap();
        }
    }
}

#[test]
fn a_manifest_that_was_moved_away_is_begun_anew() {
    let site = Site::new(&[]);
    let daemon = site.start();
    let mut peer = daemon.greeted();
    assert_eq!(peer.file("a.tsfile", &ts_file(100, 1), 100), Some(OK));
    daemon.wait_loaded();
    let manifest = site.path("files/that-side/manifest.tsv");
    std::fs::rename(&manifest, site.path("manifest.1")).unwrap();
    assert_eq!(peer.file("b.tsfile", &ts_file(100, 2), 100), Some(OK));
    daemon.wait_loaded();
    assert_eq!(site.stored_names(), ["b.tsfile"]);
}

#[test]
fn there_may_be_more_origins_than_descriptors() {
    let site = Site::new(&[]);
    let daemon = site.start();
    daemon.limit_descriptors(300);
    let content = ts_file(100, 1);
    for n in 0..400 {
        let mut peer = daemon.greeted_as(&common::handshake(&[("clusterID", &n.to_string())]));
        assert_eq!(peer.file("a.tsfile", &content, 100), Some(OK));
    }
    daemon.wait_loaded();
    assert_eq!(site.stored().len(), 400);
}

/// One batch once opened the manifests of all its origins, and running out of descriptors on the way
/// passed for a failed sync: the daemon ended, and at every start again.
#[test]
fn a_batch_of_more_origins_than_descriptors_is_placed() {
    for limit in [240, 100] {
        let site = Site::new(&[]);
        let daemon = site.start();
        std::fs::rename(site.path("files"), site.path("away")).unwrap();
        let content = ts_file(100, 1);
        for n in 0..256 {
            let mut peer = daemon.greeted_as(&common::handshake(&[("clusterID", &n.to_string())]));
            assert_eq!(peer.file("a.tsfile", &content, 100), Some(OK));
        }
        daemon.wait_status(|status| status["edge"]["connections"].as_array().unwrap().is_empty());
        daemon.limit_descriptors(limit);
        std::fs::rename(site.path("away"), site.path("files")).unwrap();
        daemon.wait_loaded();
        assert_eq!(site.stored().len(), 256, "{limit}");
    }
}

/// What stood before a record that had to wait was placed, and no manifest spoke of it: whoever was
/// to make room by taking files away never heard of them.
#[test]
fn what_stands_before_a_record_that_waits_is_in_the_manifest() {
    let site = Site::new(&[]);
    let daemon = site.start();
    std::fs::rename(site.path("files"), site.path("away")).unwrap();
    for (origin, seed) in [("first", 1), ("second", 2)] {
        let mut peer = daemon.greeted_as(&common::handshake(&[("clusterID", origin)]));
        assert_eq!(peer.file("a.tsfile", &ts_file(100, seed), 100), Some(OK));
    }
    daemon.log.wait("target stalled");
    // the second cannot be placed, and both are in one batch
    std::fs::write(site.path("away/second"), "in the way").unwrap();
    std::fs::rename(site.path("away"), site.path("files")).unwrap();
    let status = daemon.wait_status(|status| status["loader"]["position"] == 1);
    assert_eq!(status["loader"]["files"], 1);
    let stored = site.stored();
    assert!(stored.len() == 1 && stored[0].origin == "first", "{stored:?}");
    std::fs::remove_file(site.path("files/second")).unwrap();
    daemon.wait_loaded();
    assert_eq!(site.stored().len(), 2);
}

#[test]
fn gaps_of_a_receiver_that_does_not_run_are_read_and_nothing_is_changed() {
    let site = Site::new(&[
        ("receiver_disk_floor_bytes", "1000TiB"),
        ("receiver_disk_full_policy", "refuse"),
    ]);
    let output = site.output("gaps", &["--json"]);
    assert!(!output.status.success() && !site.path("state").exists(), "{output:?}");
    let daemon = site.start();
    assert_eq!(daemon.greeted().ask(&config_plan()), Some(FAIL));
    daemon.wait_status(|status| status["keeper"]["n_gaps"] == 1);
    let while_running = daemon.gaps();
    daemon.terminate();
    let journal = || std::fs::read(site.path("state/memory/gaps")).unwrap();
    let before = journal();
    let output = site.output("gaps", &["--json"]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found, while_running);
    assert_eq!(journal(), before);
}

/// What a daemon has in memory may not be on disk yet.
#[test]
fn gaps_of_a_receiver_that_runs_and_is_busy_are_not_read_from_its_disk() {
    let site = Site::new(&[]);
    site.start().terminate();
    let path = site.path("control");
    let answer = |_| Err(String::from("the keeper is busy, try again"));
    let busy = tidegate_daemon::control::ControlServer::spawn(&path, answer).unwrap();
    let output = site.output("gaps", &[]);
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("the keeper is busy"));
    drop(busy);
    assert!(site.output("gaps", &[]).status.success(), "it does not run");
}
