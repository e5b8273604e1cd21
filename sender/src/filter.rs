//! What a pipe takes: which series, and which times of history and of what came since.

use core::ops::RangeInclusive;
use std::sync::Arc;

use tidegate_config::ExtractorSpec;
use tidegate_model::Dialect;
use tidegate_model::MeasurementCut;
use tidegate_model::Precision;
use tidegate_model::SeriesPattern;
use tidegate_model::path;
use tidegate_source::Age;
use tidegate_source::Deletion;
use tidegate_source::Series;
use tidegate_sql::time::TimeContext;
use tidegate_sql::time::UtcOffset;
use tidegate_tsfile::ALL_TIMES;
use tidegate_tsfile::Wanted;

/// What a pipe takes.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pattern: SeriesPattern,
    history: RangeInclusive<i64>,
    realtime: RangeInclusive<i64>,
    either: RangeInclusive<i64>,
    takes_deletions: bool,
}

/// What of a deletion leaves.
#[derive(Debug)]
pub(crate) struct CutDeletion {
    /// What can be said of it; `None` if nothing can.
    pub(crate) deletion: Option<Deletion>,
    /// Whether that is all of it that the pipe takes.
    pub(crate) is_whole: bool,
}

/// No time at all.
#[allow(clippy::reversed_empty_ranges)] // it is meant
const NO_TIMES: RangeInclusive<i64> = 1..=0;

impl Default for Filter {
    fn default() -> Self {
        Self {
            pattern: SeriesPattern::all(),
            history: ALL_TIMES,
            realtime: ALL_TIMES,
            either: ALL_TIMES,
            takes_deletions: true,
        }
    }
}

impl Filter {
    /// As a definition says.
    ///
    /// # Arguments
    ///
    /// - `generation`: of the source, whose pipes read prefixes so or so
    /// - `created_ms`: when the pipe was created; `now` stands for it, also after a restart
    pub(crate) fn new(
        extractor: &ExtractorSpec,
        generation: Dialect,
        precision: Precision,
        created_ms: u64,
    ) -> Result<Self, String> {
        let created_ms = i64::try_from(created_ms).unwrap_or(i64::MAX);
        let now = created_ms.saturating_mul(precision.per_ms());
        let context = TimeContext { precision, offset: UtcOffset::UTC, now };
        let history = extractor.history_times.resolve(&context)?;
        let realtime = extractor.realtime_times.resolve(&context)?;
        let pattern = extractor.pattern.as_ref();
        let pattern = pattern.map(|it| it.pattern(generation == Dialect::V1_2));
        Ok(Self {
            pattern: pattern.unwrap_or_else(SeriesPattern::all),
            history: if extractor.takes_history { history } else { NO_TIMES },
            // Limits that are not those of history alone.
            either: realtime.clone(),
            realtime: if extractor.takes_realtime { realtime } else { NO_TIMES },
            takes_deletions: extractor.takes_deletions,
        })
    }

    /// What is wanted of a file.
    ///
    /// Of one that a compaction made of both kinds all times are: it leaves only if not all that it
    /// is made of has left, and nobody could tell its rows apart.
    pub(crate) fn wanted(&self, age: Age) -> Wanted {
        let times = match age {
            Age::History => self.history.clone(),
            Age::Realtime => self.realtime.clone(),
            Age::Either => self.either.clone(),
        };
        Wanted { pattern: self.pattern.clone(), times }
    }

    /// Whether deletions leave, beside files and by themselves.
    pub(crate) fn takes_deletions(&self) -> bool {
        self.takes_deletions
    }

    /// What of a deletion concerns points that the pipe takes.
    pub(crate) fn cut(&self, deletion: &Deletion) -> CutDeletion {
        let nothing = CutDeletion { deletion: None, is_whole: true };
        let start = deletion.start.max(*self.either.start());
        let end = deletion.end.min(*self.either.end());
        if !self.takes_deletions || start > end {
            return nothing;
        }
        let deletion = Deletion { start, end, ..deletion.clone() };
        if self.pattern.is_all() {
            return CutDeletion { deletion: Some(deletion), is_whole: true };
        }
        let Series::Tree { paths } = &deletion.series else { return nothing };
        let mut is_whole = true;
        let cut = |full: &Arc<str>| {
            let measurement = *path::nodes(full).last()?;
            let device = full.strip_suffix(measurement)?.strip_suffix('.')?;
            match self.pattern.cut_measurement(device, measurement) {
                MeasurementCut::Nothing => None,
                MeasurementCut::Part(part) => Some(Arc::from(format!("{device}.{part}"))),
                MeasurementCut::Unsayable => {
                    is_whole = false;
                    None
                }
            }
        };
        let paths: std::collections::BTreeSet<Arc<str>> = paths.iter().filter_map(cut).collect();
        let deletion =
            (!paths.is_empty()).then_some(Deletion { series: Series::Tree { paths }, ..deletion });
        CutDeletion { deletion, is_whole }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_config::PipeDefinition;

    use super::*;

    fn filter(lines: &str, generation: Dialect) -> Result<Filter, String> {
        let text = format!(
            "[connector]\nconnector = \"iotdb-air-gap-connector\"\nnode-urls = \"h:1\"\n\
             [extractor]\n{lines}"
        );
        let definition = PipeDefinition::parse("p.toml", "p.toml", text.as_bytes());
        let definition = definition.expect("a definition");
        Filter::new(&definition.extractor, generation, Precision::Us, 1000)
    }

    #[test]
    fn each_age_has_the_times_that_the_definition_gives_it() {
        for (lines, history, realtime, either) in [
            ("", ALL_TIMES, ALL_TIMES, ALL_TIMES),
            ("history.enable = false", NO_TIMES, ALL_TIMES, ALL_TIMES),
            ("realtime.enable = false", ALL_TIMES, NO_TIMES, ALL_TIMES),
            ("history.start-time = 5", 5..=i64::MAX, ALL_TIMES, ALL_TIMES),
            ("history.end-time = \"now\"", i64::MIN..=1_000_000, ALL_TIMES, ALL_TIMES),
            ("start-time = 5\nend-time = 9", 5..=9, 5..=9, 5..=9),
            (
                "history.end-time = \"1970.01.01T01:00:01+01:00\"",
                i64::MIN..=1_000_000,
                ALL_TIMES,
                ALL_TIMES,
            ),
        ] {
            let filter = filter(lines, Dialect::V1_3).expect(lines);
            let ages = [Age::History, Age::Realtime, Age::Either];
            let found = ages.map(|age| filter.wanted(age).times);
            assert_eq!(found, [history, realtime, either], "{lines}");
        }
        assert!(
            filter("history.start-time = \"now\"\nhistory.end-time = 5", Dialect::V1_3).is_err()
        );
    }

    #[test]
    fn a_prefix_is_read_as_the_source_reads_it() {
        for (generation, expected) in [(Dialect::V1_2, false), (Dialect::V1_3, true)] {
            let filter = filter("pattern = \"root.a.d.s\"", generation).expect("a filter");
            let wanted = filter.wanted(Age::Realtime);
            assert_eq!(wanted.pattern.matches_series("root.a.d", "s1"), expected);
        }
    }

    /// They took rows at the far side that had come by other ways.
    #[test]
    fn deletions_of_times_that_the_pipe_does_not_take_do_not_leave() {
        let filter = filter("start-time = 5\nend-time = 9", Dialect::V1_3).expect("a filter");
        let cut = |start, end| {
            let series = Series::Tree { paths: [Arc::from("root.a.d.*")].into() };
            let cut = filter.cut(&Deletion { start, end, series }).deletion;
            cut.map(|cut| (cut.start, cut.end))
        };
        for (start, end, expected) in [
            (i64::MIN, i64::MAX, Some((5, 9))),
            (i64::MIN, 4, None),
            (i64::MIN, 5, Some((5, 5))),
            (9, 100, Some((9, 9))),
            (10, 100, None),
            (6, 7, Some((6, 7))),
        ] {
            assert_eq!(cut(start, end), expected, "{start} to {end}");
        }
    }

    #[test]
    fn no_deletion_leaves_where_only_insertions_are_included() {
        let deletion = |start| Deletion {
            start,
            end: 9,
            series: Series::Tree { paths: [Arc::from("root.a.d.*")].into() },
        };
        for (lines, takes) in [("", true), ("inclusion = \"data.insert\"", false)] {
            let filter = filter(lines, Dialect::V1_3).expect("a filter");
            assert_eq!(
                (filter.takes_deletions(), filter.cut(&deletion(1)).deletion.is_some()),
                (takes, takes)
            );
        }
    }

    #[test]
    fn deletions_outside_of_the_pattern_do_not_leave() {
        let filter = filter("pattern = \"root.a.d.s\"", Dialect::V1_2).expect("a filter");
        let cut = |paths: &[&str]| {
            let paths = paths.iter().map(|it| Arc::from(*it)).collect();
            let deletion = Deletion { start: 1, end: 2, series: Series::Tree { paths } };
            match filter.cut(&deletion).deletion?.series {
                Series::Tree { paths } => Some(paths.iter().map(|it| it.to_string()).collect()),
                Series::Table { .. } => None,
            }
        };
        let all: Option<Vec<String>> = cut(&["root.a.d.*", "root.a.e.s", "root.b.d.s"]);
        assert_eq!(all, Some(vec!["root.a.d.s".to_owned()]));
        assert_eq!(cut(&["root.a.e.s", "root.a.d.t"]), None);
    }

    /// A pattern of the far side takes `*2` or `s*`, but not what is both.
    #[test]
    fn a_part_of_a_deletion_that_no_pattern_says_does_not_leave_and_is_known() {
        let filter = filter("pattern = \"root.a.d.s\"", Dialect::V1_3).expect("a filter");
        let cut = |paths: &[&str]| {
            let paths = paths.iter().map(|it| Arc::from(*it)).collect();
            filter.cut(&Deletion { start: 1, end: 2, series: Series::Tree { paths } })
        };
        for (paths, n_left, is_whole) in [
            (&["root.a.d.*", "root.a.e.*2"][..], 1, true),
            (&["root.a.d.*2", "root.a.d.s1"], 1, false),
            (&["root.a.d.*2"], 0, false),
        ] {
            let found = cut(paths);
            let n_names = found.deletion.map_or(0, |deletion| deletion.n_names());
            assert_eq!((n_names, found.is_whole), (n_left, is_whole), "{paths:?}");
        }
    }
}
