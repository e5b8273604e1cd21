//! REGULAR: the first value, the step, and which steps are missing.
//!
//! A block is one byte whether values are missing; if so, `i32` length and a bitmap, least significant
//! bit first, of those that are there; then `i32` number of steps and the first one, then step and
//! first value as wide as the type. Only old versions offered it.

use super::EncodingError;
use super::input::Input;
use super::input::Output;
use super::number::Number;

pub(super) fn decode<T: Number>(
    input: &mut Input<'_>,
    out: &mut Output<'_, T>,
) -> Result<(), EncodingError> {
    while !out.is_done(input) {
        let bitmap = match input.u8("whether values are missing")? {
            0 => None,
            _ => {
                let length = input.count("the length of a bitmap")?;
                Some(input.take(length, "as many bytes as a bitmap claims")?)
            }
        };
        let n = input.count("a number of values that is not negative")?;
        let step = input.number::<T>("the step of a block")?;
        let first = input.number::<T>("the first value of a block")?;
        let value =
            |index: usize| T::from_bits(step.wrapping_mul(index as u64).wrapping_add(first));
        let Some(bitmap) = bitmap else {
            out.claim(n, input)?;
            out.extend((0..n).map(value));
            continue;
        };
        // Behind its end, a bitmap says that nothing is there.
        for index in 0..n.min(bitmap.len().saturating_mul(8)) {
            if bit(bitmap, index) {
                out.claim(1, input)?;
                out.push(value(index));
            }
        }
    }
    Ok(())
}

/// Bit `index` of a bitmap with the least significant bit first.
pub(super) fn bit(bitmap: &[u8], index: usize) -> bool {
    bitmap.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}
