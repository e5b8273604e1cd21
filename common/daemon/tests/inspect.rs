//! What `inspect` prints of TsFiles: files of IoTDB's own library and of real IoTDBs, compared with
//! texts beside this file. `TIDEGATE_BLESS=1` writes the texts anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use tidegate_daemon::inspect::Inspect;
use tidegate_daemon::inspect::inspect;

const TEXT: Inspect =
    Inspect { as_json: false, with_pages: false, as_points: false, with_deleted: false };
const PAGES: Inspect = Inspect { with_pages: true, ..TEXT };
const JSON_PAGES: Inspect = Inspect { as_json: true, ..PAGES };
const JSON: Inspect = Inspect { as_json: true, ..TEXT };
const POINTS: Inspect = Inspect { as_points: true, ..TEXT };
const ALL_POINTS: Inspect = Inspect { with_deleted: true, ..POINTS };

fn below(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn corpus(file: &str) -> PathBuf {
    below("common/tsfile/tests/corpus").join(file)
}

/// What is printed, and what is wrong with the file; its name is left out of that.
fn printed(path: &Path, what: Inspect) -> (String, Option<String>) {
    let mut out = Vec::new();
    let damage = inspect(path, what, &mut out).unwrap_or_else(|error| panic!("{error:#}"));
    let text = String::from_utf8(out).expect("a text");
    (text, damage.map(|it| it.replace(&path.display().to_string(), "FILE")))
}

/// What is printed of a sound file.
fn sound(path: &Path, what: Inspect) -> String {
    let (text, damage) = printed(path, what);
    assert_eq!(damage, None);
    text
}

#[track_caller]
fn is_golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inspect").join(name);
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        fs::write(&path, found).expect("a text");
    }
    let expected = fs::read_to_string(&path).expect("a text");
    for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "{name}, line {}", number + 1);
    }
    assert_eq!(found.len(), expected.len(), "{name}");
}

#[test]
fn a_summary_has_groups_chunks_index_and_health() {
    for (file, golden) in [
        ("v3new/missing-columns.tsfile", "missing-columns-v3.txt"),
        ("v4/missing-columns.tsfile", "missing-columns-v4.txt"),
        ("v4/no-groups.tsfile", "no-groups-v4.txt"),
        ("v4/table-model.tsfile", "table-model-v4.txt"),
    ] {
        is_golden(golden, &sound(&corpus(file), TEXT));
    }
}

#[test]
fn with_pages_every_page_stands_below_its_chunk() {
    let path = corpus("v3new/missing-columns.tsfile");
    let with_pages = sound(&path, PAGES);
    is_golden("missing-columns-v3-pages.txt", &with_pages);
    let without: Vec<&str> =
        with_pages.lines().filter(|line| !line.contains("  page   ")).collect();
    assert!(without.iter().copied().eq(sound(&path, TEXT).lines()), "nothing else changes");
}

#[test]
fn points_are_csv_with_the_digits_and_quotes_that_each_type_needs() {
    for (file, golden) in [
        ("v3new/missing-columns.tsfile", "missing-columns-v3.csv"),
        ("v4/wide-floats.tsfile", "wide-floats-v4.csv"),
    ] {
        is_golden(golden, &sound(&corpus(file), POINTS));
    }
    // A line of each type that a file begins with.
    let mut seen = Vec::new();
    for file in ["v4/table-model.tsfile", "v4/extremes.tsfile", "v4/plain-onepage-lz4.tsfile"] {
        let points = sound(&corpus(file), POINTS);
        let mut types = BTreeSet::new();
        // A value may go over several lines, of which only the first one has a type.
        let is_first = |line: &&str| {
            let data_type = line.split(',').nth(3);
            data_type.is_some_and(|it| types.insert(it.to_owned()))
        };
        seen.extend(points.lines().skip(1).filter(is_first).map(str::to_owned));
    }
    is_golden("types.csv", &(seen.join("\n") + "\n"));
}

#[test]
fn json_is_one_object_that_says_what_the_text_says() {
    for file in ["v3new/missing-columns.tsfile", "v4/table-model.tsfile", "v4/no-groups.tsfile"] {
        let (text, json) = (sound(&corpus(file), TEXT), sound(&corpus(file), JSON));
        assert_eq!(json.lines().count(), 1, "{file}");
        let json: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!((&json["kind"], &json["damage"]), (&"tsfile".into(), &Value::Null), "{file}");
        for fact in ["devices", "series", "chunks", "pages", "points"] {
            let line = format!("{fact:<10}{}", json["health"][fact]);
            assert!(text.lines().any(|it| it == line), "{file}: {line}");
        }
        let devices = json["devices"].as_array().expect("devices");
        let paths = devices.iter().map(|it| format!("device {}", it["path"].as_str().unwrap()));
        let in_text = text.lines().filter(|it| it.starts_with("device "));
        assert!(paths.eq(in_text.map(str::to_owned)), "{file}");
        let n_tables = json["tables"].as_array().expect("tables").len();
        assert_eq!(n_tables, text.lines().filter(|it| it.starts_with("table ")).count(), "{file}");
    }
    is_golden("missing-columns-v3.json", &sound(&corpus("v3new/missing-columns.tsfile"), JSON));
}

/// Neither encodings nor pages were in it.
#[test]
fn json_has_each_chunk_and_page_that_the_text_has_with_its_encoding() {
    let has = |line: &str, value: &Value| line.contains(value.as_str().unwrap());
    for file in ["v3new/missing-columns.tsfile", "v4/table-model.tsfile", "v4/no-groups.tsfile"] {
        let (text, json) = (sound(&corpus(file), PAGES), sound(&corpus(file), JSON_PAGES));
        let json: Value = serde_json::from_str(&json).expect("JSON");
        let mut found = Vec::new();
        for entry in json["data"].as_array().expect("entries") {
            found.push((entry["offset"].clone(), entry["entry"].clone(), entry.clone()));
            for page in entry["pages"].as_array().into_iter().flatten() {
                found.push((page["offset"].clone(), "page".into(), page.clone()));
            }
        }
        let words = ["group", "chunk", "page", "plans", "end"];
        let is_entry = |line: &&str| {
            let mut parts = line.split_whitespace();
            let is_number = parts.next().is_some_and(|it| it.parse::<u64>().is_ok());
            is_number
                && line.starts_with("  ")
                && parts.next().is_some_and(|it| words.contains(&it))
        };
        let lines: Vec<&str> = text.lines().filter(is_entry).collect();
        assert_eq!(lines.len(), found.len(), "{file}");
        for (line, (offset, word, entry)) in lines.into_iter().zip(found) {
            let start = format!("{:>12}  {}", offset.as_u64().unwrap(), word.as_str().unwrap());
            assert!(line.starts_with(&start), "{file}: {line}, not {start}");
            match word.as_str().unwrap() {
                "group" => assert!(has(line, &entry["device"]), "{line}"),
                "chunk" => {
                    assert!(has(line, &entry["encoding"]) && has(line, &entry["compression"]));
                    assert!(line.ends_with(&format!(", {} bytes", entry["bytes"])), "{line}");
                }
                "page" if entry["uncompressed_bytes"] != 0 => {
                    let bytes = &entry["compressed_bytes"];
                    assert!(
                        line.contains(&format!(
                            " {bytes} of {} bytes",
                            entry["uncompressed_bytes"]
                        ))
                    );
                    let count = &entry["statistics"]["count"];
                    assert!(
                        count.is_null() || line.contains(&format!(", {count} points")),
                        "{line}"
                    );
                }
                _ => (),
            }
        }
        // without them nothing else changes
        let mut json = json;
        for entry in json["data"].as_array_mut().expect("entries") {
            entry.as_object_mut().unwrap().remove("pages");
        }
        let without: Value = serde_json::from_str(&sound(&corpus(file), JSON)).expect("JSON");
        assert_eq!(json, without, "{file}");
    }
    let path = corpus("v3new/missing-columns.tsfile");
    is_golden("missing-columns-v3-pages.json", &sound(&path, JSON_PAGES));
}

#[test]
fn a_file_that_was_not_finished_is_printed_as_far_as_it_is_whole_and_says_so() {
    for (file, golden) in
        [("v4/torn-at-5494.tsfile", "torn.txt"), ("v4/torn-at-100.tsfile", "torn-early.txt")]
    {
        let (text, damage) = printed(&corpus(file), TEXT);
        is_golden(golden, &format!("{text}\n{}\n", damage.expect("it is torn")));
        let (points, damage) = printed(&corpus(file), POINTS);
        assert!(damage.expect("it is torn").contains("readable up to byte"), "{file}");
        assert!(points.starts_with("device,measurement,time,type,value\n"), "{file}");
        for what in [JSON, JSON_PAGES] {
            let (json, _) = printed(&corpus(file), what);
            let json: Value = serde_json::from_str(&json).expect("JSON, torn or not");
            assert!(json["damage"].is_string(), "{file}");
        }
    }
}

#[test]
fn cuts_and_flips_of_a_file_are_printed_or_refused_and_never_panic() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("1-1-0-0.tsfile");
    let bytes = fs::read(corpus("v3new/missing-columns.tsfile")).expect("a file");
    let (mut n_told, mut n_all) = (0, 0);
    // Of the reader itself all are tried in `common/tsfile/tests/damage.rs`.
    for at in (0..bytes.len()).step_by(5) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0xff;
        for (damaged, is_cut) in [(&bytes[..at], true), (&flipped[..], false)] {
            fs::write(&path, damaged).expect("a file");
            for what in [PAGES, JSON, JSON_PAGES, POINTS] {
                let mut out = Vec::new();
                let told = inspect(&path, what, &mut out);
                let is_told = !matches!(told, Ok(None));
                assert!(is_told || !is_cut, "cut at {at}");
                n_told += usize::from(is_told);
                n_all += 1;
                if what.as_json && told.is_ok() {
                    serde_json::from_slice::<Value>(&out).expect("JSON, damaged or not");
                }
            }
        }
    }
    assert!(n_told * 3 > n_all * 2, "{n_told} of {n_all}");
}

#[test]
fn a_damaged_file_is_printed_and_the_damage_comes_last() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("1-1-0-0.tsfile");
    let mut bytes = fs::read(corpus("v3new/missing-columns.tsfile")).expect("a file");
    // In the body of a page.
    let third = bytes.len() / 3;
    bytes[third] ^= 1;
    fs::write(&path, bytes).expect("a file");
    let (text, damage) = printed(&path, TEXT);
    is_golden("damaged.txt", &format!("{text}\n{}\n", damage.expect("it is damaged")));
}

#[test]
fn an_encrypted_file_is_refused_by_the_name_of_its_cipher() {
    for what in [TEXT, JSON, POINTS] {
        let mut out = Vec::new();
        let error = inspect(&corpus("v4/encrypted.tsfile"), what, &mut out).expect_err("refused");
        let error = format!("{error:#}");
        assert!(
            error.contains("encrypted.tsfile") && error.contains("tidegate.Scramble"),
            "{error}"
        );
        assert!(out.is_empty());
    }
}

const FIXTURE_1_2: &str = "tests/fixtures/iotdb-1.2.2/data/datanode/data/sequence/root.mix/5/0";
const FIXTURE_2_0: &str =
    "tests/fixtures/iotdb-2.0.1-beta/data/datanode/data/sequence/root.plant/3/2810";

#[test]
fn points_leave_out_what_the_text_deletions_beside_the_file_take() {
    let path = below(FIXTURE_1_2).join("1795347690951-1-0-0.tsfile");
    let mods = fs::read_to_string(path.with_extension("tsfile.mods")).expect("deletions");
    // DELETION,path,offset,start,end
    let deletions: Vec<(String, i64, i64)> = mods
        .lines()
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let time = |at: usize| fields[at].parse().expect("a time");
            (fields[1].to_owned(), time(3), time(4))
        })
        .collect();
    let is_left = |line: &&str| {
        let fields: Vec<&str> = line.splitn(5, ',').collect();
        let Ok(time) = fields[2].parse::<i64>() else { return true };
        let series = format!("{}.{}", fields[0], fields[1]);
        !deletions.iter().any(|(deleted, start, end)| {
            let is_meant = match deleted.strip_suffix(".*") {
                Some(device) => device == fields[0],
                None => *deleted == series,
            };
            is_meant && (*start..=*end).contains(&time)
        })
    };
    let (all, left) = (sound(&path, ALL_POINTS), sound(&path, POINTS));
    let expected: Vec<&str> = all.lines().filter(is_left).collect();
    assert!(expected.len() < all.lines().count(), "the deletions take something");
    assert!(left.lines().eq(expected), "{deletions:?}");
}

#[test]
fn points_leave_out_what_the_binary_deletions_beside_the_file_take() {
    let path = below(FIXTURE_2_0).join("1795382333158-1-0-0.tsfile");
    let (all, left) = (sound(&path, ALL_POINTS), sound(&path, POINTS));
    let all: BTreeSet<&str> = all.lines().collect();
    assert!(left.lines().count() < all.len(), "they take something");
    assert!(left.lines().all(|line| all.contains(line)), "and change nothing");
}

#[test]
fn a_damaged_list_of_deletions_is_told_and_a_torn_entry_is_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("1-1-0-0.tsfile");
    fs::copy(corpus("v3new/missing-columns.tsfile"), &path).expect("a file");
    let all = sound(&path, POINTS);
    let mods = dir.path().join("1-1-0-0.tsfile.mods");
    let everything =
        "DELETION,root.**,9223372036854775807,-9223372036854775808,9223372036854775807";
    for (list, expected) in [
        (format!("{everything}\n"), (1, false)),
        (format!("{everything}\nDELETION,root"), (1, false)),
        (everything.to_owned(), (all.lines().count(), false)),
    ] {
        fs::write(&mods, &list).expect("a list");
        let (points, damage) = printed(&path, POINTS);
        assert_eq!((points.lines().count(), damage.is_some()), expected, "{list}: {damage:?}");
    }
    fs::write(dir.path().join("1-1-0-0.tsfile.mods2"), [0x77; 40]).expect("a list");
    let (points, damage) = printed(&path, POINTS);
    assert_eq!(points, all, "what can be read is printed");
    assert!(damage.expect("it is damaged").contains("FILE.mods2"));
}
