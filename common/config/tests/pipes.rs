//! Pipe definitions: what is accepted, what is refused and in which words.

use std::net::IpAddr;

use proptest::prelude::*;
use tidegate_config::FRAME_OVERHEAD_BYTES_MAX;
use tidegate_config::GATEWAY_PROFILES;
use tidegate_config::NodeUrl;
use tidegate_config::PipeDefinition;
use tidegate_config::PipeName;
use tidegate_config::RealtimeMode;
use tidegate_config::SendPort;
use tidegate_model::Dialect;

const MINIMAL: &str = "name = \"p\"\n[connector]\nconnector = \"iotdb-air-gap-connector\"\n\
                       node-urls = \"10.0.0.2:9780\"\n";

fn read(text: &str) -> Result<PipeDefinition, String> {
    PipeDefinition::parse("p.toml", "p.toml", text.as_bytes()).map_err(|it| it.to_string())
}

/// The minimal pipe with more lines in its connector, which begin on line 5.
fn connector(lines: &str) -> Result<PipeDefinition, String> {
    read(&format!("{MINIMAL}{lines}"))
}

/// The minimal pipe with an extractor, whose lines begin on line 6.
fn extractor(lines: &str) -> Result<PipeDefinition, String> {
    read(&format!("{MINIMAL}[extractor]\n{lines}"))
}

#[test]
fn the_smallest_pipe_has_the_defaults_of_the_manual() {
    let pipe = read(MINIMAL).unwrap();
    let it = &pipe.connector;
    assert_eq!(pipe.name.as_str(), "p");
    assert_eq!(it.node_urls, [NodeUrl::parse("10.0.0.2:9780").unwrap()]);
    assert_eq!(it.handshake_timeout_ms, 5_000);
    assert_eq!((it.user.as_str(), it.password.reveal()), ("root", "root"));
    assert_eq!(it.gateway.name, "syskeeper-2000-forward");
    assert_eq!(it.piece_bytes_max(), (1 << 20) - FRAME_OVERHEAD_BYTES_MAX);
    assert!(!it.wraps_in_e_language());
    assert_eq!(it.send_port, SendPort::Random);
    assert_eq!((it.dialect, it.bind_address, it.rate_limit_bytes_per_second), (None, None, None));
    assert_eq!(pipe.extractor.realtime_mode, RealtimeMode::File);
    assert_eq!(pipe.notes, Vec::<String>::new());
}

#[test]
fn every_key_is_read_under_each_of_its_names() {
    let text = r#"
        name = "p"
        [source]
        source = "iotdb-source"
        history.enable = true
        "SOURCE.realtime.enable" = "True"
        "extractor.realtime.mode" = "Hybrid"
        [processor]
        processor = "do-nothing-processor"
        [sink]
        sink = "IoTDB-air-gap-sink"
        "Sink.ip" = "gate.plant.example"
        "connector.port" = 9780
        node-urls = "10.0.0.2:9780, [fd00::2]:9781,10.0.0.2:9780"
        air-gap.handshake-timeout-ms = 7000
        air-gap.e-language.enable = "true"
        username = "writer"
        password = " s3 cret "
        tidegate = { gateway = "plain-tcp", dialect = "1.3", piece-size-bytes = "2MiB" }
        tidegate.bind-address = "10.0.0.1"
        send-port.restriction-strategy = "range"
        send-port.range.min = 40_000
        send-port.range.max = 0x9C4F
        rate-limit-bytes-per-second = "1MiB"
    "#;
    // TOML does not extend inline tables; the flat spelling says the same.
    let text = text.replace("tidegate.bind-address", "\"tidegate.bind-address\"");
    let pipe = read(&text).unwrap();
    let it = pipe.connector;
    let urls: Vec<String> = it.node_urls.iter().map(NodeUrl::to_string).collect();
    assert_eq!(urls, ["10.0.0.2:9780", "[fd00::2]:9781", "gate.plant.example:9780"]);
    assert_eq!(it.handshake_timeout_ms, 7_000);
    assert_eq!(it.e_language, Some(true));
    assert_eq!((it.user.as_str(), it.password.reveal()), ("writer", " s3 cret "));
    assert_eq!((it.gateway.name, it.dialect), ("plain-tcp", Some(Dialect::V1_3)));
    assert_eq!(it.piece_bytes_max(), 2 << 20);
    assert_eq!(it.bind_address, Some("10.0.0.1".parse::<IpAddr>().unwrap()));
    assert_eq!(it.send_port, SendPort::Range { min: 40_000, max: 40_015 });
    assert_eq!(it.rate_limit_bytes_per_second, Some(1 << 20));
    assert_eq!(pipe.extractor.realtime_mode, RealtimeMode::Hybrid);
    assert_eq!(pipe.notes, ["source.realtime.mode = hybrid runs as file in this release"]);
}

#[test]
fn the_gateway_decides_what_the_pipe_leaves_open() {
    for profile in GATEWAY_PROFILES {
        let it = connector(&format!("tidegate.gateway = \"{}\"", profile.name)).unwrap().connector;
        assert_eq!(it.gateway, *profile);
        assert_eq!(it.wraps_in_e_language(), profile.name.ends_with("-reverse"));
        let limit = if profile.name == "plain-tcp" { 4 << 20 } else { 1 << 20 };
        assert_eq!(profile.frame_bytes_max, limit, "{}", profile.name);
        assert_eq!((profile.backoff_min_ms, profile.backoff_max_ms), (1_000, 30_000));
    }
    let names: Vec<&str> = GATEWAY_PROFILES.iter().map(|it| it.name).collect();
    let expected = [
        "syskeeper-2000-forward",
        "syskeeper-2000-reverse",
        "xj-forward",
        "stonewall-2000-forward",
        "plain-tcp",
    ];
    assert_eq!(names, expected);
    let own = "tidegate.gateway = \"syskeeper-2000-reverse\"\nair-gap.e-language.enable = false";
    assert!(!connector(own).unwrap().connector.wraps_in_e_language(), "the pipe's word counts");
}

#[test]
fn ports_may_be_any_a_range_or_a_list() {
    let candidate =
        "send-port.restriction-strategy = \"candidate\"\nsend-port.candidate = \"5002, 5001,5002\"";
    let it = connector(candidate).unwrap().connector;
    assert_eq!(it.send_port, SendPort::Candidate(vec![5001, 5002]));
    let it = connector("send-port.restriction-strategy = \"random\"").unwrap().connector;
    assert_eq!(it.send_port, SendPort::Random);
}

#[test]
fn faults_of_the_connector_are_named() {
    let urls = "expected host:port, comma separated, at most 64, such as \
                10.0.0.2:9780,10.0.0.3:9780, but found";
    let cases = [
        (
            "tidegate.gatway = \"x\"",
            "p.toml:5: unknown key connector.tidegate.gatway, nearest is connector.tidegate.gateway"
                .to_owned(),
        ),
        (
            "tidegate.gateway = \"syskeeper\"",
            "p.toml:5: connector.tidegate.gateway: expected one of syskeeper-2000-forward, \
             syskeeper-2000-reverse, xj-forward, stonewall-2000-forward, plain-tcp, but found \
             \"syskeeper\""
                .to_owned(),
        ),
        (
            "tidegate.dialect = 1.3",
            "p.toml:5: connector.tidegate.dialect: expected a text, a whole number, true or false, \
             but found a TOML float"
                .to_owned(),
        ),
        (
            "tidegate.dialect = \"3\"",
            "p.toml:5: connector.tidegate.dialect: expected auto, 1.2, 1.3 or 2.0, but found \"3\""
                .to_owned(),
        ),
        (
            "tidegate.piece-size-bytes = 1048576",
            "p.toml:5: connector.tidegate.piece-size-bytes: expected auto or bytes from 1024 to \
             1047552 (gateway syskeeper-2000-forward), but found \"1048576\""
                .to_owned(),
        ),
        (
            "air-gap.handshake-timeout-ms = 0",
            "p.toml:5: connector.air-gap.handshake-timeout-ms: expected milliseconds from 1 to \
             3600000, plain or with ms, s, min, h or d, but found \"0\""
                .to_owned(),
        ),
        (
            "air-gap.e-language.enable = \"yes\"",
            "p.toml:5: connector.air-gap.e-language.enable: expected true or false, but found \
             \"yes\""
                .to_owned(),
        ),
        (
            "ip = \"10.0.0.3\"",
            "p.toml:5: either connector.node-urls or connector.ip with connector.port must be given"
                .to_owned(),
        ),
        (
            "ip = \"10.0.0.256\"\nport = 9780",
            "p.toml:5: connector.ip: expected an IP address or a host name, but found \"10.0.0.256\""
                .to_owned(),
        ),
        (
            "ip = \"10.0.0.3\"\nport = 0",
            "p.toml:6: connector.port: expected a port from 1 to 65535, but found \"0\"".to_owned(),
        ),
        (
            "ip = \"10.0.0.3\"\nport = 9780\nhost = \"h\"",
            "p.toml:7: connector.host is another name of connector.ip, given on line 5".to_owned(),
        ),
        (
            "\"connector.node-urls\" = \"10.0.0.3:9780\"",
            "p.toml:5: connector.node-urls is given twice, first on line 4".to_owned(),
        ),
        (
            "send-port.restriction-strategy = \"range\"",
            "p.toml:5: connector.send-port.restriction-strategy = range needs \
             connector.send-port.range.min and connector.send-port.range.max"
                .to_owned(),
        ),
        (
            "send-port.candidate = \"1\"",
            "p.toml:5: connector.send-port.candidate has no meaning with \
             connector.send-port.restriction-strategy = random"
                .to_owned(),
        ),
        (
            "send-port.restriction-strategy = \"range\"\nsend-port.range.min = 2\n\
             send-port.range.max = 1",
            "p.toml:7: connector.send-port.range.max: expected a port not below \
             connector.send-port.range.min, but found \"1\""
                .to_owned(),
        ),
        (
            "password = \"\"",
            "p.toml:5: connector.password: expected a password of 1 to 255 bytes, but found \
             something else"
                .to_owned(),
        ),
    ];
    for (lines, expected) in cases {
        assert_eq!(connector(lines).unwrap_err(), expected, "{lines}");
    }
    for bad in [
        "",
        "10.0.0.2",
        ":9780",
        "fd00::2:9780",
        "[10.0.0.2]:9780",
        "h:0",
        "h:+1",
        "a b:1",
        "-h:1",
        "h:65536",
        "h:1,",
    ] {
        let text = MINIMAL.replace("10.0.0.2:9780", bad);
        let expected = format!("p.toml:4: connector.node-urls: {urls} \"{bad}\"");
        assert_eq!(read(&text).unwrap_err(), expected);
    }
}

#[test]
fn what_this_release_does_not_have_is_refused_by_name() {
    let not_yet = |what: &str, line: u32| {
        format!(
            "p.toml:{line}: {what} is known, but this release does not have it yet; it is not \
             ignored: remove it or wait",
        )
    };
    let cases = [
        ("path.exclusion = \"root.a.**\"", "extractor.path.exclusion = \"root.a.**\""),
        ("history.loose-range = \"time\"", "extractor.history.loose-range = \"time\""),
        ("forwarding-pipe-requests = false", "extractor.forwarding-pipe-requests = \"false\""),
        ("mode = \"snapshot\"", "extractor.mode = \"snapshot\""),
        ("password = \"hunter2\"", "extractor.password"),
    ];
    for (lines, what) in cases {
        assert_eq!(extractor(lines).unwrap_err(), not_yet(what, 6), "{lines}");
    }
    let cases = [
        ("compressor = \"zstd\"", "connector.compressor = \"zstd\""),
        ("load-balance-strategy = \"random\"", "connector.load-balance-strategy = \"random\""),
        ("batch.enable = true", "connector.batch.enable = \"true\""),
        ("ssl.trust-store-pwd = \"hunter2\"", "connector.ssl.trust-store-pwd"),
    ];
    for (lines, what) in cases {
        assert_eq!(connector(lines).unwrap_err(), not_yet(what, 5), "{lines}");
    }
    for plugin in ["iotdb-thrift-connector", "iotdb-thrift-async-sink", "websocket-connector"] {
        let text = MINIMAL.replace("iotdb-air-gap-connector", plugin);
        assert_eq!(read(&text).unwrap_err(), not_yet(&format!("connector = \"{plugin}\""), 3));
    }
    let processor = format!("{MINIMAL}[processor]\nprocessor = \"down-sampling-processor\"\n");
    let what = "processor = \"down-sampling-processor\"";
    assert_eq!(read(&processor).unwrap_err(), not_yet(what, 6));

    let harmless = "pattern = \"root\"\nhistory.enable = true\nforwarding-pipe-requests = true\n\
                    inclusion = \"data\"\nrealtime.mode = \"forced-log\"";
    let pipe = extractor(harmless).unwrap();
    assert_eq!(pipe.extractor.realtime_mode, RealtimeMode::ForcedLog);
    assert_eq!(pipe.notes, ["extractor.realtime.mode = forced-log runs as file in this release"]);
}

/// `data.insert` was accepted, and deletions left.
#[test]
fn deletions_are_sent_unless_inclusion_leaves_them_out_and_points_must_be() {
    for (lines, expected) in [
        ("", Some(true)),
        ("inclusion = \"data\"", Some(true)),
        ("inclusion = \"data.delete, DATA.insert,\"", Some(true)),
        ("inclusion = \"data.insert\"", Some(false)),
        ("\"inclusion.exclusion\" = \"\"", Some(true)),
        ("\"inclusion.exclusion\" = \"data.delete\"", Some(false)),
        ("\"inclusion.exclusion\" = \"schema, auth.user, delete\"", Some(false)),
        ("inclusion = \"data\"\n\"inclusion.exclusion\" = \"schema\"", Some(true)),
        ("inclusion = \"\"", None),
        ("inclusion = \"all\"", None),
        ("inclusion = \"data.delete\"", None),
        ("inclusion = \"data.insert, schema\"", None),
        ("\"inclusion.exclusion\" = \"data\"", None),
        ("\"inclusion.exclusion\" = \"data.insert\"", None),
    ] {
        let found = extractor(lines);
        match expected {
            Some(takes) => {
                let pipe = found.unwrap_or_else(|error| panic!("{lines}: {error}"));
                assert_eq!(pipe.extractor.takes_deletions, takes, "{lines}");
                let is_told = pipe.notes.iter().any(|note| note.contains("no deletion is sent"));
                assert_eq!(is_told, !takes, "{lines}: {:?}", pipe.notes);
            }
            None => {
                let error = found.unwrap_err();
                assert!(error.contains("p.toml:6: extractor.inclusion"), "{lines}: {error}");
                assert!(error.contains("data."), "{lines}: {error}");
            }
        }
    }
}

/// One line for each limit of a filter.
fn filters(lines: &str) -> String {
    let it = extractor(lines).unwrap_or_else(|error| panic!("{lines}: {error}")).extractor;
    let pattern = it.pattern.map(|it| (it.text, it.goes_by_nodes));
    let times = |limits: &tidegate_config::TimeLimits| {
        let (start, end) = (limits.start.as_deref(), limits.end.as_deref());
        format!("{}..{}", start.unwrap_or(""), end.unwrap_or(""))
    };
    let taken = |takes: bool, limits| if takes { times(limits) } else { "nothing".to_owned() };
    format!(
        "{pattern:?} history {} real time {}",
        taken(it.takes_history, &it.history_times),
        taken(it.takes_realtime, &it.realtime_times),
    )
}

#[test]
fn filters_are_read_in_every_form_that_iotdb_has() {
    for (lines, expected) in [
        ("", "None history .. real time .."),
        ("pattern = \"root\"", "None history .. real time .."),
        ("path = \"root.**\"", "None history .. real time .."),
        ("pattern = \"root.a\"", "Some((\"root.a\", false)) history .. real time .."),
        ("\"source.path\" = \"root.*.b\"", "Some((\"root.*.b\", true)) history .. real time .."),
        (
            "pattern = \"root.a.**\"\n\"pattern.format\" = \"IoTDB\"",
            "Some((\"root.a.**\", true)) history .. real time ..",
        ),
        (
            "pattern = \"root.a\"\npath = \"root.b.**\"",
            "Some((\"root.b.**\", true)) history .. real time ..",
        ),
        ("history.enable = false", "None history nothing real time .."),
        ("realtime.enable = \"False\"", "None history .. real time nothing"),
        (
            "history.start-time = \"2011.12.03T10:15:30+01:00\"\nhistory.end-time = \"now\"",
            "None history 2011.12.03T10:15:30+01:00..now real time ..",
        ),
        ("history.end-time = 5", "None history ..5 real time .."),
        ("start-time = 3\nhistory.enable = false", "None history 3.. real time 3.."),
        ("start-time = 3\nend-time = 3", "None history 3..3 real time 3..3"),
    ] {
        assert_eq!(filters(lines), expected, "{lines}");
    }
}

#[test]
fn filters_that_could_be_meant_otherwise_are_noted() {
    for (lines, expected) in [
        (
            "pattern = \"root.a.**\"",
            "extractor.pattern is a plain prefix, in which an asterisk stands for itself: for \
             wildcards use extractor.path",
        ),
        ("pattern = \"root.a\"\npath = \"root.b\"", "extractor.path wins over extractor.pattern"),
        (
            "history.start-time = \"2011-12-03\"",
            "extractor.history.start-time has no offset and is read as UTC, while an IoTDB takes the \
             time zone of its server: write the offset, such as 2011-12-03T00:00:00+08:00",
        ),
        (
            "history.end-time = \"2011/12/03 10:15:30\"",
            "extractor.history.end-time has no offset and is read as UTC, while an IoTDB takes the \
             time zone of its server: write the offset, such as 2011/12/03 10:15:30+08:00",
        ),
        (
            "start-time = 1\nhistory.start-time = 2",
            "extractor.start-time and extractor.end-time cover history and real time, so what else \
             is said of either does not count",
        ),
    ] {
        assert_eq!(extractor(lines).unwrap().notes, [expected], "{lines}");
    }
}

#[test]
fn filters_by_which_nothing_could_leave_or_that_are_none_are_refused() {
    for (lines, expected) in [
        (
            "history.enable = false\nrealtime.enable = false",
            "p.toml:7: extractor.history.enable and extractor.realtime.enable are both false: \
             nothing could be sent",
        ),
        (
            "history.start-time = 6\nhistory.end-time = 5",
            "p.toml:6: extractor.history.start-time: the first time, 6, is after the last one, 5: \
             nothing could be sent",
        ),
        (
            "pattern = \"plant\"",
            "p.toml:6: extractor.pattern: expected a pattern of paths (a pattern begins with the \
             node root), but found \"plant\"",
        ),
        (
            "pattern = \"root.a\"\n\"pattern.format\" = \"regex\"",
            "p.toml:7: extractor.pattern.format: expected prefix or iotdb, but found \"regex\"",
        ),
    ] {
        assert_eq!(extractor(lines).unwrap_err(), expected, "{lines}");
    }
    let error = extractor("history.start-time = \"yesterday\"").unwrap_err();
    assert!(
        error.starts_with("p.toml:6: extractor.history.start-time: expected a time"),
        "{error}"
    );
}

#[test]
fn faults_of_the_whole_are_named() {
    let cases = [
        ("", "p.toml: a section [connector] must be given"),
        (
            "[connector]\nnode-urls = \"h:1\"",
            "p.toml:1: connector must be given, this release has iotdb-air-gap-connector",
        ),
        (
            "[sink]\nsink = \"iotdb-air-gap-sink\"",
            "p.toml:1: either sink.node-urls or sink.ip with sink.port must be given",
        ),
        (
            "[sink]\nsink = \"iotdb-air-gap-sinc\"",
            "p.toml:2: sink: expected iotdb-air-gap-connector or iotdb-air-gap-sink, but found \
             \"iotdb-air-gap-sinc\", nearest is iotdb-air-gap-sink",
        ),
        (
            "nam = 1\n[conector]\na = 1",
            "p.toml:1: unknown key nam, nearest is name\n\
             p.toml:2: unknown key conector, nearest is connector\n\
             p.toml: a section [connector] must be given",
        ),
        (
            "connector = \"iotdb-air-gap-connector\"",
            "p.toml:1: connector: expected a table, but found a TOML string\n\
             p.toml: a section [connector] must be given",
        ),
        (
            "[connector]\na = \n",
            "p.toml:2: column 5: string values must be quoted, expected literal string\n  a =\n      ^",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(read(text).unwrap_err(), expected, "{text:?}");
    }
    let both = format!("{MINIMAL}[sink]\nsink = \"iotdb-air-gap-sink\"\n");
    let error = read(&both).unwrap_err();
    assert_eq!(error, "p.toml:5: sink is another name of connector, given on line 2");
    let other = MINIMAL.replace("\"p\"", "\"../q\"");
    let error = read(&other).unwrap_err();
    let expected = "p.toml:1: name is \"../q\", but a pipe of that name belongs in a file \
                    %2E.%2Fq.toml";
    assert_eq!(error, expected);
    let secret = read("[connector]\npassword = hunter2").unwrap_err();
    assert!(secret.starts_with("p.toml:2: ") && !secret.contains("hunter2"), "{secret}");
    let large = "#".repeat(1 << 20) + "\n";
    assert_eq!(
        read(&large).unwrap_err(),
        "p.toml: expected at most 1048576 bytes, but found 1048577",
    );
    let debug = format!("{:?}", connector("password = \"hunter2\"").unwrap());
    assert!(!debug.contains("hunter2"), "secrets stay out of the log");
}

#[test]
fn a_pipe_without_a_name_is_called_after_its_file() {
    let text = MINIMAL.replace("name = \"p\"\n", "");
    let named = |file_name: &str| {
        let read = PipeDefinition::parse("f", file_name, text.as_bytes());
        read.map(|it| it.name.as_str().to_owned()).map_err(|it| it.to_string())
    };
    assert_eq!(named("plant 1.toml").unwrap_err(), named("plant1.tml").unwrap_err());
    assert_eq!(named("plant%201.toml").unwrap(), "plant 1");
    assert_eq!(named("一号.toml").unwrap(), "一号");
    for bad in [
        "p%2e.toml",
        "%70.toml",
        "p%.toml",
        "p%F.toml",
        "%FF.toml",
        ".toml",
        ".p.toml",
        "p",
        "__p.toml",
        "p%+1.toml",
    ] {
        named(bad).unwrap_err();
    }
}

#[test]
fn keys_without_end_are_refused() {
    let keys: String = (0..100_000).map(|n| format!("k{n}=1\n")).collect();
    let error = connector(&keys).unwrap_err();
    assert!(error.ends_with("there may be more faults, the first 20 are shown"), "{error}");
    assert!(error.contains("connector: expected at most 256 keys"), "{error}");
    let tables: String = (0..100_000).map(|n| format!("[t{n}]\n")).collect();
    assert!(read(&tables).unwrap_err().lines().count() <= 21);
}

#[test]
fn nesting_without_end_is_refused() {
    let dots = format!("[connector]\n{}a = 1", "a.".repeat(200_000));
    let brackets = format!("[connector]\na = {}", "[".repeat(500_000));
    let braces = format!("[connector]\na = {}", "{a=".repeat(300_000));
    let mut chained = "[connector]\n".to_owned();
    chained.push_str(&"a.".repeat(70));
    chained.push_str("a = ");
    chained.push_str(&format!("{{ {}a = ", "a.".repeat(70)).repeat(60));
    chained.push('1');
    chained.push_str(&" }".repeat(60));
    for text in [dots, brackets, braces, chained] {
        read(&text).unwrap_err();
    }
    // As many tables as the parser allows are too many for a key.
    let error = connector(&format!("{}a = 1", "a.".repeat(30))).unwrap_err();
    assert!(error.contains("but found a TOML table"), "{error}");
}

#[test]
fn mutated_definitions_never_panic() {
    let seed = 11;
    let mut random = fastrand::Rng::with_seed(seed);
    let whole = format!(
        "{MINIMAL}tidegate.gateway = \"plain-tcp\"\nsend-port.restriction-strategy = \"range\"\n\
         send-port.range.min = 40000\nsend-port.range.max = 40010\n[source]\nrealtime.mode = \"log\"\n\
         history.enable = true # 注释\n\"source.pattern\" = \"root.a.`b`\"\n\
         history.start-time = \"2011.12.03T10:15:30+01:00\"\nhistory.end-time = 9999999999999\n",
    );
    for round in 0..20_000 {
        let mut bytes = whole.clone().into_bytes();
        for _ in 0..random.usize(1..8) {
            if bytes.is_empty() {
                break;
            }
            let at = random.usize(..bytes.len());
            match random.u8(..4) {
                0 => bytes[at] = random.u8(..),
                1 => bytes.insert(at, *random.choice(b"[]{}=.\"'\n\\#,").unwrap()),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let outcome = std::panic::catch_unwind(|| {
            PipeDefinition::parse("p.toml", "p.toml", &bytes).map_err(|it| it.to_string()).is_ok()
        });
        assert!(
            outcome.is_ok(),
            "seed {seed}, round {round}: {:?}",
            String::from_utf8_lossy(&bytes)
        );
    }
}

proptest! {
    #[test]
    fn names_become_file_names_and_come_back(name in any::<String>()) {
        let Ok(name) = PipeName::new(&name) else { return Ok(()) };
        let file_name = name.file_name();
        prop_assert!(!file_name.contains(['/', '\0', ' ', '\n']), "{}", file_name);
        prop_assert!(!file_name.starts_with('.') && file_name.len() <= 255, "{}", file_name);
        prop_assert_eq!(PipeName::from_file_name(&file_name), Ok(name));
    }

    #[test]
    fn no_pipe_has_two_file_names(stem in "[%0-9A-Fa-z./ ]{0,12}") {
        let file_name = format!("{stem}.toml");
        if let Ok(name) = PipeName::from_file_name(&file_name) {
            prop_assert_eq!(name.file_name(), file_name);
        }
    }

    #[test]
    fn peers_read_back_as_they_are_shown(text in "[a-c0-9.:\\[\\]-]{1,20}") {
        if let Some(url) = NodeUrl::parse(&text) {
            prop_assert_eq!(NodeUrl::parse(&url.to_string()), Some(url));
        }
    }
}
