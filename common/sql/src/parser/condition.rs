//! Conditions behind `WHERE`.
//!
//! OR binds weaker than AND, AND weaker than NOT, NOT weaker than a comparison. In IoTDB's grammar
//! NOT binds stronger than a comparison, which no statement that makes sense can tell.

use super::cursor::Cursor;
use super::literal;
use super::node;
use crate::Comparison;
use crate::Condition;
use crate::DEPTH_MAX;
use crate::Filter;
use crate::LIKE_BYTES_MAX;
use crate::Like;
use crate::Literal;
use crate::Path;
use crate::Reason;
use crate::SqlError;
use crate::TimeTest;
use crate::ValueTest;
use crate::filter::Numbers;
use crate::keyword;
use crate::lexer;
use crate::lexer::Kind;
use crate::lexer::Symbol;

/// Words of a comparison.
const OPERATORS: &[&str] = &["BETWEEN", "IN", "IS", "LIKE", "NOT"];

/// A whole condition.
pub(super) fn filter(cursor: &mut Cursor<'_>) -> Result<Filter, SqlError> {
    let mut parser = Conditions { numbers: Numbers::default() };
    let condition = parser.or(cursor, 0)?;
    Ok(Filter::new(parser.numbers.into_series(), condition))
}

/// Reads conditions and gives the series in them their numbers.
struct Conditions {
    numbers: Numbers,
}

/// One side of a comparison.
enum Side {
    Literal(Literal, usize),
    Series(Path),
    Time,
}

impl Conditions {
    fn or(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Result<Condition, SqlError> {
        let mut members = vec![self.and(cursor, depth)?];
        while cursor.take_word("OR") || cursor.take_symbol(Symbol::Or) {
            members.push(self.and(cursor, depth)?);
        }
        Ok(Condition::or(members))
    }

    fn and(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Result<Condition, SqlError> {
        let mut members = vec![self.not(cursor, depth)?];
        while cursor.take_word("AND") || cursor.take_symbol(Symbol::And) {
            members.push(self.not(cursor, depth)?);
        }
        Ok(Condition::and(members))
    }

    fn not(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Result<Condition, SqlError> {
        if DEPTH_MAX < depth {
            let what = "parentheses and NOTs inside each other";
            return Err(cursor.fault(Reason::TooMuch { what, max: DEPTH_MAX }));
        }
        let depth = depth.saturating_add(1);
        if cursor.take_word("NOT") || cursor.take_symbol(Symbol::Not) {
            return Ok(Condition::Not(Box::new(self.not(cursor, depth)?)));
        }
        if cursor.take_symbol(Symbol::Open) {
            let inner = self.or(cursor, depth)?;
            cursor.symbol(Symbol::Close, "AND, OR or `)`")?;
            return Ok(inner);
        }
        self.comparison(cursor)
    }

    fn comparison(&mut self, cursor: &mut Cursor<'_>) -> Result<Condition, SqlError> {
        if let Some(constant) = constant(cursor) {
            return Ok(Condition::Constant(constant));
        }
        let left = side(cursor)?;
        let begin = cursor.peek();
        if let Some(comparison) = comparison(begin.kind) {
            cursor.advance();
            let right = side(cursor)?;
            return self.compared(cursor, left, comparison, right, begin.offset);
        }
        match left {
            Side::Time => time_test(cursor),
            Side::Series(path) => {
                let series = self.numbers.of(path);
                value_test(cursor, series)
            }
            Side::Literal(..) => Err(cursor.unexpected("a comparison such as `<`", &[])),
        }
    }

    fn compared(
        &mut self,
        cursor: &Cursor<'_>,
        left: Side,
        comparison: Comparison,
        right: Side,
        offset: usize,
    ) -> Result<Condition, SqlError> {
        match (left, right) {
            (Side::Time, Side::Literal(literal, at)) => {
                let time = literal::time_of(cursor, &literal, at)?;
                Ok(Condition::Time(TimeTest::Compare(comparison, time)))
            }
            (Side::Literal(literal, at), Side::Time) => {
                let time = literal::time_of(cursor, &literal, at)?;
                Ok(Condition::Time(TimeTest::Compare(comparison.flipped(), time)))
            }
            (Side::Series(path), Side::Literal(literal, _)) => {
                let test = ValueTest::Compare(comparison, literal);
                Ok(Condition::Value { series: self.numbers.of(path), test })
            }
            (Side::Literal(literal, _), Side::Series(path)) => {
                let test = ValueTest::Compare(comparison.flipped(), literal);
                Ok(Condition::Value { series: self.numbers.of(path), test })
            }
            (Side::Literal(..), Side::Literal(..)) => {
                let message = "expected a series or the time on one side of the comparison";
                Err(cursor.fault_at(Reason::meaning(message), offset))
            }
            // a word without its parentheses, or an interval, is a name
            (Side::Time, Side::Series(path)) | (Side::Series(path), Side::Time) => {
                let expected = format!("{} beside `time`", crate::time::EXAMPLES);
                let found = format!("`{}`", crate::error::shown(&path.to_string(), 40));
                let reason = Reason::Expected { expected, found, nearest: None };
                Err(cursor.fault_at(reason, offset))
            }
            _ => {
                let what = "a comparison of a series or the time with another one".to_owned();
                let instead = keyword::SIMPLER;
                Err(cursor.fault_at(Reason::Unsupported { what, instead }, offset))
            }
        }
    }
}

/// TRUE, FALSE or NULL, if it is compared with nothing.
fn constant(cursor: &mut Cursor<'_>) -> Option<Option<bool>> {
    let token = cursor.peek();
    let constant = [("TRUE", Some(true)), ("FALSE", Some(false)), ("NULL", None)]
        .into_iter()
        .find(|(word, _)| token.is_word(word))
        .map(|(_, constant)| constant)?;
    if comparison(cursor.peek_at(1).kind).is_some() {
        return None;
    }
    cursor.advance();
    Some(constant)
}

fn side(cursor: &mut Cursor<'_>) -> Result<Side, SqlError> {
    let token = cursor.peek();
    if is_time(cursor) {
        cursor.advance();
        return Ok(Side::Time);
    }
    if literal::begins(cursor) {
        return literal::literal(cursor).map(|it| Side::Literal(it, token.offset));
    }
    if token.kind == Kind::Word && cursor.peek_at(1).is_symbol(Symbol::Open) {
        let name = crate::error::shown(token.text, 40).to_uppercase();
        return Err(cursor.unsupported(format!("{name}(...) behind WHERE"), keyword::SIMPLER));
    }
    if ["CASE", "CAST"].iter().any(|it| token.is_word(it)) {
        return Err(cursor.unexpected("a series", &[]));
    }
    match token.kind {
        Kind::Word
        | Kind::Quoted
        | Kind::Interval
        | Kind::Integer
        | Kind::Symbol(Symbol::Star | Symbol::StarStar) => node::any_path(cursor).map(Side::Series),
        _ => Err(cursor.unexpected("a series, `time` or a value", &[])),
    }
}

/// Whether the next token stands for the time of a row.
fn is_time(cursor: &Cursor<'_>) -> bool {
    let token = cursor.peek();
    token.is_word("TIME") || token.is_word("TIMESTAMP")
}

fn comparison(kind: Kind) -> Option<Comparison> {
    let Kind::Symbol(symbol) = kind else { return None };
    Some(match symbol {
        Symbol::Equal => Comparison::Equal,
        Symbol::Greater => Comparison::Greater,
        Symbol::GreaterEqual => Comparison::GreaterEqual,
        Symbol::Less => Comparison::Less,
        Symbol::LessEqual => Comparison::LessEqual,
        Symbol::NotEqual => Comparison::NotEqual,
        _ => return None,
    })
}

/// What is said about the time by a word.
fn time_test(cursor: &mut Cursor<'_>) -> Result<Condition, SqlError> {
    let is_negated = take_not(cursor);
    let test = if cursor.take_word("BETWEEN") {
        let low = literal::time(cursor)?;
        between_and(cursor)?;
        TimeTest::Between(low, literal::time(cursor)?)
    } else if cursor.take_word("IN") {
        TimeTest::In(in_parentheses(cursor, literal::time)?)
    } else {
        return Err(cursor.unexpected("a comparison such as `<`, BETWEEN or IN", OPERATORS));
    };
    Ok(negated(Condition::Time(test), is_negated))
}

/// What is said about a series by a word.
fn value_test(cursor: &mut Cursor<'_>, series: usize) -> Result<Condition, SqlError> {
    if cursor.take_word("IS") {
        let is_negated = take_not(cursor);
        cursor.word("NULL")?;
        return Ok(negated(Condition::Value { series, test: ValueTest::IsNull }, is_negated));
    }
    let is_negated = take_not(cursor);
    let test = if cursor.take_word("BETWEEN") {
        let low = value(cursor)?;
        between_and(cursor)?;
        ValueTest::Between(low, value(cursor)?)
    } else if cursor.take_word("IN") {
        ValueTest::In(in_parentheses(cursor, value)?)
    } else if cursor.take_word("LIKE") {
        ValueTest::Like(like(cursor)?)
    } else {
        let expected = "a comparison such as `<`, BETWEEN, IN, IS NULL or LIKE";
        return Err(cursor.unexpected(expected, OPERATORS));
    };
    Ok(negated(Condition::Value { series, test }, is_negated))
}

fn take_not(cursor: &mut Cursor<'_>) -> bool {
    cursor.take_word("NOT") || cursor.take_symbol(Symbol::Not)
}

/// The AND between two bounds.
fn between_and(cursor: &mut Cursor<'_>) -> Result<(), SqlError> {
    match cursor.take_symbol(Symbol::And) {
        true => Ok(()),
        false => cursor.word("AND"),
    }
}

fn value(cursor: &mut Cursor<'_>) -> Result<Literal, SqlError> {
    match literal::begins(cursor) {
        true => literal::literal(cursor),
        false => Err(cursor
            .unexpected("a value: a number, a text, a time, TRUE or FALSE", &["TRUE", "FALSE"])),
    }
}

fn in_parentheses<T>(
    cursor: &mut Cursor<'_>,
    item: fn(&mut Cursor<'_>) -> Result<T, SqlError>,
) -> Result<Vec<T>, SqlError> {
    cursor.symbol(Symbol::Open, "`(`")?;
    let mut items = vec![item(cursor)?];
    while cursor.take_symbol(Symbol::Comma) {
        items.push(item(cursor)?);
    }
    cursor.symbol(Symbol::Close, "`,` or `)`")?;
    Ok(items)
}

fn like(cursor: &mut Cursor<'_>) -> Result<Like, SqlError> {
    let token = cursor.peek();
    if token.kind != Kind::Text {
        return Err(cursor.unexpected("a pattern in quotes", &[]));
    }
    if LIKE_BYTES_MAX < token.text.len() {
        let what = "bytes of a pattern behind LIKE";
        return Err(cursor.fault(Reason::TooMuch { what, max: LIKE_BYTES_MAX }));
    }
    cursor.advance();
    let escape = match cursor.take_word("ESCAPE") {
        true => literal::character(cursor)?,
        false => Like::ESCAPE,
    };
    Like::new(&lexer::unquoted(token.text), escape).ok_or_else(|| {
        let message = format!("expected `%`, `_` or `{escape}` behind each `{escape}`");
        cursor.fault_at(Reason::meaning(message), token.offset)
    })
}

fn negated(condition: Condition, is_negated: bool) -> Condition {
    match is_negated {
        true => Condition::Not(Box::new(condition)),
        false => condition,
    }
}
