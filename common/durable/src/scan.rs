//! Walks the frames of one file, and finds the next intact one behind damage.

use std::io;

use crate::StorageFile;
use crate::frame::FILE_HEADER_BYTES;
use crate::frame::FRAME_HEADER_BYTES;
use crate::frame::FRAME_MAGIC;
use crate::frame::FrameHeader;

/// Read from the file in pieces of this size, larger only for a larger frame.
const WINDOW_BYTES: usize = 64 * 1024;

/// One step of a [`Scanner`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scanned {
    /// Bytes that belong to no intact frame; an intact frame or the end follows.
    Bad { from_bytes: u64, to_bytes: u64 },
    /// Nothing more.
    End,
    /// An intact frame; [`Scanner::body`] has its body until the next step.
    Frame { offset_bytes: u64, header: FrameHeader },
}

/// Walks frames in ascending order of their numbers.
#[derive(Debug)]
pub(crate) struct Scanner<'f, F> {
    window: Window<'f, F>,
    salt: u32,
    offset_bytes: u64,
    /// No frame with a lower number is believed.
    seq_min: u64,
}

impl<'f, F: StorageFile> Scanner<'f, F> {
    /// Starts at `offset_bytes`, where a frame numbered `seq_min` or higher is due.
    pub(crate) fn new(file: &'f F, salt: u32, offset_bytes: u64, seq_min: u64) -> io::Result<Self> {
        assert!(offset_bytes >= FILE_HEADER_BYTES, "no frame stands inside the file header");
        let len_bytes = file.len_bytes()?;
        let window = Window { file, len_bytes, start_bytes: 0, buffer: Vec::new() };
        Ok(Self { window, salt, offset_bytes, seq_min })
    }

    /// The next intact frame, or what stands in its place.
    pub(crate) fn next(&mut self) -> io::Result<Scanned> {
        let at = self.offset_bytes;
        match self.frame_at(at)? {
            Check::Whole(header) => {
                self.offset_bytes = at + header.frame_bytes();
                self.seq_min = header.seq.saturating_add(1);
                Ok(Scanned::Frame { offset_bytes: at, header })
            }
            Check::Broken { resume_bytes } => {
                // A search always goes forward, also where the file has been cut before it.
                self.offset_bytes = self.find_frame(resume_bytes)?.max(at + 1);
                Ok(Scanned::Bad { from_bytes: at, to_bytes: self.offset_bytes })
            }
            Check::End => Ok(Scanned::End),
        }
    }

    /// Skips intact headers below `seq` without reading their bodies; stops at anything else.
    pub(crate) fn skip_below(&mut self, seq: u64) -> io::Result<()> {
        while let Some(header) = self.header_at(self.offset_bytes)? {
            let end = self.offset_bytes + header.frame_bytes();
            if header.seq >= seq || header.seq < self.seq_min || end > self.window.len_bytes {
                break;
            }
            self.offset_bytes = end;
            self.seq_min = header.seq + 1;
        }
        Ok(())
    }

    /// The body of the frame that [`Scanner::next`] has just returned.
    pub(crate) fn body(&self, offset_bytes: u64, header: &FrameHeader) -> &[u8] {
        let start = (offset_bytes - self.window.start_bytes) as usize + FRAME_HEADER_BYTES;
        &self.window.buffer[start..start + header.body_bytes]
    }

    /// Where the next step starts.
    pub(crate) fn offset_bytes(&self) -> u64 {
        self.offset_bytes
    }

    /// The length that the file had when the scan began; if it was cut meanwhile less, but no less
    /// than the scan has been through.
    pub(crate) fn len_bytes(&self) -> u64 {
        self.window.len_bytes.max(self.offset_bytes)
    }

    fn header_at(&mut self, at: u64) -> io::Result<Option<FrameHeader>> {
        let salt = self.salt;
        let bytes = self.window.slice(at, FRAME_HEADER_BYTES)?;
        Ok(bytes.and_then(|bytes| FrameHeader::decode(bytes, salt)))
    }

    fn frame_at(&mut self, at: u64) -> io::Result<Check> {
        let found = match at < self.window.len_bytes {
            true => self.frame_before_end(at)?,
            false => Check::End,
        };
        // Reading may have found the file shorter than it was.
        Ok(match found {
            Check::Broken { .. } if at >= self.window.len_bytes => Check::End,
            found => found,
        })
    }

    fn frame_before_end(&mut self, at: u64) -> io::Result<Check> {
        let Some(header) = self.header_at(at)? else {
            return Ok(Check::Broken { resume_bytes: at + 1 });
        };
        // The header vouches for the length, so nothing inside the body is looked at as a frame.
        let resume_bytes = (at + header.frame_bytes()).min(self.window.len_bytes);
        if header.seq < self.seq_min {
            return Ok(Check::Broken { resume_bytes });
        }
        let frame = self.window.slice(at, FRAME_HEADER_BYTES + header.body_bytes)?;
        let body = frame.and_then(|frame| frame.get(FRAME_HEADER_BYTES..));
        Ok(match body {
            Some(body) if crc32fast::hash(body) == header.body_crc => Check::Whole(header),
            _ => Check::Broken { resume_bytes },
        })
    }

    /// Where the next intact frame at or behind `from` starts, or the file's end.
    fn find_frame(&mut self, from: u64) -> io::Result<u64> {
        let mut at = from;
        while let Some(found) = self.window.find_magic(at)? {
            match self.frame_at(found)? {
                Check::Whole(_) => return Ok(found),
                Check::Broken { resume_bytes } => at = resume_bytes,
                Check::End => break,
            }
        }
        Ok(self.window.len_bytes)
    }
}

/// What stands at one offset.
enum Check {
    Broken { resume_bytes: u64 },
    End,
    Whole(FrameHeader),
}

/// A piece of the file in memory.
#[derive(Debug)]
struct Window<'f, F> {
    file: &'f F,
    /// Of the file when the scan began. Beside a reader the writer may take back what it has not
    /// synced, so it is lowered where less is found.
    len_bytes: u64,
    start_bytes: u64,
    buffer: Vec<u8>,
}

impl<F: StorageFile> Window<'_, F> {
    /// `count` bytes at `at`; `None` when the file ends before.
    fn slice(&mut self, at: u64, count: usize) -> io::Result<Option<&[u8]>> {
        let Some(end) = at.checked_add(count as u64).filter(|end| *end <= self.len_bytes) else {
            return Ok(None);
        };
        let loaded_end = self.start_bytes + self.buffer.len() as u64;
        if at < self.start_bytes || end > loaded_end {
            self.load(at, count)?;
        }
        let start = (at - self.start_bytes) as usize;
        Ok(self.buffer.get(start..start + count))
    }

    fn load(&mut self, at: u64, count: usize) -> io::Result<()> {
        let wanted = (count.max(WINDOW_BYTES) as u64).min(self.len_bytes - at) as usize;
        // `wanted` is at most what the file holds, so no field decides an allocation.
        self.buffer.resize(wanted, 0);
        self.start_bytes = at;
        let found = self.file.read_full(&mut self.buffer, at)?;
        if found < wanted {
            self.buffer.truncate(found);
            self.len_bytes = at + found as u64;
        }
        Ok(())
    }

    /// The first place at or behind `from` where a frame's magic stands.
    fn find_magic(&mut self, from: u64) -> io::Result<Option<u64>> {
        let mut at = from;
        while at + FRAME_MAGIC.len() as u64 <= self.len_bytes {
            // Whatever is loaded is searched first: bytes full of magics must not cost a read each.
            let loaded = (self.start_bytes + self.buffer.len() as u64).saturating_sub(at);
            let usable = at >= self.start_bytes && loaded >= FRAME_MAGIC.len() as u64;
            let reach = if usable { loaded } else { WINDOW_BYTES as u64 };
            let count = (self.len_bytes - at).min(reach) as usize;
            // Less is there than was: once more up to the new end.
            let Some(bytes) = self.slice(at, count)? else { continue };
            let place = bytes.windows(FRAME_MAGIC.len()).position(|window| window == FRAME_MAGIC);
            if let Some(place) = place {
                return Ok(Some(at + place as u64));
            }
            at += (count - FRAME_MAGIC.len() + 1) as u64;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::frame::append_frame;

    const SALT: u32 = 7;

    /// A file that somebody cuts to `cut_bytes` before its read number `at`.
    #[derive(Debug)]
    struct Shrinking {
        bytes: Vec<u8>,
        cut_bytes: usize,
        at: usize,
        reads: AtomicUsize,
    }

    impl Shrinking {
        fn there(&self) -> &[u8] {
            match self.reads.load(Ordering::Relaxed) > self.at {
                true => &self.bytes[..self.cut_bytes],
                false => &self.bytes,
            }
        }
    }

    impl StorageFile for Shrinking {
        fn read_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            let rest = self.there().get(offset_bytes as usize..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }

        fn write_at(&mut self, _bytes: &[u8], _offset_bytes: u64) -> io::Result<()> {
            unreachable!("a scan only reads")
        }

        fn len_bytes(&self) -> io::Result<u64> {
            Ok(self.there().len() as u64)
        }

        fn identity(&self) -> io::Result<(u64, u64)> {
            unreachable!("a scan only reads")
        }

        fn truncate(&mut self, _len_bytes: u64) -> io::Result<()> {
            unreachable!("a scan only reads")
        }

        fn sync(&mut self) -> io::Result<()> {
            unreachable!("a scan only reads")
        }
    }

    /// On a full disk the writer takes back what it had not synced. A reader that had seen the longer
    /// file took its end for a failed read, and the receiver ended instead of waiting for room.
    #[test]
    fn a_file_that_is_cut_while_it_is_read_ends_where_it_was_cut() {
        let mut whole = vec![0; FILE_HEADER_BYTES as usize];
        let mut ends = Vec::new();
        for seq in 1..=40_u64 {
            let body = |out: &mut Vec<u8>| out.resize(out.len() + 5_000, seq as u8);
            append_frame(&mut whole, SALT, seq, seq - 1, body);
            ends.push(whole.len());
        }
        let middle = ends[19];
        let cuts = ends.iter().flat_map(|end| [end - 5_010, end - 1, *end]);
        for (cut_bytes, at) in cuts.flat_map(|cut| (0..6).map(move |at| (cut, at))) {
            for is_damaged in [false, true] {
                let mut bytes = whole.clone();
                bytes[middle + 40] ^= u8::from(is_damaged);
                let file = Shrinking { bytes, cut_bytes, at, reads: AtomicUsize::new(0) };
                let mut scanner = Scanner::new(&file, SALT, FILE_HEADER_BYTES, 1).unwrap();
                let mut found = Vec::new();
                let context = format!("cut to {cut_bytes} at read {at}, {is_damaged}");
                loop {
                    match scanner.next().unwrap_or_else(|error| panic!("{context}: {error}")) {
                        Scanned::Bad { .. } => {}
                        Scanned::End => break,
                        Scanned::Frame { offset_bytes, header } => {
                            let body = scanner.body(offset_bytes, &header);
                            assert!(body.iter().all(|byte| u64::from(*byte) == header.seq));
                            found.push(header.seq);
                        }
                    }
                }
                let is_intact = |seq: &u64| !is_damaged || *seq != 21;
                let n_whole = ends.iter().filter(|end| **end <= cut_bytes).count() as u64;
                let sure: Vec<u64> = (1..=n_whole).filter(is_intact).collect();
                assert!(found.starts_with(&sure), "{context}: {found:?}");
                assert!(found.len() <= 40 && found.is_sorted(), "{context}: {found:?}");
            }
        }
    }
}
