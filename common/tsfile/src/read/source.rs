//! Where the bytes of a file come from, and how they are fetched.

use std::io;

use tidegate_codec::Error;
use tidegate_codec::Reader;

use crate::ReadError;

/// A file as something that can be read anywhere.
///
/// Calls may come from several threads at once, as with `pread`.
pub trait ReadAt {
    /// Length of the file when it was opened.
    fn length_bytes(&self) -> u64;

    /// Fills `into` with the bytes from `offset` on; too few of them are an
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof).
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for [u8] {
    fn length_bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let found = start.and_then(|start| self.get(start..)?.get(..into.len()));
        into.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn length_bytes(&self) -> u64 {
        self.as_slice().length_bytes()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_at(offset, into)
    }
}

impl<R: ReadAt + ?Sized> ReadAt for &R {
    fn length_bytes(&self) -> u64 {
        (**self).length_bytes()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, into)
    }
}

/// Fills `into` with the `length_bytes` from `offset` on, which must lie in the file.
///
/// Memory taken: `length_bytes`, after they were found to lie in the file.
pub(crate) fn fetch(
    source: &(impl ReadAt + ?Sized),
    offset: u64,
    length_bytes: u64,
    into: &mut Vec<u8>,
) -> Result<(), ReadError> {
    // What is there already is written over, so only what is new has to be zeroed.
    into.resize(length_within(source, offset, length_bytes)?, 0);
    fill(source, offset, into)
}

/// A length, if so many bytes from `offset` on are in the file.
fn length_within(
    source: &(impl ReadAt + ?Sized),
    offset: u64,
    length_bytes: u64,
) -> Result<usize, ReadError> {
    let end = offset.checked_add(length_bytes).filter(|end| *end <= source.length_bytes());
    match (end, usize::try_from(length_bytes)) {
        (Some(_), Ok(length)) => Ok(length),
        _ => {
            let found = format!("{length_bytes} bytes announced");
            Err(ReadError::unsound(offset, "a structure that ends within the file", found))
        }
    }
}

fn fill(source: &(impl ReadAt + ?Sized), offset: u64, into: &mut [u8]) -> Result<(), ReadError> {
    let length_bytes = into.len();
    source.read_at(offset, into).map_err(|source| ReadError::Io { offset, length_bytes, source })
}

/// A stretch of a file that moves forward and is fetched ahead: the more, the longer it moves
/// without a jump, so that a look-up of one page fetches little more than that page.
#[derive(Debug)]
pub(crate) struct Window {
    buffer: Vec<u8>,
    /// How much of `buffer` was fetched.
    n_held: usize,
    /// Where `buffer` begins in the file.
    start: u64,
    /// How much is fetched at once at least.
    ahead_bytes: usize,
    ahead_bytes_max: usize,
}

impl Window {
    /// One of `n_windows` that are open at once and share [`AHEAD_BYTES`].
    pub(crate) fn one_of(n_windows: usize) -> Self {
        Self::over(Vec::new(), n_windows)
    }

    /// As [`one_of`](Self::one_of), with memory that another window had.
    pub(crate) fn over(buffer: Vec<u8>, n_windows: usize) -> Self {
        let share = AHEAD_BYTES.checked_div(n_windows).unwrap_or(AHEAD_BYTES);
        let least = AHEAD_BYTES_TOTAL_MAX.checked_div(n_windows).unwrap_or(AHEAD_BYTES_MIN);
        let least = least.clamp(PARSE_AHEAD_BYTES, AHEAD_BYTES_MIN);
        let ahead_bytes_max = share.clamp(least, AHEAD_BYTES_MAX);
        Self { buffer, n_held: 0, start: 0, ahead_bytes: 0, ahead_bytes_max }
    }

    /// Gives memory back, if a large page has taken more than the window's share: it is fetched again.
    pub(crate) fn rest(&mut self) {
        if self.buffer.len() > self.ahead_bytes_max {
            (self.buffer, self.n_held) = (Vec::new(), 0);
        }
    }

    /// The memory, for another window.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    /// The bytes from `offset` up to `offset + length_bytes`, which must lie before `end`.
    ///
    /// Fetches more than that ahead, but none from `end` on.
    pub(crate) fn bytes(
        &mut self,
        source: &(impl ReadAt + ?Sized),
        offset: u64,
        length_bytes: usize,
        end: u64,
    ) -> Result<&[u8], ReadError> {
        if self.held(offset, length_bytes).is_none() {
            // Pages of a chunk are about equally long, and of one that is cut off nothing is of use.
            let page_bytes = length_bytes.saturating_add(PARSE_BYTES);
            let n_pages = self.ahead_bytes.checked_div(page_bytes).unwrap_or(1).max(1);
            let ahead_bytes = page_bytes.saturating_mul(n_pages);
            self.fetch(source, offset, length_bytes, ahead_bytes, end)?;
            let more = self.ahead_bytes.saturating_mul(2).max(AHEAD_BYTES_MIN);
            self.ahead_bytes = more.min(self.ahead_bytes_max);
        }
        Ok(self.held(offset, length_bytes).unwrap_or_default())
    }

    /// What `parse` makes of the bytes from `offset` on, of which it may need any number before `end`.
    ///
    /// `parse` is called again with more bytes while it runs out of them.
    pub(crate) fn parse<T>(
        &mut self,
        source: &(impl ReadAt + ?Sized),
        offset: u64,
        end: u64,
        mut parse: impl FnMut(&mut Reader<'_>) -> Result<T, Error>,
    ) -> Result<Result<T, Error>, ReadError> {
        let there = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let position = usize::try_from(offset).unwrap_or(usize::MAX);
        // What is held is mostly enough, however little it is.
        let mut wanted = self.n_held_from(offset).min(PARSE_BYTES);
        loop {
            let length_bytes = wanted.min(there);
            if self.held(offset, length_bytes).is_none() {
                self.fetch(source, offset, length_bytes, PARSE_AHEAD_BYTES, end)?;
            }
            let bytes = self.held(offset, length_bytes).unwrap_or_default();
            match parse(&mut Reader::at(bytes, position)) {
                Err(Error::UnexpectedEnd { .. } | Error::Count { .. }) if wanted < there => {
                    wanted = wanted.saturating_mul(16).max(PARSE_BYTES);
                }
                done => return Ok(done),
            }
        }
    }

    fn fetch(
        &mut self,
        source: &(impl ReadAt + ?Sized),
        offset: u64,
        length_bytes: usize,
        ahead_bytes: usize,
        end: u64,
    ) -> Result<(), ReadError> {
        let wanted = length_bytes.max(ahead_bytes) as u64;
        let there = end.saturating_sub(offset).min(wanted).max(length_bytes as u64);
        // Whatever happens now, what was held is written over.
        (self.n_held, self.start) = (0, offset);
        let length = length_within(source, offset, there)?;
        if self.buffer.len() < length {
            self.buffer.resize(length, 0);
        }
        let filled = fill(source, offset, self.buffer.get_mut(..length).unwrap_or_default());
        if filled.is_err() && length_bytes < length {
            // Perhaps what cannot be fetched is what nobody has asked for.
            fill(source, offset, self.buffer.get_mut(..length_bytes).unwrap_or_default())?;
            self.n_held = length_bytes;
            return Ok(());
        }
        filled?;
        self.n_held = length;
        Ok(())
    }

    fn n_held_from(&self, offset: u64) -> usize {
        let end = self.start.saturating_add(self.n_held as u64);
        let is_behind_start = offset >= self.start;
        let n_held = end.saturating_sub(offset);
        if is_behind_start { usize::try_from(n_held).unwrap_or(usize::MAX) } else { 0 }
    }

    fn held(&self, offset: u64, length_bytes: usize) -> Option<&[u8]> {
        let skip = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.buffer.get(..self.n_held)?.get(skip..)?.get(..length_bytes)
    }
}

/// What all windows of one scan fetch ahead together.
const AHEAD_BYTES: usize = 2 << 20;
/// What they fetch at most if each is to have [`AHEAD_BYTES_MIN`]; of many windows each has less.
const AHEAD_BYTES_TOTAL_MAX: usize = 16 << 20;
/// Some pages of the usual size, so that a disk is not asked for each.
const AHEAD_BYTES_MIN: usize = 32 * 1024;
/// More does not make a disk faster, and less stays in the cache of a processor.
const AHEAD_BYTES_MAX: usize = 256 * 1024;
/// Enough for the header of almost every chunk or page.
const PARSE_BYTES: usize = 256;
/// What is fetched for a header at least, since small pages follow.
const PARSE_AHEAD_BYTES: usize = 2048;
