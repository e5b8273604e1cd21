//! A file that is not there until it is whole: it is written beside its name, synced, and moved there.

use std::fs;
use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;

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

    /// Gives the file its name.
    pub(super) fn keep(self, file: &File) -> io::Result<()> {
        file.sync_all()?;
        fs::rename(&self.beside, &self.path)?;
        let parent = self.path.parent().filter(|it| !it.as_os_str().is_empty());
        File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // gone already if it was kept
        let _ = fs::remove_file(&self.beside);
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
}
