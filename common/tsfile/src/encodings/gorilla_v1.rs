//! GORILLA_V1, the first form: FLOAT and DOUBLE only, never written any more.
//!
//! The first value with the least significant byte first; then for each value one bit 0 if it is the
//! same, or `10` and the bits of the difference in the window that the zeros of the value before leave
//! (not those of a difference, as in the second form), or `11`, leading zeros in 5 or 6 bits, a width in 6
//! or 7, and the bits. Behind the last value stands a NaN.

// Widths and shifts are below 65 by the checks beside them.
#![allow(clippy::arithmetic_side_effects)]

use super::EncodingError;
use super::bits::BitReader;
use super::input::Input;
use super::input::Output;
use super::number::Number;

pub(super) fn decode<T: Number>(
    input: &mut Input<'_>,
    out: &mut Output<'_, T>,
) -> Result<(), EncodingError> {
    let first = input.take(T::BYTES, "a first value")?;
    let mut value = first.iter().rev().fold(0, |bits, byte| (bits << 8) | u64::from(*byte));
    let mut bits = BitReader::new(input.rest());
    out.push(T::from_bits(value));
    for _ in 0..out.room() {
        value ^= difference::<T>(&mut bits, value).ok_or_else(|| {
            let offset = input.position() + bits.byte_offset();
            input.malformed_at(offset, "the bits of one more value in a window inside the type")
        })?;
        out.push(T::from_bits(value));
    }
    Ok(())
}

fn difference<T: Number>(bits: &mut BitReader<'_>, value: u64) -> Option<u64> {
    if !bits.bit()? {
        return Some(0);
    }
    let (width, trailing) = if bits.bit()? {
        let leading = bits.take(T::BITS.ilog2())? as u32;
        let width = bits.take(T::BITS.ilog2() + 1)? as u32;
        (width, T::BITS.checked_sub(leading + width)?)
    } else if value == 0 {
        // No bit of the value before is set, so there is no window.
        return Some(0);
    } else {
        let leading = value.leading_zeros() - (64 - T::BITS);
        let trailing = value.trailing_zeros();
        (T::BITS - leading - trailing, trailing)
    };
    match width {
        0 => Some(0),
        _ => bits.take(width).map(|found| found << trailing),
    }
}
