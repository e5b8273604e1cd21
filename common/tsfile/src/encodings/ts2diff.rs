//! TS_2DIFF: blocks of up to 129 numbers, as differences from the smallest difference, packed.
//!
//! A block is `i32` number of differences, `i32` width, the smallest difference and the first number
//! (as wide as the type), then the packed rest. IoTDB's writer takes 128 differences a block; readers
//! take any number. All arithmetic wraps.

use super::EncodingError;
use super::bits::BitWriter;
use super::bits::WORD_BITS;
use super::bits::wide_at_bit;
use super::bits::word_at_bit;
use super::input::Input;
use super::input::Output;
use super::number::Number;

pub(super) fn decode<T: Number, V: Copy + Default>(
    input: &mut Input<'_>,
    out: &mut Output<'_, V>,
    mut map: impl FnMut(T) -> V,
) -> Result<(), EncodingError> {
    while !out.is_done(input) {
        let n = input.count("a number of differences that is not negative")?;
        let width = width::<T>(input)?;
        let min = input.number::<T>("the smallest difference of a block")?;
        let value = input.number::<T>("the first value of a block")?;
        out.claim(n.saturating_add(1), input)?;
        let n_bytes = n.saturating_mul(width as usize).div_ceil(8);
        let packed = Packed { bytes: input.rest(), width, min };
        input.take(n_bytes, "as many packed bytes as a block claims")?;
        out.push(map(T::from_bits(value)));
        let slots = out.slots(n);
        match width {
            0 => even(value, min, slots, |sum| map(T::from_bits(sum))),
            1..=7 => packed.sum_up::<8, _>(value, slots, |sum| map(T::from_bits(sum))),
            8..=14 => packed.sum_up::<4, _>(value, slots, |sum| map(T::from_bits(sum))),
            15..=28 => packed.sum_up::<2, _>(value, slots, |sum| map(T::from_bits(sum))),
            _ => packed.sum_up::<1, _>(value, slots, |sum| map(T::from_bits(sum))),
        }
    }
    Ok(())
}

/// Differences that are read.
struct Packed<'a> {
    /// What begins with the differences of the block, and goes on behind them.
    bytes: &'a [u8],
    /// Bits of each; not 0.
    width: u32,
    /// What was subtracted from each.
    min: u64,
}

impl Packed<'_> {
    /// What `map` makes of the numbers behind `sum`. A word is read for each `GROUP` of them.
    // Bits are counted inside of a block, whose length in bytes fits in memory.
    #[allow(clippy::arithmetic_side_effects)]
    #[inline(always)]
    fn sum_up<const GROUP: usize, V>(
        self,
        mut sum: u64,
        slots: &mut [V],
        mut map: impl FnMut(u64) -> V,
    ) {
        let Self { bytes, width, min } = self;
        let mut at = 0;
        for group in slots.chunks_mut(GROUP) {
            let mut word = match width {
                0..=WORD_BITS => word_at_bit(bytes, at),
                _ => wide_at_bit(bytes, at, width) << (64 - width),
            };
            at += group.len() * width as usize;
            for slot in group {
                sum = sum.wrapping_add(min.wrapping_add(word >> (64 - width)));
                *slot = map(sum);
                word = word.wrapping_shl(width);
            }
        }
    }
}

/// What `map` makes of the numbers behind `sum` in steps of `step`.
#[inline(always)]
fn even<V>(sum: u64, step: u64, slots: &mut [V], mut map: impl FnMut(u64) -> V) {
    const LANES: usize = 8;
    let mut lanes: [u64; LANES] =
        core::array::from_fn(|i| sum.wrapping_add(step.wrapping_mul(i as u64).wrapping_add(step)));
    for group in slots.chunks_mut(LANES) {
        for (slot, lane) in group.iter_mut().zip(&mut lanes) {
            *slot = map(*lane);
            *lane = lane.wrapping_add(step.wrapping_mul(LANES as u64));
        }
    }
}

fn width<T: Number>(input: &mut Input<'_>) -> Result<u32, EncodingError> {
    let offset = input.position();
    let expected = "a width from 0 to that of the type";
    let width = input.count(expected)?;
    u32::try_from(width)
        .ok()
        .filter(|width| *width <= T::BITS)
        .ok_or_else(|| input.malformed_at(offset, expected))
}

/// Differences in one block of IoTDB's writer.
const BLOCK: usize = 128;

pub(super) fn encode<T: Number>(values: &[T], out: &mut Vec<u8>) {
    let mut differences: Vec<i64> = Vec::with_capacity(BLOCK);
    for block in values.chunks(BLOCK.saturating_add(1)) {
        let Some(first) = block.first() else {
            return;
        };
        let following = block.iter().skip(1);
        differences.clear();
        differences.extend(block.iter().zip(following).map(|(before, value)| {
            T::from_bits(value.to_bits().wrapping_sub(before.to_bits())).to_signed()
        }));
        // Where there are no differences, the writer leaves the greatest number as the smallest one.
        let none = i64::MAX >> 64u32.saturating_sub(T::BITS);
        let min = differences.iter().copied().min().unwrap_or(none);
        let above =
            |difference: &i64| T::from_bits(difference.wrapping_sub(min).cast_unsigned()).to_bits();
        let width = differences.iter().map(above).fold(0, |all, bits| all | bits);
        let width = u64::BITS.saturating_sub(width.leading_zeros());
        i32::from_bits(differences.len() as u64).put_be_bytes(out);
        i32::from_bits(width.into()).put_be_bytes(out);
        T::from_bits(min.cast_unsigned()).put_be_bytes(out);
        first.put_be_bytes(out);
        let mut packed = BitWriter::new(out);
        for difference in &differences {
            packed.put(above(difference), width);
        }
        packed.finish();
    }
}
