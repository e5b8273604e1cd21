//! Statements from their text.
//!
//! One function per rule, one token of lookahead, and a depth that is counted. Whatever stands where
//! nothing of the rule can, goes to [`Cursor::unexpected`], which knows what to say about it.

mod condition;
mod cursor;
mod literal;
mod node;
mod select;
mod show;

use crate::Reason;
use crate::STATEMENT_BYTES_MAX;
use crate::SqlError;
use crate::Statement;
use crate::keyword;
use crate::lexer::Symbol;
use crate::time::TimeContext;

use cursor::Cursor;

/// Reads one statement. A semicolon may end it.
///
/// # Arguments
///
/// - `text`: the statement, of at most [`STATEMENT_BYTES_MAX`] bytes
/// - `context`: makes numbers of the times in it
pub fn parse(text: &str, context: &TimeContext) -> Result<Statement, SqlError> {
    if STATEMENT_BYTES_MAX < text.len() {
        return Err(SqlError::new(Reason::statement_too_long(), "", 0));
    }
    let mut cursor = Cursor::new(text, context);
    let statement = statement(&mut cursor)?;
    let _ = cursor.take_symbol(Symbol::Semicolon);
    match cursor.is_at_end() {
        true => Ok(statement),
        false => {
            let follow = cursor.follow();
            let words = follow.split(|it: char| !it.is_ascii_uppercase());
            let words: Vec<&'static str> = words.filter(|it| !it.is_empty()).collect();
            Err(cursor.unexpected(follow, &words))
        }
    }
}

fn statement(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    if cursor.take_word("SELECT") {
        return select::select(cursor);
    }
    if cursor.take_word("SHOW") {
        return show::show(cursor).map(Statement::Show);
    }
    if cursor.take_word("COUNT") {
        return show::count(cursor).map(Statement::Count);
    }
    let token = cursor.peek();
    if let Some(name) = keyword::find(keyword::STATEMENTS, token.text) {
        return Err(cursor.unsupported(cursor.two_words(name), keyword::EXPORT));
    }
    Err(cursor.unexpected("SELECT, SHOW or COUNT", &["SELECT", "SHOW", "COUNT"]))
}
