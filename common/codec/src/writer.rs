//! The writer: values to big-endian bytes, the mirror of the reader.
//!
//! Lengths on the wire are `i32`. Rather than a result at every call, a length that does not fit is
//! remembered and reported once by [`Writer::finish`].

use core::fmt;

/// Appends values to a byte vector of the caller.
#[derive(Debug)]
pub struct Writer<'v> {
    out: &'v mut Vec<u8>,
    too_long: bool,
}

impl<'v> Writer<'v> {
    /// Appends to `out`.
    pub fn new(out: &'v mut Vec<u8>) -> Self {
        Self { out, too_long: false }
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    /// One signed byte.
    pub fn i8(&mut self, value: i8) {
        self.bytes(&value.to_be_bytes());
    }

    /// One byte, 0 or 1.
    pub fn bool(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    /// Two bytes.
    pub fn i16(&mut self, value: i16) {
        self.bytes(&value.to_be_bytes());
    }

    /// Four bytes.
    pub fn i32(&mut self, value: i32) {
        self.bytes(&value.to_be_bytes());
    }

    /// Eight bytes.
    pub fn i64(&mut self, value: i64) {
        self.bytes(&value.to_be_bytes());
    }

    /// IEEE 754 single.
    pub fn f32(&mut self, value: f32) {
        self.bytes(&value.to_be_bytes());
    }

    /// IEEE 754 double.
    pub fn f64(&mut self, value: f64) {
        self.bytes(&value.to_be_bytes());
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// A length or count as `i32`.
    pub fn length(&mut self, length: usize) {
        let length = i32::try_from(length).unwrap_or_else(|_| {
            self.too_long = true;
            i32::MAX
        });
        self.i32(length);
    }

    /// `i32` length and the bytes.
    pub fn bin(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.bytes(bytes);
    }

    /// `i32` length and the UTF-8 bytes.
    pub fn str(&mut self, text: &str) {
        self.bin(text.as_bytes());
    }

    /// Like [`str`](Self::str), with the length -1 for null.
    pub fn nullable_str(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.str(text),
            None => self.i32(-1),
        }
    }

    /// Unsigned LEB128 of 32 bits.
    pub fn uvar(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.u8(value as u8);
    }

    /// Zigzag, then LEB128.
    pub fn var(&mut self, value: i32) {
        self.uvar((value.cast_unsigned() << 1) ^ (value >> 31).cast_unsigned());
    }

    /// Zigzag length and the UTF-8 bytes; the length -1 stands for null.
    pub fn vstr(&mut self, text: Option<&str>) {
        let Some(text) = text else {
            return self.var(-1);
        };
        let length = i32::try_from(text.len()).unwrap_or_else(|_| {
            self.too_long = true;
            i32::MAX
        });
        self.var(length);
        self.bytes(text.as_bytes());
    }

    /// Writes an `i32` length, then what `body` writes, and repairs the length: one pass, no copy.
    pub fn length_prefixed(&mut self, body: impl FnOnce(&mut Self)) {
        let at = self.out.len();
        self.i32(0);
        let start = self.out.len();
        body(self);
        let length = self.out.len().saturating_sub(start);
        match (i32::try_from(length), self.out.get_mut(at..start)) {
            (Ok(length), Some(place)) => place.copy_from_slice(&length.to_be_bytes()),
            _ => self.too_long = true,
        }
    }

    /// Whether every length fitted; what was written is of no use if not.
    pub fn finish(self) -> Result<(), TooLong> {
        if self.too_long { Err(TooLong) } else { Ok(()) }
    }
}

/// A length did not fit the `i32` that the wire has for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // says one thing
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("writing a length: expected at most 2147483647, but found more")
    }
}

impl core::error::Error for TooLong {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_length_covers_exactly_what_its_body_wrote() {
        let mut bytes = vec![9];
        let mut writer = Writer::new(&mut bytes);
        writer.length_prefixed(|writer| {
            writer.u8(1);
            writer.length_prefixed(|writer| writer.str("ab"));
        });
        writer.nullable_str(None);
        assert_eq!(writer.finish(), Ok(()));
        let want = [&[9, 0, 0, 0, 11, 1, 0, 0, 0, 6, 0, 0, 0, 2][..], b"ab", &[255; 4]].concat();
        assert_eq!(bytes, want);
    }
}
