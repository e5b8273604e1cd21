//! The target `store`: what arrives can be read, whatever happens to the daemon meanwhile.

mod common;
#[path = "../../common/store/tests/support/table.rs"]
mod table;

use std::fs;
use std::io::Read;
use std::path::Path;

use tidegate_model::DataType;
use tidegate_model::Value;
use tidegate_store::Applied;
use tidegate_store::Device;
use tidegate_store::DirVolume;
use tidegate_store::Options;
use tidegate_store::ReceivedFile;
use tidegate_store::Store;
use tidegate_tsfile::Batch;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::SeriesSpec;
use tidegate_tsfile::TsFileVersion;
use tidegate_tsfile::TsFileWriter;
use tidegate_tsfile::WriteOptions;

use common::OK;
use common::Site;
use common::config_plan;
use common::ts_file;
use table::VERSIONS;
use table::expected;
use table::file_of;
use table::found;

/// The cells of all stores of a site, which is at rest.
fn stored(site: &Site) -> (table::Table, std::collections::BTreeMap<String, DataType>) {
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

/// Sends what a stock IoTDB sent, and waits until it was read.
fn replay(daemon: &common::Daemon, case: &str) {
    for conversation in common::capture(case) {
        let mut peer = daemon.connect();
        peer.send(&conversation.up);
        let mut replies = vec![0; conversation.down.len()];
        peer.socket.read_exact(&mut replies).unwrap();
    }
    daemon.wait_status(|it| it["loader"]["read"] == it["keeper"]["durable_sequence"]);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

/// It was noticed behind all records only, so not before a store that cannot be written was mended:
/// meanwhile the spool could grow to where it had been, and new records passed for known ones.
#[test]
fn a_state_that_was_restored_is_noticed_although_the_store_of_another_origin_cannot_be_opened() {
    let site = Site::new(&[("receiver_target", "store")]);
    let (state, saved) = (site.path("state"), site.path("saved"));
    let daemon = site.start();
    replay(&daemon, "2.0.1-beta/airgap-log-tablet");
    let stores = || {
        let entries = fs::read_dir(site.path("files")).unwrap().map(|it| it.unwrap().path());
        entries.filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    let first = stores().remove(0);
    // its rows are in the spool only
    daemon.kill();
    copy(&state, &saved);
    let daemon = site.start();
    replay(&daemon, "1.2.2/airgap-log-tablet");
    assert!(daemon.terminate().0.success());
    assert_eq!(stores().len(), 2);
    fs::remove_dir_all(&state).unwrap();
    fs::rename(&saved, &state).unwrap();
    fs::rename(first.join("data"), first.join("kept")).unwrap();
    fs::write(first.join("data"), "no directory").unwrap();
    let daemon = site.start();
    daemon.log.wait("the spool begins anew");
    daemon.log.wait("target stalled");
    fs::remove_file(first.join("data")).unwrap();
    fs::rename(first.join("kept"), first.join("data")).unwrap();
    daemon.wait_loaded();
}

/// Until the stores could be looked at again the spool grew to where it had been, and after another start
/// new records passed for known ones.
#[test]
fn a_state_that_was_restored_is_noticed_although_the_target_was_away_and_the_daemon_started_again()
{
    let site = Site::new(&[("receiver_target", "store")]);
    let (state, saved) = (site.path("state"), site.path("saved"));
    let daemon = site.start();
    replay(&daemon, "1.2.2/airgap-log-tablet");
    assert!(daemon.terminate().0.success());
    copy(&state, &saved);
    let daemon = site.start();
    replay(&daemon, "1.2.2/airgap-log-record");
    assert!(daemon.terminate().0.success());
    fs::remove_dir_all(&state).unwrap();
    fs::rename(&saved, &state).unwrap();
    fs::rename(site.path("files"), site.path("away")).unwrap();
    for case in ["1.2.2/airgap-log-record", "1.2.2/airgap-log-sql"] {
        let daemon = site.start();
        daemon.log.wait("target stalled");
        for conversation in common::capture(case) {
            let mut peer = daemon.connect();
            peer.send(&conversation.up);
            let mut replies = vec![0; conversation.down.len()];
            peer.socket.read_exact(&mut replies).unwrap();
        }
        daemon.kill();
    }
    fs::rename(site.path("away"), site.path("files")).unwrap();
    let daemon = site.start();
    daemon.log.wait("the spool begins anew");
    daemon.wait_status(|it| it["loader"]["read"] == it["keeper"]["durable_sequence"]);
    assert!(daemon.terminate().0.success());
    // and no more than once
    let daemon = site.start();
    daemon.wait_loaded();
    let (_, log) = daemon.terminate();
    assert!(!log.iter().any(|line| line.contains("the spool begins anew")), "{log:#?}");
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

fn n_gaps(daemon: &common::Daemon) -> u64 {
    daemon.status()["keeper"]["n_gaps"].as_u64().unwrap()
}

/// One file that was removed, and the daemon took that for a target that is away: nothing of any origin
/// was stored any more. And nobody got an answer.
#[test]
fn a_file_that_is_gone_stops_no_origin_and_is_told_once_and_counts_again_when_it_is_back() {
    let site = Site::new(&[("receiver_target", "store")]);
    let daemon = site.start();
    replay(&daemon, "2.0.1-beta/airgap-log-tablet");
    replay(&daemon, "2.0.1-beta/airgap-tsfile-multipiece");
    assert!(daemon.terminate().0.success());
    let origins = || {
        let entries = fs::read_dir(site.path("files")).unwrap().map(|it| it.unwrap().path());
        entries.filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    let first = origins().remove(0);
    let files = ts_files(&first);
    let (file, other) = (&files[0], &files[1]);
    let sql =
        |more: &[&str]| site.output("sql", &[&["-e", "SELECT * FROM root.**"], more].concat());
    let before = sql(&[]);
    assert!(before.status.success());
    let (path, away) = (first.join(file), site.path("away"));
    fs::rename(&path, &away).unwrap();
    // a list of deletions that the catalog does not name takes nothing, and does not stay
    let list = first.join(format!("{other}.mods2"));
    fs::write(&list, [0xff; 7]).unwrap();
    let mut told = None;
    for _ in ["first", "and the second start tells nothing anew"] {
        let daemon = site.start();
        daemon.wait_status(|status| status["loader"]["lost"] == 1);
        replay(&daemon, "1.2.2/airgap-log-tablet");
        let gaps = daemon.gaps().to_string();
        assert!(gaps.contains(&format!("\"item\":\"{file}\"")), "{gaps}");
        assert!(!gaps.contains(other), "{gaps}");
        assert_eq!(*told.get_or_insert_with(|| n_gaps(&daemon)), n_gaps(&daemon), "{gaps}");
        assert!(daemon.terminate().0.success());
    }
    assert_eq!(origins().len(), 2);
    let origin = first.file_name().unwrap().to_str().unwrap().to_owned();
    let sql = |more: &[&str]| sql(&[&["--origin", &origin], more].concat());
    let strict = sql(&[]);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(strict.status.code(), Some(1));
    assert!(text(&strict.stderr).contains(file), "{strict:?}");
    assert!(text(&strict.stderr).contains("--skip-damaged"), "{strict:?}");
    let lenient = sql(&["--skip-damaged"]);
    assert_eq!(lenient.status.code(), Some(3), "{lenient:?}");
    assert!(text(&lenient.stderr).contains(&format!("{origin}: {file}: left out")), "{lenient:?}");
    assert!(!lenient.stdout.is_empty() && lenient.stdout != before.stdout);
    let out = site.path("out.csv").display().to_string();
    let export = ["--origin", &origin, "--format", "csv", "--out", &out];
    assert_eq!(site.output("export", &export).status.code(), Some(1));
    let exported = site.output("export", &[&export[..], &["--skip-damaged"]].concat());
    assert_eq!(exported.status.code(), Some(3), "{exported:?}");
    let verified = site.output("verify", &[]);
    assert!(text(&verified.stdout).contains(&format!("{file}: lost: ")), "{verified:?}");
    fs::rename(&away, &path).unwrap();
    let daemon = site.start();
    daemon.wait_loaded();
    daemon.wait_status(|status| status["loader"]["lost"] == 0);
    assert_eq!(sql(&[]).stdout, before.stdout);
    let outcome = |daemon: &common::Daemon| {
        let gaps = daemon.gaps();
        let gaps = gaps.as_array().unwrap();
        let gap = gaps.iter().find(|gap| gap["item"] == file.as_str()).unwrap();
        gap["outcome"].as_str().unwrap_or("none").to_owned()
    };
    assert!(outcome(&daemon).starts_with("there again since 2"), "{}", outcome(&daemon));
    // who knows that it does not come back says so once
    let away_again = site.path("away-again");
    fs::rename(&path, &away_again).unwrap();
    assert!(daemon.terminate().0.success());
    let daemon = site.start();
    daemon.wait_status(|status| status["loader"]["lost"] == 1);
    assert_eq!(sql(&[]).status.code(), Some(1));
    assert_eq!(outcome(&daemon), "none", "it is lost again");
    let forget = |origin: &str| {
        let output = site.output("forget-lost", &["--origin", origin]);
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (status, _, said) = forget("nobody");
    assert_eq!(status, Some(1), "the daemon runs: {said}");
    assert!(said.contains("no store of origin nobody, there are those of: "), "{said}");
    assert!(said.contains(&origin), "{said}");
    // a question looks whether it is back
    let bytes = fs::read(&away_again).unwrap();
    fs::write(&path, &bytes).unwrap();
    assert_eq!(sql(&[]).status.code(), Some(0));
    fs::remove_file(&path).unwrap();
    assert!(daemon.terminate().0.success());
    let daemon = site.start();
    daemon.wait_status(|status| status["loader"]["lost"] == 1);
    assert_eq!(forget(&origin), (Some(0), format!("{file}: given up\n"), String::new()));
    assert_eq!(forget(&origin).1, "nothing is lost\n");
    assert!(outcome(&daemon).starts_with("given up 2"), "{}", outcome(&daemon));
    daemon.wait_status(|status| status["loader"]["lost"] == 0);
    assert_eq!(sql(&[]).stdout, lenient.stdout);
    assert!(daemon.terminate().0.success());
    // what is put back all the same is nobody's to remove
    fs::rename(&away_again, &path).unwrap();
    let daemon = site.start();
    daemon.log.wait("a file that had been given up was there again");
    assert!(first.join(format!("{file}.given-up")).is_file());
    assert_eq!(sql(&[]).stdout, lenient.stdout);
    assert!(daemon.terminate().0.success());
}

/// Adds a store of an origin with a received file: two devices of ten rows each, four of them deleted by
/// what came with it.
fn add_store(site: &Site, origin: &str) -> String {
    let options = WriteOptions::of_version(TsFileVersion::V3);
    let mut writer = TsFileWriter::new(Vec::new(), options).unwrap();
    for device in ["root.p.a", "root.p.b"] {
        let id = Device::tree(device).id(TsFileVersion::V3);
        writer.begin_series(&id, &SeriesSpec::new("s", DataType::Boolean)).unwrap();
        let mut batch = Batch::new([DataType::Boolean]);
        for time in 0..10 {
            batch.times.push(time);
            batch.columns[0].presence.push(true);
            assert!(batch.columns[0].values.push(&Value::Boolean(true)));
        }
        writer.write(&batch).unwrap();
    }
    let (ts_file, mods) = (site.path("staged.tsfile"), site.path("staged.mods"));
    fs::write(&ts_file, writer.finish().unwrap().out).unwrap();
    fs::write(&mods, format!("DELETION,root.p.a.s,{},3,6\n", i64::MAX)).unwrap();
    let mods = Some((ModsKind::Text, &*mods));
    let file = ReceivedFile { ts_file: &ts_file, mods, database: None };
    let volume = DirVolume::new(site.path("files").join(origin));
    let mut store = Store::open(volume, Options::default(), 1).unwrap();
    store.begin_spool([1; 16]).unwrap();
    assert_eq!(store.apply_file(1, 1, &file).unwrap(), Applied::default());
    store.layers().next().unwrap().path()
}

/// Rows that it deletes were in answers, with a line on standard error and status 0; and that line stood
/// under answers, too, that had nothing of it.
#[test]
fn answers_that_need_a_file_whose_list_of_deletions_is_gone_are_refused_and_others_are_not() {
    let site = Site::new(&[("receiver_target", "store")]);
    assert!(site.start().terminate().0.success());
    let list = add_store(&site, "plant") + ".mods";
    add_store(&site, "other");
    let path = site.path("files").join("plant").join(&list);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let count = |origin: &str, more: &[&str]| {
        let count = ["-e", "SELECT COUNT(s) FROM root.p.a", "--format", "csv", "--origin", origin];
        let output = site.output("sql", &[&count[..], more].concat());
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        (output.status.code(), out.lines().last().unwrap_or_default().to_owned(), error)
    };
    let whole = (Some(0), "6".to_owned(), String::new());
    assert_eq!(count("plant", &[]), whole);
    let content = fs::read(&path).unwrap();
    for damaged in [None, Some(Vec::new()), Some(content[..content.len() - 5].to_vec())] {
        match &damaged {
            None => fs::remove_file(&path).unwrap(),
            Some(bytes) => fs::write(&path, bytes).unwrap(),
        }
        // seen by who asks, and then by the daemon
        for has_daemon in [false, true] {
            if has_daemon {
                let daemon = site.start();
                daemon.wait_status(|status| status["loader"]["lost"] == 1);
                let gaps = daemon.gaps().to_string();
                assert!(gaps.contains(&format!("\"item\":\"{list}\"")), "{gaps}");
                assert!(daemon.terminate().0.success());
            }
            let (status, rows, error) = count("plant", &[]);
            assert_eq!((status, &*rows), (Some(1), ""), "{error}");
            assert!(error.contains(&list) && error.contains("--skip-damaged"), "{error}");
            let (status, rows, error) = count("plant", &["--skip-damaged"]);
            assert!(status == Some(3) && error.contains(&list), "{status:?} {rows} {error}");
            assert_ne!(rows, "6");
            assert_eq!(count("other", &[]), whole);
            let verified = site.output("verify", &[]);
            assert!(text(&verified.stdout).contains(&format!("{list}: ")), "{verified:?}");
            assert_eq!(verified.status.code(), Some(1));
        }
        fs::write(&path, &content).unwrap();
        let daemon = site.start();
        daemon.wait_loaded();
        daemon.wait_status(|status| status["loader"]["lost"] == 0);
        assert_eq!(count("plant", &[]), whole);
        if damaged.is_some_and(|bytes| !bytes.is_empty()) {
            fs::remove_file(&path).unwrap();
            assert!(daemon.terminate().0.success());
            let daemon = site.start();
            daemon.wait_status(|status| status["loader"]["lost"] == 1);
            let output = site.output("forget-lost", &["--origin", "plant"]);
            assert_eq!(text(&output.stdout), format!("{list}: given up\n"), "{output:?}");
            assert_eq!(count("plant", &[]).1, "10");
            assert!(daemon.terminate().0.success());
        } else {
            assert!(daemon.terminate().0.success());
        }
    }
}

/// The TsFiles of a store, below its directory.
fn ts_files(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut directories = vec![root.join("data")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            match path.is_dir() {
                true => directories.push(path),
                false if name.ends_with(".tsfile") => files.push(name),
                false => (),
            }
        }
    }
    files.sort();
    files
}
