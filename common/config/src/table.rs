//! One table per daemon: the only place that says which keys there are.
//!
//! The macro [`config_table`] makes the struct, the reading and the comparison at SIGHUP from the
//! rows; the functions here make the shipped file and the manual page from the same rows.

use core::fmt;

use crate::error::ConfigErrors;
use crate::error::Faults;
use crate::error::Reason;
use crate::iotdb_keys::IOTDB_PIPE_KEYS;
use crate::properties::Entry;
use crate::properties::Properties;
use crate::properties::Repeated;
use crate::text;
use crate::value::Kind;
use crate::value::Setting;

/// When a changed value takes effect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // each key has one or the other
pub enum Reload {
    /// On SIGHUP.
    Live,
    /// At the next start.
    Restart,
}

/// Whether this daemon acts on a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // each key has one or the other
pub enum Effect {
    /// It is acted upon.
    Used,
    /// One of the keys of IoTDB's manual that is read and checked, but that nothing here needs.
    Unused,
}

/// Everything there is to say about one key.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs)] // made by the tables only
pub struct KeySpec {
    /// Name.
    pub name: &'static str,
    /// Other names with the same meaning.
    pub aliases: &'static [&'static str],
    /// Heading it stands under.
    pub section: &'static str,
    /// Default, as it is written.
    pub default: &'static str,
    /// What the shipped file sets, where that is not the default.
    pub shipped: Option<&'static str>,
    /// How its value is written.
    pub kind: Kind,
    /// When a change takes effect.
    pub reload: Reload,
    /// Whether it is acted upon.
    pub effect: Effect,
    /// Its meaning, line by line, each with a leading blank.
    pub meaning: &'static [&'static str],
}

impl KeySpec {
    fn has_name(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    /// The value as a message may show it.
    fn shown(&self, value: &str) -> String {
        match self.kind {
            Kind::Secret => "something else".to_owned(),
            _ => text::quoted(value),
        }
    }

    /// Type, default and reload in one line, for the shipped file.
    fn facts(&self) -> String {
        let default = match self.default {
            "" => "nothing",
            other => other,
        };
        let reload = match (self.effect, self.reload) {
            (Effect::Unused, _) => "no effect in this release",
            (_, Reload::Live) => "reread on SIGHUP",
            (_, Reload::Restart) => "read at start only",
        };
        format!("Value: {}; default {default}; {reload}.", self.kind)
    }
}

/// The keys of one daemon.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs)] // made by the tables only
pub struct KeyTable {
    /// Name of the binary.
    pub daemon: &'static str,
    /// Name of its configuration file.
    pub file: &'static str,
    /// Prefix of the keys that are its own.
    pub prefix: &'static str,
    /// The other daemon's file and prefix, to say where a key belongs.
    pub other: (&'static str, &'static str),
    /// The keys, section by section.
    pub keys: &'static [KeySpec],
}

impl KeyTable {
    /// The key of that name or alias.
    pub fn find(&self, name: &str) -> Option<&'static KeySpec> {
        self.keys.iter().find(|spec| spec.has_name(name))
    }

    /// Names of the keys that SIGHUP rereads.
    pub fn live_keys(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().filter(|spec| spec.reload == Reload::Live).map(|spec| spec.name)
    }

    /// The shipped configuration file: every key, its meaning, its default.
    pub fn render_conf(&self) -> String {
        let mut out = format!(
            "# Configuration of {}.\n#\n\
             # Every key stands here with its meaning and its default. A line that begins with # is\n\
             # a comment: remove the # to change the value. The names of the first keys are those of\n\
             # Apache IoTDB; other pipe_* keys of IoTDB are accepted and have no effect here.\n",
            self.daemon,
        );
        let mut section = "";
        for spec in self.keys {
            if spec.section != section {
                section = spec.section;
                out.push_str(&format!("\n\n### {section}\n"));
            }
            out.push('\n');
            for line in spec.meaning {
                out.push_str(&format!("#{line}\n"));
            }
            for alias in spec.aliases {
                out.push_str(&format!("# Also accepted as {alias}.\n"));
            }
            out.push_str(&format!("# {}\n", spec.facts()));
            match spec.shipped {
                Some(value) => out.push_str(&Properties::render_entry(spec.name, value)),
                None => {
                    out.push('#');
                    out.push_str(&Properties::render_entry(spec.name, spec.default));
                }
            }
            out.push('\n');
        }
        out
    }

    /// The manual page of the configuration file, section 5, in man(7).
    pub fn render_man(&self) -> String {
        let title = self.file.to_uppercase();
        let mut out = format!(
            ".TH \"{}\" 5 \"\" \"Tidegate\"\n.SH NAME\n{} \\- configuration of {}\n\
             .SH DESCRIPTION\nA properties file in UTF\\-8: key=value, comments with # or !.\n\
             An unknown key, a key given twice and a value outside its limits are errors.\n\
             Other pipe_* keys of Apache IoTDB are accepted and have no effect.\n",
            roff(&title),
            roff(self.file),
            roff(self.daemon),
        );
        let mut section = "";
        for spec in self.keys {
            if spec.section != section {
                section = spec.section;
                out.push_str(&format!(".SH {}\n", roff(&section.to_uppercase())));
            }
            out.push_str(&format!(".TP\n.B {}\n", roff(spec.name)));
            for line in spec.meaning {
                out.push_str(&format!("{}\n", roff(line.trim_start())));
            }
            for alias in spec.aliases {
                out.push_str(&format!("Also accepted as {}.\n", roff(alias)));
            }
            out.push_str(&format!("{}\n", roff(&spec.facts())));
        }
        out
    }
}

/// A line of text for man(7): no escape and no request out of it.
fn roff(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-");
    match line.starts_with(['.', '\'']) {
        true => format!("\\&{line}"),
        false => line,
    }
}

/// Something a user should know that is no error.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notice {
    /// Name of the text.
    pub file: String,
    /// Line, from 1; `None` for a default.
    pub line: Option<u32>,
    /// What to know.
    pub text: String,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.text),
            None => write!(f, "{}: {}", self.file, self.text),
        }
    }
}

/// A configuration and what was noticed while reading it.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs)] // a pair with names
pub struct Loaded<C> {
    /// The values.
    pub config: C,
    /// For the log, by line; bounded.
    pub notices: Vec<Notice>,
}

/// What a SIGHUP did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // two lists, to be logged
pub struct ReloadOutcome {
    /// Changed keys that take effect now.
    pub applied: Vec<&'static str>,
    /// Changed keys that keep their old value until the next start.
    pub needs_restart: Vec<&'static str>,
}

/// Notices of one text; more are dropped, the log is no copy of the file.
const NOTICES_MAX: usize = 50;

/// Reads one properties text against a table.
pub(crate) struct Reading {
    table: &'static KeyTable,
    file: String,
    /// Entry of each key that is given.
    given: Vec<(&'static str, Entry)>,
    faults: Faults,
    notices: Vec<Notice>,
}

impl Reading {
    pub(crate) fn new(
        file: &str,
        bytes: &[u8],
        table: &'static KeyTable,
    ) -> Result<Self, ConfigErrors> {
        let properties = Properties::parse(file, bytes, Repeated::Refuse)?;
        let mut it = Self {
            table,
            file: file.to_owned(),
            given: Vec::new(),
            faults: Faults::new(file),
            notices: Vec::new(),
        };
        for entry in properties.entries() {
            if it.faults.gives_up() {
                break;
            }
            it.sort_in(entry);
        }
        Ok(it)
    }

    fn sort_in(&mut self, entry: &Entry) {
        let key = || text::shown(&entry.key);
        let Some(spec) = self.table.find(&entry.key) else {
            if IOTDB_PIPE_KEYS.binary_search(&entry.key.as_str()).is_ok() {
                self.notice(Some(entry.line), format!("{} is known, no effect here", entry.key));
            } else {
                let reason = self.unknown(&entry.key);
                self.faults.push(Some(entry.line), reason);
            }
            return;
        };
        if let Some((_, first)) = self.given.iter().find(|(name, _)| *name == spec.name) {
            let reason = Reason::Repeated {
                key: key(),
                first_key: text::shown(&first.key),
                first_line: first.line,
            };
            self.faults.push(Some(entry.line), reason);
            return;
        }
        if spec.effect == Effect::Unused && entry.value != spec.default {
            let text = format!("{} is read, but nothing in this release needs it", entry.key);
            self.notice(Some(entry.line), text);
        }
        self.given.push((spec.name, entry.clone()));
    }

    fn unknown(&self, key: &str) -> Reason {
        let (other_file, other_prefix) = self.table.other;
        if key.starts_with(other_prefix) {
            return Reason::OtherFile { key: text::shown(key), belongs_in: other_file };
        }
        let names = self
            .table
            .keys
            .iter()
            .flat_map(|spec| core::iter::once(spec.name).chain(spec.aliases.iter().copied()));
        // A key of our own or one of the manual's is the likelier wish.
        let nearest = text::nearest(key, names)
            .or_else(|| text::nearest(key, IOTDB_PIPE_KEYS.iter().copied()));
        Reason::UnknownKey { key: text::shown(key), nearest: nearest.map(str::to_owned) }
    }

    /// The value of the key, given or default; `None` when a fault was noted.
    pub(crate) fn take<T: Setting>(&mut self, name: &'static str) -> Option<T> {
        let spec = self.table.find(name)?;
        let entry = self.given.iter().find(|(key, _)| *key == name).map(|(_, entry)| entry);
        let value = entry.map_or(spec.default, |entry| entry.value.as_str());
        let read = T::read(&spec.kind, value);
        if read.is_none() {
            let reason = Reason::BadValue {
                key: entry.map_or(name, |entry| entry.key.as_str()).to_owned(),
                expected: spec.kind.to_string(),
                found: spec.shown(value),
            };
            self.faults.push(entry.map(|entry| entry.line), reason);
        }
        read
    }

    /// Line of a key, if it is given.
    pub(crate) fn line(&self, name: &str) -> Option<u32> {
        self.given.iter().find(|(key, _)| *key == name).map(|(_, entry)| entry.line)
    }

    pub(crate) fn notice(&mut self, line: Option<u32>, text: String) {
        if self.notices.len() < NOTICES_MAX {
            self.notices.push(Notice { file: self.file.clone(), line, text });
        }
    }

    pub(crate) fn fault(&mut self, line: Option<u32>, reason: Reason) {
        self.faults.push(line, reason);
    }

    pub(crate) fn finish<C>(self, config: Option<C>) -> Result<Loaded<C>, ConfigErrors> {
        self.faults.into_result()?;
        let Some(config) = config else {
            // A value was missing without a fault: only a row naming no key of its table does that.
            let reason = Reason::Missing { demand: "a key is missing in its own table".to_owned() };
            return Err(crate::error::ConfigError::new(&self.file, None, reason).into());
        };
        Ok(Loaded { config, notices: self.notices })
    }
}

/// Makes a configuration struct and its key table.
///
/// A row is: meaning as doc comment, field and type, `=` key and aliases, default (`=> "value"` if
/// the shipped file sets another), kind, `Live` or `Restart`, `Used` or `Unused`.
macro_rules! config_table {
    (
        $(#[$meta:meta])*
        $config:ident, $keys:ident, $table:ident, $check:path;
        $(
            section $section:literal;
            $(
                $(#[doc = $meaning:literal])+
                $field:ident: $ty:ty = $key:literal $(| $alias:literal)*,
                $default:literal $(=> $shipped:literal)?, $kind:expr, $reload:ident, $effect:ident;
            )+
        )+
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        #[allow(clippy::exhaustive_structs)] // made by `load`, read everywhere
        pub struct $config {
            $($(
                $(#[doc = $meaning])+
                pub $field: $ty,
            )+)+
        }

        const $keys: &[crate::table::KeySpec] = &[
            $($(
                crate::table::KeySpec {
                    name: $key,
                    aliases: &[$($alias),*],
                    section: $section,
                    default: $default,
                    shipped: config_table!(@shipped $($shipped)?),
                    kind: $kind,
                    reload: crate::table::Reload::$reload,
                    effect: crate::table::Effect::$effect,
                    meaning: &[$($meaning),+],
                },
            )+)+
        ];

        impl $config {
            /// Reads a properties text; the empty text gives the defaults. `file` is only the name
            /// that errors carry.
            ///
            /// # Errors
            /// Every fault with its line, the key, what was expected and what was found.
            pub fn load(
                file: &str,
                bytes: &[u8],
            ) -> Result<crate::table::Loaded<Self>, crate::error::ConfigErrors> {
                let mut reading = crate::table::Reading::new(file, bytes, &$table)?;
                $($(let $field = reading.take::<$ty>($key);)+)+
                let config = match ($($($field,)+)+) {
                    ($($(Some($field),)+)+) => Some(Self { $($($field,)+)+ }),
                    _ => None,
                };
                if let Some(config) = &config {
                    $check(config, &mut reading);
                }
                reading.finish(config)
            }

            /// Which changed keys SIGHUP can apply and which need a restart.
            pub fn diff(&self, new: &Self) -> crate::table::ReloadOutcome {
                let mut outcome = crate::table::ReloadOutcome::default();
                $($(
                    if self.$field != new.$field {
                        match crate::table::Reload::$reload {
                            crate::table::Reload::Live => outcome.applied.push($key),
                            crate::table::Reload::Restart => outcome.needs_restart.push($key),
                        }
                    }
                )+)+
                outcome
            }

            /// Takes over the keys that SIGHUP can apply, and says which changed.
            pub fn reload(&mut self, new: &Self) -> crate::table::ReloadOutcome {
                let outcome = self.diff(new);
                $($(
                    if crate::table::Reload::$reload == crate::table::Reload::Live {
                        self.$field.clone_from(&new.$field);
                    }
                )+)+
                outcome
            }
        }
    };
    (@shipped) => { None };
    (@shipped $shipped:literal) => { Some($shipped) };
}
