//! Which series a pipe takes: IoTDB's two forms of `extractor.pattern`.
//!
//! The prefix form compares text and knows no nodes: `root.a.b` takes the device `root.a.bc`. Where
//! it is longer than a device's path it means measurements of that device. The form of later
//! versions (`path`) goes by nodes, with `*` and `**`.

use core::fmt;

use crate::path;

/// A pattern of series.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SeriesPattern {
    text: Box<str>,
    form: PatternForm,
}

/// How the text of a [`SeriesPattern`] is read.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums)] // IoTDB's forms
pub enum PatternForm {
    /// A text with which paths begin, as IoTDB 1.2 reads it: a longer one than a device's path names
    /// one measurement of it.
    PrefixExact,
    /// A text with which paths begin, as later versions read it: all measurements that so begin.
    Prefix,
    /// Nodes with wildcards; the whole path is meant.
    Nodes,
}

/// The part of some measurements that a [`SeriesPattern`] takes.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // there is no fourth
pub enum MeasurementCut {
    /// None of them.
    Nothing,
    /// Exactly those that this measurement or pattern means.
    Part(String),
    /// Some, but no pattern means these alone.
    Unsayable,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PatternError {
    /// It does not begin with the node `root`.
    NoRoot,
    /// One of its nodes is empty, or has a character that needs backticks.
    Node(Box<str>),
}

impl SeriesPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What IoTDB does not take either.
    pub fn new(text: &str, form: PatternForm) -> Result<Self, PatternError> {
        let nodes = path::nodes(text);
        let [root, rest @ ..] = &nodes[..] else { return Err(PatternError::NoRoot) };
        if *root != "root" {
            return Err(PatternError::NoRoot);
        }
        for (at, node) in rest.iter().enumerate() {
            // A prefix may end anywhere, also behind a dot.
            let may_be_empty = form != PatternForm::Nodes && at + 1 == rest.len();
            if !(is_node(node) || node.is_empty() && may_be_empty) {
                return Err(PatternError::Node((*node).into()));
            }
        }
        Ok(Self { text: text.into(), form })
    }

    /// The pattern that takes every series.
    pub fn all() -> Self {
        Self { text: "root".into(), form: PatternForm::PrefixExact }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How it is read.
    pub fn form(&self) -> PatternForm {
        self.form
    }

    /// Whether it takes every series there can be.
    pub fn is_all(&self) -> bool {
        match self.form {
            PatternForm::Nodes => &*self.text == "root.**",
            PatternForm::PrefixExact | PatternForm::Prefix => {
                matches!(&*self.text, "root" | "root.")
            }
        }
    }

    /// Whether it takes every series that the device can have.
    pub fn covers_device(&self, device: &str) -> bool {
        match self.form {
            PatternForm::Nodes => {
                self.measurements_of(device).is_some_and(|it| matches!(it, "*" | "**"))
            }
            PatternForm::PrefixExact | PatternForm::Prefix => device.starts_with(&*self.text),
        }
    }

    /// Whether it may take a series of the device; `false` is certain.
    pub fn may_overlap_device(&self, device: &str) -> bool {
        match self.form {
            PatternForm::Nodes => self.measurements_of(device).is_some(),
            PatternForm::PrefixExact | PatternForm::Prefix => {
                device.starts_with(&*self.text) || self.behind(device).is_some()
            }
        }
    }

    /// Whether it takes a series.
    pub fn matches_series(&self, device: &str, measurement: &str) -> bool {
        if self.form != PatternForm::Nodes && device.starts_with(&*self.text) {
            return true;
        }
        match self.form {
            PatternForm::Nodes => self
                .measurements_of(device)
                .is_some_and(|it| it == "**" || path::matches(&[it], &[measurement])),
            PatternForm::PrefixExact => self.behind(device) == Some(measurement),
            PatternForm::Prefix => {
                self.behind(device).is_some_and(|begin| measurement.starts_with(begin))
            }
        }
    }

    /// The part of `wanted`, a measurement of a device or a pattern of its measurements with `*`,
    /// that this pattern takes.
    pub fn cut_measurement(&self, device: &str, wanted: &str) -> MeasurementCut {
        let exactly = |name: &str, is_meant: bool| match is_meant {
            true => MeasurementCut::Part(name.to_owned()),
            false => MeasurementCut::Nothing,
        };
        if self.covers_device(device) {
            return exactly(wanted, true);
        }
        if !path::is_node_pattern(wanted) {
            return exactly(wanted, self.matches_series(device, wanted));
        }
        let (own, is_prefix) = match self.form {
            PatternForm::Nodes => (self.measurements_of(device), false),
            PatternForm::PrefixExact => (self.behind(device), false),
            PatternForm::Prefix => (self.behind(device), true),
        };
        let Some(own) = own else { return MeasurementCut::Nothing };
        // To a prefix an asterisk is a letter, which no name has outside of backticks.
        if self.form != PatternForm::Nodes && path::is_node_pattern(own) {
            return MeasurementCut::Nothing;
        }
        // Behind what is complete in backticks nothing can follow but another backtick.
        let is_one = own.starts_with('`') || !is_prefix && !path::is_node_pattern(own);
        if is_one {
            return exactly(own, path::matches(&[wanted], &[own]));
        }
        let own = if is_prefix { format!("{own}*") } else { own.to_owned() };
        // No name has an asterisk, so what a pattern takes as if it was a name it takes wholly.
        if path::matches(&[&own], &[wanted]) {
            return MeasurementCut::Part(wanted.to_owned());
        }
        if path::matches(&[wanted], &[&own]) {
            return MeasurementCut::Part(own);
        }
        let ends = |pattern: &str| {
            let ends = pattern.split_once('*').zip(pattern.rsplit_once('*'));
            ends.map(|((start, _), (_, end))| (start.to_owned(), end.to_owned()))
        };
        let Some(((start, end), (own_start, own_end))) = ends(wanted).zip(ends(&own)) else {
            return MeasurementCut::Nothing;
        };
        let may_begin = start.starts_with(&own_start) || own_start.starts_with(&start);
        let may_end = end.ends_with(&own_end) || own_end.ends_with(&end);
        // One that begins as the one says and ends as the other: no pattern that IoTDB takes says that.
        if may_begin && may_end { MeasurementCut::Unsayable } else { MeasurementCut::Nothing }
    }

    /// What stands behind the device and a dot, if a prefix is longer than the device's path.
    fn behind(&self, device: &str) -> Option<&str> {
        self.text.strip_prefix(device)?.strip_prefix('.')
    }

    fn measurements_of(&self, device: &str) -> Option<&str> {
        path::measurement_pattern(&path::nodes(&self.text), &path::nodes(device))
    }
}

/// Whether a text is one node of a pattern: in backticks anything, else no character that separates.
fn is_node(node: &str) -> bool {
    let inside = node.strip_prefix('`').and_then(|it| it.strip_suffix('`'));
    if let Some(inside) = inside {
        return !inside.is_empty() && !inside.replace("``", "").contains('`');
    }
    !node.is_empty() && node.chars().all(|it| it.is_alphanumeric() || "_:@#${}*-".contains(it))
}

impl fmt::Display for PatternForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PrefixExact | Self::Prefix => "prefix",
            Self::Nodes => "iotdb",
        })
    }
}

impl fmt::Display for SeriesPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoot => f.write_str("a pattern begins with the node root"),
            Self::Node(node) => write!(f, "{node:?} is no node of a path"),
        }
    }
}

impl core::error::Error for PatternError {}

#[cfg(test)]
mod tests {
    use super::*;
    use PatternForm::Nodes;
    use PatternForm::Prefix;
    use PatternForm::PrefixExact;

    const DEVICE: &str = "root.db.d1";

    fn pattern(text: &str, form: PatternForm) -> SeriesPattern {
        SeriesPattern::new(text, form).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn what_iotdb_takes_for_a_pattern_is_one() {
        for text in ["root", "root.", "root.db", "root.db.", "root.db.d1.s", "root.db.`1`"] {
            pattern(text, PrefixExact);
            pattern(text, Prefix);
        }
        for text in ["root", "root.db", "root.db.d1.s", "root.db.`1`", "root.*.d.*s.s"] {
            pattern(text, Nodes);
        }
        for text in ["roo", "", "root..", "root./", "rootx", "root. a", "root.a..b", "root.`a`b`"] {
            for form in [PrefixExact, Prefix, Nodes] {
                assert!(SeriesPattern::new(text, form).is_err(), "{text}");
            }
        }
        assert!(SeriesPattern::new("root.", Nodes).is_err());
    }

    #[test]
    fn prefixes_compare_text_without_regard_to_nodes() {
        for text in ["root", "root.", "root.d", "root.db", "root.db.", "root.db.d", "root.db.d1"] {
            assert!(pattern(text, PrefixExact).covers_device(DEVICE), "{text}");
            assert!(pattern(text, PrefixExact).covers_device("root.db.d12"), "{text}");
            assert!(pattern(text, PrefixExact).matches_series(DEVICE, "any"), "{text}");
        }
        for text in ["root.db.d1.", "root.db.d1.s1", "root.**", "root.db.d2"] {
            assert!(!pattern(text, PrefixExact).covers_device(DEVICE), "{text}");
        }
        for text in ["root", "root.db.d1", "root.db.d1.", "root.db.d1.s1"] {
            assert!(pattern(text, PrefixExact).may_overlap_device(DEVICE), "{text}");
        }
        for text in ["root.db.d2", "root.**", "root.db.d12.s"] {
            assert!(!pattern(text, PrefixExact).may_overlap_device(DEVICE), "{text}");
        }
    }

    #[test]
    fn a_prefix_longer_than_the_device_means_one_measurement_in_1_2_and_all_that_so_begin_later() {
        for (text, measurement, exact, prefix) in [
            ("root.db.d1.s1", "s1", true, true),
            ("root.db.d1.s", "s1", false, true),
            ("root.db.d1.", "s1", false, true),
            ("root.db.d1.s11", "s1", false, false),
            ("root.db.d1.s2", "s1", false, false),
            ("root.db.d1.1.s", "1.s", true, true),
            ("root.db.d12", "2", false, false),
        ] {
            for (form, expected) in [(PrefixExact, exact), (Prefix, prefix)] {
                let found = pattern(text, form).matches_series(DEVICE, measurement);
                assert_eq!(found, expected, "{text} {form:?} {measurement}");
            }
        }
    }

    #[test]
    fn nodes_mean_whole_paths() {
        for text in [
            "root.**",
            "root.db.**",
            "root.*.*.*",
            "root.db.d1.*",
            "root.*db*.*d*.*",
            "root.**.*1.*",
            "root.db.d1.**",
        ] {
            assert!(pattern(text, Nodes).covers_device(DEVICE), "{text}");
            assert!(pattern(text, Nodes).matches_series(DEVICE, "s1"), "{text}");
        }
        for text in ["root.*", "root.*.*", "root.db.d1", "root.db.d2.*", "root.**.d2.**"] {
            assert!(!pattern(text, Nodes).covers_device(DEVICE), "{text}");
            assert!(!pattern(text, Nodes).may_overlap_device(DEVICE), "{text}");
        }
        for (text, expected) in [
            ("root.db.d1.s1", true),
            ("root.db.d1.s*", true),
            ("root.**.s1", true),
            ("root.db.d1.s2", false),
            ("root.db.d1.*.*", false),
        ] {
            assert_eq!(pattern(text, Nodes).matches_series(DEVICE, "s1"), expected, "{text}");
        }
    }

    #[test]
    fn all_means_all_and_nothing_else_does() {
        assert!(SeriesPattern::all().is_all());
        for (text, form) in [("root", Prefix), ("root.", Prefix), ("root.**", Nodes)] {
            assert!(pattern(text, form).is_all());
        }
        for (text, form) in [("root", Nodes), ("root.**", Prefix), ("root.a", Prefix)] {
            assert!(!pattern(text, form).is_all());
        }
    }

    #[test]
    fn deletions_are_cut_to_what_the_pattern_takes() {
        for (text, form, wanted, expected) in [
            ("root.db", PrefixExact, "s*", Some("s*")),
            ("root.db.d1.s1", PrefixExact, "*", Some("s1")),
            ("root.db.d1.s1", PrefixExact, "s1", Some("s1")),
            ("root.db.d1.s1", PrefixExact, "s2", None),
            ("root.db.d1.s1", PrefixExact, "t*", None),
            ("root.db.d1.s", Prefix, "*", Some("s*")),
            ("root.db.d1.s", Prefix, "s2", Some("s2")),
            ("root.db.d1.s", Prefix, "t2", None),
            ("root.db.d2", Prefix, "s", None),
            ("root.db.d1.a", Prefix, "s*", None),
            ("root.db.d1.s", Prefix, "s1*", Some("s1*")),
            ("root.db.d1.s12", Prefix, "s1*", Some("s12*")),
            ("root.db.d1.`a`", Prefix, "`a`", Some("`a`")),
            ("root.db.d1.`a`", Prefix, "*", Some("`a`")),
            ("root.db.d1.`a`", Prefix, "a*", None),
            ("root.db.d1.*", Prefix, "*", None),
            ("root.db.d1.*", PrefixExact, "*", None),
            ("root.db.d1.*", PrefixExact, "s", None),
            ("root.db.d1.*1", Nodes, "s*", Some("?")),
            ("root.db.d1.*1", Nodes, "*2", None),
            ("root.db.d1.*1*", Nodes, "*1", Some("*1")),
            ("root.db.d1.*1", Nodes, "*1*", Some("*1")),
            ("root.db.d1.s", Prefix, "*2", Some("?")),
            ("root.db.d1.s12", Prefix, "s*2", Some("?")),
            ("root.*.*.s1", Nodes, "*", Some("s1")),
            ("root.db.d1.*", Nodes, "s1", Some("s1")),
            ("root.db.d2.*", Nodes, "s1", None),
        ] {
            let expected = match expected {
                Some("?") => MeasurementCut::Unsayable,
                Some(part) => MeasurementCut::Part(part.to_owned()),
                None => MeasurementCut::Nothing,
            };
            let found = pattern(text, form).cut_measurement(DEVICE, wanted);
            assert_eq!(found, expected, "{text} {form:?} {wanted}");
        }
    }

    /// One with an asterisk on both sides took rows that the pipe had not sent.
    #[test]
    fn a_cut_deletion_takes_no_series_that_the_pattern_does_not_and_misses_none() {
        let mut rng = 3u64;
        let mut below = |n: u64| {
            rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (rng >> 33) % n
        };
        let (mut n_parts, mut n_unsayable) = (0, 0);
        let names: Vec<String> = (0..2 + 4 + 8 + 16)
            .map(|at: u32| {
                let bits = format!("{:b}", at + 2);
                bits[1..].replace('0', "a").replace('1', "b")
            })
            .chain(["`a.b`".to_owned(), "`a``b`".to_owned()])
            .collect();
        for _ in 0..20_000 {
            let mut some = || {
                let n_letters = 1 + below(3);
                (0..n_letters).map(|_| ["a", "b", "*"][below(3) as usize]).collect::<String>()
            };
            let (own, wanted) = (some(), some());
            let form = [PrefixExact, Prefix, Nodes][below(3) as usize];
            let pattern = pattern(&format!("{DEVICE}.{own}"), form);
            let what = format!("{own} {form:?} {wanted}");
            let is_both = |name: &String| {
                pattern.matches_series(DEVICE, name) && path::matches(&[&wanted], &[name])
            };
            match pattern.cut_measurement(DEVICE, &wanted) {
                MeasurementCut::Nothing => assert!(!names.iter().any(is_both), "{what}"),
                MeasurementCut::Unsayable => n_unsayable += 1,
                MeasurementCut::Part(part) => {
                    n_parts += 1;
                    for name in &names {
                        let is_cut = path::matches(&[&part], &[name]);
                        assert_eq!(is_cut, is_both(name), "{what}: {part} {name}");
                    }
                }
            }
        }
        assert!(n_parts > 1000 && n_unsayable > 100, "{n_parts}, {n_unsayable}");
    }

    #[test]
    fn what_is_said_of_a_device_holds_for_its_series() {
        let mut rng = 11u64;
        let mut below = |n: u64| {
            rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (rng >> 33) % n
        };
        for _ in 0..20_000 {
            let mut text = "root".to_owned();
            for _ in 0..below(4) {
                text.push('.');
                text.push_str(["a", "b", "*", "**", "ab", "a*"][below(6) as usize]);
            }
            let mut device = "root".to_owned();
            for _ in 0..1 + below(2) {
                device.push('.');
                device.push_str(["a", "b", "ab"][below(3) as usize]);
            }
            for form in [PrefixExact, Prefix, Nodes] {
                let pattern = pattern(&text, form);
                let taken = ["a", "b", "ab", "c"].map(|it| pattern.matches_series(&device, it));
                if pattern.covers_device(&device) {
                    assert_eq!(taken, [true; 4], "{text} {form:?} {device}");
                }
                if taken.contains(&true) {
                    assert!(pattern.may_overlap_device(&device), "{text} {form:?} {device}");
                }
                if pattern.is_all() {
                    assert!(pattern.covers_device(&device), "{text} {form:?} {device}");
                }
            }
        }
    }
}
