//! Sets of points as text, and what differs between two of them.

use std::collections::HashSet;
use std::fs;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use anyhow::anyhow;
use anyhow::bail;
use flate2::read::GzDecoder;
use sha2::Digest;
use sha2::Sha256;

use super::drive::Answer;
use crate::stored::with_our_digits;

/// Lines of either side that an error shows.
const LINES_SHOWN: usize = 4;

/// Lines `series,time,type,value` in a fixed order, or what is known of them.
#[derive(Clone, Debug)]
pub(super) struct Points {
    /// How many.
    pub(super) n_lines: u64,
    sha256: String,
    /// Where they stand; nowhere if only their digest is known.
    path: Option<PathBuf>,
}

impl Points {
    /// What the client wrote into a file.
    pub(super) fn from_answer(answer: &Answer, path: PathBuf) -> Result<Self> {
        let word = |key: &str| answer.get(key).ok_or_else(|| anyhow!("an answer without {key}"));
        let n_lines = word("lines")?.parse()?;
        Ok(Self { n_lines, sha256: word("sha256")?.clone(), path: Some(path) })
    }

    /// Lines that are known here, as a file at `path`.
    pub(super) fn from_text(text: &str, path: PathBuf) -> Result<Self> {
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        let sha256 = hex(&Sha256::digest(text));
        Ok(Self { n_lines: text.lines().count() as u64, sha256, path: Some(path) })
    }

    /// Those that `is_meant` takes by series and time, as a file at `path`.
    pub(super) fn only(&self, is_meant: impl Fn(&str, i64) -> bool, path: PathBuf) -> Result<Self> {
        let mut text = String::new();
        for line in self.text()?.lines() {
            let mut fields = line.split(',');
            let series = fields.next().unwrap_or_default();
            let time = fields.next().and_then(|time| time.parse().ok());
            if is_meant(series, time.with_context(|| format!("a line without a time: {line}"))?) {
                text.push_str(line);
                text.push('\n');
            }
        }
        Self::from_text(&text, path)
    }

    /// The same points with the digits that Rust prints, as a file at `path`.
    pub(super) fn with_our_digits(&self, path: PathBuf) -> Result<Self> {
        Self::from_text(&with_our_digits(&self.text()?)?, path)
    }

    /// What a fixture expects: a packed file, unpacked to `path`.
    pub(super) fn from_gzip(packed: &Path, path: PathBuf) -> Result<Self> {
        let mut bytes = Vec::new();
        let file = File::open(packed).with_context(|| packed.display().to_string())?;
        GzDecoder::new(file).read_to_end(&mut bytes)?;
        fs::write(&path, &bytes)?;
        let n_lines = bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let sha256 = hex(&Sha256::digest(&bytes));
        Ok(Self { n_lines, sha256, path: Some(path) })
    }

    /// What a fixture expects: `lines=N sha256=HEX`.
    pub(super) fn from_digest_file(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let pairs = text.split_whitespace().filter_map(|word| word.split_once('='));
        let answer: Answer = pairs.map(|(key, value)| (key.into(), value.into())).collect();
        Ok(Self { path: None, ..Self::from_answer(&answer, PathBuf::new())? })
    }

    /// All lines.
    pub(super) fn text(&self) -> Result<String> {
        let path = self.path.as_ref().ok_or_else(|| anyhow!("only a digest of the points"))?;
        fs::read_to_string(path).with_context(|| path.display().to_string())
    }

    /// How many lines there are, if both sides are the same.
    ///
    /// # Errors
    ///
    /// What differs; also if there is nothing to compare, for then a test has shown nothing.
    pub(super) fn must_equal(&self, expected: &Self, what: &str) -> Result<u64> {
        if expected.n_lines == 0 {
            bail!("{what}: expected points to compare, but the source has none");
        }
        if self.sha256 == expected.sha256 && self.n_lines == expected.n_lines {
            return Ok(self.n_lines);
        }
        let mut message =
            format!("{what}: expected {} lines, arrived {}", expected.n_lines, self.n_lines);
        if let (Some(expected), Some(arrived)) = (&expected.path, &self.path) {
            let (expected, arrived) = (fs::read_to_string(expected)?, fs::read_to_string(arrived)?);
            message.push_str(&only_in("missing", &expected, &arrived));
            message.push_str(&only_in("surplus", &arrived, &expected));
        }
        bail!("{message}")
    }

    /// The same, where a line may be too many if `is_told` says so of its series and time: how many
    /// lines there are here, and how many of them are too many.
    pub(super) fn must_equal_but(
        &self,
        expected: &Self,
        what: &str,
        is_told: impl Fn(&str, i64) -> bool,
    ) -> Result<(u64, u64)> {
        let Err(error) = self.must_equal(expected, what) else { return Ok((self.n_lines, 0)) };
        let (Some(expected), Some(arrived)) = (&expected.path, &self.path) else {
            return Err(error);
        };
        let (expected, arrived) = (fs::read_to_string(expected)?, fs::read_to_string(arrived)?);
        let (expected, arrived): (HashSet<&str>, HashSet<&str>) =
            (expected.lines().collect(), arrived.lines().collect());
        let is_excused = |line: &&str| {
            let mut fields = line.split(',');
            let series = fields.next().unwrap_or_default();
            fields.next().and_then(|time| time.parse().ok()).is_some_and(|it| is_told(series, it))
        };
        let surplus: Vec<&str> = arrived.difference(&expected).copied().collect();
        let is_all_here = expected.is_subset(&arrived);
        match is_all_here && !expected.is_empty() && surplus.iter().all(is_excused) {
            true => Ok((self.n_lines, surplus.len() as u64)),
            false => Err(error),
        }
    }
}

/// Lines of `text` that `other` does not have: their number and the first ones.
fn only_in(word: &str, text: &str, other: &str) -> String {
    let other: HashSet<&str> = other.lines().collect();
    let only: Vec<&str> = text.lines().filter(|line| !other.contains(line)).collect();
    let mut out = format!("\n    {} {word}", only.len());
    for line in only.iter().take(LINES_SHOWN) {
        out.push_str("\n      ");
        // A BLOB can be long.
        out.extend(line.chars().take(160));
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_shown_from_both_sides_and_nothing_proves_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let points = |name: &str, text: &str| {
            let path = dir.path().join(name);
            Points::from_text(text, path).expect("a file")
        };
        let expected = points("expected", "a,1\nb,1\n");
        let arrived = points("arrived", "a,1\nb,2\n");
        assert_eq!(expected.must_equal(&expected, "all").expect("equal"), 2);
        let error = arrived.must_equal(&expected, "all").expect_err("not equal").to_string();
        assert!(error.contains("1 missing\n      b,1"), "{error}");
        assert!(error.contains("1 surplus\n      b,2"), "{error}");
        let more = points("more", "a,1\nb,1\nb,9\n");
        let told = |series: &str, time: i64| (series, time) == ("b", 9);
        assert_eq!(more.must_equal_but(&expected, "all", told).expect("told"), (3, 1));
        more.must_equal_but(&expected, "all", |_, _| false).expect_err("nobody says so");
        arrived.must_equal_but(&expected, "all", |_, _| true).expect_err("one is missing");
        let nothing = points("nothing", "");
        nothing.must_equal(&nothing, "all").expect_err("nothing was compared");
    }
}
