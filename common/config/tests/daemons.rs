//! The keys of both daemons: shipped files, defaults, faults, reload.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use tidegate_config::AllowList;
use tidegate_config::DiskFullPolicy;
use tidegate_config::DropPolicy;
use tidegate_config::Effect;
use tidegate_config::IOTDB_PIPE_KEYS;
use tidegate_config::IotdbConf;
use tidegate_config::KeyTable;
use tidegate_config::LogLevel;
use tidegate_config::Properties;
use tidegate_config::RECEIVER_TABLE;
use tidegate_config::ReceiverConfig;
use tidegate_config::Reload;
use tidegate_config::ReplicaPolicy;
use tidegate_config::SENDER_TABLE;
use tidegate_config::SenderConfig;
use tidegate_config::SystemProperties;
use tidegate_config::Target;
use tidegate_config::Watch;
use tidegate_model::Dialect;
use tidegate_model::Precision;

const TABLES: [&KeyTable; 2] = [&SENDER_TABLE, &RECEIVER_TABLE];

fn sender(text: &str) -> Result<SenderConfig, String> {
    let loaded = SenderConfig::load("s", text.as_bytes());
    loaded.map(|it| it.config).map_err(|it| it.to_string())
}

fn receiver(text: &str) -> Result<ReceiverConfig, String> {
    let loaded = ReceiverConfig::load("r", text.as_bytes());
    loaded.map(|it| it.config).map_err(|it| it.to_string())
}

fn notices(text: &str) -> Vec<String> {
    let notices = SenderConfig::load("s", text.as_bytes()).unwrap().notices;
    notices.iter().map(|it| it.to_string()).collect()
}

/// The file must be what the table makes of it; with `TIDEGATE_BLESS` it is written anew.
fn compare(path: &str, rendered: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, rendered).unwrap();
    }
    let shipped = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        shipped,
        rendered,
        "{} differs from the key table; run with TIDEGATE_BLESS=1 to write it anew",
        path.display(),
    );
}

#[test]
fn shipped_files_and_manual_pages_are_the_key_tables() {
    for table in TABLES {
        compare(&format!("conf/{}", table.file), &table.render_conf());
        compare(&format!("docs/man/{}.5", table.file), &table.render_man());
    }
}

#[test]
fn shipped_files_load_and_only_the_receiver_differs_from_the_defaults() {
    let shipped = sender(&SENDER_TABLE.render_conf()).unwrap();
    assert_eq!(shipped, sender("").unwrap());
    let shipped = receiver(&RECEIVER_TABLE.render_conf()).unwrap();
    let mut defaults = receiver("").unwrap();
    assert!(!defaults.pipe_air_gap_receiver_enabled, "the default is the one of the manual");
    defaults.pipe_air_gap_receiver_enabled = true;
    assert_eq!(shipped, defaults);
}

#[test]
fn every_documented_default_can_be_written_out() {
    for table in TABLES {
        let text: String = table
            .keys
            .iter()
            .map(|spec| Properties::render_entry(spec.name, spec.default) + "\n")
            .collect();
        match table.daemon {
            "tidegate-sender" => assert_eq!(sender(&text).unwrap(), sender("").unwrap()),
            _ => assert_eq!(receiver(&text).unwrap(), receiver("").unwrap()),
        }
    }
}

#[test]
fn every_key_stands_in_its_shipped_file_once_with_a_meaning() {
    for table in TABLES {
        let text = table.render_conf();
        for spec in table.keys {
            let active = format!("{}=", spec.name);
            let lines =
                text.lines().filter(|line| line.trim_start_matches('#').starts_with(&active));
            assert_eq!(lines.count(), 1, "{}", spec.name);
            let meaning = spec.meaning.concat();
            assert!(meaning.trim_end().ends_with('.'), "{} has no whole sentence", spec.name);
            let is_own = spec.name.starts_with(table.prefix);
            let is_iotdbs = spec.name.starts_with("pipe_") || spec.name.starts_with("dn_");
            assert!(is_own != is_iotdbs, "{} is neither ours nor IoTDB's", spec.name);
        }
        assert!(text.lines().all(|line| line.len() <= 140), "a line is too long to read");
    }
}

#[test]
fn the_eight_keys_of_the_manual_have_its_defaults() {
    let it = sender("").unwrap();
    assert_eq!(it.pipe_lib_dir, PathBuf::from("ext/pipe"));
    assert_eq!(it.pipe_subtask_executor_max_thread_num, 5);
    assert_eq!(it.pipe_connector_timeout_ms, 900_000);
    assert_eq!(it.pipe_async_connector_selector_number, 1);
    assert_eq!(it.pipe_async_connector_core_client_number, 8);
    assert_eq!(it.pipe_async_connector_max_client_number, 16);
    assert!(!it.pipe_air_gap_receiver_enabled);
    assert_eq!(it.pipe_air_gap_receiver_port, 9780);
    assert_eq!(receiver("").unwrap().pipe_air_gap_receiver_port, 9780);
}

#[test]
fn values_are_read_with_their_units() {
    let it = sender(
        "pipe_sink_timeout_ms = 15 min\n\
         pipe_all_sinks_rate_limit_bytes_per_second=8MiB\n\
         dn_data_dirs=/a, /b;/c,;\n\
         sender_rescan_interval_ms=2s\n\
         sender_mods_max_bytes=65536\n\
         sender_iotdb_version=2.0.1-beta\n\
         sender_timestamp_precision=us\n\
         sender_watch=off\n",
    )
    .unwrap();
    assert_eq!(it.pipe_connector_timeout_ms, 900_000);
    assert_eq!(it.all_sinks_rate_limit_bytes_per_second, Some(8 << 20));
    let tiers: &[Vec<PathBuf>] = &[vec!["/a".into(), "/b".into()], vec!["/c".into()]];
    assert_eq!(it.dn_data_dirs.tiers(), tiers);
    assert_eq!(it.rescan_interval_ms, 2_000);
    assert_eq!(it.mods_bytes_max, 65_536);
    assert_eq!(it.iotdb_version.unwrap().dialect(), Dialect::V2_0);
    assert_eq!(it.timestamp_precision, Some(Precision::Us));
    assert_eq!(it.watch, Watch::Off);
    assert_eq!(it.pipe_dir, None);

    for (text, expected) in
        [("-1", None), ("-1.0", None), ("0", None), ("1048576.0", Some(1 << 20))]
    {
        let text = format!("pipe_all_sinks_rate_limit_bytes_per_second={text}");
        assert_eq!(
            sender(&text).unwrap().all_sinks_rate_limit_bytes_per_second,
            expected,
            "{text}"
        );
    }

    let it =
        receiver("receiver_disk_full_policy=refuse\nreceiver_password=a b\\u0020\\ \n").unwrap();
    assert_eq!(it.disk_full_policy, DiskFullPolicy::Refuse);
    assert_eq!(it.password.reveal(), "a b", "trimmed as IoTDB does");
    assert_eq!(it.target, Target::Store);
    assert_eq!(it.directory(), PathBuf::from("/var/lib/tidegate/receiver/store"));
    assert_eq!(it.log_level, LogLevel::Info);
}

#[test]
fn replicas_are_all_none_named_or_nobody_has_said() {
    let read = |text: &str| sender(&format!("sender_replica_policy={text}"));
    let policy = |text: &str| read(text).unwrap().replica_policy;
    assert_eq!(sender("").unwrap().replica_policy, ReplicaPolicy::Unset);
    assert_eq!(policy(""), ReplicaPolicy::Unset);
    assert_eq!(policy("all"), ReplicaPolicy::All);
    assert_eq!(policy("none"), ReplicaPolicy::None);
    assert_eq!(policy("3, 17,3"), ReplicaPolicy::Regions([3, 17].into()));
    let many: Vec<String> = (0..4096).map(|it| it.to_string()).collect();
    assert_eq!(policy(&many.join(",")), ReplicaPolicy::Regions((0..4096).collect()));
    assert!(read(&format!("{},1", many.join(","))).is_err());
    for wrong in ["3,", "all,3", "-1", "4294967296", "3;4", "None"] {
        let fault = read(wrong).unwrap_err();
        let expected = "s:1: sender_replica_policy: expected all, none, ids of regions with , \
                        between them, or nothing, but found ";
        assert!(fault.starts_with(expected), "{wrong}: {fault}");
    }
    assert_eq!(sender("").unwrap().drop_policy, DropPolicy::Keep);
    assert_eq!(sender("sender_drop_policy=delete").unwrap().drop_policy, DropPolicy::Delete);
    assert!(sender("sender_drop_policy=drop").is_err());
}

#[test]
fn faults_name_line_key_expectation_finding_and_nearest_key() {
    let cases = [
        (
            "\nsender_rescan_intervall_ms=5",
            "s:2: unknown key sender_rescan_intervall_ms, nearest is sender_rescan_interval_ms",
        ),
        (
            "pipe_conector_timeout_ms=5",
            "s:1: unknown key pipe_conector_timeout_ms, nearest is pipe_connector_timeout_ms",
        ),
        ("zzz=5", "s:1: unknown key zzz"),
        ("receiver_user=x", "s:1: receiver_user does not belong here but in receiver.properties"),
        (
            "sender_rescan_interval_ms=5",
            "s:1: sender_rescan_interval_ms: expected milliseconds from 100 to 3600000, plain or \
             with ms, s, min, h or d, but found \"5\"",
        ),
        (
            "pipe_async_connector_selector_number=-1",
            "s:1: pipe_async_connector_selector_number: expected a whole number from 0 to 1024, but \
             found \"-1\"",
        ),
        (
            "sender_mods_max_bytes=64MB",
            "s:1: sender_mods_max_bytes: expected bytes from 1KiB to 1GiB, plain or with KiB, MiB, \
             GiB or TiB, but found \"64MB\"",
        ),
        (
            "sender_mods_max_bytes=99999999999999999999",
            "s:1: sender_mods_max_bytes: expected bytes from 1KiB to 1GiB, plain or with KiB, MiB, \
             GiB or TiB, but found \"99999999999999999999\"",
        ),
        ("sender_watch=on", "s:1: sender_watch: expected auto or off, but found \"on\""),
        ("sender_watch=", "s:1: sender_watch: expected auto or off, but found \"\""),
        (
            "pipe_air_gap_receiver_enabled=yes",
            "s:1: pipe_air_gap_receiver_enabled: expected true or false, but found \"yes\"",
        ),
        (
            "sender_iotdb_version=1.1.0",
            "s:1: sender_iotdb_version: expected auto or a version of IoTDB from 1.2 to 2.x, but \
             found \"1.1.0\"",
        ),
        (
            "dn_data_dirs=/a,,/b",
            "s:1: dn_data_dirs: expected directories with , between those of a tier and ; between \
             tiers, but found \"/a,,/b\"",
        ),
        (
            "sender_state_dir=/a\\u0000b",
            "s:1: sender_state_dir: expected a path, but found \"/a\\u{0}b\"",
        ),
        (
            "pipe_sink_timeout_ms=1000\n\npipe_connector_timeout_ms=1000",
            "s:3: pipe_connector_timeout_ms is another name of pipe_sink_timeout_ms, given on line 1",
        ),
        (
            "dn_data_dirs=/var/lib/tidegate/sender/x",
            "s:1: dn_data_dirs lies inside sender_state_dir; the source is never written to, so the \
             state must be elsewhere",
        ),
        (
            "dn_data_dirs=/data/a,/data/b\nsender_state_dir=/data/b/tidegate",
            "s:2: sender_state_dir lies inside dn_data_dirs, and the source is never written to",
        ),
        (
            "sender_watch=on\nfoo=1",
            "s:1: sender_watch: expected auto or off, but found \"on\"\ns:2: unknown key foo",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(sender(text).unwrap_err(), expected, "{text:?}");
    }
    let long_socket = format!("sender_control_socket=/{}", "x".repeat(107));
    assert!(sender(&long_socket).unwrap_err().contains("a socket of at most 107 bytes"));
    sender(&long_socket[..long_socket.len() - 1]).unwrap();
}

#[test]
fn the_receiver_refuses_what_cannot_be_meant() {
    let list = "expected addresses or networks without host bits, comma separated, such as \
                10.0.0.2,10.1.0.0/16, but found";
    let cases = [
        (
            "\nreceiver_target=iotdb",
            "r:2: receiver_target=iotdb comes with a later release, this one has store and directory".to_owned(),
        ),
        (
            "receiver_target=kafka",
            "r:1: receiver_target: expected store, directory or iotdb, but found \"kafka\"".to_owned(),
        ),
        (
            "receiver_idle_close_ms=800000",
            "r:1: receiver_idle_close_ms is 800000, but must be above receiver_withhold_file_ms and \
             receiver_withhold_tablet_ms (800000)"
                .to_owned(),
        ),
        (
            "receiver_allow_list=10.0.0.5/24",
            format!("r:1: receiver_allow_list: {list} \"10.0.0.5/24\""),
        ),
        (
            "receiver_allow_list=10.0.0.0/33",
            format!("r:1: receiver_allow_list: {list} \"10.0.0.0/33\""),
        ),
        (
            "receiver_allow_list=gate.example",
            format!("r:1: receiver_allow_list: {list} \"gate.example\""),
        ),
        (
            "receiver_password=",
            "r:1: receiver_password: expected a password of 1 to 255 bytes, but found something else"
                .to_owned(),
        ),
        ("sender_watch=off", "r:1: sender_watch does not belong here but in sender.properties".to_owned()),
    ];
    for (text, expected) in cases {
        assert_eq!(receiver(text).unwrap_err(), expected, "{text:?}");
    }
    let hidden = "receiver_password=".to_owned() + &"hunter2".repeat(60);
    assert!(!receiver(&hidden).unwrap_err().contains("hunter2"));
    let config = receiver("receiver_password=hunter2").unwrap();
    assert!(!format!("{config:?}").contains("hunter2"), "secrets stay out of the log");
}

/// More could be set than any frame carries.
#[test]
fn pieces_and_requests_are_allowed_up_to_what_a_frame_carries() {
    for key in ["receiver_piece_max_bytes", "receiver_payload_max_bytes"] {
        for (value, is_good) in [("64KiB", true), ("64MiB", true), ("67108865", false)] {
            let outcome = receiver(&format!("{key}={value}\n"));
            assert_eq!(outcome.is_ok(), is_good, "{key}={value}: {outcome:?}");
        }
    }
}

#[test]
fn who_may_connect_follows_the_list() {
    let list = AllowList::parse("10.0.0.2, 10.1.0.0/16, fd00::/8, 0.0.0.0/32").unwrap();
    let admitted = ["10.0.0.2", "10.1.255.255", "::ffff:10.0.0.2", "fdff::1", "0.0.0.0"];
    let refused = ["10.0.0.3", "10.2.0.0", "::a00:2", "fe00::1", "::1", "::ffff:10.0.0.1"];
    for it in admitted {
        assert!(list.admits(it.parse().unwrap()), "{it}");
    }
    for it in refused {
        assert!(!list.admits(it.parse().unwrap()), "{it}");
    }
    let everyone = AllowList::parse("").unwrap();
    assert!(everyone.admits_everyone() && everyone.admits("1.2.3.4".parse().unwrap()));
    let all_v4 = AllowList::parse("0.0.0.0/0").unwrap();
    assert!(all_v4.admits("1.2.3.4".parse().unwrap()) && !all_v4.admits("::1".parse().unwrap()));
}

#[test]
fn what_has_no_effect_is_said_once_and_is_no_error() {
    assert_eq!(
        notices(
            "pipe_heartbeat_seperated_mode_enabled=true\npipe_lib_dir=ext/pipe\n\ndn_rpc_port=6667"
        ),
        [
            "s:1: pipe_heartbeat_seperated_mode_enabled is known, no effect here",
            "s:4: dn_rpc_port is known, no effect here",
        ],
    );
    assert_eq!(
        notices("pipe_lib_dir=/opt/plugins"),
        ["s:1: pipe_lib_dir is read, but nothing in this release needs it"],
    );
    for key in IOTDB_PIPE_KEYS {
        let text = format!("{key}=1");
        let unknown = |read: Result<(), String>| read.is_err_and(|it| it.contains("unknown key"));
        assert!(!unknown(sender(&text).map(drop)), "{key}");
        assert!(!unknown(receiver(&text).map(drop)), "{key}");
    }
    assert!(IOTDB_PIPE_KEYS.is_sorted(), "binary search needs it");
    let warned = ReceiverConfig::load("r", b"").unwrap().notices;
    let warned: Vec<String> = warned.iter().map(|it| it.to_string()).collect();
    assert_eq!(
        warned,
        [
            "r: receiver_allow_list is empty: every address may connect",
            "r: receiver_user and receiver_password are the default: anyone can log in",
        ],
    );
}

#[test]
fn reload_takes_over_live_keys_and_names_the_others() {
    let mut running = sender("").unwrap();
    let new =
        sender("sender_log_level=debug\nsender_watch=off\nsender_rescan_interval_ms=1s").unwrap();
    let outcome = running.reload(&new);
    assert_eq!(outcome.applied, ["sender_rescan_interval_ms", "sender_log_level"]);
    assert_eq!(outcome.needs_restart, ["sender_watch"]);
    assert_eq!(running.log_level, LogLevel::Debug);
    assert_eq!(running.watch, Watch::Auto);
    assert_eq!(running.diff(&new).applied, Vec::<&str>::new());
    assert_eq!(running.diff(&new).needs_restart, ["sender_watch"]);
    assert!(SENDER_TABLE.live_keys().any(|key| key == "sender_log_level"));
    for table in TABLES {
        for spec in table.keys {
            let promises_nothing = spec.effect == Effect::Unused && spec.reload == Reload::Live;
            assert!(!promises_nothing, "{} is unused and live", spec.name);
        }
    }
}

#[test]
fn directories_come_from_the_configuration_of_iotdb() {
    let dir = Path::new("/opt/iotdb/conf");
    let old: [(&str, &[u8]); 3] = [
        ("iotdb-common.properties", b"dn_data_dirs=/lost\ntimestamp_precision=us"),
        ("iotdb-datanode.properties", b"# c\ndn_data_dirs=data/a,/b;c\ndn_data_dirs=data/a;c\n"),
        ("iotdb-confignode.properties", b"cn_system_dir=/cn"),
    ];
    let conf = IotdbConf::read(dir, &old).unwrap();
    let dirs: Vec<&Path> = conf.dn_data_dirs.dirs().map(PathBuf::as_path).collect();
    assert_eq!(dirs, [Path::new("/opt/iotdb/data/a"), Path::new("/opt/iotdb/c")]);
    assert_eq!(conf.dn_system_dir, Path::new("/opt/iotdb/data/datanode/system"));
    assert_eq!(conf.dn_consensus_dir, Path::new("/opt/iotdb/data/datanode/consensus"));
    assert_eq!(conf.confignode_system_dir, Path::new("/cn"));

    let mut new = old.to_vec();
    new.push(("iotdb-system.properties", b"dn_system_dir=/sys"));
    let conf = IotdbConf::read(dir, &new).unwrap();
    let dirs: Vec<&Path> = conf.dn_data_dirs.dirs().map(PathBuf::as_path).collect();
    assert_eq!(dirs, [Path::new("/opt/iotdb/data/datanode/data")], "the new file stands alone");
    assert_eq!(conf.dn_system_dir, Path::new("/sys"));

    let none = IotdbConf::read(dir, &[("jvm.options", b"")]).unwrap_err().to_string();
    assert_eq!(
        none,
        "/opt/iotdb/conf: expected one of iotdb-common.properties, iotdb-confignode.properties, \
         iotdb-datanode.properties, iotdb-system.properties, but found none",
    );
    let bad: [(&str, &[u8]); 1] = [("iotdb-system.properties", b"\ndn_data_dirs=/a,,/b")];
    let bad = IotdbConf::read(dir, &bad).unwrap_err().to_string();
    assert!(bad.starts_with("/opt/iotdb/conf/iotdb-system.properties:2: dn_data_dirs: "), "{bad}");

    let own = sender("dn_data_dirs=/own").unwrap().source_location(Some(&conf)).unwrap();
    assert_eq!(own.data_dirs.dirs().collect::<Vec<_>>(), [Path::new("/own")]);
    assert_eq!(own.dn_system_dir.unwrap(), Path::new("/sys"));
    let consensus = Path::new("/opt/iotdb/data/datanode/consensus");
    assert_eq!(own.dn_consensus_dir.unwrap(), consensus);
    let alone = sender("dn_data_dirs=/own\ndn_system_dir=/own/system").unwrap();
    let beside = alone.source_location(None).unwrap().dn_consensus_dir;
    assert_eq!(beside.unwrap(), Path::new("/own/consensus"));
    assert_eq!(
        sender("dn_data_dirs=/own").unwrap().source_location(None).unwrap().dn_consensus_dir,
        None
    );
    let nowhere = sender("").unwrap().source_location(None).unwrap_err().to_string();
    assert_eq!(
        nowhere,
        "sender.properties: either dn_data_dirs or sender_iotdb_conf_dir must be given",
    );
}

#[test]
fn who_the_source_is_comes_from_its_system_properties() {
    let data_node = b"#Sat Nov 22 20:58:00 CST 2025\niotdb_version=2.0.1-beta\n\
        commit_id=abc\ncluster_id=5c1c\\:1\ndata_node_id=1\n";
    let it = SystemProperties::parse("system.properties", data_node).unwrap();
    assert_eq!(it.iotdb_version.unwrap().as_str(), "2.0.1-beta");
    assert_eq!(it.cluster_id.unwrap(), "5c1c:1");
    assert_eq!(it.data_node_id, Some(1));
    assert_eq!(it.timestamp_precision, None);
    let fresh = SystemProperties::parse("p", b"data_node_id=-1\ntimestamp_precision=ns").unwrap();
    assert_eq!(fresh.data_node_id, None);
    assert_eq!(fresh.timestamp_precision, Some(Precision::Ns));
    let bad = SystemProperties::parse("p", b"timestamp_precision=h").unwrap_err().to_string();
    assert_eq!(bad, "p:1: timestamp_precision: expected ms, us or ns, but found \"h\"");
}

#[test]
fn mutated_files_never_panic() {
    let seed = 7;
    let mut random = fastrand::Rng::with_seed(seed);
    let whole = SENDER_TABLE.render_conf().replace("\n#", "\n") + &RECEIVER_TABLE.render_conf();
    for round in 0..1_500 {
        let start = random.usize(..whole.len());
        let len = random.usize(..4_000).min(whole.len() - start);
        let mut bytes = whole.as_bytes()[start..start + len].to_vec();
        for _ in 0..random.usize(1..20) {
            let at = random.usize(..=bytes.len());
            match random.u8(..3) {
                0 => bytes.insert(at, random.u8(..)),
                1 => bytes.truncate(at),
                _ => bytes.splice(at..at, *b"\\u=\n#\xc3").for_each(drop),
            }
        }
        let outcome = std::panic::catch_unwind(|| {
            let _ = SenderConfig::load("s", &bytes).map_err(|it| it.to_string());
            let _ = ReceiverConfig::load("r", &bytes).map_err(|it| it.to_string());
        });
        assert!(outcome.is_ok(), "seed {seed}, round {round}");
    }
}
