//! What a `.resource` says of its TsFile, read once and within bounds.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use tidegate_daemon::files::open_regular;
use tidegate_source::DeviceSpan;
use tidegate_source::Extent;
use tidegate_source::FileFacts;
use tidegate_source::device_key;
use tidegate_tsfile::DeviceExtent;
use tidegate_tsfile::Progress;
use tidegate_tsfile::RESOURCE_BYTES_MAX;
use tidegate_tsfile::Resource;

/// More devices than this in one file, and only the times of all of them are kept.
pub(super) const DEVICES_MAX: usize = 4096;
/// Memory that the extents of all files may take: a million devices, each in one file.
///
/// Beyond it new files are known by their times alone. That is sound, since such an extent claims
/// too much and never too little, and it is enough: extents that have been given away are held by
/// others and could not be taken back. Partitions are listed newest first, so at a start the oldest
/// ones go without.
pub(super) const EXTENTS_BYTES_MAX: usize = 24 << 20;

thread_local! {
    /// Files that this thread has opened through [`open`]: none, where nothing changed.
    static N_OPENED: Cell<u64> = const { Cell::new(0) };
}

/// So many files has this thread opened.
pub(super) fn n_opened() -> u64 {
    N_OPENED.get()
}

/// Opens a file of the source to be read.
pub(super) fn open(path: &Path) -> io::Result<File> {
    N_OPENED.set(N_OPENED.get() + 1);
    open_regular(path)
}

/// How the reading of a `.resource` ended.
#[derive(Debug)]
pub(super) enum ResourceRead {
    /// There is no such file (any more).
    Gone,
    /// It says this.
    Said(Box<Resource>),
    /// It says nothing that could be trusted, for this reason.
    Unreadable(String),
}

/// Reads a `.resource`.
///
/// # Errors
/// Permission is denied: that may be mended, and then it must be read.
pub(super) fn read_resource(path: &Path) -> io::Result<ResourceRead> {
    match open(path) {
        Ok(file) => Ok(read_opened_resource(&file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ResourceRead::Gone),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(io::Error::new(error.kind(), format!("{}: {error}", path.display())))
        }
        Err(error) => Ok(ResourceRead::Unreadable(error.to_string())),
    }
}

/// The same, of one that is open.
pub(super) fn read_opened_resource(file: &File) -> ResourceRead {
    let mut bytes = Vec::new();
    // One more, to see that there is more.
    match file.take(RESOURCE_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes) {
        Err(error) => ResourceRead::Unreadable(error.to_string()),
        Ok(n_bytes) if n_bytes as u64 > RESOURCE_BYTES_MAX => ResourceRead::Unreadable(format!(
            "expected at most {RESOURCE_BYTES_MAX} bytes, but found more"
        )),
        Ok(_) => match Resource::parse(&bytes) {
            Ok(resource) => ResourceRead::Said(Box::new(resource)),
            Err(error) => ResourceRead::Unreadable(error.to_string()),
        },
    }
}

/// What others need to know of a `.resource`, and what is wrong with it.
///
/// # Arguments
///
/// - `keeps_devices`: whether the devices are needed by name
/// - `extent_bytes_left`: memory that the extent may take
pub(super) fn facts_of(
    resource: Resource,
    keeps_devices: bool,
    extent_bytes_left: usize,
) -> (FileFacts, Option<String>) {
    let extent = extent_of(&resource, extent_bytes_left);
    let progress = resource.progress.evidence().cloned().map(Into::into);
    let problem = match &resource.progress {
        Progress::Unreadable(error) => Some(error.to_string()),
        Progress::Known(_) | Progress::Absent => None,
    };
    let devices: Option<Arc<[DeviceExtent]>> = keeps_devices.then(|| resource.devices.into());
    (FileFacts { extent, progress, devices }, problem)
}

fn extent_of(resource: &Resource, extent_bytes_left: usize) -> Extent {
    // A sealed file has rows; one that names no device does not say of which.
    let Some(all) = resource.range() else { return Extent::Unknown };
    let n_devices = resource.devices.len();
    let takes_bytes = n_devices.saturating_mul(size_of::<DeviceSpan>());
    if n_devices > DEVICES_MAX || takes_bytes > extent_bytes_left {
        return Extent::Range { start: all.start, end: all.end };
    }
    let spans = resource.devices.iter().map(|it| {
        let range = it.range.widened();
        DeviceSpan { device: device_key(&it.device.path), start: range.start, end: range.end }
    });
    Extent::of_devices(spans.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::tests::resource;

    fn extent(n_devices: usize, extent_bytes_left: usize) -> Extent {
        let names: Vec<String> = (0..n_devices).map(|at| format!("root.d{at}")).collect();
        let devices: Vec<_> = names.iter().map(|name| (name.as_str(), 5, 9)).collect();
        let resource = Resource::parse(&resource(&devices)).expect("a resource");
        facts_of(resource, false, extent_bytes_left).0.extent
    }

    #[test]
    fn extents_are_by_device_as_long_as_their_number_and_the_memory_allow() {
        let span_bytes = size_of::<DeviceSpan>();
        for (n_devices, bytes_left, by_device) in [
            (1, EXTENTS_BYTES_MAX, true),
            (DEVICES_MAX - 1, EXTENTS_BYTES_MAX, true),
            (DEVICES_MAX, EXTENTS_BYTES_MAX, true),
            (DEVICES_MAX + 1, EXTENTS_BYTES_MAX, false),
            (10, 10 * span_bytes + 1, true),
            (10, 10 * span_bytes, true),
            (10, 10 * span_bytes - 1, false),
            (1, 0, false),
        ] {
            let extent = extent(n_devices, bytes_left);
            assert_eq!(extent.bounds(), Some((5, 9)));
            assert_eq!(
                !matches!(extent, Extent::Range { .. }),
                by_device,
                "{n_devices} {bytes_left}"
            );
        }
    }

    #[test]
    fn what_a_resource_claims_too_little_of_is_taken_for_more() {
        let of = |devices: &[(&str, i64, i64)]| {
            let resource = Resource::parse(&resource(devices)).expect("a resource");
            facts_of(resource, false, EXTENTS_BYTES_MAX).0.extent
        };
        assert_eq!(of(&[]), Extent::Unknown);
        assert_eq!(of(&[("root.d", 5, i64::MIN)]).bounds(), Some((5, i64::MAX)));
        assert_eq!(of(&[("root.d", 9, 5)]).bounds(), Some((i64::MIN, i64::MAX)));
    }
}
