//! The bounded reader: the only way in which bytes from outside become values.
//!
//! Every method either returns a value and moves on, or returns an error; there is no state in which
//! a length was believed before it was compared with the bytes that are left.

use crate::Error;

/// Reads big-endian values from a slice that it never leaves.
///
/// Texts and byte strings are borrowed from the input, so reading takes no memory at all.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first of `bytes`, whose offset is 0 in errors.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, position: 0 }
    }

    /// Starts at the first of `bytes`, whose offset in errors is `position`.
    pub fn at(bytes: &'a [u8], position: usize) -> Self {
        Self { rest: bytes, position }
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize, what: &'static str) -> Result<&'a [u8], Error> {
        let Some((taken, rest)) = self.rest.split_at_checked(n) else {
            return Err(self.end(what, n));
        };
        self.rest = rest;
        self.position = self.position.saturating_add(n);
        Ok(taken)
    }

    /// A reader over the next `n` bytes, which this reader skips: what is nested cannot read on.
    pub fn sub(&mut self, n: usize, what: &'static str) -> Result<Self, Error> {
        let position = self.position;
        Ok(Self { rest: self.take(n, what)?, position })
    }

    /// All bytes that are left.
    pub fn take_rest(&mut self) -> &'a [u8] {
        let rest = core::mem::take(&mut self.rest);
        self.position = self.position.saturating_add(rest.len());
        rest
    }

    /// One byte.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, Error> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    /// One signed byte.
    pub fn i8(&mut self, what: &'static str) -> Result<i8, Error> {
        self.array(what).map(i8::from_be_bytes)
    }

    /// One byte that is 0 or 1.
    pub fn bool(&mut self, what: &'static str) -> Result<bool, Error> {
        let offset = self.position;
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            found => Err(Error::Value { offset, expected: what, found: i64::from(found) }),
        }
    }

    /// Two bytes.
    pub fn i16(&mut self, what: &'static str) -> Result<i16, Error> {
        self.array(what).map(i16::from_be_bytes)
    }

    /// Four bytes.
    pub fn i32(&mut self, what: &'static str) -> Result<i32, Error> {
        self.array(what).map(i32::from_be_bytes)
    }

    /// Eight bytes.
    pub fn i64(&mut self, what: &'static str) -> Result<i64, Error> {
        self.array(what).map(i64::from_be_bytes)
    }

    /// IEEE 754 single.
    pub fn f32(&mut self, what: &'static str) -> Result<f32, Error> {
        self.array(what).map(f32::from_be_bytes)
    }

    /// IEEE 754 double.
    pub fn f64(&mut self, what: &'static str) -> Result<f64, Error> {
        self.array(what).map(f64::from_be_bytes)
    }

    /// `i32` length of something that follows: not negative, not over `max_bytes`, not beyond the end.
    pub fn length(&mut self, what: &'static str, max_bytes: usize) -> Result<usize, Error> {
        let offset = self.position;
        let found = self.i32(what)?;
        self.check_length(offset, i64::from(found), what, max_bytes)
    }

    /// `i32` count of elements of at least `min_bytes` each: no more than the bytes left can hold.
    pub fn count(&mut self, what: &'static str, min_bytes: usize) -> Result<usize, Error> {
        let offset = self.position;
        let found = self.i32(what)?;
        self.check_count(offset, i64::from(found), what, min_bytes)
    }

    /// Unsigned variable-length count of elements of at least `min_bytes` each.
    pub fn uvar_count(&mut self, what: &'static str, min_bytes: usize) -> Result<usize, Error> {
        let offset = self.position;
        let found = self.uvar(what)?;
        self.check_count(offset, i64::from(found), what, min_bytes)
    }

    /// `i32` length and that many bytes.
    pub fn bin(&mut self, what: &'static str, max_bytes: usize) -> Result<&'a [u8], Error> {
        let length = self.length(what, max_bytes)?;
        self.take(length, what)
    }

    /// `i32` length and that many bytes of UTF-8.
    pub fn str(&mut self, what: &'static str, max_bytes: usize) -> Result<&'a str, Error> {
        let length = self.length(what, max_bytes)?;
        self.utf8(length, what)
    }

    /// Like [`str`](Self::str), where the length -1 stands for null.
    pub fn nullable_str(
        &mut self,
        what: &'static str,
        max_bytes: usize,
    ) -> Result<Option<&'a str>, Error> {
        let offset = self.position;
        let found = self.i32(what)?;
        if found == -1 {
            return Ok(None);
        }
        let length = self.check_length(offset, i64::from(found), what, max_bytes)?;
        self.utf8(length, what).map(Some)
    }

    /// Unsigned LEB128 of 32 bits, in the shortest form: another would not come back as it was.
    pub fn uvar(&mut self, what: &'static str) -> Result<u32, Error> {
        let offset = self.position;
        let mut value = 0u64;
        for shift in [0u32, 7, 14, 21, 28] {
            let byte = self.u8(what)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte == 0 && shift > 0 {
                break;
            }
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| Error::VarTooLong { offset, what });
            }
        }
        Err(Error::VarTooLong { offset, what })
    }

    /// Zigzag, then LEB128.
    pub fn var(&mut self, what: &'static str) -> Result<i32, Error> {
        let raw = self.uvar(what)?;
        Ok((raw >> 1).cast_signed() ^ (raw & 1).cast_signed().wrapping_neg())
    }

    /// Zigzag length and that many bytes of UTF-8; the length -1 stands for null.
    pub fn vstr(&mut self, what: &'static str, max_bytes: usize) -> Result<Option<&'a str>, Error> {
        let offset = self.position;
        let found = self.var(what)?;
        if found == -1 {
            return Ok(None);
        }
        let length = self.check_length(offset, i64::from(found), what, max_bytes)?;
        self.utf8(length, what).map(Some)
    }

    /// Offset of the next byte.
    pub fn position(&self) -> usize {
        self.position
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether no byte is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes that are left, without taking them.
    pub fn peek_rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The bytes between `earlier`, a clone of this reader, and here.
    pub fn since(&self, earlier: &Self) -> &'a [u8] {
        let length = earlier.rest.len().saturating_sub(self.rest.len());
        earlier.rest.get(..length).unwrap_or_default()
    }

    /// Refuses bytes that are left.
    pub fn finish(&self) -> Result<(), Error> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(Error::Trailing { offset: self.position, left }),
        }
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Error> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.end(what, N));
        };
        self.rest = rest;
        self.position = self.position.saturating_add(N);
        Ok(*taken)
    }

    fn utf8(&mut self, length: usize, what: &'static str) -> Result<&'a str, Error> {
        let offset = self.position;
        core::str::from_utf8(self.take(length, what)?).map_err(|_| Error::Utf8 { offset, what })
    }

    fn check_length(
        &self,
        offset: usize,
        found: i64,
        what: &'static str,
        max: usize,
    ) -> Result<usize, Error> {
        let length = usize::try_from(found)
            .ok()
            .filter(|length| *length <= max)
            .ok_or(Error::Length { offset, what, found, max })?;
        if length > self.rest.len() {
            return Err(self.end(what, length));
        }
        Ok(length)
    }

    fn check_count(
        &self,
        offset: usize,
        found: i64,
        what: &'static str,
        min_bytes: usize,
    ) -> Result<usize, Error> {
        let max = self.rest.len().checked_div(min_bytes).unwrap_or(usize::MAX);
        usize::try_from(found).ok().filter(|count| *count <= max).ok_or(Error::Count {
            offset,
            what,
            found,
            max,
        })
    }

    #[cold]
    fn end(&self, what: &'static str, needed: usize) -> Error {
        Error::UnexpectedEnd { offset: self.position, what, needed, left: self.rest.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Writer;

    #[test]
    fn a_length_is_refused_before_anything_is_taken() {
        for length in [-2i32, 5, i32::MAX, i32::MIN] {
            let mut bytes = length.to_be_bytes().to_vec();
            bytes.extend_from_slice(b"four");
            assert!(Reader::new(&bytes).bin("b", usize::MAX).is_err(), "{length}");
            assert!(Reader::new(&bytes).nullable_str("s", usize::MAX).is_err(), "{length}");
        }
        let bytes = [0, 0, 0, 4, b'f', b'o', b'u', b'r'];
        let found = Error::Length { offset: 0, what: "s", found: 4, max: 3 };
        assert_eq!(Reader::new(&bytes).str("s", 3), Err(found));
        assert_eq!(Reader::new(&bytes).str("s", 4), Ok("four"));
        assert!(Reader::new(&bytes).count("n", 2).is_err());
        assert_eq!(Reader::new(&bytes).count("n", 1), Ok(4));
    }

    #[test]
    fn a_sub_reader_cannot_leave_its_bytes_and_keeps_offsets() {
        let bytes = [1, 2, 3, 4, 5, 6];
        let mut reader = Reader::new(&bytes);
        reader.u8("a").unwrap();
        let mut inner = reader.sub(2, "inner").unwrap();
        assert_eq!(
            inner.i32("x"),
            Err(Error::UnexpectedEnd { offset: 1, what: "x", needed: 4, left: 2 })
        );
        assert_eq!((inner.remaining(), reader.position()), (2, 3));
        assert_eq!(reader.take_rest(), [4, 5, 6]);
        assert!(reader.sub(1, "more").is_err());
    }

    #[test]
    fn variable_length_numbers_come_back_for_every_width() {
        for shift in 0..32 {
            for value in [1u32 << shift, (1u32 << shift) - 1, !(1u32 << shift), u32::MAX] {
                let mut bytes = Vec::new();
                let mut writer = Writer::new(&mut bytes);
                writer.uvar(value);
                writer.var(value.cast_signed());
                writer.finish().unwrap();
                let mut reader = Reader::new(&bytes);
                assert_eq!(reader.uvar("u"), Ok(value));
                assert_eq!(reader.var("v"), Ok(value.cast_signed()));
                assert_eq!(reader.finish(), Ok(()));
            }
        }
        for bad in [&[0xff; 5][..], &[0x80, 0x80, 0x80, 0x80, 0x10], &[0x80; 9], &[0x80, 0]] {
            assert_eq!(Reader::new(bad).uvar("u"), Err(Error::VarTooLong { offset: 0, what: "u" }));
        }
        // A zigzag length: the four bytes of "root" begin with 8.
        let mut bytes = Vec::new();
        Writer::new(&mut bytes).vstr(Some("root"));
        Writer::new(&mut bytes).vstr(None);
        assert_eq!(bytes, b"\x08root\x01");
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.vstr("s", 4), Ok(Some("root")));
        assert_eq!(reader.vstr("s", 4), Ok(None));
    }
}
