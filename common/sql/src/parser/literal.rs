//! Numbers, texts and times.

use super::cursor::Cursor;
use super::node;
use crate::Literal;
use crate::Reason;
use crate::SqlError;
use crate::lexer;
use crate::lexer::Kind;
use crate::lexer::Symbol;
use crate::time;
use crate::time::Interval;
use crate::time::TimeError;

/// Whether a literal begins with the next token.
pub(super) fn begins(cursor: &Cursor<'_>) -> bool {
    let token = cursor.peek();
    match token.kind {
        Kind::Bytes | Kind::DateTime | Kind::Exponent | Kind::Text => true,
        // Before a wildcard without a blank, digits begin a node.
        Kind::Integer => {
            let next = cursor.peek_at(1);
            !(next.is_symbol(Symbol::Star) && next.offset == token.end())
        }
        Kind::Symbol(Symbol::Minus | Symbol::Plus | Symbol::Dot) => true,
        Kind::Word => {
            let is_constant = ["TRUE", "FALSE", "NULL", "NAN"].iter().any(|it| token.is_word(it));
            is_constant || is_now(cursor)
        }
        _ => false,
    }
}

/// A value: a number, a text, TRUE or FALSE, or a time, which is a number then.
pub(super) fn literal(cursor: &mut Cursor<'_>) -> Result<Literal, SqlError> {
    let token = cursor.peek();
    match token.kind {
        Kind::Bytes => {
            let bytes = bytes_of(token.text).ok_or_else(|| {
                let message = "expected two hexadecimal digits for each byte in X'...'";
                cursor.fault(Reason::meaning(message))
            })?;
            cursor.advance();
            Ok(Literal::Bytes(bytes))
        }
        Kind::DateTime => date_expression(cursor).map(Literal::Integer),
        Kind::Text => {
            cursor.advance();
            Ok(Literal::Text(lexer::unquoted(token.text)))
        }
        Kind::Word if is_now(cursor) => date_expression(cursor).map(Literal::Integer),
        Kind::Word if token.is_word("TRUE") || token.is_word("FALSE") => {
            cursor.advance();
            Ok(Literal::Boolean(token.is_word("TRUE")))
        }
        Kind::Word if token.is_word("NULL") => {
            let message = "nothing is equal to NULL, or unequal: write IS NULL or IS NOT NULL";
            Err(cursor.fault(Reason::meaning(message)))
        }
        Kind::Word if token.is_word("NAN") => {
            Err(cursor.unsupported("NAN", "compare with a number"))
        }
        _ => number(cursor),
    }
}

/// The time that the next literal is.
pub(super) fn time(cursor: &mut Cursor<'_>) -> Result<i64, SqlError> {
    let offset = cursor.peek().offset;
    if !begins(cursor) {
        return Err(cursor.unexpected("a time", &["NOW"]));
    }
    let literal = literal(cursor)?;
    time_of(cursor, &literal, offset)
}

/// The time that a literal is; it stands at `offset`.
pub(super) fn time_of(
    cursor: &Cursor<'_>,
    literal: &Literal,
    offset: usize,
) -> Result<i64, SqlError> {
    match literal {
        Literal::Integer(time) => Ok(*time),
        Literal::Text(text) => time::parse_time(text, cursor.context)
            .map_err(|error| cursor.fault_at(Reason::Time(error), offset)),
        Literal::Boolean(_) | Literal::Bytes(_) | Literal::Float(_) => {
            let message = format!("expected a time, found {literal}");
            Err(cursor.fault_at(Reason::meaning(message), offset))
        }
    }
}

/// An interval.
pub(super) fn interval(cursor: &mut Cursor<'_>) -> Result<Interval, SqlError> {
    let token = cursor.peek();
    if token.kind != Kind::Interval {
        return Err(cursor.unexpected("an interval such as 1d12h", &[]));
    }
    let interval = Interval::parse(token.text);
    let interval = interval.map_err(|error| cursor.fault(Reason::Time(error)))?;
    cursor.advance();
    Ok(interval)
}

/// A whole number without a sign.
pub(super) fn count(cursor: &mut Cursor<'_>) -> Result<u64, SqlError> {
    let token = cursor.peek();
    if matches!(token.kind, Kind::Symbol(Symbol::Minus | Symbol::Plus)) {
        let signed = format!("{}{}", token.text, cursor.peek_at(1).text);
        return Err(cursor.expected("a whole number without a sign", &signed));
    }
    if token.kind != Kind::Integer {
        return Err(cursor.unexpected("a whole number", &[]));
    }
    let number = token.text.parse().map_err(|_| cursor.fault(too_large(token.text)))?;
    cursor.advance();
    Ok(number)
}

/// The bytes of `X'0102'`, in which IoTDB passes over white space.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let inside = text.strip_prefix("X'")?.strip_suffix('\'')?;
    let digits = inside.chars().filter(|it| !it.is_whitespace()).map(|it| it.to_digit(16));
    let digits: Vec<u32> = digits.collect::<Option<_>>()?;
    let byte = |pair: &[u32]| match pair {
        [high, low] => u8::try_from(high << 4 | low).ok(),
        _ => None,
    };
    digits.chunks(2).map(byte).collect()
}

fn is_now(cursor: &Cursor<'_>) -> bool {
    cursor.peek().is_word("NOW") && cursor.peek_at(1).is_symbol(Symbol::Open)
}

/// A date-time or `now()`, with intervals added or taken away.
fn date_expression(cursor: &mut Cursor<'_>) -> Result<i64, SqlError> {
    let begin = cursor.peek();
    let context = *cursor.context;
    let mut time = match begin.kind {
        Kind::DateTime => {
            let time = time::parse_date_time(begin.text, &context).and_then(|(time, rest)| {
                match rest.is_empty() {
                    true => Ok(time),
                    false => Err(TimeError::form("the end of the time", rest)),
                }
            });
            let time = time.map_err(|error| cursor.fault(Reason::Time(error)))?;
            cursor.advance();
            time
        }
        _ => {
            cursor.advance();
            cursor.symbol(Symbol::Open, "`(`")?;
            cursor.symbol(Symbol::Close, "`)`")?;
            context.now
        }
    };
    loop {
        let times = match cursor.peek().kind {
            Kind::Symbol(Symbol::Plus) => 1,
            Kind::Symbol(Symbol::Minus) => -1,
            _ => break,
        };
        cursor.advance();
        if matches!(cursor.peek().kind, Kind::Integer | Kind::Exponent) {
            let expected = "an interval such as 1d12h, its units right behind their numbers";
            return Err(cursor.expected(expected, cursor.peek().text));
        }
        let interval = interval(cursor)?;
        let range = Reason::Time(TimeError::Range { precision: context.precision });
        time = interval
            .shift(time, times, context.precision, context.offset)
            .ok_or_else(|| cursor.fault_at(range, begin.offset))?;
    }
    Ok(time)
}

/// A number with or without a sign, a point and an exponent.
fn number(cursor: &mut Cursor<'_>) -> Result<Literal, SqlError> {
    let begin = cursor.peek();
    let mut text = String::new();
    if cursor.take_symbol(Symbol::Minus) {
        text.push('-');
    } else {
        let _ = cursor.take_symbol(Symbol::Plus);
    }
    let (mut is_whole, mut end) = (true, None);
    let mut has_digits = false;
    let mut has_point = false;
    loop {
        let token = cursor.peek();
        if end.is_some_and(|end| end != token.offset) {
            break;
        }
        match token.kind {
            Kind::Integer if !has_digits || has_point => has_digits = true,
            Kind::Exponent if !has_digits || has_point => {
                has_digits = true;
                is_whole = false;
            }
            Kind::Symbol(Symbol::Dot) if !has_point && is_whole => {
                has_point = true;
                is_whole = false;
            }
            _ => break,
        }
        cursor.advance();
        text.push_str(token.text);
        end = Some(token.end());
        if matches!(token.kind, Kind::Integer | Kind::Exponent) && has_point {
            break;
        }
    }
    if !has_digits {
        return Err(cursor.unexpected("a value: a number, a text, a time, TRUE or FALSE", &[]));
    }
    let number = match is_whole {
        true => text.parse().ok().map(Literal::Integer),
        false => text.parse().ok().filter(|it: &f64| it.is_finite()).map(Literal::Float),
    };
    number.ok_or_else(|| cursor.fault_at(too_large(&text), begin.offset))
}

fn too_large(number: &str) -> Reason {
    let number = crate::error::shown(number, 40);
    Reason::meaning(format!("expected a number that fits 64 bits, found {number}"))
}

/// The single character of a text.
pub(super) fn character(cursor: &mut Cursor<'_>) -> Result<char, SqlError> {
    let token = cursor.peek();
    if token.kind != Kind::Text {
        return Err(cursor.unexpected("one character in quotes", &[]));
    }
    let text = lexer::unquoted(token.text);
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(only), None) => {
            cursor.advance();
            Ok(only)
        }
        _ => Err(cursor.unexpected("one character in quotes", &[])),
    }
}

/// A name for a column: a name, or a text.
pub(super) fn alias(cursor: &mut Cursor<'_>) -> Result<String, SqlError> {
    let token = cursor.peek();
    match token.kind {
        Kind::Text if 2 < token.text.len() => {
            cursor.advance();
            Ok(lexer::unquoted(token.text))
        }
        _ => node::name(cursor, "a name for the column"),
    }
}
