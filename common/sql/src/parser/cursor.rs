//! The place in a statement up to which it has been read, and what is said when it cannot go on.

use core::fmt::Write;

use crate::Reason;
use crate::SqlError;
use crate::error::shown;
use crate::keyword;
use crate::lexer;
use crate::lexer::Fault;
use crate::lexer::Kind;
use crate::lexer::Symbol;
use crate::lexer::Token;
use crate::time::TimeContext;

/// Characters of a token that a message shows.
const FOUND_CHARS_MAX: usize = 40;

/// The tokens of a statement, and the next one.
pub(super) struct Cursor<'t> {
    text: &'t str,
    tokens: Vec<Token<'t>>,
    at: usize,
    follow: &'static str,
    pub(super) context: &'t TimeContext,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t str, context: &'t TimeContext) -> Self {
        Self { text, tokens: lexer::tokens(text), at: 0, follow: "", context }
    }

    /// The next token.
    pub(super) fn peek(&self) -> Token<'t> {
        self.peek_at(0)
    }

    /// The token so many places behind the next one.
    pub(super) fn peek_at(&self, ahead: usize) -> Token<'t> {
        let end = Token { kind: Kind::End, text: "", offset: self.text.len() };
        let last = self.tokens.last().copied().unwrap_or(end);
        self.tokens.get(self.at.saturating_add(ahead)).copied().unwrap_or(last)
    }

    /// Steps over the next token.
    pub(super) fn advance(&mut self) -> Token<'t> {
        let token = self.peek();
        self.at = self.at.saturating_add(1);
        token
    }

    /// Whether nothing is left.
    pub(super) fn is_at_end(&self) -> bool {
        self.peek().kind == Kind::End
    }

    /// Steps over that keyword, if it is next.
    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let is_next = self.peek().is_word(word);
        if is_next {
            self.advance();
        }
        is_next
    }

    /// Steps over that symbol, if it is next.
    pub(super) fn take_symbol(&mut self, symbol: Symbol) -> bool {
        let is_next = self.peek().is_symbol(symbol);
        if is_next {
            self.advance();
        }
        is_next
    }

    /// Steps over that keyword, which must be next.
    pub(super) fn word(&mut self, word: &'static str) -> Result<(), SqlError> {
        match self.take_word(word) {
            true => Ok(()),
            false => Err(self.unexpected(word, &[word])),
        }
    }

    /// Steps over that symbol, which must be next.
    pub(super) fn symbol(&mut self, symbol: Symbol, shown: &'static str) -> Result<(), SqlError> {
        match self.take_symbol(symbol) {
            true => Ok(()),
            false => Err(self.unexpected(shown, &[])),
        }
    }

    /// Says what may follow the statement read so far, in case something else does.
    pub(super) fn may_follow(&mut self, follow: &'static str) {
        self.follow = follow;
    }

    /// See [`Cursor::may_follow`].
    pub(super) fn follow(&self) -> &'static str {
        self.follow
    }

    /// `name` and the word behind the next token, if one is there.
    pub(super) fn two_words(&self, name: &str) -> String {
        let second = self.peek_at(1);
        let mut words = name.to_owned();
        if second.kind == Kind::Word {
            let _ = write!(words, " {}", shown(second.text, FOUND_CHARS_MAX).to_uppercase());
        }
        words
    }

    /// At the next token.
    pub(super) fn unsupported(&self, what: impl Into<String>, instead: &'static str) -> SqlError {
        self.fault(Reason::Unsupported { what: what.into(), instead })
    }

    /// At the next token.
    pub(super) fn fault(&self, reason: Reason) -> SqlError {
        self.fault_at(reason, self.peek().offset)
    }

    pub(super) fn fault_at(&self, reason: Reason, offset: usize) -> SqlError {
        SqlError::new(reason, self.text, offset)
    }

    /// At the next token something stands that is not what should.
    pub(super) fn expected(&self, expected: &str, found: &str) -> SqlError {
        let found = match found {
            "" => "the end of the statement".to_owned(),
            found => format!("`{}`", shown(found, FOUND_CHARS_MAX)),
        };
        self.fault(Reason::Expected { expected: expected.to_owned(), found, nearest: None })
    }

    /// The next token is none that can stand there.
    ///
    /// # Arguments
    ///
    /// - `expected`: what can
    /// - `words`: keywords that can, in capitals
    pub(super) fn unexpected(&self, expected: &str, words: &[&'static str]) -> SqlError {
        let token = self.peek();
        let (mut expected, mut nearest) = (expected.to_owned(), None);
        let found = match token.kind {
            Kind::End => "the end of the statement".to_owned(),
            Kind::Fault(Fault::Character) => {
                let character = self.text.get(token.offset..).and_then(|it| it.chars().next());
                match character {
                    Some(it) if !it.is_control() && !it.is_whitespace() => format!("`{it}`"),
                    Some(it) => format!("the character U+{:04X}", u32::from(it)),
                    None => "nothing".to_owned(),
                }
            }
            Kind::Fault(fault) => {
                expected = match fault {
                    Fault::OpenComment => "`*/` behind a comment",
                    Fault::OpenName => "a backtick behind a name",
                    Fault::OpenText | Fault::Character => "a quote behind a text",
                }
                .to_owned();
                "the end of the statement".to_owned()
            }
            Kind::Symbol(Symbol::Minus | Symbol::Plus | Symbol::Slash | Symbol::Percent) => {
                let what = format!("arithmetic (`{}`)", token.text);
                return self.unsupported(what, NAMES_NEED_BACKTICKS);
            }
            Kind::Word => {
                if let Some(clause) = keyword::find(keyword::CLAUSES, token.text) {
                    return self.unsupported(clause, keyword::SIMPLER);
                }
                nearest = keyword::nearest(token.text, words);
                format!("`{}`", shown(token.text, FOUND_CHARS_MAX))
            }
            _ => format!("`{}`", shown(token.text, FOUND_CHARS_MAX)),
        };
        self.fault(Reason::Expected { expected, found, nearest })
    }
}

/// What is said to arithmetic, which is mostly a name with a dash in it.
const NAMES_NEED_BACKTICKS: &str =
    "a name with such a character stands in backticks; with a time only an interval is added";
