//! `SELECT LAST`: the newest value of each series.

use core::ops::RangeInclusive;

use tidegate_durable::Storage;
use tidegate_model::DataType;
use tidegate_model::Value;
use tidegate_sql::Function;
use tidegate_sql::Order;
use tidegate_sql::SelectLast;
use tidegate_tsfile::Batch;
use tidegate_tsfile::BatchColumn;

use crate::Query;
use crate::QueryError;
use crate::accumulate::Accumulator;
use crate::answer::Column;
use crate::answer::Head;
use crate::answer::Pages;
use crate::query::Outcome;
use crate::rows::push_text;
use crate::select::Reading;
use crate::select::When;
use crate::site::Cell;
use crate::site::Sites;
use crate::text::Text;

/// The paths of everything that it names.
pub(crate) fn wanted(select: &SelectLast) -> Result<Vec<Vec<String>>, QueryError> {
    let paths = select.paths().map_err(QueryError::TooManyColumns)?;
    Ok(paths.into_iter().map(|path| path.into_nodes()).collect())
}

/// Answers the statement.
pub(crate) fn run<S: Storage>(
    query: &Query<'_, S>,
    select: &SelectLast,
    pages: &mut Pages<'_>,
    outcome: &mut Outcome,
) -> Result<(), QueryError> {
    let wanted = wanted(select)?;
    let when = When::of(select.filter.as_ref());
    let sites = Sites::find(query, &wanted, when.times.clone(), outcome)?;
    for behind in wanted.chunks(select.from.len().max(1)) {
        sites.notice_none(behind.iter().map(Vec::as_slice), outcome);
    }
    let mut cells: Vec<Cell> = wanted.iter().flat_map(|nodes| sites.cells(nodes)).collect();
    cells.sort_unstable();
    cells.dedup();
    let names = ["Timeseries", "Value", "DataType"];
    let columns = names.map(|name| Column::new(name, DataType::Text)).to_vec();
    pages.head(&Head { has_time: true, columns })?;
    // a value of TIMESTAMP is a number here, as IoTDB shows it
    let text = Text { precision: query.precision, offset: None };
    for cell in cells {
        if pages.is_full() {
            break;
        }
        let Some((time, value)) = newest(&sites, cell, &when)? else { continue };
        let data_type = sites.data_type(cell);
        let mut shown = String::new();
        text.write_value(&mut shown, data_type, &value);
        let mut rows = Batch::new([DataType::Text; 3]);
        rows.times.push(time);
        let texts = [sites.name(cell), shown, data_type.as_str().to_owned()];
        for (column, text) in rows.columns.iter_mut().zip(&texts) {
            push_text(column, text);
        }
        pages.push(&mut rows)?;
    }
    Ok(())
}

fn newest<S: Storage>(
    sites: &Sites<'_, S>,
    cell: Cell,
    when: &When,
) -> Result<Option<(i64, Value)>, QueryError> {
    if when.rest.is_none() && Accumulator::is_in_statistics(sites.data_type(cell)) {
        return newest_by_statistics(sites, cell, &when.times);
    }
    let reading = Reading::new(sites, &[cell], when, &[])?;
    let mut rows = reading.stream(&crate::site::ALL_TIMES, Order::Descending)?;
    let mut batch = Batch::default();
    while rows.next_into(&mut batch)? {
        reading.choose(&mut batch);
        let value = batch.columns.first().and_then(|column: &BatchColumn| column.values.get(0));
        if let (Some(time), Some(value)) = (batch.times.first(), value) {
            return Ok(Some((*time, value)));
        }
    }
    Ok(None)
}

fn newest_by_statistics<S: Storage>(
    sites: &Sites<'_, S>,
    cell: Cell,
    times: &RangeInclusive<i64>,
) -> Result<Option<(i64, Value)>, QueryError> {
    let Some(scan) = sites.open(cell.site)? else { return Ok(None) };
    let Some(range) = scan.range(cell.column) else { return Ok(None) };
    let (start, end) = (*range.start().max(times.start()), *range.end().min(times.end()));
    if start > end {
        return Ok(None);
    }
    // mostly it is at the very end: what overlaps before that need not be read
    for times in [end..=end, start..=end] {
        let mut found = Accumulator::new(sites.data_type(cell));
        found.add_aggregate(&scan.aggregate_between(cell.column, &times)?);
        if found.count() > 0 {
            let value = found.value(Function::LastValue);
            return Ok(value.map(|value| (found.end_time(), value)));
        }
    }
    Ok(None)
}
