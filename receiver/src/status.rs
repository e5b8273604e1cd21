//! What `status` and `gaps` say: the same numbers for people and, as JSON, for machines.
//!
//! The field names are an interface: later releases add, they do not rename.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;
use tidegate_daemon::text;
use tidegate_daemon::text::plain;
use tidegate_daemon::text::rfc3339;

use crate::gaps::Gap;
use crate::gaps::Outcome;
use crate::gaps::Times;
use crate::records::RecordKind;
use crate::state::CONSUMER_DIRECTORY;

/// How many.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Tally {
    /// Number of items.
    pub(crate) items: u64,
}

/// The whole answer to `status`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Report {
    pub(crate) version: String,
    pub(crate) pid: u32,
    pub(crate) cluster_id: String,
    pub(crate) uptime_ms: u64,
    pub(crate) state_dir: String,
    pub(crate) disk_free_bytes: u64,
    pub(crate) disk_floor_bytes: u64,
    /// What happens below it: `withhold` or `refuse`.
    pub(crate) disk_full_policy: String,
    /// Missing while the thread in question is busy.
    pub(crate) edge: Option<EdgeReport>,
    pub(crate) keeper: Option<KeeperReport>,
    pub(crate) loader: LoaderReport,
}

/// What the edge knows.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct EdgeReport {
    /// Where it listens; nothing when the air-gap receiver is off.
    pub(crate) listening: Option<String>,
    pub(crate) connections: Vec<ConnectionReport>,
    pub(crate) connections_accepted: u64,
    pub(crate) connections_refused: u64,
    /// Replies by byte and by what they answered, such as `ok.seal`.
    pub(crate) replies: BTreeMap<String, u64>,
    pub(crate) bytes_received: u64,
    pub(crate) in_flight_bytes: usize,
    /// Turns of the event loop that took over 50 ms.
    pub(crate) slow_turns: u64,
    /// Of these, turns that kept the loop itself at work for over 50 ms.
    pub(crate) busy_turns: u64,
    pub(crate) last_error: Option<String>,
}

/// One connection.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct ConnectionReport {
    pub(crate) peer: String,
    pub(crate) origin: Option<String>,
    pub(crate) stream: Option<String>,
    pub(crate) epoch: Option<u64>,
    pub(crate) bytes_received: u64,
    pub(crate) replies: u64,
    /// Why its answer is being withheld, if it is.
    pub(crate) withheld: Option<String>,
}

/// What the keeper knows.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct KeeperReport {
    pub(crate) spool_bytes: u64,
    pub(crate) spool_segments: usize,
    pub(crate) durable_sequence: u64,
    /// Position of each consumer.
    pub(crate) consumers: BTreeMap<String, u64>,
    /// Items accepted since the state directory was made, by kind.
    pub(crate) accepted: BTreeMap<String, Tally>,
    /// The latest of those that are kept and not applied, oldest first.
    pub(crate) not_applied: Vec<NotApplied>,
    /// Repetitions answered with OK and not kept, since the start.
    pub(crate) repeated_files: u64,
    /// Files whose OK is not proven.
    pub(crate) unproven: usize,
    /// Items that wait for room on the disk.
    pub(crate) waiting: usize,
    pub(crate) origins: Vec<OriginReport>,
    pub(crate) n_gaps: usize,
}

/// An item that is kept and not applied.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct NotApplied {
    pub(crate) sequence: u64,
    pub(crate) kind: String,
    /// Type of the request on the wire.
    pub(crate) request_type: Option<i16>,
    pub(crate) origin: String,
    /// The generation of the request, where its sender has named it.
    pub(crate) dialect: Option<String>,
    pub(crate) time: String,
}

/// One origin.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct OriginReport {
    pub(crate) origin: String,
    pub(crate) precision: String,
    pub(crate) streams: usize,
}

impl OriginReport {
    pub(crate) fn of((origin, precision, streams): (&str, &str, usize)) -> Self {
        Self { origin: origin.to_owned(), precision: precision.to_owned(), streams }
    }
}

/// One gap.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct GapReport {
    pub(crate) origin: String,
    pub(crate) item: String,
    pub(crate) reason: String,
    pub(crate) count: u64,
    pub(crate) first: String,
    pub(crate) last: String,
    /// What has become of it since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<String>,
}

impl GapReport {
    pub(crate) fn of((gap, times): (&Gap, &Times)) -> Self {
        Self {
            origin: gap.origin.clone(),
            item: gap.item.clone(),
            reason: gap.reason.clone(),
            count: times.count,
            first: rfc3339(times.first_ms),
            last: rfc3339(times.last_ms),
            outcome: times.outcome.map(|(outcome, at_ms)| match outcome {
                Outcome::Back => format!("there again since {}", rfc3339(at_ms)),
                Outcome::GivenUp => format!("given up {}", rfc3339(at_ms)),
            }),
        }
    }
}

/// What the loader has done since the start.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct LoaderReport {
    pub(crate) target: String,
    /// Rows and deletions go into a store, and do not wait for one.
    #[serde(default)]
    pub(crate) is_store: bool,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) position: u64,
    /// The last item that the target was given: a store may hold rows of it in memory only.
    pub(crate) read: u64,
    /// The target or its marker is not there: files wait in the state directory.
    pub(crate) is_target_away: bool,
    /// Files of stores that are left as they are, since they cannot be merged.
    #[serde(default)]
    pub(crate) unmergeable: usize,
    /// Files of stores that are gone, or damaged so that nothing in them can be found.
    #[serde(default)]
    pub(crate) lost: usize,
    /// Stores that are gone, and others in their places, of the stores that are open.
    #[serde(default)]
    pub(crate) gone: Vec<StoreReport>,
    /// Stores that were found to be older than they had been, since the start.
    #[serde(default)]
    pub(crate) older: Vec<StoreReport>,
    pub(crate) last_error: Option<String>,
}

/// How far a store was, and is.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct StoreReport {
    pub(crate) origin: String,
    /// The last record that was in it.
    pub(crate) expected: u64,
    /// The last one up to which everything was, when that was noticed.
    pub(crate) found: u64,
}

/// The status for people.
pub(crate) fn render(report: &Report) -> String {
    let mut out = Lines::default();
    let uptime = text::duration_ms(report.uptime_ms);
    out.line(format!("tidegate-receiver {}, process {}, up {uptime}", report.version, report.pid));
    match &report.edge {
        None => out.line("connections: the event loop gave no answer in time".to_owned()),
        Some(edge) => render_edge(edge, &mut out),
    }
    let (free, floor) = (report.disk_free_bytes, report.disk_floor_bytes);
    out.line(format!(
        "disk:        {} free, floor {}{}",
        text::bytes(free),
        text::bytes(floor),
        match (free < floor, report.disk_full_policy.as_str()) {
            (false, _) => "",
            (true, "refuse") => " - BELOW THE FLOOR, what arrives is refused",
            (true, _) => " - BELOW THE FLOOR, answers are withheld",
        }
    ));
    match &report.keeper {
        None => out.line("spool:       busy, gave no answer in time".to_owned()),
        Some(keeper) => render_keeper(keeper, report.loader.is_store, &mut out),
    }
    let loader = &report.loader;
    out.line(format!(
        "target:      {}, {} files ({}) placed since start, up to record {}{}",
        loader.target,
        loader.files,
        text::bytes(loader.bytes),
        loader.position,
        if loader.is_target_away {
            " - TARGET AWAY, files wait in the state directory"
        } else {
            ""
        }
    ));
    if loader.unmergeable > 0 {
        out.line(format!(
            "             {} files of the store cannot be merged: damaged (tidegate-receiver verify \
             names those), or of series that have changed their type",
            loader.unmergeable
        ));
    }
    if loader.lost > 0 {
        out.line(format!(
            "             {} files of the store are gone or damaged: tidegate-receiver gaps names them",
            loader.lost
        ));
    }
    for StoreReport { origin, expected, .. } in &loader.gone {
        out.line(format!(
            "             STORE GONE: {origin}, with records up to {expected}; answers fail until it is \
             back, or given up with tidegate-receiver forget-lost"
        ));
    }
    for StoreReport { origin, expected, found } in &loader.older {
        out.line(format!(
            "             STORE OLDER THAN IT WAS: {origin}, up to record {found}, it had {expected}; what \
             the spool still had was taken in again, tidegate-receiver gaps names the rest"
        ));
    }
    if let Some(error) = &loader.last_error {
        out.line(format!("             last error: {error}"));
    }
    out.0
}

fn render_edge(edge: &EdgeReport, out: &mut Lines) {
    match &edge.listening {
        Some(address) => out.line(format!("listening:   {address}")),
        None => out.line("listening:   no, pipe_air_gap_receiver_enabled=false".to_owned()),
    }
    out.line(format!(
        "connections: {} open, {} accepted, {} refused, {} received, {} slow turns",
        edge.connections.len(),
        edge.connections_accepted,
        edge.connections_refused,
        text::bytes(edge.bytes_received),
        edge.slow_turns
    ));
    for one in &edge.connections {
        let origin = one.origin.as_deref().unwrap_or("(no handshake yet)");
        let stream = one.stream.as_deref().map_or(String::new(), |it| format!(" stream {it}"));
        let withheld = one.withheld.as_deref().map_or(String::new(), |it| format!(" - {it}"));
        let (peer, bytes) = (&one.peer, text::bytes(one.bytes_received));
        out.line(format!("  {peer} {origin}{stream}: {bytes}{withheld}"));
    }
    let replies: Vec<String> =
        edge.replies.iter().map(|(what, count)| format!("{what} {count}")).collect();
    if !replies.is_empty() {
        out.line(format!("replies:     {}", replies.join(", ")));
    }
    if let Some(error) = &edge.last_error {
        out.line(format!("last error:  {error}"));
    }
}

fn render_keeper(keeper: &KeeperReport, is_store: bool, out: &mut Lines) {
    out.line(format!(
        "spool:       {} in {} segments, {} records, {} unproven, {} waiting for room",
        text::bytes(keeper.spool_bytes),
        keeper.spool_segments,
        keeper.durable_sequence,
        keeper.unproven,
        keeper.waiting
    ));
    let name = |name: &str| match (name, is_store) {
        // it stands so on the disk, whatever the target is
        (CONSUMER_DIRECTORY, true) => String::from("store"),
        _ => name.to_owned(),
    };
    let consumers: Vec<String> =
        keeper.consumers.iter().map(|(consumer, at)| format!("{} {at}", name(consumer))).collect();
    out.line(format!("consumers:   {}", consumers.join(", ")));
    let accepted: Vec<String> =
        keeper.accepted.iter().map(|(kind, tally)| format!("{kind} {}", tally.items)).collect();
    if !accepted.is_empty() {
        out.line(format!("accepted:    {}", accepted.join(", ")));
    }
    let kept = if is_store { "taken into the store" } else { "kept for a later consumer" };
    for (is_not_applied, what) in [(false, kept), (true, "kept, not applied")] {
        // files are placed
        let listed: Vec<String> = RecordKind::ALL
            .into_iter()
            .filter(|kind| *kind != RecordKind::File && kind.is_not_applied() == is_not_applied)
            .map(RecordKind::as_str)
            .filter_map(|kind| Some((kind, keeper.accepted.get(kind)?)))
            .map(|(kind, tally)| format!("{kind} {}", tally.items))
            .collect();
        if !listed.is_empty() {
            out.line(format!("             {what}: {}", listed.join(", ")));
        }
    }
    for one in &keeper.not_applied {
        let NotApplied { sequence, kind, origin, time, .. } = one;
        let code = one.request_type.map_or(String::new(), |code| format!(" (type {code})"));
        let dialect = one.dialect.as_deref().map_or(String::new(), |it| format!(", dialect {it}"));
        out.line(format!("               {sequence} {kind}{code}, {origin}{dialect}, {time}"));
    }
    for origin in &keeper.origins {
        let OriginReport { origin, precision, streams } = origin;
        out.line(format!("origin:      {origin}, {precision}, {streams} streams"));
    }
    if keeper.n_gaps > 0 {
        out.line(format!("gaps:        {} - see tidegate-receiver gaps", keeper.n_gaps));
    }
}

/// The gaps for people.
///
/// # Arguments
///
/// - `columns`: no line is longer; `None` is one line for each gap, however long
pub(crate) fn render_gaps(gaps: &[GapReport], columns: Option<u16>) -> String {
    if gaps.is_empty() {
        return String::from("no gaps\n");
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_BORDERS_ONLY);
    match columns {
        None => table.set_header(["origin", "item", "times", "first", "last", "reason"]),
        Some(_) => table.set_header(["origin", "item", "when", "reason"]),
    };
    for GapReport { origin, item, reason, count, first, last, outcome } in gaps {
        let outcome = outcome.as_ref().map(|outcome| format!("{}: ", outcome.to_uppercase()));
        let reason = &format!("{}{reason}", outcome.unwrap_or_default());
        let [origin, item, reason] = [origin, item, reason].map(|it| plain(it));
        match columns {
            None => table.add_row([&origin, &item, &count.to_string(), first, last, &reason]),
            Some(_) if *count <= 1 => table.add_row([&origin, &item, first, &reason]),
            Some(_) => {
                let when = format!("{count} times\n{first}\n{last}");
                table.add_row([&origin, &item, &when, &reason])
            }
        };
    }
    if let Some(columns) = columns {
        table.set_width(columns).set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
        if let Some(when) = table.column_mut(2) {
            // a time that is cut in two is hard to read
            when.set_constraint(comfy_table::ColumnConstraint::ContentWidth);
        }
    }
    format!("{table}\n")
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn line(&mut self, line: String) {
        self.0.push_str(&line);
        self.0.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_cannot_be_merged_are_said_with_what_they_may_have() {
        let mut report = Report::default();
        assert!(!render(&report).contains("merged"));
        report.loader.unmergeable = 3;
        assert!(render(&report).contains("3 files of the store cannot be merged: damaged ("));
        assert!(!render(&report).contains("gone"));
        report.loader.lost = 2;
        assert!(render(&report).contains("2 files of the store are gone or damaged: "));
    }
    #[test]
    fn the_consumer_of_a_store_is_called_so() {
        let consumers = BTreeMap::from([("directory".to_owned(), 7), ("points".to_owned(), 5)]);
        let keeper = KeeperReport { consumers, ..KeeperReport::default() };
        let mut report = Report { keeper: Some(keeper), ..Report::default() };
        assert!(render(&report).contains("consumers:   directory 7, points 5\n"));
        report.loader.is_store = true;
        assert!(render(&report).contains("consumers:   store 7, points 5\n"));
    }

    /// A line of them had 180 columns and more.
    #[test]
    fn gaps_fit_the_columns_that_there_are_and_nothing_of_them_is_lost() {
        let gap = |number: u64| GapReport {
            origin: format!("plant-{number}-5f0c1d5e-9f07-4b1e-8e7a-0d3f6b1c2a4d"),
            item: format!("sequence-root.plant.line{number}-21-0-1700000000000-1-0-0.tsfile"),
            reason: "expected a TsFile, found no magic at its end: refused for good".to_owned(),
            count: number,
            first: "2026-11-27T17:27:43.001Z".to_owned(),
            last: "2026-11-28T17:27:43.002Z".to_owned(),
            outcome: None,
        };
        let gaps: Vec<GapReport> = (1..=3).map(gap).collect();
        for columns in [80, 100] {
            let table = render_gaps(&gaps, Some(columns));
            let longest = table.lines().map(|line| line.chars().count()).max();
            assert!(longest <= Some(columns.into()), "{table}");
            assert!(table.contains(" 2026-11-27T17:27:43.001Z "), "{table}");
            assert_eq!(table.matches("2026-11-28T17:27:43.002Z").count(), 2, "{table}");
            assert!(table.contains("3 times"), "{table}");
            // words are wrapped, not cut
            let letters = |text: &str| text.chars().filter(|it| it.is_ascii_alphanumeric()).count();
            let all: usize = gaps.iter().map(|gap| letters(&gap.item) + letters(&gap.origin)).sum();
            assert!(letters(&table) > all, "{table}");
        }
        let wide = render_gaps(&gaps, None);
        assert!(gaps.iter().all(|gap| wide.lines().any(|line| {
            [&gap.origin, &gap.item, &gap.reason, &gap.last].iter().all(|it| line.contains(*it))
        })));
        assert_eq!(render_gaps(&[], Some(100)), "no gaps\n");
    }

    #[test]
    fn a_gap_says_what_has_become_of_it_in_front_of_the_advice() {
        let gap = Gap { reason: "put it back".to_owned(), ..Gap::default() };
        let times = |outcome| Times { outcome, ..Times::default() };
        let shown = |outcome| render_gaps(&[GapReport::of((&gap, &times(outcome)))], None);
        assert!(shown(None).contains(" put it back "));
        let back = shown(Some((Outcome::Back, 0)));
        assert!(
            back.contains(" THERE AGAIN SINCE 1970-01-01T00:00:00.000Z: put it back "),
            "{back}"
        );
        let given_up = shown(Some((Outcome::GivenUp, 0)));
        assert!(
            given_up.contains(" GIVEN UP 1970-01-01T00:00:00.000Z: put it back "),
            "{given_up}"
        );
    }

    #[test]
    fn a_terminal_obeys_no_gap() {
        let item = "\u{1b}[2J.tsfile".to_owned();
        let table = render_gaps(&[GapReport { item, ..GapReport::default() }], Some(100));
        assert!(table.contains("\\u{1b}[2J.tsfile") && !table.contains('\u{1b}'), "{table}");
    }
}
