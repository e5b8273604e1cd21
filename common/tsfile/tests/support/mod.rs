//! What the tests share: the files that real IoTDBs and their classes wrote.

#![allow(dead_code, unreachable_pub)] // each test file uses its part

use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// A file with its name (of the case, or its path).
pub struct Sample {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Files of real servers whose names end with `suffix`: those of `tests/fixtures`, and in
/// `tests/data` one of 1.2.2 and one of 2.0.1-beta with several devices.
pub fn real(suffix: &str) -> Vec<Sample> {
    let mut found = Vec::new();
    collect(&manifest_path("../../tests/fixtures"), suffix, &mut found);
    collect(&manifest_path("tests/data"), suffix, &mut found);
    found.sort();
    let read =
        |path: PathBuf| Sample { name: path.display().to_string(), bytes: fs::read(path).unwrap() };
    found.into_iter().map(read).collect()
}

/// Files that IoTDB's classes wrote, with the texts that say what is in them.
pub fn golden(kind: &str) -> Vec<(Sample, String)> {
    let suffix = format!(".{kind}.hex");
    let mut found = Vec::new();
    collect(&manifest_path("tests/golden"), &suffix, &mut found);
    found.sort();
    assert!(!found.is_empty(), "tests/golden has no {suffix}");
    let read = |path: PathBuf| {
        let bytes = from_hex(fs::read_to_string(&path).unwrap().trim());
        let text = fs::read_to_string(path.with_extension("txt")).unwrap();
        (Sample { name: path.file_name().unwrap().display().to_string(), bytes }, text)
    };
    found.into_iter().map(read).collect()
}

/// Both.
pub fn all(kind: &str) -> Vec<Sample> {
    let golden = golden(kind).into_iter().map(|(sample, _)| sample);
    real(&format!(".{kind}")).into_iter().chain(golden).collect()
}

fn collect(folder: &Path, suffix: &str, found: &mut Vec<PathBuf>) {
    for entry in
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, suffix, found);
        } else if path.to_string_lossy().ends_with(suffix) {
            found.push(path);
        }
    }
}

pub fn manifest_path(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn from_hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "half a byte in {text:?}");
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(byte).collect()
}
