//! DICTIONARY: each text once, then the numbers of the texts.
//!
//! `var` count, then per entry `var` length and the bytes, then the numbers as RLE of 32 bits.

use std::collections::HashMap;

use tidegate_codec::Writer;

use super::EncodingError;
use super::Refusal;
use super::input::Input;
use super::input::Output;
use super::plain;
use super::rle;
use crate::ByteValues;

pub(super) fn decode(
    input: &mut Input<'_>,
    n: usize,
    out: &mut ByteValues,
) -> Result<(), EncodingError> {
    let offset = input.position();
    let n_entries = input.var_count("the number of entries")?;
    // The writer makes an entry when its first value comes.
    if n_entries > n {
        return Err(input.malformed_at(offset, "no more entries than values"));
    }
    let mut entries = out.dictionary();
    for _ in 0..n_entries {
        let length = input.var_count("the length of an entry")?;
        entries.add(input.take(length, "as many bytes as an entry has")?);
    }
    let offset = input.position();
    let mut numbers = Vec::new();
    rle::decode(input, &mut Output::exactly(n, &mut numbers), |number: i32| number)?;
    for number in numbers {
        let found = usize::try_from(number).is_ok_and(|number| entries.push(number));
        if !found {
            return Err(input.malformed_at(offset, "numbers of entries"));
        }
    }
    Ok(())
}

pub(super) fn encode<'a>(
    values: impl Iterator<Item = &'a [u8]>,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let mut numbers = Vec::new();
    let mut entries = Vec::new();
    let mut known = HashMap::new();
    for value in values {
        let next = i32::try_from(entries.len())?;
        numbers.push(*known.entry(value).or_insert_with(|| {
            entries.push(value);
            next
        }));
    }
    Writer::new(out).var(entries.len().try_into()?);
    plain::encode_byte_strings(entries.into_iter(), out)?;
    rle::encode(&numbers, out)
}
