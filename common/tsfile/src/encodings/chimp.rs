//! CHIMP, as IoTDB has it: like GORILLA, but against one of the last 64 or 128 values.
//!
//! The first value as it is; then for each value two bits and
//!
//! - `00`: the number of an earlier value, which is the same;
//! - `01`: the number of an earlier value, leading zeros, a width, and the bits of the difference;
//! - `10`: the difference from the value before without as many leading zeros as last;
//! - `11`: leading zeros, and the difference from the value before without them.
//!
//! Numbers have 6 bits for 32 bits and 7 for 64, leading zeros 3 (of eight amounts), widths 5 or 6,
//! with 0 for all. Each value takes the next place of the ring. Sentinel and padding are as in
//! GORILLA.

// Widths and shifts are below 65 by the checks beside them.
#![allow(clippy::arithmetic_side_effects)]

use core::marker::PhantomData;

use super::EncodingError;
use super::bits::BitReader;
use super::input::Input;
use super::input::Output;
use super::number::Number;

/// Places in the ring for 64 bits; for 32 bits half of them are used.
const PLACES_MAX: usize = 128;
/// Amounts of leading zeros.
const LEADING: [u32; 8] = [0, 8, 12, 16, 18, 20, 22, 24];

pub(super) fn decode<T: Number>(
    input: &mut Input<'_>,
    out: &mut Output<'_, T>,
) -> Result<(), EncodingError> {
    let mut stream = Chimp::<T>::begin(input)?;
    if !out.is_exact() {
        while stream.value != T::SENTINEL {
            out.claim(1, input)?;
            out.push(T::from_bits(stream.value));
            stream.step(input)?;
        }
        return Ok(());
    }
    out.push(T::from_bits(stream.value));
    for _ in 0..out.room() {
        stream.step(input)?;
        out.push(T::from_bits(stream.value));
    }
    Ok(())
}

struct Chimp<'a, T> {
    bits: BitReader<'a>,
    value: u64,
    ring: [u64; PLACES_MAX],
    /// Place of `value` in the ring.
    place: usize,
    /// Leading zeros of the last difference that had some; nothing before the first.
    leading: Option<u32>,
    number: PhantomData<T>,
}

impl<'a, T: Number> Chimp<'a, T> {
    /// Bits of the number of a place.
    const PLACE: u32 = T::BITS.ilog2() + 1;
    /// Bits of a width.
    const WIDTH: u32 = T::BITS.ilog2();

    fn begin(input: &Input<'a>) -> Result<Self, EncodingError> {
        let mut bits = BitReader::new(input.rest());
        let value = bits.take(T::BITS).ok_or_else(|| input.malformed("a first value"))?;
        let mut ring = [0; PLACES_MAX];
        if let Some(first) = ring.first_mut() {
            *first = value;
        }
        Ok(Self { bits, value, ring, place: 0, leading: None, number: PhantomData })
    }

    #[inline(always)]
    fn step(&mut self, input: &Input<'_>) -> Result<(), EncodingError> {
        self.advance().ok_or_else(|| {
            let offset = input.position() + self.bits.byte_offset();
            input.malformed_at(offset, "the bits of one more value in a window inside the type")
        })
    }

    #[inline(always)]
    fn advance(&mut self) -> Option<()> {
        self.value = match self.bits.take(2)? {
            0b00 => self.earlier()?,
            0b01 => {
                let earlier = self.earlier()?;
                let leading = self.leading()?;
                let width = match self.bits.take(Self::WIDTH)? as u32 {
                    0 => T::BITS,
                    width => width,
                };
                let trailing = T::BITS.checked_sub(leading + width)?;
                earlier ^ (self.bits.take(width)? << trailing)
            }
            0b10 => self.value ^ self.bits.take(T::BITS - self.leading?)?,
            _ => {
                let leading = self.leading()?;
                self.value ^ self.bits.take(T::BITS - leading)?
            }
        };
        self.place = (self.place + 1) & ((1 << Self::PLACE) - 1);
        *self.ring.get_mut(self.place)? = self.value;
        Some(())
    }

    #[inline(always)]
    fn earlier(&mut self) -> Option<u64> {
        let place = self.bits.take(Self::PLACE)?;
        self.ring.get(place as usize).copied()
    }

    #[inline(always)]
    fn leading(&mut self) -> Option<u32> {
        let leading = *LEADING.get(self.bits.take(3)? as usize)?;
        self.leading = Some(leading);
        Some(leading)
    }
}
