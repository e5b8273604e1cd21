//! SPRINTZ: blocks of nine values, as errors of a prediction, packed.
//!
//! A block is `u8` width below 128, the first value (INT32 as `uvar` of its bits, the others as in
//! memory), then eight packed errors: an even number is minus its half, an odd one half of the next.
//! FLOAT and DOUBLE are predicted by their bits as integers. From 128 on, the byte less 128 is the number of
//! values that the end of the page has left: integers as one RLE section, the others as one GORILLA
//! stream. The writer overflows where values jump widely; here everything wraps as it does there.

// Numbers wrap as the writer's do, by `wrapping_*`; what is left are shifts by constants.
#![allow(clippy::arithmetic_side_effects)]

use core::marker::PhantomData;

use super::EncodingError;
use super::bits;
use super::gorilla;
use super::input::Input;
use super::input::Output;
use super::number::Number;
use super::rle;

/// Values of a block behind its first.
const BLOCK: usize = 8;
/// Set in the first byte of the values that are left at the end.
const LEFT: u8 = 0x80;

pub(super) fn decode<T: Number>(
    input: &mut Input<'_>,
    out: &mut Output<'_, T>,
) -> Result<(), EncodingError> {
    let mut packed_values = Vec::with_capacity(BLOCK);
    while !out.is_done(input) {
        let offset = input.position();
        let head = input.u8("the width of a block")?;
        if head & LEFT != 0 {
            left(input, usize::from(head & !LEFT), out)?;
            continue;
        }
        let width = u32::from(head);
        if width > T::BITS {
            return Err(input.malformed_at(offset, "a width from 0 to that of the type"));
        }
        let first = match (T::BITS, T::IS_FLOAT) {
            (32, false) => input.uvar("the first value of a block")?.into(),
            _ => input.number::<T>("the first value of a block")?,
        };
        out.claim(1 + BLOCK, input)?;
        let packed = input.take(head.into(), "as many packed bytes as a block claims")?;
        packed_values.clear();
        bits::unpack(packed, BLOCK, width, &mut packed_values, |bits| bits);
        out.push(T::from_bits(first));
        let mut prediction = Prediction::<T>::new(first);
        for error in &packed_values {
            out.push(T::from_bits(prediction.value_after(*error).cast_unsigned()));
        }
    }
    Ok(())
}

/// The `n` values that are left at the end of the page.
fn left<T: Number>(
    input: &mut Input<'_>,
    n: usize,
    out: &mut Output<'_, T>,
) -> Result<(), EncodingError> {
    out.claim(n, input)?;
    if n == 0 {
        return Ok(());
    }
    let mut part = Output::exactly(n, out.values());
    match T::IS_FLOAT {
        true => gorilla::decode_part(input, &mut part),
        false => rle::decode(input, &mut part, |value| value),
    }
}

/// What the next value of a block will be, learnt from those before it.
struct Prediction<T> {
    /// The value before, as a number of the type's width.
    value: i64,
    /// The value before, less the one before that.
    difference: i64,
    /// How much of the difference is expected again. 32 bits in the writer, for both widths.
    gain: i32,
    number: PhantomData<T>,
}

impl<T: Number> Prediction<T> {
    fn new(first: u64) -> Self {
        // The writer predicts from the one NaN that Java makes of all.
        let is_nan = match (T::BITS, T::IS_FLOAT) {
            (32, true) => f32::from_bits(first as u32).is_nan(),
            (_, true) => f64::from_bits(first).is_nan(),
            _ => false,
        };
        let value = wrapped::<T>(if is_nan { T::SENTINEL } else { first }.cast_signed());
        Self { value, difference: 0, gain: 0, number: PhantomData }
    }

    /// The next value, which the packed `error` away from its prediction.
    fn value_after(&mut self, error: u64) -> i64 {
        let packed = wrapped::<T>(error.cast_signed());
        let error = match packed & 1 {
            0 => wrapped::<T>(packed.wrapping_neg()) >> 1,
            _ => wrapped::<T>(packed.wrapping_add(1)) >> 1,
        };
        let (learnt, scale) = if T::BITS == 32 { (2, 8) } else { (3, 16) };
        let gain = i64::from(self.gain >> learnt);
        let expected = wrapped::<T>(gain.wrapping_mul(self.difference)) >> scale;
        let value = wrapped::<T>(self.value.wrapping_add(expected).wrapping_add(error));
        self.gain = match error > 0 {
            true => self.gain.wrapping_add(self.difference as i32),
            false => self.gain.wrapping_sub(self.difference as i32),
        };
        self.difference = wrapped::<T>(value.wrapping_sub(self.value));
        self.value = value;
        value
    }
}

/// `value` as arithmetic of the type's width leaves it.
fn wrapped<T: Number>(value: i64) -> i64 {
    match T::BITS {
        32 => i64::from(value as i32),
        _ => value,
    }
}
