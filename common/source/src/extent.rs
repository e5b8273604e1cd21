//! What a file may touch: times by device.

/// Devices and times that an item may touch.
///
/// An extent may claim too much, never too little: whoever asks whether two items overlap may be
/// told so wrongly, and then sends something twice.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums)] // from exact to nothing known
pub enum Extent {
    /// Nothing is known: overlaps everything.
    #[default]
    Unknown,
    /// Any device within these times, both ends included.
    Range {
        /// First time stamp.
        start: i64,
        /// Last time stamp.
        end: i64,
    },
    /// One device.
    Device(DeviceSpan),
    /// By device, sorted by [`DeviceSpan::device`], each device once.
    Devices(Box<[DeviceSpan]>),
}

/// The times of one device in a file.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[allow(clippy::exhaustive_structs)] // three numbers
pub struct DeviceSpan {
    /// [`device_key`] of the device.
    pub device: u64,
    /// First time stamp.
    pub start: i64,
    /// Last time stamp, included.
    pub end: i64,
}

/// A number for a device's dotted path: equal for equal paths. Different paths that share a number
/// pass for one device, which is safe.
pub fn device_key(path: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in path.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash
}

impl Extent {
    /// By device; spans in any order, of a device one or several.
    pub fn of_devices(mut spans: Vec<DeviceSpan>) -> Self {
        spans.sort_unstable();
        spans.dedup_by(|next, kept| {
            let same = next.device == kept.device;
            if same {
                kept.end = kept.end.max(next.end);
            }
            same
        });
        match spans.as_slice() {
            [span] => Self::Device(*span),
            _ => Self::Devices(spans.into()),
        }
    }

    /// Without the devices: less memory, more overlaps.
    pub fn coarse(&self) -> Self {
        match self.bounds() {
            Some((start, end)) => Self::Range { start, end },
            None => self.clone(),
        }
    }

    /// First and last time stamp of all; `None` if nothing is known, or nothing is in it.
    pub fn bounds(&self) -> Option<(i64, i64)> {
        match self {
            Self::Unknown => None,
            Self::Range { start, end } => Some((*start, *end)),
            Self::Device(_) | Self::Devices(_) => {
                let spans = self.spans()?;
                let start = spans.iter().map(|span| span.start).min()?;
                let end = spans.iter().map(|span| span.end).max()?;
                Some((start, end))
            }
        }
    }

    /// The spans by device, where those are known.
    fn spans(&self) -> Option<&[DeviceSpan]> {
        match self {
            Self::Device(span) => Some(std::slice::from_ref(span)),
            Self::Devices(spans) => Some(spans),
            Self::Unknown | Self::Range { .. } => None,
        }
    }

    /// Whether a cell may be in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (few, many) = match (self.spans(), other.spans()) {
            (Some(a), Some(b)) if a.len() <= b.len() => (a, b),
            (Some(a), Some(b)) => (b, a),
            (Some(spans), None) => return other.meets_any(spans),
            (None, Some(spans)) => return self.meets_any(spans),
            (None, None) => {
                return match (self.bounds(), other.bounds()) {
                    (Some((a, b)), Some((c, d))) => a <= d && c <= b,
                    _ => true,
                };
            }
        };
        let mut rest = many;
        few.iter().any(|span| {
            let at = rest.partition_point(|it| it.device < span.device);
            rest = &rest[at..];
            rest.first().is_some_and(|it| {
                it.device == span.device && it.start <= span.end && span.start <= it.end
            })
        })
    }

    /// Whether this, which knows no devices, may have a cell in common with any of these.
    fn meets_any(&self, spans: &[DeviceSpan]) -> bool {
        self.bounds().is_none_or(|(start, end)| {
            spans.iter().any(|span| span.start <= end && start <= span.end)
        })
    }

    /// Bytes of memory behind it.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Devices(spans) => size_of_val::<[DeviceSpan]>(spans),
            Self::Range { .. } | Self::Device(_) | Self::Unknown => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_overlap_where_they_share_a_cell_and_coarser_ones_wherever_finer_ones_do() {
        let mut state = 1u64;
        let mut below = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % n
        };
        for _ in 0..20_000 {
            let mut random = || {
                let spans: Vec<DeviceSpan> = (0..below(4))
                    .map(|_| {
                        let start = below(12) as i64;
                        DeviceSpan { device: below(4), start, end: start + below(4) as i64 }
                    })
                    .collect();
                let mut cells = std::collections::BTreeSet::new();
                for span in &spans {
                    cells.extend((span.start..=span.end).map(|time| (span.device, time)));
                }
                (cells, Extent::of_devices(spans))
            };
            let ((cells_a, a), (cells_b, b)) = (random(), random());
            let shared = cells_a.intersection(&cells_b).next().is_some();
            assert!(a.overlaps(&b) || !shared, "{a:?} {b:?}");
            assert_eq!(a.overlaps(&b), b.overlaps(&a));
            for (finer, coarser) in [(&a, a.coarse()), (&b, b.coarse())] {
                for other in [&a, &b] {
                    assert!(coarser.overlaps(other) || !finer.overlaps(other));
                    assert!(coarser.overlaps(&other.coarse()) || !coarser.overlaps(other));
                }
            }
            assert!(a.overlaps(&Extent::Unknown));
        }
    }
}
