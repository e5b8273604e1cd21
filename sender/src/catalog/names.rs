//! Which files lie in a partition folder, judging by their names.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use tidegate_source::TsFileName;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::RESOURCE_SUFFIX;

/// More than this in one folder is refused with an error: a listing cut short would make files look
/// as if they had vanished.
pub(super) const ENTRIES_PER_FOLDER_MAX: usize = 1_000_000;
/// What IoTDB 1.x adds to a mods file's name while it writes it anew: then the list itself is
/// missing for a moment.
pub(super) const SETTLE_SUFFIX: &str = ".settle";

/// What there is under one name.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Beside {
    /// The TsFile itself.
    pub(super) ts_file: bool,
    pub(super) resource: bool,
    pub(super) binary_mods: bool,
    pub(super) text_mods: bool,
    /// The text mods, as they are written anew.
    pub(super) settling: bool,
}

impl Beside {
    pub(super) fn has(self, kind: ModsKind) -> bool {
        match kind {
            ModsKind::Binary => self.binary_mods,
            ModsKind::Text => self.text_mods,
        }
    }
}

/// The files of a folder by the name of their TsFile; all else is foreign and left out.
pub(super) fn read_names(dir: &Path) -> io::Result<BTreeMap<TsFileName, Beside>> {
    read_at_most(dir, ENTRIES_PER_FOLDER_MAX)
}

fn read_at_most(dir: &Path, entries_max: usize) -> io::Result<BTreeMap<TsFileName, Beside>> {
    let mut names: BTreeMap<TsFileName, Beside> = BTreeMap::new();
    for (at, entry) in fs::read_dir(dir)?.enumerate() {
        if at >= entries_max {
            return Err(too_many_entries());
        }
        let name = entry?.file_name();
        let Some((ts_file, suffix)) = name.to_str().and_then(split) else { continue };
        let beside = match suffix {
            "" | RESOURCE_SUFFIX | ".mods" | ".mods2" | ".mods.settle" => {
                names.entry(ts_file).or_default()
            }
            _ => continue,
        };
        match suffix {
            "" => beside.ts_file = true,
            RESOURCE_SUFFIX => beside.resource = true,
            ".mods" => beside.text_mods = true,
            ".mods2" => beside.binary_mods = true,
            _ => beside.settling = true,
        }
    }
    Ok(names)
}

/// The TsFile that a name belongs to, and what stands behind the TsFile's name.
pub(crate) fn split(name: &str) -> Option<(TsFileName, &str)> {
    let end = name.find(TS_FILE_SUFFIX)? + TS_FILE_SUFFIX.len();
    let (ts_file, suffix) = name.split_at_checked(end)?;
    let is_canonical = |part: &str| part == "0" || !part.starts_with('0');
    let numbers = ts_file.strip_suffix(TS_FILE_SUFFIX)?;
    // Others could not be found again by the name that is kept of them.
    let parsed = TsFileName::parse(ts_file).filter(|_| numbers.split('-').all(is_canonical))?;
    Some((parsed, suffix))
}

const TS_FILE_SUFFIX: &str = ".tsfile";

pub(super) fn too_many_entries() -> io::Error {
    io::Error::other(format!("expected at most {ENTRIES_PER_FOLDER_MAX} entries"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_listed_whole_or_not_at_all() {
        let dir = tempfile::tempdir().expect("a directory");
        for at in 0..10 {
            fs::write(dir.path().join(format!("{at}-1-0-0.tsfile")), b"").expect("a file");
        }
        assert!(read_at_most(dir.path(), 9).is_err());
        for entries_max in [10, 11] {
            assert_eq!(read_at_most(dir.path(), entries_max).expect("names").len(), 10);
        }
    }

    #[test]
    fn names_belong_to_the_tsfile_that_they_begin_with() {
        let name = TsFileName::parse("7-1-0-0.tsfile").expect("a name");
        for suffix in ["", ".resource", ".mods", ".mods2", ".compaction.mods", ".resource.temp"] {
            assert_eq!(split(&format!("7-1-0-0.tsfile{suffix}")), Some((name, suffix)));
        }
        for foreign in
            ["7-1-0-0.inner", "07-1-0-0.tsfile", "7-1-0-00.tsfile", "x.tsfile", ".tsfile"]
        {
            assert_eq!(split(foreign), None, "{foreign}");
        }
    }
}
