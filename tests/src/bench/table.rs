//! How a figure is shown: beside what was measured in the same run, with the goal.

use std::time::Duration;

use comfy_table::CellAlignment;
use comfy_table::Table;

/// One line of the table.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// What was measured.
    pub(super) what: String,
    /// Our figure.
    pub(super) ours: String,
    /// What stands beside it: a bound or a peer.
    pub(super) beside: String,
    /// How they compare.
    pub(super) ratio: Option<f64>,
    /// What was aimed at.
    pub(super) goal: Goal,
    /// How the figure came about.
    pub(super) note: String,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Goal {
    /// For information.
    #[default]
    None,
    /// The ratio is at least this.
    RatioMin(f64),
    /// The value, as shown, is at most this many of its unit.
    AtMost { value: f64, limit: f64, unit: &'static str },
}

impl Goal {
    fn shown(self) -> String {
        match self {
            Self::None => String::new(),
            Self::RatioMin(limit) => format!(">= {limit}"),
            Self::AtMost { limit, unit, .. } => format!("<= {limit} {unit}"),
        }
    }

    fn is_met(self, ratio: Option<f64>) -> &'static str {
        let met = match self {
            Self::None => return "",
            Self::RatioMin(limit) => ratio.is_some_and(|ratio| ratio >= limit),
            Self::AtMost { value, limit, .. } => value <= limit,
        };
        if met { "yes" } else { "no" }
    }
}

/// The table of some rows.
pub(super) fn render(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.set_header(["measure", "ours", "beside it", "ratio", "goal", "met", "how"]);
    for row in rows {
        let ratio = row.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        let (goal, met) = (row.goal.shown(), row.goal.is_met(row.ratio));
        table.add_row([&row.what, &row.ours, &row.beside, &ratio, &goal, met, &row.note]);
    }
    for column in [1, 3, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The middle one; zero of none.
pub(super) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Bytes in a time.
pub(super) fn rate(n_bytes: u64, time: Duration) -> f64 {
    n_bytes as f64 / 1e6 / time.as_secs_f64().max(1e-9)
}

/// A rate as text.
pub(super) fn megabytes(rate: f64) -> String {
    match rate < 10.0 {
        true => format!("{rate:.3} MB/s"),
        false => format!("{rate:.0} MB/s"),
    }
}

/// A time as text.
pub(super) fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// Seconds of CPU as text.
pub(super) fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// Bytes of memory as text.
pub(super) fn mebibytes(n_bytes: u64) -> String {
    format!("{:.1} MiB", n_bytes as f64 / f64::from(1 << 20))
}
