//! TS_2DIFF: blocks of up to 129 numbers, as differences from the smallest difference, packed.
//!
//! A block is `i32` number of differences, `i32` width, the smallest difference and the first number
//! (as wide as the type), then the packed rest. IoTDB's writer takes 128 differences a block; readers
//! take any number. All arithmetic wraps.

use core::ops::Range;
use core::ops::RangeInclusive;

use super::EncodingError;
use super::TimesPart;
use super::bits::BitWriter;
use super::bits::PUT_BITS;
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
        let block = Block::begin::<T>(input)?;
        out.claim(block.n_numbers(), input)?;
        block.pass(input)?;
        block.fill(out.slots(block.n_numbers()), &mut map);
    }
    Ok(())
}

/// Times of the blocks that may have one of `wanted`; which part of all times they are.
///
/// Of the other blocks, no more is looked at than where they begin, which has to be in order.
pub(super) fn decode_between(
    input: &mut Input<'_>,
    wanted: &RangeInclusive<i64>,
    out: &mut Output<'_, i64>,
) -> Result<TimesPart, EncodingError> {
    let max = out.room();
    let (mut first_row, mut n_rows) = (0usize, 0usize);
    let mut first_time = None;
    let mut block = match input.is_empty() {
        true => None,
        false => Some(Block::begin::<i64>(input)?),
    };
    while let Some(present) = block.take() {
        if present.n_numbers() > max.saturating_sub(n_rows) {
            return Err(EncodingError::TooMany { encoding: input.encoding(), max });
        }
        present.pass(input)?;
        let start = present.first.cast_signed();
        let first_time = *first_time.get_or_insert(start);
        let mut next_start = None;
        if !input.is_empty() {
            let next = Block::begin::<i64>(input)?;
            next_start = Some(next.first.cast_signed());
            block = Some(next);
        }
        if next_start.is_some_and(|next| next <= start) {
            return Err(input.malformed("a block of later times than those of the block before"));
        }
        let is_wanted =
            start <= *wanted.end() && next_start.is_none_or(|next| next > *wanted.start());
        if is_wanted {
            if out.room() == max {
                first_row = n_rows;
            }
            present.fill(out.slots(present.n_numbers()), |time| time);
        }
        n_rows = n_rows.saturating_add(present.n_numbers());
        if block.is_none() {
            let mut last_time = out.values().last().copied().filter(|_| is_wanted);
            let last_time = *last_time.get_or_insert_with(|| present.last());
            return Ok(TimesPart { first_row, n_rows, ends: Some((first_time, last_time)) });
        }
    }
    Ok(TimesPart { first_row: 0, n_rows: 0, ends: None })
}

/// The blocks that have values `wanted` of `n_values`; which value their first one is.
pub(super) fn decode_part<T: Number>(
    input: &mut Input<'_>,
    n_values: usize,
    wanted: &Range<usize>,
    values: &mut Vec<T>,
) -> Result<usize, EncodingError> {
    let mut first = 0usize;
    let mut behind = 0usize;
    while behind < wanted.end {
        let block = Block::begin::<T>(input)?;
        behind = behind.saturating_add(block.n_numbers());
        if behind > n_values {
            return Err(EncodingError::TooMany { encoding: input.encoding(), max: n_values });
        }
        block.pass(input)?;
        if behind <= wanted.start {
            first = behind;
            continue;
        }
        let mut out = Output::exactly(block.n_numbers(), values);
        block.fill(out.slots(block.n_numbers()), |value| value);
    }
    Ok(first)
}

/// A block whose differences are not unpacked yet.
#[derive(Clone, Copy)]
struct Block<'a> {
    /// How many differences there are.
    n: usize,
    /// Bits of each.
    width: u32,
    /// What was subtracted from each.
    min: u64,
    /// The first number.
    first: u64,
    /// What begins with the differences, and goes on behind them.
    bytes: &'a [u8],
}

impl<'a> Block<'a> {
    fn begin<T: Number>(input: &mut Input<'a>) -> Result<Self, EncodingError> {
        let n = input.count("a number of differences that is not negative")?;
        let width = width::<T>(input)?;
        let min = input.number::<T>("the smallest difference of a block")?;
        let first = input.number::<T>("the first value of a block")?;
        Ok(Self { n, width, min, first, bytes: input.rest() })
    }

    fn n_numbers(&self) -> usize {
        self.n.saturating_add(1)
    }

    /// Goes on behind the differences.
    fn pass(&self, input: &mut Input<'_>) -> Result<(), EncodingError> {
        let n_bytes = self.n.saturating_mul(self.width as usize).div_ceil(8);
        input.take(n_bytes, "as many packed bytes as a block claims")?;
        Ok(())
    }

    /// What `map` makes of the numbers.
    fn fill<T: Number, V>(&self, slots: &mut [V], mut map: impl FnMut(T) -> V) {
        let Some((slot, slots)) = slots.split_first_mut() else { return };
        *slot = map(T::from_bits(self.first));
        let map = |sum| map(T::from_bits(sum));
        match self.width {
            0 => even(self.first, self.min, slots, map),
            1..=7 => self.sum_up::<8, _>(slots, map),
            8..=14 => self.sum_up::<4, _>(slots, map),
            15..=28 => self.sum_up::<2, _>(slots, map),
            _ => self.sum_up::<1, _>(slots, map),
        }
    }

    /// What `map` makes of the numbers behind the first. A word is read for each `GROUP` of them.
    // Bits are counted inside of a block, whose length in bytes fits in memory.
    #[allow(clippy::arithmetic_side_effects)]
    #[inline(always)]
    fn sum_up<const GROUP: usize, V>(&self, slots: &mut [V], mut map: impl FnMut(u64) -> V) {
        let Self { bytes, width, min, first: mut sum, .. } = *self;
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

    /// The last number of a block of times.
    fn last(&self) -> i64 {
        if self.width == 0 {
            return self.first.wrapping_add(self.min.wrapping_mul(self.n as u64)).cast_signed();
        }
        let mut times = vec![0; self.n_numbers()];
        self.fill(&mut times, |time: i64| time);
        times.last().copied().unwrap_or_default()
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
    let mut differences = [0; BLOCK];
    for block in values.chunks(BLOCK.saturating_add(1)) {
        let Some((first, following)) = block.split_first() else { return };
        let differences = differences.get_mut(..following.len()).unwrap_or_default();
        for (difference, (before, value)) in differences.iter_mut().zip(block.iter().zip(following))
        {
            let bits = value.to_bits().wrapping_sub(before.to_bits());
            *difference = T::from_bits(bits).to_signed();
        }
        let (min, width) = least::<T>(differences);
        i32::from_bits(differences.len() as u64).put_be_bytes(out);
        i32::from_bits(width.into()).put_be_bytes(out);
        T::from_bits(min.cast_unsigned()).put_be_bytes(out);
        first.put_be_bytes(out);
        if width > 0 {
            pack::<T>(differences, min, width, out);
        }
    }
}

/// The least difference, and how many bits what they have above it takes.
fn least<T: Number>(differences: &[i64]) -> (i64, u32) {
    // Where there are no differences, the writer leaves the greatest number as the smallest one.
    let none = i64::MAX >> 64u32.saturating_sub(T::BITS);
    let Some(first) = differences.first() else { return (none, 0) };
    // Most times are equally far apart, which is found out faster than the least of them.
    if differences.iter().fold(0, |all, difference| all | (difference ^ first)) == 0 {
        return (*first, 0);
    }
    let min = differences.iter().copied().fold(*first, i64::min);
    let above = differences.iter().map(|difference| above::<T>(*difference, min));
    let all = above.fold(0, |all, bits| all | bits);
    (min, u64::BITS.saturating_sub(all.leading_zeros()))
}

/// What a difference has above the least one.
fn above<T: Number>(difference: i64, min: i64) -> u64 {
    T::from_bits(difference.wrapping_sub(min).cast_unsigned()).to_bits()
}

/// Appends what the differences have above the least one, so many at once as go into a word.
// The words are as wide as the numbers in them.
#[allow(clippy::arithmetic_side_effects)]
fn pack<T: Number>(differences: &[i64], min: i64, width: u32, out: &mut Vec<u8>) {
    let mut packed = BitWriter::new(out);
    let group = (PUT_BITS / width).max(1);
    for group in differences.chunks(group as usize) {
        let word = group.iter().fold(0, |word: u64, difference| {
            word.wrapping_shl(width) | above::<T>(*difference, min)
        });
        packed.put(word, width * group.len() as u32);
    }
    packed.finish();
}
