//! The real sender at the edges: signals, reloads, gateways that misbehave, sources that are odd.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;

use serde_json::Value;
use tidegate_tests::arrival;
use tidegate_tests::harness;
use tidegate_tests::site::Site;
use tidegate_tests::site::WITHIN;
use tidegate_tests::source::SourceTree;

fn words(value: &Value) -> String {
    value.to_string()
}

#[test]
fn sigterm_ends_the_sender_in_mid_transfer_within_5_seconds_and_a_start_goes_on() {
    let mut site = Site::new(&[]);
    site.tree.add_file("sequence/root.a/1/0", 3_000_000, None).expect("a file");
    let slow = site.gateway(&["--mbit", "2"]);
    site.write_pipe("p", slow.address, &[]);
    let mut sender = site.start();
    site.wait(&mut sender, "a transfer under way", |status| {
        status["pipes"][0]["lanes"][0]["bytes_sent"].as_u64() > Some(100_000)
    });
    // `terminate` allows 5 s.
    let status = sender.terminate().expect("it ends in time");
    assert!(status.success(), "{status}");
    let fast = site.gateway(&[]);
    site.write_pipe("p", fast.address, &[]);
    let mut sender = site.start();
    let comparison = site.arrives(&mut sender);
    assert_eq!(comparison.n_repeated, 0);
    assert_eq!(site.status()["epoch"], 2);
}

#[test]
fn a_second_sender_on_the_same_state_is_refused_by_name() {
    let site = Site::new(&[]);
    let _sender = site.start();
    let said = site.refusal("run");
    assert!(said.contains("in use by process"), "{said}");
}

#[test]
fn sighup_applies_live_keys_and_names_those_that_need_a_restart() {
    let site = Site::new(&[]);
    let mut sender = site.start();
    let conf = site.setup.conf();
    let text = fs::read_to_string(&conf).expect("the configuration");
    let text = text.replace("sender_rescan_interval_ms=200", "sender_rescan_interval_ms=300");
    fs::write(&conf, format!("{text}sender_watch=off\n")).expect("a new configuration");
    sender.reload().expect("SIGHUP");
    let line = sender.wait_for_log("changed and applied", WITHIN).expect("a line");
    assert!(line.contains("sender_rescan_interval_ms"), "{line}");
    let line = sender.wait_for_log("restart to apply", WITHIN).expect("a line");
    assert!(line.contains("sender_watch"), "{line}");
    fs::write(&conf, format!("{text}sender_rescan=1\n")).expect("a bad configuration");
    sender.reload().expect("SIGHUP");
    let line = sender.wait_for_log("was not taken over", WITHIN).expect("a line");
    assert!(line.contains("sender_rescan"), "{line}");
}

#[test]
fn pipes_come_and_go_on_sighup_and_a_bad_one_stops_no_other() {
    let mut site = Site::new(&[]);
    site.tree.add_files(3).expect("files");
    let gateway = site.gateway(&[]);
    site.write_pipe("good", gateway.address, &[]);
    fs::write(site.pipe_path("bad"), "[connector]\n\"connector.ip\" = 5\n").expect("a pipe");
    let mut sender = site.start();
    site.arrives(&mut sender);
    let faults = words(&site.status()["faults"]);
    assert!(faults.contains("bad.toml"), "{faults}");
    fs::remove_file(site.pipe_path("bad")).expect("gone");
    site.write_pipe("second", gateway.address, &[]);
    sender.reload().expect("SIGHUP");
    let status = site.wait(&mut sender, "two pipes", |status| {
        status["pipes"].as_array().map(Vec::len) == Some(2)
    });
    assert_eq!(status["faults"], Value::Array(Vec::new()));
    // The first pipe went on; the second sends the same files again, under a stream of its own.
    site.wait(&mut sender, "the second pipe to be through", |status| {
        status["pipes"][1]["sent_files"].as_u64() == Some(3)
    });
    fs::remove_file(site.pipe_path("good")).expect("gone");
    sender.reload().expect("SIGHUP");
    site.wait(&mut sender, "one pipe", |status| {
        let pipes = status["pipes"].as_array().expect("pipes");
        pipes.len() == 1 && pipes[0]["name"] == "second"
    });
}

#[test]
fn what_this_release_does_not_have_is_refused_by_name() {
    let site = Site::new(&[]);
    for (key, value) in [
        ("extractor.path.exclusion", "root.a"),
        ("extractor.mode.snapshot", "true"),
        ("extractor.inclusion", "all"),
    ] {
        let text = format!(
            "[extractor]\n\"{key}\" = \"{value}\"\n[connector]\n\
             \"connector\" = \"iotdb-air-gap-connector\"\n\"connector.node-urls\" = \"h:1\"\n"
        );
        fs::write(site.pipe_path("p"), text).expect("a pipe");
        let said = site.refusal("check-conf");
        assert!(said.contains(key), "{key}: {said}");
    }
}

/// It found no fault in pipes that `run` then did not start.
#[test]
fn check_conf_refuses_a_pipe_that_cannot_run_and_says_why_of_each() {
    let site = Site::new(&[]);
    let definition = |lines: &str| {
        format!(
            "[extractor]\n{lines}[connector]\n\"connector\" = \"iotdb-air-gap-connector\"\n\
             \"connector.node-urls\" = \"h:1\"\n\"connector.tidegate.dialect\" = \"1.2\"\n"
        )
    };
    let write = |name: &str, lines: &str| {
        fs::write(site.pipe_path(name), definition(lines)).expect("a pipe");
    };
    // only whoever knows the unit and the present time can tell
    let end = "\"extractor.end-time\" = \"2001-01-01\"\n";
    write("one", &format!("\"extractor.start-time\" = \"now\"\n{end}"));
    write("other", &format!("\"extractor.start-time\" = \"now() - 1d\"\n{end}"));
    write("good", "");
    let said = site.refusal("check-conf");
    for name in ["one", "other"] {
        let expected = format!("pipe {name} cannot run: the first time, ");
        assert!(said.contains(&expected), "{said}");
    }
    assert!(!said.contains("good"), "{said}");
}

#[test]
fn only_allowed_source_ports_are_called_from() {
    let port = || harness::free_port().expect("a port").to_string();
    let (one, other, only) = (port(), port(), port());
    let list = format!("{one},{other}");
    let rules: [(&str, &[(&str, &str)]); 2] =
        [(&list, &[("candidate", &list)]), (&only, &[("range.min", &only), ("range.max", &only)])];
    for (allowed, keys) in rules {
        let mut site = Site::new(&[]);
        site.tree.add_files(4).expect("files");
        let gateway = site.gateway(&["--allow-source-ports", allowed]);
        let strategy = if keys.len() == 1 { "candidate" } else { "range" };
        let strategy = ("send-port.restriction-strategy".to_owned(), strategy);
        let keys = keys.iter().map(|(key, value)| (format!("send-port.{key}"), *value));
        let keys: Vec<(String, &str)> = std::iter::once(strategy).chain(keys).collect();
        let keys: Vec<(&str, &str)> = keys.iter().map(|(key, value)| (&**key, *value)).collect();
        site.write_pipe("p", gateway.address, &keys);
        let mut sender = site.start();
        site.arrives(&mut sender);
        assert_eq!(site.status()["pipes"][0]["lanes"][0]["calls"], 1, "no call was turned away");
    }
}

#[test]
fn a_dead_peer_is_passed_over_and_streams_stay_where_they_are() {
    let mut site = Site::new(&[]);
    site.tree.add_files(12).expect("files");
    let gateway = site.gateway(&[]);
    let dead = harness::free_port().expect("a port");
    let text = format!(
        "[connector]\n\"connector\" = \"iotdb-air-gap-connector\"\n\
         \"connector.node-urls\" = \"127.0.0.1:{dead},{}\"\n\
         \"connector.tidegate.gateway\" = \"plain-tcp\"\n",
        gateway.address
    );
    fs::write(site.pipe_path("p"), text).expect("a pipe");
    let mut sender = site.start();
    let comparison = site.arrives(&mut sender);
    assert_eq!(comparison.n_repeated, 0);
    let status = site.status();
    let lanes = status["pipes"][0]["lanes"].as_array().expect("lanes");
    assert_eq!(lanes.len(), 2, "one lane per peer");
    for lane in lanes {
        assert_eq!(lane["peer"], gateway.address.to_string(), "{lane}");
    }
    let said = sender.log().expect("the log");
    assert!(
        said.contains("no connection") && said.contains(&dead.to_string())
            || said.contains("refused"),
        "{said}"
    );
}

#[test]
fn frames_are_wrapped_in_e_language_for_a_reverse_gateway() {
    let mut site = Site::new(&[]);
    site.tree.add_files(6).expect("files");
    // This profile cuts whatever is not wrapped.
    let gateway = site.gateway(&["--profile", "syskeeper-2000-reverse"]);
    let profile = [("connector.tidegate.gateway", "syskeeper-2000-reverse")];
    site.write_pipe("p", gateway.address, &profile);
    let mut sender = site.start();
    site.arrives(&mut sender);
    let counters = gateway.stop().expect("counters");
    assert!(words(&counters).contains("\"requests\""), "{counters}");
}

#[test]
fn lost_late_and_doubled_replies_lose_nothing() {
    let mut site = Site::new(&["pipe_connector_timeout_ms=1000"]);
    site.tree.add_files(12).expect("files");
    let gateway = site.gateway(&[
        "--double-reply-every",
        "31",
        "--lose-reply-every",
        "37",
        "--late-reply-every",
        "41,1500",
        "--split-at",
        "4",
    ]);
    let pieces = [("connector.tidegate.piece-size-bytes", "65536")];
    site.write_pipe("p", gateway.address, &pieces);
    let mut sender = site.start();
    site.arrives(&mut sender);
    let status = site.status();
    let replies = &status["pipes"][0]["lanes"][0]["replies"];
    let counters = gateway.stop().expect("counters");
    let count = |key: &str| replies[key].as_u64().unwrap_or(0);
    assert!(count("timeout") > 0, "lost replies are told apart: {replies} {counters}");
    assert!(count("closed") + count("broken") + count("illegal") > 0, "{replies} {counters}");
}

#[test]
fn a_gateway_that_restarts_is_called_again_until_it_answers() {
    let mut site = Site::new(&[]);
    site.tree.add_files(20).expect("files");
    let gateway =
        site.gateway(&["--restart-every-ms", "700", "--restart-down-ms", "200", "--mbit", "40"]);
    site.write_pipe("p", gateway.address, &[]);
    let mut sender = site.start();
    site.arrives(&mut sender);
}

#[test]
fn a_file_that_the_peer_cannot_read_is_set_aside_with_the_reason() {
    let mut site = Site::new(&[]);
    site.tree.add_files(2).expect("files");
    let path = site.tree.add_file("sequence/root.a/1/0", 100, None).expect("a file");
    let mut bytes = fs::read(&path).expect("the file");
    bytes[6] = 4;
    fs::write(&path, bytes).expect("a file of version 4");
    site.write_pipe("p", site.receiver_setup.address(), &[("connector.tidegate.dialect", "1.3")]);
    let mut sender = site.start();
    let status = site.wait(&mut sender, "the file to be set aside", |status| {
        words(&status["pipes"][0]["regions"]).contains("version 4")
            && status["pipes"][0]["sent_files"].as_u64() == Some(2)
    });
    assert!(words(&status).contains("connector.tidegate.dialect=2.0"), "{status}");
}

#[test]
fn deletions_written_after_their_file_had_left_arrive_cut_to_its_device() {
    let mut site = Site::new(&[]);
    let path = site.tree.add_file("sequence/root.plant/1/0", 100, None).expect("a file");
    let gateway = site.gateway(&[]);
    site.write_pipe("p", gateway.address, &[]);
    let mut sender = site.start();
    site.arrives(&mut sender);
    let entry = "DELETION,root.**,9223372036854775807,-5,5\n";
    fs::write(path.with_extension("tsfile.mods"), entry).expect("mods");
    let sent = |status: &Value| status["pipes"][0]["regions"][0]["sent_deletions"].as_u64();
    let status = site.wait(&mut sender, "the deletion", |status| sent(status) == Some(1));
    assert_eq!(status["pipes"][0]["gaps"], 0);
    let kept = site.receiver_setup.status().expect("the receiver's status");
    assert!(words(&kept).contains("delete"), "{kept}");
    // A restart settles nothing twice. After a kill what the status counts and the ledger had not synced
    // leaves once more, under the number that it had.
    sender.terminate().expect("it ends");
    let mut sender = site.start();
    site.tree.add_file("sequence/root.plant/1/0", 100, None).expect("another file");
    let status = site.wait(&mut sender, "the other file", |status| {
        status["pipes"][0]["sent_files"].as_u64() == Some(2)
    });
    assert_eq!(sent(&status), Some(0));
}

#[test]
fn deletions_beside_a_file_whose_resource_is_damaged_are_listed_running_or_not() {
    let mut site = Site::new(&[]);
    let path = site.tree.add_file("sequence/root.a/1/0", 100, None).expect("a file");
    fs::write(path.with_extension("tsfile.resource"), "damaged").expect("a resource");
    let gateway = site.gateway(&[]);
    site.write_pipe("p", gateway.address, &[]);
    let mut sender = site.start();
    site.arrives(&mut sender);
    fs::write(path.with_extension("tsfile.mods"), "DELETION,root.a.d.s,1,1,5\n").expect("mods");
    site.wait(&mut sender, "a gap", |status| status["pipes"][0]["gaps"].as_u64() == Some(1));
    let running = site.gaps();
    assert_eq!(running[0]["reason"], "mods-unreadable");
    sender.terminate().expect("it ends");
    let stopped = site.setup.gaps().expect("gaps from the disk");
    assert_eq!(running[0]["file"], stopped[0]["file"]);
    assert_eq!(Some(running.len()), stopped.as_array().map(Vec::len));
}

#[test]
fn the_status_says_what_is_not_sent_and_which_mode_really_runs() {
    let mut site = Site::new(&[]);
    let sealed = site.tree.add_file("sequence/root.a/1/0", 100, None).expect("a file");
    fs::write(sealed.with_file_name("1700000009999-99-0-0.tsfile"), b"open").expect("a file");
    let text = format!(
        "[extractor]\n\"extractor.realtime.mode\" = \"hybrid\"\n[connector]\n\
         \"connector\" = \"iotdb-air-gap-connector\"\n\"connector.node-urls\" = \"{}\"\n",
        site.receiver_setup.address()
    );
    fs::write(site.pipe_path("p"), text).expect("a pipe");
    let mut sender = site.start();
    let status = site.wait(&mut sender, "the file to be acknowledged", |status| {
        status["pipes"][0]["sent_files"].as_u64() == Some(1)
    });
    assert_eq!(status["pipes"][0]["regions"][0]["unsealed_files"], 1);
    assert!(words(&status["pipes"][0]["notes"]).contains("hybrid"), "{status}");
    assert!(words(&status["notes"]).contains("write-ahead log"), "{status}");
}

#[test]
fn a_receiver_that_is_away_for_a_while_is_found_again() {
    let mut site = Site::new(&[]);
    site.tree.add_files(5).expect("files");
    site.write_pipe("p", site.receiver_setup.address(), &[]);
    site.receiver.terminate().expect("it ends");
    let mut sender = site.start();
    site.wait(&mut sender, "two calls in vain", |status| {
        status["pipes"][0]["lanes"][0]["calls_failed"].as_u64() >= Some(2)
    });
    site.receiver = site.receiver_setup.start().expect("it comes back");
    site.arrives(&mut sender);
}

#[test]
fn something_that_is_no_data_directory_is_named_at_start() {
    let site = Site::new(&[]);
    let conf = site.setup.conf();
    let text = fs::read_to_string(&conf).expect("the configuration");
    let wrong = site.tree.root().join("datanode");
    let text = text.replace(
        &format!("dn_data_dirs={}", site.tree.data_dir().display()),
        &format!("dn_data_dirs={}", wrong.display()),
    );
    fs::write(&conf, text).expect("a configuration");
    let said = site.refusal("run");
    assert!(said.contains("expected sequence/ or unsequence/"), "{said}");
    assert!(said.contains(&*Path::new(&wrong).to_string_lossy()), "{said}");
}

#[test]
fn a_file_that_changed_in_place_leaves_as_it_is_and_is_not_looked_for_without_end() {
    let mut site = Site::new(&["sender_watch=off"]);
    let path = site.tree.add_file("sequence/root.a/1/0", 100, None).expect("a file");
    // A folder that has not changed for a while is not read again.
    let long_ago = SystemTime::now() - Duration::from_secs(600);
    let age = |path: &Path| {
        fs::File::open(path).and_then(|file| file.set_modified(long_ago)).expect("an older time");
    };
    age(path.parent().expect("a folder"));
    let nobody = SocketAddr::from(([127, 0, 0, 1], harness::free_port().expect("a port")));
    site.write_pipe("p", nobody, &[]);
    let mut sender = site.start();
    site.wait(&mut sender, "a scan", |status| status["pipes"][0]["scans"].as_u64() >= Some(1));
    age(&path);
    site.write_pipe("p", site.receiver_setup.address(), &[]);
    sender.reload().expect("SIGHUP");
    site.arrives(&mut sender);
    let scans = site.status()["pipes"][0]["scans"].as_u64();
    assert!(scans < Some(200), "{scans:?} scans");
}

#[test]
fn pipes_share_a_rate_limit_and_none_of_them_starves_or_takes_the_wait_for_a_dead_peer() {
    let limit = "pipe_all_sinks_rate_limit_bytes_per_second=1000000";
    let more = [limit, "pipe_connector_timeout_ms=1000"];
    let mut site = Site::new(&more);
    for _ in 0..3 {
        site.tree.add_file("sequence/root.a/1/0", 1_000_000, None).expect("a file");
    }
    for name in ["a", "b", "c"] {
        let quick = [("air-gap.handshake-timeout-ms", "500")];
        site.write_pipe(name, site.receiver_setup.address(), &quick);
    }
    let mut sender = site.start();
    let sent = |status: &Value| -> Vec<u64> {
        let pipes = status["pipes"].as_array().expect("pipes");
        pipes.iter().map(|pipe| pipe["sent_files"].as_u64().unwrap_or(0)).collect()
    };
    let status = site.wait(&mut sender, "a pipe to be through", |it| sent(it).contains(&3));
    assert!(sent(&status).iter().all(|&n_files| n_files >= 1), "{:?}", sent(&status));
    for pipe in status["pipes"].as_array().expect("pipes") {
        assert_eq!(pipe["lanes"][0]["replies"]["timeout"], 0, "{pipe}");
    }
}

#[test]
fn of_reloads_one_upon_the_other_the_last_counts() {
    let mut site = Site::new(&[]);
    site.tree.add_files(2).expect("files");
    let nobody = SocketAddr::from(([127, 0, 0, 1], harness::free_port().expect("a port")));
    site.write_pipe("p", nobody, &[]);
    let mut sender = site.start();
    for round in 0..10 {
        for peer in [nobody, site.receiver_setup.address()] {
            site.write_pipe("p", peer, &[]);
            sender.reload().expect("SIGHUP");
            // Enough for the definition to be read, but not for the state to be opened.
            std::thread::sleep(Duration::from_micros(200 * round));
        }
        let peer = site.receiver_setup.address().to_string();
        site.wait(&mut sender, "the last definition", |it| {
            it["pipes"][0]["lanes"][0]["peer"] == peer
        });
    }
    site.arrives(&mut sender);
}

#[test]
fn a_pipe_that_is_defined_anew_greets_as_a_younger_one() {
    let mut site = Site::new(&[]);
    let receiver = site.receiver_setup.address();
    let mut sender = None;
    let mut epochs = Vec::new();
    for piece_bytes in [65_536, 131_072] {
        site.tree.add_files(1).expect("a file");
        let size = piece_bytes.to_string();
        site.write_pipe("p", receiver, &[("connector.tidegate.piece-size-bytes", &size)]);
        let sender = sender.get_or_insert_with(|| site.start());
        sender.reload().expect("SIGHUP");
        site.wait(sender, "the last definition", |it| {
            it["pipes"][0]["lanes"][0]["piece_bytes"] == piece_bytes
        });
        site.arrives(sender);
        let status = site.receiver_setup.status().expect("the receiver answers");
        let connections = status["edge"]["connections"].as_array().expect("connections").clone();
        epochs.push(connections.iter().filter_map(|it| it["epoch"].as_u64()).max());
    }
    assert!(epochs[0].is_some() && epochs[0] < epochs[1], "{epochs:?}");
}

#[test]
fn a_question_before_the_first_start_leaves_nothing_behind() {
    let site = Site::new(&[]);
    assert_eq!(site.setup.gaps().expect("no gaps"), Value::Array(Vec::new()));
    let state = site.setup.conf().with_file_name("state");
    assert!(!state.exists(), "{} was made by a question", state.display());
}

#[test]
fn a_pipe_whose_definition_was_spoilt_goes_on_by_the_earlier_one() {
    let mut site = Site::new(&[]);
    site.tree.add_files(2).expect("files");
    site.write_pipe("p", site.receiver_setup.address(), &[]);
    let mut sender = site.start();
    site.arrives(&mut sender);
    fs::write(site.pipe_path("p"), "[connector]\n\"connec").expect("a slip");
    sender.reload().expect("SIGHUP");
    sender.wait_for_log("goes on by its earlier definition", WITHIN).expect("a line");
    site.tree.add_files(2).expect("files");
    site.arrives(&mut sender);
    assert!(words(&site.status()["faults"]).contains("p.toml"));
}

#[test]
fn files_of_several_data_directories_arrive_also_when_iotdbs_own_conf_names_them() {
    for through_conf in [false, true] {
        let mut site = Site::new(&[]);
        let second_root = site.dir.path().join("second");
        let mut second = SourceTree::new(&second_root, 8).expect("a source");
        site.tree
            .add_file("sequence/root.a/1/0", 1000, Some("DELETION,root.a.d.s,1,1,5\n"))
            .expect("a file");
        second.add_file("unsequence/root.a/1/0", 2000, None).expect("a file");
        second.add_file("sequence/root.b/2/0", 3000, None).expect("a file");
        let both = format!("{},{}", site.tree.data_dir().display(), second.data_dir().display());
        let (conf, root) = (site.setup.conf(), site.tree.root().display().to_string());
        let text = fs::read_to_string(&conf).expect("the configuration");
        let line = format!("dn_data_dirs={}", site.tree.data_dir().display());
        let text = if through_conf {
            let dir = site.dir.path().join("conf");
            fs::create_dir(&dir).expect("a directory");
            let node = format!("dn_data_dirs={both}\ndn_system_dir={root}/datanode/system\n");
            fs::write(dir.join("iotdb-datanode.properties"), node).expect("a conf file");
            let node = format!("cn_system_dir={root}/confignode/system\n");
            fs::write(dir.join("iotdb-confignode.properties"), node).expect("a conf file");
            let own = ["dn_data_dirs", "dn_system_dir", "sender_confignode_system_dir"];
            let kept = text.lines().filter(|line| !own.iter().any(|key| line.starts_with(key)));
            let kept: String = kept.map(|line| format!("{line}\n")).collect();
            format!("{kept}sender_iotdb_conf_dir={}\n", dir.display())
        } else {
            text.replace(&line, &format!("dn_data_dirs={both}"))
        };
        fs::write(&conf, text).expect("a configuration");
        site.write_pipe("p", site.receiver_setup.address(), &[]);
        let mut sender = site.start();
        site.wait(&mut sender, "all files to be acknowledged", |status| {
            status["pipes"][0]["sent_files"].as_u64() == Some(3)
        });
        let mut files = arrival::sealed_files(&site.tree.data_dir()).expect("the source");
        files.extend(arrival::sealed_files(&second.data_dir()).expect("the source"));
        assert_eq!(files.len(), 4, "by conf: {through_conf}");
        site.in_place(&mut sender, &files);
    }
}

#[test]
fn late_deletions_for_a_peer_of_1_2_stay_behind_and_are_a_gap() {
    let mut site = Site::new(&[]);
    let path = site.tree.add_file("sequence/root.plant/1/0", 1000, None).expect("a file");
    let dialect = [("connector.tidegate.dialect", "1.2")];
    site.write_pipe("p", site.receiver_setup.address(), &dialect);
    let mut sender = site.start();
    site.arrives(&mut sender);
    let mods = format!("{}.mods", path.display());
    fs::write(mods, "DELETION,root.plant.d1.s,9223372036854775807,1,5\n").expect("mods");
    site.wait(&mut sender, "a gap", |status| status["pipes"][0]["gaps"].as_u64() == Some(1));
    let gaps = site.gaps();
    assert_eq!(gaps[0]["reason"], "mods-not-carried");
}

#[test]
fn a_unit_of_time_stamps_that_contradicts_the_source_is_refused_at_start() {
    let site = Site::new(&["sender_timestamp_precision=us"]);
    let said = site.refusal("run");
    assert!(said.contains("sender_timestamp_precision=us") && said.contains("ms"), "{said}");
}

#[test]
fn a_pipe_keeps_to_a_rate_limit_of_its_own_and_holds_up_no_other() {
    let mut site = Site::new(&[]);
    let folder = "sequence/root.a/1/0";
    site.tree.add_file(folder, 2_000_000, None).expect("a file");
    // Half an hour for a file, and a minute for each piece: nothing is waited for so long.
    let limit = ("connector.rate-limit-bytes-per-second", "1000");
    let pieces = ("connector.tidegate.piece-size-bytes", "65536");
    let receiver = site.receiver_setup.address();
    site.write_pipe("slow", receiver, &[limit, pieces]);
    site.write_pipe("fast", receiver, &[pieces]);
    let pipe = |status: &Value, name: &str| {
        let pipes = status["pipes"].as_array().cloned().unwrap_or_default();
        pipes.into_iter().find(|pipe| pipe["name"] == name).unwrap_or_default()
    };
    let sent = |status: &Value, name: &str| pipe(status, name)["sent_files"].as_u64();
    let left = |status: &Value, name: &str| pipe(status, name)["lanes"][0]["bytes_sent"].as_u64();
    let mut sender = site.start();
    site.wait(&mut sender, "the pipe without a limit", |it| sent(it, "fast") == Some(1));
    site.tree.add_file(folder, 2_000_000, None).expect("another file");
    let status = site.wait(&mut sender, "it once more, and a piece of the other", |it| {
        sent(it, "fast") == Some(2) && left(it, "slow") >= Some(65_536)
    });
    assert!(left(&status, "slow") < Some(1_000_000), "{status}");
    assert_eq!(sent(&status, "slow"), Some(0), "{status}");
    site.write_pipe("slow", receiver, &[pieces]);
    sender.reload().expect("SIGHUP");
    site.wait(&mut sender, "the pipe that had a limit", |it| sent(it, "slow") == Some(2));
}

#[test]
fn a_file_that_is_cut_short_on_its_way_is_a_gap_and_one_that_is_removed_arrives_whole() {
    for is_cut in [true, false] {
        let mut site = Site::new(&[]);
        let path = site.tree.add_file("sequence/root.a/1/0", 1_000_000, None).expect("a file");
        let files = arrival::sealed_files(&site.tree.data_dir()).expect("the source");
        let gateway = site.gateway(&["--mbit", "4"]);
        let pieces = [("connector.tidegate.piece-size-bytes", "65536")];
        site.write_pipe("p", gateway.address, &pieces);
        let mut sender = site.start();
        site.wait(&mut sender, "a transfer under way", |status| {
            status["pipes"][0]["lanes"][0]["bytes_sent"].as_u64() > Some(100_000)
        });
        if is_cut {
            let file = fs::File::options().write(true).open(&path).expect("the file");
            file.set_len(200_000).expect("a shorter file");
            let status = site.wait(&mut sender, "a damaged file", |status| {
                words(&status["pipes"][0]["regions"][0]["aside"]).contains("tsfile")
            });
            assert_eq!(status["pipes"][0]["sent_files"], 0);
            // That deletions beside the cut file may have been missed is another one.
            let said = harness::poll(WITHIN, "a gap for what was cut off", || {
                sender.ensure_running()?;
                Ok(words(&site.setup.gaps()?).contains("vanished-unsent").then_some(()))
            });
            said.expect("it is on record");
            assert!(arrival::arrived(&site.receiver_setup.files()).expect("files").is_empty());
        } else {
            fs::remove_file(&path).expect("gone");
            fs::remove_file(path.with_extension("tsfile.resource")).expect("gone");
            assert_eq!(site.in_place(&mut sender, &files).n_equal, 1);
            assert_eq!(site.status()["pipes"][0]["gaps"], 0);
        }
    }
}

#[test]
fn what_the_source_drops_before_it_could_leave_arrives_from_its_pin_also_after_a_kill() {
    let cases =
        [("auto", true, "unsequence"), ("copy", true, "sequence"), ("hold", false, "sequence")];
    for (mode, is_killed, space) in cases {
        let mut site = Site::new(&[&format!("sender_pin_mode={mode}")]);
        let mods = "DELETION,root.plant.**,9223372036854775807,3,5\n";
        let mut dropped = Vec::new();
        for mods in [None, Some(mods), None] {
            let path = site.tree.add_file(&format!("{space}/root.plant/1/0"), 5000, mods);
            dropped.push(path.expect("a file"));
        }
        site.tree.add_file("sequence/root.plant/1/0", 5000, None).expect("a file that stays");
        let files = arrival::sealed_files(&site.tree.data_dir()).expect("the source");
        site.receiver.kill9().expect("nobody listens");
        site.write_pipe("p", site.receiver_setup.address(), &[]);
        let mut sender = site.start();
        let region = |status: &Value| status["pipes"][0]["regions"][0].clone();
        site.wait(&mut sender, "all to be pinned", |status| region(status)["pinned_files"] == 4);
        for path in dropped {
            for end in ["tsfile", "tsfile.resource", "tsfile.mods"] {
                let gone = fs::remove_file(path.with_extension(end));
                assert!(gone.is_ok() || end == "tsfile.mods", "{gone:?}");
            }
        }
        let is_told = |status: &Value| region(status)["orphaned_files"] == 3;
        let status = site.wait(&mut sender, "them to be missed", is_told);
        assert_eq!(status["pipes"][0]["gaps"], 0, "{mode}");
        if is_killed {
            sender.kill9().expect("it is killed");
            sender = site.start();
            site.wait(&mut sender, "them to be known again", is_told);
        }
        site.receiver = site.receiver_setup.start().expect("a receiver");
        site.in_place(&mut sender, &files);
        let status = site.wait(&mut sender, "nothing to be pinned", |status| {
            status["source"]["pins"]["files"] == 0 && status["pipes"][0]["pending_files"] == 0
        });
        let gaps = site.gaps();
        let gaps: Vec<&str> = gaps.iter().filter_map(|it| it["reason"].as_str()).collect();
        // Nobody saw the last moments of files that went while the sender did not watch; here they
        // had gone before, but that is not remembered of each.
        assert!(gaps.iter().all(|reason| *reason == "deletions-unseen"), "{gaps:?}");
        assert_eq!(gaps.is_empty(), !is_killed, "{mode}: {gaps:?} {status}");
    }
}
