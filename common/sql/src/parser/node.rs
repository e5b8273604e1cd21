//! Paths, nodes and names.

use super::cursor::Cursor;
use crate::Path;
use crate::Reason;
use crate::SqlError;
use crate::keyword;
use crate::lexer;
use crate::lexer::Kind;
use crate::lexer::Symbol;
use crate::lexer::Token;
use crate::path;

/// A path or pattern that begins with `root`.
pub(super) fn full_path(cursor: &mut Cursor<'_>) -> Result<Path, SqlError> {
    match cursor.peek().is_word("root") {
        true => any_path(cursor),
        false => {
            let expected = "a path that begins with `root` (tables cannot be asked, only exported)";
            Err(cursor.unexpected(expected, &["ROOT"]))
        }
    }
}

/// A path or pattern, with or without `root`.
pub(super) fn any_path(cursor: &mut Cursor<'_>) -> Result<Path, SqlError> {
    let is_full = cursor.take_word("root");
    let mut nodes = vec![if is_full { "root".to_owned() } else { node(cursor)? }];
    while cursor.take_symbol(Symbol::Dot) {
        nodes.push(node(cursor)?);
    }
    Ok(if is_full { Path::full(nodes) } else { Path::part(nodes) })
}

/// A name: a word, or anything in backticks.
pub(super) fn name(cursor: &mut Cursor<'_>, expected: &str) -> Result<String, SqlError> {
    let token = cursor.peek();
    match token.kind {
        Kind::Word | Kind::Interval => {
            cursor.advance();
            Ok(token.text.to_owned())
        }
        Kind::Quoted if 2 < token.text.len() => {
            cursor.advance();
            Ok(lexer::unquoted(token.text))
        }
        _ => Err(cursor.unexpected(expected, &[])),
    }
}

/// One node: a name, perhaps with a wildcard before or behind it, or a wildcard.
fn node(cursor: &mut Cursor<'_>) -> Result<String, SqlError> {
    let first = cursor.peek();
    if first.kind == Kind::Quoted {
        cursor.advance();
        return Ok(path::node_of(&lexer::unquoted(first.text)));
    }
    let is_part = |token: Token<'_>| {
        matches!(token.kind, Kind::Word | Kind::Interval | Kind::Integer)
            || token.is_symbol(Symbol::Star)
            || token.is_symbol(Symbol::StarStar)
    };
    if !is_part(first) {
        return Err(cursor.unexpected("a node of a path", &[]));
    }
    // Parts of one node stand without a blank between them.
    let (mut node, mut end) = (String::new(), first.offset);
    while is_part(cursor.peek()) && cursor.peek().offset == end {
        let token = cursor.advance();
        node.push_str(token.text);
        end = token.end();
    }
    match fault_of(&node, first) {
        Some(message) => Err(cursor.fault_at(Reason::meaning(message), first.offset)),
        None => Ok(node),
    }
}

/// Why this is no node, if it is none.
fn fault_of(node: &str, first: Token<'_>) -> Option<String> {
    let slice = node.strip_prefix('*').unwrap_or(node);
    let slice = slice.strip_suffix('*').unwrap_or(slice);
    let shown = crate::error::shown(node, 40);
    if matches!(node, "*" | "**") {
        None
    } else if slice.contains('*') || slice.is_empty() {
        Some(format!(
            "expected a node with `*` at its beginning or end, or `**` alone, found `{shown}`"
        ))
    } else if !tidegate_model::path::is_plain_text(slice) {
        Some(format!(
            "node `{shown}` has to stand in backticks: it is not of letters, digits and _"
        ))
    } else if slice == node && first.kind == Kind::Integer {
        Some(format!("node `{shown}` has to stand in backticks: it is a number"))
    } else if keyword::is_no_node(node) {
        Some(format!("node `{shown}` has to stand in backticks: IoTDB keeps that word"))
    } else {
        None
    }
}
