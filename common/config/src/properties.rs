//! The `.properties` format as IoTDB's files use it.
//!
//! Rules of `java.util.Properties` over UTF-8: `#` and `!` comments, `=`, `:` or white space after
//! the key, continuation by a backslash at the end of a line, escapes. As IoTDB does, white space at
//! the end of a value is dropped too.

use std::collections::HashMap;

use crate::error::ConfigError;
use crate::error::ConfigErrors;
use crate::error::Faults;
use crate::error::Reason;
use crate::text;

/// One key with its value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Line on which the key stands, from 1.
    pub line: u32,
    /// Key, unescaped.
    pub key: String,
    /// Value, unescaped and trimmed.
    pub value: String,
}

/// What a key that stands twice means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // ours and Java's rule, there is no third
pub enum Repeated {
    /// An error: in our own files nobody should have to know which one wins.
    Refuse,
    /// The last one wins, which is how IoTDB reads its own files.
    LastWins,
}

/// A properties text: entries in the order of the text.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Properties {
    entries: Vec<Entry>,
}

impl Properties {
    /// Reads `bytes`; `file` is only the name that errors carry.
    ///
    /// # Errors
    /// Too large, not UTF-8, a bad escape, a line without a key, and repeated keys if refused.
    pub fn parse(file: &str, bytes: &[u8], repeated: Repeated) -> Result<Self, ConfigErrors> {
        let text = text::checked(file, bytes)?;
        let mut faults = Faults::new(file);
        let mut entries: Vec<Entry> = Vec::new();
        let mut by_key: HashMap<String, usize> = HashMap::new();
        for logical in LogicalLines::new(text) {
            if faults.gives_up() {
                break;
            }
            let entry = match read_entry(&logical) {
                Ok(entry) => entry,
                Err(reason) => {
                    faults.push(Some(logical.line), reason);
                    continue;
                }
            };
            let first = by_key.get(&entry.key).and_then(|idx| entries.get_mut(*idx));
            match (first, repeated) {
                (Some(first), Repeated::LastWins) => *first = entry,
                (Some(first), Repeated::Refuse) => {
                    let key = text::shown(&entry.key);
                    let reason =
                        Reason::Repeated { first_key: key.clone(), key, first_line: first.line };
                    faults.push(Some(entry.line), reason);
                }
                (None, _) => {
                    by_key.insert(entry.key.clone(), entries.len());
                    entries.push(entry);
                }
            }
        }
        faults.into_result()?;
        Ok(Self { entries })
    }

    /// The entries in the order of the text.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The value of `key`.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.entry(key).map(|entry| entry.value.as_str())
    }

    /// The entry of `key`.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// `key=value` so that [`Properties::parse`] reads the same pair again, for values without
    /// white space at their end.
    pub fn render_entry(key: &str, value: &str) -> String {
        let mut out = String::new();
        escape_into(&mut out, key, Part::Key);
        out.push('=');
        escape_into(&mut out, value, Part::Value);
        out
    }

    pub(crate) fn bad_value(
        file: &str,
        entry: &Entry,
        expected: String,
        found: String,
    ) -> ConfigError {
        let key = text::shown(&entry.key);
        ConfigError::new(file, Some(entry.line), Reason::BadValue { key, expected, found })
    }
}

/// One line after joining its continuations, not yet unescaped.
#[derive(Debug)]
struct Logical {
    line: u32,
    text: String,
}

/// Splits a text into logical lines, without comments and blank lines.
struct LogicalLines<'t> {
    rest: Option<&'t str>,
    line: u32,
}

impl<'t> LogicalLines<'t> {
    fn new(text: &'t str) -> Self {
        Self { rest: Some(text), line: 0 }
    }

    /// The next natural line without its end.
    fn natural(&mut self) -> Option<&'t str> {
        let rest = self.rest?;
        self.line = self.line.saturating_add(1);
        match rest.split_once(['\n', '\r']) {
            None => {
                self.rest = None;
                Some(rest)
            }
            Some((line, after)) => {
                let ended_by_cr = rest.get(line.len()..).is_some_and(|it| it.starts_with('\r'));
                let after = match ended_by_cr {
                    true => after.strip_prefix('\n').unwrap_or(after),
                    false => after,
                };
                self.rest = Some(after);
                Some(line)
            }
        }
    }
}

impl Iterator for LogicalLines<'_> {
    type Item = Logical;

    fn next(&mut self) -> Option<Logical> {
        loop {
            let mut natural = self.natural()?.trim_start_matches(BLANK);
            if natural.is_empty() || natural.starts_with(['#', '!']) {
                continue;
            }
            let line = self.line;
            let mut text = String::new();
            while let Some(continued) = continued(natural) {
                text.push_str(continued);
                match self.natural() {
                    None => {
                        natural = "";
                        break;
                    }
                    Some(next) => natural = next.trim_start_matches(BLANK),
                }
            }
            text.push_str(natural);
            // A lone backslash joined with nothing leaves nothing behind.
            if !text.is_empty() {
                return Some(Logical { line, text });
            }
        }
    }
}

/// Blank inside a line, for Java: space, tab, form feed.
const BLANK: [char; 3] = [' ', '\t', '\u{c}'];

/// The line without its last backslash, if that joins it with the next line.
fn continued(line: &str) -> Option<&str> {
    let n_backslashes = line.bytes().rev().take_while(|byte| *byte == b'\\').count();
    match n_backslashes % 2 {
        1 => line.strip_suffix('\\'),
        _ => None,
    }
}

fn read_entry(logical: &Logical) -> Result<Entry, Reason> {
    let (key, value) = split_key(&logical.text);
    let key = unescape(key)?;
    if key.is_empty() {
        return Err(Reason::EmptyKey);
    }
    // Trimmed after unescaping: IoTDB trims what Java's Properties hands it.
    let value = unescape(value)?.trim().to_owned();
    Ok(Entry { line: logical.line, key, value })
}

/// Cuts at the first separator that is not escaped.
fn split_key(text: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = text.char_indices().find_map(|(at, it)| {
        if escaped {
            escaped = false;
            return None;
        }
        escaped = it == '\\';
        (matches!(it, '=' | ':') || BLANK.contains(&it)).then_some(at)
    });
    let (key, rest) = text.split_at(end.unwrap_or(text.len()));
    let rest = rest.trim_start_matches(BLANK);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(BLANK))
}

fn unescape(text: &str) -> Result<String, Reason> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(it) = chars.next() {
        if it != '\\' {
            out.push(it);
            continue;
        }
        match chars.next() {
            None => (),
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some('u') => out.push(unescape_unicode(&mut chars)?),
            Some(other) => out.push(other),
        }
    }
    Ok(out)
}

/// One character written as UTF-16 units: the first `\u` has been read.
fn unescape_unicode(chars: &mut core::str::Chars<'_>) -> Result<char, Reason> {
    let first = hex_unit(chars)?;
    if let Some(it) = char::from_u32(u32::from(first)) {
        return Ok(it);
    }
    if chars.next() != Some('\\') || chars.next() != Some('u') {
        return Err(Reason::BadUnicodeEscape);
    }
    let second = hex_unit(chars)?;
    match char::decode_utf16([first, second]).next() {
        Some(Ok(it)) => Ok(it),
        _ => Err(Reason::BadUnicodeEscape),
    }
}

fn hex_unit(chars: &mut core::str::Chars<'_>) -> Result<u16, Reason> {
    let mut unit: u16 = 0;
    for _ in 0..4 {
        let digit = chars.next().and_then(|it| it.to_digit(16)).ok_or(Reason::BadUnicodeEscape)?;
        let digit = u16::try_from(digit).map_err(|_| Reason::BadUnicodeEscape)?;
        unit = unit << 4 | digit;
    }
    Ok(unit)
}

#[derive(Clone, Copy)]
enum Part {
    Key,
    Value,
}

fn escape_into(out: &mut String, text: &str, part: Part) {
    let mut at_start = true;
    for it in text.chars() {
        match (it, part) {
            ('\t', _) => out.push_str("\\t"),
            ('\n', _) => out.push_str("\\n"),
            ('\r', _) => out.push_str("\\r"),
            ('\u{c}', _) => out.push_str("\\f"),
            ('\\', _) => out.push_str("\\\\"),
            (' ' | '=' | ':' | '#' | '!', Part::Key) => out.extend(['\\', it]),
            (' ' | '=' | ':', Part::Value) if at_start => out.extend(['\\', it]),
            _ => out.push(it),
        }
        at_start = false;
    }
}
