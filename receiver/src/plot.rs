//! `tidegate-receiver plot`: one series as a picture in the terminal.

use core::ops::RangeInclusive;

use tidegate_durable::DirStorage;
use tidegate_model::DataType;
use tidegate_model::path::kept_node;
use tidegate_query::Plot;
use tidegate_query::QueryError;
use tidegate_query::text::Text;
use tidegate_sql::shown_path;
use tidegate_sql::time::UtcOffset;
use tidegate_store::DeviceScan;
use tidegate_store::Pattern;
use tidegate_store::Scan;
use tidegate_tsfile::Batch;
use tidegate_tsfile::Values;

use crate::data::Place;
use crate::data::Stores;
use crate::data::Tried;
use crate::data::View;
use crate::data::context;

/// Where a terminal does not say how large it is.
const SIZE: (u16, u16) = (24, 80);
/// The picture takes no more rows than this.
const HEIGHT_MAX: u16 = 20;
/// Values, axes and the prompt take so much of the terminal.
const MARGIN_COLUMNS: u16 = 16;
const MARGIN_ROWS: u16 = 5;

/// Draws a series.
///
/// # Arguments
///
/// - `times`: first and last time as people write them
pub(crate) fn draw(
    place: &Place,
    series: &str,
    times: (Option<&str>, Option<&str>),
    offset: UtcOffset,
) -> Result<String, String> {
    place.with_stores(|stores| draw_of(stores, series, times, offset))
}

fn draw_of(
    stores: &Stores,
    series: &str,
    wanted: (Option<&str>, Option<&str>),
    offset: UtcOffset,
) -> Result<String, Tried<String>> {
    let any = context(stores.all().precision, offset);
    let path = crate::export::pattern("the series", series, &any)?;
    if path.is_pattern() {
        return Err(format!("{series}: expected one series, found a pattern").into());
    }
    let stores = stores.of(&[Pattern::Tree(path.nodes().join(".").into())])?;
    let precision = stores.precision;
    let times = crate::export::times(&context(precision, offset), wanted)?;
    let text = Text { precision, offset: Some(offset) };
    let shown = |time: i64| {
        let mut shown = String::new();
        text.write_time(&mut shown, time);
        shown
    };
    let pattern = path.nodes().join(".");
    let meant = span(wanted, times.clone(), &shown);
    let Some((device, opened)) = find(&stores, series, &pattern, times.clone())? else {
        let Some((device, opened)) = find(&stores, series, &pattern, i64::MIN..=i64::MAX)? else {
            let message = "expected a series of the store, found none: SHOW TIMESERIES lists all";
            return Err(format!("{series}: {message}").into());
        };
        let range = opened.range(0).unwrap_or(0..=0);
        let (first, last) = (shown(*range.start()), shown(*range.end()));
        let name = name(&device, &opened);
        let message =
            format!("{name}: no points {meant}: those that there are go from {first} to {last}");
        return Err(message.into());
    };
    let name = name(&device, &opened);
    let data_type = opened.columns().first().map_or(DataType::Text, |column| column.data_type);
    if !is_drawable(data_type) {
        return Err(format!("{name}: expected numbers or BOOLEAN, found {data_type}").into());
    }
    let range = opened.range(0).unwrap_or(0..=0);
    let range: RangeInclusive<i64> =
        (*range.start()).max(*times.start())..=(*range.end()).min(*times.end());
    let (rows, columns) = console::Term::stdout().size_checked().unwrap_or(SIZE);
    let width = columns.saturating_sub(MARGIN_COLUMNS);
    let height = rows.saturating_sub(MARGIN_ROWS).min(HEIGHT_MAX);
    let mut plot = Plot::new(&range, width.into(), height.into());
    let mut rows = opened.rows_between(&[0], &range)?;
    let mut batch = Batch::default();
    while opened.next_into(&mut rows, &mut batch)? {
        if let Some(column) = batch.columns.first() {
            add(&mut plot, &batch.times, &column.values);
        }
    }
    let points = |n_points: u64| match n_points {
        1 => String::from("1 point"),
        n_points => format!("{n_points} points"),
    };
    let left_out = match plot.n_not_finite() {
        0 => String::new(),
        n_points => format!(", and {n_points} that are NaN or infinite"),
    };
    match (plot.n_points(), plot.n_not_finite()) {
        (0, 0) => Err(format!("{name}: no points {meant}").into()),
        (0, found) => {
            let found = points(found);
            Err(format!("{name}: {found} {meant}, none of them finite: nothing to draw").into())
        }
        (n_points, _) => {
            let head = format!("{name} ({data_type}, {}{left_out})", points(n_points));
            Ok(format!("{head}\n{}", plot.render(&shown)))
        }
    }
}

/// The times that were asked for, in a sentence.
fn span(
    (start, end): (Option<&str>, Option<&str>),
    times: RangeInclusive<i64>,
    shown: &dyn Fn(i64) -> String,
) -> String {
    let (first, last) = (shown(*times.start()), shown(*times.end()));
    match (start, end) {
        (None, None) => String::from("at any time"),
        (Some(_), None) => format!("from {first} on"),
        (None, Some(_)) => format!("up to {last}"),
        (Some(_), Some(_)) => format!("from {first} to {last}"),
    }
}

/// A device, with the one series of it that is meant.
type Found = (String, DeviceScan<DirStorage>);

/// The series, if it has points in these times; one origin has it at most.
fn find(
    stores: &View<'_>,
    series: &str,
    pattern: &str,
    times: RangeInclusive<i64>,
) -> Result<Option<Found>, Tried<String>> {
    let scan = Scan { patterns: vec![Pattern::Tree(pattern.into())], measurements: None, times };
    let (mut found, mut origins) = (Vec::new(), Vec::new());
    for (origin, look) in &stores.looks {
        for device in look.snapshot.devices(&scan.patterns) {
            let opened = look.snapshot.device(&device, &scan)?;
            if !opened.columns().is_empty() {
                found.push((device.to_string(), opened));
                origins.push(origin.clone());
            }
        }
    }
    let n_series: usize = found.iter().map(|(_, opened)| opened.columns().len()).sum();
    origins.dedup();
    match found.pop() {
        Some(_) if origins.len() > 1 => {
            Err(QueryError::Ambiguous { device: series.to_owned(), origins }.into())
        }
        // of several spellings that SQL does not tell apart
        Some(_) if n_series > 1 => {
            Err(format!("{series}: expected one series, found {n_series} of that name").into())
        }
        found => Ok(found),
    }
}

fn name(device: &str, opened: &DeviceScan<DirStorage>) -> String {
    let measurement = opened.columns().first().map_or("", |column| &column.measurement);
    shown_path(&format!("{device}.{}", kept_node(measurement)))
}

fn is_drawable(data_type: DataType) -> bool {
    use DataType as T;
    matches!(data_type, T::Boolean | T::Int32 | T::Int64 | T::Float | T::Double)
}

fn add(plot: &mut Plot, times: &[i64], values: &Values) {
    fn each<T: Copy>(plot: &mut Plot, times: &[i64], values: &[T], of: impl Fn(T) -> f64) {
        times.iter().zip(values).for_each(|(time, value)| plot.add(*time, of(*value)));
    }
    match values {
        Values::Boolean(values) => each(plot, times, values, |it| f64::from(u8::from(it))),
        Values::Int32(values) => each(plot, times, values, f64::from),
        Values::Int64(values) => each(plot, times, values, |it| it as f64),
        Values::Float(values) => each(plot, times, values, f64::from),
        Values::Double(values) => each(plot, times, values, |it| it),
        Values::Bytes(_) => (),
    }
}
