//! ZIGZAG: variable-length numbers of up to 5 or 10 bytes.
//!
//! A section is `uvar` length in bytes, `uvar` count, then the numbers. IoTDB's writer makes one a
//! page.

use tidegate_codec::Writer;

use super::EncodingError;
use super::Refusal;
use super::input::Input;
use super::input::Output;
use super::number::Number;

pub(super) fn decode<T: Number>(
    input: &mut Input<'_>,
    out: &mut Output<'_, T>,
) -> Result<(), EncodingError> {
    while !out.is_done(input) {
        let length = input.uvar_count("the length of a section")?;
        let n = input.uvar_count("the number of values of a section")?;
        let mut section = input.sub(length, "as many bytes as a section claims")?;
        out.claim(n, &section)?;
        for _ in 0..n {
            let bits = section.zigzag::<T>("a variable-length number as wide as the type")?;
            out.push(T::from_bits(bits));
        }
    }
    Ok(())
}

pub(super) fn encode<T: Number>(values: &[T], out: &mut Vec<u8>) -> Result<(), Refusal> {
    let mut section = Vec::with_capacity(values.len());
    for value in values {
        let signed = value.to_signed();
        let mut left =
            T::from_bits((signed.wrapping_shl(1) ^ (signed >> 63)).cast_unsigned()).to_bits();
        while left >= 0x80 {
            section.push(left as u8 | 0x80);
            left >>= 7;
        }
        section.push(left as u8);
    }
    Writer::new(out).uvar(section.len().try_into()?);
    Writer::new(out).uvar(values.len().try_into()?);
    out.extend_from_slice(&section);
    Ok(())
}
