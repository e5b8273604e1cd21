//! Deletions beside a TsFile: the entries of `.mods` (1.x, text lines) and `.mods2` (2.x, binary).
//!
//! IoTDB appends to these files while we read, so the last entry may be half there. One walker reads
//! both kinds. It always says where the last whole entry ends and why it stopped there: because the
//! rest of an entry is still to come, or because what follows is no entry that we know. The second
//! is never taken for the first, or deletions would be waited for that are there.

mod binary;
mod deletion;
mod text;

use core::fmt;

use tidegate_codec::Error;
use tidegate_codec::Reader;

pub use deletion::Deletion;
pub use deletion::Predicate;
pub use deletion::Target;

/// Which kind of mods file lies beside a TsFile.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums)] // one per major version of IoTDB
pub enum ModsKind {
    /// `.mods`, IoTDB 1.x: lines of text.
    Text,
    /// `.mods2`, IoTDB 2.x: binary entries back to back.
    Binary,
}

impl ModsKind {
    /// What is added to the TsFile's name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Text => ".mods",
            Self::Binary => ".mods2",
        }
    }

    /// The whole entries of `content`, which is the file from byte `offset` on.
    ///
    /// `offset` is 0 or what [`Entries::whole_bytes`] said before: an entry begins there. Offsets in
    /// entries and errors count from the start of the file.
    pub fn entries(self, content: &[u8], offset: usize) -> Entries<'_> {
        Entries { kind: self, reader: Reader::at(content, offset), ending: None }
    }
}

/// One whole entry of a mods file.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // what an entry has
pub struct ModEntry {
    /// What it deletes.
    pub deletion: Deletion,
    /// In text files: the deletion applies to chunks of the TsFile that begin before this byte.
    pub file_offset: Option<i64>,
    /// Where in the mods file the entry begins.
    pub position: usize,
    /// Its bytes: of a text entry the line without its end, of a binary one what travels in plans.
    pub raw: Box<[u8]>,
}

/// Walks over the whole entries of a mods file; made by [`ModsKind::entries`].
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    kind: ModsKind,
    /// Stands behind the last whole entry.
    reader: Reader<'a>,
    ending: Option<Ending>,
}

impl Entries<'_> {
    /// Offset in the file of the end of the last whole entry so far.
    pub fn whole_bytes(&self) -> usize {
        self.reader.position()
    }

    /// Why there are no more entries; nothing as long as there may be more.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// Walks to the end and says why it is there.
    pub fn into_ending(mut self) -> Ending {
        loop {
            if let Some(ending) = self.ending {
                return ending;
            }
            self.next();
        }
    }
}

impl Iterator for Entries<'_> {
    type Item = ModEntry;

    fn next(&mut self) -> Option<ModEntry> {
        if self.ending.is_some() {
            return None;
        }
        if self.reader.is_empty() {
            self.ending = Some(Ending::Whole);
            return None;
        }
        let mut ahead = self.reader.clone();
        let parsed = match self.kind {
            ModsKind::Binary => binary::entry(&mut ahead),
            ModsKind::Text => text::entry(&mut ahead),
        };
        match parsed {
            Ok(entry) => {
                self.reader = ahead;
                Some(entry)
            }
            Err(Stop::Torn) => {
                self.ending = Some(Ending::Torn { left_bytes: self.reader.remaining() });
                None
            }
            Err(Stop::Damage(damage)) => {
                self.ending = Some(Ending::Damaged(damage));
                None
            }
        }
    }
}

/// Why there are no more entries.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // whoever reads must tell these apart
pub enum Ending {
    /// The file ends with a whole entry.
    Whole,
    /// The last entry has only begun. The rest may be on its way, or the source crashed here.
    Torn {
        /// Bytes of it that are there.
        left_bytes: usize,
    },
    /// What follows is no entry, or one that only a later IoTDB knows. Waiting does not help.
    Damaged(ModsError),
}

/// What was found instead of a whole entry.
impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("all of them whole"),
            Self::Torn { left_bytes } => {
                write!(f, "one of which only {left_bytes} bytes are there")
            }
            Self::Damaged(error) => write!(f, "damage: {error}"),
        }
    }
}

/// Why bytes are no entry of a mods file.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ModsError {
    /// A binary entry.
    Entry(Error),
    /// A line of text.
    Line {
        /// Where in the file the line begins.
        offset: usize,
        /// What it should have been.
        expected: &'static str,
        /// The beginning of what it is.
        found: Box<str>,
    },
}

impl fmt::Display for ModsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(error) => error.fmt(f),
            Self::Line { offset, expected, found } => {
                write!(f, "expected {expected} at byte {offset}, but found {found:?}")
            }
        }
    }
}

impl core::error::Error for ModsError {}

/// Why the parser of one entry stopped.
enum Stop {
    /// The bytes ended inside it.
    Torn,
    /// It is none.
    Damage(ModsError),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::UnexpectedEnd { .. } => Self::Torn,
            other => Self::Damage(ModsError::Entry(other)),
        }
    }
}
