//! Whether what lies at the source lies at the far side: every file, byte for byte.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use sha2::Digest;
use sha2::Sha256;

/// A file and what is in it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // facts
pub struct Content {
    /// Where it lies.
    pub path: PathBuf,
    /// Its length.
    pub length_bytes: u64,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
}

/// What a receiver's directory target holds: for each name the copies, in order of arrival.
pub type Arrived = BTreeMap<String, Vec<Content>>;

/// A line of a manifest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Listed {
    /// Its place in the arrival sequence, which a TsFile shares with its deletions.
    pub(crate) sequence: u64,
    /// The name on the wire.
    pub(crate) name: String,
    pub(crate) length_bytes: u64,
    pub(crate) sha256: String,
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// The database of the table model.
    pub(crate) database: Option<String>,
}

/// How source and far side compare.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs)] // read field by field
pub struct Comparison {
    /// Files of the source that arrived with the same bytes.
    pub n_equal: usize,
    /// Their bytes.
    pub equal_bytes: u64,
    /// Copies beyond the first.
    pub n_repeated: usize,
    /// What is wrong: a file that is missing, that differs, or that nobody sent.
    pub faults: Vec<String>,
}

/// Sealed TsFiles of a data directory and the deletions beside them, by their names on the wire.
pub fn sealed_files(data_dir: &Path) -> Result<BTreeMap<String, Content>> {
    let mut found = BTreeMap::new();
    for (space, mark) in [("sequence", 's'), ("unsequence", 'u')] {
        for database in children(&data_dir.join(space))? {
            for region in children(&database)? {
                for partition in children(&region)? {
                    for file in children(&partition)? {
                        let tail = [&database, &region, &partition].map(|dir| name_of(dir));
                        let tail = format!("-{mark}.{}.tsfile", tail.join("."));
                        let Some(stem) = name_of(&file).strip_suffix(".tsfile").map(str::to_owned)
                        else {
                            continue;
                        };
                        if !beside(&file, ".resource").is_file() {
                            continue;
                        }
                        for mods in [".mods", ".mods2"] {
                            let mods_path = beside(&file, mods);
                            if mods_path.is_file() {
                                found.insert(format!("{stem}{tail}{mods}"), content(&mods_path)?);
                            }
                        }
                        found.insert(format!("{stem}{tail}"), content(&file)?);
                    }
                }
            }
        }
    }
    Ok(found)
}

/// Everything that the manifests of a receiver's directory list, checked against the files.
pub fn arrived(directory: &Path) -> Result<Arrived> {
    let mut found = Arrived::new();
    for Listed { name, path, length_bytes, sha256, .. } in manifests(directory)? {
        let content = content(&path)?;
        ensure!(
            (content.length_bytes, &content.sha256) == (length_bytes, &sha256),
            "{name} is not what its manifest says: {content:?}, {length_bytes} {sha256}"
        );
        found.entry(name).or_default().push(content);
    }
    Ok(found)
}

/// All lines of the manifests of a receiver's directory.
pub(crate) fn manifests(directory: &Path) -> Result<Vec<Listed>> {
    let mut found = Vec::new();
    for origin in children(directory)?.into_iter().filter(|path| path.is_dir()) {
        let manifest = origin.join("manifest.tsv");
        let text = match fs::read_to_string(&manifest) {
            Ok(text) => text,
            // The directory comes first, then the file, then the manifest.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(error).with_context(|| format!("reading {}", manifest.display()));
            }
        };
        // A line that is being written does not count yet.
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [sequence, _, name, length, _, sha256, _, stored, database] = fields[..] else {
                anyhow::bail!("{}: expected 9 fields, found {line:?}", manifest.display());
            };
            found.push(Listed {
                sequence: sequence.parse()?,
                name: name.to_owned(),
                length_bytes: length.parse()?,
                sha256: sha256.to_owned(),
                path: origin.join(stored),
                database: (database != "-").then(|| database.to_owned()),
            });
        }
    }
    Ok(found)
}

/// Compares what was there with what arrived.
pub fn compare(source: &BTreeMap<String, Content>, arrived: &Arrived) -> Comparison {
    let mut comparison = Comparison::default();
    for (name, content) in source {
        let Some(copies) = arrived.get(name) else {
            comparison.faults.push(format!("{name} did not arrive"));
            continue;
        };
        comparison.n_repeated += copies.len() - 1;
        match copies.iter().find(|copy| copy.sha256 != content.sha256) {
            Some(copy) => comparison.faults.push(format!("{name} differs in {copy:?}")),
            None => {
                comparison.n_equal += 1;
                comparison.equal_bytes += content.length_bytes;
            }
        }
    }
    for name in arrived.keys().filter(|name| !source.contains_key(*name)) {
        comparison.faults.push(format!("{name} arrived, but is not at the source"));
    }
    comparison
}

fn content(path: &Path) -> Result<Content> {
    let reading = || format!("reading {}", path.display());
    let mut file = File::open(path).with_context(reading)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut length_bytes = 0;
    loop {
        let n_bytes = file.read(&mut buffer).with_context(reading)?;
        if n_bytes == 0 {
            break;
        }
        hash.update(&buffer[..n_bytes]);
        length_bytes += n_bytes as u64;
    }
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Content { path: path.to_owned(), length_bytes, sha256 })
}

fn children(dir: &Path) -> Result<Vec<PathBuf>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let listing = || format!("listing {}", dir.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).with_context(listing)? {
        paths.push(entry.with_context(listing)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
