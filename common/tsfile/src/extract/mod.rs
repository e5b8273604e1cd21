//! What of a file is wanted: all of it, nothing, or some points, and those as tablets or as a file.

use tidegate_model::DataType;

use crate::Device;
use crate::ReadAt;
use crate::ReadError;
use crate::SeriesKind;
use crate::SeriesMetadata;
use crate::TsFile;
use share::Share;
use share::Wanted;

mod careful;
pub(crate) mod excerpt;
pub(crate) mod open;
pub(crate) mod share;
pub(crate) mod tablets;
pub(crate) mod unread;

/// The wanted series of one device.
#[derive(Debug)]
struct WantedSeries {
    /// The time column of an aligned device.
    time: Option<SeriesMetadata>,
    series: Vec<SeriesMetadata>,
    /// How many were left out since the peer does not know their types.
    n_unknown: u32,
}

impl WantedSeries {
    /// Those of a device that may have wanted points; `None` if none of it is wanted.
    fn of<R: ReadAt>(
        file: &TsFile<R>,
        device: &Device,
        wanted: &Wanted,
        is_table: bool,
        knows: fn(DataType) -> bool,
    ) -> Result<Option<Self>, ReadError> {
        let of_device = wanted.covers(device.id(), is_table);
        if of_device == Share::Nothing {
            return Ok(None);
        }
        let (start, end) = wanted.times.clone().into_inner();
        let mut found = Self { time: None, series: Vec::new(), n_unknown: 0 };
        for series in file.series(device)? {
            let series = series?;
            if series.kind == SeriesKind::Time {
                found.time = Some(series);
                continue;
            }
            let overlaps = series.statistics.count > 0 && series.statistics.overlaps(start, end);
            if !overlaps || !wanted.takes(device.id(), of_device, &series) {
                continue;
            }
            match series.data_type.is_some_and(knows) {
                true => found.series.push(series),
                false => found.n_unknown = found.n_unknown.saturating_add(1),
            }
        }
        Ok(Some(found))
    }

    /// Whether a row of the device may have one of these times. One of a table may have nothing but
    /// its tags.
    fn has_rows(&self, wanted: &Wanted) -> bool {
        let (start, end) = wanted.times.clone().into_inner();
        self.time.as_ref().is_some_and(|time| time.statistics.overlaps(start, end))
    }
}
