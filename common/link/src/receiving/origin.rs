//! The name under which a sender's data is kept: one path component, never ambiguous.
//!
//! The escape is injective, so two senders never share a directory, and its result is never empty,
//! `.` or `..`, and never longer than [`Origin::MAX_BYTES`].

use core::fmt;

use sha2::Digest;
use sha2::Sha256;

/// Whose data it is, as one path component.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Origin(String);

impl Origin {
    /// No origin is longer than this.
    pub const MAX_BYTES: usize = 200;

    /// The origin of a sender that calls itself `name`.
    ///
    /// ASCII letters, digits, `_`, `-` and inner dots stay; every other byte becomes `%` and two
    /// upper-case hex digits; the empty name becomes `%`. What would be too long becomes `%h` and
    /// the SHA-256 of the name, which no escaped name can begin with.
    pub fn escape(name: &str) -> Self {
        let mut escaped = String::new();
        for (at, byte) in name.bytes().enumerate() {
            let plain = byte.is_ascii_alphanumeric()
                || matches!(byte, b'_' | b'-')
                || (byte == b'.' && at > 0);
            if plain {
                escaped.push(char::from(byte));
            } else {
                push_hex(&mut escaped, '%', byte);
            }
            if escaped.len() > Self::MAX_BYTES {
                return Self(hashed(name));
            }
        }
        if escaped.is_empty() {
            escaped.push('%');
        }
        Self(escaped)
    }

    /// The path component.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn hashed(name: &str) -> String {
    let mut text = String::from("%h");
    for byte in Sha256::digest(name.as_bytes()) {
        push_hex(&mut text, '\0', byte);
    }
    text
}

fn push_hex(text: &mut String, mark: char, byte: u8) {
    if mark != '\0' {
        text.push(mark);
    }
    for nibble in [byte >> 4, byte & 0x0f] {
        text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: &str) {
        assert_eq!(Origin::escape(name).as_str(), expected, "{name:?}");
    }

    #[test]
    fn origins_are_single_path_components() {
        check("plant-7_a.b", "plant-7_a.b");
        check("", "%");
        check(".", "%2E");
        check("..", "%2E.");
        check("../../etc", "%2E.%2F..%2Fetc");
        check("a/b", "a%2Fb");
        check("a%2Fb", "a%252Fb");
        check("%", "%25");
        check("nul\0", "nul%00");
        check("厂", "%E5%8E%82");
    }

    #[test]
    fn long_origins_are_hashed_and_stay_apart() {
        let (one, two) = ("x".repeat(201), "x".repeat(202));
        assert_eq!(Origin::escape(&"x".repeat(200)).as_str(), "x".repeat(200));
        for name in [&one, &two] {
            let origin = Origin::escape(name);
            assert!(origin.as_str().starts_with("%h"));
            assert_eq!(origin.as_str().len(), 66);
        }
        assert_ne!(Origin::escape(&one), Origin::escape(&two));
        // a name that looks like a hash is escaped, so it cannot pose as one
        check("%hAB", "%25hAB");
    }
}
