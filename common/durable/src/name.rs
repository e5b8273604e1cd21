//! Names of files inside one storage directory: no separator, no dot file, nothing hidden.

use core::fmt;

/// A name of one file in a [`Storage`](crate::Storage): 1 to 128 of `A-Z a-z 0-9 . _ -`, not
/// starting with a dot or a dash, so it can never lead out of the directory.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FileName(String);

impl FileName {
    /// The longest name, in bytes.
    pub const BYTES_MAX: usize = 128;

    /// Checks `text`.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        let first_is_plain =
            text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        let all_plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if first_is_plain && all_plain && text.len() <= Self::BYTES_MAX {
            return Ok(Self(text));
        }
        Err(NameError { text })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This name with `suffix` behind it.
    pub(crate) fn with_suffix(&self, suffix: &str) -> Result<Self, NameError> {
        Self::new(format!("{}{suffix}", self.0))
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no [`FileName`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NameError {
    text: String,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "file name: expected 1 to {} of A-Z a-z 0-9 . _ - with no leading dot or dash, found {:?}",
            FileName::BYTES_MAX,
            self.text
        )
    }
}

impl core::error::Error for NameError {}

#[cfg(test)]
mod tests {
    use super::FileName;

    #[test]
    fn a_name_never_leads_out_of_its_directory() {
        for bad in
            ["", ".", "..", "../x", "a/b", ".hidden", "-rf", "a\0b", "a b", "é", &"x".repeat(129)]
        {
            assert!(FileName::new(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "_a", "00000000000000000001.seg", "x..y", &"x".repeat(128)] {
            assert_eq!(FileName::new(good).unwrap().as_str(), good);
        }
    }
}
