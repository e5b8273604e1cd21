//! The manifest of one origin: which files arrived, one line each, in order of arrival.
//!
//! `manifest.tsv` beside the files, fields separated by tabs:
//!
//! ```text
//! sequence  origin  name  length  crc32  sha256  time  stored-name  database
//! ```
//!
//! `cut -f6,8 --output-delimiter='  ' manifest.tsv | sha256sum -c` checks every file.
//! A line is written after its file is durable, and never twice. Lines behind the loader's durable
//! position may stand in memory only, also after a restart: opening writes them again and syncs
//! them before they are trusted, and takes out what a power cut has left of others.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use tidegate_daemon::text::rfc3339;
use tidegate_durable::DirStorage;
use tidegate_durable::FileName;
use tidegate_durable::Storage;
use tidegate_durable::StorageFile;

use crate::disk;
use crate::writer::named;

/// The file beside the received ones.
pub(crate) const MANIFEST_NAME: &str = "manifest.tsv";

/// More than one batch of the loader can have written.
const TAIL_BYTES_MAX: u64 = 4 << 20;

/// One file that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) sequence: u64,
    pub(crate) origin: String,
    pub(crate) name: String,
    pub(crate) length_bytes: u64,
    pub(crate) crc32: u32,
    pub(crate) sha256: [u8; 32],
    pub(crate) arrival_ms: i64,
    pub(crate) stored: String,
    /// The table-model database, which `LOAD` has to be told.
    pub(crate) database: Option<String>,
}

/// What tells lines apart: sequence, stored name, SHA-256.
type Key = (u64, String, String);

/// An open manifest.
pub(crate) struct Manifest<S: Storage> {
    file: S::File,
    /// For messages.
    shown: String,
    /// Lines behind the loader's durable position.
    written: HashSet<Key>,
}

/// A manifest in a directory that others may change.
pub(crate) struct PlacedManifest {
    pub(crate) manifest: Manifest<DirStorage>,
    path: PathBuf,
    id: Option<(u64, u64)>,
}

impl PlacedManifest {
    /// Opens the manifest in `directory`, which is there.
    pub(crate) fn open(directory: &Path, position: u64) -> io::Result<Self> {
        let path = directory.join(MANIFEST_NAME);
        let shown = path.display().to_string();
        let storage = DirStorage::existing(directory)
            .map_err(|error| named(&error, "open", &directory.display().to_string()))?;
        let manifest = Manifest::open(&storage, position, shown)?;
        let id = id_of(&path);
        Ok(Self { manifest, path, id })
    }

    /// Whether it is still the file of its name: somebody may have moved it away.
    pub(crate) fn is_in_place(&self) -> bool {
        self.id.is_some() && id_of(&self.path) == self.id
    }
}

fn id_of(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|it| (it.dev(), it.ino()))
}

impl<S: Storage> Manifest<S> {
    /// Opens the manifest in a directory; lines behind `position` are remembered, and durable on
    /// return like the file's name.
    pub(crate) fn open(storage: &S, position: u64, shown: String) -> io::Result<Self> {
        let failed = |what| {
            let shown = &shown;
            move |error: io::Error| named(&error, what, shown)
        };
        let name = FileName::new(MANIFEST_NAME).map_err(io::Error::other)?;
        let mut file = match storage.open(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => storage.create(&name),
            outcome => outcome,
        }
        .map_err(failed("open"))?;
        let tail = Tail::read(&file, position).map_err(failed("read"))?;
        // a failed sync is of no kind that could pass
        let unsynced = |error: io::Error| io::Error::other(format!("cannot sync {shown}: {error}"));
        if !tail.doubtful.is_empty() {
            // after a failed sync the system may call pages clean that never reached the disk
            file.write_at(&tail.doubtful, tail.from_bytes).map_err(failed("write"))?;
        }
        if tail.is_torn {
            file.truncate(tail.end_bytes()).map_err(failed("set the length of"))?;
        }
        if tail.is_torn || !tail.doubtful.is_empty() {
            file.sync().map_err(unsynced)?;
        }
        // also where the file was there: an earlier run may have made it and gone
        storage.sync_dir().map_err(|error| match disk::is_out_of_descriptors(&error) {
            // the directory could not be opened, and no sync has failed
            true => failed("open the directory of")(error),
            false => unsynced(error),
        })?;
        Ok(Self { file, shown, written: tail.keys })
    }

    /// Whether this line stands there already: from an interrupted run or batch.
    pub(crate) fn has(&self, sequence: u64, stored: &str, sha256: &[u8; 32]) -> bool {
        let key = || (sequence, stored.to_owned(), hex(sha256));
        !self.written.is_empty() && self.written.contains(&key())
    }

    /// Whether a line of this sequence speaks of these bytes: the user may have moved the file on.
    pub(crate) fn has_bytes(&self, sequence: u64, sha256: &[u8; 32]) -> bool {
        let sha256 = hex(sha256);
        self.written.iter().any(|(known, _, bytes)| *known == sequence && *bytes == sha256)
    }

    /// Adds lines; durable on return. After an error it is to be opened anew.
    pub(crate) fn append(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut text = String::new();
        lines.iter().for_each(|line| line.render(&mut text));
        let failed = |error| named(&error, "take the length of", &self.shown);
        let before = self.file.len_bytes().map_err(failed)?;
        self.file.write_at(text.as_bytes(), before).map_err(|error| {
            // on a full disk a part may stand there; the lines are written again later
            let _ = self.file.truncate(before);
            named(&error, "write", &self.shown)
        })?;
        let shown = &self.shown;
        let failed = |error| io::Error::other(format!("cannot sync {shown}: {error}"));
        self.file.sync().map_err(failed)?;
        let key = |line: &Line| (line.sequence, line.stored.clone(), hex(&line.sha256));
        self.written.extend(lines.iter().map(key));
        Ok(())
    }

    /// The loader's durable position has moved behind every line.
    pub(crate) fn settle(&mut self) {
        self.written.clear();
    }
}

impl Line {
    fn render(&self, out: &mut String) {
        let Self { sequence, origin, name, length_bytes, crc32, stored, .. } = self;
        let sha256 = hex(&self.sha256);
        let time = rfc3339(self.arrival_ms);
        // What comes from outside must not look like another field or line.
        let database = self.database.as_deref().unwrap_or("-").replace(char::is_control, "?");
        // writing to a string cannot fail
        let _ = writeln!(
            out,
            "{sequence}\t{origin}\t{name}\t{length_bytes}\t{crc32:08x}\t{sha256}\t{time}\t{stored}\t{database}"
        );
    }
}

/// The end of a manifest as an earlier run has left it.
struct Tail {
    /// The whole lines behind the last one that is not behind the position, and where they begin.
    doubtful: Vec<u8>,
    from_bytes: u64,
    keys: HashSet<Key>,
    /// There was something among them that is no whole line.
    is_torn: bool,
}

impl Tail {
    fn read(file: &impl StorageFile, position: u64) -> io::Result<Self> {
        let length = file.len_bytes()?;
        let start = length.saturating_sub(TAIL_BYTES_MAX);
        let mut bytes = vec![0; usize::try_from(length.saturating_sub(start)).unwrap_or(0)];
        let n_read = file.read_full(&mut bytes, start)?;
        bytes.truncate(n_read);
        let at_bytes = |at: usize| start.saturating_add(u64::try_from(at).unwrap_or(0));
        let mut tail =
            Self { doubtful: Vec::new(), from_bytes: start, keys: HashSet::new(), is_torn: false };
        let mut end = 0_usize;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let is_first = end == 0;
            end = end.saturating_add(line.len());
            match key_of(line) {
                // what stands before it was durable before the position was
                Some((sequence, ..)) if sequence <= position => {
                    tail = Self { from_bytes: at_bytes(end), doubtful: Vec::new(), ..tail };
                    tail.keys.clear();
                    tail.is_torn = false;
                }
                // a part of a line, where the file is longer than its tail
                _ if is_first && start > 0 => tail.from_bytes = at_bytes(end),
                Some(key) => {
                    tail.keys.insert(key);
                    tail.doubtful.extend_from_slice(line);
                }
                None => tail.is_torn = true,
            }
        }
        Ok(tail)
    }

    fn end_bytes(&self) -> u64 {
        self.from_bytes.saturating_add(u64::try_from(self.doubtful.len()).unwrap_or(0))
    }
}

/// What a line speaks of; `None` if it is not whole: cut off, or with bytes in it that a power cut
/// has left and no line has.
fn key_of(line: &[u8]) -> Option<Key> {
    let line = core::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    if line.contains(|it: char| it.is_control() && it != '\t') {
        return None;
    }
    let field = |at| line.split('\t').nth(at).map(str::to_owned);
    let sha256 = field(5).filter(|text| text.len() == 64)?;
    Some((field(0)?.parse().ok()?, field(7)?, sha256))
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use tidegate_durable::sim::SimFault;
    use tidegate_durable::sim::SimStorage;

    use super::*;

    fn line(sequence: u64) -> Line {
        Line {
            sequence,
            origin: String::from("o"),
            name: String::from("a.tsfile"),
            length_bytes: 3,
            crc32: 1,
            sha256: [7; 32],
            arrival_ms: 0,
            stored: format!("{sequence}-a.tsfile"),
            database: None,
        }
    }

    #[test]
    fn a_torn_line_goes_and_a_whole_one_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let open = |position| PlacedManifest::open(directory.path(), position).unwrap().manifest;
        open(0).append(&[line(1), line(2)]).unwrap();
        let path = directory.path().join(MANIFEST_NAME);
        let whole = fs::read(&path).unwrap();
        for torn in 1..whole.len() / 2 {
            let mut bytes = whole.clone();
            bytes.extend_from_slice(&whole[..torn]);
            fs::write(&path, &bytes).unwrap();
            let manifest = open(1);
            assert!(!manifest.has(1, "1-a.tsfile", &[7; 32]), "before the position nobody asks");
            assert!(manifest.has(2, "2-a.tsfile", &[7; 32]));
            assert!(!manifest.has(2, "2-a.tsfile", &[8; 32]), "other bytes are another file");
            assert_eq!(fs::read(&path).unwrap(), whole, "torn after {torn} bytes");
        }
    }

    /// What the loader does with a manifest: batches of lines that are not known yet, each followed
    /// by its position, which is durable at once here.
    fn load(disk: &SimStorage, position: &mut u64) -> io::Result<()> {
        let mut manifest = Manifest::open(disk, *position, String::from("manifest"))?;
        while *position < 6 {
            let batch = [*position + 1, *position + 2];
            let is_new = |it: &u64| !manifest.has(*it, &line(*it).stored, &[7; 32]);
            let lines: Vec<Line> = batch.into_iter().filter(is_new).map(line).collect();
            manifest.append(&lines)?;
            *position += 2;
            manifest.settle();
        }
        Ok(())
    }

    fn sequences(disk: &SimStorage) -> Vec<u64> {
        let content = disk.content(&FileName::new(MANIFEST_NAME).unwrap()).unwrap_or_default();
        let text = String::from_utf8_lossy(&content).into_owned();
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        lines.filter_map(|line| line.split('\t').next()?.parse().ok()).collect()
    }

    /// A line that was written and never synced was taken for durable by the next run, which moved
    /// the position behind it; a power cut then left a file that no manifest speaks of.
    #[test]
    fn every_line_before_the_position_is_durable_however_the_runs_before_have_ended() {
        let whole = SimStorage::new();
        load(&whole, &mut 0).unwrap();
        assert_eq!(sequences(&whole), [1, 2, 3, 4, 5, 6]);
        for fault in [SimFault::Io, SimFault::DiskFull, SimFault::PowerCut] {
            for at in 0..whole.changes() {
                let disk = SimStorage::new().with_fault(at, fault);
                let mut position = 0;
                assert!(load(&disk, &mut position).is_err(), "{fault:?} at {at}");
                // killed between a write and its sync, or ended by a sync that failed
                for (second, cut) in (0..8).flat_map(|second| [(second, false), (second, true)]) {
                    let context = format!("{fault:?} at {at}, then at {second}, {cut}");
                    let mut position = position;
                    let mut disk = disk.restarted().with_fault(second, fault);
                    let is_done = load(&disk, &mut position).is_ok();
                    if cut || is_done {
                        disk.cut_power();
                        for image in disk.images(at) {
                            let durable: Vec<u64> = (1..=position).collect();
                            let found = sequences(&image.storage);
                            let label = image.label;
                            assert!(found.starts_with(&durable), "{context}, {label}: {found:?}");
                            load(&image.storage, &mut position.clone()).unwrap();
                            let mut found = sequences(&image.storage);
                            // of a torn batch the second line may have come first
                            found.sort_unstable();
                            assert_eq!(found, [1, 2, 3, 4, 5, 6], "{context}, {label}");
                        }
                    } else {
                        disk = disk.restarted();
                        load(&disk, &mut position).unwrap();
                        assert_eq!(sequences(&disk), [1, 2, 3, 4, 5, 6], "{context}");
                    }
                }
            }
        }
    }
}
