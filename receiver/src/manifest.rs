//! The manifest of one origin: which files arrived, one line each, in order of arrival.
//!
//! `manifest.tsv` beside the files, fields separated by tabs:
//!
//! ```text
//! sequence  origin  name  length  crc32  sha256  time  stored-name  database
//! ```
//!
//! `cut -f6,8 --output-delimiter='  ' manifest.tsv | sha256sum -c` checks every file.
//! A line is written after its file is durable, and never twice.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::sealer::sync_directory;
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
pub(crate) struct Manifest {
    file: File,
    path: String,
    /// Lines behind the loader's durable position.
    written: HashSet<Key>,
}

impl Manifest {
    /// Opens the manifest in `directory`; lines behind `position` are remembered.
    pub(crate) fn open(directory: &Path, position: u64) -> io::Result<Self> {
        let path = directory.join(MANIFEST_NAME);
        let shown = path.display().to_string();
        let failed = |error: io::Error| named(&error, "open", &shown);
        let is_new = !path.is_file();
        let mut file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o640)
            .open(&path)
            .map_err(failed)?;
        if is_new {
            sync_directory(directory)?;
        }
        let written = recover(&mut file, position).map_err(failed)?;
        Ok(Self { file, path: shown, written })
    }

    /// Whether it is still the file of its name: somebody may have moved it away.
    pub(crate) fn is_in_place(&self) -> bool {
        let id = |it: std::fs::Metadata| (it.dev(), it.ino());
        let named = std::fs::metadata(&self.path).map(id);
        matches!((named, self.file.metadata().map(id)), (Ok(named), Ok(open)) if named == open)
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

    /// Adds lines; durable on return.
    pub(crate) fn append(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut text = String::new();
        lines.iter().for_each(|line| line.render(&mut text));
        let before = self.file.metadata()?.len();
        self.file.write_all(text.as_bytes()).map_err(|error| {
            // on a full disk a part may stand there; the lines are written again later
            let _ = self.file.set_len(before);
            named(&error, "write", &self.path)
        })?;
        let path = &self.path;
        let failed = |error| io::Error::other(format!("cannot sync {path}: {error}"));
        self.file.sync_data().map_err(failed)?;
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

/// Cuts off a torn last line and reads the lines behind `position`.
fn recover(file: &mut File, position: u64) -> io::Result<HashSet<Key>> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL_BYTES_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES_MAX).read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if whole < tail.len() {
        file.set_len(from.saturating_add(u64::try_from(whole).unwrap_or(0)))?;
        file.sync_data()?;
    }
    let text = String::from_utf8_lossy(tail.get(..whole).unwrap_or_default());
    let key = |line: &str| -> Option<Key> {
        let field = |at| line.split('\t').nth(at).map(str::to_owned);
        Some((field(0)?.parse().ok()?, field(7)?, field(5)?))
    };
    Ok(text.lines().filter_map(key).filter(|(sequence, ..)| *sequence > position).collect())
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// `2026-11-22T21:04:44.123Z`.
pub(crate) fn rfc3339(ms: i64) -> String {
    let (seconds, millis) = (ms.div_euclid(1000), ms.rem_euclid(1000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // civil date from days since 1970, counting years from March so that leap days come last
    let shifted = days.saturating_add(719_468);
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ms: i64, expected: &str) {
        assert_eq!(rfc3339(ms), expected);
    }

    #[test]
    fn times_are_civil_dates() {
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(1_795_381_484_123, "2026-11-22T21:04:44.123Z");
        check(4_107_542_399_999, "2100-02-28T23:59:59.999Z");
        check(-1, "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_torn_line_goes_and_a_whole_one_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let line = |sequence| Line {
            sequence,
            origin: String::from("o"),
            name: String::from("a.tsfile"),
            length_bytes: 3,
            crc32: 1,
            sha256: [7; 32],
            arrival_ms: 0,
            stored: format!("{sequence}-a.tsfile"),
            database: None,
        };
        let mut manifest = Manifest::open(directory.path(), 0).unwrap();
        manifest.append(&[line(1), line(2)]).unwrap();
        let path = directory.path().join(MANIFEST_NAME);
        let whole = std::fs::read(&path).unwrap();
        for torn in 1..whole.len() / 2 {
            let mut bytes = whole.clone();
            bytes.extend_from_slice(&whole[..torn]);
            std::fs::write(&path, &bytes).unwrap();
            let manifest = Manifest::open(directory.path(), 1).unwrap();
            assert!(!manifest.has(1, "1-a.tsfile", &[7; 32]), "before the position nobody asks");
            assert!(manifest.has(2, "2-a.tsfile", &[7; 32]));
            assert!(!manifest.has(2, "2-a.tsfile", &[8; 32]), "other bytes are another file");
            assert_eq!(std::fs::read(&path).unwrap(), whole, "torn after {torn} bytes");
        }
    }
}
