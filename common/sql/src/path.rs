//! Paths of the tree model as nodes, in the form in which IoTDB keeps them.

use core::fmt;

use crate::keyword;
use crate::lexer;

/// Memory that a node takes beside its text.
const NODE_BYTES: usize = 40;

/// A path, a pattern, or a part of one: nodes in the order in which they stand.
///
/// A node is as IoTDB keeps it: in backticks only if it is a number or has other characters than
/// letters, digits, underscores and ideographs. `*` may begin and end a node or be one; `**` is one.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Path {
    nodes: Vec<String>,
}

impl Path {
    /// Of nodes as IoTDB keeps them.
    pub(crate) fn new(nodes: Vec<String>) -> Self {
        Self { nodes }
    }

    /// The nodes.
    pub fn nodes(&self) -> &[String] {
        &self.nodes
    }

    /// The nodes, to keep.
    pub fn into_nodes(self) -> Vec<String> {
        self.nodes
    }

    /// Whether it begins at the root.
    pub fn is_full(&self) -> bool {
        self.nodes.first().is_some_and(|it| it == "root")
    }

    /// Whether it has a wildcard.
    pub fn is_pattern(&self) -> bool {
        self.nodes.iter().any(|it| it.contains('*') && !it.starts_with('`'))
    }

    /// What it takes in memory, about.
    pub(crate) fn cost_bytes(&self) -> usize {
        self.nodes.iter().map(|it| it.len().saturating_add(NODE_BYTES)).sum()
    }

    /// This one with `suffix` behind it.
    pub(crate) fn join(&self, suffix: &Self) -> Self {
        Self { nodes: self.nodes.iter().chain(&suffix.nodes).cloned().collect() }
    }
}

impl fmt::Display for Path {
    /// With backticks also where only the grammar needs them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (idx, node) in self.nodes.iter().enumerate() {
            if idx != 0 {
                f.write_str(".")?;
            }
            let is_root = idx == 0 && node == "root";
            match keyword::is_quoted(node) && !is_root {
                true => write!(f, "`{node}`")?,
                false => f.write_str(node)?,
            }
        }
        Ok(())
    }
}

/// The node of a name that stood in backticks, given without them; `None` if it is empty.
pub(crate) fn node_of(name: &str) -> Option<String> {
    match name {
        "" => None,
        _ if is_plain(name) => Some(name.to_owned()),
        _ => Some(in_backticks(name)),
    }
}

/// A name as it can stand in a statement.
pub(crate) fn shown_name(name: &str) -> String {
    match is_plain(name) && !keyword::is_quoted(name) {
        true => name.to_owned(),
        false => in_backticks(name),
    }
}

/// Whether every character may stand in a node without backticks.
pub(crate) fn is_plain_text(name: &str) -> bool {
    name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_' || lexer::is_ideograph(it))
}

fn in_backticks(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Whether IoTDB keeps the name without backticks.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && is_plain_text(name) && !is_number(name)
}

/// Digits, perhaps with an exponent.
fn is_number(name: &str) -> bool {
    let (mantissa, exponent) = name.split_once(['e', 'E']).unwrap_or((name, "0"));
    let is_digits = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    is_digits(mantissa) && is_digits(exponent)
}
