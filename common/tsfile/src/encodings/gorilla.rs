//! GORILLA, the second form: the bits in which a value differs from the one before it.
//!
//! The first value as it is; then for each value one bit 0 if it is the same, or `10` and the bits
//! of the difference in the window of the difference before, or `11` and a new window before them: its
//! leading zeros, and its width less one, in 5 bits each for 32 bits and 6 for 64. The writer ends with a
//! sentinel and at least one bit of padding. A real value may equal the sentinel, so only times, whose
//! number is not known, end at it.

// Widths and shifts are below 65 by the checks of `Gorilla::window`.
#![allow(clippy::arithmetic_side_effects)]

use core::marker::PhantomData;

use super::EncodingError;
use super::bits::BitReader;
use super::bits::BitWriter;
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
    let n_bytes = stream.bits.byte_offset().saturating_add(1);
    input.take(n_bytes, "padding behind the last value")?;
    Ok(())
}

struct Gorilla<'a, T> {
    bits: BitReader<'a>,
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
        let mut bits = BitReader::new(input.rest());
        let value = bits.take(T::BITS).ok_or_else(|| input.malformed("a first value"))?;
        Ok(Self { bits, value, width: 0, trailing: 0, number: PhantomData })
    }

    /// The present value and those after it, until no more may come.
    fn fill(&mut self, out: &mut Output<'_, T>, input: &Input<'_>) -> Result<(), EncodingError> {
        out.push(T::from_bits(self.value));
        for _ in 0..out.room() {
            self.step(input)?;
            out.push(T::from_bits(self.value));
        }
        Ok(())
    }

    #[inline(always)]
    fn step(&mut self, input: &Input<'_>) -> Result<(), EncodingError> {
        self.advance().ok_or_else(|| self.refused(input))
    }

    #[inline(always)]
    fn advance(&mut self) -> Option<()> {
        if self.bits.known() < 2 + 2 * Self::FIELD {
            self.bits.refill();
        }
        let head = self.bits.peek();
        if head >> 63 == 0 {
            (self.bits.known() > 0).then(|| self.bits.skip(1))
        } else {
            if head >> 62 == 0b10 {
                (self.width > 0).then(|| self.bits.skip(2))?;
            } else {
                self.window()?;
            }
            self.value ^= self.bits.take(self.width)? << self.trailing;
            Some(())
        }
    }

    #[inline(always)]
    fn window(&mut self) -> Option<()> {
        let head = self.bits.peek() << 2;
        let n_bits = 2 + 2 * Self::FIELD;
        if self.bits.known() < n_bits {
            return None;
        }
        self.bits.skip(n_bits);
        let leading = (head >> (64 - Self::FIELD)) as u32;
        let width = ((head << Self::FIELD) >> (64 - Self::FIELD)) as u32 + 1;
        self.trailing = T::BITS.checked_sub(leading + width)?;
        self.width = width;
        Some(())
    }

    #[cold]
    fn refused(&self, input: &Input<'_>) -> EncodingError {
        let offset = input.position() + self.bits.byte_offset();
        input.malformed_at(offset, "the bits of one more value in a window inside the type")
    }
}

/// Writes at least a sentinel.
pub(super) fn encode<T: Number>(values: &[T], out: &mut Vec<u8>) {
    let field = T::BITS.ilog2();
    let mut bits = BitWriter::new(out);
    let mut before = None;
    // Leading and trailing zeros of the window.
    let mut window = None;
    let sentinel = T::from_bits(T::SENTINEL);
    for value in values.iter().chain([&sentinel]).map(|value| value.to_bits()) {
        let Some(before) = before.replace(value) else {
            bits.put(value, T::BITS);
            continue;
        };
        let difference = value ^ before;
        if difference == 0 {
            bits.put(0, 1);
            continue;
        }
        let leading = difference.leading_zeros() - (64 - T::BITS);
        let trailing = difference.trailing_zeros();
        let (leading, trailing) = match window {
            Some((above, below)) if leading >= above && trailing >= below => {
                bits.put(0b10, 2);
                (above, below)
            }
            _ => {
                window = Some((leading, trailing));
                // Both fields are narrow enough to go together.
                let width = T::BITS - leading - trailing - 1;
                let head = (0b11 << field | u64::from(leading)) << field | u64::from(width);
                bits.put(head, 2 + 2 * field);
                (leading, trailing)
            }
        };
        bits.put(difference >> trailing, T::BITS - leading - trailing);
    }
    bits.finish_padded();
}
