//! ZIGZAG: variable-length numbers of up to 5 or 10 bytes.
//!
//! A section is `uvar` length in bytes, `uvar` count, then the numbers. IoTDB's writer makes one a
//! page.

use super::EncodingError;
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
