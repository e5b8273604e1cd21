//! What all configuration texts share: the size cap, quoting for messages, the nearest name.

use crate::error::ConfigError;
use crate::error::Reason;

/// No configuration text may be larger; the daemons read at most one byte more.
pub const CONFIG_TEXT_BYTES_MAX: usize = 1024 * 1024;

/// Characters of a foreign text that a message shows.
const SHOWN_CHARS_MAX: usize = 80;

/// Names longer than this are not compared: the comparison is quadratic.
const COMPARED_BYTES_MAX: usize = 200;

/// Names less alike than this are not offered.
const LIKENESS_MIN: f64 = 0.6;

/// The bytes as text without a byte order mark, if they are of acceptable size and UTF-8.
pub(crate) fn checked<'t>(file: &str, bytes: &'t [u8]) -> Result<&'t str, ConfigError> {
    if bytes.len() > CONFIG_TEXT_BYTES_MAX {
        let reason =
            Reason::TooLarge { found_bytes: bytes.len(), bytes_max: CONFIG_TEXT_BYTES_MAX };
        return Err(ConfigError::new(file, None, reason));
    }
    match core::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let newlines = before.iter().filter(|byte| **byte == b'\n').count();
            Err(ConfigError::new(file, Some(line_number(newlines)), Reason::NotUtf8))
        }
    }
}

/// Line number, from 1, of a place with so many line ends before it.
pub(crate) fn line_number(newlines: usize) -> u32 {
    u32::try_from(newlines).unwrap_or(u32::MAX).saturating_add(1)
}

/// A foreign text for a message: shortened, control characters escaped.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::new();
    for (idx, it) in text.chars().enumerate() {
        if idx == SHOWN_CHARS_MAX {
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

/// As [`shown`], in quotes.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text))
}

/// Control characters and those that reorder or hide what a terminal shows.
pub(crate) fn is_invisible(it: char) -> bool {
    it.is_control()
        || matches!(it, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The candidate most like `name`, if any is alike.
pub(crate) fn nearest<'c>(
    name: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    if name.len() > COMPARED_BYTES_MAX {
        return None;
    }
    let mut best: Option<(f64, &'c str)> = None;
    for candidate in candidates {
        let likeness = strsim::normalized_damerau_levenshtein(name, candidate);
        if likeness >= LIKENESS_MIN && best.is_none_or(|(so_far, _)| so_far < likeness) {
            best = Some((likeness, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}
