//! Which devices a file has, and when: what is held of every file of a store, whatever their number.
//!
//! Files of one store have mostly the same devices. Their names are therefore held once for all files, and
//! a device of a file takes 24 bytes.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;

use tidegate_tsfile::TimeRange;

use crate::Device;

/// Devices with their first and last time, in the order of their names.
#[derive(Debug, Default)]
pub(crate) struct Extents {
    sorted: Box<[(Arc<Device>, TimeRange)]>,
}

impl Extents {
    pub(crate) fn get(&self, device: &Device) -> Option<TimeRange> {
        let at = self.sorted.binary_search_by(|(own, _)| (**own).cmp(device)).ok()?;
        self.sorted.get(at).map(|(_, range)| *range)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Device, TimeRange)> {
        self.sorted.iter().map(|(device, range)| (&**device, *range))
    }

    pub(crate) fn devices(&self) -> impl Iterator<Item = &Device> {
        self.sorted.iter().map(|(device, _)| &**device)
    }

    pub(crate) fn len(&self) -> usize {
        self.sorted.len()
    }

    /// First and last time of all; `None` without devices.
    pub(crate) fn range(&self) -> Option<TimeRange> {
        self.sorted.iter().map(|(_, range)| *range).reduce(TimeRange::union)
    }
}

impl From<BTreeMap<Device, TimeRange>> for Extents {
    fn from(extents: BTreeMap<Device, TimeRange>) -> Self {
        let sorted = extents.into_iter().map(|(device, range)| (Arc::new(device), range));
        Self { sorted: sorted.collect() }
    }
}

/// The names of all devices of a store's files.
#[derive(Debug, Default)]
pub(crate) struct Names {
    known: HashSet<Arc<Device>>,
    /// At how many names those are looked for that no file has any more.
    full: usize,
}

impl Names {
    /// Has the devices of one more file share their names with those of the others.
    pub(crate) fn share(&mut self, extents: &mut Extents) {
        for (device, _) in &mut extents.sorted {
            match self.known.get(&**device) {
                Some(known) => *device = Arc::clone(known),
                None => drop(self.known.insert(Arc::clone(device))),
            }
        }
        if self.known.len() > self.full {
            self.known.retain(|device| Arc::strong_count(device) > 1);
            self.full = self.known.len().saturating_mul(2).max(FULL_MIN);
        }
    }
}

/// So few names are not worth a look.
const FULL_MIN: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn extents(devices: &[&str]) -> Extents {
        let range = TimeRange { start: 1, end: 2 };
        let all = devices.iter().map(|path| (Device::tree(path), range));
        Extents::from(all.collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn names_are_held_once_and_not_longer_than_files_have_them() {
        let mut names = Names::default();
        let [mut one, mut other] = [extents(&["root.a", "root.b"]), extents(&["root.b", "root.c"])];
        names.share(&mut one);
        names.share(&mut other);
        assert!(Arc::ptr_eq(&one.sorted[1].0, &other.sorted[0].0));
        assert_eq!(names.known.len(), 3);
        drop(one);
        let paths: Vec<String> = (0..FULL_MIN).map(|at| format!("root.d{at:04}")).collect();
        let mut many = extents(&paths.iter().map(String::as_str).collect::<Vec<_>>());
        names.share(&mut many);
        assert_eq!(names.known.len(), FULL_MIN + 2);
        assert!(!names.known.contains(&Device::tree("root.a")));
        assert!(paths.iter().all(|path| many.get(&Device::tree(path)).is_some()));
        assert_eq!(many.get(&Device::tree("root.c")), None);
    }
}
