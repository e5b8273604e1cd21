//! Pipe names and the file names they become, one for one.

use core::fmt;

/// Longest name: its file name must stay below 255 bytes even if every byte is escaped.
const NAME_BYTES_MAX: usize = 80;

const SUFFIX: &str = ".toml";

/// Name of a pipe: 1 to 80 bytes, not beginning with `__`, which IoTDB keeps for itself.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PipeName(String);

impl PipeName {
    /// Checks a name.
    ///
    /// # Errors
    /// Empty, too long, or one of IoTDB's own.
    pub fn new(name: &str) -> Result<Self, PipeNameError> {
        match name {
            "" => Err(PipeNameError::Empty),
            _ if name.len() > NAME_BYTES_MAX => {
                Err(PipeNameError::TooLong { found_bytes: name.len() })
            }
            _ if name.starts_with("__") => Err(PipeNameError::Reserved),
            _ => Ok(Self(name.to_owned())),
        }
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as part of a path: without `/`, without a leading dot, and no two names alike.
    pub fn escaped(&self) -> String {
        let mut out = String::with_capacity(self.0.len());
        let mut utf8 = [0; 4];
        for (at, it) in self.0.char_indices() {
            if stays(at, it) {
                out.push(it);
                continue;
            }
            for byte in it.encode_utf8(&mut utf8).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
        out
    }

    /// Name of the definition's file.
    pub fn file_name(&self) -> String {
        format!("{}{SUFFIX}", self.escaped())
    }

    /// The name that a definition's file name stands for. Only the file name that
    /// [`PipeName::file_name`] makes is accepted, so that one pipe has one file.
    ///
    /// # Errors
    /// Not the file name of any pipe.
    pub fn from_file_name(file_name: &str) -> Result<Self, PipeNameError> {
        let stem = file_name.strip_suffix(SUFFIX).ok_or(PipeNameError::NotEscaped)?;
        let name = unescape(stem).ok_or(PipeNameError::NotEscaped)?;
        let name = Self::new(&name)?;
        match name.escaped() == stem {
            true => Ok(name),
            false => Err(PipeNameError::NotEscaped),
        }
    }
}

impl fmt::Display for PipeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Other scripts stay readable; a dot is safe anywhere but in front.
fn stays(at: usize, it: char) -> bool {
    match it {
        '.' => at > 0,
        '-' | '_' => true,
        _ if it.is_ascii() => it.is_ascii_alphanumeric(),
        _ => !crate::text::is_invisible(it),
    }
}

fn unescape(stem: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(stem.len());
    let mut rest = stem.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let (high, low) = (hex(rest.next()?)?, hex(rest.next()?)?);
                bytes.push(high << 4 | low);
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| digit.try_into().ok())
}

/// Why a text names no pipe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PipeNameError {
    /// The empty text.
    Empty,
    /// A file name that no pipe name becomes.
    NotEscaped,
    /// Begins with `__`.
    Reserved,
    /// Over the cap.
    TooLong {
        /// Its length.
        found_bytes: usize,
    },
}

impl fmt::Display for PipeNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("expected the name of a pipe, but found nothing"),
            Self::NotEscaped => write!(
                f,
                "expected the escaped name of a pipe and {SUFFIX} as file name, but found another",
            ),
            Self::Reserved => f.write_str("names that begin with __ belong to IoTDB itself"),
            Self::TooLong { found_bytes } => write!(
                f,
                "expected a name of at most {NAME_BYTES_MAX} bytes, but found {found_bytes}",
            ),
        }
    }
}

impl core::error::Error for PipeNameError {}
