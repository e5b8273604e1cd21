//! CAMEL: DOUBLE only, library 2.2 and later; integer part and decimals apart.
//!
//! A block is `var` number of bits, then the bits. The first value as it is. Then for each value one
//! bit whether it is negative, and one bit how it goes on without its sign:
//!
//! - 0: as in GORILLA, with 6 bits of leading zeros and 6 of the width less one, against the value before,
//!   which has its sign;
//! - 1: by how much the integer part differs, as variable-length number of 7 bits and one bit whether
//!   more follow; number of decimals less one in 4 bits; one bit whether there is a difference, and
//!   if so as many bits of it as there are decimals; a variable-length number of decimals. The
//!   difference stands at the top of the mantissa of one plus the fraction.

// Widths and shifts are below 65 by the checks beside them.
#![allow(clippy::arithmetic_side_effects)]

use super::EncodingError;
use super::bits::BitReader;
use super::input::Input;
use super::input::Output;

/// Bits of a mantissa.
const MANTISSA: u32 = 52;
/// Most decimals; 16 can be said, but there is no writer or reader of that.
const DECIMALS_MAX: u32 = 15;

pub(super) fn decode(
    input: &mut Input<'_>,
    out: &mut Output<'_, f64>,
) -> Result<(), EncodingError> {
    while !out.is_done(input) {
        let n_bits = input.var_count("the number of bits of a block")?;
        let offset = input.position();
        let bytes = input.take(n_bits.div_ceil(8), "as many bytes as a block claims")?;
        let mut bits = BitReader::new(bytes);
        let malformed = |bits: &BitReader<'_>| {
            let offset = offset.saturating_add(bits.byte_offset());
            input.malformed_at(offset, "one more value inside the block")
        };
        let first = bits.take(64).ok_or_else(|| malformed(&bits))?;
        let mut block = Block::new(first);
        out.claim(1, input)?;
        out.push(f64::from_bits(first));
        while bits.taken() < n_bits {
            out.claim(1, input)?;
            let value = block.next(&mut bits).filter(|_| bits.taken() <= n_bits);
            out.push(value.ok_or_else(|| malformed(&bits))?);
        }
    }
    Ok(())
}

struct Block {
    /// Bits of the value before, with its sign.
    before: u64,
    integer: i64,
    /// Width of the window of differences; 0 before the first.
    width: u32,
    /// Zeros behind the window.
    trailing: u32,
}

impl Block {
    fn new(first: u64) -> Self {
        let value = f64::from_bits(first);
        Self { before: one_nan(value), integer: value as i64, width: 0, trailing: 0 }
    }

    fn next(&mut self, bits: &mut BitReader<'_>) -> Option<f64> {
        let is_negative = bits.bit()?;
        let magnitude = match bits.bit()? {
            true => self.by_decimals(bits)?,
            false => self.by_bits(bits)?,
        };
        // A NaN keeps its sign where Java multiplies by -1.
        let value = if is_negative && !magnitude.is_nan() { -magnitude } else { magnitude };
        self.before = one_nan(value);
        Some(value)
    }

    fn by_bits(&mut self, bits: &mut BitReader<'_>) -> Option<f64> {
        if bits.bit()? {
            if bits.bit()? {
                let leading = bits.take(6)? as u32;
                let width = bits.take(6)? as u32 + 1;
                self.trailing = 64u32.checked_sub(leading + width)?;
                self.width = width;
            } else if self.width == 0 {
                return None;
            }
            self.before ^= bits.take(self.width)? << self.trailing;
        }
        Some(f64::from_bits(self.before))
    }

    fn by_decimals(&mut self, bits: &mut BitReader<'_>) -> Option<f64> {
        self.integer = self.integer.wrapping_add(variable(bits)?);
        let n_decimals = bits.take(4)? as u32 + 1;
        if n_decimals > DECIMALS_MAX {
            return None;
        }
        let difference = match bits.bit()? {
            true => Some(bits.take(n_decimals)? << (MANTISSA - n_decimals)),
            false => None,
        };
        let scale = 10i64.pow(n_decimals) as f64;
        let mut fraction = variable(bits)? as f64 / scale;
        if let Some(difference) = difference {
            fraction = f64::from_bits(difference ^ (fraction + 1.0).to_bits()) - 1.0;
        }
        let decimals = round(fraction * scale);
        let sum = self.integer as f64 * scale + decimals;
        Some(if self.integer >= 0 { sum / scale } else { -sum / scale })
    }
}

/// The bits of a value for the difference from the next one: there, Java makes one NaN of all.
fn one_nan(value: f64) -> u64 {
    if value.is_nan() { f64::NAN } else { value }.to_bits()
}

/// The nearest integer, the greater one of two: what Java's `Math.round` does.
fn round(value: f64) -> f64 {
    let below = value.floor();
    let rounded = if value - below >= 0.5 { below + 1.0 } else { below };
    // Java's result is a `long`.
    rounded as i64 as f64
}

/// Zigzag number in groups of seven bits, the lowest first, each with a bit whether more follow.
fn variable(bits: &mut BitReader<'_>) -> Option<i64> {
    let mut raw = 0u64;
    for shift in (0..64).step_by(7) {
        let group = bits.take(8)?;
        raw |= (group >> 1) << shift;
        if group & 1 == 0 {
            return Some((raw >> 1).cast_signed() ^ (raw & 1).cast_signed().wrapping_neg());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_is_rounded_up_as_java_does() {
        for (value, rounded) in [
            (0.5, 1.0),
            (1.5, 2.0),
            (-0.5, 0.0),
            (-1.5, -1.0),
            (0.499_999_999_999_999_94, 0.0),
            (4_503_599_627_370_497.0, 4_503_599_627_370_497.0),
            (1e300, i64::MAX as f64),
            (f64::NAN, 0.0),
        ] {
            assert_eq!(round(value), rounded, "{value}");
        }
    }
}
