//! Stores that vanish as a whole, or go back in time: it is noticed, told and refused, what the spool
//! still has is there again, and nothing older stands in the place of anything newer.

mod common;

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use tidegate_codec::Writer;
use tidegate_model::Category;
use tidegate_model::Column;
use tidegate_model::DataType;
use tidegate_model::Tablet;
use tidegate_model::Value;
use tidegate_store::Device;
use tidegate_store::DirVolume;
use tidegate_store::Options;
use tidegate_store::Store;
use tidegate_tsfile::Batch;
use tidegate_tsfile::SeriesSpec;
use tidegate_tsfile::TsFileVersion;
use tidegate_tsfile::TsFileWriter;
use tidegate_tsfile::WriteOptions;
use tidegate_wire::Payload;
use tidegate_wire::RequestType;
use tidegate_wire::request::DeleteData;
use tidegate_wire::request::Path as WirePath;
use tidegate_wire::request::PayloadHead;
use tidegate_wire::request::Plan;
use tidegate_wire::request::Request;
use tidegate_wire::request::TabletForm;
use tidegate_wire::request::encode_tablet;

use common::Daemon;
use common::OK;
use common::Site;
use common::framed;
use common::handshake;

/// A tablet of a device of an origin of that name, as the spool has it.
fn request(origin: &str, times: &[i64], value: i64) -> Vec<u8> {
    let column = Column {
        name: "s".to_owned(),
        data_type: DataType::Int64,
        encoding: 0,
        compressor: 0,
        category: Category::Field,
        values: vec![Some(Value::Int64(value)); times.len()],
    };
    let tablet = Tablet {
        device: format!("root.{origin}.d"),
        times: times.to_vec(),
        columns: vec![column],
        ..Tablet::default()
    };
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    PayloadHead { request_type: RequestType::TransferTabletRaw }.encode(&mut writer);
    encode_tablet(&tablet, TabletForm::Categories, &mut writer);
    out
}

/// A deletion of times of an origin, as the spool has it.
fn deletion(origin: &str, start_time: i64, end_time: i64) -> Vec<u8> {
    let pattern = format!("root.{origin}.d.s");
    let paths = vec![WirePath::measurement(&pattern, pattern.split('.').collect())].into();
    let delete = DeleteData { paths, start_time, end_time, plan_node_id: "" };
    let mut out = Vec::new();
    Payload::from(Request::Plan(Plan::Delete(delete))).encode(&mut out).unwrap();
    out
}

/// Sends a request as an origin, and waits until it was read.
fn send_request(daemon: &Daemon, origin: &str, request: &[u8]) {
    let mut peer = daemon.greeted_as(&handshake(&[("clusterID", origin)]));
    assert_eq!(peer.ask(&framed(request)), Some(OK));
    daemon.wait_status(|it| it["loader"]["read"] == it["keeper"]["durable_sequence"]);
}

/// Sends tablets as an origin, and waits until they were read.
fn send(daemon: &Daemon, origin: &str, tablets: &[(&[i64], i64)]) {
    let mut peer = daemon.greeted_as(&handshake(&[("clusterID", origin)]));
    for (times, value) in tablets {
        assert_eq!(peer.ask(&framed(&request(origin, times, *value))), Some(OK));
    }
    daemon.wait_status(|it| it["loader"]["read"] == it["keeper"]["durable_sequence"]);
}

/// A TsFile of the device of an origin, with one row.
fn ts_file(origin: &str, time: i64, value: i64) -> Vec<u8> {
    let options = WriteOptions::of_version(TsFileVersion::V3);
    let mut writer = TsFileWriter::new(Vec::new(), options).unwrap();
    let spec = SeriesSpec::new("s", DataType::Int64);
    let device = Device::tree(&format!("root.{origin}.d")).id(TsFileVersion::V3);
    writer.begin_series(&device, &spec).unwrap();
    let mut batch = Batch::new([DataType::Int64]);
    batch.times.push(time);
    batch.columns[0].presence.push(true);
    assert!(batch.columns[0].values.push(&Value::Int64(value)));
    writer.write(&batch).unwrap();
    writer.finish().unwrap().out
}

/// Sends a file as an origin, and waits until it was read.
fn send_file(daemon: &Daemon, origin: &str, name: &str, bytes: &[u8]) {
    let mut peer = daemon.greeted_as(&handshake(&[("clusterID", origin)]));
    assert_eq!(peer.file(name, bytes, 1000), Some(OK));
    daemon.wait_status(|it| it["loader"]["read"] == it["keeper"]["durable_sequence"]);
}

fn site() -> Site {
    Site::new(&[("receiver_target", "store"), ("receiver_spool_segment_bytes", "1MiB")])
}

fn root_of(site: &Site, origin: &str) -> PathBuf {
    let entries = fs::read_dir(site.path("files")).unwrap().map(|it| it.unwrap().path());
    let is_of = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().contains(origin);
    entries.filter(|path| path.is_dir()).find(is_of).unwrap()
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

/// Status, rows and what was said.
fn sql(site: &Site, more: &[&str]) -> (Option<i32>, String, String) {
    let asked = ["-e", "SELECT * FROM root.**", "--format", "csv", "--time", "epoch"];
    let output = site.output("sql", &[&asked, more].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn rows_of(answer: &(Option<i32>, String, String)) -> Vec<&str> {
    answer.1.lines().skip(1).collect()
}

/// All of an origin was gone, and answers were as if it had never been.
#[test]
fn a_store_that_is_gone_at_a_start_is_told_of_and_refused_until_it_is_back_or_given_up() {
    let site = site();
    let daemon = site.start();
    send(&daemon, "one", &[(&[1, 2], 10), (&[2], 20)]);
    send(&daemon, "two", &[(&[1], 7)]);
    send_file(&daemon, "two", "a.tsfile", &ts_file("two", 2, 8));
    assert!(daemon.terminate().0.success());
    let before = sql(&site, &[]);
    assert_eq!(before.0, Some(0), "{before:?}");
    let (root, away) = (root_of(&site, "one"), site.path("away"));
    let name = root.file_name().unwrap().to_str().unwrap().to_owned();
    fs::rename(&root, &away).unwrap();
    let mut n_gaps = None;
    for _ in ["first", "and a second start tells nothing anew"] {
        let daemon = site.start();
        daemon.wait_loaded();
        let status = daemon.wait_status(|it| it["loader"]["gone"][0]["origin"] == *name);
        assert!(status["loader"]["gone"][0]["expected"].as_u64() >= Some(2), "{status:#}");
        assert_eq!(status["loader"]["older"], serde_json::json!([]), "{status:#}");
        let gaps = daemon.gaps().to_string();
        assert!(gaps.contains("the whole store"), "{gaps}");
        let told = status["keeper"]["n_gaps"].clone();
        assert_eq!(*n_gaps.get_or_insert_with(|| told.clone()), told, "{gaps}");
        let shown = site.output("status", &[]);
        assert!(String::from_utf8_lossy(&shown.stdout).contains("STORE GONE"), "{shown:?}");
        for origin in [&[][..], &["--origin", &name]] {
            let answer = sql(&site, origin);
            assert_eq!(answer.0, Some(1), "{answer:?}");
            assert!(answer.2.contains("its directory was removed"), "{answer:?}");
            assert_eq!(answer.1, "", "{answer:?}");
        }
        let other = root_of(&site, "two");
        assert_eq!(
            sql(&site, &["--origin", other.file_name().unwrap().to_str().unwrap()]).0,
            Some(0)
        );
        // what the spool still has is there again
        let answer = sql(&site, &["--skip-damaged", "--origin", &name]);
        assert_eq!((answer.0, rows_of(&answer)), (Some(3), vec!["1,10", "2,20"]), "{answer:?}");
        let verified = site.output("verify", &[]);
        assert_eq!(verified.status.code(), Some(1), "{verified:?}");
        daemon.kill();
    }
    let daemon = site.start();
    send(&daemon, "one", &[(&[3], 30)]);
    let answer = sql(&site, &["--skip-damaged", "--origin", &name]);
    assert_eq!((answer.0, rows_of(&answer)), (Some(3), vec!["1,10", "2,20", "3,30"]));
    assert!(daemon.terminate().0.success());
    // back again, it lacks what came meanwhile
    fs::rename(&root, site.path("interim")).unwrap();
    fs::rename(&away, &root).unwrap();
    let daemon = site.start();
    daemon.log.wait("older than it was");
    daemon.wait_loaded();
    let answer = sql(&site, &["--origin", &name]);
    assert_eq!((answer.0, rows_of(&answer)), (Some(0), vec!["1,10", "2,20", "3,30"]), "{answer:?}");
    let outcome = |daemon: &Daemon| {
        let gaps = daemon.gaps();
        let gaps = gaps.as_array().unwrap();
        let gap = gaps.iter().rfind(|gap| gap["item"] == "the whole store").unwrap();
        gap["outcome"].as_str().unwrap_or("none").to_owned()
    };
    assert!(outcome(&daemon).starts_with("there again since 2"), "{}", outcome(&daemon));
    assert!(daemon.terminate().0.success());
    fs::remove_dir_all(&root).unwrap();
    let daemon = site.start();
    daemon.wait_status(|it| it["loader"]["gone"][0]["origin"] == *name);
    assert_eq!(sql(&site, &[]).0, Some(1));
    assert_eq!(outcome(&daemon), "none");
    let given_up = site.output("forget-lost", &["--origin", &name]);
    let said = String::from_utf8_lossy(&given_up.stdout).into_owned();
    assert!(said.starts_with("the whole store, up to record ") && said.ends_with(": given up\n"));
    daemon.wait_status(|it| it["loader"]["gone"] == serde_json::json!([]));
    assert_eq!(sql(&site, &[]).0, Some(0));
    assert!(outcome(&daemon).starts_with("given up 2"), "{}", outcome(&daemon));
    assert!(daemon.terminate().0.success());
    let daemon = site.start();
    let status = daemon.wait_loaded();
    assert_eq!(status["loader"]["gone"], serde_json::json!([]));
    assert_eq!(sql(&site, &[]).0, Some(0));
}

/// The next rows went into a directory without a catalog, of which no question about all origins had an
/// answer before a restart.
#[test]
fn a_store_whose_directory_is_removed_while_it_is_open_is_told_of_and_takes_in_what_comes() {
    let site = site();
    let daemon = site.start();
    send(&daemon, "one", &[(&[1, 2], 10)]);
    assert_eq!(sql(&site, &[]).0, Some(0), "it is in files now");
    // and this in memory only
    send(&daemon, "one", &[(&[2], 20)]);
    send(&daemon, "two", &[(&[5], 50), (&[5], 51)]);
    let root = root_of(&site, "one");
    let name = root.file_name().unwrap().to_str().unwrap().to_owned();
    fs::remove_dir_all(&root).unwrap();
    send(&daemon, "one", &[(&[3], 30)]);
    daemon.wait_status(|it| it["loader"]["gone"][0]["origin"] == *name);
    assert!(root.join("catalog").is_file());
    assert_eq!(sql(&site, &[]).0, Some(1));
    let answer = sql(&site, &["--skip-damaged", "--origin", &name]);
    assert_eq!((answer.0, rows_of(&answer)), (Some(3), vec!["1,10", "2,20", "3,30"]), "{answer:?}");
    // a question notices it as well
    fs::remove_dir_all(&root).unwrap();
    assert_eq!(sql(&site, &[]).0, Some(1));
    let other = root_of(&site, "two").file_name().unwrap().to_str().unwrap().to_owned();
    let answer = sql(&site, &["--origin", &other]);
    assert_eq!((answer.0, rows_of(&answer)), (Some(0), vec!["5,51"]), "{answer:?}");
    assert!(daemon.terminate().0.success());
    let daemon = site.start();
    daemon.wait_loaded();
    let answer = sql(&site, &["--skip-damaged", "--origin", &name]);
    assert_eq!((answer.0, rows_of(&answer)), (Some(3), vec!["1,10", "2,20", "3,30"]), "{answer:?}");
}

/// Status said "up to record 8" of a store that had three.
#[test]
fn a_store_that_was_restored_from_a_copy_takes_in_again_what_the_spool_has_and_the_rest_is_told() {
    for (is_spool_short, is_killed) in [(false, false), (true, false), (false, true), (true, true)]
    {
        let site = site();
        let daemon = site.start();
        send(&daemon, "one", &[(&[1, 2, 3], 10), (&[2], 20)]);
        send(&daemon, "two", &[(&[1], 1)]);
        assert!(daemon.terminate().0.success());
        let (root, saved) = (root_of(&site, "one"), site.path("saved"));
        let name = root.file_name().unwrap().to_str().unwrap().to_owned();
        copy(&root, &saved);
        let daemon = site.start();
        send(&daemon, "one", &[(&[3], 30), (&[1], 11)]);
        send(&daemon, "two", &[(&[1], 2)]);
        if is_spool_short {
            let times: Vec<i64> = (100..40_100).collect();
            for value in 0..6 {
                send(&daemon, "two", &[(&times, value)]);
            }
            assert_eq!(sql(&site, &[]).0, Some(0));
            daemon.wait_status(|it| it["keeper"]["spool_segments"].as_u64() < Some(4));
        }
        send(&daemon, "one", &[(&[1], 12), (&[4], 40)]);
        assert!(daemon.terminate().0.success());
        let before = sql(&site, &["--origin", &name]);
        assert_eq!(rows_of(&before), ["1,12", "2,20", "3,30", "4,40"]);
        fs::remove_dir_all(&root).unwrap();
        fs::rename(&saved, &root).unwrap();
        if is_killed {
            // at any moment of it
            let daemon = site.start();
            daemon.log.wait("the store of an origin is older than it was");
            daemon.kill();
        }
        let mut told = None;
        for is_first in [true, false] {
            let daemon = site.start();
            if is_first && !is_killed {
                daemon.log.wait("the store of an origin is older than it was");
                daemon.wait_status(|it| it["loader"]["older"][0]["origin"] == *name);
            }
            // what waits for everything to be in files waits for what is taken in again, too
            let answer = sql(&site, &["--origin", &name]);
            let (status, gaps) = (daemon.status(), daemon.gaps());
            assert_eq!(*told.get_or_insert_with(|| gaps.clone()), gaps);
            assert_eq!(gaps.to_string().contains("an older copy"), is_spool_short, "{gaps:#}");
            assert!(!gaps.to_string().contains("the whole store"), "{gaps:#}");
            match is_spool_short {
                false => assert_eq!(answer, before),
                true => assert_eq!(rows_of(&answer), ["1,12", "2,20", "3,10", "4,40"]),
            }
            let is_older = status["loader"]["older"] != serde_json::json!([]);
            assert_eq!(is_older && !is_killed, is_first && !is_killed, "{status:#}");
            // also where it did not come to its end
            daemon.kill();
        }
    }
}

/// A received file is moved out of the staging directory into the store. Rows of before it came again
/// would be in its place if they were taken for newer.
#[test]
fn files_that_an_older_copy_lacks_are_told_of_and_those_that_it_has_stay_where_they_were() {
    let site = site();
    let daemon = site.start();
    send(&daemon, "one", &[(&[1, 2], 10)]);
    // behind rows that are in memory, with others
    send_file(&daemon, "one", "a.tsfile", &ts_file("one", 5, 50));
    let root = root_of(&site, "one");
    copy(&root, &site.path("saved"));
    send(&daemon, "one", &[(&[5], 51), (&[2], 20)]);
    send_file(&daemon, "one", "b.tsfile", &ts_file("one", 2, 21));
    send(&daemon, "one", &[(&[1], 11)]);
    assert!(daemon.terminate().0.success());
    let before = sql(&site, &[]);
    assert_eq!(rows_of(&before), ["1,11", "2,21", "5,51"]);
    fs::remove_dir_all(&root).unwrap();
    fs::rename(site.path("saved"), &root).unwrap();
    let mut told = None;
    for _ in ["first", "and a second start tells nothing anew"] {
        let daemon = site.start();
        let answer = sql(&site, &[]);
        let gaps = daemon.gaps();
        assert!(gaps.to_string().contains("\"1 files of records 5 to 5\""), "{gaps:#}");
        assert_eq!(*told.get_or_insert_with(|| gaps.clone()), gaps);
        assert_eq!((answer.0, rows_of(&answer)), (Some(0), vec!["1,11", "2,20", "5,51"]));
        assert!(daemon.terminate().0.success());
    }
}

/// The new store had said that another one was there, and of which spool its numbers are it had not: it
/// passed for one that has everything.
#[test]
fn a_store_that_was_just_made_in_the_place_of_another_when_the_daemon_ended_is_given_everything() {
    for has_spool in [false, true] {
        let site = site();
        let daemon = site.start();
        send(&daemon, "one", &[(&[1, 2], 10), (&[2], 20)]);
        assert!(daemon.terminate().0.success());
        let root = root_of(&site, "one");
        let open = || Store::open(DirVolume::new(&root), Options::default(), 1).unwrap();
        let store = open();
        let (spool, last) = (store.spool().unwrap(), store.standing().taken);
        drop(store);
        fs::remove_dir_all(&root).unwrap();
        let mut store = open();
        store.replace_gone(last).unwrap();
        if has_spool {
            store.begin_spool(spool).unwrap();
        }
        drop(store);
        let daemon = site.start();
        daemon.wait_status(|it| it["loader"]["gone"][0]["expected"] == last);
        let answer = sql(&site, &["--skip-damaged"]);
        assert_eq!((answer.0, rows_of(&answer)), (Some(3), vec!["1,10", "2,20"]), "{has_spool}");
        assert!(!daemon.gaps().to_string().contains("an older copy"));
    }
}

/// A deletion was durable before rows of before it, and the store passed for one that has everything.
#[test]
fn a_store_that_was_given_the_last_of_what_it_lacks_before_the_rest_is_given_all_of_it_again() {
    let site = site();
    let daemon = site.start();
    send(&daemon, "one", &[(&[1, 2], 10)]);
    assert!(daemon.terminate().0.success());
    let (root, saved) = (root_of(&site, "one"), site.path("saved"));
    copy(&root, &saved);
    let daemon = site.start();
    // of another week, so of another file
    send(&daemon, "one", &[(&[2, 700_000_000], 30)]);
    send_request(&daemon, "one", &deletion("one", 1, 1));
    assert!(daemon.terminate().0.success());
    let before = sql(&site, &[]);
    assert_eq!(rows_of(&before), ["2,30", "700000000,30"]);
    fs::remove_dir_all(&root).unwrap();
    fs::rename(&saved, &root).unwrap();
    // the deletion has room there, and those rows have not
    let below = |path: PathBuf| fs::read_dir(path).unwrap().next().unwrap().unwrap().path();
    let of_region = below(below(root.join("data/unsequence")));
    let in_the_way = of_region.join("1");
    fs::write(&in_the_way, "no directory").unwrap();
    let daemon = site.start();
    daemon.log.wait("target stalled");
    daemon.kill();
    fs::remove_file(&in_the_way).unwrap();
    let daemon = site.start();
    daemon.wait_loaded();
    assert_eq!(sql(&site, &[]), before);
    assert!(daemon.terminate().0.success());
    let daemon = site.start();
    daemon.wait_loaded();
    let (_, log) = daemon.terminate();
    assert!(!log.iter().any(|line| line.contains("older than it was")), "{log:#?}");
}

/// What the restored spool had not given away yet was given above what the store had from later records.
#[test]
fn rows_of_a_state_that_was_restored_do_not_replace_newer_ones_of_the_store() {
    let is_read = |it: &serde_json::Value| {
        let durable = &it["keeper"]["durable_sequence"];
        *durable != 0 && it["loader"]["read"] == *durable
    };
    let site = site();
    let daemon = site.start();
    send(&daemon, "one", &[(&[1, 2], 10)]);
    // its rows are in the spool only
    daemon.kill();
    let (state, saved) = (site.path("state"), site.path("saved"));
    copy(&state, &saved);
    let daemon = site.start();
    send(&daemon, "one", &[(&[1], 20)]);
    assert!(daemon.terminate().0.success());
    fs::remove_dir_all(&state).unwrap();
    fs::rename(&saved, &state).unwrap();
    let daemon = site.start();
    daemon.log.wait("the spool begins anew");
    daemon.wait_status(is_read);
    assert_eq!(rows_of(&sql(&site, &[])), ["1,20", "2,10"]);
    send(&daemon, "one", &[(&[2], 30)]);
    assert_eq!(rows_of(&sql(&site, &[])), ["1,20", "2,30"]);
    daemon.kill();
    let daemon = site.start();
    daemon.wait_status(is_read);
    assert_eq!(rows_of(&sql(&site, &[])), ["1,20", "2,30"]);
}

/// Who asked was told that the stores are busy, and once the target was back all that was lost by then was
/// given up.
#[test]
fn nothing_is_given_up_for_somebody_who_was_told_that_it_was_not() {
    let site = site();
    let daemon = site.start();
    send(&daemon, "one", &[(&[1], 10)]);
    assert!(daemon.terminate().0.success());
    let root = root_of(&site, "one");
    let name = root.file_name().unwrap().to_str().unwrap().to_owned();
    fs::remove_dir_all(&root).unwrap();
    let daemon = site.start();
    daemon.wait_status(|it| it["loader"]["gone"][0]["origin"] == *name);
    fs::rename(site.path("files"), site.path("away")).unwrap();
    let given_up = site.output("forget-lost", &["--origin", &name]);
    assert!(!given_up.status.success(), "{given_up:?}");
    fs::rename(site.path("away"), site.path("files")).unwrap();
    daemon.log.wait("target goes on");
    send(&daemon, "one", &[(&[2], 20)]);
    assert_eq!(daemon.status()["loader"]["gone"][0]["origin"], *name);
    assert_eq!(sql(&site, &[]).0, Some(1));
}

/// It passed for the one that had vanished and was put back, and answers lacked its rows silently.
#[test]
fn a_store_in_the_place_of_another_says_so_also_after_it_has_lost_its_catalog() {
    let site = site();
    let daemon = site.start();
    send(&daemon, "one", &[(&[1], 10)]);
    assert!(daemon.terminate().0.success());
    let root = root_of(&site, "one");
    fs::remove_dir_all(&root).unwrap();
    let daemon = site.start();
    let status = daemon.wait_status(|it| it["loader"]["gone"][0]["expected"].as_u64().is_some());
    let gone = status["loader"]["gone"].clone();
    assert!(daemon.terminate().0.success());
    fs::remove_file(root.join("catalog")).unwrap();
    let daemon = site.start();
    daemon.log.wait("catalog of the store made anew");
    daemon.wait_loaded();
    assert_eq!(sql(&site, &[]).0, Some(1));
    assert_eq!(daemon.status()["loader"]["gone"], gone);
    let gaps = daemon.gaps();
    let mut all = gaps.as_array().unwrap().iter();
    let gap = all.rfind(|gap| gap["item"] == "the whole store").unwrap();
    assert_eq!(gap["outcome"], serde_json::Value::Null, "{gap:#}");
}

/// What was written from then on went into a file that nobody could find, was acknowledged, and was gone
/// with the process.
#[test]
fn rows_behind_a_catalog_that_was_replaced_under_the_daemon_are_not_lost() {
    let site = site();
    let mut daemon = site.start();
    send(&daemon, "one", &[(&[1], 10)]);
    for (round, is_older) in [(2, false), (4, true)] {
        // in files, and the spool may forget it
        let before = sql(&site, &[]);
        assert_eq!(before.0, Some(0), "{before:?}");
        let catalog = root_of(&site, "one").join("catalog");
        let beside = site.path("beside");
        let bytes = fs::read(&catalog).unwrap();
        let kept = if is_older { bytes.len() - 1 } else { bytes.len() };
        fs::write(&beside, &bytes[..kept]).unwrap();
        fs::rename(&beside, &catalog).unwrap();
        send(&daemon, "one", &[(&[round], 20), (&[round + 1], 30)]);
        let now = sql(&site, &[]);
        assert_eq!(now.0, Some(0), "{now:?}");
        assert_eq!(rows_of(&now).len(), rows_of(&before).len() + 2, "{now:?}");
        daemon.kill();
        daemon = site.start();
        assert_eq!(rows_of(&sql(&site, &[])), rows_of(&now));
    }
    assert!(daemon.terminate().0.success());
}
