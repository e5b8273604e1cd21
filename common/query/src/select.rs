//! `SELECT` of series: rows joined by time, or device by device.

use core::ops::RangeInclusive;

use tidegate_durable::Storage;
use tidegate_sql::Bounds;
use tidegate_sql::Filter;
use tidegate_sql::Order;
use tidegate_sql::Select;
use tidegate_tsfile::Batch;

use crate::JOINED_MAX;
use crate::Query;
use crate::QueryError;
use crate::answer::Column;
use crate::answer::Head;
use crate::answer::Pages;
use crate::backward::Backward;
use crate::backward::Stream;
use crate::backward::place_of;
use crate::by_device::ByDevice;
use crate::condition;
use crate::condition::Bound;
use crate::join::Plan;
use crate::query::Outcome;
use crate::rows::nulls;
use crate::rows::projected;
use crate::rows::repeated;
use crate::site::Cell;
use crate::site::Sites;

/// A condition as a range of times and what is left of it.
pub(crate) struct When {
    pub(crate) times: RangeInclusive<i64>,
    pub(crate) rest: Option<Filter>,
}

impl When {
    pub(crate) fn of(filter: Option<&Filter>) -> Self {
        let (range, rest) = match filter {
            Some(filter) => filter.split(),
            None => (tidegate_sql::TimeRange::ALL, None),
        };
        Self { times: range.first..=range.last, rest }
    }
}

/// The paths of everything that a selection names, and its columns.
pub(crate) fn wanted(
    select: &Select,
) -> Result<(Vec<Vec<String>>, Vec<tidegate_sql::Column>), QueryError> {
    let columns = select.columns().map_err(QueryError::TooManyColumns)?;
    let mut wanted: Vec<Vec<String>> =
        columns.iter().map(|column| column.path.nodes().to_vec()).collect();
    wanted.extend(condition::paths(select.filter.as_ref(), &select.from));
    wanted.sort_unstable();
    wanted.dedup();
    Ok((wanted, columns))
}

/// Everything that a selection names.
pub(crate) fn sites<'q, S: Storage>(
    query: &'q Query<'q, S>,
    select: &Select,
    outcome: &mut Outcome,
) -> Result<(Sites<'q, S>, Vec<tidegate_sql::Column>), QueryError> {
    let (wanted, columns) = wanted(select)?;
    let mut times = When::of(select.filter.as_ref()).times;
    if let Some(windows) = select.group_by {
        // the one end that is no time of a window may be the first of the next file
        let (first, last) = match windows.bounds {
            Bounds::StartIncluded => (windows.start, windows.end.saturating_sub(1)),
            Bounds::EndIncluded => (windows.start.saturating_add(1), windows.end),
        };
        times = first.max(*times.start())..=last.min(*times.end());
    }
    let sites = Sites::find(query, &wanted, times, outcome)?;
    // item by item behind each path of FROM
    for behind in columns.chunks(select.from.len().max(1)) {
        sites.notice_none(behind.iter().map(|column| column.path.nodes()), outcome);
    }
    for path in select.filter.as_ref().map_or(&[][..], Filter::series) {
        let behind = condition::behind(path, &select.from);
        sites.notice_none(behind.iter().map(Vec::as_slice), outcome);
    }
    Ok((sites, columns))
}

/// The paths of FROM.
pub(crate) fn prefixes(select: &Select) -> Vec<Vec<String>> {
    select.from.iter().map(|path| path.nodes().to_vec()).collect()
}

/// One column of the answer, of one series.
pub(crate) struct Selected {
    pub(crate) cell: Cell,
    pub(crate) function: Option<tidegate_sql::Function>,
    pub(crate) name: String,
}

/// The columns of a selection that is aligned by time.
pub(crate) fn selected<S: Storage>(
    sites: &Sites<'_, S>,
    columns: Vec<tidegate_sql::Column>,
) -> Result<Vec<Selected>, QueryError> {
    let mut found = Vec::new();
    for column in columns {
        let cells = sites.cells(column.path.nodes());
        if let Some(alias) = column.alias.as_ref().filter(|_| cells.len() > 1) {
            return Err(QueryError::Alias { alias: alias.clone(), n_series: cells.len() });
        }
        for cell in cells {
            let name = match (&column.alias, column.function) {
                (Some(alias), _) => alias.clone(),
                (None, None) => sites.name(cell),
                (None, Some(function)) => {
                    format!("{}({})", function.as_str().to_lowercase(), sites.name(cell))
                }
            };
            found.push(Selected { cell, function: column.function, name });
        }
        if found.len() > crate::RESULT_COLUMNS_MAX {
            return Err(QueryError::too_many(
                "columns of the result",
                found.len(),
                crate::RESULT_COLUMNS_MAX,
            ));
        }
    }
    Ok(found)
}

/// Rows of the series that `chosen` are places of, and of those of the condition.
pub(crate) struct Reading<'s, S: Storage> {
    plan: Plan<'s, S>,
    when: &'s When,
    bound: Option<Bound<'s>>,
    /// For each column that is asked for its place in the join.
    chosen: Vec<usize>,
}

impl<'s, S: Storage> Reading<'s, S> {
    pub(crate) fn new(
        sites: &'s Sites<'_, S>,
        chosen: &[Cell],
        when: &'s When,
        from: &[Vec<String>],
    ) -> Result<Self, QueryError> {
        let mut cells = Vec::new();
        let mut place = |cell: &Cell| {
            let place = place_of(&mut cells, *cell);
            match place < JOINED_MAX {
                true => Ok(place),
                false => Err(QueryError::too_many(
                    "series joined by time",
                    place.saturating_add(1),
                    JOINED_MAX,
                )),
            }
        };
        let chosen = chosen.iter().map(&mut place).collect::<Result<_, _>>()?;
        let mut bound = None;
        if let Some(filter) = &when.rest {
            let mut places = Vec::new();
            for cells in condition::cells(filter, sites, from)? {
                places.push(cells.iter().map(&mut place).collect::<Result<_, _>>()?);
            }
            bound = Some(Bound::new(filter, places));
        }
        let plan = Plan::new(sites, &cells)?;
        Ok(Self { plan, when, bound, chosen })
    }

    /// The rows within some times as well.
    pub(crate) fn stream(
        &self,
        within: &RangeInclusive<i64>,
        order: Order,
    ) -> Result<Stream<'_, 's, S>, QueryError> {
        let start = *self.when.times.start().max(within.start());
        let end = *self.when.times.end().min(within.end());
        Ok(match order {
            Order::Ascending => Stream::Forward(self.plan.rows(&(start..=end))?),
            Order::Descending => Stream::Backward(Backward::new(&self.plan, &(start..=end))),
        })
    }

    /// The rows that are meant, with the columns that are asked for; maybe none.
    ///
    /// As in IoTDB a row is there if a series of the items or of the condition has a value at its
    /// time. So all that was asked for may be null in it.
    pub(crate) fn choose(&self, batch: &mut Batch) {
        let mut rows = core::mem::take(batch);
        if let Some(bound) = &self.bound {
            let mask = bound.mask(&rows);
            rows.retain_rows(&mask);
        }
        *batch = projected(rows, &self.chosen);
    }
}

/// `ALIGN BY TIME`.
pub(crate) fn by_time<S: Storage>(
    query: &Query<'_, S>,
    select: &Select,
    pages: &mut Pages<'_>,
    outcome: &mut Outcome,
) -> Result<(), QueryError> {
    let (sites, columns) = sites(query, select, outcome)?;
    let selected = selected(&sites, columns)?;
    let when = When::of(select.filter.as_ref());
    let cells: Vec<Cell> = selected.iter().map(|it| it.cell).collect();
    let reading = Reading::new(&sites, &cells, &when, &prefixes(select))?;
    let column = |it: &Selected| Column::new(it.name.clone(), sites.data_type(it.cell));
    pages.head(&Head { has_time: true, columns: selected.iter().map(column).collect() })?;
    if cells.is_empty() {
        return Ok(());
    }
    let mut rows = reading.stream(&crate::site::ALL_TIMES, select.order)?;
    let mut batch = Batch::default();
    while !pages.is_full() && rows.next_into(&mut batch)? {
        reading.choose(&mut batch);
        pages.push(&mut batch)?;
    }
    Ok(())
}

/// `ALIGN BY DEVICE`.
pub(crate) fn by_device<S: Storage>(
    query: &Query<'_, S>,
    select: &Select,
    pages: &mut Pages<'_>,
    outcome: &mut Outcome,
) -> Result<(), QueryError> {
    let found = ByDevice::find(query, select, outcome)?;
    let columns = found.columns.iter().map(|it| Column::new(it.name.clone(), it.data_type));
    found.head(pages, true, columns.collect())?;
    found.each(pages, |pages, device| {
        let present: Vec<Cell> = device.cells.iter().flatten().copied().collect();
        let reading = Reading::new(&found.sites, &present, &found.when, &device.from)?;
        let mut rows = reading.stream(&crate::site::ALL_TIMES, select.order)?;
        let mut batch = Batch::default();
        while !pages.is_full() && rows.next_into(&mut batch)? {
            reading.choose(&mut batch);
            let n_rows = batch.len();
            let mut own = core::mem::take(&mut batch.columns).into_iter();
            batch.columns.push(repeated(&device.name, n_rows));
            for (cell, column) in device.cells.iter().zip(&found.columns) {
                let there = cell.and_then(|_| own.next());
                batch.columns.push(there.unwrap_or_else(|| nulls(column.data_type, n_rows)));
            }
            pages.push(&mut batch)?;
        }
        Ok(())
    })
}
