//! Statements as tokens: the lexical grammar of IoTDB's tree model, whole, with comments added.
//!
//! The longest token wins, as in IoTDB. Keywords are words here: nearly all of them may also name a
//! node, so only the parser can tell. A fault ends the tokens; it is reported when the parser comes
//! to it, so that what is wrong before it is told first.

mod literal;

use tidegate_model::path::is_ideograph;

/// What a token is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// Digits of bytes in quotes, `X` and quotes still there.
    Bytes,
    /// A date, or a date with a time of day.
    DateTime,
    /// Behind the last one.
    End,
    /// Digits with an exponent.
    Exponent,
    /// No token begins here.
    Fault(Fault),
    /// Digits.
    Integer,
    /// `1d12h`.
    Interval,
    /// A name in backticks, which are still there.
    Quoted,
    /// An operator or a bracket.
    Symbol(Symbol),
    /// A text in quotes, which are still there.
    Text,
    /// A keyword or a name.
    Word,
}

/// Why no token begins at a place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    Character,
    OpenComment,
    OpenName,
    OpenText,
}

/// Operators and brackets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Symbol {
    And,
    Close,
    CloseSquare,
    Comma,
    Dot,
    DoubleColon,
    Equal,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Minus,
    Not,
    NotEqual,
    Open,
    OpenSquare,
    Or,
    Percent,
    Plus,
    Semicolon,
    Slash,
    Star,
    StarStar,
}

/// Every symbol; one that begins another stands behind it.
const SYMBOLS: [(&str, Symbol); 27] = [
    ("**", Symbol::StarStar),
    ("*", Symbol::Star),
    ("==", Symbol::Equal),
    ("=", Symbol::Equal),
    (">=", Symbol::GreaterEqual),
    (">", Symbol::Greater),
    ("<=", Symbol::LessEqual),
    ("<>", Symbol::NotEqual),
    ("<", Symbol::Less),
    ("!=", Symbol::NotEqual),
    ("!", Symbol::Not),
    ("&&", Symbol::And),
    ("&", Symbol::And),
    ("||", Symbol::Or),
    ("|", Symbol::Or),
    ("::", Symbol::DoubleColon),
    ("(", Symbol::Open),
    (")", Symbol::Close),
    ("[", Symbol::OpenSquare),
    ("]", Symbol::CloseSquare),
    (",", Symbol::Comma),
    (".", Symbol::Dot),
    (";", Symbol::Semicolon),
    ("-", Symbol::Minus),
    ("+", Symbol::Plus),
    ("/", Symbol::Slash),
    ("%", Symbol::Percent),
];

/// One token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'t> {
    pub(crate) kind: Kind,
    pub(crate) text: &'t str,
    /// Where it begins.
    pub(crate) offset: usize,
}

impl Token<'_> {
    /// Whether it is that keyword, in any case.
    pub(crate) fn is_word(&self, keyword: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(keyword)
    }

    pub(crate) fn is_symbol(&self, symbol: Symbol) -> bool {
        self.kind == Kind::Symbol(symbol)
    }

    /// Where it ends.
    pub(crate) fn end(&self) -> usize {
        self.offset.saturating_add(self.text.len())
    }
}

/// The tokens of a statement. The last one, and only that, is an end or a fault.
pub(crate) fn tokens(statement: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut offset = 0;
    loop {
        let rest = statement.get(offset..).unwrap_or_default();
        let (kind, length) = match blank(rest) {
            Ok(0) => next(rest),
            Ok(length) => {
                offset = offset.saturating_add(length);
                continue;
            }
            Err(fault) => (Kind::Fault(fault), 0),
        };
        let text = rest.get(..length).unwrap_or_default();
        tokens.push(Token { kind, text, offset });
        if matches!(kind, Kind::End | Kind::Fault(_)) {
            return tokens;
        }
        offset = offset.saturating_add(length);
    }
}

/// A character that a word may have.
pub(crate) fn is_word_char(it: char) -> bool {
    it.is_ascii_alphanumeric() || "_:@#${}".contains(it) || is_ideograph(it)
}

/// What is inside quotes, with doubled quotes as one.
///
/// A backslash stands for itself, as in IoTDB.
pub(crate) fn unquoted(text: &str) -> String {
    let mut chars = text.chars();
    let Some(quote) = chars.next() else { return String::new() };
    let inside = chars.as_str();
    let inside = inside.strip_suffix(quote).unwrap_or(inside);
    inside.replace(&format!("{quote}{quote}"), &quote.to_string())
}

/// Length of the white space or the comment with which `rest` begins; 0 if it begins with neither.
fn blank(rest: &str) -> Result<usize, Fault> {
    if rest.starts_with("--") {
        return Ok(rest.find('\n').unwrap_or(rest.len()));
    }
    if let Some(inside) = rest.strip_prefix("/*") {
        let length = inside.find("*/").ok_or(Fault::OpenComment)?;
        return Ok(length.saturating_add("/**/".len()));
    }
    let is_white = |it: char| matches!(it, ' ' | '\t' | '\u{b}' | '\r' | '\n');
    Ok(rest.find(|it| !is_white(it)).unwrap_or(rest.len()))
}

/// The kind and the length of the token with which `rest` begins.
fn next(rest: &str) -> (Kind, usize) {
    let Some(first) = rest.chars().next() else { return (Kind::End, 0) };
    match first {
        '\'' | '"' => quoted(rest, first, Kind::Text, Fault::OpenText),
        '`' => quoted(rest, first, Kind::Quoted, Fault::OpenName),
        'X' if rest.get(1..).is_some_and(|it| it.starts_with('\'')) => bytes(rest),
        _ => {
            let word = rest.find(|it| !is_word_char(it)).unwrap_or(rest.len());
            let symbol = symbol(rest);
            let literal = literal::literal(rest);
            // Of two that are equally long the first one counts.
            let mut longest = (Kind::Fault(Fault::Character), 0);
            for (kind, length) in [symbol, literal, (Kind::Word, word)] {
                if longest.1 < length {
                    longest = (kind, length);
                }
            }
            longest
        }
    }
}

fn symbol(rest: &str) -> (Kind, usize) {
    match SYMBOLS.into_iter().find(|(text, _)| rest.starts_with(text)) {
        Some((text, symbol)) => (Kind::Symbol(symbol), text.len()),
        None => (Kind::Fault(Fault::Character), 0),
    }
}

/// `X'0102'`. No quote is in it, doubled or not.
fn bytes(rest: &str) -> (Kind, usize) {
    let behind = rest.match_indices('\'').nth(1);
    behind.map_or((Kind::Fault(Fault::OpenText), 0), |(at, quote)| {
        (Kind::Bytes, at.saturating_add(quote.len()))
    })
}

/// A quoted thing, in which the quote is doubled.
fn quoted(rest: &str, quote: char, kind: Kind, fault: Fault) -> (Kind, usize) {
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, it)) = chars.next() {
        if it == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return (kind, at.saturating_add(it.len_utf8()));
        }
    }
    (Kind::Fault(fault), 0)
}

#[cfg(test)]
mod tests;
