//! Where the bytes of a file go: forward only, and nothing after a write that failed.

use std::io::Write;

use tidegate_codec::Writer;

use super::error::WriteError;

/// A sink that knows how far it has come.
#[derive(Debug)]
pub(crate) struct Out<W> {
    inner: W,
    /// What was not handed on yet.
    buffer: Vec<u8>,
    /// How much was.
    handed_bytes: u64,
    has_failed: bool,
}

impl<W: Write> Out<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, buffer: Vec::new(), handed_bytes: 0, has_failed: false }
    }

    /// Where the next byte will stand in the file.
    pub(crate) fn position(&self) -> u64 {
        self.handed_bytes.saturating_add(self.buffer.len() as u64)
    }

    /// Refuses everything after a failure.
    pub(crate) fn check(&self) -> Result<(), WriteError> {
        if self.has_failed { Err(WriteError::Failed) } else { Ok(()) }
    }

    /// From now on nothing more is written: what is there is not what the caller wanted.
    pub(crate) fn give_up(&mut self) {
        self.has_failed = true;
    }

    /// Writes a structure.
    pub(crate) fn structure(
        &mut self,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> Result<(), WriteError> {
        encode(&mut self.buffer, write)?;
        if self.buffer.len() >= BUFFER_BYTES { self.hand_on() } else { Ok(()) }
    }

    /// Writes bytes that need not be copied first if they are many.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        if self.buffer.len().saturating_add(bytes.len()) < BUFFER_BYTES {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        self.hand_on()?;
        self.write_all(bytes)
    }

    /// Writes what is still here, and gives back where it went, with the length of it all.
    pub(crate) fn finish(mut self) -> Result<(W, u64), WriteError> {
        self.hand_on()?;
        Ok((self.inner, self.handed_bytes))
    }

    fn hand_on(&mut self) -> Result<(), WriteError> {
        let mut buffer = core::mem::take(&mut self.buffer);
        self.write_all(&buffer)?;
        buffer.clear();
        self.buffer = buffer;
        Ok(())
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.check()?;
        if let Err(source) = self.inner.write_all(bytes) {
            self.has_failed = true;
            return Err(WriteError::Io { offset: self.handed_bytes, source });
        }
        self.handed_bytes = self.handed_bytes.saturating_add(bytes.len() as u64);
        Ok(())
    }
}

/// Appends a structure to bytes in memory.
pub(crate) fn encode(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Writer<'_>),
) -> Result<(), WriteError> {
    let mut writer = Writer::new(out);
    write(&mut writer);
    let max = i32::MAX as usize;
    let what = "length of a text or list";
    writer.finish().map_err(|_| WriteError::TooLarge { what, found: max.saturating_add(1), max })
}

/// What is handed on at once if it comes in small pieces.
const BUFFER_BYTES: usize = 256 << 10;
