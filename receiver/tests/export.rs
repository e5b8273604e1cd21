//! `export` and `sql` as processes, over stores that lie there without a daemon.

#[path = "../../common/columnar/tests/support/mod.rs"]
mod columnar;
mod common;
#[path = "../../common/store/tests/support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::PipeReader;
use std::io::PipeWriter;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use common::PATIENCE;
use common::Site;
use fastrand::Rng;
use rustix::fs::OFlags;
use support::column;
use support::tablet_request;
use tidegate_model::Category;
use tidegate_model::DataType;
use tidegate_model::Precision;
use tidegate_model::Tablet;
use tidegate_model::Value;
use tidegate_query::text::Text;
use tidegate_store::Device;
use tidegate_store::DirVolume;
use tidegate_store::Options;
use tidegate_store::ReceivedFile;
use tidegate_store::Store;
use tidegate_tsfile::Batch;
use tidegate_tsfile::Compression;
use tidegate_tsfile::Encoding;
use tidegate_tsfile::SeriesSpec;
use tidegate_tsfile::TableColumn;
use tidegate_tsfile::TableSchema;
use tidegate_tsfile::TsFileVersion;
use tidegate_tsfile::TsFileWriter;
use tidegate_tsfile::WriteOptions;

const ORIGIN: &str = "plant";

/// A site with the store of one origin, in which these requests are.
fn site(precision: Precision, requests: impl IntoIterator<Item = Vec<u8>>) -> Site {
    let site = Site::new(&[("receiver_target", "store")]);
    let mut store = open(&site);
    store.set_precision(precision).unwrap();
    for (number, request) in requests.into_iter().enumerate() {
        let applied = store.apply_request(number as u64 + 1, 1, &request).unwrap();
        assert_eq!(applied.left_out, Vec::<String>::new());
    }
    store.flush().unwrap();
    site
}

fn open(site: &Site) -> Store<DirVolume> {
    let root = site.path("files").join(ORIGIN);
    let mut store = Store::open(DirVolume::new(root), Options::default(), 1).unwrap();
    store.begin_spool([1; 16]).unwrap();
    store
}

fn run(site: &Site, command: &str, more: &[&str]) -> (String, String) {
    let output = site.output(command, more);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{command} {more:?}: {errors}");
    (String::from_utf8(output.stdout).unwrap(), errors)
}

/// Exports to a file, and gives its bytes and what was said on standard error.
fn exported(site: &Site, name: &str, more: &[&str]) -> (Vec<u8>, String) {
    let out = site.path(name);
    let shown = out.display().to_string();
    let (told, errors) = run(site, "export", &[more, &["--out", &shown]].concat());
    assert!(told.ends_with(&format!(" points in {shown}\n")), "{told}");
    (fs::read(out).unwrap(), errors)
}

fn value(rng: &mut Rng, data_type: DataType) -> Value {
    match data_type {
        DataType::Boolean => Value::Boolean(rng.bool()),
        DataType::Int32 => Value::Int32(rng.i32(..)),
        DataType::Date => Value::Int32(columnar::DAYS[rng.usize(0..4)].0),
        DataType::Int64 => Value::Int64(rng.i64(..)),
        DataType::Timestamp => Value::Int64(rng.i64(0..1 << 40)),
        DataType::Float => Value::Float(rng.f32() - 0.5),
        DataType::Double => Value::Double(rng.f64() * 1e300),
        DataType::Text | DataType::String => {
            Value::Bytes(["", "a b", "é水"][rng.usize(0..3)].as_bytes().to_vec())
        }
        _ => Value::Bytes((0..rng.usize(1..9)).map(|_| rng.u8(..)).collect()),
    }
}

/// A tablet of these series with nulls; no row of nulls only.
fn tablet(rng: &mut Rng, device: &str, aligned: bool, series: &[(String, DataType)]) -> Tablet {
    let times: Vec<i64> = (0..200).map(|row| row * 3 - 100).collect();
    let columns = series.iter().enumerate().map(|(at, (name, data_type))| {
        let values = (0..times.len()).map(|row| {
            let is_there = row % series.len() == at || rng.u32(0..100) < 60;
            is_there.then(|| value(rng, *data_type))
        });
        let values = values.collect();
        column(name, *data_type, values)
    });
    let columns = columns.collect();
    Tablet { database: None, device: device.to_owned(), aligned, times, columns }
}

/// Lines behind the first one, sorted.
fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().skip(1).map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

fn quoted(cell: &str) -> String {
    match cell.is_empty() || cell.contains([',', '"']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

/// The points of a file as csv has them, sorted.
fn points(found: &columnar::Read, precision: Precision) -> Vec<String> {
    let text = Text { precision, offset: None };
    let types: Vec<DataType> = found.metadata["tidegate.types"]
        .split(',')
        .map(|name| DataType::ALL.into_iter().find(|it| it.as_str() == name).unwrap())
        .collect();
    assert_eq!(&found.names[..2], ["Time", "Device"]);
    let mut lines = Vec::new();
    for row in &found.rows {
        let shown = |at: usize| {
            let mut out = String::new();
            text.write_value(&mut out, types[at], row[at].as_ref().unwrap());
            out
        };
        for at in (2..row.len()).filter(|at| row[*at].is_some()) {
            // a type behind a name is no part of it
            let name = found.names[at].split(" (").next().unwrap();
            let [time, device, value] = [shown(0), shown(1), quoted(&shown(at))];
            lines.push(format!("{time},{device},{name},{},{value}", types[at]));
        }
    }
    lines.sort_unstable();
    lines
}

#[test]
fn parquet_and_arrow_have_every_point_that_csv_has_in_every_type_and_precision() {
    for (seed, precision) in [Precision::Ms, Precision::Us, Precision::Ns].into_iter().enumerate() {
        let mut rng = Rng::with_seed(seed as u64);
        let all: Vec<(String, DataType)> = DataType::ALL
            .into_iter()
            // a tablet cannot have it
            .filter(|it| *it != DataType::Object)
            .map(|it| (format!("of_{it}"), it))
            .collect();
        // the same name in another type, and a name that is taken
        let odd =
            [("of_INT32", DataType::Double), ("Device", DataType::Text), ("x", DataType::Int64)]
                .map(|(name, data_type)| (name.to_owned(), data_type));
        let site = site(
            precision,
            [
                tablet(&mut rng, "root.p.aligned", true, &all),
                tablet(&mut rng, "root.p.plain", false, &all),
                tablet(&mut rng, "root.q.`an odd.one`", false, &odd),
            ]
            .map(|it| tablet_request(&it)),
        );
        let (csv, _) = exported(&site, "csv", &["--format", "csv", "--time", "epoch"]);
        let expected = lines(&String::from_utf8(csv).unwrap());
        assert!(expected.len() > 2000);
        let (parquet, told) = exported(&site, "parquet", &["--format", "parquet"]);
        assert_eq!(told, "");
        let (arrow, _) = exported(&site, "arrow", &["--format", "arrow"]);
        for found in [columnar::read_parquet(parquet), columnar::read_arrow(arrow)] {
            assert!(points(&found, precision) == expected, "{precision}");
            assert_eq!(found.metadata["tidegate.origin"], ORIGIN);
            assert_eq!(found.metadata["tidegate.precision"], precision.as_str());
            assert_eq!(found.metadata["tidegate.version"], env!("CARGO_PKG_VERSION"));
            for name in ["Device (TEXT)", "of_INT32 (INT32)", "of_INT32 (DOUBLE)", "of_BLOB", "x"] {
                assert!(found.names.iter().any(|it| it == name), "{name} in {:?}", found.names);
            }
        }
        // a part of it
        let more = ["--format", "parquet", "--pattern", "root.p.*.of_DATE", "--start", "0"];
        let found = columnar::read_parquet(exported(&site, "part", &more).0);
        let is_meant = |line: &&String| line.contains(",of_DATE,") && !line.starts_with('-');
        assert!(points(&found, precision).iter().eq(expected.iter().filter(is_meant)));
    }
}

#[test]
fn a_date_that_is_no_day_ends_the_export_with_the_name_of_its_series() {
    let dates = [20_240_229, 20_230_229].map(|it| Some(Value::Int32(it))).to_vec();
    let columns = vec![column("day", DataType::Date, dates)];
    let tablet = Tablet {
        database: None,
        device: "root.p.d".to_owned(),
        aligned: false,
        times: vec![7, 8],
        columns,
    };
    let site = site(Precision::Ms, [tablet_request(&tablet)]);
    for format in ["parquet", "arrow"] {
        let out = site.path("out").display().to_string();
        let output = site.output("export", &["--format", format, "--out", &out]);
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8(output.stderr).unwrap();
        let expected = "root.p.d: day at the time 8: expected a day as yyyymmdd, found 20230229";
        assert!(told.contains(expected), "{told}");
        assert_eq!(beside(&site, "out"), Vec::<String>::new());
    }
}

/// What lies in a site under a name or one that begins so.
fn beside(site: &Site, name: &str) -> Vec<String> {
    let names = fs::read_dir(site.path(".")).unwrap();
    let names = names.map(|it| it.unwrap().file_name().into_string().unwrap());
    names.filter(|it| it.starts_with(name)).collect()
}

fn pumps(line: Option<&str>, place: Option<&str>, field: (&str, DataType), base: i64) -> Vec<u8> {
    let mut rng = Rng::with_seed(base as u64);
    let tag = |name: &str, value: Option<&str>| {
        let values = vec![value.map(|it| Value::Bytes(it.as_bytes().to_vec())); 3];
        let mut tag = column(name, DataType::String, values);
        tag.category = Category::Tag;
        tag
    };
    let values = (0..3).map(|row| (row != 1).then(|| value(&mut rng, field.1))).collect();
    let always = (0..3).map(|row| Some(Value::Int64(base + row))).collect();
    tablet_request(&Tablet {
        database: Some("works".to_owned()),
        device: "pumps".to_owned(),
        aligned: true,
        times: vec![base, base + 1, base + 2],
        columns: vec![
            tag("line", line),
            tag("place", place),
            column(field.0, field.1, values),
            column("n", DataType::Int64, always),
        ],
    })
}

fn valves() -> Vec<u8> {
    tablet_request(&Tablet {
        database: Some("works".to_owned()),
        device: "valves".to_owned(),
        aligned: true,
        times: vec![1],
        columns: vec![column("open", DataType::Boolean, vec![Some(Value::Boolean(true))])],
    })
}

#[test]
fn a_table_is_exported_with_its_tags_as_columns() {
    let site = site(
        Precision::Ms,
        [
            pumps(Some("a"), Some("north"), ("state", DataType::String), 10),
            pumps(None, Some("south"), ("state", DataType::String), 20),
            pumps(Some("b"), None, ("flow", DataType::Float), 30),
            valves(),
        ],
    );
    let of_pumps = ["--database", "works", "--table", "pumps"];
    let with = |format| [&["--format", format, "--time", "epoch"][..], &of_pumps].concat();
    let (csv, _) = exported(&site, "csv", &with("csv"));
    let csv = String::from_utf8(csv).unwrap();
    assert_eq!(csv.lines().next(), Some("Time,line,place,flow,n,state"));
    // as SELECT * of the table would be
    for line in ["11,a,north,,11,", "31,b,,,31,", "21,,south,,21,"] {
        assert!(lines(&csv).contains(&line.to_owned()), "{line} in {csv}");
    }
    assert_eq!(lines(&csv).len(), 9);
    let text = Text { precision: Precision::Ms, offset: None };
    for (format, found) in [
        ("parquet", columnar::read_parquet(exported(&site, "parquet", &with("parquet")).0)),
        ("arrow", columnar::read_arrow(exported(&site, "arrow", &with("arrow")).0)),
    ] {
        assert_eq!(found.names.join(","), csv.lines().next().unwrap(), "{format}");
        let types = ["INT64", "STRING", "STRING", "FLOAT", "INT64", "STRING"];
        let types = types.map(|name| DataType::ALL.into_iter().find(|it| it.as_str() == name));
        let mut found_lines: Vec<String> = Vec::new();
        for row in &found.rows {
            let cells = row.iter().zip(types).map(|(cell, data_type)| {
                let mut out = String::new();
                if let Some(value) = cell {
                    text.write_value(&mut out, data_type.unwrap(), value);
                    out = quoted(&out);
                }
                out
            });
            found_lines.push(cells.collect::<Vec<_>>().join(","));
        }
        found_lines.sort_unstable();
        assert_eq!(found_lines, lines(&csv), "{format}");
    }
    // both tables in a TsFile, from which a store of its own gives the same
    let of_works = ["--database", "works"];
    let (_, told) =
        exported(&site, "works.tsfile", &[&["--format", "tsfile"][..], &of_works].concat());
    assert_eq!(told, "");
    let other = Site::new(&[("receiver_target", "store")]);
    let mut store = open(&other);
    let file =
        ReceivedFile { ts_file: &site.path("works.tsfile"), mods: None, database: Some("works") };
    let applied = store.apply_file(1, 1, &file).unwrap();
    assert!(!applied.is_refused, "{applied:?}");
    drop(store);
    assert_eq!(exported(&other, "csv", &with("csv")).0, csv.as_bytes());
    let valves = ["--format", "csv", "--time", "epoch", "--database", "works", "--table", "valves"];
    assert_eq!(exported(&other, "valves", &valves).0, b"Time,open\n1,true\n");
}

/// A file of the table `works.pumps`: for each tag rows, of which some have no field.
fn pumps_file(rows: &[(&str, i64, Option<i32>)]) -> Vec<u8> {
    let column = |name: &str, data_type, category| TableColumn {
        name: name.into(),
        data_type,
        encoding: Encoding::Plain,
        compression: Compression::Uncompressed,
        category,
    };
    let columns = vec![
        column("line", DataType::String, Category::Tag),
        column("n", DataType::Int32, Category::Field),
    ];
    let options = WriteOptions::of_version(TsFileVersion::V4);
    let mut writer = TsFileWriter::new(Vec::new(), options).unwrap();
    writer.declare_table(TableSchema { name: "pumps".into(), columns }).unwrap();
    for own in rows.chunk_by(|one, other| one.0 == other.0) {
        let tags = vec![Some("pumps".into()), Some(own[0].0.into())];
        let id = Device::table("works", tags).id(TsFileVersion::V4);
        writer.begin_aligned(&id, &[SeriesSpec::new("n", DataType::Int32)]).unwrap();
        let mut batch = Batch::new([DataType::Int32]);
        for (_, time, value) in own {
            batch.times.push(*time);
            let column = &mut batch.columns[0];
            column.presence.push(value.is_some());
            assert!(value.is_none_or(|value| column.values.push(&Value::Int32(value))));
        }
        writer.write(&batch).unwrap();
    }
    writer.finish().unwrap().out
}

/// In a table a row may have tags alone. Such rows were not exported, and gone once files were merged.
#[test]
fn rows_of_files_that_have_tags_alone_are_exported_and_stay_when_files_are_merged() {
    let site = Site::new(&[("receiver_target", "store")]);
    let mut options = Options::default();
    options.merge_files_min = 2;
    let volume = DirVolume::new(site.path("files").join(ORIGIN));
    let mut store = Store::open(volume, options, 1).unwrap();
    store.begin_spool([1; 16]).unwrap();
    store.set_precision(Precision::Ms).unwrap();
    let files = [
        pumps_file(&[("a", 1, Some(5)), ("a", 2, None), ("a", 4, None), ("b", 7, None)]),
        // a row of tags takes no field from an earlier one
        pumps_file(&[("a", 1, None), ("a", 2, Some(6)), ("a", 9, None)]),
    ];
    for (sequence, bytes) in (1..).zip(files) {
        let path = site.path(&format!("staged{sequence}.tsfile"));
        fs::write(&path, bytes).unwrap();
        let file = ReceivedFile { ts_file: &path, mods: None, database: Some("works") };
        let applied = store.apply_file(sequence, 1, &file).unwrap();
        assert!(!applied.is_refused && applied.left_out.is_empty(), "{applied:?}");
    }
    let csv = |site: &Site, name: &str, more: &[&str]| {
        let what =
            ["--format", "csv", "--time", "epoch", "--database", "works", "--table", "pumps"];
        String::from_utf8(exported(site, name, &[&what, more].concat()).0).unwrap()
    };
    let all = "Time,line,n\n1,a,5\n2,a,6\n4,a,\n9,a,\n7,b,\n";
    assert_eq!(csv(&site, "two", &[]), all);
    assert_eq!(csv(&site, "part", &["--start", "3", "--end", "7"]), "Time,line,n\n4,a,\n7,b,\n");
    let (parquet, _) = exported(&site, "parquet", &["--format", "parquet", "--database", "works"]);
    assert_eq!(columnar::read_parquet(parquet).rows.len(), 5);
    // as a TsFile, from which another store has the same
    let (ts_file, _) =
        exported(&site, "all.tsfile", &["--format", "tsfile", "--database", "works"]);
    let other = Site::new(&[("receiver_target", "store")]);
    let path = other.path("staged.tsfile");
    fs::write(&path, ts_file).unwrap();
    let mut second = open(&other);
    second.set_precision(Precision::Ms).unwrap();
    let file = ReceivedFile { ts_file: &path, mods: None, database: Some("works") };
    let _ = second.apply_file(1, 1, &file).unwrap();
    assert_eq!(csv(&other, "csv", &[]), all);
    // and after a merge
    while store.merge_once().unwrap() {}
    assert_eq!(store.layers().count(), 1);
    assert_eq!(csv(&site, "one", &[]), all);
    let (told, _) = run(&site, "verify", &[]);
    assert!(told.contains(": sound"), "{told}");
}

#[test]
fn what_of_tables_cannot_be_done_says_what_can() {
    let pumps = pumps(Some("a"), None, ("state", DataType::String), 10);
    let site = site(Precision::Ms, [pumps, valves()]);
    let out = site.path("out").display().to_string();
    let message = |more: &[&str]| {
        let output = site.output("export", &[more, &["--out", &out]].concat());
        assert_eq!(output.status.code(), Some(1), "{more:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let found = message(&["--format", "parquet", "--database", "works"]);
    assert!(found.contains("works has the tables pumps and valves"), "{found}");
    let found = message(&["--format", "tsfile-v3", "--database", "works"]);
    assert!(found.contains("expected --format tsfile"), "{found}");
    let found = message(&["--format", "csv", "--database", "works", "--table", "pipes"]);
    let expected = "expected a table works.pipes, found works.pumps and works.valves";
    assert!(found.contains(expected), "{found}");
    assert_eq!(beside(&site, "out"), Vec::<String>::new());
    // an export of the tree does not pass for one of everything
    let told = message(&["--format", "csv"]);
    assert!(told.contains("no series matches root.**"), "{told}");
    let expected = "exported with --database and --table: works.pumps and works.valves";
    assert!(told.contains(expected), "{told}");
}

/// Names that the store has without backticks are asked for with them, as SHOW prints them.
#[test]
fn names_that_need_backticks_are_exported_and_drawn_as_they_are_printed() {
    let mut rng = Rng::with_seed(3);
    let series = [("x.y".to_owned(), DataType::Int64), ("`7`".to_owned(), DataType::Int64)];
    let site =
        site(Precision::Ms, [tablet_request(&tablet(&mut rng, "root.p.a-b", false, &series))]);
    let (listed, _) = run(&site, "sql", &["-e", "SHOW TIMESERIES", "--format", "csv"]);
    let names: Vec<String> =
        lines(&listed).iter().map(|it| it.split(',').next().unwrap().to_owned()).collect();
    assert_eq!(names, ["root.p.`a-b`.`7`", "root.p.`a-b`.`x.y`"]);
    let (all, _) = exported(&site, "all", &["--format", "csv"]);
    let mut n_lines = 0;
    for (number, name) in names.iter().enumerate() {
        let (own, _) =
            exported(&site, &format!("own{number}"), &["--format", "csv", "--pattern", name]);
        n_lines += lines(&String::from_utf8(own).unwrap()).len();
        let (picture, _) = run(&site, "plot", &[name]);
        assert!(picture.starts_with(&format!("{name} (INT64, ")), "{picture}");
    }
    assert!(n_lines > 100);
    assert_eq!(lines(&String::from_utf8(all).unwrap()).len(), n_lines);
}

/// A store of many rows, and of a table that an export of the tree has to speak of.
fn large() -> Site {
    const ROWS: i64 = 50_000;
    let tablets = (0..20).map(|number| {
        let times: Vec<i64> = (number * ROWS..(number + 1) * ROWS).collect();
        let values = times.iter().map(|time| Some(Value::Int64(*time))).collect();
        tablet_request(&Tablet {
            database: None,
            device: "root.p.d".to_owned(),
            aligned: false,
            times,
            columns: vec![column("s", DataType::Int64, values)],
        })
    });
    site(Precision::Ms, [valves()].into_iter().chain(tablets))
}

/// A pipe that takes nothing more until somebody reads.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::fs::fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
    for chunk in [&[b'.'; 4096][..], b"."] {
        while writer.write(chunk).is_ok() {}
    }
    rustix::fs::fcntl_setfl(&writer, OFlags::empty()).unwrap();
    (reader, writer)
}

/// The part of a file is seen while the process waits for its standard error to be read, so that the
/// signal comes in the middle, however fast it is.
#[test]
fn an_interrupted_export_leaves_nothing_and_says_so() {
    let site = large();
    use rustix::process::Signal;
    for (format, signal) in [
        ("csv", Signal::INT),
        ("parquet", Signal::INT),
        ("csv", Signal::TERM),
        ("csv", Signal::HUP),
    ] {
        let shown = site.path("out").display().to_string();
        let (mut reader, writer) = full_pipe();
        let mut command = site.command("export");
        command.args(["--format", format, "--out", &shown]).stdout(Stdio::null()).stderr(writer);
        let mut child = command.spawn().unwrap();
        drop(command);
        let until = Instant::now() + PATIENCE;
        while beside(&site, "out").is_empty() {
            assert!(Instant::now() < until && child.try_wait().unwrap().is_none(), "{format}");
            std::thread::yield_now();
        }
        assert!(beside(&site, "out")[0].ends_with(".part"));
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).unwrap();
        let mut told = String::new();
        reader.read_to_string(&mut told).unwrap();
        let expected = format!("tidegate-receiver: interrupted: {shown} was not written");
        // behind what filled the pipe, or behind a word on tables that came before the signal
        let told = told.trim_end().trim_start_matches('.');
        assert!(told.ends_with(&expected), "{format}: {told}");
        assert_eq!(child.wait().unwrap().code(), Some(130), "{format}");
        assert_eq!(beside(&site, "out"), Vec::<String>::new(), "{format}");
    }
}

fn ts_files(directory: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => ts_files(&path, found),
            false => {
                found.insert(path);
            }
        }
    }
}

/// The answer of `SHOW TIMESERIES` opened file after file while it was written, and a merge of the
/// daemon made the rest of it an error.
#[test]
fn an_answer_goes_on_when_the_files_of_its_store_are_removed() {
    let site = site(
        Precision::Ms,
        (0..3000).map(|number| {
            let columns = vec![column("s", DataType::Int32, vec![Some(Value::Int32(number))])];
            let name = format!("root.p.{}{number}", "d".repeat(120));
            let times = vec![i64::from(number)];
            tablet_request(&Tablet { database: None, device: name, aligned: false, times, columns })
        }),
    );
    let mut command = site.command("sql");
    command.args(["-e", "SHOW TIMESERIES", "--format", "csv"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut answer = vec![0; 10];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut answer).unwrap();
    // it waits, since nobody reads the rest
    let mut files = BTreeSet::new();
    ts_files(&site.path("files").join(ORIGIN).join("data"), &mut files);
    files.iter().for_each(|path| fs::remove_file(path).unwrap());
    stdout.read_to_end(&mut answer).unwrap();
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!((told.as_str(), child.wait().unwrap().code()), ("", Some(0)));
    assert_eq!(String::from_utf8(answer).unwrap().lines().count(), 3001);
}
