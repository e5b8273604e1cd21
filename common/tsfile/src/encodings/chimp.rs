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
use super::bits::BitWriter;
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

/// Writes at least a sentinel.
///
/// Like IoTDB's writer, it looks at one earlier value: the last one that ends with the same bits.
pub(super) fn encode<T: Number>(values: &[T], out: &mut Vec<u8>) {
    let (place_bits, width_bits) = (T::BITS.ilog2() + 1, T::BITS.ilog2());
    let places = 1usize << place_bits;
    // A difference pays off against the number of a place if it ends with more zeros than this.
    let threshold = place_bits + width_bits;
    let key_mask = (1u64 << (threshold + 1)) - 1;
    // Index of the last value that ends with a key; of those that never came, the first.
    let mut last_of_key = vec![0usize; 1 << (threshold + 1)];
    let mut ring = [0u64; PLACES_MAX];
    let mut bits = BitWriter::new(out);
    let mut last_leading = None;
    let sentinel = T::from_bits(T::SENTINEL);
    let all = values.iter().chain([&sentinel]).map(|value| value.to_bits());
    for (index, value) in all.enumerate() {
        let key = (value & key_mask) as usize;
        let candidate = last_of_key.get(key).copied().unwrap_or_default();
        let at = |index: usize| ring.get(index % places).copied().unwrap_or_default();
        if let Some(before) = index.checked_sub(1) {
            let against_candidate = value ^ at(candidate);
            let is_near = before - candidate < places
                && (against_candidate == 0 || against_candidate.trailing_zeros() > threshold);
            let (place, difference) = match is_near {
                true => (candidate % places, against_candidate),
                false => (before % places, value ^ at(before)),
            };
            if difference == 0 {
                bits.put(place as u64, 2 + place_bits);
                last_leading = None;
            } else {
                let zeros = difference.leading_zeros() - (64 - T::BITS);
                let amount = LEADING.partition_point(|leading| *leading <= zeros).saturating_sub(1);
                let leading = LEADING.get(amount).copied().unwrap_or_default();
                if is_near {
                    let trailing = difference.trailing_zeros();
                    let width = T::BITS - leading - trailing;
                    bits.put(0b01, 2);
                    bits.put(place as u64, place_bits);
                    bits.put(amount as u64, 3);
                    bits.put(width.into(), width_bits);
                    bits.put(difference >> trailing, width);
                    last_leading = None;
                } else if last_leading == Some(leading) {
                    bits.put(0b10, 2);
                    bits.put(difference, T::BITS - leading);
                } else {
                    last_leading = Some(leading);
                    bits.put(0b11, 2);
                    bits.put(amount as u64, 3);
                    bits.put(difference, T::BITS - leading);
                }
            }
        } else {
            bits.put(value, T::BITS);
        }
        if let Some(place) = ring.get_mut(index % places) {
            *place = value;
        }
        if let Some(last) = last_of_key.get_mut(key) {
            *last = index;
        }
    }
    bits.finish_padded();
}
