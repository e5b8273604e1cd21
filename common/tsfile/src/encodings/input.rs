//! What a decoder reads from and appends to: bounded, and named in every error.
//!
//! An encoding is a chain of blocks. Where the page says how many values there are, a decoder stops
//! behind the block that completes them, and what follows is not looked at, as in IoTDB: some writers
//! leave a sentinel there. A block that claims more values than are missing is refused.

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_model::DataType;

use super::EncodingError;
use super::number::Number;
use crate::Encoding;

/// The encoded bytes of one page, or of one section in it.
pub(super) struct Input<'a> {
    reader: Reader<'a>,
    encoding: Encoding,
    /// `None` for times.
    data_type: Option<DataType>,
}

impl<'a> Input<'a> {
    pub(super) fn new(encoding: Encoding, data_type: Option<DataType>, bytes: &'a [u8]) -> Self {
        Self { reader: Reader::new(bytes), encoding, data_type }
    }

    pub(super) fn take(
        &mut self,
        n: usize,
        expected: &'static str,
    ) -> Result<&'a [u8], EncodingError> {
        self.reader.take(n, expected).map_err(|error| self.refused(error, expected))
    }

    /// The next `n` bytes as an input of their own.
    pub(super) fn sub(&mut self, n: usize, expected: &'static str) -> Result<Self, EncodingError> {
        let reader = self.reader.sub(n, expected).map_err(|error| self.refused(error, expected))?;
        Ok(Self { reader, encoding: self.encoding, data_type: self.data_type })
    }

    pub(super) fn u8(&mut self, expected: &'static str) -> Result<u8, EncodingError> {
        self.reader.u8(expected).map_err(|error| self.refused(error, expected))
    }

    /// `i32` that is a count or length: not negative.
    pub(super) fn count(&mut self, expected: &'static str) -> Result<usize, EncodingError> {
        let offset = self.position();
        let found = self.reader.i32(expected).map_err(|error| self.refused(error, expected))?;
        usize::try_from(found).map_err(|_| self.malformed_at(offset, expected))
    }

    /// The bits of one number as it is in memory.
    pub(super) fn number<T: Number>(
        &mut self,
        expected: &'static str,
    ) -> Result<u64, EncodingError> {
        Ok(T::from_be_bytes(self.take(T::BYTES, expected)?).to_bits())
    }

    /// Unsigned variable-length number of 32 bits.
    pub(super) fn uvar(&mut self, expected: &'static str) -> Result<u32, EncodingError> {
        self.reader.uvar(expected).map_err(|error| self.refused(error, expected))
    }

    /// Unsigned variable-length number that is a count or length.
    pub(super) fn uvar_count(&mut self, expected: &'static str) -> Result<usize, EncodingError> {
        let offset = self.position();
        let found = self.uvar(expected)?;
        usize::try_from(found).map_err(|_| self.malformed_at(offset, expected))
    }

    /// Zigzag variable-length number that is a count or length: not negative.
    pub(super) fn var_count(&mut self, expected: &'static str) -> Result<usize, EncodingError> {
        let offset = self.position();
        let found = self.reader.var(expected).map_err(|error| self.refused(error, expected))?;
        usize::try_from(found).map_err(|_| self.malformed_at(offset, expected))
    }

    /// Zigzag variable-length number of 32 or 64 bits, as bits.
    pub(super) fn zigzag<T: Number>(
        &mut self,
        expected: &'static str,
    ) -> Result<u64, EncodingError> {
        let offset = self.position();
        let mut raw = 0u64;
        for shift in (0..T::BITS).step_by(7) {
            let byte = u64::from(self.u8(expected)?);
            let low = byte & 0x7f;
            raw |= low << shift;
            if byte & 0x80 == 0 {
                // The last group has fewer bits than seven.
                let left = T::BITS.saturating_sub(shift);
                if low >> left.min(7) != 0 {
                    break;
                }
                return Ok((raw >> 1) ^ (raw & 1).wrapping_neg());
            }
        }
        Err(self.malformed_at(offset, expected))
    }

    /// All bytes that are left, without taking them.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.reader.peek_rest()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.reader.is_empty()
    }

    pub(super) fn position(&self) -> usize {
        self.reader.position()
    }

    pub(super) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// `None` for times.
    pub(super) fn data_type(&self) -> Option<DataType> {
        self.data_type
    }

    /// The error that here is not what was expected.
    #[cold]
    pub(super) fn malformed(&self, expected: &'static str) -> EncodingError {
        self.malformed_at(self.position(), expected)
    }

    /// The error that at `offset` is not what was expected.
    #[cold]
    pub(super) fn malformed_at(&self, offset: usize, expected: &'static str) -> EncodingError {
        EncodingError::Malformed { encoding: self.encoding, offset, expected }
    }

    /// The error that nobody writes this encoding for this type.
    #[cold]
    pub(super) fn unsupported(&self) -> EncodingError {
        EncodingError::Unsupported { encoding: self.encoding, data_type: self.data_type }
    }

    #[cold]
    fn refused(&self, error: Error, expected: &'static str) -> EncodingError {
        self.malformed_at(error.offset(), expected)
    }
}

/// Where decoded values go: a vector of the caller, and how much longer it may become.
pub(super) struct Output<'v, V> {
    values: &'v mut Vec<V>,
    amount: Amount,
    /// Length of `values` that is the goal or the limit.
    end: usize,
}

/// What ends the values.
#[derive(Clone, Copy)]
enum Amount {
    /// So many values are known to be there.
    Exactly(usize),
    /// The end of the input; more than `max` values are refused.
    ToEnd { max: usize },
}

impl<'v, V> Output<'v, V> {
    /// For exactly `n` values.
    pub(super) fn exactly(n: usize, values: &'v mut Vec<V>) -> Self {
        values.reserve(n);
        let end = values.len().saturating_add(n);
        Self { values, amount: Amount::Exactly(n), end }
    }

    /// For as many values as there are, up to `max`.
    pub(super) fn to_end(max: usize, values: &'v mut Vec<V>) -> Self {
        let end = values.len().saturating_add(max);
        Self { values, amount: Amount::ToEnd { max }, end }
    }

    /// Whether no further block is to be read.
    pub(super) fn is_done(&self, input: &Input<'_>) -> bool {
        match self.amount {
            Amount::Exactly(_) => self.room() == 0,
            Amount::ToEnd { .. } => input.is_empty(),
        }
    }

    /// Whether the number of values is known before they are decoded.
    pub(super) fn is_exact(&self) -> bool {
        matches!(self.amount, Amount::Exactly(_))
    }

    /// How many values may still come.
    pub(super) fn room(&self) -> usize {
        self.end.saturating_sub(self.values.len())
    }

    /// Refuses a block of more values than may come.
    pub(super) fn claim(&mut self, n: usize, input: &Input<'_>) -> Result<(), EncodingError> {
        if n > self.room() {
            let (Amount::Exactly(max) | Amount::ToEnd { max }) = self.amount;
            return Err(EncodingError::TooMany { encoding: input.encoding(), max });
        }
        self.values.reserve(n);
        Ok(())
    }

    /// Appends a value that was claimed.
    pub(super) fn push(&mut self, value: V) {
        self.values.push(value);
    }

    /// Appends values that were claimed.
    pub(super) fn extend(&mut self, values: impl Iterator<Item = V>) {
        self.values.extend(values);
    }

    /// Places for `n` values that were claimed, to be written over.
    pub(super) fn slots(&mut self, n: usize) -> &mut [V]
    where
        V: Copy + Default,
    {
        let start = self.values.len();
        self.values.resize(start.saturating_add(n), V::default());
        self.values.get_mut(start..).unwrap_or_default()
    }

    /// The vector, for values of a part of the page.
    pub(super) fn values(&mut self) -> &mut Vec<V> {
        self.values
    }
}
