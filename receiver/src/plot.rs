//! `tidegate-receiver plot`: one series as a picture in the terminal.

use core::ops::RangeInclusive;

use tidegate_model::DataType;
use tidegate_model::path::kept_node;
use tidegate_query::Plot;
use tidegate_query::QueryError;
use tidegate_query::text::Text;
use tidegate_sql::shown_path;
use tidegate_sql::time::UtcOffset;
use tidegate_store::Pattern;
use tidegate_store::Scan;
use tidegate_tsfile::Batch;
use tidegate_tsfile::Values;

use crate::data::Place;
use crate::data::Stores;
use crate::data::Tried;

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
    times: (Option<&str>, Option<&str>),
    offset: UtcOffset,
) -> Result<String, Tried<String>> {
    let precision = stores.precision()?;
    let context = stores.context(offset);
    let times = crate::export::times(&context, times)?;
    let path = crate::export::pattern("the series", series, &context)?;
    let patterns = vec![Pattern::Tree(path.nodes().join(".").into())];
    let scan = Scan { patterns, measurements: None, times };
    let mut found = Vec::new();
    for (origin, look) in stores.looks() {
        for device in look.snapshot.devices(&scan.patterns) {
            let scan = look.snapshot.device(&device, &scan)?;
            if !scan.columns().is_empty() {
                found.push((origin.clone(), device.to_string(), scan));
            }
        }
    }
    let mut origins: Vec<String> = found.iter().map(|(origin, ..)| origin.clone()).collect();
    origins.dedup();
    let is_one_device =
        found.windows(2).all(|pair| matches!(pair, [(_, one, _), (_, other, _)] if one == other));
    if origins.len() > 1 && is_one_device {
        return Err(QueryError::Ambiguous { device: series.to_owned(), origins }.into());
    }
    let n_series: usize = found.iter().map(|(.., scan)| scan.columns().len()).sum();
    let (_, device, opened) = match found.as_slice() {
        [only] if n_series == 1 => only,
        _ => return Err(format!("{series}: expected one series, found {n_series}").into()),
    };
    let column = opened.columns().first().ok_or_else(|| format!("{series}: no series"))?;
    if !is_drawable(column.data_type) {
        let found = column.data_type;
        return Err(format!("{series}: expected numbers or BOOLEAN, found {found}").into());
    }
    let range = opened.range(0).unwrap_or(0..=0);
    let range: RangeInclusive<i64> =
        (*range.start()).max(*scan.times.start())..=(*range.end()).min(*scan.times.end());
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
    let text = Text { precision, offset: Some(offset) };
    let picture = plot.render(&|time| {
        let mut shown = String::new();
        text.write_time(&mut shown, time);
        shown
    });
    let name = shown_path(&format!("{device}.{}", kept_node(&column.measurement)));
    let data_type = column.data_type;
    Ok(format!("{name} ({data_type}, {} points)\n{picture}", plot.n_points()))
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
