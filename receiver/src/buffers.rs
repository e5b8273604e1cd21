//! Read buffers that travel from the socket to the disk without being copied.
//!
//! A [`Chunk`] is shared by the writer and the hasher; when the last of them lets go, its buffer
//! returns to the pool and the connection is told that it may read on. Memory is therefore bounded
//! by what the edge charges, never by how slow a disk is.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

/// Length of a pooled buffer: what one read may bring and one write takes.
pub(crate) const BUFFER_BYTES: usize = 1 << 20;

/// What a chunk takes beside its bytes, on its way through the threads: pieces of one byte must not
/// fill memory unseen.
const CHUNK_OVERHEAD_BYTES: usize = 512;

/// Buffers kept for reuse; more are given back to the system.
const FREE_BUFFERS_MAX: usize = 8;

/// Buffers that are not in use.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    free: Mutex<Vec<Vec<u8>>>,
}

impl Pool {
    /// A buffer of [`BUFFER_BYTES`], with whatever was in it before.
    pub(crate) fn take(&self) -> Vec<u8> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(|| vec![0; BUFFER_BYTES])
    }

    /// Gives a buffer back.
    pub(crate) fn put(&self, buffer: Vec<u8>) {
        if buffer.len() != BUFFER_BYTES {
            return;
        }
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < FREE_BUFFERS_MAX {
            free.push(buffer);
        }
    }
}

/// Told how many bytes of which connection are no longer in memory.
pub(crate) type Released = Arc<dyn Fn(u64, usize) + Send + Sync>;

/// Bytes that count for a connection until this is dropped, also if the connection is over by then.
pub(crate) struct Charge {
    bytes: usize,
    connection: u64,
    released: Released,
}

impl Charge {
    /// The caller counts `bytes`, and gives them back when it is told of them.
    pub(crate) fn new(bytes: usize, connection: u64, released: &Released) -> Self {
        Self { bytes, connection, released: Arc::clone(released) }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        (self.released)(self.connection, self.bytes);
    }
}

/// Received bytes on their way to a file.
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    pool: Arc<Pool>,
    charge: Charge,
}

impl Chunk {
    /// Shares `bytes`, which count as in flight for `connection` until the last user lets go.
    pub(crate) fn new(
        bytes: Vec<u8>,
        pool: &Arc<Pool>,
        connection: u64,
        released: &Released,
    ) -> Arc<Self> {
        let charge_bytes = bytes.len().saturating_add(CHUNK_OVERHEAD_BYTES);
        let charge = Charge::new(charge_bytes, connection, released);
        Arc::new(Self { bytes, pool: Arc::clone(pool), charge })
    }

    /// What the connection is charged.
    pub(crate) fn charge_bytes(&self) -> usize {
        self.charge.bytes
    }

    /// A range of the bytes; empty if it lies outside.
    pub(crate) fn get(&self, part: &Part) -> &[u8] {
        self.bytes.get(part.start..part.end).unwrap_or_default()
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.pool.put(core::mem::take(&mut self.bytes));
    }
}

/// Which bytes of a chunk belong where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// The file, by its number within the connection.
    pub(crate) file: u64,
    /// Where in the file.
    pub(crate) at_bytes: u64,
    /// First byte in the chunk.
    pub(crate) start: usize,
    /// Behind the last byte in the chunk.
    pub(crate) end: usize,
}

impl Part {
    /// Adds a part to the others of its buffer. One that goes on where the last ends, in the file
    /// and in the buffer, makes that longer: a peer that sends single bytes must not fill memory
    /// with what is said about each.
    pub(crate) fn add_to(self, parts: &mut Vec<Self>) {
        if let Some(last) = parts.last_mut() {
            let length = u64::try_from(last.end.saturating_sub(last.start)).unwrap_or(u64::MAX);
            let goes_on = last.file == self.file
                && last.end == self.start
                && last.at_bytes.saturating_add(length) == self.at_bytes;
            if goes_on {
                last.end = self.end;
                return;
            }
        }
        parts.push(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each read once made a part of its own: 24 bytes of memory and more for one byte of a file.
    #[test]
    fn bytes_that_trickle_in_make_one_part() {
        let mut parts = Vec::new();
        let byte = |file, at_bytes, start| Part { file, at_bytes, start, end: start + 1 };
        (0..100_000).for_each(|n| byte(1, 7 + n as u64, 50 + n).add_to(&mut parts));
        // another file, a gap in the buffer (the head of a piece), a gap in the file
        byte(2, 100_007, 100_050).add_to(&mut parts);
        byte(2, 100_008, 100_060).add_to(&mut parts);
        byte(2, 0, 100_061).add_to(&mut parts);
        let places: Vec<_> =
            parts.iter().map(|it| (it.file, it.at_bytes, it.start, it.end)).collect();
        let expected = [
            (1, 7, 50, 100_050),
            (2, 100_007, 100_050, 100_051),
            (2, 100_008, 100_060, 100_061),
            (2, 0, 100_061, 100_062),
        ];
        assert_eq!(places, expected);
    }
}
