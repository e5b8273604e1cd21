//! What look-ups have found out about a file, for those that come after them.
//!
//! A look-up goes from the root of the index down to a page. Most of what it meets on its way, the next
//! one meets again, decoded already.

use core::mem::size_of;
use core::ops::Range;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use super::chunk::Places;
use super::index::Child;
use super::index::ChunkMetadata;
use super::index::Node;
use super::index::SeriesMetadata;
use crate::DeviceId;

/// How many bytes [`Recent`] holds at most.
const BYTES_MAX: usize = 512 * 1024;
/// What an entry takes besides what it holds.
const ENTRY_BYTES: usize = 128;
/// What a segment of a device takes besides its letters.
const SEGMENT_BYTES: usize = 32;

/// What was met last, by the bytes that it is in the file; a chunk by none, where it begins. Of what nobody
/// has asked for since, the oldest goes first.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    entries: HashMap<Range<u64>, Entry>,
    /// The keys, the one that is looked at first when room is needed first.
    order: VecDeque<Range<u64>>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    found: Found,
    size_bytes: usize,
    /// Whether it was asked for since it was looked at last.
    is_used: bool,
}

/// Something that stands at one place of a file.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// A node whose keys are devices.
    Devices(Arc<Node<DeviceId>>),
    /// A node whose keys are measurements.
    Measurements(Arc<Node<Box<str>>>),
    /// A block of metadata of series.
    Block(Block),
    /// A chunk's header and where its pages are.
    Chunk(Arc<Places>),
}

/// A block of metadata of series as it is in the file.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) bytes: Arc<Vec<u8>>,
    /// Whether its device is, by which it says of some series what kind they are.
    pub(crate) is_aligned: bool,
    /// Those of its series that were asked for.
    pub(crate) known: Vec<Arc<SeriesMetadata>>,
}

impl Found {
    fn size_bytes(&self) -> usize {
        let sum = |sizes: &mut dyn Iterator<Item = usize>| sizes.fold(0, usize::saturating_add);
        let held_bytes = match self {
            Self::Devices(node) => sum(&mut node.children.iter().map(|child| {
                // the path, and segments that are as long together
                let name_bytes = child.key.path.len().saturating_mul(2);
                let n_segments = child.key.segments.as_ref().map_or(0, |it| it.0.len());
                let segments_bytes = n_segments.saturating_mul(SEGMENT_BYTES);
                let own_bytes = size_of::<Child<DeviceId>>().saturating_add(segments_bytes);
                name_bytes.saturating_add(own_bytes)
            })),
            Self::Measurements(node) => sum(&mut node
                .children
                .iter()
                .map(|child| child.key.len().saturating_add(size_of::<Child<Box<str>>>()))),
            Self::Block(Block { bytes, known, .. }) => {
                let sizes = known.iter().map(|series| {
                    let chunks = series.chunks.len().saturating_mul(size_of::<ChunkMetadata>());
                    chunks.saturating_add(size_of::<SeriesMetadata>())
                });
                // texts of statistics are no longer than what they were decoded from
                sum(&mut sizes.chain([bytes.len().saturating_mul(2)]))
            }
            Self::Chunk(places) => places.size_bytes(),
        };
        held_bytes.saturating_add(ENTRY_BYTES)
    }
}

impl Recent {
    pub(crate) fn get<T>(
        &self,
        place: Range<u64>,
        take: impl FnOnce(&Found) -> Option<T>,
    ) -> Option<T> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = held.entries.get_mut(&place)?;
        entry.is_used = true;
        take(&entry.found)
    }

    /// Keeps what was found at `place`, in place of what is held of it.
    pub(crate) fn put(&self, place: Range<u64>, found: Found) {
        let size_bytes = found.size_bytes();
        if size_bytes > BYTES_MAX / 2 {
            return;
        }
        let held = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = Entry { found, size_bytes, is_used: false };
        match held.entries.insert(place.clone(), entry) {
            Some(before) => held.bytes = held.bytes.saturating_sub(before.size_bytes),
            None => held.order.push_back(place),
        }
        held.bytes = held.bytes.saturating_add(size_bytes);
        while held.bytes > BYTES_MAX
            && let Some(oldest) = held.order.pop_front()
        {
            let Some(entry) = held.entries.get_mut(&oldest) else { continue };
            if core::mem::take(&mut entry.is_used) {
                held.order.push_back(oldest);
                continue;
            }
            held.bytes = held.bytes.saturating_sub(entry.size_bytes);
            held.entries.remove(&oldest);
        }
    }
}
