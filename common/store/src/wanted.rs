//! Which series of a device are wanted, and the way to them in a file: all of them one after another, or
//! a few by name.

use std::sync::Arc;

use tidegate_durable::Storage;
use tidegate_model::path;
use tidegate_tsfile::SeriesKind;
use tidegate_tsfile::SeriesMetadata;

use crate::Device;
use crate::Pattern;
use crate::Scan;
use crate::StoreError;
use crate::file::LayerFile;
use crate::file::LayerTsFile;

/// The series of a device that a scan wants.
pub(crate) struct Wanted<'s> {
    scan: &'s Scan,
    device: &'s Device,
    /// Of the device of the tree model, as IoTDB keeps them.
    nodes: &'s [&'s str],
    /// What files may call those that are wanted, if a few are wanted by name.
    names: Option<Vec<String>>,
}

/// More than so many names are no few: a walk over all series is as good.
const NAMES_MAX: usize = 16;

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

    /// What a layer has of them.
    pub(crate) fn find<S: Storage>(
        &self,
        layer: &LayerFile<S>,
    ) -> Result<Vec<Found<S>>, StoreError> {
        let file = layer.file()?;
        let unread = |source| layer.unread(source);
        let mut all = Vec::new();
        for device in layer.find(&file, self.device)? {
            let (mut time, mut found) = (None, Vec::new());
            let mut take = |series: Arc<SeriesMetadata>| match series.kind {
                SeriesKind::Time => time = Some(series),
                _ if series.statistics.count > 0 && self.is(&series.measurement) => {
                    found.push(series);
                }
                _ => (),
            };
            match &self.names {
                Some(names) => {
                    for name in [""].into_iter().chain(names.iter().map(String::as_str)) {
                        if name.is_empty() || file.may_contain(device.id(), name) {
                            file.find_series(&device, name).map_err(unread)?.map(&mut take);
                        }
                    }
                }
                None => {
                    for series in file.series(&device).map_err(unread)? {
                        take(Arc::new(series.map_err(unread)?));
                    }
                }
            }
            all.push((Arc::clone(&file), time, found));
        }
        Ok(all)
    }
}

/// The names that measurements may have if all patterns for this device say one.
fn names(scan: &Scan, nodes: &[&str]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for pattern in &scan.patterns {
        let Pattern::Tree(pattern) = pattern else { return None };
        let own = path::nodes(pattern);
        let Some(wanted) = path::measurement_pattern(&own, nodes) else { continue };
        if !path::is_plain_text(wanted) {
            return None;
        }
        // Some writers leave backticks where they are not needed.
        names.extend([wanted.to_owned(), format!("`{wanted}`")]);
    }
    names.sort_unstable();
    names.dedup();
    (names.len() <= 2 * NAMES_MAX).then_some(names)
}
