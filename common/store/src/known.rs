//! Which series a device has, and of which types, layer by layer.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_model::DataType;
use tidegate_tsfile::Cuts;
use tidegate_tsfile::SeriesMetadata;

use crate::Series;

/// Of each measurement the type and form of its newest layer.
#[derive(Debug, Default)]
pub(crate) struct Known {
    by_name: BTreeMap<Box<str>, (usize, DataType, bool)>,
}

impl Known {
    /// Takes in what the layer of that rank has, but for what deletions have taken as a whole.
    pub(crate) fn take(
        &mut self,
        rank: usize,
        is_aligned: bool,
        series: &[Arc<SeriesMetadata>],
        cuts: &Cuts,
    ) {
        for (at, series) in series.iter().enumerate() {
            if let Some(data_type) = series.data_type
                && !is_all_cut(cuts, at, series)
            {
                self.put(&series.measurement, rank, data_type, is_aligned);
            }
        }
    }

    pub(crate) fn put(&mut self, name: &str, rank: usize, data_type: DataType, is_aligned: bool) {
        match self.by_name.get_mut(name) {
            Some(known) if known.0 > rank => (),
            Some(known) => *known = (rank, data_type, is_aligned),
            None => {
                self.by_name.insert(name.into(), (rank, data_type, is_aligned));
            }
        }
    }

    /// Whether a layer of this rank or a newer one has a series of that name, however it is spelled.
    pub(crate) fn has_since(&self, name: &str, rank: usize) -> bool {
        let has = |name: &str| self.by_name.get(name).is_some_and(|(own, ..)| *own >= rank);
        has(name) || has(&format!("`{name}`"))
    }

    pub(crate) fn into_columns(self) -> Vec<Series> {
        let column = |(measurement, (_, data_type, is_aligned))| Series {
            measurement,
            data_type,
            is_aligned,
        };
        self.by_name.into_iter().map(column).collect()
    }
}

/// Whether deletions have taken every point of a series.
pub(crate) fn is_all_cut(cuts: &Cuts, at: usize, series: &SeriesMetadata) -> bool {
    let (start, end) = (series.statistics.start_time, series.statistics.end_time);
    let own = cuts.columns.get(at).map_or(&[][..], Vec::as_slice);
    cuts.rows.iter().chain(own).any(|cut| {
        cut.before_offset == u64::MAX && *cut.times.start() <= start && *cut.times.end() >= end
    })
}
