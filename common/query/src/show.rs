//! `SHOW` and `COUNT`: which series, devices and databases there are.
//!
//! What has been deleted as a whole is not there. Devices of the table model have no place in the
//! tree and are not shown; a notice names their tables. Of several origins each line says whose it is.

use std::borrow::Cow;
use std::collections::BTreeSet;

use tidegate_durable::Storage;
use tidegate_model::DataType;
use tidegate_model::Value;
use tidegate_model::path;
use tidegate_sql::Count;
use tidegate_sql::Path;
use tidegate_sql::Show;
use tidegate_sql::What;
use tidegate_sql::shown_path;
use tidegate_store::Device;
use tidegate_store::DeviceScan;
use tidegate_store::Pattern;
use tidegate_store::Scan;
use tidegate_tsfile::Batch;

use crate::Query;
use crate::QueryError;
use crate::Source;
use crate::answer::Column;
use crate::answer::Head;
use crate::answer::Pages;
use crate::rows::push;
use crate::rows::push_text;
use crate::site::ALL_TIMES;

/// Heading of what says whose a line is, where there are several origins.
const ORIGIN: &str = "Origin";
/// Heading of databases, which no sender names.
const ASSUMED: &str = "Database (assumed)";

/// Answers `SHOW`.
pub(crate) fn show<S: Storage>(
    query: &Query<'_, S>,
    show: &Show,
    pages: &mut Pages<'_>,
) -> Result<(), QueryError> {
    let names: &[&str] = match show.what {
        What::Databases => &[ASSUMED],
        What::Devices => &["Device", "IsAligned"],
        What::Timeseries => &["Timeseries", ASSUMED, "DataType"],
    };
    let has_origin = query.sources.len() > 1;
    let names = names.iter().copied().chain(has_origin.then_some(ORIGIN));
    let columns = names.map(|name| Column::new(name, DataType::Text)).collect();
    pages.head(&Head { has_time: false, columns })?;
    let row = |pages: &mut Pages<'_>, texts: &[&str], origin: &str| {
        let texts = || texts.iter().copied().chain(has_origin.then_some(origin));
        let mut rows = Batch::new(texts().map(|_| DataType::Text));
        rows.times.push(0);
        for (column, text) in rows.columns.iter_mut().zip(texts()) {
            push_text(column, text);
        }
        pages.push(&mut rows)
    };
    let pattern = show.pattern.as_ref();
    match show.what {
        What::Databases => {
            for (database, origin) in databases(query, pattern)? {
                row(pages, &[&shown_path(&database)], origin)?;
            }
            Ok(())
        }
        What::Devices => each_device(query, What::Devices, pattern, |name, scan, origin| {
            let is_aligned = scan.columns().iter().any(|series| series.is_aligned);
            let is_aligned = if is_aligned { "true" } else { "false" };
            row(pages, &[&shown_path(name), is_aligned], origin)
        }),
        What::Timeseries => each_device(query, What::Timeseries, pattern, |name, scan, origin| {
            for series in scan.columns() {
                let measurement = path::kept_node(&series.measurement);
                let series_name = shown_path(&format!("{name}.{measurement}"));
                let database = shown_path(&path::assumed_database(name));
                if !row(pages, &[&series_name, &database, series.data_type.as_str()], origin)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }),
    }
}

/// Answers `COUNT`.
pub(crate) fn count<S: Storage>(
    query: &Query<'_, S>,
    count: &Count,
    pages: &mut Pages<'_>,
) -> Result<(), QueryError> {
    let name = format!("count({})", count.what.as_str().to_lowercase());
    let columns = vec![Column::new(name, DataType::Int64)];
    pages.head(&Head { has_time: false, columns })?;
    let mut found = 0usize;
    match count.what {
        What::Databases => found = databases(query, count.pattern.as_ref())?.len(),
        What::Devices | What::Timeseries => {
            each_device(query, count.what, count.pattern.as_ref(), |_, scan, _| {
                let n_series = scan.columns().len();
                found = found.saturating_add(match count.what {
                    What::Timeseries => n_series,
                    _ => 1,
                });
                Ok(true)
            })?;
        }
    }
    let mut rows = Batch::new([DataType::Int64]);
    rows.times.push(0);
    let found = Value::Int64(i64::try_from(found).unwrap_or(i64::MAX));
    rows.columns.iter_mut().for_each(|column| push(column, Some(&found)));
    pages.push(&mut rows).map(drop)
}

/// Gives each device that has a series to `take`, with its path as SQL compares it and its origin, until that says `false`.
fn each_device<S: Storage>(
    query: &Query<'_, S>,
    what: What,
    pattern: Option<&Path>,
    mut take: impl FnMut(&str, &DeviceScan<S>, &str) -> Result<bool, QueryError>,
) -> Result<(), QueryError> {
    let nodes = pattern.map(|pattern| pattern.nodes().join("."));
    let all = || Pattern::Tree("root.**".into());
    let patterns = vec![match (what, &nodes) {
        (What::Timeseries, Some(nodes)) => Pattern::Tree(nodes.as_str().into()),
        _ => all(),
    }];
    let scan = Scan { patterns, measurements: None, times: ALL_TIMES };
    let is_meant = |path: &str| match (what, &nodes) {
        (What::Devices, Some(nodes)) => path::matches(&path::nodes(nodes), &path::nodes(path)),
        _ => true,
    };
    for (device, source) in devices(query, &scan) {
        let kept = path_of(&device);
        if !is_meant(&kept) {
            continue;
        }
        let found = source.snapshot.device(&device, &scan)?;
        if !found.columns().is_empty() && !take(&kept, &found, source.name)? {
            return Ok(());
        }
    }
    Ok(())
}

/// The devices of all origins in order, those of one name beside each other.
fn devices<'q, S: Storage>(query: &Query<'q, S>, scan: &Scan) -> Vec<(Device, &'q Source<'q, S>)> {
    let own = |source: &'q Source<'q, S>| {
        let devices = source.snapshot.devices(&scan.patterns).into_iter();
        devices.map(move |device| (device, source))
    };
    let mut devices: Vec<_> = query.sources.iter().flat_map(own).collect();
    // origins of one device stay in their order
    devices.sort_by(|(one, _), (other, _)| path_of(one).cmp(&path_of(other)));
    devices
}

/// As SQL compares it; devices of tables are not asked for.
fn path_of(device: &Device) -> Cow<'_, str> {
    match device {
        Device::Tree { path } => path::kept(path),
        Device::Table { .. } => Cow::Borrowed(""),
    }
}

/// The databases that have a series, in order, each with the origin that has it.
fn databases<'q, S: Storage>(
    query: &Query<'q, S>,
    pattern: Option<&Path>,
) -> Result<BTreeSet<(String, &'q str)>, QueryError> {
    let scan = Scan {
        patterns: vec![Pattern::Tree("root.**".into())],
        measurements: None,
        times: ALL_TIMES,
    };
    let mut found = BTreeSet::new();
    for (device, source) in devices(query, &scan) {
        let database = (path::assumed_database(&path_of(&device)), source.name);
        let is_meant = pattern.is_none_or(|pattern| {
            let pattern: Vec<&str> = pattern.nodes().iter().map(String::as_str).collect();
            path::matches(&pattern, &path::nodes(&database.0))
        });
        if is_meant
            && !found.contains(&database)
            && !source.snapshot.device(&device, &scan)?.columns().is_empty()
        {
            found.insert(database);
        }
    }
    Ok(found)
}
