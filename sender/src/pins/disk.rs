//! Links and copies in a directory of the sender's own.
//!
//! A pin is named after what its file is recognised by: `<inode>-<length>-<mtime>.link.tsfile`, or
//! `.copy.tsfile`, with `.mods` or `.mods2` behind it for the deletions. So after a restart the name
//! says whose pin it is.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use tidegate_durable::make_directory;
use tidegate_source::FileIdentity;
use tidegate_tsfile::ModsKind;

use super::store::Held;
use super::store::HeldMods;
use super::store::Pin;
use crate::catalog;

/// Where links and copies go.
#[derive(Debug)]
pub(super) struct PinDir {
    path: PathBuf,
    device: u64,
}

/// How a file is kept in a directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    Link,
    Copy,
}

const LINK: &str = ".link.tsfile";
const COPY: &str = ".copy.tsfile";
/// What is behind a copy's name until it is whole.
const PART: &str = ".part";
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

impl PinDir {
    /// Makes the directory, if it is not there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        make_directory(path, DIR_MODE).map_err(named)?;
        let device = fs::metadata(path).map_err(named)?.dev();
        Ok(Self { path: path.to_owned(), device })
    }

    /// Whether a link to a file of that device can be made here.
    pub(super) fn is_on(&self, device: u64) -> bool {
        self.device == device
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Pins that an earlier run has left, without a number. What cannot be one any more is removed.
    pub(super) fn read(&self) -> io::Result<Vec<(FileIdentity, Pin)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str() else { continue };
            let path = self.path.join(name);
            if name.ends_with(PART) {
                fs::remove_file(&path)?;
                continue;
            }
            let Some((identity, way)) = parse(name) else { continue };
            let facts = fs::symlink_metadata(&path)?;
            let is_sound = facts.is_file()
                && match way {
                    Way::Link => catalog::identity(&facts) == identity,
                    Way::Copy => facts.len() == identity.length_bytes,
                };
            if !is_sound {
                fs::remove_file(&path)?;
                continue;
            }
            let mods = [ModsKind::Binary, ModsKind::Text].into_iter().find_map(|kind| {
                let path = with_suffix(&path, kind.suffix());
                let facts = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?;
                let inode = (way == Way::Link).then(|| facts.ino());
                Some(HeldMods { kind, held: way.held(path), inode })
            });
            found.push((identity, Pin { file: way.held(path), mods, serial: 0 }));
        }
        Ok(found)
    }

    /// Keeps a file.
    ///
    /// # Errors
    /// Among others, [`io::ErrorKind::NotFound`] if it is gone or another one.
    pub(super) fn keep(&self, way: Way, from: &Path, identity: FileIdentity) -> io::Result<Held> {
        let to = self.path.join(name_of(identity, way));
        way.keep(from, to, identity.length_bytes, |facts| catalog::identity(facts) == identity)
    }

    /// Keeps the deletions beside a file: of a list that is copied, `length_bytes` of it.
    pub(super) fn keep_mods(
        &self,
        way: Way,
        (from, kind): (&Path, ModsKind),
        file: FileIdentity,
        inode: u64,
        length_bytes: u64,
    ) -> io::Result<HeldMods> {
        let to = self.path.join(format!("{}{}", name_of(file, way), kind.suffix()));
        if way == Way::Link {
            // An older list may be there.
            way.held(to.clone()).let_go()?;
        }
        let held = way.keep(from, to, length_bytes, |facts| facts.ino() == inode)?;
        Ok(HeldMods { kind, held, inode: Some(inode) })
    }
}

impl Way {
    fn keep(
        self,
        from: &Path,
        to: PathBuf,
        length_bytes: u64,
        is_right: impl Fn(&fs::Metadata) -> bool,
    ) -> io::Result<Held> {
        match self {
            Self::Copy => copy(from, &to, length_bytes, is_right)?,
            Self::Link => {
                link(from, &to)?;
                if !is_right(&fs::metadata(&to)?) {
                    self.held(to).let_go()?;
                    return Err(io::ErrorKind::NotFound.into());
                }
            }
        }
        Ok(self.held(to))
    }

    fn held(self, path: PathBuf) -> Held {
        match self {
            Self::Link => Held::Link(path),
            Self::Copy => Held::Copy(path),
        }
    }
}

fn name_of(identity: FileIdentity, way: Way) -> String {
    let FileIdentity { inode, length_bytes, mtime_ns } = identity;
    let end = match way {
        Way::Link => LINK,
        Way::Copy => COPY,
    };
    format!("{inode}-{length_bytes}-{mtime_ns}{end}")
}

/// Whose pin a file is, judging by its name; deletions come with their file.
fn parse(name: &str) -> Option<(FileIdentity, Way)> {
    let ends = [(LINK, Way::Link), (COPY, Way::Copy)];
    let (numbers, way) =
        ends.into_iter().find_map(|(end, way)| Some((name.strip_suffix(end)?, way)))?;
    let (inode, rest) = numbers.split_once('-')?;
    let (length_bytes, mtime_ns) = rest.split_once('-')?;
    let identity = FileIdentity {
        inode: inode.parse().ok()?,
        length_bytes: length_bytes.parse().ok()?,
        mtime_ns: mtime_ns.parse().ok()?,
    };
    (name_of(identity, way) == name).then_some((identity, way))
}

/// The path of what stands beside a file under a longer name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        // From an earlier run; whether it is the right one, the caller looks.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome,
    }
}

/// Copies the first bytes of a file, durably and under another name until they are whole: after a
/// power cut a copy must not have holes.
fn copy(
    from: &Path,
    to: &Path,
    length_bytes: u64,
    is_right: impl Fn(&fs::Metadata) -> bool,
) -> io::Result<()> {
    let source = tidegate_daemon::files::open_regular(from)?;
    if !is_right(&source.metadata()?) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let part = with_suffix(to, PART);
    let copied = copy_to(&source, &part, length_bytes).and_then(|()| {
        // What was read belongs together only if nothing changed meanwhile.
        match is_right(&source.metadata()?) {
            true => fs::rename(&part, to),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    });
    if copied.is_err() {
        // A part takes room and is of no use to anybody.
        let _ = fs::remove_file(&part);
        return copied;
    }
    match to.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

fn copy_to(source: &File, part: &Path, length_bytes: u64) -> io::Result<()> {
    let mut out = File::options();
    let mut out = out.write(true).create(true).truncate(true).mode(FILE_MODE).open(part)?;
    let n_bytes = io::copy(&mut source.take(length_bytes), &mut out)?;
    if n_bytes != length_bytes {
        return Err(io::ErrorKind::NotFound.into());
    }
    out.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_whose_pin_it_is_and_other_names_are_left_alone() {
        let identity = FileIdentity { inode: 7, length_bytes: 100, mtime_ns: -5 };
        for way in [Way::Link, Way::Copy] {
            assert_eq!(parse(&name_of(identity, way)), Some((identity, way)));
        }
        for name in [
            "",
            ".link.tsfile",
            "1-2.link.tsfile",
            "1-2-3.tsfile",
            "1-2-3.link.tsfile.mods",
            "+1-2-3.link.tsfile",
            "01-2-3.link.tsfile",
            "1-2-3-4.copy.tsfile",
            "1-2-99999999999999999999.copy.tsfile",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
