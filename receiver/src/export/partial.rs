//! A file that is not there until it is whole: it is written beside its name, synced, and moved there.
//!
//! Nothing is replaced, not even what somebody makes under the name meanwhile. Most file systems move so
//! by themselves. NFS does not but has links, and exFAT has neither.

use std::fs;
use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::CWD;
use rustix::fs::RenameFlags;
use rustix::fs::renameat_with;

pub(super) struct Partial {
    path: PathBuf,
    beside: PathBuf,
}

impl Partial {
    /// Begins a file; one that is there under that name is not replaced.
    pub(super) fn create(path: &Path) -> Result<(Self, File), String> {
        let shown = |error: io::Error| format!("{}: {error}", path.display());
        if path.try_exists().map_err(shown)? {
            return Err(format!("{}: expected no file there, found one", path.display()));
        }
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let beside = PathBuf::from(name);
        let file = File::create_new(&beside).map_err(shown)?;
        Ok((Self { path: path.to_owned(), beside }, file))
    }

    /// Gives the file its name, unless another has it by now: then it stays where it is, since it is
    /// whole and may have taken hours.
    pub(super) fn keep(mut self, file: &File) -> Result<(), String> {
        let shown = |error: io::Error| format!("{}: {error}", self.path.display());
        file.sync_all().map_err(shown)?;
        let moved = move_to(&self.beside, &self.path, &WAYS);
        if moved.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
            let beside = core::mem::take(&mut self.beside);
            return Err(format!(
                "{}: expected no file there, found one that was made meanwhile; the export is whole, \
                 and is left as {}",
                self.path.display(),
                beside.display()
            ));
        }
        moved.map_err(shown)?;
        let parent = self.path.parent().filter(|it| !it.as_os_str().is_empty());
        let synced =
            File::open(parent.unwrap_or_else(|| Path::new("."))).and_then(|it| it.sync_all());
        synced.map_err(shown)
    }
}

/// A way to move a file to a name that must not be taken.
type Way = fn(&Path, &Path) -> io::Result<()>;

/// The first one that the file system has counts.
const WAYS: [Way; 3] = [by_renaming, by_linking, by_reserving];

fn move_to(from: &Path, to: &Path, ways: &[Way]) -> io::Result<()> {
    let mut outcome = Err(io::ErrorKind::Unsupported.into());
    for way in ways {
        outcome = way(from, to);
        match &outcome {
            Err(error) if is_unknown(error) => (),
            _ => break,
        }
    }
    outcome
}

/// Whether the file system does not know how.
fn is_unknown(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    // a link is not permitted where there are none
    matches!(error.kind(), Kind::InvalidInput | Kind::Unsupported | Kind::PermissionDenied)
}

fn by_renaming(from: &Path, to: &Path) -> io::Result<()> {
    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

fn by_linking(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}

/// What is replaced is our own: an empty file, which is there for a moment.
fn by_reserving(from: &Path, to: &Path) -> io::Result<()> {
    drop(File::create_new(to)?);
    let renamed = fs::rename(from, to);
    if renamed.is_err() {
        let _ = fs::remove_file(to);
    }
    renamed
}

impl Drop for Partial {
    fn drop(&mut self) {
        // gone already if it has its name
        if !self.beside.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.beside);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let (partial, mut file) = Partial::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        assert!(!path.exists());
        drop(partial);
        assert_eq!(names(directory.path()), Vec::<String>::new());
        let (partial, mut file) = Partial::create(&path).unwrap();
        file.write_all(b"whole").unwrap();
        partial.keep(&file).unwrap();
        assert_eq!(names(directory.path()), ["out"]);
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert!(Partial::create(&path).is_err(), "what is there is not replaced");
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }
    /// Another process may make a file under the name while an export runs: it was replaced.
    #[test]
    fn a_file_that_is_made_meanwhile_is_not_replaced_and_nothing_is_lost() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let (partial, mut file) = Partial::create(&path).unwrap();
        file.write_all(b"mine").unwrap();
        fs::write(&path, b"another's").unwrap();
        let error = partial.keep(&file).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"another's");
        assert!(error.contains("found one that was made meanwhile"), "{error}");
        let (_, left) = error.split_once("is left as ").unwrap();
        assert_eq!(fs::read(left).unwrap(), b"mine");
    }

    #[test]
    fn no_way_of_moving_replaces_a_file_and_each_moves_it() {
        for way in WAYS {
            let directory = tempfile::tempdir().unwrap();
            let [from, to] = ["from", "to"].map(|name| directory.path().join(name));
            fs::write(&from, b"whole").unwrap();
            fs::write(&to, b"another's").unwrap();
            assert_eq!(way(&from, &to).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&to).unwrap(), b"another's");
            fs::remove_file(&to).unwrap();
            way(&from, &to).unwrap();
            assert_eq!(names(directory.path()), ["to"]);
            assert_eq!(fs::read(&to).unwrap(), b"whole");
        }
    }

    #[test]
    fn what_a_file_system_does_not_know_is_done_another_way() {
        let directory = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| directory.path().join(name));
        fs::write(&from, b"whole").unwrap();
        let unknown: Way = |_, _| Err(rustix::io::Errno::INVAL.into());
        let without_links: Way = |_, _| Err(rustix::io::Errno::PERM.into());
        move_to(&from, &to, &[unknown, without_links, by_reserving]).unwrap();
        assert_eq!(names(directory.path()), ["to"]);
        // an error that says more than that ends it
        let full: Way = |_, _| Err(rustix::io::Errno::NOSPC.into());
        let error = move_to(&to, &from, &[full, by_reserving]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(names(directory.path()), ["to"]);
    }
}
