//! `SELECT` and `SELECT LAST`.

use super::condition;
use super::cursor::Cursor;
use super::literal;
use super::node;
use super::show;
use crate::Align;
use crate::Bounds;
use crate::Function;
use crate::GroupBy;
use crate::Item;
use crate::Order;
use crate::Path;
use crate::Reason;
use crate::Select;
use crate::SelectItem;
use crate::SelectLast;
use crate::SqlError;
use crate::Statement;
use crate::keyword;
use crate::lexer::Kind;
use crate::lexer::Symbol;

/// What follows SELECT.
pub(super) fn select(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    if !is_series_named_last(cursor) && cursor.take_word("LAST") {
        return last(cursor).map(Statement::SelectLast);
    }
    rows(cursor).map(Statement::Select)
}

/// Whether a LAST that is next names a series, to judge by what follows it.
fn is_series_named_last(cursor: &Cursor<'_>) -> bool {
    let (next, behind) = (cursor.peek_at(1), cursor.peek_at(2));
    match next.kind {
        Kind::Symbol(symbol) => matches!(symbol, Symbol::Comma | Symbol::Dot),
        _ if next.is_word("FROM") => behind.is_word("root"),
        _ if next.is_word("AS") => {
            let is_name = !behind.is_word("FROM") || !cursor.peek_at(3).is_word("root");
            !matches!(behind.kind, Kind::Symbol(_)) && is_name
        }
        _ => false,
    }
}

fn rows(cursor: &mut Cursor<'_>) -> Result<Select, SqlError> {
    let items = items(cursor)?;
    let from = from(cursor)?;
    let filter = match cursor.take_word("WHERE") {
        true => Some(condition::filter(cursor)?),
        false => None,
    };
    let is_aggregation = items.iter().any(|it| matches!(it.item, Item::Aggregate(..)));
    let group_by = group_by(cursor, is_aggregation)?;
    let order = order(cursor)?;
    let page = show::page(cursor)?;
    let align = align(cursor)?;
    cursor.may_follow(match (align, page.limit, order, group_by) {
        (Some(_), ..) => "the end of the statement",
        (None, Some(_), ..) => "OFFSET, ALIGN BY or the end of the statement",
        (None, None, Some(_), _) => "LIMIT, OFFSET, ALIGN BY or the end of the statement",
        (None, None, None, Some(_)) => {
            "ORDER BY, LIMIT, OFFSET, ALIGN BY or the end of the statement"
        }
        (None, None, None, None) if filter.is_some() => {
            "AND, OR, GROUP BY, ORDER BY, LIMIT, OFFSET, ALIGN BY or the end of the statement"
        }
        _ => "WHERE, GROUP BY, ORDER BY, LIMIT, OFFSET, ALIGN BY or the end of the statement",
    });
    Ok(Select {
        items,
        from,
        filter,
        group_by,
        order: order.unwrap_or_default(),
        page,
        align: align.unwrap_or_default(),
    })
}

fn last(cursor: &mut Cursor<'_>) -> Result<SelectLast, SqlError> {
    let mut items = Vec::new();
    loop {
        items.push(suffix(cursor)?);
        if cursor.peek().is_symbol(Symbol::Open) {
            let message = "expected series behind LAST, not functions";
            return Err(cursor.fault(Reason::meaning(message)));
        }
        if cursor.peek().is_word("AS") {
            return Err(cursor.unsupported("AS behind SELECT LAST", "leave it out"));
        }
        if !cursor.take_symbol(Symbol::Comma) {
            break;
        }
    }
    let from = from(cursor)?;
    let place = cursor.peek_at(1).offset;
    let filter = match cursor.take_word("WHERE") {
        true => Some(condition::filter(cursor)?),
        false => None,
    };
    if filter.as_ref().is_some_and(|it| !it.series().is_empty()) {
        let message = "expected a condition about the time only behind SELECT LAST";
        return Err(cursor.fault_at(Reason::meaning(message), place));
    }
    if ["GROUP", "ORDER", "ALIGN"].iter().any(|it| cursor.peek().is_word(it)) {
        let clause = cursor.peek().text.to_uppercase();
        return Err(cursor.unsupported(format!("{clause} BY with SELECT LAST"), "leave it out"));
    }
    let page = show::page(cursor)?;
    cursor.may_follow("WHERE, LIMIT, OFFSET or the end of the statement");
    Ok(SelectLast { items, from, filter, page })
}

fn items(cursor: &mut Cursor<'_>) -> Result<Vec<SelectItem>, SqlError> {
    if cursor.peek().is_word("FROM") && cursor.peek_at(1).is_word("root") {
        return Err(cursor.unexpected("a series, `*` or an aggregate", &[]));
    }
    let mut items: Vec<SelectItem> = Vec::new();
    loop {
        let place = cursor.peek().offset;
        let item = item(cursor)?;
        let is_aggregate = |it: &Item| matches!(it, Item::Aggregate(..));
        if items.first().is_some_and(|it| is_aggregate(&it.item) != is_aggregate(&item)) {
            let message = "expected either series or aggregates behind SELECT, found both";
            return Err(cursor.fault_at(Reason::meaning(message), place));
        }
        let alias = match cursor.take_word("AS") {
            true => Some(literal::alias(cursor)?),
            false => None,
        };
        items.push(SelectItem { item, alias });
        if !cursor.take_symbol(Symbol::Comma) {
            return Ok(items);
        }
    }
}

fn item(cursor: &mut Cursor<'_>) -> Result<Item, SqlError> {
    let token = cursor.peek();
    if token.kind != Kind::Word || !cursor.peek_at(1).is_symbol(Symbol::Open) {
        return suffix(cursor).map(Item::Series);
    }
    let Some(function) = Function::parse(token.text) else {
        let names = Function::ALL.map(Function::as_str);
        let shown = crate::error::shown(token.text, 40).to_uppercase();
        return Err(cursor.fault(match keyword::nearest(token.text, &names) {
            None => Reason::Unsupported {
                what: format!("{shown}(...)"),
                instead: "the aggregates are COUNT, MIN_VALUE, MAX_VALUE, FIRST_VALUE, \
                          LAST_VALUE, SUM, AVG, MIN_TIME and MAX_TIME",
            },
            nearest => Reason::Expected {
                expected: "an aggregate".to_owned(),
                found: format!("`{shown}`"),
                nearest,
            },
        }));
    };
    cursor.advance();
    cursor.symbol(Symbol::Open, "`(`")?;
    if cursor.peek_at(1).is_symbol(Symbol::Open) {
        return Err(cursor.unsupported("a function of a function", keyword::SIMPLER));
    }
    let path = suffix(cursor)?;
    cursor.symbol(Symbol::Close, "`)`")?;
    Ok(Item::Aggregate(function, path))
}

/// A path that stands behind those of FROM.
fn suffix(cursor: &mut Cursor<'_>) -> Result<Path, SqlError> {
    let token = cursor.peek();
    if token.is_word("TIME") || token.is_word("TIMESTAMP") {
        let message = "the time of a row is always in the result: leave it out behind SELECT";
        return Err(cursor.fault(Reason::meaning(message)));
    }
    if ["CASE", "CAST"].iter().any(|it| token.is_word(it)) {
        return Err(cursor.unexpected("a series", &[]));
    }
    if matches!(token.kind, Kind::Bytes | Kind::Text | Kind::Exponent | Kind::DateTime) {
        return Err(cursor.unexpected("a series, `*` or an aggregate", &[]));
    }
    let path = node::any_path(cursor)?;
    match path.is_full() {
        true => {
            let message = "a path behind SELECT goes on where those behind FROM end: \
                           it does not begin with root";
            Err(cursor.fault_at(Reason::meaning(message), token.offset))
        }
        false => Ok(path),
    }
}

fn from(cursor: &mut Cursor<'_>) -> Result<Vec<Path>, SqlError> {
    if !cursor.take_word("FROM") {
        return Err(cursor.unexpected("`,`, AS or FROM", &["AS", "FROM"]));
    }
    let mut from = vec![node::full_path(cursor)?];
    while cursor.take_symbol(Symbol::Comma) {
        from.push(node::full_path(cursor)?);
    }
    Ok(from)
}

fn group_by(cursor: &mut Cursor<'_>, is_aggregation: bool) -> Result<Option<GroupBy>, SqlError> {
    let place = cursor.peek().offset;
    if !cursor.take_word("GROUP") {
        return Ok(None);
    }
    cursor.word("BY")?;
    for other in ["LEVEL", "TAGS", "VARIATION", "CONDITION", "SESSION", "COUNT"] {
        if cursor.peek().is_word(other) {
            return Err(cursor.unsupported(format!("GROUP BY {other}"), keyword::SIMPLER));
        }
    }
    let _ = cursor.take_word("TIME");
    cursor.symbol(Symbol::Open, "`([start, end), interval)`")?;
    if cursor.peek().kind == Kind::Interval {
        let instead = "write GROUP BY ([start, end), interval)";
        return Err(cursor.unsupported("GROUP BY without a start and an end", instead));
    }
    let group_by = windows(cursor)?;
    match is_aggregation {
        true => Ok(Some(group_by)),
        false => {
            let message = "expected aggregates behind SELECT, since there is GROUP BY";
            Err(cursor.fault_at(Reason::meaning(message), place))
        }
    }
}

/// What follows the first parenthesis.
fn windows(cursor: &mut Cursor<'_>) -> Result<GroupBy, SqlError> {
    let place = cursor.peek().offset;
    let bounds = if cursor.take_symbol(Symbol::OpenSquare) {
        Bounds::StartIncluded
    } else if cursor.take_symbol(Symbol::Open) {
        Bounds::EndIncluded
    } else {
        return Err(cursor.unexpected("`[start, end)` or `(start, end]`", &[]));
    };
    let start = literal::time(cursor)?;
    cursor.symbol(Symbol::Comma, "`,`")?;
    let end = literal::time(cursor)?;
    match bounds {
        Bounds::StartIncluded => cursor.symbol(Symbol::Close, "`)`, since `[` came before")?,
        Bounds::EndIncluded => cursor.symbol(Symbol::CloseSquare, "`]`, since `(` came before")?,
    }
    if end <= start {
        let message = format!("expected an end behind the start {start}, found {end}");
        return Err(cursor.fault_at(Reason::meaning(message), place));
    }
    cursor.symbol(Symbol::Comma, "`,` and an interval")?;
    let interval = length(cursor)?;
    let step = match cursor.take_symbol(Symbol::Comma) {
        true => length(cursor)?,
        false => interval,
    };
    cursor.symbol(Symbol::Close, "`,` or `)`")?;
    if cursor.peek().is_symbol(Symbol::Comma) {
        return Err(cursor.unsupported("GROUP BY by several things", keyword::SIMPLER));
    }
    Ok(GroupBy { start, end, bounds, interval, step })
}

/// An interval that is longer than nothing and fits 64 bits.
fn length(cursor: &mut Cursor<'_>) -> Result<crate::time::Interval, SqlError> {
    let place = cursor.peek().offset;
    let interval = literal::interval(cursor)?;
    let precision = cursor.context.precision;
    match !interval.is_zero(precision) && interval.fixed(precision).is_some() {
        true => Ok(interval),
        false => {
            let message = format!(
                "expected an interval of 1{precision} or more, of 64 bits, found {interval}"
            );
            Err(cursor.fault_at(Reason::meaning(message), place))
        }
    }
}

fn order(cursor: &mut Cursor<'_>) -> Result<Option<Order>, SqlError> {
    if !cursor.take_word("ORDER") {
        return Ok(None);
    }
    cursor.word("BY")?;
    if !cursor.take_word("TIME") {
        return Err(match cursor.peek().kind {
            Kind::Word | Kind::Quoted | Kind::Interval => {
                let what = "ORDER BY anything but TIME";
                cursor.unsupported(what, "write ORDER BY TIME, with ASC or DESC")
            }
            _ => cursor.unexpected("TIME", &[]),
        });
    }
    if cursor.take_word("DESC") {
        return Ok(Some(Order::Descending));
    }
    let _ = cursor.take_word("ASC");
    if cursor.peek().is_symbol(Symbol::Comma) {
        return Err(cursor.unsupported("ORDER BY several things", "write ORDER BY TIME"));
    }
    Ok(Some(Order::Ascending))
}

fn align(cursor: &mut Cursor<'_>) -> Result<Option<Align>, SqlError> {
    if !cursor.take_word("ALIGN") {
        return Ok(None);
    }
    cursor.word("BY")?;
    if cursor.take_word("TIME") {
        return Ok(Some(Align::Time));
    }
    match cursor.take_word("DEVICE") {
        true => Ok(Some(Align::Device)),
        false => Err(cursor.unexpected("TIME or DEVICE", &["TIME", "DEVICE"])),
    }
}
