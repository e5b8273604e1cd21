//! How the value of a key is written, and what it becomes.

use core::fmt;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use tidegate_model::Dialect;
use tidegate_model::Precision;

use crate::allow_list::AllowList;
use crate::secret::Secret;
use crate::text;

/// Longest path accepted, as the kernel's.
const PATH_BYTES_MAX: usize = 4095;

/// Longest path of a Unix socket: `sun_path` with its final zero is 108 bytes.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Directories of one IoTDB.
const DIRS_MAX: usize = 1024;

/// Regions that are named one by one.
const REGIONS_MAX: usize = 4096;

/// How a value is written: its type, unit and limits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// IP address to bind to.
    Address,
    /// Addresses and networks, comma separated.
    AllowList,
    /// `true` or `false`.
    Boolean,
    /// Bytes per second; zero or less means no limit.
    ByteRate,
    /// A size.
    Bytes {
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Directories, `,` between those of a tier and `;` between tiers; may be empty.
    DirTiers,
    /// A plain number.
    Integer {
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// A duration.
    Millis {
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// A path, or empty.
    OptionalPath,
    /// A path.
    Path,
    /// Which replicas are sent; may be empty.
    Replicas,
    /// A password; its value is never shown.
    Secret,
    /// The path of a Unix socket.
    SocketPath,
    /// A text of limited length.
    Text {
        /// Longest value.
        bytes_max: usize,
    },
    /// `auto`, or a text of limited length.
    TextOrAuto {
        /// Longest value.
        bytes_max: usize,
    },
    /// `auto`, or a version of IoTDB.
    VersionOrAuto,
}

impl fmt::Display for Kind {
    /// What is accepted, to stand after "expected".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Address => f.write_str("an IP address such as 0.0.0.0"),
            Self::AllowList => f.write_str(
                "addresses or networks without host bits, comma separated, such as \
                 10.0.0.2,10.1.0.0/16",
            ),
            Self::Boolean => f.write_str("true or false"),
            Self::ByteRate => {
                f.write_str("bytes per second, plain or with KiB, MiB or GiB, or -1 for no limit")
            }
            Self::Bytes { min, max } => write!(
                f,
                "bytes from {} to {}, plain or with KiB, MiB, GiB or TiB",
                ByteText(min),
                ByteText(max),
            ),
            Self::Choice(words) => match words.split_last() {
                Some((last, [])) => f.write_str(last),
                Some((last, others)) => write!(f, "{} or {last}", others.join(", ")),
                None => Ok(()),
            },
            Self::DirTiers => {
                f.write_str("directories with , between those of a tier and ; between tiers")
            }
            Self::Integer { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Millis { min, max } => {
                write!(f, "milliseconds from {min} to {max}, plain or with ms, s, min, h or d")
            }
            Self::OptionalPath => f.write_str("a path or nothing"),
            Self::Path => f.write_str("a path"),
            Self::Replicas => {
                f.write_str("all, none, ids of regions with , between them, or nothing")
            }
            Self::Secret => f.write_str("a password of 1 to 255 bytes"),
            Self::SocketPath => {
                write!(f, "the path of a socket of at most {SOCKET_PATH_BYTES_MAX} bytes")
            }
            Self::Text { bytes_max } => write!(f, "a text of 1 to {bytes_max} bytes"),
            Self::TextOrAuto { bytes_max } => {
                write!(f, "auto or a text of 1 to {bytes_max} bytes")
            }
            Self::VersionOrAuto => f.write_str("auto or a version of IoTDB from 1.2 to 2.x"),
        }
    }
}

/// A number of bytes in the largest unit that divides it.
struct ByteText(u64);

impl fmt::Display for ByteText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit =
            BYTE_UNITS.iter().find(|(_, factor)| self.0 > 0 && self.0.is_multiple_of(*factor));
        match unit {
            Some((name, factor)) if *factor > 1 => write!(f, "{}{name}", self.0 / factor),
            _ => write!(f, "{}", self.0),
        }
    }
}

/// Largest first.
const BYTE_UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

const TIME_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("min", 60_000), ("s", 1_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A value that a key's text becomes; `None` when the text does not fit `kind`.
pub(crate) trait Setting: Sized {
    fn read(kind: &Kind, text: &str) -> Option<Self>;
}

impl Setting for bool {
    fn read(_: &Kind, text: &str) -> Option<Self> {
        match () {
            () if text.eq_ignore_ascii_case("true") => Some(true),
            () if text.eq_ignore_ascii_case("false") => Some(false),
            () => None,
        }
    }
}

impl Setting for u64 {
    fn read(kind: &Kind, text: &str) -> Option<Self> {
        let (value, min, max) = match *kind {
            Kind::Integer { min, max } => (number(text, &[])?, min, max),
            Kind::Bytes { min, max } => (number(text, &BYTE_UNITS)?, min, max),
            Kind::Millis { min, max } => (number(text, &TIME_UNITS)?, min, max),
            _ => return None,
        };
        (min <= value && value <= max).then_some(value)
    }
}

impl Setting for u32 {
    fn read(kind: &Kind, text: &str) -> Option<Self> {
        u64::read(kind, text)?.try_into().ok()
    }
}

impl Setting for u16 {
    fn read(kind: &Kind, text: &str) -> Option<Self> {
        u64::read(kind, text)?.try_into().ok()
    }
}

impl Setting for usize {
    fn read(kind: &Kind, text: &str) -> Option<Self> {
        u64::read(kind, text)?.try_into().ok()
    }
}

/// A limit in bytes per second; `None` means no limit.
impl Setting for Option<u64> {
    fn read(_: &Kind, text: &str) -> Option<Self> {
        if let Some(below_zero) = text.strip_prefix('-') {
            return decimal(below_zero).map(|_| None);
        }
        // IoTDB reads a double here and writes whole numbers with ".0".
        match number(text.strip_suffix(".0").unwrap_or(text), &BYTE_UNITS)? {
            0 => Some(None),
            limit => Some(Some(limit)),
        }
    }
}

fn decimal(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| plain)
}

/// Digits and, if there are units, one of them.
fn number(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at_checked(digits)?;
    let value: u64 = digits.parse().ok()?;
    let unit = unit.trim_start();
    if unit.is_empty() {
        return (text.len() == digits.len()).then_some(value);
    }
    let (_, factor) = units.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name))?;
    value.checked_mul(*factor)
}

/// No control characters: a NUL would cut a path short, a line end would forge a log line.
fn is_clean(text: &str, bytes_max: usize) -> bool {
    text.len() <= bytes_max && !text.chars().any(text::is_invisible)
}

impl Setting for PathBuf {
    fn read(kind: &Kind, text: &str) -> Option<Self> {
        let bytes_max = match kind {
            Kind::SocketPath => SOCKET_PATH_BYTES_MAX,
            _ => PATH_BYTES_MAX,
        };
        (!text.is_empty() && is_clean(text, bytes_max)).then(|| Self::from(text))
    }
}

impl Setting for Option<PathBuf> {
    fn read(kind: &Kind, text: &str) -> Option<Self> {
        match text {
            "" => Some(None),
            _ => PathBuf::read(kind, text).map(Some),
        }
    }
}

impl Setting for String {
    fn read(kind: &Kind, text: &str) -> Option<Self> {
        let (Kind::Text { bytes_max } | Kind::TextOrAuto { bytes_max }) = *kind else {
            return None;
        };
        (!text.is_empty() && is_clean(text, bytes_max)).then(|| text.to_owned())
    }
}

impl Setting for Option<String> {
    fn read(kind: &Kind, text: &str) -> Option<Self> {
        match text {
            "auto" => Some(None),
            _ => String::read(kind, text).map(Some),
        }
    }
}

impl Setting for Secret {
    fn read(_: &Kind, text: &str) -> Option<Self> {
        (!text.is_empty() && text.len() <= 255).then(|| Self::new(text))
    }
}

impl Setting for IpAddr {
    fn read(_: &Kind, text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Setting for AllowList {
    fn read(_: &Kind, text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

impl Setting for Option<Precision> {
    fn read(_: &Kind, text: &str) -> Option<Self> {
        match text {
            "auto" => Some(None),
            _ => Precision::parse(text).map(Some),
        }
    }
}

/// Directories as IoTDB writes them: tiers, each with one or several directories.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DirTiers(Vec<Vec<PathBuf>>);

impl DirTiers {
    /// Reads `a,b;c`: two directories in the first tier, one in the second. The empty text is no
    /// directory at all. As for IoTDB, separators at the end mean nothing.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_end_matches([',', ';']);
        if text.is_empty() {
            return Some(Self::default());
        }
        if text.split([',', ';']).count() > DIRS_MAX {
            return None;
        }
        let dir = |it: &str| PathBuf::read(&Kind::Path, it.trim());
        let tier = |it: &str| it.split(',').map(dir).collect();
        text.split(';').map(tier).collect::<Option<_>>().map(Self)
    }

    /// True when no directory is given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tiers, hot to cold; none of them is empty.
    pub fn tiers(&self) -> &[Vec<PathBuf>] {
        &self.0
    }

    /// Every directory of every tier.
    pub fn dirs(&self) -> impl Iterator<Item = &PathBuf> {
        self.0.iter().flatten()
    }

    /// The same tiers with each relative directory put below `base`.
    #[must_use]
    pub fn below(self, base: &std::path::Path) -> Self {
        let tier = |it: Vec<PathBuf>| it.into_iter().map(|dir| base.join(dir)).collect();
        Self(self.0.into_iter().map(tier).collect())
    }
}

impl Setting for DirTiers {
    fn read(_: &Kind, text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

/// Which regions are sent where a region has several replicas: each replica is a copy of all rows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // every way to choose
pub enum ReplicaPolicy {
    /// Nobody has chosen, so there must be nothing to choose from.
    #[default]
    Unset,
    /// All regions.
    All,
    /// Those that have no other replica.
    None,
    /// These.
    Regions(BTreeSet<u32>),
}

impl Setting for ReplicaPolicy {
    fn read(_: &Kind, text: &str) -> Option<Self> {
        match text {
            "" => Some(Self::Unset),
            "all" => Some(Self::All),
            "none" => Some(Self::None),
            _ if text.split(',').count() > REGIONS_MAX => None,
            _ => {
                let id = |it: &str| number(it.trim(), &[])?.try_into().ok();
                text.split(',').map(id).collect::<Option<_>>().map(Self::Regions)
            }
        }
    }
}

/// A version of IoTDB, as `iotdb_version` in its `system.properties`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IotdbVersion {
    text: String,
    dialect: Dialect,
}

impl IotdbVersion {
    /// Reads `1.2.2` or `2.0.1-beta`; `None` for anything outside 1.2 to 2.x.
    pub fn parse(text: &str) -> Option<Self> {
        let dialect = Dialect::of_version(text)?;
        is_clean(text, 64).then(|| Self { text: text.to_owned(), dialect })
    }

    /// The version as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The dialect that this version speaks.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }
}

impl Setting for Option<IotdbVersion> {
    fn read(_: &Kind, text: &str) -> Option<Self> {
        match text {
            "auto" => Some(None),
            _ => IotdbVersion::parse(text).map(Some),
        }
    }
}

/// What is written to the log.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[allow(clippy::exhaustive_enums)] // the five levels of tracing
pub enum LogLevel {
    /// What stops work.
    Error,
    /// What someone should look at.
    Warn,
    /// Changes of state.
    Info,
    /// Single items and connections.
    Debug,
    /// Single frames.
    Trace,
}

impl LogLevel {
    /// As in the configuration and as `tracing` reads it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// The words of [`LogLevel`].
pub(crate) const LOG_LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];

impl Setting for LogLevel {
    fn read(_: &Kind, text: &str) -> Option<Self> {
        let all = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];
        all.into_iter().find(|it| it.as_str() == text)
    }
}
