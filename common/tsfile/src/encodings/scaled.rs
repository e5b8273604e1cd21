//! TS_2DIFF and RLE of FLOAT and DOUBLE: numbers times a power of ten, as integers.
//!
//! `uvar` number of decimals, then the integers, of 32 bits for FLOAT and 64 for DOUBLE. Libraries of
//! IoTDB 1.3.3 and later write two escapes in place of the decimals, for pages with values that do not
//! fit: then comes `uvar` number of values, one or two bitmaps with the least significant bit first, and
//! then the decimals. In the first bitmap a value is marked that was multiplied; one that is not
//! marked is the integer itself. In the second a value is marked whose integer is its bits.

use super::EncodingError;
use super::input::Input;
use super::input::Output;
use super::number::Number;
use super::regular::bit;
use super::rle;
use super::ts2diff;
use crate::Encoding;

/// In place of the decimals: one bitmap follows.
const ONE_BITMAP: u32 = 0x7fff_ffff;
/// In place of the decimals: two bitmaps follow.
const TWO_BITMAPS: u32 = 0x7fff_fffe;

/// Powers of ten that are exact.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// FLOAT or DOUBLE.
pub(super) trait Scaled: Number {
    /// What stands for it.
    type Integer: Number;

    /// `integer / divisor`.
    fn divide(integer: Self::Integer, divisor: f64) -> Self;
}

impl Scaled for f32 {
    type Integer = i32;

    fn divide(integer: i32, divisor: f64) -> Self {
        (f64::from(integer) / divisor) as Self
    }
}

impl Scaled for f64 {
    type Integer = i64;

    fn divide(integer: i64, divisor: f64) -> Self {
        integer as Self / divisor
    }
}

pub(super) fn decode<T: Scaled>(
    input: &mut Input<'_>,
    out: &mut Output<'_, T>,
) -> Result<(), EncodingError> {
    let head = input.uvar("the number of decimals")?;
    if head != ONE_BITMAP && head != TWO_BITMAPS {
        let divisor = divisor(head);
        return integers::<T>(input, out, |integer| T::divide(integer, divisor));
    }
    let offset = input.position();
    let n_marks = input.uvar_count("the number of values in the bitmaps")?;
    if n_marks < out.room() {
        return Err(input.malformed_at(offset, "bitmaps for all values"));
    }
    // One byte more than it takes if the number is a multiple of eight.
    let n_bytes = (n_marks / 8).saturating_add(1);
    let multiplied = input.take(n_bytes, "a bitmap of multiplied values")?;
    let raw = match head {
        TWO_BITMAPS => input.take(n_bytes, "a bitmap of values as bits")?,
        _ => &[],
    };
    let divisor = divisor(input.uvar("the number of decimals")?);
    let mut index = 0usize;
    integers::<T>(input, out, |integer| {
        let at = index;
        index = index.wrapping_add(1);
        match (bit(raw, at), bit(multiplied, at)) {
            (true, _) => T::from_bits(integer.to_bits()),
            (false, true) => T::divide(integer, divisor),
            (false, false) => T::divide(integer, 1.0),
        }
    })
}

fn integers<T: Scaled>(
    input: &mut Input<'_>,
    out: &mut Output<'_, T>,
    map: impl FnMut(T::Integer) -> T,
) -> Result<(), EncodingError> {
    match input.encoding() {
        Encoding::Rle => rle::decode(input, out, map),
        _ => ts2diff::decode(input, out, map),
    }
}

/// Ten to the power of `decimals`. Above 31 bits it is negative for IoTDB, and then the power is 1.
fn divisor(decimals: u32) -> f64 {
    match POWERS.get(decimals as usize) {
        Some(power) => *power,
        None if decimals > i32::MAX.cast_unsigned() => 1.0,
        None => 10f64.powf(f64::from(decimals)),
    }
}
