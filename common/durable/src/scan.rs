//! Walks the frames of one file, and finds the next intact one behind damage.

use std::io;

use crate::StorageFile;
use crate::frame::FILE_HEADER_BYTES;
use crate::frame::FRAME_HEADER_BYTES;
use crate::frame::FRAME_MAGIC;
use crate::frame::FrameHeader;
use crate::frame::read_full;

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
                self.offset_bytes = self.find_frame(resume_bytes)?;
                assert!(self.offset_bytes > at, "a search always goes forward");
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

    /// The length that the file had when the scan began.
    pub(crate) fn len_bytes(&self) -> u64 {
        self.window.len_bytes
    }

    fn header_at(&mut self, at: u64) -> io::Result<Option<FrameHeader>> {
        let salt = self.salt;
        let bytes = self.window.slice(at, FRAME_HEADER_BYTES)?;
        Ok(bytes.and_then(|bytes| FrameHeader::decode(bytes, salt)))
    }

    fn frame_at(&mut self, at: u64) -> io::Result<Check> {
        if at >= self.window.len_bytes {
            return Ok(Check::End);
        }
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
        if read_full(self.file, &mut self.buffer, at)? < wanted {
            self.buffer.clear();
            return Err(io::ErrorKind::UnexpectedEof.into());
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
            let Some(bytes) = self.slice(at, count)? else { return Ok(None) };
            let place = bytes.windows(FRAME_MAGIC.len()).position(|window| window == FRAME_MAGIC);
            if let Some(place) = place {
                return Ok(Some(at + place as u64));
            }
            at += (count - FRAME_MAGIC.len() + 1) as u64;
        }
        Ok(None)
    }
}
