//! LZ4 blocks, of which the beginning alone can be decompressed.
//!
//! A block is a chain of sequences: a token with two lengths of four bits, more bytes of the first length if
//! it is 15, literals, the distance of a match in two bytes, least significant first, and more bytes of the
//! second length, to which 4 is added. The last sequence ends behind its literals.

// Positions stay inside of slices by the checks beside them, and lengths are added up with care.
#![allow(clippy::arithmetic_side_effects)]

use crate::copies::STEP;
use crate::copies::copy_literals;
use crate::copies::copy_match;
use crate::copies::step;

/// Fills `output` with the first bytes that `input` stands for; `None` if these are fewer or if what stands
/// for them is damaged. What follows is not looked at.
pub(crate) fn fill(input: &[u8], output: &mut [u8]) -> Option<()> {
    let (mut from, mut to) = (0usize, 0usize);
    while to < output.len() {
        // Almost all sequences are short, and far from both ends.
        while let Some((read_bytes, made_bytes)) = short(input, from, output, to) {
            from += read_bytes;
            to += made_bytes;
        }
        if to == output.len() {
            break;
        }
        let token = *input.get(from)?;
        from += 1;
        let n_literals = length(input, &mut from, token >> 4)?;
        copy_literals(input, from, output, &mut to, n_literals)?;
        if to == output.len() {
            break;
        }
        from = from.checked_add(n_literals)?;
        let distance = input.get(from..)?.first_chunk()?;
        from += 2;
        let n_matching = length(input, &mut from, token & 15)?.checked_add(MATCH_MIN)?;
        copy_match(output, &mut to, u16::from_le_bytes(*distance).into(), n_matching)?;
    }
    Some(())
}

/// A sequence with lengths of one byte at most, if there is room around it and the match is not among what
/// it stands for; the bytes that were read and made.
#[inline(always)]
fn short(input: &[u8], from: usize, output: &mut [u8], to: usize) -> Option<(usize, usize)> {
    let source: &[u8; 1 + STEP + 3] = input.get(from..)?.first_chunk()?;
    let token = usize::from(source[0]);
    let (n_literals, bits) = (token >> 4, token & 15);
    if n_literals == 15 {
        return None;
    }
    let literals: &[u8; STEP] = source.get(1..)?.first_chunk()?;
    let behind = source.get(1 + n_literals..)?;
    let distance = usize::from(u16::from_le_bytes(*behind.first_chunk()?));
    let at = to + n_literals;
    let taken_from = at.checked_sub(distance)?;
    if bits < 15 {
        let n_matching = bits + MATCH_MIN;
        let end = at + SHORT;
        if distance < n_matching || end > output.len() {
            return None;
        }
        *output.get_mut(to..)?.first_chunk_mut()? = *literals;
        let taken: [u8; SHORT] = *output.get(taken_from..)?.first_chunk()?;
        *output.get_mut(at..)?.first_chunk_mut()? = taken;
        return Some((n_literals + 3, n_literals + n_matching));
    }
    let more = usize::from(*behind.get(2)?);
    let n_matching = 15 + more + MATCH_MIN;
    if more == 255 || distance < STEP || at + n_matching + STEP > output.len() {
        return None;
    }
    *output.get_mut(to..)?.first_chunk_mut()? = *literals;
    let mut done = 0;
    while done < n_matching {
        step(output, taken_from + done, at + done)?;
        done += STEP;
    }
    Some((n_literals + 4, n_literals + n_matching))
}

/// Shortest match.
const MATCH_MIN: usize = 4;

/// A length that begins with four bits of a token.
#[inline(always)]
fn length(input: &[u8], from: &mut usize, bits: u8) -> Option<usize> {
    let mut length = usize::from(bits);
    if bits == 15 {
        loop {
            let more = *input.get(*from)?;
            *from += 1;
            length = length.checked_add(more.into())?;
            if more != u8::MAX {
                break;
            }
        }
    }
    Some(length)
}

/// The longest match that the token of LZ4 can say alone.
const SHORT: usize = 18;
