//! RLBE: differences, in runs of such as need equally many bits.
//!
//! A block is `i32` number of values, then runs until they are complete: the width of a word in 6 bits
//! for 32 bits and 7 for 64, how many words follow as a Fibonacci code, and the words. A word of full
//! width has its top bit written as 0 and set when read. The first word of a block is the value, the
//! others are differences. Then come zeros up to a whole byte. IoTDB's writer takes 10,000 values a
//! block.
//!
//! For FLOAT and DOUBLE the word has had two meanings under one number, see [`RlbeMeaning`].

// Widths and shifts are below 65 by the checks beside them; sums of Fibonacci numbers saturate.
#![allow(clippy::arithmetic_side_effects)]

use super::EncodingError;
use super::RlbeMeaning;
use super::bits::BitReader;
use super::input::Input;
use super::input::Output;
use super::number::Number;

pub(super) fn decode<T: Number>(
    meaning: RlbeMeaning,
    input: &mut Input<'_>,
    out: &mut Output<'_, T>,
) -> Result<(), EncodingError> {
    while !out.is_done(input) {
        let n = input.count("a number of values that is not negative")?;
        out.claim(n, input)?;
        let mut bits = BitReader::new(input.rest());
        let mut value = None;
        let mut missing = n;
        while missing > 0 {
            let run = run::<T>(&mut bits).filter(|run| run.n_words <= missing);
            let complete = run.and_then(|run| {
                missing -= run.n_words;
                for _ in 0..run.n_words {
                    let next = next::<T>(meaning, value, run.word::<T>(&mut bits)?);
                    out.push(T::from_bits(next));
                    value = Some(next);
                }
                Some(())
            });
            if complete.is_none() {
                let offset = input.position() + bits.byte_offset();
                return Err(input.malformed_at(offset, "a run of words inside its block"));
            }
        }
        input.take(bits.whole_bytes(), "the bits of a block")?;
    }
    Ok(())
}

struct Run {
    width: u32,
    n_words: usize,
}

impl Run {
    fn word<T: Number>(&self, bits: &mut BitReader<'_>) -> Option<u64> {
        let word = match self.width {
            0 => 0,
            width => bits.take(width)?,
        };
        let top = u64::from(self.width == T::BITS) << (T::BITS - 1);
        Some(word.wrapping_add(top))
    }
}

fn run<T: Number>(bits: &mut BitReader<'_>) -> Option<Run> {
    let width = bits.take(T::BITS.ilog2() + 1)? as u32;
    let n_words = fibonacci(bits)?;
    (width <= T::BITS && n_words > 0).then_some(Run { width, n_words })
}

/// A sum of Fibonacci numbers, smallest first; the number behind the last is marked as well.
fn fibonacci(bits: &mut BitReader<'_>) -> Option<usize> {
    let (mut number, mut next) = (1usize, 2usize);
    let mut sum = 0usize;
    let mut before = false;
    loop {
        let marked = bits.bit()?;
        if marked && before {
            return Some(sum);
        }
        if marked {
            sum = sum.saturating_add(number);
        }
        before = marked;
        (number, next) = (next, number.saturating_add(next));
    }
}

/// The value after `before`.
fn next<T: Number>(meaning: RlbeMeaning, before: Option<u64>, word: u64) -> u64 {
    let Some(before) = before else {
        return word;
    };
    match (meaning, T::IS_FLOAT, T::BITS) {
        (RlbeMeaning::FloatDifference, true, 32) => {
            let (before, word) = (before as u32, word as u32);
            match [before, word].into_iter().find(|bits| f32::from_bits(*bits).is_nan()) {
                Some(nan) => (nan | QUIET_32).into(),
                None => (f32::from_bits(before) + f32::from_bits(word)).to_bits().into(),
            }
        }
        (RlbeMeaning::FloatDifference, true, _) => {
            match [before, word].into_iter().find(|bits| f64::from_bits(*bits).is_nan()) {
                Some(nan) => nan | QUIET_64,
                None => (f64::from_bits(before) + f64::from_bits(word)).to_bits(),
            }
        }
        _ => before.wrapping_add(word),
    }
}

/// The bit that makes a NaN quiet, as arithmetic does.
const QUIET_32: u32 = 1 << 22;
const QUIET_64: u64 = 1 << 51;
