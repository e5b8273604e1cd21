//! What cargo and the sources say about this workspace, for the tests that hold its rules.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

/// The part of `cargo metadata` that the rules are about.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Metadata {
    /// Every package that a build for this machine takes.
    pub packages: Vec<Package>,
    /// Ids of the members of the workspace.
    pub workspace_members: BTreeSet<String>,
}

impl Metadata {
    /// Asks cargo, with the lock file as it is; without the network if cargo knows enough.
    ///
    /// Packages for other operating systems are left out: they are in no build of the product, and
    /// cargo would have to download them to answer.
    pub fn read() -> io::Result<Self> {
        let host = host()?;
        let ask = |offline: &[&str]| {
            run(Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
                .args(["metadata", "--format-version", "1", "--locked", "--filter-platform"])
                .arg(&host)
                .args(offline)
                .current_dir(root()))
        };
        let json = ask(&["--offline"]).or_else(|_| ask(&[]))?;
        serde_json::from_str(&json).map_err(io::Error::other)
    }

    /// The members of the workspace.
    pub fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }
}

/// One package.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Name, version and source in one.
    pub id: String,
    /// Its licence expression, if it states one.
    pub license: Option<String>,
    /// What its manifest asks for.
    pub dependencies: Vec<Dependency>,
    /// Where its manifest lies.
    pub manifest_path: PathBuf,
}

/// One dependency of a manifest.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Dependency {
    /// The package.
    pub name: String,
    /// `dev`, `build`, or nothing for an ordinary one.
    pub kind: Option<String>,
}

impl Dependency {
    /// Whether only tests and benches of its package have it.
    pub fn is_dev(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }
}

/// The directory of the workspace.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// All Rust files below `directory`, in order of their paths.
pub fn rust_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut pending = vec![directory.to_path_buf()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The triple of the machine that compiles.
fn host() -> io::Result<String> {
    let about =
        run(Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("-vV"))?;
    about
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| io::Error::other("rustc -vV names no host"))
}

fn run(command: &mut Command) -> io::Result<String> {
    let output = command.output()?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("{command:?}: {why}")));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}
