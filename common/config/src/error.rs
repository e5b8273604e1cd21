//! What is wrong with a configuration text, and where.
//!
//! One error names one place; a text with several faults is answered with all of them at once, up
//! to [`ERRORS_MAX`], so that a file is repaired in one go.

use core::fmt;

/// More faults than this in one text are cut off and counted.
pub(crate) const ERRORS_MAX: usize = 20;

/// One fault in a configuration text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError {
    file: String,
    line: Option<u32>,
    reason: Reason,
}

impl ConfigError {
    pub(crate) fn new(file: &str, line: Option<u32>, reason: Reason) -> Self {
        Self { file: file.to_owned(), line, reason }
    }

    /// Name of the text, as the caller gave it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Line of the fault, from 1; `None` when the fault is something absent.
    pub fn line(&self) -> Option<u32> {
        self.line
    }

    /// What is wrong.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.reason),
            None => write!(f, "{}: {}", self.file, self.reason),
        }
    }
}

impl core::error::Error for ConfigError {}

/// Every fault found in one text, by line, at least one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigErrors {
    errors: Vec<ConfigError>,
    cut: Cut,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Cut {
    Complete,
    More,
}

impl ConfigErrors {
    /// The faults, by line.
    pub fn errors(&self) -> &[ConfigError] {
        &self.errors
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self { errors: vec![error], cut: Cut::Complete }
    }
}

impl fmt::Display for ConfigErrors {
    /// One fault a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (idx, error) in self.errors.iter().enumerate() {
            if idx > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        match self.cut {
            Cut::Complete => Ok(()),
            Cut::More => write!(f, "\nthere may be more faults, the first {ERRORS_MAX} are shown"),
        }
    }
}

impl core::error::Error for ConfigErrors {}

/// Collects the faults of one text, bounded.
#[derive(Debug)]
pub(crate) struct Faults {
    file: String,
    errors: Vec<ConfigError>,
    cut: Cut,
}

impl Faults {
    pub(crate) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), errors: Vec::new(), cut: Cut::Complete }
    }

    pub(crate) fn push(&mut self, line: Option<u32>, reason: Reason) {
        if self.gives_up() {
            return;
        }
        self.errors.push(ConfigError::new(&self.file, line, reason));
    }

    /// Asked before each further step: true when looking for more faults only costs time. What is
    /// then left out is remembered.
    pub(crate) fn gives_up(&mut self) -> bool {
        let full = self.errors.len() >= ERRORS_MAX;
        if full {
            self.cut = Cut::More;
        }
        full
    }

    /// `Ok` when there was no fault.
    pub(crate) fn into_result(mut self) -> Result<(), ConfigErrors> {
        if self.errors.is_empty() {
            return Ok(());
        }
        self.errors.sort_by_key(|error| error.line.unwrap_or(u32::MAX));
        Err(ConfigErrors { errors: self.errors, cut: self.cut })
    }
}

/// What can be wrong. Texts taken from the file are already shortened and escaped.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// The value does not fit its key. A secret's value is never shown.
    BadValue {
        /// Key as written.
        key: String,
        /// What would have been accepted.
        expected: String,
        /// What stood there.
        found: String,
    },
    /// `\u` without four hexadecimal digits, or half of a surrogate pair.
    BadUnicodeEscape,
    /// The name inside the definition is not the one its file name stands for.
    NameDiffers {
        /// Name inside.
        inside: String,
        /// File name it belongs in.
        belongs_in: String,
    },
    /// A line without a key before its separator.
    EmptyKey,
    /// Something that must stand there does not.
    Missing {
        /// What is demanded, as a whole sentence.
        demand: String,
    },
    /// Known from IoTDB or planned here, but not in this release.
    NotYet {
        /// Key, or key and value, as written.
        what: String,
    },
    /// Not UTF-8.
    NotUtf8,
    /// The key is right, the file is not.
    OtherFile {
        /// Key as written.
        key: String,
        /// File it belongs in.
        belongs_in: &'static str,
    },
    /// The same key again.
    Repeated {
        /// Key as written the second time.
        key: String,
        /// Key as written the first time.
        first_key: String,
        /// Where it stood first.
        first_line: u32,
    },
    /// TOML cannot be read here.
    Syntax {
        /// What the TOML parser says.
        message: String,
        /// Column, from 1.
        column: u32,
        /// The line with a caret under the place, or nothing where a secret may be on it.
        excerpt: String,
    },
    /// The text is larger than any configuration.
    TooLarge {
        /// Its size.
        found_bytes: usize,
        /// The cap.
        bytes_max: usize,
    },
    /// Nobody knows this key.
    UnknownKey {
        /// Key as written.
        key: String,
        /// The key that was probably meant.
        nearest: Option<String>,
    },
    /// Two settings that exclude each other.
    Contradiction {
        /// The whole sentence.
        message: String,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadValue { key, expected, found } => {
                write!(f, "{key}: expected {expected}, but found {found}")
            }
            Self::BadUnicodeEscape => f.write_str(
                "expected four hexadecimal digits of a whole character after \\u, but found others",
            ),
            Self::NameDiffers { inside, belongs_in } => {
                write!(
                    f,
                    "name is {inside}, but a pipe of that name belongs in a file {belongs_in}"
                )
            }
            Self::EmptyKey => f.write_str("expected a key before the separator, but found none"),
            Self::Missing { demand } => f.write_str(demand),
            Self::NotYet { what } => write!(
                f,
                "{what} is known, but this release does not have it yet; it is not ignored: \
                 remove it or wait",
            ),
            Self::NotUtf8 => f.write_str("expected UTF-8 text, but found other bytes"),
            Self::OtherFile { key, belongs_in } => {
                write!(f, "{key} does not belong here but in {belongs_in}")
            }
            Self::Repeated { key, first_key, first_line } if key == first_key => {
                write!(f, "{key} is given twice, first on line {first_line}")
            }
            Self::Repeated { key, first_key, first_line } => {
                write!(f, "{key} is another name of {first_key}, given on line {first_line}")
            }
            Self::Syntax { message, column, excerpt } if excerpt.is_empty() => {
                write!(f, "column {column}: {message}")
            }
            Self::Syntax { message, column, excerpt } => {
                write!(f, "column {column}: {message}\n{excerpt}")
            }
            Self::TooLarge { found_bytes, bytes_max } => {
                write!(f, "expected at most {bytes_max} bytes, but found {found_bytes}")
            }
            Self::UnknownKey { key, nearest: Some(nearest) } => {
                write!(f, "unknown key {key}, nearest is {nearest}")
            }
            Self::UnknownKey { key, nearest: None } => write!(f, "unknown key {key}"),
            Self::Contradiction { message } => f.write_str(message),
        }
    }
}
