//! Which series of a device are wanted, and the way to them in a file: all of them one after another, or
//! a few by name.

use std::sync::Arc;

use tidegate_durable::Storage;
use tidegate_model::path;
use tidegate_tsfile::Device as FileDevice;
use tidegate_tsfile::ReadAt;
use tidegate_tsfile::ReadError;
use tidegate_tsfile::SeriesKind;
use tidegate_tsfile::SeriesMetadata;
use tidegate_tsfile::TsFile;

use crate::Device;
use crate::Pattern;
use crate::Scan;
use crate::StoreError;
use crate::file::LayerFile;
use crate::file::LayerTsFile;
use crate::known::Known;

/// The series of a device that a scan wants.
pub(crate) struct Wanted<'s> {
    scan: &'s Scan,
    device: &'s Device,
    /// Of the device of the tree model, as IoTDB keeps them.
    nodes: &'s [&'s str],
    /// Their names, if a few are wanted by name.
    names: Option<Vec<String>>,
}

/// More than so many names are no few: a walk over all series is as good.
const NAMES_MAX: usize = 16;

/// How long the texts of a statistic are at most that are held.
const HELD_TEXTS_BYTES: usize = 4096;

/// The file, the time column if the device is aligned, and the wanted series with points.
pub(crate) type Found<S> =
    (Arc<LayerTsFile<S>>, Option<Arc<SeriesMetadata>>, Vec<Arc<SeriesMetadata>>);

impl<'s> Wanted<'s> {
    pub(crate) fn new(scan: &'s Scan, device: &'s Device, nodes: &'s [&'s str]) -> Self {
        let names = names(scan, nodes);
        Self { scan, device, nodes, names }
    }

    pub(crate) fn is(&self, measurement: &str) -> bool {
        let named = self.scan.measurements.as_ref();
        named.is_none_or(|names| names.iter().any(|name| **name == *measurement))
            && self.scan.patterns.iter().any(|it| it.means(self.device, self.nodes, measurement))
    }

    /// Whether a few are wanted by name, and layers of that rank or newer ones have all of them.
    pub(crate) fn are_all_newer(&self, rank: usize, known: &Known) -> bool {
        let names = self.names.as_ref();
        names.is_some_and(|names| names.iter().all(|name| known.has_since(name, rank)))
    }

    /// What a layer has of them.
    pub(crate) fn find<S: Storage>(
        &self,
        layer: &LayerFile<S>,
    ) -> Result<Vec<Found<S>>, StoreError> {
        let file = layer.file()?;
        let devices = layer.find(&file, self.device)?;
        if devices.len() < layer.n_expected(self.device) {
            // its rows would be missing, and nobody would know
            let found = format!("no {} where its index should have it", self.device);
            return Err(StoreError::Lost { file: layer.layer.path(), found });
        }
        let find = |device| {
            let by_name = self.names.as_ref().map(|names| self.by_name(&file, device, names));
            match by_name.transpose()?.flatten() {
                Some(found) => Ok(found),
                None => self.walk(&file, device),
            }
        };
        let found = devices.iter().map(|device| {
            let (time, series) = find(device).map_err(|source| layer.unread(source))?;
            Ok((Arc::clone(&file), time, series))
        });
        found.collect()
    }

    /// Those that a few look-ups find; `None` if one finds nothing. Then it is not there, or the index is
    /// damaged, which shall hide nothing that a walk would meet.
    fn by_name<R: ReadAt>(
        &self,
        file: &TsFile<R>,
        device: &FileDevice,
        names: &[String],
    ) -> Result<Option<OfDevice>, ReadError> {
        let mut found = OfDevice::default();
        for name in names {
            // Some writers leave backticks where they are not needed.
            let mut is_there = false;
            for name in [name, &*format!("`{name}`")] {
                if let Some(series) = file.find_series(device, name)? {
                    is_there = true;
                    self.take(series, &mut found);
                }
            }
            if !is_there {
                return Ok(None);
            }
        }
        if let Some(time) = file.find_series(device, "")? {
            self.take(time, &mut found);
        }
        Ok(Some(found))
    }

    fn walk<R: ReadAt>(
        &self,
        file: &TsFile<R>,
        device: &FileDevice,
    ) -> Result<OfDevice, ReadError> {
        let mut found = OfDevice::default();
        for series in file.series(device)? {
            self.take(Arc::new(series?), &mut found);
        }
        Ok(found)
    }

    fn take(&self, series: Arc<SeriesMetadata>, (time, found): &mut OfDevice) {
        // all files of a device are held as long as its rows are read
        let series = series.with_texts_up_to(HELD_TEXTS_BYTES).map_or(series, Arc::new);
        match series.kind {
            SeriesKind::Time => *time = Some(series),
            _ if series.statistics.count > 0 && self.is(&series.measurement) => found.push(series),
            _ => (),
        }
    }
}

/// The time column if the device is aligned, and the wanted series with points.
type OfDevice = (Option<Arc<SeriesMetadata>>, Vec<Arc<SeriesMetadata>>);

/// The measurements, without backticks, if all patterns for this device name one.
fn names(scan: &Scan, nodes: &[&str]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for pattern in &scan.patterns {
        let Pattern::Tree(pattern) = pattern else { return None };
        let own = path::nodes(pattern);
        let Some(wanted) = path::measurement_pattern(&own, nodes) else { continue };
        if !path::is_plain_text(wanted) {
            return None;
        }
        names.push(wanted.to_owned());
    }
    names.sort_unstable();
    names.dedup();
    (names.len() <= NAMES_MAX).then_some(names)
}
