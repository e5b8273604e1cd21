//! PLAIN: every value as it is.
//!
//! BOOLEAN is one byte, INT32 and DATE are zigzag variable-length numbers, the other numbers stand as
//! in memory with the most significant byte first, and byte strings have a zigzag length before them.

use tidegate_codec::Writer;

use super::EncodingError;
use super::Refusal;
use super::input::Input;
use super::input::Output;
use super::number::Number;
use crate::ByteValues;

pub(super) fn booleans(
    input: &mut Input<'_>,
    out: &mut Output<'_, bool>,
) -> Result<(), EncodingError> {
    let bytes = input.take(out.room(), "one byte for each value")?;
    // IoTDB reads whatever is not 0 as true.
    out.extend(bytes.iter().map(|byte| *byte != 0));
    Ok(())
}

pub(super) fn variable(
    input: &mut Input<'_>,
    out: &mut Output<'_, i32>,
) -> Result<(), EncodingError> {
    for _ in 0..out.room() {
        out.push(Number::from_bits(input.zigzag::<i32>("a variable-length number of 32 bits")?));
    }
    Ok(())
}

pub(super) fn fixed<T: Number>(
    input: &mut Input<'_>,
    out: &mut Output<'_, T>,
) -> Result<(), EncodingError> {
    let n = match out.is_exact() {
        true => out.room(),
        false => input.rest().len().checked_div(T::BYTES).unwrap_or(0),
    };
    out.claim(n, input)?;
    let bytes = input.take(n.saturating_mul(T::BYTES), "four or eight bytes for each value")?;
    out.extend(T::all_from_be_bytes(bytes));
    if !out.is_done(input) {
        return Err(input.malformed("a whole value before the end"));
    }
    Ok(())
}

pub(super) fn byte_strings(
    input: &mut Input<'_>,
    n: usize,
    out: &mut ByteValues,
) -> Result<(), EncodingError> {
    for _ in 0..n {
        let length = input.var_count("the length of a value")?;
        out.push(input.take(length, "as many bytes as a value has")?);
    }
    Ok(())
}

pub(super) fn encode_booleans(values: &[bool], out: &mut Vec<u8>) {
    out.extend(values.iter().map(|value| u8::from(*value)));
}

pub(super) fn encode_variable(values: &[i32], out: &mut Vec<u8>) {
    for value in values {
        Writer::new(out).var(*value);
    }
}

/// Floats keep their bits, where IoTDB's writer makes one NaN of all.
pub(super) fn encode_fixed<T: Number>(values: &[T], out: &mut Vec<u8>) {
    T::put_all_be_bytes(values, out);
}

pub(super) fn encode_byte_strings<'a>(
    values: impl Iterator<Item = &'a [u8]>,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    for value in values {
        Writer::new(out).var(value.len().try_into()?);
        out.extend_from_slice(value);
    }
    Ok(())
}
