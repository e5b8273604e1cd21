//! `SELECT` of aggregates, over all times or window by window.
//!
//! Windows are taken in portions, since there may be very many of them. A portion is read once for
//! each series, unless its windows are so few that statistics of chunks make them cheaper.

use core::ops::Range;
use core::ops::RangeInclusive;

use tidegate_durable::Storage;
use tidegate_model::DataType;
use tidegate_sql::Function;
use tidegate_sql::Order;
use tidegate_sql::Select;
use tidegate_sql::TimeRange;
use tidegate_sql::Window;
use tidegate_store::DeviceScan;
use tidegate_tsfile::Batch;
use tidegate_tsfile::BatchColumn;
use tidegate_tsfile::Values;

use crate::Query;
use crate::QueryError;
use crate::accumulate::Accumulator;
use crate::accumulate::times_of;
use crate::accumulate::type_of;
use crate::answer::Column;
use crate::answer::Head;
use crate::answer::Pages;
use crate::by_device::ByDevice;
use crate::query::Outcome;
use crate::rows::nulls;
use crate::rows::push;
use crate::rows::repeated;
use crate::select::Reading;
use crate::select::When;
use crate::select::prefixes;
use crate::select::selected;
use crate::select::sites;
use crate::site::Cell;
use crate::site::Sites;
use crate::windows::Windows;

/// Windows of all series together that are computed at once.
const PORTION_MAX: usize = 64 * 1024;
/// Windows that are computed at once.
const PORTION_WINDOWS_MAX: usize = 4096;
/// Looks at a chunk that may be taken for the windows of a portion, before reading is cheaper.
const LOOKS_MAX: usize = 10_000_000;

/// A function of a series; `None` is a series that a device does not have.
#[derive(Clone, Copy)]
struct Item {
    function: Function,
    cell: Option<Cell>,
    data_type: DataType,
}

/// `ALIGN BY TIME`.
pub(crate) fn by_time<S: Storage>(
    query: &Query<'_, S>,
    select: &Select,
    pages: &mut Pages<'_>,
    outcome: &mut Outcome,
) -> Result<(), QueryError> {
    let (sites, columns) = sites(query, select, outcome)?;
    let (mut items, mut head) = (Vec::new(), Vec::new());
    for it in selected(&sites, columns)? {
        let Some(function) = it.function else { continue };
        let own = sites.data_type(it.cell);
        let data_type = checked_type(function, own, &it.name)?;
        head.push(Column::new(it.name, data_type));
        items.push(Item { function, cell: Some(it.cell), data_type });
    }
    pages.head(&Head { has_time: select.group_by.is_some(), columns: head })?;
    if items.is_empty() {
        return Ok(());
    }
    let when = When::of(select.filter.as_ref());
    let from = prefixes(select);
    let run = Run { query, sites: &sites, items: &items, when: &when, from: &from };
    run.all(select, None, pages)
}

/// `ALIGN BY DEVICE`.
pub(crate) fn by_device<S: Storage>(
    query: &Query<'_, S>,
    select: &Select,
    pages: &mut Pages<'_>,
    outcome: &mut Outcome,
) -> Result<(), QueryError> {
    let found = ByDevice::find(query, select, outcome)?;
    let (mut head, mut functions) = (Vec::new(), Vec::new());
    for column in &found.columns {
        let Some(function) = column.function else { continue };
        let data_type = checked_type(function, column.data_type, &column.name)?;
        head.push(Column::new(column.name.clone(), data_type));
        functions.push((function, data_type));
    }
    found.head(pages, select.group_by.is_some(), head)?;
    found.each(pages, |pages, device| {
        let item = |((function, data_type), cell): (&(Function, DataType), &Option<Cell>)| Item {
            function: *function,
            cell: *cell,
            data_type: *data_type,
        };
        let items: Vec<Item> = functions.iter().zip(device.cells).map(item).collect();
        let (sites, when, from) = (&found.sites, &found.when, &device.from[..]);
        let run = Run { query, sites, items: &items, when, from };
        run.all(select, Some(&device.name), pages)
    })
}

fn checked_type(function: Function, own: DataType, item: &str) -> Result<DataType, QueryError> {
    let wrong = |expected| QueryError::Function { item: item.to_owned(), expected, found: own };
    type_of(function, own).map_err(wrong)
}

/// Aggregates that stand in one row.
struct Run<'r, S: Storage> {
    query: &'r Query<'r, S>,
    sites: &'r Sites<'r, S>,
    items: &'r [Item],
    when: &'r When,
    from: &'r [Vec<String>],
}

impl<S: Storage> Run<'_, S> {
    /// All rows, with `device` in front if it has one.
    fn all(
        &self,
        select: &Select,
        device: Option<&str>,
        pages: &mut Pages<'_>,
    ) -> Result<(), QueryError> {
        let Some(group_by) = select.group_by else {
            let window = Window { range: TimeRange::ALL, label: 0 };
            let rows = self.portion(&[window], device)?;
            return pages.push(&mut { rows }).map(drop);
        };
        let windows = Windows::new(group_by, self.query.precision, self.query.offset);
        let wanted = pages.claim(windows.len);
        let n_cells = self.items.len().max(1);
        let portion = PORTION_MAX.checked_div(n_cells).unwrap_or(1);
        let portion = portion.clamp(1, PORTION_WINDOWS_MAX) as u64;
        let mut at = wanted.start;
        while at < wanted.end {
            let end = at.saturating_add(portion).min(wanted.end);
            let numbers: Range<u64> = match select.order {
                Order::Ascending => at..end,
                Order::Descending => {
                    windows.len.saturating_sub(end)..windows.len.saturating_sub(at)
                }
            };
            let mut rows = self.portion(&windows.list(numbers), device)?;
            if select.order == Order::Descending {
                rows = crate::rows::reversed(&rows);
            }
            pages.push(&mut rows)?;
            at = end;
        }
        Ok(())
    }

    /// A row for each of these windows.
    fn portion(&self, windows: &[Window], device: Option<&str>) -> Result<Batch, QueryError> {
        let mut cells: Vec<Cell> = self.items.iter().filter_map(|item| item.cell).collect();
        cells.sort_unstable();
        cells.dedup();
        let empty =
            |cell: &Cell| vec![Accumulator::new(self.sites.data_type(*cell)); windows.len()];
        let mut found: Vec<Vec<Accumulator>> = cells.iter().map(empty).collect();
        match &self.when.rest {
            Some(_) => self.read_joined(&cells, windows, &mut found)?,
            None => self.read_each(&cells, windows, &mut found)?,
        }
        let times = windows.iter().map(|window| window.label).collect();
        let mut rows = Batch { times, columns: Vec::new() };
        rows.columns.extend(device.map(|device| repeated(device, windows.len())));
        for item in self.items {
            let place = item.cell.and_then(|cell| cells.binary_search(&cell).ok());
            let own = place.and_then(|place| found.get(place));
            let column = own.map(|own| {
                let mut column = BatchColumn::new(item.data_type);
                own.iter().for_each(|it| push(&mut column, it.value(item.function).as_ref()));
                column
            });
            rows.columns.push(column.unwrap_or_else(|| nulls(item.data_type, windows.len())));
        }
        Ok(rows)
    }

    /// Series by series: what is said about the time alone does not join them.
    fn read_each(
        &self,
        cells: &[Cell],
        windows: &[Window],
        found: &mut [Vec<Accumulator>],
    ) -> Result<(), QueryError> {
        let mut found = found.iter_mut();
        for own in cells.chunk_by(|one, other| one.site == other.site) {
            let site = own.first().map_or(usize::MAX, |cell| cell.site);
            let scan = self.sites.open(site)?;
            for (cell, found) in own.iter().zip(found.by_ref()) {
                if let Some(scan) = &scan {
                    self.read_one(scan, cell.column, windows, found)?;
                }
            }
        }
        Ok(())
    }

    fn read_one(
        &self,
        scan: &DeviceScan<S>,
        column: usize,
        windows: &[Window],
        found: &mut [Accumulator],
    ) -> Result<(), QueryError> {
        let n_chunks = scan.n_chunks(column);
        let is_few =
            windows.len() <= n_chunks.max(1) && windows.len().saturating_mul(n_chunks) <= LOOKS_MAX;
        let data_type = scan.columns().get(column).map(|column| column.data_type);
        if is_few && data_type.is_some_and(Accumulator::is_in_statistics) {
            for (window, found) in windows.iter().zip(found) {
                let times = self.within(window.range);
                if times.start() <= times.end() {
                    found.add_aggregate(&scan.aggregate_between(column, &times)?);
                }
            }
            return Ok(());
        }
        let mut rows = scan.rows_between(&[column], &self.within(hull(windows)))?;
        let mut batch = Batch::default();
        while scan.next_into(&mut rows, &mut batch)? {
            if let Some(column) = batch.columns.first() {
                sort_in(&batch.times, column, windows, found);
            }
        }
        Ok(())
    }

    /// All series with those of the condition.
    fn read_joined(
        &self,
        cells: &[Cell],
        windows: &[Window],
        found: &mut [Vec<Accumulator>],
    ) -> Result<(), QueryError> {
        let reading = Reading::new(self.sites, cells, self.when, self.from)?;
        let hull = hull(windows);
        let mut rows = reading.stream(&(hull.first..=hull.last), Order::Ascending)?;
        let mut batch = Batch::default();
        while rows.next_into(&mut batch)? {
            reading.choose(&mut batch);
            for (column, found) in batch.columns.iter().zip(found.iter_mut()) {
                sort_in(&batch.times, column, windows, found);
            }
        }
        Ok(())
    }

    fn within(&self, range: TimeRange) -> RangeInclusive<i64> {
        range.first.max(*self.when.times.start())..=range.last.min(*self.when.times.end())
    }
}

fn hull(windows: &[Window]) -> TimeRange {
    windows.iter().fold(TimeRange::EMPTY, |hull, window| hull.hull(window.range))
}

/// Adds the values of a column to the windows that they are in.
fn sort_in(times: &[i64], column: &BatchColumn, windows: &[Window], found: &mut [Accumulator]) {
    let times = times_of(times, column);
    let (Some(first), Some(last)) = (times.first(), times.last()) else { return };
    // both ends of windows ascend with their numbers
    let start = windows.partition_point(|window| window.range.last < *first);
    let pairs = windows.iter().zip(found).skip(start);
    for (window, found) in pairs.take_while(|(window, _)| window.range.first <= *last) {
        let start = times.partition_point(|time| *time < window.range.first);
        let end = times.partition_point(|time| *time <= window.range.last);
        let Some(times) = times.get(start..end).filter(|times| !times.is_empty()) else {
            continue;
        };
        if start == 0 && end == column.values.len() {
            found.add(times, &column.values);
            continue;
        }
        let mut values = Values::new(column.data_type);
        if values.extend_from(&column.values, start..end) {
            found.add(times, &values);
        }
    }
}
