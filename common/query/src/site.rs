//! Which series a statement means: the devices that have them, and the types they have.

use core::ops::RangeInclusive;
use std::collections::BTreeMap;

use tidegate_durable::Storage;
use tidegate_model::DataType;
use tidegate_model::path;
use tidegate_sql::Path;
use tidegate_sql::shown_path;
use tidegate_store::Device;
use tidegate_store::DeviceScan;
use tidegate_store::Pattern;
use tidegate_store::Scan;
use tidegate_store::Series;

use crate::JOINED_MAX;
use crate::Query;
use crate::QueryError;
use crate::RESULT_COLUMNS_MAX;
use crate::query::Outcome;

pub(crate) const ALL_TIMES: RangeInclusive<i64> = i64::MIN..=i64::MAX;

/// A series: a place among the sites, and one among the columns of that.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Cell {
    pub(crate) site: usize,
    pub(crate) column: usize,
}

/// A device of one source.
#[derive(Debug)]
pub(crate) struct Site<S: Storage> {
    source: usize,
    device: Device,
    /// As SQL compares it.
    pub(crate) path: String,
    /// Their measurements, too.
    pub(crate) columns: Vec<Series>,
    /// As long as there are few.
    scan: Option<DeviceScan<S>>,
}

/// All devices of a statement, in order.
#[derive(Debug)]
pub(crate) struct Sites<'q, S: Storage> {
    query: &'q Query<'q, S>,
    scan: Scan,
    /// Whose rows are read.
    times: RangeInclusive<i64>,
    /// Whether there are files that may have more series.
    is_unread: bool,
    /// By path.
    pub(crate) list: Vec<Site<S>>,
}

impl<'q, S: Storage> Sites<'q, S> {
    /// Looks up everything that these paths mean.
    ///
    /// # Arguments
    ///
    /// - `times`: whose rows are read; series are there whatever times they have
    pub(crate) fn find(
        query: &'q Query<'q, S>,
        wanted: &[Vec<String>],
        times: RangeInclusive<i64>,
        outcome: &mut Outcome,
    ) -> Result<Self, QueryError> {
        let patterns = wanted.iter().map(|nodes| Pattern::Tree(nodes.join(".").into())).collect();
        let scan = Scan { patterns, measurements: None, times: ALL_TIMES };
        let mut list: Vec<Site<S>> = Vec::new();
        let (mut n_columns, mut is_unread) = (0usize, false);
        for (source, it) in query.sources.iter().enumerate() {
            for device in it.snapshot.devices(&scan.patterns) {
                let Device::Tree { path } = &device else { continue };
                let found = it.snapshot.device_between(&device, &scan, &times)?;
                is_unread |= !found.unread().is_empty();
                outcome.notice_unread(it.name, &found);
                if found.columns().is_empty() {
                    continue;
                }
                let columns = columns_of(path, &found)?;
                let path = path::kept(path).into_owned();
                outcome.notice(&path, &found);
                n_columns = n_columns.saturating_add(columns.len());
                if n_columns > RESULT_COLUMNS_MAX {
                    return Err(QueryError::too_many("series", n_columns, RESULT_COLUMNS_MAX));
                }
                let scan = (n_columns <= JOINED_MAX).then_some(found);
                list.push(Site { source, device, path, columns, scan });
            }
        }
        if n_columns > JOINED_MAX {
            list.iter_mut().for_each(|site| site.scan = None);
        }
        list.sort_by(|one, other| one.path.cmp(&other.path));
        for same in list.chunk_by(|one, other| one.path == other.path) {
            if let [one, other, ..] = same {
                return Err(same_path(query, same, one, other));
            }
        }
        Ok(Self { query, scan, times, is_unread, list })
    }

    /// The series that a path means, in order.
    pub(crate) fn cells(&self, nodes: &[String]) -> Vec<Cell> {
        let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
        let mut found = Vec::new();
        let Some((last, front)) = nodes.split_last() else { return found };
        let is_pattern = nodes.iter().any(|node| node.contains('*') && !node.starts_with('`'));
        if !is_pattern {
            let path = front.join(".");
            let at = self.list.binary_search_by(|site| site.path.cmp(&path)).ok();
            found.extend(at.and_then(|at| self.cell(at, last)));
            return found;
        }
        for (at, site) in self.list.iter().enumerate() {
            let device = path::nodes(&site.path);
            let Some(wanted) = path::measurement_pattern(&nodes, &device) else { continue };
            for (column, series) in site.columns.iter().enumerate() {
                if path::matches(&[wanted], &[&series.measurement]) {
                    found.push(Cell { site: at, column });
                }
            }
        }
        found
    }

    /// Tells of paths of which none means anything.
    pub(crate) fn notice_none<'p>(
        &self,
        paths: impl Iterator<Item = &'p [String]> + Clone,
        outcome: &mut Outcome,
    ) {
        // what cannot be read may have it, and is told of
        if !self.is_unread && paths.clone().all(|nodes| self.cells(nodes).is_empty()) {
            outcome.notice_none(paths);
        }
    }

    /// The series of a device with that name.
    pub(crate) fn cell(&self, site: usize, measurement: &str) -> Option<Cell> {
        let columns = &self.list.get(site)?.columns;
        let column = columns.iter().position(|it| *it.measurement == *measurement)?;
        Some(Cell { site, column })
    }

    /// A series.
    pub(crate) fn series(&self, cell: Cell) -> Option<&Series> {
        self.list.get(cell.site)?.columns.get(cell.column)
    }

    /// The type of a series.
    pub(crate) fn data_type(&self, cell: Cell) -> DataType {
        self.series(cell).map_or(DataType::Text, |series| series.data_type)
    }

    /// The full path of a series, as it can be asked for.
    pub(crate) fn name(&self, cell: Cell) -> String {
        let site = self.list.get(cell.site).map_or("", |site| &site.path);
        let measurement = self.series(cell).map_or("", |series| &series.measurement);
        shown_path(&format!("{site}.{measurement}"))
    }

    /// The path of a device, as it can be asked for.
    pub(crate) fn device_name(&self, site: usize) -> String {
        shown_path(self.list.get(site).map_or("", |site| &site.path))
    }

    /// The nodes of a device.
    pub(crate) fn device_nodes(&self, site: usize) -> Vec<String> {
        let path = self.list.get(site).map_or("", |site| &site.path);
        path::nodes(path).into_iter().map(str::to_owned).collect()
    }

    /// A device, opened anew if there are too many to be kept open.
    pub(crate) fn open(&self, site: usize) -> Result<Option<Opened<'_, S>>, QueryError> {
        let Some(site) = self.list.get(site) else { return Ok(None) };
        if let Some(scan) = &site.scan {
            return Ok(Some(Opened::Kept(scan)));
        }
        let Some(source) = self.query.sources.get(site.source) else { return Ok(None) };
        let scan = source.snapshot.device_between(&site.device, &self.scan, &self.times)?;
        Ok(Some(Opened::Anew(Box::new(scan))))
    }
}

/// A device, ready to be read.
pub(crate) enum Opened<'s, S: Storage> {
    Anew(Box<DeviceScan<S>>),
    Kept(&'s DeviceScan<S>),
}

impl<S: Storage> core::ops::Deref for Opened<'_, S> {
    type Target = DeviceScan<S>;

    fn deref(&self) -> &DeviceScan<S> {
        match self {
            Self::Anew(scan) => scan,
            Self::Kept(scan) => scan,
        }
    }
}

/// The nodes of a path behind another one.
pub(crate) fn joined(prefix: &[String], path: &Path) -> Vec<String> {
    prefix.iter().chain(path.nodes()).cloned().collect()
}

/// The series of a device, with their names as SQL compares them.
fn columns_of<S: Storage>(device: &str, found: &DeviceScan<S>) -> Result<Vec<Series>, QueryError> {
    let mut names = BTreeMap::new();
    let mut columns = found.columns().to_vec();
    for (at, series) in columns.iter_mut().enumerate() {
        let kept = path::kept_node(&series.measurement).into_owned();
        if let Some(before) = names.insert(kept.clone(), at) {
            let name = |at: usize| {
                let own = found.columns().get(at).map_or("", |it| &it.measurement);
                format!("{device}.{own}")
            };
            return Err(QueryError::SameName { one: name(before), other: name(at) });
        }
        series.measurement = kept.into();
    }
    Ok(columns)
}

/// Why devices that have one path cannot be asked.
fn same_path<S: Storage>(
    query: &Query<'_, S>,
    same: &[Site<S>],
    one: &Site<S>,
    other: &Site<S>,
) -> QueryError {
    if one.source == other.source {
        let name = |site: &Site<S>| {
            let measurement = site.columns.first().map_or("", |it| &it.measurement);
            format!("{}.{measurement}", site.device)
        };
        return QueryError::SameName { one: name(one), other: name(other) };
    }
    let name = |site: &Site<S>| Some(query.sources.get(site.source)?.name.to_owned());
    let mut origins: Vec<String> = same.iter().filter_map(name).collect();
    origins.dedup();
    QueryError::Ambiguous { device: shown_path(&one.path), origins }
}
