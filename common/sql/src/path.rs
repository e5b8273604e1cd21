//! Paths of the tree model as nodes, in the form in which IoTDB keeps them.

use core::fmt;

use tidegate_model::path::kept;
use tidegate_model::path::kept_node;
use tidegate_model::path::nodes;

use crate::keyword;

/// Memory that a node takes beside its text.
const NODE_BYTES: usize = 40;

/// A path, a pattern, or a part of one: nodes in the order in which they stand.
///
/// A node is as IoTDB keeps it: in backticks only if it is a number or has other characters than
/// letters, digits, underscores and ideographs. `*` may begin and end a node or be one; `**` is one.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Path {
    nodes: Vec<String>,
    is_full: bool,
}

impl Path {
    /// Of nodes as IoTDB keeps them, the first of which is the root.
    pub(crate) fn full(nodes: Vec<String>) -> Self {
        Self { nodes, is_full: true }
    }

    /// Of nodes as IoTDB keeps them, behind a path. A node may be called as the root is.
    pub(crate) fn part(nodes: Vec<String>) -> Self {
        Self { nodes, is_full: false }
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
        self.is_full
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
        let nodes = self.nodes.iter().chain(&suffix.nodes).cloned().collect();
        Self { nodes, is_full: self.is_full }
    }
}

impl fmt::Display for Path {
    /// With backticks also where only the grammar needs them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (idx, node) in self.nodes.iter().enumerate() {
            if idx != 0 {
                f.write_str(".")?;
            }
            let is_root = idx == 0 && self.is_full;
            match keyword::is_quoted(node) && !is_root {
                true => write!(f, "`{node}`")?,
                false => f.write_str(node)?,
            }
        }
        Ok(())
    }
}

/// A path of a store or a file as it can stand in a statement: what IoTDB would print, and in backticks
/// also the few words that could not be asked for without them.
pub fn shown_path(path: &str) -> String {
    let mut out = String::new();
    for (idx, node) in nodes(&kept(path)).into_iter().enumerate() {
        let separator = if idx == 0 { "" } else { "." };
        let quote = if idx != 0 && keyword::is_not_bare(node) { "`" } else { "" };
        out.extend([separator, quote, node, quote]);
    }
    out
}

/// The node of a name that stood in backticks, given without them.
pub(crate) fn node_of(name: &str) -> String {
    kept_node(&in_backticks(name)).into_owned()
}

/// A name as it can stand in a statement.
pub(crate) fn shown_name(name: &str) -> String {
    let quoted = in_backticks(name);
    match kept_node(&quoted) == name && !keyword::is_quoted(name) {
        true => name.to_owned(),
        false => quoted,
    }
}

fn in_backticks(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
