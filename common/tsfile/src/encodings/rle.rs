//! RLE: runs of one value, and runs of packed ones.
//!
//! A section is `uvar` length in bytes, `u8` width, then runs: `uvar` header; if it is even, half of it
//! is how often the value that follows repeats, in as few whole bytes as hold the width, least
//! significant first for 32 bits and most significant first for 64; if it is odd, half of it is the
//! number of groups, `u8` is how many values of the last group count, and then come the groups of eight
//! packed values. IoTDB's writer makes one section a page.

use super::EncodingError;
use super::bits;
use super::input::Input;
use super::input::Output;
use super::number::Number;

/// Values in one group of a packed run.
const GROUP: usize = 8;

pub(super) fn decode<T: Number, V: Copy>(
    input: &mut Input<'_>,
    out: &mut Output<'_, V>,
    mut map: impl FnMut(T) -> V,
) -> Result<(), EncodingError> {
    while !out.is_done(input) {
        let length = input.uvar_count("the length of a section")?;
        let mut section = input.sub(length, "as many bytes as a section claims")?;
        let offset = section.position();
        let width = u32::from(section.u8("the width of the values of a section")?);
        if width > T::BITS {
            return Err(section.malformed_at(offset, "a width from 0 to that of the type"));
        }
        while !(section.is_empty() || out.is_exact() && out.room() == 0) {
            run(&mut section, width, out, &mut map)?;
        }
    }
    Ok(())
}

fn run<T: Number, V: Copy>(
    section: &mut Input<'_>,
    width: u32,
    out: &mut Output<'_, V>,
    mut map: impl FnMut(T) -> V,
) -> Result<(), EncodingError> {
    let offset = section.position();
    let header = section.uvar_count("the header of a run")?;
    let half = header >> 1;
    if header & 1 == 0 {
        out.claim(half, section)?;
        let bytes = section.take(width.div_ceil(8) as usize, "the value of a run")?;
        let join = |bits: u64, byte: &u8| (bits << 8) | u64::from(*byte);
        let bits = match T::BITS {
            32 => bytes.iter().rev().fold(0, join),
            _ => bytes.iter().fold(0, join),
        };
        for _ in 0..half {
            out.push(map(T::from_bits(bits)));
        }
        return Ok(());
    }
    let n_last = usize::from(section.u8("how many values of the last group count")?);
    let full = half.checked_sub(1).filter(|_| n_last <= GROUP);
    let Some(full) = full else {
        return Err(section.malformed_at(offset, "a packed run of at least one group of eight"));
    };
    let n = full.saturating_mul(GROUP).saturating_add(n_last);
    out.claim(n, section)?;
    let n_bytes = half.saturating_mul(width as usize);
    let packed = section.take(n_bytes, "as many packed bytes as a run claims")?;
    bits::unpack(packed, n, width, out.values(), |bits| map(T::from_bits(bits)));
    Ok(())
}
