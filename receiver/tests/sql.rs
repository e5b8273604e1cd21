//! The commands that ask the embedded store, beside a daemon that runs and after it.

mod common;
#[path = "../../common/store/tests/support/mod.rs"]
mod support;

use std::fs;
use std::io::Read;
use std::path::Path;

use common::Site;
use support::column;
use support::tablet_request;
use tidegate_model::DataType;
use tidegate_model::Precision;
use tidegate_model::Tablet;
use tidegate_model::Value;
use tidegate_store::DirVolume;
use tidegate_store::Options;
use tidegate_store::Store;
use tidegate_tsfile::SeriesKind;
use tidegate_tsfile::TsFile;

/// A site that was sent rows, which its daemon has in memory.
fn site() -> (Site, common::Daemon) {
    let site = Site::new(&[("receiver_target", "store")]);
    let daemon = site.start();
    for conversation in common::capture("2.0.1-beta/airgap-log-tablet") {
        let mut peer = daemon.connect();
        peer.send(&conversation.up);
        let mut replies = vec![0; conversation.down.len()];
        peer.socket.read_exact(&mut replies).unwrap();
    }
    let durable = |status: &serde_json::Value| {
        status["loader"]["read"] == status["keeper"]["durable_sequence"]
    };
    daemon.wait_status(durable);
    (site, daemon)
}

fn text(site: &Site, command: &str, more: &[&str]) -> String {
    let output = site.output(command, more);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command} {more:?}: {errors}");
    assert_eq!(errors, "", "{command} {more:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Lines behind the first one.
fn lines(text: &str) -> Vec<&str> {
    text.lines().skip(1).collect()
}

#[test]
fn rows_in_the_memory_of_a_daemon_are_asked_exported_and_drawn() {
    let (site, daemon) = site();
    let csv = |statement: &str| {
        text(&site, "sql", &["-e", statement, "--format", "csv", "--time", "epoch"])
    };
    let series = csv("SHOW TIMESERIES");
    let names: Vec<&str> = lines(&series).iter().filter_map(|it| it.split(',').next()).collect();
    assert!(!names.is_empty(), "{series}");
    let mut n_points = 0u64;
    for name in &names {
        let (device, measurement) = name.rsplit_once('.').unwrap();
        let counted = csv(&format!("SELECT count({measurement}) FROM {device}"));
        let rows = csv(&format!("SELECT {measurement} FROM {device}"));
        let count: u64 = lines(&counted)[0].parse().unwrap();
        assert_eq!(lines(&rows).len() as u64, count, "{name}");
        n_points += count;
    }
    assert!(n_points > 0);
    // csv, and the same points out of a TsFile of either version
    let out = |name: &str| site.path(name).display().to_string();
    let csv_path = out("out.csv");
    let told = text(&site, "export", &["--format", "csv", "--time", "epoch", "--out", &csv_path]);
    assert_eq!(told, format!("{n_points} points in {csv_path}\n"));
    assert_eq!(lines(&fs::read_to_string(&csv_path).unwrap()).len() as u64, n_points);
    for (format, version) in [("tsfile", 4), ("tsfile-v3", 3)] {
        let path = out(&format!("{format}.tsfile"));
        text(&site, "export", &["--format", format, "--out", &path]);
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes[6], version);
        let file = TsFile::open(bytes).unwrap();
        let mut found = 0;
        for device in file.devices() {
            let device = device.unwrap();
            for series in file.series(&device).unwrap() {
                let series = series.unwrap();
                if series.kind != SeriesKind::Time {
                    found += u64::from(series.statistics.count);
                }
            }
        }
        assert_eq!(found, n_points, "{format}");
    }
    // value by value, as the daemon's own reader prints a file
    let points = |path: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tidegate-receiver"));
        let output = command.args(["inspect", "--points", path]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let printed = points(&out("tsfile.tsfile"));
    assert_eq!(points(&out("tsfile-v3.tsfile")), printed);
    let exported = fs::read_to_string(&csv_path).unwrap();
    for line in lines(&exported) {
        let cells: Vec<&str> = line.split(',').collect();
        let is_printed = |it: &&str| cells.iter().take(3).all(|cell| it.contains(cell));
        assert!(lines(&printed).iter().any(is_printed), "{line} is not in {printed}");
    }
    let again = site.output("export", &["--format", "csv", "--out", &csv_path]);
    assert_eq!(again.status.code(), Some(1), "what is there is not replaced");
    let left: Vec<_> = fs::read_dir(site.path("."))
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".part"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
    let numbers = lines(&series).into_iter().find(|it| {
        it.ends_with("INT32")
            || it.ends_with("DOUBLE")
            || it.ends_with("FLOAT")
            || it.ends_with("INT64")
    });
    let name = numbers.unwrap().split(',').next().unwrap();
    let picture = text(&site, "plot", &[name]);
    assert!(picture.starts_with(name) && picture.contains('┤'), "{picture}");
    // and the same without the daemon
    let before = csv("SELECT * FROM root.**");
    assert!(daemon.terminate().0.success());
    assert_eq!(csv("SELECT * FROM root.**"), before);
}

/// Without the daemon, rows that are in the spool alone were in no answer, and nothing said so.
#[test]
fn what_waits_in_the_spool_and_is_in_no_answer_is_told_once_and_else_nothing() {
    let (site, daemon) = site();
    // rows are in memory only: the spool has them
    daemon.kill();
    let errors = |command: &str, more: &[&str]| {
        String::from_utf8(site.output(command, more).stderr).unwrap()
    };
    let statement = "SHOW DEVICES; COUNT DEVICES; SHOW DEVICES";
    let mut command = site.command("sql");
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), statement.as_bytes()).unwrap();
    let told = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    let waiting = |text: &str| text.matches("in the spool and ").count();
    assert_eq!(waiting(&told), 1, "once, whatever is asked: {told}");
    assert!(told.contains(" of origin ") && told.contains(" (the newest of 20"), "{told}");
    let expected =
        "in the spool and is in no answer; start tidegate-receiver, which takes in what waits";
    assert!(told.contains(expected), "{told}");
    let out = site.path("none.csv").display().to_string();
    for (command, more) in
        [("export", &["--format", "csv", "--out", &out][..]), ("plot", &["root.none.d.s"])]
    {
        let told = errors(command, more);
        assert_eq!(waiting(&told), 1, "{command}: {told}");
    }
    assert_eq!(waiting(&errors("verify", &[])), 0);
    // another origin's are not those that were asked for
    add_store(&site, "other", Precision::Ms, &[(1, Value::Int64(1))]);
    assert_eq!(errors("sql", &["-e", "SHOW DEVICES", "--origin", "other"]), "");
    // a state that cannot be read is not one without records
    let cursor = site.path("state/spool/directory.cur");
    let before = fs::read(&cursor).unwrap();
    fs::write(&cursor, vec![0xff; before.len()]).unwrap();
    let told = errors("sql", &["-e", "SHOW DEVICES"]);
    assert!(told.contains("cannot tell whether records wait in the spool: "), "{told}");
    fs::write(&cursor, before).unwrap();
    // taken in, and looked at without the daemon again
    let daemon = site.start();
    assert!(!lines(&text(&site, "sql", &["-e", "SHOW DEVICES", "--format", "csv"])).is_empty());
    daemon.kill();
    let told = errors("sql", &["-e", "SHOW DEVICES"]);
    assert_eq!(told, "", "the position is durable");
}

/// It was said that nothing had ever run, or that the daemon was busy, though `status` knew better.
#[test]
fn a_target_that_is_away_is_named_beside_what_waits_for_it() {
    let (site, daemon) = site();
    text(&site, "sql", &["-e", "SHOW DEVICES"]);
    let errors = |command: &str, more: &[&str]| {
        let output = site.output(command, more);
        assert_eq!(output.status.code(), Some(1), "{command} {more:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let away = |origin: &[&str]| {
        for (command, more) in [("sql", &["-e", "SHOW DEVICES"][..]), ("plot", &["root.a.b"])] {
            let told = errors(command, &[more, origin].concat());
            let expected = format!("target away: expected {}", site.path("files").display());
            assert!(told.contains(&expected), "{command}: {told}");
        }
    };
    let sent = |daemon: &common::Daemon| {
        for conversation in common::capture("2.0.1-beta/airgap-log-tablet") {
            let mut peer = daemon.connect();
            peer.send(&conversation.up);
            let mut replies = vec![0; conversation.down.len()];
            peer.socket.read_exact(&mut replies).unwrap();
        }
    };
    fs::rename(site.path("files"), site.path("elsewhere")).unwrap();
    sent(&daemon);
    daemon.wait_status(|status| status["loader"]["is_target_away"] == true);
    away(&[]);
    let told = errors("sql", &["-e", "SHOW DEVICES"]);
    let expected = "in the spool and is in no answer; the daemon takes nothing in: ";
    assert!(told.contains(expected), "{told}");
    // nothing is mounted there, and nothing runs
    fs::create_dir(site.path("files")).unwrap();
    away(&[]);
    daemon.kill();
    away(&[]);
    away(&["--origin", "plant"]);
    fs::remove_dir(site.path("files")).unwrap();
    away(&[]);
}

#[test]
fn what_cannot_be_asked_says_why() {
    let (site, daemon) = site();
    let message = |more: &[&str]| {
        let output = site.output("sql", more);
        assert_ne!(output.status.code(), Some(0), "{more:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let found = message(&["-e", "SELECT s FORM root.x"]);
    assert!(found.contains("did you mean FROM?"), "{found}");
    let found = message(&["-e", "SHOW DEVICES", "--origin", "../files"]);
    assert!(found.contains("expected a store of origin ../files, found those of "), "{found}");
    assert!(daemon.terminate().0.success());
    let export = |more: &[&str]| {
        let out = site.path("none.csv").display().to_string();
        let output = site.output("export", &[more, &["--format", "csv", "--out", &out]].concat());
        assert_eq!(output.status.code(), Some(1), "{more:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    for pattern in ["plant.**", "root..x", "", "root.** LIMIT 1"] {
        let found = export(&["--pattern", pattern]);
        assert!(found.contains(&format!("--pattern {pattern:?}: ")), "{found}");
        assert!(!found.contains("SHOW"), "a statement that nobody has written: {found}");
    }
    let found = export(&["--start", "10", "--end", "7"]);
    assert!(found.contains("expected --start at or before --end, found 10 behind 7"), "{found}");
    // a store whose catalog is gone is not one without rows
    for origin in fs::read_dir(site.path("files")).unwrap() {
        let catalog = origin.unwrap().path().join("catalog");
        if catalog.exists() {
            fs::remove_file(catalog).unwrap();
        }
    }
    let found = message(&["-e", "SHOW DEVICES"]);
    assert!(found.contains("expected a catalog beside the files, found none"), "{found}");
    let output = site.output("verify", &[]);
    assert_eq!(output.status.code(), Some(1));
    let found = String::from_utf8(output.stdout).unwrap();
    assert!(found.contains("NOT SOUND") && found.contains("expected a catalog"), "{found}");
    site.configure(&[]);
    let found = message(&["-e", "SHOW DEVICES"]);
    assert!(found.contains("expected receiver_target=store, found directory"), "{found}");
}

/// Adds a store with one series, `root.p.d.s`, without a daemon.
fn add_store(site: &Site, origin: &str, precision: Precision, points: &[(i64, Value)]) {
    add_store_of(site, origin, precision, "root.p.d", points);
}

/// Adds a store with one series, `s`.
fn add_store_of(
    site: &Site,
    origin: &str,
    precision: Precision,
    device: &str,
    points: &[(i64, Value)],
) {
    let data_type = match points[0].1 {
        Value::Double(_) => DataType::Double,
        _ => DataType::Int64,
    };
    let values = points.iter().map(|(_, value)| Some(value.clone())).collect();
    let tablet = Tablet {
        database: None,
        device: device.to_owned(),
        aligned: false,
        times: points.iter().map(|(time, _)| *time).collect(),
        columns: vec![column("s", data_type, values)],
    };
    let volume = DirVolume::new(site.path("files").join(origin));
    let mut store = Store::open(volume, Options::default(), 1).unwrap();
    store.begin_spool([1; 16]).unwrap();
    store.set_precision(precision).unwrap();
    let _ = store.apply_request(1, 1, &tablet_request(&tablet)).unwrap();
    store.flush().unwrap();
}

fn failed(site: &Site, command: &str, more: &[&str]) -> String {
    let output = site.output(command, more);
    assert_ne!(output.status.code(), Some(0), "{command} {more:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Not even what there is was shown, since the times are of different units; and it was not said that
/// there are others.
#[test]
fn origins_with_times_of_different_units_are_listed_and_asked_one_by_one() {
    let site = Site::new(&[("receiver_target", "store")]);
    for (origin, precision) in
        [("east", Precision::Ms), ("north", Precision::Us), ("west", Precision::Ms)]
    {
        add_store(&site, origin, precision, &[(1000, Value::Int64(1))]);
    }
    let listed = text(&site, "sql", &["-e", "SHOW TIMESERIES", "--format", "csv"]);
    assert_eq!(
        listed,
        "Timeseries,Database (assumed),DataType,Origin\nroot.p.d.s,root.p,INT64,east\n\
         root.p.d.s,root.p,INT64,north\nroot.p.d.s,root.p,INT64,west\n"
    );
    let counted = text(&site, "sql", &["-e", "COUNT DEVICES", "--format", "csv"]);
    assert_eq!(counted, "count(devices)\n3\n");
    let select = ["-e", "SELECT s FROM root.p.d", "--format", "csv"];
    let refused = "the origins have times of different units (east ms, north us and west ms): \
                   expected one of them with --origin";
    let found = failed(&site, "sql", &select);
    assert!(found.contains(refused), "{found}");
    let out = site.path("out.csv").display().to_string();
    let found = failed(&site, "export", &["--format", "csv", "--out", &out]);
    assert!(found.contains(refused), "{found}");
    let found = failed(&site, "plot", &["root.p.d.s"]);
    assert!(found.contains(refused), "{found}");
    let own = |origin| text(&site, "sql", &[&select[..], &["--origin", origin]].concat());
    assert_eq!(own("north"), "Time,root.p.d.s\n1970-01-01T00:00:00.001000Z,1\n");
    assert_eq!(own("west"), "Time,root.p.d.s\n1970-01-01T00:00:01.000Z,1\n");
    // of one unit: every command names the origins
    fs::remove_dir_all(site.path("files").join("north")).unwrap();
    for (command, more) in [
        ("sql", &select[..]),
        ("export", &["--format", "csv", "--out", &out]),
        ("plot", &["root.p.d.s"]),
    ] {
        let found = failed(&site, command, more);
        let expected = "is in the origins east and west: expected one of them with --origin";
        assert!(found.contains(expected), "{command}: {found}");
    }
    let found = failed(&site, "sql", &["-e", "SHOW DEVICES", "--origin", "south"]);
    assert!(
        found.contains("expected a store of origin south, found those of east and west"),
        "{found}"
    );
}

/// One origin in another unit had every question refused, also about what it did not have.
#[test]
fn times_of_different_units_are_refused_where_they_would_be_mixed_and_nowhere_else() {
    let site = Site::new(&[("receiver_target", "store")]);
    let point = |number| [(1_000_000, Value::Int64(number))];
    add_store_of(&site, "east", Precision::Ms, "root.e.d", &point(1));
    add_store_of(&site, "north", Precision::Us, "root.n.d", &point(2));
    add_store_of(&site, "west", Precision::Ms, "root.w.d", &point(3));
    let csv = |statement: &str| text(&site, "sql", &["-e", statement, "--format", "csv"]);
    // each in its own unit, also the times that are written
    let north = "Time,root.n.d.s\n1970-01-01T00:00:01.000000Z,2\n";
    assert_eq!(csv("SELECT s FROM root.n.d"), north);
    assert_eq!(csv("SELECT s FROM root.n.d WHERE time = 1970-01-01T00:00:01Z"), north);
    assert_eq!(csv("SELECT s FROM root.n.d WHERE time < now() - 1d"), north);
    let west = "Time,root.e.d.s,root.w.d.s\n1970-01-01T00:16:40.000Z,1,3\n";
    assert_eq!(csv("SELECT s FROM root.e.*, root.w.*"), west);
    // a name that only others have
    assert_eq!(csv("SELECT count(s) FROM root.n.d"), "count(root.n.d.s)\n1\n");
    // a time that one unit cannot hold
    add_store_of(&site, "above", Precision::Ns, "root.a.d", &point(1));
    let east = "Time,root.e.d.s\n1970-01-01T00:16:40.000Z,1\n";
    assert_eq!(csv("SELECT s FROM root.e.d WHERE time < 3000-01-01"), east);
    for (statement, units) in [
        ("SELECT * FROM root.**", "(above ns, east ms, north us and west ms)"),
        ("SELECT s FROM root.e.d WHERE root.n.d.s > 0", "(east ms and north us)"),
    ] {
        let found = failed(&site, "sql", &["-e", statement]);
        assert!(found.contains(&format!("have times of different units {units}")), "{found}");
    }
    let out = site.path("out.csv").display().to_string();
    let export = |pattern: &str, more: &[&str]| {
        let _ = fs::remove_file(&out);
        let fixed = ["--format", "csv", "--out", &out, "--pattern", pattern];
        site.output("export", &[&fixed[..], more].concat())
    };
    assert!(export("root.n.**", &["--end", "1970-01-01T00:00:01Z"]).status.success());
    let exported = fs::read_to_string(&out).unwrap();
    assert!(exported.contains("\n1970-01-01T00:00:01.000000Z,root.n.d,s,INT64,2\n"), "{exported}");
    assert_eq!(export("root.**", &[]).status.code(), Some(1));
    assert!(text(&site, "plot", &["root.n.d.s"]).contains("1970-01-01T00:00:01.000000Z"));
}

/// A pattern that meant nothing gave a file without points, and nothing said why.
#[test]
fn an_export_of_no_series_is_an_error_and_one_of_no_points_is_none() {
    let site = Site::new(&[("receiver_target", "store")]);
    add_store(&site, "plant", Precision::Ms, &[(1000, Value::Int64(1))]);
    let out = site.path("out").display().to_string();
    let export = |more: &[&str]| site.output("export", &[&["--format"], more].concat());
    let errors = |output: &std::process::Output| String::from_utf8(output.stderr.clone()).unwrap();
    for format in ["csv", "parquet", "tsfile"] {
        for pattern in ["root.p.d.typo", "root.none.**"] {
            let output = export(&[format, "--out", &out, "--pattern", pattern]);
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            let expected = format!(
                "no series matches {pattern}: nothing was written; SHOW TIMESERIES lists all"
            );
            assert!(errors(&output).contains(&expected), "{output:?}");
            assert!(!Path::new(&out).exists());
        }
    }
    let some = ["csv", "--out", &out, "--pattern", "root.p.d.s", "--pattern", "root.typo"];
    let output = export(&some);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(errors(&output), "tidegate-receiver: no series matches root.typo\n");
    fs::remove_file(&out).unwrap();
    let output = export(&["csv", "--out", &out, "--start", "5000"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert_eq!(fs::read_to_string(&out).unwrap(), "Time,Device,Measurement,DataType,Value\n");
}

/// It made a file of that name.
#[test]
fn csv_is_exported_to_the_standard_output_and_no_other_format_is() {
    let site = Site::new(&[("receiver_target", "store")]);
    let points: Vec<(i64, Value)> = (0..50_000).map(|it| (it, Value::Int64(it))).collect();
    add_store(&site, "plant", Precision::Ms, &points);
    let directory = tempfile::tempdir().unwrap();
    let export = |format: &str| {
        let mut command = site.command("export");
        command.current_dir(directory.path()).args(["--format", format, "--out", "-"]);
        command
    };
    let output = export("csv").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let rows = String::from_utf8(output.stdout).unwrap();
    assert_eq!(rows.lines().count(), 50_001);
    assert!(rows.ends_with("1970-01-01T00:00:49.999Z,root.p.d,s,INT64,49999\n"));
    assert_eq!(output.stderr, b"tidegate-receiver: 50000 points\n");
    for format in ["tsfile", "tsfile-v3", "parquet", "arrow"] {
        let output = export(format).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let expected = format!("--out -: expected the name of a file, since {format} is none");
        assert!(String::from_utf8(output.stderr).unwrap().contains(&expected));
        assert_eq!(output.stdout, b"");
    }
    // who reads it has seen enough
    let mut child = export("csv")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(1), Vec::new()));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn where_there_is_no_store_yet_it_is_said_so() {
    let site = Site::new(&[("receiver_target", "store")]);
    let show = ["-e", "SHOW DEVICES"];
    let found = failed(&site, "sql", &show);
    let directory = site.path("files").display().to_string();
    let expected = format!(
        "{directory}: expected the directory of the stores, found none: tidegate-receiver run makes \
         it, and the store of an origin once something has come from it"
    );
    assert!(found.contains(&expected), "{found}");
    fs::create_dir(&directory).unwrap();
    let found = failed(&site, "sql", &show);
    let expected = format!(
        "{directory}: expected the store of an origin, found none: nothing was written yet"
    );
    assert!(found.contains(&expected), "{found}");
    let found = failed(&site, "verify", &["--origin", "east"]);
    assert!(found.contains("expected a store of origin east, found those of none"), "{found}");
}

#[test]
fn a_plot_says_what_there_is_where_there_is_nothing_to_draw() {
    let site = Site::new(&[("receiver_target", "store")]);
    let values = [1.0, f64::NAN, f64::INFINITY, 2.0].map(Value::Double);
    let points: Vec<(i64, Value)> = (1000..).step_by(1000).zip(values).collect();
    add_store(&site, "plant", Precision::Ms, &points);
    let plot = |more: &[&str]| text(&site, "plot", &[&["root.p.d.s"], more].concat());
    let head = |more: &[&str]| plot(more).lines().next().unwrap().to_owned();
    assert_eq!(head(&[]), "root.p.d.s (DOUBLE, 2 points, and 2 that are NaN or infinite)");
    let one = plot(&["--start", "4000"]);
    assert!(one.starts_with("root.p.d.s (DOUBLE, 1 point)\n"), "{one}");
    assert_eq!(one.matches("1970-01-01T00:00:04.000Z").count(), 1, "{one}");
    let failed = |more: &[&str]| {
        let found = failed(&site, "plot", more);
        found.strip_prefix("tidegate-receiver: ").unwrap().trim_end().to_owned()
    };
    assert_eq!(
        failed(&["root.p.d.s", "--start", "2000", "--end", "3000"]),
        "root.p.d.s: 2 points from 1970-01-01T00:00:02.000Z to 1970-01-01T00:00:03.000Z, none of them \
         finite: nothing to draw"
    );
    assert_eq!(
        failed(&["root.p.d.s", "--start", "5000"]),
        "root.p.d.s: no points from 1970-01-01T00:00:05.000Z on: those that there are go from \
         1970-01-01T00:00:01.000Z to 1970-01-01T00:00:04.000Z"
    );
    // between two points
    assert_eq!(
        failed(&["root.p.d.s", "--start", "1500", "--end", "1600"]),
        "root.p.d.s: no points from 1970-01-01T00:00:01.500Z to 1970-01-01T00:00:01.600Z"
    );
    assert_eq!(
        failed(&["root.p.d.t"]),
        "root.p.d.t: expected a series of the store, found none: SHOW TIMESERIES lists all"
    );
    assert_eq!(failed(&["root.p.**"]), "root.p.**: expected one series, found a pattern");
    let found = failed(&["root.p-1.d"]);
    assert!(found.starts_with("the series \"root.p-1.d\": ") && !found.contains("SHOW"), "{found}");
    let found = failed(&["root.p.d.s", "--start", "garbage"]);
    let expected = "--start: expected a time such as 2024-05-01T00:00:00Z, 1714521600000 or now() - 1d, \
                    found \"garbage\"";
    assert_eq!(found, expected);
}
