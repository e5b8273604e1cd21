//! `SHOW` and `COUNT`, and the clauses that they share with queries.

use super::cursor::Cursor;
use super::literal;
use super::node;
use crate::Count;
use crate::Page;
use crate::Path;
use crate::Reason;
use crate::Show;
use crate::SqlError;
use crate::What;
use crate::keyword;
use crate::lexer::Kind;

/// What follows SHOW.
pub(super) fn show(cursor: &mut Cursor<'_>) -> Result<Show, SqlError> {
    let what = if cursor.take_word("TIMESERIES") {
        What::Timeseries
    } else if cursor.take_word("DEVICES") {
        What::Devices
    } else if cursor.take_word("DATABASES") {
        What::Databases
    } else if cursor.peek().is_word("STORAGE") {
        storage_group(cursor)?;
        What::Databases
    } else {
        let expected = "TIMESERIES, DEVICES or DATABASES behind SHOW";
        return Err(unknown(cursor, "SHOW", expected, &["TIMESERIES", "DEVICES", "DATABASES"]));
    };
    if what == What::Databases && cursor.peek().is_word("DETAILS") {
        return Err(cursor.unsupported("SHOW DATABASES DETAILS", "leave DETAILS out"));
    }
    let pattern = pattern(cursor)?;
    no_where(cursor)?;
    if what == What::Databases {
        cursor.may_follow(AT_END);
        return Ok(Show { what, pattern, page: Page::default() });
    }
    let page = page(cursor)?;
    cursor.may_follow("LIMIT, OFFSET or the end of the statement");
    Ok(Show { what, pattern, page })
}

/// What follows COUNT.
pub(super) fn count(cursor: &mut Cursor<'_>) -> Result<Count, SqlError> {
    let what = if cursor.take_word("TIMESERIES") {
        What::Timeseries
    } else if cursor.take_word("DEVICES") {
        What::Devices
    } else {
        for word in ["DATABASES", "STORAGE"] {
            if cursor.peek().is_word(word) {
                return Err(cursor.unsupported("COUNT DATABASES", "use SHOW DATABASES"));
            }
        }
        let expected = "TIMESERIES or DEVICES behind COUNT";
        return Err(unknown(cursor, "COUNT", expected, &["TIMESERIES", "DEVICES"]));
    };
    let pattern = pattern(cursor)?;
    no_where(cursor)?;
    if cursor.peek().is_word("GROUP") {
        return Err(cursor.unsupported("COUNT with GROUP BY LEVEL", keyword::SIMPLER));
    }
    cursor.may_follow(AT_END);
    Ok(Count { what, pattern })
}

/// LIMIT and OFFSET, in either order.
pub(super) fn page(cursor: &mut Cursor<'_>) -> Result<Page, SqlError> {
    let (mut limit, mut offset) = (None, None);
    loop {
        if limit.is_none() && cursor.take_word("LIMIT") {
            let place = cursor.peek().offset;
            let rows = literal::count(cursor)?;
            if rows == 0 {
                let message = "expected a number larger than 0 behind LIMIT";
                return Err(cursor.fault_at(Reason::meaning(message), place));
            }
            limit = Some(rows);
        } else if offset.is_none() && cursor.take_word("OFFSET") {
            offset = Some(literal::count(cursor)?);
        } else {
            return Ok(Page { limit, offset: offset.unwrap_or(0) });
        }
    }
}

/// What may follow a statement that takes nothing more.
const AT_END: &str = "the end of the statement";

/// `STORAGE GROUP`, IoTDB's older word for databases.
fn storage_group(cursor: &mut Cursor<'_>) -> Result<(), SqlError> {
    cursor.word("STORAGE")?;
    cursor.word("GROUP")
}

/// The pattern, unless the statement goes on otherwise.
fn pattern(cursor: &mut Cursor<'_>) -> Result<Option<Path>, SqlError> {
    let token = cursor.peek();
    let goes_on = ["LIMIT", "OFFSET", "WHERE", "GROUP", "WITH"].iter().any(|it| token.is_word(it));
    let is_path = matches!(token.kind, Kind::Word | Kind::Quoted) && !goes_on;
    match is_path && !is_typo(token.text) {
        true => node::full_path(cursor).map(Some),
        false => Ok(None),
    }
}

/// Whether a word is more like a clause than like `root`.
fn is_typo(word: &str) -> bool {
    !word.eq_ignore_ascii_case("root") && keyword::nearest(word, &["LIMIT", "OFFSET"]).is_some()
}

fn no_where(cursor: &Cursor<'_>) -> Result<(), SqlError> {
    match cursor.peek().is_word("WHERE") {
        true => Err(cursor.unsupported("WHERE behind SHOW or COUNT", "give a pattern of paths")),
        false => Ok(()),
    }
}

/// The subject is one that only IoTDB knows, or that nobody knows.
fn unknown(cursor: &Cursor<'_>, verb: &str, expected: &str, words: &[&'static str]) -> SqlError {
    match keyword::find(keyword::SUBJECTS, cursor.peek().text) {
        Some("LATEST") => {
            let instead = "use SHOW TIMESERIES, or SELECT LAST for the newest values";
            cursor.unsupported(cursor.two_words("SHOW LATEST"), instead)
        }
        None if cursor.peek().is_word("TABLES") => {
            cursor.unsupported(format!("{verb} TABLES"), keyword::TABLES)
        }
        Some(subject) => cursor.unsupported(format!("{verb} {subject}"), keyword::SIMPLER),
        None => cursor.unexpected(expected, words),
    }
}
