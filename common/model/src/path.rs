//! Paths of the tree model and patterns of them, as IoTDB reads them.
//!
//! Nodes are separated by dots; a node in backticks may hold anything, with a backtick doubled.
//! In a pattern `*` stands for any part of one node, and a node `**` for one node or more.

use std::borrow::Cow;

/// The nodes of a dotted path or pattern; a dot inside backticks separates nothing.
///
/// Backticks stay where they are, since IoTDB compares nodes as they are written.
pub fn nodes(path: &str) -> Vec<&str> {
    let mut nodes = Vec::new();
    let (mut start, mut quoted) = (0, false);
    for (at, byte) in path.bytes().enumerate() {
        match byte {
            b'`' => quoted = !quoted,
            b'.' if !quoted => {
                nodes.push(&path[start..at]);
                start = at + 1;
            }
            _ => (),
        }
    }
    nodes.push(&path[start..]);
    nodes
}

/// What is taken for the database of a device, since no sender says which it is: its first two nodes,
/// as IoTDB does where it makes one by itself.
pub fn assumed_database(device: &str) -> String {
    let nodes = nodes(device);
    let n_nodes = nodes.len().saturating_sub(1).clamp(1, 2);
    nodes.get(..n_nodes).unwrap_or(&nodes).join(".")
}

/// A path with every node as [IoTDB keeps it](kept_node).
///
/// Other writers of files name nodes as they like; so do senders that go around IoTDB's checks.
pub fn kept(path: &str) -> Cow<'_, str> {
    if path.split('.').all(is_plain) {
        return Cow::Borrowed(path);
    }
    let nodes: Vec<Cow<'_, str>> = nodes(path).into_iter().map(kept_node).collect();
    Cow::Owned(nodes.join("."))
}

/// A node as IoTDB keeps it: in backticks, with those inside doubled, if it is a number or has other
/// characters than letters, digits, underscores and ideographs; else without them.
pub fn kept_node(node: &str) -> Cow<'_, str> {
    match inside(node) {
        Some(inside) if is_plain(inside) => Cow::Borrowed(inside),
        Some(_) => Cow::Borrowed(node),
        None if is_plain(node) => Cow::Borrowed(node),
        None => Cow::Owned(format!("`{}`", node.replace('`', "``"))),
    }
}

/// What IoTDB takes for Chinese: it needs no backticks.
pub fn is_ideograph(letter: char) -> bool {
    ('\u{2e80}'..='\u{9fff}').contains(&letter)
}

/// Whether every character may stand in a node without backticks.
pub fn is_plain_text(name: &str) -> bool {
    name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_' || is_ideograph(it))
}

/// What stands inside the backticks, still doubled; `None` if the node is not in backticks.
fn inside(node: &str) -> Option<&str> {
    let inside = node.strip_prefix('`')?.strip_suffix('`')?;
    let is_doubled = !inside.replace("``", "").contains('`');
    is_doubled.then_some(inside)
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

/// The pattern of full paths that a deletion by `pattern` means for the series of one `device`;
/// `None` if it means none of them.
///
/// # Arguments
///
/// - `pattern`: nodes of a pattern of full paths (device and measurement)
/// - `device`: nodes of a device's path, without wildcards
///
/// # Returns
/// The last node of the result: a measurement, a pattern of measurements, or `*`. Behind the
/// device's path and a dot it is a pattern that means exactly those series of the device that
/// `pattern` means.
pub fn measurement_pattern<'p>(pattern: &[&'p str], device: &[&str]) -> Option<&'p str> {
    let (&last, front) = pattern.split_last()?;
    if last == "**" {
        // It takes the measurement, and any number of nodes of the device before it.
        let any = (0..=device.len()).any(|n_nodes| matches(front, &device[..n_nodes]));
        return any.then_some("*");
    }
    matches(front, device).then_some(last)
}

/// Whether the nodes of a path match the nodes of a pattern.
///
/// Takes time in proportion to the product of the two lengths, whatever the pattern is.
pub fn matches(pattern: &[&str], path: &[&str]) -> bool {
    // `reached[n]`: the pattern read so far can stand for the first n nodes of the path.
    let mut reached = vec![false; path.len() + 1];
    reached[0] = true;
    for &node in pattern {
        let mut next = vec![false; path.len() + 1];
        for at in 0..path.len() {
            next[at + 1] = if node == "**" {
                reached[at] || next[at]
            } else {
                reached[at] && node_matches(node, path[at])
            };
        }
        reached = next;
    }
    reached[path.len()]
}

/// Whether a node of a pattern may mean several nodes: it has an asterisk outside of backticks.
pub(crate) fn is_node_pattern(node: &str) -> bool {
    node.contains('*') && !node.starts_with('`')
}

/// Whether one node matches one node of a pattern, in which `*` stands for any text.
fn node_matches(pattern: &str, node: &str) -> bool {
    if !is_node_pattern(pattern) {
        return pattern == node;
    }
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = node.strip_prefix(first) else { return false };
    let mut last = "";
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            last = part;
            break;
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, path: &str, expected: bool) {
        assert_eq!(matches(&nodes(pattern), &nodes(path)), expected, "{pattern} on {path}");
    }

    #[test]
    fn wildcards_stand_for_what_iotdb_says() {
        check("root.a.b", "root.a.b", true);
        check("root.a", "root.a.b", false);
        check("root.*.b", "root.a.b", true);
        check("root.*", "root.a.b", false);
        check("root.**", "root.a.b", true);
        check("root.**", "root", false);
        check("root.**.s", "root.a.b.s", true);
        check("root.**.s", "root.s", false);
        check("root.a*.s", "root.abc.s", true);
        check("root.*c.s", "root.abc.s", true);
        check("root.a*c*e.s", "root.abcde.s", true);
        check("root.a*c*e.s", "root.abde.s", false);
        check("root.ab*b.s", "root.ab.s", false);
        check("root.**.**", "root.a", false);
        check("root.**.**", "root.a.b", true);
    }

    #[test]
    fn a_dot_in_backticks_separates_nothing() {
        assert_eq!(nodes("root.`a.b`.c"), ["root", "`a.b`", "c"]);
        assert_eq!(nodes("root.`a``.b`"), ["root", "`a``.b`"]);
        check("root.`a*`.c", "root.`ab`.c", false);
        check("root.*.c", "root.`a.b`.c", true);
    }

    #[test]
    fn the_first_two_nodes_before_the_last_are_taken_for_the_database() {
        for (device, expected) in [
            ("root.a.b.c", "root.a"),
            ("root.a.b", "root.a"),
            ("root.a", "root"),
            ("root", "root"),
            ("root.`a.b`.c", "root.`a.b`"),
        ] {
            assert_eq!(assumed_database(device), expected, "{device}");
        }
    }

    #[test]
    fn nodes_are_kept_in_backticks_where_they_need_them() {
        for (node, expected) in [
            ("s1", "s1"),
            ("`s1`", "s1"),
            ("温度", "温度"),
            ("1", "`1`"),
            ("`1`", "`1`"),
            ("1e5", "`1e5`"),
            ("1d", "1d"),
            ("a.b", "`a.b`"),
            ("`a.b`", "`a.b`"),
            ("a`b", "`a``b`"),
            ("`a``b`", "`a``b`"),
            ("`a`b`", "```a``b```"),
            ("`", "````"),
            ("", "``"),
            ("``", "``"),
            ("*", "`*`"),
        ] {
            assert_eq!(kept_node(node), expected, "{node}");
            assert_eq!(kept_node(&kept_node(node)), expected, "kept as it is kept");
        }
        assert_eq!(kept("root.sg.d1"), "root.sg.d1");
        assert_eq!(kept("root.`s`.a-b.`c.d`"), "root.s.`a-b`.`c.d`");
        assert_eq!(kept("root..7"), "root.``.`7`");
    }

    #[test]
    fn a_pattern_is_cut_to_the_series_of_one_device() {
        let cut = |pattern, device| measurement_pattern(&nodes(pattern), &nodes(device));
        assert_eq!(cut("root.a.d1.s1", "root.a.d1"), Some("s1"));
        assert_eq!(cut("root.a.d1.s1", "root.a.d2"), None);
        assert_eq!(cut("root.a.*.s*", "root.a.d2"), Some("s*"));
        assert_eq!(cut("root.a.**", "root.a.d2"), Some("*"));
        assert_eq!(cut("root.a.d2.**", "root.a.d2"), Some("*"));
        assert_eq!(cut("root.a.d2.x.**", "root.a.d2"), None);
        assert_eq!(cut("root.**.s", "root.a.d2"), Some("s"));
        assert_eq!(cut("root.a.d2", "root.a.d2"), None, "no series of the device itself");
        assert_eq!(cut("root.a.d2", "root.a"), Some("d2"));
    }

    #[test]
    fn cutting_to_devices_loses_and_adds_no_series() {
        let mut rng = 7u64;
        let mut below = |n: u64| {
            rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (rng >> 33) % n
        };
        for _ in 0..20_000 {
            let mut pattern = vec!["root"];
            let mut path = vec!["root"];
            for _ in 0..below(4) {
                pattern.push(["a", "b", "*", "**", "a*"][below(5) as usize]);
            }
            for _ in 0..1 + below(3) {
                path.push(["a", "b", "ab"][below(3) as usize]);
            }
            let (measurement, device) = path.split_last().expect("two nodes at least");
            let cut = measurement_pattern(&pattern, device);
            let meant = cut.is_some_and(|it| matches(&[it], &[measurement]));
            assert_eq!(meant, matches(&pattern, &path), "{pattern:?} on {path:?}");
        }
    }
}
