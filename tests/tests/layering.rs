//! Arrows between the crates of the workspace point one way, the inner ones name no socket, file,
//! thread or clock, and each special dependency has its place (`ARCHITECTURE.md`, "Layers").

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use tidegate_tests::workspace;
use tidegate_tests::workspace::Metadata;

/// The layers, innermost first: a crate depends on crates of earlier layers only.
const LAYERS: &[&[&str]] = &[
    &["tidegate-model"],
    &["tidegate-codec"],
    &["tidegate-sql", "tidegate-tsfile", "tidegate-wire"],
    &[
        "tidegate-columnar",
        "tidegate-config",
        "tidegate-durable",
        "tidegate-link",
        "tidegate-source",
    ],
    &["tidegate-daemon", "tidegate-store"],
    &["tidegate-query"],
    &["tidegate-receiver", "tidegate-sender"],
    &["tidegate-tests"],
];

/// Dependencies with a place, and the crates that are it. What only the tests of a crate use is
/// free.
const PLACES: &[(&str, &[&str])] = &[
    ("arrow-array", &["tidegate-columnar"]),
    ("arrow-buffer", &["tidegate-columnar"]),
    ("arrow-ipc", &["tidegate-columnar"]),
    ("arrow-schema", &["tidegate-columnar"]),
    (
        "crc32fast",
        &[
            "tidegate-durable",
            "tidegate-receiver",
            "tidegate-sender",
            "tidegate-store",
            "tidegate-tests",
            "tidegate-wire",
        ],
    ),
    ("flate2", &["tidegate-codec", "tidegate-tests"]),
    ("lz4_flex", &["tidegate-codec"]),
    ("lzma-rust2", &["tidegate-codec"]),
    ("mio", &["tidegate-receiver", "tidegate-sender", "tidegate-tests"]),
    // unsafe; the store reads with pread, and source files are never mapped
    ("memmap2", &[]),
    ("parquet", &["tidegate-columnar"]),
    ("serde", &["tidegate-daemon", "tidegate-receiver", "tidegate-sender", "tidegate-tests"]),
    ("serde_json", &["tidegate-daemon", "tidegate-receiver", "tidegate-sender", "tidegate-tests"]),
    ("signal-hook", &["tidegate-daemon", "tidegate-tests"]),
    ("snap", &["tidegate-codec"]),
    ("socket2", &["tidegate-receiver", "tidegate-sender", "tidegate-tests"]),
    ("toml", &["tidegate-config"]),
    ("zstd", &["tidegate-codec"]),
];

/// Crates that perform no I/O and read no clock.
const PURE: &[&str] = &[
    "tidegate-codec",
    "tidegate-columnar",
    "tidegate-config",
    "tidegate-link",
    "tidegate-model",
    "tidegate-source",
    "tidegate-sql",
    "tidegate-tsfile",
    "tidegate-wire",
];

/// What a pure crate does not name.
const IMPURE: &[&[&str]] = &[
    &["Instant", "now"],
    &["SystemTime", "now"],
    &["elapsed"],
    &["mio"],
    &["std", "fs"],
    &["std", "net"],
    &["std", "thread"],
];

/// What `std::net` has that is a value and not a socket.
const ADDRESSES: &[&str] = &[
    "AddrParseError",
    "IpAddr",
    "Ipv4Addr",
    "Ipv6Addr",
    "SocketAddr",
    "SocketAddrV4",
    "SocketAddrV6",
];

#[test]
fn arrows_point_one_way_and_each_dependency_has_its_place() {
    let metadata = Metadata::read().expect("cargo metadata");
    assert_eq!(misplaced(&metadata), Vec::<String>::new());
}

#[test]
fn pure_crates_name_no_socket_file_thread_or_clock() {
    let metadata = Metadata::read().expect("cargo metadata");
    let mut found = Vec::new();
    let mut n_crates = 0;
    for member in metadata.members().filter(|member| PURE.contains(&member.name.as_str())) {
        n_crates += 1;
        let source = member.manifest_path.with_file_name("src");
        for (shown, text) in product_files(&source) {
            found.extend(impurities(&text).into_iter().map(|what| format!("{shown}: {what}")));
        }
    }
    assert_eq!(n_crates, PURE.len(), "a pure crate is missing");
    assert_eq!(found, Vec::<String>::new());
}

/// Files of the product that make directories. All but the last sync the entry in the parent; the
/// directory of a control socket holds nothing that outlives the process.
const DIRECTORY_MAKERS: &[&str] = &[
    "common/durable/src/dir_storage.rs",
    "receiver/src/target.rs",
    "common/daemon/src/control.rs",
];

/// A state directory whose name in its parent was never synced is gone after a power cut, with all
/// that was acknowledged in it.
#[test]
fn directories_are_made_only_where_their_entries_are_synced() {
    let mut makers = Vec::new();
    for source in [
        "common/durable/src",
        "common/daemon/src",
        "common/store/src",
        "receiver/src",
        "sender/src",
    ] {
        let files = product_files(&workspace::root().join(source)).into_iter();
        makers.extend(files.filter(|(_, text)| makes_directories(text)).map(|(shown, _)| shown));
    }
    let is_known = |maker: &String| DIRECTORY_MAKERS.contains(&maker.as_str());
    assert!(makers.iter().all(is_known), "{makers:?}");
    assert_eq!(makers.len(), DIRECTORY_MAKERS.len(), "{makers:?}");
}

fn makes_directories(text: &str) -> bool {
    let makers = ["create_dir", "create_dir_all", "DirBuilder"];
    without_tests(words(text)).iter().any(|word| makers.contains(&word.as_str()))
}

/// What the rules say against the dependencies of the workspace's members.
fn misplaced(metadata: &Metadata) -> Vec<String> {
    let layer = |name: &str| LAYERS.iter().position(|layer| layer.contains(&name));
    let first_edge = layer("tidegate-sender");
    let mut found = Vec::new();
    for member in metadata.members() {
        let name = member.name.as_str();
        let Some(own) = layer(name) else {
            found.push(format!("{name} has no layer"));
            continue;
        };
        for dependency in &member.dependencies {
            let other = dependency.name.as_str();
            match layer(other) {
                // Tests of a crate may look sideways, but not at the edge.
                Some(theirs) if dependency.is_dev() => {
                    if Some(own) < first_edge && first_edge <= Some(theirs) {
                        found.push(format!("{name} -> {other} (dev)"));
                    }
                }
                Some(theirs) if theirs < own => (),
                Some(_) => found.push(format!("{name} -> {other}")),
                None if dependency.is_dev() => (),
                None => {
                    let place = PLACES.iter().find(|(placed, _)| *placed == other);
                    if place.is_some_and(|(_, crates)| !crates.contains(&name)) {
                        found.push(format!("{other} has no place in {name}"));
                    }
                }
            }
        }
    }
    found
}

/// The files below a folder that are no tests, by their paths in the workspace, with their text.
fn product_files(source: &Path) -> Vec<(String, String)> {
    let mut files = workspace::rust_files(source).expect("source files");
    files.retain(|path| !is_test_file(source, path));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a source file");
        (path.strip_prefix(workspace::root()).unwrap_or(&path).display().to_string(), text)
    };
    files.into_iter().map(read).collect()
}

/// Whether a file holds nothing but tests, by its name: `tests.rs`, `…_tests.rs`, `tests/…`.
fn is_test_file(source: &Path, path: &Path) -> bool {
    let path = path.strip_prefix(source).unwrap_or(path).with_extension("");
    path.iter().any(|part| {
        let part = part.to_string_lossy();
        part == "tests" || part.ends_with("_tests")
    })
}

/// What of [`IMPURE`] the code of a file names, its tests, comments and texts apart.
fn impurities(text: &str) -> Vec<String> {
    let words = without_tests(words(text));
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| words.get(before)).map(String::as_str);
        for path in IMPURE {
            match path[..] {
                // A call, not a value of that name.
                ["elapsed"] if word == "elapsed" && before == Some(".") => {
                    found.push("elapsed".to_owned());
                }
                ["mio"] if word == "mio" && before != Some("::") => found.push("mio".to_owned()),
                [first, second] if word == first => {
                    let taken = members_of(&words[at + 1..]);
                    let bad = taken.iter().filter(|path| path[0] == second && !is_address(path));
                    found.extend(bad.map(|_| format!("{first}::{second}")));
                }
                _ => (),
            }
        }
    }
    found
}

/// Whether a path below `std` is a value of its `net`.
fn is_address(path: &[String]) -> bool {
    path[0] == "net" && path.get(1).is_some_and(|name| ADDRESSES.contains(&name.as_str()))
}

/// `words` without each `#[cfg(test)] mod … { … }`.
fn without_tests(words: Vec<String>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut rest = &words[..];
    while let Some(word) = rest.first() {
        let head: Vec<&str> = rest.iter().take(10).map(String::as_str).collect();
        if let ["#", "[", "cfg", "(", "test", ")", "]", "mod", _, "{"] = head[..] {
            let mut depth = 0;
            let end = rest.iter().position(|word| {
                depth += i32::from(word == "{") - i32::from(word == "}");
                depth == 0 && word == "}"
            });
            rest = &rest[end.map_or(rest.len(), |end| end + 1)..];
        } else {
            kept.push(word.clone());
            rest = &rest[1..];
        }
    }
    kept
}

/// The paths, relative to a name, that follow it: `::a::b` gives `a b`, `::{a::b, c}` gives `a b`
/// and `c`, `::a::{b, c}` gives `a b` and `a c`. A path that goes nowhere is left out.
fn members_of(words: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut prefixes: Vec<Vec<String>> = vec![Vec::new()];
    let mut path: Vec<String> = Vec::new();
    let mut after_colons = false;
    for word in words {
        match word.as_str() {
            "::" => after_colons = true,
            "{" if after_colons => {
                prefixes.push(path.clone());
                after_colons = false;
            }
            "," | "}" if 1 < prefixes.len() => {
                found.push(path);
                if word == "}" {
                    prefixes.pop();
                }
                path = prefixes.last().cloned().unwrap_or_default();
                if prefixes.len() == 1 {
                    path.clear();
                    break;
                }
                after_colons = false;
            }
            name if after_colons || 1 < prefixes.len() => {
                path.push(name.to_owned());
                after_colons = false;
            }
            _ => break,
        }
    }
    found.push(path);
    found.retain(|path| !path.is_empty());
    found
}

/// Names and punctuation of a source text, `::` as one word; comments and the insides of texts left
/// out.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = literal(rest) {
            length
        } else if rest.starts_with("::") {
            words.push("::".to_owned());
            2
        } else if first.is_alphanumeric() || first == '_' {
            let is_inside = |c: char| c.is_alphanumeric() || c == '_';
            let length = rest.find(|c| !is_inside(c)).unwrap_or(rest.len());
            words.push(rest[..length].to_owned());
            length
        } else {
            if !first.is_whitespace() {
                words.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    words
}

/// Length of the comment, nested ones included, with which `text` begins.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Length of the text or character with which `text` begins; `None` if it begins with neither.
fn literal(text: &str) -> Option<usize> {
    let unprefixed = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - unprefixed.len();
    if let Some(raw) = unprefixed.strip_prefix('r').filter(|_| prefix <= 1) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if prefix <= 1 && raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = prefix + 1 + hashes + 1;
            return Some(text[body..].find(&end).map_or(text.len(), |at| body + at + end.len()));
        }
    }
    let (quote, inside) = match unprefixed.chars().next()? {
        '"' if prefix <= 1 => ('"', &unprefixed[1..]),
        '\'' if prefix <= 1 && is_character(unprefixed) => ('\'', &unprefixed[1..]),
        _ => return None,
    };
    let mut is_escaped = false;
    for (at, c) in inside.char_indices() {
        if c == quote && !is_escaped {
            return Some(prefix + 1 + at + 1);
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    Some(text.len())
}

/// Whether a quote begins a character and not a lifetime.
fn is_character(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    let first = chars.next();
    first == Some('\\') || chars.next() == Some('\'')
}

#[test]
fn the_rules_about_sources_can_fail() {
    for (text, expected) in [
        ("fn f() { let t = Instant::now(); }", &["Instant::now"][..]),
        ("fn f() { std::time::Instant::now() }", &["Instant::now"]),
        ("let t = SystemTime :: now();", &["SystemTime::now"]),
        ("started.elapsed()", &["elapsed"]),
        ("use std::fs;", &["std::fs"]),
        ("use std::fs::File;", &["std::fs"]),
        ("use std::{io, fs::File, time::Instant};", &["std::fs"]),
        ("use std::{io, thread};", &["std::thread"]),
        ("::std::thread::spawn(f)", &["std::thread"]),
        ("use std::net::TcpStream;", &["std::net"]),
        ("use std::net;", &["std::net"]),
        ("use std::net::{IpAddr, TcpListener};", &["std::net"]),
        ("use std::{net::{IpAddr, UdpSocket}, io};", &["std::net"]),
        ("use std::net::*;", &["std::net"]),
        ("use mio::Poll;", &["mio"]),
        ("const Q: char = '\"'; use mio::Poll; const R: char = '\\'';", &["mio"]),
        ("fn f<'a>(x: &'a str) { std::fs::read(x) }", &["std::fs"]),
        ("/* a /* b */ c */ use std::fs;", &["std::fs"]),
        ("#[cfg(test)] use x; use std::fs;", &["std::fs"]),
        ("#[cfg(test)] mod tests { fn f() {} } use std::fs;", &["std::fs"]),
        ("#[cfg(test)] mod tests; use std::fs;", &["std::fs"]),
        // All of these are as they should be.
        ("fn f(elapsed: Duration) { elapsed }", &[]),
        ("use std::net::IpAddr; use core::net::SocketAddr;", &[]),
        ("use std::net::{IpAddr, SocketAddr};", &[]),
        ("use std::{net::IpAddr, io::Read};", &[]),
        ("use std::time::Instant; fn f(now: Instant) {}", &[]),
        ("// std::fs, mio\n/* mio */ fn f() { \"std::fs \\\" mio\"; r#\"mio \" mio\"# }", &[]),
        ("fn fs() {} use crate::fs; use crate::mio_like; let b = b\"mio\";", &[]),
        ("fn f() {}\n#[cfg(test)]\nmod tests { use std::fs; }", &[]),
    ] {
        assert_eq!(impurities(text), expected, "{text}");
    }
    assert!(makes_directories("fn f() { fs::create_dir_all(path) }"));
    assert!(makes_directories("use std::fs::DirBuilder;"));
    assert!(!makes_directories(
        "// create_dir\n#[cfg(test)]\nmod tests { fn f() { create_dir() } }"
    ));
    let source = Path::new("a/tests/src");
    assert!(is_test_file(source, Path::new("a/tests/src/frame/tests.rs")));
    assert!(is_test_file(source, Path::new("a/tests/src/frame_tests.rs")));
    assert!(is_test_file(source, Path::new("a/tests/src/tests/pair.rs")));
    assert!(!is_test_file(source, Path::new("a/tests/src/frame.rs")));
    assert!(!is_test_file(source, Path::new("a/tests/src/contests.rs")));
}

#[test]
fn the_rules_about_dependencies_can_fail() {
    let package = |name: &str, dependencies: &[(&str, Option<&str>)]| {
        let dependencies: Vec<_> = dependencies
            .iter()
            .map(|(name, kind)| serde_json::json!({ "name": name, "kind": kind }))
            .collect();
        serde_json::json!({
            "name": name, "version": "1.0.0", "id": name, "license": null,
            "dependencies": dependencies, "manifest_path": "",
        })
    };
    let packages = [
        package("tidegate-codec", &[("tidegate-model", None), ("zstd", None)]),
        package("tidegate-model", &[("tidegate-codec", None), ("serde", None)]),
        package("tidegate-link", &[("tidegate-source", None), ("tidegate-source", Some("dev"))]),
        package(
            "tidegate-wire",
            &[("mio", None), ("flate2", Some("dev")), ("socket2", Some("build")), ("serde", None)],
        ),
        package("tidegate-config", &[("toml", None), ("tidegate-sender", Some("dev"))]),
        package(
            "tidegate-sender",
            &[("tidegate-receiver", None), ("mio", None), ("memmap2", None)],
        ),
        package("tidegate-receiver", &[("serde", None), ("memmap2", Some("dev"))]),
        package("tidegate-new", &[]),
    ];
    let members: Vec<_> = packages.iter().map(|package| package["name"].clone()).collect();
    let metadata = serde_json::json!({ "workspace_members": members, "packages": packages });
    let metadata: Metadata = serde_json::from_value(metadata).expect("metadata");
    let expected = [
        "tidegate-model -> tidegate-codec",
        "serde has no place in tidegate-model",
        "tidegate-link -> tidegate-source",
        "mio has no place in tidegate-wire",
        "socket2 has no place in tidegate-wire",
        "serde has no place in tidegate-wire",
        "tidegate-config -> tidegate-sender (dev)",
        "tidegate-sender -> tidegate-receiver",
        "memmap2 has no place in tidegate-sender",
        "tidegate-new has no layer",
    ];
    assert_eq!(misplaced(&metadata), expected);
}
