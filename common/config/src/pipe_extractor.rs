//! The extractor of a pipe: which series and times, of history and of what comes after it.

use core::ops::RangeInclusive;

use tidegate_model::PatternForm;
use tidegate_model::SeriesPattern;
use tidegate_sql::time::TimeContext;
use tidegate_sql::time::UtcOffset;
use tidegate_sql::time::parse_time;

use crate::error::Faults;
use crate::error::Reason;
use crate::pipe::RealtimeMode;
use crate::pipe::bad_value;
use crate::pipe::check_plugin;
use crate::pipe::read;
use crate::pipe_keys as keys;
use crate::pipe_text::Given;
use crate::pipe_text::Section;
use crate::value::Kind;

/// What is extracted.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // made by `parse`, read everywhere
pub struct ExtractorSpec {
    /// The mode that was asked for.
    pub realtime_mode: RealtimeMode,
    /// Whether deletions are sent, those beside a file and later ones.
    pub takes_deletions: bool,
    /// Which series; `None` for all.
    pub pattern: Option<PatternSpec>,
    /// Whether what was there when the pipe was created is sent.
    pub takes_history: bool,
    /// Whether what came since is sent.
    pub takes_realtime: bool,
    /// Which times of history.
    pub history_times: TimeLimits,
    /// Which times of what came since.
    pub realtime_times: TimeLimits,
}

/// A pattern as it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // a pair
pub struct PatternSpec {
    /// The text.
    pub text: String,
    /// Whether it goes by nodes (`path`) or is a plain prefix, which generations read in two ways.
    pub goes_by_nodes: bool,
}

impl PatternSpec {
    /// The pattern.
    ///
    /// # Arguments
    ///
    /// - `names_one_measurement`: whether a prefix longer than a device's path names one measurement,
    ///   as in 1.2, and not all that begin so
    pub fn pattern(&self, names_one_measurement: bool) -> SeriesPattern {
        let form = match (self.goes_by_nodes, names_one_measurement) {
            (true, _) => PatternForm::Nodes,
            (false, true) => PatternForm::PrefixExact,
            (false, false) => PatternForm::Prefix,
        };
        SeriesPattern::new(&self.text, form).expect("it was read before")
    }
}

/// The first and the last time, as texts that depend on the unit and on the present.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // a pair
pub struct TimeLimits {
    /// First time, included.
    pub start: Option<String>,
    /// Last time, included.
    pub end: Option<String>,
}

impl TimeLimits {
    /// The times themselves.
    ///
    /// # Errors
    /// A time that the unit cannot hold, or a first time after the last one.
    pub fn resolve(&self, context: &TimeContext) -> Result<RangeInclusive<i64>, String> {
        let resolve = |text: &Option<String>, without: i64| match text {
            None => Ok(without),
            Some(text) => parse_time(text, context).map_err(|error| format!("{text}: {error}")),
        };
        let (start, end) = (resolve(&self.start, i64::MIN)?, resolve(&self.end, i64::MAX)?);
        match start <= end {
            true => Ok(start..=end),
            false => Err(format!(
                "the first time, {start}, is after the last one, {end}: nothing could be sent"
            )),
        }
    }
}

/// Reads the section `[extractor]`.
pub(crate) fn read_extractor(
    section: &Section,
    notes: &mut Vec<String>,
    faults: &mut Faults,
) -> Option<ExtractorSpec> {
    section.check_keys(keys::EXTRACTOR_KEYS, faults);
    check_plugin(section, keys::EXTRACTOR_PLUGINS, &[], faults);
    let pattern = read_pattern(section, notes, faults);
    let whole = read_times(section, ["start-time", "end-time"], notes, faults);
    let history = read_times(section, ["history.start-time", "history.end-time"], notes, faults);
    let mut enabled = |key| {
        let read = read::<bool>(section, key, &Kind::Boolean, faults);
        read.map(|it| it.unwrap_or(true))
    };
    let (takes_history, takes_realtime) = (enabled("history.enable"), enabled("realtime.enable"));
    let realtime_mode = read_mode(section, notes, faults);
    let takes_deletions = read_inclusion(section, notes, faults);
    let (pattern, whole, history) = (pattern?, whole?, history?);
    let (mut takes_history, mut takes_realtime) = (takes_history?, takes_realtime?);
    let (mut history_times, mut realtime_times) = (history, TimeLimits::default());
    if whole != TimeLimits::default() {
        // IoTDB: they are of both, and what else is said of the two does not count.
        if !takes_history || !takes_realtime || history_times != TimeLimits::default() {
            notes.push(format!(
                "{} and {} cover history and real time, so {} does not count",
                section.shown_key("start-time"),
                section.shown_key("end-time"),
                "what else is said of either"
            ));
        }
        (takes_history, takes_realtime) = (true, true);
        (history_times, realtime_times) = (whole.clone(), whole);
    }
    if !takes_history && !takes_realtime {
        let message = format!(
            "{} and {} are both false: nothing could be sent",
            section.shown_key("history.enable"),
            section.shown_key("realtime.enable")
        );
        let line = section.given("realtime.enable").map(|it| it.line);
        faults.push(line, Reason::Contradiction { message });
    }
    Some(ExtractorSpec {
        realtime_mode: realtime_mode?,
        takes_deletions: takes_deletions?,
        pattern,
        takes_history,
        takes_realtime,
        history_times,
        realtime_times,
    })
}

fn read_mode(
    section: &Section,
    notes: &mut Vec<String>,
    faults: &mut Faults,
) -> Option<RealtimeMode> {
    let Some(given) = section.given("realtime.mode") else { return Some(RealtimeMode::File) };
    let Some(realtime_mode) = RealtimeMode::parse(given.value.trim()) else {
        bad_value(given, "file, hybrid, log or forced-log", faults);
        return None;
    };
    if realtime_mode != RealtimeMode::File {
        notes.push(format!(
            "{} = {} runs as file in this release",
            given.shown_key,
            realtime_mode.as_str(),
        ));
    }
    Some(realtime_mode)
}

/// `inclusion` without what `inclusion.exclusion` takes away: whether deletions are in it. Points must be.
///
/// Without the key deletions are sent, other than by IoTDB.
fn read_inclusion(section: &Section, notes: &mut Vec<String>, faults: &mut Faults) -> Option<bool> {
    let items = |given: &Given| -> Vec<String> {
        let items = given.value.split(',').map(|it| it.trim().to_ascii_lowercase());
        items.filter(|it| !it.is_empty()).collect()
    };
    let (mut has_deletions, mut is_sound) = (true, true);
    let included = section.given("inclusion");
    if let Some(given) = included {
        let mut has_points = false;
        has_deletions = false;
        for item in items(given) {
            match &*item {
                "data" => (has_points, has_deletions) = (true, true),
                "data.insert" => has_points = true,
                "data.delete" => has_deletions = true,
                _ => is_sound = false,
            }
        }
        if !is_sound || !has_points {
            let expected = "data.insert, or data for insertions and deletions (neither schemas nor \
                            authorities are sent)";
            bad_value(given, expected, faults);
            return None;
        }
    }
    let excluded = section.given("inclusion.exclusion");
    if let Some(given) = excluded {
        for item in items(given) {
            match item.split('.').next() {
                // Never sent anyway.
                Some("schema" | "auth") => (),
                _ if ["data.delete", "delete"].contains(&&*item) => has_deletions = false,
                _ => is_sound = false,
            }
        }
        if !is_sound {
            bad_value(given, "data.delete (without insertions nothing could be sent)", faults);
            return None;
        }
    }
    if let Some(given) = included.or(excluded).filter(|_| !has_deletions) {
        notes.push(format!(
            "{} = {}: no deletion is sent, and rows that were deleted beside a file arrive with it",
            given.shown_key,
            given.shown_value(),
        ));
    }
    Some(has_deletions)
}

/// `path`, else `pattern` in its format; outer `None` if there is a fault.
fn read_pattern(
    section: &Section,
    notes: &mut Vec<String>,
    faults: &mut Faults,
) -> Option<Option<PatternSpec>> {
    let format = section.given("pattern.format");
    let goes_by_nodes = match format.map(|it| it.value.trim().to_ascii_lowercase()).as_deref() {
        None | Some("prefix") => false,
        Some("iotdb") => true,
        Some(_) => {
            bad_value(format?, "prefix or iotdb", faults);
            return None;
        }
    };
    let (given, goes_by_nodes) = match (section.given("path"), section.given("pattern")) {
        (None, None) => return Some(None),
        (None, Some(pattern)) => (pattern, goes_by_nodes),
        (Some(path), None) => (path, true),
        (Some(path), Some(pattern)) => {
            notes.push(format!("{} wins over {}", path.shown_key, pattern.shown_key));
            (path, true)
        }
    };
    let text = given.value.trim().to_owned();
    let form = if goes_by_nodes { PatternForm::Nodes } else { PatternForm::PrefixExact };
    let pattern = match SeriesPattern::new(&text, form) {
        Ok(pattern) => pattern,
        Err(error) => {
            bad_value(given, &format!("a pattern of paths ({error})"), faults);
            return None;
        }
    };
    if !goes_by_nodes && text.contains('*') {
        notes.push(format!(
            "{} is a plain prefix, in which an asterisk stands for itself: for wildcards use {}",
            given.shown_key,
            section.shown_key("path"),
        ));
    }
    Some((!pattern.is_all()).then_some(PatternSpec { text, goes_by_nodes }))
}

/// `None` if there is a fault.
fn read_times(
    section: &Section,
    [start, end]: [&str; 2],
    notes: &mut Vec<String>,
    faults: &mut Faults,
) -> Option<TimeLimits> {
    // The unit is the source's, which is not known here. Of a text it decides no more than whether
    // 64 bits can hold it.
    let precision = tidegate_model::Precision::Ms;
    let context = TimeContext { precision, offset: UtcOffset::UTC, now: 0 };
    let mut is_sound = true;
    let mut read = |given: Option<&Given>| {
        let given = given?;
        let text = given.value.trim();
        if let Err(error) = parse_time(text, &context) {
            let expected = format!(
                "a time such as 2011-12-03T10:15:30+01:00, a number of the source's unit, or now \
                 ({error})"
            );
            bad_value(given, &expected, faults);
            is_sound = false;
        }
        if is_without_offset(text) {
            notes.push(format!(
                "{} has no offset and is read as UTC, while an IoTDB takes the time zone of its \
                 server: write the offset, such as {text}+08:00",
                given.shown_key,
                text = with_time_of_day(text),
            ));
        }
        Some(text.to_owned())
    };
    let (first, last) = (section.given(start), section.given(end));
    let limits = TimeLimits { start: read(first), end: read(last) };
    if !is_sound {
        return None;
    }
    let has_now = |text: &Option<String>| {
        text.as_ref().is_some_and(|it| it.to_ascii_lowercase().starts_with("now"))
    };
    if !has_now(&limits.start)
        && !has_now(&limits.end)
        && let Err(error) = limits.resolve(&context)
    {
        let message = format!("{}: {error}", section.shown_key(start));
        faults.push(first.map(|it| it.line), Reason::Contradiction { message });
        return None;
    }
    Some(limits)
}

/// A date alone takes no offset.
fn with_time_of_day(text: &str) -> String {
    match text.contains(':') {
        true => text.to_owned(),
        false => format!("{text}T00:00:00"),
    }
}

/// Whether a date-time says nothing of where it is.
fn is_without_offset(text: &str) -> bool {
    let is_number = text.parse::<i64>().is_ok();
    let is_now = text.to_ascii_lowercase().starts_with("now");
    let clock = text.split_once(['T', 't', ' ']).map_or("", |(_, clock)| clock);
    !is_number && !is_now && !clock.contains(['+', '-', 'Z', 'z'])
}
