//! `ALIGN BY DEVICE`: which devices there are, and which series of each stand in which column.

use std::collections::BTreeMap;

use tidegate_durable::Storage;
use tidegate_model::DataType;
use tidegate_sql::Function;
use tidegate_sql::Select;

use crate::Query;
use crate::QueryError;
use crate::answer::Column;
use crate::answer::Head;
use crate::answer::Pages;
use crate::query::Outcome;
use crate::select::When;
use crate::select::sites;
use crate::site::Cell;
use crate::site::Sites;

/// What a selection that is aligned by device has of each.
pub(crate) struct ByDevice<'q, S: Storage> {
    pub(crate) sites: Sites<'q, S>,
    pub(crate) when: When,
    /// The columns behind that of the device.
    pub(crate) columns: Vec<DeviceColumn>,
    devices: Vec<(usize, Vec<Option<Cell>>)>,
}

/// One column of an answer that is aligned by device.
pub(crate) struct DeviceColumn {
    pub(crate) name: String,
    measurement: String,
    pub(crate) function: Option<Function>,
    pub(crate) data_type: DataType,
}

/// One device of such an answer.
pub(crate) struct OneDevice<'d> {
    pub(crate) name: String,
    /// What stands before the series of a condition.
    pub(crate) from: [Vec<String>; 1],
    /// Its series for the columns, where it has them.
    pub(crate) cells: &'d [Option<Cell>],
}

impl<'q, S: Storage> ByDevice<'q, S> {
    pub(crate) fn find(
        query: &'q Query<'q, S>,
        select: &Select,
        outcome: &mut Outcome,
    ) -> Result<Self, QueryError> {
        let (sites, columns) = sites(query, select, outcome)?;
        let (columns, devices) = split(&sites, select, &columns)?;
        Ok(Self { sites, when: When::of(select.filter.as_ref()), columns, devices })
    }

    /// Begins the answer with these columns behind that of the device.
    pub(crate) fn head(
        &self,
        pages: &mut Pages<'_>,
        has_time: bool,
        columns: Vec<Column>,
    ) -> Result<(), QueryError> {
        let device = Column::new("Device", DataType::Text);
        let columns = core::iter::once(device).chain(columns).collect();
        pages.head(&Head { has_time, columns })
    }

    /// Gives each device to `take`, as long as rows are wanted.
    pub(crate) fn each(
        &self,
        pages: &mut Pages<'_>,
        mut take: impl FnMut(&mut Pages<'_>, &OneDevice<'_>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        for (site, cells) in &self.devices {
            if pages.is_full() {
                break;
            }
            let (name, from) = (self.sites.device_name(*site), [self.sites.device_nodes(*site)]);
            take(pages, &OneDevice { name, from, cells })?;
        }
        Ok(())
    }
}

/// The columns of the answer, and the sites, each with its series for these columns.
type Split = (Vec<DeviceColumn>, Vec<(usize, Vec<Option<Cell>>)>);

/// Sorts the series of a selection by their devices.
fn split<S: Storage>(
    sites: &Sites<'_, S>,
    select: &Select,
    columns: &[tidegate_sql::Column],
) -> Result<Split, QueryError> {
    // item by item: the measurements that it means anywhere, with their types
    let mut found = Vec::new();
    let mut devices: BTreeMap<usize, Vec<Cell>> = BTreeMap::new();
    let n_from = select.from.len().max(1);
    for own in columns.chunks(n_from) {
        let Some(first) = own.first() else { continue };
        let n_prefix = select.from.first().map_or(0, |path| path.nodes().len());
        if let [_, _, ..] = first.path.nodes().get(n_prefix..).unwrap_or_default() {
            let path = first.path.nodes().get(n_prefix..).unwrap_or_default().join(".");
            return Err(QueryError::AlignedPath { path });
        }
        let mut measurements: BTreeMap<&str, DataType> = BTreeMap::new();
        for cell in own.iter().flat_map(|column| sites.cells(column.path.nodes())) {
            let Some(series) = sites.series(cell) else { continue };
            devices.entry(cell.site).or_default().push(cell);
            let known = measurements.entry(&series.measurement).or_insert(series.data_type);
            if *known != series.data_type {
                let measurement = series.measurement.to_string();
                let (one, other) = (*known, series.data_type);
                return Err(QueryError::AlignedTypes { measurement, one, other });
            }
        }
        if let Some(alias) = first.alias.as_ref().filter(|_| measurements.len() > 1) {
            let n_series = measurements.len();
            return Err(QueryError::Alias { alias: alias.clone(), n_series });
        }
        for (measurement, data_type) in measurements {
            let name = match (&first.alias, first.function) {
                (Some(alias), _) => alias.clone(),
                (None, None) => measurement.to_owned(),
                (None, Some(function)) => {
                    format!("{}({measurement})", function.as_str().to_lowercase())
                }
            };
            let (measurement, function) = (measurement.to_owned(), first.function);
            found.push(DeviceColumn { name, measurement, function, data_type });
        }
    }
    let cells = |(site, meant): (usize, Vec<Cell>)| {
        let cell = |column: &DeviceColumn| {
            sites.cell(site, &column.measurement).filter(|cell| meant.contains(cell))
        };
        (site, found.iter().map(cell).collect())
    };
    let devices = devices.into_iter().map(cells).collect();
    Ok((found, devices))
}
