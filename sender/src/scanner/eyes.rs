//! inotify: watches on directories, and the events of the kernel as the [`Watch`] takes them.

use std::collections::HashMap;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::RawFd;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use inotify::EventMask;
use inotify::Inotify;
use inotify::WatchDescriptor;
use inotify::WatchMask;
use tidegate_source::Place;
use tidegate_source::Scan;
use tidegate_source::TsFileName;
use tidegate_source::Watched;
use tidegate_tsfile::ModsKind;
use tidegate_tsfile::RESOURCE_SUFFIX;

use super::lists::HeldLists;
use super::watch::Sight;
use super::watch::Watch;
use crate::catalog::GoneList;
use crate::catalog::Watcher;
use crate::catalog::split;

/// Watches the directories that a scan reads.
#[derive(Debug)]
pub(super) struct Eyes {
    inotify: Inotify,
    watch: Watch,
    lists: HeldLists,
    by_dir: HashMap<PathBuf, WatchDescriptor>,
    /// Folders by their watch: two paths may lead to one directory.
    by_watch: HashMap<WatchDescriptor, Vec<Dir>>,
    /// Watches that ended because their directory was deleted: nothing in it was missed.
    deleted: HashSet<WatchDescriptor>,
    watches_max: usize,
    is_failure_logged: bool,
    is_hinted: bool,
}

/// A watched directory.
#[derive(Clone, Debug)]
struct Dir {
    path: PathBuf,
    /// The same, as listings name it.
    shown: Arc<str>,
    is_partition: bool,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Meaning {
    /// A TsFile, sealed or not.
    TsFile(TsFileName),
    /// Deletions of a TsFile, of which kind if they stand beside it by now.
    Mods(TsFileName, Option<ModsKind>),
    /// A directory, or something that a file is sealed by.
    Hint,
    Nothing,
}

/// So many directories are watched; the kernel has its own bound.
pub(super) const WATCHES_MAX: usize = 100_000;
/// So often is the kernel asked for events in a row.
const READS_MAX: usize = 4096;
const BUFFER_BYTES: usize = 16 * 1024;

impl Eyes {
    pub(super) fn new(watches_max: usize) -> io::Result<Self> {
        Ok(Self {
            inotify: Inotify::init()?,
            watch: Watch::default(),
            lists: HeldLists::new(),
            by_dir: HashMap::new(),
            by_watch: HashMap::new(),
            deleted: HashSet::new(),
            watches_max,
            is_failure_logged: false,
            is_hinted: false,
        })
    }

    /// To be polled: readable when there are events.
    pub(super) fn fd(&self) -> RawFd {
        self.inotify.as_raw_fd()
    }

    /// Whether anything happened since the last call that another scan should look at.
    pub(super) fn take_hint(&mut self) -> bool {
        self.drain();
        std::mem::take(&mut self.is_hinted)
    }

    /// Hands all events that the kernel has to the watch.
    fn drain(&mut self) {
        let mut buffer = [0; BUFFER_BYTES];
        for _ in 0..READS_MAX {
            let events = match self.inotify.read_events(&mut buffer) {
                Ok(events) => events,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            let events: Vec<_> = events.map(|event| event.to_owned()).collect();
            for event in events {
                self.handle(&event.wd, event.mask, event.name.as_deref());
            }
        }
        self.overflow();
    }

    /// Events were lost.
    pub(super) fn overflow(&mut self) {
        self.watch.overflowed();
        self.lists.doubt(None);
        self.is_hinted = true;
    }

    fn handle(&mut self, watch: &WatchDescriptor, mask: EventMask, name: Option<&OsStr>) {
        if mask.contains(EventMask::Q_OVERFLOW) {
            self.overflow();
        } else if mask.contains(EventMask::IGNORED) {
            let is_deleted = self.deleted.remove(watch);
            self.end(watch, is_deleted);
        } else if mask.contains(EventMask::DELETE_SELF) {
            self.deleted.insert(watch.clone());
        } else if mask.contains(EventMask::MOVE_SELF) {
            // What is at its path now is another directory, or none.
            self.end(watch, false);
            let _ = self.inotify.watches().remove(watch.clone());
        } else if let Some(name) = name {
            self.handle_name(watch, mask, name);
        }
    }

    fn handle_name(&mut self, watch: &WatchDescriptor, mask: EventMask, name: &OsStr) {
        let meaning = meaning(name, mask);
        if matches!(meaning, Meaning::Hint | Meaning::Mods(..)) {
            self.is_hinted = true;
        }
        let appears = mask.intersects(EventMask::CREATE | EventMask::MOVED_TO);
        for dir in self.by_watch.get(watch).into_iter().flatten() {
            match meaning {
                _ if !dir.is_partition && appears => {
                    self.watch.appeared(shown(&dir.path.join(name)))
                }
                Meaning::TsFile(name) if dir.is_partition => self.watch.created(&dir.shown, name),
                Meaning::Mods(name, kind) if dir.is_partition => {
                    self.watch.touched(&dir.shown, name);
                    let at = (Arc::clone(&dir.shown), name);
                    match kind {
                        Some(kind) if appears => self.lists.appeared(&dir.path, at, kind),
                        Some(kind) => self.lists.written(&dir.path, at, kind),
                        None => (),
                    }
                }
                _ => (),
            }
        }
    }

    /// A watch is no more, or no longer where it was.
    fn end(&mut self, watch: &WatchDescriptor, is_deleted: bool) {
        for Dir { path, shown, .. } in self.by_watch.remove(watch).unwrap_or_default() {
            if self.by_dir.get(&path) == Some(watch) {
                self.by_dir.remove(&path);
            }
            match is_deleted {
                true => self.watch.deleted(&shown),
                false => {
                    self.watch.lost(&shown);
                    self.lists.doubt(Some(&shown));
                }
            }
        }
    }

    /// Makes sure that a directory is watched.
    fn look_at(&mut self, dir: &Path, is_partition: bool) -> Sight {
        let mask = WatchMask::CREATE
            | WatchMask::MOVED_TO
            | WatchMask::CLOSE_WRITE
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR;
        let before = self.by_dir.get(dir);
        let added = match before.is_none() && self.by_dir.len() >= self.watches_max {
            true => Err(io::Error::other(format!("{} directories are watched", self.watches_max))),
            // Done each time: the path may lead to another directory than before.
            false => self.inotify.watches().add(dir, mask),
        };
        let watch = match added {
            Ok(watch) => watch,
            Err(error) => {
                if let Some(before) = self.by_dir.remove(dir) {
                    self.leave(&before, dir);
                }
                let is_parent_seen = dir.parent().is_some_and(|it| self.by_dir.contains_key(it));
                if error.kind() == io::ErrorKind::NotFound && is_parent_seen {
                    return Sight::Gone;
                }
                self.log_failure(dir, &error);
                return Sight::Blind;
            }
        };
        if before == Some(&watch) {
            return Sight::Since;
        }
        if let Some(before) = self.by_dir.insert(dir.to_owned(), watch.clone()) {
            self.leave(&before, dir);
        }
        let watched = Dir { path: dir.to_owned(), shown: shown(dir), is_partition };
        self.by_watch.entry(watch).or_default().push(watched);
        Sight::FromNow
    }

    /// A path leads elsewhere now; what it led to is watched no longer, unless by another path.
    fn leave(&mut self, watch: &WatchDescriptor, dir: &Path) {
        let Some(dirs) = self.by_watch.get_mut(watch) else { return };
        dirs.retain(|it| it.path != dir);
        if dirs.is_empty() {
            self.by_watch.remove(watch);
            let _ = self.inotify.watches().remove(watch.clone());
        }
    }

    fn log_failure(&mut self, dir: &Path, error: &io::Error) {
        let is_gone = error.kind() == io::ErrorKind::NotFound;
        if !is_gone && !std::mem::replace(&mut self.is_failure_logged, true) {
            tracing::warn!(
                dir = %dir.display(), %error,
                "no more change hints from the kernel (fs.inotify.max_user_watches?); rescans \
                 alone find new files, and results of compactions are sent though their sources were"
            );
        }
    }
}

impl Watcher for Eyes {
    fn enter(&mut self, dir: &Path, place: Option<&Place>) {
        // A list that is written to must be opened before it goes, however long the scan takes.
        self.drain();
        let sight = self.look_at(dir, place.is_some());
        if sight != Sight::Since {
            self.lists.doubt(Some(&shown(dir)));
        }
        match place {
            Some(place) => self.watch.enter(&shown(dir), place, sight),
            None => self.watch.enter_parent(shown(dir), sight),
        }
    }

    fn listed(&mut self, scan: &Scan) -> Watched {
        self.drain();
        self.watch.listed(scan)
    }

    fn take_gone_lists(&mut self, scan: &Scan) -> Vec<GoneList> {
        self.lists.take_gone(scan)
    }

    fn ended(&mut self, scan: &Scan) {
        self.watch.ended(scan);
    }
}

/// A directory as listings name it.
fn shown(dir: &Path) -> Arc<str> {
    dir.to_string_lossy().as_ref().into()
}

/// What an event says about a name in a directory.
fn meaning(name: &OsStr, mask: EventMask) -> Meaning {
    let appears = mask.intersects(EventMask::CREATE | EventMask::MOVED_TO);
    let Some(name) = name.to_str() else { return Meaning::Nothing };
    match split(name) {
        _ if mask.contains(EventMask::ISDIR) => Meaning::Hint,
        Some((name, "")) if appears => Meaning::TsFile(name),
        Some((name, ".mods")) => Meaning::Mods(name, Some(ModsKind::Text)),
        Some((name, ".mods2")) => Meaning::Mods(name, Some(ModsKind::Binary)),
        Some((name, ".compaction.mods" | ".compaction.mods2")) => Meaning::Mods(name, None),
        Some((_, RESOURCE_SUFFIX)) => Meaning::Hint,
        // Regions may lie behind links.
        None if appears && !name.contains(".tsfile") && !name.contains('.') => Meaning::Hint,
        _ => Meaning::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_an_event_is_about() {
        let name = TsFileName::parse("7-1-0-0.tsfile").expect("a name");
        let (made, written) = (EventMask::CREATE, EventMask::CLOSE_WRITE);
        let cases = [
            ("7-1-0-0.tsfile", made, Meaning::TsFile(name)),
            ("7-1-0-0.tsfile", EventMask::MOVED_TO, Meaning::TsFile(name)),
            ("7-1-0-0.tsfile", written, Meaning::Nothing),
            ("7-1-0-0.tsfile.resource", EventMask::MOVED_TO, Meaning::Hint),
            ("7-1-0-0.tsfile.resource.temp", made, Meaning::Nothing),
            ("7-1-0-0.tsfile.mods", written, Meaning::Mods(name, Some(ModsKind::Text))),
            ("7-1-0-0.tsfile.mods2", made, Meaning::Mods(name, Some(ModsKind::Binary))),
            ("7-1-0-0.tsfile.mods.settle", made, Meaning::Nothing),
            ("7-1-0-0.tsfile.compaction.mods2", written, Meaning::Mods(name, None)),
            ("7-1-1-0.inner", made, Meaning::Nothing),
            ("3", made | EventMask::ISDIR, Meaning::Hint),
            ("root.sg", made | EventMask::ISDIR, Meaning::Hint),
            ("3", made, Meaning::Hint),
        ];
        for (name, mask, expected) in cases {
            assert_eq!(meaning(OsStr::new(name), mask), expected, "{name} {mask:?}");
        }
    }
}
