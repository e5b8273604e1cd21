//! No code of this crate reaches a disk around the [`Storage`](tidegate_durable::Storage) trait, and
//! none asks a clock or starts a thread.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn only_one_file_names_the_file_system() {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 15, "the sources are where they are looked for");
    let mut doors = Vec::new();
    for path in found {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let code: Vec<&str> =
            text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let code = code.join("\n");
        for foreign in
            ["std::net", "std::thread", "std::process", "std::time", "Instant::", "SystemTime"]
        {
            assert!(!code.contains(foreign), "{name} names {foreign}");
        }
        let file_system = ["std::fs", "fs::", "os::unix", "File::options", "OpenOptions", "libc"];
        if file_system.iter().any(|word| code.contains(word)) {
            doors.push(name);
        }
    }
    doors.sort();
    // `disk.rs` asks how much room is left and opens nothing.
    assert_eq!(doors, ["dir_storage.rs", "disk.rs"]);
}
