//! GORILLA, the second form: the bits in which a value differs from the one before it.
//!
//! The first value as it is; then for each value one bit 0 if it is the same, or `10` and the bits
//! of the difference in the window of the difference before, or `11` and a new window before them: its
//! leading zeros, and its width less one, in 5 bits each for 32 bits and 6 for 64. The writer ends with a
//! sentinel and at least one bit of padding. A real value may equal the sentinel, so only times, whose
//! number is not known, end at it.

// Widths and shifts are below 65 by the checks of `Gorilla::window`. A bit is
// looked at before the next one is counted, and what is looked at is in memory.
#![allow(clippy::arithmetic_side_effects)]

use core::marker::PhantomData;

use super::EncodingError;
use super::bits::BitWriter;
use super::bits::PUT_BITS;
use super::bits::WORD_BITS;
use super::bits::wide_at_bit;
use super::bits::word_at_bit;
use super::input::Input;
use super::input::Output;
use super::number::Number;

pub(super) fn decode<T: Number>(
    input: &mut Input<'_>,
    out: &mut Output<'_, T>,
) -> Result<(), EncodingError> {
    let mut stream = Gorilla::<T>::begin(input)?;
    if !out.is_exact() {
        while stream.value != T::SENTINEL {
            out.claim(1, input)?;
            out.push(T::from_bits(stream.value));
            stream.step(input)?;
        }
        return Ok(());
    }
    stream.fill(out, input)
}

/// The values of a part of a page, and the sentinel behind them; `input` goes on behind both.
pub(super) fn decode_part<T: Number>(
    input: &mut Input<'_>,
    out: &mut Output<'_, T>,
) -> Result<(), EncodingError> {
    let mut stream = Gorilla::<T>::begin(input)?;
    stream.fill(out, input)?;
    stream.step(input)?;
    // There is at least one bit of padding.
    let n_bytes = (stream.at / 8).saturating_add(1);
    input.take(n_bytes, "padding behind the last value")?;
    Ok(())
}

#[derive(Clone, Copy)]
struct Gorilla<'a, T> {
    bytes: &'a [u8],
    /// How many bits there are in `bytes`.
    n_bits: usize,
    /// The next bit. Where a value begins depends on nothing but the lengths of those before it, so
    /// that a processor may work on several at once; bits that are shifted out of a word have to
    /// wait for one another.
    at: usize,
    value: u64,
    /// Width of the window; 0 before the first.
    width: u32,
    /// Zeros behind the window.
    trailing: u32,
    number: PhantomData<T>,
}

impl<'a, T: Number> Gorilla<'a, T> {
    /// Bits of a number of leading zeros, and of a width.
    const FIELD: u32 = T::BITS.ilog2();

    fn begin(input: &Input<'a>) -> Result<Self, EncodingError> {
        let bytes = input.rest();
        let first = bytes.get(..T::BYTES).ok_or_else(|| input.malformed("a first value"))?;
        Ok(Self {
            bytes,
            n_bits: bytes.len().saturating_mul(8),
            at: T::BITS as usize,
            value: T::from_be_bytes(first).to_bits(),
            width: 0,
            trailing: 0,
            number: PhantomData,
        })
    }

    /// The present value and those after it, until no more may come.
    fn fill(&mut self, out: &mut Output<'_, T>, input: &Input<'_>) -> Result<(), EncodingError> {
        out.push(T::from_bits(self.value));
        // Of its own, so that all of it stays in registers.
        let mut stream = *self;
        for slot in out.slots(out.room()) {
            stream.step(input)?;
            *slot = T::from_bits(stream.value);
        }
        *self = stream;
        Ok(())
    }

    #[inline(always)]
    fn step(&mut self, input: &Input<'_>) -> Result<(), EncodingError> {
        self.advance().ok_or_else(|| self.refused(input))
    }

    #[inline(always)]
    fn advance(&mut self) -> Option<()> {
        let head = word_at_bit(self.bytes, self.at);
        let mut n_bits = 1;
        if head >> 63 == 1 {
            n_bits = 2;
            if head >> 62 == 0b11 {
                n_bits += 2 * Self::FIELD;
                self.window(head << 2)?;
            } else if self.width == 0 {
                return None;
            }
            let difference = if n_bits + self.width <= WORD_BITS {
                head << n_bits >> (64 - self.width)
            } else {
                wide_at_bit(self.bytes, self.at + n_bits as usize, self.width)
            };
            self.value ^= difference << self.trailing;
            n_bits += self.width;
        }
        self.at += n_bits as usize;
        (self.at <= self.n_bits).then_some(())
    }

    /// A new window out of the bits from the top of `head` on.
    #[inline(always)]
    fn window(&mut self, head: u64) -> Option<()> {
        let leading = (head >> (64 - Self::FIELD)) as u32;
        let width = ((head << Self::FIELD) >> (64 - Self::FIELD)) as u32 + 1;
        self.trailing = T::BITS.checked_sub(leading + width)?;
        self.width = width;
        Some(())
    }

    #[cold]
    fn refused(&self, input: &Input<'_>) -> EncodingError {
        let offset = input.position() + (self.at / 8).min(self.bytes.len());
        input.malformed_at(offset, "the bits of one more value in a window inside the type")
    }
}

/// Writes at least a sentinel.
pub(super) fn encode<T: Number>(values: &[T], out: &mut Vec<u8>) {
    let mut bits = BitWriter::new(out);
    let mut window = Window::<T>::new();
    let sentinel = T::from_bits(T::SENTINEL);
    let (first, following) = values.split_first().unwrap_or((&sentinel, &[]));
    let mut before = first.to_bits();
    bits.put(before, T::BITS);
    for value in following.iter().map(|value| value.to_bits()) {
        window.put(value ^ before, &mut bits);
        before = value;
    }
    if !values.is_empty() {
        window.put(T::SENTINEL ^ before, &mut bits);
    }
    bits.finish_padded();
}

/// The bits of differences that are written.
struct Window<T> {
    /// Zeros above; all bits before the first window.
    leading: u32,
    /// Zeros below.
    trailing: u32,
    width: u32,
    number: PhantomData<T>,
}

impl<T: Number> Window<T> {
    fn new() -> Self {
        Self { leading: T::BITS, trailing: 0, width: 0, number: PhantomData }
    }

    /// Appends a difference. Whether it is zero cannot be foreseen, so no branch depends on it.
    #[inline(always)]
    fn put(&mut self, difference: u64, bits: &mut BitWriter<'_>) {
        let leading = difference.leading_zeros() - (64 - T::BITS);
        let trailing = difference.trailing_zeros();
        if leading < self.leading || trailing < self.trailing {
            self.put_new(difference, leading, trailing, bits);
        } else if self.width + 2 <= PUT_BITS {
            let changed = 0b10 << self.width | difference >> self.trailing;
            let (value, n) = match difference {
                0 => (0, 1),
                _ => (changed, self.width + 2),
            };
            bits.put(value, n);
        } else if difference == 0 {
            bits.put(0, 1);
        } else {
            bits.put(0b10, 2);
            bits.put(difference >> self.trailing, self.width);
        }
    }

    fn put_new(&mut self, difference: u64, leading: u32, trailing: u32, bits: &mut BitWriter<'_>) {
        let field = T::BITS.ilog2();
        let width = T::BITS - leading - trailing;
        // Both fields are narrow enough to go together.
        let head = (0b11 << field | u64::from(leading)) << field | u64::from(width - 1);
        bits.put(head, 2 + 2 * field);
        bits.put(difference >> trailing, width);
        (self.leading, self.trailing, self.width) = (leading, trailing, width);
    }
}
