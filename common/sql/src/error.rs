//! Why a statement was refused, with the place and a caret below it.

use core::fmt;

use crate::STATEMENT_BYTES_MAX;
use crate::time::TimeError;

/// Characters of a line shown on either side of a fault.
const EXCERPT_CHARS: usize = 40;

/// Why a statement was refused, and where.
///
/// Shown, it has three lines: the reason with line and column, the statement around the place, and
/// a caret below the place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SqlError {
    reason: Reason,
    offset: usize,
    line: usize,
    column: usize,
    excerpt: String,
}

impl SqlError {
    /// At that byte of the statement.
    pub(crate) fn new(reason: Reason, statement: &str, offset: usize) -> Self {
        let (before, behind) = statement.split_at_checked(offset).unwrap_or((statement, ""));
        let line_start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let head = before.get(line_start..).unwrap_or_default();
        let tail = behind.lines().next().unwrap_or_default();
        let column = head.chars().count();
        let skipped = column.saturating_sub(EXCERPT_CHARS);
        let part = head.chars().skip(skipped).chain(tail.chars().take(EXCERPT_CHARS));
        // One character for one, so that the caret stays where it belongs.
        let part: String = part.map(|it| if is_invisible(it) { ' ' } else { it }).collect();
        let indent = " ".repeat(column.saturating_sub(skipped));
        let line = before.bytes().filter(|it| *it == b'\n').count();
        Self {
            reason,
            offset: before.len(),
            line: line.saturating_add(1),
            column: column.saturating_add(1),
            excerpt: format!("  {}\n  {indent}^", part.trim_end()),
        }
    }

    /// Why.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// At which byte of the statement.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// In which line, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// At which character of the line, from 1.
    pub fn column(&self) -> usize {
        self.column
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, line, column, excerpt, .. } = self;
        write!(f, "line {line}, column {column}: {reason}\n{excerpt}")
    }
}

impl core::error::Error for SqlError {}

/// Why a statement was refused.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// Something else should stand there.
    Expected {
        /// What should.
        expected: String,
        /// What does.
        found: String,
        /// A word that it may have been meant to be.
        nearest: Option<&'static str>,
    },
    /// It can be read, and makes no sense.
    Meaning {
        /// What is wrong.
        message: String,
    },
    /// It is no time.
    Time(TimeError),
    /// It is more than allowed.
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much is allowed.
        max: usize,
    },
    /// IoTDB knows it; this store does not.
    Unsupported {
        /// Its name.
        what: String,
        /// What to do.
        instead: &'static str,
    },
}

impl Reason {
    pub(crate) fn meaning(message: impl Into<String>) -> Self {
        Self::Meaning { message: message.into() }
    }

    pub(crate) fn statement_too_long() -> Self {
        Self::TooMuch { what: "bytes of a statement", max: STATEMENT_BYTES_MAX }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expected { expected, found, nearest } => {
                write!(f, "expected {expected}, found {found}")?;
                match nearest {
                    Some(nearest) => write!(f, "; did you mean {nearest}?"),
                    None => Ok(()),
                }
            }
            Self::Meaning { message } => f.write_str(message),
            Self::Time(error) => error.fmt(f),
            Self::TooMuch { what, max } => write!(f, "expected at most {max} {what}"),
            Self::Unsupported { what, instead } => {
                write!(f, "{what} is not supported here; {instead}")
            }
        }
    }
}

/// A foreign text for a message: shortened, control characters escaped.
pub(crate) fn shown(text: &str, chars_max: usize) -> String {
    let mut out = String::new();
    for (idx, it) in text.chars().enumerate() {
        if idx == chars_max {
            out.push('…');
            break;
        }
        if is_invisible(it) {
            out.extend(it.escape_default());
        } else {
            out.push(it);
        }
    }
    out
}

/// Control characters and those that reorder or hide what a terminal shows.
fn is_invisible(it: char) -> bool {
    it.is_control()
        || matches!(it, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}
