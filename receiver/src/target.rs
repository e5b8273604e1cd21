//! Which directory is the target, and whether it is there.
//!
//! A target may be a mount. One that goes away must not be made anew below its mount point, where
//! nobody looks for the files. So it is made once, and a marker is left in it whose id the state
//! remembers; whatever has no such marker is not the target, and is waited for.

use std::fs;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;
use tidegate_daemon::files::read_at_most;
use tidegate_durable::DirStorage;
use tidegate_durable::FileName;
use tidegate_durable::Storage;
use tidegate_durable::TwoSlot;

use crate::sealer::sync_directory;
use crate::state::two_slot;
use crate::writer::create_anew;
use crate::writer::named;

/// What the state remembers of it, among its small facts.
const NAME: &str = "target";

/// The file in the target. No origin begins with a dot, so it is in nobody's way.
const MARKER_NAME: &str = ".tidegate-target";

/// Longest marker that is read.
const MARKER_BYTES_MAX: usize = 64;

/// What the state remembers.
#[derive(Deserialize, Serialize)]
struct Known {
    path: String,
    id: String,
}

/// The target that is meant.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    directory: PathBuf,
    id: String,
}

impl Target {
    /// The target at `directory`. It is made only if `memory` knows none of that path; one that has
    /// a marker already is taken over.
    pub(crate) fn open<S: Storage>(memory: &S, directory: &Path) -> Result<Self, String> {
        let failed = |error: &dyn core::fmt::Display| format!("memory: target: {error}");
        let (mut slot, content) = two_slot(memory, NAME)?;
        let path = directory.display().to_string();
        if let Some(bytes) = content {
            // never taken for a first start
            let known: Known = serde_json::from_slice(&bytes).map_err(|e| failed(&e))?;
            if known.path == path {
                return Ok(Self { directory: directory.to_owned(), id: known.id });
            }
        }
        let shown = |error: io::Error| format!("{path}: {error}");
        // with its parents, and durably: files are moved into it
        DirStorage::open(directory).map_err(shown)?;
        let id = match read_marker(directory) {
            Ok(id) => id,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let id = uuid::Uuid::new_v4().to_string();
                write_marker(directory, &id).map_err(shown)?;
                id
            }
            Err(error) => return Err(shown(error)),
        };
        let known = Known { path, id };
        let bytes = serde_json::to_vec(&known).map_err(|e| failed(&e))?;
        slot.write(&bytes).map_err(|e| failed(&e))?;
        Ok(Self { directory: directory.to_owned(), id: known.id })
    }

    /// The target at `directory` as the state in `memory` knows it, changing nothing; `None` if it knows
    /// none of that path.
    pub(crate) fn known(memory: &Path, directory: &Path) -> Result<Option<Self>, String> {
        let shown = |error: &dyn core::fmt::Display| format!("{}: {error}", memory.display());
        let storage = DirStorage::existing(memory).map_err(|error| shown(&error))?;
        let name = FileName::new(NAME).map_err(|error| shown(&error))?;
        let content = TwoSlot::inspect(&storage, &name).map_err(|error| shown(&error))?;
        let known = content.payload.map(|bytes| serde_json::from_slice::<Known>(&bytes));
        let known = known.transpose().map_err(|error| shown(&error))?;
        let known = known.filter(|known| known.path == directory.display().to_string());
        Ok(known.map(|known| Self { directory: directory.to_owned(), id: known.id }))
    }

    /// Where it is.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// What its marker says.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// An error that may pass unless the marker is there, whatever keeps it from being read.
    pub(crate) fn check(&self) -> io::Result<()> {
        let found = match read_marker(&self.directory) {
            Ok(id) if id == self.id => return Ok(()),
            Ok(_) => String::from("of another target"),
            Err(error) => error.to_string(),
        };
        let (directory, id) = (self.directory.display(), &self.id);
        let message = format!(
            "target away: expected {directory}/{MARKER_NAME} with {id} in it, found: {found}"
        );
        Err(io::Error::new(io::ErrorKind::NotFound, message))
    }

    /// Makes the directory of an origin in the target where there is none; durable on return.
    pub(crate) fn origin(&self, origin: &str) -> io::Result<PathBuf> {
        self.check()?;
        let directory = self.directory.join(origin);
        match fs::create_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => {}
            outcome => outcome
                .map_err(|error| named(&error, "create", &directory.display().to_string()))?,
        }
        // also where it was there: an earlier run may have made it and gone
        sync_directory(&self.directory)?;
        Ok(directory)
    }
}

fn read_marker(directory: &Path) -> io::Result<String> {
    let bytes = read_at_most(&directory.join(MARKER_NAME), MARKER_BYTES_MAX)?;
    let text = str::from_utf8(&bytes).unwrap_or_default().trim_end();
    match text.len() {
        1..=MARKER_BYTES_MAX => Ok(text.to_owned()),
        _ => Err(io::Error::other(format!("{MARKER_NAME} is not one short line"))),
    }
}

/// Under another name first, so that a marker is whole or not there.
fn write_marker(directory: &Path, id: &str) -> io::Result<()> {
    let beside = directory.join(".tidegate-target.new");
    let mut file = create_anew(&beside)?;
    writeln!(file, "{id}")?;
    file.sync_all()?;
    fs::rename(&beside, directory.join(MARKER_NAME))?;
    sync_directory(directory)
}

#[cfg(test)]
mod tests {
    use tidegate_durable::sim::SimStorage;

    use super::*;

    #[test]
    fn a_target_is_made_once_and_known_by_its_marker_from_then_on() {
        let root = tempfile::tempdir().unwrap();
        let (memory, directory) = (SimStorage::new(), root.path().join("a/b"));
        let target = Target::open(&memory, &directory).unwrap();
        target.check().unwrap();
        target.origin("plant").unwrap();
        fs::rename(&directory, root.path().join("away")).unwrap();
        for round in ["while it runs", "after a restart"] {
            let target = Target::open(&memory, &directory).unwrap();
            let error = target.check().expect_err(round);
            assert!(error.to_string().contains("target away"), "{error}");
            assert!(crate::disk::may_pass(&error) && target.origin("plant").is_err());
            assert!(!directory.exists(), "{round}");
        }
        // a directory in its place is not the target, nor is what holds another's marker
        fs::create_dir(&directory).unwrap();
        assert!(target.check().is_err() && target.origin("plant").is_err());
        for text in ["", "another\n", &"x".repeat(100)] {
            fs::write(directory.join(MARKER_NAME), text).unwrap();
            assert!(target.check().is_err(), "{text:?}");
        }
        // what the manual says for a directory that is to be begun anew
        fs::write(directory.join(MARKER_NAME), format!("{}\n", target.id)).unwrap();
        target.check().unwrap();
    }

    /// Whoever may write to the target could stop the loader for good, or fill its memory.
    #[test]
    fn a_marker_that_is_no_short_file_is_neither_waited_for_nor_read_whole() {
        let root = tempfile::tempdir().unwrap();
        let target = Target::open(&SimStorage::new(), root.path()).unwrap();
        let marker = root.path().join(MARKER_NAME);
        let refused = |found: &str| {
            let error = target.check().expect_err(found).to_string();
            assert!(error.contains("target away") && error.contains(found), "{error}");
            assert!(Target::open(&SimStorage::new(), root.path()).is_err(), "{found}");
        };
        fs::remove_file(&marker).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &marker, rustix::fs::Mode::RWXU).unwrap();
        refused("expected a regular file");
        fs::remove_file(&marker).unwrap();
        fs::File::create(&marker).unwrap().set_len(1 << 40).unwrap();
        refused("not one short line");
    }

    /// It was opened to be written, which waits for a reader.
    #[test]
    fn what_an_earlier_start_has_left_beside_the_marker_is_in_nobodys_way() {
        let root = tempfile::tempdir().unwrap();
        let beside = root.path().join(".tidegate-target.new");
        rustix::fs::mkfifoat(rustix::fs::CWD, &beside, rustix::fs::Mode::RWXU).unwrap();
        let target = Target::open(&SimStorage::new(), root.path()).unwrap();
        target.check().unwrap();
        assert!(!beside.exists());
    }
}
