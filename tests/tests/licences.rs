//! Which packages may be in a build: by licence, by name, and in one version each.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use tidegate_tests::workspace::Metadata;

/// Licences that ask for no more than notice.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Packages with a reason against them: async runtimes (one mio loop is the edge), OpenSSL (a C
/// library outside the lock file), and a store with its own idea of durability.
const BANNED: &[&str] =
    &["async-std", "native-tls", "openssl", "openssl-sys", "sled", "smol", "tokio"];

#[test]
fn every_package_may_be_here() {
    let metadata = Metadata::read().expect("cargo metadata");
    assert!(50 < metadata.packages.len(), "cargo metadata has hardly any packages");
    assert_eq!(violations(&metadata), Vec::<String>::new());
}

/// What the rules say against the packages of `metadata`.
fn violations(metadata: &Metadata) -> Vec<String> {
    let mut found = Vec::new();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        versions.entry(name).or_default().insert(&package.version);
        if BANNED.contains(&name) {
            found.push(format!("{name} is banned"));
        }
        match &package.license {
            None => found.push(format!("{name} states no licence")),
            Some(text) => match Expression::is_satisfied(text, ALLOWED) {
                Some(true) => (),
                Some(false) => found.push(format!("{name}: licence {text} is not allowed")),
                None => found.push(format!("{name}: licence {text} cannot be read")),
            },
        }
    }
    // Two versions of what we use ourselves would let one part's types miss another's.
    let ours: BTreeSet<&str> = metadata
        .members()
        .flat_map(|member| &member.dependencies)
        .map(|dependency| dependency.name.as_str())
        .collect();
    for (name, versions) in versions {
        if ours.contains(name) && 1 < versions.len() {
            found.push(format!("{name} is here in several versions: {versions:?}"));
        }
    }
    found
}

/// A licence expression being read: names, `WITH`, `AND`, `OR`, parentheses, and the old `/` for
/// `OR`.
struct Expression<'a> {
    words: Vec<&'a str>,
    next: usize,
    allowed: &'a [&'a str],
}

impl<'a> Expression<'a> {
    /// Whether some choice that `text` leaves needs only allowed licences; `None` if it cannot be
    /// read.
    fn is_satisfied(text: &str, allowed: &[&str]) -> Option<bool> {
        let spaced = text.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
        let words = spaced.split_whitespace().collect();
        let mut expression = Expression { words, next: 0, allowed };
        let answer = expression.either()?;
        (expression.next == expression.words.len()).then_some(answer)
    }

    fn either(&mut self) -> Option<bool> {
        let mut answer = self.both()?;
        while self.take("OR") {
            answer |= self.both()?;
        }
        Some(answer)
    }

    fn both(&mut self) -> Option<bool> {
        let mut answer = self.one()?;
        while self.take("AND") {
            answer &= self.one()?;
        }
        Some(answer)
    }

    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let answer = self.either()?;
            return self.take(")").then_some(answer);
        }
        let mut licence = self.name()?.to_owned();
        if self.take("WITH") {
            licence = format!("{licence} WITH {}", self.name()?);
        }
        Some(self.allowed.contains(&licence.as_str()))
    }

    fn name(&mut self) -> Option<&'a str> {
        let word = *self.words.get(self.next)?;
        self.next += 1;
        (!matches!(word, "(" | ")" | "AND" | "OR" | "WITH")).then_some(word)
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.words.get(self.next) == Some(&word);
        self.next += usize::from(found);
        found
    }
}

#[test]
fn licence_expressions_are_read_as_they_are_meant() {
    for (text, expected) in [
        ("MIT", Some(true)),
        ("GPL-3.0-only", Some(false)),
        ("GPL-3.0-only OR MIT", Some(true)),
        ("GPL-3.0-only AND MIT", Some(false)),
        ("MIT/Apache-2.0", Some(true)),
        ("(MIT OR GPL-3.0-only) AND Unicode-3.0", Some(true)),
        ("MIT OR GPL-3.0-only AND LGPL-2.1-only", Some(true)),
        ("(MIT OR Apache-2.0) AND OpenSSL", Some(false)),
        ("Apache-2.0 WITH LLVM-exception", Some(true)),
        ("GPL-2.0-only WITH LLVM-exception", Some(false)),
        ("Apache-2.0 WITH Other-exception", Some(false)),
        ("", None),
        ("MIT OR", None),
        ("(MIT", None),
        ("MIT Apache-2.0", None),
    ] {
        assert_eq!(Expression::is_satisfied(text, ALLOWED), expected, "{text:?}");
    }
}

#[test]
fn the_rules_can_fail() {
    let package = |name: &str, version: &str, license: &str| {
        serde_json::json!({
            "name": name, "version": version, "id": format!("{name} {version}"),
            "license": if license.is_empty() { None } else { Some(license) },
            "dependencies": [{ "name": "mio", "kind": null }], "manifest_path": "",
        })
    };
    let metadata = serde_json::json!({
        "workspace_members": ["ours 1.0.0"],
        "packages": [
            package("ours", "1.0.0", "Apache-2.0"),
            package("tokio", "1.0.0", "MIT"),
            package("copyleft", "1.0.0", "GPL-3.0-only"),
            package("silent", "1.0.0", ""),
            package("mio", "0.8.0", "MIT"),
            package("mio", "1.2.0", "MIT"),
            package("not-ours", "1.0.0", "MIT"),
            package("not-ours", "2.0.0", "MIT"),
        ],
    });
    let metadata: Metadata = serde_json::from_value(metadata).expect("metadata");
    let expected = [
        "tokio is banned",
        "copyleft: licence GPL-3.0-only is not allowed",
        "silent states no licence",
        "mio is here in several versions: {\"0.8.0\", \"1.2.0\"}",
    ];
    assert_eq!(violations(&metadata), expected);
}
