//! The TOML of a pipe definition as flat sections of keys and texts, each with its line.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::DeTable;
use toml::de::DeValue;

use crate::error::ConfigError;
use crate::error::Faults;
use crate::error::Reason;
use crate::pipe_keys::KeyRules;
use crate::pipe_keys::PLUGIN;
use crate::pipe_keys::Rule;
use crate::pipe_keys::is_secret;
use crate::text;

/// Nested tables of one key; the longest key of IoTDB has four parts.
const DEPTH_MAX: usize = 16;

/// Keys of one section, more than IoTDB has. Looking for repeated ones is quadratic: without this
/// cap one megabyte of keys (110 000 of them) was measured at 11.5 s.
const KEYS_MAX: usize = 256;

/// Characters of a line shown around a fault.
const EXCERPT_CHARS: usize = 30;

/// One of the three parts of a pipe.
#[derive(Debug)]
pub(crate) struct Section {
    /// Names it may have, the newer one last; also the prefixes of its keys.
    pub(crate) headings: &'static [&'static str],
    /// The name it has.
    pub(crate) heading: &'static str,
    /// Line of its heading, if it is there.
    pub(crate) line: Option<u32>,
    keys: Vec<Given>,
}

/// One key as it was given.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    /// Without prefix.
    pub(crate) key: String,
    /// With the heading as prefix, for messages.
    pub(crate) shown_key: String,
    pub(crate) line: u32,
    pub(crate) value: String,
}

impl Given {
    /// The value as a message may show it.
    pub(crate) fn shown_value(&self) -> String {
        match is_secret(&self.key) {
            true => "something else".to_owned(),
            false => text::quoted(&self.value),
        }
    }
}

impl Section {
    fn new(headings: &'static [&'static str]) -> Self {
        Self {
            headings,
            heading: headings.first().copied().unwrap_or(""),
            line: None,
            keys: Vec::new(),
        }
    }

    pub(crate) fn given(&self, key: &str) -> Option<&Given> {
        self.keys.iter().find(|it| it.key == key)
    }

    /// The key with this section's heading, as a message names it.
    pub(crate) fn shown_key(&self, key: &str) -> String {
        match key {
            PLUGIN => self.heading.to_owned(),
            _ => format!("{}.{}", self.heading, text::shown(key)),
        }
    }

    /// Notes every key that this release does not have.
    pub(crate) fn check_keys(&self, rules: KeyRules, faults: &mut Faults) {
        for given in &self.keys {
            if faults.gives_up() {
                return;
            }
            let reason = match rules.iter().find(|(key, _)| *key == given.key) {
                Some((_, Rule::Here)) => continue,
                Some((_, Rule::Later(harmless)))
                    if harmless.iter().any(|it| it.eq_ignore_ascii_case(given.value.trim())) =>
                {
                    continue;
                }
                Some((_, Rule::Later(_))) if is_secret(&given.key) => {
                    Reason::NotYet { what: given.shown_key.clone() }
                }
                Some((_, Rule::Later(_))) => {
                    let what = format!("{} = {}", given.shown_key, given.shown_value());
                    Reason::NotYet { what }
                }
                None => {
                    let names = rules.iter().map(|(key, _)| *key).filter(|key| *key != PLUGIN);
                    let nearest = text::nearest(&given.key, names);
                    Reason::UnknownKey {
                        key: given.shown_key.clone(),
                        nearest: nearest.map(|key| self.shown_key(key)),
                    }
                }
            };
            faults.push(Some(given.line), reason);
        }
    }

    /// Without one of the section's prefixes, whose case does not count.
    fn without_prefix(&self, key: &str) -> String {
        for heading in self.headings {
            let Some((head, rest)) = key.split_at_checked(heading.len()) else {
                continue;
            };
            if !head.eq_ignore_ascii_case(heading) {
                continue;
            }
            match rest.strip_prefix('.') {
                Some(rest) => return rest.to_owned(),
                None if rest.is_empty() => return PLUGIN.to_owned(),
                None => (),
            }
        }
        key.to_owned()
    }

    fn insert(
        &mut self,
        key: &str,
        line: u32,
        value: Result<String, &'static str>,
        faults: &mut Faults,
    ) {
        if faults.gives_up() {
            return;
        }
        if self.keys.len() >= KEYS_MAX {
            let message = format!("{}: expected at most {KEYS_MAX} keys", self.heading);
            faults.push(Some(line), Reason::Contradiction { message });
            return;
        }
        let key = self.without_prefix(key);
        let shown_key = self.shown_key(&key);
        let value = match value {
            Ok(value) => value,
            Err(found) => {
                let expected = "a text, a whole number, true or false";
                faults.push(Some(line), bad_type(&shown_key, expected, found));
                return;
            }
        };
        if let Some(first) = self.given(&key) {
            let first_key = first.shown_key.clone();
            let reason = Reason::Repeated { key: shown_key, first_key, first_line: first.line };
            faults.push(Some(line), reason);
            return;
        }
        self.keys.push(Given { key, shown_key, line, value });
    }
}

/// The whole definition, flat.
#[derive(Debug)]
pub(crate) struct PipeText {
    pub(crate) name: Option<(String, u32)>,
    pub(crate) extractor: Section,
    pub(crate) processor: Section,
    pub(crate) connector: Section,
}

impl PipeText {
    /// Reads TOML. What is wrong with single keys goes to `faults`; what makes the text unreadable
    /// is the error.
    pub(crate) fn read(file: &str, bytes: &[u8], faults: &mut Faults) -> Result<Self, ConfigError> {
        let text = text::checked(file, bytes)?;
        let root = DeTable::parse(text).map_err(|error| syntax(file, text, &error))?;
        let lines = Lines::new(text);
        let mut it = Self {
            name: None,
            extractor: Section::new(&["extractor", "source"]),
            processor: Section::new(&["processor"]),
            connector: Section::new(&["connector", "sink"]),
        };
        let mut tables: Vec<_> = root.get_ref().iter().collect();
        tables.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in tables {
            if faults.gives_up() {
                break;
            }
            let line = lines.at(key.span().start);
            it.sort_in(key.get_ref(), value, line, &lines, faults);
        }
        Ok(it)
    }

    fn sort_in(
        &mut self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        line: u32,
        lines: &Lines<'_>,
        faults: &mut Faults,
    ) {
        if key == "name" {
            match value.get_ref().as_str() {
                Some(name) => self.name = Some((name.to_owned(), line)),
                None => {
                    faults.push(Some(line), bad_type("name", "a text", value.get_ref().type_str()))
                }
            }
            return;
        }
        let sections = [&mut self.extractor, &mut self.processor, &mut self.connector];
        for section in sections {
            let Some(heading) = section.headings.iter().find(|heading| **heading == key) else {
                continue;
            };
            let DeValue::Table(table) = value.get_ref() else {
                faults.push(Some(line), bad_type(key, "a table", value.get_ref().type_str()));
                return;
            };
            if let Some(first_line) = section.line {
                let first_key = section.heading.to_owned();
                let reason = Reason::Repeated { key: key.to_owned(), first_key, first_line };
                faults.push(Some(line), reason);
                return;
            }
            section.heading = heading;
            section.line = Some(line);
            let mut flat = Vec::new();
            flatten("", table, 0, &mut flat);
            // TOML's tables are sorted by name; "first" means first in the file.
            flat.sort_by_key(|it| it.offset);
            for it in flat {
                section.insert(&it.name, lines.at(it.offset), it.value, faults);
            }
            return;
        }
        let names = ["name", "extractor", "source", "processor", "connector", "sink"];
        let nearest = text::nearest(key, names).map(str::to_owned);
        faults.push(Some(line), Reason::UnknownKey { key: text::shown(key), nearest });
    }
}

/// One key of a section, before its prefix is judged.
struct Flat {
    offset: usize,
    name: String,
    value: Result<String, &'static str>,
}

/// `history.enable = true` without quotes is a table in TOML and the same key here.
fn flatten(prefix: &str, table: &DeTable<'_>, depth: usize, flat: &mut Vec<Flat>) {
    for (key, value) in table {
        let name: Cow<'_, str> = match prefix {
            "" => Cow::Borrowed(key.get_ref()),
            _ => Cow::Owned(format!("{prefix}.{}", key.get_ref())),
        };
        let value = match value.get_ref() {
            DeValue::Table(inner) if depth < DEPTH_MAX => {
                flatten(&name, inner, depth.saturating_add(1), flat);
                continue;
            }
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Boolean(value) => Ok(value.to_string()),
            DeValue::Integer(value) => match i64::from_str_radix(value.as_str(), value.radix()) {
                Ok(value) => Ok(value.to_string()),
                // Left as it is: the key's own check will name what it expects.
                Err(_) => Ok(value.to_string()),
            },
            other => Err(other.type_str()),
        };
        flat.push(Flat { offset: key.span().start, name: name.into_owned(), value });
    }
}

fn bad_type(key: &str, expected: &str, found: &str) -> Reason {
    Reason::BadValue {
        key: key.to_owned(),
        expected: expected.to_owned(),
        found: format!("a TOML {found}"),
    }
}

/// Finds the line of an offset.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        let after_newline = text.match_indices('\n').map(|(at, _)| at.saturating_add(1));
        Self { text, starts: core::iter::once(0).chain(after_newline).collect() }
    }

    fn at(&self, offset: usize) -> u32 {
        text::line_number(self.idx(offset))
    }

    fn idx(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).saturating_sub(1)
    }

    /// The line with that offset, without its end, and the offset inside it.
    fn line_of(&self, offset: usize) -> (&'t str, usize) {
        let start = self.starts.get(self.idx(offset)).copied().unwrap_or(0);
        let rest = self.text.get(start..).unwrap_or_default();
        (rest.lines().next().unwrap_or_default(), offset.saturating_sub(start))
    }
}

fn syntax(file: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let offset = error.span().map_or(0, |span| span.start).min(text.len());
    let lines = Lines::new(text);
    let (line, inside) = lines.line_of(offset);
    let before = line.get(..inside).unwrap_or(line).chars().count();
    let excerpt = match is_secret(line) {
        true => String::new(),
        false => excerpt(line, before),
    };
    let reason = Reason::Syntax {
        message: text::shown(error.message()),
        column: text::line_number(before),
        excerpt,
    };
    ConfigError::new(file, Some(lines.at(offset)), reason)
}

/// The part of the line around a column, and a caret below it.
fn excerpt(line: &str, column: usize) -> String {
    let skipped = column.saturating_sub(EXCERPT_CHARS);
    let part = line.chars().skip(skipped).take(EXCERPT_CHARS.saturating_mul(2));
    // One character for one, so that the caret stays where it belongs.
    let part: String = part.map(|it| if text::is_invisible(it) { ' ' } else { it }).collect();
    let indent = " ".repeat(column.saturating_sub(skipped));
    format!("  {}\n  {indent}^", part.trim_end())
}
