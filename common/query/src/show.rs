//! `SHOW` and `COUNT`: which series, devices and databases there are.
//!
//! What has been deleted as a whole is not there. Devices of the table model have no place in the
//! tree and are not shown; a notice names their tables.

use tidegate_durable::Storage;
use tidegate_model::DataType;
use tidegate_model::Value;
use tidegate_model::path;
use tidegate_sql::Count;
use tidegate_sql::Path;
use tidegate_sql::Show;
use tidegate_sql::What;
use tidegate_store::Device;
use tidegate_store::DeviceScan;
use tidegate_store::Pattern;
use tidegate_store::Scan;
use tidegate_tsfile::Batch;

use crate::Query;
use crate::QueryError;
use crate::answer::Column;
use crate::answer::Head;
use crate::answer::Pages;
use crate::rows::push;
use crate::rows::push_text;
use crate::site::ALL_TIMES;

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
    let columns = names.iter().map(|name| Column::new(*name, DataType::Text)).collect();
    pages.head(&Head { has_time: false, columns })?;
    let row = |pages: &mut Pages<'_>, texts: &[&str]| {
        let mut rows = Batch::new(texts.iter().map(|_| DataType::Text));
        rows.times.push(0);
        for (column, text) in rows.columns.iter_mut().zip(texts) {
            push_text(column, text);
        }
        pages.push(&mut rows)
    };
    match show.what {
        What::Databases => {
            for database in databases(query, show.pattern.as_ref())? {
                row(pages, &[&database])?;
            }
            Ok(())
        }
        What::Devices => each_device(query, What::Devices, show.pattern.as_ref(), |name, scan| {
            let is_aligned = scan.columns().iter().any(|series| series.is_aligned);
            row(pages, &[name, if is_aligned { "true" } else { "false" }])
        }),
        What::Timeseries => {
            each_device(query, What::Timeseries, show.pattern.as_ref(), |name, scan| {
                for series in scan.columns() {
                    let series_name = format!("{name}.{}", series.measurement);
                    let data_type = series.data_type.as_str();
                    if !row(pages, &[&series_name, &database_of(name), data_type])? {
                        return Ok(false);
                    }
                }
                Ok(true)
            })
        }
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
            each_device(query, count.what, count.pattern.as_ref(), |_, scan| {
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

/// Gives each device that has a series to `take`, until that says `false`.
fn each_device<S: Storage>(
    query: &Query<'_, S>,
    what: What,
    pattern: Option<&Path>,
    mut take: impl FnMut(&str, &DeviceScan<S>) -> Result<bool, QueryError>,
) -> Result<(), QueryError> {
    let nodes = pattern.map(|pattern| pattern.nodes().join("."));
    let all = || Pattern::Tree("root.**".into());
    let patterns = vec![match (what, &nodes) {
        (What::Timeseries, Some(nodes)) => Pattern::Tree(nodes.as_str().into()),
        _ => all(),
    }];
    let scan = Scan { patterns, measurements: None, times: ALL_TIMES };
    for source in query.sources {
        for device in source.snapshot.devices(&scan.patterns) {
            let Device::Tree { path } = &device else { continue };
            let is_meant = match (what, &nodes) {
                (What::Devices, Some(nodes)) => {
                    path::matches(&path::nodes(nodes), &path::nodes(path))
                }
                _ => true,
            };
            if !is_meant {
                continue;
            }
            let found = source.snapshot.device(&device, &scan)?;
            if !found.columns().is_empty() && !take(path, &found)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The databases that have a series, in order.
fn databases<S: Storage>(
    query: &Query<'_, S>,
    pattern: Option<&Path>,
) -> Result<Vec<String>, QueryError> {
    let scan = Scan {
        patterns: vec![Pattern::Tree("root.**".into())],
        measurements: None,
        times: ALL_TIMES,
    };
    let mut found: Vec<String> = Vec::new();
    for source in query.sources {
        for device in source.snapshot.devices(&scan.patterns) {
            let Device::Tree { path } = &device else { continue };
            let database = database_of(path);
            let is_meant = pattern.is_none_or(|pattern| {
                let pattern: Vec<&str> = pattern.nodes().iter().map(String::as_str).collect();
                path::matches(&pattern, &path::nodes(&database))
            });
            let Err(at) = found.binary_search(&database) else { continue };
            if is_meant && !source.snapshot.device(&device, &scan)?.columns().is_empty() {
                found.insert(at, database);
            }
        }
    }
    Ok(found)
}

/// What is taken for the database of a device: its first two nodes, as IoTDB does where it makes one
/// by itself. No sender says which it is.
fn database_of(device: &str) -> String {
    let nodes = path::nodes(device);
    let n_nodes = nodes.len().saturating_sub(1).clamp(1, 2);
    nodes.get(..n_nodes).unwrap_or(&nodes).join(".")
}
