//! Patterns behind `LIKE`.

/// A pattern in which `%` stands for any text and `_` for one character.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Like {
    pattern: String,
    escape: char,
    parts: Vec<Part>,
}

/// What a pattern is made of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    /// Any text, also none.
    Any,
    /// This byte.
    Byte(u8),
    /// One character.
    One,
}

impl Like {
    /// What stands before a `%` or `_` that means itself, unless something else is said.
    pub const ESCAPE: char = '\\';

    /// `None` if the escape stands before anything but `%`, `_` and itself.
    pub fn new(pattern: &str, escape: char) -> Option<Self> {
        let mut parts = Vec::new();
        let mut chars = pattern.chars();
        while let Some(it) = chars.next() {
            match it {
                _ if it == escape => match chars.next() {
                    Some(meant) if meant == escape || meant == '%' || meant == '_' => {
                        literal(&mut parts, meant);
                    }
                    _ => return None,
                },
                '%' if parts.last() == Some(&Part::Any) => (),
                '%' => parts.push(Part::Any),
                '_' => parts.push(Part::One),
                _ => literal(&mut parts, it),
            }
        }
        Some(Self { pattern: pattern.to_owned(), escape, parts })
    }

    /// As it was written.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// What makes the next character mean itself.
    pub fn escape(&self) -> char {
        self.escape
    }

    /// Whether a text is of that form. A byte that is no UTF-8 counts as a character.
    ///
    /// Takes time in proportion to the product of the two lengths at most.
    pub fn matches(&self, text: &[u8]) -> bool {
        let (mut at, mut part) = (0, 0);
        // Where the last `%` stands, and where the text begins that it does not stand for.
        let mut any: Option<(usize, usize)> = None;
        while at < text.len() {
            let step = match self.parts.get(part) {
                Some(Part::Any) => {
                    any = Some((part, at));
                    part = part.saturating_add(1);
                    continue;
                }
                Some(Part::Byte(byte)) if text.get(at) == Some(byte) => 1,
                Some(Part::One) => character(text.get(at..).unwrap_or_default()),
                _ => 0,
            };
            if step != 0 {
                at = at.saturating_add(step);
                part = part.saturating_add(1);
                continue;
            }
            let Some((any_part, any_at)) = any else { return false };
            let longer = any_at.saturating_add(character(text.get(any_at..).unwrap_or_default()));
            any = Some((any_part, longer));
            at = longer;
            part = any_part.saturating_add(1);
        }
        self.parts.get(part..).unwrap_or_default().iter().all(|it| *it == Part::Any)
    }
}

fn literal(parts: &mut Vec<Part>, meant: char) {
    parts.extend(meant.encode_utf8(&mut [0; 4]).bytes().map(Part::Byte));
}

/// Bytes of the character with which a text begins.
fn character(text: &[u8]) -> usize {
    let bytes = match text.first() {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => 1,
    };
    let is_whole = text.get(..bytes).is_some_and(|it| core::str::from_utf8(it).is_ok());
    if is_whole { bytes } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, text: &str, expected: bool) {
        let like = Like::new(pattern, Like::ESCAPE).expect("a pattern");
        assert_eq!(like.matches(text.as_bytes()), expected, "{pattern} on {text}");
    }

    #[test]
    fn percent_is_any_text_and_underscore_is_one_character() {
        check("", "", true);
        check("", "a", false);
        check("%", "", true);
        check("%%", "abc", true);
        check("a%c", "abbc", true);
        check("a%c", "abcd", false);
        check("%ab%ab", "abxab", true);
        check("%ab%ab", "xab", false);
        check("_", "ä", true);
        check("_", "ab", false);
        check("_%_", "中文", true);
        check("a\\%b", "a%b", true);
        check("a\\%b", "axb", false);
        check("a\\\\", "a\\", true);
        assert_eq!(Like::new("a\\b", '\\'), None);
        assert_eq!(Like::new("a\\", '\\'), None);
        assert!(Like::new("%!%", '!').expect("a pattern").matches(b"50%"));
        assert!(Like::new("_", '\\').expect("a pattern").matches(b"\xff"));
    }

    #[test]
    fn a_hostile_pattern_takes_no_more_than_the_product_of_the_lengths() {
        let pattern = "%a".repeat(400) + "b";
        check(&pattern, &"a".repeat(100_000), false);
    }
}
